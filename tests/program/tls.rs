//! HTTPS that the server ends itself: both versions of HTTP, peers that do not speak it, certificates that change.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use serde_json::Value;
use tempfile::TempDir;
use tokio_rustls::TlsConnector;

use crate::support::{Serving, orgd, run, until};

const GET: &[u8] = b"GET /_whoami HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// A folder with a certificate and its key.
struct Site {
    folder: TempDir,
}

impl Site {
    fn new() -> Site {
        Site { folder: tempfile::tempdir().expect("a folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts a new certificate with its key in place, one after the other.
    fn renew(&self) -> CertificateDer<'static> {
        let (chain, key, made) = pair((2020, 2100));
        std::fs::write(self.path("chain.pem"), chain).expect("written");
        std::fs::write(self.path("key.pem"), key).expect("written");
        made
    }

    fn flags(&self) -> Vec<String> {
        let name = |name| self.path(name).display().to_string();
        vec!["--tls-cert".into(), name("chain.pem"), "--tls-key".into(), name("key.pem")]
    }

    fn serve(&self, more: &[&str]) -> Serving {
        let flags = self.flags();
        let flags: Vec<&str> = flags.iter().map(String::as_str).chain(more.iter().copied()).collect();
        Serving::start(&self.path("orgd.redb"), &flags)
    }
}

/// A certificate for these years, and its key.
fn pair(years: (i32, i32)) -> (String, String, CertificateDer<'static>) {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = date_time_ymd(years.1, 1, 1);
    let key = KeyPair::generate().expect("a key");
    let made = params.self_signed(&key).expect("a certificate");
    (made.pem(), key.serialize_pem(), made.der().clone())
}

fn place(server: &Serving) -> &str {
    server.base.trim_start_matches("https://")
}

fn client(
    trusted: &CertificateDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&str],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).expect("a certificate");
    let provider = rustls::crypto::ring::default_provider().into();
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions);
    let mut config = config.expect("versions").with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

fn name() -> ServerName<'static> {
    ServerName::try_from("localhost").expect("a name")
}

