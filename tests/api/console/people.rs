//! Members as pages: filters, what they reach and why, and the list as a table for spreadsheets.

use std::time::Duration;

use serde_json::json;

use super::{Browses, at, hides, refused, shows};
use crate::support::{PASSWORD, Server, text};
use crate::two_factor::{code, enroll};

#[test]
fn members_are_filtered_by_level_and_second_factor() {
    let server = Server::start();
    let org = server.org();
    let (member, admin) = (org.member(&server), org.admin(&server));
    let page = org.owner.page(&at(&org, "members?level=8"));
    shows(&page, &["1 person", &admin.email]);
    hides(&page, &[&member.email]);
    shows(&org.owner.page(&at(&org, "members?second_factor=off")), &["3 people"]);
    shows(&org.owner.page(&at(&org, "members?second_factor=on")), &["0 people", "Nobody found"]);
    shows(&org.owner.page(&at(&org, &format!("members?q={}", member.email))), &["1 person", "Sam"]);
}

#[test]
fn a_member_shows_roles_projects_with_the_reason_and_keys() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let role = text(&org.owner.post(&org.at("roles/"), json!({"name": "Analysts"})).json(201)["id"]);
    let body = json!({"user_uuid": member.uuid});
    org.owner.post(&org.at(&format!("roles/{role}/role_memberships/")), body).json(201);
    let rules = format!("/api/projects/{}/access_controls/", org.project);
    org.owner.put(&rules, json!({"access_level": "admin", "role": role})).json(200);
    member.key_of(json!({"scopes": ["organization:read"]}));
    let path = at(&org, &format!("members/{}", member.uuid));
    let texts = [
        "Roles",
        "Analysts",
        "Default project",
        "Admin",
        "A rule gives the role Analysts the level admin.",
        "API keys that reach this organization",
        "test",
        "phx_...",
        "organization:read",
        "Never",
    ];
    shows(&org.owner.page(&path), &texts);
    shows(&member.page(&path), &texts);
    shows(&org.owner.page(&format!("{path}/remove")), &["1 role: Analysts.", "1 API key", "test"]);
    let other = org.member(&server);
    let page = other.page(&path);
    shows(&page, &["Roles", "Analysts"]);
    hides(&page, &["API keys that reach", "A rule gives"]);
    server.pass_days(91);
    shows(&org.owner.logged_in().page(&path), &["Unused for 90 days"]);
}

#[test]
fn admins_take_the_list_away_as_csv() {
    let server = Server::start();
    let org = server.org();
    let (member, admin) = (org.member(&server), org.admin(&server));
    member.patch("/api/users/@me/", json!({"last_name": "=cmd, \"x\""})).json(200);
    shows(&admin.page(&at(&org, "members")), &["members.csv"]);
    hides(&member.page(&at(&org, "members")), &["members.csv"]);
    let file = admin.open(&at(&org, "members.csv"));
    assert_eq!((file.status, file.header("content-type").as_str()), (200, "text/csv; charset=utf-8"));
    assert!(file.header("content-disposition").contains("members.csv"));
    let mut reader = csv::Reader::from_reader(file.body.as_slice());
    let lines: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().expect("a table");
    assert_eq!(lines.len(), 3);
    let own = lines.iter().find(|line| line[2] == *member.email).expect("the member's line");
    assert_eq!((&own[1], &own[3], &own[4]), ("'=cmd, \"x\"", "Member", "Off"));
    assert_eq!(member.open(&at(&org, "members.csv")).status, 403);
}

#[test]
fn who_has_a_second_factor_shows_it_again_before_what_is_sensitive() {
    let server = Server::start();
    let org = server.org();
    const AGAIN: &str = "/login/again?next=%2Fsettings%2Fapi-keys";
    hides(&org.owner.page(AGAIN), &["name=\"token\""]);
    let secret = enroll(&server, &org.owner);
    server.pass(Duration::from_secs(7 * 60 * 60));
    assert!(org.owner.open("/settings/api-keys").header("location").starts_with("/login/again?next="));
    shows(&org.owner.page(AGAIN), &["name=\"password\"", "name=\"token\""]);
    let now = code(&server, &secret);
    let before = server.rows();
    for (password, token, field) in [
        (PASSWORD, "000000", "#form-token"),
        (PASSWORD, "", "#form-token"),
        ("not-their-password", &*now, "#form-password"),
    ] {
        refused(&org.owner.submit(AGAIN, &[("password", password), ("token", token)]), &[field]);
    }
    assert!(server.rows() == before, "nothing changed");
    let entered = org.owner.submit(AGAIN, &[("password", PASSWORD), ("token", &now)]);
    assert_eq!(entered.header("location"), "/settings/api-keys");
    let owner = org.owner.with_cookies_of(&entered);
    shows(&owner.page("/settings/api-keys"), &["No keys yet"]);
    server.pass(Duration::from_secs(7 * 60 * 60));
    let other = code(&server, &secret);
    refused(&owner.submit(AGAIN, &[("password", PASSWORD), ("token", &now)]), &["#form-token"]);
    assert_eq!(owner.submit(AGAIN, &[("password", PASSWORD), ("token", &other)]).status, 303);
}
