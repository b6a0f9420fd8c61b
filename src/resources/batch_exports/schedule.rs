//! When exports run: the end of the next interval of each, and the runs that are made once it has come.

use uuid::Uuid;

use super::runs::{self, Data};
use super::{BatchExport, EXPORTS, SCHEDULE, authors, backfills, get};
use crate::clock::Time;
use crate::error::Result;
use crate::ids::{BatchExportId, OrganizationId, UserId};
use crate::resources::events::EventIds;
use crate::store::{Order, Tx, WriteTx};

/// Scheduled runs of one export that may be open; after a downtime the others are made as these end.
const OPEN_RUNS_MAX: usize = 3;

impl BatchExport {
    /// The end of the first interval to be exported after `time`.
    pub(super) fn next_after(&self, time: Time) -> Option<Time> {
        let calendar = self.calendar();
        let mut next = calendar.next(time);
        if let Some(start) = self.start_at.filter(|start| *start > next) {
            next = calendar.ceil(start);
        }
        let is_over = self.end_at.is_some_and(|end| next > end);
        (!self.paused && !is_over).then_some(next)
    }
}

/// Pauses the export; false where it is paused already, and nothing changes.
pub(super) fn set_paused(tx: &WriteTx, now: Time, id: BatchExportId) -> Result<bool> {
    let Some((organization, before)) = get(tx, id)?.filter(|(_, export)| !export.paused) else {
        return Ok(false);
    };
    let mut export = before.clone();
    export.paused = true;
    export.last_paused_at = Some(now);
    export.last_updated_at = now;
    export.next_run_at = None;
    tx.replace(&EXPORTS, &(organization, id), &before, &export)?;
    Ok(true)
}

/// Lets the export run again from its next interval on, in the name of `by` or as before; false where it is
/// not paused.
pub(super) fn unpause_automatically(
    tx: &WriteTx,
    now: Time,
    id: BatchExportId,
    by: Option<UserId>,
) -> Result<bool> {
    let Some((organization, before)) = get(tx, id)?.filter(|(_, export)| export.paused) else {
        return Ok(false);
    };
    let mut export = before.clone();
    export.paused = false;
    export.author = by.or(export.author);
    export.last_updated_at = now;
    export.next_run_at = export.next_after(now);
    tx.replace(&EXPORTS, &(organization, id), &before, &export)?;
    Ok(true)
}

/// Makes the runs whose time has come, oldest first.
pub fn make_due(tx: &WriteTx, event_ids: &EventIds) -> Result<()> {
    const AT_ONCE: usize = 100;
    let now = event_ids.clock.now();
    let due = tx.range(&SCHEDULE, &Time(i64::MIN), &just_after(now), Order::Ascending)?;
    let due: Vec<((Time, BatchExportId), ())> = due.take(AT_ONCE).collect::<std::result::Result<_, _>>()?;
    for ((end, id), ()) in due {
        let Some((organization, before)) = get(tx, id)? else { continue };
        if !authors::answers_for(tx, organization, &before)? {
            authors::stop(tx, event_ids, id, &before)?;
            continue;
        }
        let mut export = before.clone();
        let mut end = Some(end);
        while let Some(due) = end.filter(|due| *due <= now) {
            if runs::count_open(tx, id)? >= OPEN_RUNS_MAX {
                break;
            }
            let start = Some(export.calendar().start_of(due));
            runs::create(tx, event_ids, id, &export, None, Data { start, end: due })?;
            end = export.next_after(due);
        }
        export.next_run_at = end;
        tx.replace(&EXPORTS, &(organization, id), &before, &export)?;
    }
    Ok(())
}

/// When the next run that is not due yet will be.
pub fn next_due(tx: &Tx, now: Time) -> Result<Option<Time>> {
    let first = tx.range(&SCHEDULE, &just_after(now), &Time(i64::MAX), Order::Ascending)?.next();
    Ok(first.transpose()?.map(|((due, _), ())| due))
}

/// Whether several organizations have exports.
pub fn are_shared(tx: &Tx) -> Result<bool> {
    let (least, greatest) = ((Uuid::nil(), Uuid::nil()), (Uuid::max(), Uuid::max()));
    let end = |order| -> Result<Option<OrganizationId>> {
        let row = tx.range(&EXPORTS, &least, &greatest, order)?.next();
        Ok(row.transpose()?.map(|((organization, _), _)| organization))
    };
    Ok(end(Order::Ascending)? != end(Order::Descending)?)
}

/// Whether there may be a run to be made.
pub fn is_due(tx: &Tx, now: Time) -> Result<bool> {
    let scheduled = tx.range(&SCHEDULE, &Time(i64::MIN), &just_after(now), Order::Ascending)?.next();
    Ok(scheduled.transpose()?.is_some() || backfills::any_open(tx)?)
}

fn just_after(time: Time) -> Time {
    Time(time.0.saturating_add(1))
}
