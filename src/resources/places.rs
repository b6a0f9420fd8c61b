//! The place of a request: what its route says about where it is at home, looked up for its caller.
//! The journey asks before a handler runs, a write asks again in its own transaction, and so does whatever
//! opens a transaction after a while: who was shown out meanwhile is not let in.

use super::{organizations, projects};
use crate::api::{Call, Place, Within};
use crate::error::{Result, not_found};
use crate::store::Tx;

/// Where the request is at home.
///
/// # Errors
/// 404 where there is no such place, or the caller does not see it; 403 for a stranger to an organization.
pub fn of(tx: &Tx, call: &Call) -> Result<Place> {
    match call.within {
        Within::Nothing => Ok(Place::Nothing),
        Within::Organization(name) => {
            let (id, level) = organizations::enter(tx, call.param(name), call.user()?)?;
            Ok(Place::Organization { id, level })
        }
        Within::Project(name) => projects::enter(tx, call.param(name), call.user()?).map(Place::Project),
        Within::ProjectOf { organization, project } => {
            let user = call.user()?;
            projects::enter_of(tx, call.param(organization), call.param(project), user).map(Place::Project)
        }
        Within::Lookup(find) => find(tx, call),
    }
}

/// The same in a later transaction.
///
/// # Errors
/// Also 404 where `@current` means another place by now: the caller was not judged for that one.
pub fn again(tx: &Tx, call: &Call) -> Result<Place> {
    let place = of(tx, call)?;
    if place.home() == call.place.home() { Ok(place) } else { Err(not_found()) }
}
