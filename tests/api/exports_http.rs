//! What batch exports deliver: which events, how often, and what happens when the other side refuses.

use std::collections::BTreeSet;
use std::time::Duration;

use orgd::clock::Time;
use orgd::store::Storage;
use serde_json::{Value, json};

use crate::support::exports::{
    at, backfill, be_patient, capture, completed, event, export_to, last_run, latest, log, names, patient,
    run_in_time, scheduled_export_to, token, until_in_time,
};
use crate::support::{Org, Receiver, Server, text};

/// What is shown in place of what a server with a private address says.
const HIDDEN: &str = "(what a server in a private network answers is not shown)";

#[test]
fn an_event_arrives_in_the_form_of_the_batch_endpoint() {
    let server = Server::start();
    let org = server.org();
    let receiver = Receiver::answering(&[]);
    let uuid = "018c0d7e-1111-7000-8000-000000000001";
    let clicked = json!({
        "event": "$autocapture", "distinct_id": "d", "uuid": uuid, "timestamp": "2021-01-01T10:00:00.5Z",
        "properties": {"a": [1, "é"], "$ip": "1.2.3.4", "$elements_chain": "a:b=\"c\""},
    });
    capture(&server, &org, &[clicked]);
    let export = export_to(&org, &receiver.url("/batch/"), json!({}));
    backfill(&org, &export, "10:00", "11:00");
    completed(&last_run(&server, &org, &export), 1);
    let received = receiver.received();
    assert_eq!((received.len(), received[0].line.as_str()), (1, "POST /batch/"));
    assert!(received[0].head.to_lowercase().contains("content-type: application/json"));
    let properties =
        json!({"a": [1, "é"], "$ip": "1.2.3.4", "$geoip_disable": true, "$elements_chain": "a:b=\"c\""});
    let wanted = json!({
        "api_key": "phc_receiver", "historical_migration": true,
        "batch": [{
            "uuid": uuid, "distinct_id": "d", "timestamp": "2021-01-01T10:00:00.500000Z", "event": "$autocapture",
            "properties": properties,
        }],
    });
    assert_eq!(received[0].json(), wanted);
}

#[test]
fn a_backfill_goes_by_the_events_own_time_start_included_end_not() {
    let server = Server::start();
    let (org, other) = (server.org(), server.org());
    let times = ["09:59:59.999999", "10:00:00", "10:30:00", "10:59:59.999999", "11:00:00"];
    let events: Vec<Value> = times.iter().map(|time| event(time, time)).collect();
    capture(&server, &org, &events);
    capture(&server, &other, &[event("theirs", "10:15:00")]);
    let receiver = Receiver::answering(&[]);
    let export = export_to(&org, &receiver.url("/"), json!({}));
    backfill(&org, &export, "10:00", "11:00");
    completed(&last_run(&server, &org, &export), 3);
    assert_eq!(names(&receiver.events()), times[1..4]);
}

#[test]
fn a_backfill_from_the_beginning_takes_everything_before_its_end() {
    let server = Server::start();
    let org = server.org();
    capture(
        &server,
        &org,
        &[
            json!({"event": "old", "distinct_id": "d", "timestamp": "1971-01-01T00:00:00Z"}),
            event("new", "10:00:00"),
        ],
    );
    let receiver = Receiver::answering(&[]);
    let export = export_to(&org, &receiver.url("/"), json!({}));
    org.owner.post(&at(&org, &export, "backfill/"), json!({"end_at": "2021-01-01T10:00:00Z"})).json(200);
    completed(&last_run(&server, &org, &export), 1);
    assert_eq!(names(&receiver.events()), ["old"]);
}

