//! Finding projects: by path, by number, by token, and for somebody who sees them.
//! Invariant: what a finder answers for a user is what access control decides for them.

use super::wire::{Short, short};
use super::{BY_NUMBER, BY_TOKEN, PROJECTS, Project, newer};
use crate::api::place::insufficient;
use crate::api::{InProject, Level};
use crate::error::{Result, invalid_body, not_found};
use crate::ids::{OrganizationId, ProjectId, UserId};
use crate::resources::{access_controls, members, organizations, users};
use crate::store::{Cacheable, Order, Tx, WriteTx};

/// The project that a path names, by number or as the user's current one: 404 where they do not see it.
pub fn require_access(tx: &Tx, name: &str, user: UserId) -> Result<InProject> {
    let key = [user.0.as_bytes().as_slice(), name.as_bytes()].concat();
    let at = tx.cached("project", &key, || {
        let found = of_path(tx, name, user)?;
        Ok(Access(require_access_to_known(tx, found, name, user)?))
    })?;
    Ok(at.0)
}

/// What access control has decided for a user.
struct Access(InProject);

impl Cacheable for Access {
    fn bytes(&self) -> usize {
        size_of::<Access>()
    }
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

/// Whether a project is closed to members whom no rule names.
pub fn is_private(tx: &Tx, organization: OrganizationId, id: ProjectId) -> Result<bool> {
    Ok(tx.get(&PROJECTS, &(organization, id))?.ok_or_else(not_found)?.access_control)
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
    let grants = access_controls::Grants::in_project(tx, organization, id, user, level)?;
    Ok(grants.level(id, project.access_control))
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

/// The organization that has this project.
pub fn organization_of(tx: &Tx, id: ProjectId) -> Result<Option<OrganizationId>> {
    Ok(tx.get(&BY_NUMBER, &id)?)
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

/// All projects of an organization, by number.
pub fn ids_of(tx: &Tx, organization: OrganizationId) -> Result<Vec<ProjectId>> {
    let all = tx.scan(&PROJECTS, &organization, Order::Ascending)?;
    Ok(all.into_iter().map(|((_, id), _)| id).collect())
}

/// Whether there is such a project.
pub fn exists(tx: &Tx, id: ProjectId) -> Result<bool> {
    Ok(tx.has(&BY_NUMBER, &id)?)
}

/// A project that is sent events.
pub struct Receiver {
    pub id: ProjectId,
    pub anonymize_ips: bool,
    /// Whether pages capture no clicks automatically.
    pub autocapture_opt_out: bool,
}

/// The project whose token this is.
pub fn by_token(tx: &Tx, token: &str) -> Result<Option<Receiver>> {
    let Some(at) = tx.get(&BY_TOKEN, &token.to_owned())? else { return Ok(None) };
    let project = tx.get(&PROJECTS, &at)?.ok_or_else(not_found)?;
    let settings = project.details.get()?.settings;
    let autocapture_opt_out = settings.autocapture_opt_out == Some(true);
    Ok(Some(Receiver { id: at.1, anonymize_ips: settings.anonymize_ips, autocapture_opt_out }))
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

/// What a project is called.
pub fn name(tx: &Tx, organization: OrganizationId, id: ProjectId) -> Result<String> {
    Ok(tx.get(&PROJECTS, &(organization, id))?.ok_or_else(not_found)?.name)
}

/// The time zone that the project is shown in.
pub fn timezone(tx: &Tx, organization: OrganizationId, id: ProjectId) -> Result<String> {
    Ok(tx.get(&PROJECTS, &(organization, id))?.ok_or_else(not_found)?.timezone)
}

/// The projects that a member sees, by number.
pub fn visible_in(tx: &Tx, organization: OrganizationId, user: UserId, level: Level) -> Result<Vec<Short>> {
    let mut all = tx.scan(&PROJECTS, &organization, Order::Ascending)?;
    let grants = access_controls::Grants::of(tx, organization, user, level)?;
    all.retain(|((_, id), project)| grants.level(*id, project.access_control).is_some());
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

/// Whether the project's audit log also shows what belongs to its organization.
pub fn receives_organization_entries(tx: &Tx, at: InProject) -> Result<bool> {
    let Some(project) = tx.get(&PROJECTS, &(at.organization, at.id))? else { return Ok(false) };
    Ok(newer::receives_organization_entries(&project.details.get()?.extra))
}
