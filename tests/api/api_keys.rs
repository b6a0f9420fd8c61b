//! Personal API keys: their life, and what they open.

use std::time::Duration;

use orgd::config::Switch;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::support::{Server, Shows, text};

const ALL: &str = "/api/personal_api_keys/";

fn one(key: &Value) -> String {
    format!("{ALL}{}/", text(&key["id"]))
}

#[test]
fn a_key_shows_its_value_once() {
    let server = Server::start();
    let owner = server.org().owner;
    let body =
        json!({"label": "ci", "scopes": ["organization:read", "project:write"], "id": "mine", "value": "x"});
    let made = owner.post(ALL, body).json(201);
    let value = text(&made["value"]);
    assert!(value.starts_with("phx_") && (40..=52).contains(&value.len()), "{value}");
    let mask = format!("phx_...{}", &value[value.len() - 4..]);
    assert_eq!(made["mask_value"], json!(mask));
    let mut rest = made.clone();
    for name in ["id", "value", "mask_value", "created_at"] {
        assert!(rest[name].take().is_string(), "{name}");
    }
    assert!(rest["user_id"].take().is_u64());
    assert_eq!(
        rest,
        json!({
            "id": null, "label": "ci", "value": null, "mask_value": null, "created_at": null, "last_used_at": null,
            "last_rolled_at": null, "user_id": null, "scopes": ["organization:read", "project:write"], "scoped_teams": [],
            "scoped_organizations": [],
        })
    );
    let mut hidden = made.clone();
    hidden["value"] = json!(null);
    assert_eq!(owner.get(&one(&made)).json(200), hidden);
    assert_eq!(owner.get(ALL).json(200), json!([hidden]));
}

#[test]
fn keys_are_listed_newest_first_and_only_to_their_owner() {
    let server = Server::start();
    let owner = server.org().owner;
    let stranger = server.stranger();
    let first = owner.post(ALL, json!({"label": "a", "scopes": ["*"]})).json(201);
    server.pass(Duration::from_secs(1));
    let second = owner.post(ALL, json!({"label": "b", "scopes": ["*"]})).json(201);
    let ids: Vec<Value> = owner
        .get(ALL)
        .json(200)
        .as_array()
        .expect("a bare array")
        .iter()
        .map(|key| key["id"].clone())
        .collect();
    assert_eq!(ids, [second["id"].clone(), first["id"].clone()]);
    assert_eq!(stranger.get(ALL).json(200), json!([]));
    stranger.get(&one(&first)).not_found();
    stranger.patch(&one(&first), json!({"label": "x"})).not_found();
    stranger.delete(&one(&first)).not_found();
    owner.get(&one(&first)).json(200);
}

#[test]
fn a_key_is_changed_at_once_and_dies_at_once() {
    let server = Server::start();
    let org = server.org();
    let made = org.owner.post(ALL, json!({"label": "a", "scopes": ["organization:read"]})).json(201);
    let key = org.owner.holding(&text(&made["value"]));
    key.get(&org.at("")).json(200);
    let changed = org.owner.patch(&one(&made), json!({"scopes": ["project:read"], "label": "b"})).json(200);
    assert_eq!(
        (&changed["label"], &changed["scopes"], &changed["value"]),
        (&json!("b"), &json!(["project:read"]), &json!(null))
    );
    key.get(&org.at("")).denied("API key missing required scope 'organization:read'");
    key.get(&org.at("projects/")).json(200);
    org.owner.put(&one(&made), json!({"label": "c"})).invalid(
        "scopes",
        "required",
        "This field is required.",
    );
    org.owner.put(&one(&made), json!({"label": "c", "scopes": ["*"]})).json(200);
    org.owner.delete(&one(&made)).no_content();
    org.owner.get(&one(&made)).not_found();
    let invalid = "Personal API key found in request Authorization header is invalid.";
    key.get(&org.at("")).refused(401, "authentication_error", "authentication_failed", invalid, None);
}

