//! What the operator does to users: at the machine, or as somebody of the staff who has just logged in.
//! Invariant: somebody of the staff stays. A deactivated user has no session, and none of their keys opens anything.

use super::{Happening, USERS, User, find, record, replace};
use crate::api::caller::Via;
use crate::api::{Actor, Ctx, Paging};
use crate::clock::Time;
use crate::error::{Result, forbidden, invalid_body};
use crate::ids::UserId;
use crate::resources::{batch_exports::authors, members, reset, sessions, two_factor};
use crate::store::{Parent, Table, Tx, WriteTx};

/// Users who can't log in, since when.
pub(super) static DEACTIVATED: Table<UserId, Time> =
    Table::new("deactivated_users").belongs_to(&[&Parent::of(&USERS, |user| *user)]);

/// Refuses whoever is not the operator: at the machine, or of the staff, by a session whose password was given lately.
///
/// # Errors
/// 401 for a stranger; 403 for others.
pub fn require_operator(ctx: &Ctx, tx: &Tx) -> Result<()> {
    match &ctx.actor {
        Actor::Operator(_) => Ok(()),
        Actor::Nobody => Err(crate::error::unauthenticated()),
        Actor::User(caller) => {
            let is_session = matches!(caller.via, Via::Session { .. });
            if !is_session || !find(tx, caller.user)?.is_staff {
                return Err(forbidden());
            }
            sessions::require_recent_login(ctx)
        }
    }
}

/// A user, as the operator sees them.
pub struct FoundUser {
    pub uuid: UserId,
    pub user: User,
    pub is_active: bool,
    pub is_2fa_enabled: bool,
}

/// Finds users by a part of their name or address, oldest first; all of them by an empty one. Gives how many there are,
/// and a page of them.
///
/// # Errors
/// 403 for whoever is not the operator.
pub fn find_users(ctx: &Ctx, tx: &Tx, search: &str, paging: Paging) -> Result<(u64, Vec<FoundUser>)> {
    require_operator(ctx, tx)?;
    let search = search.trim().to_lowercase();
    let mut found = tx.all(&USERS)?;
    found.retain(|(_, user)| {
        user.email.to_lowercase().contains(&search) || user.full_name().to_lowercase().contains(&search)
    });
    let total = found.len() as u64;
    let page = paging.cut(found).into_iter().map(|(uuid, user)| with_state(tx, uuid, user));
    Ok((total, page.collect::<Result<_>>()?))
}

/// One user.
///
/// # Errors
/// 403 for whoever is not the operator; 404 for nobody.
pub fn found(ctx: &Ctx, tx: &Tx, uuid: UserId) -> Result<FoundUser> {
    require_operator(ctx, tx)?;
    with_state(tx, uuid, find(tx, uuid)?)
}

fn with_state(tx: &Tx, uuid: UserId, user: User) -> Result<FoundUser> {
    let (is_active, is_2fa_enabled) = (is_active(tx, uuid)?, two_factor::is_enabled(tx, uuid)?);
    Ok(FoundUser { uuid, user, is_active, is_2fa_enabled })
}

/// A link to a new password for a user who gets no mail, good once, for one hour. It is shown this once.
///
/// # Errors
/// 403 for whoever is not the operator; 404 for nobody; 400 for a deactivated user.
pub fn reset_link(ctx: &Ctx, tx: &WriteTx, uuid: UserId) -> Result<String> {
    require_operator(ctx, tx)?;
    find(tx, uuid)?;
    if !is_active(tx, uuid)? {
        return Err(invalid_body("invalid_input", "This user is deactivated."));
    }
    let link = reset::link_for(ctx, tx, uuid)?;
    record(ctx, tx, uuid, &Happening::ResetLink)?;
    Ok(link)
}

/// Ends all sessions of a user, and all log-ins that wait for their second step.
///
/// # Errors
/// 403 for whoever is not the operator; 404 for nobody.
pub fn end_sessions(ctx: &Ctx, tx: &WriteTx, uuid: UserId) -> Result<()> {
    require_operator(ctx, tx)?;
    find(tx, uuid)?;
    sessions::end_all(ctx, tx, uuid)
}

