//! `/metrics`: what moves when, who may read it, and that nothing of a caller is in it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Serving, agent, ask, orgd, program, until};

const KEY: &str = "phx_for-the-test-of-metrics-only-0123456789";
const PASSWORD: &str = "change-this-Passphrase";
const TOKEN: &str = "a-token-of-the-metrics";

struct Watched {
    server: Serving,
    _folder: TempDir,
}

impl Watched {
    fn start(token: Option<&str>, more: &[&str]) -> Watched {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = orgd(&["serve", "--listen", "127.0.0.1:0", "--data"]);
        command.arg(folder.path().join("orgd.redb")).args(more);
        command
            .env("ORGD_BOOTSTRAP_EMAIL", "ada@example.com")
            .env("ORGD_BOOTSTRAP_PASSWORD", PASSWORD)
            .env("ORGD_BOOTSTRAP_API_KEY", KEY);
        if let Some(token) = token {
            command.env("ORGD_METRICS_TOKEN", token);
        }
        Watched { server: Serving::of(&mut command), _folder: folder }
    }

    fn send(&self, method: &str, path: &str, key: Option<&str>, body: &Value) -> (u16, Value) {
        ask(&agent(), method, &format!("{}{path}", self.server.base), key, body).expect("an answer")
    }

    /// The numbers by their names and labels.
    fn numbers(&self) -> BTreeMap<String, f64> {
        numbers(&self.text())
    }

    fn text(&self) -> String {
        let (status, text) = get(&format!("{}/metrics", self.server.base), Some(TOKEN));
        assert_eq!(status, 200, "{text}");
        text
    }
}

pub fn get(url: &str, token: Option<&str>) -> (u16, String) {
    let mut request = agent().get(url);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let mut answer = request.call().expect("an answer");
    (answer.status().as_u16(), answer.body_mut().read_to_string().expect("text"))
}

pub fn numbers(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let number = |line: &str| {
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        (name.to_owned(), value.parse().expect("a number"))
    };
    lines.map(number).collect()
}

/// Has `promtool check` read the text.
fn check(what: &[&str], text: &str) {
    let Some(program) = program("promtool", "prometheus") else { return };
    let mut child = Command::new(program)
        .arg("check")
        .args(what)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool runs");
    // Who is given a file may not read to the end.
    let _ = child.stdin.take().expect("its input").write_all(text.as_bytes());
    let output = child.wait_with_output().expect("promtool ends");
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{said}");
    assert!(what != ["metrics"] || said.is_empty(), "{said}");
}

/// The changed numbers of whose names `about` holds the beginning, and by how much.
fn moved(before: &BTreeMap<String, f64>, after: &BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    let counted = after.iter().filter(|(name, _)| {
        let family = name.split('{').next().unwrap_or_default();
        family.ends_with("_total") && family.starts_with("orgd_")
    });
    let by =
        |(name, value): (&String, &f64)| (name.clone(), value - before.get(name).copied().unwrap_or(0.0));
    // Every look is a request itself, on a connection of its own, and tasks write when they like.
    let is_noise = |name: &str| {
        name.contains("route=\"/metrics\"")
            || ["orgd_http_connections_total", "orgd_store_writes_total"]
                .iter()
                .any(|noise| name.starts_with(noise))
    };
    counted.map(by).filter(|(name, by)| *by != 0.0 && !is_noise(name)).collect()
}

