//! What was called: every request but those that control the server, entered when it arrives and completed when it is
//! answered.
//! Invariant: nothing in it opens anything; see `conceal`.

mod assertion;
mod entry;

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use super::waiting::Signal;
pub use assertion::{Assertion, Filter, Verdict};
pub use entry::{Arrival, Content, Digest, Entry, Wire};

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub entries_max: usize,
    pub bytes_max: usize,
}

impl Limits {
    /// Of a server of its own.
    pub const SERVER: Limits = Limits { entries_max: 10_000, bytes_max: 16 * 1024 * 1024 };
    /// Of a fork, of which there may be many.
    pub const FORK: Limits = Limits { entries_max: 1000, bytes_max: 2 * 1024 * 1024 };
}

/// Bodies up to this size are kept, in bytes.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

pub struct Journal {
    limits: Limits,
    kept: Mutex<Kept>,
    signal: Signal,
}

/// What tells requests apart: a hash of method, path, query and body.
type Likeness = [u8; 16];

#[derive(Default)]
struct Kept {
    /// Their numbers follow each other.
    entries: VecDeque<Entry>,
    bytes: usize,
    /// The number of the newest one that there ever was.
    last: u64,
    /// Requests for paths that no route has.
    unknown: u64,
    dropped: u64,
    /// The first request of each kind, of those that are kept.
    first: HashMap<Likeness, u64>,
}

/// What was found.
pub struct Found {
    pub entries: Vec<Entry>,
    /// How many there are in all, where not all are given.
    pub count: usize,
    pub unknown: u64,
    pub dropped: u64,
}

impl Journal {
    pub fn new(limits: Limits) -> Journal {
        Journal { limits, kept: Mutex::default(), signal: Signal::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many requests there were, and how many of them for paths that no route has; since the last `empty`.
    pub fn counts(&self) -> (u64, u64) {
        let kept = self.lock();
        (kept.entries.len() as u64 + kept.dropped, kept.unknown)
    }

    /// The memory of what is kept, in bytes.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Enters a request. Gives its number.
    pub fn arrive(&self, arrival: Arrival) -> u64 {
        let mut kept = self.lock();
        kept.last += 1;
        kept.unknown += u64::from(arrival.row.is_none());
        let entry = Entry::of(kept.last, arrival);
        kept.bytes += entry.bytes();
        kept.entries.push_back(entry);
        kept.shorten(self.limits);
        let number = kept.last;
        drop(kept);
        self.signal.give();
        number
    }

    /// The body of a request has been read; `hash` is that of its bytes as they came.
    pub fn read_body(&self, number: u64, content: Content, hash: &[u8; 32]) {
        let mut kept = self.lock();
        let Some(entry) = kept.entry(number) else { return };
        let likeness = likeness(entry, hash);
        let before = entry.bytes();
        entry.content = content;
        let after = entry.bytes();
        kept.bytes = kept.bytes + after - before;
        let first = *kept.first.entry(likeness).or_insert(number);
        if let Some(entry) = kept.entry(number) {
            entry.likeness = Some(likeness);
            entry.repeats = Some(first).filter(|first| *first != number);
        }
        kept.shorten(self.limits);
        drop(kept);
        self.signal.give();
    }

    /// Notes the label of the key that the request showed.
    pub fn note_key(&self, number: u64, label: String) {
        self.change(number, |entry| entry.key = Some(label));
    }

    /// Notes which rule made the request fail.
    pub fn note_fault(&self, number: u64, rule: String) {
        self.change(number, |entry| entry.fault = Some(rule));
    }

    /// Notes that the request was carried out, though its answer did not reach its caller as it was.
    pub fn note_carried_out(&self, number: u64, status: u16) {
        self.change(number, |entry| entry.carried_out = Some(status));
    }

    /// The request has been answered, or without a `status` it has not and never will be.
    pub fn finish(&self, number: u64, status: Option<u16>, millis: u64) {
        self.change(number, |entry| (entry.status, entry.ms) = (status, Some(millis)));
        self.signal.give();
    }

    fn change(&self, number: u64, change: impl FnOnce(&mut Entry)) {
        let mut kept = self.lock();
        let Some(entry) = kept.entry(number) else { return };
        let before = entry.bytes();
        change(entry);
        let after = entry.bytes();
        kept.bytes = kept.bytes + after - before;
    }

    /// The newest `limit` of the entries that are meant, the newest last.
    pub fn find(&self, filter: &Filter, limit: usize) -> Found {
        let kept = self.lock();
        let meant: Vec<&Entry> = kept.entries.iter().filter(|entry| filter.matches(entry)).collect();
        let beyond = meant.len().saturating_sub(limit);
        Found {
            count: meant.len(),
            entries: meant.into_iter().skip(beyond).cloned().collect(),
            unknown: kept.unknown,
            dropped: kept.dropped,
        }
    }

    /// How many entries are meant.
    pub fn count(&self, filter: &Filter) -> usize {
        self.lock().entries.iter().filter(|entry| filter.matches(entry)).count()
    }

    /// Judges an assertion; `None` where entries were dropped that it is about.
    pub fn judge(&self, assertion: &Assertion) -> Option<Verdict> {
        let kept = self.lock();
        let is_over_dropped =
            kept.dropped > 0 && kept.entries.front().is_none_or(|first| first.n > assertion.filter.after + 1);
        if is_over_dropped {
            return None;
        }
        let entries: Vec<&Entry> = kept.entries.iter().collect();
        Some(assertion.judge(&entries))
    }

    /// Forgets all entries. Numbers are not given again.
    pub fn empty(&self) {
        let mut kept = self.lock();
        *kept = Kept { last: kept.last, ..Kept::default() };
    }

    /// Changes with every entry, and with what becomes of one.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.signal.changes()
    }
}

impl Kept {
    fn entry(&mut self, number: u64) -> Option<&mut Entry> {
        let first = self.entries.front()?.n;
        let place = usize::try_from(number.checked_sub(first)?).ok()?;
        self.entries.get_mut(place)
    }

