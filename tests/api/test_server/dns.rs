//! The DNS of a test server, which is a table.

use serde_json::json;

use super::fail;
use crate::support::{Server, text};

#[test]
fn a_domain_is_verified_by_the_table_and_other_names_do_not_exist() {
    let server = Server::controlled(|_| {});
    let org = server.org();
    let made = org.owner.post(&org.at("domains/"), json!({"domain": "example.com"})).json(201);
    let verify = org.at(&format!("domains/{}/verify/", text(&made["id"])));
    let is_verified = || org.owner.post(&verify, json!({})).json(200)["is_verified"].clone();
    assert_eq!(is_verified(), false);
    let dns = json!({"_posthog-challenge.Example.com.": {"TXT": ["other", made["verification_challenge"]]}});
    let shown = server.anyone().put("/_orgd/dns/", dns).json(200);
    assert_eq!(server.anyone().get("/_orgd/dns/").json(200), shown);
    assert!(shown["_posthog-challenge.example.com"]["TXT"].is_array());
    fail(&server, json!([{"match": {"dns": "*.example.com"}, "times": 1, "reset": true}]));
    assert_eq!((is_verified(), is_verified()), (json!(false), json!(true)));
    for bad in [json!([]), json!({"a..b": {}}), json!({"a.example": {"MX": "x"}})] {
        server.anyone().put("/_orgd/dns/", bad).json(400);
    }
    assert_eq!(server.anyone().get("/_orgd/dns/").json(200), shown);
    server.anyone().delete("/_orgd/dns/").no_content();
    assert_eq!(server.anyone().get("/_orgd/dns/").json(200), json!({}));
}

#[test]
fn a_proxy_becomes_valid_by_the_table() {
    let server = Server::controlled(|_| {});
    let org = server.org();
    let made = org.owner.post(&org.at("proxy_records/"), json!({"domain": "e.example.com"})).json(201);
    let target = text(&made["target_cname"]);
    server.anyone().put("/_orgd/dns/", json!({"e.example.com": {"CNAME": target}})).json(200);
    let status = || {
        let found = org.owner.get(&org.at("proxy_records/")).json(200);
        text(&found["results"][0]["status"])
    };
    server.until("its CNAME is found", || {
        server.pass(std::time::Duration::from_secs(600));
        ["valid", "issuing"].contains(&status().as_str())
    });
}
