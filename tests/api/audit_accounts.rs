//! What the audit logs say of keys, log-ins, second factors, domains and proxy records, and what the operator does.

use std::time::Duration;

use serde_json::{Value, json};
use totp_rs::{Builder, Secret};

use crate::support::{NameServer, Org, PASSWORD, Person, Server, text};

const KEYS: &str = "/api/personal_api_keys/";
const ME: &str = "/api/users/@me/";

/// The log of an organization, read on from where it was read last.
struct Log {
    /// Somebody whose reading leaves no entry.
    reader: Person,
    path: String,
    seen: usize,
}

impl Log {
    fn of(org: &Org) -> Log {
        let path = org.at("advanced_activity_logs/?ordering=created_at&page_size=1000");
        let mut log = Log { reader: org.owner.key(&["activity_log:read"]), path, seen: 0 };
        log.entries();
        log
    }

    /// What is new, the oldest first.
    fn entries(&mut self) -> Vec<Value> {
        let mut all = self.reader.get(&self.path).results();
        let new = all.split_off(self.seen);
        self.seen += new.len();
        new
    }

    /// Scope, activity and the fields that changed, of what is new.
    fn news(&mut self) -> Vec<String> {
        self.entries().iter().map(said).collect()
    }
}

/// The logs of two organizations of somebody whose key reads the second one.
fn both_logs(org: &Org, other: &Org) -> (Log, Log) {
    let (mut here, there) = (Log::of(org), Log::of(other));
    // The key reaches the first one as well.
    here.entries();
    (here, there)
}

/// An entry in one line: `PersonalAPIKey updated: label, scopes`.
fn said(entry: &Value) -> String {
    let changes = entry["detail"]["changes"].as_array().into_iter().flatten();
    let fields: Vec<String> = changes.map(|change| text(&change["field"])).collect();
    let colon = if fields.is_empty() { "" } else { ": " };
    format!("{} {}{colon}{}", text(&entry["scope"]), text(&entry["activity"]), fields.join(", "))
}

fn post_key(person: &Person, body: Value) -> (String, Value) {
    let mut body = body;
    (body["label"], body["scopes"]) = (json!("ci"), json!(["organization:read"]));
    let made = person.post(KEYS, body).json(201);
    (format!("{KEYS}{}/", text(&made["id"])), made)
}

#[test]
fn every_change_of_a_key_stands_in_the_log_of_each_organization_that_it_reaches() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let made = member.post("/api/organizations/", json!({"name": "Other"})).json(201);
    let other = Org {
        owner: member.clone(),
        id: text(&made["id"]),
        project: made["teams"][0]["id"].as_u64().expect("a project"),
    };
    let (mut here, mut there) = both_logs(&org, &other);
    let none: Vec<String> = Vec::new();
    let both = |line: &str| [vec![line.to_owned()], vec![line.to_owned()]];
    let mut news = || [here.news(), there.news()];

    let (all, _) = post_key(&member, json!({}));
    assert_eq!(news(), both("PersonalAPIKey created"));
    member.patch(&all, json!({"label": "x", "scopes": ["*"]})).json(200);
    assert_eq!(news(), both("PersonalAPIKey updated: label, scopes"));
    member.patch(&all, json!({"label": "x"})).json(200);
    assert_eq!(news(), [none.clone(), none.clone()], "nothing changed");
    member.post(&format!("{all}roll/"), json!({})).json(200);
    assert_eq!(news(), both("PersonalAPIKey rolled"));
    member.patch(&all, json!({"scoped_organizations": [org.id]})).json(200);
    assert_eq!(news(), both("PersonalAPIKey updated: access_scope"));
    member.patch(&all, json!({"label": "y"})).json(200);
    assert_eq!(news(), [vec!["PersonalAPIKey updated: label".to_owned()], none.clone()]);
    member.delete(&all).no_content();
    assert_eq!(news(), [vec!["PersonalAPIKey deleted".to_owned()], none.clone()]);
    let (project, _) = post_key(&member, json!({"scoped_teams": [other.project]}));
    assert_eq!(news(), [none.clone(), vec!["PersonalAPIKey created".to_owned()]]);
    member.delete(&project).no_content();
    news();

    // What is refused leaves nothing.
    member.post(KEYS, json!({"label": "a", "scopes": ["nope"]})).json(400);
    server.stranger().delete(&all).not_found();
    assert_eq!(news(), [none.clone(), none]);
}

