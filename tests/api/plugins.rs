//! Plugins and their pipeline views: what is shown to whom, who may change what, and the log of it.

use std::slice::from_ref;

use orgd::store::Storage;
use serde_json::{Value, json};

use crate::support::{Org, Person, Server, text};

const VIEWS: [&str; 5] = [
    "plugins",
    "pipeline_destinations",
    "pipeline_frontend_apps",
    "pipeline_import_apps",
    "pipeline_transformations",
];

const KEYS: [&str; 15] = [
    "id",
    "plugin_type",
    "name",
    "description",
    "url",
    "icon",
    "config_schema",
    "tag",
    "latest_tag",
    "is_global",
    "organization_id",
    "organization_name",
    "capabilities",
    "metrics",
    "public_jobs",
];

/// A new source plugin.
fn made(org: &Org, mut body: Value) -> Value {
    body["plugin_type"] = json!("source");
    org.owner.post(&org.at("plugins/"), body).json(201)
}

fn path(org: &Org, plugin: &Value, tail: &str) -> String {
    org.at(&format!("plugins/{}/{tail}", plugin["id"]))
}

fn ids(person: &Person, list: &str) -> Vec<Value> {
    person.get(list).results().iter().map(|plugin| plugin["id"].clone()).collect()
}

#[test]
fn a_new_source_plugin_is_what_was_sent_and_defaults() {
    let server = Server::start();
    let org = server.org();
    let plugin = org.member(&server).post(&org.at("plugins/"), json!({
        "plugin_type": "source", "name": "Src", "config_schema": [{"key": "a", "secret": true}], "extra": 1, "id": 77,
        "latest_tag": "x", "organization_id": "x",
    }));
    let plugin = plugin.json(201);
    let names: Vec<&String> = plugin.as_object().unwrap().keys().collect();
    assert_eq!(names, KEYS);
    assert_eq!(
        plugin,
        json!({
            "id": 1, "plugin_type": "source", "name": "Src", "description": null, "url": null, "icon": null,
            "config_schema": [{"key": "a", "secret": true}], "tag": null, "latest_tag": null, "is_global": false,
            "organization_id": org.id, "organization_name": "Acme", "capabilities": {}, "metrics": {}, "public_jobs": {},
        })
    );
    assert_eq!(org.owner.get(&path(&org, &plugin, "")).json(200), plugin);
    assert_eq!(org.owner.get(&org.at("plugins/")).results(), from_ref(&plugin));
    assert_eq!(org.owner.get(&path(&org, &plugin, "source/")).json(200), json!({}));
}

fn long(chars: usize) -> String {
    "x".repeat(chars)
}

/// Bodies with one wrong field: its name, the code and the sentence.
fn wrong_fields() -> Vec<(Value, &'static str, &'static str, &'static str)> {
    let longer_than_200 = "Ensure this field has no more than 200 characters.";
    let longer_than_800 = "Ensure this field has no more than 800 characters.";
    vec![
        (json!({"plugin_type": "zzz"}), "plugin_type", "invalid_choice", "\"zzz\" is not a valid choice."),
        (json!({"name": long(201)}), "name", "max_length", longer_than_200),
        (json!({"tag": long(201)}), "tag", "max_length", longer_than_200),
        (json!({"icon": long(801)}), "icon", "max_length", longer_than_800),
        (json!({"config_schema": null}), "config_schema", "null", "This field may not be null."),
        (json!({"capabilities": null}), "capabilities", "null", "This field may not be null."),
        (
            json!({"capabilities": []}),
            "capabilities",
            "not_a_dict",
            "Expected a dictionary of items but got type \"list\".",
        ),
        (json!({"is_global": null}), "is_global", "null", "This field may not be null."),
        (json!({"is_global": "maybe"}), "is_global", "invalid_input", "Must be a valid boolean."),
        (json!({"name": []}), "name", "invalid_input", "Not a valid string."),
    ]
}

