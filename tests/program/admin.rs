//! `orgd admin`, on a file that a server holds and on one that none does: the same commands with the same answers.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Serving, agent, ask, orgd, run};

const PASSWORD: &str = "a-rather-Long-passphrase-7";

/// Ada of Acme, Grace, who is in Acme as well as alone in Grace's, and Bob, who is in no organization but their own.
struct World {
    _folder: TempDir,
    file: PathBuf,
    key: String,
    server: Option<Serving>,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("orgd.redb");
        let path = file.to_str().expect("a path of text").to_owned();
        let made =
            run(&["bootstrap", "--data", &path, "--email", "ada@example.com", "--organization", "Acme"]);
        let made: Value = serde_json::from_slice(&made.stdout).expect("a JSON object");
        let key = made["api_key"].as_str().expect("a key").to_owned();
        let mut world = World { _folder: folder, file, key, server: None };
        world.serve();
        for (name, organization) in [("grace", "Graces"), ("bob", "Bobs")] {
            let body = json!({
                "first_name": name, "email": format!("{name}@example.com"), "password": PASSWORD,
                "organization_name": organization,
            });
            assert_eq!(world.call("POST", "signup/", &body).0, 201);
        }
        world
    }

    fn serve(&mut self) {
        self.server = Some(Serving::start(&self.file, &["--open-signup"]));
    }

    fn stop(&mut self) {
        assert_eq!(self.server.take().expect("a server").stop(), Some(0));
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}/api/{path}", self.server.as_ref().expect("a server").base);
        ask(&agent(), method, &url, Some(&self.key), body).expect("an answer")
    }

    fn logs_in(&self, name: &str, password: &str) -> u16 {
        let body = json!({"email": format!("{name}@example.com"), "password": password});
        self.call("POST", "login/", &body).0
    }

    /// The command on the file.
    fn admin(&self, arguments: &[&str]) -> Output {
        let mut command = orgd(&["admin"]);
        command.args(arguments).arg("--data").arg(&self.file).stdin(Stdio::null());
        command.output().expect("the program runs")
    }

    /// What it prints, where it must succeed.
    #[track_caller]
    fn done(&self, arguments: &[&str]) -> String {
        let output = self.admin(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    #[track_caller]
    fn lines(&self, arguments: &[&str]) -> Vec<Value> {
        let printed = self.done(arguments);
        printed.lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect()
    }

    #[track_caller]
    fn refused(&self, arguments: &[&str], words: &str) {
        let output = self.admin(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.starts_with("orgd: ") && said.contains(words), "{arguments:?}: {said}");
    }

    fn user(&self, name: &str) -> Value {
        let email = format!("{name}@example.com");
        let all = self.lines(&["list-users"]);
        all.into_iter().find(|user| user["email"] == email.as_str()).unwrap_or(Value::Null)
    }
}

/// Runs it on a running server, and on the file alone.
fn both_ways(check: impl Fn(&mut World)) {
    for is_running in [true, false] {
        let mut world = World::new();
        if !is_running {
            world.stop();
        }
        check(&mut world);
        let whole = run(&["check", "--data", world.file.to_str().expect("a path of text")]);
        let said = String::from_utf8_lossy(&whole.stdout);
        assert!(said.contains("no problems found\n"), "{said}");
        assert_eq!(said.contains("The server holds the file"), is_running, "{said}");
    }
}

const OF_USER: &[&str] = &[
    "reset-password",
    "reset-link",
    "remove-two-factor",
    "end-sessions",
    "deactivate",
    "activate",
    "delete-user",
    "make-operator",
    "remove-operator",
];

#[test]
fn what_is_not_there_is_named() {
    both_ways(|world| {
        for command in OF_USER {
            world.refused(&[command, "--email", "nobody@example.com"], "No user has this address.");
        }
        let owner = ["make-owner", "--organization", "acme", "--email", "nobody@example.com"];
        world.refused(&owner, "No user has this address.");
        let owner = ["make-owner", "--organization", "nowhere", "--email", "bob@example.com"];
        world.refused(&owner, "No organization has this identifier or slug.");
        world.refused(&["free-domain", "--domain", "example.com"], "No organization claims this domain.");
        world.refused(
            &["free-address", "--email", "x@example.com"],
            "Nothing was found that holds this address.",
        );
    });
}

#[test]
fn lists_name_everybody_and_every_organization() {
    both_ways(|world| {
        let users = world.lines(&["list-users"]);
        let shown: Vec<Value> = users
            .iter()
            .map(|user| {
                json!([user["email"], user["is_staff"], user["is_active"], user["organizations"][0]["name"]])
            })
            .collect();
        let wanted = json!([
            ["ada@example.com", true, true, "Acme"],
            ["grace@example.com", false, true, "Graces"],
            ["bob@example.com", false, true, "Bobs"],
        ]);
        assert_eq!(json!(shown), wanted);
        let organizations = world.lines(&["list-organizations", "--json"]);
        let shown: Vec<Value> =
            organizations.iter().map(|one| json!([one["slug"], one["members"], one["owners"]])).collect();
        let wanted = json!([
            ["acme", 1, ["ada@example.com"]],
            ["graces", 1, ["grace@example.com"]],
            ["bobs", 1, ["bob@example.com"]],
        ]);
        assert_eq!(json!(shown), wanted);
    });
}

#[test]
fn secrets_are_printed_bare_or_as_json_and_never_logged() {
    let mut world = World::new();
    let log = world.server.as_mut().and_then(|server| server.log.take()).expect("a log");
    let bare = world.done(&["reset-password", "--email", "GRACE@example.com"]).trim().to_owned();
    assert_eq!((world.logs_in("grace", &bare), world.logs_in("grace", PASSWORD)), (200, 400));
    let named = world.lines(&["reset-password", "--email", "grace@example.com", "--json"]);
    let named = named[0]["password"].as_str().expect("a password").to_owned();
    assert_eq!((world.logs_in("grace", &named), world.logs_in("grace", &bare)), (200, 400));
    let link = world.done(&["reset-link", "--email", "bob@example.com"]).trim().to_owned();
    let token = link.rsplit('/').next().expect("a token").to_owned();
    assert!(link.contains("/reset/"), "{link}");

    let given = "one-more-Fine-passphrase-9";
    let mut child =
        orgd(&["admin", "reset-password", "--email", "bob@example.com", "--password-stdin", "--data"])
            .arg(&world.file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
    writeln!(child.stdin.take().expect("its input"), "{given}").expect("a line");
    let output = child.wait_with_output().expect("an end");
    assert!(output.status.success() && output.stdout.is_empty());
    assert_eq!(world.logs_in("bob", given), 200);

    world.stop();
    let lines: Vec<String> = log.into_inner().expect("no panic").iter().collect();
    assert!(lines.iter().any(|line| line.contains("reset_password")), "{lines:?}");
    for secret in [&bare, &named, &token, given] {
        assert!(lines.iter().all(|line| !line.contains(secret)), "{lines:?}");
    }
}

#[test]
fn accounts_are_closed_and_opened_and_operators_made() {
    let mut world = World::new();
    for is_running in [true, false] {
        if !is_running {
            world.stop();
        }
        let grace = |command: &str| world.done(&[command, "--email", "grace@example.com"]);
        assert_eq!(grace("deactivate"), "");
        assert_eq!(world.user("grace")["is_active"], false);
        world.refused(&["reset-link", "--email", "grace@example.com"], "This user is deactivated.");
        let owner = ["make-owner", "--organization", "acme", "--email", "grace@example.com"];
        world.refused(&owner, "This user is deactivated.");
        if is_running {
            assert_eq!(world.logs_in("grace", PASSWORD), 400);
        }
        assert_eq!(grace("activate"), "");
        assert_eq!(grace("activate"), "");
        world.refused(&["deactivate", "--email", "ada@example.com"], "This is the last operator");
        world.refused(&["remove-operator", "--email", "ada@example.com"], "This is the last operator");
        assert_eq!(grace("make-operator"), "");
        assert_eq!(world.user("grace")["is_staff"], true);
        assert_eq!(grace("remove-operator"), "");
        assert_eq!(
            (world.user("grace")["is_staff"].clone(), world.user("grace")["is_active"].clone()),
            (json!(false), json!(true))
        );
        if is_running {
            assert_eq!(world.logs_in("grace", PASSWORD), 200);
        }
    }
}

#[test]
fn somebody_is_made_an_owner_by_identifier_or_slug() {
    both_ways(|world| {
        let acme = world.user("ada")["organizations"][0]["id"].as_str().expect("an id").to_owned();
        let owners = |world: &World| world.lines(&["list-organizations"])[0]["owners"].clone();
        for (email, organization) in [("grace@example.com", acme.as_str()), ("bob@example.com", "acme")] {
            for _ in 0..2 {
                assert_eq!(world.done(&["make-owner", "--organization", organization, "--email", email]), "");
            }
        }
        let mut found: Vec<String> = serde_json::from_value(owners(world)).expect("texts");
        found.sort();
        assert_eq!(found, ["ada@example.com", "bob@example.com", "grace@example.com"]);
    });
}

#[test]
fn a_user_is_deleted_and_no_organization_is_left_without_an_owner() {
    both_ways(|world| {
        let delete = |email: &'static str| ["delete-user", "--email", email];
        world.refused(&delete("ada@example.com"), "This is the last operator");
        world.refused(&delete("bob@example.com"), "\"Bobs\" has no other member");
        world.done(&["make-owner", "--organization", "graces", "--email", "bob@example.com"]);
        world.done(&["make-owner", "--organization", "acme", "--email", "grace@example.com"]);
        let gone = world.lines(&delete("Grace@example.com"));
        let mut left: Vec<String> =
            serde_json::from_value(gone[0]["left_organizations"].clone()).expect("texts");
        left.sort();
        assert_eq!((left.join(" ").as_str(), &gone[0]["deleted_organizations"]), ("Acme Graces", &json!([])));
        world.refused(&delete("grace@example.com"), "No user has this address.");
        world.refused(&delete("bob@example.com"), "has no other member");
        let gone = world.lines(&[&delete("bob@example.com")[..], &["--with-organizations"]].concat());
        assert_eq!(gone[0]["deleted_organizations"].as_array().map(Vec::len), Some(2), "{gone:?}");
        assert_eq!((world.lines(&["list-users"]).len(), world.lines(&["list-organizations"]).len()), (1, 1));
    });
}

#[test]
fn a_deleted_user_opens_nothing_and_what_was_done_is_in_the_audit_log() {
    let world = World::new();
    world.done(&["make-owner", "--organization", "acme", "--email", "grace@example.com"]);
    world.done(&["end-sessions", "--email", "grace@example.com"]);
    world.done(&["make-owner", "--organization", "graces", "--email", "ada@example.com"]);
    world.done(&["delete-user", "--email", "grace@example.com"]);
    assert_eq!(world.logs_in("grace", PASSWORD), 400);
    let (status, log) = world.call("GET", "organizations/@current/advanced_activity_logs/", &json!({}));
    assert_eq!(status, 200);
    let all = log["results"].as_array().expect("entries");
    let of_operator: Vec<&Value> = all.iter().filter(|entry| entry["client"] == "orgd admin").collect();
    for (scope, activity) in
        [("OrganizationMembership", "created"), ("OrganizationMembership", "deleted"), ("User", "deleted")]
    {
        let is_it = |entry: &&&Value| entry["scope"] == scope && entry["activity"] == activity;
        let found = of_operator.iter().find(is_it).unwrap_or_else(|| panic!("{scope} {activity}: {log:#}"));
        assert!(found["user"].is_null(), "{found}");
    }
}

#[test]
fn another_user_of_the_machine_is_not_answered() {
    let nobody = |arguments: &[&str]| {
        let mut command = std::process::Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", env!("CARGO_BIN_EXE_orgd")]);
        command.args(arguments).stdin(Stdio::null()).output()
    };
    if !nobody(&["--version"]).is_ok_and(|output| output.status.success()) {
        let _ = writeln!(std::io::stderr(), "SKIPPED: only root can become another user, by setpriv");
        return;
    }
    let world = World::new();
    let mode = |path: &Path, mode: u32| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(path, mode).expect("the file is ours");
    };
    mode(world.file.parent().expect("a folder"), 0o755);
    let list = ["admin", "list-users", "--data", world.file.to_str().expect("a path of text")];
    let socket = PathBuf::from(format!("{}.sock", list[3]));
    for (rights, words) in
        [(0o600, "cannot ask the server at"), (0o666, "only the user that the server runs as")]
    {
        mode(&socket, rights);
        let output = nobody(&list).expect("setpriv runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && output.stdout.is_empty() && said.contains(words), "{said}");
    }
    assert_eq!(world.lines(&["list-users"]).len(), 3);
}
