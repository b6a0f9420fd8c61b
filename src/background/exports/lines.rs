//! Records as lines of JSON, in pieces.

use serde::Serialize;
use uuid::Uuid;

use super::job::{Job, Outcome, Stop, uuid_of};
use crate::clock::Ids;
use crate::resources::batch_exports::{Model, isoformat};
use crate::resources::events::{Event, Place};
use crate::resources::persons::Row;
use crate::store::Json;

#[derive(Serialize)]
struct EventLine<'a> {
    uuid: Uuid,
    timestamp: String,
    _inserted_at: String,
    created_at: String,
    event: &'a str,
    properties: &'a Json,
    distinct_id: &'a str,
    elements_chain: &'a str,
    person_properties: &'a Json,
    person_id: Uuid,
}

#[derive(Serialize)]
struct PersonLine<'a> {
    team_id: u32,
    distinct_id: &'a str,
    person_id: Uuid,
    properties: &'a Json,
    person_distinct_id_version: u64,
    person_version: u64,
    _inserted_at: String,
    created_at: String,
}

/// All records of a job.
pub(super) struct Lines<'a> {
    job: &'a Job,
    after: Option<Place>,
    records: u64,
}

impl Lines<'_> {
    pub(super) fn of(job: &Job) -> Lines<'_> {
        Lines { job, after: None, records: 0 }
    }

    /// How many records were given so far.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// The next lines; `None` at the end.
    pub(super) async fn next(&mut self) -> Outcome<Option<Vec<u8>>> {
        let mut lines = Vec::new();
        match self.job.plan.model {
            Model::Events => {
                let Some((events, place)) = self.job.next(self.after).await? else { return Ok(None) };
                for (id, event) in &events {
                    self.event(*id, event, &mut lines)?;
                }
                self.after = Some(place);
                self.records += events.len() as u64;
            }
            // A person may have changed without any of its distinct ids having to leave.
            Model::Persons => {
                while lines.is_empty() {
                    let Some((rows, place)) = self.job.next_persons(self.after).await? else {
                        return Ok(None);
                    };
                    for row in &rows {
                        self.person(row, &mut lines)?;
                    }
                    self.after = Some(place);
                    self.records += rows.len() as u64;
                }
            }
        }
        Ok(Some(lines))
    }

    fn event(&self, id: Uuid, event: &Event, lines: &mut Vec<u8>) -> Outcome<()> {
        let nothing = Json::of(&serde_json::Map::new());
        let arrived = Ids::time_of(id);
        let line = EventLine {
            uuid: uuid_of(id, event),
            timestamp: isoformat(event.timestamp),
            // What a backfill goes by is the event's own time.
            _inserted_at: isoformat(if self.job.goes_by_arrival() { arrived } else { event.timestamp }),
            created_at: isoformat(arrived),
            event: &event.event,
            properties: &event.properties,
            distinct_id: &event.distinct_id,
            elements_chain: &event.elements_chain,
            person_properties: event.person_properties.as_ref().unwrap_or(&nothing),
            person_id: event.person,
        };
        push(&line, lines)
    }

    fn person(&self, row: &Row, lines: &mut Vec<u8>) -> Outcome<()> {
        let line = PersonLine {
            team_id: self.job.plan.project,
            distinct_id: &row.distinct_id,
            person_id: row.id,
            properties: &row.person.properties,
            person_distinct_id_version: row.mapping.version,
            person_version: row.person.version,
            _inserted_at: isoformat(row.person.touched_at),
            created_at: isoformat(row.person.created_at),
        };
        push(&line, lines)
    }
}

fn push(line: &impl Serialize, lines: &mut Vec<u8>) -> Outcome<()> {
    serde_json::to_writer(&mut *lines, line).map_err(|cause| Stop::Broken(cause.into()))?;
    lines.push(b'\n');
    Ok(())
}
