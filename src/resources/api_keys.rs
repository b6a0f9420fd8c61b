//! Personal API keys.
//! Invariant: only the SHA-256 of a key's value is stored; a user has at most ten. Keys are managed by session; a key
//! sees nothing but itself.

mod entries;
mod of_organization;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::outbox::Letter;
use super::{Resource, members, projects, sessions, users};
use crate::api::call::parse_uuid;
use crate::api::caller::{KeyAccess, Via};
use crate::api::fields::{Checked, python_str};
use crate::api::{Actor, Call, Ctx, Field, FieldInfo, Form, Input, Reply, Within};
use crate::app::{Route, Tag, read, signed_in, tagged, write};
use crate::auth::{hash, scopes};
use crate::clock::Time;
use crate::config::KEYS_MAX;
use crate::error::{Error, Result, denied, invalid, invalid_body, not_found, unauthenticated};
use crate::ids::{OrganizationId, ProjectId, UserId};
use crate::store::{Cacheable, Index, Order, ParentThrough, Table, Tx, WriteTx};
pub use of_organization::{AccessScope, access_scope, all, may_revoke, reaching, revoke};

pub static RESOURCE: Resource = Resource::of(routes).tables(&[&KEYS]).samples(samples);

fn routes() -> Vec<Route> {
    const TAG: Tag =
        Tag { name: "personal_api_keys", noun: "personal API key", about: "The caller's personal API keys." };

    let all = "/api/personal_api_keys/";
    let one = "/api/personal_api_keys/{id}/";
    let routes = vec![
        Route::get(all, signed_in(), Within::Nothing, read(list))
            .responds_list(FIELDS)
            .about("List personal API keys", "Without their values, which are stored as hashes."),
        Route::post(all, signed_in(), Within::Nothing, write(post))
            .accepts(FIELDS)
            .responds(201, FIELDS)
            .about(
                "Create a personal API key",
                "The answer's `value` is shown this once. A user has ten at the most.",
            ),
        Route::get("/api/personal_api_keys/@current/", signed_in(), Within::Nothing, read(current))
            .responds(200, FIELDS)
            .about("Retrieve the key that calls", "Its scopes and limits."),
        Route::get(one, signed_in(), Within::Nothing, read(show)).responds(200, FIELDS).about(
            "Retrieve a personal API key",
            "Without its value. A key that calls retrieves itself only.",
        ),
        Route::put(one, signed_in(), Within::Nothing, write(patch))
            .accepts(FIELDS)
            .responds(200, FIELDS)
            .about("Replace a personal API key", "Label, scopes and limits; the value stays."),
        Route::patch(one, signed_in(), Within::Nothing, write(patch))
            .accepts(FIELDS)
            .responds(200, FIELDS)
            .about("Change a personal API key", "Only the fields that are sent change; the value stays."),
        Route::delete(one, signed_in(), Within::Nothing, write(delete))
            .responds_nothing()
            .about("Delete a personal API key", "It stops working at once."),
        Route::post("/api/personal_api_keys/{id}/roll/", signed_in(), Within::Nothing, write(post_roll))
            .responds(200, FIELDS)
            .about(
                "Give a key a new value",
                "The answer's `value` is shown this once, and the old one stops working at once. Label, \
                 scopes and limits stay.",
            ),
    ];
    let mut routes = tagged(TAG, routes);
    routes.extend(of_organization::routes());
    routes
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApiKey {
    pub id: String,
    pub user: UserId,
    pub label: String,
    /// First four and last four letters of the value.
    pub mask: String,
    pub created_at: Time,
    pub last_used_at: Option<Time>,
    pub scopes: Vec<String>,
    pub scoped_projects: Vec<ProjectId>,
    pub scoped_organizations: Vec<OrganizationId>,
    /// When its value was last replaced.
    pub last_rolled_at: Option<Time>,
}

impl ApiKey {
    /// Whether the key opens just what it opened when this was read.
    pub fn opens_as(&self, access: &KeyAccess) -> bool {
        self.user == access.user
            && self.scopes == access.scopes
            && self.scoped_organizations == access.organizations
            && self.scoped_projects == access.projects
    }
}

/// By the SHA-256 of the value: what a request needs is one look-up away.
pub(super) static KEYS: Table<[u8; 32], ApiKey> =
    Table::new("api_keys").indexed(&[&BY_USER]).belongs_to(&[&ParentThrough {
        table: &users::USERS,
        front: |user| *user,
        index: &BY_USER,
        child: |_, hash| *hash,
    }]);
static BY_USER: Index<[u8; 32], ApiKey, (UserId, String), [u8; 32]> =
    Index::unique("api_keys_by_user", |hash, key| Some(((key.user, key.id.clone()), *hash)));

const LABEL: Field<String> = Field::text("label", 40).required();
const SCOPES: Field<Value> = Field::list("scopes").required().rule(check_scopes);
const SCOPED_TEAMS: Field<Option<Vec<i64>>> = Field::integers("scoped_teams")
    .nullable()
    .described("Projects that the key is limited to; null or empty for all.");
const SCOPED_ORGANIZATIONS: Field<Option<Value>> = Field::list("scoped_organizations")
    .nullable()
    .described("Organizations that the key is limited to; null or empty for all.");
pub const FIELDS: &[FieldInfo] = &[
    Field::text("id", 50).read_only(),
    LABEL.info(),
    Field::text("value", 100)
        .nullable()
        .read_only()
        .described("The key, in the answer to its creation, or to its roll, only."),
    Field::text("mask_value", 11).read_only(),
    Field::time("created_at").read_only(),
    Field::time("last_used_at").nullable().read_only(),
    Field::time("last_rolled_at").nullable().read_only(),
    Field::integer("user_id", 0, i64::MAX).read_only(),
    SCOPES.info(),
    SCOPED_TEAMS.info(),
    SCOPED_ORGANIZATIONS.info(),
];

#[derive(Serialize)]
struct Wire<'a> {
    id: &'a str,
    label: &'a str,
    value: Option<&'a str>,
    mask_value: &'a str,
    created_at: Time,
    last_used_at: Option<Time>,
    last_rolled_at: Option<Time>,
    user_id: u32,
    scopes: &'a [String],
    scoped_teams: &'a [ProjectId],
    scoped_organizations: &'a [OrganizationId],
}

