//! Proof that a file is consistent: counts equal what they count, and rows, indexes and parents are as their
//! tables are declared. What resources promise beyond that they check themselves, see `resources::integrity`.

use std::collections::BTreeMap;

use super::key::hex;
use super::table::AnyTable;
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
        check_table(*table, tx, &mut problems)?;
    }
    Ok(problems)
}

/// Adds what is wrong with the rows of a table, their indexes and their parents.
fn check_table(table: &dyn AnyTable, tx: &Tx, problems: &mut Problems) -> Result<(), StoreError> {
    let (name, indexes) = (table.info().name, table.indexes());
    let mut expected = vec![0; indexes.len()];
    for row in tx.every_bytes(name)? {
        let (key, record) = row?;
        let index_rows = table.index_rows(&key, &record).map_err(|failure| failure.in_table(name))?;
        for ((index, row), expected) in indexes.iter().zip(index_rows).zip(&mut expected) {
            let Some((index_key, value)) = row else { continue };
            *expected += 1;
            if tx.get_bytes(index.name, &index_key, |bytes| Ok(bytes == value))? != Some(true) {
                problems.push(format!("{}: a row of {name} is not found by it: {}", index.name, hex(&key)));
            }
        }
    }
    for (index, expected) in indexes.iter().zip(expected) {
        let rows = tx.rows_of(index.name)?;
        if rows != expected {
            problems.push(format!("{}: {rows} rows stand for {expected} of {name}", index.name));
        }
    }
    for (place, parent) in table.parents().into_iter().enumerate() {
        let orphans = table.orphans(tx, place)?;
        if orphans > 0 {
            problems.push(format!("{name}: {orphans} rows belong to no row of {parent}"));
        }
    }
    Ok(())
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
