//! Guessing passwords, codes and the set-up code: how much of it there can be, and whom it stops.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::mpsc;
use std::time::Duration;

use orgd::config::Switch;
use serde_json::{Value, json};

use crate::support::{Answer, Org, PASSWORD, Person, Server, post_from};

const WRONG: &str = "Invalid email or password.";
const LOCKED: &str = "Too many failed login attempts. Please try again in 10 minutes.";
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn server() -> Server {
    Server::with(|config| config.rate_limit = None)
}

fn log_in(server: &Server, email: &str, password: &str) -> Answer {
    server.anyone().post("/api/login/", json!({"email": email, "password": password}))
}

fn is_wrong(answer: &Answer) {
    answer.invalid(None, "invalid_credentials", WRONG);
}

fn is_locked(answer: &Answer) {
    answer.refused(403, "authentication_error", "too_many_failed_attempts", LOCKED, None);
}

#[test]
fn logging_in_oneself_forgives_nothing_that_was_guessed_of_others() {
    let server = server();
    let (victim, own) = (server.org().owner, server.org().owner);
    for _ in 0..10 {
        for _ in 0..3 {
            is_wrong(&log_in(&server, &victim.email, "wrong"));
        }
        log_in(&server, &own.email, PASSWORD).json(200);
    }
    is_locked(&log_in(&server, &victim.email, PASSWORD));
    // Nobody else at this address is stopped, known or not.
    log_in(&server, &own.email, PASSWORD).json(200);
    log_in(&server, &server.org().owner.email, PASSWORD).json(200);
    victim.me();
}

#[test]
fn guesses_at_once_are_no_more_than_guesses_in_turn() {
    let server = server();
    let victim = server.org().owner;
    let (sender, answers) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..60 {
            let (sender, server, victim) = (sender.clone(), &server, &victim);
            scope.spawn(move || {
                sender.send(log_in(server, &victim.email, "wrong").status).expect("it is heard")
            });
        }
    });
    drop(sender);
    // Others came too early (429, 503) or too late (403).
    let mut looked_at = answers.iter().filter(|status| *status == 400).count();
    assert!(looked_at <= 30, "{looked_at}");
    while log_in(&server, &victim.email, "wrong").status == 400 {
        looked_at += 1;
    }
    assert_eq!(looked_at, 30);
    is_locked(&log_in(&server, &victim.email, PASSWORD));
}

#[test]
fn accounts_that_nobody_has_are_locked_like_all_others() {
    let server = server();
    for _ in 0..30 {
        is_wrong(&log_in(&server, "nobody@example.com", "wrong"));
    }
    is_locked(&log_in(&server, "Nobody@Example.com", "wrong"));
    is_wrong(&log_in(&server, "somebody@example.com", "wrong"));
}

#[test]
fn the_current_password_is_guessed_from_the_same_count() {
    let server = server();
    let owner = server.org().owner;
    let change = |given: &str| {
        owner.patch(
            "/api/users/@me/",
            json!({"current_password": given, "password": "another-Long-passphrase-8"}),
        )
    };
    let incorrect = "Your current password is incorrect.";
    for number in 0..20 {
        // More than five changes a minute are refused for themselves.
        if number % 5 == 0 {
            server.pass(Duration::from_secs(60));
        }
        change("wrong").invalid("current_password", "incorrect_password", incorrect);
    }
    server.pass(Duration::from_secs(60));
    for _ in 0..10 {
        is_wrong(&log_in(&server, &owner.email, "wrong"));
    }
    let refused = change(PASSWORD);
    assert_eq!((refused.status, refused.value()["code"].clone()), (429, json!("throttled")));
    assert_eq!(refused.header("retry-after"), "600");
    is_locked(&log_in(&server, &owner.email, PASSWORD));
    server.pass(Duration::from_secs(10 * 60));
    log_in(&server, &owner.email, PASSWORD).json(200);
}

