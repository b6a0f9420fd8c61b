//! Role memberships: who is in which role, and when that ends.

use serde_json::json;

use crate::roles::{new_role, put_in};
use crate::support::{Server, text};

const NEEDS_ADMIN: &str = "You need to have admin level or higher.";
const ALREADY: &str = "User is already part of the role.";
const NO_USER: &str = "User does not exist.";

#[test]
fn a_membership_has_exactly_the_fields_of_the_page() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let role = new_role(&org, "Product");
    let one = put_in(&org, &role, &member);
    let mut shown = member.get(&one).json(200);
    assert_eq!(member.get(&format!("{role}role_memberships/")).results(), [shown.clone()]);
    assert_eq!(member.get(&role).json(200)["members"], json!([shown.clone()]));
    let listed = org.owner.get(&org.at("members/")).results();
    let as_member = listed.into_iter().find(|row| row["user"]["uuid"] == json!(member.uuid));
    assert_eq!(Some(shown["organization_member"].take()), as_member);
    assert_eq!(shown["user"].take()["email"], json!(member.email));
    assert!(shown["joined_at"].take().is_string() && shown["updated_at"].take().is_string());
    assert_eq!(one, format!("{role}role_memberships/{}/", text(&shown["id"].take())));
    assert!(role.contains(&text(&shown["role_id"].take())));
    assert_eq!(
        shown,
        json!({
            "id": null,
            "role_id": null,
            "organization_member": null,
            "user": null,
            "joined_at": null,
            "updated_at": null,
            "user_uuid": member.uuid,
        })
    );
}

#[test]
fn somebody_may_be_in_many_roles_but_in_each_once() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let (product, sales) = (new_role(&org, "Product"), new_role(&org, "Sales"));
    put_in(&org, &product, &member);
    put_in(&org, &sales, &member);
    let again = org.owner.post(&format!("{product}role_memberships/"), json!({"user_uuid": member.uuid}));
    again.invalid(None, "invalid_input", ALREADY);
    put_in(&org, &product, &org.owner);
    assert_eq!(org.owner.get(&format!("{product}role_memberships/?limit=1")).json(200)["count"], 2);
    assert_eq!(org.owner.get(&format!("{sales}role_memberships/")).json(200)["count"], 1);
}

#[test]
fn only_members_of_the_organization_are_taken_and_only_in_its_roles() {
    let server = Server::start();
    let org = server.org();
    let stranger = server.stranger();
    let role = new_role(&org, "Product");
    let all = format!("{role}role_memberships/");
    org.owner.post(&all, json!({"user_uuid": stranger.uuid})).invalid(None, "invalid_input", NO_USER);
    org.owner.post(&all, json!({"user_uuid": org.id})).invalid(None, "invalid_input", NO_USER);
    org.owner.post(&all, json!({})).invalid("user_uuid", "required", "This field is required.");
    org.owner.post(&all, json!({"user_uuid": "nope"})).invalid(
        "user_uuid",
        "invalid_input",
        "Must be a valid UUID.",
    );
    assert_eq!(org.owner.get(&all).json(200)["count"], 0);
    let foreign = all.replace(&org.id, "@current");
    let body = json!({"user_uuid": stranger.uuid});
    stranger.post(&foreign, body.clone()).invalid(None, "invalid_input", "Role does not exist.");
    assert_eq!(stranger.get(&foreign).json(200)["count"], 0);
    let unknown = org.at(&format!("roles/{}/role_memberships/", org.id));
    org.owner.post(&unknown, body).invalid(None, "invalid_input", "Role does not exist.");
    assert_eq!(org.owner.get(&unknown).results(), [json!(null); 0]);
}

#[test]
fn a_membership_is_found_under_its_own_role_only() {
    let server = Server::start();
    let org = server.org();
    let (product, sales) = (new_role(&org, "Product"), new_role(&org, "Sales"));
    let one = put_in(&org, &product, &org.owner);
    let tail = one.strip_prefix(&product).expect("it is below its role");
    let elsewhere = format!("{sales}{tail}");
    org.owner.get(&elsewhere).not_found();
    org.owner.delete(&elsewhere).not_found();
    server.stranger().get(&one.replace(&org.id, "@current")).not_found();
    server.stranger().delete(&one.replace(&org.id, "@current")).not_found();
    org.owner.get(&one).json(200);
    org.owner.patch(&one, json!({})).not_allowed("PATCH");
    org.owner.put(&one, json!({})).not_allowed("PUT");
    org.owner.delete(&one).no_content();
    org.owner.delete(&one).not_found();
    put_in(&org, &product, &org.owner);
}

#[test]
fn members_read_and_admins_write() {
    let server = Server::start();
    let org = server.org();
    let (member, admin) = (org.member(&server), org.admin(&server));
    let role = new_role(&org, "Product");
    let all = format!("{role}role_memberships/");
    member.post(&all, json!({"user_uuid": member.uuid})).denied(NEEDS_ADMIN);
    let one = put_in(&org, &role, &admin);
    member.get(&one).json(200);
    member.delete(&one).denied(NEEDS_ADMIN);
    server.stranger().get(&all).forbidden();
    admin.delete(&one).no_content();
    let key = admin.key(&["organization:write"]);
    key.post(&all, json!({"user_uuid": member.uuid})).json(201);
    let reader = admin.key(&["organization:read"]);
    let missing = "API key missing required scope 'organization:write'";
    reader.post(&all, json!({"user_uuid": admin.uuid})).denied(missing);
    assert_eq!(member.get(&all).json(200)["count"], 1);
}

#[test]
fn memberships_end_with_the_role_and_with_belonging_to_the_organization() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let (product, sales) = (new_role(&org, "Product"), new_role(&org, "Sales"));
    put_in(&org, &product, &member);
    put_in(&org, &sales, &member);
    put_in(&org, &sales, &org.owner);
    org.owner.delete(&product).no_content();
    assert_eq!(org.owner.get(&format!("{product}role_memberships/")).json(200)["count"], 0);
    org.owner.delete(&org.at(&format!("members/{}/", member.uuid))).no_content();
    let left = org.owner.get(&format!("{sales}role_memberships/")).results();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["user_uuid"], json!(org.owner.uuid));
    // Whoever comes back starts anew.
    member.accept(&org.token(&member.email, 1));
    put_in(&org, &sales, &member);
}
