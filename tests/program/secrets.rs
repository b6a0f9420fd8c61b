//! What is secret of a destination is shown nowhere, not even when the destination repeats it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

use serde_json::{Value, json};

use crate::receiver::Receiver;
use crate::support::{Serving, agent, ask, bootstrap, key_of, orgd, run, until};

/// Every secret begins with it, and nothing else holds it.
const MARK: &str = "sesame";
const TOKEN: &str = "sesame-token/+\"of\" the receiver";
const ANSWERS: &[(u16, &str)] = &[
    (400, "you said sesame-token/+\"of\" the receiver"),
    (400, r#"{"api_key": "sesame-token/+\"of\" the receiver"}"#),
    (400, "token=sesame-token%2F%2B%22of%22%20the%20receiver"),
    // What is shown of an answer ends in the middle of it.
    (
        400,
        concat!(
            "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
            "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
            "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
            "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
            "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890 ",
            "sesame-token/+\"of\" the receiver",
        ),
    ),
];
const XML: &str =
    "<Error><Code>SignatureDoesNotMatch</Code><Message>Not sesame-key-id with sesame-key/+</Message></Error>";

/// A database that refuses everybody, and repeats name and password.
fn database() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("the socket has an address");
    // Ends with the process: it waits for connections as long as the test may open one.
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut message = [0; 1024];
            // A request for TLS has eight bytes.
            while let Ok(8) = stream.read(&mut message) {
                let _ = stream.write_all(b"N");
            }
            let fields = "SFATAL\0VFATAL\0C28P01\0Mno sesame-user with sesame-password here\0\0";
            let length = u32::try_from(fields.len() + 4).expect("a short text");
            let _ = stream.write_all(&[b"E".as_slice(), &length.to_be_bytes(), fields.as_bytes()].concat());
        }
    });
    address
}

/// Of every type one, and how often each has to run.
fn destinations(receiver: &Receiver, bucket: &Receiver, database: SocketAddr) -> Vec<(Value, usize)> {
    let tables = json!({
        "user": "sesame-user", "password": "sesame-password", "host": "127.0.0.1", "port": database.port(),
        "database": "d",
    });
    let of = |kind: &str, config: Value| json!({"type": kind, "config": config});
    vec![
        (of("HTTP", json!({"url": receiver.url("/"), "token": TOKEN})), ANSWERS.len()),
        (
            of(
                "S3",
                json!({
                    "bucket_name": "b", "region": "r", "prefix": "p", "endpoint_url": bucket.url(""),
                    "aws_access_key_id": "sesame-key-id", "aws_secret_access_key": "sesame-key/+",
                }),
            ),
            1,
        ),
        (of("Postgres", tables.clone()), 1),
        (of("Redshift", tables), 1),
        (
            of(
                "BigQuery",
                json!({
                    "project_id": "p", "dataset_id": "d", "private_key": "sesame\nkey", "private_key_id": "sesame-id",
                    "token_uri": "http://127.0.0.1:1/sesame", "client_email": "sesame@example.com",
                }),
            ),
            1,
        ),
        (
            of(
                "Snowflake",
                json!({
                    "account": "a", "user": "sesame-user", "database": "d", "warehouse": "w", "schema": "s",
                    "password": "sesame-password", "private_key": "sesame-key", "private_key_passphrase": "sesame-phrase",
                }),
            ),
            1,
        ),
    ]
}

/// Asks as the owner, and looks for secrets in every answer.
struct Owner {
    server: String,
    key: String,
}

impl Owner {
    #[track_caller]
    fn asks(&self, method: &str, path: &str, body: &Value) -> Value {
        let url = format!("{}{path}", self.server);
        let (_, answer) = ask(&agent(), method, &url, Some(&self.key), body).expect("an answer");
        assert!(!answer.to_string().contains(MARK), "{method} {path}: {answer}");
        answer
    }
}

