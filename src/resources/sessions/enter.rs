//! Logging in, step by step, for the API and for pages: the password, then where it is wanted the code, each of which
//! gives a session of its own; and the password once more, for what is sensitive.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Method, SESSIONS, Session, USER_AGENT_CHARS_MAX, current, end_dead, end_oldest, log_out};
use crate::api::caller::SecondStep;
use crate::api::{Call, Ctx};
use crate::app::App;
use crate::auth::guesses::{Guess, RefusedGuess};
use crate::auth::{hash, password};
use crate::error::{Error, Result, invalid, invalid_body};
use crate::ids::UserId;
use crate::logging::{self, SecurityEvent};
use crate::resources::users::{self, Happening, User};
use crate::resources::{addresses, last_logins, places, two_factor};
use crate::store::{Tx, WriteTx};

/// The program that somebody logs in with.
#[derive(Clone, Debug)]
pub struct Browser {
    /// The hash of the session cookie that it has already, good or not.
    pub session: Option<[u8; 32]>,
    pub address: IpAddr,
    pub user_agent: String,
}

impl Browser {
    pub fn of(call: &Call) -> Browser {
        Browser { session: call.session, address: call.peer, user_agent: call.user_agent.clone() }
    }
}

/// A session that began: the token is what its cookie holds. One that waits for its second step opens nothing.
#[derive(Clone, Debug)]
pub struct Entered {
    pub user: UserId,
    pub token: String,
    pub second_step: SecondStep,
}

/// Logs in by address and password. Where the user has a second factor, the session waits for its second step, which
/// [`two_factor::log_in`] takes.
///
/// # Errors
/// 400 for a wrong address or password, in the same words and time, and for an address that has to be confirmed first,
/// to which the link is sent again; 403 or 429 where too many were wrong.
pub async fn log_in_with_password(
    app: &Arc<App>,
    ctx: &Ctx,
    browser: &Browser,
    email: &str,
    given: String,
) -> Result<Entered> {
    let found = app.store.read(|tx| account(tx, email))?;
    let (user, stored) = found.map_or((None, None), |(uuid, stored)| (Some(uuid), stored));
    let is_right = is_password(app, ctx, email, given, stored.clone(), too_many_failures).await?;
    let user = user.filter(|_| is_right).ok_or_else(wrong)?;
    if app.store.read(|tx| addresses::must_verify(ctx, tx, user))? {
        addresses::remind(app, ctx, user);
        return Err(addresses::not_verified());
    }
    let write = app.store.write({
        let (ctx, browser, email) = (ctx.clone(), browser.clone(), email.to_owned());
        move |tx| {
            // The password may have been changed while this one waited for its turn.
            if account(tx, &email)? != Some((user, stored.clone())) {
                return Err(wrong());
            }
            log_in(&ctx, tx, &browser, user)
        }
    });
    let entered = write.await?;
    if entered.second_step == SecondStep::None {
        app.throttles.guesses.logged_in(email, ctx.peer(), ctx.now);
    }
    Ok(entered)
}

/// Who has this address, and the hash of their password; nobody, where the account is closed.
fn account(tx: &Tx, email: &str) -> Result<Option<(UserId, Option<String>)>> {
    match users::by_email(tx, email)? {
        Some(uuid) if users::is_active(tx, uuid)? => Ok(Some((uuid, users::find(tx, uuid)?.password_hash))),
        _ => Ok(None),
    }
}

fn wrong() -> Error {
    invalid_body("invalid_credentials", "Invalid email or password.")
}

/// Takes the password of a signed-in user once more: a new session takes the place of the one that calls, as far as
/// that one was with its second step. `proves` is what else shows that it is them.
///
/// # Errors
/// 401 for a key or a stranger; 400 for the field `password` where it is wrong; 429 where too many were; those of
/// `proves`.
pub async fn log_in_again(
    app: &Arc<App>,
    ctx: &Ctx,
    browser: &Browser,
    given: String,
    proves: impl Fn(&WriteTx) -> Result<()> + Send + 'static,
) -> Result<Entered> {
    let (user, record) = app.store.read(|tx| {
        let (_, session) = current(ctx, tx)?;
        Ok((session.user, users::find(tx, session.user)?))
    })?;
    let stored = record.password_hash.clone();
    if !is_password(app, ctx, &record.email, given, stored.clone(), RefusedGuess::throttled).await? {
        return Err(invalid("password", "incorrect_password", "Your current password is incorrect."));
    }
    let write = app.store.write({
        let (ctx, browser) = (ctx.clone(), browser.clone());
        move |tx| {
            places::still_calls(&ctx, tx)?;
            if users::find(tx, user)?.password_hash != stored {
                return Err(password_incorrect());
            }
            proves(tx)?;
            let (_, session) = current(&ctx, tx)?;
            let token = begin(&ctx, tx, &browser, user, session.second_step, Method::Password)?;
            Ok(Entered { user, token, second_step: session.second_step })
        }
    });
    write.await
}

