//! Which row of another table a row belongs to, and is deleted with.

use std::collections::HashSet;

use foldhash::fast::FixedState;

use super::StoreError;
use super::codec::Record;
use super::index::Index;
use super::key::Key;
use super::table::Table;
use super::tx::{KeyBytes, Order, Tx, key_of};

/// The parent of rows whose key begins with something of the parent's key.
pub struct Parent<PK: 'static, PV: 'static, F: 'static> {
    table: &'static Table<PK, PV>,
    front: fn(&PK) -> F,
    is_optional: bool,
}

impl<PK, PV, F> Parent<PK, PV, F> {
    /// `front` says what the keys of the children of a row begin with.
    pub const fn of(table: &'static Table<PK, PV>, front: fn(&PK) -> F) -> Parent<PK, PV, F> {
        Parent { table, front, is_optional: false }
    }

    /// There may be rows that belong to none.
    pub const fn optional(mut self) -> Parent<PK, PV, F> {
        self.is_optional = true;
        self
    }
}

/// The parent of rows that are found by the rows of an index.
pub struct ParentThrough<PK: 'static, PV: 'static, F, K: 'static, V: 'static, I: 'static, T: 'static> {
    pub table: &'static Table<PK, PV>,
    /// What the keys begin with that the index has for the children of a row.
    pub front: fn(&PK) -> F,
    pub index: &'static Index<K, V, I, T>,
    /// The key of the child that a row of the index stands for.
    pub child: fn(&I, &T) -> K,
}

/// The parent of rows that name it in their record. All rows under one front are read to find its children.
pub struct ParentNamed<PK: 'static, PV: 'static, F: 'static, K: 'static, V: 'static> {
    pub table: &'static Table<PK, PV>,
    /// The table of the children.
    pub children: fn() -> &'static Table<K, V>,
    /// What the keys of the children of a row begin with, and those of others, too.
    pub front: fn(&PK) -> F,
    /// The key of a row's parent; `None` where it has none.
    pub parent: fn(&K, &V) -> Option<PK>,
}

/// Where rows with keys of type `K` belong.
pub trait ParentOf<K>: Sync {
    /// The name of the parents' table.
    fn name(&self) -> &'static str;

    /// The keys of the rows of `table` that belong to the parent with this key.
    ///
    /// # Errors
    /// The storage failed.
    fn children(&self, tx: &Tx, table: &'static str, parent: &[u8]) -> Result<Vec<KeyBytes>, StoreError>;

    /// How many rows of `table` belong to a parent that is not there.
    ///
    /// # Errors
    /// The storage failed.
    fn orphans(&self, tx: &Tx, table: &'static str) -> Result<usize, StoreError>;
}

/// How many keys of `table` begin with nothing that a row of `parents` gives.
fn orphans<PK: Key, PV: Record, F: Key>(
    tx: &Tx,
    parents: &Table<PK, PV>,
    front: fn(&PK) -> F,
    table: &'static str,
) -> Result<usize, StoreError> {
    let mut fronts: HashSet<Vec<u8>, FixedState> = HashSet::default();
    for key in tx.keys(parents.info.name, Vec::new(), Order::Ascending)? {
        fronts.insert(front(&key_of(&key?)?).key_bytes());
    }
    let mut orphans = 0;
    for key in tx.keys(table, Vec::new(), Order::Ascending)? {
        let front: F = key_of(&key?)?;
        orphans += usize::from(!fronts.contains(&front.key_bytes()));
    }
    Ok(orphans)
}

impl<PK: Key, PV: Record, F: Key, K: Key> ParentOf<K> for Parent<PK, PV, F> {
    fn name(&self) -> &'static str {
        self.table.info.name
    }

    fn children(&self, tx: &Tx, table: &'static str, parent: &[u8]) -> Result<Vec<KeyBytes>, StoreError> {
        let front = (self.front)(&key_of(parent)?).key_bytes();
        tx.keys(table, front, Order::Ascending)?.collect()
    }

    fn orphans(&self, tx: &Tx, table: &'static str) -> Result<usize, StoreError> {
        if self.is_optional { Ok(0) } else { orphans(tx, self.table, self.front, table) }
    }
}

impl<PK: Key, PV: Record, F: Key, K: Key, V: Record, I: Key, T: Record> ParentOf<K>
    for ParentThrough<PK, PV, F, K, V, I, T>
{
    fn name(&self) -> &'static str {
        self.table.info.name
    }

    fn children(&self, tx: &Tx, _: &'static str, parent: &[u8]) -> Result<Vec<KeyBytes>, StoreError> {
        let front = (self.front)(&key_of(parent)?);
        let rows = tx.scan(self.index, &front, Order::Ascending)?;
        Ok(rows.iter().map(|(key, value)| (self.child)(key, value).key_bytes()).collect())
    }

    fn orphans(&self, tx: &Tx, _: &'static str) -> Result<usize, StoreError> {
        orphans(tx, self.table, self.front, self.index.info().name)
    }
}

impl<PK: Key, PV: Record, F: Key, K: Key, V: Record> ParentOf<K> for ParentNamed<PK, PV, F, K, V> {
    fn name(&self) -> &'static str {
        self.table.info.name
    }

    fn children(&self, tx: &Tx, _: &'static str, parent: &[u8]) -> Result<Vec<KeyBytes>, StoreError> {
        let front = (self.front)(&key_of(parent)?);
        let mut children = Vec::new();
        for (key, record) in tx.scan((self.children)(), &front, Order::Ascending)? {
            if (self.parent)(&key, &record).is_some_and(|named| named.key_bytes() == parent) {
                children.push(key.key_bytes());
            }
        }
        Ok(children)
    }

    fn orphans(&self, tx: &Tx, _: &'static str) -> Result<usize, StoreError> {
        let mut orphans = 0;
        for row in tx.every((self.children)())? {
            let (key, record) = row?;
            if let Some(parent) = (self.parent)(&key, &record) {
                orphans += usize::from(!tx.has(self.table, &parent)?);
            }
        }
        Ok(orphans)
    }
}
