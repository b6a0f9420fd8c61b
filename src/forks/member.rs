//! One server of the process: what it has as long as it is there, and its data while that is open.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::Forks;
use super::beginning::{Beginning, State};
use crate::app::forks::{self, ForkOf, MAIN, ShownFork};
use crate::app::{App, Traffic};
use crate::background;
use crate::clock::Time;
use crate::error::{Error, Result};
use crate::test_server::journal::Limits;

/// Pages that an open fork keeps beside its data, in bytes.
const FORK_CACHE_BYTES: usize = 64 * 1024;
/// How long whoever looks at a fork that is to be closed may take.
const CLOSE_TIME: Duration = Duration::from_millis(50);

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A server whose data is open, and what works on it.
struct Running {
    app: Arc<App>,
    tasks: Mutex<JoinSet<()>>,
    /// How many have the server while no request is under way.
    holders: usize,
}

impl Running {
    fn start(app: Arc<App>) -> Arc<Running> {
        if let Some(server) = &app.test_server {
            server.tasks.clear();
        }
        let tasks = Mutex::new(background::start(&app));
        let holders = Arc::strong_count(&app);
        Arc::new(Running { app, tasks, holders })
    }

    async fn end_tasks(&self) {
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        tasks.shutdown().await;
    }

    fn is_used(&self) -> bool {
        Arc::strong_count(&self.app) > self.holders
    }
}

/// Lets a listener end, and learns that it has.
pub(super) struct Listening {
    /// Ends it when dropped.
    pub(super) stop: oneshot::Sender<()>,
    pub(super) closed: oneshot::Receiver<()>,
}

/// When a fork ends.
#[derive(Clone, Copy)]
pub(super) struct Expiry {
    pub(super) at: Instant,
    pub(super) shown: Time,
}

pub(super) struct Member {
    pub(super) id: String,
    /// The snapshot that it began with.
    of: Option<String>,
    pub(super) address: SocketAddr,
    pub(super) beginning: Arc<Beginning>,
    /// `None`: with the process.
    expiry: Option<Expiry>,
    /// Whose settings it has.
    model: Arc<App>,
    kept_by: Weak<Forks>,
    state: Mutex<State>,
    running: ArcSwapOption<Running>,
    /// Whether it is over. Held by whoever opens, closes or resets it, so that its data is open once at the most.
    turn: tokio::sync::Mutex<bool>,
    /// In microseconds since `born`.
    used_at: AtomicU64,
    born: Instant,
    listening: Mutex<Option<Listening>>,
    traffic: OnceLock<Traffic>,
}

/// What a fork is besides its data.
pub(super) struct Named {
    pub(super) id: String,
    pub(super) of: Option<String>,
    pub(super) address: SocketAddr,
}

impl Member {
    /// The server that was started.
    pub(super) fn main(
        model: &Arc<App>,
        kept_by: Weak<Forks>,
        address: SocketAddr,
        state: State,
        beginning: Arc<Beginning>,
    ) -> Member {
        Member {
            id: MAIN.to_owned(),
            of: None,
            address,
            beginning,
            expiry: None,
            model: Arc::clone(model),
            kept_by,
            state: Mutex::new(state),
            running: ArcSwapOption::empty(),
            turn: tokio::sync::Mutex::new(false),
            used_at: AtomicU64::new(0),
            born: Instant::now(),
            listening: Mutex::default(),
            traffic: OnceLock::new(),
        }
    }

    /// A fork beside `self`, closed until its first request.
    pub(super) fn fork(
        &self,
        named: Named,
        beginning: Arc<Beginning>,
        expiry: Expiry,
        listening: Listening,
    ) -> Member {
        let state = beginning.open(Limits::FORK);
        let (model, kept_by) = (&self.model, Weak::clone(&self.kept_by));
        let member = Member::main(model, kept_by, named.address, state, beginning);
        Member {
            id: named.id,
            of: named.of,
            expiry: Some(expiry),
            listening: Mutex::new(Some(listening)),
            ..member
        }
    }

    fn is_main(&self) -> bool {
        self.id == MAIN
    }

    pub(super) fn state(&self) -> State {
        lock(&self.state).clone()
    }

    /// Is given what counts its connections, once.
    pub(super) fn counts_by(&self, traffic: Traffic) {
        if let Some(app) = self.open_app() {
            let _ = app.traffic.set(Arc::clone(&traffic));
        }
        let _ = self.traffic.set(traffic);
    }

    /// Begins to serve with data that is open already.
    pub(super) fn run(&self, app: Arc<App>) {
        self.touch();
        self.running.store(Some(Running::start(app)));
    }

    /// The server, where its data is open.
    pub(super) fn open_app(&self) -> Option<Arc<App>> {
        let app = self.running.load().as_ref().map(|running| Arc::clone(&running.app))?;
        if self.is_expired() {
            return None;
        }
        self.touch();
        Some(app)
    }

