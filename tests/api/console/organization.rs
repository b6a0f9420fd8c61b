//! An organization's overview, settings and end, and the choice between several.

use serde_json::json;

use super::{Browses, at, hides, home, last_entry, led_to, refused, shows};
use crate::support::{Server, text};

#[test]
fn a_new_organization_shows_the_first_steps_until_they_are_done() {
    let server = Server::start();
    let org = server.org();
    let page = org.owner.page(&home(&org));
    shows(
        &page,
        &[
            "<h1",
            "Acme",
            "You are an owner here.",
            "First steps",
            "invites/new",
            "/project/",
            "/settings/api-keys/new",
        ],
    );
    shows(
        &page,
        &["1 person", "0 invites", "1 project", "0 running, 0 paused", "0 events in the last 30 days."],
    );
    // The operator has a step of their own.
    assert_eq!(page.contains("/instance/backups"), org.owner.me()["is_staff"] == true);
    org.invite("guest@example.com", 1);
    shows(&org.owner.page(&home(&org)), &["Invite the people", "Done", "1 invite"]);
    org.owner.key(&["*"]);
    let token = org.owner.me()["team"]["api_token"].clone();
    let event = json!({"api_key": token, "event": "hello", "distinct_id": "me"});
    server.anyone().post("/i/v0/e/", event).json(200);
    let page = org.owner.page(&home(&org));
    shows(&page, &["1 event in the last 30 days.", "Last changes", "API key created", "audit"]);
    hides(&page, &["First steps"]);
}

#[test]
fn a_member_sees_no_audit_log_and_a_stranger_no_page() {
    let server = Server::start();
    let org = server.org();
    let page = org.member(&server).page(&home(&org));
    shows(&page, &["You are a member here.", "2 people"]);
    hides(&page, &["Last changes"]);
    assert_eq!(server.stranger().open(&home(&org)).status, 403);
    assert_eq!(server.anyone().open(&home(&org)).status, 303);
    assert_eq!(org.owner.key(&["*"]).open(&home(&org)).status, 303);
}

#[test]
fn settings_are_saved_and_what_is_null_stays_null() {
    let server = Server::start();
    let org = server.org();
    let path = at(&org, "settings");
    org.owner.patch(&org.at(""), json!({"members_can_create_projects": null})).json(200);
    let role = text(&org.owner.post(&org.at("roles/"), json!({"name": "Guests"})).json(201)["id"]);
    let page = org.owner.page(&path);
    shows(
        &page,
        &["value=\"Acme\"", "One person has none and is asked", "members_can_invite", "checked", "Guests"],
    );
    shows(&page, &["Danger zone", "/delete"]);
    let boxes = ("boxes", "enforce_2fa members_can_invite members_can_create_projects");
    let fields = [boxes, ("name", "Ajax"), ("members_can_invite", "true"), ("default_role_id", &role)];
    led_to(&org.owner.submit(&path, &fields), &format!("{}/settings", home(&org)));
    let saved = org.owner.get(&org.at("")).json(200);
    assert_eq!(
        [
            &saved["name"],
            &saved["enforce_2fa"],
            &saved["members_can_invite"],
            &saved["members_can_create_projects"]
        ],
        [&json!("Ajax"), &json!(null), &json!(true), &json!(null)]
    );
    assert_eq!(saved["default_role_id"], json!(role));
    let (scope, activity, changes) = last_entry(&org);
    assert_eq!(
        (scope.as_str(), activity.as_str(), changes.len()),
        ("Organization", "updated", 2),
        "{changes:?}"
    );
    // A box that was ticked and is not any more.
    org.owner.submit(&path, &[boxes, ("name", "Ajax")]);
    assert_eq!(org.owner.get(&org.at("")).json(200)["members_can_invite"], false);
}

