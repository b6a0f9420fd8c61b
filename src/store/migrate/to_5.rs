//! Schema 5.

mod audit;
mod projects;

use super::super::StoreError;
use super::super::tx::WriteTx;

/// The details of projects, which stand with their projects now.
pub(super) const ENDS: &[&str] = &[projects::DETAILS_NAME];

pub(super) fn run(tx: &WriteTx) -> Result<(), StoreError> {
    audit::run(tx)?;
    projects::run(tx)
}