/// What the server answers to these bytes over TLS, head and body.
fn ask(server: &Serving, config: &Arc<ClientConfig>, request: &[u8]) -> std::io::Result<String> {
    let session = ClientConnection::new(Arc::clone(config), name()).expect("a client");
    let mut stream = StreamOwned::new(session, TcpStream::connect(place(server))?);
    stream.write_all(request)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn body(answer: &str) -> Value {
    let (_, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    serde_json::from_str(body).unwrap_or_else(|cause| panic!("{cause}: {answer}"))
}

fn log(server: &mut Serving) -> Receiver<String> {
    server.log.take().expect("a log").into_inner().expect("no panic")
}

#[test]
fn https_is_spoken_in_both_versions_and_believed_to_be_https() {
    let site = Site::new();
    let trusted = site.renew();
    let server = site.serve(&[]);
    assert!(server.base.starts_with("https://127.0.0.1:"), "{}", server.base);
    for version in [&TLS12, &TLS13] {
        let answer = ask(&server, &client(&trusted, &[version], &["http/1.1"]), GET).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("\r\nstrict-transport-security: max-age="), "{answer}");
        let believed = body(&answer);
        assert_eq!((&believed["scheme"], &believed["scheme_from"]), (&"https".into(), &"connection".into()));
    }
    let sign_up = r#"{"first_name":"Ada","email":"ada@example.com","password":"change-this-Passphrase","organization_name":"Acme"}"#;
    let request = format!(
        "POST /api/signup/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{sign_up}",
        sign_up.len()
    );
    let answer = ask(&server, &client(&trusted, &[&TLS13], &[]), request.as_bytes()).expect("an answer");
    let cookie = answer.lines().find(|line| line.starts_with("set-cookie: ")).expect("a cookie");
    assert!(answer.starts_with("HTTP/1.1 201") && cookie.contains("; Secure"), "{answer}");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn http2_is_agreed_upon_in_the_handshake() {
    let site = Site::new();
    let trusted = site.renew();
    let server = site.serve(&[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let believed: Value = runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(place(&server)).await.expect("the server listens");
        let connector = TlsConnector::from(client(&trusted, &[&TLS13], &["h2", "http/1.1"]));
        let stream = connector.connect(name(), stream).await.expect("a handshake");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .expect("HTTP/2");
        tokio::spawn(connection);
        let request = Request::get("https://localhost/_whoami").body(Empty::<Bytes>::new());
        let answer = sender.send_request(request.expect("a request")).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        let bytes = answer.into_body().collect().await.expect("a body").to_bytes();
        serde_json::from_slice(&bytes).expect("JSON")
    });
    assert_eq!(believed["scheme"], "https");
}

#[test]
fn who_does_not_speak_tls_or_only_half_of_it_keeps_nobody_waiting() {
    let site = Site::new();
    let trusted = site.renew();
    let server = site.serve(&["--header-seconds-max", "1"]);
    let connect = || TcpStream::connect(place(&server)).expect("the server listens");
    let mut plain = connect();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("the connection is open");
    let mut answer = String::new();
    plain.read_to_string(&mut answer).expect("text");
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("begin with https://host\n"), "{answer}");

    // A whole greeting, of which others send pieces.
    let mut session = ClientConnection::new(client(&trusted, &[&TLS13], &[]), name()).expect("a client");
    let mut greeting = Vec::new();
    session.write_tls(&mut greeting).expect("a greeting");
    let pieces =
        [&b""[..], &greeting[..1], &greeting[..7], &greeting[..greeting.len() - 1], &greeting, &[0; 9]];
    let held: Vec<TcpStream> = pieces
        .map(|piece| {
            let mut stream = connect();
            stream.write_all(piece).expect("the connection is open");
            stream
        })
        .into();
    let answer = ask(&server, &client(&trusted, &[&TLS13], &[]), GET).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    for mut stream in held {
        let mut rest = Vec::new();
        // To the end, which the server makes: by closing or by a reset.
        let _ = stream.read_to_end(&mut rest);
    }
    let refused = ask(&server, &client(&pair((2020, 2100)).2, &[&TLS13], &[]), GET);
    assert_eq!(refused.expect_err("another certificate").kind(), ErrorKind::InvalidData);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_new_pair_is_shown_when_its_files_change_or_at_a_signal_and_a_broken_one_is_not() {
    let site = Site::new();
    let first = site.renew();
    let mut server = site.serve(&[]);
    let log = log(&mut server);
    let shows = |trusted: &CertificateDer<'static>| {
        ask(&server, &client(trusted, &[&TLS13], &[]), GET)
            .is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    };
    assert!(shows(&first));

    // The certificate has been replaced, and its key not yet.
    let (chain, key, second) = pair((2020, 2100));
    std::fs::write(site.path("chain.pem"), chain).expect("written");
    server.signal("HUP");
    let line = log.iter().find(|line| line.contains("--tls-key")).expect("a line");
    assert!(line.contains("is not the key of the certificate in") && line.contains("stays in use"), "{line}");
    assert!(shows(&first) && !shows(&second));
    std::fs::write(site.path("key.pem"), key).expect("written");
    server.signal("HUP");
    assert!(log.iter().any(|line| line.contains("the certificate was read again")));
    assert!(shows(&second) && !shows(&first));

    let third = site.renew();
    until("a changed file is noticed", || shows(&third));
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_pair_that_is_no_good_is_refused_before_anything_is_made() {
    let site = Site::new();
    site.renew();
    let (_, other_key, _) = pair((2020, 2100));
    std::fs::write(site.path("other.pem"), other_key).expect("written");
    std::fs::write(site.path("empty.pem"), "").expect("written");
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    std::fs::write(site.path("encrypted.pem"), encrypted).expect("written");
    let odd = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    std::fs::write(site.path("odd.pem"), odd).expect("written");
    for (chain, key, wanted) in [
        ("none.pem", "key.pem", "--tls-cert: cannot read"),
        ("chain.pem", "none.pem", "--tls-key: cannot read"),
        ("key.pem", "key.pem", "holds no certificate"),
        ("empty.pem", "key.pem", "holds no certificate"),
        ("odd.pem", "key.pem", "can't be read"),
        ("chain.pem", "chain.pem", "holds no private key"),
        ("chain.pem", "encrypted.pem", "is encrypted"),
        ("chain.pem", "other.pem", "is not the key of the certificate"),
        ("chain.pem", "", "--tls-cert needs --tls-key"),
        ("", "key.pem", "--tls-key needs --tls-cert"),
        ("", "", "--http-redirect-listen needs --tls-cert"),
    ] {
        let data = site.path("orgd.redb");
        let mut command =
            orgd(&["serve", "--listen", "127.0.0.1:0", "--http-redirect-listen", "127.0.0.1:0"]);
        command.arg("--data").arg(&data);
        for (flag, name) in [("--tls-cert", chain), ("--tls-key", key)] {
            if !name.is_empty() {
                command.arg(flag).arg(site.path(name));
            }
        }
        let output = command.output().expect("the program runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(wanted), "{chain}, {key}: {said}");
        assert!(!data.exists(), "{chain}, {key}");
    }
}

#[test]
fn an_old_certificate_is_served_with_a_warning() {
    let site = Site::new();
    let (chain, key, _) = pair((2019, 2020));
    std::fs::write(site.path("chain.pem"), chain).expect("written");
    std::fs::write(site.path("key.pem"), key).expect("written");
    let server = site.serve(&[]);
    assert!(server.said.iter().any(|line| line.contains("ended on 2020-01-01")), "{:?}", server.said);
}

/// Where the server listens for those that it sends on.
fn redirect(server: &Serving) -> String {
    let line = server.said.iter().find(|line| line.contains("on to HTTPS")).expect("a line");
    let (_, rest) = line.split_once("plain HTTP on ").expect("an address");
    rest.split(' ').next().expect("an address").to_owned()
}

fn plain(place: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(place).expect("the server listens");
    stream.write_all(request.as_bytes()).expect("the connection is open");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    answer
}

#[test]
fn plain_http_is_sent_on_to_https_where_nothing_is_lost_by_it() {
    let site = Site::new();
    site.renew();
    let more = ["--http-redirect-listen", "127.0.0.1:0"];
    let server = site.serve(&more);
    let port = server.base.rsplit_once(':').expect("a port").1;
    for (request, status, location) in [
        ("GET /a?b=c HTTP/1.1\r\nHost: a.example:80\r\n\r\n", 308, format!("https://a.example:{port}/a?b=c")),
        ("HEAD / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 308, format!("https://[::1]:{port}/")),
        (
            "GET http://a.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n",
            308,
            format!("https://a.example:{port}/x"),
        ),
        ("POST /api/login/ HTTP/1.1\r\nHost: a.example\r\nContent-Length: 2\r\n\r\n{}", 403, String::new()),
        ("GET / HTTP/1.1\r\n\r\n", 400, String::new()),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, String::new()),
    ] {
        let answer = plain(&redirect(&server), request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
        let sent_to = answer.lines().find_map(|line| line.strip_prefix("location: ")).unwrap_or_default();
        assert_eq!(sent_to, location, "{request}");
    }
    drop(server);
    let server = site.serve(&[more[0], more[1], "--site-url", "https://orgd.example.com"]);
    let answer = plain(&redirect(&server), "GET /login HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert!(answer.contains("\r\nlocation: https://orgd.example.com/login\r\n"), "{answer}");
}

#[test]
fn what_listens_in_vain_is_named_by_its_flag() {
    let site = Site::new();
    site.renew();
    let data: &Path = &site.path("orgd.redb");
    let flags = site.flags();
    let mut arguments = vec!["serve", "--listen", "127.0.0.1:0", "--http-redirect-listen", "80", "--data"];
    arguments.push(data.to_str().expect("text"));
    arguments.extend(flags.iter().map(String::as_str));
    let output = run(&arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("--http-redirect-listen") && !data.exists(), "{said}");
}
