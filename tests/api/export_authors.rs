//! Whoever last said what an export sends and where answers for it: when they lose its project, it is paused.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::exports::{
    at, backfill, backfill_of, capture, completed, event, last_run, latest, log, patient, until_in_time,
};
use crate::support::{Org, Person, Receiver, Server, text};

const PAUSED: &str = "automatically paused";

fn destination(url: &str) -> Value {
    json!({"type": "HTTP", "config": {"url": url, "token": "phc_receiver"}})
}

/// An export that this person makes, in the organization's only project.
fn export_by(person: &Person, org: &Org, url: &str, paused: bool) -> Value {
    let body = json!({"name": "n", "interval": "hour", "paused": paused, "destination": destination(url)});
    person.post(&org.at("batch_exports/"), body).json(201)
}

fn shown(org: &Org, export: &Value) -> Value {
    org.owner.get(&at(org, export, "")).json(200)
}

fn is_paused(org: &Org, export: &Value) -> bool {
    shown(org, export)["paused"].as_bool().expect("a truth value")
}

fn set_private(org: &Org, is_private: bool) {
    org.owner.patch(&org.project_at(""), json!({"access_control": is_private})).json(200);
}

fn control(org: &Org, body: Value) {
    let answer = org.owner.put(&format!("/api/projects/{}/access_controls/", org.project), body);
    assert!([200, 204].contains(&answer.status), "{}", answer.text());
}

fn membership(org: &Org, person: &Person) -> Value {
    let members = org.owner.get(&org.at("members/")).results();
    members.iter().find(|member| member["user"]["email"] == *person.email).expect("a member")["id"].clone()
}

/// One way of losing a project: what is so before, and the event itself.
struct Loss {
    name: &'static str,
    level: u8,
    before: fn(&Org, &Person),
    event: fn(&Org, &Person),
}

fn role_of(org: &Org, person: &Person) -> String {
    let role = text(&org.owner.post(&org.at("roles/"), json!({"name": "R"})).json(201)["id"]);
    let place = org.at(&format!("roles/{role}/role_memberships/"));
    org.owner.post(&place, json!({"user_uuid": person.uuid})).json(201);
    role
}

fn only_role(org: &Org) -> String {
    text(&org.owner.get(&org.at("roles/")).results()[0]["id"])
}

fn in_private_by_role(org: &Org, person: &Person) {
    control(org, json!({"access_level": "member", "role": role_of(org, person)}));
    set_private(org, true);
}

/// Every way to lose a project.
fn losses() -> Vec<Loss> {
    [losses_of_membership(), losses_of_access(), losses_of_roles()].into_iter().flatten().collect()
}

fn losses_of_membership() -> Vec<Loss> {
    vec![
        Loss {
            name: "removed",
            level: 1,
            before: |_, _| {},
            event: |org, person| {
                org.owner.delete(&org.at(&format!("members/{}/", person.uuid))).no_content();
            },
        },
        Loss {
            name: "left",
            level: 8,
            before: |_, _| {},
            event: |org, person| person.delete(&org.at("members/@me/")).no_content(),
        },
        Loss {
            name: "demoted",
            level: 8,
            before: |org, _| set_private(org, true),
            event: |org, person| {
                org.owner.patch(&org.at(&format!("members/{}/", person.uuid)), json!({"level": 1})).json(200);
            },
        },
    ]
}

fn losses_of_access() -> Vec<Loss> {
    vec![
        Loss { name: "made private", level: 1, before: |_, _| {}, event: |org, _| set_private(org, true) },
        Loss {
            name: "closed to everybody",
            level: 1,
            before: |_, _| {},
            event: |org, _| control(org, json!({"access_level": "none"})),
        },
        Loss {
            name: "closed to them",
            level: 1,
            before: |_, _| {},
            event: |org, person| {
                let one = membership(org, person);
                control(org, json!({"access_level": "none", "organization_member": one}));
            },
        },
        Loss {
            name: "taken away",
            level: 1,
            before: |org, person| {
                let one = membership(org, person);
                control(org, json!({"access_level": "member", "organization_member": one}));
                set_private(org, true);
            },
            event: |org, person| {
                let one = membership(org, person);
                control(org, json!({"access_level": null, "organization_member": one}));
            },
        },
    ]
}

