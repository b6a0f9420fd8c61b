//! Time and randomness: the only source of either, so that tests can move the one and everything
//! that happens can be traced to the other.

pub mod duration;
pub mod iso8601;
mod pinned;

use std::collections::BTreeMap;
use std::fmt;
use std::panic::Location;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rand::{Rng, RngCore};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::{Month, OffsetDateTime};
use tokio::sync::Notify;
use uuid::{ContextV7, Timestamp, Uuid};

use pinned::Streams;

/// A moment in UTC, in microseconds since 1970; records hold that number. On the wire: ISO 8601 with `Z`, six digits of
/// fraction, none at all where they are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub i64);

pub const SECOND_MICROS: i64 = 1_000_000;

impl Time {
    /// The years from 0 to 9999, which can be shown.
    pub const CALENDAR: std::ops::Range<Time> = Time(-62_167_219_200_000_000)..Time(253_402_300_800_000_000);

    /// The years from 1970 to 8999, which a clock may be set to.
    pub const SETTABLE: std::ops::Range<Time> = Time(0)..Time(221_845_392_000_000_000);

    /// The moment `seconds` after this one.
    pub fn plus_seconds(self, seconds: i64) -> Time {
        Time(self.0.saturating_add(seconds.saturating_mul(SECOND_MICROS)))
    }

    /// Whole seconds since 1970.
    pub fn unix_seconds(self) -> i64 {
        self.0.div_euclid(SECOND_MICROS)
    }

    /// Reads a time as clients write it, without an offset in UTC; see [`iso8601`].
    pub fn parse(text: &str) -> Option<Time> {
        iso8601::read(text).map(|read| read.time)
    }
}

/// Room for a time as text.
pub type TimeText = [u8; 27];

impl Time {
    /// Writes the time, and says how it reads.
    pub fn write(self, text: &mut TimeText) -> &str {
        let moment =
            OffsetDateTime::from_unix_timestamp(self.unix_seconds()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (year, month, day) = moment.to_calendar_date();
        let (hour, minute, second) = moment.to_hms();
        let month: u8 = Month::into(month);
        let micros = u32::try_from(self.0.rem_euclid(SECOND_MICROS)).unwrap_or(0);
        // Digits by hand: this runs several times for every row of every answer.
        *text = *b"0000-00-00T00:00:00.000000Z";
        digits(&mut text[0..4], year.unsigned_abs());
        digits(&mut text[5..7], month.into());
        digits(&mut text[8..10], day.into());
        digits(&mut text[11..13], hour.into());
        digits(&mut text[14..16], minute.into());
        digits(&mut text[17..19], second.into());
        digits(&mut text[20..26], micros);
        let shown: &[u8] = if micros == 0 {
            text[19] = b'Z';
            &text[..20]
        } else {
            text
        };
        std::str::from_utf8(shown).expect("digits and punctuation are ASCII")
    }
}

impl fmt::Display for Time {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.write(&mut TimeText::default()))
    }
}

fn digits(out: &mut [u8], mut number: u32) {
    for place in out.iter_mut().rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(self.write(&mut TimeText::default()))
        } else {
            self.0.serialize(serializer)
        }
    }
}

/// Out of records, and out of text that this program wrote.
impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return i64::deserialize(deserializer).map(Time);
        }
        let text = String::deserialize(deserializer)?;
        Time::parse(&text).ok_or_else(|| serde::de::Error::custom("a time was expected"))
    }
}

/// The wall clock, which tests move and stop.
pub struct Clock {
    /// Where it stands still, in microseconds since 1970; `RUNS` where it does not.
    stands_at: AtomicI64,
    ahead_micros: AtomicI64,
    moved: Notify,
    /// The times that somebody waits for, and how many do.
    awaited: Mutex<BTreeMap<Time, usize>>,
}

const RUNS: i64 = i64::MIN;

impl Default for Clock {
    /// The wall clock as it is.
    fn default() -> Clock {
        Clock {
            stands_at: AtomicI64::new(RUNS),
            ahead_micros: AtomicI64::new(0),
            moved: Notify::new(),
            awaited: Mutex::default(),
        }
    }
}

