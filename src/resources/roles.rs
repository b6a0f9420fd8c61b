//! Roles: named groups of members inside one organization.
//! Invariant: a name is unique in its organization, whatever its case.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::audit::{self, Change, scope as scopes};
use super::members::{self, Visible};
use super::{Resource, batch_exports, organizations, role_memberships, users};
use crate::api::{Call, Ctx, Field, FieldInfo, InOrganization, Input, Level, Paging, Reply, Within};
use crate::app::{Route, Tag, read, scope, tagged, write};
use crate::clock::Time;
use crate::error::{Error, Result, denied, invalid, not_found};
use crate::ids::{OrganizationId, RoleId, UserId};
use crate::store::{Index, OnConflict, Order, Parent, Table, Tx, WriteTx, by_uuid};

pub static RESOURCE: Resource = Resource::of(routes).tables(&[&ROLES]).samples(samples);

fn routes() -> Vec<Route> {
    const TAG: Tag = Tag {
        name: "roles",
        noun: "role",
        about: "Named groups of members, which access to projects can be given to.",
    };

    let all = "/api/organizations/{organization_id}/roles/";
    let one = "/api/organizations/{organization_id}/roles/{id}/";
    let organization = Within::Organization("organization_id");
    let routes = vec![
        Route::get(all, scope("organization:read"), organization, read(list))
            .cached()
            .responds_page(FIELDS)
            .about("List roles", "With their members.")
            .queries(&[("name", "Only the role with exactly this name.")]),
        Route::post(all, scope("organization:write"), organization, write(post))
            .accepts(FIELDS)
            .responds(201, FIELDS)
            .about(
                "Create a role",
                "From admin level on. A name is unique in its organization, whatever its case.",
            ),
        Route::get(one, scope("organization:read"), organization, read(show))
            .cached()
            .responds(200, FIELDS)
            .about("Retrieve a role", "With its members."),
        Route::put(one, scope("organization:write"), organization, write(patch))
            .accepts(FIELDS)
            .responds(200, FIELDS)
            .about("Replace a role", "From admin level on."),
        Route::patch(one, scope("organization:write"), organization, write(patch))
            .accepts(FIELDS)
            .responds(200, FIELDS)
            .about("Change a role", "Only the fields that are sent change. From admin level on."),
        Route::delete(one, scope("organization:write"), organization, write(delete))
            .responds_nothing()
            .about("Delete a role", "With its memberships and the access that it gave. From admin level on."),
    ];
    tagged(TAG, routes)
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Role {
    pub name: String,
    pub feature_flags_access_level: u8,
    pub created_by: UserId,
    pub created_at: Time,
}

/// By organization, and by time.
pub(super) static ROLES: Table<(OrganizationId, RoleId), Role> = Table::new("roles")
    .counted(by_uuid)
    .indexed(&[&BY_NAME])
    .belongs_to(&[&Parent::of(&organizations::ORGANIZATIONS, |organization| *organization)]);
/// By organization and name in lower case.
static BY_NAME: Index<(OrganizationId, RoleId), Role, (OrganizationId, String), RoleId> =
    Index::unique("roles_by_name", |(organization, id), role| {
        Some(((*organization, role.name.to_lowercase()), *id))
    });

/// May only view feature flags, or always edit them.
const FLAG_LEVELS: &[i64] = &[21, CAN_ALWAYS_EDIT as i64];
const CAN_ALWAYS_EDIT: u8 = 37;

const NAME: Field<String> = Field::text("name", 200).required();
const FEATURE_FLAGS_ACCESS_LEVEL: Field<u8> = Field::choice("feature_flags_access_level", FLAG_LEVELS)
    .described("Stored and shown; nothing here reads it.");
pub const FIELDS: &[FieldInfo] = &[
    Field::uuid("id").read_only(),
    NAME.info(),
    FEATURE_FLAGS_ACCESS_LEVEL.info(),
    Field::time("created_at").read_only(),
    Field::object("created_by", users::BASIC).nullable().read_only(),
    Field::objects("members", role_memberships::FIELDS).read_only(),
    Field::json("associated_flags").read_only(),
    Field::boolean("is_default")
        .read_only()
        .described("Whether new members are put into it: the organization's `default_role_id`."),
];

#[derive(Serialize)]
struct Wire<'a> {
    id: RoleId,
    name: &'a str,
    feature_flags_access_level: u8,
    created_at: Time,
    created_by: Option<users::Basic<'a>>,
    members: Vec<role_memberships::Wire<'a>>,
    /// There are no feature flags here that a role could edit.
    associated_flags: [(); 0],
    is_default: bool,
}

