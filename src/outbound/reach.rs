//! Which addresses a request may lead to.

use std::net::{IpAddr, Ipv4Addr};

use url::{Host, Url};

/// Where a request, and every redirect that it follows, may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Public addresses only: nobody may use this server to look into the network around it.
    Public,
    /// Anywhere: the operator's own setting points there.
    Anywhere,
}

impl Reach {
    /// Whether a connection to this address may be opened.
    pub(super) fn allows(self, address: IpAddr) -> bool {
        self == Reach::Anywhere || is_public(address)
    }

    /// Whether the host as it is written may be asked. Names are judged by what they resolve to; but a
    /// proxy resolves them elsewhere, so the names of this machine itself are refused here.
    pub(super) fn allows_host(self, url: &Url) -> bool {
        match url.host() {
            Some(Host::Ipv4(address)) => self.allows(address.into()),
            Some(Host::Ipv6(address)) => self.allows(address.into()),
            Some(Host::Domain(name)) => {
                let name = name.trim_end_matches('.');
                self == Reach::Anywhere || !(name == "localhost" || name.ends_with(".localhost"))
            }
            None => false,
        }
    }
}

/// Whether the address is one of the public internet.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match address.segments() {
            // IPv4 in another dress: mapped, translated (NAT64) and 6to4.
            [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                is_public_v4(embedded(high, low))
            }
            [0x2002, high, low, ..] => is_public_v4(embedded(high, low)),
            // Protocol assignments, Teredo among them, and documentation.
            [0x2001, 0..=0x01ff | 0x0db8, ..] => false,
            [first, ..] => (0x2000..=0x3fff).contains(&first),
        },
    }
}

fn embedded(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let special = match address.octets() {
        // This network, shared address space, protocol assignments, benchmarks, reserved.
        [0, ..] | [100, 64..=127, ..] | [192, 0, 0, _] | [198, 18 | 19, ..] | [240..=255, ..] => true,
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

    #[test]
    fn only_addresses_of_the_public_internet_are_public() {
        for public in [
            "1.1.1.1",
            "140.82.121.4",
            "100.63.0.1",
            "172.32.0.1",
            "2606:4700::1111",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for inner in [
            "127.0.0.1",
            "127.255.0.9",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
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
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "::7f00:1",
        ] {
            assert!(!is_public(inner.parse().unwrap()), "{inner}");
        }
    }

    #[test]
    fn an_address_is_judged_however_it_is_written() {
        let allowed = |text: &str| Reach::Public.allows_host(&Url::parse(text).unwrap());
        for inner in [
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f.0.0.1/",
            "http://0177.0.0.1/",
            "http://[::1]/",
            "http://localhost/",
            "http://LOCALHOST./",
            "http://a.localhost/",
            "http://[::ffff:7f00:1]/",
        ] {
            assert!(!allowed(inner), "{inner}");
            assert!(Reach::Anywhere.allows_host(&Url::parse(inner).unwrap()), "{inner}");
        }
        assert!(allowed("https://github.com/") && allowed("https://1.1.1.1/"));
    }
}
