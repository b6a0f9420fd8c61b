//! A file system that is really full: a small one in memory, mounted for the server alone.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Serving, agent, ask, bootstrap, organization_names, orgd, run, until};

pub const KEY: &str = "phx_a_key_of_the_first_owner";

/// A shell line that mounts a file system of 6 MiB at `$0` and becomes the program.
const MOUNT: &str = r#"mount -t tmpfs -o size=6m none "$0" && exec "$@""#;

/// Whether this machine lets us mount; says so where it does not.
pub fn can_mount(folder: &Path) -> bool {
    let output =
        Command::new("unshare").args(["--mount", "sh", "-c", MOUNT]).arg(folder).arg("true").output();
    let is_there = output.is_ok_and(|output| output.status.success());
    if !is_there {
        let reason =
            "no file system can be mounted here (root and unshare are needed): a full disk is not tested";
        assert!(std::env::var_os("ORGD_TESTS_NEED_ALL").is_none(), "{reason}");
        let _ = writeln!(std::io::stderr(), "NOT TESTED: {reason}");
    }
    is_there
}

/// A server on the small file system, and the folder as it is seen from here.
pub fn serve(folder: &Path) -> (Serving, PathBuf) {
    let data = folder.join("orgd.redb");
    let server = orgd(&["serve", "--listen", "127.0.0.1:0", "--data"]);
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", MOUNT]).arg(folder);
    command.arg(server.get_program()).args(server.get_args()).arg(&data);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ORGD_")) {
        command.env_remove(name);
    }
    command.env("ORGD_BOOTSTRAP_EMAIL", "ada@example.com").env("ORGD_BOOTSTRAP_API_KEY", KEY);
    command.env("ORGD_METRICS_LISTEN", "127.0.0.1:0");
    let server = Serving::of(&mut command);
    let root = PathBuf::from(format!("/proc/{}/root", server.child.id()));
    let inside = root.join(folder.strip_prefix("/").expect("an absolute path"));
    (server, inside)
}

/// Takes all the space that is left.
pub fn fill(path: &Path) {
    let mut file = File::create(path).expect("a file");
    for size in [64 * 1024, 4096] {
        while file.write_all(&vec![1; size]).is_ok() {}
    }
}

#[test]
fn a_full_disk_stops_writes_and_nothing_else_until_there_is_room() {
    let folder = tempfile::tempdir().expect("a folder");
    if !can_mount(folder.path()) {
        return;
    }
    let (server, inside) = serve(folder.path());
    let agent = agent();
    let call = |method: &str, path: &str, body: Value| {
        ask(&agent, method, &format!("{}{path}", server.base), Some(KEY), &body).expect("an answer")
    };
    let mut acknowledged = BTreeSet::from(["Organization".to_owned()]);
    let there = || organization_names(&agent, &server, KEY);
    for round in 0..3 {
        fill(&inside.join("filler"));
        let refused = (0..10_000).find(|number| {
            let name = format!("r{round}n{number}");
            let (status, body) = call("POST", "/api/organizations/", json!({"name": name}));
            assert!([201, 503].contains(&status), "{status}: {body}");
            if status == 201 {
                acknowledged.insert(name);
            }
            // Where a commit finds space inside of the file, the server is well again at once.
            status == 503 && call("GET", "/_health", Value::Null).0 == 503
        });
        assert!(refused.is_some(), "the disk is not full");
        assert_eq!(there(), acknowledged, "readers go on, and see nothing of what was refused");
        assert_eq!(call("GET", "/_readyz", Value::Null).0, 503);
        assert_eq!(call("GET", "/_livez", Value::Null), (200, json!({"http": true, "database": false})));
        fs::remove_file(inside.join("filler")).expect("the filler goes");
        until("writes are taken again", || call("GET", "/_health", Value::Null).0 == 200);
        let name = format!("after {round}");
        assert_eq!(call("POST", "/api/organizations/", json!({"name": name})).0, 201);
        acknowledged.insert(name);
        assert_eq!(there(), acknowledged);
    }
    // The file system goes with the process: a copy of the file, which nobody writes to now, is looked at.
    let copy = tempfile::tempdir().expect("a folder");
    let data = copy.path().join("orgd.redb");
    fs::copy(inside.join("orgd.redb"), &data).expect("a copy");
    assert_eq!(server.stop(), Some(0));
    let check = run(&["check", "--data", data.to_str().expect("a path of text")]);
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
}

#[test]
fn a_file_that_cannot_be_opened_again_ends_the_process() {
    let folder = tempfile::tempdir().expect("a folder");
    if !can_mount(folder.path()) {
        return;
    }
    let (mut server, inside) = serve(folder.path());
    let log = server.log.take().expect("a log").into_inner().expect("no panic");
    let agent = agent();
    // Somebody damages the file under the server, which notices when a commit has failed.
    let file = fs::OpenOptions::new().write(true).open(inside.join("orgd.redb")).expect("the file");
    let noise =
        vec![0xff; usize::try_from(file.metadata().expect("a file").len()).expect("a small file") - 4096];
    file.write_all_at(&noise, 4096).expect("the damage");
    fill(&inside.join("filler"));
    let url = format!("{}/api/organizations/", server.base);
    until("the process has ended", || {
        let _ = ask(&agent, "POST", &url, Some(KEY), &json!({"name": "n"}));
        server.child.try_wait().expect("it can be waited for").is_some()
    });
    assert_eq!(server.wait(), Some(1));
    let lines: Vec<String> = log.iter().collect();
    let last = lines.last().expect("a sentence");
    assert!(last.starts_with("orgd: the data file failed and could not be opened again: "), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("panicked")), "{lines:#?}");
}

#[test]
fn a_backup_and_a_restore_that_find_no_space_leave_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    if !can_mount(folder.path()) {
        return;
    }
    let elsewhere = tempfile::tempdir().expect("a folder");
    let data = elsewhere.path().join("orgd.redb");
    let data = data.to_str().expect("a path of text");
    bootstrap(data);
    let before = fs::read(data).expect("the data file");
    let full = folder.path().to_str().expect("a path of text");
    // A file system of 6 MiB with 20 KiB left.
    let script = format!(
        "mount -t tmpfs -o size=6m none {full} && head -c 6270976 /dev/zero > {full}/filler && for command in \
         \"backup {full}/copy.redb --data {data}\" \"export --all {full}/rows --data {data} --json\" \
         \"restore {data}.copy --data {full}/orgd.redb\"; do $0 $command; echo \"code $?\"; done; ls {full}"
    );
    assert!(run(&["backup", &format!("{data}.copy"), "--data", data, "--with-key"]).status.success());
    let mut command = Command::new("unshare");
    let output = command.args(["--mount", "sh", "-c", &script]).arg(orgd(&[]).get_program()).output();
    let output = output.expect("it runs");
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(said.starts_with("code 1\n"), "{said}{errors}");
    assert!(said.contains("code 1\nfiller\n"), "{said}{errors}");
    assert!(errors.contains("No space left") && !errors.contains("panicked"), "{errors}");
    assert_eq!(fs::read(data).expect("the data file"), before);
}
