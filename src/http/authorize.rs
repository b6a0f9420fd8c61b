//! Who calls, and whether they may use the route. Levels are the handlers' own business.

use std::sync::Arc;

use super::find::RequestTarget;
use super::head::RequestHead;
use super::headers::text;
use super::request_log::RequestLog;
use super::{last_use, site};
use crate::api::caller::{Caller, SecondStep};
use crate::api::{Call, KeyAccess, Place, Via, Within};
use crate::app::route::Needs;
use crate::app::{App, Route};
use crate::auth::{Credential, FoundIn, scopes};
use crate::clock::Time;
use crate::error::{Error, Result, denied, unauthenticated};
use crate::ids::{OrganizationId, UserId};
use crate::resources::{api_keys, members, organizations, places, sessions, two_factor, users};
use crate::store::Tx;

/// A request whose credential is known.
pub(super) struct Received {
    pub(super) target: RequestTarget,
    pub(super) call: Box<Call>,
    pub(super) credential: Credential,
}

/// Puts the caller and the place of the request into the call.
///
/// # Errors
/// 401 for nobody or somebody unknown, 403 for what a key, a session or a page of another site may not do, 404 where
/// the place of the request is not there for the caller, 429 for a key that is used too often.
pub(super) fn authorize(
    request: &RequestHead<'_>,
    received: Received,
    log: &mut RequestLog,
) -> Result<Box<Call>> {
    let Received { target, mut call, credential } = received;
    if target.node.is_ingest() || target.node.is_control() {
        return Ok(call);
    }
    call.session = credential.session();
    call.csrf = credential.csrf().map(str::to_owned);
    log.has_credential = credential != Credential::Nothing;
    // What uses the caller's cookies, or sets some, must come from a page of this site, if from any.
    if !call.method.is_safe() && (call.session.is_some() || target.node.is_public()) {
        let fetch_site = request.parts.headers.get("sec-fetch-site");
        let asks = if target.node.is_page() { site::Asks::Page } else { site::Asks::Program };
        site::check(&call, text(request.headers.origin), text(fetch_site), asks)?;
    }
    request.app.store.read(|tx| judge(tx, &target, &mut call, &credential, log))?;
    match call.actor.key() {
        Some(key) => admit_key(request.app, key, call.now)?,
        None => last_use::of_session(request.app, &call),
    }
    Ok(call)
}

/// Puts the caller and the place of the request into the call, by the rows of this transaction. For a caller with a key
/// nothing else counts: neither the time nor the connection.
///
/// # Errors
/// Those of `authorize`, but for 429.
pub(super) fn judge(
    tx: &Tx,
    target: &RequestTarget,
    call: &mut Call,
    credential: &Credential,
    log: &mut RequestLog,
) -> Result<()> {
    call.ctx.actor = authenticate(tx, target, call, credential)?.into();
    log.user = call.actor.caller().map(|caller| caller.user);
    if call.actor.caller().is_none() && !target.node.is_public() {
        return Err(unauthenticated());
    }
    if let Some(route) = target.authorizing() {
        call.place = check_route(tx, route, call)?;
    }
    Ok(())
}

/// Counts a use of the key, and notes now and then that it was used.
///
/// # Errors
/// 429 for one that is used too often.
pub(super) fn admit_key(app: &Arc<App>, key: &KeyAccess, now: Time) -> Result<()> {
    if app.config.throttles() {
        app.throttles.key(key.hash, now)?;
    }
    last_use::of_key(app, key, now);
    Ok(())
}

