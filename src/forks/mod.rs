//! Several servers in one process: the one that was started, and forks of it, each with data, clock, identifiers and
//! faults of its own. They share pages in memory until one of them writes, the settings, and the secret key.

mod member;
mod ports;
mod serve;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::net::TcpListener;

use crate::app::App;
use crate::app::forks::{self, ForkOf, MAIN, START, ShownFork, ShownForks, ShownSnapshot, WantedFork};
use crate::error::{Error, Result, invalid};
use crate::resources::{integrity, secrets};
use member::{Beginning, Member, State, lock};
use ports::Ports;
pub(crate) use serve::serve;

const FORKS_MAX: usize = 4096;
const SNAPSHOTS_MAX: usize = 64;
/// Beyond so many forks with open data, those are closed that nobody has used for a while. Each has two threads.
const OPEN_MAX: usize = 256;
const IDLE_TIME: Duration = Duration::from_secs(5);
const SNAPSHOT_NAME_BYTES_MAX: usize = 64;

/// All servers of the process.
pub(crate) struct Forks {
    me: Weak<Forks>,
    /// What was started: settings, secret key and certificates are those of all.
    model: Arc<App>,
    /// The address on which all of them listen.
    address: IpAddr,
    ports: Ports,
    made: AtomicU64,
    kept: Mutex<Kept>,
    main: Arc<Member>,
    /// What lets listeners of forks be started; set once there are any.
    listen: OnceLock<Box<dyn Fn(Arc<Member>, TcpListener) + Send + Sync>>,
}

#[derive(Default)]
struct Kept {
    snapshots: BTreeMap<String, Arc<Beginning>>,
    forks: HashMap<String, Arc<Member>>,
}

impl Forks {
    /// Keeps a server in memory; `None` for any other.
    fn around(app: &Arc<App>, address: IpAddr, port: u16) -> Option<Arc<Forks>> {
        let state = State::of(app)?;
        let beginning = Arc::new(Beginning::of(&state));
        let main = Member::new((MAIN.to_owned(), None), port, Arc::clone(&beginning), state);
        let snapshots = BTreeMap::from([(START.to_owned(), beginning)]);
        let forks = Arc::new_cyclic(|me| Forks {
            me: Weak::clone(me),
            model: Arc::clone(app),
            address,
            ports: Ports::new(app.config.testing.fork_ports),
            made: AtomicU64::new(0),
            kept: Mutex::new(Kept { snapshots, forks: HashMap::new() }),
            main: Arc::new(main),
            listen: OnceLock::new(),
        });
        let _ = app.forks.set(forks.of(MAIN));
        Some(forks)
    }

    fn of(&self, id: &str) -> ForkOf {
        let kept_by: Weak<dyn forks::Forks> = Weak::clone(&self.me) as Weak<dyn forks::Forks>;
        ForkOf { id: id.to_owned(), kept_by }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        lock(&self.kept)
    }

    fn member(&self, id: &str) -> Result<Arc<Member>> {
        if id == MAIN {
            return Ok(Arc::clone(&self.main));
        }
        let member = self.kept().forks.get(id).cloned();
        member.ok_or_else(|| Error::NotFound(format!("There is no fork \"{id}\".").into()))
    }

    fn snapshot_of(&self, name: &str) -> Result<Arc<Beginning>> {
        let snapshot = self.kept().snapshots.get(name).cloned();
        snapshot.ok_or_else(|| Error::NotFound(format!("There is no snapshot \"{name}\".").into()))
    }

    /// # Errors
    /// 507: what the forks and snapshots hold is as much as they may.
    fn check_room(&self) -> Result<()> {
        let mib = self.model.config.testing.forks_mib;
        let held = {
            let kept = self.kept();
            let snapshots: u64 = kept.snapshots.values().map(|snapshot| snapshot.data.own_bytes()).sum();
            snapshots + kept.forks.values().map(|member| member.own_bytes()).sum::<u64>()
        };
        if held > mib.saturating_mul(1024 * 1024) {
            return Err(Error::Full(
                format!("Forks and snapshots hold more than {mib} MiB: delete some, or raise --forks-mib.")
                    .into(),
            ));
        }
        Ok(())
    }

