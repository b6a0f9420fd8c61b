//! The records of a job with their columns, piece by piece.

use uuid::Uuid;

use super::job::{Job, Outcome, Stop};
use crate::clock::Ids;
use crate::resources::batch_exports::columns::{self, Column, Event, Parsed, Person, Type, Value};
use crate::resources::batch_exports::{Model, hogql};
use crate::resources::events::{self, Place};

/// The columns of the job's model.
enum Columns {
    Events(Vec<Column<Event>>),
    Persons(Vec<Column<Person>>),
}

/// All records of a job.
pub(super) struct Records<'a> {
    job: &'a Job,
    columns: Columns,
    after: Option<Place>,
    count: u64,
}

/// Some records.
enum Piece {
    Events(Vec<Event>),
    Persons(Vec<Person>),
}

impl<'a> Records<'a> {
    /// From the beginning. A query chooses columns of events; it says nothing about persons.
    pub(super) fn of(job: &'a Job) -> Outcome<Records<'a>> {
        let kind = job.plan.destination.kind;
        let query = job.plan.schema.as_ref().and_then(hogql::query_of);
        let columns = match (job.plan.model, query) {
            (Model::Events, None) => Columns::Events(columns::of_events(kind)),
            (Model::Events, Some(query)) => {
                let chosen = columns::of_query(kind, &query, job.run.created_at);
                // One that an earlier version took and this one does not.
                Columns::Events(chosen.map_err(|fault| Stop::Fatal(format!("HogQLError: {fault}")))?)
            }
            (Model::Persons, _) => Columns::Persons(columns::of_persons(kind)),
        };
        Ok(Records { job, columns, after: None, count: 0 })
    }

    /// Names and types of the columns, in order.
    pub(super) fn columns(&self) -> Vec<(&str, Type)> {
        fn shown<R>(columns: &[Column<R>]) -> Vec<(&str, Type)> {
            columns.iter().map(|column| (&*column.name, column.kind)).collect()
        }
        match &self.columns {
            Columns::Events(columns) => shown(columns),
            Columns::Persons(columns) => shown(columns),
        }
    }

    /// How many records were given so far.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Gives the next records to `take`, one at a time, each with its values in the order of the columns;
    /// false at the end of all.
    pub(super) async fn next(
        &mut self,
        take: &mut (dyn FnMut(&[Value<'_>]) -> Outcome<()> + Send),
    ) -> Outcome<bool> {
        let Some((piece, place)) = self.read().await? else { return Ok(false) };
        self.after = Some(place);
        match (piece, &self.columns) {
            (Piece::Events(records), Columns::Events(columns)) => {
                self.count += each(records, columns, take)?;
            }
            (Piece::Persons(records), Columns::Persons(columns)) => {
                self.count += each(records, columns, take)?;
            }
            _ => {}
        }
        Ok(true)
    }

    async fn read(&self) -> Outcome<Option<(Piece, Place)>> {
        let project = self.job.plan.project;
        if let Columns::Persons(_) = self.columns {
            let Some((rows, place)) = self.job.next_persons(self.after).await? else { return Ok(None) };
            let persons = rows.into_iter().map(|row| Person { project, row }).collect();
            return Ok(Some((Piece::Persons(persons), place)));
        }
        let Some((events, place)) = self.job.next(self.after).await? else { return Ok(None) };
        let by_arrival = self.job.goes_by_arrival();
        let record = |(id, event): (Uuid, events::Event)| {
            let arrived_at = Ids::time_of(id);
            let inserted_at = if by_arrival { arrived_at } else { event.timestamp };
            Event { project, id, event, arrived_at, inserted_at, parsed: Parsed::default() }
        };
        Ok(Some((Piece::Events(events.into_iter().map(record).collect()), place)))
    }
}

/// Each record goes when it was taken, with all that was made of it.
fn each<R>(
    records: Vec<R>,
    columns: &[Column<R>],
    take: &mut (dyn FnMut(&[Value<'_>]) -> Outcome<()> + Send),
) -> Outcome<u64> {
    let count = records.len() as u64;
    for record in records {
        let values: Vec<Value<'_>> = columns.iter().map(|column| (column.value)(&record)).collect();
        take(&values)?;
    }
    Ok(count)
}
