//! Projects: the same object under three addresses.
//! Invariant: ids are never used twice; admins and owners see every project, members those that are
//! neither private nor closed to them by access control, and those opened to them.

mod settings;

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Sha256;
use uuid::Uuid;

use super::audit::{self, Change, scope};
use super::users::User;
use super::{Resource, access_controls, batch_exports, members, organizations, status, users};
use crate::api::{
    Call, Ctx, Field, FieldInfo, Form, InOrganization, InProject, Level, Method, Paging, Place, Reply, Within,
};
use crate::app::{Route, Tag, read, scope, tagged, write};
use crate::auth::scopes;
use crate::clock::Time;
use crate::config::LIVE_EVENTS_SECONDS;
use crate::error::{Error, Result, denied, invalid_body, not_found};
use crate::ids::{OrganizationId, ProjectId, UserId};
use crate::store::{Index, Json, Order, Parent, Table, Tx, WriteTx, by_uuid};
use settings::{SETTINGS, Settings, is_timezone};

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
        Route::post(all, scope("project:write"), organization, write(create))
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
        Route::put(at(""), writes, within, write(update)).accepts(FIELDS).responds(200, FIELDS).about(
            "Replace a project's settings",
            "For members of the project; `access_control` is for admins of the organization.",
        ),
        Route::patch(at(""), writes, within, write(update)).accepts(FIELDS).responds(200, FIELDS).about(
            "Change a project",
            "Only the fields that are sent change. For members of the project; `access_control` \
             is for admins of the organization.",
        ),
        Route::delete(at(""), writes, within, write(remove)).responds_nothing().about(
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

/// How many members' addresses are looked at for the filter that leaves their own visits out.
const FILTERED_MEMBERS_MAX: u64 = 100;
const DEFAULT_NAME: &str = "Default project";

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

#[derive(Clone, Debug, Serialize)]
pub struct Short {
    pub id: ProjectId,
    uuid: Uuid,
    pub organization: OrganizationId,
    pub api_token: String,
    name: String,
    completed_snippet_onboarding: bool,
    has_completed_onboarding_for: Option<Json>,
    ingested_event: bool,
    is_demo: bool,
    timezone: String,
    access_control: bool,
}

fn short(((organization, id), project): ((OrganizationId, ProjectId), Project)) -> Short {
    let Project { uuid, api_token, name, completed_snippet_onboarding, .. } = project;
    Short {
        id,
        uuid,
        organization,
        api_token,
        name,
        completed_snippet_onboarding,
        has_completed_onboarding_for: project.has_completed_onboarding_for,
        ingested_event: project.ingested_event,
        is_demo: project.is_demo,
        timezone: project.timezone,
        access_control: project.access_control,
    }
}

#[derive(Serialize)]
struct Wire<'a> {
    id: ProjectId,
    uuid: Uuid,
    organization: OrganizationId,
    api_token: &'a str,
    name: &'a str,
    created_at: Time,
    updated_at: Time,
    completed_snippet_onboarding: bool,
    ingested_event: bool,
    is_demo: bool,
    timezone: &'a str,
    has_completed_onboarding_for: &'a Option<Json>,
    access_control: bool,
    #[serde(flatten)]
    settings: &'a Settings,
    effective_membership_level: Level,
    has_group_types: bool,
    person_on_events_querying_enabled: bool,
    default_modifiers: Value,
    live_events_token: String,
    #[serde(flatten)]
    extra: Value,
}

/// The query modifiers of a PostHog without settings of its own, the same for all projects.
fn default_modifiers() -> Value {
    json!({
        "bounceRatePageViewMode": "count_pageviews",
        "dataWarehouseEventsModifiers": null,
        "debug": null,
        "inCohortVia": "auto",
        "materializationMode": "legacy_null_as_null",
        "optimizeJoinedFilters": false,
        "personsArgMaxVersion": "auto",
        "personsJoinMode": null,
        "personsOnEventsMode": "person_id_override_properties_joined",
        "propertyGroupsMode": null,
        "s3TableUseInvalidColumns": null,
        "sessionTableVersion": "auto",
        "useMaterializedViews": null,
    })
}

