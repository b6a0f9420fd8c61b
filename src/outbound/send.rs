//! Sending data: one request, no redirects, the beginning of the answer.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Uri};
use url::Url;

use super::{AGENT, Outbound, Reach, innermost, shown};

/// Data for another server.
#[derive(Clone)]
pub struct Delivery {
    pub method: &'static str,
    pub url: Url,
    /// Names in small letters.
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
    /// From connecting to the end of the answer.
    pub time_max: Duration,
    /// How much of the answer is kept; what comes behind is not read.
    pub bytes_max: usize,
}

/// Why there is no receipt: the host and a reason.
#[derive(Debug)]
pub struct Undelivered {
    told: String,
    /// No connection could be opened, so nothing was sent.
    pub is_unreachable: bool,
}

impl std::fmt::Display for Undelivered {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.told)
    }
}

/// What the other server says.
pub struct Receipt {
    pub status: u16,
    headers: HeaderMap,
    /// The beginning of the body.
    pub body: Vec<u8>,
}

impl Receipt {
    /// A header of the answer, by its name in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The beginning of the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Outbound {
    /// Sends the request once. Where it may go is up to whoever set the address.
    pub async fn send(&self, delivery: Delivery) -> Result<Receipt, Undelivered> {
        let host = shown(&delivery.url);
        let told = format!("{host} did not answer within {} seconds", delivery.time_max.as_secs());
        let late = Undelivered { told, is_unreachable: false };
        let time_max = delivery.time_max;
        tokio::time::timeout(time_max, self.deliver(delivery)).await.unwrap_or(Err(late))
    }

    async fn deliver(&self, delivery: Delivery) -> Result<Receipt, Undelivered> {
        let host = shown(&delivery.url);
        let unusable = || Undelivered {
            told: format!("a request to {host} cannot be put together"),
            is_unreachable: true,
        };
        let mut asked = hyper::Request::new(Full::new(delivery.body));
        *asked.method_mut() = Method::from_bytes(delivery.method.as_bytes()).map_err(|_| unusable())?;
        *asked.uri_mut() = delivery.url.as_str().parse::<Uri>().map_err(|_| unusable())?;
        asked.headers_mut().insert(USER_AGENT, HeaderValue::from_static(AGENT));
        for (name, value) in delivery.headers {
            let value = HeaderValue::from_str(&value).map_err(|_| unusable())?;
            asked.headers_mut().insert(HeaderName::from_static(name), value);
        }
        let client = self.clients.of(Reach::Anywhere);
        let answer = client.request(asked).await;
        let answer = answer.map_err(|cause| Undelivered {
            told: format!("{host} could not be reached: {}", innermost(&cause)),
            is_unreachable: cause.is_connect(),
        })?;
        let (head, incoming) = answer.into_parts();
        // An answer that is too long, or breaks off, is told as far as its status goes.
        let body = Limited::new(incoming, delivery.bytes_max).collect().await;
        let body = body.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
        Ok(Receipt { status: head.status.as_u16(), headers: head.headers, body })
    }
}
