//! Domains: their shape, their proof by DNS, and what they mean.

use std::time::Instant;

use serde_json::{Value, json};

use crate::support::{NameServer, Org, PASSWORD, Person, Server, text};

const SHAPE: &str = "Please enter a valid domain or subdomain name.";
const TAKEN: &str = "domain with this domain already exists.";
const UNVERIFIED: &str = "This attribute cannot be updated until the domain is verified.";

fn with_dns() -> (Server, NameServer) {
    let dns = NameServer::start();
    (Server::with(|config| config.dns_server = Some(dns.address)), dns)
}

/// A new domain: its path and its challenge.
fn new_domain(org: &Org, name: &str) -> (String, String) {
    let made = org.owner.post(&org.at("domains/"), json!({"domain": name})).json(201);
    (org.at(&format!("domains/{}/", text(&made["id"]))), text(&made["verification_challenge"]))
}

fn verify(person: &Person, domain: &str) -> Value {
    person.post(&format!("{domain}verify/"), json!({})).json(200)["is_verified"].clone()
}

/// A domain that is proved.
pub fn verified_domain(org: &Org, dns: &NameServer, name: &str) -> String {
    let (domain, challenge) = new_domain(org, name);
    dns.txt(&format!("_posthog-challenge.{name}"), &[&challenge]);
    assert_eq!(verify(&org.owner, &domain), true);
    domain
}

#[test]
fn a_domain_has_exactly_the_fields_of_the_page() {
    let server = Server::start();
    let org = server.org();
    let mut made = org.owner.post(&org.at("domains/"), json!({"domain": " acme.example.com "})).json(201);
    let shown = org.owner.get(&org.at(&format!("domains/{}/", text(&made["id"])))).json(200);
    assert_eq!(shown, made);
    assert!(made["id"].take().is_string());
    let challenge = text(&made["verification_challenge"].take());
    assert_eq!(challenge.len(), 43);
    assert!(challenge.bytes().all(|letter| letter.is_ascii_alphanumeric() || b"-_".contains(&letter)));
    assert_eq!(
        made,
        json!({
            "id": null,
            "domain": "acme.example.com",
            "is_verified": false,
            "verified_at": null,
            "verification_challenge": null,
            "jit_provisioning_enabled": false,
            "sso_enforcement": "",
            "has_saml": false,
            "saml_entity_id": null,
            "saml_acs_url": null,
            "saml_x509_cert": null,
        })
    );
}

#[test]
fn domains_are_listed_by_name() {
    let server = Server::start();
    let org = server.org();
    for name in ["zoo.com", "ape.com", "fox.com"] {
        new_domain(&org, name);
    }
    let names = |path: &str| -> Vec<String> {
        org.owner.get(&org.at(path)).results().iter().map(|row| text(&row["domain"])).collect()
    };
    assert_eq!(names("domains/"), ["ape.com", "fox.com", "zoo.com"]);
    assert_eq!(names("domains/?limit=1&offset=1"), ["fox.com"]);
}

#[test]
fn a_name_must_be_one_and_is_claimed_once_by_an_organization() {
    let server = Server::start();
    let org = server.org();
    let all = org.at("domains/");
    for odd in ["acme", "Acme.com", "a@acme.com", "--alpha.com", "one.two.c", "münchen", "https://acme.com"]
    {
        org.owner.post(&all, json!({"domain": odd})).invalid("domain", "invalid_input", SHAPE);
    }
    let long = "Ensure this field has no more than 128 characters.";
    org.owner.post(&all, json!({"domain": "x".repeat(129)})).invalid("domain", "max_length", long);
    org.owner.post(&all, json!({})).invalid("domain", "required", "This field is required.");
    assert_eq!(org.owner.get(&all).json(200)["count"], 0);
    let (domain, _) = new_domain(&org, "acme.com");
    org.owner.post(&all, json!({"domain": "acme.com"})).invalid("domain", "unique", TAKEN);
    assert_eq!(org.owner.get(&all).json(200)["count"], 1);
    org.owner.delete(&domain).no_content();
    org.owner.get(&domain).not_found();
    new_domain(&org, "acme.com");
}

