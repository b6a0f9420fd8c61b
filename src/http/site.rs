//! Which site a browser's request comes from. Browsers say it and pages cannot change what they say; clients
//! that are no browsers say nothing, and are not checked.

use crate::api::Call;
use crate::error::{Result, denied};

/// What a request is sent from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    /// A program, or the script of a page.
    Program,
    /// The form of a page: a browser, which says where the form stood.
    Page,
}

/// Refuses a request that a page of another site makes with the caller's cookies, or to get some.
///
/// # Errors
/// 403 where `Sec-Fetch-Site` or, in browsers that do not send it, `Origin` names another site; for a page also where
/// neither is there. A neighbour below the same domain is another site as well.
pub(super) fn check(call: &Call, origin: Option<&str>, fetch_site: Option<&str>, asks: Asks) -> Result<()> {
    let is_own = match (fetch_site, origin) {
        // What the browser says of itself beats names, which a proxy in front may have changed.
        (Some("same-origin"), _) => true,
        (Some(site), _) => site == "none" && asks == Asks::Program,
        (None, Some(origin)) => is_same(&call.origin, origin),
        (None, None) => asks == Asks::Program,
    };
    if is_own {
        return Ok(());
    }
    let shown: String = origin.unwrap_or("another site").chars().take(200).collect();
    Err(denied(format!("CSRF Failed: Origin checking failed - {shown} does not match any trusted origins.")))
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
}
