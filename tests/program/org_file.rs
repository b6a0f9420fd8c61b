//! `orgd plan`, `apply`, `export -f`, `fmt` and `schema`: on a file that none holds, on one that a server holds, and over
//! the network.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Serving, bootstrap, key_of, orgd, run};

/// An organization in a data file, and a folder for files about it.
struct World {
    folder: TempDir,
    data: PathBuf,
    key: String,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("orgd.redb");
        let path = data.to_str().expect("a path of text");
        let made = bootstrap(path);
        World { data, key: key_of(&made).to_owned(), folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).expect("it is written");
        self.path(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("a file")
    }

    /// In the folder, on the data file.
    fn on_data(&self, arguments: &[&str]) -> Output {
        let mut command = orgd(arguments);
        command.arg("--data").arg(&self.data).current_dir(self.folder.path()).stdin(Stdio::null());
        command.output().expect("the program runs")
    }

    fn on_server(&self, server: &Serving, arguments: &[&str]) -> Output {
        let mut command = orgd(arguments);
        command.env("ORGD_URL", &server.base).env("ORGD_KEY", &self.key).current_dir(self.folder.path());
        command.stdin(Stdio::null()).output().expect("the program runs")
    }
}

#[track_caller]
fn said(output: &Output, code: i32) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}{err}");
    format!("{out}{err}")
}

const FILE: &str = "orgd: 1
organizations:
  - slug: acme
    settings: {enforce_2fa: true}
    members: [{email: grace@example.com, level: admin}]
    roles: [{name: Engineers, members: [grace@example.com]}]
users: [{email: grace@example.com, first_name: Grace, password: {env: GRACE_PASSWORD}}]
";

