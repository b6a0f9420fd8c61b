//! The first page of an organization: what there is, and what happened last.

use maud::{Markup, html};

use super::{BASE, HERE};
use crate::api::{Level, Paging, Reply};
use crate::app::session;
use crate::console::frame::Here;
use crate::console::page::{Page, page};
use crate::console::pages::days;
use crate::console::parts::{Step, counted, facts, head, section, steps, table, time};
use crate::console::visit::Visit;
use crate::console::words;
use crate::error::Result;
use crate::ids::ProjectId;
use crate::resources::audit::{self, Line};
use crate::resources::projects::Short;
use crate::resources::{api_keys, batch_exports, events, invites, members, organizations, projects, users};
use crate::store::Tx;

pub(super) fn pages() -> Vec<Page> {
    vec![page(BASE, session(), HERE, show)]
}

/// So many entries of the audit log are shown.
const ENTRIES: u64 = 10;

/// What there is.
struct Counts {
    people: u64,
    invites: u64,
    projects: Vec<Short>,
    exports: (u64, u64),
}

impl Counts {
    fn load(visit: &Visit, tx: &Tx, here: &Here) -> Result<Counts> {
        let id = here.at.id;
        let projects = projects::visible_in(tx, id, visit.user()?, here.at.level)?;
        let one = Paging { limit: 1, offset: 0 };
        Ok(Counts {
            people: members::count(tx, id)?,
            invites: invites::find_page(visit, tx, here.at, "", one)?.0,
            exports: batch_exports::count_in(tx, id, &numbers(&projects))?,
            projects,
        })
    }
}

fn numbers(projects: &[Short]) -> Vec<ProjectId> {
    projects.iter().map(|project| project.id).collect()
}

fn show(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let here = visit.here(tx)?;
    let counts = Counts::load(visit, tx, &here)?;
    let days = events::daily(tx, &numbers(&counts.projects), visit.now, days::DAYS)?;
    let entries = if here.is(Level::Admin) { audit::newest(tx, here.at, ENTRIES)? } else { Vec::new() };
    let level = format!("You are {} here.", words::with_article(here.at.level));
    visit.show(
        tx,
        "Overview",
        &html! {
            (head(&here.organization.name, level, None))
            (first_steps(visit, tx, &here, &counts)?)
            (what_there_is(&here, &counts))
            (section("Events a day", days::chart(&days)))
            @if here.is(Level::Admin) { (section("Last changes", last_changes(&here, &entries))) }
        },
    )
}

fn what_there_is(here: &Here, counts: &Counts) -> Markup {
    let link = |tail: &str, text: String| html! { a href=(here.path(tail)) { (text) } };
    let (running, paused) = counts.exports;
    facts([
        ("People", link("members", counted(counts.people, "person", "people"))),
        ("Invites", link("invites", counted(counts.invites, "invite", "invites"))),
        ("Projects", link("projects", counted(counts.projects.len() as u64, "project", "projects"))),
        ("Exports", link("exports", format!("{running} running, {paused} paused"))),
    ])
}

/// What somebody does first in a new organization; nothing once it is in use.
fn first_steps(visit: &Visit, tx: &Tx, here: &Here, counts: &Counts) -> Result<Markup> {
    let user = visit.user()?;
    let has_people = counts.people > 1 || counts.invites > 0;
    let has_key = !api_keys::reaching(tx, here.at.id, user)?.is_empty();
    let has_events = counts.projects.iter().any(|project| project.ingested_event);
    if (has_people || !organizations::can_invite(tx, here.at)?) && has_key && has_events {
        return Ok(Markup::default());
    }
    let project = match counts.projects.first() {
        Some(project) => format!("/project/{}", project.id),
        None => here.path("projects"),
    };
    let invites = here.path("invites/new");
    let mut all = vec![
        Step {
            title: "Send the first event",
            text: "Copy the token of a project and a snippet for your language.",
            path: &project,
            action: "Open the project",
            is_done: has_events,
        },
        Step {
            title: "Make an API key",
            text: "For Terraform, scripts and other programs that act in your name.",
            path: "/settings/api-keys/new",
            action: "Make a key",
            is_done: has_key,
        },
    ];
    if organizations::can_invite(tx, here.at)? {
        let invite = Step {
            title: "Invite the people you work with",
            text: "Several at once, one address a line.",
            path: &invites,
            action: "Invite people",
            is_done: has_people,
        };
        all.insert(0, invite);
    }
    if users::find(tx, user)?.is_staff {
        all.push(Step {
            title: "Make a backup",
            text: "One file holds everything. See how to copy it and how to restore it.",
            path: "/instance/backups",
            action: "Open backups",
            is_done: false,
        });
    }
    Ok(section("First steps", steps(&all)))
}

fn last_changes(here: &Here, entries: &[Line]) -> Markup {
    if entries.is_empty() {
        return html! { p.soft { "Nothing has changed yet. Who changes what will stand here." } };
    }
    let line = |entry: &Line| {
        let scope = words::scope(&entry.scope);
        let name = entry.name.as_deref().filter(|name| !name.is_empty()).unwrap_or(scope);
        [
            html! { span.name { (name) } small { (scope) " " (entry.activity.replace('_', " ")) } },
            html! { (entry.who.as_deref().unwrap_or("The operator")) },
            time(entry.created_at),
        ]
    };
    html! {
        (table("Last changes", &["What", "Who", "When"], entries.iter().map(line)))
        p { a href=(here.path("audit")) { "The whole audit log" } }
    }
}
