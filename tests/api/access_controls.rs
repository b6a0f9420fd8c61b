//! Access control: who sees which project, and at which level.

use serde_json::{Value, json};

use crate::roles::{new_role, put_in};
use crate::support::{Org, Person, Server, text};

fn at(org: &Org, tail: &str) -> String {
    format!("/api/projects/{}/{tail}", org.project)
}

fn controls(org: &Org) -> String {
    at(org, "access_controls/")
}

fn resources(org: &Org) -> String {
    at(org, "resource_access_controls/")
}

/// The id of somebody's membership.
fn membership(org: &Org, person: &Person) -> Value {
    let rows = org.owner.get(&org.at("members/")).results();
    rows.iter().find(|row| row["user"]["uuid"] == json!(person.uuid)).expect("they are a member")["id"]
        .clone()
}

fn role_id(role: &str) -> Value {
    json!(role.trim_end_matches('/').rsplit('/').next())
}

fn grant(org: &Org, body: Value) {
    org.owner.put(&controls(org), body).json(200);
}

/// The effective level of somebody in the project; `None` where it is hidden from them, in every list
/// and under every address.
fn level(org: &Org, person: &Person) -> Option<u64> {
    let has_it = |rows: &Value| {
        rows.as_array().expect("rows").iter().any(|project| project["id"] == json!(org.project))
    };
    let seen = [
        has_it(&person.get(&org.at("projects/")).json(200)["results"]),
        has_it(&person.get(&org.at("")).json(200)["teams"]),
        person.get(&at(org, "activity/")).status == 200,
        person.get(&at(org, "access_controls/")).status == 200,
    ];
    let answer = person.get(&at(org, ""));
    let nested = person.get(&org.project_at(""));
    assert_eq!(answer.status, nested.status);
    if answer.status == 404 {
        answer.not_found();
        assert_eq!(seen, [false; 4]);
        return None;
    }
    assert_eq!(seen, [true; 4]);
    answer.json(200)["effective_membership_level"].as_u64()
}

#[test]
fn without_entries_everything_is_as_without_access_control() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let list = |level: &str, may_edit: bool| {
        json!({
            "access_controls": [],
            "available_access_levels": ["none", "member", "admin"],
            "default_access_level": "member",
            "minimum_access_level": "none",
            "maximum_access_level": "admin",
            "user_access_level": level,
            "user_can_edit_access_levels": may_edit,
        })
    };
    assert_eq!(member.get(&controls(&org)).json(200), list("member", false));
    assert_eq!(org.owner.get(&controls(&org)).json(200), list("admin", true));
    assert_eq!((level(&org, &member), level(&org, &org.owner)), (Some(1), Some(15)));
    let resources = member.get(&resources(&org)).json(200);
    assert_eq!(resources["available_access_levels"], json!(["none", "viewer", "editor", "manager"]));
    let bounds = ["default", "minimum", "maximum"].map(|name| &resources[format!("{name}_access_level")]);
    assert_eq!(bounds, ["editor", "none", "manager"]);
}

#[test]
fn an_entry_is_answered_as_it_was_sent_and_shown_again() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let role = new_role(&org, "Product");
    let project = org.project.to_string();
    for (sent, member_id, role_id) in [
        (json!({"access_level": "none"}), json!(null), json!(null)),
        (
            json!({"access_level": "admin", "organization_member": membership(&org, &member)}),
            membership(&org, &member),
            json!(null),
        ),
        (json!({"access_level": "member", "role": role_id(&role)}), json!(null), role_id(&role)),
    ] {
        let changed = org.owner.put(&controls(&org), sent.clone()).json(200);
        let shown = org.owner.get(&controls(&org)).json(200)["access_controls"].clone();
        let entry = shown
            .as_array()
            .expect("entries")
            .iter()
            .find(|entry| entry["access_level"] == sent["access_level"]);
        let mut entry = entry.expect("it is shown").clone();
        for (name, value) in entry.as_object().expect("an object") {
            assert_eq!(&changed[name], value, "{name}");
        }
        assert_eq!(changed["access_controls"], shown);
        assert!(entry["created_at"].take().is_string() && entry["updated_at"].take().is_string());
        assert_eq!(
            entry,
            json!({
                "access_level": sent["access_level"],
                "resource": "project",
                "resource_id": project,
                "organization_member": member_id,
                "role": role_id,
                "created_by": org.owner.uuid,
                "created_at": null,
                "updated_at": null,
            })
        );
    }
    assert_eq!(org.owner.get(&controls(&org)).json(200)["access_controls"].as_array().map(Vec::len), Some(3));
    grant(&org, json!({"access_level": "member"}));
    let removed = json!({"access_level": null, "role": role_id(&role)});
    org.owner.put(&controls(&org), removed.clone()).no_content();
    org.owner.put(&controls(&org), removed).no_content();
    assert_eq!(org.owner.get(&controls(&org)).json(200)["access_controls"].as_array().map(Vec::len), Some(2));
}

