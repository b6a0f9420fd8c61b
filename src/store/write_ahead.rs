//! The write-ahead log beside the data file: what was acknowledged since the file's last durable commit.
//!
//! A durable commit of redb writes dozens of pages and syncs twice, however small the change. So most batches are written
//! to the log, as one entry and with one sync, and to the file without one. Now and then a durable commit makes the file
//! whole, notes how far it has come, and the log begins again at its front. After a crash the entries that the file lacks
//! are written to it before anybody reads.
//!
//! An entry is `orgw`, the log's salt (16 bytes), its sequence (8), the length of its body (4), a CRC-32 of all that and of
//! the body (4), and the body; numbers are big-endian. Invariants: an entry is begun only after the one before it was
//! synced; sequences grow by one with each batch, whether an entry or the file takes it; the file notes the salt, the sequence
//! of the last batch that it holds and, before there is an entry beyond it, that it goes on in the log.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use redb::StorageBackend;
use uuid::Uuid;

use super::StoreError;
use super::tx::Staged;
use crate::metrics;

const MAGIC: &[u8; 4] = b"orgw";
const HEAD_BYTES: usize = 36;
/// Where the checksum stands in the head.
const CHECKSUM_AT: usize = 32;
/// The log grows by so many zeros at once: to write over them moves no metadata of the file system.
const STEP_BYTES: u64 = 1024 * 1024;
/// No entry is begun that would end behind this; the file takes it by a durable commit.
const BYTES_MAX: u64 = 4 * STEP_BYTES;
/// The file is not left behind the log for longer.
const BEHIND_MAX: Duration = Duration::from_secs(1);

/// Where the write-ahead log of a data file lies while the file is open, and after a crash.
pub fn beside(file: &Path) -> PathBuf {
    // By whatever name the file is opened.
    let mut path = file.canonicalize().unwrap_or_else(|_| file.to_owned()).into_os_string();
    path.push("-wal");
    path.into()
}

/// Gives a log another name that lies where a new file comes to be: it belongs to one that was there before.
///
/// # Errors
/// It can't be renamed.
pub fn set_aside(file: &Path) -> io::Result<()> {
    let log = beside(file);
    let mut old = log.clone().into_os_string();
    old.push(".old");
    match std::fs::rename(&log, old) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
        _ => Ok(()),
    }
}

/// At the end of the text of a position with a log that goes on.
const GOES_ON: &str = " goes on";

/// How far a file has come in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    salt: Uuid,
    /// Of the last batch that the file holds.
    sequence: u64,
    /// Whether the log may hold more.
    pub(super) goes_on: bool,
}

impl Position {
    /// In a log that has no entries yet.
    pub(super) fn new(after: Option<Position>) -> Position {
        let sequence = after.map_or(0, |position| position.sequence);
        Position { salt: Uuid::new_v4(), sequence, goes_on: false }
    }

    /// One batch later.
    pub(super) fn after_one(self) -> Position {
        Position { sequence: self.sequence + 1, ..self }
    }

    /// The same in a log that is not needed any more.
    pub(super) fn closed(self) -> Position {
        Position { goes_on: false, ..self }
    }

    pub(super) fn text(self) -> String {
        let end = if self.goes_on { GOES_ON } else { "" };
        format!("{} {}{end}", self.salt.simple(), self.sequence)
    }

    pub(super) fn read(text: &str) -> Option<Position> {
        let (rest, goes_on) = match text.strip_suffix(GOES_ON) {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let (salt, sequence) = rest.split_once(' ')?;
        Some(Position { salt: Uuid::try_parse(salt).ok()?, sequence: sequence.parse().ok()?, goes_on })
    }
}

/// An entry as it was found.
struct Entry {
    salt: Uuid,
    sequence: u64,
    body: Vec<u8>,
}

impl Entry {
    fn bytes(&self) -> u64 {
        (HEAD_BYTES + self.body.len()) as u64
    }
}

/// A change of one row: its key, and its record; `None` deletes.
pub(super) type Change<'a> = (&'a [u8], Option<&'a [u8]>);

/// What a log holds that its file does not.
pub(super) struct Missing {
    bodies: Vec<Vec<u8>>,
    /// Where the file will have come with it.
    pub(super) position: Option<Position>,
}

impl Missing {
    /// A file at this position has everything.
    pub(super) fn nothing(at: Option<Position>) -> Missing {
        Missing { bodies: Vec::new(), position: at }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bodies.is_empty()
    }

