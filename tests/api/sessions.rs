//! Log-in, log-out, CSRF, and how long a session lives.

use std::time::Duration;

use orgd::config::Switch;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::support::{PASSWORD, Server, Shows};

const WRONG: &str = "Invalid email or password.";

fn credentials(email: &str, password: &str) -> Value {
    json!({"email": email, "password": password})
}

#[test]
fn a_log_in_opens_a_session_and_a_log_out_ends_it() {
    let server = Server::start();
    let owner = server.org().owner;
    let answer = owner.without().post("/api/login/", credentials(&owner.email.to_uppercase(), PASSWORD));
    assert_eq!(answer.json(200), json!({"success": true}));
    let session = owner.with_cookies_of(&answer);
    assert_eq!(session.me()["email"], json!(owner.email));
    session.post("/api/logout/", json!({})).no_content();
    session.get("/api/users/@me/").unauthenticated();
    session.post("/api/logout/", json!({})).unauthenticated();
    owner.me();
}

#[test]
fn posthog_s_own_way_out_leads_to_its_log_in_page() {
    let server = Server::start();
    let owner = server.org().owner;
    // Any page can send a browser there, so it ends nothing.
    let answer = owner.get("/logout");
    assert_eq!(
        (answer.status, answer.header("location").as_str(), answer.text().as_str()),
        (302, "/login", "")
    );
    assert!(!answer.headers.contains_key("set-cookie"));
    owner.send(Method::HEAD, "/logout", "", &[]);
    owner.me();
    let again = owner.logged_in();
    let without_token = match &again.shows {
        Shows::Session { id, .. } => format!("sessionid={id}"),
        _ => unreachable!("they have just logged in"),
    };
    let refused = again.without().send(Method::POST, "/logout", "", &[("cookie", &without_token)]);
    assert_eq!(refused.status, 403);
    again.me();
    assert_eq!(again.post("/logout", json!({})).status, 302);
    again.get("/api/users/@me/").unauthenticated();
}

#[test]
fn what_a_log_in_refuses() {
    let server = Server::start();
    let owner = server.org().owner;
    let post = |body: Value| server.anyone().post("/api/login/", body);
    post(json!({"password": "x"})).invalid("email", "required", "This field is required.");
    post(json!({"email": "a@example.com"})).invalid("password", "required", "This field is required.");
    post(credentials("nonsense", "x")).invalid("email", "invalid_input", "Enter a valid email address.");
    for (email, password) in [(owner.email.as_str(), "wrong"), ("nobody@example.com", PASSWORD), ("", "")] {
        let answer = post(credentials(email, password));
        if email.is_empty() {
            answer.invalid("email", "blank", "This field may not be blank.");
        } else {
            answer.invalid(None, "invalid_credentials", WRONG);
        }
    }
}

#[test]
fn unsafe_requests_by_session_repeat_the_token_of_the_cookie() {
    let server = Server::start();
    let org = server.org();
    let Shows::Session { id, csrf } = org.owner.shows.clone() else {
        unreachable!("the founder has a session")
    };
    let post = |cookie: &str, header: Option<&str>| {
        let mut headers = vec![("cookie", cookie), ("content-type", "application/json")];
        headers.extend(header.map(|token| ("x-csrftoken", token)));
        org.owner.without().send(Method::POST, "/api/organizations/", r#"{"name": "X"}"#, &headers)
    };
    let both = format!("sessionid={id}; posthog_csrftoken={csrf}");
    post(&format!("sessionid={id}"), None).denied("CSRF Failed: CSRF cookie not set.");
    post(&both, None).denied("CSRF Failed: CSRF token missing.");
    let other = "x".repeat(csrf.len());
    post(&both, Some(&other)).denied("CSRF Failed: CSRF token from the 'X-Csrftoken' HTTP header incorrect.");
    post(&both, Some("short"))
        .denied("CSRF Failed: CSRF token from the 'X-Csrftoken' HTTP header has incorrect length.");
    assert_eq!(org.owner.get("/api/organizations/").json(200)["count"], 1);
    post(&both, Some(&csrf)).json(201);
    let form = format!("name=Y&csrfmiddlewaretoken={csrf}");
    let headers = [("cookie", both.as_str()), ("content-type", "application/x-www-form-urlencoded")];
    org.owner.without().send(Method::POST, "/api/organizations/", form, &headers).json(201);
    org.owner.key(&["organization:write"]).post("/api/organizations/", json!({"name": "Z"})).json(201);
}

#[test]
fn an_unknown_session_is_nobody() {
    let server = Server::start();
    let mut owner = server.org().owner;
    owner.shows = Shows::Session { id: "x".repeat(40), csrf: "y".repeat(32) };
    owner.get("/api/users/@me/").unauthenticated();
    owner.post("/api/organizations/", json!({"name": "X"})).unauthenticated();
}

#[test]
fn a_session_ends_after_two_weeks() {
    let server = Server::start();
    let owner = server.org().owner;
    server.pass(Duration::from_secs(14 * 24 * 3600 - 60));
    owner.me();
    server.pass(Duration::from_secs(61));
    owner.get("/api/users/@me/").unauthenticated();
    owner.logged_in().me();
}

#[test]
fn logging_in_again_ends_the_session_of_the_same_browser() {
    let server = Server::start();
    let owner = server.org().owner;
    let answer = owner.post("/api/login/", credentials(&owner.email, PASSWORD));
    answer.json(200);
    owner.get("/api/users/@me/").unauthenticated();
    owner.with_cookies_of(&answer).me();
}

#[test]
fn thirty_failures_lock_an_address_out_for_ten_minutes() {
    let server = Server::with(|config| config.rate_limit = None);
    let owner = server.org().owner;
    let fail = || server.anyone().post("/api/login/", credentials(&owner.email, "wrong"));
    for _ in 0..30 {
        fail().invalid(None, "invalid_credentials", WRONG);
    }
    let locked = "Too many failed login attempts. Please try again in 10 minutes.";
    fail().refused(403, "authentication_error", "too_many_failed_attempts", locked, None);
    let right = server.anyone().post("/api/login/", credentials(&owner.email, PASSWORD));
    right.refused(403, "authentication_error", "too_many_failed_attempts", locked, None);
    owner.me();
    server.pass(Duration::from_secs(10 * 60));
    owner.logged_in();
}

#[test]
fn without_limits_nobody_is_locked_out() {
    let server = Server::with(|config| config.rate_limit = Some(Switch::Off));
    let owner = server.org().owner;
    for _ in 0..31 {
        let wrong = server.anyone().post("/api/login/", credentials(&owner.email, "wrong"));
        wrong.invalid(None, "invalid_credentials", WRONG);
    }
    owner.logged_in();
}
