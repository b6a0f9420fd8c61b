//! One event of a request, checked.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Outcome, Refusal, bad};
use crate::api::call::json_values;
use crate::clock::Time;
use crate::config::BODY_VALUES_MAX;
use crate::resources::elements;
use crate::resources::events::CapturedEvent;
use crate::resources::persons::Update;
use crate::store::Json;

/// Names of events and distinct ids are cut to this.
const NAME_CHARS_MAX: usize = 200;

/// An event that has what it needs.
pub(super) struct Checked {
    uuid: Option<Uuid>,
    event: String,
    distinct_id: String,
    timestamp: Time,
    properties: Map<String, Value>,
    elements_chain: String,
    /// The token that the event itself names.
    pub(super) token: Option<String>,
}

impl Checked {
    /// The event as it is stored. Without an address none is kept, else it is that of the properties, or the
    /// sender's.
    pub(super) fn sent(self, ip: Option<&str>) -> CapturedEvent {
        let mut properties = self.properties;
        match ip {
            Some(ip) => drop(properties.entry("$ip").or_insert_with(|| ip.into())),
            None => drop(properties.shift_remove("$ip")),
        }
        CapturedEvent {
            uuid: self.uuid,
            person: Update::of(&self.event, &properties),
            event: self.event,
            distinct_id: self.distinct_id,
            timestamp: self.timestamp,
            properties: Json::of(&properties),
            elements_chain: self.elements_chain,
        }
    }
}

/// Reads the JSON text of one event.
pub(super) fn read(text: &str, sent_at: Option<Time>, now: Time) -> Outcome<Checked> {
    if !text.starts_with('{') {
        return Err(bad("failed to parse request: an event is not an object"));
    }
    if json_values(text.as_bytes()) > BODY_VALUES_MAX {
        return Err(bad("failed to parse request: too many values"));
    }
    let item = serde_json::from_str(text).map_err(|cause| Refusal::unparsable(&cause))?;
    checked(item, sent_at, now)
}

fn text_in(object: &Map<String, Value>, name: &str) -> Option<String> {
    match object.get(name)? {
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}

fn token_of(event: &Map<String, Value>) -> Option<String> {
    let own = ["token", "$token", "api_key"].iter().find_map(|name| text_in(event, name));
    own.or_else(|| text_in(event.get("properties")?.as_object()?, "token"))
}

fn checked(mut item: Map<String, Value>, sent_at: Option<Time>, now: Time) -> Outcome<Checked> {
    let token = token_of(&item);
    let event = match item.remove("event") {
        Some(Value::String(name)) if !name.trim().is_empty() => cut(&name),
        Some(Value::String(_) | Value::Null) | None => {
            return Err(bad("event submitted with an empty event name"));
        }
        Some(_) => return Err(bad("failed to parse request: an event's name is not a string")),
    };
    let mut properties = match item.remove("properties") {
        Some(Value::Object(properties)) => properties,
        None | Some(Value::Null) => Map::new(),
        Some(_) => return Err(bad("failed to parse request: an event's properties are not an object")),
    };
    let distinct_id = ["distinct_id", "$distinct_id"]
        .iter()
        .filter_map(|name| item.get(*name))
        .chain(properties.get("distinct_id"))
        .find_map(named)
        .ok_or(bad("event submitted without a distinct_id"))?;
    let uuid = match item.get("uuid") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) if text.is_empty() => None,
        Some(Value::String(text)) => {
            Some(Uuid::try_parse(text).map_err(|_| bad("event submitted with an invalid uuid"))?)
        }
        Some(_) => return Err(bad("event submitted with an invalid uuid")),
    };
    for name in ["$set", "$set_once"] {
        if let Some(Value::Object(outer)) = item.remove(name) {
            match properties.get_mut(name) {
                Some(Value::Object(inner)) => inner.extend(outer),
                _ => drop(properties.insert(name.to_owned(), Value::Object(outer))),
            }
        }
    }
    let elements_chain = match event.as_str() {
        "$autocapture" => elements::take_chain(&mut properties),
        _ => String::new(),
    };
    let timestamp = time_of(&item, sent_at, now);
    let distinct_id = cut(&distinct_id);
    Ok(Checked { uuid, event, distinct_id, timestamp, properties, elements_chain, token })
}

/// An id as text; null and nothing are none.
fn named(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(NAME_CHARS_MAX).collect()
}

/// When it happened. A sender whose clock is wrong tells with `sent_at` by how much.
fn time_of(item: &Map<String, Value>, sent_at: Option<Time>, now: Time) -> Time {
    let sent = item.get("timestamp").and_then(Value::as_str).and_then(Time::parse);
    let time = match (sent, sent_at, item.get("offset").and_then(Value::as_i64)) {
        (Some(sent), Some(sent_at), _) => Time(sent.0.saturating_add(now.0.saturating_sub(sent_at.0))),
        (Some(sent), None, _) => sent,
        (None, _, Some(offset)) => Time(now.0.saturating_sub(offset.saturating_mul(1000))),
        (None, _, None) => now,
    };
    // Corrections must not lead out of the calendar.
    if Time::CALENDAR.contains(&time) { time } else { now }
}
