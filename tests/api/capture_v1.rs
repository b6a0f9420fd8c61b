//! The newer protocol of capture: an answer for each event.

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use orgd::clock::Time;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::support::exports::{completed, last_run, scheduled_export_to, token};
use crate::support::{Answer, Org, Receiver, Server, text};

const PATH: &str = "/i/v1/analytics/events";
const UUID: &str = "018c0d7e-1111-7000-8000-00000000000";

fn event(number: u8, more: Value) -> Value {
    let mut event = json!({
        "event": "seen", "uuid": format!("{UUID}{number:x}"), "distinct_id": "d",
        "timestamp": "2024-06-01T12:00:00Z", "options": {}, "properties": {},
    });
    event.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    event
}

fn batch(events: &[Value]) -> Value {
    json!({"created_at": "2024-06-01T12:00:01Z", "batch": events})
}

fn send_with(server: &Server, token: &str, body: impl Into<Vec<u8>>, more: &[(&str, &str)]) -> Answer {
    let bearer = format!("Bearer {token}");
    let mut headers = vec![("authorization", bearer.as_str()), ("content-type", "application/json")];
    headers.extend(more);
    server.anyone().send(Method::POST, PATH, body, &headers)
}

fn send(server: &Server, org: &Org, body: &Value) -> Answer {
    send_with(server, &token(org), body.to_string(), &[])
}

/// What a scheduled run delivers.
fn delivered(server: &Server, org: &Org, count: usize) -> Vec<Value> {
    let receiver = Receiver::answering(&[]);
    let export = scheduled_export_to(org, &receiver.url("/"));
    server.pass(Duration::from_secs(3600));
    completed(&last_run(server, org, &export), count);
    receiver.events()
}

fn kept(server: &Server, org: &Org) -> usize {
    let receiver = Receiver::answering(&[]);
    let export = scheduled_export_to(org, &receiver.url("/"));
    server.pass(Duration::from_secs(3600));
    let run = last_run(server, org, &export);
    assert_eq!(run["status"], "Completed");
    receiver.events().len()
}

#[test]
fn every_event_has_its_answer_in_the_order_of_arrival() {
    let server = Server::start();
    let org = server.org();
    let long = "x".repeat(201);
    let cases = [
        (json!({}), "ok", None),
        (json!({"event": " "}), "drop", Some("missing_event_name")),
        (json!({"event": null}), "drop", Some("missing_event_name")),
        (json!({"event": long}), "drop", Some("event_name_too_long")),
        (json!({"distinct_id": ""}), "drop", Some("missing_distinct_id")),
        (json!({"distinct_id": long}), "drop", Some("distinct_id_too_large")),
        (json!({"timestamp": "yesterday"}), "drop", Some("invalid_event_timestamp")),
        (json!({"timestamp": "2024-06-01T12:00:00"}), "drop", Some("invalid_event_timestamp")),
        (json!({"timestamp": null}), "drop", Some("invalid_event_timestamp")),
        (json!({"properties": []}), "drop", Some("malformed_event_properties")),
        (json!({"options": {"cookieless_mode": "maybe"}}), "drop", Some("invalid_options")),
        (json!({"options": []}), "drop", Some("invalid_options")),
        (json!({"distinct_id": "Anonymous"}), "ok", Some("person_processing_disabled")),
        (json!({"distinct_id": " d ", "options": null, "properties": null}), "ok", None),
        (json!({"event": "x".repeat(200), "options": {"product_tour_id": 7, "other": []}}), "ok", None),
    ];
    let mut events = Vec::new();
    for (number, (more, _, _)) in cases.iter().enumerate() {
        events.push(event(u8::try_from(number).expect("a small number"), more.clone()));
    }
    let answer = send(&server, &org, &batch(&events));
    assert!(answer.headers.get("retry-after").is_none());
    let results = answer.json(200)["results"].as_object().expect("results").clone();
    assert_eq!(results.len(), cases.len());
    for ((uuid, result), (number, (_, wanted, details))) in results.iter().zip(cases.iter().enumerate()) {
        assert_eq!(*uuid, format!("{UUID}{number:x}"));
        let mut expected = json!({"result": wanted});
        if let Some(details) = details {
            expected["details"] = json!(details);
        }
        assert_eq!(*result, expected, "{number}");
    }
    let stored = delivered(&server, &org, 4);
    assert_eq!(stored[2]["distinct_id"], "d");
}

