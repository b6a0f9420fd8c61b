//! Reading and writing typed tables.
//!
//! `Tx` reads one committed state. `WriteTx` is a `Tx` that also stages changes: what it reads is the
//! committed state with the changes of earlier writes, and of this one, laid over it. Staged changes
//! reach the file in one commit for the whole batch; those of a write that fails are taken back.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::iter::Peekable;
use std::ops::{Bound, Deref};
use std::sync::Arc;

use arc_swap::Guard;
use foldhash::fast::FixedState;
use redb::{ReadableTable, ReadableTableMetadata};

use super::StoreError;
use super::cache::Cacheable;
use super::codec::{Record, decode, encode, encode_into};
use super::index::follow;
use super::key::Key;
use super::migrate::is_note;
use super::partial_index;
use super::reads::{Look, Place, Reads};
use super::schema::Schema;
use super::snapshot::{Rows, Snapshot};
use super::table::{AnyTable, Table, TableInfo};
use crate::metrics::Counter;

/// Rows under each counted key front: the table's name, then the front. Most groups have one row, which is seen as fast as
/// its count would be, and have no counter (`TableInfo::uncounted`).
pub(super) static COUNTS: Table<String, u64> = Table::new("counts");
/// The last number given out by each sequence.
pub(super) static SEQUENCES: Table<String, u32> = Table::new("sequences");

/// What a staged change takes beside its bytes: its places in the maps, and how it was before.
const CHANGE_BYTES: usize = 200;

pub(super) type KeyBytes = Vec<u8>;
/// Is shown the bytes of a record.
type Visit<'a> = &'a mut dyn FnMut(&[u8]) -> Result<(), StoreError>;
/// Is shown the bytes of a key and of its record.
type VisitRow<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<(), StoreError>;
type Changes = BTreeMap<KeyBytes, Option<Vec<u8>>>;

/// Changes that are not in the file yet, by table; `None` deletes.
#[derive(Default)]
pub(super) struct Staged {
    pub(super) tables: HashMap<&'static str, Changes, FixedState>,
    /// What is counted once the changes are on disk.
    pub(super) tallies: Vec<Tally>,
}

/// A counter, and by how much it grows.
pub(super) type Tally = (&'static Counter, u64);

impl Staged {
    fn get(&self, table: &'static str, key: &[u8]) -> Option<&Option<Vec<u8>>> {
        self.tables.get(table)?.get(key)
    }

    /// The changes of rows whose key begins with `front`.
    fn under<'a>(
        &'a self,
        table: &'static str,
        front: &'a [u8],
    ) -> impl Iterator<Item = (&'a KeyBytes, &'a Option<Vec<u8>>)> {
        let changes = self.tables.get(table).into_iter();
        let from = changes
            .flat_map(move |changes| changes.range::<[u8], _>((Bound::Included(front), Bound::Unbounded)));
        from.take_while(move |(key, _)| key.starts_with(front))
    }

    /// Whether the last changed key of the table stands at this front or behind it.
    fn reaches(&self, table: &'static str, front: &[u8]) -> bool {
        let last = self.tables.get(table).and_then(Changes::last_key_value);
        last.is_some_and(|(last, _)| last.as_slice() >= front)
    }

    /// What keys and records take, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let rows = self.tables.values().flatten();
        rows.map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len)).sum()
    }

    /// Gives back the change that was staged for the row before.
    pub(super) fn put(
        &mut self,
        table: &'static str,
        key: KeyBytes,
        value: Option<Vec<u8>>,
    ) -> Option<Option<Vec<u8>>> {
        self.tables.entry(table).or_default().insert(key, value)
    }

    fn undo(&mut self, undo: Undo) {
        let Undo { table, key, before } = undo;
        match before {
            Some(before) => drop(self.put(table, key, before)),
            None => {
                let Some(changes) = self.tables.get_mut(table) else { return };
                changes.remove(&key);
                if changes.is_empty() {
                    self.tables.remove(table);
                }
            }
        }
    }
}

/// How a row was staged before a write changed it.
struct Undo {
    table: &'static str,
    key: KeyBytes,
    before: Option<Option<Vec<u8>>>,
}

/// Which end of a range comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Ascending,
    Descending,
}

/// A consistent view of all tables.
pub struct Tx {
    snapshot: Guard<Arc<Snapshot>>,
    layers: RefCell<Layers>,
    writing: bool,
    /// What was looked at for the value that is being made to be cached, if one is.
    reads: RefCell<Option<Reads>>,
}

/// What a write sees over the committed state, from below: what is on its way to the disk, its batch.
#[derive(Default)]
struct Layers {
    in_flight: Option<Arc<Staged>>,
    batch: Staged,
    /// What staging the batch takes, in bytes, taken back or not.
    bytes: usize,
    /// The batch is full when it takes so much; 0 is no bound.
    bytes_max: usize,
    /// What the write that runs has changed in its batch, oldest first.
    undo: Vec<Undo>,
    /// What the write that runs wants counted.
    tallies: Vec<Tally>,
    /// A buffer for the record that is being written.
    record: Vec<u8>,
    /// The last committed key of each table that somebody wanted to know it of; `None` for an empty one.
    last_keys: HashMap<&'static str, Option<KeyBytes>, FixedState>,
}

