//! The process is killed in the middle of writing, again and again: what was acknowledged is there, and
//! nothing is there by halves.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde_json::json;

use crate::support::{Serving, agent, ask, bootstrap, key_of, organizations, run};
use crate::timing::print_seconds;

/// Rounds of one run; `ORGD_CRASH_ROUNDS` asks for more.
const ROUNDS: u32 = 50;
const WRITERS: usize = 8;

#[test]
fn no_acknowledged_write_is_lost_and_none_is_there_by_halves() {
    let started = Instant::now();
    let rounds = std::env::var("ORGD_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("orgd.redb");
    let data = file.to_str().expect("a path of text");
    let made = bootstrap(data);
    let key = key_of(&made);
    let mut acknowledged = BTreeSet::new();
    for round in 0..rounds {
        let server = Serving::start(&file, &[]);
        let url = format!("{}/api/organizations/", server.base);
        acknowledged.append(&mut written_until_killed(&server, &url, key, round));
        drop(server);

        // A few writes are acknowledged in every round, so the loop below has something to lose.
        let server = Serving::start(&file, &[]);
        let rows = organizations(&agent(), &server, key);
        let there: BTreeSet<String> =
            rows.iter().map(|row| row["name"].as_str().expect("a name").to_owned()).collect();
        let lost: Vec<&String> = acknowledged.difference(&there).collect();
        assert!(lost.is_empty(), "round {round} lost {lost:?}");
        for row in &rows {
            let whole =
                row["member_count"] == 1 && row["teams"].as_array().is_some_and(|teams| teams.len() == 1);
            assert!(whole, "round {round} left half of {row}");
        }
        assert_eq!(server.stop(), Some(0));
        let check = run(&["check", "--data", data]);
        assert!(check.status.success(), "round {round}: {}", String::from_utf8_lossy(&check.stdout));
        // Kept small, so that a round costs the same at the end as at the start.
        if acknowledged.len() > 300 {
            acknowledged = emptied(&file, key, &rows);
        }
    }
    print_seconds(&format!("{rounds} crashes"), started);
}

/// Several clients write until the process, killed after some acknowledged writes, answers no more.
fn written_until_killed(server: &Serving, url: &str, key: &str, round: u32) -> BTreeSet<String> {
    let acknowledged = Mutex::new(BTreeSet::new());
    let killed = AtomicBool::new(false);
    let enough = 1 + (round as usize * 7) % 40;
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (acknowledged, killed) = (&acknowledged, &killed);
            scope.spawn(move || {
                let agent = agent();
                for number in 0.. {
                    let name = format!("r{round}-w{writer}-n{number}");
                    match ask(&agent, "POST", url, Some(key), &json!({"name": name})) {
                        Some((201, _)) => {}
                        Some((status, body)) => panic!("{status}: {body}"),
                        None => {
                            assert!(
                                killed.load(Ordering::SeqCst),
                                "the server broke off before it was killed"
                            );
                            return;
                        }
                    }
                    let mut acknowledged = acknowledged.lock().expect("no panic");
                    acknowledged.insert(name);
                    if acknowledged.len() >= enough && !killed.swap(true, Ordering::SeqCst) {
                        server.signal("KILL");
                    }
                }
            });
        }
    });
    acknowledged.into_inner().expect("no panic")
}

/// Removes the organizations of earlier rounds; says what is left.
fn emptied(file: &Path, key: &str, rows: &[serde_json::Value]) -> BTreeSet<String> {
    let server = Serving::start(file, &[]);
    let agent = agent();
    for row in rows.iter().filter(|row| row["name"] != "Acme") {
        let url = format!("{}/api/organizations/{}/", server.base, row["id"].as_str().expect("an id"));
        assert_eq!(ask(&agent, "DELETE", &url, Some(key), &json!({})).expect("an answer").0, 204);
    }
    assert_eq!(server.stop(), Some(0));
    BTreeSet::new()
}

fn write(server: &Serving, key: &str, name: &str) {
    let url = format!("{}/api/organizations/", server.base);
    let (status, body) = ask(&agent(), "POST", &url, Some(key), &json!({"name": name})).expect("an answer");
    assert_eq!(status, 201, "{body}");
}

/// All that a server says of a file to which it writes once.
fn said_of(file: &Path, key: &str) -> String {
    let mut server = Serving::start(file, &[]);
    write(&server, key, "Once");
    let (mut said, log) = (std::mem::take(&mut server.said), server.log.take().expect("a log"));
    assert_eq!(server.stop(), Some(0));
    said.extend(log.into_inner().expect("no panic"));
    said.join("\n")
}

#[test]
fn a_crashed_file_without_its_log_is_warned_of_until_something_is_written() {
    const WARNING: &str = "the data file goes on in the write-ahead log ";
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("orgd.redb");
    let data = file.to_str().expect("a path of text");
    let made = bootstrap(data);
    let key = key_of(&made);
    let server = Serving::start(&file, &[]);
    for number in 0..5 {
        write(&server, key, &format!("O{number}"));
    }
    server.signal("KILL");
    server.wait();
    let copy = |name: &str, endings: &[&str]| -> PathBuf {
        let into = folder.path().join(name);
        for ending in endings {
            let [from, to] = [&file, &into].map(|path| format!("{}{ending}", path.display()));
            std::fs::copy(from, to).expect("a copy");
        }
        into
    };
    let whole = copy("whole.redb", &["", ".key", "-wal"]);
    let alone = copy("alone.redb", &["", ".key"]);
    let warns = |command: &str, file: &Path| {
        let output = run(&[command, "--data", file.to_str().expect("a path of text")]);
        String::from_utf8_lossy(&output.stdout).contains(WARNING)
    };
    for command in ["check", "status"] {
        assert!(!warns(command, &whole) && warns(command, &alone), "{command}");
    }
    assert!(!said_of(&whole, key).contains(WARNING));
    let said = said_of(&alone, key);
    assert!(said.contains(WARNING) && said.contains("alone.redb-wal"), "{said}");
    // Both were closed.
    for closed in [&whole, &alone] {
        assert!(!Path::new(&format!("{}-wal", closed.display())).exists());
        assert!(!warns("check", closed) && !said_of(closed, key).contains(WARNING), "{}", closed.display());
    }
}
