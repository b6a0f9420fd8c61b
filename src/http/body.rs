//! Request bodies: read within limits, then JSON, form or multipart.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout};

use super::body_copy::BodyCopy;
use super::pulse::{self, waiting};
use super::respond::Memory;
use crate::api::call::{Body, BodyFault};
use crate::api::charset::{self, Charset};
use crate::api::json::{self, Counts};
use crate::config::{BODY_PAUSE_SECONDS_MAX, BODY_VALUES_MAX, Config};
use crate::error::{Error, Result};
use crate::pool::{Share, Shortage};

/// Seconds after which a caller who found no memory may try again.
const RETRY_SECONDS: u32 = 5;
/// A body of unknown length begins with so much memory, in bytes.
const FIRST_BYTES: usize = 64 * 1024;
/// How slowly a body may come on average, after so much time in which it may come as it likes.
const BYTES_PER_SECOND_MIN: usize = 1024;
const GRACE: Duration = Duration::from_secs(5);
/// Every so many bytes of a body count as progress of its connection.
const BEAT_BYTES: usize = 4 * 1024;
/// What a field of a form costs beside its text, in bytes.
const FORM_FIELD_BYTES: usize = 300;

/// The body of one request. It is read once: before the caller is known where their key may be in it, else after
/// they were let in.
pub(super) struct RequestBody {
    incoming: ReadBody,
    is_taken: bool,
    /// The memory of what was parsed.
    share: Option<Share>,
}

impl RequestBody {
    /// `copy` takes what is read.
    pub(super) fn new(incoming: Incoming, copy: Option<BodyCopy>) -> RequestBody {
        RequestBody { incoming: ReadBody::new(incoming, copy), is_taken: false, share: None }
    }

    /// Reads what there is of it for a request that has to wait, up to some size and time; it can be read all the same
    /// afterwards.
    pub(super) async fn preload(&mut self) {
        const TIME_MAX: Duration = Duration::from_secs(5);
        let _ = timeout(TIME_MAX, waiting(self.incoming.preload())).await;
    }

    /// Whether there is one that nobody has read.
    pub(super) fn is_waiting(&self) -> bool {
        !self.is_taken && !self.incoming.is_end_stream()
    }

    /// Reads and parses it; `None` where that was done, or there is none.
    ///
    /// # Errors
    /// As [`read_whole`] and [`parse`].
    pub(super) async fn parse(
        &mut self,
        content_type: Option<&str>,
        limits: &BodyLimits<'_>,
    ) -> Result<Option<Body>> {
        if !self.is_waiting() {
            return Ok(None);
        }
        self.is_taken = true;
        let reading = async {
            let raw = read_whole(&mut self.incoming, limits, parsed_bytes).await?;
            parse(raw, content_type).await
        };
        let (body, share) = Box::pin(reading).await?;
        self.share = Some(share);
        Ok(Some(body))
    }

    /// The body as it was sent; `None` where there is none. Whoever takes it so says themselves what is wrong
    /// with it.
    ///
    /// # Errors
    /// As [`read_whole`], but for what [`BodyFault`] can say.
    pub(super) async fn bytes(&mut self, limits: &BodyLimits<'_>) -> Result<Option<Body>> {
        if !self.is_waiting() {
            return Ok(None);
        }
        self.is_taken = true;
        match Box::pin(read_whole(&mut self.incoming, limits, captured_bytes)).await {
            Ok(Raw { bytes, share }) => Ok(Some(Body::Bytes(Bytes::from(bytes), share))),
            Err(Error::TooLarge { bytes_max }) => Ok(Some(Body::Bad(BodyFault::TooLarge { bytes_max }))),
            Err(Error::Busy { retry_after_seconds }) => {
                Ok(Some(Body::Bad(BodyFault::Busy { retry_after_seconds })))
            }
            Err(other) => Err(other),
        }
    }

    /// Reads what is left, so that the connection can be used again. Says whether the end was reached: a large or
    /// slow rest is not worth the wait.
    pub(super) async fn finish(self) -> bool {
        if self.incoming.is_end_stream() {
            return true;
        }
        drop(self.share);
        Box::pin(discard(self.incoming)).await
    }
}

/// A body as it comes. A development or test server keeps something of it.
struct ReadBody {
    incoming: Incoming,
    kept: Option<Box<Kept>>,
}

