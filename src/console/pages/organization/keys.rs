//! The API keys that reach an organization, whoever of its members they belong to.

use maud::{Markup, Render, html};

use super::{BASE, HERE, LINES};
use crate::api::{Level, Paging, Reply};
use crate::app::session;
use crate::clock::Time;
use crate::console::frame::{Here, to};
use crate::console::page::{Page, page};
use crate::console::parts::{
    self, Confirm, Select, Shown, Tone, code, counted, empty, filters, head, link_to, pager, table, tag,
    time_or,
};
use crate::console::visit::Visit;
use crate::console::words::Said;
use crate::error::{Result, not_found};
use crate::resources::api_keys::{self, AccessScope, ApiKey};
use crate::resources::{sessions, users};
use crate::store::{Tx, WriteTx};

pub(in crate::console) fn pages() -> Vec<Page> {
    let all = format!("{BASE}/keys");
    let revoke_one = format!("{all}/{{key}}/revoke");
    vec![page(all, session(), HERE, list), page(revoke_one, session(), HERE, ask).does(revoke)]
}

/// A key that nobody has used for so long may be one that nobody needs.
const UNUSED_SECONDS: i64 = 90 * 24 * 60 * 60;

/// A key with its owner and their level.
struct Row {
    key: ApiKey,
    level: Level,
    owner: users::User,
}

fn list(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let here = visit.here(tx)?;
    sessions::require_recent_login(visit)?;
    let (text, chosen) = (visit.chosen("q").trim().to_lowercase(), visit.chosen("used"));
    let mut rows = Vec::new();
    for (key, level) in api_keys::all(visit, tx, here.at)? {
        let owner = users::find(tx, key.user)?;
        let is_found = [owner.email.to_lowercase(), owner.full_name().to_lowercase()]
            .iter()
            .any(|it| it.contains(&text));
        if is_found && (chosen != "unused" || is_unused(&key, visit.now)) {
            rows.push(Row { key, level, owner });
        }
    }
    let (paging, total) = (Paging::by(visit, LINES), rows.len() as u64);
    let lines = paging.cut(rows);
    let lines = lines.iter().map(|row| line(visit, tx, &here, row)).collect::<Result<Vec<_>>>()?;
    let select = Select {
        name: "used",
        label: "Use",
        choices: &[("", "All keys"), ("unused", "Unused for 90 days")],
        chosen,
    };
    let heads = ["Owner", "Key", "Scopes", "Reaches", "Last used", ""];
    visit.show(
        tx,
        "Keys of members",
        &html! {
            (head("Keys of members", counted(total, "key reaches this organization", "keys reach this organization"), None))
            (filters("Search keys", Some(("Name or e-mail of the owner", visit.chosen("q"))), &[select], &[]))
            @if lines.is_empty() { (nothing(&here, !text.is_empty() || !chosen.is_empty())) }
            @else {
                (table("Keys of members", &heads, lines))
                (pager(&visit.address(), Shown { total, limit: paging.limit, offset: paging.offset }))
            }
        },
    )
}

fn nothing(here: &Here, is_filtered: bool) -> Markup {
    if is_filtered {
        return empty(
            "No such key",
            "No key matches these filters.",
            Some((&here.path("keys"), "Show all keys")),
        );
    }
    let text =
        "Keys that members make for programs are listed here, so that one can be shut out when it leaks.";
    empty("No key reaches this organization", text, None)
}

fn is_unused(key: &ApiKey, now: Time) -> bool {
    key.last_used_at.unwrap_or(key.created_at).plus_seconds(UNUSED_SECONDS) <= now
}

fn line(visit: &Visit, tx: &Tx, here: &Here, row: &Row) -> Result<[Markup; 6]> {
    let Row { key, level, owner } = row;
    let name = owner.full_name();
    let path = here.path(&format!("keys/{}/revoke", key.id));
    Ok([
        parts::name(&name, &owner.email),
        code(&key.mask),
        scopes(&key.scopes),
        reach(tx, here, key)?,
        html! {
            div {
                (time_or(key.last_used_at, "Never"))
                @if is_unused(key, visit.now) { " " (tag(Tone::Warn, "Unused for 90 days")) }
            }
        },
        html! { @if api_keys::may_revoke(here.at, *level) { (link_to(path, "Revoke", &key.mask)) } },
    ])
}

fn scopes(all: &[String]) -> Markup {
    const SHOWN: usize = 3;
    let text = |list: &[String]| list.join(", ");
    html! {
        @if all.iter().any(|scope| scope == "*") { (tag(Tone::Warn, "Everything")) }
        @else if all.len() <= SHOWN { (code(text(all))) }
        @else { (parts::details(counted(all.len() as u64, "scope", "scopes"), code(text(all)))) }
    }
}

fn reach(tx: &Tx, here: &Here, key: &ApiKey) -> Result<Markup> {
    Ok(match api_keys::access_scope(tx, here.at.id, key)? {
        AccessScope::All => html! { "Everything of its owner" },
        AccessScope::Organization => html! { "This organization" },
        AccessScope::Projects { projects } => {
            let names: Vec<&str> = projects.iter().map(|project| project.name.as_str()).collect();
            html! { (names.join(", ")) }
        }
    })
}

/// The key of the path, where it reaches the organization.
fn find(visit: &Visit, tx: &Tx, here: &Here) -> Result<(ApiKey, Level)> {
    let id = visit.param("key");
    let found = api_keys::all(visit, tx, here.at)?.into_iter().find(|(key, _)| key.id == id);
    found.ok_or_else(not_found)
}

fn ask(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let here = visit.here(tx)?;
    sessions::require_recent_login(visit)?;
    let (key, level) = find(visit, tx, &here)?;
    let all = here.path("keys");
    if !api_keys::may_revoke(here.at, level) {
        return Ok(to(&all));
    }
    let owner = users::find(tx, key.user)?;
    let question = format!("Revoke the key {}?", key.mask);
    let confirm = Confirm {
        question: &question,
        lost: vec![
            html! { "Programs of " strong dir="auto" { (owner.full_name()) } " that use the key are shut out of this organization at once." },
            html! { "A key that reaches nothing else is deleted." },
        ],
        kept: vec![
            html! { "What the key reaches in other organizations of its owner." },
            html! { "The membership of its owner." },
        ],
        deed: "Revoke key",
        cancel: &all,
        token: visit.token(),
        ..Confirm::default()
    };
    visit.show(tx, &question, &confirm.render())
}

fn revoke(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    let here = visit.here(tx)?;
    api_keys::revoke(visit, tx, here.at, visit.param("key"))?;
    Ok(visit.done(&here.path("keys"), Said::KeyRevoked))
}
