//! Answers of the listener that only sends people on to HTTPS.

use bytes::Bytes;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};

use super::forwarded::{check_host, requested_host, without_port};
use super::headers::RequestHeaders;
use super::respond::HttpResponse;
use crate::config::Config;

/// The address of the same thing over HTTPS, for those who only read. What others have sent may be a secret, which
/// following would hide: they are refused.
pub(super) fn answer(parts: &Parts, config: &Config, port: u16) -> HttpResponse {
    let headers = RequestHeaders::of(&parts.headers);
    let is_good = check_host(&headers, parts).is_ok();
    let target = is_good.then(|| target(&headers, parts, config, port)).flatten();
    let may_follow = matches!(parts.method, Method::GET | Method::HEAD);
    let (status, text) = match &target {
        None => (StatusCode::BAD_REQUEST, "The request names no host.\n"),
        Some(_) if may_follow => {
            (StatusCode::PERMANENT_REDIRECT, "This is at the same address over HTTPS.\n")
        }
        Some(_) => (StatusCode::FORBIDDEN, "Use HTTPS: what was sent here was not encrypted.\n"),
    };
    let mut answer = Response::new(Bytes::from_static(text.as_bytes()).into());
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    if let Some(target) = target.filter(|_| may_follow)
        && let Ok(target) = HeaderValue::from_str(&target)
    {
        headers.insert(LOCATION, target);
    }
    answer
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