    /// Shows `apply` the changes, in the order in which they were made.
    ///
    /// # Errors
    /// Those of `apply`; an entry that is not what this program writes.
    pub(super) fn each(
        &self,
        mut apply: impl FnMut(&str, &[Change<'_>]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for body in &self.bodies {
            let mut rest = body.as_slice();
            while !rest.is_empty() {
                let (table, changes) =
                    read_table(&mut rest).ok_or_else(|| damage("an entry of it can't be read"))?;
                apply(table, &changes)?;
            }
        }
        Ok(())
    }
}

fn damage(what: &str) -> StoreError {
    StoreError::damage(format!("its write-ahead log is damaged: {what}"))
}

/// The log can't be read or written.
pub(super) fn of_disk(cause: &io::Error) -> StoreError {
    StoreError::disk(&format!("its write-ahead log: {cause}"))
}

/// Reads what a log, which is named to the operator, holds up to `end` that a file at this position does not.
///
/// # Errors
/// It is the log of another file, or of another state of it; it is damaged; it can't be read.
pub(super) fn missing(
    log: &dyn StorageBackend,
    shown: &dyn fmt::Display,
    at: Option<Position>,
    end: Option<u64>,
) -> Result<Missing, StoreError> {
    let len = log.len().map_err(|cause| of_disk(&cause))?;
    let len = end.map_or(len, |end| end.min(len));
    let mut missing = Missing::nothing(at.map(Position::closed));
    let (mut place, mut last) = (0, None);
    while let Some(entry) = read_entry(log, place, len)? {
        match last {
            None => belongs(&entry, at, shown)?,
            Some(last) if entry.sequence != last + 1 || Some(entry.salt) != at.map(|at| at.salt) => break,
            Some(_) => {}
        }
        last = Some(entry.sequence);
        place += entry.bytes();
        if at.is_some_and(|at| entry.sequence > at.sequence) {
            missing.position = Some(Position { salt: entry.salt, sequence: entry.sequence, goes_on: false });
            missing.bodies.push(entry.body);
        }
    }
    refuse_later(log, place, len, missing.position)?;
    Ok(missing)
}

/// Whether the first entry goes on from where the file is, or from before.
fn belongs(first: &Entry, at: Option<Position>, shown: &dyn fmt::Display) -> Result<(), StoreError> {
    match at {
        Some(at) if at.salt == first.salt && first.sequence <= at.sequence + 1 => Ok(()),
        _ => Err(StoreError::record(format!(
            "{shown} holds writes that follow another state of the data file: put the file back that the log belongs to, or move the log away to do without those writes"
        ))),
    }
}

/// An entry behind one that is not whole was begun after that was acknowledged: it is damage, and no crash.
fn refuse_later(
    log: &dyn StorageBackend,
    from: u64,
    len: u64,
    known: Option<Position>,
) -> Result<(), StoreError> {
    let Some(known) = known else { return Ok(()) };
    let mut rest = vec![0; usize::try_from(len.saturating_sub(from)).unwrap_or(0)];
    if !rest.is_empty() {
        log.read(from, &mut rest).map_err(|cause| of_disk(&cause))?;
    }
    for place in (0..rest.len()).filter(|place| rest[*place..].starts_with(MAGIC)) {
        let later = read_entry(log, from + place as u64, len)?;
        if later.is_some_and(|entry| entry.salt == known.salt && entry.sequence > known.sequence) {
            return Err(damage("an entry in the middle of it is not what was written"));
        }
    }
    Ok(())
}

/// The entry at a place, where a whole one stands there.
fn read_entry(log: &dyn StorageBackend, place: u64, len: u64) -> Result<Option<Entry>, StoreError> {
    let left = len.saturating_sub(place);
    if left < HEAD_BYTES as u64 {
        return Ok(None);
    }
    let mut head = [0; HEAD_BYTES];
    log.read(place, &mut head).map_err(|cause| of_disk(&cause))?;
    let Some(found) = Head::read(&head).filter(|found| u64::from(found.length) <= left - HEAD_BYTES as u64)
    else {
        return Ok(None);
    };
    let mut body = vec![0; found.length as usize];
    log.read(place + HEAD_BYTES as u64, &mut body).map_err(|cause| of_disk(&cause))?;
    let is_whole = checksum(&head, &body) == found.checksum;
    Ok(is_whole.then_some(Entry { salt: found.salt, sequence: found.sequence, body }))
}

struct Head {
    salt: Uuid,
    sequence: u64,
    length: u32,
    checksum: u32,
}

impl Head {
    fn read(bytes: &[u8; HEAD_BYTES]) -> Option<Head> {
        let mut rest = bytes.as_slice();
        if take(&mut rest, MAGIC.len())? != MAGIC {
            return None;
        }
        Some(Head {
            salt: Uuid::from_slice(take(&mut rest, 16)?).ok()?,
            sequence: u64::from_be_bytes(take(&mut rest, 8)?.try_into().ok()?),
            length: number(&mut rest)?,
            checksum: number(&mut rest)?,
        })
    }
}

fn checksum(head: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&head[..CHECKSUM_AT]);
    hasher.update(body);
    hasher.finalize()
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(take(rest, 4)?.try_into().ok()?))
}

