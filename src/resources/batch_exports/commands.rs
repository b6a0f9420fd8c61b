//! What can be done with an export, whoever does it. Whoever sees its project may do everything with it.

use super::backfills::{self, Backfill};
use super::destination::Kind;
use super::form::Sent;
use super::hogql::Fault;
use super::interval::{Interval, UTC};
use super::schedule::{set_paused, unpause_automatically};
use super::{BatchExport, EXPORTS, Model, audited, find};
use serde_json::{Map, Value};

use crate::api::{Ctx, Field, FieldInfo, InOrganization, InProject, Input};
use crate::error::{Result, denied, id_taken, invalid, invalid_body, not_found};
use crate::ids::BatchExportId;
use crate::resources::{projects, users};
use crate::store::{Tx, WriteTx};

/// Makes an export in the actor's name.
///
/// # Errors
/// 400 for wrong fields; 403 for a short interval that the operator does not allow.
pub fn create(
    ctx: &Ctx,
    tx: &WriteTx,
    at: InProject,
    input: Input<'_>,
) -> Result<(BatchExportId, BatchExport)> {
    create_as(ctx, tx, at, ctx.new_id(), input)
}

/// The same with an identifier that is given.
///
/// # Errors
/// As for `create`.
pub fn create_as(
    ctx: &Ctx,
    tx: &WriteTx,
    at: InProject,
    id: BatchExportId,
    input: Input<'_>,
) -> Result<(BatchExportId, BatchExport)> {
    if super::get(tx, id)?.is_some() {
        return Err(id_taken());
    }
    let (id, export) = drafted(ctx, at, id, input)?;
    tx.insert(&EXPORTS, &(at.organization, id), &export)?;
    audited::created(ctx, tx, at, id, &export)?;
    Ok((id, export))
}

/// A new export that is not stored.
///
/// # Errors
/// As for `create`.
pub(super) fn drafted(
    ctx: &Ctx,
    at: InProject,
    id: BatchExportId,
    input: Input<'_>,
) -> Result<(BatchExportId, BatchExport)> {
    let mut sent = Sent::read(ctx, id, None, input)?;
    let (Some(name), Some(destination), Some(interval)) =
        (sent.name.take(), sent.destination.take(), sent.interval)
    else {
        return Err(invalid_body("required", "This field is required."));
    };
    let mut export = BatchExport {
        project: at.id,
        name,
        model: sent.model.unwrap_or(Some(Model::Events)),
        destination,
        interval,
        paused: sent.paused.unwrap_or(false),
        created_at: ctx.now,
        last_updated_at: ctx.now,
        last_paused_at: None,
        start_at: sent.start_at.flatten(),
        end_at: sent.end_at.flatten(),
        schema: sent.schema.take(),
        next_run_at: None,
        author: Some(ctx.user()?),
        timezone: UTC.to_owned(),
        offset_day: None,
        offset_hour: None,
        filters: sent.filters.take().flatten(),
    };
    set_offsets(&mut export, sent)?;
    check_whole(ctx, None, &export)?;
    export.next_run_at = export.next_after(ctx.now);
    Ok((id, export))
}

/// Sets where the intervals begin. What belongs to longer intervals than the export's is refused, and forgotten where
/// it was stored.
fn set_offsets(export: &mut BatchExport, sent: Sent) -> Result<()> {
    let has_weeks = export.interval == Interval::Week;
    let has_days = has_weeks || export.interval == Interval::Day;
    let refused = |name, detail| Err(invalid(name, "invalid_input", detail));
    if sent.offset_day.flatten().is_some() && !has_weeks {
        return refused("offset_day", "offset_day is not applicable for non-weekly intervals");
    }
    if sent.offset_hour.flatten().is_some() && !has_days {
        return refused("offset_hour", "offset_hour is not applicable for non-daily/weekly intervals");
    }
    export.timezone = sent.timezone.unwrap_or_else(|| export.timezone.clone());
    export.offset_day = sent.offset_day.unwrap_or(export.offset_day).filter(|_| has_weeks);
    export.offset_hour = sent.offset_hour.unwrap_or(export.offset_hour).filter(|_| has_days);
    Ok(())
}

