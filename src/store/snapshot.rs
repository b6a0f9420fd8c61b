//! The newest committed state, shared by all readers. The writer replaces it after each commit, so
//! an idle thread never holds old pages back.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use foldhash::fast::FixedState;
use redb::{Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, TableDefinition};

use super::StoreError;
use super::cache::Cache;

pub(super) type Bytes = &'static [u8];
pub(super) type Rows = ReadOnlyTable<Bytes, Bytes>;

pub(super) fn definition(name: &str) -> TableDefinition<'_, Bytes, Bytes> {
    TableDefinition::new(name)
}

/// One committed state. Its tables are opened once, by whoever asks first.
pub(super) struct Snapshot {
    /// Counts the commits since the start.
    pub(super) generation: u64,
    pub(super) cache: Arc<Cache>,
    transaction: ReadTransaction,
    tables: HashMap<&'static str, OnceLock<Rows>, FixedState>,
}

impl Snapshot {
    pub(super) fn take(
        database: &Database,
        names: impl Iterator<Item = &'static str>,
        generation: u64,
        cache: Arc<Cache>,
    ) -> Result<Snapshot, StoreError> {
        let transaction = database.begin_read().map_err(StoreError::storage)?;
        let tables = names.map(|name| (name, OnceLock::new())).collect();
        Ok(Snapshot { generation, cache, transaction, tables })
    }

    pub(super) fn transaction(&self) -> &ReadTransaction {
        &self.transaction
    }

    pub(super) fn table(&self, name: &'static str) -> Result<&Rows, StoreError> {
        let cell = self
            .tables
            .get(name)
            .ok_or_else(|| StoreError::record(format!("table {name} is missing from the list of tables")))?;
        if let Some(table) = cell.get() {
            return Ok(table);
        }
        let table = self.transaction.open_table(definition(name)).map_err(StoreError::storage)?;
        Ok(cell.get_or_init(|| table))
    }
}
