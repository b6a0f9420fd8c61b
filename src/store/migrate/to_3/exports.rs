//! Batch exports, their runs and backfills end with their author. Nobody noted who that was, so it is unknown.

use super::super::super::StoreError;
use super::super::super::tx::WriteTx;

const EXPORTS: &str = "batch_exports";
const RUNS: &str = "batch_export_runs";
const BACKFILLS: &str = "batch_export_backfills";
/// `None`, as it stands at the end of a record.
const UNKNOWN: u8 = 0;

pub(super) fn run(tx: &WriteTx) -> Result<(), StoreError> {
    for table in [EXPORTS, RUNS, BACKFILLS] {
        for (key, mut record) in tx.raw_rows(table)? {
            record.push(UNKNOWN);
            tx.stage(table, key, Some(record));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;
    use redb::{Database, ReadableDatabase};

    use super::super::super::super::snapshot::definition;
    use super::super::super::{META, Step, bring_up_by};
    use super::*;
    use crate::store::Table;

    /// One of each, as schema 2 wrote them.
    const SAMPLES: [(&str, &str); 3] = [
        (
            EXPORTS,
            "0107016e0101050e7b2261223a5b312c6e756c6c5d7d030102ff0101fd00b62c8bef470c00fd00b62c8bef470c0001fd00b62c8bef470c000001fd00b62c8bef470c00010e7b2261223a5b312c6e756c6c5d7d01fd00b62c8bef470c00",
        ),
        (
            RUNS,
            "01010110019200000000700080000000000000010105010601016500fd00b62c8bef470c00fd00b62c8bef470c0001fd00b62c8bef470c00fd00b62c8bef470c0002fd00b62c8bef470c0001070000050e7b2261223a5b312c6e756c6c5d7d030102ff0001fd00b62c8bef470c00100192000000007000800000000000000104",
        ),
        (
            BACKFILLS,
            "010201fd00b62c8bef470c0000fd00b62c8bef470c0001fd00b62c8bef470c0001100192000000007000800000000000000101fd00b62c8bef470c00",
        ),
    ];

    fn bytes(hex: &str) -> Vec<u8> {
        let pair = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (0..hex.len()).step_by(2).map(pair).collect()
    }

    #[test]
    fn an_author_whom_nobody_noted_is_unknown() {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let [exports, runs, backfills] =
            [EXPORTS, RUNS, BACKFILLS].map(|name| Table::<u32, u8>::new(name).info());
        let tables = [META.info(), exports, runs, backfills];
        bring_up_by(&database, None, &tables, 2, &[]).unwrap();
        let transaction = database.begin_write().unwrap();
        for (table, record) in SAMPLES {
            let mut table = transaction.open_table(definition(table)).unwrap();
            table.insert([7].as_slice(), bytes(record).as_slice()).unwrap();
        }
        transaction.commit().unwrap();
        bring_up_by(&database, None, &tables, 3, &[Step { to: 3, ends: &[], run }]).unwrap();
        let reading = database.begin_read().unwrap();
        let found = SAMPLES.map(|(table, _)| {
            let table = reading.open_table(definition(table)).unwrap();
            table.get([7].as_slice()).unwrap().unwrap().value().to_vec()
        });
        let wanted = SAMPLES.map(|(_, record)| [bytes(record).as_slice(), &[UNKNOWN]].concat());
        assert_eq!(found, wanted);
    }
}
