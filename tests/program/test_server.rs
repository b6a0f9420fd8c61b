//! Development and test servers as processes: what makes one, which file it may have, and how it says that it is ready.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Serving, agent, ask, bootstrap, key_of, orgd, run, unpack};

/// A server that says in JSON that it is ready.
pub struct Ready {
    pub child: Child,
    line: Value,
    rest: BufReader<ChildStdout>,
}

impl Ready {
    pub fn of(command: &mut Command) -> Ready {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
        let mut rest = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        rest.read_line(&mut line).expect("text");
        let line = serde_json::from_str(&line).unwrap_or_else(|cause| panic!("{line:?}: {cause}"));
        Ready { child, line, rest }
    }

    pub fn test(more: &[&str]) -> Ready {
        Ready::of(orgd(&["serve", "--test"]).args(more))
    }

    pub fn text(&self, name: &str) -> String {
        self.line[name].as_str().unwrap_or_else(|| panic!("{name}: {}", self.line)).to_owned()
    }

    pub fn get(&self, path: &str) -> (u16, Value) {
        let key = self.line["api_key"].as_str();
        ask(&agent(), "GET", &format!("{}{path}", self.text("url")), key, &Value::Null).expect("an answer")
    }

    /// Ends it; what else it printed on standard output.
    pub fn stop(mut self) -> String {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(&pid).status().expect("kill runs").success());
        let mut rest = String::new();
        self.rest.read_to_string(&mut rest).expect("text");
        assert_eq!(self.child.wait().expect("it ends").code(), Some(0));
        rest
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn folder_and_file() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("orgd.redb");
    (folder, file)
}

