//! Secrets that somebody has typed into the form of an export, kept while the form is shown again after a test or a
//! refusal: in the page they are sealed, for this person and this form, for an hour.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::console::visit::Visit;
use crate::error::Result;
use crate::resources::batch_exports::destination::Kind;
use crate::vault::Sealed;

/// The hidden field that holds them.
pub(super) const SEALED: &str = "typed_secrets";
const SECONDS: i64 = 60 * 60;

/// What was typed of the settings that are never shown, now or before the form was shown again.
pub(super) fn secrets(visit: &Visit, kind: Kind) -> Map<String, Value> {
    let mut all = opened(visit).unwrap_or_default();
    for field in kind.fields() {
        let text = visit.typed(field.name);
        if kind.hides(field.name) && !text.is_empty() {
            all.insert(field.name.to_owned(), text.into());
        }
    }
    all
}

fn opened(visit: &Visit) -> Option<Map<String, Value>> {
    let bytes = URL_SAFE_NO_PAD.decode(visit.typed(SEALED)).ok()?;
    let sealed: Sealed = serde_json::from_slice(&bytes).ok()?;
    let text = visit.vault.open(&purpose(visit).ok()?, &sealed)?;
    let Ok(Value::Object(mut kept)) = serde_json::from_str(&text) else { return None };
    let typed_at = kept.remove("typed_at")?.as_i64()?;
    let is_fresh = typed_at.saturating_add(SECONDS) > visit.now.unix_seconds();
    match kept.remove("secrets") {
        Some(Value::Object(secrets)) if is_fresh => Some(secrets),
        _ => None,
    }
}

/// The value of the hidden field.
///
/// # Errors
/// 503 where the server has lost its key.
pub(super) fn sealed(visit: &Visit, secrets: &Map<String, Value>) -> Result<String> {
    let text = json!({"typed_at": visit.now.unix_seconds(), "secrets": secrets}).to_string();
    let sealed = visit.vault.seal(&visit.ids, &purpose(visit)?, &text)?;
    Ok(URL_SAFE_NO_PAD.encode(serde_json::to_vec(&sealed)?))
}

fn purpose(visit: &Visit) -> Result<Vec<u8>> {
    Ok(format!("typed secrets {} {}", visit.user()?, visit.path).into_bytes())
}
