//! Users, and `/api/users/@me/`.
//! Invariant: an address belongs to one user, whatever its case. The current organization and
//! project are wishes: where one is gone, or closed to the user, the first one left stands in.

mod entries;
mod operator;
mod web_app;

use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::outbox::{self, Letter, Occurred};
use super::{Resource, addresses, members, organizations, places, projects, sessions, two_factor};
use crate::api::call::parse_uuid;
use crate::api::caller::{KeyAccess, Via};
use crate::api::{Call, Caller, Ctx, Field, FieldInfo, Form, InOrganization, Input, Reply, Within};
use crate::app::{App, Route, Tag, async_, read, scope, tagged};
use crate::auth::{self, password};
use crate::clock::Time;
use crate::config::SENSITIVE_SESSION_SECONDS;
use crate::error::{Error, Result, denied, invalid, not_found};
use crate::ids::{OrganizationId, ProjectId, UserId};
use crate::store::{Index, Json, OnConflict, Table, Tx, WriteTx};
pub use entries::{Happening, record};
pub use operator::{
    Deletion, FoundUser, activate, deactivate, delete, end_sessions, find_users, found, is_active,
    remove_second_factor, require_operator, reset_link, set_staff,
};
use web_app::{Shown, WebApp};

pub static RESOURCE: Resource =
    Resource::of(routes).tables(&[&USERS, &operator::DEACTIVATED]).samples(samples);

fn routes() -> Vec<Route> {
    const TAG: Tag = Tag { name: "users", noun: "user", about: "The caller's own user record." };

    let one = "/api/users/{uuid}/";
    let routes = vec![
        Route::get(one, scope("user:read"), Within::Nothing, read(show))
            .cached()
            .without_second_factor()
            .responds(200, ME)
            .about(
                "Retrieve the caller",
                "With their organizations, current organization and current project.",
            ),
        Route::put(one, scope("user:write"), Within::Nothing, async_(patch))
            .without_second_factor()
            .accepts(ME)
            .responds(200, ME)
            .about("Replace the caller's settings", "The same as PATCH."),
        Route::patch(one, scope("user:write"), Within::Nothing, async_(patch))
            .without_second_factor()
            .accepts(ME)
            .responds(200, ME)
            .about(
                "Change the caller",
                "Only the fields that are sent change. E-mail address and password change by session \
                 only, with `current_password`, and end the other sessions.",
            ),
    ];
    let routes = routes.into_iter().chain(web_app::routes()).collect();
    tagged(TAG, routes)
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct User {
    pub number: u32,
    pub distinct_id: String,
    pub email: String,
    pub password_hash: Option<String>,
    pub first_name: String,
    pub last_name: String,
    pub is_staff: bool,
    pub date_joined: Time,
    /// Of `ROLES`, or what was said at sign-up.
    pub role_at_organization: Option<String>,
    pub current_organization: Option<OrganizationId>,
    pub current_project: Option<ProjectId>,
    pub settings: Settings,
}

/// What the web app remembers of a user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    pub notification_settings: Json,
    pub anonymize_data: bool,
    pub toolbar_mode: String,
    pub events_column_config: Json,
    pub has_seen_product_intro_for: Option<Json>,
    pub hedgehog_config: Option<Json>,
    pub theme_mode: Option<String>,
    /// See `web_app`.
    pub web_app: Json,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            notification_settings: Json::of(&serde_json::json!({"plugin_disabled": true})),
            anonymize_data: false,
            toolbar_mode: "toolbar".into(),
            events_column_config: Json::of(&serde_json::json!({"active": "DEFAULT"})),
            has_seen_product_intro_for: None,
            hedgehog_config: None,
            theme_mode: None,
            web_app: Json::of(&serde_json::json!({})),
        }
    }
}

pub(super) static USERS: Table<UserId, User> = Table::new("users").indexed(&[&BY_EMAIL]);
/// By address in lower case.
static BY_EMAIL: Index<UserId, User, String, UserId> =
    Index::unique("users_by_email", |uuid, user| Some((user.email.to_lowercase(), *uuid)));

