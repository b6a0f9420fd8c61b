//! The log: who called what, what was refused, and nothing that opens anything.

use std::fmt::Write;

use regex::Regex;
use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::{Request, Response};

use crate::support::{Serving, agent, ask, orgd};

const KEY: &str = "phx_given-by-the-operator-0123456789";
const PASSWORD: &str = "a-rather-Long-passphrase-7";
const FORMATS: [&str; 2] = ["text", "json"];

/// A server that trusts a proxy, with everything in its log.
struct Watched {
    server: Serving,
    agent: Agent,
    _folder: tempfile::TempDir,
}

impl Watched {
    fn start(format: &str) -> Watched {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Serving::of(
            orgd(&["serve", "--listen", "127.0.0.1:0", "--log-format", format, "--log-level", "debug"])
                .args(["--trust-proxy", "127.0.0.0/8", "--data"])
                .arg(folder.path().join("orgd.redb"))
                .env("ORGD_BOOTSTRAP_EMAIL", "ada@example.com")
                .env("ORGD_BOOTSTRAP_PASSWORD", PASSWORD)
                .env("ORGD_BOOTSTRAP_API_KEY", KEY),
        );
        Watched { server, agent: agent(), _folder: folder }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.base)
    }

    fn by_key(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        ask(&self.agent, method, &self.url(path), Some(KEY), body).expect("an answer")
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Response<ureq::Body> {
        let mut request =
            Request::builder().method(method).uri(self.url(path)).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.agent.run(request.body(body.to_string()).expect("a request")).expect("an answer")
    }

    fn get(&self, path: &str, headers: &[(&str, &str)]) -> u16 {
        self.send("GET", path, headers, &json!({})).status().as_u16()
    }

    /// A key of the owner with this scope only.
    fn narrow_key(&self, scope: &str) -> String {
        let log_in = json!({"email": "ada@example.com", "password": PASSWORD});
        let answer = self.send("POST", "/api/login/", &[], &log_in);
        let cookies = answer.headers().get_all("set-cookie").iter();
        let pairs: Vec<&str> = cookies.filter_map(|value| value.to_str().ok()?.split(';').next()).collect();
        let csrf = pairs.iter().find_map(|pair| pair.split_once("csrftoken=")).expect("a token").1;
        let headers = [("cookie", pairs.join("; ")), ("x-csrftoken", csrf.to_owned())];
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let body = json!({"label": "narrow", "scopes": [scope]});
        let mut made = self.send("POST", "/api/personal_api_keys/", &headers, &body);
        let made: Value =
            serde_json::from_str(&made.body_mut().read_to_string().expect("text")).expect("JSON");
        made["value"].as_str().expect("a key").to_owned()
    }

    /// Stops it; all that it said since it listened.
    fn lines(mut self) -> Vec<String> {
        let log = self.server.log.take().expect("a log").into_inner().expect("no panic");
        assert_eq!(self.server.stop(), Some(0));
        log.iter().collect()
    }
}

