//! The pages of a project.

use serde_json::json;

use super::{Browses, at, hides, home, last_entry, led_to, refused, shows};
use crate::support::{Org, Server, text};

fn page_of(org: &Org, tail: &str) -> String {
    format!("/project/{}{tail}", org.project)
}

fn token(org: &Org) -> String {
    text(&org.owner.get(&org.project_at("")).json(200)["api_token"])
}

#[test]
fn an_admin_makes_a_project_and_a_member_only_where_they_may() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let new = at(&org, "projects/new");
    shows(
        &org.owner.page(&at(&org, "projects")),
        &["1 project", "Make a project", "Default project", "Everybody"],
    );
    shows(&org.owner.page(&new), &["Europe/Berlin", "<option value=\"UTC\" selected>", "Private project"]);
    hides(&member.page(&at(&org, "projects")), &["projects/new"]);
    let before = server.rows();
    assert_eq!(member.open(&new).status, 403);
    assert_eq!(member.submit(&new, &[("name", "Mine")]).status, 403);
    assert_eq!(org.owner.submit_without_token(&new, &[("name", "Mine")]).status, 403);
    let wrong = [("name", "Shop"), ("timezone", "Mars/Olympus")];
    refused(&org.owner.submit(&new, &wrong), &["#form-timezone", "value=\"Shop\""]);
    assert!(server.rows() == before, "nothing changed");
    let fields = [
        ("name", "Shop"),
        ("timezone", "Europe/Berlin"),
        ("boxes", "access_control"),
        ("access_control", "true"),
    ];
    let made = org.owner.submit(&new, &fields);
    assert_eq!(last_entry(&org).0, "Team");
    shows(&org.owner.page(&made.header("location")), &["Shop", "No event yet"]);
    shows(&org.owner.page(&at(&org, "projects")), &["2 projects", "Shop", "Europe/Berlin", "Whom it names"]);
    hides(&member.page(&at(&org, "projects")), &["Shop"]);
    assert_eq!(member.open(&made.header("location")).status, 404);
    org.owner.patch(&org.at(""), json!({"members_can_create_projects": true})).json(200);
    hides(&member.page(&new), &["Private project"]);
    assert_eq!(member.submit(&new, &[("name", "Mine"), ("timezone", "UTC")]).status, 303);
    shows(&org.owner.page(&at(&org, "projects?q=SHOP")), &["1 project", "Shop"]);
    shows(&org.owner.page(&at(&org, "projects?q=none")), &["Nothing found"]);
}

/// A form that makes something: its path, what is typed, the list of what there is, and the page that a second sending
/// leads to.
struct Maker<'a> {
    path: String,
    fields: &'a [(&'a str, &'a str)],
    list: &'a str,
    leads_to: &'a str,
}

#[test]
fn a_form_that_makes_something_makes_it_once() {
    let server = Server::start();
    let org = server.org();
    let of_exports = org.at("batch_exports/");
    // The organization comes last, for it becomes the current one.
    let forms = [
        Maker {
            path: at(&org, "exports/new/http"),
            fields: &[
                ("name", "Copies"),
                ("interval", "hour"),
                ("url", "http://localhost/batch/"),
                ("token", "phc_there"),
            ],
            list: &of_exports,
            leads_to: "/exports",
        },
        Maker {
            path: at(&org, "projects/new"),
            fields: &[("name", "Shop"), ("timezone", "UTC")],
            list: "/api/projects/",
            leads_to: "/projects",
        },
        Maker {
            path: "/organization/create".into(),
            fields: &[("name", "Second")],
            list: "/api/organizations/",
            leads_to: "/organization/switch",
        },
    ];
    for Maker { path, fields, list, leads_to } in forms {
        let count = || org.owner.get(list).results().len();
        let once = |page: &str| {
            let (_, rest) = page.split_once("name=\"once\" value=\"").expect("an identifier");
            rest.split_once('"').expect("its end").0.to_owned()
        };
        let (before, id) = (count(), once(&org.owner.page(&path)));
        let sent = [fields, &[("once", &*id)]].concat();
        let wrong = [&[("name", "")], &sent[1..]].concat();
        assert_eq!(org.owner.submit(&path, &wrong).status, 422, "{path}");
        assert_eq!(org.owner.submit(&path, &sent).status, 303, "{path}: what was wrong may be sent again");
        let again = org.owner.submit(&path, &sent);
        assert!(again.header("location").ends_with(leads_to), "{path}: {}", again.header("location"));
        assert_eq!(count(), before + 1, "{path}");
        assert_ne!(once(&org.owner.page(&path)), id, "{path}");
    }
}

