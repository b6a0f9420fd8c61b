//! Members: who belongs to an organization, and at which level.
//! Invariant: a level-15 membership is never deleted, only demoted, so that somebody owns each
//! organization.

mod keys;
mod listed;
mod log;
mod operator;
mod visible;

use serde::{Deserialize, Serialize};

use super::{
    Resource, access_controls, addresses, batch_exports, invites, last_logins, organizations, two_factor,
    users,
};
use crate::api::level::LEVELS;
use crate::api::{Call, Ctx, Field, FieldInfo, InOrganization, Input, Level, Paging, Reply, Within};
use crate::app::{Route, Tag, read, scope, tagged, write};
use crate::auth::scopes;
use crate::clock::Time;
use crate::error::{Result, denied, invalid_body, not_found};
use crate::ids::{MembershipId, OrganizationId, UserId};
use crate::store::{Index, Order, Parent, ParentThrough, Table, Tx, WriteTx, by_uuid};

pub use listed::{Wanted, find_page};
use log::{Logged, log, log_of};
pub use log::{actor_or, label};
pub use operator::{leave_all, make_owner};
pub use visible::{Visible, is_open_by_default};

pub static RESOURCE: Resource = Resource::of(routes).tables(&[&MEMBERS]).samples(samples);

fn routes() -> Vec<Route> {
    const TAG: Tag = Tag {
        name: "members",
        noun: "member",
        about: "Members of an organization and their levels: 1 member, 8 admin, 15 owner.",
    };

    let all = "/api/organizations/{organization_id}/members/";
    let one = "/api/organizations/{organization_id}/members/{user__uuid}/";
    let keys_of_one = "/api/organizations/{organization_id}/members/{user__uuid}/scoped_api_keys/";
    let organization = Within::Organization("organization_id");
    let routes = vec![
        Route::get(all, scope("organization_member:read"), organization, read(listed::list))
            .cached()
            .responds_page(FIELDS)
            .about(
                "List members",
                "The newest first unless `order` says otherwise. Plain members see all of them only where \
                 `members_can_see_org_members` is on.",
            )
            .queries(listed::QUERIES),
        Route::put(one, scope("organization_member:write"), organization, write(patch))
            .accepts(FIELDS)
            .responds(200, FIELDS)
            .about("Replace a member's level", "The same as PATCH."),
        Route::patch(one, scope("organization_member:write"), organization, write(patch))
            .accepts(FIELDS)
            .responds(200, FIELDS)
            .about(
                "Change a member's level",
                "From admin level on, for members up to the caller's own level. Only owners make \
                 owners; nobody changes their own level.",
            ),
        Route::delete(one, scope("organization_member:write"), organization, write(delete))
            .responds_nothing()
            .about(
                "Remove a member, or leave",
                "From admin level on, or the caller themselves. Open invites, roles and access that \
                 the membership gave end with it. Owners can't be removed, only demoted.",
            ),
        Route::get(keys_of_one, scope("organization_member:read"), organization, read(keys::list))
            .responds(200, keys::KEYS)
            .about(
                "List the keys of a member",
                "Those that reach the organization, by label: what ends with the membership. For admins and \
                 the member.",
            ),
        Route::get(
            format!("{one}github_login/"),
            scope("organization_member:read"),
            organization,
            read(keys::github_login),
        )
        .responds(200, keys::GITHUB_LOGIN)
        .about("Retrieve the GitHub login of a member", "Always null: there is no social log-in here."),
    ];
    tagged(TAG, routes)
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Member {
    pub id: MembershipId,
    pub level: Level,
    pub joined_at: Time,
    pub updated_at: Time,
}

/// By user and organization: the organizations of a user, in the order of their making.
pub(super) static MEMBERS: Table<(UserId, OrganizationId), Member> =
    Table::new("members_by_user").counted(by_uuid).indexed(&[&BY_JOINING]).belongs_to(&[
        &Parent::of(&users::USERS, |user| *user),
        &ParentThrough {
            table: &organizations::ORGANIZATIONS,
            front: |organization| *organization,
            index: &BY_JOINING,
            child: |(organization, _), user| (*user, *organization),
        },
    ]);
/// By organization and membership, so in the order of joining.
pub(super) static BY_JOINING: Index<
    (UserId, OrganizationId),
    Member,
    (OrganizationId, MembershipId),
    UserId,
> = Index::new("members_by_joining", |(user, organization): &(UserId, OrganizationId), member: &Member| {
    Some(((*organization, member.id), *user))
})
.counted(by_uuid);

const LEVEL: Field<u8> = Field::choice("level", LEVELS).described("1 member, 8 admin, 15 owner.");
pub const FIELDS: &[FieldInfo] = &[
    Field::uuid("id").read_only(),
    Field::object("user", users::BASIC).read_only(),
    LEVEL.info(),
    Field::time("joined_at").read_only(),
    Field::time("updated_at").read_only(),
    Field::boolean("is_2fa_enabled").read_only(),
    Field::boolean("has_social_auth").read_only(),
    Field::time("last_login")
        .nullable()
        .read_only()
        .described("By whichever method; null where it never was."),
    Field::text("search_match_type", 20)
        .nullable()
        .read_only()
        .described("`exact` in the answer to a search, else null."),
];

#[derive(Serialize)]
pub struct Wire<'a> {
    id: MembershipId,
    user: users::Basic<'a>,
    level: Level,
    joined_at: Time,
    updated_at: Time,
    is_2fa_enabled: bool,
    has_social_auth: bool,
    last_login: Option<Time>,
    search_match_type: Option<&'static str>,
}