impl Layers {
    /// How many staged rows stand under a front.
    fn count_under(&self, table: &'static str, front: &[u8]) -> u64 {
        let below = self.in_flight.as_deref().into_iter().flat_map(|layer| layer.under(table, front));
        let below = below.filter(|(key, _)| self.batch.get(table, key).is_none());
        let rows = below.chain(self.batch.under(table, front));
        rows.filter(|(_, record)| record.is_some()).count() as u64
    }

    fn ascending(&self) -> impl DoubleEndedIterator<Item = &Staged> {
        self.in_flight.as_deref().into_iter().chain([&self.batch])
    }
}

impl Tx {
    pub(super) fn read(snapshot: Guard<Arc<Snapshot>>) -> Tx {
        Tx { snapshot, layers: RefCell::default(), writing: false, reads: RefCell::default() }
    }

    pub(super) fn of(snapshot: Arc<Snapshot>) -> Tx {
        Tx::read(Guard::from_inner(snapshot))
    }

    pub(super) fn get_bytes<T>(
        &self,
        table: &'static str,
        key: &[u8],
        read: impl Fn(&[u8]) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let mut found = None;
        self.look_up(table, key, &mut |bytes| {
            found = Some(read(bytes)?);
            Ok(())
        })?;
        Ok(found)
    }

