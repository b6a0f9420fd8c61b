//! Where the server connects to for somebody: public addresses, what the operator lists, and nothing else.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use orgd::outbound::AddressPolicy;
use serde_json::{Value, json};

use crate::support::archives::zip;
use crate::support::exports::{backfill, capture, completed, event, export_to, last_run, log};
use crate::support::plugin_hosts::Mirror;
use crate::support::web::{Page, Web};
use crate::support::{Org, Receiver, Server, text};

const REFUSED: &str =
    " is not an address that this server may connect to; the operator can allow it with ORGD_OUTBOUND_ALLOW";
const SECRET: &str = "INTERNAL-SECRET";

/// A server of this list, with an organization that has an event.
fn allowing(list: &str) -> (Server, Org) {
    let list = AddressPolicy::parse(list).expect("a list");
    let server = Server::with(|config| config.outbound_allow = list);
    let org = server.org();
    capture(&server, &org, &[event("a", "10:00:00")]);
    (server, org)
}

/// The run of a new export, once it is over.
fn run_to(server: &Server, org: &Org, kind: &str, config: &Value) -> (Value, Value) {
    let destination = json!({"type": kind, "config": config});
    let body = json!({"name": "n", "interval": "hour", "paused": true, "destination": destination});
    let export = org.owner.post(&org.at("batch_exports/"), body).json(201);
    backfill(org, &export, "10:00", "11:00");
    let run = last_run(server, org, &export);
    (export, run)
}

fn s3(more: Value) -> Value {
    let mut config = json!({
        "bucket_name": "b", "region": "us-east-1", "prefix": "p", "aws_access_key_id": "key",
        "aws_secret_access_key": "some-secret",
    });
    config.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    config
}

fn database(host: &str, port: u16) -> Value {
    json!({"host": host, "port": port, "database": "d", "user": "some-user", "password": "some-password"})
}

/// A listener that must never be connected to.
struct Untouched(TcpListener);

impl Untouched {
    /// On every address of this machine.
    fn start() -> Untouched {
        let listener = TcpListener::bind("[::]:0").or_else(|_| TcpListener::bind("0.0.0.0:0"));
        let listener = listener.expect("a port is free");
        listener.set_nonblocking(true).expect("it can be polled");
        Untouched(listener)
    }

    fn port(&self) -> u16 {
        self.0.local_addr().expect("an address").port()
    }

    #[track_caller]
    fn is_untouched(&self, by: &str) {
        let accepted = self.0.accept();
        assert!(
            matches!(&accepted, Err(cause) if cause.kind() == ErrorKind::WouldBlock),
            "{by}: {accepted:?}"
        );
    }
}

#[test]
fn no_kind_of_export_connects_to_an_address_that_is_not_public() {
    let (server, org) = allowing("");
    let untouched = Untouched::start();
    let port = untouched.port();
    let mut all: Vec<(&str, Value)> = Vec::new();
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "0.0.0.0",
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "10.0.0.1",
        "169.254.169.254",
        "[fd00::1]",
        "[fe80::1]",
        "１２７.０.０.１",
        "127。0。0。1",
    ] {
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{host}:{port}");
            all.push(("HTTP", json!({"url": format!("{url}/batch/"), "token": "phc"})));
            all.push(("S3", s3(json!({"endpoint_url": url}))));
        }
        if host.is_ascii() {
            let bare = host.trim_matches(['[', ']']);
            all.push(("Postgres", database(bare, port)));
            all.push(("Redshift", database(bare, port)));
        }
    }
    all.push(("HTTP", json!({"url": format!("http://github.com@127.0.0.1:{port}/"), "token": "phc"})));
    for (kind, config) in all {
        let (export, run) = run_to(&server, &org, kind, &config);
        let shown = format!("{kind} {config}: {run}");
        let error = text(&run["latest_error"]);
        assert_eq!(run["status"], "Failed", "{shown}");
        assert!(error.starts_with("AddressNotAllowedError: ") && error.ends_with(REFUSED), "{shown}");
        // One attempt was enough.
        assert_eq!(log(&org, &export, "Batch exporting range").len(), 1, "{shown}");
        assert!(log(&org, &export, "to connect failed").is_empty(), "{shown}");
        untouched.is_untouched(&shown);
    }
    // The region and the bucket are parts of a host's name, and lead nowhere either.
    let by_host = |bucket: &str| {
        let endpoint = format!("http://example.com:{port}");
        s3(json!({"endpoint_url": endpoint, "use_virtual_style_addressing": true, "bucket_name": bucket}))
    };
    let within = |region: &str| s3(json!({"region": region.replace("{}", &port.to_string())}));
    let hosts = ["127.0.0.1:", "2130706433:", "localhost:", "127.0.0.1#", "localhost/"].map(by_host);
    for config in hosts.into_iter().chain(["x@127.0.0.1:{}/", "x@localhost:{}#", "x@[::1]:{}?"].map(within)) {
        let (_, run) = run_to(&server, &org, "S3", &config);
        assert_eq!(run["status"], "Failed", "{config}: {run}");
        untouched.is_untouched(&config.to_string());
    }
}

