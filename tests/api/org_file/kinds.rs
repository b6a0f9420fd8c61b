//! Every kind of thing: made, changed, renamed, kept, removed.

use orgd::org_file::export::Wish;
use orgd::org_file::plan::Options;

use super::world::{WHOLE, lines};
use crate::support::Server;

/// A file about the organization of the seed.
fn acme(rest: &str) -> String {
    format!("orgd: 1\norganizations:\n  - slug: acme\n{rest}")
}

fn pruning(kinds: &[&str]) -> Options {
    Options { prune: kinds.iter().map(|kind| (*kind).to_owned()).collect(), ..Options::default() }
}

struct Case {
    what: &'static str,
    file: &'static str,
    prune: &'static [&'static str],
    wanted: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        what: "settings, and null resets",
        file: "    name: Acme Inc.\n    settings: {enforce_2fa: null, members_can_invite: false}\n",
        prune: &[],
        wanted: &["update organization Acme name=\"Acme\">\"Acme Inc.\" enforce_2fa=true>null"],
    },
    Case {
        what: "no default role",
        file: "    default_role: null\n",
        prune: &[],
        wanted: &["update organization Acme default_role=\"Engineers\">null"],
    },
    Case {
        what: "levels, up before down",
        file: "    members: [{email: grace@example.com, level: member}, {email: Kay@Example.com, level: owner}]\n",
        prune: &[],
        wanted: &[
            "update member kay@example.com level=\"member\">\"owner\"",
            "update member grace@example.com level=\"admin\">\"member\"",
        ],
    },
    Case {
        what: "a member is invited",
        file: "    members: [{email: new@example.com, level: admin, invite: true}]\n",
        prune: &[],
        wanted: &["add invite new@example.com level=->\"admin\""],
    },
    Case {
        what: "members are removed",
        file: "    members: [{email: ada@example.com}]\n",
        prune: &["members"],
        wanted: &["remove member grace@example.com", "remove member kay@example.com"],
    },
    Case {
        what: "a role is made, one renamed, one removed",
        file: "    roles: [{name: Builders, was: Engineers, members: [kay@example.com]}, {name: New, members: [ada@example.com]}]\n",
        prune: &["roles"],
        wanted: &[
            "update role Engineers name=\"Engineers\">\"Builders\"",
            "add role New members=->[\"ada@example.com\"]",
            "remove role Writers",
            "add role member kay@example.com role=->\"Builders\"",
            "remove role member grace@example.com role=->\"Builders\"",
        ],
    },
    Case {
        what: "an earlier name may stay for ever",
        file: "    roles: [{name: Engineers, was: Writers}]\n",
        prune: &[],
        wanted: &[],
    },
    Case {
        what: "a project is renamed and set",
        file: "    projects: [{name: Site, was: Website, timezone: UTC, settings: {session_replay_config: {ai_config: {opt_in: true}}}}]\n",
        prune: &[],
        wanted: &[
            "update project Website session_replay_config.ai_config=null>{\"opt_in\":true} name=\"Website\">\"Site\" timezone=\"Europe/Lisbon\">\"UTC\"",
        ],
    },
    Case {
        what: "projects are made and removed",
        file: "    projects: [{name: Website}, {name: Third, exports: [{name: e, interval: day, destination: {type: NoOp, config: {}}}]}]\n",
        prune: &["projects"],
        wanted: &[
            "add project Third",
            "add export e interval=->\"day\" destination.type=->\"NoOp\"",
            "remove project App",
        ],
    },
    Case {
        what: "access is all that is given",
        file: "    projects: [{name: Website, access: {default: null, members: {grace@example.com: member}, roles: {Engineers: admin}, resources: {}}}]\n",
        prune: &[],
        wanted: &[
            "remove access everybody level=\"none\">-",
            "add access grace@example.com level=->\"member\"",
            "remove access kay@example.com level=\"admin\">-",
            "update access role \"Engineers\" level=\"member\">\"admin\"",
            "remove access everybody dashboard=\"viewer\">-",
        ],
    },
    Case {
        what: "an export is renamed and changed",
        file: "    projects: [{name: Website, exports: [{name: e, was: to the bucket, interval: day, destination: {type: S3, config: {prefix: p}}}]}]\n",
        prune: &[],
        wanted: &[
            "update export to the bucket name=\"to the bucket\">\"e\" destination.config.prefix=\"\">\"p\" interval=\"hour\">\"day\"",
        ],
    },
    Case {
        what: "exports are removed",
        file: "    projects: [{name: Website, exports: []}]\n",
        prune: &["all"],
        wanted: &["remove export to the bucket"],
    },
    Case {
        what: "an invite is replaced, another made",
        file: "    invites: [{email: joan@example.com, level: owner}, {email: two@example.com, first_name: Two}]\n",
        prune: &["invites"],
        wanted: &[
            "update invite joan@example.com level=\"admin\">\"owner\"",
            "add invite two@example.com level=->\"member\" first_name=->\"Two\"",
        ],
    },
    Case {
        what: "invites are removed",
        file: "    invites: []\n",
        prune: &["invites"],
        wanted: &["remove invite joan@example.com"],
    },
    Case {
        what: "domains",
        file: "    domains: [{domain: other.example.com, saml_entity_id: e}]\n",
        prune: &["domains"],
        wanted: &["add domain other.example.com saml_entity_id=->\"e\"", "remove domain example.com"],
    },
    Case {
        what: "the settings of a domain",
        file: "    domains: [{domain: example.com, jit_provisioning_enabled: false}]\n",
        prune: &[],
        wanted: &["update domain example.com jit_provisioning_enabled=true>false"],
    },
    Case {
        what: "proxies",
        file: "    proxies: [{domain: f.example.com}]\n",
        prune: &["proxies"],
        wanted: &["add proxy f.example.com", "remove proxy e.example.com"],
    },
    Case {
        what: "plugins of source",
        file: "    plugins: [{name: P, plugin_type: source}]\n",
        prune: &[],
        wanted: &["add plugin P name=->\"P\" plugin_type=->\"source\""],
    },
];

