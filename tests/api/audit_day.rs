//! A day of an organization as the audit log has it: what five people, a key and the operator did, and what an auditor
//! reads of it. The expected table is `tests/data/audit_day.txt`; each line of the script stands above its entries.

use std::fmt::Write as _;
use std::time::Duration;

use orgd::clock::Time;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::audit_accounts::code;
use crate::support::exports::with;
use crate::support::walk::compare;
use crate::support::{Answer, NameServer, Org, PASSWORD, Person, Server, text};

/// Minutes from one action to the next.
const STEP_MINUTES: i64 = 5;
const ACTIONS: usize = 60;

const ME: &str = "/api/users/@me/";
const KEYS: &str = "/api/personal_api_keys/";

/// Who acts, and by what means.
#[derive(Clone)]
struct Actor {
    name: &'static str,
    means: &'static str,
    person: Person,
}

struct Day {
    server: Server,
    dns: NameServer,
    start: Time,
    org: Org,
    /// What was done, by whom and by what means, in order.
    script: Vec<(&'static str, &'static str, &'static str)>,
    /// Identifiers and what they stand for.
    known: Vec<(String, String)>,
}

impl Day {
    /// The day begins with the founding of the organization.
    fn begin() -> (Day, Actor) {
        let dns = NameServer::start();
        let server = Server::with(|config| config.dns_server = Some(dns.address));
        let start = server.app.clock.now();
        let ada = person(&server, "ada");
        let body = json!({"first_name": "Ada", "email": ada.email, "password": PASSWORD, "organization_name": "Acme"});
        let answer = ada.post("/api/signup/", body);
        let uuid = text(&answer.json(201)["uuid"]);
        let mut owner = ada.with_cookies_of(&answer);
        owner.uuid = uuid;
        let me = owner.me();
        let project = me["team"]["id"].as_u64().expect("a project");
        let org = Org { owner: owner.clone(), id: text(&me["organization"]["id"]), project };
        let known = vec![(org.id.clone(), "Acme".to_owned()), (owner.uuid.clone(), "Ada".to_owned())];
        let script = vec![("Ada", "session", "founds Acme")];
        let day = Day { server, dns, start, org, script, known };
        (day, Actor { name: "Ada", means: "session", person: owner })
    }

    /// The next moment of the day, at which somebody does this; they do it by what is returned.
    fn then(&mut self, actor: &Actor, what: &'static str) -> Person {
        let minutes = STEP_MINUTES * i64::try_from(self.script.len()).expect("a day is short");
        let due = self.start.plus_seconds(minutes * 60);
        let left = due.0 - self.server.app.clock.now().0;
        self.server.pass(Duration::from_micros(u64::try_from(left).expect("no action takes that long")));
        self.script.push((actor.name, actor.means, what));
        actor.person.clone()
    }

    fn at(&self, tail: &str) -> String {
        self.org.at(tail)
    }

    fn shop(&self, tail: &str) -> String {
        self.org.project_at(tail)
    }

    /// Keeps what the identifier of something new stands for.
    fn know(&mut self, answer: &Answer, name: &str) -> String {
        let made = answer.json(201);
        let id = made["id"].as_str().map_or_else(|| made["id"].to_string(), str::to_owned);
        if id.len() > 30 {
            self.known.push((id.clone(), name.to_owned()));
        }
        id
    }

    /// Somebody accepts the invite of their address.
    fn join(&mut self, name: &'static str, first_name: &'static str) -> Actor {
        let newcomer = person(&self.server, name);
        let invites = self.org.owner.get(&self.at("invites/")).results();
        let is_theirs = |invite: &&Value| invite["target_email"] == json!(newcomer.email);
        let token = self.org.token_of(&text(&invites.iter().find(is_theirs).expect("an invite")["id"]));
        let actor = Actor { name: first_name, means: "session", person: newcomer.clone() };
        self.then(&actor, "accepts the invite");
        let body = json!({"first_name": first_name, "password": PASSWORD});
        let answer = newcomer.post(&format!("/api/signup/{token}/"), body);
        let uuid = text(&answer.json(201)["uuid"]);
        self.known.push((uuid.clone(), first_name.to_owned()));
        let mut person = newcomer.with_cookies_of(&answer);
        person.uuid = uuid;
        Actor { name: first_name, means: "session", person }
    }

