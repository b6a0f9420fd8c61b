//! Proxy records: their shape, and how they follow the DNS.

use std::time::{Duration, Instant};

use orgd::config::ProxyTls;
use orgd::store::Storage;
use serde_json::{Value, json};

use crate::support::{NameServer, Org, Server, text};

const SHAPE: &str = "Enter a domain name on its own, like e.example.com, with no protocol, port, or path.";
const TAKEN: &str = "proxy record with this domain already exists.";
const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

fn with_dns(tls: Option<ProxyTls>) -> (Server, NameServer) {
    let dns = NameServer::start();
    let server = Server::with(|config| {
        config.dns_server = Some(dns.address);
        config.proxy_base_cname = "proxy.orgd.test".into();
        config.proxy_tls = tls;
    });
    (server, dns)
}

/// A new record: its path and its target.
fn new_record(org: &Org, domain: &str) -> (String, String) {
    let made = org.owner.post(&org.at("proxy_records/"), json!({"domain": domain})).json(201);
    (org.at(&format!("proxy_records/{}/", text(&made["id"]))), text(&made["target_cname"]))
}

impl Server {
    fn pass_seconds(&self, seconds: u64) {
        self.pass(Duration::from_secs(seconds));
    }

    /// Status and message of a record, after every look that is due now.
    fn followed(&self, org: &Org, record: &str) -> (String, Value) {
        self.follow_proxies();
        let shown = org.owner.get(record).json(200);
        (text(&shown["status"]), shown["message"].clone())
    }

    /// The same some time later, and once more after the longest wait: the server's own task may have
    /// been about a look that began before the test changed the DNS.
    fn later(&self, seconds: u64, org: &Org, record: &str) -> (String, Value) {
        self.pass_seconds(seconds);
        self.follow_proxies();
        self.pass_seconds(HOUR + 1);
        self.followed(org, record)
    }
}

#[test]
fn a_record_has_exactly_the_fields_of_the_page() {
    let (server, _dns) = with_dns(None);
    let org = server.org();
    let number = org.owner.get(&org.at("members/")).results()[0]["user"]["id"].clone();
    let mut made = org.owner.post(&org.at("proxy_records/"), json!({"domain": "e.example.com"})).json(201);
    let shown = org.owner.get(&org.at(&format!("proxy_records/{}/", text(&made["id"])))).json(200);
    assert_eq!((&shown["target_cname"], &shown["created_at"]), (&made["target_cname"], &made["created_at"]));
    assert!(made["id"].take().is_string());
    assert!(made["created_at"].take().is_string() && made["updated_at"].take().is_string());
    let target = text(&made["target_cname"].take());
    let (front, base) = target.split_once('.').expect("a name");
    assert_eq!((front.len(), base), (20, "proxy.orgd.test"));
    assert!(front.bytes().all(|digit| digit.is_ascii_hexdigit()));
    assert_eq!(
        made,
        json!({
            "id": null,
            "domain": "e.example.com",
            "target_cname": null,
            "status": "waiting",
            "message": null,
            "created_at": null,
            "updated_at": null,
            "created_by": number,
        })
    );
}

#[test]
fn the_target_is_made_of_organization_and_name() {
    let server = Server::start();
    let (org, other) = (server.org(), server.org());
    let (record, target) = new_record(&org, "e.example.com");
    assert!(target.ends_with(".proxy.localhost"), "the base works on the machine itself: {target}");
    assert_ne!(new_record(&org, "f.example.com").1, target);
    org.owner.delete(&record).no_content();
    assert_ne!(new_record(&other, "e.example.com").1, target);
    other.owner.delete(&other.at("")).no_content();
    assert_eq!(new_record(&org, "e.example.com").1, target);
}

#[test]
fn records_are_listed_newest_first() {
    let server = Server::start();
    let org = server.org();
    for name in ["a.example.com", "b.example.com", "c.example.com"] {
        new_record(&org, name);
    }
    let names = |path: &str| -> Vec<String> {
        org.owner.get(&org.at(path)).results().iter().map(|row| text(&row["domain"])).collect()
    };
    assert_eq!(names("proxy_records/"), ["c.example.com", "b.example.com", "a.example.com"]);
    assert_eq!(names("proxy_records/?limit=1&offset=1"), ["b.example.com"]);
}

