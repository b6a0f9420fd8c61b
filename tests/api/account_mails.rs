//! What is mailed about changes of an account, and how such mails are made.

use serde_json::{Value, json};

use crate::support::letters::{Letter, SITE, with_mail};
use crate::support::smtp::{Manner, Smtp};
use crate::support::{PASSWORD, text};
use crate::two_factor::{at, enroll};

#[test]
fn every_change_of_what_opens_an_account_is_mailed() {
    let smtp = Smtp::start(Manner::Takes);
    let server = with_mail(&smtp);
    let owner = server.org().owner;
    let mut seen = Vec::new();
    let mut see = || {
        let letter = Letter::next(&smtp);
        assert_eq!(letter.to, owner.email);
        assert!(letter.text.contains("Hello Olive,") && letter.text.contains(" UTC from 127.0.0.1"));
        assert!(letter.text.contains("Auto-Submitted: auto-generated"), "{}", letter.text);
        assert!(letter.text.contains("Message-ID: <") && letter.text.contains(SITE), "{}", letter.text);
        seen.push(letter.subject.clone());
        letter
    };
    let made = owner.post("/api/personal_api_keys/", json!({"label": "ci", "scopes": ["*"]})).json(201);
    let letter = see();
    assert!(letter.text.contains("The key \"ci\""), "{}", letter.text);
    assert!(!letter.text.contains(&text(&made["value"])), "the key itself is not mailed");
    owner.patch("/api/users/@me/", json!({"password": PASSWORD, "current_password": PASSWORD})).json(200);
    see();
    enroll(&server, &owner);
    see();
    let codes = owner.post(&at("backup_codes"), json!({})).json(200);
    let password = json!({"email": owner.email, "password": PASSWORD});
    let waiting = owner.with_cookies_of(&owner.without().post("/api/login/", password));
    waiting.post("/api/login/token/", json!({"token": codes["backup_codes"][0]})).json(200);
    assert!(see().text.contains("9 recovery codes are left"));
    owner.post(&at("disable"), json!({"current_password": PASSWORD})).json(200);
    see();
    let wanted = [
        "An API key was made",
        "Your password was changed",
        "Two-factor authentication is on",
        "A recovery code was used",
        "Two-factor authentication is off",
    ];
    assert_eq!(seen, wanted);
    owner.patch("/api/users/@me/", json!({"first_name": "Ada"})).json(200);
    owner.post("/api/personal_api_keys/", json!({"label": "", "scopes": []})).json(400);
    assert_eq!(smtp.rest(), [], "nothing else is mailed");
}

#[test]
fn names_and_messages_are_no_links_and_no_markup() {
    let smtp = Smtp::start(Manner::Takes);
    let server = with_mail(&smtp);
    let org = server.org();
    let name = format!("<b>https://evil.example/{}", "x".repeat(30));
    org.owner.patch(&org.at(""), json!({"name": name})).json(200);
    let message = "Look at http://evil.example\nand <script>";
    let body = json!({"target_email": "a@example.com", "level": 8, "message": message});
    org.owner.post(&org.at("invites/"), body).json(201);
    let letter = Letter::next(&smtp);
    let (_, content) = letter.text.split_once("\n\n").expect("a head and a body");
    assert!(!content.contains("https://evil") && !content.contains("http://evil"), "{content}");
    assert!(!content.contains("evil.example"), "{content}");
    let (_, html) = content.split_once("<html>").expect("a part of HTML");
    assert!(!html.contains("<b>") && !html.contains("<script>"), "{html}");
    assert!(content.contains("as administrator") && content.contains("> and <script>"), "{content}");
    assert_eq!(content.matches(SITE).count(), 2, "one link, as text and as HTML: {content}");
}

#[test]
fn members_read_who_joined() {
    let smtp = Smtp::start(Manner::Takes);
    let server = with_mail(&smtp);
    let org = server.org();
    let quiet = json!({"target_email": "sam@example.com", "send_email": false});
    let invite: Value = org.owner.post(&org.at("invites/"), quiet).json(201);
    let token = org.token_of(&text(&invite["id"]));
    let body = json!({"first_name": "Sam", "last_name": "Roe", "password": PASSWORD});
    server.anyone().post(&format!("/api/signup/{token}/"), body).json(201);
    let letter = Letter::next(&smtp);
    assert_eq!((letter.to.as_str(), letter.subject.as_str()), (&*org.owner.email, "Sam joined Acme"));
    assert!(letter.text.contains("Sam Roe (sam@example."), "{}", letter.text);
    assert!(letter.text.contains("as member"), "{}", letter.text);
    letter.path("/settings/organization-members");
}
