//! A forgotten password: the link by mail, what ends it, and what nobody learns from it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::letters::{Letter, SITE, log_in, with_mail};
use crate::support::smtp::{Manner, Smtp};
use crate::support::{Answer, PASSWORD, Person, Server, text};
use crate::two_factor::enroll;

const OTHER: &str = "another-Long-passphrase-8";
const HOUR: Duration = Duration::from_secs(60 * 60);

fn ask(server: &Server, email: &str) -> Answer {
    server.anyone().post("/api/reset/", json!({"email": email}))
}

/// A link to a new password of this person, as it was mailed.
fn link(server: &Server, smtp: &Smtp, person: &Person) -> (String, String) {
    ask(server, &person.email).no_content();
    let letter = Letter::next(smtp);
    assert_eq!((letter.to.as_str(), letter.subject.as_str()), (&*person.email, "Reset your password"));
    letter.user_and_token("/reset/")
}

fn look(server: &Server, (user, token): &(String, String)) -> Answer {
    server.anyone().get(&format!("/api/reset/{user}/?token={token}"))
}

fn choose(server: &Server, (user, token): &(String, String), password: &str) -> Answer {
    let body = json!({"token": token, "password": password});
    server.anyone().post(&format!("/api/reset/{user}/"), body)
}

fn is_bad(answer: &Answer) {
    answer.invalid("token", "invalid_token", "This reset token is invalid or has expired.");
}

#[test]
fn a_link_by_mail_gives_a_new_password_once_and_ends_all_sessions() {
    let smtp = Smtp::start(Manner::Takes);
    let server = with_mail(&smtp);
    let org = server.org();
    let owner = &org.owner;
    let second = owner.logged_in();
    let link = link(&server, &smtp, owner);
    assert_eq!((link.0.as_str(), link.1.len()), (&*owner.uuid, 43), "32 bytes in base 64");
    for (table, _, record) in server.all_rows() {
        let holds = record.windows(link.1.len()).any(|part| part == link.1.as_bytes());
        assert!(!holds, "{table} holds the token");
    }
    let before = server.rows();
    look(&server, &link).no_content();
    choose(&server, &link, "short").json(400);
    assert!(server.rows() == before, "nothing has changed yet");
    owner.me();
    let done = choose(&server, &link, OTHER);
    assert_eq!(done.json(200), json!({"success": true, "email": owner.email}));
    assert!(done.headers("set-cookie").is_empty(), "nobody is logged in by it");
    for session in [owner, &second] {
        session.get("/api/users/@me/").unauthenticated();
    }
    let changed = Letter::next(&smtp);
    assert_eq!((changed.to.as_str(), changed.subject.as_str()), (&*owner.email, "Your password was changed"));
    assert!(changed.text.contains("127.0.0.1") && changed.path("/reset") == "/reset", "{}", changed.text);
    is_bad(&look(&server, &link));
    is_bad(&choose(&server, &link, OTHER));
    log_in(owner, PASSWORD).invalid(None, "invalid_credentials", "Invalid email or password.");
    let answer = log_in(owner, OTHER);
    answer.json(200);
    let entries = owner.with_cookies_of(&answer).get(&org.at("advanced_activity_logs/")).results();
    let said: Vec<(Value, Value, Value)> = entries
        .iter()
        .map(|entry| {
            let changes = &entry["detail"]["changes"][0];
            (entry["activity"].clone(), changes["field"].clone(), entry["user"]["uuid"].clone())
        })
        .collect();
    assert!(said.contains(&(json!("updated"), json!("password"), json!(owner.uuid))), "{said:?}");
    assert!(!json!(entries).to_string().contains("argon2"));
}

#[test]
fn a_link_ends_after_an_hour_with_a_newer_one_and_with_another_password_or_address() {
    let smtp = Smtp::start(Manner::Takes);
    let server = with_mail(&smtp);
    let owner = server.org().owner;
    let first = link(&server, &smtp, &owner);
    let newer = link(&server, &smtp, &owner);
    is_bad(&look(&server, &first));
    server.pass(HOUR - Duration::from_secs(30));
    look(&server, &newer).no_content();
    server.pass(Duration::from_secs(30));
    is_bad(&look(&server, &newer));
    is_bad(&choose(&server, &newer, OTHER));

    let link_to_password = link(&server, &smtp, &owner);
    owner.patch("/api/users/@me/", json!({"password": OTHER, "current_password": PASSWORD})).json(200);
    assert_eq!(Letter::next(&smtp).subject, "Your password was changed");
    is_bad(&look(&server, &link_to_password));

    let link_to_address = link(&server, &smtp, &owner);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts");
    let freed = orgd::admin::free_address(&server.app, owner.email.clone(), true);
    runtime.block_on(freed).expect("the address is in use");
    is_bad(&look(&server, &link_to_address));
}