#[test]
fn a_domain_must_be_a_bare_host_name() {
    let server = Server::start();
    let org = server.org();
    let all = org.at("proxy_records/");
    for odd in [
        "localhost",
        "https://e.com",
        "e.com:443",
        "e.com/path",
        "127.0.0.1",
        "[::1]",
        "e..com",
        ".e.com",
        "e.com.",
        "-e.com",
        "e-.com",
        "e_x.com",
        "e x.com",
        "a@e.com",
        "1.2",
    ] {
        org.owner.post(&all, json!({"domain": odd})).invalid("domain", "invalid_input", SHAPE);
    }
    org.owner.post(&all, json!({})).invalid("domain", "required", "This field is required.");
    org.owner.post(&all, json!({"domain": ""})).invalid("domain", "blank", "This field may not be blank.");
    let long = "Ensure this field has no more than 64 characters.";
    org.owner.post(&all, json!({"domain": format!("{}.com", "x".repeat(61))})).invalid(
        "domain",
        "max_length",
        long,
    );
    assert_eq!(org.owner.get(&all).json(200)["count"], 0);
    org.owner.post(&all, json!({"domain": format!("{}.com", "x".repeat(60))})).json(201);
    // What was sent is what is shown, whatever its case.
    let made = org.owner.post(&all, json!({"domain": "E1-x.Example.com"})).json(201);
    assert_eq!(made["domain"], "E1-x.Example.com");
}

#[test]
fn a_domain_belongs_to_one_record_of_the_instance() {
    let server = Server::start();
    let org = server.org();
    let (record, _) = new_record(&org, "e.example.com");
    let body = json!({"domain": "E.example.com"});
    org.owner.post(&org.at("proxy_records/"), body.clone()).invalid("domain", "unique", TAKEN);
    let other = server.org();
    let (theirs, _) = new_record(&other, "f.example.com");
    other.owner.post(&other.at("proxy_records/"), body.clone()).invalid("domain", "unique", TAKEN);
    other.owner.patch(&theirs, body.clone()).invalid("domain", "unique", TAKEN);
    assert_eq!(org.owner.patch(&record, body.clone()).json(200)["domain"], "E.example.com");
    org.owner.delete(&record).no_content();
    org.owner.get(&record).not_found();
    other.owner.patch(&theirs, body).json(200);
}

#[test]
fn a_record_becomes_valid_when_its_cname_is_right_and_tls_ends_elsewhere() {
    let (server, dns) = with_dns(Some(ProxyTls::External));
    let org = server.org();
    let (record, target) = new_record(&org, "e.example.com");
    assert_eq!(server.followed(&org, &record), ("waiting".into(), json!(null)));
    dns.cname("e.example.com", &target.to_uppercase());
    assert_eq!(server.later(4, &org, &record), ("valid".into(), json!("")));
}

#[test]
fn without_tls_a_record_stays_issuing_and_says_what_is_missing() {
    let (server, dns) = with_dns(None);
    let org = server.org();
    let (record, target) = new_record(&org, "e.example.com");
    dns.cname("e.example.com", &target);
    let (status, message) = server.later(4, &org, &record);
    assert_eq!(status, "issuing");
    assert!(text(&message).contains("ORGD_PROXY_TLS=external"), "{message}");
    assert_eq!(server.later(2 * HOUR, &org, &record), (status, message));
}

