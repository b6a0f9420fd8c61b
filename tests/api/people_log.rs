//! What the audit log keeps of people, invites, roles and settings.

use serde_json::{Value, json};

use crate::support::{Org, Server, text};

/// The entries of a scope, oldest first.
fn entries(org: &Org, scope: &str) -> Vec<Value> {
    org.owner.get(&org.at(&format!("advanced_activity_logs/?scopes={scope}&ordering=created_at"))).results()
}

/// Activity, item, name, and each change as `field: before -> after`.
fn described(entry: &Value) -> (String, String, String, Vec<String>) {
    let changes = entry["detail"]["changes"].as_array().cloned().unwrap_or_default();
    let change =
        |change: &Value| format!("{}: {} -> {}", text(&change["field"]), change["before"], change["after"]);
    (
        text(&entry["activity"]),
        text(&entry["item_id"]),
        text(&entry["detail"]["name"]),
        changes.iter().map(change).collect(),
    )
}

#[test]
fn settings_are_written_down_by_their_names_and_only_where_they_change() {
    let server = Server::start();
    let org = server.org();
    org.owner.patch(&org.at(""), json!({"name": "Ajax", "members_can_invite": false})).json(200);
    org.owner.patch(&org.at(""), json!({"name": "Ajax", "members_can_invite": false})).json(200);
    let role = text(&org.owner.post(&org.at("roles/"), json!({"name": "R"})).json(201)["id"]);
    org.owner.patch(&org.at(""), json!({"default_role_id": role})).json(200);
    org.owner.delete(&org.at(&format!("roles/{role}/"))).no_content();
    let all: Vec<_> = entries(&org, "Organization").iter().map(described).collect();
    let entry = |activity: &str, name: &str, changes: &[&str]| {
        let changes = changes.iter().map(|change| (*change).to_owned()).collect::<Vec<_>>();
        (activity.to_owned(), org.id.clone(), name.to_owned(), changes)
    };
    assert_eq!(
        all,
        [
            entry("created", "Acme", &[]),
            entry(
                "updated",
                "Ajax",
                &["organization name: \"Acme\" -> \"Ajax\"", "member invitation permissions: true -> false",]
            ),
            entry("updated", "Ajax", &[&format!("default_role_id: null -> \"{role}\"")]),
            entry("updated", "Ajax", &[&format!("default_role_id: \"{role}\" -> null")]),
        ]
    );
}

#[test]
fn joining_changing_and_leaving_are_written_down() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let one = org.at(&format!("members/{}/", member.uuid));
    org.owner.patch(&one, json!({"level": 8})).json(200);
    org.owner.patch(&one, json!({"level": 8})).json(200);
    member.delete(&org.at("members/@me/")).no_content();
    let all = entries(&org, "OrganizationMembership");
    let who = format!("Sam ({})", member.email);
    let described: Vec<_> = all.iter().map(described).collect();
    let names: Vec<&str> = described.iter().map(|(_, _, name, _)| name.as_str()).collect();
    let owner = format!("Olive ({}) joined Acme", org.owner.email);
    let [joined, changed, left] =
        ["joined", "membership updated in", "left"].map(|verb| format!("{who} {verb} Acme"));
    assert_eq!(names, [owner.as_str(), &joined, &changed, &left]);
    assert_eq!(described[2].3, ["level: \"member\" -> \"administrator\""]);
    let users: Vec<&Value> = all.iter().map(|entry| &entry["user"]["uuid"]).collect();
    assert_eq!(
        users,
        [&json!(org.owner.uuid), &json!(member.uuid), &json!(org.owner.uuid), &json!(member.uuid)]
    );
    assert_eq!(
        all[1]["detail"]["context"],
        json!({
            "organization_id": org.id,
            "organization_name": "Acme",
            "user_id": member.uuid,
            "user_email": member.email,
            "user_name": "Sam",
            "level": "member",
        })
    );
}

#[test]
fn every_end_of_an_invite_is_written_down_and_no_token() {
    let server = Server::start();
    let org = server.org();
    let admin = org.admin(&server);
    let invite = |email: &str, level: u8| {
        let body = json!({"target_email": email, "level": level});
        text(&admin.post(&org.at("invites/"), body).json(201)["id"])
    };
    let replaced = invite("a@example.com", 1);
    let cancelled = invite("a@example.com", 1);
    admin.delete(&org.at(&format!("invites/{cancelled}/"))).no_content();
    let used = invite("b@example.com", 1);
    let token = org.token_of(&used);
    join(&server, &token);
    let taken_back = invite("c@example.com", 8);
    org.owner.patch(&org.at(&format!("members/{}/", admin.uuid)), json!({"level": 1})).json(200);
    let all = entries(&org, "OrganizationInvite");
    assert!(!json!(all).to_string().contains(&token));
    let of = |id: &str| -> Vec<String> {
        let own = all.iter().map(described).filter(|(_, item, ..)| item == id);
        own.map(|(activity, _, name, _)| format!("{activity}: {name}")).collect()
    };
    let sender = format!("Sam ({})", admin.email);
    let made = |email: &str| format!("created: User {sender} invited user {email} into organization Acme");
    for (id, email, end) in [
        (
            &replaced,
            "a@example.com",
            "deleted: The invite of user a@example.com into organization Acme was replaced".to_owned(),
        ),
        (
            &cancelled,
            "a@example.com",
            format!(
                "deleted: The invite that user {sender} sent user a@example.com into organization Acme was taken back"
            ),
        ),
        (
            &used,
            "b@example.com",
            format!(
                "deleted: User b@example.com accepted the invite of user {sender} into organization Acme"
            ),
        ),
        (
            &taken_back,
            "c@example.com",
            format!(
                "deleted: The invite that user {sender} sent user c@example.com into organization Acme was taken back"
            ),
        ),
    ] {
        assert_eq!(of(id), [made(email), end]);
    }
}

fn join(server: &Server, token: &str) {
    let body = json!({"first_name": "Bea", "password": crate::support::PASSWORD});
    server.anyone().post(&format!("/api/signup/{token}/"), body).json(201);
}

#[test]
fn roles_and_who_is_in_them_are_written_down() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let role = crate::roles::new_role(&org, "Product");
    let id = text(&org.owner.get(&role).json(200)["id"]);
    let membership = crate::roles::put_in(&org, &role, &member);
    org.owner.delete(&membership).no_content();
    org.owner.patch(&role, json!({"name": "Sales"})).json(200);
    org.owner.patch(&role, json!({"name": "Sales"})).json(200);
    org.owner.delete(&role).no_content();
    let all: Vec<_> = entries(&org, "Role").iter().map(described).collect();
    let entry = |activity: &str, name: &str, changes: &[String]| {
        (activity.to_owned(), id.clone(), name.to_owned(), changes.to_vec())
    };
    let email = &member.email;
    assert_eq!(
        all,
        [
            entry("created", "Product", &[]),
            entry("updated", "Product", &[format!("members: null -> \"{email}\"")]),
            entry("updated", "Product", &[format!("members: \"{email}\" -> null")]),
            entry("updated", "Sales", &["name: \"Product\" -> \"Sales\"".to_owned()]),
            entry("deleted", "Sales", &[]),
        ]
    );
}