#[test]
fn a_scheduled_run_goes_by_arrival_and_each_event_leaves_once() {
    let server = Server::start();
    let (org, other) = (server.org(), server.org());
    let receiver = Receiver::answering(&[]);
    let export = scheduled_export_to(&org, &receiver.url("/"));
    capture(&server, &org, &[event("late", "10:00:00"), json!({"event": "now", "distinct_id": "d"})]);
    capture(&server, &other, &[event("theirs", "10:00:00")]);
    // What claims to be of tomorrow is not believed: it is of now.
    let now = server.app.clock.now();
    let tomorrow = Time(now.0 - now.0.rem_euclid(3_600_000_000)).plus_seconds(25 * 3600);
    let of =
        |name: &str, time: Time| json!({"event": name, "distinct_id": "d", "timestamp": time.to_string()});
    capture(&server, &org, &[of("last", Time(tomorrow.0 - 1)), of("first of tomorrow", tomorrow)]);
    server.pass(Duration::from_secs(3600));
    completed(&last_run(&server, &org, &export), 4);
    let first = ["late", "now", "last", "first of tomorrow"];
    assert_eq!(names(&receiver.events()), first);
    capture(&server, &org, &[event("next", "10:00:00")]);
    server.pass(Duration::from_secs(3600));
    server.until("the second run is over", || names(&receiver.events()) == [&first[..], &["next"]].concat());
}

#[test]
fn an_empty_interval_sends_nothing() {
    let server = Server::start();
    let org = server.org();
    let receiver = Receiver::answering(&[]);
    let export = export_to(&org, &receiver.url("/"), json!({}));
    backfill(&org, &export, "10:00", "11:00");
    completed(&last_run(&server, &org, &export), 0);
    assert!(receiver.received().is_empty());
}

#[test]
fn events_are_chosen_by_name() {
    for (config, wanted) in [
        (json!({"include_events": ["a", "b"]}), &["a", "b"][..]),
        (json!({"exclude_events": ["a"]}), &["b", "c"]),
        (json!({"include_events": ["a", "b"], "exclude_events": ["b"]}), &["a"]),
        (json!({"include_events": [], "exclude_events": null}), &["a", "b", "c"]),
    ] {
        let server = Server::start();
        let org = server.org();
        let receiver = Receiver::answering(&[]);
        capture(&server, &org, &["a", "b", "c"].map(|name| event(name, "10:00:00")));
        let export = export_to(&org, &receiver.url("/"), config);
        backfill(&org, &export, "10:00", "11:00");
        completed(&last_run(&server, &org, &export), wanted.len());
        assert_eq!(names(&receiver.events()), wanted);
    }
}

#[test]
fn many_events_go_in_several_requests_and_a_refused_one_is_all_that_is_sent_again() {
    let server = patient();
    let org = server.org();
    let receiver = Receiver::answering(&[(200, ""), (503, "busy"), (429, "slow down")]);
    for part in 0..6 {
        let events: Vec<Value> =
            (0..2000).map(|number| event(&format!("{part}-{number}"), "10:00:00")).collect();
        capture(&server, &org, &events);
    }
    let export = export_to(&org, &receiver.url("/"), json!({}));
    backfill(&org, &export, "10:00", "11:00");
    let log = |search: &str| log(&org, &export, search);
    server.until("the first failure is in the log", || log("error").len() == 1);
    assert_eq!(
        (&latest(&org, &export)["status"], &latest(&org, &export)["latest_error"]),
        (&json!("Running"), &Value::Null)
    );
    until_in_time(&server, "the second failure is in the log", || log("error").len() == 2);
    server.pass(Duration::from_secs(61));
    completed(&last_run(&server, &org, &export), 12_000);
    let message = log("error");
    let wanted =
        |status: u16| format!("RetryableResponseError: RetryableResponseError (status: {status}): {HIDDEN}");
    assert!(message[1].ends_with(&wanted(503)), "{message:?}");
    assert!(message[0].ends_with(&wanted(429)), "{message:?}");
    let sizes: Vec<usize> = receiver
        .received()
        .iter()
        .map(|request| request.json()["batch"].as_array().map_or(0, Vec::len))
        .collect();
    assert_eq!(sizes, [5000, 5000, 5000, 5000, 2000]);
    let events = receiver.events();
    let uuids: BTreeSet<String> = events.iter().map(|event| text(&event["uuid"])).collect();
    assert_eq!((events.len(), uuids.len()), (12_000, 12_000));
}

