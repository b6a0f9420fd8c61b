//! What a seed makes, and what is wrong with one.

use orgd::org_file::export::Wish;
use orgd::org_file::plan::Options;
use serde_json::json;

use super::world::{WHOLE, lines};
use crate::support::Server;

#[test]
fn a_seed_makes_all_that_it_says() {
    let server = Server::start();
    let seeded = server.seed(WHOLE).unwrap();
    assert_eq!((seeded.organizations, seeded.users), (2, 3));
    assert_eq!(seeded.clock, Some(json!("2026-01-01T00:00:00Z")));
    assert!(seeded.faults.is_some() && seeded.dns.is_none());
    let ada = server.anyone().holding("phx_a_key_for_tests_only");
    let me = ada.get("/api/users/@me/").json(200);
    assert_eq!(me["uuid"], "01920000-0000-7000-8000-0000000000aa");
    assert_eq!((&me["first_name"], &me["is_2fa_enabled"]), (&json!("Ada"), &json!(true)));
    let project = ada.get("/api/projects/7/").json(200);
    assert_eq!((&project["name"], &project["api_token"]), (&json!("Website"), &json!("phc_of_the_website")));
    assert_eq!(project["session_recording_sample_rate"], "0.50");
    let domains = ada.get("/api/organizations/acme/domains/").json(200);
    assert_eq!(domains["results"][0]["is_verified"], true);
    assert_eq!(domains["results"][0]["jit_provisioning_enabled"], true);
    let members = ada.get("/api/organizations/acme/members/").json(200);
    assert_eq!(members["count"], 3);
    // The next project does not take a number that was given.
    let made = ada.post("/api/organizations/other/projects/", json!({"name": "Next"})).json(201);
    assert!(made["id"].as_u64() > Some(7), "{made}");
}

#[test]
fn what_a_seed_made_needs_no_change_and_its_export_neither() {
    let server = Server::start();
    server.seed(WHOLE).unwrap();
    let text = server.export(&Wish::default());
    let plan = server.plan_of(&text, Options::default()).unwrap_or_else(|cause| panic!("{cause:?}\n{text}"));
    assert_eq!(lines(&plan), [""; 0], "{text}");
    assert!(plan.is_empty(), "{plan:?}");
    for secret in ["its secret", "weak", "JBSWY3DPEHPK3PXP", "phx_a_key"] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[test]
fn an_export_makes_the_same_again() {
    let first = Server::start();
    first.seed(WHOLE).unwrap();
    let text = first.export(&Wish::default());
    let second = Server::start();
    let text = text
        .replace("env: ORGD_EXPORT_TO_THE_BUCKET_AWS_ACCESS_KEY_ID", "secret: id")
        .replace("env: ORGD_EXPORT_TO_THE_BUCKET_AWS_SECRET_ACCESS_KEY", "secret: its secret")
        .replace("    jit_provisioning_enabled: true\n", "    jit_provisioning_enabled: false\n");
    second.apply(&text, Options::default()).unwrap_or_else(|cause| panic!("{cause:?}\n{text}"));
    let plan = second.apply(&text, Options::default()).unwrap();
    assert_eq!(lines(&plan), [""; 0]);
    let known = |text: String| {
        text.replace("# verified", "# not verified")
            .replace("jit_provisioning_enabled: true", "jit_provisioning_enabled: false")
            .lines()
            .filter(|line| !line.contains("has a "))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(known(second.export(&Wish::default())), known(first.export(&Wish::default())));
}
