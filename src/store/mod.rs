//! The data file: typed tables in one redb file. The only folder that names redb and the record
//! codec.
//!
//! Invariant: a write that was answered with success is on disk; a write that was not has left
//! nothing; readers never wait for writers.

mod cache;
mod changes;
mod check;
mod codec;
mod commit;
#[cfg(test)]
mod declared_test;
mod digest;
mod disk;
mod file;
mod guard;
mod index;
mod key;
mod migrate;
#[cfg(test)]
mod model_test;
mod new_file;
mod pages;
mod paging;
mod parent;
mod partial_index;
mod reads;
mod recover;
mod rows;
#[cfg(test)]
mod rows_test;
mod schema;
mod snapshot;
mod table;
mod tx;
mod write_ahead;
#[cfg(test)]
mod write_ahead_test;
mod writer;

use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use redb::StorageBackend;
use tokio::sync::{Notify, mpsc, oneshot};

pub use cache::Cacheable;
pub use changes::Changes;
pub use check::{Problems, check};
pub use codec::{Json, Packed, Record, decode, encode, serialize_json};
pub use digest::{Contents, Digester};
pub use index::{Index, IndexOf, OnConflict};
pub use key::{Key, hex};
pub use migrate::{Plan, SCHEMA, plan};
pub use new_file::{NewFile, compact};
pub use pages::{Frozen, Pages};
pub use parent::{Parent, ParentNamed, ParentOf, ParentThrough};
pub use rows::{ClosedFile, Header, Pinned, Rows, Step};
pub use table::{AnyTable, Table, TableInfo, by_all_but_uuid, by_uuid};
pub use tx::{Order, Tx, WriteTx};
pub use write_ahead::{beside as log_beside, set_aside as set_log_aside};

use crate::error::{Error, Result};
use cache::Cache;
use file::DataFile;
use guard::guarded;
use schema::Schema;
use snapshot::Snapshot;
use writer::{Job, Write};

/// How many writes may wait for the writer before callers have to wait to hand theirs over.
const QUEUE_MAX: usize = 4096;

/// Memory for pages while a copy takes over its original's log, in bytes.
const COPY_CACHE_BYTES: usize = 8 * 1024 * 1024;

/// What the storage itself could not do; never the caller's fault.
#[derive(Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    sentence: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StoreErrorKind {
    /// The disk refuses, or is full: another time it may not.
    Disk,
    /// Bytes are not what was written.
    Damage,
    /// Another process has the file.
    InUse,
    /// A unique index has the key for another row.
    Conflict { index: &'static str },
    /// Everything else.
    Other,
}

/// How soon a write that the disk refused may be tried again, in seconds.
const RETRY_SECONDS: u32 = 5;

impl StoreError {
    pub(crate) fn record(sentence: String) -> StoreError {
        StoreError { kind: StoreErrorKind::Other, sentence }
    }

    fn conflict(index: &'static str) -> StoreError {
        StoreError {
            kind: StoreErrorKind::Conflict { index },
            sentence: format!("{index} has the key of another row"),
        }
    }

    /// Whether a record was refused because this unique index has its key for another row.
    pub fn is_conflict_of(&self, index: &TableInfo) -> bool {
        self.kind == StoreErrorKind::Conflict { index: index.name }
    }

    fn disk(cause: &str) -> StoreError {
        StoreError { kind: StoreErrorKind::Disk, sentence: format!("the data file failed: {cause}") }
    }

    fn damage(cause: String) -> StoreError {
        StoreError { kind: StoreErrorKind::Damage, sentence: cause }
    }

    fn in_use() -> StoreError {
        StoreError {
            kind: StoreErrorKind::InUse,
            sentence: "the data file is in use by another orgd process".into(),
        }
    }

    fn storage(cause: impl Into<redb::Error>) -> StoreError {
        let cause = cause.into();
        let kind = match &cause {
            // What is not there any more, or not ours, does not come back.
            redb::Error::Io(cause)
                if matches!(cause.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData) =>
            {
                StoreErrorKind::Damage
            }
            redb::Error::Io(_) | redb::Error::PreviousIo | redb::Error::DatabaseClosed => {
                StoreErrorKind::Disk
            }
            redb::Error::Corrupted(_) => StoreErrorKind::Damage,
            _ => StoreErrorKind::Other,
        };
        StoreError { kind, sentence: format!("the data file failed: {cause}") }
    }

    /// The same, with the name of the table.
    fn in_table(self, name: &str) -> StoreError {
        StoreError { sentence: format!("{name}: {}", self.sentence), ..self }
    }

    fn is_of_disk(&self) -> bool {
        self.kind == StoreErrorKind::Disk
    }

    /// Whether another process has the file.
    pub fn is_in_use(&self) -> bool {
        self.kind == StoreErrorKind::InUse
    }

