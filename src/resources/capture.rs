//! Capture: where senders deliver events. They show a project's token and nothing else; errors are given
//! in plain text, as senders expect.
//! Invariant: of a request that is refused nothing is stored, and what is answered with success is on
//! disk. A large request is stored in pieces, each in a commit of its own, so that its size is not a matter
//! of memory; where the server ends in between, nobody was answered, and when the request comes again, what
//! is stored already is known by its `uuid`.

mod event;
mod keep;
mod object;
mod request;
mod skew;
mod unpack;
mod v1;

use std::borrow::Cow;
use std::fmt::Display;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use super::{Resource, projects};
use crate::api::call::BodyFault;
use crate::api::charset::Charset;
use crate::api::json::{mended, mended_len};
use crate::api::{Body, Call, Reply};
use crate::app::{App, Route, Tag, async_, tagged};
use crate::error::Result;
use crate::pool::{Account, Share};
use request::{Outline, Request};
use skew::SenderClock;
use unpack::grow;

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
const CONTENT_TYPE: &str = "content-type";

pub static RESOURCE: Resource = Resource::of(routes);

fn routes() -> Vec<Route> {
    const TAG: Tag = Tag {
        name: "capture",
        noun: "event",
        about: "Where SDKs send events. The paths differ only in the forms that older and newer SDKs \
         expect.",
    };

    let post = |path, bytes_max| {
        let handler = async_(move |app, call| capture(app, call, bytes_max));
        Route::ingest(path, bytes_max, handler).reads_headers(&[CONTENT_TYPE]).about(
            "Send events",
            "With the project's token as `api_key`. Answers `{\"status\": 1}` once the events are \
             on disk; an unknown token is answered the same, but for a batch with `historical_migration`. \
             Pages of any site may call it.",
        )
    };
    let get = |path| {
        let handler = async_(|app, call| capture(app, call, REQUEST_BYTES_MAX));
        Route::sdk(path, handler).about(
            "Send events in the address",
            "As by POST, with the events in `data`, as JSON or in base64: for pixels in pages and mails.",
        )
    };
    let mut routes = vec![post("/batch/", BATCH_BYTES_MAX)];
    for path in ["/capture/", "/e/", "/track/", "/engage/", "/i/v0/e/"] {
        routes.extend([post(path, REQUEST_BYTES_MAX), get(path)]);
    }
    routes.push(Route::ingest("/s/", BATCH_BYTES_MAX, async_(discard)).about(
        "Send recordings",
        "They are answered `{\"status\": 1}`, and kept nowhere: this server records no sessions.",
    ));
    routes.push(v1::route());
    tagged(TAG, routes)
}

async fn capture(app: Arc<App>, call: Arc<Call>, bytes_max: usize) -> Result<Reply> {
    match receive(&app, &call, bytes_max).await? {
        Ok(()) if call.query("beacon") == Some("1") => Reply::no_content(),
        Ok(()) => Reply::ok(&json!({"status": 1})),
        Err(refusal) => Ok(refusal.reply()),
    }
}

async fn discard(_: Arc<App>, _: Arc<Call>) -> Result<Reply> {
    Reply::ok(&json!({"status": 1}))
}