#[test]
fn what_is_wrong_with_a_name_is_said() {
    let (server, dns) = with_dns(Some(ProxyTls::External));
    let org = server.org();
    let (record, target) = new_record(&org, "e.example.com");
    server.followed(&org, &record);
    dns.cname("e.example.com", "elsewhere.example.net");
    let (status, message) = server.later(MINUTE, &org, &record);
    assert_eq!(status, "waiting");
    let message = text(&message);
    assert!(message.contains("elsewhere.example.net") && message.contains(&target), "{message}");
    dns.a("e.example.com", [104, 16, 1, 1]);
    let (_, message) = server.later(MINUTE, &org, &record);
    assert!(text(&message).contains("Cloudflare proxying"), "{message}");
    dns.a("e.example.com", [192, 0, 2, 1]);
    assert_eq!(server.later(MINUTE, &org, &record), ("waiting".into(), json!("")));
    dns.fails("e.example.com");
    let (status, message) = server.later(MINUTE, &org, &record);
    assert_eq!(status, "waiting");
    assert!(text(&message).contains("gives no answer"), "{message}");
    dns.cname("e.example.com", &target);
    assert_eq!(server.later(MINUTE, &org, &record), ("valid".into(), json!("")));
}

/// A chain would mean that somebody else decides where the name leads.
#[test]
fn the_name_itself_must_lead_to_the_target() {
    let (server, dns) = with_dns(Some(ProxyTls::External));
    let org = server.org();
    let (record, target) = new_record(&org, "e.example.com");
    dns.cname("e.example.com", "between.example.com");
    dns.cname("between.example.com", &target);
    assert_eq!(server.later(MINUTE, &org, &record).0, "waiting");
}

#[test]
fn looks_are_repeated_at_growing_distances_for_seven_days() {
    let (server, dns) = with_dns(Some(ProxyTls::External));
    let org = server.org();
    let (record, target) = new_record(&org, "e.example.com");
    server.followed(&org, &record);
    let next = || {
        let (due, next) = server
            .app
            .store
            .read(|tx| orgd::resources::proxy_records::due(tx, server.app.clock.now(), 1))
            .expect("the store works");
        assert!(due.is_empty());
        let next = next.expect("a look will be due");
        u64::try_from((next.0 - server.app.clock.now().0) / 1_000_000).expect("it is to come")
    };
    let mut waits = Vec::new();
    while waits.last().is_none_or(|wait| *wait < 299) {
        waits.push(next());
        server.pass_seconds(next() + 1);
        assert_eq!(server.followed(&org, &record).0, "waiting");
        assert!(waits.len() < 100, "the distances grow: {waits:?}");
    }
    assert!(waits[0] <= 3, "{waits:?}");
    assert!(waits.windows(2).all(|pair| pair[0] <= pair[1] + 1), "{waits:?}");
    server.pass_seconds(next() + 1);
    server.followed(&org, &record);
    assert!(next() <= 300);
    server.pass_days(7);
    let (status, message) = server.followed(&org, &record);
    assert_eq!(status, "timed_out");
    assert!(text(&message).contains("7 days"), "{message}");
    // It is over: the right record comes too late.
    dns.cname("e.example.com", &target);
    assert_eq!(server.later(10 * HOUR, &org, &record).0, "timed_out");
    let again = org.owner.logged_in().post(&format!("{record}retry/"), json!({})).json(200);
    assert_eq!((&again["status"], &again["message"]), (&json!("waiting"), &json!(null)));
    assert_eq!(server.followed(&org, &record).0, "valid");
}

#[test]
fn a_valid_name_is_watched_and_recovers() {
    let (server, dns) = with_dns(Some(ProxyTls::External));
    let org = server.org();
    let (record, target) = new_record(&org, "e.example.com");
    dns.cname("e.example.com", &target);
    assert_eq!(server.later(4, &org, &record).0, "valid");
    org.owner.post(&format!("{record}retry/"), json!({})).invalid(
        None,
        "invalid_input",
        "Cannot retry proxy in valid state.",
    );
    dns.fails("e.example.com");
    assert_eq!(server.later(2 * HOUR, &org, &record), ("valid".into(), json!("")), "silence is no change");
    dns.forget("e.example.com");
    let (status, message) = server.later(2 * HOUR, &org, &record);
    assert_eq!(status, "erroring");
    assert!(text(&message).contains("has lost its CNAME"), "{message}");
    dns.cname("e.example.com", &target);
    org.owner.logged_in().post(&format!("{record}retry/"), json!({})).json(200);
    assert_eq!(server.followed(&org, &record), ("valid".into(), json!("")));
    dns.forget("e.example.com");
    assert_eq!(server.later(2 * HOUR, &org, &record).0, "erroring");
    dns.cname("e.example.com", &target);
    assert_eq!(server.later(2 * HOUR, &org, &record).0, "valid");
}

