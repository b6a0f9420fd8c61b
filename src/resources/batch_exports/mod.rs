//! Batch exports: what leaves a project, where to and how often.
//! Invariant: an export that is to run again has a row in `SCHEDULE` under the end of its next interval;
//! a paused one does not.

pub mod authors;
pub mod backfills;
pub mod columns;
pub mod destination;
pub mod hogql;
pub mod interval;
pub mod logs;
pub mod runs;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::events::EventIds;
use super::{Resource, organizations, projects, users};
use crate::api::{Call, Ctx, Field, FieldInfo, InOrganization, InProject, Level, Paging, Reply, Within};
use crate::app::{Route, Tag, read, scope, tagged, write};
use crate::clock::Time;
use crate::error::{Result, denied, invalid, invalid_body, not_found};
use crate::ids::{BatchExportId, OrganizationId, ProjectId, UserId};
use crate::store::{Index, Json, Order, ParentNamed, Problems, Table, TableInfo, Tx, WriteTx, by_uuid};
use destination::{Destination, Kind};
use hogql::Fault;
use interval::Interval;
use runs::Data;

pub static RESOURCE: Resource = Resource::of(routes)
    .tables(&[&EXPORTS, &backfills::BACKFILLS, &logs::LOGS, &runs::RUNS, &runs::COMMITS])
    .samples(samples)
    .checks(&[check])
    .seals(&[show_sealed]);

fn routes() -> Vec<Route> {
    const TAG: Tag = Tag {
        name: "batch_exports",
        noun: "batch export",
        about: "Scheduled exports of events and persons over HTTP, to S3, PostgreSQL and Redshift; \
         their runs, backfills and logs.",
    };

    tagged(TAG, routes_of_one().into_iter().chain(actions()).collect())
}

fn routes_of_one() -> Vec<Route> {
    let all = "/api/organizations/{organization_id}/batch_exports/";
    let one = "/api/organizations/{organization_id}/batch_exports/{id}/";
    let (reads, writes) = (scope("batch_export:read"), scope("batch_export:write"));
    let organization = Within::Organization("organization_id");
    let project = Within::ProjectBy(project_of_export);
    vec![
        Route::get(all, reads, organization, read(list)).responds_page(FIELDS).about(
            "List batch exports",
            "Those of the projects that the caller sees, with their latest runs.",
        ),
        Route::post(all, writes, organization, write(create)).accepts(FIELDS).responds(201, FIELDS).about(
            "Create a batch export",
            "For the caller's current project, in the caller's name. Secrets of the destination \
             are stored sealed and never shown.",
        ),
        Route::get(one, reads, project, read(show))
            .responds(200, FIELDS)
            .about("Retrieve a batch export", "With its latest runs."),
        Route::put(one, writes, project, write(update)).accepts(FIELDS).responds(200, FIELDS).about(
            "Replace a batch export",
            "Whoever changes who receives the secrets sends them again, or gets 400.",
        ),
        Route::patch(one, writes, project, write(update)).accepts(FIELDS).responds(200, FIELDS).about(
            "Change a batch export",
            "Only the fields that are sent change. Whoever changes who receives the secrets sends \
             them again, or gets 400.",
        ),
        Route::delete(one, writes, project, write(remove))
            .responds_nothing()
            .about("Delete a batch export", "With its runs, backfills and logs."),
    ]
}