    /// The sentence for an operator who has named the file.
    fn about(self, shown: &str, is_new: bool) -> StoreError {
        let StoreError { kind, sentence } = self;
        let cause = sentence.strip_prefix("the data file failed: ").unwrap_or(&sentence);
        let sentence = match kind {
            StoreErrorKind::Disk if is_new => format!("cannot make {shown}: {cause}"),
            StoreErrorKind::Disk => format!("cannot use {shown}: {cause}"),
            StoreErrorKind::Damage => damaged(shown, cause),
            StoreErrorKind::InUse => format!("{shown} is in use by another orgd process"),
            StoreErrorKind::Conflict { .. } | StoreErrorKind::Other => sentence,
        };
        StoreError { kind, sentence }
    }
}

/// The sentence for an operator whose file is not what was written.
pub fn damaged(shown: &str, cause: &str) -> String {
    format!(
        "{shown} is not an orgd data file, or is damaged: {cause}. Put a good copy in its place; `orgd check` says whether a copy is whole"
    )
}

impl fmt::Display for StoreError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.sentence)
    }
}

impl std::error::Error for StoreError {}

impl From<StoreError> for Error {
    #[track_caller]
    fn from(failure: StoreError) -> Error {
        if failure.is_of_disk() {
            return Error::Busy { retry_after_seconds: RETRY_SECONDS };
        }
        Error::internal(failure.sentence)
    }
}

struct Shared {
    schema: Arc<Schema>,
    newest: ArcSwap<Snapshot>,
    cache: Arc<Cache>,
    /// A batch of writes is closed when its changes take so much memory.
    batch_bytes_max: usize,
    watches: RwLock<Vec<Watch>>,
    /// Whether writes are refused, because the last commit failed.
    failed: AtomicBool,
    healed: Notify,
    /// Why no write will ever succeed again.
    given_up: OnceLock<String>,
    gave_up: Notify,
}

/// Somebody who waits for commits that change one of these tables.
struct Watch {
    tables: Vec<&'static str>,
    changed: Arc<Changes>,
}

impl Shared {
    /// Runs `tell` for those who wait for one of the changed tables.
    fn each_watch(&self, changed: &[&'static str], tell: impl Fn(&Changes)) {
        for watch in self.watches.read().unwrap_or_else(PoisonError::into_inner).iter() {
            if watch.tables.iter().any(|table| changed.contains(table)) {
                tell(&watch.changed);
            }
        }
    }

    fn fail(&self, failure: &StoreError) {
        self.failed.store(true, Ordering::Release);
        tracing::error!(%failure, "nothing of what failed was acknowledged; writes are refused until the data file can be written again");
    }

    fn heal(&self) {
        self.failed.store(false, Ordering::Release);
        self.healed.notify_waiters();
        tracing::info!("the data file can be written again");
    }

    fn give_up(&self, cause: String) {
        tracing::error!("{cause}");
        let _ = self.given_up.set(cause);
        self.gave_up.notify_waiters();
    }

    fn is_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }
}

/// Where the tables lie.
pub enum Storage {
    /// A file, made where there is none.
    File(PathBuf),
    /// A file that is only looked at: what is written stays in memory and is forgotten.
    Untouched(PathBuf),
    /// Memory, which can be copied while it is open.
    Memory(Pages),
    /// Any other redb storage, such as one that fails on purpose.
    Backend(Box<dyn StorageBackend>),
    /// The same with one for its write-ahead log.
    Logged { file: Box<dyn StorageBackend>, log: Box<dyn StorageBackend> },
}

impl fmt::Display for Storage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Storage::File(path) | Storage::Untouched(path) => path.display().fmt(out),
            Storage::Memory(_) => out.write_str("the data in memory"),
            Storage::Backend(_) | Storage::Logged { .. } => out.write_str("the storage"),
        }
    }
}

impl Storage {
    /// Memory, empty.
    pub fn memory() -> Storage {
        Storage::Memory(Pages::empty())
    }

    /// A copy in memory of a closed file, which is never written to.
    ///
    /// # Errors
    /// One sentence for the operator: there is no such file, or a server has it.
    pub fn copy_of(path: &Path) -> std::result::Result<Storage, StoreError> {
        let shown = path.display().to_string();
        let cannot = |cause: std::io::Error| StoreError::record(format!("cannot read {shown}: {cause}"));
        let mut file = File::open(path).map_err(cannot)?;
        if matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)) {
            return Err(StoreError::in_use().about(&shown, false));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(cannot)?;
        if bytes.is_empty() {
            return Err(StoreError::record(format!("{shown} is empty")));
        }
        let pages = Frozen::of(&bytes).open();
        if log_beside(path).exists() {
            let taken = DataFile::take_over(pages.clone(), path, COPY_CACHE_BYTES);
            taken.map_err(|failure| failure.about(&shown, false))?;
        }
        Ok(Storage::Memory(pages))
    }
}

/// The open data file.
pub struct Store {
    shared: Arc<Shared>,
    /// What it lies in, where that is memory.
    pages: Option<Pages>,
    /// See `doubt`.
    doubt: Option<String>,
    queue: Option<mpsc::Sender<Box<dyn Job>>>,
    writer: Option<JoinHandle<()>>,
}

