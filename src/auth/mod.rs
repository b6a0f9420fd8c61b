//! From a request to its caller, and whether that caller may use a row of the route table.

pub mod blocks;
pub mod password;
pub mod scopes;
pub mod throttle;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::api::call::{Caller, KeyAccess, SecondStep, Via};
use crate::api::route::Needs;
use crate::api::{Call, Route};
use crate::error::{Error, Result, denied, unauthenticated};
use crate::resources::{api_keys, members, organizations, projects, sessions, two_factor};
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

/// The double-submitted token: the cookie and what the request repeats of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Csrf {
    pub cookie: Option<String>,
    pub repeated: Option<String>,
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
            let Some((session, second_step)) = sessions::live(tx, hash, call.now)? else { return Ok(None) };
            if !call.method.is_safe() {
                check_csrf(csrf)?;
            }
            let via = Via::Session { hash: *hash, authenticated_at: session.authenticated_at, second_step };
            Ok(Some(Caller { user: session.user, via }))
        }
    }
}

fn check_csrf(csrf: &Csrf) -> Result<()> {
    let refuse = |reason: &str| Err(denied(format!("CSRF Failed: {reason}")));
    let Some(cookie) = &csrf.cookie else { return refuse("CSRF cookie not set.") };
    let Some(repeated) = &csrf.repeated else { return refuse("CSRF token missing.") };
    if cookie.len() != repeated.len() {
        return refuse("CSRF token from the 'X-Csrftoken' HTTP header has incorrect length.");
    }
    // Hashes are compared, so that the time taken tells nothing of the token.
    if hash(cookie) != hash(repeated) {
        return refuse("CSRF token from the 'X-Csrftoken' HTTP header incorrect.");
    }
    Ok(())
}

/// Whether the caller may use the row at all: signed in, with a key that has the scope, the
/// organization and the project. Levels are the room's own business.
pub fn cover(tx: &Tx, route: &Route, call: &Call) -> Result<()> {
    let Some(caller) = &call.caller else {
        return if route.needs == Needs::Public { Ok(()) } else { Err(unauthenticated()) };
    };
    let key = match &caller.via {
        Via::Key(key) => key,
        Via::Session { second_step, .. } => {
            return check_second_step(tx, route, call, caller.user, *second_step);
        }
    };
    match route.needs {
        Needs::Public | Needs::SignedIn => Ok(()),
        Needs::Session => Err(unauthenticated()),
        Needs::Scope(scope) => {
            if !scopes::restricted(scope) {
                return scopes::covers(&key.scopes, scope);
            }
            check_places(tx, route, call, caller.user, key)?;
            scopes::covers(&key.scopes, scope)
        }
    }
}

/// Organizations may demand a second factor of whoever comes by session; keys are never asked. A user's
/// own record stays open, for that is where he sets it up.
fn check_second_step(tx: &Tx, route: &Route, call: &Call, user: Uuid, done: SecondStep) -> Result<()> {
    let exempt = route.needs == Needs::Public
        || route.path.starts_with("/api/users/{uuid}/")
        || route.path == "/api/logout/";
    if exempt || done == SecondStep::Done {
        return Ok(());
    }
    // What names no organization, such as making a key, must not be a way around the strictest one.
    let concerned = match addressed(tx, route, call, user)?.1 {
        Some(id) => members::level_of(tx, id, user)?.map(|_| id).into_iter().collect(),
        None => members::organizations_of(tx, user)?.into_iter().map(|(id, _)| id).collect::<Vec<Uuid>>(),
    };
    for id in concerned {
        if organizations::find(tx, id)?.enforce_2fa == Some(true) {
            let has_device = two_factor::is_enabled(tx, user)?;
            return Err(if has_device {
                two_factor::verification_required()
            } else {
                two_factor::setup_required()
            });
        }
    }
    Ok(())
}

/// The project and the organization that a path names.
fn addressed(tx: &Tx, route: &Route, call: &Call, user: Uuid) -> Result<(Option<u32>, Option<Uuid>)> {
    let project = match route.project_param() {
        Some(param) => projects::named(tx, call.param(param), user)?,
        None => None,
    };
    let organization = match route.organization_param() {
        Some(param) => organizations::named(tx, call.param(param), user)?,
        None => project.map(|(organization, _)| organization),
    };
    Ok((project.map(|(_, id)| id), organization))
}

/// A key that is limited to some organizations or projects opens nothing else.
fn check_places(tx: &Tx, route: &Route, call: &Call, user: Uuid, key: &KeyAccess) -> Result<()> {
    if key.organizations.is_empty() && key.projects.is_empty() {
        return Ok(());
    }
    let (project, organization) = addressed(tx, route, call, user)?;
    if !key.projects.is_empty() {
        return match project {
            _ if route.project_param().is_none() => {
                Err(denied("API keys with scoped projects are only supported on project-based endpoints."))
            }
            Some(id) if !key.projects.contains(&id) => {
                Err(denied(format!("API key does not have access to the requested project: ID {id}.")))
            }
            _ => Ok(()),
        };
    }
    organization.map_or(Ok(()), |id| covers_organization(&call.caller()?.via, id))
}

/// Whether a caller who is limited to some organizations may see this one.
pub fn covers_organization(via: &Via, organization: Uuid) -> Result<()> {
    match via {
        Via::Key(key) if !key.organizations.is_empty() && !key.organizations.contains(&organization) => Err(
            denied(format!("API key does not have access to the requested organization: ID {organization}.")),
        ),
        _ => Ok(()),
    }
}
