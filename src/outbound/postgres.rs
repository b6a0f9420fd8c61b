//! Connections to PostgreSQL and what speaks its protocol.
//!
//! To other machines they are always encrypted, and certificates and host names are checked, as with libpq's
//! `sslmode=verify-full`. Where somebody takes any certificate (`has_self_signed_cert`), what is checked even
//! then is this: the server holds the key of the certificate that it shows, and SCRAM binds its proof to that
//! certificate, so that the proof cannot be passed on. That does not stop a man in the middle who requests the
//! password itself, in plain text.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
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

use super::connect::tls;
use super::policy::{NoAddress, is_public};
use super::{AGENT, Outbound, Refused, is_untrusted, reason};

/// The certificates that those of databases are checked against.
#[derive(Clone, Debug)]
pub enum Roots {
    System,
    These(Arc<RootCertStore>),
}

impl Roots {
    /// `system`, or a file in PEM form.
    ///
    /// # Errors
    /// The file cannot be read, or holds no certificate.
    pub fn named(name: &str) -> Result<Roots, String> {
        if name == "system" {
            return Ok(Roots::System);
        }
        let mut roots = RootCertStore::empty();
        let found = CertificateDer::pem_file_iter(name).map_err(|cause| cause.to_string())?;
        for certificate in found {
            let added = certificate.map(|certificate| roots.add(certificate));
            added.map_err(|cause| cause.to_string())?.map_err(|cause| cause.to_string())?;
        }
        if roots.is_empty() { Err("holds no certificate".into()) } else { Ok(Roots::These(Arc::new(roots))) }
    }
}

/// A database, and the user of the session.
pub struct Database<'a> {
    pub host: &'a str,
    pub port: u16,
    pub name: &'a str,
    pub user: &'a str,
    pub password: &'a str,
    /// `None`: any certificate is accepted.
    pub roots: Option<Roots>,
}

/// Why there is no session.
pub enum ConnectError {
    /// No connection may be opened there.
    Forbidden(Refused),
    /// There is no server, or none that speaks the protocol.
    Failed(String),
    /// The server has no TLS, or its certificate is not accepted: the same would happen again.
    Insecure(String),
    /// The server refuses the session; whether it has a public address.
    Refused { error: Error, is_public: bool },
}

/// A session. Dropping it ends it, and with it a transaction that is not committed.
pub struct Session {
    pub client: Client,
    /// Whether the server has a public address. The answers of others are never shown.
    pub is_public: bool,
    connection: ConnectionTask,
}

/// The task that moves the bytes.
struct ConnectionTask(JoinHandle<Result<(), Error>>);

impl Drop for ConnectionTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How long to wait for the end of a connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

impl Outbound {
    /// Opens a session. How long that may take is up to the caller.
    ///
    /// # Errors
    /// The server may not or cannot be reached, or refuses the session.
    pub async fn session(&self, to: &Database<'_>) -> Result<Session, ConnectError> {
        let failed = |cause: io::Error| ConnectError::Failed(cause.to_string());
        let judged = self.policy.resolve(to.host, to.port).await.map_err(|cause| match cause {
            NoAddress::Refused(refused) => ConnectError::Forbidden(refused),
            NoAddress::Unknown(cause) => failed(cause),
        })?;
        let (stream, address) = connect(&judged).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        // Connections to this machine need no encryption.
        let is_here = address.to_canonical().is_loopback();
        let mut config = Config::new();
        config.user(to.user).password(to.password).dbname(to.name).application_name(AGENT);
        config.ssl_mode(if is_here { SslMode::Prefer } else { SslMode::Require });
        let encryption = match &to.roots {
            Some(Roots::System) if !is_here => self.shared.tls().clone(),
            Some(Roots::These(roots)) if !is_here => tls(RootCertStore::clone(roots)),
            _ => unchecked(),
        };
        let connector =
            MakeTlsConnect::<TcpStream>::make_tls_connect(&mut MakeRustlsConnect::new(encryption), to.host)
                .unwrap_or_else(|never: Infallible| match never {});
        let is_public = is_public(address.to_canonical());
        match config.connect_raw(stream, connector).await {
            Ok((client, connection)) => {
                Ok(Session { client, is_public, connection: ConnectionTask(tokio::spawn(connection)) })
            }
            Err(error) if error.code().is_some() => Err(ConnectError::Refused { error, is_public }),
            Err(error) if is_untrusted(&error) || is_unencrypted(&error) => {
                Err(ConnectError::Insecure(reason(&error)))
            }
            Err(error) => Err(ConnectError::Failed(reason(&error))),
        }
    }
}

/// Whether the server does not know TLS. The library has no better name for that.
fn is_unencrypted(error: &Error) -> bool {
    reason(error) == "server does not support TLS"
}

/// A connection to the first of the addresses that takes one.
async fn connect(addresses: &[SocketAddr]) -> io::Result<(TcpStream, IpAddr)> {
    let mut last = io::Error::other("there is no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok((stream, address.ip())),
            Err(cause) => last = cause,
        }
    }
    Err(last)
}

impl Session {
    /// The cause of an error that only says that the connection is closed.
    pub async fn cause(&mut self, error: Error) -> Error {
        if !error.is_closed() {
            return error;
        }
        match tokio::time::timeout(CLOSE_TIMEOUT, &mut self.connection.0).await {
            Ok(Ok(Err(cause))) => cause,
            _ => error,
        }
    }

    /// Closes the session.
    pub async fn close(self) {
        let Session { client, mut connection, .. } = self;
        drop(client);
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, &mut connection.0).await;
    }
}

fn unchecked() -> ClientConfig {
    let mut config = tls(RootCertStore::empty());
    let provider = Arc::clone(config.crypto_provider());
    config.dangerous().set_certificate_verifier(Arc::new(AnyCertificate(provider)));
    config
}

/// Accepts every certificate, and checks only that the server holds its key.
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
