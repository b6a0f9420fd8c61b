//! Who calls, under which scheme and host: the connection says it, and what the operator's proxies add to it.
//!
//! Only a header that such a proxy sent counts, and of a list in it only the entry that the outermost of them
//! wrote: what stands before that entry came from the caller.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};

use hyper::header::{FORWARDED, HeaderName};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Version};

use super::headers::{RequestHeaders, text};
use crate::api::way::{Source, Way};
use crate::config::{Config, Networks};
use crate::error::{Error, Result};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What a request came in by.
#[derive(Clone, Copy)]
pub(super) struct Connection {
    /// The other end.
    pub(super) peer: IpAddr,
    pub(super) door: Door,
}

/// What a listener does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    Http,
    Https,
    /// Sends everybody on to HTTPS on this port.
    Redirect {
        port: u16,
    },
}

/// Who sends a request, as far as that is believed.
pub(super) struct Client {
    /// The caller's address.
    pub(super) address: IpAddr,
    /// Scheme, host and port under which people reach the server: links begin with it.
    pub(super) origin: String,
    pub(super) why: Way,
    /// Where it came in.
    pub(super) door: Door,
}

impl Client {
    pub(super) fn of(
        headers: &RequestHeaders<'_>,
        head: &Parts,
        connection: Connection,
        config: &Config,
    ) -> Client {
        let Connection { peer: connection, door } = connection;
        let mut why = Way::direct(connection);
        why.is_trusted = config.trust_proxy.hold(connection);
        why.has_proxy_headers = headers.is_forwarded();
        let (mut address, mut scheme) = (connection, door.scheme());
        let mut host = Cow::Borrowed(requested_host(headers, head));
        if why.has_proxy_headers && why.is_trusted {
            let proxy = ProxyHeaders::of(headers, &head.headers);
            (address, why.proxies) = walk(&proxy.addresses, connection, &config.trust_proxy);
            if address != connection {
                why.address_from = proxy.address_from;
            }
            let hops = why.proxies.len();
            if let Some(their_scheme) = outermost(&proxy.schemes, hops).and_then(|text| scheme_of(&text)) {
                (scheme, why.scheme_from) = (their_scheme, proxy.scheme_from);
            }
            if let Some(their_host) = outermost(&proxy.hosts, hops).filter(|host| is_host(host)) {
                (host, why.host_from) = (Cow::Owned(their_host), proxy.host_from);
            }
        } else if why.has_proxy_headers {
            warn_once(connection);
        }
        let origin = match &config.site_url {
            Some(site) => {
                (why.scheme_from, why.host_from) = (Source::SiteUrl, Source::SiteUrl);
                site.trim_end_matches('/').to_owned()
            }
            None => [scheme, "://", if host.is_empty() { "localhost" } else { &host }].concat(),
        };
        Client { address, origin, why, door }
    }
}

impl Door {
    pub(super) fn scheme(self) -> &'static str {
        if self == Door::Https { "https" } else { "http" }
    }
}

/// Says, once, that a proxy seems to be there that the settings don't name.
fn warn_once(connection: IpAddr) {
    static WARNED: AtomicBool = AtomicBool::new(false);
    if !WARNED.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            %connection,
            "a request came with the headers of a proxy, and they are ignored: --trust-proxy does not name its address"
        );
    }
}

/// Says, once, that callers may be naming themselves.
fn warn_of_two_families() {
    static WARNED: AtomicBool = AtomicBool::new(false);
    if !WARNED.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            "a request came through the proxy with X-Forwarded-For and Forwarded; the first is client: let the \
             proxy remove the one that it does not write"
        );
    }
}

