//! Capture: what senders may deliver, and what they are answered.

use std::io::{Read, Write};
use std::net::TcpStream;

use base64::Engine;
use flate2::Compression;
use flate2::write::GzEncoder;
use orgd::resources::events;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::support::{Answer, Org, Person, Server, text};

const PATHS: [&str; 6] = ["/capture", "/e", "/track", "/engage", "/i/v0/e", "/batch"];

fn token(org: &Org) -> String {
    text(&org.owner.get(&org.project_at("")).json(200)["api_token"])
}

fn send(person: &Person, path: &str, body: impl Into<Vec<u8>>) -> Answer {
    person.send(Method::POST, path, body, &[("content-type", "text/plain")])
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}

fn kept(server: &Server, org: &Org) -> u64 {
    let project = u32::try_from(org.project).expect("a small number");
    server.app.store.read(|tx| events::count(tx, project.into())).expect("the file can be read")
}

fn refused(answer: &Answer, status: u16, sentence: &str) {
    assert_eq!((answer.status, answer.text().as_str()), (status, sentence));
    assert!(answer.header("content-type").starts_with("text/plain"));
}

#[test]
fn every_path_takes_every_shape_with_and_without_its_slash() {
    let server = Server::start();
    let org = server.org();
    let token = token(&org);
    let sender = server.anyone();
    let event = json!({"event": "seen", "distinct_id": "d", "api_key": token});
    let mut sent = 0;
    for path in PATHS {
        let slash = format!("{path}/");
        for path in [path, &slash] {
            for body in [event.clone(), json!([event, event]), json!({"api_key": token, "batch": [event]})] {
                let packed = gzip(body.to_string().as_bytes());
                assert_eq!(send(&sender, path, body.to_string()).json(200), json!({"status": 1}), "{path}");
                send(&sender, path, packed).json(200);
                sent += if body.is_array() { 4 } else { 2 };
            }
        }
    }
    assert_eq!(kept(&server, &org), sent);
}

#[test]
fn packed_bodies_are_known_by_their_first_bytes_whatever_is_said_of_them() {
    let server = Server::start();
    let org = server.org();
    let event = json!({"event": "seen", "distinct_id": "d", "api_key": token(&org)}).to_string();
    let packed = gzip(event.as_bytes());
    let encoded = base64::engine::general_purpose::STANDARD.encode(&event);
    let form: String = form_urlencoded::Serializer::new(String::new()).append_pair("data", &encoded).finish();
    let form_of = [("content-type", "application/x-www-form-urlencoded")];
    let mut sent = 0;
    for (path, body, headers) in [
        ("/e/?compression=gzip-js", packed.clone(), &[("content-type", "text/plain")][..]),
        ("/e/?compression=gzip", event.clone().into_bytes(), &[]),
        ("/e/", packed.clone(), &[("content-encoding", "gzip"), ("content-type", "application/json")]),
        ("/batch/", packed, &[("content-encoding", "br")]),
        ("/e/", event.into_bytes(), &[("content-encoding", "gzip")]),
        ("/e/?compression=base64", form.into_bytes(), &form_of),
        ("/track/", format!("data={encoded}&compression=base64").into_bytes(), &form_of),
    ] {
        let answer = server.anyone().send(Method::POST, path, body, headers);
        assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"status":1}"#), "{path} {headers:?}");
        sent += 1;
    }
    assert_eq!(kept(&server, &org), sent);
}

#[test]
fn what_cannot_be_read_is_refused_in_plain_text_and_stored_nowhere() {
    let server = Server::start();
    let org = server.org();
    let event = json!({"event": "seen", "distinct_id": "d", "api_key": token(&org)});
    let without = |name: &str| {
        let mut event = event.clone();
        event.as_object_mut().expect("an object").remove(name);
        event.to_string().into_bytes()
    };
    for path in PATHS {
        for (body, status, sentence) in [
            (b"{".to_vec(), 400, "failed to parse request"),
            (b"\x1f\x8b\x08 nonsense".to_vec(), 400, "failed to decode request: invalid gzip data"),
            (b"data=%%%".to_vec(), 400, "failed to decode request: invalid base64 data"),
            (b"\xff\xfe".to_vec(), 400, "failed to parse request"),
            (Vec::new(), 400, "request holds no event"),
            (b"[]".to_vec(), 400, "request holds no event"),
            (without("event"), 400, "request holds no event"),
            (without("distinct_id"), 400, "event submitted without a distinct_id"),
            (without("api_key"), 401, "event submitted without an api_key"),
        ] {
            let answer = send(&server.anyone(), path, body);
            assert_eq!(answer.status, status, "{path}: {}", answer.text());
            assert!(answer.text().starts_with(sentence), "{path}: {}", answer.text());
            assert!(answer.header("content-type").starts_with("text/plain"), "{path}");
        }
    }
    assert_eq!(kept(&server, &org), 0);
}