    /// Shows `visit` the bytes under `key`, where there are any. Compiled once, as is `visit_rows`, and not for each
    /// type of record.
    fn look_up(&self, table: &'static str, key: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        if self.writing {
            let layers = self.layers.borrow();
            let staged = layers.ascending().rev().find_map(|layer| layer.get(table, key));
            if let Some(staged) = staged {
                return staged.as_deref().map_or(Ok(()), visit);
            }
            drop(layers);
            if self.is_beyond(table, key)? {
                return Ok(());
            }
        }
        match self.committed(table, Look::Key(key))?.get(key).map_err(StoreError::storage)? {
            Some(guard) => visit(guard.value()),
            None => Ok(()),
        }
    }

    /// The committed rows of a table: the only way to them, so that no look at them passes unnoted.
    pub(super) fn committed(&self, table: &'static str, look: Look<'_>) -> Result<&Rows, StoreError> {
        self.snapshot.table(table, look, self.reads.borrow_mut().as_mut())
    }

    pub(super) fn is_writing(&self) -> bool {
        self.writing
    }

    /// Counts the commits since the start: what was read at the same count is the same.
    pub fn generation(&self) -> u64 {
        self.reads.borrow_mut().as_mut().map(Reads::note_unknown);
        self.snapshot.generation
    }

    /// The record under `key`.
    pub fn get<K: Key, V: Record>(&self, table: &Table<K, V>, key: &K) -> Result<Option<V>, StoreError> {
        self.get_bytes(table.info.name, &key.key_bytes(), decode)
    }

    /// Whether there is a record under `key`.
    pub fn has<K: Key, V: Record>(&self, table: &Table<K, V>, key: &K) -> Result<bool, StoreError> {
        self.has_bytes(table.info.name, &key.key_bytes())
    }

    pub(super) fn has_bytes(&self, table: &'static str, key: &[u8]) -> Result<bool, StoreError> {
        Ok(self.get_bytes(table, key, |_| Ok(()))?.is_some())
    }

    /// Whether the front lies behind all committed keys of the table, so that none begins with it. Most of what a write
    /// makes has a time-ordered identifier, and needs no look-up to know that it is new.
    fn is_beyond(&self, table: &'static str, front: &[u8]) -> Result<bool, StoreError> {
        let last_keys = &mut self.layers.borrow_mut().last_keys;
        if let Some(last) = last_keys.get(table) {
            return Ok(last.as_deref().is_none_or(|last| last < front));
        }
        let last = self.committed(table, Look::Table)?.last().map_err(StoreError::storage)?;
        let last = last.map(|(key, _)| key.value().to_vec());
        let is_beyond = last.as_deref().is_none_or(|last| last < front);
        last_keys.insert(table, last);
        Ok(is_beyond)
    }

    /// Whether the front lies behind all keys of the table, those that are staged among them: nothing is stored under it,
    /// nor counted.
    fn is_new(&self, table: &'static str, front: &[u8]) -> Result<bool, StoreError> {
        let is_staged = self.layers.borrow().ascending().any(|layer| layer.reaches(table, front));
        Ok(!is_staged && self.is_beyond(table, front)?)
    }

    /// What the counter of a front says, if there is one.
    fn counter(&self, table: &'static str, front: &[u8]) -> Result<Option<u64>, StoreError> {
        let key = count_key(table, front);
        if self.writing {
            let layers = self.layers.borrow();
            if let Some(staged) = layers.ascending().rev().find_map(|layer| layer.get(COUNTS.info.name, &key))
            {
                return staged.as_deref().map(decode).transpose();
            }
            drop(layers);
            // No rows, no counter.
            if self.is_beyond(table, front)? {
                return Ok(None);
            }
        }
        self.get_bytes(COUNTS.info.name, &key, decode)
    }

    /// How many rows stand under a counted front.
    pub fn count<K: Key, V: Record>(&self, table: &Table<K, V>, front: &impl Key) -> Result<u64, StoreError> {
        self.count_under(&table.info, &front.key_bytes())
    }

    pub(super) fn count_under(&self, info: &TableInfo, front: &[u8]) -> Result<u64, StoreError> {
        if self.writing && self.is_new(info.name, front)? {
            return Ok(0);
        }
        match self.counter(info.name, front)? {
            Some(count) => Ok(count),
            None if info.uncounted() > 1 => self.walked(info.name, front),
            None => Ok(self.any_under(info.name, front)?.map_or(0, |_| 1)),
        }
    }

    /// How many rows stand under a front; walks them.
    fn walked(&self, table: &'static str, front: &[u8]) -> Result<u64, StoreError> {
        if self.writing && self.is_beyond(table, front)? {
            return Ok(self.layers.borrow().count_under(table, front));
        }
        let mut rows = 0;
        for row in self.rows(table, front.to_vec(), Order::Ascending)? {
            row?;
            rows += 1;
        }
        Ok(rows)
    }

    /// The rows in the group of a key; none where they are not counted.
    pub(super) fn rows_beside(&self, info: &TableInfo, key: &[u8]) -> Result<u64, StoreError> {
        info.group_of(key).map_or(Ok(0), |front| self.count_under(info, front))
    }

    /// Whether the indexes of a table have rows for the group of a key.
    pub(super) fn is_indexed(&self, info: &TableInfo, key: &[u8]) -> Result<bool, StoreError> {
        Ok(info.indexed_beyond == 0 || self.rows_beside(info, key)? > info.indexed_beyond)
    }

    /// Whether a group has rows in the indexes of its table; see `Table::indexed_beyond`.
    pub fn has_index_rows<K: Key, V: Record>(
        &self,
        table: &Table<K, V>,
        group: &impl Key,
    ) -> Result<bool, StoreError> {
        Ok(table.info.indexed_beyond == 0 || self.count(table, group)? > table.info.indexed_beyond)
    }

    /// The key of some row under `front`, where there is any.
    fn any_under(&self, table: &'static str, front: &[u8]) -> Result<Option<KeyBytes>, StoreError> {
        if self.writing {
            let layers = self.layers.borrow();
            let newest = layers.ascending().rev().find_map(|layer| layer.under(table, front).next());
            match newest {
                Some((key, Some(_))) => return Ok(Some(key.clone())),
                // What is deleted here may hide one and leave another.
                Some((_, None)) => {
                    let row = self.rows(table, front.to_vec(), Order::Ascending)?.next().transpose()?;
                    return Ok(row.map(|row| row.into_bytes().0));
                }
                None => {}
            }
            drop(layers);
            if self.is_beyond(table, front)? {
                return Ok(None);
            }
        }
        let committed = self.committed(table, Look::Front(front))?;
        let mut rows = committed.range(front..).map_err(StoreError::storage)?;
        let row = rows.next().transpose().map_err(StoreError::storage)?;
        Ok(row.filter(|(key, _)| key.value().starts_with(front)).map(|(key, _)| key.value().to_vec()))
    }

    /// The rows whose key begins with `front`, in key order.
    pub fn scan<K: Key, V: Record>(
        &self,
        table: &Table<K, V>,
        front: &impl Key,
        order: Order,
    ) -> Result<Vec<(K, V)>, StoreError> {
        self.skip_take(table, front, order, 0, usize::MAX)
    }

    /// What `make` computes from rows, and from nothing else that is not in the key: taken from the cache where none of the
    /// rows has changed. `what` says what it is; the same key may have other values beside.
    ///
    /// # Errors
    /// Those of `make`, which are not cached.
    pub fn cached<M: Cacheable>(
        &self,
        what: &'static str,
        key: &[u8],
        make: impl FnOnce() -> crate::error::Result<M>,
    ) -> crate::error::Result<Arc<M>> {
        if self.writing {
            return make().map(Arc::new);
        }
        let key = [what.as_bytes(), &[0], key].concat();
        let Snapshot { generation, cache, .. } = &**self.snapshot;
        let note = |places: &[Place]| {
            if let Some(reads) = &mut *self.reads.borrow_mut() {
                reads.note_all(places);
            }
        };
        match cache.get(*generation, &key, note) {
            Some(value) => Ok(value),
            None => self.keep(&key, make),
        }
    }

    /// Makes such a value anew and caches it, under a key that no other kind of value has.
    ///
    /// # Errors
    /// As of `cached`.
    pub fn keep<M: Cacheable>(
        &self,
        key: &[u8],
        make: impl FnOnce() -> crate::error::Result<M>,
    ) -> crate::error::Result<Arc<M>> {
        let (made, reads) = self.noting(make);
        let value = Arc::new(made?);
        let Snapshot { generation, cache, .. } = &**self.snapshot;
        if let Some(places) = reads.places().filter(|_| !self.writing) {
            cache.put(*generation, key, Arc::clone(&value), places);
        }
        Ok(value)
    }

    /// Runs `make`, and says what it has looked at.
    fn noting<M>(&self, make: impl FnOnce() -> M) -> (M, Reads) {
        let around = self.reads.replace(Some(Reads::default()));
        let made = make();
        let reads = self.reads.replace(around).unwrap_or_default();
        if let Some(around) = &mut *self.reads.borrow_mut() {
            around.merge(&reads);
        }
        (made, reads)
    }

    /// Every row of the table, in key order, read when the iterator reaches it.
    pub fn every<K: Key, V: Record>(
        &self,
        table: &Table<K, V>,
    ) -> Result<impl Iterator<Item = Result<(K, V), StoreError>> + use<K, V>, StoreError> {
        Ok(self.rows(table.info.name, Vec::new(), Order::Ascending)?.map(|row| typed(row?)))
    }

    /// The same as bytes.
    pub(super) fn every_bytes(
        &self,
        table: &'static str,
    ) -> Result<impl Iterator<Item = Result<(KeyBytes, Vec<u8>), StoreError>> + use<>, StoreError> {
        Ok(self.rows(table, Vec::new(), Order::Ascending)?.map(|row| Ok(row?.into_bytes())))
    }

    /// How many rows the table has; walks them.
    pub(super) fn rows_of(&self, table: &'static str) -> Result<u64, StoreError> {
        self.walked(table, &[])
    }

    /// The keys that begin with `front`, as bytes.
    pub(super) fn keys(
        &self,
        table: &'static str,
        front: Vec<u8>,
        order: Order,
    ) -> Result<impl Iterator<Item = Result<KeyBytes, StoreError>> + use<>, StoreError> {
        Ok(self.rows(table, front, order)?.map(|row| Ok(row?.into_key())))
    }

    /// How many committed rows the table has. Walks none.
    pub fn len(&self, table: &TableInfo) -> Result<u64, StoreError> {
        self.committed(table.name, Look::Table)?.len().map_err(StoreError::storage)
    }

    /// Every row of the table, in key order.
    pub fn all<K: Key, V: Record>(&self, table: &Table<K, V>) -> Result<Vec<(K, V)>, StoreError> {
        self.read_rows(table, Vec::new(), Order::Ascending, 0, usize::MAX)
    }

    /// Every row of a table as the bytes of its key and record, to compare or search states of the file; what is about
    /// the file itself is left out.
    pub fn dump(&self, table: &TableInfo) -> Result<Vec<(KeyBytes, Vec<u8>)>, StoreError> {
        let mut rows = self.raw_rows(table.name)?;
        rows.retain(|(key, _)| !is_note(table.name, key));
        Ok(rows)
    }

    /// The same by name, for steps from one schema to the next.
    pub(super) fn raw_rows(&self, table: &'static str) -> Result<Vec<(KeyBytes, Vec<u8>)>, StoreError> {
        self.rows_under(table, &[])
    }

    /// The rows whose key begins with `front`, as bytes.
    pub(super) fn rows_under(
        &self,
        table: &'static str,
        front: &[u8],
    ) -> Result<Vec<(KeyBytes, Vec<u8>)>, StoreError> {
        self.rows(table, front.to_vec(), Order::Ascending)?.map(|row| Ok(row?.into_bytes())).collect()
    }

    /// The first rows of the table, in key order.
    pub fn first<K: Key, V: Record>(
        &self,
        table: &Table<K, V>,
        limit: u64,
    ) -> Result<Vec<(K, V)>, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        self.read_rows(table, Vec::new(), Order::Ascending, 0, limit)
    }

    /// The last row of the table.
    pub fn last<K: Key, V: Record>(&self, table: &Table<K, V>) -> Result<Option<(K, V)>, StoreError> {
        Ok(self.read_rows(table, Vec::new(), Order::Descending, 0, 1)?.pop())
    }

    /// Of the rows whose key begins with `front`, so many after the first `skip`.
    pub fn skip_take<K: Key, V: Record>(
        &self,
        table: &Table<K, V>,
        front: &impl Key,
        order: Order,
        skip: u64,
        wanted: usize,
    ) -> Result<Vec<(K, V)>, StoreError> {
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        self.read_rows(table, front.key_bytes(), order, skip, wanted)
    }

    fn read_rows<K: Key, V: Record>(
        &self,
        table: &Table<K, V>,
        front: Vec<u8>,
        order: Order,
        skip: usize,
        wanted: usize,
    ) -> Result<Vec<(K, V)>, StoreError> {
        Tx::read_some(self.rows(table.info.name, front, order)?, skip, wanted)
    }

    /// Of these rows so many after the first `skip`.
    pub(super) fn read_some<K: Key, V: Record>(
        rows: RowIter,
        skip: usize,
        wanted: usize,
    ) -> Result<Vec<(K, V)>, StoreError> {
        let mut read = Vec::new();
        visit_rows(rows, skip, wanted, &mut |key, record| {
            read.push((key_of(key)?, decode(record)?));
            Ok(())
        })?;
        Ok(read)
    }

    /// The rows from those whose key begins with `from` up to, and without, those that begin with `to`.
    /// Each is read when the iterator reaches it, so that a caller can stop early.
    pub fn range<K: Key, V: Record, F: Key, T: Key>(
        &self,
        table: &Table<K, V>,
        from: &F,
        to: &T,
        order: Order,
    ) -> Result<impl Iterator<Item = Result<(K, V), StoreError>> + use<K, V, F, T>, StoreError> {
        let (from, end) = (from.key_bytes(), to.key_bytes());
        let committed = self.committed(table.info.name, Look::Between(&from, &end))?;
        let rows = self.rows_between(committed, table.info.name, &from, Some(&end), order)?;
        Ok(rows.map(|row| typed(row?)))
    }

    fn rows(&self, table: &'static str, front: Vec<u8>, order: Order) -> Result<RowIter, StoreError> {
        let committed = self.committed(table, Look::Front(&front))?;
        self.rows_between(committed, table, &front, after(&front).as_deref(), order)
    }

    pub(super) fn rows_between(
        &self,
        committed: &Rows,
        table: &'static str,
        from: &[u8],
        end: Option<&[u8]>,
        order: Order,
    ) -> Result<RowIter, StoreError> {
        if end.is_some_and(|end| end < from) {
            return Err(StoreError::record("a range ends before it begins".into()));
        }
        let upper = end.map_or(Bound::Unbounded, Bound::Excluded);
        let committed =
            committed.range::<&[u8]>((Bound::Included(from), upper)).map_err(StoreError::storage)?;
        let mut staged = Changes::new();
        if self.writing {
            let layers = self.layers.borrow();
            for layer in layers.ascending() {
                let Some(changes) = layer.tables.get(table) else { continue };
                let inside = changes.range::<[u8], _>((Bound::Included(from), upper));
                staged.extend(inside.map(|(key, value)| (key.clone(), value.clone())));
            }
        }
        let mut staged: Vec<_> = staged.into_iter().collect();
        if order == Order::Descending {
            staged.reverse();
        }
        Ok(RowIter { committed, waiting: None, staged: staged.into_iter().peekable(), order })
    }
}