#[test]
fn what_a_key_cannot_be() {
    let server = Server::start();
    let org = server.org();
    let stranger = server.stranger();
    let foreign = stranger.me();
    let post = |field: &str, value: Value| {
        let mut body = json!({"label": "a", "scopes": ["*"]});
        body[field] = value;
        org.owner.post(ALL, body)
    };
    org.owner.post(ALL, json!({"scopes": ["*"]})).invalid("label", "required", "This field is required.");
    org.owner.post(ALL, json!({"label": "a"})).invalid("scopes", "required", "This field is required.");
    post("label", json!("")).invalid("label", "blank", "This field may not be blank.");
    let long = "Ensure this field has no more than 40 characters.";
    post("label", json!("x".repeat(41))).invalid("label", "max_length", long);
    for odd in ["organization", "organization:delete", "unknown:read", "a:b:c", ""] {
        let detail = format!("Invalid scope: {odd}");
        post("scopes", json!(["project:read", odd])).invalid("scopes", "invalid_input", &detail);
    }
    assert_eq!(post("scopes", json!([])).status, 400);
    for field in ["scopes", "scoped_organizations"] {
        for (odd, name) in
            [(json!("*"), "str"), (json!({}), "dict"), (json!(3), "int"), (json!(true), "bool")]
        {
            let detail = format!("Expected a list of items but got type \"{name}\".");
            post(field, odd).invalid(field, "not_a_list", &detail);
        }
    }
    let teams = "You must be a member of all teams that you are scoping the key to.";
    post("scoped_teams", json!([foreign["team"]["id"]])).invalid("scoped_teams", "invalid_input", teams);
    post("scoped_teams", json!([999_999])).invalid("scoped_teams", "invalid_input", teams);
    post("scoped_teams", json!([org.project, "x"])).invalid(
        "scoped_teams__1",
        "invalid_input",
        "A valid integer is required.",
    );
    let organizations = "You must be a member of all organizations that you are scoping the key to.";
    post("scoped_organizations", json!([foreign["organization"]["id"]])).invalid(
        "scoped_organizations",
        "invalid_input",
        organizations,
    );
    let malformed = post("scoped_organizations", json!(["nope"]));
    malformed.invalid("scoped_organizations", "invalid_input", "Invalid organization UUID");
    let both =
        json!({"label": "a", "scopes": ["*"], "scoped_teams": [999_999], "scoped_organizations": ["nope"]});
    org.owner.post(ALL, both).invalid("scoped_teams", "invalid_input", teams);
    assert_eq!(org.owner.get(ALL).json(200), json!([]));
    let form = "label=form&scopes=organization:read&scoped_teams=";
    assert_eq!(
        org.owner.send_form(Method::POST, ALL, form).json(201)["scopes"],
        json!(["organization:read"])
    );
    post("label", json!("x".repeat(40))).json(201);
}

#[test]
fn a_user_has_ten_keys_at_most() {
    let server = Server::start();
    let owner = server.org().owner;
    let post = || owner.post(ALL, json!({"label": "a", "scopes": ["*"]}));
    for _ in 0..10 {
        post().json(201);
    }
    let detail = "You can only have 10 personal API keys. Remove an existing key before creating a new one.";
    post().invalid(None, "invalid_input", detail);
    let first = owner.get(ALL).json(200)[0].clone();
    owner.delete(&one(&first)).no_content();
    post().json(201);
}

#[test]
fn a_key_sees_nothing_but_itself() {
    let server = Server::start();
    let org = server.org();
    let owner = &org.owner;
    let other = owner.post(ALL, json!({"label": "other", "scopes": ["*"]})).json(201);
    let key = owner.key(&["user:read"]);
    let current = key.get("/api/personal_api_keys/@current/").json(200);
    assert_eq!(
        (&current["label"], &current["scopes"], &current["value"]),
        (&json!("test"), &json!(["user:read"]), &json!(null))
    );
    assert_eq!(key.get("/api/personal_api_keys/@current").json(200)["id"], current["id"]);
    assert_eq!(key.get(&one(&current)).json(200)["id"], current["id"]);
    owner.get("/api/personal_api_keys/@current/").unauthenticated();
    server.anyone().get(ALL).unauthenticated();

    let before = owner.get(ALL).json(200);
    let body = json!({"label": "a", "scopes": ["*"]});
    let refused = "This action does not support Personal API Key access";
    let all_scopes = owner.key(&["*"]);
    for person in [&key, &all_scopes] {
        person.get(ALL).denied(refused);
        person.post(ALL, body.clone()).denied(refused);
        person.get(&one(&other)).denied(refused);
        person.get(&format!("{ALL}nope/")).denied(refused);
        for own in [&other, &current] {
            person.put(&one(own), body.clone()).denied(refused);
            person.patch(&one(own), body.clone()).denied(refused);
            person.delete(&one(own)).denied(refused);
            person.post(&format!("{}roll/", one(own)), json!({})).denied(refused);
        }
    }
    let after = owner.get(ALL).json(200);
    assert_eq!(after.as_array().map(Vec::len), before.as_array().map(|keys| keys.len() + 1));
    // The organization's list is for sessions only.
    all_scopes.get(&org.at("personal_api_keys/")).denied(refused);
    all_scopes.delete(&org.at(&format!("personal_api_keys/{}/", text(&other["id"])))).denied(refused);
}

