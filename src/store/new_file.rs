//! A new data file, written row by row, in bounded memory.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{Database, WriteTransaction};

use super::StoreError;
use super::codec::encode;
use super::digest::{Contents, Digester};
use super::guard::guarded;
use super::key::Key;
use super::migrate::{BACKUP_NOTE, META};
use super::rows::{Rows, Step};
use super::snapshot::definition;

/// Rows that are kept until they are written together, in bytes.
const BATCH_BYTES: usize = 1024 * 1024;
/// Rows in one transaction, in bytes.
const TRANSACTION_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of memory for pages.
const CACHE_BYTES: usize = 8 * 1024 * 1024;

type Row = (Vec<u8>, Vec<u8>);

/// A file that is being written. It is whole once `finish` has returned.
pub struct NewFile {
    path: PathBuf,
    transaction: Option<WriteTransaction>,
    table: String,
    batch: Vec<Row>,
    batch_bytes: usize,
    transaction_bytes: usize,
    digester: Digester,
    database: Database,
}

/// Runs what writes to the file at `path`, and names it where that fails.
fn writing<T>(path: &Path, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let done = guarded(work).unwrap_or_else(|cause| Err(StoreError::damage(cause)));
    done.map_err(|failure| failure.about(&path.display().to_string(), true))
}

impl NewFile {
    /// Makes the file, in place of what was left there.
    ///
    /// # Errors
    /// One sentence for the operator.
    pub fn create(path: &Path) -> Result<NewFile, StoreError> {
        NewFile::create_within(path, CACHE_BYTES)
    }

    /// The same, with so much memory for its pages, in bytes.
    ///
    /// # Errors
    /// One sentence for the operator.
    pub fn create_within(path: &Path, cache_bytes: usize) -> Result<NewFile, StoreError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let opened = options.open(path);
        let file =
            opened.map_err(|cause| StoreError::record(format!("cannot make {}: {cause}", path.display())))?;
        let database = writing(path, || {
            let backend = FileBackend::new(file).map_err(StoreError::storage)?;
            let mut builder = Database::builder();
            builder.set_cache_size(cache_bytes);
            builder.create_with_backend(backend).map_err(StoreError::storage)
        })?;
        Ok(NewFile {
            path: path.to_owned(),
            transaction: None,
            table: String::new(),
            batch: Vec::new(),
            batch_bytes: 0,
            transaction_bytes: 0,
            digester: Digester::default(),
            database,
        })
    }

    /// Writes all rows.
    ///
    /// # Errors
    /// They can't be read or written, or are not those that their end says they are.
    pub fn fill(&mut self, rows: &mut dyn Rows) -> Result<Contents, StoreError> {
        loop {
            match rows.next()? {
                Step::Table(name) => {
                    self.flush()?;
                    self.digester.table(&name);
                    self.table = name;
                }
                Step::Row(key, record) => {
                    self.digester.row(&key, &record);
                    self.batch_bytes += key.len() + record.len();
                    self.batch.push((key, record));
                    if self.batch_bytes >= BATCH_BYTES {
                        self.flush()?;
                    }
                }
                Step::End(contents) => {
                    self.flush()?;
                    let found = std::mem::take(&mut self.digester).finish();
                    return if found == contents {
                        Ok(contents)
                    } else {
                        Err(not_the_same(&found, &contents))
                    };
                }
            }
        }
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let rows = std::mem::take(&mut self.batch);
        self.transaction_bytes += std::mem::take(&mut self.batch_bytes);
        if rows.is_empty() {
            return self.make_table();
        }
        let path = self.path.clone();
        writing(&path, || {
            self.insert(&rows)?;
            if self.transaction_bytes < TRANSACTION_BYTES { Ok(()) } else { self.commit() }
        })
    }

    /// Makes the table also where it has no rows.
    fn make_table(&mut self) -> Result<(), StoreError> {
        if self.table.is_empty() { Ok(()) } else { self.insert(&[]) }
    }

    fn insert(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        let transaction = match &mut self.transaction {
            Some(transaction) => transaction,
            none => none.insert(self.database.begin_write().map_err(StoreError::storage)?),
        };
        let mut table = transaction.open_table(definition(&self.table)).map_err(StoreError::storage)?;
        for (key, record) in rows {
            table.insert(key.as_slice(), record.as_slice()).map_err(StoreError::storage)?;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.transaction_bytes = 0;
        match self.transaction.take() {
            Some(mut transaction) => {
                // Opened again without a repair, also where nobody closed it.
                transaction.set_quick_repair(true);
                transaction.commit().map_err(StoreError::storage)
            }
            None => Ok(()),
        }
    }

    /// Brings everything to the disk; `note` is what a backup says of itself.
    ///
    /// # Errors
    /// One sentence for the operator.
    pub fn finish(mut self, note: Option<&str>) -> Result<(), StoreError> {
        let path = self.path.clone();
        writing(&path, || {
            if let Some(note) = note {
                META.info().name.clone_into(&mut self.table);
                let row = (BACKUP_NOTE.to_owned().key_bytes(), encode(&note.to_owned())?);
                self.insert(&[row])?;
            }
            self.commit()?;
            let mut database = self.database;
            database.compact().map_err(StoreError::storage)?;
            drop(database);
            let synced = File::open(&self.path).and_then(|file| file.sync_all());
            synced.map_err(|cause| StoreError::disk(&cause.to_string()))
        })
    }
}

fn not_the_same(found: &Contents, wanted: &Contents) -> StoreError {
    StoreError::record(format!(
        "the rows are not those that were sent: {} rows with the digest {} came of {} with {}",
        found.rows, found.digest, wanted.rows, wanted.digest
    ))
}

/// Gives the space that a closed file does not use back to the system.
///
/// # Errors
/// One sentence for the operator: it is in use, or damaged.
pub fn compact(path: &Path) -> Result<(), StoreError> {
    let opened = OpenOptions::new().read(true).write(true).open(path);
    let file =
        opened.map_err(|cause| StoreError::record(format!("cannot open {}: {cause}", path.display())))?;
    let compacted = guarded(|| {
        let backend = FileBackend::new(file).map_err(StoreError::storage)?;
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        let mut database = builder.create_with_backend(backend).map_err(|cause| match cause {
            redb::DatabaseError::DatabaseAlreadyOpen => StoreError::in_use(),
            cause => StoreError::storage(cause),
        })?;
        while database.compact().map_err(StoreError::storage)? {}
        Ok(())
    });
    let compacted = compacted.unwrap_or_else(|cause| Err(StoreError::damage(cause)));
    compacted.map_err(|failure| failure.about(&path.display().to_string(), false))
}
