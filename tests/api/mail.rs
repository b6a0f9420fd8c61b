//! Mails: what they say, when they go, and what happens when the mail server does not take them.

use std::net::TcpListener;
use std::time::Duration;

use orgd::resources::outbox;
use serde_json::{Value, json};

use crate::support::smtp::{Manner, Seen, Smtp};
use crate::support::{Org, PASSWORD, Person, Server, text};

fn with_mail(smtp: &Smtp) -> Server {
    let url = smtp.url();
    Server::with(move |config| {
        config.smtp_url = Some(url);
        config.site_url = Some("https://org.example/".into());
        config.mail_from = "Org <org@org.example>".into();
    })
}

fn invite(org: &Org, body: Value) -> Value {
    org.owner.post(&org.at("invites/"), body).json(201)
}

/// Lets the time of the next try come.
fn later(server: &Server) {
    server.pass(Duration::from_secs(3600));
}

/// How many mails wait.
fn waiting(server: &Server) -> usize {
    let far = server.app.clock.now().plus_seconds(1_000_000_000);
    server.app.store.read(|tx| outbox::due(tx, far, usize::MAX)).expect("the outbox").0.len()
}

/// Quoted-printable as plain text, as far as these mails need it.
fn plain(message: &str) -> String {
    message.replace("=\n", "").replace("=3D", "=").replace("=20\n", "\n")
}

#[test]
fn an_invite_is_mailed_as_text_and_as_html() {
    let smtp = Smtp::start(Manner::Takes);
    let server = with_mail(&smtp);
    let org = server.org();
    let body =
        json!({"target_email": "new@example.com", "first_name": "Nora", "message": "See <b>you</b> & soon"});
    let made = invite(&org, body);
    assert_eq!(made["emailing_attempt_made"], json!(true));
    let (recipient, message) = smtp.message();
    let message = plain(&message);
    assert_eq!(recipient, "new@example.com");
    assert!(
        message.contains("From: Org <org@org.example>")
            || message.contains("From: \"Org\" <org@org.example>"),
        "{message}"
    );
    assert!(message.contains("Subject: You are invited to Acme"), "{message}");
    assert!(message.contains("multipart/alternative"), "{message}");
    assert!(message.contains("Hello Nora,") && message.contains("See <b>you</b> & soon"), "{message}");
    assert!(message.contains("See &lt;b&gt;you&lt;/b&gt; &amp; soon"), "{message}");
    let shown = org.owner.get(&org.at(&format!("invites/{}/link/", text(&made["id"])))).json(200);
    let link = text(&shown["link"]);
    assert!(link.starts_with("https://org.example/signup/"), "{link}");
    assert!(!message.contains(&text(&made["id"])), "{message}");
    assert_eq!(message.matches(&link).count(), 2, "{message}");
    assert!(server.anyone().get("/_preflight").json(200)["email_service_available"] == json!(true));
}

/// The header of a message.
fn header(message: &str, name: &str) -> String {
    let head = message.split("\n\n").next().unwrap_or_default();
    let lines: Vec<&str> =
        head.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).collect();
    assert_eq!(lines.len(), 1, "{name} in {head}");
    lines[0].to_owned()
}

#[test]
fn a_mail_has_an_identifier_of_its_own_at_the_sender_s_domain() {
    let mut seen = std::collections::BTreeSet::new();
    for (from, domain) in
        [("Org <org@org.example>", "org.example"), ("org@Mail.ORG.example", "mail.org.example")]
    {
        let smtp = Smtp::start(Manner::Takes);
        let url = smtp.url();
        let server = Server::with(move |config| {
            config.smtp_url = Some(url);
            config.mail_from = from.into();
        });
        let org = server.org();
        for number in 0..2 {
            let made = invite(&org, json!({"target_email": format!("a{number}@example.com")}));
            let (_, message) = smtp.message();
            let id = header(&message, "Message-ID");
            let inner = id.strip_prefix('<').and_then(|id| id.strip_suffix('>')).expect("brackets");
            let (uuid, at) = inner.split_once('@').expect("a domain");
            assert_eq!((uuid.len(), at), (36, domain), "{from}");
            assert!(uuid != text(&made["id"]) && seen.insert(uuid.to_owned()), "{from}");
        }
    }
}

#[test]
fn a_mail_waits_for_an_operator_who_mends_the_log_in_at_the_mail_server() {
    for code in [530, 534, 535] {
        let smtp = Smtp::start(Manner::Answers(code));
        let server = with_mail(&smtp);
        let org = server.org();
        invite(&org, json!({"target_email": "later@example.com"}));
        let mut tries = 0;
        while tries < 3 {
            if let Seen::Recipient(_) = smtp.next_after(|| later(&server)) {
                tries += 1;
            }
        }
        assert_eq!(waiting(&server), 1, "{code}");
    }
}

#[test]
fn without_a_mail_server_nothing_is_attempted() {
    let server = Server::start();
    let org = server.org();
    assert_eq!(invite(&org, json!({"target_email": "a@example.com"}))["emailing_attempt_made"], json!(false));
    assert_eq!(waiting(&server), 0);
}

#[test]
fn no_mail_is_sent_for_what_was_refused_or_not_wanted() {
    let smtp = Smtp::start(Manner::Takes);
    let server = with_mail(&smtp);
    let org = server.org();
    let quiet = invite(&org, json!({"target_email": "quiet@example.com", "send_email": false}));
    assert_eq!(quiet["emailing_attempt_made"], json!(false));
    let bulk = json!([{"target_email": "good@example.com"}, {"target_email": "bad"}]);
    assert_eq!(org.owner.post(&org.at("invites/bulk/"), bulk).status, 400);
    let member = json!([{"target_email": "good@example.com"}, {"target_email": org.owner.email}]);
    assert_eq!(org.owner.post(&org.at("invites/bulk/"), member).status, 400);
    assert_eq!(waiting(&server), 0);
    invite(&org, json!({"target_email": "last@example.com"}));
    assert_eq!(smtp.message().0, "last@example.com");
    assert_eq!(smtp.rest(), []);
}