/// Takes the second factor from a user who has lost it, and ends all their sessions.
///
/// # Errors
/// 403 for whoever is not the operator; 404 for nobody.
pub fn remove_second_factor(ctx: &Ctx, tx: &WriteTx, uuid: UserId) -> Result<()> {
    require_operator(ctx, tx)?;
    find(tx, uuid)?;
    two_factor::remove(ctx, tx, uuid)
}

/// Makes a user an operator, or takes that from them.
///
/// # Errors
/// 403 for whoever is not the operator; 404 for nobody; 400 for the last one who can log in.
pub fn set_staff(ctx: &Ctx, tx: &WriteTx, uuid: UserId, is_staff: bool) -> Result<()> {
    require_operator(ctx, tx)?;
    let before = find(tx, uuid)?;
    if before.is_staff == is_staff {
        return Ok(());
    }
    if !is_staff {
        require_another_operator(tx, uuid)?;
    }
    replace(tx, uuid, &before, &User { is_staff, ..before.clone() })?;
    record(ctx, tx, uuid, &Happening::Staff { is_staff })
}

fn require_another_operator(tx: &Tx, but: UserId) -> Result<()> {
    for (uuid, user) in tx.all(&USERS)? {
        if uuid != but && user.is_staff && is_active(tx, uuid)? {
            return Ok(());
        }
    }
    Err(invalid_body("invalid_input", "This is the last operator: make somebody else one first."))
}

/// Closes a user's account: ends their sessions, and nothing of theirs opens anything until it is activated again.
/// Memberships, keys and what they have made stay; exports in their name pause.
///
/// # Errors
/// 403 for whoever is not the operator; 404 for nobody; 400 for the last operator.
pub fn deactivate(ctx: &Ctx, tx: &WriteTx, uuid: UserId) -> Result<()> {
    require_operator(ctx, tx)?;
    let user = find(tx, uuid)?;
    if !is_active(tx, uuid)? {
        return Ok(());
    }
    if user.is_staff {
        require_another_operator(tx, uuid)?;
    }
    tx.put(&DEACTIVATED, &uuid, &ctx.now)?;
    sessions::end_others(tx, uuid, None)?;
    record(ctx, tx, uuid, &Happening::Active { is_active: false })?;
    for at in members::organizations_of(tx, uuid)? {
        authors::pause_all_lost(ctx, tx, at.id)?;
    }
    Ok(())
}

/// Opens a user's account again.
///
/// # Errors
/// 403 for whoever is not the operator; 404 for nobody.
pub fn activate(ctx: &Ctx, tx: &WriteTx, uuid: UserId) -> Result<()> {
    require_operator(ctx, tx)?;
    find(tx, uuid)?;
    if is_active(tx, uuid)? {
        return Ok(());
    }
    tx.delete(&DEACTIVATED, &uuid)?;
    record(ctx, tx, uuid, &Happening::Active { is_active: true })
}

/// What the deletion of a user did to organizations, by their names.
pub struct Deletion {
    pub deleted_organizations: Vec<String>,
    pub left_organizations: Vec<String>,
}

/// Deletes a user with their sessions, keys and memberships. What they have made stays, without an author; organizations
/// that they are alone in are deleted, if `with_organizations` says so.
///
/// # Errors
/// 403 for whoever is not the operator; 404 for nobody; 400 for the last operator, and where an organization would be left
/// without an owner.
pub fn delete(ctx: &Ctx, tx: &WriteTx, uuid: UserId, with_organizations: bool) -> Result<Deletion> {
    require_operator(ctx, tx)?;
    if find(tx, uuid)?.is_staff {
        require_another_operator(tx, uuid)?;
    }
    record(ctx, tx, uuid, &Happening::Deleted)?;
    let (deleted_organizations, left_organizations) = members::leave_all(ctx, tx, uuid, with_organizations)?;
    tx.delete(&USERS, &uuid)?;
    Ok(Deletion { deleted_organizations, left_organizations })
}

/// Whether the user's account is open.
///
/// # Errors
/// None but of the data file.
pub fn is_active(tx: &Tx, uuid: UserId) -> Result<bool> {
    Ok(!tx.has(&DEACTIVATED, &uuid)?)
}
