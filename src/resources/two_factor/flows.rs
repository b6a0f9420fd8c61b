//! The second factor as people meet it, for the API and for pages: each step judges the caller, waits for a password
//! or a slot for a guess, and then runs its command in a transaction.

use std::sync::Arc;

use super::{INVALID, NOT_VALID, UNREADABLE, totp, unusable};
use super::{
    LOG_IN_SECONDS, disable, enable, enabled, is_enabled, pending, period, renew_recovery_codes, take,
};
use crate::api::Ctx;
use crate::app::App;
use crate::auth::guesses::{Guess, RefusedGuess, Slot};
use crate::error::{Error, Result, denied, invalid_body};
use crate::ids::UserId;
use crate::logging::{self, SecurityEvent};
use crate::resources::sessions::{self, Browser, Entered};
use crate::resources::{places, users};
use crate::store::{Tx, WriteTx};

/// A secret that an authenticator app may be given.
pub struct NewSecret {
    /// In base 32.
    pub secret: String,
    pub otpauth_url: String,
}

/// Shows the caller a new secret for their authenticator app. Changes nothing until a code of it is validated.
///
/// # Errors
/// 400 where there is a second factor already, and for a wrong password; 403 for a session whose password was given
/// long ago. More than ten minutes after the log-in the current password is needed.
pub async fn new_secret(app: &App, ctx: &Ctx, current_password: Option<String>) -> Result<NewSecret> {
    let user = ctx.user()?;
    sessions::require_recent_login(ctx)?;
    if app.store.read(|tx| is_enabled(tx, user))? {
        return Err(already_enabled());
    }
    prove(app, ctx, user, current_password).await?;
    app.store.read(|tx| {
        places::still_calls(ctx, tx)?;
        secret(ctx, tx, user)
    })
}

/// The same for a caller who logged in just now.
///
/// # Errors
/// 400 where there is a second factor already; 403 for a session whose password was given more than ten minutes ago.
pub fn show_secret(ctx: &Ctx, tx: &Tx) -> Result<NewSecret> {
    let user = ctx.user()?;
    if !sessions::has_just_logged_in(ctx)? {
        return Err(denied(sessions::RECENT_LOGIN_REQUIRED));
    }
    if is_enabled(tx, user)? {
        return Err(already_enabled());
    }
    secret(ctx, tx, user)
}

fn secret(ctx: &Ctx, tx: &Tx, user: UserId) -> Result<NewSecret> {
    let totp = totp(pending(ctx, tx, period(ctx.now))?, &users::find(tx, user)?.email)?;
    let otpauth_url = totp.to_url().map_err(unusable)?;
    Ok(NewSecret { secret: totp.secret().to_base32(), otpauth_url })
}

fn already_enabled() -> Error {
    invalid_body("2fa_already_enabled", "2FA is enabled already. Disable it first.")
}

/// Gives the caller the second factor whose secret they were shown. A first code proves that the app has it; a
/// wrong one counts as a guess.
///
/// # Errors
/// As for [`enable`]; 403 for a session whose password was given long ago; 429 where too many codes were wrong.
pub async fn validate(app: &App, ctx: &Ctx, token: String) -> Result<()> {
    let user = ctx.user()?;
    sessions::require_recent_login(ctx)?;
    let email = app.store.read(|tx| Ok(users::find(tx, user)?.email))?;
    let (peer, now) = (ctx.peer(), ctx.now);
    let slot = app.guess(Guess::SecondStep, &email, peer, now).map_err(RefusedGuess::throttled)?;
    let write = app.store.write({
        let ctx = ctx.clone();
        move |tx| {
            places::still_calls(&ctx, tx)?;
            enable(&ctx, tx, &token)
        }
    });
    let outcome = write.await;
    settle(slot, &outcome, ctx, &email);
    outcome
}

/// Gives the caller new recovery codes, in place of all older ones. They are shown this once.
///
/// # Errors
/// 400 without a second factor, and for a wrong password; 403 for a session whose password was given long ago.
pub async fn new_recovery_codes(
    app: &App,
    ctx: &Ctx,
    current_password: Option<String>,
) -> Result<Vec<String>> {
    require_proven_user(app, ctx, current_password).await?;
    let ctx = ctx.clone();
    let write = app.store.write(move |tx| {
        places::still_calls(&ctx, tx)?;
        renew_recovery_codes(&ctx, tx)
    });
    write.await
}

/// Takes the caller's second factor away.
///
/// # Errors
/// As for [`new_recovery_codes`].
pub async fn switch_off(app: &App, ctx: &Ctx, current_password: Option<String>) -> Result<()> {
    require_proven_user(app, ctx, current_password).await?;
    let ctx = ctx.clone();
    let write = app.store.write(move |tx| {
        places::still_calls(&ctx, tx)?;
        disable(&ctx, tx)
    });
    write.await
}

