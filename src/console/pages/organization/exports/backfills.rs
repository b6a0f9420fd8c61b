//! Backfills of an export: start one, see how far they are, cancel one.

use maud::{Markup, Render, html};
use serde_json::{Value, json};

use super::{Found, draft};
use crate::api::Reply;
use crate::api::call::parse_uuid;
use crate::console::form::{Control, Form};
use crate::console::parts::{self, Tone, head, live, section, table, tag, time_or};
use crate::console::visit::Visit;
use crate::console::words::Said;
use crate::error::{Result, not_found};
use crate::ids::BackfillId;
use crate::resources::batch_exports::backfills::{self, Backfill, Status};
use crate::resources::batch_exports::destination::Kind;
use crate::resources::batch_exports::{self, FIELDS};
use crate::store::{Tx, WriteTx};

pub(super) fn show(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let found = Found::of(visit, tx)?;
    visit.live(tx, || {
        let title = format!("Backfills of {}", found.export.name);
        let is_endless = found.export.destination.kind == Kind::Http;
        let help = if is_endless {
            "In UTC. Empty: until the present; then the export is unpaused."
        } else {
            "In UTC."
        };
        let form = Form::new(Some(visit.token()))
            .field(FIELDS, "start_at", |control| {
                control.help("In UTC. Empty: from the beginning, in one run.")
            })
            .field(FIELDS, "end_at", |control| end(control.help(help), is_endless))
            .refused(visit.refused())
            .button("Start backfill");
        visit.show(
            tx,
            &title,
            &html! {
                (found.crumbs())
                (form.summary())
                (head(&title, "A backfill exports a range of the past, one interval after the other.", None))
                (form.render())
                (section("Started so far", live("backfills", &visit.path, 2, list(visit, tx, &found)?)))
            },
        )
    })
}

fn end(control: Control<'_>, is_endless: bool) -> Control<'_> {
    if is_endless { control } else { control.label("To") }
}

fn list(visit: &Visit, tx: &Tx, found: &Found) -> Result<Markup> {
    let all = backfills::all_of(tx, found.id)?;
    let lines =
        all.iter().map(|(id, backfill)| line(visit, tx, *id, backfill)).collect::<Result<Vec<_>>>()?;
    Ok(html! {
        @if lines.is_empty() {
            (parts::empty("No backfills yet",
                "Start one to export what happened before this export was made, or to export it again.", None))
        } @else {
            (table("Backfills", &["Data", "State", "Progress", "Ended", ""], lines))
        }
    })
}

fn line(visit: &Visit, tx: &Tx, id: BackfillId, backfill: &Backfill) -> Result<[Markup; 5]> {
    let progress = batch_exports::progress(tx, backfill)?;
    let state = match backfill.status {
        Status::Running => tag(Tone::Plain, "Running"),
        Status::Completed => tag(Tone::Good, "Completed"),
        Status::Cancelled => tag(Tone::Warn, "Cancelled"),
    };
    let name = format!("cancel-{id}");
    let cancel = (backfill.status == Status::Running).then(|| {
        let form = Form::new(Some(visit.token())).named(&name).hidden("backfill", id.to_string());
        form.button_for("Cancel", "what", "cancel").render()
    });
    Ok([
        html! { (time_or(backfill.start, "The beginning")) " to " (time_or(backfill.end, "the present")) },
        state,
        html! {
            @if let Some(progress) = progress {
                @let (done, total) = (progress.finished_runs, progress.total_runs);
                (parts::progress(done, total, &format!("{done} of {total} runs")))
            } @else { (parts::counted(backfill.runs_made, "run", "runs")) }
        },
        time_or(backfill.finished_at, "Not yet"),
        cancel.unwrap_or_default(),
    ])
}

pub(super) fn act(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    let found = Found::of(visit, tx)?;
    let path = format!("{}/backfill", found.path);
    if visit.typed("what") == "cancel" {
        let id = parse_uuid(visit.typed("backfill")).map(BackfillId).ok_or_else(not_found)?;
        backfills::cancel_by_user(visit, tx, found.at, found.id, id)?;
        return Ok(visit.done(&path, Said::BackfillCancelled));
    }
    let body = json!({"start_at": moment(visit.typed("start_at")), "end_at": moment(visit.typed("end_at"))});
    backfills::create(visit, tx, found.at, found.id, draft::input(&body, false))?;
    Ok(visit.done(&path, Said::BackfillStarted))
}

/// A moment as browsers send it, which means UTC here.
fn moment(text: &str) -> Value {
    match text.trim() {
        "" => Value::Null,
        // With minutes or with seconds, and without a zone.
        text if text.len() == "2021-01-01T00:00".len() => format!("{text}:00Z").into(),
        text if text.len() == "2021-01-01T00:00:00".len() => format!("{text}Z").into(),
        text => text.into(),
    }
}
