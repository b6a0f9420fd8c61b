//! The second factor: setting it up, logging in with it, losing it, and organizations that demand it.

use std::time::Duration;

use orgd::config::Switch;
use orgd::store::Storage;
use serde_json::{Value, json};
use totp_rs::{Builder, Secret};

use crate::support::{Answer, PASSWORD, Person, Server, post_with_cookie, text};

const STEP: Duration = Duration::from_secs(30);

pub fn at(tail: &str) -> String {
    format!("/api/users/@me/two_factor_{tail}/")
}

/// What an authenticator app shows now.
pub fn code(server: &Server, secret: &str) -> String {
    let secret = Secret::try_from_base32(secret).expect("a secret in base 32");
    let totp = Builder::new().with_secret(secret).build().expect("the secret is long enough");
    let seconds = u64::try_from(server.app.clock.now().unix_seconds()).expect("it is after 1970");
    totp.generate(seconds).to_string()
}

/// Sets the second factor up in this session; the secret.
pub fn enroll(server: &Server, person: &Person) -> String {
    let secret = text(&person.get(&at("start_setup")).json(200)["secret"]);
    let answer = person.post(&at("validate"), json!({"token": code(server, &secret)}));
    assert_eq!(answer.json(200), json!({"success": true}));
    // The code of this step is used up.
    server.pass(STEP);
    secret
}

/// The first step of a log-in; only the password has been given then.
fn password_given(person: &Person) -> Person {
    let answer = person.without().post("/api/login/", json!({"email": person.email, "password": PASSWORD}));
    let detail = "2FA is required.";
    answer.refused(401, "server_error", "2fa_required", detail, None);
    person.with_cookies_of(&answer)
}

fn token(person: &Person, token: &str) -> Answer {
    person.post("/api/login/token/", json!({"token": token}))
}

fn is_wrong(answer: &Answer) {
    answer.invalid(None, "2fa_invalid", "Invalid authentication code");
}

#[test]
fn a_user_sets_it_up_with_a_code_of_his_app() {
    let server = Server::start();
    let org = server.org();
    let off = json!({"is_enabled": false, "backup_codes": [], "backup_codes_left": 0, "method": null});
    assert_eq!(org.owner.get(&at("status")).json(200), off);
    let setup = org.owner.post(&at("start_setup"), json!({})).json(200);
    let secret = text(&setup["secret"]);
    assert_eq!((setup["success"].clone(), secret.len()), (json!(true), 32));
    let link = text(&setup["otpauth_url"]);
    assert!(
        link.starts_with("otpauth://totp/") && link.contains(&secret) && link.contains("issuer=orgd"),
        "{link}"
    );
    for wrong in ["000000", "", "abcdef", "1234567890"] {
        let answer = org.owner.post(&at("validate"), json!({"token": wrong}));
        assert_eq!(answer.status, 400, "{wrong}");
    }
    org.owner.post(&at("validate"), json!({})).invalid("token", "required", "This field is required.");
    assert_eq!(org.owner.get(&at("status")).json(200), off, "not before it is proved");
    org.owner.logged_in();
    let proof = json!({"token": code(&server, &secret)});
    org.owner.post(&at("validate"), proof.clone()).json(200);
    let on = json!({"is_enabled": true, "backup_codes": [], "backup_codes_left": 0, "method": "TOTP"});
    assert_eq!(org.owner.get(&at("status")).json(200), on);
    assert_eq!(org.owner.me()["is_2fa_enabled"], true);
    let member = &org.owner.get(&org.at("members/")).results()[0];
    assert_eq!(member["is_2fa_enabled"], true);
    org.owner.post(&at("validate"), proof).invalid(None, "token_invalid", "Token is not valid");
    let again = org.owner.get(&at("start_setup"));
    again.invalid(None, "2fa_already_enabled", "2FA is enabled already. Disable it first.");
}

#[test]
fn logging_in_takes_the_password_and_then_a_code() {
    let server = Server::start();
    let org = server.org();
    let secret = enroll(&server, &org.owner);
    let waiting = password_given(&org.owner);
    waiting.get("/api/users/@me/").unauthenticated();
    is_wrong(&token(&waiting, "000000"));
    waiting.get("/api/users/@me/").unauthenticated();
    let answer = token(&waiting, &code(&server, &secret));
    assert_eq!(answer.json(200), json!({"success": true}));
    let inside = waiting.with_cookies_of(&answer);
    assert_eq!(inside.me()["uuid"], json!(org.owner.uuid));
    waiting.get("/api/users/@me/").unauthenticated();
    let expired = "Login attempt has expired. Re-enter username/password.";
    token(&waiting, &code(&server, &secret)).invalid(None, "2fa_expired", expired);
    token(&server.anyone(), &code(&server, &secret)).invalid(None, "2fa_expired", expired);
    // A wrong password says nothing of the second factor.
    let wrong = server.anyone().post("/api/login/", json!({"email": org.owner.email, "password": "wrong"}));
    wrong.invalid(None, "invalid_credentials", "Invalid email or password.");
}