impl Order {
    /// The other one.
    pub fn reverse(self) -> Order {
        match self {
            Order::Ascending => Order::Descending,
            Order::Descending => Order::Ascending,
        }
    }
}

/// The first key after all that begin with `front`.
pub(super) fn after(front: &[u8]) -> Option<Vec<u8>> {
    let mut end = front.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

/// A row as it lies in the file: bytes are copied only for rows that somebody looks at.
pub(super) enum Row {
    Committed(redb::AccessGuard<'static, &'static [u8]>, redb::AccessGuard<'static, &'static [u8]>),
    Staged(KeyBytes, Vec<u8>),
}

impl Row {
    fn into_bytes(self) -> (KeyBytes, Vec<u8>) {
        match self {
            Row::Committed(key, value) => (key.value().to_vec(), value.value().to_vec()),
            Row::Staged(key, value) => (key, value),
        }
    }

    pub(super) fn into_key(self) -> KeyBytes {
        match self {
            Row::Committed(key, _) => key.value().to_vec(),
            Row::Staged(key, _) => key,
        }
    }
}

/// Shows `visit` so many rows after the first `skip`.
fn visit_rows(rows: RowIter, skip: usize, wanted: usize, visit: VisitRow<'_>) -> Result<(), StoreError> {
    for row in rows.skip(skip).take(wanted) {
        match row? {
            Row::Committed(key, value) => visit(key.value(), value.value())?,
            Row::Staged(key, value) => visit(&key, &value)?,
        }
    }
    Ok(())
}

/// The key, or what it begins with, that the bytes hold.
pub(super) fn key_of<K: Key>(bytes: impl AsRef<[u8]>) -> Result<K, StoreError> {
    K::read(&mut bytes.as_ref()).ok_or_else(|| StoreError::record("a key could not be read".into()))
}

fn typed<K: Key, V: Record>(row: Row) -> Result<(K, V), StoreError> {
    let of = |key: &[u8], value: &[u8]| Ok((key_of(key)?, decode(value)?));
    match row {
        Row::Committed(key, value) => of(key.value(), value.value()),
        Row::Staged(key, value) => of(&key, &value),
    }
}

/// Committed rows with staged changes laid over them, in one order.
pub(super) struct RowIter {
    committed: redb::Range<'static, &'static [u8], &'static [u8]>,
    waiting: Option<Row>,
    staged: Peekable<std::vec::IntoIter<(KeyBytes, Option<Vec<u8>>)>>,
    order: Order,
}

impl RowIter {
    fn next_committed(&mut self) -> Option<Result<Row, StoreError>> {
        if let Some(row) = self.waiting.take() {
            return Some(Ok(row));
        }
        let row = match self.order {
            Order::Ascending => self.committed.next(),
            Order::Descending => self.committed.next_back(),
        };
        Some(row?.map(|(key, value)| Row::Committed(key, value)).map_err(StoreError::storage))
    }
}

impl Iterator for RowIter {
    type Item = Result<Row, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let row = match self.next_committed() {
                Some(Err(failure)) => return Some(Err(failure)),
                Some(Ok(row)) => Some(row),
                None => None,
            };
            let Some((staged_key, _)) = self.staged.peek() else { return row.map(Ok) };
            let place = match &row {
                Some(Row::Committed(key, _)) if self.order == Order::Ascending => {
                    staged_key.as_slice().cmp(key.value())
                }
                Some(Row::Committed(key, _)) => key.value().cmp(staged_key),
                _ => std::cmp::Ordering::Less,
            };
            match place {
                std::cmp::Ordering::Greater => return row.map(Ok),
                std::cmp::Ordering::Less => self.waiting = row,
                std::cmp::Ordering::Equal => {}
            }
            if let Some((key, Some(value))) = self.staged.next() {
                return Some(Ok(Row::Staged(key, value)));
            }
        }
    }
}

