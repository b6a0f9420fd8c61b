//! What requests about runs are answered.

use super::backfill_handlers::Started;
use super::handlers::place;
use super::logs;
use super::relative_time::of_query;
use super::runs::{self, Run, Status};
use super::{backfills, find};
use crate::api::cursor;
use crate::api::{Call, Reply};
use crate::clock::Time;
use crate::error::{Result, invalid_choice};
use crate::ids::{BatchExportId, RunId};
use crate::store::{Order, Tx, WriteTx};

/// Runs of one page.
const PAGE: usize = 100;
/// What a list without bounds shows.
const DEFAULT_DAYS: i64 = 7;
/// What PostHog's runs may be besides.
const OTHER_STATUSES: &[&str] = &["ContinuedAsNew", "FailedBilling", "Terminated", "TimedOut"];

const CREATED_AT: &str = "created_at";
const INTERVAL_START: &str = "data_interval_start";

/// Which runs are requested, and in which order.
struct Filter {
    by: &'static str,
    direction: Order,
    /// Bounds of what they are ordered by.
    from: Time,
    to: Time,
    statuses: Vec<String>,
}

impl Filter {
    fn of(call: &Call) -> Result<Filter> {
        let (by, direction) = cursor::ordering(call, &[CREATED_AT, INTERVAL_START])?;
        let [from, to] = if by == CREATED_AT { ["after", "before"] } else { ["start", "end"] };
        let statuses: Vec<String> =
            call.query.iter().filter(|(name, _)| name == "status").map(|(_, value)| value.clone()).collect();
        let is_status = |name: &String| {
            OTHER_STATUSES.contains(&name.as_str()) || Status::ALL.iter().any(|status| status.name() == name)
        };
        if let Some(unknown) = statuses.iter().find(|status| !is_status(status)) {
            return Err(invalid_choice("status", unknown));
        }
        let default_from = call.now.plus_seconds(-DEFAULT_DAYS * 24 * 60 * 60);
        Ok(Filter {
            by,
            direction,
            from: of_query(call, from)?.unwrap_or(default_from),
            to: of_query(call, to)?.unwrap_or(call.now),
            statuses,
        })
    }

    /// Where the run stands in the list; `None` where it is not in it.
    fn place(&self, run: &Run) -> Option<i64> {
        let (start, end) =
            if self.by == CREATED_AT { (run.created_at, run.created_at) } else { (run.start?, run.end) };
        let is_within = self.from <= start && end <= self.to;
        let is_status =
            self.statuses.is_empty() || self.statuses.iter().any(|name| name == run.status.name());
        (is_within && is_status).then_some(start.0)
    }
}

pub(super) fn list(call: &Call, tx: &Tx) -> Result<Reply> {
    let (at, export) = place(call)?;
    find(tx, at, export)?;
    let filter = Filter::of(call)?;
    let mut found = Vec::new();
    for ((_, id), run) in tx.scan(&runs::RUNS, &export, Order::Descending)? {
        if let Some(position) = filter.place(&run) {
            found.push(((position, id.0), (id, run)));
        }
    }
    let page = cursor::page(call, found, filter.direction, PAGE)?;
    page.reply(|(id, run)| Ok(runs::wire(export, id, run)))
}

pub(super) fn show(call: &Call, tx: &Tx) -> Result<Reply> {
    let (export, id, run) = of_path(call, tx)?;
    Reply::ok(&runs::wire(export, id, run))
}

pub(super) fn show_logs(call: &Call, tx: &Tx) -> Result<Reply> {
    let (export, id, _) = of_path(call, tx)?;
    logs::page_of_run(call, tx, export, id)
}

/// 201 with the backfill that runs the interval again.
pub(super) fn retry(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let (at, export) = place(call)?;
    let backfill_id = backfills::retry(call, tx, at, export, call.id("run_id")?)?;
    Reply::created(&Started { backfill_id })
}

pub(super) fn cancel(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let (at, export) = place(call)?;
    runs::cancel_by_user(call, tx, at, export, call.id("run_id")?)?;
    Reply::ok(&super::backfill_handlers::Cancelled { cancelled: true })
}

/// The run of the path, or 404.
fn of_path(call: &Call, tx: &Tx) -> Result<(BatchExportId, RunId, Run)> {
    let (at, export) = place(call)?;
    find(tx, at, export)?;
    let id = call.id("run_id")?;
    Ok((export, id, runs::find(tx, export, id)?))
}