#[test]
fn a_data_file_is_planned_and_applied() {
    let world = World::new();
    world.write("org.yaml", FILE);
    let plan = |arguments: &[&str]| {
        let mut command = orgd(&["plan", "-f", "org.yaml"]);
        command.args(arguments).arg("--data").arg(&world.data).current_dir(world.folder.path());
        command.env("GRACE_PASSWORD", "a-rather-Long-passphrase-7").output().expect("the program runs")
    };
    let before = fs::read(&world.data).expect("the data file");
    let text = said(&plan(&[]), 2);
    for line in [
        "people at",
        "+ user grace@example.com",
        "password: (secret)",
        "acme at",
        "~ organization \"Acme\"",
        "enforce_2fa: null -> true",
        "+ member grace@example.com",
        "+ role \"Engineers\"",
        "members: grace@example.com",
        "Not in the file, kept: 1 member, 1 project",
        "Plan: 3 to add, 1 to change, 0 to remove",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(!text.contains("Long-passphrase"), "{text}");
    said(&plan(&["--exit-zero"]), 0);
    let json: Value =
        serde_json::from_str(said(&plan(&["--json", "-o", "plan.json"]), 2).trim()).expect("a plan");
    assert_eq!((&json["format"], &json["summary"]["add"]), (&1.into(), &3.into()));
    let saved = world.read("plan.json");
    assert!(saved.contains("GRACE_PASSWORD") && !saved.contains("Long-passphrase"), "{saved}");
    let same = fs::read(&world.data).expect("the data file") == before;
    assert!(same, "the plan changed a byte");

    // Nobody can be asked here.
    assert!(said(&world.on_data(&["apply", "-f", "org.yaml"]), 1).contains("blocked"));
    let apply = |arguments: &[&str]| {
        let mut command = orgd(&["apply"]);
        command.args(arguments).arg("--data").arg(&world.data).current_dir(world.folder.path());
        command.env("GRACE_PASSWORD", "a-rather-Long-passphrase-7").stdin(Stdio::null());
        command.output().expect("the program runs")
    };
    assert!(said(&apply(&["plan.json"]), 1).contains("--yes is wanted"));
    assert!(said(&apply(&["plan.json", "--yes"]), 0).contains("Done."));
    assert!(said(&apply(&["plan.json", "--yes"]), 1).contains("plan again"));
    assert!(said(&apply(&["-f", "org.yaml", "--yes"]), 0).contains("Nothing to do."));
    assert!(said(&world.on_data(&["plan", "-f", "org.yaml"]), 0).contains("Nothing to do."));
    said(&world.on_data(&["check"]), 0);
}

#[test]
fn a_server_is_asked_where_it_holds_the_file_and_over_the_network() {
    let world = World::new();
    world.write("org.yaml", "orgd: 1\norganizations: [{slug: acme, roles: [{name: R}]}]\n");
    world.write("more.yaml", "orgd: 1\norganizations: [{slug: acme, roles: [{name: S}]}]\n");
    let server = Serving::start(&world.data, &[]);
    let both = ["plan", "-f", "org.yaml", "-f", "more.yaml"];
    let text = said(&world.on_data(&both), 2);
    assert!(text.contains("Plan: 2 to add"), "{text}");
    let text = said(&world.on_server(&server, &both), 2);
    assert!(text.contains(&format!("acme at {}", server.base)) && text.contains("+ role \"S\""), "{text}");
    assert!(said(&world.on_server(&server, &["apply", "-f", "org.yaml", "--yes"]), 0).contains("Done."));
    assert!(said(&world.on_data(&["apply", "-f", "more.yaml", "--yes"]), 0).contains("Done."));
    said(&world.on_server(&server, &["diff", "-f", "org.yaml", "-f", "more.yaml"]), 0);
    // Both ways give the same, but for people.
    said(&world.on_server(&server, &["export", "-f", "url.yaml", "--org", "acme"]), 0);
    said(&world.on_data(&["export", "-f", "data.yaml"]), 0);
    assert!(world.read("data.yaml").starts_with(&world.read("url.yaml")), "{}", world.read("url.yaml"));
    assert!(world.read("data.yaml").contains("users:\n  - id: "));
    said(&world.on_data(&["export", "-f", "data.json"]), 0);
    let json: Value = serde_json::from_str(&world.read("data.json")).expect("JSON");
    assert_eq!(json["organizations"][0]["slug"], "acme");
    said(&world.on_data(&["plan", "-f", "data.json"]), 0);
    assert!(said(&world.on_data(&["export", "-f", "-", "--no-ids"]), 0).starts_with("orgd: 1\n"));
}

#[test]
fn mistakes_are_sentences_with_their_place() {
    let world = World::new();
    world.write("odd.yaml", "orgd: 1\norganizations:\n  - slug: acme\n    rolls: []\n");
    world.write("wrong.yaml", "orgd: 1\norganizations:\n  - slug: acme\n    projects:\n      - name: P\n        access: {default: boss}\n");
    world.write("plain.yaml", "orgd: 1\norganizations:\n  - slug: acme\n    projects:\n      - name: P\n        settings:\n          slack_incoming_webhook: {secret: x}\n");
    let server = Serving::start(&world.data, &[]);
    for (arguments, words) in [
        (
            &["plan", "-f", "odd.yaml"] as &[&str],
            "odd.yaml:4:5: organizations[0].rolls: there is no `rolls`; is `roles` meant?",
        ),
        (&["plan", "-f", "wrong.yaml"], "wrong.yaml:6:"),
        (&["plan", "-f", "plain.yaml"], "a secret does not stand in the file itself"),
        (&["plan", "-f", "missing.yaml"], "cannot read missing.yaml"),
        (&["export", "-f", "x.yaml", "--org", "nobody"], "There is no organization nobody."),
        (&["apply", "odd.yaml"], "is no plan"),
    ] {
        let text = said(&world.on_data(arguments), 1);
        assert!(text.contains(words), "{arguments:?}: {text}");
        let text = said(&world.on_server(&server, arguments), 1);
        assert!(text.contains(words), "{arguments:?} by the network: {text}");
    }
    for (url, key, words) in [
        ("http://orgd.example.com", Some("k"), "over https only"),
        ("127.0.0.1:1", Some("k"), "an address is wanted"),
        ("http://127.0.0.1:1", Some("k"), "could not be reached"),
        ("http://127.0.0.1:1", None, "ORGD_KEY"),
    ] {
        let mut command = orgd(&["plan", "-f", "wrong.yaml", "--url", url]);
        command.current_dir(world.folder.path());
        if let Some(key) = key {
            command.env("ORGD_KEY", key);
        }
        let text = said(&command.output().expect("the program runs"), 1);
        assert!(text.contains(words), "{url}: {text}");
    }
    let usage = said(&world.on_data(&["export"]), 2);
    assert!(usage.contains("required"), "{usage}");
}

#[test]
fn a_file_is_brought_into_its_form_and_has_a_schema() {
    let world = World::new();
    let path = world.write("org.yaml", FILE);
    let of = |arguments: &[&str]| orgd(arguments).arg("-f").arg(&path).output().expect("the program runs");
    assert!(said(&of(&["fmt", "--check"]), 1).contains("orgd fmt -w"));
    let formatted = said(&of(&["fmt"]), 0);
    said(&of(&["fmt", "--write"]), 0);
    assert_eq!(world.read("org.yaml"), formatted);
    said(&of(&["fmt", "--check"]), 0);
    let schema: Value = serde_json::from_slice(&run(&["schema", "org-file"]).stdout).expect("JSON");
    let project = &schema["properties"]["organizations"]["items"]["properties"]["projects"]["items"];
    assert_eq!(
        project["properties"]["settings"]["properties"]["surveys_opt_in"]["type"],
        serde_json::json!(["boolean", "null"])
    );
    assert_eq!(project["additionalProperties"], false);
}

/// Of a program that is killed while it applies a file, all is there or nothing.
#[test]
fn whoever_is_killed_has_applied_all_or_nothing() {
    let world = World::new();
    let roles: Vec<String> = (0..300).map(|number| format!("{{name: R{number}}}")).collect();
    world.write(
        "org.yaml",
        &format!("orgd: 1\norganizations: [{{slug: acme, roles: [{}]}}]\n", roles.join(", ")),
    );
    for round in 0..12 {
        let copy = world.path("copy.redb");
        fs::copy(&world.data, &copy).expect("a copy");
        fs::copy(with_end(&world.data), with_end(&copy)).expect("a copy of the key");
        let mut command = orgd(&["apply", "-f", "org.yaml", "--yes", "--data"]);
        command.arg(&copy).current_dir(world.folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the program runs");
        // A longer and longer time, by work that takes some.
        for _ in 0..round {
            run(&["schema", "org-file"]);
        }
        let _ = child.kill();
        child.wait().expect("it ends");
        let counted = orgd(&["export", "-f", "-", "--data"]).arg(&copy).output().expect("the program runs");
        let text = String::from_utf8_lossy(&counted.stdout).into_owned();
        let roles = text.lines().filter(|line| line.trim_start().starts_with("name: R")).count();
        assert!(roles == 0 || roles == 300, "round {round}: {roles} roles");
    }
}

fn with_end(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".key");
    name.into()
}
