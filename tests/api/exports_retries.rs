//! What exports do when the other side is away, busy or too small for a moment, whatever its kind.

use std::net::TcpListener;

use orgd::clock::Time;
use orgd::resources::batch_exports::runs;
use serde_json::{Value, json};

use crate::exports_s3::{backfilled_to, seen};
use crate::support::exports::{
    backfill, capture, completed, event, export_to, last_run, latest, log, names, patient, run_in_time,
};
use crate::support::{Org, Receiver, Reply, Server, reply, text};

/// Makes an export to a receiver, with its backfill.
type Make = fn(&Org, &Receiver) -> Value;

fn over_http(org: &Org, receiver: &Receiver) -> Value {
    let export = export_to(org, &receiver.url("/batch/"), json!({}));
    backfill(org, &export, "10:00", "11:00");
    export
}

const KINDS: [(&str, Make); 2] = [("HTTP", over_http), ("S3", backfilled_to)];

#[test]
fn who_is_not_there_for_a_moment_gets_everything_later() {
    let server = patient();
    let org = server.org();
    capture(&server, &org, &[seen(1)]);
    for (kind, make) in KINDS {
        let address =
            TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
        let absent = Receiver::absent(address);
        let export = make(&org, &absent);
        server.until("nobody is there", || log(&org, &export, "could not be reached").len() == 1);
        assert_eq!(latest(&org, &export)["status"], "Running", "{kind}");
        let _receiver = Receiver::on(TcpListener::bind(address).expect("the port is free again"), []);
        completed(&run_in_time(&server, &org, &export), 1);
        assert!(log(&org, &export, "")[0].contains("Successfully finished"), "{kind}");
    }
}

#[test]
fn a_lost_connection_is_a_matter_of_another_attempt() {
    let server = patient();
    let org = server.org();
    capture(&server, &org, &[seen(1)]);
    for (kind, make) in KINDS {
        let receiver = Receiver::answering(&[(0, ""), (0, "")]);
        let export = make(&org, &receiver);
        completed(&run_in_time(&server, &org, &export), 1);
        assert_eq!(
            (receiver.received().len(), log(&org, &export, "failed with error").len()),
            (3, 2),
            "{kind}"
        );
    }
}

#[test]
fn who_never_comes_back_is_given_up_and_the_log_ends_with_that() {
    let server = patient();
    let org = server.org();
    capture(&server, &org, &[seen(1)]);
    for (kind, make) in KINDS {
        let receiver = Receiver::answering(&[(0, ""); 15]);
        let export = make(&org, &receiver);
        let run = run_in_time(&server, &org, &export);
        assert_eq!(
            (&run["status"], run["latest_error"].is_string()),
            (&json!("FailedRetryable"), true),
            "{kind}"
        );
        let range = "2021-01-01T10:00:00+00:00 - 2021-01-01T11:00:00+00:00";
        server
            .until("the backfill is over", || log(&org, &export, "Finished exporting historical").len() == 1);
        let lines = log(&org, &export, "");
        let wanted = [
            format!(
                "Finished exporting historical batches in {range}, but of 1 batches 1 failed and 0 were cancelled: their data is missing"
            ),
            format!("Giving up on batch {range} after 15 attempts"),
        ];
        assert_eq!(lines[..2], wanted, "{kind}");
    }
}

#[test]
fn the_pause_that_a_destination_asks_for_counts() {
    let server = patient();
    let org = server.org();
    capture(&server, &org, &[seen(1)]);
    let after = |value: &str| reply(503, "").header("Retry-After", value);
    let dated = |answer: Reply| answer.header("Date", "Mon, 01 Jan 2024 12:00:00 GMT");
    for (kind, make, answer, seconds) in [
        ("HTTP", over_http as Make, reply(503, ""), 30),
        ("HTTP", over_http, after("7"), 7),
        ("HTTP", over_http, reply(429, "").header("Retry-After", "90"), 90),
        ("HTTP", over_http, after("0"), 1),
        ("HTTP", over_http, after("100000"), 3600),
        ("HTTP", over_http, after("soon"), 30),
        ("HTTP", over_http, after("-5"), 30),
        ("HTTP", over_http, dated(after("Mon, 01 Jan 2024 12:02:00 GMT")), 120),
        ("HTTP", over_http, dated(after("Mon, 01 Jan 2024 11:00:00 GMT")), 1),
        ("S3", backfilled_to, after("90"), 90),
        ("S3", backfilled_to, after("100000"), 3600),
        ("S3", backfilled_to, reply(429, "").header("Retry-After", "120"), 120),
    ] {
        let shown = format!("{kind} {answer:?}");
        let receiver = Receiver::replying([answer]);
        let export = make(&org, &receiver);
        server.until("the attempt has failed", || log(&org, &export, "failed with error").len() == 1);
        let updated = text(&latest(&org, &export)["last_updated_at"]);
        let open = server.app.store.read(runs::all_open).expect("the file is read");
        let waited = open[0].next_attempt_at.0 - Time::parse(&updated).expect("a time").0;
        assert_eq!(waited, seconds * 1_000_000, "{shown}");
        completed(&run_in_time(&server, &org, &export), 1);
    }
}