#[test]
fn the_token_of_a_batch_wins_over_those_inside() {
    let server = Server::start();
    let (org, other) = (server.org(), server.org());
    let inside = json!({"event": "a", "distinct_id": "d", "api_key": token(&other)});
    for name in ["api_key", "token"] {
        let mut batch = json!({"batch": [inside]});
        batch[name] = json!(token(&org));
        send(&server.anyone(), "/batch", batch.to_string()).json(200);
    }
    assert_eq!((kept(&server, &org), kept(&server, &other)), (2, 0));
    // Where there is none outside, the events have to agree.
    send(&server.anyone(), "/batch", json!({"batch": [inside, inside]}).to_string()).json(200);
    assert_eq!(kept(&server, &other), 2);
    let mine = json!({"event": "a", "distinct_id": "d", "$token": token(&org)});
    for body in [json!({"batch": [inside, mine]}), json!([inside, mine])] {
        refused(
            &send(&server.anyone(), "/batch", body.to_string()),
            401,
            "batch submitted with inconsistent api_key values: event 1 of the batch, counted from 0",
        );
    }
    assert_eq!((kept(&server, &org), kept(&server, &other)), (2, 2));
}

#[test]
fn the_first_event_marks_the_project() {
    let server = Server::start();
    let org = server.org();
    let ingested = || org.owner.get(&org.project_at("")).json(200)["ingested_event"].clone();
    let token = token(&org);
    assert_eq!(ingested(), false);
    send(&server.anyone(), "/e", json!({"event": "", "distinct_id": "d", "api_key": token}).to_string());
    assert_eq!(ingested(), false);
    send(&server.anyone(), "/e", json!({"event": "a", "distinct_id": "d", "api_key": token}).to_string());
    assert_eq!(ingested(), true);
}

#[test]
fn a_batch_is_stored_as_a_whole_or_not_at_all() {
    let server = Server::start();
    let org = server.org();
    let token = token(&org);
    let good = json!({"event": "a", "distinct_id": "d"});
    let batch = json!({"api_key": token, "batch": [good, {"event": "a"}, good]});
    refused(
        &send(&server.anyone(), "/batch", batch.to_string()),
        400,
        "event submitted without a distinct_id: event 1 of the batch, counted from 0",
    );
    assert_eq!(kept(&server, &org), 0);
}

#[test]
fn the_same_event_is_stored_once() {
    let server = Server::start();
    let org = server.org();
    let token = token(&org);
    let uuid = "018c0d7e-1111-7000-8000-000000000001";
    let event =
        |name: &str, distinct_id: &str| json!({"event": name, "distinct_id": distinct_id, "uuid": uuid});
    let batch = json!({"api_key": token, "batch": [event("a", "d"), event("a", "d"), event("b", "d"), event("a", "e")]});
    send(&server.anyone(), "/batch", batch.to_string()).json(200);
    send(&server.anyone(), "/batch", batch.to_string()).json(200);
    assert_eq!(kept(&server, &org), 3);
}

#[test]
fn a_token_opens_its_own_project_only_and_only_while_it_is_the_newest() {
    let server = Server::start();
    let (org, other) = (server.org(), server.org());
    let old = token(&org);
    let with = |token: &str| {
        send(&server.anyone(), "/e", json!({"event": "a", "distinct_id": "d", "api_key": token}).to_string())
    };
    with(&old).json(200);
    org.owner.patch(&org.project_at("reset_token/"), json!({})).json(200);
    with(&old).json(200);
    with("phc_unknown").json(200);
    assert_eq!((kept(&server, &org), kept(&server, &other)), (1, 0));
    with(&token(&org)).json(200);
    assert_eq!(kept(&server, &org), 2);
    refused(&with("phx_personal"), 401, "API key is not valid: personal_api_key");
}

