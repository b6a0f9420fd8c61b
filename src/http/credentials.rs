//! Finding what a request shows of its caller: a key in the header, the body or the query, then the
//! session's cookie. The first one found is the only one tried.

use hyper::HeaderMap;
use hyper::header::COOKIE;

use crate::api::Body;
use crate::auth::{Credential, Csrf, FoundIn, cookies, hash};
use crate::error::Result;

const KEY_FIELD: &str = "personal_api_key";

/// The key in the `Authorization` header. Another scheme counts as no key.
pub(super) fn header_key(authorization: Option<&str>) -> Option<Credential> {
    let rest = authorization?.strip_prefix("Bearer")?;
    let token = rest.trim();
    let is_key = rest.starts_with(char::is_whitespace) && token.len() >= 2;
    is_key.then(|| Credential::Key { token: token.into(), found_in: FoundIn::Header })
}

/// Every other credential; needs the body.
pub(super) fn other(headers: &HeaderMap, body: &Body, query: &[(String, String)]) -> Result<Credential> {
    let value = body.value().ok();
    let field = |name: &str| value.and_then(|value| value.get(name)?.as_str());
    if let Some(token) = field(KEY_FIELD).filter(|token| !token.is_empty()) {
        return Ok(Credential::Key { token: token.into(), found_in: FoundIn::Body });
    }
    if let Some((_, token)) = query.iter().find(|(name, token)| name == KEY_FIELD && !token.is_empty()) {
        return Ok(Credential::Key { token: token.clone(), found_in: FoundIn::Query });
    }
    let shown = cookies::SESSION.iter().filter_map(|name| cookie(headers, name));
    let Some(token) = shown.into_iter().find(|token| !token.is_empty()) else {
        return Ok(Credential::Nothing);
    };
    let header = headers.get("x-csrftoken").and_then(|value| value.to_str().ok());
    let csrf = Csrf {
        has_cookie: cookie(headers, cookies::CSRF).is_some(),
        repeated: header.or_else(|| field("csrfmiddlewaretoken")).map(str::to_owned),
        right: cookies::csrf_token(&token)?,
    };
    Ok(Credential::Session { hash: hash(&token), csrf })
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let pairs = headers.get_all(COOKIE).iter().filter_map(|header| header.to_str().ok());
    pairs
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value.trim_matches('"').to_owned())
}