pub(super) fn count_key(table: &'static str, front: &[u8]) -> Vec<u8> {
    // The name as a key: no table's holds a zero.
    [table.as_bytes(), &[0, 0], front].concat()
}

/// A view that can also be changed. One thread at a time has one.
pub struct WriteTx {
    tx: Tx,
    schema: Arc<Schema>,
}

impl Deref for WriteTx {
    type Target = Tx;
    fn deref(&self) -> &Tx {
        &self.tx
    }
}

impl WriteTx {
    pub(super) fn new(snapshot: Arc<Snapshot>, schema: Arc<Schema>) -> WriteTx {
        let snapshot = Guard::from_inner(snapshot);
        let tx = Tx { snapshot, layers: RefCell::default(), writing: true, reads: RefCell::default() };
        WriteTx { tx, schema }
    }

    /// Stores a record under a key that has none.
    ///
    /// # Errors
    /// A unique index has its key for another row (see `StoreError::is_conflict_of`); or the storage failed.
    pub fn insert<K: Key, V: Record>(
        &self,
        table: &Table<K, V>,
        key: &K,
        record: &V,
    ) -> Result<(), StoreError> {
        debug_assert!(!self.tx.has(table, key)?, "{} has a record under this key", table.info.name);
        self.store(table, key, None, record)
    }

