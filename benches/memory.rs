//! Memory: the resident size of a server under loads that want more than it may take, at its peak and some
//! time later, against ceilings. Ends with an error where one is broken.
//!
//! `cargo bench --bench memory`; with `ORGD_BENCH_MEMORY=short` fewer rounds and a shorter wait. `-- cgroup`
//! runs one of the loads: `log-ins`, `hostile`, `batches`, `cgroup`, `queries`.

#![expect(clippy::print_stdout, reason = "the figures are the product")]
#![expect(unreachable_pub, reason = "everything here is of one crate")]

#[path = "harness/exported.rs"]
mod exported;
#[expect(dead_code, unused_imports, reason = "other benches compare with bare servers")]
mod harness;
#[path = "../tests/api/support/s3.rs"]
#[expect(dead_code, reason = "only tests look into the bucket")]
mod s3;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use exported::exported_to;
use harness::{Cgroup, Process, Seeded, request, serve_baseline};
use orgd::auth::password;
use s3::S3;
use serde_json::{Value, json};

const MIB: usize = 1024 * 1024;
/// Answers of a server that has the memory, or has not.
const IN_ORDER: &[u16] = &[200, 429, 503];
const REFUSED: &[u16] = &[400, 401, 403, 408, 413, 429, 503];

fn is_short() -> bool {
    std::env::var("ORGD_BENCH_MEMORY").is_ok_and(|text| text == "short")
}

/// How often each status was answered; 0 is a connection that broke before an answer.
type Statuses = BTreeMap<u16, u64>;

/// What a load is judged by.
struct Ceilings {
    peak_mib: f64,
    later_mib: Option<f64>,
    statuses: &'static [u16],
}

/// Sends the bytes, whatever becomes of them, and says the status of the answer.
fn status_of(address: &str, bytes: &[u8]) -> u16 {
    let Ok(mut stream) = TcpStream::connect(address) else { return 0 };
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer);
    text.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

/// So many clients at once send one request after the other.
fn rounds(address: &str, clients: usize, rounds: usize, make: impl Fn(usize) -> Vec<u8> + Sync) -> Statuses {
    let mut statuses = Statuses::new();
    let all: Vec<Vec<u16>> = std::thread::scope(|scope| {
        let make = &make;
        let client = |number: usize| {
            scope.spawn(move || {
                (0..rounds).map(|round| status_of(address, &make(number * rounds + round))).collect()
            })
        };
        let clients: Vec<_> = (0..clients).map(client).collect();
        clients.into_iter().map(|client| client.join().expect("no panic")).collect()
    });
    for status in all.into_iter().flatten() {
        *statuses.entry(status).or_default() += 1;
    }
    statuses
}

fn closing(request: Vec<u8>) -> Vec<u8> {
    let text = String::from_utf8(request).expect("text");
    text.replacen("Host: bench\r\n", "Host: bench\r\nConnection: close\r\n", 1).into_bytes()
}

/// A batch of 18,000 ordinary events, 7 MB.
fn batch(token: &str, number: usize) -> Vec<u8> {
    let event = |place: usize| {
        json!({
            "event": "$pageview", "distinct_id": format!("visitor-{}", place % 1000),
            "uuid": format!("00000000-0000-4000-8000-{:012}", number * 18_000 + place),
            "timestamp": format!("2021-01-01T10:{:02}:{:02}Z", place / 60 % 60, place % 60),
            "properties": {
                "$browser": "Firefox", "$os": "Linux", "$screen_width": 1920, "price": 19.99, "number": place,
                "$current_url": format!("https://shop.example/products/{place}?from=newsletter&utm=autumn"),
                "$referrer": "https://search.example/", "$lib": "web", "$lib_version": "1.200.1",
            },
        })
    };
    let events: Vec<Value> = (0..18_000).map(event).collect();
    closing(request("POST", "/batch/", "", &json!({"api_key": token, "batch": events}).to_string()))
}

/// Prints the figures of a load; whether all ceilings hold.
fn judge(what: &str, server: &mut Process, statuses: &Statuses, ceilings: &Ceilings) -> bool {
    let peak = server.peak_mib();
    let wait = Duration::from_secs(if is_short() { 15 } else { 30 });
    let later = ceilings.later_mib.map(|most| {
        std::thread::sleep(wait);
        (server.resident_mib(), most)
    });
    let lives = server.lives();
    let in_order = statuses.keys().all(|status| ceilings.statuses.contains(status));
    let holds = lives && in_order && peak <= ceilings.peak_mib && later.is_none_or(|(is, most)| is <= most);
    let verdict = if holds { "holds" } else { "BROKEN" };
    println!("{what:<56} peak {peak:>6.1} of {:>5.1} MiB  {verdict}", ceilings.peak_mib);
    if let Some((is, most)) = later {
        println!("{:<56} {} s later {is:.1} of {most:.1} MiB", "", wait.as_secs());
    }
    println!("{:<56} answers {statuses:?}{}", "", if lives { "" } else { ", and the process has ended" });
    holds
}

fn batches(seeded: &Seeded) -> bool {
    let mut server = Process::orgd(&seeded.path());
    let count = if is_short() { 1 } else { 3 };
    let statuses = rounds(&server.address, 16, count, |number| batch(&seeded.token, number));
    let ceilings = Ceilings { peak_mib: 256.0, later_mib: Some(64.0), statuses: IN_ORDER };
    judge("16 batches of 7 MB at once", &mut server, &statuses, &ceilings)
}

