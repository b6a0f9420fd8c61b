//! Identifiers and secrets that are the same every time: each kind of thing has a stream of its own, a keyed hash of the
//! kind and of how many were drawn.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use hmac::{Hmac, Mac};
use rand::SeedableRng;
use rand::rngs::StdRng;
use sha2::Sha256;
use uuid::Uuid;

use super::Time;

pub(super) struct Streams {
    key: [u8; 16],
    start: u64,
    /// How much was drawn of each kind, and the latest millisecond of its identifiers.
    drawn: Mutex<HashMap<&'static str, Drawn>>,
}

#[derive(Clone, Copy, Default)]
struct Drawn {
    count: u64,
    millis: u64,
}

impl Streams {
    pub(super) fn new(number: u64, start: u64) -> Streams {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&number.to_be_bytes());
        key[8..].copy_from_slice(&start.to_be_bytes());
        Streams { key, start, drawn: Mutex::default() }
    }

    pub(super) fn copy(&self) -> Streams {
        let drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Streams { key: self.key, start: self.start, drawn: Mutex::new(drawn) }
    }

    /// The place of the next draw of this kind, and a millisecond that is never before that of an earlier one.
    fn next(&self, kind: &'static str, millis: u64) -> Drawn {
        let mut all = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        let drawn = all.entry(kind).or_default();
        drawn.millis = drawn.millis.max(millis);
        let next = *drawn;
        drawn.count += 1;
        next
    }

    fn seed(&self, kind: &str, count: u64) -> [u8; 32] {
        let mut signer = Hmac::<Sha256>::new_from_slice(&self.key).expect("a key of any length will do");
        signer.update(kind.as_bytes());
        signer.update(&[0]);
        signer.update(&count.to_be_bytes());
        signer.finalize().into_bytes().into()
    }

    /// The random values of one draw.
    pub(super) fn random(&self, kind: &'static str) -> StdRng {
        let Drawn { count, .. } = self.next(kind, 0);
        StdRng::from_seed(self.seed(kind, count))
    }

    /// The bytes of one draw.
    pub(super) fn fill(&self, kind: &'static str, bytes: &mut [u8]) {
        let Drawn { count, .. } = self.next(kind, 0);
        for (place, part) in bytes.chunks_mut(32).enumerate() {
            let block = format!("{kind}\0{place}");
            part.copy_from_slice(&self.seed(&block, count)[..part.len()]);
        }
    }

    /// A UUIDv7: milliseconds, 12 bits of the start, 30 bits that count, 32 bits of the stream. So later ones are greater
    /// also where the clock stands still.
    pub(super) fn uuid(&self, kind: &'static str, now: Time) -> Uuid {
        let millis = u64::try_from(now.0.div_euclid(1000)).unwrap_or(0);
        let Drawn { count, millis } = self.next(kind, millis);
        let [a, b, c, d, ..] = self.seed(kind, count);
        let start = u128::from(self.start & 0xfff);
        let count = u128::from(count & 0x3fff_ffff);
        let rest = u128::from(u32::from_be_bytes([a, b, c, d]));
        let millis = u128::from(millis) & 0xffff_ffff_ffff;
        Uuid::from_u128(millis << 80 | 0x7 << 76 | start << 64 | 0b10 << 62 | count << 32 | rest)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Ids;
    use super::*;

    const NOW: Time = Time(1_767_225_600_000_000);

    #[test]
    fn the_third_of_a_kind_is_the_same_whatever_else_was_drawn() {
        let (one, other) = (Ids::pinned(1, 0), Ids::pinned(1, 0));
        let third = |ids: &Ids, between: u32| {
            for _ in 0..2 {
                ids.uuid_of("role", NOW);
                for _ in 0..between {
                    ids.uuid_of("project", NOW);
                    ids.bytes::<9>();
                }
            }
            ids.uuid_of("role", NOW)
        };
        let id = third(&one, 0);
        assert_eq!(id, third(&other, 7));
        assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
        assert_eq!(Ids::time_of(id), NOW);
        assert_ne!(id, third(&Ids::pinned(2, 0), 0));
        assert_ne!(id, third(&Ids::pinned(1, 1), 0));
    }

    #[test]
    fn later_ones_are_greater_also_where_the_clock_stands_still_or_runs_back() {
        let streams = Streams::new(1, 0);
        let times = [NOW, NOW, NOW.plus_seconds(1), NOW, NOW.plus_seconds(-60), NOW.plus_seconds(2)];
        let made: Vec<Uuid> = times.iter().map(|now| streams.uuid("role", *now)).collect();
        assert!(made.windows(2).all(|pair| pair[0] < pair[1]), "{made:?}");
        // A later start on the same file goes on.
        assert!(Streams::new(1, 1).uuid("role", NOW) > made[1]);
    }

    #[test]
    fn secrets_are_the_same_every_time_and_none_comes_twice() {
        let drawn = || {
            let ids = Ids::pinned(7, 0);
            let mut all: Vec<String> = (0..100).map(|_| ids.base62::<40>()).collect();
            all.extend((0..100).map(|_| ids.letters(b"abcdefghijklmnopqrstuvwxyz", 20)));
            all.push(ids.request().to_string());
            all
        };
        let (one, mut other) = (drawn(), drawn());
        assert_eq!(one, other);
        other.sort();
        other.dedup();
        assert_eq!(one.len(), other.len());
    }
}
