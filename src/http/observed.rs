//! What a development or test server does besides with a request: enters it into the journal, and makes it fail where a
//! rule says so.
//! Invariant: requests that control the server are neither entered nor made to fail.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::header::HeaderName;
use hyper::http::request::Parts;
use hyper::{Method, Version};
use sha2::{Digest, Sha256};

use super::answer::Cut;
use super::body::RequestBody;
use super::body_copy::BodyCopy;
use super::find::{Matched, find};
use super::head::RequestHead;
use super::headers::text;
use super::respond::HttpResponse;
use super::{canned, credentials, pulse};
use crate::app::App;
use crate::auth::hash;
use crate::resources::api_keys;
use crate::test_server::TestServer;
use crate::test_server::conceal;
use crate::test_server::faults::{Action, Fired, Plan};
use crate::test_server::journal::Arrival;

/// What begins so controls the server, whether there is such a path or not, or is loaded by pages beside what people do
/// there.
const NOT_OBSERVED: [&str; 2] = ["/_orgd", "/_static/"];
/// Longer texts are cut, in bytes.
const TEXT_BYTES_MAX: usize = 2048;
/// Headers that are kept: what a client says of the body, of its retries, and nothing that opens anything.
const KEPT_HEADERS: [&str; 9] = [
    "accept",
    "content-encoding",
    "content-type",
    "idempotency-key",
    "posthog-attempt",
    "retry-attempt",
    "retry-count",
    "x-retry-count",
    "x-stainless-retry-count",
];
/// Headers of an answer that stay when another one takes its place.
const STAYING_HEADERS: [&str; 6] = [
    "access-control-allow-credentials",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "connection",
    "orgd-mode",
    "x-request-id",
];

/// The connection ends without an answer, or the stream of HTTP/2 does.
#[derive(Debug)]
pub(super) struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("a rule broke it off")
    }
}

impl std::error::Error for Broken {}

/// A request to a development or test server.
pub(super) struct Observed {
    app: Arc<App>,
    number: u64,
    began: Instant,
    fault: Option<Fired>,
    is_http2: bool,
    /// Whether its answer has no body, whatever the length that it says.
    is_head: bool,
    is_over: bool,
}

impl Observed {
    /// Enters the request, and finds the rule that is about it. `None` on an ordinary server, and for what controls it.
    pub(super) fn arrive(request: &RequestHead<'_>) -> Option<Box<Observed>> {
        let server = request.app.test_server.as_ref()?;
        let parts = request.parts;
        let matched = find(request).ok();
        let is_control = matched.as_ref().is_some_and(|matched| matched.target.node.is_control());
        if is_control || NOT_OBSERVED.iter().any(|front| parts.uri.path().starts_with(front)) {
            return None;
        }
        let key = label_of_key(request);
        let row = matched.as_ref().map(|matched| matched.target.node.name());
        let path = percent_encoding::percent_decode_str(parts.uri.path()).decode_utf8_lossy();
        let fault = server.faults.meet_request(parts.method.as_str(), &path, row, key.as_deref());
        let number = server.journal.arrive(arrival(request, matched.as_ref(), key));
        if let Some(fired) = &fault {
            server.journal.note_fault(number, fired.id.clone());
        }
        Some(Box::new(Observed {
            app: Arc::clone(request.app),
            number,
            began: Instant::now(),
            fault,
            is_http2: parts.version == Version::HTTP_2,
            is_head: parts.method == Method::HEAD,
            is_over: false,
        }))
    }

    /// What keeps a copy of the body while it is read.
    pub(super) fn copy(&self, request: &RequestHead<'_>) -> BodyCopy {
        let route = find(request).ok().and_then(|matched| matched.target.route);
        let fields = route.and_then(|route| route.accepts).unwrap_or_default();
        let media = text(request.headers.content_type).map(str::to_owned);
        BodyCopy::new(Arc::clone(&self.app), self.number, media, fields)
    }

    fn server(&self) -> Option<&TestServer> {
        self.app.test_server.as_deref()
    }

    async fn pause(&self, time: Duration) {
        if let Some(server) = self.server() {
            server.pause(time).await;
        }
    }

    /// Does what goes wrong before the request is carried out. An answer takes the place of the server's own.
    pub(super) async fn before(
        &mut self,
        request: &RequestHead<'_>,
        body: &mut RequestBody,
    ) -> Result<Option<HttpResponse>, Broken> {
        let Some(Fired { plan, .. }) = self.fault.clone() else { return Ok(None) };
        if plan.is_after_commit {
            return Ok(None);
        }
        // What the peer has sent is read, so that it is noticed when the peer leaves, and the journal has the body.
        body.preload().await;
        self.pause(plan.delay).await;
        match plan.action {
            None | Some(Action::Cut(_)) => Ok(None),
            Some(Action::Answer(answer)) => Ok(Some(canned::answer(&answer, request.parts))),
            Some(Action::Reset) => Err(self.reset()),
            Some(Action::Silence(time)) => {
                self.pause(time).await;
                Err(self.break_off())
            }
        }
    }

