//! Browser sessions: log-in, log-out.
//! Holds always: only the hash of a session's token is stored; a session past its time, or one that waits
//! for its second step, opens nothing.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Swept, trusted_time, two_factor, users};
use crate::api::call::{SecondStep, Via};
use crate::api::{Call, Field, Kind, Reply, Route, Within, public, session, steps, write};
use crate::app::App;
use crate::auth::{hash, password};
use crate::clock::{Ids, Time};
use crate::config::{SENSITIVE_SESSION_SECONDS, SESSION_SECONDS};
use crate::error::{Envelope, Result, denied, invalid_body, unauthenticated};
use crate::store::{Order, Table, Tx, WriteTx};

pub fn rows() -> Vec<Route> {
    vec![
        Route::post("/api/login/", public(), Within::Nothing, steps(login)).takes(LOGIN).gives(200, SUCCESS),
        Route::post("/api/logout/", session(), Within::Nothing, write(logout)).gives_nothing(),
        Route::get("/logout", public(), Within::Nothing, write(leave)).redirects(),
        Route::post("/logout", public(), Within::Nothing, write(leave)).redirects(),
    ]
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    pub user: Uuid,
    pub created_at: Time,
    /// When the password was last given.
    pub authenticated_at: Time,
}

/// By the SHA-256 of the token.
pub(super) const SESSIONS: Table<[u8; 32], Session> = Table::new("sessions");
/// Sessions of users with a second factor; where there is no row, none was asked for.
pub(super) const SECOND_STEPS: Table<[u8; 32], SecondStep> = Table::new("sessions_second_step");
pub(super) const BY_USER: Table<(Uuid, [u8; 32]), ()> = Table::new("sessions_by_user");
/// In the order of their making, to find those whose time is over.
pub(super) const BY_AGE: Table<(Uuid, [u8; 32]), ()> = Table::new("sessions_by_age");

const LOGIN: &[Field] = &[
    Field::new("email", Kind::Email).required().write_only(),
    Field::new("password", Kind::Secret { chars_max: password::CHARS_MAX }).required().write_only(),
];
const SUCCESS: &[Field] = &[Field::boolean("success").read_only()];

#[derive(Serialize)]
struct Success {
    success: bool,
}

async fn login(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    if app.config.lock_out() {
        app.throttles.login(call.peer, call.now)?;
    }
    let mut form = call.form(LOGIN)?;
    let email: String = form.take("email").unwrap_or_default();
    let given: String = form.take("password").unwrap_or_default();
    let found = app.store.read(|tx| match users::by_email(tx, &email)? {
        Some(uuid) => Ok(Some((uuid, users::find(tx, uuid)?.password_hash))),
        None => Ok(None),
    })?;
    let (user, stored) = found.map_or((None, None), |(uuid, stored)| (Some(uuid), stored));
    let right = app.slowly(move || password::verify(&given, stored.as_deref())).await?;
    let Some(user) = user.filter(|_| right) else {
        app.throttles.login_failed(call.peer, call.now);
        return Err(invalid_body("invalid_credentials", "Invalid email or password."));
    };
    app.throttles.login_worked(call.peer);
    let reply = app.store.write(move |tx| {
        if two_factor::is_enabled(tx, user)? {
            return begin(&call, tx, user, SecondStep::Awaited, second_step_required()?);
        }
        with_cookies(&call, tx, user, Reply::ok(&Success { success: true })?)
    });
    reply.await
}

/// PostHog's answer to a right password where a code has to follow; it sets the session's cookie.
fn second_step_required() -> Result<Reply> {
    let detail = "2FA is required.";
    Reply::json(401, &Envelope { kind: "server_error", code: "2fa_required", detail, attr: None })
}

fn logout(call: &Call, tx: &WriteTx) -> Result<Reply> {
    end_own(call, tx)?;
    Ok(without_cookies(Reply::no_content()?))
}

/// PostHog's own log-out link leads to its log-in page.
fn leave(call: &Call, tx: &WriteTx) -> Result<Reply> {
    end_own(call, tx)?;
    Ok(without_cookies(Reply::text(302, "text/html; charset=utf-8", "").with("location", "/login")))
}

fn end_own(call: &Call, tx: &WriteTx) -> Result<()> {
    match &call.caller {
        Some(crate::api::Caller { user, via: Via::Session { hash, .. } }) => end(tx, *user, *hash),
        _ => Ok(()),
    }
}

/// The session with this hash, where it is still good, and how far its second step is.
pub fn live(tx: &Tx, hash: &[u8; 32], now: Time) -> Result<Option<(Session, SecondStep)>> {
    let session: Option<Session> = tx.get(&SESSIONS, hash)?;
    let Some(session) = session.filter(|session| session.created_at.plus_seconds(SESSION_SECONDS) > now)
    else {
        return Ok(None);
    };
    let second_step = second_step(tx, hash)?;
    Ok((second_step != SecondStep::Awaited).then_some((session, second_step)))
}

fn second_step(tx: &Tx, hash: &[u8; 32]) -> Result<SecondStep> {
    Ok(tx.get(&SECOND_STEPS, hash)?.unwrap_or(SecondStep::None))
}

