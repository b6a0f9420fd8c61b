//! A table's name, types, indexes and parents, declared by the resource that owns it.
//!
//! Invariant: index rows and counts follow the rows of their table, and a row never outlives its parent. The
//! store keeps to it in `insert`, `put` and `delete`; `orgd check` walks the same declarations.

use std::marker::PhantomData;

use super::StoreError;
use super::codec::{Record, decode};
use super::index::{IndexOf, IndexRow};
use super::key::Key;
use super::parent::ParentOf;
use super::tx::{KeyBytes, Tx, key_of};

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
    /// Whether writing a key that another row has is a conflict.
    pub(super) unique: bool,
    /// Whether nothing that is made of its rows is cached.
    pub(super) busy: bool,
    /// Whether a program that does not know the table may write to the file.
    pub(super) harmless: bool,
    /// Groups of so many rows, and fewer, have no rows in the indexes and no counter.
    pub(super) indexed_beyond: u64,
}

impl TableInfo {
    /// Groups of up to so many rows have no counter.
    pub(super) fn uncounted(&self) -> u64 {
        self.indexed_beyond.max(1)
    }

    /// The front of a key that names the group in which its row is counted.
    pub(super) fn group_of<'k>(&self, key: &'k [u8]) -> Option<&'k [u8]> {
        self.group.map(|group| &key[..group(key).min(key.len())])
    }

    pub(super) const fn plain(name: &'static str) -> TableInfo {
        TableInfo { name, group: None, unique: false, busy: false, harmless: false, indexed_beyond: 0 }
    }
}

impl<K: Key, V: Record> Table<K, V> {
    pub const fn new(name: &'static str) -> Table<K, V> {
        Table { info: TableInfo::plain(name), indexes: &[], parents: &[], types: PhantomData }
    }

    /// Keeps a count of the rows under each key front, `group` bytes long, so that no list has to
    /// walk its rows to say how many there are.
    pub const fn counted(mut self, group: fn(&[u8]) -> usize) -> Table<K, V> {
        self.info.group = Some(group);
        self
    }

    /// Nothing that is made of its rows, or those of its indexes, is cached, so that commits need not note their changes: for tables that grow
    /// all the time.
    pub const fn busy(mut self) -> Table<K, V> {
        self.info.busy = true;
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

    /// Groups of up to so many rows have none in the indexes, and no counter: to walk such a group costs less than to keep
    /// them. Who reads an index asks `Tx::has_index_rows` first.
    pub const fn indexed_beyond(mut self, rows: u64) -> Table<K, V> {
        self.info.indexed_beyond = rows;
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
}

/// A declared table of any types: rows are bytes here, so that what the store does with them is compiled once, not
/// for each table.
pub trait AnyTable: Sync {
    /// The table.
    fn info(&self) -> TableInfo;

    fn indexes(&self) -> Vec<TableInfo>;

    /// The table and its indexes.
    fn infos(&self) -> Vec<TableInfo> {
        std::iter::once(self.info()).chain(self.indexes()).collect()
    }

    /// The rows that its indexes have for one of its rows, in the order of the indexes.
    ///
    /// # Errors
    /// The row cannot be read.
    fn index_rows(&self, key: &[u8], record: &[u8]) -> Result<Vec<Option<IndexRow>>, StoreError>;

    /// The names of the tables that its rows belong to.
    fn parents(&self) -> Vec<&'static str>;

    /// The keys of the rows that belong to this row of one of its parents, given by its place among them.
    ///
    /// # Errors
    /// The storage failed.
    fn children(&self, tx: &Tx, parent: usize, key: &[u8]) -> Result<Vec<KeyBytes>, StoreError>;

    /// How many rows belong to a row of this parent that is not there.
    ///
    /// # Errors
    /// The storage failed.
    fn orphans(&self, tx: &Tx, parent: usize) -> Result<usize, StoreError>;
}

impl<K: Key, V: Record> AnyTable for Table<K, V> {
    fn info(&self) -> TableInfo {
        self.info
    }

    fn indexes(&self) -> Vec<TableInfo> {
        let busy = self.info.busy;
        self.indexes.iter().map(|index| TableInfo { busy, ..index.info() }).collect()
    }

    fn index_rows(&self, key: &[u8], record: &[u8]) -> Result<Vec<Option<IndexRow>>, StoreError> {
        let (key, record) = (key_of(key)?, decode(record)?);
        each_row(self.indexes.len(), &|place| self.indexes[place].row(&key, &record))
    }

    fn parents(&self) -> Vec<&'static str> {
        self.parents.iter().map(|parent| parent.name()).collect()
    }

    fn children(&self, tx: &Tx, parent: usize, key: &[u8]) -> Result<Vec<KeyBytes>, StoreError> {
        self.parents[parent].children(tx, self.info.name, key)
    }

    fn orphans(&self, tx: &Tx, parent: usize) -> Result<usize, StoreError> {
        self.parents[parent].orphans(tx, self.info.name)
    }
}

/// The rows of so many indexes.
fn each_row(
    indexes: usize,
    row: &dyn Fn(usize) -> Result<Option<IndexRow>, StoreError>,
) -> Result<Vec<Option<IndexRow>>, StoreError> {
    (0..indexes).map(row).collect()
}

/// Counts rows by the UUID at the front of their key.
pub fn by_uuid(_key: &[u8]) -> usize {
    16
}

/// Counts rows by all of their key but the UUID at its end.
pub fn by_all_but_uuid(key: &[u8]) -> usize {
    key.len().saturating_sub(16)
}
