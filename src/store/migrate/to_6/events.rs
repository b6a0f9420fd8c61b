//! Events are stored in blocks, and those that arrived one after the other and happened in the same minute are found by their
//! time with one row.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::Rebuilt;
use crate::clock::Time;
use crate::store::codec::{Packed, encode};
use crate::store::commit::Put;
use crate::store::key::Key;
use crate::store::table::Table;
use crate::store::tx::{Order, Tx};
use crate::store::{Json, StoreError};

const EVENTS_NAME: &str = "events";
const BY_TIME_NAME: &str = "events_by_time";
pub(super) const ENDS: &[&str] = &[EVENTS_NAME, BY_TIME_NAME];

/// In place of a row for each event by project and event: blocks by project and first event.
pub(in super::super) const BLOCKS: Rebuilt =
    Rebuilt { to: 6, table: "event_blocks", replaces: EVENTS_NAME, fill: fill_blocks };
/// In place of a row for each event by project, time and event: one by project, minute and first event, with the last.
pub(in super::super) const MINUTES: Rebuilt =
    Rebuilt { to: 6, table: "events_by_minute", replaces: BY_TIME_NAME, fill: fill_minutes };

const EVENTS: Table<(u32, Uuid), Event> = Table::new(EVENTS_NAME);
const BLOCK_BYTES_MAX: usize = 8000;
/// What stands in a block beside each event.
const BESIDE_BYTES: usize = 20;
const MINUTE_MICROS: i64 = 60_000_000;

#[derive(Serialize, Deserialize)]
struct Event {
    uuid: Option<Uuid>,
    event: String,
    distinct_id: String,
    /// Microseconds since 1970.
    timestamp: i64,
    person: Uuid,
    properties: Json,
    elements_chain: String,
    person_properties: Option<Json>,
}

type Row = ((u32, Uuid), Event);

fn events(tx: &Tx) -> Result<impl Iterator<Item = Result<Row, StoreError>>, StoreError> {
    tx.range(&EVENTS, &(0, Uuid::nil()), &(u32::MAX, Uuid::max()), Order::Ascending)
}

fn fill_blocks(tx: &Tx, put: Put<'_>) -> Result<(), StoreError> {
    let mut put = |key: (u32, Uuid), block: Vec<(Uuid, Packed<Event>)>| match block.is_empty() {
        true => Ok(()),
        false => put(&key.key_bytes(), &encode(&block)?),
    };
    let (mut first, mut block, mut bytes) = ((0, Uuid::nil()), Vec::new(), 0);
    for row in events(tx)? {
        let (key, event) = row?;
        let packed = Packed::of(&event)?;
        let event_bytes = packed.bytes() + BESIDE_BYTES;
        if key.0 != first.0 || bytes + event_bytes > BLOCK_BYTES_MAX {
            put(first, std::mem::take(&mut block))?;
            bytes = 0;
        }
        if block.is_empty() {
            first = key;
        }
        bytes += event_bytes;
        block.push((key.1, packed));
    }
    put(first, block)
}

fn fill_minutes(tx: &Tx, put: Put<'_>) -> Result<(), StoreError> {
    let mut put = |(project, minute, first, last): (u32, i64, Uuid, Uuid)| {
        put(&(project, Time(minute), first).key_bytes(), &encode(&last)?)
    };
    let mut open: Option<(u32, i64, Uuid, Uuid)> = None;
    for row in events(tx)? {
        let ((project, id), event) = row?;
        let minute = event.timestamp.saturating_sub(event.timestamp.rem_euclid(MINUTE_MICROS));
        match &mut open {
            Some((of, known, _, last)) if (*of, *known) == (project, minute) => *last = id,
            _ => open.replace((project, minute, id, id)).map_or(Ok(()), &mut put)?,
        }
    }
    open.map_or(Ok(()), put)
}