#[test]
fn a_code_is_good_once_and_for_its_time() {
    let server = Server::start();
    let org = server.org();
    let secret = enroll(&server, &org.owner);
    let used = code(&server, &secret);
    token(&password_given(&org.owner), &used).json(200);
    is_wrong(&token(&password_given(&org.owner), &used));
    server.pass(STEP);
    is_wrong(&token(&password_given(&org.owner), &used));
    // The clock of the app may be a step late, not more.
    let late = code(&server, &secret);
    server.pass(STEP);
    token(&password_given(&org.owner), &late).json(200);
    let too_late = code(&server, &secret);
    server.pass(3 * STEP);
    is_wrong(&token(&password_given(&org.owner), &too_late));
    let spaced = code(&server, &secret);
    let (front, back) = spaced.split_at(3);
    token(&password_given(&org.owner), &format!(" {front} {back}")).json(200);
}

#[test]
fn the_second_step_has_ten_minutes() {
    let server = Server::start();
    let org = server.org();
    let secret = enroll(&server, &org.owner);
    let waiting = password_given(&org.owner);
    server.pass(Duration::from_secs(599));
    is_wrong(&token(&waiting, "000000"));
    server.pass(Duration::from_secs(2));
    let expired = "Login attempt has expired. Re-enter username/password.";
    token(&waiting, &code(&server, &secret)).invalid(None, "2fa_expired", expired);
}

#[test]
fn guessing_is_stopped() {
    let server = Server::with(|config| config.rate_limit = Some(Switch::On));
    let org = server.org();
    let secret = enroll(&server, &org.owner);
    let waiting = password_given(&org.owner);
    for _ in 0..10 {
        is_wrong(&token(&waiting, "000000"));
    }
    let stopped = "Too many attempts.";
    token(&waiting, &code(&server, &secret)).invalid(None, "2fa_too_many_attempts", stopped);
    token(&password_given(&org.owner), &code(&server, &secret)).invalid(
        None,
        "2fa_too_many_attempts",
        stopped,
    );
    server.pass(Duration::from_secs(20 * 60));
    token(&password_given(&org.owner), &code(&server, &secret)).json(200);
}

#[test]
fn a_log_in_that_waits_never_becomes_more_when_the_second_factor_is_set_up_anew() {
    let server = Server::start();
    let org = server.org();
    enroll(&server, &org.owner);
    let attacker = password_given(&org.owner);
    attacker.get("/api/users/@me/").unauthenticated();
    org.owner.post(&at("disable"), json!({})).json(200);
    let secret = enroll(&server, &org.owner);
    attacker.get("/api/users/@me/").unauthenticated();
    let key = json!({"label": "x", "scopes": ["*"]});
    attacker.post("/api/personal_api_keys/", key).unauthenticated();
    let expired = "Login attempt has expired. Re-enter username/password.";
    token(&attacker, &code(&server, &secret)).invalid(None, "2fa_expired", expired);
    assert_eq!(org.owner.get("/api/personal_api_keys/").json(200), json!([]));
}

#[test]
fn every_change_of_what_opens_an_account_ends_what_was_begun_before() {
    type Change = fn(&Server, &Person);
    let changes: [(&str, Change); 5] = [
        ("enabling", |server, person| drop(enroll(server, person))),
        ("disabling", |server, person| {
            enroll(server, person);
            person.post(&at("disable"), json!({})).json(200);
        }),
        ("new recovery codes", |server, person| {
            enroll(server, person);
            person.post(&at("backup_codes"), json!({})).json(200);
        }),
        ("a new password", |_, person| {
            let body = json!({"current_password": PASSWORD, "password": "another-Long-passphrase-8"});
            person.patch("/api/users/@me/", body).json(200);
        }),
        ("a new password with a second factor", |server, person| {
            enroll(server, person);
            let body = json!({"current_password": PASSWORD, "password": "another-Long-passphrase-8"});
            person.patch("/api/users/@me/", body).json(200);
        }),
    ];
    for (what, change) in changes {
        let server = Server::start();
        let (owner, other) = (server.org().owner, server.org().owner);
        let elsewhere = owner.logged_in();
        change(&server, &owner);
        elsewhere.get("/api/users/@me/").unauthenticated();
        owner.me();
        other.me();
        assert_eq!(
            owner.get("/api/users/@me/login_sessions/").json(200).as_array().map(Vec::len),
            Some(1),
            "{what}"
        );
    }
    // Log-ins that wait end as well.
    for path in ["disable", "backup_codes"] {
        let server = Server::start();
        let owner = server.org().owner;
        let secret = enroll(&server, &owner);
        let waiting = password_given(&owner);
        owner.post(&at(path), json!({})).json(200);
        let expired = "Login attempt has expired. Re-enter username/password.";
        token(&waiting, &code(&server, &secret)).invalid(None, "2fa_expired", expired);
    }
}

