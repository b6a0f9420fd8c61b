//! Every user of the server, and what the operator does for them.

use std::sync::Arc;

use maud::{Markup, Render, html};

use super::SERVER;
use crate::api::{Paging, Reply};
use crate::app::session;
use crate::console::frame::{base, to};
use crate::console::page::{Page, page};
use crate::console::parts::{
    self, Confirm, Look, Shown, Tone, counted, day, deed, empty, facts, head, link_to, notice, pager, secret,
    table, tag, time_or,
};
use crate::console::visit::Visit;
use crate::console::words::{self, Said};
use crate::error::Result;
use crate::ids::UserId;
use crate::resources::users::{self, FoundUser};
use crate::resources::{last_logins, members, organizations};
use crate::store::{Tx, WriteTx};

const PATH: &str = "/instance/users";
const LINES: u64 = 50;

pub(super) fn pages() -> Vec<Page> {
    let one = format!("{PATH}/{{uuid}}");
    let at = |tail: &str| format!("{one}/{tail}");
    vec![
        page(PATH, session(), SERVER, list),
        page(&one, session(), SERVER, show),
        page(at("reset-link"), session(), SERVER, back).works(reset_link),
        page(at("end-sessions"), session(), SERVER, back).does(end_sessions),
        page(at("remove-second-factor"), session(), SERVER, ask_second_factor).does(remove_second_factor),
        page(at("deactivate"), session(), SERVER, ask_deactivate).does(deactivate),
        page(at("activate"), session(), SERVER, back).does(activate),
        page(at("make-operator"), session(), SERVER, ask_operator).does(make_operator),
        page(at("unmake-operator"), session(), SERVER, back).does(unmake_operator),
    ]
}

fn list(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let text = visit.query("q").unwrap_or_default();
    let paging = Paging::by(visit, LINES);
    let (total, found) = users::find_users(visit, tx, text, paging)?;
    visit.show(tx, "Users", &html! {
        (head("Users", counted(total, "user", "users"), None))
        (parts::search("Search users", "Name or e-mail", text))
        @if found.is_empty() {
            (empty("Nobody found", "No name or e-mail address contains this text.", Some((PATH, "Show everybody"))))
        } @else {
            (table("Users", &["Name", "State", "Two-factor", "Since", ""], found.iter().map(line)))
            (pager(&visit.address(), Shown { total, limit: paging.limit, offset: paging.offset }))
        }
    })
}

fn line(found: &FoundUser) -> [Markup; 5] {
    let name = found.user.full_name();
    [
        html! { span.name { (name) } small { (found.user.email) } },
        state(found),
        second_factor(found),
        day(found.user.date_joined),
        link_to(format!("{PATH}/{}", found.uuid), "Manage", &name),
    ]
}

fn state(found: &FoundUser) -> Markup {
    html! {
        @if !found.is_active { (tag(Tone::Bad, "Deactivated")) } @else { (tag(Tone::Good, "Active")) }
        @if found.user.is_staff { " " (tag(Tone::Plain, "Operator")) }
    }
}

fn second_factor(found: &FoundUser) -> Markup {
    if found.is_2fa_enabled { tag(Tone::Good, "On") } else { tag(Tone::Warn, "Off") }
}

fn show(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let found = users::found(visit, tx, visit.id("uuid")?)?;
    let name = found.user.full_name();
    let asked = dangers(&found);
    visit.show(
        tx,
        &name,
        &html! {
            (parts::crumbs(&[(PATH, "Users")]))
            @if let Some((error, _)) = visit.refused() {
                (notice(Tone::Bad, html! { p { (error.envelope().detail) } }))
            }
            (head(&name, &found.user.email, None))
            (facts([
                ("State", state(&found)),
                ("Two-factor", second_factor(&found)),
                ("Since", day(found.user.date_joined)),
                ("Last sign-in", time_or(last_logins::of(tx, found.uuid)?, "Never")),
                ("Organizations", organizations_of(tx, found.uuid)?),
            ]))
            (parts::section("Help", deeds(visit, &found)))
            (parts::danger_zone(&asked.iter().map(Asked::as_danger).collect::<Vec<_>>()))
        },
    )
}

fn organizations_of(tx: &Tx, user: UserId) -> Result<Markup> {
    let mut names = Vec::new();
    for at in members::organizations_of(tx, user)? {
        let organization = organizations::find(tx, at.id)?;
        let path = base(at.id, &organization);
        names.push((organization.name, path, words::level(at.level)));
    }
    Ok(html! {
        @if names.is_empty() { span.soft { "None" } }
        @for (place, (name, path, level)) in names.iter().enumerate() {
            @if place > 0 { ", " }
            a href=(path) dir="auto" { (name) } " (" (level) ")"
        }
    })
}

fn deeds(visit: &Visit, found: &FoundUser) -> Markup {
    let at = |tail: &str| format!("{PATH}/{}/{tail}", found.uuid);
    html! {
        div.buttons {
            (deed(&at("reset-link"), visit.token(), "Make a reset link", "", Look::Plain))
            (deed(&at("end-sessions"), visit.token(), "End all sessions", "", Look::Plain))
            @if !found.is_active { (deed(&at("activate"), visit.token(), "Activate", "", Look::Plain)) }
            @if found.user.is_staff {
                (deed(&at("unmake-operator"), visit.token(), "No longer an operator", "", Look::Plain))
            }
        }
    }
}

