//! Runs batch exports: makes the runs whose time has come, takes the next steps of backfills, and works
//! on what is open, a few runs at a time. All that it knows stands in the file, so that a restart goes on
//! where the last confirmed step ended.

mod file;
mod http;
mod job;
mod lines;
mod memory;
mod pack;
#[cfg_attr(not(feature = "parquet"), path = "no_parquet.rs")]
mod parquet;
mod postgres;
mod records;
mod s3;
mod turns;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tracing::{error, info};
use uuid::Uuid;

use crate::app::App;
use crate::clock::Time;
use crate::error::Result;
use crate::resources::batch_exports::destination::Kind;
use crate::resources::batch_exports::runs::{self, Context, Open, Outcome};
use crate::resources::batch_exports::{self, backfills};
use crate::resources::events::Arrivals;
use job::{Job, Stop};
use turns::{Seat, Turns};

/// The longest time without a look at the file.
const NAP_SECONDS_MAX: i64 = 60 * 60;
/// The time without a look at the file where it could not be looked at.
const NAP_SECONDS_ILL: i64 = 10 * 60;

/// An attempt that is being made.
struct UnderWay {
    run: Open,
    /// Tells the attempt that its run is over.
    over: Arc<Notify>,
    seat: Arc<Seat>,
}

/// What there is to do.
struct Work {
    open: Vec<Open>,
    /// When the next run will be made.
    next: Option<Time>,
    /// Whether several organizations have exports.
    is_shared: bool,
}

/// The attempts that are being made.
struct Driver {
    app: Arc<App>,
    tasks: JoinSet<Uuid>,
    under_way: HashMap<Uuid, UnderWay>,
    turns: Turns,
    /// An attempt has given up its worker, or wants one again.
    changed: Arc<Notify>,
}

/// Runs as long as the server does.
pub(super) async fn run(app: Arc<App>) {
    let work = app.store.watch(&batch_exports::work());
    let mut driver = Driver {
        tasks: JoinSet::new(),
        under_way: HashMap::new(),
        turns: Turns::new(app.config.exports.export_workers),
        changed: Arc::default(),
        app: Arc::clone(&app),
    };
    loop {
        // What is exported while its end can't be written down would be exported again.
        app.store.healed().await;
        let now = app.clock.now();
        let mut wake = now.plus_seconds(NAP_SECONDS_MAX);
        match look(&app).await {
            Ok(Work { open, next, is_shared }) => {
                driver.end(&open);
                driver.start(&open, now, is_shared);
                let later = open.iter().map(|run| run.next_attempt_at).filter(|time| *time > now);
                wake = later.chain(next).fold(wake, Time::min);
            }
            Err(cause) => {
                error!(%cause, "batch exports could not be looked at");
                wake = now.plus_seconds(NAP_SECONDS_ILL);
            }
        }
        tokio::select! {
            () = work.notified() => {}
            () = driver.changed.notified() => {}
            () = app.clock.until(wake) => {}
            Some(ended) = driver.tasks.join_next() => {
                if let Ok(id) = ended {
                    driver.under_way.remove(&id);
                }
            }
        }
    }
}

/// Brings the file up to now, where there is something to do, and says what there is.
async fn look(app: &Arc<App>) -> Result<Work> {
    let now = app.clock.now();
    if app.store.read(|tx| batch_exports::is_due(tx, now))? {
        let arrivals = arrivals(app);
        let write = app.store.write(move |tx| {
            backfills::advance_all(tx, &arrivals)?;
            batch_exports::schedule(tx, &arrivals)
        });
        write.await?;
    }
    app.store.read(|tx| {
        Ok(Work {
            open: runs::all_open(tx)?,
            next: batch_exports::next_due(tx, now)?,
            is_shared: batch_exports::are_shared(tx)?,
        })
    })
}

impl Driver {
    /// Tells attempts whose runs are over.
    fn end(&self, open: &[Open]) {
        for (id, attempt) in &self.under_way {
            if !open.iter().any(|run| run.id == *id) {
                attempt.over.notify_one();
            }
        }
    }