#[test]
fn the_log_says_whose_key_it_was_and_holds_no_secret() {
    let server = Server::start();
    let org = server.org();
    let (member, admin) = (org.member(&server), org.admin(&server));
    let mut log = Log::of(&org);
    let (path, made) = post_key(&member, json!({}));
    let rolled = member.post(&format!("{path}roll/"), json!({})).json(200);
    let id = text(&made["id"]);
    admin.delete(&org.at(&format!("personal_api_keys/{id}/"))).no_content();
    let entries = log.entries();
    let seen: Vec<(String, Value, Value)> = entries
        .iter()
        .map(|entry| (said(entry), entry["user"]["uuid"].clone(), entry["item_id"].clone()))
        .collect();
    let by = |line: &str, person: &Person| (format!("PersonalAPIKey {line}"), json!(person.uuid), json!(id));
    assert_eq!(seen, [by("created", &member), by("rolled", &member), by("revoked", &admin)]);
    let context = &entries[2]["detail"]["context"];
    assert_eq!((&context["user_id"], &context["user_email"]), (&json!(member.uuid), &json!(member.email)));
    assert_eq!(entries[2]["detail"]["name"], "ci");
    let written = json!(entries).to_string();
    for value in [&made["value"], &rolled["value"]] {
        assert!(!written.contains(&text(value)), "{written}");
    }
}

#[test]
fn log_ins_and_changes_of_credentials_stand_in_each_organization_of_the_user() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let made = member.post("/api/organizations/", json!({"name": "Other"})).json(201);
    let other = Org { owner: member.clone(), id: text(&made["id"]), project: 0 };
    let (mut here, mut there) = both_logs(&org, &other);
    let mut news = || {
        let (here, there) = (here.entries(), there.entries());
        let lines: Vec<String> = here.iter().map(said).collect();
        assert_eq!(there.iter().map(said).collect::<Vec<_>>(), lines);
        assert!(here.iter().all(|entry| entry["user"]["uuid"] == json!(member.uuid)), "{here:?}");
        lines
    };
    let second = member.logged_in();
    assert_eq!(news(), ["User logged_in"]);
    second.post("/api/logout/", json!({})).no_content();
    assert_eq!(news(), ["User logged_out"]);
    let wrong = json!({"email": member.email, "password": "nope"});
    server.anyone().post("/api/login/", wrong).json(400);
    second.post("/api/logout/", json!({})).unauthenticated();
    assert_eq!(news(), [""; 0]);
    member.logged_in();
    member.logged_in();
    news();
    assert_eq!(
        member.post(&format!("{ME}login_sessions/revoke_others/"), json!({})).json(200)["revoked_count"],
        2
    );
    assert_eq!(news(), ["User logged_out"]);
    member.patch(ME, json!({"first_name": "New", "hide_mcp_hints": true})).json(200);
    assert_eq!(news(), [""; 0], "the log of an organization is not about names");
    let email = "new@example.com";
    member.patch(ME, json!({"email": email, "current_password": PASSWORD})).json(200);
    assert_eq!(news(), ["User updated: email"]);
    let password = "another-Long-passphrase-9";
    member.patch(ME, json!({"password": password, "current_password": PASSWORD})).json(200);
    assert_eq!(news(), ["User updated: password"]);
    let refused = json!({"password": password, "current_password": "wrong"});
    member.patch(ME, refused).json(400);
    assert_eq!(news(), [""; 0]);
}

#[test]
fn changes_of_credentials_are_masked() {
    let server = Server::start();
    let org = server.org();
    let mut log = Log::of(&org);
    let body = json!({"email": "new@example.com", "password": "another-Long-passphrase-9", "current_password": PASSWORD});
    org.owner.patch(ME, body).json(200);
    let entries = log.entries();
    for change in entries[0]["detail"]["changes"].as_array().expect("changes") {
        assert_eq!((&change["before"], &change["after"]), (&json!("masked"), &json!("masked")), "{change}");
    }
    assert!(!json!(entries).to_string().contains("argon2"));
}

/// The code of a second step at this moment.
pub fn code(server: &Server, secret: &str) -> Value {
    let secret = Secret::try_from_base32(secret).expect("a secret in base 32");
    let totp = Builder::new().with_secret(secret).build().expect("the secret is long enough");
    let seconds = u64::try_from(server.app.clock.now().unix_seconds()).expect("it is after 1970");
    json!({"token": totp.generate(seconds).to_string()})
}

