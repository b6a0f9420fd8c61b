//! Schema 3.

mod domains;
mod exports;
mod invites;

use super::super::Failure;
use super::super::tx::WriteTx;

/// The organization of each invite: gone.
pub(super) const INVITES_BY_ID: &str = invites::BY_ID;

pub(super) fn run(tx: &WriteTx) -> Result<(), Failure> {
    exports::run(tx)?;
    invites::run(tx)?;
    domains::run(tx)
}