#[test]
fn a_key_is_rolled_and_its_old_value_dies_at_once() {
    let server = Server::start();
    let org = server.org();
    let scoped = json!({"label": "a", "scopes": ["organization:read"], "scoped_organizations": [org.id]});
    let made = org.owner.post(ALL, scoped).json(201);
    let old = org.owner.holding(&text(&made["value"]));
    old.get(&org.at("")).json(200);
    server.pass(Duration::from_secs(60));
    let roll =
        |person: &crate::support::Person, key: &Value| person.post(&format!("{}roll/", one(key)), json!({}));
    let rolled = roll(&org.owner, &made).json(200);
    let value = text(&rolled["value"]);
    assert!(value.starts_with("phx_") && value != text(&made["value"]), "{value}");
    assert_eq!(rolled["mask_value"], json!(format!("phx_...{}", &value[value.len() - 4..])));
    assert!(rolled["last_rolled_at"].is_string());
    for name in ["id", "label", "scopes", "scoped_organizations", "scoped_teams", "created_at", "user_id"] {
        assert_eq!(rolled[name], made[name], "{name}");
    }
    let mut shown = rolled.clone();
    (shown["value"], shown["last_used_at"]) = (json!(null), json!(null));
    let mut listed = org.owner.get(ALL).json(200);
    listed[0]["last_used_at"] = json!(null);
    assert_eq!(listed, json!([shown]));
    let invalid = "Personal API key found in request Authorization header is invalid.";
    old.get(&org.at("")).refused(401, "authentication_error", "authentication_failed", invalid, None);
    let new = org.owner.holding(&value);
    new.get(&org.at("")).json(200);
    new.get(&org.at("members/")).denied("API key missing required scope 'organization_member:read'");

    roll(&server.stranger(), &made).not_found();
    org.owner.post(&format!("{ALL}@current/roll/"), json!({})).unauthenticated();
    server.anyone().post(&format!("{}roll/", one(&made)), json!({})).unauthenticated();
    server.pass(Duration::from_secs(6 * 3600));
    roll(&org.owner, &made).denied("This action requires you to be recently authenticated.");
    new.get(&org.at("")).json(200);
    roll(&org.owner.logged_in(), &made).json(200);
    new.get(&org.at("")).refused(401, "authentication_error", "authentication_failed", invalid, None);
}

#[test]
fn every_scope_of_today_is_accepted_and_kept_as_it_was_given() {
    let server = Server::start();
    let owner = server.org().owner;
    let all: Vec<String> = include_str!("../data/scope_objects.txt")
        .split_whitespace()
        .flat_map(|object| [format!("{object}:read"), format!("{object}:write")])
        .collect();
    assert!(all.len() > 200, "{}", all.len());
    let made = owner.post(ALL, json!({"label": "all", "scopes": all})).json(201);
    assert_eq!(made["scopes"], json!(all));
    assert_eq!(owner.get(&one(&made)).json(200)["scopes"], json!(all));
}

