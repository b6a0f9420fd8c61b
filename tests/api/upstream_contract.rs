//! The API page, as data in `tests/data/endpoints.json`: every endpoint of it is served with its fields and
//! its success code, and the OpenAPI document says the same.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::roles::{new_role, put_in};
use crate::support::archives::zip;
use crate::support::plugin_hosts::Mirror;
use crate::support::web::Page;
use crate::support::{Org, Person, Server, text};

/// Resources of the page that this version does not serve.
const ABSENT: &[&str] = &[];

/// Endpoints whose answer the page's generator got wrong: these show something of their own.
const OTHER_ANSWERS: &[&str] = &[
    "/activity/",
    "/check_for_updates/",
    "/exports_unsubscribe_configs/",
    "/is_generating_demo_data/",
    "/logs/",
    "/repository/",
    "/source/",
    "/unused/",
    "/update_source/",
];

/// Endpoints whose body the page's generator got wrong: these take something of their own, or nothing.
const OTHER_BODIES: &[&str] = &["/reset_token/", "/update_source/", "/upgrade/"];

/// Fields whose type the page's generator got wrong.
const OTHER_TYPES: &[&str] = &["metadata", "member_count", "members", "associated_flags"];

fn page() -> Vec<Value> {
    let all: Vec<Value> = serde_json::from_str(include_str!("../data/endpoints.json")).expect("JSON");
    all.into_iter()
        .filter(|endpoint| !ABSENT.iter().any(|name| path(endpoint).contains(&format!("/{name}/"))))
        .collect()
}

/// The path with its parameters in braces.
fn path(endpoint: &Value) -> String {
    let text = endpoint["path"].as_str().expect("a path");
    let part = |part: &str| match part.strip_prefix(':') {
        Some(name) => format!("{{{name}}}"),
        None => part.to_owned(),
    };
    text.split('/').map(part).collect::<Vec<_>>().join("/")
}

fn method(endpoint: &Value) -> &str {
    endpoint["method"].as_str().expect("a method")
}

fn has_other_answer(endpoint: &Value) -> bool {
    OTHER_ANSWERS.iter().any(|tail| path(endpoint).ends_with(tail))
}

/// The document with its references written out.
fn document() -> Value {
    inlined(&shown_document())
}

fn shown_document() -> Value {
    Server::start().anyone().get("/api/schema/?format=json").json(200)
}

/// The document with every reference replaced by what it names.
pub fn inlined(document: &Value) -> Value {
    fn walk(document: &Value, value: &Value) -> Value {
        match value {
            Value::Object(object) => match object.get("$ref").and_then(Value::as_str) {
                Some(target) => {
                    let named = document.pointer(target.trim_start_matches('#'));
                    walk(document, named.expect("a reference names something"))
                }
                None => object.iter().map(|(name, value)| (name.clone(), walk(document, value))).collect(),
            },
            Value::Array(items) => items.iter().map(|item| walk(document, item)).collect(),
            other => other.clone(),
        }
    }
    walk(document, document)
}

/// The names of the page that are not among these. There may be more: the API has grown since the page was written.
fn lacking<'a>(known: &Map<String, Value>, wanted: &'a Map<String, Value>) -> Vec<&'a str> {
    wanted.keys().map(String::as_str).filter(|name| !known.contains_key(*name)).collect()
}