    async fn make(&self, from: &str, wanted: WantedFork) -> Result<ShownFork> {
        if self.kept().forks.len() >= FORKS_MAX {
            return Err(Error::Full(format!("There are {FORKS_MAX} forks: delete some.").into()));
        }
        self.check_room()?;
        let beginning = match &wanted.of {
            Some(name) => self.snapshot_of(name)?,
            None => Arc::new(Beginning::of(&self.member(from)?.state())),
        };
        let (listener, port) = self.ports.listen(self.address).await?;
        let id = format!("f{}", self.made.fetch_add(1, Ordering::Relaxed) + 1);
        let state = beginning.open();
        let member = Arc::new(Member::new((id.clone(), wanted.of), port, beginning, state));
        if let Some(listen) = self.listen.get() {
            listen(Arc::clone(&member), listener);
        }
        self.kept().forks.insert(id.clone(), Arc::clone(&member));
        let forks = Weak::clone(&self.me);
        let ttl = Duration::from_secs(wanted.ttl_seconds.into());
        tokio::spawn(async move {
            tokio::time::sleep(ttl).await;
            if let Some(forks) = forks.upgrade() {
                let _ = forks.remove(&id, false).await;
            }
        });
        Ok(member.shown())
    }

    async fn remove(&self, id: &str, is_checked: bool) -> Result<()> {
        if id == MAIN {
            return Err(invalid("id", "invalid", "The server that was started cannot be deleted: reset it."));
        }
        let member = self.member(id)?;
        if is_checked {
            self.check(&member).await?;
        }
        if self.kept().forks.remove(id).is_some() {
            member.end().await;
            self.ports.give_back(member.port);
        }
        Ok(())
    }

    /// # Errors
    /// 409 with what is wrong with the data.
    async fn check(&self, member: &Member) -> Result<()> {
        let app = member.app(&self.model, || self.of(&member.id)).await?;
        let walked = tokio::task::spawn_blocking(move || {
            let mut problems = integrity::check(&app.store)?;
            app.store.read(|tx| secrets::check(tx, &app.vault, &mut problems))?;
            Ok::<_, Error>(problems)
        });
        let ended = |cause| Error::internal(format!("the check ended: {cause}"));
        let problems = walked.await.unwrap_or_else(|cause| Err(ended(cause)))?;
        if problems.is_empty() {
            return Ok(());
        }
        Err(Error::Conflict { code: "damaged", detail: problems.join("\n").into() })
    }

    /// Ends all that any of them does.
    async fn end(&self) {
        let forks: Vec<Arc<Member>> = std::mem::take(&mut *self.kept()).forks.into_values().collect();
        for member in forks {
            member.end().await;
        }
        self.main.end_tasks().await;
    }

    /// Closes data that is open without need.
    async fn close_idle(&self) {
        let mut open: Vec<Arc<Member>> =
            self.kept().forks.values().filter(|member| member.is_open()).cloned().collect();
        if open.len() <= OPEN_MAX {
            return;
        }
        open.sort_by_key(|member| std::cmp::Reverse(member.idle_time()));
        let beyond = open.len() - OPEN_MAX;
        for member in open.into_iter().take(beyond) {
            member.close_idle(IDLE_TIME).await;
        }
    }
}

impl forks::Forks for Forks {
    fn list(&self) -> ShownForks {
        let kept = self.kept();
        let snapshots = kept.snapshots.iter().map(|(name, snapshot)| shown(name, snapshot)).collect();
        let mut forks: Vec<&Arc<Member>> = kept.forks.values().collect();
        forks.sort_by_key(|member| member.id[1..].parse::<u64>().unwrap_or(0));
        ShownForks { snapshots, forks: forks.into_iter().map(|member| member.shown()).collect() }
    }

    fn snapshot(&self, of: &str, name: &str) -> Result<ShownSnapshot> {
        if name.is_empty() || name.len() > SNAPSHOT_NAME_BYTES_MAX {
            let detail = format!("A name has 1 to {SNAPSHOT_NAME_BYTES_MAX} bytes.");
            return Err(invalid("name", "invalid", detail));
        }
        self.check_room()?;
        let snapshot = Arc::new(Beginning::of(&self.member(of)?.state()));
        let mut kept = self.kept();
        if kept.snapshots.len() >= SNAPSHOTS_MAX && !kept.snapshots.contains_key(name) {
            return Err(Error::Full(format!("There are {SNAPSHOTS_MAX} snapshots.").into()));
        }
        let shown = shown(name, &snapshot);
        kept.snapshots.insert(name.to_owned(), snapshot);
        Ok(shown)
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
                Some(name) => self.snapshot_of(name)?,
                None => Arc::clone(&member.beginning),
            };
            member.reset(&beginning, &self.model, || self.of(id)).await
        }
        .boxed()
    }

    fn app<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Arc<App>>> {
        async move { self.member(id)?.app(&self.model, || self.of(id)).await }.boxed()
    }
}

fn shown(name: &str, snapshot: &Beginning) -> ShownSnapshot {
    ShownSnapshot { name: name.to_owned(), bytes: snapshot.data.len() }
}
