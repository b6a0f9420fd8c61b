//! The operator's page of mails.

use std::time::Duration;

use serde_json::json;

use super::{Browses, hides, shows};
use crate::support::Server;
use crate::support::smtp::{Manner, Smtp};

const OUTBOX: &str = "/instance/outbox";

#[test]
fn a_mail_that_was_given_up_is_shown_with_its_reason_and_forgotten_by_the_operator_only() {
    let smtp = Smtp::start(Manner::Answers(550));
    let server = Server::with(|config| config.smtp_url = Some(smtp.url()));
    let org = server.org();
    org.owner.post(&org.at("invites/"), json!({"target_email": "never@example.com"})).json(201);
    server.until("it was given up", || org.owner.page(OUTBOX).contains("1 mail was given up"));
    let page = org.owner.page(OUTBOX);
    shows(&page, &["1 mail was given up", "never@example.com", "You are invited to Acme", "550"]);
    hides(&page, &["/signup/"]);
    let (front, _) = page.rsplit_once("/drop\"").expect("a form that forgets");
    let (_, id) = front.rsplit_once('/').expect("its mail");
    let forget = format!("{OUTBOX}/{id}/drop");
    let stranger = server.org().owner;
    assert_eq!(stranger.submit(&forget, &[]).status, 403);
    shows(&org.owner.page(OUTBOX), &["never@example.com"]);
    assert_eq!(org.owner.submit(&forget, &[]).header("location"), OUTBOX);
    hides(&org.owner.page(OUTBOX), &["never@example.com"]);
}

#[test]
fn a_mail_that_was_tried_for_three_days_is_shown_with_its_last_reason() {
    let smtp = Smtp::start(Manner::Answers(451));
    let server = Server::with(|config| config.smtp_url = Some(smtp.url()));
    let org = server.org();
    org.owner.post(&org.at("invites/"), json!({"target_email": "a@example.com"})).json(201);
    server.until("it was given up", || {
        server.pass(Duration::from_secs(60 * 60));
        org.owner.logged_in().page(OUTBOX).contains("1 mail was given up")
    });
    shows(&org.owner.logged_in().page(OUTBOX), &["a@example.com", "451"]);
}
