//! Certificates from an authority with ACME: pebble, that of Let's Encrypt's own tests, and authorities that refuse.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::dns::NameServer;
use crate::support::{Serving, orgd, program, run, until};

const NAME: &str = "orgd.example";
const OTHER: &str = "www.orgd.example";

/// A port that nobody has just now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("the socket has an address").port()
}

/// A certificate for loopback and its key, as PEM.
pub fn pair() -> (String, String) {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let params = CertificateParams::new(names).expect("names");
    let key = KeyPair::generate().expect("a key");
    (params.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
}

/// An authority that runs, and what leads it to the server.
struct Authority {
    child: Child,
    folder: TempDir,
    port: u16,
    management: u16,
    names: NameServer,
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Authority {
    /// One that looks at `redirect`, and issues certificates that are good for so many seconds. `None` where the machine
    /// has no pebble.
    fn start(redirect: u16, seconds: u64) -> Option<Authority> {
        Authority::again(
            tempfile::tempdir().expect("a folder"),
            (free_port(), free_port()),
            redirect,
            seconds,
        )
    }

    fn again(folder: TempDir, ports: (u16, u16), redirect: u16, seconds: u64) -> Option<Authority> {
        let pebble = program("pebble", "pebble")?;
        let (port, management) = ports;
        let (chain, key) = pair();
        for (name, text) in [("ca.pem", &chain), ("key.pem", &key)] {
            std::fs::write(folder.path().join(name), text).expect("written");
        }
        let at = |port: u16| format!("127.0.0.1:{port}");
        let config = json!({"pebble": {
            "listenAddress": at(port), "managementListenAddress": at(management), "httpPort": redirect,
            "tlsPort": 1, "certificate": folder.path().join("ca.pem"), "privateKey": folder.path().join("key.pem"),
            "certificateValidityPeriod": seconds,
        }});
        let path = folder.path().join("pebble.json");
        std::fs::write(&path, config.to_string()).expect("written");
        let names = NameServer::start();
        names.a(NAME, [127, 0, 0, 1]);
        names.a(OTHER, [127, 0, 0, 1]);
        let child = Command::new(pebble)
            .args(["-dnsserver", &names.address.to_string(), "-config"])
            .arg(&path)
            .env("PEBBLE_VA_NOSLEEP", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pebble runs");
        until("pebble listens", || {
            [port, management].iter().all(|port| TcpStream::connect(at(*port)).is_ok())
        });
        Some(Authority { child, folder, port, management, names })
    }

    fn directory(&self) -> String {
        format!("https://127.0.0.1:{}/dir", self.port)
    }

    fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The root of what it issues.
    fn root(&self) -> CertificateDer<'static> {
        let own = CertificateDer::from_pem_file(self.ca()).expect("a certificate");
        let place = format!("127.0.0.1:{}", self.management);
        let request = "GET /roots/0 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let (answer, _) = over_tls(&place, "localhost", &own, request).expect("pebble answers");
        let pem = &answer[answer.find("-----BEGIN").expect("PEM")..];
        CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate")
    }
}

type Stream = StreamOwned<ClientConnection, TcpStream>;

fn connect(place: &str, name: &str, trusted: &CertificateDer<'static>) -> std::io::Result<Stream> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).expect("a certificate");
    let provider = rustls::crypto::ring::default_provider().into();
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("versions").with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let session = ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut stream = StreamOwned::new(session, TcpStream::connect(place)?);
    stream.flush()?;
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// What is answered, and the certificate that was shown.
fn over_tls(
    place: &str,
    name: &str,
    trusted: &CertificateDer<'static>,
    request: &str,
) -> std::io::Result<(String, Vec<u8>)> {
    let mut stream = connect(place, name, trusted)?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok((answer, shown(&stream)))
}

fn shown(stream: &Stream) -> Vec<u8> {
    stream.conn.peer_certificates().and_then(|chain| chain.first()).expect("a certificate").to_vec()
}

/// A server that wants a certificate.
struct Wanting {
    server: Serving,
    redirect: String,
}

const LIVE: &str = "GET /_livez HTTP/1.1\r\nHost: orgd.example\r\nConnection: close\r\n\r\n";

impl Wanting {
    fn start(data: &Path, redirect: u16, directory: &str, ca: &Path, names: &[&str]) -> Wanting {
        let mut serve = orgd(&["serve", "--listen", "127.0.0.1:0", "--acme-agree", "--metrics-listen", "0"]);
        let redirect = format!("127.0.0.1:{redirect}");
        serve.args(["--http-redirect-listen", &redirect, "--acme-directory", directory, "--acme-contact"]);
        serve.arg("ada@orgd.example").arg("--acme-ca").arg(ca).arg("--data").arg(data);
        for name in names {
            serve.args(["--acme-domain", name]);
        }
        Wanting { server: Serving::of(&mut serve), redirect }
    }

    fn place(&self) -> &str {
        self.server.base.trim_start_matches("https://")
    }

    /// The certificate that is shown, where it is one of this authority for this name.
    fn shows(&self, name: &str, root: &CertificateDer<'static>) -> Option<Vec<u8>> {
        let (answer, shown) = over_tls(self.place(), name, root, LIVE).ok()?;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        Some(shown)
    }

    fn log(&mut self) -> Receiver<String> {
        self.server.log.take().expect("a log").into_inner().expect("no panic")
    }

    fn plain(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.redirect).expect("the server listens");
        stream.write_all(request.as_bytes()).expect("the connection is open");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("text");
        answer
    }

    fn metrics(&self) -> String {
        let line = self.server.said.iter().find_map(|line| line.split_once("metrics at http://"));
        let place = line.expect("it says where").1.trim_end_matches("/metrics").to_owned();
        let mut stream = TcpStream::connect(place).expect("the server listens");
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("the connection is open");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("text");
        answer
    }
}

fn status(data: &Path) -> String {
    let output = run(&["status", "--data", data.to_str().expect("text")]);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn line(log: &Receiver<String>, words: &str) -> String {
    log.iter().find(|line| line.contains(words)).unwrap_or_else(|| panic!("the log never said: {words}"))
}

#[test]
fn a_certificate_is_issued_once_the_authority_is_there_and_kept_over_a_restart() {
    if program("pebble", "pebble").is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (data, ports, redirect) = (folder.path().join("orgd.redb"), (free_port(), free_port()), free_port());
    let own = tempfile::tempdir().expect("a folder");
    std::fs::write(own.path().join("ca.pem"), pair().0).expect("written");
    let directory = format!("https://127.0.0.1:{}/dir", ports.0);
    let ca = own.path().join("ca.pem");

    // Nobody is there yet: handshakes are refused, the rest is served.
    let mut waiting = Wanting::start(&data, redirect, &directory, &ca, &[NAME, OTHER]);
    let log = waiting.log();
    let said = line(&log, "no certificate was issued");
    assert!(said.contains("could not be reached") && said.contains("tried again at"), "{said}");
    let anybody = CertificateDer::from_pem_file(&ca).expect("a certificate");
    let refused = over_tls(waiting.place(), NAME, &anybody, LIVE).expect_err("no certificate").to_string();
    assert!(refused.contains("alert"), "{refused}");
    let answer = waiting.plain("GET /a HTTP/1.1\r\nHost: orgd.example\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
    for request in [
        "GET /.well-known/acme-challenge/abc HTTP/1.1\r\nHost: orgd.example\r\n\r\n",
        "GET /.well-known/acme-challenge/ HTTP/1.1\r\nHost: orgd.example\r\n\r\n",
        "POST /.well-known/acme-challenge/abc HTTP/1.1\r\nHost: orgd.example\r\nContent-Length: 0\r\n\r\n",
    ] {
        let answer = waiting.plain(request);
        assert!(answer.starts_with("HTTP/1.1 404 ") && !answer.contains("location"), "{answer}");
    }
    let state = status(&data);
    assert!(
        state.contains("! the certificate for orgd.example, www.orgd.example is not there yet"),
        "{state}"
    );

    // The authority comes up, with a certificate that the running server does not trust.
    let authority = Authority::again(own, ports, redirect, 3600).expect("pebble is there");
    waiting.server.signal("HUP");
    let said = line(&log, "no certificate was issued");
    assert!(said.contains("certificate"), "{said}");
    assert_eq!(waiting.server.stop(), Some(0));

    let mut server = Wanting::start(&data, redirect, &directory, &ca, &[NAME, OTHER]);
    let log = server.log();
    // What failed before waits for its turn, or for the operator.
    server.server.signal("HUP");
    let said = line(&log, "a certificate for");
    assert!(said.contains("orgd.example, www.orgd.example was issued, good until 2"), "{said}");
    let root = authority.root();
    let first = server.shows(NAME, &root).expect("a certificate");
    assert_eq!(server.shows(OTHER, &root), Some(first.clone()));
    let metrics = server.metrics();
    assert!(metrics.contains("orgd_acme_orders_total{outcome=\"issued\"} 1"), "{metrics}");
    assert!(metrics.contains("orgd_tls_certificate_expiry_timestamp_seconds "), "{metrics}");
    let state = status(&data);
    assert!(state.contains("good until 2") && !state.contains("! the certificate"), "{state}");
    assert_eq!(server.server.stop(), Some(0));

    // Neither key lies open in the file, and the certificate is there without the authority.
    let bytes = std::fs::read(&data).expect("the file");
    for secret in ["PRIVATE KEY", "key_pkcs8"] {
        assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()), "{secret}");
    }
    let checked = run(&["check", "--data", data.to_str().expect("text")]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    let directory = authority.directory();
    drop(authority);
    let server = Wanting::start(&data, redirect, &directory, &anybody_file(&folder), &[OTHER, NAME]);
    assert_eq!(server.shows(NAME, &root), Some(first));
    assert_eq!(server.server.stop(), Some(0));
}

/// The certificate of nobody in particular.
fn anybody_file(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("anybody.pem");
    std::fs::write(&path, pair().0).expect("written");
    path
}

#[test]
fn another_one_is_issued_in_time_and_open_connections_go_on() {
    let redirect = free_port();
    let Some(authority) = Authority::start(redirect, 12) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("orgd.redb");
    let server = Wanting::start(&data, redirect, &authority.directory(), &authority.ca(), &[NAME]);
    let root = authority.root();
    let mut first = None;
    until("there is a certificate", || {
        first = server.shows(NAME, &root);
        first.is_some()
    });
    let mut open = connect(server.place(), NAME, &root).expect("a connection");
    let mut ask = || {
        open.write_all(b"GET /_livez HTTP/1.1\r\nHost: orgd.example\r\n\r\n").expect("it is open");
        let mut reader = BufReader::new(&mut open);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).expect("an answer") > 0, "{head}");
        }
        let mut body = [0; 13];
        reader.read_exact(&mut body).expect("a body");
        assert!(head.starts_with("HTTP/1.1 200") && body == *br#"{"http":true}"#, "{head}");
    };
    ask();
    for _ in 0..2 {
        let before = first.clone();
        until("another one is shown", || {
            if let Some(shown) = server.shows(NAME, &root) {
                first = Some(shown);
            }
            first != before
        });
        ask();
    }
    assert_eq!(server.server.stop(), Some(0));
}

#[test]
fn who_is_not_led_here_reads_why_and_a_new_name_is_asked_for_at_once() {
    let redirect = free_port();
    let Some(authority) = Authority::start(redirect, 3600) else { return };
    authority.names.a("elsewhere.example", [127, 0, 0, 9]);
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("orgd.redb");
    let start =
        |names: &[&str]| Wanting::start(&data, redirect, &authority.directory(), &authority.ca(), names);
    for (name, words) in [
        ("unknown.example", "could not make sure that unknown.example leads to this server"),
        ("elsewhere.example", "could not make sure that elsewhere.example leads to this server"),
    ] {
        let mut server = start(&[name]);
        let log = server.log();
        let said = line(&log, "no certificate was issued");
        assert!(said.contains(words), "{said}");
        let state = status(&data);
        assert!(state.contains(&format!("! the certificate for {name} is not there yet")), "{state}");
        let metrics = server.metrics();
        assert!(metrics.contains("orgd_acme_orders_total{outcome=\"failed\"} 1"), "{metrics}");
        assert_eq!(server.server.stop(), Some(0));
    }
    // Another start waits with the same name, and not with another.
    let mut server = start(&["elsewhere.example"]);
    let log = server.log();
    line(&log, "handshakes of HTTPS are refused");
    assert_eq!(server.server.stop(), Some(0));
    assert!(!log.iter().any(|line| line.contains("no certificate was issued")));
    let server = start(&[NAME]);
    let root = authority.root();
    until("there is a certificate", || server.shows(NAME, &root).is_some());
    assert_eq!(server.server.stop(), Some(0));
}

/// An authority that answers what it is told to, and counts the requests to its `/new-account`.
pub struct Refusing {
    pub directory: String,
    pub ca: PathBuf,
    asked: Arc<AtomicUsize>,
    _folder: TempDir,
}

impl Refusing {
    pub fn start(answer: &'static str) -> Refusing {
        let folder = tempfile::tempdir().expect("a folder");
        let (chain, key) = pair();
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, &chain).expect("written");
        let config = ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(chain.as_bytes()).expect("a certificate")],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key"),
            );
        let config = Arc::new(config.expect("a pair"));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let base = format!("https://{}", listener.local_addr().expect("the socket has an address"));
        let asked = Arc::new(AtomicUsize::new(0));
        let (counter, own) = (Arc::clone(&asked), base.clone());
        // Ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let session = ServerConnection::new(Arc::clone(&config)).expect("a server");
                let _ = respond(StreamOwned::new(session, stream), &own, answer, &counter);
            }
        });
        Refusing { directory: format!("{base}/dir"), ca, asked, _folder: folder }
    }
}

