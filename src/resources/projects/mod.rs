//! Projects: the same object under three addresses.
//! Invariant: ids are never used twice; admins and owners see every project, members those that are
//! neither private nor closed to them by access control, and those opened to them.

mod as_of;
mod commands;
mod find;
mod moving;
mod newer;
mod onboarding;
mod secret_tokens;
mod settings;
mod shown;
mod wire;

use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::{Resource, audit, members, organizations, users};
use crate::api::{Call, Ctx, Field, FieldInfo, InOrganization, Paging, Place, Reply, Within};
use crate::app::{Route, Tag, read, scope, tagged, write};
use crate::clock::Time;
use crate::error::{Result, invalid};
use crate::ids::{OrganizationId, ProjectId};
use crate::store::{Index, Json, Packed, Parent, Table, Tx, WriteTx, by_uuid};

pub use commands::{
    Given, create, create_as, create_default, pin_token, preview, remove, renew_token, update,
};
pub use find::{
    Receiver, by_token, exists, first_visible, ids_of, is_of, is_open_to, is_private, level_in, name, named,
    note_event, organization_of, receives_organization_entries, require_access, require_access_of, seen,
    timezone, visible, visible_in,
};
pub use moving::change_organization;
use newer::NEWER;
pub use onboarding::{add_product_intent, complete_product_onboarding};
pub use secret_tokens::{by_secret_token, delete_secret_token_backup, rotate_secret_token};
pub use settings::SECRETS as SECRET_SETTINGS;
pub(super) use settings::is_timezone;
use settings::{SETTINGS, Settings};
pub use shown::{SecretTokens, secret_tokens_of, settings_of, timezones, token_and_secrets_of};
pub use wire::{Loaded, Short};

pub static RESOURCE: Resource = Resource::of(routes)
    .tables(&[&PROJECTS, &secret_tokens::TOKENS])
    .samples(samples)
    .seals(&[secret_tokens::show_sealed]);

fn routes() -> Vec<Route> {
    const TAG: Tag = Tag {
        name: "projects",
        noun: "project",
        about: "Projects of an organization, with their settings and the public token that events \
         are sent with.",
    };

    let all = "/api/organizations/{organization_id}/projects/";
    let organization = Within::Organization("organization_id");
    let mut rows = vec![
        Route::get(all, scope("project:read"), Within::OrganizationBy(listed), read(list))
            .cached()
            .responds_page(SHORT)
            .queries(SEARCH)
            .about("List an organization's projects", "Those that the caller sees, in short form."),
        Route::post(all, scope("project:write"), organization, write(post))
            .accepts(FIELDS)
            .responds(201, FIELDS)
            .about(
                "Create a project",
                "From admin level on; members may create one demo project (`is_demo`). It becomes the \
                 caller's current project unless the key is limited.",
            ),
    ];
    rows.push(
        Route::get("/api/projects/", scope("project:read"), Within::OrganizationBy(current), read(list))
            .cached()
            .responds_page(SHORT)
            .queries(SEARCH)
            .about("List the current organization's projects", "Those that the caller sees, in short form."),
    );
    let of_organization = Within::ProjectOf { organization: "organization_id", project: "id" };
    rows.extend(routes_of_one("/api/organizations/{organization_id}/projects/{id}/", of_organization));
    rows.extend(routes_of_one("/api/projects/{id}/", Within::Project("id")));
    rows.extend(routes_of_one("/api/environments/{id}/", Within::Project("id")));
    tagged(TAG, rows)
}

