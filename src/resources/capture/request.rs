//! What a request holds: where its events lie in its text, and whose they are.
//! Invariant: events are read from the text one at a time, so a request takes little more memory than its
//! text does.

use std::ops::Range;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::event::{self, Checked};
use super::skew::{self, SenderClock};
use super::{NO_EVENT, Outcome, Refusal};
use crate::api::json::Counts;
use crate::resources::events::CapturedEvent;

const TOKEN_CHARS_MAX: usize = 64;
/// What an event takes beside its text until it is stored, in bytes.
pub(super) const EVENT_BYTES: usize = 500;
/// How often the text of one event is in memory until it is on disk, at the most.
const EVENT_COPIES: usize = 4;

/// A request of which it is known where its events lie, not yet whether they are good.
pub(super) struct Outline {
    bytes: Bytes,
    /// Where the events lie, with commas between them.
    items: Range<usize>,
    /// Whether the events are a list.
    is_list: bool,
    /// The token of the whole.
    token: Option<String>,
    /// Whether the sender moves events from elsewhere.
    is_migration: bool,
    clock: SenderClock,
    /// Events are read in pieces that take about so many bytes.
    piece_bytes: usize,
    /// What reading the events takes beside the text, in bytes.
    pub(super) cost: usize,
}

/// A request whose events are all good.
pub(super) struct Request {
    outline: Outline,
    pub(super) token: String,
    /// Whether any event says its time in a way that nobody can read.
    pub(super) has_unreadable_time: bool,
    /// All events, where they are one piece.
    whole: std::sync::Mutex<Option<Vec<Checked>>>,
}

/// Some events, and where the next ones begin.
pub(super) struct Piece {
    pub(super) events: Vec<CapturedEvent>,
    pub(super) next: Option<usize>,
}

/// Finds the events in the JSON text.
pub(super) fn outline(bytes: Bytes, clock: SenderClock, piece_bytes: usize) -> Outcome<Outline> {
    let of_json = |cause: serde_json::Error| Refusal::of_json(&cause);
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace()).ok_or(NO_EVENT)?;
    let text: &RawValue;
    let mut found = Whole::default();
    match first {
        b'[' => text = serde_json::from_slice(&bytes).map_err(of_json)?,
        b'{' => {
            found = serde_json::from_slice(&bytes).map_err(of_json)?;
            text = match found.batch {
                Some(batch) if batch.get().starts_with('[') => batch,
                Some(_) => return Err(Refusal::of_json("the batch is not a list")),
                None if found.is_event => serde_json::from_slice(&bytes).map_err(of_json)?,
                None => return Err(NO_EVENT),
            };
        }
        _ => {
            serde_json::from_slice::<&RawValue>(&bytes).map_err(of_json)?;
            return Err(NO_EVENT);
        }
    }
    let is_list = text.get().starts_with('[');
    let is_named = is_list && found.batch.is_some();
    let token = [found.api_key, found.token].into_iter().flatten().find_map(string).filter(|_| is_named);
    let sent_at = found.sent_at.filter(|_| is_named).and_then(value).as_ref().and_then(skew::read);
    let is_migration = is_named && found.historical_migration.is_some_and(|raw| raw.get() == "true");
    let start = text.get().as_ptr().addr() - bytes.as_ptr().addr();
    let border = usize::from(is_list);
    let items = start + border..start + text.get().len() - border;
    let clock = clock.with_batch(sent_at);
    let mut outline =
        Outline { bytes: Bytes::new(), items, is_list, token, is_migration, clock, piece_bytes, cost: 0 };
    outline.bytes = bytes;
    outline.cost = outline.cost()?;
    Ok(outline)
}

/// What events take beside their text: first as a value with the text that it becomes, then as copies of that.
pub(super) fn cost_of(text: &[u8], counts: Counts) -> usize {
    (counts.parsed_bytes() + text.len()).max(EVENT_COPIES * text.len())
}

