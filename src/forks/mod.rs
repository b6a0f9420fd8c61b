//! Several servers in one process: the one that was started, and forks of it, each with data, clock, identifiers and
//! faults of its own. They share pages in memory until one of them writes, the settings, and the secret key.

mod beginning;
mod member;
mod ports;
mod serve;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use crate::app::App;
use crate::app::forks::{self, ForkOf, MAIN, START, ShownFork, ShownForks, ShownSnapshot, WantedFork};
use crate::clock::Clock;
use crate::error::{Error, Result, invalid};
use crate::resources::{integrity, secrets};
use beginning::{Beginning, State};
use member::{Expiry, Listening, Member, Named, lock, no_fork};
use ports::Ports;
use serve::NewListener;
pub(crate) use serve::serve;

const FORKS_MAX: usize = 4096;
const SNAPSHOTS_MAX: usize = 64;
/// So many forks have open data, beside those with a request under way: each has two threads.
const OPEN_MAX: usize = 256;
const SNAPSHOT_NAME_BYTES_MAX: usize = 64;
const MIB: u64 = 1024 * 1024;

/// All servers of the process.
pub(crate) struct Forks {
    /// What was started: settings, secret key and certificates are those of all.
    model: Arc<App>,
    ports: Ports,
    made: AtomicU64,
    all: Mutex<All>,
    main: Arc<Member>,
    /// Takes the listeners of new forks.
    listen: mpsc::UnboundedSender<NewListener>,
}

#[derive(Default)]
struct All {
    snapshots: BTreeMap<String, Arc<Beginning>>,
    forks: HashMap<String, Arc<Member>>,
}

impl Forks {
    /// Keeps a server in memory; `None` for any other.
    fn around(
        app: &Arc<App>,
        address: SocketAddr,
        listen: mpsc::UnboundedSender<NewListener>,
    ) -> Option<Arc<Forks>> {
        let state = State::of(app)?;
        let beginning = Arc::new(Beginning::of(&state));
        let snapshots = BTreeMap::from([(START.to_owned(), Arc::clone(&beginning))]);
        let forks = Arc::new_cyclic(|me| Forks {
            model: Arc::clone(app),
            ports: Ports::new(address.ip(), app.config.testing.fork_ports),
            made: AtomicU64::new(0),
            all: Mutex::new(All { snapshots, forks: HashMap::new() }),
            main: Arc::new(Member::main(app, Weak::clone(me), address, state, beginning)),
            listen,
        });
        let weak = Arc::downgrade(&forks);
        let _ = app.address.set(address);
        let _ = app.forks.set(ForkOf { id: MAIN.to_owned(), kept_by: weak });
        Some(forks)
    }