#[test]
fn a_database_is_a_server_and_not_a_socket_in_the_file_system() {
    let (server, org) = allowing("any");
    for kind in ["Postgres", "Redshift"] {
        for host in ["/var/run/postgresql", "/tmp", "@abstract", "a\\b"] {
            let (_, run) = run_to(&server, &org, kind, &database(host, 5432));
            let wanted = "ValueError: The host must be the name or the address of a server";
            assert_eq!((&run["status"], &run["latest_error"]), (&json!("Failed"), &json!(wanted)), "{host}");
        }
    }
}

#[test]
fn the_operator_allows_addresses_networks_and_names_and_nothing_beside_them() {
    let receiver = Receiver::answering(&[]);
    let SocketAddr::V4(address) = receiver.address else { panic!("an address of IPv4") };
    let port = address.port();
    let named = format!("http://localhost:{port}/");
    for (list, url, is_allowed) in [
        ("127.0.0.1".to_owned(), receiver.url("/"), true),
        ("127.0.0.1".to_owned(), named.clone(), true),
        ("127.0.0.0/8".to_owned(), receiver.url("/"), true),
        ("127.0.0.0/8".to_owned(), format!("http://[::ffff:127.0.0.1]:{port}/"), true),
        (format!("10.0.0.0/8, 127.0.0.1:{port}"), receiver.url("/"), true),
        ("localhost".to_owned(), named.clone(), true),
        (format!("LOCALHOST.:{port}"), named.clone(), true),
        ("any".to_owned(), receiver.url("/"), true),
        ("127.0.0.2".to_owned(), receiver.url("/"), false),
        ("localhost".to_owned(), receiver.url("/"), false),
        ("*.localhost".to_owned(), named.clone(), false),
        (format!("localhost:{}", port - 1), named, false),
        (format!("127.0.0.1:{}", port - 1), receiver.url("/"), false),
        ("10.0.0.0/8".to_owned(), receiver.url("/"), false),
    ] {
        let before = receiver.received().len();
        let (server, org) = allowing(&list);
        let (_, run) = run_to(&server, &org, "HTTP", &json!({"url": url, "token": "phc"}));
        if is_allowed {
            completed(&run, 1);
        } else {
            assert!(text(&run["latest_error"]).ends_with(REFUSED), "{list}: {run}");
        }
        assert_eq!(receiver.received().len() - before, usize::from(is_allowed), "{list}: {url}");
    }
}

#[test]
fn on_a_server_for_local_work_this_machine_is_allowed_and_no_other() {
    let receiver = Receiver::answering(&[]);
    let server = Server::with(|config| {
        config.outbound_allow = AddressPolicy::default();
        config.dev = true;
    });
    let org = server.org();
    capture(&server, &org, &[event("a", "10:00:00")]);
    let export = export_to(&org, &receiver.url("/"), json!({}));
    backfill(&org, &export, "10:00", "11:00");
    completed(&last_run(&server, &org, &export), 1);
    let (_, run) = run_to(&server, &org, "HTTP", &json!({"url": "http://10.0.0.1/", "token": "phc"}));
    assert!(text(&run["latest_error"]).ends_with(REFUSED), "{run}");
}

/// A database that refuses everybody, in these words.
fn refusing_database(code: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("an address").port();
    // Ends with the process: it waits for connections as long as the test may open one.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = refuse(stream, code);
        }
    });
    port
}

