//! Backups and what is made of them: under load, on damaged and foreign files, and killed at any moment.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use orgd::store::SCHEMA;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Serving, agent, ask, organization_names, orgd, run, until};
use crate::timing::print_seconds;

const KEY: &str = "phx_a_key_of_the_first_owner";
/// Rounds of kills; `ORGD_CRASH_ROUNDS` asks for more.
const ROUNDS: u32 = 50;
const WRITERS: usize = 4;

/// Numbers that look random and are the same in every run.
struct Lcg(u32);

impl Lcg {
    fn roll(&mut self, sides: u32) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) % sides.max(1)
    }
}

/// A folder with a data file that has an owner.
struct Place {
    folder: TempDir,
    data: PathBuf,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("orgd.redb");
        let bootstrap = ["bootstrap", "--email", "ada@example.com", "--organization", "Acme", "--data"];
        let made = orgd(&bootstrap).arg(&data).env("ORGD_BOOTSTRAP_API_KEY", KEY).output();
        assert!(made.expect("the program runs").status.success());
        Place { folder, data }
    }

    /// With an export, whose token is sealed.
    fn with_secret() -> Place {
        let place = Place::new();
        let server = Serving::start(&place.data, &[]);
        let config = json!({"url": "http://127.0.0.1:9/", "token": "sesame"});
        let body = json!({"name": "n", "interval": "hour", "paused": true, "destination": {"type": "HTTP", "config": config}});
        let url = format!("{}/api/organizations/@current/batch_exports/", server.base);
        assert_eq!(ask(&agent(), "POST", &url, Some(KEY), &body).expect("an answer").0, 201);
        assert_eq!(server.stop(), Some(0));
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes organizations, so that there is something to copy.
    fn fill(&self, count: usize) {
        let server = Serving::start(&self.data, &[]);
        let agent = agent();
        for number in 0..count {
            assert!(write(&agent, &server, &format!("filled {number}")));
        }
        assert_eq!(server.stop(), Some(0));
    }
}

/// Makes an organization; false where the connection broke.
fn write(agent: &ureq::Agent, server: &Serving, name: &str) -> bool {
    let url = format!("{}/api/organizations/", server.base);
    match ask(agent, "POST", &url, Some(KEY), &json!({"name": name})) {
        Some((status, body)) => {
            assert_eq!(status, 201, "{body}");
            true
        }
        None => false,
    }
}

fn names(server: &Serving) -> BTreeSet<String> {
    organization_names(&agent(), server, KEY)
}

fn shown(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}

fn said(output: &Output) -> String {
    [String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)].concat()
}

/// A reader who has begun to take all rows from the server, and has stopped.
fn stalled(data: &Path) -> BufReader<UnixStream> {
    let version = run(&["--version"]);
    let version = String::from_utf8_lossy(&version.stdout).trim().trim_start_matches("orgd ").to_owned();
    let mut stream = UnixStream::connect(format!("{}.sock", shown(data))).expect("a server answers");
    let request = json!({"version": version, "request": "rows"});
    stream.write_all(format!("{request}\n").as_bytes()).expect("the server reads");
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).expect("an answer");
    assert!(line.contains("bytes"), "{line}");
    reader
}

#[test]
fn readers_of_all_rows_are_few_for_each_keeps_an_old_state() {
    let place = Place::new();
    let server = Serving::start(&place.data, &[]);
    // More than waits in sockets and pipes, so that a reader who stops is waited for.
    let (_, project) =
        ask(&agent(), "GET", &format!("{}/api/projects/1/", server.base), Some(KEY), &Value::Null)
            .expect("an answer");
    for number in 0..8 {
        let events: Vec<Value> = (0..8)
            .map(|event| json!({"event": "e", "distinct_id": format!("{number} {event}"), "properties": {"fill": "x".repeat(100_000)}}))
            .collect();
        let batch = json!({"api_key": project["api_token"], "batch": events});
        let url = format!("{}/batch/", server.base);
        assert_eq!(ask(&agent(), "POST", &url, None, &batch).expect("an answer").0, 200);
    }
    let held = [stalled(&place.data), stalled(&place.data)];
    let to = place.path("third.redb");
    refused(
        &["backup", shown(&to), "--data", shown(&place.data)],
        "2 backups or exports are being made: try again when one has ended",
    );
    // Others are answered; and when one has gone, its place is free.
    assert!(run(&["status", "--data", shown(&place.data)]).status.success());
    drop(held);
    until("a backup can be made", || {
        run(&["backup", shown(&to), "--data", shown(&place.data)]).status.success()
    });
    assert_eq!(server.stop(), Some(0));
}

