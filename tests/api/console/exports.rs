//! Exports as pages: making one, testing where it delivers to, seeing how it goes, changing and deleting it.

use serde_json::{Value, json};

use super::{Browses, at, hides, led_to, refused, shows};
use crate::support::exports::{backfill, capture, event, export_of, export_to, last_run, patient};
use crate::support::{Answer, Org, Person, Receiver, Server, text};

/// Nobody listens there.
const NOWHERE: &str = "http://127.0.0.1:1/";
const SECRET: &str = "phc_a-secret-of-ours";

fn one(org: &Org, export: &Value, tail: &str) -> String {
    at(org, &format!("exports/{}{tail}", text(&export["id"])))
}

/// What a person fills in for an export over HTTP.
fn filled<'a>(url: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut all = vec![("name", "Hourly <b>"), ("url", url), ("token", SECRET), ("interval", "hour")];
    all.extend_from_slice(more);
    all
}

fn exports(person: &Person, org: &Org) -> Vec<Value> {
    person.get(&org.at("batch_exports/")).results()
}

/// Where an answer leads to, as the slug of the organization has it.
fn tail(answer: &Answer) -> String {
    assert_eq!(answer.status, 303, "{}", answer.text());
    let path = answer.header("location");
    path.splitn(4, '/').nth(3).unwrap_or_default().to_owned()
}

