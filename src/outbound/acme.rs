//! What is sent to an authority that issues certificates: the library says what, and this how.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, Response};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use tokio::sync::watch;
use url::Url;

use super::postgres::Roots;
use super::{AddressPolicy, Outbound, SendError, SendRequest, SendResponse, shown};
use crate::clock::Time;

/// How long one request may take.
const TIME_MAX: Duration = Duration::from_secs(30);
/// Longest answer, in bytes: a chain of certificates takes a few thousand.
const BYTES_MAX: usize = 256 * 1024;
/// What the library reads of the head of an answer.
const HEADERS: [&str; 4] = ["content-type", "location", "replay-nonce", "retry-after"];

/// A client for one order. The authority may be anywhere; where it leads to other hosts, these are judged like all others.
#[derive(Clone)]
pub struct AcmeClient(Arc<Inner>);

struct Inner {
    outbound: Outbound,
    host: String,
    /// The last answer that asks for a pause.
    paused: Mutex<Option<SendResponse>>,
}

impl AcmeClient {
    pub fn new(policy: &AddressPolicy, directory: &Url, roots: &Roots) -> AcmeClient {
        let outbound = Outbound::to_own(policy, directory.host_str().unwrap_or_default(), roots);
        AcmeClient(Arc::new(Inner { outbound, host: shown(directory), paused: Mutex::default() }))
    }

    /// The authority's host, and its port where that is an unusual one.
    pub fn host(&self) -> String {
        self.0.host.clone()
    }

    /// For how many seconds the authority wants to be left alone, where its last refusal says so.
    pub fn retry_after(&self, now: Time) -> Option<i64> {
        let paused = self.0.paused.lock().unwrap_or_else(PoisonError::into_inner);
        paused.as_ref()?.retry_after_seconds(now)
    }

    async fn exchange(&self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|cause| Error::Other(cause.to_string().into()))?.to_bytes();
        let url = Url::parse(&head.uri.to_string()).ok().filter(|url| url.scheme() == "https");
        let url = url.ok_or("the authority leads to an address that does not begin with https://")?;
        let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let sent = SendRequest {
            method: match head.method {
                Method::POST => "POST",
                Method::HEAD => "HEAD",
                _ => "GET",
            },
            url,
            headers: content_type.map(|value| ("content-type", value.to_owned())).into_iter().collect(),
            body,
            time_max: TIME_MAX,
            bytes_max: BYTES_MAX,
        };
        let answer = self.0.outbound.send(sent, watch::channel(()).0).await;
        let answer = answer.map_err(|cause| Error::Other(in_words(cause).into()))?;
        if !answer.is_whole {
            return Err("the answer of the authority broke off, or is too long".into());
        }
        let mut response = Response::builder().status(answer.status);
        for name in HEADERS {
            if let Some(value) = answer.header(name) {
                response = response.header(name, value);
            }
        }
        let response = response.body(Full::new(Bytes::from(answer.body.clone())))?;
        if matches!(answer.status, 429 | 503) {
            *self.0.paused.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        }
        Ok(response.into())
    }
}

impl HttpClient for AcmeClient {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let client = self.clone();
        Box::pin(async move { client.exchange(request).await })
    }
}

fn in_words(cause: SendError) -> String {
    match cause {
        SendError::Refused(refused) => refused.to_string(),
        SendError::Unusable(words)
        | SendError::Unreachable(words)
        | SendError::Broken(words)
        | SendError::Late(words) => words,
    }
}