/// A project with its place and the caller's effective level.
struct Loaded {
    organization: OrganizationId,
    id: ProjectId,
    level: Level,
    project: Project,
    details: Details,
}

impl Loaded {
    fn reply(&self, ctx: &Ctx, tx: &Tx, status: u16) -> Result<Reply> {
        let Loaded { organization, id, level, project, details } = self;
        let mut settings = Cow::Borrowed(&details.settings);
        if !scopes::open_to(&ctx.caller()?.via, "project:write") {
            settings.to_mut().hide_secrets();
        }
        Reply::json(
            status,
            &Wire {
                id: *id,
                uuid: project.uuid,
                organization: *organization,
                api_token: &project.api_token,
                name: &project.name,
                created_at: details.created_at,
                updated_at: details.updated_at,
                completed_snippet_onboarding: project.completed_snippet_onboarding,
                ingested_event: project.ingested_event,
                is_demo: project.is_demo,
                timezone: &project.timezone,
                has_completed_onboarding_for: &project.has_completed_onboarding_for,
                access_control: project.access_control,
                settings: &settings,
                effective_membership_level: *level,
                has_group_types: false,
                person_on_events_querying_enabled: false,
                default_modifiers: default_modifiers(),
                live_events_token: live_events_token(tx, ctx.now, *id, &project.api_token)?,
                extra: details.extra.value(),
            },
        )
    }
}

/// A JWT (HS256) that opens the project's live events for a week.
fn live_events_token(tx: &Tx, now: Time, id: ProjectId, api_token: &str) -> Result<String> {
    let claims = json!({
        "team_id": id,
        "api_token": api_token,
        "exp": now.unix_seconds() + LIVE_EVENTS_SECONDS,
        "aud": "posthog:livestream",
    });
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(json!({"alg": "HS256", "typ": "JWT"})), part(claims));
    let mut signer = Hmac::<Sha256>::new_from_slice(&status::secret(tx)?)
        .map_err(|cause| Error::internal(format!("the instance's secret is unusable: {cause}")))?;
    signer.update(signed.as_bytes());
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signer.finalize().into_bytes())))
}

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

fn create(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let InOrganization { id: organization, level } = call.place.in_organization()?;
    let wants_demo = match call.body.value() {
        Ok(body) => body.get("is_demo").is_some_and(is_true),
        Err(_) => false,
    };
    if !wants_demo {
        level.require(Level::Admin)?;
    }
    let form = call.form(FIELDS)?;
    may_restrict(level, &form)?;
    if wants_demo && has_demo(tx, organization)? {
        return Err(denied(
            "You must upgrade your PostHog plan to be able to create and manage multiple projects or environments.",
        ));
    }
    let id = ProjectId(tx.next_id("projects")?);
    let first_members = members::first_users(tx, organization, FILTERED_MEMBERS_MAX)?;
    let (mut project, mut details) = blank(call, &first_members, wants_demo);
    fill(&mut project, &mut details, call, form)?;
    insert(tx, organization, id, &project, &details)?;
    let user = call.user()?;
    // A limited key chooses nothing for its user.
    if call.caller()?.via.limited_key().is_none() {
        users::make_current(tx, user, users::find(tx, user)?, None, Some(id))?;
    }
    let change = Change::created(scope::TEAM, id, &project.name).in_project(id);
    audit::record(call, tx, organization, change)?;
    Loaded { organization, id, level, project, details }.reply(call, tx, 201)
}

fn is_true(value: &Value) -> bool {
    value.as_bool() == Some(true)
        || value.as_str().is_some_and(|text| text.eq_ignore_ascii_case("true") || text == "1")
}

fn has_demo(tx: &Tx, organization: OrganizationId) -> Result<bool> {
    let all = tx.scan(&PROJECTS, &organization, Order::Ascending)?;
    Ok(all.iter().any(|(_, project)| project.is_demo))
}

