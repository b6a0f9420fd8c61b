//! Requests over a socket, against a bare hyper server that answers the same bytes, and writes against a plain server over
//! redb, in the same run.
//!
//! `cargo bench --bench api` prints ratios; those of processor time per request are the steadiest. All but requests/s are
//! the better the smaller they are. `-- reads`, `writes`, `growth` or `log-ins` measures that part alone.

#![expect(clippy::print_stdout, reason = "the figures are the product")]
#![expect(unreachable_pub, reason = "everything here is of one crate")]

#[expect(dead_code, reason = "the bench of ingest uses the rest")]
mod harness;

use std::path::Path;
use std::time::Instant;

use harness::{
    Process, Run, Seeded, join, load, make_roles, post, print_ratio, request, serve_baseline, serve_plain,
    syncs_per_second,
};

const CLIENTS: usize = 64;
const READS: u64 = 60_000;
const LISTS: u64 = 6_000;
/// In the organization that is read, its owner included.
const MEMBERS: usize = 31;
const ROLES: usize = 30;

/// What a load cost the server.
struct Cost {
    run: Run,
    cpu_micros: f64,
}

async fn cost(server: &Process, clients: usize, total: u64, bytes: Vec<u8>) -> Cost {
    cost_of(server, clients, total, move |_| bytes.clone()).await
}

/// The same for requests that differ.
async fn cost_of(
    server: &Process,
    clients: usize,
    total: u64,
    make: impl Fn(u64) -> Vec<u8> + Clone + Send + Sync + 'static,
) -> Cost {
    load(&server.address, clients, total / 10, 200, make.clone()).await;
    measured(server, clients, total, 200, make).await
}

/// What a load costs whose answers have this status.
async fn measured(
    server: &Process,
    clients: usize,
    total: u64,
    wanted: u16,
    make: impl Fn(u64) -> Vec<u8> + Clone + Send + Sync + 'static,
) -> Cost {
    let before = server.cpu_seconds();
    let run = load(&server.address, clients, total, wanted, make).await;
    let cpu_micros = (server.cpu_seconds() - before) * 1e6 / total as f64;
    Cost { run, cpu_micros }
}

/// Prints the middle one of what the same load has cost here and elsewhere.
fn print_middle(what: &str, mut pairs: Vec<(Cost, Cost)>) {
    let ratio = |(mine, theirs): &(Cost, Cost)| mine.cpu_micros / theirs.cpu_micros;
    pairs.sort_by(|a, b| ratio(a).total_cmp(&ratio(b)));
    let pair = &pairs[pairs.len() / 2];
    let (mine, theirs) = pair;
    let more = format!(
        "{:.1} us against {:.1} us; {:.2}x its requests/s; {:.0}/s, p50 {} us, p99 {} us",
        mine.cpu_micros,
        theirs.cpu_micros,
        mine.run.per_second() / theirs.run.per_second(),
        mine.run.per_second(),
        mine.run.percentile(50).as_micros(),
        mine.run.percentile(99).as_micros(),
    );
    print_ratio(what, ratio(pair), &more);
}

/// The body that the server answers with, in a file for the bare server.
fn body_of(server: &Process, path: &str, key: &str, into: &Path) {
    let agent = ureq::Agent::new_with_defaults();
    let url = format!("http://{}{path}", server.address);
    let mut answer =
        agent.get(url).header("authorization", format!("Bearer {key}")).call().expect("an answer");
    let body = answer.body_mut().with_config().limit(u64::MAX).read_to_vec().expect("a body");
    std::fs::write(into, body).expect("a file");
}

