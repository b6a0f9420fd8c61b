//! What changes projects. Everything but the demo project is made by admins of the organization; settings are
//! changed by members of the project.

use serde_json::{Map, Value, json};

use super::find::by_token;
use super::newer;
use super::settings::{self, Settings};
use super::wire::{Loaded, Short, short};
use super::{
    ACCESS_CONTROL, BY_TOKEN, COMPLETED_SNIPPET_ONBOARDING, Details, FIELDS, HAS_COMPLETED_ONBOARDING_FOR,
    IS_DEMO, NAME, PROJECTS, Project, TIMEZONE,
};
use crate::api::{Ctx, Form, InOrganization, InProject, Input, Level};
use crate::error::{Error, Result, denied, id_taken, invalid, not_found};
use crate::ids::{OrganizationId, ProjectId};
use crate::resources::audit::{self, Change, scope};
use crate::resources::users::User;
use crate::resources::{batch_exports, members, organizations, users};
use crate::store::{Json, OnConflict, Order, Packed, Tx, WriteTx};

/// How many members' addresses are looked at for the filter that leaves their own visits out.
const FILTERED_MEMBERS_MAX: u64 = 100;
const DEFAULT_NAME: &str = "Default project";

/// Makes a project, which becomes the caller's current one unless their key is limited. From admin level on, or for
/// members where `members_can_create_projects` is on; members may make one demo project.
///
/// # Errors
/// 403 for whoever may not, and for a second demo project; 400 for wrong fields.
pub fn create(ctx: &Ctx, tx: &WriteTx, at: InOrganization, input: Input<'_>) -> Result<Loaded> {
    create_as(ctx, tx, at, Given::default(), input)
}

/// What is given of a new project.
#[derive(Clone, Debug, Default)]
pub struct Given {
    pub id: Option<ProjectId>,
    pub api_token: Option<String>,
}

/// The same with a number and a token that may be given.
///
/// # Errors
/// As for `create`; 400 for what is given and taken.
pub fn create_as(
    ctx: &Ctx,
    tx: &WriteTx,
    at: InOrganization,
    given: Given,
    input: Input<'_>,
) -> Result<Loaded> {
    let InOrganization { id: organization, level } = at;
    let wants_demo = input.value.as_ref().is_ok_and(|body| body.get("is_demo").is_some_and(is_true));
    if !wants_demo {
        organizations::may_create_projects(tx, at)?;
    }
    let form = input.form(FIELDS)?;
    may_restrict(level, &form)?;
    if wants_demo && has_demo(tx, organization)? {
        return Err(denied(
            "You must upgrade your PostHog plan to be able to create and manage multiple projects or environments.",
        ));
    }
    settings::check_dashboard(&form, true)?;
    let id = new_number(tx, given.id)?;
    let first_members = members::first_users(tx, organization, FILTERED_MEMBERS_MAX)?;
    let anonymize_ips = organizations::find(tx, organization)?.settings.default_anonymize_ips;
    let (mut project, mut details) = blank(ctx, &first_members, wants_demo, anonymize_ips)?;
    fill(&mut project, &mut details, form)?;
    if let Some(token) = given.api_token {
        is_token(&token)?;
        project.api_token = token;
    }
    project.details = Packed::of(&details)?;
    insert(tx, (organization, id), &project)?;
    // A limited key chooses nothing for its user.
    if let Some(caller) = ctx.actor.caller().filter(|caller| caller.via.limited_key().is_none()) {
        users::make_current(tx, caller.user, users::find(tx, caller.user)?, None, Some(id))?;
    }
    let change = Change::created(scope::TEAM, id, &project.name).in_project(id);
    audit::record(ctx, tx, organization, change)?;
    Ok(Loaded { organization, id, level, project, details })
}

/// The next number, or one that is given and that no project has had.
fn new_number(tx: &WriteTx, given: Option<ProjectId>) -> Result<ProjectId> {
    let Some(id) = given else { return Ok(ProjectId(tx.next_id("projects")?)) };
    if id.0 == 0 || super::exists(tx, id)? {
        return Err(id_taken());
    }
    tx.skip_ids("projects", id.0)?;
    Ok(id)
}

fn is_token(token: &str) -> Result<()> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if (8..=200).contains(&token.len()) && token.bytes().all(is_plain) {
        return Ok(());
    }
    let detail = "Enter a token of 8 to 200 letters, digits, hyphens and underscores.";
    Err(invalid("api_token", "invalid_input", detail))
}