/// Refuses a caller who did not give his password lately; keys are not asked.
pub fn fresh(call: &Call) -> Result<()> {
    match call.caller()?.via {
        Via::Session { authenticated_at, .. }
            if authenticated_at.plus_seconds(SENSITIVE_SESSION_SECONDS) <= call.now =>
        {
            Err(denied("This action requires you to be recently authenticated."))
        }
        _ => Ok(()),
    }
}

/// Whether the caller's session began with a second factor.
pub fn is_second_step_done(call: &Call) -> Result<bool> {
    Ok(matches!(call.caller()?.via, Via::Session { second_step: SecondStep::Done, .. }))
}

/// The user whose second step the call's session waits for: one that gave the password after `earliest`,
/// or one that is logged in since before he had a second factor.
pub fn awaiting_second_step(call: &Call, tx: &Tx, earliest: Time) -> Result<Option<Uuid>> {
    let Some(hash) = call.session else { return Ok(None) };
    let Some(session) = tx.get(&SESSIONS, &hash)? else { return Ok(None) };
    let waits = match second_step(tx, &hash)? {
        SecondStep::Awaited => session.created_at > earliest,
        SecondStep::None => call.caller.is_some(),
        SecondStep::Done => false,
    };
    Ok(waits.then_some(session.user))
}

/// Ends a log-in with its second step: a new session takes the place of the one that waited.
pub fn complete(call: &Call, tx: &WriteTx, user: Uuid, reply: Reply) -> Result<Reply> {
    if let Some(hash) = call.session {
        end(tx, user, hash)?;
    }
    begin(call, tx, user, SecondStep::Done, reply)
}

/// The caller has just proved a new second factor: his session counts as begun with it, no other does.
pub fn second_step_done_by(call: &Call, tx: &WriteTx, user: Uuid) -> Result<()> {
    let Via::Session { hash: own, .. } = call.caller()?.via else { return Err(unauthenticated()) };
    for ((_, hash), ()) in tx.scan(&BY_USER, &user, Order::Ascending)? {
        if hash == own {
            tx.put(&SECOND_STEPS, &hash, &SecondStep::Done)?;
        } else {
            tx.delete(&SECOND_STEPS, &hash)?;
        }
    }
    Ok(())
}

/// Logs the user in: stores a new session and adds its cookies to the reply.
pub fn with_cookies(call: &Call, tx: &WriteTx, user: Uuid, reply: Reply) -> Result<Reply> {
    begin(call, tx, user, SecondStep::None, reply)
}

fn begin(call: &Call, tx: &WriteTx, user: Uuid, second_step: SecondStep, reply: Reply) -> Result<Reply> {
    const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    // A log-in ends the session that the same browser had.
    end_own(call, tx)?;
    let token = call.ids.letters(ALPHABET, 40);
    let csrf = call.ids.letters(ALPHABET, 32);
    let session = Session { user, created_at: call.now, authenticated_at: call.now };
    let hash = hash(&token);
    tx.put(&SESSIONS, &hash, &session)?;
    if second_step != SecondStep::None {
        tx.put(&SECOND_STEPS, &hash, &second_step)?;
    }
    tx.put(&BY_USER, &(user, hash), &())?;
    tx.put(&BY_AGE, &(call.new_uuid(), hash), &())?;
    let secure = if call.origin.starts_with("https:") { "; Secure" } else { "" };
    let age = format!("Max-Age={SESSION_SECONDS}; Path=/; SameSite=Lax{secure}");
    Ok(reply
        .with("set-cookie", format!("sessionid={token}; HttpOnly; {age}"))
        .with("set-cookie", format!("posthog_csrftoken={csrf}; {age}")))
}

fn without_cookies(reply: Reply) -> Reply {
    reply.with("set-cookie", "sessionid=; HttpOnly; Max-Age=0; Path=/; SameSite=Lax")
}

fn end(tx: &WriteTx, user: Uuid, hash: [u8; 32]) -> Result<()> {
    tx.delete(&SESSIONS, &hash)?;
    tx.delete(&SECOND_STEPS, &hash)?;
    Ok(tx.delete(&BY_USER, &(user, hash))?)
}

/// Ends all sessions of a user but one.
pub fn end_others(tx: &WriteTx, user: Uuid, keep: Option<[u8; 32]>) -> Result<()> {
    for ((_, hash), ()) in tx.scan(&BY_USER, &user, Order::Ascending)? {
        if Some(hash) != keep {
            end(tx, user, hash)?;
        }
    }
    Ok(())
}

/// When the newest session began.
pub(super) fn newest(tx: &Tx) -> Result<Option<Time>> {
    Ok(tx.last(&BY_AGE)?.map(|((age, _), ())| Ids::time_of(age)))
}

/// Removes some sessions whose time is over.
pub fn sweep(tx: &WriteTx, now: Time) -> Result<Swept> {
    let now = trusted_time::of(tx, now)?;
    const AT_ONCE: u64 = 500;
    let oldest: Vec<((Uuid, [u8; 32]), ())> = tx.first(&BY_AGE, AT_ONCE)?;
    let mut removed = 0;
    for (key, ()) in &oldest {
        let session: Option<Session> = tx.get(&SESSIONS, &key.1)?;
        match session {
            Some(session) if session.created_at.plus_seconds(SESSION_SECONDS) > now => break,
            Some(session) => end(tx, session.user, key.1)?,
            None => {}
        }
        tx.delete(&BY_AGE, key)?;
        removed += 1;
    }
    Ok(Swept { rows: removed, is_more: removed == AT_ONCE })
}