    /// Notes how the request was answered, and spoils the answer where a rule says so.
    pub(super) async fn after(
        mut self: Box<Self>,
        answer: HttpResponse,
        parts: &Parts,
    ) -> Result<HttpResponse, Broken> {
        let status = answer.status().as_u16();
        let Some(Fired { plan, .. }) = self.fault.take() else {
            self.finish(Some(status));
            return Ok(answer);
        };
        let Plan { delay, is_after_commit, action } = plan;
        if !is_after_commit {
            return match action {
                Some(Action::Cut(bytes)) => self.cut(answer, bytes),
                _ => {
                    self.finish(Some(status));
                    Ok(answer)
                }
            };
        }
        if let Some(server) = self.server() {
            server.journal.note_carried_out(self.number, status);
        }
        self.pause(delay).await;
        match action {
            None => {
                self.finish(Some(status));
                Ok(answer)
            }
            Some(Action::Answer(other)) => {
                let other = in_place_of(&answer, canned::answer(&other, parts));
                self.finish(Some(other.status().as_u16()));
                Ok(other)
            }
            Some(Action::Cut(bytes)) => self.cut(answer, bytes),
            Some(Action::Reset) => Err(self.reset()),
            Some(Action::Silence(time)) => {
                self.pause(time).await;
                Err(self.break_off())
            }
        }
    }

    /// Lets so many bytes of the body through, and never all of them. An answer without a body is broken off as a whole.
    fn cut(&mut self, mut answer: HttpResponse, bytes: usize) -> Result<HttpResponse, Broken> {
        if self.is_head || answer.body().is_at_end() {
            return Err(self.break_off());
        }
        self.finish(Some(answer.status().as_u16()));
        let cut = Cut::after(bytes, pulse::current(), self.is_http2);
        answer.body_mut().cut(cut);
        Ok(answer)
    }

    fn reset(&mut self) -> Broken {
        // Of HTTP/2 the stream is reset, and others go on beside it.
        if !self.is_http2 {
            pulse::reset();
        }
        self.break_off()
    }

    fn break_off(&mut self) -> Broken {
        self.finish(None);
        Broken
    }

    fn finish(&mut self, status: Option<u16>) {
        self.is_over = true;
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        if let Some(server) = self.server() {
            server.journal.finish(self.number, status, millis);
        }
    }
}

impl Drop for Observed {
    /// The peer has left before there was an answer.
    fn drop(&mut self) {
        if !self.is_over {
            self.finish(None);
        }
    }
}

/// The label of the key in the header or the query, if it is one.
fn label_of_key(request: &RequestHead<'_>) -> Option<String> {
    let of_query = || {
        let mut pairs = form_urlencoded::parse(request.parts.uri.query()?.as_bytes());
        Some(hash(&pairs.find(|(name, _)| name == credentials::KEY_FIELD)?.1))
    };
    let key = credentials::header_key(text(request.headers.authorization)).or_else(of_query)?;
    request.app.store.read(|tx| api_keys::label_of(tx, &key)).ok().flatten()
}

fn arrival(request: &RequestHead<'_>, matched: Option<&Matched>, key: Option<String>) -> Arrival {
    let parts = request.parts;
    let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
    let shown = match matched {
        Some(Matched { target, params }) => target.node.path_without_secrets(path, params),
        None => conceal::path(path),
    };
    let kept = KEPT_HEADERS.iter().filter_map(|name| {
        let value = text(parts.headers.get(HeaderName::from_static(name)))?;
        Some((*name, short(&conceal::text(value))))
    });
    Arrival {
        at: request.app.clock.now(),
        method: parts.method.as_str().to_owned().into(),
        path: short(&shown),
        query: short(&conceal::query(query)),
        target_hash: Sha256::digest(format!("{path}?{query}")).into(),
        row: matched.map(|matched| matched.target.node.name().into()),
        agent: text(request.headers.user_agent).map(|agent| short(&conceal::text(agent))),
        headers: kept.collect(),
        key,
    }
}

fn short(content: &str) -> String {
    let end = (0..=TEXT_BYTES_MAX.min(content.len())).rev().find(|end| content.is_char_boundary(*end));
    content[..end.unwrap_or(0)].to_owned()
}

/// The other answer, with what says how it came and who may read it.
fn in_place_of(answer: &HttpResponse, mut other: HttpResponse) -> HttpResponse {
    for name in STAYING_HEADERS.map(HeaderName::from_static) {
        if let Some(value) = answer.headers().get(&name) {
            other.headers_mut().insert(name, value.clone());
        }
    }
    other
}
