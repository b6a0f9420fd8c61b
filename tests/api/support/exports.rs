//! Events that are captured, and exports of them over HTTP.

use std::time::Duration;

use orgd::config::Config;
use serde_json::{Value, json};

use super::{Org, Server, text};

pub fn token(org: &Org) -> String {
    text(&org.owner.get(&org.project_at("")).json(200)["api_token"])
}

pub fn capture(server: &Server, org: &Org, events: &[Value]) {
    let body = json!({"api_key": token(org), "batch": events});
    server.anyone().post("/batch/", body).json(200);
}

/// An event at a time of the first of January 2021.
pub fn event(name: &str, time: &str) -> Value {
    json!({"event": name, "distinct_id": "d", "timestamp": format!("2021-01-01T{time}Z")})
}

/// An export that runs by backfills only: a full hour may pass while a test lets time pass.
pub fn export_to(org: &Org, url: &str, config: Value) -> Value {
    export_of(org, url, config, json!({"paused": true}))
}

pub fn scheduled_export_to(org: &Org, url: &str) -> Value {
    export_of(org, url, json!({}), json!({}))
}

/// An export with more settings and more fields.
pub fn export_of(org: &Org, url: &str, config: Value, fields: Value) -> Value {
    let config = with(json!({"url": url, "token": "phc_receiver"}), &config);
    let destination = json!({"type": "HTTP", "config": config});
    let body = with(json!({"name": "n", "interval": "hour", "destination": destination}), &fields);
    org.owner.post(&org.at("batch_exports/"), body).json(201)
}

pub fn with(mut object: Value, more: &Value) -> Value {
    object.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    object
}

pub fn at(org: &Org, export: &Value, tail: &str) -> String {
    org.at(&format!("batch_exports/{}/{tail}", text(&export["id"])))
}

/// Between two times of that day.
pub fn backfill(org: &Org, export: &Value, start: &str, end: &str) {
    let day = |time: &str| format!("2021-01-01T{time}:00Z");
    backfill_of(org, export, json!({"start_at": day(start), "end_at": day(end)}));
}

pub fn backfill_of(org: &Org, export: &Value, range: Value) {
    org.owner.post(&at(org, export, "backfill/"), range).json(200);
}

pub fn latest(org: &Org, export: &Value) -> Value {
    org.owner.get(&at(org, export, "")).json(200)["latest_runs"][0].clone()
}

/// The newest run, when it is over.
pub fn last_run(server: &Server, org: &Org, export: &Value) -> Value {
    let mut run = Value::Null;
    server.until("a run is over", || {
        run = latest(org, export);
        run["finished_at"].is_string()
    });
    run
}

/// The newest run, when it is over; a quarter of a minute passes at each look at it.
#[track_caller]
pub fn run_in_time(server: &Server, org: &Org, export: &Value) -> Value {
    let mut run = Value::Null;
    server.until("a run is over", || {
        server.pass(Duration::from_secs(15));
        run = latest(org, export);
        run["finished_at"].is_string()
    });
    run
}

/// Looks until the test is past its wait, letting time pass at each look: when a run begins to wait for its next attempt is
/// not to be seen. The server is a `patient` one.
pub fn until_in_time(server: &Server, what: &str, mut is_past: impl FnMut() -> bool) {
    server.until(what, || {
        server.pass(Duration::from_secs(31));
        is_past()
    });
}

/// A server on which no time that passes makes an attempt too late for its first answer.
pub fn patient() -> Server {
    Server::with(be_patient)
}

/// The setting of such a server.
pub fn be_patient(config: &mut Config) {
    config.exports.export_first_answer_seconds = 24 * 60 * 60;
}

pub fn names(events: &[Value]) -> Vec<String> {
    events.iter().map(|event| text(&event["event"])).collect()
}

#[track_caller]
pub fn completed(run: &Value, records: usize) {
    let shown = (&run["status"], &run["records_completed"], &run["latest_error"]);
    assert_eq!(shown, (&json!("Completed"), &json!(records), &Value::Null));
}

/// What the log says that holds `search`, newest first.
pub fn log(org: &Org, export: &Value, search: &str) -> Vec<String> {
    let search: String = form_urlencoded::byte_serialize(search.as_bytes()).collect();
    let page = org.owner.get(&at(org, export, &format!("logs/?limit=500&search={search}"))).json(200);
    page["results"].as_array().expect("entries").iter().map(|row| text(&row["message"])).collect()
}
