//! What expressions come to for an event, as ClickHouse has it. Where ClickHouse would end the query
//! (a division by zero, a number that does not fit), the value is null. So is what would take more memory
//! than the event affords: every text that is made is paid for, whatever becomes of it.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value as Json;
use uuid::Uuid;

use super::functions::Function;
use super::typecheck::{Field, Kind, Node, Owner, Typed};
use crate::api::json::Counts;
use crate::clock::{SECOND_MICROS, Time};
use crate::resources::batch_exports::columns::{Event, Value};

const HOUR_MICROS: i64 = 3600 * SECOND_MICROS;
const DAY_MICROS: i64 = 24 * HOUR_MICROS;

/// The value of a column for this event; null where any part of it was more than the event affords. A text
/// that lies in the event is paid for here: it is copied out.
pub(super) fn column<'a>(typed: &Typed, event: &'a Event) -> Value<'a> {
    let value = value(typed, event);
    if let Value::Text(Cow::Borrowed(text)) | Value::Json(Cow::Borrowed(text)) = &value {
        event.affords(text.len());
    }
    if event.was_overdrawn() { Value::Null } else { value }
}

/// A text that was made; null where there was no memory for it.
fn made<'a>(text: Cow<'a, str>, event: &Event) -> Value<'a> {
    if matches!(&text, Cow::Owned(text) if !event.affords(text.len())) {
        Value::Null
    } else {
        Value::Text(text)
    }
}

/// The value of the expression for this event.
fn value<'a>(typed: &Typed, event: &'a Event) -> Value<'a> {
    match &typed.node {
        Node::Null => Value::Null,
        Node::Boolean(flag) => Value::Boolean(*flag),
        Node::Integer(number) => Value::Integer(*number),
        Node::Float(number) => Value::Float(*number),
        Node::Text(text) => made(text.clone().into(), event),
        Node::Now(now) => Value::Time(*now),
        Node::Field(field) => of_field(*field, event),
        Node::Property(owner, path) => path
            .iter()
            .try_fold(properties(*owner, event), |json, name| json.get(name))
            .map_or(Value::Null, |json| plain(json, event)),
        Node::Cast(inside) => cast(value(inside, event), typed.kind),
        Node::Call(known, arguments) => call(known.function, arguments, event),
    }
}

fn of_field(field: Field, event: &Event) -> Value<'_> {
    match field {
        Field::Uuid => Value::Uuid(event.event.uuid_or(event.id)),
        Field::Event => Value::text(&event.event.event),
        Field::Timestamp => Value::Time(event.event.timestamp),
        Field::DistinctId => Value::text(&event.event.distinct_id),
        Field::PersonId => Value::Uuid(event.event.person.0),
        Field::TeamId => Value::Integer(event.project.0.into()),
        Field::ElementsChain => Value::text(&event.event.elements_chain),
        Field::CreatedAt => Value::Time(event.arrived_at),
        Field::Properties(Owner::Event) => Value::json(&event.event.properties),
        Field::Properties(Owner::Person) => event.person_properties_text(),
    }
}

fn properties(owner: Owner, event: &Event) -> &Json {
    match owner {
        Owner::Event => event.properties(),
        Owner::Person => event.person_properties(),
    }
}

/// A property as text: without quotes where it is text, as JSON where it is more.
fn plain<'a>(json: &'a Json, event: &Event) -> Value<'a> {
    match json {
        Json::Null => Value::Null,
        Json::String(text) => Value::text(text),
        other => made(other.to_string().into(), event),
    }
}

