//! Schema 6.

pub(super) mod events;
mod runs;

use super::super::StoreError;
use super::super::tx::WriteTx;

pub(super) const ENDS: &[&str] = events::ENDS;

pub(super) fn run(tx: &WriteTx) -> Result<(), StoreError> {
    runs::run(tx)
}