fn shown(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// What the program says when it refuses to serve.
#[track_caller]
pub fn refusal(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("the program runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(output.stdout.is_empty(), "nothing is ready: {}", String::from_utf8_lossy(&output.stdout));
    said
}

#[test]
fn no_variable_and_no_file_of_settings_makes_a_test_server() {
    let (folder, data) = folder_and_file();
    let mut command = orgd(&["serve", "--listen", "127.0.0.1:0", "--data", shown(&data)]);
    for name in ["TEST", "IN_MEMORY", "IDS", "EXPOSED", "CLOCK", "API_KEY", "PROJECT_TOKEN", "CONTROL_HOST"] {
        command.env(format!("ORGD_{name}"), "1");
    }
    let server = Serving::of(&mut command);
    let (status, _) =
        ask(&agent(), "GET", &format!("{}/_orgd/", server.base), None, &Value::Null).expect("it answers");
    assert_eq!(status, 404);
    assert!(data.exists());
    drop(server);
    let config = folder.path().join("orgd.conf");
    for name in ["TEST", "IDS", "EXPOSED", "IN_MEMORY"] {
        fs::write(&config, format!("ORGD_{name}=1\n")).expect("it can be written");
        let said = refusal(&mut orgd(&["serve", "--config", shown(&config), "--data", shown(&data)]));
        assert!(said.contains(&format!("ORGD_{name} is no setting")), "{said}");
    }
}

#[test]
fn what_belongs_to_tests_is_refused_elsewhere() {
    let (_folder, data) = folder_and_file();
    for (flags, words) in [
        (&["--in-memory"][..], "--in-memory needs --dev"),
        (&["--data", "x", "--ids", "1"], "--ids needs --dev"),
        (&["--data", "x", "--clock", "+0"], "--clock needs --dev"),
        (&["--data", "x", "--api-key", "phx_12345678901234567890"], "--api-key needs --dev"),
        (&["--data", "x", "--project-token", "phc_12345678"], "--project-token needs --dev"),
        (&["--data", "x", "--control-host", "a.example"], "--control-host needs --dev"),
        (&["--data", "x", "--exposed"], "--exposed needs --dev"),
        (&["--data", "x", "--dev", "--exposed"], "--exposed needs --in-memory"),
        (&["--data", "x", "--dev", "--from", "y"], "--from needs --in-memory"),
        (&["--data", "x", "--dev", "--save-on-exit", "y"], "--save-on-exit needs --in-memory"),
        (&["--test", "--from", "y", "--save-on-exit", "y"], "never written to"),
        (&["--test", "--smtp-url", "smtp://127.0.0.1"], "--test sends no mail"),
        (&["--dev", "--listen", "0.0.0.0:0"], "loopback only"),
        (&["--dev", "--listen", "[::]:0"], "loopback only"),
        (&["--test", "--listen", "0.0.0.0:0"], "loopback only"),
    ] {
        let said = refusal(orgd(&["serve"]).args(flags).current_dir(data.parent().expect("a folder")));
        assert!(said.contains(words), "{flags:?}: {said}");
        assert!(!data.exists() && !data.with_file_name("x").exists(), "{flags:?} left a file");
    }
    let output = run(&["serve", "--test", "--data", shown(&data)]);
    assert_eq!(output.status.code(), Some(2), "data in memory have no file");
    let exposed = Ready::test(&["--listen", "0.0.0.0:0", "--exposed"]);
    assert_eq!(exposed.get("/_livez").0, 200);
}

#[test]
fn a_file_that_dev_did_not_make_is_no_development_file() {
    let (_folder, data) = folder_and_file();
    let made =
        run(&["bootstrap", "--data", shown(&data), "--email", "demo@example.com", "--organization", "Demo"]);
    assert!(made.status.success());
    let before = run(&["export", "--data", shown(&data), "--all"]).stdout;
    for more in [&["--dev"][..], &["--dev", "--ids", "1", "--clock", "2030-01-01T00:00:00Z"]] {
        let mut command = orgd(&["serve", "--listen", "127.0.0.1:0", "--data", shown(&data)]);
        let said = refusal(command.args(more));
        assert!(said.contains("not a development file"), "{said}");
    }
    let said =
        refusal(orgd(&["serve", "--listen", "127.0.0.1:0", "--data", shown(&data)]).env("ORGD_DEV", "1"));
    assert!(said.contains("not a development file"), "{said}");
    let after = run(&["export", "--data", shown(&data), "--all"]).stdout;
    let rows = |lines: &[u8]| -> Vec<String> {
        let text = String::from_utf8_lossy(lines).into_owned();
        text.lines().filter(|line| line.starts_with("{\"t")).map(str::to_owned).collect()
    };
    assert_eq!(rows(&before), rows(&after), "a refusal changes nothing");
    assert_eq!(Serving::start(&data, &[]).stop(), Some(0), "it is an ordinary file still");
}

#[test]
fn a_development_file_is_never_served_to_others() {
    let (_folder, data) = folder_and_file();
    assert_eq!(Serving::start(&data, &["--dev"]).stop(), Some(0));
    let server = Serving::start(&data, &[]);
    assert!(server.said.iter().any(|line| line.contains("made with --dev")), "{:?}", server.said);
    assert_eq!(server.stop(), Some(0));
    let said = refusal(&mut orgd(&["serve", "--listen", "0.0.0.0:0", "--data", shown(&data)]));
    assert!(said.contains("only be served on loopback"), "{said}");
    assert_eq!(Serving::start(&data, &["--dev"]).stop(), Some(0), "it is a development file still");
}

/// The secret key of `dev-schema-3`, and the key of its demo owner, which follows from it.
const OLD: (&str, &str) =
    ("GaGfgUwaJF58G795vmWLTAfwbwUr0ZjjZvIPFQRYZxJ", "phx_1JJspzJxlXXpOBHoxWDbFX2O7MWxQaNzRlL1AkxYRnQ");

#[test]
fn a_development_file_of_a_program_that_did_not_mark_it_is_one() {
    for more in [&["--dev"][..], &[]] {
        let (folder, data) = folder_and_file();
        unpack("dev-schema-3", &data);
        let key = folder.path().join("orgd.redb.key");
        fs::write(&key, OLD.0).expect("written");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("its owner may");
        let said = refusal(&mut orgd(&["serve", "--listen", "0.0.0.0:0", "--data", shown(&data)]));
        assert!(said.contains("only be served on loopback"), "{said}");
        let server = Serving::start(&data, more);
        let warned = server.said.iter().any(|line| line.contains("made with --dev"));
        assert_eq!(warned, more.is_empty(), "{:?}", server.said);
        let own = format!("{}/api/organizations/@current/", server.base);
        let answer = ask(&agent(), "GET", &own, Some(OLD.1), &Value::Null).expect("an answer");
        assert_eq!(answer.0, 200, "{}", answer.1);
        let control = ask(&agent(), "GET", &format!("{}/_orgd/", server.base), None, &Value::Null);
        assert_eq!(control.expect("an answer").0, if more.is_empty() { 404 } else { 200 });
        assert_eq!(server.stop(), Some(0));
    }
}

#[test]
fn a_file_with_predictable_secrets_is_never_an_ordinary_one_again() {
    for more in [
        &["--ids", "1"][..],
        &["--clock", "2026-01-01T00:00:00Z"],
        &["--clock", "+0"],
        &["--api-key", "phx_12345678901234567890"],
        &["--project-token", "phc_for_the_tests"],
    ] {
        let (folder, data) = folder_and_file();
        assert_eq!(Serving::start(&data, &[&["--dev"], more].concat()).stop(), Some(0), "{more:?}");
        let copy = folder.path().join("copy.redb");
        fs::copy(&data, &copy).expect("a copy");
        fs::copy(data.with_extension("redb.key"), copy.with_extension("redb.key")).expect("its key");
        let backup = folder.path().join("backup.redb");
        assert!(run(&["backup", "--data", shown(&data), shown(&backup)]).status.success(), "{more:?}");
        fs::copy(data.with_extension("redb.key"), backup.with_extension("redb.key")).expect("its key");
        for file in [&data, &copy, &backup] {
            let said = refusal(&mut orgd(&["serve", "--listen", "127.0.0.1:0", "--data", shown(file)]));
            assert!(said.contains("can only be served with --dev"), "{more:?} {said}");
        }
    }
    // So does a clock that is moved later.
    let (_folder, data) = folder_and_file();
    let server = Serving::start(&data, &["--dev"]);
    let url = format!("{}/_orgd/clock", server.base);
    let moved = ask(&agent(), "POST", &url, None, &json!({"advance": "1h"})).expect("an answer");
    assert_eq!(moved.0, 200, "{}", moved.1);
    assert_eq!(server.stop(), Some(0));
    let said = refusal(&mut orgd(&["serve", "--listen", "127.0.0.1:0", "--data", shown(&data)]));
    assert!(said.contains("can only be served with --dev"), "{said}");
    // A later start makes it so as well, and no later one takes it back.
    let (_folder, data) = folder_and_file();
    for more in [&["--dev"][..], &["--dev", "--ids", "1"], &["--dev"]] {
        assert_eq!(Serving::start(&data, more).stop(), Some(0), "{more:?}");
    }
    let said = refusal(&mut orgd(&["serve", "--listen", "127.0.0.1:0", "--data", shown(&data)]));
    assert!(said.contains("can only be served with --dev"), "{said}");
}

#[test]
fn the_ready_line_is_all_that_standard_output_gets_and_has_what_a_client_needs() {
    let server = Ready::test(&["--log-level", "info"]);
    let line = server.line.clone();
    assert_eq!((&line["event"], &line["version"]), (&json!("ready"), &json!(env!("CARGO_PKG_VERSION"))));
    assert_eq!(line["pid"], server.child.id());
    assert_eq!(line["control"], format!("{}/_orgd/", server.text("url")));
    let (status, organization) = server.get("/api/organizations/@current/");
    assert_eq!((status, &organization["id"]), (200, &line["organization_id"]));
    let (_, projects) = server.get("/api/organizations/@current/projects/");
    assert_eq!(projects["results"][0]["id"], line["project"]["id"]);
    assert_eq!(projects["results"][0]["api_token"], line["project"]["api_token"]);
    let (_, me) = server.get("/api/users/@me/");
    assert_eq!((&me["uuid"], &me["email"]), (&line["owner"]["id"], &line["owner"]["email"]));
    let log_in = json!({"email": line["owner"]["email"], "password": line["owner"]["password"]});
    let url = format!("{}/api/login/", server.text("url"));
    assert_eq!(ask(&agent(), "POST", &url, None, &log_in).expect("an answer").0, 200);
    assert_eq!(server.stop(), "");
    let (_folder, data) = folder_and_file();
    let ordinary = Ready::of(&mut orgd(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--ready",
        "json",
        "--data",
        shown(&data),
    ]));
    let names: Vec<&String> = ordinary.line.as_object().expect("an object").keys().collect();
    assert_eq!(names, ["event", "version", "pid", "url"]);
    assert_eq!(ordinary.stop(), "");
}

#[test]
fn the_ready_file_is_its_owners_and_says_nothing_old() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ready");
    let variables = folder.path().join("ready.env");
    let server = Ready::test(&["--ready-file", shown(&file)]);
    let written: Value = serde_json::from_slice(&fs::read(&file).expect("a file")).expect("JSON");
    assert_eq!(written, server.line);
    for path in [&file, &variables] {
        assert_eq!(path.metadata().expect("a file").permissions().mode() & 0o777, 0o600, "{path:?}");
    }
    let lines = fs::read_to_string(&variables).expect("text");
    let url = server.text("url");
    for line in [
        format!("ORGD_URL={url}"),
        format!("ORGD_KEY={}", server.text("api_key")),
        format!("POSTHOG_CLI_HOST={url}"),
        "ORGD_PROJECT_ID=1".to_owned(),
    ] {
        assert!(lines.lines().any(|found| found == line), "{line}: {lines}");
    }
    drop(server);
    // The next one fails before it is ready: what the last one said is gone.
    let said =
        refusal(&mut orgd(&["serve", "--test", "--from", "missing.redb", "--ready-file", shown(&file)]));
    assert!(said.contains("missing.redb"), "{said}");
    assert!(!file.exists() && !variables.exists());
}