    /// The server, whose data is opened if need be.
    pub(super) async fn app(&self) -> Result<Arc<App>> {
        if let Some(app) = self.open_app() {
            return Ok(app);
        }
        let is_over = self.turn.lock().await;
        if let Some(app) = self.open_app() {
            return Ok(app);
        }
        if *is_over || self.is_expired() {
            return Err(no_fork(&self.id));
        }
        let app = self.opened(&self.state())?;
        self.run(Arc::clone(&app));
        Ok(app)
    }

    fn opened(&self, state: &State) -> Result<Arc<App>> {
        let cache = if self.is_main() { self.model.config.budgets().cache } else { FORK_CACHE_BYTES };
        let mut app = state.open(&self.model, cache)?;
        app.traffic = self.traffic.clone();
        let _ = app.address.set(self.address);
        let kept_by: Weak<dyn forks::Forks> = Weak::clone(&self.kept_by) as Weak<dyn forks::Forks>;
        let _ = app.forks.set(ForkOf { id: self.id.clone(), kept_by });
        Ok(Arc::new(app))
    }

    /// Goes back to a beginning. Whoever has the old data keeps it to their end.
    pub(super) async fn reset(&self, to: &Beginning) -> Result<()> {
        let is_over = self.turn.lock().await;
        if *is_over {
            return Err(no_fork(&self.id));
        }
        let state = to.open(if self.is_main() { Limits::SERVER } else { Limits::FORK });
        let app = self.opened(&state)?;
        let old = self.running.swap(Some(Running::start(app)));
        let old_state = std::mem::replace(&mut *lock(&self.state), state);
        old_state.stop();
        if let Some(old) = old {
            old.end_tasks().await;
            let_go(old);
        }
        Ok(())
    }

    /// Ends all that it does, for good.
    pub(super) async fn end(&self) {
        let mut is_over = self.turn.lock().await;
        *is_over = true;
        let listening = lock(&self.listening).take();
        if let Some(Listening { stop, closed }) = listening {
            drop(stop);
            let _ = closed.await;
        }
        self.stop_waiting();
        if let Some(running) = self.running.swap(None) {
            running.end_tasks().await;
            let_go(running);
        }
    }

    /// Accepts no connection any more.
    pub(super) fn stop_listening(&self) {
        if let Some(Listening { stop, .. }) = lock(&self.listening).take() {
            drop(stop);
        }
    }

    /// Ends what waits there for something else.
    pub(super) fn stop_waiting(&self) {
        self.state().stop();
    }

    /// Ends what works on the data, which stays as it is.
    pub(super) async fn end_tasks(&self) {
        let running = self.running.load_full();
        if let Some(running) = running {
            running.end_tasks().await;
        }
    }

    /// Closes the data unless it is in use; the next request opens it again. Says whether it did.
    pub(super) async fn close(&self) -> bool {
        let Ok(_turn) = self.turn.try_lock() else { return false };
        if self.running.load().as_ref().is_none_or(|running| running.is_used()) || self.state().is_busy() {
            return false;
        }
        let Some(running) = self.running.swap(None) else { return false };
        running.end_tasks().await;
        match alone(running).await {
            Ok(last) => {
                // Waits for the threads of the file.
                let _ = tokio::task::spawn_blocking(move || drop(last)).await;
                true
            }
            Err(shared) => {
                self.run(Arc::clone(&shared.app));
                false
            }
        }
    }

    /// How long nobody has used it.
    pub(super) fn idle_time(&self) -> Duration {
        self.born.elapsed().saturating_sub(Duration::from_micros(self.used_at.load(Ordering::Relaxed)))
    }

    fn touch(&self) {
        let now = u64::try_from(self.born.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.used_at.store(now, Ordering::Relaxed);
    }

    pub(super) fn is_open(&self) -> bool {
        self.running.load().is_some()
    }

    pub(super) fn is_expired(&self) -> bool {
        self.expiry.is_some_and(|expiry| expiry.at <= Instant::now())
    }

    pub(super) fn shown(&self) -> ShownFork {
        ShownFork {
            id: self.id.clone(),
            of: self.of.clone(),
            port: self.address.port(),
            expires_at: self.expiry.map_or(Time(i64::MAX), |expiry| expiry.shown),
            own_bytes: lock(&self.state).pages.bytes_beside(&self.beginning.data),
            is_open: self.is_open(),
        }
    }
}

/// 404 for a name that no fork has.
pub(super) fn no_fork(id: &str) -> Error {
    const LETTERS_MAX: usize = 40;
    let shown: String = id.chars().take(LETTERS_MAX).collect();
    Error::NotFound(
        format!("There is no fork \"{shown}\": it was deleted, its time is over, or it never was.").into(),
    )
}

/// What nobody else has, after a moment for those who look.
async fn alone(mut running: Arc<Running>) -> std::result::Result<Running, Arc<Running>> {
    let since = Instant::now();
    loop {
        running = match Arc::try_unwrap(running) {
            Ok(last) if Arc::strong_count(&last.app) == 1 => return Ok(last),
            Ok(last) => Arc::new(last),
            Err(shared) => shared,
        };
        if since.elapsed() > CLOSE_TIME {
            return Err(running);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Forgets it on a thread that may wait for those of the file.
fn let_go(running: Arc<Running>) {
    drop(tokio::task::spawn_blocking(move || drop(running)));
}
