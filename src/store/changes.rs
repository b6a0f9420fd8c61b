//! A wake-up that is counted.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// Wakes the one who waits, and counts how often: whoever looks on can tell whether that one has run since.
#[derive(Default)]
pub struct Changes {
    woken: Notify,
    count: AtomicU64,
}

impl Changes {
    /// Something has changed.
    pub fn note(&self) {
        // The count first: whoever has run since has seen it.
        self.count_one();
        self.wake();
    }

    pub(super) fn count_one(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn wake(&self) {
        self.woken.notify_one();
    }

    /// Ends with the next change, at once where there was one since.
    pub async fn noted(&self) {
        self.woken.notified().await;
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }
}
