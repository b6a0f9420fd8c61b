//! Parquet files in buckets, read back with a reader.

use bytes::Bytes;
use parquet::basic::Compression;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use parquet::schema::printer::print_schema;
use serde_json::{Map, Value, json};

use crate::exports_s3::{RANGE, capture_megabytes, config, lines, run_of, seen};
use crate::support::exports::{capture, completed};
use crate::support::{S3, Server, text};

pub fn reader(bucket: &S3, key: &str) -> SerializedFileReader<Bytes> {
    SerializedFileReader::new(bucket.object("events", key).into()).expect("a Parquet file")
}

/// The rows in the form that lines of JSON have.
fn rows(file: &SerializedFileReader<Bytes>) -> Vec<Value> {
    let rows = file.get_row_iter(None).expect("rows").map(|row| shown(&row.expect("a row")));
    rows.collect()
}

fn shown(row: &Row) -> Value {
    let field = |(name, field): (&String, &Field)| {
        let value = match field {
            Field::Null => Value::Null,
            Field::Str(text) if name.ends_with("properties") => serde_json::from_str(text).expect("JSON"),
            Field::Str(text) => json!(text),
            Field::Long(number) => json!(number),
            Field::TimestampMicros(micros) => json!(isoformat(*micros)),
            other => panic!("{name} is {other}"),
        };
        (name.clone(), value)
    };
    Value::Object(row.get_column_iter().map(field).collect::<Map<_, _>>())
}

fn isoformat(micros: i64) -> String {
    let time = orgd::clock::Time(micros).to_string();
    time.replace('Z', "+00:00")
}

/// The columns as the file declares them.
pub fn schema(file: &SerializedFileReader<Bytes>) -> String {
    let mut text = Vec::new();
    print_schema(&mut text, file.metadata().file_metadata().schema());
    String::from_utf8(text).expect("UTF-8")
}

fn parquet(bucket: &S3, mut more: Value) -> Value {
    more["file_format"] = json!("Parquet");
    config(bucket, more)
}

fn numbers(rows: &[Value]) -> Vec<usize> {
    let number = |row: &Value| row["properties"]["number"].as_u64().expect("a number");
    rows.iter().map(|row| usize::try_from(number(row)).expect("a small one")).collect()
}