/// The same request to both servers, turn about, so that noise hits both.
async fn compare(what: &str, ours: &Process, key: &str, path: &str, total: u64, folder: &Path) {
    let answer = folder.join("answer");
    body_of(ours, path, key, &answer);
    let baseline = Process::baseline(&answer);
    let bytes = request("GET", path, key, "");
    let mut pairs = Vec::new();
    for _ in 0..3 {
        let mine = cost(ours, CLIENTS, total, bytes.clone()).await;
        pairs.push((mine, cost(&baseline, CLIENTS, total, bytes.clone()).await));
    }
    print_middle(&format!("{what}: CPU against bare hyper"), pairs);
}

async fn reads() {
    let seeded = Seeded::with(10_000).await;
    let ours = Process::orgd(&seeded.path());
    let member = join(&ours, &seeded, MEMBERS - 1).key;
    make_roles(&ours, &seeded, ROLES);

    let one = format!("/api/organizations/{}/", seeded.organization);
    let list = "/api/organizations/?limit=100";
    let (members, roles) = (format!("{one}members/"), format!("{one}roles/"));
    let folder = seeded.folder.path();
    let all = [
        ("organization, owner's key", &seeded.key, one.as_str(), READS),
        ("organization, plain member's key", &member, &one, READS),
        ("list of 100 organizations", &seeded.key, list, LISTS),
        ("users/@me, one organization", &member, "/api/users/@me/", LISTS),
        ("31 members", &seeded.key, &members, LISTS),
        ("30 roles, a member in each", &seeded.key, &roles, LISTS),
        ("project, long form", &member, "/api/projects/@current/", LISTS),
    ];
    for (what, key, path, total) in all {
        compare(what, &ours, key, path, total, folder).await;
    }

    println!("resident after all that, {} sign-ups among it: {:.1} MiB", MEMBERS - 1, ours.resident_mib());
    drop(ours);
    minute(&seeded, all.map(|(_, key, path, _)| request("GET", path, key, "")).to_vec()).await;
}

/// A minute of these reads and of writes, on a server that has just been started.
async fn minute(seeded: &Seeded, reads: Vec<Vec<u8>>) {
    let ours = Process::orgd(&seeded.path());
    println!("resident when idle: {:.1} MiB", ours.resident_mib());
    let one = format!("/api/organizations/{}/", seeded.organization);
    let key = seeded.key.clone();
    let make = move |number: u64| {
        let rename = || request("PATCH", &one, &key, &format!("{{\"name\": \"Acme {number}\"}}"));
        reads.get(number as usize % (reads.len() + 1)).cloned().unwrap_or_else(rename)
    };
    let started = Instant::now();
    while started.elapsed().as_secs() < 60 {
        load(&ours.address, CLIENTS, 20_000, 200, make.clone()).await;
    }
    println!("resident after a minute of load on 10,000 organizations: {:.1} MiB", ours.resident_mib());
}

/// A durable POST here, and on a plain server over redb.
async fn posts(seeded: &Seeded, ours: &Process) {
    let plain = Process::plain(&seeded.folder.path().join("plain.redb"));
    for (clients, total) in [(1, 1_500), (8, 8_000), (64, 30_000)] {
        let mut pairs = Vec::new();
        for _ in 0..3 {
            let mine = post_cost(ours, &seeded.key, clients, total).await;
            pairs.push((mine, post_cost(&plain, &seeded.key, clients, total).await));
        }
        print_middle(&format!("POST organization, {clients} connections: CPU against plain redb"), pairs);
    }
}

async fn post_cost(server: &Process, key: &str, clients: usize, total: u64) -> Cost {
    let key = key.to_owned();
    measured(server, clients, total, 201, move |number| post(&key, number)).await
}

async fn writes() {
    let seeded = Seeded::with(1).await;
    let ours = Process::orgd(&seeded.path());
    posts(&seeded, &ours).await;
    let (key, path) = (seeded.key.clone(), format!("/api/organizations/{}/", seeded.organization));
    let before = syncs_per_second(seeded.folder.path());
    let rename = move |number| request("PATCH", &path, &key, &format!("{{\"name\": \"Acme {number}\"}}"));
    let run = load(&ours.address, CLIENTS, 30_000, 200, rename).await;
    let syncs = before.midpoint(syncs_per_second(seeded.folder.path()));
    let more =
        format!("{:.0}/s; p99 {} us; the more the better", run.per_second(), run.percentile(99).as_micros());
    print_ratio("PATCH organization, 64 connections, against fdatasync/s", run.per_second() / syncs, &more);
}