/// A value as a kind that holds it; see `Kind::common`.
fn cast(value: Value<'_>, kind: Kind) -> Value<'_> {
    match (value, kind) {
        (Value::Boolean(flag), Kind::Integer) => Value::Integer(flag.into()),
        (Value::Boolean(flag), Kind::Float) => Value::Float(u8::from(flag).into()),
        (Value::Integer(number), Kind::Float) => Value::Float(number as f64),
        (Value::Json(text), Kind::Text) => Value::Text(text),
        (value, _) => value,
    }
}

fn call<'a>(function: Function, arguments: &[Typed], event: &'a Event) -> Value<'a> {
    let argument = |place: usize| arguments.get(place).map_or(Value::Null, |typed| value(typed, event));
    let kind = |place: usize| arguments.get(place).map_or(Kind::Null, |typed| typed.kind);
    let values = || arguments.iter().map(|typed| value(typed, event));
    match function {
        Function::ToText => text_of(argument(0), kind(0)).map_or(Value::Null, |text| made(text, event)),
        Function::ToInteger => integer_of(argument(0), kind(0)).map_or(Value::Null, Value::Integer),
        Function::ToFloat => float_of(argument(0), kind(0)).map_or(Value::Null, float),
        Function::ToDate => {
            time_of(&argument(0)).map_or(Value::Null, |time| Value::Time(floor(time, DAY_MICROS)))
        }
        Function::ToMoment => to_moment(&argument(0)).map_or(Value::Null, Value::Time),
        Function::StartOfHour => start_of(&argument(0), HOUR_MICROS),
        Function::StartOfDay => start_of(&argument(0), DAY_MICROS),
        // Of the letters of ASCII only, as in ClickHouse.
        Function::Lower => map_text(argument(0), event, |text| text.to_ascii_lowercase()),
        Function::Upper => map_text(argument(0), event, |text| text.to_ascii_uppercase()),
        Function::Trim => map_text(argument(0), event, |text| text.trim_matches(' ').to_owned()),
        Function::Length => match argument(0) {
            Value::Text(text) | Value::Json(text) => {
                Value::Integer(i64::try_from(text.len()).unwrap_or(i64::MAX))
            }
            _ => Value::Null,
        },
        Function::Substring => {
            let length = arguments.get(2).map(|typed| value(typed, event));
            substring(argument(0), &argument(1), length, event)
        }
        // Nulls are nothing here, not everything.
        Function::Concat => {
            let texts = arguments.iter().filter_map(|typed| text_of(value(typed, event), typed.kind));
            concat(texts, event)
        }
        Function::Coalesce => values().find(|value| *value != Value::Null).unwrap_or(Value::Null),
        Function::NullIf => {
            let (value, other) = (argument(0), argument(1));
            if compare(&value, &other) == Some(Ordering::Equal) { Value::Null } else { value }
        }
        Function::If => argument(if truth(&argument(0)) == Some(true) { 1 } else { 2 }),
        Function::Plus
        | Function::Minus
        | Function::Multiply
        | Function::Modulo
        | Function::Divide
        | Function::Equals
        | Function::NotEquals
        | Function::Less
        | Function::LessOrEquals
        | Function::Greater
        | Function::GreaterOrEquals => operator(function, &argument(0), &argument(1)),
        Function::And => decided_by(false, values().map(|value| truth(&value))),
        Function::Or => decided_by(true, values().map(|value| truth(&value))),
        Function::Not => truth(&argument(0)).map_or(Value::Null, |flag| Value::Boolean(!flag)),
        Function::JsonText => json(arguments, event, |found| match found {
            Some(Json::String(text)) => text.clone(),
            _ => String::new(),
        }),
        Function::JsonRaw => json(arguments, event, |found| found.map(Json::to_string).unwrap_or_default()),
        // Known before any event is.
        Function::Now => Value::Null,
    }
}

/// A binary operator of numbers, or one that compares.
fn operator<'a>(function: Function, left: &Value<'a>, right: &Value<'a>) -> Value<'a> {
    match function {
        Function::Plus => arithmetic(left, right, i64::checked_add, |left, right| left + right),
        Function::Minus => arithmetic(left, right, i64::checked_sub, |left, right| left - right),
        Function::Multiply => arithmetic(left, right, i64::checked_mul, |left, right| left * right),
        Function::Modulo => arithmetic(left, right, i64::checked_rem, |left, right| left % right),
        Function::Divide => match (number(left), number(right)) {
            (Some(left), Some(right)) => float(left.as_float() / right.as_float()),
            _ => Value::Null,
        },
        Function::Equals => Value::Boolean(equals(left, right)),
        Function::NotEquals => Value::Boolean(!equals(left, right)),
        Function::Less => orders(left, right, Ordering::is_lt),
        Function::LessOrEquals => orders(left, right, Ordering::is_le),
        Function::Greater => orders(left, right, Ordering::is_gt),
        Function::GreaterOrEquals => orders(left, right, Ordering::is_ge),
        _ => Value::Null,
    }
}

/// All texts joined; what is too long is not even begun.
fn concat<'a>(texts: impl Iterator<Item = Cow<'a, str>>, event: &Event) -> Value<'a> {
    let mut all = String::new();
    for text in texts {
        let len = all.len() + text.len();
        if len > event.bytes_left() {
            event.affords(len);
            return Value::Null;
        }
        all.push_str(&text);
    }
    made(all.into(), event)
}

fn map_text<'a>(value: Value<'a>, event: &Event, map: impl FnOnce(&str) -> String) -> Value<'a> {
    match value {
        Value::Text(text) | Value::Json(text) => made(map(&text).into(), event),
        _ => Value::Null,
    }
}

