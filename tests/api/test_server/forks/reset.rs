//! A reset makes the server what it was, and everything of it works on.

use std::net::TcpStream;

use serde_json::{Value, json};

use super::{Fork, keep, reset, roles, still};
use crate::support::exports::{
    at, backfill, capture, completed, event, export_to, latest, names, scheduled_export_to,
};
use crate::support::{Org, Person, Receiver, Server, text};
use crate::test_server::{fail, rules};

#[test]
fn without_a_name_it_is_what_the_server_began_with() {
    let server = Server::controlled(|_| {});
    let org = server.org();
    let fork = Fork::of(&server.anyone());
    let there = fork.to(&org.owner);
    there.post(&org.at("roles/"), json!({"name": "There"})).json(201);
    // A body is not wanted.
    let mut stream = TcpStream::connect(server.address).expect("the server listens");
    for length in ["", "Content-Length: 0\r\n"] {
        let request = format!("POST /_orgd/reset HTTP/1.1\r\nHost: {}\r\n{length}\r\n", server.address);
        let head = super::under_way::exchange(&mut stream, &request);
        assert!(head.starts_with("HTTP/1.1 204"), "{head}");
    }
    assert_eq!(org.owner.get("/api/users/@me/").status, 401, "nobody has signed up");
    assert_eq!(roles(&there, &org.at("roles/")), ["There"], "a fork is none of it");
    fork.to(&server.anyone()).post("/_orgd/reset/", json!({})).no_content();
    assert_eq!(roles(&there, &org.at("roles/")), [""; 0]);
    reset(&fork.to(&server.anyone()), "start");
    assert_eq!(there.get("/api/users/@me/").status, 401);
    assert_eq!(Fork::of(&server.anyone()).id, "f2", "forks and their names stay");
    let again = server.org();
    assert_eq!(again.owner.me()["email"], again.owner.email);
}

#[test]
fn the_same_is_answered_after_every_reset() {
    let server = still();
    let org = server.org();
    keep(&server.anyone(), "seeded");
    let run = || {
        let made = org.owner.post(&org.at("roles/"), json!({"name": "Ops"})).text();
        let key = org.owner.post("/api/personal_api_keys/", json!({"label": "a", "scopes": ["*"]})).text();
        let invite = org.owner.post(&org.at("invites/"), json!({"target_email": "g@example.com"})).text();
        (made, key, invite, org.owner.get(&org.at("roles/")).text())
    };
    let first = run();
    for _ in 0..3 {
        reset(&server.anyone(), "seeded");
        assert_eq!(run(), first);
    }
    let fork = Fork::wanted(&server.anyone(), json!({"of": "seeded"}));
    let there = Org { owner: fork.to(&org.owner), ..org.clone() };
    let made = there.owner.post(&there.at("roles/"), json!({"name": "Ops"})).text();
    assert_eq!(made, first.0);
}

/// The addresses of the mails that went out.
fn recipients(control: &Person) -> Vec<String> {
    let all = control.get("/_orgd/mails/").json(200);
    all.as_array().expect("mails").iter().map(|mail| text(&mail["to"])).collect()
}

