//! Events that an app sent.

use serde_json::{Value, json};

use crate::support::{Server, text};

fn events(server: &Server, query: &str) -> Vec<Value> {
    super::list(&server.anyone(), &format!("/_orgd/events/?{query}"), "events")
}

#[test]
fn captured_events_are_found_by_token_name_and_person_newest_last() {
    let server = Server::controlled(|_| {});
    let org = server.org();
    let me = org.owner.me();
    let token = text(&me["team"]["api_token"]);
    let second = org.owner.post(&org.at("projects/"), json!({"name": "Second"})).json(201);
    let other = text(&second["api_token"]);
    let send = |token: &str, event: &str, who: &str| {
        let body = json!({"api_key": token, "event": event, "distinct_id": who, "properties": {"a": 1}});
        server.anyone().post("/e/", body).json(200);
    };
    send(&token, "signed up", "ada");
    send(&other, "signed up", "bob");
    send(&token, "left", "ada");
    send("phc_nobody_has_this", "signed up", "eve");
    let names = |query: &str| -> Vec<String> {
        let name = |event: &Value| format!("{} {}", text(&event["event"]), text(&event["distinct_id"]));
        events(&server, query).iter().map(name).collect()
    };
    let of = |token: &str| format!("token={token}");
    assert_eq!(names(""), ["signed up ada", "signed up bob", "left ada"]);
    assert_eq!(names(&of(&token)), ["signed up ada", "left ada"]);
    assert_eq!(names("event=signed+up"), ["signed up ada", "signed up bob"]);
    assert_eq!(names("event=signed%20up&distinct_id=bob"), ["signed up bob"]);
    assert_eq!(names("limit=1"), ["left ada"]);
    let shown = &events(&server, &of(&other))[0];
    assert_eq!((&shown["properties"]["a"], &shown["project_id"]), (&json!(1), &second["id"]));
    let all = server.anyone().get("/_orgd/events/").json(200);
    assert_eq!(all["unknown_token"], 1);
    for bad in ["token=phc_nobody_has_this", "evnet=x", "limit=1001", "wait_ms=60001"] {
        server.anyone().get(&format!("/_orgd/events/?{bad}")).json(400);
    }
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| names("event=late&wait_count=2&wait_ms=60000"));
        send(&token, "late", "1");
        send(&other, "late", "2");
        assert_eq!(waits.join().expect("no panic"), ["late 1", "late 2"]);
    });
    assert_eq!(names("event=never&wait_count=1&wait_ms=1"), [""; 0]);
}

#[test]
fn the_answers_for_sdks_can_be_switched_off() {
    let paths = ["/decide/", "/flags/", "/array/phc_x/config", "/static/array.js", "/api/surveys/"];
    let server = Server::start();
    let other = Server::with(|config| config.sdk_answers = orgd::config::Switch::Off);
    for path in paths {
        assert!(server.anyone().get(path).status == 200 || path == "/static/array.js", "{path}");
        assert_eq!(other.anyone().get(path).json(404)["code"], "not_found", "{path}");
    }
    assert_eq!(other.anyone().post("/flags/?v=2", json!({"token": "x"})).status, 404);
    // Events come all the same.
    let org = other.org();
    let token = text(&org.owner.me()["team"]["api_token"]);
    let body = json!({"api_key": token, "event": "e", "distinct_id": "d"});
    other.anyone().post("/e/", body).json(200);
}
