//! Commits: makes what a batch of writes has changed durable, and lets readers see it.

use std::collections::HashSet;
use std::sync::Arc;

use redb::Database;
use tokio::sync::mpsc;

use super::memo::Group;
use super::snapshot::{Snapshot, definition};
use super::tx::Staged;
use super::{Failure, Shared};

/// How a commit went.
pub(super) type Committed = Result<(), Failure>;

/// Commits one batch after the other, and reports each, until there are no more.
pub(super) fn run(
    database: &Database,
    shared: &Shared,
    mut batches: mpsc::Receiver<Arc<Staged>>,
    reports: &mpsc::Sender<Committed>,
) {
    while let Some(batch) = batches.blocking_recv() {
        let committed =
            commit(database, &batch).and_then(|()| publish(database, shared, changed_groups(shared, &batch)));
        if reports.blocking_send(committed).is_err() {
            return;
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
fn publish(database: &Database, shared: &Shared, changed: HashSet<Group>) -> Committed {
    let names = shared.tables.iter().map(|table| table.name);
    let generation = shared.newest.load().generation + 1;
    let snapshot = Snapshot::take(database, names, generation, Arc::clone(&shared.memos))?;
    for group in changed {
        shared.memos.changed(generation, group);
    }
    shared.newest.store(Arc::new(snapshot));
    Ok(())
}

/// Writes the changes in one durable transaction; a failure leaves none of them.
pub(super) fn commit(database: &Database, batch: &Staged) -> Committed {
    if batch.tables.is_empty() {
        return Ok(());
    }
    let mut transaction = database.begin_write().map_err(Failure::storage)?;
    // Two-phase commit with the allocator's state: the start after a crash takes milliseconds.
    transaction.set_quick_repair(true);
    for (name, changes) in &batch.tables {
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