struct Kept {
    copy: BodyCopy,
    /// What was read already, and is read again.
    begun: VecDeque<Bytes>,
}

impl ReadBody {
    fn new(incoming: Incoming, copy: Option<BodyCopy>) -> ReadBody {
        let kept = copy.map(|mut copy| {
            if incoming.is_end_stream() {
                copy.end();
            }
            Box::new(Kept { copy, begun: VecDeque::new() })
        });
        ReadBody { incoming, kept }
    }

    fn poll_incoming(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(context);
        let Some(kept) = &mut self.kept else { return polled };
        if let Poll::Ready(frame) = &polled {
            if let Some(Ok(frame)) = frame
                && let Some(data) = frame.data_ref()
            {
                kept.copy.take(data);
            }
            if frame.is_none() || self.incoming.is_end_stream() {
                kept.copy.end();
            }
        }
        polled
    }

    async fn preload(&mut self) {
        const BYTES_MAX: usize = 1024 * 1024;
        let mut read = 0;
        while read < BYTES_MAX && !self.incoming.is_end_stream() {
            let frame = std::future::poll_fn(|context| self.poll_incoming(context)).await;
            let Some(Ok(frame)) = frame else { return };
            if let (Some(kept), Ok(data)) = (&mut self.kept, frame.into_data()) {
                read += data.len();
                kept.begun.push_back(data);
            }
        }
    }
}

impl hyper::body::Body for ReadBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, hyper::Error>>> {
        if let Some(kept) = &mut self.kept
            && let Some(data) = kept.begun.pop_front()
        {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        self.poll_incoming(context)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream() && self.kept.as_ref().is_none_or(|kept| kept.begun.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        let begun =
            self.kept.as_ref().map_or(0, |kept| kept.begun.iter().map(Bytes::len).sum::<usize>()) as u64;
        let left = self.incoming.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(left.lower() + begun);
        if let Some(upper) = left.upper() {
            hint.set_upper(upper + begun);
        }
        hint
    }
}

/// Bytes as they came, with their share of the memory.
struct Raw {
    bytes: Vec<u8>,
    share: Share,
}

/// What limits the bodies of one request.
pub(super) struct BodyLimits<'a> {
    pub(super) config: &'a Config,
    pub(super) memory: Memory<'a>,
    /// The largest body, in bytes.
    pub(super) bytes_max: usize,
}

fn shortage(shortage: Shortage, bytes_max: usize) -> Error {
    match shortage {
        Shortage::Busy => Error::Busy { retry_after_seconds: RETRY_SECONDS },
        Shortage::Never => Error::TooLarge { bytes_max },
    }
}

/// How much longer a body may bring nothing, which has taken so much time for so many bytes.
fn patience(taken: Duration, bytes: usize) -> Duration {
    let earned = Duration::from_secs((bytes / BYTES_PER_SECOND_MIN) as u64);
    let pause = Duration::from_secs(BODY_PAUSE_SECONDS_MAX);
    (GRACE + earned).saturating_sub(taken).min(pause)
}

/// What a captured body becomes, in bytes: it is stored in pieces of up to 1 MiB.
fn captured_bytes(length: usize) -> usize {
    length.saturating_mul(4).min(2 * 1024 * 1024)
}

/// What a parsed body becomes, in bytes: of a small one more than its text many times over, of a large one
/// mostly text.
fn parsed_bytes(length: usize) -> usize {
    length.saturating_mul(4).min(1024 * 1024).max(length.saturating_mul(2))
}

