//! What existing clients send, and what they make of the answers: the official Terraform provider, which
//! reads back after every change and compares, and the agents' command line.

use serde_json::{Value, json};
use ureq::http::Method;

use crate::support::{Answer, Person, Server, text};

/// One call as the Terraform provider makes it.
fn terraform(key: &Person, method: Method, path: &str, body: Option<Value>) -> Answer {
    let headers =
        [("user-agent", "posthog/terraform-provider; version: 1.0"), ("content-type", "application/json")];
    key.send(method, path, body.map_or_else(String::new, |body| body.to_string()), &headers)
}

/// Every row of a list, by following `next` as the provider does: its path and query, on the same host.
fn walked(key: &Person, path: &str) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut path = Some(path.to_owned());
    while let Some(at) = path {
        let page = terraform(key, Method::GET, &at, None).json(200);
        rows.extend(page["results"].as_array().expect("rows").clone());
        path = page["next"].as_str().map(|next| {
            let (_, rest) = next.split_once("://").expect("an absolute address");
            rest[rest.find('/').expect("a path")..].to_owned()
        });
    }
    rows
}

#[test]
fn terraform_walks_all_pages_of_a_list() {
    let server = Server::start();
    let org = server.org();
    let key = org.owner.key(&["*"]);
    for number in 0..205 {
        terraform(&key, Method::POST, &org.at("roles/"), Some(json!({"name": format!("R{number}")})))
            .json(201);
    }
    let roles = walked(&key, &org.at("roles/"));
    assert_eq!(roles.len(), 205);
    assert!(roles.iter().all(|role| role["created_by"].is_null()));
    assert_eq!(roles.iter().filter(|role| role["name"] == "R204").count(), 1);
}

#[test]
fn terraform_finds_what_it_sent_and_404_for_what_is_gone() {
    let server = Server::start();
    let org = server.org();
    let key = org.owner.key(&["*"]);
    let member = org.member(&server);
    let resource = |all: &str, body: Value, changed: Option<Value>| {
        let made = terraform(&key, Method::POST, all, Some(body.clone())).json(201);
        let one =
            format!("{all}{}/", made["id"].as_str().map_or_else(|| made["id"].to_string(), str::to_owned));
        let mut wanted = body;
        if let Some(changed) = changed {
            terraform(&key, Method::PATCH, &one, Some(changed.clone())).json(200);
            wanted = changed;
        }
        let shown = terraform(&key, Method::GET, &one, None).json(200);
        for (name, value) in wanted.as_object().expect("an object") {
            assert_eq!(&shown[name], value, "{one} {name}");
        }
        one
    };
    let role = resource(&org.at("roles/"), json!({"name": "Product"}), Some(json!({"name": "PRODUCT"})));
    let inside = resource(&format!("{role}role_memberships/"), json!({"user_uuid": member.uuid}), None);
    let proxy = resource(&org.at("proxy_records/"), json!({"domain": "E.example.com"}), None);
    let project = resource(
        &org.at("projects/"),
        json!({"name": "A", "timezone": "UTC"}),
        Some(json!({"name": "B", "timezone": "Europe/Lisbon"})),
    );
    for one in [inside, role, proxy, project] {
        terraform(&key, Method::DELETE, &one, None).no_content();
        terraform(&key, Method::GET, &one, None).not_found();
        terraform(&key, Method::DELETE, &one, None).not_found();
    }
}

#[test]
fn terraform_sets_a_projects_settings_and_reads_them_back() {
    let server = Server::start();
    let org = server.org();
    let key = org.owner.key(&["project:write"]);
    let path = format!("/api/environments/{}/", org.project);
    let settings = json!({
        "heatmaps_opt_in": true,
        "autocapture_exceptions_opt_in": false,
        "session_recording_opt_in": true,
        "surveys_opt_in": false,
        "cookieless_server_hash_mode": 2,
        "autocapture_web_vitals_opt_in": true,
        "capture_performance_opt_in": false,
        "session_recording_network_payload_capture_config": {"recordHeaders": false, "recordBody": true},
        "app_urls": ["https://a.example.com"],
        "recording_domains": [],
    });
    terraform(&key, Method::PATCH, &path, Some(settings.clone())).json(200);
    let shown = terraform(&key, Method::GET, &path, None).json(200);
    for (name, value) in settings.as_object().expect("an object") {
        assert_eq!(&shown[name], value, "{name}");
    }
}

#[test]
fn the_agents_command_line_finds_its_user_key_and_project() {
    let server = Server::start();
    let org = server.org();
    let key = org.owner.key(&["*"]);
    assert_eq!(text(&key.get("/api/users/%40me/").json(200)["email"]), org.owner.email);
    assert_eq!(key.get("/api/personal_api_keys/@current").json(200)["scopes"], json!(["*"]));
    assert_eq!(key.get(&format!("/api/projects/{}/", org.project)).json(200)["id"], json!(org.project));
}
