//! Answers of the listener that only sends people on to HTTPS.

use bytes::Bytes;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};

use super::forwarded::{check_host, requested_host, without_port};
use super::headers::RequestHeaders;
use super::respond::HttpResponse;
use crate::app::App;
use crate::config::Config;

/// Where an authority looks for its challenges.
const CHALLENGES: &str = "/.well-known/acme-challenge/";

/// The address of the same thing over HTTPS, for those who only read. What others have sent may be a secret, which
/// following would hide: they are refused.
pub(super) fn answer(parts: &Parts, app: &App, port: u16) -> HttpResponse {
    if let Some(answer) = challenge(parts, app) {
        return answer;
    }
    let headers = RequestHeaders::of(&parts.headers);
    let is_good = check_host(&headers, parts).is_ok();
    let target = is_good.then(|| target(&headers, parts, &app.config, port)).flatten();
    let may_follow = matches!(parts.method, Method::GET | Method::HEAD);
    let (status, text) = match &target {
        None => (StatusCode::BAD_REQUEST, "The request names no host.\n"),
        Some(_) if may_follow => {
            (StatusCode::PERMANENT_REDIRECT, "This is at the same address over HTTPS.\n")
        }
        Some(_) => (StatusCode::FORBIDDEN, "Use HTTPS: what was sent here was not encrypted.\n"),
    };
    let mut answer = plain(status, Bytes::from_static(text.as_bytes()));
    if let Some(target) = target.filter(|_| may_follow)
        && let Ok(target) = HeaderValue::from_str(&target)
    {
        answer.headers_mut().insert(LOCATION, target);
    }
    answer
}

fn plain(status: StatusCode, text: Bytes) -> HttpResponse {
    let mut answer = Response::new(text.into());
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// What the authority must find that is asked for a certificate; of challenges, nothing is sent on.
fn challenge(parts: &Parts, app: &App) -> Option<HttpResponse> {
    let certificates = app.certificates.get().filter(|certificates| certificates.is_of_authority())?;
    let token = parts.uri.path().strip_prefix(CHALLENGES)?;
    let is_read = matches!(parts.method, Method::GET | Method::HEAD);
    Some(match certificates.challenge(token).filter(|_| is_read) {
        Some(answer) => plain(StatusCode::OK, answer.into()),
        None => plain(StatusCode::NOT_FOUND, Bytes::from_static(b"There is no such challenge.\n")),
    })
}

fn target(headers: &RequestHeaders<'_>, parts: &Parts, config: &Config, port: u16) -> Option<String> {
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let path = if path.starts_with('/') { path } else { "/" };
    if let Some(site) = config.site_url.as_deref().filter(|site| site.starts_with("https:")) {
        return Some([site.trim_end_matches('/'), path].concat());
    }
    let host = requested_host(headers, parts);
    let name = without_port(host);
    if name.is_empty() {
        return None;
    }
    let name = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    Some(format!("https://{name}{port}{path}"))
}
