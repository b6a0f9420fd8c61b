//! Batch exports of an organization: what leaves its projects, where to, and how that goes.

mod backfills;
mod draft;
mod edit;
mod new;
mod one;
mod run;
mod typed;

use maud::{Markup, html};

use super::{BASE, HERE, LINES};
use crate::api::{InProject, Paging, Place, Reply, Within};
use crate::app::session;
use crate::console::chart::{Bar, bars};
use crate::console::frame::Here;
use crate::console::page::{Page, page};
use crate::console::parts::{
    Shown, Tone, counted, empty, head, link_to, moment, name, pager, table, tag, time, time_or,
};
use crate::console::visit::Visit;
use crate::console::words;
use crate::error::Result;
use crate::ids::{BatchExportId, RunId};
use crate::resources::batch_exports::destination::Kind;
use crate::resources::batch_exports::runs::{self, Run, Status};
use crate::resources::batch_exports::{self, BatchExport};
use crate::resources::projects;
use crate::store::Tx;

/// One export belongs to its project.
const PLACE: Within = Within::ProjectBy(batch_exports::project_of_export);

pub(in crate::console) fn pages() -> Vec<Page> {
    let all = format!("{BASE}/exports");
    let one = format!("{all}/{{id}}");
    vec![
        page(&all, session(), HERE, list),
        page(format!("{all}/new"), session(), HERE, new::choose),
        page(format!("{all}/new/{{destination}}"), session(), HERE, new::show).works(new::send),
        page(&one, session(), PLACE, one::show).does(one::act),
        page(format!("{one}/edit"), session(), PLACE, edit::show).works(edit::send),
        page(format!("{one}/delete"), session(), PLACE, one::ask).does(one::delete),
        page(format!("{one}/backfill"), session(), PLACE, backfills::show).does(backfills::act),
        page(format!("{one}/runs/{{run}}"), session(), PLACE, run::show).does(run::act),
    ]
}

/// Runs that a chart shows.
const BARS: u64 = 24;

fn list(visit: &Visit, tx: &Tx) -> Result<Reply> {
    visit.live(tx, || {
        let here = visit.here(tx)?;
        let paging = Paging::by(visit, LINES);
        let (total, rows) = batch_exports::find_page(visit, tx, Place::Organization(here.at), paging)?;
        let new = here.path("exports/new");
        let lines = rows.iter().map(|((_, id), export)| line(tx, &here, *id, export));
        let lines = lines.collect::<Result<Vec<_>>>()?;
        let heads = ["Name", "Destination", "State", "Last runs", "Next run", ""];
        visit.show(
            tx,
            "Exports",
            &html! {
                (head("Exports", counted(total, "export", "exports"), Some((&new, "New export"))))
                @if total == 0 {
                    (empty("No exports yet",
                        "An export copies the events or the persons of a project to a bucket, a database or a web \
                         address, again and again, so that they can be used elsewhere.",
                        Some((&new, "New export"))))
                } @else {
                    (crate::console::parts::live("exports", &visit.address(), 2, table("Exports", &heads, lines)))
                    (pager(&visit.address(), Shown { total, limit: paging.limit, offset: paging.offset }))
                }
            },
        )
    })
}

fn line(tx: &Tx, here: &Here, id: BatchExportId, export: &BatchExport) -> Result<[Markup; 6]> {
    let project = projects::name(tx, here.at.id, export.project)?;
    let (_, last) = runs::find_page(tx, id, Paging { limit: BARS, offset: 0 })?;
    let path = here.path(&format!("exports/{id}"));
    Ok([
        name(html! { a href=(path) { (export.name) } }, project),
        html! { (kind_name(export.destination.kind)) },
        state(export),
        html! { @if last.is_empty() { span.soft { "None yet" } } @else { (ticks(&last)) } },
        time_or(export.next_run_at, "None"),
        link_to(&path, "Open", &export.name),
    ])
}

/// An export with its place.
struct Found {
    here: Here,
    at: InProject,
    id: BatchExportId,
    export: BatchExport,
    /// Where its page is.
    path: String,
}

impl Found {
    fn of(visit: &Visit, tx: &Tx) -> Result<Found> {
        let (here, at, id) = (visit.here(tx)?, visit.project()?, visit.id("id")?);
        let export = batch_exports::find(tx, at, id)?;
        let path = here.path(&format!("exports/{id}"));
        Ok(Found { here, at, id, export, path })
    }

    /// The way to the pages above one of its pages.
    fn crumbs(&self) -> Markup {
        let exports = self.here.path("exports");
        crate::console::parts::crumbs(&[(&exports, "Exports"), (&self.path, &self.export.name)])
    }
}