/// A request names one host, in plain letters.
///
/// # Errors
/// 400 otherwise.
pub(super) fn check_host(headers: &RequestHeaders<'_>, head: &Parts) -> Result<()> {
    let refuse = |reason: &'static str| Err(Error::Unreadable(reason.into()));
    if headers.hosts > 1 {
        return refuse("The request has more than one Host header.");
    }
    if headers.hosts == 0 && head.version == Version::HTTP_11 {
        return refuse("The request has no Host header.");
    }
    let header = match headers.host {
        Some(value) => text(Some(value)).filter(|host| host.is_empty() || is_host(host)),
        None => Some(""),
    };
    let Some(header) = header else { return refuse("The Host header is not a host.") };
    match head.uri.authority() {
        Some(named) if !is_host(named.as_str()) => refuse("The address of the request has no good host."),
        Some(named) if headers.host.is_some() && !named.as_str().eq_ignore_ascii_case(header) => {
            refuse("The Host header and the address of the request name different hosts.")
        }
        _ => Ok(()),
    }
}

/// Whether something else than a program on this machine may have sent the request.
pub(super) fn is_forwarded(headers: &RequestHeaders<'_>, head: &Parts) -> bool {
    // nginx speaks HTTP/1.0 to its upstream and adds no header unless it is made to.
    let is_old = head.version < Version::HTTP_11;
    headers.is_forwarded() || is_old || !is_this_machine(requested_host(headers, head))
}

/// The host that the request itself names; empty where it names none.
pub(super) fn requested_host<'a>(headers: &RequestHeaders<'a>, head: &'a Parts) -> &'a str {
    let of_address = || head.uri.authority().map(hyper::http::uri::Authority::as_str);
    text(headers.host).or_else(of_address).filter(|host| is_host(host)).unwrap_or_default()
}

/// A name or an address, of IPv6 in brackets, with or without a port.
fn is_host(text: &str) -> bool {
    const BYTES_MAX: usize = 255;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let is_name =
        |name: &str| name.bytes().all(plain) && name.bytes().any(|byte| byte.is_ascii_alphanumeric());
    let is_port = |port: &str| {
        port.is_empty() || (port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok())
    };
    let rest = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, rest)) if address.parse::<Ipv6Addr>().is_ok() => rest,
            _ => return false,
        },
        None => {
            let end = text.find(':').unwrap_or(text.len());
            if !is_name(&text[..end]) {
                return false;
            }
            &text[end..]
        }
    };
    text.len() <= BYTES_MAX && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port))
}

/// Whether the host is a name of this machine that no DNS server can lead here: a page of another site, or a
/// proxy in front, has another one.
fn is_this_machine(host: &str) -> bool {
    const LOCAL: &str = "localhost";
    let name = without_port(host);
    let front = name.len().saturating_sub(LOCAL.len());
    let is_local_name = name.get(front..).is_some_and(|end| end.eq_ignore_ascii_case(LOCAL))
        && (front == 0 || name[..front].ends_with('.'));
    is_local_name || address_of(name).is_some_and(|address| address.is_loopback() || address.is_unspecified())
}

/// What the headers of a proxy say, each list from the left to the right.
struct ProxyHeaders {
    /// `None` is an entry that is no address.
    addresses: Vec<Option<IpAddr>>,
    schemes: Vec<String>,
    hosts: Vec<String>,
    address_from: Source,
    scheme_from: Source,
    host_from: Source,
}

impl ProxyHeaders {
    /// `Forwarded` counts where `X-Forwarded-For` does not come with it: proxies write one of the two families, and
    /// let what a caller sends of the other one pass.
    fn of(headers: &RequestHeaders<'_>, all: &HeaderMap) -> ProxyHeaders {
        let has_forwarded = all.contains_key(&FORWARDED);
        if headers.forwarded_for.is_none() && has_forwarded {
            return ProxyHeaders::of_forwarded(all);
        }
        if has_forwarded {
            warn_of_two_families();
        }
        let addresses = list(all, &X_FORWARDED_FOR);
        ProxyHeaders {
            addresses: addresses.iter().map(|entry| address_of(entry)).collect(),
            schemes: list(all, &X_FORWARDED_PROTO),
            hosts: list(all, &X_FORWARDED_HOST),
            address_from: Source::XForwardedFor,
            scheme_from: Source::XForwardedProto,
            host_from: Source::XForwardedHost,
        }
    }