impl Store {
    /// Opens the file, or makes it, and brings it to this version's schema. Cached pages take up to
    /// `cache_bytes`, and changes that wait for their commit as much again.
    ///
    /// # Errors
    /// One sentence for the operator; the file is unchanged then.
    pub fn open(
        place: Storage,
        cache_bytes: usize,
        tables: Vec<&'static dyn AnyTable>,
    ) -> std::result::Result<Store, StoreError> {
        let schema = Arc::new(Schema::new(tables));
        let prepare = |database: &redb::Database, path: Option<&Path>| {
            migrate::bring_up(database, path, &schema.tables)
        };
        let is_proved = matches!(place, Storage::Untouched(_));
        let pages = match &place {
            Storage::Memory(pages) => Some(pages.clone()),
            _ => None,
        };
        let shown = place.to_string();
        let mut file = DataFile::open(place, cache_bytes, prepare)?;
        if is_proved {
            file.prove().map_err(|failure| failure.about(&shown, false))?;
        }
        let doubt = file.doubt.take();
        let cache = Arc::new(Cache::default());
        let newest = ArcSwap::from_pointee(file.first_snapshot(&schema.tables, Arc::clone(&cache))?);
        let shared = Arc::new(Shared {
            schema,
            newest,
            cache,
            batch_bytes_max: cache_bytes / 4,
            watches: RwLock::default(),
            failed: AtomicBool::new(false),
            healed: Notify::new(),
            given_up: OnceLock::new(),
            gave_up: Notify::new(),
        });
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let writer = std::thread::Builder::new()
            .name("writer".into())
            .spawn({
                let shared = Arc::clone(&shared);
                move || writer::run(file, &shared, waiting)
            })
            .map_err(|cause| {
                StoreError::record(format!("the writer thread could not be started: {cause}"))
            })?;
        Ok(Store { shared, pages, doubt, queue: Some(queue), writer: Some(writer) })
    }

    /// Runs `work` on the newest committed state. Never waits for a writer.
    pub fn read<T>(&self, work: impl FnOnce(&Tx) -> Result<T>) -> Result<T> {
        let read = || work(&Tx::read(self.shared.newest.load()));
        guarded(read).unwrap_or_else(|cause| Err(Error::internal(format!("a read panicked: {cause}"))))
    }

    /// What was cached under this key (`Tx::keep`), where it is what would be made now.
    pub fn kept<M: Cacheable>(&self, key: &[u8]) -> Option<Arc<M>> {
        let newest = self.shared.newest.load();
        newest.cache.get(newest.generation, key, |_| ())
    }

    /// Runs `work` on the writer thread and waits until its changes are on disk. When it returns an
    /// error, or panics, nothing is changed. It may be run again, so it must not act outside.
    pub async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&WriteTx) -> Result<T> + Send + 'static,
    {
        let (answer, outcome) = oneshot::channel();
        let job = Box::new(Write { work, outcome: None, answer });
        let gone = || Error::internal("the writer has stopped");
        let queue = self.queue.as_ref().ok_or_else(gone)?;
        queue.send(job).await.map_err(|_| gone())?;
        outcome.await.map_err(|_| gone())?
    }

    /// Is notified after every commit, from now on, that changes one of the tables.
    pub fn watch(&self, tables: &[TableInfo]) -> Arc<Changes> {
        let changed = Arc::<Changes>::default();
        let watch =
            Watch { tables: tables.iter().map(|table| table.name).collect(), changed: Arc::clone(&changed) };
        self.shared.watches.write().unwrap_or_else(PoisonError::into_inner).push(watch);
        changed
    }

    /// How many writes wait for the writer.
    pub fn waiting_writes(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.max_capacity() - queue.capacity())
    }

    /// Whether writes go through.
    pub fn healthy(&self) -> bool {
        !self.shared.is_failed()
    }

    /// Waits while writes are refused.
    pub async fn healed(&self) {
        loop {
            let woken = self.shared.healed.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            if self.healthy() {
                return;
            }
            woken.await;
        }
    }

    /// Waits until the file has failed for good, and says why. Mostly for ever.
    pub async fn gave_up(&self) -> &str {
        loop {
            let woken = self.shared.gave_up.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            if let Some(cause) = self.shared.given_up.get() {
                return cause;
            }
            woken.await;
        }
    }

    /// Why the file has failed for good, if it has.
    pub fn given_up(&self) -> Option<&str> {
        self.shared.given_up.get().map(String::as_str)
    }

    /// The warning about a file that was opened without the write-ahead log in which it goes on.
    pub fn doubt(&self) -> Option<&str> {
        self.doubt.as_deref()
    }

    /// The memory that it lies in; `None` for a file.
    pub fn pages(&self) -> Option<&Pages> {
        self.pages.as_ref()
    }

    /// All tables, for checks.
    pub fn tables(&self) -> &[TableInfo] {
        &self.shared.schema.tables
    }

    fn declared(&self) -> &[&'static dyn AnyTable] {
        &self.shared.schema.declared
    }
}

impl Drop for Store {
    /// Lets the writer finish what waits and close the file.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}
