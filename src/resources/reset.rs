//! A forgotten password: a link by mail, or from the operator, and a new password by it.
//! Invariant: nobody learns whether an address has an account, neither from an answer nor from the time it takes. A
//! link opens once, for an hour, and nothing after a newer link, another address or another password. Whoever follows
//! one is not logged in by it, and the second factor stays.

use std::sync::Arc;

use serde::Serialize;

use super::account_links::{self, Purpose};
use super::outbox::{self, Letter};
use super::users::{self, User};
use super::{Resource, addresses};
use crate::api::{Call, Ctx, Field, FieldInfo, Reply, Within};
use crate::app::{App, Route, Tag, async_, public, tagged};
use crate::auth::guesses::{Guess, RefusedGuess};
use crate::auth::{hash, password};
use crate::error::{Error, Result, invalid, invalid_body};
use crate::ids::UserId;
use crate::logging::{self, SecurityEvent};
use crate::store::{Tx, WriteTx};

pub static RESOURCE: Resource = Resource::of(routes);

fn routes() -> Vec<Route> {
    const TAG: Tag = Tag { name: "reset", noun: "password reset", about: "A new password by a link." };

    let one = "/api/reset/{user_uuid}/";
    let routes = vec![
        Route::post("/api/reset/", public(), Within::Nothing, async_(post))
            .accepts(ASK)
            .responds_nothing()
            .about(
                "Ask for a link to a new password",
                "Mails a link to the address, where it has an account; the answer is the same where it has none. \
                 Six times a day for each address.",
            ),
        Route::get(one, public(), Within::Nothing, async_(show))
            .responds_nothing()
            .about("See whether a link is good", "By `?token=`; changes nothing.")
            .called("reset_token_retrieve"),
        Route::post(one, public(), Within::Nothing, async_(post_password))
            .accepts(CHOOSE)
            .responds(200, CHOSEN)
            .about(
                "Choose a new password",
                "By the token of a link, once. Ends all sessions of the user, leaves their second factor on, and \
                 does not log in.",
            )
            .called("reset_complete"),
    ];
    tagged(TAG, routes)
}

const EMAIL: Field<String> = Field::email("email").required().write_only();
pub const ASK: &[FieldInfo] = &[EMAIL.info()];
const TOKEN: Field<String> = Field::text("token", 200).required().write_only();
const PASSWORD: Field<String> =
    Field::secret("password", password::CHARS_MAX).required().write_only().rule(password::is_long_enough);
pub const CHOOSE: &[FieldInfo] = &[TOKEN.info(), PASSWORD.info()];
const CHOSEN: &[FieldInfo] = &[Field::boolean("success").read_only(), Field::email("email").read_only()];

#[derive(Serialize)]
struct Chosen {
    success: bool,
    email: String,
}

async fn post(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    request(&app, &call, call.form(ASK)?.only(EMAIL).unwrap_or_default())?;
    Reply::no_content()
}

async fn show(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    let token = call.query("token").unwrap_or_default();
    if token.is_empty() {
        return Err(invalid(TOKEN.name(), "required", "This field is required."));
    }
    look_up(&app, &call, user_of(&call)?, token)?;
    Reply::no_content()
}

async fn post_password(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    let mut form = call.form(CHOOSE)?;
    let token: String = form.take(TOKEN).unwrap_or_default();
    let given: String = form.take(PASSWORD).unwrap_or_default();
    form.finish();
    let email = complete(&app, &call, user_of(&call)?, &token, given).await?;
    Reply::ok(&Chosen { success: true, email })
}

/// Whom the path names. One that is no UUID names nobody, as an unknown one does.
fn user_of(call: &Call) -> Result<UserId> {
    call.id("user_uuid").map_err(|_| bad_token())
}

fn bad_token() -> Error {
    invalid(TOKEN.name(), "invalid_token", "This reset token is invalid or has expired.")
}

/// Mails a link to a new password to whoever has this address. Answers before it is done, so that neither the
/// answer nor the time it takes says anything of the address.
///
/// # Errors
/// 400 without a mail server; 429 for a seventh wish for one address in a day.
pub fn request(app: &Arc<App>, ctx: &Ctx, email: String) -> Result<()> {
    if !outbox::is_on(ctx) {
        let detail = "Cannot reset passwords because email is not configured for your instance. Please contact your administrator.";
        return Err(invalid_body("email_not_available", detail));
    }
    if app.config.lock_out() {
        app.throttles.password_reset(hash(&email.to_lowercase()), ctx.now)?;
    }
    let (app, ctx) = (Arc::clone(app), ctx.clone());
    tokio::spawn(async move {
        let write = app.store.write(move |tx| mail_link(&ctx, tx, &email));
        if let Err(cause) = write.await {
            tracing::error!(%cause, "a link to a new password was not mailed");
        }
    });
    Ok(())
}

