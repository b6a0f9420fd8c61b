//! Every number that docs/monitoring.md names is seen to change, each when its thing happens.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::acme::{self, Refusing};
use crate::full_disk;
use crate::metrics::{get, numbers};
use crate::receiver::{Receiver, SILENCE};
use crate::smtp::{Manner, Smtp};
use crate::support::{Serving, agent, ask, orgd, until, with_open_files};

const KEY: &str = "phx_for-the-test-of-metrics-only-0123456789";
const PASSWORD: &str = "change-this-Passphrase";
const OWN: &str = "/api/organizations/@current";

type Numbers = BTreeMap<String, f64>;

/// A server, and where its metrics are.
struct Watched {
    server: Serving,
    at: String,
}

impl Watched {
    fn of(command: &mut Command) -> Watched {
        let server = Serving::of(command);
        let line = server.said.iter().find_map(|line| line.split_once("metrics at "));
        let at = line.expect("it says where").1.trim().split('"').next().unwrap_or_default().to_owned();
        Watched { server, at }
    }

    fn start(data: &Path, flags: &[&str]) -> Watched {
        Watched::of(&mut serve(data, flags))
    }

    fn numbers(&self) -> Numbers {
        let (status, text) = get(&self.at, None);
        assert_eq!(status, 200, "{text}");
        numbers(&text)
    }

    fn one(&self, name: &str) -> f64 {
        self.numbers().get(name).copied().unwrap_or_default()
    }

    fn reaches(&self, name: &str, least: f64) {
        until(&format!("{name} reaches {least}"), || self.one(name) >= least);
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        ask(&agent(), method, &format!("{}{path}", self.server.base), Some(KEY), body).expect("an answer")
    }

    #[track_caller]
    fn done(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.send("POST", path, body);
        assert!((200..300).contains(&status), "{path}: {answer}");
        answer
    }

    /// Sends so many events with so many letters each.
    fn capture(&self, events: usize, letters: usize) {
        let (_, project) = self.send("GET", "/api/projects/1/", &Value::Null);
        let one = json!({"event": "e", "distinct_id": "d", "properties": {"fill": "x".repeat(letters)}});
        self.done("/batch/", &json!({"api_key": project["api_token"], "batch": vec![one; events]}));
    }
}

