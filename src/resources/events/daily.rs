//! How many events a project was sent, day by day: counted as they arrive, so that a chart reads a few rows.

use crate::clock::Time;
use crate::error::Result;
use crate::ids::ProjectId;
use crate::resources::projects;
use crate::resources::samples::Samples;
use crate::store::{Order, Parent, Table, Tx, WriteTx};

const DAY_SECONDS: i64 = 24 * 60 * 60;
/// So many days are kept.
pub const DAYS_MAX: u32 = 60;

/// By project and day, counted from 1970 in UTC: the events that arrived and were stored.
pub(super) static DAILY: Table<(ProjectId, u32), u64> =
    Table::new("events_daily").belongs_to(&[&Parent::of(&projects::PROJECTS, |(_, id)| *id)]);

/// The events of one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    /// Its first moment.
    pub start: Time,
    pub events: u64,
}

fn number_of(time: Time) -> u32 {
    u32::try_from(time.unix_seconds().div_euclid(DAY_SECONDS)).unwrap_or(0)
}

/// Counts events of now. The first of a day removes what is too old.
pub(super) fn add(tx: &WriteTx, project: ProjectId, now: Time, events: u64) -> Result<()> {
    if events == 0 {
        return Ok(());
    }
    let key = (project, number_of(now));
    let before = tx.get(&DAILY, &key)?;
    if before.is_none() {
        let all = tx.scan(&DAILY, &project, Order::Ascending)?;
        for (old, _) in all.into_iter().filter(|((_, day), _)| day.saturating_add(DAYS_MAX) <= key.1) {
            tx.delete(&DAILY, &old)?;
        }
    }
    Ok(tx.put(&DAILY, &key, &before.unwrap_or(0).saturating_add(events))?)
}

/// What projects were sent together on each of the last days, the oldest first.
///
/// # Errors
/// None but of the data file.
pub fn daily(tx: &Tx, projects: &[ProjectId], now: Time, days: u32) -> Result<Vec<Day>> {
    let today = number_of(now);
    let first = (today + 1).saturating_sub(days.min(DAYS_MAX));
    let start = |day: u32| Time(0).plus_seconds(i64::from(day) * DAY_SECONDS);
    let mut all: Vec<Day> = (first..=today).map(|day| Day { start: start(day), events: 0 }).collect();
    for project in projects {
        for ((_, day), events) in tx.scan(&DAILY, project, Order::Ascending)? {
            if let Some(place) = day.checked_sub(first).and_then(|place| all.get_mut(place as usize)) {
                place.events += events;
            }
        }
    }
    Ok(all)
}

pub(super) fn samples(all: &mut Samples) {
    all.add(&DAILY, (ProjectId(7), 20_000), 5);
}