/// A membership with the person whom it is of.
pub struct Row {
    pub uuid: UserId,
    pub user: users::User,
    pub member: Member,
    pub is_2fa_enabled: bool,
    pub is_email_verified: Option<bool>,
    pub last_login: Option<Time>,
}

pub fn wire(row: &Row) -> Wire<'_> {
    let Row { uuid, user, member, is_2fa_enabled, is_email_verified, last_login } = row;
    Wire {
        id: member.id,
        user: user.basic(*uuid, *is_email_verified),
        level: member.level,
        joined_at: member.joined_at,
        updated_at: member.updated_at,
        is_2fa_enabled: *is_2fa_enabled,
        has_social_auth: false,
        last_login: *last_login,
        search_match_type: None,
    }
}

/// A member with everything that is shown of them, or 404.
pub fn load(tx: &Tx, organization: OrganizationId, uuid: UserId) -> Result<Row> {
    let member = find(tx, organization, uuid)?;
    Ok(Row {
        uuid,
        user: users::find(tx, uuid)?,
        member,
        is_2fa_enabled: two_factor::is_enabled(tx, uuid)?,
        is_email_verified: addresses::of(tx, uuid)?.is_verified,
        last_login: last_logins::of(tx, uuid)?,
    })
}

fn patch(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let at = call.place.in_organization()?;
    let target = target(call, tx)?;
    update(call, tx, at, target, call.input())?;
    Reply::ok(&wire(&load(tx, at.id, target)?))
}

fn delete(call: &Call, tx: &WriteTx) -> Result<Reply> {
    remove(call, tx, call.place.in_organization()?, target(call, tx)?)?;
    Reply::no_content()
}

/// Changes a member's level: from admin level on, for members up to the actor's own level. Open invites that
/// the member could not send any more are taken back.
///
/// # Errors
/// 404 for whoever is no member; 403 for what the actor may not change or give; 400 for wrong fields.
pub fn update(ctx: &Ctx, tx: &WriteTx, at: InOrganization, user: UserId, input: Input<'_>) -> Result<()> {
    let InOrganization { id: organization, level: mine } = at;
    let mut member = find(tx, organization, user)?;
    let is_self = ctx.is_caller(user);
    may_edit(is_self, mine, member.level)?;
    let Some(number) = input.form(FIELDS)?.only(LEVEL) else { return Ok(()) };
    let level = Level::of(number.into()).ok_or_else(not_found)?;
    may_grant(is_self, mine, level)?;
    if level > member.level {
        key_may_give(ctx, level)?;
    }
    let before = std::mem::replace(&mut member.level, level);
    member.updated_at = ctx.now;
    tx.put(&MEMBERS, &(user, organization), &member)?;
    log(ctx, tx, organization, user, &member, Logged::Level(before))?;
    invites::take_back_above(ctx, tx, organization, user, Some(level))?;
    batch_exports::authors::pause_all_lost(ctx, tx, organization)
}

/// Ends a membership, the actor's own or, from admin level on, another one up to their level. Open invites that
/// the member has sent, their roles, and the access that the membership gave end with it.
///
/// # Errors
/// 404 for whoever is no member; 403 for whom the actor may not remove; 400 for an owner.
pub fn remove(ctx: &Ctx, tx: &WriteTx, at: InOrganization, user: UserId) -> Result<()> {
    let InOrganization { id: organization, level: mine } = at;
    let member = find(tx, organization, user)?;
    may_edit(ctx.is_caller(user), mine, member.level)?;
    if member.level == Level::Owner {
        return Err(invalid_body("invalid_input", "Cannot leave the organization as its owner!"));
    }
    end(ctx, tx, organization, user, &member)
}

