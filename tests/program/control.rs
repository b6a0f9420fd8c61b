//! The socket beside the data file: what the operator asks of a running server.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Serving, agent, ask, bootstrap, run};

/// The file of a first owner, Ada of Acme.
fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("orgd.redb");
    bootstrap(&file);
    (folder, file)
}

fn shown(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}

fn socket(file: &Path) -> PathBuf {
    format!("{}.sock", shown(file)).into()
}

/// The command on the file.
fn on(file: &Path, command: &[&str]) -> Output {
    run(&[command, &["--data", shown(file)]].concat())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn version() -> String {
    let printed = run(&["--version"]);
    String::from_utf8_lossy(&printed.stdout).trim().trim_start_matches("orgd ").to_owned()
}

/// What a peer hears who says this.
fn heard(file: &Path, line: &[u8]) -> Vec<Value> {
    let mut stream = UnixStream::connect(socket(file)).expect("a server answers");
    // The server may have refused the rest already.
    let _ = stream.write_all(line);
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    lines.map(|line| serde_json::from_str(&line).expect("a JSON line")).collect()
}

fn request(request: Value) -> Vec<u8> {
    format!("{}\n", json!({"version": version(), "request": request})).into_bytes()
}

#[test]
fn the_socket_is_there_while_the_server_runs_and_for_its_owner_only() {
    let (folder, file) = place();
    let server = Serving::start(&file, &[]);
    let about = fs::symlink_metadata(socket(&file)).expect("a socket");
    assert!(about.file_type().is_socket());
    assert_eq!(about.permissions().mode() & 0o777, 0o600);
    assert_eq!(server.stop(), Some(0));
    let left =
        fs::read_dir(folder.path()).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let mut left: Vec<_> = left.collect();
    left.sort();
    assert_eq!(left, ["orgd.redb", "orgd.redb.key"]);
}

#[test]
fn what_a_killed_server_has_left_is_replaced_and_what_is_no_socket_stays() {
    let (_folder, file) = place();
    let server = Serving::start(&file, &[]);
    server.signal("KILL");
    server.wait();
    assert!(socket(&file).exists());
    let users = on(&file, &["admin", "list-users"]);
    assert!(users.status.success(), "{}", said(&users));
    let server = Serving::start(&file, &[]);
    assert_eq!(heard(&file, &request(json!("list_users"))).len(), 2);
    assert_eq!(server.stop(), Some(0));

    fs::write(socket(&file), "a file of somebody's").expect("the folder can be written to");
    let server = Serving::start(&file, &[]);
    assert!(
        server.said.iter().any(|line| line.contains("something else is in its place")),
        "{:?}",
        server.said
    );
    let users = on(&file, &["admin", "list-users"]);
    assert!(said(&users).contains("orgd.redb.sock"), "{}", said(&users));
    assert_eq!(server.stop(), Some(0));
    assert_eq!(fs::read_to_string(socket(&file)).expect("text"), "a file of somebody's");
}

#[test]
fn a_second_server_leaves_the_socket_of_the_first() {
    let (_folder, file) = place();
    let server = Serving::start(&file, &[]);
    let second = on(&file, &["serve", "--listen", "127.0.0.1:0"]);
    assert!(said(&second).contains("in use by another orgd process"), "{}", said(&second));
    assert_eq!(heard(&file, &request(json!("list_users"))).len(), 2);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_file_deep_in_folders_has_a_socket_as_well() {
    let folder = tempfile::tempdir().expect("a folder");
    let deep = folder.path().join("d".repeat(120));
    fs::create_dir(&deep).expect("the folder can be written to");
    let file = deep.join("orgd.redb");
    bootstrap(&file);
    let server = Serving::start(&file, &[]);
    let users = on(&file, &["admin", "list-users"]);
    assert!(said(&users).contains("ada@example.com"), "{}", said(&users));
    assert_eq!(server.stop(), Some(0));
    assert!(!socket(&file).exists());
}

#[test]
fn odd_peers_hear_a_sentence() {
    let (_folder, file) = place();
    let _server = Serving::start(&file, &[]);
    let other = json!({"version": "9.9.9", "request": {"from": "the future"}});
    for (line, words) in [
        (b"\n".to_vec(), "this is no request"),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "this is no request"),
        (b"\xff\xfe\n".to_vec(), "this is no request"),
        (format!("{}\n", "[".repeat(60_000)).into_bytes(), "this is no request"),
        (vec![b'x'; 16 * 1024 * 1024 + 1], "a line is longer than 16777216 bytes"),
        (request(json!("no_such")), "unknown variant `no_such`"),
        (request(json!({"reset_link": {"email": "a", "more": 1}})), "unknown field `more`"),
        (request(json!({"reset_link": {"email": "nobody@example.com"}})), "No user has this address"),
        (format!("{other}\n").into_bytes(), "this program is orgd 9.9.9"),
    ] {
        let answer = heard(&file, &line);
        let sentence = answer.last().and_then(|last| last["error"].as_str()).unwrap_or_default();
        assert!(answer.len() == 1 && sentence.contains(words), "{words}: {answer:?}");
    }
    // Who closes in the middle of a line hears nothing, and holds nothing.
    for _ in 0..20 {
        let mut stream = UnixStream::connect(socket(&file)).expect("a server answers");
        stream.write_all(b"{\"version\"").expect("the socket takes it");
        drop(stream);
    }
    assert_eq!(heard(&file, &request(json!("list_users"))).len(), 2);
}

#[test]
fn silent_peers_hold_nothing() {
    let (_folder, file) = place();
    let server = Serving::start(&file, &[]);
    let silent: Vec<UnixStream> =
        (0..40).map(|_| UnixStream::connect(socket(&file)).expect("a server answers")).collect();
    assert_eq!(heard(&file, &request(json!("list_users"))).len(), 2);
    // The oldest have made way.
    for mut stream in silent.into_iter().take(30) {
        assert_eq!(stream.read(&mut [0; 1]).unwrap_or(0), 0);
    }
    let _still_silent = UnixStream::connect(socket(&file)).expect("a server answers");
    // Nor do they hold up the end.
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_socket_whose_server_says_nothing_good_is_no_success() {
    let (_folder, file) = place();
    let listener = UnixListener::bind(socket(&file)).expect("a socket");
    for (answer, words) in [
        ("", "the server ended before it had answered"),
        ("nonsense\n", "the server's answer is odd"),
        ("{}\n", "the server's answer is odd"),
        ("{\"line\":{\"a\":1}}\n", "the server ended before it had answered"),
        ("{\"bytes\":9}\nabc", "the server's answer broke off"),
        ("{\"bytes\":99999999}\nabc", "a piece is longer"),
    ] {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (mut stream, _) = listener.accept().expect("a peer");
                BufReader::new(&stream).read_until(b'\n', &mut Vec::new()).expect("a request");
                stream.write_all(answer.as_bytes()).expect("the peer takes it");
            });
            let output = on(&file, &["admin", "list-users"]);
            assert!(!output.status.success() && said(&output).contains(words), "{answer}: {}", said(&output));
        });
    }
}

