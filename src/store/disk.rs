//! Where the bytes of the data file lie, so that a failed commit can be taken back.
//!
//! redb gives a file up for good after the first write that fails: it then reads no page any more. So it
//! never sees one. From the first failure on, what it writes is kept in memory, the file stays as it is, and
//! the commit counts as failed. Readers go on; `Disk::restore` brings the file back to its last good commit,
//! and `Disk::mount` gives it to a new `Database`.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use redb::{BackendError, StorageBackend};
use tokio::sync::Notify;

use crate::metrics;

/// What redb rewrites in place with each commit lies in front of this, in bytes. No other page of a commit
/// is overwritten before the next one.
const HEADER_BYTES: usize = 512;
/// Bytes kept together in memory.
const BLOCK: usize = 4096;

/// Where bytes were written, and how many.
type Span = (u64, usize);
type LockRange = (Bound<u64>, Bound<u64>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The storage below all `Database`s that are opened on it, one after the other. It holds the file's lock
/// from the first of them on until it is closed.
pub(super) struct Disk {
    base: Box<dyn StorageBackend>,
    locked: Mutex<HashSet<LockRange>>,
    good: Mutex<Good>,
    unmarked: Mutex<Unmarked>,
    /// Told of reads that failed.
    pub(super) unreadable: Notify,
}

impl fmt::Debug for Disk {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Disk").finish_non_exhaustive()
    }
}

/// The last good commit: what `restore` brings back.
#[derive(Default)]
struct Good {
    header: Vec<u8>,
    len: u64,
}

/// What readers see beside the last good commit, as far as it had to make room in memory: a new `Database` may write
/// over it.
#[derive(Default)]
struct Unmarked {
    notes: bool,
    spans: Vec<Span>,
}

impl Disk {
    pub(super) fn new(base: Box<dyn StorageBackend>) -> Arc<Disk> {
        Arc::new(Disk {
            base,
            locked: Mutex::default(),
            good: Mutex::default(),
            unmarked: Mutex::default(),
            unreadable: Notify::new(),
        })
    }

    /// The storage for one `Database`.
    pub(super) fn mount(self: &Arc<Disk>) -> Medium {
        let mount = Mount { disk: Arc::clone(self), failed: AtomicBool::new(false), kept: Mutex::default() };
        Medium(Arc::new(mount))
    }

    /// The storage for one `Database` that changes nothing: all that it writes stays in memory.
    pub(super) fn mount_untouched(self: &Arc<Disk>) -> io::Result<Medium> {
        let medium = self.mount();
        medium.0.keep_from_now_on(None)?;
        Ok(medium)
    }

    /// Notes that the file is at a good commit.
    pub(super) fn mark(&self) -> io::Result<()> {
        let len = self.base.len()?;
        let mut header = vec![0; HEADER_BYTES.min(usize::try_from(len).unwrap_or(HEADER_BYTES))];
        self.base.read(0, &mut header)?;
        *lock(&self.good) = Good { header, len };
        *lock(&self.unmarked) = Unmarked::default();
        Ok(())
    }

    /// Notes from now on where is written, up to the next good commit and with what that itself writes: it may fail when
    /// half of what readers see has left the memory for the disk.
    pub(super) fn note_writes(&self) {
        lock(&self.unmarked).notes = true;
    }

    /// Brings the file back to the commit that was noted last. No `Database` may be writing to it.
    pub(super) fn restore(&self) -> io::Result<()> {
        let good = lock(&self.good);
        self.base.set_len(good.len)?;
        self.base.write(0, &good.header)?;
        self.base.sync_data()
    }

    /// Gives the file's lock back. Nothing may use the disk any more.
    pub(super) fn close(&self) {
        // Where it fails, the lock ends with the process.
        let _ = self.base.close();
    }
}

/// What one `Database` reads and writes.
#[derive(Clone, Debug)]
pub(super) struct Medium(Arc<Mount>);

#[derive(Debug)]
struct Mount {
    disk: Arc<Disk>,
    /// Whether a write has failed: from then on, nothing is written to the disk.
    failed: AtomicBool,
    kept: Mutex<Kept>,
}

/// What was written since the failure.
#[derive(Default)]
struct Kept {
    blocks: HashMap<u64, Box<[u8]>>,
    len: u64,
    cause: Option<io::Error>,
}

impl fmt::Debug for Kept {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Kept").field("len", &self.len).field("cause", &self.cause).finish_non_exhaustive()
    }
}

/// The blocks that a span of bytes touches: number, place in the block, place in the span.
fn blocks(
    offset: u64,
    bytes: usize,
) -> impl Iterator<Item = (u64, std::ops::Range<usize>, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let left = bytes.checked_sub(done).filter(|left| *left > 0)?;
        let at = offset + done as u64;
        let inside = usize::try_from(at % BLOCK as u64).unwrap_or(0);
        let take = left.min(BLOCK - inside);
        let span = done..done + take;
        done += take;
        Some((at / BLOCK as u64, inside..inside + take, span))
    })
}

impl Medium {
    /// What went wrong with a write, if anything has.
    pub(super) fn failure(&self) -> Option<String> {
        if !self.0.is_kept() {
            return None;
        }
        lock(&self.0.kept).cause.as_ref().map(io::Error::to_string)
    }