fn show(call: &Call, tx: &Tx) -> Result<Reply> {
    find(call, tx, Level::Member)?.reply(call, tx, 200)
}

fn update(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let mut found = find(call, tx, Level::Member)?;
    let form = call.form(FIELDS)?;
    // Being an admin of the project alone is not enough.
    let level = members::level_of(tx, found.organization, call.user()?)?;
    let level = level.unwrap_or(Level::Member);
    may_restrict(level, &form)?;
    let before = (found.project.clone(), found.details.settings.clone());
    fill(&mut found.project, &mut found.details, call, form)?;
    // Members may make one demo project; one that is made ordinary would allow the next.
    if found.project.is_demo != before.0.is_demo {
        level.require(Level::Admin)?;
    }
    found.details.updated_at = call.now;
    store(tx, &found)?;
    if found.project.access_control != before.0.access_control {
        batch_exports::authors::pause_all_lost(call, tx, found.organization)?;
    }
    let changes = changes(&before, &found)?;
    let change = Change::updated(scope::TEAM, found.id, &found.project.name, changes).in_project(found.id);
    audit::record(call, tx, found.organization, change)?;
    found.reply(call, tx, 200)
}

fn remove(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let found = find(call, tx, Level::Admin)?;
    let change = Change::deleted(scope::TEAM, found.id, &found.project.name).in_project(found.id);
    audit::record(call, tx, found.organization, change)?;
    tx.delete(&PROJECTS, &(found.organization, found.id))?;
    Reply::no_content()
}

fn show_activity(call: &Call, tx: &Tx) -> Result<Reply> {
    let found = find(call, tx, Level::Member)?;
    audit::page(call, tx, found.organization, scope::TEAM, &found.id.to_string())
}

#[derive(Serialize)]
struct Generating {
    is_generating_demo_data: bool,
}

fn is_generating_demo_data(call: &Call, tx: &Tx) -> Result<Reply> {
    find(call, tx, Level::Member)?;
    Reply::ok(&Generating { is_generating_demo_data: false })
}

fn reset_token(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let mut found = find(call, tx, Level::Admin)?;
    found.project.api_token = new_token(call);
    found.details.updated_at = call.now;
    store(tx, &found)?;
    // Tokens are never written to the log, neither the old one nor the new.
    let change = audit::field_change(scope::TEAM, "api_token", Value::Null, Value::Null, "changed");
    let change =
        Change::updated(scope::TEAM, found.id, &found.project.name, vec![change]).in_project(found.id);
    audit::record(call, tx, found.organization, change)?;
    found.reply(call, tx, 200)
}

fn may_restrict(level: Level, form: &Form) -> Result<()> {
    if form.has(ACCESS_CONTROL) && level < Level::Admin {
        let detail =
            "Your organization access level is insufficient to configure project access restrictions.";
        return Err(denied(detail));
    }
    Ok(())
}

fn fill(project: &mut Project, details: &mut Details, call: &Call, mut form: Form) -> Result<()> {
    settings::check_dashboard(&form, call.method == Method::Post)?;
    settings::check_errors_to_ignore(&form)?;
    form.set(NAME, &mut project.name);
    form.set(COMPLETED_SNIPPET_ONBOARDING, &mut project.completed_snippet_onboarding);
    form.set(HAS_COMPLETED_ONBOARDING_FOR, &mut project.has_completed_onboarding_for);
    form.set(IS_DEMO, &mut project.is_demo);
    form.set(TIMEZONE, &mut project.timezone);
    form.set(ACCESS_CONTROL, &mut project.access_control);
    details.settings.fill(&mut form);
    form.finish();
    keep_extra(details, call)
}

