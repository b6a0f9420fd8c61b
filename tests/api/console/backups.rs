//! The operator's page of backups.

use std::path::PathBuf;
use std::time::Duration;

use orgd::backup;
use orgd::backup_folder;
use orgd::store::Storage;
use tempfile::TempDir;

use super::{Browses, led_to, shows};
use crate::support::{Person, Server};

const PATH: &str = "/instance/backups";

fn site() -> (TempDir, PathBuf, Server, Person) {
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path().join("backups");
    let set = folder.clone();
    let server = Server::open(Storage::File(place.path().join("orgd.redb")), |config| {
        config.backups.dir = Some(set);
        config.backups.keep = "500h".parse().expect("tiers");
    });
    let operator = server.org().owner;
    (place, folder, server, operator)
}

#[test]
fn where_no_folder_is_set_the_page_says_how_to_get_backups() {
    let server = Server::start();
    let operator = server.org().owner;
    shows(
        &operator.page(PATH),
        &["This server makes none", "ORGD_BACKUP_DIR", "orgd backup orgd-backup.redb --data"],
    );
    led_to(&operator.submit(PATH, &[]), PATH);
    assert_eq!(operator.open(&format!("{PATH}/orgd-20261127T005012Z.redb")).status, 404);
}

#[test]
fn the_operator_makes_proves_and_takes_a_backup() {
    let (place, folder, server, operator) = site();
    server.until("the first one is made", || backup_folder::list(&folder).is_ok_and(|all| all.len() == 1));
    server.until("it is over", || !server.app.backups.is_busy());
    server.pass(Duration::from_secs(60 * 60));
    let made = operator.submit(PATH, &[]);
    assert_eq!(made.status, 303, "{}", made.text());
    server.until("another one is made", || !server.app.backups.is_busy());
    let all = backup_folder::list(&folder).expect("a folder");
    assert_eq!(all.len(), 2);
    shows(&operator.page(PATH), &["The last good one", "Make one now", &all[0].name, &all[1].name]);

    let one = format!("{PATH}/{}", all[0].name);
    shows(&operator.page(&one), &["Check it", "Download", "orgd restore ", "orgd.redb"]);
    let proof = backup::prove(&all[0].path, true).expect("a whole one");
    let answer = operator.submit(&one, &[]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    shows(&answer.text(), &["It is whole.", "Digest", &proof.contents.digest]);
    let download = operator.open(&format!("{one}/download"));
    assert_eq!(download.status, 200);
    assert!(download.header("content-disposition").contains(&all[0].name));
    assert_eq!(download.body, std::fs::read(&all[0].path).expect("the backup"));

    // One that is damaged is said to be.
    let mut bytes = download.body;
    bytes.truncate(bytes.len() / 2);
    std::fs::write(&all[0].path, bytes).expect("the damage");
    shows(&operator.submit(&one, &[]).text(), &["It is not whole: "]);
    for other in ["orgd.redb", "..%2Forgd.redb", "orgd-20000101T000000Z.redb"] {
        for tail in ["", "/download"] {
            assert_eq!(operator.open(&format!("{PATH}/{other}{tail}")).status, 404, "{other}{tail}");
        }
    }
    drop(place);
}

#[test]
fn only_operators_who_have_just_logged_in_get_at_backups() {
    let (_place, folder, server, operator) = site();
    server.until("one is made", || backup_folder::list(&folder).is_ok_and(|all| all.len() == 1));
    server.until("it is over", || !server.app.backups.is_busy());
    let one = format!("{PATH}/{}", backup_folder::list(&folder).expect("a folder")[0].name);
    let download = format!("{one}/download");
    let stranger = server.stranger();
    for path in [PATH, &one, &download] {
        assert_eq!(stranger.open(path).status, 403, "{path}");
        assert_eq!(server.anyone().open(path).status, 303, "{path}");
    }
    for path in [PATH, &one] {
        assert_eq!(stranger.submit(path, &[]).status, 403, "{path}");
        assert_eq!(operator.submit_without_token(path, &[]).status, 403, "{path}");
    }
    assert!(!server.app.backups.is_busy());
    server.pass(Duration::from_secs(7 * 60 * 60));
    for path in [&one, &download] {
        assert_eq!(operator.open(path).status, 303, "{path}");
    }
    for path in [PATH, &one] {
        assert_eq!(operator.submit(path, &[]).status, 303, "{path}");
    }
    assert!(!server.app.backups.is_busy());
}

#[test]
fn a_backup_that_fails_or_is_old_is_shown_in_red() {
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path().join("backups");
    std::fs::write(&folder, "a file").expect("a file");
    let set = folder.clone();
    let server =
        Server::open(Storage::File(place.path().join("orgd.redb")), |config| config.backups.dir = Some(set));
    let operator = server.org().owner;
    server.until("it has failed", || {
        server.app.task_results.all().get("backups").is_some_and(|last| last.outcome.is_err())
    });
    shows(&operator.page(PATH), &["None yet", "The last try failed: cannot"]);
    server.pass(Duration::from_secs(3 * 24 * 60 * 60));
    let operator = operator.logged_in();
    shows(&operator.page("/instance/status"), &["There is no recent backup"]);
}
