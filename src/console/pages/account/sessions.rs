//! Where a person is signed in, and how to end it.

use maud::{Markup, html};

use super::OWN;
use crate::api::Reply;
use crate::app::session;
use crate::auth::cookies;
use crate::console::frame::to;
use crate::console::page::{Page, page};
use crate::console::parts::{Look, Tone, counted, deed, head, table, tag, time};
use crate::console::visit::Visit;
use crate::console::words::Said;
use crate::error::Result;
use crate::resources::sessions::{self, OwnSession};
use crate::store::{Tx, WriteTx};

const PATH: &str = "/settings/sessions";
const ONE: &str = "/settings/sessions/{session_id}/end";
const OTHERS: &str = "/settings/sessions/end-others";

pub(super) fn pages() -> Vec<Page> {
    let pages = vec![
        page(PATH, session(), OWN, show),
        page(ONE, session(), OWN, back).does(end),
        page(OTHERS, session(), OWN, back).does(end_others),
    ];
    pages.into_iter().map(Page::without_second_factor).collect()
}

fn show(visit: &Visit, tx: &Tx) -> Result<Reply> {
    sessions::require_recent_login(visit)?;
    let all = sessions::own(visit, tx)?;
    let count = u64::try_from(all.len()).unwrap_or(u64::MAX);
    visit.show(tx, "Sessions", &html! {
        (head("Sessions", counted(count, "browser is signed in", "browsers are signed in"), None))
        (table("Sessions", &["Device", "Address", "Last used", "Since", ""], all.iter().map(|it| line(visit, it))))
        @if all.len() > 1 { (deed(OTHERS, visit.token(), "End all other sessions", "", Look::Danger)) }
    })
}

fn line(visit: &Visit, it: &OwnSession) -> [Markup; 5] {
    let path = ONE.replace("{session_id}", &it.id.to_string());
    [
        html! { (it.device) @if it.is_current { " " (tag(Tone::Good, "This one")) } },
        html! { (it.location) },
        time(it.last_activity),
        time(it.created_at),
        if it.is_current {
            Markup::default()
        } else {
            deed(&path, visit.token(), "End", &it.device, Look::Plain)
        },
    ]
}

/// What is done by a button of the list has no page of its own.
fn back(_visit: &Visit, _tx: &Tx) -> Result<Reply> {
    Ok(to(PATH))
}

fn end(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    let ended = sessions::revoke(visit, tx, visit.id("session_id")?)?;
    if Some(ended) == visit.session {
        return Ok(cookies::clear(visit, to("/login")));
    }
    Ok(visit.done(PATH, Said::SessionEnded))
}

fn end_others(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    sessions::revoke_others(visit, tx)?;
    Ok(visit.done(PATH, Said::SessionsEnded))
}