/// A time that somebody waits for, until this is dropped.
struct Awaited<'a> {
    clock: &'a Clock,
    due: Time,
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        let mut all = self.clock.awaited();
        match all.get_mut(&self.due) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(all.remove(&self.due)),
        }
    }
}

impl Clock {
    /// The time now.
    pub fn now(&self) -> Time {
        self.at(Clock::wall())
    }

    /// The time when the machine shows this one.
    pub fn at(&self, wall: Time) -> Time {
        match self.stands_at.load(Ordering::Acquire) {
            RUNS => Time(wall.0 + self.ahead_micros.load(Ordering::Relaxed)),
            stands_at => Time(stands_at),
        }
    }

    /// The time of the machine, however the clock was moved: for what happens outside, such as a line of the log.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
    pub fn wall() -> Time {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Time(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    /// Whether it stands still.
    pub fn is_frozen(&self) -> bool {
        self.stands_at.load(Ordering::Acquire) != RUNS
    }

    /// Moves the clock forward for good.
    pub fn advance(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).unwrap_or(0);
        if self.is_frozen() {
            self.stands_at.fetch_add(micros, Ordering::AcqRel);
        } else {
            self.ahead_micros.fetch_add(micros, Ordering::Relaxed);
        }
        self.moved.notify_waiters();
    }

    /// Sets the clock, which stands still there or runs on from there.
    pub fn set(&self, time: Time, is_frozen: bool) {
        // Before it runs again, so that nobody sees another time in between.
        self.ahead_micros.store(time.0.saturating_sub(Clock::wall().0), Ordering::Relaxed);
        self.stands_at.store(if is_frozen { time.0 } else { RUNS }, Ordering::Release);
        self.moved.notify_waiters();
    }

    /// Another clock that shows the same time and is moved on its own.
    pub fn copy(&self) -> Clock {
        Clock {
            stands_at: AtomicI64::new(self.stands_at.load(Ordering::Acquire)),
            ahead_micros: AtomicI64::new(self.ahead_micros.load(Ordering::Relaxed)),
            ..Clock::default()
        }
    }

    /// Waits until the time `due`, however the clock gets there. Comes back early now and then, so that a
    /// clock that the system has set is noticed: look at the time again.
    pub async fn until(&self, due: Time) {
        const NAP_MAX: Duration = Duration::from_secs(30);
        let moved = self.moved.notified();
        let left = u64::try_from(due.0.saturating_sub(self.now().0)).unwrap_or(0);
        let left = Duration::from_micros(left);
        // One that stands still gets nowhere unless it is moved.
        let nap = if self.is_frozen() && !left.is_zero() { NAP_MAX } else { left.min(NAP_MAX) };
        // A clock that is moved ends the wait.
        let _ = tokio::time::timeout(nap, moved).await;
    }

    /// Waits until it is `due`.
    pub async fn reached(&self, due: Time) {
        *self.awaited().entry(due).or_default() += 1;
        let _awaited = Awaited { clock: self, due };
        while self.now() < due {
            self.until(due).await;
        }
    }

    /// The first time that somebody waits for.
    pub fn first_awaited(&self) -> Option<Time> {
        self.awaited().keys().next().copied()
    }

    fn awaited(&self) -> MutexGuard<'_, BTreeMap<Time, usize>> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes identifiers and secrets: random ones, or those that a number says.
///
/// What is drawn for one kind of thing never depends on what was drawn for others: the kind of an identifier is its type,
/// that of a secret the file that draws it.
#[derive(Default)]
pub struct Ids {
    order: Mutex<ContextV7>,
    /// Nobody else's front of identifiers of requests, and how many were made.
    requests: (OnceLock<u64>, AtomicU64),
    pinned: Option<Streams>,
}

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The number that the bytes are, the greatest byte first, in base 62.
fn base62(bytes: &[u8]) -> String {
    // As many digits as fit into a word are split off at a time.
    const DIGITS: u32 = 5;
    const SPLIT: u64 = 62u64.pow(DIGITS);
    let word = |bytes: &[u8]| bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    let mut words: Vec<u64> = bytes.rchunks(4).rev().map(word).collect();
    let mut letters = Vec::with_capacity(bytes.len() * 3 / 2);
    let mut begin = 0;
    loop {
        begin += words[begin..].iter().take_while(|word| **word == 0).count();
        if begin == words.len() {
            break;
        }
        let mut rest = 0;
        for word in &mut words[begin..] {
            let value = rest << 32 | *word;
            *word = value / SPLIT;
            rest = value % SPLIT;
        }
        for _ in 0..DIGITS {
            letters.push(BASE62[(rest % 62) as usize]);
            rest /= 62;
        }
    }
    while letters.last() == Some(&b'0') {
        letters.pop();
    }
    letters.iter().rev().map(|letter| char::from(*letter)).collect()
}

/// The file below the sources, wherever they were compiled.
fn kind_of(place: &'static Location<'static>) -> &'static str {
    let file = place.file();
    file.rfind("src/").map_or(file, |front| &file[front..])
}

impl Ids {
    /// Those of a number. `start` tells starts of the program on one data file apart, so that none repeats what an
    /// earlier one has drawn.
    pub fn pinned(number: u64, start: u64) -> Ids {
        Ids { pinned: Some(Streams::new(number, start)), ..Ids::default() }
    }

