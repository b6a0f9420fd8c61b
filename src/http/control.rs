//! Who may control a development or test server. Its paths need no key, so a page of another site must not reach them,
//! neither by a form, nor under a name of its own that leads to this machine.

use std::net::{Ipv4Addr, Ipv6Addr};

use hyper::Method;
use hyper::header::{HeaderName, HeaderValue, ORIGIN};

use super::body::RequestBody;
use super::forwarded::{Door, requested_host, without_port};
use super::head::RequestHead;
use super::headers::text;
use crate::api::reply::JSON;
use crate::error::{Error, Result, denied};
use crate::test_server::TestServer;

/// Says what the server is, on every answer of a development or test server.
pub(super) const ORGD_MODE: HeaderName = HeaderName::from_static("orgd-mode");
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// The value of `Orgd-Mode`.
pub(super) fn mode(server: &TestServer) -> HeaderValue {
    HeaderValue::from_static(server.mode.name())
}

/// Judges where a request to a control path comes from.
///
/// # Errors
/// 403 where it names a host that others may lead here, comes from a page of another origin, or came by way of a proxy;
/// 415 where its body is no JSON. `is_form`: it is the form of a page, which says that it comes from ours.
pub(super) fn judge(
    server: &TestServer,
    door: Door,
    request: &RequestHead<'_>,
    body: &RequestBody,
    is_form: bool,
) -> Result<()> {
    let host = requested_host(&request.headers, request.parts);
    if !is_ours(host, &server.control_hosts) {
        return Err(denied(
            "Control paths are reached under an IP address, localhost, a name without a dot, host.docker.internal, or a \
             --control-host NAME.",
        ));
    }
    // Whoever made a tunnel to the server meant its API.
    if request.headers.is_forwarded() {
        return Err(denied("Control paths are reached directly: this request came through a proxy."));
    }
    let own = Origin { scheme: door.scheme(), host };
    let headers = &request.parts.headers;
    if !headers.get_all(ORIGIN).iter().all(|origin| text(Some(origin)).is_some_and(|origin| own.is(origin))) {
        return Err(denied("Control paths cannot be called by pages of another origin."));
    }
    let is_own_site = |site: &HeaderValue| site == "same-origin" || site == "none";
    if !headers.get_all(SEC_FETCH_SITE).iter().all(is_own_site) {
        return Err(denied("Control paths cannot be called by pages of another site."));
    }
    if is_form { check_form(request) } else { check_media(request, body) }
}

/// The form of a page: its browser says that it stood on a page of ours.
fn check_form(request: &RequestHead<'_>) -> Result<()> {
    let headers = &request.parts.headers;
    let is_said = match headers.get(SEC_FETCH_SITE) {
        Some(site) => site == "same-origin",
        None => headers.contains_key(ORIGIN),
    };
    if !is_said {
        return Err(denied(
            "CSRF Failed: the form of a page comes from that page; programs use the paths below /_orgd/.",
        ));
    }
    match text(request.headers.content_type) {
        Some(media) if bare(media).eq_ignore_ascii_case("application/x-www-form-urlencoded") => Ok(()),
        media => Err(Error::UnsupportedMedia(media.unwrap_or_default().to_owned())),
    }
}

/// A body is JSON and says so: what a form can send without being asked never is.
fn check_media(request: &RequestHead<'_>, body: &RequestBody) -> Result<()> {
    let is_without = [Method::GET, Method::HEAD, Method::OPTIONS].contains(&request.parts.method);
    match text(request.headers.content_type) {
        None if request.headers.content_type.is_none() && !body.is_waiting() => Ok(()),
        Some(_) if is_without && !body.is_waiting() => Ok(()),
        Some(media) if is_json(media) => Ok(()),
        media => Err(Error::UnsupportedMedia(media.unwrap_or_default().to_owned())),
    }
}

fn is_json(media: &str) -> bool {
    bare(media).eq_ignore_ascii_case(JSON)
}

/// Without parameters.
fn bare(media: &str) -> &str {
    media.split(';').next().unwrap_or_default().trim()
}

/// Whether no name server of others can lead a browser here under this host.
fn is_ours(host: &str, more: &[String]) -> bool {
    let name = without_port(host);
    if name.is_empty() {
        return false;
    }
    let is_address = name.parse::<Ipv4Addr>().is_ok() || name.parse::<Ipv6Addr>().is_ok();
    let known = ["localhost", "host.docker.internal"];
    is_address
        || !name.contains('.')
        || known.iter().any(|known| name.eq_ignore_ascii_case(known))
        || more.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// The origin of a request's own address.
struct Origin<'a> {
    scheme: &'a str,
    host: &'a str,
}

impl Origin<'_> {
    /// Whether this is it, with or without the port that its scheme has.
    fn is(&self, origin: &str) -> bool {
        let Some((scheme, host)) = origin.split_once("://") else { return false };
        let port = if self.scheme == "https" { ":443" } else { ":80" };
        let bare = |host: &str| host.strip_suffix(port).unwrap_or(host).to_ascii_lowercase();
        scheme == self.scheme && bare(host) == bare(self.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_ours_where_no_stranger_can_give_it_an_address() {
        let more = ["orgd.internal.example".to_owned()];
        for host in [
            "127.0.0.1",
            "127.0.0.1:8010",
            "192.168.1.7:80",
            "[::1]",
            "[::1]:8010",
            "localhost",
            "LocalHost:8010",
            "orgd",
            "orgd:8010",
            "host.docker.internal:8010",
            "orgd.internal.example:8010",
        ] {
            assert!(is_ours(host, &more), "{host}");
        }
        for host in [
            "",
            ":8010",
            "127.0.0.1.evil.example",
            "127.0.0.1.",
            "evil.example",
            "localhost.evil.example",
            "a.localhost",
            "localhost.",
            "orgd.",
            "host.docker.internal.evil.example",
            "xhost.docker.internal",
            "x.orgd.internal.example",
            "1.2.3",
            "0177.0.0.1",
        ] {
            assert!(!is_ours(host, &more), "{host}");
        }
    }

    #[test]
    fn an_origin_is_the_own_one_to_the_letter() {
        let own = Origin { scheme: "http", host: "127.0.0.1:8010" };
        assert!(own.is("http://127.0.0.1:8010"));
        for other in [
            "",
            "null",
            "http://127.0.0.1",
            "http://127.0.0.1:8011",
            "https://127.0.0.1:8010",
            "http://localhost:8010",
            "http://127.0.0.1:8010.evil.example",
            "http://evil.example",
        ] {
            assert!(!own.is(other), "{other}");
        }
        let plain = Origin { scheme: "http", host: "Orgd" };
        assert!(plain.is("http://orgd:80") && plain.is("http://orgd") && !plain.is("https://orgd"));
    }

    #[test]
    fn json_says_so() {
        for media in ["application/json", "Application/JSON; charset=utf-8"] {
            assert!(is_json(media), "{media}");
        }
        for media in [
            "",
            "text/plain",
            "application/jsonp",
            "text/plain; application/json",
            "application/x-www-form-urlencoded",
        ] {
            assert!(!is_json(media), "{media}");
        }
    }
}