#[test]
fn the_default_closes_and_opens_a_project_for_members_only() {
    let server = Server::start();
    let org = server.org();
    let (member, admin) = (org.member(&server), org.admin(&server));
    grant(&org, json!({"access_level": "none"}));
    assert_eq!(level(&org, &member), None);
    assert_eq!((level(&org, &admin), level(&org, &org.owner)), (Some(8), Some(15)));
    grant(&org, json!({"access_level": "admin"}));
    assert_eq!(level(&org, &member), Some(8));
    org.owner.put(&controls(&org), json!({"access_level": null})).no_content();
    assert_eq!(level(&org, &member), Some(1));
}

#[test]
fn an_entry_for_a_member_beats_the_default_and_a_private_project() {
    let server = Server::start();
    let org = server.org();
    let (member, other) = (org.member(&server), org.member(&server));
    grant(&org, json!({"access_level": "none"}));
    grant(&org, json!({"access_level": "member", "organization_member": membership(&org, &member)}));
    assert_eq!((level(&org, &member), level(&org, &other)), (Some(1), None));
    org.owner.put(&controls(&org), json!({"access_level": null})).no_content();
    org.owner.patch(&at(&org, ""), json!({"access_control": true})).json(200);
    assert_eq!((level(&org, &member), level(&org, &other)), (Some(1), None));
    // The default does not open what is private.
    grant(&org, json!({"access_level": "member"}));
    assert_eq!(level(&org, &other), None);
    org.owner.patch(&at(&org, ""), json!({"access_control": false})).json(200);
    grant(&org, json!({"access_level": "none", "organization_member": membership(&org, &member)}));
    assert_eq!((level(&org, &member), level(&org, &other)), (None, Some(1)));
}

#[test]
fn of_several_entries_the_highest_wins() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let (product, sales) = (new_role(&org, "Product"), new_role(&org, "Sales"));
    let in_product = put_in(&org, &product, &member);
    grant(&org, json!({"access_level": "none", "organization_member": membership(&org, &member)}));
    grant(&org, json!({"access_level": "member", "role": role_id(&product)}));
    grant(&org, json!({"access_level": "admin", "role": role_id(&sales)}));
    assert_eq!(level(&org, &member), Some(1));
    put_in(&org, &sales, &member);
    assert_eq!(level(&org, &member), Some(8));
    org.owner.delete(&sales).no_content();
    assert_eq!(level(&org, &member), Some(1));
    org.owner.delete(&in_product).no_content();
    assert_eq!(level(&org, &member), None);
    let left = org.owner.get(&controls(&org)).json(200);
    assert_eq!(
        left["access_controls"].as_array().map(Vec::len),
        Some(2),
        "the entry of the role went with it"
    );
}

#[test]
fn a_project_admin_may_do_in_the_project_what_admins_may_and_no_more() {
    let server = Server::start();
    let org = server.org();
    let (member, other) = (org.member(&server), org.member(&server));
    let needs_admin = "Must be admin to modify project permissions.";
    let reset = at(&org, "reset_token/");
    member.patch(&reset, json!({})).denied("You don't have sufficient permissions in the project.");
    member.put(&controls(&org), json!({"access_level": "none"})).denied(needs_admin);
    let wide = "Must be an Organization admin to modify project-wide permissions.";
    member.put(&resources(&org), json!({"access_level": "none", "resource": "insight"})).denied(wide);
    grant(&org, json!({"access_level": "admin", "organization_member": membership(&org, &member)}));
    let list = member.get(&controls(&org)).json(200);
    assert_eq!(
        (&list["user_access_level"], &list["user_can_edit_access_levels"]),
        (&json!("admin"), &json!(true))
    );
    member.patch(&reset, json!({})).json(200);
    member.put(&controls(&org), json!({"access_level": "none"})).json(200);
    assert_eq!(level(&org, &other), None);
    let restrict = member.patch(&at(&org, ""), json!({"access_control": true}));
    restrict
        .denied("Your organization access level is insufficient to configure project access restrictions.");
    member.post(&org.at("projects/"), json!({"name": "New"})).level_too_low();
    member.patch(&org.at(""), json!({"name": "Mine"})).level_too_low();
    member.delete(&at(&org, "")).no_content();
}

#[test]
fn whoever_is_shut_out_of_his_current_project_hears_so() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let second = org.owner.post(&org.at("projects/"), json!({"name": "Second"})).json(201)["id"].clone();
    member.get("/api/projects/@current/").json(200);
    grant(&org, json!({"access_level": "none"}));
    member.get("/api/projects/@current/").denied("You don't have sufficient permissions in the project.");
    assert_eq!(member.me()["team"]["id"], second);
    let shut = member.patch("/api/users/@me/", json!({"set_current_team": org.project}));
    shut.invalid(
        "set_current_team",
        "does_not_exist",
        &format!("Object with id={} does not exist.", org.project),
    );
    let newcomer = org.member(&server);
    assert_eq!(newcomer.me()["team"]["id"], second);
}

