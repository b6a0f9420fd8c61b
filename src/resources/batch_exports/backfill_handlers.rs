//! What requests about backfills are answered.

use serde::Serialize;

use super::backfills::{self, BACKFILLS, Backfill, Status};
use super::handlers::{place, wire};
use super::{find, runs};
use crate::api::cursor;
use crate::api::{Call, Field, FieldInfo, InProject, Reply};
use crate::clock::Time;
use crate::error::Result;
use crate::ids::{BackfillId, BatchExportId, ProjectId};
use crate::store::{Order, Tx, WriteTx};

/// Backfills of one page.
const PAGE: usize = 50;

const PROGRESS: &[FieldInfo] = &[
    Field::integer("total_runs", 0, i64::MAX).read_only(),
    Field::integer("finished_runs", 0, i64::MAX).read_only(),
    Field::json("progress").read_only().described("From 0 to 1, with one digit after the point."),
];

pub(super) const FIELDS: &[FieldInfo] = &[
    Field::uuid("id").read_only(),
    Field::integer("team", 0, i64::MAX).read_only().described("The number of the project."),
    Field::uuid("batch_export").read_only(),
    Field::time("start_at").nullable().read_only(),
    Field::time("end_at").nullable().read_only(),
    Field::long_text("status").read_only(),
    Field::time("created_at").read_only(),
    Field::time("finished_at").nullable().read_only(),
    Field::time("last_updated_at").read_only(),
    Field::time("adjusted_start_at").nullable().read_only(),
    Field::integer("total_expected_runs", 0, i64::MAX).nullable().read_only(),
    Field::integer("total_records_count", 0, i64::MAX).nullable().read_only(),
    Field::object("progress", PROGRESS).nullable().read_only(),
];

pub(super) const STARTED: &[FieldInfo] = &[Field::uuid("backfill_id").read_only()];
pub(super) const CANCELLED: &[FieldInfo] = &[Field::boolean("cancelled").read_only()];

#[derive(Serialize)]
pub(super) struct Started {
    pub(super) backfill_id: BackfillId,
}

#[derive(Serialize)]
pub(super) struct Cancelled {
    pub(super) cancelled: bool,
}

#[derive(Serialize)]
struct Wire {
    id: BackfillId,
    team: ProjectId,
    batch_export: BatchExportId,
    start_at: Option<Time>,
    end_at: Option<Time>,
    status: &'static str,
    created_at: Time,
    finished_at: Option<Time>,
    last_updated_at: Time,
    /// Backfills begin where the request says, whether there is data or not.
    adjusted_start_at: Option<Time>,
    total_expected_runs: Option<u64>,
    /// Nobody counts what a backfill will export before it does.
    total_records_count: Option<u64>,
    progress: Option<Progress>,
}

/// How far a backfill is.
#[derive(Debug, PartialEq, Serialize)]
pub struct Progress {
    pub total_runs: u64,
    pub finished_runs: u64,
    /// With one digit after the point.
    progress: f64,
}

impl Progress {
    /// `None` for what has none: what was cancelled, has no end, or is one run from the beginning.
    fn of(backfill: &Backfill, is_under_way: bool) -> Option<Progress> {
        let total = backfill.total_runs.filter(|_| backfill.start.is_some())?;
        let finished = match backfill.status {
            Status::Cancelled => return None,
            Status::Completed => total,
            Status::Running => backfill.runs_made.saturating_sub(u64::from(is_under_way)).min(total),
        };
        let tenths = if total == 0 { 10 } else { (finished.saturating_mul(20) + total) / (2 * total) };
        // Only what is over has reached the end.
        let tenths = if finished < total { tenths.min(9) } else { 10 };
        let progress = f64::from(u8::try_from(tenths).unwrap_or(10)) / 10.0;
        Some(Progress { total_runs: total, finished_runs: finished, progress })
    }
}