    /// Drops the oldest entries while there are too many.
    fn shorten(&mut self, limits: Limits) {
        while self.entries.len() > limits.entries_max || self.bytes > limits.bytes_max {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.bytes -= oldest.bytes();
            self.dropped += 1;
            if let Some(likeness) = oldest.likeness
                && self.first.get(&likeness) == Some(&oldest.n)
            {
                self.first.remove(&likeness);
            }
        }
    }
}

fn likeness(entry: &Entry, body: &[u8; 32]) -> Likeness {
    let mut hash = Sha256::new();
    // The path as it was sent stands in for that without its secrets.
    for part in [entry.method.as_bytes(), &entry.target_hash, body] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut front = Likeness::default();
    front.copy_from_slice(&hash.finalize()[..16]);
    front
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::Time;

    pub(super) fn arrival(method: &str, path: &str) -> Arrival {
        Arrival {
            at: Time(0),
            method: method.to_owned().into(),
            path: path.into(),
            query: String::new(),
            target_hash: Sha256::digest(path).into(),
            row: path.starts_with("/api/").then(|| path.to_owned().into()),
            agent: None,
            headers: Vec::new(),
            key: None,
        }
    }

    fn enter(journal: &Journal, method: &str, path: &str, body: &str) -> u64 {
        let number = journal.arrive(arrival(method, path));
        let hash: [u8; 32] = Sha256::digest(body).into();
        journal.read_body(number, Content::of_json(&json!({"body": body})), &hash);
        number
    }

    fn all(journal: &Journal) -> Found {
        journal.find(&Filter::default(), 1000)
    }

    #[test]
    fn the_oldest_entries_make_way_and_are_counted() {
        let journal = Journal::new(Limits { entries_max: 3, bytes_max: 1 << 20 });
        for number in 1..=5 {
            assert_eq!(enter(&journal, "GET", "/api/a/", ""), number);
        }
        let found = all(&journal);
        assert_eq!(found.entries.iter().map(|entry| entry.n).collect::<Vec<_>>(), [3, 4, 5]);
        assert_eq!((found.dropped, found.unknown, found.count), (2, 0, 3));
        // The first of them is gone, and what came later is the first now.
        assert_eq!(enter(&journal, "GET", "/api/a/", ""), 6);
        let repeats: Vec<_> = all(&journal).entries.iter().map(|entry| entry.repeats).collect();
        assert_eq!(repeats, [None, Some(4), Some(4)]);
        journal.finish(1, Some(200), 1);
        journal.empty();
        journal.finish(6, Some(200), 1);
        assert_eq!((all(&journal).entries.len(), all(&journal).dropped), (0, 0));
        assert_eq!(enter(&journal, "GET", "/x", ""), 7);
        assert_eq!(all(&journal).unknown, 1);
    }

    #[test]
    fn it_takes_no_more_memory_than_it_may() {
        let journal = Journal::new(Limits { entries_max: 1000, bytes_max: 100_000 });
        for _ in 0..200 {
            enter(&journal, "POST", "/api/a/", &"x".repeat(9000));
            let kept = journal.lock();
            assert!(kept.bytes <= 100_000);
            assert_eq!(kept.bytes, kept.entries.iter().map(Entry::bytes).sum::<usize>());
            assert!(kept.first.len() <= kept.entries.len());
        }
        assert!(all(&journal).dropped > 180);
        // Not even one has a place.
        let journal = Journal::new(Limits { entries_max: 10, bytes_max: 10 });
        enter(&journal, "GET", "/api/a/", "");
        assert_eq!((all(&journal).entries.len(), all(&journal).dropped), (0, 1));
    }

    #[test]
    fn a_repetition_names_the_first_request_with_the_same_method_path_and_body() {
        let journal = Journal::new(Limits::SERVER);
        for (method, path, body) in [
            ("POST", "/api/a/", "1"),
            ("POST", "/api/a/", "1"),
            ("POST", "/api/a/", "2"),
            ("PUT", "/api/a/", "1"),
            ("POST", "/api/b/", "1"),
            ("POST", "/api/a/", "1"),
        ] {
            enter(&journal, method, path, body);
        }
        let repeats: Vec<_> = all(&journal).entries.iter().map(|entry| entry.repeats).collect();
        assert_eq!(repeats, [None, Some(1), None, None, None, Some(1)]);
    }
}