#[test]
fn a_stale_session_changes_no_keys() {
    let server = Server::start();
    let owner = server.org().owner;
    let made = owner.post(ALL, json!({"label": "a", "scopes": ["*"]})).json(201);
    server.pass(Duration::from_secs(6 * 3600 - 60));
    owner.patch(&one(&made), json!({"label": "b"})).json(200);
    server.pass(Duration::from_secs(61));
    let stale = "This action requires you to be recently authenticated.";
    owner.post(ALL, json!({"label": "a", "scopes": ["*"]})).denied(stale);
    owner.patch(&one(&made), json!({"label": "c"})).denied(stale);
    owner.put(&one(&made), json!({"label": "c", "scopes": ["*"]})).denied(stale);
    owner.delete(&one(&made)).denied(stale);
    assert_eq!(owner.get(ALL).json(200)[0]["label"], "b");
    owner.logged_in().delete(&one(&made)).no_content();
}

#[test]
fn the_last_use_is_noted_at_most_once_an_hour() {
    let server = Server::start();
    let org = server.org();
    let made = org.owner.post(ALL, json!({"label": "a", "scopes": ["*"]})).json(201);
    let key = org.owner.holding(&text(&made["value"]));
    key.get(&org.at("")).json(200);
    // The note is written after the answer, by the same writer that any later write waits for.
    let used = || {
        org.owner.patch(&org.at(""), json!({})).json(200);
        org.owner.get(&one(&made)).json(200)["last_used_at"].clone()
    };
    let first = std::iter::repeat_with(used).take(1000).find(|used| !used.is_null()).expect("the note comes");
    key.get(&org.at("")).json(200);
    assert_eq!(used(), first);
    server.pass(Duration::from_secs(3601));
    key.get(&org.at("")).json(200);
    std::iter::repeat_with(used).take(1000).find(|used| *used != first).expect("the next note comes");
}

#[test]
fn a_key_is_looked_for_in_header_body_and_query_and_only_the_first_is_tried() {
    let server = Server::start();
    let org = server.org();
    let Shows::Key(value) = org.owner.key(&["*"]).shows else { unreachable!("a key was made") };
    let anyone = server.anyone();
    let path = org.at("");
    let query = format!("{path}?personal_api_key={value}");
    let json_body = json!({"personal_api_key": value}).to_string();
    let json_type = ("content-type", "application/json");
    let bearer = format!("Bearer   {value}  ");
    anyone.send(Method::GET, &path, "", &[("authorization", &bearer)]).json(200);
    anyone.get(&query).json(200);
    anyone.send(Method::GET, &path, json_body.as_str(), &[json_type]).json(200);
    let form = format!("personal_api_key={value}&name=By+form");
    let form_type = ("content-type", "application/x-www-form-urlencoded");
    assert_eq!(anyone.send(Method::PATCH, &path, form, &[form_type]).json(200)["name"], "By form");
    anyone.send(Method::GET, &query, "", &[("authorization", "Basic abc")]).json(200);

    let invalid = |place: &str| format!("Personal API key found in request {place} is invalid.");
    let refused = |answer: crate::support::Answer, place: &str| {
        answer.refused(401, "authentication_error", "authentication_failed", &invalid(place), None);
    };
    refused(
        anyone.send(Method::GET, &query, "", &[("authorization", "Bearer wrong")]),
        "Authorization header",
    );
    refused(
        org.owner.send(Method::GET, &path, "", &[("authorization", "Bearer wrong")]),
        "Authorization header",
    );
    let wrong_body = json!({"personal_api_key": "wrong"}).to_string();
    refused(anyone.send(Method::GET, &query, wrong_body, &[json_type]), "body");
    refused(anyone.get(&format!("{path}?personal_api_key=wrong")), "query string");
    for scheme in ["bearer", "Token", "Basic"] {
        anyone
            .send(Method::GET, &path, "", &[("authorization", &format!("{scheme} {value}"))])
            .unauthenticated();
    }
}

#[test]
fn a_key_of_some_organizations_opens_no_other() {
    let server = Server::start();
    let org = server.org();
    let other = org.owner.post("/api/organizations/", json!({"name": "Other"})).json(201);
    let other_id = text(&other["id"]);
    let key = org.owner.key_of(json!({"scopes": ["*"], "scoped_organizations": [org.id]}));
    let refused = format!("API key does not have access to the requested organization: ID {other_id}.");
    key.get(&org.at("members/")).json(200);
    key.get(&org.at("")).json(200);
    key.get(&org.project_at("")).json(200);
    key.get(&format!("/api/organizations/{other_id}/members/")).denied(&refused);
    key.get("/api/organizations/other/members/").denied(&refused);
    key.get(&format!("/api/projects/{}/", other["teams"][0]["id"])).denied(&refused);
    let rows = key.get("/api/organizations/").results();
    assert_eq!((rows.len(), &rows[0]["id"]), (1, &json!(org.id)));
    assert_eq!(key.get(&format!("/api/organizations/{other_id}/")).status, 403);
    key.get("/api/users/@me/").json(200);
}