#[test]
fn wrong_settings_change_nothing_and_are_shown_again() {
    let server = Server::start();
    let org = server.org();
    let path = at(&org, "settings");
    let member = org.member(&server);
    let admin = org.admin(&server);
    let before = server.rows();
    refused(
        &org.owner.submit(&path, &[("name", ""), ("boxes", "enforce_2fa"), ("enforce_2fa", "true")]),
        &["Error: ", "#form-name", "This is missing.", "name=\"enforce_2fa\"", "checked"],
    );
    let long = "x".repeat(65);
    refused(&org.owner.submit(&path, &[("name", &long)]), &[&long, "At most 64 characters."]);
    let fields = [("name", "A"), ("enforce_verified_domains", "true")];
    refused(&org.owner.submit(&path, &fields), &["your own email address is under none of them"]);
    assert_eq!(member.submit(&path, &[("name", "Mine")]).status, 403);
    assert_eq!(member.open(&path).status, 403);
    assert_eq!(org.owner.submit_without_token(&path, &[("name", "Mine")]).status, 403);
    hides(&admin.page(&path), &["Delete this organization"]);
    assert!(server.rows() == before, "nothing changed");
}

#[test]
fn an_owner_deletes_an_organization_by_typing_its_name() {
    let server = Server::start();
    let org = server.org();
    let path = at(&org, "delete");
    let admin = org.admin(&server);
    shows(&org.owner.page(&path), &["Delete Acme?", "1 project with 0 events", "2 people", "Type ", "Acme"]);
    let before = server.rows();
    refused(&org.owner.submit(&path, &[("name", "acme")]), &["That is not the name.", "Delete Acme?"]);
    for person in [&admin, &org.member(&server)] {
        assert_eq!(person.open(&path).status, 403);
        assert_eq!(person.submit(&path, &[("name", "Acme")]).status, 403);
    }
    assert_eq!(org.owner.submit_without_token(&path, &[("name", "Acme")]).status, 403);
    assert!(server.rows().len() >= before.len(), "nothing was removed");
    server.pass_days(1);
    let answer = org.owner.submit(&path, &[("name", "Acme")]);
    assert!(answer.header("location").starts_with("/login/again"), "{}", answer.header("location"));
    led_to(&org.owner.logged_in().submit(&path, &[("name", " Acme ")]), "/");
    assert_eq!(admin.get(&org.at("")).status, 404);
}

#[test]
fn somebody_makes_organizations_and_chooses_between_them() {
    let server = Server::start();
    let org = server.org();
    shows(&org.owner.page("/organization/create"), &["Make an organization", "name=\"name\""]);
    refused(&org.owner.submit("/organization/create", &[("name", "")]), &["This is missing."]);
    let made = org.owner.submit("/organization/create", &[("name", "Beta")]);
    led_to(&made, "/organization/beta");
    assert_eq!(org.owner.me()["organization"]["name"], "Beta");
    let page = org.owner.page("/organization/switch");
    shows(&page, &["Acme", "Owner", "Switch", "Beta", "Current"]);
    hides(&page, &["aria-current"]);
    let fields = [("set_current_organization", org.id.as_str())];
    led_to(&org.owner.submit("/organization/switch", &fields), &home(&org));
    assert_eq!(org.owner.me()["organization"]["id"], json!(org.id));
    // Of another organization nothing is said.
    let stranger = server.stranger();
    let before = server.rows();
    refused(&stranger.submit("/organization/switch", &fields), &["role=\"alert\"", "Your organizations"]);
    assert_eq!(stranger.submit_without_token("/organization/switch", &fields).status, 403);
    assert!(server.rows() == before, "nothing changed");
}

#[test]
fn where_sign_up_is_closed_operators_alone_make_organizations() {
    let server = Server::with(|config| config.open_signup = false);
    let org = server.org();
    let member = org.member(&server);
    assert_eq!(org.owner.me()["is_staff"], true, "the first user runs the server");
    shows(&org.owner.page("/organization/create-first"), &["name=\"name\""]);
    let page = member.page("/organization/create");
    shows(&page, &["Only operators make organizations"]);
    hides(&page, &["name=\"name\""]);
    assert_eq!(member.submit("/organization/create", &[("name", "Mine")]).status, 403);
    hides(&member.page("/organization/switch"), &["/organization/create"]);
    // Whoever belongs to none is shown what to do.
    member.delete(&org.at(&format!("members/{}/", member.uuid))).no_content();
    let member = member.logged_in();
    shows(&member.page("/organization/switch"), &["You belong to no organization"]);
    shows(&member.page("/organization/create-first"), &["can invite you"]);
}