#[test]
fn every_field_refuses_what_it_may_not_hold() {
    let server = Server::start();
    let org = server.org();
    let plugin = made(&org, json!({"name": "p", "is_global": true}));
    let at = path(&org, &plugin, "");
    for (body, attr, code, detail) in wrong_fields() {
        org.owner.patch(&at, body.clone()).invalid(attr, code, detail);
        org.owner.put(&at, body.clone()).invalid(attr, code, detail);
        let mut new = body;
        if new.get("plugin_type").is_none() {
            new["plugin_type"] = json!("source");
        }
        org.owner.post(&org.at("plugins/"), new).invalid(attr, code, detail);
    }
    assert_eq!(org.owner.get(&org.at("plugins/")).results(), from_ref(&plugin));
}

#[test]
fn every_field_keeps_what_it_may_hold() {
    let server = Server::start();
    let org = server.org();
    let at = path(&org, &made(&org, json!({"name": "p", "is_global": true})), "");
    let full = json!({
        "plugin_type": null, "name": long(200), "description": long(100_000), "icon": long(800),
        "config_schema": {"old": {"type": "string"}}, "tag": long(200), "is_global": false,
        "capabilities": {"methods": ["onEvent"]}, "metrics": {"a": "sum"}, "public_jobs": null,
    });
    let changed = org.owner.patch(&at, full.clone()).json(200);
    for (name, value) in full.as_object().unwrap() {
        assert_eq!(&changed[name], value, "{name}");
    }
    let empty =
        json!({"plugin_type": "", "name": "", "description": null, "icon": "", "tag": null, "metrics": null});
    let changed = org.owner.put(&at, empty.clone()).json(200);
    for (name, value) in empty.as_object().unwrap() {
        assert_eq!(&changed[name], value, "{name}");
    }
    // What a body does not name stays; what can't be written is passed over.
    let again =
        org.owner.patch(&at, json!({"url": 7, "latest_tag": 7, "id": 9, "organization_id": 1})).json(200);
    assert_eq!(again, changed);
    let form =
        org.owner.send_form("PATCH".parse().unwrap(), &at, "name=Form&config_schema=%5B%5D&is_global=true");
    let form = form.json(200);
    assert_eq!(
        (&form["name"], &form["config_schema"], &form["is_global"]),
        (&json!("Form"), &json!([]), &json!(true))
    );
}

#[test]
fn an_id_that_names_nothing_is_not_found() {
    let server = Server::start();
    let org = server.org();
    for id in ["abc", "0", "2", "-1", "1.0", "4294967296", "99999999999999999999"] {
        for (method, tail) in [
            ("GET", ""),
            ("PATCH", ""),
            ("DELETE", ""),
            ("GET", "source/"),
            ("POST", "upgrade/"),
            ("PATCH", "update_source/"),
            ("GET", "check_for_updates/"),
        ] {
            org.owner.call(method, &org.at(&format!("plugins/{id}/{tail}")), &json!({})).not_found();
        }
    }
}

#[test]
fn lists_are_pages_in_the_order_of_ids() {
    let server = Server::start();
    let org = server.org();
    for number in 1..=5 {
        made(&org, json!({"name": format!("p{number}")}));
    }
    let page = org.owner.get(&org.at("plugins/?limit=2&offset=1")).json(200);
    let names: Vec<&Value> =
        page["results"].as_array().unwrap().iter().map(|plugin| &plugin["name"]).collect();
    assert_eq!((names, &page["count"]), (vec![&json!("p2"), &json!("p3")], &json!(5)));
    assert!(text(&page["next"]).ends_with("plugins/?limit=2&offset=3"));
    assert!(text(&page["previous"]).ends_with("plugins/?limit=2"));
    assert_eq!(ids(&org.owner, &org.at("plugins/?limit=x&offset=-1")).len(), 5);
    assert_eq!(org.owner.get("/api/organizations/@current/plugins").json(200)["count"], 5);
}

