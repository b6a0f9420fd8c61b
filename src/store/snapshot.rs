//! The newest committed state, shared by all readers. The writer replaces it after each commit, so
//! an idle thread never holds old pages back.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use foldhash::fast::FixedState;
use redb::{Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, TableDefinition};

use super::StoreError;
use super::cache::Cache;
use super::reads::{Look, Reads};
use super::table::TableInfo;

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
    tables: HashMap<&'static str, OpenTable, FixedState>,
}

/// A table, once it was opened.
struct OpenTable {
    is_busy: bool,
    rows: OnceLock<Rows>,
}

impl Snapshot {
    /// With tables that are known by name alone.
    pub(super) fn take(
        database: &Database,
        names: impl Iterator<Item = &'static str>,
        generation: u64,
        cache: Arc<Cache>,
    ) -> Result<Snapshot, StoreError> {
        Snapshot::of(database, names.map(TableInfo::plain), generation, cache)
    }

    pub(super) fn of(
        database: &Database,
        tables: impl Iterator<Item = TableInfo>,
        generation: u64,
        cache: Arc<Cache>,
    ) -> Result<Snapshot, StoreError> {
        let transaction = database.begin_read().map_err(StoreError::storage)?;
        let open = |table: TableInfo| (table.name, OpenTable { is_busy: table.busy, rows: OnceLock::new() });
        let tables = tables.map(open).collect();
        Ok(Snapshot { generation, cache, transaction, tables })
    }

    pub(super) fn transaction(&self) -> &ReadTransaction {
        &self.transaction
    }

    /// The rows of a table, for a reader who notes in `reads` what of them they look at.
    pub(super) fn table(
        &self,
        name: &'static str,
        look: Look<'_>,
        reads: Option<&mut Reads>,
    ) -> Result<&Rows, StoreError> {
        let table = self
            .tables
            .get(name)
            .ok_or_else(|| StoreError::record(format!("table {name} is missing from the list of tables")))?;
        match reads {
            None => {}
            Some(reads) if table.is_busy => reads.note_unknown(),
            Some(reads) => reads.note(name, look),
        }
        if let Some(rows) = table.rows.get() {
            return Ok(rows);
        }
        let rows = self.transaction.open_table(definition(name)).map_err(StoreError::storage)?;
        Ok(table.rows.get_or_init(|| rows))
    }
}
