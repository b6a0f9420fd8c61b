//! Programmes of faults: what a client must survive.

use serde_json::{Value, json};

use super::raw::{self, End};
use super::{fail, forget, requests, rules};
use crate::connections::{HEADERS, frame, get, hello};
use crate::support::{Org, Person, Server, text};

const INVITES: &str = "/api/organizations/{id}/invites/";
const ROLES: &str = "/api/organizations/{id}/roles/";
const RST_STREAM: u8 = 3;
const DATA: u8 = 0;

fn start() -> (Server, Org, Person) {
    // What waits must not keep a server from stopping.
    let server = Server::controlled(|config| config.drain_seconds_max = 600);
    let org = server.org();
    let key = org.owner.key(&["*"]);
    forget(&server);
    (server, org, key)
}

fn invites(org: &Org) -> usize {
    org.owner.get(&org.at("invites/")).results().len()
}

fn roles(org: &Org) -> usize {
    org.owner.get(&org.at("roles/")).results().len()
}

fn body(name: &str) -> String {
    json!({"target_email": format!("{name}@example.com")}).to_string()
}

#[test]
fn an_answer_takes_the_place_of_the_own_and_nothing_is_carried_out() {
    let (server, org, key) = start();
    let path = org.at("invites/");
    let post = || key.post(&path, json!({"target_email": "a@example.com"}));
    fail(
        &server,
        json!([
            {"match": {"method": "POST", "path": INVITES}, "skip": 1, "times": 1, "answer": {"status": 429, "headers": {"Retry-After": "2"}}},
            {"match": {"method": "POST", "path": INVITES}, "skip": 1, "times": 1, "answer": {"status": 503}},
            {"match": {"method": "POST", "path": INVITES}, "times": 1, "answer": {"status": 502, "headers": {"Content-Type": "text/html"}, "text": "<h1>Bad gateway</h1>"}},
            {"match": {"path": "/api/projects/*/feature_flags/"}, "any_path": true, "answer": {"status": 200, "json": {"count": 0, "results": []}}},
        ]),
    );
    let html = post();
    assert_eq!(
        (html.status, html.text().as_str(), html.header("content-type").as_str()),
        (502, "<h1>Bad gateway</h1>", "text/html")
    );
    let throttled = post();
    let detail = "Request was throttled. Expected available in 2 seconds.";
    throttled.refused(429, "throttled_error", "throttled", detail, None);
    assert_eq!(throttled.header("retry-after"), "2");
    assert_eq!(throttled.header("orgd-mode"), "test");
    assert!(!throttled.header("x-request-id").is_empty());
    let busy = post();
    assert_eq!((busy.status, busy.header("retry-after").as_str()), (503, "5"));
    assert_eq!(busy.value()["type"], "server_error");
    assert_eq!(invites(&org), 0);
    post().json(201);
    assert_eq!(
        key.get("/api/projects/1/feature_flags/?limit=1").json(200),
        json!({"count": 0, "results": []})
    );
    let faults: Vec<Value> = requests(&server, "method=POST")
        .iter()
        .map(|entry| json!([entry["fault"], entry["status"]]))
        .collect();
    assert_eq!(json!(faults), json!([["x3", 502], ["x1", 429], ["x2", 503], [null, 201]]));
    let shown: Vec<Value> =
        rules(&server).iter().map(|rule| json!([rule["seen"], rule["fired"], rule["left"]])).collect();
    assert_eq!(json!(shown), json!([[4, 1, 0], [3, 1, 0], [2, 1, 0], [1, 1, null]]));
}