#[test]
fn what_is_too_large_for_the_receiver_is_sent_in_smaller_requests() {
    let server = Server::start();
    let org = server.org();
    let events: Vec<Value> = (0..8).map(|number| event(&format!("e{number}"), "10:00:00")).collect();
    capture(&server, &org, &events);
    let all = ["e0", "e1", "e2", "e3", "e4", "e5", "e6", "e7"];
    let count = |receiver: &Receiver| -> Vec<usize> {
        receiver
            .received()
            .iter()
            .map(|request| request.json()["batch"].as_array().map_or(0, Vec::len))
            .collect()
    };
    // The limit that was found stays for the rest of the run.
    let receiver = Receiver::answering(&[(413, "<html>too large</html>"), (413, "")]);
    let export = over_http(&org, &receiver);
    completed(&last_run(&server, &org, &export), 8);
    assert_eq!(names(&receiver.events()), all);
    let sizes = count(&receiver);
    assert_eq!((sizes[0], sizes[2..].iter().sum::<usize>()), (8, 8), "{sizes:?}");
    assert!(sizes[1] < 8 && sizes[2..].iter().all(|size| *size < sizes[1]), "{sizes:?}");
    // One at a time, and then not even one.
    let receiver = Receiver::answering(&[(413, ""); 10]);
    let export = over_http(&org, &receiver);
    let run = last_run(&server, &org, &export);
    let first = receiver.received().last().expect("a request").json()["batch"][0].clone();
    assert_eq!((&run["status"], &first["event"]), (&json!("Failed"), &json!("e0")));
    let wanted = format!(
        "NonRetryableResponseError: NonRetryableResponseError (status: 413): (what a server in a private network answers is not shown). The event {} alone is too large for the receiver",
        text(&first["uuid"])
    );
    assert_eq!(run["latest_error"], wanted);
}

#[test]
fn what_was_accepted_in_smaller_requests_is_not_sent_again() {
    let server = patient();
    let org = server.org();
    let events: Vec<Value> = (0..8).map(|number| event(&format!("e{number}"), "10:00:00")).collect();
    capture(&server, &org, &events);
    let receiver = Receiver::answering(&[(413, ""), (200, ""), (503, "")]);
    let export = over_http(&org, &receiver);
    completed(&run_in_time(&server, &org, &export), 8);
    assert_eq!(names(&receiver.events()), ["e0", "e1", "e2", "e3", "e4", "e5", "e6", "e7"]);
}

#[test]
fn large_events_pass_a_receiver_with_a_small_limit() {
    const LIMIT: usize = 5 * 1024 * 1024;
    let server = Server::start();
    let org = server.org();
    let fill = "x".repeat(1_900_000);
    for number in 0..14 {
        let mut large = event(&format!("e{number}"), "10:00:00");
        large["properties"] = json!({"fill": fill});
        capture(&server, &org, &[large]);
    }
    let receiver = Receiver::with_limit(LIMIT);
    let export = over_http(&org, &receiver);
    completed(&last_run(&server, &org, &export), 14);
    let sizes: Vec<usize> = receiver.received().iter().map(|request| request.body.len()).collect();
    assert_eq!(receiver.events().len(), 14);
    assert_eq!(sizes.iter().filter(|size| **size > LIMIT).count(), 1, "{sizes:?}");
}

#[test]
fn who_hangs_up_at_large_requests_gets_smaller_ones() {
    const LIMIT: usize = 1024 * 1024;
    let server = Server::start();
    let org = server.org();
    let fill = "x".repeat(300_000);
    for number in 0..14 {
        let mut large = event(&format!("e{number}"), "10:00:00");
        large["properties"] = json!({"fill": fill});
        capture(&server, &org, &[large]);
    }
    let receiver = Receiver::resetting_beyond(LIMIT);
    let export = over_http(&org, &receiver);
    completed(&last_run(&server, &org, &export), 14);
    let delivered = names(&receiver.events());
    assert_eq!(delivered, (0..14).map(|number| format!("e{number}")).collect::<Vec<_>>());
    let resets = receiver.received().iter().filter(|request| request.status == 0).count();
    assert!(resets > 0);
    assert_eq!(log(&org, &export, "failed with error").len(), 0);
}

#[test]
fn a_web_page_is_no_receipt() {
    let server = Server::start();
    let org = server.org();
    capture(&server, &org, &[event("e", "10:00:00")]);
    let typed = |body: &str| reply(200, body).header("Content-Type", "text/html; charset=utf-8");
    let why = "The receiver answers with a web page, so the url is not one that takes events";
    for (answer, is_page) in [
        (typed("<!DOCTYPE html><title>Welcome</title>"), true),
        (typed("\n <div>Log in</div>"), true),
        (reply(200, "<HTML><body></body></HTML>"), true),
        (reply(202, " <!doctype HTML>"), true),
        (typed(""), false),
        (typed("ok"), false),
        (typed("{\"status\": 1}"), false),
        (reply(200, "<ok/>"), false),
        (reply(204, ""), false),
    ] {
        let shown = format!("{answer:?}");
        let receiver = Receiver::replying([answer]);
        let export = over_http(&org, &receiver);
        let run = last_run(&server, &org, &export);
        if !is_page {
            completed(&run, 1);
            continue;
        }
        let error = text(&run["latest_error"]);
        assert_eq!((&run["status"], error.ends_with(why)), (&json!("Failed"), true), "{shown}: {error}");
        assert_eq!(receiver.received().len(), 1, "{shown}");
        server.until("the log says so", || log(&org, &export, why).len() == 1);
    }
}
