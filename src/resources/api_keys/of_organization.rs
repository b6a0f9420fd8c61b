//! The keys that reach an organization, whoever of its members they belong to: what its administrators see of them, and
//! how they shut one out.

use serde::Serialize;

use super::{ApiKey, KEYS, entries, of_user, require_session};
use crate::api::{Call, Ctx, Field, FieldInfo, InOrganization, Level, Paging, Reply, Within};
use crate::app::{Route, Tag, read, signed_in, tagged, write};
use crate::clock::Time;
use crate::error::{Result, denied, not_found};
use crate::ids::{OrganizationId, ProjectId, UserId};
use crate::resources::{members, projects, sessions, users};
use crate::store::{Tx, WriteTx};

pub(super) fn routes() -> Vec<Route> {
    const TAG: Tag = Tag {
        name: "organization_api_keys",
        noun: "organization API key",
        about: "The personal API keys that reach an organization, for its administrators.",
    };

    let all = "/api/organizations/{organization_id}/personal_api_keys/";
    let one = "/api/organizations/{organization_id}/personal_api_keys/{id}/";
    let organization = Within::Organization("organization_id");
    let routes = vec![
        Route::get(all, signed_in(), organization, read(list)).responds_page(FIELDS).about(
            "List the API keys that reach an organization",
            "From admin level on. Those of all members, the last used first, without their values.",
        ),
        Route::delete(one, signed_in(), organization, write(delete)).responds_nothing().about(
            "Revoke an API key's access to an organization",
            "From admin level on, for keys of members whose level is not above one's own. Where the key \
             reaches other organizations of its owner, it stays for those; else it is deleted.",
        ),
    ];
    tagged(TAG, routes)
}

const OWNER: &[FieldInfo] = &[
    Field::text("first_name", 150).read_only(),
    Field::text("last_name", 150).read_only(),
    Field::email("email").read_only(),
];
const PROJECT: &[FieldInfo] =
    &[Field::integer("id", 0, i64::MAX).read_only(), Field::text("name", 200).read_only()];
const ACCESS: &[FieldInfo] = &[
    Field::text_choice("type", |_| true).read_only().described("`all`, `organization` or `projects`."),
    Field::objects("projects", PROJECT).read_only().described("Only where the type is `projects`."),
];
const FIELDS: &[FieldInfo] = &[
    Field::text("id", 50).read_only(),
    Field::object("owner", OWNER).read_only(),
    Field::text("mask_value", 11).read_only(),
    Field::texts("scopes", None).read_only(),
    Field::object("access_scope", ACCESS).read_only(),
    Field::time("last_used_at").nullable().read_only(),
    Field::time("created_at").read_only(),
];

#[derive(Serialize)]
struct Wire<'a> {
    id: &'a str,
    owner: Owner,
    mask_value: &'a str,
    scopes: &'a [String],
    access_scope: AccessScope,
    last_used_at: Option<Time>,
    created_at: Time,
}

#[derive(Serialize)]
struct Owner {
    first_name: String,
    last_name: String,
    email: String,
}

/// What of the organization a key reaches.
#[derive(Serialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum AccessScope {
    /// Everything of its owner, in every organization.
    All,
    /// The organization as a whole.
    Organization,
    Projects {
        projects: Vec<Project>,
    },
}

#[derive(Serialize)]
pub struct Project {
    pub id: ProjectId,
    pub name: String,
}

fn wire<'a>(tx: &Tx, organization: OrganizationId, key: &'a ApiKey) -> Result<Wire<'a>> {
    let users::User { first_name, last_name, email, .. } = users::find(tx, key.user)?;
    Ok(Wire {
        id: &key.id,
        owner: Owner { first_name, last_name, email },
        mask_value: &key.mask,
        scopes: &key.scopes,
        access_scope: access_scope(tx, organization, key)?,
        last_used_at: key.last_used_at,
        created_at: key.created_at,
    })
}

fn list(call: &Call, tx: &Tx) -> Result<Reply> {
    let at = call.place.in_organization()?;
    let keys = all(call, tx, at)?;
    let paging = Paging::of(call);
    let total = keys.len() as u64;
    let page = paging.cut(keys);
    let rows = page.iter().map(|(key, _)| wire(tx, at.id, key));
    paging.reply(call, total, &rows.collect::<Result<Vec<_>>>()?)
}

/// The keys that reach the organization with the levels of their owners, the last used first. From admin level on.
///
/// # Errors
/// 403 for a caller by key, and below admin.
pub fn all(ctx: &Ctx, tx: &Tx, at: InOrganization) -> Result<Vec<(ApiKey, Level)>> {
    require_session(ctx)?;
    let organization = at.require(Level::Admin)?;
    let mut keys = Vec::new();
    for (user, level) in members::levels(tx, organization)? {
        let of_user = reaching(tx, organization, user)?;
        keys.extend(of_user.into_iter().map(|(_, key)| (key, level)));
    }
    keys.sort_by_key(|(key, _)| std::cmp::Reverse((key.last_used_at, key.created_at)));
    Ok(keys)
}