    fn all(&self) -> MutexGuard<'_, All> {
        lock(&self.all)
    }

    fn member(&self, id: &str) -> Result<Arc<Member>> {
        if id == MAIN {
            return Ok(Arc::clone(&self.main));
        }
        let member = self.all().forks.get(id).cloned();
        member.filter(|member| !member.is_expired()).ok_or_else(|| no_fork(id))
    }

    fn beginning(&self, name: &str) -> Result<Arc<Beginning>> {
        self.all().snapshots.get(name).cloned().ok_or_else(|| no_snapshot(name))
    }

    /// The memory that is there for forks and snapshots alone, in bytes.
    fn bytes(&self) -> u64 {
        let main = self.main.state().pages;
        let observed: u64 = self.all().forks.values().map(|member| member.state().observed_bytes()).sum();
        main.bytes_of_all().saturating_sub(main.bytes()) + observed
    }

    fn bytes_max(&self) -> u64 {
        self.model.config.testing.forks_mib.saturating_mul(MIB)
    }

    /// # Errors
    /// 507: forks and snapshots hold as much as they may.
    fn check_memory(&self) -> Result<()> {
        if self.bytes() <= self.bytes_max() {
            return Ok(());
        }
        let mib = self.model.config.testing.forks_mib;
        Err(full(format!("Forks and snapshots hold more than {mib} MiB: delete some, or raise --forks-mib.")))
    }

    async fn make(&self, from: &str, wanted: WantedFork) -> Result<ShownFork> {
        let too_many = || full(format!("There are {FORKS_MAX} forks: delete some."));
        if self.all().forks.len() >= FORKS_MAX {
            return Err(too_many());
        }
        self.check_memory()?;
        let beginning = match &wanted.of {
            Some(name) => self.beginning(name)?,
            None => Arc::new(Beginning::of(&self.member(from)?.state())),
        };
        let (listener, address) = self.ports.listen().await?;
        let id = format!("f{}", self.made.fetch_add(1, Ordering::Relaxed) + 1);
        let (stop, stopped) = oneshot::channel();
        let (closing, closed) = oneshot::channel();
        let expiry = Expiry {
            at: Instant::now() + Duration::from_secs(wanted.ttl_seconds.into()),
            shown: Clock::wall().plus_seconds(wanted.ttl_seconds.into()),
        };
        let named = Named { id: id.clone(), of: wanted.of, address };
        let member = Arc::new(self.main.fork(named, beginning, expiry, Listening { stop, closed }));
        let shown = member.shown();
        let mut all = self.all();
        if all.forks.len() >= FORKS_MAX {
            self.ports.give_back(address.port());
            return Err(too_many());
        }
        all.forks.insert(id, Arc::clone(&member));
        let _ = self.listen.send(NewListener { member, listener, stopped, closing });
        Ok(shown)
    }

    async fn remove(&self, id: &str, is_checked: bool) -> Result<()> {
        if id == MAIN {
            return Err(invalid("id", "invalid_input", "The server that was started is no fork: reset it."));
        }
        let member = self.member(id)?;
        if is_checked {
            self.check(&member).await?;
        }
        self.end(id).await;
        Ok(())
    }

    async fn end(&self, id: &str) {
        let member = self.all().forks.remove(id);
        if let Some(member) = member {
            member.end().await;
            self.ports.give_back(member.address.port());
        }
    }

    /// # Errors
    /// 409 with what is wrong with the data.
    async fn check(&self, member: &Member) -> Result<()> {
        let app = self.open(member).await?;
        let walked = tokio::task::spawn_blocking(move || {
            let mut problems = integrity::check(&app.store)?;
            app.store.read(|tx| secrets::check(tx, &app.vault, &mut problems))?;
            Ok::<_, Error>(problems)
        });
        let problems = walked.await.unwrap_or_else(|cause| Err(Error::failed("the check ended", cause)))?;
        if problems.is_empty() {
            return Ok(());
        }
        Err(Error::Conflict { code: "damaged", detail: problems.join("\n").into() })
    }

    /// The server, whose data is opened if need be.
    async fn open(&self, member: &Member) -> Result<Arc<App>> {
        if let Some(app) = member.open_app() {
            return Ok(app);
        }
        self.make_way().await;
        member.app().await
    }

    /// Closes the data that was not used for the longest time, where as many are open as may be.
    async fn make_way(&self) {
        let all: Vec<Arc<Member>> = self.all().forks.values().cloned().collect();
        let mut open: Vec<Arc<Member>> = all.into_iter().filter(|member| member.is_open()).collect();
        if open.len() < OPEN_MAX {
            return;
        }
        open.sort_by_cached_key(|member| std::cmp::Reverse(member.idle_time()));
        for member in open {
            if member.close().await {
                return;
            }
        }
    }

    /// Ends the forks whose time is over.
    async fn end_expired(&self) {
        let expired: Vec<String> = {
            let all = self.all();
            all.forks.values().filter(|member| member.is_expired()).map(|member| member.id.clone()).collect()
        };
        for id in expired {
            self.end(&id).await;
        }
    }

    /// No fork accepts a connection any more.
    fn stop_listening(&self) {
        for member in self.all().forks.values() {
            member.stop_listening();
        }
    }

    /// Whatever waits for something else ends.
    fn stop_waiting(&self) {
        self.main.stop_waiting();
        for member in self.all().forks.values() {
            member.stop_waiting();
        }
    }

    /// Ends all that any of them does.
    async fn end_all(&self) {
        let forks: Vec<Arc<Member>> = std::mem::take(&mut self.all().forks).into_values().collect();
        for member in forks {
            member.end().await;
        }
        self.main.end_tasks().await;
    }

    fn take_snapshot(&self, of: &str, name: &str) -> Result<ShownSnapshot> {
        check_name(name)?;
        self.check_memory()?;
        let snapshot = Arc::new(Beginning::of(&self.member(of)?.state()));
        let mut all = self.all();
        if all.snapshots.len() >= SNAPSHOTS_MAX && !all.snapshots.contains_key(name) {
            return Err(full(format!("There are {SNAPSHOTS_MAX} snapshots: delete some.")));
        }
        let shown = shown(name, &snapshot);
        let replaced = all.snapshots.insert(name.to_owned(), snapshot);
        drop(all);
        drop(replaced);
        Ok(shown)
    }
}