/// The second step of a log-in: a code of the device, or a recovery code. A session takes the place of the one that
/// waited.
///
/// # Errors
/// 400: `2fa_expired` where no log-in of the last ten minutes waits in this browser, `2fa_invalid` for a wrong code,
/// `2fa_too_many_attempts` where too many were wrong.
pub async fn log_in(app: &App, ctx: &Ctx, browser: &Browser, token: String) -> Result<Entered> {
    let email = app.store.read(|tx| Ok(users::find(tx, awaited(ctx, tx, browser)?)?.email))?;
    let (peer, now) = (ctx.peer(), ctx.now);
    let slot = app.guess(Guess::SecondStep, &email, peer, now).map_err(|refused| {
        if refused.is_locked {
            invalid_body("2fa_too_many_attempts", "Too many attempts.")
        } else {
            refused.throttled()
        }
    })?;
    let write = app.store.write({
        let (ctx, browser) = (ctx.clone(), browser.clone());
        move |tx| {
            let user = awaited(&ctx, tx, &browser)?;
            take(&ctx, tx, user, &token)?;
            sessions::complete(&ctx, tx, &browser, user)
        }
    });
    let entered = write.await;
    settle(slot, &entered, ctx, &email);
    if entered.is_ok() {
        app.throttles.guesses.logged_in(&email, peer, now);
    }
    entered
}

/// Takes the password of a signed-in user once more and, where they have a second factor, a code.
///
/// # Errors
/// As for [`sessions::log_in_again`]; 400 `2fa_invalid` for a wrong code; 429 where too many were wrong.
pub async fn log_in_again(
    app: &Arc<App>,
    ctx: &Ctx,
    browser: &Browser,
    password: String,
    code: String,
) -> Result<Entered> {
    let user = ctx.user()?;
    let (email, is_enabled) =
        app.store.read(|tx| Ok((users::find(tx, user)?.email, is_enabled(tx, user)?)))?;
    if !is_enabled {
        return sessions::log_in_again(app, ctx, browser, password, |_| Ok(())).await;
    }
    let slot = app.guess(Guess::SecondStep, &email, ctx.peer(), ctx.now).map_err(RefusedGuess::throttled)?;
    let proves = {
        let ctx = ctx.clone();
        move |tx: &WriteTx| take(&ctx, tx, user, &code)
    };
    let entered = sessions::log_in_again(app, ctx, browser, password, proves).await;
    settle(slot, &entered, ctx, &email);
    entered
}

/// Counts a wrong code as a guess.
fn settle<T>(slot: Slot<'_>, outcome: &Result<T>, ctx: &Ctx, email: &str) {
    if let Err(Error::Invalid { code: INVALID | UNREADABLE | NOT_VALID, .. }) = outcome {
        slot.wrong();
        logging::security(SecurityEvent::SecondStepWrong, ctx.peer(), email);
    } else {
        slot.give_back();
    }
}

/// Whether the session of this browser waits for a code.
///
/// # Errors
/// None but of the data file.
pub fn is_awaited(ctx: &Ctx, tx: &Tx, browser: &Browser) -> Result<bool> {
    let earliest = ctx.now.plus_seconds(-LOG_IN_SECONDS);
    Ok(sessions::awaiting_second_step(tx, browser.session, earliest)?.is_some())
}

/// The user whose code the session of this browser waits for.
fn awaited(ctx: &Ctx, tx: &Tx, browser: &Browser) -> Result<UserId> {
    let expired = "Login attempt has expired. Re-enter username/password.";
    let earliest = ctx.now.plus_seconds(-LOG_IN_SECONDS);
    let user = sessions::awaiting_second_step(tx, browser.session, earliest)?;
    user.ok_or_else(|| invalid_body("2fa_expired", expired))
}

/// Proves that whoever calls is the user, not somebody who found the session open: the password was given
/// just now, by log-in or with the request.
async fn prove(app: &App, ctx: &Ctx, user: UserId, given: Option<String>) -> Result<()> {
    const REQUIRED: &str = "Give your current password, or log in again.";
    sessions::require_recent_login(ctx)?;
    if given.is_none() && sessions::has_just_logged_in(ctx)? {
        return Ok(());
    }
    let user = app.store.read(|tx| users::find(tx, user))?;
    sessions::prove_password(app, ctx, &user, given, REQUIRED).await
}

/// Refuses a caller without a second factor, and one who has not proved lately that they are the user.
async fn require_proven_user(app: &App, ctx: &Ctx, current_password: Option<String>) -> Result<()> {
    let user = ctx.user()?;
    sessions::require_recent_login(ctx)?;
    app.store.read(|tx| enabled(tx, user))?;
    prove(app, ctx, user, current_password).await
}