#[test]
fn a_plugin_is_seen_by_its_own_organization_only_unless_it_is_global() {
    let server = Server::start();
    let org = server.org();
    let other = Org::sign_up(&server, server.somebody("other"), "Other");
    let plugin = made(&org, json!({"name": "p"}));
    let theirs = other.at(&format!("plugins/{}/", plugin["id"]));
    for (method, tail) in
        [("GET", ""), ("PATCH", ""), ("PUT", ""), ("DELETE", ""), ("GET", "source/"), ("POST", "upgrade/")]
    {
        other.owner.call(method, &format!("{theirs}{tail}"), &json!({})).not_found();
    }
    assert!(ids(&other.owner, &other.at("plugins/")).is_empty());

    let global = org.owner.patch(&path(&org, &plugin, ""), json!({"is_global": true})).json(200);
    assert_eq!(other.owner.get(&theirs).json(200), global);
    assert_eq!(other.owner.get(&other.at("plugins/")).results(), from_ref(&global));
    assert_eq!(other.owner.get(&other.at("plugins/unused/")).json(200), json!([plugin["id"]]));
    let managed = "This plugin installation is managed by another organization";
    other.owner.patch(&theirs, json!({"name": "x"})).denied(managed);
    other.owner.put(&theirs, json!({"name": "x"})).denied(managed);
    other.owner.delete(&theirs).denied(managed);
    other.owner.patch(&format!("{theirs}update_source/"), json!({"a": "b"})).denied(managed);
    other.owner.post(&format!("{theirs}upgrade/"), json!({})).denied(managed);
    other.owner.get(&format!("{theirs}source/")).not_found();
    other.owner.get(&format!("{theirs}check_for_updates/")).not_found();
    assert_eq!(other.owner.get(&theirs).json(200), global);

    let marked = "This plugin is marked as global! Make it local before uninstallation";
    org.owner.delete(&path(&org, &plugin, "")).invalid(None, "invalid_input", marked);
    org.owner.patch(&path(&org, &plugin, ""), json!({"is_global": false})).json(200);
    other.owner.get(&theirs).not_found();
    org.owner.delete(&path(&org, &plugin, "")).no_content();
    org.owner.get(&path(&org, &plugin, "")).not_found();
}

#[test]
fn what_an_organization_may_do_depends_on_its_access_level() {
    let low = "Your organization's plugin access level is insufficient.";
    let root = "This organization can't manage global plugins!";
    let file = tempfile::tempdir().unwrap();
    let place = || Storage::File(file.path().join("orgd.redb"));
    let at_level =
        |level: u8| Server::open(place(), move |config| config.plugins.plugins_access_level = level);

    let server = at_level(9);
    let plugin = made(&server.org(), json!({"name": "global", "is_global": true}));
    drop(server);

    let server = at_level(6);
    let org = Org::sign_up(&server, server.somebody("six"), "Six");
    assert_eq!(org.owner.get(&org.at("")).json(200)["plugins_access_level"], 6);
    let own = made(&org, json!({"name": "own", "is_global": false}));
    org.owner.post(&org.at("plugins/"), json!({"plugin_type": "source", "is_global": true})).denied(root);
    org.owner.patch(&path(&org, &own, ""), json!({"is_global": false})).denied(root);
    org.owner.put(&path(&org, &own, ""), json!({"is_global": true, "name": "x"})).denied(root);
    assert_eq!(org.owner.get(&path(&org, &own, "")).json(200), own);
    org.owner.get(&path(&org, &own, "source/")).json(200);
    drop(server);

    let server = at_level(3);
    let org = Org::sign_up(&server, server.somebody("three"), "Three");
    assert_eq!(ids(&org.owner, &org.at("plugins/")), [plugin["id"].clone()]);
    org.owner.get(&path(&org, &plugin, "")).json(200);
    org.owner.get(&org.at("plugins/unused/")).json(200);
    org.owner.get(&org.at("plugins/activity/")).json(200);
    org.owner.get(&org.at("plugins/exports_unsubscribe_configs/")).json(200);
    let no_source = "Plugin source editing is not available for the current organization!";
    org.owner.get(&path(&org, &plugin, "source/")).denied(no_source);
    let no_updates = "Plugin installation is not available for the current organization!";
    org.owner.get(&path(&org, &plugin, "check_for_updates/")).denied(no_updates);
    org.owner.post(&org.at("plugins/"), json!({"plugin_type": "source"})).denied(low);
    org.owner.patch(&path(&org, &plugin, ""), json!({})).denied(low);
    org.owner.delete(&path(&org, &plugin, "")).denied(low);
    org.owner.patch(&path(&org, &plugin, "update_source/"), json!({})).denied(low);
    org.owner.post(&path(&org, &plugin, "upgrade/"), json!({})).denied(low);
    drop(server);

    let server = at_level(0);
    let org = Org::sign_up(&server, server.somebody("zero"), "Zero");
    for tail in ["", "1/", "unused/", "activity/", "repository/", "exports_unsubscribe_configs/", "1/source/"]
    {
        org.owner.get(&org.at(&format!("plugins/{tail}"))).denied(low);
    }
}

