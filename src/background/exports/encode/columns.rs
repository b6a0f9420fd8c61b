//! The columns of a run, and the values of records in them.

use crate::background::exports::error::{AttemptError, Result};
use crate::background::exports::plan::Plan;
use crate::background::exports::read::Batch;
use crate::resources::batch_exports::columns::{self, Column, Event, Person, Type, Value};
use crate::resources::batch_exports::{Model, hogql};

/// The columns of the plan's model.
pub(in crate::background::exports) enum Columns {
    Events(Vec<Column<Event>>),
    Persons(Vec<Column<Person>>),
}

impl Columns {
    /// A query chooses columns of events; it says nothing about persons.
    pub(in crate::background::exports) fn of(plan: &Plan) -> Result<Columns> {
        let query = plan.schema.as_ref().and_then(hogql::query_of);
        match (plan.model, query) {
            (Model::Events, None) => Ok(Columns::Events(columns::of_events(plan.kind))),
            (Model::Events, Some(query)) => {
                let chosen = columns::of_query(plan.kind, &query, plan.run.created_at);
                // An earlier version may have accepted a query that this one does not.
                let chosen = chosen.map_err(|fault| AttemptError::Fatal(format!("HogQLError: {fault}")))?;
                Ok(Columns::Events(chosen))
            }
            (Model::Persons, _) => Ok(Columns::Persons(columns::of_persons(plan.kind))),
        }
    }

    /// Names and types of the columns, in order.
    pub(in crate::background::exports) fn names_and_types(&self) -> Vec<(&str, Type)> {
        fn listed<R>(columns: &[Column<R>]) -> Vec<(&str, Type)> {
            columns.iter().map(|column| (&*column.name, column.kind)).collect()
        }
        match self {
            Columns::Events(columns) => listed(columns),
            Columns::Persons(columns) => listed(columns),
        }
    }

    /// Calls `take` for each record with its values in the order of the columns.
    pub(in crate::background::exports) fn each(
        &self,
        batch: Batch,
        take: impl FnMut(&[Value<'_>]) -> Result<()>,
    ) -> Result<()> {
        match (self, batch) {
            (Columns::Events(columns), Batch::Events(events)) => each(columns, events, take),
            (Columns::Persons(columns), Batch::Persons(persons)) => each(columns, persons, take),
            _ => Ok(()),
        }
    }
}

/// Each record is dropped when it was taken, with all that was made of it.
fn each<R>(
    columns: &[Column<R>],
    records: Vec<R>,
    mut take: impl FnMut(&[Value<'_>]) -> Result<()>,
) -> Result<()> {
    for record in records {
        let values: Vec<Value<'_>> = columns.iter().map(|column| (column.value)(&record)).collect();
        take(&values)?;
    }
    Ok(())
}
