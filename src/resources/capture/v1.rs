//! The newer protocol of SDKs: the token stands in a header, every event has an identifier, and the answer says of
//! each what became of it, so that a sender repeats exactly those that were not stored.
//! Invariant: an event that is answered `ok` is on disk, or belongs to no project of this server.

mod batch;
mod event;

use std::borrow::Cow;
use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::unpack::{grow, unpack};
use super::{BATCH_BYTES_MAX, Fault, Refusal, beside, keep, piece_bytes};
use crate::api::call::BodyFault;
use crate::api::reply::JSON;
use crate::api::{Body, Call, Reply};
use crate::app::{App, Route, async_};
use crate::error::Result;
use crate::pool::Share;
use crate::resources::projects;
use batch::{Batch, Piece};
use event::Sender;

const AUTHORIZATION: &str = "authorization";
const CONTENT_ENCODING: &str = "content-encoding";
const CONTENT_TYPE: &str = "content-type";
const SDK_INFO: &str = "posthog-sdk-info";
const REQUEST_TIMESTAMP: &str = "posthog-request-timestamp";

pub(super) fn route() -> Route {
    const READ: &[&str] = &[AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, SDK_INFO, REQUEST_TIMESTAMP];
    Route::ingest("/i/v1/analytics/events/", BATCH_BYTES_MAX, async_(capture)).reads_headers(READ).about(
        "Send a batch of events",
        "With the project's token as `Authorization: Bearer`. Says of each event, by its `uuid`, whether it is \
         stored (`ok`), will never be (`drop`), or is to be sent again (`retry`).",
    )
}

async fn capture(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    match receive(&app, &call).await? {
        Ok(results) => results.reply(),
        Err(rejection) => rejection.reply(),
    }
}

/// Why a batch is refused as a whole.
#[derive(Debug, PartialEq, Eq)]
struct Rejection {
    status: u16,
    tag: &'static str,
    description: Cow<'static, str>,
}

fn rejection(status: u16, tag: &'static str, description: impl Into<Cow<'static, str>>) -> Rejection {
    Rejection { status, tag, description: description.into() }
}

type Checked<T> = std::result::Result<T, Rejection>;

