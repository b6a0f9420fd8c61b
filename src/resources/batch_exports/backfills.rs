//! Backfills: runs over a range of the past, one after the other.
//! Invariant: a backfill that is not over has a row in `OPEN`; a step that is over is never taken again.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::destination::Kind;
use super::handlers::{place, wire};
use super::logs::{self, Author, Level};
use super::runs::{self, Context, Data};
use super::schedule::unpause_automatically;
use super::{BatchExport, authors, find, get, isoformat};
use crate::api::fields::python_str;
use crate::api::{Call, Ctx, InProject, Input, Reply};
use crate::clock::{SECOND_MICROS, Time};
use crate::error::{Error, Result, invalid_body};
use crate::ids::{BackfillId, BatchExportId, RunId, UserId};
use crate::resources::events::EventIds;
use crate::resources::projects;
use crate::store::{Index, Order, Parent, Table, Tx, WriteTx};

/// How far a backfill is. Records hold the place in this list: add at the end only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    Running,
    Completed,
    Cancelled,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Backfill {
    pub status: Status,
    /// `None`: from the beginning, in one run.
    pub start: Option<Time>,
    /// `None`: until the present is reached.
    pub end: Option<Time>,
    pub created_at: Time,
    pub finished_at: Option<Time>,
    /// The run of the step under way, or of the last one.
    pub run: Option<RunId>,
    /// Where the next step begins.
    pub next: Option<Time>,
    /// Who started it, and answers for what it sends; `None` where nobody noted that.
    pub author: Option<UserId>,
}

/// By export and time.
pub(super) static BACKFILLS: Table<(BatchExportId, BackfillId), Backfill> =
    Table::new("batch_export_backfills")
        .indexed(&[&OPEN])
        .belongs_to(&[&Parent::of(&super::EXPORTS, |(_, export)| *export)]);
/// The export of every backfill that is not over.
pub(super) static OPEN: Index<(BatchExportId, BackfillId), Backfill, BackfillId, BatchExportId> =
    Index::unique("batch_export_backfills_open", |(export, id), backfill| {
        (backfill.status == Status::Running).then_some((*id, *export))
    });

/// Backfills of one export that are remembered.
const BACKFILLS_MAX: usize = 100;

impl Backfill {
    fn name(&self, export: BatchExportId) -> String {
        let bound = |time: Option<Time>, none: &str| time.map_or_else(|| none.to_owned(), isoformat);
        format!("{export}-Backfill-{}-{}", bound(self.start, "START"), bound(self.end, "END"))
    }

    fn range(&self) -> String {
        let bound = |time: Option<Time>, none: &str| time.map_or_else(|| none.to_owned(), isoformat);
        format!("{} - {}", bound(self.start, "START"), bound(self.end, "END"))
    }
}

/// 200 with the export and the backfill's name.
pub(super) fn post(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let (at, id) = place(call)?;
    let name = create(call, tx, at, id, call.input())?;
    Reply::ok(&wire(tx, id, &find(tx, at, id)?, Some(name))?)
}

/// Begins a backfill from `start_at` to `end_at`, in the actor's name; returns its name.
///
/// # Errors
/// 404 where the project has no such export; 400 for bounds that are none, or where the same backfill is running.
pub fn create(ctx: &Ctx, tx: &WriteTx, at: InProject, id: BatchExportId, input: Input<'_>) -> Result<String> {
    let export = find(tx, at, id)?;
    let body = input.value?;
    let (start, end) = (bound(body.get("start_at"))?, bound(body.get("end_at"))?);
    check_bounds(start, end)?;
    let latest = ctx.now.plus_seconds(export.interval.seconds());
    if let Some(end) = end.filter(|end| *end > latest) {
        let zone = projects::timezone(tx, at.organization, at.id)?;
        let shown = in_zone(end, &zone);
        return Err(refused(format!(
            "The provided 'end_at' ({shown}) is too far into the future. Cannot backfill beyond 1 batch period into the future."
        )));
    }
    let is_endless = matches!(export.destination.kind, Kind::Http | Kind::NoOp);
    if end.is_none() && !is_endless {
        return Err(refused("Backfilling a BatchExport with no end date is not allowed"));
    }
    authors::take_over(tx, ctx.user()?, at.organization, id, &export)?;
    start_one(ctx, tx, id, start, end)
}

