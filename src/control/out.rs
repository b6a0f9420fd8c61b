//! Where the answer to a request is handed over, piece by piece: a request waits until its pieces are taken.

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc;

/// Pieces that wait to be taken; with pieces of `PIECE_BYTES_MAX`, this bounds what a request holds in memory.
const WAITING_MAX: usize = 4;
/// Largest piece of bytes; what is larger is handed over in several.
pub(super) const PIECE_BYTES_MAX: usize = 256 * 1024;

/// A part of the answer.
#[derive(Debug)]
pub enum Piece {
    /// A JSON value, a line of its own.
    Line(Value),
    /// The next bytes of a stream. No line stands for their end: it is that of the answer, or the next line.
    Bytes(Bytes),
}

/// Nobody takes the answer any more; whoever works on it may stop.
#[derive(Debug)]
pub struct Gone;

/// Takes the pieces.
#[derive(Clone)]
pub struct Out(mpsc::Sender<Piece>);

/// Gives the pieces.
pub type Pieces = mpsc::Receiver<Piece>;

/// Both ends.
pub fn pipe() -> (Out, Pieces) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    (Out(sender), receiver)
}

impl Out {
    /// Hands a line over.
    ///
    /// # Errors
    /// Nobody takes it.
    pub async fn line(&self, line: &impl Serialize) -> Result<(), Gone> {
        self.0.send(Piece::Line(value(line)?)).await.map_err(|_| Gone)
    }

    /// Hands bytes over.
    ///
    /// # Errors
    /// Nobody takes them.
    pub async fn bytes(&self, mut bytes: Bytes) -> Result<(), Gone> {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(PIECE_BYTES_MAX));
            self.0.send(Piece::Bytes(piece)).await.map_err(|_| Gone)?;
        }
        Ok(())
    }

    /// The same as `line`, on a thread that may wait.
    ///
    /// # Errors
    /// Nobody takes it.
    pub fn blocking_line(&self, line: &impl Serialize) -> Result<(), Gone> {
        self.0.blocking_send(Piece::Line(value(line)?)).map_err(|_| Gone)
    }

    /// The same as `bytes`, on a thread that may wait.
    ///
    /// # Errors
    /// Nobody takes them.
    pub fn blocking_bytes(&self, mut bytes: Bytes) -> Result<(), Gone> {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(PIECE_BYTES_MAX));
            self.0.blocking_send(Piece::Bytes(piece)).map_err(|_| Gone)?;
        }
        Ok(())
    }

    /// Whether nobody takes the answer any more.
    pub fn is_gone(&self) -> bool {
        self.0.is_closed()
    }
}

/// Results are plain structs of ours: they are JSON.
fn value(line: &impl Serialize) -> Result<Value, Gone> {
    serde_json::to_value(line).map_err(|_| Gone)
}