    /// What draws the same from here on, where what is drawn can be foretold.
    pub fn copy(&self) -> Ids {
        Ids { pinned: self.pinned.as_ref().map(Streams::copy), ..Ids::default() }
    }

    /// Tells requests apart, of this start of the program and of others; cheaper than a UUIDv7.
    pub fn request(&self) -> Uuid {
        let (front, made) = &self.requests;
        let front = *front.get_or_init(|| u64::from_be_bytes(self.bytes_by(|| "request")));
        Uuid::from_u64_pair(front, made.fetch_add(1, Ordering::Relaxed))
    }

    /// A UUIDv7. Later calls from one file give greater values, so that new rows land at the end of their table.
    #[track_caller]
    pub fn uuid(&self, now: Time) -> Uuid {
        let place = Location::caller();
        self.uuid_by(|| kind_of(place), now)
    }

    /// The same, for a kind of thing.
    pub fn uuid_of(&self, kind: &'static str, now: Time) -> Uuid {
        self.uuid_by(|| kind, now)
    }

    fn uuid_by(&self, kind: impl FnOnce() -> &'static str, now: Time) -> Uuid {
        if let Some(streams) = &self.pinned {
            return streams.uuid(kind(), now);
        }
        let order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = u64::try_from(now.unix_seconds()).unwrap_or(0);
        let nanos = u32::try_from(now.0.rem_euclid(SECOND_MICROS)).unwrap_or(0) * 1000;
        Uuid::new_v7(Timestamp::from_unix(&*order, seconds, nanos))
    }

    /// When an identifier was made, in whole milliseconds. Of two identifiers the later one never has the
    /// earlier time.
    pub fn time_of(id: Uuid) -> Time {
        let millis = id.as_u128() >> 80;
        Time(i64::try_from(millis).unwrap_or(i64::MAX).saturating_mul(1000))
    }

    /// The least identifier of that time, to the millisecond.
    pub fn first_at(time: Time) -> Uuid {
        let millis = u128::from(time.0.max(0).cast_unsigned() / 1000);
        Uuid::from_u128(millis << 80)
    }

    /// The least identifier after this one.
    pub fn after(id: Uuid) -> Uuid {
        Uuid::from_u128(id.as_u128().saturating_add(1))
    }

    /// Random bytes fit for secrets.
    #[track_caller]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let place = Location::caller();
        self.bytes_by(|| kind_of(place))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that draws random values")]
    fn bytes_by<const N: usize>(&self, kind: impl FnOnce() -> &'static str) -> [u8; N] {
        let mut bytes = [0; N];
        match &self.pinned {
            Some(streams) => streams.fill(kind(), &mut bytes),
            None => rand::rng().fill_bytes(&mut bytes),
        }
        bytes
    }

