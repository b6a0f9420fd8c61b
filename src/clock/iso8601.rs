//! Reads times as the clients of this API write them: every form of ISO 8601 that luxon's `fromISO` and Python's
//! `fromisoformat` know, what languages print of themselves, and RFC 2822. Dates are those of the proleptic
//! Gregorian calendar.

use time::{Date, Month, Weekday};

use super::{SECOND_MICROS, Time};

const MINUTE_MICROS: i64 = 60 * SECOND_MICROS;
const HOUR_MICROS: i64 = 60 * MINUTE_MICROS;
const DAY_MICROS: i64 = 24 * HOUR_MICROS;
/// No form is longer: a date, a time with 30 digits of fraction, an offset and the name of a zone.
const BYTES_MAX: usize = 128;

/// A time, and whether the text said how far it is from UTC; without that, it is meant in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    pub time: Time,
    pub has_offset: bool,
}

/// The time that the text says, if it is one that can be shown.
pub fn read(text: &str) -> Option<Read> {
    let text = text.trim();
    if text.len() > BYTES_MAX || text.is_empty() {
        return None;
    }
    let read = iso(text).or_else(|| other(text))?;
    Time::CALENDAR.contains(&read.time).then_some(read)
}

fn iso(text: &str) -> Option<Read> {
    let mut rest = Rest(text);
    let days = date(&mut rest)?;
    let mut micros = 0;
    let has_time = rest.skip_any("Tt ");
    if has_time {
        rest.skip_blanks();
        micros = time_of_day(&mut rest)?;
    }
    let local = days * DAY_MICROS + micros;
    let (time, has_offset) = match offset(&mut rest, has_time)? {
        Some(offset) => (Time(local - offset), true),
        None => (Time(local), false),
    };
    match zone(&mut rest)? {
        // With both, the offset says the moment; the name only says whose it is.
        Some(zone) if !has_offset => Some(Read { time: in_zone(local, zone)?, has_offset: true }),
        _ => Some(Read { time, has_offset }),
    }
}

/// RFC 2822, as mails and HTTP have it, and what JavaScript prints of a `Date`.
fn other(text: &str) -> Option<Read> {
    let zoned = jiff::fmt::rfc2822::parse(text).ok().or_else(|| {
        let text = text.split(" (").next().unwrap_or(text);
        jiff::Zoned::strptime("%a %b %d %Y %H:%M:%S GMT%z", text).ok()
    })?;
    Some(Read { time: Time(zoned.timestamp().as_microsecond()), has_offset: true })
}

/// Days since 1970 of a date: by month (`2024-06-01`), week (`2024-W22-6`) or day of the year (`2024-153`), with or
/// without hyphens; what is left out is the first.
fn date(rest: &mut Rest<'_>) -> Option<i64> {
    let year = year(rest)?;
    let has_hyphens = rest.skip('-');
    if rest.skip_any("Ww") {
        let week = rest.digits(2)?;
        let day = match rest.skip('-') {
            true => rest.digits(1)?,
            false if !has_hyphens && rest.begins_with_digits(1) => rest.digits(1)?,
            false => 1,
        };
        let weekday = Weekday::Monday.nth_next(u8::try_from(day.checked_sub(1)?).ok()?);
        let date = Date::from_iso_week_date(year, u8::try_from(week).ok()?, weekday).ok()?;
        return (day <= 7).then_some(days_of(date));
    }
    let date = if rest.begins_with_digits(3) && !rest.begins_with_digits(4) {
        Date::from_ordinal_date(year, u16::try_from(rest.digits(3)?).ok()?)
    } else if rest.begins_with_digits(2) {
        let month = Month::try_from(u8::try_from(rest.digits(2)?).ok()?).ok()?;
        let day = match (has_hyphens, rest.begins_with_digits(2)) {
            (true, _) if rest.skip('-') => rest.digits(2)?,
            (false, true) => rest.digits(2)?,
            _ => 1,
        };
        Date::from_calendar_date(year, month, u8::try_from(day).ok()?)
    } else if has_hyphens {
        return None;
    } else {
        Date::from_ordinal_date(year, 1)
    };
    date.ok().map(days_of)
}

/// Four digits, or a sign and six.
fn year(rest: &mut Rest<'_>) -> Option<i32> {
    let sign = if rest.skip('+') {
        Some(1)
    } else if rest.skip_minus() {
        Some(-1)
    } else {
        None
    };
    let year = i32::try_from(rest.digits(if sign.is_some() { 6 } else { 4 })?).ok()?;
    Some(year * sign.unwrap_or(1))
}

fn days_of(date: Date) -> i64 {
    const JULIAN_DAY_OF_1970: i64 = 2_440_588;
    i64::from(date.to_julian_day()) - JULIAN_DAY_OF_1970
}

