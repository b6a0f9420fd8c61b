//! The data file: typed tables in one redb file. The only folder that names redb and the record
//! codec.
//!
//! Holds always: a write that was answered with success is on disk; a write that was not has left
//! nothing; readers never wait for writers.

mod check;
mod codec;
mod commit;
mod key;
mod memo;
mod migrate;
#[cfg(test)]
mod model_test;
mod snapshot;
mod table;
mod tx;
mod writer;

use std::fmt;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use redb::backends::FileBackend;
use redb::{Builder, Database, DatabaseError, StorageBackend};
use tokio::sync::{Notify, mpsc, oneshot};

pub use check::{Problems, check_counts};
pub use codec::{Json, Record, decode, encode, serialize_json};
pub use key::Key;
pub use memo::Memo;
pub use migrate::SCHEMA;
pub use table::{Table, TableInfo, by_all_but_uuid, by_uuid};
pub use tx::{Order, Tx, WriteTx};

use crate::error::{Error, Result};
use memo::Memos;
use snapshot::Snapshot;
use writer::{Job, Write};

/// How many writes may wait for the writer before callers have to wait to hand theirs over.
const QUEUE_MAX: usize = 4096;

/// What the storage itself could not do; never the caller's fault.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    fn record(cause: String) -> Failure {
        Failure(cause)
    }

    fn storage(cause: impl Into<redb::Error>) -> Failure {
        Failure(format!("the data file failed: {}", cause.into()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

struct Shared {
    tables: Vec<TableInfo>,
    newest: ArcSwap<Snapshot>,
    memos: Arc<Memos>,
    /// A batch of writes is closed when its changes take so much memory.
    batch_bytes_max: usize,
    watches: RwLock<Vec<Watch>>,
    failed: AtomicBool,
}

/// Somebody who waits for commits that change one of these tables.
struct Watch {
    tables: Vec<&'static str>,
    changed: Arc<Notify>,
}

impl Shared {
    /// Wakes those who wait for one of the changed tables.
    fn wake(&self, changed: &[&'static str]) {
        for watch in self.watches.read().unwrap_or_else(PoisonError::into_inner).iter() {
            if watch.tables.iter().any(|table| changed.contains(table)) {
                watch.changed.notify_one();
            }
        }
    }

    fn fail(&self, failure: &Failure) {
        self.failed.store(true, Ordering::Relaxed);
        tracing::error!(%failure, "a commit failed; nothing of it was acknowledged");
    }
}

/// Where the tables lie.
pub enum Place {
    /// A file, made where there is none.
    File(PathBuf),
    /// Any redb storage: memory, or one that fails on purpose.
    Backend(Box<dyn StorageBackend>),
}

/// The open data file.
pub struct Store {
    shared: Arc<Shared>,
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
        place: Place,
        cache_bytes: usize,
        mut tables: Vec<TableInfo>,
    ) -> std::result::Result<Store, Failure> {
        tables.extend([tx::COUNTS.info(), tx::SEQUENCES.info(), migrate::META.info()]);
        let mut builder = Database::builder();
        builder.set_cache_size(cache_bytes);
        let path = match &place {
            Place::File(path) => Some(path.clone()),
            Place::Backend(_) => None,
        };
        let database = match place {
            Place::File(path) => open_file(&builder, &path)?,
            Place::Backend(backend) => {
                builder.create_with_backend(Boxed(backend)).map_err(Failure::storage)?
            }
        };
        migrate::bring_up(&database, path.as_deref(), &tables)?;
        let names = tables.iter().map(|table| table.name);
        let memos = Arc::new(Memos::default());
        let newest = ArcSwap::from_pointee(Snapshot::take(&database, names, 0, Arc::clone(&memos))?);
        let shared = Arc::new(Shared {
            tables,
            newest,
            memos,
            batch_bytes_max: cache_bytes / 4,
            watches: RwLock::default(),
            failed: AtomicBool::new(false),
        });
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let writer = std::thread::Builder::new()
            .name("writer".into())
            .spawn({
                let shared = Arc::clone(&shared);
                move || writer::run(database, &shared, waiting)
            })
            .map_err(|cause| Failure(format!("the writer thread could not be started: {cause}")))?;
        Ok(Store { shared, queue: Some(queue), writer: Some(writer) })
    }

    /// Runs `work` on the newest committed state. Never waits for a writer.
    pub fn read<T>(&self, work: impl FnOnce(&Tx) -> Result<T>) -> Result<T> {
        work(&Tx::read(self.shared.newest.load()))
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
        let gone = || Error::Internal("the writer has stopped".into());
        let queue = self.queue.as_ref().ok_or_else(gone)?;
        queue.send(job).await.map_err(|_| gone())?;
        outcome.await.map_err(|_| gone())?
    }

    /// Is notified after every commit, from now on, that changes one of the tables.
    pub fn watch(&self, tables: &[TableInfo]) -> Arc<Notify> {
        let changed = Arc::new(Notify::new());
        let watch =
            Watch { tables: tables.iter().map(|table| table.name).collect(), changed: Arc::clone(&changed) };
        self.shared.watches.write().unwrap_or_else(PoisonError::into_inner).push(watch);
        changed
    }

    /// Whether the last commits went through.
    pub fn healthy(&self) -> bool {
        !self.shared.failed.load(Ordering::Relaxed)
    }

    /// All tables, for checks.
    pub fn tables(&self) -> &[TableInfo] {
        &self.shared.tables
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

fn open_file(builder: &Builder, path: &Path) -> std::result::Result<Database, Failure> {
    let shown = path.display();
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let fresh = !path.exists();
    let file = options.open(path).map_err(|cause| Failure(format!("cannot open {shown}: {cause}")))?;
    let bytes = file.metadata().map_or(0, |about| about.len());
    let database = match FileBackend::new(file).and_then(|backend| builder.create_with_backend(backend)) {
        Ok(database) => database,
        Err(DatabaseError::DatabaseAlreadyOpen) => {
            return Err(Failure(format!("{shown} is in use by another orgd process")));
        }
        Err(cause) if bytes > 0 => {
            return Err(Failure(format!("{shown} is not an orgd data file, or is damaged: {cause}")));
        }
        Err(cause) => return Err(Failure(format!("cannot make {shown}: {cause}"))),
    };
    if fresh {
        // The new name must outlive a power cut as well as the bytes behind it.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|cause| Failure(format!("cannot secure {shown}: {cause}")))?;
    }
    Ok(database)
}

/// A storage that was chosen at run time.
#[derive(Debug)]
struct Boxed(Box<dyn StorageBackend>);

impl StorageBackend for Boxed {
    fn len(&self) -> std::io::Result<u64> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.0.read(offset, out)
    }
    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.0.set_len(len)
    }
    fn sync_data(&self) -> std::io::Result<()> {
        self.0.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.0.write(offset, data)
    }
}
