//! Events: what was captured, kept until it is too old or too much.
//! Invariant: an event is stored once, however often it is sent; identifiers of a project's events grow
//! in the order of their arrival, and an event that arrives after a run was made has an identifier later
//! than the run's.

mod blocks;
mod daily;
mod minutes;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Resource, Swept, persons, projects};
use crate::clock::{Clock, Ids, Time};
use crate::error::Result;
use crate::ids::{PersonId, ProjectId};
use crate::metrics;
pub use daily::{DAYS_MAX, Day, daily};

use crate::store::{Json, Order, Problems, Table, Tx, WriteTx};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    /// The sender's identifier; without one, the event's own stands for it.
    pub uuid: Option<Uuid>,
    pub event: String,
    pub distinct_id: String,
    pub timestamp: Time,
    pub person: PersonId,
    pub properties: Json,
    pub elements_chain: String,
    /// The person's properties when the event arrived; `None` where there were none.
    pub person_properties: Option<Json>,
}

pub static RESOURCE: Resource = Resource::inner()
    .tables(&[&blocks::BLOCKS, &BY_UUID, &KEPT, &daily::DAILY, &minutes::MINUTES])
    .samples(samples)
    .checks(&[check, minutes::check]);

/// By project, the sender's identifier and a hash of name and distinct id: the event, which was sent before.
static BY_UUID: Table<UuidKey, Uuid> = Table::new("events_by_uuid").busy();
/// What each project keeps.
pub(super) static KEPT: Table<ProjectId, StoredTotals> = Table::new("events_kept").busy();

/// How much is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredTotals {
    pub events: u64,
    pub bytes: u64,
}

/// An event as it was sent, checked.
#[derive(Clone, Debug)]
pub struct CapturedEvent {
    pub uuid: Option<Uuid>,
    pub event: String,
    pub distinct_id: String,
    pub timestamp: Time,
    pub properties: Json,
    pub elements_chain: String,
    pub person: persons::Update,
}

/// What an event takes beside its texts, indexes included: a round figure for the limit by size.
const EVENT_BYTES: usize = 200;

impl Event {
    /// The identifier for receivers: the sender's, else the event's own.
    pub fn uuid_or(&self, id: Uuid) -> Uuid {
        self.uuid.unwrap_or(id)
    }

    fn bytes(&self) -> u64 {
        let person = self.person_properties.as_ref().map_or(0, |json| json.text().len());
        let texts = [&self.event, &self.distinct_id, &self.elements_chain].map(String::len);
        (EVENT_BYTES + self.properties.text().len() + person + texts.iter().sum::<usize>()) as u64
    }

    fn uuid_key(&self, project: ProjectId) -> Option<UuidKey> {
        uuid_key(project, self.uuid, &self.event, &self.distinct_id)
    }
}

type UuidKey = (ProjectId, Uuid, [u8; 8]);

fn uuid_key(project: ProjectId, uuid: Option<Uuid>, event: &str, distinct_id: &str) -> Option<UuidKey> {
    Some((project, uuid?, fingerprint(event, distinct_id)))
}

fn fingerprint(event: &str, distinct_id: &str) -> [u8; 8] {
    let mut hash = Sha256::new();
    hash.update((event.len() as u64).to_be_bytes());
    hash.update(event);
    hash.update(distinct_id);
    let mut front = [0; 8];
    front.copy_from_slice(&hash.finalize()[..8]);
    front
}

/// Where identifiers of arriving events come from.
pub struct EventIds {
    pub clock: Arc<Clock>,
    pub ids: Arc<Ids>,
}

impl EventIds {
    /// An identifier of now. Drawn inside of writes only, which follow each other: that is what makes
    /// identifiers and commits come in the same order.
    pub fn id<T: From<Uuid>>(&self) -> T {
        self.ids.uuid(self.clock.now()).into()
    }
}

