//! Backups of a file with one of everything, and those that the server makes on its own.

use std::path::Path;
use std::time::Duration;

use orgd::backup::{self, Wish};
use orgd::backup_folder;
use orgd::clock::Clock;
use orgd::store::Storage;
use serde_json::json;

use super::support::{Person, S3, Server, World, s3};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn on(data: &Path, folder: &Path) -> Server {
    Server::open(Storage::File(data.to_owned()), |config| {
        config.backups.dir = Some(folder.to_owned());
        config.backups.keep = "2d".parse().expect("tiers");
    })
}

fn kept(folder: &Path) -> usize {
    backup_folder::list(folder).map_or(0, |all| all.len())
}

/// The drill: everything that a server can hold, lost, and there again.
#[test]
fn a_file_with_one_of_everything_comes_back_from_a_backup() {
    let place = tempfile::tempdir().expect("a folder");
    let (data, folder) = (place.path().join("orgd.redb"), place.path().join("backups"));
    let server = on(&data, &folder);
    let world = World::start(&server);
    world.fill_tables(&server);
    let path = world.org.at("");
    let (before, key) = (world.org.owner.get(&path).json(200), world.org.owner.clone());
    server.until("the first one is made", || kept(&folder) == 1);
    server.pass(Duration::from_secs(2));
    server.app.backups.want();
    server.until("another one is made", || {
        kept(&folder) == 1 && !server.app.backups.is_busy() || kept(&folder) == 2
    });
    server.until("it is done", || !server.app.backups.is_busy());
    let newest = backup_folder::list(&folder).expect("a folder").remove(0);
    let proof = backup::prove(&newest.path, true).expect("a whole backup");
    assert_eq!(proof.problems, Vec::<String>::new());
    assert!(proof.contents.tables.len() > 45, "{:?}", proof.contents.tables);
    drop(server);

    std::fs::write(&data, b"what is left of it").expect("the loss");
    let restored = backup::restore(&newest.path, &data, &Wish::default(), Clock::default().now());
    let restored = restored.expect("it is restored");
    assert_eq!((&restored.digest, restored.rows), (&proof.contents.digest, proof.contents.rows));
    assert!(restored.kept.is_some() && !restored.lost_secrets && restored.problems.is_empty());
    let text = place.path().join("rows");
    let rows = backup::closed(&data, Clock::default().now());
    let text_place = backup::Place::new(&text, false, Some(&data)).expect("a place");
    let made = backup::export(&mut rows.expect("rows"), &text_place).expect("an export");
    assert_eq!(made.digest, proof.contents.digest);
    drop(text_place);
    let imported = backup::import(&text, &data, &Wish::default(), Clock::default().now()).expect("an import");
    assert_eq!(imported.digest, proof.contents.digest);

    let server = on(&data, &folder);
    let person = Person::unknown(&server, key.email.clone()).logged_in();
    assert_eq!(person.get(&path).json(200), before);
}

#[test]
fn the_server_makes_backups_in_time_and_removes_old_ones() {
    let place = tempfile::tempdir().expect("a folder");
    let (data, folder) = (place.path().join("orgd.redb"), place.path().join("backups"));
    let server = on(&data, &folder);
    let last = || backup_folder::last_good(&folder, server.app.clock.now());
    server.until("the first one is made", || last().is_some());
    std::fs::write(folder.join("orgd-notes.redb"), "not ours").expect("a file");
    for _ in 0..4 {
        let before = last();
        server.pass(DAY);
        server.until("the next one is made", || last() > before);
    }
    server.until("two are left", || kept(&folder) == 2);
    assert!(folder.join("orgd-notes.redb").exists());
    for one in backup_folder::list(&folder).expect("a folder") {
        assert_eq!(backup::prove(&one.path, true).expect("a whole one").problems, Vec::<String>::new());
    }
}

#[test]
fn a_server_whose_backups_fail_is_not_ready_where_that_is_wanted() {
    let place = tempfile::tempdir().expect("a folder");
    // A file stands where the folder should be.
    let folder = place.path().join("backups");
    std::fs::write(&folder, "").expect("a file");
    let server = on(&place.path().join("orgd.redb"), &folder);
    let failed = || {
        let all = server.app.task_results.all();
        all.get("backups")
            .is_some_and(|last| last.outcome.as_ref().is_err_and(|cause| cause.contains("cannot")))
    };
    server.until("it has failed", failed);
    let ready = |path: &str| server.anyone().get(path);
    // It had no time for one yet.
    ready("/_readyz?strict").json(200);
    server.pass(3 * DAY);
    let answer = ready("/_readyz?strict").json(503);
    assert_eq!(answer["backups"], false);
    assert!(
        answer["detail"].as_str().expect("a sentence").starts_with("There is no good backup in "),
        "{answer}"
    );
    ready("/_readyz").json(200);
    ready("/_readyz?strict&exclude=backups").json(200);
    std::fs::remove_file(&folder).expect("the file");
    server.pass(Duration::from_secs(5 * 60));
    server.until("it is well again", || ready("/_readyz?strict").status == 200);
    assert_eq!(ready("/_readyz?strict").json(200), json!({"http": true, "database": true}));
}

#[test]
fn each_backup_is_put_into_the_bucket_once() {
    let place = tempfile::tempdir().expect("a folder");
    let (data, folder) = (place.path().join("orgd.redb"), place.path().join("backups"));
    let bucket = S3::with_bucket("kept");
    let start = |secret: &str| {
        Server::open(Storage::File(data.clone()), |config| {
            config.backups.dir = Some(folder.clone());
            let s3 = &mut config.backups.s3;
            s3.bucket = Some("kept".into());
            s3.endpoint = Some(bucket.url());
            s3.prefix = "orgd/".into();
            s3.access_key_id = Some(s3::KEY.into());
            s3.secret_access_key = Some(secret.into());
        })
    };
    let result =
        |server: &Server| server.app.task_results.all().get("backups").map(|last| last.outcome.clone());
    let server = start("another secret than that of the bucket");
    // The backup itself is good, and tried to be sent again.
    server.until("it was refused", || result(&server).is_some_and(|outcome| outcome.is_err()));
    let sentence = result(&server).expect("a result").expect_err("a sentence");
    assert!(sentence.contains("not in the bucket") && !sentence.contains("another secret"), "{sentence}");
    assert_eq!((kept(&folder), bucket.keys("kept").len()), (1, 0));
    drop(server);

    let server = start(s3::SECRET);
    server.until("it was sent", || result(&server).is_some_and(|outcome| outcome.is_ok()));
    let first = backup_folder::list(&folder).expect("a folder").remove(0);
    let key = format!("orgd/{}", first.name);
    assert_eq!(bucket.keys("kept"), std::slice::from_ref(&key));
    assert_eq!(bucket.object("kept", &key), std::fs::read(&first.path).expect("the backup"));
    // The bucket believes no clock that is far ahead.
    server.pass(Duration::from_secs(2));
    server.app.backups.want();
    server.until("the next one is there", || bucket.keys("kept").len() == 2);
}
