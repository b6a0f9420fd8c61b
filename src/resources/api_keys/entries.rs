//! What the audit logs say of keys: each organization reads of those that reach it, and nothing of what they reach
//! besides.

use serde_json::{Value, json};

use super::ApiKey;
use super::of_organization::{access_scope, reaches};
use crate::api::Ctx;
use crate::error::Result;
use crate::ids::OrganizationId;
use crate::resources::audit::{self, Change, scope};
use crate::resources::{members, users};
use crate::store::{Tx, WriteTx};

/// The key was made, deleted or rolled.
pub(super) fn whole(ctx: &Ctx, tx: &WriteTx, key: &ApiKey, activity: &'static str) -> Result<()> {
    for at in members::organizations_of(tx, key.user)? {
        if reaches(tx, at.id, key)? {
            let change = Change::of(scope::KEY, activity, &key.id).named(&key.label);
            audit::record(ctx, tx, at.id, change.with_context(context(tx, at.id, key)?))?;
        }
    }
    Ok(())
}

/// The key was changed: an entry for each organization that it reached or reaches.
pub(super) fn updated(ctx: &Ctx, tx: &WriteTx, before: &ApiKey, key: &ApiKey) -> Result<()> {
    for at in members::organizations_of(tx, key.user)? {
        if reaches(tx, at.id, before)? || reaches(tx, at.id, key)? {
            let changes =
                audit::differences(scope::KEY, &state(tx, at.id, before)?, &state(tx, at.id, key)?)?;
            let change = Change::updated(scope::KEY, &key.id, &key.label, changes);
            audit::record(ctx, tx, at.id, change.with_context(context(tx, at.id, key)?))?;
        }
    }
    Ok(())
}

/// An administrator has taken the organization out of what the key reaches.
pub(super) fn revoked(ctx: &Ctx, tx: &WriteTx, organization: OrganizationId, key: &ApiKey) -> Result<()> {
    let change = Change::of(scope::KEY, "revoked", &key.id).named(&key.label);
    audit::record(ctx, tx, organization, change.with_context(context(tx, organization, key)?))
}

/// The key as the organization sees it.
fn state(tx: &Tx, organization: OrganizationId, key: &ApiKey) -> Result<Value> {
    let access =
        if reaches(tx, organization, key)? { Some(access_scope(tx, organization, key)?) } else { None };
    Ok(json!({"label": key.label, "scopes": key.scopes, "access_scope": access}))
}

fn context(tx: &Tx, organization: OrganizationId, key: &ApiKey) -> Result<Value> {
    let owner = users::find(tx, key.user)?;
    Ok(json!({
        "user_id": key.user,
        "user_email": owner.email,
        "user_name": owner.full_name(),
        "mask_value": key.mask,
        "access_scope": access_scope(tx, organization, key)?,
    }))
}
