//! The address of a server, and what belongs to it.

use std::fmt;

use url::{Host as Name, Url};

/// A server, by its address. Keys travel to it over https only, or to this machine, unless plain http was allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// With or without a path that all paths begin with.
    base: Url,
}

impl Host {
    /// Reads an address.
    ///
    /// # Errors
    /// A sentence for whoever typed it: it is none, or a key would lie open on the way.
    pub fn parse(text: &str, allow_http: bool) -> Result<Host, String> {
        let odd = || format!("{text}: an address is wanted, such as https://orgd.example.com");
        let base = Url::parse(text).map_err(|_| odd())?;
        let is_here = match base.host().ok_or_else(odd)? {
            Name::Ipv4(ip) => ip.is_loopback(),
            Name::Ipv6(ip) => ip.is_loopback(),
            Name::Domain(name) => name == "localhost",
        };
        if !base.username().is_empty() || base.password().is_some() {
            // What stands there may be a secret.
            return Err("an address holds no name and no password".into());
        }
        if base.query().is_some() || base.fragment().is_some() || !["http", "https"].contains(&base.scheme())
        {
            return Err(odd());
        }
        if base.scheme() == "http" && !is_here && !allow_http {
            return Err(format!("{text}: keys and secrets travel over https only, but to this machine"));
        }
        Ok(Host { base })
    }

    /// The address of a path with its query.
    ///
    /// # Errors
    /// A sentence for whoever typed it: it leads away from this server.
    pub fn url(&self, target: &str) -> Result<Url, String> {
        let odd = || format!("{target}: a path is wanted, such as /api/organizations/@current/");
        if !target.starts_with('/') || target.starts_with("//") || target.contains(['#', '\\']) {
            return Err(odd());
        }
        let url = Url::parse(&format!("{self}{target}")).map_err(|_| odd())?;
        if self.owns(&url) { Ok(url) } else { Err(odd()) }
    }

    /// The path and the query of an address of this server, as `url` takes them; `None` for any other address.
    pub fn target_of(&self, url: &str) -> Option<String> {
        let url = Url::parse(url).ok().filter(|url| self.owns(url))?;
        let path = url.path().strip_prefix(self.base.path().trim_end_matches('/'))?;
        Some(url.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}")))
    }

    /// Whether both have the same scheme, name and port.
    pub fn is_of(&self, other: &Host) -> bool {
        self.base.origin() == other.base.origin()
    }

    fn owns(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
            && url.username().is_empty()
            && url.password().is_none()
            && url.path().starts_with(&format!("{}/", self.base.path().trim_end_matches('/')))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.base.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_travels_over_https_or_to_this_machine() {
        for (text, allow_http, is_good) in [
            ("https://orgd.example.com", false, true),
            ("https://orgd.example.com/prefix/", false, true),
            ("http://127.0.0.1:8010", false, true),
            ("http://[::1]:8010", false, true),
            ("http://localhost", false, true),
            ("http://orgd.example.com", false, false),
            ("http://orgd.example.com", true, true),
            ("http://127.0.0.1.evil.example", false, false),
            ("http://localhost.evil.example", false, false),
            ("http://10.0.0.1", false, false),
            ("127.0.0.1:8010", true, false),
            ("ftp://orgd.example.com", true, false),
            ("https://user:secret@orgd.example.com", false, false),
            ("https://orgd.example.com/?x=1", false, false),
            ("https://orgd.example.com/#x", false, false),
            ("", false, false),
        ] {
            let read = Host::parse(text, allow_http);
            assert_eq!(read.is_ok(), is_good, "{text}");
            assert!(!read.is_err_and(|sentence| sentence.contains("secret@")), "{text}");
        }
    }

    #[test]
    fn a_path_never_leads_to_another_host() {
        let host = Host::parse("https://orgd.example.com/under/", false).expect("an address");
        assert_eq!(
            host.url("/api/?a=b").expect("an address").as_str(),
            "https://orgd.example.com/under/api/?a=b"
        );
        for target in [
            "//evil.example/",
            "https://evil.example/",
            "@evil.example/",
            "/\\evil.example",
            "api",
            "",
            "/../x",
        ] {
            assert!(host.url(target).is_err(), "{target}");
        }
        assert_eq!(
            host.target_of("https://orgd.example.com/under/api/?offset=2").as_deref(),
            Some("/api/?offset=2")
        );
        for next in [
            "http://orgd.example.com/under/api/",
            "https://evil.example/under/api/",
            "https://orgd.example.com:444/under/api/",
            "https://orgd.example.com/api/",
            "https://orgd.example.com@evil.example/under/",
            "https://a:b@orgd.example.com/under/",
            "/under/api/",
        ] {
            assert_eq!(host.target_of(next), None, "{next}");
        }
    }
}
