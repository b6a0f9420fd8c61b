//! How often strangers and users may ask for links, change passwords, sign up and look before they do.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::smtp::{Manner, Smtp};
use crate::support::{Answer, PASSWORD, Server};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MINUTE: Duration = Duration::from_secs(60);

fn limited(smtp: Option<&Smtp>) -> Server {
    let url = smtp.map(Smtp::url);
    Server::with(|config| {
        config.rate_limit = None;
        config.smtp_url = url;
        config.site_url = Some("https://org.example".into());
    })
}

/// So many pass, the next one is refused with the wait, and after the window one passes again.
fn meets(server: &Server, max: usize, window: Duration, status: u16, call: impl Fn() -> Answer) {
    for number in 0..max {
        let answer = call();
        assert_eq!(answer.status, status, "number {number}: {}", answer.text());
    }
    let refused = call();
    let value: Value = refused.json(429);
    assert_eq!((&value["type"], &value["code"]), (&json!("throttled_error"), &json!("throttled")));
    let seconds: u64 = refused.header("retry-after").parse().expect("a number");
    assert!(seconds > 0 && seconds <= window.as_secs(), "{seconds}");
    assert_eq!(value["detail"], format!("Request was throttled. Expected available in {seconds} seconds."));
    server.pass(window);
    assert_eq!(call().status, status);
}

#[test]
fn six_links_to_a_password_a_day_for_each_address_whether_anybody_has_it_or_not() {
    let smtp = Smtp::start(Manner::Takes);
    let server = limited(Some(&smtp));
    let owner = server.org().owner;
    for email in ["nobody@example.com", &owner.email] {
        let upper = email.to_uppercase();
        let ask = |email: &str| server.anyone().post("/api/reset/", json!({"email": email}));
        meets(&server, 6, DAY, 204, || ask(email));
        for _ in 0..5 {
            ask(&upper).no_content();
        }
        assert_eq!(ask(email).status, 429, "the case makes no other address");
    }
}

#[test]
fn six_links_to_an_address_a_day_for_each_user() {
    let smtp = Smtp::start(Manner::Takes);
    let server = limited(Some(&smtp));
    let owner = server.org().owner;
    for user in ["0190f0e0-0000-7000-8000-000000000000", &owner.uuid] {
        let body = json!({"uuid": user});
        meets(&server, 6, DAY, 200, || {
            server.anyone().post("/api/users/request_email_verification/", body.clone())
        });
    }
}

#[test]
fn five_new_passwords_a_minute() {
    let server = limited(None);
    let owner = server.org().owner;
    let body = json!({"password": PASSWORD, "current_password": PASSWORD});
    meets(&server, 5, MINUTE, 200, || owner.patch("/api/users/@me/", body.clone()));
    owner.patch("/api/users/@me/", json!({"first_name": "Ada"})).json(200);
}

#[test]
fn five_open_sign_ups_a_day_for_each_network() {
    let server = limited(None);
    server.org();
    meets(&server, 5, DAY, 201, || {
        let email = server.somebody("new").email;
        let body = json!({"first_name": "Ada", "email": email, "password": PASSWORD});
        server.anyone().post("/api/signup/", body)
    });
}

#[test]
fn thirty_prechecks_a_minute_which_say_little() {
    let server = limited(None);
    let owner = server.org().owner;
    let ask = |path: &str, email: &str| server.anyone().post(path, json!({"email": email}));
    for email in ["nobody@example.com", &owner.email] {
        let login = json!({"sso_enforcement": null, "saml_available": false, "webauthn_credentials": []});
        assert_eq!(ask("/api/login/precheck/", email).json(200), login);
        let signup = json!({"email_exists": *email == owner.email, "pending_invite": null});
        assert_eq!(ask("/api/signup/precheck", email).json(200), signup);
    }
    server.pass(MINUTE);
    meets(&server, 30, MINUTE, 200, || ask("/api/signup/precheck", "a@example.com"));
    ask("/api/login/precheck/", "nonsense").invalid("email", "invalid_input", "Enter a valid email address.");

    let closed = Server::with(|config| config.open_signup = false);
    let org = closed.org();
    org.invite("invited@example.com", 1);
    for email in ["invited@example.com", &org.owner.email] {
        let answer = closed.anyone().post("/api/signup/precheck", json!({"email": email}));
        assert_eq!(answer.json(200), json!({"email_exists": false, "pending_invite": null}));
    }
}

#[test]
fn without_limits_nothing_is_counted() {
    let server = Server::start();
    for _ in 0..40 {
        server.anyone().post("/api/login/precheck/", json!({"email": "a@example.com"})).json(200);
    }
}
