//! A user's own log-ins: seeing them, ending them, and how long they last unused.

use std::time::Duration;

use orgd::config::Config;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::support::{PASSWORD, Person, Server, text};

const AT: &str = "/api/users/@me/login_sessions/";
const FIREFOX: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:120.0) Gecko/20100101 Firefox/120.0";

fn logged_in_with(person: &Person, user_agent: &str) -> Person {
    let body = json!({"email": person.email, "password": PASSWORD}).to_string();
    let headers = [("content-type", "application/json"), ("user-agent", user_agent)];
    let answer = person.without().send(Method::POST, "/api/login/", body, &headers);
    answer.json(200);
    person.with_cookies_of(&answer)
}

fn list(person: &Person) -> Vec<Value> {
    person.get(AT).json(200).as_array().expect("a bare array").clone()
}

fn id_of(person: &Person) -> String {
    let all = list(person);
    text(&all.iter().find(|session| session["is_current"] == true).expect("the current one")["id"])
}

#[test]
fn everybody_sees_their_own_sessions_newest_first() {
    let server = Server::start();
    let (owner, other) = (server.org().owner, server.org().owner);
    server.pass(Duration::from_secs(60));
    let browser = logged_in_with(&owner, FIREFOX);
    let all = list(&browser);
    let keys: Vec<&String> = all[0].as_object().expect("an object").keys().collect();
    assert_eq!(
        keys,
        ["id", "created_at", "last_activity", "location", "device", "login_method", "is_current"]
    );
    let shown: Vec<_> = all
        .iter()
        .map(|one| {
            (
                text(&one["device"]),
                text(&one["location"]),
                text(&one["login_method"]),
                one["is_current"] == true,
            )
        })
        .collect();
    let of = |device: &str, method: &str, is_current| {
        (device.to_owned(), "127.0.0.1".to_owned(), method.to_owned(), is_current)
    };
    assert_eq!(shown[0], of("Firefox 120 on Windows", "password", true));
    assert_eq!((shown.len(), &shown[1].2, shown[1].3), (2, &"signup".to_owned(), false));
    assert_eq!(all[0]["created_at"], all[0]["last_activity"]);
    assert!(text(&all[0]["created_at"]) > text(&all[1]["created_at"]));
    assert_eq!(list(&other).len(), 1);
    let raw = browser.get(AT).text();
    for person in [&owner, &browser] {
        let crate::support::Shows::Session { id, .. } = &person.shows else {
            unreachable!("both have sessions")
        };
        assert!(!raw.contains(id), "no token is shown");
    }
}

#[test]
fn one_session_is_ended_and_no_other() {
    let server = Server::start();
    let (owner, other) = (server.org().owner, server.org().owner);
    let (here, there) = (owner.logged_in(), owner.logged_in());
    let there_id = id_of(&there);
    for unknown in [id_of(&other), "0190f0e0-0000-7000-8000-000000000000".into(), "nonsense".into()] {
        here.delete(&format!("{AT}{unknown}/")).not_found();
    }
    here.delete(&format!("{AT}{there_id}/")).no_content();
    there.get("/api/users/@me/").unauthenticated();
    here.delete(&format!("{AT}{there_id}/")).not_found();
    assert_eq!((list(&here).len(), list(&other).len()), (2, 1));
    owner.me();
    // The own one ends as by log-out.
    let ended = here.delete(&format!("{AT}{}/", id_of(&here)));
    ended.no_content();
    assert_eq!(ended.cookie("sessionid"), "");
    here.get("/api/users/@me/").unauthenticated();
    assert_eq!(list(&owner).len(), 1);
}

#[test]
fn all_others_are_ended_at_once() {
    let server = Server::start();
    let (owner, other) = (server.org().owner, server.org().owner);
    let (here, there) = (owner.logged_in(), owner.logged_in());
    assert_eq!(here.post(&format!("{AT}revoke_others/"), json!({})).json(200), json!({"revoked_count": 2}));
    there.get("/api/users/@me/").unauthenticated();
    owner.get("/api/users/@me/").unauthenticated();
    assert_eq!(here.post(&format!("{AT}revoke_others/"), json!({})).json(200), json!({"revoked_count": 0}));
    assert_eq!(list(&here).len(), 1);
    other.me();
}