fn read_table<'a>(rest: &mut &'a [u8]) -> Option<(&'a str, Vec<Change<'a>>)> {
    let length = number(rest)? as usize;
    let table = std::str::from_utf8(take(rest, length)?).ok()?;
    let count = number(rest)?;
    let mut changes = Vec::new();
    for _ in 0..count {
        let length = number(rest)? as usize;
        let key = take(rest, length)?;
        let record = match number(rest)? {
            0 => None,
            length => Some(take(rest, length as usize - 1)?),
        };
        changes.push((key, record));
    }
    Some((table, changes))
}

/// Writes an entry in place of what `out` held. Equal batches make equal bodies: tables by name, rows by key.
fn write_entry(out: &mut Vec<u8>, at: Position, batch: &Staged) {
    let put = |out: &mut Vec<u8>, count: usize| {
        out.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
    };
    out.clear();
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(at.salt.as_bytes());
    out.extend_from_slice(&at.sequence.to_be_bytes());
    // Length and checksum come when the body is known.
    out.extend_from_slice(&[0; 8]);
    let mut tables: Vec<_> = batch.tables.iter().collect();
    tables.sort_unstable_by_key(|(name, _)| **name);
    for (name, changes) in tables {
        put(out, name.len());
        out.extend_from_slice(name.as_bytes());
        put(out, changes.len());
        for (key, record) in changes {
            put(out, key.len());
            out.extend_from_slice(key);
            put(out, record.as_ref().map_or(0, |record| record.len() + 1));
            out.extend_from_slice(record.as_deref().unwrap_or_default());
        }
    }
    let length = u32::try_from(out.len() - HEAD_BYTES).unwrap_or(u32::MAX);
    out[CHECKSUM_AT - 4..CHECKSUM_AT].copy_from_slice(&length.to_be_bytes());
    let sum = checksum(&out[..HEAD_BYTES], &out[HEAD_BYTES..]);
    out[CHECKSUM_AT..HEAD_BYTES].copy_from_slice(&sum.to_be_bytes());
}

/// Takes care that no entry of the log is found any more.
///
/// # Errors
/// It can't be written.
pub(super) fn clear(log: &dyn StorageBackend) -> io::Result<()> {
    if log.len()? >= HEAD_BYTES as u64 {
        log.write(0, &[0; HEAD_BYTES])?;
        log.sync_data()?;
    }
    Ok(())
}

/// A log that takes entries.
pub(super) struct WriteAhead {
    log: Arc<dyn StorageBackend>,
    /// Of the last batch.
    position: Position,
    /// Where the next entry goes.
    end: u64,
    /// So many bytes may be written over.
    prepared: u64,
    /// When the first entry was written that the file lacks.
    behind_since: Option<Instant>,
    entry: Vec<u8>,
    /// To the thread that waits for the disk, while the file takes the same changes.
    to_sync: mpsc::SyncSender<()>,
    synced: Mutex<mpsc::Receiver<io::Result<()>>>,
}

