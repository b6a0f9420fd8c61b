//! `orgd::testing`, as the tests of a Rust client use it.

use orgd::testing::{Expect, Fault, Server};
use serde_json::{Value, json};

const ROLES: &str = "POST /api/organizations/{id}/roles/";
const PATH: &str = "/api/organizations/@current/roles/";

fn make_role(orgd: &Server, name: &str) -> u16 {
    orgd.send("POST", PATH, &json!({"name": name}).to_string()).0
}

fn roles(orgd: &Server) -> Vec<String> {
    let shown: Value = serde_json::from_str(&orgd.send("GET", PATH, "").1).expect("JSON");
    let names = shown["results"].as_array().expect("a list").iter();
    names.map(|role| role["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn forks_know_nothing_of_each_other_and_of_what_came_after() {
    let server = Server::start();
    assert_eq!(make_role(&server, "base"), 201);
    let (first, second, now) = (server.fork(), server.fork(), server.fork_of_now());
    make_role(&first, "first");
    make_role(&second, "second");
    second.advance("36500d");
    assert_eq!(roles(&first), ["first"]);
    assert_eq!(roles(&second), ["second"]);
    assert_eq!(roles(&now), ["base"]);
    assert_eq!(roles(&server), ["base"]);
    first.reset();
    assert!(roles(&first).is_empty());
    // The mailbox of a fork begins empty.
    assert!(first.mails("demo@example.com").is_empty());
}

#[test]
fn faults_fire_and_the_journal_knows() {
    let server = Server::with(&["--clock", "2026-01-01T00:00:00Z"], |_| {});
    let orgd = server.fork();
    let fault = orgd.fail(ROLES, Fault::status(503).header("X-Why", "test").json(json!({"no": 1})).times(1));
    assert_eq!(make_role(&orgd, "Operators"), 503);
    assert_eq!(make_role(&orgd, "Operators"), 201);
    assert_eq!(orgd.fired(&fault), 1);
    orgd.assert_requests(ROLES, Expect::count(2).with_json(json!({"name": "Operators"})));
    orgd.assert_requests(ROLES, Expect::count(1).with_status(201));
    orgd.assert_requests("DELETE /api/organizations/{id}/roles/{id}/", Expect::never());
    assert_eq!(orgd.requests()[1].repeats, Some(1));
    assert_eq!(orgd.advance("1h").now, "2026-01-01T01:00:00Z");
    let event = json!({"api_key": orgd.project_token(), "event": "seen", "distinct_id": "ada"});
    assert_eq!(orgd.send("POST", "/e/", &event.to_string()).0, 200);
    assert_eq!(orgd.events()[0].project_id, orgd.project_id());
}

#[test]
fn a_failing_assertion_and_the_report_say_what_was_asked() {
    let server = Server::start();
    for number in 0..23 {
        server.send("GET", &format!("/_readyz?{number}"), "");
    }
    server.fail(ROLES, Fault::reset().after_commit().times(1));
    let report = server.report();
    assert!(report.contains("requests (the last 20 of 23):"), "{report}");
    assert!(report.contains("GET /_readyz?3 -> 200") && !report.contains("/_readyz?2 "), "{report}");
    assert!(report.contains("fault x1 has not fired: {"), "{report}");
    let asserting = std::panic::AssertUnwindSafe(|| server.assert_requests(ROLES, Expect::at_least(1)));
    let panic = std::panic::catch_unwind(asserting).expect_err("it was not called");
    let said = panic.downcast_ref::<String>().expect("a text");
    assert!(said.contains("no request has the path"), "{said}");
}

#[test]
fn flags_and_settings_are_taken() {
    let server =
        Server::with(&["--ids=7"], |config| config.site_url = Some("https://orgd.example.com".into()));
    assert!(server.key().starts_with("phx_"));
    assert_ne!(server.organization_id(), Server::start().organization_id());
    let wrong = std::panic::catch_unwind(|| Server::with(&["--no-such-flag"], |_| {}));
    assert!(wrong.is_err());
}
