//! When an event happened, by a sender whose clock may be wrong.

use serde_json::Value;

use super::object::Object;
use crate::api::Call;
use crate::clock::{SECOND_MICROS, Time};

/// An event that is further ahead becomes one of now, so that every event is in a run of its exports.
const AHEAD_SECONDS_MAX: i64 = 23 * 60 * 60;

/// What is known of the sender's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct SenderClock {
    pub(super) now: Time,
    /// When the batch was sent, as it says itself.
    batch_sent_at: Option<Time>,
    /// When the request was sent, as its address says.
    query_sent_at: Option<Time>,
}

/// When an event happened, and whether it said so in a way that nobody can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct When {
    pub(super) time: Time,
    pub(super) is_unreadable: bool,
}

impl SenderClock {
    pub(super) fn of(call: &Call) -> SenderClock {
        let sent_at = |name: &str| read_text(call.query(name)?);
        SenderClock {
            now: call.now,
            batch_sent_at: None,
            query_sent_at: sent_at("sent_at").or_else(|| sent_at("_")),
        }
    }

    /// What the batch itself says counts before all else.
    pub(super) fn with_batch(self, batch_sent_at: Option<Time>) -> SenderClock {
        SenderClock { batch_sent_at, ..self }
    }

    /// Of a sender who says nothing.
    #[cfg(test)]
    pub(super) const fn silent(now: Time) -> SenderClock {
        SenderClock { now, batch_sent_at: None, query_sent_at: None }
    }

    /// When the event happened.
    pub(super) fn when(&self, event: &Object<'_>, properties: &Object<'_>) -> When {
        let named = event.get("timestamp").filter(|value| !value.is_null() && *value != "");
        let said = named.as_ref().and_then(read);
        let is_exact = properties.get("$ignore_sent_at").is_some_and(|value| is_true(&value));
        let sent_at = self.batch_sent_at.or_else(|| read(&event.get("sent_at")?)).or(self.query_sent_at);
        let time = match (said, event.get("offset").and_then(|offset| offset.as_i64())) {
            (Some(said), _) => match sent_at.filter(|_| !is_exact) {
                Some(sent_at) => shifted(said, sent_at, self.now),
                None => said,
            },
            (None, Some(offset)) => Time(self.now.0.saturating_sub(offset.saturating_mul(1000))),
            (None, None) => self.now,
        };
        When { time: kept(time, self.now), is_unreadable: named.is_some() && said.is_none() }
    }
}

/// The time by this server's clock, which showed `now` when the sender's showed `sent_at`.
pub(super) fn shifted(said: Time, sent_at: Time, now: Time) -> Time {
    Time(said.0.saturating_add(now.0.saturating_sub(sent_at.0)))
}

/// The time that is stored: corrections may lead out of the calendar, and clocks far ahead.
pub(super) fn kept(time: Time, now: Time) -> Time {
    let is_ahead = time > now.plus_seconds(AHEAD_SECONDS_MAX);
    if is_ahead || !Time::CALENDAR.contains(&time) { now } else { time }
}

fn is_true(value: &Value) -> bool {
    *value == Value::Bool(true) || *value == "true"
}

/// A time as text, or as a number since 1970.
pub(super) fn read(value: &Value) -> Option<Time> {
    match value {
        Value::String(text) => read_text(text),
        Value::Number(number) => since_1970(number.as_f64()?),
        _ => None,
    }
}

fn read_text(text: &str) -> Option<Time> {
    let text = text.trim();
    // Fewer digits are a year, a month or a day.
    let is_number = text.len() > 8
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && text.split('.').next().is_some_and(|whole| whole.len() > 8);
    if is_number { since_1970(text.parse().ok()?) } else { Time::parse(text) }
}