#[test]
fn the_password_before_a_change_of_the_second_factor_counts_as_well() {
    let server = server();
    let owner = server.org().owner;
    let start = |given: &str| {
        owner.post("/api/users/@me/two_factor_start_setup/", json!({"current_password": given}))
    };
    for _ in 0..30 {
        start("wrong").invalid(
            "current_password",
            "incorrect_password",
            "Your current password is incorrect.",
        );
    }
    assert_eq!(start(PASSWORD).status, 429);
    is_locked(&log_in(&server, &owner.email, PASSWORD));
}

#[test]
fn who_guesses_elsewhere_locks_nobody_out_here() {
    let server = server();
    let victim = server.org().owner;
    let credentials = |password: &str| json!({"email": victim.email, "password": password});
    for _ in 0..30 {
        assert_eq!(post_from(&server, [127, 0, 0, 2], "/api/login/", &credentials("wrong")).0, 400);
    }
    assert_eq!(post_from(&server, [127, 0, 0, 2], "/api/login/", &credentials(PASSWORD)).0, 403);
    log_in(&server, &victim.email, PASSWORD).json(200);
    // Many addresses together lock the account, but not where its owner has logged in before.
    for host in 3..10 {
        for _ in 0..10 {
            post_from(&server, [127, 0, 0, host], "/api/login/", &credentials("wrong"));
        }
    }
    let (status, body) = post_from(&server, [127, 0, 0, 99], "/api/login/", &credentials(PASSWORD));
    assert_eq!((status, body["code"].clone()), (403, json!("too_many_failed_attempts")));
    log_in(&server, &victim.email, PASSWORD).json(200);
    server.pass(Duration::from_secs(60));
    assert_eq!(post_from(&server, [127, 0, 0, 99], "/api/login/", &credentials(PASSWORD)).0, 200);
}

#[test]
fn waits_grow() {
    let server = server();
    let owner = server.org().owner;
    for _ in 0..30 {
        is_wrong(&log_in(&server, &owner.email, "wrong"));
    }
    server.pass(Duration::from_secs(10 * 60));
    for _ in 0..5 {
        is_wrong(&log_in(&server, &owner.email, "wrong"));
    }
    let longer = LOCKED.replace("10", "30");
    let answer = log_in(&server, &owner.email, PASSWORD);
    answer.refused(403, "authentication_error", "too_many_failed_attempts", &longer, None);
    server.pass(Duration::from_secs(10 * 60));
    assert_eq!(log_in(&server, &owner.email, PASSWORD).status, 403);
    server.pass(Duration::from_secs(20 * 60));
    log_in(&server, &owner.email, PASSWORD).json(200);
}

#[test]
fn the_set_up_code_can_be_guessed_thirty_times() {
    let server = Server::with(|config| {
        config.rate_limit = None;
        config.open_signup = false;
    });
    let body = json!({"first_name": "Ada", "email": "a@example.com", "password": PASSWORD});
    let sign_up = |code: &str| {
        let headers = [("content-type", "application/json"), ("x-setup-code", code), ("via", "1.1 proxy")];
        server.anyone().send(ureq::http::Method::POST, "/api/signup/", body.to_string(), &headers)
    };
    for _ in 0..30 {
        assert_eq!(sign_up("AAAAAAAAAA").status, 403);
    }
    let right = server.app.setup_code.clone();
    let refused = sign_up(&right);
    assert_eq!((refused.status, refused.header("retry-after").as_str()), (429, "600"));
    server.pass(Duration::from_secs(10 * 60));
    sign_up(&right).json(201);
}

/// The turns that hash passwords, all of them taken.
fn hold_all(server: &Server) -> Vec<orgd::turns::Turn> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts");
    (0..(cores / 2).max(1))
        .map(|_| runtime.block_on(server.app.hash_permits.take(HERE)).expect("nobody else is there"))
        .collect()
}

