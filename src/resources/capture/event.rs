//! One event of a request, checked.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::object::Object;
use super::skew::{SenderClock, When};
use super::{Outcome, Refusal, bad};
use crate::api::json::{self, Counts};
use crate::config::BODY_VALUES_MAX;
use crate::resources::elements;
use crate::resources::events::CapturedEvent;
use crate::resources::persons::Update;
use crate::store::Json;

/// Names of events and distinct ids are cut to this.
const NAME_CHARS_MAX: usize = 200;
/// The property that says the address.
pub(super) const IP: &str = "$ip";

/// An event that has what it needs.
pub(super) struct Checked {
    pub(super) sent: CapturedEvent,
    /// Whether its properties say an address.
    pub(super) has_ip: bool,
    /// The token that the event itself names.
    pub(super) token: Option<String>,
    /// Whether it says its time in a way that nobody can read.
    pub(super) has_unreadable_time: bool,
}

impl Checked {
    /// The event as it is stored. Without an address none is kept, else it is that of the properties, or the
    /// sender's.
    pub(super) fn sent(self, ip: Option<&str>) -> CapturedEvent {
        let mut sent = self.sent;
        match ip {
            Some(ip) if !self.has_ip => sent.properties.push(IP, ip),
            None if self.has_ip => {
                let mut properties = sent.properties.value();
                properties.as_object_mut().and_then(|properties| properties.shift_remove(IP));
                sent.properties = Json::of(&properties);
            }
            _ => {}
        }
        sent
    }
}

/// Reads the JSON text of one event.
pub(super) fn read(text: &str, clock: &SenderClock) -> Outcome<Checked> {
    checked(parse(text)?, clock)
}

/// The object that the text of an event is. What is no character or no number in it is mended: senders give up on
/// a batch that is refused, and all its other events are lost with it.
pub(super) fn parse(text: &str) -> Outcome<Object<'_>> {
    if text.len() <= BODY_VALUES_MAX
        && let Ok(object) = Object::read(text)
    {
        return Ok(object);
    }
    parse_whole(text).map(Object::from)
}

fn parse_whole(text: &str) -> Outcome<Map<String, Value>> {
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

fn token_of(event: &Object<'_>, properties: &Object<'_>) -> Option<String> {
    let own = ["token", "$token", "api_key"].iter().find_map(|name| event.text(name));
    own.or_else(|| properties.text("token")).map(String::from)
}

fn checked(mut item: Object<'_>, clock: &SenderClock) -> Outcome<Checked> {
    let event = match item.text("event") {
        Some(name) if !name.trim().is_empty() => cut(&name),
        None if item.get("event").is_some_and(|name| !name.is_null()) => {
            return Err(Refusal::of_json("an event's name is not a string"));
        }
        _ => return Err(bad("event submitted with an empty event name")),
    };
    let mut properties = item
        .take_object("properties")
        .ok_or_else(|| Refusal::of_json("an event's properties are not an object"))?;
    let token = token_of(&item, &properties);
    let distinct_id = ["distinct_id", "$distinct_id"]
        .iter()
        .find_map(|name| named(&item, name))
        .or_else(|| named(&properties, "distinct_id"))
        .ok_or(bad("event submitted without a distinct_id"))?;
    let uuid = match item.get("uuid") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) if text.is_empty() => None,
        Some(Value::String(text)) => {
            Some(Uuid::try_parse(&text).map_err(|_| bad("event submitted with an invalid uuid"))?)
        }
        Some(_) => return Err(bad("event submitted with an invalid uuid")),
    };
    for name in ["$set", "$set_once"] {
        if let Some(Value::Object(outer)) = item.remove(name) {
            let merged = match properties.get(name) {
                Some(Value::Object(mut inner)) => {
                    inner.extend(outer);
                    inner
                }
                _ => outer,
            };
            properties.put(name, Value::Object(merged));
        }
    }
    let elements_chain = match event.as_str() {
        "$autocapture" => elements::take_chain(|name| properties.remove(name)),
        _ => String::new(),
    };
    let When { time: timestamp, is_unreadable: has_unreadable_time } = clock.when(&item, &properties);
    let sent = CapturedEvent {
        uuid,
        person: Update::of(&event, |name| properties.get(name)),
        event,
        distinct_id: cut(&distinct_id),
        timestamp,
        properties: Json::of(&properties),
        elements_chain,
    };
    Ok(Checked { sent, has_ip: properties.has(IP), token, has_unreadable_time })
}

/// An id as text; null and nothing are none.
fn named(object: &Object<'_>, name: &str) -> Option<String> {
    match object.get(name)? {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(NAME_CHARS_MAX) {
        Some((end, _)) => text[..end].to_owned(),
        None => text.to_owned(),
    }
}
