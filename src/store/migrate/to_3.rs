//! Schema 3.

mod activity;
mod domains;
mod exports;
mod invites;
mod plugins;
mod role_memberships;
mod sessions;

use super::super::StoreError;
use super::super::tx::WriteTx;

/// The organization of each invite, and what was known of each session's second step: gone.
pub(super) const ENDS: &[&str] = &[invites::BY_ID, sessions::SECOND_STEPS];

pub(super) fn run(tx: &WriteTx) -> Result<(), StoreError> {
    activity::run(tx)?;
    exports::run(tx)?;
    invites::run(tx)?;
    domains::run(tx)?;
    plugins::run(tx)?;
    role_memberships::run(tx)?;
    sessions::run(tx)
}
