//! Batch exports: what leaves a project, where to and how often.
//! Invariant: an export that is to run again has a row in `SCHEDULE` under the end of its next interval;
//! a paused one does not.

mod audited;
pub mod authors;
mod backfill_handlers;
pub mod backfills;
pub mod bucket;
pub mod columns;
pub mod commands;
pub mod destination;
mod form;
mod handlers;
pub mod hogql;
pub mod interval;
pub mod logs;
mod moving;
mod paused_letters;
mod probe;
pub mod redact;
mod relative_time;
mod routes;
mod run_handlers;
pub mod runs;
pub mod schedule;
mod test_steps;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Resource, projects};
use crate::api::InProject;
use crate::clock::Time;
use crate::error::{Result, not_found};
use crate::ids::{BatchExportId, OrganizationId, ProjectId, UserId};
use crate::store::{Index, Json, Order, ParentNamed, Problems, Table, TableInfo, Tx, by_uuid};
use destination::Destination;
use interval::{Calendar, Interval};

pub use audited::settable;
pub use backfill_handlers::{Progress, progress};
pub use form::FIELDS;
pub use handlers::{find_page, project_of_export};
pub use moving::move_project;
pub use test_steps::{Tested, draft_to_test, run_all};

pub static RESOURCE: Resource = Resource::of(routes::all)
    .tables(&[&EXPORTS, &backfills::BACKFILLS, &logs::LOGS, &runs::RUNS, &runs::COMMITS])
    .samples(samples)
    .checks(&[check])
    .seals(&[show_sealed]);

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

    pub fn named(name: &str) -> Option<Model> {
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
    /// The time zone of days and weeks.
    pub timezone: String,
    /// The weekday on which weeks begin, counted from Sunday.
    pub offset_day: Option<u8>,
    /// The hour at which days and weeks begin.
    pub offset_hour: Option<u8>,
    /// As they were sent; there are none that leave anything out.
    pub filters: Option<Json>,
}

impl BatchExport {
    /// Where its intervals begin and end.
    pub(super) fn calendar(&self) -> Calendar {
        Calendar::new(self.interval, &self.timezone, self.offset_day, self.offset_hour)
    }
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

/// Python's form of a moment in UTC.
pub fn isoformat(time: Time) -> String {
    format!("{}+00:00", time.to_string().trim_end_matches('Z'))
}

/// How many exports of these projects are running, and how many are paused.
///
/// # Errors
/// None but of the data file.
pub fn count_in(tx: &Tx, organization: OrganizationId, projects: &[ProjectId]) -> Result<(u64, u64)> {
    let mut all = tx.scan(&EXPORTS, &organization, Order::Ascending)?;
    all.retain(|(_, export)| projects.contains(&export.project));
    let paused = all.iter().filter(|(_, export)| export.paused).count() as u64;
    Ok((all.len() as u64 - paused, paused))
}

/// How many exports of an organization run in the name of a user.
///
/// # Errors
/// None but of the data file.
pub fn count_by(tx: &Tx, organization: OrganizationId, author: UserId) -> Result<u64> {
    let all = tx.scan(&EXPORTS, &organization, Order::Ascending)?;
    Ok(all.iter().filter(|(_, export)| export.author == Some(author)).count() as u64)
}

/// The export of a project, or 404.
pub fn find(tx: &Tx, at: InProject, id: BatchExportId) -> Result<BatchExport> {
    let export = tx.get(&EXPORTS, &(at.organization, id))?;
    export.filter(|export| export.project == at.id).ok_or_else(not_found)
}

/// All exports of an organization, the oldest first.
///
/// # Errors
/// None but of the data file.
pub fn all_of(tx: &Tx, organization: OrganizationId) -> Result<Vec<(BatchExportId, BatchExport)>> {
    let all = tx.scan(&EXPORTS, &organization, Order::Ascending)?;
    Ok(all.into_iter().map(|((_, id), export)| (id, export)).collect())
}

/// An export with its organization.
fn get(tx: &Tx, id: BatchExportId) -> Result<Option<(OrganizationId, BatchExport)>> {
    let Some(organization) = tx.get(&BY_ID, &id)? else { return Ok(None) };
    Ok(tx.get(&EXPORTS, &(organization, id))?.map(|export| (organization, export)))
}

/// The organization of an export; nil where there is no such export.
fn organization_of(tx: &Tx, export: BatchExportId) -> Result<OrganizationId> {
    Ok(tx.get(&BY_ID, &export)?.unwrap_or(OrganizationId(Uuid::nil())))
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
            timezone: text("UTC"),
            offset_day: Some(3),
            offset_hour: Some(4),
            filters: Some(json.clone()),
        },
    );
    all.variants("model", &crate::every!(Model { Events, Persons }));
    all.variants("interval", &crate::every!(Interval { Hour, Day, Week, FiveMinutes, FifteenMinutes }));
    destination::samples(all);
    runs::samples(all);
    backfills::samples(all);
    logs::samples(all);
}