/// What people call a type of destination.
fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::S3 => "S3 bucket",
        Kind::Postgres => "PostgreSQL",
        Kind::Redshift => "Amazon Redshift",
        Kind::Http => "Web address (HTTP)",
        other => other.name(),
    }
}

fn state(export: &BatchExport) -> Markup {
    if export.paused {
        tag(Tone::Warn, "Paused")
    } else if export.next_run_at.is_none() {
        tag(Tone::Plain, "Ended")
    } else {
        tag(Tone::Good, "Running")
    }
}

fn run_state(status: Status) -> Markup {
    let (tone, word) = run_word(status);
    tag(tone, word)
}

fn run_word(status: Status) -> (Tone, &'static str) {
    match status {
        Status::Starting => (Tone::Plain, "Waiting"),
        Status::Running => (Tone::Plain, "Running"),
        Status::Completed => (Tone::Good, "Completed"),
        Status::Failed => (Tone::Bad, "Failed"),
        Status::FailedRetryable => (Tone::Bad, "Gave up"),
        Status::Cancelled => (Tone::Warn, "Cancelled"),
    }
}

/// Bars of equal height: how the newest runs ended.
fn ticks(newest_first: &[(RunId, Run)]) -> Markup {
    chart(newest_first, |_, _| 1)
}

/// Bars of what the newest runs have exported; a run that failed is as high as the highest.
fn amounts(newest_first: &[(RunId, Run)]) -> Markup {
    chart(newest_first, |run, most| match run.status {
        Status::Failed | Status::FailedRetryable => most,
        _ => run.records_completed.unwrap_or(run.progress.records),
    })
}

fn chart(newest_first: &[(RunId, Run)], height: fn(&Run, u64) -> u64) -> Markup {
    let most = newest_first.iter().filter_map(|(_, run)| run.records_completed).max().unwrap_or(0).max(1);
    let bar = |(_, run): &(RunId, Run)| Bar {
        label: format!("{}: {}", moment(run.end), run_word(run.status).1),
        value: height(run, most),
        tone: run_word(run.status).0,
    };
    let count =
        |wanted: Tone| newest_first.iter().filter(|(_, run)| run_word(run.status).0 == wanted).count();
    let sentence = format!(
        "Of the last {}, {} completed and {} failed.",
        counted(newest_first.len() as u64, "run", "runs"),
        count(Tone::Good),
        count(Tone::Bad)
    );
    bars(&sentence, &newest_first.iter().rev().map(bar).collect::<Vec<_>>())
}

/// The data of a run: from when to when.
fn range(run: &Run) -> Markup {
    html! {
        @if let Some(start) = run.start { (time(start)) } @else { "The beginning" }
        " to " (time(run.end))
    }
}

/// What somebody can do about an error of a run, where that is known.
fn advice(error: &str) -> Option<&'static str> {
    const KNOWN: &[(&str, &str)] = &[
        (
            "InvalidAccessKeyId",
            "The store does not know the access key. Type both parts of it again under Edit.",
        ),
        ("SignatureDoesNotMatch", "The secret access key is another one. Type it again under Edit."),
        ("AccessDenied", "The key needs the right to write objects into this bucket below the prefix."),
        (
            "Access is denied",
            "The credentials are known but may not do this. Check the rights that they have.",
        ),
        ("NoSuchBucket", "Make the bucket, or correct its name and region under Edit."),
        ("no such bucket", "Make the bucket, or correct its name and region under Edit."),
        ("password authentication", "User or password are others now. Type the password again under Edit."),
        ("28P01", "User or password are others now. Type the password again under Edit."),
        ("permission denied", "Give the user the rights to make the table in the schema and to write to it."),
        ("42501", "Give the user the rights to make the table in the schema and to write to it."),
        ("does not exist", "Check the names of the database and of the schema under Edit."),
        ("private or local", "This server connects to public addresses only. Its operator can allow others."),
        ("status: 401", "The receiver wants another token. Type it again under Edit."),
        ("status: 403", "The receiver refuses the token. Type another under Edit."),
        (
            "certificate",
            "The certificate is not one that this server trusts. Renew it, or say that it is the server's own.",
        ),
        ("secrets", "The secrets cannot be read any more. Type them again under Edit."),
    ];
    KNOWN.iter().find(|(part, _)| error.contains(part)).map(|(_, advice)| *advice)
}

/// How often an export runs.
fn how_often(export: &BatchExport) -> &'static str {
    words::choice("interval", export.interval.name())
}