/// A role with everybody who is shown with it.
pub struct Loaded {
    pub id: RoleId,
    pub role: Role,
    pub creator: Option<users::Profile>,
    pub members: Vec<role_memberships::Row>,
    pub is_default: bool,
}

/// What decides how the roles of an organization are shown to a caller.
struct View {
    organization: OrganizationId,
    visible: Visible,
    default: Option<RoleId>,
    hides_creator: bool,
}

impl View {
    fn of(call: &Call, tx: &Tx) -> Result<View> {
        let view = View::whole(call, tx, call.place.in_organization()?)?;
        Ok(View { hides_creator: hides_creator(call), ..view })
    }

    fn whole(ctx: &Ctx, tx: &Tx, at: InOrganization) -> Result<View> {
        Ok(View {
            organization: at.id,
            visible: Visible::of(tx, at, ctx.user()?)?,
            default: organizations::default_role(tx, at.id)?,
            hides_creator: false,
        })
    }

    fn load(&self, tx: &Tx, id: RoleId, role: Role) -> Result<Loaded> {
        let is_hidden = self.hides_creator || !self.visible.has(role.created_by);
        let creator = if is_hidden { None } else { users::Profile::load(tx, role.created_by)? };
        let members = role_memberships::of_role(tx, self.organization, id, &self.visible)?;
        Ok(Loaded { id, role, creator, members, is_default: self.default == Some(id) })
    }
}

impl Loaded {
    fn wire(&self) -> Wire<'_> {
        let Loaded { id, role, creator, members, is_default } = self;
        Wire {
            id: *id,
            name: &role.name,
            feature_flags_access_level: role.feature_flags_access_level,
            created_at: role.created_at,
            created_by: creator.as_ref().map(users::Profile::basic),
            members: members.iter().map(role_memberships::wire).collect(),
            associated_flags: [],
            is_default: *is_default,
        }
    }
}

/// The official Terraform provider reads a role's `created_by` as text or null and fails on the object
/// that the API page shows. This is the only answer that depends on the client.
fn hides_creator(call: &Call) -> bool {
    call.user_agent.starts_with("posthog/terraform-provider")
}

/// `?name=` finds the role of exactly this name.
fn list(call: &Call, tx: &Tx) -> Result<Reply> {
    let organization = call.place.in_organization()?.id;
    let paging = Paging::of(call);
    let (total, page) = match call.query("name") {
        Some(name) => {
            let named = by_name(tx, organization, name)?.filter(|(_, role)| role.name == name);
            (u64::from(named.is_some()), paging.cut(named.into_iter().collect()))
        }
        None => {
            let (total, page) =
                tx.page(&ROLES, &organization, Order::Ascending, paging.offset, paging.limit)?;
            (total, page.into_iter().map(|((_, id), role)| (id, role)).collect())
        }
    };
    let view = View::of(call, tx)?;
    let found = page.into_iter().map(|(id, role)| view.load(tx, id, role));
    let found = found.collect::<Result<Vec<Loaded>>>()?;
    paging.reply(call, total, &found.iter().map(Loaded::wire).collect::<Vec<_>>())
}

fn post(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let at = call.place.in_organization()?;
    let (id, role) = create(call, tx, at, call.input())?;
    Reply::created(&View::of(call, tx)?.load(tx, id, role)?.wire())
}