#[test]
fn what_stands_beside_the_properties_becomes_one_of_them() {
    let server = Server::start();
    let org = server.org();
    let first = event(
        1,
        json!({
            "session_id": "s", "window_id": "w", "uuid": format!("{UUID}1").to_uppercase(),
            "options": {
                "cookieless_mode": "true", "disable_skew_correction": 1, "process_person_profile": false,
                "product_tour_id": "t", "unknown": 1,
            },
            "properties": {"a": 1, "$set": {"b": 2}},
        }),
    );
    let second = event(2, json!({"properties": {"$lib": "own", "$lib_version": "0"}}));
    let sdk = [("posthog-sdk-info", "posthog-python/7.91.1")];
    let answer = send_with(&server, &token(&org), batch(&[first, second]).to_string(), &sdk);
    assert_eq!(answer.json(200)["results"][format!("{UUID}1")], json!({"result": "ok"}));
    let mut stored = delivered(&server, &org, 2);
    let properties = stored[0]["properties"].as_object_mut().expect("properties");
    assert!(properties.remove("$ip").is_some() && properties.remove("$geoip_disable").is_some());
    let wanted = json!({
        "a": 1, "$set": {"b": 2}, "$session_id": "s", "$window_id": "w", "$cookieless_mode": true,
        "$ignore_sent_at": true, "$process_person_profile": false, "$product_tour_id": "t",
        "$lib": "posthog-python", "$lib_version": "7.91.1",
    });
    assert_eq!(stored[0]["properties"], wanted);
    assert_eq!(stored[0]["uuid"], format!("{UUID}1"));
    assert_eq!(
        (&stored[1]["properties"]["$lib"], &stored[1]["properties"]["$lib_version"]),
        (&json!("own"), &json!("0"))
    );
}

#[test]
fn a_clock_that_is_wrong_is_corrected_unless_the_sender_forbids_it() {
    let server = Server::start();
    let org = server.org();
    let now = server.app.clock.now();
    let said = now.plus_seconds(3 * 3600);
    let at = |number, time: Time, options: Value| {
        event(number, json!({"timestamp": time.to_string(), "options": options}))
    };
    let events = [
        at(1, said, json!({})),
        at(2, said, json!({"disable_skew_correction": true})),
        at(3, said.plus_seconds(30 * 3600), json!({})),
    ];
    let sent = said.to_string();
    let headers = [("posthog-request-timestamp", sent.as_str()), ("posthog-attempt", "1")];
    send_with(&server, &token(&org), batch(&events).to_string(), &headers).json(200);
    let times: Vec<i64> = delivered(&server, &org, 3)
        .iter()
        .map(|event| Time::parse(&text(&event["timestamp"])).expect("a time").0 - now.0)
        .collect();
    let hour = 3_600_000_000;
    for (time, wanted) in times.iter().zip([0, 3 * hour, 0]) {
        assert!((time - wanted).abs() < hour / 60, "{times:?}");
    }
}

#[test]
fn what_is_sent_again_is_stored_once() {
    let server = Server::start();
    let org = server.org();
    let body = batch(&[event(1, json!({})), event(2, json!({}))]);
    let first = send(&server, &org, &body).json(200);
    assert_eq!(send(&server, &org, &body).json(200), first);
    let old = json!({"api_key": token(&org), "batch": [event(2, json!({}))]});
    server.anyone().post("/batch/", old).json(200);
    assert_eq!(kept(&server, &org), 2);
}

#[test]
fn a_batch_that_is_wrong_as_a_whole_stores_nothing() {
    let server = Server::start();
    let org = server.org();
    let good = event(1, json!({}));
    let mut bare = good.clone();
    bare.as_object_mut().expect("an object").remove("uuid");
    let twice = event(1, json!({"uuid": format!("{UUID}1").to_uppercase()}));
    for (body, tag) in [
        (String::new(), "empty_body"),
        (" ".to_owned(), "empty_body"),
        ("{".to_owned(), "request_parsing_error"),
        ("[]".to_owned(), "request_parsing_error"),
        (json!({"created_at": "2024-06-01T12:00:01Z", "batch": {}}).to_string(), "request_parsing_error"),
        ("5".to_owned(), "request_parsing_error"),
        (json!(["2024-06-01T12:00:01Z", [good]]).to_string(), "request_parsing_error"),
        (batch(&[json!(5)]).to_string(), "request_parsing_error"),
        (batch(&[json!([good["uuid"]])]).to_string(), "request_parsing_error"),
        (batch(&[]).to_string(), "empty_batch"),
        (json!({"created_at": "2024-06-01T12:00:01Z"}).to_string(), "empty_batch"),
        (json!({"batch": [good]}).to_string(), "invalid_batch"),
        (json!({"created_at": "soon", "batch": [good]}).to_string(), "invalid_batch"),
        (batch(&[good.clone(), bare]).to_string(), "missing_event_uuid"),
        (batch(&[good.clone(), event(2, json!({"uuid": ""}))]).to_string(), "missing_event_uuid"),
        (batch(&[good.clone(), event(2, json!({"uuid": "x"}))]).to_string(), "invalid_event_uuid"),
        (batch(&[good.clone(), event(2, json!({"uuid": 5}))]).to_string(), "invalid_event_uuid"),
        (batch(&[good.clone(), twice]).to_string(), "duplicate_event_uuid"),
        ("\u{1f}\u{8b}".to_owned(), "request_parsing_error"),
    ] {
        let answer = send_with(&server, &token(&org), body.clone(), &[]).json(400);
        assert_eq!(answer["error"], tag, "{body}");
        assert!(answer["error_description"].is_string() && answer["error_uri"].is_string());
        assert!(!answer.to_string().contains("struct"), "{answer}");
    }
    let damaged =
        send_with(&server, &token(&org), b"\x1f\x8b\x08nonsense".to_vec(), &[("content-encoding", "gzip")]);
    assert_eq!(damaged.json(400)["error"], "request_decoding_error");
    assert_eq!(kept(&server, &org), 0);
}

