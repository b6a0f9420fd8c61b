//! Members: who is listed, who changes whom, who leaves.

use std::time::Duration;

use serde_json::{Value, json};

use crate::domains::verified_domain;
use crate::support::{NameServer, Org, PASSWORD, Person, Server, text};

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
    for name in ["id", "joined_at", "updated_at", "last_login"] {
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
                "is_email_verified": null,
                "hedgehog_config": null,
                "role_at_organization": null,
            },
            "level": 1,
            "joined_at": null,
            "updated_at": null,
            "is_2fa_enabled": false,
            "has_social_auth": false,
            "last_login": null,
            "search_match_type": null,
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
    assert_eq!(uuids("?updated_after=2021-01-01T00:00:00+00:00").len(), 3);
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

/// Somebody of this name who joins as a member.
fn named(server: &Server, org: &Org, first: &str, last: &str, email: &str) -> Person {
    let token = org.token(email, 1);
    let body = json!({"first_name": first, "last_name": last, "password": PASSWORD});
    let answer = server.anyone().post(&format!("/api/signup/{token}/"), body);
    let uuid = text(&answer.json(201)["uuid"]);
    let mut person = server.anyone().with_cookies_of(&answer);
    (person.uuid, person.email) = (uuid, email.into());
    person
}

fn first_names(org: &Org, query: &str) -> Vec<String> {
    let rows = org.owner.get(&org.at(&format!("members/{query}"))).results();
    rows.iter().map(|row| text(&row["user"]["first_name"])).collect()
}

#[test]
fn a_search_finds_parts_of_names_and_addresses_and_nobody_else() {
    let server = Server::start();
    let org = server.org();
    named(&server, &org, "Zoe", "Ender", "zoe@corp.example");
    named(&server, &org, "Ada", "Lovelace", "countess@corp.example");
    named(&server, &org, "Änne", "Zoellner", "a@other.example");
    for (query, found) in [
        ("zoe", vec!["Zoe", "Änne"]),
        ("LOVE", vec!["Ada"]),
        ("corp.EXAMPLE", vec!["Ada", "Zoe"]),
        ("%20ada%20%20lovelace%20", vec!["Ada"]),
        ("%C3%84NN", vec!["Änne"]),
        ("lovelace%20ada", vec![]),
        ("zoe&order=-joined_at", vec!["Zoe", "Änne"]),
        ("zoe&limit=1&offset=1", vec!["Änne"]),
        ("zoe&email_domain=corp.example", vec!["Zoe"]),
        ("nobody", vec![]),
        (&"x".repeat(200), vec![]),
    ] {
        assert_eq!(first_names(&org, &format!("?search={query}")), found, "{query}");
    }
    for blank in ["", "%20%20"] {
        let rows = org.owner.get(&org.at(&format!("members/?search={blank}"))).results();
        assert_eq!((rows.len(), &rows[0]["search_match_type"]), (4, &json!(null)));
    }
    let rows = org.owner.get(&org.at("members/?search=ada")).results();
    assert_eq!(rows[0]["search_match_type"], "exact");
    let long = org.owner.get(&org.at(&format!("members/?search={}", "x".repeat(201))));
    long.invalid("search", "max_length", "Search query must be 200 characters or fewer.");
}

