//! What batch exports put into buckets, judged by an S3 server that checks every signature.

use std::collections::BTreeSet;
use std::io::Read;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::exports::{at, backfill, backfill_of, capture, completed, last_run, latest, log, with};
use crate::support::{Org, Receiver, S3, SILENCE, Server, s3, text};

pub const RANGE: &str = "2021-01-01T10:00:00+00:00-2021-01-01T11:00:00+00:00";

pub fn seen(number: usize) -> Value {
    json!({"event": "seen", "distinct_id": format!("d{number}"), "timestamp": "2021-01-01T10:00:00Z", "properties": {"number": number}})
}

/// Several events of which each holds a megabyte.
pub fn capture_megabytes(server: &Server, org: &Org, count: usize) {
    let fill = "x".repeat(1_000_000);
    for number in 0..count {
        let mut event = seen(number);
        event["properties"]["fill"] = json!(fill);
        capture(server, org, &[event]);
    }
}

pub fn config(s3: &S3, more: Value) -> Value {
    config_at(&s3.url(), more)
}

fn config_at(endpoint: &str, more: Value) -> Value {
    let config = json!({
        "bucket_name": "events", "region": "us-east-1", "prefix": "p", "endpoint_url": endpoint,
        "aws_access_key_id": s3::KEY, "aws_secret_access_key": s3::SECRET,
    });
    with(config, &more)
}

/// The run of an export of that hour.
pub fn run_of(server: &Server, org: &Org, model: &str, config: Value) -> Value {
    let destination = json!({"type": "S3", "config": config});
    let body = json!({"name": "n", "model": model, "interval": "hour", "destination": destination});
    let export = org.owner.post(&org.at("batch_exports/"), body).json(201);
    let range = json!({"start_at": "2021-01-01T10:00:00Z", "end_at": "2021-01-01T11:00:00Z"});
    // Persons have no time of their own.
    let range = if model == "persons" {
        json!({"end_at": server.app.clock.now().plus_seconds(60).to_string()})
    } else {
        range
    };
    backfill_of(org, &export, range);
    let run = last_run(server, org, &export);
    let log = org.owner.get(&at(org, &export, "logs/?limit=500")).text();
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
    let all = [("gzip", ".gz"), ("brotli", ".br")];
    for (compression, ending) in all.into_iter().take(1 + usize::from(cfg!(feature = "brotli"))) {
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
    capture_megabytes(&server, &org, 20);
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
        (json!({"bucket_name": ".."}), "InvalidS3EndpointError: The bucket's name is missing, or no name"),
        (json!({"endpoint_url": "nonsense"}), "InvalidS3EndpointError: Endpoint URL is invalid"),
        (
            json!({"prefix": "{unknown}"}),
            "InvalidS3Key: An invalid S3 key was provided: unknown template 'unknown'",
        ),
        #[cfg(not(feature = "brotli"))]
        (
            json!({"compression": "brotli"}),
            "NotImplementedError: This version of orgd cannot pack with brotli.",
        ),
        #[cfg(not(feature = "parquet"))]
        (
            json!({"file_format": "Parquet"}),
            "NotImplementedError: This version of orgd cannot write Parquet files.",
        ),
    ] {
        let run = run_of(&server, &org, "events", config(&bucket, more));
        assert_eq!((&run["status"], &run["records_completed"]), (&json!("Failed"), &Value::Null));
        let message = text(&run["latest_error"]);
        assert!(message.starts_with(wanted), "{message}");
    }
    assert!(bucket.keys("events").is_empty());
}

const LATE: &str =
    "<Error><Code>RequestTimeout</Code><Message>Your socket connection was idle</Message></Error>";

/// An export to a bucket that answers as the test says, and its path.
pub fn backfilled_to(org: &Org, receiver: &Receiver) -> Value {
    let config = config_at(&receiver.url(""), json!({}));
    let destination = json!({"type": "S3", "config": config});
    let body = json!({"name": "n", "interval": "hour", "paused": true, "destination": destination});
    let export = org.owner.post(&org.at("batch_exports/"), body).json(201);
    backfill(org, &export, "10:00", "11:00");
    export
}

#[test]
fn what_came_too_slowly_is_sent_up_to_five_times_within_an_attempt() {
    let server = Server::start();
    let org = server.org();
    capture(&server, &org, &[seen(1)]);
    let receiver = Receiver::answering(&[(400, LATE), (408, ""), (400, LATE), (400, LATE)]);
    let export = backfilled_to(&org, &receiver);
    completed(&last_run(&server, &org, &export), 1);
    assert_eq!((receiver.received().len(), log(&org, &export, "error").len()), (5, 0));

    let receiver = Receiver::answering(&[(400, LATE); 5]);
    let export = backfilled_to(&org, &receiver);
    server.until("the attempt has failed", || log(&org, &export, "error").len() == 1);
    assert_eq!(
        log(&org, &export, "error"),
        ["Batch export failed with error: IntermittentUploadPartTimeoutError: (status: 400) RequestTimeout"]
    );
    assert_eq!((receiver.received().len(), &latest(&org, &export)["status"]), (5, &json!("Running")));
    server.pass(Duration::from_secs(31));
    completed(&last_run(&server, &org, &export), 1);
}