fn show(call: &Call, tx: &Tx) -> Result<Reply> {
    let organization = call.place.in_organization()?.id;
    let id = call.id("id")?;
    let role = find(tx, organization, id)?;
    Reply::ok(&View::of(call, tx)?.load(tx, id, role)?.wire())
}

fn patch(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let at = call.place.in_organization()?;
    let id = call.id("id")?;
    let role = update(call, tx, at, id, call.input())?;
    Reply::ok(&View::of(call, tx)?.load(tx, id, role)?.wire())
}

fn delete(call: &Call, tx: &WriteTx) -> Result<Reply> {
    remove(call, tx, call.place.in_organization()?, call.id("id")?)?;
    Reply::no_content()
}

/// Makes a role. From admin level on.
///
/// `feature_flags_access_level` is checked but not taken over: a new role has the organization's
/// default, and changing that is no part of this API.
///
/// # Errors
/// 403 below admin; 400 for wrong fields, or a name that another role has.
pub fn create(ctx: &Ctx, tx: &WriteTx, at: InOrganization, input: Input<'_>) -> Result<(RoleId, Role)> {
    create_as(ctx, tx, at, ctx.new_id(), input)
}

/// The same with an identifier that is given.
///
/// # Errors
/// As for `create`.
pub fn create_as(
    ctx: &Ctx,
    tx: &WriteTx,
    at: InOrganization,
    id: RoleId,
    input: Input<'_>,
) -> Result<(RoleId, Role)> {
    let organization = require_admin(at)?;
    let mut role = Role {
        name: String::new(),
        feature_flags_access_level: CAN_ALWAYS_EDIT,
        created_by: ctx.user()?,
        created_at: ctx.now,
    };
    let mut form = input.form(FIELDS)?;
    form.set(NAME, &mut role.name);
    form.ignore(FEATURE_FLAGS_ACCESS_LEVEL);
    form.finish();
    tx.insert(&ROLES, &(organization, id), &role).on_conflict(&BY_NAME, taken)?;
    audit::record(ctx, tx, organization, Change::created(scopes::ROLE, id, &role.name))?;
    Ok((id, role))
}

/// Changes a role. From admin level on.
///
/// # Errors
/// 403 below admin; 404 where the organization has no such role; 400 as for `create`.
pub fn update(ctx: &Ctx, tx: &WriteTx, at: InOrganization, id: RoleId, input: Input<'_>) -> Result<Role> {
    let organization = require_admin(at)?;
    let before = find(tx, organization, id)?;
    let mut role = before.clone();
    let mut form = input.form(FIELDS)?;
    form.set(NAME, &mut role.name);
    form.set(FEATURE_FLAGS_ACCESS_LEVEL, &mut role.feature_flags_access_level);
    form.finish();
    tx.replace(&ROLES, &(organization, id), &before, &role).on_conflict(&BY_NAME, taken)?;
    let changes = audit::differences(scopes::ROLE, &before, &role)?;
    audit::record(ctx, tx, organization, Change::updated(scopes::ROLE, id, &role.name, changes))?;
    Ok(role)
}

/// Deletes a role with its memberships and the access that it gave. From admin level on.
///
/// # Errors
/// 403 below admin; 404 where the organization has no such role.
pub fn remove(ctx: &Ctx, tx: &WriteTx, at: InOrganization, id: RoleId) -> Result<()> {
    let organization = require_admin(at)?;
    let role = find(tx, organization, id)?;
    organizations::on_role_removed(ctx, tx, organization, id)?;
    tx.delete(&ROLES, &(organization, id))?;
    audit::record(ctx, tx, organization, Change::deleted(scopes::ROLE, id, &role.name))?;
    batch_exports::authors::pause_all_lost(ctx, tx, organization)
}

/// Where a member has gone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    In,
    Out,
}

