//! Every line of the table.

use std::process::Command;

use orgd::client::{Does, NOUNS, Noun, Shows, Verb};
use serde_json::{Value, json};

use super::{World, said, schema};
use crate::support::{Serving, agent, ask, orgd, run};

fn verbs() -> impl Iterator<Item = (&'static Noun, &'static Verb)> {
    NOUNS.iter().flat_map(|noun| noun.verbs.iter().map(move |verb| (noun, verb)))
}

fn document() -> Value {
    serde_json::from_slice(&run(&["openapi"]).stdout).expect("JSON")
}

/// The example with `--json`, run by a shell as it stands in the help.
fn example(world: &World, noun: &Noun, verb: &Verb) -> Value {
    let (words, rest) = verb.example.split_once(" < ").unwrap_or((verb.example, ""));
    let rest = if rest.is_empty() { String::new() } else { format!(" < {rest}") };
    // No key manages keys.
    let more = if noun.name == "key" { " --data orgd.redb --as ada@example.com" } else { "" };
    let script = format!("{words}{more} --json{rest}").replace("https://orgd.example.com", world.base());
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_orgd")).parent().expect("a folder");
    let mut path = vec![program.to_owned()];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let mut shell = Command::new("sh");
    for (name, _) in orgd(&[]).get_envs().filter(|(_, value)| value.is_none()) {
        shell.env_remove(name);
    }
    shell.args(["-c", &script]).current_dir(world.folder.path());
    shell
        .env("PATH", std::env::join_paths(path).expect("a path"))
        .env("XDG_CONFIG_HOME", world.path("config"));
    if noun.name != "auth" {
        shell.env("ORGD_URL", world.base()).env("ORGD_KEY", &world.key);
    }
    let (out, _) = said(&shell.output().expect("sh runs"), 0);
    serde_json::from_str(&out).unwrap_or_else(|cause| panic!("{script}: {cause}: {out}"))
}

/// What has to happen before an example.
fn prepare(world: &World, noun: &Noun, verb: &Verb) {
    if (noun.name, verb.name) == ("proxy", "retry") {
        // Only what has failed is tried again.
        let url = format!("{}/_orgd/clock", world.base());
        let advance = json!({"advance": "8d"});
        ask(&agent(), "POST", &url, None, &advance).expect("an answer");
    }
}

#[test]
fn every_example_works_and_its_json_is_what_the_document_says() {
    let (world, document) = (World::new(), document());
    for (noun, verb) in verbs() {
        prepare(&world, noun, verb);
        let shown = example(&world, noun, verb);
        let at = format!("{} {}", noun.name, verb.name);
        let (method, path) = match verb.does {
            Does::Request(method, path) => (method.name(), path),
            Does::Login => ("GET", "/api/personal_api_keys/@current/"),
            Does::Api => ("GET", "/api/organizations/{id}/"),
            Does::Logout => {
                assert_eq!(shown, json!({}), "{at}");
                continue;
            }
        };
        let items: Vec<&Value> = match shown.as_array() {
            Some(items) => items.iter().collect(),
            None => vec![&shown],
        };
        assert_eq!(shown.is_array(), verb.is_list(), "{at} shows {shown}");
        match schema::of_answer(&document, method, path, verb.is_list()) {
            Some(schema) => {
                let doubts = items.iter().filter_map(|item| schema::doubt(&document, schema, item, &at));
                assert_eq!(doubts.collect::<Vec<_>>(), [""; 0]);
            }
            None => assert_eq!(shown, json!({}), "{at}"),
        }
    }
}

