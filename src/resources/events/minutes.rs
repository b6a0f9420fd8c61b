//! Where events are found by their own time. Most that arrive one after the other happened in the same minute, so a row
//! stands for a stretch of them, and is written at the end of what its minute has.
//! Invariant: each event lies in one stretch of its minute and its project. A stretch may have events of other minutes
//! between its own, and may begin before the oldest that is left.

use uuid::Uuid;

use super::{Cursor, Event, blocks};
use crate::clock::{Ids, Time};
use crate::error::Result;
use crate::ids::ProjectId;
use crate::resources::samples::{NOW, ONE, Samples, TWO};
use crate::store::{Order, Problems, Table, Tx, WriteTx};

const MINUTE_MICROS: i64 = 60_000_000;

/// By project, minute and the first event of a stretch: the last one.
pub(super) static MINUTES: Table<(ProjectId, Time, Uuid), Uuid> = Table::new("events_by_minute").busy();

/// The first moment of the minute.
fn minute_of(time: Time) -> Time {
    Time(time.0.saturating_sub(time.0.rem_euclid(MINUTE_MICROS)))
}

/// The stretch that events are being added to, in the order of their arrival.
#[derive(Default)]
pub(super) struct Stretch(Option<(Time, Uuid, Uuid)>);

impl Stretch {
    /// Adds an event, and stores the stretch before where this begins another one.
    pub(super) fn add(
        &mut self,
        time: Time,
        id: Uuid,
        done: impl FnOnce(Time, Uuid, Uuid) -> Result<()>,
    ) -> Result<()> {
        let minute = minute_of(time);
        match &mut self.0 {
            Some((known, _, last)) if *known == minute => *last = id,
            before => {
                if let Some((minute, first, last)) = before.replace((minute, id, id)) {
                    done(minute, first, last)?;
                }
            }
        }
        Ok(())
    }

    /// Ends the last one.
    pub(super) fn end(self, done: impl FnOnce(Time, Uuid, Uuid) -> Result<()>) -> Result<()> {
        self.0.map_or(Ok(()), |(minute, first, last)| done(minute, first, last))
    }
}

/// Stores a stretch.
pub(super) fn store(tx: &WriteTx, project: ProjectId, minute: Time, first: Uuid, last: Uuid) -> Result<()> {
    Ok(tx.put(&MINUTES, &(project, minute, first), &last)?)
}

/// Removes what ends with these events or before, once they are removed.
pub(super) fn remove(tx: &WriteTx, project: ProjectId, minute: Time, up_to: Uuid) -> Result<()> {
    let (from, to) = ((project, minute, Uuid::nil()), (project, minute, Ids::after(up_to)));
    for row in tx.range(&MINUTES, &from, &to, Order::Ascending)? {
        let (key, last) = row?;
        if last <= up_to {
            tx.delete(&MINUTES, &key)?;
        }
    }
    Ok(())
}

