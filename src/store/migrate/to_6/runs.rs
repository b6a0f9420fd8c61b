//! A run that exports events by their own time goes on minute by minute: one that is under way does the minute again that
//! it is in.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::store::table::Table;
use crate::store::tx::WriteTx;
use crate::store::{Json, StoreError};

/// By export and run.
const RUNS: Table<(Uuid, Uuid), Schema5> = Table::new("batch_export_runs");
/// The export of every run that is not over.
const OPEN: Table<Uuid, Uuid> = Table::new("batch_export_runs_open");
const MINUTE_MICROS: i64 = 60_000_000;

/// Times are microseconds since 1970; what is one of a list is its place in the list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Schema5 {
    status: u32,
    backfill: Option<Uuid>,
    records_completed: Option<u64>,
    records_total: Option<u64>,
    latest_error: Option<String>,
    start: Option<i64>,
    end: i64,
    created_at: i64,
    finished_at: Option<i64>,
    last_updated_at: i64,
    attempts: u32,
    next_attempt_at: i64,
    plan: Option<Plan>,
    place: Option<Place>,
    records: u64,
    author: Option<Uuid>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Plan {
    project: u32,
    model: u32,
    interval: u32,
    kind: u32,
    config: Json,
    sealed: Vec<u8>,
    schema: Option<Json>,
}

/// Behind an event: its own time, and its identifier.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Place {
    time: i64,
    id: Uuid,
}

pub(super) fn run(tx: &WriteTx) -> Result<(), StoreError> {
    for (run, export) in tx.all(&OPEN)? {
        let key = (export, run);
        let Some(mut found) = tx.get(&RUNS, &key)? else { continue };
        let is_by_time = found.backfill.is_some() || found.start.is_none();
        if let Some(place) = found.place.as_mut().filter(|_| is_by_time) {
            place.time = place.time.saturating_sub(place.time.rem_euclid(MINUTE_MICROS));
            place.id = Uuid::nil();
            tx.put(&RUNS, &key, &found)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use redb::Database;
    use redb::backends::InMemoryBackend;

    use super::super::super::{META, bring_up_by, change};
    use super::*;
    use crate::store::codec::decode;
    use crate::store::snapshot::Snapshot;
    use crate::store::tx::{COUNTS, Tx};

    /// A run as the last version with schema 5 has stored one.
    const STORED: &str = "01010110019200000000700080000000000000010105010601016500fd00b62c8bef470c00fd00b62c8bef470c0001fd00b62c8bef470c00fd00b62c8bef470c0002fd00b62c8bef470c0001070000050e7b2261223a5b312c6e756c6c5d7d030102ff0001fd00b62c8bef470c00100192000000007000800000000000000104011001920000000070008000000000000002";

    fn stored() -> Schema5 {
        let digits: Vec<u32> = STORED.chars().map(|digit| digit.to_digit(16).unwrap()).collect();
        let bytes: Vec<u8> =
            digits.chunks(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap()).collect();
        decode(&bytes).unwrap()
    }

    #[test]
    fn runs_by_time_that_are_not_over_do_their_minute_again_and_no_other_changes() {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let tables = [META.info(), COUNTS.info(), RUNS.info(), OPEN.info()];
        let names = || tables.iter().map(|table| table.name);
        bring_up_by(&database, None, &tables, 5, &[]).unwrap();
        let id = Uuid::from_u128;
        let place = stored().place.unwrap();
        let minute = Place { time: 1_728_396_900_000_000, id: Uuid::nil() };
        assert_eq!((place.time, place.id.is_nil()), (1_728_396_939_123_456, false));
        let scheduled = Schema5 { backfill: None, start: Some(5), ..stored() };
        let from_the_beginning = Schema5 { start: None, ..scheduled.clone() };
        let fresh = Schema5 { place: None, ..stored() };
        let runs = [stored(), scheduled.clone(), from_the_beginning.clone(), fresh.clone(), stored()];
        change(&database, names(), |tx| {
            for (number, run) in (1..).zip(&runs) {
                tx.put(&RUNS, &(id(9), id(number)), run)?;
                // The last one is over.
                if number < 5 {
                    tx.put(&OPEN, &id(number), &id(9))?;
                }
            }
            Ok(())
        })
        .unwrap();
        change(&database, names(), run).unwrap();
        let tx = Tx::of(Arc::new(Snapshot::take(&database, names(), 0, Arc::default()).unwrap()));
        let wanted = [
            Schema5 { place: Some(minute), ..stored() },
            scheduled,
            Schema5 { place: Some(minute), ..from_the_beginning },
            fresh,
            stored(),
        ];
        let found: Vec<Schema5> = tx.all(&RUNS).unwrap().into_iter().map(|(_, run)| run).collect();
        assert_eq!(found, wanted);
    }
}