    /// `N` random bytes written in base 62, without leading zeros: 32 bytes give about 43 letters.
    #[track_caller]
    pub fn base62<const N: usize>(&self) -> String {
        base62(&self.bytes::<N>())
    }

    /// 42 letters in base 62: the time in milliseconds, then 26 random bytes. As with identifiers, later
    /// ones are greater, so that an index of them grows at its end.
    #[track_caller]
    pub fn ordered_base62(&self, now: Time) -> String {
        let mut bytes = self.bytes::<32>();
        let millis = u64::try_from(now.0 / 1000).unwrap_or(0);
        bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
        base62(&bytes)
    }

    /// `length` random letters out of `alphabet`, each as likely as any other.
    #[track_caller]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that draws random values")]
    pub fn letters(&self, alphabet: &[u8], length: usize) -> String {
        let place = Location::caller();
        let draw = |random: &mut dyn RngCore| {
            (0..length).map(|_| char::from(alphabet[random.random_range(0..alphabet.len())])).collect()
        };
        match &self.pinned {
            Some(streams) => draw(&mut streams.random(kind_of(place))),
            None => draw(&mut rand::rng()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shown_with_six_digits_or_none() {
        assert_eq!(Time(1_728_396_939_123_456).to_string(), "2024-10-08T14:15:39.123456Z");
        assert_eq!(Time(1_728_396_939_000_000).to_string(), "2024-10-08T14:15:39Z");
        assert_eq!(Time(0).to_string(), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn a_time_is_read_back_as_it_was_shown() {
        for micros in [0, 1, 1_728_396_939_123_456, 1_728_396_939_000_000] {
            assert_eq!(Time::parse(&Time(micros).to_string()), Some(Time(micros)));
        }
        assert_eq!(Time::parse("1970-01-02"), Some(Time(86_400 * SECOND_MICROS)));
        assert_eq!(Time::parse("yesterday"), None);
    }

    #[test]
    fn identifiers_only_grow() {
        let ids = Ids::default();
        let made: Vec<Uuid> = (0..1000).map(|_| ids.uuid(Time(1_728_396_939_123_456))).collect();
        assert!(made.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn thirty_two_bytes_make_about_forty_three_letters() {
        let text = Ids::default().base62::<32>();
        assert!((36..=43).contains(&text.len()), "{text}");
        assert!(text.bytes().all(|letter| letter.is_ascii_alphanumeric()));
    }

    #[test]
    fn every_letter_is_as_likely_as_any_other() {
        // 200 letters out of a byte's 256 values: a remainder would draw the first 56 twice as often.
        let alphabet: Vec<u8> = (0..100).chain(std::iter::repeat_n(100, 100)).collect();
        let drawn = Ids::default().letters(&alphabet, 40_000);
        // The letters at the front are half of the alphabet, and so half of what is drawn, give or take
        // ten standard deviations; with a remainder they would be 61 %.
        let front = drawn.bytes().filter(|letter| *letter < 100).count();
        assert!((19_000..21_000).contains(&front), "{front} of 40000");
    }

    #[test]
    fn base_62_writes_the_number_that_the_bytes_are() {
        for (bytes, written) in [
            (&[0, 0][..], ""),
            (&[0, 61], "z"),
            (&[62], "10"),
            (&[1, 0, 0, 0, 0], "4gfFC4"),
            (&[255; 9], "1SkYaaiXSSTS3"),
        ] {
            assert_eq!(base62(bytes), written, "{bytes:?}");
        }
    }

    #[test]
    fn ordered_letters_are_greater_when_they_are_later() {
        let ids = Ids::default();
        let at = |text| ids.ordered_base62(Time::parse(text).unwrap());
        let (before, after) = (at("2026-11-25T00:00:00.001Z"), at("2026-11-25T00:00:00.002Z"));
        assert!(before < after && before.len() == 42 && after.len() == 42, "{before} {after}");
    }
}