/// Shows the events that happened from `start` up to, and without, `end`, after a place: minute by minute, those of one
/// in the order of their arrival, for as long as `take` wants more.
pub(super) fn happened(
    tx: &Tx,
    project: ProjectId,
    (start, end): (Time, Time),
    after: Option<Cursor>,
    mut take: impl FnMut(Uuid, Event) -> bool,
) -> Result<()> {
    let seen = after.map(|place| (minute_of(place.time), place.id));
    let from = match seen {
        Some(place) => (place.0, stretch_at(tx, project, place)?.map_or(Uuid::nil(), |(first, _)| first)),
        None => (minute_of(start), Uuid::nil()),
    };
    for row in
        tx.range(&MINUTES, &(project, from.0, from.1), &(project, end, Uuid::nil()), Order::Ascending)?
    {
        let ((_, minute, first), last) = row?;
        let unseen = seen.filter(|(known, _)| *known == minute).map(|(_, id)| Ids::after(id));
        let first = unseen.map_or(first, |unseen| unseen.max(first));
        if first > last {
            continue;
        }
        for row in blocks::between(tx, project, first, Ids::after(last))? {
            let (id, event) = row?;
            let is_meant = minute_of(event.timestamp) == minute && (start..end).contains(&event.timestamp);
            if is_meant && !take(id, event) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The first and the last event of the stretch of a minute that begins with an event or last before it.
fn stretch_at(tx: &Tx, project: ProjectId, (minute, id): (Time, Uuid)) -> Result<Option<(Uuid, Uuid)>> {
    let (from, to) = ((project, minute, Uuid::nil()), (project, minute, Ids::after(id)));
    let newest = tx.range(&MINUTES, &from, &to, Order::Descending)?.next().transpose()?;
    Ok(newest.map(|((.., first), last)| (first, last)))
}

/// Each event lies in a stretch, and each stretch ends with an event.
pub(super) fn check(tx: &Tx, problems: &mut Problems) -> Result<()> {
    for row in blocks::of_all_projects(tx)? {
        let (project, id, event) = row?;
        let stretch = stretch_at(tx, project, (minute_of(event.timestamp), id))?;
        if stretch.is_none_or(|(_, last)| last < id) {
            problems.push(format!("an event of project {project} is not found by its time: {id}"));
        }
    }
    for row in tx.range(&MINUTES, &ProjectId(0), &ProjectId(u32::MAX), Order::Ascending)? {
        let ((project, minute, first), last) = row?;
        let event = blocks::find(tx, project, last)?;
        if first > last || event.is_none_or(|event| minute_of(event.timestamp) != minute) {
            problems.push(format!(
                "events of a minute of project {project} end with one that is not there: {last}"
            ));
        }
    }
    Ok(())
}

pub(super) fn samples(all: &mut Samples) {
    all.add(&MINUTES, (ProjectId(7), minute_of(NOW), ONE), TWO);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::resources::events::{
        CapturedEvent, EventIds, Limits, check as check_events, store as capture, sweep,
    };
    use crate::resources::registry;
    use crate::store::{Json, Storage, Store};

    const ONE_PROJECT: ProjectId = ProjectId(7);
    const OTHER: ProjectId = ProjectId(8);

    /// Events at these moments, in microseconds: some with identifiers, some so large that a block has few of them.
    fn at(times: &[i64]) -> Vec<CapturedEvent> {
        let event = |time: &i64| CapturedEvent {
            uuid: (time % 2 == 0).then(Uuid::new_v4),
            event: "seen".into(),
            distinct_id: "d".into(),
            timestamp: Time(*time),
            properties: Json::of(&"p".repeat(usize::try_from(time.rem_euclid(5) * 1300).unwrap_or(0))),
            elements_chain: String::new(),
            person: crate::resources::persons::Update { unprofiled: true, ..Default::default() },
        };
        times.iter().map(event).collect()
    }

    /// Moments of a few minutes, one after the other or at random, some at the edges.
    fn moments(number: i64) -> Vec<i64> {
        let moment = |place: i64| match (number + place) % 5 {
            0 => (place % 4) * MINUTE_MICROS,
            1 => (place % 4) * MINUTE_MICROS - 1,
            _ => number * 7_919_000 % (3 * MINUTE_MICROS) + place * (number % 3) * 11_000_000,
        };
        (0..=number % 9).map(moment).collect()
    }

    /// The same as `happened`, so many at a time, by looking at every event.
    fn compare(tx: &Tx, span: (Time, Time), at_once: usize) {
        let mut wanted: Vec<(Time, Uuid)> = blocks::all(tx, ONE_PROJECT, Order::Ascending)
            .unwrap()
            .map(|row| row.unwrap())
            .filter(|(_, event)| (span.0..span.1).contains(&event.timestamp))
            .map(|(id, event)| (minute_of(event.timestamp), id))
            .collect();
        wanted.sort_unstable();
        let mut found: Vec<(Time, Uuid)> = Vec::new();
        loop {
            let before = found.len();
            let after = found.last().map(|(time, id)| Cursor { time: *time, id: *id });
            let take = |id, event: Event| {
                found.push((event.timestamp, id));
                found.len() < before + at_once
            };
            happened(tx, ONE_PROJECT, span, after, take).unwrap();
            if found.len() == before {
                break;
            }
        }
        let found: Vec<_> = found.into_iter().map(|(time, id)| (minute_of(time), id)).collect();
        assert_eq!(found, wanted, "{span:?}, {at_once} at a time");
    }

    fn compare_all(tx: &Tx) -> Result<()> {
        let edges = [i64::MIN, -1, 0, 59_000_000, MINUTE_MICROS, 2 * MINUTE_MICROS + 1, i64::MAX];
        for (place, start) in edges.into_iter().enumerate() {
            for end in &edges[place..] {
                for at_once in [1, 7, 1000] {
                    compare(tx, (Time(start), Time(*end)), at_once);
                }
            }
        }
        let mut problems = Problems::new();
        check(tx, &mut problems)?;
        check_events(tx, &mut problems)?;
        assert_eq!(problems, Vec::<String>::new());
        Ok(())
    }

    #[tokio::test]
    async fn events_are_found_by_their_time_until_they_are_removed() {
        let place = Storage::Memory(crate::store::Pages::empty());
        let store = Store::open(place, 1024 * 1024, registry::tables()).unwrap();
        let ids = Arc::new(EventIds { clock: Arc::default(), ids: Arc::default() });
        for number in 0..150 {
            let (mine, theirs, ids) = (at(&moments(number)), at(&[number]), Arc::clone(&ids));
            let captured = store.write(move |tx| {
                capture(tx, &ids, ONE_PROJECT, &mine)?;
                capture(tx, &ids, OTHER, &theirs)
            });
            captured.await.unwrap();
        }
        store.read(compare_all).unwrap();
        // There are no such projects, so that all goes, some at a time.
        let limits = Limits { oldest: None, bytes_max: None, project_bytes_max: None };
        let mut sweeps = 0;
        while store.write(move |tx| sweep(tx, limits)).await.unwrap().is_more {
            store.read(compare_all).unwrap();
            sweeps += 1;
        }
        assert!(sweeps > 2, "{sweeps}");
        store
            .read(|tx| {
                assert_eq!(tx.all(&MINUTES)?, []);
                assert_eq!(tx.all(&blocks::BLOCKS)?.len(), 0);
                Ok(())
            })
            .unwrap();
    }
}