/// Stores the first of what a project was sent, at least one and as many as the write has memory for: events
/// carry a copy of their person's properties, and so may be much larger than they were sent. Says how many
/// it went through. What it was sent before is passed over.
pub fn store(
    tx: &WriteTx,
    event_ids: &EventIds,
    project: ProjectId,
    sent: &[CapturedEvent],
) -> Result<usize> {
    let mut kept = tx.get(&KEPT, &project)?.unwrap_or_default();
    let kept_before = kept.events;
    let mut done = 0;
    let mut block = blocks::Filling::new(tx, project);
    let mut stretch = minutes::Stretch::default();
    let store_stretch = |minute, first, last| minutes::store(tx, project, minute, first, last);
    for sent in sent {
        if done > 0 && tx.is_full() {
            break;
        }
        done += 1;
        let uuid_key = uuid_key(project, sent.uuid, &sent.event, &sent.distinct_id);
        if let Some(key) = &uuid_key
            && tx.has(&BY_UUID, key)?
        {
            continue;
        }
        let id = event_ids.id();
        let (person, person_properties) = persons::resolve(tx, event_ids, project, id, sent)?;
        let event = Event {
            uuid: sent.uuid,
            event: sent.event.clone(),
            distinct_id: sent.distinct_id.clone(),
            timestamp: sent.timestamp,
            person,
            properties: sent.properties.clone(),
            elements_chain: sent.elements_chain.clone(),
            person_properties,
        };
        if let Some(key) = &uuid_key {
            tx.put(&BY_UUID, key, &id)?;
        }
        block.add(id, &event)?;
        stretch.add(event.timestamp, id, store_stretch)?;
        kept.events += 1;
        kept.bytes += event.bytes();
    }
    block.store()?;
    stretch.end(store_stretch)?;
    tx.put(&KEPT, &project, &kept)?;
    tx.tally(&metrics::EVENTS_RECEIVED, done as u64);
    tx.tally(&metrics::EVENTS_STORED, kept.events - kept_before);
    daily::add(tx, project, event_ids.clock.now(), kept.events - kept_before)?;
    Ok(done)
}

/// What all projects together keep. Walks a row for each project.
///
/// # Errors
/// None but of the data file.
pub fn totals(tx: &Tx) -> Result<StoredTotals> {
    let all = tx.all(&KEPT)?.into_iter();
    Ok(all.fold(StoredTotals::default(), |sum, (_, kept)| StoredTotals {
        events: sum.events + kept.events,
        bytes: sum.bytes + kept.bytes,
    }))
}

/// The projects that have kept events.
///
/// # Errors
/// None but of the data file.
pub fn projects(tx: &Tx) -> Result<Vec<ProjectId>> {
    Ok(tx.all(&KEPT)?.into_iter().map(|(project, _)| project).collect())
}

/// The events of a project that arrived last and are meant, the newest first, of the last hundred thousand.
///
/// # Errors
/// None but of the data file.
pub fn newest_of(
    tx: &Tx,
    project: ProjectId,
    limit: usize,
    is_meant: impl Fn(&Event) -> bool,
) -> Result<Vec<(Uuid, Event)>> {
    const LOOKED_AT_MAX: usize = 100_000;
    let newest = blocks::all(tx, project, Order::Descending)?.take(LOOKED_AT_MAX);
    let meant = newest.filter(|row| row.as_ref().map_or(true, |(_, event)| is_meant(event)));
    Ok(meant.take(limit).collect::<std::result::Result<_, _>>()?)
}

/// When the oldest event of all arrived, to the millisecond.
pub fn oldest(tx: &Tx) -> Result<Option<Time>> {
    let mut oldest = None;
    for (project, _) in tx.all(&KEPT)? {
        if let Some(row) = blocks::all(tx, project, Order::Ascending)?.next() {
            let (id, _) = row?;
            oldest = Some(oldest.map_or(Ids::time_of(id), |known: Time| known.min(Ids::time_of(id))));
        }
    }
    Ok(oldest)
}

/// How many events of a project are kept.
pub fn count(tx: &Tx, project: ProjectId) -> Result<u64> {
    Ok(tx.get(&KEPT, &project)?.unwrap_or_default().events)
}

/// Which of a project's events are wanted.
#[derive(Clone, Copy, Debug)]
pub enum Span {
    /// Those that arrived from `start` up to, and without, `end`.
    Arrived { start: Time, end: Time },
    /// Those that happened then, by their own time; without a start, all before the end. They come minute by minute, those
    /// of one in the order of their arrival.
    Happened { start: Option<Time>, end: Time },
}

