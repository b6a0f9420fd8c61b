//! Whoever asks: through the socket where a server answers there, else by opening the file.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use tokio::io::BufReader;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

use super::place::reach;
use super::wire::{Envelope, LINE_BYTES_MAX, Said, read_bytes, read_line, say};
use super::{Failure, Piece, Pieces, Request, VERSION, is_there, pipe, run, socket_of};
use crate::admin;
use crate::config::Config;
use crate::store::Storage;

/// What comes of a request, piece by piece.
pub struct Answer(Source);

enum Source {
    Server(BufReader<UnixStream>),
    /// `None` once it has ended.
    Here(Pieces, Option<JoinHandle<Result<(), Failure>>>),
}

/// Has the request carried out: by the server that holds the data file or, where none does, in this process, by opening
/// the file with the settings.
///
/// # Errors
/// A sentence for the operator: there is no such file, it cannot be opened, or its server cannot be asked.
pub async fn ask(
    data: &Path,
    request: Request,
    settings: impl FnOnce() -> Result<Config, String>,
) -> Result<Answer, Failure> {
    if let Some(answer) = ask_server(data, &request).await? {
        return Ok(answer);
    }
    is_there(data)?;
    let place = data.to_owned();
    let place =
        if request.leaves_file_untouched() { Storage::Untouched(place) } else { Storage::File(place) };
    let config = Config { data: data.to_owned(), ..settings()? };
    let app = admin::open(config, place, Arc::default()).await.map_err(|sentence| held_by(data, sentence))?;
    let (out, pieces) = pipe();
    let task = tokio::spawn(async move { run(&app, request, &out).await });
    Ok(Answer(Source::Here(pieces, Some(task))))
}

/// Has the request carried out by the server that holds the data file; `None` where none does.
///
/// # Errors
/// A sentence for the operator: the server cannot be asked.
pub async fn ask_server(data: &Path, request: &Request) -> Result<Option<Answer>, Failure> {
    let Some(mut stream) = connect(data).await? else { return Ok(None) };
    let said = |cause: serde_json::Error| cause.to_string();
    let request = serde_json::value::to_raw_value(request).map_err(said)?;
    let envelope = Envelope { version: VERSION.into(), request };
    // A server that closes at once has said why.
    let _ = say(&mut stream, &envelope).await;
    Ok(Some(Answer(Source::Server(BufReader::new(stream)))))
}

/// The server that answers at the socket, if one does.
async fn connect(data: &Path) -> Result<Option<UnixStream>, String> {
    let socket = socket_of(data);
    let Ok(reach) = reach(&socket) else { return Ok(None) };
    match UnixStream::connect(&reach.path).await {
        Ok(stream) => Ok(Some(stream)),
        // What a server leaves that was killed refuses.
        Err(cause) if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(None),
        Err(cause) => Err(format!("cannot ask the server at {}: {cause}", socket.display())),
    }
}

fn held_by(data: &Path, sentence: String) -> String {
    if !sentence.ends_with("in use by another orgd process") {
        return sentence;
    }
    format!("{sentence}, which does not answer at {}", socket_of(data).display())
}

impl Answer {
    /// Whether a server carries the request out.
    pub fn is_of_server(&self) -> bool {
        matches!(self.0, Source::Server(_))
    }

    /// The line that answers a request which is answered by one.
    ///
    /// # Errors
    /// Those of `next_line`; there is none.
    pub async fn line(mut self) -> Result<Value, Failure> {
        let mut found = None;
        while let Some(line) = self.next_line().await? {
            found = Some(line);
        }
        found.ok_or_else(|| "the answer is empty".into())
    }

    /// The next piece of an answer that has lines only; `None` once the request was carried out.
    ///
    /// # Errors
    /// Those of `next`; the piece is no line.
    pub async fn next_line(&mut self) -> Result<Option<Value>, Failure> {
        match self.next().await? {
            None => Ok(None),
            Some(Piece::Line(line)) => Ok(Some(line)),
            Some(Piece::Bytes(_)) => Err("the answer holds bytes where lines were expected".into()),
        }
    }

    /// The next piece; `None` once the request was carried out.
    ///
    /// # Errors
    /// Why it was not, or not as a whole.
    pub async fn next(&mut self) -> Result<Option<Piece>, Failure> {
        match &mut self.0 {
            Source::Server(stream) => of_server(stream).await,
            Source::Here(pieces, task) => {
                if let Some(piece) = pieces.recv().await {
                    return Ok(Some(piece));
                }
                let Some(task) = task.take() else { return Ok(None) };
                task.await.unwrap_or_else(|cause| Err(cause.to_string().into()))?;
                Ok(None)
            }
        }
    }
}

async fn of_server(stream: &mut BufReader<UnixStream>) -> Result<Option<Piece>, Failure> {
    let broken = |cause: std::io::Error| format!("the server's answer broke off: {cause}");
    let line = read_line(stream, LINE_BYTES_MAX).await.map_err(broken)?;
    let line = line.ok_or("the server ended before it had answered")?;
    let said: Said =
        serde_json::from_slice(&line).map_err(|cause| format!("the server's answer is odd: {cause}"))?;
    match said {
        Said { error: Some(sentence), field, .. } => Err(Failure { sentence, field }),
        Said { line: Some(line), .. } => Ok(Some(Piece::Line(line))),
        Said { bytes: Some(count), .. } => {
            Ok(Some(Piece::Bytes(read_bytes(stream, count).await.map_err(broken)?)))
        }
        Said { done: Some(true), .. } => Ok(None),
        _ => Err("the server's answer is odd".into()),
    }
}
