//! Indexes: tables whose rows follow from the rows of another one.

use std::ops::Deref;

use super::StoreError;
use super::codec::{Record, encode};
use super::key::Key;
use super::table::{Table, TableInfo};
use super::tx::WriteTx;
use crate::error::Error;

/// A row of an index, as bytes.
pub(super) type IndexRow = (Vec<u8>, Vec<u8>);

/// An index from `I` to `T` over a table from `K` to `V`. It is read like a table; the store writes it.
pub struct Index<K: 'static, V: 'static, I: 'static, T: 'static> {
    table: Table<I, T>,
    row: fn(&K, &V) -> Option<(I, T)>,
}

impl<K: Key, V: Record, I: Key, T: Record> Index<K, V, I, T> {
    /// An index that has the row that `row` makes of a table's row, if any.
    pub const fn new(name: &'static str, row: fn(&K, &V) -> Option<(I, T)>) -> Index<K, V, I, T> {
        Index { table: Table::new(name), row }
    }

    /// The same where no two rows may have the same key in the index: writing the second is a conflict.
    pub const fn unique(name: &'static str, row: fn(&K, &V) -> Option<(I, T)>) -> Index<K, V, I, T> {
        let mut index = Index::new(name, row);
        index.table.info.unique = true;
        index
    }

    /// See `Table::counted`.
    pub const fn counted(mut self, group: fn(&[u8]) -> usize) -> Index<K, V, I, T> {
        self.table = self.table.counted(group);
        self
    }
}

impl<K, V, I, T> Deref for Index<K, V, I, T> {
    type Target = Table<I, T>;
    fn deref(&self) -> &Table<I, T> {
        &self.table
    }
}

/// An index of a table from `K` to `V`, whatever it holds.
pub trait IndexOf<K, V>: Sync {
    fn info(&self) -> TableInfo;

    /// The row that the index has for one of the table.
    ///
    /// # Errors
    /// It cannot be written as bytes.
    fn row(&self, key: &K, record: &V) -> Result<Option<IndexRow>, StoreError>;
}

impl<K: Key, V: Record, I: Key, T: Record> IndexOf<K, V> for Index<K, V, I, T> {
    fn info(&self) -> TableInfo {
        self.table.info
    }

    fn row(&self, key: &K, record: &V) -> Result<Option<IndexRow>, StoreError> {
        let Some((key, value)) = (self.row)(key, record) else { return Ok(None) };
        Ok(Some((key.key_bytes(), encode(&value)?)))
    }
}

/// Follows a row that was written, changed or deleted.
///
/// # Errors
/// The row has a key in a unique index that another one has; or the storage failed.
pub(super) fn follow(
    tx: &WriteTx,
    index: &TableInfo,
    before: Option<IndexRow>,
    after: Option<IndexRow>,
) -> Result<(), StoreError> {
    if before == after {
        return Ok(());
    }
    let keeps_key = before.as_ref().map(|row| &row.0) == after.as_ref().map(|row| &row.0);
    if let (Some((old, _)), false) = (before, keeps_key) {
        tx.delete_bytes(index, old)?;
    }
    let Some((new, value)) = after else { return Ok(()) };
    if index.unique && !keeps_key && tx.has_bytes(index.name, &new)? {
        return Err(StoreError::conflict(index.name));
    }
    tx.put_bytes(index, new, value)
}

/// What a write says where a unique index has its key for another row.
pub trait OnConflict {
    /// This error where the conflict is one of this index.
    ///
    /// # Errors
    /// The conflict, or that the storage failed.
    fn on_conflict<I, T>(
        self,
        index: &Table<I, T>,
        error: impl FnOnce() -> Error,
    ) -> crate::error::Result<()>;
}

impl OnConflict for Result<(), StoreError> {
    fn on_conflict<I, T>(
        self,
        index: &Table<I, T>,
        error: impl FnOnce() -> Error,
    ) -> crate::error::Result<()> {
        self.map_err(|failure| if failure.is_conflict_of(&index.info) { error() } else { failure.into() })
    }
}
