//! Second stage: records from the data file, batch by batch.

use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use super::error::Result;
use super::plan::Plan;
use crate::app::App;
use crate::clock::Ids;
use crate::error::{Error, Result as StoreResult};
use crate::ids::ProjectId;
use crate::resources::batch_exports::Model;
use crate::resources::batch_exports::columns::{Event, Parsed, Person};
use crate::resources::events::{self, Cursor, Span};
use crate::resources::persons;
use crate::store::Tx;

/// The size of a batch in the data file, about.
const BATCH_BYTES: u64 = 1024 * 1024;
const DAY_SECONDS: i64 = 24 * 60 * 60;

/// Some records, in the order in which they are exported.
pub(super) enum Batch {
    Events(Vec<Event>),
    Persons(Vec<Person>),
}

impl Batch {
    fn len(&self) -> usize {
        match self {
            Batch::Events(events) => events.len(),
            Batch::Persons(persons) => persons.len(),
        }
    }
}

/// Reads the records of a plan.
pub(super) struct Reader {
    app: Arc<App>,
    project: ProjectId,
    model: Model,
    span: Span,
    filter: EventFilter,
    /// The last record that was read.
    after: Option<Cursor>,
    records: u64,
}

impl Reader {
    /// From the beginning.
    pub(super) fn new(app: &Arc<App>, plan: &Plan) -> Reader {
        Reader {
            app: Arc::clone(app),
            project: plan.project,
            model: plan.model,
            span: plan.span(),
            filter: EventFilter::of(plan),
            after: None,
            records: 0,
        }
    }

    /// Events only, after the last one that an earlier attempt has delivered.
    pub(super) fn resume(app: &Arc<App>, plan: &Plan) -> Reader {
        let progress = plan.run.progress;
        let after = progress.place;
        Reader { model: Model::Events, after, records: progress.records, ..Reader::new(app, plan) }
    }

    /// How many records were read so far, those before a resumed place included.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// The next records; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Batch>> {
        let read = match self.model {
            Model::Events => self.next_events().await?.map(Batch::Events),
            Model::Persons => self.next_persons().await?.map(Batch::Persons),
        };
        self.records += read.as_ref().map_or(0, |batch| batch.len() as u64);
        Ok(read)
    }

    async fn next_events(&mut self) -> Result<Option<Vec<Event>>> {
        let (project, span) = (self.project, self.span);
        loop {
            let after = self.after;
            let mut found = self.read(move |tx| events::next(tx, project, span, after, BATCH_BYTES)).await?;
            let Some((id, last)) = found.last() else { return Ok(None) };
            self.after = Some(Cursor { time: last.timestamp, id: *id });
            found.retain(|(_, event)| self.filter.admits(event));
            if !found.is_empty() {
                return Ok(Some(found.into_iter().map(|(id, event)| self.record(id, event)).collect()));
            }
        }
    }

    fn record(&self, id: Uuid, event: events::Event) -> Event {
        let arrived_at = Ids::time_of(id);
        let inserted_at = match self.span {
            Span::Arrived { .. } => arrived_at,
            Span::Happened { .. } => event.timestamp,
        };
        Event { project: self.project, id, event, arrived_at, inserted_at, parsed: Parsed::default() }
    }

    async fn next_persons(&mut self) -> Result<Option<Vec<Person>>> {
        let (project, after) = (self.project, self.after);
        let (start, end) = match self.span {
            Span::Arrived { start, end } => (Some(start), end),
            Span::Happened { start, end } => (start, end),
        };
        let bytes_max = usize::try_from(BATCH_BYTES).unwrap_or(usize::MAX);
        let read = self.read(move |tx| persons::changed(tx, project, start, end, after, bytes_max)).await?;
        let Some((rows, place)) = read else { return Ok(None) };
        self.after = Some(place);
        Ok(Some(rows.into_iter().map(|row| Person { project, row }).collect()))
    }

    /// Reads on a thread that serves no requests.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tx) -> StoreResult<T> + Send + 'static,
    ) -> Result<T> {
        let app = Arc::clone(&self.app);
        let read = tokio::task::spawn_blocking(move || app.store.read(work)).await;
        Ok(read.map_err(|cause| Error::internal(format!("records could not be read: {cause}")))??)
    }
}

/// Which events of the span are exported.
struct EventFilter {
    included: Option<Vec<Value>>,
    excluded: Option<Vec<Value>>,
    span: Span,
}

impl EventFilter {
    fn of(plan: &Plan) -> EventFilter {
        let list = |name: &str| plan.settings.list(name).map(<[Value]>::to_vec);
        EventFilter { included: list("include_events"), excluded: list("exclude_events"), span: plan.span() }
    }

    fn admits(&self, event: &events::Event) -> bool {
        let names = |list: &Vec<Value>| list.iter().any(|item| item.as_str() == Some(event.event.as_str()));
        // Events dated a day or more ahead wait for a backfill of their day.
        let is_of_the_future = matches!(
            self.span,
            Span::Arrived { end, .. } if event.timestamp >= end.plus_seconds(DAY_SECONDS)
        );
        !is_of_the_future
            && self.included.as_ref().is_none_or(names)
            && !self.excluded.as_ref().is_some_and(names)
    }
}
