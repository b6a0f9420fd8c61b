//! Which site a browser's request comes from. Browsers say it and pages cannot change what they say; clients
//! that are no browsers say nothing, and are not judged.

use std::net::IpAddr;

use crate::api::Call;
use crate::error::{Result, denied};

/// Refuses a request that a page of another site makes with the caller's cookies, or to get some.
///
/// # Errors
/// 403 where `Sec-Fetch-Site` or, in browsers that do not send it, `Origin` tells of another site. A
/// neighbour below the same domain is another site as well.
pub fn judge(call: &Call, origin: Option<&str>, fetch_site: Option<&str>) -> Result<()> {
    let is_own = match (fetch_site, origin) {
        // What the browser says of itself beats names, which a proxy in front may have changed.
        (Some(site), _) => ["same-origin", "none"].contains(&site),
        (None, Some(origin)) => is_own(call, origin),
        (None, None) => true,
    };
    if is_own {
        return Ok(());
    }
    let shown: String = origin.unwrap_or("another site").chars().take(200).collect();
    Err(denied(format!("CSRF Failed: Origin checking failed - {shown} does not match any trusted origins.")))
}

fn is_own(call: &Call, origin: &str) -> bool {
    let ours = [Some(call.origin.as_str()), call.config.site_url.as_deref()];
    ours.into_iter().flatten().any(|ours| is_same(ours, origin))
}

/// Whether an origin is that of our address. Where we are reached by plain HTTP, something in front may end
/// TLS; a page that came by TLS is no less ours.
fn is_same(ours: &str, origin: &str) -> bool {
    let (Some((our_scheme, our_rest)), Some((scheme, host))) =
        (ours.split_once("://"), origin.split_once("://"))
    else {
        return false;
    };
    let our_host = our_rest.split('/').next().unwrap_or_default();
    let port = if scheme == "https" { ":443" } else { ":80" };
    let bare = |host: &str| host.strip_suffix(port).unwrap_or(host).to_ascii_lowercase();
    bare(our_host) == bare(host) && (our_scheme == scheme || (our_scheme == "http" && scheme == "https"))
}

/// Whether the host of a request, with or without its port, is a name of this machine that no name server
/// gives out: a page whose name was made to lead here does not have one.
pub fn is_loopback_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let is_local_name = |name: &str| name == "localhost" || name.ends_with(".localhost");
    match name.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => is_local_name(&name.to_ascii_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_ours_by_scheme_host_and_port() {
        for (ours, origin, is_ours) in [
            ("http://a.example:8010", "http://a.example:8010", true),
            ("http://a.example", "http://A.example:80", true),
            ("http://a.example", "https://a.example", true),
            ("https://a.example", "https://a.example", true),
            ("https://a.example/", "https://a.example", true),
            ("https://a.example:443", "https://a.example", true),
            ("https://a.example", "http://a.example", false),
            ("http://a.example:8010", "http://a.example:8011", false),
            ("http://a.example", "http://b.a.example", false),
            ("http://a.example", "http://a.example.evil.example", false),
            ("http://a.example", "null", false),
            ("http://a.example", "", false),
        ] {
            assert_eq!(is_same(ours, origin), is_ours, "{origin} at {ours}");
        }
    }

    #[test]
    fn only_loopback_names_are_those_of_this_machine() {
        for host in
            ["localhost", "LOCALHOST:8010", "a.localhost", "127.0.0.1:1", "127.9.9.9", "[::1]:80", "[::1]"]
        {
            assert!(is_loopback_name(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1:80",
            "[::2]",
            "notlocalhost",
        ] {
            assert!(!is_loopback_name(host), "{host}");
        }
    }
}
