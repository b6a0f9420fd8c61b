//! What is stored of an organization, as far as a file can say it: what plans compare with and exports write. No secret
//! is in it.

use std::collections::HashSet;

use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::document::{Fields, PROJECT, word_of};
use crate::api::{Ctx, InOrganization, InProject, Level};
use crate::error::Result;
use crate::ids::{
    BatchExportId, DomainId, InviteId, MembershipId, OrganizationId, PluginId, ProjectId, ProxyRecordId,
    RoleId, UserId,
};
use crate::resources::access_controls::{self, Subject};
use crate::resources::{
    batch_exports, domains, invites, members, organizations, plugins, projects, proxy_records,
    role_memberships, roles, users,
};
use crate::store::{Tx, hex};

/// An organization with everything in it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct State {
    pub id: OrganizationId,
    pub slug: String,
    /// By the names of the API.
    pub fields: Fields,
    pub default_role: Option<String>,
    pub members: Vec<Member>,
    pub roles: Vec<Role>,
    pub projects: Vec<Project>,
    pub invites: Vec<Invite>,
    pub domains: Vec<Domain>,
    pub proxies: Vec<Proxy>,
    pub plugins: Vec<Plugin>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Member {
    pub user: UserId,
    pub membership: MembershipId,
    pub email: String,
    pub level: &'static str,
    #[serde(skip)]
    pub rank: Level,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Role {
    pub id: RoleId,
    pub name: String,
    pub feature_flags_access_level: u8,
    /// Their addresses.
    pub members: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Project {
    pub id: ProjectId,
    pub name: String,
    pub api_token: String,
    pub fields: Fields,
    /// Settings that are secret and set.
    pub secrets: Vec<&'static str>,
    pub access: Vec<Rules>,
    pub exports: Vec<Export>,
}

/// The rules for one kind of things; the first are those of the project itself.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Rules {
    pub resource: String,
    pub default: Option<String>,
    /// Addresses and levels.
    pub members: Vec<(String, String)>,
    /// Names and levels.
    pub roles: Vec<(String, String)>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Export {
    pub id: BatchExportId,
    pub name: String,
    pub fields: Fields,
    /// What its destination has and does not show.
    pub hidden: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Invite {
    pub id: InviteId,
    pub email: String,
    pub level: &'static str,
    pub first_name: String,
    pub message: Option<String>,
    /// Names of projects and levels.
    pub access: Vec<(String, &'static str)>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Domain {
    pub id: DomainId,
    pub domain: String,
    pub is_verified: bool,
    pub fields: Fields,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Proxy {
    pub id: ProxyRecordId,
    pub domain: String,
    pub status: &'static str,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Plugin {
    pub id: PluginId,
    pub url: Option<String>,
    pub name: Option<String>,
    pub fields: Fields,
}

/// The state of an organization.
///
/// # Errors
/// 404 where it is not there.
pub(super) fn load(ctx: &Ctx, tx: &Tx, id: OrganizationId) -> Result<State> {
    let organization = organizations::find(tx, id)?;
    let members = members_of(tx, id)?;
    let roles = roles_of(tx, id, &members)?;
    let projects = projects_of(ctx, tx, id, &members, &roles)?;
    let default = organization.settings.default_role_id;
    let default_role = roles.iter().find(|role| Some(role.id) == default).map(|role| role.name.clone());
    Ok(State {
        id,
        slug: organization.slug.clone(),
        fields: organizations::state_of(&organization)?,
        default_role,
        invites: invites_of(ctx, tx, id, &projects)?,
        domains: domains_of(tx, id)?,
        proxies: proxies_of(tx, id)?,
        plugins: plugins_of(tx, InOrganization { id, level: Level::Owner })?,
        members,
        roles,
        projects,
    })
}

fn members_of(tx: &Tx, id: OrganizationId) -> Result<Vec<Member>> {
    let mut all = Vec::new();
    for user in members::users_of(tx, id)? {
        let member = members::find(tx, id, user)?;
        all.push(Member {
            user,
            membership: member.id,
            email: users::find(tx, user)?.email,
            level: word_of(member.level),
            rank: member.level,
        });
    }
    Ok(all)
}

fn roles_of(tx: &Tx, id: OrganizationId, members: &[Member]) -> Result<Vec<Role>> {
    let mut all = Vec::new();
    for (role, name) in roles::names(tx, id)? {
        let inside: HashSet<UserId> = role_memberships::users_of(tx, role)?.into_iter().collect();
        let inside = members.iter().filter(|member| inside.contains(&member.user));
        all.push(Role {
            id: role,
            name,
            feature_flags_access_level: roles::find(tx, id, role)?.feature_flags_access_level,
            members: inside.map(|member| member.email.clone()).collect(),
        });
    }
    Ok(all)
}

fn projects_of(
    ctx: &Ctx,
    tx: &Tx,
    organization: OrganizationId,
    members: &[Member],
    roles: &[Role],
) -> Result<Vec<Project>> {
    let exports = batch_exports::all_of(tx, organization)?;
    let mut all = Vec::new();
    for id in projects::ids_of(tx, organization)? {
        let at = InProject { organization, id, level: Level::Admin };
        let mut fields = match projects::settings_of(tx, at)? {
            Value::Object(fields) => fields,
            _ => Fields::new(),
        };
        let (api_token, secrets) = projects::token_and_secrets_of(tx, at)?;
        let name = fields.shift_remove("name");
        let own = exports.iter().filter(|(_, export)| export.project == id);
        all.push(Project {
            id,
            name: name.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned(),
            api_token,
            fields,
            secrets,
            access: access_of(tx, organization, id, members, roles)?,
            exports: own.map(|(id, export)| export_of(ctx, *id, export)).collect(),
        });
    }
    Ok(all)
}

fn access_of(
    tx: &Tx,
    organization: OrganizationId,
    project: ProjectId,
    members: &[Member],
    roles: &[Role],
) -> Result<Vec<Rules>> {
    let mut all = vec![Rules { resource: PROJECT.to_owned(), ..Rules::default() }];
    for set in access_controls::all_of(tx, organization, project)? {
        let place = all.iter().position(|rules| rules.resource == set.resource).unwrap_or_else(|| {
            all.push(Rules { resource: set.resource.clone(), ..Rules::default() });
            all.len() - 1
        });
        let rules = &mut all[place];
        match set.subject {
            Subject::Everybody => rules.default = Some(set.access_level),
            Subject::Member(id) => {
                let member = members.iter().find(|member| member.membership == id);
                rules.members.extend(member.map(|member| (member.email.clone(), set.access_level)));
            }
            Subject::Role(id) => {
                let role = roles.iter().find(|role| role.id == id);
                rules.roles.extend(role.map(|role| (role.name.clone(), set.access_level)));
            }
        }
    }
    Ok(all)
}

fn export_of(ctx: &Ctx, id: BatchExportId, export: &batch_exports::BatchExport) -> Export {
    Export {
        id,
        name: export.name.clone(),
        fields: batch_exports::settable(export),
        hidden: export.destination.hidden_names(&ctx.vault, id),
    }
}

fn invites_of(ctx: &Ctx, tx: &Tx, id: OrganizationId, projects: &[Project]) -> Result<Vec<Invite>> {
    let all = invites::open_of(tx, id, ctx.now)?.into_iter();
    let shown = all.map(|(id, invite)| {
        let access = invite.private_project_access.iter().filter_map(|access| {
            let project = projects.iter().find(|project| project.id == access.project)?;
            Some((project.name.clone(), word_of(access.level)))
        });
        Invite {
            id,
            level: word_of(invite.level),
            access: access.collect(),
            email: invite.target_email,
            first_name: invite.first_name,
            message: invite.message,
        }
    });
    Ok(shown.collect())
}

fn domains_of(tx: &Tx, id: OrganizationId) -> Result<Vec<Domain>> {
    let all = domains::all_of(tx, id)?.into_iter();
    let shown = all.map(|(id, domain)| Domain {
        id,
        fields: without(domains::state_of(&domain), "domain"),
        is_verified: domain.verified_at.is_some(),
        domain: domain.domain,
    });
    Ok(shown.collect())
}

fn proxies_of(tx: &Tx, id: OrganizationId) -> Result<Vec<Proxy>> {
    let all = proxy_records::all_of(tx, id)?.into_iter();
    Ok(all.map(|(id, record)| Proxy { id, status: record.status.name(), domain: record.domain }).collect())
}

fn plugins_of(tx: &Tx, at: InOrganization) -> Result<Vec<Plugin>> {
    let all = plugins::own_of(tx, at.id)?.into_iter();
    let shown = all.map(|(id, plugin)| Plugin {
        id,
        url: plugin.url.clone(),
        name: plugin.name.clone(),
        fields: plugins::settable(&plugin),
    });
    Ok(shown.collect())
}

fn without(mut fields: Map<String, Value>, name: &str) -> Map<String, Value> {
    fields.shift_remove(name);
    fields
}

/// A hash of what was read: while it is the same, so is the state.
pub(super) fn base_of(read: &impl Serialize) -> Result<String> {
    let text = serde_json::to_vec(read)?;
    Ok(format!("sha256:{}", hex(&Sha256::digest(&text))))
}