fn token_taken() -> Error {
    invalid("api_token", "unique", "Another project has this token.")
}

/// All that can be set, by field and with secrets: as it is, and as the input would make it.
///
/// # Errors
/// As for `update`.
pub fn preview(ctx: &Ctx, tx: &Tx, at: InProject, input: Input<'_>) -> Result<[Map<String, Value>; 2]> {
    let [before, after] = changed(ctx, tx, at, input)?;
    Ok([state(&before)?, state(&after)?])
}

/// Changes settings. For members of the project; who sees it, and whether it is a demo, is for admins of the
/// organization.
///
/// # Errors
/// 403 for these; 404 where the project is gone; 400 for wrong fields.
pub fn update(ctx: &Ctx, tx: &WriteTx, at: InProject, input: Input<'_>) -> Result<Loaded> {
    let [before, mut found] = changed(ctx, tx, at, input)?;
    found.details.updated_at = ctx.now;
    store(tx, &found)?;
    if found.project.access_control != before.project.access_control {
        batch_exports::authors::pause_all_lost(ctx, tx, found.organization)?;
    }
    write_down(ctx, tx, &before, &found)?;
    Ok(found)
}

/// The project as it is, and as the input would make it.
fn changed(ctx: &Ctx, tx: &Tx, at: InProject, input: Input<'_>) -> Result<[Loaded; 2]> {
    let mut found = Loaded::find(tx, at)?;
    let form = input.form(FIELDS)?;
    // Being an admin of the project alone is not enough.
    let level = members::level_of(tx, found.organization, ctx.user()?)?;
    let level = level.unwrap_or(Level::Member);
    may_restrict(level, &form)?;
    settings::check_dashboard(&form, false)?;
    let before = found.clone();
    fill(&mut found.project, &mut found.details, form)?;
    // Members may make one demo project; one that is made ordinary would allow the next.
    if found.project.is_demo != before.project.is_demo {
        level.require(Level::Admin)?;
    }
    Ok([before, found])
}

/// Deletes a project with everything that belongs to it. For admins of the project.
///
/// # Errors
/// 403 below admin; 404 where the project is gone.
pub fn remove(ctx: &Ctx, tx: &WriteTx, at: InProject) -> Result<()> {
    at.require(Level::Admin)?;
    let found = Loaded::find(tx, at)?;
    let change = Change::deleted(scope::TEAM, found.id, &found.project.name).in_project(found.id);
    audit::record(ctx, tx, found.organization, change)?;
    Ok(tx.delete(&PROJECTS, &(found.organization, found.id))?)
}

/// Gives the project a new token; the old one stops working at once. For admins of the project.
///
/// # Errors
/// 403 below admin; 404 where the project is gone.
pub fn renew_token(ctx: &Ctx, tx: &WriteTx, at: InProject) -> Result<Loaded> {
    at.require(Level::Admin)?;
    let mut found = Loaded::find(tx, at)?;
    found.project.api_token = new_token(ctx);
    found.details.updated_at = ctx.now;
    store(tx, &found)?;
    // Tokens are never written to the log, neither the old one nor the new.
    let change = audit::field_change(scope::TEAM, "api_token", Value::Null, Value::Null, "changed");
    let change =
        Change::updated(scope::TEAM, found.id, &found.project.name, vec![change]).in_project(found.id);
    audit::record(ctx, tx, found.organization, change)?;
    Ok(found)
}

/// Gives the project this token, for the operator of a development server.
///
/// # Errors
/// 404 where the project is gone; 400 where another one has the token.
pub fn pin_token(ctx: &Ctx, tx: &WriteTx, at: (OrganizationId, ProjectId), token: &str) -> Result<()> {
    let mut project = tx.get(&PROJECTS, &at)?.ok_or_else(not_found)?;
    if by_token(tx, token)?.is_some_and(|receiver| receiver.id != at.1) {
        return Err(invalid("project_token", "unique", "Another project has this token."));
    }
    token.clone_into(&mut project.api_token);
    let change = audit::field_change(scope::TEAM, "api_token", Value::Null, Value::Null, "changed");
    let change = Change::updated(scope::TEAM, at.1, &project.name, vec![change]).in_project(at.1);
    audit::record(ctx, tx, at.0, change)?;
    Ok(tx.put(&PROJECTS, &at, &project)?)
}

fn is_true(value: &Value) -> bool {
    value.as_bool() == Some(true)
        || value.as_str().is_some_and(|text| text.eq_ignore_ascii_case("true") || text == "1")
}

