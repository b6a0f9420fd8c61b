//! Request bodies: read within limits, then JSON, form or multipart.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body as _;
use hyper::body::Incoming;
use serde_json::{Map, Value};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::api::call::{Body, BodyFault, json_values};
use crate::config::{BODY_VALUES_MAX, Config, PARSED_BODIES_KIB_MAX, RAW_BODIES_KIB_MAX};
use crate::error::{Error, Result};

/// Memory for bodies is the process's, shared by all servers in it, in KiB. Whoever finds none waits.
static RAW: Semaphore = Semaphore::const_new(RAW_BODIES_KIB_MAX as usize);
static PARSED: Semaphore = Semaphore::const_new(PARSED_BODIES_KIB_MAX as usize);

/// Bodies up to this cost are not counted, in bytes.
const UNCOUNTED_BYTES: usize = 16 * 1024;
/// What a value in a body costs at the most beside its own text: a key, a slot in a map, room to grow.
const VALUE_BYTES: usize = 100;

/// A body as it came, with its share of the memory for bodies.
pub(super) struct Raw {
    bytes: Bytes,
    share: Option<SemaphorePermit<'static>>,
}

/// Shares of the memory for bodies: for the bytes, and for what they became. They go back when the
/// request is answered.
pub(super) type Shares = [Option<SemaphorePermit<'static>>; 2];

async fn share(of: &'static Semaphore, bytes: usize) -> Option<SemaphorePermit<'static>> {
    if bytes <= UNCOUNTED_BYTES {
        return None;
    }
    let all = if std::ptr::eq(of, &RAW) { RAW_BODIES_KIB_MAX } else { PARSED_BODIES_KIB_MAX };
    let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).min(all);
    of.acquire_many(kib).await.ok()
}

/// Reads the whole body.
///
/// # Errors
/// 413 beyond the limit, 408 beyond the time, 400 where the connection broke.
pub(super) async fn read(body: Incoming, config: &Config, bytes_max: usize) -> Result<Raw> {
    if body.is_end_stream() {
        return Ok(Raw { bytes: Bytes::new(), share: None });
    }
    let size = body.size_hint();
    if size.lower() > bytes_max as u64 {
        return Err(Error::TooLarge { bytes_max });
    }
    let expected = size.exact().and_then(|size| usize::try_from(size).ok()).unwrap_or(bytes_max);
    let reading = async {
        let share = share(&RAW, expected).await;
        (Limited::new(body, bytes_max).collect().await, share)
    };
    let time = Duration::from_secs(config.body_seconds_max);
    let Ok((outcome, share)) = tokio::time::timeout(time, reading).await else { return Err(Error::TooSlow) };
    match outcome {
        Ok(all) => Ok(Raw { bytes: all.to_bytes(), share }),
        Err(cause) if cause.is::<LengthLimitError>() => Err(Error::TooLarge { bytes_max }),
        Err(_) => Err(Error::Unreadable("The request body ended early.".into())),
    }
}

/// Reads a body that nobody looked at to its end, so that the connection can be used again. Says whether
/// the end was reached: a large or slow body is not worth the wait.
pub(super) async fn discard(mut body: Incoming) -> bool {
    const BYTES_MAX: u64 = 64 * 1024;
    const TIME_MAX: Duration = Duration::from_secs(1);
    let reading = async {
        let mut left = BYTES_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
            match left.checked_sub(bytes) {
                Some(rest) => left = rest,
                None => return false,
            }
        }
        body.is_end_stream()
    };
    tokio::time::timeout(TIME_MAX, reading).await.unwrap_or(false)
}

/// The body as it was sent. A row that reads it itself also says itself that it is too large.
pub(super) async fn read_bytes(body: Incoming, config: &Config, bytes_max: usize) -> Result<(Body, Shares)> {
    match read(body, config, bytes_max).await {
        Ok(Raw { bytes, share: raw }) => {
            // What a packed body will take is not known yet, so it counts as the most that it may.
            let is_small = bytes.len() <= UNCOUNTED_BYTES && !bytes.starts_with(&[0x1f, 0x8b]);
            let unpacked = if is_small { 0 } else { bytes_max };
            Ok((Body::Bytes(bytes), [raw, share(&PARSED, unpacked).await]))
        }
        Err(Error::TooLarge { bytes_max }) => {
            Ok((Body::Bad(BodyFault::TooLarge { bytes_max }), [None, None]))
        }
        Err(other) => Err(other),
    }
}

/// Makes a value of the bytes. An empty body equals `{}`, whatever its type.
pub(super) async fn parse(raw: Raw, content_type: Option<&str>) -> (Body, Shares) {
    let Raw { bytes, share: raw_share } = raw;
    let content_type = content_type.unwrap_or("application/json");
    let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let values = match media.as_str() {
        "application/json" => json_values(&bytes),
        _ => bytes.iter().filter(|byte| [b'&', b'\n'].contains(byte)).count(),
    };
    if values > BODY_VALUES_MAX {
        let detail = format!("The request body holds more than {BODY_VALUES_MAX} values.").into();
        return (Body::Bad(BodyFault::Unreadable(detail)), [raw_share, None]);
    }
    let share = share(&PARSED, bytes.len() + values * VALUE_BYTES).await;
    let body = match media.as_str() {
        _ if bytes.is_empty() => Body::Json(Value::Object(Map::new())),
        "application/json" => json(&bytes),
        "application/x-www-form-urlencoded" => {
            let pairs = form_urlencoded::parse(&bytes).into_owned().collect();
            Body::Form(object(pairs))
        }
        "multipart/form-data" => multipart(bytes, content_type).await,
        _ => Body::Bad(BodyFault::UnsupportedMedia(content_type.to_owned())),
    };
    (body, [raw_share, share])
}

fn json(bytes: &[u8]) -> Body {
    match serde_json::from_slice(bytes) {
        Ok(value) => Body::Json(value),
        Err(cause) => Body::Bad(BodyFault::Unreadable(format!("JSON parse error - {cause}").into())),
    }
}

/// Text parts become fields; files have no place in this API and are passed over.
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
