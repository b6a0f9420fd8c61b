//! When captured events happened: every way in which senders write times, and tell that their clock is wrong.

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use orgd::clock::{SECOND_MICROS, Time};
use serde_json::{Value, json};
use ureq::http::Method;

use crate::support::exports::{at, capture, completed, last_run, scheduled_export_to, token};
use crate::support::{Org, Receiver, Server, text};

const HOUR: i64 = 60 * 60;

/// What a scheduled run delivers, by the names of the events: the times of all that were captured.
fn delivered(server: &Server, org: &Org, count: usize) -> Vec<(String, Time)> {
    let receiver = Receiver::answering(&[]);
    let export = scheduled_export_to(org, &receiver.url("/"));
    server.pass(Duration::from_secs(3600));
    completed(&last_run(server, org, &export), count);
    let time = |event: &Value| Time::parse(&text(&event["timestamp"])).expect("a time");
    receiver.events().iter().map(|event| (text(&event["event"]), time(event))).collect()
}

fn is_near(time: Time, wanted: Time) -> bool {
    (time.0 - wanted.0).abs() < 60 * SECOND_MICROS
}

#[test]
fn every_form_of_a_time_is_the_moment_that_it_says() {
    let forms = [
        "2024-06-01T12:00:00Z",
        "2024-06-01T12:00:00+0000",
        "2024-06-01T12:00:00+00",
        "2024-06-01T14:00:00+02",
        "2024-06-01T08:30:00-0330",
        "2024-06-01T17:30:00+05:30",
        "2024-06-01T12:00",
        "2024-06-01T12",
        "20240601T120000Z",
        "2024-W22-6T12:00:00Z",
        "2024-153T12:00:00Z",
        "2024-06-01T12:00:00,0Z",
        "2024-06-01t12:00:00z",
        "2024-06-01 12:00:00 +0000 UTC",
        "2024-06-01T14:00:00+02:00[Europe/Paris]",
        "Sat, 01 Jun 2024 12:00:00 GMT",
        "1717243200",
        "1717243200000",
    ];
    let server = Server::start();
    let org = server.org();
    let mut events: Vec<Value> =
        forms.iter().map(|form| json!({"event": form, "distinct_id": "d", "timestamp": form})).collect();
    for number in [1_717_243_200_i64, 1_717_243_200_000] {
        events.push(json!({"event": "a number", "distinct_id": "d", "timestamp": number}));
    }
    events.push(json!({"event": "end of day", "distinct_id": "d", "timestamp": "2024-05-31T24:00:00Z"}));
    let unreadable = [json!("yesterday"), json!("12:00"), json!(true), json!({}), json!("")];
    events
        .extend(unreadable.iter().map(|form| json!({"event": "now", "distinct_id": "d", "timestamp": form})));
    let now = server.app.clock.now();
    capture(&server, &org, &events);
    let noon = Time::parse("2024-06-01T12:00:00Z").expect("a time");
    for (name, time) in delivered(&server, &org, events.len()) {
        match name.as_str() {
            "now" => assert!(is_near(time, now), "{time}"),
            "end of day" => assert_eq!(time, noon.plus_seconds(-12 * HOUR)),
            _ => assert_eq!(time, noon, "{name}"),
        }
    }
}

fn packed(bytes: &[u8], how: &str) -> Vec<u8> {
    match how {
        "gzip" => {
            let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
            packer.write_all(bytes).expect("memory takes all");
            packer.finish().expect("memory takes all")
        }
        "deflate" => {
            let mut packer = ZlibEncoder::new(Vec::new(), Compression::default());
            packer.write_all(bytes).expect("memory takes all");
            packer.finish().expect("memory takes all")
        }
        _ => bytes.to_vec(),
    }
}

#[test]
fn a_clock_that_is_wrong_is_corrected_however_the_sender_says_so() {
    let server = Server::start();
    let org = server.org();
    let token = token(&org);
    let now = server.app.clock.now();
    // The sender's clock is five hours ahead; the event happened ten minutes before it was sent.
    let sent = now.plus_seconds(5 * HOUR);
    let millis = sent.0 / 1000;
    let event = |extra: Value| {
        let mut event = json!({
            "event": "e", "timestamp": sent.plus_seconds(-600).to_string(),
            "properties": {"token": token, "distinct_id": "d"},
        });
        let extra = extra.as_object().expect("an object").clone();
        event.as_object_mut().expect("an object").extend(extra);
        event
    };
    let plain = event(json!({}));
    let batch = |sent_at: Value| json!({"api_key": token, "batch": [plain], "sent_at": sent_at});
    let wrong = now.plus_seconds(-40 * HOUR).0 / 1000;
    let mut count = 0;
    let mut send = |query: String, body: &Value| {
        for path in ["/e", "/i/v0/e", "/capture", "/track", "/engage", "/batch"] {
            for how in ["plain", "gzip", "deflate"] {
                let body = packed(body.to_string().as_bytes(), how);
                server.anyone().send(Method::POST, &format!("{path}/{query}"), body, &[]).json(200);
                count += 1;
            }
        }
    };
    send(format!("?ip=0&_={millis}&ver=1.2"), &json!([plain]));
    send(format!("?sent_at={millis}&_={wrong}"), &plain);
    send(String::new(), &event(json!({"sent_at": sent.to_string()})));
    send(format!("?_={wrong}"), &event(json!({"sent_at": millis})));
    send(format!("?sent_at={wrong}"), &batch(json!(sent.to_string())));
    send(String::new(), &batch(json!(millis)));
    send(format!("?_={millis}"), &batch(json!("soon")));
    let all = delivered(&server, &org, count);
    assert_eq!(all.len(), count);
    for (_, time) in all {
        assert!(is_near(time, now.plus_seconds(-600)), "{time}");
    }
}

