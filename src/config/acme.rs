//! Certificates that the server gets automatically, from an authority that speaks ACME.

use clap::Args;
use url::Url;

use crate::outbound::postgres::Roots;

/// Let's Encrypt.
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// A certificate of more names is too long for clients; authorities refuse it as well.
const DOMAINS_MAX: usize = 100;

/// Which names a certificate is for, and who is asked for it.
#[derive(Clone, Args)]
#[command(next_help_heading = "TLS")]
pub struct Acme {
    /// Gets a certificate for this name, and renews it; given again, for several names. The name must lead to
    /// --http-redirect-listen, at port 80.
    #[arg(long = "acme-domain", env = "ORGD_ACME_DOMAIN", value_name = "NAME", value_delimiter = ',', value_parser = domain)]
    pub domains: Vec<String>,

    /// Agrees to the terms of service of the authority that issues the certificate.
    #[arg(long = "acme-agree", env = "ORGD_ACME_AGREE", default_value_t = false, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub agrees: bool,

    /// E-mail address at which the authority reaches whoever runs this server.
    #[arg(long = "acme-contact", env = "ORGD_ACME_CONTACT", value_name = "ADDRESS", value_parser = contact)]
    pub contact: Option<String>,

    /// The authority, by the address of its directory.
    #[arg(long = "acme-directory", env = "ORGD_ACME_DIRECTORY", default_value = LETS_ENCRYPT, value_name = "URL", value_parser = directory)]
    pub directory: Url,

    /// What the authority's own certificate is checked against: the system's root certificates, or a PEM file with others.
    #[arg(long = "acme-ca", env = "ORGD_ACME_CA", default_value = "system", value_name = "system|FILE", value_parser = Roots::named)]
    pub roots: Roots,
}

impl Acme {
    /// Whether the server gets its certificate automatically.
    pub fn is_on(&self) -> bool {
        !self.domains.is_empty()
    }

    /// What is wrong with settings that depend on each other.
    pub(super) fn problem(&self, has_certificate: bool, has_redirect: bool) -> Option<&'static str> {
        if !self.is_on() {
            let lone = self.agrees || self.contact.is_some();
            return lone.then_some("--acme-agree and --acme-contact need --acme-domain (ORGD_ACME_DOMAIN)");
        }
        if has_certificate {
            return Some(
                "--acme-domain and --tls-cert exclude each other: the certificate comes from one of them",
            );
        }
        if !has_redirect {
            return Some(
                "--acme-domain needs --http-redirect-listen (ORGD_HTTP_REDIRECT_LISTEN), such as 0.0.0.0:80: the \
                 authority looks there, by plain HTTP, whether the name is yours",
            );
        }
        if !self.agrees {
            return Some(
                "--acme-domain needs --acme-agree (ORGD_ACME_AGREE=on): the authority issues certificates to those \
                 who agree to its terms of service",
            );
        }
        (self.domains.len() > DOMAINS_MAX)
            .then_some("--acme-domain: a certificate is for a hundred names at most")
    }
}

/// A name that an authority can look up.
fn domain(text: &str) -> Result<String, String> {
    if text.contains('*') {
        return Err("a name without * is wanted: authorities issue such certificates by the DNS only".into());
    }
    let name = super::host_name(text)?.to_ascii_lowercase();
    let is_address =
        name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    if is_address || !name.contains('.') {
        return Err("a name of the public DNS is wanted, such as orgd.example.com".into());
    }
    Ok(name)
}

fn contact(text: &str) -> Result<String, String> {
    let text = text.trim().trim_start_matches("mailto:");
    let is_address = text.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty() && super::host_name(host).is_ok_and(|host| host.contains('.'))
    });
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_address && is_plain {
        Ok(text.to_owned())
    } else {
        Err("an address is wanted, such as ada@example.com".into())
    }
}

fn directory(text: &str) -> Result<Url, String> {
    let url = Url::parse(text.trim()).ok();
    let url = url.filter(|url| url.scheme() == "https" && url.has_host() && url.username().is_empty());
    url.ok_or_else(|| format!("an address that begins with https:// is wanted, such as {LETS_ENCRYPT}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_an_authority_can_look_up() {
        assert_eq!(domain("Orgd.Example.com.").as_deref(), Ok("orgd.example.com"));
        assert_eq!(domain("xn--bcher-kva.example").as_deref(), Ok("xn--bcher-kva.example"));
        for wrong in [
            "",
            "localhost",
            "*.example.com",
            "192.0.2.7",
            "a b.example",
            "https://a.example",
            "a.example:80",
            "2001:db8::1",
        ] {
            assert!(domain(wrong).is_err(), "{wrong}");
        }
        assert_eq!(contact("mailto:ada@example.com").as_deref(), Ok("ada@example.com"));
        for wrong in
            ["", "ada", "@example.com", "ada@", "ada@localhost", "a\nb@example.com", "ada@example.com,b@x.y"]
        {
            assert!(contact(wrong).is_err(), "{wrong}");
        }
        assert!(directory(LETS_ENCRYPT).is_ok() && directory("https://10.0.0.7:14000/dir").is_ok());
        for wrong in ["", "http://x.example/dir", "x.example", "https://a:b@x.example/dir"] {
            assert!(directory(wrong).is_err(), "{wrong}");
        }
    }
}
