//! The columns of exported records, between what is stored and what a destination takes: typed values, and
//! the columns that each destination gets where no query chose them.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};

use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::destination::Kind;
use super::hogql::{self, Fault};
use super::isoformat;
use crate::clock::Time;
use crate::ids::ProjectId;
use crate::resources::{events, persons};
use crate::store::{Json, serialize_json};

/// What the values of a column are, where they are not null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Uuid,
    Text,
    /// The text of a JSON value.
    Json,
    /// 64 bits.
    BigInteger,
    /// 32 bits.
    Integer,
    Float,
    Boolean,
    Time,
}

/// One value of a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    Null,
    Uuid(Uuid),
    Text(Cow<'a, str>),
    /// The text of a JSON value.
    Json(Cow<'a, str>),
    /// Of both widths.
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Time(Time),
}

impl<'a> Value<'a> {
    pub(super) fn text(text: &'a str) -> Value<'a> {
        Value::Text(text.into())
    }

    pub(super) fn json(json: &'a Json) -> Value<'a> {
        Value::Json(json.text().into())
    }
}

/// As JSON: objects as objects, moments in Python's form.
impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => serializer.serialize_none(),
            Value::Uuid(id) => id.serialize(serializer),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Json(text) => serialize_json(text, serializer),
            Value::Integer(number) => serializer.serialize_i64(*number),
            Value::Float(number) => serializer.serialize_f64(*number),
            Value::Boolean(flag) => serializer.serialize_bool(*flag),
            Value::Time(time) => serializer.serialize_str(&isoformat(*time)),
        }
    }
}

/// An event on its way out.
#[derive(Clone, Debug)]
pub struct Event {
    pub project: ProjectId,
    pub id: Uuid,
    pub event: events::Event,
    /// When it arrived.
    pub arrived_at: Time,
    /// The time that selects it: when it arrived or, in a backfill, when it happened.
    pub inserted_at: Time,
    pub parsed: Parsed,
}

/// What may be made of one record beside what it holds itself, in bytes: the texts of all columns, and those
/// that are needed on the way.
pub const MADE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What was made of an event: properties that were looked into, so that many columns parse them once, and how
/// much memory the values of all its columns took so far.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    made_bytes: Cell<usize>,
    /// Whether the column that is worked out wanted more than was left.
    overdrawn: Cell<bool>,
    event: OnceCell<serde_json::Value>,
    person: OnceCell<serde_json::Value>,
}

impl Event {
    /// How many bytes may still be made of the event.
    pub fn bytes_left(&self) -> usize {
        let person = self.event.person_properties.as_ref().map_or(0, |json| json.text().len());
        let own = self.event.properties.text().len() + person + self.event.elements_chain.len();
        (MADE_BYTES_MAX + 2 * own).saturating_sub(self.parsed.made_bytes.get())
    }

    /// Notes that so many bytes are made of the event; false where they are more than may be.
    pub fn affords(&self, bytes: usize) -> bool {
        let affords = bytes <= self.bytes_left();
        if affords {
            self.parsed.made_bytes.set(self.parsed.made_bytes.get() + bytes);
        } else {
            self.parsed.overdrawn.set(true);
        }
        affords
    }

    /// Whether a text was refused since the last call.
    pub fn was_overdrawn(&self) -> bool {
        self.parsed.overdrawn.take()
    }

    /// The event's properties.
    pub fn properties(&self) -> &serde_json::Value {
        self.parsed.event.get_or_init(|| self.event.properties.value())
    }

    /// The person's properties when the event arrived; null where there are none.
    pub fn person_properties(&self) -> &serde_json::Value {
        let parse = || self.event.person_properties.as_ref().map(Json::value).unwrap_or_default();
        self.parsed.person.get_or_init(parse)
    }

    pub(super) fn person_properties_text(&self) -> Value<'_> {
        match &self.event.person_properties {
            Some(properties) => Value::json(properties),
            None => Value::Json("{}".into()),
        }
    }
}

/// A distinct id with its person on its way out.
#[derive(Clone, Debug)]
pub struct Person {
    pub project: ProjectId,
    pub row: persons::Row,
}

/// A column of records `R`.
pub struct Column<R> {
    pub name: Cow<'static, str>,
    pub kind: Type,
    pub value: Box<dyn for<'a> Fn(&'a R) -> Value<'a> + Send + Sync>,
}

/// A column that is known beforehand.
type Known<R> = (&'static str, Type, for<'a> fn(&'a R) -> Value<'a>);

fn columns<R: 'static>(known: &[Known<R>]) -> Vec<Column<R>> {
    known.iter().map(column).collect()
}

fn column<R: 'static>(&(name, kind, value): &Known<R>) -> Column<R> {
    Column { name: name.into(), kind, value: Box::new(value) }
}

/// The columns of events that a query chose. Files get the time that selects the event as well.
pub fn of_query(kind: Kind, query: &str, now: Time) -> Result<Vec<Column<Event>>, Fault> {
    let mut chosen = hogql::columns(query, now)?;
    if kind == Kind::S3 && chosen.iter().all(|column| column.name != INSERTED_AT.0) {
        chosen.push(column(&INSERTED_AT));
    }
    Ok(chosen)
}

