//! New users, and whom they become members of: the commands of signing up.

use serde_json::json;

use super::{
    ACCEPT, EMAIL, EMAIL_OPT_IN, FIRST_NAME, LAST_NAME, NEXT_URL, ORGANIZATION_NAME, PASSWORD,
    REFERRAL_SOURCE, ROLE_AT_ORGANIZATION, SIGN_UP,
};
use crate::api::fields::is_email;
use crate::api::{Ctx, Form, Input, Level};
use crate::error::{Result, id_taken, invalid};
use crate::ids::{MembershipId, OrganizationId, UserId};
use crate::resources::invites::{self, Loaded};
use crate::resources::organizations::{self, NAME_CHARS_MAX, Organization};
use crate::resources::outbox::{self, Letter};
use crate::resources::users::{self, User};
use crate::resources::{addresses, members, projects, role_memberships};
use crate::store::WriteTx;

/// Makes a user who signs up: a member of `home`, or else the owner of an organization of their own. Whether
/// they may is judged before.
///
/// # Errors
/// 400 for wrong fields, or an address that another user has.
pub fn create(
    ctx: &Ctx,
    tx: &WriteTx,
    home: Option<OrganizationId>,
    password_hash: &str,
    input: Input<'_>,
) -> Result<UserId> {
    let mut form = input.form(SIGN_UP)?;
    let email = form.take(EMAIL).unwrap_or_default();
    let mut user = new_user(ctx, tx, &email, password_hash, &mut form)?;
    user.is_staff = users::none_yet(tx)?;
    let name = form
        .take(ORGANIZATION_NAME)
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| own_organization(&user.first_name));
    // For the answer.
    form.ignore(NEXT_URL);
    // For PostHog's own marketing.
    form.ignore(REFERRAL_SOURCE);
    form.finish();
    let uuid = ctx.new_id();
    users::insert(tx, uuid, &user)?;
    match home {
        Some(organization) => enter(ctx, tx, organization, uuid, Level::Member).map(drop)?,
        None => {
            organizations::create_with_owner(ctx, tx, uuid, Organization::new(&name, ctx.now)).map(drop)?;
        }
    }
    // The first of all has shown the set-up code, and a domain vouches for its addresses.
    if home.is_none() && !user.is_staff {
        addresses::begin(ctx, tx, uuid)?;
    }
    Ok(uuid)
}

/// Makes a user who accepts an invite, with the invite's address.
///
/// # Errors
/// 400 for wrong fields, or an address that another user has.
pub fn create_invited(
    ctx: &Ctx,
    tx: &WriteTx,
    invite: &Loaded,
    password_hash: &str,
    input: Input<'_>,
) -> Result<UserId> {
    let mut form = input.form(ACCEPT)?;
    let user = new_user(ctx, tx, &invite.invite.target_email, password_hash, &mut form)?;
    form.finish();
    let uuid = ctx.new_id();
    users::insert(tx, uuid, &user)?;
    accept(ctx, tx, invite, uuid)?;
    Ok(uuid)
}

/// Lets a user in by an invite that is theirs, which is used up.
///
/// # Errors
/// The storage failed.
pub fn accept(ctx: &Ctx, tx: &WriteTx, invite: &Loaded, user: UserId) -> Result<()> {
    let membership = enter(ctx, tx, invite.organization, user, invite.invite.level)?;
    invites::give(ctx, tx, invite, membership)
}

/// Makes the user a member, and the organization their current one. An invite that they had is used up.
fn enter(
    ctx: &Ctx,
    tx: &WriteTx,
    organization: OrganizationId,
    user: UserId,
    level: Level,
) -> Result<MembershipId> {
    let record = organizations::find(tx, organization)?;
    if record.is_member_join_email_enabled && outbox::is_on(ctx) {
        let newcomer = users::find(tx, user)?;
        let letter = Letter::Joined {
            first_name: &newcomer.first_name,
            name: &newcomer.full_name(),
            email: &newcomer.email,
            organization: &record.name,
            level: members::label(level),
        };
        for member in members::first_users(tx, organization, u64::MAX)? {
            users::tell(ctx, tx, &member, &letter)?;
        }
    }
    admit(ctx, tx, organization, user, level)
}

/// The same without a mail to the others.
pub fn admit(
    ctx: &Ctx,
    tx: &WriteTx,
    organization: OrganizationId,
    user: UserId,
    level: Level,
) -> Result<MembershipId> {
    let membership = members::join(ctx, tx, organization, user, level)?;
    if let Some(role) = organizations::default_role(tx, organization)? {
        role_memberships::insert(ctx, tx, organization, role, user)?;
    }
    let record = users::find(tx, user)?;
    invites::on_joined(ctx, tx, organization, user, &record.email)?;
    let project = projects::first_visible(tx, organization, user, level)?;
    users::make_current(tx, user, record, Some(organization), project)?;
    Ok(membership)
}

/// The name of an organization that was given none.
fn own_organization(first_name: &str) -> String {
    let name: String = first_name.chars().take(NAME_CHARS_MAX - "'s Organization".len()).collect();
    format!("{name}'s Organization")
}

/// A user record with what the form says.
fn new_user(ctx: &Ctx, tx: &WriteTx, email: &str, password_hash: &str, form: &mut Form) -> Result<User> {
    let mut user = blank_user(ctx, tx, email)?;
    user.password_hash = Some(password_hash.to_owned());
    form.set(FIRST_NAME, &mut user.first_name);
    form.set(LAST_NAME, &mut user.last_name);
    form.set(ROLE_AT_ORGANIZATION, &mut user.role_at_organization);
    // Its hash was made before the write.
    form.ignore(PASSWORD);
    // For PostHog's own marketing.
    form.ignore(EMAIL_OPT_IN);
    Ok(user)
}

/// A user record with defaults.
fn blank_user(ctx: &Ctx, tx: &WriteTx, email: &str) -> Result<User> {
    Ok(User {
        number: tx.next_id("users")?,
        distinct_id: ctx.ids.base62::<32>(),
        email: email.to_owned(),
        password_hash: None,
        first_name: String::new(),
        last_name: String::new(),
        is_staff: false,
        date_joined: ctx.now,
        role_at_organization: None,
        current_organization: None,
        current_project: None,
        settings: users::Settings::default(),
    })
}

/// A person without a form: made by the operator.
pub fn operator_user(
    ctx: &Ctx,
    tx: &WriteTx,
    email: &str,
    first_name: &str,
    hash: Option<String>,
) -> Result<(UserId, User)> {
    operator_user_as(ctx, tx, ctx.new_id(), email, first_name, hash)
}

/// The same with an identifier that is given.
///
/// # Errors
/// As for `operator_user`; 400 for an identifier that is taken.
pub fn operator_user_as(
    ctx: &Ctx,
    tx: &WriteTx,
    uuid: UserId,
    email: &str,
    first_name: &str,
    hash: Option<String>,
) -> Result<(UserId, User)> {
    if !is_email(email) {
        return Err(invalid("email", "invalid_input", "Enter a valid email address."));
    }
    if users::get(tx, uuid)?.is_some() {
        return Err(id_taken());
    }
    let mut user = blank_user(ctx, tx, email)?;
    let named = json!({"first_name": first_name});
    let form = Input::of(&named).form(const { &[FIRST_NAME.info()] })?;
    user.first_name = form.only(FIRST_NAME).unwrap_or_default();
    user.password_hash = hash;
    user.is_staff = users::none_yet(tx)?;
    users::insert(tx, uuid, &user)?;
    Ok((uuid, user))
}