fn routes_of_one(one: &str, within: Within) -> Vec<Route> {
    let at = |tail: &str| format!("{one}{tail}");
    let (reads, writes) = (scope("project:read"), scope("project:write"));
    vec![
        Route::get(at(""), reads, within, read(show))
            .cached_for_the_second()
            .responds(200, FIELDS)
            .about("Retrieve a project", "With all its settings."),
        Route::put(at(""), writes, within, write(patch)).accepts(FIELDS).responds(200, FIELDS).about(
            "Replace a project's settings",
            "For members of the project; `access_control` is for admins of the organization.",
        ),
        Route::patch(at(""), writes, within, write(patch)).accepts(FIELDS).responds(200, FIELDS).about(
            "Change a project",
            "Only the fields that are sent change. For members of the project; `access_control` \
             is for admins of the organization.",
        ),
        Route::delete(at(""), writes, within, write(delete)).responds_nothing().about(
            "Delete a project",
            "With its events, persons, access controls and batch exports. For admins of the \
             project.",
        ),
        Route::get(at("activity/"), reads, within, read(show_activity))
            .about(
                "List a project's activity",
                "Who changed what, the newest first: `count`, `next`, `previous` and `results`.",
            )
            .queries(&[("page", "Which page, from 1 on."), ("limit", "How many entries a page has.")]),
        Route::get(at("is_generating_demo_data/"), reads, within, read(is_generating_demo_data)).about(
            "See whether demo data is being made",
            "Always false: no demo data is made here. PostHog's web app asks for it.",
        ),
        Route::patch(at("reset_token/"), writes, within, write(reset_token)).responds(200, FIELDS).about(
            "Renew a project's token",
            "The old token stops working at once. For admins of the project.",
        ),
        Route::patch(at("rotate_secret_token/"), writes, within, write(rotate_secret)).responds(200, FIELDS).about(
            "Renew a project's secret token",
            "The first call makes one. The token from before stays valid as `secret_api_token_backup`. For \
             admins of the project.",
        ),
        Route::patch(at("delete_secret_token_backup/"), writes, within, write(delete_secret_backup))
            .responds(200, FIELDS)
            .about("End a project's old secret token", "For admins of the project."),
        Route::post(at("change_organization/"), writes, within, write(move_to))
            .accepts(moving::FIELDS)
            .responds(200, FIELDS)
            .about(
                "Move a project to another organization",
                "For admins of both. Rules of access that name members or roles of the old organization end; \
                 events, tokens and exports stay.",
            ),
        Route::patch(at("add_product_intent/"), reads, within, read(add_intent))
            .accepts(onboarding::FIELDS)
            .responds(201, FIELDS)
            .about("Note an interest in a product", "Checked, and not kept."),
        Route::patch(at("complete_product_onboarding/"), reads, within, write(complete_onboarding))
            .accepts(onboarding::FIELDS)
            .responds(200, FIELDS)
            .about("Note that a product is set up", "Sets its key in `has_completed_onboarding_for`."),
        Route::get(at("settings_as_of/"), reads, within, read(show_as_of))
            .queries(&[
                ("at", "A time, as ISO 8601."),
                ("scope", "Only this field; may be there several times."),
            ])
            .about("See the settings at a time", "An object of field and value, from the audit log."),
        Route::get(at("event_ingestion_restrictions/"), reads, within, read(no_restrictions))
            .about("List restrictions on events", "Always empty: there are none here."),
    ]
}

const SEARCH: &[(&str, &str)] =
    &[("search", "Only projects whose name has this text in it, whatever the case.")];

/// What the short form shows, which organizations list by the hundred; and the rest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Project {
    pub uuid: Uuid,
    pub api_token: String,
    pub name: String,
    pub completed_snippet_onboarding: bool,
    pub has_completed_onboarding_for: Option<Json>,
    pub ingested_event: bool,
    pub is_demo: bool,
    pub timezone: String,
    pub access_control: bool,
    pub details: Packed<Details>,
}

/// What the list of projects does not show.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Details {
    pub created_at: Time,
    pub updated_at: Time,
    pub settings: Settings,
    /// Settings of newer clients that this API has no field for: kept and given back.
    pub extra: Json,
}

/// By organization and number.
pub(super) static PROJECTS: Table<(OrganizationId, ProjectId), Project> = Table::new("projects")
    .counted(by_uuid)
    .indexed(&[&BY_NUMBER, &BY_TOKEN])
    .belongs_to(&[&Parent::of(&organizations::ORGANIZATIONS, |organization| *organization)]);
/// The organization of each project.
static BY_NUMBER: Index<(OrganizationId, ProjectId), Project, ProjectId, OrganizationId> =
    Index::unique("projects_by_number", |(organization, id), _| Some((*id, *organization)));
