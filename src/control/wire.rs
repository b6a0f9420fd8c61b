//! What passes through the socket: one JSON line from the client, and JSON lines from the server, where
//! `{"bytes": n}` says that so many bytes follow it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::out::PIECE_BYTES_MAX;
use super::{Failure, Piece};

/// Longest line of an answer, in bytes.
pub(super) const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A request as it is sent. What a program of another version wants is not looked at.
#[derive(Serialize, Deserialize)]
pub(super) struct Envelope {
    pub(super) version: String,
    pub(super) request: Box<RawValue>,
}

/// A line of an answer: one of these.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Said {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) line: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) done: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    /// The field of the request that the error is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) field: Option<String>,
}

impl Said {
    /// The last line of an answer.
    pub(super) fn last(outcome: Result<(), Failure>) -> Said {
        match outcome {
            Ok(()) => Said { done: Some(true), ..Said::default() },
            Err(Failure { sentence, field }) => Said { error: Some(sentence), field, ..Said::default() },
        }
    }
}

/// A line without its end; `None` where the peer has closed before one. A longer one is an error.
pub(super) async fn read_line(
    from: &mut (impl AsyncBufRead + Unpin),
    bytes_max: usize,
) -> std::io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    from.take(bytes_max as u64 + 1).read_until(b'\n', &mut line).await?;
    if line.pop_if(|last| *last == b'\n').is_some() {
        return Ok(Some(line));
    }
    if line.len() > bytes_max {
        return Err(std::io::Error::other(format!("a line is longer than {bytes_max} bytes")));
    }
    Ok(None)
}

/// The bytes that a line has announced.
pub(super) async fn read_bytes(from: &mut (impl AsyncRead + Unpin), count: usize) -> std::io::Result<Bytes> {
    if count > PIECE_BYTES_MAX {
        return Err(std::io::Error::other(format!("a piece is longer than {PIECE_BYTES_MAX} bytes")));
    }
    let mut bytes = vec![0; count];
    from.read_exact(&mut bytes).await?;
    Ok(bytes.into())
}

/// Sends a line.
pub(super) async fn say(to: &mut (impl AsyncWrite + Unpin), line: &impl Serialize) -> std::io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    to.write_all(&text).await
}

/// Sends a piece of an answer.
pub(super) async fn send(to: &mut (impl AsyncWrite + Unpin), piece: Piece) -> std::io::Result<()> {
    match piece {
        Piece::Line(line) => say(to, &Said { line: Some(line), ..Said::default() }).await,
        Piece::Bytes(bytes) => {
            say(to, &Said { bytes: Some(bytes.len()), ..Said::default() }).await?;
            to.write_all(&bytes).await
        }
    }
}
