//! People of an organization: who they are, what they may do, how they leave.

use maud::{Markup, Render, html};
use serde_json::json;

use super::{BASE, HERE, LINES};
use crate::api::{Level, Paging, Reply};
use crate::app::session;
use crate::console::form::Form;
use crate::console::frame::{Here, to};
use crate::console::page::{Page, page};
use crate::console::parts::{
    self, Confirm, Select, Shown, Tone, counted, day, empty, facts, head, link_to, pager, table, tag,
};
use crate::console::visit::Visit;
use crate::console::words::{self, Said};
use crate::error::{Result, not_found};
use crate::ids::UserId;
use crate::resources::audit::export::cell;
use crate::resources::members::{self, Row, Wanted};
use crate::resources::{access_controls, api_keys, batch_exports, projects, role_memberships, roles};
use crate::store::{Tx, WriteTx};

pub(in crate::console) fn pages() -> Vec<Page> {
    let all = format!("{BASE}/members");
    let one = format!("{all}/{{user__uuid}}");
    vec![
        page(&all, session(), HERE, list),
        page(format!("{all}.csv"), session(), HERE, csv),
        page(&one, session(), HERE, show).does(set_level),
        page(format!("{one}/remove"), session(), HERE, ask).does(remove),
    ]
}

fn list(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let here = visit.here(tx)?;
    let text = visit.query("q").unwrap_or_default();
    let chosen = visit.query("level").unwrap_or_default();
    let levels = chosen.parse().ok().and_then(Level::of).into_iter().collect();
    let second_factor = visit.query("second_factor").unwrap_or_default();
    let wanted = Wanted::search(text)?.at_levels(levels).by_second_factor(match second_factor {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    });
    let paging = Paging::by(visit, LINES);
    let (total, rows) = members::find_page(visit, tx, here.at, &wanted, paging)?;
    let me = visit.user()?;
    let invites = here.path("invites/new");
    let may_invite = crate::resources::organizations::can_invite(tx, here.at)?;
    let action = may_invite.then_some((invites.as_str(), "Invite people"));
    visit.show(
        tx,
        "Members",
        &html! {
            (head("Members", counted(total, "person", "people"), action))
            (parts::filters("Search members", Some(("Name or e-mail", text)), 
                &[levels_select(chosen), second_factor_select(second_factor)], &[]))
            @if rows.is_empty() {
                (empty("Nobody found", "Nobody here is like this.",
                    Some((&here.path("members"), "Show everybody"))))
            } @else {
                (table("Members", &["Name", "Level", "Two-factor", "Joined", ""],
                    rows.iter().map(|row| line(&here, row, row.uuid == me))))
                (pager(&visit.address(), Shown { total, limit: paging.limit, offset: paging.offset }))
                @if here.is(Level::Admin) { p { a href=(here.path("members.csv")) { "Download everybody as CSV" } } }
            }
        },
    )
}

fn levels_select(chosen: &str) -> Select<'_> {
    Select {
        name: "level",
        label: "Level",
        choices: &[("", "All levels"), ("15", "Owners"), ("8", "Admins"), ("1", "Members")],
        chosen,
    }
}

fn second_factor_select(chosen: &str) -> Select<'_> {
    Select {
        name: "second_factor",
        label: "Two-factor",
        choices: &[("", "On or off"), ("on", "On"), ("off", "Off")],
        chosen,
    }
}

/// Everybody, for spreadsheets. For admins.
fn csv(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let here = visit.here(tx)?;
    here.at.require(Level::Admin)?;
    let all = Paging { limit: u64::MAX, offset: 0 };
    let (_, rows) = members::find_page(visit, tx, here.at, &Wanted::default(), all)?;
    let mut text = "first_name,last_name,email,level,two_factor,joined_at,last_login\r\n".to_owned();
    for row in rows {
        let cells = [
            json!(row.user.first_name),
            json!(row.user.last_name),
            json!(row.user.email),
            json!(words::level(row.member.level)),
            json!(if row.is_2fa_enabled { "On" } else { "Off" }),
            json!(row.member.joined_at),
            json!(row.last_login),
        ];
        text.push_str(&cells.iter().map(cell).collect::<Vec<_>>().join(","));
        text.push_str("\r\n");
    }
    let reply = Reply::text(200, "text/csv; charset=utf-8", text).with("cache-control", "no-store");
    Ok(reply.with("content-disposition", "attachment; filename=\"members.csv\""))
}