/// Seconds, milliseconds, microseconds or nanoseconds: whichever is between 1973 and 5138.
fn since_1970(number: f64) -> Option<Time> {
    let micros_each = match number.abs() {
        size if size < 1e11 => SECOND_MICROS as f64,
        size if size < 1e14 => 1e3,
        size if size < 1e17 => 1.0,
        size if size < 1e20 => 1e-3,
        _ => return None,
    };
    let time = Time((number * micros_each).round() as i64);
    Time::CALENDAR.contains(&time).then_some(time)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Time = Time(1_700_000_000_000_000);

    fn when(clock: SenderClock, event: Value) -> When {
        let text = event.to_string();
        let mut event = Object::read(&text).unwrap_or_else(|_| event.as_object().unwrap().clone().into());
        let properties = event.take_object("properties").unwrap();
        clock.when(&event, &properties)
    }

    #[test]
    fn a_time_is_kept_corrected_or_that_of_receipt() {
        let said = Time::parse("2023-01-01T10:00:00Z").unwrap();
        let silent = SenderClock::silent(NOW);
        let ahead = |seconds| Some(NOW.plus_seconds(seconds));
        let (batch, query) = (ahead(60), ahead(600));
        let both = SenderClock { batch_sent_at: batch, query_sent_at: query, ..silent };
        let of_query = SenderClock { query_sent_at: query, ..silent };
        let text = "2023-01-01T10:00:00Z";
        for (clock, event, wanted) in [
            (silent, json!({"timestamp": "2023-01-01T12:00:00+02:00"}), said),
            (silent, json!({"timestamp": "2023-01-01T10:00:00"}), said),
            (silent, json!({"timestamp": 1_672_567_200}), said),
            (silent, json!({"timestamp": 1_672_567_200_000_i64}), said),
            (silent, json!({"timestamp": "1672567200000"}), said),
            (silent, json!({"timestamp": "1672567200.000"}), said),
            (silent, json!({}), NOW),
            (silent, json!({"timestamp": ""}), NOW),
            (silent, json!({"timestamp": null, "offset": 1500}), Time(NOW.0 - 1_500_000)),
            (silent, json!({"offset": i64::MAX}), NOW),
            (silent, json!({"offset": i64::MIN}), NOW),
            (both, json!({"timestamp": text, "sent_at": ahead(6000).unwrap()}), said.plus_seconds(-60)),
            (of_query, json!({"timestamp": text}), said.plus_seconds(-600)),
            (of_query, json!({"timestamp": text, "sent_at": ahead(-6).unwrap()}), said.plus_seconds(6)),
            (of_query, json!({"timestamp": text, "sent_at": (NOW.0 / 1000) + 7000}), said.plus_seconds(-7)),
            (of_query, json!({"timestamp": text, "sent_at": "soon"}), said.plus_seconds(-600)),
            (both, json!({"timestamp": text, "properties": {"$ignore_sent_at": true}}), said),
            (
                both,
                json!({"timestamp": text, "properties": {"$ignore_sent_at": false}}),
                said.plus_seconds(-60),
            ),
        ] {
            assert_eq!(when(clock, event.clone()), When { time: wanted, is_unreadable: false }, "{event}");
        }
        for event in
            [json!({"timestamp": "yesterday"}), json!({"timestamp": true}), json!({"timestamp": 1e30})]
        {
            assert_eq!(when(both, event.clone()), When { time: NOW, is_unreadable: true }, "{event}");
        }
    }

    #[test]
    fn what_is_more_than_23_hours_ahead_is_of_now() {
        const HOUR: i64 = 60 * 60;
        for (seconds, is_kept) in [
            (22 * HOUR, true),
            (23 * HOUR, true),
            (23 * HOUR + 1, false),
            (25 * HOUR, false),
            (10 * 365 * 24 * HOUR, false),
            (-10 * 365 * 24 * HOUR, true),
        ] {
            let said = NOW.plus_seconds(seconds);
            assert_eq!(kept(said, NOW), if is_kept { said } else { NOW }, "{seconds}");
        }
        assert_eq!(kept(Time(i64::MAX), NOW), NOW);
        assert_eq!(kept(Time(i64::MIN), NOW), NOW);
    }
}
