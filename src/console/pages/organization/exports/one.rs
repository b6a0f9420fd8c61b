//! One export: its state, its runs as they go, and the way out.

use maud::{Markup, Render, html};
use serde_json::{Value, json};

use super::{BARS, Found, advice, amounts, how_often, kind_name, range, run_state, state};
use crate::api::{Input, Paging, Reply};
use crate::console::form::Form;
use crate::console::parts::{
    self, Confirm, Danger, Shown, Tone, amount, code, counted, danger_zone, facts, head, live, name, notice,
    pager, section, table, time, time_or,
};
use crate::console::visit::Visit;
use crate::console::words::Said;
use crate::error::{Result, invalid_choice};
use crate::ids::RunId;
use crate::resources::batch_exports::logs::{self, Level};
use crate::resources::batch_exports::runs::{self, Run};
use crate::resources::batch_exports::{Model, backfills, commands};
use crate::resources::{projects, sessions, users};
use crate::store::{Tx, WriteTx};

const LINES: u64 = 25;

pub(super) fn show(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let found = Found::of(visit, tx)?;
    visit.live(tx, || {
        let export = &found.export;
        let edit = format!("{}/edit", found.path);
        let delete = format!("{}/delete", found.path);
        let summary = Form::new(None).refused(visit.refused()).summary();
        let danger = Danger {
            title: "Delete this export",
            text: "With its runs, backfills and logs. What was exported stays where it is.",
            path: &delete,
            deed: "Delete export",
        };
        visit.show(
            tx,
            &export.name,
            &html! {
                (parts::crumbs(&[(&found.here.path("exports"), "Exports")]))
                (summary)
                (head(&export.name, kind_name(export.destination.kind), Some((&edit, "Edit"))))
                @if export.paused { (why_paused(tx, &found)?) }
                (facts(about(tx, &found)?))
                (switches(visit, &found))
                (section("Runs", live("runs", &visit.address(), 2, timeline(visit, tx, &found)?)))
                (section("Backfills", past(tx, &found)?))
                (danger_zone(&[danger]))
            },
        )
    })
}

/// Since when it is paused, and by what.
fn why_paused(tx: &Tx, found: &Found) -> Result<Markup> {
    let since = found.export.last_paused_at;
    let entries = logs::newest(tx, found.id, None, Some(Level::Warning), Some("automatically paused"))?;
    // What paused it earlier is no reason for now.
    let reason = entries.first().filter(|entry| since.is_none_or(|since| entry.timestamp >= since));
    Ok(notice(
        Tone::Warn,
        html! {
            p.title { "Paused" @if let Some(since) = since { " since " (time(since)) } }
            @if let Some(entry) = reason { p { (entry.message) } }
            p { "No runs are made. Nothing is lost: what the pause leaves out can be exported when it ends." }
        },
    ))
}

fn about(tx: &Tx, found: &Found) -> Result<Vec<(&'static str, Markup)>> {
    let export = &found.export;
    let author = export.author.map(|author| users::get(tx, author)).transpose()?.flatten();
    let project = projects::name(tx, found.at.organization, export.project)?;
    let mut all = vec![
        ("State", state(export)),
        ("Project", html! { (project) }),
        ("What", html! { @if export.model == Some(Model::Persons) { "Persons" } @else { "Events" } }),
        ("How often", html! { (how_often(export)) }),
        ("Next run", time_or(export.next_run_at, "None")),
        ("Delivered to", delivered_to(found)),
        (
            "In the name of",
            html! { @if let Some(user) = author { (user.email) } @else { span.soft { "Nobody" } } },
        ),
        ("Made", time(export.created_at)),
    ];
    all.extend(export.start_at.map(|start| ("From", time(start))));
    all.extend(export.end_at.map(|end| ("To", time(end))));
    Ok(all)
}

/// What may be shown of where it goes.
fn delivered_to(found: &Found) -> Markup {
    const NAMES: [&str; 8] =
        ["url", "endpoint_url", "bucket_name", "prefix", "host", "database", "schema", "table_name"];
    let config = found.export.destination.config.value();
    let texts: Vec<&str> =
        NAMES.iter().filter_map(|name| config[*name].as_str()).filter(|text| !text.is_empty()).collect();
    code(texts.join(" / "))
}

