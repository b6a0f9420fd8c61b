//! Runs: one interval of an export, from its making to its end.
//! Invariant: a run that is not over has a row in `OPEN`, and has the plan that it was made with; one that
//! is over has neither, nor a commit, and never changes again.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::destination::Destination;
use super::interval::Interval;
use super::logs::{Level, Moment};
use super::{BatchExport, Model, audited, authors, backfills, isoformat, paused_letters};
use crate::api::{Ctx, Field, FieldInfo, InProject, Paging};
use crate::backoff::Backoff;
use crate::clock::Time;
use crate::error::{Result, invalid_body, not_found};
use crate::ids::{BackfillId, BatchExportId, OrganizationId, ProjectId, RunId, UserId};
use crate::resources::events::{Cursor, EventIds};
use crate::store::{Index, Json, Order, Parent, Table, Tx, WriteTx, by_uuid};

/// How far a run is. Records hold the place in this list: add at the end only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    Starting,
    Running,
    Completed,
    Failed,
    FailedRetryable,
    Cancelled,
}

impl Status {
    pub const ALL: [Status; 6] = [
        Status::Starting,
        Status::Running,
        Status::Completed,
        Status::Failed,
        Status::FailedRetryable,
        Status::Cancelled,
    ];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Status::Starting => "Starting",
            Status::Running => "Running",
            Status::Completed => "Completed",
            Status::Failed => "Failed",
            Status::FailedRetryable => "FailedRetryable",
            Status::Cancelled => "Cancelled",
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    pub status: Status,
    pub backfill: Option<BackfillId>,
    pub records_completed: Option<u64>,
    pub records_total: Option<u64>,
    pub latest_error: Option<String>,
    /// `None`: from the beginning.
    pub start: Option<Time>,
    pub end: Time,
    pub created_at: Time,
    pub finished_at: Option<Time>,
    pub last_updated_at: Time,
    /// Attempts begun.
    pub attempts: u32,
    pub next_attempt_at: Time,
    pub plan: Option<Plan>,
    pub progress: Progress,
    /// The author of the export when the run was made.
    pub author: Option<UserId>,
}

/// What a run does: later changes of the export do not reach it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    pub project: ProjectId,
    pub model: Model,
    pub interval: Interval,
    pub destination: Destination,
    pub schema: Option<Json>,
}

/// What the destination has confirmed, so that another attempt continues from there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Behind the last record.
    pub place: Option<Cursor>,
    pub records: u64,
}

/// A transaction in a database that holds all that a run delivers, noted before it is committed: an attempt
/// that never heard of its end leaves the question to the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The database's number of the transaction.
    pub transaction: i64,
    pub records: u64,
}

/// By export and time.
pub(super) static RUNS: Table<(BatchExportId, RunId), Run> = Table::new("batch_export_runs")
    .counted(by_uuid)
    .indexed(&[&OPEN])
    .belongs_to(&[&Parent::of(&super::EXPORTS, |(_, export)| *export)]);
/// The export of every run that is not over.
pub(super) static OPEN: Index<(BatchExportId, RunId), Run, RunId, BatchExportId> =
    Index::unique("batch_export_runs_open", |(export, id), run| run.plan.is_some().then_some((*id, *export)));
/// By run.
pub(super) static COMMITS: Table<RunId, Commit> =
    Table::new("batch_export_run_commits").belongs_to(&[&Parent::of(&RUNS, |(_, run)| *run)]);

/// Runs of one export that are remembered.
const RUNS_MAX: u64 = 10_000;
/// Runs that an object shows.
const LATEST: u64 = 10;
/// An export with so many failures among its last runs is paused.
const FAILURES_MAX: usize = 10;
const FAILURES_AMONG: usize = 50;
/// Attempts of one run.
const ATTEMPTS_MAX: u32 = 15;
/// The wait for the second attempt; each further one takes twice as long, up to the longest.
const RETRY: Backoff = Backoff { first: 30.0, factor: 2.0, max: 120.0 };
/// A destination may ask for a wait of this length, in seconds.
const WAIT_SECONDS_MAX: i64 = 60 * 60;
/// How often such a wait may be shorter than the back-off: who asks for a second each time would use up all attempts.
const SHORT_WAITS_MAX: u32 = 5;

