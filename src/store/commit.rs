//! Commits: makes what a batch of writes has changed durable, and lets readers see it.

use std::sync::Arc;
use std::time::Instant;

use redb::Database;
use tokio::sync::mpsc;

use super::file::DataFile;
use super::snapshot::definition;
use super::tx::Staged;
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
                () = unreadable.unreadable.notified() => {
                    self.shared.fail(&StoreError::disk("a part of it could not be read"));
                    if self.recover(0).await.is_none() { break } else { continue }
                }
            };
            let Some(batch) = batch else { break };
            let started = Instant::now();
            let committed = self.commit(&batch);
            metrics::COMMITS.took(started.elapsed());
            let has_failed = committed.is_err();
            if let Err(failure) = &committed {
                metrics::COMMITS_FAILED.one();
                // Before the writer hears of it, so that it sends nothing more.
                self.shared.fail(failure);
            }
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

/// Writes the changes in one durable transaction; a failure leaves none of them.
pub(super) fn commit(database: &Database, batch: &Staged) -> Committed {
    if batch.tables.is_empty() {
        return Ok(());
    }
    let mut transaction = database.begin_write().map_err(StoreError::storage)?;
    // Two-phase commit with the allocator's state: the start after a crash takes milliseconds.
    transaction.set_quick_repair(true);
    for (name, changes) in &batch.tables {
        let mut table = transaction.open_table(definition(name)).map_err(StoreError::storage)?;
        for (key, value) in changes {
            match value {
                Some(value) => {
                    drop(table.insert(key.as_slice(), value.as_slice()).map_err(StoreError::storage)?)
                }
                None => drop(table.remove(key.as_slice()).map_err(StoreError::storage)?),
            }
        }
    }
    transaction.commit().map_err(StoreError::storage)
}