fn switches(visit: &Visit, found: &Found) -> Markup {
    let form = Form::new(Some(visit.token()));
    let form = if found.export.paused {
        form.button_for("Unpause and fill the gap", "what", "fill").button_for("Unpause", "what", "unpause")
    } else {
        form.button_for("Pause", "what", "pause")
    };
    form.render()
}

fn timeline(visit: &Visit, tx: &Tx, found: &Found) -> Result<Markup> {
    let paging = Paging::by(visit, LINES);
    let (total, rows) = runs::find_page(tx, found.id, paging)?;
    let (_, newest) = runs::find_page(tx, found.id, Paging { limit: BARS, offset: 0 })?;
    let heads = ["Data", "State", "Records", "Attempts", "Ended"];
    Ok(html! {
        @if total == 0 {
            (parts::empty("No runs yet",
                "A run exports the data of one interval, as soon as that is over. A backfill exports earlier data now.",
                Some((&format!("{}/backfill", found.path), "Start a backfill"))))
        } @else {
            p.soft aria-live="polite" { (counted(total, "run", "runs")) }
            (amounts(&newest))
            (table("Runs", &heads, rows.iter().map(|(id, run)| line(found, *id, run))))
            (pager(&visit.address(), Shown { total, limit: paging.limit, offset: paging.offset }))
        }
    })
}

fn line(found: &Found, id: RunId, run: &Run) -> [Markup; 5] {
    [
        name(
            html! { a href={ (found.path) "/runs/" (id) } { (range(run)) } },
            if run.backfill.is_some() { "By a backfill" } else { "" },
        ),
        html! {
            div {
                (run_state(run.status))
                @if let Some(error) = &run.latest_error {
                    div.name { (error) }
                    @if let Some(advice) = advice(error) { small { (advice) } }
                }
            }
        },
        amount(run.records_completed.unwrap_or(run.progress.records)),
        amount(run.attempts.into()),
        time_or(run.finished_at, "Not yet"),
    ]
}

fn past(tx: &Tx, found: &Found) -> Result<Markup> {
    let all = backfills::all_of(tx, found.id)?;
    let running = all.iter().filter(|(_, backfill)| backfill.status == backfills::Status::Running).count();
    Ok(html! {
        p {
            @if running > 0 { (counted(running as u64, "backfill is", "backfills are")) " running. " }
            "A backfill exports a range of the past, one interval after the other. "
            a href={ (found.path) "/backfill" } { "Backfills" }
        }
    })
}

/// Pauses the export, or lets it run again.
pub(super) fn act(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    let found = Found::of(visit, tx)?;
    let said = match visit.typed("what") {
        "pause" => {
            commands::pause(visit, tx, found.at, found.id)?;
            Said::ExportPaused
        }
        what @ ("unpause" | "fill") => {
            let body: Value = json!({"backfill": what == "fill"});
            commands::unpause(visit, tx, found.at, found.id, Input::of(&body))?;
            Said::ExportUnpaused
        }
        other => return Err(invalid_choice("what", other)),
    };
    Ok(visit.done(&found.path, said))
}

pub(super) fn ask(visit: &Visit, tx: &Tx) -> Result<Reply> {
    sessions::require_recent_login(visit)?;
    let found = Found::of(visit, tx)?;
    let question = format!("Delete {}?", found.export.name);
    let confirm = Confirm {
        question: &question,
        lost: vec![
            html! { "The export with its settings and secrets. Runs that have begun are ended." },
            html! { "The list of its runs and backfills, and their logs." },
        ],
        kept: vec![
            html! { "What was exported, where it was exported to." },
            html! { "The events and persons of the project." },
        ],
        deed: "Delete export",
        cancel: &found.path,
        token: visit.token(),
        ..Confirm::default()
    };
    visit.show(tx, &question, &confirm.render())
}

pub(super) fn delete(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    sessions::require_recent_login(visit)?;
    let found = Found::of(visit, tx)?;
    commands::remove(visit, tx, found.at, found.id)?;
    Ok(visit.done(&found.here.path("exports"), Said::ExportDeleted))
}
