//! How many forks and snapshots there can be, for how long, and what they are called.

use std::time::Duration;

use orgd::store::Storage;
use redb::backends::InMemoryBackend;
use serde_json::{Value, json};

use super::{Fork, keep};
use crate::support::Server;

#[test]
fn what_is_none_is_refused_and_makes_nothing() {
    let server = Server::controlled(|_| {});
    let control = server.anyone();
    keep(&control, "seeded");
    let before = control.get("/_orgd/").json(200);
    for (path, body, status) in [
        ("snapshots", json!({}), 400),
        ("snapshots", json!([]), 400),
        ("snapshots", json!({"name": ""}), 400),
        ("snapshots", json!({"name": "x".repeat(65)}), 400),
        ("snapshots", json!({"name": ".."}), 400),
        ("snapshots", json!({"name": "a/b"}), 400),
        ("snapshots", json!({"name": "a b"}), 400),
        ("snapshots", json!({"name": "\u{e9}"}), 400),
        ("snapshots", json!({"name": 7}), 400),
        ("snapshots", json!({"name": "start"}), 400),
        ("snapshots", json!({"name": "a", "of": "b"}), 400),
        ("forks", json!([]), 400),
        ("forks", json!({"of": "nothing"}), 404),
        ("forks", json!({"of": 1}), 400),
        ("forks", json!({"ttl_s": 0}), 400),
        ("forks", json!({"ttl_s": 604_801}), 400),
        ("forks", json!({"ttl_s": -1}), 400),
        ("forks", json!({"ttl_s": 1.5}), 400),
        ("forks", json!({"ttl_s": "60"}), 400),
        ("forks", json!({"tttl_s": 60}), 400),
        ("reset", json!({"to": "nothing"}), 404),
        ("reset", json!({"to": 1}), 400),
        ("reset", json!({"from": "seeded"}), 400),
        ("reset", json!([]), 400),
    ] {
        let answer = control.post(&format!("/_orgd/{path}/"), body.clone());
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.text());
    }
    for (path, status) in [
        ("forks/main/", 400),
        ("forks/f1/", 404),
        ("forks/seeded/", 404),
        ("forks/x/?check=true", 404),
        ("snapshots/nothing/", 404),
        ("snapshots/start/", 400),
    ] {
        assert_eq!(control.delete(&format!("/_orgd/{path}")).status, status, "{path}");
    }
    let fork = Fork::wanted(&control, json!({"ttl_s": 604_800}));
    assert_eq!(control.delete(&format!("{}?check=yes", fork.path())).status, 400);
    assert_eq!(control.delete(&format!("{}?chekc=true", fork.path())).status, 400);
    control.delete(&fork.path()).no_content();
    keep(&control, &"x".repeat(64));
    control.delete(&format!("/_orgd/snapshots/{}/", "x".repeat(64))).no_content();
    let after = control.get("/_orgd/").json(200);
    assert_eq!((&after["snapshots"], &after["forks"]), (&before["snapshots"], &before["forks"]));
}

#[test]
fn there_are_sixty_four_snapshots_at_most_and_a_name_can_be_given_anew() {
    let server = Server::controlled(|_| {});
    let control = server.anyone();
    // One is that of the start.
    for number in 1..64 {
        keep(&control, &format!("s{number}"));
    }
    let post = |name: &str| control.post("/_orgd/snapshots/", json!({"name": name}));
    let refused = post("s64");
    assert_eq!((refused.status, refused.value()["code"].as_str()), (507, Some("insufficient_storage")));
    post("s1").json(201);
    control.delete("/_orgd/snapshots/s1/").no_content();
    post("s64").json(201);
    let all = control.get("/_orgd/snapshots/").json(200);
    assert_eq!(all["snapshots"].as_array().map(Vec::len), Some(64));
}

#[test]
fn a_fork_ends_with_its_time() {
    let server = Server::controlled(|_| {});
    let control = server.anyone();
    let (short, long) =
        (Fork::wanted(&control, json!({"ttl_s": 1})), Fork::wanted(&control, json!({"ttl_s": 3600})));
    let ids = || -> Vec<Value> {
        let all = control.get("/_orgd/forks/").json(200);
        all["forks"].as_array().expect("forks").iter().map(|fork| fork["id"].clone()).collect()
    };
    // Use does not make it longer.
    server.until("its time is over", || {
        let headers = [("orgd-fork", short.id.as_str())];
        control.send("GET".parse().expect("a method"), "/_livez", "", &headers).status == 404
    });
    server.until("it is gone", || ids() == [json!(long.id)]);
    assert!(std::net::TcpStream::connect(short.address).is_err());
    long.to(&control).get("/_livez").json(200);
}

#[test]
fn memory_of_forks_is_bounded_and_given_back() {
    let server = Server::controlled(|config| config.testing.forks_mib = 1);
    let org = server.org();
    let control = server.anyone();
    let held = || control.get("/_orgd/").json(200)["forks_bytes"].as_u64().expect("a number");
    assert_eq!(control.get("/_orgd/").json(200)["forks_bytes_max"], 1024 * 1024);
    let fork = Fork::of(&control);
    let before = held();
    let fill = |number: usize| {
        let body = json!({"name": format!("Role {number}"), "description": "x"});
        fork.to(&org.owner).post(&org.at("roles/"), body).json(201);
    };
    let mut number = 0;
    server.until("it is more than there may be", || {
        fill(number);
        number += 1;
        held() > 1024 * 1024
    });
    let name = json!({"name": "more"});
    for (path, body) in [("forks", json!({})), ("snapshots", name.clone()), ("forks", json!({"of": "start"}))]
    {
        let refused = control.post(&format!("/_orgd/{path}/"), body);
        assert_eq!(refused.status, 507, "{}", refused.text());
        assert!(refused.text().contains("--forks-mib"), "{}", refused.text());
    }
    // What is there works on.
    fill(number);
    org.owner.get(&org.at("roles/")).json(200);
    control.delete(&fork.path()).no_content();
    server.until("its memory is back", || held() <= before + 64 * 1024);
    Fork::of(&control);
    control.post("/_orgd/snapshots/", name).json(201);
}

#[test]
fn a_server_on_a_file_has_none_and_says_why() {
    let place = Storage::Backend(Box::new(InMemoryBackend::new()));
    let server = Server::open(place, |config| config.testing.test = true);
    let control = server.anyone();
    let overview = control.get("/_orgd/").json(200);
    assert_eq!((&overview["forks"], &overview["snapshots"]), (&Value::Null, &Value::Null));
    let post = |path: &str| control.post(path, json!({"name": "a"}));
    for answer in [
        post("/_orgd/snapshots/"),
        post("/_orgd/forks/"),
        post("/_orgd/reset/"),
        control.get("/_orgd/forks/"),
        control.get("/_orgd/snapshots/"),
        control.delete("/_orgd/forks/f1/"),
        control.delete("/_orgd/snapshots/start/"),
    ] {
        assert_eq!(
            (answer.status, answer.value()["code"].as_str()),
            (409, Some("not_in_memory")),
            "{}",
            answer.text()
        );
        assert!(answer.text().contains("--in-memory"), "{}", answer.text());
    }
    // The header names nothing there.
    let headers = [("orgd-fork", "f1")];
    assert_eq!(control.send("GET".parse().expect("a method"), "/_livez", "", &headers).status, 404);
    server.pass(Duration::from_secs(1));
}
