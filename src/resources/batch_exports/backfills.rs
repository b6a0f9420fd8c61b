//! Backfills: runs over a range of the past, one after the other.
//! Invariant: a backfill that is not over has a row in `OPEN`; a step that is over is never taken again.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::destination::Kind;
use super::interval::Calendar;
use super::logs::{Level, Moment};
use super::runs::{self, Data};
use super::schedule::unpause_automatically;
use super::{BatchExport, audited, authors, find, get, isoformat};
use crate::api::fields::python_str;
use crate::api::input::field;
use crate::api::{Ctx, InProject, Input};
use crate::clock::{SECOND_MICROS, Time, iso8601};
use crate::error::{Error, Result, invalid_body, not_found};
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

impl Status {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Status::Running => "Running",
            Status::Completed => "Completed",
            Status::Cancelled => "Cancelled",
        }
    }
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
    pub last_updated_at: Time,
    /// How many runs it will take; `None` where nobody knows.
    pub total_runs: Option<u64>,
    /// How many runs were made for it.
    pub runs_made: u64,
    /// Whether it is one run from its start to its end, whatever the export's interval.
    pub is_one_run: bool,
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
/// Backfills of one project that may run at once, where the API of today starts them.
const RUNNING_MAX: usize = 5;

impl Backfill {
    /// A backfill that begins now. How many runs it will take follows from its export.
    pub(super) fn begun(
        start: Option<Time>,
        end: Option<Time>,
        now: Time,
        author: Option<UserId>,
    ) -> Backfill {
        Backfill {
            status: Status::Running,
            start,
            end,
            created_at: now,
            finished_at: None,
            run: None,
            next: start,
            author,
            last_updated_at: now,
            total_runs: None,
            runs_made: 0,
            is_one_run: start.is_none(),
        }
    }

    fn count_runs(&self, of: &BatchExport) -> Option<u64> {
        if self.is_one_run {
            return Some(1);
        }
        Some(of.calendar().steps(self.start?, self.end?))
    }

    fn name(&self, export: BatchExportId) -> String {
        let bound = |time: Option<Time>, none: &str| time.map_or_else(|| none.to_owned(), isoformat);
        format!("{export}-Backfill-{}-{}", bound(self.start, "START"), bound(self.end, "END"))
    }

    fn range(&self) -> String {
        let bound = |time: Option<Time>, none: &str| time.map_or_else(|| none.to_owned(), isoformat);
        format!("{} - {}", bound(self.start, "START"), bound(self.end, "END"))
    }
}

/// Begins a backfill from `start_at` to `end_at`, in the actor's name. Of daily and weekly exports both may be dates.
///
/// # Errors
/// 404 where the project has no such export; 400 for bounds that are none, or where the same backfill is running;
/// 429 where too many of the project are.
pub fn create(
    ctx: &Ctx,
    tx: &WriteTx,
    at: InProject,
    id: BatchExportId,
    input: Input<'_>,
) -> Result<BackfillId> {
    let export = find(tx, at, id)?;
    let body = input.value?;
    let calendar = export.calendar();
    let (start, end) =
        (date_or_bound(&calendar, body.get("start_at"))?, date_or_bound(&calendar, body.get("end_at"))?);
    if matches!((start, end), (Some(start), Some(end)) if start >= end) {
        return Err(refused("The initial backfill datetime 'start_at' must be before 'end_at'"));
    }
    if let Some(end) = end.filter(|end| *end > ctx.now) {
        let shown = in_zone(end, &export.timezone);
        return Err(refused(format!("The provided 'end_at' ({shown}) is in the future")));
    }
    check_end(&export, end)?;
    may_begin(tx, at)?;
    let user = ctx.user()?;
    authors::take_over(tx, user, at.organization, id, &export)?;
    Ok(begin(ctx, tx, at, (id, &export), Backfill::begun(start, end, ctx.now, Some(user)))?.0)
}

/// The same as PostHog's API of 2024 had it; returns the name of the backfill.
///
/// # Errors
/// 404 where the project has no such export; 400 for bounds that are none, or where the same backfill is running.
pub fn create_2024(
    ctx: &Ctx,
    tx: &WriteTx,
    at: InProject,
    id: BatchExportId,
    input: Input<'_>,
) -> Result<String> {
    let export = find(tx, at, id)?;
    let (body, is_text) = (input.value?, input.is_text);
    let bound = |name: &str| bound(field(body, is_text, name));
    let (start, end) = (bound("start_at")?, bound("end_at")?);
    if matches!((start, end), (Some(start), Some(end)) if start >= end) {
        return Err(refused("The initial backfill datetime 'start_at' happens after 'end_at'"));
    }
    let latest = ctx.now.plus_seconds(export.interval.seconds());
    if let Some(end) = end.filter(|end| *end > latest) {
        let zone = projects::timezone(tx, at.organization, at.id)?;
        let shown = in_zone(end, &zone);
        return Err(refused(format!(
            "The provided 'end_at' ({shown}) is too far into the future. Cannot backfill beyond 1 batch period into the future."
        )));
    }
    check_end(&export, end)?;
    let user = ctx.user()?;
    authors::take_over(tx, user, at.organization, id, &export)?;
    Ok(begin(ctx, tx, at, (id, &export), Backfill::begun(start, end, ctx.now, Some(user)))?.1)
}

