//! Capture: where senders deliver events. They show a project's token and nothing else; errors are given
//! in plain text, as senders expect.
//! Invariant: of a request that is refused nothing is stored, and what is answered with success is on
//! disk. A large request is stored in pieces, each in a commit of its own, so that its size is not a matter
//! of memory; where the server ends in between, nobody was answered, and when the request comes again, what
//! is stored already is known by its `uuid`.

mod event;
mod request;

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use super::events::{self, EventIds};
use super::{Resource, projects};
use crate::api::call::BodyFault;
use crate::api::{Body, Call, Reply};
use crate::app::{App, Route, Tag, async_, tagged};
use crate::clock::Time;
use crate::error::Result;
use crate::pool::{Share, Shortage};
use request::{Outline, Request};

/// Largest request of a few events, before and after it is unpacked, in bytes.
const REQUEST_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Largest batch.
const BATCH_BYTES_MAX: usize = 20 * 1024 * 1024;
/// Larger requests, and packed ones, are read beside the threads that answer.
const AT_ONCE_BYTES_MAX: usize = 8 * 1024;
/// A piece of a request that is stored in one go takes this part of the memory for work, and not more than
/// `PIECE_BYTES_MAX`.
const PIECES: usize = 24;
const PIECE_BYTES_MAX: usize = 1024 * 1024;
/// Seconds after which a sender who found no memory may try again.
const RETRY_SECONDS: &str = "5";

pub static RESOURCE: Resource = Resource::of(routes);

fn routes() -> Vec<Route> {
    const TAG: Tag = Tag {
        name: "capture",
        noun: "event",
        about: "Where SDKs send events. The paths differ only in the forms that older and newer SDKs \
         expect.",
    };

    let paths = [
        ("/capture/", REQUEST_BYTES_MAX),
        ("/e/", REQUEST_BYTES_MAX),
        ("/track/", REQUEST_BYTES_MAX),
        ("/engage/", REQUEST_BYTES_MAX),
        ("/i/v0/e/", REQUEST_BYTES_MAX),
        ("/batch/", BATCH_BYTES_MAX),
    ];
    let row = |(path, bytes_max)| {
        let handler = async_(move |app, call| capture(app, call, bytes_max));
        Route::ingest(path, bytes_max, handler).about(
            "Send events",
            "With the project's token as `api_key`. Answers `{\"status\": 1}` once the events are \
             on disk; an unknown token is answered the same. Pages of any site may call it.",
        )
    };
    tagged(TAG, paths.into_iter().map(row).collect())
}

async fn capture(app: Arc<App>, call: Arc<Call>, bytes_max: usize) -> Result<Reply> {
    let read = match &call.body {
        Body::Bytes(bytes, share) => read(&app, bytes, share, bytes_max, call.now).await?,
        // A request without a body.
        Body::Json(_) => Err(NO_EVENT),
        Body::Bad(BodyFault::Busy { .. }) => Err(BUSY),
        Body::Form(_) | Body::Bad(_) => Err(TOO_LARGE),
    };
    let request = match read {
        Ok(request) => request,
        Err(refusal) => return Ok(refusal.reply()),
    };
    // A token that belongs to no project stores nothing, and gets no error: the sender is often a browser
    // that can do nothing about it.
    if let Some(receiver) = app.store.read(|tx| projects::by_token(tx, &request.token))? {
        let ip = (!receiver.anonymize_ips).then(|| call.peer.to_string());
        if let Err(refusal) = keep(&app, Arc::new(request), ip.map(Arc::from)).await? {
            return Ok(refusal.reply());
        }
    }
    Reply::ok(&json!({"status": 1}))
}