#[test]
fn without_the_second_factor_a_session_counts_as_begun_without_it() {
    let server = Server::start();
    let org = server.org();
    enforce(&org.owner, &org.at(""));
    enroll(&server, &org.owner);
    org.owner.get(&org.at("")).json(200);
    org.owner.post(&at("disable"), json!({})).json(200);
    setup_required(&org.owner.get(&org.at("")));
}

#[test]
fn a_change_takes_the_password_unless_it_was_given_just_now() {
    let server = Server::start();
    let owner = server.org().owner;
    let required = "Give your current password, or log in again.";
    let incorrect = "Your current password is incorrect.";
    let just = Duration::from_secs(10 * 60);
    server.pass(just);
    owner.get(&at("start_setup")).invalid("current_password", "required", required);
    let refused = |path: &str| {
        owner.post(&at(path), json!({})).invalid("current_password", "required", required);
        let wrong = json!({"current_password": "wrong"});
        owner.post(&at(path), wrong).invalid("current_password", "incorrect_password", incorrect);
    };
    let right = json!({"current_password": PASSWORD});
    refused("start_setup");
    let secret = text(&owner.post(&at("start_setup"), right.clone()).json(200)["secret"]);
    owner.post(&at("validate"), json!({"token": code(&server, &secret)})).json(200);
    for path in ["backup_codes", "disable"] {
        refused(path);
        assert_eq!(owner.me()["is_2fa_enabled"], true);
        owner.post(&at(path), right.clone()).json(200);
    }
    assert_eq!(owner.me()["is_2fa_enabled"], false);
    // One second before, nobody asks.
    let again = owner.logged_in();
    server.pass(just - Duration::from_secs(1));
    again.get(&at("start_setup")).json(200);
}

#[test]
fn to_show_a_secret_changes_nothing() {
    let server = Server::start();
    let (owner, other) = (server.org().owner, server.org().owner);
    let secret = |person: &Person| text(&person.get(&at("start_setup")).json(200)["secret"]);
    let shown = secret(&owner);
    assert_eq!(text(&owner.post(&at("start_setup"), json!({})).json(200)["secret"]), shown);
    assert_eq!(secret(&owner), shown);
    let elsewhere = owner.logged_in();
    let of_elsewhere = secret(&elsewhere);
    assert!(of_elsewhere != shown && secret(&other) != shown);
    // The secret of one session is not that of another.
    let foreign = json!({"token": code(&server, &of_elsewhere)});
    owner.post(&at("validate"), foreign).invalid(None, "token_invalid", "Token is not valid");
    owner.post(&at("validate"), json!({"token": code(&server, &shown)})).json(200);
    server.pass(STEP);
    owner.post(&at("disable"), json!({})).json(200);
    assert_ne!(secret(&owner), shown, "what was set up once is not shown again");
}

#[test]
fn a_secret_that_was_shown_has_ten_minutes() {
    let server = Server::start();
    let owner = server.org().owner;
    let shown = text(&owner.get(&at("start_setup")).json(200)["secret"]);
    server.pass(Duration::from_secs(20 * 60));
    let late = owner.post(&at("validate"), json!({"token": code(&server, &shown)}));
    late.invalid(None, "setup_expired", "2FA setup session expired. Please start setup again.");
    assert_eq!(owner.me()["is_2fa_enabled"], false);
    let again = owner.logged_in();
    let shown = text(&again.get(&at("start_setup")).json(200)["secret"]);
    server.pass(Duration::from_secs(599));
    again.post(&at("validate"), json!({"token": code(&server, &shown)})).json(200);
}

