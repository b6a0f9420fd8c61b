//! How workers are shared: exports of one organization hold up nobody else's.

use std::net::TcpListener;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::exports::{backfill, capture, completed, event, export_to, last_run, latest, log};
use crate::support::{Org, Receiver, SILENCE, Server};

/// Somebody who takes connections and never answers.
struct TarPit(TcpListener);

impl TarPit {
    fn start() -> TarPit {
        // Connections that nobody accepts are open all the same.
        TarPit(TcpListener::bind("127.0.0.1:0").expect("a port is free"))
    }

    fn port(&self) -> u16 {
        self.0.local_addr().expect("an address").port()
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port())
    }
}

fn org(server: &Server) -> Org {
    let org = server.org();
    capture(server, &org, &[event("a", "10:00:00")]);
    org
}

fn begun(server: &Server, org: &Org, url: &str) -> Value {
    let export = export_to(org, url, json!({}));
    backfill(org, &export, "10:00", "11:00");
    server.until("its run is there", || latest(org, &export).is_object());
    export
}

fn count(org: &Org, exports: &[Value], status: &str) -> usize {
    exports.iter().filter(|export| latest(org, export)["status"] == status).count()
}

#[test]
fn exports_that_hang_leave_a_worker_to_other_organizations() {
    for workers in [2, 4] {
        let server = Server::with(|config| {
            config.exports.export_workers = workers;
            config.exports.export_first_answer_seconds = 86_400;
        });
        let (one, other) = (org(&server), org(&server));
        let receiver = Receiver::answering(&[]);
        // Somebody else has exports, though none of them runs.
        let theirs = export_to(&other, &receiver.url("/"), json!({}));
        let pit = TarPit::start();
        let hanging: Vec<Value> = (0..6).map(|_| begun(&server, &one, &pit.url())).collect();
        server.until("all but one of the workers hang", || count(&one, &hanging, "Running") == workers - 1);
        for range in [("10:00", "11:00"), ("09:00", "11:00"), ("10:00", "12:00")] {
            let before = latest(&other, &theirs)["id"].clone();
            backfill(&other, &theirs, range.0, range.1);
            server.until("a run of theirs is over", || {
                let run = latest(&other, &theirs);
                run["id"] != before && run["finished_at"].is_string()
            });
        }
        assert!(receiver.received().len() >= 3);
        assert_eq!(count(&one, &hanging, "Running"), workers - 1);
        assert_eq!(count(&one, &hanging, "Starting"), 6 - (workers - 1));
    }
}

#[test]
fn an_organization_that_is_alone_has_all_workers() {
    let server = Server::with(|config| config.exports.export_first_answer_seconds = 86_400);
    let one = org(&server);
    let pit = TarPit::start();
    let hanging: Vec<Value> = (0..5).map(|_| begun(&server, &one, &pit.url())).collect();
    server.until("all workers hang", || count(&one, &hanging, "Running") == 4);
    assert_eq!(count(&one, &hanging, "Starting"), 1);
}

#[test]
fn with_one_worker_others_wait_for_the_time_to_a_first_answer_at_the_most() {
    let server = Server::with(|config| config.exports.export_workers = 1);
    let (one, other) = (org(&server), org(&server));
    let pit = TarPit::start();
    let hanging: Vec<Value> = (0..3).map(|_| begun(&server, &one, &pit.url())).collect();
    server.until("one of them hangs", || count(&one, &hanging, "Running") == 1);
    let receiver = Receiver::answering(&[]);
    let theirs = begun(&server, &other, &receiver.url("/"));
    server.pass(Duration::from_secs(10));
    completed(&last_run(&server, &other, &theirs), 1);
    assert_eq!(log(&one, &hanging[0], "did not answer within 10 seconds").len(), 1);
    assert!(log(&one, &hanging[2], "Batch exporting range").len() <= 1);
}