    /// Stores the record, in place of what was there.
    ///
    /// # Errors
    /// As for `insert`.
    pub fn put<K: Key, V: Record>(&self, table: &Table<K, V>, key: &K, record: &V) -> Result<(), StoreError> {
        let before = if table.indexes.is_empty() { None } else { self.tx.get(table, key)? };
        self.store(table, key, before.as_ref(), record)
    }

    /// Stores the record in place of the one that is there, as the caller has read it.
    ///
    /// # Errors
    /// As for `insert`.
    pub fn replace<K: Key, V: Record>(
        &self,
        table: &Table<K, V>,
        key: &K,
        before: &V,
        record: &V,
    ) -> Result<(), StoreError> {
        self.store(table, key, Some(before), record)
    }

    fn store<K: Key, V: Record>(
        &self,
        table: &Table<K, V>,
        key: &K,
        before: Option<&V>,
        record: &V,
    ) -> Result<(), StoreError> {
        let info = &table.info;
        let key_bytes = key.key_bytes();
        // What a new row joins is counted once.
        let (joined, follows) = match (info.indexed_beyond, before) {
            (0, _) => (None, true),
            (bound, None) => {
                let rows = self.tx.rows_beside(info, &key_bytes)?;
                if rows == bound {
                    partial_index::grow(self, table, &key_bytes)?;
                }
                (Some(rows), rows >= bound)
            }
            (_, Some(_)) => (None, self.tx.is_indexed(info, &key_bytes)?),
        };
        for index in table.indexes.iter().filter(|_| follows) {
            let before = before.map_or(Ok(None), |before| index.row(key, before))?;
            follow(self, &index.info(), before, index.row(key, record)?)?;
        }
        let record = self.encoded(record)?;
        match joined {
            Some(rows) => self.put_beside(info, key_bytes, record, rows),
            None => self.put_bytes(info, key_bytes, record),
        }
    }

