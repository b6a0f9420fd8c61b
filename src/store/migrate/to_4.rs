//! Schema 4.

mod audit;

use super::super::StoreError;
use super::super::tx::WriteTx;

/// The activity log, which the audit log takes over.
pub(super) const ENDS: &[&str] = &[audit::OLD_NAME, audit::OLD_BY_SCOPE_NAME];

pub(super) fn run(tx: &WriteTx) -> Result<(), StoreError> {
    audit::run(tx)
}
