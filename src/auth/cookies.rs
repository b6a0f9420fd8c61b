//! The cookies of a session, and the CSRF token that belongs to it.

use cookie::time::Duration;
use cookie::{Cookie, SameSite};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::api::{Call, Reply};
use crate::config::SESSION_SECONDS;
use crate::error::{Error, Result};

/// The names under which a session's token is looked for, the one that no other site can set first.
pub const SESSION: [&str; 2] = ["__Host-sessionid", "sessionid"];
pub const CSRF: &str = "posthog_csrftoken";

/// The CSRF token of the session with this token: whoever does not know the one cannot make up the other.
///
/// # Errors
/// None that can be met: every key fits.
pub fn csrf_token(session_token: &str) -> Result<String> {
    const BYTES: usize = 16;
    let mut signer = Hmac::<Sha256>::new_from_slice(session_token.as_bytes())
        .map_err(|cause| Error::failed("a session's token is unusable", cause.to_string()))?;
    signer.update(b"csrf");
    Ok(format!("{:.*x}", 2 * BYTES, signer.finalize().into_bytes()))
}

/// Whether people reach the site by TLS.
fn is_https(call: &Call) -> bool {
    call.origin.starts_with("https:")
}

/// The names under which a session's token counts, the surer one first.
pub fn believed(call: &Call, is_browser: bool) -> &'static [&'static str] {
    if is_browser && is_https(call) { &SESSION[..1] } else { &SESSION }
}

/// Which cookies a log-in sets, and a log-out clears. Browsers take a name that begins with `__Host-` from
/// the site itself only, by TLS; the plain name stays for clients that know no other.
fn session_names(call: &Call) -> &'static [&'static str] {
    if is_https(call) { &SESSION } else { &SESSION[1..] }
}

/// Adds the cookies of a new session.
///
/// # Errors
/// As [`csrf_token`].
pub fn set(call: &Call, token: &str, reply: Reply) -> Result<Reply> {
    Ok(with_all(call, SESSION_SECONDS, token, &csrf_token(token)?, reply))
}

/// The value of a cookie in a `Cookie` header.
pub fn value<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    let pairs = header.split(';').filter_map(|pair| pair.trim().split_once('='));
    pairs.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// Adds a cookie of a page, which opens nothing; without a value, takes it away.
pub fn note(call: &Call, name: &'static str, value: &str, seconds: i64, reply: Reply) -> Reply {
    let cookie = Cookie::build((name, value.to_owned()))
        .path("/")
        .max_age(Duration::seconds(seconds))
        .same_site(SameSite::Lax)
        .secure(is_https(call))
        .http_only(true);
    reply.with("set-cookie", cookie.to_string())
}

/// Takes the cookies of a session away.
pub fn clear(call: &Call, reply: Reply) -> Reply {
    with_all(call, 0, "", "", reply)
}

/// Invariant: a cookie is cleared with the attributes that it was set with, or browsers keep it.
fn with_all(call: &Call, seconds: i64, token: &str, csrf: &str, reply: Reply) -> Reply {
    let cookie = |name: &'static str, value: &str, is_http_only: bool| {
        Cookie::build((name, value.to_owned()))
            .path("/")
            .max_age(Duration::seconds(seconds))
            .same_site(SameSite::Lax)
            .secure(is_https(call))
            .http_only(is_http_only)
            .to_string()
    };
    let names = session_names(call).iter();
    let reply = names.fold(reply, |reply, name| reply.with("set-cookie", cookie(name, token, true)));
    reply.with("set-cookie", cookie(CSRF, csrf, false))
}