/// Queues a backfill and says its name.
pub(super) fn start_one(
    ctx: &Ctx,
    tx: &WriteTx,
    export: BatchExportId,
    start: Option<Time>,
    end: Option<Time>,
) -> Result<String> {
    let others = tx.scan(&BACKFILLS, &export, Order::Ascending)?;
    let is_same =
        |other: &Backfill| other.status == Status::Running && other.start == start && other.end == end;
    if others.iter().any(|(_, other)| is_same(other)) {
        return Err(refused("Backfill already running"));
    }
    let oldest = others.iter().find(|(_, other)| other.status != Status::Running);
    if let Some((key, _)) = oldest.filter(|_| others.len() >= BACKFILLS_MAX) {
        tx.delete(&BACKFILLS, key)?;
    }
    let id = ctx.new_id();
    let backfill = Backfill {
        status: Status::Running,
        start,
        end,
        created_at: ctx.now,
        finished_at: None,
        run: None,
        next: start,
        author: Some(ctx.user()?),
    };
    tx.insert(&BACKFILLS, &(export, id), &backfill)?;
    let name = backfill.name(export);
    let author = Author { export, instance: &name, id: ctx.new_id(), now: ctx.now };
    let message = format!("Creating historical export for batches in range {}", backfill.range());
    logs::write(tx, &author, Level::Info, message)?;
    Ok(name)
}

fn refused(detail: impl Into<crate::error::Text>) -> Error {
    invalid_body("invalid_input", detail)
}

fn check_bounds(start: Option<Time>, end: Option<Time>) -> Result<()> {
    match (start, end) {
        (Some(start), Some(end)) if start >= end => {
            Err(refused("The initial backfill datetime 'start_at' happens after 'end_at'"))
        }
        _ => Ok(()),
    }
}

/// A bound must say its offset.
fn bound(value: Option<&Value>) -> Result<Option<Time>> {
    let value = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value,
    };
    let not_a_time =
        || refused(format!("Input {} is not a valid ISO formatted datetime.", python_str(value)));
    let text = value.as_str().ok_or_else(not_a_time)?;
    let time = Time::parse(text).filter(|time| Time::CALENDAR.contains(time)).ok_or_else(not_a_time)?;
    // What can still be read with an offset appended has none of its own.
    let is_naive =
        Time::parse(&format!("{}Z", text.trim())).is_some() || text.trim().len() <= "2021-01-01".len();
    if is_naive { Err(refused(format!("Input {text} is naive."))) } else { Ok(Some(time)) }
}

fn in_zone(time: Time, zone: &str) -> String {
    let moment = jiff::Timestamp::from_microsecond(time.0).unwrap_or_default();
    let zoned = moment.to_zoned(jiff::tz::TimeZone::get(zone).unwrap_or(jiff::tz::TimeZone::UTC));
    let form = if time.0 % SECOND_MICROS == 0 { "%Y-%m-%dT%H:%M:%S%:z" } else { "%Y-%m-%dT%H:%M:%S.%6f%:z" };
    zoned.strftime(form).to_string()
}

/// Whether any backfill is not over.
pub(super) fn any_open(tx: &Tx) -> Result<bool> {
    Ok(!tx.first(&OPEN, 1)?.is_empty())
}

/// Takes the next step of every backfill whose last step is over.
pub fn advance_all(tx: &WriteTx, event_ids: &EventIds) -> Result<()> {
    for (id, export) in tx.all(&OPEN)? {
        let Some(mut backfill) = tx.get(&BACKFILLS, &(export, id))? else { continue };
        let is_under_way = match backfill.run {
            Some(run) => runs::is_open(tx, run)?,
            None => false,
        };
        let Some((organization, of)) = get(tx, export)? else { continue };
        // What a backfill sends, its own author answers for.
        let of_author = BatchExport { author: backfill.author.or(of.author), ..of.clone() };
        if !authors::answers_for(tx, organization, &of)? {
            authors::stop(tx, event_ids, export, &of)?;
        } else if !authors::answers_for(tx, organization, &of_author)? {
            let reason = authors::lost(tx, of_author.author)?;
            cancel(tx, event_ids, (export, id), backfill, &reason)?;
        } else if !is_under_way {
            advance(tx, event_ids, (export, id), &of_author, &mut backfill)?;
        }
    }
    Ok(())
}

fn advance(
    tx: &WriteTx,
    event_ids: &EventIds,
    key: (BatchExportId, BackfillId),
    of: &BatchExport,
    backfill: &mut Backfill,
) -> Result<()> {
    let now = event_ids.clock.now();
    match step(backfill, of, now) {
        Some(data) => {
            backfill.run = Some(runs::create(tx, event_ids, key.0, of, Some(key.1), data)?);
            backfill.next = Some(data.end);
            Ok(tx.put(&BACKFILLS, &key, backfill)?)
        }
        None => {
            if backfill.end.is_none() {
                unpause_automatically(tx, now, key.0, backfill.author)?;
            }
            let message =
                format!("Successfully finished exporting historical batches in {}", backfill.range());
            finish(tx, event_ids, key, backfill, Status::Completed, (Level::Info, message))
        }
    }
}