#[test]
fn filters_narrow_the_list_and_what_they_can_not_mean_is_refused() {
    let dns = NameServer::start();
    let server = Server::with(|config| config.dns_server = Some(dns.address));
    let org = server.org();
    let admin = org.admin(&server);
    named(&server, &org, "Out", "", "out@Outside.example");
    verified_domain(&org, &dns, "example.com");
    let count = |query: &str| {
        org.owner.get(&org.at(&format!("members/?{query}"))).json(200)["count"].as_u64().expect("a number")
    };
    for (query, wanted) in [
        ("levels=1", 1),
        ("levels=1,8", 2),
        ("levels=1&levels=15", 2),
        ("levels=", 3),
        ("email_domain=EXAMPLE.com", 2),
        ("email_domain=ample.com", 0),
        ("outside_verified_domains=true", 1),
        ("outside_verified_domains=false", 3),
        ("outside_verified_domains=true&levels=8", 0),
        ("order=-level", 3),
        ("unknown=1", 3),
    ] {
        assert_eq!(count(query), wanted, "{query}");
    }
    for (query, attr, code) in [
        ("levels=7", "levels", "invalid_choice"),
        ("levels=1,x", "levels", "invalid_choice"),
        ("outside_verified_domains=maybe", "outside_verified_domains", "invalid_input"),
        ("updated_after=nonsense", "updated_after", "invalid_input"),
    ] {
        let answer = admin.get(&org.at(&format!("members/?{query}")));
        let body = answer.value();
        assert_eq!(
            (answer.status, &body["attr"], &body["code"]),
            (400, &json!(attr), &json!(code)),
            "{query}"
        );
    }
}

#[test]
fn a_log_in_is_remembered_after_its_session() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let last = || {
        let rows = org.owner.get(&org.at("members/?levels=1")).results();
        text(&rows[0]["last_login"])
    };
    let first = last();
    server.pass(Duration::from_secs(60));
    let again = member.logged_in();
    let second = last();
    assert!(second > first, "{first} {second}");
    again.post("/logout", json!({}));
    assert_eq!(last(), second);
}

#[test]
fn the_keys_of_a_member_that_reach_the_organization_are_shown_before_they_are_removed() {
    let server = Server::start();
    let (org, other) = (server.org(), server.org());
    let admin = org.admin(&server);
    let member = other.joined(org.member(&server), 1);
    let keys = |who: &Person, whom: &str| who.get(&org.at(&format!("members/{whom}/scoped_api_keys/")));
    let none = json!({"has_keys": false, "has_keys_active_last_week": false, "keys": []});
    assert_eq!(keys(&admin, &member.uuid).json(200), none);
    let all = member.key(&["*"]);
    member.key_of(json!({"scopes": ["*"], "scoped_organizations": [org.id]}));
    member.key_of(json!({"scopes": ["*"], "scoped_organizations": [other.id]}));
    member.key_of(json!({"scopes": ["*"], "scoped_teams": [org.project]}));
    member.key_of(json!({"scopes": ["*"], "scoped_teams": [other.project]}));
    let shown = keys(&admin, &member.uuid).json(200);
    let count = |shown: &Value| shown["keys"].as_array().expect("a list").len();
    assert_eq!((count(&shown), &shown["has_keys_active_last_week"]), (3, &json!(false)));
    assert_eq!(shown["keys"][0], json!({"name": "test", "last_used_at": null}));
    all.get(&org.at("members/")).json(200);
    server.until("the use of the key is written down", || {
        keys(&admin, &member.uuid).json(200)["has_keys_active_last_week"] == json!(true)
    });
    server.pass_days(8);
    let (admin, member) = (admin.logged_in(), member.logged_in());
    assert_eq!(keys(&admin, &member.uuid).json(200)["has_keys_active_last_week"], json!(false));
    assert_eq!(count(&keys(&member, "@me").json(200)), 3);
    assert_eq!(count(&keys(&all, "@me").json(200)), 3);
    keys(&member, &admin.uuid).denied("Only admins see the keys of others.");
    keys(&admin, "3e9c5de9-1765-454a-bd9a-3c5e67ed9a23").not_found();
    let github = json!({"github_login": null});
    assert_eq!(member.get(&org.at("members/@me/github_login/")).json(200), github);
    assert_eq!(member.get(&org.at(&format!("members/{}/github_login/", admin.uuid))).json(200), github);
    assert_eq!(member.get("/api/users/@me/github_login/").json(200), github);
    assert_eq!(member.get(&format!("/api/users/{}/github_login/", admin.uuid)).status, 403);
}
