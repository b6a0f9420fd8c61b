//! All rows of one committed state, tables by name and rows by key: what backups and exports are made of. Tables that
//! this program does not know are among them.

use std::sync::Arc;

use redb::{Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, TableHandle};
use serde::{Deserialize, Serialize};

use super::digest::{Contents, Digester};
use super::file::DataFile;
use super::guard::guarded;
use super::migrate::{self, is_note};
use super::snapshot::{Bytes, Snapshot, definition};
use super::tx::KeyBytes;
use super::{Storage, Store, StoreError};
use crate::clock::Time;

/// What a copy says of its state before the rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The version of the program that made it.
    pub program: String,
    /// The schema of the rows.
    pub schema: u32,
    /// Grows from each state of a file to a later one: the moment at which it was read, in microseconds since 1970. It
    /// costs no row in each commit, and a restored file goes on from where it was.
    pub sequence: i64,
}

impl Header {
    fn new(schema: u32, taken: Time) -> Header {
        Header { program: env!("ORGD_VERSION").to_owned(), schema, sequence: taken.0 }
    }

    /// When the state was read.
    pub fn taken(&self) -> Time {
        Time(self.sequence)
    }
}

/// What comes next of a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The rows that follow are of this table.
    Table(String),
    Row(KeyBytes, Vec<u8>),
    /// There are no more rows, and these were all.
    End(Contents),
}

/// A state, row by row.
pub trait Rows {
    /// What is said before the rows.
    fn header(&self) -> &Header;

    /// What comes next. After the end there is nothing more to call for.
    ///
    /// # Errors
    /// The rows can't be read any further.
    fn next(&mut self) -> Result<Step, StoreError>;
}

/// Keeps a state from being overwritten.
enum Pin {
    Open(Arc<Snapshot>),
    Closed(ReadTransaction, #[expect(dead_code, reason = "the file stays open")] Arc<DataFile>),
}

impl Pin {
    fn transaction(&self) -> &ReadTransaction {
        match self {
            Pin::Open(snapshot) => snapshot.transaction(),
            Pin::Closed(transaction, _) => transaction,
        }
    }
}

/// A committed state that stays as it is, however long its rows are being read. The pages of later states can't be
/// used again meanwhile, so nobody may keep it without need.
pub struct Pinned {
    table: Option<OpenTable>,
    names: std::vec::IntoIter<String>,
    digester: Digester,
    header: Header,
    /// `None` once all rows were read.
    pin: Option<Pin>,
}

struct OpenTable {
    name: String,
    rows: redb::Range<'static, Bytes, Bytes>,
    /// Keeps what `rows` reads.
    _table: ReadOnlyTable<Bytes, Bytes>,
}

impl Pinned {
    fn of(pin: Pin, header: Header) -> Result<Pinned, StoreError> {
        let transaction = pin.transaction();
        if transaction.list_multimap_tables().map_err(StoreError::storage)?.next().is_some() {
            return Err(StoreError::record(
                "the data file has tables of a kind that orgd never makes".into(),
            ));
        }
        let listed = transaction.list_tables().map_err(StoreError::storage)?;
        let mut names: Vec<String> = listed.map(|table| table.name().to_owned()).collect();
        names.sort_unstable();
        Ok(Pinned {
            table: None,
            names: names.into_iter(),
            digester: Digester::default(),
            header,
            pin: Some(pin),
        })
    }

    fn open(&self, name: String) -> Result<OpenTable, StoreError> {
        let pin = self.pin.as_ref().ok_or_else(|| StoreError::record("all rows were read".into()))?;
        let opened = pin.transaction().open_table(definition(&name));
        let table = opened.map_err(|cause| StoreError::storage(cause).in_table(&name))?;
        let rows = table.range::<&[u8]>(..).map_err(StoreError::storage)?;
        Ok(OpenTable { name, rows, _table: table })
    }