fn serve(data: &Path, flags: &[&str]) -> Command {
    let mut command = orgd(&["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "0", "--data"]);
    command.arg(data).args(flags);
    command
        .env("ORGD_BOOTSTRAP_EMAIL", "ada@example.com")
        .env("ORGD_BOOTSTRAP_PASSWORD", PASSWORD)
        .env("ORGD_BOOTSTRAP_API_KEY", KEY);
    command
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("orgd.redb");
    (folder, data)
}

/// The metric that a name with its labels belongs to.
fn family(name: &str) -> String {
    let name = name.split('{').next().unwrap_or_default();
    let part = ["_bucket", "_sum", "_count"].iter().find_map(|ending| name.strip_suffix(ending));
    part.unwrap_or(name).to_owned()
}

/// The metrics with a number that differs, or is there in one of both only.
fn changed(before: &Numbers, after: &Numbers) -> BTreeSet<String> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differ = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    differ.map(|name| family(name)).collect()
}

/// What callers do, and those who are turned away.
fn traffic() -> BTreeSet<String> {
    let (_folder, data) = folder();
    let watched = Watched::start(&data, &["--connections-per-address-max", "3", "--rate-limit", "on"]);
    let (before, mut seen) = (watched.numbers(), BTreeSet::new());
    let place = watched.server.base.trim_start_matches("http://").to_owned();
    let head = format!(
        "POST /api/organizations/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\n\
         Content-Length: 900000\r\n\r\n"
    );
    let held: Vec<TcpStream> = (0..3)
        .map(|_| {
            let mut stream = TcpStream::connect(&place).expect("the server listens");
            stream.write_all(head.as_bytes()).expect("the connection is open");
            stream.write_all(&vec![b' '; 300_000]).expect("the connection is open");
            stream
        })
        .collect();
    watched.reaches("orgd_http_requests_in_flight", 3.0);
    watched.reaches("orgd_http_connections_open", 3.0);
    watched.reaches("orgd_memory_work_used_bytes", 300_000.0);
    let mut fourth = TcpStream::connect(&place).expect("the server listens");
    let _ = fourth.read(&mut [0; 1]);
    watched.reaches("orgd_http_connections_refused_total{reason=\"share\"}", 1.0);
    seen.extend(changed(&before, &watched.numbers()));
    drop(held);
    until("they are gone", || watched.one("orgd_http_connections_open") == 0.0);
    for _ in 0..6 {
        watched.send("PATCH", "/api/users/@me/", &json!({"first_name": "Ada"}));
    }
    watched.reaches("orgd_http_requests_throttled_total", 1.0);
    let wrong = json!({"email": "ada@example.com", "password": "wrong"});
    watched.send("POST", "/api/login/", &wrong);
    watched.reaches("orgd_security_events_total{event=\"password_wrong\"}", 1.0);
    seen.extend(changed(&before, &watched.numbers()));
    seen
}

/// Much at once: what waits is seen while it does.
fn queues() -> BTreeSet<String> {
    let (_folder, data) = folder();
    let watched = Watched::start(&data, &["--rate-limit", "off"]);
    let (before, mut seen) = (watched.numbers(), BTreeSet::new());
    let right = json!({"email": "ada@example.com", "password": PASSWORD});
    let mut during = |name: &str, work: &(dyn Fn() + Sync)| {
        until(&format!("{name} is seen"), || {
            thread::scope(|scope| {
                let working: Vec<_> = (0..8).map(|_| scope.spawn(work)).collect();
                while working.iter().any(|one| !one.is_finished()) {
                    let now = watched.numbers();
                    if now[name] > 0.0 {
                        seen.extend(changed(&before, &now));
                    }
                }
            });
            seen.contains(name)
        });
    };
    during("orgd_password_hashes_waiting", &|| drop(watched.send("POST", "/api/login/", &right)));
    during("orgd_store_writes_waiting", &|| watched.capture(500, 100));
    until("all is written", || watched.one("orgd_store_writes_waiting") == 0.0);
    seen.extend(changed(&before, &watched.numbers()));
    seen
}

/// How many files and sockets a process may have open in [`sockets`].
const OPEN_FILES: usize = 48;

/// The system gives no more sockets.
fn sockets() -> BTreeSet<String> {
    let (_folder, data) = folder();
    let mut command = with_open_files(&serve(&data, &[]), &format!("-n {OPEN_FILES}"));
    let watched = Watched::of(&mut command);
    let before = watched.numbers();
    let place = watched.server.base.trim_start_matches("http://").to_owned();
    let open = format!("/proc/{}/fd", watched.server.child.id());
    // The system takes all of them at once, the server one after the other until it has no socket left. Its numbers can
    // only be read when some are given back, which may be before it asked for one more: then it is tried again.
    until("the system refused a socket", || {
        let held: Vec<_> = (0..2 * OPEN_FILES).map(|_| TcpStream::connect(&place)).collect();
        until("no socket is left", || fs::read_dir(&open).map_or(true, |open| open.count() >= OPEN_FILES));
        drop(held);
        watched.one("orgd_http_connections_refused_total{reason=\"system\"}") >= 1.0
    });
    changed(&before, &watched.numbers())
}

/// A disk that is full.
fn disk() -> Option<BTreeSet<String>> {
    let folder = tempfile::tempdir().expect("a folder");
    if !full_disk::can_mount(folder.path()) {
        return None;
    }
    let (server, inside) = full_disk::serve(folder.path());
    let line = server.said.iter().find_map(|line| line.split_once("metrics at "));
    let at = line.expect("it says where").1.trim().to_owned();
    let watched = Watched { server, at };
    let before = watched.numbers();
    assert_eq!(before["orgd_store_writable"], 1.0);
    full_disk::fill(&inside.join("filler"));
    let url = format!("{}/api/organizations/", watched.server.base);
    until("the disk is full", || {
        ask(&agent(), "POST", &url, Some(full_disk::KEY), &json!({"name": "n"})).expect("an answer");
        // What the file takes over from its log fails without a caller.
        let numbers = watched.numbers();
        numbers["orgd_store_writable"] == 0.0
            && numbers.get("orgd_store_writes_total{outcome=\"failed\"}").is_some_and(|failed| *failed >= 1.0)
    });
    watched.reaches("orgd_store_commits_failed_total", 1.0);
    Some(changed(&before, &watched.numbers()))
}

/// More events than are kept.
fn retention() -> BTreeSet<String> {
    let (_folder, data) = folder();
    let watched = Watched::start(&data, &[]);
    for _ in 0..4 {
        watched.capture(10, 100_000);
    }
    assert_eq!(watched.server.stop(), Some(0));
    let watched = Watched::start(&data, &["--events-mib-max", "2"]);
    watched.reaches("orgd_events_removed_total", 1.0);
    watched.reaches("orgd_events_kept", 1.0);
    let after = watched.numbers();
    assert!(after["orgd_events_kept_bytes"] <= 2.0 * 1024.0 * 1024.0, "{after:?}");
    let (_folder, other) = folder();
    changed(&Watched::start(&other, &[]).numbers(), &after)
}

/// Begins a run over an hour, and returns the path of its export.
fn begin(watched: &Watched, receiver: &Receiver) -> String {
    let config = json!({"url": receiver.url("/"), "token": "phc_receiver"});
    let export = json!({"name": "n", "interval": "hour", "paused": true, "destination": {"type": "HTTP", "config": config}});
    let export = watched.done(&format!("{OWN}/batch_exports/"), &export);
    let one = format!("{OWN}/batch_exports/{}/", export["id"].as_str().expect("an id"));
    let hour = json!({"start_at": "2021-01-01T10:00:00Z", "end_at": "2021-01-01T11:00:00Z"});
    watched.done(&format!("{one}backfill/"), &hour);
    one
}

/// Runs of exports that end in each way.
fn exports() -> BTreeSet<String> {
    let (_folder, data) = folder();
    let flags = ["--dev", "--outbound-allow", "127.0.0.0/8"];
    let watched = Watched::start(&data, &flags);
    let before = watched.numbers();
    let (_, project) = watched.send("GET", "/api/projects/1/", &Value::Null);
    let event = json!({"event": "e", "distinct_id": "d", "timestamp": "2021-01-01T10:30:00Z"});
    watched.done(
        "/batch/",
        &json!({"api_key": project["api_token"], "historical_migration": true, "batch": [event]}),
    );
    let total = |outcome: &str| format!("orgd_export_runs_total{{outcome=\"{outcome}\"}}");
    begin(&watched, &Receiver::answering(&[]));
    watched.reaches(&total("completed"), 1.0);
    begin(&watched, &Receiver::answering(&[(400, "no")]));
    watched.reaches(&total("failed"), 1.0);
    let silent = Receiver::answering(&[(SILENCE, "")]);
    let one = begin(&watched, &silent);
    watched.reaches("orgd_export_runs_open", 1.0);
    let mut seen = changed(&before, &watched.numbers());
    let (_, shown) = watched.send("GET", &one, &Value::Null);
    let run = shown["latest_runs"][0]["id"].as_str().expect("a run").to_owned();
    let of_project = one.replace(OWN, "/api/projects/1");
    watched.done(&format!("{of_project}runs/{run}/cancel/"), &json!({}));
    watched.reaches(&total("cancelled"), 1.0);
    // One that is never there is tried fifteen times, minutes apart.
    let gone = Receiver::absent(([127, 0, 0, 1], acme::free_port()).into());
    let one = begin(&watched, &gone);
    until("it is tried", || failures(&watched, &one) == 1);
    assert_eq!(watched.server.stop(), Some(0));
    for tries in 2..=15 {
        let clock = format!("+{tries}h");
        let later = Watched::start(&data, &[&flags[..], &["--clock", &clock]].concat());
        until("it is tried again", || failures(&later, &one) == tries);
        if tries == 15 {
            later.reaches(&total("given_up"), 1.0);
            seen.extend(changed(&before, &later.numbers()));
        }
        assert_eq!(later.server.stop(), Some(0));
    }
    seen
}

/// How often the run has failed, as its log says.
fn failures(watched: &Watched, one: &str) -> usize {
    let (_, page) = watched.send("GET", &format!("{one}logs/?limit=500"), &Value::Null);
    let entries = page["results"].as_array().expect("entries");
    let failed =
        |entry: &&Value| entry["message"].as_str().is_some_and(|text| text.contains("failed with error"));
    entries.iter().filter(failed).count()
}

/// Mails that are sent, put off, and refused.
fn mails() -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    for (manner, outcome) in
        [(Manner::Takes, "sent"), (Manner::Answers(451), "postponed"), (Manner::Answers(550), "refused")]
    {
        let (_folder, data) = folder();
        let smtp = Smtp::start(manner);
        let url = smtp.url();
        let watched = Watched::start(&data, &["--site-url", "http://127.0.0.1:1", "--smtp-url", &url]);
        let before = watched.numbers();
        watched.done(&format!("{OWN}/invites/"), &json!({"target_email": "grace@example.com"}));
        watched.reaches(&format!("orgd_mails_total{{outcome=\"{outcome}\"}}"), 1.0);
        let waits = outcome == "postponed";
        until("it waits, or does not", || (watched.one("orgd_mails_waiting") > 0.0) == waits);
        seen.extend(changed(&before, &watched.numbers()));
    }
    seen
}

