//! The keys that reach an organization, as its administrators see them.

use std::collections::BTreeSet;

use serde_json::json;

use super::{Browses, at, hides, shows};
use crate::support::{Org, Server, text};

fn keys(org: &Org) -> Vec<serde_json::Value> {
    org.owner.get(&org.at("personal_api_keys/")).results()
}

#[test]
fn administrators_see_who_holds_keys_and_shut_one_out() {
    let server = Server::start();
    let org = server.org();
    let empty = org.owner.page(&at(&org, "keys"));
    shows(&empty, &["No key reaches this organization"]);
    let (member, admin) = (org.member(&server), org.admin(&server));
    let by_key = member.key(&["organization:read"]);
    org.owner.key(&["*"]);
    let page = admin.page(&at(&org, "keys"));
    shows(&page, &["2 keys reach this organization", "phx_...", "Everything of its owner"]);
    shows(&page, &[&member.email]);
    shows(&page, &[&org.owner.email]);
    shows(&admin.page(&at(&org, &format!("keys?q={}", member.email))), &["organization:read", "Revoke"]);
    hides(&admin.page(&at(&org, &format!("keys?q={}", member.email))), &["Everything</span>"]);
    shows(&admin.page(&at(&org, "keys?q=nobody-of-that-name")), &["No such key"]);
    shows(&admin.page(&at(&org, "keys?used=unused")), &["No such key"]);
    let id = |person: &str| {
        keys(&org)
            .iter()
            .find(|key| key["owner"]["email"] == person)
            .map(|key| text(&key["id"]))
            .expect("a key")
    };
    // Nobody revokes the keys of those above them.
    let of_owner = at(&org, &format!("keys/{}/revoke", id(&org.owner.email)));
    assert_eq!(admin.open(&of_owner).status, 303);
    assert_eq!(admin.submit(&of_owner, &[]).status, 403);
    let of_member = at(&org, &format!("keys/{}/revoke", id(&member.email)));
    assert_eq!(member.open(&of_member).status, 403);
    assert_eq!(member.submit(&of_member, &[]).status, 403);
    assert_eq!(member.open(&at(&org, "keys")).status, 403);
    assert_eq!(admin.submit_without_token(&of_member, &[]).status, 403);
    assert_eq!(keys(&org).len(), 2);
    shows(&admin.page(&of_member), &["Revoke the key phx_", "What is lost", "Revoke key"]);
    assert_eq!(admin.submit(&of_member, &[]).status, 303);
    assert_eq!(keys(&org).len(), 1);
    assert_eq!(by_key.get(&org.at("")).status, 401);
    assert_eq!(admin.open(&of_member).status, 404);
    shows(&org.owner.page(&at(&org, "audit?scopes=PersonalAPIKey")), &["API key revoked"]);
}

#[test]
fn keys_that_nobody_uses_are_found() {
    let server = Server::start();
    let org = server.org();
    org.owner.post("/api/personal_api_keys/", json!({"label": "old", "scopes": ["*"]})).json(201);
    server.pass_days(91);
    let owner = org.owner.logged_in();
    let page = owner.page(&at(&org, "keys?used=unused"));
    shows(&page, &["1 key reaches this organization", "Never", "Unused for 90 days"]);
}

/// The values of the attribute in the page, of elements that have the other attribute as well.
fn values(page: &str, with: &str, name: &str) -> BTreeSet<String> {
    let elements = page.split('<').filter(|element| element.contains(with));
    let value = |element: &str| {
        element.split_once(&format!("{name}=\""))?.1.split_once('"').map(|(value, _)| value.to_owned())
    };
    elements.filter_map(value).collect()
}

#[test]
fn whatever_the_form_of_a_new_key_offers_can_be_had() {
    const NEW: &str = "/settings/api-keys/new";
    let server = Server::start();
    let org = server.org();
    let owner = org.owner.logged_in();
    let page = owner.page(NEW);
    let select =
        page.split_once("name=\"preset\"").expect("presets").1.split_once("</select>").expect("an end").0;
    let presets = values(select, "option", "value");
    assert!(presets.len() > 3 && presets.contains("chosen"), "{presets:?}");
    let buttons = values(&page, "type=\"radio\"", "name");
    assert!(buttons.len() > 8, "{buttons:?}");
    let all: Vec<(&str, &str)> = buttons.iter().map(|button| (button.as_str(), "write")).collect();
    for preset in &presets {
        let mut fields = vec![("label", preset.as_str()), ("preset", preset)];
        fields.extend(all.iter().filter(|_| preset == "chosen"));
        let made = owner.submit(NEW, &fields);
        assert_eq!(made.status, 200, "{preset}: {}", made.text());
        shows(&made.text(), &["phx_"]);
    }
    let keys = owner.get("/api/personal_api_keys/").json(200);
    let of = |label: &str| {
        keys.as_array().expect("keys").iter().find(|key| key["label"] == label).expect("a key")["scopes"]
            .clone()
    };
    assert_eq!(of("all"), json!(["*"]));
    let scopes: BTreeSet<String> = of("chosen").as_array().expect("scopes").iter().map(text).collect();
    let wanted: BTreeSet<String> =
        buttons.iter().map(|button| format!("{}:write", button.trim_start_matches("scope_"))).collect();
    assert_eq!(scopes, wanted);
}
