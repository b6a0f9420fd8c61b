//! Plugins from GitHub, GitLab, npm and directories, and the public list.

use std::time::Duration;

use orgd::store::Storage;
use serde_json::{Value, json};
use tar::EntryType;

use crate::support::archives::{gzip, tar, tar_gz, zip};
use crate::support::plugin_hosts::{COMMIT, Mirror, NPM_SITE, point};
use crate::support::web::{Latch, Page, Web};
use crate::support::{Answer, Org, Person, Server, text};

const GITHUB: &str = "https://github.com/u/r";

fn manifest(name: &str) -> Vec<u8> {
    json!({"name": name}).to_string().into_bytes()
}

/// A plugin as GitHub packs it: everything in one folder.
fn packed(name: &str, code: &str) -> Vec<u8> {
    zip(&[("r-abc/plugin.json", &manifest(name)), ("r-abc/index.js", code.as_bytes())])
}

#[test]
fn a_repository_is_installed_at_its_newest_commit() {
    let mirror = Mirror::start();
    let about = json!({
        "name": "Hello", "description": "d", "icon": "i.png", "config": [{"key": "a", "type": "string"}],
        "publicJobs": {"go": {"payload": {}}}, "main": "src/main.ts", "stateless": false, "posthogVersion": ">= 1.25",
    });
    let written = about.to_string();
    let files: &[(&str, &[u8])] = &[
        ("r-abc/", b""),
        ("r-abc/plugin.json", written.as_bytes()),
        ("r-abc/src/main.ts", b"export async function onEvent() {}"),
        ("r-abc/index.js", b"function processEvent() {}"),
        ("r-abc/frontend.tsx", b"<a/>"),
        ("r-abc/site.ts", b"s"),
        ("r-abc/README.md", b"no"),
    ];
    mirror.put_commit(COMMIT, zip(files));
    let sent = json!({
        "url": GITHUB, "name": "no", "description": "no", "icon": "no", "config_schema": {}, "tag": "no", "plugin_type": "inline",
        "metrics": {"a": "sum"}, "is_global": true,
    });
    let plugin = mirror.create(sent).json(201);
    assert_eq!(
        plugin,
        json!({
            "id": 1, "plugin_type": "custom", "name": "Hello", "description": "d", "url": GITHUB, "icon": "i.png",
            "config_schema": about["config"], "tag": COMMIT, "latest_tag": COMMIT, "is_global": true,
            "organization_id": mirror.org.id, "organization_name": "Acme",
            "capabilities": {"methods": ["onEvent"], "jobs": [], "scheduled_tasks": []},
            "metrics": {"a": "sum"}, "public_jobs": about["publicJobs"],
        })
    );
    let source = mirror.source(&plugin["id"]);
    assert_eq!(serde_json::from_str::<Value>(&text(&source["plugin.json"])).unwrap(), about);
    assert_eq!(source["index.ts"], "export async function onEvent() {}");
    assert_eq!((&source["frontend.tsx"], &source["site.ts"]), (&json!("<a/>"), &json!("s")));
    assert_eq!(source.as_object().unwrap().len(), 4);
    let log = mirror.org.owner.get(&mirror.org.at("plugins/activity/")).json(200);
    assert_eq!((&log["total_count"], &log["results"][0]["detail"]["name"]), (&json!(1), &json!("Hello")));
    let requests = mirror.web.requests();
    assert!(requests.iter().all(|request| request.header("authorization").is_none()));
    assert!(requests[0].header("user-agent").is_some_and(|agent| agent.starts_with("orgd/")));
}

#[test]
fn defaults_stand_in_for_what_plugin_json_leaves_out() {
    let mirror = Mirror::start();
    mirror.put_commit(COMMIT, packed("p", ""));
    let plugin = mirror.create(json!({"url": GITHUB, "plugin_type": "repository"})).json(201);
    assert_eq!(plugin["plugin_type"], "repository");
    assert_eq!((&plugin["description"], &plugin["icon"]), (&json!(""), &json!(null)));
    assert_eq!(
        (&plugin["config_schema"], &plugin["public_jobs"], &plugin["metrics"]),
        (&json!([]), &json!({}), &json!({}))
    );
}

