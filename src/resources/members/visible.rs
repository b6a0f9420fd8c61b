//! Whom of an organization's members somebody sees.

use std::collections::{HashMap, HashSet};

use super::{by_id, level_of, users_of};
use crate::api::{InOrganization, Level};
use crate::error::Result;
use crate::ids::{OrganizationId, ProjectId, UserId};
use crate::resources::access_controls::{self, ProjectEntry, Subject};
use crate::resources::{organizations, projects, role_memberships};
use crate::store::Tx;

/// The members whom somebody sees.
pub enum Visible {
    Everybody,
    These(HashSet<UserId>),
}

impl Visible {
    /// Whom `user` sees, who is at home at `at`: everybody, unless plain members are not to see each other. Then
    /// themselves, and whoever was given access to a project that they can reach: by name, by a role, or by the
    /// project's own default. That admins reach every project does not count, and neither does a project that
    /// nobody has set a default for.
    pub fn of(tx: &Tx, at: InOrganization, user: UserId) -> Result<Visible> {
        if at.level >= Level::Admin || organizations::shows_all_members(tx, at.id)? {
            return Ok(Visible::Everybody);
        }
        let mut seen = with_shared_projects(tx, at.id, user)?;
        seen.insert(user);
        Ok(Visible::These(seen))
    }

    /// The same for a member whose level is not known yet.
    pub fn to_member(tx: &Tx, organization: OrganizationId, user: UserId) -> Result<Visible> {
        let level = level_of(tx, organization, user)?.unwrap_or(Level::Member);
        Visible::of(tx, InOrganization { id: organization, level }, user)
    }

    /// Whether the user is among them.
    pub fn has(&self, user: UserId) -> bool {
        match self {
            Visible::Everybody => true,
            Visible::These(users) => users.contains(&user),
        }
    }

    /// Whether it is all members.
    pub fn is_everybody(&self) -> bool {
        matches!(self, Visible::Everybody)
    }
}

/// Everybody who has access to a project that the user can reach.
fn with_shared_projects(tx: &Tx, organization: OrganizationId, user: UserId) -> Result<HashSet<UserId>> {
    // Private, or not.
    let reached: HashMap<ProjectId, bool> = projects::visible_in(tx, organization, user, Level::Member)?
        .into_iter()
        .map(|project| (project.id, project.access_control))
        .collect();
    let mut explicit: HashMap<ProjectId, HashMap<UserId, Option<Level>>> = HashMap::new();
    let mut open = Vec::new();
    for ProjectEntry { project, subject, level } in access_controls::of_projects(tx, organization)? {
        let Some(is_private) = reached.get(&project) else { continue };
        let users: Vec<UserId> = match subject {
            Subject::Everybody => {
                if !is_private && level.is_some() {
                    open.push(project);
                }
                continue;
            }
            Subject::Member(id) => by_id(tx, organization, id)?.into_iter().collect(),
            Subject::Role(role) => role_memberships::users_of(tx, role)?,
        };
        let given = explicit.entry(project).or_default();
        for user in users {
            let held = given.entry(user).or_insert(level);
            *held = (*held).max(level);
        }
    }
    let mut seen: HashSet<UserId> =
        explicit.values().flatten().filter_map(|(user, level)| level.is_some().then_some(*user)).collect();
    if open.is_empty() {
        return Ok(seen);
    }
    // What is granted by name beats the default.
    let has_default = |user: &UserId| {
        open.iter().any(|project| explicit.get(project).and_then(|given| given.get(user)).is_none())
    };
    seen.extend(users_of(tx, organization)?.into_iter().filter(has_default));
    Ok(seen)
}

/// Whether a plain member whom no rule names sees the project.
pub fn is_open_by_default(
    tx: &Tx,
    organization: OrganizationId,
    project: ProjectId,
    is_private: bool,
) -> Result<bool> {
    let level = access_controls::of_projects(tx, organization)?
        .into_iter()
        .find(|entry| entry.project == project && entry.subject == Subject::Everybody)
        .map_or(Some(Level::Member), |entry| entry.level);
    Ok(!is_private && level.is_some())
}