/// Queues the mail with a link to a new password; does nothing where nobody has this address.
///
/// # Errors
/// 503 where nothing can be sealed.
pub fn mail_link(ctx: &Ctx, tx: &WriteTx, email: &str) -> Result<()> {
    let Some(uuid) = users::by_email(tx, email)?.filter(|_| outbox::is_on(ctx)) else { return Ok(()) };
    if !users::is_active(tx, uuid)? {
        return Ok(());
    }
    let user = users::find(tx, uuid)?;
    let token = make(ctx, tx, uuid, &user, true)?;
    outbox::push_with_token(ctx, tx, user.recipient(), &token, |mail| Letter::Reset {
        path: format!("/reset/{uuid}/{mail}"),
    })
}

fn make(ctx: &Ctx, tx: &WriteTx, uuid: UserId, user: &User, is_mailed: bool) -> Result<String> {
    account_links::make(ctx, tx, Purpose::Reset, uuid, &hangs_on(user), is_mailed)
}

/// Another address or another password ends a link.
fn hangs_on(user: &User) -> [&[u8]; 2] {
    [user.email.as_bytes(), user.password_hash.as_deref().unwrap_or_default().as_bytes()]
}

/// A link to a new password, for the operator to pass on: shown this once.
///
/// # Errors
/// 404 for nobody.
pub(super) fn link_for(ctx: &Ctx, tx: &WriteTx, uuid: UserId) -> Result<String> {
    let user = users::find(tx, uuid)?;
    let token = make(ctx, tx, uuid, &user, false)?;
    Ok(format!("{}/reset/{uuid}/{token}", outbox::site(ctx)))
}

/// Whether the token opens the way to a new password of this user.
///
/// # Errors
/// 400 for the field `token`, in the same words for an unknown user.
pub fn check_token(ctx: &Ctx, tx: &Tx, uuid: UserId, token: &str) -> Result<()> {
    opened(ctx, tx, uuid, token).map(drop)
}

/// The user, and whether the link proves that they have their address.
fn opened(ctx: &Ctx, tx: &Tx, uuid: UserId, token: &str) -> Result<(User, bool)> {
    let user = users::get(tx, uuid)?.filter(|_| !token.is_empty()).ok_or_else(bad_token)?;
    let link = account_links::open(ctx, tx, Purpose::Reset, uuid, token, &hangs_on(&user))?;
    let link = link.ok_or_else(bad_token)?;
    Ok((user, link.is_mailed))
}

/// The same, where each token that opens nothing counts as a guess.
///
/// # Errors
/// As for [`check_token`]; 429 where too many opened nothing.
pub fn look_up(app: &App, ctx: &Ctx, uuid: UserId, token: &str) -> Result<()> {
    let slot = app.guess(Guess::Token, "", ctx.peer(), ctx.now).map_err(RefusedGuess::throttled)?;
    let checked = app.store.read(|tx| check_token(ctx, tx, uuid, token));
    if checked.is_err() {
        slot.wrong();
        logging::security(SecurityEvent::TokenRefused, ctx.peer(), "");
    } else {
        slot.give_back();
    }
    checked
}

/// Gives the user another password by a link, and says what their address is.
///
/// # Errors
/// As for [`look_up`]; 400 for the field `password` where it is weak.
pub async fn complete(app: &Arc<App>, ctx: &Ctx, uuid: UserId, token: &str, given: String) -> Result<String> {
    look_up(app, ctx, uuid, token)?;
    let password_hash = users::new_hash(app, ctx, given).await?;
    let (ctx, token) = (ctx.clone(), token.to_owned());
    app.store.write(move |tx| set_password(&ctx, tx, uuid, &token, password_hash.clone())).await
}

/// Uses the link up, sets the password, and ends all sessions of the user. Gives their address.
///
/// # Errors
/// As for [`check_token`].
pub fn set_password(
    ctx: &Ctx,
    tx: &WriteTx,
    uuid: UserId,
    token: &str,
    password_hash: String,
) -> Result<String> {
    let (user, is_mailed) = opened(ctx, tx, uuid, token)?;
    account_links::end(tx, Purpose::Reset, uuid)?;
    users::set_password(ctx, tx, Some(uuid), uuid, password_hash)?;
    if is_mailed {
        addresses::proved(ctx, tx, uuid)?;
    }
    Ok(user.email)
}