/// The part of a user that other members see.
pub const BASIC: &[FieldInfo] = &[
    Field::integer("id", 0, i64::MAX).read_only(),
    Field::uuid("uuid").read_only(),
    Field::text("distinct_id", 200).read_only(),
    Field::text("first_name", 150).read_only(),
    Field::text("last_name", 150).read_only(),
    Field::email("email").read_only(),
    Field::boolean("is_email_verified").nullable().read_only(),
    Field::json("hedgehog_config").nullable().read_only(),
    Field::text("role_at_organization", 128).nullable().read_only(),
];

#[derive(Serialize)]
pub struct Basic<'a> {
    id: u32,
    uuid: UserId,
    distinct_id: &'a str,
    first_name: &'a str,
    last_name: &'a str,
    email: &'a str,
    is_email_verified: Option<bool>,
    hedgehog_config: &'a Option<Json>,
    role_at_organization: Option<&'a str>,
}

impl User {
    /// First and last name, as people write them.
    pub fn full_name(&self) -> String {
        format!("{} {}", self.first_name, self.last_name).trim().to_owned()
    }

    /// What other members see of this user.
    pub fn basic(&self, uuid: UserId, is_email_verified: Option<bool>) -> Basic<'_> {
        Basic {
            id: self.number,
            uuid,
            distinct_id: &self.distinct_id,
            first_name: &self.first_name,
            last_name: &self.last_name,
            email: &self.email,
            is_email_verified,
            hedgehog_config: &self.settings.hedgehog_config,
            role_at_organization: self.role_at_organization.as_deref(),
        }
    }
}

/// A user with what stands beside their record, to be shown to others.
pub struct Profile {
    uuid: UserId,
    user: User,
    is_email_verified: Option<bool>,
}

impl Profile {
    /// `None` for nobody.
    ///
    /// # Errors
    /// None but of the data file.
    pub fn load(tx: &Tx, uuid: UserId) -> Result<Option<Profile>> {
        let Some(user) = get(tx, uuid)? else { return Ok(None) };
        Ok(Some(Profile { uuid, user, is_email_verified: addresses::of(tx, uuid)?.is_verified }))
    }

    /// What other members see.
    pub fn basic(&self) -> Basic<'_> {
        self.user.basic(self.uuid, self.is_email_verified)
    }
}

impl Deref for Profile {
    type Target = User;
    fn deref(&self) -> &User {
        &self.user
    }
}

/// What somebody can do at their organization.
const ROLES: [&str; 8] =
    ["engineering", "data", "product", "founder", "leadership", "marketing", "sales", "other"];

fn is_role_at_organization(text: &str) -> bool {
    text.is_empty() || ROLES.contains(&text)
}

fn is_toolbar_mode(text: &str) -> bool {
    ["disabled", "toolbar"].contains(&text)
}

fn is_theme_mode(text: &str) -> bool {
    ["dark", "light", "system"].contains(&text)
}

const FIRST_NAME: Field<String> = Field::text("first_name", 150);
const LAST_NAME: Field<String> = Field::text("last_name", 150).blank();
const EMAIL: Field<String> = Field::email("email");
const NOTIFICATION_SETTINGS: Field<Json> = Field::json("notification_settings");
const ANONYMIZE_DATA: Field<bool> = Field::boolean("anonymize_data");
const TOOLBAR_MODE: Field<String> = Field::text_choice("toolbar_mode", is_toolbar_mode);
const SET_CURRENT_ORGANIZATION: Field<String> = Field::long_text("set_current_organization").write_only();
const SET_CURRENT_TEAM: Field<String> = Field::long_text("set_current_team").write_only();
const PASSWORD: Field<String> =
    Field::secret("password", password::CHARS_MAX).write_only().rule(password::is_long_enough);
const CURRENT_PASSWORD: Field<String> =
    Field::secret("current_password", password::CHARS_MAX).blank().write_only();