#[test]
fn a_claim_without_proof_blocks_nobody_and_the_one_who_proves_it_wins() {
    let (server, dns) = with_dns();
    let (squatter, org, late) = (server.org(), server.org(), server.org());
    let (claim, squatters_challenge) = new_domain(&squatter, "acme.com");
    let domain = verified_domain(&org, &dns, "acme.com");
    late.owner.post(&late.at("domains/"), json!({"domain": "acme.com"})).invalid("domain", "unique", TAKEN);
    let shown = squatter.owner.get(&claim).json(200);
    assert_eq!((&shown["is_verified"], &shown["domain"]), (&json!(false), &json!("acme.com")));
    squatter.owner.patch(&claim, json!({"jit_provisioning_enabled": true})).invalid(
        "jit_provisioning_enabled",
        "verification_required",
        UNVERIFIED,
    );
    assert_eq!(verify(&squatter.owner, &claim), false);
    // Even with a record: the first proof holds.
    dns.txt("_posthog-challenge.acme.com", &[&squatters_challenge]);
    squatter.owner.post(&format!("{claim}verify/"), json!({})).invalid("domain", "unique", TAKEN);
    assert_eq!(squatter.owner.get(&claim).json(200)["verified_at"], json!(null));
    assert_eq!(org.owner.get(&domain).json(200)["is_verified"], true);
    // Taking an unproved claim back leaves the proved one alone.
    squatter.owner.delete(&claim).no_content();
    late.owner.post(&late.at("domains/"), json!({"domain": "acme.com"})).invalid("domain", "unique", TAKEN);
    org.owner.delete(&domain).no_content();
    let (claim, challenge) = new_domain(&late, "acme.com");
    dns.txt("_posthog-challenge.acme.com", &[&challenge]);
    assert_eq!(verify(&late.owner, &claim), true);
}

#[test]
fn of_many_who_prove_one_name_at_once_one_wins() {
    let (server, dns) = with_dns();
    let orgs: Vec<Org> = (0..4).map(|_| server.org()).collect();
    let claims: Vec<(String, String)> = orgs.iter().map(|org| new_domain(org, "acme.com")).collect();
    let challenges: Vec<&str> = claims.iter().map(|(_, challenge)| challenge.as_str()).collect();
    dns.txt("_posthog-challenge.acme.com", &challenges);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let tries: Vec<_> = orgs
            .iter()
            .zip(&claims)
            .map(|(org, (claim, _))| {
                scope.spawn(move || org.owner.post(&format!("{claim}verify/"), json!({})).status)
            })
            .collect();
        tries.into_iter().map(|one| one.join().expect("no panic")).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    let verified = orgs
        .iter()
        .zip(&claims)
        .filter(|(org, (claim, _))| org.owner.get(claim).json(200)["is_verified"] == true);
    assert_eq!(verified.count(), 1);
}

#[test]
fn people_join_who_proved_the_domain_and_not_who_claims_it() {
    let dns = NameServer::start();
    let server = Server::with(|config| {
        config.dns_server = Some(dns.address);
        config.jit_signup = true;
    });
    let (squatter, org) = (server.org(), server.org());
    new_domain(&squatter, "acme.com");
    assert_eq!(sign_up(&server, "early@acme.com")["organization"]["name"], "Own");
    let domain = verified_domain(&org, &dns, "acme.com");
    org.owner.patch(&domain, json!({"jit_provisioning_enabled": true})).json(200);
    assert_eq!(sign_up(&server, "in@acme.com")["organization"]["id"], json!(org.id));
    squatter.owner.delete(&squatter.at("")).no_content();
    assert_eq!(sign_up(&server, "also@acme.com")["organization"]["id"], json!(org.id));
}

