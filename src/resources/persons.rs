//! Persons: whom events are about. A person has any number of distinct ids and some properties.
//! Invariant: a distinct id belongs to one person; a person has at least one.

use super::Resource;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::events::{CapturedEvent, Cursor, EventIds};
use crate::clock::{Ids, Time};
use crate::error::Result;
use crate::ids::{PersonId, ProjectId};
use crate::store::{Index, Json, Order, ParentThrough, Problems, Table, Tx, WriteTx};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Person {
    pub properties: Json,
    pub version: u64,
    pub created_at: Time,
    pub updated_at: Time,
    /// When the person or one of its distinct ids last changed.
    pub touched_at: Time,
    pub is_identified: bool,
}

/// A distinct id's person.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mapping {
    pub person: PersonId,
    pub version: u64,
    pub updated_at: Time,
}

pub static RESOURCE: Resource =
    Resource::inner().tables(&[&PERSONS, &MAPPINGS]).samples(samples).checks(&[check]);

/// By project.
pub(super) static PERSONS: Table<(ProjectId, PersonId), Person> =
    Table::new("persons").busy().indexed(&[&BY_TOUCH]);
/// By project and the time of the last change.
static BY_TOUCH: Index<(ProjectId, PersonId), Person, (ProjectId, Time, PersonId), ()> =
    Index::new("persons_by_touch", |(project, id), person| Some(((*project, person.touched_at, *id), ())));
/// By project and distinct id.
pub(super) static MAPPINGS: Table<(ProjectId, String), Mapping> =
    Table::new("persons_by_distinct_id").busy().indexed(&[&DISTINCT_IDS]).belongs_to(&[&ParentThrough {
        table: &PERSONS,
        front: |person| *person,
        index: &DISTINCT_IDS,
        child: |(project, _, distinct_id), ()| (*project, distinct_id.clone()),
    }]);
/// The distinct ids of a person.
static DISTINCT_IDS: Index<(ProjectId, String), Mapping, (ProjectId, PersonId, String), ()> =
    Index::new("person_distinct_ids", |(project, distinct_id), mapping| {
        Some(((*project, mapping.person, distinct_id.clone()), ()))
    });

/// Properties may grow to this size; an update beyond it is passed over, as in PostHog.
const PROPERTIES_BYTES_MAX: usize = 512 * 1024;

/// A person with more distinct ids than this is not joined with another: all of them would move in one
/// write.
const MOVED_IDS_MAX: usize = 2_500;

/// What an event says of its person.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// Whether the event is to have no person of its own.
    pub unprofiled: bool,
    /// Another distinct id of the same person.
    pub other: Option<String>,
    /// `$set` overwrites, `$set_once` only fills, `$unset` removes.
    pub set: Option<Json>,
    pub set_once: Option<Json>,
    pub unset: Option<Json>,
}

impl Update {
    /// What an event of this name says with its properties.
    pub fn of(event: &str, property: impl Fn(&str) -> Option<Value>) -> Update {
        let json = |name: &str| property(name).as_ref().map(Json::of);
        let text = |name: &str| property(name).and_then(as_id);
        Update {
            unprofiled: property("$process_person_profile") == Some(Value::Bool(false)),
            other: match event {
                "$identify" => text("$anon_distinct_id"),
                "$create_alias" | "$merge_dangerously" => text("alias"),
                _ => None,
            },
            set: json("$set"),
            set_once: json("$set_once"),
            unset: json("$unset"),
        }
    }
}

