//! What a server of the process is beside its open data, and what such a server begins with.

use std::sync::Arc;

use crate::app::{App, Kept};
use crate::clock::{Clock, Ids};
use crate::error::{Error, Result};
use crate::resources::registry;
use crate::store::{Frozen, Pages, Storage, Store};
use crate::test_server::TestServer;
use crate::test_server::journal::Limits;

/// What outlives the open data.
#[derive(Clone)]
pub(super) struct State {
    pub(super) pages: Pages,
    test_server: Arc<TestServer>,
    kept: Kept,
}

impl State {
    /// That of an open server in memory; `None` for any other.
    pub(super) fn of(app: &App) -> Option<State> {
        let kept = Kept {
            clock: Arc::clone(&app.clock),
            ids: Arc::clone(&app.ids),
            throttles: Arc::clone(&app.throttles),
            test_server: app.test_server.clone(),
            started_at: app.started_at,
        };
        Some(State { pages: app.store.pages()?.clone(), test_server: kept.test_server.clone()?, kept })
    }

    /// Opens the data, with the settings and the secret key of `model`.
    pub(super) fn open(&self, model: &App, cache_bytes: usize) -> Result<App> {
        let place = Storage::Memory(self.pages.clone());
        let store = Store::open(place, cache_bytes, registry::tables());
        let store = store.map_err(|cause| Error::internal(cause.to_string()))?;
        Ok(model.beside(store, self.kept.clone()))
    }

    /// Ends what waits there for something else.
    pub(super) fn stop(&self) {
        self.test_server.stop();
    }

    /// Whether a background task has something to do now.
    pub(super) fn is_busy(&self) -> bool {
        !self.test_server.tasks.busy(self.kept.clock.now()).is_empty()
    }

    /// The memory of what was called and sent, in bytes.
    pub(super) fn observed_bytes(&self) -> u64 {
        (self.test_server.journal.bytes() + self.test_server.mailbox.bytes()) as u64
    }
}

/// What a server begins with.
pub(super) struct Beginning {
    pub(super) data: Frozen,
    clock: Clock,
    ids: Ids,
    test_server: TestServer,
}

impl Beginning {
    /// What the server is now. The data first: identifiers that were drawn since are only passed over.
    pub(super) fn of(state: &State) -> Beginning {
        let data = state.pages.freeze();
        let (clock, ids) = (state.kept.clock.copy(), state.kept.ids.copy());
        Beginning { data, clock, ids, test_server: state.test_server.copy(Limits::FORK) }
    }

    /// A server that begins so. `limits` are those of its journal.
    pub(super) fn open(&self, limits: Limits) -> State {
        let clock = Arc::new(self.clock.copy());
        let test_server = Arc::new(self.test_server.copy(limits));
        let kept = Kept {
            started_at: clock.now(),
            clock,
            ids: Arc::new(self.ids.copy()),
            throttles: Arc::default(),
            test_server: Some(Arc::clone(&test_server)),
        };
        State { pages: self.data.open(), test_server, kept }
    }
}