/// One thing that is asked about first.
struct Asked {
    title: &'static str,
    text: &'static str,
    path: String,
    deed: &'static str,
}

impl Asked {
    fn as_danger(&self) -> parts::Danger<'_> {
        parts::Danger { title: self.title, text: self.text, path: &self.path, deed: self.deed }
    }
}

/// What makes sense for this person.
fn dangers(found: &FoundUser) -> Vec<Asked> {
    let at = |tail: &str| format!("{PATH}/{}/{tail}", found.uuid);
    let all = [
        (
            found.is_2fa_enabled,
            Asked {
                title: "Remove the second factor",
                text: "For somebody who has lost their phone and their recovery codes. Their password alone opens the account.",
                path: at("remove-second-factor"),
                deed: "Remove",
            },
        ),
        (
            found.is_active,
            Asked {
                title: "Deactivate the account",
                text: "Nothing of theirs opens anything until it is activated again. Nothing is deleted.",
                path: at("deactivate"),
                deed: "Deactivate",
            },
        ),
        (
            !found.user.is_staff,
            Asked {
                title: "Make this person an operator",
                text: "They see these pages and may do all that you may.",
                path: at("make-operator"),
                deed: "Make operator",
            },
        ),
    ];
    all.into_iter().filter_map(|(makes_sense, asked)| makes_sense.then_some(asked)).collect()
}

/// Makes the link, and shows it in the one answer that holds it.
async fn reset_link(visit: Arc<Visit>) -> Result<Reply> {
    let user: UserId = visit.id("uuid")?;
    let made = visit.write(move |visit, tx| users::reset_link(visit, tx, user));
    let link = made.await?;
    visit.app.store.read(|tx| {
        let email = users::find(tx, user)?.email;
        visit.show(tx, "Reset link", &html! {
            (parts::crumbs(&[(PATH, "Users")]))
            (head("Reset link", html! { "For " strong { (email) } ": works once, for one hour." }, None))
            (notice(Tone::Warn, html! { p { (words::SHOWN_ONCE) " Pass it on only to the person themselves." } }))
            (secret("link", "Link", &link))
            p { a.button href={ (PATH) "/" (user) } { "Done" } }
        })
    })
}

fn at(visit: &Visit) -> Result<(UserId, String)> {
    let user: UserId = visit.id("uuid")?;
    Ok((user, format!("{PATH}/{user}")))
}

/// What is done by a button of the page has no page of its own.
fn back(visit: &Visit, tx: &Tx) -> Result<Reply> {
    if visit.is_refused() {
        return show(visit, tx);
    }
    users::require_operator(visit, tx)?;
    Ok(to(&at(visit)?.1))
}

fn end_sessions(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    let (user, path) = at(visit)?;
    users::end_sessions(visit, tx, user)?;
    Ok(visit.done(&path, Said::UserSessionsEnded))
}

fn ask(visit: &Visit, tx: &Tx, question: &str, lost: &[&str], deed: &str) -> Result<Reply> {
    let found = users::found(visit, tx, visit.id("uuid")?)?;
    let question = question.replace("{name}", &found.user.full_name());
    let confirm = Confirm {
        question: &question,
        lost: lost.iter().map(|sentence| html! { (sentence) }).collect(),
        deed,
        cancel: &format!("{PATH}/{}", found.uuid),
        token: visit.token(),
        ..Confirm::default()
    };
    visit.show(
        tx,
        &question,
        &html! {
            @if let Some((error, _)) = visit.refused() {
                (notice(Tone::Bad, html! { p { (error.envelope().detail) } }))
            }
            (confirm.render())
        },
    )
}

fn ask_second_factor(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let lost = ["The second factor and its recovery codes.", "All their sessions."];
    ask(visit, tx, "Remove the second factor of {name}?", &lost, "Remove second factor")
}

fn remove_second_factor(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    let (user, path) = at(visit)?;
    users::remove_second_factor(visit, tx, user)?;
    Ok(visit.done(&path, Said::SecondFactorRemoved))
}

fn ask_deactivate(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let lost = ["All their sessions; their keys open nothing.", "Exports in their name pause."];
    ask(visit, tx, "Deactivate {name}?", &lost, "Deactivate")
}

fn deactivate(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    let (user, path) = at(visit)?;
    users::deactivate(visit, tx, user)?;
    Ok(visit.done(&path, Said::UserDeactivated))
}

fn activate(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    let (user, path) = at(visit)?;
    users::activate(visit, tx, user)?;
    Ok(visit.done(&path, Said::UserActivated))
}

fn ask_operator(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let lost = ["Nothing. But they may do all that you may, to you as well."];
    ask(visit, tx, "Make {name} an operator?", &lost, "Make operator")
}

fn make_operator(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    let (user, path) = at(visit)?;
    users::set_staff(visit, tx, user, true)?;
    Ok(visit.done(&path, Said::OperatorMade))
}

fn unmake_operator(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    let (user, path) = at(visit)?;
    users::set_staff(visit, tx, user, false)?;
    // Whoever gave it up themselves sees these pages no more.
    let next = if user == visit.user()? { "/" } else { &path };
    Ok(visit.done(next, Said::OperatorUnmade))
}