#[test]
fn mail_faults_names_journal_events_clock_and_sessions_are_as_they_were_and_work() {
    let server = still();
    let org = server.org();
    let control = server.anyone();
    let session = org.owner.logged_in();
    let token = crate::support::exports::token(&org);
    let rule = |path: &str| json!({"match": {"path": path}, "times": 1, "answer": {"status": 418}});
    fail(&server, json!([rule("/api/users/{id}/")]));
    let dns = json!({"a.example": {"TXT": ["before"]}});
    control.put("/_orgd/dns/", dns.clone()).json(200);
    org.invite("before@example.com", 1);
    assert_eq!(recipients(&control), ["before@example.com"]);
    keep(&control, "seeded");
    for round in 0..3 {
        // All of it is changed.
        let late = org.owner.logged_in();
        let key = org.owner.key(&["*"]);
        fail(&server, json!([rule("/api/**"), rule("/**")]));
        control.put("/_orgd/dns/", json!({"b.example": {"TXT": ["after"]}})).json(200);
        control.post("/_orgd/clock", json!({"advance": "5d"})).json(200);
        org.owner.post(&org.at("invites/"), json!({"target_email": "after@example.com"}));
        let late_event = json!({"api_key": token, "event": "late", "distinct_id": "d"});
        let statuses = [(); 3].map(|()| control.post("/e/", late_event.clone()).status);
        assert_eq!(statuses, [418, 200, 200], "one rule is met by what is not below /api/");
        reset(&control, "seeded");
        // Nothing of it is left.
        assert_eq!(control.get("/_orgd/dns/").json(200), dns, "{round}");
        assert_eq!(control.get("/_orgd/clock").json(200), json!({"now": super::START, "frozen": true}));
        let left: Vec<Value> = rules(&server).iter().map(|rule| json!([rule["id"], rule["fired"]])).collect();
        assert_eq!(left, [json!(["x1", 0])]);
        assert_eq!(control.get("/_orgd/requests/").json(200)["count"], 0);
        assert_eq!(control.get("/_orgd/events/").json(200), json!({"events": [], "unknown_token": 0}));
        assert_eq!(late.get(&org.at("")).status, 401, "its log-in never happened");
        assert_eq!(key.get(&org.at("")).status, 401);
        // The rule that there was fires as if it had never been met, and is over then.
        assert_eq!(session.get("/api/users/@me/").status, 418);
        session.get("/api/users/@me/").json(200);
        // Mails go out, and what was sent before is not sent again.
        org.invite("new@example.com", 1);
        assert_eq!(recipients(&control), ["new@example.com"]);
        control.post("/e/", json!({"api_key": token, "event": "seen", "distinct_id": "d"})).json(200);
        assert_eq!(control.get("/_orgd/events/?wait_count=1").json(200)["events"][0]["event"], "seen");
        assert_eq!(control.get("/_orgd/requests/?path=/e/").json(200)["count"], 1);
    }
}

#[test]
fn exports_domains_and_proxies_work_on() {
    let server = still();
    let org = server.org();
    let control = server.anyone();
    let receiver = Receiver::answering(&[]);
    capture(&server, &org, &[event("before", "10:00:00")]);
    let once = export_to(&org, &receiver.url("/batch/"), json!({}));
    let hourly = scheduled_export_to(&org, &receiver.url("/hourly/"));
    let domain = org.owner.post(&org.at("domains/"), json!({"domain": "example.com"})).json(201);
    let proxy = org.owner.post(&org.at("proxy_records/"), json!({"domain": "e.example.com"})).json(201);
    control.post("/_orgd/clock", json!({"advance": "1s"})).json(200);
    keep(&control, "seeded");
    let advance = |by: &str| {
        let settled = control.post("/_orgd/clock", json!({"advance": by})).json(200);
        assert_eq!(settled["settled"], true, "{settled}");
    };
    for round in 0..3 {
        let received = receiver.received().len();
        capture(&server, &org, &[event(&format!("in {round}"), "10:30:00")]);
        backfill(&org, &once, "10:00", "11:00");
        advance("0s");
        completed(&latest(&org, &once), 2);
        let sent = receiver.received()[received..].to_vec();
        let events: Vec<Value> =
            sent.iter().flat_map(|one| one.json()["batch"].as_array().cloned().unwrap_or_default()).collect();
        assert_eq!(names(&events), ["before".to_owned(), format!("in {round}")]);
        advance("3h");
        let runs = org.owner.get(&at(&org, &hourly, "")).json(200);
        assert_eq!(runs["latest_runs"].as_array().map(Vec::len), Some(3), "{runs}");
        // What the DNS says is found.
        let verify = org.at(&format!("domains/{}/verify/", text(&domain["id"])));
        let is_verified = || org.owner.post(&verify, json!({})).json(200)["is_verified"].clone();
        assert_eq!(is_verified(), false, "{round}");
        let names = json!({
            "_posthog-challenge.example.com": {"TXT": [domain["verification_challenge"]]},
            "e.example.com": {"CNAME": proxy["target_cname"]},
        });
        control.put("/_orgd/dns/", names).json(200);
        assert_eq!(is_verified(), true, "{round}");
        let status = || {
            let found = org.owner.get(&org.at("proxy_records/")).json(200);
            text(&found["results"][0]["status"])
        };
        server.until("the proxy's CNAME is found", || {
            advance("1h");
            ["valid", "issuing"].contains(&status().as_str())
        });
        reset(&control, "seeded");
        assert!(latest(&org, &once).is_null() && latest(&org, &hourly).is_null());
        assert_eq!((is_verified(), status().as_str()), (json!(false), "waiting"), "{round}");
        reset(&control, "seeded");
    }
}

