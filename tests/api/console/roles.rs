//! Roles as pages.

use serde_json::json;

use super::{Browses, at, hides, home, last_entry, led_to, refused, shows};
use crate::support::{Org, Person, Server, text};

fn role(org: &Org, name: &str) -> String {
    text(&org.owner.post(&org.at("roles/"), json!({"name": name})).json(201)["id"])
}

fn put_in(org: &Org, role: &str, person: &Person) -> String {
    let body = json!({"user_uuid": person.uuid});
    text(&org.owner.post(&org.at(&format!("roles/{role}/role_memberships/")), body).json(201)["id"])
}

#[test]
fn an_admin_makes_renames_and_deletes_a_role() {
    let server = Server::start();
    let org = server.org();
    let admin = org.admin(&server);
    shows(&admin.page(&at(&org, "roles")), &["There are no roles", "Make a role"]);
    refused(&admin.submit(&at(&org, "roles/new"), &[("name", "")]), &["#form-name", "This is missing."]);
    let made = admin.submit(&at(&org, "roles/new"), &[("name", "Analysts")]);
    assert_eq!(last_entry(&org).0, "Role");
    let one = made.header("location");
    shows(&admin.page(&one), &["Analysts", "0 people", "Nobody is in this role", "No project has a rule"]);
    refused(
        &admin.submit(&at(&org, "roles/new"), &[("name", "ANALYSTS")]),
        &["ANALYSTS", "already a role with this name"],
    );
    led_to(&admin.submit(&one, &[("name", "Readers")]), &one);
    assert_eq!(last_entry(&org).2, ["\"name\": \"Analysts\" -> \"Readers\""]);
    shows(&admin.page(&format!("{one}/delete")), &["Delete the role Readers?", "0 people"]);
    led_to(&admin.submit(&format!("{one}/delete"), &[]), &format!("{}/roles", home(&org)));
    assert_eq!(admin.open(&one).status, 404);
}

#[test]
fn people_are_put_into_a_role_and_taken_out() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let one = at(&org, &format!("roles/{}", role(&org, "Analysts")));
    let add = format!("{one}/add");
    shows(&org.owner.page(&add), &["Add a person to Analysts", &member.uuid, &member.email]);
    refused(&org.owner.submit(&add, &[("user_uuid", "")]), &["#form-user_uuid"]);
    let stranger = server.stranger();
    refused(&org.owner.submit(&add, &[("user_uuid", &stranger.uuid)]), &["User does not exist."]);
    refused(&org.owner.submit(&add, &[("email", &stranger.email)]), &["User does not exist."]);
    refused(&org.owner.submit(&add, &[("email", "no@example.com")]), &["Nobody here has this address."]);
    assert_eq!(org.owner.submit(&add, &[("user_uuid", &member.uuid)]).status, 303);
    let page = org.owner.page(&one);
    shows(&page, &["1 person", &member.email, "/remove", "Take out"]);
    hides(&org.owner.page(&add), &[&member.email]);
    let form = page.split("action=\"").find(|rest| rest.contains("Take out")).expect("a form");
    let out = form.split('"').next().expect("a path").to_owned();
    shows(&org.owner.page(&out), &["Take Sam out of Analysts?"]);
    assert_eq!(org.owner.submit(&out, &[]).status, 303);
    assert_eq!(last_entry(&org).2, [format!("\"members\": \"{}\" -> null", member.email)]);
    shows(&org.owner.page(&one), &["Nobody is in this role"]);
    assert_eq!(org.owner.open(&out).status, 404);
}

#[test]
fn long_lists_are_searched_and_paged() {
    let server = Server::start();
    let org = server.org();
    for number in 0..51 {
        role(&org, &format!("Team {number:02}"));
    }
    let page = org.owner.page(&at(&org, "roles"));
    shows(&page, &["51 roles", "name=\"q\"", "Team 49", "1–50 of 51", "rel=\"next\""]);
    shows(&org.owner.page(&at(&org, "roles?offset=50")), &["Team 50", "rel=\"prev\""]);
    shows(&org.owner.page(&at(&org, "roles?q=team+07")), &["1 role", "Team 07"]);
    shows(&org.owner.page(&at(&org, "roles?q=none")), &["Nothing found", "Show all roles"]);
    org.invite("one@example.com", 1);
    org.invite("two@example.com", 1);
    let page = org.owner.page(&at(&org, "invites?q=TWO"));
    shows(&page, &["1 invite", "two@example.com"]);
    hides(&page, &["one@example.com"]);
    shows(&org.owner.page(&at(&org, "invites?q=three")), &["Nothing found", "Show all invites"]);
}

#[test]
fn a_member_sees_roles_and_changes_none() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let id = role(&org, "Analysts");
    let membership = put_in(&org, &id, &member);
    org.owner.patch(&org.at(""), json!({"default_role_id": id})).json(200);
    org.owner
        .put(
            &format!("/api/projects/{}/access_controls/", org.project),
            json!({"access_level": "admin", "role": id}),
        )
        .json(200);
    let one = at(&org, &format!("roles/{id}"));
    let page = member.page(&at(&org, "roles"));
    shows(&page, &["1 role", "Analysts", "New members get it"]);
    hides(&page, &["roles/new"]);
    let page = member.page(&one);
    shows(&page, &["Analysts", &member.email, "Default project", "Admin"]);
    hides(&page, &["Add a person", "Take out", "Danger zone", "name=\"name\""]);
    let before = server.rows();
    let out = format!("{one}/members/{membership}/remove");
    for path in [at(&org, "roles/new"), format!("{one}/delete"), format!("{one}/add"), out.clone()] {
        assert_eq!(member.open(&path).status, 403, "{path}");
        assert_eq!(member.submit(&path, &[("name", "N"), ("user_uuid", &member.uuid)]).status, 403, "{path}");
        assert_eq!(org.owner.submit_without_token(&path, &[("name", "N")]).status, 403, "{path}");
    }
    assert_eq!(member.submit(&one, &[("name", "Mine")]).status, 403);
    assert!(server.rows() == before, "nothing changed");
    // The password was given too long ago.
    server.pass_days(1);
    for path in [at(&org, "roles/new"), out] {
        assert!(org.owner.open(&path).header("location").starts_with("/login/again?next="), "{path}");
        assert!(org.owner.submit(&path, &[("name", "N")]).header("location").starts_with("/login/again"));
    }
}
