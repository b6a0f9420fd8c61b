//! Browser sessions: log-in, log-out.
//! Invariant: only the hash of a session's token is stored; a session past its time, or one that waits
//! for its second step, opens nothing. A waiting one never becomes another kind: its second step ends it and
//! begins a new one. Whoever has a second factor has no session without it.

mod device;
mod enter;
mod listed;

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::users::{self, Happening};
use super::{Resource, Swept, integrity::expect, trusted_time, two_factor};
use crate::api::caller::{SecondStep, Via};
use crate::api::{Actor, Call, Caller, Ctx, Field, FieldInfo, Reply, Within};
use crate::app::{App, Route, Tag, async_, public, read, tagged, write};
use crate::auth::{cookies, password};
use crate::clock::{Ids, Time};
use crate::config::{
    ACTIVITY_SECONDS, Config, JUST_LOGGED_IN_SECONDS, SENSITIVE_SESSION_SECONDS, SESSION_SECONDS,
    SESSIONS_MAX,
};
use crate::error::{Envelope, Result, denied, unauthenticated};
use crate::ids::{SessionId, UserId};
use crate::store::{Index, Order, ParentThrough, Problems, Table, Tx, WriteTx};
pub use enter::{
    Browser, Entered, begin_signed_up, complete, log_in, log_in_again, log_in_with_password,
    password_incorrect, prove_password,
};
pub use listed::{OwnSession, own, revoke, revoke_others};

pub static RESOURCE: Resource = Resource::of(routes).tables(&[&SESSIONS]).samples(samples).checks(&[check]);

fn routes() -> Vec<Route> {
    const TAG: Tag = Tag {
        name: "sessions",
        noun: "login session",
        about: "Logging in and out, and the list of a user's log-ins.",
    };

    let mut rows = vec![
        Route::post("/api/login/", public(), Within::Nothing, async_(post_login))
            .accepts(LOGIN)
            .responds(200, SUCCESS)
            .about(
                "Log in",
                "Sets the cookie of a session. 401 with `2fa_required` where a code has to follow by \
                 `POST /api/login/token/`.",
            ),
        Route::post("/api/login/precheck/", public(), Within::Nothing, async_(post_precheck))
            .accepts(PRECHECK)
            .responds(200, PRECHECKED)
            .about(
                "See how an address logs in",
                "Always by password: the same for every address, whether anybody has it or not.",
            ),
        // Open to log-ins that wait for their second step, which are nobody's yet.
        Route::post("/api/logout/", public(), Within::Nothing, write(post_logout))
            .responds_nothing()
            .about("Log out", "Ends the session of the cookie."),
        // Ends nothing: any page can send a browser here.
        Route::get("/logout", public(), Within::Nothing, read(|_, _| Ok(to_log_in())))
            .in_any_format()
            .redirects()
            .about("Go to the log-in page", "Ends nothing: any page can send a browser here.")
            .called("site_logout_retrieve"),
        Route::post("/logout", public(), Within::Nothing, write(leave))
            .in_any_format()
            .redirects()
            .about("Log out and go to the log-in page", "Ends the session of the cookie.")
            .called("site_logout"),
    ];
    rows.extend(listed::routes());
    tagged(TAG, rows)
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    /// What its user sees of it; opens nothing.
    pub id: SessionId,
    pub user: UserId,
    pub created_at: Time,
    /// When the password was last given.
    pub authenticated_at: Time,
    /// Written down now and then.
    pub last_activity: Time,
    pub second_step: SecondStep,
    /// How many second factors were set up in it.
    pub setups: u32,
    pub method: Method,
    /// Where it was last used from; `None` where that was not written down.
    pub address: Option<IpAddr>,
    pub user_agent: String,
}

/// How a session began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    Password,
    SignUp,
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Method::Password => "password",
            Method::SignUp => "signup",
        }
    }
}

/// By the SHA-256 of the token.
pub(super) static SESSIONS: Table<[u8; 32], Session> =
    Table::new("sessions").indexed(&[&BY_USER, &BY_AGE]).belongs_to(&[&ParentThrough {
        table: &users::USERS,
        front: |user| *user,
        index: &BY_USER,
        child: |(_, hash), ()| *hash,
    }]);
static BY_USER: Index<[u8; 32], Session, (UserId, [u8; 32]), ()> =
    Index::new("sessions_by_user", |hash, session| Some(((session.user, *hash), ())));
/// By id, and so in the order of their making, to find those whose time is over.
static BY_AGE: Index<[u8; 32], Session, (SessionId, [u8; 32]), ()> =
    Index::new("sessions_by_age", |hash, session| Some(((session.id, *hash), ())));

