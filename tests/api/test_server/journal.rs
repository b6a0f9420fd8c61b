//! The journal: what a client called.

use serde_json::{Value, json};

use super::raw;
use super::{fail, forget, requests};
use crate::support::{Person, Server, text};

fn numbers(found: &[Value]) -> Vec<u64> {
    found.iter().map(|entry| entry["n"].as_u64().expect("a number")).collect()
}

#[track_caller]
fn judged(server: &Server, claim: Value) -> (bool, u64, String, Value) {
    let verdict = server.anyone().post("/_orgd/requests/assert/", claim).json(200);
    let why = verdict["why"].as_str().unwrap_or_default().to_owned();
    (verdict["ok"] == true, verdict["count"].as_u64().unwrap_or_default(), why, verdict["nearest"].clone())
}

#[test]
fn a_request_is_entered_with_what_it_was_and_how_it_was_answered() {
    let server = Server::controlled(|_| {});
    let org = server.org();
    let key = org.owner.key(&["*"]);
    forget(&server);
    let path = org.at("roles/");
    let body = json!({"name": "Ops"}).to_string();
    let headers = [
        ("content-type", "application/json"),
        ("idempotency-key", "a-1"),
        ("x-other", "never"),
        ("user-agent", "my-client/1.2"),
    ];
    let post = || key.send("POST".parse().unwrap(), &format!("{path}?a=b"), body.clone(), &headers);
    assert_eq!((post().status, post().status), (201, 400));
    key.get(&path).json(200);
    let found = requests(&server, "");
    let first = found[0]["n"].as_u64().expect("a number");
    let entry = &found[0];
    assert_eq!(entry["method"], "POST");
    assert_eq!(entry["path"], json!(path));
    assert_eq!(entry["row"], "/api/organizations/{organization_id}/roles/");
    assert_eq!((&entry["query"], &entry["status"]), (&json!("a=b"), &json!(201)));
    assert_eq!((&entry["key"], &entry["agent"]), (&json!("test"), &json!("my-client/1.2")));
    assert_eq!(entry["json"], json!({"name": "Ops"}));
    assert_eq!(entry["headers"]["idempotency-key"], "a-1");
    assert!(entry["headers"].get("x-other").is_none() && entry["headers"].get("authorization").is_none());
    assert!(entry["ms"].is_u64() && entry["at"].is_string());
    assert_eq!((&entry["fault"], &entry["repeats"]), (&Value::Null, &Value::Null));
    assert_eq!((&found[1]["repeats"], &found[1]["status"]), (&json!(first), &json!(400)));
    assert_eq!((&found[2]["json"], &found[2]["repeats"]), (&Value::Null, &Value::Null));
    // What controls the server is not entered.
    assert_eq!(numbers(&requests(&server, "")), [first, first + 1, first + 2]);
}

#[test]
fn requests_are_chosen_by_method_path_and_number_and_a_path_that_names_none_is_refused() {
    let server = Server::controlled(|_| {});
    let org = server.org();
    forget(&server);
    org.owner.get(&org.at("invites/")).json(200);
    org.owner.get(&org.at("members/")).json(200);
    org.owner.get("/api/nothing/").json(404);
    org.owner.post(&org.at("invites/"), json!({"target_email": "a@example.com"})).json(201);
    assert_eq!(org.owner.get("/_orgd/nothing").status, 404);
    let first = numbers(&requests(&server, ""))[0];
    for (query, wanted) in [
        ("", &[0, 1, 2, 3][..]),
        ("method=post", &[3]),
        ("path=/api/organizations/{id}/invites/", &[0, 3]),
        ("path=/api/organizations/{id}/invites", &[0, 3]),
        ("path=/api/organizations/*/*/", &[0, 1, 3]),
        ("path=/api/**", &[0, 1, 2, 3]),
        ("path=*&method=GET", &[0, 1, 2]),
        ("row=none", &[2]),
        ("path=/api/nothing/&any_path=true", &[2]),
        ("limit=2", &[2, 3]),
    ] {
        let found: Vec<u64> = numbers(&requests(&server, query)).iter().map(|n| n - first).collect();
        assert_eq!(found, wanted, "{query}");
    }
    assert_eq!(numbers(&requests(&server, &format!("after={}", first + 2))), [first + 3]);
    let all = server.anyone().get("/_orgd/requests/").json(200);
    assert_eq!((&all["unknown"], &all["dropped"], &all["count"]), (&json!(1), &json!(0), &json!(4)));
    for bad in [
        "path=/api/organizations/{id}/invite/",
        "path=/api/organizations/{id}/invites/&method=PATCH",
        "path=api",
        "row=some",
        "paht=/api/",
        "limit=1001",
        "wait_ms=60001",
        "wait_count=x",
    ] {
        server.anyone().get(&format!("/_orgd/requests/?{bad}")).json(400);
    }
    let nearest = server.anyone().get("/_orgd/requests/?path=/api/organizations/{id}/invite/").reason();
    assert!(nearest.contains("/api/organizations/{organization_id}/invites/"), "{nearest}");
}

