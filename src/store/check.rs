//! Proof that a file is whole: counters equal what they count. What rooms promise of their own
//! tables they check themselves, see `resources::check`.

use std::collections::BTreeMap;

use super::tx::{Tx, recount_rows, stored_counts};
use super::{Failure, Store};

/// What is wrong with a file, a sentence each.
pub type Problems = Vec<String>;

/// Compares every stored count with the rows.
pub fn check_counts(store: &Store, tx: &Tx) -> Result<Problems, Failure> {
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
