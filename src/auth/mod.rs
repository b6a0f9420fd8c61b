//! From a request to its caller, and whether that caller may use a row of the route table.

pub mod blocks;
pub mod cookies;
pub mod guesses;
pub mod password;
pub mod scopes;
pub mod site;
pub mod throttle;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::api::call::{Caller, KeyAccess, SecondStep, Via};
use crate::api::route::Needs;
use crate::api::{Call, Place, Route, Within};
use crate::error::{Error, Result, denied, unauthenticated};
use crate::resources::{api_keys, members, organizations, places, sessions, two_factor};
use crate::store::Tx;

/// What a request shows of its caller. The first credential found decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    Key {
        token: String,
        found_in: FoundIn,
    },
    /// The hash of the cookie.
    Session {
        hash: [u8; 32],
        csrf: Csrf,
    },
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundIn {
    Header,
    Body,
    Query,
}

impl Credential {
    /// The hash of the session cookie.
    pub fn session(&self) -> Option<[u8; 32]> {
        match self {
            Credential::Session { hash, .. } => Some(*hash),
            _ => None,
        }
    }
}

/// The token that pages of this site read from its cookie and repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Csrf {
    pub has_cookie: bool,
    pub repeated: Option<String>,
    /// What it is for this session.
    pub right: String,
}

/// Tokens are stored and looked up by this.
pub fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Finds the caller of a request.
///
/// # Errors
/// 401 for a key that is not known; 403 for a session without its CSRF token on an unsafe method. An
/// unknown session is no error: nobody is logged in.
pub fn authenticate(tx: &Tx, call: &Call, credential: &Credential) -> Result<Option<Caller>> {
    match credential {
        Credential::Nothing => Ok(None),
        Credential::Key { token, found_in } => {
            let access = api_keys::access(tx, hash(token), || {
                let place = match found_in {
                    FoundIn::Header => "Authorization header",
                    FoundIn::Body => "body",
                    FoundIn::Query => "query string",
                };
                Error::Unauthenticated {
                    code: "authentication_failed",
                    detail: format!("Personal API key found in request {place} is invalid.").into(),
                }
            })?;
            Ok(Some(Caller { user: access.user, via: Via::Key(access) }))
        }
        Credential::Session { hash, csrf } => {
            let Some(session) = sessions::live(tx, hash, call)? else { return Ok(None) };
            if !call.method.is_safe() {
                check_csrf(csrf)?;
            }
            let via = Via::Session {
                hash: *hash,
                authenticated_at: session.authenticated_at,
                last_activity: session.last_activity,
                second_step: session.second_step,
            };
            Ok(Some(Caller { user: session.user, via }))
        }
    }
}

fn check_csrf(csrf: &Csrf) -> Result<()> {
    let refuse = |reason: &str| Err(denied(format!("CSRF Failed: {reason}")));
    if !csrf.has_cookie {
        return refuse("CSRF cookie not set.");
    }
    let Some(repeated) = &csrf.repeated else { return refuse("CSRF token missing.") };
    if repeated.len() != csrf.right.len() {
        return refuse("CSRF token from the 'X-Csrftoken' HTTP header has incorrect length.");
    }
    // Hashes are compared, so that the time taken tells nothing of the token.
    if hash(repeated) != hash(&csrf.right) {
        return refuse("CSRF token from the 'X-Csrftoken' HTTP header incorrect.");
    }
    Ok(())
}

/// Whether the caller may use the row at all: signed in, with a key that has the scope, and at home in
/// the place that the path names. Says which that is; levels are the resource's own business.
pub fn cover(tx: &Tx, route: &Route, call: &Call) -> Result<Place> {
    let Some(caller) = &call.caller else {
        return if route.needs == Needs::Public { Ok(Place::Nothing) } else { Err(unauthenticated()) };
    };
    // What the key or the session lacks is said first.
    let place = places::of(tx, call);
    match (&caller.via, route.needs) {
        (Via::Session { second_step, .. }, _) => {
            check_second_step(tx, route, &place, caller.user, *second_step)?;
        }
        (Via::Key(_), Needs::Public | Needs::SignedIn) => {}
        (Via::Key(_), Needs::Session) => return Err(unauthenticated()),
        (Via::Key(key), Needs::Scope(scope)) => {
            if scopes::restricted(scope) {
                check_places(call.within, &place, key)?;
            }
            scopes::covers(&key.scopes, scope)?;
        }
    }
    place
}

/// Organizations may demand a second factor of whoever comes by session; keys are never asked. A user's
/// own record stays open, for that is where he sets it up.
fn check_second_step(
    tx: &Tx,
    route: &Route,
    place: &Result<Place>,
    user: Uuid,
    done: SecondStep,
) -> Result<()> {
    let exempt = route.needs == Needs::Public
        || route.path.starts_with("/api/users/{uuid}/")
        || route.path == "/api/logout/";
    if exempt || done == SecondStep::Done {
        return Ok(());
    }
    let Ok(place) = place else { return Ok(()) };
    // What names no organization, such as making a key, must not be a way around the strictest one.
    let concerned = match place.organization() {
        Some(id) => vec![id],
        None => members::organizations_of(tx, user)?.into_iter().map(|(id, _)| id).collect::<Vec<Uuid>>(),
    };
    for id in concerned {
        if organizations::find(tx, id)?.enforce_2fa == Some(true) {
            // With a second factor there is no session that began without it.
            return Err(two_factor::setup_required());
        }
    }
    Ok(())
}

/// A key that is limited to some organizations or projects opens nothing else.
fn check_places(within: Within, place: &Result<Place>, key: &KeyAccess) -> Result<()> {
    let refuse = |detail: String| Err(denied(detail));
    if !key.projects.is_empty() {
        return match place {
            Ok(Place::Project(project)) if key.projects.contains(&project.id) => {
                check_organization(project.organization, key)
            }
            Ok(Place::Project(project)) => {
                refuse(format!("API key does not have access to the requested project: ID {}.", project.id))
            }
            // The request ends with this error.
            Err(_) if within.is_project() => Ok(()),
            _ => {
                refuse("API keys with scoped projects are only supported on project-based endpoints.".into())
            }
        };
    }
    place.as_ref().ok().and_then(Place::organization).map_or(Ok(()), |id| check_organization(id, key))
}

fn check_organization(id: Uuid, key: &KeyAccess) -> Result<()> {
    if key.organizations.is_empty() || key.organizations.contains(&id) {
        return Ok(());
    }
    Err(denied(format!("API key does not have access to the requested organization: ID {id}.")))
}

/// 403 for a key that is limited to some organizations or projects; `what` says what it does not do.
pub fn unlimited(via: &Via, what: &str) -> Result<()> {
    match via.limited_key() {
        None => Ok(()),
        Some(_) => {
            Err(denied(format!("An API key that is limited to some organizations or projects {what}.")))
        }
    }
}