    /// Gives a record that the caller has read another key. What belongs to the row is not deleted with its old key: it
    /// either names what stays the same in the key, or the caller moves it as well.
    ///
    /// # Errors
    /// As for `insert`.
    pub fn rekey<K: Key, V: Record>(
        &self,
        table: &Table<K, V>,
        from: &K,
        to: &K,
        record: &V,
    ) -> Result<(), StoreError> {
        debug_assert!(!self.tx.has(table, to)?, "{} has a record under this key", table.info.name);
        debug_assert!(table.info.indexed_beyond == 0, "{} may have no index rows to move", table.info.name);
        for index in table.indexes {
            follow(self, &index.info(), index.row(from, record)?, index.row(to, record)?)?;
        }
        self.put_bytes(&table.info, to.key_bytes(), self.encoded(record)?)?;
        self.delete_bytes(&table.info, from.key_bytes())
    }

    /// Changes a record that the caller has read, and stores it. What its indexes see must be as it is stored.
    ///
    /// # Errors
    /// As for `insert`.
    pub fn change<K: Key, V: Record>(
        &self,
        table: &Table<K, V>,
        key: &K,
        record: &mut V,
        change: impl FnOnce(&mut V),
    ) -> Result<(), StoreError> {
        let follows = self.tx.is_indexed(&table.info, &key.key_bytes())?;
        let indexes = if follows { table.indexes } else { &[] };
        let before: Vec<_> = indexes.iter().map(|index| index.row(key, record)).collect::<Result<_, _>>()?;
        change(record);
        for (index, before) in indexes.iter().zip(before) {
            follow(self, &index.info(), before, index.row(key, record)?)?;
        }
        self.put_bytes(&table.info, key.key_bytes(), self.encoded(record)?)
    }

    /// The bytes of a record.
    fn encoded<V: Record>(&self, record: &V) -> Result<Vec<u8>, StoreError> {
        const COPIED_BYTES_MAX: usize = 64 * 1024;
        let buffer = &mut self.tx.layers.borrow_mut().record;
        encode_into(record, buffer)?;
        // A small record is copied to its size; a large one would be there twice.
        Ok(if buffer.len() <= COPIED_BYTES_MAX { buffer.as_slice().to_vec() } else { std::mem::take(buffer) })
    }

    pub(super) fn put_bytes(
        &self,
        info: &TableInfo,
        key: KeyBytes,
        value: Vec<u8>,
    ) -> Result<(), StoreError> {
        let joined = match info.group_of(&key) {
            Some(front) => self.joined(info, &key, front)?,
            None => 0,
        };
        self.put_beside(info, key, value, joined)
    }

    /// How many rows of its group a row with a new key joins; 0 for a key that is there.
    fn joined(&self, info: &TableInfo, key: &[u8], front: &[u8]) -> Result<u64, StoreError> {
        match self.tx.count_under(info, front)? {
            1.. if self.tx.has_bytes(info.name, key)? => Ok(0),
            rows => Ok(rows),
        }
    }

    /// Stores a row that joins so many of its group.
    fn put_beside(
        &self,
        info: &TableInfo,
        key: KeyBytes,
        value: Vec<u8>,
        joined: u64,
    ) -> Result<(), StoreError> {
        if let Some(front) = info.group_of(&key).filter(|_| joined >= info.uncounted()) {
            self.stage(COUNTS.info.name, count_key(info.name, front), Some(encode(&(joined + 1))?));
        }
        self.stage(info.name, key, Some(value));
        Ok(())
    }

    /// Removes the record with everything that belongs to it; there need not be one.
    ///
    /// # Errors
    /// The storage failed.
    pub fn delete<K: Key, V: Record>(&self, table: &Table<K, V>, key: &K) -> Result<(), StoreError> {
        self.delete_row(table, key.key_bytes())
    }

    pub(super) fn delete_row(&self, table: &dyn AnyTable, key: KeyBytes) -> Result<(), StoreError> {
        let (info, indexes) = (table.info(), table.indexes());
        if !indexes.is_empty() {
            let index_rows = self.tx.get_bytes(info.name, &key, |record| table.index_rows(&key, record))?;
            let Some(index_rows) = index_rows else { return Ok(()) };
            let index_rows = if partial_index::shrink(self, table, &key)? { index_rows } else { Vec::new() };
            for (index, row) in indexes.iter().zip(index_rows) {
                follow(self, index, row, None)?;
            }
        }
        self.schema.delete_children(self, info.name, &key)?;
        self.delete_bytes(&info, key)
    }

    pub(super) fn delete_bytes(&self, info: &TableInfo, key: KeyBytes) -> Result<(), StoreError> {
        if !self.tx.has_bytes(info.name, &key)? {
            return Ok(());
        }
        if let Some(front) = info.group_of(&key) {
            let counter = count_key(info.name, front);
            if let Some(rows) = self.tx.get_bytes(COUNTS.info.name, &counter, decode::<u64>)? {
                let others = if rows > info.uncounted() + 1 { Some(encode(&(rows - 1))?) } else { None };
                self.stage(COUNTS.info.name, counter, others);
            }
        }
        self.stage(info.name, key, None);
        Ok(())
    }

