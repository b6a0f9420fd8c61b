//! Capture: where senders deliver events. They show a project's token and nothing else; errors are told
//! in plain text, as senders expect.
//! Holds always: a request is stored as a whole or not at all, and is on disk before it is answered.

use std::io::Read;
use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use flate2::read::MultiGzDecoder;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::events::{self, Arrivals, Sent};
use super::{elements, projects};
use crate::api::call::json_values;
use crate::api::{Body, Call, Reply, Route, Within, public, steps};
use crate::app::App;
use crate::clock::Time;
use crate::config::BODY_VALUES_MAX;
use crate::error::Result;
use crate::store::WriteTx;

/// Largest request of a few events, before and after it is unpacked, in bytes.
const REQUEST_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Largest batch.
const BATCH_BYTES_MAX: usize = 20 * 1024 * 1024;
/// Larger requests, and packed ones, are read beside the threads that answer.
const AT_ONCE_BYTES_MAX: usize = 8 * 1024;
const GZIP: &[u8] = &[0x1f, 0x8b, 0x08];
/// Names of events and distinct ids are cut to this.
const NAME_CHARS_MAX: usize = 200;
const TOKEN_CHARS_MAX: usize = 64;

pub fn rows() -> Vec<Route> {
    let paths = [
        ("/capture/", REQUEST_BYTES_MAX),
        ("/e/", REQUEST_BYTES_MAX),
        ("/track/", REQUEST_BYTES_MAX),
        ("/engage/", REQUEST_BYTES_MAX),
        ("/i/v0/e/", REQUEST_BYTES_MAX),
        ("/batch/", BATCH_BYTES_MAX),
    ];
    let row = |(path, bytes_max)| {
        let handler = steps(move |app, call| capture(app, call, bytes_max));
        Route::post(path, public(), Within::Nothing, handler).takes_bytes(bytes_max)
    };
    paths.into_iter().map(row).collect()
}

async fn capture(app: Arc<App>, call: Arc<Call>, bytes_max: usize) -> Result<Reply> {
    let bytes = match &call.body {
        Body::Bytes(bytes) => bytes.clone(),
        // A request without a body.
        Body::Json(_) => bytes::Bytes::new(),
        Body::Form(_) | Body::Bad(_) => return Ok(TOO_LARGE.reply()),
    };
    let now = call.now;
    let is_small = bytes.len() <= AT_ONCE_BYTES_MAX && !bytes.starts_with(GZIP);
    let read = move || read(&bytes, bytes_max, now);
    let read = if is_small { read() } else { app.aside(read).await? };
    let batch = match read {
        Ok(batch) => batch,
        Err(refusal) => return Ok(refusal.reply()),
    };
    let arrivals = Arrivals { clock: Arc::clone(&app.clock), ids: Arc::clone(&app.ids) };
    let peer = call.peer;
    app.store.write(move |tx| store(tx, &arrivals, &batch, peer)).await?;
    Reply::ok(&json!({"status": 1}))
}

/// What a request holds.
struct Batch {
    token: String,
    events: Vec<Sent>,
}

/// A token that belongs to no project stores nothing, and is not told so: the sender is often a browser
/// that can do nothing about it.
fn store(tx: &WriteTx, arrivals: &Arrivals, batch: &Batch, peer: IpAddr) -> Result<()> {
    let Some(receiver) = projects::by_token(tx, &batch.token)? else { return Ok(()) };
    projects::note_event(tx, receiver.id)?;
    let mut sent = batch.events.clone();
    for event in &mut sent {
        if receiver.anonymize_ips {
            event.properties.shift_remove("$ip");
        } else {
            event.properties.entry("$ip").or_insert_with(|| peer.to_string().into());
        }
    }
    events::store(tx, arrivals, receiver.id, &sent)
}