#[test]
fn each_number_moves_when_its_thing_happens_and_not_otherwise() {
    let watched = Watched::start(Some(TOKEN), &[]);
    let (_, project) = watched.send("GET", "/api/projects/1/", Some(KEY), &json!({}));
    let token = project["api_token"].as_str().expect("a token").to_owned();
    let uuid = "0197f3a0-0000-7000-8000-000000000001";
    let batch = json!({"api_key": token, "batch": [
        {"event": "a", "distinct_id": "d", "uuid": uuid}, {"event": "b", "distinct_id": "d"}]});
    let organization = "/api/organizations/@current/";
    let log_in = |password: &str| json!({"email": "ada@example.com", "password": password});
    let requests = |route: &str, method: &str, status: &str| {
        format!("orgd_http_requests_total{{route=\"{route}\",method=\"{method}\",status=\"{status}\"}}")
    };
    let events = |of: &str| format!("orgd_events_{of}_total");
    let security = |event: &str| format!("orgd_security_events_total{{event=\"{event}\"}}");
    let nothing: Option<&str> = None;
    for (method, path, key, body, wanted) in [
        (
            "GET",
            organization,
            Some(KEY),
            json!({}),
            vec![(requests("/api/organizations/{id}/", "GET", "2xx"), 1.0)],
        ),
        ("HEAD", "/_livez", nothing, json!({}), vec![(requests("/_livez", "GET", "2xx"), 1.0)]),
        (
            "PATCH",
            organization,
            Some(KEY),
            json!({"name": "B"}),
            vec![(requests("/api/organizations/{id}/", "PATCH", "2xx"), 1.0)],
        ),
        ("GET", "/api/secret-path/", Some(KEY), json!({}), vec![(requests("-", "other", "4xx"), 1.0)]),
        (
            "OPTIONS",
            organization,
            Some(KEY),
            json!({}),
            vec![(requests("/api/organizations/{id}/", "other", "2xx"), 1.0)],
        ),
        (
            "GET",
            organization,
            Some("phx_wrong"),
            json!({}),
            vec![(requests("/api/organizations/{id}/", "GET", "4xx"), 1.0), (security("token_refused"), 1.0)],
        ),
        (
            "POST",
            "/api/login/",
            nothing,
            log_in("wrong"),
            vec![(requests("/api/login/", "POST", "4xx"), 1.0), (security("password_wrong"), 1.0)],
        ),
        (
            "POST",
            "/api/login/",
            nothing,
            log_in(PASSWORD),
            vec![(requests("/api/login/", "POST", "2xx"), 1.0)],
        ),
        (
            "POST",
            "/batch/",
            nothing,
            batch.clone(),
            vec![
                (requests("/batch/", "POST", "2xx"), 1.0),
                (events("received"), 2.0),
                (events("stored"), 2.0),
            ],
        ),
        // One of them has been sent before.
        (
            "POST",
            "/batch/",
            nothing,
            batch,
            vec![
                (requests("/batch/", "POST", "2xx"), 1.0),
                (events("received"), 2.0),
                (events("stored"), 1.0),
            ],
        ),
    ] {
        let before = watched.numbers();
        watched.send(method, path, key, &body);
        assert_eq!(moved(&before, &watched.numbers()), BTreeMap::from_iter(wanted), "{method} {path}");
    }
}

#[test]
fn what_prometheus_reads_is_in_its_form_and_holds_nothing_of_callers() {
    let watched = Watched::start(Some(TOKEN), &[]);
    let secret = "planted-4711";
    watched.send("GET", &format!("/{secret}/"), Some(secret), &json!({}));
    watched.send("GET", &format!("/api/organizations/{secret}/"), Some(KEY), &json!({}));
    watched.send(&secret.to_uppercase(), "/_livez", None, &json!({}));
    watched.send(
        "POST",
        "/api/login/",
        None,
        &json!({"email": format!("{secret}@example.com"), "password": secret}),
    );
    until("every task has run", || {
        watched
            .numbers()
            .iter()
            .filter(|(name, by)| name.starts_with("orgd_task_succeeded") && **by == 1.0)
            .count()
            >= 4
    });
    let text = watched.text();
    check(&["metrics"], &text);
    for planted in [secret, &secret.to_uppercase(), TOKEN, KEY, PASSWORD, "ada@example.com", "127.0.0.1"] {
        assert!(!text.contains(planted), "{planted}: {text}");
    }
    let after = numbers(&text);
    let at_least = [
        ("orgd_store_file_bytes", 4096.0),
        ("orgd_store_writable", 1.0),
        ("orgd_secret_key_present", 1.0),
        ("orgd_http_requests_in_flight", 1.0),
        ("orgd_http_connections_open", 1.0),
        ("orgd_memory_limit_bytes{part=\"work\"}", 1e6),
        ("orgd_store_commit_duration_seconds_count", 1.0),
        ("orgd_store_sync_duration_seconds_count", 1.0),
        ("orgd_store_batch_writes_count", 1.0),
        ("process_resident_memory_bytes", 1e6),
        ("orgd_http_connections_total", 4.0),
        ("orgd_store_writes_total{outcome=\"done\"}", 1.0),
        ("process_open_fds", 3.0),
        ("process_start_time_seconds", 1.7e9),
    ];
    for (name, least) in at_least {
        assert!(after[name] >= least, "{name}: {}", after[name]);
    }
}

