//! What batch exports put into buckets, judged by an S3 server that checks every signature.

use std::collections::BTreeSet;
use std::io::Read;

use serde_json::{Value, json};

use crate::support::exports::{capture, completed};
use crate::support::{Org, S3, Server, s3, text};

pub const RANGE: &str = "2021-01-01T10:00:00+00:00-2021-01-01T11:00:00+00:00";

pub fn seen(number: usize) -> Value {
    json!({"event": "seen", "distinct_id": format!("d{number}"), "timestamp": "2021-01-01T10:00:00Z", "properties": {"number": number}})
}

pub fn config(s3: &S3, more: Value) -> Value {
    let mut config = json!({
        "bucket_name": "events", "region": "us-east-1", "prefix": "p", "endpoint_url": s3.url(),
        "aws_access_key_id": s3::KEY, "aws_secret_access_key": s3::SECRET,
    });
    config.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    config
}

/// The run of an export of that hour.
pub fn run_of(server: &Server, org: &Org, model: &str, config: Value) -> Value {
    let destination = json!({"type": "S3", "config": config});
    let body = json!({"name": "n", "model": model, "interval": "hour", "destination": destination});
    let export = org.owner.post(&org.at("batch_exports/"), body).json(201);
    let one = org.at(&format!("batch_exports/{}/", text(&export["id"])));
    let range = json!({"start_at": "2021-01-01T10:00:00Z", "end_at": "2021-01-01T11:00:00Z"});
    // Persons have no time of their own.
    let range = if model == "persons" {
        json!({"end_at": server.app.clock.now().plus_seconds(60).to_string()})
    } else {
        range
    };
    org.owner.post(&format!("{one}backfill/"), range).json(200);
    let mut run = Value::Null;
    server.until("the run is over", || {
        run = org.owner.get(&one).json(200)["latest_runs"][0].clone();
        run["finished_at"].is_string()
    });
    let log = org.owner.get(&format!("{one}logs/?limit=500")).text();
    assert!(!log.contains(s3::KEY) && !log.contains(s3::SECRET), "{log}");
    run
}