#[test]
fn a_new_domain_drops_what_needs_a_proof_but_keeps_saml() {
    let server = Server::start();
    let org = server.org();
    let made = org.owner.post(
        &org.at("domains/"),
        json!({
            "domain": "acme.com",
            "jit_provisioning_enabled": true,
            "sso_enforcement": "saml",
            "verified_at": "2020-01-01T00:00:00Z",
            "verification_challenge": "mine",
            "saml_entity_id": "entity",
            "saml_acs_url": "url",
            "saml_x509_cert": "cert",
        }),
    );
    let made = made.json(201);
    assert_eq!((&made["jit_provisioning_enabled"], &made["sso_enforcement"]), (&json!(false), &json!("")));
    assert_eq!((&made["verified_at"], &made["has_saml"]), (&json!(null), &json!(true)));
    assert_ne!(made["verification_challenge"], "mine");
    let odd =
        org.owner.post(&org.at("domains/"), json!({"domain": "b.com", "jit_provisioning_enabled": "maybe"}));
    odd.invalid("jit_provisioning_enabled", "invalid_input", "Must be a valid boolean.");
}

#[test]
fn what_needs_a_proof_waits_for_it() {
    let (server, dns) = with_dns();
    let org = server.org();
    let (domain, challenge) = new_domain(&org, "acme.com");
    for (field, same) in [("jit_provisioning_enabled", json!(false)), ("sso_enforcement", json!(""))] {
        org.owner.patch(&domain, json!({field: same})).invalid(field, "verification_required", UNVERIFIED);
    }
    let both = json!({"sso_enforcement": "saml", "jit_provisioning_enabled": true});
    let refused = org.owner.patch(&domain, both.clone());
    refused.invalid("jit_provisioning_enabled", "verification_required", UNVERIFIED);
    let put = org.owner.put(&domain, json!({"domain": "acme.com", "sso_enforcement": ""}));
    put.invalid("sso_enforcement", "verification_required", UNVERIFIED);
    let saml =
        org.owner.patch(&domain, json!({"saml_entity_id": "e", "saml_acs_url": "", "saml_x509_cert": "c"}));
    assert_eq!(saml.json(200)["has_saml"], false);
    dns.txt("_posthog-challenge.acme.com", &[&challenge]);
    assert_eq!(verify(&org.owner, &domain), true);
    let changed = org.owner.patch(&domain, both).json(200);
    assert_eq!(
        (&changed["jit_provisioning_enabled"], &changed["sso_enforcement"]),
        (&json!(true), &json!("saml"))
    );
    org.owner.patch(&domain, json!({"sso_enforcement": null})).invalid(
        "sso_enforcement",
        "null",
        "This field may not be null.",
    );
    // Enforcement without an identity provider is shown, not acted upon.
    org.owner.logged_in();
}

#[test]
fn a_name_cannot_be_changed_and_its_proof_stays_with_it() {
    let (server, dns) = with_dns();
    let org = server.org();
    let domain = verified_domain(&org, &dns, "acme.com");
    let changed = org.owner.patch(&domain, json!({"domain": "other.com"})).json(200);
    assert_eq!((&changed["domain"], &changed["is_verified"]), (&json!("acme.com"), &json!(true)));
    org.owner.put(&domain, json!({"domain": "other.com"})).json(200);
    org.owner.put(&domain, json!({})).invalid("domain", "required", "This field is required.");
    assert_eq!(org.owner.get(&domain).json(200)["domain"], "acme.com");
}

#[test]
fn the_right_record_proves_a_domain_once() {
    let (server, dns) = with_dns();
    let org = server.org();
    let (domain, challenge) = new_domain(&org, "acme.com");
    assert_eq!(verify(&org.owner, &domain), false);
    dns.txt("_posthog-challenge.acme.com", &[&challenge]);
    // The body is ignored.
    let answer = org.owner.post(&format!("{domain}verify/"), json!({"domain": 7})).json(200);
    assert_eq!(answer["is_verified"], true);
    assert!(answer["verified_at"].is_string());
    assert_eq!(org.owner.get(&domain).json(200), answer);
    let again = org.owner.post(&format!("{domain}verify/"), json!({}));
    again.invalid(None, "already_verified", "This domain has already been verified.");
    dns.forget("_posthog-challenge.acme.com");
    assert_eq!(org.owner.get(&domain).json(200), answer);
}