#[test]
fn another_name_starts_from_the_beginning_and_the_same_one_changes_nothing() {
    let (server, dns) = with_dns(Some(ProxyTls::External));
    let org = server.org();
    let (record, target) = new_record(&org, "e.example.com");
    dns.cname("e.example.com", &target);
    assert_eq!(server.later(4, &org, &record).0, "valid");
    let same = org.owner.patch(&record, json!({"domain": "e.example.com"})).json(200);
    assert_eq!(same, org.owner.get(&record).json(200));
    assert_eq!((&same, &same["status"]), (&org.owner.patch(&record, json!({})).json(200), &json!("valid")));
    org.owner.patch(&record, json!({"domain": "e.example.com/x"})).invalid("domain", "invalid_input", SHAPE);
    let other = org.owner.put(&record, json!({"domain": "f.example.com"})).json(200);
    assert_eq!((&other["status"], &other["domain"]), (&json!("waiting"), &json!("f.example.com")));
    assert_ne!(other["target_cname"], json!(target));
    new_record(&org, "e.example.com");
    dns.cname("f.example.com", &text(&other["target_cname"]));
    assert_eq!(server.later(4, &org, &record).0, "valid");
}

#[test]
fn a_record_that_was_set_up_is_taken_down_before_it_goes() {
    let (server, dns) = with_dns(Some(ProxyTls::External));
    let org = server.org();
    let (record, target) = new_record(&org, "e.example.com");
    dns.cname("e.example.com", &target);
    assert_eq!(server.later(4, &org, &record).0, "valid");
    org.owner.delete(&record).no_content();
    server.follow_proxies();
    org.owner.get(&record).not_found();
    org.owner.delete(&record).not_found();
    new_record(&org, "e.example.com");
}

#[test]
fn with_a_dead_resolver_nothing_waits_and_nothing_is_lost() {
    let (server, dns) = with_dns(Some(ProxyTls::External));
    let org = server.org();
    dns.is_silent_about("e.example.com");
    let started = Instant::now();
    let (record, target) = new_record(&org, "e.example.com");
    org.owner.get(&record).json(200);
    assert!(started.elapsed().as_secs() < 5, "no request waits for the DNS");
    let (status, message) = server.followed(&org, &record);
    assert_eq!(status, "waiting");
    assert!(text(&message).contains("gives no answer"), "{message}");
    dns.cname("e.example.com", &target);
    assert_eq!(server.later(4, &org, &record).0, "valid");
}

#[test]
fn what_was_waited_for_is_waited_for_after_a_restart() {
    let dns = NameServer::start();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("orgd.redb");
    let settings = |config: &mut orgd::config::Config| {
        config.dns_server = Some(dns.address);
        config.proxy_tls = Some(ProxyTls::External);
    };
    let server = Server::open(Storage::File(path.clone()), settings);
    let org = server.org();
    let (record, target) = new_record(&org, "e.example.com");
    assert_eq!(server.followed(&org, &record).0, "waiting");
    drop(server);
    dns.cname("e.example.com", &target);
    let server = Server::open(Storage::File(path.clone()), settings);
    let mut org = org;
    org.owner.address = server.address;
    assert_eq!(server.later(4, &org, &record).0, "valid");
}

#[test]
fn members_read_and_admins_write() {
    let server = Server::start();
    let org = server.org();
    let (record, _) = new_record(&org, "e.example.com");
    let (member, admin, stranger) = (org.member(&server), org.admin(&server), server.stranger());
    member.get(&org.at("proxy_records/")).json(200);
    member.get(&record).json(200);
    member.post(&org.at("proxy_records/"), json!({"domain": "f.example.com"})).level_too_low();
    member.patch(&record, json!({"domain": "f.example.com"})).level_too_low();
    member.post(&format!("{record}retry/"), json!({})).level_too_low();
    member.delete(&record).level_too_low();
    stranger.get(&record).forbidden();
    let foreign = record.replace(&org.id, "@current");
    stranger.get(&foreign).not_found();
    stranger.patch(&foreign, json!({"domain": "f.example.com"})).not_found();
    stranger.post(&format!("{foreign}retry/"), json!({})).not_found();
    stranger.delete(&foreign).not_found();
    stranger.get("/api/organizations/@current/proxy_records/nope/").not_found();
    assert_eq!(org.owner.get(&record).json(200)["domain"], "e.example.com");
    admin.delete(&record).no_content();
}

