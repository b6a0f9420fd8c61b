//! A backfill says when it last changed, how many runs it takes and has taken, and whether it is a single one. Of older
//! ones nobody has counted that.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::super::StoreError;
use super::super::super::table::Table;
use super::super::super::tx::WriteTx;

const NAME: &str = "batch_export_backfills";
/// By export and time. Times are microseconds since 1970.
const OLD: Table<(Uuid, Uuid), Schema3> = Table::new(NAME);
const NEW: Table<(Uuid, Uuid), Schema4> = Table::new(NAME);

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Status {
    Running,
    Completed,
    Cancelled,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Schema3 {
    status: Status,
    start: Option<i64>,
    end: Option<i64>,
    created_at: i64,
    finished_at: Option<i64>,
    run: Option<Uuid>,
    next: Option<i64>,
    author: Option<Uuid>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Schema4 {
    old: Schema3,
    last_updated_at: i64,
    total_runs: Option<u64>,
    runs_made: u64,
    is_one_run: bool,
}

pub(super) fn run(tx: &WriteTx) -> Result<(), StoreError> {
    for (key, old) in tx.all(&OLD)? {
        let last_updated_at = old.finished_at.unwrap_or(old.created_at);
        let is_one_run = old.start.is_none();
        tx.put(&NEW, &key, &Schema4 { old, last_updated_at, total_runs: None, runs_made: 0, is_one_run })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use redb::Database;
    use redb::backends::InMemoryBackend;

    use super::super::super::{META, Step, bring_up_by, change};
    use super::*;
    use crate::store::snapshot::Snapshot;
    use crate::store::tx::{COUNTS, Tx};

    #[test]
    fn older_backfills_say_what_is_known_of_them() {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let tables = [META.info(), COUNTS.info(), OLD.info()];
        let names = || tables.iter().map(|table| table.name);
        bring_up_by(&database, None, &tables, 3, &[]).unwrap();
        let id = Uuid::from_u128;
        let running = Schema3 {
            status: Status::Running,
            start: Some(5),
            end: None,
            created_at: 7,
            finished_at: None,
            run: Some(id(3)),
            next: Some(6),
            author: Some(id(4)),
        };
        let over =
            Schema3 { status: Status::Completed, start: None, finished_at: Some(9), ..running.clone() };
        change(&database, names(), |tx| {
            tx.put(&OLD, &(id(1), id(1)), &running)?;
            tx.put(&OLD, &(id(1), id(2)), &over)
        })
        .unwrap();
        bring_up_by(&database, None, &tables, 4, &[Step { to: 4, ends: &[], run }]).unwrap();
        let tx = Tx::of(Arc::new(Snapshot::take(&database, names(), 0, Arc::default()).unwrap()));
        let moved = |old: Schema3, last_updated_at, is_one_run| Schema4 {
            old,
            last_updated_at,
            total_runs: None,
            runs_made: 0,
            is_one_run,
        };
        let wanted = [((id(1), id(1)), moved(running, 7, false)), ((id(1), id(2)), moved(over, 9, true))];
        assert_eq!(tx.all(&NEW).unwrap(), wanted);
    }
}
