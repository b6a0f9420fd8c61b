//! What every request and every background task shares, and the routes that name it.

pub mod about;
pub mod forks;
pub mod once;
pub mod openapi;
pub mod route;
pub mod sign_in_link;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use tokio::sync::Semaphore;

use crate::api::{Actor, Ctx, Source};
use crate::auth::blocks;
use crate::auth::guesses::{Guess, RefusedGuess, Slot};
use crate::auth::throttle::Throttles;
use crate::backup_folder::{self, Desk};
use crate::certificates::Certificates;
use crate::clock::{Clock, Ids, Time};
use crate::config::{Config, HASHES_WAITING_MAX, INSTALLS_MAX, Setting};
use crate::dns::Dns;
use crate::error::{Error, Result};
use crate::logging::{self, SecurityEvent};
use crate::notices::Notices;
use crate::outbound::Outbound;
use crate::pool::Pool;
use crate::store::Store;
use crate::task_results::TaskResults;
use crate::test_server::TestServer;
use crate::turns::Turns;
use crate::vault::Vault;
use crate::yielding_thread::Crew;
pub use about::Tag;
use forks::ForkOf;
use once::Once;
pub use route::{Route, async_, public, read, scope, session, signed_in, tagged, write};
use sign_in_link::SignInLink;

/// Connections that are open, and requests that are under way.
pub type Traffic = Arc<dyn Fn() -> (u64, u64) + Send + Sync>;

/// What a server has of its own and keeps while its data is closed.
#[derive(Clone)]
pub struct Kept {
    pub clock: Arc<Clock>,
    pub ids: Arc<Ids>,
    pub throttles: Arc<Throttles>,
    pub test_server: Option<Arc<TestServer>>,
    /// When it began to serve.
    pub started_at: Time,
}

pub struct App {
    pub config: Arc<Config>,
    pub store: Store,
    pub clock: Arc<Clock>,
    pub ids: Arc<Ids>,
    pub vault: Arc<Vault>,
    pub throttles: Arc<Throttles>,
    /// What the log says once a minute at most.
    pub notices: Notices,
    pub dns: Dns,
    /// Lets the first user of an empty file sign up from anywhere; known to the log only.
    pub setup_code: String,
    pub outbound: Arc<Outbound>,
    /// Permits to get plugins from elsewhere; each may cost some memory.
    pub installs: Arc<Semaphore>,
    /// Permits to hash a password; each costs 19 MiB while it lasts.
    pub hash_permits: Arc<Turns>,
    /// Memory for requests, answers and exports.
    pub work: Arc<Pool>,
    /// How each background task's last run ended.
    pub task_results: TaskResults,
    /// Who wants a backup, and whether one is being made.
    pub backups: Arc<Desk>,
    /// Opens the pages for local work, signed in, once.
    pub sign_in_link: Arc<SignInLink>,
    /// When it began to serve.
    pub started_at: Time,
    /// What a report of an error may show of the settings of a server, which only the command line knows.
    pub settings: OnceLock<Vec<Setting>>,
    /// Where the server listens, once it does.
    pub address: OnceLock<SocketAddr>,
    /// What connections over TLS are shown; none where the server speaks plain HTTP.
    pub certificates: OnceLock<Arc<Certificates>>,
    /// How many connections are open, and how many requests are under way.
    pub traffic: OnceLock<Traffic>,
    /// Forms of pages that must not be sent twice.
    pub once: Once,
    /// What only a development or test server has; an ordinary one has none.
    pub test_server: Option<Arc<TestServer>>,
    /// Who keeps it, where it is one of several servers in one process.
    pub forks: OnceLock<ForkOf>,
    /// Reads what is large.
    readers: Arc<Crew>,
}

impl App {
    pub fn new(config: Config, store: Store, clock: Arc<Clock>, ids: Ids, vault: Vault) -> App {
        // Half of the cores hash passwords at most, so that log-ins don't slow reads down.
        let budgets = config.budgets();
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let policy = config.outbound_allow.clone();
        let outbound_policy = if config.mode().is_some() { policy.with_loopback() } else { policy };
        let test_server = TestServer::of(&config).map(Arc::new);
        App {
            dns: dns(&config, test_server.as_deref()),
            test_server,
            config: Arc::new(config),
            store,
            started_at: clock.now(),
            clock,
            setup_code: ids.letters(b"ABCDEFGHJKMNPQRSTUVWXYZ23456789", 10),
            ids: Arc::new(ids),
            vault: Arc::new(vault),
            throttles: Arc::default(),
            notices: Notices::default(),
            outbound: Arc::new(Outbound::new(outbound_policy)),
            installs: Arc::new(Semaphore::new(INSTALLS_MAX)),
            hash_permits: Turns::new((cores / 2).clamp(1, budgets.hashes_at_once), HASHES_WAITING_MAX),
            work: Pool::new(budgets.work),
            task_results: TaskResults::default(),
            backups: Arc::default(),
            sign_in_link: Arc::default(),
            settings: OnceLock::new(),
            address: OnceLock::new(),
            certificates: OnceLock::new(),
            traffic: OnceLock::new(),
            once: Once::default(),
            forks: OnceLock::new(),
            readers: Arc::new(Crew::new("reader", (cores / 2).max(1))),
        }
    }

