//! One run of an export: how far it is, what it says of itself, another try.

use maud::{Markup, Render, html};

use super::{Found, advice, range, run_state};
use crate::api::Reply;
use crate::console::form::Form;
use crate::console::parts::{
    self, Select, Tone, amount, code, crumbs, facts, filters, head, live, notice, section, table, tag, time,
    time_or,
};
use crate::console::visit::Visit;
use crate::console::words::Said;
use crate::error::{Result, invalid_choice};
use crate::ids::RunId;
use crate::resources::batch_exports::backfills;
use crate::resources::batch_exports::logs::{self, Entry, Level};
use crate::resources::batch_exports::runs::{self, Run};
use crate::store::{Tx, WriteTx};

const LEVELS: &[(&str, &str)] = &[
    ("", "All levels"),
    ("ERROR", "Errors"),
    ("WARNING", "Warnings"),
    ("INFO", "Information"),
    ("DEBUG", "Details"),
];

pub(super) fn show(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let found = Found::of(visit, tx)?;
    let id: RunId = visit.id("run")?;
    visit.live(tx, || {
        let run = runs::find(tx, found.id, id)?;
        let title = format!("Run of {}", found.export.name);
        let form = Form::new(Some(visit.token())).refused(visit.refused());
        let form = match run.plan {
            Some(_) => form.button_for("Cancel this run", "what", "cancel"),
            None => form.button_for("Run again", "what", "retry"),
        };
        let select = Select { name: "level", label: "Level", choices: LEVELS, chosen: visit.chosen("level") };
        visit.show(
            tx,
            &title,
            &html! {
                (crumbs(&[(&found.here.path("exports"), "Exports"), (&found.path, &found.export.name)]))
                (form.summary())
                (head(&title, range(&run), None))
                (live("run", &visit.address(), 2, state(&run)))
                (form.render())
                (section("Log", html! {
                    (filters("Filter the log", None, &[select], &[]))
                    (live("log", &visit.address(), 2, log(visit, tx, &found, id)?))
                }))
            },
        )
    })
}

fn state(run: &Run) -> Markup {
    let mut all = vec![
        ("State", run_state(run.status)),
        ("Records", amount(run.records_completed.unwrap_or(run.progress.records))),
        ("Attempts", amount(run.attempts.into())),
        ("Begun", time(run.created_at)),
        ("Ended", time_or(run.finished_at, "Not yet")),
    ];
    if run.plan.is_some() && run.status != runs::Status::Running {
        all.push(("Next attempt", time(run.next_attempt_at)));
    }
    if let Some(backfill) = run.backfill {
        all.push(("Backfill", code(backfill.to_string())));
    }
    html! {
        @if let Some(error) = &run.latest_error {
            (notice(Tone::Bad, html! {
                p.title { "The last error" } p { (error) }
                @if let Some(advice) = advice(error) { p { (advice) } }
            }))
        }
        (facts(all))
    }
}

fn log(visit: &Visit, tx: &Tx, found: &Found, id: RunId) -> Result<Markup> {
    let chosen = visit.chosen("level");
    let level = Level::ALL.into_iter().find(|level| level.name() == chosen);
    let entries = logs::newest(tx, found.id, Some(id.to_string()), level, None)?;
    Ok(html! {
        @if entries.is_empty() {
            (parts::empty("No entries", "What attempts say of themselves is shown here, newest first.", None))
        } @else {
            (table("Log", &["When", "Level", "Message"], entries.iter().map(line)))
        }
    })
}

fn line(entry: &Entry) -> [Markup; 3] {
    let (tone, word) = match entry.level {
        Level::Error => (Tone::Bad, "Error"),
        Level::Warning => (Tone::Warn, "Warning"),
        Level::Info => (Tone::Plain, "Information"),
        Level::Debug => (Tone::Plain, "Detail"),
    };
    [time(entry.timestamp), tag(tone, word), html! { span.name { (entry.message) } }]
}

/// Runs the interval again, or ends a run that is not over.
pub(super) fn act(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    let found = Found::of(visit, tx)?;
    let id: RunId = visit.id("run")?;
    match visit.typed("what") {
        "retry" => {
            backfills::retry(visit, tx, found.at, found.id, id)?;
            Ok(visit.done(&found.path, Said::RunRetried))
        }
        "cancel" => {
            runs::cancel_by_user(visit, tx, found.at, found.id, id)?;
            Ok(visit.done(&format!("{}/runs/{id}", found.path), Said::RunCancelled))
        }
        other => Err(invalid_choice("what", other)),
    }
}
