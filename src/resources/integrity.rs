//! What must hold across tables: what their declarations say, and what resources promise beyond.

use super::registry;
use crate::error::Result;
use crate::store::{self, Problems, Store};

/// Everything that is wrong with the file; empty where it is consistent.
///
/// # Errors
/// The storage failed, or a row cannot be read.
pub fn check(store: &Store) -> Result<Problems> {
    store.read(|tx| {
        let mut problems = store::check(store, tx)?;
        for check in registry::all().flat_map(|resource| resource.checks) {
            check(tx, &mut problems)?;
        }
        Ok(problems)
    })
}

/// Adds the sentence where the promise does not hold.
pub(super) fn expect(problems: &mut Problems, holds: bool, sentence: impl FnOnce() -> String) {
    if !holds {
        problems.push(sentence());
    }
}