#[test]
fn each_kind_is_planned_as_it_is_applied_and_the_second_time_nothing_is() {
    for case in CASES {
        let server = Server::start();
        server.seed(WHOLE).unwrap();
        let (file, options) = (acme(case.file), pruning(case.prune));
        let before = server.rows();
        let plan =
            server.plan_of(&file, options.clone()).unwrap_or_else(|cause| panic!("{}: {cause:?}", case.what));
        assert_eq!(lines(&plan), case.wanted, "{}", case.what);
        assert!(plan.blocked.is_empty(), "{}: {:?}", case.what, plan.blocked);
        assert!(server.rows() == before, "{}: the plan changed a row", case.what);
        let done =
            server.apply(&file, options.clone()).unwrap_or_else(|cause| panic!("{}: {cause:?}", case.what));
        assert_eq!(lines(&done), case.wanted, "{}", case.what);
        let again = server.plan_of(&file, options).unwrap();
        assert_eq!(lines(&again), [""; 0], "{}", case.what);
    }
}

#[test]
fn nothing_is_removed_unless_that_is_wanted() {
    let server = Server::start();
    server.seed(WHOLE).unwrap();
    let file = acme(
        "    members: []\n    roles: []\n    projects: []\n    invites: []\n    domains: []\n    proxies: []\n",
    );
    let before = server.export(&Wish::default());
    let plan = server.apply(&file, Options::default()).unwrap();
    assert_eq!(lines(&plan), [""; 0]);
    let counts = serde_json::json!({"roles": 2, "members": 3, "projects": 2, "domains": 1, "proxies": 1, "invites": 1});
    assert_eq!(serde_json::Value::Object(plan.not_in_file), counts);
    assert_eq!(serde_json::Value::Object(plan.prunable), counts);
    assert_eq!(server.export(&Wish::default()), before);
    // What is no list of the file is counted and never pruned.
    let all = ["all", "projects", "members", "domains"];
    let plan = server.plan_of(&acme(""), pruning(&all)).unwrap();
    assert!(plan.changes.is_empty() && plan.prunable.is_empty() && plan.not_in_file.len() == 6);
    // What is dear has its own word.
    let plan = server.plan_of(&file, pruning(&["all"])).unwrap();
    assert_eq!(
        lines(&plan),
        [
            "remove role Engineers",
            "remove role Writers",
            "remove proxy e.example.com",
            "remove invite joan@example.com"
        ]
    );
}

#[test]
fn a_template_names_no_identifier_and_makes_the_same() {
    let server = Server::start();
    server.seed(WHOLE).unwrap();
    let text = server.export(&Wish { organizations: vec!["acme".into()], without_ids: true });
    let names_ids = text.lines().any(|line| line.trim_start_matches([' ', '-']).starts_with("id:"));
    assert!(!names_ids && !text.contains("api_token") && !text.contains("other"), "{text}");
    assert!(server.plan_of(&text, Options::default()).unwrap().is_empty());
}