fn wire<'a>(key: &'a ApiKey, user_number: u32, value: Option<&'a str>) -> Wire<'a> {
    Wire {
        id: &key.id,
        label: &key.label,
        value,
        mask_value: &key.mask,
        created_at: key.created_at,
        last_used_at: key.last_used_at,
        last_rolled_at: key.last_rolled_at,
        user_id: user_number,
        scopes: &key.scopes,
        scoped_teams: &key.scoped_projects,
        scoped_organizations: &key.scoped_organizations,
    }
}

fn check_scopes(attr: &'static str, value: &Checked) -> Result<()> {
    let Checked::Json(Value::Array(items)) = value else { return Ok(()) };
    for item in items {
        if !item.as_str().is_some_and(scopes::is_scope) {
            return Err(invalid(attr, "invalid_input", format!("Invalid scope: {}", python_str(item))));
        }
    }
    if items.is_empty() {
        return Err(invalid(attr, "invalid_input", "Give at least one scope."));
    }
    Ok(())
}

fn list(call: &Call, tx: &Tx) -> Result<Reply> {
    let user = require_session(call)?;
    let number = users::find(tx, user)?.number;
    let keys = of_user(tx, user)?;
    let rows: Vec<Wire<'_>> = keys.iter().map(|(_, key)| wire(key, number, None)).collect();
    Reply::ok(&rows)
}

fn post(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let user = call.user()?;
    let (key, value) = create(call, tx, user, None, call.input())?;
    Reply::created(&wire(&key, users::find(tx, user)?.number, Some(&value)))
}

/// The key that makes this very request.
fn current(call: &Call, tx: &Tx) -> Result<Reply> {
    let caller = call.caller()?;
    let Via::Key(access) = &caller.via else { return Err(unauthenticated()) };
    let key = by_hash(tx, &access.hash)?.ok_or_else(not_found)?;
    Reply::ok(&wire(&key, users::find(tx, caller.user)?.number, None))
}

fn show(call: &Call, tx: &Tx) -> Result<Reply> {
    let (user, id) = (call.user()?, call.param("id"));
    if let Via::Key(access) = &call.caller()?.via
        && access.id != id
    {
        return Err(by_key());
    }
    let (_, key) = find(tx, user, id)?;
    Reply::ok(&wire(&key, users::find(tx, key.user)?.number, None))
}

fn patch(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let key = update(call, tx, call.param("id"), call.input())?;
    Reply::ok(&wire(&key, users::find(tx, key.user)?.number, None))
}

fn delete(call: &Call, tx: &WriteTx) -> Result<Reply> {
    remove(call, tx, call.param("id"))?;
    Reply::no_content()
}

fn post_roll(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let (key, value) = roll(call, tx, call.param("id"))?;
    Reply::ok(&wire(&key, users::find(tx, key.user)?.number, Some(&value)))
}

/// The calling user, where they come by session, or the one in whose name the operator acts.
fn require_session(ctx: &Ctx) -> Result<UserId> {
    if let Actor::Operator(Some(user)) = ctx.actor {
        return Ok(user);
    }
    let caller = ctx.caller()?;
    match caller.via {
        Via::Session { .. } => Ok(caller.user),
        Via::Key(_) => Err(by_key()),
    }
}