#[test]
fn every_status_looks_as_it_does_without_a_rule() {
    let (server, _, key) = start();
    for status in [400, 401, 403, 404, 405, 406, 408, 413, 415, 418, 429, 500, 501, 502, 503, 504, 599] {
        fail(&server, json!([{"match": {"path": "/api/users/{id}/"}, "answer": {"status": status}}]));
        let answer = key.get("/api/users/@me/");
        let value = answer.json(status);
        let keys: Vec<&String> = value.as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["type", "code", "detail", "attr"], "{status}");
        assert_eq!(answer.headers.contains_key("retry-after"), [429, 503].contains(&status), "{status}");
    }
    for (status, body) in [(200, "{}"), (202, "{}"), (204, ""), (302, ""), (304, "")] {
        let answer = json!({"status": status, "headers": {"Location": "/x"}});
        fail(&server, json!([{"match": {"path": "/api/users/{id}/"}, "answer": answer}]));
        let answer = key.get("/api/users/@me/");
        assert_eq!((answer.status, answer.text().as_str()), (status, body));
        assert_eq!(answer.header("location"), "/x");
    }
}

#[test]
fn an_answer_ends_after_so_many_bytes_and_never_whole() {
    let (server, org, key) = start();
    let whole = key.get("/api/projects/").body;
    let length = format!("content-length: {}", whole.len());
    for (after, comes) in
        [(0, 0), (1, 1), (120, 120), (whole.len() - 1, whole.len() - 1), (1_000_000, whole.len() - 1)]
    {
        fail(
            &server,
            json!([{"match": {"method": "GET", "path": "/api/projects/"}, "times": 1, "cut_after_bytes": after}]),
        );
        let received = raw::send(&server, &raw::request(&key, "GET", "/api/projects/", ""));
        let (head, body) = received.parts();
        assert!(head.starts_with("http/1.1 200") && head.contains(&length), "{head}");
        assert_eq!((body.as_slice(), received.end), (&whole[..comes], End::Closed), "{after}");
        // Once, and the client's own repetition is whole.
        assert_eq!(key.get("/api/projects/").body, whole);
    }
    // It is the own answer that is cut, so that the request is carried out; one without a body does not come at all.
    fail(&server, json!([{"match": {"path": INVITES}, "cut_after_bytes": 0}]));
    let received = raw::send(&server, &raw::request(&key, "POST", &org.at("invites/"), &body("a")));
    assert!(received.text().starts_with("HTTP/1.1 201"));
    fail(
        &server,
        json!([{"match": {"method": "DELETE", "path": "/api/organizations/{id}/invites/{id}/"}, "cut_after_bytes": 9}]),
    );
    let invite = org.owner.get(&org.at("invites/")).results()[0]["id"].clone();
    let path = org.at(&format!("invites/{}/", text(&invite)));
    let received = raw::send(&server, &raw::request(&key, "DELETE", &path, ""));
    assert_eq!((received.text().as_str(), received.end, invites(&org)), ("", End::Closed, 0));
}

#[test]
fn a_large_answer_is_cut_at_its_byte_however_slowly_it_is_read() {
    let (server, _, _) = start();
    let whole = server.anyone().get("/api/schema/?format=json").body;
    let after = whole.len() - 1000;
    fail(&server, json!([{"match": {"path": "/api/schema/"}, "cut_after_bytes": after}]));
    let path = "/api/schema/?format=json";
    let stream = raw::open(&server, &raw::request(&server.anyone(), "GET", path, ""));
    // The server has sent what the system keeps for the connection before anything is read.
    let is_answered = |entry: &&Value| entry["status"] == 200;
    server.until("both are answered", || {
        requests(&server, "path=/api/schema/").iter().filter(is_answered).count() == 2
    });
    let (_, body) = raw::read(stream).parts();
    assert_eq!(body, &whole[..after]);
}