/// The text of a JSON string.
fn string(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

fn value(raw: &RawValue) -> Option<Value> {
    serde_json::from_str(raw.get()).ok()
}

impl Outline {
    fn is_one_piece(&self) -> bool {
        self.items.len() <= self.piece_bytes
    }

    fn cost(&self) -> Outcome<usize> {
        let text = &self.bytes[self.items.clone()];
        if text.iter().all(u8::is_ascii_whitespace) {
            return Err(NO_EVENT);
        }
        if self.is_one_piece() {
            let counts = Counts::of(text);
            return Ok(cost_of(text, counts) + (counts.outer_commas + 1) * EVENT_BYTES);
        }
        let mut largest = 0;
        let mut items = self.items_from(self.items.start);
        while let Some(text) = items.next()? {
            largest = largest.max(cost_of(text.as_bytes(), Counts::of(text.as_bytes())));
        }
        Ok(largest + self.piece_bytes)
    }

    fn items_from(&self, at: usize) -> Items<'_> {
        Items { bytes: &self.bytes[..self.items.end], at }
    }

    /// Reads every event.
    pub(super) fn check(self) -> Outcome<Request> {
        let mut token = self.token.clone();
        let is_named = token.is_some();
        let mut whole = Vec::new();
        let mut has_unreadable_time = false;
        let mut items = self.items_from(self.items.start);
        let mut place = 0;
        while let Some(text) = items.next()? {
            let read = event::read(text, &self.clock);
            let mut event = read.map_err(|refusal| refusal.at(self.is_list.then_some(place)))?;
            let own = event.token.take().filter(|_| !is_named);
            if token.is_some() && own.is_some() && token != own {
                let refusal = Refusal::unauthorized("batch submitted with inconsistent api_key values");
                return Err(refusal.at(Some(place)));
            }
            token = token.or(own);
            has_unreadable_time |= event.has_unreadable_time;
            place += 1;
            if self.is_one_piece() {
                whole.push(event);
            }
        }
        let token = token.ok_or(Refusal::unauthorized("event submitted without an api_key"))?;
        check_token(&token)?;
        let whole = self.is_one_piece().then_some(whole);
        Ok(Request { outline: self, token, has_unreadable_time, whole: whole.into() })
    }
}

impl Request {
    /// Whether its pieces take no time: it is small, or it is one piece, which was read when it was checked.
    pub(super) fn is_ready(&self) -> bool {
        self.outline.is_one_piece() || self.outline.items.len() <= super::AT_ONCE_BYTES_MAX
    }

    /// Whether the sender moves events from elsewhere.
    pub(super) fn is_migration(&self) -> bool {
        self.outline.is_migration
    }

    /// Where the first piece begins.
    pub(super) fn start(&self) -> usize {
        self.outline.items.start
    }

    /// The events from there on, as many as are one piece.
    pub(super) fn piece(&self, start: usize, ip: Option<&str>) -> Outcome<Piece> {
        let whole = self.whole.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(whole) = whole {
            return Ok(Piece { events: whole.into_iter().map(|event| event.sent(ip)).collect(), next: None });
        }
        let Outline { clock, piece_bytes, .. } = &self.outline;
        let mut events = Vec::new();
        let mut bytes = 0;
        let mut items = self.outline.items_from(start);
        while let Some(text) = items.next()? {
            events.push(event::read(text, clock)?.sent(ip));
            bytes += text.len() + EVENT_BYTES;
            if bytes >= *piece_bytes {
                return Ok(Piece { events, next: Some(items.at) });
            }
        }
        Ok(Piece { events, next: None })
    }
}

/// Walks the items of a list that is known to be good JSON.
pub(super) struct Items<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Items<'a> {
    pub(super) fn next(&mut self) -> Outcome<Option<&'a str>> {
        let is_between = |byte: &u8| byte.is_ascii_whitespace() || *byte == b',';
        while self.bytes.get(self.at).is_some_and(is_between) {
            self.at += 1;
        }
        let mut values =
            serde_json::Deserializer::from_slice(&self.bytes[self.at..]).into_iter::<&'a RawValue>();
        let Some(item) = values.next() else { return Ok(None) };
        let item = item.map_err(|cause| Refusal::of_json(&cause))?;
        self.at += values.byte_offset();
        Ok(Some(item.get()))
    }
}

