//! The process is killed in the middle of batch exports: nothing is lost, and what was delivered before is
//! not delivered again, but for the one request that was under way.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use crate::chaos_proxy::{ChaosProxy, Passes};
use crate::postgres::{self, PASSWORD, Postgres};
use crate::receiver::Receiver;
use crate::s3::{self, S3};
use crate::support::{Serving, agent, ask, bootstrap, key_of, run, until};

/// Events of one run; `ORGD_EXPORT_EVENTS` asks for more.
const EVENTS: usize = 16_000;
const BATCH_EVENTS: usize = 2_000;
/// Destinations are on this machine.
const ALLOWED: &[&str] = &["--outbound-allow", "127.0.0.0/8"];
/// What one request of an export over HTTP holds at the most.
const REQUEST_EVENTS: usize = 5_000;
const RANGE: &str = "2021-01-01T10:00:00+00:00-2021-01-01T11:00:00+00:00";

/// Events of one hour, large enough that they make files of several parts, and hard to compress.
fn event(number: usize) -> Value {
    let mut fill = String::new();
    let mut state = number as u64 + 1;
    while fill.len() < 1_400 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        fill.push_str(&format!("{:014x}", state >> 8));
    }
    let second = number % 3600;
    json!({
        "event": "seen", "distinct_id": format!("d{}", number % 1000), "uuid": uuid(number),
        "timestamp": format!("2021-01-01T10:{:02}:{:02}Z", second / 60, second % 60), "properties": {"fill": fill},
    })
}

fn uuid(number: usize) -> String {
    format!("018c0d7e-1111-7000-8000-{number:012x}")
}

/// What a person with a key does.
struct Owner {
    server: String,
    key: String,
}

impl Owner {
    fn asks(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        ask(&agent(), method, &format!("{}{path}", self.server), Some(&self.key), body).expect("an answer")
    }

    /// The path of a new export whose backfill over the hour has begun.
    fn backfills(&self, destination: &Value) -> String {
        let all = "/api/organizations/@current/batch_exports/";
        let export = json!({"name": "n", "interval": "hour", "paused": true, "destination": destination});
        let (status, export) = self.asks("POST", all, &export);
        assert_eq!(status, 201, "{export}");
        let one = format!("{all}{}/", export["id"].as_str().expect("an id"));
        let range = json!({"start_at": "2021-01-01T10:00:00Z", "end_at": "2021-01-01T11:00:00Z"});
        assert_eq!(self.asks("POST", &format!("{one}backfill/"), &range).0, 200);
        one
    }

    fn run(&self, one: &str) -> Value {
        self.asks("GET", one, &json!({})).1["latest_runs"][0].clone()
    }

    /// What the log says of a run, oldest first.
    fn story(&self, one: &str, run: &Value) -> Vec<String> {
        let id = run["id"].as_str().expect("an id");
        let (_, page) = self.asks("GET", &format!("{one}logs/?limit=500&instance_id={id}"), &json!({}));
        let entries = page["results"].as_array().expect("entries");
        entries.iter().rev().filter_map(|entry| Some(entry["message"].as_str()?.to_owned())).collect()
    }
}

/// Where an export delivers to, through a proxy that closes when it is in the middle.
struct Elsewhere {
    name: &'static str,
    proxy: ChaosProxy,
    destination: Value,
    /// The uuids of all records that arrived.
    arrived: Box<dyn Fn() -> Vec<String>>,
    /// Records that may have arrived twice: those of a request whose answer was lost.
    twice: usize,
    secret: &'static str,
}

fn uuids(records: impl IntoIterator<Item = Value>) -> Vec<String> {
    records.into_iter().filter_map(|record| Some(record["uuid"].as_str()?.to_owned())).collect()
}

/// The third request has arrived, but not its answer.
fn over_http() -> Elsewhere {
    let receiver = Receiver::answering(&[]);
    let proxy = ChaosProxy::to(&receiver.url(""), Passes::Answers(150));
    let config = json!({"url": proxy.url(), "token": "phc_receiver"});
    let arrived = move || {
        for request in receiver.received() {
            assert!(request.line == "POST /" && request.head.contains("orgd/"), "{}", request.head);
        }
        uuids(receiver.events())
    };
    Elsewhere {
        name: "HTTP",
        proxy,
        destination: json!({"type": "HTTP", "config": config}),
        arrived: Box::new(arrived),
        twice: REQUEST_EVENTS,
        secret: "phc_receiver",
    }
}

/// The first part of a file has arrived, and a piece of the second. What is read at the end is the one
/// object of a bucket that has no other.
fn into_a_bucket(
    name: &'static str,
    more: &Value,
    ending: &'static str,
    read: fn(Vec<u8>) -> Vec<String>,
) -> Elsewhere {
    let bucket = S3::with_bucket("events");
    let proxy = ChaosProxy::to(&bucket.url(), Passes::Requests(20 * 1024 * 1024));
    let mut config = json!({
        "bucket_name": "events", "region": "us-east-1", "prefix": "p", "endpoint_url": proxy.url(),
        "aws_access_key_id": s3::KEY, "aws_secret_access_key": s3::SECRET,
    });
    config.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let arrived = move || {
        let key = format!("p/{RANGE}.{ending}");
        assert_eq!(bucket.keys("events"), std::slice::from_ref(&key));
        read(bucket.object("events", &key))
    };
    Elsewhere {
        name,
        proxy,
        destination: json!({"type": "S3", "config": config}),
        arrived: Box::new(arrived),
        twice: 0,
        secret: s3::SECRET,
    }
}