#[test]
fn every_form_of_an_archive_is_read() {
    let mirror = Mirror::start();
    let (about, code) = (manifest("p"), b"function onEvent() {}".as_slice());
    let long = format!("package/{}/x.js", "d".repeat(300));
    let plain = tar(&[(EntryType::Regular, "plugin.json", &about), (EntryType::Regular, "site.ts", code)]);
    for (place, (archive, folder)) in [
        (zip(&[("plugin.json", &about), ("index.js", code)]), ""),
        (zip(&[("top/plugin.json", &about), ("top/index.ts", code)]), ""),
        (
            zip(&[("top/a/b/plugin.json", &about), ("top/a/b/index.ts", code), ("top/plugin.json", b"{")]),
            "a/b",
        ),
        (zip(&[("a/plugin.json", &about), ("a/index.ts", code), ("b/c", b"")]), "a"),
        (tar_gz(&[("plugin.json", &about), ("index.js", code)]), ""),
        (tar_gz(&[("./plugin.json", &about), ("./index.js", code)]), ""),
        (tar_gz(&[("package/plugin.json", &about), ("package/index.js", code), (&long, b"")]), ""),
        (tar_gz(&[("top/a/plugin.json", &about), ("top/a/index.js", code)]), "a"),
        // In two pieces, as some tools compress.
        ([gzip(&plain[..700]), gzip(&plain[700..])].concat(), ""),
    ]
    .into_iter()
    .enumerate()
    {
        let commit = format!("{place:040}");
        mirror.put_archive(&commit, Page::Body(archive));
        let plugin = mirror.install(&format!("{GITHUB}/tree/{commit}/{folder}")).json(201);
        assert_eq!((&plugin["name"], &plugin["tag"]), (&json!("p"), &json!(commit)), "archive {place}");
    }
}

#[test]
fn versions_that_the_address_names_are_asked_of_nobody() {
    let mirror = Mirror::start();
    for tag in [COMMIT, "refs/tags/v1", "1.0", "refs/heads/x"] {
        mirror.put_archive(tag, Page::Body(packed("p", "")));
    }
    for (tail, tag) in [
        (format!("/tree/{COMMIT}"), COMMIT),
        (format!("/commit/{COMMIT}"), COMMIT),
        ("/releases/tag/v1".into(), "refs/tags/v1"),
        ("/archive/1.0.zip".into(), "1.0"),
        ("/archive/refs/heads/x.tar.gz".into(), "refs/heads/x"),
    ] {
        let plugin = mirror.install(&format!("{GITHUB}{tail}")).json(201);
        assert_eq!((&plugin["tag"], &plugin["latest_tag"]), (&json!(tag), &json!(tag)));
        let checked = mirror.org.owner.get(&mirror.at(&plugin["id"], "check_for_updates/")).json(200);
        assert_eq!(checked, json!({"plugin": plugin}));
    }
    assert!(mirror.web.paths().iter().all(|path| path.starts_with("/github/")));
}

#[test]
fn a_branch_and_its_folder_are_asked_for() {
    let mirror = Mirror::start();
    mirror.web.put(
        "/api/repos/u/r/commits?sha=main&path=a%2Fb",
        Page::Body(format!("[{{\"sha\": \"{COMMIT}\"}}]").into()),
    );
    mirror.put_archive(
        COMMIT,
        Page::Body(zip(&[("r/a/b/plugin.json", &manifest("p")), ("r/a/b/site.ts", b"")])),
    );
    mirror.install(&format!("{GITHUB}/tree/main/a/b")).json(201);
}

#[test]
fn gitlab_projects_are_installed() {
    let mirror = Mirror::start();
    let base = "/gitlab/api/v4/projects/g%2Fs%2Fp/repository";
    mirror.web.put(&format!("{base}/commits"), Page::Body(format!("[{{\"id\": \"{COMMIT}\"}}]").into()));
    mirror.web.put(&format!("{base}/archive.zip?sha={COMMIT}"), Page::Body(packed("p", "")));
    let plugin = mirror.install("https://gitlab.com/g/s/p?private_token=lab").json(201);
    assert_eq!((&plugin["tag"], &plugin["url"]), (&json!(COMMIT), &json!("https://gitlab.com/g/s/p")));
    for request in mirror.web.requests() {
        assert_eq!(request.header("authorization"), Some("Bearer lab"), "{}", request.path);
    }
}