#[test]
fn only_the_exact_challenge_at_its_place_is_a_proof() {
    let (server, dns) = with_dns();
    let org = server.org();
    let (domain, challenge) = new_domain(&org, "acme.com");
    let place = "_posthog-challenge.acme.com";
    dns.txt("acme.com", &[&challenge]);
    assert_eq!(verify(&org.owner, &domain), false, "on the bare name");
    dns.txt(place, &["something else"]);
    assert_eq!(verify(&org.owner, &domain), false, "another value");
    dns.txt(place, &[&format!("{challenge}x")]);
    assert_eq!(verify(&org.owner, &domain), false, "more than the challenge");
    let (front, back) = challenge.split_at(20);
    dns.split_txt(place, &[front, back]);
    assert_eq!(verify(&org.owner, &domain), false, "in pieces");
    dns.split_txt(place, &[&challenge, "and more"]);
    assert_eq!(verify(&org.owner, &domain), true, "the first string counts");
}

#[test]
fn one_of_several_records_is_enough() {
    let (server, dns) = with_dns();
    let org = server.org();
    let (domain, challenge) = new_domain(&org, "acme.com");
    dns.txt("_posthog-challenge.acme.com", &["v=spf1 -all", "another", &challenge]);
    assert_eq!(verify(&org.owner, &domain), true);
}

#[test]
fn a_cname_in_front_is_followed() {
    let (server, dns) = with_dns();
    let org = server.org();
    let (domain, challenge) = new_domain(&org, "acme.com");
    dns.cname("_posthog-challenge.acme.com", "proofs.elsewhere.net");
    assert_eq!(verify(&org.owner, &domain), false);
    dns.txt("proofs.elsewhere.net", &[&challenge]);
    assert_eq!(verify(&org.owner, &domain), true);
}

#[test]
fn an_answer_too_long_for_a_datagram_is_asked_for_by_tcp() {
    let (server, dns) = with_dns();
    let org = server.org();
    let (domain, challenge) = new_domain(&org, "acme.com");
    dns.txt("_posthog-challenge.acme.com", &[&"x".repeat(200), &challenge]);
    dns.truncates("_posthog-challenge.acme.com");
    assert_eq!(verify(&org.owner, &domain), true);
    assert!(dns.asked_by_tcp() > 0);
}

#[test]
fn failure_and_silence_of_the_dns_prove_nothing_and_do_not_last() {
    let (server, dns) = with_dns();
    let org = server.org();
    let (domain, challenge) = new_domain(&org, "acme.com");
    dns.fails("_posthog-challenge.acme.com");
    assert_eq!(verify(&org.owner, &domain), false);
    dns.is_silent_about("_posthog-challenge.acme.com");
    let started = Instant::now();
    assert_eq!(verify(&org.owner, &domain), false);
    assert!(started.elapsed().as_secs() < 5, "an answer within five seconds is promised");
    assert_eq!(org.owner.get(&domain).json(200)["verified_at"], json!(null));
    dns.txt("_posthog-challenge.acme.com", &[&challenge]);
    assert_eq!(verify(&org.owner, &domain), true);
}

#[test]
fn members_read_and_admins_write() {
    let server = Server::start();
    let org = server.org();
    let (domain, _) = new_domain(&org, "acme.com");
    let (member, admin, stranger) = (org.member(&server), org.admin(&server), server.stranger());
    member.get(&domain).json(200);
    member.post(&org.at("domains/"), json!({"domain": "b.com"})).level_too_low();
    member.patch(&domain, json!({})).level_too_low();
    member.delete(&domain).level_too_low();
    member.post(&format!("{domain}verify/"), json!({})).level_too_low();
    stranger.get(&domain).forbidden();
    stranger.post(&format!("{domain}verify/"), json!({})).forbidden();
    let foreign = domain.replace(&org.id, "@current");
    stranger.get(&foreign).not_found();
    stranger.patch(&foreign, json!({})).not_found();
    stranger.delete(&foreign).not_found();
    stranger.post(&format!("{foreign}verify/"), json!({})).not_found();
    assert_eq!(org.owner.get(&org.at("domains/")).json(200)["count"], 1);
    let reader = admin.key(&["organization:read"]);
    reader
        .post(&format!("{domain}verify/"), json!({}))
        .denied("API key missing required scope 'organization:write'");
    assert_eq!(verify(&admin.key(&["organization:write"]), &domain), false);
    admin.delete(&domain).no_content();
}