/// Ends a membership with all that it gave.
fn end(ctx: &Ctx, tx: &WriteTx, organization: OrganizationId, user: UserId, member: &Member) -> Result<()> {
    invites::take_back_above(ctx, tx, organization, user, None)?;
    access_controls::on_member_left(tx, organization, member.id)?;
    tx.delete(&MEMBERS, &(user, organization))?;
    log(ctx, tx, organization, user, member, Logged::Left)?;
    batch_exports::authors::pause_all_lost(ctx, tx, organization)
}

/// Makes the user a member.
///
/// # Errors
/// The storage failed.
pub fn join(
    ctx: &Ctx,
    tx: &WriteTx,
    organization: OrganizationId,
    user: UserId,
    level: Level,
) -> Result<MembershipId> {
    let name = organizations::find(tx, organization)?.name;
    join_known(ctx, tx, (organization, &name), (user, &users::find(tx, user)?), level)
}

/// The same for whoever knows the organization's name and the user.
///
/// # Errors
/// The storage failed.
pub fn join_known(
    ctx: &Ctx,
    tx: &WriteTx,
    organization: (OrganizationId, &str),
    user: (UserId, &users::User),
    level: Level,
) -> Result<MembershipId> {
    let member = Member { id: ctx.new_id(), level, joined_at: ctx.now, updated_at: ctx.now };
    tx.insert(&MEMBERS, &(user.0, organization.0), &member)?;
    log_of(ctx, tx, organization, user, &member, Logged::Joined)?;
    Ok(member.id)
}

/// The member whom the path names; 404 for whoever is none, and for whom the caller does not see.
fn target(call: &Call, tx: &Tx) -> Result<UserId> {
    let caller = call.user()?;
    let user = match call.param("user__uuid") {
        "@me" => caller,
        _ => call.id("user__uuid")?,
    };
    let at = call.place.in_organization()?;
    find(tx, at.id, user)?;
    if user == caller || Visible::of(tx, at, caller)?.has(user) { Ok(user) } else { Err(not_found()) }
}

/// Whether I may touch this membership at all.
fn may_edit(is_self: bool, mine: Level, theirs: Level) -> Result<()> {
    if !is_self && mine < Level::Admin {
        return Err(denied("You can only edit others if you are an admin."));
    }
    if theirs > mine {
        return Err(denied("You can only edit others with level lower or equal to you."));
    }
    Ok(())
}

/// Whether I may give this level.
fn may_grant(is_self: bool, mine: Level, level: Level) -> Result<()> {
    if is_self {
        return Err(denied("You can't change your own access level."));
    }
    if level == Level::Owner && mine != Level::Owner {
        let detail = "You can only make another member owner if you're this organization's owner.";
        return Err(denied(detail));
    }
    if level > mine {
        let detail = "You can only change access level of others to lower or equal to your current one.";
        return Err(denied(detail));
    }
    Ok(())
}

/// The levels that the actor may give the member; none where they may not change them.
pub fn levels_to_give(ctx: &Ctx, at: InOrganization, user: UserId, member: &Member) -> Result<Vec<Level>> {
    let is_self = user == ctx.user()?;
    if may_edit(is_self, at.level, member.level).is_err() {
        return Ok(Vec::new());
    }
    let all = LEVELS.iter().filter_map(|number| Level::of(*number));
    Ok(all.filter(|level| may_grant(is_self, at.level, *level).is_ok()).collect())
}

/// Whether the actor may end the membership.
pub fn may_remove(ctx: &Ctx, at: InOrganization, user: UserId, member: &Member) -> Result<bool> {
    let is_self = user == ctx.user()?;
    Ok(member.level != Level::Owner && may_edit(is_self, at.level, member.level).is_ok())
}

/// Whether a caller by key may let somebody have this level: above member, that takes the scope for the whole
/// organization, or a key for its members alone could make itself an owner.
pub fn key_may_give(ctx: &Ctx, level: Level) -> Result<()> {
    let Some(key) = ctx.actor.key() else { return Ok(()) };
    if level == Level::Member || scopes::require(&key.scopes, "organization:write").is_ok() {
        return Ok(());
    }
    Err(denied("An API key gives levels above member only with the scope 'organization:write'."))
}

/// The user's level in the organization, if they are a member.
pub fn level_of(tx: &Tx, organization: OrganizationId, user: UserId) -> Result<Option<Level>> {
    Ok(tx.get(&MEMBERS, &(user, organization))?.map(|member| member.level))
}

