//! What is refused, blocked or left alone.

use orgd::error::Error;
use orgd::org_file;
use orgd::org_file::export::Wish;
use orgd::org_file::plan::Options;

use super::world::{WHOLE, lines};
use crate::support::Server;

fn acme(rest: &str) -> String {
    format!("orgd: 1\norganizations:\n  - slug: acme\n{rest}")
}

fn sentence(error: &Error) -> String {
    let shown = error.envelope();
    format!("{}: {}", shown.attr.unwrap_or_default(), shown.detail)
}

#[test]
fn a_file_says_where_it_is_wrong() {
    for (text, wanted) in [
        ("orgd: 2", "orgd: this program reads version 1 (line 1, column 7)"),
        ("a: 1", "`orgd` is missing"),
        (
            "orgd: 1\norganisations: []",
            "organisations: there is no `organisations`; is `organizations` meant? (line 2, column 1)",
        ),
        ("orgd: 1\norganizations: {}", "organizations: a list is wanted"),
        ("orgd: 1\norganizations:\n  - name: x", "organizations[0]: `id` or `slug` is missing (line 3"),
        (
            "orgd: 1\norganizations:\n  - slug: a\n    enforce_2fa: true",
            "`enforce_2fa` belongs below `settings` (line 4, column 5)",
        ),
        (
            "orgd: 1\norganizations:\n  - slug: a\n    settings: {enforce_2af: true}",
            "is `enforce_2fa` meant?",
        ),
        (
            "orgd: 1\norganizations:\n  - slug: a\n    settings: {enforce_2fa: maybe}",
            "organizations[0].settings.enforce_2fa: Must be a valid boolean. (line 4, column 29)",
        ),
        (
            "orgd: 1\norganizations:\n  - slug: a\n    members: [{email: a@b.co, level: boss}]",
            "a level is wanted: member, admin or owner",
        ),
        ("orgd: 1\norganizations:\n  - slug: a\n    members: [{email: a}]", "an e-mail address is wanted"),
        (
            "orgd: 1\norganizations:\n  - slug: a\n    members: [{email: a@b.co}, {email: A@B.co}]",
            "organizations[0].members[1]: `a@b.co` stands in this list twice (line 4, column 32)",
        ),
        (
            "orgd: 1\norganizations:\n  - slug: a\n    projects: [{name: p, timezone: utc}]",
            "projects[0].timezone",
        ),
        ("orgd: 1\norganizations: [{slug: a}, {slug: a}]", "`a` stands in this list twice"),
        ("orgd: 1\nusers: [{email: a@b.co, password: [1]}]", "a secret is wanted"),
    ] {
        let faults = org_file::read(&[text]).map(|read| read.value).unwrap_err();
        let said: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert!(said.iter().any(|line| line.contains(wanted)), "{text}: {said:?}");
    }
}

#[test]
fn several_files_are_one() {
    let roles = acme("    roles: [{name: A}]\n");
    let projects = acme("    settings: {enforce_2fa: true}\n    roles: [{name: B}]\n");
    let read = org_file::read(&[&roles, &projects]).unwrap();
    let roles_read = read.document.organizations[0].roles.as_ref().unwrap();
    assert_eq!(roles_read.iter().map(|role| role.name.as_str()).collect::<Vec<_>>(), ["A", "B"]);
    let faults = org_file::read(&[&roles, &roles]).map(|read| read.value).unwrap_err();
    assert!(faults[0].to_string().contains("twice") && faults[0].at.file == 1, "{faults:?}");
    let named = acme("    name: One\n");
    let faults = org_file::read(&[&named, &named]).map(|read| read.value).unwrap_err();
    assert!(faults[0].to_string().contains("`name` stands in two files"), "{faults:?}");
}