#[test]
fn nobody_learns_which_addresses_have_accounts() {
    let smtp = Smtp::start(Manner::Takes);
    let server = with_mail(&smtp);
    let owner = server.org().owner;
    for email in ["nobody@example.com", &owner.email.to_uppercase()] {
        let answer = ask(&server, email);
        answer.no_content();
        assert_eq!(answer.text(), "");
    }
    let letter = Letter::next(&smtp);
    assert_eq!((letter.to, letter.subject.as_str()), (owner.email.clone(), "Reset your password"));
    assert_eq!(smtp.rest(), [], "nobody else gets a mail");
    ask(&server, "nonsense").invalid("email", "invalid_input", "Enter a valid email address.");
    server.anyone().post("/api/reset/", json!({})).invalid("email", "required", "This field is required.");
    let (_, token) = link(&server, &smtp, &owner);
    for user in ["0190f0e0-0000-7000-8000-000000000000", "nonsense", "@me"] {
        is_bad(&look(&server, &(user.to_owned(), token.clone())));
        is_bad(&choose(&server, &(user.to_owned(), token.clone()), OTHER));
    }
    let path = format!("/api/reset/{}/", owner.uuid);
    server.anyone().get(&path).invalid("token", "required", "This field is required.");
    is_bad(&look(&server, &(owner.uuid.clone(), "x".repeat(43))));
    owner.me();
}

#[test]
fn without_a_mail_server_there_is_no_link_by_mail() {
    let server = Server::start();
    let owner = server.org().owner;
    let detail = "Cannot reset passwords because email is not configured for your instance. Please contact your administrator.";
    for email in [owner.email.as_str(), "nobody@example.com"] {
        ask(&server, email).invalid(None, "email_not_available", detail);
    }
}

#[test]
fn the_second_factor_stays_on() {
    let smtp = Smtp::start(Manner::Takes);
    let server = with_mail(&smtp);
    let owner = server.org().owner;
    enroll(&server, &owner);
    assert_eq!(Letter::next(&smtp).subject, "Two-factor authentication is on");
    let link = link(&server, &smtp, &owner);
    choose(&server, &link, OTHER).json(200);
    log_in(&owner, OTHER).refused(401, "server_error", "2fa_required", "2FA is required.", None);
}

#[test]
fn while_the_mail_waits_its_link_holds_no_token() {
    let smtp = Smtp::start(Manner::Answers(451));
    let server = with_mail(&smtp);
    let owner = server.org().owner;
    ask(&server, &owner.email).no_content();
    let far = server.app.clock.now().plus_seconds(1_000_000_000);
    let mails =
        || server.app.store.read(|tx| orgd::resources::outbox::due(tx, far, 10)).expect("the outbox").0;
    server.until("the mail waits", || !mails().is_empty());
    let (id, mail) = mails().remove(0);
    let stored = format!("{SITE}/reset/{}/{id}", owner.uuid);
    assert!(mail.text.contains(&stored) && mail.html.contains(&stored), "{}", mail.text);
    is_bad(&look(&server, &(owner.uuid.clone(), id.to_string())));
    let waiting = || server.app.store.read(orgd::resources::outbox::waiting).expect("the outbox");
    server.until("a try has failed", || waiting()[0].last_error.is_some());
    let mail = &waiting()[0];
    let cause = mail.last_error.clone().expect("it failed");
    assert!(cause.contains("451") && mail.tries > 0 && mail.next_try_at > mail.queued_at, "{cause}");
    assert_eq!((mail.to.as_str(), mail.subject.as_str()), (&*owner.email, "Reset your password"));
}

#[test]
fn the_operator_makes_a_link_without_mail() {
    let server = Server::start();
    let org = server.org();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts");
    let make = |email: &str| runtime.block_on(orgd::admin::reset_link(&server.app, email.to_owned()));
    assert!(make("nobody@example.com").is_err());
    let made = make(&org.owner.email).expect("the user is known");
    let (_, path) = made.split_once("/reset/").expect("a link");
    let (user, token) = path.split_once('/').expect("a user and a token");
    let link = (user.to_owned(), token.to_owned());
    choose(&server, &link, OTHER).json(200);
    is_bad(&choose(&server, &link, OTHER));
    let answer = log_in(&org.owner, OTHER);
    answer.json(200);
    let entries = org.owner.with_cookies_of(&answer).get(&org.at("advanced_activity_logs/")).results();
    let activities: Vec<String> = entries.iter().map(|entry| text(&entry["activity"])).collect();
    assert!(activities.contains(&"reset_link_made".to_owned()), "{activities:?}");
}