/// Settings that later clients of PostHog know are kept as they were sent.
const EXTRA: &[&str] = &[
    "autocapture_web_vitals_allowed_metrics",
    "capture_dead_clicks",
    "cookieless_server_hash_mode",
    "default_data_theme",
    "drop_events_older_than_seconds",
    "flags_persistence_default",
    "human_friendly_comparison_periods",
    "onboarding_tasks",
    "product_description",
    "receive_org_level_activity_logs",
    "recording_ttl_days",
    "revenue_analytics_config",
    "session_recording_event_trigger_config",
    "session_recording_masking_config",
    "session_recording_retention_period",
    "session_recording_trigger_match_type_config",
    "session_recording_url_blocklist_config",
    "session_recording_url_trigger_config",
    "survey_config",
];

fn keep_extra(details: &mut Details, call: &Call) -> Result<()> {
    let Value::Object(body) = call.body.value()? else { return Ok(()) };
    let sent = EXTRA.iter().filter_map(|name| Some((*name, body.get(*name)?)));
    let mut extra = details.extra.value();
    for (name, value) in sent {
        extra[name] = value.clone();
    }
    details.extra = Json::of(&extra);
    Ok(())
}

/// The fields that differ, as the audit log has them.
fn changes(before: &(Project, Settings), found: &Loaded) -> Result<Vec<Value>> {
    let project = |project: &Project| {
        json!({
            "name": project.name,
            "completed_snippet_onboarding": project.completed_snippet_onboarding,
            "has_completed_onboarding_for": project.has_completed_onboarding_for,
            "is_demo": project.is_demo,
            "timezone": project.timezone,
            "access_control": project.access_control,
        })
    };
    let mut changes = audit::differences(scope::TEAM, &project(&before.0), &project(&found.project))?;
    changes.extend(audit::differences(scope::TEAM, &before.1, &found.details.settings)?);
    for change in &mut changes {
        if settings::SECRETS.iter().any(|name| change["field"] == **name) {
            audit::hide_values(change);
        }
    }
    Ok(changes)
}

fn new_token(ctx: &Ctx) -> String {
    format!("phc_{}", ctx.ids.ordered_base62(ctx.now))
}

fn blank(ctx: &Ctx, first_members: &[User], is_demo: bool) -> (Project, Details) {
    let project = Project {
        uuid: ctx.new_id(),
        api_token: new_token(ctx),
        name: DEFAULT_NAME.into(),
        completed_snippet_onboarding: false,
        has_completed_onboarding_for: None,
        ingested_event: false,
        is_demo,
        timezone: "UTC".into(),
        access_control: false,
    };
    let mut settings = Settings::new(first_members);
    if is_demo {
        settings.test_account_filters = Json::of(&json!([]));
    }
    let extra = Json::of(&serde_json::Map::new());
    (project, Details { created_at: ctx.now, updated_at: ctx.now, settings, extra })
}

/// The project that comes with its owner's organization; it has no entry in the activity log.
pub fn create_default(
    ctx: &Ctx,
    tx: &WriteTx,
    organization: OrganizationId,
    owner: &User,
) -> Result<ProjectId> {
    let id = ProjectId(tx.next_id("projects")?);
    let (project, details) = blank(ctx, std::slice::from_ref(owner), false);
    insert(tx, organization, id, &project, &details)?;
    Ok(id)
}

/// The project of the path; 403 below `least`.
fn find(call: &Call, tx: &Tx, least: Level) -> Result<Loaded> {
    let InProject { organization, id, level } = call.place.in_project()?;
    if level < least {
        return Err(insufficient());
    }
    let project = tx.get(&PROJECTS, &(organization, id))?.ok_or_else(not_found)?;
    let details = tx.get(&DETAILS, &id)?.ok_or_else(not_found)?;
    Ok(Loaded { organization, id, level, project, details })
}

/// The project that a path names, by number or as the user's current one: 404 where they do not see it.
pub fn require_access(tx: &Tx, name: &str, user: UserId) -> Result<InProject> {
    let (organization, id) = of_path(tx, name, user)?;
    require_access_to_known(tx, (organization, id), name, user)
}

