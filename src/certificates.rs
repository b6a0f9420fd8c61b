//! The certificate that the server shows and its key, read again when their files change.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::Notify;
use x509_cert::der::Decode;

use crate::clock::Time;

/// A longer file is none of certificates, in bytes.
const BYTES_MAX: u64 = 1024 * 1024;
/// A certificate that ends within this time should have been replaced.
const SHORT_SECONDS: i64 = 10 * 24 * 60 * 60;

/// What new connections are shown.
struct Pair {
    server: Arc<ServerConfig>,
    /// When the certificate ends; `None` where it does not say so in a form that we read.
    ends_at: Option<Time>,
}

/// What tells one state of a file from another.
type Stamp = Option<(SystemTime, u64)>;

/// The pair in use, and the files that it is read from.
pub struct Certificates {
    chain: PathBuf,
    key: PathBuf,
    pair: ArcSwap<Pair>,
    /// The files as they were when they were last read.
    stamps: Mutex<[Stamp; 2]>,
    called: Notify,
}

impl Certificates {
    /// Reads both files.
    ///
    /// # Errors
    /// One sentence for the operator.
    pub fn load(chain: &Path, key: &Path) -> Result<Certificates, String> {
        let stamps = [stamp(chain), stamp(key)];
        let pair = Pair::read(chain, key)?;
        Ok(Certificates {
            chain: chain.to_owned(),
            key: key.to_owned(),
            pair: ArcSwap::from_pointee(pair),
            stamps: Mutex::new(stamps),
            called: Notify::new(),
        })
    }

    /// What a connection that begins now is served with.
    pub fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.pair.load().server)
    }

    /// When the certificate in use ends, where that is known.
    pub fn ends_at(&self) -> Option<Time> {
        self.pair.load().ends_at
    }

    /// Has the files read again, whether they look changed or not.
    pub fn call(&self) {
        *self.stamps.lock().unwrap_or_else(PoisonError::into_inner) = [None; 2];
        self.called.notify_one();
    }

    /// Ends when somebody has called.
    pub async fn called(&self) {
        self.called.notified().await;
    }

    /// Reads the files again where they have changed, and says whether they had. The pair in use stays where the
    /// new one is broken.
    ///
    /// # Errors
    /// What is wrong with the new pair, once for each state of the files.
    pub fn refresh(&self) -> Result<bool, String> {
        let now = [stamp(&self.chain), stamp(&self.key)];
        let before = std::mem::replace(&mut *self.stamps.lock().unwrap_or_else(PoisonError::into_inner), now);
        if before == now {
            return Ok(false);
        }
        self.pair.store(Arc::new(Pair::read(&self.chain, &self.key)?));
        Ok(true)
    }

    /// What the operator should know about the end of the certificate.
    pub fn doubt(&self, now: Time) -> Option<String> {
        let ends_at = self.ends_at()?;
        let shown = self.chain.display();
        let day = ends_at;
        if ends_at <= now {
            Some(format!("the certificate in {shown} ended on {day}: clients will refuse it"))
        } else if ends_at <= now.plus_seconds(SHORT_SECONDS) {
            Some(format!("the certificate in {shown} ends on {day}"))
        } else {
            None
        }
    }
}

fn stamp(path: &Path) -> Stamp {
    let about = fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len()))
}

impl Pair {
    fn read(chain: &Path, key: &Path) -> Result<Pair, String> {
        let (chain_shown, key_shown) = (chain.display(), key.display());
        let pem = read("--tls-cert", chain)?;
        let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<_, _>>()
            .map_err(|cause| format!("--tls-cert: {chain_shown} is no good PEM: {cause}"))?;
        let Some(first) = certificates.first() else {
            return Err(format!(
                "--tls-cert: {chain_shown} holds no certificate (-----BEGIN CERTIFICATE-----)"
            ));
        };
        let ends_at = end_of(first);
        let pem = read("--tls-key", key)?;
        let private = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
            let reason = if pem.windows(9).any(|word| word == b"ENCRYPTED") {
                "is encrypted: a server needs it without a passphrase"
            } else {
                "holds no private key (-----BEGIN PRIVATE KEY-----)"
            };
            format!("--tls-key: {key_shown} {reason}")
        })?;
        let provider = rustls::crypto::ring::default_provider().into();
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|cause| cause.to_string())?
            .with_no_client_auth()
            .with_single_cert(certificates, private);
        let mut server = server.map_err(|cause| match cause {
            rustls::Error::InconsistentKeys(_) => {
                format!("--tls-key: {key_shown} is not the key of the certificate in {chain_shown}")
            }
            rustls::Error::InvalidCertificate(_) => {
                format!("--tls-cert: the certificate in {chain_shown} can't be read: {cause}")
            }
            cause => format!("--tls-key: the key in {key_shown} can't be used: {cause}"),
        })?;
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Pair { server: Arc::new(server), ends_at })
    }
}

fn read(flag: &str, path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).and_then(|file| file.take(BYTES_MAX).read_to_end(&mut bytes));
    file.map_err(|cause| format!("{flag}: cannot read {}: {cause}", path.display()))?;
    Ok(bytes)
}

fn end_of(certificate: &CertificateDer<'_>) -> Option<Time> {
    let certificate = x509_cert::Certificate::from_der(certificate).ok()?;
    let end = certificate.tbs_certificate.validity.not_after.to_unix_duration();
    Some(Time(0).plus_seconds(i64::try_from(end.as_secs()).ok()?))
}
