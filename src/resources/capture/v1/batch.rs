//! A batch: where its events lie in its text, and their identifiers.

use std::collections::HashSet;
use std::ops::Range;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::event::{self, Sender};
use super::{Checked, Fate, Verdict, rejection};
use crate::api::json::Counts;
use crate::clock::Time;
use crate::resources::capture::request::{EVENT_BYTES, Items, cost_of};
use crate::resources::capture::{Outcome, Refusal};
use crate::resources::events::CapturedEvent;

/// What the identifier of an event takes until the answer is sent, in bytes: in a set, and in the answer.
const RESULT_BYTES: usize = 200;

/// A batch of which it is known where its events lie.
pub(super) struct Outline {
    bytes: Bytes,
    items: Range<usize>,
    has_time: bool,
    count: usize,
    piece_bytes: usize,
    /// What reading it takes beside the text, in bytes.
    pub(super) cost: usize,
}

/// A batch whose events all have identifiers, and different ones.
pub(super) struct Batch(Outline);

/// Some events, and where the next ones begin.
pub(super) struct Piece {
    /// Those that are good, in their order.
    pub(super) events: Vec<CapturedEvent>,
    /// Of every event, whether it is good.
    pub(super) verdicts: Vec<(Uuid, Verdict)>,
    pub(super) next: Option<usize>,
}

#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct Whole<'a> {
    #[serde(borrow)]
    created_at: Option<&'a RawValue>,
    #[serde(borrow)]
    batch: Option<&'a RawValue>,
}

/// Reads an object. A list of values in the order of its fields is none.
fn object_of<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Outcome<T> {
    if text.trim_ascii_start().starts_with(b"[") {
        return Err(Refusal::of_json("a list stands where an object is expected"));
    }
    serde_json::from_slice(text).map_err(|cause| Refusal::of_json(&cause))
}

/// Finds the events in the JSON text.
pub(super) fn outline(bytes: Bytes, piece_bytes: usize) -> Outcome<Outline> {
    let whole: Whole<'_> = object_of(&bytes)?;
    let created_at: Option<String> = whole.created_at.and_then(|raw| serde_json::from_str(raw.get()).ok());
    let has_time = created_at.as_deref().and_then(Time::parse).is_some();
    let items = match whole.batch.map(RawValue::get) {
        None | Some("null") => 0..0,
        Some(text) if text.starts_with('[') => {
            let start = text.as_ptr().addr() - bytes.as_ptr().addr();
            start + 1..start + text.len() - 1
        }
        Some(_) => return Err(Refusal::of_json("the batch is not a list")),
    };
    let mut outline = Outline { bytes: Bytes::new(), items, has_time, count: 0, piece_bytes, cost: 0 };
    outline.bytes = bytes;
    let mut largest = 0;
    let mut items = outline.items_from(outline.items.start);
    let mut count = 0;
    while let Some(text) = items.next()? {
        largest = largest.max(cost_of(text.as_bytes(), Counts::of(text.as_bytes())));
        count += 1;
    }
    outline.count = count;
    outline.cost = largest
        + outline.items.len().min(piece_bytes) * 4
        + count * (EVENT_BYTES.min(piece_bytes) + RESULT_BYTES);
    Ok(outline)
}

impl Outline {
    fn items_from(&self, at: usize) -> Items<'_> {
        Items { bytes: &self.bytes[..self.items.end], at }
    }

    /// Looks at the outside of every event.
    pub(super) fn check(self) -> Checked<Batch> {
        if self.count == 0 {
            return Err(rejection(400, "empty_batch", "The batch holds no event."));
        }
        if !self.has_time {
            return Err(rejection(400, "invalid_batch", "created_at is not a time."));
        }
        let mut seen = HashSet::with_capacity(self.count);
        let mut items = self.items_from(self.items.start);
        let mut place = 0;
        while let Some(text) = items.next()? {
            let uuid = uuid_of(text, place)?;
            if !seen.insert(uuid) {
                let said = format!("Event {place}, counted from 0, repeats the uuid {uuid}.");
                return Err(rejection(400, "duplicate_event_uuid", said));
            }
            place += 1;
        }
        Ok(Batch(self))
    }
}

/// The identifier of the event at this place of the batch.
fn uuid_of(text: &str, place: usize) -> Checked<Uuid> {
    #[derive(Deserialize)]
    #[serde(expecting = "an object")]
    struct Named<'a> {
        #[serde(borrow)]
        uuid: Option<&'a RawValue>,
    }
    let named: Named<'_> = object_of(text.as_bytes()).map_err(|refusal| refusal.at(Some(place)))?;
    let said = |what: &str| format!("Event {place}, counted from 0, {what}.");
    let value = named.uuid.and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok()).unwrap_or_default();
    match value {
        Value::Null => Err(rejection(400, "missing_event_uuid", said("has no uuid"))),
        Value::String(text) if text.trim().is_empty() => {
            Err(rejection(400, "missing_event_uuid", said("has no uuid")))
        }
        Value::String(text) => Uuid::try_parse(text.trim())
            .map_err(|_| rejection(400, "invalid_event_uuid", said("has a uuid that is none"))),
        _ => Err(rejection(400, "invalid_event_uuid", said("has a uuid that is no text"))),
    }
}

impl Batch {
    /// The events from there on, as many as are one piece; from the first where `start` is 0.
    pub(super) fn piece(&self, start: usize, sender: &Sender) -> Outcome<Piece> {
        let outline = &self.0;
        let mut piece = Piece { events: Vec::new(), verdicts: Vec::new(), next: None };
        let mut bytes = 0;
        let mut items = outline.items_from(start.max(outline.items.start));
        while let Some(text) = items.next()? {
            // It was read before.
            let Ok(uuid) = uuid_of(text, 0) else { continue };
            let verdict = match event::read(text, uuid, sender) {
                Ok((event, details)) => {
                    piece.events.push(event);
                    Verdict { result: Fate::Ok, details }
                }
                Err(tag) => Verdict { result: Fate::Drop, details: Some(tag) },
            };
            piece.verdicts.push((uuid, verdict));
            bytes += text.len() + EVENT_BYTES;
            if bytes >= outline.piece_bytes {
                piece.next = Some(items.at);
                break;
            }
        }
        Ok(piece)
    }
}
