//! Decides which runs are attempted when: makes the runs that are due, takes the next steps of backfills, and
//! gives the workers to attempts, by organization.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::attempt;
use super::turns::{Seat, WorkerTurns};
use crate::app::App;
use crate::background::task::Task;
use crate::clock::Time;
use crate::error::Result;
use crate::ids::{OrganizationId, RunId};
use crate::resources::batch_exports::runs::{self, Open};
use crate::resources::batch_exports::{self, backfills, schedule};
use crate::resources::events::EventIds;
use crate::store::{Changes, TableInfo, Tx};

/// An attempt that is running.
struct Running {
    run: Open,
    /// Notified when the run is over before its attempt is.
    ended: Arc<Notify>,
    seat: Arc<Seat>,
}

/// What there is to do.
struct Work {
    open: Vec<Open>,
    /// Whether several organizations have exports.
    is_shared: bool,
}

/// The task, with the attempts that are running.
pub(in crate::background) struct Driver {
    app: Arc<App>,
    attempts: JoinSet<RunId>,
    running: HashMap<RunId, Running>,
    turns: WorkerTurns,
    /// An attempt has given up its worker, or wants one again.
    seats_changed: Arc<Changes>,
    /// The time of the last look: what is due later has not been seen to.
    looked_at: Time,
}

impl Task for Driver {
    const NAME: &'static str = "batch_exports";
    const EVERY_SECONDS: i64 = 60 * 60;
    const ERROR_BACKOFF_SECONDS: i64 = 10 * 60;

    fn wakes_on() -> Vec<TableInfo> {
        batch_exports::work().into()
    }

    async fn turn(&mut self, app: &Arc<App>) -> Result<()> {
        let now = app.clock.now();
        let Work { open, is_shared } = look(app, now).await?;
        self.end(&open);
        self.start(&open, now, is_shared);
        self.looked_at = now;
        Ok(())
    }

    fn next_due(&self, _app: &App, tx: &Tx) -> Result<Option<Time>> {
        let open = runs::all_open(tx)?;
        let later = open.iter().map(|run| run.next_attempt_at).filter(|time| *time > self.looked_at);
        Ok(later.chain(schedule::next_due(tx, self.looked_at)?).min())
    }

    /// The attempts that do something; one that rests waits for the clock.
    fn under_way(&self) -> usize {
        let is_busy = |attempt: &&Running| attempt.seat.holds_a_worker() || attempt.seat.waits();
        self.running.values().filter(is_busy).count()
    }

    fn wakers(&self) -> Vec<Arc<Changes>> {
        vec![Arc::clone(&self.seats_changed)]
    }

    /// Besides commits, an attempt that ends or gives up its worker starts the next run.
    async fn woken(&mut self) {
        tokio::select! {
            () = self.seats_changed.noted() => {}
            Some(ended) = self.attempts.join_next() => {
                if let Ok(id) = ended {
                    self.running.remove(&id);
                }
            }
        }
    }
}

/// Brings the file up to now, where something is due, and returns what there is to do.
async fn look(app: &Arc<App>, now: Time) -> Result<Work> {
    if app.store.read(|tx| schedule::is_due(tx, now))? {
        let event_ids = EventIds { clock: Arc::clone(&app.clock), ids: Arc::clone(&app.ids) };
        let write = app.store.write(move |tx| {
            backfills::advance_all(tx, &event_ids)?;
            schedule::make_due(tx, &event_ids)
        });
        write.await?;
    }
    app.store.read(|tx| Ok(Work { open: runs::all_open(tx)?, is_shared: schedule::are_shared(tx)? }))
}

impl Driver {
    pub(in crate::background) fn new(app: &Arc<App>) -> Driver {
        Driver {
            app: Arc::clone(app),
            attempts: JoinSet::new(),
            running: HashMap::new(),
            turns: WorkerTurns::new(app.config.exports.export_workers),
            seats_changed: Arc::default(),
            looked_at: Time(i64::MIN),
        }
    }

    /// Notifies the attempts whose runs are over.
    fn end(&self, open: &[Open]) {
        for (id, attempt) in &self.running {
            if !open.iter().any(|run| run.id == *id) {
                attempt.ended.notify_one();
            }
        }
    }

    /// Lets as many attempts continue, or begin, as there are free workers for.
    fn start(&mut self, open: &[Open], now: Time, is_shared: bool) {
        // Without their secrets they would fail for good; they wait for the key.
        if self.app.vault.is_locked() {
            return;
        }
        self.turns.keep(|organization| open.iter().any(|run| run.organization == *organization));
        loop {
            let working = self.running.values().filter(|attempt| attempt.seat.holds_a_worker());
            let held: Vec<OrganizationId> = working.map(|attempt| attempt.run.organization).collect();
            let resumed =
                self.running.values().filter(|attempt| attempt.seat.waits()).map(|attempt| &attempt.run);
            let due = open.iter().filter(|run| run.next_attempt_at <= now && self.is_free(run));
            let waiting: Vec<Open> = resumed.chain(due).copied().collect();
            let organizations: Vec<OrganizationId> = waiting.iter().map(|run| run.organization).collect();
            let Some(place) = self.turns.give(&organizations, &held, is_shared) else { return };
            self.seat(waiting[place]);
        }
    }

    /// Whether the run may begin. Invariant: two runs of an export over the same interval are never attempted at
    /// once.
    fn is_free(&self, run: &Open) -> bool {
        let is_same = |other: &Running| other.run.export == run.export && other.run.end == run.end;
        !self.running.contains_key(&run.id) && !self.running.values().any(is_same)
    }

    /// Gives a worker to a run.
    fn seat(&mut self, run: Open) {
        if let Some(attempt) = self.running.get(&run.id) {
            attempt.seat.resume();
            return;
        }
        let ended = Arc::new(Notify::new());
        let seat = Arc::new(Seat::new(Arc::clone(&self.seats_changed)));
        let attempt = attempt::make(Arc::clone(&self.app), run, Arc::clone(&ended), Arc::clone(&seat));
        self.attempts.spawn(attempt);
        self.running.insert(run.id, Running { run, ended, seat });
    }
}
