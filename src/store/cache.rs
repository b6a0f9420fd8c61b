//! Values computed from rows, cached until one of the rows changes.
//!
//! Nobody says what a value is made of: every look at a row or a range goes through `Tx::committed`, which notes it for the
//! value that is being made, and for those around it. A commit notes its generation in the places of all that it changes,
//! and then lets readers see it. So a value is what a reader would compute from their own state exactly where none of its
//! places has changed later than the older one of the two: the state that the value was made of, and that of the reader.
//!
//! - Reader newer than the value: the commit that changed a row in between was noted before the reader could have its state.
//! - Reader older: the value was put here by somebody who has seen the commit, and so its note, and taken out under the
//!   same lock.
//! - What a value was made of besides rows must be in its key. `http/answers.rs` says how whole answers keep to it.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::{FixedState, RandomState};
use serde_json::value::RawValue;

use super::reads::{Generations, Place};

/// A value that can be cached.
pub trait Cacheable: Any + Send + Sync {
    /// About what it holds in memory, in bytes.
    fn bytes(&self) -> usize;
}

impl Cacheable for Box<RawValue> {
    fn bytes(&self) -> usize {
        self.get().len()
    }
}

const SHARDS: usize = 4;
/// What a shard holds, in bytes. Of more, what was not used lately has to go.
const SHARD_BYTES_MAX: usize = 1024 * 1024;
/// Larger values are not kept, in bytes.
const VALUE_BYTES_MAX: usize = SHARD_BYTES_MAX / 2;
/// What a cached value costs beside what it holds, in bytes.
const ENTRY_BYTES: usize = 150;

/// What a value is, and what it was made of besides rows.
pub(super) type Key = Arc<[u8]>;

#[derive(Default)]
pub(super) struct Cache {
    shards: [Mutex<Shard>; SHARDS],
    pub(super) generations: Generations,
}

#[derive(Default)]
struct Shard {
    made: HashMap<Key, Made, RandomState>,
    /// All keys; what stands in front goes next, unless it was used since it stood there last.
    order: VecDeque<Key>,
    bytes: usize,
}

struct Made {
    /// The newest state of which it is known that the value would be the same.
    generation: u64,
    value: Arc<dyn Any + Send + Sync>,
    places: Box<[Place]>,
    bytes: usize,
    is_used: bool,
}

