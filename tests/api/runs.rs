//! How runs of batch exports go: one beside another, attempts, failures and what they lead to.

use std::net::TcpListener;
use std::time::Duration;

use orgd::config::Config;
use orgd::resources::outbox;
use serde_json::{Value, json};

use crate::support::exports::{
    at, backfill, backfill_of, capture, completed, event, export_of, export_to, last_run, latest, log,
};
use crate::support::letters::{SITE, with_mail};
use crate::support::smtp::{Manner, Seen, Smtp};
use crate::support::{Org, Receiver, Server};

/// Somebody who takes connections and never answers.
struct Silence(TcpListener);

impl Silence {
    fn start() -> Silence {
        // Connections that nobody accepts are open all the same.
        Silence(TcpListener::bind("127.0.0.1:0").expect("a port is free"))
    }

    fn url(&self) -> String {
        format!("http://{}/", self.0.local_addr().expect("the socket has an address"))
    }
}

fn until_status(server: &Server, org: &Org, export: &Value, status: &str) {
    server.until(&format!("a run is {status}"), || latest(org, export)["status"] == status);
}

/// A server on which a destination may say nothing for a day.
fn patient(change: impl FnOnce(&mut Config)) -> Server {
    Server::with(|config| {
        config.exports.export_first_answer_seconds = 86_400;
        change(config);
    })
}

/// Waits for a run of an export that goes nowhere: what was there before it was looked at before it.
fn look(server: &Server, org: &Org) -> Value {
    let body = json!({"name": "n", "interval": "hour", "paused": true, "destination": {"type": "NoOp", "config": {}}});
    let export = org.owner.post(&org.at("batch_exports/"), body).json(201);
    backfill(org, &export, "10:00", "11:00");
    server.until("the run is there", || latest(org, &export).is_object());
    export
}

#[test]
fn a_run_waits_until_a_worker_is_free() {
    let server = patient(|config| config.exports.export_workers = 1);
    let org = server.org();
    let (_silence, first) = hanging(&server, &org);
    let receiver = Receiver::answering(&[]);
    let second = export_to(&org, &receiver.url("/"), json!({}));
    backfill(&org, &second, "10:00", "11:00");
    server.until("its run is there", || latest(&org, &second).is_object());
    look(&server, &org);
    let waits = latest(&org, &second);
    assert_eq!((&waits["status"], &waits["finished_at"]), (&json!("Starting"), &Value::Null));
    assert!(receiver.received().is_empty());
    org.owner.delete(&at(&org, &first, "")).no_content();
    completed(&last_run(&server, &org, &second), 1);
}

/// A run that hangs: whom it asks, and its export.
fn hanging(server: &Server, org: &Org) -> (Silence, Value) {
    capture(server, org, &[event("a", "10:00:00")]);
    let silence = Silence::start();
    let export = export_to(org, &silence.url(), json!({}));
    backfill(org, &export, "10:00", "11:00");
    until_status(server, org, &export, "Running");
    (silence, export)
}

#[test]
fn two_runs_of_an_export_up_to_the_same_moment_follow_each_other() {
    let server = patient(|_| {});
    let org = server.org();
    let (_silence, export) = hanging(&server, &org);
    backfill_of(&org, &export, json!({"end_at": "2021-01-01T11:00:00Z"}));
    server.until("the second run is there", || latest(&org, &export)["data_interval_start"].is_null());
    let other = look(&server, &org);
    last_run(&server, &org, &other);
    assert_eq!(latest(&org, &export)["status"], "Starting");
    // The first attempt of the first run has its time; while it waits for the next one, the second begins.
    server.pass(Duration::from_secs(60 * 60));
    until_status(&server, &org, &export, "Running");
    let lines = log(&org, &export, "error");
    assert_eq!(
        lines,
        ["Batch export failed with error: TimeoutError: The attempt took longer than 3600 seconds"]
    );
}

