//! A table's name and types, declared by the room that owns it.

use std::marker::PhantomData;

use super::codec::Record;
use super::key::Key;

/// A typed table. Rooms declare theirs as constants and list them in `resources::tables()`.
pub struct Table<K, V> {
    pub(super) info: TableInfo,
    types: PhantomData<fn() -> (K, V)>,
}

/// A table without its types, as the store keeps it.
#[derive(Clone, Copy)]
pub struct TableInfo {
    pub name: &'static str,
    /// How much of a key's front names the group in which its row is counted.
    pub(super) group: Option<fn(&[u8]) -> usize>,
    /// Whether what is made of its rows is remembered, by the front of their keys.
    pub(super) remembered: bool,
}

impl<K: Key, V: Record> Table<K, V> {
    pub const fn new(name: &'static str) -> Table<K, V> {
        Table { info: TableInfo { name, group: None, remembered: false }, types: PhantomData }
    }

    /// Keeps a count of the rows under each key front, `group` bytes long, so that no list has to
    /// walk its rows to say how many there are.
    pub const fn counted(mut self, group: fn(&[u8]) -> usize) -> Table<K, V> {
        self.info.group = Some(group);
        self
    }

    /// Makes what was remembered under the sixteen bytes at the front of a key be forgotten when the row
    /// changes; see `Tx::remember`.
    pub const fn remembered(mut self) -> Table<K, V> {
        self.info.remembered = true;
        self
    }

    pub const fn info(&self) -> TableInfo {
        self.info
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