impl Cache {
    fn shard(&self, key: &[u8]) -> MutexGuard<'_, Shard> {
        let hash = FixedState::default().hash_one(key);
        // A few bits of the hash are enough.
        let shard = &self.shards[(hash >> 32) as usize % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value as somebody sees it who reads the state of this generation; `note` sees what it was made of.
    pub(super) fn get<M: Cacheable>(
        &self,
        generation: u64,
        key: &[u8],
        note: impl FnOnce(&[Place]),
    ) -> Option<Arc<M>> {
        let mut shard = self.shard(key);
        let made = shard.made.get_mut(key)?;
        if made.generation != generation {
            let older = made.generation.min(generation);
            if !self.generations.are_unchanged(&made.places, older) {
                return None;
            }
            made.generation = made.generation.max(generation);
        }
        made.is_used = true;
        note(&made.places);
        Arc::clone(&made.value).downcast().ok()
    }

    /// Keeps what was made of the state of this generation.
    pub(super) fn put<M: Cacheable>(&self, generation: u64, key: &[u8], value: Arc<M>, places: Box<[Place]>) {
        let held = value.bytes();
        if held > VALUE_BYTES_MAX {
            return;
        }
        let bytes = ENTRY_BYTES + 2 * size_of_val(key) + size_of_val(&*places) + held;
        let mut shard = self.shard(key);
        if shard.made.get(key).is_some_and(|known| known.generation > generation) {
            return;
        }
        let key = Key::from(key);
        let made = Made { generation, value, places, bytes, is_used: false };
        shard.bytes += bytes;
        match shard.made.insert(Key::clone(&key), made) {
            Some(old) => shard.bytes -= old.bytes,
            None => shard.order.push_back(key),
        }
        shard.make_way();
    }
}

impl Shard {
    fn make_way(&mut self) {
        while self.bytes > SHARD_BYTES_MAX
            && let Some(key) = self.order.pop_front()
        {
            match self.made.get_mut(&key) {
                Some(made) if made.is_used => {
                    made.is_used = false;
                    self.order.push_back(key);
                }
                _ => self.bytes -= self.made.remove(&key).map_or(0, |made| made.bytes),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::reads::{Look, Reads};
    use super::*;

    fn text(number: u64) -> Arc<Box<RawValue>> {
        Arc::new(RawValue::from_string(number.to_string()).unwrap())
    }

    /// The places of a row.
    fn row(key: &[u8]) -> Box<[Place]> {
        let mut reads = Reads::default();
        reads.note("table", Look::Key(key));
        reads.places().unwrap()
    }

    fn shown(cache: &Cache, generation: u64, key: &[u8]) -> Option<String> {
        let text: Arc<Box<RawValue>> = cache.get(generation, key, |_| ())?;
        Some(text.get().to_owned())
    }

    #[test]
    fn a_value_is_used_only_between_the_changes_of_its_rows() {
        let cache = Cache::default();
        let (one, two) = ([1; 16], [2; 16]);
        cache.put(5, &one, text(5), row(&one));
        cache.put(5, &two, text(50), row(&two));
        assert_eq!(shown(&cache, 5, &one).as_deref(), Some("5"));
        assert_eq!(shown(&cache, 9, &one).as_deref(), Some("5"));
        cache.generations.changed(10, "table", &one);
        assert_eq!(shown(&cache, 10, &one), None, "it is too old");
        assert_eq!(shown(&cache, 9, &one).as_deref(), Some("5"), "known to be the same in that state");
        assert_eq!(shown(&cache, 8, &one), None, "the reader is too old to tell");
        assert_eq!(shown(&cache, 10, &two).as_deref(), Some("50"));
        cache.put(10, &one, text(10), row(&one));
        assert_eq!(shown(&cache, 9, &one), None, "the value is too new for this reader");
        cache.put(9, &one, text(9), row(&one));
        assert_eq!(shown(&cache, 11, &one).as_deref(), Some("10"), "a slow reader replaces nothing newer");
    }

    #[test]
    fn a_slow_reader_keeps_nothing_old() {
        let cache = Cache::default();
        cache.generations.changed(10, "table", b"a");
        cache.put(9, b"a", text(9), row(b"a"));
        assert_eq!(shown(&cache, 10, b"a"), None);
        assert_eq!(shown(&cache, 9, b"a").as_deref(), Some("9"));
    }

    #[test]
    fn what_is_held_is_bounded_and_what_is_used_stays() {
        struct Large(usize);
        impl Cacheable for Large {
            fn bytes(&self) -> usize {
                self.0
            }
        }
        let cache = Cache::default();
        let is_there = |key: &[u8]| cache.get::<Large>(1, key, |_| ()).is_some();
        cache.put(1, b"too large", Arc::new(Large(VALUE_BYTES_MAX + 1)), row(b"a"));
        assert!(!is_there(b"too large"));
        cache.put(1, b"used", Arc::new(Large(1000)), row(b"a"));
        for number in 0..10_000u32 {
            assert!(is_there(b"used"), "{number}");
            cache.put(1, &number.to_be_bytes(), Arc::new(Large(1000)), row(b"a"));
        }
        for shard in &cache.shards {
            let shard = shard.lock().unwrap();
            let bytes: usize = shard.made.values().map(|made| made.bytes).sum();
            assert!(shard.bytes == bytes && bytes <= SHARD_BYTES_MAX && bytes > SHARD_BYTES_MAX / 2);
            assert_eq!(shard.made.len(), shard.order.len());
        }
        assert!(!is_there(&0u32.to_be_bytes()));
    }
}
