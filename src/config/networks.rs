//! Networks that a setting lists, and whether an address is in one of them.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};

/// The network that a caller counts as: of IPv6 the first half of the address, for the other half costs nothing.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::from((address.to_bits() >> 64 << 64).to_be_bytes()),
        address => address,
    }
}

/// Loopback and the private ranges of IPv4 and IPv6.
const PRIVATE: [&str; 6] =
    ["127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"];

/// A list of networks; an empty one holds no address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// Whether the address is in one of the networks. An IPv4 address that is written as IPv6 is the same address.
    pub fn hold(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Whether there is no network in the list.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every address of IPv4 or of IPv6 is in one network of the list.
    pub fn hold_everything(&self) -> bool {
        self.0.iter().any(|network| network.prefix_len() == 0)
    }
}

impl FromStr for Networks {
    type Err = String;

    /// Reads networks (`10.0.0.0/8`) and addresses (`10.1.2.3`) between commas; `true` means loopback and the
    /// private ranges, `false` and an empty text mean none.
    fn from_str(text: &str) -> Result<Networks, String> {
        match text.trim().to_ascii_lowercase().as_str() {
            "" | "false" | "no" | "off" | "0" => return Ok(Networks::default()),
            "true" | "yes" | "on" | "1" => return PRIVATE.into_iter().map(network).collect(),
            _ => {}
        }
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(network).collect()
    }
}

impl FromIterator<IpNet> for Networks {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> Networks {
        Networks(networks.into_iter().collect())
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    let parsed = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let network = parsed.map_err(|_| {
        format!("`{text}` is neither `true`, `false` nor a network such as 10.0.0.0/8 or an address")
    })?;
    Ok(canonical(network).trunc())
}

/// A network of IPv4 that is written as IPv6 holds the addresses of IPv4.
fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(wide) = network else { return network };
    let mapped = wide.addr().to_ipv4_mapped().zip(wide.prefix_len().checked_sub(96));
    let narrow = mapped.and_then(|(address, length)| Ipv4Net::new(address, length).ok());
    narrow.map_or(network, IpNet::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(text: &str) -> Networks {
        text.parse().expect("networks")
    }

    fn hold(text: &str, address: &str) -> bool {
        networks(text).hold(address.parse().expect("an address"))
    }

    #[test]
    fn true_means_loopback_and_private_ranges_and_false_none() {
        let edges = [
            ("127.0.0.1", true),
            ("127.255.255.255", true),
            ("128.0.0.0", false),
            ("9.255.255.255", false),
            ("10.0.0.0", true),
            ("10.255.255.255", true),
            ("11.0.0.0", false),
            ("172.15.255.255", false),
            ("172.16.0.0", true),
            ("172.31.255.255", true),
            ("172.32.0.0", false),
            ("192.167.255.255", false),
            ("192.168.0.0", true),
            ("192.169.0.0", false),
            ("203.0.113.7", false),
            ("::1", true),
            ("::2", false),
            ("fbff::1", false),
            ("fc00::1", true),
            ("fdff::1", true),
            ("fe00::1", false),
            ("2001:db8::1", false),
            ("::ffff:10.0.0.1", true),
            ("::ffff:203.0.113.7", false),
        ];
        for (address, is_private) in edges {
            assert_eq!(hold("true", address), is_private, "{address}");
            assert!(!hold("false", address) && !hold("", address), "{address}");
        }
        for word in ["TRUE", "yes", "on", "1"] {
            assert_eq!(networks(word), networks("true"), "{word}");
        }
        for word in ["False", "no", "off", "0", " ", ","] {
            assert!(networks(word).is_empty(), "{word}");
        }
    }

    #[test]
    fn lists_hold_what_they_name_and_nothing_else() {
        for (list, address, holds) in [
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.4", false),
            ("10.1.2.3/8", "10.200.0.1", true),
            (" 192.0.2.0/24 , 2001:db8::/32 ,", "192.0.2.255", true),
            ("192.0.2.0/24,2001:db8::/32", "2001:db8:1::1", true),
            ("192.0.2.0/24,2001:db8::/32", "2001:db9::1", false),
            ("::ffff:192.0.2.0/120", "192.0.2.9", true),
            ("::ffff:192.0.2.1", "192.0.2.1", true),
            ("192.0.2.0/24", "::ffff:192.0.2.1", true),
            ("0.0.0.0/0", "203.0.113.7", true),
            ("0.0.0.0/0", "2001:db8::1", false),
        ] {
            assert_eq!(hold(list, address), holds, "{list} {address}");
        }
        for odd in
            ["10.0.0.0/33", "10.0.0", "proxy.example.com", "10.0.0.1:80", "treu", "10.0.0.0/8;11.0.0.0/8"]
        {
            assert!(odd.parse::<Networks>().is_err(), "{odd}");
        }
        assert!(networks("::/0").hold_everything() && !networks("true").hold_everything());
    }
}