#[test]
fn the_line_for_hashing_is_bounded_and_others_find_a_place_in_it() {
    const PLACES: usize = 32;
    let server = Server::with(|config| config.rate_limit = Some(Switch::Off));
    let Org { owner, .. } = server.org();
    let held = hold_all(&server);
    let (sender, answers) = mpsc::channel();
    std::thread::scope(|scope| {
        let ask = |person: &Person, password: &str| {
            let (sender, person) = (sender.clone(), person.without());
            let body = json!({"email": person.email, "password": password});
            scope.spawn(move || {
                let answer = person.post("/api/login/", body);
                let retry =
                    answer.headers.get("retry-after").map(|value| value.to_str().expect("text").to_owned());
                sender.send((answer.status, retry)).expect("it is heard");
            });
        };
        for _ in 0..PLACES {
            ask(&owner, "wrong");
        }
        server.until("all places are taken", || server.app.hash_permits.waiting() == PLACES);
        ask(&owner, "wrong");
        let busy = (503, Some("1".to_owned()));
        assert_eq!(answers.recv().expect("an answer"), busy);
        // Somebody from elsewhere gets the place of one of those.
        let honest = scope.spawn({
            let credentials = json!({"email": owner.email, "password": PASSWORD});
            let server = &server;
            move || post_from(server, [127, 0, 0, 2], "/api/login/", &credentials)
        });
        assert_eq!(answers.recv().expect("an answer"), busy);
        assert_eq!(server.app.hash_permits.waiting(), PLACES);
        drop(held);
        assert_eq!(honest.join().expect("no panic"), (200, json!({"success": true})));
        for _ in 0..PLACES - 1 {
            assert_eq!(answers.recv().expect("an answer"), (400, None));
        }
    });
    let body: Value = log_in(&server, &owner.email, PASSWORD).json(200);
    assert_eq!(body, json!({"success": true}));
}

#[test]
fn a_session_or_account_that_ended_while_it_waited_opens_nothing() {
    const OTHER: &str = "another-Long-passphrase-8";
    let server = server();
    let (owner, other) = (server.org().owner, server.org().owner);
    let thief = owner.logged_in();
    let held = hold_all(&server);
    std::thread::scope(|scope| {
        let change = json!({"current_password": PASSWORD, "password": OTHER});
        let stolen = scope.spawn(move || thief.patch("/api/users/@me/", change));
        let late = scope.spawn(|| log_in(&server, &other.email, PASSWORD));
        server.until("both wait", || server.app.hash_permits.waiting() == 2);
        owner.post("/api/users/@me/login_sessions/revoke_others/", json!({})).json(200);
        let freeing = orgd::admin::free_address(&server.app, other.email.clone(), true);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts");
        runtime.block_on(freeing).expect("an account has the address");
        drop(held);
        stolen.join().expect("no panic").unauthenticated();
        is_wrong(&late.join().expect("no panic"));
    });
    owner.get("/api/users/@me/").json(200);
    log_in(&server, &owner.email, PASSWORD).json(200);
    is_wrong(&log_in(&server, &owner.email, OTHER));
}

#[test]
fn who_tries_out_which_addresses_have_accounts_has_few_tries() {
    let server = server();
    let owner = server.org().owner;
    let sign_up = |email: &str, password: &str| {
        let body = json!({"first_name": "x", "email": email, "password": password});
        server.anyone().post("/api/signup/", body)
    };
    // A weak password says nothing of the address.
    for email in [owner.email.as_str(), "nobody@example.com"] {
        assert_eq!(sign_up(email, "x").json(400)["code"], "password_too_short");
    }
    for _ in 0..30 {
        assert_eq!(sign_up(&owner.email, PASSWORD).json(400)["code"], "unique");
    }
    for email in [owner.email.as_str(), "nobody@example.com"] {
        assert_eq!(sign_up(email, PASSWORD).status, 429);
    }
    server.pass(Duration::from_secs(10 * 60));
    sign_up("nobody@example.com", PASSWORD).json(201);
}

#[test]
fn codes_that_set_a_second_factor_up_are_guesses_as_well() {
    let server = server();
    let owner = server.org().owner;
    let validate = || owner.post("/api/users/@me/two_factor_validate/", json!({"token": "000000"}));
    let tries: Vec<u16> = (0..40).map(|_| validate().status).collect();
    assert!(tries.starts_with(&[400; 10]) && tries.ends_with(&[429; 10]), "{tries:?}");
}