#[test]
fn keys_and_strangers_see_none_and_ending_takes_a_recent_log_in() {
    let server = Server::start();
    let (owner, other) = (server.org().owner, server.org().owner);
    let key = owner.key(&["*"]);
    let foreign = format!("/api/users/{}/login_sessions/", other.uuid);
    let detail = "As a non-staff user you're only allowed to access the `@me` user instance.";
    let id = id_of(&other);
    for path in [AT.to_owned(), format!("{AT}revoke_others/"), format!("{AT}{id}/")] {
        let method = if path == AT {
            "GET"
        } else if path.contains("revoke") {
            "POST"
        } else {
            "DELETE"
        };
        key.call(method, &path, &json!({})).unauthenticated();
        server.anyone().call(method, &path, &json!({})).unauthenticated();
        owner.call(method, &path.replace(AT, &foreign), &json!({})).denied(detail);
    }
    let own = id_of(&owner);
    server.pass(Duration::from_secs(6 * 60 * 60));
    let stale = "This action requires you to be recently authenticated.";
    owner.post(&format!("{AT}revoke_others/"), json!({})).denied(stale);
    owner.delete(&format!("{AT}{own}/")).denied(stale);
    assert_eq!(list(&owner).len(), 1);
    other.me();
}

#[test]
fn a_session_that_nobody_uses_ends_and_use_keeps_it() {
    let server = Server::with(|config| config.session_idle_seconds = 3600);
    let owner = server.org().owner;
    let idle = owner.logged_in();
    let began = list(&owner)[1]["last_activity"].clone();
    server.pass(Duration::from_secs(3000));
    let used = || {
        let all = list(&owner);
        all.into_iter().find(|session| session["is_current"] == true).expect("it lives")["last_activity"]
            .clone()
    };
    server.until("the use was written down", || text(&used()) > text(&began));
    server.pass(Duration::from_secs(601));
    owner.me();
    idle.get("/api/users/@me/").unauthenticated();
    assert_eq!(list(&owner).len(), 1, "what has ended is not shown");
    server.pass(Duration::from_secs(3600));
    owner.get("/api/users/@me/").unauthenticated();
    owner.logged_in().me();
}

#[test]
fn by_default_a_session_may_rest_for_three_days() {
    let default = Config::from_env().expect("the environment holds no odd settings");
    let server = Server::with(|config| config.session_idle_seconds = default.session_idle_seconds);
    let owner = server.org().owner;
    let other = owner.logged_in();
    server.pass(Duration::from_secs(3 * 24 * 3600 - 60));
    owner.me();
    server.pass(Duration::from_secs(61));
    other.get("/api/users/@me/").unauthenticated();
}

#[test]
fn the_operator_ends_all_sessions_of_one_user() {
    let server = Server::start();
    let (owner, other) = (server.org().owner, server.org().owner);
    let again = owner.logged_in();
    let key = owner.key(&["*"]);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts");
    let end = |email: &str| runtime.block_on(orgd::admin::end_sessions(&server.app, email.to_owned()));
    assert!(end("nobody@example.com").is_err());
    owner.me();
    end(&owner.email.to_uppercase()).expect("the user is known");
    owner.get("/api/users/@me/").unauthenticated();
    again.get("/api/users/@me/").unauthenticated();
    key.me();
    other.me();
}

#[test]
fn a_user_has_so_many_sessions_and_the_oldest_make_way() {
    let server = Server::start();
    let owner = server.org().owner;
    let first = owner.logged_in();
    for _ in 0..orgd::config::SESSIONS_MAX {
        let body = json!({"email": owner.email, "password": PASSWORD});
        server.anyone().post("/api/login/", body).json(200);
    }
    first.get("/api/users/@me/").unauthenticated();
    assert_eq!(list(&owner.logged_in()).len(), orgd::config::SESSIONS_MAX);
}