#[test]
fn every_endpoint_of_the_page_is_in_the_document_with_its_fields_scope_and_code() {
    let document = document();
    for endpoint in page() {
        let what = format!("{} {}", method(&endpoint), path(&endpoint));
        let operation = &document["paths"][path(&endpoint)][method(&endpoint).to_lowercase()];
        assert!(operation.is_object(), "{what} is not served");
        let status = endpoint["status"].to_string();
        let answer = &operation["responses"][&status];
        assert!(answer.is_object(), "{what} does not answer {status}");

        let scopes = endpoint["scopes"].as_array().expect("scopes");
        if !scopes.is_empty() {
            assert_eq!(operation["security"][0]["PersonalAPIKeyAuth"], json!(scopes), "{what}");
        }
        if let Some(wanted) = endpoint["request"].as_object().filter(|fields| !fields.is_empty()) {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let schema = if schema["type"] == "array" { &schema["items"] } else { schema };
            if !OTHER_BODIES.iter().any(|tail| path(&endpoint).ends_with(tail)) {
                let taken = schema["properties"].as_object().expect("fields");
                assert_eq!(lacking(taken, wanted), [""; 0], "{what} does not take");
            }
        }
        if let Some(wanted) = endpoint["response"].as_object().filter(|_| !has_other_answer(&endpoint)) {
            let schema = &answer["content"]["application/json"]["schema"];
            let schema = if schema["type"] == "array" { &schema["items"] } else { schema };
            let shown = schema["properties"].as_object().expect("fields");
            assert_eq!(lacking(shown, wanted), [""; 0], "{what} does not show");
            if let Some(wanted) = wanted.get("results") {
                let shown = shown["results"]["items"]["properties"].as_object().expect("fields");
                let wanted = wanted[0].as_object().expect("an object");
                assert_eq!(lacking(shown, wanted), [""; 0], "{what} does not show");
            }
        }
    }
}

#[test]
fn the_document_is_the_same_as_yaml_and_as_json() {
    let server = Server::start();
    let anyone = server.anyone();
    let yaml = anyone.get("/api/schema/");
    assert_eq!(yaml.header("content-type"), "application/vnd.oai.openapi");
    assert!(yaml.text().starts_with("openapi: "));
    let from_yaml: Value = serde_yaml_ng::from_str(&yaml.text()).expect("YAML");
    assert_eq!(from_yaml, shown_document());
    let accepted =
        anyone.send(ureq::http::Method::GET, "/api/schema/", "", &[("accept", "application/json")]);
    assert_eq!(accepted.json(200), from_yaml);
    for page in ["/api/schema/redoc/", "/api/schema/swagger-ui/"] {
        let page = anyone.send(ureq::http::Method::GET, page, "", &[("accept", "text/html")]);
        assert!(page.status == 200 && page.text().contains("/api/organizations/{organization_id}/members/"));
    }
}

