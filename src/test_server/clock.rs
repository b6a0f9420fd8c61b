//! Who may move the clock, and whether it may still be set back.

use std::sync::atomic::{AtomicBool, Ordering};

/// The hands on one server's clock.
#[derive(Default)]
pub struct ClockControl {
    is_held: AtomicBool,
    has_written: AtomicBool,
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
        // Made only where it is nobody's: one that is dropped lets go, whoever held it.
        (!self.is_held.swap(true, Ordering::AcqRel)).then(|| Hold(self))
    }

    /// A request may change something by this clock.
    pub fn note_write(&self) {
        self.has_written.store(true, Ordering::Release);
    }

    /// Whether one may have.
    pub fn has_written(&self) -> bool {
        self.has_written.load(Ordering::Acquire)
    }
}
