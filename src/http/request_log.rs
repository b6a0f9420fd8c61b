//! What the log says of a request.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use hyper::StatusCode;
use hyper::header::HeaderValue;
use tokio::time::Instant;

use super::find::{Matched, RequestTarget};
use super::forwarded::Client;
use super::headers::{RequestHeaders, text};
use crate::api::Source;
use crate::app::App;
use crate::app::route::Refuse;
use crate::clock::{Clock, Time};
use crate::error::Error;
use crate::ids::UserId;
use crate::logging::{self, Access, SecurityEvent};
use crate::metrics::{self, OTHER, PathRequests};
use crate::routes::{Params, PathNode};

/// Grows as more is known of the request.
pub(super) struct RequestLog {
    began: Instant,
    /// The time of the machine when it came.
    pub(super) came: Time,
    pub(super) id: HeaderValue,
    /// What the request is for, once it is known.
    pub(super) named: Option<Named>,
    address: IpAddr,
    /// Whether the caller showed a key or a session, good or not.
    pub(super) has_credential: bool,
    pub(super) user: Option<UserId>,
}

/// What a request is for, and what it names.
#[derive(Clone)]
pub(super) struct Named {
    pub(super) target: RequestTarget,
    /// The identifiers that the path names, but for those that open something.
    ids: Arc<str>,
}

impl Named {
    pub(super) fn of(target: RequestTarget, params: &Params) -> Named {
        Named { target, ids: target.node.ids(params).into() }
    }
}

/// Where requests are counted whose path names nothing.
fn unknown() -> &'static PathRequests {
    static UNKNOWN: LazyLock<&PathRequests> = LazyLock::new(|| PathRequests::of("-"));
    *UNKNOWN
}

impl RequestLog {
    /// Takes the caller's request id over, if it is a usable one.
    pub(super) fn start(
        began: Instant,
        headers: &RequestHeaders<'_>,
        client: &Client,
        app: &App,
    ) -> RequestLog {
        let usable = |value: &&HeaderValue| {
            let plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"\\".contains(byte);
            (1..=128).contains(&value.len()) && value.as_bytes().iter().all(plain)
        };
        let id = headers.request_id.filter(usable).cloned().unwrap_or_else(|| {
            let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
            let text = app.ids.request().hyphenated().encode_lower(&mut text);
            HeaderValue::from_str(text).expect("a UUID is a header value")
        });
        RequestLog {
            began,
            came: Clock::wall(),
            id,
            named: None,
            address: client.address,
            has_credential: false,
            user: None,
        }
    }

    /// Notes what the request is for.
    pub(super) fn note_target(&mut self, matched: &Matched) {
        self.named = Some(Named::of(matched.target, &matched.params));
    }

    fn node(&self) -> Option<&'static PathNode> {
        self.named.as_ref().map(|named| named.target.node)
    }

    /// The path of the route, not of the request, which may hold anything.
    fn path(&self) -> &'static str {
        self.node().map_or("-", PathNode::name)
    }

    pub(super) fn is_ingest(&self) -> bool {
        self.node().is_some_and(PathNode::is_ingest)
    }

    /// How a refusal looks; `None` for the JSON envelope.
    pub(super) fn refuse(&self) -> Option<Refuse> {
        self.node().and_then(PathNode::refuse)
    }

    /// Whether a cache may keep the answer, if it is none of an error.
    pub(super) fn may_be_stored(&self) -> bool {
        self.user.is_none() && self.node().is_some_and(PathNode::may_be_stored)
    }

    /// Logs an error that the operator should see: our faults, and what may be an attack.
    pub(super) fn note_error(&self, failure: &Error) {
        let event = match (failure, self.user) {
            (Error::Internal { at, .. }, _) => {
                let request_id = self.id_text();
                tracing::error!(request_id, route = self.path(), cause = %failure, %at, "a request failed");
                return;
            }
            (Error::Denied { .. }, Some(_)) => SecurityEvent::PermissionRefused,
            (Error::Unauthenticated { .. }, None) if self.has_credential => SecurityEvent::TokenRefused,
            _ => return,
        };
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        let account = self.user.as_ref().map(|user| &*user.0.hyphenated().encode_lower(&mut text));
        logging::security(event, self.address, account.unwrap_or("-"));
    }

    /// Writes the line of the request.
    pub(super) fn finish(&self, method: &str, status: u16) {
        let micros = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let method_place = self.named.as_ref().and_then(|named| named.target.method);
        let requests = self.node().map_or_else(unknown, PathNode::requests);
        let method_place = method_place.map_or(OTHER, |method| method as usize);
        requests.count(method_place, status, micros);
        if status == StatusCode::TOO_MANY_REQUESTS.as_u16() {
            metrics::REQUESTS_THROTTLED.one();
        }
        logging::access(&Access {
            method,
            path: self.path(),
            status,
            micros,
            address: self.address,
            ids: self.named.as_ref().map_or("", |named| &named.ids),
            request_id: self.id_text(),
            user: self.user,
            now: Time(self.came.0.saturating_add_unsigned(micros)),
        });
    }

    /// Where a command comes from.
    pub(super) fn source(&self, headers: &RequestHeaders<'_>) -> Source {
        const CLIENT_LETTERS_MAX: usize = 32;
        let client = text(headers.client).filter(|name| !name.is_empty());
        Source {
            address: Some(self.address),
            client: client.map(|name| name.chars().take(CLIENT_LETTERS_MAX).collect()),
            request_id: Some(self.id_text().to_owned()),
        }
    }

    pub(super) fn id_text(&self) -> &str {
        self.id.to_str().unwrap_or_default()
    }
}