/// As ClickHouse writes it.
fn text_of(value: Value<'_>, kind: Kind) -> Option<Cow<'_, str>> {
    Some(match value {
        Value::Null => return None,
        Value::Text(text) | Value::Json(text) => text,
        Value::Uuid(id) => id.to_string().into(),
        Value::Integer(number) => number.to_string().into(),
        Value::Float(number) => number.to_string().into(),
        Value::Boolean(flag) => flag.to_string().into(),
        Value::Time(time) => time_text(time, kind).into(),
    })
}

fn time_text(time: Time, kind: Kind) -> String {
    let shown = time.to_string();
    let (day, clock) = (&shown[..10], &shown[11..19]);
    match kind {
        Kind::Date => day.to_owned(),
        Kind::Seconds => format!("{day} {clock}"),
        _ => format!("{day} {clock}.{:06}", time.0.rem_euclid(SECOND_MICROS)),
    }
}

/// Whole, without loss: a text that is no integer and a float with a fraction are none.
fn integer_of(value: Value<'_>, kind: Kind) -> Option<i64> {
    match value {
        Value::Text(text) | Value::Json(text) => text.parse().ok(),
        Value::Integer(number) => Some(number),
        Value::Boolean(flag) => Some(flag.into()),
        Value::Time(time) if kind == Kind::Date => Some(time.0.div_euclid(DAY_MICROS)),
        Value::Time(time) => Some(time.unix_seconds()),
        Value::Float(number) => {
            let fits = number.fract() == 0.0 && (i64::MIN as f64..-(i64::MIN as f64)).contains(&number);
            fits.then_some(number as i64)
        }
        Value::Null | Value::Uuid(_) => None,
    }
}

fn float_of(value: Value<'_>, kind: Kind) -> Option<f64> {
    match value {
        Value::Text(text) | Value::Json(text) => text.parse().ok(),
        Value::Time(time) if kind != Kind::Date => Some(time.0 as f64 / SECOND_MICROS as f64),
        Value::Float(number) => Some(number),
        other => integer_of(other, kind).map(|number| number as f64),
    }
}

/// Null where no JSON and no column can hold it.
fn float(number: f64) -> Value<'static> {
    if number.is_finite() { Value::Float(number) } else { Value::Null }
}

/// A time, or a text that tells one.
fn time_of(value: &Value<'_>) -> Option<Time> {
    match value {
        Value::Time(time) => Some(*time),
        Value::Text(text) | Value::Json(text) => {
            Time::parse(text).filter(|time| Time::CALENDAR.contains(time))
        }
        _ => None,
    }
}

fn to_moment(value: &Value<'_>) -> Option<Time> {
    let seconds = match value {
        Value::Text(text) | Value::Json(text) => match time_of(value) {
            Some(time) => return Some(time),
            // Seconds since 1970, where there are as many digits as they have in our time.
            None if matches!(text.len(), 9 | 10) => text.parse().ok()?,
            None => return None,
        },
        Value::Time(time) => time.unix_seconds(),
        other => match number(other)? {
            Number::Whole(number) => number,
            Number::Broken(number) => number.floor() as i64,
        },
    };
    let time = Time(seconds.checked_mul(SECOND_MICROS)?);
    Time::CALENDAR.contains(&time).then_some(time)
}

fn floor(time: Time, micros: i64) -> Time {
    Time(time.0.div_euclid(micros) * micros)
}

fn start_of(value: &Value<'_>, micros: i64) -> Value<'static> {
    match value {
        Value::Time(time) => Value::Time(floor(*time, micros)),
        _ => Value::Null,
    }
}

/// Bytes, counted from 1, or from the end where the place is negative. What is cut out of a letter of
/// several bytes is replaced.
fn substring<'a>(value: Value<'a>, place: &Value<'_>, length: Option<Value<'_>>, event: &Event) -> Value<'a> {
    let (Value::Text(text) | Value::Json(text)) = value else { return Value::Null };
    let whole = |value: &Value<'_>| match number(value)? {
        Number::Whole(number) => Some(number),
        Number::Broken(number) => Some(number as i64),
    };
    let all = i64::try_from(text.len()).unwrap_or(i64::MAX);
    let Some(place) = whole(place) else { return Value::Null };
    let Some(length) = length.map_or(Some(i64::MAX), |length| whole(&length)) else { return Value::Null };
    // A negative length leaves so much out at the end.
    let (start, end) = match place {
        0 => return Value::Text("".into()),
        1.. => (
            place - 1,
            if length < 0 { all.saturating_add(length) } else { (place - 1).saturating_add(length) },
        ),
        _ => {
            let start = all.saturating_add(place);
            (start, if length < 0 { all.saturating_add(length) } else { start.saturating_add(length) })
        }
    };
    let within = |place: i64| usize::try_from(place.clamp(0, all)).unwrap_or(0);
    let cut = text.as_bytes().get(within(start)..within(end)).unwrap_or_default();
    made(String::from_utf8_lossy(cut).into_owned().into(), event)
}

