//! Signing up: with an organization of one's own, or by an invite.

use std::sync::Arc;

use serde::Serialize;
use serde_json::json;

use super::invites::Loaded;
use super::organizations::{NAME_CHARS_MAX, Organization};
use super::users::{self, User};
use super::{Resource, domains, invites, members, organizations, outbox, places, projects, sessions};
use crate::api::fields::is_email;
use crate::api::{Call, Ctx, Field, FieldInfo, Form, Input, Level, Reply, Within};
use crate::app::{App, Route, Tag, async_, public, tagged};
use crate::auth::guesses::{Guess, RefusedGuess};
use crate::auth::{hash, password};
use crate::error::{Error, Result, denied, invalid, invalid_body};
use crate::ids::{InviteId, OrganizationId, UserId};
use crate::logging::{self, SecurityEvent};
use crate::store::{Tx, WriteTx};

pub static RESOURCE: Resource = Resource::of(routes);

fn routes() -> Vec<Route> {
    const TAG: Tag = Tag {
        name: "signup",
        noun: "signup",
        about: "Becoming a user: with an organization of one's own, or by an invite.",
    };

    let one = "/api/signup/{token}/";
    let routes = vec![
        Route::post("/api/signup/", public(), Within::Nothing, async_(sign_up))
            .accepts(SIGN_UP)
            .responds(201, SIGNED_UP)
            .about(
                "Sign up",
                "Makes a user with an organization and logs them in. Open to the first user, to \
                 everybody where `--open-signup` is set, and to holders of an address of a verified \
                 domain where that is set up.",
            ),
        Route::get(one, public(), Within::Nothing, async_(prevalidate))
            .responds(200, PREVALIDATED)
            .with_slash_only()
            .about(
                "Look at an invite",
                "By the token in its link: whom it is for and which organization it is to.",
            ),
        Route::post(one, public(), Within::Nothing, async_(accept))
            .accepts(ACCEPT)
            .responds(201, SIGNED_UP)
            .with_slash_only()
            .about(
                "Accept an invite",
                "By the token in its link. A signed-in user joins; anybody else becomes a user, and \
                 is logged in.",
            )
            .called("signup_accept"),
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
    Field::text("redirect_url", 2000).read_only(),
];

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
    match call.body.value()?.get("email").and_then(serde_json::Value::as_str) {
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

async fn sign_up(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    judge_setup_code(&app, &call)?;
    app.store.read(|tx| admit(&app.setup_code, &call, tx))?;
    let mut form = call.form(SIGN_UP)?;
    let email: String = form.take(EMAIL).unwrap_or_default();
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
            // Asked again: somebody else may have been first meanwhile.
            let organization = admit(&setup_code, &call, tx)?;
            let mut form = call.form(SIGN_UP)?;
            let mut user = new_user(&call, tx, &email, &password_hash, &mut form)?;
            user.is_staff = users::none_yet(tx)?;
            let name = form
                .take(ORGANIZATION_NAME)
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| own_organization(&user.first_name));
            let uuid = call.new_id();
            users::insert(tx, uuid, &user)?;
            match organization {
                Some(organization) => enter(&call, tx, organization, uuid, Level::Member)?,
                None => organizations::create_with_owner(&call, tx, uuid, Organization::new(&name, call.now))
                    .map(drop)?,
            }
            let next_url: Option<String> = form.take(NEXT_URL).flatten();
            // Read before the write.
            form.ignore(EMAIL);
            // For PostHog's own marketing.
            form.ignore(REFERRAL_SOURCE);
            form.finish();
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

/// The name of an organization that was given none.
fn own_organization(first_name: &str) -> String {
    let name: String = first_name.chars().take(NAME_CHARS_MAX - "'s Organization".len()).collect();
    format!("{name}'s Organization")
}

/// A user record with what the form says.
pub fn new_user(ctx: &Ctx, tx: &WriteTx, email: &str, password_hash: &str, form: &mut Form) -> Result<User> {
    let mut user = blank_user(ctx, tx, email)?;
    user.password_hash = Some(password_hash.to_owned());
    form.set(FIRST_NAME, &mut user.first_name);
    form.set(LAST_NAME, &mut user.last_name);
    form.set(ROLE_AT_ORGANIZATION, &mut user.role_at_organization);
    // Its hash was made before the write.
    form.ignore(PASSWORD);
    // For PostHog's own marketing.
    form.ignore(EMAIL_OPT_IN);
    Ok(user)
}

/// A user record with defaults.
pub fn blank_user(ctx: &Ctx, tx: &WriteTx, email: &str) -> Result<User> {
    Ok(User {
        number: tx.next_id("users")?,
        distinct_id: ctx.ids.base62::<32>(),
        email: email.to_owned(),
        password_hash: None,
        first_name: String::new(),
        last_name: String::new(),
        is_staff: false,
        date_joined: ctx.now,
        role_at_organization: String::new(),
        current_organization: None,
        current_project: None,
        settings: users::Settings::default(),
    })
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

async fn prevalidate(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
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

async fn accept(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    look_up(&app, &call)?;
    if call.actor.caller().is_some() {
        let write = app.store.write(move |tx| {
            places::again(tx, &call)?;
            let Loaded { organization, invite, .. } = check(&call, tx)?;
            let user = call.user()?;
            enter(&call, tx, organization, user, invite.level)?;
            let record = users::find(tx, user)?;
            Reply::created(&SignedUp { user: record.basic(user), redirect_url: "/" })
        });
        return write.await;
    }
    app.store.read(|tx| for_newcomer(check(&call, tx), &call, tx))?;
    let mut form = call.form(ACCEPT)?;
    let password_hash = users::new_hash(&app, &call, form.take(PASSWORD).unwrap_or_default()).await?;
    let write = app.store.write(move |tx| {
        let Loaded { organization, invite, .. } = for_newcomer(check(&call, tx), &call, tx)?;
        let mut form = call.form(ACCEPT)?;
        let user = new_user(&call, tx, &invite.target_email, &password_hash, &mut form)?;
        form.finish();
        let uuid = call.new_id();
        users::insert(tx, uuid, &user)?;
        enter(&call, tx, organization, uuid, invite.level)?;
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

/// Makes the user a member, and the organization their current one. An invite that they had is used up.
fn enter(ctx: &Ctx, tx: &WriteTx, organization: OrganizationId, user: UserId, level: Level) -> Result<()> {
    let record = organizations::find(tx, organization)?;
    if record.is_member_join_email_enabled && ctx.config.smtp_url.is_some() {
        let newcomer = users::find(tx, user)?.first_name;
        for member in members::first_users(tx, organization, u64::MAX)? {
            outbox::push_joined(ctx, tx, &member.email, &newcomer, &record.name)?;
        }
    }
    members::join(ctx, tx, organization, user, level)?;
    let record = users::find(tx, user)?;
    invites::on_joined(tx, organization, &record.email)?;
    let project = projects::first_visible(tx, organization, user, level)?;
    users::make_current(tx, user, record, Some(organization), project)
}

/// A person without a form: made by the operator.
pub fn operator_user(
    ctx: &Ctx,
    tx: &WriteTx,
    email: &str,
    first_name: &str,
    hash: Option<String>,
) -> Result<(UserId, User)> {
    if !is_email(email) {
        return Err(invalid("email", "invalid_input", "Enter a valid email address."));
    }
    let mut user = blank_user(ctx, tx, email)?;
    let named = json!({"first_name": first_name});
    Input::of(&named).form(const { &[FIRST_NAME.info()] })?.set(FIRST_NAME, &mut user.first_name);
    user.password_hash = hash;
    user.is_staff = users::none_yet(tx)?;
    let uuid = ctx.new_id();
    users::insert(tx, uuid, &user)?;
    Ok((uuid, user))
}