fn by_key() -> Error {
    denied("This action does not support Personal API Key access")
}

/// Makes a key for a user, and gives it with its value, which is stored nowhere. `value` is the one that the
/// operator has chosen.
///
/// # Errors
/// 403 for a key, and for a session whose password was given long ago; 400 for wrong fields, and where the user has as many keys as
/// one may have.
pub fn create(
    ctx: &Ctx,
    tx: &WriteTx,
    owner: UserId,
    value: Option<String>,
    input: Input<'_>,
) -> Result<(ApiKey, String)> {
    if ctx.actor.caller().is_some() {
        require_session(ctx)?;
    }
    sessions::require_recent_login(ctx)?;
    let form = input.form(FIELDS)?;
    if of_user(tx, owner)?.len() >= KEYS_MAX {
        let detail =
            "You can only have 10 personal API keys. Remove an existing key before creating a new one.";
        return Err(invalid_body("invalid_input", detail));
    }
    let value = value.unwrap_or_else(|| new_value(ctx));
    let mut key = ApiKey {
        id: ctx.ids.base62::<32>(),
        user: owner,
        label: String::new(),
        mask: mask(&value),
        created_at: ctx.now,
        last_used_at: None,
        scopes: Vec::new(),
        scoped_projects: Vec::new(),
        scoped_organizations: Vec::new(),
        last_rolled_at: None,
    };
    fill(tx, &mut key, form)?;
    tx.insert(&KEYS, &hash(&value), &key)?;
    entries::whole(ctx, tx, &key, "created")?;
    // What a development or test server begins with is no news, and would be the first mail of every test.
    if !(matches!(ctx.actor, Actor::Operator(_)) && ctx.config.mode().is_some()) {
        let letter = Letter::NewKey { label: &key.label, mask: &key.mask, at: users::occurred(ctx) };
        users::tell(ctx, tx, &users::find(tx, owner)?, &letter)?;
    }
    Ok((key, value))
}

/// Changes the caller's key: its label, scopes and limits.
///
/// # Errors
/// 403 for a key, and for a session whose password was given long ago; 404 where the caller has no such key; 400 for
/// wrong fields.
pub fn update(ctx: &Ctx, tx: &WriteTx, id: &str, input: Input<'_>) -> Result<ApiKey> {
    let user = require_session(ctx)?;
    sessions::require_recent_login(ctx)?;
    let (hash, before) = find(tx, user, id)?;
    let mut key = before.clone();
    fill(tx, &mut key, input.form(FIELDS)?)?;
    tx.replace(&KEYS, &hash, &before, &key)?;
    entries::updated(ctx, tx, &before, &key)?;
    Ok(key)
}

/// Deletes the caller's key, which opens nothing from then on.
///
/// # Errors
/// 403 for a key, and for a session whose password was given long ago; 404 where the caller has no such key.
pub fn remove(ctx: &Ctx, tx: &WriteTx, id: &str) -> Result<()> {
    let user = require_session(ctx)?;
    sessions::require_recent_login(ctx)?;
    let (hash, key) = find(tx, user, id)?;
    tx.delete(&KEYS, &hash)?;
    entries::whole(ctx, tx, &key, "deleted")
}

/// Gives the caller's key a new value, which is stored nowhere; the old one opens nothing from then on. Label, scopes
/// and limits stay.
///
/// # Errors
/// 401 for `@current`, which names no key of a session; else as for `remove`.
pub fn roll(ctx: &Ctx, tx: &WriteTx, id: &str) -> Result<(ApiKey, String)> {
    let user = require_session(ctx)?;
    sessions::require_recent_login(ctx)?;
    if id == "@current" {
        return Err(unauthenticated());
    }
    let (old, before) = find(tx, user, id)?;
    let value = new_value(ctx);
    let key = ApiKey { mask: mask(&value), last_rolled_at: Some(ctx.now), ..before };
    tx.delete(&KEYS, &old)?;
    tx.insert(&KEYS, &hash(&value), &key)?;
    entries::whole(ctx, tx, &key, "rolled")?;
    Ok((key, value))
}

fn new_value(ctx: &Ctx) -> String {
    format!("phx_{}", ctx.ids.base62::<35>())
}

/// What is shown of a value: its first and last four letters.
fn mask(value: &str) -> String {
    let letters: Vec<char> = value.chars().collect();
    let part = |range: &[char]| range.iter().collect::<String>();
    let ends = letters.len().saturating_sub(4);
    format!("{}...{}", part(&letters[..letters.len().min(4)]), part(&letters[ends..]))
}

