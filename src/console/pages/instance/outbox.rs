//! Mails that wait, and those that were given up. Their texts hold links, so they are never shown.

use maud::{Markup, html};

use super::SERVER;
use crate::api::{Paging, Reply};
use crate::app::session;
use crate::console::frame::to;
use crate::console::page::{Page, page};
use crate::console::parts::{Look, Shown, counted, deed, empty, head, pager, section, table, time, time_or};
use crate::console::visit::Visit;
use crate::console::words::Said;
use crate::error::Result;
use crate::ids::MailId;
use crate::resources::outbox::{self, Failed, Waiting};
use crate::resources::users;
use crate::store::{Tx, WriteTx};

const PATH: &str = "/instance/outbox";
const LINES: u64 = 50;

pub(super) fn pages() -> Vec<Page> {
    vec![
        page(PATH, session(), SERVER, show),
        page(format!("{PATH}/test"), session(), SERVER, back).does(send_test),
        page(format!("{PATH}/{{id}}/retry"), session(), SERVER, back).does(retry),
        page(format!("{PATH}/{{id}}/drop"), session(), SERVER, back).does(remove),
    ]
}

fn show(visit: &Visit, tx: &Tx) -> Result<Reply> {
    users::require_operator(visit, tx)?;
    let all = outbox::waiting(tx)?;
    let total = all.len() as u64;
    let paging = Paging::by(visit, LINES);
    let state = if outbox::is_on(visit) {
        format!("{} to be sent.", counted(total, "mail waits", "mails wait"))
    } else {
        "No mail server is set.".to_owned()
    };
    visit.show(tx, "Outbox", &html! {
        (head("Outbox", state, None))
        @if outbox::is_on(visit) {
            (deed(&format!("{PATH}/test"), visit.token(), "Send a test mail to me", "", Look::Plain))
        } @else {
            p { "Invites, password resets and notices are not mailed. Set " code { "ORGD_SMTP_URL" } " and "
                code { "ORGD_SITE_URL" } " and start the server again." }
        }
        @if all.is_empty() {
            (empty("Nothing waits", "A mail that cannot be sent at once waits here, with the reason.", None))
        } @else {
            (table("Mails", &["To", "Made", "Tries", "Last error", "Next try", ""],
                paging.cut(all).iter().map(|mail| line(visit, mail))))
            (pager(&visit.address(), Shown { total, limit: paging.limit, offset: paging.offset }))
        }
        (given_up(visit, tx)?)
    })
}

fn line(visit: &Visit, mail: &Waiting) -> [Markup; 6] {
    let act = |what: &str| format!("{PATH}/{}/{what}", mail.id);
    [
        html! { span.name { (mail.to) } small { (mail.subject) } },
        time(mail.queued_at),
        html! { (mail.tries) },
        html! { (mail.last_error.as_deref().unwrap_or("None")) },
        time_or(Some(mail.next_try_at), ""),
        html! {
            div.buttons {
                (deed(&act("retry"), visit.token(), "Try now", &mail.to, Look::Plain))
                (deed(&act("drop"), visit.token(), "Drop", &mail.to, Look::Danger))
            }
        },
    ]
}

/// So many failed mails are shown.
const FAILED: usize = 50;

fn given_up(visit: &Visit, tx: &Tx) -> Result<Markup> {
    let mut all = outbox::failed(tx)?;
    if all.is_empty() {
        return Ok(Markup::default());
    }
    let count = counted(all.len() as u64, "mail was given up", "mails were given up");
    all.truncate(FAILED);
    let line = |(id, mail): &(MailId, Failed)| {
        let forget = format!("{PATH}/{id}/drop");
        [
            html! { span.name { (mail.to) } small { (mail.subject) } },
            time(mail.failed_at),
            html! { (mail.tries) },
            html! { (mail.error) },
            deed(&forget, visit.token(), "Forget", &mail.to, Look::Plain),
        ]
    };
    Ok(section(
        "Failed",
        html! {
            p { (count) " in the last seven days. Once the cause is mended, do again what sent them." }
            (table("Failed mails", &["To", "Given up", "Tries", "Why", ""], all.iter().map(line)))
        },
    ))
}

/// What is done by a button of the list has no page of its own.
fn back(_visit: &Visit, _tx: &Tx) -> Result<Reply> {
    Ok(to(PATH))
}

fn retry(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    outbox::retry(visit, tx, visit.id("id")?)?;
    Ok(visit.done(PATH, Said::MailRetried))
}

fn remove(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    outbox::remove(visit, tx, visit.id("id")?)?;
    Ok(visit.done(PATH, Said::MailDropped))
}

fn send_test(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    outbox::push_test(visit, tx)?;
    Ok(visit.done(PATH, Said::MailSent))
}