/// Writes down that a member was put into a role, or taken out of it.
pub(super) fn log_member(
    ctx: &Ctx,
    tx: &WriteTx,
    organization: OrganizationId,
    role: RoleId,
    user: UserId,
    way: Move,
) -> Result<()> {
    let name = find(tx, organization, role)?.name;
    let email: Value = users::find(tx, user)?.email.into();
    let change = match way {
        Move::In => audit::field_change(scopes::ROLE, "members", Value::Null, email, "created"),
        Move::Out => audit::field_change(scopes::ROLE, "members", email, Value::Null, "deleted"),
    };
    let change = Change::updated(scopes::ROLE, role, &name, vec![change]);
    audit::record_by(ctx, tx, members::actor_or(ctx, user), organization, change)
}

/// The organization, for somebody who may change its roles and who is in them.
pub(super) fn require_admin(at: InOrganization) -> Result<OrganizationId> {
    if at.level < Level::Admin {
        return Err(denied("You need to have admin level or higher."));
    }
    Ok(at.id)
}

fn taken() -> Error {
    invalid("name", "unique", "There is already a role with this name.")
}

/// A role of an organization, or 404.
pub fn find(tx: &Tx, organization: OrganizationId, id: RoleId) -> Result<Role> {
    tx.get(&ROLES, &(organization, id))?.ok_or_else(not_found)
}

/// The role of this name, whatever its case.
pub fn by_name(tx: &Tx, organization: OrganizationId, name: &str) -> Result<Option<(RoleId, Role)>> {
    let Some(id) = tx.get(&BY_NAME, &(organization, name.to_lowercase()))? else { return Ok(None) };
    Ok(tx.get(&ROLES, &(organization, id))?.map(|role| (id, role)))
}

/// How many roles an organization has whose name has the text in it, and a page of them, the oldest first, with the
/// members whom the actor sees.
///
/// # Errors
/// None but of the data file.
pub fn find_page(
    ctx: &Ctx,
    tx: &Tx,
    at: InOrganization,
    text: &str,
    paging: Paging,
) -> Result<(u64, Vec<Loaded>)> {
    let text = text.trim().to_lowercase();
    let (total, page) = if text.is_empty() {
        tx.page(&ROLES, &at.id, Order::Ascending, paging.offset, paging.limit)?
    } else {
        let mut all = tx.scan(&ROLES, &at.id, Order::Ascending)?;
        all.retain(|(_, role)| role.name.to_lowercase().contains(&text));
        (all.len() as u64, paging.cut(all))
    };
    let view = View::whole(ctx, tx, at)?;
    let rows = page.into_iter().map(|((_, id), role)| view.load(tx, id, role));
    Ok((total, rows.collect::<Result<_>>()?))
}

/// A role with the members whom the actor sees.
///
/// # Errors
/// 404 where the organization has no such role.
pub fn load(ctx: &Ctx, tx: &Tx, at: InOrganization, id: RoleId) -> Result<Loaded> {
    View::whole(ctx, tx, at)?.load(tx, id, find(tx, at.id, id)?)
}

/// Whether the organization has this role.
pub fn exists(tx: &Tx, organization: OrganizationId, id: RoleId) -> Result<bool> {
    Ok(tx.has(&ROLES, &(organization, id))?)
}

/// The roles of an organization and their names, oldest first.
pub fn names(tx: &Tx, organization: OrganizationId) -> Result<Vec<(RoleId, String)>> {
    let all = tx.scan(&ROLES, &organization, Order::Ascending)?;
    Ok(all.into_iter().map(|((_, id), role)| (id, role.name)).collect())
}

/// What a role is called, where the organization has it.
pub fn name(tx: &Tx, organization: OrganizationId, id: RoleId) -> Result<Option<String>> {
    Ok(tx.get(&ROLES, &(organization, id))?.map(|role| role.name))
}

fn samples(all: &mut super::samples::Samples) {
    use super::samples::{NOW, ONE, TWO, text};
    all.add(
        &ROLES,
        (ONE.into(), TWO.into()),
        Role { name: text("Role"), feature_flags_access_level: 21, created_by: ONE.into(), created_at: NOW },
    );
}