fn actions() -> Vec<Route> {
    let at = |tail: &str| format!("/api/organizations/{{organization_id}}/batch_exports/{{id}}/{tail}");
    let (reads, writes) = (scope("batch_export:read"), scope("batch_export:write"));
    let project = Within::ProjectBy(project_of_export);
    vec![
        Route::post(at("backfill/"), writes, project, write(backfills::create))
            .accepts(FIELDS)
            .responds(200, FIELDS)
            .about(
                "Export a range of the past",
                "Runs one interval of the export after the other, from `start_at` to `end_at`. The \
                 answer's `backfill_id` names it.",
            ),
        Route::post(at("pause/"), writes, project, write(pause))
            .accepts(FIELDS)
            .responds(200, FIELDS)
            .about("Pause a batch export", "No run is made until it is unpaused; runs under way go on."),
        Route::post(at("unpause/"), writes, project, write(unpause))
            .accepts(FIELDS)
            .responds(200, FIELDS)
            .about(
                "Resume a batch export",
                "Runs are made in the caller's name from now on. `backfill: true` makes up for what \
             the pause left out.",
            ),
        // The page shows no scope for it; a key that may read exports may read what they tell.
        Route::get(at("logs/"), reads, project, read(logs::list))
            .responds_page(logs::FIELDS)
            .about("List a batch export's log", "The newest entries, without further pages.")
            .queries(&[
                ("limit", "How many entries, 1 to 500."),
                ("after", "Only entries later than this time."),
                ("before", "Only entries before this time."),
                ("level", "Only this level; may be given several times."),
                ("search", "Only messages that hold this text."),
                ("instance_id", "Only entries of this run or backfill."),
            ]),
    ]
}

/// What is exported. Records hold the place in this list: add at the end only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Model {
    Events,
    Persons,
}

impl Model {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Model::Events => "events",
            Model::Persons => "persons",
        }
    }

    fn named(name: &str) -> Option<Model> {
        [Model::Events, Model::Persons].into_iter().find(|model| model.name() == name)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BatchExport {
    pub project: ProjectId,
    pub name: String,
    pub model: Option<Model>,
    pub destination: Destination,
    pub interval: Interval,
    pub paused: bool,
    pub created_at: Time,
    pub last_updated_at: Time,
    pub last_paused_at: Option<Time>,
    pub start_at: Option<Time>,
    pub end_at: Option<Time>,
    /// The columns that a query chose.
    pub schema: Option<Json>,
    /// The end of the next interval to be exported; `None` where there is none.
    pub next_run_at: Option<Time>,
    /// In whose name it runs: who last changed what it sends or where, or unpaused it. `None` where nobody
    /// noted it.
    pub author: Option<UserId>,
}

/// By organization and time.
pub(super) static EXPORTS: Table<(OrganizationId, BatchExportId), BatchExport> =
    Table::new("batch_exports").counted(by_uuid).indexed(&[&BY_ID, &SCHEDULE]).belongs_to(&[&ParentNamed {
        table: &projects::PROJECTS,
        children: || &EXPORTS,
        front: |(organization, _)| *organization,
        parent: |(organization, _), export| Some((*organization, export.project)),
    }]);
/// The organization of each export.
static BY_ID: Index<(OrganizationId, BatchExportId), BatchExport, BatchExportId, OrganizationId> =
    Index::unique("batch_exports_by_id", |(organization, id), _| Some((*id, *organization)));
/// By the time of the next run.
static SCHEDULE: Index<(OrganizationId, BatchExportId), BatchExport, (Time, BatchExportId), ()> =
    Index::new("batch_exports_schedule", |(_, id), export| Some(((export.next_run_at?, *id), ())));

/// The tables that say what there is to do.
pub fn work() -> [TableInfo; 3] {
    [SCHEDULE.info(), runs::OPEN.info(), backfills::OPEN.info()]
}

/// Scheduled runs of one export that may be open; after a downtime the others are made as these end.
const OPEN_RUNS_MAX: usize = 3;

const DESTINATION_FIELDS: &[FieldInfo] = &[
    Field::text_choice("type", |name| Kind::named(name).is_some()).required().info(),
    Field::json("config").required().info(),
];

const NAME: Field<String> = Field::long_text("name").required();
const MODEL: Field<Option<String>> =
    Field::text_choice("model", |name| Model::named(name).is_some()).nullable();
const DESTINATION: Field<Value> = Field::object("destination", DESTINATION_FIELDS).required();
const INTERVAL: Field<String> =
    Field::text_choice("interval", |name| Interval::named(name).is_some()).required();
const PAUSED: Field<bool> = Field::boolean("paused");
const LAST_PAUSED_AT: Field<Option<Time>> = Field::time("last_paused_at").nullable();
const START_AT: Field<Option<Time>> = Field::time("start_at").nullable();
const END_AT: Field<Option<Time>> = Field::time("end_at").nullable();
const HOGQL_QUERY: Field<Option<String>> = Field::long_text("hogql_query")
    .nullable()
    .described("A SELECT whose columns are exported, of events into files and tables.");
pub const FIELDS: &[FieldInfo] = &[
    Field::uuid("id").read_only(),
    Field::integer("team_id", 0, i64::MAX).read_only().described("The number of the project."),
    NAME.info(),
    MODEL.info(),
    DESTINATION.info(),
    INTERVAL.info(),
    PAUSED.info(),
    Field::time("created_at").read_only(),
    Field::time("last_updated_at").read_only(),
    LAST_PAUSED_AT.info(),
    START_AT.info(),
    END_AT.info(),
    Field::objects("latest_runs", runs::FIELDS).read_only(),
    HOGQL_QUERY.info(),
    Field::json("schema").nullable().read_only().described("The columns of the query, as it was understood."),
];

/// What is read before and after `destination`. That field needs what is stored, and `hogql_query` is null in
/// answers only: both have rules of their own and are judged in their turn.
const BEFORE_DESTINATION: &[FieldInfo] = &[NAME.info(), MODEL.info()];
const AFTER_DESTINATION: &[FieldInfo] =
    &[INTERVAL.info(), PAUSED.info(), LAST_PAUSED_AT.info(), START_AT.info(), END_AT.info()];

#[derive(Serialize)]
struct Wire {
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
    #[serde(skip_serializing_if = "Option::is_none")]
    backfill_id: Option<String>,
}

#[derive(Serialize)]
struct WireDestination {
    #[serde(rename = "type")]
    kind: &'static str,
    config: Json,
}

fn wire(tx: &Tx, id: BatchExportId, export: &BatchExport, backfill_id: Option<String>) -> Result<Wire> {
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
        backfill_id,
    })
}

