//! What the log says of the same thing once a minute at most, however often it happens. Kept in memory: a restart
//! forgets.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::clock::Time;

const PERIOD_SECONDS: i64 = 60;
/// More different things in one minute are passed over.
const THINGS_MAX: usize = 200;

/// When each thing was last said.
#[derive(Default)]
pub struct Notices(Mutex<HashMap<String, Time>>);

impl Notices {
    /// Whether to say it now.
    pub fn is_due(&self, thing: &str, now: Time) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |time: &Time| (*time..time.plus_seconds(PERIOD_SECONDS)).contains(&now);
        if said.get(thing).is_some_and(is_recent) {
            return false;
        }
        if said.len() >= THINGS_MAX {
            said.retain(|_, time| is_recent(time));
        }
        let is_due = said.len() < THINGS_MAX;
        if is_due {
            said.insert(thing.to_owned(), now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_is_said_once_a_minute() {
        let notices = Notices::default();
        let said: Vec<bool> = [("a", 0), ("a", 59), ("b", 59), ("a", 60), ("a", 61), ("b", 119)]
            .map(|(thing, seconds)| notices.is_due(thing, Time(0).plus_seconds(seconds)))
            .into();
        assert_eq!(said, [true, false, true, true, false, true]);
    }

    #[test]
    fn more_things_than_are_kept_wait_for_the_next_minute() {
        let notices = Notices::default();
        let at = |seconds| Time(0).plus_seconds(seconds);
        let said = (0..1000).filter(|number| notices.is_due(&number.to_string(), at(0))).count();
        assert_eq!(said, THINGS_MAX);
        assert!(!notices.is_due("another", at(59)) && notices.is_due("another", at(60)));
    }
}
