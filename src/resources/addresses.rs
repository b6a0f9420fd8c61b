//! Whether a user has proved that their address is theirs, and the address that they want to have.
//! Invariant: where mail works, an address takes another's place only after its link was followed; until then the old
//! one stays. A link opens once, for three days, and nothing after a log-in, a newer link or another wish.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::account_links::{self, Purpose};
use super::outbox::{self, Letter, Recipient};
use super::sessions::{self, Browser, Entered};
use super::users::{self, Happening, User};
use super::{Resource, invites, last_logins};
use crate::api::{Call, Ctx, Field, FieldInfo, Reply, Within};
use crate::app::{App, Route, Tag, async_, public, session, tagged, write};
use crate::auth::cookies;
use crate::auth::guesses::{Guess, RefusedGuess};
use crate::error::{Error, Result, invalid, invalid_body};
use crate::ids::UserId;
use crate::logging::{self, SecurityEvent};
use crate::store::{Parent, Table, Tx, WriteTx};

pub static RESOURCE: Resource = Resource::of(routes).tables(&[&ADDRESSES]).samples(samples);

fn routes() -> Vec<Route> {
    const TAG: Tag = Tag {
        name: "email_verification",
        noun: "e-mail address",
        about: "Proving that an address is one's own, and changing it.",
    };

    let routes = vec![
        Route::post("/api/users/verify_email/", public(), Within::Nothing, async_(post_verify))
            .accepts(VERIFY)
            .responds(200, VERIFIED)
            .about(
                "Confirm an address",
                "By the token of a link, once: the address is verified, or takes the place of the one before. Logs \
                 in; with a second factor the code has to follow.",
            )
            .called("users_verify_email"),
        Route::post("/api/users/request_email_verification/", public(), Within::Nothing, async_(post_request))
            .accepts(REQUEST)
            .responds(200, SUCCESS)
            .about(
                "Send the link again",
                "Mails a new link to the address that waits to be confirmed, six times a day. The answer does not \
                 say whether there is any.",
            )
            .called("users_request_email_verification"),
        Route::patch(
            "/api/users/cancel_email_change_request/",
            session(),
            Within::Nothing,
            write(patch_cancel),
        )
        .without_second_factor()
        .responds(200, users::ME)
        .about("Give up the change of the address", "The link that was mailed opens nothing any more.")
        .called("users_cancel_email_change_request"),
    ];
    tagged(TAG, routes)
}

/// What is known of a user's address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// `None`: it was never asked for, as for those who signed up without a mail server.
    pub is_verified: Option<bool>,
    /// What the user wants it to be, once that is confirmed.
    pub pending: Option<String>,
}

/// By user; nothing is known of those who are not here.
static ADDRESSES: Table<UserId, Address> =
    Table::new("email_addresses").belongs_to(&[&Parent::of(&users::USERS, |user| *user)]).harmless();

const UUID: Field<Uuid> = Field::uuid("uuid").required().write_only();
const TOKEN: Field<String> = Field::text("token", 200).required();
const VERIFY: &[FieldInfo] = &[UUID.info(), TOKEN.info()];
const VERIFIED: &[FieldInfo] = &[Field::boolean("success").read_only(), TOKEN.read_only()];
const REQUEST: &[FieldInfo] = &[UUID.info()];
const SUCCESS: &[FieldInfo] = &[Field::boolean("success").read_only()];

#[derive(Serialize)]
struct Success {
    success: bool,
}

#[derive(Serialize)]
struct Verified {
    success: bool,
    token: String,
}

async fn post_verify(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    let mut form = call.form(VERIFY)?;
    let user = UserId(form.take(UUID).unwrap_or_default());
    let token: String = form.take(TOKEN).unwrap_or_default();
    form.finish();
    let entered = verify(&app, &call, &Browser::of(&call), user, &token).await?;
    cookies::set(&call, &entered.token, Reply::ok(&Verified { success: true, token })?)
}

async fn post_request(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    let user: Uuid = call.form(REQUEST)?.only(UUID).unwrap_or_default();
    request(&app, &call, UserId(user))?;
    Reply::ok(&Success { success: true })
}

fn patch_cancel(call: &Call, tx: &WriteTx) -> Result<Reply> {
    cancel(call, tx)?;
    let uuid = call.user()?;
    users::me(call, tx, uuid, &users::find(tx, uuid)?)
}

/// What is known of a user's address.
///
/// # Errors
/// None but of the data file.
pub fn of(tx: &Tx, user: UserId) -> Result<Address> {
    Ok(tx.get(&ADDRESSES, &user)?.unwrap_or_default())
}

fn set(tx: &WriteTx, user: UserId, address: &Address) -> Result<()> {
    if *address == Address::default() {
        return Ok(tx.delete(&ADDRESSES, &user)?);
    }
    Ok(tx.put(&ADDRESSES, &user, address)?)
}