fn line(here: &Here, row: &Row, is_me: bool) -> [Markup; 5] {
    let name = row.user.full_name();
    let path = here.path(&format!("members/{}", row.uuid));
    [
        html! {
            span.name { (name) @if is_me { " " (tag(Tone::Plain, "You")) } } small { (row.user.email) }
        },
        html! { (words::level(row.member.level)) },
        second_factor(row),
        day(row.member.joined_at),
        link_to(path, "Manage", &name),
    ]
}

fn second_factor(row: &Row) -> Markup {
    if row.is_2fa_enabled { tag(Tone::Good, "On") } else { tag(Tone::Warn, "Off") }
}

/// The member of the path, where the person may see them.
fn find(visit: &Visit, tx: &Tx, here: &Here) -> Result<Row> {
    let user: UserId = visit.id("user__uuid")?;
    if !members::Visible::of(tx, here.at, visit.user()?)?.has(user) {
        return Err(not_found());
    }
    members::load(tx, here.at.id, user)
}

fn show(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let here = visit.here(tx)?;
    let row = find(visit, tx, &here)?;
    let name = row.user.full_name();
    let given = members::levels_to_give(visit, here.at, row.uuid, &row.member)?;
    let choices = given.iter().map(|level| (level.number().to_string(), words::level(*level)));
    let form = Form::new(Some(visit.token()))
        .field(members::FIELDS, "level", |control| control.choices(choices))
        .show(json!({"level": row.member.level.number()}))
        .refused(visit.refused())
        .button("Save");
    visit.show(
        tx,
        &name,
        &html! {
            (parts::crumbs(&[(&here.path("members"), "Members")]))
            (form.summary())
            (head(&name, &row.user.email, None))
            (facts([
                ("Level", html! { (words::level(row.member.level)) }),
                ("Two-factor", second_factor(&row)),
                ("Joined", day(row.member.joined_at)),
                ("Last sign-in", parts::time_or(row.last_login, "Never")),
            ]))
            @if !given.is_empty() { (parts::section("Level", form.render())) }
            (parts::section("Roles", roles_of(tx, &here, &row)?))
            @if sees_access(visit, &here, &row)? {
                (parts::section("Projects", projects_of(visit, tx, &here, &row)?))
                (parts::section("API keys that reach this organization", keys_of(visit, tx, &here, &row)?))
            }
            (leaving(visit, &here, &row)?)
        },
    )
}

fn roles_of(tx: &Tx, here: &Here, row: &Row) -> Result<Markup> {
    let mut named = Vec::new();
    for id in role_memberships::roles_of(tx, here.at.id, row.uuid)? {
        named.push((id, roles::name(tx, here.at.id, id)?.unwrap_or_default()));
    }
    Ok(html! {
        @if named.is_empty() { p.soft { "In no role." } } @else {
            ul { @for (id, name) in &named { li { a href=(here.path(&format!("roles/{id}"))) dir="auto" { (name) } } } }
        }
    })
}

/// Whether the person sees what this member reaches: admins, and the member.
fn sees_access(visit: &Visit, here: &Here, row: &Row) -> Result<bool> {
    Ok(here.is(Level::Admin) || row.uuid == visit.user()?)
}

/// What the member may do in the projects that the person sees, and the rule that decides it.
fn projects_of(visit: &Visit, tx: &Tx, here: &Here, row: &Row) -> Result<Markup> {
    let paging = Paging::by(visit, LINES);
    let (total, page) = projects::find_page(visit, tx, here.at, None, paging)?;
    let mut lines = Vec::new();
    for project in page {
        let (path, name) = (format!("/project/{}", project.id), project.name.clone());
        let why = access_controls::why(tx, here.at.id, row.uuid, project)?;
        let tone = if why.access_level == "none" { Tone::Warn } else { Tone::Good };
        lines.push([
            html! { a href=(path) { (name) } },
            tag(tone, words::choice("access_level", why.access_level)),
            html! { (why.text()) },
        ]);
    }
    Ok(html! {
        @if lines.is_empty() { p.soft { "There is no project that you see." } } @else {
            (table("Projects", &["Project", "Access", "Why"], lines))
            (pager(&visit.address(), Shown { total, limit: paging.limit, offset: paging.offset }))
        }
    })
}

/// Keys that nobody used for so long are marked.
const UNUSED_SECONDS: i64 = 90 * 24 * 60 * 60;

