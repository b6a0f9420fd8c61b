//! Memory: what is promised takes none, what arrives is bounded, and whoever finds none may come again.

use std::io::{Read, Write};
use std::net::TcpStream;

use orgd::app::route::Needs;
use orgd::resources::{events, registry};
use serde_json::{Value, json};
use ureq::http::Method;

use crate::support::{Answer, Org, Server, text};

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

fn token(org: &Org) -> String {
    text(&org.owner.get(&org.project_at("")).json(200)["api_token"])
}

fn kept(server: &Server, org: &Org) -> u64 {
    let project = u32::try_from(org.project).expect("a small number");
    server.app.store.read(|tx| events::count(tx, project.into())).expect("the file can be read")
}

/// A batch of about so many bytes, and how many events it holds.
fn batch(token: &str, bytes: usize, first: u64) -> (Vec<u8>, u64) {
    let event = |number: u64| {
        let uuid = format!("00000000-0000-4000-8000-{number:012}");
        json!({"event": "seen", "distinct_id": "d", "uuid": uuid, "properties": {"fill": "x".repeat(1000)}})
    };
    let count = bytes as u64 / 1100;
    let events: Vec<Value> = (first..first + count).map(event).collect();
    (json!({"api_key": token, "batch": events}).to_string().into_bytes(), count)
}

fn send(server: &Server, body: impl Into<Vec<u8>>) -> Answer {
    server.anyone().send(Method::POST, "/batch/", body, &JSON)
}

/// The head of a request, and the beginning of its body.
fn begun(server: &Server, path: &str, promised: usize, sent: &[u8]) -> TcpStream {
    let mut socket = TcpStream::connect(server.address).expect("the server listens");
    let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {promised}\r\n\r\n");
    socket.write_all(&[head.as_bytes(), sent].concat()).expect("the beginning is taken");
    socket
}

