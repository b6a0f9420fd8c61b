//! Runs writes, one after the other, and has them committed in batches.
//!
//! While one batch is on its way to the disk, the next is run over it, and over the committed state. Each
//! caller is answered after the commit that holds its change. Where a commit fails, what was run over it is
//! run again without it, and refused if it changes anything, until the file can be written again.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::changes::Changes;
use super::commit::{Committed, Committer, Report};
use super::file::DataFile;
use super::guard::guarded;
use super::tx::{Staged, WriteTx};
use super::{RETRY_SECONDS, Shared, StoreError};
use crate::error::{Error, Result};
use crate::metrics;

/// How many writes may share a commit.
const BATCH_MAX: usize = 512;

/// A write that waits for its turn. It may be run more than once, so it does nothing but read and
/// stage.
pub(super) trait Job: Send {
    /// Whether the staged changes are to be kept.
    fn run(&mut self, tx: &WriteTx) -> bool;
    /// Tells the caller, after the commit or the failure to commit.
    fn finish(self: Box<Self>, committed: std::result::Result<(), &StoreError>);
}

pub(super) struct Write<F, T> {
    pub(super) work: F,
    pub(super) outcome: Option<Result<T>>,
    pub(super) answer: oneshot::Sender<Result<T>>,
}

impl<F, T> Job for Write<F, T>
where
    F: FnMut(&WriteTx) -> Result<T> + Send,
    T: Send,
{
    fn run(&mut self, tx: &WriteTx) -> bool {
        // A panic must not lose the neighbours: the staged changes go, the thread stays.
        let outcome = guarded(|| (self.work)(tx));
        let outcome =
            outcome.unwrap_or_else(|cause| Err(Error::internal(format!("a write panicked: {cause}"))));
        let keep = outcome.is_ok();
        self.outcome = Some(outcome);
        keep
    }

    fn finish(self: Box<Self>, committed: std::result::Result<(), &StoreError>) {
        let outcome = match (self.outcome, committed) {
            (Some(Ok(_)), Err(_)) => Err(Error::Busy { retry_after_seconds: RETRY_SECONDS }),
            (Some(outcome), _) => outcome,
            (None, _) => Err(Error::internal("a write was never run")),
        };
        // A caller who has gone away needs no answer.
        let _ = self.answer.send(outcome);
    }
}

/// A batch over the newest committed state.
fn start(shared: &Shared) -> WriteTx {
    let tx = WriteTx::new(shared.newest.load_full(), Arc::clone(&shared.schema));
    tx.bounded(shared.batch_bytes_max)
}

/// Runs until every sender is gone.
pub(super) fn run(file: DataFile, shared: &Shared, queue: mpsc::Receiver<Box<dyn Job>>) {
    // Runtimes of these two threads alone, to wait for several things at once.
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build();
    let (writing, committing) = match (runtime(), runtime()) {
        (Ok(writing), Ok(committing)) => (writing, committing),
        (Err(cause), _) | (_, Err(cause)) => {
            return shared.give_up(format!("writes cannot be waited for: {cause}"));
        }
    };
    std::thread::scope(|scope| {
        let (batches, to_commit) = mpsc::channel(1);
        let (report, reports) = mpsc::channel(1);
        let committer = Committer { file, shared, batches: to_commit, reports: report };
        let started = std::thread::Builder::new()
            .name("committer".into())
            .spawn_scoped(scope, move || committing.block_on(committer.run()));
        if let Err(cause) = started {
            return shared.give_up(format!("the committer cannot be started: {cause}"));
        }
        let tx = start(shared);
        let writer = Writer { shared, tx, executed: Vec::new(), in_flight: None, batches, reports };
        writing.block_on(writer.run(queue));
    });
}

/// A batch on its way to the disk.
struct InFlight {
    jobs: Vec<Box<dyn Job>>,
    tables: Vec<&'static str>,
}

struct Writer<'a> {
    shared: &'a Shared,
    /// The committed state, with what is on its way to the disk and what ran since laid over it.
    tx: WriteTx,
    executed: Vec<Box<dyn Job>>,
    in_flight: Option<InFlight>,
    batches: mpsc::Sender<Arc<Staged>>,
    reports: mpsc::Receiver<Report>,
}

impl Writer<'_> {
    async fn run(mut self, mut queue: mpsc::Receiver<Box<dyn Job>>) {
        let mut is_open = true;
        while is_open || self.in_flight.is_some() {
            tokio::select! {
                biased;
                report = self.reports.recv(), if !self.reports.is_closed() || self.in_flight.is_some() => match report {
                    Some(Report::Committed(committed)) => self.settle(committed).await,
                    Some(Report::Reopened) => self.tx.move_to(self.shared.newest.load_full()),
                    None => self.settle(Err(StoreError::record("the committer has stopped".into()))).await,
                },
                job = queue.recv(), if is_open && self.has_room() => match job {
                    Some(job) => self.take(job),
                    None => is_open = false,
                },
            }
            if self.in_flight.is_none() {
                while self.has_room()
                    && let Ok(job) = queue.try_recv()
                {
                    self.take(job);
                }
                self.send().await;
            }
        }
    }

    /// Whether the batch may take another write: it is bounded in writes, and in the memory of its changes.
    fn has_room(&self) -> bool {
        self.executed.len() < BATCH_MAX && !self.tx.is_full()
    }

    fn take(&mut self, mut job: Box<dyn Job>) {
        let keep = job.run(&self.tx);
        self.tx.end_write(keep);
        self.executed.push(job);
    }

    /// Hands what ran over to be committed. Nothing may be on its way.
    async fn send(&mut self) {
        if self.executed.is_empty() {
            return;
        }
        let jobs = std::mem::take(&mut self.executed);
        let staged = self.tx.take_batch();
        if staged.tables.is_empty() {
            return finish(jobs, &Ok(()));
        }
        if self.shared.is_failed() {
            self.tx = start(self.shared);
            return finish(jobs, &Err(StoreError::disk("it can't be written now")));
        }
        metrics::BATCH_WRITES.record(jobs.len() as u64);
        self.in_flight = Some(InFlight { jobs, tables: staged.tables.keys().copied().collect() });
        // Whether the committer is still there is found out when its report is waited for.
        let _ = self.batches.send(staged).await;
    }

    /// What was on its way has arrived, or not.
    async fn settle(&mut self, committed: Committed) {
        let Some(batch) = self.in_flight.take() else { return };
        match &committed {
            Ok(()) => self.tx.advance_to(self.shared.newest.load_full()),
            Err(failure) => {
                tracing::debug!(%failure, "a batch is refused");
                self.tx = start(self.shared);
                for job in std::mem::take(&mut self.executed) {
                    self.take(job);
                }
            }
        }
        // The disk first, then the callers.
        self.send().await;
        // Whoever was answered finds that those who wait for the change have something to do.
        if committed.is_ok() {
            self.shared.each_watch(&batch.tables, Changes::count_one);
        }
        finish(batch.jobs, &committed);
        if committed.is_ok() {
            self.shared.each_watch(&batch.tables, Changes::wake);
        }
    }
}

fn finish(jobs: Vec<Box<dyn Job>>, committed: &Committed) {
    let counter = if committed.is_ok() { &metrics::WRITES_DONE } else { &metrics::WRITES_FAILED };
    counter.add(jobs.len() as u64);
    for job in jobs {
        job.finish(committed.as_ref().copied());
    }
}
