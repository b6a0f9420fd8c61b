//! What the memory of the process is spent on: one ceiling, and every budget as a part of it.

const MIB: usize = 1024 * 1024;
/// The least ceiling: below it there is no memory for a password hash and a page of events beside the
/// program itself, in MiB.
pub const MEMORY_MIB_MIN: usize = 40;
/// What the program takes that does nothing: its code, its threads' stacks, its tables, in bytes.
const IDLE_BYTES: usize = 10 * MIB;
/// The least for pages of the data file, unless it is set, in bytes.
const CACHE_BYTES_MIN: usize = 2 * MIB;
/// What working out one password hash takes, in bytes.
pub const HASH_BYTES: usize = 19 * MIB;

/// How much memory each kind of work gets, in bytes. Who finds none waits, and is refused in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budgets {
    /// The program itself, its connections, and what the allocator keeps for the next request.
    pub idle: usize,
    /// How many password hashes are worked out at once, each in `HASH_BYTES`.
    pub hashes_at_once: usize,
    /// Pages of the data file, those that a commit writes included; the operating system keeps more of them. Changes that
    /// wait for their commit take as much again: one batch is on its way to the disk while the next is made.
    pub cache: usize,
    /// Everything else that grows with the traffic: bodies, what they are parsed into,
    /// captured batches, answers that their callers have not taken yet, batch exports.
    pub work: usize,
}

impl Budgets {
    /// The budgets below a ceiling of so many MiB. The cache may be set apart, up to a quarter of all.
    pub fn of(memory_mib: usize, cache_mib: Option<usize>) -> Budgets {
        let all = memory_mib.max(MEMORY_MIB_MIN).saturating_mul(MIB);
        let idle = IDLE_BYTES + all / 32;
        let busy = all - idle;
        let hashes_at_once = (busy / 4 / HASH_BYTES).max(1);
        let rest = busy - hashes_at_once * HASH_BYTES;
        let cache =
            cache_mib.map_or((all / 80).max(CACHE_BYTES_MIN), |mib| mib.saturating_mul(MIB).min(rest / 4));
        Budgets { idle, hashes_at_once, cache, work: rest - 2 * cache }
    }

    /// What the process may take in the worst case.
    pub fn total(&self) -> usize {
        self.idle + self.hashes_at_once * HASH_BYTES + 2 * self.cache + self.work
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_budgets_together_stay_below_the_ceiling() {
        for memory_mib in [MEMORY_MIB_MIN, 48, 64, 100, 256, 1000, 4096, 1024 * 1024] {
            for cache_mib in [None, Some(0), Some(16), Some(usize::MAX)] {
                let budgets = Budgets::of(memory_mib, cache_mib);
                assert!(budgets.total() <= memory_mib * MIB, "{memory_mib}: {budgets:?}");
                assert!(budgets.hashes_at_once > 0 && budgets.work >= 4 * MIB, "{budgets:?}");
            }
        }
        assert_eq!(
            Budgets::of(0, None),
            Budgets::of(MEMORY_MIB_MIN, None),
            "a ceiling that is too low is the least"
        );
    }
}
