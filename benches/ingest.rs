//! Ingest and exports: events a second, what reads feel of it, and the memory that a large export takes.
//!
//! `cargo bench --bench ingest` prints ratios to durable writes of the same disk in the same run, and
//! figures. `ORGD_BENCH_EVENTS` sets how many events are exported, a million where it is unset; the other
//! parts become smaller with it.

#![expect(clippy::print_stdout, reason = "the figures are the product")]
#![expect(unreachable_pub, reason = "everything here is of one crate")]

#[path = "harness/exported.rs"]
mod exported;
#[expect(dead_code, unused_imports, reason = "the other bench compares with bare servers in more ways")]
mod harness;
#[path = "../tests/api/support/s3.rs"]
#[expect(dead_code, reason = "only tests look into the bucket")]
mod s3;

use std::time::Instant;

use exported::exported_to;
use harness::{Process, Run, Seeded, load, post, print_ratio, request, serve_baseline, syncs_per_second};
use s3::S3;
use serde_json::{Value, json};

const BATCH: u64 = 100;
const LARGE_BATCH: u64 = 5_000;
const CLIENTS: usize = 64;

/// How many events are exported.
fn events() -> u64 {
    std::env::var("ORGD_BENCH_EVENTS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000)
}

/// An event of the hour that is exported, of a usual size.
fn event(number: u64) -> Value {
    let second = number % 3600;
    json!({
        "event": "$pageview", "distinct_id": format!("visitor-{}", number % 1000),
        "timestamp": format!("2021-01-01T10:{:02}:{:02}Z", second / 60, second % 60),
        "properties": {
            "$browser": "Firefox", "$current_url": format!("https://shop.example/products/{number}"),
            "$screen_width": 1920, "price": 19.99, "number": number,
        },
    })
}

/// Batch `number` of `size` events.
fn batch(token: &str, number: u64, size: u64) -> Vec<u8> {
    let events: Vec<Value> = (number * size..(number + 1) * size).map(event).collect();
    request("POST", "/batch/", "", &json!({"api_key": token, "batch": events}).to_string())
}

/// Batches that were made before, one after the other and over again: what the senders cost is not what is measured.
fn made_before(token: &str) -> impl Fn(u64) -> Vec<u8> + Send + Sync + 'static {
    const BATCHES: u64 = 64;
    let batches: Vec<Vec<u8>> = (0..BATCHES).map(|number| batch(token, number, BATCH)).collect();
    move |number| batches[(number % BATCHES) as usize].clone()
}

fn single(token: &str, number: u64) -> Vec<u8> {
    let mut event = event(number);
    event["api_key"] = token.into();
    request("POST", "/capture/", "", &event.to_string())
}

fn latencies(run: &Run) -> String {
    format!("p50 {} us, p99 {} us", run.percentile(50).as_micros(), run.percentile(99).as_micros())
}

/// Events a second against what else is durable: organizations made one by one, and plain syncs.
async fn rates() {
    let seeded = Seeded::with(1).await;
    let server = Process::orgd(&seeded.path());
    let total = (events() / 50).clamp(200, 20_000);
    let key = seeded.key.clone();
    let made = load(&server.address, CLIENTS, total, 201, move |number| post(&key, number)).await;
    let before = syncs_per_second(seeded.folder.path());
    let token = seeded.token.clone();
    let singles = load(&server.address, CLIENTS, total, 200, move |number| single(&token, number)).await;
    let syncs = before.midpoint(syncs_per_second(seeded.folder.path()));
    let more = format!("{:.0} events/s; {}", singles.per_second(), latencies(&singles));
    print_ratio(
        &format!("capture, {CLIENTS} connections, against durable POST"),
        singles.per_second() / made.per_second(),
        &more,
    );
    print_ratio("capture, in events, against fdatasync/s", singles.per_second() / syncs, "");
    for clients in [1, 8] {
        let batches = (events() / 10 / BATCH).max(20);
        let run = load(&server.address, clients, batches, 200, made_before(&seeded.token)).await;
        let per_second = run.per_second() * BATCH as f64;
        let what = format!("batches of {BATCH}, {clients} connections, in events, against durable POST");
        print_ratio(
            &what,
            per_second / made.per_second(),
            &format!("{per_second:.0} events/s; {}", latencies(&run)),
        );
    }
}