/// The columns of events where no query chose others.
pub fn of_events(kind: Kind) -> Vec<Column<Event>> {
    match kind {
        Kind::S3 => columns(S3_EVENTS),
        _ => columns(TABLE_EVENTS),
    }
}

/// The columns of persons.
pub fn of_persons(kind: Kind) -> Vec<Column<Person>> {
    match kind {
        Kind::S3 => columns(S3_PERSONS),
        _ => columns(TABLE_PERSONS),
    }
}

const S3_EVENTS: &[Known<Event>] = &[
    ("uuid", Type::Uuid, |record| Value::Uuid(record.event.uuid_or(record.id))),
    ("timestamp", Type::Time, |record| Value::Time(record.event.timestamp)),
    INSERTED_AT,
    ("created_at", Type::Time, |record| Value::Time(record.arrived_at)),
    ("event", Type::Text, |record| Value::text(&record.event.event)),
    ("properties", Type::Json, |record| Value::json(&record.event.properties)),
    ("distinct_id", Type::Text, |record| Value::text(&record.event.distinct_id)),
    ("elements_chain", Type::Text, |record| Value::text(&record.event.elements_chain)),
    ("person_properties", Type::Json, Event::person_properties_text),
    ("person_id", Type::Uuid, |record| Value::Uuid(record.event.person.0)),
];

const INSERTED_AT: Known<Event> = ("_inserted_at", Type::Time, |record| Value::Time(record.inserted_at));

/// What tables of a database get.
const TABLE_EVENTS: &[Known<Event>] = &[
    ("uuid", Type::Uuid, |record| Value::Uuid(record.event.uuid_or(record.id))),
    ("event", Type::Text, |record| Value::text(&record.event.event)),
    ("properties", Type::Json, |record| Value::json(&record.event.properties)),
    ("elements", Type::Json, |record| Value::Json(quoted(&record.event.elements_chain))),
    ("set", Type::Json, |record| property(record, "$set")),
    ("set_once", Type::Json, |record| property(record, "$set_once")),
    ("distinct_id", Type::Text, |record| Value::text(&record.event.distinct_id)),
    ("team_id", Type::Integer, |record| Value::Integer(record.project.0.into())),
    ("ip", Type::Text, ip),
    ("site_url", Type::Text, |_| Value::Null),
    ("timestamp", Type::Time, |record| Value::Time(record.event.timestamp)),
];

const TABLE_PERSONS: &[Known<Person>] = &[
    ("team_id", Type::BigInteger, |record| Value::Integer(record.project.0.into())),
    ("distinct_id", Type::Text, |record| Value::text(&record.row.distinct_id)),
    ("person_id", Type::Text, |record| Value::Text(record.row.id.to_string().into())),
    ("properties", Type::Json, |record| Value::json(&record.row.person.properties)),
    ("person_distinct_id_version", Type::BigInteger, |record| version(record.row.mapping.version)),
    ("person_version", Type::BigInteger, |record| version(record.row.person.version)),
    ("created_at", Type::Time, |record| Value::Time(record.row.person.created_at)),
];

const S3_PERSONS: &[Known<Person>] = &[
    ("team_id", Type::BigInteger, |record| Value::Integer(record.project.0.into())),
    ("distinct_id", Type::Text, |record| Value::text(&record.row.distinct_id)),
    ("person_id", Type::Uuid, |record| Value::Uuid(record.row.id.0)),
    ("properties", Type::Json, |record| Value::json(&record.row.person.properties)),
    ("person_distinct_id_version", Type::BigInteger, |record| version(record.row.mapping.version)),
    ("person_version", Type::BigInteger, |record| version(record.row.person.version)),
    ("_inserted_at", Type::Time, |record| Value::Time(record.row.person.touched_at)),
    ("created_at", Type::Time, |record| Value::Time(record.row.person.created_at)),
];

fn version(number: u64) -> Value<'static> {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

fn quoted(text: &str) -> Cow<'static, str> {
    serde_json::Value::from(text).to_string().into()
}

/// A property as JSON text; null where it is absent or empty.
fn property<'a>(record: &'a Event, name: &str) -> Value<'a> {
    match raw(record, name) {
        None | Some("null" | "{}" | "\"\"") => Value::Null,
        Some(text) => Value::Json(text.into()),
    }
}

fn ip(record: &Event) -> Value<'_> {
    let Some(text) = raw(record, "$ip") else { return Value::Null };
    serde_json::from_str::<String>(text).map_or(Value::Null, |ip| Value::Text(ip.into()))
}

/// The JSON text of a property.
fn raw<'a>(record: &'a Event, name: &str) -> Option<&'a str> {
    type Raw<'a> = std::collections::HashMap<Cow<'a, str>, &'a serde_json::value::RawValue>;
    // Most events have none of the properties that are looked for.
    let text = record.event.properties.text();
    if !text.contains(name) {
        return None;
    }
    let properties: Raw<'a> = serde_json::from_str(text).ok()?;
    properties.get(name).map(|raw| raw.get())
}