/// Finds the caller.
fn authenticate(
    tx: &Tx,
    target: &RequestTarget,
    call: &Call,
    credential: &Credential,
) -> Result<Option<Caller>> {
    match credential {
        Credential::Nothing => Ok(None),
        // Routes for sessions only do not look at keys.
        Credential::Key { .. } if target.route.is_some_and(|route| route.needs == Needs::Session) => {
            Err(unauthenticated())
        }
        // What needs nobody is not refused for a bad key.
        Credential::Key { .. } if target.node.is_public() => Ok(None),
        Credential::Key { hash, found_in } => of_key(tx, *hash, *found_in).map(Some),
        Credential::Session { hash, csrf } => {
            let Some(session) = sessions::live(tx, hash, call)? else { return Ok(None) };
            if !call.method.is_safe() {
                csrf.check()?;
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

fn of_key(tx: &Tx, hash: [u8; 32], found_in: FoundIn) -> Result<Caller> {
    let invalid = || {
        let place = match found_in {
            FoundIn::Header => "Authorization header",
            FoundIn::Body => "body",
            FoundIn::Query => "query string",
        };
        Error::Unauthenticated {
            code: "authentication_failed",
            detail: format!("Personal API key found in request {place} is invalid.").into(),
        }
    };
    let access = api_keys::access(tx, hash, invalid)?;
    if !users::is_active(tx, access.user)? {
        return Err(invalid());
    }
    Ok(Caller { user: access.user, via: Via::Key(access) })
}

/// Whether the caller may use the route at all: signed in, with a key that has the scope, and at home in the place
/// that the path names. Gives that place.
fn check_route(tx: &Tx, route: &Route, call: &Call) -> Result<Place> {
    let Some(caller) = call.actor.caller() else {
        return if route.needs == Needs::Public { Ok(Place::Nothing) } else { Err(unauthenticated()) };
    };
    // What the key or the session lacks is said before what is wrong with the place.
    let place = places::of(tx, call);
    match (&caller.via, route.needs) {
        (Via::Session { second_step, .. }, _) => {
            check_second_factor(tx, route, &place, caller.user, *second_step)?;
        }
        (Via::Key(_), Needs::Public | Needs::SignedIn) => {}
        (Via::Key(_), Needs::Session) => return Err(unauthenticated()),
        (Via::Key(key), Needs::Scope(scope)) => {
            if scopes::restricted(scope) {
                check_key_places(call.within, &place, key)?;
            }
            scopes::require(&key.scopes, scope)?;
        }
    }
    let place = place?;
    if let Some(organization) = place.organization() {
        organizations::let_in(tx, organization, caller)?;
    }
    Ok(place)
}

/// Organizations may demand a second factor of whoever comes by session; of keys nothing is demanded.
fn check_second_factor(
    tx: &Tx,
    route: &Route,
    place: &Result<Place>,
    user: UserId,
    done: SecondStep,
) -> Result<()> {
    if route.is_open_without_second_factor || done == SecondStep::Done {
        return Ok(());
    }
    let Ok(place) = place else { return Ok(()) };
    // What names no organization, such as making a key, must not be a way around the strictest one.
    let concerned = match place.organization() {
        Some(id) => vec![id],
        None => {
            members::organizations_of(tx, user)?.into_iter().map(|at| at.id).collect::<Vec<OrganizationId>>()
        }
    };
    for id in concerned {
        if organizations::demands_second_factor(tx, id)? {
            // With a second factor there is no session that began without it.
            return Err(two_factor::setup_required());
        }
    }
    Ok(())
}

/// A key that is limited to some organizations or projects opens nothing else.
fn check_key_places(within: Within, place: &Result<Place>, key: &KeyAccess) -> Result<()> {
    if key.projects.is_empty() {
        let organization = place.as_ref().ok().and_then(Place::organization);
        return organization.map_or(Ok(()), |id| check_key_organization(id, key));
    }
    match place {
        Ok(Place::Project(project)) if key.projects.contains(&project.id) => {
            check_key_organization(project.organization, key)
        }
        Ok(Place::Project(project)) => {
            let id = project.id;
            Err(denied(format!("API key does not have access to the requested project: ID {id}.")))
        }
        // The request ends with this error.
        Err(_) if within.is_project() => Ok(()),
        _ => Err(denied("API keys with scoped projects are only supported on project-based endpoints.")),
    }
}

fn check_key_organization(id: OrganizationId, key: &KeyAccess) -> Result<()> {
    if key.organizations.is_empty() || key.organizations.contains(&id) {
        return Ok(());
    }
    Err(denied(format!("API key does not have access to the requested organization: ID {id}.")))
}