#[test]
fn every_command_has_an_example_a_manual_page_and_completions() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().to_str().expect("text");
    assert!(run(&["man", "--dir", dir]).status.success());
    let completions = ["bash", "fish", "zsh"]
        .map(|shell| String::from_utf8(run(&["completions", shell]).stdout).expect("text"));
    for (noun, verb) in verbs() {
        let words: Vec<&str> = [noun.name, verb.name].into_iter().filter(|word| !word.is_empty()).collect();
        let help = run(&[&words[..], &["--help"]].concat());
        let help = String::from_utf8(help.stdout).expect("text");
        assert!(help.contains(&format!("Example:\n  {}", verb.example)), "{help}");
        assert!(verb.example.starts_with(&format!("orgd {}", words.join(" "))), "{}", verb.example);
        for take in verb.takes {
            let shown = match (take.is_flag, take.is_required) {
                (true, _) => format!("--{}", take.name),
                (false, true) => format!("<{}>", take.name),
                (false, false) => format!("[{}]", take.name),
            };
            assert!(help.contains(&shown), "{shown}: {help}");
        }
        // What can't be undone asks, and nothing else does.
        let deletes = verb.path().is_some_and(|path| {
            matches!(verb.does, Does::Request(orgd::api::Method::Delete, _))
                && !path.contains("role_memberships")
        });
        let renews = ["reset-token", "rotate"].contains(&verb.name);
        assert_eq!(verb.asks.is_some(), deletes || renews, "{words:?}");
        assert_eq!(help.contains("--yes"), verb.asks.is_some(), "{help}");
        assert_eq!(help.contains("--limit"), verb.is_list(), "{help}");
        let page = std::fs::read_to_string(folder.path().join(format!("orgd-{}.1", words.join("-"))));
        assert!(page.is_ok_and(|page| page.contains("Example")), "{words:?} has no manual page");
        for text in &completions {
            assert!(words.iter().all(|word| text.contains(word)), "{words:?}");
        }
    }
}

#[test]
fn a_table_for_programs_has_tabs_and_no_titles_and_is_whole() {
    let world = World::new();
    let name = "A name that is much longer than any terminal is wide. ".repeat(3);
    let (status, _) = world.api("POST", "/api/organizations/@current/roles/", &json!({"name": name.trim()}));
    assert_eq!(status, 201);
    let text = world.text(&["role", "list"]);
    let cells: Vec<&str> = text.trim_end_matches('\n').split('\t').collect();
    assert_eq!((cells[0], cells[1], cells.len()), (name.trim(), "0", 5), "{text}");
    assert!(text.lines().count() == 1 && !text.contains('\u{1b}'));
    let text = world.text(&["member", "list", "-L", "2"]);
    assert_eq!(text.lines().count(), 2, "{text}");
    assert_eq!(world.text(&["member", "list", "-L", "0"]), "");
    // Columns of each table are there: one that nothing fills is misspelt.
    for (noun, verb) in verbs() {
        if let Shows::List(columns) | Shows::One(columns) | Shows::Sentence { columns, .. } = verb.shows {
            let is_api = noun.name == "api";
            assert!(is_api || !columns.is_empty(), "{} {}", noun.name, verb.name);
        }
    }
}

#[test]
fn fields_are_chosen_and_unknown_ones_are_refused() {
    let world = World::new();
    assert_eq!(
        world.json(&["org", "list", "--json", "slug,name"]),
        json!([{"slug": "acme", "name": "Acme"}])
    );
    assert_eq!(world.json(&["org", "view", "acme", "--json=slug"]), json!({"slug": "acme"}));
    assert_eq!(world.json(&["role", "list", "--json", "name"]), json!([]));
    for arguments in [
        &["org", "list", "--json", "slag"] as &[&str],
        &["role", "list", "--json", "slag"],
        &["org", "view", "acme", "--json", "slag"],
    ] {
        let (out, err) = said(&world.run(arguments), 2);
        assert!(out.is_empty() && err.contains("slag") && err.contains("name"), "{err}");
    }
}

