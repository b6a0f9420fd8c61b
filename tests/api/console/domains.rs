//! Domains and proxies as pages: what to set in the DNS, what it answered, and what follows.

use serde_json::{Value, json};

use super::{Browses, at, hides, refused, shows};
use crate::support::{NameServer, Org, Server, text};

fn with_dns() -> (Server, NameServer) {
    let dns = NameServer::start();
    (Server::with(|config| config.dns_server = Some(dns.address)), dns)
}

fn first(org: &Org, list: &str) -> Value {
    org.owner.get(&org.at(list)).results()[0].clone()
}

#[test]
fn a_domain_is_added_proved_switched_and_removed() {
    let (server, dns) = with_dns();
    let org = server.org();
    shows(&org.owner.page(&at(&org, "domains")), &["No domains yet", "Add domain"]);
    let new = at(&org, "domains/new");
    shows(&org.owner.page(&new), &["name=\"domain\"", "required"]);
    refused(&org.owner.submit(&new, &[("domain", "<nothing>")]), &["Domain: ", "value=\"&lt;nothing&gt;\""]);
    assert_eq!(org.owner.submit_without_token(&new, &[("domain", "a.example")]).status, 403);
    assert!(org.owner.get(&org.at("domains/")).results().is_empty());
    assert_eq!(org.owner.submit(&new, &[("domain", "acme.example")]).status, 303);
    let domain = first(&org, "domains/");
    let (path, challenge) =
        (at(&org, &format!("domains/{}", text(&domain["id"]))), text(&domain["verification_challenge"]));
    let page = org.owner.page(&path);
    shows(
        &page,
        &["Not verified yet", "value=\"_posthog-challenge.acme.example\"", "data-copy=\"txt-name\""],
    );
    shows(
        &page,
        &[&format!("value=\"{challenge}\""), "Check now", "_posthog-challenge.acme.example.acme.example"],
    );
    let check = || org.owner.submit(&path, &[("what", "check")]);
    let answer = check();
    assert_eq!(answer.status, 200, "{}", answer.text());
    shows(&answer.text(), &["There is no TXT record at _posthog-challenge.acme.example yet"]);
    dns.txt("_posthog-challenge.acme.example", &["\"<quoted>\"", "other"]);
    shows(&check().text(), &["answered with other values", "&lt;quoted&gt;", "other", &challenge]);
    dns.fails("_posthog-challenge.acme.example");
    shows(&check().text(), &["The DNS gave no answer"]);
    assert_eq!(first(&org, "domains/")["is_verified"], false);
    dns.forget("_posthog-challenge.acme.example");
    dns.txt("_posthog-challenge.acme.example", &[&challenge]);
    assert_eq!(check().status, 303);
    let page = org.owner.page(&path);
    shows(&page, &["Verified", "by themselves", "an address under no verified domain", &org.owner.email]);
    hides(&page, &["Check now", &challenge]);
    refused(&check(), &["already been verified"]);
    let save =
        [("what", "save"), ("boxes", "jit_provisioning_enabled"), ("jit_provisioning_enabled", "true")];
    assert_eq!(org.owner.submit(&path, &save).status, 303);
    assert_eq!(first(&org, "domains/")["jit_provisioning_enabled"], true);
    assert_eq!(org.owner.submit(&path, &save[..2]).status, 303);
    assert_eq!(first(&org, "domains/")["jit_provisioning_enabled"], false);
    shows(
        &org.owner.page(&at(&org, "audit?scopes=OrganizationDomain")),
        &["Domain updated", "Domain created"],
    );
    let delete = format!("{path}/delete");
    shows(&org.owner.page(&delete), &["Remove acme.example?", "What is lost"]);
    assert_eq!(org.owner.submit_without_token(&delete, &[]).status, 403);
    assert_eq!(org.owner.submit(&delete, &[]).status, 303);
    assert!(org.owner.get(&org.at("domains/")).results().is_empty());
}

