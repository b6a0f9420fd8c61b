//! A certificate and its key, and what a connection is served with because of them.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_cert::der::Decode;

use crate::clock::Time;

/// A longer file is none of certificates, in bytes.
const BYTES_MAX: u64 = 1024 * 1024;
/// A certificate that ends within this time should have been replaced, unless its life is short.
const SHORT_SECONDS: i64 = 10 * 24 * 60 * 60;

/// From when to when a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    pub from: Time,
    pub until: Time,
}

impl Life {
    /// When two thirds of it are over.
    pub fn two_thirds(self) -> Time {
        Time(self.from.0 + (self.until.0 - self.from.0) / 3 * 2)
    }

    /// Whether so little is left that it should have been replaced.
    pub(super) fn is_nearly_over(self, now: Time) -> bool {
        let sixth = Time(self.until.0 - (self.until.0 - self.from.0) / 6);
        now >= self.until.plus_seconds(-SHORT_SECONDS).max(sixth)
    }
}

/// What new connections are shown.
pub(super) struct Pair {
    pub(super) server: Arc<ServerConfig>,
    /// `None` where there is no certificate, or it does not say so in a form that we read.
    pub(super) life: Option<Life>,
}

/// Why a pair is no good.
pub(super) enum Wrong {
    /// What is wrong with the certificates, in words that follow their name.
    Chain(String),
    /// The same of the key.
    Key(String),
    /// They do not belong together.
    Apart,
}

/// Has no certificate for anybody: a handshake ends with an alert.
#[derive(Debug)]
struct Nothing;

impl ResolvesServerCert for Nothing {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

impl Pair {
    /// Refuses every handshake.
    pub(super) fn none() -> Result<Pair, String> {
        let server = builder()?.with_no_client_auth().with_cert_resolver(Arc::new(Nothing));
        Ok(Pair { server: Arc::new(server), life: None })
    }

    /// Reads both files.
    pub(super) fn read(chain: &Path, key: &Path) -> Result<Pair, String> {
        let texts = (read("--tls-cert", chain)?, read("--tls-key", key)?);
        let (chain, key) = (chain.display(), key.display());
        Pair::of(&texts.0, &texts.1)?.map_err(|wrong| match wrong {
            Wrong::Chain(words) => format!("--tls-cert: {chain} {words}"),
            Wrong::Key(words) => format!("--tls-key: {key} {words}"),
            Wrong::Apart => format!("--tls-key: {key} is not the key of the certificate in {chain}"),
        })
    }

    /// The pair of these texts of PEM.
    pub(super) fn of(chain: &[u8], key: &[u8]) -> Result<Result<Pair, Wrong>, String> {
        let builder = builder()?.with_no_client_auth();
        let (certificates, private) = match parsed(chain, key) {
            Ok(parsed) => parsed,
            Err(wrong) => return Ok(Err(wrong)),
        };
        let life = certificates.first().and_then(life_of);
        Ok(match builder.with_single_cert(certificates, private) {
            Ok(mut server) => {
                server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
                Ok(Pair { server: Arc::new(server), life })
            }
            Err(rustls::Error::InconsistentKeys(_)) => Err(Wrong::Apart),
            Err(cause @ rustls::Error::InvalidCertificate(_)) => {
                Err(Wrong::Chain(format!("holds a certificate that can't be read: {cause}")))
            }
            Err(cause) => Err(Wrong::Key(format!("holds a key that can't be used: {cause}"))),
        })
    }
}

type Parsed = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn parsed(chain: &[u8], key: &[u8]) -> Result<Parsed, Wrong> {
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<_, _>>()
        .map_err(|cause| Wrong::Chain(format!("is no good PEM: {cause}")))?;
    if certificates.is_empty() {
        return Err(Wrong::Chain("holds no certificate (-----BEGIN CERTIFICATE-----)".into()));
    }
    let private = PrivateKeyDer::from_pem_slice(key).map_err(|_| {
        let words = if key.windows(9).any(|word| word == b"ENCRYPTED") {
            "is encrypted: a server needs it without a passphrase"
        } else {
            "holds no private key (-----BEGIN PRIVATE KEY-----)"
        };
        Wrong::Key(words.into())
    })?;
    Ok((certificates, private))
}

fn builder() -> Result<rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier>, String> {
    let provider = rustls::crypto::ring::default_provider().into();
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    builder.map_err(|cause| cause.to_string())
}

fn read(flag: &str, path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).and_then(|file| file.take(BYTES_MAX).read_to_end(&mut bytes));
    file.map_err(|cause| format!("{flag}: cannot read {}: {cause}", path.display()))?;
    Ok(bytes)
}

fn life_of(certificate: &CertificateDer<'static>) -> Option<Life> {
    let certificate = x509_cert::Certificate::from_der(certificate).ok()?;
    let validity = certificate.tbs_certificate.validity;
    let time = |time: x509_cert::time::Time| {
        Some(Time(0).plus_seconds(i64::try_from(time.to_unix_duration().as_secs()).ok()?))
    };
    Some(Life { from: time(validity.not_before)?, until: time(validity.not_after)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_nearly_over_in_its_last_days_or_the_last_sixth_of_a_short_life() {
        let day = 24 * 60 * 60;
        let of_days = |days: i64| Life { from: Time(0), until: Time(0).plus_seconds(days * day) };
        for (days, first) in [(90, 80), (6, 5), (365, 355)] {
            let life = of_days(days);
            assert!(!life.is_nearly_over(Time(0).plus_seconds(first * day - 1)), "{days}");
            assert!(life.is_nearly_over(Time(0).plus_seconds(first * day)), "{days}");
            assert_eq!(life.two_thirds(), Time(0).plus_seconds(days * 16 * 60 * 60));
        }
    }
}