static BY_TOKEN: Index<(OrganizationId, ProjectId), Project, String, (OrganizationId, ProjectId)> =
    Index::unique("projects_by_token", |at, project| Some((project.api_token.clone(), *at)));

pub const SHORT: &[FieldInfo] = &[
    Field::integer("id", 0, i64::MAX).read_only(),
    Field::uuid("uuid").read_only(),
    Field::uuid("organization").read_only(),
    Field::text("api_token", 200).read_only(),
    Field::text("name", 200).read_only(),
    Field::boolean("completed_snippet_onboarding").read_only(),
    Field::json("has_completed_onboarding_for").nullable().read_only(),
    Field::boolean("ingested_event").read_only(),
    Field::boolean("is_demo").read_only(),
    Field::text_choice("timezone", is_timezone).read_only(),
    Field::boolean("access_control").read_only(),
];

const NAME: Field<String> = Field::text("name", 200);
const COMPLETED_SNIPPET_ONBOARDING: Field<bool> = Field::boolean("completed_snippet_onboarding");
const IS_DEMO: Field<bool> = Field::boolean("is_demo");
const TIMEZONE: Field<String> = Field::text_choice("timezone", is_timezone);
/// Fields that stand for themselves in a file.
pub const TIMEZONE_INFO: FieldInfo = TIMEZONE.info();
pub const IS_DEMO_INFO: FieldInfo = IS_DEMO.info();
const ACCESS_CONTROL: Field<bool> = Field::boolean("access_control")
    .described("Whether the project is private: open to those only who are given access.");
const HAS_COMPLETED_ONBOARDING_FOR: Field<Option<Json>> =
    Field::json("has_completed_onboarding_for").nullable();
pub const FIELDS: &[FieldInfo] = &[
    Field::integer("id", 0, i64::MAX).read_only(),
    Field::uuid("uuid").read_only(),
    Field::uuid("organization").read_only(),
    Field::text("api_token", 200).read_only(),
    SETTINGS.app_urls.info(),
    NAME.info(),
    SETTINGS.slack_incoming_webhook.info(),
    Field::time("created_at").read_only(),
    Field::time("updated_at").read_only(),
    SETTINGS.anonymize_ips.info(),
    COMPLETED_SNIPPET_ONBOARDING.info(),
    Field::boolean("ingested_event").read_only(),
    SETTINGS.test_account_filters.info(),
    SETTINGS.test_account_filters_default_checked.info(),
    SETTINGS.path_cleaning_filters.info(),
    IS_DEMO.info(),
    TIMEZONE.info(),
    SETTINGS.data_attributes.info(),
    SETTINGS.person_display_name_properties.info(),
    SETTINGS.correlation_config.info(),
    SETTINGS.autocapture_opt_out.info(),
    SETTINGS.autocapture_exceptions_opt_in.info(),
    SETTINGS.autocapture_web_vitals_opt_in.info(),
    SETTINGS.autocapture_exceptions_errors_to_ignore.info(),
    SETTINGS.capture_console_log_opt_in.info(),
    SETTINGS.capture_performance_opt_in.info(),
    SETTINGS.session_recording_opt_in.info(),
    SETTINGS.session_recording_sample_rate.info(),
    SETTINGS.session_recording_minimum_duration_milliseconds.info(),
    SETTINGS.session_recording_linked_flag.info(),
    SETTINGS.session_recording_network_payload_capture_config.info(),
    SETTINGS.session_replay_config.info(),
    Field::choice("effective_membership_level", crate::api::level::LEVELS).nullable().read_only(),
    ACCESS_CONTROL.info(),
    SETTINGS.week_start_day.info(),
    Field::boolean("has_group_types").read_only(),
    SETTINGS.primary_dashboard.info(),
    SETTINGS.live_events_columns.info(),
    SETTINGS.recording_domains.info(),
    Field::boolean("person_on_events_querying_enabled").read_only(),
    SETTINGS.inject_web_apps.info(),
    SETTINGS.extra_settings.info(),
    SETTINGS.modifiers.info(),
    Field::json("default_modifiers").read_only(),
    HAS_COMPLETED_ONBOARDING_FOR.info(),
    SETTINGS.surveys_opt_in.info(),
    SETTINGS.heatmaps_opt_in.info(),
    Field::long_text("live_events_token").read_only(),
    Field::text("secret_api_token", 200).nullable().read_only(),
    Field::text("secret_api_token_backup", 200).nullable().read_only(),
    NEWER.base_currency.info(),
    NEWER.business_model.info(),
    NEWER.conversations_enabled.info(),
    NEWER.conversations_settings.info(),
    NEWER.logs_settings.info(),
    NEWER.session_recording_trigger_groups.info(),
    NEWER.proactive_tasks_enabled.info(),
    NEWER.feature_flag_confirmation_enabled.info(),
    NEWER.feature_flag_confirmation_message.info(),
    NEWER.default_evaluation_contexts_enabled.info(),
    NEWER.require_evaluation_contexts.info(),
    NEWER.web_analytics_pre_aggregated_tables_enabled.info(),
    NEWER.tags.info(),
    NEWER.customer_analytics_config.info(),
    NEWER.workflows_config.info(),
    NEWER.marketing_analytics_config.info(),
    NEWER.feature_flag_policy_config.info(),
    NEWER.revenue_analytics_config.info(),
    NEWER.receive_org_level_activity_logs.info(),
    NEWER.session_recording_retention_period.info(),
    NEWER.autocapture_web_vitals_allowed_metrics.info(),
    NEWER.capture_dead_clicks.info(),
    NEWER.cookieless_server_hash_mode.info(),
    NEWER.default_data_theme.info(),
    NEWER.drop_events_older_than_seconds.info(),
    NEWER.flags_persistence_default.info(),
    NEWER.human_friendly_comparison_periods.info(),
    NEWER.onboarding_tasks.info(),
    NEWER.product_description.info(),
    NEWER.recording_ttl_days.info(),
    NEWER.session_recording_event_trigger_config.info(),
    NEWER.session_recording_masking_config.info(),
    NEWER.session_recording_trigger_match_type_config.info(),
    NEWER.session_recording_url_blocklist_config.info(),
    NEWER.session_recording_url_trigger_config.info(),
    NEWER.survey_config.info(),
];

