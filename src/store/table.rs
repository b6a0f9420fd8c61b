//! A table's name, types, indexes and parents, declared by the resource that owns it.
//!
//! Invariant: index rows and counts follow the rows of their table, and a row never outlives its parent. The
//! store keeps to it in `insert`, `put` and `delete`; `orgd check` walks the same declarations.

use std::marker::PhantomData;

use super::StoreError;
use super::check::Problems;
use super::codec::Record;
use super::index::{IndexOf, IndexRow, check_row};
use super::key::Key;
use super::parent::ParentOf;
use super::tx::{Tx, WriteTx};

/// A typed table. Resources declare theirs as statics and list them in their `Resource`.
pub struct Table<K: 'static, V: 'static> {
    pub(super) info: TableInfo,
    pub(super) indexes: &'static [&'static dyn IndexOf<K, V>],
    pub(super) parents: &'static [&'static dyn ParentOf<K>],
    types: PhantomData<fn() -> (K, V)>,
}

/// A table without its types, as the store keeps it.
#[derive(Clone, Copy)]
pub struct TableInfo {
    pub name: &'static str,
    /// How much of a key's front names the group in which its row is counted.
    pub(super) group: Option<fn(&[u8]) -> usize>,
    /// Whether what is made of its rows is cached, by the front of their keys.
    pub(super) cached: bool,
    /// Whether a program that does not know the table may write to the file.
    pub(super) harmless: bool,
}

impl<K: Key, V: Record> Table<K, V> {
    pub const fn new(name: &'static str) -> Table<K, V> {
        Table {
            info: TableInfo { name, group: None, cached: false, harmless: false },
            indexes: &[],
            parents: &[],
            types: PhantomData,
        }
    }

    /// Keeps a count of the rows under each key front, `group` bytes long, so that no list has to
    /// walk its rows to say how many there are.
    pub const fn counted(mut self, group: fn(&[u8]) -> usize) -> Table<K, V> {
        self.info.group = Some(group);
        self
    }

    /// Makes what was cached under the sixteen bytes at the front of a key be forgotten when the row
    /// changes; see `Tx::cached`.
    pub const fn cached(mut self) -> Table<K, V> {
        self.info.cached = true;
        self
    }

    /// Lets programs that do not know the table open the file: for a table that is new since the schema's number
    /// was raised, and none of whose rows hang on rows that such a program deletes.
    pub const fn harmless(mut self) -> Table<K, V> {
        self.info.harmless = true;
        self
    }

    /// Keeps the rows of these indexes.
    pub const fn indexed(mut self, indexes: &'static [&'static dyn IndexOf<K, V>]) -> Table<K, V> {
        self.indexes = indexes;
        self
    }

    /// Deletes rows together with the row that they belong to.
    pub const fn belongs_to(mut self, parents: &'static [&'static dyn ParentOf<K>]) -> Table<K, V> {
        self.parents = parents;
        self
    }

    pub const fn info(&self) -> TableInfo {
        self.info
    }

    /// The rows that the table's indexes have for one of its rows, by the indexes' names.
    pub fn index_rows(&self, key: &K, record: &V) -> Vec<(&'static str, Option<IndexRow>)> {
        let row = |index: &&dyn IndexOf<K, V>| (index.info().name, index.row(key, record).ok().flatten());
        self.indexes.iter().map(row).collect()
    }
}

/// A declared table of any types.
pub trait AnyTable: Sync {
    /// The table.
    fn info(&self) -> TableInfo;

    /// The table and its indexes.
    fn infos(&self) -> Vec<TableInfo>;

    /// The names of the tables that its rows belong to.
    fn parents(&self) -> Vec<&'static str>;

    /// Deletes the rows that belong to this row of one of its parents, given by its place among them.
    ///
    /// # Errors
    /// The storage failed.
    fn delete_children(&self, tx: &WriteTx, parent: usize, key: &[u8]) -> Result<(), StoreError>;

    /// Adds what is wrong with the rows, their indexes and their parents.
    ///
    /// # Errors
    /// The storage failed, or a row cannot be read.
    fn check(&self, tx: &Tx, problems: &mut Problems) -> Result<(), StoreError>;
}

impl<K: Key, V: Record> AnyTable for Table<K, V> {
    fn info(&self) -> TableInfo {
        self.info
    }

    fn infos(&self) -> Vec<TableInfo> {
        std::iter::once(self.info).chain(self.indexes.iter().map(|index| index.info())).collect()
    }

    fn parents(&self) -> Vec<&'static str> {
        self.parents.iter().map(|parent| parent.name()).collect()
    }

    fn delete_children(&self, tx: &WriteTx, parent: usize, key: &[u8]) -> Result<(), StoreError> {
        for child in self.parents[parent].children(tx, self.info.name, key)? {
            tx.delete(self, &child)?;
        }
        Ok(())
    }

    fn check(&self, tx: &Tx, problems: &mut Problems) -> Result<(), StoreError> {
        let mut expected = vec![0; self.indexes.len()];
        for row in tx.every(self)? {
            let (key, record) = row.map_err(|failure| failure.in_table(self.info.name))?;
            for (index, expected) in self.indexes.iter().zip(&mut expected) {
                *expected += check_row(tx, *index, (&key, &record), self.info.name, problems)?;
            }
        }
        for (index, expected) in self.indexes.iter().zip(expected) {
            let name = index.info().name;
            let rows = tx.rows_of(name)?;
            if rows != expected {
                problems.push(format!("{name}: {rows} rows stand for {expected} of {}", self.info.name));
            }
        }
        for parent in self.parents {
            let orphans = parent.orphans(tx, self.info.name)?;
            if orphans > 0 {
                let (name, parent) = (self.info.name, parent.name());
                problems.push(format!("{name}: {orphans} rows belong to no row of {parent}"));
            }
        }
        Ok(())
    }
}

/// Counts rows by the UUID at the front of their key.
pub fn by_uuid(_key: &[u8]) -> usize {
    16
}

/// Counts rows by all of their key but the UUID at its end.
pub fn by_all_but_uuid(key: &[u8]) -> usize {
    key.len().saturating_sub(16)
}
