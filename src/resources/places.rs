//! The place of a request: what its route says about where it is at home, looked up for its caller.
//! The journey asks before a handler runs, a write asks again in its own transaction, and so does whatever
//! opens a transaction after a while: who was shown out meanwhile is not let in.

use super::{api_keys, organizations, projects, sessions};
use crate::api::{Call, Ctx, Place, Via, Within};
use crate::error::{Result, not_found, unauthenticated};
use crate::store::Tx;

/// Where the request is at home.
///
/// # Errors
/// 404 where there is no such place, or the caller does not see it; 403 for a stranger to an organization.
pub fn of(tx: &Tx, call: &Call) -> Result<Place> {
    match call.within {
        Within::Nothing => Ok(Place::Nothing),
        Within::Organization(name) => {
            organizations::require_member(tx, call.param(name), call.user()?).map(Place::Organization)
        }
        Within::OrganizationBy(find) => Ok(find(tx, call)?.map_or(Place::Nothing, Place::Organization)),
        Within::Project(name) => {
            projects::require_access(tx, call.param(name), call.user()?).map(Place::Project)
        }
        Within::ProjectOf { organization, project } => {
            let user = call.user()?;
            projects::require_access_of(tx, call.param(organization), call.param(project), user)
                .map(Place::Project)
        }
        Within::ProjectBy(find) => find(tx, call).map(Place::Project),
    }
}

/// The same in a later transaction, for a caller whose session or key still stands.
///
/// # Errors
/// 401 where the session has ended or the key is another by now. Also 404 where `@current` means another place by
/// now: the caller was not judged for that one.
pub fn again(tx: &Tx, call: &Call) -> Result<Place> {
    still_calls(call, tx)?;
    let place = of(tx, call)?;
    if place.home() == call.place.home() { Ok(place) } else { Err(not_found()) }
}

/// Refuses a caller who is none any more: for a command that has waited and belongs to no place.
///
/// # Errors
/// 401 where the session has ended or the key is another by now.
pub fn still_calls(ctx: &Ctx, tx: &Tx) -> Result<()> {
    if still_stands(ctx, tx)? { Ok(()) } else { Err(unauthenticated()) }
}

/// Whether what the caller has shown opens what it opened when the request came.
fn still_stands(ctx: &Ctx, tx: &Tx) -> Result<bool> {
    let Some(caller) = ctx.actor.caller() else { return Ok(true) };
    match &caller.via {
        Via::Session { hash, .. } => {
            Ok(sessions::live(tx, hash, ctx)?.is_some_and(|session| session.user == caller.user))
        }
        Via::Key(access) => Ok(api_keys::by_hash(tx, &access.hash)?.is_some_and(|key| key.opens_as(access))),
    }
}
