//! Schema 4.

mod api_keys;
mod audit;
mod backfills;
mod exports;
mod invites;
mod organizations;
mod users;

use super::super::StoreError;
use super::super::tx::WriteTx;

/// The activity log, which the audit log takes over.
pub(super) const ENDS: &[&str] = &[audit::OLD_NAME, audit::OLD_BY_SCOPE_NAME];

pub(super) fn run(tx: &WriteTx) -> Result<(), StoreError> {
    api_keys::run(tx)?;
    audit::run(tx)?;
    invites::run(tx)?;
    organizations::run(tx)?;
    backfills::run(tx)?;
    exports::run(tx)?;
    users::run(tx)
}
