//! One attempt at a run, from top to bottom: plan, read, encode, deliver, note.
//!
//! | stage | type | file |
//! |---|---|---|
//! | what is to be exported, and where to | `Plan` | `plan.rs` |
//! | records from the data file, batch by batch | `Reader` | `read.rs` |
//! | records as the destination takes them | `Columns`, `Encoder` | `encode/` |
//! | sending them | `Delivery` | `deliver/`, one file for each destination |
//! | what was confirmed, and how it ended | `Notes` | `note.rs` |

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::Notify;
use tracing::{error, info};

use super::deliver::http::HttpDelivery;
use super::deliver::postgres::TableDelivery;
use super::deliver::s3::FileDelivery;
use super::deliver::{Delivery, Transport};
use super::error::{AttemptError, Result};
use super::memory;
use super::note::Notes;
use super::plan::Plan;
use super::read::Reader;
use super::turns::Seat;
use crate::app::App;
use crate::ids::RunId;
use crate::resources::batch_exports::destination::Kind;
use crate::resources::batch_exports::runs::{Open, Outcome};

/// What people see of a fault of this server (sic, upstream's spelling).
const UNEXPECTED: &str = "An unexpected error has ocurred";

/// Makes one attempt at a run and notes how it ended; returns the run's identifier. `ended` is notified when
/// the run is over before its attempt is.
pub(super) async fn make(app: Arc<App>, run: Open, ended: Arc<Notify>, seat: Arc<Seat>) -> RunId {
    let notes = Notes::new(&app, &run);
    let stages = AssertUnwindSafe(stages(&app, &notes, ended, seat)).catch_unwind();
    let outcome = match stages.await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(AttemptError::Ended)) => return run.id,
        Ok(Err(AttemptError::Retryable(error))) => Outcome::Retryable(error),
        Ok(Err(AttemptError::Throttled { error, seconds })) => Outcome::Throttled { error, seconds },
        Ok(Err(AttemptError::Fatal(error))) => Outcome::Fatal(error),
        Ok(Err(AttemptError::Internal(cause))) => {
            error!(%cause, run = %run.id, "a run of a batch export failed");
            Outcome::Retryable(UNEXPECTED.into())
        }
        Err(_) => {
            error!(run = %run.id, "a run of a batch export panicked");
            Outcome::Retryable(UNEXPECTED.into())
        }
    };
    info!(run = %run.id, export = %run.export, ?outcome, "an attempt at a run of a batch export ended");
    if let Err(cause) = notes.outcome(outcome).await {
        error!(%cause, run = %run.id, "the end of a run could not be written down");
    }
    run.id
}

/// The stages of the attempt.
async fn stages(app: &Arc<App>, notes: &Notes, ended: Arc<Notify>, seat: Arc<Seat>) -> Result<Outcome> {
    let plan = Plan::begin(app, notes).await?;
    let _memory = memory::reserve(app, plan.memory_bytes()).await;
    let transport = Transport::new(app, seat);
    let exported = export(&Stages { app, plan: &plan, notes, transport: &transport, ended: &ended }).await;
    let redacted = |error: AttemptError| error.map(|text| plan.redactor.redact(text));
    exported.map(|records| Outcome::Completed { records }).map_err(redacted)
}

/// What the stages of one attempt share.
struct Stages<'a> {
    app: &'a Arc<App>,
    plan: &'a Plan,
    notes: &'a Notes,
    transport: &'a Transport,
    ended: &'a Notify,
}

/// Exports to the destination of the plan; returns the number of records.
async fn export(stages: &Stages<'_>) -> Result<u64> {
    let &Stages { app, plan, notes, transport, .. } = stages;
    plan.check()?;
    match plan.kind {
        Kind::NoOp => Ok(0),
        Kind::Http => {
            let reader = Reader::resume(app, plan);
            stages.run(reader, HttpDelivery::new(plan, notes, transport)?).await
        }
        Kind::S3 => stages.run(Reader::new(app, plan), FileDelivery::new(plan, transport)?).await,
        Kind::Postgres | Kind::Redshift => {
            stages.run(Reader::new(app, plan), TableDelivery::new(plan, notes, transport)?).await
        }
        kind => Err(AttemptError::Fatal(format!(
            "NotImplementedError: This version of orgd cannot deliver to {}. Nothing was exported.",
            kind.name()
        ))),
    }
}

impl Stages<'_> {
    /// Runs the stages within the attempt's time, and cleans up after a failure.
    async fn run(&self, reader: Reader, mut delivery: impl Delivery) -> Result<u64> {
        let exported = self.in_time(self.copy(reader, &mut delivery)).await;
        if exported.is_err() {
            delivery.abort().await;
        }
        exported
    }

    /// Reads, encodes, delivers and notes, batch by batch; returns the number of records.
    async fn copy(&self, mut reader: Reader, delivery: &mut impl Delivery) -> Result<u64> {
        if let Some(records) = delivery.delivered_before().await? {
            return Ok(records);
        }
        // Read
        while let Some(batch) = reader.next().await? {
            // Encode
            delivery.encode(batch)?;
            // Note: this also finds out whether the run is still wanted.
            self.notes.progress(delivery.confirmed()).await?;
            // Deliver
            while delivery.send_next().await? {
                self.notes.progress(delivery.confirmed()).await?;
            }
        }
        delivery.finish(reader.records()).await?;
        Ok(reader.records())
    }

    /// Does the work, for as long as the run is not over and the attempt not too late.
    async fn in_time<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let seconds = self.plan.attempt_seconds_max();
        tokio::select! {
            biased;
            outcome = work => outcome,
            () = self.ended.notified() => Err(AttemptError::Ended),
            () = self.transport.until(self.plan.begun_at.plus_seconds(seconds)) => Err(AttemptError::Retryable(
                format!("TimeoutError: The attempt took longer than {seconds} seconds"),
            )),
        }
    }
}