#[test]
fn a_request_holds_ten_megabytes_at_the_most() {
    const BYTES_MAX: usize = 10 * 1024 * 1024;
    let server = Server::start();
    let org = server.org();
    let receiver = Receiver::answering(&[]);
    for number in 0..12 {
        let mut large = event(&format!("e{number}"), "10:00:00");
        large["properties"] = json!({"fill": "x".repeat(1_000_000)});
        capture(&server, &org, &[large]);
    }
    let export = export_to(&org, &receiver.url("/"), json!({}));
    backfill(&org, &export, "10:00", "11:00");
    completed(&last_run(&server, &org, &export), 12);
    let sizes: Vec<usize> = receiver.received().iter().map(|request| request.body.len()).collect();
    assert!(sizes.len() == 2 && sizes.iter().all(|size| *size <= BYTES_MAX), "{sizes:?}");
    assert_eq!(receiver.events().len(), 12);
}

#[test]
fn every_answer_from_200_to_299_is_a_good_one() {
    let server = Server::start();
    let org = server.org();
    let receiver = Receiver::answering(&[(204, ""), (299, "")]);
    let mut sent = event("a", "10:00:00");
    sent["properties"] = json!({"$geoip_disable": false, "$elements_chain": "mine"});
    capture(&server, &org, &[sent]);
    for _ in 0..2 {
        let export = export_to(&org, &receiver.url("/"), json!({}));
        backfill(&org, &export, "10:00", "11:00");
        completed(&last_run(&server, &org, &export), 1);
    }
    // The receiver never looks up addresses, whatever the event says; a chain is added to clicks only.
    let properties = receiver.received()[0].json()["batch"][0]["properties"].clone();
    assert_eq!(properties, json!({"$geoip_disable": true, "$elements_chain": "mine", "$ip": "127.0.0.1"}));
}

#[test]
fn a_refusal_for_good_ends_the_run_and_no_secret_is_told() {
    let server = Server::start();
    let org = server.org();
    let receiver = Receiver::answering(&[(400, "go away, phc_receiver"), (307, "elsewhere")]);
    capture(&server, &org, &[event("a", "10:00:00")]);
    let export = export_to(&org, &receiver.url("/"), json!({}));
    for (count, status) in [(1, 400), (2, 307)] {
        backfill(&org, &export, "10:00", "11:00");
        server.until("the run is over", || {
            receiver.received().len() == count && latest(&org, &export)["finished_at"].is_string()
        });
        let run = latest(&org, &export);
        assert_eq!((&run["status"], &run["records_completed"]), (&json!("Failed"), &Value::Null));
        let wanted =
            format!("NonRetryableResponseError: NonRetryableResponseError (status: {status}): {HIDDEN}");
        assert_eq!(run["latest_error"], wanted);
        let message = "Finished exporting historical batches in 2021-01-01T10:00:00+00:00 - 2021-01-01T11:00:00+00:00, but of 1 batches 1 failed and 0 were cancelled: their data is missing";
        server.until("the backfill is over", || log(&org, &export, message).len() == count);
        assert!(log(&org, &export, "Successfully").is_empty());
    }
    let log = org.owner.get(&at(&org, &export, "logs/?limit=500")).text();
    assert!(log.contains("failed with non-retryable error") && !log.contains("phc_receiver"), "{log}");
    assert!(!log.contains("go away") && !log.contains("elsewhere"), "{log}");
}

#[test]
fn an_address_that_cannot_be_one_fails_and_one_that_is_not_there_is_tried_again() {
    let server = Server::start();
    let org = server.org();
    capture(&server, &org, &[event("a", "10:00:00")]);
    let export = export_to(&org, "ftp://x/", json!({}));
    backfill(&org, &export, "10:00", "11:00");
    let run = last_run(&server, &org, &export);
    assert_eq!(run["latest_error"], "ValueError: The url must begin with http:// or https://");
    // A port that was free a moment ago.
    let nobody =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    let export = export_to(&org, &format!("http://name:word@{nobody}/"), json!({}));
    backfill(&org, &export, "10:00", "11:00");
    let log = || org.owner.get(&at(&org, &export, "logs/")).text();
    server.until("the failure is in the log", || log().contains("ClientConnectionError"));
    assert!(!log().contains("name:word"));
    assert_eq!(latest(&org, &export)["status"], "Running");
    for attempt in 2..=15 {
        server.pass(Duration::from_secs(121));
        server.until("another attempt has failed", || {
            log().matches("ClientConnectionError").count() >= attempt
        });
    }
    let run = last_run(&server, &org, &export);
    assert_eq!((&run["status"], run["latest_error"].is_string()), (&json!("FailedRetryable"), true));
}

