//! How often an export runs, and where its intervals begin. Hours and minutes are whole multiples since 1970 in UTC.
//! Days begin at midnight in the export's time zone, or some hours later, and weeks on one of them: Thursday, as the
//! weeks since 1970 in UTC, where no other is chosen.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};
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

    /// How many days it has, where it is counted in days.
    fn days(self) -> Option<i64> {
        match self {
            Interval::Day => Some(1),
            Interval::Week => Some(7),
            Interval::Hour | Interval::FiveMinutes | Interval::FifteenMinutes => None,
        }
    }

    /// The last multiple since 1970 in UTC, up to `time`.
    fn floor(self, time: Time) -> Time {
        let micros = self.seconds() * SECOND_MICROS;
        Time(time.0.div_euclid(micros).saturating_mul(micros))
    }
}

/// The name of the zone that is meant where none is chosen.
pub(super) const UTC: &str = "UTC";

/// The weekday of the first of January 1970, counted from Sunday.
const THURSDAY: u8 = 4;

/// The boundaries between the intervals of one export. A day in it may have 23 or 25 hours.
#[derive(Clone, Debug)]
pub struct Calendar {
    interval: Interval,
    zone: TimeZone,
    /// The weekday on which weeks begin, counted from Sunday.
    weekday: u8,
    /// The hour at which days and weeks begin.
    hour: u8,
}

impl Calendar {
    /// An unknown zone counts as UTC.
    pub fn new(interval: Interval, zone: &str, offset_day: Option<u8>, offset_hour: Option<u8>) -> Calendar {
        Calendar {
            interval,
            zone: TimeZone::get(zone).unwrap_or(TimeZone::UTC),
            weekday: offset_day.unwrap_or(THURSDAY),
            hour: offset_hour.unwrap_or(0),
        }
    }

    /// The last boundary up to `time`.
    pub fn floor(&self, time: Time) -> Time {
        self.local_floor(time).unwrap_or_else(|| self.interval.floor(time))
    }

    /// The first boundary after `time`.
    pub fn next(&self, time: Time) -> Time {
        let plain = || self.interval.floor(time).plus_seconds(self.interval.seconds());
        self.local_next(time).unwrap_or_else(plain)
    }

    /// The first boundary from `time` on.
    pub fn ceil(&self, time: Time) -> Time {
        if self.floor(time) == time { time } else { self.next(time) }
    }

    /// The start of the interval that ends at this boundary.
    pub fn start_of(&self, end: Time) -> Time {
        self.floor(Time(end.0.saturating_sub(1)))
    }

    /// The boundary of a date, for intervals that are counted in days.
    pub fn of_date(&self, date: Date) -> Option<Time> {
        self.interval.days()?;
        self.boundary(date)
    }

    /// The end of the step that begins at `from`: steps are whole intervals since `origin`, by the clock on the wall
    /// where they are counted in days.
    pub fn step(&self, origin: Time, from: Time) -> Time {
        let plain = || from.plus_seconds(self.interval.seconds());
        self.local_step(origin, from).unwrap_or_else(plain)
    }

    /// How many whole steps there are from `origin` to `end`.
    pub fn steps(&self, origin: Time, end: Time) -> u64 {
        let micros = self.interval.seconds() * SECOND_MICROS;
        let plain = || end.0.saturating_sub(origin.0).max(0).div_euclid(micros);
        self.local_steps(origin, end).unwrap_or_else(plain).unsigned_abs()
    }

    fn local(&self, time: Time) -> Option<Zoned> {
        Some(Timestamp::from_microsecond(time.0).ok()?.to_zoned(self.zone.clone()))
    }

    /// The moment at which a date begins. Where clocks are set forward over it, the first one after the gap; where
    /// they are set back, the first of the two.
    fn boundary(&self, date: Date) -> Option<Time> {
        let hour = i8::try_from(self.hour).ok()?;
        let zoned = date.at(hour, 0, 0, 0).to_zoned(self.zone.clone()).ok()?;
        Some(Time(zoned.timestamp().as_microsecond()))
    }

    /// The last date up to that of `time` on which an interval begins.
    fn first_date(&self, time: Time) -> Option<(Date, i64)> {
        let days = self.interval.days()?;
        let date = self.local(time)?.date();
        let weekday = date.weekday().to_sunday_zero_offset();
        let since = i64::from(weekday) - i64::from(self.weekday);
        Some((date.checked_sub(since.rem_euclid(days).days()).ok()?, days))
    }

    fn local_floor(&self, time: Time) -> Option<Time> {
        let (mut date, days) = self.first_date(time)?;
        loop {
            let boundary = self.boundary(date)?;
            if boundary <= time {
                return Some(boundary);
            }
            date = date.checked_sub(days.days()).ok()?;
        }
    }

    fn local_next(&self, time: Time) -> Option<Time> {
        let (mut date, days) = self.first_date(time)?;
        loop {
            let boundary = self.boundary(date)?;
            if boundary > time {
                return Some(boundary);
            }
            date = date.checked_add(days.days()).ok()?;
        }
    }

    /// The end of step `number` since `origin`.
    fn local_boundary(&self, origin: &Zoned, number: i64) -> Option<Time> {
        let days = self.interval.days()?.checked_mul(number)?;
        let date = origin.date().checked_add(days.days()).ok()?;
        let zoned = date.to_datetime(origin.time()).to_zoned(self.zone.clone()).ok()?;
        Some(Time(zoned.timestamp().as_microsecond()))
    }