#[test]
fn a_log_in_that_waits_can_be_given_up() {
    let server = Server::start();
    let owner = server.org().owner;
    let secret = enroll(&server, &owner);
    let waiting = password_given(&owner);
    waiting.post("/api/logout/", json!({})).no_content();
    let expired = "Login attempt has expired. Re-enter username/password.";
    token(&waiting, &code(&server, &secret)).invalid(None, "2fa_expired", expired);
    waiting.post("/api/logout/", json!({})).unauthenticated();
    owner.me();
}

#[test]
fn who_has_the_password_only_keeps_nobody_from_their_second_step() {
    let server = Server::with(|config| config.rate_limit = Some(Switch::On));
    let org = server.org();
    let secret = enroll(&server, &org.owner);
    let used = code(&server, &secret);
    token(&password_given(&org.owner), &used).json(200);
    server.pass(STEP);
    // From elsewhere, somebody uses up what there is.
    let credentials = json!({"email": org.owner.email, "password": PASSWORD});
    let mut stopped = 0;
    for host in 2..9 {
        let (status, cookie, _) =
            post_with_cookie(&server, [127, 0, 0, host], "/api/login/", &credentials, "");
        assert_eq!(status, 401);
        for _ in 0..10 {
            let wrong = json!({"token": "000000"});
            let (_, _, body) =
                post_with_cookie(&server, [127, 0, 0, host], "/api/login/token/", &wrong, &cookie);
            stopped += usize::from(body["code"] == "2fa_too_many_attempts");
        }
    }
    assert_eq!(stopped, 20, "fifty of seventy were looked at");
    token(&password_given(&org.owner), &code(&server, &secret)).json(200);
}

#[test]
fn the_secret_is_sealed_and_without_the_key_recovery_codes_still_work() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("orgd.redb");
    let open = |key: &str| {
        let key = key.to_owned();
        Server::open(Storage::File(file.clone()), move |config| config.exports.secret_key = Some(key))
    };
    let (first, other) = ("k".repeat(32), "l".repeat(32));
    let server = open(&first);
    let owner = server.org().owner;
    let secret = enroll(&server, &owner);
    let made = owner.post(&at("backup_codes"), json!({})).json(200);
    let recovery = text(&made["backup_codes"][0]);
    drop(server);
    let bytes = std::fs::read(&file).expect("the data file");
    let raw = Secret::try_from_base32(secret.as_str()).expect("a secret in base 32");
    for hidden in [secret.as_bytes(), raw.as_bytes()] {
        assert!(!bytes.windows(hidden.len()).any(|part| part == hidden), "the secret lies open");
    }
    let at_home = |server: &Server| {
        let body = json!({"email": owner.email, "password": PASSWORD});
        let answer = server.anyone().post("/api/login/", body);
        assert_eq!(answer.status, 401);
        server.anyone().with_cookies_of(&answer)
    };
    let server = open(&other);
    let refused = token(&at_home(&server), &code(&server, &secret));
    assert_eq!(refused.json(400)["code"], "2fa_unreadable");
    token(&at_home(&server), &recovery).json(200);
    drop(server);
    let server = open(&first);
    // The code of this step was used when the secret was set up.
    server.pass(STEP);
    token(&at_home(&server), &code(&server, &secret)).json(200);
}

#[test]
fn a_recovery_code_opens_one_log_in() {
    let server = Server::start();
    let org = server.org();
    org.owner.post(&at("backup_codes"), json!({})).invalid(
        None,
        "2fa_not_enabled",
        "2FA must be enabled first",
    );
    enroll(&server, &org.owner);
    let new_codes = || -> Vec<String> {
        let made = org.owner.post(&at("backup_codes"), json!({})).json(200);
        made["backup_codes"].as_array().expect("codes").iter().map(text).collect()
    };
    let left = || org.owner.get(&at("status")).json(200)["backup_codes_left"].clone();
    let codes = new_codes();
    assert_eq!((codes.len(), left()), (10, json!(10)));
    assert!(codes.iter().all(|code| code.len() == 10));
    token(&password_given(&org.owner), &codes[3].to_uppercase()).json(200);
    assert_eq!(left(), json!(9));
    is_wrong(&token(&password_given(&org.owner), &codes[3]));
    token(&password_given(&org.owner), &codes[4]).json(200);
    let newer = new_codes();
    is_wrong(&token(&password_given(&org.owner), &codes[5]));
    token(&password_given(&org.owner), &newer[0]).json(200);
    let status = org.owner.get(&at("status"));
    assert!(newer.iter().all(|code| !status.text().contains(code)), "codes are shown once");
}