const EMAIL: Field<String> = Field::email("email").required().write_only();
const PASSWORD: Field<String> = Field::secret("password", password::CHARS_MAX).required().write_only();
pub const LOGIN: &[FieldInfo] = &[EMAIL.info(), PASSWORD.info()];
const PRECHECK: &[FieldInfo] = &[EMAIL.info()];
const PRECHECKED: &[FieldInfo] = &[
    Field::text("sso_enforcement", 20).nullable().read_only(),
    Field::boolean("saml_available").read_only(),
    Field::list("webauthn_credentials").read_only(),
];
const SUCCESS: &[FieldInfo] = &[Field::boolean("success").read_only()];
const USER_AGENT_CHARS_MAX: usize = 300;

#[derive(Serialize)]
struct Success {
    success: bool,
}

#[derive(Serialize)]
struct Prechecked {
    sso_enforcement: Option<&'static str>,
    saml_available: bool,
    webauthn_credentials: [(); 0],
}

async fn post_precheck(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    if app.config.lock_out() {
        app.throttles.precheck(call.peer, call.now)?;
    }
    let _same_for_all: Option<String> = call.form(PRECHECK)?.only(EMAIL);
    Reply::ok(&Prechecked { sso_enforcement: None, saml_available: false, webauthn_credentials: [] })
}

async fn post_login(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    let mut form = call.form(LOGIN)?;
    let email: String = form.take(EMAIL).unwrap_or_default();
    let given: String = form.take(PASSWORD).unwrap_or_default();
    form.finish();
    let entered = log_in_with_password(&app, &call, &Browser::of(&call), &email, given).await?;
    let reply = match entered.second_step {
        SecondStep::Awaited => second_step_required()?,
        _ => Reply::ok(&Success { success: true })?,
    };
    cookies::set(&call, &entered.token, reply)
}

/// Whether the caller gave the password just now.
pub fn has_just_logged_in(ctx: &Ctx) -> Result<bool> {
    Ok(match ctx.caller()?.via {
        Via::Session { authenticated_at, .. } => {
            authenticated_at.plus_seconds(JUST_LOGGED_IN_SECONDS) > ctx.now
        }
        Via::Key(_) => false,
    })
}

/// PostHog's answer to a right password where a code has to follow; it sets the session's cookie.
fn second_step_required() -> Result<Reply> {
    let detail = "2FA is required.";
    Reply::json(401, &Envelope::new(401, "server_error", "2fa_required", detail))
}

fn post_logout(call: &Call, tx: &WriteTx) -> Result<Reply> {
    if !log_out(call, tx, call.session)? {
        return Err(unauthenticated());
    }
    Ok(cookies::clear(call, Reply::no_content()?))
}

/// PostHog's own log-out link leads to its log-in page.
fn leave(call: &Call, tx: &WriteTx) -> Result<Reply> {
    log_out(call, tx, call.session)?;
    // Browsers keep pages to go back to, also those that say that they are not to be stored.
    Ok(cookies::clear(call, to_log_in()).with("clear-site-data", "\"cache\""))
}

fn to_log_in() -> Reply {
    Reply::text(302, "text/html; charset=utf-8", "").with("location", "/login")
}

/// Ends what the browser has: a session, or a log-in that waits for its second step. Whether there was one.
///
/// # Errors
/// None but of the data file.
pub fn log_out(ctx: &Ctx, tx: &WriteTx, session: Option<[u8; 32]>) -> Result<bool> {
    let Some(hash) = session else { return Ok(false) };
    let Some(session) = tx.get(&SESSIONS, &hash)? else { return Ok(false) };
    // The CSRF token of a live session was judged with its caller.
    let is_callers = ctx.actor.caller().is_some_and(|caller| caller.user == session.user);
    if !is_callers && session.second_step != SecondStep::Awaited {
        return Ok(false);
    }
    tx.delete(&SESSIONS, &hash)?;
    if is_callers {
        users::record(ctx, tx, session.user, &Happening::LoggedOut { sessions: 1 })?;
    }
    Ok(true)
}

/// Whether its time is not over; whatever it may open.
fn is_live(session: &Session, ctx: &Ctx) -> bool {
    session.created_at.plus_seconds(SESSION_SECONDS) > ctx.now
        && session.last_activity.plus_seconds(ctx.config.session_idle_seconds) > ctx.now
}