#[test]
fn the_views_show_plugins_by_what_they_can_do() {
    let server = Server::start();
    let org = server.org();
    let kinds = [
        (json!({}), vec!["pipeline_frontend_apps"]),
        (json!({"methods": ["processEvent"]}), vec!["pipeline_transformations"]),
        (json!({"methods": ["onEvent"]}), vec!["pipeline_destinations"]),
        (
            json!({"methods": ["composeWebhook", "processEvent"]}),
            vec!["pipeline_destinations", "pipeline_transformations"],
        ),
        (json!({"scheduled_tasks": ["runEveryHour"]}), vec!["pipeline_import_apps"]),
        (json!({"scheduled_tasks": []}), vec![]),
    ];
    let plugins: Vec<Value> = kinds.iter().map(|(can, _)| made(&org, json!({"capabilities": can}))).collect();
    for view in VIEWS {
        let shown: Vec<&Value> = plugins
            .iter()
            .zip(&kinds)
            .filter(|(_, (_, views))| view == "plugins" || views.contains(&view))
            .map(|(plugin, _)| plugin)
            .collect();
        assert_eq!(
            org.owner.get(&org.at(&format!("{view}/"))).results().iter().collect::<Vec<_>>(),
            shown,
            "{view}"
        );
        for plugin in &plugins {
            let at = org.at(&format!("{view}/{}/", plugin["id"]));
            if shown.contains(&plugin) {
                assert_eq!(&org.owner.get(&at).json(200), plugin);
                assert_eq!(org.owner.get(&format!("{at}source/")).json(200), json!({}));
            } else {
                for (method, tail) in [
                    ("GET", ""),
                    ("PATCH", ""),
                    ("PUT", ""),
                    ("DELETE", ""),
                    ("GET", "source/"),
                    ("PATCH", "update_source/"),
                    ("GET", "check_for_updates/"),
                    ("POST", "upgrade/"),
                ] {
                    org.owner.call(method, &format!("{at}{tail}"), &json!({})).not_found();
                }
            }
        }
        // Answers about the whole collection, and what is made, are the same in every view.
        let unused = org.owner.get(&org.at(&format!("{view}/unused/"))).json(200);
        assert_eq!(unused.as_array().unwrap().len(), plugins.len());
        assert_eq!(
            org.owner.get(&org.at(&format!("{view}/exports_unsubscribe_configs/"))).json(200),
            json!([])
        );
        let log = org.owner.get(&org.at(&format!("{view}/activity/"))).json(200);
        assert_eq!(log["total_count"], plugins.len());
    }
}

#[test]
fn a_plugin_is_seen_in_a_view_once_it_can_do_what_the_view_shows() {
    let server = Server::start();
    let org = server.org();
    let new = org
        .owner
        .post(&org.at("pipeline_destinations/"), json!({"plugin_type": "source", "name": "n"}))
        .json(201);
    assert_eq!(new["capabilities"], json!({}));
    org.owner.get(&org.at(&format!("pipeline_destinations/{}/", new["id"]))).not_found();
    org.owner
        .patch(
            &org.at(&format!("pipeline_frontend_apps/{}/", new["id"])),
            json!({"capabilities": {"methods": ["onEvent"]}}),
        )
        .json(200);
    org.owner.delete(&org.at(&format!("pipeline_destinations/{}/", new["id"]))).no_content();
}