#[test]
fn it_is_disabled_by_a_session_that_showed_it() {
    let server = Server::start();
    let org = server.org();
    let elsewhere = org.owner.logged_in();
    let secret = enroll(&server, &org.owner);
    for path in ["disable", "backup_codes"] {
        elsewhere.post(&at(path), json!({})).unauthenticated();
    }
    server.pass(Duration::from_secs(7 * 60 * 60));
    org.owner
        .post(&at("disable"), json!({}))
        .denied("This action requires you to be recently authenticated.");
    let answer = token(&password_given(&org.owner), &code(&server, &secret));
    answer.json(200);
    let inside = org.owner.with_cookies_of(&answer);
    assert_eq!(inside.post(&at("disable"), json!({})).json(200), json!({"success": true}));
    assert_eq!(inside.me()["is_2fa_enabled"], false);
    org.owner.logged_in();
}

/// The operator takes the second factor away, at the machine itself.
fn orgd_removes(server: &Server, person: &Person) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts");
    let removed = orgd::admin::remove_two_factor(&server.app, person.email.clone());
    runtime.block_on(removed).expect("the user is known");
}

#[test]
fn the_operator_helps_who_has_lost_everything() {
    let server = Server::start();
    let org = server.org();
    enroll(&server, &org.owner);
    let waiting = password_given(&org.owner);
    orgd_removes(&server, &org.owner);
    org.owner.get("/api/users/@me/").unauthenticated();
    let expired = "Login attempt has expired. Re-enter username/password.";
    token(&waiting, "000000").invalid(None, "2fa_expired", expired);
    assert_eq!(org.owner.logged_in().me()["is_2fa_enabled"], false);
}

#[test]
fn nobody_sets_it_up_for_another_or_with_a_key() {
    let server = Server::start();
    let (org, other) = (server.org(), server.org());
    let path = format!("/api/users/{}/two_factor_start_setup/", other.owner.uuid);
    let detail = "As a non-staff user you're only allowed to access the `@me` user instance.";
    org.owner.get(&path).denied(detail);
    other.owner.get(&path).json(200);
    org.owner.key(&["*"]).get(&at("start_setup")).unauthenticated();
    server.anyone().get(&at("status")).unauthenticated();
}

fn setup_required(answer: &Answer) {
    answer.refused(403, "authentication_error", "two_factor_setup_required", "2FA setup required", None);
}

fn enforce(person: &Person, path: &str) {
    let enforced: Value =
        person.key(&["organization:write"]).patch(path, json!({"enforce_2fa": true})).json(200);
    assert_eq!(enforced["enforce_2fa"], true);
}

#[test]
fn an_organization_demands_it_of_sessions_but_not_of_keys() {
    let server = Server::start();
    let org = server.org();
    let key = org.owner.key(&["*"]);
    enforce(&org.owner, &org.at(""));
    let paths = [
        org.at(""),
        org.at("members/"),
        org.project_at(""),
        format!("/api/projects/{}/", org.project),
        "/api/organizations/@current/roles/".into(),
        "/api/projects/@current/".into(),
        "/api/organizations/".into(),
    ];
    for path in &paths {
        setup_required(&org.owner.get(path));
        key.get(path).json(200);
    }
    setup_required(&org.owner.get("/api/personal_api_keys/"));
    setup_required(&org.owner.post("/api/personal_api_keys/", json!({"label": "x", "scopes": ["*"]})));
    org.owner.me();
    org.owner.get(&at("status")).json(200);
    server.anyone().get(&org.at("")).unauthenticated();
    let elsewhere = org.owner.logged_in();
    let secret = enroll(&server, &org.owner);
    for path in &paths {
        org.owner.get(path).json(200);
        elsewhere.get(path).unauthenticated();
    }
    let answer = token(&password_given(&org.owner), &code(&server, &secret));
    answer.json(200);
    org.owner.with_cookies_of(&answer).get(&org.at("")).json(200);
    org.owner.post("/api/logout/", json!({})).no_content();
}

#[test]
fn only_the_organization_that_demands_it_is_closed() {
    let server = Server::start();
    let org = server.org();
    let strict = server.org();
    let guest = org.owner.clone();
    guest.accept(&strict.token(&guest.email, 1));
    guest.get(&strict.at("")).json(200);
    enforce(&strict.owner, &strict.at(""));
    setup_required(&guest.get(&strict.at("")));
    guest.get(&org.at("")).json(200);
    guest.get(&org.project_at("")).json(200);
    // Making a key names no organization, and would be a way around.
    setup_required(&guest.post("/api/personal_api_keys/", json!({"label": "x", "scopes": ["*"]})));
    server.stranger().get(&strict.at("")).not_found();
    enroll(&server, &guest);
    guest.get(&strict.at("")).json(200);
}