/// Those of the projects that the caller sees.
fn list(call: &Call, tx: &Tx) -> Result<Reply> {
    let InOrganization { id: organization, level } = call.place.in_organization()?;
    let paging = Paging::of(call);
    let (total, page) = if level >= Level::Admin {
        tx.page(&EXPORTS, &organization, Order::Descending, paging.offset, paging.limit)?
    } else {
        let seen = projects::visible_in(tx, organization, call.user()?, level)?;
        let seen: HashSet<ProjectId> = seen.into_iter().map(|project| project.id).collect();
        let mut all = tx.scan(&EXPORTS, &organization, Order::Descending)?;
        all.retain(|(_, export)| seen.contains(&export.project));
        (all.len() as u64, paging.cut(all))
    };
    let rows = page.into_iter().map(|((_, id), export)| wire(tx, id, &export, None));
    paging.reply(call, total, &rows.collect::<Result<Vec<Wire>>>()?)
}

fn create(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let InOrganization { id: organization, level } = call.place.in_organization()?;
    let id = call.new_id();
    let read = Read::of(call, id, None)?;
    let (Some(name), Some(destination), Some(interval)) = (read.name, read.destination, read.interval) else {
        return Err(invalid_body("required", "This field is required."));
    };
    let mut export = BatchExport {
        project: project_of(call, tx, organization, level)?,
        name,
        model: read.model.unwrap_or(Some(Model::Events)),
        destination,
        interval,
        paused: read.paused.unwrap_or(false),
        created_at: call.now,
        last_updated_at: call.now,
        last_paused_at: read.last_paused_at.flatten(),
        start_at: read.start_at.flatten(),
        end_at: read.end_at.flatten(),
        schema: read.schema,
        next_run_at: None,
        author: Some(call.user()?),
    };
    check_whole(call, None, &export)?;
    export.next_run_at = export.next_after(call.now);
    tx.insert(&EXPORTS, &(organization, id), &export)?;
    Reply::created(&wire(tx, id, &export, None)?)
}

fn show(call: &Call, tx: &Tx) -> Result<Reply> {
    let (_, id, export) = find(call, tx)?;
    Reply::ok(&wire(tx, id, &export, None)?)
}