fn refuse(mut stream: TcpStream, code: &str) -> std::io::Result<()> {
    // The client offers TLS, which it does not have, and then names its user.
    stream.read_exact(&mut [0; 8])?;
    stream.write_all(b"N")?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).expect("a small number");
    stream.read_exact(&mut vec![0; length - 4])?;
    let fields = format!("SFATAL\0C{code}\0M{SECRET}\0D{SECRET}\0W{SECRET}\0\0");
    let mut answer = vec![b'E'];
    answer.extend(u32::try_from(fields.len() + 4).expect("a small number").to_be_bytes());
    answer.extend(fields.as_bytes());
    stream.write_all(&answer)
}

#[test]
fn what_a_private_server_answers_is_shown_to_nobody() {
    const XML: &str = "<Error><Code>INTERNAL-SECRET</Code><Message>INTERNAL-SECRET</Message></Error>";
    const KNOWN: &str = "<Error><Code>AccessDenied</Code><Message>INTERNAL-SECRET</Message></Error>";
    let hidden = "(what a server in a private network answers is not shown)";
    let (server, org) = allowing("127.0.0.0/8");
    let answering = |status, body| Receiver::answering(&[(status, body)]);
    let receivers =
        [answering(418, SECRET), answering(403, XML), answering(403, KNOWN), answering(301, SECRET)];
    let [teapot, bucket, known, moved] = receivers.each_ref().map(|receiver| receiver.url("/"));
    for (kind, config, wanted) in [
        (
            "HTTP",
            json!({"url": teapot, "token": "phc"}),
            format!("NonRetryableResponseError: NonRetryableResponseError (status: 418): {hidden}"),
        ),
        ("S3", s3(json!({"endpoint_url": bucket})), format!("ClientError: (status: 403) {hidden}")),
        ("S3", s3(json!({"endpoint_url": known})), "ClientError: (status: 403) AccessDenied".into()),
        ("S3", s3(json!({"endpoint_url": moved})), format!("ClientError: (status: 301) {hidden}")),
        (
            "Postgres",
            database("127.0.0.1", refusing_database("28000")),
            "OperationalError: connection failed: the server answered with SQLSTATE 28000".into(),
        ),
        (
            "Redshift",
            database("127.0.0.1", refusing_database("3D000")),
            "OperationalError: connection failed: the server answered with SQLSTATE 3D000".into(),
        ),
    ] {
        let (export, run) = run_to(&server, &org, kind, &config);
        assert_eq!((&run["status"], &run["latest_error"]), (&json!("Failed"), &json!(wanted)), "{kind}");
        assert!(log(&org, &export, SECRET).is_empty(), "{kind}");
    }
    // Attempts that will be repeated are in the log only.
    let config = database("127.0.0.1", refusing_database(SECRET));
    let destination = json!({"type": "Postgres", "config": config});
    let body = json!({"name": "n", "interval": "hour", "paused": true, "destination": destination});
    let export = org.owner.post(&org.at("batch_exports/"), body).json(201);
    backfill(&org, &export, "10:00", "11:00");
    let message = "Attempt 1 of 5 to connect failed: the server answered with SQLSTATE unknown";
    server.until("the log says so", || log(&org, &export, "Attempt 1 of 5") == [message]);
    assert!(log(&org, &export, SECRET).is_empty());
    org.owner.delete(&org.at(&format!("batch_exports/{}/", text(&export["id"])))).no_content();
}

#[test]
fn a_setting_of_the_operator_allows_its_own_host_and_plugins_lead_to_no_other() {
    let mirror = Mirror::with(|config| config.outbound_allow = AddressPolicy::default());
    let inner = Web::start();
    let archive = || Page::Body(zip(&[("plugin.json", br#"{"name": "p"}"#), ("index.js", b"")]));
    let port = inner.address.port();
    inner.put("/zip", archive());
    for host in ["127.0.0.2", "[::1]", "10.0.0.1", "169.254.169.254"] {
        mirror.put_archive("1", Page::Redirect(format!("http://{host}:{port}/zip")));
        let reason = mirror.install("https://github.com/u/r/archive/1.zip").reason();
        let wanted = format!("Could not download archive from github. Reason: {host}{REFUSED}.");
        assert_eq!(reason, wanted);
    }
    assert!(inner.requests().is_empty());
    mirror.is_empty();
    mirror.put_archive("1", archive());
    // Another port of the same host is the same host.
    mirror.put_archive("2", Page::Redirect(format!("{}/zip", inner.url())));
    mirror.install("https://github.com/u/r/archive/2.zip").json(201);
    mirror.install("https://github.com/u/r/archive/1.zip").json(201);
}
