//! Proof that a file is consistent: counts equal what they count, and rows, indexes and parents are as their
//! tables are declared. What resources promise beyond that they check themselves, see `resources::integrity`.

use super::key::hex;
use super::table::{AnyTable, TableInfo};
use super::tx::{KeyBytes, Order, Tx, stored_count, stored_counts};
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
    if problems.len() >= PROBLEMS_MAX {
        problems.truncate(PROBLEMS_MAX);
        problems.push("there are more: put a good copy in the place of this file".into());
    }
    Ok(problems)
}

/// So many problems are listed; a file that is damaged all over would fill the memory otherwise.
const PROBLEMS_MAX: usize = 10_000;

/// Adds what is wrong with the rows of a table, their indexes and their parents.
fn check_table(table: &dyn AnyTable, tx: &Tx, problems: &mut Problems) -> Result<(), StoreError> {
    let (info, indexes) = (table.info(), table.indexes());
    let name = info.name;
    // The group before, and whether it is indexed: groups lie together.
    let mut last = (KeyBytes::new(), true);
    let mut expected = vec![0; indexes.len()];
    for row in tx.every_bytes(name)? {
        let (key, record) = row?;
        if problems.len() >= PROBLEMS_MAX {
            return Ok(());
        }
        let group = info.group_of(&key).unwrap_or_default();
        if info.indexed_beyond > 0 && last.0 != group {
            last = (group.to_vec(), tx.is_indexed(&info, &key)?);
        }
        if !last.1 {
            continue;
        }
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

/// Compares every stored count with the rows. Groups lie together, so that one is counted at a time.
fn check_counts(store: &Store, tx: &Tx) -> Result<Problems, StoreError> {
    let mut problems = Problems::new();
    for table in store.tables() {
        if table.group.is_none() {
            continue;
        }
        let mut current = (KeyBytes::new(), 0);
        for key in tx.keys(table.name, Vec::new(), Order::Ascending)? {
            let key = key?;
            if problems.len() >= PROBLEMS_MAX {
                return Ok(problems);
            }
            let front = table.group_of(&key).unwrap_or(&key);
            if current.0 != front {
                let counted = std::mem::replace(&mut current, (front.to_vec(), 0));
                check_count(tx, table, counted, &mut problems)?;
            }
            current.1 += 1;
        }
        check_count(tx, table, current, &mut problems)?;
    }
    for stored in stored_counts(tx)? {
        let (name, front, said) = stored?;
        if problems.len() >= PROBLEMS_MAX {
            return Ok(problems);
        }
        let table = store.tables().iter().find(|table| table.name.as_bytes() == name);
        let first = match table {
            Some(table) => tx.keys(table.name, front, Order::Ascending)?.next().transpose()?,
            None => None,
        };
        if first.is_none() {
            let name = String::from_utf8_lossy(&name);
            problems.push(format!("{name}: a count says {said} where there is no row"));
        }
    }
    Ok(problems)
}

/// A count is stored of more rows than `TableInfo::uncounted`.
fn check_count(
    tx: &Tx,
    table: &TableInfo,
    (front, rows): (KeyBytes, u64),
    problems: &mut Problems,
) -> Result<(), StoreError> {
    let (name, said) = (table.name, stored_count(tx, table.name, &front)?);
    let wanted = Some(rows).filter(|rows| *rows > table.uncounted());
    if rows > 0 && said != wanted {
        let said = said.map_or("nothing".to_owned(), |said| said.to_string());
        problems.push(format!("{name}: a count says {said} where there are {rows} rows"));
    }
    Ok(())
}
