//! Follows proxy records: checks the DNS of those that are due, and stores what was found.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use futures_util::future::join_all;
use tracing::info;

use super::task::Task;
use crate::app::App;
use crate::clock::Time;
use crate::config::{PROXY_BASE_LOCAL, ProxyTls};
use crate::dns::Dns;
use crate::error::Result;
use crate::resources::proxy_records::{self, Finding, ProxyRecord, Status};
use crate::store::TableInfo;

/// Names that are checked at the same time.
const BATCH: u64 = 20;

/// The task.
pub(super) struct Follower;

impl Task for Follower {
    const NAME: &'static str = "proxy_records";
    const EVERY_SECONDS: i64 = 30;

    fn wakes_on() -> Vec<TableInfo> {
        vec![proxy_records::DUE.info()]
    }

    async fn run(&mut self, app: &Arc<App>) -> Result<Option<Time>> {
        check_due(app).await
    }
}

/// Checks every record that is due; returns when the next one will be. Several calls may run at once: what a
/// check found is stored only over the record that was checked.
///
/// # Errors
/// The store failed; what was due still is.
pub async fn check_due(app: &App) -> Result<Option<Time>> {
    loop {
        let now = app.clock.now();
        let (due, next) = app.store.read(|tx| proxy_records::due(tx, now, BATCH))?;
        if due.is_empty() {
            return Ok(next);
        }
        let findings = join_all(due.iter().map(|(_, _, record)| check(&app.dns, record))).await;
        let is_new = due.iter().any(|(_, _, record)| record.status == Status::Waiting && record.looks == 0);
        let checked: Vec<_> = due.into_iter().zip(findings).collect();
        let external = app.config.proxy_tls == Some(ProxyTls::External);
        let now = app.clock.now();
        let settled = app.store.write(move |tx| {
            for (record, finding) in &checked {
                proxy_records::settle(tx, record, finding, external, now)?;
            }
            Ok(checked.len())
        });
        let records = settled.await?;
        info!(records, "proxy records were checked");
        if is_new && app.config.proxy_base_cname == PROXY_BASE_LOCAL {
            info!("ORGD_PROXY_BASE_CNAME is not set: new proxy records lead to the machine itself");
        }
    }
}

async fn check(dns: &Dns, record: &ProxyRecord) -> Finding {
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
