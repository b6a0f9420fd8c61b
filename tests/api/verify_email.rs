//! Addresses: confirming one's own, and changing it, where mail works and where it does not.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::letters::{Letter, log_in, with_mail};
use crate::support::smtp::{Manner, Smtp};
use crate::support::{Answer, Org, PASSWORD, Person, Server};

const ME: &str = "/api/users/@me/";
const FRONT: &str = "/verify_email/";
const CANCEL: &str = "/api/users/cancel_email_change_request/";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn verify(server: &Server, (user, token): &(String, String)) -> Answer {
    server.anyone().post("/api/users/verify_email/", json!({"uuid": user, "token": token}))
}

fn send_again(server: &Server, person: &Person) -> Answer {
    server.anyone().post("/api/users/request_email_verification/", json!({"uuid": person.uuid}))
}

fn is_bad(answer: &Answer) {
    answer.invalid("token", "invalid_token", "This verification token is invalid or has expired.");
}

fn not_verified(answer: &Answer) {
    let detail = "Your account is awaiting verification. Please check your email for a verification link.";
    answer.invalid(None, "not_verified", detail);
}

/// What the user's record says of their address.
fn state(person: &Person) -> (Value, Value, Value) {
    let me = person.me();
    (me["email"].clone(), me["pending_email"].clone(), me["is_email_verified"].clone())
}

/// The next mail, which must be for this address and of this subject.
#[track_caller]
fn mailed(smtp: &Smtp, to: &str, subject: &str) -> Letter {
    let letter = Letter::next(smtp);
    assert_eq!((letter.to.as_str(), letter.subject.as_str()), (to, subject), "{}", letter.text);
    letter
}

const CONFIRM: &str = "Confirm your e-mail address";

/// A server with its first user, and somebody who has signed up after them, with the link that they were sent.
fn newcomer(smtp: &Smtp) -> (Server, Org, (String, String)) {
    let server = with_mail(smtp);
    server.org();
    let org = Org::sign_up(&server, server.somebody("new"), "New");
    let link = mailed(smtp, &org.owner.email, CONFIRM).user_and_token(FRONT);
    (server, org, link)
}

#[test]
fn whoever_signs_up_openly_confirms_their_address_before_the_next_log_in() {
    let smtp = Smtp::start(Manner::Takes);
    let (server, org, first) = newcomer(&smtp);
    let new = &org.owner;
    assert_eq!(first.0, new.uuid);
    assert_eq!(state(new), (json!(new.email), json!(null), json!(false)));
    log_in(new, "wrong").invalid(None, "invalid_credentials", "Invalid email or password.");
    not_verified(&log_in(new, PASSWORD));
    let link = mailed(&smtp, &new.email, CONFIRM).user_and_token(FRONT);
    is_bad(&verify(&server, &first));
    let answer = verify(&server, &link);
    assert_eq!(answer.json(200), json!({"success": true, "token": link.1}));
    let here = new.with_cookies_of(&answer);
    assert_eq!(state(&here), (json!(new.email), json!(null), json!(true)));
    let seen = here.get(&org.at("members/")).results();
    assert_eq!(seen[0]["user"]["is_email_verified"], json!(true));
    is_bad(&verify(&server, &link));
    log_in(new, PASSWORD).json(200);
    send_again(&server, new).json(200);
    assert_eq!(smtp.rest(), [], "nothing is left to confirm");
    let entries = here.get(&org.at("advanced_activity_logs/")).results();
    let verified = |entry: &&Value| entry["detail"]["changes"][0]["field"] == "is_email_verified";
    assert_eq!(entries.iter().filter(verified).count(), 1, "{entries:?}");
}

#[test]
fn a_link_lasts_three_days() {
    let smtp = Smtp::start(Manner::Takes);
    let (server, org, link) = newcomer(&smtp);
    server.pass(3 * DAY);
    is_bad(&verify(&server, &link));
    assert_eq!(send_again(&server, &org.owner).json(200), json!({"success": true}));
    let newer = mailed(&smtp, &org.owner.email, CONFIRM).user_and_token(FRONT);
    server.pass(3 * DAY - Duration::from_secs(30));
    verify(&server, &newer).json(200);
}

#[test]
fn whoever_is_vouched_for_is_not_asked() {
    let smtp = Smtp::start(Manner::Takes);
    let server = with_mail(&smtp);
    let org = server.org();
    org.owner.patch(&org.at(""), json!({"is_member_join_email_enabled": false})).json(200);
    assert_eq!(state(&org.owner).2, json!(null), "the first user of all");
    let person = server.somebody("member");
    let invite = json!({"target_email": person.email, "send_email": false});
    let invite = org.owner.post(&org.at("invites/"), invite).json(201);
    let member = person.accept(&org.token_of(invite["id"].as_str().expect("an id")));
    assert_eq!(state(&member).2, json!(null));
    for person in [&org.owner, &member] {
        log_in(person, PASSWORD).json(200);
        send_again(&server, person).json(200);
    }
    assert_eq!(smtp.rest(), []);
}

