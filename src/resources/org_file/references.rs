//! What stands for a secret in a file: the name of a variable, or a path. The client follows them; a server is sent the
//! secret itself, or the reference where there is nothing behind it.

use std::fs;

use serde_json::{Map, Value};

use super::shape::is_reference_value;

/// Longest file that is taken for a secret, in bytes.
const BYTES_MAX: u64 = 64 * 1024;

/// Puts what references stand for in their places. A variable that is not set stays a reference.
///
/// # Errors
/// A file cannot be read, or holds too much.
pub fn resolve(value: &mut Value) -> Result<(), String> {
    if is_reference_value(value) {
        if let Some(secret) = secret_behind(value)? {
            *value = Value::Object(Map::from_iter([("secret".to_owned(), secret.into())]));
        }
        return Ok(());
    }
    match value {
        Value::Array(items) => items.iter_mut().try_for_each(resolve),
        Value::Object(pairs) => pairs.iter_mut().try_for_each(|(_, value)| resolve(value)),
        _ => Ok(()),
    }
}

fn secret_behind(value: &Value) -> Result<Option<String>, String> {
    let pair = value.as_object().and_then(|pairs| pairs.iter().next());
    let Some((name, Value::String(text))) = pair else { return Ok(None) };
    match name.as_str() {
        "env" => Ok(std::env::var(text).ok().filter(|value| !value.is_empty())),
        "file" => {
            let cannot = |cause: std::io::Error| format!("the secret in {text} cannot be read: {cause}");
            if fs::metadata(text).map_err(cannot)?.len() > BYTES_MAX {
                return Err(format!("{text} is too large for a secret: {BYTES_MAX} bytes at most"));
            }
            let secret = fs::read_to_string(text).map_err(cannot)?;
            let secret = secret.strip_suffix('\n').unwrap_or(&secret);
            Ok(Some(secret.strip_suffix('\r').unwrap_or(secret).to_owned()))
        }
        _ => Ok(None),
    }
}

/// Whether a secret stands in the value that was resolved already: no file may say one so.
pub fn has_plain(value: &Value) -> bool {
    match value {
        Value::Object(pairs) => {
            (pairs.len() == 1
                && pairs.get("secret").is_some_and(Value::is_string)
                && is_reference_value(value))
                || pairs.values().any(has_plain)
        }
        Value::Array(items) => items.iter().any(has_plain),
        _ => false,
    }
}
