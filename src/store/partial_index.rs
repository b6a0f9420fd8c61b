//! Indexes that have no rows for the small groups of their table (`Table::indexed_beyond`).
//!
//! Invariant: the indexes of such a table have a row for each row of a group that has more than so many, and for no other.

use super::StoreError;
use super::index::{IndexRow, follow};
use super::table::{AnyTable, TableInfo};
use super::tx::WriteTx;

/// Makes the index rows of a group that had too few rows for it, and gets one more with this key.
pub(super) fn grow(tx: &WriteTx, table: &dyn AnyTable, key: &[u8]) -> Result<(), StoreError> {
    each_index_row(tx, table, key, |index, row| follow(tx, index, None, Some(row)))
}

/// Whether the index rows of this key are to be deleted with its record. Where the group has too few rows then, all of its
/// index rows are deleted here.
pub(super) fn shrink(tx: &WriteTx, table: &dyn AnyTable, key: &[u8]) -> Result<bool, StoreError> {
    let info = table.info();
    if info.indexed_beyond == 0 {
        return Ok(true);
    }
    let rows = tx.rows_beside(&info, key)?;
    if rows == info.indexed_beyond + 1 {
        each_index_row(tx, table, key, |index, row| follow(tx, index, Some(row), None))?;
    }
    Ok(rows > info.indexed_beyond + 1)
}

/// Shows `visit` the rows that the indexes have, or would have, for the rows in the group of a key.
fn each_index_row(
    tx: &WriteTx,
    table: &dyn AnyTable,
    key: &[u8],
    visit: impl Fn(&TableInfo, IndexRow) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let (info, indexes) = (table.info(), table.indexes());
    let Some(front) = info.group_of(key) else { return Ok(()) };
    for (key, record) in tx.rows_under(info.name, front)? {
        for (index, row) in indexes.iter().zip(table.index_rows(&key, &record)?) {
            row.map_or(Ok(()), |row| visit(index, row))?;
        }
    }
    Ok(())
}