async fn receive(app: &Arc<App>, call: &Call, bytes_max: usize) -> Result<Outcome<()>> {
    let of_address;
    let (bytes, share) = match &call.body {
        Body::Bytes(bytes, share) if !bytes.is_empty() => (bytes.clone(), share),
        Body::Bytes(..) | Body::Json(_) => {
            let Some(data) = call.query("data") else { return Ok(Err(NO_EVENT)) };
            of_address = app.work.share(Account::of(call.peer), data.len());
            match unpack::data_of(data) {
                Ok(bytes) => (Bytes::from(bytes), &of_address),
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
        Body::Bad(BodyFault::Busy { .. }) => return Ok(Err(BUSY)),
        Body::Form(_) | Body::Bad(_) => return Ok(Err(TOO_LARGE)),
    };
    let request = match read(app, call, bytes, share, bytes_max).await? {
        Ok(request) => request,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let Some(receiver) = app.store.read(|tx| projects::by_token(tx, &request.token))? else {
        return Ok(unknown_token(app, call, &request));
    };
    if request.has_unreadable_time && app.notices.is_due(&format!("time {}", receiver.id), call.now) {
        let project = receiver.id;
        tracing::warn!(%project, "captured events say their time in a way that cannot be read; that of receipt was taken");
    }
    let ip = (!receiver.anonymize_ips).then(|| call.peer.to_string());
    keep(app, request, ip.map(Arc::from)).await
}

/// A token that belongs to no project stores nothing, and gets no error: the sender is often a browser that can do
/// nothing about it, and others would send for ever. Who moves events from elsewhere, such as a batch export, waits
/// for an answer and must not take them for stored.
fn unknown_token(app: &App, call: &Call, request: &Request) -> Outcome<()> {
    note_unknown_token(app, call, &request.token);
    if request.is_migration() {
        return Err(Refusal::unauthorized("API key is not valid: unknown"));
    }
    Ok(())
}

fn note_unknown_token(app: &App, call: &Call, token: &str) {
    if let Some(server) = &app.test_server {
        server.events.of_nobody();
    }
    if !app.notices.is_due(&format!("token {token}"), call.now) {
        return;
    }
    // A sender may have mistaken a secret for it.
    let is_plain = token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    let token = if is_plain { token.get(..12).unwrap_or(token) } else { "-" };
    tracing::warn!(token, address = %call.peer, "events came with the token of no project and were dropped");
}

/// The request, checked. What it takes comes from the share.
async fn read(
    app: &Arc<App>,
    call: &Call,
    bytes: Bytes,
    share: &Share,
    bytes_max: usize,
) -> Result<Outcome<Request>> {
    let clock = SenderClock::of(call);
    let is_small = bytes.len() <= AT_ONCE_BYTES_MAX && unpack::packing(&bytes).is_none();
    let bytes = match unpack::plain(app, bytes, share, bytes_max).await? {
        Ok(bytes) => bytes,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let bytes = match decoded(app, bytes, share, call.header(CONTENT_TYPE)).await? {
        Ok(bytes) => bytes,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let piece_bytes = piece_bytes(app);
    let outlined =
        read_or_mend(app, bytes, share, is_small, move |bytes| request::outline(bytes, clock, piece_bytes));
    let outline = match outlined.await? {
        Ok(outline) => outline,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if let Err(refusal) = grow(share, outline.cost).await {
        return Ok(Err(refusal));
    }
    share.expect_no_more();
    beside(app, is_small, move || Outline::check(outline)).await
}

/// The text as UTF-8, where the sender names another encoding and uses it.
async fn decoded(
    app: &Arc<App>,
    bytes: Bytes,
    share: &Share,
    content_type: Option<&str>,
) -> Result<Outcome<Bytes>> {
    let Some(charset) = Charset::needed(content_type, &bytes) else { return Ok(Ok(bytes)) };
    if let Err(refusal) = grow(share, Charset::GROWTH_MAX * bytes.len()).await {
        return Ok(Err(refusal));
    }
    let is_small = bytes.len() <= AT_ONCE_BYTES_MAX;
    Ok(Ok(beside(app, is_small, move || charset.decode(&bytes).into()).await?))
}

/// How much of a request is stored in one go, in bytes.
fn piece_bytes(app: &App) -> usize {
    (app.config.budgets().work / PIECES).min(PIECE_BYTES_MAX)
}

/// Reads the text, and once more when what is no JSON in it is mended.
async fn read_or_mend<T: Send + 'static>(
    app: &Arc<App>,
    bytes: Bytes,
    share: &Share,
    is_small: bool,
    read: impl Fn(Bytes) -> Outcome<T> + Clone + Send + 'static,
) -> Result<Outcome<T>> {
    let (first, text) = (read.clone(), bytes.clone());
    let refusal = match beside(app, is_small, move || first(text)).await? {
        Err(refusal) if refusal.fault == Fault::Json => refusal,
        other => return Ok(other),
    };
    let text = bytes.clone();
    let Some(len) = beside(app, is_small, move || mended_len(&text)).await? else { return Ok(Err(refusal)) };
    if let Err(refusal) = grow(share, len).await {
        return Ok(Err(refusal));
    }
    beside(app, is_small, move || read(mended(&bytes, len).into())).await
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
async fn keep(app: &Arc<App>, request: Request, ip: Option<Arc<str>>) -> Result<Outcome<()>> {
    let token: Arc<str> = request.token.as_str().into();
    let request = Arc::new(request);
    let mut from = Some(request.start());
    while let Some(start) = from {
        let (read, ip) = (Arc::clone(&request), ip.clone());
        let piece = beside(app, request.is_ready(), move || read.piece(start, ip.as_deref())).await?;
        let piece = match piece {
            Ok(piece) => piece,
            Err(refusal) => return Ok(Err(refusal)),
        };
        from = piece.next;
        if let Err(refusal) = keep::store_all(app, &token, piece.events).await? {
            return Ok(Err(refusal));
        }
    }
    Ok(Ok(()))
}

/// What a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Size,
    /// There is no memory, or no disk, for the request now.
    Busy,
    /// The bytes cannot be unpacked.
    Packing,
    /// The text is no JSON, or not in the form of a request.
    Json,
    /// An event lacks something, or the request a token.
    Content,
}

/// Why a request is refused: a status and a sentence.
#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    status: u16,
    sentence: Cow<'static, str>,
    fault: Fault,
}

const fn refusal(status: u16, sentence: &'static str, fault: Fault) -> Refusal {
    Refusal { status, sentence: Cow::Borrowed(sentence), fault }
}

const fn bad(sentence: &'static str) -> Refusal {
    refusal(400, sentence, Fault::Content)
}

const TOO_LARGE: Refusal = refusal(400, "maximum event size exceeded", Fault::Size);
const BUSY: Refusal = refusal(503, "server is busy, try again later", Fault::Busy);
const NO_EVENT: Refusal = bad("request holds no event");

impl Refusal {
    fn of_json(cause: impl Display) -> Refusal {
        let sentence = format!("failed to parse request: {cause}");
        Refusal { status: 400, sentence: sentence.into(), fault: Fault::Json }
    }

    fn unauthorized(sentence: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal { status: 401, sentence: sentence.into(), fault: Fault::Content }
    }

    /// Says which event of a list is meant.
    fn at(mut self, place: Option<usize>) -> Refusal {
        if let Some(place) = place {
            self.sentence = format!("{}: event {place} of the batch, counted from 0", self.sentence).into();
        }
        self
    }

    fn reply(self) -> Reply {
        let reply = Reply::text(self.status, "text/plain; charset=utf-8", self.sentence);
        if self.status == 503 { reply.with("retry-after", RETRY_SECONDS) } else { reply }
    }
}

type Outcome<T> = std::result::Result<T, Refusal>;
