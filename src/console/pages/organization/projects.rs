//! The projects of an organization.

use std::sync::Arc;

use maud::{Markup, Render, html};
use serde_json::json;

use super::{BASE, HERE, LINES};
use crate::api::{Level, Paging, Reply};
use crate::app::session;
use crate::console::chart::sparkline;
use crate::console::form::{Control, Form};
use crate::console::page::{Page, page};
use crate::console::pages::days::DAYS;
use crate::console::parts::{
    self, Shown, Tone, amount, counted, empty, head, link_to, pager, search, table, tag,
};
use crate::console::visit::Visit;
use crate::console::words::Said;
use crate::error::Result;
use crate::resources::projects::{self, Short};
use crate::resources::{events, organizations};
use crate::store::{Tx, WriteTx};

pub(super) fn pages() -> Vec<Page> {
    let all = format!("{BASE}/projects");
    vec![page(&all, session(), HERE, list), page(format!("{all}/new"), session(), HERE, offer).works(send)]
}

fn list(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let here = visit.here(tx)?;
    let text = visit.query("q").unwrap_or_default();
    let paging = Paging::by(visit, LINES);
    let (total, page) = projects::find_page(visit, tx, here.at, Some(text), paging)?;
    let lines = page.iter().map(|project| line(visit, tx, project)).collect::<Result<Vec<_>>>()?;
    let new = here.path("projects/new");
    let may_create = organizations::may_create_projects(tx, here.at).is_ok();
    let action = may_create.then_some((new.as_str(), "Make a project"));
    let all = here.path("projects");
    visit.show(
        tx,
        "Projects",
        &html! {
            (head("Projects", counted(total, "project", "projects"), action))
            @if total > LINES || !text.is_empty() { (search("Search projects", "Name", text)) }
            @if !lines.is_empty() {
                (table("Projects", &["Name", "Events in 30 days", "Events a day", "Time zone", "Seen by", ""], lines))
                (pager(&visit.address(), Shown { total, limit: paging.limit, offset: paging.offset }))
            } @else if text.is_empty() {
                (empty("There is no project that you see",
                    "A project has a token that events are sent with. Each app or site usually has one of its own.",
                    action))
            } @else {
                (empty("Nothing found", "No name contains this text.", Some((&all, "Show all projects"))))
            }
        },
    )
}

fn line(visit: &Visit, tx: &Tx, project: &Short) -> Result<[Markup; 6]> {
    let days = events::daily(tx, &[project.id], visit.now, DAYS)?;
    let values: Vec<u64> = days.iter().map(|day| day.events).collect();
    let total = values.iter().sum();
    let seen_by = if project.access_control {
        tag(Tone::Plain, "Whom it names")
    } else {
        html! { "Everybody" }
    };
    Ok([
        parts::name(&project.name, format!("No. {}", project.id)),
        amount(total),
        html! { @if total > 0 { (sparkline("Events a day", &values)) } @else { span.soft { "None" } } },
        html! { (project.timezone) },
        seen_by,
        link_to(format!("/project/{}", project.id), "Open", &project.name),
    ])
}

fn offer(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let here = visit.here(tx)?;
    organizations::may_create_projects(tx, here.at)?;
    let list = here.path("projects");
    let zones = projects::timezones().into_iter().map(|zone| (zone, zone));
    let mut form = Form::new(Some(visit.token())).field(projects::FIELDS, "name", Control::first).field(
        projects::FIELDS,
        "timezone",
        |control| control.choices(zones),
    );
    if here.is(Level::Admin) {
        form = form.fields(projects::FIELDS, &["access_control"]);
    }
    let form = form
        .once(visit.once())
        .show(json!({"timezone": "UTC"}))
        .refused(visit.refused())
        .button("Make project")
        .cancel(&list);
    visit.show(
        tx,
        "Make a project",
        &html! {
            (parts::crumbs(&[(&list, "Projects")]))
            (form.summary())
            (head("Make a project", "It gets a token of its own that events are sent with.", None))
            (form.render())
        },
    )
}

async fn send(visit: Arc<Visit>) -> Result<Reply> {
    let list = visit.read(|visit, tx| Ok(visit.here(tx)?.path("projects")))?;
    visit.write_once(&list, make).await
}

fn make(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    let made = projects::create(visit, tx, visit.organization()?, visit.filled())?;
    Ok(visit.done(&format!("/project/{}", made.id), Said::ProjectMade))
}
