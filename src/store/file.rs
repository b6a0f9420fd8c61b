//! The open file below a store: a redb database on a disk that outlives it.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::Arc;

use redb::backends::FileBackend;
use redb::{Database, DatabaseError, StorageBackend};

use super::cache::Cache;
use super::commit::{Committed, commit};
use super::disk::{Disk, Medium};
use super::guard;
use super::snapshot::Snapshot;
use super::table::TableInfo;
use super::tx::Staged;
use super::{Shared, Storage, StoreError};

/// Runs what may meet damaged bytes.
fn guarded<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    guard::guarded(work).unwrap_or_else(|cause| Err(StoreError::damage(cause)))
}

pub(super) struct DataFile {
    database: Option<Database>,
    medium: Medium,
    pub(super) disk: Arc<Disk>,
    cache_bytes: usize,
}

impl DataFile {
    /// Opens the place, or makes the file, and has `prepare` bring it to what is wanted.
    ///
    /// # Errors
    /// One sentence for the operator; the file is as it was then.
    pub(super) fn open(
        place: Storage,
        cache_bytes: usize,
        prepare: impl Fn(&Database, Option<&Path>) -> Result<(), StoreError>,
    ) -> Result<DataFile, StoreError> {
        let shown = place.to_string();
        let (base, path, untouched) = match place {
            Storage::File(path) => (open_file(&path)?, Some(path), false),
            Storage::Untouched(path) => (open_file(&path)?, Some(path), true),
            Storage::Memory(pages) => (Box::new(pages) as Box<dyn StorageBackend>, None, false),
            Storage::Backend(base) => (base, None, false),
        };
        let disk = Disk::new(base);
        let of_disk = |cause: std::io::Error| StoreError::record(format!("cannot use {shown}: {cause}"));
        let medium = if untouched { disk.mount_untouched().map_err(of_disk)? } else { disk.mount() };
        let is_new = medium.len().map_err(of_disk)? == 0;
        if !is_new {
            disk.mark().map_err(of_disk)?;
        }
        let copied = path.as_deref().filter(|_| !untouched);
        let opened = guarded(|| {
            let file = DataFile::on(&disk, medium, cache_bytes)?;
            prepare(file.database()?, copied)?;
            file.medium.failure().map_or(Ok(()), |cause| Err(StoreError::disk(&cause)))?;
            Ok(file)
        });
        let opened = opened.and_then(|file| disk.mark().map(|()| file).map_err(of_disk));
        opened.map_err(|cause| {
            if !untouched && !cause.is_in_use() {
                // Where even that fails, the file is found as a crash would have left it.
                let _ = disk.restore();
            }
            disk.close();
            cause.about(&shown, is_new)
        })
    }

    /// Lets nothing of what is still to come reach the disk.
    pub(super) fn let_go(&self) -> Result<(), StoreError> {
        self.medium.let_go().map_err(|cause| StoreError::disk(&cause.to_string()))
    }

    /// Opens the file once more, on the same disk. This one must have been let go of.
    pub(super) fn again(&self) -> Result<DataFile, StoreError> {
        guarded(|| DataFile::on(&self.disk, self.disk.mount(), self.cache_bytes))
    }

    fn on(disk: &Arc<Disk>, medium: Medium, cache_bytes: usize) -> Result<DataFile, StoreError> {
        let mut builder = Database::builder();
        builder.set_cache_size(cache_bytes);
        let database = builder.create_with_backend(medium.clone()).map_err(|cause| match cause {
            DatabaseError::DatabaseAlreadyOpen => StoreError::in_use(),
            cause => StoreError::storage(cause),
        })?;
        Ok(DataFile { database: Some(database), medium, disk: Arc::clone(disk), cache_bytes })
    }

    pub(super) fn database(&self) -> Result<&Database, StoreError> {
        self.database.as_ref().ok_or_else(|| StoreError::record("the data file is closed".into()))
    }

    /// Writes the changes in one durable transaction. After a failure only `again` leads on.
    pub(super) fn commit(&self, batch: &Staged) -> Committed {
        guarded(|| commit(self.database()?, batch))?;
        if let Some(cause) = self.medium.failure() {
            return Err(StoreError::disk(&cause));
        }
        self.disk.mark().map_err(|cause| StoreError::disk(&cause.to_string()))
    }

    pub(super) fn snapshot(&self, shared: &Shared, generation: u64) -> Result<Snapshot, StoreError> {
        Snapshot::of(
            self.database()?,
            shared.schema.tables.iter().copied(),
            generation,
            Arc::clone(&shared.cache),
        )
    }

    pub(super) fn first_snapshot(
        &self,
        tables: &[TableInfo],
        cache: Arc<Cache>,
    ) -> Result<Snapshot, StoreError> {
        Snapshot::of(self.database()?, tables.iter().copied(), 0, cache)
    }

    /// Leaves the file at its last good commit, as far as the disk lets us.
    pub(super) fn abandon(&mut self) {
        if self.let_go().is_ok() {
            self.forget();
            let _ = self.disk.restore();
        }
    }

    /// Closes the file for good.
    pub(super) fn close(mut self) {
        self.forget();
        self.disk.close();
    }

    /// Proves by its checksums that everything in the file is as it was written.
    pub(super) fn prove(&mut self) -> Result<(), StoreError> {
        let database = self.database.as_mut();
        let database = database.ok_or_else(|| StoreError::record("the data file is closed".into()))?;
        guarded(|| match database.check_integrity() {
            Ok(true) => Ok(()),
            Ok(false) => Err(StoreError::damage("its checksums do not match".into())),
            Err(cause) => Err(StoreError::damage(cause.to_string())),
        })
    }

    fn forget(&mut self) {
        let database = self.database.take();
        // What a damaged file does when it is closed is of no interest.
        let _ = guarded(|| {
            drop(database);
            Ok(())
        });
    }
}

impl Drop for DataFile {
    fn drop(&mut self) {
        self.forget();
    }
}

fn open_file(path: &Path) -> Result<Box<dyn StorageBackend>, StoreError> {
    let shown = path.display();
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let is_new = !path.exists();
    let cannot =
        |what: &str, cause: std::io::Error| StoreError::record(format!("cannot {what} {shown}: {cause}"));
    let file = options.open(path).map_err(|cause| cannot("open", cause))?;
    if is_new {
        // The new name must outlive a power cut as well as the bytes before it.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = File::open(folder).and_then(|folder| folder.sync_all());
        folder.map_err(|cause| cannot("secure", cause))?;
    }
    let backend = FileBackend::new(file);
    let backend = backend.map_err(|cause| StoreError::record(format!("cannot open {shown}: {cause}")))?;
    Ok(Box::new(backend))
}
