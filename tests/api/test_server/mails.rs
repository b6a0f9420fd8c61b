//! Mails of a test server, which go nowhere.

use serde_json::{Value, json};

use super::{fail, rules};
use crate::support::{Server, text};

fn mails(server: &Server, query: &str) -> Vec<Value> {
    let all = server.anyone().get(&format!("/_orgd/mails/?{query}")).json(200);
    all.as_array().expect("a list").clone()
}

#[test]
fn a_mail_is_there_when_the_request_is_answered_and_its_link_leads_on() {
    let server = Server::controlled(|_| {});
    let org = server.org();
    assert_eq!(server.anyone().get("/_preflight/").json(200)["email_service_available"], true);
    server.anyone().delete("/_orgd/mails/").no_content();
    let made = org
        .owner
        .post(&org.at("invites/"), json!({"target_email": "grace@example.com", "level": 8}))
        .json(201);
    assert_eq!(made["emailing_attempt_made"], true);
    org.invite("other@example.com", 1);
    let found = mails(&server, "to=Grace@example.com");
    assert_eq!(found.len(), 1);
    let mail = &found[0];
    assert_eq!((&mail["to"], &mail["invite_id"]), (&json!("grace@example.com"), &made["id"]));
    assert!(text(&mail["subject"]).contains("Acme") && text(&mail["text"]).contains("Hello"));
    let link = text(&mail["links"][0]);
    let token = link.rsplit_once("/signup/").expect("a link to the sign-up").1;
    assert!(text(&mail["html"]).contains(token));
    let grace = server.somebody("x").accept(token);
    assert_eq!(grace.me()["email"], "grace@example.com");
    // Of another kind, and without an invite.
    server.anyone().delete("/_orgd/mails/").no_content();
    server.anyone().post("/api/reset/", json!({"email": org.owner.email})).no_content();
    // News of a newcomer may come before it.
    let is_reset = |mail: &Value| mail["links"][0].as_str().is_some_and(|link| link.contains("/reset/"));
    let mut reset = None;
    server.until("the mail is there", || {
        reset = mails(&server, &format!("to={}", org.owner.email)).into_iter().find(is_reset);
        reset.is_some()
    });
    assert_eq!(reset.expect("it is there")["invite_id"], Value::Null);
    server.anyone().delete("/_orgd/mails/").no_content();
    assert_eq!(mails(&server, "").len(), 0);
    for bad in ["form=x", "wait_ms=60001", "wait_count=-1"] {
        server.anyone().get(&format!("/_orgd/mails/?{bad}")).json(400);
    }
}

#[test]
fn a_mail_fails_as_a_rule_says_and_comes_later_or_never() {
    let server = Server::controlled(|_| {});
    let org = server.org();
    server.anyone().delete("/_orgd/mails/").no_content();
    fail(
        &server,
        json!([
            {"match": {"mail": "late@*"}, "times": 1, "answer": {"status": 450}},
            {"match": {"mail": "late@*"}, "times": 1, "reset": true},
            {"match": {"mail": "never@*"}, "answer": {"status": 550, "text": "no such box"}},
        ]),
    );
    org.invite("late@example.com", 1);
    org.invite("never@example.com", 1);
    org.invite("now@example.com", 1);
    let to: Vec<String> = mails(&server, "").iter().map(|mail| text(&mail["to"])).collect();
    assert_eq!(to, ["now@example.com"]);
    for wait in [60, 3600] {
        server.pass(std::time::Duration::from_secs(wait));
    }
    server.until("it is tried again", || {
        server.pass(std::time::Duration::from_secs(600));
        mails(&server, "to=late@example.com").len() == 1
    });
    assert_eq!(mails(&server, "to=never@example.com").len(), 0);
    let fired: Vec<Value> = rules(&server).iter().map(|rule| rule["fired"].clone()).collect();
    assert_eq!(json!(fired), json!([1, 1, 1]));
}
