//! One server of the process: what it holds as long as it is there, and its data while that is open.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::app::forks::{ForkOf, ShownFork};
use crate::app::{App, Outside};
use crate::background;
use crate::clock::{Clock, Ids};
use crate::error::{Error, Result};
use crate::resources::registry;
use crate::store::{Frozen, Pages, Storage, Store};
use crate::test_server::TestServer;

/// Pages of an open fork that are kept beside its memory, in bytes.
const CACHE_BYTES: usize = 256 * 1024;
/// How long a fork that is to be closed may take to finish what is under way.
const CLOSE_TIME: Duration = Duration::from_millis(200);

/// What a fork begins with.
pub(super) struct Beginning {
    pub(super) data: Frozen,
    clock: Clock,
    ids: Ids,
    test_server: TestServer,
}

impl Beginning {
    /// What the server holds now. The data first: identifiers that were drawn since are only passed over.
    pub(super) fn of(state: &State) -> Beginning {
        let data = state.pages.freeze();
        let (clock, ids) = (state.clock.copy(), state.ids.copy());
        Beginning { data, clock, ids, test_server: state.test_server.copy() }
    }

    pub(super) fn open(&self) -> State {
        State {
            pages: self.data.open(),
            clock: Arc::new(self.clock.copy()),
            ids: Arc::new(self.ids.copy()),
            test_server: Arc::new(self.test_server.copy()),
        }
    }
}

/// What outlives the open data.
#[derive(Clone)]
pub(super) struct State {
    pages: Pages,
    clock: Arc<Clock>,
    ids: Arc<Ids>,
    test_server: Arc<TestServer>,
}

impl State {
    /// That of an open server in memory; `None` for any other.
    pub(super) fn of(app: &App) -> Option<State> {
        Some(State {
            pages: app.store.pages()?.clone(),
            clock: Arc::clone(&app.clock),
            ids: Arc::clone(&app.ids),
            test_server: Arc::clone(app.test_server.as_ref()?),
        })
    }

    /// Opens the data, with the settings and the secret key of `model`.
    fn open(&self, model: &App) -> Result<App> {
        let place = Storage::Memory(self.pages.clone());
        let store = Store::open(place, CACHE_BYTES, registry::tables())
            .map_err(|cause| Error::internal(cause.to_string()))?;
        let outside = Outside {
            clock: Arc::clone(&self.clock),
            ids: Arc::clone(&self.ids),
            test_server: Some(Arc::clone(&self.test_server)),
        };
        Ok(model.beside(store, outside))
    }
}

/// A server whose data is open, and what works on it.
struct Running {
    app: Arc<App>,
    tasks: Mutex<JoinSet<()>>,
}

impl Running {
    fn start(app: Arc<App>) -> Arc<Running> {
        let tasks = Mutex::new(background::start(&app));
        Arc::new(Running { app, tasks })
    }

    async fn end_tasks(&self) {
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        tasks.shutdown().await;
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) struct Member {
    pub(super) id: String,
    /// The snapshot that it began with.
    pub(super) of: Option<String>,
    pub(super) port: u16,
    pub(super) beginning: Arc<Beginning>,
    state: Mutex<State>,
    running: ArcSwapOption<Running>,
    /// Held by whoever opens, closes or resets it: its data is open once at the most.
    turn: tokio::sync::Mutex<()>,
    /// In milliseconds since `born`.
    used_at: AtomicU64,
    born: Instant,
    /// Ends its listener when it is dropped.
    listening: Mutex<Option<oneshot::Sender<()>>>,
}

impl Member {
    pub(super) fn new(
        (id, of): (String, Option<String>),
        port: u16,
        beginning: Arc<Beginning>,
        state: State,
    ) -> Member {
        Member {
            id,
            of,
            port,
            beginning,
            state: Mutex::new(state),
            running: ArcSwapOption::empty(),
            turn: tokio::sync::Mutex::default(),
            used_at: AtomicU64::new(0),
            born: Instant::now(),
            listening: Mutex::default(),
        }
    }

    pub(super) fn state(&self) -> State {
        lock(&self.state).clone()
    }