/// The session with this hash, where it is still good.
pub fn live(tx: &Tx, hash: &[u8; 32], ctx: &Ctx) -> Result<Option<Session>> {
    let session: Option<Session> = tx.get(&SESSIONS, hash)?;
    Ok(session.filter(|session| match session.second_step {
        SecondStep::Awaited => false,
        SecondStep::None | SecondStep::Done => is_live(session, ctx),
    }))
}

/// Whether a session's last use is to be written down again.
pub fn is_activity_due(config: &Config, last_activity: Time, now: Time) -> bool {
    // Often enough that whoever goes on is never taken for idle.
    let period = (config.session_idle_seconds / 10).clamp(1, ACTIVITY_SECONDS);
    last_activity.plus_seconds(period) <= now
}

/// Notes that a session was used, where it still stands.
pub fn touch(tx: &WriteTx, hash: &[u8; 32], now: Time, peer: IpAddr, user_agent: &str) -> Result<()> {
    let Some(mut session) = tx.get(&SESSIONS, hash)? else { return Ok(()) };
    session.last_activity = now.max(session.last_activity);
    session.address = Some(peer);
    session.user_agent = user_agent.chars().take(USER_AGENT_CHARS_MAX).collect();
    Ok(tx.put(&SESSIONS, hash, &session)?)
}

/// The sentence of 403 where the password has to be given again.
pub const RECENT_LOGIN_REQUIRED: &str = "This action requires you to be recently authenticated.";

/// Refuses a caller who did not give the password lately; keys and the operator are let through.
pub fn require_recent_login(ctx: &Ctx) -> Result<()> {
    match &ctx.actor {
        Actor::Nobody => Err(unauthenticated()),
        Actor::User(Caller { via: Via::Session { authenticated_at, .. }, .. })
            if authenticated_at.plus_seconds(SENSITIVE_SESSION_SECONDS) <= ctx.now =>
        {
            Err(denied(RECENT_LOGIN_REQUIRED))
        }
        _ => Ok(()),
    }
}

/// Whether the caller's session began with a second factor.
pub fn is_second_step_done(ctx: &Ctx) -> Result<bool> {
    Ok(matches!(ctx.caller()?.via, Via::Session { second_step: SecondStep::Done, .. }))
}

/// The user whose second step this session waits for, if the password was given after `earliest`.
pub fn awaiting_second_step(tx: &Tx, session: Option<[u8; 32]>, earliest: Time) -> Result<Option<UserId>> {
    let Some(hash) = session else { return Ok(None) };
    let session = tx.get(&SESSIONS, &hash)?;
    let waits =
        |session: &Session| session.second_step == SecondStep::Awaited && session.created_at > earliest;
    Ok(session.filter(waits).map(|session| session.user))
}

/// The session that calls, and its hash.
pub fn current(ctx: &Ctx, tx: &Tx) -> Result<([u8; 32], Session)> {
    let Via::Session { hash, .. } = ctx.caller()?.via else { return Err(unauthenticated()) };
    let session = tx.get(&SESSIONS, &hash)?.ok_or_else(unauthenticated)?;
    Ok((hash, session))
}

/// The caller has just proved a new second factor, or given theirs up: their session continues with it, or
/// without, and everything else that was begun with the old one ends.
pub fn second_factor_changed(ctx: &Ctx, tx: &WriteTx, is_enabled: bool) -> Result<()> {
    let (hash, mut session) = current(ctx, tx)?;
    session.second_step = if is_enabled { SecondStep::Done } else { SecondStep::None };
    session.setups += u32::from(is_enabled);
    tx.put(&SESSIONS, &hash, &session)?;
    end_others(tx, session.user, Some(hash))
}

/// Ends a session where a user has as many as one may have: log-ins that wait end first, then
/// those that began first.
fn end_oldest(tx: &WriteTx, user: UserId) -> Result<()> {
    let mut all = of_user(tx, user)?;
    all.sort_by_key(|(_, session)| (session.second_step != SecondStep::Awaited, session.id));
    let too_many = (all.len() + 1).saturating_sub(SESSIONS_MAX);
    all.iter().take(too_many).try_for_each(|(hash, _session)| Ok(tx.delete(&SESSIONS, hash)?))
}

/// Every session of a user, and every log-in that waits, with its hash.
fn of_user(tx: &Tx, user: UserId) -> Result<Vec<([u8; 32], Session)>> {
    let mut all = Vec::new();
    for ((_, hash), ()) in tx.scan(&BY_USER, &user, Order::Ascending)? {
        if let Some(session) = tx.get(&SESSIONS, &hash)? {
            all.push((hash, session));
        }
    }
    Ok(all)
}

