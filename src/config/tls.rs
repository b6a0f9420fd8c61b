//! TLS that ends in the server, without a proxy.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Acme;

/// The certificate, its key, and who is sent on to HTTPS.
#[derive(Clone, Args)]
#[command(next_help_heading = "TLS")]
pub struct Tls {
    /// Serves HTTPS with the certificates of this PEM file, the server's own first. It and the key are read again
    /// when they change and on SIGHUP.
    #[arg(long, env = "ORGD_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,

    /// The private key of `--tls-cert`, as PEM.
    #[arg(long, env = "ORGD_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,

    /// Listens for plain HTTP here too, and sends who comes on to HTTPS.
    #[arg(long, env = "ORGD_HTTP_REDIRECT_LISTEN", value_name = "HOST:PORT")]
    pub http_redirect_listen: Option<String>,

    #[command(flatten)]
    pub acme: Acme,
}

impl Tls {
    /// The files of the certificate and of its key; `None` where the server gets one automatically, or speaks plain HTTP.
    ///
    /// # Errors
    /// A sentence for the operator where settings are missing that the others need.
    pub fn files(&self) -> Result<Option<(&Path, &Path)>, String> {
        let has_certificate = self.tls_cert.is_some() || self.tls_key.is_some();
        if let Some(problem) = self.acme.problem(has_certificate, self.http_redirect_listen.is_some()) {
            return Err(problem.into());
        }
        match (&self.tls_cert, &self.tls_key) {
            (Some(certificates), Some(key)) => Ok(Some((certificates, key))),
            (Some(_), None) => Err("--tls-cert needs --tls-key (ORGD_TLS_KEY), the file of its key".into()),
            (None, Some(_)) => {
                Err("--tls-key needs --tls-cert (ORGD_TLS_CERT), the file of its certificate".into())
            }
            (None, None) if self.http_redirect_listen.is_some() && !self.acme.is_on() => Err(
                "--http-redirect-listen needs --tls-cert and --tls-key, or --acme-domain: there is no HTTPS to send \
                 anybody to"
                    .into(),
            ),
            (None, None) => Ok(None),
        }
    }

    /// Whether the server speaks HTTPS.
    pub fn is_on(&self) -> bool {
        self.tls_cert.is_some() || self.acme.is_on()
    }
}
