//! Members: who is listed, who changes whom, who leaves.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Org, Person, Server, text};

fn one(org: &Org, person: &Person) -> String {
    org.at(&format!("members/{}/", person.uuid))
}

fn level_of(org: &Org, person: &Person) -> Value {
    let rows = org.owner.get(&org.at("members/")).results();
    rows.iter()
        .find(|row| row["user"]["uuid"] == json!(person.uuid))
        .map_or(Value::Null, |row| row["level"].clone())
}

#[test]
fn every_member_sees_all_members_newest_first() {
    let server = Server::start();
    let org = server.org();
    let admin = org.admin(&server);
    let member = org.member(&server);
    let page = member.get(&org.at("members/")).json(200);
    assert_eq!((&page["count"], &page["next"], &page["previous"]), (&json!(3), &json!(null), &json!(null)));
    let rows = page["results"].as_array().expect("rows");
    let uuids: Vec<&Value> = rows.iter().map(|row| &row["user"]["uuid"]).collect();
    assert_eq!(uuids, [&json!(member.uuid), &json!(admin.uuid), &json!(org.owner.uuid)]);
    let mut row = rows[0].clone();
    for name in ["id", "joined_at", "updated_at"] {
        assert!(row[name].take().is_string(), "{name}");
    }
    assert!(row["user"]["id"].take().is_u64());
    assert!(row["user"]["distinct_id"].take().is_string());
    assert_eq!(
        row,
        json!({
            "id": null,
            "user": {
                "id": null,
                "uuid": member.uuid,
                "distinct_id": null,
                "first_name": "Sam",
                "last_name": "",
                "email": member.email,
                "is_email_verified": false,
                "hedgehog_config": null,
                "role_at_organization": null,
            },
            "level": 1,
            "joined_at": null,
            "updated_at": null,
            "is_2fa_enabled": false,
            "has_social_auth": false,
        })
    );
}

#[test]
fn the_list_is_ordered_and_filtered_on_request() {
    let server = Server::start();
    let org = server.org();
    let admin = org.admin(&server);
    let member = org.member(&server);
    let uuids = |query: &str| -> Vec<Value> {
        let rows = org.owner.get(&org.at(&format!("members/{query}"))).results();
        rows.iter().map(|row| row["user"]["uuid"].clone()).collect()
    };
    let [o, a, m] = [&org.owner.uuid, &admin.uuid, &member.uuid].map(|uuid| json!(uuid));
    assert_eq!(uuids("?order=level"), [m.clone(), a.clone(), o.clone()]);
    assert_eq!(uuids("?order=-level"), [o.clone(), a.clone(), m.clone()]);
    assert_eq!(uuids("?order=joined_at"), [o.clone(), a.clone(), m.clone()]);
    assert_eq!(uuids("?order=-joined_at"), [m.clone(), a.clone(), o.clone()]);
    assert_eq!(uuids("?order=nonsense"), [m.clone(), a.clone(), o.clone()]);
    assert_eq!(json!(uuids(&format!("?email={}", admin.email))), json!([a]));
    assert_eq!(json!(uuids("?email=nobody@example.com")), json!([]));
    let between = text(&org.owner.get(&org.at("members/")).results()[0]["updated_at"]);
    server.pass(Duration::from_secs(60));
    org.owner.patch(&one(&org, &admin), json!({"level": 1})).json(200);
    assert_eq!(uuids(&format!("?updated_after={between}")), [a]);
    assert_eq!(uuids("?updated_after=nonsense").len(), 3);
    assert_eq!(uuids("?order=level&limit=1&offset=1").len(), 1);
}

#[test]
fn strangers_are_refused_and_unknown_organizations_are_missing() {
    let server = Server::start();
    let org = server.org();
    let stranger = server.stranger();
    let target = one(&org, &org.owner);
    stranger.get(&org.at("members/")).forbidden();
    stranger.patch(&target, json!({"level": 1})).forbidden();
    stranger.delete(&target).forbidden();
    for name in ["3e9c5de9-1765-454a-bd9a-3c5e67ed9a23", "nope", "%20"] {
        let path = format!("/api/organizations/{name}/members/");
        stranger.get(&path).missing("Organization not found.");
    }
    assert_eq!(level_of(&org, &org.owner), 15);
}

#[test]
fn a_single_member_is_changed_or_removed_but_not_shown() {
    let server = Server::start();
    let org = server.org();
    org.owner.get(&one(&org, &org.owner)).not_allowed("GET");
    org.owner.post(&org.at("members/"), json!({})).not_allowed("POST");
    org.owner.key(&["*"]).get(&one(&org, &org.owner)).not_allowed("GET");
}

#[test]
fn who_may_change_whose_level() {
    let server = Server::start();
    let org = server.org();
    let (admin, second_admin) = (org.admin(&server), org.admin(&server));
    let (member, second_member) = (org.member(&server), org.member(&server));
    let admins_only = "You can only edit others if you are an admin.";
    let not_above = "You can only edit others with level lower or equal to you.";
    let not_self = "You can't change your own access level.";
    let owners_only = "You can only make another member owner if you're this organization's owner.";
    let set =
        |who: &Person, whom: &Person, level: Value| who.patch(&one(&org, whom), json!({"level": level}));

    set(&member, &second_member, json!(1)).denied(admins_only);
    set(&member, &org.owner, json!(1)).denied(admins_only);
    set(&member, &member, json!(1)).denied(not_self);
    set(&admin, &org.owner, json!(1)).denied(not_above);
    set(&admin, &admin, json!(8)).denied(not_self);
    set(&admin, &member, json!(15)).denied(owners_only);
    set(&org.owner, &org.owner, json!(8)).denied(not_self);
    for (person, level) in [(&org.owner, 15), (&admin, 8), (&member, 1), (&second_member, 1)] {
        assert_eq!(level_of(&org, person), level);
    }

    assert_eq!(set(&admin, &member, json!(8)).json(200)["level"], 8);
    assert_eq!(set(&admin, &second_admin, json!(1)).json(200)["level"], 1);
    assert_eq!(set(&org.owner, &admin, json!("15")).json(200)["level"], 15);
    assert_eq!(level_of(&org, &org.owner), 15, "making somebody owner demotes nobody");
    assert_eq!(set(&admin, &org.owner, json!(8)).json(200)["level"], 8, "an owner may demote another");
}