/// A place between events: after the one that happened at this time and has this identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    pub time: Time,
    pub id: Uuid,
}

impl Cursor {
    /// The least identifier after this place's.
    pub fn next_id(self) -> Uuid {
        Ids::after(self.id)
    }
}

/// The next events of the span after `after`, at most about `bytes_max` of them but at least one, with
/// their identifiers. Empty at the end.
pub fn next(
    tx: &Tx,
    project: ProjectId,
    span: Span,
    after: Option<Cursor>,
    bytes_max: u64,
) -> Result<Vec<(Uuid, Event)>> {
    let mut found = Vec::new();
    let mut bytes = 0;
    let mut take = |id, event: Event| {
        bytes += event.bytes();
        found.push((id, event));
        bytes < bytes_max
    };
    match span {
        Span::Arrived { start, end } => {
            let from = after.map_or_else(|| Ids::first_at(start), |place| Ids::after(place.id));
            for row in blocks::between(tx, project, from, Ids::first_at(end))? {
                let (id, event) = row?;
                if !take(id, event) {
                    break;
                }
            }
        }
        Span::Happened { start, end } => {
            minutes::happened(tx, project, (start.unwrap_or(Time(i64::MIN)), end), after, take)?;
        }
    }
    Ok(found)
}

/// The limits of what is kept; `None` is no limit.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub oldest: Option<Time>,
    /// Of all projects together.
    pub bytes_max: Option<u64>,
    /// Of each project.
    pub project_bytes_max: Option<u64>,
}

impl Limits {
    /// What each project may keep, in bytes: its own limit, and a share of the limit of all that takes only
    /// from those who keep the most.
    fn bytes_each(self, kept: impl Iterator<Item = u64>) -> u64 {
        let own = self.project_bytes_max.unwrap_or(u64::MAX);
        let share = self.bytes_max.map_or(u64::MAX, |max| fair_share(kept.map(|bytes| bytes.min(own)), max));
        own.min(share)
    }
}

/// The greatest size to which each has to be cut so that all together take no more than `max`.
fn fair_share(sizes: impl Iterator<Item = u64>, max: u64) -> u64 {
    let mut sizes: Vec<u64> = sizes.collect();
    sizes.sort_unstable();
    let mut left = max;
    for (place, size) in sizes.iter().enumerate() {
        let share = left / (sizes.len() - place) as u64;
        if *size > share {
            return share;
        }
        left -= size;
    }
    u64::MAX
}

/// When the newest event arrived.
pub(super) fn newest(tx: &Tx) -> Result<Option<Time>> {
    let mut newest = None;
    for (project, _) in tx.all(&KEPT)? {
        if let Some(row) = blocks::all(tx, project, Order::Descending)?.next() {
            let (id, _) = row?;
            newest = newest.max(Some(Ids::time_of(id)));
        }
    }
    Ok(newest)
}

/// Removes some of what is too old or too much, or belongs to a project that is gone.
pub fn sweep(tx: &WriteTx, limits: Limits) -> Result<Swept> {
    const AT_ONCE: usize = 500;
    let all = tx.all(&KEPT)?;
    let bytes_each = limits.bytes_each(all.iter().map(|(_, kept)| kept.bytes));
    for (project, mut kept) in all {
        let is_gone = !projects::exists(tx, project)?;
        let mut removed = 0;
        let mut stretch = minutes::Stretch::default();
        let remove_stretch = |minute, _, last| minutes::remove(tx, project, minute, last);
        let mut newest_removed = None;
        for row in blocks::all(tx, project, Order::Ascending)?.take(AT_ONCE) {
            let (id, event) = row?;
            let is_old = limits.oldest.is_some_and(|oldest| Ids::time_of(id) < oldest);
            if !(is_gone || is_old || kept.bytes > bytes_each) {
                break;
            }
            if let Some(key) = event.uuid_key(project) {
                tx.delete(&BY_UUID, &key)?;
            }
            newest_removed = Some(id);
            stretch.add(event.timestamp, id, remove_stretch)?;
            kept.events = kept.events.saturating_sub(1);
            kept.bytes = kept.bytes.saturating_sub(event.bytes());
            removed += 1;
        }
        stretch.end(remove_stretch)?;
        newest_removed.map_or(Ok(()), |id| blocks::remove(tx, project, id))?;
        tx.tally(&metrics::EVENTS_REMOVED, removed);
        if is_gone && kept.events == 0 && !persons::sweep(tx, project)? {
            tx.delete(&KEPT, &project)?;
            return Ok(Swept { rows: removed, is_more: true });
        }
        if removed > 0 {
            tx.put(&KEPT, &project, &kept)?;
        }
        if removed > 0 || is_gone {
            return Ok(Swept { rows: removed, is_more: true });
        }
    }
    Ok(Swept::default())
}

