//! Follows proxy records: checks the DNS of those that are due, and stores what was found.

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
use crate::store::{TableInfo, Tx};

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

    async fn turn(&mut self, app: &Arc<App>) -> Result<()> {
        check_due(app).await.map(drop)
    }

    fn next_due(&self, app: &App, tx: &Tx) -> Result<Option<Time>> {
        Ok(proxy_records::due(tx, app.clock.now(), 1)?.1)
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
    Finding::of(dns, &record.domain, &record.target_cname).await
}
