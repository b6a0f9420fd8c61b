//! Requests to other servers: the only place from which this program calls out over HTTP, and connects to
//! databases.
//!
//! Invariant: a request ends within its time, redirects included; no more of an answer is kept than
//! was allowed; no connection is opened to an address that the policy does not allow; credentials go to no
//! other host than the one they were meant for, and into no message.

pub mod acme;
mod connect;
mod policy;
pub mod postgres;
mod send;

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderValue, LOCATION, USER_AGENT};
use hyper::{Response, Uri};
use rustls::{CertificateError, RootCertStore};
use url::Url;

use connect::SharedClient;
pub use policy::{AddressPolicy, Refused};
use send::PieceBody;
pub use send::{SendError, SendRequest, SendResponse};

/// How many redirects are followed.
const REDIRECTS_MAX: usize = 5;
const AGENT: &str = concat!("orgd/", env!("CARGO_PKG_VERSION"));

/// What to get, and how much time and memory the answer may take.
pub struct GetRequest {
    pub url: Url,
    /// Whether a setting of the operator names this host, which may then be anywhere. Redirects to other
    /// hosts are judged like all others.
    pub is_of_operator: bool,
    /// The value of the `Authorization` header.
    pub authorization: Option<String>,
    pub time_max: Duration,
    pub bytes_max: usize,
}

/// The last answer, after all redirects.
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// Why there is no answer: the host and a reason, which may be shown to the caller.
#[derive(Debug)]
pub struct GetError(String);

impl std::fmt::Display for GetError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

/// The client for other servers. Proxies are taken from `HTTPS_PROXY` and `NO_PROXY`, root certificates from the system.
pub struct Outbound {
    policy: AddressPolicy,
    shared: SharedClient,
}

impl Outbound {
    /// Connects to what the policy allows.
    pub fn new(policy: AddressPolicy) -> Outbound {
        Outbound { policy, shared: SharedClient::default() }
    }

    /// A client for the server that a setting of the operator names, which may be anywhere. Its certificate is checked
    /// against `roots`.
    pub fn to_own(policy: &AddressPolicy, host: &str, roots: &postgres::Roots) -> Outbound {
        let own = Outbound::new(policy.with_host(host));
        if let postgres::Roots::These(roots) = roots {
            own.shared.trust(RootCertStore::clone(roots));
        }
        own
    }

    /// Gets what the request names, following redirects.
    pub async fn get(&self, request: GetRequest) -> Result<Answer, GetError> {
        let late = GetError(format!(
            "{} did not answer in full within {} seconds.",
            shown(&request.url),
            request.time_max.as_secs()
        ));
        tokio::time::timeout(request.time_max, self.follow(request)).await.unwrap_or(Err(late))
    }

    async fn follow(&self, request: GetRequest) -> Result<Answer, GetError> {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        if let Some(text) = &request.authorization {
            let mut value = HeaderValue::from_str(text)
                .map_err(|_| GetError("The access token holds characters that no header can.".into()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let mut url = request.url;
        let policy = match url.host_str().filter(|_| request.is_of_operator) {
            Some(host) => self.policy.with_host(host),
            None => self.policy.clone(),
        };
        for _ in 0..=REDIRECTS_MAX {
            let answer = self.exchange(&url, &policy, &headers).await?;
            let Some(next) = redirect(&url, &answer)? else {
                return read(&url, answer, request.bytes_max).await;
            };
            if next.origin() != url.origin() {
                headers.remove(AUTHORIZATION);
            }
            url = next;
        }
        Err(GetError(format!("{} redirects more than {REDIRECTS_MAX} times.", shown(&url))))
    }

    async fn exchange(
        &self,
        url: &Url,
        policy: &AddressPolicy,
        headers: &HeaderMap,
    ) -> Result<Response<Incoming>, GetError> {
        let host = shown(url);
        let uri: Uri = url
            .as_str()
            .parse()
            .map_err(|_| GetError(format!("An address at {host} cannot be requested.")))?;
        let mut outgoing = hyper::Request::new(PieceBody::default());
        *outgoing.uri_mut() = uri;
        *outgoing.headers_mut() = headers.clone();
        let (client, _) = self.shared.client(policy.clone());
        client.request(outgoing).await.map_err(|cause| match refusal(&cause) {
            Some(refused) => GetError(format!("{refused}.")),
            None => GetError(format!("{host} could not be reached: {}.", reason(&cause))),
        })
    }
}

/// The address that the answer redirects to, if it does.
fn redirect(from: &Url, answer: &Response<Incoming>) -> Result<Option<Url>, GetError> {
    if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let target = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let next = target.and_then(|target| from.join(target).ok());
    match next.filter(|next| matches!(next.scheme(), "http" | "https")) {
        Some(next) => Ok(Some(next)),
        None => Err(GetError(format!("{} redirects to where no request can go.", shown(from)))),
    }
}

/// The body, counted as it arrives: the size in the headers is not trusted.
async fn read(url: &Url, answer: Response<Incoming>, bytes_max: usize) -> Result<Answer, GetError> {
    let host = shown(url);
    let too_large = || GetError(format!("The answer of {host} is larger than {bytes_max} bytes."));
    let announced =
        answer.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > bytes_max as u64) {
        return Err(too_large());
    }
    let status = answer.status().as_u16();
    let mut incoming = answer.into_body();
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame
            .map_err(|cause| GetError(format!("The answer of {host} broke off: {}.", reason(&cause))))?;
        let Some(part) = frame.data_ref() else { continue };
        if body.len() + part.len() > bytes_max {
            return Err(too_large());
        }
        body.extend_from_slice(part);
    }
    Ok(Answer { status, body })
}

/// Host and port. Messages show no more of a URL, since the rest may hold secrets.
pub fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The innermost cause, which is the specific one. It holds nothing that the other server has sent.
pub fn reason(failure: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = failure;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    let tls = inner.and_then(|inner| inner.downcast_ref()).or_else(|| cause.downcast_ref());
    if let Some(rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. })) = tls {
        // The whole error lists the names that the certificate is for.
        return "invalid peer certificate: it is for another name".into();
    }
    cause.to_string().trim_end_matches('.').to_owned()
}

/// Whether the certificate of the other server is the reason, and stays one: certificates that are too old are renewed.
fn is_untrusted(failure: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(failure);
    while let Some(error) = cause {
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let tls = inner.and_then(|inner| inner.downcast_ref()).or_else(|| error.downcast_ref());
        if let Some(rustls::Error::InvalidCertificate(reason)) = tls {
            return !is_about_time(reason);
        }
        cause = error.source();
    }
    false
}

fn is_about_time(reason: &CertificateError) -> bool {
    matches!(
        reason,
        CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. }
    )
}

/// The refusal that caused an error, if it was one.
fn refusal(failure: &(dyn std::error::Error + 'static)) -> Option<Refused> {
    let mut cause = Some(failure);
    while let Some(error) = cause {
        if let Some(refused) = error.downcast_ref::<Refused>() {
            return Some(refused.clone());
        }
        cause = error.source();
    }
    None
}