/// Runs a command that must succeed, and reads its JSON.
#[track_caller]
fn done(arguments: &[&str]) -> Value {
    let output = run(&[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

/// Runs a command that must fail with a sentence in one line.
#[track_caller]
fn refused(arguments: &[&str], sentence: &str) {
    let output = run(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
    assert!(said.contains(sentence) && !said.contains("panicked"), "{arguments:?}: {said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

/// The digest of a file that `orgd check` finds whole.
#[track_caller]
fn digest(file: &Path) -> String {
    let output = run(&["check", "--data", shown(file)]);
    assert!(output.status.success(), "{}: {}", file.display(), said(&output));
    let text = String::from_utf8(output.stdout).expect("text");
    let digest = text.strip_prefix("digest ").and_then(|text| text.split_once(',')).expect("a digest").0;
    assert_eq!(digest.len(), 64);
    digest.to_owned()
}

#[test]
fn what_was_acknowledged_before_a_backup_is_in_it_while_writes_go_on() {
    let place = Place::new();
    let (to, data, elsewhere) = (place.path("copy.redb"), place.data.clone(), place.path("elsewhere.redb"));
    let server = Serving::start(&data, &[]);
    let (acknowledged, ended) = (Mutex::new(BTreeSet::new()), AtomicBool::new(false));
    let before = std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (server, acknowledged, ended) = (&server, &acknowledged, &ended);
            scope.spawn(move || {
                let agent = agent();
                for number in 0.. {
                    let name = format!("w{writer}-n{number}");
                    assert!(write(&agent, server, &name));
                    acknowledged.lock().expect("no panic").insert(name);
                    if ended.load(Ordering::SeqCst) {
                        return;
                    }
                }
            });
        }
        until("something was written", || acknowledged.lock().expect("no panic").len() > 40);
        let before = acknowledged.lock().expect("no panic").clone();
        let made = done(&["backup", shown(&to), "--data", shown(&data), "--with-key"]);
        ended.store(true, Ordering::SeqCst);
        (before, made)
    });
    let (before, made) = before;
    assert_eq!(made["problems"], json!([]));
    assert!(
        made["rows"].as_u64() > Some(100) && made["tables"]["organizations"].as_u64() > Some(40),
        "{made}"
    );
    assert_eq!(digest(&to), made["digest"].as_str().expect("a digest"));
    // The server is asked for its digest, too, and holds the file.
    assert!(said(&run(&["check", "--data", shown(&data)])).starts_with("digest "));
    refused(&["restore", shown(&to), "--data", shown(&data)], "stop the server");
    refused(&["compact", "--data", shown(&data)], "stop the server");
    assert_eq!(server.stop(), Some(0));

    let restored = done(&["restore", shown(&to), "--data", shown(&elsewhere)]);
    assert_eq!(restored["digest"], made["digest"]);
    assert_eq!(digest(&elsewhere), made["digest"].as_str().expect("a digest"));
    let server = Serving::start(&elsewhere, &[]);
    let there = names(&server);
    let lost: Vec<&String> = before.difference(&there).collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_round_trip_keeps_the_digest_whichever_way_it_is() {
    let place = Place::with_secret();
    let data = shown(&place.data);
    let before = digest(&place.data);
    let (copy, text, new, newer) =
        (place.path("copy"), place.path("rows.jsonl"), place.path("new.redb"), place.path("newer.redb"));
    let made = done(&["backup", shown(&copy), "--data", data, "--with-key"]);
    assert_eq!(made["digest"], before.as_str());
    let exported = done(&["export", "--all", shown(&text), "--data", data]);
    assert_eq!(exported["digest"], before.as_str());
    // A backup may be read like any data file.
    let again = done(&["backup", shown(&place.path("copy of the copy")), "--data", shown(&copy)]);
    assert_eq!(again["digest"], before.as_str());
    let restored = done(&["restore", shown(&copy), "--data", shown(&new)]);
    assert_eq!((&restored["digest"], &restored["kept"]), (&json!(before), &Value::Null));
    assert_eq!(
        fs::read(place.path("new.redb.key")).expect("a key"),
        fs::read(place.path("orgd.redb.key")).expect("a key")
    );
    fs::copy(place.path("orgd.redb.key"), place.path("newer.redb.key")).expect("a key");
    let imported = done(&["import", shown(&text), "--data", shown(&newer)]);
    assert_eq!(imported["digest"], before.as_str());
    for file in [&new, &newer, &copy] {
        assert_eq!(digest(file), before);
        assert_eq!(file.metadata().expect("a file").permissions().mode() & 0o777, 0o600);
    }
    assert!(run(&["compact", "--data", shown(&newer)]).status.success());
    assert_eq!(digest(&newer), before);
    // What is replaced is kept, and so is what it held.
    let restored = done(&["restore", shown(&copy), "--data", shown(&newer)]);
    let kept = PathBuf::from(restored["kept"].as_str().expect("what was there"));
    fs::copy(place.path("orgd.redb.key"), format!("{}.key", kept.display())).expect("a key");
    assert_eq!(digest(&kept), before);
    // It serves.
    let server = Serving::start(&new, &[]);
    assert_eq!(names(&server), BTreeSet::from(["Acme".to_owned()]));
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn places_that_will_not_do_are_refused_and_nothing_is_left_there() {
    let place = Place::new();
    let data = shown(&place.data);
    let copy = place.path("copy.redb");
    let backup =
        |to: &Path| -> Vec<String> { ["backup", shown(to), "--data", data].map(str::to_owned).to_vec() };
    let no = |to: &Path, more: &[&str], sentence: &str| {
        let words = backup(to);
        let words: Vec<&str> = words.iter().map(String::as_str).chain(more.iter().copied()).collect();
        refused(&words, sentence);
    };
    no(&place.data, &["--replace"], "is the data file itself");
    let link = place.path("link");
    symlink(&place.data, &link).expect("a link");
    no(&link, &["--replace"], "is the data file itself");
    fs::hard_link(&place.data, place.path("hard")).expect("a link");
    no(&place.path("hard"), &["--replace"], "is the data file itself");
    no(&place.path("nowhere/copy.redb"), &[], "there is no folder");
    no(place.folder.path(), &["--replace"], "is not the name of a file");
    let socket = place.path("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    no(&socket, &["--replace"], "is not the name of a file");
    fs::write(&copy, "something else").expect("a file");
    no(&copy, &[], "is there already");
    assert_eq!(fs::read(&copy).expect("the file"), b"something else");
    done(&["backup", shown(&copy), "--data", data, "--replace"]);
    assert_eq!(digest(&copy), digest(&place.data));
    // A link to a file elsewhere stays one.
    let (other, link) = (place.path("other.redb"), place.path("to other"));
    fs::write(&other, "old").expect("a file");
    symlink(&other, &link).expect("a link");
    done(&["backup", shown(&link), "--data", data, "--replace"]);
    assert!(link.is_symlink());
    assert_eq!(digest(&other), digest(&place.data));
    let dangling = place.path("dangling");
    symlink(place.path("not there"), &dangling).expect("a link");
    no(&dangling, &[], "is there already");
    assert!(!names_in(place.folder.path()).iter().any(|name| name.ends_with(".part")));
}

fn names_in(folder: &Path) -> Vec<String> {
    let listed = fs::read_dir(folder).expect("a folder");
    listed.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect()
}

#[test]
fn a_restore_wants_the_key_that_fits() {
    let place = Place::with_secret();
    let data = shown(&place.data);
    let (bare, full, new) = (place.path("bare"), place.path("full"), place.path("new.redb"));
    let said_so = said(&run(&["backup", shown(&bare), "--data", data]));
    assert!(
        said_so.contains("the secret key is not in it: keep ") && said_so.contains("orgd.redb.key"),
        "{said_so}"
    );
    done(&["backup", shown(&full), "--data", data, "--with-key"]);
    let restore = |from: &Path, to: &Path, sentence: &str| {
        let before = fs::read(to).ok();
        refused(&["restore", shown(from), "--data", shown(to)], sentence);
        assert_eq!(fs::read(to).ok(), before);
    };
    restore(&bare, &new, "their secret key is missing");
    let key = place.path("new.redb.key");
    fs::write(&key, "another key of at least thirty-two letters").expect("a key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("the mode");
    restore(&bare, &new, "the secret key that is here does not open them");
    restore(&full, &new, "is not the one in");
    fs::remove_file(&key).expect("the key");
    // The one beside the backup comes along, the one of the settings does as well.
    let restored = done(&["restore", shown(&full), "--data", shown(&new)]);
    assert_eq!(restored["key"], shown(&key));
    assert_eq!(digest(&new), digest(&place.data));
    let text = fs::read_to_string(&key).expect("the key");
    fs::remove_file(&key).expect("the key");
    let arguments = ["restore", shown(&full), "--data", shown(&new)];
    assert!(orgd(&arguments).env("ORGD_SECRET_KEY", text.trim()).status().expect("it runs").success());
    assert!(!key.exists(), "a key in the settings is used, and none is put beside");
    let lost = done(&["restore", shown(&bare), "--data", shown(&new), "--without-key"]);
    assert_eq!(lost["lost_secrets"], true);
    // Where the key is a setting, there is none to copy.
    fs::remove_file(place.path("orgd.redb.key")).expect("the key");
    refused(&["backup", shown(&place.path("x")), "--data", data, "--with-key"], "ORGD_SECRET_KEY");
    assert!(!place.path("x").exists());
}

#[test]
fn what_is_no_whole_backup_is_refused_and_the_data_file_stays() {
    let place = Place::new();
    place.fill(5);
    let data = shown(&place.data);
    let (copy, wrong) = (place.path("copy.redb"), place.path("wrong.redb"));
    done(&["backup", shown(&copy), "--data", data]);
    let whole = fs::read(&copy).expect("the backup");
    let before = fs::read(&place.data).expect("the data file");
    let refuse = |bytes: &[u8], what: &str| {
        fs::write(&wrong, bytes).expect("a file");
        let output = run(&["restore", shown(&wrong), "--data", data]);
        let text = said(&output);
        assert!(!text.contains("panicked"), "{what}: {text}");
        (output.status.success(), text)
    };
    for bytes in [&b""[..], b"not a backup", &vec![7; 100_000], &whole[..whole.len() / 2], &whole[..4096]] {
        let (is_taken, text) = refuse(bytes, "foreign");
        assert!(!is_taken && text.lines().count() == 1, "{text}");
    }
    // One changed byte: it is noticed, or lies where nothing does, so that what is restored is the same.
    let mut random = Lcg(7);
    let places = u32::try_from(whole.len()).expect("a small file");
    for _ in 0..60 {
        let at = random.roll(places) as usize;
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << random.roll(8);
        let (is_taken, text) = refuse(&bytes, &format!("byte {at}"));
        if is_taken {
            assert_eq!(digest(&place.data), digest(&copy), "byte {at}: {text}");
        } else {
            assert_eq!(fs::read(&place.data).expect("the data file"), before, "byte {at}");
        }
        if is_taken {
            fs::write(&place.data, &before).expect("the data file");
        }
    }
    assert_eq!(fs::read(&place.data).expect("the data file"), before);
}

#[test]
fn newer_files_are_refused_and_older_ones_are_brought_up() {
    let place = Place::new();
    let newer = place.path("newer.redb");
    fs::copy(&place.data, &newer).expect("a copy");
    {
        let database = redb::Database::open(&newer).expect("our file");
        let writing = database.begin_write().expect("a transaction");
        let meta: redb::TableDefinition<'_, &[u8], &[u8]> = redb::TableDefinition::new("meta");
        writing
            .open_table(meta)
            .expect("a table")
            .insert(&b"schema\0\0"[..], &b"\x01\x0299"[..])
            .expect("a row");
        writing.commit().expect("a commit");
    }
    refused(&["restore", shown(&newer), "--data", shown(&place.data)], "has schema 99");
    refused(&["backup", shown(&place.path("x")), "--data", shown(&newer)], "has schema 99");
    let old = place.path("old.redb");
    let packed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/schema-2.redb.gz");
    let mut unpacked = GzDecoder::new(fs::File::open(packed).expect("the old file"));
    std::io::copy(&mut unpacked, &mut fs::File::create(&old).expect("a file")).expect("a whole file");
    let secret = "k".repeat(32);
    let (copy, text) = (place.path("copy"), place.path("rows"));
    let made = done(&["backup", shown(&copy), "--data", shown(&old)]);
    let exported = done(&["export", "--all", shown(&text), "--data", shown(&old)]);
    assert_eq!((&made["schema"], &made["digest"]), (&json!(2), &exported["digest"]));
    for (command, from) in [("restore", &copy), ("import", &text)] {
        let to = place.path(command);
        let arguments = [command, shown(from), "--data", shown(&to), "--json"];
        let output = orgd(&arguments).env("ORGD_SECRET_KEY", &secret).output().expect("it runs");
        assert!(output.status.success(), "{}", said(&output));
        let restored: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!((&restored["schema"], &restored["digest"]), (&json!(2), &made["digest"]));
        let serve = ["serve", "--listen", "127.0.0.1:0", "--data", shown(&to)];
        let server = Serving::of(orgd(&serve).env("ORGD_SECRET_KEY", &secret));
        let url = format!("{}/api/organizations/@current/members/", server.base);
        let members = ask(&agent(), "GET", &url, Some("phx_fixture_key_of_the_owner"), &Value::Null);
        assert_eq!(members.expect("an answer").1["count"], 3);
        assert_eq!(server.stop(), Some(0));
    }
}

#[test]
fn text_that_is_not_what_was_exported_is_refused() {
    let place = Place::new();
    let (text, wrong, new) = (place.path("rows"), place.path("wrong"), place.path("new.redb"));
    done(&["export", "--all", shown(&text), "--data", shown(&place.data)]);
    let lines = fs::read_to_string(&text).expect("text");
    let mut moved: Vec<&str> = lines.lines().collect();
    moved.swap(2, 3);
    for (what, bytes, sentence) in [
        ("empty", String::new(), "its end is missing"),
        ("foreign", "{\"a\": 1}\n".into(), "no rows that `orgd export --all` has written"),
        ("cut", lines[..lines.len() / 2].into(), "its end is missing"),
        (
            "without its end",
            lines.lines().take(5).map(|line| format!("{line}\n")).collect(),
            "its end is missing",
        ),
        (
            "a row less",
            lines
                .lines()
                .enumerate()
                .filter(|(at, _)| *at != 3)
                .map(|(_, line)| format!("{line}\n"))
                .collect(),
            "not those that were sent",
        ),
        ("other order", moved.iter().map(|line| format!("{line}\n")).collect(), "not those that were sent"),
        ("newer", lines.replacen(&format!("\"schema\":{SCHEMA}"), "\"schema\":99", 1), "has schema 99"),
        ("another form", lines.replacen("\"orgd_rows\":1", "\"orgd_rows\":2", 1), "form 2"),
        ("no hexadecimal", lines.replacen("\"key\":\"", "\"key\":\"x", 1), "line 2: the key"),
    ] {
        fs::write(&wrong, bytes).expect("a file");
        let output = run(&["import", shown(&wrong), "--data", shown(&new)]);
        assert!(!output.status.success() && said(&output).contains(sentence), "{what}: {}", said(&output));
        assert!(!new.exists() && !place.path("new.redb.part").exists(), "{what}");
    }
}

fn rounds() -> u32 {
    std::env::var("ORGD_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS)
}

/// Starts the command, and kills it after a part of the time that it needs.
fn kill_within(arguments: &[&str], needs: Duration, random: &mut Lcg) {
    let mut command = orgd(arguments);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let micros = u32::try_from(needs.as_micros()).expect("a short time");
    // Nothing is asserted about how far it is: only what must hold at every moment.
    std::thread::park_timeout(Duration::from_micros(random.roll(micros + micros / 5).into()));
    let _ = child.kill();
    let _ = child.wait();
}

fn timed(arguments: &[&str]) -> Duration {
    let started = Instant::now();
    assert!(run(arguments).status.success());
    started.elapsed()
}

#[test]
fn a_backup_that_is_killed_leaves_none_or_a_whole_one() {
    let started = Instant::now();
    let place = Place::new();
    place.fill(100);
    let to = place.path("copy.redb");
    let arguments = ["backup", shown(&to), "--data", shown(&place.data)];
    let server = Serving::start(&place.data, &[]);
    let ended = AtomicBool::new(false);
    let mut seen = [0, 0];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let agent = agent();
            (0..).take_while(|_| !ended.load(Ordering::SeqCst)).for_each(|number| {
                assert!(write(&agent, &server, &format!("meanwhile {number}")));
            });
        });
        // The file grows meanwhile.
        let needs = timed(&arguments) * 2;
        let mut random = Lcg(11);
        for round in 0..rounds() {
            // Every other round there is an older one to be replaced.
            let is_replaced = round % 2 == 0 && to.exists();
            if !is_replaced {
                let _ = fs::remove_file(&to);
            }
            let before = is_replaced.then(|| fs::read(&to).expect("the older one"));
            kill_within(&[&arguments[..], &["--replace"]].concat(), needs, &mut random);
            if to.exists() {
                digest(&to);
                seen[usize::from(before != Some(fs::read(&to).expect("the file")))] += 1;
            } else {
                assert!(!is_replaced, "round {round}: the older one is gone");
                seen[0] += 1;
            }
        }
        ended.store(true, Ordering::SeqCst);
    });
    assert_eq!(server.stop(), Some(0));
    done(&[&arguments[..], &["--replace"]].concat());
    assert_eq!(digest(&to), digest(&place.data), "what a killed one has left is in nobody's way");
    assert!(!place.path("copy.redb.part").exists());
    print_seconds(&format!("{} killed backups, {} of them done", seen[0] + seen[1], seen[1]), started);
}

#[test]
fn a_restore_that_is_killed_leaves_the_old_file_or_the_new_one() {
    let started = Instant::now();
    let place = Place::new();
    let (one, two) = (place.path("one.redb"), place.path("two.redb"));
    done(&["backup", shown(&one), "--data", shown(&place.data)]);
    place.fill(100);
    done(&["backup", shown(&two), "--data", shown(&place.data)]);
    let digests = [digest(&one), digest(&two)];
    let needs = timed(&["restore", shown(&two), "--data", shown(&place.data)]);
    let mut random = Lcg(13);
    let mut changes = 0;
    for round in 0..rounds() {
        let before = digest(&place.data);
        let from = if before == digests[0] { &two } else { &one };
        kill_within(&["restore", shown(from), "--data", shown(&place.data)], needs, &mut random);
        let after = digest(&place.data);
        assert!(digests.contains(&after), "round {round}");
        changes += u32::from(after != before);
        // What was kept is whole as well.
        for name in names_in(place.folder.path()) {
            if name.contains(".before-") {
                assert!(digests.contains(&digest(&place.path(&name))), "round {round}");
                fs::remove_file(place.path(&name)).expect("it goes");
            }
        }
    }
    let restored = done(&["restore", shown(&one), "--data", shown(&place.data)]);
    assert_eq!(restored["digest"], digests[0].as_str());
    print_seconds(&format!("{} killed restores, {changes} of them done", rounds()), started);
}
