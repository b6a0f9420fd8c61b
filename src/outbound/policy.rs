//! Which addresses this server may connect to on somebody's behalf: those of the public internet, and what
//! the operator lists.
//!
//! Invariant: an address is judged after its name is resolved, and the connection is made to that very address,
//! so that neither an odd spelling nor a name that changes in between leads elsewhere.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net};

/// What may be connected to besides public addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressPolicy {
    allowed: Vec<Allowed>,
}

/// One item of the operator's list.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Allowed {
    what: What,
    /// `None`: every port.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Any,
    Network(IpNet),
    /// A host name as it is written, whatever it resolves to.
    Name(String),
    /// Every name below this one.
    NamesBelow(String),
}

/// No connection may be opened to this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    host: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} is not an address that this server may connect to; the operator can allow it with ORGD_OUTBOUND_ALLOW",
            self.host
        )
    }
}

impl std::error::Error for Refused {}

/// Why a host has no address to connect to.
#[derive(Debug)]
pub(super) enum NoAddress {
    Refused(Refused),
    Unknown(std::io::Error),
}

impl AddressPolicy {
    /// Parses a list with commas: networks (`10.0.0.0/8`), addresses, host names, `*.example.com` for all names
    /// below one, each with `:port` where only that port is meant, or `any`.
    ///
    /// # Errors
    /// The first item that is none of these.
    pub fn parse(list: &str) -> Result<AddressPolicy, String> {
        let items = list.split(',').map(str::trim).filter(|item| !item.is_empty());
        let allowed = items.map(Allowed::parse).collect::<Result<_, _>>()?;
        Ok(AddressPolicy { allowed })
    }

    /// The same, with the addresses of this machine itself.
    #[must_use]
    pub fn with_loopback(mut self) -> AddressPolicy {
        let v4 = IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8));
        let loopback = [v4, IpAddr::V6(Ipv6Addr::LOCALHOST).into()];
        self.allowed.extend(loopback.map(|network| Allowed { what: What::Network(network), port: None }));
        self
    }

    /// The same, with a host that one of the operator's own settings names.
    pub(super) fn with_host(&self, host: &str) -> AddressPolicy {
        let mut wider = self.clone();
        let bare = bare(host);
        let what = match bare.parse::<IpAddr>() {
            Ok(address) => What::Network(address.into()),
            Err(_) => What::Name(bare),
        };
        wider.allowed.push(Allowed { what, port: None });
        wider
    }

    /// The addresses of a host that may be connected to.
    pub(super) async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, NoAddress> {
        let found = tokio::net::lookup_host((bare(host), port)).await.map_err(NoAddress::Unknown)?;
        self.choose(host, found).map_err(NoAddress::Refused)
    }

    /// The addresses, out of all that a host has, that may be connected to.
    fn choose(
        &self,
        host: &str,
        found: impl Iterator<Item = SocketAddr>,
    ) -> Result<Vec<SocketAddr>, Refused> {
        let may = |at: &SocketAddr| self.lists_name(host, at.port()) || self.allows(at.ip(), at.port());
        let allowed: Vec<SocketAddr> = found.filter(may).collect();
        if allowed.is_empty() { Err(Refused { host: host.to_owned() }) } else { Ok(allowed) }
    }

    /// Judges a host that a proxy will resolve: all that can be seen of it here is how it is written.
    pub(super) fn judge_unresolved(&self, host: &str, port: u16) -> Result<(), Refused> {
        let name = bare(host);
        let address = match name.parse::<IpAddr>() {
            Ok(address) => Some(address),
            Err(_) if name == "localhost" || name.ends_with(".localhost") => Some(Ipv4Addr::LOCALHOST.into()),
            Err(_) => None,
        };
        match address {
            Some(address) if !self.lists_name(host, port) && !self.allows(address, port) => {
                Err(Refused { host: host.to_owned() })
            }
            _ => Ok(()),
        }
    }

    fn allows(&self, address: IpAddr, port: u16) -> bool {
        let address = address.to_canonical();
        let is_listed = |item: &Allowed| match &item.what {
            What::Any => true,
            What::Network(network) => {
                network.contains(&address)
                    || embedded(address).is_some_and(|inner| network.contains(&IpAddr::from(inner)))
            }
            What::Name(_) | What::NamesBelow(_) => false,
        };
        is_public(address) || self.allowed.iter().any(|item| item.is_at(port) && is_listed(item))
    }

    fn lists_name(&self, host: &str, port: u16) -> bool {
        let host = bare(host);
        let is_listed = |item: &Allowed| match &item.what {
            What::Name(name) => *name == host,
            What::NamesBelow(name) => {
                host.strip_suffix(name.as_str()).is_some_and(|rest| rest.ends_with('.'))
            }
            What::Any | What::Network(_) => false,
        };
        self.allowed.iter().any(|item| item.is_at(port) && is_listed(item))
    }
}

