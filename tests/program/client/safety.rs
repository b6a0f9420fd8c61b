//! Keys and what they open: which one goes where, and what is not done.

use std::io::Write;
use std::process::{Output, Stdio};

use serde_json::json;

use super::{World, said, write_with};
use crate::support::run;

impl World {
    /// A command that gets a text on standard input.
    fn fed(&self, arguments: &[&str], text: &str) -> Output {
        let mut command = self.bare(arguments);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.expect("the program runs");
        // Whoever reads nothing closes it.
        let _ = child.stdin.take().expect("a pipe").write_all(text.as_bytes());
        child.wait_with_output().expect("the program ends")
    }

    fn log_in(&self, more: &[&str], key: &str) -> Output {
        let base = self.base().to_owned();
        self.fed(&[&["auth", "login", "--url", &base, "--key-stdin"], more].concat(), key)
    }
}

#[test]
fn a_key_that_opens_nothing_ends_with_four() {
    let world = World::new();
    let wrong = world.command(&["org", "list"]).env("ORGD_KEY", "phx_wrong_and_secret").output();
    let (out, err) = said(&wrong.expect("it runs"), 4);
    assert!(out.is_empty() && err.contains("is invalid") && !err.contains("phx_wrong"), "{err}");
    let none = world.command(&["org", "list"]).env_remove("ORGD_KEY").output().expect("it runs");
    assert!(said(&none, 4).1.contains("ORGD_KEY"));
    let nowhere = world.bare(&["org", "list"]).output().expect("it runs");
    assert!(said(&nowhere, 4).1.contains("orgd auth login"));
    let odd = world.command(&["org", "list"]).env("ORGD_KEY", "phx_a\u{e9}").output().expect("it runs");
    assert!(!said(&odd, 4).1.contains("phx_a"));
    // What it lacks is named.
    let (_, made) = world.api("GET", "/api/organizations/@current/", &json!({}));
    assert_eq!(made["slug"], "acme");
    let narrow = world.bare(&[
        "key",
        "create",
        "n",
        "--scopes",
        "organization:read",
        "--data",
        "orgd.redb",
        "--json",
        "value",
    ]);
    let narrow = { narrow }.output().expect("it runs");
    let narrow: serde_json::Value = serde_json::from_str(&said(&narrow, 0).0).expect("JSON");
    let mut command = world.command(&["role", "create", "R"]);
    let denied =
        command.env("ORGD_KEY", narrow["value"].as_str().expect("a value")).output().expect("it runs");
    assert!(said(&denied, 1).1.contains("the key lacks `organization:write`"));
}

#[test]
fn what_was_mistyped_ends_with_two() {
    let world = World::new();
    for arguments in [
        &["org"] as &[&str],
        &["org", "frobnicate"],
        &["org", "delete", "--yes"],
        &["project", "delete", "--yes"],
        &["project", "reset-token", "--yes"],
        &["org", "list", "--limit", "many"],
        &["member", "edit", "grace@example.com"],
        &["member", "edit", "grace@example.com", "--level", "boss"],
        &["api", "FETCH", "/api/"],
        &["api", "GET", "api/"],
        &["api", "GET", "//evil.example/api/"],
        &["api", "GET", "https://evil.example/api/"],
        &["api", "POST", "/api/organizations/", "--paginate"],
        &["api", "POST", "/api/organizations/", "-F", "=x"],
        &["api", "GET", "/api/organizations/", "--input", "export.json"],
        &["org", "list", "--url", "127.0.0.1:1"],
        &["org", "list", "--url", "https://a.example", "--data", "orgd.redb"],
        &["org", "list", "--profile", "a", "--data", "orgd.redb"],
        &["org", "list", "--as", "ada@example.com"],
        &["auth", "login"],
        &["auth", "login", "--url", "https://a.example", "--key-stdin", "--key-command", "true"],
        &["auth", "login", "--url", "https://user:phx_secret@a.example"],
        // The key would be in the list of processes.
        &["auth", "login", "--key", "phx_secret"],
    ] {
        let mut command = world.bare(arguments);
        command.env("ORGD_KEY", "phx_some_key");
        if arguments.first() != Some(&"auth") && !arguments.contains(&"--url") {
            command.env("ORGD_URL", world.base());
        }
        let (out, _) = said(&command.output().expect("it runs"), 2);
        assert!(out.is_empty(), "{arguments:?}");
    }
    // A mistake is found before anything is sent.
    let (_, roles) = world.api("GET", "/api/organizations/@current/roles/", &json!({}));
    assert_eq!(roles["count"], 0);
}