#[test]
fn members_see_domains_and_proxies_and_change_none() {
    let (server, _dns) = with_dns();
    let org = server.org();
    let (member, stranger) = (org.member(&server), server.stranger());
    org.owner.post(&org.at("domains/"), json!({"domain": "acme.example"})).json(201);
    org.owner.post(&org.at("proxy_records/"), json!({"domain": "e.acme.example"})).json(201);
    let before = server.rows();
    for (list, one) in [
        ("domains", format!("domains/{}", text(&first(&org, "domains/")["id"]))),
        ("proxies", format!("proxies/{}", text(&first(&org, "proxy_records/")["id"]))),
    ] {
        hides(&member.page(&at(&org, list)), &["Add domain", "Add proxy"]);
        hides(&member.page(&at(&org, &one)), &["Check now", "Diagnose", "Remove domain", "Delete proxy"]);
        let new = format!("{list}/new");
        let delete = format!("{one}/delete");
        for path in [&new, &delete] {
            assert_eq!(member.open(&at(&org, path)).status, 403, "{path}");
        }
        let deeds: [(&str, &str); 5] =
            [(&new, "domain"), (&one, "check"), (&one, "retry"), (&one, "diagnose"), (&delete, "")];
        for (path, what) in deeds {
            let answer = member.submit(&at(&org, path), &[("what", what), ("domain", "b.example")]);
            assert!([403, 422].contains(&answer.status), "{path} {what}: {}", answer.status);
        }
        for path in [list, &one, &new, &delete] {
            assert_eq!(stranger.open(&at(&org, path)).status, 403, "{path}");
            assert_eq!(server.anyone().open(&at(&org, path)).status, 303, "{path}");
        }
    }
    assert_eq!(server.rows(), before);
}

#[test]
fn whoever_gave_their_password_long_ago_gives_it_again() {
    let (server, _dns) = with_dns();
    let org = server.org();
    org.owner.post(&org.at("domains/"), json!({"domain": "acme.example"})).json(201);
    let one = format!("domains/{}", text(&first(&org, "domains/")["id"]));
    server.pass_days(1);
    for path in ["domains/new", "proxies/new", &format!("{one}/delete"), "keys"] {
        let answer = org.owner.open(&at(&org, path));
        assert_eq!(answer.status, 303, "{path}");
        assert!(answer.header("location").starts_with("/login/again?next="), "{path}");
    }
    for (path, fields) in [
        ("domains/new".to_owned(), ("domain", "b.example")),
        (one.clone(), ("what", "check")),
        (format!("{one}/delete"), ("what", "")),
        ("proxies/new".to_owned(), ("domain", "b.example")),
    ] {
        assert_eq!(org.owner.submit(&at(&org, &path), &[fields]).status, 303, "{path}");
    }
    let again = org.owner.logged_in();
    assert_eq!(again.get(&org.at("domains/")).results().len(), 1);
    assert!(again.get(&org.at("proxy_records/")).results().is_empty());
}

#[test]
fn a_proxy_is_added_diagnosed_and_deleted() {
    let (server, dns) = with_dns();
    let org = server.org();
    shows(&org.owner.page(&at(&org, "proxies")), &["0 of at most 100", "No proxies yet"]);
    let new = at(&org, "proxies/new");
    refused(
        &org.owner.submit(&new, &[("domain", "https://e.acme.example/")]),
        &["Name: ", "with no protocol"],
    );
    assert_eq!(org.owner.submit(&new, &[("domain", "e.acme.example")]).status, 303);
    let record = first(&org, "proxy_records/");
    let path = at(&org, &format!("proxies/{}", text(&record["id"])));
    shows(
        &org.owner.page(&at(&org, "proxies")),
        &["1 of at most 100", "e.acme.example", "Waits for the CNAME"],
    );
    let page = org.owner.page(&path);
    shows(
        &page,
        &[&format!("value=\"{}\"", text(&record["target_cname"])), "data-copy=\"cname\"", "Diagnose"],
    );
    hides(&page, &["Retry"]);
    dns.cname("e.acme.example", "elsewhere.example");
    let answer = org.owner.submit(&path, &[("what", "diagnose")]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    shows(&answer.text(), &["Diagnosis", "CNAME record", "Failed", "Set the CNAME of e.acme.example to"]);
    refused(&org.owner.submit(&path, &[("what", "diagnose")]), &["The checks were run just now."]);
    refused(&org.owner.submit(&path, &[("what", "retry")]), &["Cannot retry proxy in waiting state."]);
    refused(&org.owner.submit(&path, &[("what", "")]), &["not a valid choice"]);
    let delete = format!("{path}/delete");
    shows(&org.owner.page(&delete), &["Delete e.acme.example?", "Delete proxy"]);
    assert_eq!(org.owner.submit_without_token(&delete, &[]).status, 403);
    assert_eq!(org.owner.submit(&delete, &[]).status, 303);
    assert!(org.owner.get(&org.at("proxy_records/")).results().is_empty());
}