fn losses_of_roles() -> Vec<Loss> {
    vec![
        Loss {
            name: "taken out of the role",
            level: 1,
            before: in_private_by_role,
            event: |org, _| {
                let place = org.at(&format!("roles/{}/role_memberships/", only_role(org)));
                let one = text(&org.owner.get(&place).results()[0]["id"]);
                org.owner.delete(&format!("{place}{one}/")).no_content();
            },
        },
        Loss {
            name: "the role is gone",
            level: 1,
            before: in_private_by_role,
            event: |org, _| org.owner.delete(&org.at(&format!("roles/{}/", only_role(org)))).no_content(),
        },
        Loss {
            name: "put into a role that is shut out",
            level: 1,
            before: |org, _| {
                let role = text(&org.owner.post(&org.at("roles/"), json!({"name": "R"})).json(201)["id"]);
                control(org, json!({"access_level": "none", "role": role}));
            },
            event: |org, person| {
                let place = org.at(&format!("roles/{}/role_memberships/", only_role(org)));
                org.owner.post(&place, json!({"user_uuid": person.uuid})).json(201);
            },
        },
    ]
}

#[test]
fn an_export_is_paused_and_says_so_when_its_author_loses_the_project() {
    let server = Server::start();
    for loss in losses() {
        let org = server.org();
        let person = org.joined(server.somebody("author"), loss.level);
        let bystander = export_by(&org.owner, &org, "http://127.0.0.1:1/", false);
        (loss.before)(&org, &person);
        let export = export_by(&person, &org, "http://127.0.0.1:1/", false);
        assert!(!is_paused(&org, &export), "{}", loss.name);
        (loss.event)(&org, &person);
        let after = shown(&org, &export);
        assert_eq!(after["paused"], true, "{}", loss.name);
        assert!(after["last_paused_at"].is_string(), "{}", loss.name);
        let lines = log(&org, &export, PAUSED);
        assert!(lines.len() == 1 && lines[0].contains(&person.email), "{}: {lines:?}", loss.name);
        // Nobody else's is touched.
        assert!(!is_paused(&org, &bystander), "{}", loss.name);
        assert_eq!(log(&org, &bystander, "").len(), 0, "{}", loss.name);
    }
}

#[test]
fn what_takes_nothing_from_the_author_pauses_nothing() {
    let server = Server::start();
    let org = server.org();
    let (person, other) = (org.admin(&server), org.member(&server));
    let export = export_by(&person, &org, "http://127.0.0.1:1/", false);
    set_private(&org, true);
    set_private(&org, false);
    org.owner.patch(&org.at(&format!("members/{}/", person.uuid)), json!({"level": 1})).json(200);
    control(&org, json!({"access_level": "none", "organization_member": membership(&org, &other)}));
    org.owner.delete(&org.at(&format!("members/{}/", other.uuid))).no_content();
    assert!(!is_paused(&org, &export));
    assert_eq!(log(&org, &export, "").len(), 0);
}

#[test]
fn whoever_changes_the_order_becomes_its_author_and_a_new_name_changes_nothing() {
    let server = Server::start();
    for (change, takes_over) in [
        (json!({"name": "m", "interval": "day", "end_at": null}), false),
        (json!({"paused": false}), false),
        (json!({"destination": destination("http://127.0.0.1:1/")}), false),
        (json!({"destination": destination("http://127.0.0.1:2/")}), true),
        (json!({"destination": {"config": {"token": "phc_new"}}}), true),
        (json!({"destination": {"config": {"exclude_events": ["a"]}}}), true),
        (json!({"timezone": "Europe/Berlin"}), false),
        (json!({"model": null}), true),
        (json!({"hogql_query": "SELECT event FROM events"}), true),
    ] {
        let org = server.org();
        let person = org.member(&server);
        let export = export_by(&person, &org, "http://127.0.0.1:1/", false);
        org.owner.patch(&at(&org, &export, ""), change.clone()).json(200);
        org.owner.delete(&org.at(&format!("members/{}/", person.uuid))).no_content();
        assert_eq!(is_paused(&org, &export), !takes_over, "{change}");
    }
}

