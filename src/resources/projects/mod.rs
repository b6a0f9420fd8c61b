//! Projects: the same object under three addresses.
//! Invariant: ids are never used twice; admins and owners see every project, members those that are
//! neither private nor closed to them by access control, and those opened to them.

mod commands;
mod find;
mod settings;
mod wire;

use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::{Resource, audit, members, organizations, users};
use crate::api::{Call, Field, FieldInfo, InOrganization, Paging, Place, Reply, Within};
use crate::app::{Route, Tag, read, scope, tagged, write};
use crate::clock::Time;
use crate::error::Result;
use crate::ids::{OrganizationId, ProjectId};
use crate::store::{Index, Json, Parent, Table, Tx, WriteTx, by_uuid};

pub use commands::{create, create_default, remove, renew_token, update};
pub use find::{
    Receiver, by_token, exists, first_visible, is_of, is_open_to, is_private, level_in, name, named,
    note_event, receives_organization_entries, require_access, require_access_of, seen, timezone, visible,
    visible_in,
};
use settings::{SETTINGS, Settings, is_timezone};
use wire::Loaded;
pub use wire::Short;

pub static RESOURCE: Resource = Resource::of(routes).tables(&[&PROJECTS, &DETAILS]).samples(samples);

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
            .responds_page(SHORT)
            .about("List an organization's projects", "Those that the caller sees, in short form."),
        Route::post(all, scope("project:write"), organization, write(post))
            .accepts(FIELDS)
            .responds(201, FIELDS)
            .about(
                "Create a project",
                "From admin level on; members may create one demo project (`is_demo`). It becomes the \
                 caller's current project unless the key is limited.",
            ),
        Route::get("/api/projects/", scope("project:read"), Within::OrganizationBy(current), read(list))
            .responds_page(SHORT)
            .about("List the current organization's projects", "Those that the caller sees, in short form."),
    ];
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
    ]
}

/// What the short form shows; organizations list these by the hundred.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
}

/// The rest of a project.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    .cached()
    .indexed(&[&BY_NUMBER, &BY_TOKEN])
    .belongs_to(&[&Parent::of(&organizations::ORGANIZATIONS, |organization| *organization)]);
/// What the list of projects does not show.
static DETAILS: Table<ProjectId, Details> =
    Table::new("project_details").belongs_to(&[&Parent::of(&PROJECTS, |(_, id)| *id)]);
/// The organization of each project.
static BY_NUMBER: Index<(OrganizationId, ProjectId), Project, ProjectId, OrganizationId> =
    Index::unique("projects_by_number", |(organization, id), _| Some((*id, *organization)));
static BY_TOKEN: Index<(OrganizationId, ProjectId), Project, String, ProjectId> =
    Index::unique("projects_by_token", |(_, id), project| Some((project.api_token.clone(), *id)));

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
    let visible = match call.place {
        Place::Organization(InOrganization { id, level }) => visible_in(tx, id, call.user()?, level)?,
        _ => Vec::new(),
    };
    let paging = Paging::of(call);
    let total = visible.len() as u64;
    paging.reply(call, total, &paging.cut(visible))
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

/// A project with something in every kind of field, for the test of the stored bytes.
fn sample(uuid: Uuid, now: Time) -> (Project, Details) {
    let project = Project {
        uuid,
        api_token: "phc_x".into(),
        name: "P".into(),
        completed_snippet_onboarding: true,
        has_completed_onboarding_for: Some(Json::of(&json!({"a": true}))),
        ingested_event: false,
        is_demo: false,
        timezone: "UTC".into(),
        access_control: true,
    };
    let mut settings = Settings::new(&[]);
    settings.app_urls = vec![Some("https://a.example".into()), None];
    settings.session_recording_sample_rate = Some("0.50".into());
    settings.session_recording_minimum_duration_milliseconds = Some(15000);
    settings.week_start_day = Some(1);
    settings.surveys_opt_in = Some(false);
    let extra = Json::of(&json!({"survey_config": 1}));
    (project, Details { created_at: now, updated_at: now, settings, extra })
}

fn samples(all: &mut super::samples::Samples) {
    use super::samples::{NOW, ONE};
    let (project, details) = sample(ONE, NOW);
    all.add(&PROJECTS, (ONE.into(), ProjectId(7)), project);
    all.add(&DETAILS, ProjectId(7), details);
}