#[test]
fn source_is_changed_file_by_file() {
    let server = Server::start();
    let org = server.org();
    let plugin = made(&org, json!({"name": "p", "config_schema": [1]}));
    let update = |body: Value| org.owner.patch(&path(&org, &plugin, "update_source/"), body);
    let shown = || org.owner.get(&path(&org, &plugin, "")).json(200);
    let odd = "\u{0}\r\n  tab\t\u{1f980} ";
    let files = json!({"index.ts": "export function processEvent(e) { return e }", "any name/../x": odd});
    assert_eq!(update(files.clone()).json(200), files);
    assert_eq!(org.owner.get(&path(&org, &plugin, "source/")).json(200), files);
    assert_eq!(
        shown()["capabilities"],
        json!({"methods": ["processEvent"], "jobs": [], "scheduled_tasks": []})
    );
    assert_eq!((&shown()["name"], &shown()["config_schema"]), (&json!("p"), &json!([1])));

    // Only name and config come from plugin.json, and only where it has them.
    let manifest = r#"{"name":"Z","config":[{"key":"k"}],"description":"d"}"#;
    let all = update(json!({"plugin.json": manifest, "any name/../x": null, "not there": null})).json(200);
    assert_eq!(all, json!({"index.ts": files["index.ts"], "plugin.json": manifest}));
    let plugin_now = shown();
    assert_eq!(plugin_now["name"], "Z");
    assert_eq!(
        (&plugin_now["config_schema"], &plugin_now["description"]),
        (&json!([{"key": "k"}]), &json!(null))
    );
    update(json!({"plugin.json": "{}"})).json(200);
    assert_eq!(shown(), plugin_now);
    org.owner.patch(&path(&org, &plugin, ""), json!({"name": "by hand"})).json(200);
    assert_eq!(update(json!({"plugin.json": "{}"})).json(200)["plugin.json"], "{}");
    assert_eq!(shown()["name"], "by hand");

    // A key in the body is a credential, not a file.
    let key = org.owner.key(&["plugin:write"]);
    let crate::support::Shows::Key(value) = &key.shows else { panic!("a key is shown") };
    let at = path(&org, &plugin, "update_source/");
    let all = org.owner.without().patch(&at, json!({"personal_api_key": value, "b": "c"})).json(200);
    assert_eq!(all, json!({"b": "c", "index.ts": files["index.ts"], "plugin.json": "{}"}));
}