/// The same, and 404 where the organization that the path names has no such project.
pub fn require_access_of(tx: &Tx, organization: &str, name: &str, user: UserId) -> Result<InProject> {
    let found = of_path(tx, name, user)?;
    if organizations::named(tx, organization, user)? != Some(found.0) {
        return Err(not_found());
    }
    require_access_to_known(tx, found, name, user)
}

fn of_path(tx: &Tx, name: &str, user: UserId) -> Result<(OrganizationId, ProjectId)> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if name != "@current" && !is_number(name.strip_prefix('-').unwrap_or(name)) {
        let detail = format!("Field 'id' expected a number but got '{name}'.");
        return Err(invalid_body("invalid_input", detail));
    }
    named(tx, name, user)?.ok_or_else(not_found)
}

fn require_access_to_known(
    tx: &Tx,
    (organization, id): (OrganizationId, ProjectId),
    name: &str,
    user: UserId,
) -> Result<InProject> {
    let level = members::level_of(tx, organization, user)?.ok_or_else(not_found)?;
    match level_in(tx, organization, id, user, level)? {
        Some(level) => Ok(InProject { organization, id, level }),
        None if name == "@current" => Err(insufficient()),
        None => Err(not_found()),
    }
}

/// The level in a project of somebody with this level in its organization; `None` where they do not see it,
/// or it is gone.
pub fn level_in(
    tx: &Tx,
    organization: OrganizationId,
    id: ProjectId,
    user: UserId,
    level: Level,
) -> Result<Option<Level>> {
    match tx.get(&PROJECTS, &(organization, id))? {
        Some(project) => effective(tx, organization, id, &project, user, level),
        None => Ok(None),
    }
}

/// Whether the user sees the project.
pub fn is_open_to(tx: &Tx, organization: OrganizationId, id: ProjectId, user: UserId) -> Result<bool> {
    match members::level_of(tx, organization, user)? {
        Some(level) => Ok(level_in(tx, organization, id, user, level)?.is_some()),
        None => Ok(false),
    }
}

/// The level in one project of somebody with this level in its organization; `None` where they do not
/// see it.
fn effective(
    tx: &Tx,
    organization: OrganizationId,
    id: ProjectId,
    project: &Project,
    user: UserId,
    level: Level,
) -> Result<Option<Level>> {
    if level >= Level::Admin {
        return Ok(Some(level));
    }
    let grants = access_controls::Grants::in_project(tx, organization, id, user)?;
    Ok(grants.level(id, project.access_control))
}

fn insufficient() -> Error {
    denied("You don't have sufficient permissions in the project.")
}

/// The project that a path names, by number or as the caller's current one; whether the caller may see
/// it is not consulted.
pub fn named(tx: &Tx, name: &str, user: UserId) -> Result<Option<(OrganizationId, ProjectId)>> {
    let id = if name == "@current" {
        let record = users::find(tx, user)?;
        // A wish that has become private is still what the name means: 403, not another project.
        let wished = match record.current_project {
            Some(id) => is_of_a_member(tx, id, user)?.then_some(id),
            None => None,
        };
        let current = match wished {
            Some(id) => Some(id),
            None => {
                let organization = users::current_organization(tx, user, &record)?;
                users::current_project(tx, user, &record, organization)?.map(|project| project.id)
            }
        };
        let Some(id) = current else { return Ok(None) };
        id
    } else {
        match name.parse() {
            Ok(number) => ProjectId(number),
            Err(_) => return Ok(None),
        }
    };
    Ok(tx.get(&BY_NUMBER, &id)?.map(|organization| (organization, id)))
}

/// Whether the organization has this project.
pub fn is_of(tx: &Tx, organization: OrganizationId, id: ProjectId) -> Result<bool> {
    Ok(tx.has(&PROJECTS, &(organization, id))?)
}