fn answer_to(mut socket: TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn bodies_that_are_only_promised_stand_in_nobodys_way() {
    let server = Server::with(|config| config.memory_mib = 48);
    let org = server.org();
    let (body, count) = batch(&token(&org), 26 * 1024, 0);
    let idle: Vec<TcpStream> = (0..200).map(|_| begun(&server, "/batch/", 7_000_000, b"{")).collect();
    let name = format!("{:<30000}", r#"{"name": "N"}"#);
    org.owner.send(Method::PATCH, &org.at(""), name, &JSON).json(200);
    send(&server, body).json(200);
    assert_eq!((kept(&server, &org), idle.len()), (count, 200));
}

#[test]
fn a_body_that_stops_coming_is_given_up_and_its_memory_serves_others() {
    let server = Server::with(|config| (config.memory_mib, config.body_seconds_max) = (48, 1));
    let org = server.org();
    let free = server.app.work.free();
    let stopped = begun(&server, "/batch/", 7_000_000, &vec![b' '; 3_000_000]);
    server.until("what has arrived is counted", || server.app.work.free() <= free - 3_000_000);
    let answer = answer_to(stopped);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_eq!(server.app.work.free(), free);
    let (body, count) = batch(&token(&org), 6_500_000, 0);
    send(&server, body).json(200);
    assert_eq!((kept(&server, &org), server.app.work.free()), (count, free));
}

#[test]
fn a_caller_who_goes_away_leaves_no_memory_taken() {
    let server = Server::start();
    let free = server.app.work.free();
    let gone = begun(&server, "/batch/", 7_000_000, &vec![b' '; 2_000_000]);
    server.until("what has arrived is counted", || server.app.work.free() <= free - 2_000_000);
    drop(gone);
    server.until("the memory is free again", || server.app.work.free() == free);
}

/// Strangers, and people at their own settings, send little: the limit of these routes is small.
#[test]
fn routes_for_strangers_and_sessions_take_small_bodies() {
    const LIMIT: usize = 64 * 1024;
    let server = Server::start();
    let mut walked = 0;
    for route in registry::routes() {
        let is_small = matches!(route.needs, Needs::Public | Needs::Session) && !route.is_ingest();
        assert_eq!(route.body_bytes_max == LIMIT, is_small, "{}", route.path);
        if !is_small || route.method == orgd::api::Method::Get {
            continue;
        }
        let path = route.path.replace(['{', '}'], "");
        let head = format!("{} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n", route.method.name());
        let mut socket = TcpStream::connect(server.address).expect("the server listens");
        let promise = format!("{head}Content-Length: {}\r\n\r\n", LIMIT + 1);
        socket.write_all(promise.as_bytes()).expect("the head is taken");
        let answer = answer_to(socket);
        assert!(answer.starts_with("HTTP/1.1 413 "), "{path}: {answer}");
        let mut socket = TcpStream::connect(server.address).expect("the server listens");
        let whole = format!("{head}Content-Length: {LIMIT}\r\n\r\n{{}}{}", " ".repeat(LIMIT - 2));
        socket.write_all(whole.as_bytes()).expect("the body is taken");
        let answer = answer_to(socket);
        assert!(!answer.starts_with("HTTP/1.1 413 ") && answer.starts_with("HTTP/1.1 "), "{path}: {answer}");
        walked += 1;
    }
    assert!(walked > 8, "only {walked} routes were walked");
}

#[test]
fn a_large_batch_is_stored_whole_and_again_only_once() {
    let server = Server::with(|config| config.memory_mib = 48);
    let org = server.org();
    let (body, count) = batch(&token(&org), 3_000_000, 0);
    for _ in 0..2 {
        send(&server, body.clone()).json(200);
        assert_eq!(kept(&server, &org), count);
    }
}

#[test]
fn of_a_large_batch_with_one_bad_event_nothing_is_stored() {
    let server = Server::start();
    let org = server.org();
    let (good, count) = batch(&token(&org), 3_000_000, 0);
    let mut bad: Value = serde_json::from_slice(&good).expect("JSON");
    let last = bad["batch"].as_array().expect("events").len() - 1;
    bad["batch"][last]["event"] = json!("");
    let answer = send(&server, bad.to_string());
    let wanted =
        format!("event submitted with an empty event name: event {last} of the batch, counted from 0");
    assert_eq!((answer.status, answer.text()), (400, wanted));
    assert_eq!(kept(&server, &org), 0);
    send(&server, good).json(200);
    assert_eq!(kept(&server, &org), count);
}

/// Events carry a copy of their person's properties: small events may become large ones.
#[test]
fn small_events_of_a_large_person_are_all_stored() {
    let server = Server::with(|config| config.memory_mib = 40);
    let org = server.org();
    let token = token(&org);
    let person = json!({"$set": {"fill": "x".repeat(400_000)}});
    let first = json!({"event": "a", "distinct_id": "d", "properties": person});
    send(&server, json!({"api_key": token, "batch": [first]}).to_string()).json(200);
    let small = json!({"event": "b", "distinct_id": "d"});
    send(&server, json!({"api_key": token, "batch": vec![small; 30]}).to_string()).json(200);
    assert_eq!(kept(&server, &org), 31);
}

#[test]
fn many_large_batches_at_once_are_stored_or_refused_and_nothing_in_between() {
    let server = Server::with(|config| config.memory_mib = 48);
    let org = server.org();
    let token = token(&org);
    let free = server.app.work.free();
    let outcomes: Vec<(u16, u64)> = std::thread::scope(|scope| {
        let (server, token) = (&server, &token);
        let sender = |number: u64| {
            scope.spawn(move || {
                let (body, count) = batch(token, 2_000_000, number * 10_000);
                let answer = send(server, body);
                if answer.status == 503 {
                    assert_eq!(answer.header("retry-after"), "5");
                    assert_eq!(answer.text(), "server is busy, try again later");
                }
                (answer.status, count)
            })
        };
        let senders: Vec<_> = (0..8).map(sender).collect();
        senders.into_iter().map(|sender| sender.join().expect("no panic")).collect()
    });
    assert!(outcomes.iter().all(|(status, _)| [200, 503].contains(status)), "{outcomes:?}");
    let stored: u64 = outcomes.iter().filter(|(status, _)| *status == 200).map(|(_, count)| count).sum();
    assert!(stored > 0);
    assert_eq!((kept(&server, &org), server.app.work.free()), (stored, free));
}

#[test]
fn small_requests_get_through_beside_a_large_one_of_the_same_address() {
    let server = Server::with(|config| config.memory_mib = 48);
    let org = server.org();
    let (body, count) = batch(&token(&org), 250 * 1024, 0);
    let free = server.app.work.free();
    let large = free / 4 * 3 - 1024;
    let _held = begun(&server, "/batch/", large, &vec![b' '; large - 1]);
    let is_held = || server.app.work.free() <= free - large;
    server.until("what has arrived is counted", is_held);
    for _ in 0..3 {
        send(&server, body.clone()).json(200);
    }
    let name = r#"{"name": "N"}"#.to_owned() + &" ".repeat(200_000);
    org.owner.send(Method::PATCH, &org.at(""), name, &JSON).json(200);
    assert_eq!(kept(&server, &org), count);
    assert!(is_held(), "nobody had to go for it");
}

/// A batch of tiny events takes more than its text says.
#[test]
fn equal_bodies_of_one_address_do_not_block_each_other() {
    let server = Server::with(|config| config.memory_mib = 48);
    let org = server.org();
    let token = token(&org);
    let free = server.app.work.free();
    let body = format!("{{\"api_key\": \"{token}\", \"batch\": [{}{{}}]}}", "{},".repeat(600_000));
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..5).map(|_| scope.spawn(|| send(&server, body.clone()).status)).collect();
        senders.into_iter().map(|sender| sender.join().expect("no panic")).collect()
    });
    assert!(statuses.iter().all(|status| [400, 503].contains(status)), "{statuses:?}");
    assert!(statuses.contains(&400), "one is read to its end, and has a bad event: {statuses:?}");
    assert_eq!(server.app.work.free(), free);
}

#[test]
fn what_can_never_fit_is_too_large() {
    let server = Server::with(|config| config.memory_mib = 48);
    let org = server.org();
    let answer = answer_to(begun(&server, "/batch/", 11_000_000, b""));
    assert!(
        answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("maximum event size exceeded"),
        "{answer}"
    );
    let many = [b"{\"name\": \"N\", \"x\": [1".to_vec(), b",1".repeat(100_000), b"]}".to_vec()].concat();
    let detail = "The request body holds more values than there is memory for.";
    let answer = org.owner.send(Method::PATCH, &org.at(""), many, &JSON);
    answer.refused(400, "invalid_request", "parse_error", detail, None);
    assert_eq!(kept(&server, &org), 0);
}