#[test]
fn what_cannot_be_is_blocked_and_the_rest_waits() {
    for (file, wanted) in [
        ("    members: [{email: new@example.com}]\n", "not a member; add `invite: true`"),
        ("    members: [{email: ada@example.com, level: admin}]\n", "the last owner stays one"),
        ("    roles: [{name: Writers, members: [new@example.com]}]\n", "new@example.com is not a member"),
        ("    default_role: Nobody\n", "there is no role \"Nobody\""),
        ("    projects: [{name: App, access: {members: {new@example.com: admin}}}]\n", "not a member"),
        ("    projects: [{name: App, access: {roles: {Nobody: admin}}}]\n", "there is no such role"),
        (
            "    domains: [{domain: d.example.com, jit_provisioning_enabled: true}]\n",
            "wait until it is verified",
        ),
        (
            "    projects: [{name: App, exports: [{name: e, interval: hour, destination: {type: HTTP, config: {url: 'https://example.com', token: {env: NOT_SET_ANYWHERE}}}}]}]\n",
            "the variable NOT_SET_ANYWHERE, which is not set",
        ),
    ] {
        let server = Server::start();
        server.seed(WHOLE).unwrap();
        let file = acme(&format!("    settings: {{enforce_2fa: false}}\n{file}"));
        let plan = server.plan_of(&file, Options::default()).unwrap();
        assert_eq!(plan.blocked.len(), 1, "{wanted}: {plan:?}");
        assert!(plan.blocked[0].reason.contains(wanted), "{wanted}: {:?}", plan.blocked);
        let before = server.rows();
        let refused = server.apply(&file, Options::default()).unwrap_err();
        assert!(sentence(&refused).contains("1 blocked"), "{}", sentence(&refused));
        assert!(server.rows() == before, "{wanted}");
        let done = server.apply(&file, Options { skip_blocked: true, ..Options::default() }).unwrap();
        assert!(lines(&done)[0].contains("enforce_2fa=true>false"), "{done:?}");
    }
}

#[test]
fn the_last_owner_is_not_removed_however_much_is() {
    let server = Server::start();
    server.seed(WHOLE).unwrap();
    let prune = Options { prune: vec!["members".to_owned()], ..Options::default() };
    let file = acme("    members: []\n");
    let plan = server.plan_of(&file, prune.clone()).unwrap();
    assert_eq!(plan.blocked[0].reason, "the last owner is not removed");
    let before = server.rows();
    server.apply(&file, prune.clone()).unwrap_err();
    assert!(server.rows() == before);
    let done = server.apply(&file, Options { skip_blocked: true, ..prune }).unwrap();
    assert_eq!((done.summary.remove, done.summary.blocked), (2, 1), "{done:?}");
}

#[test]
fn what_is_wrong_changes_nothing() {
    for (file, wanted) in [
        (
            "    projects: [{id: 4000000000, name: X}, {id: 4000000000, name: Y}]\n",
            "organizations[0].projects[1]: `4000000000` stands in this list twice",
        ),
        (
            "    projects: [{name: X, api_token: phc_of_the_website}]\n",
            "organizations[0].projects[0].api_token: Another project has this token.",
        ),
        (
            "    projects: [{name: Website, api_token: phc_another_one}]\n",
            "the token of a project is not chosen",
        ),
        (
            "    projects: [{name: App, settings: {slack_incoming_webhook: 'https://hooks.example.com'}}]\n",
            "organizations[0].projects[0].settings.slack_incoming_webhook: a secret does not stand in the file",
        ),
        (
            "    projects: [{name: App, exports: [{name: e, interval: hour, destination: {type: HTTP, config: {url: 'https://e.example.com', token: plain}}}]}]\n",
            "a secret does not stand in the file",
        ),
        (
            "    projects: [{name: App, exports: [{name: e, interval: never, destination: {type: NoOp, config: {}}}]}]\n",
            "interval",
        ),
        (
            "    projects: [{name: App, exports: [{name: e, interval: hour, destination: {type: S3, config: {}}}]}]\n",
            "Configuration missing required field: 'bucket_name'",
        ),
        (
            "    projects: [{name: Website, exports: [{name: to the bucket, destination: {type: S3, config: {region: another}}}]}]\n",
            "Give 'aws_secret_access_key' again",
        ),
        ("    projects: [{name: App, access: {default: boss}}]\n", "Invalid access level"),
        (
            "    invites: [{email: i@example.com, private_project_access: {Nothing: member}}]\n",
            "there is no project \"Nothing\"",
        ),
        ("    domains: [{domain: no domain}]\n", "Please enter a valid domain"),
        ("    proxies: [{domain: e.example.com}, {domain: 'http://x'}]\n", "Enter a domain name on its own"),
    ] {
        let server = Server::start();
        server.seed(WHOLE).unwrap();
        let before = server.rows();
        let file = acme(&format!("    settings: {{enforce_2fa: false}}\n{file}"));
        let said = match org_file::read(&[&file]) {
            Err(faults) => faults[0].to_string(),
            Ok(_) => {
                let planned = server.plan_of(&file, Options::default()).map(|plan| lines(&plan)).unwrap_err();
                let applied = server.apply(&file, Options::default()).map(|plan| lines(&plan)).unwrap_err();
                assert_eq!(sentence(&planned), sentence(&applied));
                sentence(&planned)
            }
        };
        assert!(said.contains(wanted), "{wanted}: {said}");
        assert!(server.rows() == before, "{wanted}");
    }
}