#[test]
fn a_run_that_hangs_is_tried_again_when_its_time_is_over() {
    let server = patient(|_| {});
    let org = server.org();
    let (_silence, export) = hanging(&server, &org);
    server.pass(Duration::from_secs(60 * 60));
    server.until("its time is over", || log(&org, &export, "TimeoutError").len() == 1);
    assert_eq!(latest(&org, &export)["status"], "Running");
    server.pass(Duration::from_secs(31));
    server.until("another has begun", || log(&org, &export, "Batch exporting range").len() == 2);
}

/// An export that is not paused, and is not scheduled either.
fn unscheduled_export_to(org: &Org, url: &str) -> Value {
    export_of(org, url, json!({}), json!({"end_at": "2021-01-01T00:00:00Z"}))
}

fn is_paused(org: &Org, export: &Value) -> bool {
    org.owner.get(&at(org, export, "")).json(200)["paused"] == true
}

#[test]
fn runs_that_ran_out_of_attempts_do_not_pause_an_export() {
    let server = Server::start();
    let org = server.org();
    capture(&server, &org, &[event("a", "10:30:00")]);
    // A port that was free a moment ago.
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    let export = unscheduled_export_to(&org, &format!("http://{nobody}/"));
    for minute in 0..10 {
        backfill(&org, &export, &format!("10:{minute:02}"), &format!("11:{minute:02}"));
    }
    for attempt in 1..=15 {
        let failures = || log(&org, &export, "ClientConnectionError").len();
        server.until("every run has failed once more", || failures() == 10 * attempt);
        server.pass(Duration::from_secs(121));
    }
    let shown = org.owner.get(&at(&org, &export, "")).json(200);
    for run in shown["latest_runs"].as_array().expect("runs") {
        assert_eq!(
            (&run["status"], &run["records_completed"], run["finished_at"].is_string()),
            (&json!("FailedRetryable"), &Value::Null, true)
        );
    }
    let wrong = json!({"destination": {"config": {"url": "ftp://nowhere/", "token": "t"}}});
    org.owner.patch(&at(&org, &export, ""), wrong).json(200);
    backfill(&org, &export, "10:20", "11:20");
    until_status(&server, &org, &export, "Failed");
    assert!(!is_paused(&org, &export));
}

/// An export with a backfill over 52 hours, of which those with an event fail.
fn failing_in(server: &Server, hours: &[u32]) -> (Org, Value) {
    let org = server.org();
    let time = |hour: u32| format!("2021-01-{:02}T{:02}:00:00Z", 1 + hour / 24, hour % 24);
    let event = |hour: &u32| json!({"event": "a", "distinct_id": "d", "timestamp": time(*hour)});
    capture(server, &org, &hours.iter().map(event).collect::<Vec<_>>());
    let receiver = Receiver::answering(&vec![(400, "no"); hours.len()]);
    let export = unscheduled_export_to(&org, &receiver.url("/"));
    backfill_of(&org, &export, json!({"start_at": time(0), "end_at": time(52)}));
    (org, export)
}

#[test]
fn ten_failures_among_the_last_fifty_runs_pause_an_export() {
    let server = Server::start();
    // When the tenth comes, the first is one of the last fifty.
    let (org, export) = failing_in(&server, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 49, 50]);
    server.until("the export pauses by itself", || is_paused(&org, &export));
    let shown = org.owner.get(&at(&org, &export, "")).json(200);
    assert_eq!(shown["latest_runs"][0]["data_interval_start"], "2021-01-03T01:00:00Z");
    assert!(shown["last_paused_at"].is_string());
    assert_eq!(log(&org, &export, "automatically paused").len(), 1);
    assert_eq!(log(&org, &export, "Historical export was cancelled.").len(), 1);
}

/// The mails about a paused export among what came so far, once all that waited has gone: readers and texts.
fn letters_of_pauses(server: &Server, smtp: &Smtp) -> Vec<(String, String)> {
    server.until("no mail waits", || server.app.store.read(outbox::waiting).expect("the outbox").is_empty());
    let (mut to, mut letters) = (String::new(), Vec::new());
    for seen in smtp.rest() {
        match seen {
            Seen::Recipient(address) => to = address,
            Seen::Message(text) if text.contains("Subject: The export") => letters.push((to.clone(), text)),
            Seen::Message(_) | Seen::Connection => {}
        }
    }
    letters.sort();
    letters
}