pub(super) const FIELDS: &[FieldInfo] = &[
    Field::uuid("id").read_only(),
    Field::long_text("status").read_only(),
    Field::integer("records_completed", 0, i64::MAX).nullable().read_only(),
    Field::long_text("latest_error").nullable().read_only(),
    Field::time("data_interval_start").nullable().read_only(),
    Field::time("data_interval_end").read_only(),
    Field::long_text("cursor").nullable().read_only(),
    Field::time("created_at").read_only(),
    Field::time("finished_at").nullable().read_only(),
    Field::time("last_updated_at").read_only(),
    Field::integer("records_total_count", 0, i64::MAX).nullable().read_only(),
    Field::uuid("batch_export").read_only(),
];

#[derive(Serialize)]
pub(super) struct Wire {
    id: RunId,
    status: &'static str,
    records_completed: Option<u64>,
    latest_error: Option<String>,
    data_interval_start: Option<Time>,
    data_interval_end: Time,
    cursor: Option<String>,
    created_at: Time,
    finished_at: Option<Time>,
    last_updated_at: Time,
    records_total_count: Option<u64>,
    batch_export: BatchExportId,
}

/// The newest runs of an export.
pub(super) fn latest(tx: &Tx, export: BatchExportId) -> Result<Vec<Wire>> {
    let (_, rows) = tx.page(&RUNS, &export, Order::Descending, 0, LATEST)?;
    Ok(rows.into_iter().map(|((_, id), run)| wire(export, id, run)).collect())
}

/// A run as answers show it.
pub(super) fn wire(export: BatchExportId, id: RunId, run: Run) -> Wire {
    Wire {
        id,
        status: run.status.name(),
        records_completed: run.records_completed,
        latest_error: run.latest_error,
        data_interval_start: run.start,
        data_interval_end: run.end,
        cursor: None,
        created_at: run.created_at,
        finished_at: run.finished_at,
        last_updated_at: run.last_updated_at,
        records_total_count: run.records_total,
        batch_export: export,
    }
}

/// How many runs of an export are remembered, and a page of them, newest first.
///
/// # Errors
/// None but of the data file.
pub fn find_page(tx: &Tx, export: BatchExportId, paging: Paging) -> Result<(u64, Vec<(RunId, Run)>)> {
    let (total, rows) = tx.page(&RUNS, &export, Order::Descending, paging.offset, paging.limit)?;
    Ok((total, rows.into_iter().map(|((_, id), run)| (id, run)).collect()))
}

/// The run of an export, or 404.
///
/// # Errors
/// 404, see above.
pub fn find(tx: &Tx, export: BatchExportId, id: RunId) -> Result<Run> {
    tx.get(&RUNS, &(export, id))?.ok_or_else(not_found)
}

/// The data that a run exports.
#[derive(Clone, Copy, Debug)]
pub(super) struct Data {
    pub start: Option<Time>,
    pub end: Time,
}

impl Data {
    /// As log entries tell it.
    pub(super) fn range(self) -> String {
        format!("{} - {}", self.start.map_or_else(|| "START".to_owned(), isoformat), isoformat(self.end))
    }
}

impl Run {
    /// As log entries tell it.
    pub fn range(&self) -> String {
        Data { start: self.start, end: self.end }.range()
    }
}

/// Makes a run that waits for its first attempt. Its identifier is drawn here: events that arrive later
/// have later ones.
pub(super) fn create(
    tx: &WriteTx,
    event_ids: &EventIds,
    export: BatchExportId,
    of: &BatchExport,
    backfill: Option<BackfillId>,
    data: Data,
) -> Result<RunId> {
    let id = event_ids.id();
    let now = event_ids.clock.now();
    let run = Run {
        status: Status::Starting,
        backfill,
        records_completed: None,
        records_total: None,
        latest_error: None,
        start: data.start,
        end: data.end,
        created_at: now,
        finished_at: None,
        last_updated_at: now,
        attempts: 0,
        next_attempt_at: now,
        plan: Some(Plan {
            project: of.project,
            model: of.model.unwrap_or(Model::Events),
            interval: of.interval,
            destination: of.destination.clone(),
            schema: of.schema.clone(),
        }),
        progress: Progress::default(),
        author: of.author,
    };
    if tx.count(&RUNS, &export)? >= RUNS_MAX {
        let (_, oldest) = tx.page(&RUNS, &export, Order::Ascending, 0, 1)?;
        for (key, _) in oldest.into_iter().filter(|(_, run)| run.plan.is_none()) {
            tx.delete(&RUNS, &key)?;
        }
    }
    tx.insert(&RUNS, &(export, id), &run)?;
    Ok(id)
}

/// A run that is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    pub organization: OrganizationId,
    pub export: BatchExportId,
    pub id: RunId,
    pub end: Time,
    pub next_attempt_at: Time,
}