#[test]
fn a_request_is_there_when_it_arrives_and_whoever_waits_for_it_hears_of_it() {
    let server = Server::controlled(|_| {});
    let org = server.org();
    let key = org.owner.key(&["*"]);
    forget(&server);
    fail(&server, json!([{"match": {"path": "/api/users/{id}/"}, "silence_s": 120}]));
    let waiting = std::thread::scope(|scope| {
        let mut streams = Vec::new();
        let waits = scope.spawn(|| requests(&server, "method=POST&wait_count=2&wait_ms=60000"));
        for body in ["1", "2"] {
            streams.push(raw::open(&server, &raw::request(&key, "POST", "/api/users/@me/", body)));
        }
        waits.join().expect("no panic")
    });
    assert_eq!(waiting.len(), 2);
    // It has no status as long as there is no answer, and never gets one where its caller has left.
    let stream = raw::open(&server, &raw::request(&key, "GET", "/api/users/@me/", ""));
    let found = requests(&server, "method=GET&wait_count=1&wait_ms=60000");
    assert_eq!((&found[0]["status"], &found[0]["ms"]), (&Value::Null, &Value::Null));
    assert_eq!(found[0]["fault"], "x1");
    drop(stream);
    server.until("the server notices", || requests(&server, "").iter().all(|entry| entry["ms"].is_u64()));
    assert!(requests(&server, "").iter().all(|entry| entry["status"].is_null()));
    // Whoever waits for what never comes gets what there is.
    assert_eq!(requests(&server, "method=PUT&wait_count=1&wait_ms=1").len(), 0);
}

#[test]
fn assertions_count_requests_in_their_order_and_say_what_was_different() {
    let server = Server::controlled(|_| {});
    let org = server.org();
    let key = org.owner.key(&["*"]);
    forget(&server);
    let path = org.at("invites/");
    let invite = |person: &Person, level: u8| {
        person
            .post(&path, json!({"target_email": format!("a{level}@example.com"), "level": level}))
            .json(201);
    };
    invite(&key, 1);
    key.get(&path).json(200);
    invite(&org.owner, 8);
    let first = numbers(&requests(&server, ""))[0];
    let (invites, post) = ("/api/organizations/{id}/invites/", "POST");
    for (claim, ok) in [
        (json!({"path": invites, "count": 3}), true),
        (json!({"method": post, "path": invites, "at_least": 2}), true),
        (json!({"method": "DELETE", "path": "/api/organizations/{id}/invites/{id}/", "never": true}), true),
        (json!({"path": invites, "json": {"level": 8}, "count": 1}), true),
        (json!({"path": invites, "key": "test", "count": 2}), true),
        (json!({"path": invites, "status": 201, "count": 2}), true),
        (json!({"method": post, "path": invites, "count": 1}), false),
        (json!({"method": post, "path": invites, "never": true}), false),
        (
            json!({"in_order": [{"json": {"level": 1}, "path": invites}, {"method": "GET", "path": invites}]}),
            true,
        ),
        (
            json!({"in_order": [{"json": {"level": 8}, "path": invites}, {"method": "GET", "path": invites}]}),
            false,
        ),
    ] {
        assert_eq!(judged(&server, claim.clone()).0, ok, "{claim}");
    }
    let (ok, count, why, nearest) =
        judged(&server, json!({"method": post, "path": invites, "count": 1, "json": {"level": 15}}));
    assert_eq!((ok, count, nearest), (false, 0, json!([first, first + 2])));
    assert_eq!(why, "2 requests match but for json.level: 1, not 15");
    for bad in [
        json!({"path": "/api/organizations/{id}/invite/", "never": true}),
        json!({"path": invites}),
        json!({"path": invites, "count": 1, "extra": 1}),
        json!({"path": invites, "count": 1, "wait_ms": 60_001}),
        json!([]),
    ] {
        server.anyone().post("/_orgd/requests/assert/", bad).json(400);
    }
    // What is about to come is waited for.
    std::thread::scope(|scope| {
        let claim = json!({"method": post, "path": invites, "count": 3, "wait_ms": 60_000});
        let waits = scope.spawn(|| judged(&server, claim).0);
        key.post(&path, json!({"target_email": "late@example.com"})).json(201);
        assert!(waits.join().expect("no panic"));
    });
}