#[test]
fn a_record_is_tried_again_only_where_that_can_help() {
    let (server, dns) = with_dns(None);
    let org = server.org();
    let (record, target) = new_record(&org, "e.example.com");
    let retry = || org.owner.logged_in().post(&format!("{record}retry/"), json!({}));
    let refused = |state: &str| {
        retry().invalid(None, "invalid_input", &format!("Cannot retry proxy in {state} state."));
        assert_eq!(org.owner.get(&record).json(200)["status"], json!(state));
    };
    refused("waiting");
    dns.cname("e.example.com", &target);
    assert_eq!(server.later(4, &org, &record).0, "issuing");
    refused("issuing");
    dns.forget("e.example.com");
    assert_eq!(server.later(2 * HOUR, &org, &record).0, "erroring");
    let again = retry().json(200);
    assert_eq!((&again["status"], &again["message"]), (&json!("waiting"), &json!(null)));
}

#[test]
fn an_organization_has_so_many_records_and_a_list_says_how_many() {
    let server = Server::start();
    let org = server.org();
    let all = org.at("proxy_records/");
    let post = |place: usize| org.owner.post(&all, json!({"domain": format!("e{place}.example.com")}));
    for place in 0..100 {
        post(place).json(201);
    }
    post(100).invalid(None, "invalid_input", "Maximum of 100 proxy records per organization.");
    let listed = org.owner.get(&format!("{all}?limit=1")).json(200);
    assert_eq!((&listed["count"], &listed["max_proxy_records"]), (&json!(100), &json!(100)));
    assert!(listed["next"].is_string() && listed["previous"].is_null(), "{listed}");
    let last = text(&listed["results"][0]["id"]);
    org.owner.delete(&format!("{all}{last}/")).no_content();
    post(100).json(201);
}

#[test]
fn changes_take_a_recent_log_in() {
    let server = Server::start();
    let org = server.org();
    let (record, _) = new_record(&org, "e.example.com");
    let key = org.owner.key(&["organization:write"]);
    server.pass_seconds(6 * HOUR + 1);
    let stale = "This action requires you to be recently authenticated.";
    let body = json!({"domain": "f.example.com"});
    org.owner.post(&org.at("proxy_records/"), body.clone()).denied(stale);
    org.owner.patch(&record, body.clone()).denied(stale);
    org.owner.post(&format!("{record}retry/"), json!({})).denied(stale);
    org.owner.delete(&record).denied(stale);
    assert_eq!(org.owner.get(&record).json(200)["domain"], "e.example.com");
    key.patch(&record, body).json(200);
    org.owner.logged_in().delete(&record).no_content();
}

/// Status and primary issue, and the status of each check by its name.
fn diagnosed(answer: &Value) -> (Value, Value, Vec<(String, String)>) {
    let checks = answer["checks"].as_array().expect("checks").iter();
    let checks = checks.map(|check| (text(&check["id"]), text(&check["status"]))).collect();
    (answer["summary"]["status"].clone(), answer["summary"]["primary_issue"].clone(), checks)
}

