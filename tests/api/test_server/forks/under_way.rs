//! Requests that are under way while the server is reset, or a fork of it ends.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;

use super::{Fork, keep, reset};
use crate::support::Server;
use crate::test_server::{fail, raw};

/// Sends a request and reads the answer to its end, over a connection that stays; the head.
pub(super) fn exchange(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).expect("the connection is open");
    let mut bytes = Vec::new();
    loop {
        let mut part = [0; 4096];
        let read = stream.read(&mut part).expect("the connection is open");
        assert!(read > 0, "the connection ended after {:?}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&part[..read]);
        let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase().replace("http/1.1", "HTTP/1.1");
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        if bytes.len() >= end + 4 + length {
            return head;
        }
    }
}

#[test]
fn a_reset_with_requests_under_way_loses_no_connection() {
    const CLIENTS: usize = 6;
    const RESETS: usize = 25;
    let server = Server::controlled(|_| {});
    let org = server.org();
    let key = org.owner.key(&["*"]);
    keep(&server.anyone(), "seeded");
    let (is_over, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (key, org, server, is_over, sent) = (&key, &org, &server, &is_over, &sent);
            scope.spawn(move || {
                let mut stream = TcpStream::connect(server.address).expect("the server listens");
                let body = json!({"name": format!("Role {client}")}).to_string();
                while !is_over.load(Ordering::Relaxed) {
                    let post = exchange(&mut stream, &raw::request(key, "POST", &org.at("roles/"), &body));
                    // 400: it is there since the last reset.
                    assert!(post.starts_with("HTTP/1.1 201") || post.starts_with("HTTP/1.1 400"), "{post}");
                    let get = exchange(&mut stream, &raw::request(key, "GET", &org.at("roles/"), ""));
                    assert!(get.starts_with("HTTP/1.1 200"), "{get}");
                    sent.fetch_add(2, Ordering::Relaxed);
                }
            });
        }
        for round in 0..RESETS {
            reset(&server.anyone(), "seeded");
            let wanted = (round + 1) * CLIENTS;
            server.until("requests pass", || sent.load(Ordering::Relaxed) >= wanted);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    reset(&server.anyone(), "seeded");
    assert_eq!(org.owner.get(&org.at("roles/")).results().len(), 0);
}

#[test]
fn what_waits_when_the_server_is_reset_is_answered_at_once_and_on_what_was() {
    let server = Server::controlled(|_| {});
    let org = server.org();
    let key = org.owner.key(&["*"]);
    keep(&server.anyone(), "seeded");
    fail(
        &server,
        json!([{"match": {"method": "POST", "path": "/api/organizations/{id}/roles/"}, "delay_ms": 60_000}]),
    );
    let body = json!({"name": "Late"}).to_string();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let mut stream = TcpStream::connect(server.address).expect("the server listens");
            let late = exchange(&mut stream, &raw::request(&key, "POST", &org.at("roles/"), &body));
            (late, exchange(&mut stream, &raw::request(&key, "GET", "/api/users/@me/", "")))
        });
        let journal =
            scope.spawn(|| server.anyone().get("/_orgd/requests/?method=DELETE&wait_count=1&wait_ms=60000"));
        server.until("it has arrived", || {
            let found =
                server.anyone().get("/_orgd/requests/?method=POST&path=/api/organizations/{id}/roles/");
            found.json(200)["count"] == 1
        });
        reset(&server.anyone(), "seeded");
        let (late, next) = waiting.join().expect("no panic");
        assert!(late.starts_with("HTTP/1.1 201"), "{late}");
        assert!(next.starts_with("HTTP/1.1 200"), "{next}");
        // Whoever asked before the reset has their answer, and whoever came later gets it now.
        server.anyone().delete("/nothing/");
        let count = journal.join().expect("no panic").json(200)["count"].clone();
        assert!(count == 0 || count == 1, "{count}");
    });
    assert_eq!(org.owner.get(&org.at("roles/")).results().len(), 0, "it was done on what was");
}

#[test]
fn a_fork_that_is_deleted_answers_what_is_under_way() {
    let server = Server::controlled(|_| {});
    let org = server.org();
    let key = org.owner.key(&["*"]);
    let fork = Fork::of(&server.anyone());
    let there = fork.to(&server.anyone());
    let rule = json!({"match": {"path": "/api/organizations/{id}/roles/"}, "delay_ms": 60_000});
    there.put("/_orgd/faults/", json!({"faults": [rule]})).json(200);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| fork.to(&key).get(&org.at("roles/")).status);
        server.until("it has arrived", || there.get("/_orgd/requests/").json(200)["count"] == 1);
        server.anyone().delete(&fork.path()).no_content();
        assert_eq!(waiting.join().expect("no panic"), 200);
    });
    assert!(TcpStream::connect(fork.address).is_err());
}