#[test]
fn who_can_set_a_paused_export_going_hears_of_it_once() {
    let smtp = Smtp::start(Manner::Takes);
    let server = with_mail(&smtp);
    let (org, export) = failing_in(&server, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    server.until("the export pauses by itself", || is_paused(&org, &export));
    let letters = letters_of_pauses(&server, &smtp);
    let readers: Vec<&str> = letters.iter().map(|(to, _)| to.as_str()).collect();
    assert_eq!(readers, [org.owner.email.as_str()], "{letters:?}");
    let text = letters[0].1.replace("=\n", "");
    assert!(text.contains("10 of its last runs have failed, the newest with: "), "{text}");
    assert!(text.contains(&format!("{SITE}/organization/{}/exports/", org.id)), "{text}");
    // Whoever pauses it on purpose knows.
    org.owner.post(&at(&org, &export, "unpause/"), json!({})).json(200);
    org.owner.post(&at(&org, &export, "pause/"), json!({})).json(200);
    assert!(letters_of_pauses(&server, &smtp).is_empty());
    // Whoever is shut out cannot set it going; the others can.
    let (member, admin) = (org.member(&server), org.admin(&server));
    let body = json!({"name": "theirs", "interval": "hour", "destination": {"type": "HTTP", "config": {"url": "http://localhost/", "token": "phc_there"}}});
    member.post(&org.at("batch_exports/"), body).json(201);
    org.owner.patch(&org.project_at(""), json!({"access_control": true})).json(200);
    let letters = letters_of_pauses(&server, &smtp);
    let mut wanted = [org.owner.email.clone(), admin.email.clone()];
    wanted.sort();
    assert_eq!(letters.iter().map(|(to, _)| to.clone()).collect::<Vec<_>>(), wanted, "{letters:?}");
    assert!(letters.iter().all(|(_, text)| text.contains("The export theirs is paused")), "{letters:?}");
}

#[test]
fn failures_before_the_last_fifty_runs_are_forgotten() {
    let server = Server::start();
    let (org, export) = failing_in(&server, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 50, 51]);
    server.until("the backfill is over", || {
        log(&org, &export, "of 52 batches 11 failed and 0 were cancelled").len() == 1
    });
    assert_eq!(log(&org, &export, "non-retryable").len(), 11);
    assert!(!is_paused(&org, &export));
}

#[test]
fn what_runs_beside_the_last_failure_is_cancelled() {
    let server = Server::start();
    let org = server.org();
    let hours = (0..10).map(|hour| event("a", &format!("{hour:02}:00:00")));
    capture(&server, &org, &hours.collect::<Vec<_>>());
    let answers = [vec![(400, "no"); 9], vec![(503, "wait"), (400, "no")]].concat();
    let receiver = Receiver::answering(&answers);
    let export = unscheduled_export_to(&org, &receiver.url("/"));
    backfill(&org, &export, "00:00", "09:00");
    server.until("nine have failed", || log(&org, &export, "non-retryable").len() == 9);
    backfill(&org, &export, "08:30", "09:30");
    server.until("one waits for its next attempt", || log(&org, &export, "status: 503").len() == 1);
    assert!(!is_paused(&org, &export));
    backfill(&org, &export, "09:00", "10:00");
    server.until("the export pauses by itself", || is_paused(&org, &export));
    let runs = org.owner.get(&at(&org, &export, "")).json(200)["latest_runs"].clone();
    assert_eq!((&runs[0]["status"], &runs[1]["status"]), (&json!("Failed"), &json!("Cancelled")));
    assert_eq!(
        (&runs[1]["latest_error"], &runs[1]["records_completed"], runs[1]["finished_at"].is_string()),
        (&json!("Cancelled"), &Value::Null, true)
    );
    assert_eq!(log(&org, &export, "Batch export was cancelled").len(), 1);
    let requests = receiver.received().len();
    server.pass(Duration::from_secs(60));
    let other = look(&server, &org);
    last_run(&server, &org, &other);
    assert_eq!(receiver.received().len(), requests);
}
