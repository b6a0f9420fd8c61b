//! An answer that a rule gives in place of the server's own.

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};

use super::respond::{self, HttpResponse};
use crate::api::reply::JSON;
use crate::error::{Envelope, Error, forbidden, not_found, unauthenticated};
use crate::test_server::faults::{CannedAnswer, CannedBody};

/// The answer, as the rule has it, and without a body as the server itself would give it.
pub(super) fn answer(canned: &CannedAnswer, parts: &Parts) -> HttpResponse {
    let mut answer = match &canned.body {
        Some(CannedBody::Json(text)) => with_body(canned.status, JSON, text.clone()),
        Some(CannedBody::Text(text)) => with_body(canned.status, "text/plain; charset=utf-8", text.clone()),
        None => own(canned, parts),
    };
    for (name, value) in &canned.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name.as_str()), HeaderValue::from_str(value)) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

fn with_body(status: u16, media: &'static str, body: impl Into<Bytes>) -> HttpResponse {
    let mut answer = Response::new(body.into().into());
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    answer
}

/// What the server itself answers with such a status.
fn own(canned: &CannedAnswer, parts: &Parts) -> HttpResponse {
    let retry = canned.headers.iter().find(|(name, _)| name == RETRY_AFTER.as_str());
    let seconds = retry.and_then(|(_, value)| value.parse().ok());
    let failure = match canned.status {
        200..400 => return good(canned.status),
        400 => Error::Unreadable("Malformed request.".into()),
        401 => unauthenticated(),
        403 => forbidden(),
        404 => not_found(),
        406 => Error::NotAcceptable,
        408 => Error::TooSlow,
        415 => Error::UnsupportedMedia(
            parts
                .headers
                .get(CONTENT_TYPE)
                .and_then(|media| media.to_str().ok())
                .unwrap_or_default()
                .to_owned(),
        ),
        429 => Error::Throttled { retry_after_seconds: seconds.unwrap_or(1) },
        503 => Error::Busy { retry_after_seconds: seconds.unwrap_or(respond::RETRY_SECONDS) },
        status => return other(status, parts),
    };
    respond::error(&failure)
}

fn good(status: u16) -> HttpResponse {
    if status < 300 && ![204, 205].contains(&status) {
        return with_body(status, JSON, "{}");
    }
    let mut answer = with_body(status, JSON, "");
    answer.headers_mut().remove(CONTENT_TYPE);
    answer
}

/// An error that this server has no word for.
fn other(status: u16, parts: &Parts) -> HttpResponse {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let detail = match status {
        405 => format!("Method \"{}\" not allowed.", parts.method),
        500 => "A server error occurred.".to_owned(),
        _ => reason.map_or_else(|| "Error.".to_owned(), |reason| format!("{reason}.")),
    };
    let (kind, code) = match status {
        405 => ("invalid_request", "method_not_allowed"),
        413 => ("invalid_request", "request_too_large"),
        400..500 => ("invalid_request", "error"),
        _ => ("server_error", "error"),
    };
    with_body(status, JSON, Envelope::new(status, kind, code, detail).body())
}