#[test]
fn an_export_is_chosen_filled_in_tested_and_made() {
    let server = Server::start();
    let org = server.org();
    shows(&org.owner.page(&at(&org, "exports")), &["No exports yet", "New export"]);
    let choice = org.owner.page(&at(&org, "exports/new"));
    shows(&choice, &["S3 bucket", "PostgreSQL", "Amazon Redshift", "Web address (HTTP)"]);
    for (kind, field) in
        [("s3", "bucket_name"), ("postgres", "host"), ("redshift", "properties_data_type"), ("http", "url")]
    {
        let page = org.owner.page(&at(&org, &format!("exports/new/{kind}")));
        shows(&page, &[&format!("name=\"{field}\""), "Create and run", "Create paused", "Test"]);
    }
    assert_eq!(org.owner.open(&at(&org, "exports/new/ftp")).status, 404);
    let path = at(&org, "exports/new/http");
    let receiver = Receiver::answering(&[(200, "{}")]);
    let (works, silent) = (receiver.url("/batch/"), "http://127.0.0.1:1/batch/");
    // A test says what it found, stores nothing and shows no secret again.
    let tested = org.owner.submit(&path, &filled(silent, &[("what", "test")]));
    assert_eq!(tested.status, 200, "{}", tested.text());
    shows(
        &tested.text(),
        &["does not work yet", "Failed", "The host of the URL answers.", "value=\"Hourly &lt;b&gt;\""],
    );
    hides(&tested.text(), &[SECRET]);
    let tested = org.owner.submit(&path, &filled(&works, &[("what", "test")])).text();
    shows(
        &tested,
        &["The destination works", "Passed", "name=\"typed_secrets\"", "It is set. Leave this empty"],
    );
    hides(&tested, &[SECRET]);
    assert!(exports(&org.owner, &org).is_empty());
    // What is wrong stands beside its field, and nothing is made.
    for (fields, wanted) in [
        (
            vec![("name", ""), ("url", works.as_str()), ("token", "t"), ("interval", "hour")],
            "Name: This is missing.",
        ),
        (
            vec![("name", "n"), ("url", works.as_str()), ("token", ""), ("interval", "hour")],
            "Token: This is missing.",
        ),
        (
            vec![("name", "n"), ("url", " "), ("token", "t"), ("interval", "hour")],
            "Address: This is missing.",
        ),
        (vec![("name", "n"), ("url", works.as_str()), ("token", "t"), ("interval", "year")], "Choose one of"),
    ] {
        for what in ["", "paused", "test"] {
            let mut fields = fields.clone();
            fields.push(("what", what));
            let answer = org.owner.submit(&path, &fields);
            refused(&answer, &["Error: ", "role=\"alert\"", wanted, &format!("value=\"{}\"", fields[0].1)]);
        }
    }
    assert!(exports(&org.owner, &org).is_empty());
    assert_eq!(org.owner.submit_without_token(&path, &filled(&works, &[])).status, 403);
    assert!(exports(&org.owner, &org).is_empty());
    let made =
        org.owner.submit(&path, &filled(&works, &[("what", "paused"), ("include_events", " a \r\n\r\nb ")]));
    let export = exports(&org.owner, &org).remove(0);
    assert_eq!(tail(&made), format!("exports/{}", text(&export["id"])));
    assert_eq!((&export["paused"], &export["name"]), (&json!(true), &json!("Hourly <b>")));
    assert_eq!(export["destination"]["config"]["include_events"], json!(["a", "b"]));
    let page = org.owner.page(&one(&org, &export, ""));
    shows(
        &page,
        &["Hourly &lt;b&gt;", "Paused", &works.replace('&', "&amp;"), &org.owner.email, "No runs yet"],
    );
    hides(&page, &[SECRET, "<b>"]);
    shows(&org.owner.page(&at(&org, "exports")), &["1 export", "Hourly &lt;b&gt;", "Paused", "None yet"]);
    // What was typed for the test need not be typed again, by the same person and soon.
    let sealed =
        tested.split("name=\"typed_secrets\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let kept = [("token", ""), ("typed_secrets", sealed.expect("a hidden field"))];
    refused(&org.second_owner(&server).submit(&path, &filled(&works, &kept)), &["Token: This is missing."]);
    server.pass(std::time::Duration::from_secs(59 * 60));
    assert_eq!(org.owner.submit(&path, &filled(&works, &kept)).status, 303);
    assert_eq!(exports(&org.owner, &org)[0]["paused"], false);
    server.pass(std::time::Duration::from_secs(2 * 60));
    refused(&org.owner.submit(&path, &filled(&works, &kept)), &["Token: This is missing."]);
    refused(
        &org.owner.submit(&path, &filled(&works, &[("token", ""), ("typed_secrets", "x")])),
        &["Token: This"],
    );
    // The log has what the API's request would leave there.
    shows(&org.owner.page(&at(&org, "audit?scopes=BatchExport")), &["Export created", "Session"]);
}

#[test]
fn secrets_stay_and_are_wanted_again_where_somebody_else_would_receive_them() {
    let server = Server::start();
    let org = server.org();
    let export = export_to(&org, "https://a.example/batch/", json!({}));
    let path = one(&org, &export, "/edit");
    let page = org.owner.page(&path);
    shows(&page, &["value=\"https://a.example/batch/\"", "It is set. Leave this empty to keep it."]);
    hides(&page, &["phc_receiver"]);
    let fields = |url, token| {
        vec![("name", "Renamed"), ("url", url), ("token", token), ("interval", "day"), ("offset_hour", "3")]
    };
    led_to(
        &org.owner.submit(&path, &fields("https://a.example/batch/", "")),
        &org.owner.submit(&path, &fields("https://a.example/batch/", "")).header("location"),
    );
    let shown = org.owner.get(&org.at(&format!("batch_exports/{}/", text(&export["id"])))).json(200);
    assert_eq!(
        (&shown["name"], &shown["interval"], &shown["offset_hour"]),
        (&json!("Renamed"), &json!("day"), &json!(3))
    );
    let answer = org.owner.submit(&path, &fields("https://b.example/batch/", ""));
    refused(
        &answer,
        &["Type it again: what you changed decides who receives it.", "value=\"https://b.example/batch/\""],
    );
    let answer = org.owner.submit(
        &path,
        &[("what", "test"), ("name", "n"), ("url", "https://b.example/"), ("token", ""), ("interval", "day")],
    );
    refused(&answer, &["Type it again"]);
    assert_eq!(org.owner.get(&org.at(&format!("batch_exports/{}/", text(&export["id"])))).json(200), shown);
    org.owner.submit(&path, &fields("https://b.example/batch/", "phc_new"));
    let shown = org.owner.get(&org.at(&format!("batch_exports/{}/", text(&export["id"])))).json(200);
    assert_eq!(shown["destination"]["config"]["url"], "https://b.example/batch/");
    // Whoever gave their password long ago gives it again first.
    server.pass_days(1);
    let answer = org.owner.open(&path);
    assert_eq!(answer.status, 303);
    assert!(answer.header("location").starts_with("/login/again?next="), "{}", answer.header("location"));
    assert_eq!(org.owner.submit(&path, &fields("https://c.example/", "x")).status, 303);
    for path in [at(&org, "exports/new/http"), one(&org, &export, "/delete")] {
        assert_eq!(org.owner.open(&path).status, 303, "{path}");
        assert_eq!(org.owner.submit(&path, &filled(NOWHERE, &[])).status, 303, "{path}");
    }
    assert_eq!(exports(&org.owner.logged_in(), &org), [shown]);
}

#[test]
fn runs_are_followed_and_run_again_and_the_page_says_when_nothing_is_new() {
    let server = patient();
    let org = server.org();
    capture(&server, &org, &[event("a", "00:10:00"), event("b", "00:20:00")]);
    let receiver = Receiver::answering(&[(400, "no"), (200, "{}")]);
    let export = export_to(&org, &receiver.url("/"), json!({}));
    backfill(&org, &export, "00:00", "01:00");
    let failed = last_run(&server, &org, &export);
    let path = one(&org, &export, "");
    let page = org.owner.page(&path);
    shows(
        &page,
        &["data-live=\"2\"", "Of the last 1 run, 0 completed and 1 failed.", "Failed", "By a backfill"],
    );
    let run = format!("{path}/runs/{}", text(&failed["id"]));
    let page = org.owner.page(&run);
    shows(&page, &["The last error", "Run again", "Information", "Error"]);
    let errors = org.owner.page(&format!("{run}?level=ERROR"));
    shows(&errors, &["<option value=\"ERROR\" selected>", "non-retryable"]);
    hides(&errors, &["Starting batch export"]);
    assert_eq!(
        tail(&org.owner.submit(&run, &[("what", "retry")])),
        format!("exports/{}", text(&export["id"]))
    );
    server.until("the interval is exported", || last_run(&server, &org, &export)["status"] == "Completed");
    let page = org.owner.page(&path);
    shows(&page, &["Of the last 2 runs, 1 completed and 1 failed.", "Completed"]);
    // A finished run is not cancelled, and the page says so.
    refused(&org.owner.submit(&run, &[("what", "cancel")]), &["Cannot cancel a run"]);
    let shown = org.owner.open(&path);
    let tag = shown.header("etag");
    let same = org.owner.send(ureq::http::Method::GET, &path, "", &[("if-none-match", &tag)]);
    assert_eq!((same.status, same.body.len()), (304, 0));
    org.owner.submit(&path, &[("what", "unpause")]);
    let other = org.owner.send(ureq::http::Method::GET, &path, "", &[("if-none-match", &tag)]);
    assert_eq!(other.status, 200);
}

#[test]
fn an_export_is_paused_unpaused_and_its_gap_filled() {
    let server = Server::start();
    let org = server.org();
    let export = export_of(&org, NOWHERE, json!({}), json!({}));
    let path = one(&org, &export, "");
    let is_paused = || {
        org.owner.get(&org.at(&format!("batch_exports/{}/", text(&export["id"])))).json(200)["paused"].clone()
    };
    shows(&org.owner.page(&path), &["Running", "value=\"pause\""]);
    org.owner.submit(&path, &[("what", "pause")]);
    assert_eq!(is_paused(), true);
    shows(&org.owner.page(&path), &["Paused since", "Unpause and fill the gap", "Unpause"]);
    org.owner.submit(&path, &[("what", "unpause")]);
    assert_eq!(is_paused(), false);
    hides(&org.owner.page(&format!("{path}/backfill")), &["of 1 run"]);
    org.owner.submit(&path, &[("what", "pause")]);
    server.pass(std::time::Duration::from_secs(3 * 60 * 60));
    org.owner.submit(&path, &[("what", "fill")]);
    assert_eq!(is_paused(), false);
    shows(&org.owner.page(&format!("{path}/backfill")), &["Running", "<progress", "runs"]);
    refused(&org.owner.submit(&path, &[("what", "explode")]), &["not a valid choice"]);
    assert_eq!(org.owner.submit_without_token(&path, &[("what", "pause")]).status, 403);
    assert_eq!(is_paused(), false);
}

#[test]
fn backfills_are_started_and_cancelled() {
    let server = Server::start();
    let org = server.org();
    let export = export_to(&org, NOWHERE, json!({}));
    let path = one(&org, &export, "/backfill");
    shows(&org.owner.page(&path), &["Start backfill", "No backfills yet"]);
    let range = [("start_at", "2021-01-01T00:00"), ("end_at", "2021-01-01T12:00")];
    led_to(&org.owner.submit(&path, &range), &format!("/organization/{}", tail_of(&org, &path)));
    let page = org.owner.page(&path);
    shows(&page, &["0 of 12 runs", "Cancel"]);
    refused(&org.owner.submit(&path, &range), &["Backfill already running", "value=\"2021-01-01T00:00\""]);
    refused(
        &org.owner.submit(&path, &[("start_at", "2021-01-02T00:00"), ("end_at", "2021-01-01T00:00")]),
        &["must be before"],
    );
    refused(&org.owner.submit(&path, &[("start_at", "soon"), ("end_at", "")]), &["soon"]);
    let id = page
        .split("name=\"backfill\" value=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .expect("a backfill");
    led_to(
        &org.owner.submit(&path, &[("what", "cancel"), ("backfill", id)]),
        &format!("/organization/{}", tail_of(&org, &path)),
    );
    shows(&org.owner.page(&path), &["Cancelled"]);
    refused(&org.owner.submit(&path, &[("what", "cancel"), ("backfill", id)]), &["Cannot cancel a backfill"]);
    assert_eq!(org.owner.submit(&path, &[("what", "cancel"), ("backfill", "x")]).status, 404);
}

/// The path with the organization's slug instead of its identifier.
fn tail_of(org: &Org, path: &str) -> String {
    let slug = text(&org.owner.get(&org.at("")).json(200)["slug"]);
    path.replace(&format!("/organization/{}", org.id), &slug)
}

#[test]
fn an_export_is_deleted_after_a_question() {
    let server = Server::start();
    let org = server.org();
    let export = export_to(&org, NOWHERE, json!({}));
    let path = one(&org, &export, "/delete");
    shows(&org.owner.page(&path), &["Delete n?", "What is lost", "What stays", "Delete export", "Cancel"]);
    assert_eq!(org.owner.submit_without_token(&path, &[]).status, 403);
    assert_eq!(exports(&org.owner, &org).len(), 1);
    assert_eq!(tail(&org.owner.submit(&path, &[])), "exports");
    assert!(exports(&org.owner, &org).is_empty());
    assert_eq!(org.owner.open(&one(&org, &export, "")).status, 404);
}

#[test]
fn exports_are_for_those_who_see_their_project() {
    let server = Server::start();
    let org = server.org();
    let (member, stranger) = (org.member(&server), server.stranger());
    let export = export_to(&org, NOWHERE, json!({}));
    shows(&member.page(&at(&org, "exports")), &["1 export"]);
    org.owner.patch(&org.project_at(""), json!({"access_control": true})).json(200);
    shows(&member.page(&at(&org, "exports")), &["No exports yet"]);
    shows(&member.page(&at(&org, "exports/new")), &["A project first"]);
    for tail in ["", "/edit", "/delete", "/backfill"] {
        let path = one(&org, &export, tail);
        assert_eq!(member.open(&path).status, 404, "{path}");
        assert_eq!(member.submit(&path, &[("what", "pause")]).status, 404, "{path}");
        assert!([403, 404].contains(&stranger.open(&path).status), "{path}");
        assert_eq!(server.anyone().open(&path).status, 303, "{path}");
    }
    refused(&member.submit(&at(&org, "exports/new/http"), &filled(NOWHERE, &[])), &["A project is needed"]);
    let project = org.project.to_string();
    let answer = member.submit(&at(&org, "exports/new/http"), &filled(NOWHERE, &[("project", &project)]));
    refused(&answer, &["not a valid choice"]);
    assert_eq!(exports(&org.owner, &org).len(), 1);
    // Where there are several projects, one is chosen.
    let second = org.owner.post(&org.at("projects/"), json!({"name": "Second"})).json(201)["id"].to_string();
    shows(&org.owner.page(&at(&org, "exports/new/http")), &["name=\"project\"", "Second"]);
    refused(&org.owner.submit(&at(&org, "exports/new/http"), &filled(NOWHERE, &[])), &["Project: "]);
    org.owner.submit(&at(&org, "exports/new/http"), &filled(NOWHERE, &[("project", &second)]));
    assert_eq!(exports(&org.owner, &org)[0]["team_id"].to_string(), second);
}