/// Every run that is not over, oldest first.
pub fn all_open(tx: &Tx) -> Result<Vec<Open>> {
    let mut open = Vec::new();
    for (id, export) in tx.all(&OPEN)? {
        if let Some(run) = tx.get(&RUNS, &(export, id))? {
            let organization = super::organization_of(tx, export)?;
            let Run { end, next_attempt_at, .. } = run;
            open.push(Open { organization, export, id, end, next_attempt_at });
        }
    }
    Ok(open)
}

/// How many scheduled runs of an export are not over.
pub(super) fn count_open(tx: &Tx, export: BatchExportId) -> Result<usize> {
    let mut count = 0;
    for (id, of) in tx.all(&OPEN)? {
        if of == export && tx.get(&RUNS, &(export, id))?.is_some_and(|run| run.backfill.is_none()) {
            count += 1;
        }
    }
    Ok(count)
}

/// Whether the run is not over.
pub(super) fn is_open(tx: &Tx, run: RunId) -> Result<bool> {
    Ok(tx.has(&OPEN, &run)?)
}

/// The run where it is not over, and whoever it was made for may still have it done; otherwise it is ended.
fn get_wanted(tx: &WriteTx, context: &Context<'_>) -> Result<Option<Run>> {
    let Some(run) = get_open(tx, context.export, context.id)? else { return Ok(None) };
    Ok(authors::admit(tx, context, run.author)?.then_some(run))
}

/// The run where it is not over.
fn get_open(tx: &Tx, export: BatchExportId, id: RunId) -> Result<Option<Run>> {
    if tx.has(&OPEN, &id)? { Ok(tx.get(&RUNS, &(export, id))?) } else { Ok(None) }
}

/// The plan of a run that is not over.
pub fn plan(tx: &Tx, export: BatchExportId, id: RunId) -> Result<Option<Plan>> {
    Ok(get_open(tx, export, id)?.and_then(|run| run.plan))
}

/// Where a write about a run comes from.
pub struct Context<'a> {
    /// What mails are made with.
    pub ctx: &'a Ctx,
    pub event_ids: &'a EventIds,
    pub export: BatchExportId,
    pub id: RunId,
}

impl Context<'_> {
    /// Writes an entry of this run.
    pub(super) fn log(&self, tx: &WriteTx, level: Level, message: impl Into<String>) -> Result<()> {
        let moment = Moment::of_task(self.event_ids);
        moment.log(tx, self.export, &self.id.to_string(), level, message)
    }
}

/// Begins an attempt; `None` where the run is over or gone, or its author shut out. `to` names the destination.
pub fn begin(tx: &WriteTx, context: &Context<'_>, to: &str) -> Result<Option<Run>> {
    let Some(mut run) = get_wanted(tx, context)? else { return Ok(None) };
    if run.attempts == 0 {
        context.log(tx, Level::Info, format!("Starting batch export for range {}", run.range()))?;
    }
    context.log(tx, Level::Info, format!("Batch exporting range {}{to}", run.range()))?;
    run.status = Status::Running;
    run.attempts += 1;
    run.last_updated_at = context.event_ids.clock.now();
    tx.put(&RUNS, &(context.export, context.id), &run)?;
    Ok(Some(run))
}

/// Notes what the destination has confirmed; false where the run is over or gone, and the work must stop.
pub fn advance(tx: &WriteTx, context: &Context<'_>, progress: Progress) -> Result<bool> {
    let Some(mut run) = get_wanted(tx, context)? else { return Ok(false) };
    run.progress = progress;
    run.last_updated_at = context.event_ids.clock.now();
    tx.put(&RUNS, &(context.export, context.id), &run)?;
    Ok(true)
}

/// Notes the transaction that is about to be committed; false where the run is over or gone, and it must
/// not be.
pub fn note_commit(tx: &WriteTx, context: &Context<'_>, commit: Commit) -> Result<bool> {
    let is_wanted = get_wanted(tx, context)?.is_some();
    if is_wanted {
        tx.put(&COMMITS, &context.id, &commit)?;
    }
    Ok(is_wanted)
}

/// The transaction that an earlier attempt meant to commit.
pub fn commit_of(tx: &Tx, run: RunId) -> Result<Option<Commit>> {
    Ok(tx.get(&COMMITS, &run)?)
}

