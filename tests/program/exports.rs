//! The process is killed in the middle of a batch export: nothing is lost, and what was delivered before
//! is not delivered again, but for the one request that was under way.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::receiver::Receiver;
use crate::support::{Serving, agent, ask, run};

const BATCHES: usize = 10;
const BATCH_EVENTS: usize = 2500;
/// What one request of an export holds at the most.
const REQUEST_EVENTS: usize = 5000;

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(120), "it never came true that {what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_backfill_that_was_killed_goes_on_where_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("orgd.redb");
    let data = file.to_str().expect("a path of text");
    let made = run(&["bootstrap", "--data", data, "--email", "ada@example.com", "--organization", "Acme"]);
    let made: Value = serde_json::from_slice(&made.stdout).expect("one JSON object");
    let (key, token) = (made["api_key"].as_str().expect("a key"), made["project_api_token"].clone());
    let receiver = Receiver::answering(&[]);
    let agent = agent();
    let one = {
        let server = Serving::start(&file, &[]);
        for batch in 0..BATCHES {
            let event = |number: usize| {
                let seconds = (batch * BATCH_EVENTS + number) / 10;
                let time = format!("2021-01-01T10:{:02}:{:02}Z", seconds / 60 % 60, seconds % 60);
                json!({"event": "seen", "distinct_id": format!("d{number}"), "timestamp": time})
            };
            let events: Vec<Value> = (0..BATCH_EVENTS).map(event).collect();
            let body = json!({"api_key": token, "batch": events});
            let (status, _) =
                ask(&agent, "POST", &format!("{}/batch/", server.base), None, &body).expect("an answer");
            assert_eq!(status, 200);
        }
        let config = json!({"url": receiver.url("/"), "token": "phc_receiver"});
        let export =
            json!({"name": "n", "interval": "hour", "destination": {"type": "HTTP", "config": config}});
        let all = "/api/organizations/@current/batch_exports/";
        let (status, export) =
            ask(&agent, "POST", &format!("{}{all}", server.base), Some(key), &export).expect("an answer");
        assert_eq!(status, 201, "{export}");
        let one = format!("{all}{}/", export["id"].as_str().expect("an id"));
        let range = json!({"start_at": "2021-01-01T10:00:00Z", "end_at": "2021-01-01T11:00:00Z"});
        let backfill = format!("{}{one}backfill/", server.base);
        assert_eq!(ask(&agent, "POST", &backfill, Some(key), &range).expect("an answer").0, 200);
        until("two requests have come", || receiver.received().len() >= 2);
        server.signal("KILL");
        server.wait();
        one
    };
    let server = Serving::start(&file, &[]);
    let mut run_of = Value::Null;
    until("the run is over", || {
        let (_, export) =
            ask(&agent, "GET", &format!("{}{one}", server.base), Some(key), &json!({})).expect("an answer");
        run_of = export["latest_runs"][0].clone();
        run_of["finished_at"].is_string()
    });
    let total = BATCHES * BATCH_EVENTS;
    assert_eq!((&run_of["status"], &run_of["records_completed"]), (&json!("Completed"), &json!(total)));
    assert!(
        receiver.received().iter().all(|request| request.line == "POST /" && request.head.contains("orgd/"))
    );
    let events = receiver.events();
    let uuids: BTreeSet<&str> = events.iter().filter_map(|event| event["uuid"].as_str()).collect();
    assert_eq!(uuids.len(), total);
    assert!(events.len() <= total + REQUEST_EVENTS, "{} events came for {total}", events.len());
    assert_eq!(server.stop(), Some(0));
    let check = run(&["check", "--data", data]);
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
    // The secret lies neither in the data file nor, in plain, beside it.
    let bytes = std::fs::read(&file).expect("the data file");
    assert!(!bytes.windows(12).any(|part| part == b"phc_receiver"));
}
