//! The projects that an invite gives access to.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Loaded, PRIVATE_PROJECT_ACCESS};
use crate::api::{Ctx, InOrganization, InProject, Level};
use crate::error::{Error, Result, invalid};
use crate::ids::{MembershipId, ProjectId, UserId};
use crate::resources::{access_controls, members, projects};
use crate::store::{Tx, WriteTx};

/// A project, and the level there: member or admin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectAccess {
    pub project: ProjectId,
    pub level: Level,
    /// Whether the level was sent as a word, and is shown as one.
    pub is_word: bool,
}

#[derive(Serialize)]
pub(super) struct ProjectAccessWire {
    id: ProjectId,
    level: Shown,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Shown {
    Number(Level),
    Word(&'static str),
}

/// As they were sent; null for none.
pub(super) fn wire(all: &[ProjectAccess]) -> Option<Vec<ProjectAccessWire>> {
    let level = |access: &ProjectAccess| match (access.is_word, access.level) {
        (false, level) => Shown::Number(level),
        (true, Level::Member) => Shown::Word("member"),
        (true, _) => Shown::Word("admin"),
    };
    let shown = all.iter().map(|access| ProjectAccessWire { id: access.project, level: level(access) });
    (!all.is_empty()).then(|| shown.collect())
}

fn wrong(detail: impl Into<crate::error::Text>) -> Error {
    invalid(PRIVATE_PROJECT_ACCESS.name(), "invalid_input", detail)
}

/// Reads the list of a body. Of several levels in one project the highest counts.
pub(super) fn read(list: &Value) -> Result<Vec<ProjectAccess>> {
    let mut all = Vec::new();
    for item in list.as_array().into_iter().flatten() {
        let id = item.get("id").and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
        let level = item.get("level").and_then(|level| match (level.as_str(), level.as_i64()) {
            (Some("member"), _) => Some((Level::Member, true)),
            (Some("admin"), _) => Some((Level::Admin, true)),
            (_, Some(1)) => Some((Level::Member, false)),
            (_, Some(8)) => Some((Level::Admin, false)),
            _ => None,
        });
        let (Some(id), Some((level, is_word))) = (id, level) else {
            return Err(wrong(
                "Each project needs an \"id\" and a \"level\": 1 or \"member\", 8 or \"admin\".",
            ));
        };
        add(&mut all, ProjectAccess { project: ProjectId(id), level, is_word });
    }
    Ok(all)
}

/// Adds access to a project; the higher level counts.
pub(super) fn add(all: &mut Vec<ProjectAccess>, access: ProjectAccess) {
    match all.iter_mut().find(|known| known.project == access.project) {
        Some(known) => known.level = known.level.max(access.level),
        None => all.push(access),
    }
}

/// Whether a member of the organization may give this access to others; the error says why not.
fn judge(
    tx: &Tx,
    at: InOrganization,
    user: UserId,
    access: ProjectAccess,
) -> Result<std::result::Result<(), &'static str>> {
    let unknown =
        "Project does not exist on this organization, or it is private and you do not have access to it.";
    let is_there = projects::is_of(tx, at.id, access.project)?;
    if !is_there || at.level >= Level::Admin {
        return Ok(if is_there { Ok(()) } else { Err(unknown) });
    }
    let Some(project) = projects::seen(tx, access.project, user)? else { return Ok(Err(unknown)) };
    let mine = projects::level_in(tx, at.id, access.project, user, at.level)?;
    let is_open = members::is_open_by_default(tx, at.id, access.project, project.access_control)?;
    Ok(if !is_open && mine < Some(Level::Admin) {
        Err(unknown)
    } else if Some(access.level) > mine {
        Err("You cannot invite to a private project with a higher level than your own.")
    } else {
        Ok(())
    })
}

/// Refuses what the member may not give.
///
/// # Errors
/// 400 for a project that is not there for them, and for a level above their own.
pub(super) fn check(tx: &Tx, at: InOrganization, user: UserId, all: &[ProjectAccess]) -> Result<()> {
    for access in all {
        judge(tx, at, user, *access)?.map_err(wrong)?;
    }
    Ok(())
}

/// Gives a new member what their invite promises, as far as its sender could still give it. Projects that are gone
/// are passed over.
pub fn give(ctx: &Ctx, tx: &WriteTx, found: &Loaded, membership: MembershipId) -> Result<()> {
    let Loaded { organization, invite, .. } = found;
    let Some(level) = members::level_of(tx, *organization, invite.created_by)? else { return Ok(()) };
    let sender = InOrganization { id: *organization, level };
    for access in &invite.private_project_access {
        if judge(tx, sender, invite.created_by, *access)?.is_ok() {
            let at = InProject { organization: *organization, id: access.project, level: access.level };
            access_controls::grant(ctx, tx, at, membership, invite.created_by)?;
        }
    }
    Ok(())
}
