//! Who is in which role.
//! Invariant: somebody is in a role at most once, and only while they belong to its organization.

use serde::{Deserialize, Serialize};

use super::members::Visible;
use super::roles::Move;
use super::{Resource, batch_exports, members, roles, users};
use crate::api::{Call, Ctx, Field, FieldInfo, InOrganization, Input, Paging, Reply, Within};
use crate::app::{Route, Tag, read, scope, tagged, write};
use crate::clock::Time;
use crate::error::{Result, invalid_body, not_found};
use crate::ids::{OrganizationId, RoleId, RoleMembershipId, UserId};
use crate::store::{Index, Order, Parent, ParentThrough, Table, Tx, WriteTx, by_uuid};

pub static RESOURCE: Resource = Resource::of(routes).tables(&[&MEMBERSHIPS]).samples(samples);

fn routes() -> Vec<Route> {
    const TAG: Tag =
        Tag { name: "role_memberships", noun: "role membership", about: "Who is in which role." };

    let all = "/api/organizations/{organization_id}/roles/{role_id}/role_memberships/";
    let one = "/api/organizations/{organization_id}/roles/{role_id}/role_memberships/{id}/";
    let organization = Within::Organization("organization_id");
    let routes = vec![
        Route::get(all, scope("organization:read"), organization, read(list))
            .cached()
            .responds_page(FIELDS)
            .about("List the members of a role", "In the order in which they joined it."),
        Route::post(all, scope("organization:write"), organization, write(post))
            .accepts(FIELDS)
            .responds(201, FIELDS)
            .about(
                "Put a member into a role",
                "From admin level on. `user_uuid` is a member of the organization.",
            ),
        Route::get(one, scope("organization:read"), organization, read(show))
            .responds(200, FIELDS)
            .about("Retrieve a role membership", "With its user and its member."),
        Route::delete(one, scope("organization:write"), organization, write(delete))
            .responds_nothing()
            .about(
                "Take a member out of a role",
                "From admin level on. Access that only this role gave ends at once.",
            ),
    ];
    tagged(TAG, routes)
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RoleMembership {
    pub organization: OrganizationId,
    pub user: UserId,
    pub joined_at: Time,
    pub updated_at: Time,
}

/// A role, and the membership in it.
pub type Key = (RoleId, RoleMembershipId);

/// By role, and by time.
pub(super) static MEMBERSHIPS: Table<Key, RoleMembership> =
    Table::new("role_memberships").counted(by_uuid).indexed(&[&BY_USER]).belongs_to(&[
        &Parent::of(&roles::ROLES, |(_, role)| *role),
        &ParentThrough {
            table: &members::MEMBERS,
            front: |(user, organization)| (*organization, *user),
            index: &BY_USER,
            child: |(_, _, role), id| (*role, *id),
        },
    ]);
/// By organization, user and role: the roles of a user.
static BY_USER: Index<Key, RoleMembership, (OrganizationId, UserId, RoleId), RoleMembershipId> =
    Index::unique("role_memberships_by_user", |(role, id), membership| {
        Some(((membership.organization, membership.user, *role), *id))
    });

const USER_UUID: Field<UserId> = Field::id("user_uuid").required();
pub const FIELDS: &[FieldInfo] = &[
    Field::uuid("id").read_only(),
    Field::uuid("role_id").read_only(),
    Field::object("organization_member", members::FIELDS).read_only(),
    Field::object("user", users::BASIC).read_only(),
    Field::time("joined_at").read_only(),
    Field::time("updated_at").read_only(),
    USER_UUID.info(),
];

#[derive(Serialize)]
pub struct Wire<'a> {
    id: RoleMembershipId,
    role_id: RoleId,
    organization_member: members::Wire<'a>,
    user: users::Basic<'a>,
    joined_at: Time,
    updated_at: Time,
    user_uuid: UserId,
}

/// A membership with the member that it is of.
pub struct Row {
    pub id: RoleMembershipId,
    pub role: RoleId,
    pub membership: RoleMembership,
    pub member: members::Row,
}

pub fn wire(row: &Row) -> Wire<'_> {
    Wire {
        id: row.id,
        role_id: row.role,
        organization_member: members::wire(&row.member),
        user: row.member.user.basic(row.membership.user, row.member.is_email_verified),
        joined_at: row.membership.joined_at,
        updated_at: row.membership.updated_at,
        user_uuid: row.membership.user,
    }
}

fn load(
    tx: &Tx,
    organization: OrganizationId,
    ((role, id), membership): (Key, RoleMembership),
) -> Result<Row> {
    let member = members::load(tx, organization, membership.user)?;
    Ok(Row { id, role, membership, member })
}

/// An unknown role is in nobody's way here: it has no members.
fn list(call: &Call, tx: &Tx) -> Result<Reply> {
    let organization = call.place.in_organization()?.id;
    let paging = Paging::of(call);
    let role = call.id("role_id")?;
    let visible = Visible::of(tx, call.place.in_organization()?, call.user()?)?;
    let (total, page) = if !roles::exists(tx, organization, role)? {
        (0, Vec::new())
    } else if visible.is_everybody() {
        tx.page(&MEMBERSHIPS, &role, Order::Ascending, paging.offset, paging.limit)?
    } else {
        let mut all = tx.scan(&MEMBERSHIPS, &role, Order::Ascending)?;
        all.retain(|(_, membership)| visible.has(membership.user));
        (all.len() as u64, paging.cut(all))
    };
    let rows = page.into_iter().map(|row| load(tx, organization, row)).collect::<Result<Vec<Row>>>()?;
    paging.reply(call, total, &rows.iter().map(wire).collect::<Vec<_>>())
}

