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
            "user_id": null, "scopes": ["organization:read", "project:write"], "scoped_teams": [],
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
fn keys_are_managed_by_session_only() {
    let server = Server::start();
    let owner = server.org().owner;
    let key = owner.key(&["*"]);
    key.get(ALL).unauthenticated();
    key.post(ALL, json!({"label": "a", "scopes": ["*"]})).unauthenticated();
    let current = key.get("/api/personal_api_keys/@current/").json(200);
    assert_eq!(
        (&current["label"], &current["scopes"], &current["value"]),
        (&json!("test"), &json!(["*"]), &json!(null))
    );
    assert_eq!(key.get("/api/personal_api_keys/@current").json(200)["id"], current["id"]);
    owner.get("/api/personal_api_keys/@current/").unauthenticated();
    server.anyone().get(ALL).unauthenticated();
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
