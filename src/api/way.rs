//! How a request came: over which connection, through which proxies, and what of that is believed.

use std::net::IpAddr;

use serde::Serialize;

/// What something about a request is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Source {
    /// The connection itself.
    #[serde(rename = "connection")]
    Connection,
    #[serde(rename = "Host")]
    Host,
    #[serde(rename = "X-Forwarded-For")]
    XForwardedFor,
    #[serde(rename = "X-Forwarded-Proto")]
    XForwardedProto,
    #[serde(rename = "X-Forwarded-Host")]
    XForwardedHost,
    #[serde(rename = "Forwarded")]
    Forwarded,
    #[serde(rename = "--site-url")]
    SiteUrl,
}

/// Why a request's address, scheme and host are what they are.
#[derive(Clone, Debug)]
pub struct Way {
    /// The other end of the connection.
    pub connection: IpAddr,
    /// Whether that is one of the operator's proxies, whose headers are believed.
    pub is_trusted: bool,
    /// Whether a header says that a proxy forwarded the request.
    pub has_proxy_headers: bool,
    /// The addresses that were passed over because they are the operator's proxies, the nearest first.
    pub proxies: Vec<IpAddr>,
    pub address_from: Source,
    pub scheme_from: Source,
    pub host_from: Source,
}

impl Way {
    /// Straight from this address.
    pub fn direct(connection: IpAddr) -> Way {
        Way {
            connection,
            is_trusted: false,
            has_proxy_headers: false,
            proxies: Vec::new(),
            address_from: Source::Connection,
            scheme_from: Source::Connection,
            host_from: Source::Host,
        }
    }
}
