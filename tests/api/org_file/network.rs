//! Files over the network: who may, what is written down, and what is stale.

use serde_json::{Value, json};

use crate::support::{Org, Server};

const APPLY: &str = "/api/orgd/apply/";
const TRY: &str = "/api/orgd/apply/?dry_run=true";

fn slug(org: &Org) -> String {
    org.owner.get(&org.at("")).json(200)["slug"].as_str().unwrap_or_default().to_owned()
}

fn file(slug: &str) -> Value {
    json!({"orgd": 1, "organizations": [{"slug": slug, "roles": [{"name": "Engineers"}], "invites": [{"email": "joan@example.com"}]}]})
}

#[test]
fn an_owner_plans_and_applies_and_every_change_is_theirs_in_the_log() {
    let server = Server::start();
    let org = server.org();
    let key = org.owner.key(&["*"]);
    let file = file(&slug(&org));
    let before = server.rows();
    let plan = key.post(TRY, json!({"file": file})).json(200);
    assert_eq!(plan["summary"], json!({"add": 2, "change": 0, "remove": 0, "blocked": 0}));
    assert!(server.rows() == before, "the plan changed something");
    key.post(APPLY, json!({"file": file})).refused(
        400,
        "validation_error",
        "required",
        "Plan first, with ?dry_run=true, and send the `base` of the plan.",
        Some("base"),
    );
    let done = key.post(APPLY, json!({"file": file, "base": plan["base"]})).json(200);
    assert_eq!(done["changes"], plan["changes"]);
    let stale = key.post(APPLY, json!({"file": file, "base": plan["base"]}));
    assert_eq!((stale.status, &stale.value()["code"]), (409, &json!("stale_plan")));
    let again = key.post(TRY, json!({"file": file})).json(200);
    assert_eq!(again["changes"], json!([]));
    let me = org.owner.me()["uuid"].clone();
    let log = org.owner.get(&org.at("advanced_activity_logs/")).results();
    let of_roles = log.iter().find(|entry| entry["scope"] == "Role").expect("an entry");
    assert_eq!(of_roles["user"]["uuid"], me, "{of_roles}");
}

#[test]
fn only_owners_with_keys_that_open_everything_apply_files() {
    let server = Server::start();
    let org = server.org();
    let slug = slug(&org);
    let body = || json!({"file": file(&slug)});
    assert_eq!(server.anyone().post(TRY, body()).status, 401);
    assert_eq!(
        org.owner.key(&["organization:write", "organization_member:write"]).post(TRY, body()).status,
        403
    );
    let id = org.id.to_string();
    let limited = org.owner.key_of(json!({"scopes": ["*"], "scoped_organizations": [id]}));
    assert_eq!(limited.post(TRY, body()).status, 403);
    assert_eq!(limited.get("/api/orgd/export/").status, 403);
    for other in [org.admin(&server), server.stranger()] {
        let key = other.key(&["*"]);
        let before = server.rows();
        let refused = key.post(TRY, body());
        assert_eq!(refused.status, 403, "{}", refused.text());
        assert_eq!(key.get(&format!("/api/orgd/export/?organization={slug}")).status, 403);
        assert!(server.rows() == before);
    }
    let exported = org.owner.key(&["*"]).get("/api/orgd/export/").json(200);
    let text = exported["file"].as_str().expect("a text");
    assert!(text.contains(&format!("slug: {slug}")) && !text.contains("users:"), "{text}");
}

#[test]
fn what_is_for_the_machine_is_not_for_the_network() {
    let server = Server::start();
    let org = server.org();
    let key = org.owner.key(&["*"]);
    let slug = slug(&org);
    let tried = |file: Value| key.post(TRY, json!({"file": file}));
    let with = |rest: Value| {
        let mut one = json!({"slug": slug});
        one.as_object_mut().expect("an object").extend(rest.as_object().expect("an object").clone());
        json!({"orgd": 1, "organizations": [one]})
    };
    for (file, words) in [
        (with(json!({"projects": [{"name": "P", "id": 77}]})), "there is no such project"),
        (
            with(json!({"projects": [{"name": "P", "api_token": "phc_chosen_one"}]})),
            "in seeds and on data files only",
        ),
        (
            with(json!({"roles": [{"name": "R", "id": "01920000-0000-7000-8000-000000000001"}]})),
            "there is no such role",
        ),
        (
            json!({"orgd": 1, "organizations": [{"id": "01920000-0000-7000-8000-000000000001", "name": "N", "slug": "n"}]}),
            "there is no such organization",
        ),
        (
            with(
                json!({"projects": [{"name": "P", "settings": {"slack_incoming_webhook": "https://h.example.com"}}]}),
            ),
            "a secret does not stand in the file itself",
        ),
        (json!({"orgd": 1, "organisations": []}), "is `organizations` meant?"),
        (json!("text"), "dictionary"),
    ] {
        let answer = tried(file.clone());
        assert_eq!(answer.status, 400, "{file}: {}", answer.text());
        assert!(answer.text().contains(words), "{file}: {}", answer.text());
    }
    let plan = tried(json!({"orgd": 1, "users": [{"email": "a@b.co"}], "faults": []})).json(200);
    assert_eq!((plan["changes"].clone(), plan["notes"].as_array().map(Vec::len)), (json!([]), Some(2)));
    let plan = tried(with(json!({"members": [{"email": org.owner.email, "level": "member"}]}))).json(200);
    assert_eq!(plan["blocked"][0]["reason"], "whoever applies the file does not change their own level");
    let file = with(json!({"members": []}));
    let plan = key.post(TRY, json!({"file": file, "prune": ["members"]})).json(200);
    assert_eq!(plan["blocked"][0]["reason"], "whoever applies the file is not removed by it");
    let verified = tried(with(json!({"domains": [{"domain": "d.example.com", "verified": true}]}))).json(200);
    assert!(verified["notes"][0].as_str().is_some_and(|note| note.contains("TXT record")), "{verified}");
}

#[test]
fn an_owner_makes_an_organization_by_a_file() {
    let server = Server::start();
    let org = server.org();
    let key = org.owner.key(&["*"]);
    let file = json!({"orgd": 1, "organizations": [{"slug": "made-by-file", "name": "Made", "projects": [{"name": "Only"}]}]});
    let plan = key.post(TRY, json!({"file": file})).json(200);
    key.post(APPLY, json!({"file": file, "base": plan["base"]})).json(200);
    let made = key.get("/api/organizations/made-by-file/").json(200);
    assert_eq!((&made["name"], made["teams"].as_array().map(Vec::len)), (&json!("Made"), Some(1)));
    assert_eq!(made["membership_level"], 15);
}