/// What must not be forgotten: backups, certificates, the key. A server that has all is held against one that lacks them.
fn ages() -> BTreeSet<String> {
    let (folder_of_good, good) = folder();
    let path = |name: &str| folder_of_good.path().join(name).display().to_string();
    let (chain, key) = acme::pair();
    fs::write(path("chain.pem"), chain).expect("written");
    fs::write(path("key.pem"), key).expect("written");
    let (chain, key, backups) = (path("chain.pem"), path("key.pem"), path("backups"));
    let flags = ["--tls-cert", &chain, "--tls-key", &key, "--backup-dir", &backups, "--memory-mib", "100"];
    let good = Watched::start(&good, &flags);
    until("a backup was made", || good.numbers().contains_key("orgd_backup_last_success_timestamp_seconds"));

    let (folder_of_bad, bad) = folder();
    let watched = Watched::start(&bad, &[]);
    watched.done(&format!("{OWN}/invites/"), &json!({"target_email": "grace@example.com"}));
    assert_eq!(watched.server.stop(), Some(0));
    fs::remove_file(format!("{}.key", bad.display())).expect("there was a key");
    let file = folder_of_bad.path().join("file");
    fs::write(&file, "").expect("written");
    let (authority, redirect) = (Refusing::start("no"), acme::free_port());
    let (backups, redirect) = (file.join("backups").display().to_string(), format!("127.0.0.1:{redirect}"));
    let mut command =
        serve(&bad, &["--backup-dir", &backups, "--acme-domain", "orgd.example", "--acme-agree"]);
    command.args(["--http-redirect-listen", &redirect, "--acme-directory", &authority.directory]);
    let bad = Watched::of(command.arg("--acme-ca").arg(&authority.ca));
    bad.reaches("orgd_task_failures_total{task=\"backups\"}", 1.0);
    bad.reaches("orgd_acme_orders_total{outcome=\"failed\"}", 1.0);
    bad.reaches("orgd_log_messages_total{level=\"error\"}", 2.0);
    let (good, bad) = (good.numbers(), bad.numbers());
    assert_eq!((good["orgd_secret_key_present"], bad["orgd_secret_key_present"]), (1.0, 0.0));
    changed(&good, &bad)
}

