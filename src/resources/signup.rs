//! Signing up: with an organization of one's own, or by an invite.

mod people;

use std::sync::Arc;

use serde::Serialize;

use super::invites::Loaded;
use super::organizations::NAME_CHARS_MAX;
use super::{Resource, domains, invites, members, organizations, places, sessions, users};
use crate::api::{Call, Field, FieldInfo, Reply, Within};
use crate::app::{App, Route, Tag, async_, public, tagged};
use crate::auth::guesses::{Guess, RefusedGuess};
use crate::auth::{hash, password};
use crate::error::{Error, Result, denied, invalid_body};
use crate::ids::{InviteId, OrganizationId, UserId};
use crate::logging::{self, SecurityEvent};
use crate::store::{Tx, WriteTx};

pub use people::{accept, create, create_invited, operator_user};

pub static RESOURCE: Resource = Resource::of(routes);

fn routes() -> Vec<Route> {
    const TAG: Tag = Tag {
        name: "signup",
        noun: "signup",
        about: "Becoming a user: with an organization of one's own, or by an invite.",
    };

    let one = "/api/signup/{token}/";
    let routes = vec![
        Route::post("/api/signup/", public(), Within::Nothing, async_(post))
            .accepts(SIGN_UP)
            .responds(201, SIGNED_UP)
            .about(
                "Sign up",
                "Makes a user with an organization and logs them in. Open to the first user, to \
                 everybody where `--open-signup` is set, and to holders of an address of a verified \
                 domain where that is set up.",
            ),
        Route::get(one, public(), Within::Nothing, async_(show))
            .responds(200, PREVALIDATED)
            .with_slash_only()
            .about(
                "Look at an invite",
                "By the token in its link: whom it is for and which organization it is to.",
            ),
        Route::post(one, public(), Within::Nothing, async_(post_accept))
            .accepts(ACCEPT)
            .responds(201, SIGNED_UP)
            .with_slash_only()
            .about(
                "Accept an invite",
                "By the token in its link. A signed-in user joins; anybody else becomes a user, and \
                 is logged in.",
            )
            .called("signup_accept"),
        Route::post("/api/signup/resend-invite/", public(), Within::Nothing, async_(post_resend))
            .accepts(RESEND)
            .responds(200, RESENT)
            .about(
                "Send an invite again",
                "Mails the open invites of an address once more, six times a day at the most. The answer does \
                 not say whether there are any.",
            )
            .called("signup_resend_invite"),
    ];
    tagged(TAG, routes)
}

const FIRST_NAME: Field<String> = Field::text("first_name", 128).required();
const LAST_NAME: Field<String> = Field::text("last_name", 128).blank();
const EMAIL: Field<String> = Field::email("email").required();
const PASSWORD: Field<String> = Field::secret("password", password::CHARS_MAX).required().write_only();
const ORGANIZATION_NAME: Field<String> =
    Field::text("organization_name", NAME_CHARS_MAX).blank().write_only();
const ROLE_AT_ORGANIZATION: Field<String> = Field::text("role_at_organization", 128).blank().write_only();
const REFERRAL_SOURCE: Field<String> = Field::text("referral_source", 1000).blank().write_only();
const EMAIL_OPT_IN: Field<bool> = Field::boolean("email_opt_in").write_only();
const NEXT_URL: Field<Option<String>> = Field::long_text("next_url").blank().nullable().write_only();
const SIGN_UP: &[FieldInfo] = &[
    FIRST_NAME.info(),
    LAST_NAME.info(),
    EMAIL.info(),
    PASSWORD.info(),
    ORGANIZATION_NAME.info(),
    ROLE_AT_ORGANIZATION.info(),
    REFERRAL_SOURCE.info(),
    EMAIL_OPT_IN.info(),
    NEXT_URL.info(),
];

const ACCEPT: &[FieldInfo] =
    &[FIRST_NAME.info(), LAST_NAME.info(), PASSWORD.info(), ROLE_AT_ORGANIZATION.info(), EMAIL_OPT_IN.info()];

const SIGNED_UP: &[FieldInfo] = &[
    Field::integer("id", 0, i64::MAX).read_only(),
    Field::uuid("uuid").read_only(),
    Field::text("distinct_id", 200).read_only(),
    Field::text("first_name", 150).read_only(),
    Field::text("last_name", 150).read_only(),
    Field::email("email").read_only(),
    Field::boolean("is_email_verified").nullable().read_only(),
    Field::json("hedgehog_config").nullable().read_only(),
    Field::text("role_at_organization", 128).nullable().read_only(),
    Field::text("redirect_url", 2000).read_only(),
];