    fn membership(&mut self, of: &Actor) -> String {
        let rows = self.org.owner.get(&self.at("members/")).results();
        let is_theirs = |row: &&Value| row["user"]["uuid"] == json!(of.person.uuid);
        let id = text(&rows.iter().find(is_theirs).expect("a member")["id"]);
        self.known.push((id.clone(), of.name.to_owned()));
        id
    }

    fn operator(&mut self, what: &'static str) -> tokio::runtime::Runtime {
        let nobody = self.server.anyone();
        self.then(&Actor { name: "operator", means: "orgd admin", person: nobody }, what);
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
    }
}

fn person(server: &Server, name: &str) -> Person {
    Person::unknown(server, format!("{name}@acme.example"))
}

/// People come, and get their rights.
fn morning(day: &mut Day, ada: &Actor) -> [Actor; 4] {
    day.then(ada, "calls the project Shop").patch(&day.shop(""), json!({"name": "Shop"})).json(200);
    let body = json!({"target_email": "ben@acme.example", "level": 8});
    day.then(ada, "invites Ben as an administrator").post(&day.at("invites/"), body).json(201);
    let ben = day.join("ben", "Ben");
    let body = json!([{"target_email": "cleo@acme.example"}, {"target_email": "dan@acme.example"}, {"target_email": "eve@acme.example"}]);
    day.then(&ben, "invites Cleo, Dan and Eve at once").post(&day.at("invites/bulk/"), body).json(200);
    let (cleo, dan, eve) = (day.join("cleo", "Cleo"), day.join("dan", "Dan"), day.join("eve", "Eve"));
    let body = json!({"target_email": "mistake@elsewhere.example"});
    let sent = day.then(&ben, "invites a wrong address").post(&day.at("invites/"), body);
    let wrong = day.know(&sent, "the wrong invite");
    day.then(ada, "takes Ben's wrong invite back").delete(&day.at(&format!("invites/{wrong}/"))).no_content();
    let body = json!({"members_can_invite": false});
    day.then(ada, "forbids members to invite").patch(&day.at(""), body).json(200);
    let one = day.at(&format!("members/{}/", cleo.person.uuid));
    day.then(ada, "makes Cleo an administrator").patch(&one, json!({"level": 8})).json(200);
    let one = day.at(&format!("members/{}/", dan.person.uuid));
    day.then(&cleo, "makes Dan an administrator").patch(&one, json!({"level": 8})).json(200);
    [ben, cleo, dan, eve]
}

/// A key makes roles, and projects are opened and closed.
fn forenoon(day: &mut Day, ada: &Actor, [ben, cleo, dan, eve]: &[Actor; 4]) -> (Actor, String) {
    let body = json!({"label": "ci", "scopes": ["*"]});
    let made = day.then(ben, "makes the key ci").post(KEYS, body);
    let id = day.know(&made, "ci");
    let person = ben.person.holding(&text(&made.json(201)["value"]));
    let key = Actor { name: "Ben", means: "key ci", person };
    let made = day.then(&key, "makes the role Support").post(&day.at("roles/"), json!({"name": "Support"}));
    let role = day.know(&made, "Support");
    let members = day.at(&format!("roles/{role}/role_memberships/"));
    let body = json!({"user_uuid": cleo.person.uuid});
    day.then(&key, "puts Cleo into Support").post(&members, body).json(201);
    let body = json!({"user_uuid": dan.person.uuid});
    let put = day.then(&key, "puts Dan into Support").post(&members, body).json(201);
    let one = format!("{members}{}/", text(&put["id"]));
    day.then(&key, "takes Dan out of Support").delete(&one).no_content();
    let one = day.at(&format!("roles/{role}/"));
    day.then(cleo, "calls Support Care").patch(&one, json!({"name": "Care"})).json(200);
    let body = json!({"default_role_id": role});
    day.then(ada, "puts newcomers into Care").patch(&day.at(""), body).json(200);
    let made = day.then(&key, "makes the project App").post(&day.at("projects/"), json!({"name": "App"}));
    let app = day.know(&made, "App");
    let access = format!("/api/projects/{app}/access_controls/");
    day.then(ada, "closes App").put(&access, json!({"access_level": "none"})).json(200);
    let body = json!({"access_level": "member", "role": role});
    day.then(ada, "opens App to Care").put(&access, body).json(200);
    let member = day.membership(eve);
    let body = json!({"access_level": "admin", "organization_member": member});
    day.then(ada, "makes Eve an administrator of App").put(&access, body).json(200);
    let body = json!({"access_level": null, "organization_member": member});
    day.then(ada, "takes Eve's rights in App back").put(&access, body).no_content();
    let resources = format!("/api/projects/{app}/resource_access_controls/");
    let body = json!({"access_level": "viewer", "resource": "dashboard"});
    day.then(ada, "lets everybody only view App's dashboards").put(&resources, body).json(200);
    day.then(&key, "deletes App").delete(&day.at(&format!("projects/{app}/"))).no_content();
    day.then(ada, "deletes Care").delete(&one).no_content();
    (key, id)
}

/// The shop's settings, its tokens and its export.
fn noon(day: &mut Day, ada: &Actor, key: &Actor, [_, cleo, dan, _]: &[Actor; 4]) {
    let body = json!({"timezone": "Europe/Lisbon", "session_recording_opt_in": true});
    day.then(dan, "sets the zone of Shop, and that it records").patch(&day.shop(""), body).json(200);
    let body = json!({"slack_incoming_webhook": "https://hooks.example/secret"});
    day.then(cleo, "sets the webhook of Shop").patch(&day.shop(""), body).json(200);
    day.then(ada, "renews Shop's token").patch(&day.shop("reset_token/"), json!({})).json(200);
    for what in ["makes Shop's secret token", "renews Shop's secret token"] {
        day.then(ada, what).patch(&day.shop("rotate_secret_token/"), json!({})).json(200);
    }
    let path = day.shop("delete_secret_token_backup/");
    day.then(ada, "ends Shop's former secret token").patch(&path, json!({})).json(200);
    let all = format!("/api/projects/{}/batch_exports/", day.org.project);
    let config = json!({"url": "http://127.0.0.1:9/batch/", "token": "phc_secret"});
    let export =
        json!({"name": "Nightly", "interval": "day", "destination": {"type": "HTTP", "config": config}});
    let made = day.then(dan, "makes the export Nightly").post(&all, export);
    let one = format!("{all}{}/", day.know(&made, "Nightly"));
    day.then(key, "pauses Nightly").post(&format!("{one}pause/"), json!({})).json(200);
    let other = with(config, &json!({"token": "phc_another_secret"}));
    let body = json!({"interval": "hour", "destination": {"type": "HTTP", "config": other}});
    day.then(dan, "makes Nightly hourly, with another token").patch(&one, body).json(200);
    let range = json!({"start_at": "2021-01-01T00:00:00Z", "end_at": "2021-01-01T01:00:00Z"});
    let started = day.then(dan, "starts a backfill of Nightly").post(&format!("{one}backfills/"), range);
    let backfill = text(&started.json(201)["backfill_id"]);
    day.known.push((backfill, "the backfill".into()));
    day.then(dan, "deletes Nightly").delete(&one).no_content();
}

/// Domains, a proxy, a plugin.
fn afternoon(day: &mut Day, ada: &Actor, [ben, cleo, ..]: &[Actor; 4]) {
    let body = json!({"domain": "acme.example"});
    let made = day.then(ada, "claims acme.example").post(&day.at("domains/"), body);
    let domain = day.know(&made, "acme.example");
    let one = day.at(&format!("domains/{domain}/"));
    let challenge = text(&made.json(201)["verification_challenge"]);
    day.dns.txt("_posthog-challenge.acme.example", &[&challenge]);
    day.then(ada, "verifies acme.example").post(&format!("{one}verify/"), json!({})).json(200);
    let body = json!({"jit_provisioning_enabled": true, "saml_x509_cert": "CERTIFICATE"});
    day.then(ada, "lets people of acme.example join").patch(&one, body).json(200);
    let body = json!({"enforce_verified_domains": true, "members_can_use_personal_api_keys": false});
    day.then(ada, "lets nobody else in, and no keys of members").patch(&day.at(""), body).json(200);
    let body = json!({"domain": "e.acme.example"});
    let made = day.then(cleo, "asks for the proxy e.acme.example").post(&day.at("proxy_records/"), body);
    let record = day.know(&made, "e.acme.example");
    let path = day.at(&format!("proxy_records/{record}/"));
    day.then(cleo, "gives the proxy up").delete(&path).no_content();
    let body = json!({"plugin_type": "source", "name": "Filter", "source__index_ts": "export {}"});
    let made = day.then(ben, "installs the plugin Filter").post(&day.at("plugins/"), body);
    let plugin = day.know(&made, "Filter");
    let path = day.at(&format!("plugins/{plugin}/"));
    day.then(ben, "describes Filter").patch(&path, json!({"description": "Drops bots"})).json(200);
    day.then(ben, "removes Filter").delete(&path).no_content();
}

/// Accounts: keys, log-ins, second factors; some leave, and the operator helps.
fn evening(day: &mut Day, ada: &Actor, key: &Actor, id: &str, [ben, cleo, dan, eve]: &[Actor; 4]) {
    let one = format!("{KEYS}{id}/");
    let body = json!({"label": "build", "scopes": ["organization:read"]});
    day.then(ben, "narrows the key ci, and calls it build").patch(&one, body).json(200);
    day.then(ben, "renews the key").post(&format!("{one}roll/"), json!({})).json(200);
    assert_eq!(key.person.get(&day.at("")).status, 401, "the key of before is dead");
    day.then(ada, "revokes Ben's key").delete(&day.at(&format!("personal_api_keys/{id}/"))).no_content();
    let again = day.then(cleo, "logs in again").logged_in();
    let start = again.get(&format!("{ME}two_factor_start_setup/"));
    day.then(cleo, "turns her second step on");
    let secret = text(&start.json(200)["secret"]);
    let answer = code(&day.server, &secret);
    again.post(&format!("{ME}two_factor_validate/"), answer).json(200);
    let body = json!({"password": "another-Long-passphrase-9", "current_password": PASSWORD});
    day.then(dan, "changes their password").patch(ME, body).json(200);
    day.then(dan, "logs out").post("/api/logout/", json!({})).no_content();
    day.then(eve, "leaves").delete(&day.at("members/@me/")).no_content();
    let app = |day: &Day| std::sync::Arc::clone(&day.server.app);
    let operator = day.operator("takes Cleo's second step away");
    operator.block_on(orgd::admin::remove_two_factor(&app(day), cleo.person.email.clone())).expect("done");
    let operator = day.operator("sets Dan's password");
    let (email, new) = (dan.person.email.clone(), PASSWORD.to_owned());
    operator.block_on(orgd::admin::reset_password(&app(day), email, new)).expect("done");
    let body = json!({"email": dan.person.email, "password": PASSWORD});
    day.then(dan, "logs in").send(Method::POST, "/api/login/", body.to_string(), &[JSON]).json(200);
    let one = day.at(&format!("members/{}/", dan.person.uuid));
    day.then(ada, "removes Dan").delete(&one).no_content();
}

const JSON: (&str, &str) = ("content-type", "application/json");

impl Day {
    /// The time of day, of a day that begins at nine.
    fn hour(&self, time: &Value) -> String {
        let since = Time::parse(&text(time)).expect("a time").0 - self.start.0;
        let step = since.div_euclid(STEP_MINUTES * 60 * 1_000_000);
        let minutes = 9 * 60 + step * STEP_MINUTES;
        format!("{:02}:{:02}", minutes / 60, minutes % 60)
    }

