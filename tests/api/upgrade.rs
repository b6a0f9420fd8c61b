//! A file that an earlier version has left, opened by this one.
//!
//! `tests/data/schema-2.redb.gz` was made by the last version with schema 2: an owner with a key, a member, an admin
//! with a second factor, an open invite, an export with a secret, a claimed domain, a private project.

use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use orgd::store::Storage;
use serde_json::json;
use totp_rs::{Builder, Secret};

use super::support::{Person, Server};

const PASSWORD: &str = "correct-Horse-battery-7";
const KEY: &str = "phx_fixture_key_of_the_owner";
const SECRET: &str = "3HWCLABCXTSHII3AB5F6FEE5FTO36OLV";
const INVITE: &str = "01a217e8-9c7e-722b-a028-015777fe3d1c";
const EXPORT: &str = "01a217e8-9c82-727b-a8ac-be1b2c1c2559";

fn unpack(into: &Path) {
    let packed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/schema-2.redb.gz");
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

fn token_of(owner: &Person) -> String {
    let path = format!("/api/organizations/@current/invites/{INVITE}/link/");
    let link = owner.get(&path).json(200)["link"].as_str().expect("a link").to_owned();
    link.rsplit_once("/signup/").expect("a link to the sign-up").1.to_owned()
}

#[test]
fn what_an_older_file_holds_is_still_there_and_as_safe_as_what_is_made_now() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("orgd.redb");
    unpack(&file);
    let server = open(&file);
    let owner = Person::unknown(&server, "owner@example.com".into()).holding(KEY);
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

    let server = open(&file);
    assert_eq!(token_of(&owner.moved_to(&server)), token, "tokens are given once");
}