fn respond(
    mut stream: StreamOwned<ServerConnection, TcpStream>,
    base: &str,
    answer: &str,
    asked: &AtomicUsize,
) -> std::io::Result<()> {
    let mut head = String::new();
    let mut reader = BufReader::new(&mut stream);
    let mut length = 0;
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    for line in head.lines() {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
            length = value.parse().expect("a length");
        }
    }
    reader.read_exact(&mut vec![0; length])?;
    let urls = json!({"newNonce": format!("{base}/nonce"), "newAccount": format!("{base}/new-account"),
        "newOrder": format!("{base}/new-order")})
    .to_string();
    let whole = match head.split(' ').nth(1).unwrap_or_default() {
        "/dir" => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{urls}", urls.len()),
        "/nonce" => "HTTP/1.1 200 OK\r\nReplay-Nonce: abc\r\nContent-Length: 0\r\n\r\n".to_owned(),
        _ => {
            asked.fetch_add(1, Ordering::Relaxed);
            answer.to_owned()
        }
    };
    stream.write_all(whole.as_bytes())?;
    stream.conn.send_close_notify();
    stream.flush()
}

#[test]
fn an_authority_that_wants_a_pause_gets_it() {
    let problem = "HTTP/1.1 429 Too Many\r\nContent-Type: application/problem+json\r\nRetry-After: 7200\r\n\
                   Replay-Nonce: abc\r\nContent-Length: 87\r\n\r\n\
                   {\"type\":\"urn:ietf:params:acme:error:rateLimited\",\"detail\":\"too\\nmany\",\"status\":429}    ";
    let authority = Refusing::start(problem);
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("orgd.redb");
    let start = || Wanting::start(&data, free_port(), &authority.directory, &authority.ca, &[NAME]);
    let mut server = start();
    let log = server.log();
    let said = line(&log, "no certificate was issued");
    assert!(said.contains("limits how often it is asked (\u{201c}too many\u{201d})"), "{said}");
    assert_eq!(authority.asked.load(Ordering::Relaxed), 1);
    // Neither the operator nor a restart makes it sooner.
    server.server.signal("HUP");
    let said = line(&log, "the authority is not asked before");
    assert!(said.contains("limits how often"), "{said}");
    assert_eq!(server.server.stop(), Some(0));
    let mut server = start();
    let log = server.log();
    server.server.signal("HUP");
    line(&log, "the authority is not asked before");
    assert_eq!(server.server.stop(), Some(0));
    assert_eq!(authority.asked.load(Ordering::Relaxed), 1);
}

