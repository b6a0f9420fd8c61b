//! Sending data: one request, no redirects, the beginning of the answer.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Uri};
use tokio::sync::watch;
use url::Url;

use super::{AGENT, Outbound, Refused, is_untrusted, reason, refusal, shown};
use crate::clock::Time;

/// Bodies are handed over in pieces of this size, in bytes: each one taken is a sign of life.
const PIECE_BYTES: usize = 64 * 1024;

/// Data for another server.
#[derive(Clone)]
pub struct SendRequest {
    pub method: &'static str,
    pub url: Url,
    /// Names in small letters.
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
    /// From connecting to the end of the answer.
    pub time_max: Duration,
    /// How much of the answer is kept; the rest is not read.
    pub bytes_max: usize,
}

/// Why there is no response.
#[derive(Debug)]
pub enum SendError {
    /// Nothing may be sent there.
    Refused(Refused),
    /// There is no such request, or the other server's certificate is not accepted: the same would happen again.
    Unusable(String),
    /// No connection could be opened, so nothing was sent: the host and a reason.
    Unreachable(String),
    /// The connection broke before the answer: the host and a reason.
    Broken(String),
    /// The answer did not come in time: the host, and how long it had.
    Late(String),
}

impl SendError {
    /// The other server was silent for too long.
    pub fn late(url: &Url, seconds: u64) -> SendError {
        SendError::Late(format!("{} did not answer within {seconds} seconds", shown(url)))
    }
}

/// What the other server answered.
pub struct SendResponse {
    pub status: u16,
    headers: HeaderMap,
    /// The beginning of the body.
    pub body: Vec<u8>,
    /// Whether that is all of it: not where it is too long, or has broken off.
    pub is_whole: bool,
    /// Whether it comes from a public address. The answers of others are never shown.
    pub is_public: bool,
}

impl SendResponse {
    /// A header of the answer, by its name in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// How many seconds to wait for, where the other server says so: a number of them, or a date by its own clock.
    pub fn retry_after_seconds(&self, now: Time) -> Option<i64> {
        let text = self.header(RETRY_AFTER.as_str())?.trim();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(text.parse().unwrap_or(i64::MAX));
        }
        let there = self.date(DATE.as_str()).unwrap_or_else(|| now.unix_seconds());
        Some(self.date(RETRY_AFTER.as_str())?.saturating_sub(there).max(0))
    }

    /// A header that holds a date, in seconds since 1970.
    pub fn date(&self, name: &str) -> Option<i64> {
        let date = jiff::fmt::rfc2822::parse(self.header(name)?.trim()).ok()?;
        Some(date.timestamp().as_second())
    }

    /// The beginning of the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The body of a request, which reports each piece that is taken.
#[derive(Default)]
pub(super) struct PieceBody {
    rest: Bytes,
    progress: Option<watch::Sender<()>>,
}

