//! Proof that a file is consistent: counts equal what they count, and rows, indexes and parents are as their
//! tables are declared. What resources promise beyond that they check themselves, see `resources::check`.

use std::collections::BTreeMap;

use super::tx::{Tx, recount_rows, stored_counts};
use super::{Store, StoreError};

/// What is wrong with a file, a sentence each.
pub type Problems = Vec<String>;

/// Everything that contradicts the declarations of the tables.
///
/// # Errors
/// The storage failed, or a row cannot be read.
pub fn check(store: &Store, tx: &Tx) -> Result<Problems, StoreError> {
    let mut problems = check_counts(store, tx)?;
    for table in store.declared() {
        table.check(tx, &mut problems)?;
    }
    Ok(problems)
}

/// Compares every stored count with the rows.
fn check_counts(store: &Store, tx: &Tx) -> Result<Problems, StoreError> {
    let mut counted = BTreeMap::new();
    for table in store.tables() {
        recount_rows(tx, table, &mut counted)?;
    }
    counted.retain(|_, rows| *rows > 1);
    let stored = stored_counts(tx)?;
    let name =
        |key: &[u8]| String::from_utf8_lossy(key.split(|byte| *byte == 0).next().unwrap_or(key)).into_owned();
    let mut problems: Problems = Vec::new();
    for (key, rows) in &counted {
        let said = stored.get(key).copied().unwrap_or(0);
        if said != *rows {
            problems.push(format!("{}: a count says {said} where there are {rows} rows", name(key)));
        }
    }
    let stale = stored.iter().filter(|(key, _)| !counted.contains_key(*key));
    problems.extend(
        stale.map(|(key, said)| format!("{}: a count says {said} where there is one row at most", name(key))),
    );
    Ok(problems)
}