/// The metrics that the page names.
fn documented() -> BTreeSet<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/monitoring.md");
    let text = fs::read_to_string(page).expect("text");
    let name = regex::Regex::new(r"`(orgd_[a-z_]+)`").expect("a pattern");
    name.captures_iter(&text).map(|found| found[1].to_owned()).collect()
}

#[test]
fn every_number_that_is_documented_is_seen_to_change() {
    let scenes: [fn() -> BTreeSet<String>; 7] = [traffic, queues, sockets, retention, exports, mails, ages];
    let mut seen: BTreeSet<String> = thread::scope(|scope| {
        let all: Vec<_> = scenes.iter().map(|scene| scope.spawn(scene)).collect();
        all.into_iter().flat_map(|scene| scene.join().expect("no panic")).collect()
    });
    let documented = documented();
    assert!(documented.len() > 35, "{documented:?}");
    match disk() {
        Some(more) => seen.extend(more),
        // Where nothing can be mounted, which has been said.
        None => seen.extend(["orgd_store_commits_failed_total", "orgd_store_writable"].map(str::to_owned)),
    }
    let missing: Vec<&String> = documented.difference(&seen).collect();
    assert!(missing.is_empty(), "documented, and not seen to change: {missing:?}");
    // What a server shows is documented.
    let shown = seen.iter().filter(|name| name.starts_with("orgd_") && *name != "orgd_build_info");
    let unknown: Vec<&String> = shown.filter(|name| !documented.contains(*name)).collect();
    assert!(unknown.is_empty(), "shown, and not documented: {unknown:?}");
}
