//! What requests about exports are answered.

use std::collections::HashSet;

use serde::Serialize;

use super::{BatchExport, EXPORTS, Model, commands, find, hogql, runs};
use crate::api::{Call, Ctx, InOrganization, InProject, Level, Paging, Place, Reply};
use crate::clock::Time;
use crate::error::{Result, not_found};
use crate::ids::{BatchExportId, OrganizationId, ProjectId};
use crate::resources::{organizations, projects};
use crate::store::{Json, Order, Tx, WriteTx};

#[derive(Serialize)]
pub(super) struct Wire {
    id: BatchExportId,
    team_id: ProjectId,
    name: String,
    model: Option<&'static str>,
    destination: WireDestination,
    interval: &'static str,
    paused: bool,
    created_at: Time,
    last_updated_at: Time,
    last_paused_at: Option<Time>,
    start_at: Option<Time>,
    end_at: Option<Time>,
    latest_runs: Vec<runs::Wire>,
    hogql_query: Option<String>,
    schema: Option<Json>,
    filters: Option<Json>,
    /// There are no modifiers here.
    hogql_modifiers: Option<()>,
    timezone: String,
    offset_day: Option<u8>,
    offset_hour: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backfill_id: Option<String>,
}

#[derive(Serialize)]
struct WireDestination {
    #[serde(rename = "type")]
    kind: &'static str,
    config: Json,
}

/// An export as answers show it; with the name of a backfill, where one was begun.
pub(super) fn wire(
    tx: &Tx,
    id: BatchExportId,
    export: &BatchExport,
    backfill_id: Option<String>,
) -> Result<Wire> {
    Ok(Wire {
        id,
        team_id: export.project,
        name: export.name.clone(),
        model: export.model.map(Model::name),
        destination: WireDestination {
            kind: export.destination.kind.name(),
            config: export.destination.config.clone(),
        },
        interval: export.interval.name(),
        paused: export.paused,
        created_at: export.created_at,
        last_updated_at: export.last_updated_at,
        last_paused_at: export.last_paused_at,
        start_at: export.start_at,
        end_at: export.end_at,
        latest_runs: runs::latest(tx, id)?,
        hogql_query: export.schema.as_ref().and_then(hogql::query_of),
        schema: export.schema.clone(),
        filters: export.filters.clone(),
        hogql_modifiers: None,
        timezone: export.timezone.clone(),
        offset_day: export.offset_day,
        offset_hour: export.offset_hour,
        backfill_id,
    })
}

/// Those of the project, or of the projects of the organization that the caller sees.
pub(super) fn list(call: &Call, tx: &Tx) -> Result<Reply> {
    let paging = Paging::of(call);
    let (total, page) = find_page(call, tx, call.place, paging)?;
    let rows = page.into_iter().map(|((_, id), export)| wire(tx, id, &export, None));
    paging.reply(call, total, &rows.collect::<Result<Vec<Wire>>>()?)
}

/// How many exports of the place the caller sees, and a page of them, newest first.
///
/// # Errors
/// None but of the data file.
pub fn find_page(ctx: &Ctx, tx: &Tx, place: Place, paging: Paging) -> Result<(u64, Vec<Row>)> {
    if let Place::Project(at) = place {
        return only(tx, at.organization, paging, |project| project == at.id);
    }
    let at = place.in_organization()?;
    if at.level >= Level::Admin {
        return tx.page(&EXPORTS, &at.id, Order::Descending, paging.offset, paging.limit);
    }
    let seen = projects::visible_in(tx, at.id, ctx.user()?, at.level)?;
    let seen: HashSet<ProjectId> = seen.into_iter().map(|project| project.id).collect();
    only(tx, at.id, paging, |project| seen.contains(&project))
}

/// Those of some projects of the organization: how many there are, and a page of them.
fn only(
    tx: &Tx,
    organization: OrganizationId,
    paging: Paging,
    is_wanted: impl Fn(ProjectId) -> bool,
) -> Result<(u64, Vec<Row>)> {
    let mut all = tx.scan(&EXPORTS, &organization, Order::Descending)?;
    all.retain(|(_, export)| is_wanted(export.project));
    Ok((all.len() as u64, paging.cut(all)))
}

/// An export under its organization.
pub(super) type Row = ((OrganizationId, BatchExportId), BatchExport);

pub(super) fn post(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let at = match call.place {
        Place::Project(at) => at,
        _ => commands::project_for_new(call, tx, call.place.in_organization()?)?,
    };
    let (id, export) = commands::create(call, tx, at, call.input())?;
    Reply::created(&wire(tx, id, &export, None)?)
}

pub(super) fn show(call: &Call, tx: &Tx) -> Result<Reply> {
    let (at, id) = place(call)?;
    Reply::ok(&wire(tx, id, &find(tx, at, id)?, None)?)
}

pub(super) fn patch(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let (at, id) = place(call)?;
    let export = commands::update(call, tx, at, id, call.input())?;
    Reply::ok(&wire(tx, id, &export, None)?)
}

pub(super) fn delete(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let (at, id) = place(call)?;
    commands::remove(call, tx, at, id)?;
    Reply::no_content()
}

pub(super) fn pause(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let (at, id) = place(call)?;
    commands::pause(call, tx, at, id)?;
    Reply::ok(&wire(tx, id, &find(tx, at, id)?, None)?)
}

pub(super) fn unpause(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let (at, id) = place(call)?;
    let backfill = commands::unpause(call, tx, at, id, call.input())?;
    Reply::ok(&wire(tx, id, &find(tx, at, id)?, backfill)?)
}

/// The project and the export of the path.
pub(super) fn place(call: &Call) -> Result<(InProject, BatchExportId)> {
    Ok((call.place.in_project()?, call.id("id")?))
}

/// The place of an export is its project: 404 where it is none of the organization, and for whoever does not
/// see the project.
///
/// # Errors
/// 404, see above.
pub fn project_of_export(tx: &Tx, call: &Call) -> Result<InProject> {
    let user = call.user()?;
    let InOrganization { id: organization, level } =
        organizations::require_member(tx, call.param("organization_id"), user)?;
    let id = call.id("id")?;
    let project = tx.get(&EXPORTS, &(organization, id))?.ok_or_else(not_found)?.project;
    let level = projects::level_in(tx, organization, project, user, level)?.ok_or_else(not_found)?;
    Ok(InProject { organization, id: project, level })
}