#[test]
fn somebody_with_access_sets_it_going_again_in_their_own_name() {
    let server = Server::start();
    for ways in [["unpause/", ""], ["", ""]] {
        let org = server.org();
        let (person, next) = (org.member(&server), org.admin(&server));
        let export = export_by(&person, &org, "http://127.0.0.1:1/", false);
        set_private(&org, true);
        person.post(&at(&org, &export, "unpause/"), json!({})).not_found();
        assert!(is_paused(&org, &export));
        if ways[0].is_empty() {
            next.patch(&at(&org, &export, ""), json!({"paused": false})).json(200);
        } else {
            next.post(&at(&org, &export, ways[0]), json!({})).json(200);
        }
        org.owner.delete(&org.at(&format!("members/{}/", person.uuid))).no_content();
        assert!(!is_paused(&org, &export));
        org.owner.delete(&org.at(&format!("members/{}/", next.uuid))).no_content();
        assert!(is_paused(&org, &export));
        assert_eq!(log(&org, &export, PAUSED).len(), 2);
    }
}

#[test]
fn a_run_of_somebody_shut_out_is_not_tried_again_though_the_export_is_in_other_hands() {
    let server = patient();
    let org = server.org();
    let person = org.member(&server);
    let (theirs, ours) = (Receiver::answering(&[(503, "")]), Receiver::answering(&[]));
    capture(&server, &org, &[event("a", "10:00:00"), event("b", "11:00:00")]);
    let export = export_by(&person, &org, &theirs.url("/"), false);
    let range = json!({"start_at": "2021-01-01T10:00:00Z", "end_at": "2021-01-01T12:00:00Z"});
    person.post(&at(&org, &export, "backfill/"), range).json(200);
    server.until("the first attempt has failed", || log(&org, &export, "503").len() == 1);
    org.owner.patch(&at(&org, &export, ""), json!({"destination": destination(&ours.url("/"))})).json(200);
    org.owner.delete(&org.at(&format!("members/{}/", person.uuid))).no_content();
    until_in_time(&server, "the run is over", || log(&org, &export, "Batch export was cancelled").len() == 1);
    assert_eq!(log(&org, &export, "has no access to its project any more").len(), 1);
    // The backfill was theirs as well; what is started now is in other hands.
    server.until("the backfill is over", || log(&org, &export, "Historical export was cancelled").len() == 1);
    backfill(&org, &export, "11:00", "12:00");
    server.until("the new run is over", || ours.received().len() == 1);
    assert_eq!(theirs.received().len(), 1);
    assert_eq!(ours.events()[0]["event"], "b");
    assert!(!is_paused(&org, &export));
}

#[test]
fn a_scheduled_run_of_somebody_shut_out_is_not_tried_again() {
    let server = patient();
    let org = server.org();
    let person = org.member(&server);
    let receiver = Receiver::answering(&[(503, "")]);
    let export = export_by(&person, &org, &receiver.url("/"), false);
    capture(&server, &org, &[json!({"event": "a", "distinct_id": "d"})]);
    server.pass(Duration::from_secs(60 * 60));
    server.until("the first attempt has failed", || log(&org, &export, "503").len() == 1);
    set_private(&org, true);
    until_in_time(&server, "the run is over", || latest(&org, &export)["status"] == "Cancelled");
    assert_eq!(receiver.received().len(), 1);
    // Later hours bring no more.
    let runs = shown(&org, &export)["latest_runs"].clone();
    server.pass(Duration::from_secs(2 * 60 * 60));
    org.owner.post(&at(&org, &export, "unpause/"), json!({})).json(200);
    assert_eq!(shown(&org, &export)["latest_runs"], runs);
}