/// Microseconds since midnight; the end of the day is `24:00`.
fn time_of_day(rest: &mut Rest<'_>) -> Option<i64> {
    let hour = rest.digits(2)?;
    let has_colons = rest.skip(':');
    let is_more = |rest: &Rest<'_>| rest.begins_with_digits(2);
    let minute = if has_colons || is_more(rest) { rest.digits(2)? } else { 0 };
    let has_seconds = if has_colons { rest.skip(':') } else { is_more(rest) };
    let mut second = 0;
    let mut fraction = 0;
    if has_seconds {
        second = rest.digits(2)?;
        if rest.skip_any(".,") {
            fraction = rest.fraction()?;
        }
    }
    if hour > 24 || minute > 59 || second > 60 || (hour == 24 && minute + second + fraction > 0) {
        return None;
    }
    // A leap second is the end of the one before it, since 1970 is counted without them.
    let seconds = if second == 60 { 59 * SECOND_MICROS + 999_999 } else { second * SECOND_MICROS + fraction };
    Some(hour * HOUR_MICROS + minute * MINUTE_MICROS + seconds)
}

/// How far local time is ahead of UTC, in microseconds; the inner `None` where the text does not say it.
fn offset(rest: &mut Rest<'_>, has_time: bool) -> Option<Option<i64>> {
    rest.skip_blanks();
    if rest.skip_any("Zz") || rest.skip_word("UTC") || rest.skip_word("GMT") {
        return Some(Some(0));
    }
    let sign = if rest.skip('+') {
        1
    } else if rest.skip_minus() {
        -1
    } else {
        return Some(None);
    };
    if !has_time {
        return None;
    }
    let size = time_of_day(rest)?;
    if size >= DAY_MICROS {
        return None;
    }
    // Go and Ruby print the name after the number.
    rest.skip_blanks();
    let _ = rest.skip_word("UTC") || rest.skip_word("GMT");
    Some(Some(sign * size))
}

/// The zone's name in brackets at the end, as Java and Temporal write it. `None` where anything else is left.
fn zone<'a>(rest: &mut Rest<'a>) -> Option<Option<&'a str>> {
    if rest.0.is_empty() {
        return Some(None);
    }
    rest.0.strip_prefix('[')?.strip_suffix(']').map(Some)
}

/// The moment when clocks in the zone show this; of two, the earlier one.
fn in_zone(local: i64, zone: &str) -> Option<Time> {
    let zone = jiff::tz::TimeZone::get(zone).ok()?;
    let shown = jiff::Timestamp::from_microsecond(local).ok()?.to_zoned(jiff::tz::TimeZone::UTC).datetime();
    let moment = zone.to_ambiguous_timestamp(shown).compatible().ok()?;
    Some(Time(moment.as_microsecond()))
}

/// What has not been read yet.
struct Rest<'a>(&'a str);