#[test]
fn a_reset_is_one_and_what_comes_after_the_commit_leaves_exactly_one_row() {
    let (server, org, key) = start();
    let path = org.at("roles/");
    let rule = |more: Value| {
        let mut rule = json!({"match": {"method": "POST", "path": ROLES}, "times": 1});
        rule.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        rule
    };
    let mut there = 0;
    for (number, (more, is_carried_out, end)) in [
        (json!({"reset": true}), false, End::Reset),
        (json!({"reset": true, "delay_ms": 1}), false, End::Reset),
        (json!({"silence_s": 1}), false, End::Closed),
        (json!({"reset": true, "after_commit": true}), true, End::Reset),
        (json!({"silence_s": 1, "after_commit": true}), true, End::Closed),
    ]
    .into_iter()
    .enumerate()
    {
        fail(&server, json!([rule(more.clone())]));
        forget(&server);
        let received = raw::send(
            &server,
            &raw::request(&key, "POST", &path, &json!({"name": format!("a{number}")}).to_string()),
        );
        assert_eq!((received.text().as_str(), received.end), ("", end), "{more}");
        there += usize::from(is_carried_out);
        assert_eq!(roles(&org), there, "{more}");
        let entry = &requests(&server, "method=POST")[0];
        assert_eq!(entry["status"], Value::Null, "{more}");
        assert_eq!(entry.get("carried_out"), is_carried_out.then(|| json!(201)).as_ref(), "{more}");
        assert_eq!(entry["json"]["name"], format!("a{number}"), "{more}");
        // A client that tries again without care writes twice, or is refused: that is what the rule is for.
        let again = key.post(&path, json!({"name": format!("a{number}")}));
        assert_eq!(again.status, if is_carried_out { 400 } else { 201 }, "{more}");
        there += usize::from(!is_carried_out);
        let entries = requests(&server, "method=POST");
        assert_eq!(entries[1]["repeats"], entries[0]["n"], "{more}");
    }
    fail(&server, json!([rule(json!({"answer": {"status": 504}, "after_commit": true}))]));
    let answer = key.post(&path, json!({"name": "late"}));
    assert_eq!((answer.status, roles(&org)), (504, there + 1));
    assert_eq!(answer.header("orgd-mode"), "test");
    assert!(!answer.headers.contains_key("location") && answer.value()["type"] == "server_error");
}

#[test]
fn a_delay_alone_ends_in_the_own_answer_before_or_after_the_commit() {
    let (server, org, key) = start();
    for is_after in [false, true] {
        fail(&server, json!([{"match": {"path": INVITES}, "delay_ms": 5, "after_commit": is_after}]));
        key.post(&org.at("invites/"), json!({"target_email": format!("{is_after}@example.com")})).json(201);
        assert_eq!(rules(&server)[0]["fired"], 1);
    }
    let delay = json!({"match": {"path": INVITES}, "delay_ms": 5, "answer": {"status": 500}});
    fail(&server, json!([delay]));
    assert_eq!(key.get(&org.at("invites/")).status, 500);
}

#[test]
fn rules_are_for_the_key_the_method_and_the_route_that_they_name() {
    let (server, org, key) = start();
    let other = org.owner.post("/api/personal_api_keys/", json!({"label": "ci", "scopes": ["*"]})).json(201);
    let other = key.holding(&text(&other["value"]));
    fail(&server, json!([{"match": {"path": "/api/**", "key": "ci"}, "answer": {"status": 500}}]));
    assert_eq!((other.get("/api/users/@me/").status, key.get("/api/users/@me/").status), (500, 200));
    let crate::support::Shows::Key(value) = &other.shows else { panic!("a key is held") };
    assert_eq!(server.anyone().get(&format!("/api/users/@me/?personal_api_key={value}")).status, 500);
    assert_eq!(org.owner.get("/api/users/@me/").status, 200);
    fail(
        &server,
        json!([{"match": {"method": "GET", "path": "/api/organizations/{id}/"}, "answer": {"status": 500}}]),
    );
    assert_eq!((key.get(&org.at("")).status, key.get(&org.at("invites/")).status), (500, 200));
    assert_eq!(key.patch(&org.at(""), json!({"name": "B"})).status, 200);
    // A browser's question before a request is none, unless it is named.
    let ask = || {
        let headers = [("origin", "http://a"), ("access-control-request-method", "GET")];
        key.send("OPTIONS".parse().unwrap(), "/api/users/@me/", "", &headers).status
    };
    fail(&server, json!([{"match": {"path": "/api/users/{id}/"}, "answer": {"status": 500}}]));
    assert_eq!(ask(), 200);
    fail(
        &server,
        json!([{"match": {"method": "OPTIONS", "path": "/api/users/{id}/"}, "answer": {"status": 500}}]),
    );
    assert_eq!(ask(), 500);
    // Pages of other sites read the error as well.
    fail(&server, json!([{"match": {"path": "/api/users/{id}/"}, "answer": {"status": 500}}]));
    let refused = key.send("GET".parse().unwrap(), "/api/users/@me/", "", &[("origin", "http://a")]);
    assert_eq!((refused.status, refused.headers.contains_key("access-control-allow-origin")), (500, true));
}