impl Rejection {
    fn reply(self) -> Result<Reply> {
        let Rejection { status, tag, description } = self;
        let body = json!({"error": tag, "error_description": description, "error_uri": ""});
        Reply::json(status, &body)
    }
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Rejection {
        let (status, tag) = match refusal.fault {
            Fault::Size => (413, "payload_too_large"),
            Fault::Busy => (503, "service_unavailable"),
            Fault::Packing => (400, "request_decoding_error"),
            Fault::Json | Fault::Content => (400, "request_parsing_error"),
        };
        rejection(status, tag, refusal.sentence)
    }
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Fate {
    Ok,
    Drop,
    Retry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Verdict {
    result: Fate,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'static str>,
}

const NOT_PERSISTED: Verdict = Verdict { result: Fate::Retry, details: Some("not_persisted") };

/// The answer, as it grows.
struct Results {
    body: Vec<u8>,
    is_to_retry: bool,
}

impl Results {
    fn new() -> Results {
        Results { body: b"{\"results\":{".to_vec(), is_to_retry: false }
    }

    fn add(&mut self, uuid: Uuid, verdict: Verdict) -> Result<()> {
        if self.body.last() != Some(&b'{') {
            self.body.push(b',');
        }
        write!(self.body, "\"{}\":", uuid.hyphenated()).expect("memory takes all");
        serde_json::to_writer(&mut self.body, &verdict)?;
        self.is_to_retry |= verdict.result == Fate::Retry;
        Ok(())
    }

    fn reply(mut self) -> Result<Reply> {
        self.body.extend_from_slice(b"}}");
        let reply = Reply { status: 200, content_type: JSON, body: self.body.into(), ..Reply::no_content()? };
        Ok(if self.is_to_retry { reply.with("retry-after", "1") } else { reply })
    }
}

async fn receive(app: &Arc<App>, call: &Call) -> Result<Checked<Results>> {
    let token = match token(call).and_then(|token| check_head(call).map(|()| token)) {
        Ok(token) => token,
        Err(rejection) => return Ok(Err(rejection)),
    };
    let (bytes, share) = match body(call) {
        Ok(body) => body,
        Err(rejection) => return Ok(Err(rejection)),
    };
    let is_small = bytes.len() <= super::AT_ONCE_BYTES_MAX && super::unpack::packing(&bytes).is_none();
    let batch = match read(app, bytes, share, is_small).await? {
        Ok(batch) => Arc::new(batch),
        Err(rejection) => return Ok(Err(rejection)),
    };
    let receiver = app.store.read(|tx| projects::by_token(tx, &token))?;
    if receiver.is_none() {
        super::note_unknown_token(app, call, &token);
    }
    let ip = receiver.filter(|receiver| !receiver.anonymize_ips).map(|_| call.peer.to_string());
    let sender = Arc::new(Sender::of(call, ip));
    let token: Arc<str> = token.into();
    let mut results = Results::new();
    let mut from = Some(0);
    while let Some(start) = from {
        let (batch, sender) = (Arc::clone(&batch), Arc::clone(&sender));
        let piece = beside(app, is_small, move || batch.piece(start, &sender)).await?;
        from = match piece {
            Ok(piece) => {
                let next = piece.next;
                settle(app, &token, piece, &mut results).await?;
                next
            }
            Err(refusal) => return Ok(Err(refusal.into())),
        };
    }
    Ok(Ok(results))
}

/// Stores what is good of a piece, and notes of each of its events what became of it.
async fn settle(app: &Arc<App>, token: &Arc<str>, piece: Piece, results: &mut Results) -> Result<()> {
    let Piece { events, mut verdicts, .. } = piece;
    let done = keep::store(app, token, events).await?;
    let good = verdicts.iter_mut().filter(|(_, verdict)| verdict.result == Fate::Ok);
    for (_, verdict) in good.skip(done) {
        *verdict = NOT_PERSISTED;
    }
    verdicts.into_iter().try_for_each(|(uuid, verdict)| results.add(uuid, verdict))
}

fn token(call: &Call) -> Checked<String> {
    let malformed = |why: &'static str| rejection(401, "invalid_api_token", why);
    let header = call.header(AUTHORIZATION).ok_or_else(|| malformed("There is no Authorization header."))?;
    let (scheme, token) = header.trim().split_once(' ').unwrap_or((header, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(malformed("The Authorization header is not of the form \"Bearer <project token>\"."));
    }
    let token = token.trim();
    super::request::check_token(token)
        .map_err(|refusal| rejection(401, "invalid_api_token", refusal.sentence))?;
    Ok(token.to_owned())
}

/// What is said of the body must be something that can be read.
fn check_head(call: &Call) -> Checked<()> {
    let named = |name| call.header(name).unwrap_or_default().trim().to_ascii_lowercase();
    let (encoding, content) = (named(CONTENT_ENCODING), named(CONTENT_TYPE));
    if !["", "identity", "gzip", "deflate"].contains(&encoding.as_str()) {
        return Err(rejection(
            415,
            "unsupported_content_encoding",
            "Send gzip, deflate, or nothing of the kind.",
        ));
    }
    let media = content.split(';').next().unwrap_or_default().trim();
    if !["", "application/json", "text/plain"].contains(&media) {
        return Err(rejection(415, "unsupported_content_type", "Send application/json."));
    }
    Ok(())
}

fn body(call: &Call) -> Checked<(Bytes, &Share)> {
    match &call.body {
        Body::Bytes(bytes, share) if !bytes.is_empty() => Ok((bytes.clone(), share)),
        Body::Bytes(..) | Body::Json(_) | Body::Form(_) => {
            Err(rejection(400, "empty_body", "The request has no body."))
        }
        Body::Bad(BodyFault::Busy { .. }) => Err(super::BUSY.into()),
        Body::Bad(_) => Err(super::TOO_LARGE.into()),
    }
}

/// The batch, of which the outside is known to be good.
async fn read(app: &Arc<App>, bytes: Bytes, share: &Share, is_small: bool) -> Result<Checked<Batch>> {
    let bytes = match unpack(app, bytes, share, BATCH_BYTES_MAX).await? {
        Ok(bytes) if bytes.iter().all(u8::is_ascii_whitespace) => {
            return Ok(Err(rejection(400, "empty_body", "The request's body is empty.")));
        }
        Ok(bytes) => bytes,
        Err(refusal) => return Ok(Err(refusal.into())),
    };
    let piece_bytes = piece_bytes(app);
    let outlined =
        super::read_or_mend(app, bytes, share, is_small, move |bytes| batch::outline(bytes, piece_bytes));
    let outline = match outlined.await? {
        Ok(outline) => outline,
        Err(refusal) => return Ok(Err(refusal.into())),
    };
    if let Err(refusal) = grow(share, outline.cost).await {
        return Ok(Err(refusal.into()));
    }
    share.expect_no_more();
    beside(app, is_small, move || outline.check()).await
}