/// The request, checked. What it takes comes from the share.
async fn read(
    app: &Arc<App>,
    bytes: &Bytes,
    share: &Share,
    bytes_max: usize,
    now: Time,
) -> Result<Outcome<Request>> {
    let is_small = bytes.len() <= AT_ONCE_BYTES_MAX && !request::is_packed(bytes);
    let bytes = match plain(app, bytes.clone(), share, bytes_max).await? {
        Ok(bytes) => bytes,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let piece_bytes = (app.config.budgets().work / PIECES).min(PIECE_BYTES_MAX);
    let outlined = move || request::outline(bytes, now, piece_bytes);
    let outline = match beside(app, is_small, outlined).await? {
        Ok(outline) => outline,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if let Err(refusal) = grow(share, outline.cost).await {
        return Ok(Err(refusal));
    }
    share.expect_no_more();
    beside(app, is_small, move || Outline::check(outline)).await
}

/// The JSON text: without gzip, and out of the form that it may stand in.
async fn plain(app: &Arc<App>, bytes: Bytes, share: &Share, bytes_max: usize) -> Result<Outcome<Bytes>> {
    let bytes = match unpack(app, bytes, share, bytes_max).await? {
        Ok(bytes) if request::may_be_form(&bytes) => bytes,
        other => return Ok(other),
    };
    // The form is undone twice, and is there meanwhile.
    if let Err(refusal) = grow(share, 3 * bytes.len()).await {
        return Ok(Err(refusal));
    }
    match request::form_data(&bytes) {
        None => Ok(Ok(bytes)),
        Some(Err(refusal)) => Ok(Err(refusal)),
        Some(Ok(data)) => unpack(app, data.into(), share, bytes_max).await,
    }
}

/// Compression is recognized by its first bytes, whatever headers say.
async fn unpack(app: &Arc<App>, bytes: Bytes, share: &Share, bytes_max: usize) -> Result<Outcome<Bytes>> {
    if !request::is_packed(&bytes) {
        return Ok(Ok(bytes));
    }
    let packed = bytes.clone();
    let len = match app.run_blocking(move || request::unpacked_len(&packed, bytes_max)).await? {
        Ok(len) => len,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if let Err(refusal) = grow(share, len).await {
        return Ok(Err(refusal));
    }
    app.run_blocking(move || request::unpacked(&bytes, len)).await
}

async fn grow(share: &Share, bytes: usize) -> Outcome<()> {
    share.grow(bytes).await.map_err(|shortage| match shortage {
        Shortage::Busy => BUSY,
        Shortage::Never => TOO_LARGE,
    })
}

/// Does the work right here where it is small.
async fn beside<T: Send + 'static>(
    app: &Arc<App>,
    is_small: bool,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    if is_small { Ok(work()) } else { app.run_blocking(work).await }
}

/// Stores all events of the request, piece by piece.
async fn keep(app: &Arc<App>, request: Arc<Request>, ip: Option<Arc<str>>) -> Result<Outcome<()>> {
    let mut from = Some(request.start());
    while let Some(start) = from {
        let (read, ip) = (Arc::clone(&request), ip.clone());
        let piece = beside(app, request.is_small(), move || read.piece(start, ip.as_deref())).await?;
        let piece = match piece {
            Ok(piece) => piece,
            Err(refusal) => return Ok(Err(refusal)),
        };
        from = piece.next;
        let events = Arc::new(piece.events);
        let mut done = 0;
        while done < events.len() {
            let event_ids = EventIds { clock: Arc::clone(&app.clock), ids: Arc::clone(&app.ids) };
            let (request, events) = (Arc::clone(&request), Arc::clone(&events));
            let write = app.store.write(move |tx| {
                let rest = &events[done..];
                // The project may be gone by now.
                let Some(receiver) = projects::by_token(tx, &request.token)? else { return Ok(rest.len()) };
                projects::note_event(tx, receiver.id)?;
                events::store(tx, &event_ids, receiver.id, rest)
            });
            done += write.await?;
        }
    }
    Ok(Ok(()))
}

/// Why a request is refused: a status and a sentence.
#[derive(Debug, PartialEq, Eq)]
struct Refusal(u16, std::borrow::Cow<'static, str>);

const fn bad(sentence: &'static str) -> Refusal {
    Refusal(400, std::borrow::Cow::Borrowed(sentence))
}

const TOO_LARGE: Refusal = bad("maximum event size exceeded");
/// There is no memory for the request now.
const BUSY: Refusal = Refusal(503, std::borrow::Cow::Borrowed("server is busy, try again later"));
const NO_EVENT: Refusal = bad("request holds no event");

impl Refusal {
    fn reply(self) -> Reply {
        let reply = Reply::text(self.0, "text/plain; charset=utf-8", self.1);
        if self.0 == 503 { reply.with("retry-after", RETRY_SECONDS) } else { reply }
    }

    fn unparsable(cause: &serde_json::Error) -> Refusal {
        Refusal(400, format!("failed to parse request: {cause}").into())
    }
}

type Outcome<T> = std::result::Result<T, Refusal>;