const RESEND: &[FieldInfo] = &[EMAIL.info()];

const RESENT: &[FieldInfo] = &[Field::boolean("success").read_only()];

const PREVALIDATED: &[FieldInfo] = &[
    Field::uuid("id").read_only(),
    Field::email("target_email").read_only(),
    Field::text("first_name", 30).read_only(),
    Field::text("organization_name", NAME_CHARS_MAX).read_only(),
];

#[derive(Serialize)]
struct SignedUp<'a> {
    #[serde(flatten)]
    user: users::Basic<'a>,
    redirect_url: &'a str,
}

/// Who may sign up now. An empty file takes its first user from loopback, or with the set-up code that
/// only the log shows, so that nobody takes a fresh server over from afar.
fn may_sign_up(setup_code: &str, call: &Call, tx: &Tx) -> Result<()> {
    if call.config.open_signup {
        return Ok(());
    }
    if !users::none_yet(tx)? {
        let detail = "New organizations cannot be created in this instance. Contact your administrator if you think this is a mistake.";
        return Err(denied(detail));
    }
    if call.is_from_this_machine() || shows_setup_code(call, setup_code) {
        return Ok(());
    }
    Err(denied(
        "The first sign-up must come from this machine, or show the set-up code of the server's log in the header X-Setup-Code.",
    ))
}

/// The organization that takes in the address of the body, where the operator lets addresses be believed
/// unproved; sign-up need not be open for that.
fn provisioned(call: &Call, tx: &Tx) -> Result<Option<OrganizationId>> {
    match call.body.field("email")?.and_then(serde_json::Value::as_str) {
        Some(email) if call.config.jit_signup => domains::provisions(tx, email.trim()),
        _ => Ok(None),
    }
}

/// Where somebody who signs up goes: into an organization, or with `None` into one of their own.
fn admit(setup_code: &str, call: &Call, tx: &Tx) -> Result<Option<OrganizationId>> {
    let organization = provisioned(call, tx)?;
    if organization.is_none() {
        may_sign_up(setup_code, call, tx)?;
    }
    Ok(organization)
}

async fn post(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    judge_setup_code(&app, &call)?;
    app.store.read(|tx| admit(&app.setup_code, &call, tx))?;
    let mut form = call.form(SIGN_UP)?;
    let email: String = form.take(EMAIL).unwrap_or_default();
    let next_url: Option<String> = form.take(NEXT_URL).flatten();
    // Whoever tries out which addresses have accounts pays for a hash each time, and has few tries.
    let slot = app.guess(Guess::Token, "", call.peer, call.now).map_err(RefusedGuess::throttled)?;
    let password_hash = users::new_hash(&app, &call, form.take(PASSWORD).unwrap_or_default()).await;
    let is_taken = app.store.read(|tx| Ok(users::by_email(tx, &email)?.is_some()))?;
    if is_taken && password_hash.is_ok() {
        slot.wrong();
        return Err(users::email_taken());
    }
    slot.give_back();
    let password_hash = password_hash?;
    let write = app.store.write({
        let setup_code = app.setup_code.clone();
        move |tx| {
            // Judged again: somebody else may have been first meanwhile.
            let home = admit(&setup_code, &call, tx)?;
            let uuid = create(&call, tx, home, &password_hash, call.input())?;
            signed_up(&call, tx, uuid, next_url.as_deref())
        }
    });
    write.await
}

/// Counts a wrong set-up code as a guess.
pub(super) fn judge_setup_code(app: &App, call: &Call) -> Result<()> {
    if call.setup_code.is_none() {
        return Ok(());
    }
    let slot = app.guess(Guess::Token, "", call.peer, call.now).map_err(RefusedGuess::throttled)?;
    if shows_setup_code(call, &app.setup_code) {
        slot.give_back();
    } else {
        slot.wrong();
        logging::security(SecurityEvent::TokenRefused, call.peer, "set-up code");
    }
    Ok(())
}

/// Whether the request shows the right set-up code. Hashes are compared, so that the time taken tells nothing of it.
pub(super) fn shows_setup_code(call: &Call, right: &str) -> bool {
    call.setup_code.as_deref().is_some_and(|code| hash(code) == hash(right))
}

/// 201 with the new user, logged in.
fn signed_up(call: &Call, tx: &WriteTx, uuid: UserId, next_url: Option<&str>) -> Result<Reply> {
    let user = users::find(tx, uuid)?;
    let redirect_url = next_url.filter(|url| stays_here(url)).unwrap_or("/");
    let reply = Reply::created(&SignedUp { user: user.basic(uuid), redirect_url })?;
    sessions::with_cookies(call, tx, uuid, reply)
}

