//! A damaged data file, as an operator meets it: one sentence that says what to do, and exit code 1.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Serving, agent, ask, run};

#[test]
fn a_damaged_file_ends_check_and_serve_with_a_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("orgd.redb");
    let data = file.to_str().expect("a path of text");
    let made = run(&["bootstrap", "--data", data, "--email", "ada@example.com", "--organization", "Acme"]);
    assert!(made.status.success());
    let whole = fs::read(&file).expect("the file");
    let noise: Vec<u8> =
        (0..3000_u32).map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes()[1]).collect();
    for (name, at, with) in [
        ("the pages of the tables", 20_000, noise.as_slice()),
        ("all pages", 4096, &vec![0xff; whole.len() - 4096]),
        ("the commits", 64, &[0xff; 256]),
        ("the name", 0, b"else"),
    ] {
        let mut bytes = whole.clone();
        bytes[at..at + with.len()].copy_from_slice(with);
        for command in [&["check"][..], &["serve", "--listen", "127.0.0.1:0"], &["admin", "list-users"]] {
            fs::write(&file, &bytes).expect("the file");
            let output = run(&[command, &["--data", data]].concat());
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{name}, {command:?}: {said}");
            assert!(said.contains("damaged") && said.contains("Put a good copy in its place"), "{said}");
            assert!(!said.contains("panicked"), "{name}, {command:?}: {said}");
        }
    }
}

#[test]
fn what_is_empty_or_no_file_is_not_taken_for_a_whole_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("orgd.redb");
    let data = file.to_str().expect("a path of text");
    let made = run(&["bootstrap", "--data", data, "--email", "ada@example.com", "--organization", "Acme"]);
    assert!(made.status.success());
    let refused = |command: &[&str], data: &str, sentence: &str| {
        let output = run(&[command, &["--data", data]].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{command:?} {data}: {said}");
        assert!(said.contains(sentence), "{command:?} {data}: {said}");
    };
    for path in ["/dev/null", "/dev/zero", folder.path().to_str().expect("text")] {
        refused(&["check"], path, "is not a file");
    }
    fs::write(&file, b"").expect("the file");
    refused(&["check"], data, "is empty");
    // Its key is still there: nobody is to be greeted as the first owner.
    refused(&["serve", "--listen", "127.0.0.1:0"], data, "is empty");
    fs::remove_file(&file).expect("the file");
    fs::remove_file(folder.path().join("orgd.redb.key")).expect("the key");
    std::os::unix::fs::symlink("/dev/zero", folder.path().join("orgd.redb.key")).expect("a link");
    refused(&["serve", "--listen", "127.0.0.1:0"], data, "it is not a file");
}

#[test]
fn a_copy_made_while_the_file_was_written_is_whole_or_said_to_be_damaged() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("orgd.redb");
    let data = file.to_str().expect("a path of text");
    let made = run(&["bootstrap", "--data", data, "--email", "ada@example.com", "--organization", "Acme"]);
    let made: Value = serde_json::from_slice(&made.stdout).expect("one JSON object");
    let key = made["api_key"].as_str().expect("a key");
    let server = Serving::start(&file, &[]);
    let agent = agent();
    let write = |number: usize| {
        let url = format!("{}/api/organizations/", server.base);
        let body = json!({"name": format!("O{number}")});
        assert_eq!(ask(&agent, "POST", &url, Some(key), &body).expect("an answer").0, 201);
    };
    // The first half of the file as it is, the second half as it was forty commits before.
    write(0);
    let before = fs::read(&file).expect("the file");
    (1..40).for_each(write);
    let half = fs::metadata(&file).expect("a file").len() / 2;
    let copy = folder.path().join("copy.redb");
    fs::copy(&file, &copy).expect("a copy");
    assert_eq!(server.stop(), Some(0));
    let mut torn = fs::OpenOptions::new().write(true).open(&copy).expect("the copy");
    let from = usize::try_from(half).expect("a small file").min(before.len());
    torn.seek(SeekFrom::Start(half)).expect("a place");
    torn.write_all(&before[from..]).expect("the second half");
    drop(torn);
    said_in_a_sentence(&copy);
}

fn said_in_a_sentence(copy: &Path) {
    let output = run(&["check", "--data", copy.to_str().expect("a path of text")]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("panicked"), "{said}");
    assert!(output.status.success() || said.lines().count() == 1, "{said}");
}