#[test]
fn nothing_is_asserted_of_requests_that_were_dropped() {
    const KEPT: usize = 10_000;
    let server = Server::controlled(|_| {});
    forget(&server);
    let one = format!("GET /_livez HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
    let last = one.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    let stream = raw::open(&server, "");
    let mut writing = stream.try_clone().expect("a second handle");
    let writer = std::thread::spawn(move || {
        std::io::Write::write_all(&mut writing, (one.repeat(KEPT) + &last).as_bytes())
    });
    raw::read(stream);
    writer.join().expect("no panic").expect("the connection is open");
    let all = server.anyone().get("/_orgd/requests/").json(200);
    assert_eq!((&all["dropped"], &all["count"]), (&json!(1), &json!(KEPT)));
    assert_eq!(all["requests"].as_array().map(Vec::len), Some(1000));
    let claim = |more: Value| {
        let mut claim = json!({"path": "/_livez", "never": true});
        claim.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        server.anyone().post("/_orgd/requests/assert/", claim)
    };
    let refused = claim(json!({}));
    refused.json(409);
    assert_eq!(text(&refused.value()["code"]), "dropped");
    let oldest = requests(&server, "limit=1")[0]["n"].as_u64().expect("a number") - KEPT as u64;
    assert_eq!(claim(json!({"after": oldest})).json(200)["ok"], false);
    claim(json!({"after": oldest - 1})).json(409);
    forget(&server);
    assert_eq!(claim(json!({})).json(200)["ok"], true);
}

#[test]
fn of_a_large_or_strange_body_only_its_length_and_its_hash_are_kept() {
    let server = Server::controlled(|_| {});
    let org = server.org();
    let key = org.owner.key(&["*"]);
    forget(&server);
    let send = |body: Vec<u8>, media: &str| {
        key.send("POST".parse().unwrap(), &org.at("invites/"), body, &[("content-type", media)]);
    };
    let json_of = |bytes: usize| format!("[\"{}\"]", "x".repeat(bytes - 4)).into_bytes();
    send(json_of(64 * 1024), "application/json");
    send(json_of(64 * 1024 + 1), "application/json");
    send(b"{\"half\":".to_vec(), "application/json");
    send(b"level=8&level=1&target_email=a%40example.com".to_vec(), "application/x-www-form-urlencoded");
    let found = requests(&server, "");
    assert!(found[0]["json"].is_array() && found[0].get("body").is_none());
    assert_eq!((&found[1]["json"], &found[1]["body"]["bytes"]), (&Value::Null, &json!(64 * 1024 + 1)));
    assert_eq!(found[1]["body"]["sha256"].as_str().map(str::len), Some(64));
    assert_eq!(found[2]["body"]["bytes"], 8);
    assert_eq!(found[3]["json"], json!({"level": ["8", "1"], "target_email": "a@example.com"}));
}