/// Exports the interval of a run again.
///
/// # Errors
/// 404 where the project has no such run; 400 and 429 as for `create`.
pub fn retry(ctx: &Ctx, tx: &WriteTx, at: InProject, id: BatchExportId, run: RunId) -> Result<BackfillId> {
    let export = find(tx, at, id)?;
    let run = runs::find(tx, id, run)?;
    may_begin(tx, at)?;
    let user = ctx.user()?;
    authors::take_over(tx, user, at.organization, id, &export)?;
    let backfill = Backfill::begun(run.start, Some(run.end), ctx.now, Some(user));
    Ok(begin(ctx, tx, at, (id, &export), Backfill { is_one_run: true, ..backfill })?.0)
}

/// Ends a backfill because somebody wants it.
///
/// # Errors
/// 404 where the project has no such backfill; 400 for one that is over.
pub fn cancel_by_user(
    ctx: &Ctx,
    tx: &WriteTx,
    at: InProject,
    export: BatchExportId,
    id: BackfillId,
) -> Result<()> {
    let of = find(tx, at, export)?;
    let backfill = find_one(tx, export, id)?;
    if backfill.status != Status::Running {
        let detail = format!("Cannot cancel a backfill that is in '{}' status", backfill.status.name());
        return Err(refused(detail));
    }
    let context = json!({"backfill_id": id});
    audited::done(ctx, tx, at, (export, &of), "backfill cancelled", context)?;
    cancel(tx, Moment::of(ctx), (export, id), backfill, "it was requested")
}

/// The backfills of an export that are remembered, newest first.
///
/// # Errors
/// None but of the data file.
pub fn all_of(tx: &Tx, export: BatchExportId) -> Result<Vec<(BackfillId, Backfill)>> {
    let rows = tx.scan(&BACKFILLS, &export, Order::Descending)?;
    Ok(rows.into_iter().map(|((_, id), backfill)| (id, backfill)).collect())
}

/// The backfill of an export, or 404.
pub(super) fn find_one(tx: &Tx, export: BatchExportId, id: BackfillId) -> Result<Backfill> {
    tx.get(&BACKFILLS, &(export, id))?.ok_or_else(not_found)
}

/// Some types cannot be delivered to for ever.
fn check_end(export: &BatchExport, end: Option<Time>) -> Result<()> {
    let is_endless = matches!(export.destination.kind, Kind::Http | Kind::NoOp);
    if end.is_none() && !is_endless {
        return Err(refused("Backfilling a BatchExport with no end date is not allowed"));
    }
    Ok(())
}

fn may_begin(tx: &Tx, at: InProject) -> Result<()> {
    let mut running = 0;
    for (_, export) in tx.all(&OPEN)? {
        if get(tx, export)?.is_some_and(|(_, export)| export.project == at.id) {
            running += 1;
        }
    }
    if running < RUNNING_MAX {
        return Ok(());
    }
    let detail = format!(
        "This team already has {running} batch export backfills running. Wait for some to finish or cancel them before creating more."
    );
    Err(Error::TooMany { code: "too_many_concurrent_backfills", detail: detail.into() })
}

/// Stores a backfill that is to run; returns its identifier and its name.
pub(super) fn begin(
    ctx: &Ctx,
    tx: &WriteTx,
    at: InProject,
    (export, of): (BatchExportId, &BatchExport),
    backfill: Backfill,
) -> Result<(BackfillId, String)> {
    let others = tx.scan(&BACKFILLS, &export, Order::Ascending)?;
    let is_same = |other: &Backfill| {
        other.status == Status::Running && other.start == backfill.start && other.end == backfill.end
    };
    if others.iter().any(|(_, other)| is_same(other)) {
        return Err(refused("Backfill already running"));
    }
    let oldest = others.iter().find(|(_, other)| other.status != Status::Running);
    if let Some((key, _)) = oldest.filter(|_| others.len() >= BACKFILLS_MAX) {
        tx.delete(&BACKFILLS, key)?;
    }
    let id = ctx.new_id();
    let backfill = Backfill { total_runs: backfill.count_runs(of), ..backfill };
    tx.insert(&BACKFILLS, &(export, id), &backfill)?;
    let name = backfill.name(export);
    let message = format!("Creating historical export for batches in range {}", backfill.range());
    Moment::of(ctx).log(tx, export, &name, Level::Info, message)?;
    let context = json!({"backfill_id": id, "start_at": backfill.start, "end_at": backfill.end});
    audited::done(ctx, tx, at, (export, of), "backfilled", context)?;
    Ok((id, name))
}