/// What somebody who reads feels of senders, who send as fast as they are answered.
async fn reads_meanwhile() {
    let seeded = Seeded::with(1_000).await;
    let server = Process::orgd(&seeded.path());
    let total = (events() / 50).clamp(500, 20_000);
    // On a thread of its own: the reader waits for the server, not for the senders that this process has as well.
    let reads = || {
        let (one, address) = (seeded.one(), server.address.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(load(&address, 1, total, 200, move |_| one.clone()))
        });
        async { reading.await.expect("a reader") }
    };
    reads().await;
    let quiet = reads().await;
    for senders in [1, 8] {
        let (batches, address) = (made_before(&seeded.token), server.address.clone());
        let sending = tokio::spawn(async move { load(&address, senders, u64::MAX, 200, batches).await });
        let busy = reads().await;
        sending.abort();
        // Aborted clients hang up; what they had sent is worked off before the next figure.
        drop(sending.await);
        let ratio = busy.percentile(99).as_secs_f64() / quiet.percentile(99).as_secs_f64();
        let what = format!("p99 of GET organization while {senders} send batches, against without");
        print_ratio(&what, ratio, &format!("{} against {}", latencies(&busy), latencies(&quiet)));
    }
}

/// The resident memory of a server that exports everything in one run.
async fn memory() {
    let seeded = Seeded::with(1).await;
    let total = events();
    let batch_size = LARGE_BATCH.min(total);
    let server = Process::orgd(&seeded.path());
    let token = seeded.token.clone();
    let make = move |number| batch(&token, number, batch_size);
    let run = load(&server.address, 2, total / batch_size, 200, make).await;
    let exported = total / batch_size * batch_size;
    println!(
        "ingested {exported} events in batches of {batch_size}: {:.0} events/s, peak {:.1} MiB resident",
        run.per_second() * batch_size as f64,
        server.peak_mib(),
    );
    server.kill();
    let answer = seeded.folder.path().join("answer");
    std::fs::write(&answer, "{}").expect("a file");
    let receiver = Process::baseline(&answer);
    let bucket = S3::with_bucket("events");
    let to_bucket = |more: Value| {
        let mut config = json!({
            "bucket_name": "events", "region": "us-east-1", "prefix": "p", "endpoint_url": bucket.url(),
            "aws_access_key_id": s3::KEY, "aws_secret_access_key": s3::SECRET,
        });
        config.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        json!({"type": "S3", "config": config})
    };
    let to_receiver = json!({
        "type": "HTTP", "config": {"url": format!("http://{}/", receiver.address), "token": "phc_receiver"},
    });
    for (what, destination) in [
        ("HTTP", to_receiver),
        ("S3, JSON lines", to_bucket(json!({}))),
        ("S3, JSON lines, gzip", to_bucket(json!({"compression": "gzip"}))),
        ("S3, Parquet, zstd", to_bucket(json!({"file_format": "Parquet", "compression": "zstd"}))),
    ] {
        let server = Process::orgd(&seeded.path());
        let before = server.resident_mib();
        let started = Instant::now();
        let run = exported_to(&server, &seeded, &destination, None).await;
        println!(
            "exported {} of {exported} events to {what} in {:.1} s: {}; resident {before:.1} MiB before, {:.1} MiB at the most",
            run["records_completed"],
            started.elapsed().as_secs_f64(),
            run["status"],
            server.peak_mib(),
        );
    }
}

fn main() {
    serve_baseline();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("orgd {}, {cores} cores", env!("CARGO_PKG_VERSION"));
    runtime.block_on(async {
        rates().await;
        reads_meanwhile().await;
        memory().await;
    });
}