#[test]
fn a_key_of_some_projects_opens_only_those() {
    let server = Server::start();
    let org = server.org();
    let other = org.owner.post(&org.at("projects/"), json!({"name": "Other"})).json(201);
    let key = org.owner.key_of(json!({"scopes": ["*"], "scoped_teams": [org.project]}));
    let projects_only = "API keys with scoped projects are only supported on project-based endpoints.";
    key.get(&org.project_at("")).json(200);
    key.get(&format!("/api/projects/{}/", org.project)).json(200);
    let refused = format!("API key does not have access to the requested project: ID {}.", other["id"]);
    key.get(&org.at(&format!("projects/{}/", other["id"]))).denied(&refused);
    for path in [org.at(""), org.at("members/"), org.at("projects/"), "/api/organizations/".into()] {
        key.get(&path).denied(projects_only);
    }
    key.get("/api/users/@me/").json(200);
}

#[test]
fn a_missing_scope_is_told_before_the_organization_is_looked_at() {
    let server = Server::start();
    let org = server.org();
    let stranger = server.stranger().key(&["project:read"]);
    stranger.get(&org.at("members/")).denied("API key missing required scope 'organization_member:read'");
    stranger
        .get("/api/organizations/nope/members/")
        .denied("API key missing required scope 'organization_member:read'");
    stranger.patch(&org.project_at(""), json!([])).denied("API key missing required scope 'project:write'");
}

#[test]
fn keys_are_throttled_where_limits_are_on_and_sessions_never() {
    let server = Server::with(|config| config.rate_limit = Some(Switch::On));
    let org = server.org();
    let key = org.owner.key(&["organization:read"]);
    for _ in 0..480 {
        key.get(&org.at("")).json(200);
    }
    let limited = key.get(&org.at(""));
    assert_eq!((limited.status, &limited.value()["code"]), (429, &json!("throttled")));
    assert_eq!(key.post(&org.at(""), json!({})).status, 429, "the limit comes before the method");
    assert!(limited.headers.contains_key("retry-after"));
    key.patch(&org.at(""), json!({})).denied("API key missing required scope 'organization:write'");
    org.owner.get(&org.at("")).json(200);
    server.pass(Duration::from_secs(61));
    key.get(&org.at("")).json(200);
}

/// The keys that an organization's list shows, with what they reach there.
fn reaching(person: &crate::support::Person, path: &str) -> Vec<(String, Value)> {
    let rows = person.get(path).results();
    rows.iter().map(|row| (text(&row["id"]), row["access_scope"].clone())).collect()
}