    /// How many intervals lie between the dates of two moments.
    fn local_number(&self, origin: &Zoned, time: Time) -> Option<i64> {
        let span = origin.date().until(self.local(time)?.date()).ok()?;
        Some(i64::from(span.get_days()) / self.interval.days()?)
    }

    fn local_step(&self, origin: Time, from: Time) -> Option<Time> {
        let origin = self.local(origin)?;
        let mut number = self.local_number(&origin, from)?;
        loop {
            let end = self.local_boundary(&origin, number)?;
            if end > from {
                return Some(end);
            }
            number += 1;
        }
    }

    fn local_steps(&self, origin: Time, end: Time) -> Option<i64> {
        let origin = self.local(origin)?;
        let mut number = self.local_number(&origin, end)?;
        while number > 0 && self.local_boundary(&origin, number)? > end {
            number -= 1;
        }
        Some(number.max(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        Time::parse(text).unwrap()
    }

    fn utc(interval: Interval) -> Calendar {
        Calendar::new(interval, "UTC", None, None)
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
            let calendar = utc(interval);
            assert_eq!(calendar.next(at(before)), at(next), "{before}");
            assert_eq!(calendar.ceil(at(next)), at(next));
            assert_eq!(calendar.start_of(at(next)), at(next).plus_seconds(-interval.seconds()));
            assert_eq!(interval.floor(at(before)), calendar.floor(at(before)), "{before}");
        }
    }

    #[test]
    fn days_and_weeks_follow_the_clocks_of_their_zone() {
        const BERLIN: &str = "Europe/Berlin";
        for (interval, zone, day, hour, from, boundaries) in [
            // Clocks go forward in the night to the 31st of March 2024: that day has 23 hours.
            (
                Interval::Day,
                BERLIN,
                None,
                None,
                "2024-03-30T00:00:00Z",
                ["2024-03-30T23:00:00Z", "2024-03-31T22:00:00Z", "2024-04-01T22:00:00Z"],
            ),
            // Half past two does not exist on that day; two o'clock is three.
            (
                Interval::Day,
                BERLIN,
                None,
                Some(2),
                "2024-03-30T12:00:00Z",
                ["2024-03-31T01:00:00Z", "2024-04-01T00:00:00Z", "2024-04-02T00:00:00Z"],
            ),
            // And back on the 27th of October: 25 hours.
            (
                Interval::Day,
                BERLIN,
                None,
                None,
                "2024-10-26T12:00:00Z",
                ["2024-10-26T22:00:00Z", "2024-10-27T23:00:00Z", "2024-10-28T23:00:00Z"],
            ),
            // Weeks from Sundays, six o'clock.
            (
                Interval::Week,
                "America/New_York",
                Some(0),
                Some(6),
                "2024-03-04T00:00:00Z",
                ["2024-03-10T10:00:00Z", "2024-03-17T10:00:00Z", "2024-03-24T10:00:00Z"],
            ),
            (
                Interval::Week,
                "UTC",
                Some(6),
                None,
                "2024-01-02T00:00:00Z",
                ["2024-01-06T00:00:00Z", "2024-01-13T00:00:00Z", "2024-01-20T00:00:00Z"],
            ),
            // A day that Samoa left out.
            (
                Interval::Day,
                "Pacific/Apia",
                None,
                None,
                "2011-12-29T11:00:00Z",
                ["2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z", "2012-01-01T10:00:00Z"],
            ),
            // Hours are the same everywhere.
            (
                Interval::Hour,
                "Asia/Kolkata",
                None,
                None,
                "2024-01-01T00:10:00Z",
                ["2024-01-01T01:00:00Z", "2024-01-01T02:00:00Z", "2024-01-01T03:00:00Z"],
            ),
        ] {
            let calendar = Calendar::new(interval, zone, day, hour);
            let mut time = at(from);
            for boundary in boundaries.map(at) {
                let next = calendar.next(time);
                assert_eq!(next, boundary, "{zone} after {time}");
                assert_eq!(calendar.floor(next), next);
                assert_eq!(calendar.start_of(next), calendar.floor(time));
                time = next;
            }
        }
    }

    #[test]
    fn steps_keep_the_time_of_day_that_they_began_with() {
        let calendar = Calendar::new(Interval::Day, "Europe/Berlin", None, None);
        let origin = at("2024-03-29T01:30:00Z");
        let mut from = origin;
        for end in ["2024-03-30T01:30:00Z", "2024-03-31T01:30:00Z", "2024-04-01T00:30:00Z"].map(at) {
            assert_eq!(calendar.step(origin, from), end, "after {from}");
            from = end;
        }
        assert_eq!(calendar.steps(origin, from), 3);
        assert_eq!(calendar.steps(origin, Time(from.0 - 1)), 2);
        assert_eq!(calendar.steps(origin, origin), 0);
        assert_eq!(utc(Interval::Hour).steps(origin, origin.plus_seconds(3 * 3600 + 5)), 3);
    }

    #[test]
    fn the_ends_of_the_calendar_are_no_trap() {
        for time in [Time::CALENDAR.start, Time(Time::CALENDAR.end.0 - 1), Time(i64::MIN), Time(i64::MAX)] {
            for interval in Interval::ALL {
                let calendar = Calendar::new(interval, "Pacific/Kiritimati", Some(0), Some(23));
                calendar.floor(time);
                calendar.next(time);
                calendar.step(time, time);
                calendar.steps(Time::CALENDAR.start, time);
            }
        }
    }
}
