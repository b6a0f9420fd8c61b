//! The time by which things are removed for their age. A clock that jumps must not remove anything, so
//! removals go by the latest time that the file knows. It follows the clock; where the clock is far ahead of
//! it, it waits until the clock has gone on for a while.

use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::{events, sessions, status};
use crate::clock::Time;
use crate::error::Result;
use crate::store::{Tx, WriteTx, decode, encode};

const NAME: &str = "latest_time";
const HOUR: i64 = 60 * 60;
const DAY: i64 = 24 * HOUR;
/// A clock that is further ahead has to be confirmed, in seconds.
const FAR: i64 = DAY;
/// Between two looks, a clock that is being confirmed may go on by so much, in seconds: the server may be
/// off for a while.
const PAUSE_MAX: i64 = 8 * DAY;
/// How much the time moves before it is written down, in seconds.
const STEP: i64 = HOUR;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    latest: Time,
    doubt: Option<Doubt>,
}

/// A clock that is far ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Doubt {
    since: Time,
    last_look: Time,
}

impl Known {
    /// What is known after a look at the clock. A time that is far ahead is believed `wait` seconds after it
    /// was first seen, if the clock does not jump meanwhile.
    fn after_look(self, now: Time, wait: i64) -> Known {
        let sure = Known { latest: now, doubt: None };
        if wait <= 0 || now <= self.latest.plus_seconds(FAR) {
            return sure;
        }
        let goes_on =
            |doubt: &Doubt| doubt.last_look <= now && now <= doubt.last_look.plus_seconds(PAUSE_MAX);
        match self.doubt.filter(goes_on) {
            Some(doubt) if now >= doubt.since.plus_seconds(wait) => sure,
            Some(doubt) => Known { doubt: Some(Doubt { last_look: now, ..doubt }), ..self },
            None => Known { doubt: Some(Doubt { since: now, last_look: now }), ..self },
        }
    }

    /// Whether the difference is worth a commit.
    fn differs_from(self, old: Known) -> bool {
        let moved = |new: Time, old: Time| new < old || new >= old.plus_seconds(STEP);
        match (self.doubt, old.doubt) {
            (None, None) => moved(self.latest, old.latest),
            (Some(new), Some(old)) => new.since != old.since || moved(new.last_look, old.last_look),
            _ => true,
        }
    }
}

fn known(tx: &Tx) -> Result<Option<Known>> {
    let bytes = tx.get(&status::INSTANCE, &NAME.to_owned())?;
    Ok(bytes.map(|bytes| decode(&bytes)).transpose()?)
}

fn put(tx: &WriteTx, known: Known) -> Result<()> {
    Ok(tx.put(&status::INSTANCE, &NAME.to_owned(), &encode(&known)?)?)
}

/// Gives a file that knows no time one: that of its newest rows, or now.
pub fn prepare(tx: &WriteTx, now: Time) -> Result<()> {
    if known(tx)?.is_some() {
        return Ok(());
    }
    let newest = events::newest(tx)?.max(sessions::newest(tx)?);
    put(tx, Known { latest: newest.map_or(now, |newest| newest.min(now)), doubt: None })
}

/// Takes the clock into account; `None` where it is believed.
pub fn look(tx: &WriteTx, now: Time, wait_seconds: i64) -> Result<Option<Ahead>> {
    let old = known(tx)?.unwrap_or(Known { latest: now, doubt: None });
    let new = old.after_look(now, wait_seconds);
    if new.differs_from(old) {
        put(tx, new)?;
    }
    Ok(new.doubt.map(|doubt| Ahead {
        latest: new.latest,
        now,
        until: doubt.since.plus_seconds(wait_seconds),
    }))
}

/// The clock goes from one time to the other in steps, as on a test server whose clock is advanced: where it was believed
/// before, it still is.
///
/// # Errors
/// None but of the data file.
pub fn pass(tx: &WriteTx, from: Time, to: Time) -> Result<()> {
    match known(tx)? {
        Some(Known { latest, doubt: None }) if latest.plus_seconds(FAR) >= from && latest < to => {
            put(tx, Known { latest: to, doubt: None })
        }
        _ => Ok(()),
    }
}

/// The clock is believed, whatever it says: there is nothing yet that could be too old.
///
/// # Errors
/// None but of the data file.
pub fn begin(tx: &WriteTx, now: Time) -> Result<()> {
    put(tx, Known { latest: now, doubt: None })
}

/// Whether the clock is far ahead of what is known, and not believed yet.
///
/// # Errors
/// None but of the data file.
pub fn is_doubted(tx: &Tx) -> Result<bool> {
    Ok(known(tx)?.is_some_and(|known| known.doubt.is_some()))
}

/// A clock that is not believed yet.
#[derive(Clone, Copy, Debug)]
pub struct Ahead {
    latest: Time,
    now: Time,
    until: Time,
}

/// Tells the log when the clock is doubted, and when it is believed again.
pub fn tell(before: Option<Ahead>, after: Option<Ahead>) {
    match (before, after) {
        (None, Some(Ahead { latest, now, until })) => warn!(
            "the clock says {now}, but the latest time known in the data file is {latest}: nothing is removed for its age until {until}, should the clock be right"
        ),
        (Some(_), None) => info!("the clock is believed again: what is too old will be removed"),
        _ => {}
    }
}

/// The time by which rows are too old: never later than what is known.
pub fn of(tx: &Tx, now: Time) -> Result<Time> {
    Ok(known(tx)?.map_or(Time(i64::MIN), |known| known.latest.min(now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Time = Time(1_700_000_000_000_000);

    fn at(hours: i64) -> Time {
        START.plus_seconds(hours * HOUR)
    }

    /// The latest time known, in hours after the start, after looks at these hours.
    fn after_looks(looks: &[i64]) -> i64 {
        let start = Known { latest: START, doubt: None };
        let end = looks.iter().fold(start, |known, hours| known.after_look(at(*hours), DAY));
        (end.latest.unix_seconds() - START.unix_seconds()) / HOUR
    }

    #[test]
    fn the_latest_time_follows_a_clock_that_goes_on_and_waits_for_one_that_jumps() {
        for (looks, latest) in [
            (&[1, 2, 26, 50][..], 50),
            (&[24], 24),
            (&[25], 0),
            // Ahead for less than a day, and for a day.
            (&[1000, 1010, 1023], 0),
            (&[1000, 1010, 1024], 1024),
            (&[1000, 1024], 1024),
            // A jump for a moment, whatever was before and comes after.
            (&[100_000, 1], 1),
            (&[100_000, 1, 100_000, 2, 100_030, 3], 3),
            (&[1000, 100_000], 0),
            (&[1000, 1010, 100_000, 1020], 0),
            (&[1000, 1010, 100_000, 100_023], 0),
            (&[1000, 1010, 100_000, 100_024], 100_024),
            // Off for some days while it is confirmed.
            (&[1000, 1072], 1072),
            // Back: what is removed by an earlier time is less.
            (&[10, -1000], -1000),
            (&[10, -1000, 10], -1000),
        ] {
            assert_eq!(after_looks(looks), latest, "{looks:?}");
        }
    }

    #[test]
    fn any_clock_is_believed_where_no_wait_is_wanted() {
        let known = Known { latest: START, doubt: None };
        assert_eq!(known.after_look(at(100_000), 0).latest, at(100_000));
    }
}
