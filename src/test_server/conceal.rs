//! What of a request may be kept: everything but what opens something.

use serde_json::Value;

use crate::api::FieldInfo;
use crate::api::call::parse_uuid;
use crate::api::fields::FieldKind;

/// What stands in place of a secret.
pub const CONCEALED: &str = "…";

/// A name with one of these in it is that of a secret, whatever route it is sent to.
const PARTS: [&str; 14] = [
    "access_key",
    "accesskey",
    "api_key",
    "apikey",
    "api-key",
    "authorization",
    "cookie",
    "credential",
    "passphrase",
    "passwd",
    "password",
    "private_key",
    "secret",
    "token",
];
/// And so is each of these.
const WHOLE: [&str; 7] = ["code", "setup_code", "recovery_code", "backup_code", "otp", "signature", "sig"];
/// What keys and secret tokens begin with.
const PREFIXES: [&str; 3] = ["phx_", "phs_", "pha_"];
/// Longer words without a hyphen are taken for tokens where they are part of a path.
const WORD_LETTERS_MAX: usize = 31;

fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    PARTS.iter().any(|part| name.contains(part)) || WHOLE.contains(&name.as_str())
}

/// Takes the secrets out of a body: the fields that the route's list calls so, and those whose names say it.
pub fn body(value: &mut Value, fields: &[FieldInfo]) {
    match value {
        Value::Object(pairs) => {
            for (name, value) in pairs {
                let field = fields.iter().find(|field| field.name == name);
                match field.map(|field| field.kind) {
                    Some(FieldKind::Secret { .. }) => hide(value),
                    _ if is_secret(name) => hide(value),
                    Some(FieldKind::Object(inner) | FieldKind::Objects(inner)) => body(value, inner),
                    _ => body(value, &[]),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| body(item, fields)),
        Value::String(content) => {
            if let Some(plain) = without_secrets(content) {
                *content = plain;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether there was a secret is no secret.
fn hide(value: &mut Value) {
    let is_nothing = value.is_null() || value.as_str() == Some("");
    if !is_nothing {
        *value = CONCEALED.into();
    }
}

/// The text without what opens something; `None` where it may stay as it is.
fn without_secrets(content: &str) -> Option<String> {
    if PREFIXES.iter().any(|prefix| content.contains(prefix)) {
        return Some(CONCEALED.to_owned());
    }
    let is_address = content.contains("://") || content.starts_with('/');
    if !is_address {
        return None;
    }
    let plain = address(content);
    (plain != content).then_some(plain)
}

/// The text; nothing but the mark where it holds a key.
pub fn text(content: &str) -> String {
    without_secrets(content).unwrap_or_else(|| content.to_owned())
}

/// An address without its user, its tokens and the secret part of its query.
fn address(content: &str) -> String {
    let (front, query) = match content.split_once('?') {
        Some((front, rest)) => (front, Some(rest)),
        None => (content, None),
    };
    let (scheme, rest) = front.split_once("://").map_or(("", front), |(scheme, rest)| (scheme, rest));
    let host_end = rest.find('/').unwrap_or(rest.len());
    let (host, way) = rest.split_at(host_end);
    let host = match host.rsplit_once('@') {
        Some((_, host)) => format!("{CONCEALED}@{host}"),
        None => host.to_owned(),
    };
    let colon = if scheme.is_empty() && !front.starts_with("://") { "" } else { "://" };
    let query = query.map_or_else(String::new, |rest| format!("?{}", self::query(rest)));
    format!("{scheme}{colon}{host}{}{query}", path(way))
}

/// A query without the values of what is secret.
pub fn query(raw: &str) -> String {
    let (raw, fragment) = match raw.split_once('#') {
        Some((raw, _)) => (raw, "#…"),
        None => (raw, ""),
    };
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        // Pixels send whole events in it, and with them the token.
        let hidden =
            is_secret(&decode(name)) || name == "data" || PREFIXES.iter().any(|p| decode(value).contains(p));
        if hidden && !value.is_empty() { format!("{name}={CONCEALED}") } else { pair.to_owned() }
    };
    let pairs: Vec<String> = raw.split('&').map(pair).collect();
    format!("{}{fragment}", pairs.join("&"))
}

/// A path that no route has, without what may be a token.
pub fn path(raw: &str) -> String {
    raw.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// A segment of a path; the mark where it may be a token.
pub fn segment(raw: &str) -> &str {
    let is_word = raw.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.~+=%".contains(&byte));
    let is_long = raw.len() > WORD_LETTERS_MAX && is_word && parse_uuid(raw).is_none();
    let has_digit_and_letter =
        raw.bytes().any(|byte| byte.is_ascii_digit()) && raw.bytes().any(|byte| byte.is_ascii_alphabetic());
    let has_prefix = PREFIXES.iter().any(|prefix| raw.contains(prefix));
    if has_prefix || (is_long && has_digit_and_letter) { CONCEALED } else { raw }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::Field;

    #[test]
    fn secrets_are_known_by_their_field_their_name_or_their_beginning() {
        const INNER: &[FieldInfo] = &[Field::secret("word", 10).info(), Field::text("name", 10).info()];
        const FIELDS: &[FieldInfo] = &[
            Field::secret("pass", 10).info(),
            FieldInfo::new("inner", FieldKind::Object(INNER)),
            FieldInfo::new("many", FieldKind::Objects(INNER)),
        ];
        let mut sent = json!({
            "pass": "a", "word": "stays", "inner": {"word": "b", "name": "n"}, "many": [{"word": "c"}],
            "config": {"aws_secret_access_key": "d", "AccessKey": "d", "host": "h", "Authorization": {"a": "d"}},
            "password": "", "token": null, "personal_api_key": ["d"], "note": "my key is phx_d", "level": 8,
            "url": "https://user:d@host/a?private_token=d&ref=main", "next": "/signup/d0123456789abcdef0123456789abcdef",
            "id": "/x/0192a3b4-0000-7000-8000-000000000000/",
        });
        body(&mut sent, FIELDS);
        let wanted = json!({
            "pass": "…", "word": "stays", "inner": {"word": "…", "name": "n"}, "many": [{"word": "…"}],
            "config": {"aws_secret_access_key": "…", "AccessKey": "…", "host": "h", "Authorization": "…"},
            "password": "", "token": null, "personal_api_key": "…", "note": "…", "level": 8,
            "url": "https://…@host/a?private_token=…&ref=main", "next": "/signup/…",
            "id": "/x/0192a3b4-0000-7000-8000-000000000000/",
        });
        assert_eq!(sent, wanted);
    }

    #[test]
    fn of_queries_the_names_stay() {
        for (raw, wanted) in [
            ("", ""),
            ("limit=10&offset=2", "limit=10&offset=2"),
            ("personal_api_key=phx_1&a=b", "personal_api_key=…&a=b"),
            ("%74oken=x", "%74oken=…"),
            ("q=%70hx_1", "q=…"),
            ("token=", "token="),
            ("data=eyJhIjoxfQ", "data=…"),
        ] {
            assert_eq!(query(raw), wanted, "{raw}");
        }
    }
}
