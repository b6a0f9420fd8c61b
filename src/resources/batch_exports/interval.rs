//! How often an export runs. Runs fall on whole multiples of the interval since 1970 in UTC, so weeks
//! begin on Thursdays.

use serde::{Deserialize, Serialize};

use crate::clock::{SECOND_MICROS, Time};

/// The time between two runs, which is also how much each run exports. Records hold the place in this list:
/// add at the end only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Interval {
    Hour,
    Day,
    Week,
    FiveMinutes,
    FifteenMinutes,
}

impl Interval {
    pub const ALL: [Interval; 5] =
        [Interval::Hour, Interval::Day, Interval::Week, Interval::FiveMinutes, Interval::FifteenMinutes];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Interval::Hour => "hour",
            Interval::Day => "day",
            Interval::Week => "week",
            Interval::FiveMinutes => "every 5 minutes",
            Interval::FifteenMinutes => "every 15 minutes",
        }
    }

    pub fn named(name: &str) -> Option<Interval> {
        Interval::ALL.into_iter().find(|interval| interval.name() == name)
    }

    pub fn seconds(self) -> i64 {
        match self {
            Interval::Hour => 60 * 60,
            Interval::Day => 24 * 60 * 60,
            Interval::Week => 7 * 24 * 60 * 60,
            Interval::FiveMinutes => 5 * 60,
            Interval::FifteenMinutes => 15 * 60,
        }
    }

    /// Whether it is one of those that the operator has to allow.
    pub fn is_high_frequency(self) -> bool {
        matches!(self, Interval::FiveMinutes | Interval::FifteenMinutes)
    }

    /// The last boundary up to `time`.
    pub fn floor(self, time: Time) -> Time {
        let micros = self.seconds() * SECOND_MICROS;
        Time(time.0.div_euclid(micros).saturating_mul(micros))
    }

    /// The first boundary after `time`.
    pub fn next(self, time: Time) -> Time {
        self.floor(time).plus_seconds(self.seconds())
    }

    /// The first boundary from `time` on.
    pub fn ceil(self, time: Time) -> Time {
        if self.floor(time) == time { time } else { self.next(time) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        Time::parse(text).unwrap()
    }

    #[test]
    fn boundaries_are_multiples_since_1970() {
        for (interval, before, next) in [
            (Interval::Hour, "2024-01-02T03:59:59.999999Z", "2024-01-02T04:00:00Z"),
            (Interval::Hour, "2024-01-02T04:00:00Z", "2024-01-02T05:00:00Z"),
            (Interval::Day, "2024-01-02T04:00:00Z", "2024-01-03T00:00:00Z"),
            // The fourth of January 2024 was a Thursday.
            (Interval::Week, "2024-01-03T23:00:00Z", "2024-01-04T00:00:00Z"),
            (Interval::FiveMinutes, "2024-01-02T03:04:00Z", "2024-01-02T03:05:00Z"),
            (Interval::FifteenMinutes, "2024-01-02T03:04:00Z", "2024-01-02T03:15:00Z"),
            (Interval::Hour, "1969-12-31T23:30:00Z", "1970-01-01T00:00:00Z"),
        ] {
            assert_eq!(interval.next(at(before)), at(next), "{before}");
            assert_eq!(interval.ceil(at(next)), at(next));
        }
    }
}
