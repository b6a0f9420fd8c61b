//! The mails that went out, and one of them.

use maud::{Markup, html};

use crate::api::Reply;
use crate::config::Mode;
use crate::console::parts::{code_block, counted, crumbs, empty, facts, head, live, section, table, time};
use crate::console::visit::Visit;
use crate::error::{Result, not_found};
use crate::test_server::TestServer;
use crate::test_server::mailbox::SentMail;

pub(super) fn list(visit: &Visit, server: &TestServer) -> Result<Reply> {
    let mails = server.mailbox.mails(None);
    let state = counted(mails.len() as u64, "mail went out", "mails went out") + ".";
    let why = match server.mode {
        Mode::Test => "Whatever this server would send shows here, and goes no further.",
        Mode::Dev => "Without --smtp-url nothing is sent; with it, a copy of each mail shows here.",
    };
    Ok(visit.show_dev("Mail", &html! {
        (head("Mail", state, None))
        @if mails.is_empty() {
            (empty("No mail yet", why, None))
        } @else {
            (live("mails", "/dev/mail", 2, table("Mails", &["Subject", "To", "Time"], mails.iter().rev().map(line))))
        }
    }))
}

fn line(mail: &SentMail) -> [Markup; 3] {
    [html! { a href={ "/dev/mail/" (mail.n) } { (mail.subject) } }, html! { (mail.to) }, time(mail.at)]
}

pub(super) fn show(visit: &Visit, server: &TestServer) -> Result<Reply> {
    let number: u64 = visit.param("n").parse().map_err(|_| not_found())?;
    let mail = server.mailbox.mails(None).into_iter().find(|mail| mail.n == number).ok_or_else(not_found)?;
    Ok(visit.show_dev(&mail.subject, &html! {
        (crumbs(&[("/dev/mail", "Mail")]))
        (head(&mail.subject, "", None))
        (facts([("To", html! { (mail.to) }), ("Time", time(mail.at))]))
        @if !mail.links.is_empty() {
            (section("Links", html! { ul { @for link in &mail.links { li { a href=(link) { (link) } } } } }))
        }
        (section("Text", code_block("text", "the text", &mail.text)))
    }))
}