#[test]
fn the_columns_of_events_have_types_and_may_be_null() {
    let server = Server::start();
    let org = server.org();
    let bucket = S3::with_bucket("events");
    capture(&server, &org, &[seen(1)]);
    completed(&run_of(&server, &org, "events", parquet(&bucket, json!({}))), 1);
    assert_eq!(bucket.keys("events"), [format!("p/{RANGE}.parquet")]);
    let file = reader(&bucket, &format!("p/{RANGE}.parquet"));
    assert_eq!(
        schema(&file),
        "message schema {
  OPTIONAL BYTE_ARRAY uuid (STRING);
  OPTIONAL INT64 timestamp (TIMESTAMP(MICROS,true));
  OPTIONAL INT64 _inserted_at (TIMESTAMP(MICROS,true));
  OPTIONAL INT64 created_at (TIMESTAMP(MICROS,true));
  OPTIONAL BYTE_ARRAY event (STRING);
  OPTIONAL BYTE_ARRAY properties (STRING);
  OPTIONAL BYTE_ARRAY distinct_id (STRING);
  OPTIONAL BYTE_ARRAY elements_chain (STRING);
  OPTIONAL BYTE_ARRAY person_properties (STRING);
  OPTIONAL BYTE_ARRAY person_id (STRING);
}
"
    );
    let written_by = file.metadata().file_metadata().created_by();
    assert_eq!(written_by, Some(concat!("orgd version ", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn a_row_holds_what_the_line_of_the_same_event_holds() {
    let server = Server::start();
    let org = server.org();
    let bucket = S3::with_bucket("events");
    let events = [
        json!({
            "event": "seen", "distinct_id": "d", "uuid": "018c0d7e-1111-7000-8000-000000000001",
            "timestamp": "2021-01-01T10:00:00.25Z", "properties": {"$set": {"name": "Zoë"}, "n": 1.5, "none": null},
        }),
        json!({
            "event": "$autocapture", "distinct_id": "d", "timestamp": "2021-01-01T10:59:59.999999Z",
            "properties": {"$elements_chain": "a:b=\"c\""},
        }),
        json!({"event": "plain", "distinct_id": "d2", "timestamp": "2021-01-01T10:10:00Z", "properties": {}}),
    ];
    let many: Vec<Value> = events.into_iter().chain((0..2000).map(seen)).collect();
    capture(&server, &org, &many);
    let plain = run_of(&server, &org, "events", config(&bucket, json!({"prefix": "l"})));
    let typed = run_of(&server, &org, "events", parquet(&bucket, json!({"prefix": "p"})));
    let wanted = lines(&bucket.object("events", &format!("l/{RANGE}.jsonl")));
    completed(&plain, 2003);
    completed(&typed, 2003);
    assert_eq!(rows(&reader(&bucket, &format!("p/{RANGE}.parquet"))), wanted);
}

#[test]
fn every_compression_reads_back_and_shows_in_the_name() {
    let server = Server::start();
    let org = server.org();
    capture(&server, &org, &(0..3000).map(seen).collect::<Vec<_>>());
    let bucket = S3::with_bucket("events");
    for (compression, ending, codec) in [
        (json!(null), "", Compression::UNCOMPRESSED),
        (json!("zstd"), ".zst", Compression::ZSTD(Default::default())),
        (json!("lz4"), ".lz4", Compression::LZ4_RAW),
        (json!("snappy"), ".sz", Compression::SNAPPY),
        (json!("gzip"), ".gz", Compression::GZIP(Default::default())),
        #[cfg(feature = "brotli")]
        (json!("brotli"), ".br", Compression::BROTLI(Default::default())),
    ] {
        let config = parquet(&bucket, json!({"compression": compression, "prefix": "/a/{year}/{table}/"}));
        completed(&run_of(&server, &org, "events", config), 3000);
        let key = format!("a/2021/events/{RANGE}.parquet{ending}");
        assert!(bucket.keys("events").contains(&key), "{key}");
        let file = reader(&bucket, &key);
        let group = file.metadata().row_group(0);
        assert!(group.columns().iter().all(|column| column.compression() == codec), "{compression}");
        let mut numbers = numbers(&rows(&file));
        numbers.sort_unstable();
        assert_eq!(numbers, (0..3000).collect::<Vec<_>>(), "{compression}");
    }
    assert_eq!(bucket.keys("events").len(), 5 + usize::from(cfg!(feature = "brotli")));
}

#[test]
fn large_files_go_in_parts_and_groups_and_appear_whole() {
    // As much memory as makes groups as large as they become.
    let server = Server::with(|config| config.memory_mib = 1024);
    let org = server.org();
    let bucket = S3::with_bucket("events");
    capture_megabytes(&server, &org, 40);
    completed(&run_of(&server, &org, "events", parquet(&bucket, json!({}))), 40);
    let file = reader(&bucket, &format!("p/{RANGE}.parquet"));
    let groups: Vec<i64> = file.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
    assert!(groups.len() == 3 && groups[0] == groups[1], "{groups:?}");
    assert_eq!(numbers(&rows(&file)), (0..40).collect::<Vec<_>>());
}

#[test]
fn files_are_split_and_listed_where_a_size_is_set() {
    let server = Server::start();
    let org = server.org();
    let bucket = S3::with_bucket("events");
    capture_megabytes(&server, &org, 4);
    // What counts is written bytes, and these events pack well.
    let config = parquet(&bucket, json!({"max_file_size_mb": 2, "compression": "lz4"}));
    completed(&run_of(&server, &org, "events", config), 4);
    let one = format!("p/{RANGE}-0.parquet.lz4");
    let manifest = format!("p/{RANGE}_manifest.json");
    assert_eq!(bucket.keys("events"), [one.clone(), manifest.clone()]);

    let plain = parquet(&bucket, json!({"max_file_size_mb": 1, "prefix": "q"}));
    completed(&run_of(&server, &org, "events", plain), 4);
    let listed: Value =
        serde_json::from_slice(&bucket.object("events", &format!("q/{RANGE}_manifest.json"))).expect("JSON");
    let keys: Vec<String> = listed["files"].as_array().expect("a list").iter().map(text).collect();
    assert!(keys.len() > 1, "{keys:?}");
    let found: Vec<String> =
        bucket.keys("events").into_iter().filter(|key| key.ends_with(".parquet")).collect();
    assert_eq!(keys, found);
    assert_eq!(keys[1], format!("q/{RANGE}-1.parquet"));
    let all: Vec<Value> = keys.iter().flat_map(|key| rows(&reader(&bucket, key))).collect();
    assert_eq!(numbers(&all), (0..4).collect::<Vec<_>>());
}

#[test]
fn an_empty_interval_leaves_no_object() {
    let server = Server::start();
    let org = server.org();
    let bucket = S3::with_bucket("events");
    for more in [json!({}), json!({"max_file_size_mb": 1, "compression": "zstd"})] {
        completed(&run_of(&server, &org, "events", parquet(&bucket, more)), 0);
    }
    assert!(bucket.keys("events").is_empty());
}

#[test]
fn persons_are_rows_as_well() {
    let server = Server::start();
    let org = server.org();
    let bucket = S3::with_bucket("events");
    capture(
        &server,
        &org,
        &[
            json!({"event": "$identify", "distinct_id": "ada", "properties": {"$anon_distinct_id": "a-1", "$set": {"name": "Ada"}}}),
            json!({"event": "seen", "distinct_id": "bob"}),
        ],
    );
    completed(&run_of(&server, &org, "persons", parquet(&bucket, json!({"compression": "snappy"}))), 3);
    let keys = bucket.keys("events");
    assert!(keys.len() == 1 && keys[0].ends_with(".parquet.sz"), "{keys:?}");
    let file = reader(&bucket, &keys[0]);
    assert_eq!(
        schema(&file),
        "message schema {
  OPTIONAL INT64 team_id;
  OPTIONAL BYTE_ARRAY distinct_id (STRING);
  OPTIONAL BYTE_ARRAY person_id (STRING);
  OPTIONAL BYTE_ARRAY properties (STRING);
  OPTIONAL INT64 person_distinct_id_version;
  OPTIONAL INT64 person_version;
  OPTIONAL INT64 _inserted_at (TIMESTAMP(MICROS,true));
  OPTIONAL INT64 created_at (TIMESTAMP(MICROS,true));
}
"
    );
    let rows = rows(&file);
    let of = |distinct_id: &str| rows.iter().find(|row| row["distinct_id"] == distinct_id).expect("a row");
    for distinct_id in ["ada", "a-1"] {
        assert_eq!(of(distinct_id)["properties"], json!({"name": "Ada"}), "{distinct_id}");
        assert_eq!(of(distinct_id)["person_id"], of("ada")["person_id"]);
        assert_eq!(of(distinct_id)["team_id"], org.project);
    }
    assert_ne!(of("bob")["person_id"], of("ada")["person_id"]);
}

#[test]
fn compressions_belong_to_their_formats() {
    let server = Server::start();
    let org = server.org();
    let bucket = S3::with_bucket("events");
    let refusal = |config: Value| {
        let destination = json!({"type": "S3", "config": config});
        let body = json!({"name": "n", "interval": "hour", "destination": destination});
        let refused = org.owner.post(&org.at("batch_exports/"), body).json(400);
        assert_eq!(refused["attr"], "destination");
        text(&refused["detail"])
    };
    assert_eq!(
        refusal(parquet(&bucket, json!({"compression": "deflate"}))),
        "Compression deflate is not supported for file format Parquet. Supported compressions are ['zstd', 'lz4', 'snappy', 'gzip', 'brotli']"
    );
    assert_eq!(
        refusal(config(&bucket, json!({"compression": "snappy"}))),
        "Compression snappy is not supported for file format JSONLines. Supported compressions are ['gzip', 'brotli']"
    );
}