fn batches_in_64_mb(seeded: &Seeded) -> bool {
    let group = Cgroup::of_bytes(64 * 1000 * 1000);
    let what = match &group {
        Ok(_) => "the same with --memory-mib 48 in a cgroup of 64 MB",
        Err(cause) => {
            println!("NOT POSSIBLE HERE: a cgroup of 64 MB ({cause}). Without it:");
            "the same with --memory-mib 48"
        }
    };
    let group = group.ok();
    let mut server = Process::limited(&seeded.path(), &["--memory-mib", "48"], group.as_ref());
    let count = if is_short() { 1 } else { 3 };
    let statuses = rounds(&server.address, 16, count, |number| batch(&seeded.token, 1000 + number));
    let ceilings = Ceilings { peak_mib: 64e6 / MIB as f64, later_mib: Some(48.0), statuses: IN_ORDER };
    judge(what, &mut server, &statuses, &ceilings)
}

fn log_ins(seeded: &Seeded) -> bool {
    let mut server = Process::orgd(&seeded.path());
    let body = json!({"email": "nobody@example.com", "password": "correct horse battery"}).to_string();
    let one = closing(request("POST", "/api/login/", "", &body));
    let count = if is_short() { 3 } else { 10 };
    let started = Instant::now();
    let statuses = rounds(&server.address, 8, count, |_| one.clone());
    let per_second = (8 * count) as f64 / started.elapsed().as_secs_f64();
    let started = Instant::now();
    let hashes = 20;
    for _ in 0..hashes {
        password::verify("correct horse battery", None);
    }
    let alone = f64::from(hashes) / started.elapsed().as_secs_f64();
    println!("log-ins: {per_second:.1} a second, {:.2} of a thread that only hashes", per_second / alone);
    let ceilings = Ceilings { peak_mib: 256.0, later_mib: Some(32.0), statuses: REFUSED };
    judge("8 log-ins at once", &mut server, &statuses, &ceilings)
}

/// Queries that multiply a property of 900 KB, in three ways.
async fn queries() -> bool {
    let seeded = Seeded::with(1).await;
    let mut server = Process::orgd(&seeded.path());
    let event = |number: usize| {
        json!({
            "event": "large", "distinct_id": "d", "timestamp": format!("2021-01-01T10:00:{number:02}Z"),
            "properties": {"big": "x".repeat(900_000)},
        })
    };
    let events: Vec<Value> = (0..8).map(event).collect();
    let body = json!({"api_key": seeded.token, "batch": events}).to_string();
    let mut statuses = Statuses::new();
    *statuses
        .entry(status_of(&server.address, &closing(request("POST", "/batch/", "", &body))))
        .or_default() += 1;
    let bucket = S3::with_bucket("events");
    let destination = json!({"type": "S3", "config": {
        "bucket_name": "events", "region": "us-east-1", "prefix": "p", "endpoint_url": bucket.url(),
        "aws_access_key_id": s3::KEY, "aws_secret_access_key": s3::SECRET,
    }});
    let tree = (0..9).fold("properties.big".to_owned(), |leaf, _| format!("concat({leaf}, {leaf})"));
    let flat = format!("concat({})", vec!["properties.big"; 700].join(", "));
    let wide: Vec<String> = (0..700).map(|number| format!("properties.big AS c{number}")).collect();
    for query in [tree, flat, wide.join(", ")] {
        let query = if query.contains(" AS ") { query } else { format!("{query} AS x") };
        let query = format!("SELECT {query} FROM events");
        let run = exported_to(&server, &seeded, &destination, Some(&query)).await;
        println!(
            "a query of {} bytes: {} of {} records",
            query.len(),
            run["status"],
            run["records_completed"]
        );
    }
    let ceilings = Ceilings { peak_mib: 256.0, later_mib: None, statuses: IN_ORDER };
    judge("queries that multiply a property of 900 KB", &mut server, &statuses, &ceilings)
}

fn hostile(seeded: &Seeded) -> bool {
    let mut server = Process::orgd(&seeded.path());
    let size = 20 * MIB;
    let body = |number: usize| -> Vec<u8> {
        let unit: &[u8] = [&b"[],"[..], &b"{\"a\":1},"[..], &b"\"\\u0061\","[..], &b"1,"[..]][number % 4];
        let mut body = [b"[", unit.repeat(size / unit.len() - 2).as_slice()].concat();
        body.extend_from_slice(b"1]");
        body
    };
    let make = |number: usize| -> Vec<u8> {
        let path = ["/batch/", "/api/organizations/", "/api/login/"][number % 3];
        let body = body(number / 3);
        let length = if number.is_multiple_of(2) {
            format!("Content-Length: {}\r\n\r\n", body.len())
        } else {
            format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n", body.len())
        };
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n",
            seeded.key
        );
        let end: &[u8] = if number.is_multiple_of(2) { b"" } else { b"\r\n0\r\n\r\n" };
        [head.as_bytes(), length.as_bytes(), &body, end].concat()
    };
    let statuses = rounds(&server.address, 96, 1, make);
    let ceilings = Ceilings { peak_mib: 256.0, later_mib: Some(64.0), statuses: REFUSED };
    judge("96 hostile bodies of 20 MB", &mut server, &statuses, &ceilings)
}

fn main() -> ExitCode {
    serve_baseline();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let seeded = runtime.block_on(Seeded::with(1));
    let loads: [(&str, &dyn Fn() -> bool); 5] = [
        ("log-ins", &|| log_ins(&seeded)),
        ("hostile", &|| hostile(&seeded)),
        ("batches", &|| batches(&seeded)),
        ("cgroup", &|| batches_in_64_mb(&seeded)),
        ("queries", &|| runtime.block_on(queries())),
    ];
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|word| word == name);
    let held: Vec<bool> =
        loads.iter().filter(|(name, _)| is_wanted(name)).map(|(_, judged)| judged()).collect();
    if held.contains(&false) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