#[test]
fn a_running_run_keeps_the_configuration_that_it_began_with() {
    let server = patient();
    let org = server.org();
    let (old, new) = (Receiver::answering(&[(503, "")]), Receiver::answering(&[]));
    capture(&server, &org, &[event("a", "10:00:00")]);
    let export = export_to(&org, &old.url("/"), json!({}));
    backfill(&org, &export, "10:00", "11:00");
    server.until("the first attempt has failed", || {
        org.owner.get(&at(&org, &export, "logs/")).text().contains("503")
    });
    let changed = json!({"destination": {"config": {"url": new.url("/"), "token": "phc_other"}}});
    org.owner.patch(&at(&org, &export, ""), changed).json(200);
    completed(&run_in_time(&server, &org, &export), 1);
    assert_eq!((old.received().len(), new.received().len()), (2, 0));
    // The old receiver never hears the new secret.
    assert!(old.received().iter().all(|request| request.json()["api_key"] == "phc_receiver"));
}

#[test]
fn pausing_lets_a_run_and_a_backfill_go_on() {
    let server = patient();
    let org = server.org();
    let receiver = Receiver::answering(&[(503, "")]);
    let export = scheduled_export_to(&org, &receiver.url("/"));
    capture(&server, &org, &[event("a", "10:00:00"), event("b", "11:00:00")]);
    backfill(&org, &export, "10:00", "12:00");
    server.until("the first attempt has failed", || log(&org, &export, "503").len() == 1);
    org.owner.post(&at(&org, &export, "pause/"), json!({})).json(200);
    let message = "Successfully finished exporting historical batches";
    until_in_time(&server, "the backfill is over", || log(&org, &export, message).len() == 1);
    assert_eq!(names(&receiver.events()), ["a", "b"]);
    assert_eq!(org.owner.get(&at(&org, &export, "")).json(200)["paused"], true);
}

#[test]
fn an_export_is_of_its_own_project_wherever_its_owner_is() {
    let server = Server::start();
    let org = server.org();
    let second = org.owner.post(&org.at("projects/"), json!({"name": "Second"})).json(201);
    let other = Org { project: second["id"].as_u64().expect("a number"), ..org.clone() };
    capture(&server, &org, &[event("first", "10:00:00")]);
    capture(&server, &other, &[event("second", "10:00:00")]);
    let receiver = Receiver::answering(&[]);
    let export = export_to(&org, &receiver.url("/"), json!({}));
    assert_eq!(export["team_id"], second["id"]);
    let back = json!({"set_current_team": org.project});
    org.owner.patch("/api/users/@me/", back).json(200);
    assert_eq!(org.owner.me()["team"]["id"], org.project);
    backfill(&org, &export, "10:00", "11:00");
    completed(&last_run(&server, &org, &export), 1);
    assert_eq!(names(&receiver.events()), ["second"]);
    assert_eq!(log(&org, &export, "Starting batch export").len(), 1);
}

#[test]
fn deleting_an_export_stops_its_run() {
    let server = Server::start();
    let org = server.org();
    let receiver = Receiver::answering(&[(503, "")]);
    capture(&server, &org, &[event("a", "10:00:00")]);
    let export = export_to(&org, &receiver.url("/"), json!({}));
    backfill(&org, &export, "10:00", "11:00");
    let same = json!({"start_at": "2021-01-01T10:00:00Z", "end_at": "2021-01-01T11:00:00Z"});
    org.owner.post(&at(&org, &export, "backfill/"), same).invalid(
        None,
        "invalid_input",
        "Backfill already running",
    );
    server.until("the first attempt is over", || receiver.received().len() == 1);
    org.owner.delete(&at(&org, &export, "")).no_content();
    let other = scheduled_export_to(&org, &receiver.url("/other"));
    server.pass(Duration::from_secs(7200));
    last_run(&server, &org, &other);
    assert!(receiver.received().iter().skip(1).all(|request| request.line == "POST /other"));
}

