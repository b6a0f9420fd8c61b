//! Roles: their shape, who may change them, and what goes with them.

use serde_json::{Value, json};

use crate::support::{Org, Person, Server, text};

const NEEDS_ADMIN: &str = "You need to have admin level or higher.";

/// The path of a new role.
pub fn new_role(org: &Org, name: &str) -> String {
    let made = org.owner.post(&org.at("roles/"), json!({"name": name})).json(201);
    org.at(&format!("roles/{}/", text(&made["id"])))
}

/// Puts somebody into the role of this path; the path of the membership.
pub fn put_in(org: &Org, role: &str, person: &Person) -> String {
    let all = format!("{role}role_memberships/");
    let made = org.owner.post(&all, json!({"user_uuid": person.uuid})).json(201);
    format!("{all}{}/", text(&made["id"]))
}

fn names(person: &Person, path: &str) -> Vec<Value> {
    person.get(path).results().iter().map(|role| role["name"].clone()).collect()
}

#[test]
fn a_role_has_exactly_the_fields_of_the_page() {
    let server = Server::start();
    let org = server.org();
    let mut made = org.owner.post(&org.at("roles/"), json!({"name": " Product "})).json(201);
    let shown = org.owner.get(&org.at(&format!("roles/{}/", text(&made["id"])))).json(200);
    assert_eq!(shown, made);
    assert!(made["id"].take().is_string() && made["created_at"].take().is_string());
    assert_eq!(made["created_by"].take()["uuid"], json!(org.owner.uuid));
    assert_eq!(
        made,
        json!({
            "id": null,
            "name": "Product",
            "feature_flags_access_level": 37,
            "created_at": null,
            "created_by": null,
            "members": [],
            "is_default": false,
            "associated_flags": [],
        })
    );
}

#[test]
fn roles_are_listed_in_the_order_of_their_making_and_found_by_name() {
    let server = Server::start();
    let org = server.org();
    for name in ["Zebra", "Ape", "Fox"] {
        new_role(&org, name);
    }
    let member = org.member(&server);
    assert_eq!(names(&member, &org.at("roles/")), ["Zebra", "Ape", "Fox"]);
    assert_eq!(names(&member, &org.at("roles/?limit=1&offset=1")), ["Ape"]);
    assert_eq!(names(&member, &org.at("roles/?name=Fox")), ["Fox"]);
    assert_eq!(names(&member, &org.at("roles/?name=fox")), [json!(null); 0]);
    assert_eq!(member.get(&org.at("roles/?name=Fox")).json(200)["count"], 1);
}

#[test]
fn a_name_is_unique_in_its_organization_whatever_its_case() {
    let server = Server::start();
    let org = server.org();
    let product = new_role(&org, "Product");
    let sales = new_role(&org, "Sales");
    let taken = "There is already a role with this name.";
    org.owner.post(&org.at("roles/"), json!({"name": "pRODUCT"})).invalid("name", "unique", taken);
    org.owner.patch(&sales, json!({"name": "PRODUCT"})).invalid("name", "unique", taken);
    assert_eq!(org.owner.patch(&product, json!({"name": "product"})).json(200)["name"], "product");
    org.owner.delete(&product).no_content();
    assert_eq!(org.owner.patch(&sales, json!({"name": "Product"})).json(200)["name"], "Product");
    let other = server.stranger();
    other.post("/api/organizations/@current/roles/", json!({"name": "Product"})).json(201);
}

#[test]
fn fields_are_checked() {
    let server = Server::start();
    let org = server.org();
    let all = org.at("roles/");
    org.owner.post(&all, json!({})).invalid("name", "required", "This field is required.");
    org.owner.post(&all, json!({"name": " "})).invalid("name", "blank", "This field may not be blank.");
    let long = "Ensure this field has no more than 200 characters.";
    org.owner.post(&all, json!({"name": "x".repeat(201)})).invalid("name", "max_length", long);
    let odd = org.owner.post(&all, json!({"name": "x", "feature_flags_access_level": 22}));
    odd.invalid("feature_flags_access_level", "invalid_choice", "\"22\" is not a valid choice.");
    assert_eq!(org.owner.get(&all).json(200)["count"], 0);
    org.owner.post(&all, json!({"name": "x".repeat(200)})).json(201);
}