/// Reads the whole body; of one that is refused, the rest is left unread. Memory is taken as the bytes arrive,
/// whatever the head promises. `becomes` gives what a body of so many bytes will take beside them, so that
/// it is counted on from the beginning.
///
/// # Errors
/// 413 beyond the limit, 408 beyond the time, after a long pause or below the least rate, 503 where there is no
/// memory, 400 where the connection broke.
async fn read_whole<B>(body: &mut B, limits: &BodyLimits<'_>, becomes: fn(usize) -> usize) -> Result<Raw>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
{
    let Memory { pool, account } = limits.memory;
    let bytes_max = limits.bytes_max.min(pool.bytes_max_of(account));
    let size = body.size_hint();
    if size.lower() > bytes_max as u64 {
        return Err(Error::TooLarge { bytes_max });
    }
    let expected = size.exact().and_then(|size| usize::try_from(size).ok()).unwrap_or(bytes_max);
    let needed = expected.saturating_add(becomes(expected)).min(pool.bytes_max_of(account));
    let share = pool.share(account, needed);
    let mut bytes: Vec<u8> = Vec::new();
    // The time that the caller takes; what it waits for memory is not theirs.
    let time = Duration::from_secs(limits.config.body_seconds_max);
    let mut left = time;
    loop {
        let began = Instant::now();
        let pause = patience(time - left, bytes.len()).min(left);
        let Ok(frame) = timeout(pause, waiting(body.frame())).await else { return Err(Error::TooSlow) };
        left = left.saturating_sub(began.elapsed());
        let frame = match frame {
            None => break,
            Some(Ok(frame)) => frame,
            Some(Err(_)) => return Err(Error::Unreadable("The request body ended early.".into())),
        };
        let Some(data) = frame.data_ref() else { continue };
        let wanted = bytes.len() + data.len();
        if wanted > bytes_max {
            return Err(Error::TooLarge { bytes_max });
        }
        if wanted > bytes.capacity() {
            let capacity =
                wanted.max(bytes.capacity() * 2).max(FIRST_BYTES.min(expected)).min(expected.max(wanted));
            let grown = share.grow(capacity - bytes.capacity()).await;
            grown.map_err(|cause| shortage(cause, bytes_max))?;
            bytes.reserve_exact(capacity - bytes.len());
        }
        if bytes.len() / BEAT_BYTES != wanted / BEAT_BYTES {
            pulse::beat();
        }
        bytes.extend_from_slice(data);
    }
    Ok(Raw { bytes, share })
}

/// Whether the rest of a body could be read in good time.
async fn discard(mut body: ReadBody) -> bool {
    const BYTES_MAX: u64 = 1024 * 1024;
    const TIME_MAX: Duration = Duration::from_secs(1);
    let reading = async {
        let mut left = BYTES_MAX;
        loop {
            let frame = match body.frame().await {
                None => return true,
                Some(Ok(frame)) => frame,
                Some(Err(_)) => return false,
            };
            let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
            match left.checked_sub(bytes) {
                Some(rest) => left = rest,
                None => return false,
            }
        }
    };
    timeout(TIME_MAX, reading).await.unwrap_or(false)
}

/// Makes a value of the bytes. An empty body equals `{}`, whatever its type. The share is to live as long as
/// the value.
///
/// # Errors
/// 503 where there is no memory for what the bytes become.
async fn parse(raw: Raw, content_type: Option<&str>) -> Result<(Body, Share)> {
    let content_type = content_type.unwrap_or("application/json");
    let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let Raw { bytes, share } =
        if media == "application/json" { decoded(raw, content_type).await? } else { raw };
    let counts = if media == "application/json" { Counts::of(&bytes) } else { Counts::default() };
    let (values, cost) = match media.as_str() {
        "application/json" => (counts.values, counts.parsed_bytes()),
        _ => {
            let fields = bytes.iter().filter(|byte| [b'&', b'\n'].contains(byte)).count();
            (fields, 2 * bytes.len() + fields * FORM_FIELD_BYTES)
        }
    };
    if values > BODY_VALUES_MAX {
        share.expect_no_more();
        let detail = format!("The request body holds more than {BODY_VALUES_MAX} values.").into();
        return Ok((Body::Bad(BodyFault::Unreadable(detail)), share));
    }
    let grown = share.grow(cost).await;
    share.expect_no_more();
    match grown {
        Ok(()) => {}
        Err(Shortage::Busy) => return Err(Error::Busy { retry_after_seconds: RETRY_SECONDS }),
        Err(Shortage::Never) => {
            let detail = "The request body holds more values than there is memory for.".into();
            return Ok((Body::Bad(BodyFault::Unreadable(detail)), share));
        }
    }
    let body = match media.as_str() {
        _ if bytes.is_empty() => Body::Json(Value::Object(Map::new())),
        "application/json" => json_of(bytes, counts),
        "application/x-www-form-urlencoded" => Body::Form(object(form_of(&bytes, content_type))),
        "multipart/form-data" => multipart(bytes.into(), content_type).await,
        _ => Body::Bad(BodyFault::UnsupportedMedia(content_type.to_owned())),
    };
    Ok((body, share))
}

/// The bytes as UTF-8, where they are in another encoding that is known.
async fn decoded(Raw { bytes, share }: Raw, content_type: &str) -> Result<Raw> {
    let Some(charset) = Charset::needed(Some(content_type), &bytes) else { return Ok(Raw { bytes, share }) };
    match share.grow(Charset::GROWTH_MAX * bytes.len()).await {
        Ok(()) => Ok(Raw { bytes: charset.decode(&bytes).into_bytes(), share }),
        Err(Shortage::Busy | Shortage::Never) => Err(Error::Busy { retry_after_seconds: RETRY_SECONDS }),
    }
}

/// The fields of a form, in the encoding that it says.
fn form_of(bytes: &[u8], content_type: &str) -> Vec<(String, String)> {
    if !content_type.to_ascii_lowercase().contains("charset") {
        return form_urlencoded::parse(bytes).into_owned().collect();
    }
    let decoded = |part: &[u8]| {
        let spaced: Vec<u8> = part.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        let bytes: Vec<u8> = percent_encoding::percent_decode(&spaced).collect();
        charset::text(Some(content_type), &bytes).into_owned()
    };
    let pairs = bytes.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let mut parts = pair.splitn(2, |byte| *byte == b'=');
            let mut next = || decoded(parts.next().unwrap_or_default());
            (next(), next())
        })
        .collect()
}