pub const BEGUN: &str = r#"<InitiateMultipartUploadResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Bucket>events</Bucket><Key>k</Key><UploadId>the-upload</UploadId></InitiateMultipartUploadResult>"#;

/// The method of each request, and whether it is about the upload of `BEGUN`.
fn requests(receiver: &Receiver) -> Vec<(String, bool)> {
    let request = |line: &str| {
        let (method, path) = line.split_once(' ').expect("a method and a path");
        (method.to_owned(), path.contains("uploadId=the-upload"))
    };
    receiver.received().iter().map(|received| request(&received.line)).collect()
}

#[test]
fn an_upload_in_parts_that_takes_too_long_or_is_not_wanted_any_more_is_forgotten_as_well() {
    let server = Server::start();
    let org = server.org();
    capture_megabytes(&server, &org, 18);
    let is_forgotten = |receiver: &Receiver| requests(receiver).contains(&("DELETE".into(), true));

    let receiver = Receiver::answering(&[(200, BEGUN), (SILENCE, "")]);
    let export = backfilled_to(&org, &receiver);
    server.until("a part is under way", || requests(&receiver).len() == 2);
    org.owner.delete(&org.at(&format!("batch_exports/{}/", text(&export["id"])))).no_content();
    server.until("its parts are forgotten", || is_forgotten(&receiver));

    let receiver = Receiver::answering(&[(200, BEGUN), (SILENCE, "")]);
    let export = backfilled_to(&org, &receiver);
    server.until("a part is under way", || requests(&receiver).len() == 2);
    server.pass(Duration::from_secs(60 * 60));
    server.until("its parts are forgotten", || is_forgotten(&receiver));
    server.until("the attempt has failed", || log(&org, &export, "TimeoutError").len() == 1);
}

#[test]
fn an_upload_in_parts_that_fails_is_forgotten_by_the_bucket() {
    let server = Server::start();
    let org = server.org();
    capture_megabytes(&server, &org, 18);
    let receiver = Receiver::answering(&[(200, BEGUN), (403, "<Error><Code>AccessDenied</Code></Error>")]);
    let export = backfilled_to(&org, &receiver);
    let run = last_run(&server, &org, &export);
    assert_eq!(run["latest_error"], "ClientError: (status: 403) AccessDenied");
    assert_eq!(requests(&receiver), [("POST".into(), false), ("PUT".into(), true), ("DELETE".into(), true)]);
    // Nothing asks for encryption where none is set.
    let heads = receiver.received().into_iter().map(|request| request.head.to_lowercase());
    assert!(heads.into_iter().all(|head| !head.contains("server-side-encryption")));
}

#[test]
fn the_name_of_a_file_has_one_slash_behind_a_prefix_and_none_without() {
    let server = Server::start();
    let org = server.org();
    capture(&server, &org, &[seen(1)]);
    for (prefix, more, wanted) in [
        ("", json!({}), vec![format!("{RANGE}.jsonl")]),
        ("/", json!({}), vec![format!("{RANGE}.jsonl")]),
        ("p/", json!({}), vec![format!("p/{RANGE}.jsonl")]),
        // Numbered and listed, even where it stays at one.
        (
            "{table}-{data_interval_end}",
            json!({"max_file_size_mb": 10}),
            vec![
                format!("events-2021-01-01T11:00:00+00:00/{RANGE}-0.jsonl"),
                format!("events-2021-01-01T11:00:00+00:00/{RANGE}_manifest.json"),
            ],
        ),
    ] {
        let bucket = S3::with_bucket("events");
        let mut more = more;
        more["prefix"] = json!(prefix);
        completed(&run_of(&server, &org, "events", config(&bucket, more)), 1);
        assert_eq!(bucket.keys("events"), wanted, "{prefix}");
    }
}