#[test]
fn an_authority_that_is_none_is_named_and_what_it_says_is_not_repeated() {
    for (answer, words) in [
        (
            "HTTP/1.1 500 Oops\r\nContent-Length: 12\r\n\r\n<html>sesame",
            "does not answer as an authority with ACME does",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "failed to get account URL"),
        ("", "could not be reached"),
    ] {
        let authority = Refusing::start(answer);
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("orgd.redb");
        let mut server = Wanting::start(&data, free_port(), &authority.directory, &authority.ca, &[NAME]);
        let log = server.log();
        let said = line(&log, "no certificate was issued");
        assert!(said.contains(words) && !said.contains("sesame"), "{words}: {said}");
        assert_eq!(server.server.stop(), Some(0));
    }
}

#[test]
fn what_does_not_go_together_is_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("orgd.redb");
    let pem = anybody_file(&folder).display().to_string();
    let redirect = ["--http-redirect-listen", "127.0.0.1:0"];
    let name = ["--acme-domain", NAME];
    for (flags, words) in [
        (vec![name[0], name[1]], "--acme-domain needs --http-redirect-listen"),
        (vec![name[0], name[1], redirect[0], redirect[1]], "--acme-domain needs --acme-agree"),
        (
            vec![name[0], name[1], redirect[0], redirect[1], "--acme-agree", "--tls-cert", &pem],
            "--acme-domain and --tls-cert exclude each other",
        ),
        (vec!["--acme-agree"], "need --acme-domain"),
        (vec!["--acme-contact", "ada@example.com"], "need --acme-domain"),
        (vec!["--acme-domain", "*.example.com"], "by the DNS only"),
        (vec!["--acme-domain", "192.0.2.7"], "a name of the public DNS is wanted"),
        (vec!["--acme-domain", "a.example,localhost"], "a name of the public DNS is wanted"),
        (vec!["--acme-directory", "http://a.example/dir"], "begins with https://"),
        (vec!["--acme-ca", "/nowhere.pem"], "--acme-ca"),
    ] {
        let mut serve = orgd(&["serve", "--listen", "127.0.0.1:0"]);
        let output = serve.arg("--data").arg(&data).args(&flags).output().expect("the program runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(words), "{flags:?}: {said}");
        assert!(!data.exists(), "{flags:?}");
    }
    // The names of a variable are several, as those of a flag that is given again.
    let mut check = orgd(&["config", "show", "--json"]);
    let output = check.env("ORGD_ACME_DOMAIN", "a.example,b.example").output().expect("the program runs");
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let shown = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let shown = shown.into_iter().find(|one| one["name"] == "ORGD_ACME_DOMAIN").expect("it is shown");
    assert_eq!((&shown["value"], &shown["from"]), (&json!("a.example b.example"), &json!("variable")));
}
