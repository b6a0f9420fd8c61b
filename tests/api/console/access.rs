//! The page of who may do what in a project, and why.

use serde_json::{Value, json};

use super::{Browses, hides, last_entry, led_to, refused, shows};
use crate::support::{Org, Person, Server, text};

fn path(org: &Org, tail: &str) -> String {
    format!("/project/{}/access{tail}", org.project)
}

/// What the API says that somebody may do, and the rule that decides it.
fn explained(org: &Org, person: &Person) -> (String, String) {
    let query = format!("access_explain/?user={}&project={}", person.uuid, org.project);
    let answer = org.owner.get(&org.at(&query)).json(200);
    let rules: Vec<Value> = answer["rules"].as_array().cloned().expect("rules");
    let decides = rules.iter().find(|rule| rule["decides"] == true).expect("one decides");
    (text(&answer["access_level"]), text(&decides["text"]))
}

#[test]
fn rules_are_set_and_the_page_says_what_they_come_to_and_why() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let role = text(&org.owner.post(&org.at("roles/"), json!({"name": "Analysts"})).json(201)["id"]);
    let body = json!({"user_uuid": member.uuid});
    org.owner.post(&org.at(&format!("roles/{role}/role_memberships/")), body).json(201);
    let page = org.owner.page(&path(&org, ""));
    shows(
        &page,
        &["Access", "Open", "Default", "Roles", "Analysts", "No rule", "People", &member.email, "Member"],
    );
    shows(&page, &["admins and owners reach every project"]);
    let person = path(&org, &format!("/people/{}", member.uuid));
    let of_role = path(&org, &format!("/roles/{role}"));
    for (page, level, words) in [
        (path(&org, ""), "none", "No access"),
        (of_role.clone(), "admin", "Admin"),
        (person.clone(), "member", "Admin"),
        (of_role, "", "Member"),
        (person.clone(), "none", "No access"),
        (person.clone(), "", "No access"),
        (path(&org, ""), "", "Member"),
    ] {
        led_to(&org.owner.submit(&page, &[("access_level", level)]), &path(&org, ""));
        assert_eq!(last_entry(&org).0, "AccessControl");
        let (_, why) = explained(&org, &member);
        shows(&org.owner.page(&path(&org, "")), &[&member.email, words, &why]);
        shows(&org.owner.page(&person), &["Access now", words, &why, "Decides"]);
    }
    org.owner.patch(&org.project_at(""), json!({"access_control": true})).json(200);
    shows(
        &org.owner.page(&path(&org, "")),
        &["Private", &member.email, "No access", "The project is private"],
    );
}

#[test]
fn the_page_is_for_admins_of_the_project() {
    let server = Server::start();
    let org = server.org();
    let (member, other) = (org.member(&server), org.member(&server));
    let person = path(&org, &format!("/people/{}", other.uuid));
    let before = server.rows();
    for page in [path(&org, ""), person.clone()] {
        assert_eq!(member.open(&page).status, 403, "{page}");
        assert_eq!(member.submit(&page, &[("access_level", "admin")]).status, 403, "{page}");
        assert_eq!(org.owner.submit_without_token(&page, &[("access_level", "none")]).status, 403, "{page}");
        refused(
            &org.owner.submit(&page, &[("access_level", "king")]),
            &["#form-access_level", "Invalid access level"],
        );
    }
    let stranger = server.stranger();
    for unknown in ["/people/@me", &format!("/people/{}", stranger.uuid), &format!("/roles/{}", other.uuid)] {
        assert_eq!(org.owner.open(&path(&org, unknown)).status, 404, "{unknown}");
        assert_eq!(
            org.owner.submit(&path(&org, unknown), &[("access_level", "none")]).status,
            404,
            "{unknown}"
        );
    }
    assert_eq!(stranger.open(&path(&org, "")).status, 404);
    // `stranger` came later, with an organization of their own.
    assert!(server.rows().len() >= before.len(), "nothing was removed");
    let rules = format!("/api/projects/{}/access_controls/", org.project);
    assert_eq!(org.owner.get(&rules).json(200)["access_controls"], json!([]));
    // Whoever is admin of the project alone sets rules as well.
    let membership = org.owner.get(&org.at("members/")).results();
    let own = membership.iter().find(|row| row["user"]["uuid"] == member.uuid).expect("a member");
    org.owner.put(&rules, json!({"access_level": "admin", "organization_member": own["id"]})).json(200);
    shows(&member.page(&path(&org, "")), &[&other.email, "Member"]);
    led_to(&member.submit(&person, &[("access_level", "none")]), &path(&org, ""));
    assert_eq!(other.open(&format!("/project/{}", org.project)).status, 404);
}

#[test]
fn people_are_found_by_name() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    shows(&org.owner.page(&path(&org, &format!("?q={}", member.email))), &[&member.email]);
    let page = org.owner.page(&path(&org, "?q=nobody"));
    shows(&page, &["Nobody found"]);
    hides(&page, &[&member.email]);
}
