//! The open file below a store: a redb database on a disk that outlives it, and its write-ahead log.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use redb::backends::FileBackend;
use redb::{Database, DatabaseError, StorageBackend};

use super::cache::Cache;
use super::commit::{Committed, apply, commit, commit_with};
use super::disk::{Disk, Medium};
use super::guard;
use super::migrate;
use super::pages::Pages;
use super::snapshot::Snapshot;
use super::table::TableInfo;
use super::tx::Staged;
use super::write_ahead::{self, Missing, Position, WriteAhead};
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
    log: Option<Log>,
    /// The warning about a file that was opened without the log in which it goes on.
    pub(super) doubt: Option<String>,
}

/// The log of a file that may have one.
struct Log {
    place: LogPlace,
    /// What the file notes of it.
    noted: Option<Position>,
    /// Durable commits since the opening. The first draws another salt: each opening has its own, so that copies of a file
    /// whose ways part don't take each other's log.
    commits: usize,
    /// `None` until it is begun.
    ahead: Option<WriteAhead>,
}

/// So many commits go to the file before the log begins: a command that makes a file, or changes something in one, needs no
/// more, and a log is dearer.
const COMMITS_BEFORE: usize = 2;

impl Log {
    fn at(place: LogPlace, commits: usize) -> Log {
        Log { place, noted: None, commits, ahead: None }
    }

    /// Where the file comes by a durable commit of a batch.
    fn next(&self, batch: &Staged) -> Position {
        let last = match (&self.ahead, self.noted) {
            (Some(ahead), _) => ahead.position(),
            (None, Some(noted)) if self.commits > 0 => noted,
            (None, noted) => Position::new(noted),
        };
        // No entry of the log has it, so an older copy of the file must not take the entries behind it.
        if batch.tables.is_empty() { last } else { last.after_one() }
    }

    /// Begins the log where it is time. It is there before the file notes that it goes on in it.
    fn begin(&mut self) -> io::Result<()> {
        if let (None, Some(noted)) = (&self.ahead, self.noted)
            && self.commits >= COMMITS_BEFORE
        {
            self.ahead = Some(WriteAhead::begin(self.place.make()?, noted)?);
        }
        Ok(())
    }

    /// The file has all up to the position, durably: the log begins anew.
    fn restart(&mut self, position: Position) {
        self.noted = Some(position);
        self.commits += 1;
        if let Some(ahead) = &mut self.ahead {
            ahead.restart(position);
        }
    }
}

#[derive(Clone)]
enum LogPlace {
    /// Beside the data file.
    Beside(PathBuf),
    Storage(Arc<dyn StorageBackend>),
}

impl fmt::Display for LogPlace {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogPlace::Beside(path) => write!(out, "the write-ahead log {}", path.display()),
            LogPlace::Storage(_) => out.write_str("the write-ahead log"),
        }
    }
}

impl LogPlace {
    /// What was left there; `None` where there is nothing.
    fn found(&self) -> io::Result<Option<Arc<dyn StorageBackend>>> {
        match self {
            LogPlace::Storage(storage) => Ok(Some(Arc::clone(storage))),
            LogPlace::Beside(path) => match OpenOptions::new().read(true).write(true).open(path) {
                Ok(file) => Ok(Some(backend(file)?)),
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(cause) => Err(cause),
            },
        }
    }

    /// Takes care that nothing of what was left there is found any more.
    fn clear(&self) -> io::Result<()> {
        self.found()?.map_or(Ok(()), |log| write_ahead::clear(&*log))
    }

    fn make(&self) -> io::Result<Arc<dyn StorageBackend>> {
        match self {
            LogPlace::Storage(storage) => Ok(Arc::clone(storage)),
            LogPlace::Beside(path) => backend(create(path)?),
        }
    }