fn has_demo(tx: &Tx, organization: OrganizationId) -> Result<bool> {
    let all = tx.scan(&PROJECTS, &organization, Order::Ascending)?;
    Ok(all.iter().any(|(_, project)| project.is_demo))
}

fn may_restrict(level: Level, form: &Form) -> Result<()> {
    if form.has(ACCESS_CONTROL) && level < Level::Admin {
        let detail =
            "Your organization access level is insufficient to configure project access restrictions.";
        return Err(denied(detail));
    }
    Ok(())
}

fn fill(project: &mut Project, details: &mut Details, mut form: Form) -> Result<()> {
    settings::check_errors_to_ignore(&form)?;
    form.set(NAME, &mut project.name);
    form.set(COMPLETED_SNIPPET_ONBOARDING, &mut project.completed_snippet_onboarding);
    form.set(HAS_COMPLETED_ONBOARDING_FOR, &mut project.has_completed_onboarding_for);
    form.set(IS_DEMO, &mut project.is_demo);
    form.set(TIMEZONE, &mut project.timezone);
    form.set(ACCESS_CONTROL, &mut project.access_control);
    details.settings.fill(&mut form);
    newer::fill(&mut details.extra, &mut form)?;
    form.finish();
    Ok(())
}

/// Notes in the audit log what is another one.
pub(super) fn write_down(ctx: &Ctx, tx: &WriteTx, before: &Loaded, after: &Loaded) -> Result<()> {
    let mut changes = audit::differences(scope::TEAM, &state(before)?, &state(after)?)?;
    for change in &mut changes {
        if settings::SECRETS.iter().any(|name| change["field"] == **name) {
            audit::hide_values(change);
        }
    }
    let change = Change::updated(scope::TEAM, after.id, &after.project.name, changes).in_project(after.id);
    audit::record(ctx, tx, after.organization, change)
}

/// All that can be set, by field.
pub(super) fn state(found: &Loaded) -> Result<Map<String, Value>> {
    let project = &found.project;
    let mut all = newer::shown(&found.details.extra);
    if let Value::Object(settings) = serde_json::to_value(&found.details.settings)? {
        all.extend(settings);
    }
    for (name, value) in [
        ("name", json!(project.name)),
        ("completed_snippet_onboarding", json!(project.completed_snippet_onboarding)),
        ("has_completed_onboarding_for", json!(project.has_completed_onboarding_for)),
        ("is_demo", json!(project.is_demo)),
        ("timezone", json!(project.timezone)),
        ("access_control", json!(project.access_control)),
    ] {
        all.insert(name.to_owned(), value);
    }
    Ok(all)
}

fn new_token(ctx: &Ctx) -> String {
    format!("phc_{}", ctx.ids.ordered_base62(ctx.now))
}

/// A project as it begins, and its details.
fn blank(
    ctx: &Ctx,
    first_members: &[User],
    is_demo: bool,
    anonymize_ips: bool,
) -> Result<(Project, Details)> {
    let mut settings = Settings::new(first_members);
    settings.anonymize_ips = anonymize_ips;
    if is_demo {
        settings.test_account_filters = Json::of(&json!([]));
    }
    let extra = Json::of(&Map::new());
    let details = Details { created_at: ctx.now, updated_at: ctx.now, settings, extra };
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
        details: Packed::of(&details)?,
    };
    Ok((project, details))
}

/// The project that comes with its owner's organization; it has no entry in the audit log.
pub fn create_default(
    ctx: &Ctx,
    tx: &WriteTx,
    organization: OrganizationId,
    anonymize_ips: bool,
    owner: &User,
) -> Result<Short> {
    let id = ProjectId(tx.next_id("projects")?);
    let (project, _) = blank(ctx, std::slice::from_ref(owner), false, anonymize_ips)?;
    insert(tx, (organization, id), &project)?;
    Ok(short(((organization, id), project)))
}

fn insert(tx: &WriteTx, at: (OrganizationId, ProjectId), project: &Project) -> Result<()> {
    tx.insert(&PROJECTS, &at, project).on_conflict(&BY_TOKEN, token_taken)
}

pub(super) fn store(tx: &WriteTx, found: &Loaded) -> Result<()> {
    let project = Project { details: Packed::of(&found.details)?, ..found.project.clone() };
    Ok(tx.put(&PROJECTS, &(found.organization, found.id), &project)?)
}