/// What is kept is what was counted, and what was sent before is known as that.
fn check(tx: &Tx, problems: &mut Problems) -> Result<()> {
    let mut with_uuid: u64 = 0;
    let mut counted: BTreeMap<ProjectId, StoredTotals> = BTreeMap::new();
    for row in blocks::of_all_projects(tx)? {
        let (project, id, event) = row?;
        let kept = counted.entry(project).or_default();
        kept.events += 1;
        kept.bytes += event.bytes();
        let Some(key) = event.uuid_key(project) else { continue };
        with_uuid += 1;
        if tx.get(&BY_UUID, &key)? != Some(id) {
            problems
                .push(format!("an event of project {project} is not known by its sender's identifier: {id}"));
        }
    }
    let known = tx.range(&BY_UUID, &ProjectId(0), &ProjectId(u32::MAX), Order::Ascending)?.count() as u64;
    if known > with_uuid {
        problems.push(format!("{} events are known as sent that are not there", known - with_uuid));
    }
    for (project, kept) in tx.all(&KEPT)? {
        if counted.remove(&project).unwrap_or_default() != kept {
            problems.push(format!("project {project} keeps other events than were counted"));
        }
    }
    problems.extend(counted.keys().map(|project| format!("events of project {project} were not counted")));
    Ok(())
}

fn samples(all: &mut super::samples::Samples) {
    use super::samples::{NOW, ONE, TWO, text};
    let json = Json::of(&serde_json::json!({"a": [1, null]}));
    let event = Event {
        uuid: Some(TWO),
        event: text("$pageview"),
        distinct_id: text("d"),
        timestamp: NOW,
        person: ONE.into(),
        properties: json.clone(),
        elements_chain: text("a"),
        person_properties: Some(json.clone()),
    };
    if let Some(key) = event.uuid_key(ProjectId(7)) {
        all.add(&BY_UUID, key, ONE);
    }
    blocks::samples(all, &event);
    daily::samples(all);
    minutes::samples(all);
    all.add(&KEPT, ProjectId(7), StoredTotals { events: 3, bytes: 900 });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_all_takes_from_the_largest_only() {
        for (sizes, max, wanted) in [
            (&[][..], 10, u64::MAX),
            (&[10], 10, u64::MAX),
            (&[11], 10, 10),
            (&[1, 2, 3], 6, u64::MAX),
            (&[1, 2, 4], 6, 3),
            (&[2, 100, 3], 15, 10),
            (&[2, 100, 50], 22, 10),
            (&[5, 5, 5], 9, 3),
            (&[5, 5], 0, 0),
            (&[u64::MAX - 5, 5], u64::MAX, u64::MAX),
        ] {
            assert_eq!(fair_share(sizes.iter().copied(), max), wanted, "{sizes:?} of {max}");
        }
    }

    #[test]
    fn a_project_is_held_to_its_own_limit_before_the_rest_is_shared() {
        let each = |bytes_max, project_bytes_max, kept: &[u64]| {
            Limits { oldest: None, bytes_max, project_bytes_max }.bytes_each(kept.iter().copied())
        };
        assert_eq!(each(None, None, &[7]), u64::MAX);
        assert_eq!(each(None, Some(5), &[7]), 5);
        assert_eq!(each(Some(20), Some(5), &[100, 6, 6]), 5);
        assert_eq!(each(Some(12), Some(5), &[100, 6, 6]), 4);
    }
}