/// Method, path and body.
type Step = (&'static str, String, Value);

/// One call for each endpoint of the page, in an order in which each finds what it needs.
fn calls(mirror: &Mirror, member: &Person, admin: &Person) -> Vec<Step> {
    let org = &mirror.org;
    let doomed = org.owner.post("/api/organizations/", json!({"name": "Doomed"})).json(201)["id"].clone();
    let mut calls = vec![
        ("GET", "/api/organizations/".into(), json!({})),
        ("POST", "/api/organizations/".into(), json!({"name": "New"})),
        ("GET", org.at(""), json!({})),
        ("PATCH", org.at(""), json!({"enforce_2fa": false})),
        ("DELETE", format!("/api/organizations/{}/", text(&doomed)), json!({})),
    ];
    calls.extend(calls_of_exports(org));
    calls.extend(calls_of_domains(org));
    calls.extend(calls_of_people(org, member));
    for (view, capabilities) in [
        ("pipeline_destinations", json!({"methods": ["onEvent"]})),
        ("pipeline_frontend_apps", json!({"jobs": ["a"]})),
        ("pipeline_import_apps", json!({"scheduled_tasks": ["runEveryDay"]})),
        ("pipeline_transformations", json!({"methods": ["processEvent"]})),
        ("plugins", json!({})),
    ] {
        calls.extend(calls_of_view(mirror, view, &capabilities));
    }
    calls.extend(calls_of_projects(org));
    calls.extend(calls_of_proxy_records(org));
    calls.extend(calls_of_roles(org, admin));
    calls
}

fn calls_of_exports(org: &Org) -> Vec<Step> {
    let exports = org.at("batch_exports/");
    let export = json!({"name": "E", "interval": "day", "destination": {"type": "NoOp", "config": {}}});
    let made = || {
        let made = org.owner.post(&exports, export.clone()).json(201);
        format!("{exports}{}/", text(&made["id"]))
    };
    let (one, doomed) = (made(), made());
    let range = json!({"start_at": "2021-01-01T00:00:00Z", "end_at": "2021-01-02T00:00:00Z"});
    vec![
        ("GET", exports.clone(), json!({})),
        ("POST", exports.clone(), export.clone()),
        ("GET", one.clone(), json!({})),
        ("PATCH", one.clone(), json!({"name": "F"})),
        ("DELETE", doomed, json!({})),
        ("POST", format!("{one}backfill/"), range),
        ("GET", format!("{one}logs/"), json!({})),
        ("POST", format!("{one}pause/"), json!({})),
        ("POST", format!("{one}unpause/"), json!({})),
    ]
}

fn calls_of_domains(org: &Org) -> Vec<Step> {
    let domain = |name: &str| {
        let made = org.owner.post(&org.at("domains/"), json!({"domain": name})).json(201);
        org.at(&format!("domains/{}/", text(&made["id"])))
    };
    vec![
        ("GET", org.at("domains/"), json!({})),
        ("POST", org.at("domains/"), json!({"domain": "new.com"})),
        ("GET", domain("a.com"), json!({})),
        ("PATCH", domain("b.com"), json!({"saml_entity_id": "e"})),
        ("DELETE", domain("c.com"), json!({})),
        ("POST", format!("{}verify/", domain("d.com")), json!({})),
    ]
}

/// Those of invites and members.
fn calls_of_people(org: &Org, member: &Person) -> Vec<Step> {
    let invites = org.at("invites/");
    let invite = org.invite("spare@example.com", 1);
    let one = org.at(&format!("members/{}/", member.uuid));
    vec![
        ("GET", invites.clone(), json!({})),
        ("POST", invites.clone(), json!({"target_email": "a@example.com", "message": "m"})),
        ("DELETE", format!("{invites}{invite}/"), json!({})),
        ("POST", format!("{invites}bulk/"), json!([{"target_email": "b@example.com"}])),
        ("GET", org.at("members/"), json!({})),
        ("PATCH", one.clone(), json!({"level": 8})),
        ("DELETE", one, json!({})),
    ]
}

fn calls_of_projects(org: &Org) -> Vec<Step> {
    let spare = org.owner.post(&org.at("projects/"), json!({"name": "Spare"})).json(201)["id"].clone();
    vec![
        ("GET", org.at("projects/"), json!({})),
        ("POST", org.at("projects/"), json!({})),
        ("GET", org.project_at(""), json!({})),
        ("PATCH", org.project_at(""), json!({"name": "N"})),
        ("DELETE", org.at(&format!("projects/{spare}/")), json!({})),
        ("GET", org.project_at("activity/"), json!({})),
        ("GET", org.project_at("is_generating_demo_data/"), json!({})),
        ("PATCH", org.project_at("reset_token/"), json!({})),
    ]
}

fn calls_of_proxy_records(org: &Org) -> Vec<Step> {
    let all = org.at("proxy_records/");
    let made = org.owner.post(&all, json!({"domain": "e.example.com"})).json(201);
    let one = format!("{all}{}/", text(&made["id"]));
    vec![
        ("GET", all.clone(), json!({})),
        ("POST", all, json!({"domain": "f.example.com"})),
        ("GET", one.clone(), json!({})),
        ("PATCH", one.clone(), json!({"domain": "g.example.com"})),
        ("DELETE", one, json!({})),
    ]
}

fn calls_of_roles(org: &Org, admin: &Person) -> Vec<Step> {
    let (role, kept) = (new_role(org, "Role"), new_role(org, "Kept"));
    let membership = put_in(org, &kept, &org.owner);
    vec![
        ("GET", org.at("roles/"), json!({})),
        ("POST", org.at("roles/"), json!({"name": "New"})),
        ("GET", role.clone(), json!({})),
        ("PATCH", role.clone(), json!({"name": "Other"})),
        ("DELETE", role, json!({})),
        ("GET", format!("{kept}role_memberships/"), json!({})),
        ("POST", format!("{kept}role_memberships/"), json!({"user_uuid": admin.uuid})),
        ("DELETE", membership, json!({})),
    ]
}

fn calls_of_view(mirror: &Mirror, view: &str, capabilities: &Value) -> Vec<Step> {
    let at = |tail: &str| mirror.org.at(&format!("{view}/{tail}"));
    let archive = zip(&[("plugin.json", br#"{"name": "p"}"#), ("frontend.tsx", b"")]);
    mirror.put_archive(view, Page::Body(archive));
    let url = format!("https://github.com/u/r/archive/{view}.zip");
    let made = |body: Value| mirror.org.owner.post(&at(""), body).json(201)["id"].clone();
    let fetched = made(json!({"url": url, "capabilities": capabilities}));
    let doomed = made(json!({"plugin_type": "source", "capabilities": capabilities}));
    let one = |tail: &str| at(&format!("{fetched}/{tail}"));
    vec![
        ("GET", at(""), json!({})),
        ("POST", at(""), json!({"plugin_type": "source", "name": "p"})),
        ("GET", one(""), json!({})),
        ("PATCH", one(""), json!({"name": "N"})),
        ("DELETE", at(&format!("{doomed}/")), json!({})),
        ("GET", one("check_for_updates/"), json!({})),
        ("GET", one("source/"), json!({})),
        ("PATCH", one("update_source/"), json!({"site.ts": "s"})),
        ("POST", one("upgrade/"), json!({})),
        ("GET", at("activity/"), json!({})),
        ("GET", at("exports_unsubscribe_configs/"), json!({})),
        ("GET", at("repository/"), json!({})),
        ("GET", at("unused/"), json!({})),
    ]
}

#[test]
fn every_endpoint_of_the_page_answers_with_its_code_and_the_types_of_its_fields() {
    let mirror = Mirror::with(|config| config.plugins.plugin_repository_url = String::new());
    let org = &mirror.org;
    let member = org.member(&mirror.server);
    let key = org.owner.key(&["*"]);
    let admin = org.admin(&mirror.server);
    let calls = calls(&mirror, &member, &admin);
    let endpoints = page();
    assert_eq!(endpoints.len(), calls.len());
    for (endpoint, (verb, concrete, body)) in endpoints.iter().zip(calls) {
        assert_eq!(method(endpoint), verb, "{concrete} stands where {} should", path(endpoint));
        assert_eq!(
            path(endpoint).split('/').count(),
            concrete.split('/').count(),
            "{concrete} is not {}",
            path(endpoint)
        );
        let status = u16::try_from(endpoint["status"].as_u64().expect("a status")).expect("a status");
        let answer = key.call(verb, &concrete, &body);
        if status == 204 {
            answer.no_content();
        } else {
            let shown = answer.json(status);
            let shown = if shown.is_array() { shown[0].clone() } else { shown };
            if !has_other_answer(endpoint) {
                same_types(&endpoint["response"], &shown, &format!("{verb} {concrete}"));
            }
        }
    }
}

/// Whether `shown` has every field of the example, with a value of its type or null.
fn same_types(example: &Value, shown: &Value, place: &str) {
    match (example, shown) {
        (Value::Object(wanted), Value::Object(fields)) => {
            for (name, example) in wanted.iter().filter(|(name, _)| !name.starts_with("property")) {
                let value = fields.get(name).unwrap_or_else(|| panic!("{place}: {name} is missing"));
                if !OTHER_TYPES.contains(&name.as_str()) {
                    same_types(example, value, &format!("{place} {name}"));
                }
            }
        }
        (Value::Array(wanted), Value::Array(items)) => {
            for item in items {
                same_types(&wanted[0], item, place);
            }
        }
        (Value::Null, _) | (_, Value::Null) => {}
        (wanted, value) => {
            let kind = |value: &Value| std::mem::discriminant(value);
            assert_eq!(kind(wanted), kind(value), "{place}: {value} is not of the type of {wanted}");
        }
    }
}

#[test]
fn every_operation_has_an_identifier_of_its_own() {
    let document = document();
    let nodes = document["paths"].as_object().expect("paths").values().filter_map(Value::as_object);
    let ids: Vec<&str> =
        nodes.flat_map(Map::values).filter_map(|operation| operation["operationId"].as_str()).collect();
    let unique: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), unique.len());
}
