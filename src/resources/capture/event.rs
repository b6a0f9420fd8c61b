//! One event of a request, checked.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::skew::{SenderClock, When};
use super::{Outcome, Refusal, bad};
use crate::api::json::{self, Counts};
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
    pub(super) uuid: Option<Uuid>,
    pub(super) event: String,
    pub(super) distinct_id: String,
    pub(super) timestamp: Time,
    pub(super) properties: Map<String, Value>,
    pub(super) elements_chain: String,
    /// Whether it is to have no person, whatever its properties say.
    pub(super) is_personless: bool,
    /// The token that the event itself names.
    pub(super) token: Option<String>,
    /// Whether it says its time in a way that nobody can read.
    pub(super) has_unreadable_time: bool,
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
        let mut person = Update::of(&self.event, &properties);
        person.unprofiled |= self.is_personless;
        CapturedEvent {
            uuid: self.uuid,
            person,
            event: self.event,
            distinct_id: self.distinct_id,
            timestamp: self.timestamp,
            properties: Json::of(&properties),
            elements_chain: self.elements_chain,
        }
    }
}

/// Reads the JSON text of one event.
pub(super) fn read(text: &str, clock: &SenderClock) -> Outcome<Checked> {
    checked(parse(text)?, clock)
}

/// The object that the text of an event is. What is no character or no number in it is mended: senders give up on
/// a batch that is refused, and all its other events are lost with it.
pub(super) fn parse(text: &str) -> Outcome<Map<String, Value>> {
    if !text.starts_with('{') {
        return Err(Refusal::of_json("an event is not an object"));
    }
    let counts = Counts::of(text.as_bytes());
    if counts.values > BODY_VALUES_MAX {
        return Err(Refusal::of_json("too many values"));
    }
    let parsed = serde_json::from_str(text);
    if parsed.is_ok() && !counts.has_exponents {
        return parsed.map_err(|cause| Refusal::of_json(&cause));
    }
    match json::mended_len(text.as_bytes()) {
        Some(len) => serde_json::from_slice(&json::mended(text.as_bytes(), len)),
        None => parsed,
    }
    .map_err(|cause| Refusal::of_json(&cause))
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

fn checked(mut item: Map<String, Value>, clock: &SenderClock) -> Outcome<Checked> {
    let token = token_of(&item);
    let event = match item.remove("event") {
        Some(Value::String(name)) if !name.trim().is_empty() => cut(&name),
        Some(Value::String(_) | Value::Null) | None => {
            return Err(bad("event submitted with an empty event name"));
        }
        Some(_) => return Err(Refusal::of_json("an event's name is not a string")),
    };
    let mut properties = match item.remove("properties") {
        Some(Value::Object(properties)) => properties,
        None | Some(Value::Null) => Map::new(),
        Some(_) => return Err(Refusal::of_json("an event's properties are not an object")),
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
    let When { time: timestamp, is_unreadable: has_unreadable_time } = clock.when(&item, &properties);
    Ok(Checked {
        uuid,
        event,
        distinct_id: cut(&distinct_id),
        timestamp,
        properties,
        elements_chain,
        is_personless: false,
        token,
        has_unreadable_time,
    })
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