impl Rest<'_> {
    fn skip(&mut self, letter: char) -> bool {
        self.0.strip_prefix(letter).is_some_and(|rest| {
            self.0 = rest;
            true
        })
    }

    /// Skips one letter of these.
    fn skip_any(&mut self, letters: &str) -> bool {
        letters.chars().any(|letter| self.skip(letter))
    }

    /// The hyphen, and the minus of typographers, which ISO 8601 prefers.
    fn skip_minus(&mut self) -> bool {
        self.skip_any("-\u{2212}")
    }

    fn skip_word(&mut self, word: &str) -> bool {
        self.0.strip_prefix(word).is_some_and(|rest| {
            self.0 = rest;
            true
        })
    }

    fn skip_blanks(&mut self) {
        self.0 = self.0.trim_start_matches(' ');
    }

    fn begins_with_digits(&self, count: usize) -> bool {
        self.0.len() >= count && self.0.bytes().take(count).all(|byte| byte.is_ascii_digit())
    }

    /// The number that the next so many digits are.
    fn digits(&mut self, count: usize) -> Option<i64> {
        if !self.begins_with_digits(count) {
            return None;
        }
        let (digits, rest) = self.0.split_at(count);
        self.0 = rest;
        digits.parse().ok()
    }

    /// Digits after the point, in microseconds; what is finer is dropped.
    fn fraction(&mut self) -> Option<i64> {
        let count = self.0.bytes().take_while(u8::is_ascii_digit).count();
        if count == 0 {
            return None;
        }
        let (digits, rest) = self.0.split_at(count);
        self.0 = rest;
        digits
            .bytes()
            .chain(std::iter::repeat(b'0'))
            .take(6)
            .try_fold(0, |number, digit| Some(number * 10 + i64::from(digit - b'0')))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<String> {
        read(text).map(|read| read.time.to_string())
    }

    #[test]
    fn every_form_of_the_same_moment_is_read() {
        for text in [
            "2024-06-01T12:00:00Z",
            "2024-06-01t12:00:00z",
            "2024-06-01 12:00:00",
            "2024-06-01 12:00:00 Z",
            "2024-06-01T12:00",
            "2024-06-01T12",
            "2024-06-01T12Z",
            "2024-06-01T12:00:00+00",
            "2024-06-01T12:00:00+0000",
            "2024-06-01T12:00:00-00:00",
            "2024-06-01T14:00:00+02",
            "2024-06-01T08:30:00-0330",
            "2024-06-01T08:30:00\u{2212}03:30",
            "2024-06-01T17:30:00+05:30",
            "2024-06-01T12:00:30+00:00:30",
            "20240601T120000Z",
            "20240601T1200Z",
            "20240601T140000+0200",
            "2024-W22-6T12:00:00Z",
            "2024W226T120000Z",
            "2024-153T12:00:00Z",
            "2024153T12Z",
            "+002024-06-01T12:00:00Z",
            "2024-06-01T12:00:00.000000000000Z",
            "2024-06-01 12:00:00 +0000 UTC",
            "2024-06-01 14:00:00 +0200",
            "2024-06-01 12:00:00 UTC",
            "2024-06-01T14:00:00+02:00[Europe/Paris]",
            "2024-06-01T14:00:00[Europe/Paris]",
            "2024-06-01T12:00:00Z[UTC]",
            "Sat, 01 Jun 2024 12:00:00 GMT",
            "Sat, 1 Jun 2024 14:00:00 +0200",
            "Sat Jun 01 2024 14:00:00 GMT+0200 (Central European Summer Time)",
            " 2024-06-01T12:00:00Z\n",
        ] {
            assert_eq!(shown(text).as_deref(), Some("2024-06-01T12:00:00Z"), "{text}");
        }
    }

    #[test]
    fn what_is_left_out_is_the_first_and_fractions_are_cut() {
        for (text, wanted) in [
            ("2024", "2024-01-01T00:00:00Z"),
            ("2024-06", "2024-06-01T00:00:00Z"),
            ("202406", "2024-06-01T00:00:00Z"),
            ("2024-06-01", "2024-06-01T00:00:00Z"),
            ("20240601", "2024-06-01T00:00:00Z"),
            ("2024-W22", "2024-05-27T00:00:00Z"),
            ("2024W22", "2024-05-27T00:00:00Z"),
            ("2024-366", "2024-12-31T00:00:00Z"),
            ("2024-06-01T24:00:00Z", "2024-06-02T00:00:00Z"),
            ("2024-06-01T24:00", "2024-06-02T00:00:00Z"),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999999Z"),
            ("2024-06-01T12:00:00,5Z", "2024-06-01T12:00:00.500000Z"),
            ("2024-06-01T12:00:00.123456789Z", "2024-06-01T12:00:00.123456Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(wanted), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "yesterday",
            "12:00",
            "1717243200",
            "1717243200000",
            "2024-",
            "2024-6-1",
            "2024-13-01",
            "2024-02-30",
            "2023-366",
            "2024-W54",
            "2024-W22-8",
            "2024-W22-0",
            "2024-06-01T",
            "2024-06-01T1",
            "2024-06-01T25:00",
            "2024-06-01T24:00:01",
            "2024-06-01T12:60",
            "2024-06-01T12:00:61Z",
            "2024-06-01T12:00:00.Z",
            "2024-06-01T12:00:00+",
            "2024-06-01T12:00:00+24:00",
            "2024-06-01T12:00:00+02:00x",
            "2024-06-01+02:00",
            "2024-06-01T12:00:00[Nowhere/Land]",
            "2024-06-01T12:00:00ZZ",
            "-000001-01-01T00:00:00Z",
            "+010000-01-01T00:00:00Z",
            "9999-12-31T23:59:59-01:00",
            "0000-01-01T00:00:00+01:00",
            "２０２４-06-01",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
        assert_eq!(shown(&"2".repeat(10_000)), None);
    }

    #[test]
    fn the_offset_is_known_where_the_text_says_it() {
        for (text, has_offset) in [
            ("2024-06-01T12:00:00", false),
            ("2024-06-01", false),
            ("2024-06-01T12:00:00Z", true),
            ("2024-06-01T12:00:00+0000", true),
            ("20240601T120000+00", true),
            ("2024-06-01T12:00:00[Europe/Paris]", true),
            ("Sat, 01 Jun 2024 12:00:00 GMT", true),
        ] {
            assert_eq!(read(text).map(|read| read.has_offset), Some(has_offset), "{text}");
        }
    }
}