/// Changes an export. Whoever changes what it sends or where becomes its author.
///
/// # Errors
/// 404 where the project has no such export; 400 and 403 as for `create`.
pub fn update(
    ctx: &Ctx,
    tx: &WriteTx,
    at: InProject,
    id: BatchExportId,
    input: Input<'_>,
) -> Result<BatchExport> {
    let [before, mut export] = changed(ctx, tx, at, id, input)?;
    export.last_updated_at = ctx.now;
    if is_another_order(ctx, id, &before, &export) {
        export.author = Some(ctx.user()?);
    }
    set_next_run(ctx, &before, &mut export);
    tx.replace(&EXPORTS, &(at.organization, id), &before, &export)?;
    audited::changed(ctx, tx, at, id, (&before, &export))?;
    Ok(export)
}

/// What an input would change of an export.
pub struct Preview {
    /// All that is shown, by field: as it is, and as the input would make it.
    pub shown: [Map<String, Value>; 2],
    /// Whether what is not shown would be another.
    pub has_other_secrets: bool,
}

/// What an input would change.
///
/// # Errors
/// As for `update`.
pub fn preview(ctx: &Ctx, tx: &Tx, at: InProject, id: BatchExportId, input: Input<'_>) -> Result<Preview> {
    let [before, after] = changed(ctx, tx, at, id, input)?;
    let opened = |export: &BatchExport| export.destination.open(&ctx.vault, id);
    let hidden = |export: &BatchExport| -> Map<String, Value> {
        opened(export).into_iter().filter(|(name, _)| export.destination.kind.hides(name)).collect()
    };
    let has_other_secrets = hidden(&before) != hidden(&after);
    Ok(Preview { shown: [audited::settable(&before), audited::settable(&after)], has_other_secrets })
}

/// The export as it is, and as the input would make it.
fn changed(
    ctx: &Ctx,
    tx: &Tx,
    at: InProject,
    id: BatchExportId,
    input: Input<'_>,
) -> Result<[BatchExport; 2]> {
    let before = find(tx, at, id)?;
    let mut sent = Sent::read(ctx, id, Some(&before.destination), input)?;
    let mut export = before.clone();
    export.name = sent.name.take().unwrap_or(export.name);
    export.model = sent.model.unwrap_or(export.model);
    export.destination = sent.destination.take().unwrap_or(export.destination);
    export.interval = sent.interval.unwrap_or(export.interval);
    export.paused = sent.paused.unwrap_or(export.paused);
    export.start_at = sent.start_at.unwrap_or(export.start_at);
    export.end_at = sent.end_at.unwrap_or(export.end_at);
    // A query can be replaced, not taken away.
    export.schema = sent.schema.take().or(export.schema);
    export.filters = sent.filters.take().unwrap_or(export.filters);
    set_offsets(&mut export, sent)?;
    check_whole(ctx, Some(&before), &export)?;
    Ok([before, export])
}

/// Intervals that are still to be caught up on stay due, as long as they mean the same.
fn set_next_run(ctx: &Ctx, before: &BatchExport, export: &mut BatchExport) {
    type Boundaries<'a> = (Interval, &'a str, Option<u8>, Option<u8>);
    fn boundaries(export: &BatchExport) -> Boundaries<'_> {
        (export.interval, &export.timezone, export.offset_day, export.offset_hour)
    }
    let bounds = |export: &BatchExport| (export.paused, export.start_at, export.end_at);
    let is_same = boundaries(before) == boundaries(export);
    if is_same && bounds(before) == bounds(export) {
        return;
    }
    let due = before.next_run_at.filter(|due| *due <= ctx.now && is_same);
    let since = due.map_or(ctx.now, |due| due.plus_seconds(-1));
    export.next_run_at = export.next_after(since);
}

/// Deletes an export with its runs, backfills and log.
///
/// # Errors
/// 404 where the project has no such export.
pub fn remove(ctx: &Ctx, tx: &WriteTx, at: InProject, id: BatchExportId) -> Result<()> {
    let export = find(tx, at, id)?;
    audited::deleted(ctx, tx, at, id, &export)?;
    Ok(tx.delete(&EXPORTS, &(at.organization, id))?)
}

