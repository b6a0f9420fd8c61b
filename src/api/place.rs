//! The place of a request: the organization or the project that its path names, and how much the caller
//! may do there.

use super::level::Level;
use crate::error::{Error, Result, denied};
use crate::ids::{OrganizationId, ProjectId};

/// Where a request is at home. It is resolved once, before the handler runs; a caller who may not be there
/// never reaches the handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// No organization is named.
    Nothing,
    /// An organization, with the caller's level in it.
    Organization(InOrganization),
    Project(InProject),
}

/// An organization, and the caller's level in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InOrganization {
    pub id: OrganizationId,
    pub level: Level,
}

impl InOrganization {
    /// The organization, for a caller of this level or above.
    ///
    /// # Errors
    /// 403 below it.
    pub fn require(self, least: Level) -> Result<OrganizationId> {
        self.level.require(least)?;
        Ok(self.id)
    }
}

/// A project that the caller sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InProject {
    pub organization: OrganizationId,
    pub id: ProjectId,
    /// The caller's effective level in the project.
    pub level: Level,
}

impl InProject {
    /// Passes a caller of this level or above.
    ///
    /// # Errors
    /// 403 below it.
    pub fn require(self, least: Level) -> Result<()> {
        if self.level >= least { Ok(()) } else { Err(insufficient()) }
    }
}

/// 403 for whoever may not do this in the project.
pub fn insufficient() -> Error {
    denied("You don't have sufficient permissions in the project.")
}

impl Place {
    /// The organization that is named, or that has the named project.
    pub fn organization(&self) -> Option<OrganizationId> {
        match self {
            Place::Nothing => None,
            Place::Organization(organization) => Some(organization.id),
            Place::Project(project) => Some(project.organization),
        }
    }

    /// The organization and the project, whatever the caller may do there.
    pub fn home(&self) -> (Option<OrganizationId>, Option<ProjectId>) {
        let project = match self {
            Place::Project(project) => Some(project.id),
            _ => None,
        };
        (self.organization(), project)
    }

    /// The organization that is named, with the caller's level.
    ///
    /// # Errors
    /// 500 where the route names no organization: the route table is wrong then.
    pub fn in_organization(&self) -> Result<InOrganization> {
        match self {
            Place::Organization(organization) => Ok(*organization),
            _ => Err(Error::internal("the route names no organization")),
        }
    }

    /// The project that is named.
    ///
    /// # Errors
    /// 500 where the route names no project: the route table is wrong then.
    pub fn in_project(&self) -> Result<InProject> {
        match self {
            Place::Project(project) => Ok(*project),
            _ => Err(Error::internal("the route names no project")),
        }
    }
}