#[test]
fn a_pause_between_two_connections_to_a_database_leaves_the_worker_to_others() {
    let server = Server::with(|config| config.exports.export_workers = 1);
    let (one, other) = (org(&server), org(&server));
    let pit = TarPit::start();
    let config = json!({
        "host": "127.0.0.1", "port": pit.port(), "database": "d", "user": "some-user", "password": "some-password",
    });
    let body = json!({"name": "n", "interval": "hour", "paused": true, "destination": {"type": "Postgres", "config": config}});
    let silent = one.owner.post(&one.at("batch_exports/"), body).json(201);
    backfill(&one, &silent, "10:00", "11:00");
    let first = pit.0.accept().expect("a connection");
    let receiver = Receiver::answering(&[]);
    let theirs = begun(&server, &other, &receiver.url("/"));
    server.pass(Duration::from_secs(10));
    completed(&last_run(&server, &other, &theirs), 1);
    assert_eq!(latest(&one, &silent)["status"], "Running");
    // The attempt goes on where it was, as the second connection of the same attempt.
    drop(first);
    let _second = pit.0.accept().expect("a connection");
    server.pass(Duration::from_secs(10));
    server.until("the second connection has failed", || log(&one, &silent, "Attempt 2 of 5").len() == 1);
    assert_eq!(log(&one, &silent, "Batch exporting range").len(), 1);
}

#[test]
fn an_attempt_that_rests_ends_with_its_run() {
    let server = Server::with(|config| config.exports.export_workers = 1);
    let one = org(&server);
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    let config = json!({
        "host": "127.0.0.1", "port": closed.port(), "database": "d", "user": "some-user", "password": "some-password",
    });
    let body = json!({"name": "n", "interval": "hour", "paused": true, "destination": {"type": "Postgres", "config": config}});
    let export = one.owner.post(&one.at("batch_exports/"), body).json(201);
    backfill(&one, &export, "10:00", "11:00");
    server.until("it rests", || !log(&one, &export, "Attempt 1 of 5").is_empty());
    one.owner
        .delete(&one.at(&format!("batch_exports/{}/", crate::support::text(&export["id"]))))
        .no_content();
    let receiver = Receiver::answering(&[]);
    let next = begun(&server, &one, &receiver.url("/"));
    completed(&last_run(&server, &one, &next), 1);
}

#[test]
fn a_destination_that_says_nothing_is_tried_again_later() {
    let server = Server::with(|config| config.exports.export_first_answer_seconds = 3);
    let one = org(&server);
    let receiver = Receiver::answering(&[(SILENCE, "")]);
    let export = begun(&server, &one, &receiver.url("/"));
    server.until("a request has arrived", || receiver.received().len() == 1);
    server.pass(Duration::from_secs(3));
    let message = format!(
        "Batch export failed with error: ClientConnectionError: {} did not answer within 3 seconds",
        receiver.address
    );
    server.until("the attempt is over", || log(&one, &export, "error") == [message.as_str()]);
    assert_eq!(latest(&one, &export)["status"], "Running");
    server.pass(Duration::from_secs(31));
    completed(&last_run(&server, &one, &export), 1);
}

#[test]
fn after_its_first_answer_a_destination_may_take_longer() {
    let server = Server::start();
    let one = server.org();
    for part in 0..3 {
        let events: Vec<Value> =
            (0..2000).map(|number| event(&format!("{part}-{number}"), "10:00:00")).collect();
        capture(&server, &one, &events);
    }
    let receiver = Receiver::answering(&[(200, ""), (SILENCE, "")]);
    let export = begun(&server, &one, &receiver.url("/"));
    server.until("the second request has arrived", || receiver.received().len() == 2);
    server.pass(Duration::from_secs(60));
    // Another export is looked at and run after the time has passed.
    let next = begun(&server, &one, &receiver.url("/"));
    completed(&last_run(&server, &one, &next), 6000);
    assert!(log(&one, &export, "error").is_empty());
    assert_eq!(latest(&one, &export)["status"], "Running");
}