#[test]
fn the_second_factor_stands_in_the_log_and_its_codes_do_not() {
    let server = Server::start();
    let org = server.org();
    let mut log = Log::of(&org);
    let at = |tail: &str| format!("{ME}two_factor_{tail}/");
    let secret = text(&org.owner.get(&at("start_setup")).json(200)["secret"]);
    org.owner.post(&at("validate"), json!({"token": "000000"})).json(400);
    assert_eq!(log.news(), [""; 0]);
    org.owner.post(&at("validate"), code(&server, &secret)).json(200);
    assert_eq!(log.news(), ["User updated: is_2fa_enabled"]);
    let codes = org.owner.post(&at("backup_codes"), json!({})).json(200);
    server.pass(Duration::from_secs(60));
    let password = json!({"email": org.owner.email, "password": PASSWORD});
    let waiting = org.owner.without().post("/api/login/", password);
    waiting.json(401);
    let lines = log.entries();
    assert_eq!(lines.iter().map(said).collect::<Vec<_>>(), ["User updated: backup_codes"]);
    assert!(!json!(lines).to_string().contains(&text(&codes["backup_codes"][0])));
    org.owner.with_cookies_of(&waiting).post("/api/login/token/", code(&server, &secret)).json(200);
    let entry = log.entries().remove(0);
    assert_eq!((said(&entry).as_str(), &entry["user"]["uuid"]), ("User logged_in", &json!(org.owner.uuid)));
    assert_eq!(entry["detail"]["context"], json!({"method": "password", "has_second_factor": true}));
    org.owner.post(&at("disable"), json!({"current_password": PASSWORD})).json(200);
    assert_eq!(log.news(), ["User updated: is_2fa_enabled"]);
}

#[test]
fn every_change_of_domains_and_proxy_records_stands_in_the_log() {
    let dns = NameServer::start();
    let server = Server::with(|config| config.dns_server = Some(dns.address));
    let org = server.org();
    let mut log = Log::of(&org);
    let made = org.owner.post(&org.at("domains/"), json!({"domain": "example.com"})).json(201);
    assert_eq!(log.news(), ["OrganizationDomain created"]);
    let one = org.at(&format!("domains/{}/", text(&made["id"])));
    org.owner.post(&format!("{one}verify/"), json!({"domain": "example.com"})).json(200);
    assert_eq!(log.news(), [""; 0], "it was not found");
    dns.txt("_posthog-challenge.example.com", &[&text(&made["verification_challenge"])]);
    org.owner.post(&format!("{one}verify/"), json!({"domain": "example.com"})).json(200);
    assert_eq!(log.news(), ["OrganizationDomain updated: domain verification"]);
    let body = json!({"jit_provisioning_enabled": true, "saml_x509_cert": "CERTIFICATE"});
    org.owner.patch(&one, body).json(200);
    let entry = log.entries().remove(0);
    assert_eq!(said(&entry), "OrganizationDomain updated: just-in-time provisioning, saml_x509_cert");
    assert_eq!(entry["detail"]["changes"][1]["after"], "masked");
    org.owner.delete(&one).no_content();
    assert_eq!(log.news(), ["OrganizationDomain deleted"]);

    let made = org.owner.post(&org.at("proxy_records/"), json!({"domain": "e.example.com"})).json(201);
    let one = org.at(&format!("proxy_records/{}/", text(&made["id"])));
    org.owner.patch(&one, json!({"domain": "f.example.com"})).json(200);
    org.owner.patch(&one, json!({"domain": "f.example.com"})).json(200);
    org.owner.post(&format!("{one}diagnose/"), json!({})).json(200);
    org.owner.delete(&one).no_content();
    let expected =
        ["ProxyRecord created", "ProxyRecord updated: domain, target_cname", "ProxyRecord deleted"];
    assert_eq!(log.news(), expected);
}

#[test]
fn what_the_operator_does_at_the_machine_stands_in_the_log_as_nobody_s() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    org.owner.post(&org.at("domains/"), json!({"domain": "example.com"})).json(201);
    org.owner.post(&org.at("proxy_records/"), json!({"domain": "example.com"})).json(201);
    let mut log = Log::of(&org);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (app, email) = (&server.app, || member.email.clone());
    runtime.block_on(orgd::admin::end_sessions(app, email())).expect("there is such a user");
    member.logged_in();
    let password = "another-Long-passphrase-9".to_owned();
    runtime.block_on(orgd::admin::reset_password(app, email(), password)).expect("it is strong");
    runtime.block_on(orgd::admin::remove_two_factor(app, email())).expect("there is such a user");
    runtime.block_on(orgd::admin::free_domain(app, "example.com".into())).expect("it is claimed");
    runtime.block_on(orgd::admin::free_address(app, email(), true)).expect("there is such a user");
    let entries = log.entries();
    let lines: Vec<String> = entries.iter().map(said).collect();
    let expected = [
        "User logged_out",
        "User logged_in",
        "User updated: password",
        "OrganizationDomain deleted",
        "ProxyRecord deleted",
        "User updated: email",
    ];
    assert_eq!(lines, expected);
    for (place, entry) in entries.iter().enumerate().filter(|(place, _)| *place != 1) {
        assert_eq!((&entry["user"], &entry["is_system"]), (&json!(null), &json!(true)), "{place}");
        assert_eq!(entry["client"], "orgd admin", "{place}");
    }
}
