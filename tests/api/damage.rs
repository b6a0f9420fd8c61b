//! A data file whose bytes are not what was written: whatever they are, opening it and checking it end with
//! a sentence.

use std::fs;
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::Duration;

use orgd::admin;
use orgd::config::Config;
use orgd::resources::integrity;
use orgd::store::Storage;
use serde_json::json;

use crate::support::{Server, text};

const PAGE: usize = 4096;

/// The bytes of a file with some of everything.
fn whole() -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("orgd.redb");
    {
        let server = Server::on_file(&path);
        let org = server.org();
        for number in 0..30 {
            let body = json!({"target_email": format!("a{number}@example.com")});
            org.owner.post(&org.at("invites/"), body).json(201);
        }
        let config = json!({"url": "http://127.0.0.1:9/", "token": "sesame"});
        let export = json!({"name": "n", "interval": "hour", "paused": true, "destination": {"type": "HTTP", "config": config}});
        org.owner.post(&org.at("batch_exports/"), export).json(201);
        let token = text(&org.owner.get(&org.project_at("")).json(200)["api_token"]);
        let event =
            json!({"event": "e", "distinct_id": "d", "properties": {"$set": {"fill": "x".repeat(2000)}}});
        let batch = json!({"api_key": token, "batch": vec![event; 50]});
        server.anyone().post("/batch/", batch).json(200);
    }
    fs::read(&path).expect("the file")
}

/// What a damaged file says, if anything, in the time that a whole one needs many times over.
fn looked_at(bytes: &[u8], place: fn(std::path::PathBuf) -> Storage) -> Option<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("orgd.redb");
    fs::write(&path, bytes).expect("the file");
    let (sender, outcome) = channel();
    let looking = std::thread::spawn(move || {
        let mut config = Config::from_env().expect("the environment holds no odd settings");
        config.exports.secret_key = Some("k".repeat(32));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let opened =
            runtime.expect("a runtime").block_on(admin::open(config, place(path), Default::default()));
        let said = match opened {
            Ok(app) => match integrity::check(&app.store) {
                Ok(problems) => problems.first().cloned(),
                Err(cause) => Some(cause.to_string()),
            },
            Err(sentence) => Some(sentence),
        };
        sender.send(said).expect("the test waits");
    });
    let said = outcome.recv_timeout(Duration::from_secs(120)).expect("it ends");
    looking.join().expect("it does not panic");
    said
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % sides
    }
}

/// The damages, each with its name.
fn damages(whole: &[u8], more: usize) -> Vec<(String, Vec<u8>)> {
    let mut dice = Dice(11);
    let mut all = Vec::new();
    let mut flip = |name: String, at: usize, with: u8| {
        let mut bytes = whole.to_vec();
        bytes[at] ^= with;
        all.push((name, bytes));
    };
    for at in (0..320).step_by(9) {
        flip(format!("header byte {at}"), at, 0xff);
    }
    let used: Vec<usize> = (PAGE..whole.len())
        .step_by(PAGE)
        .filter(|page| whole[*page..*page + PAGE].iter().any(|byte| *byte != 0))
        .collect();
    for page in &used {
        for at in [0, 4] {
            flip(format!("byte {at} of the page at {page}"), page + at, 0xff);
        }
    }
    for _ in 0..more {
        let at = used[dice.roll(used.len())] + dice.roll(PAGE);
        let with = u8::try_from(1 + dice.roll(255)).expect("a byte");
        flip(format!("byte {at} by {with}"), at, with);
    }
    for page in used.iter().step_by(6) {
        let mut bytes = whole.to_vec();
        bytes[*page..page + PAGE].fill(0);
        all.push((format!("an empty page at {page}"), bytes));
        let mut bytes = whole.to_vec();
        let other = used[dice.roll(used.len())];
        bytes.copy_within(other..other + PAGE, *page);
        all.push((format!("the page of {other} at {page}"), bytes));
    }
    for _ in 0..20 {
        let mut bytes = whole.to_vec();
        let (at, size) = (used[dice.roll(used.len())] + dice.roll(PAGE), 1 + dice.roll(3000));
        for byte in &mut bytes[at..(at + size).min(whole.len())] {
            *byte = u8::try_from(dice.roll(256)).expect("a byte");
        }
        all.push((format!("{size} random bytes at {at}"), bytes));
    }
    for length in
        [1, 9, 63, 64, 319, 320, 4095, 4096, 8192, whole.len() / 2, whole.len() - PAGE, whole.len() - 1]
    {
        all.push((format!("cut at {length}"), whole[..length].to_vec()));
    }
    for size in [1, PAGE, 1_000_000] {
        all.push((format!("{size} bytes longer"), [whole, &vec![0xa5; size]].concat()));
    }
    all
}

#[test]
fn whatever_is_damaged_ends_with_a_sentence_or_is_whole() {
    let whole = whole();
    assert_eq!(looked_at(&whole, Storage::Untouched), None);
    let more = std::env::var("ORGD_DAMAGES").ok().and_then(|text| text.parse().ok()).unwrap_or(30);
    let mut found = 0;
    let damages = damages(&whole, more);
    for (name, bytes) in &damages {
        let checked = looked_at(bytes, Storage::Untouched);
        let opened = looked_at(bytes, Storage::File);
        if std::env::var_os("ORGD_DAMAGES").is_some() {
            eprintln!("{name}: {checked:?} / {opened:?}");
        }
        found += usize::from(checked.is_some());
        for sentence in [checked, opened].into_iter().flatten() {
            assert!(!sentence.is_empty() && !sentence.contains("panicked at"), "{name}: {sentence}");
        }
    }
    assert!(found > damages.len() / 4, "{found} of {} damages were found", damages.len());
}

#[test]
fn a_check_leaves_a_damaged_file_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("orgd.redb");
    let mut bytes = whole();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 3000].fill(0x5a);
    fs::write(&path, &bytes).expect("the file");
    let look = |path: &Path| {
        let config = Config::from_env().expect("the environment holds no odd settings");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let opened =
            runtime.block_on(admin::open(config, Storage::Untouched(path.to_owned()), Default::default()));
        opened.map(|app| integrity::check(&app.store).map_err(|cause| cause.to_string()))
    };
    drop(look(&path));
    assert!(fs::read(&path).expect("the file") == bytes, "it has changed");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
}