#[test]
fn metrics_are_open_to_whoever_was_meant() {
    let closed = Watched::start(None, &[]);
    for token in [None, Some("x"), Some(TOKEN)] {
        assert_eq!(get(&format!("{}/metrics", closed.server.base), token).0, 404);
    }
    for token in [None, Some(TOKEN)] {
        let watched = Watched::start(token, &["--metrics-listen", "0"]);
        let said = watched.server.said.iter().find_map(|line| line.split_once("metrics at "));
        let url = said.expect("it says where").1.trim().to_owned();
        assert!(url.starts_with("http://127.0.0.1:"), "{url}");
        let here = format!("{}/metrics", watched.server.base);
        for shown in [None, Some("x"), Some(TOKEN)] {
            let is_right = token.is_none() || shown == token;
            assert_eq!(get(&url, shown).0, if is_right { 200 } else { 401 }, "{token:?} {shown:?}");
            let wanted = if token.is_none() {
                404
            } else if is_right {
                200
            } else {
                401
            };
            assert_eq!(get(&here, shown).0, wanted, "{token:?} {shown:?}");
        }
        let elsewhere = url.replace("/metrics", "/api/organizations/");
        assert_eq!(get(&elsewhere, Some(KEY)).0, 404, "nothing else is served there");
    }
}

/// Every name of a metric in the text of a dashboard or of rules.
fn named(text: &str) -> BTreeSet<String> {
    let name = regex::Regex::new(r"\b(?:orgd|process)_[a-z0-9_]+").expect("a pattern");
    name.find_iter(text).map(|found| found.as_str().to_owned()).collect()
}

#[test]
fn dashboard_and_rules_name_metrics_that_there_are() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/monitoring");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("text");
    let (dashboard, rules) = (read("dashboard.json"), read("alerts.yml"));
    let dashboard: Value = serde_json::from_str(&dashboard).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let queries = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let queries: Vec<&str> = queries.map(|target| target["expr"].as_str().expect("a query")).collect();
    assert!(panels.len() > 10 && queries.len() >= panels.len(), "{} panels", panels.len());
    let parsed: serde_yaml_ng::Value = serde_yaml_ng::from_str(&rules).expect("YAML");
    let rules_of = parsed["groups"][0]["rules"].as_sequence().expect("rules");
    let expressions: Vec<&str> =
        rules_of.iter().map(|rule| rule["expr"].as_str().expect("a query")).collect();
    let watched = Watched::start(Some(TOKEN), &[]);
    until("a task has run", || watched.text().contains("orgd_task_last_success"));
    let text = watched.text();
    let mut known: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .map(str::to_owned)
        .collect();
    // These are there with a folder for backups, and with a certificate.
    known.extend(
        ["orgd_backup_last_success_timestamp_seconds", "orgd_tls_certificate_expiry_timestamp_seconds"]
            .map(str::to_owned),
    );
    for name in queries.iter().chain(&expressions).flat_map(|query| named(query)) {
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        assert!(known.contains(&name) || family.is_some_and(|family| known.contains(family)), "{name}");
    }
    check(&["rules", folder.join("alerts.yml").to_str().expect("text")], "");
}