/// Tells of something in a run that does not end it; false where the run is over or gone.
pub fn warn(tx: &WriteTx, context: &Context<'_>, message: &str) -> Result<bool> {
    let is_wanted = is_open(tx, context.id)?;
    if is_wanted {
        context.log(tx, Level::Warning, message)?;
    }
    Ok(is_wanted)
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Completed {
        records: u64,
    },
    /// Another attempt may go better.
    Retryable(String),
    /// Another attempt may go better after the seconds that the destination asks for.
    Throttled {
        error: String,
        seconds: i64,
    },
    /// It would not.
    Fatal(String),
}

/// Ends an attempt, and with it the run unless another attempt follows.
pub fn settle(tx: &WriteTx, context: &Context<'_>, outcome: &Outcome) -> Result<()> {
    let Some(mut run) = get_open(tx, context.export, context.id)? else { return Ok(()) };
    match outcome {
        Outcome::Completed { records } => {
            run.records_completed = Some(*records);
            run.records_total = Some(*records);
            let message = format!("Successfully finished exporting batch {}", run.range());
            context.log(tx, Level::Info, message)?;
            finish(tx, context, &mut run, Status::Completed)
        }
        Outcome::Retryable(error) => retry(tx, context, run, error, None),
        Outcome::Throttled { error, seconds } => retry(tx, context, run, error, Some(*seconds)),
        Outcome::Fatal(error) => {
            context.log(
                tx,
                Level::Error,
                format!("Batch export failed with non-retryable error: {error}"),
            )?;
            run.latest_error = Some(error.clone());
            finish(tx, context, &mut run, Status::Failed)?;
            pause_after_failures(tx, context, error)
        }
    }
}

/// Lets another attempt follow, or ends the run where there were enough.
fn retry(tx: &WriteTx, context: &Context<'_>, mut run: Run, error: &str, seconds: Option<i64>) -> Result<()> {
    context.log(tx, Level::Error, format!("Batch export failed with error: {error}"))?;
    if run.attempts >= ATTEMPTS_MAX {
        let message = format!("Giving up on batch {} after {} attempts", run.range(), run.attempts);
        context.log(tx, Level::Error, message)?;
        run.latest_error = Some(error.to_owned());
        return finish(tx, context, &mut run, Status::FailedRetryable);
    }
    run.last_updated_at = context.event_ids.clock.now();
    run.next_attempt_at = next_attempt_at(run.last_updated_at, run.attempts, seconds);
    Ok(tx.put(&RUNS, &(context.export, context.id), &run)?)
}

/// When the next attempt is due: after the seconds that the destination asks for, or else after the back-off.
fn next_attempt_at(now: Time, attempts: u32, seconds: Option<i64>) -> Time {
    let backoff = RETRY.retry_at(now, attempts.saturating_sub(1));
    match seconds.map(|seconds| now.plus_seconds(seconds.clamp(1, WAIT_SECONDS_MAX))) {
        None => backoff,
        Some(wanted) if attempts > SHORT_WAITS_MAX => wanted.max(backoff),
        Some(wanted) => wanted,
    }
}

fn finish(tx: &WriteTx, context: &Context<'_>, run: &mut Run, status: Status) -> Result<()> {
    finish_at(tx, (context.export, context.id), context.event_ids.clock.now(), run, status)
}

fn finish_at(
    tx: &WriteTx,
    key: (BatchExportId, RunId),
    now: Time,
    run: &mut Run,
    status: Status,
) -> Result<()> {
    run.status = status;
    run.plan = None;
    run.finished_at = Some(now);
    run.last_updated_at = now;
    tx.delete(&COMMITS, &key.1)?;
    Ok(tx.put(&RUNS, &key, run)?)
}

/// Ends the run as cancelled, where it is not over.
pub(super) fn cancel(tx: &WriteTx, moment: Moment<'_>, (export, id): (BatchExportId, RunId)) -> Result<()> {
    let Some(mut run) = get_open(tx, export, id)? else { return Ok(()) };
    run.latest_error = Some("Cancelled".into());
    moment.log(tx, export, &id.to_string(), Level::Warning, "Batch export was cancelled")?;
    finish_at(tx, (export, id), moment.now, &mut run, Status::Cancelled)
}

/// Ends a run because somebody wants it.
///
/// # Errors
/// 404 where the project has no such run; 400 for one that is over.
pub fn cancel_by_user(
    ctx: &Ctx,
    tx: &WriteTx,
    at: InProject,
    export: BatchExportId,
    id: RunId,
) -> Result<()> {
    let of = super::find(tx, at, export)?;
    let run = find(tx, export, id)?;
    if run.plan.is_none() {
        let detail = format!("Cannot cancel a run that is in '{}' status", run.status.name());
        return Err(invalid_body("invalid_input", detail));
    }
    let context = json!({"run_id": id, "data_interval_start": run.start, "data_interval_end": run.end});
    audited::done(ctx, tx, at, (export, &of), "run cancelled", context)?;
    cancel(tx, Moment::of(ctx), (export, id))
}