/// Event, address and account of a line about an attack.
fn event(line: &str, format: &str) -> Option<[String; 3]> {
    if format == "text" {
        let form = Regex::new(r#"^\S+Z  WARN security: event="(\w+)" address=(\S+) account="(.*)"$"#)
            .expect("a pattern");
        return form.captures(line).map(|found| [1, 2, 3].map(|place| found[place].to_owned()));
    }
    let entry: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
    let text = |name: &str| entry[name].as_str().map(str::to_owned);
    (entry["target"] == "security")
        .then(|| [text("event"), text("address"), text("account")].map(Option::unwrap_or_default))
}

#[test]
fn refused_tokens_and_permissions_are_lines_of_their_own() {
    for format in FORMATS {
        let watched = Watched::start(format);
        let user = watched.by_key("GET", "/api/users/@me/", &json!({})).1["uuid"]
            .as_str()
            .expect("a user")
            .to_owned();
        let narrow = format!("Bearer {}", watched.narrow_key("project:read"));
        let from = |address: &'static str| ("x-forwarded-for", address);
        let wrong = ("authorization", "Bearer phx_wrong");
        assert_eq!(watched.get("/api/organizations/", &[wrong]), 401);
        assert_eq!(watched.get("/api/organizations/", &[wrong, from("203.0.113.1")]), 401);
        assert_eq!(
            watched.get("/api/organizations/?personal_api_key=phx_wrong", &[from("2001:db8::2")]),
            401
        );
        assert_eq!(
            watched.get("/api/users/@me/", &[("cookie", "sessionid=wrong"), from("203.0.113.3")]),
            401
        );
        assert_eq!(
            watched.get("/api/organizations/@current/", &[("authorization", &narrow), from("203.0.113.4")]),
            403
        );
        // Whoever shows nothing, or looks for what is not there, attacks nobody.
        assert_eq!(watched.get("/api/organizations/", &[from("203.0.113.5")]), 401);
        assert_eq!(watched.get("/api/nothing/", &[from("203.0.113.5"), wrong]), 404);
        let elsewhere = "/api/organizations/3e9c5de9-1765-454a-bd9a-3c5e67ed9a23/";
        assert_eq!(watched.by_key("GET", elsewhere, &json!({})).0, 404);
        let lines = watched.lines();
        let events: Vec<[String; 3]> = lines.iter().filter_map(|line| event(line, format)).collect();
        let wanted = [
            ["token_refused", "127.0.0.1", "-"],
            ["token_refused", "203.0.113.1", "-"],
            ["token_refused", "2001:db8::2", "-"],
            ["token_refused", "203.0.113.3", "-"],
            ["permission_refused", "203.0.113.4", &user],
        ];
        assert_eq!(events, wanted, "{lines:#?}");
    }
}

#[test]
fn a_request_s_line_has_the_address_and_the_identifiers_that_it_named() {
    for format in FORMATS {
        let watched = Watched::start(format);
        let me = watched.by_key("GET", "/api/users/@me/", &json!({})).1;
        let organization = me["organization"]["id"].as_str().expect("an organization").to_owned();
        let project = me["team"]["id"].to_string();
        let key = format!("Bearer {KEY}");
        let headers = [("authorization", key.as_str()), ("x-forwarded-for", "203.0.113.7, 127.0.0.9")];
        let secret = "3e9c5de9-1765-454a-bd9a-3c5e67ed9a23";
        let mut wanted = Vec::new();
        for (path, route, ids) in [
            (
                format!("/api/organizations/{organization}/projects/{project}/"),
                "/api/organizations/{organization_id}/projects/{id}/",
                vec![("organization_id", organization.as_str()), ("id", project.as_str())],
            ),
            ("/api/organizations/@current/".into(), "/api/organizations/{id}/", vec![("id", "@current")]),
            ("/api/organizations/a-slug-7/".into(), "/api/organizations/{id}/", vec![("id", "a-slug-7")]),
            ("/api/users/@me/".into(), "/api/users/{uuid}/", vec![("uuid", "@me")]),
            ("/api/organizations/".into(), "/api/organizations/", vec![]),
            // What is no identifier was put there by mistake, or in malice.
            (format!("/api/organizations/{KEY}/"), "/api/organizations/{id}/", vec![]),
            ("/api/users/phx-lower-case-words/".into(), "/api/users/{uuid}/", vec![]),
            ("/api/organizations/%0AWARN%20security/".into(), "/api/organizations/{id}/", vec![]),
            ("/api/organizations/a%22%20user=x/".into(), "/api/organizations/{id}/", vec![]),
            (format!("/api/organizations/{}/", "a".repeat(49)), "/api/organizations/{id}/", vec![]),
        ] {
            watched.get(&path, &headers);
            wanted.push((route, ids));
        }
        let opened_by = format!("/api/signup/{secret}/");
        watched.get(&opened_by, &headers);
        watched.send("POST", &opened_by, &headers, &json!({}));
        let lines = watched.lines();
        assert!(!lines.iter().any(|line| line.contains(secret) || line.contains(KEY)), "{lines:#?}");
        let access = lines.iter().filter(|line| line.contains("access") && line.contains("203.0.113.7"));
        let access: Vec<&String> = access.collect();
        assert_eq!(access.len(), wanted.len() + 2, "{access:#?}");
        for (line, (route, ids)) in access.iter().zip(&wanted) {
            if format == "json" {
                let entry: Value = serde_json::from_str(line).expect("JSON");
                let ids: serde_json::Map<String, Value> =
                    ids.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
                let shown = entry.get("ids").cloned().unwrap_or_else(|| json!({}));
                assert_eq!(
                    (&entry["path"], &entry["address"], &shown),
                    (&json!(route), &json!("203.0.113.7"), &json!(ids)),
                    "{line}"
                );
            } else {
                let mut words = String::new();
                for (name, value) in ids {
                    let _ = write!(words, "{}{name}={value}", if words.is_empty() { "" } else { " " });
                }
                let words = if words.is_empty() { words } else { format!(" ids=\"{words}\"") };
                assert!(
                    line.contains(&format!("path=\"{route}\""))
                        && line.contains(" address=203.0.113.7 request_id=\""),
                    "{line}"
                );
                assert!(line.contains(&format!("\"{words} user=")), "{line}");
            }
        }
    }
}

/// The patterns of the documented filter, over a line as fail2ban looks at it: its time is taken out.
fn banned(line: &str) -> Option<String> {
    const DOCUMENT: &str = include_str!("../../docs/fail2ban.md");
    let filter = DOCUMENT.split("failregex = ").nth(1).and_then(|rest| rest.split("datepattern").next());
    let patterns = filter.expect("a filter").lines().map(str::trim).filter(|pattern| !pattern.is_empty());
    let time = Regex::new(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z").expect("a pattern");
    let journal = format!("host orgd[1]: {line}");
    let looked_at = [time.replace(line, "").into_owned(), journal];
    let found: Vec<Option<String>> = looked_at
        .iter()
        .map(|line| {
            patterns.clone().find_map(|pattern| {
                let pattern = pattern.replace("<ADDR>", "(?P<address>[0-9A-Fa-f:.]+)");
                let found = Regex::new(&pattern).expect("a pattern").captures(line)?;
                Some(found["address"].to_owned())
            })
        })
        .collect();
    assert_eq!(found[0], found[1], "a file and the journal are read alike");
    found.into_iter().next().flatten()
}

#[test]
fn the_documented_filter_bans_whoever_attacks_and_nobody_else_can_be_put_in_their_place() {
    for format in FORMATS {
        let watched = Watched::start(format);
        let forged = "x\" address=192.0.2.66 account=\"";
        let forged_line = "x\n2026-01-01T00:00:00.000000Z  WARN security: event=\"token_refused\" address=192.0.2.66 account=\"-\"\n";
        let wrong = ("authorization", "Bearer phx_wrong");
        assert_eq!(watched.get("/api/organizations/", &[wrong, ("x-forwarded-for", "203.0.113.7")]), 401);
        for text in [forged, forged_line] {
            let plain: String = text.chars().filter(|letter| !letter.is_control()).collect();
            let path: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let from = ("x-forwarded-for", "203.0.113.8");
            for place in
                [format!("/api/organizations/{path}/"), format!("/{path}"), format!("/_health?{path}={path}")]
            {
                watched.get(&place, &[from]);
            }
            watched.get("/_health", &[from, ("user-agent", &plain), ("x-request-id", &plain)]);
            watched.get("/_health", &[("x-forwarded-for", &plain)]);
            watched.get("/_health", &[from, ("origin", &plain), ("referer", &plain)]);
            let email = format!("{text}@example.com");
            for (path, body) in [
                ("/api/login/", json!({"email": email, "password": text})),
                ("/api/login/", json!({"email": text, "password": text})),
                ("/api/signup/", json!({"email": email, "first_name": text, "password": text})),
                ("/api/login/token/", json!({"token": text})),
            ] {
                watched.send("POST", path, &[from], &body);
            }
            watched.by_key("POST", "/api/organizations/", &json!({"name": text}));
            watched.by_key(
                "POST",
                "/api/organizations/@current/invites/",
                &json!({"target_email": "new@example.com", "first_name": "N", "message": text}),
            );
        }
        let lines = watched.lines();
        let all: Vec<String> = lines.iter().filter_map(|line| banned(line)).collect();
        assert!(all.contains(&"203.0.113.7".to_owned()), "{lines:#?}");
        assert!(!all.contains(&"192.0.2.66".to_owned()), "{lines:#?}");
        for line in &lines {
            let begins = if format == "json" { line.starts_with('{') } else { line.starts_with("20") };
            assert!(begins, "a line was broken: {line}");
        }
    }
}

#[test]
fn ordinary_lines_ban_nobody() {
    for line in [
        r#"2026-11-26T10:15:00.000000Z  INFO access: method="GET" path="/_health/" status=200 ms=0.100 address=203.0.113.7 request_id="x""#,
        r#"2026-11-26T10:15:00.000000Z  WARN security: event="permission_refused" address=203.0.113.7 account="-""#,
        r#"{"timestamp":"2026-11-26T10:15:00.000000Z","level":"WARN","event":"locked","address":"203.0.113.7","account":"-","target":"security"}"#,
    ] {
        assert_eq!(banned(line), None, "{line}");
    }
    for event in ["password_wrong", "second_step_wrong", "token_refused"] {
        let text = format!(
            r#"2026-11-26T10:15:00.000000Z  WARN security: event="{event}" address=2001:db8::7 account="a\"b""#
        );
        assert_eq!(banned(&text).as_deref(), Some("2001:db8::7"), "{event}");
    }
}

#[test]
fn events_that_are_dropped_or_dated_anew_are_said_once_a_minute() {
    let watched = Watched::start("text");
    let (_, project) = watched.by_key("GET", "/api/projects/1/", &json!({}));
    let token = project["api_token"].as_str().expect("a token").to_owned();
    let event = |token: &str, time: &str| json!({"api_key": token, "batch": [{"event": "e", "distinct_id": "d", "timestamp": time}]});
    for _ in 0..3 {
        for unknown in ["phc_nosuch-one-of-many-letters", "not a token\u{7f}"] {
            watched.send("POST", "/batch/", &[], &event(unknown, "2026-01-01T00:00:00Z"));
        }
        watched.send("POST", "/batch/", &[], &event(&token, "yesterday"));
        watched.send("POST", "/batch/", &[], &event(&token, "2026-01-01T00:00:00Z"));
    }
    let lines = watched.lines();
    let count =
        |part: &str| lines.iter().filter(|line| line.contains(" WARN ") && line.contains(part)).count();
    assert_eq!(count("token=\"phc_nosuch-o\""), 1, "{lines:#?}");
    assert_eq!(count("token=\"-\""), 1, "{lines:#?}");
    assert_eq!(count("cannot be read"), 1, "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("many-letters") || line.contains("yesterday")));
}