/// Whether the user has to confirm their address before they log in: where mail works, and it was asked for.
///
/// # Errors
/// None but of the data file.
pub fn must_verify(ctx: &Ctx, tx: &Tx, user: UserId) -> Result<bool> {
    Ok(outbox::is_on(ctx) && of(tx, user)?.is_verified == Some(false))
}

/// 400 for somebody who has to confirm their address first.
pub fn not_verified() -> Error {
    let detail = "Your account is awaiting verification. Please check your email for a verification link.";
    invalid_body("not_verified", detail)
}

/// Somebody has signed up under an address that nobody vouches for: they are asked to confirm it.
///
/// # Errors
/// 503 where nothing can be sealed.
pub fn begin(ctx: &Ctx, tx: &WriteTx, user: UserId) -> Result<()> {
    if !outbox::is_on(ctx) {
        return Ok(());
    }
    set(tx, user, &Address { is_verified: Some(false), pending: None })?;
    mail_link(ctx, tx, user)
}

/// Mails a new link to the address that waits to be confirmed; does nothing where none does.
///
/// # Errors
/// 503 where nothing can be sealed.
pub fn mail_link(ctx: &Ctx, tx: &WriteTx, uuid: UserId) -> Result<()> {
    let Some(user) = users::get(tx, uuid)? else { return Ok(()) };
    let address = of(tx, uuid)?;
    let is_wanted = address.pending.is_some() || address.is_verified == Some(false);
    if !is_wanted || !outbox::is_on(ctx) || !users::is_active(tx, uuid)? {
        return Ok(());
    }
    let token = account_links::make(ctx, tx, Purpose::Verification, uuid, &hangs_on(&user, &address), true)?;
    let email = address.pending.as_deref().unwrap_or(&user.email);
    let to = Recipient { email, first_name: &user.first_name };
    outbox::push_with_token(ctx, tx, to, &token, |mail| Letter::Verify {
        path: format!("/verify_email/{uuid}/{mail}"),
    })
}

/// Another address, another wish and another state of it end a link.
fn hangs_on<'a>(user: &'a User, address: &'a Address) -> [&'a [u8]; 3] {
    let state: &[u8] = match address.is_verified {
        None => b"unknown",
        Some(false) => b"unverified",
        Some(true) => b"verified",
    };
    [user.email.as_bytes(), address.pending.as_deref().unwrap_or_default().as_bytes(), state]
}

/// Mails a new link to whoever waits for one, after the answer.
///
/// # Errors
/// 400 without a mail server; 429 for a seventh wish for one user in a day.
pub fn request(app: &Arc<App>, ctx: &Ctx, user: UserId) -> Result<()> {
    if !outbox::is_on(ctx) {
        let detail = "Cannot verify email address because email is not configured for your instance. Please contact your administrator.";
        return Err(invalid_body("email_not_available", detail));
    }
    if app.config.lock_out() {
        app.throttles.verification(user, ctx.now)?;
    }
    mail_link_later(app, ctx, user);
    Ok(())
}

/// The same for somebody who could not log in without it; too many are not sent.
pub fn remind(app: &Arc<App>, ctx: &Ctx, user: UserId) {
    if !app.config.lock_out() || app.throttles.verification(user, ctx.now).is_ok() {
        mail_link_later(app, ctx, user);
    }
}

fn mail_link_later(app: &Arc<App>, ctx: &Ctx, user: UserId) {
    let (app, ctx) = (Arc::clone(app), ctx.clone());
    tokio::spawn(async move {
        if let Err(cause) = app.store.write(move |tx| mail_link(&ctx, tx, user)).await {
            tracing::error!(%cause, "a link that confirms an address was not mailed");
        }
    });
}

fn bad_token() -> Error {
    invalid(TOKEN.name(), "invalid_token", "This verification token is invalid or has expired.")
}

/// Confirms an address by its link, and logs its user in: with a second factor, the session waits for its code.
///
/// # Errors
/// 400 for the field `token`, in the same words for an unknown user, and for the field `email` where somebody else
/// has the address by now; 429 where too many tokens opened nothing.
pub async fn verify(app: &App, ctx: &Ctx, browser: &Browser, user: UserId, token: &str) -> Result<Entered> {
    let slot = app.guess(Guess::Token, "", ctx.peer(), ctx.now).map_err(RefusedGuess::throttled)?;
    let write = app.store.write({
        let (ctx, browser, token) = (ctx.clone(), browser.clone(), token.to_owned());
        move |tx| {
            confirm(&ctx, tx, user, &token)?;
            sessions::log_in(&ctx, tx, &browser, user)
        }
    });
    let entered = write.await;
    if let Err(Error::Invalid { code: "invalid_token", .. }) = &entered {
        slot.wrong();
        logging::security(SecurityEvent::TokenRefused, ctx.peer(), "");
    } else {
        slot.give_back();
    }
    entered
}