fn post(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let at = call.place.in_organization()?;
    let row = create(call, tx, at, call.id("role_id")?, call.input())?;
    Reply::created(&wire(&load(tx, at.id, row)?))
}

fn show(call: &Call, tx: &Tx) -> Result<Reply> {
    let organization = call.place.in_organization()?.id;
    let row = find(tx, organization, (call.id("role_id")?, call.id("id")?))?;
    if !Visible::of(tx, call.place.in_organization()?, call.user()?)?.has(row.1.user) {
        return Err(not_found());
    }
    Reply::ok(&wire(&load(tx, organization, row)?))
}

fn delete(call: &Call, tx: &WriteTx) -> Result<Reply> {
    remove(call, tx, call.place.in_organization()?, (call.id("role_id")?, call.id("id")?))?;
    Reply::no_content()
}

/// Puts a member into a role. From admin level on.
///
/// # Errors
/// 403 below admin; 400 for wrong fields, a role or a user that the organization does not have, or somebody who
/// is in the role.
pub fn create(
    ctx: &Ctx,
    tx: &WriteTx,
    at: InOrganization,
    role: RoleId,
    input: Input<'_>,
) -> Result<(Key, RoleMembership)> {
    let organization = roles::require_admin(at)?;
    let user: UserId = input.form(FIELDS)?.only(USER_UUID).ok_or_else(not_found)?;
    let refuse = |detail: &'static str| Err(invalid_body("invalid_input", detail));
    if !roles::exists(tx, organization, role)? {
        return refuse("Role does not exist.");
    }
    if members::level_of(tx, organization, user)?.is_none() {
        return refuse("User does not exist.");
    }
    if tx.has(&BY_USER, &(organization, user, role))? {
        return refuse("User is already part of the role.");
    }
    let made = insert(ctx, tx, organization, role, user)?;
    batch_exports::authors::pause_all_lost(ctx, tx, organization)?;
    Ok(made)
}

/// Puts a member into a role of their organization, which they are not in.
pub(super) fn insert(
    ctx: &Ctx,
    tx: &WriteTx,
    organization: OrganizationId,
    role: RoleId,
    user: UserId,
) -> Result<(Key, RoleMembership)> {
    let key = (role, ctx.new_id());
    let membership = RoleMembership { organization, user, joined_at: ctx.now, updated_at: ctx.now };
    tx.insert(&MEMBERSHIPS, &key, &membership)?;
    roles::log_member(ctx, tx, organization, role, user, Move::In)?;
    Ok((key, membership))
}

/// Takes a member out of a role, and with it the access that only this role gave. From admin level on.
///
/// # Errors
/// 403 below admin; 404 where the organization has no such role or the role no such membership.
pub fn remove(ctx: &Ctx, tx: &WriteTx, at: InOrganization, key: Key) -> Result<()> {
    let organization = roles::require_admin(at)?;
    let (_, membership) = find(tx, organization, key)?;
    tx.delete(&MEMBERSHIPS, &key)?;
    roles::log_member(ctx, tx, organization, key.0, membership.user, Move::Out)?;
    batch_exports::authors::pause_all_lost(ctx, tx, organization)
}

/// The membership of a user in a role.
pub fn of_user(tx: &Tx, organization: OrganizationId, role: RoleId, user: UserId) -> Result<Option<Key>> {
    Ok(tx.get(&BY_USER, &(organization, user, role))?.map(|id| (role, id)))
}

fn find(tx: &Tx, organization: OrganizationId, key: Key) -> Result<(Key, RoleMembership)> {
    if !roles::exists(tx, organization, key.0)? {
        return Err(not_found());
    }
    let membership = tx.get(&MEMBERSHIPS, &key)?.ok_or_else(not_found)?;
    Ok((key, membership))
}

/// Whoever is in the role and may be seen.
pub fn of_role(tx: &Tx, organization: OrganizationId, role: RoleId, visible: &Visible) -> Result<Vec<Row>> {
    let mut all = tx.scan(&MEMBERSHIPS, &role, Order::Ascending)?;
    all.retain(|(_, membership)| visible.has(membership.user));
    all.into_iter().map(|row| load(tx, organization, row)).collect()
}

/// Everybody who is in the role.
pub fn users_of(tx: &Tx, role: RoleId) -> Result<Vec<UserId>> {
    let all = tx.scan(&MEMBERSHIPS, &role, Order::Ascending)?;
    Ok(all.into_iter().map(|(_, membership)| membership.user).collect())
}

/// The roles that a user has in an organization.
pub fn roles_of(tx: &Tx, organization: OrganizationId, user: UserId) -> Result<Vec<RoleId>> {
    let all = tx.scan(&BY_USER, &(organization, user), Order::Ascending)?;
    Ok(all.into_iter().map(|((_, _, role), _)| role).collect())
}

fn samples(all: &mut super::samples::Samples) {
    use super::samples::{NOW, ONE, TWO};
    all.add(
        &MEMBERSHIPS,
        (ONE.into(), TWO.into()),
        RoleMembership { organization: TWO.into(), user: ONE.into(), joined_at: NOW, updated_at: NOW },
    );
}
