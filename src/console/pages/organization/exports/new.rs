//! A new export: choose a destination, fill its form in, test it, make it.

use std::sync::Arc;

use maud::{Render, html};

use super::{draft, kind_name};
use crate::api::{InProject, Reply};
use crate::console::frame::Here;
use crate::console::parts::{crumbs, empty, facts, head, link_to};
use crate::console::visit::Visit;
use crate::console::words::Said;
use crate::error::{Error, Result, invalid, invalid_choice, not_found};
use crate::resources::batch_exports::destination::{Kind, lacking};
use crate::resources::batch_exports::{self, Tested, commands};
use crate::resources::{projects, sessions};
use crate::store::{Tx, WriteTx};

/// The types that can be delivered to, by their names in paths.
const KINDS: [(&str, Kind, &str); 4] = [
    (
        "s3",
        Kind::S3,
        "Files in a bucket of Amazon S3 or of a store that speaks its protocol, as JSON lines or Parquet.",
    ),
    ("postgres", Kind::Postgres, "Rows in a table of a PostgreSQL database, which is made if there is none."),
    ("redshift", Kind::Redshift, "Rows in a table of a Redshift cluster."),
    ("http", Kind::Http, "Events in batches to another server that takes them as PostHog's /batch/ does."),
];

pub(super) fn choose(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let here = visit.here(tx)?;
    let projects = projects_of(visit, tx, &here)?;
    let to = |(segment, kind, text): (&'static str, Kind, &'static str)| {
        let path = here.path(&format!("exports/new/{segment}"));
        (kind_name(kind), html! { p { (text) } (link_to(path, "Choose", kind_name(kind))) })
    };
    visit.show(
        tx,
        "New export",
        &html! {
            (crumbs(&[(&here.path("exports"), "Exports")]))
            (head("New export", "Choose where the data is to go.", None))
            @if projects.is_empty() {
                (empty("A project first", "Exports copy the data of a project, and you see none here yet.",
                    Some((&here.path("projects"), "Projects"))))
            } @else { (facts(KINDS.map(to))) }
        },
    )
}

/// The type that the path names.
fn kind(visit: &Visit) -> Result<Kind> {
    let found = KINDS.iter().find(|(segment, ..)| *segment == visit.param("destination"));
    found.map(|(_, kind, _)| *kind).ok_or_else(not_found)
}

pub(super) fn show(visit: &Visit, tx: &Tx) -> Result<Reply> {
    sessions::require_recent_login(visit)?;
    page(visit, tx, None)
}

fn page(visit: &Visit, tx: &Tx, steps: Option<&[Tested]>) -> Result<Reply> {
    let (here, kind) = (visit.here(tx)?, kind(visit)?);
    let title = format!("New export: {}", kind_name(kind));
    let new = here.path("exports/new");
    let form = draft::form(visit, kind, None, &projects_of(visit, tx, &here)?, steps.is_some())?
        .once(visit.once())
        .button("Create and run")
        .button_for("Create paused", "what", "paused")
        .button_for("Test", "what", "test")
        .cancel(&new);
    visit.show(
        tx,
        &title,
        &html! {
            (crumbs(&[(&here.path("exports"), "Exports"), (&new, "New export")]))
            (form.summary())
            @if let Some(steps) = steps { (draft::tested(steps)) }
            (head(&title, "Test it first: nothing is stored by a test.", None))
            (form.render())
        },
    )
}

/// The projects that the person sees: number and name.
fn projects_of(visit: &Visit, tx: &Tx, here: &Here) -> Result<Vec<(String, String)>> {
    let seen = projects::visible_in(tx, here.at.id, visit.user()?, here.at.level)?;
    Ok(seen.into_iter().map(|project| (project.id.to_string(), project.name)).collect())
}

/// The project that was chosen, where there is a choice.
fn project(visit: &Visit, tx: &Tx) -> Result<InProject> {
    let at = visit.organization()?;
    let user = visit.user()?;
    let chosen = visit.typed(draft::PROJECT.name);
    let seen = projects::visible_in(tx, at.id, user, at.level)?;
    if seen.len() < 2 && chosen.is_empty() {
        return commands::project_for_new(visit, tx, at);
    }
    let found = seen.iter().find(|project| project.id.to_string() == chosen);
    let found = found.ok_or_else(|| invalid_choice(draft::PROJECT.name, chosen))?;
    let level = projects::level_in(tx, at.id, found.id, user, at.level)?.ok_or_else(not_found)?;
    Ok(InProject { organization: at.id, id: found.id, level })
}

pub(super) async fn send(visit: Arc<Visit>) -> Result<Reply> {
    sessions::require_recent_login(&visit)?;
    if visit.typed("what") != "test" {
        let list = visit.read(|visit, tx| Ok(visit.here(tx)?.path("exports")))?;
        return visit.write_once(&list, create).await;
    }
    let (id, destination) = visit.read(|visit, tx| {
        let body = complete(visit)?;
        batch_exports::draft_to_test(visit, tx, project(visit, tx)?, None, draft::input(&body, false))
    })?;
    let steps = batch_exports::run_all(&visit.app, id, &destination).await?;
    visit.read(|visit, tx| page(visit, tx, Some(&steps)))
}

/// The body of a new export, where nothing is missing that has a field of its own.
fn complete(visit: &Visit) -> Result<serde_json::Value> {
    let (kind, mut body) = (kind(visit)?, draft::body(visit, kind(visit)?));
    body["paused"] = (visit.typed("what") == "paused").into();
    let config =
        body["destination"]["config"].as_object().ok_or_else(|| Error::internal("no configuration"))?;
    match lacking(kind, config) {
        Some(name) => Err(invalid(name, "required", "This field is required.")),
        None => Ok(body),
    }
}

fn create(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    let here = visit.here(tx)?;
    let body = complete(visit)?;
    let (id, _) = commands::create(visit, tx, project(visit, tx)?, draft::input(&body, false))?;
    Ok(visit.done(&here.path(&format!("exports/{id}")), Said::ExportMade))
}