#[test]
fn what_controls_the_server_never_fails() {
    let (server, _, _) = start();
    let anyone = server.anyone();
    fail(
        &server,
        json!([{"match": {"path": "*"}, "reset": true}, {"match": {"path": "/**"}, "any_path": true, "reset": true}]),
    );
    for path in ["/_orgd/", "/_orgd/requests/", "/_orgd/faults/x1/"] {
        assert_eq!(anyone.get(path).status, 200, "{path}");
    }
    assert_eq!(anyone.get("/_orgd/nothing").status, 404);
    let refused = anyone
        .post("/_orgd/faults/", json!({"match": {"path": "/_orgd/faults"}, "any_path": true, "reset": true}));
    assert_eq!(refused.reason(), "What controls the server never fails.");
    anyone.delete("/_orgd/faults/").no_content();
    assert_eq!(anyone.get("/_livez").status, 200);
}

#[test]
fn rules_are_added_shown_and_removed_and_a_wrong_one_changes_nothing() {
    let (server, _, _) = start();
    let anyone = server.anyone();
    let rule = json!({"match": {"path": "/api/projects/"}, "times": 2, "reset": true});
    assert_eq!(anyone.post("/_orgd/faults/", rule.clone()).json(201)["id"], "x1");
    let second =
        anyone.post("/_orgd/faults/", json!({"match": {"path": "/api/projects/"}, "delay_ms": 1})).json(201);
    assert_eq!(
        second,
        json!({"id": "x2", "seen": 0, "fired": 0, "left": null, "rule": {"match": {"path": "/api/projects/"}, "delay_ms": 1}})
    );
    let first = anyone.get("/_orgd/faults/x1/").json(200);
    assert_eq!((&first["left"], &first["note"]), (&json!(2), &json!("Over HTTP/2 a reset is a RST_STREAM.")));
    let typo = anyone.put(
        "/_orgd/faults/",
        json!({"faults": [{"match": {"path": "/api/organizations/{id}/rolls/"}, "reset": true}]}),
    );
    let reason = typo.reason();
    assert!(reason.contains("/api/organizations/{organization_id}/roles/"), "{reason}");
    assert_eq!(typo.value()["attr"], "faults__0__path");
    for bad in
        [json!({}), json!({"faults": {}}), json!({"faults": [1]}), json!({"faults": vec![rule.clone(); 101]})]
    {
        anyone.put("/_orgd/faults/", bad).json(400);
    }
    let large = json!({"faults": [{"match": {"path": "/api/projects/"}, "answer": {"status": 200, "text": "x".repeat(1024 * 1024 + 1)}}]});
    anyone.put("/_orgd/faults/", large).json(400);
    assert_eq!(rules(&server).len(), 2);
    let judge = |claim: Value| anyone.post("/_orgd/faults/assert/", claim);
    let verdict = judge(json!({"all_fired": true})).json(200);
    assert_eq!((&verdict["ok"], &verdict["never_fired"]), (&json!(false), &json!(["x1", "x2"])));
    assert!(text(&verdict["why"]).contains("/api/projects/"));
    anyone.delete("/_orgd/faults/x1/").no_content();
    anyone.delete("/_orgd/faults/x1/").not_found();
    anyone.get("/api/projects/");
    assert_eq!(judge(json!({"all_fired": true})).json(200), json!({"ok": true}));
    assert_eq!(judge(json!({"id": "x2", "fired": 1})).json(200), json!({"ok": true}));
    assert_eq!(judge(json!({"id": "x2", "fired": 2})).json(200)["why"], "x2 fired 1 times, not 2");
    judge(json!({"id": "x9", "fired": 2})).not_found();
    judge(json!({})).json(400);
    fail(&server, json!(vec![rule; 100]));
    anyone.post("/_orgd/faults/", json!({"match": {"path": "/api/projects/"}, "reset": true})).json(400);
}

