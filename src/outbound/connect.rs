//! Connections: names are resolved and judged here, and proxies and TLS put in between.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use hyper::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tower_service::Service;

use super::policy::{AddressPolicy, NoAddress, is_public};
use super::send::PieceBody;

/// Largest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

pub(super) type HttpsClient = Client<HttpsConnector<Connector>, PieceBody>;
type Pending<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What all connections share, made when it is first needed: most servers never call out.
#[derive(Default)]
pub(super) struct SharedClient {
    tls: OnceLock<ClientConfig>,
    proxies: OnceLock<Arc<Matcher>>,
}

impl SharedClient {
    /// Trusts these root certificates instead of the system's, where no connection was made before.
    pub(super) fn trust(&self, roots: RootCertStore) {
        let _ = self.tls.set(tls(roots));
    }

    /// Trusts the system's root certificates.
    pub(super) fn tls(&self) -> &ClientConfig {
        self.tls.get_or_init(|| tls(system_roots()))
    }

    /// A client for one request, and what is known of its connection. No connection is reused: each one is
    /// judged anew.
    pub(super) fn client(&self, policy: AddressPolicy) -> (HttpsClient, Peer) {
        let peer = Peer::default();
        let proxies = Arc::clone(self.proxies.get_or_init(|| Arc::new(Matcher::from_env())));
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(self.tls().clone())
            .https_or_http()
            .enable_http1()
            .wrap_connector(Connector { policy: Arc::new(policy), proxies, peer: peer.clone() });
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .http1_max_buf_size(HEAD_BYTES_MAX)
            .build(https);
        (client, peer)
    }
}

/// Who is at the other end of a connection.
#[derive(Clone, Default)]
pub(super) struct Peer(Arc<OnceLock<IpAddr>>);

impl Peer {
    /// Whether it is known to have a public address. What a proxy leads to may be anywhere.
    pub(super) fn is_public(&self) -> bool {
        self.0.get().is_some_and(|address| is_public(address.to_canonical()))
    }
}

/// The system's root certificates. A machine that has none can still reach servers without TLS.
fn system_roots() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for cause in &found.errors {
        tracing::warn!(%cause, "root certificates could not be loaded");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    roots
}

/// Trusts these certificates.
pub(super) fn tls(roots: RootCertStore) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider knows the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// Opens connections, directly or through the operator's proxy.
#[derive(Clone)]
pub(super) struct Connector {
    policy: Arc<AddressPolicy>,
    proxies: Arc<Matcher>,
    peer: Peer,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Pending<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let is_https = to.scheme_str() == Some("https");
        let port = to.port_u16().unwrap_or(if is_https { HTTPS_PORT } else { HTTP_PORT });
        match self.proxies.intercept(&to).filter(|_| is_https) {
            None => Box::pin(direct(Arc::clone(&self.policy), to, port, self.peer.clone())),
            Some(proxy) => {
                let judged = self.policy.judge_unresolved(to.host().unwrap_or_default(), port);
                let mut tunnel = Tunnel::new(proxy.uri().clone(), HttpConnector::new());
                if let Some(credentials) = proxy.basic_auth() {
                    tunnel = tunnel.with_auth(credentials.clone());
                }
                Box::pin(async move {
                    judged?;
                    Ok(tunnel.call(to).await?)
                })
            }
        }
    }
}

async fn direct(
    policy: Arc<AddressPolicy>,
    to: Uri,
    port: u16,
    peer: Peer,
) -> Result<TokioIo<TcpStream>, BoxError> {
    let judged = policy.resolve(to.host().unwrap_or_default(), port).await.map_err(|cause| match cause {
        NoAddress::Refused(refused) => BoxError::from(refused),
        NoAddress::Unknown(cause) => cause.into(),
    })?;
    // An address that is written out is taken as it is, and is then the one that was judged.
    let mut connector = HttpConnector::new_with_resolver(Judged(judged));
    connector.enforce_http(false);
    let stream = connector.call(to).await?;
    let address = stream.inner().peer_addr()?.ip();
    let _ = peer.0.set(address);
    Ok(stream)
}

/// Answers every name with the addresses that were judged, so that the connection is made to one of them.
#[derive(Clone)]
struct Judged(Vec<SocketAddr>);

impl Service<Name> for Judged {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        std::future::ready(Ok(self.0.clone().into_iter()))
    }
}