fn json_of(bytes: Vec<u8>, counts: Counts) -> Body {
    match json::parse_counted(bytes, counts.has_exponents) {
        Ok(value) => Body::Json(value),
        Err(cause) => Body::Bad(BodyFault::Unreadable(format!("JSON parse error - {cause}").into())),
    }
}

/// Text parts become fields; this API takes no files, which are passed over.
async fn multipart(bytes: Bytes, content_type: &str) -> Body {
    let bad = |cause: multer::Error| {
        Body::Bad(BodyFault::Unreadable(format!("Multipart form parse error - {cause}").into()))
    };
    let boundary = match multer::parse_boundary(content_type) {
        Ok(boundary) => boundary,
        Err(cause) => return bad(cause),
    };
    let stream = futures_util::stream::once(async move { Ok::<_, std::convert::Infallible>(bytes) });
    let mut parts = multer::Multipart::new(stream, boundary);
    let mut pairs = Vec::new();
    loop {
        match parts.next_field().await {
            Ok(None) => return Body::Form(object(pairs)),
            Ok(Some(part)) if part.file_name().is_some() => {}
            Ok(Some(part)) => {
                let name = part.name().unwrap_or_default().to_owned();
                match part.bytes().await {
                    Ok(bytes) => pairs.push((name, String::from_utf8_lossy(&bytes).into_owned())),
                    Err(cause) => return bad(cause),
                }
            }
            Err(cause) => return bad(cause),
        }
    }
}

/// Fields as an object; a name that comes again makes a list.
fn object(pairs: Vec<(String, String)>) -> Value {
    let mut object = Map::new();
    for (name, text) in pairs {
        match object.get_mut(&name) {
            None => {
                object.insert(name, Value::String(text));
            }
            Some(Value::Array(items)) => items.push(Value::String(text)),
            Some(first) => *first = Value::Array(vec![first.take(), Value::String(text)]),
        }
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_must_bring_a_kibibyte_a_second_after_the_first_seconds() {
        let seconds = Duration::from_secs;
        let table = [
            // Nothing yet, one byte every half second, and both sides of the rate.
            ((0, 0), 5),
            ((4, 8), 1),
            ((5, 10), 0),
            ((60, 60_000), 3),
            ((60, 55 * 1024), 0),
            ((60, 56 * 1024), 1),
            // What came fast may pause, but not for ever.
            ((1, 6 * 1024), 10),
            ((1, 20 * 1024 * 1024), 10),
        ];
        for ((taken, bytes), left) in table {
            assert_eq!(patience(seconds(taken), bytes), seconds(left), "{bytes} bytes in {taken} s");
        }
    }

    #[test]
    fn a_small_body_is_a_small_share_and_a_large_one_mostly_itself() {
        for becomes in [captured_bytes, parsed_bytes] {
            assert_eq!(becomes(256 * 1024), 1024 * 1024);
            assert_eq!(becomes(0), 0);
        }
        assert_eq!((captured_bytes(20_000_000), parsed_bytes(20_000_000)), (2 * 1024 * 1024, 40_000_000));
    }
}
