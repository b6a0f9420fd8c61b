//! One number for all rows of a file, whatever pages they lie on.
//!
//! A tree of two levels, of SHA-256. A leaf is a table that has rows: the hash over its rows in the order of their
//! keys, each as the length of its key, the key, the length of its record, the record. The root is the hash over
//! `orgd state 1` and a line feed, then over the leaves in the order of their names, each as the length of the name,
//! the name, the number of rows, the leaf's hash. Lengths and numbers are 64 bits, the greatest byte first. So no two
//! states have the same bytes, tables without rows make no difference, and one pass over the rows is enough.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::key::hex;

const BEGINNING: &[u8] = b"orgd state 1\n";

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// In hexadecimal digits.
    pub digest: String,
    /// How many rows there are in all.
    pub rows: u64,
    /// How many rows each table has, where it has any.
    pub tables: BTreeMap<String, u64>,
}

/// Takes rows, tables by name and rows by key, and says what they are together.
pub struct Digester {
    root: Sha256,
    table: Option<Leaf>,
    contents: Contents,
}

struct Leaf {
    name: String,
    rows: u64,
    hash: Sha256,
}

impl Default for Digester {
    fn default() -> Digester {
        Digester { root: Sha256::new_with_prefix(BEGINNING), table: None, contents: Contents::default() }
    }
}

fn length(bytes: &[u8]) -> [u8; 8] {
    (bytes.len() as u64).to_be_bytes()
}

impl Digester {
    /// The rows that follow are of this table.
    pub fn table(&mut self, name: &str) {
        self.end_table();
        self.table = Some(Leaf { name: name.to_owned(), rows: 0, hash: Sha256::new() });
    }

    /// Takes a row.
    pub fn row(&mut self, key: &[u8], record: &[u8]) {
        let Some(leaf) = &mut self.table else { return };
        leaf.rows += 1;
        for part in [&length(key), key, &length(record), record] {
            leaf.hash.update(part);
        }
    }

    fn end_table(&mut self) {
        let Some(leaf) = self.table.take().filter(|leaf| leaf.rows > 0) else { return };
        let name = leaf.name.as_bytes();
        for part in [&length(name), name, &leaf.rows.to_be_bytes(), &leaf.hash.finalize()] {
            self.root.update(part);
        }
        self.contents.rows += leaf.rows;
        self.contents.tables.insert(leaf.name, leaf.rows);
    }

    /// What the rows are together.
    pub fn finish(mut self) -> Contents {
        self.end_table();
        Contents { digest: hex(&self.root.finalize()), ..self.contents }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type State<'a> = &'a [(&'a str, &'a [(&'a str, &'a str)])];

    fn digest(state: State<'_>) -> String {
        let mut digester = Digester::default();
        for (table, rows) in state {
            digester.table(table);
            rows.iter().for_each(|(key, record)| digester.row(key.as_bytes(), record.as_bytes()));
        }
        digester.finish().digest
    }

    #[test]
    fn every_difference_between_states_is_seen_and_empty_tables_are_none() {
        let states: &[State<'_>] = &[
            &[],
            &[("a", &[("", "")])],
            &[("a", &[("k", "v")])],
            &[("a", &[("kv", "")])],
            &[("a", &[("", "kv")])],
            &[("ak", &[("", "v")])],
            &[("b", &[("k", "v")])],
            &[("a", &[("k", "v"), ("l", "v")])],
            &[("a", &[("k", "v")]), ("b", &[("l", "v")])],
        ];
        let digests: Vec<String> = states.iter().map(|state| digest(state)).collect();
        for (place, one) in digests.iter().enumerate() {
            assert!(!digests[..place].contains(one), "{:?}", states[place]);
        }
        assert_eq!(digest(&[("a", &[]), ("b", &[("k", "v")]), ("c", &[])]), digest(states[6]));
        // Frozen: backups hold it.
        assert_eq!(digests[0], "79fa8bbc793ca6b323634816f0b12272166704d4a17f3b3c809041818e097695");
    }
}
