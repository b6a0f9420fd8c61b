//! The secret key, and who can read what lies on the disk.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Serving, agent, ask, orgd};

const KEY: &str = "phx_a_key_of_the_first_owner";
const SECRET_KEY: &str = "a key of at least thirty-two letters";

fn output_of(command: &mut std::process::Command) -> (bool, String) {
    let output = command.output().expect("the program runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

fn check(data: &Path) -> (bool, String) {
    output_of(orgd(&["check", "--data"]).arg(data))
}

fn key_file(data: &Path) -> PathBuf {
    data.with_extension("redb.key")
}

/// A file with an owner and, where it is wanted, a batch export whose token is sealed.
fn place(has_secret: bool) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("orgd.redb");
    let bootstrap = ["bootstrap", "--email", "ada@example.com", "--organization", "Acme", "--data"];
    let (is_made, output) = output_of(orgd(&bootstrap).arg(&data).env("ORGD_BOOTSTRAP_API_KEY", KEY));
    assert!(is_made && output.contains(KEY), "{output}");
    if has_secret {
        let server = Serving::start(&data, &[]);
        assert_eq!(make_export(&server).0, 201);
        assert_eq!(server.stop(), Some(0));
    }
    (folder, data)
}

fn make_export(server: &Serving) -> (u16, Value) {
    let config = json!({"url": "http://127.0.0.1:9/", "token": "sesame"});
    let body = json!({"name": "n", "interval": "hour", "paused": true, "destination": {"type": "HTTP", "config": config}});
    let url = format!("{}/api/organizations/@current/batch_exports/", server.base);
    ask(&agent(), "POST", &url, Some(KEY), &body).expect("an answer")
}

fn ready(server: &Serving) -> (u16, Value) {
    ask(&agent(), "GET", &format!("{}/_readyz", server.base), None, &Value::Null).expect("an answer")
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the mode is set");
}

/// Starts without the right key: loud, not ready, and without a new key.
fn starts_locked(command: &mut std::process::Command, data: &Path) {
    let keys = || fs::read(key_file(data)).ok();
    let before = keys();
    let server = Serving::of(command);
    assert!(server.said.iter().any(|line| line.contains("--new-secret-key")), "{:#?}", server.said);
    assert_eq!(ready(&server), (503, json!({"http": true, "database": true, "secrets": false})));
    assert_eq!(make_export(&server).0, 503, "no secret is sealed with another key");
    assert_eq!(server.stop(), Some(0));
    assert_eq!(keys(), before, "the key file is as it was");
}

fn serve(data: &Path) -> std::process::Command {
    let mut command = orgd(&["serve", "--listen", "127.0.0.1:0", "--data"]);
    command.arg(data);
    command
}

#[test]
fn a_lost_or_foreign_key_beside_sealed_secrets_is_loud_and_never_replaced_unasked() {
    let (_folder, data) = place(true);
    let key = fs::read(key_file(&data)).expect("the key");
    assert!(check(&data).0);
    fs::remove_file(key_file(&data)).expect("the key is lost");
    starts_locked(&mut serve(&data), &data);
    assert!(!key_file(&data).exists(), "no new key is made");
    let (is_whole, output) = check(&data);
    assert!(!is_whole && output.contains("1 of 1 sealed secrets cannot be opened"), "{output}");
    assert!(!key_file(&data).exists(), "a check makes no key");
    starts_locked(serve(&data).env("ORGD_SECRET_KEY", SECRET_KEY), &data);

    fs::write(key_file(&data), SECRET_KEY).expect("another key");
    set_mode(&key_file(&data), 0o600);
    starts_locked(&mut serve(&data), &data);
    assert!(!check(&data).0);

    fs::write(key_file(&data), &key).expect("the key is back");
    let server = Serving::start(&data, &[]);
    assert_eq!(ready(&server), (200, json!({"http": true, "database": true})));
    assert_eq!(make_export(&server).0, 201);
    assert_eq!(server.stop(), Some(0));
    assert!(check(&data).0);
}

#[test]
fn an_operator_may_give_the_old_secrets_up() {
    for has_file in [false, true] {
        let (_folder, data) = place(true);
        fs::remove_file(key_file(&data)).expect("the key is lost");
        if has_file {
            fs::write(key_file(&data), SECRET_KEY).expect("another key");
            set_mode(&key_file(&data), 0o600);
        }
        let server = Serving::start(&data, &["--new-secret-key"]);
        assert!(
            server.said.iter().any(|line| line.contains("have to be entered again")),
            "{:#?}",
            server.said
        );
        assert_eq!(ready(&server).0, 200);
        assert_eq!(make_export(&server).0, 201);
        assert_eq!(server.stop(), Some(0));
        let server = Serving::start(&data, &[]);
        assert_eq!(ready(&server).0, 200, "the new key is the file's from now on");
        assert_eq!(server.stop(), Some(0));
        let (is_whole, output) = check(&data);
        assert!(!is_whole && output.contains("1 of 2 sealed secrets cannot be opened"), "{output}");
    }
}

#[test]
fn where_nothing_is_sealed_a_new_key_is_made_without_a_word() {
    let (_folder, data) = place(false);
    fs::remove_file(key_file(&data)).expect("the key is lost");
    assert!(check(&data).0);
    assert!(!key_file(&data).exists(), "a check makes no key");
    let server = Serving::start(&data, &[]);
    assert!(key_file(&data).exists());
    assert_eq!(make_export(&server).0, 201);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn files_that_others_can_read_are_told_of_and_such_a_key_is_refused() {
    let (_folder, data) = place(false);
    for mode in [0o604, 0o644, 0o666] {
        set_mode(&key_file(&data), mode);
        let (is_served, output) = output_of(&mut serve(&data));
        assert!(!is_served && output.contains("chmod 600") && output.contains(".key"), "{mode:o}: {output}");
    }
    set_mode(&key_file(&data), 0o600);
    for (mode, is_warned_of) in [(0o600, false), (0o640, true), (0o644, true)] {
        set_mode(&data, mode);
        let server = Serving::start(&data, &[]);
        let is_warned = server.said.iter().any(|line| line.contains("can be read by others: chmod 600"));
        assert_eq!(is_warned, is_warned_of, "{mode:o}: {:#?}", server.said);
        assert_eq!(server.stop(), Some(0));
    }
}

#[test]
fn secrets_come_from_files_and_from_credentials_as_well() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    fs::write(at("orgd.secret_key"), format!("{SECRET_KEY}\n")).expect("a file");
    fs::write(at("api_key"), format!("{KEY}\n")).expect("a file");
    let bootstrap = ["bootstrap", "--email", "ada@example.com", "--organization", "Acme", "--data"];
    for (number, (name, place)) in
        [("ORGD_SECRET_KEY_FILE", at("orgd.secret_key")), ("CREDENTIALS_DIRECTORY", folder.path().to_owned())]
            .into_iter()
            .enumerate()
    {
        let data = at(&format!("{number}.redb"));
        let mut command = orgd(&bootstrap);
        command.arg(&data).env(name, &place).env("ORGD_BOOTSTRAP_API_KEY_FILE", at("api_key"));
        let (is_made, output) = output_of(&mut command);
        assert!(is_made && output.contains(KEY), "{output}");
        assert!(!key_file(&data).exists(), "the key came from elsewhere");
        let server = Serving::of(serve(&data).env(name, &place));
        assert_eq!(make_export(&server).0, 201);
        assert_eq!(server.stop(), Some(0));
        let server = Serving::of(serve(&data).env("ORGD_SECRET_KEY", SECRET_KEY));
        assert_eq!(ready(&server).0, 200, "it is the same key");
        assert_eq!(server.stop(), Some(0));
        let mut twice = serve(&data);
        let (is_served, output) = output_of(twice.env(name, &place).env("ORGD_SECRET_KEY", SECRET_KEY));
        assert!(!is_served && output.contains("both ORGD_SECRET_KEY and"), "{output}");
    }
    let (is_served, output) = output_of(serve(&at("none.redb")).env("ORGD_SMTP_URL_FILE", at("missing")));
    assert!(!is_served && output.contains("ORGD_SMTP_URL_FILE: cannot read"), "{output}");
    assert!(!at("none.redb").exists());
}