#[test]
fn a_server_ends_with_whoever_holds_its_standard_input() {
    let mut command = orgd(&["serve", "--test", "--exit-with-stdin"]);
    let mut server = Ready::of(command.stdin(Stdio::piped()));
    let mut held = server.child.stdin.take().expect("a pipe");
    held.write_all(b"what is typed is not read\n").expect("it takes it");
    assert_eq!(server.get("/_livez").0, 200);
    drop(held);
    assert_eq!(server.child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn a_test_server_takes_nothing_from_the_surroundings() {
    let folder = tempfile::tempdir().expect("a folder");
    let backups = folder.path().join("backups");
    let mut command = orgd(&["serve", "--test"]);
    command.env("ORGD_BACKUP_DIR", &backups).env("ORGD_DATA", folder.path().join("production.redb"));
    command
        .env("ORGD_LISTEN", "127.0.0.1:1")
        .env("ORGD_SMTP_URL", "smtp://127.0.0.1:1")
        .env("ORGD_DNS_SERVER", "nonsense");
    let server = Ready::of(command.current_dir(folder.path()));
    assert_eq!(server.get("/_livez").0, 200);
    assert_eq!(server.stop(), "");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0, "it leaves nothing");
}

#[test]
fn data_in_memory_begin_with_a_copy_and_are_saved_at_the_end() {
    let (folder, data) = folder_and_file();
    assert_eq!(Serving::start(&data, &["--dev"]).stop(), Some(0));
    let before = fs::read(&data).expect("a file");
    let saved = folder.path().join("saved.redb");
    let more = ["--from", shown(&data), "--save-on-exit", shown(&saved)];
    let server = Ready::test(&more);
    let url = format!("{}/api/organizations/@current/roles/", server.text("url"));
    let key = server.text("api_key");
    let made = ask(&agent(), "POST", &url, Some(&key), &json!({"name": "Engineers"})).expect("an answer");
    assert_eq!(made.0, 201);
    assert_eq!(server.stop(), "");
    assert!(fs::read(&data).expect("a file") == before, "the file of --from is as it was");
    assert!(run(&["check", "--data", shown(&saved)]).status.success());
    let again = Ready::test(&["--from", shown(&saved)]);
    let (_, roles) = again.get("/api/organizations/@current/roles/");
    assert_eq!((&roles["count"], again.text("api_key")), (&json!(1), key));
    drop(again);
    // It is a copy of a development file, and predictable by now.
    let said = refusal(&mut orgd(&["serve", "--listen", "127.0.0.1:0", "--data", shown(&saved)]));
    assert!(said.contains("can only be served with --dev"), "{said}");
    let held = Serving::start(&data, &["--dev"]);
    let said = refusal(&mut orgd(&["serve", "--test", "--from", shown(&data)]));
    assert!(said.contains("in use by another orgd process"), "{said}");
    drop(held);
}

#[test]
fn a_copy_of_anybodys_file_is_nobodys_and_has_no_key_but_their_own() {
    let (_folder, data) = folder_and_file();
    let made = bootstrap(&data);
    let server = Ready::test(&["--from", shown(&data)]);
    assert_eq!((&server.line["api_key"], &server.line["owner"]), (&Value::Null, &Value::Null));
    drop(server);
    let key = key_of(&made);
    let server = Ready::test(&["--from", shown(&data), "--api-key", key]);
    assert_eq!(server.line["organization_id"], made["organization_id"]);
    assert_eq!(
        (server.get("/api/users/@me/").1["email"].clone(), &server.line["owner"]),
        (json!("ada@example.com"), &json!({"email": "ada@example.com", "id": made["user_id"]}))
    );
    drop(server);
    assert_eq!(Serving::start(&data, &[]).stop(), Some(0), "the file itself is as it was");
}

#[test]
fn a_save_that_is_killed_leaves_the_old_file_or_the_new_one() {
    let (folder, data) = folder_and_file();
    let mut known = 0;
    for round in 0..6 {
        let from = known > 0;
        let mut more = vec!["--save-on-exit", shown(&data)];
        let copy = folder.path().join("from.redb");
        if from {
            fs::copy(&data, &copy).expect("a copy");
            more.extend(["--from", shown(&copy)]);
        }
        let mut server = Ready::test(&more);
        let url = format!("{}/api/organizations/@current/roles/", server.text("url"));
        let key = server.text("api_key");
        let name = json!({"name": format!("Role {round}")});
        assert_eq!(ask(&agent(), "POST", &url, Some(&key), &name).expect("an answer").0, 201);
        if round == 0 {
            assert_eq!(server.stop(), "");
            known = 1;
            continue;
        }
        let pid = server.child.id().to_string();
        assert!(Command::new("kill").arg(&pid).status().expect("kill runs").success());
        let part = data.with_extension("redb.part");
        while !part.exists() && server.child.try_wait().expect("it runs").is_none() {
            std::thread::yield_now();
        }
        let _ = server.child.kill();
        let _ = server.child.wait();
        assert!(run(&["check", "--data", shown(&data)]).status.success(), "round {round}");
        let again = Ready::test(&["--from", shown(&data)]);
        let found = again.get("/api/organizations/@current/roles/").1["count"].as_u64().expect("a number");
        assert!(found == known || found == known + 1, "round {round}: {found} after {known}");
        known = found;
    }
}

/// The answer to one request, but for the date: what is said of it, and the body.
fn answer_to(server: &Ready, method: &str, path: &str, body: &Value) -> String {
    let request = ureq::http::Request::builder()
        .method(method)
        .uri(format!("{}{path}", server.text("url")))
        // The port is another one each time.
        .header("host", "orgd")
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {}", server.text("api_key")));
    let mut answer = agent().run(request.body(body.to_string()).expect("a request")).expect("an answer");
    let text = answer.body_mut().read_to_string().expect("text");
    let headers = answer.headers().iter().filter(|(name, _)| *name != "date");
    let headers: Vec<String> = headers.map(|(name, value)| format!("{name}: {value:?}")).collect();
    format!("{method} {path} {} {headers:?} {text}", answer.status())
}

/// Two hundred calls: things are made, changed, listed and removed, and some of it goes wrong.
fn two_hundred_calls(server: &Ready) -> Vec<String> {
    let at = "/api/organizations/@current";
    let call = |method: &str, path: String, body: Value| answer_to(server, method, &path, &body);
    let mut said =
        vec![server.text("api_key"), server.line["owner"].to_string(), server.line["project"].to_string()];
    for number in 0..20 {
        let invite = json!({"target_email": format!("grace{number}@example.com"), "level": 8});
        let event =
            json!({"api_key": server.line["project"]["api_token"], "event": "seen", "distinct_id": "d"});
        said.extend([
            call("POST", format!("{at}/roles/"), json!({"name": format!("Role {number}")})),
            call("POST", format!("{at}/roles/"), json!({"name": format!("Role {number}")})),
            call("POST", format!("{at}/projects/"), json!({"name": format!("Project {number}")})),
            call("POST", format!("{at}/invites/"), invite),
            call("POST", format!("{at}/domains/"), json!({"domain": format!("d{number}.example.com")})),
            call("GET", format!("{at}/invites/?limit=3"), Value::Null),
            call("PATCH", "/api/projects/1/".into(), json!({"name": format!("Renamed {number}")})),
            call("POST", "/e/".into(), event),
            call("GET", format!("{at}/projects/"), Value::Null),
            call("GET", format!("/api/nothing/{number}/"), Value::Null),
        ]);
    }
    said.push(call("GET", format!("{at}/activity_log/"), Value::Null));
    said
}

#[test]
fn two_runs_give_the_same_answers_to_the_last_byte() {
    let run = |ids: &str| {
        let server = Ready::test(&["--clock", "2026-01-01T00:00:00Z", "--ids", ids]);
        let said = two_hundred_calls(&server);
        assert!(said.len() > 200);
        said
    };
    let (one, other) = (run("1"), run("1"));
    for (one, other) in one.iter().zip(&other) {
        assert_eq!(one, other);
    }
    let with_others = run("2");
    assert_ne!(one[0], with_others[0], "another number has other secrets");
    assert!(one.iter().any(|said| said.contains(" 201 ")) && one.iter().any(|said| said.contains(" 400 ")));
}

const SEED: &str = "\
orgd: 1
clock: 2026-03-01T12:00:00Z
dns: {e.example.com: {TXT: [hello]}}
organizations:
  - name: Acme
    slug: acme
    members:
      - {email: ada@example.com, level: owner}
      - {email: grace@example.com, level: member}
    projects: [{name: Website}]
users:
  - {email: ada@example.com, first_name: Ada, password: a-long-Passphrase-7}
  - {email: grace@example.com, first_name: Grace}
";

#[test]
fn a_seed_is_what_a_server_begins_with_all_of_it_or_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let seed = folder.path().join("org.yaml");
    fs::write(&seed, SEED).expect("it can be written");
    let server = Ready::test(&["--seed", shown(&seed)]);
    assert_eq!(server.line["seed"], json!({"organizations": 1, "users": 2}));
    assert_eq!(server.line["owner"]["email"], "ada@example.com");
    let (status, organization) = server.get("/api/organizations/@current/");
    assert_eq!((status, &organization["name"]), (200, &json!("Acme")));
    assert_eq!(
        (&organization["id"], &organization["created_at"]),
        (&server.line["organization_id"], &json!("2026-03-01T12:00:00Z"))
    );
    let (_, members) = server.get("/api/organizations/@current/members/");
    assert_eq!(members["count"], 2, "nobody but those of the seed: {members}");
    assert_eq!(server.get("/_orgd/clock").1, json!({"now": "2026-03-01T12:00:00Z", "frozen": true}));
    assert_eq!(server.get("/_orgd/dns/").1["e.example.com"]["TXT"], json!(["hello"]));
    let log_in = json!({"email": "ada@example.com", "password": "a-long-Passphrase-7"});
    let url = format!("{}/api/login/", server.text("url"));
    assert_eq!(ask(&agent(), "POST", &url, None, &log_in).expect("an answer").0, 200);
    drop(server);
    for (from, to, words) in [
        ("slug: acme", "slgu: acme", "slgu"),
        ("clock: 2026-03-01T12:00:00Z", "clock: yesterday", "seed: clock"),
        ("email: ada@example.com, level", "email: nobody@example.com, level", "level: owner"),
    ] {
        fs::write(&seed, SEED.replace(from, to)).expect("it can be written");
        let said = refusal(&mut orgd(&["serve", "--test", "--seed", shown(&seed)]));
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn a_development_file_is_seeded_once_and_has_the_same_key_again() {
    let (folder, data) = folder_and_file();
    let seed = folder.path().join("org.yaml");
    fs::write(&seed, SEED).expect("it can be written");
    let serve = || {
        let mut command =
            orgd(&["serve", "--dev", "--listen", "127.0.0.1:0", "--ready", "json", "--seed", shown(&seed)]);
        Ready::of(command.arg("--data").arg(&data))
    };
    let first = serve();
    let (key, seeded) = (first.text("api_key"), first.line["seed"].clone());
    assert_eq!(first.get("/api/organizations/@current/").1["name"], "Acme");
    first.stop();
    let second = serve();
    assert_eq!((second.text("api_key"), &second.line["seed"]), (key, &Value::Null), "after {seeded}");
    assert_eq!(second.get("/api/organizations/@current/").1["name"], "Acme");
}

#[test]
fn a_server_whose_clock_stands_still_gives_up_on_whoever_sends_no_more() {
    let server = Ready::test(&["--clock", "2026-01-01T00:00:00Z", "--drain-seconds-max", "1"]);
    let place = server.text("url").replace("http://", "");
    let mut stream = TcpStream::connect(&place).expect("the server listens");
    let head = format!(
        "POST /_orgd/faults HTTP/1.1\r\nHost: {place}\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).expect("it reads");
    // It is under way for as long as its body is awaited, which no clock would end that stands still.
    assert_eq!(server.get("/_readyz").0, 200);
    assert_eq!(server.stop(), "");
}

#[test]
fn the_log_keeps_the_time_of_the_machine() {
    let (_folder, data) = folder_and_file();
    let mut server = Serving::start(&data, &["--dev", "--clock", "2040-01-01T00:00:00Z"]);
    let log = server.log.take().expect("a log").into_inner().expect("no panic");
    let url = format!("{}/_orgd/clock", server.base);
    let shown = ask(&agent(), "GET", &url, None, &Value::Null).expect("an answer");
    assert_eq!(shown, (200, json!({"now": "2040-01-01T00:00:00Z", "frozen": true})));
    // Without the line, the log ends with the server.
    assert_eq!(server.stop(), Some(0), "it drains and ends by the machine's clock");
    let line = log.iter().find(|line| line.contains("path=\"/_orgd/clock/\"")).expect("a line");
    assert!(line.starts_with("20") && !line.starts_with("2040"), "{line}");
}
