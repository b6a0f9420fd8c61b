//! A look at the DNS of a proxy record's name.

use std::net::{IpAddr, Ipv4Addr};

use crate::dns::Dns;

/// What a look at a name's DNS found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The CNAME is right.
    Leads,
    /// There is a CNAME to somewhere else.
    LeadsTo(String),
    /// There is no CNAME but an address of Cloudflare's.
    Cloudflare,
    /// There is no CNAME.
    Nothing,
    /// The DNS did not answer.
    Silence,
}

impl Finding {
    /// Looks at a name whose CNAME is to lead to `target`.
    pub async fn of(dns: &Dns, domain: &str, target: &str) -> Finding {
        match dns.cname(domain).await {
            Err(_) => Finding::Silence,
            Ok(Some(found)) if found == target.to_lowercase() => Finding::Leads,
            Ok(Some(other)) => Finding::LeadsTo(other),
            Ok(None) => {
                let addresses = dns.addresses(domain).await.unwrap_or_default();
                if addresses.into_iter().any(is_cloudflare) { Finding::Cloudflare } else { Finding::Nothing }
            }
        }
    }
}

/// The networks that Cloudflare publishes as those of its proxies.
const CLOUDFLARE: &[([u8; 4], u32)] = &[
    ([173, 245, 48, 0], 20),
    ([103, 21, 244, 0], 22),
    ([103, 22, 200, 0], 22),
    ([103, 31, 4, 0], 22),
    ([141, 101, 64, 0], 18),
    ([108, 162, 192, 0], 18),
    ([190, 93, 240, 0], 20),
    ([188, 114, 96, 0], 20),
    ([197, 234, 240, 0], 22),
    ([198, 41, 128, 0], 17),
    ([162, 158, 0, 0], 15),
    ([104, 16, 0, 0], 13),
    ([104, 24, 0, 0], 14),
    ([172, 64, 0, 0], 13),
    ([131, 0, 72, 0], 22),
];

fn is_cloudflare(address: IpAddr) -> bool {
    let IpAddr::V4(address) = address else { return false };
    CLOUDFLARE.iter().any(|(network, bits)| {
        let differ = address.to_bits() ^ Ipv4Addr::from(*network).to_bits();
        differ.leading_zeros() >= *bits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cloudflare_is_known_by_its_networks() {
        for inside in ["104.16.0.1", "104.23.255.255", "172.71.1.1", "131.0.75.255"] {
            assert!(is_cloudflare(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["104.28.0.0", "172.63.255.255", "131.0.76.0", "127.0.0.1", "::1"] {
            assert!(!is_cloudflare(outside.parse().unwrap()), "{outside}");
        }
    }
}