#[test]
fn a_diagnosis_runs_its_checks_and_changes_nothing() {
    let (server, dns) = with_dns(None);
    let org = server.org();
    let (record, target) = new_record(&org, "e.orgd.example");
    let diagnose = || {
        server.pass_seconds(30);
        server.follow_proxies();
        let before = org.owner.get(&record).json(200);
        let answer = org.owner.logged_in().post(&format!("{record}diagnose/"), json!({})).json(200);
        assert_eq!(org.owner.get(&record).json(200), before);
        answer
    };
    let of = |cname: &str, cloudflare: &str, live: &str| -> Vec<(String, String)> {
        let skipped = "skipped";
        let checks = [
            ("cname", cname),
            ("cloudflare", cloudflare),
            ("caa", skipped),
            ("http_challenge", skipped),
            ("live_event", live),
            ("cert_expiry", skipped),
        ];
        checks.iter().map(|(id, status)| ((*id).to_owned(), (*status).to_owned())).collect()
    };
    let fail = (json!("fail"), json!("cname"));
    let (status, issue, checks) = diagnosed(&diagnose());
    assert_eq!(((status, issue), checks), (fail.clone(), of("failed", "passed", "skipped")));
    dns.cname("e.orgd.example", "elsewhere.example.net");
    let answer = diagnose();
    let (status, issue, checks) = diagnosed(&answer);
    assert_eq!(((status, issue), checks), (fail.clone(), of("failed", "passed", "skipped")));
    assert!(text(&answer["checks"][0]["detail"]).contains("elsewhere.example.net"), "{answer}");
    let needed = json!([{"name": "e.orgd.example", "type": "CNAME", "value": target}]);
    assert_eq!(answer["checks"][0]["remediation"]["records"], needed);
    assert_eq!(answer["checks"][0]["remediation"]["summary"], answer["summary"]["next_action"]);
    assert!(answer["ran_at"].is_string(), "{answer}");
    dns.a("e.orgd.example", [104, 16, 1, 1]);
    let (status, issue, checks) = diagnosed(&diagnose());
    assert_eq!(((status, issue), checks), (fail, of("failed", "warned", "skipped")));
    dns.fails("e.orgd.example");
    let (status, issue, checks) = diagnosed(&diagnose());
    assert_eq!((status, issue), (json!("warn"), json!("cname")));
    assert_eq!(checks, of("warned", "skipped", "skipped"));
    dns.cname("e.orgd.example", &target);
    let (status, issue, checks) = diagnosed(&diagnose());
    assert_eq!((status, issue, checks), (json!("healthy"), json!(null), of("passed", "passed", "skipped")));
}

#[test]
fn a_diagnosis_of_a_valid_record_requests_its_name() {
    let (server, dns) = with_dns(Some(ProxyTls::External));
    let org = server.org();
    // Nothing answers there, whatever the machine's own resolver says.
    let (record, target) = new_record(&org, "e.orgd.example");
    dns.cname("e.orgd.example", &target);
    assert_eq!(server.later(4, &org, &record).0, "valid");
    let answer = org.owner.post(&format!("{record}diagnose/"), json!({})).json(200);
    let (status, issue, checks) = diagnosed(&answer);
    assert_eq!((status, issue), (json!("fail"), json!("live_event")));
    assert_eq!(checks[4], ("live_event".to_owned(), "failed".to_owned()));
}

#[test]
fn a_diagnosis_runs_for_admins_and_once_in_a_while() {
    let (server, _dns) = with_dns(None);
    let org = server.org();
    let (record, _) = new_record(&org, "e.example.com");
    let (other, _) = new_record(&org, "f.example.com");
    let run =
        |person: &crate::support::Person, record: &str| person.post(&format!("{record}diagnose/"), json!({}));
    run(&org.member(&server), &record).level_too_low();
    run(&server.stranger(), &record).forbidden();
    run(&org.owner.key(&["organization:read"]), &record)
        .denied("API key missing required scope 'organization:write'");
    run(&org.owner, &org.at("proxy_records/3e9c5de9-1765-454a-bd9a-3c5e67ed9a23/")).not_found();
    run(&org.owner, &record).json(200);
    let again = run(&org.owner, &record);
    let wait = "A diagnostic was just run for this proxy. Please wait a few seconds before trying again.";
    again.refused(429, "throttled_error", "throttled", wait, None);
    assert_eq!(again.header("retry-after"), "30");
    run(&org.owner, &other).json(200);
    run(&org.admin(&server), &record).json(200);
    server.pass_seconds(30);
    run(&org.owner, &record).json(200);
}