const EVENTS_COLUMN_CONFIG: Field<Json> = Field::json("events_column_config");
const HAS_SEEN_PRODUCT_INTRO_FOR: Field<Option<Json>> = Field::json("has_seen_product_intro_for").nullable();
const THEME_MODE: Field<Option<String>> = Field::text_choice("theme_mode", is_theme_mode).nullable();
const HEDGEHOG_CONFIG: Field<Option<Json>> = Field::json("hedgehog_config").nullable();
const ROLE_AT_ORGANIZATION: Field<Option<String>> =
    Field::text_choice("role_at_organization", is_role_at_organization).nullable();
pub const ME: &[FieldInfo] = &[
    Field::time("date_joined").read_only(),
    Field::uuid("uuid").read_only(),
    Field::text("distinct_id", 200).read_only(),
    FIRST_NAME.info(),
    LAST_NAME.info(),
    EMAIL.info(),
    Field::email("pending_email").nullable().read_only(),
    Field::boolean("is_email_verified").nullable().read_only(),
    NOTIFICATION_SETTINGS.info(),
    ANONYMIZE_DATA.info(),
    TOOLBAR_MODE.info(),
    Field::boolean("has_password").read_only(),
    Field::boolean("is_staff").read_only(),
    Field::boolean("is_impersonated").read_only(),
    Field::time("is_impersonated_until").nullable().read_only(),
    Field::time("sensitive_session_expires_at").nullable().read_only(),
    Field::object("team", projects::SHORT).nullable().read_only(),
    Field::object("organization", organizations::FIELDS).nullable().read_only(),
    Field::objects("organizations", organizations::BASIC).read_only(),
    SET_CURRENT_ORGANIZATION.info(),
    SET_CURRENT_TEAM.info(),
    PASSWORD.info(),
    CURRENT_PASSWORD.info(),
    EVENTS_COLUMN_CONFIG.info(),
    Field::boolean("is_2fa_enabled").read_only(),
    Field::boolean("has_social_auth").read_only(),
    HAS_SEEN_PRODUCT_INTRO_FOR.info(),
    Field::json("scene_personalisation").read_only(),
    THEME_MODE.info(),
    HEDGEHOG_CONFIG.info(),
    ROLE_AT_ORGANIZATION.info(),
    web_app::ALLOW_IMPERSONATION.info(),
    web_app::ALLOW_SIDEBAR_SUGGESTIONS.info(),
    web_app::HIDE_MCP_HINTS.info(),
    web_app::PASSKEYS_ENABLED_FOR_2FA.info(),
    web_app::SHORTCUT_POSITION.info(),
    web_app::UI_CONFIGURATION.info(),
];

#[derive(Serialize)]
struct Me<'a> {
    date_joined: Time,
    uuid: UserId,
    distinct_id: &'a str,
    first_name: &'a str,
    last_name: &'a str,
    email: &'a str,
    pending_email: Option<&'a str>,
    is_email_verified: Option<bool>,
    notification_settings: &'a Json,
    anonymize_data: bool,
    toolbar_mode: &'a str,
    has_password: bool,
    is_staff: bool,
    is_impersonated: bool,
    is_impersonated_until: Option<Time>,
    sensitive_session_expires_at: Option<Time>,
    team: Option<projects::Short>,
    organization: Option<&'a RawValue>,
    organizations: Vec<organizations::Basic>,
    events_column_config: &'a Json,
    is_2fa_enabled: bool,
    has_social_auth: bool,
    has_seen_product_intro_for: &'a Option<Json>,
    scene_personalisation: [(); 0],
    theme_mode: Option<&'a str>,
    hedgehog_config: &'a Option<Json>,
    role_at_organization: Option<&'a str>,
    #[serde(flatten)]
    web_app: Shown,
}

fn show(call: &Call, tx: &Tx) -> Result<Reply> {
    let uuid = require_self(call)?;
    me(call, tx, uuid, &find(tx, uuid)?)
}

/// Nobody sees or changes another user here; there is no staff view of users.
pub(super) fn require_self(call: &Call) -> Result<UserId> {
    let user = call.user()?;
    match call.param("uuid") {
        "@me" => Ok(user),
        text => match parse_uuid(text).map(UserId) {
            Some(uuid) if uuid == user => Ok(user),
            Some(_) => {
                Err(denied("As a non-staff user you're only allowed to access the `@me` user instance."))
            }
            None => Err(not_found()),
        },
    }
}