fn update(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let (organization, id, before) = find(call, tx)?;
    let read = Read::of(call, id, Some(&before.destination))?;
    let mut export = before.clone();
    let set = |wanted: Option<Option<Time>>, old: Option<Time>| wanted.unwrap_or(old);
    export.name = read.name.unwrap_or(export.name);
    export.model = read.model.unwrap_or(export.model);
    export.destination = read.destination.unwrap_or(export.destination);
    export.interval = read.interval.unwrap_or(export.interval);
    export.paused = read.paused.unwrap_or(export.paused);
    export.last_paused_at = set(read.last_paused_at, export.last_paused_at);
    export.start_at = set(read.start_at, export.start_at);
    export.end_at = set(read.end_at, export.end_at);
    // A query can be replaced, not taken away.
    export.schema = read.schema.or(export.schema);
    check_whole(call, Some(&before), &export)?;
    export.last_updated_at = call.now;
    if is_another_order(call, id, &before, &export) {
        export.author = Some(call.user()?);
    }
    let timing = |export: &BatchExport| (export.interval, export.paused, export.start_at, export.end_at);
    if timing(&export) != timing(&before) {
        // Intervals that are still to be caught up on stay due, as long as they mean the same.
        let due = before.next_run_at.filter(|due| *due <= call.now && export.interval == before.interval);
        let since = due.map_or(call.now, |due| due.plus_seconds(-1));
        export.next_run_at = export.next_after(since);
    }
    put(tx, organization, id, Some(&before), &export)?;
    Reply::ok(&wire(tx, id, &export, None)?)
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

fn remove(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let (organization, id, _) = find(call, tx)?;
    tx.delete(&EXPORTS, &(organization, id))?;
    Reply::no_content()
}

fn pause(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let (_, id, _) = find(call, tx)?;
    set_paused(tx, call.now, id)?;
    show(call, tx)
}

/// `backfill` makes up for what the pause has left out.
fn unpause(call: &Call, tx: &WriteTx) -> Result<Reply> {
    const BACKFILL: Field<bool> = Field::boolean("backfill");
    const UNPAUSE: &[FieldInfo] = &[BACKFILL.info()];
    let (_, id, export) = find(call, tx)?;
    let wants_backfill = call.form(UNPAUSE)?.only(BACKFILL).unwrap_or(false);
    let mut name = None;
    let is_paused = unpause_automatically(tx, call.now, id, Some(call.user()?))?;
    if is_paused && wants_backfill {
        let since = export.last_paused_at.unwrap_or(export.created_at);
        name = Some(backfills::start_one(call, tx, id, Some(since), Some(call.now))?);
    }
    let (_, id, export) = find(call, tx)?;
    Reply::ok(&wire(tx, id, &export, name)?)
}

/// What a body says, checked field by field in the order of the list.
struct Read {
    name: Option<String>,
    model: Option<Option<Model>>,
    destination: Option<Destination>,
    interval: Option<Interval>,
    paused: Option<bool>,
    last_paused_at: Option<Option<Time>>,
    start_at: Option<Option<Time>>,
    end_at: Option<Option<Time>>,
    schema: Option<Json>,
}

impl Read {
    fn of(call: &Call, id: BatchExportId, before: Option<&Destination>) -> Result<Read> {
        let is_partial = call.method == crate::api::Method::Patch;
        let mut front = call.form(BEFORE_DESTINATION)?;
        let destination = destination::read(call, id, before, is_partial)?;
        let mut back = call.form(AFTER_DESTINATION)?;
        let read = Read {
            name: front.take(NAME),
            model: front.take(MODEL).map(|name| name.as_deref().and_then(Model::named)),
            destination,
            interval: back.take(INTERVAL).as_deref().and_then(Interval::named),
            paused: back.take(PAUSED),
            last_paused_at: back.take(LAST_PAUSED_AT),
            start_at: back.take(START_AT),
            end_at: back.take(END_AT),
            schema: schema_of(call)?,
        };
        front.finish();
        back.finish();
        Ok(read)
    }
}

/// The schema that the query of a body makes.
fn schema_of(call: &Call) -> Result<Option<Json>> {
    const NAME: &str = HOGQL_QUERY.name();
    let schema = match call.body.value()?.get(NAME) {
        None => return Ok(None),
        Some(Value::Null) => return Err(invalid(NAME, "null", "This field may not be null.")),
        Some(Value::String(query)) => hogql::schema(query),
        Some(_) => Err(Fault::Unparsable),
    };
    schema.map(Some).map_err(|fault| invalid(NAME, "invalid_input", fault.to_string()))
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
    let is_refused = export.interval.is_high_frequency() && !ctx.config.exports.export_high_frequency;
    if is_new_interval && is_refused {
        return Err(denied("Higher frequency exports are not enabled for this team."));
    }
    Ok(())
}

/// The caller's current project where it lies in the organization, else the first that they see.
fn project_of(ctx: &Ctx, tx: &Tx, organization: OrganizationId, level: Level) -> Result<ProjectId> {
    let user = ctx.user()?;
    let seen = projects::visible_in(tx, organization, user, level)?;
    let current = users::find(tx, user)?.current_project;
    let project = seen.iter().find(|project| Some(project.id) == current).or_else(|| seen.first());
    project.map(|project| project.id).ok_or_else(|| {
        invalid_body(
            "invalid_input",
            "A project is needed for a batch export, and this organization has none.",
        )
    })
}

impl BatchExport {
    /// The end of the first interval to be exported after `time`.
    fn next_after(&self, time: Time) -> Option<Time> {
        let mut next = self.interval.next(time);
        if let Some(start) = self.start_at.filter(|start| *start > next) {
            next = self.interval.ceil(start);
        }
        let is_over = self.end_at.is_some_and(|end| next > end);
        (!self.paused && !is_over).then_some(next)
    }
}

/// Python's form of a moment in UTC.
pub fn isoformat(time: Time) -> String {
    format!("{}+00:00", time.to_string().trim_end_matches('Z'))
}

/// The place of an export is its project: 404 where it is none of the organization, and for whoever does not
/// see the project.
fn project_of_export(tx: &Tx, call: &Call) -> Result<InProject> {
    let user = call.user()?;
    let InOrganization { id: organization, level } =
        organizations::require_member(tx, call.param("organization_id"), user)?;
    let id = call.id("id")?;
    let project = tx.get(&EXPORTS, &(organization, id))?.ok_or_else(not_found)?.project;
    let level = projects::level_in(tx, organization, project, user, level)?.ok_or_else(not_found)?;
    Ok(InProject { organization, id: project, level })
}

/// The export of the path.
fn find(call: &Call, tx: &Tx) -> Result<(OrganizationId, BatchExportId, BatchExport)> {
    let InProject { organization, .. } = call.place.in_project()?;
    let id = call.id("id")?;
    let export = tx.get(&EXPORTS, &(organization, id))?.ok_or_else(not_found)?;
    Ok((organization, id, export))
}

/// An export with its organization.
fn get(tx: &Tx, id: BatchExportId) -> Result<Option<(OrganizationId, BatchExport)>> {
    let Some(organization) = tx.get(&BY_ID, &id)? else { return Ok(None) };
    Ok(tx.get(&EXPORTS, &(organization, id))?.map(|export| (organization, export)))
}

fn put(
    tx: &WriteTx,
    organization: OrganizationId,
    id: BatchExportId,
    before: Option<&BatchExport>,
    export: &BatchExport,
) -> Result<()> {
    if let Some(due) = before.and_then(|before| before.next_run_at) {
        tx.delete(&SCHEDULE, &(due, id))?;
    }
    if let Some(due) = export.next_run_at {
        tx.put(&SCHEDULE, &(due, id), &())?;
    }
    Ok(tx.put(&EXPORTS, &(organization, id), export)?)
}

/// Pauses the export; false where it is paused already, and nothing changes.
fn set_paused(tx: &WriteTx, now: Time, id: BatchExportId) -> Result<bool> {
    let Some((organization, before)) = get(tx, id)?.filter(|(_, export)| !export.paused) else {
        return Ok(false);
    };
    let mut export = before.clone();
    export.paused = true;
    export.last_paused_at = Some(now);
    export.last_updated_at = now;
    export.next_run_at = None;
    put(tx, organization, id, Some(&before), &export)?;
    Ok(true)
}

/// Lets the export run again from its next interval on, in the name of `by` or as before; false where it is
/// not paused.
fn unpause_automatically(tx: &WriteTx, now: Time, id: BatchExportId, by: Option<UserId>) -> Result<bool> {
    let Some((organization, before)) = get(tx, id)?.filter(|(_, export)| export.paused) else {
        return Ok(false);
    };
    let mut export = before.clone();
    export.paused = false;
    export.author = by.or(export.author);
    export.last_updated_at = now;
    export.next_run_at = export.next_after(now);
    put(tx, organization, id, Some(&before), &export)?;
    Ok(true)
}

/// Makes the runs whose time has come, oldest first.
pub fn schedule(tx: &WriteTx, event_ids: &EventIds) -> Result<()> {
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
            let start = Some(due.plus_seconds(-export.interval.seconds()));
            runs::create(tx, event_ids, id, &export, None, Data { start, end: due })?;
            end = export.next_after(due);
        }
        export.next_run_at = end;
        put(tx, organization, id, Some(&before), &export)?;
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

/// The organization of an export; nil where there is no such export.
fn organization_of(tx: &Tx, export: BatchExportId) -> Result<OrganizationId> {
    Ok(tx.get(&BY_ID, &export)?.unwrap_or(OrganizationId(Uuid::nil())))
}

/// Whether there may be a run to be made.
pub fn is_due(tx: &Tx, now: Time) -> Result<bool> {
    let scheduled = tx.range(&SCHEDULE, &Time(i64::MIN), &just_after(now), Order::Ascending)?.next();
    Ok(scheduled.transpose()?.is_some() || backfills::any_open(tx)?)
}

fn just_after(time: Time) -> Time {
    Time(time.0.saturating_add(1))
}

/// Shows the secrets of all destinations.
fn show_sealed(tx: &Tx, look: super::secrets::Look<'_>) -> Result<()> {
    for ((_, id), export) in tx.all(&EXPORTS)? {
        look(id.0.as_bytes(), export.destination.sealed());
    }
    Ok(())
}

/// A paused export has no next run, and a commit is noted for open runs only.
fn check(tx: &Tx, problems: &mut Problems) -> Result<()> {
    for ((_, id), export) in tx.all(&EXPORTS)? {
        if export.paused && export.next_run_at.is_some() {
            problems.push(format!("batch export {id} is paused and has a next run"));
        }
    }
    for (id, _) in tx.all(&runs::COMMITS)? {
        if !runs::is_open(tx, id)? {
            problems.push(format!("a commit is noted for run {id}, which is over"));
        }
    }
    Ok(())
}

fn samples(all: &mut super::samples::Samples) {
    use super::samples::{NOW, ONE, TWO, text};
    let json = Json::of(&serde_json::json!({"a": [1, null]}));
    let destination = Destination::sample(json.clone());
    all.add(
        &EXPORTS,
        (ONE.into(), TWO.into()),
        BatchExport {
            project: ProjectId(7),
            name: text("n"),
            model: Some(Model::Persons),
            destination,
            interval: Interval::Day,
            paused: true,
            created_at: NOW,
            last_updated_at: NOW,
            last_paused_at: Some(NOW),
            start_at: None,
            end_at: Some(NOW),
            schema: Some(json.clone()),
            next_run_at: Some(NOW),
            author: Some(ONE.into()),
        },
    );
    all.variants("model", &crate::every!(Model { Events, Persons }));
    all.variants("interval", &crate::every!(Interval { Hour, Day, Week, FiveMinutes, FifteenMinutes }));
    destination::samples(all);
    runs::samples(all);
    backfills::samples(all);
    logs::samples(all);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_writable_field_has_its_turn() {
        let turns = [BEFORE_DESTINATION, &[DESTINATION.info()], AFTER_DESTINATION, &[HOGQL_QUERY.info()]];
        let read: Vec<&str> = turns.concat().iter().map(|field| field.name).collect();
        let writable = FIELDS.iter().filter(|field| !field.read_only);
        assert_eq!(read, writable.map(|field| field.name).collect::<Vec<_>>());
    }
}