    /// The next number of a sequence, from 1.
    pub fn next_id(&self, sequence: &str) -> Result<u32, StoreError> {
        let name = sequence.to_owned();
        let number = self
            .get(&SEQUENCES, &name)?
            .unwrap_or(0)
            .checked_add(1)
            .ok_or_else(|| StoreError::record(format!("the numbers of {sequence} have run out")))?;
        self.put(&SEQUENCES, &name, &number)?;
        Ok(number)
    }

    /// Numbers up to this one are not given out any more.
    pub fn skip_ids(&self, sequence: &str, last: u32) -> Result<(), StoreError> {
        let name = sequence.to_owned();
        if self.get(&SEQUENCES, &name)?.unwrap_or(0) < last {
            self.put(&SEQUENCES, &name, &last)?;
        }
        Ok(())
    }

    pub(super) fn stage(&self, table: &'static str, key: KeyBytes, value: Option<Vec<u8>>) {
        let layers = &mut *self.tx.layers.borrow_mut();
        layers.bytes += CHANGE_BYTES + 2 * key.len() + value.as_ref().map_or(0, Vec::len);
        let before = layers.batch.put(table, key.clone(), value);
        layers.undo.push(Undo { table, key, before });
    }

    /// Bounds the memory that the changes of one batch take, in bytes.
    pub(super) fn bounded(self, bytes_max: usize) -> WriteTx {
        self.tx.layers.borrow_mut().bytes_max = bytes_max;
        self
    }

    /// Counts so many more, once the write is on disk.
    pub fn tally(&self, counter: &'static Counter, by: u64) {
        if by > 0 {
            self.tx.layers.borrow_mut().tallies.push((counter, by));
        }
    }

    /// Whether the batch has taken its memory. A write of many rows then ends, and goes on in a next one.
    pub fn is_full(&self) -> bool {
        let layers = self.tx.layers.borrow();
        layers.bytes_max > 0 && layers.bytes >= layers.bytes_max
    }

    /// Ends one write of the batch: keeps its changes for the commit, or takes them back.
    pub(super) fn end_write(&self, keep: bool) {
        const KEPT_BYTES: usize = 1024;
        let Layers { batch, undo, tallies, record, .. } = &mut *self.tx.layers.borrow_mut();
        if keep {
            undo.clear();
            batch.tallies.append(tallies);
        } else {
            tallies.clear();
            undo.drain(..).rev().for_each(|undo| batch.undo(undo));
        }
        // One large write does not hold its memory for ever.
        undo.shrink_to(KEPT_BYTES);
        record.clear();
        record.shrink_to(KEPT_BYTES);
    }

    /// Everything that the batch changes, which is on its way to the disk from now on.
    pub(super) fn take_batch(&self) -> Arc<Staged> {
        let layers = &mut *self.tx.layers.borrow_mut();
        let in_flight = Arc::new(std::mem::take(&mut layers.batch));
        layers.bytes = 0;
        layers.in_flight = Some(Arc::clone(&in_flight));
        in_flight
    }

    /// Goes on over a state that holds what was on its way to the disk.
    pub(super) fn advance_to(&mut self, snapshot: Arc<Snapshot>) {
        self.tx.snapshot = Guard::from_inner(snapshot);
        let layers = self.tx.layers.get_mut();
        layers.in_flight = None;
        layers.last_keys.clear();
    }

    /// Goes on over the same state in another snapshot.
    pub(super) fn move_to(&mut self, snapshot: Arc<Snapshot>) {
        self.tx.snapshot = Guard::from_inner(snapshot);
        self.tx.layers.get_mut().last_keys.clear();
    }
}

/// What the counter of a group says, if there is one.
pub(super) fn stored_count(tx: &Tx, table: &'static str, front: &[u8]) -> Result<Option<u64>, StoreError> {
    tx.get_bytes(COUNTS.info.name, &count_key(table, front), decode)
}

/// A counter: the bytes of its table's name and of the group, and what it says.
pub(super) type StoredCount = (Vec<u8>, Vec<u8>, u64);

/// All counters, each read when the iterator reaches it.
pub(super) fn stored_counts(
    tx: &Tx,
) -> Result<impl Iterator<Item = Result<StoredCount, StoreError>> + use<>, StoreError> {
    let rows = tx.rows(COUNTS.info.name, Vec::new(), Order::Ascending)?;
    Ok(rows.map(|row| {
        let (key, value) = row?.into_bytes();
        let end = key.iter().position(|byte| *byte == 0).unwrap_or(key.len());
        let front = key.get(end + 2..).unwrap_or_default().to_vec();
        Ok((key[..end].to_vec(), front, decode(&value)?))
    }))
}