/// The user's own record, as they see it.
pub(super) fn me(ctx: &Ctx, tx: &Tx, uuid: UserId, user: &User) -> Result<Reply> {
    let address = addresses::of(tx, uuid)?;
    let mut organization = current_organization(tx, uuid, user)?;
    let mut team = current_project(tx, uuid, user, organization)?;
    let mut organizations = organizations::basics_of(tx, uuid)?;
    if let Some(key) = ctx.caller()?.via.limited_key() {
        let places = places(tx, key)?;
        let opens = |id: &ProjectId| key.projects.is_empty() || key.projects.contains(id);
        organizations.retain(|one| places.contains(&one.id));
        // A key for projects reads no organization as a whole.
        organization = organization.filter(|at| places.contains(&at.id) && key.projects.is_empty());
        team = team.filter(|team| places.contains(&team.organization) && opens(&team.id));
    }
    let organization = organization
        .map(|InOrganization { id, level }| organizations::json(tx, id, uuid, level))
        .transpose()?;
    let session_until = match ctx.caller()?.via {
        Via::Session { authenticated_at, .. } => {
            Some(authenticated_at.plus_seconds(SENSITIVE_SESSION_SECONDS))
        }
        Via::Key(_) => None,
    };
    Reply::ok(&Me {
        date_joined: user.date_joined,
        uuid,
        distinct_id: &user.distinct_id,
        first_name: &user.first_name,
        last_name: &user.last_name,
        email: &user.email,
        pending_email: address.pending.as_deref(),
        is_email_verified: address.is_verified,
        notification_settings: &user.settings.notification_settings,
        anonymize_data: user.settings.anonymize_data,
        toolbar_mode: &user.settings.toolbar_mode,
        has_password: user.password_hash.is_some(),
        is_staff: user.is_staff,
        is_impersonated: false,
        is_impersonated_until: None,
        sensitive_session_expires_at: session_until,
        team,
        organization: organization.as_deref().map(AsRef::as_ref),
        organizations,
        events_column_config: &user.settings.events_column_config,
        is_2fa_enabled: two_factor::is_enabled(tx, uuid)?,
        has_social_auth: false,
        has_seen_product_intro_for: &user.settings.has_seen_product_intro_for,
        scene_personalisation: [],
        theme_mode: user.settings.theme_mode.as_deref(),
        hedgehog_config: &user.settings.hedgehog_config,
        role_at_organization: user.role_at_organization.as_deref(),
        web_app: WebApp::of(&user.settings.web_app)?.shown(),
    })
}

/// The organizations that a limited key reaches into.
fn places(tx: &Tx, key: &KeyAccess) -> Result<Vec<OrganizationId>> {
    if key.projects.is_empty() {
        return Ok(key.organizations.clone());
    }
    let mut places = Vec::new();
    for id in &key.projects {
        places.extend(projects::visible(tx, *id, key.user)?.map(|(organization, _)| organization));
    }
    places.retain(|id| key.organizations.is_empty() || key.organizations.contains(id));
    Ok(places)
}

/// How somebody logs in: changed by session only, and by who knows the current password.
struct Credentials {
    email: Option<String>,
    password: Option<String>,
    current_password: Option<String>,
}

impl Credentials {
    /// What the form changes of them; `None` where it changes nothing.
    fn changed(form: &mut Form, user: &User) -> Option<Credentials> {
        let changed = Credentials {
            email: form.take(EMAIL).filter(|email| *email != user.email),
            password: form.take(PASSWORD),
            current_password: form.take(CURRENT_PASSWORD),
        };
        (changed.email.is_some() || changed.password.is_some()).then_some(changed)
    }
}

/// What the write still has to do when a change of credentials was proved.
#[derive(Clone)]
pub struct Proved {
    email: Option<String>,
    new_hash: Option<String>,
    /// What the current password was judged by.
    judged_by: Option<String>,
    /// The only session that stays.
    session: [u8; 32],
}