#[test]
fn without_a_mail_server_nobody_is_asked_and_an_address_changes_at_once() {
    let server = Server::start();
    let owner = server.org().owner;
    let detail = "Cannot verify email address because email is not configured for your instance. Please contact your administrator.";
    send_again(&server, &owner).invalid(None, "email_not_available", detail);
    let body = json!({"email": "other@example.com", "current_password": PASSWORD});
    owner.patch(ME, body).json(200);
    assert_eq!(state(&owner), (json!("other@example.com"), json!(null), json!(null)));
    owner.patch(CANCEL, json!({})).invalid(
        None,
        "email_change_request_not_found",
        "No active email change requests found.",
    );
}

/// Asks for another address, and gives the link that confirms it.
fn wish(smtp: &Smtp, owner: &Person, email: &str) -> (String, String) {
    let me = owner.patch(ME, json!({"email": email, "current_password": PASSWORD})).json(200);
    assert_eq!((&me["email"], &me["pending_email"]), (&json!(owner.email), &json!(email)));
    let link = mailed(smtp, email, CONFIRM).user_and_token(FRONT);
    let notice = mailed(smtp, &owner.email, "Your e-mail address is being changed");
    assert!(!notice.text.contains(email), "the new address is masked: {}", notice.text);
    link
}

#[test]
fn another_address_counts_once_it_is_confirmed() {
    let smtp = Smtp::start(Manner::Takes);
    let server = with_mail(&smtp);
    let owner = server.org().owner;
    let new = Person::unknown(&server, "next@example.com".into());
    let first = wish(&smtp, &owner, "typo@example.com");
    let link = wish(&smtp, &owner, &new.email);
    is_bad(&verify(&server, &first));
    log_in(&new, PASSWORD).invalid(None, "invalid_credentials", "Invalid email or password.");
    verify(&server, &link).json(200);
    assert_eq!(state(&owner), (json!(new.email), json!(null), json!(true)));
    for to in [&owner.email, &new.email] {
        mailed(&smtp, to, "Your e-mail address was changed");
    }
    is_bad(&verify(&server, &link));
    log_in(&owner, PASSWORD).invalid(None, "invalid_credentials", "Invalid email or password.");
    log_in(&new, PASSWORD).json(200);
    assert_eq!(smtp.rest(), []);
}

#[test]
fn a_wish_is_given_up_ends_with_a_log_in_and_may_come_too_late() {
    let smtp = Smtp::start(Manner::Takes);
    let server = with_mail(&smtp);
    let owner = server.org().owner;
    let cancelled = wish(&smtp, &owner, "a@example.com");
    assert_eq!(owner.patch(CANCEL, json!({})).json(200)["pending_email"], json!(null));
    is_bad(&verify(&server, &cancelled));
    owner.patch(CANCEL, json!({})).json(400);
    server.anyone().patch(CANCEL, json!({})).unauthenticated();

    let before_log_in = wish(&smtp, &owner, "b@example.com");
    let here = owner.logged_in();
    is_bad(&verify(&server, &before_log_in));
    send_again(&server, &here).json(200);
    let link = mailed(&smtp, "b@example.com", CONFIRM).user_and_token(FRONT);
    let other = Org::sign_up(&server, Person::unknown(&server, "b@example.com".into()), "Other");
    mailed(&smtp, "b@example.com", CONFIRM);
    verify(&server, &link).invalid("email", "unique", "There is already an account with this email address.");
    assert_eq!(state(&here).0, json!(owner.email));
    other.owner.me();
    let taken = json!({"email": other.owner.email, "current_password": PASSWORD});
    here.patch(ME, taken).invalid("email", "unique", "There is already an account with this email address.");
}

#[test]
fn a_link_must_name_its_user_and_hold_its_token() {
    let smtp = Smtp::start(Manner::Takes);
    let (server, org, link) = newcomer(&smtp);
    let post = |body: Value| server.anyone().post("/api/users/verify_email/", body);
    post(json!({"uuid": link.0})).invalid("token", "required", "This field is required.");
    post(json!({"token": link.1})).invalid("uuid", "required", "This field is required.");
    for user in ["0190f0e0-0000-7000-8000-000000000000", &server.stranger().uuid] {
        is_bad(&verify(&server, &(user.to_owned(), link.1.clone())));
    }
    is_bad(&verify(&server, &(link.0, "x".repeat(43))));
    assert_eq!(state(&org.owner).2, json!(false));
}