    pub(super) fn listens(&self, stop: oneshot::Sender<()>) {
        *lock(&self.listening) = Some(stop);
    }

    /// Begins to serve with data that is open already.
    pub(super) fn run(&self, app: Arc<App>) {
        self.running.store(Some(Running::start(app)));
    }

    /// The data, where it is open.
    pub(super) fn open_app(&self) -> Option<Arc<App>> {
        let app = self.running.load().as_ref().map(|running| Arc::clone(&running.app))?;
        self.touch();
        Some(app)
    }

    /// The data, opened if need be.
    pub(super) async fn app(&self, model: &App, of: impl Fn() -> ForkOf) -> Result<Arc<App>> {
        if let Some(app) = self.open_app() {
            return Ok(app);
        }
        let _turn = self.turn.lock().await;
        if let Some(app) = self.open_app() {
            return Ok(app);
        }
        let app = self.opened(&self.state(), model, of)?;
        self.run(Arc::clone(&app));
        self.touch();
        Ok(app)
    }

    fn opened(&self, state: &State, model: &App, of: impl Fn() -> ForkOf) -> Result<Arc<App>> {
        let app = state.open(model)?;
        let _ = app.forks.set(of());
        Ok(Arc::new(app))
    }

    /// Goes back to a beginning. Whoever has the old data keeps it to their end.
    pub(super) async fn reset(&self, to: &Beginning, model: &App, of: impl Fn() -> ForkOf) -> Result<()> {
        let _turn = self.turn.lock().await;
        let state = to.open();
        let app = self.opened(&state, model, of)?;
        let old = self.running.swap(Some(Running::start(app)));
        let old_state = std::mem::replace(&mut *lock(&self.state), state);
        old_state.test_server.stop();
        if let Some(old) = old {
            old.end_tasks().await;
            let_go(old);
        }
        Ok(())
    }

    /// Ends all that it does.
    pub(super) async fn end(&self) {
        let _turn = self.turn.lock().await;
        drop(lock(&self.listening).take());
        self.state().test_server.stop();
        if let Some(running) = self.running.swap(None) {
            running.end_tasks().await;
            let_go(running);
        }
    }

    /// Ends what works on the data, which stays as it is.
    pub(super) async fn end_tasks(&self) {
        let running = self.running.load_full();
        if let Some(running) = running {
            running.end_tasks().await;
        }
    }

    /// Closes the data where nobody has used it for so long; it is opened again by the next request.
    pub(super) async fn close_idle(&self, time: Duration) {
        let Ok(_turn) = self.turn.try_lock() else { return };
        if self.idle_time() < time {
            return;
        }
        let Some(mut running) = self.running.swap(None) else { return };
        running.end_tasks().await;
        let since = Instant::now();
        loop {
            match Arc::try_unwrap(running) {
                Ok(last) if Arc::strong_count(&last.app) == 1 => {
                    // Closing the file takes the thread for a moment.
                    let _ = tokio::task::spawn_blocking(move || drop(last)).await;
                    return;
                }
                Ok(last) => running = Arc::new(last),
                Err(shared) => running = shared,
            }
            if since.elapsed() > CLOSE_TIME {
                // A request has it still.
                self.run(Arc::clone(&running.app));
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// How long nobody has used it.
    pub(super) fn idle_time(&self) -> Duration {
        let used_at = Duration::from_millis(self.used_at.load(Ordering::Relaxed));
        self.born.elapsed().saturating_sub(used_at)
    }

    fn touch(&self) {
        let now = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.used_at.store(now, Ordering::Relaxed);
    }

    pub(super) fn is_open(&self) -> bool {
        self.running.load().is_some()
    }

    pub(super) fn own_bytes(&self) -> u64 {
        lock(&self.state).pages.own_bytes()
    }

    pub(super) fn shown(&self) -> ShownFork {
        ShownFork {
            id: self.id.clone(),
            of: self.of.clone(),
            port: self.port,
            own_bytes: self.own_bytes(),
            open: self.is_open(),
        }
    }
}

/// Forgets it on a thread that may wait for its writer.
fn let_go(running: Arc<Running>) {
    drop(tokio::task::spawn_blocking(move || drop(running)));
}