/// Whether the password of the account is right. A wrong one counts as a guess and gets a line in the log.
async fn is_password(
    app: &App,
    ctx: &Ctx,
    email: &str,
    given: String,
    stored: Option<String>,
    refuse: fn(RefusedGuess) -> Error,
) -> Result<bool> {
    let peer = ctx.peer();
    let slot = app.guess(Guess::Password, email, peer, ctx.now).map_err(refuse)?;
    match app.run_cpu_bound(peer, move || password::verify(&given, stored.as_deref())).await {
        Ok(true) => slot.give_back(),
        Ok(false) => {
            slot.wrong();
            logging::security(SecurityEvent::PasswordWrong, peer, email);
            return Ok(false);
        }
        Err(nobody_looked) => {
            slot.give_back();
            return Err(nobody_looked);
        }
    }
    Ok(true)
}

/// What PostHog says to whoever tried too often.
fn too_many_failures(refused: RefusedGuess) -> Error {
    if !refused.is_locked {
        return refused.throttled();
    }
    let minutes = refused.retry_after_seconds.div_ceil(60);
    let plural = if minutes == 1 { "" } else { "s" };
    Error::Denied {
        code: "too_many_failed_attempts",
        detail: format!("Too many failed login attempts. Please try again in {minutes} minute{plural}.")
            .into(),
    }
}

/// Proves that the caller knows the user's password.
///
/// # Errors
/// 400 for the field `current_password` where it is missing (with the sentence `required`) or wrong; 429
/// where too many were wrong.
pub async fn prove_password(
    app: &App,
    ctx: &Ctx,
    user: &User,
    given: Option<String>,
    required: &'static str,
) -> Result<()> {
    let given = given.ok_or_else(|| invalid("current_password", "required", required))?;
    let stored = user.password_hash.clone();
    if is_password(app, ctx, &user.email, given, stored, RefusedGuess::throttled).await? {
        return Ok(());
    }
    Err(password_incorrect())
}

/// 400 for a current password that is another.
pub fn password_incorrect() -> Error {
    invalid("current_password", "incorrect_password", "Your current password is incorrect.")
}

/// Logs in a user whose password was right: with a session that waits for its second step where the user has a second
/// factor.
///
/// # Errors
/// None but of the data file.
pub fn log_in(ctx: &Ctx, tx: &WriteTx, browser: &Browser, user: UserId) -> Result<Entered> {
    let second_step = if two_factor::is_enabled(tx, user)? { SecondStep::Awaited } else { SecondStep::None };
    let token = begin(ctx, tx, browser, user, second_step, Method::Password)?;
    Ok(Entered { user, token, second_step })
}

/// Ends a log-in with its second step, whose code was right: a new session takes the place of the one that
/// waited.
///
/// # Errors
/// None but of the data file.
pub fn complete(ctx: &Ctx, tx: &WriteTx, browser: &Browser, user: UserId) -> Result<Entered> {
    let token = begin(ctx, tx, browser, user, SecondStep::Done, Method::Password)?;
    Ok(Entered { user, token, second_step: SecondStep::Done })
}

/// Logs a user in who has just signed up.
///
/// # Errors
/// None but of the data file.
pub fn begin_signed_up(ctx: &Ctx, tx: &WriteTx, browser: &Browser, user: UserId) -> Result<Entered> {
    let token = begin(ctx, tx, browser, user, SecondStep::None, Method::SignUp)?;
    Ok(Entered { user, token, second_step: SecondStep::None })
}

/// Stores a new session, and gives its token.
fn begin(
    ctx: &Ctx,
    tx: &WriteTx,
    browser: &Browser,
    user: UserId,
    second_step: SecondStep,
    method: Method,
) -> Result<String> {
    const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    // A log-in ends what the same browser had, and makes good for what nobody ended.
    log_out(ctx, tx, browser.session)?;
    end_dead(ctx, tx, user)?;
    end_oldest(tx, user)?;
    let token = ctx.ids.letters(ALPHABET, 40);
    let session = Session {
        id: ctx.new_id(),
        user,
        created_at: ctx.now,
        authenticated_at: ctx.now,
        last_activity: ctx.now,
        second_step,
        setups: 0,
        method,
        address: Some(browser.address),
        user_agent: browser.user_agent.chars().take(USER_AGENT_CHARS_MAX).collect(),
    };
    tx.insert(&SESSIONS, &hash(&token), &session)?;
    if second_step != SecondStep::Awaited {
        last_logins::note(tx, user, ctx.now)?;
        let has_second_factor = second_step == SecondStep::Done;
        users::record(ctx, tx, user, &Happening::LoggedIn { method: method.name(), has_second_factor })?;
    }
    Ok(token)
}
