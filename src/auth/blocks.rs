//! The memory that passwords are hashed in: used again by the next hash, so that the system need not hand it
//! out anew each time, and given back when none has used it for a while.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use argon2::Block;

/// How long memory waits for the next hash.
pub const KEPT_TIME: Duration = Duration::from_secs(5);

struct KeptBlocks {
    blocks: Vec<Block>,
    since: Instant,
}

/// As many as there were hashes at once.
static KEPT: Mutex<Vec<KeptBlocks>> = Mutex::new(Vec::new());

fn kept() -> MutexGuard<'static, Vec<KeptBlocks>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs the work with so many blocks, which may hold anything.
pub(super) fn with<T>(count: usize, work: impl FnOnce(&mut [Block]) -> T) -> T {
    let last = kept().pop();
    let mut blocks = last.map(|kept| kept.blocks).unwrap_or_default();
    if blocks.len() != count {
        blocks = vec![Block::default(); count];
    }
    let outcome = work(&mut blocks);
    kept().push(KeptBlocks { blocks, since: Instant::now() });
    outcome
}

/// Gives back what no hash has used for `KEPT_TIME`.
pub fn release() {
    let mut kept = kept();
    kept.retain(|kept| kept.since.elapsed() < KEPT_TIME);
    kept.shrink_to_fit();
}
