//! Whose output nobody reads, or nothing can take.

use std::fs::{self, OpenOptions};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{agent, ask, bootstrap, orgd, run, until};

const KEY: &str = "phx_for-the-test-of-lost-output-only-0123456789";

/// A pipe whose reader has gone.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

/// How a command ends, and what it says on standard error.
fn ended(command: &mut Command) -> (Option<i32>, String) {
    let output = command.stdin(Stdio::null()).stderr(Stdio::piped()).output().expect("the program runs");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_reader_who_wants_no_more_is_no_error_and_a_full_disk_is_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("orgd.redb").display().to_string();
    bootstrap(&data);
    let org_file = folder.path().join("org.yaml").display().to_string();
    assert!(run(&["export", "-f", &org_file, "--data", &data]).status.success());
    let commands: [&[&str]; 22] = [
        &["--help"],
        &["--version"],
        &["serve", "--help"],
        &["routes"],
        &["openapi"],
        &["licenses"],
        &["completions", "bash"],
        &["schema", "org-file"],
        &["config", "show"],
        &["config", "show", "--json"],
        &["config", "check"],
        &["config", "example"],
        &["status", "--data", &data],
        &["status", "--data", &data, "--json"],
        &["support", "--data", &data],
        &["support", "--data", &data, "--json"],
        &["check", "--data", &data],
        &["upgrade", "--check", "--data", &data],
        &["admin", "list-users", "--data", &data],
        &["export", "-f", "-", "--data", &data],
        &["plan", "-f", &org_file, "--data", &data],
        &["fmt", "-f", "-"],
    ];
    for command in commands {
        let whole = run(command);
        let closed = ended(orgd(command).stdout(closed()));
        assert_eq!(closed.0, whole.status.code(), "{command:?}: {}", closed.1);
        assert!(!closed.1.contains("panicked"), "{command:?}: {}", closed.1);
        // Nobody hears that it failed, and it fails with its own code.
        let mut deaf = orgd(command);
        let deaf = deaf.stdin(Stdio::null()).stdout(Stdio::null()).stderr(self::closed()).status();
        assert_eq!(deaf.expect("the program runs").code(), whole.status.code(), "{command:?}");
        // Those of clap end well whatever becomes of them.
        if whole.stdout.is_empty() || command.iter().any(|word| ["--help", "--version"].contains(word)) {
            continue;
        }
        let full = OpenOptions::new().write(true).open("/dev/full").expect("a device that is full");
        let (code, said) = ended(orgd(command).stdout(full));
        let sentences = said.lines().filter(|line| line.starts_with("orgd: ")).count();
        assert!(
            code == Some(1) && sentences == 1 && !said.contains("panicked"),
            "{command:?}: {code:?} {said}"
        );
    }
}

#[test]
fn a_server_that_nobody_listens_to_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("orgd.redb").display().to_string();
    let ready = folder.path().join("ready.json");
    let mut server = orgd(&["serve", "--dev", "--listen", "127.0.0.1:0", "--data", &data, "--api-key", KEY]);
    server.arg("--ready-file").arg(&ready).stdin(Stdio::null()).stdout(closed()).stderr(closed());
    let mut server = server.spawn().expect("the program starts");
    until("it is ready", || ready.exists());
    let line: Value = serde_json::from_str(&fs::read_to_string(&ready).expect("text")).expect("JSON");
    let base = line["url"].as_str().expect("an address");
    for name in ["one", "two"] {
        let made =
            ask(&agent(), "POST", &format!("{base}/api/organizations/"), Some(KEY), &json!({"name": name}));
        assert_eq!(made.expect("an answer").0, 201);
    }
    let told = Command::new("kill").args(["-TERM", &server.id().to_string()]).status();
    assert!(told.expect("kill runs").success());
    assert_eq!(server.wait().expect("it ends").code(), Some(0));
}