#[test]
fn another_instance_can_be_the_destination() {
    let (server, elsewhere) = (Server::start(), Server::start());
    let (org, other) = (server.org(), elsewhere.org());
    let events: Vec<Value> = (0..50).map(|number| event(&format!("e{number}"), "10:00:00")).collect();
    capture(&server, &org, &events);
    let url = format!("http://{}/batch/", elsewhere.address);
    let export = export_to(&org, &url, json!({"token": token(&other)}));
    // Sent twice, stored once: events keep their identifiers.
    for times in 1..=2 {
        backfill(&org, &export, "10:00", "11:00");
        server.until("the backfill is over", || {
            let log = org.owner.get(&at(&org, &export, "logs/?limit=500")).text();
            log.matches("Successfully finished exporting historical").count() == times
        });
        completed(&latest(&org, &export), 50);
    }
    let project = u32::try_from(other.project).expect("a small number");
    let kept = elsewhere
        .app
        .store
        .read(|tx| orgd::resources::events::count(tx, project.into()))
        .expect("the file is read");
    assert_eq!(kept, 50);
}

#[test]
fn an_anonymous_project_keeps_no_addresses() {
    let server = Server::start();
    let org = server.org();
    let receiver = Receiver::answering(&[]);
    capture(&server, &org, &[event("open", "10:00:00")]);
    org.owner.patch(&org.project_at(""), json!({"anonymize_ips": true})).json(200);
    let mut message = event("given", "10:00:01");
    message["properties"] = json!({"$ip": "1.2.3.4"});
    capture(&server, &org, &[message]);
    let export = export_to(&org, &receiver.url("/"), json!({}));
    backfill(&org, &export, "10:00", "11:00");
    last_run(&server, &org, &export);
    let events = receiver.events();
    assert_eq!(
        (&events[0]["properties"]["$ip"], &events[1]["properties"]["$ip"]),
        (&json!("127.0.0.1"), &Value::Null)
    );
}

#[test]
fn a_run_of_before_a_restart_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("orgd.redb");
    let receiver = Receiver::answering(&[(503, "")]);
    let (mut org, export, tried_at): (Org, Value, Time) = {
        let server = Server::on_file(&path);
        let org = server.org();
        capture(&server, &org, &[event("a", "10:00:00"), event("b", "11:00:00")]);
        let export = export_to(&org, &receiver.url("/"), json!({}));
        backfill(&org, &export, "10:00", "12:00");
        server.until("the first attempt is over", || {
            org.owner.get(&at(&org, &export, "logs/")).text().contains("503")
        });
        (org, export, server.app.clock.now())
    };
    let server = Server::open(Storage::File(path), be_patient);
    org.owner.address = server.address;
    assert!(server.app.clock.now() >= tried_at);
    until_in_time(&server, "both steps are over", || names(&receiver.events()) == ["a", "b"]);
    completed(&last_run(&server, &org, &export), 1);
}

#[test]
fn without_its_key_a_server_asks_for_the_secrets_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("orgd.redb");
    let receiver = Receiver::answering(&[]);
    let (mut org, export) = {
        let server = Server::on_file(&path);
        let org = server.org();
        capture(&server, &org, &[event("a", "10:00:00")]);
        let export = export_to(&org, &receiver.url("/"), json!({}));
        (org, export)
    };
    std::fs::remove_file(folder.path().join("orgd.redb.key")).expect("the key lies beside the file");
    let server = Server::open(Storage::File(path), |config| config.new_secret_key = true);
    org.owner.address = server.address;
    backfill(&org, &export, "10:00", "11:00");
    let run = last_run(&server, &org, &export);
    let message = text(&run["latest_error"]);
    assert!(message.starts_with("ConfigurationError: The configuration lacks 'token'."), "{message}");
    assert!(receiver.received().is_empty());
    let entered = json!({"destination": {"config": {"token": "phc_entered_again"}}});
    org.owner.patch(&at(&org, &export, ""), entered).json(200);
    let range = json!({"start_at": "2021-01-01T09:30:00Z", "end_at": "2021-01-01T10:30:00Z"});
    org.owner.post(&at(&org, &export, "backfill/"), range).json(200);
    server.until("the event arrives", || receiver.received().len() == 1);
    assert_eq!(receiver.received()[0].json()["api_key"], "phc_entered_again");
}