    /// Lets as many attempts go on, or begin, as there are free workers for.
    fn start(&mut self, open: &[Open], now: Time, is_shared: bool) {
        // Without their secrets they would fail for good; they wait for the key.
        if self.app.vault.is_locked() {
            return;
        }
        self.turns.keep(|organization| open.iter().any(|run| run.organization == *organization));
        loop {
            let working = self.under_way.values().filter(|attempt| attempt.seat.holds_a_worker());
            let held: Vec<Uuid> = working.map(|attempt| attempt.run.organization).collect();
            let resumed =
                self.under_way.values().filter(|attempt| attempt.seat.waits()).map(|attempt| &attempt.run);
            let due = open.iter().filter(|run| run.next_attempt_at <= now && self.is_free(run));
            let waiting: Vec<Open> = resumed.chain(due).copied().collect();
            let organizations: Vec<Uuid> = waiting.iter().map(|run| run.organization).collect();
            let Some(place) = self.turns.give(&organizations, &held, is_shared) else { return };
            self.seat(waiting[place]);
        }
    }

    /// Whether the run may begin: two runs of an export over the same interval are never worked on at once.
    fn is_free(&self, run: &Open) -> bool {
        let is_same = |other: &UnderWay| other.run.export == run.export && other.run.end == run.end;
        !self.under_way.contains_key(&run.id) && !self.under_way.values().any(is_same)
    }

    /// Gives a worker to a run.
    fn seat(&mut self, run: Open) {
        if let Some(attempt) = self.under_way.get(&run.id) {
            attempt.seat.go_on();
            return;
        }
        let over = Arc::new(Notify::new());
        let seat = Arc::new(Seat::new(Arc::clone(&self.changed)));
        self.tasks.spawn(attempt(Arc::clone(&self.app), run, Arc::clone(&over), Arc::clone(&seat)));
        self.under_way.insert(run.id, UnderWay { run, over, seat });
    }
}

/// Makes one attempt at a run and writes down how it ended.
async fn attempt(app: Arc<App>, run: Open, over: Arc<Notify>, seat: Arc<Seat>) -> Uuid {
    let working = AssertUnwindSafe(work(&app, run, over, seat)).catch_unwind();
    let outcome = match working.await {
        Ok(Ok(Some(outcome))) => outcome,
        Ok(Ok(None)) => return run.id,
        Ok(Err(cause)) => {
            error!(%cause, run = %run.id, "a run of a batch export failed");
            Outcome::Retryable("An unexpected error has ocurred".into())
        }
        Err(_) => {
            error!(run = %run.id, "a run of a batch export panicked");
            Outcome::Retryable("An unexpected error has ocurred".into())
        }
    };
    info!(run = %run.id, export = %run.export, ?outcome, "an attempt at a run of a batch export ended");
    let arrivals = arrivals(&app);
    let settled = app.store.write(move |tx| {
        let context = Context { arrivals: &arrivals, export: run.export, id: run.id };
        runs::settle(tx, &context, &outcome)
    });
    if let Err(cause) = settled.await {
        error!(%cause, run = %run.id, "the end of a run could not be written down");
    }
    run.id
}

/// The attempt itself; `None` where the run was ended meanwhile.
async fn work(app: &Arc<App>, run: Open, over: Arc<Notify>, seat: Arc<Seat>) -> Result<Option<Outcome>> {
    let Some(job) = Job::begin(app, run, over, seat).await? else { return Ok(None) };
    let _memory = memory::taken(app, &job).await;
    match export(&job).await {
        Ok(records) => Ok(Some(Outcome::Completed { records })),
        Err(Stop::Gone) => Ok(None),
        Err(Stop::Retryable(error)) => Ok(Some(Outcome::Retryable(job.without_secrets(error)))),
        Err(Stop::Fatal(error)) => Ok(Some(Outcome::Fatal(job.without_secrets(error)))),
        Err(Stop::Broken(cause)) => Err(cause),
    }
}

/// Delivers what the job asks for; the number of records.
async fn export(job: &Job) -> std::result::Result<u64, Stop> {
    if let Some(name) = job.lacks() {
        return Err(Stop::Fatal(format!(
            "ConfigurationError: The configuration lacks '{name}'. If the secret key of this server has changed, the secrets of this batch export must be entered again."
        )));
    }
    match job.plan.destination.kind {
        Kind::NoOp => Ok(0),
        Kind::Http => job.in_time(http::export(job)).await,
        Kind::S3 => s3::export(job).await,
        Kind::Postgres | Kind::Redshift => job.in_time(postgres::export(job)).await,
        kind => Err(Stop::Fatal(format!(
            "NotImplementedError: This version of orgd cannot deliver to {}. Nothing was exported.",
            kind.name()
        ))),
    }
}

fn arrivals(app: &Arc<App>) -> Arrivals {
    Arrivals { clock: Arc::clone(&app.clock), ids: Arc::clone(&app.ids) }
}