/// Whether the token confirms an address of this user, and which: for a page that shows a button.
///
/// # Errors
/// 400 for the field `token`, in the same words for an unknown user.
pub fn confirms(ctx: &Ctx, tx: &Tx, uuid: UserId, token: &str) -> Result<String> {
    let user = users::get(tx, uuid)?.filter(|_| !token.is_empty()).ok_or_else(bad_token)?;
    let address = of(tx, uuid)?;
    let link = account_links::open(ctx, tx, Purpose::Verification, uuid, token, &hangs_on(&user, &address))?;
    // A log-in ends a link, but the one of the sign-up that made it.
    let made_at = account_links::made_at(tx, Purpose::Verification, uuid)?;
    let is_fresh = last_logins::of(tx, uuid)? <= made_at;
    if link.is_none() || !is_fresh || !users::is_active(tx, uuid)? {
        return Err(bad_token());
    }
    Ok(address.pending.unwrap_or(user.email))
}

/// Uses the link up: the address is verified, or takes the place of the one before.
///
/// # Errors
/// As for [`confirms`]; 400 for the field `email` where somebody else has the address by now.
pub fn confirm(ctx: &Ctx, tx: &WriteTx, uuid: UserId, token: &str) -> Result<()> {
    let confirmed = confirms(ctx, tx, uuid, token)?;
    let before = users::find(tx, uuid)?;
    let is_change = of(tx, uuid)?.pending.is_some();
    account_links::end(tx, Purpose::Verification, uuid)?;
    set(tx, uuid, &Address { is_verified: Some(true), pending: None })?;
    if !is_change {
        return users::record(ctx, tx, uuid, &Happening::AddressVerified);
    }
    let user = User { email: confirmed, ..before.clone() };
    users::change_address(ctx, tx, uuid, &before, &user)?;
    let letter = Letter::AddressChanged { new_email: &user.email, at: users::occurred(ctx) };
    outbox::push(ctx, tx, before.recipient(), &letter)?;
    outbox::push(ctx, tx, user.recipient(), &letter)
}

/// The user has followed a link that was sent to their address, so it is theirs.
///
/// # Errors
/// None but of the data file.
pub fn proved(ctx: &Ctx, tx: &WriteTx, uuid: UserId) -> Result<()> {
    let address = of(tx, uuid)?;
    if address.is_verified == Some(true) || !outbox::is_on(ctx) {
        return Ok(());
    }
    set(tx, uuid, &Address { is_verified: Some(true), ..address })?;
    users::record(ctx, tx, uuid, &Happening::AddressVerified)
}

/// The caller wants another address. Where mail works it waits until it is confirmed, and true is the answer; else
/// they are to have it at once.
///
/// # Errors
/// 400 where it is another user's, or somebody is invited under it; the answer does not say which.
pub(super) fn want(ctx: &Ctx, tx: &WriteTx, uuid: UserId, user: &User, email: &str) -> Result<bool> {
    let is_same = email.to_lowercase() == user.email.to_lowercase();
    if !is_same && (users::by_email(tx, email)?.is_some() || invites::is_awaited(tx, email, ctx.now)?) {
        return Err(users::email_taken());
    }
    let address = of(tx, uuid)?;
    if is_same || !outbox::is_on(ctx) {
        // A letter in another case names the same mailbox.
        let is_verified = if is_same { address.is_verified } else { None };
        set(tx, uuid, &Address { is_verified, pending: None })?;
        account_links::end(tx, Purpose::Verification, uuid)?;
        return Ok(false);
    }
    set(tx, uuid, &Address { pending: Some(email.to_owned()), ..address })?;
    mail_link(ctx, tx, uuid)?;
    outbox::push(ctx, tx, user.recipient(), &Letter::AddressChanging { new_email: email })?;
    users::record(ctx, tx, uuid, &Happening::AddressWanted)?;
    Ok(true)
}

/// The operator gives the user another address, of which nothing is known.
pub(super) fn forget(tx: &WriteTx, uuid: UserId) -> Result<()> {
    account_links::end(tx, Purpose::Verification, uuid)?;
    set(tx, uuid, &Address::default())
}

/// Gives up the caller's wish for another address.
///
/// # Errors
/// 400 where there is none; 401 for a stranger.
pub fn cancel(ctx: &Ctx, tx: &WriteTx) -> Result<()> {
    let uuid = ctx.user()?;
    let address = of(tx, uuid)?;
    if address.pending.is_none() {
        let detail = "No active email change requests found.";
        return Err(invalid_body("email_change_request_not_found", detail));
    }
    account_links::end(tx, Purpose::Verification, uuid)?;
    set(tx, uuid, &Address { pending: None, ..address })?;
    users::record(ctx, tx, uuid, &Happening::AddressWanted)
}

fn samples(all: &mut super::samples::Samples) {
    use super::samples::{ONE, text};
    let address = Address { is_verified: Some(false), pending: Some(text("b@example.com")) };
    all.add(&ADDRESSES, ONE.into(), address);
}
