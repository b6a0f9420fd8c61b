//! The rows of a state as a stream of bytes, from the process that has the file to the one that writes the copy.
//!
//! First `orgd rows` and a line feed, the number of this form (1), and the header. Then frames, each with a letter in
//! front: `T` a table and its name, `R` a row with its key and its record, `E` the end, with what all rows are
//! together, `X` a sentence that says why there will be no end. Header and end are JSON; names, keys, records and JSON
//! have their length in front, 32 bits, the greatest byte first. A stream without its end is none.

use std::io::{ErrorKind, Read};
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::Outcome;
use crate::store::{Contents, Header, Pinned, Rows, Step, Store, StoreError};

const BEGINNING: &[u8] = b"orgd rows\n\x01";
/// A piece of the stream, in bytes, unless one row is larger.
const PIECE_BYTES: usize = 256 * 1024;
/// A reader who takes nothing for so long is cut off: as long as a state is pinned, the file grows.
const STALL_SECONDS_MAX: u64 = 60;

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

/// A state and the piece of it that is sent next.
struct Sending {
    rows: Pinned,
    piece: Vec<u8>,
    end: Option<Result<Contents, StoreError>>,
}

impl Sending {
    fn fill(&mut self) {
        while self.piece.len() < PIECE_BYTES && self.end.is_none() {
            match self.rows.next() {
                Ok(step) => {
                    put_step(&mut self.piece, &step);
                    self.end = if let Step::End(contents) = step { Some(Ok(contents)) } else { None };
                }
                Err(failure) => {
                    self.piece.push(b'X');
                    put(&mut self.piece, failure.to_string().as_bytes());
                    self.end = Some(Err(failure));
                }
            }
        }
    }
}

/// Sends all rows, as fast as they are taken. Says what they were.
///
/// # Errors
/// The rows can't be read, or nobody takes them; the stream has no end then.
pub async fn send(store: &Store, rows: Pinned, out: &mut (impl AsyncWrite + Unpin)) -> Outcome<Contents> {
    let mut piece = BEGINNING.to_vec();
    put_json(&mut piece, rows.header());
    let mut sending = Sending { rows, piece, end: None };
    loop {
        let filled = tokio::task::spawn_blocking(move || {
            sending.fill();
            sending
        });
        sending = filled.await.map_err(|cause| format!("the rows could not be read: {cause}"))?;
        send_piece(store, &sending.piece, out).await?;
        sending.piece.clear();
        if let Some(end) = sending.end.take() {
            out.flush().await.map_err(|cause| format!("the copy can't be sent: {cause}"))?;
            return end.map_err(|failure| failure.to_string());
        }
    }
}

/// Sends a piece, unless it takes too long or the file fails meanwhile.
async fn send_piece(store: &Store, mut piece: &[u8], out: &mut (impl AsyncWrite + Unpin)) -> Outcome<()> {
    let mut stalled = 0;
    while !piece.is_empty() {
        if !store.healthy() {
            return Err("the data file failed while it was copied".into());
        }
        match tokio::time::timeout(Duration::from_secs(1), out.write(piece)).await {
            Ok(Ok(0)) => return Err("the copy can't be sent: nobody takes it any more".into()),
            Ok(Ok(sent)) => {
                piece = &piece[sent..];
                stalled = 0;
            }
            Ok(Err(cause)) => return Err(format!("the copy can't be sent: {cause}")),
            Err(_) if stalled == STALL_SECONDS_MAX => {
                return Err(format!("nothing of the copy was taken for {STALL_SECONDS_MAX} seconds"));
            }
            Err(_) => stalled += 1,
        }
    }
    Ok(())
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
            b'X' => Err(broken(&self.text()?)),
            _ => Err(broken("a frame is of no known kind")),
        }
    }
}