fn keys_of(visit: &Visit, tx: &Tx, here: &Here, row: &Row) -> Result<Markup> {
    let long_ago = visit.now.plus_seconds(-UNUSED_SECONDS);
    let keys = api_keys::reaching(tx, here.at.id, row.uuid)?;
    let lines = keys.iter().map(|(_, key)| {
        let is_unused = key.last_used_at.unwrap_or(key.created_at) < long_ago;
        [
            parts::name(&key.label, parts::code(&key.mask)),
            html! { (key.scopes.join(", ")) },
            html! {
                (parts::time_or(key.last_used_at, "Never"))
                @if is_unused { " " (tag(Tone::Warn, "Unused for 90 days")) }
            },
        ]
    });
    Ok(html! {
        @if keys.is_empty() { p.soft { "None of their keys reaches this organization." } } @else {
            (table("API keys", &["Label", "Scopes", "Last use"], lines))
        }
    })
}

/// The way out, or why there is none.
fn leaving(visit: &Visit, here: &Here, row: &Row) -> Result<Markup> {
    let is_me = row.uuid == visit.user()?;
    if row.member.level == Level::Owner {
        let text = if is_me {
            "Owners cannot leave. Make somebody else an owner first, who can then change your level."
        } else {
            "Owners cannot be removed. Change their level first."
        };
        return Ok(html! { p.soft { (text) } });
    }
    if !members::may_remove(visit, here.at, row.uuid, &row.member)? {
        return Ok(Markup::default());
    }
    let path = here.path(&format!("members/{}/remove", row.uuid));
    let danger = parts::Danger {
        title: if is_me { "Leave this organization" } else { "Remove this member" },
        text: if is_me {
            "Your access, roles and API keys end here at once."
        } else {
            "Their access, roles and API keys end here at once."
        },
        path: &path,
        deed: if is_me { "Leave" } else { "Remove member" },
    };
    Ok(parts::danger_zone(&[danger]))
}

fn set_level(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    let here = visit.here(tx)?;
    let user = find(visit, tx, &here)?.uuid;
    members::update(visit, tx, here.at, user, visit.changed())?;
    Ok(visit.done(&here.path(&format!("members/{user}")), Said::LevelChanged))
}

fn ask(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let here = visit.here(tx)?;
    let row = find(visit, tx, &here)?;
    if !members::may_remove(visit, here.at, row.uuid, &row.member)? {
        return Ok(to(&here.path(&format!("members/{}", row.uuid))));
    }
    let is_me = row.uuid == visit.user()?;
    let name = row.user.full_name();
    let question =
        if is_me { format!("Leave {}?", here.organization.name) } else { format!("Remove {name}?") };
    let kept = if is_me {
        "Your account, and what you have made: projects, exports, plugins."
    } else {
        "The account, and what the person has made: projects, exports, plugins."
    };
    let confirm = Confirm {
        question: &question,
        lost: lost(tx, &here, &row)?,
        kept: vec![html! { (kept) }],
        deed: if is_me { "Leave" } else { "Remove member" },
        cancel: &here.path(&format!("members/{}", row.uuid)),
        token: visit.token(),
        ..Confirm::default()
    };
    visit.show(tx, &question, &confirm.render())
}

/// What ends with the membership, by number and name.
fn lost(tx: &Tx, here: &Here, row: &Row) -> Result<Vec<Markup>> {
    let keys = api_keys::reaching(tx, here.at.id, row.uuid)?;
    let labels: Vec<&str> = keys.iter().map(|(_, key)| key.label.as_str()).collect();
    let mut names = Vec::new();
    for id in role_memberships::roles_of(tx, here.at.id, row.uuid)? {
        names.push(roles::name(tx, here.at.id, id)?.unwrap_or_default());
    }
    let exports = batch_exports::count_by(tx, here.at.id, row.uuid)?;
    let mut lost =
        vec![html! { "Access to this organization and its projects, at once, also what was given by name." }];
    if !names.is_empty() {
        lost.push(html! { (counted(names.len() as u64, "role", "roles")) ": " (names.join(", ")) "." });
    }
    if !labels.is_empty() {
        let keys = counted(labels.len() as u64, "API key", "API keys");
        lost.push(html! { "What " (keys) " reach here: " (labels.join(", ")) "." });
    }
    if exports > 0 {
        lost.push(
            html! { (counted(exports, "export", "exports")) " in their name: paused, nothing is lost." },
        );
    }
    Ok(lost)
}

fn remove(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    let here = visit.here(tx)?;
    let user = find(visit, tx, &here)?.uuid;
    members::remove(visit, tx, here.at, user)?;
    let is_me = user == visit.user()?;
    Ok(if is_me {
        visit.done("/", Said::Left)
    } else {
        visit.done(&here.path("members"), Said::MemberRemoved)
    })
}
