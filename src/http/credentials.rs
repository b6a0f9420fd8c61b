//! Finding what a request shows of its caller: a key in the header, the body or the query, then the
//! session's cookie. The first one found is the only one tried.

use hyper::HeaderMap;
use hyper::header::COOKIE;

use crate::api::Call;
use crate::auth::{Credential, Csrf, FoundIn, cookies, hash};
use crate::error::Result;

/// The field of a body, or of the query, that may hold a key.
pub(super) const KEY_FIELD: &str = "personal_api_key";

/// The hash of the key in the `Authorization` header. Another scheme counts as no key.
pub(super) fn header_key(authorization: Option<&str>) -> Option<[u8; 32]> {
    let rest = authorization?.strip_prefix("Bearer")?;
    let token = rest.trim();
    let is_key = rest.starts_with(char::is_whitespace) && token.len() >= 2;
    is_key.then(|| hash(token))
}

/// Every other credential; needs the body.
pub(super) fn other(headers: &HeaderMap, call: &Call) -> Result<Credential> {
    let field = |name: &str| call.body.field(name).ok().flatten().and_then(serde_json::Value::as_str);
    if let Some(token) = field(KEY_FIELD).filter(|token| !token.is_empty()) {
        return Ok(Credential::Key { hash: hash(token), found_in: FoundIn::Body });
    }
    if let Some((_, token)) = call.query.iter().find(|(name, token)| name == KEY_FIELD && !token.is_empty()) {
        return Ok(Credential::Key { hash: hash(token), found_in: FoundIn::Query });
    }
    session(headers, call, FormOf::Program)
}

/// Where the token against forgery is to stand.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum FormOf {
    /// In a cookie, and repeated in a header or the form.
    Program,
    /// In the form.
    Page,
}

/// The session of the cookie, if there is one.
pub(super) fn session(headers: &HeaderMap, call: &Call, form: FormOf) -> Result<Credential> {
    let field = |name: &str| call.body.field(name).ok().flatten().and_then(serde_json::Value::as_str);
    // A neighbour below the same domain can give a browser the plain cookie, but not the other one.
    let is_browser = headers.contains_key("sec-fetch-site");
    let shown = cookies::believed(call, is_browser).iter().filter_map(|name| cookie(headers, name));
    let Some(token) = shown.into_iter().find(|token| !token.is_empty()) else {
        return Ok(Credential::Nothing);
    };
    let header = headers.get("x-csrftoken").and_then(|value| value.to_str().ok());
    let csrf = Csrf {
        has_cookie: form == FormOf::Page || cookie(headers, cookies::CSRF).is_some(),
        repeated: header.or_else(|| field("csrfmiddlewaretoken")).map(str::to_owned),
        right: cookies::csrf_token(&token)?,
    };
    Ok(Credential::Session { hash: hash(&token), csrf })
}

/// A cookie's value may stand in quotes.
fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(value)
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    // What is no text spoils its own pair only: a neighbour below the same domain can set odd ones.
    let lines = headers.get_all(COOKIE).iter();
    let pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs
        .filter_map(|pair| std::str::from_utf8(pair).ok()?.split_once('='))
        .find(|(found, _)| found.trim() == name)
        .map(|(_, value)| unquoted(value.trim()).to_owned())
}