#[test]
fn neither_session_nor_csrf_nor_content_type_matters() {
    let server = Server::start();
    let org = server.org();
    let event = json!({"event": "a", "distinct_id": "d", "api_key": token(&org)}).to_string();
    org.owner
        .send(Method::POST, "/e", event.clone(), &[("content-type", "image/png"), ("x-csrftoken", "wrong")])
        .json(200);
    org.owner.holding("phx_wrong").send(Method::POST, "/e", event, &[]).json(200);
    assert_eq!(kept(&server, &org), 2);
}

#[test]
fn pages_of_any_site_may_send() {
    let server = Server::start();
    let asks = [
        ("origin", "https://shop.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type,x-own"),
    ];
    let answer = server.anyone().send(Method::OPTIONS, "/batch/", "", &asks);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), "https://shop.example");
    assert_eq!(answer.header("access-control-allow-headers"), "content-type,x-own");
    let answer = server.anyone().send(Method::POST, "/e", "{}", &[("origin", "https://shop.example")]);
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin").as_str()),
        (400, "https://shop.example")
    );
    assert_eq!(server.anyone().send(Method::OPTIONS, "/e", "", &[]).status, 200);
    server.anyone().get("/batch/").not_allowed("GET");
}

#[test]
fn a_request_has_its_limit_packed_and_unpacked() {
    const LIMIT: usize = 2 * 1024 * 1024;
    let server = Server::start();
    let org = server.org();
    let token = token(&org);
    let of_size = |bytes: usize| {
        let mut event =
            json!({"event": "a", "distinct_id": "d", "api_key": token, "properties": {"fill": ""}});
        let rest = bytes - event.to_string().len();
        event["properties"]["fill"] = Value::String("x".repeat(rest));
        event.to_string()
    };
    let sender = server.anyone();
    send(&sender, "/e", of_size(LIMIT)).json(200);
    // A body that says that it is too large is not waited for.
    let mut socket = TcpStream::connect(server.address).expect("the server listens");
    let head =
        format!("POST /e HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", LIMIT + 1);
    socket.write_all(head.as_bytes()).expect("the head is read");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("the answer is text");
    assert!(
        answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("maximum event size exceeded"),
        "{answer}"
    );
    refused(&send(&sender, "/e", gzip(of_size(LIMIT + 1).as_bytes())), 400, "maximum event size exceeded");
    for body in [of_size(LIMIT + 1).into_bytes(), gzip(of_size(LIMIT + 1).as_bytes())] {
        send(&sender, "/batch", body).json(200);
    }
    const BATCH_LIMIT: usize = 20 * 1024 * 1024;
    for body in [of_size(BATCH_LIMIT).into_bytes(), gzip(of_size(BATCH_LIMIT).as_bytes())] {
        send(&sender, "/batch", body).json(200);
    }
    refused(
        &send(&sender, "/batch", gzip(of_size(BATCH_LIMIT + 1).as_bytes())),
        400,
        "maximum event size exceeded",
    );
    assert_eq!(kept(&server, &org), 5);
}

#[test]
fn events_outlive_the_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("orgd.redb");
    let org = {
        let server = Server::on_file(&path);
        let org = server.org();
        let event = json!({"event": "a", "distinct_id": "d", "api_key": token(&org)});
        send(&server.anyone(), "/e", event.to_string()).json(200);
        org
    };
    assert_eq!(kept(&Server::on_file(&path), &org), 1);
}

#[test]
fn old_events_and_those_of_deleted_projects_go() {
    let server = Server::with(|config| config.clock_wait_hours = 0);
    let (org, other) = (server.org(), server.org());
    for org in [&org, &other] {
        let event = json!({"event": "a", "distinct_id": "d", "api_key": token(org)});
        send(&server.anyone(), "/e", event.to_string()).json(200);
    }
    server.pass_days(89);
    server.until("nothing is too old yet", || kept(&server, &org) == 1 && kept(&server, &other) == 1);
    let other_owner = other.owner.logged_in();
    other_owner.delete(&other.project_at("")).no_content();
    server.pass(std::time::Duration::from_secs(61));
    server.until("the deleted project's events are gone", || kept(&server, &other) == 0);
    assert_eq!(kept(&server, &org), 1);
    server.pass_days(2);
    server.until("old events are gone", || kept(&server, &org) == 0);
}

