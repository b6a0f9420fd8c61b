//! Batch exports. `attempt.rs` shows one attempt at a run from top to bottom: plan, read, encode, deliver,
//! note. `driver.rs` decides which runs are attempted when; everything that it knows is in the data file, so
//! that a restart continues after the last confirmed step.

mod attempt;
mod deliver;
mod driver;
mod encode;
mod error;
mod memory;
mod note;
mod plan;
mod read;
mod settings;
mod turns;

pub(super) use deliver::s3::Store as BackupStore;
pub(super) use driver::Driver;
