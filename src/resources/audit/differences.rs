//! Which fields of two states of a thing differ, and what of them may be shown.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::scope;
use crate::error::{Error, Result};

/// Fields whose changes say nothing.
const NEVER: &[&str] = &["id", "uuid", "created_at", "updated_at", "created_by", "last_updated_at"];

/// Fields whose changes say nothing, in one scope.
const NEVER_IN: &[(&str, &[&str])] = &[
    (scope::KEY, &["value", "mask_value", "last_used_at", "last_rolled_at"]),
    (scope::TEAM, &["secret_api_token", "secret_api_token_backup"]),
    (scope::BATCH_EXPORT, &["last_paused_at", "latest_runs", "runs", "backfills"]),
];

/// Fields of which only the change is shown, not what they hold.
const MASKED: &[(&str, &[&str])] = &[
    (scope::DOMAIN, &["verification_challenge", "saml_x509_cert", "scim_bearer_token"]),
    (scope::USER, &["email", "password", "pending_email"]),
];

/// How changes of a field are called.
const SHOWN: &[(&str, &str, &str)] = &[
    (scope::ORGANIZATION, "name", "organization name"),
    (scope::ORGANIZATION, "enforce_2fa", "two-factor authentication requirement"),
    (scope::ORGANIZATION, "members_can_invite", "member invitation permissions"),
    (scope::ORGANIZATION, "members_can_create_projects", "member project creation permissions"),
    (scope::ORGANIZATION, "members_can_use_personal_api_keys", "personal API key permissions"),
    (scope::ORGANIZATION, "allow_publicly_shared_resources", "public sharing permissions"),
    (scope::ORGANIZATION, "is_member_join_email_enabled", "member join email notifications"),
    (scope::ORGANIZATION, "is_ai_data_processing_approved", "third-party AI services"),
    (scope::BATCH_EXPORT, "paused", "enabled"),
    (scope::DOMAIN, "jit_provisioning_enabled", "just-in-time provisioning"),
    (scope::DOMAIN, "sso_enforcement", "SSO enforcement"),
    (scope::DOMAIN, "verified_at", "domain verification"),
];

/// What stands in place of a masked value.
const MASK: &str = "masked";

fn lists(table: &[(&str, &[&str])], scope: &str, field: &str) -> bool {
    table.iter().any(|(of, fields)| *of == scope && fields.contains(&field))
}

/// One field's change.
pub fn field_change(scope: &str, field: &str, before: Value, after: Value, action: &str) -> Value {
    let shown = SHOWN.iter().find(|(of, name, _)| *of == scope && *name == field);
    let field = shown.map_or(field, |(.., shown)| shown);
    json!({"type": scope, "action": action, "field": field, "before": before, "after": after})
}

/// The change of a secret, of which is shown only whether there was one before, and is one now.
pub fn secret_change(scope: &str, field: &str, [before, after]: [bool; 2]) -> Value {
    let shown = |is_there: bool| if is_there { Value::from(MASK) } else { Value::Null };
    field_change(scope, field, shown(before), shown(after), action(!before, !after))
}

/// Leaves out what a field held and holds: that it changed is all that is said of a secret.
pub fn hide_values(change: &mut Value) {
    change["before"] = Value::Null;
    change["after"] = Value::Null;
}

fn action(was_empty: bool, is_empty: bool) -> &'static str {
    match (was_empty, is_empty) {
        (true, _) => "created",
        (_, true) => "deleted",
        _ => "changed",
    }
}

/// The fields in which two states of a thing differ, as clients see them. What is empty in both is no change.
///
/// # Errors
/// 500 where a state is no object.
pub fn differences(scope: &str, before: &impl Serialize, after: &impl Serialize) -> Result<Vec<Value>> {
    let (before, after) = (fields(before)?, fields(after)?);
    let mut changes = Vec::new();
    for (name, new) in &after {
        let old = before.get(name).unwrap_or(&Value::Null);
        let is_same = old == new || (is_empty(old) && is_empty(new));
        if is_same || NEVER.contains(&name.as_str()) || lists(NEVER_IN, scope, name) {
            continue;
        }
        let shown = |value: &Value| match is_empty(value) || !lists(MASKED, scope, name) {
            true => value.clone(),
            false => MASK.into(),
        };
        changes.push(field_change(scope, name, shown(old), shown(new), action(is_empty(old), is_empty(new))));
    }
    Ok(changes)
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value == "" || value.as_array().is_some_and(Vec::is_empty)
}

fn fields(state: &impl Serialize) -> Result<Map<String, Value>> {
    match serde_json::to_value(state) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(Error::internal("only objects have fields that differ")),
        Err(cause) => Err(Error::failed("a state has no JSON", cause)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_stamps_are_no_change() {
        let before = json!({"email": "a@example.com", "updated_at": 1, "first_name": "", "tags": null});
        let after = json!({"email": "b@example.com", "updated_at": 2, "first_name": "B", "tags": []});
        let changes = differences(scope::USER, &before, &after).unwrap();
        let expected = [
            field_change(scope::USER, "email", MASK.into(), MASK.into(), "changed"),
            field_change(scope::USER, "first_name", "".into(), "B".into(), "created"),
        ];
        assert_eq!(changes, expected);
    }
}