/// How far a backfill is; `None` for what has no end, or was cancelled.
///
/// # Errors
/// None but of the data file.
pub fn progress(tx: &Tx, backfill: &Backfill) -> Result<Option<Progress>> {
    let is_under_way = match backfill.run {
        Some(run) => runs::is_open(tx, run)?,
        None => false,
    };
    Ok(Progress::of(backfill, is_under_way))
}

fn shown(
    tx: &Tx,
    at: InProject,
    (export, id): (BatchExportId, BackfillId),
    backfill: Backfill,
) -> Result<Wire> {
    Ok(Wire {
        id,
        team: at.id,
        batch_export: export,
        start_at: backfill.start,
        end_at: backfill.end,
        status: backfill.status.name(),
        created_at: backfill.created_at,
        finished_at: backfill.finished_at,
        last_updated_at: backfill.last_updated_at,
        adjusted_start_at: None,
        total_expected_runs: backfill.total_runs,
        total_records_count: None,
        progress: progress(tx, &backfill)?,
    })
}

pub(super) fn list(call: &Call, tx: &Tx) -> Result<Reply> {
    const START_AT: &str = "start_at";
    let (at, export) = place(call)?;
    find(tx, at, export)?;
    let (by, direction) = cursor::ordering(call, &["created_at", START_AT])?;
    let position = |id: BackfillId, backfill: &Backfill| match by {
        START_AT => (backfill.start.map_or(i64::MIN, |start| start.0), id.0),
        _ => (backfill.created_at.0, id.0),
    };
    let all = tx.scan(&BACKFILLS, &export, Order::Ascending)?.into_iter();
    let all = all.map(|((_, id), backfill)| (position(id, &backfill), (id, backfill))).collect();
    let page = cursor::page(call, all, direction, PAGE)?;
    page.reply(|(id, backfill)| shown(tx, at, (export, id), backfill))
}

pub(super) fn show(call: &Call, tx: &Tx) -> Result<Reply> {
    let (at, export) = place(call)?;
    find(tx, at, export)?;
    let id = call.id("backfill_id")?;
    Reply::ok(&shown(tx, at, (export, id), backfills::find_one(tx, export, id)?)?)
}

/// 201 with the identifier of the backfill.
pub(super) fn post(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let (at, export) = place(call)?;
    let backfill_id = backfills::create(call, tx, at, export, call.input())?;
    Reply::created(&Started { backfill_id })
}

/// As PostHog's API of 2024: 200 with the export and the backfill's name.
pub(super) fn post_2024(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let (at, export) = place(call)?;
    let name = backfills::create_2024(call, tx, at, export, call.input())?;
    Reply::ok(&wire(tx, export, &find(tx, at, export)?, Some(name))?)
}

pub(super) fn cancel(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let (at, export) = place(call)?;
    backfills::cancel_by_user(call, tx, at, export, call.id("backfill_id")?)?;
    Reply::ok(&Cancelled { cancelled: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_in_tenths_and_is_whole_at_the_end_only() {
        for (status, total, made, is_under_way, wanted) in [
            (Status::Running, 4, 0, false, Some((0, 0.0))),
            (Status::Running, 4, 1, true, Some((0, 0.0))),
            (Status::Running, 4, 2, true, Some((1, 0.3))),
            (Status::Running, 3, 3, true, Some((2, 0.7))),
            (Status::Running, 1000, 999, false, Some((999, 0.9))),
            (Status::Running, 0, 0, false, Some((0, 1.0))),
            (Status::Completed, 4, 4, false, Some((4, 1.0))),
            (Status::Cancelled, 4, 2, false, None),
        ] {
            let backfill = Backfill {
                status,
                total_runs: Some(total),
                runs_made: made,
                ..Backfill::begun(Some(Time(0)), Some(Time(1)), Time(0), None)
            };
            let progress = Progress::of(&backfill, is_under_way);
            assert_eq!(
                progress.map(|found| (found.finished_runs, found.progress)),
                wanted,
                "{made} of {total}"
            );
        }
        let endless = Backfill::begun(Some(Time(0)), None, Time(0), None);
        assert_eq!(Progress::of(&endless, false), None);
    }
}