/// Deletes the project, and waits until the sweep that removes its events has gone by this clock.
fn let_it_sweep(server: &Server, doomed: &Org) {
    doomed.owner.logged_in().delete(&doomed.project_at("")).no_content();
    server.pass(std::time::Duration::from_secs(61));
    server.until("it has swept", || kept(server, doomed) == 0);
}

#[test]
fn a_clock_that_jumps_for_a_moment_removes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("orgd.redb");
    let (org, doomed) = {
        let server = Server::on_file(&path);
        let orgs = (server.org(), server.org());
        for org in [&orgs.0, &orgs.1] {
            let event = json!({"event": "a", "distinct_id": "d", "api_key": token(org)});
            send(&server.anyone(), "/e", event.to_string()).json(200);
        }
        orgs
    };
    {
        let server = Server::on_file(&path);
        server.pass_days(14 * 365);
        let doomed = Org { owner: doomed.owner.moved_to(&server), ..doomed };
        let_it_sweep(&server, &doomed);
        assert_eq!(kept(&server, &org), 1, "a clock that is far ahead removes nothing");
    }
    let server = Server::on_file(&path);
    server.pass(std::time::Duration::from_secs(61));
    assert_eq!(kept(&server, &org), 1);
    org.owner.moved_to(&server).get("/api/users/@me/").json(200);
}

#[test]
fn a_server_that_was_off_for_long_removes_old_events_once_its_clock_has_gone_on_for_a_day() {
    let server = Server::start();
    let (org, first, second) = (server.org(), server.org(), server.org());
    for org in [&org, &first, &second] {
        let event = json!({"event": "a", "distinct_id": "d", "api_key": token(org)});
        send(&server.anyone(), "/e", event.to_string()).json(200);
    }
    server.pass_days(100);
    let_it_sweep(&server, &first);
    assert_eq!(kept(&server, &org), 1);
    server.pass(std::time::Duration::from_secs(23 * 3600));
    let_it_sweep(&server, &second);
    assert_eq!(kept(&server, &org), 1);
    server.pass(std::time::Duration::from_secs(3600));
    server.until("old events are gone", || kept(&server, &org) == 0);
}

#[test]
fn the_oldest_events_go_when_there_are_too_many() {
    let server = Server::with(|config| config.exports.events_mib_max = 1);
    let org = server.org();
    let token = token(&org);
    for _ in 0..20 {
        let event = json!({"event": "a", "distinct_id": "d", "api_key": token, "properties": {"fill": "x".repeat(100_000)}});
        send(&server.anyone(), "/e", event.to_string()).json(200);
    }
    server.pass(std::time::Duration::from_secs(61));
    server.until("a MiB of ten events is left", || kept(&server, &org) == 10);
}

/// Sends so many events of a tenth of a MB each.
fn flood(server: &Server, org: &Org, count: usize) {
    let token = token(org);
    for _ in 0..count {
        let event = json!({"event": "a", "distinct_id": "d", "api_key": token, "properties": {"fill": "x".repeat(100_000)}});
        send(&server.anyone(), "/e", event.to_string()).json(200);
    }
}

#[test]
fn who_floods_a_project_loses_its_own_events_only() {
    let server = Server::with(|config| config.exports.events_mib_max = 1);
    let (small, large) = (server.org(), server.org());
    flood(&server, &small, 3);
    flood(&server, &large, 20);
    server.pass(std::time::Duration::from_secs(61));
    server.until("the rest of the MiB is left", || kept(&server, &large) == 7);
    assert_eq!(kept(&server, &small), 3);
    // Two that flood share what there is, and the third still loses nothing.
    let third = server.org();
    flood(&server, &third, 20);
    server.pass(std::time::Duration::from_secs(61));
    server.until("seven events of both are left", || kept(&server, &large) + kept(&server, &third) == 7);
    assert_eq!((kept(&server, &large), kept(&server, &third)), (3, 4));
    assert_eq!(kept(&server, &small), 3);
}

#[test]
fn each_project_has_a_limit_of_its_own() {
    let server = Server::with(|config| {
        config.exports.events_mib_max = 0;
        config.exports.events_project_mib_max = 1;
    });
    let (small, large) = (server.org(), server.org());
    flood(&server, &large, 12);
    flood(&server, &small, 10);
    server.pass(std::time::Duration::from_secs(61));
    server.until("a MiB of ten events is left", || kept(&server, &large) == 10);
    assert_eq!(kept(&server, &small), 10);
}
