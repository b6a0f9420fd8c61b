//! Pages of a test server: what was called, what was sent, what goes wrong.

use serde_json::json;

use super::{Browses, hides, shows};
use crate::support::{Server, text};

#[test]
fn the_pages_show_what_the_control_paths_say() {
    let server = Server::controlled(|_| {});
    let anyone = server.anyone();
    shows(&anyone.page("/dev/requests"), &["Test server", "Nothing called yet", "curl"]);
    shows(&anyone.page("/dev/mail"), &["No mail yet"]);
    shows(&anyone.page("/dev/events"), &["No event yet"]);
    shows(&anyone.page("/dev/faults"), &["Nothing goes wrong"]);
    assert_eq!(anyone.open("/dev").header("location"), "/dev/requests");
    let org = server.org();
    let key = org.owner.key(&["*"]);
    anyone.delete("/_orgd/requests/").no_content();
    anyone.delete("/_orgd/mails/").no_content();
    let rule = json!({"match": {"method": "POST", "path": "/api/organizations/{id}/roles/"}, "times": 1, "answer": {"status": 503}});
    anyone.put("/_orgd/faults/", json!({"faults": [rule]})).json(200);
    key.post(&org.at("roles/"), json!({"name": "<b>It's"}));
    key.post(&org.at("roles/"), json!({"name": "<b>It's"})).json(201);
    anyone.get("/api/nothing/");
    org.invite("grace@example.com", 1);
    let token = text(&org.owner.me()["team"]["api_token"]);
    let event =
        json!({"api_key": token, "event": "signed up", "distinct_id": "ada", "properties": {"a": "<i>"}});
    anyone.post("/e/", event).json(200);
    let page = anyone.page("/dev/requests");
    shows(
        &page,
        &[
            "6 requests, 1 for paths that orgd does not serve",
            "no such path",
            "/roles/",
            "repeats",
            "fault x1",
        ],
    );
    shows(&anyone.page("/dev/requests?row=none"), &["/api/nothing/"]);
    hides(&anyone.page("/dev/requests?row=none"), &["POST /api/organizations"]);
    hides(&anyone.page("/dev/requests?q=roles&method=POST"), &["GET /api/nothing/"]);
    let first = anyone.get("/_orgd/requests/?limit=6").json(200)["requests"][0]["n"].clone();
    let one = anyone.page(&format!("/dev/requests/{first}"));
    shows(&one, &["/roles/", "503", "x1", "application/json", "&lt;b&gt;It's", "curl -X POST", "$ORGD_KEY"]);
    hides(&one, &["<b>It"]);
    shows(&anyone.page("/dev/faults"), &["1 rule, 0 of them never fired", "x1", "roles"]);
    // Once it is there for programs, it is on the page.
    anyone.get("/_orgd/mails/?to=grace@example.com&wait_count=1").json(200);
    let page = anyone.page("/dev/mail");
    shows(&page, &["You are invited to Acme", "grace@example.com"]);
    let path = page.split_once("href=\"/dev/mail/").expect("a mail").1.split_once('"').expect("its end").0;
    shows(&anyone.page(&format!("/dev/mail/{path}")), &["grace@example.com", "/signup/", "Hello"]);
    shows(&anyone.page("/dev/events"), &["1 event", "signed up", "&lt;i&gt;", "ada"]);
    for missing in ["/dev/requests/999999", "/dev/requests/x", "/dev/mail/999999", "/dev/nothing"] {
        assert_eq!(anyone.open(missing).status, 404, "{missing}");
    }
}

#[test]
fn the_pages_are_reached_as_the_control_paths_are_and_on_no_other_server() {
    let server = Server::controlled(|_| {});
    let pages = ["/dev", "/dev/requests", "/dev/mail", "/dev/events", "/dev/faults"];
    for page in pages {
        for (name, value) in [
            ("host", "evil.example"),
            ("origin", "http://evil.example"),
            ("sec-fetch-site", "cross-site"),
            ("x-forwarded-for", "1.2.3.4"),
        ] {
            let refused = server.anyone().send("GET".parse().unwrap(), page, "", &[(name, value)]);
            assert_eq!(refused.status, 403, "{page}: {name}");
        }
        assert_eq!(server.anyone().post(page, json!({})).status, 405, "{page}");
    }
    for other in [Server::start(), Server::controlled(|config| config.console = orgd::config::Switch::Off)] {
        for page in pages {
            assert_eq!(other.anyone().open(page).status, 404, "{page}");
        }
    }
}