impl Allowed {
    fn parse(item: &str) -> Result<Allowed, String> {
        let wrong = || {
            format!(
                "'{item}' is neither a network (10.0.0.0/8), an address, a host name (*.example.com for all below it), one of these with :port, nor any"
            )
        };
        if let Some(what) = What::parse(item) {
            return Ok(Allowed { what, port: None });
        }
        let (front, port) = item.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        let what = What::parse(front).ok_or_else(wrong)?;
        Ok(Allowed { what, port: Some(port) })
    }

    fn is_at(&self, port: u16) -> bool {
        self.port.is_none_or(|own| own == port)
    }
}

impl What {
    fn parse(text: &str) -> Option<What> {
        if text.eq_ignore_ascii_case("any") {
            return Some(What::Any);
        }
        let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = inner.parse::<IpAddr>() {
            return Some(What::Network(address.to_canonical().into()));
        }
        if let Ok(network) = inner.parse::<IpNet>() {
            return Some(What::Network(network.trunc()));
        }
        let (name, below) = text.strip_prefix("*.").map_or((text, false), |rest| (rest, true));
        let name = bare(name);
        // What consists of digits and dots alone is an address that is misspelt.
        let is_name = name.split('.').all(is_label) && name.bytes().any(|byte| byte.is_ascii_alphabetic());
        let what = if below { What::NamesBelow(name) } else { What::Name(name) };
        is_name.then_some(what)
    }
}