fn fill(tx: &Tx, key: &mut ApiKey, mut form: Form) -> Result<()> {
    form.set(LABEL, &mut key.label);
    if let Some(scopes) = form.take(SCOPES) {
        key.scopes = texts(&scopes);
    }
    if let Some(projects) = form.take(SCOPED_TEAMS) {
        let mut scoped = Vec::new();
        for number in projects.unwrap_or_default() {
            let found = match u32::try_from(number) {
                Ok(id) => projects::visible(tx, ProjectId(id), key.user)?,
                Err(_) => None,
            };
            let Some((_, id)) = found else {
                let detail = "You must be a member of all teams that you are scoping the key to.";
                return Err(invalid("scoped_teams", "invalid_input", detail));
            };
            scoped.push(id);
        }
        key.scoped_projects = scoped;
    }
    if let Some(organizations) = form.take(SCOPED_ORGANIZATIONS) {
        let items = organizations.as_ref().and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let wanted: Option<Vec<OrganizationId>> =
            items.iter().map(|item| item.as_str().and_then(parse_uuid).map(OrganizationId)).collect();
        let Some(wanted) = wanted else {
            return Err(invalid("scoped_organizations", "invalid_input", "Invalid organization UUID"));
        };
        for organization in &wanted {
            if members::level_of(tx, *organization, key.user)?.is_none() {
                let detail = "You must be a member of all organizations that you are scoping the key to.";
                return Err(invalid("scoped_organizations", "invalid_input", detail));
            }
        }
        key.scoped_organizations = wanted;
    }
    form.finish();
    Ok(())
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// A key of the user.
///
/// # Errors
/// 404 where the user has no such key.
pub fn of_id(tx: &Tx, user: UserId, id: &str) -> Result<ApiKey> {
    find(tx, user, id).map(|(_, key)| key)
}

fn find(tx: &Tx, user: UserId, id: &str) -> Result<([u8; 32], ApiKey)> {
    let hash = tx.get(&BY_USER, &(user, id.to_owned()))?.ok_or_else(not_found)?;
    Ok((hash, by_hash(tx, &hash)?.ok_or_else(not_found)?))
}

/// The keys of a user, newest first.
pub fn of_user(tx: &Tx, user: UserId) -> Result<Vec<([u8; 32], ApiKey)>> {
    let mut keys = Vec::new();
    for (_, hash) in tx.scan(&BY_USER, &user, Order::Ascending)? {
        if let Some(key) = by_hash(tx, &hash)? {
            keys.push((hash, key));
        }
    }
    keys.sort_by_key(|(_, key)| std::cmp::Reverse(key.created_at));
    Ok(keys)
}

/// The key with this hash.
pub fn by_hash(tx: &Tx, hash: &[u8; 32]) -> Result<Option<ApiKey>> {
    Ok(tx.get(&KEYS, hash)?)
}

/// What the key with this hash opens; `unknown` where there is none. Every request asks, so it is cached.
pub fn access(tx: &Tx, hash: [u8; 32], unknown: impl FnOnce() -> Error) -> Result<Arc<KeyAccess>> {
    tx.cached("key", &hash, || {
        let key = by_hash(tx, &hash)?.ok_or_else(unknown)?;
        Ok(KeyAccess {
            id: key.id,
            mask: key.mask,
            user: key.user,
            hash,
            scopes: key.scopes,
            organizations: key.scoped_organizations,
            projects: key.scoped_projects,
            last_used_at: key.last_used_at,
        })
    })
}

impl Cacheable for KeyAccess {
    fn bytes(&self) -> usize {
        let scopes = self.scopes.iter().map(|scope| size_of::<String>() + scope.len()).sum::<usize>();
        let names = self.id.len() + self.mask.len();
        size_of::<KeyAccess>()
            + names
            + scopes
            + size_of_val(&*self.organizations)
            + size_of_val(&*self.projects)
    }
}

/// What its owner calls a key; `None` where there is no such key.
///
/// # Errors
/// None but of the data file.
pub fn label_of(tx: &Tx, hash: &[u8; 32]) -> Result<Option<String>> {
    Ok(by_hash(tx, hash)?.map(|key| key.label))
}

/// Notes that a key was used; at most once an hour for each key.
pub fn touch(tx: &WriteTx, hash: &[u8; 32], now: Time) -> Result<()> {
    if let Some(mut key) = by_hash(tx, hash)? {
        key.last_used_at = Some(now);
        tx.put(&KEYS, hash, &key)?;
    }
    Ok(())
}

fn samples(all: &mut super::samples::Samples) {
    use super::samples::{HASH, NOW, ONE, TWO, text};
    all.add(
        &KEYS,
        HASH,
        ApiKey {
            id: text("id"),
            user: ONE.into(),
            label: text("label"),
            mask: text("phx_...abcd"),
            created_at: NOW,
            last_used_at: Some(NOW),
            scopes: vec![text("*")],
            scoped_projects: vec![ProjectId(1), ProjectId(300)],
            scoped_organizations: vec![TWO.into()],
            last_rolled_at: Some(NOW),
        },
    );
}
