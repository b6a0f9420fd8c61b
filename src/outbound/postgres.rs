//! Connections to PostgreSQL and what speaks its protocol.
//!
//! To other machines they are always encrypted. As with libpq's `sslmode=require`, whose certificate it is
//! is checked only where the operator has named root certificates: databases mostly have certificates of
//! their own making, or of their provider's own authority, which no machine knows. What is checked even
//! then: the server holds the key of the certificate that it shows, and SCRAM binds its proof to that
//! certificate, so that the proof cannot be passed on. That does not stop who stands in between and asks for
//! the password itself, in plain: against him only named root certificates help.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Error};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::connect::{system_roots, tls};
use super::{AGENT, Reach, innermost};

/// The certificates that those of databases are checked against.
#[derive(Clone, Debug)]
pub struct Roots(Arc<RootCertStore>);

impl Roots {
    /// `system`, or a file in PEM form.
    ///
    /// # Errors
    /// The file cannot be read, or holds no certificate.
    pub fn named(name: &str) -> Result<Roots, String> {
        if name == "system" {
            return Ok(Roots(Arc::new(system_roots())));
        }
        let mut roots = RootCertStore::empty();
        let found = CertificateDer::pem_file_iter(name).map_err(|cause| cause.to_string())?;
        for certificate in found {
            let added = certificate.map(|certificate| roots.add(certificate));
            added.map_err(|cause| cause.to_string())?.map_err(|cause| cause.to_string())?;
        }
        if roots.is_empty() { Err("holds no certificate".into()) } else { Ok(Roots(Arc::new(roots))) }
    }
}

/// A database, and as whom to enter it.
pub struct Database<'a> {
    pub host: &'a str,
    pub port: u16,
    pub name: &'a str,
    pub user: &'a str,
    pub password: &'a str,
    /// `None`: whose certificate it is does not matter.
    pub roots: Option<Roots>,
    pub reach: Reach,
}

/// Why there is no session.
pub enum Unreached {
    /// No server, or none that we can talk to.
    Failed(String),
    /// The server does not let us in.
    Refused(Error),
}

/// A session. It ends, and with it the transaction that is not committed, when this goes.
pub struct Session {
    pub client: Client,
    connection: Connection,
}

/// The task that moves the bytes.
struct Connection(JoinHandle<Result<(), Error>>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How long a connection that ends is listened to.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl Session {
    /// Opens one. How long that may take is up to the caller.
    ///
    /// # Errors
    /// The server cannot be reached, or does not let us in.
    pub async fn open(to: &Database<'_>) -> Result<Session, Unreached> {
        let failed = |cause: io::Error| Unreached::Failed(cause.to_string());
        let found = tokio::net::lookup_host((to.host, to.port)).await.map_err(failed)?;
        let allowed: Vec<SocketAddr> = found.filter(|address| to.reach.allows(address.ip())).collect();
        let stream = TcpStream::connect(allowed.as_slice()).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        // What is said to this very machine needs no encryption.
        let is_here = allowed.iter().all(|address| address.ip().is_loopback());
        let mut config = Config::new();
        config.user(to.user).password(to.password).dbname(to.name).application_name(AGENT);
        config.ssl_mode(if is_here { SslMode::Prefer } else { SslMode::Require });
        let encryption = match &to.roots {
            Some(Roots(roots)) if !is_here => tls(RootCertStore::clone(roots)),
            _ => unchecked(),
        };
        let connector =
            MakeTlsConnect::<TcpStream>::make_tls_connect(&mut MakeRustlsConnect::new(encryption), to.host)
                .unwrap_or_else(|never: Infallible| match never {});
        match config.connect_raw(stream, connector).await {
            Ok((client, connection)) => {
                Ok(Session { client, connection: Connection(tokio::spawn(connection)) })
            }
            Err(cause) if cause.code().is_some() => Err(Unreached::Refused(cause)),
            Err(cause) => Err(Unreached::Failed(innermost(&cause))),
        }
    }

    /// What stands behind an error that only says that the connection is closed.
    pub async fn cause(&mut self, error: Error) -> Error {
        if !error.is_closed() {
            return error;
        }
        match tokio::time::timeout(LAST_WORDS, &mut self.connection.0).await {
            Ok(Ok(Err(cause))) => cause,
            _ => error,
        }
    }

    /// Takes leave of the server.
    pub async fn close(self) {
        let Session { client, mut connection } = self;
        drop(client);
        let _ = tokio::time::timeout(LAST_WORDS, &mut connection.0).await;
    }
}

fn unchecked() -> ClientConfig {
    let mut config = tls(RootCertStore::empty());
    let provider = Arc::clone(config.crypto_provider());
    config.dangerous().set_certificate_verifier(Arc::new(AnyCertificate(provider)));
    config
}

/// Takes every certificate, and asks only for the proof that the server holds its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