#[derive(Clone, Copy)]
enum Number {
    Whole(i64),
    Broken(f64),
}

impl Number {
    fn as_float(self) -> f64 {
        match self {
            Number::Whole(number) => number as f64,
            Number::Broken(number) => number,
        }
    }
}

fn number(value: &Value<'_>) -> Option<Number> {
    match value {
        Value::Integer(number) => Some(Number::Whole(*number)),
        Value::Boolean(flag) => Some(Number::Whole((*flag).into())),
        Value::Float(number) => Some(Number::Broken(*number)),
        _ => None,
    }
}

fn arithmetic(
    left: &Value<'_>,
    right: &Value<'_>,
    whole: fn(i64, i64) -> Option<i64>,
    broken: fn(f64, f64) -> f64,
) -> Value<'static> {
    match (number(left), number(right)) {
        (Some(Number::Whole(left)), Some(Number::Whole(right))) => {
            whole(left, right).map_or(Value::Null, Value::Integer)
        }
        (Some(left), Some(right)) => float(broken(left.as_float(), right.as_float())),
        _ => Value::Null,
    }
}

fn truth(value: &Value<'_>) -> Option<bool> {
    number(value).map(|number| number.as_float() != 0.0)
}

/// One value that decides is enough, whatever the others are; else null is null.
fn decided_by(decisive: bool, values: impl Iterator<Item = Option<bool>>) -> Value<'static> {
    let mut has_null = false;
    for value in values {
        match value {
            Some(flag) if flag == decisive => return Value::Boolean(decisive),
            Some(_) => {}
            None => has_null = true,
        }
    }
    if has_null { Value::Null } else { Value::Boolean(!decisive) }
}

/// HogQL's comparisons are never null: nulls are equal to each other and to nothing else.
fn equals(left: &Value<'_>, right: &Value<'_>) -> bool {
    match (left, right) {
        (Value::Null, Value::Null) => true,
        (left, right) => compare(left, right) == Some(Ordering::Equal),
    }
}

fn orders(left: &Value<'_>, right: &Value<'_>, is: fn(Ordering) -> bool) -> Value<'static> {
    Value::Boolean(compare(left, right).is_some_and(is))
}

fn compare(left: &Value<'_>, right: &Value<'_>) -> Option<Ordering> {
    let uuid = |value: &Value<'_>| match value {
        Value::Uuid(id) => Some(*id),
        Value::Text(text) | Value::Json(text) => Uuid::try_parse(text).ok(),
        _ => None,
    };
    match (left, right) {
        (Value::Text(left) | Value::Json(left), Value::Text(right) | Value::Json(right)) => {
            Some(left.cmp(right))
        }
        (Value::Uuid(_), _) | (_, Value::Uuid(_)) => Some(uuid(left)?.cmp(&uuid(right)?)),
        (Value::Time(_), _) | (_, Value::Time(_)) => Some(time_of(left)?.cmp(&time_of(right)?)),
        _ => match (number(left)?, number(right)?) {
            (Number::Whole(left), Number::Whole(right)) => Some(left.cmp(&right)),
            (left, right) => left.as_float().partial_cmp(&right.as_float()),
        },
    }
}

/// What is found in a JSON text by names, and by places counted from 1 or, where negative, from the end.
fn json<'a>(arguments: &[Typed], event: &'a Event, show: fn(Option<&Json>) -> String) -> Value<'a> {
    let Some((first, path)) = arguments.split_first() else { return Value::Null };
    // What was parsed before for this event is not parsed again.
    let parsed;
    let whole = match &first.node {
        Node::Field(Field::Properties(owner)) => Some(properties(*owner, event)),
        _ => match value(first, event) {
            Value::Text(text) | Value::Json(text) => {
                // What it becomes takes more than the text.
                if !event.affords(Counts::of(text.as_bytes()).parsed_bytes()) {
                    return Value::Null;
                }
                parsed = serde_json::from_str::<Json>(&text).ok();
                parsed.as_ref()
            }
            _ => return Value::Null,
        },
    };
    let mut found = whole;
    for step in path {
        found = match value(step, event) {
            Value::Null => return Value::Null,
            Value::Text(name) | Value::Json(name) => found.and_then(|json| json.get(&*name)),
            Value::Integer(place) => found.and_then(|json| at(json, place)),
            _ => None,
        };
    }
    made(show(found).into(), event)
}

