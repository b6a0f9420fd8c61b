//! Becoming a user, step by step, for the API and for pages: whether somebody may, what is waited for, and the command
//! in its transaction, which logs them in.

use std::sync::Arc;

use serde_json::Value;

use super::{ACCEPT, EMAIL, PASSWORD, SIGN_UP, accept, create, create_invited};
use crate::api::{Call, Ctx, Values};
use crate::app::App;
use crate::auth::guesses::{Guess, RefusedGuess};
use crate::auth::hash;
use crate::error::{Error, Result, denied, invalid_body};
use crate::ids::{OrganizationId, UserId};
use crate::logging::{self, SecurityEvent};
use crate::resources::invites::{self, Loaded};
use crate::resources::sessions::{self, Browser, Entered};
use crate::resources::{domains, members, organizations, places, users};
use crate::store::Tx;

/// Somebody who wants to become a user, and what they show besides their fields.
#[derive(Clone, Debug)]
pub struct Newcomer {
    pub browser: Browser,
    /// Whether a program on this machine sent the request, with no proxy in between.
    pub is_at_the_machine: bool,
    pub setup_code: Option<String>,
}

impl Newcomer {
    pub fn of(call: &Call) -> Newcomer {
        Newcomer {
            browser: Browser::of(call),
            is_at_the_machine: call.is_from_this_machine(),
            setup_code: call.setup_code.clone(),
        }
    }
}

/// Whether anybody may sign up now with an organization of their own. An empty file takes its first user from
/// loopback, or with the set-up code that only the log shows, so that nobody takes a fresh server over from afar.
///
/// # Errors
/// 403 with the reason.
pub fn may_sign_up(setup_code: &str, ctx: &Ctx, tx: &Tx, newcomer: &Newcomer) -> Result<()> {
    if ctx.config.open_signup {
        return Ok(());
    }
    if !users::none_yet(tx)? {
        let detail = "New organizations cannot be created in this instance. Contact your administrator if you think this is a mistake.";
        return Err(denied(detail));
    }
    if newcomer.is_at_the_machine || shows_setup_code(newcomer.setup_code.as_deref(), setup_code) {
        return Ok(());
    }
    Err(denied(
        "The first sign-up must come from this machine, or show the set-up code of the server's log in the header X-Setup-Code.",
    ))
}

/// The organization that takes in the address, where the operator lets addresses be believed unproved; sign-up need
/// not be open for that.
fn provisioned(ctx: &Ctx, tx: &Tx, email: Option<&Value>) -> Result<Option<OrganizationId>> {
    match email.and_then(Value::as_str) {
        Some(email) if ctx.config.jit_signup => domains::provisions(tx, email.trim()),
        _ => Ok(None),
    }
}

/// Where somebody who signs up goes: into an organization, or with `None` into one of their own.
fn admit(
    setup_code: &str,
    ctx: &Ctx,
    tx: &Tx,
    newcomer: &Newcomer,
    values: &Values,
) -> Result<Option<OrganizationId>> {
    let organization = provisioned(ctx, tx, values.field(EMAIL.name()))?;
    if organization.is_none() {
        may_sign_up(setup_code, ctx, tx, newcomer)?;
    }
    Ok(organization)
}

/// Signs somebody up, with an organization of their own or into the one that takes in their address, and logs them
/// in. The first user of all is of the staff. The values are those of `POST /api/signup/`.
///
/// # Errors
/// 403 where sign-up is closed; 400 for wrong fields, a weak password, an address that is taken; 429 where too many
/// set-up codes were wrong or too many addresses taken, and for a sixth sign-up of a network in a day.
pub async fn sign_up(app: &Arc<App>, ctx: &Ctx, newcomer: &Newcomer, values: Values) -> Result<Entered> {
    judge_setup_code(app, ctx, newcomer.setup_code.as_deref())?;
    let is_open_to_all = app.store.read(|tx| {
        let home = admit(&app.setup_code, ctx, tx, newcomer, &values)?;
        Ok(home.is_none() && !users::none_yet(tx)?)
    })?;
    let mut form = values.input().form(SIGN_UP)?;
    let email: String = form.take(EMAIL).unwrap_or_default();
    let password: String = form.take(PASSWORD).unwrap_or_default();
    form.leave_rest();
    // Whoever tries out which addresses have accounts pays for a hash each time, and has few tries.
    let slot = app.guess(Guess::Token, "", ctx.peer(), ctx.now).map_err(RefusedGuess::throttled)?;
    let password_hash = users::new_hash(app, ctx, password).await;
    let is_taken = app.store.read(|tx| Ok(users::by_email(tx, &email)?.is_some()))?;
    if is_taken && password_hash.is_ok() {
        slot.wrong();
        return Err(users::email_taken());
    }
    slot.give_back();
    let password_hash = password_hash?;
    if is_open_to_all && app.config.lock_out() {
        app.throttles.sign_up(ctx.peer(), ctx.now)?;
    }
    let write = app.store.write({
        let (setup_code, ctx, newcomer) = (app.setup_code.clone(), ctx.clone(), newcomer.clone());
        move |tx| {
            // Judged again: somebody else may have been first meanwhile.
            let home = admit(&setup_code, &ctx, tx, &newcomer, &values)?;
            let user = create(&ctx, tx, home, &password_hash, values.input())?;
            sessions::begin_signed_up(&ctx, tx, &newcomer.browser, user)
        }
    });
    write.await
}