async fn growth() {
    let small = Seeded::with(1_000).await;
    let large = Seeded::with(100_000).await;
    let first_answer = |seeded: &Seeded| {
        let started = Instant::now();
        let server = Process::orgd(&seeded.path());
        let url = format!("http://{}/_readyz", server.address);
        ureq::get(&url).call().expect("an answer");
        (server, started.elapsed().as_secs_f64() * 1e3)
    };
    let (few, _) = first_answer(&small);
    // The file was left by a kill.
    let (many, millis) = first_answer(&large);
    println!("first 200 after kill -9 with 100,000 organizations: {millis:.0} ms");
    let (a, b) =
        (cost(&few, CLIENTS, READS, small.one()).await, cost(&many, CLIENTS, READS, large.one()).await);
    print_ratio("GET organization of 100,000 against 1,000: CPU", b.cpu_micros / a.cpu_micros, "");
    // Another page each time, so that none was kept.
    let key = large.key.clone();
    let page = |offset: u64| {
        let key = key.clone();
        move |number| {
            request("GET", &format!("/api/organizations/?limit=100&offset={}", offset + number), &key, "")
        }
    };
    let first = cost_of(&many, 1, 400, page(0)).await;
    for (what, offset) in [("last page", 99_400), ("middle page", 49_000)] {
        let there = cost_of(&many, 1, 400, page(offset)).await;
        let more = format!("{:.0} us against {:.0} us", there.cpu_micros, first.cpu_micros);
        print_ratio(
            &format!("{what} of a list of 100,000 against the first: CPU"),
            there.cpu_micros / first.cpu_micros,
            &more,
        );
    }
}

async fn log_ins() {
    let seeded = Seeded::with(100).await;
    let ours = Process::orgd(&seeded.path());
    let quiet = cost(&ours, 1, 3_000, seeded.one()).await.run.percentile(50);
    let address = ours.address.clone();
    let hashing = tokio::spawn(async move {
        let body = r#"{"email": "ada@example.com", "password": "not-the-password"}"#;
        let bytes = request("POST", "/api/login/", "", body).to_vec();
        let bytes =
            String::from_utf8(bytes).expect("text").replace("Authorization: Bearer \r\n", "").into_bytes();
        load(&address, 8, 400, 400, move |_| bytes.clone()).await;
    });
    let busy = cost(&ours, 1, 3_000, seeded.one()).await.run.percentile(50);
    assert!(!hashing.is_finished(), "the log-ins ended before the measurement");
    let _ = hashing.await;
    let more = format!("{} us against {} us", busy.as_micros(), quiet.as_micros());
    print_ratio(
        "p50 of GET while 8 log-ins hash passwords, against without",
        busy.as_secs_f64() / quiet.as_secs_f64(),
        &more,
    );
    println!("resident after them: {:.1} MiB", ours.resident_mib());
}

fn main() {
    serve_baseline();
    serve_plain();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let size = std::fs::metadata(env!("CARGO_BIN_EXE_orgd")).map_or(0, |about| about.len());
    println!("orgd {}, {cores} cores, binary {:.1} MB", env!("CARGO_PKG_VERSION"), size as f64 / 1e6);
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wants = |part: &str| wanted.is_empty() || wanted.iter().any(|word| word == part);
    runtime.block_on(async {
        if wants("reads") {
            reads().await;
        }
        if wants("writes") {
            writes().await;
        }
        if wants("growth") {
            growth().await;
        }
        if wants("log-ins") {
            log_ins().await;
        }
    });
}