fn refused(detail: impl Into<crate::error::Text>) -> Error {
    invalid_body("invalid_input", detail)
}

/// A bound of a daily or weekly export may be a date: the moment at which the interval of that date begins.
fn date_or_bound(calendar: &Calendar, value: Option<&Value>) -> Result<Option<Time>> {
    let text = value.and_then(Value::as_str).map(str::trim).unwrap_or_default();
    let date = if text.len() == "2021-01-01".len() { text.parse::<Date>().ok() } else { None };
    let Some(time) = date.and_then(|date| calendar.of_date(date)) else { return bound(value) };
    if !Time::CALENDAR.contains(&time) {
        return bound(value);
    }
    if calendar.floor(time) != time {
        return Err(refused(format!(
            "Input {text} is not on the weekday on which the export's weeks begin."
        )));
    }
    Ok(Some(time))
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
    let read = iso8601::read(text).ok_or_else(not_a_time)?;
    if read.has_offset { Ok(Some(read.time)) } else { Err(refused(format!("Input {text} is naive."))) }
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
            cancel(tx, Moment::of_task(event_ids), (export, id), backfill, &reason)?;
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
            backfill.runs_made += 1;
            backfill.last_updated_at = now;
            Ok(tx.put(&BACKFILLS, &key, backfill)?)
        }
        None => {
            if backfill.end.is_none() {
                unpause_automatically(tx, now, key.0, backfill.author)?;
            }
            let line = last_line(tx, key, backfill)?;
            finish(tx, Moment::of_task(event_ids), key, backfill, Status::Completed, line)
        }
    }
}

/// What the log says of a backfill whose last step is over.
fn last_line(tx: &Tx, key: (BatchExportId, BackfillId), backfill: &Backfill) -> Result<(Level, String)> {
    let range = backfill.range();
    let runs::Tally { all, failed, cancelled } = runs::tally(tx, key.0, key.1, backfill.created_at)?;
    if failed + cancelled == 0 {
        return Ok((Level::Info, format!("Successfully finished exporting historical batches in {range}")));
    }
    let message = format!(
        "Finished exporting historical batches in {range}, but of {all} batches {failed} failed and {cancelled} were cancelled: their data is missing"
    );
    Ok((Level::Error, message))
}

/// The next step: whole intervals from the start on, where it is not a single step.
fn step(backfill: &Backfill, of: &BatchExport, now: Time) -> Option<Data> {
    let calendar = of.calendar();
    let start = match backfill.start {
        Some(start) if !backfill.is_one_run => start,
        start => {
            let end = backfill.end.unwrap_or_else(|| calendar.floor(now));
            return backfill.run.is_none().then_some(Data { start, end });
        }
    };
    let next = backfill.next.unwrap_or(start);
    let end = calendar.step(start, next);
    (end <= backfill.end.unwrap_or(now)).then_some(Data { start: Some(next), end })
}

fn finish(
    tx: &WriteTx,
    moment: Moment<'_>,
    (export, id): (BatchExportId, BackfillId),
    backfill: &mut Backfill,
    status: Status,
    (level, message): (Level, String),
) -> Result<()> {
    backfill.status = status;
    backfill.finished_at = Some(moment.now);
    backfill.last_updated_at = moment.now;
    moment.log(tx, export, &backfill.name(export), level, message)?;
    Ok(tx.put(&BACKFILLS, &(export, id), backfill)?)
}

/// Ends every backfill of the export that is not over, with its run.
pub(super) fn cancel_all_of(
    tx: &WriteTx,
    moment: Moment<'_>,
    export: BatchExportId,
    reason: &str,
) -> Result<()> {
    let all = tx.scan(&BACKFILLS, &export, Order::Ascending)?;
    let running = all.into_iter().filter(|(_, backfill)| backfill.status == Status::Running);
    for (key, backfill) in running {
        cancel(tx, moment, key, backfill, reason)?;
    }
    Ok(())
}

fn cancel(
    tx: &WriteTx,
    moment: Moment<'_>,
    key: (BatchExportId, BackfillId),
    mut backfill: Backfill,
    reason: &str,
) -> Result<()> {
    if let Some(run) = backfill.run {
        runs::cancel(tx, moment, (key.0, run))?;
    }
    let line = (Level::Warning, format!("Historical export was cancelled. Reason: {reason}"));
    finish(tx, moment, key, &mut backfill, Status::Cancelled, line)
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
            last_updated_at: NOW,
            total_runs: Some(7),
            runs_made: 5,
            is_one_run: true,
        },
    );
    all.variants("backfill's status", &crate::every!(Status { Running, Completed, Cancelled }));
}

#[cfg(test)]
mod tests {
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
