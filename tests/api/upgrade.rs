//! A file that an earlier version has left, opened by this one.
//!
//! `tests/data/schema-2.redb.gz` was made by the last version with schema 2: an owner with a key, a member, an admin
//! with a second factor, an open invite, an export with a secret, a claimed domain, a private project. The other files
//! were made by the last version with their schema: an owner with a key, a member, an open invite, a role, a claimed
//! domain, three projects (one private), an export with a secret and an event. Every later version opens all of them.

use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use orgd::store::{SCHEMA, Storage};
use serde_json::json;
use tempfile::TempDir;
use totp_rs::{Builder, Secret};

use super::support::exports::names;
use super::support::{Person, Receiver, Server, text};

const PASSWORD: &str = "correct-Horse-battery-7";
const KEY: &str = "phx_fixture_key_of_the_owner";
/// The same in the files with schema 4 and 5.
const KEY_4: &str = "phx_XmrYv07ZZVlzVaYEqAEVnTpSGEO0p5TFxoC0s5F55TrlaP7";
const KEY_5: &str = "phx_zDBuMO0ABQS1OcCPnXk5qNO2NGfuluXX5ZZG29RjsUmtER";
/// The second organization in the file with schema 4, which has few entries in its audit log.
const SMALL: &str = "01a21e73-6071-7223-ba43-de9e12290c7e";
const SECRET: &str = "3HWCLABCXTSHII3AB5F6FEE5FTO36OLV";
const INVITE: &str = "01a217e8-9c7e-722b-a028-015777fe3d1c";
const EXPORT: &str = "01a217e8-9c82-727b-a8ac-be1b2c1c2559";

fn unpack(schema: u32, into: &Path) {
    let name = format!("tests/data/schema-{schema}.redb.gz");
    let packed = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let mut bytes = Vec::new();
    let file = std::fs::File::open(packed).expect("the old file");
    GzDecoder::new(file).read_to_end(&mut bytes).expect("a whole file");
    std::fs::write(into, bytes).expect("a file");
}

fn open(file: &Path) -> Server {
    Server::open(Storage::File(file.to_owned()), |config| {
        config.exports.secret_key = Some("k".repeat(32));
    })
}

/// The file that the last version with a schema has left, opened, and its owner.
fn opened(schema: u32) -> (TempDir, Server, Person) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = file_in(&folder);
    unpack(schema, &file);
    let server = open(&file);
    let key = match schema {
        4 => KEY_4,
        5 => KEY_5,
        _ => KEY,
    };
    let owner = Person::unknown(&server, "owner@example.com".into()).holding(key);
    (folder, server, owner)
}

fn file_in(folder: &TempDir) -> PathBuf {
    folder.path().join("orgd.redb")
}

fn token_of(owner: &Person) -> String {
    let path = format!("/api/organizations/@current/invites/{INVITE}/link/");
    let link = owner.get(&path).json(200)["link"].as_str().expect("a link").to_owned();
    link.rsplit_once("/signup/").expect("a link to the sign-up").1.to_owned()
}

#[test]
fn what_an_older_file_holds_is_still_there_and_as_safe_as_what_is_made_now() {
    let (folder, server, owner) = opened(2);
    let members = owner.get("/api/organizations/@current/members/").json(200);
    assert_eq!(members["count"], 3);
    assert_eq!(owner.get("/api/organizations/@current/projects/").json(200)["count"], 2);
    assert_eq!(owner.get("/api/organizations/@current/domains/").json(200)["count"], 1);
    let log_in = json!({"email": "member@example.com", "password": PASSWORD});
    server.anyone().post("/api/login/", log_in).json(200);

    // The secret of the second factor is sealed now, and still the same.
    let waiting = json!({"email": "factor@example.com", "password": PASSWORD});
    let answer = server.anyone().post("/api/login/", waiting);
    assert_eq!(answer.json(401)["code"], "2fa_required");
    let secret = Secret::try_from_base32(SECRET).expect("a secret");
    let totp = Builder::new().with_secret(secret).build().expect("a long secret");
    let seconds = u64::try_from(server.app.clock.now().unix_seconds()).expect("a time");
    let code = totp.generate(seconds).to_string();
    server.anyone().with_cookies_of(&answer).post("/api/login/token/", json!({"token": code})).json(200);

    // An invite has a token, and its id opens nothing.
    let token = token_of(&owner);
    let unknown = "The provided invite ID is not valid.";
    assert_eq!(server.anyone().get(&format!("/api/signup/{INVITE}/")).reason(), unknown);
    assert!(!server.anyone().get(&format!("/api/signup/{token}/")).text().contains(unknown));

    // The secret of an export opens, follows no other address, and goes along with another name.
    let path = format!("/api/organizations/@current/batch_exports/{EXPORT}/");
    assert_eq!(owner.patch(&path, json!({"name": "new"})).json(200)["name"], "new");
    let moved = json!({"destination": {"type": "HTTP", "config": {"url": "https://example.org/"}}});
    assert_eq!(owner.patch(&path, moved).json(400)["attr"], "token");
    drop(server);

    let server = open(&file_in(&folder));
    assert_eq!(token_of(&owner.moved_to(&server)), token, "tokens are given once");
}