/// Pauses an export; nothing changes where it is paused already.
///
/// # Errors
/// 404 where the project has no such export.
pub fn pause(ctx: &Ctx, tx: &WriteTx, at: InProject, id: BatchExportId) -> Result<()> {
    let before = find(tx, at, id)?;
    set_paused(tx, ctx.now, id)?;
    audited::changed(ctx, tx, at, id, (&before, &find(tx, at, id)?))
}

/// Lets a paused export run again, in the actor's name. With `backfill`, what the pause has left out is made up for by
/// a backfill, whose name is returned.
///
/// # Errors
/// 404 where the project has no such export; 400 for wrong fields.
pub fn unpause(
    ctx: &Ctx,
    tx: &WriteTx,
    at: InProject,
    id: BatchExportId,
    input: Input<'_>,
) -> Result<Option<String>> {
    const BACKFILL: Field<bool> = Field::boolean("backfill");
    const UNPAUSE: &[FieldInfo] = &[BACKFILL.info()];
    let before = find(tx, at, id)?;
    let wants_backfill = input.form(UNPAUSE)?.only(BACKFILL).unwrap_or(false);
    let was_paused = unpause_automatically(tx, ctx.now, id, Some(ctx.user()?))?;
    let export = find(tx, at, id)?;
    audited::changed(ctx, tx, at, id, (&before, &export))?;
    if !was_paused || !wants_backfill {
        return Ok(None);
    }
    let since = before.last_paused_at.unwrap_or(before.created_at);
    let backfill = Backfill::begun(Some(since), Some(ctx.now), ctx.now, Some(ctx.user()?));
    let (_, name) = backfills::begin(ctx, tx, at, (id, &export), backfill)?;
    Ok(Some(name))
}

/// The project of a new export whose path names an organization only: the caller's current one where it lies there,
/// else the first that they see.
///
/// # Errors
/// 400 where they see none.
pub fn project_for_new(ctx: &Ctx, tx: &Tx, at: InOrganization) -> Result<InProject> {
    let user = ctx.user()?;
    let seen = projects::visible_in(tx, at.id, user, at.level)?;
    let current = users::find(tx, user)?.current_project;
    let project = seen.iter().find(|project| Some(project.id) == current).or_else(|| seen.first());
    let Some(project) = project else {
        let detail = "A project is needed for a batch export, and this organization has none.";
        return Err(invalid_body("invalid_input", detail));
    };
    let level = projects::level_in(tx, at.id, project.id, user, at.level)?.ok_or_else(not_found)?;
    Ok(InProject { organization: at.id, id: project.id, level })
}

/// Whether it sends something else from now on, or elsewhere, or again.
fn is_another_order(ctx: &Ctx, id: BatchExportId, before: &BatchExport, export: &BatchExport) -> bool {
    let is_set_going = before.paused && !export.paused;
    let is_other_data = export.model != before.model || export.schema != before.schema;
    let bounds = |export: &BatchExport| (export.start_at, export.end_at);
    let is_other_time = bounds(before) != bounds(export);
    is_set_going
        || is_other_data
        || is_other_time
        || !export.destination.is_same(&before.destination, &ctx.vault, id)
}

/// Whether exports may run as often: short intervals are for the operator to allow.
pub fn may_run(ctx: &Ctx, interval: Interval) -> bool {
    !interval.is_high_frequency() || ctx.config.exports.export_high_frequency
}

/// Rules on the export as a whole.
fn check_whole(ctx: &Ctx, before: Option<&BatchExport>, export: &BatchExport) -> Result<()> {
    let is_of_events = export.model.unwrap_or(Model::Events) == Model::Events;
    if export.destination.kind == Kind::Http && !is_of_events {
        return Err(invalid_body("invalid_input", "HTTP batch exports only support the events model."));
    }
    let text = |export: &BatchExport| export.schema.as_ref().map(|schema| schema.text().to_owned());
    let is_new_query = text(export) != before.and_then(text);
    if is_new_query && !is_of_events {
        let reason = "A query chooses columns of events, and the model of this batch export is another";
        return Err(invalid("hogql_query", "invalid_input", Fault::Invalid(reason.into()).to_string()));
    }
    let is_new_interval = before.is_none_or(|before| before.interval != export.interval);
    if is_new_interval && !may_run(ctx, export.interval) {
        return Err(denied("Higher frequency exports are not enabled for this team."));
    }
    Ok(())
}