/// Whether the caller may revoke the keys of somebody of this level.
pub fn may_revoke(at: InOrganization, owner: Level) -> bool {
    at.level >= Level::Admin && at.level >= owner
}

fn delete(call: &Call, tx: &WriteTx) -> Result<Reply> {
    revoke(call, tx, call.place.in_organization()?, call.param("id"))?;
    Reply::no_content()
}

/// Takes an organization out of what a member's key reaches. From admin level on, for members whose level is not above
/// the caller's. A key that reaches nothing else is deleted; another one stays for the other organizations of its owner,
/// whose business it is there.
///
/// # Errors
/// 403 for a caller by key, below admin, for a key of somebody above the caller, and for a session whose password was given long ago; 404
/// where no such key reaches the organization.
pub fn revoke(ctx: &Ctx, tx: &WriteTx, at: InOrganization, id: &str) -> Result<()> {
    require_session(ctx)?;
    let organization = at.require(Level::Admin)?;
    sessions::require_recent_login(ctx)?;
    let (hash, before, owner_level) = find(tx, organization, id)?;
    if !may_revoke(at, owner_level) {
        return Err(denied("You cannot revoke API keys of members whose level is above your own."));
    }
    entries::revoked(ctx, tx, organization, &before)?;
    match without(tx, organization, before.clone())? {
        Some(rest) => Ok(tx.replace(&KEYS, &hash, &before, &rest)?),
        None => Ok(tx.delete(&KEYS, &hash)?),
    }
}

/// The key with its hash and the level of its owner.
fn find(tx: &Tx, organization: OrganizationId, id: &str) -> Result<([u8; 32], ApiKey, Level)> {
    for (user, level) in members::levels(tx, organization)? {
        let found = reaching(tx, organization, user)?.into_iter().find(|(_, key)| key.id == id);
        if let Some((hash, key)) = found {
            return Ok((hash, key, level));
        }
    }
    Err(not_found())
}

/// The key limited to what it reaches besides the organization; `None` where that is nothing.
///
/// Invariant: a list never becomes empty here, for an empty one means no limit.
fn without(tx: &Tx, organization: OrganizationId, mut key: ApiKey) -> Result<Option<ApiKey>> {
    if key.scoped_organizations.is_empty() {
        let all = members::organizations_of(tx, key.user)?;
        key.scoped_organizations = all.into_iter().map(|at| at.id).collect();
    }
    key.scoped_organizations.retain(|id| *id != organization);
    if !key.scoped_projects.is_empty() {
        let mut rest = Vec::new();
        for id in key.scoped_projects {
            if !projects::is_of(tx, organization, id)? {
                rest.push(id);
            }
        }
        if rest.is_empty() {
            return Ok(None);
        }
        key.scoped_projects = rest;
    }
    Ok(if key.scoped_organizations.is_empty() { None } else { Some(key) })
}

/// The keys of a user that reach the organization, with their hashes: those that are limited to it or to a project of
/// it, and those without limits.
pub fn reaching(tx: &Tx, organization: OrganizationId, user: UserId) -> Result<Vec<([u8; 32], ApiKey)>> {
    let mut keys = Vec::new();
    for (hash, key) in of_user(tx, user)? {
        if reaches(tx, organization, &key)? {
            keys.push((hash, key));
        }
    }
    Ok(keys)
}

/// Whether the key of a member of the organization reaches it, or a project of it.
pub(super) fn reaches(tx: &Tx, organization: OrganizationId, key: &ApiKey) -> Result<bool> {
    if !key.scoped_organizations.is_empty() && !key.scoped_organizations.contains(&organization) {
        return Ok(false);
    }
    if key.scoped_projects.is_empty() {
        return Ok(true);
    }
    for id in &key.scoped_projects {
        if projects::is_of(tx, organization, *id)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What of the organization the key reaches.
///
/// # Errors
/// None but of the data file.
pub fn access_scope(tx: &Tx, organization: OrganizationId, key: &ApiKey) -> Result<AccessScope> {
    if key.scoped_projects.is_empty() {
        let is_limited = !key.scoped_organizations.is_empty();
        return Ok(if is_limited { AccessScope::Organization } else { AccessScope::All });
    }
    let mut projects = Vec::new();
    for id in &key.scoped_projects {
        let seen = projects::seen(tx, *id, key.user)?;
        if let Some(project) = seen.filter(|project| project.organization == organization) {
            projects.push(Project { id: *id, name: project.name });
        }
    }
    Ok(AccessScope::Projects { projects })
}