    fn step(&mut self) -> Result<Step, StoreError> {
        loop {
            let Some(table) = &mut self.table else {
                let Some(name) = self.names.next() else {
                    self.pin = None;
                    return Ok(Step::End(std::mem::take(&mut self.digester).finish()));
                };
                self.digester.table(&name);
                self.table = Some(self.open(name.clone())?);
                return Ok(Step::Table(name));
            };
            let Some(row) = table.rows.next() else {
                self.table = None;
                continue;
            };
            let (key, record) = row.map_err(|cause| StoreError::storage(cause).in_table(&table.name))?;
            if is_note(&table.name, key.value()) {
                continue;
            }
            self.digester.row(key.value(), record.value());
            return Ok(Step::Row(key.value().to_vec(), record.value().to_vec()));
        }
    }

    /// Reads all rows, and says what they are together.
    ///
    /// # Errors
    /// The storage failed.
    pub fn contents(mut self) -> Result<Contents, StoreError> {
        loop {
            if let Step::End(contents) = self.next()? {
                return Ok(contents);
            }
        }
    }
}

impl Rows for Pinned {
    fn header(&self) -> &Header {
        &self.header
    }

    fn next(&mut self) -> Result<Step, StoreError> {
        guarded(|| self.step()).unwrap_or_else(|cause| Err(StoreError::damage(cause)))
    }
}

impl Store {
    /// The newest committed state, which stays while it is read. Whoever reads it looks at `healthy` now and then, and
    /// lets go of it where the file has failed: until then the store can't go on.
    ///
    /// # Errors
    /// The storage failed.
    pub fn pin(&self, now: Time) -> Result<Pinned, StoreError> {
        Pinned::of(Pin::Open(self.shared.newest.load_full()), Header::new(migrate::SCHEMA, now))
    }
}

/// A data file that no server has open, of any schema, as it lies there: nothing is written to it.
pub struct ClosedFile {
    file: Arc<DataFile>,
    schema: u32,
    note: Option<String>,
    shown: String,
}

impl ClosedFile {
    /// Opens an existing file.
    ///
    /// # Errors
    /// One sentence for the operator: it is in use, damaged, or no file of orgd.
    pub fn open(path: &std::path::Path, cache_bytes: usize) -> Result<ClosedFile, StoreError> {
        let file = DataFile::open(Storage::Untouched(path.to_owned()), cache_bytes, |_, _| Ok(()))?;
        let shown = path.display().to_string();
        let (schema, note) = file.identify().map_err(|failure| failure.about(&shown, false))?;
        Ok(ClosedFile { file: Arc::new(file), schema, note, shown })
    }

    pub fn schema(&self) -> u32 {
        self.schema
    }

    /// What a backup notes of itself.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Proves by its checksums that everything in the file is as it was written. Nobody may read it meanwhile.
    ///
    /// # Errors
    /// One sentence for the operator.
    pub fn prove(&mut self) -> Result<(), StoreError> {
        let file = Arc::get_mut(&mut self.file);
        let file = file.ok_or_else(|| StoreError::record("the file is being read".into()))?;
        file.prove().map_err(|failure| failure.about(&self.shown, false))
    }

    /// All rows.
    ///
    /// # Errors
    /// The storage failed.
    pub fn rows(&self, now: Time) -> Result<Pinned, StoreError> {
        let pinned = guarded(|| {
            let transaction = self.file.reading()?;
            Pinned::of(Pin::Closed(transaction, Arc::clone(&self.file)), Header::new(self.schema, now))
        });
        pinned
            .unwrap_or_else(|cause| Err(StoreError::damage(cause)))
            .map_err(|cause| cause.about(&self.shown, false))
    }
}

impl DataFile {
    /// The schema of the file, and what it notes of itself where it is a backup.
    fn identify(&self) -> Result<(u32, Option<String>), StoreError> {
        guarded(|| migrate::identify(self.database()?)).unwrap_or_else(|cause| Err(StoreError::damage(cause)))
    }

    fn reading(&self) -> Result<ReadTransaction, StoreError> {
        let database: &Database = self.database()?;
        database.begin_read().map_err(StoreError::storage)
    }
}