impl Body for PieceBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(progress) = &self.progress {
            progress.send_replace(());
        }
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let size = self.rest.len().min(PIECE_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(size)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

impl Outbound {
    /// Sends the request once. `progress` is notified of every step on the way.
    ///
    /// # Errors
    /// There is no answer, or there may be none.
    pub async fn send(
        &self,
        request: SendRequest,
        progress: watch::Sender<()>,
    ) -> Result<SendResponse, SendError> {
        let late = SendError::late(&request.url, request.time_max.as_secs());
        let time_max = request.time_max;
        tokio::time::timeout(time_max, self.exchange_once(request, progress)).await.unwrap_or(Err(late))
    }

    async fn exchange_once(
        &self,
        request: SendRequest,
        progress: watch::Sender<()>,
    ) -> Result<SendResponse, SendError> {
        let host = shown(&request.url);
        let unusable = || SendError::Unusable(format!("a request to {host} cannot be put together"));
        let body = PieceBody { rest: request.body, progress: Some(progress) };
        let mut outgoing = hyper::Request::new(body);
        *outgoing.method_mut() = Method::from_bytes(request.method.as_bytes()).map_err(|_| unusable())?;
        *outgoing.uri_mut() = request.url.as_str().parse::<Uri>().map_err(|_| unusable())?;
        outgoing.headers_mut().insert(USER_AGENT, HeaderValue::from_static(AGENT));
        for (name, value) in request.headers {
            let value = HeaderValue::from_str(&value).map_err(|_| unusable())?;
            outgoing.headers_mut().insert(HeaderName::from_static(name), value);
        }
        let (client, peer) = self.shared.client(self.policy.clone());
        let answer = client.request(outgoing).await.map_err(|cause| match refusal(&cause) {
            Some(refused) => SendError::Refused(refused),
            None => {
                let error = format!("{host} could not be reached: {}", reason(&cause));
                match () {
                    () if is_untrusted(&cause) => SendError::Unusable(error),
                    () if cause.is_connect() => SendError::Unreachable(error),
                    () => SendError::Broken(error),
                }
            }
        })?;
        let (head, incoming) = answer.into_parts();
        let (body, is_whole) = beginning(incoming, request.bytes_max).await;
        Ok(SendResponse {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
            is_whole,
            is_public: peer.is_public(),
        })
    }
}

/// The beginning of a body, at most `bytes_max`, and whether that is all of it.
async fn beginning(mut incoming: Incoming, bytes_max: usize) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let Ok(frame) = frame else { return (body, false) };
        let Some(part) = frame.data_ref() else { continue };
        let fitting = part.len().min(bytes_max - body.len());
        body.extend_from_slice(&part[..fitting]);
        if fitting < part.len() {
            return (body, false);
        }
    }
    (body, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(headers: &[(&'static str, &str)]) -> SendResponse {
        let header = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).expect("plain"))
        };
        let headers = headers.iter().map(header).collect();
        SendResponse { status: 503, headers, body: Vec::new(), is_whole: true, is_public: true }
    }

    #[test]
    fn how_long_to_wait_is_a_number_or_a_date() {
        let now = Time::parse("2024-01-01T12:00:00Z").expect("a time");
        for (value, seconds) in [
            ("7", Some(7)),
            (" 120 ", Some(120)),
            ("0", Some(0)),
            ("99999999999999999999999", Some(i64::MAX)),
            ("Mon, 01 Jan 2024 12:01:30 GMT", Some(90)),
            ("Mon, 01 Jan 2024 11:00:00 GMT", Some(0)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
        ] {
            assert_eq!(response(&[("retry-after", value)]).retry_after_seconds(now), seconds, "{value:?}");
        }
        assert_eq!(response(&[]).retry_after_seconds(now), None);
        // Of two clocks that differ, the one that wrote the date counts.
        let date =
            [("retry-after", "Mon, 01 Jan 2024 12:01:30 GMT"), ("date", "Mon, 01 Jan 2024 12:01:00 GMT")];
        assert_eq!(response(&date).retry_after_seconds(now), Some(30));
    }

    #[tokio::test]
    async fn a_body_goes_out_in_pieces_and_each_one_is_a_sign_of_life() {
        let (progress, mut signs) = watch::channel(());
        let whole: Vec<u8> = (0..2 * PIECE_BYTES + 7).map(|number| (number % 251) as u8).collect();
        let mut sent = PieceBody { rest: whole.clone().into(), progress: Some(progress) };
        assert_eq!(sent.size_hint().exact(), Some(whole.len() as u64));
        let mut pieces = Vec::new();
        while let Some(frame) = sent.frame().await {
            pieces.push(frame.expect("it cannot fail").into_data().expect("data"));
            assert!(signs.has_changed().expect("the body lives"));
            signs.mark_unchanged();
        }
        assert_eq!(pieces.iter().map(Bytes::len).collect::<Vec<_>>(), [PIECE_BYTES, PIECE_BYTES, 7]);
        assert_eq!(pieces.concat(), whole);
        assert!(sent.is_end_stream());
    }
}