fn at(json: &Json, place: i64) -> Option<&Json> {
    let index = |length: usize| {
        let length = i64::try_from(length).ok()?;
        let index = if place < 0 { length.checked_add(place)? } else { place - 1 };
        usize::try_from(index).ok()
    };
    match json {
        Json::Array(items) => items.get(index(items.len())?),
        Json::Object(object) => object.values().nth(index(object.len())?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::ids::{PersonId, ProjectId};
    use serde_json::json;

    use super::super::columns;
    use super::*;
    use crate::resources::batch_exports::columns::{Parsed, Type};
    use crate::resources::events;
    use crate::store;

    const NOW: Time = Time(1_700_000_000_000_000);

    fn event() -> Event {
        let properties = json!({
            "text": "Zoë", "padded": "  a b ", "empty": "", "number": 5, "broken": 1.5, "flag": true, "none": null,
            "list": [1, {"x": "y"}], "deep": {"a": {"b": "c"}}, "count": "42", "json": "{\"a\": [\"b\", 2]}",
            "time": "2021-02-03T04:05:06.5+01:00", "seconds": "1612325106", "quoted": "say \"hi\"", "a b": "blank",
        });
        Event {
            project: ProjectId(7),
            id: Uuid::from_u128(1),
            event: events::Event {
                uuid: None,
                event: "seen".into(),
                distinct_id: "d".into(),
                timestamp: Time::parse("2021-01-01T10:20:30.25Z").unwrap(),
                person: PersonId(Uuid::from_u128(2)),
                properties: store::Json::of(&properties),
                elements_chain: "a:b".into(),
                person_properties: None,
            },
            arrived_at: Time::parse("2021-01-02T00:00:00Z").unwrap(),
            inserted_at: NOW,
            parsed: Parsed::default(),
        }
    }

    fn is_of(value: &Value<'_>, kind: Type) -> bool {
        match value {
            Value::Null => true,
            Value::Uuid(_) => kind == Type::Uuid,
            Value::Text(_) => kind == Type::Text,
            Value::Json(_) => kind == Type::Json,
            Value::Integer(_) => kind == Type::BigInteger,
            Value::Float(_) => kind == Type::Float,
            Value::Boolean(_) => kind == Type::Boolean,
            Value::Time(_) => kind == Type::Time,
        }
    }

    /// What each expression comes to, as a line of JSON would show it.
    fn type_check(table: &[(&str, serde_json::Value)]) {
        let event = event();
        for (expression, wanted) in table {
            let query = format!("SELECT {expression} AS x FROM events");
            let columns = columns(&query, NOW).unwrap_or_else(|fault| panic!("{expression}: {fault}"));
            let value = (columns[0].value)(&event);
            assert!(is_of(&value, columns[0].kind), "{expression} is {:?}, and {value:?}", columns[0].kind);
            assert_eq!(serde_json::to_value(&value).unwrap(), *wanted, "{expression}");
        }
    }

    #[test]
    fn fields_and_properties() {
        type_check(&[
            ("uuid", json!("00000000-0000-0000-0000-000000000001")),
            ("event", json!("seen")),
            ("timestamp", json!("2021-01-01T10:20:30.250000+00:00")),
            ("distinct_id", json!("d")),
            ("person_id", json!("00000000-0000-0000-0000-000000000002")),
            ("team_id", json!(7)),
            ("elements_chain", json!("a:b")),
            ("created_at", json!("2021-01-02T00:00:00+00:00")),
            ("person.properties", json!({})),
            ("person.properties.a", json!(null)),
            ("properties.text", json!("Zoë")),
            ("properties.empty", json!("")),
            ("properties.number", json!("5")),
            ("properties.broken", json!("1.5")),
            ("properties.flag", json!("true")),
            ("properties.none", json!(null)),
            ("properties.missing", json!(null)),
            ("properties.missing.b", json!(null)),
            ("properties.text.b", json!(null)),
            ("properties.list", json!("[1,{\"x\":\"y\"}]")),
            ("properties.deep", json!("{\"a\":{\"b\":\"c\"}}")),
            ("properties.deep.a.b", json!("c")),
            ("properties['a b']", json!("blank")),
            ("properties.quoted", json!("say \"hi\"")),
            ("null", json!(null)),
            ("'a'", json!("a")),
            ("-5", json!(-5)),
            ("1.5", json!(1.5)),
            ("true", json!(true)),
            ("now()", json!("2023-11-14T22:13:20+00:00")),
        ]);
    }

    #[test]
    fn conversions() {
        type_check(&[
            ("toString(uuid)", json!("00000000-0000-0000-0000-000000000001")),
            ("toString(5)", json!("5")),
            ("toString(1.0)", json!("1")),
            ("toString(0.5)", json!("0.5")),
            ("toString(true)", json!("true")),
            ("toString(null)", json!(null)),
            ("toString(timestamp)", json!("2021-01-01 10:20:30.250000")),
            ("toString(toDateTime(timestamp))", json!("2021-01-01 10:20:30")),
            ("toString(toDate(timestamp))", json!("2021-01-01")),
            ("toString(person.properties)", json!("{}")),
            ("toInt('42')", json!(42)),
            ("toInt('-42')", json!(-42)),
            ("toInt('4.5')", json!(null)),
            ("toInt(' 4')", json!(null)),
            ("toInt('9223372036854775808')", json!(null)),
            ("toInt(properties.count)", json!(42)),
            ("toInt(properties.text)", json!(null)),
            ("toInt(1.0)", json!(1)),
            ("toInt(1.5)", json!(null)),
            ("toInt(1e30)", json!(null)),
            ("toInt(9223372036854775808.0)", json!(null)),
            ("toInt(-9223372036854775808.0)", json!(i64::MIN)),
            ("toInt(true)", json!(1)),
            ("toInt(timestamp)", json!(1_609_496_430)),
            ("toInt(toDate(timestamp))", json!(18_628)),
            ("toInt(null)", json!(null)),
            ("toFloat('1.5')", json!(1.5)),
            ("toFloat('1e2')", json!(100.0)),
            ("toFloat('x')", json!(null)),
            ("toFloat('inf')", json!(null)),
            ("toFloat('nan')", json!(null)),
            ("toFloat(2)", json!(2.0)),
            ("toFloat(timestamp)", json!(1_609_496_430.25)),
            ("toDate(timestamp)", json!("2021-01-01T00:00:00+00:00")),
            ("toDate('2021-02-03')", json!("2021-02-03T00:00:00+00:00")),
            ("toDate(properties.time)", json!("2021-02-03T00:00:00+00:00")),
            ("toDate('someday')", json!(null)),
            ("toDateTime(timestamp)", json!("2021-01-01T10:20:30+00:00")),
            ("toDateTime('2021-02-03 04:05:06')", json!("2021-02-03T04:05:06+00:00")),
            ("toDateTime(properties.time)", json!("2021-02-03T03:05:06.500000+00:00")),
            ("toDateTime(properties.seconds)", json!("2021-02-03T04:05:06+00:00")),
            ("toDateTime(properties.text)", json!(null)),
            ("toDateTime(1612325106)", json!("2021-02-03T04:05:06+00:00")),
            ("toDateTime(1612325106.9)", json!("2021-02-03T04:05:06+00:00")),
            ("toDateTime(9223372036854775807)", json!(null)),
            ("toDateTime(1e300)", json!(null)),
            ("toStartOfHour(timestamp)", json!("2021-01-01T10:00:00+00:00")),
            ("toStartOfDay(timestamp)", json!("2021-01-01T00:00:00+00:00")),
            ("toStartOfDay(toDateTime(-1))", json!("1969-12-31T00:00:00+00:00")),
            ("toStartOfDay(null)", json!(null)),
        ]);
    }

    #[test]
    fn texts() {
        type_check(&[
            // As in ClickHouse, of ASCII only, and bytes are counted.
            ("lower('ABÄ')", json!("abÄ")),
            ("UPPER(properties.text)", json!("ZOë")),
            ("lower(null)", json!(null)),
            ("length(properties.text)", json!(4)),
            ("length('')", json!(0)),
            ("length(properties.missing)", json!(null)),
            ("length(person.properties)", json!(2)),
            ("trim(properties.padded)", json!("a b")),
            ("trim('\\ta ')", json!("\ta")),
            ("concat('a', 1, null, true)", json!("a1true")),
            ("concat(properties.missing, null)", json!("")),
            ("event || '-' || properties.number", json!("seen-5")),
            ("substring('abcdef', 2, 3)", json!("bcd")),
            ("substring('abcdef', 2)", json!("bcdef")),
            ("substring('abcdef', -2)", json!("ef")),
            ("substring('abcdef', -3, 2)", json!("de")),
            ("substring('abcdef', 2, -1)", json!("bcde")),
            ("substring('abcdef', 0, 3)", json!("")),
            ("substring('abcdef', 9, 3)", json!("")),
            ("substring('abcdef', -9, 5)", json!("ab")),
            ("substring('abcdef', 3, 9223372036854775807)", json!("cdef")),
            ("substring(properties.text, 1, 3)", json!("Zo\u{fffd}")),
            ("substring(properties.missing, 1, 3)", json!(null)),
            ("substring('abc', null, 3)", json!(null)),
            ("JSONExtractString(properties, 'text')", json!("Zoë")),
            ("JSONExtractString(properties, 'number')", json!("")),
            ("JSONExtractString(properties, 'deep', 'a', 'b')", json!("c")),
            ("JSONExtractString(properties, 'list', 2, 'x')", json!("y")),
            ("JSONExtractString(properties, 'list', -1, 1)", json!("y")),
            ("JSONExtractString(properties.json, 'a', 1)", json!("b")),
            ("JSONExtractString(properties.json, 'a', 0)", json!("")),
            ("JSONExtractString(properties.text, 'a')", json!("")),
            ("JSONExtractString(properties.missing, 'a')", json!(null)),
            ("JSONExtractString(person.properties, 'a')", json!("")),
            ("JSONExtractRaw(properties, 'list')", json!("[1,{\"x\":\"y\"}]")),
            ("JSONExtractRaw(properties, 'text')", json!("\"Zoë\"")),
            ("JSONExtractRaw(properties, 'missing')", json!("")),
            ("JSONExtractRaw('[1,2]')", json!("[1,2]")),
            ("JSONExtractRaw('broken')", json!("")),
        ]);
    }

    #[test]
    fn numbers() {
        type_check(&[
            ("1 + 2 * 3", json!(7)),
            ("(1 + 2) * 3", json!(9)),
            ("1 + 0.5", json!(1.5)),
            ("true + 1", json!(2)),
            ("10 - 2 - 3", json!(5)),
            ("7 / 2", json!(3.5)),
            ("6 / 2", json!(3.0)),
            ("1 / 0", json!(null)),
            ("0 / 0", json!(null)),
            ("7 % 4", json!(3)),
            ("-7 % 4", json!(-3)),
            ("7.5 % 2", json!(1.5)),
            ("1 % 0", json!(null)),
            ("1.0 % 0", json!(null)),
            ("9223372036854775807 + 1", json!(null)),
            ("0 - 9223372036854775807 - 2", json!(null)),
            ("9223372036854775807 * 2", json!(null)),
            ("(0 - 9223372036854775807 - 1) % -1", json!(null)),
            ("1e308 * 10", json!(null)),
            ("1 + null", json!(null)),
            ("toFloat(properties.number) * 2", json!(10.0)),
            ("toInt(properties.missing) + 1", json!(null)),
            ("-(1 + 1)", json!(-2)),
        ]);
    }

    #[test]
    fn comparisons_and_choices() {
        type_check(&[
            ("1 = 1.0", json!(true)),
            ("2 > 10", json!(false)),
            ("'2' > '10'", json!(true)),
            ("event = 'seen'", json!(true)),
            ("event != 'seen'", json!(false)),
            ("1 <= 1 and 1 >= 1 and 1 < 2", json!(true)),
            ("true = 1", json!(true)),
            // Nulls are equal to each other only, as in HogQL.
            ("null = null", json!(true)),
            ("properties.missing = null", json!(true)),
            ("properties.missing is null", json!(true)),
            ("properties.text is not null", json!(true)),
            ("properties.missing = 'a'", json!(false)),
            ("properties.missing != 'a'", json!(true)),
            ("properties.missing != null", json!(false)),
            ("properties.missing < 'a'", json!(false)),
            ("null >= null", json!(false)),
            ("timestamp > '2021-01-01'", json!(true)),
            ("timestamp < '2021-01-01 10:20:31'", json!(true)),
            ("timestamp = 'someday'", json!(false)),
            ("toDate(timestamp) = '2021-01-01'", json!(true)),
            ("uuid = '00000000-0000-0000-0000-000000000001'", json!(true)),
            ("uuid = 'x'", json!(false)),
            ("true and null", json!(null)),
            ("false and null", json!(false)),
            ("null and false", json!(false)),
            ("true or null", json!(true)),
            ("false or null", json!(null)),
            ("1 and 2", json!(true)),
            ("0 or 0.0", json!(false)),
            ("not null", json!(null)),
            ("not 0", json!(true)),
            ("not event = 'a' and true", json!(true)),
            ("if(1, 'a', 'b')", json!("a")),
            ("if(null, 'a', 'b')", json!("b")),
            ("if(true, 1, 2.5)", json!(1.0)),
            ("if(false, true, 5)", json!(5)),
            ("if(true, true, 5)", json!(1)),
            ("if(true, null, 5)", json!(null)),
            ("if(true, properties, 'x') = JSONExtractRaw(properties)", json!(true)),
            ("event = 'seen' ? 1 : 2", json!(1)),
            ("coalesce(null, properties.missing, 'x')", json!("x")),
            ("coalesce(null)", json!(null)),
            ("ifNull(properties.text, 'x')", json!("Zoë")),
            ("properties.missing ?? 'x'", json!("x")),
            ("ifNull(1, 2.5)", json!(1.0)),
            ("nullIf(event, 'seen')", json!(null)),
            ("nullIf(event, 'other')", json!("seen")),
            ("nullIf(event, null)", json!("seen")),
            ("nullIf(1, 1.0)", json!(null)),
        ]);
    }

    #[test]
    fn the_person_is_looked_into_as_well() {
        let mut event = event();
        event.event.person_properties = Some(store::Json::of(&json!({"email": "a@example.com"})));
        let columns = columns("SELECT person.properties, person.properties.email FROM events", NOW).unwrap();
        let values: Vec<serde_json::Value> =
            columns.iter().map(|column| serde_json::to_value((column.value)(&event)).unwrap()).collect();
        assert_eq!(values, [json!({"email": "a@example.com"}), json!("a@example.com")]);
    }

    #[test]
    fn the_deepest_expression_has_room_on_the_stack() {
        let count = super::super::DEPTH_MAX - 1;
        let query = format!("SELECT {}1{} AS x FROM events", "concat('a', ".repeat(count), ")".repeat(count));
        let columns = columns(&query, NOW).unwrap();
        assert_eq!((columns[0].value)(&event()), Value::Text(format!("{}1", "a".repeat(count)).into()));
    }

    /// An event with a large text, and what is made of it by an expression in which `step` stands around
    /// itself so many times, and `leaf` inside.
    fn grown(step: &str, leaf: &str, times: usize) -> (Event, String) {
        let mut event = event();
        let list: Vec<u32> = (0..20_000).collect();
        let properties = json!({"big": "x".repeat(900_000), "list": list, "json": json!(list).to_string()});
        event.event.properties = store::Json::of(&properties);
        let expression = (0..times).fold(leaf.to_owned(), |inside, _| step.replace('_', &inside));
        (event, expression)
    }

    /// Whatever a function does with texts, and however often it stands around itself or beside itself, what
    /// comes of it stays within what the event affords.
    #[test]
    fn no_expression_makes_more_of_an_event_than_it_affords() {
        let leaves = ["properties.big", "properties.list", "properties", "properties.json"];
        let mut bounded = 0;
        for leaf in leaves {
            for (step, times) in [
                ("concat(_, _)", 9),
                ("concat(_, _, _, _)", 5),
                ("_ || _", 9),
                ("concat(lower(_), upper(_))", 8),
                ("concat(trim(_), substring(_, 2))", 8),
                ("concat(toString(_), ifNull(_, 'x'))", 8),
                ("concat(coalesce(_, 'x'), if(1 = 1, _, 'x'))", 8),
                ("concat(nullIf(_, 'x'), JSONExtractRaw(_), _)", 6),
                ("concat(JSONExtractString(_, 'json'), _, _)", 6),
                ("toString(lower(upper(trim(_))))", 20),
                ("JSONExtractRaw(_)", 90),
            ] {
                let (event, expression) = grown(step, leaf, times);
                let query = format!("SELECT {expression} AS x FROM events");
                if query.len() > super::super::QUERY_BYTES_MAX {
                    continue;
                }
                let columns = columns(&query, NOW).unwrap_or_else(|fault| panic!("{step}: {fault}"));
                let most = event.bytes_left();
                let value = (columns[0].value)(&event);
                let length = match &value {
                    Value::Text(text) | Value::Json(text) => text.len(),
                    _ => 0,
                };
                assert!(length <= most, "{step} of {leaf} made {length} of {most} bytes");
                bounded += usize::from(value == Value::Null);
            }
        }
        assert!(bounded > 10, "only {bounded} expressions were bounded");
    }

    #[test]
    fn all_columns_of_a_record_share_what_it_affords() {
        for column in ["properties", "properties.big", "lower(properties.big)", "properties.list", "'long'"] {
            let (event, _) = grown("_", "", 0);
            let most = event.bytes_left();
            let list: Vec<String> = (0..400).map(|number| format!("{column} AS c{number}")).collect();
            let columns = columns(&format!("SELECT {} FROM events", list.join(", ")), NOW).unwrap();
            let values: Vec<Value<'_>> = columns.iter().map(|column| (column.value)(&event)).collect();
            let texts = values.iter().map(|value| match value {
                Value::Text(text) | Value::Json(text) => text.len(),
                _ => 0,
            });
            let total: usize = texts.sum();
            assert!(total <= most, "{column}: {total} of {most}");
            assert_ne!(values[0], Value::Null, "{column}: the first ones are there");
            // What was refused to one column is no matter of the next, which may be smaller.
            assert_eq!(values[399] == Value::Null, column != "'long'", "{column}: the last ones may not be");
        }
    }
}