/// An id that is a number or a boolean is meant as its text; nothing is none.
fn as_id(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

/// Ids that clients send by mistake, in any case; they never join people together.
const NOBODY: &[&str] = &[
    "anonymous",
    "distinct_id",
    "distinctid",
    "email",
    "false",
    "guest",
    "id",
    "not_authenticated",
    "true",
    "undefined",
];

/// The same, but only as they are written here: there are people whose id is `nan`.
const NOBODY_EXACTLY: &[&str] = &["0", "NaN", "None", "[object Object]", "none", "null"];

/// The person of an event, made, changed or joined with another as the event says, and its properties.
pub fn resolve(
    tx: &WriteTx,
    event_ids: &EventIds,
    project: ProjectId,
    event: Uuid,
    sent: &CapturedEvent,
) -> Result<(PersonId, Option<Json>)> {
    let now = Ids::time_of(event);
    let known = tx.get(&MAPPINGS, &(project, sent.distinct_id.clone()))?;
    if sent.person.unprofiled {
        return Ok((
            known.map_or_else(|| unprofiled(project, &sent.distinct_id), |found| found.person),
            None,
        ));
    }
    let other = sent.person.other.as_deref();
    let names_others = other.is_some_and(|other| {
        other != sent.distinct_id && is_somebody(other) && is_somebody(&sent.distinct_id)
    });
    let id = match (other.filter(|_| names_others), known) {
        (Some(other), _) => {
            let forced = sent.event == "$merge_dangerously";
            identify(tx, event_ids, project, now, &sent.distinct_id, other, forced)?
        }
        (None, Some(mapping)) => mapping.person,
        (None, None) => create(tx, event_ids, project, now, &sent.distinct_id)?,
    };
    let Some(person) = tx.get(&PERSONS, &(project, id))? else { return Ok((id, None)) };
    let person = apply_properties(tx, project, now, id, person, sent)?;
    let has_some = person.properties.text() != "{}";
    Ok((id, has_some.then_some(person.properties)))
}

/// PostHog's rule, which also sees through one pair of quotes.
fn is_somebody(distinct_id: &str) -> bool {
    let unquoted =
        ['"', '\''].iter().find_map(|quote| distinct_id.strip_prefix(*quote)?.strip_suffix(*quote));
    let bare = unquoted.unwrap_or(distinct_id);
    let is_nobody = NOBODY.contains(&bare.to_lowercase().as_str()) || NOBODY_EXACTLY.contains(&bare);
    !is_nobody && !distinct_id.trim().is_empty()
}

/// The identifier that stands for a distinct id without a person; the same each time.
fn unprofiled(project: ProjectId, distinct_id: &str) -> PersonId {
    let hash = Sha256::new().chain_update(project.0.to_be_bytes()).chain_update(distinct_id).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    PersonId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

fn create(
    tx: &WriteTx,
    event_ids: &EventIds,
    project: ProjectId,
    now: Time,
    distinct_id: &str,
) -> Result<PersonId> {
    let id = event_ids.id();
    let person = Person {
        properties: Json::of(&Map::new()),
        version: 0,
        created_at: now,
        updated_at: now,
        touched_at: now,
        is_identified: false,
    };
    tx.insert(&PERSONS, &(project, id), &person)?;
    link(tx, project, now, distinct_id, id, 0)?;
    Ok(id)
}

/// Makes `distinct_id` one of the person's.
fn link(
    tx: &WriteTx,
    project: ProjectId,
    now: Time,
    distinct_id: &str,
    person: PersonId,
    version: u64,
) -> Result<()> {
    let mapping = Mapping { person, version, updated_at: now };
    Ok(tx.put(&MAPPINGS, &(project, distinct_id.to_owned()), &mapping)?)
}

fn put(tx: &WriteTx, project: ProjectId, now: Time, id: PersonId, mut person: Person) -> Result<Person> {
    tx.change(&PERSONS, &(project, id), &mut person, |person| person.touched_at = now)?;
    Ok(person)
}

/// The one person of two distinct ids. Two that exist become one, but for an `other` who is identified:
/// that could be somebody else on the same device.
fn identify(
    tx: &WriteTx,
    event_ids: &EventIds,
    project: ProjectId,
    now: Time,
    distinct_id: &str,
    other: &str,
    forced: bool,
) -> Result<PersonId> {
    let of = |name: &str| tx.get(&MAPPINGS, &(project, name.to_owned()));
    let id = match (of(distinct_id)?, of(other)?) {
        (Some(mine), Some(theirs)) if mine.person == theirs.person => mine.person,
        (Some(mine), Some(theirs)) => {
            merge(tx, project, now, mine.person, theirs.person, forced)?;
            mine.person
        }
        (Some(mine), None) => {
            link(tx, project, now, other, mine.person, 0)?;
            mine.person
        }
        (None, Some(theirs)) => {
            link(tx, project, now, distinct_id, theirs.person, 0)?;
            theirs.person
        }
        (None, None) => {
            let id = create(tx, event_ids, project, now, distinct_id)?;
            link(tx, project, now, other, id, 0)?;
            id
        }
    };
    if let Some(mut person) = tx.get(&PERSONS, &(project, id))? {
        if !person.is_identified {
            person.is_identified = true;
            person.version += 1;
            person.updated_at = now;
        }
        put(tx, project, now, id, person)?;
    }
    Ok(id)
}

fn merge(
    tx: &WriteTx,
    project: ProjectId,
    now: Time,
    into: PersonId,
    from: PersonId,
    forced: bool,
) -> Result<()> {
    let (Some(mut kept), Some(gone)) =
        (tx.get(&PERSONS, &(project, into))?, tx.get(&PERSONS, &(project, from))?)
    else {
        return Ok(());
    };
    if gone.is_identified && !forced {
        return Ok(());
    }
    let moved = tx.skip_take(&DISTINCT_IDS, &(project, from), Order::Ascending, 0, MOVED_IDS_MAX + 1)?;
    if moved.len() > MOVED_IDS_MAX {
        return Ok(());
    }
    let mut properties = object(&gone.properties);
    properties.extend(object(&kept.properties));
    set_properties(&mut kept, &properties);
    kept.created_at = kept.created_at.min(gone.created_at);
    kept.version = kept.version.max(gone.version) + 1;
    kept.updated_at = now;
    for ((_, _, distinct_id), ()) in moved {
        let version =
            tx.get(&MAPPINGS, &(project, distinct_id.clone()))?.map_or(0, |mapping| mapping.version + 1);
        link(tx, project, now, &distinct_id, into, version)?;
    }
    tx.delete(&PERSONS, &(project, from))?;
    put(tx, project, now, into, kept)?;
    Ok(())
}

/// `$set` overwrites, `$set_once` only fills, `$unset` removes.
fn apply_properties(
    tx: &WriteTx,
    project: ProjectId,
    now: Time,
    id: PersonId,
    mut person: Person,
    sent: &CapturedEvent,
) -> Result<Person> {
    let Update { set, set_once, unset, .. } = &sent.person;
    if set.is_none() && set_once.is_none() && unset.is_none() {
        return Ok(person);
    }
    let before = object(&person.properties);
    let mut after = before.clone();
    for (name, value) in set_once.iter().flat_map(object) {
        after.entry(name).or_insert(value);
    }
    after.extend(set.iter().flat_map(object));
    let unset = unset.as_ref().map(Json::value);
    for name in unset.iter().filter_map(Value::as_array).flatten().filter_map(Value::as_str) {
        after.shift_remove(name);
    }
    if after == before || !set_properties(&mut person, &after) {
        return Ok(person);
    }
    person.version += 1;
    person.updated_at = now;
    put(tx, project, now, id, person)
}

fn object(json: &Json) -> Map<String, Value> {
    match json.value() {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

/// Whether the properties are small enough to be kept.
fn set_properties(person: &mut Person, properties: &Map<String, Value>) -> bool {
    let json = Json::of(properties);
    let fits = json.text().len() <= PROPERTIES_BYTES_MAX;
    if fits {
        person.properties = json;
    }
    fits
}

/// A distinct id with its person, as exports show them.
#[derive(Clone, Debug)]
pub struct Row {
    pub distinct_id: String,
    pub mapping: Mapping,
    pub id: PersonId,
    /// One for all distinct ids of the person: it may be large.
    pub person: Arc<Person>,
}

/// The next distinct ids after the person at `after` that changed, or whose person did, from `start` up
/// to, and without, `end`; those of so many persons that they take about `bytes_max`, but of one at least.
/// Says also after which person they end; `None` at the end of all.
pub fn changed(
    tx: &Tx,
    project: ProjectId,
    start: Option<Time>,
    end: Time,
    after: Option<Cursor>,
    bytes_max: usize,
) -> Result<Option<(Vec<Row>, Cursor)>> {
    let first = (project, start.unwrap_or(Time(i64::MIN)), PersonId(Uuid::nil()));
    let from = after.map_or(first, |place| (project, place.time, PersonId(place.next_id())));
    let is_inside = |time: Time| start.is_none_or(|start| time >= start) && time < end;
    let mut rows = Vec::new();
    let mut bytes = 0;
    let mut reached = None;
    for row in tx.range(&BY_TOUCH, &from, &(project, end), Order::Ascending)? {
        let ((_, time, id), ()) = row?;
        reached = Some(Cursor { time, id: id.0 });
        let Some(person) = tx.get(&PERSONS, &(project, id))?.map(Arc::new) else { continue };
        bytes += person.properties.text().len();
        for ((_, _, distinct_id), ()) in tx.scan(&DISTINCT_IDS, &(project, id), Order::Ascending)? {
            let Some(mapping) = tx.get(&MAPPINGS, &(project, distinct_id.clone()))? else { continue };
            if is_inside(person.updated_at) || is_inside(mapping.updated_at) {
                bytes += distinct_id.len() + 100;
                rows.push(Row { distinct_id, mapping, id, person: Arc::clone(&person) });
            }
        }
        if bytes >= bytes_max {
            break;
        }
    }
    Ok(reached.map(|place| (rows, place)))
}

/// Every person has a distinct id.
fn check(tx: &Tx, problems: &mut Problems) -> Result<()> {
    for row in tx.every(&PERSONS)? {
        let (key, _) = row?;
        if tx.skip_take(&DISTINCT_IDS, &key, Order::Ascending, 0, 1)?.is_empty() {
            problems.push(format!("person {} has no distinct id", key.1));
        }
    }
    Ok(())
}

/// Removes some persons of a project that is gone; true where more are left.
pub(super) fn sweep(tx: &WriteTx, project: ProjectId) -> Result<bool> {
    const AT_ONCE: usize = 200;
    let all = tx.range(&PERSONS, &(project, Uuid::nil()), &(project, Uuid::max()), Order::Ascending)?;
    let some: Vec<((ProjectId, PersonId), Person)> =
        all.take(AT_ONCE).collect::<std::result::Result<_, _>>()?;
    for (key, _) in &some {
        tx.delete(&PERSONS, key)?;
    }
    Ok(!some.is_empty())
}

fn samples(all: &mut super::samples::Samples) {
    use super::samples::{NOW, ONE, text};
    let json = Json::of(&serde_json::json!({"a": [1, null]}));
    all.add(
        &PERSONS,
        (ProjectId(7), ONE.into()),
        Person {
            properties: json.clone(),
            version: 2,
            created_at: NOW,
            updated_at: NOW,
            touched_at: NOW,
            is_identified: true,
        },
    );
    let mapping = Mapping { person: ONE.into(), version: 1, updated_at: NOW };
    all.add(&MAPPINGS, (ProjectId(7), text("d")), mapping);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_are_sent_by_mistake_are_nobody() {
        for id in [
            "",
            " ",
            "0",
            "null",
            "NaN",
            "None",
            "none",
            "Anonymous",
            "GUEST",
            "'id'",
            "\"undefined\"",
            "\"0\"",
        ] {
            assert!(!is_somebody(id), "{id}");
        }
        for id in ["nan", "NULL", "NONE", "00", "ada", " id", "\"id'", "\"\"id\"\"", "anonymous-user"] {
            assert!(is_somebody(id), "{id}");
        }
    }
}
