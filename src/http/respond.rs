//! Replies and errors as HTTP answers.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::{
    ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    HeaderName, HeaderValue, REFERRER_POLICY, RETRY_AFTER, STRICT_TRANSPORT_SECURITY, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{HeaderMap, Response, StatusCode};

use super::accept;
use super::answer::AnswerBody;
use crate::api::Reply;
use crate::api::reply::JSON;
use crate::config::GZIP_BYTES_MIN;
use crate::error::Error;
use crate::pool::{Account, Pool, Share};

pub(super) type HttpResponse = Response<AnswerBody>;

/// What a page of ours may do: show its own text and style, and nothing in the frame of another site.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Adds what keeps browsers and caches from doing more with the answer than is meant. What a handler has set
/// itself stays.
pub(super) fn protect(headers: &mut HeaderMap, may_be_stored: bool, is_https: bool) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    if !may_be_stored {
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
    if is_https {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    if headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html")) {
        headers.entry(CONTENT_SECURITY_POLICY).or_insert(PAGE_POLICY);
    }
}

/// Answers from this size on take their memory from the pool, in bytes.
const POOLED_BYTES_MIN: usize = 16 * 1024;
/// Seconds after which a caller may ask again where nobody knows better.
pub(super) const RETRY_SECONDS: u32 = 5;
/// Larger answers are not compressed, in bytes: it would keep other requests waiting.
const GZIP_BYTES_MAX: usize = 1024 * 1024;

/// Where large answers get their memory from, and for whom.
#[derive(Clone, Copy)]
pub(super) struct Memory<'a> {
    pub(super) pool: &'a Arc<Pool>,
    pub(super) account: Account,
}

/// The answer of a handler, compressed where it is large and the caller can undo it. A large one has its
/// share of the memory until the caller has taken it; where there is none, the answer is 503.
pub(super) fn reply(reply: Reply, request: &HeaderMap, memory: Memory<'_>) -> HttpResponse {
    let large = reply.body.len() >= GZIP_BYTES_MIN;
    let compress =
        reply.rest.is_none() && large && reply.body.len() <= GZIP_BYTES_MAX && accepts_gzip(request);
    let body = match (compress, reply.gzipped) {
        (false, _) => reply.body,
        (true, None) => gzip(&reply.body),
        (true, Some(kept)) => kept.get_or_init(|| gzip(&reply.body)).clone(),
    };
    let empty = body.is_empty() && reply.rest.is_none();
    let Some(body) = held(body, memory) else {
        return error(&Error::Busy { retry_after_seconds: RETRY_SECONDS });
    };
    let mut answer = Response::new(AnswerBody::new(body, reply.rest));
    *answer.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = answer.headers_mut();
    if !empty {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    }
    if large {
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    }
    if compress {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    for (name, value) in reply.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    invite_back(&mut answer);
    answer
}

/// Every 503 says when to come again.
fn invite_back(answer: &mut HttpResponse) {
    if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
        answer.headers_mut().entry(RETRY_AFTER).or_insert(HeaderValue::from(RETRY_SECONDS));
    }
}

/// The bytes with their share of the memory for answers; `None` where there is none.
fn held(bytes: Bytes, memory: Memory<'_>) -> Option<Bytes> {
    if bytes.len() < POOLED_BYTES_MIN {
        return Some(bytes);
    }
    let share = memory.pool.take_now(memory.account, bytes.len())?;
    Some(Bytes::from_owner(Held { bytes, _share: share }))
}

struct Held {
    bytes: Bytes,
    _share: Share,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn accepts_gzip(request: &HeaderMap) -> bool {
    let accepted = request.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept::choices(accepted).any(|choice| choice.name == "gzip" && choice.is_wanted)
}

fn gzip(body: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    // Writing to memory does not fail.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default().into()
}

/// The answer to a request that was refused.
pub(super) fn error(error: &Error) -> HttpResponse {
    let envelope = error.envelope();
    let mut answer = Response::new(Bytes::from(envelope.body()).into());
    *answer.status_mut() = StatusCode::from_u16(envelope.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    match error {
        Error::NotAllowed { allow, .. } => {
            if let Ok(allow) = HeaderValue::from_str(allow) {
                headers.insert(ALLOW, allow);
            }
        }
        Error::Throttled { retry_after_seconds } | Error::Busy { retry_after_seconds } => {
            headers.insert(RETRY_AFTER, HeaderValue::from(*retry_after_seconds));
        }
        _ => {}
    }
    invite_back(&mut answer);
    answer
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    #[test]
    fn every_503_says_when_to_come_again_and_nothing_else_does() {
        let retry = |answer: &HttpResponse| {
            answer.headers().get(RETRY_AFTER).map(|value| value.to_str().unwrap_or_default().to_owned())
        };
        let busy = Error::Busy { retry_after_seconds: 7 };
        let errors =
            [(busy, Some("7")), (Error::Unavailable("Locked.".into()), Some("5")), (Error::TooSlow, None)];
        for (failure, expected) in errors {
            assert_eq!(retry(&error(&failure)).as_deref(), expected, "{failure:?}");
        }
        let pool = Pool::new(1024 * 1024);
        let memory = Memory { pool: &pool, account: Account::of(IpAddr::V4(Ipv4Addr::LOCALHOST)) };
        let text = |status| Reply::text(status, "text/plain", "text");
        let replies = [
            (text(503), Some("5")),
            (text(503).with("retry-after", "9"), Some("9")),
            (Reply::text(200, "text/plain", "x".repeat(2 * 1024 * 1024)), Some("5")),
            (text(200), None),
            (text(400), None),
        ];
        for (given, expected) in replies {
            let answer = reply(given, &HeaderMap::new(), memory);
            assert_eq!(retry(&answer).as_deref(), expected, "{}", answer.status());
        }
    }
}