#[test]
fn profiles_are_made_of_keys_that_were_tried() {
    let world = World::new();
    let file = world.path("config/orgd/profiles.toml");
    said(&world.log_in(&[], "phx_wrong"), 4);
    said(&world.log_in(&[], "\n"), 4);
    assert!(!file.exists(), "a key that opens nothing was stored");
    let (out, err) = said(&world.log_in(&[], &format!("{}\n", world.key)), 0);
    assert!(
        out.contains("SCOPES\t*") && !out.contains(&world.key) && !err.contains(&world.key),
        "{out}{err}"
    );
    let list = |arguments: &[&str]| world.bare(arguments).output().expect("it runs");
    assert!(said(&list(&["org", "list"]), 0).0.starts_with("Acme\t"));
    said(&world.log_in(&["--profile", "other", "--org", "acme"], &world.key), 0);
    assert!(said(&list(&["role", "list", "--profile", "other"]), 0).0.is_empty());
    assert!(said(&list(&["org", "list", "--profile", "nobody"]), 1).1.contains("there is no profile nobody"));
    let mut command = world.bare(&["org", "list"]);
    said(&command.env("ORGD_PROFILE", "other").output().expect("it runs"), 0);
    // The environment's server counts more than a profile of the environment, with its own key.
    command.env("ORGD_URL", world.base()).env("ORGD_KEY", "phx_wrong");
    said(&command.output().expect("it runs"), 4);
    // Files of organizations know profiles too.
    let mut export = world.bare(&["export", "-f", "-", "--profile", "other"]);
    assert!(said(&export.output().expect("it runs"), 0).0.starts_with("orgd: 1"));
    said(&list(&["auth", "logout", "--profile", "other"]), 0);
    said(&list(&["auth", "logout"]), 0);
    said(&list(&["org", "list"]), 4);
    // Whoever others could read is refused.
    said(&world.log_in(&[], &world.key), 0);
    let text = std::fs::read_to_string(&file).expect("profiles");
    for mode in [0o644, 0o620, 0o601] {
        write_with(&file, &text, mode);
        let (out, err) = said(&list(&["org", "list"]), 1);
        assert!(out.is_empty() && err.contains("chmod 600") && !err.contains(&world.key), "{mode:o}: {err}");
        said(&world.log_in(&[], &world.key), 1);
    }
    write_with(&file, &text, 0o600);
    said(&list(&["org", "list"]), 0);
}

#[test]
fn a_command_may_print_the_key() {
    let world = World::new();
    let login = |command: &str| {
        let arguments = ["auth", "login", "--url", world.base(), "--key-command", command];
        world.bare(&arguments).output().expect("it runs")
    };
    said(&login("cat key.txt"), 0);
    let stored = std::fs::read_to_string(world.path("config/orgd/profiles.toml")).expect("profiles");
    assert!(!stored.contains(&world.key), "{stored}");
    said(&world.bare(&["org", "list"]).output().expect("it runs"), 0);
    for command in ["cat missing.txt", "true", "cat key.txt; exit 1"] {
        let (_, err) = said(&login(command), 1);
        assert!(err.contains("key_command") && !err.contains(&world.key), "{err}");
    }
}