#[test]
fn npm_packages_are_installed() {
    let mirror = Mirror::start();
    let archive =
        || Page::Body(tar_gz(&[("package/plugin.json", &manifest("p")), ("package/index.js", b"")]));
    mirror.web.put("/npm/pkg/latest", Page::Body(br#"{"version": "1.2.3"}"#.to_vec()));
    mirror.web.put("/npm/pkg/-/pkg-1.2.3.tgz", archive());
    mirror.web.put("/npm/@s/pkg/latest", Page::Body(br#"{"version": "2.0.0-rc.1+b"}"#.to_vec()));
    mirror.web.put("/npm/@s/pkg/-/pkg-2.0.0-rc.1+b.tgz", archive());
    mirror.web.put("/npm/pkg/-/pkg-0.9.0.tgz", archive());
    for (tail, tag) in [("pkg", "1.2.3"), ("@s/pkg", "2.0.0-rc.1+b"), ("pkg/v/0.9.0", "0.9.0")] {
        let plugin = mirror.install(&format!("{NPM_SITE}/package/{tail}")).json(201);
        assert_eq!(plugin["tag"], tag);
    }
}

#[test]
fn without_a_registry_npm_packages_are_refused_with_the_name_of_the_setting() {
    let mirror = Mirror::with(|config| config.plugins.npm_registry_url = None);
    for tail in ["pkg", "pkg/v/1.0.0"] {
        let reason = mirror.install(&format!("{NPM_SITE}/package/{tail}")).reason();
        assert!(reason.contains("ORGD_NPM_REGISTRY_URL"), "{reason}");
    }
    mirror.is_empty();
}

#[test]
fn tokens_go_to_the_host_and_to_nobody_else() {
    let mirror = Mirror::with(|config| config.plugins.github_token = Some("default-token".into()));
    mirror.put_commit(COMMIT, packed("p", ""));
    let plugin = mirror.install(&format!("{GITHUB}?private_token=se%20cret&x=y")).json(201);
    let sent = |number: usize| mirror.web.requests()[number].header("authorization").map(str::to_owned);
    assert_eq!((sent(0).as_deref(), sent(1).as_deref()), (Some("Bearer se cret"), Some("token se cret")));
    // The token is kept for upgrades, and shown to nobody.
    mirror.org.owner.post(&mirror.at(&plugin["id"], "upgrade/"), json!({})).json(200);
    assert_eq!(sent(3).as_deref(), Some("token se cret"));
    for tail in ["", "?limit=1", "activity/", "1/", "1/source/", "1/check_for_updates/"] {
        let answer = mirror.org.owner.get(&mirror.org.at(&format!("plugins/{tail}")));
        assert!(answer.status == 200 && !answer.text().contains("cret"), "{tail}: {}", answer.text());
    }
    // Without a token of its own, the operator's, for staff like the first user.
    mirror.put_archive("1.0", Page::Body(packed("q", "")));
    mirror.install(&format!("{GITHUB}/archive/1.0.zip")).json(201);
    assert_eq!(mirror.web.requests().last().unwrap().header("authorization"), Some("token default-token"));
}

#[test]
fn the_operators_tokens_are_for_staff_only() {
    let mirror = Mirror::with(|config| {
        config.plugins.github_token = Some("operators-hub".into());
        config.plugins.gitlab_token = Some("operators-lab".into());
        config.plugins.npm_token = Some("operators-npm".into());
    });
    let staff = &mirror.org;
    assert_eq!(staff.owner.me()["is_staff"], true);
    let stranger = Org::sign_up(&mirror.server, mirror.server.somebody("stranger"), "Other");
    let colleague = staff.admin(&mirror.server);
    assert_eq!(stranger.owner.me()["is_staff"], false);
    mirror.put_commit(COMMIT, packed("p", ""));
    let lab = "/gitlab/api/v4/projects/g%2Fp/repository";
    mirror.web.put(&format!("{lab}/commits"), Page::Body(json!([{"id": "c"}]).to_string().into()));
    mirror.web.put(&format!("{lab}/archive.zip?sha=c"), Page::Body(packed("l", "")));
    mirror.web.put("/npm/q/latest", Page::Body(json!({"version": "1"}).to_string().into()));
    mirror.web.put("/npm/q/-/q-1.tgz", Page::Body(packed("n", "")));
    let urls = [GITHUB.to_owned(), "https://gitlab.com/g/p".into(), format!("{NPM_SITE}/package/q")];
    let tokens = ["operators-hub", "operators-lab", "operators-npm"];
    let key = staff.owner.key(&["plugin:write"]);
    let strangers_key = stranger.owner.key(&["*"]);
    for (url, token) in urls.iter().zip(tokens) {
        for (person, org, is_staff) in [
            (&staff.owner, staff, true),
            (&key, staff, true),
            (&colleague, staff, false),
            (&stranger.owner, &stranger, false),
            (&strangers_key, &stranger, false),
        ] {
            let before = mirror.web.requests().len();
            let plugin = person.post(&org.at("plugins/"), json!({"url": url})).json(201);
            let one = org.at(&format!("plugins/{}/", plugin["id"]));
            person.get(&format!("{one}check_for_updates/")).json(200);
            person.post(&format!("{one}upgrade/"), json!({})).json(200);
            let requests = mirror.web.requests();
            assert_eq!(requests.len(), before + 5, "{url}");
            for request in &requests[before..] {
                let sent = request.header("authorization").map(|sent| sent.ends_with(token));
                assert_eq!(sent, is_staff.then_some(true), "{url} {}", person.email);
            }
            person.delete(&one).no_content();
        }
    }
    // Whoever brings a token of their own is heard with it.
    stranger
        .owner
        .post(&stranger.at("plugins/"), json!({"url": format!("{GITHUB}?private_token=own")}))
        .json(201);
    assert_eq!(mirror.web.requests().last().unwrap().header("authorization"), Some("token own"));
}

#[test]
fn a_private_token_is_sealed_and_without_the_key_only_what_needs_it_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("orgd.redb");
    let web = Web::start();
    web.put("/api/repos/u/r/commits?sha=&path=", Page::Body(json!([{"sha": COMMIT}]).to_string().into()));
    web.put(&format!("/github/u/r/archive/{COMMIT}.zip"), Page::Body(packed("p", "")));
    let open = |key: &str| {
        let key = key.repeat(32);
        Server::open(Storage::File(file.clone()), |config| {
            point(config, &web);
            config.exports.secret_key = Some(key);
        })
    };
    let last = || web.requests().last().unwrap().header("authorization").map(str::to_owned);
    let server = open("k");
    let org = server.org();
    let url = format!("{GITHUB}?private_token=very-private-token");
    let one = |tail: &str| org.at(&format!("plugins/1/{tail}"));
    org.owner.post(&org.at("plugins/"), json!({"url": url})).json(201);
    let unfetched = format!("{GITHUB}/tree/x?private_token=other-private-token");
    org.owner.post(&org.at("plugins/"), json!({"plugin_type": "source", "url": unfetched})).json(201);
    org.owner.post(&one("upgrade/"), json!({})).json(200);
    assert_eq!(last().as_deref(), Some("token very-private-token"));
    drop(server);
    let bytes = std::fs::read(&file).unwrap();
    for hidden in ["very-private-token", "other-private-token", "private_token"] {
        assert!(!bytes.windows(hidden.len()).any(|part| part == hidden.as_bytes()), "{hidden} lies open");
    }

    let server = open("k");
    let owner = org.owner.moved_to(&server);
    owner.post(&one("upgrade/"), json!({})).json(200);
    assert_eq!(last().as_deref(), Some("token very-private-token"));
    drop(server);

    let server = open("l");
    let owner = org.owner.moved_to(&server);
    let before = (owner.get(&one("")).json(200), owner.get(&one("source/")).json(200), web.requests().len());
    let detail =
        "The token in this plugin's address was sealed with another secret key. Install the plugin again.";
    owner.post(&one("upgrade/"), json!({})).invalid(None, "invalid_input", detail);
    owner.get(&one("check_for_updates/")).invalid(None, "invalid_input", detail);
    let now = (owner.get(&one("")).json(200), owner.get(&one("source/")).json(200), web.requests().len());
    assert_eq!(now, before);
    // Nothing can be sealed: it is said before the token goes anywhere.
    let another = json!({"url": format!("{GITHUB}/tree/y?private_token=t")});
    assert_eq!(owner.post(&org.at("plugins/"), another).status, 503);
    assert_eq!(web.requests().len(), before.2);
    owner.patch(&one(""), json!({"name": "n"})).json(200);
    owner.delete(&org.at("plugins/2/")).no_content();
    drop(server);

    let server = open("k");
    org.owner.moved_to(&server).post(&one("upgrade/"), json!({})).json(200);
    assert_eq!(last().as_deref(), Some("token very-private-token"));
}

#[test]
fn of_two_installs_of_one_address_at_once_one_is_made() {
    let mirror = Mirror::start();
    let latch = Latch::default();
    mirror.put_archive("1", Page::Held(latch.clone(), Box::new(Page::Body(packed("p", "")))));
    let url = format!("{GITHUB}/archive/1.zip");
    let mut answers = std::thread::scope(|scope| {
        let installs: Vec<_> = (0..2).map(|_| scope.spawn(|| mirror.install(&url))).collect();
        // Both have passed the first check when the archive comes.
        mirror.web.wait_for(2);
        latch.open();
        installs.into_iter().map(|install| install.join().unwrap()).collect::<Vec<Answer>>()
    });
    answers.sort_by_key(|answer| answer.status);
    assert_eq!(answers[0].json(201)["name"], "p");
    answers[1].invalid(None, "invalid_input", &format!("Plugin from URL \"{url}\" already installed!"));
    assert_eq!(mirror.org.owner.get(&mirror.org.at("plugins/")).json(200)["count"], 1);
    assert_eq!(mirror.org.owner.get(&mirror.org.at("plugins/activity/")).json(200)["total_count"], 1);
}

#[test]
fn an_address_must_be_one_of_a_plugin() {
    let mirror = Mirror::start();
    let new = |body: Value| mirror.create(body);
    let required = "This field is required.";
    for body in
        [json!({}), json!({"url": null}), json!({"url": "  "}), json!({"plugin_type": "custom", "name": "x"})]
    {
        new(body).invalid("url", "required", required);
    }
    for url in [json!(true), json!(["x"]), json!({})] {
        new(json!({"url": url})).invalid("url", "invalid_input", "Not a valid string.");
    }
    let must = "Must be a GitHub/GitLab repository or npm package URL!";
    for url in [
        "7",
        "https://example.com/u/r",
        "github.com/u/r",
        "https://github.com/u/r/tree/../../x",
        "http://127.0.0.1/u/r",
    ] {
        new(json!({"url": url})).invalid(None, "invalid_input", must);
    }
    new(json!({"url": format!("{GITHUB}?a?b")})).invalid(
        "url",
        "invalid_input",
        "An address has one question mark at most.",
    );
    let long = "Ensure this field has no more than 800 characters.";
    new(json!({"url": format!("{GITHUB}?{}", "x".repeat(800))})).invalid("url", "max_length", long);
    assert!(mirror.web.paths().is_empty());
    mirror.is_empty();
}

#[test]
fn a_plugin_that_breaks_a_rule_is_refused() {
    let mirror = Mirror::start();
    let mut number = 0;
    let mut refused = |files: &[(&str, &[u8])]| {
        number += 1;
        let tag = format!("{number}");
        mirror.put_archive(&tag, Page::Body(zip(files)));
        mirror.install(&format!("{GITHUB}/archive/{tag}.zip")).reason()
    };
    let with = |about: Value| about.to_string().into_bytes();
    assert_eq!(refused(&[("r/index.js", b"")]), "Could not find plugin.json in the plugin");
    assert_eq!(refused(&[]), "Could not find plugin.json in the plugin");
    assert_eq!(
        refused(&[
            ("r/plugin.json", &with(json!({"name": "p", "stateless": true, "config": [{"key": "a"}]}))),
            ("r/index.js", b"")
        ]),
        "Stateless plugins cannot have a config!"
    );
    assert_eq!(
        refused(&[
            ("r/plugin.json", &with(json!({"name": "p", "posthogVersion": "> 2"}))),
            ("r/index.js", b"")
        ]),
        "Currently running PostHog version 1.43.0 does not match this plugin's semantic version requirement \"> 2\"."
    );
    assert_eq!(
        refused(&[
            ("r/plugin.json", &with(json!({"name": "p", "posthogVersion": "nope"}))),
            ("r/index.js", b"")
        ]),
        "Invalid PostHog semantic version requirement \"nope\"!"
    );
    assert_eq!(
        refused(&[("r/plugin.json", &manifest("p"))]),
        "Could not find main file index.js or index.ts in plugin p"
    );
    assert_eq!(
        refused(&[("r/plugin.json", &with(json!({"name": "p", "main": "a.js"}))), ("r/index.js", b"")]),
        "Could not find main file a.js in plugin p"
    );
    assert_eq!(
        refused(&[("r/plugin.json", b"[]"), ("r/index.js", b"")]),
        "plugin.json must hold a JSON object."
    );
    assert_eq!(refused(&[("r/plugin.json", b"{}"), ("r/index.js", b"")]), "plugin.json must have a name.");
    assert!(
        refused(&[("r/plugin.json", b"{"), ("r/index.js", b"")]).starts_with("plugin.json is not valid JSON")
    );
    assert_eq!(
        refused(&[("r/plugin.json", b"\xff"), ("r/index.js", b"")]),
        "The file plugin.json is not UTF-8 text."
    );
    assert_eq!(
        refused(&[("r/plugin.json", &manifest("p")), ("r/index.js", b"\xff")]),
        "The file index.js is not UTF-8 text."
    );
    mirror.is_empty();
}

#[test]
fn an_upgrade_brings_the_newest_and_a_check_only_names_it() {
    let mirror = Mirror::start();
    let old = zip(&[
        ("r/plugin.json", &json!({"name": "Old", "icon": "i"}).to_string().into_bytes()[..]),
        ("r/index.js", b"function onEvent() {}"),
        ("r/site.ts", b"s"),
    ]);
    mirror.put_commit(COMMIT, old);
    let plugin = mirror.install(&format!("{GITHUB}?private_token=t")).json(201);
    let id = &plugin["id"];
    mirror.org.owner.patch(&mirror.at(id, "update_source/"), json!({"extra.ts": "x"})).json(200);
    let own = json!({"metrics": {"a": "max"}, "is_global": true, "name": "by hand"});
    mirror.org.owner.patch(&mirror.at(id, ""), own).json(200);

    let newer = "f".repeat(40);
    mirror.put_commit(&newer, packed("New", "function processEvent() {}"));
    let checked = mirror.org.owner.get(&mirror.at(id, "check_for_updates/")).json(200);
    assert_eq!(
        (&checked["plugin"]["tag"], &checked["plugin"]["latest_tag"]),
        (&json!(COMMIT), &json!(newer))
    );
    assert_eq!(checked["plugin"]["name"], "by hand");
    assert_eq!(mirror.plugin(id), checked["plugin"]);

    let upgraded = mirror.org.owner.post(&mirror.at(id, "upgrade/"), json!({"name": "no"})).json(200);
    assert_eq!(
        (&upgraded["name"], &upgraded["icon"], &upgraded["tag"]),
        (&json!("New"), &json!(null), &json!(newer))
    );
    assert_eq!(
        (&upgraded["metrics"], &upgraded["is_global"], &upgraded["url"]),
        (&json!({"a": "max"}), &json!(true), &json!(GITHUB))
    );
    assert_eq!(upgraded["capabilities"]["methods"], json!(["processEvent"]));
    let files: Vec<String> = mirror.source(id).as_object().unwrap().keys().cloned().collect();
    assert_eq!(files, ["index.ts", "plugin.json"]);
    // The log shows neither.
    assert_eq!(mirror.org.owner.get(&mirror.org.at("plugins/activity/")).json(200)["total_count"], 1);

    // A failure leaves the installed version whole.
    let before = (mirror.plugin(id), mirror.source(id));
    mirror.put_commit(COMMIT, b"broken".to_vec());
    assert_eq!(mirror.org.owner.post(&mirror.at(id, "upgrade/"), json!({})).status, 400);
    mirror.web.put("/api/repos/u/r/commits?sha=&path=", Page::Status(500));
    assert_eq!(mirror.org.owner.post(&mirror.at(id, "upgrade/"), json!({})).status, 400);
    let refused = mirror.org.owner.get(&mirror.at(id, "check_for_updates/"));
    let reason =
        format!("Could not get latest commit for {GITHUB}. Reason: {} answered 500.", mirror.web.address);
    refused.invalid(None, "invalid_input", &reason);
    assert_eq!((mirror.plugin(id), mirror.source(id)), before);
}

#[test]
fn no_network_is_told_plainly() {
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let mirror = Mirror::with(|config| {
        config.plugins.github_api_url = format!("http://{closed}").parse().unwrap();
        config.plugins.gitlab_url = "http://nothing.invalid/".parse().unwrap();
        config.plugins.plugin_repository_url = format!("http://{closed}/list.json");
    });
    let reason = mirror.install(&format!("{GITHUB}?private_token=secret")).reason();
    let wanted = format!("Could not get latest commit for {GITHUB}. Reason: {closed} could not be reached: ");
    assert!(reason.starts_with(&wanted) && !reason.contains("secret"), "{reason}");
    let reason = mirror.install("https://gitlab.com/g/p?private_token=secret").reason();
    let wanted = "Could not get latest commit for https://gitlab.com/g/p. Reason: nothing.invalid could not be reached: ";
    assert!(reason.starts_with(wanted) && !reason.contains("secret"), "{reason}");
    let reason = mirror.org.owner.get(&mirror.org.at("plugins/repository/")).reason();
    assert!(reason.starts_with("Could not get the list of plugins. Reason: "), "{reason}");
    mirror.is_empty();
    // What needs no network goes on.
    mirror.create(json!({"plugin_type": "source", "name": "p"})).json(201);
}

#[test]
fn what_the_host_answers_is_told() {
    let mirror = Mirror::start();
    let host = mirror.web.address;
    let refused = |url: &str, detail: String| mirror.install(url).invalid(None, "invalid_input", &detail);
    refused(GITHUB, format!("Could not get latest commit for {GITHUB}. Reason: {host} answered 404."));
    refused(
        &format!("{GITHUB}/archive/1.zip"),
        format!("Could not download archive from github. Reason: {host} answered 404."),
    );
    refused(
        "https://gitlab.com/g/p/-/commit/1",
        format!("Could not download archive from gitlab. Reason: {host} answered 404."),
    );
    let npm = format!("{NPM_SITE}/package/p");
    refused(&npm, format!("Could not get latest version for: {npm}. Reason: {host} answered 404."));
    refused(
        &format!("{npm}/v/1"),
        format!("Could not download archive from npm. Reason: {host} answered 404."),
    );
    for odd in [&b"[]"[..], b"{}", b"nonsense", br#"[{"sha": 7}]"#, br#"[{"sha": "../../x y"}]"#] {
        mirror.web.put("/api/repos/u/r/commits?sha=&path=", Page::Body(odd.to_vec()));
        refused(
            GITHUB,
            format!("Could not get latest commit for {GITHUB}. Reason: {host} named no version."),
        );
    }
    mirror.is_empty();
}

#[test]
fn redirects_are_followed_and_tokens_stay_behind() {
    let mirror = Mirror::start();
    let elsewhere = Web::start();
    elsewhere.put("/zip", Page::Body(packed("p", "")));
    mirror.put_archive("1", Page::Redirect(format!("{}/zip", elsewhere.url())));
    mirror.install(&format!("{GITHUB}/archive/1.zip?private_token=secret")).json(201);
    assert_eq!(mirror.web.requests()[0].header("authorization"), Some("token secret"));
    assert_eq!(elsewhere.requests()[0].header("authorization"), None);

    // On the same host it goes along; a relative target is meant from where it stands.
    mirror.put_archive("2", Page::Redirect("/moved?x=1".into()));
    mirror.web.put("/moved?x=1", Page::Body(packed("q", "")));
    mirror.install(&format!("{GITHUB}/archive/2.zip?private_token=secret")).json(201);
    assert_eq!(mirror.web.requests().last().unwrap().header("authorization"), Some("token secret"));

    // Five are followed, a sixth is not.
    for hop in 0..6 {
        mirror.web.put(&format!("/hop{hop}"), Page::Redirect(format!("/hop{}", hop + 1)));
    }
    mirror.web.put("/hop6", Page::Body(packed("h", "")));
    mirror.put_archive("3", Page::Redirect("/hop2".into()));
    mirror.install(&format!("{GITHUB}/archive/3.zip")).json(201);
    mirror.put_archive("4", Page::Redirect("/hop1".into()));
    let reason = mirror.install(&format!("{GITHUB}/archive/4.zip")).reason();
    assert!(reason.ends_with("redirects more than 5 times."), "{reason}");
    for odd in ["file:///etc/passwd", "ftp://example.com/", "http://"] {
        mirror.put_archive("5", Page::Redirect(odd.into()));
        let reason = mirror.install(&format!("{GITHUB}/archive/5.zip")).reason();
        assert!(reason.ends_with("redirects to where no request can go."), "{odd}: {reason}");
    }
}

#[test]
fn directories_are_installed_from_below_the_one_that_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let (open, outside) = (folder.path().join("open"), folder.path().join("outside"));
    let write = |path: std::path::PathBuf, text: &str| {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(open.join("hello/plugin.json"), r#"{"config": [], "main": "src/a.ts"}"#);
    write(open.join("hello/src/a.ts"), "function onEvent() {}");
    write(open.join("empty/x"), "");
    write(open.join("leak/plugin.json"), r#"{"name": "leak"}"#);
    write(outside.join("plugin.json"), r#"{"name": "outside"}"#);
    write(outside.join("index.ts"), "secret");
    std::os::unix::fs::symlink(&outside, open.join("link")).unwrap();
    std::os::unix::fs::symlink(outside.join("index.ts"), open.join("leak/index.ts")).unwrap();

    let mirror = Mirror::with(|config| config.plugins.plugin_local_dir = Some(open.clone()));
    let url = format!("file:{}/hello", open.display());
    let plugin = mirror.install(&url).json(201);
    assert_eq!(
        (&plugin["name"], &plugin["plugin_type"], &plugin["url"]),
        (&json!("hello"), &json!("local"), &json!(url))
    );
    assert_eq!((&plugin["tag"], &plugin["latest_tag"]), (&json!(null), &json!(null)));
    assert_eq!(mirror.source(&plugin["id"])["index.ts"], "function onEvent() {}");
    mirror.install(&url).invalid(
        None,
        "invalid_input",
        &format!("Plugin from URL \"{url}\" already installed!"),
    );
    assert_eq!(mirror.org.owner.post(&mirror.at(&plugin["id"], "upgrade/"), json!({})).json(200), plugin);
    mirror.org.owner.delete(&mirror.at(&plugin["id"], "")).no_content();
    mirror.install("file:hello").json(201);

    let none = "There is no such directory below the one that ORGD_PLUGIN_LOCAL_DIR names.";
    for odd in
        ["/etc", "/nowhere", "../outside", "hello/../../outside", "link", "hello/plugin.json", "no\u{1}such"]
    {
        mirror.install(&format!("file:{odd}")).invalid(None, "invalid_input", none);
    }
    mirror.install("file:empty").invalid(
        None,
        "invalid_input",
        "Could not load plugin.json from: empty/plugin.json",
    );
    mirror.install("file:leak").invalid(
        None,
        "invalid_input",
        "Could not find main file index.js or index.ts in plugin leak",
    );

    let closed = Mirror::start();
    let reason = closed.install(&url).reason();
    assert!(reason.contains("ORGD_PLUGIN_LOCAL_DIR"), "{reason}");
    closed.is_empty();
}

#[test]
fn the_public_list_is_shown_as_it_is_and_kept() {
    let mirror = Mirror::start();
    let list = |person: &Person| person.get(&mirror.org.at("plugins/repository/"));
    let first = r#"[ {"name": "a", "n": 1.0, "url": "u"} ]"#;
    assert_eq!(list(&mirror.org.owner).status, 400);
    for odd in ["{}", "nonsense", "", "[1,"] {
        mirror.web.put("/list.json", Page::Body(odd.into()));
        assert_eq!(list(&mirror.org.owner).status, 400, "{odd}");
    }
    mirror.web.put("/list.json", Page::Body(first.into()));
    assert_eq!(list(&mirror.org.owner).text(), first);
    let requests = mirror.web.paths().len();
    mirror.web.put("/list.json", Page::Body(b"[]".to_vec()));
    assert_eq!(list(&mirror.org.owner).text(), first);
    assert_eq!(mirror.web.paths().len(), requests);

    mirror.server.pass(Duration::from_secs(10 * 60 + 1));
    mirror.web.put("/list.json", Page::Status(503));
    assert_eq!(list(&mirror.org.owner).text(), first);
    mirror.web.put("/list.json", Page::Body(b"[]".to_vec()));
    assert_eq!(list(&mirror.org.owner).json(200), json!([]));

    let none = Mirror::with(|config| config.plugins.plugin_repository_url = String::new());
    assert_eq!(none.org.owner.get(&none.org.at("pipeline_import_apps/repository/")).json(200), json!([]));
    assert!(none.web.paths().is_empty());
}
