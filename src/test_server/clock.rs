//! Who may move the clock, and whether it may still be set back.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::store::Changes;

/// The hands on one server's clock.
#[derive(Default)]
pub struct ClockControl {
    is_held: AtomicBool,
    /// Commits that changed data, and how many there were when the server began to serve.
    writes: OnceLock<Arc<Changes>>,
    before: AtomicU64,
}

/// The right to move the clock, until it is dropped.
pub struct Hold<'a>(&'a ClockControl);

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.0.is_held.store(false, Ordering::Release);
    }
}

impl ClockControl {
    /// `None` where somebody else moves it.
    pub fn hold(&self) -> Option<Hold<'_>> {
        (!self.is_held.swap(true, Ordering::AcqRel)).then_some(Hold(self))
    }

    /// From here on, what is written counts. Only the first call names what is counted.
    pub fn begin(&self, writes: impl FnOnce() -> Arc<Changes>) {
        let writes = self.writes.get_or_init(writes);
        self.before.store(writes.count(), Ordering::Release);
    }

    /// Whether anything was written since the server began to serve.
    pub fn has_written(&self) -> bool {
        self.writes.get().is_some_and(|writes| writes.count() > self.before.load(Ordering::Acquire))
    }
}
