//! Signing up: with an organization of one's own, or by an invite.

mod enter;
mod people;

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::invites::Loaded;
use super::organizations::NAME_CHARS_MAX;
use super::sessions::{Browser, Entered};
use super::{Resource, invites, organizations, users};
use crate::api::{Call, Field, FieldInfo, Reply, Within};
use crate::app::{App, Route, Tag, async_, public, tagged};
use crate::auth::{cookies, hash, password};
use crate::error::{Result, not_found};
use crate::ids::{InviteId, UserId};

pub use enter::{
    Newcomer, join, join_as_newcomer, judge_setup_code, look_up, may_sign_up, shows_setup_code, sign_up,
    usable,
};
pub use people::{accept, admit, create, create_invited, operator_user, operator_user_as};

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
        Route::post("/api/signup/precheck/", public(), Within::Nothing, async_(post_precheck))
            .accepts(RESEND)
            .responds(200, PRECHECKED)
            .about(
                "See whether an address can sign up",
                "Says whether it has an account where sign-up is open to everybody, and nothing else.",
            )
            .called("signup_precheck"),
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
const PASSWORD: Field<String> =
    Field::secret("password", password::CHARS_MAX).required().write_only().rule(password::is_long_enough);
const ORGANIZATION_NAME: Field<String> =
    Field::text("organization_name", NAME_CHARS_MAX).blank().write_only();
const ROLE_AT_ORGANIZATION: Field<String> = Field::text("role_at_organization", 128).blank().write_only();
const REFERRAL_SOURCE: Field<String> = Field::text("referral_source", 1000).blank().write_only();
const EMAIL_OPT_IN: Field<bool> = Field::boolean("email_opt_in").write_only();
const NEXT_URL: Field<Option<String>> = Field::long_text("next_url").blank().nullable().write_only();
pub const SIGN_UP: &[FieldInfo] = &[
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

pub const ACCEPT: &[FieldInfo] =
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

const PRECHECKED: &[FieldInfo] = &[
    Field::boolean("email_exists").read_only(),
    Field::object("pending_invite", PREVALIDATED).nullable().read_only(),
];

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

#[derive(Serialize)]
struct Prechecked {
    email_exists: bool,
    /// Never shown: whoever is invited has the link.
    pending_invite: Option<()>,
}

async fn post_precheck(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    if app.config.lock_out() {
        app.throttles.precheck(call.peer, call.now)?;
    }
    let email: String = call.form(RESEND)?.only(EMAIL).unwrap_or_default();
    // Signing up says as much there.
    let email_exists =
        app.config.open_signup && app.store.read(|tx| Ok(users::by_email(tx, &email)?.is_some()))?;
    Reply::ok(&Prechecked { email_exists, pending_invite: None })
}

async fn post(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    let values = call.values()?;
    let next_url = values.field(NEXT_URL.name()).and_then(Value::as_str).map(str::to_owned);
    let entered = sign_up(&app, &call, &Newcomer::of(&call), values).await?;
    signed_up(&app, &call, &entered, next_url.as_deref().map(str::trim))
}

fn profile(app: &App, user: UserId) -> Result<users::Profile> {
    app.store.read(|tx| users::Profile::load(tx, user))?.ok_or_else(not_found)
}

/// 201 with the new user, logged in.
fn signed_up(app: &App, call: &Call, entered: &Entered, next_url: Option<&str>) -> Result<Reply> {
    let user = profile(app, entered.user)?;
    let redirect_url = next_url.filter(|url| stays_here(url)).unwrap_or("/");
    let reply = Reply::created(&SignedUp { user: user.basic(), redirect_url })?;
    cookies::set(call, &entered.token, reply)
}

/// Whether the address is a path of this site. Browsers drop tabs and line ends wherever they stand, and read a
/// backslash as a slash.
pub fn stays_here(url: &str) -> bool {
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
    let token = call.param("token");
    look_up(&app, &call, token)?;
    app.store.read(|tx| {
        let Loaded { organization, id, invite } = usable(&call, tx, token)?;
        Reply::ok(&Prevalidated {
            id,
            target_email: &invite.target_email,
            first_name: &invite.first_name,
            organization_name: &organizations::find(tx, organization)?.name,
        })
    })
}

async fn post_accept(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    let token = call.param("token");
    if call.actor.caller().is_none() {
        let entered = join_as_newcomer(&app, &call, &Browser::of(&call), token, call.values()?).await?;
        return signed_up(&app, &call, &entered, None);
    }
    let user = join(&app, &call, token).await?;
    Reply::created(&SignedUp { user: profile(&app, user)?.basic(), redirect_url: "/" })
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