#[test]
fn a_link_begins_with_where_the_server_really_listens() {
    let (_folder, file) = place();
    let server = Serving::start(&file, &[]);
    let link = on(&file, &["admin", "reset-link", "--email", "ada@example.com"]);
    assert!(said(&link).starts_with(&format!("{}/reset/", server.base)), "{}", said(&link));
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn the_state_is_shown_of_a_server_and_of_a_file_that_none_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("orgd.redb");
    let made = bootstrap(&file);
    let state = |more: &[&str]| on(&file, &[&["status"], more].concat());
    let before = fs::read(&file).expect("the file");
    let closed = state(&[]);
    assert!(closed.status.success(), "{}", said(&closed));
    for wanted in
        [&version(), shown(&file), "none holds the file", "No mail server is set", "0 waiting, 0 failed"]
    {
        assert!(said(&closed).contains(wanted), "{wanted} in {}", said(&closed));
    }
    assert_eq!(fs::read(&file).expect("the file"), before, "it was only looked at");

    let server = Serving::start(&file, &[]);
    let open = state(&[]);
    assert!(open.status.success(), "{}", said(&open));
    let listens = format!("listens on {}", server.base);
    for wanted in [listens.as_str(), " of 256 MiB", "requests under way", "No mail server is set"] {
        assert!(said(&open).contains(wanted), "{wanted} in {}", said(&open));
    }
    let line: Value = serde_json::from_slice(&state(&["--json"]).stdout).expect("one line of JSON");
    assert_eq!((&line["version"], &line["data"]), (&json!(version()), &json!(shown(&file))));
    assert!(
        line["server"]["started_at"].is_string() && line["server"]["resident_bytes"].is_number(),
        "{line}"
    );
    assert_eq!(
        line["checks"][0],
        json!({"what": "The data file can be written", "holds": true,
        "to_do": line["checks"][0]["to_do"]})
    );
    // The token of an invite lies sealed.
    let invites = format!("{}/api/organizations/@current/invites/", server.base);
    let invite = json!({"target_email": "grace@example.com"});
    let sent = ask(&agent(), "POST", &invites, made["api_key"].as_str(), &invite).expect("an answer");
    assert_eq!(sent.0, 201, "{}", sent.1);
    drop(server);

    // Whoever has lost the key is told, and a script sees it.
    fs::remove_file(format!("{}.key", shown(&file))).expect("there was a key");
    let lost = Serving::start(&file, &[]);
    let open = state(&[]);
    drop(lost);
    assert!(
        !open.status.success() && said(&open).contains("! Sealed secrets cannot be opened."),
        "{}",
        said(&open)
    );
    let missing = run(&["status", "--data", "/nowhere/orgd.redb"]);
    assert!(
        !missing.status.success() && said(&missing).contains("there is no data file at"),
        "{}",
        said(&missing)
    );
}