/// Proves what the fields change of the caller's credentials, before [`update`] runs: takes their current password,
/// and hashes the new one.
///
/// # Errors
/// 403 for a key; 400 for wrong fields, for a missing or wrong `current_password` and a weak new one; 429 where too
/// many were wrong, for a sixth new password in a minute, and for too many new addresses.
pub async fn prove_change(app: &Arc<App>, ctx: &Ctx, input: Input<'_>) -> Result<Option<Proved>> {
    let uuid = ctx.user()?;
    let user = app.store.read(|tx| find(tx, uuid))?;
    let changed = Credentials::changed(&mut input.form(ME)?, &user);
    match changed {
        Some(changed) => prove(app, ctx, &user, changed).await.map(Some),
        None => Ok(None),
    }
}

/// Proves a change of credentials, outside the store.
async fn prove(app: &Arc<App>, ctx: &Ctx, user: &User, changed: Credentials) -> Result<Proved> {
    let Caller { user: uuid, via: Via::Session { hash: session, .. } } = *ctx.caller()? else {
        return Err(denied("E-mail address and password are changed by session only, not by API key."));
    };
    let Credentials { email, password, current_password } = changed;
    if password.is_some() && app.config.lock_out() {
        app.throttles.password_change(uuid, ctx.now)?;
    }
    if user.password_hash.is_some() {
        let required = match &password {
            Some(_) => "This field is required when updating your password.",
            None => "This field is required when updating your email address.",
        };
        sessions::prove_password(app, ctx, user, current_password, required).await?;
    } else {
        sessions::require_recent_login(ctx)?;
    }
    let new_hash = match password {
        Some(new) => Some(new_hash(app, ctx, new).await?),
        None => None,
    };
    if email.is_some() && app.config.lock_out() {
        app.throttles.address_change(uuid, ctx.now)?;
    }
    Ok(Proved { email, new_hash, judged_by: user.password_hash.clone(), session })
}

/// Judges and hashes a new password.
///
/// # Errors
/// 400 for the field `password` where it is weak; 503 where too many wait for a hash.
pub async fn new_hash(app: &App, ctx: &Ctx, new: String) -> Result<String> {
    let (ids, cost) = (Arc::clone(&app.ids), app.config.hash_cost());
    app.run_cpu_bound(ctx.peer(), move || {
        password::check_strength(&new)?;
        password::hash(&ids, cost, &new)
    })
    .await?
}

/// Two steps: passwords are proved and hashed outside the store, then all changes are one write.
async fn patch(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    let uuid = require_self(&call)?;
    if app.config.throttles() {
        app.throttles.user_write(uuid, call.now)?;
    }
    let proved = prove_change(&app, &call, call.input()).await?;
    let reply = app.store.write({
        let call = Arc::clone(&call);
        move |tx| {
            places::again(tx, &call)?;
            let user = update(&call, tx, call.input(), proved.clone())?;
            me(&call, tx, uuid, &user)
        }
    });
    reply.await
}

/// Changes the caller. `proved` is what was proved of a change of credentials, which ends all other sessions.
///
/// # Errors
/// 400 for wrong fields, an address that is taken, or a password that was changed meanwhile; 403 for a limited key
/// that chooses the current organization or project.
pub fn update(ctx: &Ctx, tx: &WriteTx, input: Input<'_>, proved: Option<Proved>) -> Result<User> {
    let Caller { user: uuid, via } = ctx.caller()?;
    let before = find(tx, *uuid)?;
    let mut user = before.clone();
    let form = input.form(ME)?;
    if form.has(SET_CURRENT_ORGANIZATION) || form.has(SET_CURRENT_TEAM) {
        auth::unlimited(via, "does not choose the current organization or project")?;
    }
    fill(tx, *uuid, &mut user, form)?;
    if let Some(proved) = proved {
        // Another change of the password may have come first.
        if before.password_hash != proved.judged_by {
            return Err(sessions::password_incorrect());
        }
        if let Some(email) = proved.email
            && !addresses::want(ctx, tx, *uuid, &before, &email)?
        {
            user.email = email;
        }
        if let Some(new_hash) = proved.new_hash {
            user.password_hash = Some(new_hash);
            tell(ctx, tx, &user, &Letter::PasswordChanged { at: occurred(ctx) })?;
        }
        sessions::end_others(tx, *uuid, Some(proved.session))?;
    }
    replace(tx, *uuid, &before, &user)?;
    entries::credentials(ctx, tx, Some(*uuid), *uuid, (&before, &user))?;
    Ok(user)
}