#[test]
fn source_that_cannot_be_changes_nothing() {
    let server = Server::start();
    let org = server.org();
    let plugin = made(&org, json!({"name": "p"}));
    let update = |body: Value| org.owner.patch(&path(&org, &plugin, "update_source/"), body);
    let shown = || org.owner.get(&path(&org, &plugin, "")).json(200);
    update(json!({"index.ts": "export function processEvent(e) { return e }"})).json(200);
    let before = (org.owner.get(&path(&org, &plugin, "source/")).json(200), shown());
    for (body, detail) in [
        (json!([]), "Send an object of file names and texts."),
        (json!({"a": "b", "": "x"}), "A file's name must have 1 to 200 characters."),
        (json!({"a": "b", "n".repeat(201): "x"}), "A file's name must have 1 to 200 characters."),
        (json!({"a": "b", "c": 1}), "The file c must be text, or null to delete it."),
        (json!({"a": "b", "plugin.json": "[]"}), "plugin.json must hold a JSON object."),
    ] {
        update(body).invalid(None, "invalid_input", detail);
    }
    assert_eq!(update(json!({"a": "b", "plugin.json": "nonsense"})).status, 400);
    assert_eq!(update(json!({"a": "b", "plugin.json": "[".repeat(100_000)})).status, 400);
    update(json!({"a": "b", "plugin.json": r#"{"name": 1}"#})).invalid(
        "name",
        "invalid_input",
        "Not a valid string.",
    );
    update(json!({"a": "b", "plugin.json": r#"{"name": null}"#})).invalid(
        "name",
        "null",
        "This field may not be null.",
    );
    update(json!({"a": "b", "plugin.json": r#"{"config": null}"#})).invalid(
        "config_schema",
        "null",
        "This field may not be null.",
    );
    let too_large = update(json!({"a": "x".repeat(10 * 1024 * 1024)}));
    assert_eq!((too_large.status, text(&too_large.value()["code"])), (413, "request_too_large".to_owned()));
    // What grows in an answer counts as it is there.
    assert_eq!(update(json!({"a": "\u{1}".repeat(2 * 1024 * 1024)})).status, 413);
    let wide = json!({"plugin.json": json!({"config": "x".repeat(64 * 1024)}).to_string()});
    assert_eq!(update(wide).json(400)["attr"], "config_schema");
    assert_eq!((org.owner.get(&path(&org, &plugin, "source/")).json(200), shown()), before);
}

#[test]
fn capabilities_that_a_client_set_are_not_scanned_away() {
    let server = Server::start();
    let org = server.org();
    let can = json!({"methods": ["onEvent"]});
    let plugin = made(&org, json!({"capabilities": can}));
    org.owner
        .patch(&path(&org, &plugin, "update_source/"), json!({"index.ts": "function processEvent() {}"}))
        .json(200);
    assert_eq!(org.owner.get(&path(&org, &plugin, "")).json(200)["capabilities"], can);
}

#[test]
fn a_source_plugin_is_up_to_date_by_itself() {
    let server = Server::start();
    let org = server.org();
    let plugin = made(&org, json!({"name": "p"}));
    assert_eq!(org.owner.post(&path(&org, &plugin, "upgrade/"), json!([])).json(200), plugin);
    let no = "Only plugins from GitHub, GitLab or npm can be checked for updates.";
    org.owner.get(&path(&org, &plugin, "check_for_updates/")).invalid(None, "invalid_input", no);
    // A plugin that was never fetched has nowhere to be upgraded from.
    org.owner.patch(&path(&org, &plugin, ""), json!({"plugin_type": "custom"})).json(200);
    let no_address = "This plugin has no address to upgrade it from.";
    org.owner.post(&path(&org, &plugin, "upgrade/"), json!({})).invalid(None, "invalid_input", no_address);
    org.owner.get(&path(&org, &plugin, "check_for_updates/")).invalid(None, "invalid_input", no);
}

#[test]
fn the_log_tells_of_installs_and_uninstalls_and_of_nothing_else() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let at = org.at("plugins/activity/");
    assert_eq!(
        member.get(&at).json(200),
        json!({"results": [], "next": null, "previous": null, "total_count": 0})
    );
    let plugin = member.post(&org.at("plugins/"), json!({"plugin_type": "source", "name": "Src"})).json(201);
    org.owner.patch(&path(&org, &plugin, ""), json!({"name": "Z"})).json(200);
    org.owner.patch(&path(&org, &plugin, "update_source/"), json!({"index.ts": "x"})).json(200);
    org.owner.post(&path(&org, &plugin, "upgrade/"), json!({})).json(200);
    org.owner.post(&org.at("plugins/"), json!({"plugin_type": "nonsense"})).json(400);
    org.owner.delete(&path(&org, &plugin, "")).no_content();
    let log = member.get(&at).json(200);
    assert_eq!(log["total_count"], 2);
    let entry = |number: usize, activity: &str, name: &str, who: &Person| {
        let entry = &log["results"][number];
        let wanted = json!({
            "id": entry["id"],
            "user": {"first_name": who.me()["first_name"], "email": who.email},
            "activity": activity, "scope": "Plugin", "item_id": plugin["id"].to_string(),
            "detail": {"changes": null, "context": null, "name": name, "short_id": null, "trigger": null, "type": null},
            "created_at": entry["created_at"],
        });
        assert_eq!(entry, &wanted);
    };
    entry(0, "uninstalled", "Z", &org.owner);
    entry(1, "installed", "Src", &member);
    // The log is the organization's, whoever reads it.
    let elsewhere = Org::sign_up(&server, server.somebody("other"), "Other");
    assert_eq!(elsewhere.owner.get(&elsewhere.at("plugins/activity/")).json(200)["total_count"], 0);
    let project = org.owner.get(&org.project_at("activity/")).json(200);
    assert_eq!(project["total_count"], 0);
}

#[test]
fn the_log_is_read_in_pages_counted_from_one() {
    let server = Server::start();
    let org = server.org();
    for number in 1..=12 {
        made(&org, json!({"name": format!("p{number}")}));
    }
    let page = |query: &str| org.owner.get(&org.at(&format!("plugins/activity/{query}")));
    let names = |log: &Value| -> Vec<String> {
        log["results"].as_array().unwrap().iter().map(|entry| text(&entry["detail"]["name"])).collect()
    };
    let first = page("").json(200);
    assert_eq!(
        (names(&first).len(), &first["total_count"], &first["previous"]),
        (10, &json!(12), &json!(null))
    );
    assert_eq!(names(&first)[0], "p12");
    assert!(text(&first["next"]).ends_with("/plugins/activity/?limit=10&page=2"), "{}", first["next"]);
    let last = page("?page=2&x=y").json(200);
    assert_eq!((names(&last), &last["next"]), (vec!["p2".to_owned(), "p1".to_owned()], &json!(null)));
    assert!(text(&last["previous"]).ends_with("?limit=10&page=1&x=y"), "{}", last["previous"]);
    assert_eq!(names(&page("?page=3&limit=5").json(200)), ["p2", "p1"]);
    assert!(names(&page("?page=9").json(200)).is_empty());
    assert!(names(&page("?page=18446744073709551615&limit=18446744073709551615").json(200)).is_empty());
    for (query, attr) in [
        ("?page=0", "page"),
        ("?page=abc", "page"),
        ("?limit=-1", "limit"),
        ("?limit=0", "limit"),
        ("?limit=", "limit"),
    ] {
        page(query).invalid(attr, "invalid_input", "A whole number from 1 on is required.");
        org.owner.get(&org.project_at(&format!("activity/{query}"))).invalid(
            attr,
            "invalid_input",
            "A whole number from 1 on is required.",
        );
    }
}

#[test]
fn plugins_go_with_their_organization() {
    let server = Server::start();
    let org = server.org();
    let other = Org::sign_up(&server, server.somebody("other"), "Other");
    let url = "https://github.com/u/r?private_token=secret";
    made(&org, json!({"name": "p", "is_global": true, "url": url}));
    let taken = "Plugin from URL \"https://github.com/u/r\" already installed!";
    let again = json!({"plugin_type": "source", "url": "https://github.com/u/r"});
    other.owner.post(&other.at("plugins/"), again.clone()).invalid(None, "invalid_input", taken);
    assert_eq!(ids(&other.owner, &other.at("plugins/")).len(), 1);
    org.owner.delete(&org.at("")).no_content();
    assert!(ids(&other.owner, &other.at("plugins/")).is_empty());
    let plugin = other.owner.post(&other.at("plugins/"), again).json(201);
    // Ids are never used twice.
    assert_eq!(plugin["id"], 2);
}

#[test]
fn what_every_organization_sees_is_the_admins_to_decide_on_and_to_change() {
    let server = Server::start();
    let (org, other) = (server.org(), server.org());
    let (member, admin) = (org.member(&server), org.admin(&server));
    let insufficient = "Your organization access level is insufficient.";
    let new = |is_global: bool| json!({"plugin_type": "source", "name": "n", "is_global": is_global});
    member.post(&org.at("plugins/"), new(true)).denied(insufficient);
    let plugin = member.post(&org.at("plugins/"), new(false)).json(201);
    let one = path(&org, &plugin, "");
    for named in [true, false] {
        member.patch(&one, json!({"is_global": named})).denied(insufficient);
        member.put(&one, json!({"is_global": named})).denied(insufficient);
    }
    assert_eq!(org.owner.get(&one).json(200), plugin);
    assert!(other.owner.get(&other.at("plugins/")).results().is_empty());
    member.patch(&one, json!({"name": "mine"})).json(200);

    let global = admin.patch(&one, json!({"is_global": true})).json(200);
    assert_eq!(other.owner.get(&other.at("plugins/")).results(), from_ref(&global));
    member.patch(&one, json!({"name": "x"})).denied(insufficient);
    member.put(&one, json!({"is_global": false})).denied(insufficient);
    member.patch(&path(&org, &plugin, "update_source/"), json!({"index.ts": "x"})).denied(insufficient);
    member.post(&path(&org, &plugin, "upgrade/"), json!({})).denied(insufficient);
    assert_eq!(other.owner.get(&other.at("plugins/")).results(), from_ref(&global));
    assert_eq!(org.owner.get(&path(&org, &plugin, "source/")).json(200), json!({}));
    admin.patch(&one, json!({"is_global": false, "name": "y"})).json(200);
    member.patch(&path(&org, &plugin, "update_source/"), json!({"index.ts": "x"})).json(200);
    admin.post(&org.at("plugins/"), new(true)).json(201);
}
