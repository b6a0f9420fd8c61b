//! Schema 3.

mod exports;

use super::super::Failure;
use super::super::tx::WriteTx;

pub(super) fn run(tx: &WriteTx) -> Result<(), Failure> {
    exports::run(tx)
}