    fn of_forwarded(headers: &HeaderMap) -> ProxyHeaders {
        let text = joined(headers, &FORWARDED);
        // What a caller wrote may spoil the rest, but not what the nearest proxy has added after it.
        let last = || elements(text.rsplit(',').next()?);
        let elements = elements(&text).or_else(last).unwrap_or_default();
        let column = |name: &str| -> Vec<String> {
            let value = |pairs: &Pairs| {
                let pair = pairs.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
                pair.map(|(_, value)| value.clone()).unwrap_or_default()
            };
            elements.iter().map(value).collect()
        };
        ProxyHeaders {
            addresses: column("for").iter().map(|entry| address_of(entry)).collect(),
            schemes: column("proto"),
            hosts: column("host"),
            address_from: Source::Forwarded,
            scheme_from: Source::Forwarded,
            host_from: Source::Forwarded,
        }
    }
}

/// All lines of a header as one list. What is no text spoils its own entry only.
fn joined(headers: &HeaderMap, name: &HeaderName) -> String {
    let lines = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    lines.collect::<Vec<_>>().join(",")
}

fn list(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let joined = joined(headers, name);
    joined.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
}

/// From the right, over the operator's proxies, to the first address that is not one of them. An entry that is
/// no address ends the walk at the proxy that wrote it.
fn walk(entries: &[Option<IpAddr>], connection: IpAddr, proxies: &Networks) -> (IpAddr, Vec<IpAddr>) {
    let (mut address, mut passed) = (connection, Vec::new());
    for entry in entries.iter().rev() {
        let Some(entry) = entry else { break };
        address = *entry;
        if !proxies.hold(address) {
            break;
        }
        passed.push(address);
    }
    (address, passed)
}

/// The entry that the outermost of the operator's proxies wrote: one for each of them, counted from the right.
/// A shorter list was written by those that overwrite what they get.
fn outermost(entries: &[String], hops: usize) -> Option<String> {
    entries.get(entries.len().saturating_sub(hops + 1)).cloned()
}

fn scheme_of(text: &str) -> Option<&'static str> {
    ["http", "https"].into_iter().find(|scheme| text.eq_ignore_ascii_case(scheme))
}

/// A host without its port.
pub(super) fn without_port(text: &str) -> &str {
    if let Some(rest) = text.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    match text.split_once(':') {
        // More than one colon is an address of IPv6 without brackets.
        Some((host, port)) if !port.contains(':') => host,
        _ => text,
    }
}

/// An address as proxies write it: of IPv6 with or without brackets, with or without a port.
fn address_of(entry: &str) -> Option<IpAddr> {
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = match bare {
        Some(bare) => bare.parse::<Ipv6Addr>().map(IpAddr::V6),
        None => entry.parse().or_else(|_| entry.parse::<SocketAddr>().map(|socket| socket.ip())),
    };
    address.ok().map(|address| address.to_canonical())
}

type Pairs = Vec<(String, String)>;

/// The elements of a `Forwarded` header (RFC 7239): pairs between semicolons, elements between commas, values
/// plain or quoted. `None` where it is anything else.
fn elements(text: &str) -> Option<Vec<Pairs>> {
    let (mut elements, mut pairs, mut rest) = (Vec::new(), Pairs::new(), text.trim());
    while !rest.is_empty() {
        if let Some(next) = rest.strip_prefix([',', ';']) {
            if rest.starts_with(',') && !pairs.is_empty() {
                elements.push(std::mem::take(&mut pairs));
            }
            rest = next.trim_start();
            continue;
        }
        let (name, after) = rest.split_once('=')?;
        let (value, after) = value_of(after)?;
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return None;
        }
        pairs.push((name.to_owned(), value));
        rest = after.trim_start();
        if !rest.is_empty() && !rest.starts_with([',', ';']) {
            return None;
        }
    }
    if !pairs.is_empty() {
        elements.push(pairs);
    }
    Some(elements)
}