/// Unlike its siblings the list of an organization's projects is open to strangers, who see an empty one.
fn listed(tx: &Tx, call: &Call) -> Result<Option<InOrganization>> {
    let user = call.user()?;
    let Some(id) = organizations::named(tx, call.param("organization_id"), user)? else { return Ok(None) };
    Ok(members::level_of(tx, id, user)?.map(|level| InOrganization { id, level }))
}

/// The caller's current organization, where they have one.
fn current(tx: &Tx, call: &Call) -> Result<Option<InOrganization>> {
    let user = call.user()?;
    users::current_organization(tx, user, &users::find(tx, user)?)
}

fn list(call: &Call, tx: &Tx) -> Result<Reply> {
    let paging = Paging::of(call);
    let text = call.query("search");
    let (total, page) = match call.place {
        Place::Organization(at) => find_page(call, tx, at, text, paging)?,
        _ => (0, search(text, Vec::new())?),
    };
    paging.reply(call, total, &page)
}

/// How many projects the actor sees whose name has the text in it, and a page of them, by number.
///
/// # Errors
/// 400 for a text that is too long.
pub fn find_page(
    ctx: &Ctx,
    tx: &Tx,
    at: InOrganization,
    text: Option<&str>,
    paging: Paging,
) -> Result<(u64, Vec<Short>)> {
    let found = search(text, visible_in(tx, at.id, ctx.user()?, at.level)?)?;
    Ok((found.len() as u64, paging.cut(found)))
}

/// Blank text looks for nothing, so everything stays.
fn search(text: Option<&str>, mut visible: Vec<Short>) -> Result<Vec<Short>> {
    const CHARS_MAX: usize = 200;
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let Some(text) = text.map(plain).filter(|text| !text.is_empty()) else { return Ok(visible) };
    if text.chars().count() > CHARS_MAX {
        let detail = format!("Search query must be {CHARS_MAX} characters or fewer.");
        return Err(invalid("search", "invalid_input", detail));
    }
    visible.retain(|project| plain(&project.name).contains(&text));
    Ok(visible)
}