/// Why a request is refused: a status and a sentence.
#[derive(Debug, PartialEq, Eq)]
struct Refusal(u16, std::borrow::Cow<'static, str>);

const fn bad(sentence: &'static str) -> Refusal {
    Refusal(400, std::borrow::Cow::Borrowed(sentence))
}

const TOO_LARGE: Refusal = bad("maximum event size exceeded");
const NO_EVENT: Refusal = bad("request holds no event");

impl Refusal {
    fn reply(self) -> Reply {
        Reply::text(self.0, "text/plain; charset=utf-8", self.1)
    }
}

type Outcome<T> = std::result::Result<T, Refusal>;

fn read(bytes: &[u8], bytes_max: usize, now: Time) -> Outcome<Batch> {
    let bytes = unpacked(bytes, bytes_max)?;
    let bytes = match form_data(&bytes) {
        Some(data) => unpacked(&data?, bytes_max)?,
        None => bytes,
    };
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(NO_EVENT);
    }
    if json_values(&bytes) > BODY_VALUES_MAX {
        return Err(bad("failed to parse request: too many values"));
    }
    let body: Value = serde_json::from_slice(&bytes)
        .map_err(|cause| Refusal(400, format!("failed to parse request: {cause}").into()))?;
    let mut token = None;
    let mut sent_at = None;
    let items = match body {
        Value::Array(items) => items,
        Value::Object(mut whole) if whole.contains_key("batch") => {
            token = ["api_key", "token"].iter().find_map(|name| text_in(&whole, name));
            sent_at = text_in(&whole, "sent_at").as_deref().and_then(Time::parse);
            match whole.remove("batch") {
                Some(Value::Array(items)) => items,
                _ => return Err(bad("failed to parse request: the batch is not a list")),
            }
        }
        Value::Object(event) if event.contains_key("event") => vec![Value::Object(event)],
        _ => return Err(NO_EVENT),
    };
    if items.is_empty() {
        return Err(NO_EVENT);
    }
    let mut events = Vec::with_capacity(items.len());
    let named = token.is_some();
    for item in items {
        let Value::Object(item) = item else {
            return Err(bad("failed to parse request: an event is not an object"));
        };
        if !named {
            let own = token_of(&item);
            if token.is_some() && own.is_some() && token != own {
                return Err(Refusal(401, "batch submitted with inconsistent api_key values".into()));
            }
            token = token.or(own);
        }
        events.push(sent(item, sent_at, now)?);
    }
    let token = token.ok_or(Refusal(401, "event submitted without an api_key".into()))?;
    check_token(&token)?;
    Ok(Batch { token, events })
}

/// The bytes, without gzip around them: what is packed is told by its first bytes, whatever headers say.
fn unpacked(bytes: &[u8], bytes_max: usize) -> Outcome<Vec<u8>> {
    if !bytes.starts_with(GZIP) {
        return Ok(bytes.to_vec());
    }
    let mut plain = Vec::new();
    let mut limited = MultiGzDecoder::new(bytes).take(bytes_max as u64 + 1);
    limited.read_to_end(&mut plain).map_err(|_| bad("failed to decode request: invalid gzip data"))?;
    if plain.len() > bytes_max { Err(TOO_LARGE) } else { Ok(plain) }
}

/// The `data` of a form, base64 undone. JSON never looks like a form.
fn form_data(bytes: &[u8]) -> Option<Outcome<Vec<u8>>> {
    const BASE64: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()).is_none_or(|byte| b"{[\"".contains(byte)) {
        return None;
    }
    let (_, data) = form_urlencoded::parse(bytes).find(|(name, _)| name == "data")?;
    if data.trim_start().starts_with(['{', '[']) {
        return Some(Ok(data.into_owned().into_bytes()));
    }
    // A plus that was not escaped has become a blank.
    let text: String = data.trim().replace([' ', '-'], "+").replace('_', "/");
    Some(BASE64.decode(text).map_err(|_| bad("failed to decode request: invalid base64 data")))
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

