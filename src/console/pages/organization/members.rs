//! People of an organization: who they are, what they may do, how they leave.

use maud::{Markup, Render, html};
use serde_json::json;

use super::{BASE, HERE};
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
use crate::resources::members::{self, Row, Wanted};
use crate::store::{Tx, WriteTx};

pub(in crate::console) fn pages() -> Vec<Page> {
    let all = format!("{BASE}/members");
    let one = format!("{all}/{{user__uuid}}");
    vec![
        page(all, session(), HERE, list),
        page(&one, session(), HERE, show).does(set_level),
        page(format!("{one}/remove"), session(), HERE, ask).does(remove),
    ]
}

const LINES: u64 = 50;

fn list(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let here = visit.here(tx)?;
    let text = visit.query("q").unwrap_or_default();
    let chosen = visit.query("level").unwrap_or_default();
    let levels = chosen.parse().ok().and_then(Level::of).into_iter().collect();
    let wanted = Wanted::search(text)?.at_levels(levels);
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
            (parts::filters("Search members", Some(("Name or e-mail", text)), &[levels_select(chosen)], &[]))
            @if rows.is_empty() {
                (empty("Nobody found", "No name or e-mail address contains this text.",
                    Some((&here.path("members"), "Show everybody"))))
            } @else {
                (table("Members", &["Name", "Level", "Two-factor", "Joined", ""],
                    rows.iter().map(|row| line(&here, row, row.uuid == me))))
                (pager(&visit.address(), Shown { total, limit: paging.limit, offset: paging.offset }))
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
            (leaving(visit, &here, &row)?)
        },
    )
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
        text: "Their access, roles and API keys end here at once.",
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
    let confirm = Confirm {
        question: &question,
        lost: vec![
            html! { "Access to this organization and its projects, at once." },
            html! { "Roles, and the access that was given to this person by name." },
            html! { "What their API keys reach here. Exports in their name are paused." },
        ],
        kept: vec![html! { "The account, and what the person has made: projects, exports, plugins." }],
        deed: if is_me { "Leave" } else { "Remove member" },
        cancel: &here.path(&format!("members/{}", row.uuid)),
        token: visit.token(),
        ..Confirm::default()
    };
    visit.show(tx, &question, &confirm.render())
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