#[test]
fn rules_about_people_come_before_the_body_and_rules_about_levels_after() {
    let server = Server::start();
    let org = server.org();
    let (admin, member) = (org.admin(&server), org.member(&server));
    let bad = json!({"level": 7});
    member.patch(&one(&org, &admin), bad.clone()).denied("You can only edit others if you are an admin.");
    admin
        .patch(&one(&org, &org.owner), bad.clone())
        .denied("You can only edit others with level lower or equal to you.");
    let not_a_choice = "\"7\" is not a valid choice.";
    admin.patch(&one(&org, &admin), bad.clone()).invalid("level", "invalid_choice", not_a_choice);
    admin.patch(&one(&org, &member), bad).invalid("level", "invalid_choice", not_a_choice);
    let null = admin.patch(&one(&org, &member), json!({"level": null}));
    null.invalid("level", "null", "This field may not be null.");
    for method in ["PATCH", "PUT"] {
        let unchanged = admin.call(method, &one(&org, &member), &json!({}));
        assert_eq!(unchanged.json(200)["level"], 1);
    }
}

#[test]
fn a_change_moves_updated_at_and_keeps_joined_at() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let before = org.owner.patch(&one(&org, &member), json!({})).json(200);
    server.pass(Duration::from_secs(5));
    let after = org.owner.put(&one(&org, &member), json!({"level": 8, "joined_at": "2001-01-01"})).json(200);
    assert_eq!(after["joined_at"], before["joined_at"]);
    assert_ne!(after["updated_at"], before["updated_at"]);
}

#[test]
fn members_leave_and_admins_remove_but_no_owner_goes() {
    let server = Server::start();
    let org = server.org();
    let (admin, second_admin) = (org.admin(&server), org.admin(&server));
    let (member, second_member, third_member) =
        (org.member(&server), org.member(&server), org.member(&server));
    let second_owner = org.second_owner(&server);
    let owner_stays = "Cannot leave the organization as its owner!";

    member.delete(&one(&org, &second_member)).denied("You can only edit others if you are an admin.");
    admin.delete(&one(&org, &org.owner)).denied("You can only edit others with level lower or equal to you.");
    org.owner.delete(&one(&org, &org.owner)).invalid(None, "invalid_input", owner_stays);
    org.owner.delete(&one(&org, &second_owner)).invalid(None, "invalid_input", owner_stays);
    assert_eq!(org.owner.get(&org.at("")).json(200)["member_count"], 7);

    member.delete(&one(&org, &member)).no_content();
    third_member.delete(&org.at("members/@me/")).no_content();
    admin.delete(&one(&org, &second_member)).no_content();
    admin.delete(&one(&org, &second_admin)).no_content();
    assert_eq!(org.owner.get(&org.at("")).json(200)["member_count"], 3);
    member.get(&org.at("")).not_found();
    admin.delete(&one(&org, &member)).not_found();
}

#[test]
fn targets_that_are_not_members_are_missing() {
    let server = Server::start();
    let org = server.org();
    let stranger = server.stranger();
    for uuid in ["f676cb57-effa-401f-8c1a-78919e742413", "nope", stranger.uuid.as_str(), "%00"] {
        let path = org.at(&format!("members/{uuid}/"));
        let (patched, deleted) = (org.owner.patch(&path, json!({"level": 1})), org.owner.delete(&path));
        if uuid == "%00" {
            patched.missing("Endpoint not found.");
            deleted.missing("Endpoint not found.");
        } else {
            patched.not_found();
            deleted.not_found();
        }
    }
}

#[test]
fn the_removed_fall_to_their_next_organization_and_their_keys_open_nothing_here() {
    let server = Server::start();
    let org = server.org();
    let other = server.org();
    let member = org.member(&server);
    let member = other.joined(member, 1);
    let key = member.key(&["*"]);
    member.patch("/api/users/@me/", json!({"set_current_organization": org.id})).json(200);
    key.get(&org.at("members/")).json(200);

    org.owner.delete(&one(&org, &member)).no_content();
    let me = member.me();
    assert_eq!((&me["organization"]["id"], &me["team"]["id"]), (&json!(other.id), &json!(other.project)));
    key.get(&org.at("members/")).forbidden();
    key.get(&org.at("")).not_found();
    key.get(&other.at("members/")).json(200);

    other.owner.delete(&one(&other, &member)).no_content();
    let me = member.me();
    assert_eq!((&me["organization"], &me["team"]), (&json!(null), &json!(null)));
}

#[test]
fn a_demotion_counts_at_once() {
    let server = Server::start();
    let org = server.org();
    let admin = org.admin(&server);
    let key = admin.key(&["organization:write"]);
    key.patch(&org.at(""), json!({"name": "A"})).json(200);
    org.owner.patch(&one(&org, &admin), json!({"level": 1})).json(200);
    key.patch(&org.at(""), json!({"name": "B"})).level_too_low();
    assert_eq!(org.owner.get(&org.at("")).json(200)["name"], "A");
}
