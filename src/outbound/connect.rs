//! Connections: names are resolved and judged here, and proxies and TLS put in between.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tower_service::Service;

use super::Reach;

/// Largest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;

pub(super) type HttpsClient = Client<HttpsConnector<Connector>, Full<Bytes>>;
type Pending<T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send>>;
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A client for each reach, made when it is first needed: most servers never call out.
#[derive(Default)]
pub(super) struct Clients {
    public: OnceLock<HttpsClient>,
    anywhere: OnceLock<HttpsClient>,
}

impl Clients {
    pub(super) fn of(&self, reach: Reach) -> &HttpsClient {
        let cell = match reach {
            Reach::Public => &self.public,
            Reach::Anywhere => &self.anywhere,
        };
        cell.get_or_init(|| client(reach))
    }
}

fn client(reach: Reach) -> HttpsClient {
    let mut direct = HttpConnector::new_with_resolver(Resolver { system: GaiResolver::new(), reach });
    direct.enforce_http(false);
    let connector =
        Connector { direct, to_proxy: HttpConnector::new(), proxies: Arc::new(Matcher::from_env()) };
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(tls(system_roots()))
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    // No connection is kept: each one is judged anew.
    Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .http1_max_buf_size(HEAD_BYTES_MAX)
        .build(https)
}

/// The system's root certificates. A machine that has none can still reach servers without TLS.
pub(super) fn system_roots() -> RootCertStore {
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
    direct: HttpConnector<Resolver>,
    to_proxy: HttpConnector,
    proxies: Arc<Matcher>,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = Failure;
    type Future = Pending<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let is_https = to.scheme_str() == Some("https");
        let Some(proxy) = self.proxies.intercept(&to).filter(|_| is_https) else {
            let connecting = self.direct.call(to);
            return Box::pin(async { Ok(connecting.await?) });
        };
        let mut tunnel = Tunnel::new(proxy.uri().clone(), self.to_proxy.clone());
        if let Some(credentials) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(credentials.clone());
        }
        Box::pin(async move { Ok(tunnel.call(to).await?) })
    }
}

/// The system's resolver, without the addresses out of reach. The connection goes to one of the addresses
/// that were judged, so that a name cannot change its mind in between.
#[derive(Clone)]
struct Resolver {
    system: GaiResolver,
    reach: Reach,
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolving = self.system.call(name);
        let reach = self.reach;
        Box::pin(async move {
            let allowed: Vec<SocketAddr> =
                resolving.await?.filter(|found| reach.allows(found.ip())).collect();
            if allowed.is_empty() {
                return Err(io::Error::other("its name leads to no public address"));
            }
            Ok(allowed.into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_is_out_of_public_reach() {
        let resolved = |reach| {
            let name = "localhost".parse().unwrap();
            Resolver { system: GaiResolver::new(), reach }.call(name)
        };
        let refusal = resolved(Reach::Public).await.map(Iterator::collect::<Vec<_>>).unwrap_err();
        assert_eq!(refusal.to_string(), "its name leads to no public address");
        assert!(resolved(Reach::Anywhere).await.unwrap().all(|found| found.ip().is_loopback()));
    }
}
