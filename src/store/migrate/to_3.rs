//! Schema 3.

use super::super::Failure;
use super::super::tx::WriteTx;

pub(super) fn run(_tx: &WriteTx) -> Result<(), Failure> {
    Ok(())
}