/// A value at the beginning of the text, and what follows it.
fn value_of(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ';', ' ', '\t', '"']).unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].to_owned(), &text[end..]));
    };
    let (mut value, mut escaped) = (String::new(), false);
    for (place, letter) in quoted.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => {
                escaped = true;
                continue;
            }
            '"' => return Some((value, &quoted[place + 1..])),
            _ => {}
        }
        value.push(letter);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_proxies_write_them() {
        for (entry, address) in [
            ("1.2.3.4", "1.2.3.4"),
            ("1.2.3.4:5678", "1.2.3.4"),
            ("::1", "::1"),
            ("[::1]", "::1"),
            ("[::1]:99", "::1"),
            ("2001:db8::17", "2001:db8::17"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
            ("[::ffff:1.2.3.4]:80", "1.2.3.4"),
        ] {
            assert_eq!(address_of(entry), Some(address.parse().expect("an address")), "{entry}");
        }
        let odd = [
            "",
            "unknown",
            "_hidden",
            "1.2.3",
            "1.2.3.4:",
            "1.2.3.4:x",
            "1.2.3.4:99999",
            "[1.2.3.4]",
            "[::1",
            "::1]",
        ];
        for entry in odd.into_iter().chain(["01.2.3.4", "1.2.3.4 ", "host.example", "[::1]:", "\"1.2.3.4\""])
        {
            assert_eq!(address_of(entry), None, "{entry}");
        }
    }

    #[test]
    fn hosts_look_like_hosts() {
        for host in [
            "a",
            "a.example",
            "A-b_c.example.",
            "a.example:8443",
            "a.example:",
            "127.0.0.1:1",
            "[::1]",
            "[2001:db8::1]:65535",
            "xn--bcher-kva.example",
            "9",
        ] {
            assert!(is_host(host), "{host}");
        }
        let long = "a".repeat(256);
        for text in [
            "",
            ":",
            ":80",
            "..",
            "-",
            "a:b",
            "a:b:c",
            "::1",
            "a.example:65536",
            "a.example:-1",
            "a.example:+1",
            "[::1",
            "::1]",
            "[]",
            "[1.2.3.4]",
            "[a.example]",
            "[::1]80",
            "a b",
            "a/b",
            "a@b",
            "a,b",
            "evil\"><",
            "bücher.example",
            &long,
        ] {
            assert!(!is_host(text), "{text}");
        }
    }

    #[test]
    fn names_of_this_machine_differ_from_others() {
        for host in [
            "localhost",
            "LocalHost:8010",
            "a.localhost",
            "127.0.0.1",
            "127.9.9.9:80",
            "[::1]:80",
            "[::1]",
            "0.0.0.0:1",
        ] {
            assert!(is_this_machine(host), "{host}");
        }
        let others = [
            "",
            "x",
            "notlocalhost",
            "localhost.example.com",
            "127.0.0.1.example.com",
            "128.0.0.1",
            "[::2]:80",
        ];
        for host in others.into_iter().chain(["203.0.113.7", "localhos", "localhost."]) {
            assert!(!is_this_machine(host), "{host}");
        }
    }

    #[test]
    fn forwarded_is_read_as_its_rfc_has_it() {
        let pairs = |pairs: &[(&str, &str)]| -> Pairs {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let two =
            vec![pairs(&[("for", "192.0.2.43")]), pairs(&[("for", "[2001:db8::17]:47"), ("proto", "https")])];
        for text in [
            r#"for=192.0.2.43, for="[2001:db8::17]:47";proto=https"#,
            r#"for=192.0.2.43,for="[2001:db8::17]:47" ; proto=https,"#,
            r#", ;for="192.0.2.\43" ,, for="[2001:db8::17]:47";;proto="https""#,
        ] {
            assert_eq!(elements(text), Some(two.clone()), "{text}");
        }
        assert_eq!(elements(r#"host="a,b;c\"d""#), Some(vec![pairs(&[("host", "a,b;c\"d")])]));
        assert_eq!(elements(""), Some(Vec::new()));
        for odd in [
            "for",
            "for=",
            "=x",
            "for=a b",
            r#"for="a"#,
            r#"for="a"b"#,
            "fo r=a",
            r#"for=a"b""#,
            "\u{fffd}=a",
        ] {
            assert_eq!(elements(odd), None, "{odd}");
        }
    }
}
