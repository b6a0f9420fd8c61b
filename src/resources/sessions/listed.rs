//! A user's own log-ins: seeing them and ending them.

use serde::Serialize;

use super::{SESSIONS, device, end_others, live_ones, require_recent_login};
use crate::api::caller::Via;
use crate::api::{Call, Ctx, Field, FieldInfo, Reply, Within};
use crate::app::{Route, read, session, write};
use crate::auth::cookies;
use crate::clock::Time;
use crate::error::{Result, not_found, unauthenticated};
use crate::ids::SessionId;
use crate::resources::users::{self, Happening};
use crate::store::{Tx, WriteTx};

pub(super) fn routes() -> Vec<Route> {
    let all = "/api/users/{uuid}/login_sessions/";
    vec![
        Route::get(all, session(), Within::Nothing, read(list))
            .without_second_factor()
            .responds_list(FIELDS)
            .about("List log-ins", "The caller's own sessions, with the device and address of each."),
        Route::post(format!("{all}revoke_others/"), session(), Within::Nothing, write(post_revoke_others))
            .without_second_factor()
            .responds(200, REVOKED)
            .about("End all other log-ins", "All sessions of the caller but this one."),
        Route::delete(format!("{all}{{session_id}}/"), session(), Within::Nothing, write(delete))
            .without_second_factor()
            .responds_nothing()
            .about("End a log-in", "One session of the caller."),
    ]
}

const FIELDS: &[FieldInfo] = &[
    Field::uuid("id").read_only(),
    Field::time("created_at").nullable().read_only(),
    Field::time("last_activity").read_only(),
    Field::text("location", 50).read_only(),
    Field::text("device", 100).read_only(),
    Field::text("login_method", 20).read_only(),
    Field::boolean("is_current").read_only(),
];
const REVOKED: &[FieldInfo] = &[Field::integer("revoked_count", 0, i64::MAX).read_only()];

/// A session of the caller, as they see it.
#[derive(Serialize)]
pub struct OwnSession {
    pub id: SessionId,
    pub created_at: Time,
    pub last_activity: Time,
    /// The address it was last used from.
    pub location: String,
    pub device: String,
    login_method: &'static str,
    pub is_current: bool,
}

/// The hash of the session that calls.
fn require_session(ctx: &Ctx) -> Result<[u8; 32]> {
    match ctx.caller()?.via {
        Via::Session { hash, .. } => Ok(hash),
        Via::Key(_) => Err(unauthenticated()),
    }
}

fn list(call: &Call, tx: &Tx) -> Result<Reply> {
    users::require_self(call)?;
    Reply::ok(&own(call, tx)?)
}

/// The sessions of the caller, newest first.
///
/// # Errors
/// 401 for a key.
pub fn own(ctx: &Ctx, tx: &Tx) -> Result<Vec<OwnSession>> {
    let (user, own) = (ctx.user()?, require_session(ctx)?);
    let all = live_ones(ctx, tx, user)?
        .into_iter()
        .map(|(hash, session)| OwnSession {
            id: session.id,
            created_at: session.created_at,
            last_activity: session.last_activity,
            location: session.address.map(|address| address.to_string()).unwrap_or_default(),
            device: device::name(&session.user_agent),
            login_method: session.method.name(),
            is_current: hash == own,
        })
        .collect();
    Ok(all)
}

fn delete(call: &Call, tx: &WriteTx) -> Result<Reply> {
    users::require_self(call)?;
    let ended = revoke(call, tx, call.id("session_id")?)?;
    let reply = Reply::no_content()?;
    // As a log-out does.
    Ok(if ended == require_session(call)? { cookies::clear(call, reply) } else { reply })
}

fn post_revoke_others(call: &Call, tx: &WriteTx) -> Result<Reply> {
    #[derive(Serialize)]
    struct Revoked {
        revoked_count: usize,
    }
    users::require_self(call)?;
    Reply::ok(&Revoked { revoked_count: revoke_others(call, tx)? })
}

/// Ends a session of the caller, and gives its hash.
///
/// # Errors
/// 403 for a session whose password was given long ago; 404 where the caller has no such session.
pub fn revoke(ctx: &Ctx, tx: &WriteTx, id: SessionId) -> Result<[u8; 32]> {
    let user = ctx.user()?;
    require_recent_login(ctx)?;
    let all = live_ones(ctx, tx, user)?;
    let (hash, _) = all.into_iter().find(|(_, session)| session.id == id).ok_or_else(not_found)?;
    tx.delete(&SESSIONS, &hash)?;
    users::record(ctx, tx, user, &Happening::LoggedOut { sessions: 1 })?;
    Ok(hash)
}

/// Ends all sessions of the caller but the one that calls, log-ins that wait for their second step as well. Gives how
/// many sessions there were.
///
/// # Errors
/// 403 for a session whose password was given long ago.
pub fn revoke_others(ctx: &Ctx, tx: &WriteTx) -> Result<usize> {
    let (user, own) = (ctx.user()?, require_session(ctx)?);
    require_recent_login(ctx)?;
    let count = live_ones(ctx, tx, user)?.iter().filter(|(hash, _)| *hash != own).count();
    end_others(tx, user, Some(own))?;
    if count > 0 {
        users::record(ctx, tx, user, &Happening::LoggedOut { sessions: count })?;
    }
    Ok(count)
}