/// The outermost object of a request. Of a name that comes more than once, the last counts.
#[derive(Default)]
struct Whole<'a> {
    batch: Option<&'a RawValue>,
    is_event: bool,
    api_key: Option<&'a RawValue>,
    token: Option<&'a RawValue>,
    sent_at: Option<&'a RawValue>,
    historical_migration: Option<&'a RawValue>,
}

#[derive(serde::Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Name {
    Batch,
    Event,
    ApiKey,
    Token,
    SentAt,
    HistoricalMigration,
    #[serde(other)]
    Other,
}

impl<'de> Deserialize<'de> for Whole<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Whole<'de>, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Whole<'de>;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Whole<'de>, M::Error> {
                let mut whole = Whole::default();
                while let Some(name) = map.next_key()? {
                    let value: &'de RawValue = map.next_value()?;
                    match name {
                        Name::Batch => whole.batch = Some(value),
                        Name::Event => whole.is_event = true,
                        Name::ApiKey => whole.api_key = Some(value),
                        Name::Token => whole.token = Some(value),
                        Name::SentAt => whole.sent_at = Some(value),
                        Name::HistoricalMigration => whole.historical_migration = Some(value),
                        Name::Other => {}
                    }
                }
                Ok(whole)
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// What can be no project's token is refused.
pub(super) fn check_token(token: &str) -> Outcome<()> {
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
    Err(Refusal::unauthorized(format!("API key is not valid: {fault}")))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::clock::Time;
    use crate::resources::events::CapturedEvent;

    const CLOCK: SenderClock = SenderClock::silent(Time(1_700_000_000_000_000));

    fn read_in_pieces(text: &[u8], piece_bytes: usize) -> Outcome<(String, Vec<CapturedEvent>)> {
        let request = outline(Bytes::copy_from_slice(text), CLOCK, piece_bytes)?.check()?;
        let mut events = Vec::new();
        let mut from = Some(request.start());
        while let Some(start) = from {
            let piece = request.piece(start, None)?;
            assert!(!piece.events.is_empty() || piece.next.is_none(), "every piece makes progress");
            events.extend(piece.events);
            from = piece.next;
        }
        Ok((request.token, events))
    }

    /// The token and the events, which are the same whether they are read at once or in pieces.
    fn read_text(text: &str) -> Outcome<(String, Vec<CapturedEvent>)> {
        let all = read_in_pieces(text.as_bytes(), usize::MAX);
        let pieces = read_in_pieces(text.as_bytes(), 1);
        assert_eq!(format!("{all:?}"), format!("{pieces:?}"));
        all
    }

    fn event(body: Value) -> CapturedEvent {
        let (_, mut events) = read_text(&body.to_string()).unwrap();
        assert_eq!(events.len(), 1);
        events.remove(0)
    }

    fn refusal(body: Value) -> (u16, String) {
        match read_text(&body.to_string()) {
            Err(refusal) => (refusal.status, refusal.sentence.into_owned()),
            Ok((_, events)) => panic!("{} events were taken", events.len()),
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
            let (token, events) = read_text(&body.to_string()).unwrap();
            assert_eq!((token.as_str(), events[0].distinct_id.as_str()), ("phc_x", "d"), "{body}");
        }
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
                "batch submitted with inconsistent api_key values: event 1 of the batch, counted from 0",
            ),
            (
                json!({"api_key": "t", "batch": [whole, whole, {"event": "a"}]}),
                400,
                "event submitted without a distinct_id: event 2 of the batch, counted from 0",
            ),
        ] {
            assert_eq!(refusal(body.clone()), (status, sentence.to_owned()), "{body}");
        }
        assert!(refusal(with("properties", json!([]))).1.starts_with("failed to parse request"));
        assert!(read_text("{").is_err() && read_text("").is_err());
        assert!(read_in_pieces(b"\xff\xfe", 10).is_err() && read_in_pieces(b"[{}]x", 10).is_err());
    }

    #[test]
    fn ids_become_text_and_are_cut() {
        let sent = event(json!({"event": "e".repeat(300), "distinct_id": 12, "token": "t", "uuid": ""}));
        assert_eq!((sent.event.len(), sent.distinct_id.as_str(), sent.uuid), (200, "12", None));
        let sent = event(json!({"event": "a", "distinct_id": "é".repeat(201), "token": "t"}));
        assert_eq!(sent.distinct_id.chars().count(), 200);
    }

    #[test]
    fn what_is_set_outside_goes_inside() {
        let sent = event(json!({
            "event": "a", "distinct_id": "d", "token": "t",
            "$set": {"a": 1}, "$set_once": {"b": 2}, "properties": {"$set": {"a": 0, "c": 3}},
        }));
        assert_eq!(sent.properties.value(), json!({"$set": {"a": 1, "c": 3}, "$set_once": {"b": 2}}));
    }

    #[test]
    fn of_a_name_that_comes_twice_the_last_counts() {
        let twice = r#"{"batch": 5, "api_key": "a", "\u0061pi_key": "b", "batch": [{"event": "x", "distinct_id": "d"}]}"#;
        let (token, events) = read_text(twice).unwrap();
        assert_eq!((token.as_str(), events.len()), ("b", 1));
    }

    #[test]
    fn a_bad_event_refuses_the_whole_request_wherever_it_stands() {
        let good = r#"{"event": "a", "distinct_id": "d", "token": "t"}"#;
        for bad in ["5", "{}", r#"{"event": "a"}"#, "null", "[]"] {
            for text in [format!("[{bad},{good},{good}]"), format!("[{good},{good},{bad}]")] {
                assert_eq!(read_text(&text).err().map(|refusal| refusal.status), Some(400), "{text}");
            }
        }
        for text in
            [format!("[{good} {good}]"), format!("[{good},]"), format!("[{good}"), format!("[{good}],")]
        {
            assert!(read_text(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_is_kept_only_where_it_may_be() {
        let body =
            |ip: Value| json!({"event": "a", "distinct_id": "d", "token": "t", "properties": {"$ip": ip}});
        let kept = |body: Value, ip: Option<&str>| {
            let request = outline(body.to_string().into(), CLOCK, usize::MAX).unwrap().check().unwrap();
            request.piece(request.start(), ip).unwrap().events[0].properties.value()["$ip"].clone()
        };
        assert_eq!(kept(body(json!("192.0.2.1")), Some("192.0.2.2")), json!("192.0.2.1"));
        assert_eq!(
            kept(json!({"event": "a", "distinct_id": "d", "token": "t"}), Some("192.0.2.2")),
            json!("192.0.2.2")
        );
        assert_eq!(kept(body(json!("192.0.2.1")), None), json!(null));
    }

    #[test]
    fn what_a_request_costs_grows_with_what_it_holds() {
        let cost = |text: &str, piece_bytes| {
            outline(Bytes::copy_from_slice(text.as_bytes()), CLOCK, piece_bytes).unwrap().cost
        };
        let event =
            r#"{"event": "a", "distinct_id": "d", "token": "t", "properties": {"list": [1,1,1,1,1,1,1,1]}}"#;
        let (one, ten) = (format!("[{event}]"), format!("[{}]", [event; 10].join(",")));
        assert!(cost(&ten, usize::MAX) > 9 * cost(&one, usize::MAX) / 2);
        assert!(cost(&ten, 100) < cost(&one, usize::MAX) + 100, "one event at a time is in memory");
        assert!(
            cost(&one, usize::MAX) > event.len() * EVENT_COPIES
                && cost_of(&[b'x'; 1000], Counts::of(&[b'x'; 1000])) == 4000
        );
    }
}