/// # Errors
/// 400 for a name that no snapshot may have.
fn check_name(name: &str) -> Result<()> {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if !is_plain || name.is_empty() || name.starts_with('.') || name.len() > SNAPSHOT_NAME_BYTES_MAX {
        let detail = format!(
            "A name has 1 to {SNAPSHOT_NAME_BYTES_MAX} letters, digits, dots, dashes and underscores, and begins with no dot."
        );
        return Err(invalid("name", "invalid_input", detail));
    }
    if name == START {
        return Err(invalid("name", "reserved", "\"start\" is what the server began with."));
    }
    Ok(())
}

fn full(detail: String) -> Error {
    Error::Full(detail.into())
}

fn no_snapshot(name: &str) -> Error {
    let shown: String = name.chars().take(SNAPSHOT_NAME_BYTES_MAX).collect();
    Error::NotFound(format!("There is no snapshot \"{shown}\".").into())
}

fn shown(name: &str, snapshot: &Beginning) -> ShownSnapshot {
    ShownSnapshot { name: name.to_owned(), bytes: snapshot.data.len() }
}

impl forks::Forks for Forks {
    fn list(&self) -> ShownForks {
        let (bytes, bytes_max) = (self.bytes(), self.bytes_max());
        let all = self.all();
        let snapshots = all.snapshots.iter().map(|(name, snapshot)| shown(name, snapshot)).collect();
        let mut forks: Vec<&Arc<Member>> = all.forks.values().collect();
        forks.sort_by_key(|member| (member.id.len(), &member.id));
        let forks = forks.into_iter().map(|member| member.shown()).collect();
        ShownForks { snapshots, forks, bytes, bytes_max }
    }

    fn snapshot(&self, of: &str, name: &str) -> Result<ShownSnapshot> {
        self.take_snapshot(of, name)
    }

    fn delete_snapshot(&self, name: &str) -> Result<()> {
        if name == START {
            return Err(invalid("name", "reserved", "\"start\" is what the server began with."));
        }
        let removed = self.all().snapshots.remove(name);
        removed.map(drop).ok_or_else(|| no_snapshot(name))
    }

    fn fork<'a>(&'a self, from: &'a str, wanted: WantedFork) -> BoxFuture<'a, Result<ShownFork>> {
        self.make(from, wanted).boxed()
    }

    fn delete<'a>(&'a self, id: &'a str, is_checked: bool) -> BoxFuture<'a, Result<()>> {
        self.remove(id, is_checked).boxed()
    }

    fn reset<'a>(&'a self, id: &'a str, to: Option<&'a str>) -> BoxFuture<'a, Result<()>> {
        async move {
            let member = self.member(id)?;
            let beginning = match to {
                Some(name) => self.beginning(name)?,
                None => Arc::clone(&member.beginning),
            };
            if !member.is_open() {
                self.make_way().await;
            }
            member.reset(&beginning).await
        }
        .boxed()
    }

    fn newest(&self) -> Option<Arc<App>> {
        self.main.open_app()
    }
}
