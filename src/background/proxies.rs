//! Follows proxy records: looks at the DNS of those whose time has come, and writes down what that means.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tracing::{error, info};

use crate::app::App;
use crate::config::ProxyTls;
use crate::dns::Dns;
use crate::error::Result;
use crate::resources::proxy_records::{self, Finding, ProxyRecord, Status};

/// Names that are looked at together.
const BATCH: u64 = 20;
/// The longest sleep, so that a moved clock is noticed.
const NAP_MAX: Duration = Duration::from_secs(30);

/// Runs as long as the server does.
pub(super) async fn run(app: Arc<App>) {
    let changes = app.store.watch(&[proxy_records::DUE.info()]);
    loop {
        app.store.healed().await;
        let pause = turn(&app).await.unwrap_or_else(|cause| {
            error!(%cause, "proxy records could not be followed");
            NAP_MAX
        });
        let _ = tokio::time::timeout(pause, changes.notified()).await;
    }
}

/// Looks at every record that is due; says how long none will be. It may run beside itself: what a
/// look found is written only over the record that was looked at.
///
/// # Errors
/// The store failed; what was due still is.
pub async fn turn(app: &App) -> Result<Duration> {
    loop {
        let now = app.clock.now();
        let (due, next) = app.store.read(|tx| proxy_records::due(tx, now, BATCH))?;
        if due.is_empty() {
            let until = next.map(|next| Duration::from_micros(u64::try_from(next.0 - now.0).unwrap_or(0)));
            return Ok(until.unwrap_or(NAP_MAX).min(NAP_MAX));
        }
        let findings = join_all(due.iter().map(|(_, _, record)| look(&app.dns, record))).await;
        let looks: Vec<_> = due.into_iter().zip(findings).collect();
        let external = app.config.proxy_tls == Some(ProxyTls::External);
        let now = app.clock.now();
        let settled = app.store.write(move |tx| {
            for (record, finding) in &looks {
                proxy_records::settle(tx, record, finding, external, now)?;
            }
            Ok(looks.len())
        });
        let looks = settled.await?;
        info!(looks, "proxy records were looked at");
    }
}

async fn look(dns: &Dns, record: &ProxyRecord) -> Finding {
    if record.status == Status::Deleting {
        return Finding::Nothing;
    }
    match dns.cname(&record.domain).await {
        Err(_) => Finding::Silence,
        Ok(Some(target)) if target == record.target_cname.to_lowercase() => Finding::Leads,
        Ok(Some(other)) => Finding::LeadsTo(other),
        Ok(None) => {
            let addresses = dns.addresses(&record.domain).await.unwrap_or_default();
            if addresses.into_iter().any(is_cloudflare) { Finding::Cloudflare } else { Finding::Nothing }
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
