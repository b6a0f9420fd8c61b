//! Asks a server whether it is ready, as the health check of a container does.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::Url;

/// How long an answer may take.
const TIME: Duration = Duration::from_secs(5);

/// The status of `/_readyz` at the address.
///
/// # Errors
/// One sentence for the operator: nothing answers there.
pub async fn ask(base: &str) -> Result<u16, String> {
    let wrong = || format!("{base}: an address is wanted, such as http://127.0.0.1:8010");
    let url = Url::parse(base).map_err(|_| wrong())?;
    let is_https = match url.scheme() {
        "http" => false,
        "https" => true,
        _ => return Err(wrong()),
    };
    let host = url.host_str().ok_or_else(wrong)?;
    let port = url.port_or_known_default().ok_or_else(wrong)?;
    let asked = timeout(TIME, request(host, port, is_https));
    let failed = |cause: &dyn std::fmt::Display| format!("{base} does not answer: {cause}");
    asked.await.map_err(|cause| failed(&cause))?.map_err(|cause| failed(&cause))
}

async fn request(host: &str, port: u16, is_https: bool) -> std::io::Result<u16> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((bare, port)).await?;
    if !is_https {
        return status(stream, host).await;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(std::io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    let name = ServerName::try_from(bare.to_owned()).map_err(std::io::Error::other)?;
    status(TlsConnector::from(Arc::new(config)).connect(name, stream).await?, host).await
}

async fn status(mut stream: impl AsyncRead + AsyncWrite + Unpin, host: &str) -> std::io::Result<u16> {
    let request = format!("GET /_readyz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    // HTTP/1.1 and the status are all that is of interest.
    let mut first = [0; 12];
    stream.read_exact(&mut first).await?;
    let status = std::str::from_utf8(&first).ok().and_then(|line| line.strip_prefix("HTTP/1.1 "));
    status.and_then(|status| status.parse().ok()).ok_or_else(|| std::io::Error::other("that is no HTTP"))
}

/// Takes any certificate: the server is asked by its address, which certificates do not name, and no secret is sent.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