#[test]
fn a_file_is_put_under_its_key_to_the_letter_or_nowhere() {
    let server = Server::start();
    let org = server.org();
    capture(&server, &org, &[seen(1)]);
    let name = RANGE.replace('+', "%2B").replace(':', "%3A");
    for (prefix, path) in [
        ("a..b", "a..b/"),
        ("...", ".../"),
        ("a/.b/c.", "a/.b/c./"),
        ("%2e%2e/p", "%252e%252e/p/"),
        ("a//b", "a//b/"),
        ("a\\..\\b", "a%5C..%5Cb/"),
        ("a\tb", "a%09b/"),
        ("a b?c#d", "a%20b%3Fc%23d/"),
    ] {
        let receiver = Receiver::answering(&[]);
        let config = config_at(&receiver.url(""), json!({"prefix": prefix}));
        completed(&run_of(&server, &org, "events", config), 1);
        let line = receiver.received().remove(0).line;
        assert!(line.starts_with(&format!("PUT /events/{path}{name}.jsonl?")), "{prefix}: {line}");
    }
    let receiver = Receiver::answering(&[]);
    for prefix in ["a/../b", "./p", "p/..", "../p", "..", ".", "p/./", "/../p", "a/..", "{table}/../p"] {
        for more in [json!({}), json!({"max_file_size_mb": 1}), json!({"file_format": "Parquet"})] {
            if more["file_format"].is_string() && !cfg!(feature = "parquet") {
                continue;
            }
            let config = config_at(&receiver.url(""), with(json!({"prefix": prefix}), &more));
            let run = run_of(&server, &org, "events", config);
            let error = "InvalidS3Key: An invalid S3 key was provided: '.' and '..' cannot stand between the slashes of the prefix";
            assert_eq!((&run["status"], &run["latest_error"]), (&json!("Failed"), &json!(error)), "{prefix}");
        }
    }
    for bucket in [".", ".."] {
        let run =
            run_of(&server, &org, "events", config_at(&receiver.url(""), json!({"bucket_name": bucket})));
        assert_eq!(run["status"], "Failed", "{bucket}");
    }
    assert!(receiver.received().is_empty());
}

#[test]
fn persons_leave_when_they_or_their_ids_have_changed() {
    let server = Server::start();
    let org = server.org();
    // A real one refuses requests of a clock that was moved.
    let bucket = Receiver::answering(&[]);
    let identify = |distinct_id: &str, name: &str| json!({"event": "$identify", "distinct_id": distinct_id, "$set": {"name": name}});
    capture(&server, &org, &[identify("ada", "Ada"), identify("bob", "Bob")]);
    // What is chosen among events does not matter.
    let config =
        config_at(&bucket.url(""), json!({"include_events": ["never"], "exclude_events": ["$identify"]}));
    let destination = json!({"type": "S3", "config": config});
    let body = json!({"name": "n", "model": "persons", "interval": "hour", "destination": destination});
    let export = org.owner.post(&org.at("batch_exports/"), body).json(201);
    let rows_of = |count: usize| {
        let before = bucket.received().len();
        server.pass(Duration::from_secs(60 * 60));
        server.until("the run is over", || {
            let runs = org.owner.get(&at(&org, &export, "")).json(200)["latest_runs"].clone();
            runs.as_array().is_some_and(|runs| {
                runs.len() == count && runs.iter().all(|run| run["status"] == "Completed")
            })
        });
        bucket.received().get(before).map(|request| lines(&request.body)).unwrap_or_default()
    };
    let ids = |rows: &[Value]| rows.iter().map(|row| text(&row["distinct_id"])).collect::<BTreeSet<_>>();
    let first = rows_of(1);
    assert_eq!(ids(&first), BTreeSet::from(["ada".into(), "bob".into()]));
    let columns: Vec<&String> = first[0].as_object().expect("an object").keys().collect();
    assert_eq!(
        columns,
        [
            "team_id",
            "distinct_id",
            "person_id",
            "properties",
            "person_distinct_id_version",
            "person_version",
            "_inserted_at",
            "created_at"
        ]
    );
    let version = |rows: &[Value], id: &str| {
        rows.iter().find(|row| row["distinct_id"] == id).and_then(|row| row["person_version"].as_u64())
    };
    // Seen again, but not changed.
    capture(&server, &org, &[json!({"event": "seen", "distinct_id": "bob"}), identify("ada", "Augusta")]);
    let second = rows_of(2);
    assert_eq!(ids(&second), BTreeSet::from(["ada".into()]));
    assert!(version(&second, "ada") > version(&first, "ada"));
    assert_eq!(second[0]["properties"], json!({"name": "Augusta"}));
    let alias = json!({"event": "$create_alias", "distinct_id": "bob", "properties": {"alias": "robert"}});
    capture(&server, &org, &[alias]);
    let third = rows_of(3);
    assert!(ids(&third).contains("robert") && !ids(&third).contains("ada"), "{third:?}");
    assert!(rows_of(4).is_empty());
}

#[test]
fn encryption_is_asked_for_in_headers_that_are_signed() {
    let server = Server::start();
    let org = server.org();
    capture(&server, &org, &[seen(1)]);
    let receiver = Receiver::answering(&[]);
    let bucket = S3::with_bucket("events");
    let more = json!({"endpoint_url": receiver.url(""), "encryption": "aws:kms", "kms_key_id": "the-key"});
    completed(&run_of(&server, &org, "events", config(&bucket, more)), 1);
    let request = receiver.received().remove(0);
    assert!(
        request
            .line
            .starts_with(&format!("PUT /events/p/{}.jsonl?", RANGE.replace('+', "%2B").replace(':', "%3A"))),
        "{}",
        request.line
    );
    let head = request.head.to_lowercase();
    assert!(head.contains("x-amz-server-side-encryption: aws:kms\r\n"), "{head}");
    assert!(head.contains("x-amz-server-side-encryption-aws-kms-key-id: the-key\r\n"), "{head}");
    assert!(head.contains("x-amz-signedheaders=host%3bx-amz-server-side-encryption%3b"), "{head}");
}
