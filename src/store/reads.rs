//! What a reader has looked at, and which commits have changed it since.
//!
//! Keys, fronts of keys and whole tables are thrown together in a fixed number of places. Where two meet in one, a change
//! of the one counts as one of the other: what is cached is made again without need, and never kept too long.

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::FixedState;

/// A power of two.
const PLACES: usize = 1 << 15;
/// Ranges are told apart by so many bytes at the front of their keys, which is one identifier.
const FRONT_BYTES: usize = 16;

pub(super) type Place = u32;

/// What is looked at in a table.
#[derive(Clone, Copy)]
pub(super) enum Look<'a> {
    /// The row of this key, there or not.
    Key(&'a [u8]),
    /// All rows whose key begins so.
    Front(&'a [u8]),
    /// All rows from the one key up to the other.
    Between(&'a [u8], &'a [u8]),
    Table,
}

impl Look<'_> {
    fn place(self, table: &str) -> Place {
        match self {
            Look::Key(key) => place(table, 0, key),
            Look::Front(front) => match front.first_chunk::<FRONT_BYTES>() {
                Some(front) => place(table, 1, front),
                None => place(table, 2, &[]),
            },
            Look::Between(from, end) => match (from.first_chunk(), end.first_chunk::<FRONT_BYTES>()) {
                (Some(from), Some(end)) if from == end => place(table, 1, from),
                _ => place(table, 2, &[]),
            },
            Look::Table => place(table, 2, &[]),
        }
    }
}

fn place(table: &str, kind: u8, bytes: &[u8]) -> Place {
    let mut hasher = FixedState::default().build_hasher();
    hasher.write(table.as_bytes());
    hasher.write_u8(kind);
    hasher.write(bytes);
    // The rest of the hash is not needed.
    (hasher.finish() % PLACES as u64) as Place
}

/// What a reader has looked at.
#[derive(Default)]
pub(super) struct Reads {
    places: Vec<Place>,
    /// Whether it has seen something of which no changes are noted.
    is_unknown: bool,
}

impl Reads {
    pub(super) fn note(&mut self, table: &str, look: Look<'_>) {
        self.places.push(look.place(table));
    }

    pub(super) fn note_unknown(&mut self) {
        self.is_unknown = true;
    }

    /// Notes what something was made of that this reader has seen.
    pub(super) fn note_all(&mut self, others: &[Place]) {
        self.places.extend_from_slice(others);
    }

    pub(super) fn merge(&mut self, other: &Reads) {
        self.note_all(&other.places);
        self.is_unknown |= other.is_unknown;
    }

    /// Each place once; `None` where changes may pass unseen.
    pub(super) fn places(mut self) -> Option<Box<[Place]>> {
        self.places.sort_unstable();
        self.places.dedup();
        (!self.is_unknown).then(|| self.places.into())
    }
}

/// The generation of the last commit that changed something in each place.
pub(super) struct Generations(Box<[AtomicU64]>);

impl Default for Generations {
    fn default() -> Generations {
        Generations((0..PLACES).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Generations {
    /// Notes that a commit changes a row of the table: before readers see the commit.
    pub(super) fn changed(&self, generation: u64, table: &str, key: &[u8]) {
        for look in [Look::Key(key), Look::Front(key), Look::Table] {
            self.0[look.place(table) as usize].store(generation, Ordering::Release);
        }
    }

    /// Whether nothing has changed in any of the places after this generation, as far as is known.
    pub(super) fn are_unchanged(&self, places: &[Place], since: u64) -> bool {
        places.iter().all(|place| self.0[*place as usize].load(Ordering::Acquire) <= since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_seen(look: Look<'_>, table: &str, key: &[u8]) -> bool {
        let generations = Generations::default();
        generations.changed(7, table, key);
        let mut reads = Reads::default();
        reads.note("a", look);
        let places = reads.places().unwrap();
        assert!(generations.are_unchanged(&places, 7));
        !generations.are_unchanged(&places, 6)
    }

    #[test]
    fn a_change_is_seen_by_whoever_looked_at_the_row_or_at_a_range_that_may_hold_it() {
        let (front, key) = ([5; 16], [5; 20]);
        let end = [&front[..], &[9]].concat();
        for look in [
            Look::Key(&key),
            Look::Front(&front),
            Look::Front(&key[..18]),
            Look::Front(&key[..3]),
            Look::Front(&[]),
            Look::Between(&front, &end),
            Look::Between(&front, &[6; 16]),
            Look::Between(&[1], &[6]),
            Look::Table,
        ] {
            assert!(is_seen(look, "a", &key));
            assert!(!is_seen(look, "b", &key), "of another table");
        }
        for look in [Look::Key(&front), Look::Key(&[5; 21]), Look::Front(&[4; 16])] {
            assert!(!is_seen(look, "a", &key), "another row");
        }
        // Keys that are shorter than what ranges are told apart by.
        assert!(is_seen(Look::Key(&[1, 2]), "a", &[1, 2]));
        assert!(is_seen(Look::Front(&[1]), "a", &[1, 2]));
        assert!(is_seen(Look::Between(&[1], &[2]), "a", &[1, 2]));
    }

    #[test]
    fn what_was_seen_unknown_is_never_known() {
        let (mut reads, mut inner) = (Reads::default(), Reads::default());
        inner.note("a", Look::Table);
        inner.note_unknown();
        reads.merge(&inner);
        assert!(reads.places().is_none());
    }
}
