//! Runs writes, one after the other, and has them committed in batches.
//!
//! While one batch is on its way to the disk, the next is run over it, and over the committed state. Each
//! caller is answered after the commit that holds its change. Where a commit fails, what was run over it is
//! run again without it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use redb::Database;
use tokio::sync::{mpsc, oneshot};

use super::commit::{self, Committed};
use super::tx::{Staged, WriteTx};
use super::{Failure, Shared};
use crate::error::{Error, Result};

/// How many writes may share a commit.
const BATCH_MAX: usize = 512;

/// A write that waits for its turn. It may be run more than once, so it does nothing but read and
/// stage.
pub(super) trait Job: Send {
    /// Whether the staged changes are to be kept.
    fn run(&mut self, tx: &WriteTx) -> bool;
    /// Tells the caller, after the commit or the failure to commit.
    fn finish(self: Box<Self>, committed: std::result::Result<(), &Failure>);
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
        let outcome = catch_unwind(AssertUnwindSafe(|| (self.work)(tx)))
            .unwrap_or_else(|_| Err(Error::Internal("a write panicked".into())));
        let keep = outcome.is_ok();
        self.outcome = Some(outcome);
        keep
    }

    fn finish(self: Box<Self>, committed: std::result::Result<(), &Failure>) {
        let outcome = match (self.outcome, committed) {
            (Some(Ok(_)), Err(failure)) => Err(Error::Internal(failure.to_string())),
            (Some(outcome), _) => outcome,
            (None, _) => Err(Error::Internal("a write was never run".into())),
        };
        // A caller who has gone away needs no answer.
        let _ = self.answer.send(outcome);
    }
}

/// Runs until every sender is gone.
pub(super) fn run(database: Database, shared: &Shared, queue: mpsc::Receiver<Box<dyn Job>>) {
    // A runtime of this thread alone, to wait for two things at once.
    let runtime = match tokio::runtime::Builder::new_current_thread().build() {
        Ok(runtime) => runtime,
        Err(cause) => return shared.fail(&Failure::record(format!("writes cannot be waited for: {cause}"))),
    };
    std::thread::scope(|scope| {
        let database = &database;
        let (batches, to_commit) = mpsc::channel(1);
        let (report, reports) = mpsc::channel(1);
        let committer = std::thread::Builder::new().name("committer".into());
        let started =
            committer.spawn_scoped(scope, move || commit::run(database, shared, to_commit, &report));
        if let Err(cause) = started {
            return shared.fail(&Failure::record(format!("the committer cannot be started: {cause}")));
        }
        let tx = WriteTx::new(shared.newest.load_full()).bounded(shared.batch_bytes_max);
        let writer = Writer { shared, tx, ran: Vec::new(), sent: None, batches, reports };
        runtime.block_on(writer.run(queue));
    });
}

/// A batch on its way to the disk.
struct Sent {
    jobs: Vec<Box<dyn Job>>,
    tables: Vec<&'static str>,
}

struct Writer<'a> {
    shared: &'a Shared,
    /// The committed state, with what is on its way to the disk and what ran since laid over it.
    tx: WriteTx,
    ran: Vec<Box<dyn Job>>,
    sent: Option<Sent>,
    batches: mpsc::Sender<Arc<Staged>>,
    reports: mpsc::Receiver<Committed>,
}

impl Writer<'_> {
    async fn run(mut self, mut queue: mpsc::Receiver<Box<dyn Job>>) {
        let mut is_open = true;
        while is_open || self.sent.is_some() {
            tokio::select! {
                biased;
                report = self.reports.recv(), if self.sent.is_some() => {
                    let gone = || Err(Failure::record("the committer has stopped".into()));
                    self.settle(report.unwrap_or_else(gone)).await;
                }
                job = queue.recv(), if is_open && self.has_room() => match job {
                    Some(job) => self.take(job),
                    None => is_open = false,
                },
            }
            if self.sent.is_none() {
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
        self.ran.len() < BATCH_MAX && !self.tx.is_full()
    }

    fn take(&mut self, mut job: Box<dyn Job>) {
        let keep = job.run(&self.tx);
        self.tx.settle(keep);
        self.ran.push(job);
    }

    /// Hands what ran over to be committed. Nothing may be on its way.
    async fn send(&mut self) {
        if self.ran.is_empty() {
            return;
        }
        let jobs = std::mem::take(&mut self.ran);
        let staged = self.tx.hand_over();
        if staged.tables.is_empty() {
            return finish(jobs, &Ok(()));
        }
        self.sent = Some(Sent { jobs, tables: staged.tables.keys().copied().collect() });
        // Whether the committer is still there is found out when its report is waited for.
        let _ = self.batches.send(staged).await;
    }

    /// What was on its way has arrived, or not.
    async fn settle(&mut self, committed: Committed) {
        let Some(sent) = self.sent.take() else { return };
        match &committed {
            Ok(()) => self.tx.rebase(self.shared.newest.load_full()),
            Err(failure) => {
                self.shared.fail(failure);
                self.tx = WriteTx::new(self.shared.newest.load_full()).bounded(self.shared.batch_bytes_max);
                for job in std::mem::take(&mut self.ran) {
                    self.take(job);
                }
            }
        }
        // The disk first, then the callers.
        self.send().await;
        finish(sent.jobs, &committed);
        if committed.is_ok() {
            self.shared.wake(&sent.tables);
        }
    }
}

fn finish(jobs: Vec<Box<dyn Job>>, committed: &Committed) {
    for job in jobs {
        job.finish(committed.as_ref().copied());
    }
}