/// Ends what a user has left over: sessions past their time, and log-ins whose second step never came.
fn end_dead(ctx: &Ctx, tx: &WriteTx, user: UserId) -> Result<()> {
    for (hash, session) in of_user(tx, user)? {
        let waited_out = session.second_step == SecondStep::Awaited
            && session.created_at.plus_seconds(two_factor::LOG_IN_SECONDS) <= ctx.now;
        if waited_out || !is_live(&session, ctx) {
            tx.delete(&SESSIONS, &hash)?;
        }
    }
    Ok(())
}

/// Ends all sessions of a user but one, and all log-ins that wait for their second step.
pub fn end_others(tx: &WriteTx, user: UserId, keep: Option<[u8; 32]>) -> Result<()> {
    for (hash, _session) in of_user(tx, user)? {
        if Some(hash) != keep {
            tx.delete(&SESSIONS, &hash)?;
        }
    }
    Ok(())
}

/// Ends all sessions of a user, and all log-ins that wait for their second step. For the operator.
///
/// # Errors
/// None but of the data file.
pub fn end_all(ctx: &Ctx, tx: &WriteTx, user: UserId) -> Result<()> {
    let sessions = live_ones(ctx, tx, user)?.len();
    end_others(tx, user, None)?;
    if sessions > 0 {
        users::record(ctx, tx, user, &Happening::LoggedOut { sessions })?;
    }
    Ok(())
}

/// A user's live sessions with their hashes, newest first; a log-in that waits for its second step is none.
fn live_ones(ctx: &Ctx, tx: &Tx, user: UserId) -> Result<Vec<([u8; 32], Session)>> {
    let mut all = Vec::new();
    for (hash, session) in of_user(tx, user)? {
        if is_live(&session, ctx) && session.second_step != SecondStep::Awaited {
            all.push((hash, session));
        }
    }
    all.sort_by_key(|(_, session)| std::cmp::Reverse(session.id));
    Ok(all)
}

/// When the newest session began.
pub(super) fn newest(tx: &Tx) -> Result<Option<Time>> {
    Ok(tx.last(&BY_AGE)?.map(|((age, _), ())| Ids::time_of(age.0)))
}

/// Removes some sessions whose time is over.
pub fn sweep(tx: &WriteTx, now: Time) -> Result<Swept> {
    let now = trusted_time::of(tx, now)?;
    const AT_ONCE: u64 = 500;
    let oldest: Vec<((SessionId, [u8; 32]), ())> = tx.first(&BY_AGE, AT_ONCE)?;
    let mut removed = 0;
    for ((_, hash), ()) in &oldest {
        let Some(session) = tx.get(&SESSIONS, hash)? else { continue };
        if session.created_at.plus_seconds(SESSION_SECONDS) > now {
            break;
        }
        tx.delete(&SESSIONS, hash)?;
        removed += 1;
    }
    Ok(Swept { rows: removed, is_more: removed == AT_ONCE })
}

/// When the oldest session is over.
pub fn first_end(tx: &Tx) -> Result<Option<Time>> {
    for ((_, hash), ()) in tx.first(&BY_AGE, 1)? {
        if let Some(session) = tx.get(&SESSIONS, &hash)? {
            return Ok(Some(session.created_at.plus_seconds(SESSION_SECONDS)));
        }
    }
    Ok(None)
}

/// A user with a second factor has no session that began without it.
fn check(tx: &Tx, problems: &mut Problems) -> Result<()> {
    for (_, session) in tx.all(&SESSIONS)? {
        let user = session.user;
        let is_whole = session.second_step != SecondStep::None || !two_factor::is_enabled(tx, user)?;
        expect(problems, is_whole, || format!("session {} of {user} has no second factor", session.id));
    }
    Ok(())
}

/// One session, for the test of the stored bytes.
fn sample(id: SessionId, user: UserId, now: Time) -> Session {
    Session {
        id,
        user,
        created_at: now,
        authenticated_at: now,
        last_activity: now,
        second_step: SecondStep::Done,
        setups: 1,
        method: Method::SignUp,
        address: Some(IpAddr::from([192, 0, 2, 1])),
        user_agent: "curl/8.5.0".into(),
    }
}

fn samples(all: &mut super::samples::Samples) {
    use super::samples::{HASH, NOW, ONE, TWO};
    all.add(&SESSIONS, HASH, sample(TWO.into(), ONE.into(), NOW));
    all.variants("how a session began", &crate::every!(Method { Password, SignUp }));
    all.variants("second step", &crate::every!(SecondStep { None, Awaited, Done }));
}