#[test]
fn what_a_fork_was_doing_elsewhere_ends_with_it() {
    use std::io::Read;
    use std::net::TcpListener;
    for by_reset in [true, false] {
        let server = Server::controlled(|config| config.exports.export_first_answer_seconds = 24 * 60 * 60);
        let org = server.org();
        capture(&server, &org, &[event("seen", "10:00:00")]);
        let fork = Fork::of(&server.anyone());
        let there = Org { owner: fork.to(&org.owner), ..org.clone() };
        // Takes a request, and never answers it.
        let silent = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let url = format!("http://{}/batch/", silent.local_addr().expect("an address"));
        let export = export_to(&there, &url, json!({}));
        backfill(&there, &export, "10:00", "11:00");
        let (mut stream, _) = silent.accept().expect("it connects");
        let mut part = [0; 4096];
        assert!(stream.read(&mut part).expect("it sends") > 0);
        if by_reset {
            fork.to(&server.anyone()).post("/_orgd/reset/", json!({})).no_content();
        } else {
            server.anyone().delete(&fork.path()).no_content();
        }
        // The end of the connection, and no other one.
        while stream.read(&mut part).unwrap_or(0) > 0 {}
        silent.set_nonblocking(true).expect("a socket");
        assert!(silent.accept().is_err(), "nobody tries again");
    }
}

#[test]
fn the_overview_says_what_there_is() {
    let server = Server::controlled(|_| {});
    let org = server.org();
    let control = server.anyone();
    let made = keep(&control, "seeded");
    assert!(made["bytes"].as_u64().expect("a number") > 4096 && made["name"] == "seeded", "{made}");
    let fork = Fork::wanted(&control, json!({"of": "seeded"}));
    let overview = || control.get("/_orgd/").json(200);
    let shown = overview();
    let first = &shown["forks"][0];
    assert_eq!((&first["id"], &first["of"], &first["open"]), (&json!("f1"), &json!("seeded"), &json!(false)));
    assert_eq!(first["own_bytes"], 0, "{shown}");
    assert_eq!(first["url"], format!("http://{}", fork.address));
    assert!(text(&first["expires_at"]).ends_with('Z'));
    let snapshots: Vec<String> =
        shown["snapshots"].as_array().expect("a list").iter().map(|one| text(&one["name"])).collect();
    assert_eq!(snapshots, ["seeded", "start"]);
    fork.to(&org.owner).post(&org.at("roles/"), json!({"name": "A"})).json(201);
    let shown = overview();
    assert_eq!(shown["forks"][0]["open"], true);
    assert!(shown["forks"][0]["own_bytes"].as_u64() > Some(0) && shown["forks_bytes"].as_u64() > Some(0));
    assert_eq!(fork.to(&control).get("/_orgd/").json(200)["seen"]["requests"], 1);
    control.get("/nothing").json(404);
    assert!(overview()["seen"]["unknown"] == 1, "{}", overview());
}