/// The next step: whole intervals from the start on. One without a start is a single step.
fn step(backfill: &Backfill, of: &BatchExport, now: Time) -> Option<Data> {
    let Some(start) = backfill.start else {
        let end = backfill.end.unwrap_or_else(|| of.interval.floor(now));
        return backfill.run.is_none().then_some(Data { start: None, end });
    };
    let start = backfill.next.unwrap_or(start);
    let end = start.plus_seconds(of.interval.seconds());
    (end <= backfill.end.unwrap_or(now)).then_some(Data { start: Some(start), end })
}

fn finish(
    tx: &WriteTx,
    event_ids: &EventIds,
    (export, id): (BatchExportId, BackfillId),
    backfill: &mut Backfill,
    status: Status,
    (level, message): (Level, String),
) -> Result<()> {
    let now = event_ids.clock.now();
    backfill.status = status;
    backfill.finished_at = Some(now);
    let name = backfill.name(export);
    logs::write(tx, &Author { export, instance: &name, id: event_ids.id(), now }, level, message)?;
    Ok(tx.put(&BACKFILLS, &(export, id), backfill)?)
}

/// Ends every backfill of the export that is not over, with its run.
pub(super) fn cancel_all_of(
    tx: &WriteTx,
    event_ids: &EventIds,
    export: BatchExportId,
    reason: &str,
) -> Result<()> {
    let all = tx.scan(&BACKFILLS, &export, Order::Ascending)?;
    let running = all.into_iter().filter(|(_, backfill)| backfill.status == Status::Running);
    for (key, backfill) in running {
        cancel(tx, event_ids, key, backfill, reason)?;
    }
    Ok(())
}

fn cancel(
    tx: &WriteTx,
    event_ids: &EventIds,
    key: (BatchExportId, BackfillId),
    mut backfill: Backfill,
    reason: &str,
) -> Result<()> {
    if let Some(id) = backfill.run {
        runs::cancel(tx, &Context { event_ids, export: key.0, id })?;
    }
    let line = (Level::Warning, format!("Historical export was cancelled. Reason: {reason}"));
    finish(tx, event_ids, key, &mut backfill, Status::Cancelled, line)
}

/// For the test of the stored bytes.
pub(super) fn samples(all: &mut crate::resources::samples::Samples) {
    use crate::resources::samples::{NOW, ONE, TWO};
    all.add(
        &BACKFILLS,
        (TWO.into(), ONE.into()),
        Backfill {
            status: Status::Running,
            start: Some(NOW),
            end: None,
            created_at: NOW,
            finished_at: Some(NOW),
            run: Some(ONE.into()),
            next: Some(NOW),
            author: Some(ONE.into()),
        },
    );
    all.variants("backfill's status", &crate::every!(Status { Running, Completed, Cancelled }));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn python_str(value: Value) -> String {
        match bound(Some(&value)) {
            Ok(time) => time.map(|time| time.to_string()).unwrap_or_default(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_bound_is_a_moment_with_an_offset() {
        for (value, wanted) in [
            (json!("2021-01-01T00:00:00-05:00"), "2021-01-01T05:00:00Z"),
            (json!("2021-01-01T00:00:00.5Z"), "2021-01-01T00:00:00.500000Z"),
            (json!(null), ""),
            (json!("not a date"), "Input not a date is not a valid ISO formatted datetime."),
            (json!(12345), "Input 12345 is not a valid ISO formatted datetime."),
            (json!("2021-01-01T00:00:00"), "Input 2021-01-01T00:00:00 is naive."),
            (json!("2021-01-01"), "Input 2021-01-01 is naive."),
        ] {
            assert_eq!(python_str(value.clone()), wanted, "{value}");
        }
    }

    #[test]
    fn a_moment_is_told_in_the_zone_of_the_project() {
        let time = Time::parse("2024-07-01T12:00:00Z").unwrap();
        assert_eq!(in_zone(time, "US/Pacific"), "2024-07-01T05:00:00-07:00");
        assert_eq!(in_zone(Time(time.0 + 5), "UTC"), "2024-07-01T12:00:00.000005+00:00");
    }
}