#[test]
fn a_mail_waits_for_a_server_that_is_down() {
    let port = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = port.local_addr().expect("an address");
    drop(port);
    let server = Server::with(|config| config.smtp_url = Some(format!("smtp://{address}")));
    let org = server.org();
    invite(&org, json!({"target_email": "a@example.com"}));
    invite(&org, json!({"target_email": "b@example.com"}));
    assert_eq!(waiting(&server), 2);
    let smtp = Smtp::on(TcpListener::bind(address).expect("the port is free again"), Manner::Takes);
    let mut recipients = [smtp.message_after(|| later(&server)).0, smtp.message_after(|| later(&server)).0];
    recipients.sort();
    assert_eq!(recipients, ["a@example.com", "b@example.com"]);
}

#[test]
fn a_temporary_refusal_is_tried_again_and_a_final_one_is_not() {
    let smtp = Smtp::start(Manner::Answers(451));
    let server = with_mail(&smtp);
    let org = server.org();
    invite(&org, json!({"target_email": "later@example.com"}));
    let mut tries = 0;
    while tries < 3 {
        if let Seen::Recipient(_) = smtp.next_after(|| later(&server)) {
            tries += 1;
        }
    }
    assert_eq!(waiting(&server), 1);
    drop(server);

    let smtp = Smtp::start(Manner::Answers(550));
    let server = with_mail(&smtp);
    let org = server.org();
    invite(&org, json!({"target_email": "never@example.com"}));
    while smtp.next_after(|| {}) != Seen::Recipient("never@example.com".into()) {}
    // The row is removed after the answer; a write that is queued after that finds it gone.
    let gone = (0..1000).any(|_| {
        org.owner.patch(&org.at(""), json!({})).json(200);
        waiting(&server) == 0
    });
    assert!(gone, "a mail that was refused for good still waits");
}

#[test]
fn a_mail_is_given_up_after_three_days() {
    let smtp = Smtp::start(Manner::Answers(451));
    let server = with_mail(&smtp);
    let org = server.org();
    invite(&org, json!({"target_email": "a@example.com"}));
    let gone = (0..1000).any(|_| {
        later(&server);
        org.owner.logged_in();
        waiting(&server) == 0
    });
    assert!(gone, "a mail waits for ever");
}

#[test]
fn a_mail_that_waits_outlives_the_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("orgd.redb");
    let refusing = Smtp::start(Manner::Answers(451));
    let url = refusing.url();
    let open = |url: String| {
        Server::open(orgd::store::Storage::File(file.clone()), |config| config.smtp_url = Some(url))
    };
    let first = open(url);
    let org = first.org();
    invite(&org, json!({"target_email": "a@example.com"}));
    drop(first);
    let smtp = Smtp::start(Manner::Takes);
    let second = open(smtp.url());
    assert_eq!(smtp.message_after(|| later(&second)).0, "a@example.com");
}

#[test]
fn a_silent_mail_server_holds_nobody_up() {
    let smtp = Smtp::start(Manner::Hangs);
    let server = with_mail(&smtp);
    let org = server.org();
    invite(&org, json!({"target_email": "a@example.com"}));
    assert_eq!(smtp.next_after(|| {}), Seen::Connection);
    invite(&org, json!({"target_email": "b@example.com"}));
    org.owner.get(&org.at("invites/")).json(200);
    assert_eq!(waiting(&server), 2);
    // The server stops although the mail server still has not said a word.
    drop(server);
}

#[test]
fn an_invite_that_was_taken_back_is_not_mailed() {
    let port = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = port.local_addr().expect("an address");
    drop(port);
    let server = Server::with(|config| config.smtp_url = Some(format!("smtp://{address}")));
    let org = server.org();
    let made = invite(&org, json!({"target_email": "a@example.com"}));
    assert_eq!(waiting(&server), 1);
    org.owner.delete(&org.at(&format!("invites/{}/", text(&made["id"])))).no_content();
    assert_eq!(waiting(&server), 0);
}

#[test]
fn members_are_told_of_newcomers_unless_the_organization_does_not_want_it() {
    let smtp = Smtp::start(Manner::Takes);
    let server = with_mail(&smtp);
    let org = server.org();
    let join = |email: &str| {
        let made = invite(&org, json!({"target_email": email, "send_email": false}));
        let token = org.token_of(&text(&made["id"]));
        let body = json!({"first_name": "Nora", "password": PASSWORD});
        Person::unknown(&server, email.into()).post(&format!("/api/signup/{token}/"), body).json(201);
    };
    join("nora@example.com");
    let (recipient, message) = smtp.message();
    assert_eq!(recipient, org.owner.email);
    assert!(message.contains("Subject: Nora joined Acme"), "{message}");
    org.owner.patch(&org.at(""), json!({"is_member_join_email_enabled": false})).json(200);
    join("nick@example.com");
    assert_eq!(waiting(&server), 0);
    assert_eq!(smtp.rest(), []);
}

#[test]
fn a_name_cannot_smuggle_headers_into_a_mail() {
    let smtp = Smtp::start(Manner::Takes);
    let server = with_mail(&smtp);
    let org = server.org();
    org.owner.patch("/api/users/@me/", json!({"first_name": "Eve\r\nBcc: all@example.com"})).json(200);
    invite(&org, json!({"target_email": "a@example.com"}));
    let (_, message) = smtp.message();
    let head = message.split("\n\n").next().unwrap_or_default();
    assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
}