fn post(call: &Call, tx: &WriteTx) -> Result<Reply> {
    create(call, tx, call.place.in_organization()?, call.input())?.reply(call, tx, 201)
}

fn show(call: &Call, tx: &Tx) -> Result<Reply> {
    Loaded::find(tx, call.place.in_project()?)?.reply(call, tx, 200)
}

fn patch(call: &Call, tx: &WriteTx) -> Result<Reply> {
    update(call, tx, call.place.in_project()?, call.input())?.reply(call, tx, 200)
}

fn delete(call: &Call, tx: &WriteTx) -> Result<Reply> {
    remove(call, tx, call.place.in_project()?)?;
    Reply::no_content()
}

fn show_activity(call: &Call, tx: &Tx) -> Result<Reply> {
    let at = call.place.in_project()?;
    audit::page(call, tx, at.organization, audit::scope::TEAM, &at.id.to_string())
}

#[derive(Serialize)]
struct Generating {
    is_generating_demo_data: bool,
}

fn is_generating_demo_data(_: &Call, _: &Tx) -> Result<Reply> {
    Reply::ok(&Generating { is_generating_demo_data: false })
}

fn reset_token(call: &Call, tx: &WriteTx) -> Result<Reply> {
    renew_token(call, tx, call.place.in_project()?)?.reply(call, tx, 200)
}

fn rotate_secret(call: &Call, tx: &WriteTx) -> Result<Reply> {
    rotate_secret_token(call, tx, call.place.in_project()?)?.reply(call, tx, 200)
}

fn delete_secret_backup(call: &Call, tx: &WriteTx) -> Result<Reply> {
    delete_secret_token_backup(call, tx, call.place.in_project()?)?.reply(call, tx, 200)
}

fn move_to(call: &Call, tx: &WriteTx) -> Result<Reply> {
    change_organization(call, tx, call.place.in_project()?, call.input())?.reply(call, tx, 200)
}

fn add_intent(call: &Call, tx: &Tx) -> Result<Reply> {
    add_product_intent(tx, call.place.in_project()?, call.input())?.reply(call, tx, 201)
}

fn complete_onboarding(call: &Call, tx: &WriteTx) -> Result<Reply> {
    complete_product_onboarding(call, tx, call.place.in_project()?, call.input())?.reply(call, tx, 200)
}

fn show_as_of(call: &Call, tx: &Tx) -> Result<Reply> {
    Reply::ok(&as_of::settings_as_of(call, tx)?)
}

fn no_restrictions(_: &Call, _: &Tx) -> Result<Reply> {
    Reply::ok(&[(); 0])
}

/// A project with something in every kind of field, for the test of the stored bytes.
fn sample(uuid: Uuid, now: Time) -> Result<Project> {
    let mut settings = Settings::new(&[]);
    settings.app_urls = vec![Some("https://a.example".into()), None];
    settings.session_recording_sample_rate = Some("0.50".into());
    settings.session_recording_minimum_duration_milliseconds = Some(15000);
    settings.week_start_day = Some(1);
    settings.surveys_opt_in = Some(false);
    let extra = Json::of(&json!({"survey_config": 1}));
    Ok(Project {
        uuid,
        api_token: "phc_x".into(),
        name: "P".into(),
        completed_snippet_onboarding: true,
        has_completed_onboarding_for: Some(Json::of(&json!({"a": true}))),
        ingested_event: false,
        is_demo: false,
        timezone: "UTC".into(),
        access_control: true,
        details: Packed::of(&Details { created_at: now, updated_at: now, settings, extra })?,
    })
}

fn samples(all: &mut super::samples::Samples) {
    use secret_tokens::{Kind, SecretToken};

    use super::samples::{NOW, ONE};
    use crate::vault::Sealed;
    if let Ok(project) = sample(ONE, NOW) {
        all.add(&PROJECTS, (ONE.into(), ProjectId(7)), project);
    }
    let token = SecretToken { kind: Kind::Backup, sealed: Sealed::sample(), created_at: NOW };
    all.add(&secret_tokens::TOKENS, (ProjectId(7), [1; 32]), token);
    all.variants("secret token's kind", &crate::every!(Kind { Current, Backup }));
}