/// Counts a wrong set-up code as a guess.
///
/// # Errors
/// 429 where too many were wrong.
pub fn judge_setup_code(app: &App, ctx: &Ctx, given: Option<&str>) -> Result<()> {
    if given.is_none() {
        return Ok(());
    }
    let slot = app.guess(Guess::Token, "", ctx.peer(), ctx.now).map_err(RefusedGuess::throttled)?;
    if shows_setup_code(given, &app.setup_code) {
        slot.give_back();
    } else {
        slot.wrong();
        logging::security(SecurityEvent::TokenRefused, ctx.peer(), "set-up code");
    }
    Ok(())
}

/// Whether the set-up code is the right one. Hashes are compared, so that the time taken says nothing of it.
pub fn shows_setup_code(given: Option<&str>, right: &str) -> bool {
    given.is_some_and(|code| hash(code) == hash(right))
}

fn unknown_token() -> Error {
    invalid_body("invalid_input", "The provided invite ID is not valid.")
}

/// Refuses the token of an invite that opens nothing. Those are counted, so that nobody can try many.
///
/// # Errors
/// 400 for an unknown token; 429 where too many were.
pub fn look_up(app: &App, ctx: &Ctx, token: &str) -> Result<()> {
    let slot = app.guess(Guess::Token, "", ctx.peer(), ctx.now).map_err(RefusedGuess::throttled)?;
    if app.store.read(|tx| invites::by_token(tx, token))?.is_none() {
        slot.wrong();
        logging::security(SecurityEvent::TokenRefused, ctx.peer(), "");
        return Err(unknown_token());
    }
    slot.give_back();
    Ok(())
}

/// The invite of a link, if the actor may use it now: the user whom it is for, or a stranger where nobody has its
/// address yet. Counts nothing: [`look_up`] comes first.
///
/// # Errors
/// 400 with a code that says why not: `invalid_recipient`, `expired`, `account_exists` (whose sentence is where to log
/// in), `user_already_member`; 403 where the organization does not admit the address.
pub fn usable(ctx: &Ctx, tx: &Tx, token: &str) -> Result<Loaded> {
    let found = invites::by_token(tx, token)?.ok_or_else(unknown_token)?;
    let owner = users::by_email(tx, &found.invite.target_email)?;
    let caller = ctx.actor.caller().map(|caller| caller.user);
    if caller.is_some() && owner != caller {
        let detail = "This invite is intended for another email address.";
        return Err(invalid_body("invalid_recipient", detail));
    }
    if found.invite.is_expired(ctx.now) {
        let detail = "This invite has expired. Please ask your admin for a new one.";
        return Err(invalid_body("expired", detail));
    }
    let email = &found.invite.target_email;
    organizations::admits_address(tx, found.organization, email)?.map_err(denied)?;
    if caller.is_none() && owner.is_some() {
        return Err(invalid_body("account_exists", format!("/login?next=/signup/{token}")));
    }
    if let Some(user) = caller
        && members::level_of(tx, found.organization, user)?.is_some()
    {
        return Err(invalid_body("user_already_member", "You already are a member of this organization."));
    }
    Ok(found)
}

/// Lets the calling user in by the invite of a link. Gives who they are.
///
/// # Errors
/// As for [`look_up`] and [`usable`]; 401 for a stranger.
pub async fn join(app: &App, ctx: &Ctx, token: &str) -> Result<UserId> {
    look_up(app, ctx, token)?;
    let (ctx, token) = (ctx.clone(), token.to_owned());
    let write = app.store.write(move |tx| {
        places::still_calls(&ctx, tx)?;
        let user = ctx.user()?;
        accept(&ctx, tx, &usable(&ctx, tx, &token)?, user)?;
        Ok(user)
    });
    write.await
}

/// Makes a stranger a user by the invite of a link, lets them in, and logs them in. The values are those of
/// `POST /api/signup/{token}/`.
///
/// # Errors
/// As for [`look_up`] and [`usable`]; 400 for wrong fields and a weak password.
pub async fn join_as_newcomer(
    app: &Arc<App>,
    ctx: &Ctx,
    browser: &Browser,
    token: &str,
    values: Values,
) -> Result<Entered> {
    look_up(app, ctx, token)?;
    app.store.read(|tx| for_newcomer(usable(ctx, tx, token), tx, token))?;
    let mut form = values.input().form(ACCEPT)?;
    let password: String = form.take(PASSWORD).unwrap_or_default();
    form.leave_rest();
    let password_hash = users::new_hash(app, ctx, password).await?;
    let write = app.store.write({
        let (ctx, browser, token) = (ctx.clone(), browser.clone(), token.to_owned());
        move |tx| {
            let invite = for_newcomer(usable(&ctx, tx, &token), tx, &token)?;
            let user = create_invited(&ctx, tx, &invite, &password_hash, values.input())?;
            sessions::begin_signed_up(&ctx, tx, &browser, user)
        }
    });
    write.await
}

/// Accepting says of an existing account in other words than prevalidation.
fn for_newcomer(checked: Result<Loaded>, tx: &Tx, token: &str) -> Result<Loaded> {
    match checked {
        Err(Error::Invalid { code: "account_exists", .. }) => {
            let found = invites::by_token(tx, token)?;
            let email = found.map(|found| found.invite.target_email).unwrap_or_default();
            let detail =
                format!("There already exists an account with email address {email}. Please log in instead.");
            Err(invalid_body("invalid_input", detail))
        }
        other => other,
    }
}
