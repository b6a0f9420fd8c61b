//! Values computed from a group of rows, cached until one of the rows changes.
//!
//! A group is named by the sixteen bytes at the front of its keys, in tables declared `cached`. Each
//! commit notes its generation for the groups that it changes. A cached value may be used where neither
//! the reader's state nor the value is older than the last change of its group.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use serde_json::value::RawValue;

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

/// The front of a group's keys.
pub(super) type Group = [u8; 16];

const SHARDS: usize = 16;
/// A shard that holds more forgets everything, in bytes.
const SHARD_BYTES_MAX: usize = 256 * 1024;
/// What a cached value costs beside what it holds, in bytes.
const ENTRY_BYTES: usize = 100;
/// A shard that has seen more groups change forgets them, and everything made before.
const SHARD_CHANGES_MAX: usize = 4096;

#[derive(Default)]
pub(super) struct Cache {
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Default)]
struct Shard {
    made: HashMap<(Group, u8), Made, RandomState>,
    bytes: usize,
    /// The generation of each group's last change.
    changed: HashMap<Group, u64, RandomState>,
    /// The same for every group that is not listed.
    floor: u64,
}

struct Made {
    generation: u64,
    cached: Arc<dyn Any + Send + Sync>,
    bytes: usize,
}

impl Shard {
    fn last_change(&self, group: &Group) -> u64 {
        self.changed.get(group).copied().unwrap_or(self.floor).max(self.floor)
    }
}

impl Cache {
    fn shard(&self, group: &Group) -> MutexGuard<'_, Shard> {
        // The end of a UUIDv7 is random.
        let shard = &self.shards[usize::from(group[15]) % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value, as somebody sees it who reads the state of this generation.
    pub(super) fn get<M: Cacheable>(&self, generation: u64, group: &Group, tag: u8) -> Option<Arc<M>> {
        let shard = self.shard(group);
        let since = shard.last_change(group);
        let made = shard.made.get(&(*group, tag)).filter(|made| made.generation.min(generation) >= since)?;
        Arc::clone(&made.cached).downcast().ok()
    }

    /// Remembers what was made of the state of this generation.
    pub(super) fn put<M: Cacheable>(&self, generation: u64, group: Group, tag: u8, cached: Arc<M>) {
        let mut shard = self.shard(&group);
        if generation < shard.last_change(&group) {
            return;
        }
        if shard.bytes > SHARD_BYTES_MAX {
            shard.made.clear();
            shard.bytes = 0;
        }
        let bytes = ENTRY_BYTES + cached.bytes();
        shard.bytes += bytes;
        if let Some(old) = shard.made.insert((group, tag), Made { generation, cached, bytes }) {
            shard.bytes -= old.bytes;
        }
    }

    /// Notes that a commit changed the group; before readers see the commit.
    pub(super) fn changed(&self, generation: u64, group: Group) {
        let mut shard = self.shard(&group);
        if shard.changed.len() >= SHARD_CHANGES_MAX {
            shard.changed.clear();
            shard.floor = generation;
        }
        shard.changed.insert(group, generation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(number: u64) -> Arc<Box<RawValue>> {
        Arc::new(RawValue::from_string(number.to_string()).unwrap())
    }

    fn shown(cache: &Cache, generation: u64, group: Group) -> Option<String> {
        cache.get(generation, &group, 0).map(|text: Arc<Box<RawValue>>| text.get().to_owned())
    }

    #[test]
    fn a_value_is_used_only_between_the_changes_of_its_group() {
        let cache = Cache::default();
        let (one, two) = ([1; 16], [2; 16]);
        cache.put(5, one, 0, text(5));
        cache.put(5, two, 0, text(50));
        assert_eq!(shown(&cache, 5, one).as_deref(), Some("5"));
        assert_eq!(shown(&cache, 9, one).as_deref(), Some("5"));
        cache.changed(10, one);
        assert_eq!(shown(&cache, 10, one), None, "it is too old");
        assert_eq!(shown(&cache, 9, one), None, "the reader is too old to tell");
        assert_eq!(shown(&cache, 10, two).as_deref(), Some("50"));
        cache.put(9, one, 0, text(9));
        assert_eq!(shown(&cache, 10, one), None, "a slow reader caches nothing old");
        cache.put(10, one, 0, text(10));
        assert_eq!(shown(&cache, 11, one).as_deref(), Some("10"));
        assert!(cache.get::<Box<RawValue>>(11, &one, 1).is_none(), "another tag is another value");
    }

    #[test]
    fn forgetting_changes_forgets_what_was_made_before() {
        let cache = Cache::default();
        let group = |number: u32| {
            let mut group = [0; 16];
            group[..4].copy_from_slice(&number.to_be_bytes());
            group
        };
        cache.put(1, group(0), 0, text(1));
        for number in 1..=5000 {
            cache.changed(u64::from(number) + 1, group(number));
        }
        assert_eq!(shown(&cache, 9000, group(0)), None);
        cache.put(9000, group(0), 0, text(2));
        assert_eq!(shown(&cache, 9000, group(0)).as_deref(), Some("2"));
    }
}
