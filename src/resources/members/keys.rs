//! What is shown before a member is removed: the keys with which they reach the organization.

use serde::Serialize;

use super::target;
use crate::api::{Call, Field, FieldInfo, InOrganization, Level, Reply};
use crate::clock::Time;
use crate::error::{Result, denied};
use crate::resources::api_keys;
use crate::resources::api_keys::ApiKey;
use crate::store::Tx;

const WEEK_SECONDS: i64 = 7 * 24 * 60 * 60;

const KEY: &[FieldInfo] =
    &[Field::text("name", 40).read_only(), Field::time("last_used_at").nullable().read_only()];

pub(super) const KEYS: &[FieldInfo] = &[
    Field::boolean("has_keys").read_only(),
    Field::boolean("has_keys_active_last_week").read_only(),
    Field::objects("keys", KEY).read_only(),
];

#[derive(Serialize)]
struct Keys<'a> {
    has_keys: bool,
    has_keys_active_last_week: bool,
    keys: Vec<Key<'a>>,
}

#[derive(Serialize)]
struct Key<'a> {
    name: &'a str,
    last_used_at: Option<Time>,
}

/// For admins, and for the member themselves.
pub(super) fn list(call: &Call, tx: &Tx) -> Result<Reply> {
    let InOrganization { id: organization, level } = call.place.in_organization()?;
    let user = target(call, tx)?;
    if level < Level::Admin && user != call.user()? {
        return Err(denied("Only admins see the keys of others."));
    }
    let keys: Vec<ApiKey> =
        api_keys::reaching(tx, organization, user)?.into_iter().map(|(_, key)| key).collect();
    let week_ago = call.now.plus_seconds(-WEEK_SECONDS);
    Reply::ok(&Keys {
        has_keys: !keys.is_empty(),
        has_keys_active_last_week: keys.iter().any(|key| key.last_used_at > Some(week_ago)),
        keys: keys.iter().map(|key| Key { name: &key.label, last_used_at: key.last_used_at }).collect(),
    })
}

pub(super) const GITHUB_LOGIN: &[FieldInfo] = &[Field::text("github_login", 39).nullable().read_only()];

/// There is no social log-in here, so nobody has one.
#[derive(Serialize)]
struct GithubLogin {
    github_login: Option<()>,
}

pub(super) fn github_login(call: &Call, tx: &Tx) -> Result<Reply> {
    target(call, tx)?;
    Reply::ok(&GithubLogin { github_login: None })
}
