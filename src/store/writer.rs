//! The one thread that writes. It takes the writes that are waiting, runs each over the state so
//! far, commits them together, and answers each caller after the commit that holds its change.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use redb::Database;
use tokio::sync::{mpsc, oneshot};

use super::memo::Group;
use super::snapshot::{Snapshot, definition};
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
pub(super) fn run(database: Database, shared: &Shared, mut queue: mpsc::Receiver<Box<dyn Job>>) {
    let mut jobs: Vec<Box<dyn Job>> = Vec::with_capacity(BATCH_MAX);
    while let Some(first) = queue.blocking_recv() {
        jobs.push(first);
        while jobs.len() < BATCH_MAX {
            match queue.try_recv() {
                Ok(job) => jobs.push(job),
                Err(_) => break,
            }
        }
        let tx = WriteTx::new(shared.snapshot());
        for job in &mut jobs {
            let keep = job.run(&tx);
            tx.settle(keep);
        }
        let batch = tx.into_batch();
        let changed = changed_groups(shared, &batch);
        let committed = commit(&database, batch).and_then(|()| publish(&database, shared, changed));
        if let Err(failure) = &committed {
            shared.fail(failure);
        }
        for job in jobs.drain(..) {
            job.finish(committed.as_ref().copied());
        }
    }
}

/// The groups of which answers may be remembered and that the batch changes.
fn changed_groups(shared: &Shared, batch: &Staged) -> HashSet<Group> {
    let remembered = shared.tables.iter().filter(|table| table.remembered);
    let changes = remembered.filter_map(|table| batch.tables.get(table.name));
    changes.flat_map(|changes| changes.keys()).filter_map(|key| key.first_chunk().copied()).collect()
}

/// Lets readers see what was committed.
fn publish(
    database: &Database,
    shared: &Shared,
    changed: HashSet<Group>,
) -> std::result::Result<(), Failure> {
    let names = shared.tables.iter().map(|table| table.name);
    let generation = shared.snapshot().generation + 1;
    let snapshot = Snapshot::take(database, names, generation, Arc::clone(&shared.memos))?;
    for group in changed {
        shared.memos.changed(generation, group);
    }
    shared.publish(Arc::new(snapshot));
    Ok(())
}

/// Writes the changes in one durable transaction; a failure leaves none of them.
pub(super) fn commit(database: &Database, batch: Staged) -> std::result::Result<(), Failure> {
    if batch.is_empty() {
        return Ok(());
    }
    let mut transaction = database.begin_write().map_err(Failure::storage)?;
    // Two-phase commit with the allocator's state: the start after a crash takes milliseconds.
    transaction.set_quick_repair(true);
    for (name, changes) in batch.tables {
        let mut table = transaction.open_table(definition(name)).map_err(Failure::storage)?;
        for (key, value) in changes {
            match value {
                Some(value) => {
                    drop(table.insert(key.as_slice(), value.as_slice()).map_err(Failure::storage)?)
                }
                None => drop(table.remove(key.as_slice()).map_err(Failure::storage)?),
            }
        }
    }
    transaction.commit().map_err(Failure::storage)
}