#[test]
fn a_project_shows_its_token_snippets_and_what_arrives() {
    let server = Server::start();
    let org = server.org();
    let token = token(&org);
    let page = org.owner.page(&page_of(&org, ""));
    let origin = format!("http://{}", server.address);
    shows(&page, &["Default project", &token, "data-copy=\"token\""]);
    shows(
        &page,
        &[&format!("curl {origin}/i/v0/e/"), &token, "posthog-js", &origin, "from posthog import Posthog"],
    );
    shows(&page, &["0 events in the last 30 days.", "data-live=\"2\"", "No event yet"]);
    for number in 0..12 {
        let event = json!({"api_key": token, "event": format!("event <{number}>"), "distinct_id": "me"});
        server.anyone().post("/i/v0/e/", event).json(200);
    }
    let page = org.owner.page(&page_of(&org, ""));
    shows(
        &page,
        &["12 events kept", "12 events in the last 30 days.", "event &lt;11&gt;", "event &lt;2&gt;"],
    );
    hides(&page, &["event &lt;1&gt;", "No event yet"]);
    // A day later another event makes another bar; after two months the first ones are in the chart no more.
    server.pass_days(1);
    let event = json!({"api_key": token, "event": "late", "distinct_id": "me"});
    server.anyone().post("/i/v0/e/", event).json(200);
    shows(&org.owner.page(&page_of(&org, "")), &["13 events in the last 30 days."]);
    server.pass_days(29);
    let owner = org.owner.logged_in();
    shows(&owner.page(&page_of(&org, "")), &["1 event in the last 30 days."]);
    server.pass_days(40);
    let event = json!({"api_key": token, "event": "later", "distinct_id": "me"});
    server.anyone().post("/i/v0/e/", event).json(200);
    shows(&owner.logged_in().page(&at(&org, "projects")), &["Default project", ">1<"]);
    assert_eq!(server.stranger().open(&page_of(&org, "")).status, 404);
}

#[test]
fn a_snippet_works_as_it_is_shown() {
    let server = Server::start();
    let org = server.org();
    let page = org.owner.page(&page_of(&org, ""));
    let (_, rest) = page.split_once("-d '").expect("curl's body");
    let body = rest.split('\'').next().expect("its end").replace("&quot;", "\"");
    server.anyone().post("/i/v0/e/", serde_json::from_str(&body).expect("JSON")).json(200);
    shows(&org.owner.page(&page_of(&org, "")), &["hello", "me"]);
}

#[test]
fn settings_are_for_members_and_privacy_for_admins_of_the_organization() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let path = page_of(&org, "/settings");
    shows(
        &org.owner.page(&path),
        &["value=\"Default project\"", "Private project", "Danger zone", "reset-token"],
    );
    let page = member.page(&path);
    shows(&page, &["value=\"Default project\""]);
    hides(&page, &["Private project", "Danger zone", "/access\"", "secret-token"]);
    let boxes = ("boxes", "anonymize_ips autocapture_opt_out surveys_opt_in");
    let fields = [
        boxes,
        ("name", "Shop"),
        ("timezone", "Europe/Berlin"),
        ("anonymize_ips", "true"),
        ("week_start_day", "1"),
    ];
    led_to(&member.submit(&path, &fields), &path);
    let saved = org.owner.get(&org.project_at("")).json(200);
    assert_eq!(
        [
            &saved["name"],
            &saved["timezone"],
            &saved["anonymize_ips"],
            &saved["week_start_day"],
            &saved["surveys_opt_in"]
        ],
        [&json!("Shop"), &json!("Europe/Berlin"), &json!(true), &json!(1), &json!(null)]
    );
    assert_eq!(last_entry(&org).2.len(), 4, "{:?}", last_entry(&org));
    let before = server.rows();
    refused(&member.submit(&path, &[("name", "")]), &["#form-name"]);
    assert_eq!(member.submit(&path, &[("access_control", "true")]).status, 403);
    assert_eq!(member.submit_without_token(&path, &[("name", "X")]).status, 403);
    assert!(server.rows() == before, "nothing changed");
}