/// What the operator says of a person.
pub const OF_PERSON: &[FieldInfo] = &[FIRST_NAME.info(), LAST_NAME.info(), ROLE_AT_ORGANIZATION.info()];

/// The same of a user, by field.
pub fn person_of(user: &User) -> Map<String, Value> {
    let pairs: [(&str, Value); 3] = [
        (FIRST_NAME.name(), user.first_name.clone().into()),
        (LAST_NAME.name(), user.last_name.clone().into()),
        (ROLE_AT_ORGANIZATION.name(), user.role_at_organization.clone().into()),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The user as the input would make them.
///
/// # Errors
/// 404 for nobody; 400 for wrong fields.
pub fn described(tx: &Tx, uuid: UserId, input: Input<'_>) -> Result<User> {
    let mut user = find(tx, uuid)?;
    let mut form = input.form(OF_PERSON)?;
    form.set(FIRST_NAME, &mut user.first_name);
    form.set(LAST_NAME, &mut user.last_name);
    form.set(ROLE_AT_ORGANIZATION, &mut user.role_at_organization);
    form.finish();
    Ok(user)
}

/// Changes what the operator says of a person.
///
/// # Errors
/// 403 for whoever is not the operator; else as for `described`.
pub fn describe(ctx: &Ctx, tx: &WriteTx, uuid: UserId, input: Input<'_>) -> Result<()> {
    require_operator(ctx, tx)?;
    let before = find(tx, uuid)?;
    replace(tx, uuid, &before, &described(tx, uuid, input)?)
}

/// Gives a user another password, and ends all their sessions: the operator's help.
///
/// # Errors
/// 404 for nobody.
pub fn reset_password(ctx: &Ctx, tx: &WriteTx, uuid: UserId, password_hash: String) -> Result<()> {
    set_password(ctx, tx, ctx.actor.caller().map(|caller| caller.user), uuid, password_hash)
}

/// Gives a user another password, and ends all their sessions; `by` says who did it.
pub(super) fn set_password(
    ctx: &Ctx,
    tx: &WriteTx,
    by: Option<UserId>,
    uuid: UserId,
    password_hash: String,
) -> Result<()> {
    let before = find(tx, uuid)?;
    let user = User { password_hash: Some(password_hash), ..before.clone() };
    sessions::end_others(tx, uuid, None)?;
    replace(tx, uuid, &before, &user)?;
    tell(ctx, tx, &user, &Letter::PasswordChanged { at: occurred(ctx) })?;
    entries::credentials(ctx, tx, by, uuid, (&before, &user))
}

/// The user has another address from now on.
pub(super) fn change_address(
    ctx: &Ctx,
    tx: &WriteTx,
    uuid: UserId,
    before: &User,
    user: &User,
) -> Result<()> {
    replace(tx, uuid, before, user)?;
    entries::credentials(ctx, tx, Some(uuid), uuid, (before, user))
}

/// When and where from something is done, for a mail about it.
pub fn occurred(ctx: &Ctx) -> Occurred {
    Occurred { time: ctx.now, address: ctx.source.address }
}

/// Mails a user what happened to their account, where mail works.
///
/// # Errors
/// None but of the data file.
pub fn tell(ctx: &Ctx, tx: &WriteTx, user: &User, letter: &Letter<'_>) -> Result<()> {
    outbox::push(ctx, tx, user.recipient(), letter)
}

/// Moves a user to an address at which nobody can be reached, and ends all their sessions. Gives the address. For the
/// operator.
///
/// # Errors
/// 404 for nobody.
pub fn free_address(ctx: &Ctx, tx: &WriteTx, uuid: UserId) -> Result<String> {
    let before = find(tx, uuid)?;
    let user = User { email: format!("{uuid}@freed.invalid"), ..before.clone() };
    replace(tx, uuid, &before, &user)?;
    addresses::forget(tx, uuid)?;
    sessions::end_others(tx, uuid, None)?;
    let by = ctx.actor.caller().map(|caller| caller.user);
    entries::credentials(ctx, tx, by, uuid, (&before, &user))?;
    Ok(user.email)
}

fn fill(tx: &Tx, uuid: UserId, user: &mut User, mut form: Form) -> Result<()> {
    form.set(FIRST_NAME, &mut user.first_name);
    form.set(LAST_NAME, &mut user.last_name);
    let settings = &mut user.settings;
    if let Some(wanted) = form.take(NOTIFICATION_SETTINGS) {
        settings.notification_settings = merged(&settings.notification_settings, wanted.value())?;
    }
    form.set(ANONYMIZE_DATA, &mut settings.anonymize_data);
    form.set(TOOLBAR_MODE, &mut settings.toolbar_mode);
    form.set(EVENTS_COLUMN_CONFIG, &mut settings.events_column_config);
    form.set(HAS_SEEN_PRODUCT_INTRO_FOR, &mut settings.has_seen_product_intro_for);
    form.set(THEME_MODE, &mut settings.theme_mode);
    form.set(HEDGEHOG_CONFIG, &mut settings.hedgehog_config);
    let mut web_app = WebApp::of(&settings.web_app)?;
    web_app.fill(&mut form);
    settings.web_app = Json::of(&web_app);
    form.set(ROLE_AT_ORGANIZATION, &mut user.role_at_organization);
    set_current(tx, uuid, user, &mut form)?;
    // `Credentials` has read these.
    form.ignore(EMAIL);
    form.ignore(PASSWORD);
    form.ignore(CURRENT_PASSWORD);
    form.finish();
    Ok(())
}

/// Notification settings are switches; those not named stay as they are.
fn merged(old: &Json, wanted: Value) -> Result<Json> {
    let refuse = |detail: String| Err(invalid("notification_settings", "invalid_input", detail));
    let Value::Object(wanted) = wanted else { return refuse("Must provide a dictionary.".into()) };
    let mut all = old.value();
    for (name, switch) in wanted {
        if !switch.is_boolean() {
            return refuse(format!(
                "{} is not a valid type for notification settings.",
                crate::api::fields::python_type_name(&switch)
            ));
        }
        all[name] = switch;
    }
    Ok(Json::of(&all))
}

fn set_current(tx: &Tx, uuid: UserId, user: &mut User, form: &mut Form) -> Result<()> {
    let missing = |attr: &'static str, value: &str| {
        invalid(attr, "does_not_exist", format!("Object with id={value} does not exist."))
    };
    let mut organization = None;
    if let Some(text) = form.take(SET_CURRENT_ORGANIZATION) {
        let attr = "set_current_organization";
        let id = parse_uuid(&text)
            .map(OrganizationId)
            .ok_or_else(|| invalid(attr, "invalid_input", format!("“{text}” is not a valid UUID.")))?;
        let level = members::level_of(tx, id, uuid)?.ok_or_else(|| missing(attr, &text))?;
        organization = Some((id, level, text));
    }
    if let Some(text) = form.take(SET_CURRENT_TEAM) {
        let attr = "set_current_team";
        let number: i64 = text.parse().map_err(|_| {
            invalid(attr, "invalid_input", format!("Field 'id' expected a number but got '{text}'."))
        })?;
        let project =
            u32::try_from(number).ok().map(|id| projects::visible(tx, ProjectId(id), uuid)).transpose()?;
        let (home, id) = project.flatten().ok_or_else(|| missing(attr, &text))?;
        if organization.is_some_and(|(chosen, ..)| chosen != home) {
            let detail = "Team must belong to the same organization in set_current_organization.";
            return Err(invalid(attr, "invalid_input", detail));
        }
        user.current_organization = Some(home);
        user.current_project = Some(id);
    } else if let Some((id, level, _)) = organization {
        user.current_organization = Some(id);
        user.current_project = projects::visible_in(tx, id, uuid, level)?.first().map(|project| project.id);
    }
    Ok(())
}

pub fn email_taken() -> Error {
    invalid("email", "unique", "There is already an account with this email address.")
}

/// A user, or 404.
pub fn find(tx: &Tx, uuid: UserId) -> Result<User> {
    get(tx, uuid)?.ok_or_else(not_found)
}

pub fn get(tx: &Tx, uuid: UserId) -> Result<Option<User>> {
    Ok(tx.get(&USERS, &uuid)?)
}

/// The user with this address, whatever its case.
pub fn by_email(tx: &Tx, email: &str) -> Result<Option<UserId>> {
    Ok(tx.get(&BY_EMAIL, &email.to_lowercase())?)
}

/// All users, oldest first, each read when the iterator reaches it.
pub fn every(tx: &Tx) -> Result<impl Iterator<Item = Result<(UserId, User)>> + use<>> {
    Ok(tx.every(&USERS)?.map(|row| Ok(row?)))
}

/// Whether nobody has signed up yet.
pub fn none_yet(tx: &Tx) -> Result<bool> {
    Ok(tx.first(&USERS, 1)?.is_empty())
}

/// The organization that `@current` means, with the user's level in it.
pub fn current_organization(tx: &Tx, uuid: UserId, user: &User) -> Result<Option<InOrganization>> {
    if let Some(id) = user.current_organization
        && let Some(level) = members::level_of(tx, id, uuid)?
    {
        return Ok(Some(InOrganization { id, level }));
    }
    members::first_of(tx, uuid)
}

/// The project that `@current` means: the last one chosen, in whichever organization it lies, or else the
/// first of the current organization.
pub fn current_project(
    tx: &Tx,
    uuid: UserId,
    user: &User,
    organization: Option<InOrganization>,
) -> Result<Option<projects::Short>> {
    if let Some(id) = user.current_project
        && let Some(project) = projects::seen(tx, id, uuid)?
    {
        return Ok(Some(project));
    }
    match organization {
        Some(InOrganization { id, level }) => {
            Ok(projects::visible_in(tx, id, uuid, level)?.into_iter().next())
        }
        None => Ok(None),
    }
}

/// Makes a user.
pub fn insert(tx: &WriteTx, uuid: UserId, user: &User) -> Result<()> {
    tx.insert(&USERS, &uuid, user).on_conflict(&BY_EMAIL, email_taken)
}

/// Replaces a user.
pub fn replace(tx: &WriteTx, uuid: UserId, before: &User, user: &User) -> Result<()> {
    tx.replace(&USERS, &uuid, before, user).on_conflict(&BY_EMAIL, email_taken)
}

/// Makes an organization and a project the user's current ones.
pub fn make_current(
    tx: &WriteTx,
    uuid: UserId,
    mut user: User,
    organization: Option<OrganizationId>,
    project: Option<ProjectId>,
) -> Result<()> {
    Ok(tx.change(&USERS, &uuid, &mut user, |user| {
        user.current_organization = organization.or(user.current_organization);
        user.current_project = project;
    })?)
}

fn samples(all: &mut super::samples::Samples) {
    use super::samples::{NOW, ONE, text};
    let json = Json::of(&serde_json::json!({"a": [1, null]}));
    all.add(
        &USERS,
        ONE.into(),
        User {
            number: 300,
            distinct_id: text("d"),
            email: text("a@example.com"),
            password_hash: Some(text("$argon2id$")),
            first_name: text("A"),
            last_name: text("B"),
            is_staff: true,
            date_joined: NOW,
            role_at_organization: Some(text("r")),
            current_organization: Some(ONE.into()),
            current_project: Some(ProjectId(7)),
            settings: Settings { hedgehog_config: Some(json.clone()), ..Settings::default() },
        },
    );
    all.add(&operator::DEACTIVATED, ONE.into(), NOW);
}
