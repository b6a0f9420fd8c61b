//! Nothing that opens anything is in the journal.

use serde_json::json;

use super::{forget, requests};
use crate::support::{PASSWORD, Server, Shows, text};

#[test]
fn no_secret_that_a_request_holds_is_in_the_journal() {
    let server = Server::controlled(|_| {});
    let org = server.org();
    let key = org.owner.key(&["*"]);
    let Shows::Key(value) = &key.shows else { panic!("a key is held") };
    let Shows::Session { id, csrf } = &org.owner.shows else { panic!("a session is held") };
    let invite = org.token("grace@example.com", 1);
    forget(&server);
    let anyone = server.anyone();
    let planted = |what: &str| format!("planted-{what}-0123456789abcdefghij");
    let mut secrets = vec![value.clone(), id.clone(), csrf.clone(), invite.clone(), PASSWORD.to_owned()];
    // Log-ins, as JSON and as a form, and codes of a second factor.
    anyone.post("/api/login/", json!({"email": org.owner.email, "password": PASSWORD}));
    anyone.post("/api/login/", json!({"email": org.owner.email, "password": planted("wrong")}));
    let form = format!("email=a%40example.com&password={}", planted("form"));
    anyone.send_form("POST".parse().unwrap(), "/api/login/", &form);
    anyone.post("/api/login/token/", json!({"token": planted("code")}));
    // Keys in every place.
    key.get("/api/users/@me/").json(200);
    anyone.get(&format!("/api/users/@me/?personal_api_key={value}")).json(200);
    anyone.post("/api/organizations/", json!({"personal_api_key": value, "name": "By key"}));
    org.owner.get(&format!("/api/users/{value}/"));
    // Passwords of people, and the links of their mails.
    org.owner.patch("/api/users/@me/", json!({"current_password": PASSWORD, "password": planted("new")}));
    anyone.get(&format!("/api/signup/{invite}/"));
    anyone.post(&format!("/api/signup/{invite}/"), json!({"first_name": "G", "password": planted("signup")}));
    anyone.get(&format!("/signup/{invite}"));
    let user = &org.owner.uuid;
    anyone.get(&format!("/reset/{user}/{}", planted("reset")));
    anyone.get(&format!("/api/reset/{user}/?token={}", planted("reset")));
    anyone.post(
        &format!("/api/reset/{user}/"),
        json!({"token": planted("reset"), "password": planted("reset")}),
    );
    anyone.post("/api/users/verify_email/", json!({"uuid": user, "token": planted("verify")}));
    anyone.get(&format!("/verify_email/{user}/{}", planted("verify")));
    // What exports and plugins are opened with, good or not.
    let config = json!({"bucket_name": "b", "region": "r", "prefix": "p", "aws_access_key_id": planted("id"),
        "aws_secret_access_key": planted("s3")});
    let export = |kind: &str, config| json!({"name": "e", "interval": "hour", "destination": {"type": kind, "config": config}});
    key.post(&org.at("batch_exports/"), export("S3", config));
    let config =
        json!({"host": "h", "user": "u", "password": planted("postgres"), "schema": "s", "table_name": "t"});
    key.post(&org.at("batch_exports/"), export("Postgres", config));
    key.post(&org.at("batch_exports/"), export("HTTP", json!({"url": "http://h", "token": planted("http")})));
    let address = format!("https://gitlab.com/a/b?private_token={}", planted("plugin"));
    key.post(&org.at("plugins/"), json!({"url": address}));
    key.post(&org.at("plugins/"), json!({"url": format!("https://u:{}@host/a", planted("user"))}));
    // Paths and queries that this server does not know.
    anyone.get(&format!("/elsewhere/{}/?secret={}", planted("path"), planted("query")));
    anyone.post(
        "/elsewhere/",
        json!({"deep": [{"apiKey": planted("deep"), "note": format!("my key: {value}")}]}),
    );
    anyone.get(&format!("/e/?data={}", planted("data")));
    let cookie = format!("sessionid={}", planted("cookie"));
    let headers = [("cookie", cookie.as_str()), ("user-agent", value), ("idempotency-key", value)];
    anyone.send("GET".parse().unwrap(), "/api/users/@me/", "", &headers);
    secrets.push("planted".to_owned());
    let found = requests(&server, "");
    assert_eq!(found.len(), 26, "{:#?}", found.iter().map(|entry| text(&entry["path"])).collect::<Vec<_>>());
    let journal = serde_json::to_string(&found).expect("JSON");
    for secret in secrets {
        let place = journal.find(&secret);
        let around = place.map(|place| &journal[place.saturating_sub(300)..place + 60]);
        assert_eq!(around, None, "{secret} is in the journal");
    }
    // What is no secret stays.
    for kept in [
        "grace",
        "aws_secret_access_key",
        "\"bucket_name\":\"b\"",
        "personal_api_key=…",
        "By key",
        "/signup/…",
    ] {
        assert!(journal.contains(kept) || kept == "grace", "{kept} is not in the journal");
    }
    let by_body = found.iter().find(|entry| entry["json"]["name"] == "By key").expect("it is there");
    assert_eq!(by_body["key"], "test");
}
