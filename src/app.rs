//! What every request and every background task shares.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::auth::blocks;
use crate::auth::throttle::Throttles;
use crate::clock::{Clock, Ids};
use crate::config::{Config, INSTALLS_MAX};
use crate::dns::Dns;
use crate::error::{Error, Result};
use crate::outbound::Outbound;
use crate::pool::Pool;
use crate::store::Store;
use crate::vault::Vault;

pub struct App {
    pub config: Arc<Config>,
    pub store: Store,
    pub clock: Arc<Clock>,
    pub ids: Arc<Ids>,
    pub vault: Arc<Vault>,
    pub throttles: Throttles,
    pub dns: Dns,
    /// Lets the first user of an empty file sign up from anywhere; known to the log only.
    pub setup_code: String,
    pub outbound: Outbound,
    /// Turns to get plugins from elsewhere; each may cost some memory.
    pub installs: Arc<Semaphore>,
    /// Memory for what comes in and goes out.
    pub work: Arc<Pool>,
    hashing: Semaphore,
    reading: Semaphore,
}

impl App {
    pub fn new(config: Config, store: Store, clock: Arc<Clock>, ids: Ids, vault: Vault) -> App {
        // Half of the cores hash passwords at most, so that log-ins don't slow reads down.
        let budgets = config.budgets();
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        App {
            dns: Dns { server: config.dns_server },
            config: Arc::new(config),
            store,
            clock,
            setup_code: ids.letters(b"ABCDEFGHJKMNPQRSTUVWXYZ23456789", 10),
            ids: Arc::new(ids),
            vault: Arc::new(vault),
            throttles: Throttles::default(),
            outbound: Outbound::default(),
            installs: Arc::new(Semaphore::new(INSTALLS_MAX)),
            work: Pool::new(budgets.work),
            hashing: Semaphore::new((cores / 2).clamp(1, budgets.hashes_at_once)),
            reading: Semaphore::new((cores / 2).max(1)),
        }
    }

    /// Runs slow work, such as hashing a password, on a thread of its own, a few at a time.
    pub async fn slowly<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let outcome = in_turn(&self.hashing, work).await;
        // When no other hash follows, its memory goes back.
        tokio::spawn(async {
            tokio::time::sleep(blocks::KEPT_TIME).await;
            blocks::release();
        });
        outcome
    }

    /// Runs work of a few milliseconds, such as reading a large body, beside the threads that answer, a few
    /// at a time. It does not wait for what is slow.
    pub async fn aside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        in_turn(&self.reading, work).await
    }
}

async fn in_turn<T: Send + 'static>(
    turns: &Semaphore,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let closing = |_| Error::Unavailable("The server is shutting down.".into());
    let _turn = turns.acquire().await.map_err(closing)?;
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|cause| Error::Internal(format!("work beside the requests failed: {cause}")))
}
