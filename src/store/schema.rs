//! All tables of a data file, and which of them hang on which.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::StoreError;
use super::migrate::META;
use super::table::{AnyTable, TableInfo};
use super::tx::{COUNTS, SEQUENCES, WriteTx};

/// A table, and the place among its parents of the one that is meant.
type Child = (&'static dyn AnyTable, usize);

/// The declared tables of a program; none, for steps between schemas, which follow their indexes themselves.
#[derive(Default)]
pub(super) struct Schema {
    pub(super) declared: Vec<&'static dyn AnyTable>,
    /// Every table, indexes and the store's own included.
    pub(super) tables: Vec<TableInfo>,
    children: HashMap<&'static str, Vec<Child>, FixedState>,
}

impl Schema {
    pub(super) fn new(declared: Vec<&'static dyn AnyTable>) -> Schema {
        let own = [COUNTS.info(), SEQUENCES.info(), META.info()];
        let tables = declared.iter().flat_map(|table| table.infos()).chain(own).collect();
        let mut children: HashMap<&'static str, Vec<Child>, FixedState> = HashMap::default();
        for table in &declared {
            for (place, parent) in table.parents().into_iter().enumerate() {
                children.entry(parent).or_default().push((*table, place));
            }
        }
        Schema { declared, tables, children }
    }

    /// Deletes what belongs to the row.
    pub(super) fn delete_children(
        &self,
        tx: &WriteTx,
        table: &'static str,
        key: &[u8],
    ) -> Result<(), StoreError> {
        for (child, parent) in self.children.get(table).into_iter().flatten() {
            for key in child.children(tx, *parent, key)? {
                tx.delete_row(*child, key)?;
            }
        }
        Ok(())
    }
}
