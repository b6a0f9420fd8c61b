//! Commits: makes what a batch of writes has changed durable, and lets readers see it.

use std::sync::Arc;
use std::time::Instant;

use redb::{Database, Durability, WriteTransaction};
use tokio::sync::mpsc;

use super::file::DataFile;
use super::migrate::{self, META};
use super::snapshot::definition;
use super::tx::Staged;
use super::write_ahead::{Change, Missing, Position};
use super::{Shared, StoreError};
use crate::metrics;

/// How a commit went.
pub(super) type Committed = Result<(), StoreError>;

/// What the committer reports to the writer.
pub(super) enum Report {
    Committed(Committed),
    /// The newest snapshot has the state that it had, in the file as it was opened again.
    Reopened,
}

/// Commits batches, and opens the file again where a commit has failed.
pub(super) struct Committer<'a> {
    pub(super) file: DataFile,
    pub(super) shared: &'a Shared,
    pub(super) batches: mpsc::Receiver<Arc<Staged>>,
    pub(super) reports: mpsc::Sender<Report>,
}

impl Committer<'_> {
    /// Commits one batch after the other, and reports each, until there are no more.
    pub(super) async fn run(mut self) {
        let unreadable = Arc::clone(&self.file.disk);
        loop {
            let batch = tokio::select! {
                batch = self.batches.recv() => batch,
                () = overdue(self.file.due()) => {
                    let started = Instant::now();
                    let caught_up = self.file.catch_up();
                    self.observe(started, &caught_up);
                    if caught_up.is_err() && self.recover(0).await.is_none() { break } else { continue }
                }
                () = unreadable.unreadable.notified() => {
                    self.shared.fail(&StoreError::disk("a part of it could not be read"));
                    if self.recover(0).await.is_none() { break } else { continue }
                }
            };
            let Some(batch) = batch else { break };
            let started = Instant::now();
            let committed = self.commit(&batch);
            let has_failed = committed.is_err();
            // Before the writer hears of it, so that it sends nothing more after a failure.
            self.observe(started, &committed);
            if self.reports.send(Report::Committed(committed)).await.is_err() {
                break;
            }
            if has_failed && self.recover(batch.bytes()).await.is_none() {
                break;
            }
        }
        if self.shared.is_failed() {
            self.file.abandon();
        }
        self.file.close();
    }

    fn observe(&self, started: Instant, committed: &Committed) {
        metrics::COMMITS.took(started.elapsed());
        if let Err(failure) = committed {
            metrics::COMMITS_FAILED.one();
            self.shared.fail(failure);
        }
    }

    fn commit(&mut self, batch: &Staged) -> Committed {
        self.file.commit(batch)?;
        let shared = self.shared;
        let generation = shared.newest.load().generation + 1;
        // Before anybody can see the changes, however the rest ends.
        for table in shared.schema.tables.iter().filter(|table| !table.busy) {
            for key in batch.tables.get(table.name).into_iter().flatten().map(|(key, _)| key) {
                shared.cache.generations.changed(generation, table.name, key);
            }
        }
        let snapshot = self.file.snapshot(shared, generation)?;
        shared.newest.store(Arc::new(snapshot));
        batch.tallies.iter().for_each(|(counter, by)| counter.add(*by));
        Ok(())
    }
}

/// Waits until a moment, or for ever.
async fn overdue(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// Writes the changes in one durable transaction, and notes where the file has come in its log; a failure leaves none of
/// it.
pub(super) fn commit(database: &Database, batch: &Staged, position: Option<Position>) -> Committed {
    commit_with(database, &Missing::nothing(position), batch)
}

/// The same with what a log holds that the file does not, before the changes.
pub(super) fn commit_with(database: &Database, missing: &Missing, batch: &Staged) -> Committed {
    if missing.is_empty() && missing.position.is_none() && batch.tables.is_empty() {
        return Ok(());
    }
    durably(database, |transaction| {
        missing.each(|table, changes| put(transaction, table, changes.iter().copied()))?;
        put_all(transaction, batch)?;
        if let Some(position) = missing.position {
            let (key, record) = migrate::log_row(position)?;
            put(transaction, META.info().name, std::iter::once((key.as_slice(), Some(record.as_slice()))))?;
        }
        Ok(())
    })
}

/// Changes the file in one durable transaction; a failure leaves none of it.
pub(super) fn durably(database: &Database, change: impl FnOnce(&WriteTransaction) -> Committed) -> Committed {
    let mut transaction = database.begin_write().map_err(StoreError::storage)?;
    // Two-phase commit with the allocator's state: the start after a crash takes milliseconds.
    transaction.set_quick_repair(true);
    change(&transaction)?;
    transaction.commit().map_err(StoreError::storage)
}

/// Lets readers see the changes, which are durable elsewhere.
pub(super) fn apply(database: &Database, batch: &Staged) -> Committed {
    let mut transaction = database.begin_write().map_err(StoreError::storage)?;
    transaction.set_durability(Durability::None).map_err(StoreError::storage)?;
    put_all(&transaction, batch)?;
    transaction.commit().map_err(StoreError::storage)
}

/// Writes a row of the table that is being filled.
pub(super) type Put<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Committed;

/// Makes a batch durable together with tables that are filled row by row, and removes some.
///
/// # Errors
/// A row could not be made; or the storage failed. Nothing is changed then.
pub(super) fn commit_filling<'a>(
    database: &Database,
    batch: &Staged,
    fills: impl Iterator<Item = (&'a str, impl FnOnce(Put<'_>) -> Committed)>,
    ends: impl Iterator<Item = &'a str>,
) -> Committed {
    durably(database, |transaction| {
        put_all(transaction, batch)?;
        for (name, fill) in fills {
            let mut table = transaction.open_table(definition(name)).map_err(StoreError::storage)?;
            fill(&mut |key, record| table.insert(key, record).map(drop).map_err(StoreError::storage))?;
        }
        for name in ends {
            transaction.delete_table(definition(name)).map_err(StoreError::storage)?;
        }
        Ok(())
    })
}

fn put_all(transaction: &WriteTransaction, batch: &Staged) -> Committed {
    for (name, changes) in &batch.tables {
        put(transaction, name, changes.iter().map(|(key, record)| (key.as_slice(), record.as_deref())))?;
    }
    Ok(())
}

fn put<'a>(
    transaction: &WriteTransaction,
    table: &str,
    changes: impl Iterator<Item = Change<'a>>,
) -> Committed {
    let mut table = transaction.open_table(definition(table)).map_err(StoreError::storage)?;
    for (key, record) in changes {
        match record {
            Some(record) => drop(table.insert(key, record).map_err(StoreError::storage)?),
            None => drop(table.remove(key).map_err(StoreError::storage)?),
        }
    }
    Ok(())
}
