//! Events that arrived one after the other and happened in the same minute are found by their time with one row.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::Rebuilt;
use crate::clock::Time;
use crate::store::codec::encode;
use crate::store::commit::Put;
use crate::store::key::Key;
use crate::store::table::Table;
use crate::store::tx::{Order, Tx};
use crate::store::{Json, StoreError};

/// By project and arrival.
const EVENTS: Table<(u32, Uuid), Schema5> = Table::new("events");
/// In place of a row for each event by project, time and event: one by project, minute and first event, with the last.
pub(in super::super) const BY_MINUTE: Rebuilt =
    Rebuilt { to: 6, table: "events_by_minute", replaces: REPLACED, fill };
pub(super) const REPLACED: &str = "events_by_time";
const MINUTE_MICROS: i64 = 60_000_000;

#[derive(Serialize, Deserialize)]
struct Schema5 {
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

fn fill(tx: &Tx, put: Put<'_>) -> Result<(), StoreError> {
    let mut put = |(project, minute, first, last): (u32, i64, Uuid, Uuid)| {
        put(&(project, Time(minute), first).key_bytes(), &encode(&last)?)
    };
    let mut open: Option<(u32, i64, Uuid, Uuid)> = None;
    for row in tx.range(&EVENTS, &(0, Uuid::nil()), &(u32::MAX, Uuid::max()), Order::Ascending)? {
        let ((project, id), event) = row?;
        let minute = event.timestamp.saturating_sub(event.timestamp.rem_euclid(MINUTE_MICROS));
        match &mut open {
            Some((of, known, _, last)) if (*of, *known) == (project, minute) => *last = id,
            _ => open.replace((project, minute, id, id)).map_or(Ok(()), &mut put)?,
        }
    }
    open.map_or(Ok(()), put)
}