pub fn lines(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).expect("UTF-8");
    assert!(text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn an_event_is_a_line_with_the_documented_columns() {
    let server = Server::start();
    let org = server.org();
    let bucket = S3::with_bucket("events");
    let uuid = "018c0d7e-1111-7000-8000-000000000001";
    let event = json!({
        "event": "seen", "distinct_id": "d", "uuid": uuid, "timestamp": "2021-01-01T10:00:00.25Z",
        "properties": {"$ip": "1.2.3.4", "$set": {"name": "Zoë"}},
    });
    capture(&server, &org, &[event]);
    completed(&run_of(&server, &org, "events", config(&bucket, json!({}))), 1);
    assert_eq!(bucket.keys("events"), [format!("p/{RANGE}.jsonl")]);
    let mut line = lines(&bucket.object("events", &format!("p/{RANGE}.jsonl"))).remove(0);
    assert!(line["created_at"].take().is_string() && line["person_id"].take().is_string());
    assert_eq!(
        line,
        json!({
            "uuid": uuid, "timestamp": "2021-01-01T10:00:00.250000+00:00",
            "_inserted_at": "2021-01-01T10:00:00.250000+00:00", "created_at": null, "event": "seen",
            "properties": {"$ip": "1.2.3.4", "$set": {"name": "Zoë"}}, "distinct_id": "d", "elements_chain": "",
            "person_properties": {"name": "Zoë"}, "person_id": null,
        })
    );
}

#[test]
fn compressed_files_unpack_to_the_same_lines() {
    let server = Server::start();
    let org = server.org();
    capture(&server, &org, &(0..3000).map(seen).collect::<Vec<_>>());
    for (compression, ending) in [("gzip", ".gz"), ("brotli", ".br")] {
        let bucket = S3::with_bucket("events");
        let config = config(&bucket, json!({"compression": compression, "prefix": "/a/{year}/{table}/"}));
        completed(&run_of(&server, &org, "events", config), 3000);
        let key = format!("a/2021/events/{RANGE}.jsonl{ending}");
        assert_eq!(bucket.keys("events"), std::slice::from_ref(&key));
        let packed = bucket.object("events", &key);
        let mut plain = Vec::new();
        if compression == "gzip" {
            flate2::read::MultiGzDecoder::new(packed.as_slice()).read_to_end(&mut plain).expect("gzip");
        } else {
            brotli::Decompressor::new(packed.as_slice(), 4096).read_to_end(&mut plain).expect("brotli");
        }
        let numbers: BTreeSet<u64> =
            lines(&plain).iter().filter_map(|line| line["properties"]["number"].as_u64()).collect();
        assert_eq!(numbers.len(), 3000);
    }
}

#[test]
fn large_files_go_in_parts_and_appear_whole() {
    let server = Server::start();
    let org = server.org();
    let bucket = S3::with_bucket("events");
    let fill = "x".repeat(1_000_000);
    for number in 0..20 {
        let mut event = seen(number);
        event["properties"]["fill"] = json!(fill);
        capture(&server, &org, &[event]);
    }
    completed(&run_of(&server, &org, "events", config(&bucket, json!({}))), 20);
    let whole = lines(&bucket.object("events", &format!("p/{RANGE}.jsonl")));
    let numbers: Vec<u64> = whole.iter().filter_map(|line| line["properties"]["number"].as_u64()).collect();
    assert_eq!(numbers, (0..20).collect::<Vec<_>>());
}

#[test]
fn files_are_split_and_listed_where_a_size_is_set() {
    let server = Server::start();
    let org = server.org();
    let bucket = S3::with_bucket("events");
    let fill = "x".repeat(700_000);
    for number in 0..4 {
        let mut event = seen(number);
        event["properties"]["fill"] = json!(fill);
        capture(&server, &org, &[event]);
    }
    completed(&run_of(&server, &org, "events", config(&bucket, json!({"max_file_size_mb": 1}))), 4);
    let files = [0, 1].map(|number| format!("p/{RANGE}-{number}.jsonl"));
    let manifest = format!("p/{RANGE}_manifest.json");
    assert_eq!(bucket.keys("events"), [files.as_slice(), std::slice::from_ref(&manifest)].concat());
    let listed: Value = serde_json::from_slice(&bucket.object("events", &manifest)).expect("JSON");
    assert_eq!(listed, json!({"files": files}));
    assert_eq!(files.iter().map(|key| lines(&bucket.object("events", key)).len()).sum::<usize>(), 4);
}

#[test]
fn an_empty_interval_leaves_no_object() {
    let server = Server::start();
    let org = server.org();
    let bucket = S3::with_bucket("events");
    completed(&run_of(&server, &org, "events", config(&bucket, json!({"max_file_size_mb": 1}))), 0);
    assert!(bucket.keys("events").is_empty());
}

#[test]
fn persons_leave_with_every_distinct_id() {
    let server = Server::start();
    let org = server.org();
    let bucket = S3::with_bucket("events");
    capture(
        &server,
        &org,
        &[
            json!({"event": "seen", "distinct_id": "anonymous-1"}),
            json!({"event": "$identify", "distinct_id": "ada", "properties": {"$anon_distinct_id": "anonymous-1", "$set": {"name": "Ada"}}}),
            json!({"event": "seen", "distinct_id": "ada", "$set_once": {"name": "Eve", "first": 1}}),
            json!({"event": "$create_alias", "distinct_id": "ada", "properties": {"alias": "a.lovelace"}}),
            json!({"event": "seen", "distinct_id": "bob", "properties": {"$process_person_profile": false}}),
            json!({"event": "seen", "distinct_id": "cleo"}),
        ],
    );
    completed(&run_of(&server, &org, "persons", config(&bucket, json!({}))), 4);
    let keys = bucket.keys("events");
    assert!(keys.len() == 1 && keys[0].starts_with("p/START-"), "{keys:?}");
    let rows = lines(&bucket.object("events", &keys[0]));
    let of = |distinct_id: &str| rows.iter().find(|row| row["distinct_id"] == distinct_id).expect("a row");
    for distinct_id in ["anonymous-1", "ada", "a.lovelace"] {
        assert_eq!(of(distinct_id)["properties"], json!({"name": "Ada", "first": 1}), "{distinct_id}");
        assert_eq!(of(distinct_id)["person_id"], of("ada")["person_id"]);
        assert_eq!(of(distinct_id)["team_id"], org.project);
    }
    assert_ne!(of("cleo")["person_id"], of("ada")["person_id"]);
}

#[test]
fn what_the_bucket_refuses_fails_at_once() {
    let server = Server::start();
    let org = server.org();
    let bucket = S3::with_bucket("events");
    capture(&server, &org, &[seen(1)]);
    for (more, wanted) in [
        (json!({"bucket_name": "UNUSABLE"}), "ClientError: (status: 400) InvalidBucketName"),
        (
            json!({"aws_secret_access_key": "not-the-secret"}),
            "ClientError: (status: 403) SignatureDoesNotMatch",
        ),
        (
            json!({"endpoint_url": "http://127.0.0.1:1"}),
            "EndpointConnectionError: 127.0.0.1:1 could not be reached",
        ),
        (json!({"endpoint_url": "nonsense"}), "InvalidS3EndpointError: Endpoint URL is invalid"),
        (
            json!({"prefix": "{unknown}"}),
            "InvalidS3Key: An invalid S3 key was provided: unknown template 'unknown'",
        ),
        #[cfg(not(feature = "parquet"))]
        (
            json!({"file_format": "Parquet"}),
            "NotImplementedError: This version of orgd cannot write Parquet files.",
        ),
    ] {
        let run = run_of(&server, &org, "events", config(&bucket, more));
        assert_eq!((&run["status"], &run["records_completed"]), (&json!("Failed"), &Value::Null));
        let told = text(&run["latest_error"]);
        assert!(told.starts_with(wanted), "{told}");
    }
    assert!(bucket.keys("events").is_empty());
}

#[test]
fn encryption_is_asked_for_in_headers_that_are_signed() {
    let server = Server::start();
    let org = server.org();
    capture(&server, &org, &[seen(1)]);
    let receiver = crate::support::Receiver::answering(&[]);
    let bucket = S3::with_bucket("events");
    let more = json!({"endpoint_url": receiver.url(""), "encryption": "aws:kms", "kms_key_id": "the-key"});
    completed(&run_of(&server, &org, "events", config(&bucket, more)), 1);
    let asked = receiver.received().remove(0);
    assert!(
        asked
            .line
            .starts_with(&format!("PUT /events/p/{}.jsonl?", RANGE.replace('+', "%2B").replace(':', "%3A"))),
        "{}",
        asked.line
    );
    let head = asked.head.to_lowercase();
    assert!(head.contains("x-amz-server-side-encryption: aws:kms\r\n"), "{head}");
    assert!(head.contains("x-amz-server-side-encryption-aws-kms-key-id: the-key\r\n"), "{head}");
    assert!(head.contains("x-amz-signedheaders=host%3bx-amz-server-side-encryption%3b"), "{head}");
}