#[test]
fn the_token_is_reset_by_admins_after_a_question() {
    let server = Server::start();
    let org = server.org();
    let (old, path) = (token(&org), page_of(&org, "/reset-token"));
    let member = org.member(&server);
    shows(&org.owner.page(&path), &["Reset the token of Default project?", &old, "stops working at once"]);
    assert_eq!((member.open(&path).status, member.submit(&path, &[]).status), (403, 403));
    assert_eq!(org.owner.submit_without_token(&path, &[]).status, 403);
    assert_eq!(token(&org), old);
    led_to(&org.owner.submit(&path, &[]), &page_of(&org, ""));
    assert_ne!(token(&org), old);
    assert_eq!(last_entry(&org).2, ["\"api_token\": null -> null"]);
    hides(&org.owner.page(&page_of(&org, "")), &[&old]);
    server.pass_days(1);
    assert!(org.owner.submit(&path, &[]).header("location").starts_with("/login/again"));
}

#[test]
fn the_secret_token_is_made_and_the_one_before_ends() {
    let server = Server::start();
    let org = server.org();
    let path = page_of(&org, "/secret-token");
    let member = org.member(&server);
    shows(&org.owner.page(&path), &["There is no secret token", "Make a secret token"]);
    assert_eq!((member.open(&path).status, member.submit(&path, &[]).status), (403, 403));
    led_to(&org.owner.submit(&path, &[("what", "make")]), &path);
    let secret = |name: &str| org.owner.get(&org.project_at("")).json(200)[name].clone();
    let first = text(&secret("secret_api_token"));
    shows(&org.owner.page(&path), &[&first, "Make a new one"]);
    org.owner.submit(&path, &[("what", "make")]);
    shows(
        &org.owner.page(&path),
        &[&text(&secret("secret_api_token")), "The one before", &first, "End the one before"],
    );
    org.owner.submit(&path, &[("what", "end")]);
    hides(&org.owner.page(&path), &[&first]);
    assert_eq!(last_entry(&org).2, ["\"secret_api_token_backup\": \"masked\" -> null"]);
    server.pass_days(1);
    assert!(org.owner.open(&path).header("location").starts_with("/login/again"));
}

#[test]
fn a_project_is_deleted_by_typing_its_name() {
    let server = Server::start();
    let org = server.org();
    let path = page_of(&org, "/delete");
    let member = org.member(&server);
    let event = json!({"api_key": token(&org), "event": "hello", "distinct_id": "me"});
    server.anyone().post("/i/v0/e/", event).json(200);
    shows(&org.owner.page(&path), &["Delete Default project?", "1 event"]);
    refused(&org.owner.submit(&path, &[("name", "Default")]), &["That is not the name."]);
    assert_eq!(
        (member.open(&path).status, member.submit(&path, &[("name", "Default project")]).status),
        (403, 403)
    );
    assert_eq!(org.owner.submit_without_token(&path, &[("name", "Default project")]).status, 403);
    led_to(&org.owner.submit(&path, &[("name", "Default project")]), &format!("{}/projects", home(&org)));
    assert_eq!(org.owner.open(&page_of(&org, "")).status, 404);
    shows(&org.owner.page(&at(&org, "projects")), &["There is no project that you see"]);
    assert_eq!(last_entry(&org).1, "deleted");
}