#[test]
fn keys_and_secrets_travel_over_https_or_to_this_machine() {
    let world = World::new();
    let at = |url: &str, more: &[&str]| {
        let mut command = world.bare(&[&["org", "list", "--url", url], more].concat());
        command.env("ORGD_KEY", &world.key).output().expect("it runs")
    };
    let (_, err) = said(&at("http://orgd.invalid", &[]), 2);
    assert!(err.contains("over https only") && err.contains("--allow-http"), "{err}");
    assert!(said(&at("http://orgd.invalid", &["--allow-http"]), 1).1.contains("could not be reached"));
    // The key of one server is not for another.
    let mut command = world.command(&["org", "list", "--url", "https://evil.invalid"]);
    assert!(said(&command.output().expect("it runs"), 4).1.contains("ORGD_KEY is for http://127.0.0.1"));
    // A server does not warn of the client's variables.
    let doubts = world.command(&["config", "check", "--data", "orgd.redb"]).env("ORGD_PROFILE", "p").output();
    let doubts = String::from_utf8_lossy(&doubts.expect("it runs").stderr).into_owned();
    for name in ["ORGD_URL", "ORGD_KEY", "ORGD_PROFILE"] {
        assert!(!doubts.contains(name), "{doubts}");
    }
}

#[test]
fn what_can_not_be_undone_is_not_done_by_mistake() {
    let world = World::new();
    for arguments in [
        &["org", "delete", "acme"] as &[&str],
        &["project", "delete", "Website"],
        &["project", "reset-token", "Website"],
        &["member", "remove", "kay@example.com"],
    ] {
        let (out, err) = said(&world.run(arguments), 2);
        assert!(out.is_empty() && err.contains("nothing was done") && err.contains("--yes"), "{err}");
    }
    assert_eq!(world.text(&["member", "list"]).lines().count(), 3);
    // Two of one name, and a name that nobody has.
    for _ in 0..2 {
        world.api("POST", "/api/organizations/@current/projects/", &json!({"name": "Twin"}));
    }
    let (_, err) = said(&world.run(&["project", "delete", "Twin", "--yes"]), 1);
    assert!(err.contains("2 projects are called Twin: nothing was done"), "{err}");
    assert!(
        said(&world.run(&["project", "delete", "Web", "--yes"]), 1).1.contains("there is no project Web")
    );
    assert!(said(&world.run(&["member", "remove", "k", "--yes"]), 1).1.contains("there is no member k"));
    let twins = world.json(&["project", "list", "--search", "twin", "--json", "id,name"]);
    assert_eq!(twins.as_array().map(Vec::len), Some(2), "{twins}");
    world.text(&["project", "delete", &twins[0]["id"].to_string(), "--yes"]);
    // Now the name is enough, in any case.
    world.text(&["project", "delete", "tWIN", "--yes"]);
    assert_eq!(world.text(&["project", "list", "--search", "twin"]), "");
    // A number is an identifier, whatever is called so.
    world.api("POST", "/api/organizations/@current/projects/", &json!({"name": "9999"}));
    assert!(
        said(&world.run(&["project", "delete", "9999", "--yes"]), 1).1.contains("there is no project 9999")
    );
}

#[test]
fn what_a_file_holds_stays_off_the_command_line() {
    let world = World::new();
    std::fs::write(world.path("name.txt"), "From a file\n").expect("it is written");
    let made = world.json(&["api", "POST", "/api/organizations/@current/roles/", "-F", "name=@name.txt"]);
    assert_eq!(made["name"], "From a file");
    std::fs::write(world.path("body.json"), "{\"name\": \"Of a body\"}").expect("it is written");
    let body =
        ["api", "POST", "/api/organizations/@current/roles/", "--input", "body.json", "--json", "name"];
    assert_eq!(world.json(&body), json!({"name": "Of a body"}));
    let found = world.json(&["api", "GET", "/api/organizations/@current/roles/", "-F", "name=Of a body"]);
    assert_eq!(found["count"], 1);
    for (arguments, code) in [
        (&["api", "POST", "/api/organizations/", "--input", "missing.json"] as &[&str], 1),
        (&["api", "POST", "/api/organizations/", "-F", "name=@missing.txt"], 1),
        (&["batch-export", "create", "--input", "name.txt"], 1),
    ] {
        said(&world.run(arguments), code);
    }
    // What was typed may be a secret.
    let (_, err) = said(&world.run(&["api", "POST", "/api/x/", "-F", "hunter2"]), 2);
    assert!(!err.contains("hunter2"), "{err}");
    assert!(run(&["auth", "login", "--help"]).status.success());
}