/// How the runs of a backfill ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub all: usize,
    pub failed: usize,
    pub cancelled: usize,
}

/// Counts the runs of a backfill, which are younger than it.
pub(super) fn tally(tx: &Tx, export: BatchExportId, backfill: BackfillId, since: Time) -> Result<Tally> {
    let mut tally = Tally::default();
    let (least, greatest) = ((export, RunId(uuid::Uuid::nil())), (export, RunId(uuid::Uuid::max())));
    for row in tx.range(&RUNS, &least, &greatest, Order::Descending)? {
        let (_, run) = row?;
        if run.created_at < since {
            break;
        }
        if run.backfill != Some(backfill) {
            continue;
        }
        tally.all += 1;
        match run.status {
            Status::Failed | Status::FailedRetryable => tally.failed += 1,
            Status::Cancelled => tally.cancelled += 1,
            Status::Starting | Status::Running | Status::Completed => {}
        }
    }
    Ok(tally)
}

fn pause_after_failures(tx: &WriteTx, context: &Context<'_>, error: &str) -> Result<()> {
    let (_, newest) = tx.page(&RUNS, &context.export, Order::Descending, 0, 2 * FAILURES_AMONG as u64)?;
    let mut runs: Vec<Run> = newest.into_iter().map(|(_, run)| run).collect();
    runs.sort_by_key(|run| std::cmp::Reverse(run.last_updated_at));
    let failed = runs.iter().take(FAILURES_AMONG).filter(|run| run.status == Status::Failed).count();
    if failed < FAILURES_MAX
        || !super::schedule::set_paused(tx, context.event_ids.clock.now(), context.export)?
    {
        return Ok(());
    }
    let reason = format!("{failed} of its last runs have failed");
    context.log(tx, Level::Warning, format!("The batch export was automatically paused: {reason}"))?;
    backfills::cancel_all_of(tx, Moment::of_task(context.event_ids), context.export, &reason)?;
    let Some((organization, export)) = super::get(tx, context.export)? else { return Ok(()) };
    let reason = format!("{reason}, the newest with: {error}");
    paused_letters::send(context.ctx, tx, organization, (context.export, &export), &reason)
}

/// For the test of the stored bytes.
pub(super) fn samples(all: &mut crate::resources::samples::Samples) {
    use crate::resources::samples::{NOW, ONE, TWO, text};
    let destination = Destination::sample(Json::of(&serde_json::json!({"a": [1, null]})));
    let plan = Plan {
        project: ProjectId(7),
        model: Model::Events,
        interval: Interval::Hour,
        destination,
        schema: None,
    };
    all.add(
        &RUNS,
        (TWO.into(), ONE.into()),
        Run {
            status: Status::Running,
            backfill: Some(ONE.into()),
            records_completed: Some(5),
            records_total: Some(6),
            latest_error: Some(text("e")),
            start: None,
            end: NOW,
            created_at: NOW,
            finished_at: Some(NOW),
            last_updated_at: NOW,
            attempts: 2,
            next_attempt_at: NOW,
            plan: Some(plan),
            progress: Progress { place: Some(Cursor { time: NOW, id: ONE }), records: 4 },
            author: Some(TWO.into()),
        },
    );
    all.add(&COMMITS, ONE.into(), Commit { transaction: 300, records: 4 });
    all.variants(
        "run's status",
        &crate::every!(Status { Starting, Running, Completed, Failed, FailedRetryable, Cancelled }),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_between_attempts_double_up_to_two_minutes() {
        let seconds = [0, 1, 2, 3, 13].map(|failures| RETRY.retry_at(Time(0), failures).unix_seconds());
        assert_eq!(seconds, [30, 60, 120, 120, 120]);
    }

    #[test]
    fn a_wait_that_the_destination_asks_for_counts_within_limits() {
        for (attempts, seconds, wanted) in [
            (1, None, 30),
            (1, Some(0), 1),
            (1, Some(7), 7),
            (5, Some(7), 7),
            (6, Some(7), 120),
            (6, Some(300), 300),
            (1, Some(300), 300),
            (1, Some(i64::MAX), 3600),
        ] {
            let next = next_attempt_at(Time(0), attempts, seconds).unix_seconds();
            assert_eq!(next, wanted, "attempt {attempts}, {seconds:?}");
        }
    }
}
