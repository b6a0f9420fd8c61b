//! A batch export ends with where its days and weeks begin: so far at midnight in UTC, weeks on Thursdays. It has no
//! filters.

use super::super::super::StoreError;
use super::super::super::tx::WriteTx;

const EXPORTS: &str = "batch_exports";
/// The text `UTC`, no weekday, no hour, no filters, as they stand at the end of a record.
const END: [u8; 7] = [3, b'U', b'T', b'C', 0, 0, 0];

pub(super) fn run(tx: &WriteTx) -> Result<(), StoreError> {
    for (key, mut record) in tx.raw_rows(EXPORTS)? {
        record.extend(END);
        tx.stage(EXPORTS, key, Some(record));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use redb::Database;
    use redb::backends::InMemoryBackend;
    use serde::{Deserialize, Serialize};

    use super::super::super::{META, Step, bring_up_by, change};
    use super::*;
    use crate::store::Table;
    use crate::store::snapshot::Snapshot;
    use crate::store::tx::{COUNTS, Tx};

    /// The end of a record.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Schema3 {
        next_run_at: Option<i64>,
        author: Option<[u8; 16]>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Schema4 {
        next_run_at: Option<i64>,
        author: Option<[u8; 16]>,
        timezone: String,
        offset_day: Option<u8>,
        offset_hour: Option<u8>,
        filters: Option<String>,
    }

    #[test]
    fn intervals_begin_where_they_began() {
        const OLD: Table<u32, Schema3> = Table::new(EXPORTS);
        const NEW: Table<u32, Schema4> = Table::new(EXPORTS);
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let tables = [META.info(), COUNTS.info(), OLD.info()];
        let names = || tables.iter().map(|table| table.name);
        bring_up_by(&database, None, &tables, 3, &[]).unwrap();
        let (next_run_at, author) = (Some(1_728_396_939_123_456), Some([7; 16]));
        change(&database, names(), |tx| tx.put(&OLD, &1, &Schema3 { next_run_at, author })).unwrap();
        bring_up_by(&database, None, &tables, 4, &[Step { to: 4, ends: &[], run }]).unwrap();
        let tx = Tx::of(Arc::new(Snapshot::take(&database, names(), 0, Arc::default()).unwrap()));
        let timezone = "UTC".to_owned();
        let moved =
            Schema4 { next_run_at, author, timezone, offset_day: None, offset_hour: None, filters: None };
        assert_eq!(tx.all(&NEW).unwrap(), [(1, moved)]);
    }
}