fn check_token(token: &str) -> Outcome<()> {
    let fault = if token.is_empty() {
        "empty"
    } else if token.chars().count() > TOKEN_CHARS_MAX {
        "too_long"
    } else if !token.is_ascii() {
        "not_ascii"
    } else if token.starts_with("phx_") {
        "personal_api_key"
    } else {
        return Ok(());
    };
    Err(Refusal(401, format!("API key is not valid: {fault}").into()))
}

/// One event, checked.
fn sent(mut item: Map<String, Value>, sent_at: Option<Time>, now: Time) -> Outcome<Sent> {
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
    Ok(Sent { uuid, event, distinct_id: cut(&distinct_id), timestamp, properties, elements_chain })
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
    let told = item.get("timestamp").and_then(Value::as_str).and_then(Time::parse);
    let time = match (told, sent_at, item.get("offset").and_then(Value::as_i64)) {
        (Some(told), Some(sent_at), _) => Time(told.0.saturating_add(now.0.saturating_sub(sent_at.0))),
        (Some(told), None, _) => told,
        (None, _, Some(offset)) => Time(now.0.saturating_sub(offset.saturating_mul(1000))),
        (None, _, None) => now,
    };
    // Corrections must not lead out of the calendar.
    if Time::CALENDAR.contains(&time) { time } else { now }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const NOW: Time = Time(1_700_000_000_000_000);

    fn read_text(text: &str) -> Outcome<Batch> {
        read(text.as_bytes(), REQUEST_BYTES_MAX, NOW)
    }

    fn event(body: Value) -> Sent {
        let mut events = read_text(&body.to_string()).unwrap().events;
        assert_eq!(events.len(), 1);
        events.remove(0)
    }

    fn refusal(body: Value) -> (u16, String) {
        match read_text(&body.to_string()) {
            Err(Refusal(status, sentence)) => (status, sentence.into_owned()),
            Ok(batch) => panic!("{} events were taken", batch.events.len()),
        }
    }

    #[test]
    fn all_three_shapes_are_read() {
        let single = json!({"event": "a", "distinct_id": "d", "api_key": "phc_x"});
        for body in [
            single.clone(),
            json!([single]),
            json!({"api_key": "phc_x", "batch": [{"event": "a", "distinct_id": "d", "api_key": "other"}]}),
            json!({"token": "phc_x", "batch": [{"event": "a", "properties": {"distinct_id": "d"}}]}),
            json!([{"event": "a", "$distinct_id": "d", "properties": {"token": "phc_x"}}]),
        ] {
            let batch = read_text(&body.to_string()).unwrap();
            assert_eq!(
                (batch.token.as_str(), batch.events[0].distinct_id.as_str()),
                ("phc_x", "d"),
                "{body}"
            );
        }
    }

    #[test]
    fn packed_and_form_bodies_are_recognised_by_themselves() {
        let plain = json!({"event": "a", "distinct_id": "d", "token": "t"}).to_string();
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(plain.as_bytes()).unwrap();
        let packed = packer.finish().unwrap();
        let encoded = base64::engine::general_purpose::STANDARD.encode(&plain);
        let form: String =
            form_urlencoded::Serializer::new(String::new()).append_pair("data", &encoded).finish();
        for body in [packed, form.into_bytes(), format!("data={encoded}").into_bytes()] {
            assert_eq!(read(&body, REQUEST_BYTES_MAX, NOW).unwrap().events.len(), 1);
        }
        assert_eq!(read(b"\x1f\x8b\x08nonsense", 100, NOW).err().map(|refusal| refusal.0), Some(400));
        assert_eq!(read(b"data=%%%", 100, NOW).err().map(|refusal| refusal.0), Some(400));
    }

    #[test]
    fn what_unpacks_to_too_much_is_refused() {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(&vec![b' '; 10_000]).unwrap();
        let packed = packer.finish().unwrap();
        assert_eq!(unpacked(&packed, 9_999), Err(TOO_LARGE));
        assert_eq!(unpacked(&packed, 10_000).map(|plain| plain.len()), Ok(10_000));
    }

    #[test]
    fn every_refusal_has_its_sentence() {
        let whole = json!({"event": "a", "distinct_id": "d", "api_key": "t"});
        let with = |name: &str, value: Value| {
            let mut body = whole.clone();
            body[name] = value;
            body
        };
        for (body, status, sentence) in [
            (json!([]), 400, "request holds no event"),
            (json!({"batch": [], "api_key": "t"}), 400, "request holds no event"),
            (json!({}), 400, "request holds no event"),
            (json!("text"), 400, "request holds no event"),
            (with("event", json!("")), 400, "event submitted with an empty event name"),
            (with("event", json!(null)), 400, "event submitted with an empty event name"),
            (with("distinct_id", json!("")), 400, "event submitted without a distinct_id"),
            (with("distinct_id", json!(null)), 400, "event submitted without a distinct_id"),
            (with("uuid", json!("x")), 400, "event submitted with an invalid uuid"),
            (with("api_key", json!(null)), 401, "event submitted without an api_key"),
            (with("api_key", json!("")), 401, "API key is not valid: empty"),
            (with("api_key", json!("phx_abc")), 401, "API key is not valid: personal_api_key"),
            (with("api_key", json!("t".repeat(65))), 401, "API key is not valid: too_long"),
            (
                json!([whole, with("api_key", json!("u"))]),
                401,
                "batch submitted with inconsistent api_key values",
            ),
        ] {
            assert_eq!(refusal(body.clone()), (status, sentence.to_owned()), "{body}");
        }
        assert!(refusal(with("properties", json!([]))).1.starts_with("failed to parse request"));
        assert!(read_text("{").is_err() && read_text("").is_err() && read(b"\xff\xfe", 10, NOW).is_err());
    }

    #[test]
    fn ids_become_text_and_are_cut() {
        let sent = event(json!({"event": "e".repeat(300), "distinct_id": 12, "token": "t", "uuid": ""}));
        assert_eq!((sent.event.len(), sent.distinct_id.as_str(), sent.uuid), (200, "12", None));
        let sent = event(json!({"event": "a", "distinct_id": "é".repeat(201), "token": "t"}));
        assert_eq!(sent.distinct_id.chars().count(), 200);
    }

    #[test]
    fn a_time_is_kept_corrected_or_that_of_receipt() {
        let at = |timestamp: Value, extra: Value| {
            let mut item = json!({"event": "a", "distinct_id": "d", "timestamp": timestamp});
            item["offset"] = extra["offset"].clone();
            let body = json!({"api_key": "t", "batch": [item], "sent_at": extra["sent_at"]});
            event(body).timestamp
        };
        let told = Time::parse("2023-01-01T10:00:00Z").unwrap();
        assert_eq!(at(json!("2023-01-01T12:00:00+02:00"), json!({})), told);
        assert_eq!(at(json!("2023-01-01T10:00:00"), json!({})), told);
        assert_eq!(at(json!("yesterday"), json!({})), NOW);
        assert_eq!(at(json!(null), json!({"offset": 1500})), Time(NOW.0 - 1_500_000));
        let sent_at = Time(NOW.0 - 60_000_000).to_string();
        assert_eq!(at(json!("2023-01-01T10:00:00Z"), json!({"sent_at": sent_at})), told.plus_seconds(60));
        assert_eq!(at(json!(null), json!({"offset": i64::MAX})), NOW);
    }

    #[test]
    fn what_is_set_outside_goes_inside() {
        let sent = event(json!({
            "event": "a", "distinct_id": "d", "token": "t",
            "$set": {"a": 1}, "$set_once": {"b": 2}, "properties": {"$set": {"a": 0, "c": 3}},
        }));
        assert_eq!(Value::Object(sent.properties), json!({"$set": {"a": 1, "c": 3}, "$set_once": {"b": 2}}));
    }
}