#[test]
fn a_sender_may_keep_its_own_times() {
    let server = Server::start();
    let org = server.org();
    let said = "2024-06-01T12:00:00Z";
    let event =
        json!({"event": "e", "distinct_id": "d", "timestamp": said, "properties": {"$ignore_sent_at": true}});
    let body = json!({"api_key": token(&org), "batch": [event], "sent_at": "2024-06-02T00:00:00Z"});
    server.anyone().post("/batch/?_=1717243200000", body).json(200);
    assert_eq!(delivered(&server, &org, 1)[0].1.to_string(), said);
}

#[test]
fn an_event_that_is_far_ahead_is_of_now_and_none_is_in_no_run() {
    let server = Server::start();
    let org = server.org();
    let now = server.app.clock.now();
    let at = [0, 2 * HOUR, 22 * HOUR, 25 * HOUR, 48 * HOUR, 10 * 365 * 24 * HOUR, -10 * 365 * 24 * HOUR];
    let mut events: Vec<Value> = at
        .iter()
        .map(|seconds| {
            let time = now.plus_seconds(*seconds).to_string();
            json!({"event": seconds.to_string(), "distinct_id": "d", "timestamp": time})
        })
        .collect();
    events.push(json!({"event": "first", "distinct_id": "d", "timestamp": "0001-01-01T00:00:00Z"}));
    events.push(json!({"event": "0", "distinct_id": "d", "timestamp": "9999-12-31T23:59:59Z"}));
    events.push(json!({"event": "0", "distinct_id": "d", "offset": -1_000_000_000_i64}));
    capture(&server, &org, &events);
    for (name, time) in delivered(&server, &org, events.len()) {
        let Ok(seconds) = name.parse::<i64>() else {
            assert_eq!(time.to_string(), "0001-01-01T00:00:00Z");
            continue;
        };
        let wanted = if seconds > 23 * HOUR { now } else { now.plus_seconds(seconds) };
        assert!(is_near(time, wanted), "{name}: {time}");
    }
}

#[test]
fn every_place_that_reads_a_time_reads_the_same_forms() {
    let server = Server::start();
    let org = server.org();
    let receiver = Receiver::answering(&[]);
    let export = scheduled_export_to(&org, &receiver.url("/"));
    let fields = ["2024-06-01T12:00:00+0000", "20240601T120000Z", "2024-06-01T12:00", "2024-06-01T14+02"];
    for form in fields {
        for name in ["start_at", "end_at"] {
            let changed = org.owner.patch(&at(&org, &export, ""), json!({name: form})).json(200);
            assert_eq!(changed[name], "2024-06-01T12:00:00Z", "{name} {form}");
        }
    }
    let reset = json!({"start_at": null, "end_at": null});
    org.owner.patch(&at(&org, &export, ""), reset).json(200);
    for form in ["2024-06-01T12:00:00+0000", "2024-06-01T12:00:00+00", "20240601T120000Z"] {
        let range = json!({"start_at": form, "end_at": "2024-06-01T13:00Z"});
        let export = scheduled_export_to(&org, &receiver.url("/"));
        org.owner.post(&at(&org, &export, "backfill/"), range).json(200);
    }
    for naive in ["2024-06-01T12:00:00", "20240601T120000", "2024-06-01"] {
        let range = json!({"start_at": naive, "end_at": "2024-06-01T13:00Z"});
        let answer = org.owner.post(&at(&org, &export, "backfill/"), range);
        assert!(answer.reason().contains("naive"), "{naive}");
    }
    for name in ["after", "before"] {
        for form in ["2024-06-01T12:00:00%2B0000", "20240601T120000Z", "2024-06-01T12:00"] {
            org.owner.get(&at(&org, &export, &format!("logs/?{name}={form}"))).json(200);
        }
        org.owner.get(&at(&org, &export, &format!("logs/?{name}=yesterday"))).reason();
    }
}
