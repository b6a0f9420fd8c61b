//! The rows of a state as a stream of bytes, from the process that has the file to the one that writes the copy.
//!
//! First `orgd rows` and a line feed, the number of this form (1), and the header. Then frames, each with a letter in
//! front: `T` a table and its name, `R` a row with its key and its record, `E` the end, with what all rows are
//! together. Header and end are JSON; names, keys, records and JSON
//! have their length in front, 32 bits, the greatest byte first. A stream without its end is none.

use std::io::{ErrorKind, Read};

use bytes::{Buf, Bytes};
use tokio::sync::mpsc;

use super::Outcome;
use crate::store::{Header, Rows, Step, StoreError};
use crate::yielding_thread;

const BEGINNING: &[u8] = b"orgd rows\n\x01";
/// A piece of the stream, in bytes, unless one row is larger.
const PIECE_BYTES: usize = 256 * 1024;
/// Pieces that wait to be taken.
const PIECES_AHEAD: usize = 1;

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn put_json(out: &mut Vec<u8>, value: &impl serde::Serialize) {
    put(out, &serde_json::to_vec(value).unwrap_or_default());
}

/// Adds the frame of a step.
fn put_step(out: &mut Vec<u8>, step: &Step) {
    match step {
        Step::Table(name) => {
            out.push(b'T');
            put(out, name.as_bytes());
        }
        Step::Row(key, record) => {
            out.push(b'R');
            put(out, key);
            put(out, record);
        }
        Step::End(contents) => {
            out.push(b'E');
            put_json(out, contents);
        }
    }
}

/// A state as pieces of such a stream, made ahead of who takes them by a thread that gives way to requests.
pub struct RowStream {
    pieces: mpsc::Receiver<Outcome<Bytes>>,
}

impl RowStream {
    /// # Errors
    /// There can be no other thread.
    pub fn new(rows: impl Rows + Send + 'static) -> Outcome<RowStream> {
        let (made, pieces) = mpsc::channel(PIECES_AHEAD);
        let started = yielding_thread::start("backup", move || send_all(rows, &made));
        started.map_err(|cause| format!("the rows can't be read: {cause}"))?;
        Ok(RowStream { pieces })
    }

    /// The next piece; `None` after the end.
    ///
    /// # Errors
    /// The rows can't be read; the stream has no end then.
    pub async fn next(&mut self) -> Outcome<Option<Bytes>> {
        self.pieces.recv().await.transpose()
    }
}

/// Sends pieces until the end, an error, or until nobody takes them any more.
fn send_all(mut rows: impl Rows, made: &mpsc::Sender<Outcome<Bytes>>) {
    let mut piece = BEGINNING.to_vec();
    put_json(&mut piece, rows.header());
    loop {
        let filled = fill(&mut rows, &mut piece);
        let goes_on = matches!(filled, Ok(false));
        let piece = filled.map(|_| std::mem::take(&mut piece).into()).map_err(|cause| cause.to_string());
        if made.blocking_send(piece).is_err() || !goes_on {
            return;
        }
    }
}

/// Fills a piece, and says whether it is the last one.
fn fill(rows: &mut dyn Rows, piece: &mut Vec<u8>) -> Result<bool, StoreError> {
    while piece.len() < PIECE_BYTES {
        let step = rows.next()?;
        put_step(piece, &step);
        if matches!(step, Step::End(_)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The pieces of a stream, as they come from elsewhere, for a thread that may wait.
pub struct Incoming {
    pieces: mpsc::Receiver<Outcome<Bytes>>,
    piece: Bytes,
}

impl Incoming {
    pub fn new(pieces: mpsc::Receiver<Outcome<Bytes>>) -> Incoming {
        Incoming { pieces, piece: Bytes::new() }
    }
}

impl Read for Incoming {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(Ok(piece)) => self.piece = piece,
                Some(Err(sentence)) => return Err(std::io::Error::other(sentence)),
                None => return Ok(0),
            }
        }
        let count = out.len().min(self.piece.len());
        self.piece.split_to(count).copy_to_slice(&mut out[..count]);
        Ok(count)
    }
}

/// Reads a state from such a stream.
pub struct FrameReader<R> {
    from: R,
    header: Header,
}

fn broken(cause: &str) -> StoreError {
    StoreError::record(format!("the copy broke off: {cause}"))
}

impl<R: Read> FrameReader<R> {
    /// Reads the beginning.
    ///
    /// # Errors
    /// It is no stream of rows.
    pub fn new(mut from: R) -> Result<FrameReader<R>, StoreError> {
        let mut beginning = [0; BEGINNING.len()];
        from.read_exact(&mut beginning).map_err(|cause| broken(&cause.to_string()))?;
        if beginning != BEGINNING {
            return Err(broken("these are no rows in a form that this orgd knows"));
        }
        let text = read_part(&mut from)?;
        let header = serde_json::from_slice(&text).map_err(|cause| broken(&cause.to_string()))?;
        Ok(FrameReader { from, header })
    }

    fn text(&mut self) -> Result<String, StoreError> {
        String::from_utf8(read_part(&mut self.from)?).map_err(|cause| broken(&cause.to_string()))
    }
}

/// What has its length in front. Memory is taken as bytes arrive.
fn read_part(from: &mut impl Read) -> Result<Vec<u8>, StoreError> {
    let mut length = [0; 4];
    from.read_exact(&mut length).map_err(|cause| broken(&cause.to_string()))?;
    let length = u32::from_be_bytes(length);
    let mut bytes = Vec::new();
    let read = from.take(length.into()).read_to_end(&mut bytes);
    match read.map_err(|cause| broken(&cause.to_string()))? {
        read if read as u64 == u64::from(length) => Ok(bytes),
        _ => Err(broken("a row is not whole")),
    }
}

impl<R: Read> Rows for FrameReader<R> {
    fn header(&self) -> &Header {
        &self.header
    }

    fn next(&mut self) -> Result<Step, StoreError> {
        let mut letter = [0];
        self.from.read_exact(&mut letter).map_err(|cause| match cause.kind() {
            ErrorKind::UnexpectedEof => broken("its end is missing"),
            _ => broken(&cause.to_string()),
        })?;
        match letter[0] {
            b'T' => self.text().map(Step::Table),
            b'R' => Ok(Step::Row(read_part(&mut self.from)?, read_part(&mut self.from)?)),
            b'E' => {
                let contents = serde_json::from_slice(&read_part(&mut self.from)?);
                contents.map(Step::End).map_err(|cause| broken(&cause.to_string()))
            }
            _ => Err(broken("a frame is of no known kind")),
        }
    }
}