    /// Writes nothing to the disk any more.
    pub(super) fn let_go(&self) -> io::Result<()> {
        self.0.keep_from_now_on(Some(io::Error::other("the file was opened again")))
    }
}

impl Mount {
    fn keep_from_now_on(&self, cause: Option<io::Error>) -> io::Result<()> {
        let mut kept = lock(&self.kept);
        if !self.failed.load(Ordering::Acquire) {
            kept.len = self.disk.base.len()?;
            kept.cause = cause;
            for (offset, bytes) in std::mem::take(&mut lock(&self.disk.unmarked).spans) {
                let mut data = vec![0; bytes];
                // What can't be read now could not be read later.
                if self.read_below(offset, &mut data).is_ok() {
                    self.put_kept(&mut kept, offset, &data)?;
                }
            }
            self.failed.store(true, Ordering::Release);
        }
        Ok(())
    }

    fn is_kept(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Runs `work` on the disk. `false`: it has failed, now or before, and is to be done in memory.
    fn on_disk(&self, work: impl FnOnce(&dyn StorageBackend) -> io::Result<()>) -> io::Result<bool> {
        if self.is_kept() {
            return Ok(false);
        }
        match work(&*self.disk.base) {
            Ok(()) => Ok(true),
            Err(cause) => {
                self.keep_from_now_on(Some(cause))?;
                Ok(false)
            }
        }
    }

    /// Reads from the disk; what lies after its end is zero.
    fn read_below(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let len = self.disk.base.len()?;
        let there = usize::try_from(len.saturating_sub(offset)).unwrap_or(usize::MAX).min(out.len());
        let (there, missing) = out.split_at_mut(there);
        missing.fill(0);
        if there.is_empty() { Ok(()) } else { self.disk.base.read(offset, there) }
    }

    fn read_kept(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let kept = lock(&self.kept);
        if offset.saturating_add(out.len() as u64) > kept.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if kept.blocks.is_empty() {
            return self.read_below(offset, out);
        }
        for (number, inside, span) in blocks(offset, out.len()) {
            match kept.blocks.get(&number) {
                Some(block) => out[span].copy_from_slice(&block[inside]),
                None => self.read_below(offset + span.start as u64, &mut out[span])?,
            }
        }
        Ok(())
    }

    fn write_kept(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.put_kept(&mut lock(&self.kept), offset, data)
    }

    fn put_kept(&self, kept: &mut Kept, offset: u64, data: &[u8]) -> io::Result<()> {
        for (number, inside, span) in blocks(offset, data.len()) {
            let block = match kept.blocks.entry(number) {
                std::collections::hash_map::Entry::Occupied(block) => block.into_mut(),
                std::collections::hash_map::Entry::Vacant(place) => {
                    let mut block = vec![0; BLOCK].into_boxed_slice();
                    if inside.len() < BLOCK {
                        self.read_below(number * BLOCK as u64, &mut block)?;
                    }
                    place.insert(block)
                }
            };
            block[inside].copy_from_slice(&data[span]);
        }
        kept.len = kept.len.max(offset.saturating_add(data.len() as u64));
        Ok(())
    }

    fn set_len_kept(&self, len: u64) {
        let mut kept = lock(&self.kept);
        if len < kept.len {
            // What was there must not come back when the file grows again.
            let first = len / BLOCK as u64;
            kept.blocks.retain(|number, _| *number <= first);
            if let Some(block) = kept.blocks.get_mut(&first) {
                let from = usize::try_from(len % BLOCK as u64).unwrap_or(0);
                block[from..].fill(0);
            }
        }
        kept.len = len;
    }
}

impl StorageBackend for Medium {
    fn len(&self) -> io::Result<u64> {
        if self.0.is_kept() { Ok(lock(&self.0.kept).len) } else { self.0.disk.base.len() }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let Mount { disk, .. } = &*self.0;
        let read = if self.0.is_kept() { self.0.read_kept(offset, out) } else { disk.base.read(offset, out) };
        if read.is_err() {
            disk.unreadable.notify_one();
        }
        read
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if !self.0.on_disk(|base| base.set_len(len))? {
            self.0.set_len_kept(len);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let started = Instant::now();
        let synced = self.0.on_disk(|base| base.sync_data()).map(drop);
        metrics::SYNCS.took(started.elapsed());
        synced
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if !self.0.on_disk(|base| base.write(offset, data))? {
            return self.0.write_kept(offset, data);
        }
        let mut unmarked = lock(&self.0.disk.unmarked);
        if unmarked.notes {
            unmarked.spans.push((offset, data.len()));
        }
        Ok(())
    }

    /// The disk keeps its locks for the next `Database`.
    fn close(&self) -> io::Result<()> {
        Ok(())
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        let mut locked = lock(&self.0.disk.locked);
        if locked.contains(&(start, end)) {
            return Ok(true);
        }
        let is_ours = self.0.disk.base.try_lock_range(start, end)?;
        if is_ours {
            locked.insert((start, end));
        }
        Ok(is_ours)
    }

    fn unlock_range(&self, _start: Bound<u64>, _end: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.disk.base.query_lock_range(start, end)
    }
}