    /// Another server in the same process: with data of its own, and with the settings, the secret key and the share of the
    /// machine that this one has.
    pub fn beside(&self, store: Store, kept: Kept) -> App {
        let Kept { clock, ids, throttles, test_server, started_at } = kept;
        App {
            dns: dns(&self.config, test_server.as_deref()),
            test_server,
            config: Arc::clone(&self.config),
            store,
            started_at,
            clock,
            setup_code: self.setup_code.clone(),
            ids,
            vault: Arc::clone(&self.vault),
            throttles,
            notices: Notices::default(),
            outbound: Arc::clone(&self.outbound),
            installs: Arc::clone(&self.installs),
            hash_permits: Arc::clone(&self.hash_permits),
            work: Arc::clone(&self.work),
            task_results: TaskResults::default(),
            backups: Arc::default(),
            sign_in_link: Arc::clone(&self.sign_in_link),
            settings: self.settings.clone(),
            address: OnceLock::new(),
            certificates: self.certificates.clone(),
            traffic: self.traffic.clone(),
            once: Once::default(),
            forks: OnceLock::new(),
            readers: Arc::clone(&self.readers),
        }
    }

    /// The server that was started, with its newest data: after a reset that is another one. A fork itself.
    pub fn newest(self: &Arc<App>) -> Arc<App> {
        let main = self.forks.get().filter(|of| !of.is_fork());
        let newest = main.and_then(|of| of.kept_by.upgrade()?.newest());
        newest.unwrap_or_else(|| Arc::clone(self))
    }

    /// Whether it is a fork of the server that was started, which alone does what a process does once.
    pub fn is_fork(&self) -> bool {
        self.forks.get().is_some_and(ForkOf::is_fork)
    }

    /// The address that the server listens at, with its scheme; that of the settings until it does.
    pub fn own_address(&self) -> String {
        let scheme = if self.config.tls.is_on() { "https" } else { "http" };
        match self.address.get() {
            Some(address) => format!("{scheme}://{address}"),
            None => format!("{scheme}://{}", self.config.listen),
        }
    }

    /// Why the certificate is not as it should be, if there should be one and it is not.
    pub fn certificate_in_doubt(&self) -> Option<String> {
        self.certificates.get()?.doubt(self.clock.now())
    }

    /// Why the server's backups are not as they should be, if they are not.
    pub fn backups_in_doubt(&self) -> Option<String> {
        backup_folder::doubt(&self.config.backups, self.started_at, self.clock.now())
    }

    /// Runs slow work for a caller, such as hashing a password, on a thread of its own, a few at a time.
    ///
    /// # Errors
    /// 503 where too many wait.
    pub async fn run_cpu_bound<T: Send + 'static>(
        &self,
        peer: IpAddr,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let turn = self.hash_permits.take(peer).await?;
        // The turn lasts as long as the work, also where nobody waits for it any more.
        let outcome = run_on_thread(move || {
            let done = work();
            drop(turn);
            done
        });
        let outcome = outcome.await;
        // When no other hash follows, its memory goes back.
        tokio::spawn(async {
            tokio::time::sleep(blocks::KEPT_TIME).await;
            blocks::release();
        });
        outcome
    }

    /// What a command runs with that begins now.
    pub fn ctx(&self, origin: String, actor: Actor, source: Source) -> Ctx {
        Ctx {
            now: self.clock.now(),
            ids: Arc::clone(&self.ids),
            config: Arc::clone(&self.config),
            vault: Arc::clone(&self.vault),
            origin,
            actor,
            source,
        }
    }

    /// Takes a slot for a guess at what belongs to `account`, before the guess is looked at.
    ///
    /// # Errors
    /// Too many were wrong.
    pub fn guess(
        &self,
        what: Guess,
        account: &str,
        peer: IpAddr,
        now: Time,
    ) -> std::result::Result<Slot<'_>, RefusedGuess> {
        if !self.config.lock_out() {
            return Ok(Slot::unlimited());
        }
        self.throttles.guesses.take(what, account, peer, now).inspect_err(|refused| {
            if refused.is_locked {
                logging::security(SecurityEvent::Locked, peer, account);
            }
        })
    }

    /// Runs work of a few milliseconds, such as reading a large body, off the threads that answer, which go before it, a
    /// few at a time. It never waits for slow work.
    pub async fn run_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        self.readers.run(work).await.map_err(|cause| Error::failed("work beside the requests ended", cause))
    }
}

async fn run_on_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|cause| Error::failed("work beside the requests ended", cause))
}

fn dns(config: &Config, test_server: Option<&TestServer>) -> Dns {
    Dns { server: config.dns_server, stand_in: test_server.map(TestServer::stand_in) }
}