#[test]
fn the_head_is_checked_no_more_than_it_must_be() {
    let server = Server::start();
    let org = server.org();
    let body = batch(&[event(1, json!({}))]).to_string();
    let bare = |headers: &[(&str, &str)]| server.anyone().send(Method::POST, PATH, body.clone(), headers);
    let bearer = format!("Bearer {}", token(&org));
    for headers in [
        &[][..],
        &[("authorization", "Basic x")],
        &[("authorization", "Bearer ")],
        &[("authorization", "Bearer phx_x")],
    ] {
        let answer = bare(headers);
        assert_eq!(answer.json(401)["error"], "invalid_api_token", "{headers:?}");
    }
    bare(&[("authorization", &bearer)]).json(200);
    for (name, value, tag) in [
        ("content-encoding", "br", "unsupported_content_encoding"),
        ("content-encoding", "zstd", "unsupported_content_encoding"),
        ("content-type", "image/png", "unsupported_content_type"),
    ] {
        assert_eq!(bare(&[("authorization", &bearer), (name, value)]).json(415)["error"], tag);
    }
    for path in [PATH, &format!("{PATH}/")] {
        let sent = server.anyone().send(Method::POST, path, body.clone(), &[("authorization", &bearer)]);
        sent.json(200);
    }
    // A token that nobody has is answered as one that somebody has.
    let unknown = send_with(&server, "phc_nosuch", body.clone(), &[]).json(200);
    assert_eq!(unknown["results"][format!("{UUID}1")], json!({"result": "ok"}));
    assert_eq!(kept(&server, &org), 1);
}

#[test]
fn packed_and_imperfect_batches_are_read() {
    let server = Server::start();
    let org = server.org();
    let text = batch(&[event(1, json!({})), event(2, json!({}))]).to_string();
    let text = text.replacen("\"seen\"", "\"cut \\ud83d\"", 1).replacen(
        "\"properties\":{}",
        "\"properties\":{\"n\":NaN}",
        1,
    );
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(text.as_bytes()).expect("memory takes all");
    let gzip = gzip.finish().expect("memory takes all");
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(text.replace(UUID, &UUID.replace("1111", "2222")).as_bytes()).expect("memory takes all");
    let zlib = zlib.finish().expect("memory takes all");
    for (body, encoding) in [(gzip, "gzip"), (zlib, "deflate")] {
        let answer = send_with(&server, &token(&org), body, &[("content-encoding", encoding)]).json(200);
        assert!(
            answer["results"].as_object().expect("results").values().all(|result| result["result"] == "ok")
        );
    }
    let names: Vec<String> =
        delivered(&server, &org, 4).iter().map(|event| self::text(&event["event"])).collect();
    assert_eq!(names.iter().filter(|name| *name == "cut \u{fffd}").count(), 2);
}

#[test]
fn a_batch_is_limited_and_one_event_in_it_too() {
    let server = Server::start();
    let org = server.org();
    let big = event(1, json!({"properties": {"fill": "x".repeat(3 * 1024 * 1024)}}));
    let answer = send(&server, &org, &batch(&[big, event(2, json!({}))])).json(200);
    assert_eq!(answer["results"][format!("{UUID}1")], json!({"result": "drop", "details": "event_too_big"}));
    assert_eq!(answer["results"][format!("{UUID}2")], json!({"result": "ok"}));
    let mut huge = GzEncoder::new(Vec::new(), Compression::fast());
    huge.write_all(&vec![b' '; 20 * 1024 * 1024 + 1]).expect("memory takes all");
    let huge = huge.finish().expect("memory takes all");
    assert_eq!(send_with(&server, &token(&org), huge, &[]).json(413)["error"], "payload_too_large");
    assert_eq!(kept(&server, &org), 1);
}

#[test]
fn pages_of_any_site_may_send() {
    let server = Server::start();
    let wanted = "authorization,content-type,posthog-sdk-info,posthog-attempt";
    let origin = ("origin", "https://shop.example");
    let asks =
        [origin, ("access-control-request-method", "POST"), ("access-control-request-headers", wanted)];
    let answer = server.anyone().send(Method::OPTIONS, PATH, "", &asks);
    assert_eq!((answer.status, answer.header("access-control-allow-headers").as_str()), (200, wanted));
    let refused = server.anyone().send(Method::POST, PATH, "{}", &[origin]);
    assert_eq!(
        (refused.status, refused.header("access-control-allow-origin").as_str()),
        (401, "https://shop.example")
    );
}
