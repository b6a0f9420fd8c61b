//! What a plan comes down to: the commands that carry it out, in their order.

use serde_json::Value;

use super::document::{Fields, KeyEntry, UserEntry};
use crate::api::Level;
use crate::ids::{
    BatchExportId, DomainId, InviteId, OrganizationId, PluginId, ProjectId, ProxyRecordId, RoleId, UserId,
};
use crate::resources::{organizations, projects};

/// A command, and what of the file wants it.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub path: String,
    pub deed: Deed,
}

/// A project that is there, or the one that an entry of the file makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProjectRef {
    Known(ProjectId),
    /// The place of its entry among those of its organization.
    New(usize),
}

/// Whom a rule is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Everybody,
    /// By address.
    Member(String),
    /// By name.
    Role(String),
}

/// People are named by address and roles by name where an earlier command may have made them.
#[derive(Clone, Debug)]
pub(super) enum Deed {
    AddUser(Box<UserEntry>),
    DescribeUser {
        user: UserId,
        fields: Fields,
        staff: Option<bool>,
    },
    /// The password was hashed before.
    Password {
        user: UserId,
        email: String,
    },
    Totp {
        user: UserId,
        secret: String,
    },
    AddKey {
        email: String,
        entry: Box<KeyEntry>,
    },
    /// What follows is about this organization.
    Enter(OrganizationId),
    /// The same for a new one.
    AddOrganization {
        given: organizations::Given,
        fields: Fields,
        owner: Owner,
        has_projects: bool,
    },
    ChangeOrganization(Fields),
    AddProject {
        place: usize,
        given: projects::Given,
        fields: Fields,
    },
    ChangeProject {
        id: ProjectId,
        fields: Fields,
    },
    AddRole {
        id: Option<RoleId>,
        fields: Fields,
    },
    ChangeRole {
        id: RoleId,
        fields: Fields,
    },
    Join {
        email: String,
        level: Level,
    },
    SetLevel {
        user: UserId,
        level: Level,
    },
    DefaultRole(Option<String>),
    PutIntoRole {
        role: String,
        email: String,
    },
    SetAccess {
        project: ProjectRef,
        resource: String,
        who: Who,
        level: Option<String>,
    },
    AddDomain {
        id: Option<DomainId>,
        domain: String,
        fields: Fields,
        verified: bool,
    },
    ChangeDomain {
        id: DomainId,
        fields: Fields,
    },
    VerifyDomain(DomainId),
    AddProxy {
        id: Option<ProxyRecordId>,
        domain: String,
    },
    AddExport {
        project: ProjectRef,
        id: Option<BatchExportId>,
        fields: Fields,
    },
    ChangeExport {
        project: ProjectId,
        id: BatchExportId,
        fields: Fields,
    },
    AddPlugin {
        url: Option<String>,
        fields: Fields,
    },
    ChangePlugin {
        id: PluginId,
        fields: Fields,
    },
    /// The projects are named.
    Invite {
        fields: Fields,
        access: Vec<(String, String)>,
    },
    RemoveInvite(InviteId),
    RemovePlugin(PluginId),
    RemoveExport {
        project: ProjectId,
        id: BatchExportId,
    },
    RemoveProxy(ProxyRecordId),
    RemoveDomain(DomainId),
    TakeOutOfRole {
        role: RoleId,
        email: String,
    },
    RemoveMember(UserId),
    RemoveRole(RoleId),
    RemoveProject(ProjectId),
}

/// Who becomes the owner of a new organization.
#[derive(Clone, Debug)]
pub(super) enum Owner {
    /// Who applies the file.
    Caller,
    /// By address.
    Email(String),
}

/// A secret of the file, as it reaches the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Secret {
    Known(String),
    /// It is kept elsewhere, and was not got from there: what it is kept in.
    Missing(String),
    /// It stands in the file itself.
    Plain,
}

/// What a value of a secret field says. A plain text is one where it may be.
pub(super) fn secret_of(value: &Value, may_be_plain: bool) -> Secret {
    let pair = value.as_object().and_then(|pairs| pairs.iter().next());
    let (name, text) = match (pair, value.as_str()) {
        (_, Some(text)) if may_be_plain => return Secret::Known(text.to_owned()),
        (Some((name, text)), _) => (name.as_str(), text.as_str().unwrap_or_default()),
        _ => return Secret::Plain,
    };
    match name {
        "secret" => Secret::Known(text.to_owned()),
        "file" => Secret::Missing(format!("the file {text}")),
        _ => Secret::Missing(format!("the variable {text}")),
    }
}