#[test]
fn bodies_are_checked() {
    let server = Server::start();
    let org = server.org();
    let role = new_role(&org, "Product");
    let stranger = server.org();
    let put = |body: Value| org.owner.put(&controls(&org), body);
    put(json!({})).invalid("access_level", "required", "This field is required.");
    let levels = "Invalid access level. Must be one of: none, member, admin";
    for odd in ["viewer", "owner", "NONE"] {
        put(json!({"access_level": odd})).invalid("access_level", "invalid_input", levels);
    }
    let both = json!({"access_level": "member", "role": role_id(&role), "organization_member": membership(&org, &org.owner)});
    let detail = "You can not scope an access control to both a member and a role.";
    put(both).invalid(None, "invalid_input", detail);
    for (name, foreign) in [
        ("role", role_id(&new_role(&stranger, "Theirs"))),
        ("organization_member", membership(&stranger, &stranger.owner)),
        ("organization_member", json!(org.owner.uuid)),
    ] {
        let detail = format!("Invalid pk {foreign} - object does not exist.");
        put(json!({"access_level": "member", name: foreign})).invalid(name, "does_not_exist", &detail);
    }
    put(json!({"access_level": "member", "role": "x"})).invalid(
        "role",
        "invalid_input",
        "Must be a valid UUID.",
    );
    assert_eq!(org.owner.get(&controls(&org)).json(200)["access_controls"], json!([]));
    let own = at(&org, "");
    stranger.owner.get(&format!("{own}access_controls/")).not_found();
    stranger.owner.put(&format!("{own}access_controls/"), json!({"access_level": "none"})).not_found();
    org.owner.post(&controls(&org), json!({})).not_allowed("POST");
}

#[test]
fn entries_for_other_resources_are_kept_and_mean_nothing_here() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let put = |body: Value| org.owner.put(&resources(&org), body);
    put(json!({"access_level": "none"})).invalid("resource", "required", "This field is required.");
    let levels = "Invalid access level. Must be one of: none, viewer, editor, manager";
    put(json!({"access_level": "member", "resource": "dashboard"})).invalid(
        "access_level",
        "invalid_input",
        levels,
    );
    let body = json!({"access_level": "viewer", "resource": "dashboard", "organization_member": membership(&org, &member)});
    let kept = put(body).json(200);
    assert_eq!((&kept["resource"], &kept["resource_id"]), (&json!("dashboard"), &json!(null)));
    put(json!({"access_level": "none", "resource": "insight"})).json(200);
    assert_eq!(level(&org, &member), Some(1));
    grant(&org, json!({"access_level": "none"}));
    let shown = org.owner.get(&resources(&org)).json(200)["access_controls"].clone();
    assert_eq!(shown.as_array().map(Vec::len), Some(2));
    put(json!({"access_level": null, "resource": "insight"})).no_content();
    put(json!({"access_level": null, "resource": "insight", "resource_id": "7"})).no_content();
    assert_eq!(
        org.owner.get(&resources(&org)).json(200)["access_controls"].as_array().map(Vec::len),
        Some(1)
    );
    assert_eq!(level(&org, &member), None);
}

#[test]
fn entries_go_with_whom_they_are_for_and_with_their_project() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    grant(&org, json!({"access_level": "admin", "organization_member": membership(&org, &member)}));
    grant(&org, json!({"access_level": "none"}));
    org.owner.delete(&org.at(&format!("members/{}/", member.uuid))).no_content();
    member.accept(&org.token(&member.email, 1));
    assert_eq!(level(&org, &member), None, "coming back gives nothing back");
    let left = org.owner.get(&controls(&org)).json(200)["access_controls"].clone();
    assert_eq!(left.as_array().map(Vec::len), Some(1));
    org.owner.delete(&at(&org, "")).no_content();
    org.owner.get(&controls(&org)).not_found();
}

#[test]
fn keys_need_the_scope_of_access_control() {
    let server = Server::start();
    let org = server.org();
    let body = json!({"access_level": "none"});
    let reader = org.owner.key(&["access_control:read"]);
    reader.get(&controls(&org)).json(200);
    reader.put(&controls(&org), body.clone()).denied("API key missing required scope 'access_control:write'");
    let other = org.owner.key(&["project:write"]);
    other.get(&controls(&org)).denied("API key missing required scope 'access_control:read'");
    let project = text(&json!(org.project.to_string()));
    let scoped = org.owner.key_of(json!({"scopes": ["*"], "scoped_teams": [org.project]}));
    assert_eq!(scoped.put(&controls(&org), body).json(200)["resource_id"], json!(project));
}