/// Whether the user belongs to the organization that has this project.
fn is_of_a_member(tx: &Tx, id: ProjectId, user: UserId) -> Result<bool> {
    let Some(organization) = tx.get(&BY_NUMBER, &id)? else { return Ok(false) };
    Ok(members::level_of(tx, organization, user)?.is_some())
}

/// The project with its organization, if the user sees it.
pub fn visible(tx: &Tx, id: ProjectId, user: UserId) -> Result<Option<(OrganizationId, ProjectId)>> {
    Ok(seen(tx, id, user)?.map(|project| (project.organization, project.id)))
}

/// The project in brief, if the user sees it.
pub fn seen(tx: &Tx, id: ProjectId, user: UserId) -> Result<Option<Short>> {
    let Some(organization) = tx.get(&BY_NUMBER, &id)? else { return Ok(None) };
    let Some(level) = members::level_of(tx, organization, user)? else { return Ok(None) };
    let Some(project) = tx.get(&PROJECTS, &(organization, id))? else { return Ok(None) };
    let level = effective(tx, organization, id, &project, user, level)?;
    Ok(level.map(|_| short(((organization, id), project))))
}

/// Whether there is such a project.
pub fn exists(tx: &Tx, id: ProjectId) -> Result<bool> {
    Ok(tx.has(&BY_NUMBER, &id)?)
}

/// A project that is sent events.
pub struct Receiver {
    pub id: ProjectId,
    pub anonymize_ips: bool,
}

/// The project whose token this is.
pub fn by_token(tx: &Tx, token: &str) -> Result<Option<Receiver>> {
    let Some(id) = tx.get(&BY_TOKEN, &token.to_owned())? else { return Ok(None) };
    let details = tx.get(&DETAILS, &id)?.ok_or_else(not_found)?;
    Ok(Some(Receiver { id, anonymize_ips: details.settings.anonymize_ips }))
}

/// Notes that events have reached the project.
pub fn note_event(tx: &WriteTx, id: ProjectId) -> Result<()> {
    let organization = tx.get(&BY_NUMBER, &id)?.ok_or_else(not_found)?;
    let mut project = tx.get(&PROJECTS, &(organization, id))?.ok_or_else(not_found)?;
    if project.ingested_event {
        return Ok(());
    }
    project.ingested_event = true;
    Ok(tx.put(&PROJECTS, &(organization, id), &project)?)
}

/// The time zone that the project is shown in.
pub fn timezone(tx: &Tx, organization: OrganizationId, id: ProjectId) -> Result<String> {
    Ok(tx.get(&PROJECTS, &(organization, id))?.ok_or_else(not_found)?.timezone)
}

/// The projects that a member sees, by number.
pub fn visible_in(tx: &Tx, organization: OrganizationId, user: UserId, level: Level) -> Result<Vec<Short>> {
    let mut all = tx.scan(&PROJECTS, &organization, Order::Ascending)?;
    if level < Level::Admin {
        let grants = access_controls::Grants::of(tx, organization, user)?;
        all.retain(|((_, id), project)| grants.level(*id, project.access_control).is_some());
    }
    Ok(all.into_iter().map(short).collect())
}

/// The first of them; public ones come first, so that nobody starts in a private project.
pub fn first_visible(
    tx: &Tx,
    organization: OrganizationId,
    user: UserId,
    level: Level,
) -> Result<Option<ProjectId>> {
    let seen = visible_in(tx, organization, user, level)?;
    let open = seen.iter().find(|project| !project.access_control);
    Ok(open.or(seen.first()).map(|project| project.id))
}

fn insert(
    tx: &WriteTx,
    organization: OrganizationId,
    id: ProjectId,
    project: &Project,
    details: &Details,
) -> Result<()> {
    tx.insert(&PROJECTS, &(organization, id), project)?;
    Ok(tx.put(&DETAILS, &id, details)?)
}

fn store(tx: &WriteTx, found: &Loaded) -> Result<()> {
    tx.put(&PROJECTS, &(found.organization, found.id), &found.project)?;
    Ok(tx.put(&DETAILS, &found.id, &found.details)?)
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