#[test]
fn no_secret_of_a_destination_is_told_anywhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("orgd.redb");
    let data = file.to_str().expect("a path of text");
    let made = bootstrap(data);
    let (receiver, bucket) = (Receiver::answering(ANSWERS), Receiver::answering(&[(403, XML)]));
    let mut server = Serving::start(&file, &["--log-level", "debug", "--outbound-allow", "127.0.0.0/8"]);
    let log = server.log.take().expect("a log").into_inner().expect("no panic");
    let key = key_of(&made).to_owned();
    let owner = Owner { server: server.base.clone(), key };
    let event = json!({"event": "seen", "distinct_id": "d", "timestamp": "2021-01-01T10:00:00Z"});
    owner.asks("POST", "/batch/", &json!({"api_key": made["project_api_token"], "batch": [event]}));

    let all = "/api/organizations/@current/batch_exports/";
    for (destination, times) in destinations(&receiver, &bucket, database()) {
        let body = json!({"name": "n", "interval": "hour", "paused": true, "destination": destination});
        let export = owner.asks("POST", all, &body);
        let one = format!("{all}{}/", export["id"].as_str().unwrap_or_else(|| panic!("{export}")));
        let range = json!({"start_at": "2021-01-01T10:00:00Z", "end_at": "2021-01-01T11:00:00Z"});
        for run in 1..=times {
            owner.asks("POST", &format!("{one}backfill/"), &range);
            let shown = || owner.asks("GET", &format!("{one}logs/?limit=500"), &json!({})).to_string();
            until("the run has failed", || shown().matches("batches in 2021").count() == run);
            let run = owner.asks("GET", &one, &json!({}))["latest_runs"][0].clone();
            assert_eq!(run["status"], "Failed", "{run}");
            assert!(
                shown().contains(
                    run["latest_error"].as_str().expect("a sentence").get(..20).expect("a long one")
                )
            );
        }
        owner.asks("PATCH", &one, &json!({"destination": destination}));
        owner.asks("PUT", &one, &body);
        // What is wrong with a configuration is shown without its values.
        let wrong = json!({"destination": {"type": destination["type"], "config": {"url": ["sesame"], "user": ["sesame"], "unknown": "sesame"}}});
        let refused = owner.asks("PATCH", &one, &wrong);
        assert_eq!(refused["type"], "validation_error");
        for action in ["unpause/", "pause/"] {
            owner.asks("POST", &format!("{one}{action}"), &json!({}));
        }
    }
    owner.asks("GET", all, &json!({}));
    let project = &owner.asks("GET", "/api/organizations/@current/projects/", &json!({}))["results"][0]["id"];
    for activity in ["plugins/activity/".to_owned(), format!("projects/{project}/activity/")] {
        let page = owner.asks("GET", &format!("/api/organizations/@current/{activity}"), &json!({}));
        assert!(page["results"].is_array(), "{page}");
    }
    assert_eq!(server.stop(), Some(0));
    let lines: Vec<String> = log.iter().collect();
    assert!(lines.iter().any(|line| line.contains("an attempt at a run of a batch export ended")));
    let shown: Vec<&String> = lines.iter().filter(|line| line.contains(MARK)).collect();
    assert!(shown.is_empty(), "{shown:#?}");
    let bytes = std::fs::read(&file).expect("the data file");
    assert!(!bytes.windows(MARK.len()).any(|part| part == MARK.as_bytes()));
}

#[test]
fn where_the_operator_gives_a_key_none_is_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("orgd.redb");
    let data = data.to_str().expect("a path of text");
    let files = || std::fs::read_dir(folder.path()).expect("a folder").count();
    let bootstrap = ["bootstrap", "--data", data, "--email", "ada@example.com", "--organization", "Acme"];
    let given = |arguments: &[&str], key: &str| {
        let output = orgd(arguments).env("ORGD_SECRET_KEY", key).output().expect("the program runs");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let key = "a key of at least thirty-two letters";
    assert!(given(&bootstrap, key).0 && given(&["check", "--data", data], key).0);
    assert_eq!(files(), 1);
    let (_, shown) = given(&["check", "--data", data], "short");
    assert!(shown.contains("ORGD_SECRET_KEY: the secret key must have at least 32 letters"), "{shown}");
    // A check makes no key, and needs none where nothing is sealed.
    assert!(run(&["check", "--data", data]).status.success());
    assert_eq!(files(), 1);
}
