//! Schema 3.

mod sessions;

use super::super::Failure;
use super::super::tx::WriteTx;

/// The table that this schema does not have.
pub(super) const SECOND_STEPS: &str = sessions::SECOND_STEPS;

pub(super) fn run(tx: &WriteTx) -> Result<(), Failure> {
    sessions::run(tx)
}