    fn named(&self, mut shown: String) -> String {
        for (id, name) in &self.known {
            shown = shown.replace(id, name);
        }
        shown
    }

    /// Who did it, and with what.
    fn actor(&self, entry: &Value) -> (String, String) {
        let who = match (&entry["user"]["first_name"], entry["is_system"] == true) {
            (Value::String(name), _) => name.clone(),
            (_, true) => "operator".into(),
            _ => "somebody who is gone".into(),
        };
        let with = match (&entry["key"]["id"], &entry["client"]) {
            (Value::String(id), _) => format!("key {}", self.named(id.clone())),
            (_, Value::String(client)) => client.clone(),
            _ => "session".into(),
        };
        (who, with)
    }
}

/// Scope and activity, and each change as `field: before -> after`.
fn what(entry: &Value) -> String {
    let changes = entry["detail"]["changes"].as_array().into_iter().flatten();
    let shown = |value: &Value| match value.as_str().and_then(Time::parse) {
        Some(_) => "(a time)".to_owned(),
        None => value.to_string(),
    };
    let changes: Vec<String> = changes
        .map(|change| {
            format!("{}: {} -> {}", text(&change["field"]), shown(&change["before"]), shown(&change["after"]))
        })
        .collect();
    let colon = if changes.is_empty() { "" } else { ": " };
    format!("{} {}{colon}{}", text(&entry["scope"]), text(&entry["activity"]), changes.join(", "))
}

/// What it was done to: its name, and what the context says besides.
fn on_what(entry: &Value) -> String {
    let name = entry["detail"]["name"].as_str().unwrap_or("(no name)");
    let context = &entry["detail"]["context"];
    let besides = |(field, word): (&str, &str)| {
        let value = context[field].as_str().filter(|value| !name.contains(value))?;
        Some(format!(", {word} {value}"))
    };
    let words = [("subject", "for"), ("destination_type", "to"), ("user_email", "of")];
    let besides: String = words.into_iter().filter_map(besides).collect();
    format!("{name}{besides}")
}

/// The table: each line of the script, and what the log has of it.
fn table(day: &Day, entries: &[Value]) -> String {
    let mut shown = String::from("# time | who | with what | what | on what\n");
    let mut seen = 0;
    for (number, (who, with, action)) in day.script.iter().enumerate() {
        let step = STEP_MINUTES * i64::try_from(number).expect("a day is short");
        let time = format!("{:02}:{:02}", 9 + step / 60, step % 60);
        let _ = writeln!(shown, "\n# {time} {who}, {with}: {action}");
        let its = entries.iter().filter(|entry| day.hour(&entry["created_at"]) == time);
        let before = seen;
        for entry in its {
            let (by, means) = day.actor(entry);
            assert_eq!((by.as_str(), means.as_str()), (*who, *with), "{time} {action}: {entry}");
            let line = format!("{time} | {by} | {means} | {} | {}", what(entry), on_what(entry));
            let _ = writeln!(shown, "{}", day.named(line));
            seen += 1;
        }
        assert!(seen > before, "{time} {who}, {with}: {action}: there is no entry");
    }
    assert_eq!(seen, entries.len(), "every entry belongs to an action");
    shown
}

#[test]
fn a_day_in_the_log_reads_as_it_went() {
    let (mut day, ada) = Day::begin();
    let people = morning(&mut day, &ada);
    let (key, id) = forenoon(&mut day, &ada, &people);
    noon(&mut day, &ada, &key, &people);
    afternoon(&mut day, &ada, &people);
    evening(&mut day, &ada, &key, &id, &people);
    assert_eq!(day.script.len(), ACTIONS);
    let path = day.at("advanced_activity_logs/?ordering=created_at&page_size=1000");
    let entries = ada.person.get(&path).results();
    compare("../data/audit_day.txt", &table(&day, &entries));
    let text = json!(entries).to_string();
    for secret in ["hooks.example/secret", "phc_secret", "phc_another_secret", "CERTIFICATE", PASSWORD] {
        assert!(!text.contains(secret), "{secret}");
    }
}