    /// Nobody needs it any more, as the file has all.
    fn remove(&self) {
        if let LogPlace::Beside(path) = self {
            // One that stays says nothing that the file does not have.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn backend(file: File) -> io::Result<Arc<dyn StorageBackend>> {
    Ok(Arc::new(FileBackend::new(file).map_err(io::Error::other)?))
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
        let (base, path, untouched, log) = match place {
            Storage::File(path) => {
                let base = open_file(&path)?;
                let log = LogPlace::Beside(write_ahead::beside(&path));
                (base, Some(path), false, Some(log))
            }
            Storage::Untouched(path) => {
                let log = LogPlace::Beside(write_ahead::beside(&path));
                (open_file(&path)?, Some(path), true, Some(log))
            }
            Storage::Memory(pages) => (Box::new(pages) as Box<dyn StorageBackend>, None, false, None),
            Storage::Backend(base) => (base, None, false, None),
            Storage::Logged { file, log } => (file, None, false, Some(LogPlace::Storage(log.into()))),
        };
        let disk = Disk::new(base);
        let of_disk = |cause: io::Error| StoreError::record(format!("cannot use {shown}: {cause}"));
        let medium = if untouched { disk.mount_untouched().map_err(of_disk)? } else { disk.mount() };
        let is_new = medium.len().map_err(of_disk)? == 0;
        if !is_new {
            disk.mark().map_err(of_disk)?;
        }
        let copied = path.as_deref().filter(|_| !untouched);
        if let (Some(path), true) = (copied, is_new) {
            write_ahead::set_aside(path).map_err(of_disk)?;
        }
        let opened = guarded(|| {
            let mut file = DataFile::on(&disk, medium, cache_bytes)?;
            file.log = log.map(|place| Log::at(place, 0));
            file.replay(None, &Staged::default())?;
            prepare(file.database()?, copied)?;
            file.medium.failure().map_or(Ok(()), |cause| Err(StoreError::disk(&cause)))?;
            Ok(file)
        });
        let opened = opened.and_then(|file| disk.mark().map(|()| file).map_err(of_disk));
        let opened = opened.and_then(|file| file.ready(untouched));
        opened.map_err(|cause| {
            if !untouched && !cause.is_in_use() {
                // Where even that fails, the file is found as a crash would have left it.
                let _ = disk.restore();
            }
            disk.close();
            cause.about(&shown, is_new)
        })
    }

    /// Writes to the file what its log has beyond it, up to `end`, and a batch, in one durable commit.
    fn replay(&mut self, end: Option<u64>, batch: &Staged) -> Result<(), StoreError> {
        let noted = migrate::log_position(self.database()?)?;
        let goes_on = noted.is_some_and(|noted| noted.goes_on);
        let place = self.log.as_ref().map(|log| &log.place);
        let found = place.map(LogPlace::found).transpose().map_err(|cause| write_ahead::of_disk(&cause))?;
        let missing = match (place, found.flatten()) {
            (Some(place), Some(found)) => write_ahead::missing(&*found, place, noted, end)?,
            (place, _) => {
                self.doubt = goes_on.then(|| without(place));
                self.doubt.iter().for_each(|doubt| tracing::warn!("{doubt}"));
                Missing::nothing(noted.map(Position::closed))
            }
        };
        let position = missing.position;
        if !missing.is_empty() {
            tracing::info!("the data file takes over what its write-ahead log has beyond it");
        }
        // Until something is written, a log that was left behind may still be brought here.
        let is_closed = goes_on && self.doubt.is_none();
        if is_closed || !missing.is_empty() || !batch.tables.is_empty() {
            commit_with(self.database()?, &missing, batch)?;
        }
        if let Some(log) = &mut self.log {
            log.noted = position;
        }
        Ok(())
    }

    /// Has a copy take over what the log of its original has.
    ///
    /// # Errors
    /// Those of the log, and of the copy.
    pub(super) fn take_over(copy: Pages, original: &Path, cache_bytes: usize) -> Result<(), StoreError> {
        let disk = Disk::new(Box::new(copy));
        let taken = guarded(|| {
            let mut file = DataFile::on(&disk, disk.mount(), cache_bytes)?;
            file.log = Some(Log::at(LogPlace::Beside(write_ahead::beside(original)), 0));
            file.replay(None, &Staged::default())
        });
        disk.close();
        taken
    }

    /// The file has all of its log, which may begin anew. A file that is only looked at has none from now on.
    fn ready(mut self, untouched: bool) -> Result<DataFile, StoreError> {
        if untouched {
            self.log = None;
        }
        if let Some(log) = &self.log {
            log.place.clear().map_err(|cause| write_ahead::of_disk(&cause))?;
        }
        Ok(self)
    }

    /// Lets nothing of what is still to come reach the disk.
    pub(super) fn let_go(&self) -> Result<(), StoreError> {
        if let Some(ahead) = self.log.as_ref().and_then(|log| log.ahead.as_ref()) {
            ahead.let_go();
        }
        self.medium.let_go().map_err(|cause| StoreError::disk(&cause.to_string()))
    }

    /// Opens the file once more, on the same disk, with all that was committed; and commits a batch, to see that it can.
    /// This one must have been let go of.
    pub(super) fn again(&self, batch: &Staged) -> Result<DataFile, StoreError> {
        guarded(|| {
            let mut file = DataFile::on(&self.disk, self.disk.mount(), self.cache_bytes)?;
            let end = self.log.as_ref().and_then(|log| log.ahead.as_ref()).map(WriteAhead::end);
            file.log = self.log.as_ref().map(|log| Log::at(log.place.clone(), log.commits));
            // A log that was not begun yet has nothing.
            file.replay(end.or(Some(0)), batch)?;
            file.succeeded()?;
            Ok(file)
        })
    }

    fn on(disk: &Arc<Disk>, medium: Medium, cache_bytes: usize) -> Result<DataFile, StoreError> {
        let mut builder = Database::builder();
        builder.set_cache_size(cache_bytes);
        let database = builder.create_with_backend(medium.clone()).map_err(|cause| match cause {
            DatabaseError::DatabaseAlreadyOpen => StoreError::in_use(),
            cause => StoreError::storage(cause),
        })?;
        let (disk, log, doubt) = (Arc::clone(disk), None, None);
        Ok(DataFile { database: Some(database), medium, disk, cache_bytes, log, doubt })
    }

    pub(super) fn database(&self) -> Result<&Database, StoreError> {
        self.database.as_ref().ok_or_else(|| StoreError::record("the data file is closed".into()))
    }

    /// Makes the changes durable, and lets readers see them. After a failure only `again` leads on.
    pub(super) fn commit(&mut self, batch: &Staged) -> Committed {
        if batch.tables.is_empty() || self.commit_to_log(batch)? {
            Ok(())
        } else {
            self.commit_to_file(batch)
        }
    }

    /// Whether the log has taken the batch. The file takes it beside, while the disk syncs.
    fn commit_to_log(&mut self, batch: &Staged) -> Result<bool, StoreError> {
        let DataFile { database: Some(database), log: Some(Log { ahead: Some(ahead), .. }), .. } = self
        else {
            return Ok(false);
        };
        let Some(syncing) =
            ahead.write(batch, Instant::now()).map_err(|cause| write_ahead::of_disk(&cause))?
        else {
            return Ok(false);
        };
        self.disk.note_writes();
        let applied = guarded(|| apply(database, batch));
        let synced = syncing.wait().map_err(|cause| write_ahead::of_disk(&cause))?;
        applied?;
        self.medium.failure().map_or(Ok(()), |cause| Err(StoreError::disk(&cause)))?;
        synced.keep();
        Ok(true)
    }

    /// Commits durably to the file, with all that it lacks, and lets the log begin anew.
    fn commit_to_file(&mut self, batch: &Staged) -> Committed {
        if let Some(log) = &mut self.log
            && let Err(cause) = log.begin()
        {
            tracing::warn!(%cause, "no write-ahead log can be made beside the data file: each write waits for the file itself");
            self.log = None;
        }
        self.commit_at(batch, self.log.as_ref().map(|log| log.next(batch)))
    }

    /// Commits durably to the file, and notes where it has come in its log.
    fn commit_at(&mut self, batch: &Staged, position: Option<Position>) -> Committed {
        guarded(|| commit(self.database()?, batch, position))?;
        self.succeeded()?;
        if let (Some(log), Some(position)) = (&mut self.log, position) {
            log.restart(position);
        }
        Ok(())
    }

    /// The file takes over what its log has beyond it, and notes that it goes on there no more.
    fn end_log(&mut self) -> Committed {
        let log = self.log.as_ref().filter(|log| log.noted.is_some_and(|noted| noted.goes_on));
        let nothing = Staged::default();
        log.map(|log| log.next(&nothing).closed()).map_or(Ok(()), |end| self.commit_at(&nothing, Some(end)))
    }

    /// What was written is the last good commit.
    fn succeeded(&self) -> Committed {
        if let Some(cause) = self.medium.failure() {
            return Err(StoreError::disk(&cause));
        }
        self.disk.mark().map_err(|cause| StoreError::disk(&cause.to_string()))
    }

    /// When the file is to take over what its log has beyond it.
    pub(super) fn due(&self) -> Option<Instant> {
        self.log.as_ref()?.ahead.as_ref()?.due()
    }

    /// The file takes over what its log has beyond it.
    pub(super) fn catch_up(&mut self) -> Committed {
        if self.due().is_some() { self.commit_to_file(&Staged::default()) } else { Ok(()) }
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

    /// Closes the file for good: it has everything then, unless it has failed.
    pub(super) fn close(mut self) {
        let is_whole = self.end_log().is_ok() && self.medium.failure().is_none();
        self.forget();
        if let (Some(log), true) = (&self.log, is_whole) {
            log.place.remove();
        }
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

/// The warning about a file that goes on in a log which is not there.
fn without(place: Option<&LogPlace>) -> String {
    let log = place.map_or_else(|| "a write-ahead log".to_owned(), LogPlace::to_string);
    format!(
        "the data file goes on in {log}, which is not there: up to a second of acknowledged writes may be missing. If the log was left where the file was copied or moved from, bring both here once more before anything is written"
    )
}

fn open_file(path: &Path) -> Result<Box<dyn StorageBackend>, StoreError> {
    let shown = path.display();
    let cannot = |cause: io::Error| StoreError::record(format!("cannot open {shown}: {cause}"));
    let file = create(path).map_err(cannot)?;
    let backend = FileBackend::new(file).map_err(|cause| cannot(io::Error::other(cause)))?;
    Ok(Box::new(backend))
}

/// Opens a file that only its owner may read, and makes it where there is none.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let is_new = !path.exists();
    let file = options.open(path)?;
    if is_new {
        // The new name must outlive a power cut as well as the bytes behind it.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()?;
    }
    Ok(file)
}