/// A part of a transaction has arrived. `None`, with a line on stderr, where this machine has no PostgreSQL.
fn into_a_table() -> Option<Elsewhere> {
    if let Some(reason) = postgres::missing() {
        // Not by a macro, whose output is hidden where a test passes.
        drop(writeln!(std::io::stderr(), "SKIPPED: killed exports to PostgreSQL: {reason}"));
        return None;
    }
    let database = Postgres::start();
    let proxy = ChaosProxy::to(&format!("127.0.0.1:{}", database.port), Passes::Requests(10 * 1024 * 1024));
    let mut config = database.config();
    config["port"] = proxy.address.port().into();
    Some(Elsewhere {
        name: "PostgreSQL",
        proxy,
        destination: json!({"type": "Postgres", "config": config}),
        arrived: Box::new(move || uuids(database.rows("SELECT uuid FROM events"))),
        twice: 0,
        secret: PASSWORD,
    })
}

fn of_lines(bytes: Vec<u8>) -> Vec<String> {
    let text = String::from_utf8(bytes).expect("UTF-8");
    uuids(text.lines().map(|line| serde_json::from_str(line).expect("JSON")))
}

#[cfg(feature = "parquet")]
fn of_parquet(bytes: Vec<u8>) -> Vec<String> {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;
    let file = SerializedFileReader::new(bytes::Bytes::from(bytes)).expect("a Parquet file");
    let rows = file.get_row_iter(None).expect("rows");
    rows.map(|row| row.expect("a row").get_string(0).expect("a uuid").clone()).collect()
}

/// A data file with so many events of one hour.
fn captured(file: &Path, total: usize) -> Owner {
    let data = file.to_str().expect("a path of text");
    let made = bootstrap(data);
    let key = key_of(&made).to_owned();
    let server = Serving::start(file, ALLOWED);
    let owner = Owner { server: server.base.clone(), key };
    for first in (0..total).step_by(BATCH_EVENTS) {
        let events: Vec<Value> = (first..total.min(first + BATCH_EVENTS)).map(event).collect();
        let (status, answer) =
            owner.asks("POST", "/batch/", &json!({"api_key": made["project_api_token"], "batch": events}));
        assert_eq!(status, 200, "{answer}");
    }
    // What was acknowledged is there, however the process ends.
    server.signal("KILL");
    server.wait();
    owner
}

#[test]
fn exports_that_were_killed_go_on_and_each_event_arrives_once() {
    let total = std::env::var("ORGD_EXPORT_EVENTS").ok().and_then(|text| text.parse().ok()).unwrap_or(EVENTS);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("orgd.redb");
    let mut owner = captured(&file, total);
    let all: Vec<Elsewhere> = [
        Some(over_http()),
        Some(into_a_bucket("S3 as JSON lines", &json!({}), "jsonl", of_lines)),
        #[cfg(feature = "parquet")]
        Some(into_a_bucket("S3 as Parquet", &json!({"file_format": "Parquet"}), "parquet", of_parquet)),
        into_a_table(),
    ]
    .into_iter()
    .flatten()
    .collect();

    let server = Serving::start(&file, ALLOWED);
    owner.server.clone_from(&server.base);
    let paths: Vec<String> = all.iter().map(|elsewhere| owner.backfills(&elsewhere.destination)).collect();
    until("every export is stuck in the middle", || all.iter().all(|elsewhere| elsewhere.proxy.is_stuck()));
    server.signal("KILL");
    server.wait();
    for elsewhere in &all {
        elsewhere.proxy.open();
    }

    let server = Serving::start(&file, ALLOWED);
    owner.server.clone_from(&server.base);
    let wanted: BTreeSet<String> = (0..total).map(uuid).collect();
    for (elsewhere, one) in all.iter().zip(&paths) {
        let name = elsewhere.name;
        until("the run is over", || owner.run(one)["finished_at"].is_string());
        let run = owner.run(one);
        let shown = (&run["status"], &run["records_completed"], &run["latest_error"]);
        assert_eq!(shown, (&json!("Completed"), &json!(total), &Value::Null), "{name}");
        let arrived = (elsewhere.arrived)();
        assert_eq!(arrived.len(), total + elsewhere.twice, "{name}");
        assert!(arrived.into_iter().collect::<BTreeSet<_>>() == wanted, "{name}");
        let story = owner.story(one, &run);
        let steps: Vec<&str> = story.iter().filter_map(|line| line.split(" 2021-").next()).collect();
        let wanted = [
            "Starting batch export for range",
            "Batch exporting range",
            "Batch exporting range",
            "Successfully finished exporting batch",
        ];
        assert_eq!(steps, wanted, "{name}: {story:#?}");
    }
    assert_eq!(server.stop(), Some(0));
    let check = run(&["check", "--data", file.to_str().expect("a path of text")]);
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
    // The secrets lie neither in the data file nor, in plain, beside it.
    let bytes = std::fs::read(&file).expect("the data file");
    for secret in all.iter().map(|elsewhere| elsewhere.secret.as_bytes()) {
        assert!(!bytes.windows(secret.len()).any(|part| part == secret));
    }
}