#[test]
fn a_file_of_every_earlier_schema_is_brought_up_and_read() {
    for schema in 1..SCHEMA {
        let (folder, server, owner) = opened(schema);
        assert!(folder.path().join(format!("orgd.redb.schema-{schema}")).exists(), "{schema}");
        let of = |path: &str| owner.get(&format!("/api/organizations/@current/{path}")).json(200);
        let counts = ["members/", "projects/", "domains/", "invites/", "batch_exports/"];
        let found = counts.map(|path| of(path)["count"].as_u64().expect("a count"));
        let wanted = if schema == 2 { [3, 2, 1, 1, 1] } else { [2, 3, 1, 1, 1] };
        assert_eq!(found, wanted, "{schema}: {counts:?}");
        let log_in = json!({"email": "member@example.com", "password": PASSWORD});
        server.anyone().post("/api/login/", log_in).json(200);
        let made = owner.post("/api/organizations/@current/roles/", json!({"name": "After"}));
        assert_eq!(made.json(201)["name"], "After", "{schema}");
        // What was made before is found by what is indexed now, and goes with what it belongs to.
        let project = of("projects/")["results"][0]["id"].as_u64().expect("an id");
        let one = format!("/api/organizations/@current/projects/{project}/");
        assert_eq!(owner.get(&one).json(200)["id"], project);
        assert_eq!(owner.delete(&one).status, 204, "{schema}");
        drop(server);
        let again = open(&file_in(&folder));
        let owner = owner.moved_to(&again);
        let left = owner.get("/api/organizations/@current/projects/").json(200);
        assert_eq!(left["count"], wanted[1] - 1, "{schema}");
    }
}

#[test]
fn the_audit_log_of_an_older_file_is_found_by_what_it_is_about() {
    let (_folder, _server, owner) = opened(4);
    for (organization, scopes) in [("@current", [72, 2, 2]), (SMALL, [1, 1, 0])] {
        let of = |query: &str| {
            let path = format!("/api/organizations/{organization}/advanced_activity_logs/?page=1&{query}");
            owner.get(&path).json(200)["count"].as_u64().expect("a count")
        };
        let names = ["Organization", "OrganizationMembership", "Team"];
        let found = names.map(|scope| of(&format!("scopes={scope}")));
        assert_eq!(found, scopes, "{organization}: {names:?}");
    }
}

#[test]
fn the_events_of_an_older_file_are_found_by_their_own_time() {
    let (_folder, server, owner) = opened(5);
    let project = "/api/projects/3";
    let receiver = Receiver::answering(&[]);
    let export = json!({
        "name": "after", "interval": "hour", "paused": true,
        "destination": {"type": "HTTP", "config": {"url": receiver.url("/"), "token": "phc_receiver"}},
    });
    let export = owner.post(&format!("{project}/batch_exports/"), export).json(201)["id"].clone();
    let export = format!("{project}/batch_exports/{}", text(&export));
    let hour = json!({"start_at": "2021-01-01T10:00:00Z", "end_at": "2021-01-01T11:00:00Z"});
    owner.post(&format!("{export}/backfills/"), hour).json(201);
    let newest = || owner.get(&format!("{export}/runs/")).json(200)["results"][0]["status"].clone();
    server.until("the backfill is over", || newest() == "Completed");
    // Minute by minute, those of one as they have arrived.
    let wanted = ["10:00:10", "10:00:50", "10:00:20", "10:00:00", "10:01:00", "10:01:30"];
    assert_eq!(names(&receiver.events()), wanted);
}
