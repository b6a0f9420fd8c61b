//! What the audit log says of exports.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{BatchExport, Model, hogql};
use crate::api::{Ctx, InProject};
use crate::clock::Time;
use crate::error::Result;
use crate::ids::{BatchExportId, OrganizationId};
use crate::resources::audit::{self, Change, scope};
use crate::store::{Json, WriteTx};

/// What is compared before and after a change. Secrets are in none of it.
#[derive(Serialize)]
struct State<'a> {
    name: &'a str,
    model: Option<&'static str>,
    destination: &'a Json,
    interval: &'static str,
    enabled: bool,
    start_at: Option<Time>,
    end_at: Option<Time>,
    hogql_query: Option<String>,
    timezone: &'a str,
    offset_day: Option<u8>,
    offset_hour: Option<u8>,
}

fn state(export: &BatchExport) -> State<'_> {
    State {
        name: &export.name,
        model: export.model.map(Model::name),
        destination: &export.destination.config,
        interval: export.interval.name(),
        enabled: !export.paused,
        start_at: export.start_at,
        end_at: export.end_at,
        hogql_query: export.schema.as_ref().and_then(hogql::query_of),
        timezone: &export.timezone,
        offset_day: export.offset_day,
        offset_hour: export.offset_hour,
    }
}

/// All that can be set and is shown, by field.
pub fn settable(export: &BatchExport) -> Map<String, Value> {
    let pairs: [(&str, Value); 12] = [
        ("name", export.name.clone().into()),
        ("model", export.model.map(Model::name).into()),
        (
            "destination",
            json!({"type": export.destination.kind.name(), "config": export.destination.config.value()}),
        ),
        ("interval", export.interval.name().into()),
        ("paused", export.paused.into()),
        ("start_at", export.start_at.map(|time| time.to_string()).into()),
        ("end_at", export.end_at.map(|time| time.to_string()).into()),
        ("hogql_query", export.schema.as_ref().and_then(hogql::query_of).into()),
        ("filters", export.filters.as_ref().map_or(Value::Null, Json::value)),
        ("timezone", export.timezone.clone().into()),
        ("offset_day", export.offset_day.into()),
        ("offset_hour", export.offset_hour.into()),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn write(
    ctx: &Ctx,
    tx: &WriteTx,
    organization: OrganizationId,
    export: &BatchExport,
    change: Change,
) -> Result<()> {
    let context = json!({"destination_type": export.destination.kind.name()});
    audit::record(ctx, tx, organization, change.in_project(export.project).with_context(context))
}

pub(super) fn created(
    ctx: &Ctx,
    tx: &WriteTx,
    at: InProject,
    id: BatchExportId,
    export: &BatchExport,
) -> Result<()> {
    write(ctx, tx, at.organization, export, Change::created(scope::BATCH_EXPORT, id, &export.name))
}

pub(super) fn deleted(
    ctx: &Ctx,
    tx: &WriteTx,
    at: InProject,
    id: BatchExportId,
    export: &BatchExport,
) -> Result<()> {
    write(ctx, tx, at.organization, export, Change::deleted(scope::BATCH_EXPORT, id, &export.name))
}

/// Of a secret it is said only that it changed.
pub(super) fn changed(
    ctx: &Ctx,
    tx: &WriteTx,
    at: InProject,
    id: BatchExportId,
    states: (&BatchExport, &BatchExport),
) -> Result<()> {
    changed_by_loss(ctx, tx, at.organization, id, states)
}

/// The same where the actor need not see the project: they have shut out somebody in whose name it ran.
pub(super) fn changed_by_loss(
    ctx: &Ctx,
    tx: &WriteTx,
    organization: OrganizationId,
    id: BatchExportId,
    (before, after): (&BatchExport, &BatchExport),
) -> Result<()> {
    let mut changes = audit::differences(scope::BATCH_EXPORT, &state(before), &state(after))?;
    if after.destination.has_other_secrets(&before.destination, &ctx.vault, id) {
        changes.push(audit::secret_change(scope::BATCH_EXPORT, "destination secrets", [true, true]));
    }
    let change = Change::updated(scope::BATCH_EXPORT, id, &after.name, changes);
    write(ctx, tx, organization, after, change)
}

/// Something was done with an export that changes none of its fields.
pub(super) fn done(
    ctx: &Ctx,
    tx: &WriteTx,
    at: InProject,
    (id, export): (BatchExportId, &BatchExport),
    activity: &'static str,
    context: Value,
) -> Result<()> {
    let change = Change::of(scope::BATCH_EXPORT, activity, id).named(export.name.as_str());
    audit::record(ctx, tx, at.organization, change.in_project(at.id).with_context(context))
}