#[test]
fn administrators_see_the_keys_that_reach_their_organization() {
    let server = Server::start();
    let org = server.org();
    let (member, admin) = (org.member(&server), org.admin(&server));
    let other = member.post("/api/organizations/", json!({"name": "Other"})).json(201);
    let project = org.owner.get(&org.project_at("")).json(200);
    let keys = [
        ("all", json!({}), Some(json!({"type": "all"}))),
        (
            "organization",
            json!({"scoped_organizations": [org.id, other["id"]]}),
            Some(json!({"type": "organization"})),
        ),
        (
            "projects",
            json!({"scoped_teams": [org.project, other["teams"][0]["id"]]}),
            Some(json!({"type": "projects", "projects": [{"id": project["id"], "name": project["name"]}]})),
        ),
        ("other organization", json!({"scoped_organizations": [other["id"]]}), None),
        ("other project", json!({"scoped_teams": [other["teams"][0]["id"]]}), None),
        (
            "a project and another organization",
            json!({"scoped_teams": [org.project], "scoped_organizations": [other["id"]]}),
            None,
        ),
    ];
    let all = org.at("personal_api_keys/");
    let mut expected = Vec::new();
    for (label, mut body, access) in keys {
        server.pass(Duration::from_secs(1));
        (body["label"], body["scopes"]) = (json!(label), json!(["organization:read"]));
        let made = member.post(ALL, body).json(201);
        expected.extend(access.map(|access| (text(&made["id"]), access)));
    }
    expected.reverse();
    assert_eq!(reaching(&admin, &all), expected, "unused ones: the newest first");
    let rows = admin.get(&all).results();
    let me = member.me();
    let owner = json!({"first_name": me["first_name"], "last_name": me["last_name"], "email": me["email"]});
    let mut row = rows[2].clone();
    assert!(text(&row["mask_value"].take()).starts_with("phx_...") && row["created_at"].take().is_string());
    assert_eq!(
        row,
        json!({
            "id": expected[2].0, "owner": owner, "mask_value": null, "scopes": ["organization:read"],
            "access_scope": {"type": "all"}, "last_used_at": null, "created_at": null,
        })
    );
    assert_eq!(admin.get(&format!("{all}?limit=1&offset=1")).results()[0]["id"], json!(expected[1].0));
    member.get(&all).level_too_low();
    server.stranger().get(&all).forbidden();
    server.anyone().get(&all).unauthenticated();
    // Whoever has left has no keys that reach.
    org.owner.delete(&org.at(&format!("members/{}/", member.uuid))).no_content();
    assert_eq!(reaching(&admin, &all), []);
}

#[test]
fn administrators_revoke_a_key_for_their_organization_only() {
    let server = Server::start();
    let org = server.org();
    let (member, admin) = (org.member(&server), org.admin(&server));
    let other = member.post("/api/organizations/", json!({"name": "Other"})).json(201);
    let (here, there) = (json!(org.id), &other["id"]);
    let (here_project, there_project) = (json!(org.project), &other["teams"][0]["id"]);
    // What a key is limited to, and what is left of that; `None` where the key is gone.
    for (organizations, projects, left) in [
        (json!([]), json!([]), Some((json!([there]), json!([])))),
        (json!([here, there]), json!([]), Some((json!([there]), json!([])))),
        (json!([here]), json!([]), None),
        (json!([]), json!([here_project, there_project]), Some((json!([there]), json!([there_project])))),
        (json!([]), json!([here_project]), None),
        (json!([here, there]), json!([here_project]), None),
        (json!([here]), json!([here_project, there_project]), None),
    ] {
        let body = json!({
            "label": "a", "scopes": ["*"], "scoped_organizations": organizations, "scoped_teams": projects,
        });
        let made = member.post(ALL, body.clone()).json(201);
        let path = org.at(&format!("personal_api_keys/{}/", text(&made["id"])));
        member.delete(&path).level_too_low();
        server.stranger().delete(&path).forbidden();
        admin.delete(&path).no_content();
        admin.delete(&path).not_found();
        let shown = member.get(&one(&made));
        match left {
            None => shown.not_found(),
            Some((organizations, projects)) => {
                let shown = shown.json(200);
                assert_eq!(shown["scoped_organizations"], organizations, "{body}");
                assert_eq!(shown["scoped_teams"], projects, "{body}");
                let key = member.holding(&text(&made["value"]));
                assert_eq!(key.get(&org.project_at("")).status, 403, "{body}");
                key.get(&format!("/api/projects/{there_project}/")).json(200);
                member.delete(&one(&made)).no_content();
            }
        }
    }
}

#[test]
fn nobody_revokes_the_key_of_somebody_above_them_or_without_a_recent_log_in() {
    let server = Server::start();
    let org = server.org();
    let admin = org.admin(&server);
    let made = org.owner.post(ALL, json!({"label": "a", "scopes": ["*"]})).json(201);
    let path = org.at(&format!("personal_api_keys/{}/", text(&made["id"])));
    admin.delete(&path).denied("You cannot revoke API keys of members whose level is above your own.");
    org.owner.get(&one(&made)).json(200);
    server.pass(Duration::from_secs(6 * 3600 + 1));
    org.owner.delete(&path).denied("This action requires you to be recently authenticated.");
    org.owner.logged_in().delete(&path).no_content();
    org.owner.get(&one(&made)).not_found();
}