#[test]
fn a_name_is_free_again_when_its_organization_goes() {
    let server = Server::start();
    let org = server.org();
    new_domain(&org, "acme.com");
    org.owner.delete(&org.at("")).no_content();
    new_domain(&server.org(), "acme.com");
}

/// Signs up with this address; the answer of `/api/users/@me/`.
fn sign_up(server: &Server, email: &str) -> Value {
    let anyone = server.anyone();
    let body = json!({"first_name": "New", "email": email, "password": PASSWORD, "organization_name": "Own"});
    let answer = anyone.post("/api/signup/", body);
    answer.json(201);
    anyone.with_cookies_of(&answer).me()
}

#[test]
fn an_unproved_address_joins_nobody() {
    let (server, dns) = with_dns();
    let org = server.org();
    let domain = verified_domain(&org, &dns, "acme.com");
    org.owner.patch(&domain, json!({"jit_provisioning_enabled": true})).json(200);
    let me = sign_up(&server, "eve@acme.com");
    assert_eq!((&me["organization"]["name"], &me["organizations"][1]), (&json!("Own"), &json!(null)));
    assert_eq!(org.owner.get(&org.at("members/")).json(200)["count"], 1);
}

#[test]
fn where_addresses_are_believed_a_proved_domain_takes_its_people_in() {
    let dns = NameServer::start();
    let server = Server::with(|config| {
        config.dns_server = Some(dns.address);
        config.jit_signup = true;
    });
    let org = server.org();
    let (unproved, _) = new_domain(&org, "unproved.com");
    let domain = verified_domain(&org, &dns, "acme.com");
    assert_eq!(sign_up(&server, "off@acme.com")["organization"]["name"], "Own");
    org.owner.patch(&domain, json!({"jit_provisioning_enabled": true})).json(200);
    org.invite("in@acme.com", 8);
    let me = sign_up(&server, "in@ACME.com");
    assert_eq!((&me["organization"]["id"], &me["organizations"][1]), (&json!(org.id), &json!(null)));
    assert_eq!(
        (&me["organization"]["membership_level"], &me["team"]["id"]),
        (&json!(1), &json!(org.project))
    );
    assert_eq!(org.owner.get(&org.at("invites/")).json(200)["count"], 0);
    for elsewhere in ["x@unproved.com", "x@sub.acme.com", "x@acme.com.evil.net", "acme.com@evil.net"] {
        assert_eq!(sign_up(&server, elsewhere)["organization"]["name"], "Own", "{elsewhere}");
    }
    org.owner.delete(&domain).no_content();
    org.owner.delete(&unproved).no_content();
    assert_eq!(sign_up(&server, "late@acme.com")["organization"]["name"], "Own");
    assert_eq!(org.owner.get(&org.at("members/")).json(200)["count"], 2);
}

#[test]
fn a_closed_server_still_takes_in_the_people_of_a_proved_domain() {
    let dns = NameServer::start();
    let server = Server::with(|config| {
        config.dns_server = Some(dns.address);
        config.jit_signup = true;
        config.open_signup = false;
    });
    let org = server.org();
    let domain = verified_domain(&org, &dns, "acme.com");
    org.owner.patch(&domain, json!({"jit_provisioning_enabled": true})).json(200);
    assert_eq!(sign_up(&server, "in@acme.com")["organization"]["id"], json!(org.id));
    let body = json!({"first_name": "New", "email": "out@other.com", "password": PASSWORD});
    assert_eq!(server.anyone().post("/api/signup/", body).status, 403);
}