/// The frames of HTTP/2 that came, as kind, stream and payload.
fn frames(bytes: &[u8]) -> Vec<(u8, u8, Vec<u8>)> {
    let (mut found, mut rest) = (Vec::new(), bytes);
    while rest.len() >= 9 {
        let length = usize::from(rest[1]) * 256 + usize::from(rest[2]);
        let Some(payload) = rest.get(9..9 + length) else { break };
        found.push((rest[3], rest[8], payload.to_vec()));
        rest = &rest[9 + length..];
    }
    found
}

#[test]
fn over_http_2_a_stream_is_reset_and_others_go_on() {
    let (server, _, _) = start();
    fail(
        &server,
        json!([
            {"match": {"path": "/_health"}, "reset": true},
            {"match": {"path": "/_preflight"}, "any_path": true, "silence_s": 1},
            {"match": {"path": "/_readyz"}, "cut_after_bytes": 3},
        ]),
    );
    const GOAWAY: u8 = 7;
    let asked =
        [hello(65_535), get(1, "/_health"), get(3, "/_livez"), get(5, "/_readyz"), get(7, "/_preflight")]
            .concat();
    let mut stream = std::net::TcpStream::connect(server.address).expect("the server listens");
    std::io::Write::write_all(&mut stream, &asked).expect("the connection is open");
    server.until("all are answered", || {
        let found = requests(&server, "");
        found.len() == 4 && found.iter().all(|entry| entry["ms"].is_u64())
    });
    // An end of the client's own, which lets the server finish.
    let end = frame(GOAWAY, 0, 0, &[0; 8]);
    std::io::Write::write_all(&mut stream, &end).expect("the connection is open");
    stream.shutdown(std::net::Shutdown::Write).expect("the connection is open");
    let found = frames(&raw::read(stream).bytes);
    let resets: Vec<u8> =
        found.iter().filter(|(kind, ..)| *kind == RST_STREAM).map(|(_, stream, _)| *stream).collect();
    let heads: Vec<u8> =
        found.iter().filter(|(kind, ..)| *kind == HEADERS).map(|(_, stream, _)| *stream).collect();
    let data = |wanted: u8| -> Vec<u8> {
        found
            .iter()
            .filter(|(kind, stream, _)| *kind == DATA && *stream == wanted)
            .flat_map(|(.., data)| data.clone())
            .collect()
    };
    let sorted = |mut list: Vec<u8>| {
        list.sort_unstable();
        list
    };
    assert_eq!((sorted(resets), sorted(heads)), (vec![1, 5, 7], vec![3, 5]));
    assert_eq!((data(3).as_slice(), data(5).len()), (&b"{\"http\":true}"[..], 3));
}

#[test]
fn a_server_that_stops_waits_for_no_silence_and_no_delay() {
    let (server, _, key) = start();
    fail(
        &server,
        json!([
            {"match": {"path": "/api/projects/"}, "silence_s": 120},
            {"match": {"path": "/api/users/{id}/"}, "delay_ms": 60_000},
        ]),
    );
    let silent = raw::open(&server, &raw::request(&key, "GET", "/api/projects/", ""));
    let late = raw::open(&server, &raw::request(&key, "GET", "/api/users/@me/", ""));
    let waiting = raw::open(
        &server,
        &raw::request(&server.anyone(), "GET", "/_orgd/requests/?wait_count=100&wait_ms=60000", ""),
    );
    assert_eq!(requests(&server, "wait_count=2&wait_ms=60000").len(), 2);
    // Would take ten minutes otherwise, the time to drain.
    drop(server);
    assert_eq!(raw::read(silent).text(), "");
    assert!(raw::read(late).text().starts_with("HTTP/1.1 200"));
    let answer = raw::read(waiting).text();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 200"), "{answer}");
}