fn is_label(label: &str) -> bool {
    !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// A host without the brackets of an address, the final dot of a name, and capitals.
fn bare(host: &str) -> String {
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    inner.strip_suffix('.').unwrap_or(inner).to_ascii_lowercase()
}

/// Whether the address is one of the public internet.
pub(super) fn is_public(address: IpAddr) -> bool {
    if let Some(inner) = embedded(address) {
        return is_public_v4(inner);
    }
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match address.segments() {
            // Protocol assignments, Teredo among them, and documentation.
            [0x2001, 0..=0x01ff | 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => false,
            [first, ..] => (0x2000..=0x3fff).contains(&first),
        },
    }
}

/// IPv4-embedded IPv6: mapped, translated (NAT64) and 6to4.
fn embedded(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(address) = address else { return None };
    let of = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => Some(of(high, low)),
        _ => None,
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let special = match address.octets() {
        // This network, shared address space, protocol assignments, relays of 6to4, benchmarks, reserved.
        [0, ..]
        | [100, 64..=127, ..]
        | [192, 0, 0, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [240..=255, ..] => true,
        _ => false,
    };
    !(special
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast())
}

#[cfg(test)]
mod tests {
    use super::*;

    const INNER: [&str; 29] = [
        "127.0.0.1",
        "127.255.0.9",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.0.8",
        "192.88.99.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
        "::",
        "::1",
        "fe80::1",
        "fd00::1",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "2001::1",
        "3fff::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::7f00:1",
        "2002:7f00:1::",
        "::7f00:1",
    ];

    fn at(address: &str) -> SocketAddr {
        SocketAddr::new(address.parse().unwrap(), 80)
    }

    fn list(text: &str) -> AddressPolicy {
        AddressPolicy::parse(text).unwrap()
    }

    #[test]
    fn only_addresses_of_the_public_internet_are_public() {
        for public in [
            "1.1.1.1",
            "140.82.121.4",
            "100.63.0.1",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "192.88.98.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:200::1",
            "3ffe::1",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "2002:101:101::",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for inner in INNER {
            assert!(!is_public(inner.parse().unwrap()), "{inner}");
        }
    }

    #[test]
    fn of_a_name_with_several_addresses_only_those_that_may_be_connected_to_are_left() {
        let policy = AddressPolicy::default();
        for inner in INNER {
            let mixed = [at(inner), at("1.1.1.1"), at(inner)];
            assert_eq!(
                policy.choose("mixed.example.com", mixed.into_iter()),
                Ok(vec![at("1.1.1.1")]),
                "{inner}"
            );
            let refused = policy.choose("inner.example.com", [at(inner)].into_iter()).unwrap_err();
            assert!(refused.to_string().starts_with("inner.example.com is not an address"), "{refused}");
        }
        assert!(policy.choose("nothing.example.com", std::iter::empty()).is_err());
    }

    #[tokio::test]
    async fn what_is_resolved_is_judged_however_it_is_written() {
        for inner in
            ["127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "[::1]", "localhost", "LOCALHOST.", "0"]
        {
            let judged = AddressPolicy::default().resolve(inner, 80).await;
            assert!(matches!(judged, Err(NoAddress::Refused(_))), "{inner}: {judged:?}");
            let judged = AddressPolicy::default().with_loopback().resolve(inner, 80).await;
            assert_eq!(judged.is_ok(), inner != "0", "{inner}: {judged:?}");
            assert!(list("any").resolve(inner, 80).await.is_ok(), "{inner}");
        }
    }

    #[test]
    fn what_a_proxy_resolves_is_judged_as_far_as_it_can_be_seen() {
        let policy = AddressPolicy::default();
        for inner in INNER {
            assert!(policy.judge_unresolved(inner, 80).is_err(), "{inner}");
        }
        for local in ["localhost", "LocalHost.", "a.localhost", "[::1]"] {
            assert!(policy.judge_unresolved(local, 80).is_err(), "{local}");
            assert!(list("any").judge_unresolved(local, 80).is_ok(), "{local}");
        }
        assert!(list("*.localhost").judge_unresolved("a.localhost", 80).is_ok());
        for public in ["github.com", "1.1.1.1", "[2606:4700::1111]", "db.internal"] {
            assert!(policy.judge_unresolved(public, 443).is_ok(), "{public}");
        }
    }

    #[test]
    fn the_list_allows_what_it_names_and_nothing_beside_it() {
        for (listed, host, address, port, wanted) in [
            ("10.0.0.0/8", "x", "10.255.0.1", 80, true),
            ("10.0.0.0/8", "x", "192.168.0.1", 80, false),
            ("10.0.0.0/8", "x", "::ffff:10.0.0.1", 80, true),
            ("10.0.0.0/8", "x", "64:ff9b::a00:1", 80, true),
            ("10.1.2.3/8", "x", "10.9.9.9", 80, true),
            ("10.0.0.0/8:5432", "x", "10.0.0.1", 5432, true),
            ("10.0.0.0/8:5432", "x", "10.0.0.1", 5433, false),
            ("10.0.0.5", "x", "10.0.0.5", 80, true),
            ("10.0.0.5", "x", "10.0.0.6", 80, false),
            ("10.0.0.5:80", "x", "10.0.0.5", 80, true),
            ("10.0.0.5:80", "x", "10.0.0.5", 81, false),
            ("fd00::/8", "x", "fd12::1", 80, true),
            ("[fd00::/8]:443", "x", "fd12::1", 443, true),
            ("[fd00::/8]:443", "x", "fd12::1", 80, false),
            ("::1", "x", "::1", 80, true),
            ("[::1]:80", "x", "::1", 80, true),
            ("[::1]:80", "x", "::1", 443, false),
            ("db.internal", "db.internal", "10.0.0.1", 80, true),
            ("db.internal", "DB.Internal.", "10.0.0.1", 80, true),
            ("db.internal", "a.db.internal", "10.0.0.1", 80, false),
            ("db.internal", "xdb.internal", "10.0.0.1", 80, false),
            ("db.internal:5432", "db.internal", "10.0.0.1", 5432, true),
            ("db.internal:5432", "db.internal", "10.0.0.1", 80, false),
            ("*.internal", "db.internal", "10.0.0.1", 80, true),
            ("*.internal", "a.db.internal", "10.0.0.1", 80, true),
            ("*.internal", "internal", "10.0.0.1", 80, false),
            ("*.internal", "dbinternal", "10.0.0.1", 80, false),
            ("any", "x", "169.254.169.254", 80, true),
            ("any:5432", "x", "10.0.0.1", 80, false),
            ("10.0.0.0/8, db.internal", "db.internal", "127.0.0.1", 80, true),
            ("", "x", "10.0.0.1", 80, false),
        ] {
            let found = SocketAddr::new(address.parse().unwrap(), port);
            let judged = list(listed).choose(host, [found].into_iter());
            assert_eq!(judged.is_ok(), wanted, "{listed}: {host} {found}");
        }
        for odd in
            ["10.0.0.0/33", "10.0.0", "256.1.1.1", "a b", "http://x/", "x:70000", "*", "-:x", "x:", "[::1"]
        {
            assert!(
                AddressPolicy::parse(odd).unwrap_err().starts_with(&format!("'{odd}' is neither")),
                "{odd}"
            );
        }
    }

    #[test]
    fn a_host_of_the_operators_own_settings_is_one_host() {
        let policy = AddressPolicy::default();
        for (named, inner) in [("mirror.internal", "10.0.0.1"), ("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")]
        {
            let wider = policy.with_host(named);
            assert!(wider.choose(named, [at(inner)].into_iter()).is_ok(), "{named}");
            assert!(wider.choose("other.internal", [at("10.0.0.9")].into_iter()).is_err(), "{named}");
            assert!(policy.choose(named, [at(inner)].into_iter()).is_err(), "{named}");
        }
    }
}