#[test]
fn without_a_name_it_is_the_current_organization_and_project() {
    let world = World::new();
    let of = |organization: &Value, name: &str| {
        let (status, made) =
            world.api("POST", organization.as_str().expect("a path"), &json!({"name": name}));
        assert_eq!(status, 201, "{made}");
        made
    };
    // The one that was made last is the current one.
    of(&json!("/api/organizations/"), "Globex");
    assert_eq!(world.json(&["org", "view", "--json", "name"]), json!({"name": "Globex"}));
    assert_eq!(world.json(&["org", "view", "acme", "--json", "name"]), json!({"name": "Acme"}));
    assert_eq!(world.json(&["project", "view", "--json", "name"]), json!({"name": "Default project"}));
    assert_eq!(world.json(&["project", "edit", "--name", "Shop", "--json", "name"]), json!({"name": "Shop"}));
    world.text(&["org", "edit", "-F", "members_can_invite=false"]);
    let own = world.json(&["org", "view", "--json", "members_can_invite"]);
    let other = world.json(&["org", "view", "acme", "--json", "members_can_invite"]);
    assert_eq!((&own["members_can_invite"], &other["members_can_invite"]), (&json!(false), &json!(true)));
    // A profile may say which one it is about.
    let website = world.json(&["project", "view", "Website", "--org", "acme", "--json", "name"]);
    assert_eq!(website, json!({"name": "Website"}));
}

#[test]
fn a_list_is_walked_as_far_as_it_is_wanted() {
    let world = World::new();
    for number in 0..205 {
        let role = json!({"name": format!("Role {number:03}")});
        assert_eq!(world.api("POST", "/api/organizations/@current/roles/", &role).0, 201);
    }
    for (limit, shown) in [("1", 1), ("30", 30), ("100", 100), ("101", 101), ("1000", 205)] {
        assert_eq!(world.text(&["role", "list", "-L", limit]).lines().count(), shown, "{limit}");
    }
    assert_eq!(world.text(&["role", "list"]).lines().count(), 30);
    let all = world.json(&["api", "GET", "/api/organizations/@current/roles/?limit=50", "--paginate"]);
    assert_eq!(all.as_array().map(Vec::len), Some(205));
    // A name is found on whichever page it is.
    assert_eq!(world.json(&["role", "view", "role 204", "--json", "name"]), json!({"name": "Role 204"}));
}

#[test]
fn a_data_file_has_the_same_commands_with_a_server_and_without_one() {
    let world = World::new();
    let at = |arguments: &[&str]| {
        let output = world.bare(&[arguments, &["--data", "orgd.redb"]].concat()).output().expect("it runs");
        said(&output, 0).0
    };
    let over_network = world.text(&["member", "list", "--json"]);
    assert_eq!(at(&["member", "list", "--json"]), over_network);
    at(&["role", "create", "Engineers"]);
    assert!(world.text(&["role", "list"]).starts_with("Engineers\t"));
    // What the operator did is in the log as theirs.
    let log = world.json(&["activity", "list", "--json"]);
    assert_eq!((&log[0]["activity"], &log[0]["is_system"]), (&json!("created"), &json!(true)), "{log}");
    let key: Value =
        serde_json::from_str(&at(&["key", "create", "ci", "--scopes", "organization:read", "--json"]))
            .expect("JSON");
    let key = key["value"].as_str().expect("a value");
    let mut world = world;
    assert_eq!(world.server.take().map(Serving::stop), Some(Some(0)));
    let at = |arguments: &[&str], code| {
        let output = world.bare(&[arguments, &["--data", "orgd.redb"]].concat()).output().expect("it runs");
        said(&output, code)
    };
    assert_eq!(at(&["role", "list"], 0).0.lines().count(), 1);
    at(&["member", "remove", "kay@example.com", "--yes"], 0);
    assert_eq!(at(&["member", "list"], 0).0.lines().count(), 2);
    // Without a server, nobody may log in, and nothing but what a key can call is reached.
    at(&["api", "POST", "/api/login/"], 1);
    at(&["api", "GET", "/console/"], 1);
    assert!(!key.is_empty());
    let nowhere = world.bare(&["org", "list", "--data", "nowhere.redb"]).output().expect("it runs");
    assert!(said(&nowhere, 1).1.contains("there is no data file at nowhere.redb"));
    assert!(!world.path("nowhere.redb").exists());
}