/// Whether the address is a path of this site. Browsers drop tabs and line ends wherever they stand, and read a
/// backslash as a slash.
fn stays_here(url: &str) -> bool {
    url.starts_with('/')
        && !url.starts_with("//")
        && !url.contains(|letter: char| letter.is_control() || letter == '\\')
}

#[derive(Serialize)]
struct Prevalidated<'a> {
    id: InviteId,
    target_email: &'a str,
    first_name: &'a str,
    organization_name: &'a str,
}

async fn show(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    look_up(&app, &call)?;
    app.store.read(|tx| {
        let Loaded { organization, id, invite } = check(&call, tx)?;
        Reply::ok(&Prevalidated {
            id,
            target_email: &invite.target_email,
            first_name: &invite.first_name,
            organization_name: &organizations::find(tx, organization)?.name,
        })
    })
}

fn unknown_token() -> Error {
    invalid_body("invalid_input", "The provided invite ID is not valid.")
}

/// Refuses a token that opens nothing. Those are counted, so that nobody can try many.
fn look_up(app: &App, call: &Call) -> Result<()> {
    let slot = app.guess(Guess::Token, "", call.peer, call.now).map_err(RefusedGuess::throttled)?;
    if app.store.read(|tx| invites::by_token(tx, call.param("token")))?.is_none() {
        slot.wrong();
        logging::security(SecurityEvent::TokenRefused, call.peer, "");
        return Err(unknown_token());
    }
    slot.give_back();
    Ok(())
}

/// The invite of the path, if the caller may use it now.
fn check(call: &Call, tx: &Tx) -> Result<Loaded> {
    let token = call.param("token");
    let found = invites::by_token(tx, token)?.ok_or_else(unknown_token)?;
    let owner = users::by_email(tx, &found.invite.target_email)?;
    let caller = call.actor.caller().map(|caller| caller.user);
    if caller.is_some() && owner != caller {
        let detail = "This invite is intended for another email address.";
        return Err(invalid_body("invalid_recipient", detail));
    }
    if found.invite.is_expired(call.now) {
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

async fn post_accept(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    look_up(&app, &call)?;
    if call.actor.caller().is_some() {
        let write = app.store.write(move |tx| {
            places::again(tx, &call)?;
            let invite = check(&call, tx)?;
            let user = call.user()?;
            accept(&call, tx, &invite, user)?;
            let record = users::find(tx, user)?;
            Reply::created(&SignedUp { user: record.basic(user), redirect_url: "/" })
        });
        return write.await;
    }
    app.store.read(|tx| for_newcomer(check(&call, tx), &call, tx))?;
    let mut form = call.form(ACCEPT)?;
    let password_hash = users::new_hash(&app, &call, form.take(PASSWORD).unwrap_or_default()).await?;
    let write = app.store.write(move |tx| {
        let invite = for_newcomer(check(&call, tx), &call, tx)?;
        let uuid = create_invited(&call, tx, &invite, &password_hash, call.input())?;
        signed_up(&call, tx, uuid, None)
    });
    write.await
}

/// Accepting tells of an existing account in other words than prevalidation.
fn for_newcomer(checked: Result<Loaded>, call: &Call, tx: &Tx) -> Result<Loaded> {
    match checked {
        Err(Error::Invalid { code: "account_exists", .. }) => {
            let found = invites::by_token(tx, call.param("token"))?;
            let email = found.map(|found| found.invite.target_email).unwrap_or_default();
            let detail =
                format!("There already exists an account with email address {email}. Please log in instead.");
            Err(invalid_body("invalid_input", detail))
        }
        other => other,
    }
}

#[derive(Serialize)]
struct Resent {
    success: bool,
}

/// Answers before it is done: neither the answer nor the time it takes tells anything of the address.
async fn post_resend(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    let email: String = call.form(RESEND)?.only(EMAIL).unwrap_or_default();
    tokio::spawn(async move {
        if let Err(cause) = resend(&app, call, email).await {
            tracing::error!(%cause, "an invite was not sent again");
        }
    });
    Reply::ok(&Resent { success: true })
}

/// Only addresses that are awaited are counted, so that strangers can't fill the memory.
async fn resend(app: &App, call: Arc<Call>, email: String) -> Result<()> {
    let is_awaited = app.store.read(|tx| invites::is_awaited(tx, &email, call.now))?;
    let address = hash(&email.to_lowercase());
    if !is_awaited || (app.config.lock_out() && app.throttles.resent_invite(address, call.now).is_err()) {
        return Ok(());
    }
    app.store.write(move |tx| invites::resend(&call, tx, &email)).await
}