impl WriteAhead {
    /// Begins a log that a file at this position goes on in. Its storage holds no entry of it.
    ///
    /// # Errors
    /// It can't be written, or there can be no other thread.
    pub(super) fn begin(log: Arc<dyn StorageBackend>, position: Position) -> io::Result<WriteAhead> {
        let (to_sync, requests) = mpsc::sync_channel(1);
        let (done, synced) = mpsc::sync_channel(1);
        let syncing = Arc::clone(&log);
        std::thread::Builder::new().name("log".into()).spawn(move || {
            while requests.recv().is_ok() {
                let started = Instant::now();
                let outcome = syncing.sync_data();
                metrics::SYNCS.took(started.elapsed());
                if done.send(outcome).is_err() {
                    break;
                }
            }
        })?;
        let mut begun = WriteAhead {
            log,
            position: Position { goes_on: true, ..position },
            end: 0,
            prepared: 0,
            behind_since: None,
            entry: Vec::new(),
            to_sync,
            synced: Mutex::new(synced),
        };
        begun.prepare(STEP_BYTES)?;
        begun.log.sync_data()?;
        Ok(begun)
    }

    fn prepare(&mut self, up_to: u64) -> io::Result<()> {
        while self.prepared < up_to {
            let next = self.prepared + STEP_BYTES;
            if self.log.len()? < next {
                self.log.set_len(next)?;
            }
            self.log.write(self.prepared, &vec![0; usize::try_from(STEP_BYTES).unwrap_or(0)])?;
            self.prepared = next;
        }
        Ok(())
    }

    /// Where a file has come that holds all entries.
    pub(super) fn position(&self) -> Position {
        self.position
    }

    /// Where the last entry that was synced ends.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// When the file has to catch up, unless it did before.
    pub(super) fn due(&self) -> Option<Instant> {
        self.behind_since.map(|since| since + BEHIND_MAX)
    }

    /// Begins to write the batch as the next entry. `None`: it has no place here, and is for a durable commit.
    ///
    /// # Errors
    /// It can't be written.
    pub(super) fn write(&mut self, batch: &Staged, now: Instant) -> io::Result<Option<Syncing<'_>>> {
        const KEPT_BYTES: usize = 256 * 1024;
        if self.due().is_some_and(|due| due <= now) {
            return Ok(None);
        }
        let next = self.position.after_one();
        self.entry.shrink_to(KEPT_BYTES);
        write_entry(&mut self.entry, next, batch);
        let end = self.end + self.entry.len() as u64;
        if end > BYTES_MAX {
            return Ok(None);
        }
        self.prepare(end)?;
        self.log.write(self.end, &self.entry)?;
        self.to_sync.send(()).map_err(|_| io::Error::other("the thread has ended"))?;
        Ok(Some(Syncing { log: self, end, now }))
    }

    /// The file holds all up to the position: the next entry goes to the front.
    pub(super) fn restart(&mut self, position: Position) {
        self.position = position;
        self.end = 0;
        self.behind_since = None;
    }

    /// Takes care, as far as the disk lets us, that an entry that was begun is not found.
    pub(super) fn let_go(&self) {
        let head = [0; HEAD_BYTES];
        let _ = self.log.write(self.end, &head).and_then(|()| self.log.sync_data());
    }
}

/// An entry on its way to the disk. Nobody finds it who looks no further than the log's end, until it is kept.
pub(super) struct Syncing<'a> {
    log: &'a mut WriteAhead,
    end: u64,
    now: Instant,
}

impl<'a> Syncing<'a> {
    /// Waits until the entry is on the disk.
    ///
    /// # Errors
    /// It may not be there.
    pub(super) fn wait(self) -> io::Result<Synced<'a>> {
        let synced = self.log.synced.get_mut().unwrap_or_else(PoisonError::into_inner);
        synced.recv().map_err(|_| io::Error::other("the thread has ended"))??;
        Ok(Synced(self))
    }
}

/// An entry that is on the disk.
pub(super) struct Synced<'a>(Syncing<'a>);

impl Synced<'_> {
    /// The file has it as well.
    pub(super) fn keep(self) {
        let Syncing { log, end, now } = self.0;
        log.position = log.position.after_one();
        log.end = end;
        log.behind_since.get_or_insert(now);
    }
}