#[test]
fn a_backfill_ends_with_its_author_though_the_export_was_paused_before() {
    let server = patient();
    let org = server.org();
    let person = org.member(&server);
    let receiver = Receiver::answering(&[(503, "")]);
    capture(&server, &org, &[event("a", "10:00:00")]);
    let export = export_by(&person, &org, &receiver.url("/"), true);
    person
        .post(
            &at(&org, &export, "backfill/"),
            json!({"start_at": "2021-01-01T10:00:00Z", "end_at": "2021-01-01T12:00:00Z"}),
        )
        .json(200);
    server.until("the first attempt has failed", || log(&org, &export, "503").len() == 1);
    set_private(&org, true);
    until_in_time(&server, "the backfill is over", || {
        log(&org, &export, "Historical export was cancelled").iter().any(|line| line.contains(&person.email))
    });
    assert_eq!(latest(&org, &export)["status"], "Cancelled");
    assert_eq!(receiver.received().len(), 1);
    assert_eq!(log(&org, &export, PAUSED).len(), 0);
}

#[test]
fn a_backfill_by_somebody_with_access_takes_over_what_nobody_answers_for() {
    let server = Server::start();
    let org = server.org();
    let person = org.member(&server);
    let receiver = Receiver::answering(&[]);
    capture(&server, &org, &[event("a", "10:00:00")]);
    let export = export_by(&person, &org, &receiver.url("/"), false);
    set_private(&org, true);
    assert!(is_paused(&org, &export));
    backfill(&org, &export, "10:00", "11:00");
    completed(&last_run(&server, &org, &export), 1);
    // It stays paused: only the backfill was started.
    assert!(is_paused(&org, &export));
    // A backfill of what somebody answers for stays in their name.
    let other = org.admin(&server);
    let export = export_by(&other, &org, &receiver.url("/"), false);
    backfill_of(&org, &export, json!({"start_at": "2021-01-01T10:00:00Z", "end_at": "2021-01-01T11:00:00Z"}));
    completed(&last_run(&server, &org, &export), 1);
    org.owner.delete(&org.at(&format!("members/{}/", other.uuid))).no_content();
    assert!(is_paused(&org, &export));
}

#[test]
fn a_backfill_by_somebody_who_is_shut_out_ends_and_the_export_of_another_goes_on() {
    let server = patient();
    let org = server.org();
    let member = org.member(&server);
    let receiver = Receiver::answering(&[(503, "")]);
    capture(&server, &org, &[event("a", "10:00:00")]);
    let export = export_by(&org.owner, &org, &receiver.url("/"), false);
    let bounds = json!({"start_at": "2021-01-01T10:00:00Z", "end_at": "2021-01-01T11:00:00Z"});
    let path = org.at(&format!("batch_exports/{}/backfill/", export["id"].as_str().expect("an id")));
    member.post(&path, bounds).json(200);
    server.until("the first attempt has failed", || log(&org, &export, "503").len() == 1);
    org.owner.delete(&org.at(&format!("members/{}/", member.uuid))).no_content();
    until_in_time(&server, "the run is over", || log(&org, &export, "Batch export was cancelled").len() == 1);
    assert_eq!(receiver.received().len(), 1);
    assert!(!is_paused(&org, &export), "the owner still answers for it");
    // One without an end sets the export going in the name of whoever starts it.
    let export = export_by(&org.owner, &org, &receiver.url("/"), true);
    let member = org.member(&server);
    let path = org.at(&format!("batch_exports/{}/backfill/", export["id"].as_str().expect("an id")));
    let start = (server.app.clock.now().to_string()).replace('Z', "+00:00");
    member.post(&path, json!({"start_at": start, "end_at": null})).json(200);
    server.until("it is set going", || !is_paused(&org, &export));
    org.owner.delete(&org.at(&format!("members/{}/", member.uuid))).no_content();
    assert!(is_paused(&org, &export));
}