/// How many members an organization has.
pub fn count(tx: &Tx, organization: OrganizationId) -> Result<u64> {
    Ok(tx.count(&BY_JOINING, &organization)?)
}

/// A membership, or 404.
pub fn find(tx: &Tx, organization: OrganizationId, user: UserId) -> Result<Member> {
    tx.get(&MEMBERS, &(user, organization))?.ok_or_else(not_found)
}

/// The user of a membership.
pub fn by_id(tx: &Tx, organization: OrganizationId, id: MembershipId) -> Result<Option<UserId>> {
    Ok(tx.get(&BY_JOINING, &(organization, id))?)
}

/// All members of an organization, in the order of joining.
pub fn users_of(tx: &Tx, organization: OrganizationId) -> Result<Vec<UserId>> {
    let all = tx.scan(&BY_JOINING, &organization, Order::Ascending)?;
    Ok(all.into_iter().map(|(_, user)| user).collect())
}

/// The first members of an organization, at most `limit`.
pub fn first_users(tx: &Tx, organization: OrganizationId, limit: u64) -> Result<Vec<users::User>> {
    let (_, page) = tx.page(&BY_JOINING, &organization, Order::Ascending, 0, limit)?;
    page.into_iter().map(|(_, user)| users::find(tx, user)).collect()
}

/// The members of an organization with their levels, the oldest membership first.
pub fn levels(tx: &Tx, organization: OrganizationId) -> Result<Vec<(UserId, Level)>> {
    let all = tx.scan(&BY_JOINING, &organization, Order::Ascending)?.into_iter();
    all.map(|(_, user)| Ok((user, find(tx, organization, user)?.level))).collect()
}

/// The users of some of an organization's members, oldest membership first, and how many there are.
pub fn users_page(
    tx: &Tx,
    organization: OrganizationId,
    offset: u64,
    limit: u64,
) -> Result<(u64, Vec<UserId>)> {
    let (total, page) = tx.page(&BY_JOINING, &organization, Order::Ascending, offset, limit)?;
    Ok((total, page.into_iter().map(|(_, user)| user).collect()))
}

/// The organizations of a user, oldest first, with their level in each.
pub fn organizations_of(tx: &Tx, user: UserId) -> Result<Vec<InOrganization>> {
    let all = tx.scan(&MEMBERS, &user, Order::Ascending)?;
    Ok(all.into_iter().map(|((_, id), member)| InOrganization { id, level: member.level }).collect())
}

/// One page of them, and how many there are.
pub fn organizations_page(tx: &Tx, user: UserId, paging: Paging) -> Result<(u64, Vec<InOrganization>)> {
    let (total, page) = tx.page(&MEMBERS, &user, Order::Ascending, paging.offset, paging.limit)?;
    Ok((
        total,
        page.into_iter().map(|((_, id), member)| InOrganization { id, level: member.level }).collect(),
    ))
}

/// The user's first organization.
pub fn first_of(tx: &Tx, user: UserId) -> Result<Option<InOrganization>> {
    let (_, page) = tx.page(&MEMBERS, &user, Order::Ascending, 0, 1)?;
    Ok(page.first().map(|((_, id), member)| InOrganization { id: *id, level: member.level }))
}

fn samples(all: &mut super::samples::Samples) {
    use super::samples::{NOW, ONE, TWO};
    let member = Member { id: TWO.into(), level: Level::Owner, joined_at: NOW, updated_at: NOW };
    all.add(&MEMBERS, (ONE.into(), TWO.into()), member);
    all.variants("level", &crate::every!(Level { Member, Admin, Owner }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence_of(outcome: Result<()>) -> String {
        outcome.err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn who_may_edit_whom() {
        use Level::{Admin, Member, Owner};
        for (is_self, mine, theirs, allowed) in [
            (false, Member, Member, false),
            (true, Member, Member, true),
            (false, Admin, Admin, true),
            (false, Admin, Owner, false),
            (false, Owner, Owner, true),
        ] {
            assert_eq!(may_edit(is_self, mine, theirs).is_ok(), allowed, "{mine:?} {theirs:?}");
        }
    }

    #[test]
    fn who_may_grant_what() {
        use Level::{Admin, Member, Owner};
        assert!(sentence_of(may_grant(true, Owner, Owner)).contains("your own"));
        assert!(sentence_of(may_grant(false, Admin, Owner)).contains("organization's owner"));
        assert!(sentence_of(may_grant(false, Member, Admin)).contains("lower or equal"));
        assert_eq!(sentence_of(may_grant(false, Admin, Admin)), "");
        assert_eq!(sentence_of(may_grant(false, Owner, Owner)), "");
    }
}
