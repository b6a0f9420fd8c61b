//! `orgd health`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use orgd::config::Config;
use orgd::health;

use super::CommandResult;

#[derive(clap::Args)]
pub(super) struct Health {
    /// Where the server listens. Unset: as `ORGD_LISTEN` and `ORGD_TLS_CERT` say.
    url: Option<String>,
}

pub(super) async fn run(wanted: Health) -> CommandResult {
    let url = match wanted.url {
        Some(url) => url,
        None => address(&Config::from_env().map_err(|cause| cause.to_string())?),
    };
    match health::ask(&url).await? {
        200 => {
            say!("ready");
            Ok(())
        }
        status => Err(format!("{url} is not ready: it answers {status}")),
    }
}

/// Where a server with these settings is reached from its own machine.
fn address(config: &Config) -> String {
    let scheme = if config.tls.is_on() { "https" } else { "http" };
    let here = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::new(Ipv6Addr::LOCALHOST.into(), address.port()),
        _ => address,
    };
    let place =
        config.listen.parse().map_or_else(|_| config.listen.clone(), |address| here(address).to_string());
    format!("{scheme}://{place}")
}
