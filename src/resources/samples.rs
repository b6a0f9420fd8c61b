//! Samples of stored records, as text that a committed file holds: a record that changes its layout without a
//! migration differs from it.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::clock::Time;
use crate::store::{AnyTable, Key, Record, Table, encode, hex};

/// An identifier for samples.
pub const ONE: Uuid = Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001);
/// Another one.
pub const TWO: Uuid = Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0002);
/// A moment for samples.
pub const NOW: Time = Time(1_728_396_939_123_456);
/// A hash for samples.
pub const HASH: [u8; 32] = [0xab; 32];

/// One line for each table and for each list of variants, by name.
#[derive(Default)]
pub struct Samples(pub BTreeMap<String, String>);

impl Samples {
    /// Adds the bytes of a row, and those of its rows in the table's indexes.
    pub fn add<K: Key, V: Record>(&mut self, table: &Table<K, V>, key: K, record: V) {
        let bytes = encode(&record).unwrap_or_default();
        let key = key.key_bytes();
        self.line(table.info().name, &key, &bytes);
        let index_rows = table.index_rows(&key, &bytes).unwrap_or_default();
        for (index, row) in table.indexes().iter().zip(index_rows) {
            let (key, value) = row.unwrap_or_default();
            self.line(index.name, &key, &value);
        }
    }

    /// Adds the bytes of every variant of an enum that records hold.
    pub fn variants<V: Record>(&mut self, name: &str, all: &[V]) {
        let all: Vec<String> = all.iter().map(|one| hex(&encode(one).unwrap_or_default())).collect();
        self.0.insert(format!("({name})"), all.join(" "));
    }

    fn line(&mut self, name: &str, key: &[u8], value: &[u8]) {
        self.0.insert(name.to_owned(), format!("{} = {}", hex(key), hex(value)));
    }

    /// The lines as the file has them.
    pub fn text(&self) -> String {
        self.0.iter().map(|(name, line)| format!("{name}: {line}\n")).collect()
    }
}

/// Text for samples.
pub fn text(text: &str) -> String {
    text.to_owned()
}

/// Every variant of an enum, in the order of the list. Does not compile where one is left out.
#[macro_export]
macro_rules! every {
    ($type:ident { $($variant:ident $(($($value:expr),+))?),+ $(,)? }) => {{
        let is_listed = |one: &$type| match one { $($type::$variant { .. } => true),+ };
        let all = [$($type::$variant $(($($value),+))?),+];
        debug_assert!(all.iter().all(is_listed));
        all
    }};
}