#[test]
fn the_level_for_flags_is_taken_by_changes_but_not_at_creation() {
    let server = Server::start();
    let org = server.org();
    let body = json!({"name": "Viewers", "feature_flags_access_level": 21});
    let made = org.owner.post(&org.at("roles/"), body).json(201);
    assert_eq!(made["feature_flags_access_level"], 37);
    let role = org.at(&format!("roles/{}/", text(&made["id"])));
    for (sent, shown) in [(json!(21), 21), (json!("37"), 37), (json!(21), 21)] {
        let changed = org.owner.patch(&role, json!({"feature_flags_access_level": sent})).json(200);
        assert_eq!(
            (&changed["name"], &changed["feature_flags_access_level"]),
            (&json!("Viewers"), &json!(shown))
        );
    }
    let odd = org.owner.patch(&role, json!({"feature_flags_access_level": 22}));
    odd.invalid("feature_flags_access_level", "invalid_choice", "\"22\" is not a valid choice.");
    org.owner.put(&role, json!({})).invalid("name", "required", "This field is required.");
    assert_eq!(org.owner.put(&role, json!({"name": "V"})).json(200)["feature_flags_access_level"], 21);
}

#[test]
fn members_read_and_admins_write() {
    let server = Server::start();
    let org = server.org();
    let role = new_role(&org, "Product");
    let (member, admin, stranger) = (org.member(&server), org.admin(&server), server.stranger());
    member.get(&org.at("roles/")).json(200);
    member.get(&role).json(200);
    member.post(&org.at("roles/"), json!({"name": "x"})).denied(NEEDS_ADMIN);
    member.patch(&role, json!({"name": "x"})).denied(NEEDS_ADMIN);
    member.delete(&role).denied(NEEDS_ADMIN);
    for answer in [stranger.get(&role), stranger.delete(&role), stranger.post(&org.at("roles/"), json!({}))] {
        answer.forbidden();
    }
    assert_eq!(names(&org.owner, &org.at("roles/")), ["Product"]);
    admin.patch(&role, json!({"name": "Sales"})).json(200);
    admin.delete(&role).no_content();
    admin.get(&role).not_found();
    admin.delete(&role).not_found();
}

#[test]
fn a_role_of_another_organization_is_not_found() {
    let server = Server::start();
    let org = server.org();
    let role = new_role(&org, "Product");
    let stranger = server.stranger();
    let foreign = role.replace(&org.id, "@current");
    stranger.get(&foreign).not_found();
    stranger.patch(&foreign, json!({"name": "Mine"})).not_found();
    stranger.delete(&foreign).not_found();
    stranger.get("/api/organizations/@current/roles/nope/").not_found();
    assert_eq!(org.owner.get(&role).json(200)["name"], "Product");
}

#[test]
fn keys_need_their_scope() {
    let server = Server::start();
    let org = server.org();
    let role = new_role(&org, "Product");
    let reader = org.owner.key(&["organization:read"]);
    reader.get(&role).json(200);
    reader.delete(&role).denied("API key missing required scope 'organization:write'");
    org.owner.key(&["project:write"]).get(&role).denied("API key missing required scope 'organization:read'");
    org.owner.key(&["organization:write"]).delete(&role).no_content();
}

/// The one answer that depends on the client.
#[test]
fn the_terraform_provider_sees_no_creator() {
    let server = Server::start();
    let org = server.org();
    let role = new_role(&org, "Product");
    let get = |agent: &str, path: &str| {
        org.owner.send(ureq::http::Method::GET, path, "", &[("user-agent", agent)]).json(200)
    };
    let terraform = "posthog/terraform-provider/1.2.3";
    assert_eq!(get(terraform, &role)["created_by"], json!(null));
    assert_eq!(get(terraform, &org.at("roles/"))["results"][0]["created_by"], json!(null));
    for other in ["curl/8.0", "terraform-provider", "my posthog/terraform-provider"] {
        assert_eq!(get(other, &role)["created_by"]["uuid"], json!(org.owner.uuid), "{other}");
    }
}

#[test]
fn roles_go_with_their_organization() {
    let server = Server::start();
    let org = server.org();
    let role = new_role(&org, "Product");
    put_in(&org, &role, &org.owner);
    org.owner.delete(&org.at("")).no_content();
    org.owner.get(&role).missing("Organization not found.");
}
