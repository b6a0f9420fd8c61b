//! The audit log as a page.

use serde_json::json;

use super::{Browses, at, hides, shows};
use crate::support::{Server, text};

#[test]
fn administrators_see_who_changed_what_before_and_after() {
    let server = Server::start();
    let org = server.org();
    let page = org.owner.page(&at(&org, "audit"));
    shows(&page, &["<h1", "Audit log"]);
    let role = org.owner.post(&org.at("roles/"), json!({"name": "Analysts"})).json(201);
    org.owner
        .patch(&org.at(&format!("roles/{}/", text(&role["id"]))), json!({"name": "<b>Readers"}))
        .json(200);
    let page = org.owner.page(&at(&org, "audit"));
    shows(&page, &["Role updated", "&lt;b&gt;Readers", &org.owner.email, "Session", "<details>", "1 field"]);
    shows(&page, &["Before: ", "Analysts", "After: ", "&lt;b&gt;Readers"]);
    shows(&page, &["Role created"]);
    hides(&page, &["<b>"]);
    // A key is named by its mask.
    let key = org.owner.key(&["organization:write"]);
    key.patch(&org.at(""), json!({"name": "Acme Two"})).json(200);
    shows(&org.owner.page(&at(&org, "audit")), &["Organization updated", "Key <code>phx_..."]);
}

#[test]
fn filters_narrow_the_log_down_and_files_have_the_same() {
    let server = Server::start();
    let org = server.org();
    for number in 0..40 {
        org.owner.post(&org.at("roles/"), json!({"name": format!("Role {number:02}")})).json(201);
    }
    org.owner.post(&org.at("projects/"), json!({"name": "Second"})).json(201);
    let page = org.owner.page(&at(&org, "audit?scopes=Role&search_text=&start_date=&end_date="));
    shows(&page, &["<option value=\"Role\" selected>", "Role 39", "Role 10", "rel=\"next\""]);
    hides(&page, &["Role 09", "Project created"]);
    shows(&page, &[&format!("{}?scopes=Role&amp;format=csv", org.at("advanced_activity_logs/"))]);
    let next =
        page.split("rel=\"next\" href=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("more");
    let next = next.replace("&amp;", "&");
    let older = org.owner.page(&next);
    shows(&older, &["Role 09", "Role 00", "rel=\"prev\""]);
    hides(&older, &["Role 10"]);
    let file = org.owner.get(&format!("{}?scopes=Role&format=csv", org.at("advanced_activity_logs/")));
    assert_eq!((file.status, file.text().lines().count()), (200, 41));
    let nothing = org.owner.page(&at(&org, "audit?search_text=nobody-wrote-this"));
    shows(&nothing, &["value=\"nobody-wrote-this\"", "Nothing in this time", "Show everything"]);
    let wrong = org.owner.page(&at(&org, "audit?start_date=yesterday"));
    shows(&wrong, &["value=\"yesterday\"", "role=\"alert\"", "From: Datetime has wrong format."]);
}

#[test]
fn only_administrators_see_the_log() {
    let server = Server::start();
    let org = server.org();
    let (member, admin, stranger) = (org.member(&server), org.admin(&server), server.stranger());
    assert_eq!(member.open(&at(&org, "audit")).status, 403);
    assert_eq!(stranger.open(&at(&org, "audit")).status, 403);
    assert_eq!(admin.open(&at(&org, "audit")).status, 200);
    assert_eq!(server.anyone().open(&at(&org, "audit")).status, 303);
    hides(&member.page(&at(&org, "members")), &["Audit log"]);
}