#[test]
fn removals_have_a_limit() {
    let server = Server::start();
    server.seed(WHOLE).unwrap();
    let file = acme("    roles: []\n    invites: []\n");
    let options = |max_removals| Options { prune: vec!["all".into()], max_removals, ..Options::default() };
    let refused = server.apply(&file, options(2)).unwrap_err();
    assert!(sentence(&refused).contains("3 removals are more than `max_removals` allows, 2"));
    assert_eq!(server.apply(&file, options(3)).unwrap().summary.remove, 3);
    let odd = Options { prune: vec!["everything".into()], ..Options::default() };
    assert!(sentence(&server.plan_of(&file, odd).unwrap_err()).starts_with("prune: "));
}

#[test]
fn secrets_of_what_is_there_are_replaced_only_where_that_is_wanted() {
    let server = Server::start();
    server.seed(WHOLE).unwrap();
    let file = acme(
        "    projects: [{name: Website, settings: {slack_incoming_webhook: {secret: 'https://hooks.example.com/1'}}, exports: [{name: to the bucket, destination: {type: S3, config: {aws_secret_access_key: {secret: another}}}}]}]\n",
    );
    let plan = server.apply(&file, Options::default()).unwrap();
    assert_eq!(lines(&plan), [""; 0]);
    assert_eq!(plan.notes.len(), 2, "{:?}", plan.notes);
    let secrets = Options { secrets: true, ..Options::default() };
    let plan = server.plan_of(&file, secrets.clone()).unwrap();
    assert_eq!(
        lines(&plan),
        [
            "update project Website slack_incoming_webhook=->-",
            "update export to the bucket destination secrets=->-"
        ]
    );
    let shown = serde_json::to_string(&plan).unwrap();
    assert!(!shown.contains("hooks.example.com") && !shown.contains("another"), "{shown}");
    server.apply(&file, secrets.clone()).unwrap();
    assert_eq!(lines(&server.plan_of(&file, secrets).unwrap()), [""; 0]);
    let exported = server.export(&Wish::default());
    assert!(
        exported.contains("env: ORGD_PROJECT_WEBSITE_SLACK_INCOMING_WEBHOOK") && !exported.contains("hooks.")
    );
}

#[test]
fn seeds_are_all_or_nothing() {
    for (text, wanted) in [
        (
            "orgd: 1\norganizations:\n  - {slug: a, name: A, members: [{email: a@b.co, level: owner}]}\n  - id: 01920000-0000-7000-8000-000000000001\n    slug: acme\n    name: B\n    members: [{email: a@b.co, level: owner}]\n  - {id: 01920000-0000-7000-8000-000000000001, slug: c, name: C, members: [{email: a@b.co, level: owner}]}\nusers: [{email: a@b.co}]",
            "organizations[2].id is used already (line 8)",
        ),
        (
            "orgd: 1\norganizations: [{slug: a, name: A, members: [{email: a@b.co, level: owner}]}]",
            "seed: organizations[0].members: a new organization needs a member with `level: owner` who stands in `users` (line 2)",
        ),
        ("orgd: 1\norganizations: [{slug: a}]", "a new one needs `name`"),
        (
            "orgd: 1\norganizations: [{slug: 'A a', name: A, members: [{email: a@b.co, level: owner}]}]\nusers: [{email: a@b.co}]",
            "organizations[0].slug: Enter a slug",
        ),
        (
            "orgd: 1\nusers: [{email: a@b.co, keys: [{label: l, value: short, scopes: ['*']}]}]",
            "users[0].keys[0].value: A key has at least 20 letters (line 2)",
        ),
        ("orgd: 1\nusers: [{email: a@b.co, totp: short}]", "users[0].totp: Enter a secret of 20 bytes"),
        ("orgd: 1\nusers: [{email: a@b.co}, {email: A@b.co}]", "`a@b.co` stands in this list twice"),
        (
            "orgd: 1\nusers: [{email: a@b.co, password: {env: NOT_SET_ANYWHERE}}]",
            "NOT_SET_ANYWHERE, which is not set",
        ),
    ] {
        let server = Server::start();
        let before = server.rows();
        let said = server.seed(text).map(|seeded| seeded.users).unwrap_err();
        assert!(said.starts_with("seed: ") && said.contains(wanted), "{wanted}: {said}");
        assert!(server.rows() == before, "{wanted}");
    }
}
