//! What runs and backfills tell of themselves.
//! Invariant: an export has at most so many entries; the oldest are deleted first.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::find;
use super::handlers::place;
use super::relative_time::of_query;
use crate::api::{Call, Ctx, Field, FieldInfo, Reply};
use crate::clock::{Ids, Time};
use crate::error::{Result, invalid};
use crate::ids::{BatchExportId, RunId};
use crate::resources::events::EventIds;
use crate::store::{Order, Parent, Table, Tx, WriteTx, by_uuid};

/// How much an entry matters. Records hold the place in this list: add at the end only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Level {
    Debug,
    Info,
    Warning,
    Error,
}

impl Level {
    pub const ALL: [Level; 4] = [Level::Debug, Level::Info, Level::Warning, Level::Error];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Level::Debug => "DEBUG",
            Level::Info => "INFO",
            Level::Warning => "WARNING",
            Level::Error => "ERROR",
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// The run, or the backfill, that it tells of.
    pub instance: String,
    pub timestamp: Time,
    pub level: Level,
    pub message: String,
}

/// By export and time.
pub(super) static LOGS: Table<(BatchExportId, Uuid), Entry> = Table::new("batch_export_logs")
    .busy()
    .counted(by_uuid)
    .belongs_to(&[&Parent::of(&super::EXPORTS, |(_, export)| *export)]);

/// Entries of one export.
const ENTRIES_MAX: u64 = 10_000;
const LIMIT_DEFAULT: usize = 50;
const LIMIT_MAX: usize = 500;

pub(super) const FIELDS: &[FieldInfo] = &[
    Field::uuid("log_source_id").read_only(),
    Field::long_text("instance_id").read_only(),
    Field::time("timestamp").read_only(),
    Field::text("level", 10).read_only(),
    Field::long_text("message").read_only(),
];

#[derive(Serialize)]
struct Wire {
    log_source_id: BatchExportId,
    instance_id: String,
    timestamp: Time,
    level: &'static str,
    message: String,
}

#[derive(Serialize)]
struct Page {
    count: usize,
    next: Option<()>,
    previous: Option<()>,
    results: Vec<Wire>,
}

/// The newest entries that match; `count` is theirs.
pub(super) fn list(call: &Call, tx: &Tx) -> Result<Reply> {
    let (at, id) = place(call)?;
    find(tx, at, id)?;
    page(tx, id, &Filter::of(call)?)
}

/// The same for one run.
pub(super) fn page_of_run(call: &Call, tx: &Tx, export: BatchExportId, run: RunId) -> Result<Reply> {
    let filter = Filter { instance: Some(run.to_string()), ..Filter::of(call)? };
    page(tx, export, &filter)
}

fn page(tx: &Tx, id: BatchExportId, filter: &Filter) -> Result<Reply> {
    let wire = |Entry { instance, timestamp, level, message }: Entry| Wire {
        log_source_id: id,
        instance_id: instance,
        timestamp,
        level: level.name(),
        message,
    };
    let results: Vec<Wire> = filter.find(tx, id)?.into_iter().map(wire).collect();
    Reply::ok(&Page { count: results.len(), next: None, previous: None, results })
}

/// The newest entries about a run or a backfill or, with `None`, all of an export; only those of a level that is named.
///
/// # Errors
/// None but of the data file.
pub fn newest(
    tx: &Tx,
    export: BatchExportId,
    instance: Option<String>,
    level: Option<Level>,
    search: Option<&str>,
) -> Result<Vec<Entry>> {
    let levels = level.into_iter().map(|level| level.name().to_owned()).collect();
    let search = search.map(str::to_lowercase);
    Filter { limit: LIMIT_MAX, after: None, before: None, levels, search, instance }.find(tx, export)
}

/// Which entries are requested.
struct Filter {
    limit: usize,
    after: Option<Time>,
    before: Option<Time>,
    levels: Vec<String>,
    search: Option<String>,
    instance: Option<String>,
}

impl Filter {
    fn of(call: &Call) -> Result<Filter> {
        let limit = match call.query("limit") {
            None => LIMIT_DEFAULT,
            Some(text) => {
                text.trim().parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit)).ok_or_else(|| {
                    invalid(
                        "limit",
                        "invalid_input",
                        format!("A whole number from 1 to {LIMIT_MAX} is required."),
                    )
                })?
            }
        };
        let levels = call.query.iter().filter(|(name, _)| name == "level");
        Ok(Filter {
            limit,
            after: of_query(call, "after")?,
            before: of_query(call, "before")?,
            levels: levels.map(|(_, level)| level.to_uppercase()).collect(),
            search: call.query("search").map(str::to_lowercase),
            instance: call.query("instance_id").map(str::to_owned),
        })
    }

    /// The newest entries that match.
    fn find(&self, tx: &Tx, export: BatchExportId) -> Result<Vec<Entry>> {
        let mut found = Vec::new();
        for row in tx.range(&LOGS, &(export, Uuid::nil()), &(export, Uuid::max()), Order::Descending)? {
            let (_, entry) = row?;
            if found.len() == self.limit || self.after.is_some_and(|after| entry.timestamp <= after) {
                break;
            }
            if self.admits(&entry) {
                found.push(entry);
            }
        }
        Ok(found)
    }

    fn admits(&self, entry: &Entry) -> bool {
        self.before.is_none_or(|before| entry.timestamp < before)
            && (self.levels.is_empty() || self.levels.iter().any(|level| level == entry.level.name()))
            && self.search.as_ref().is_none_or(|search| entry.message.to_lowercase().contains(search))
            && self.instance.as_ref().is_none_or(|instance| *instance == entry.instance)
    }
}

/// Who writes an entry, and when: `id` is a new identifier of that time.
pub(super) struct Author<'a> {
    pub export: BatchExportId,
    pub instance: &'a str,
    pub id: Uuid,
    pub now: Time,
}

/// When something happens, and where the identifiers of what is written about it come from.
#[derive(Clone, Copy)]
pub(super) struct Moment<'a> {
    pub now: Time,
    ids: &'a Ids,
}

impl Moment<'_> {
    /// That of a command.
    pub(super) fn of(ctx: &Ctx) -> Moment<'_> {
        Moment { now: ctx.now, ids: &ctx.ids }
    }

    /// That of a background task.
    pub(super) fn of_task(event_ids: &EventIds) -> Moment<'_> {
        Moment { now: event_ids.clock.now(), ids: &event_ids.ids }
    }

    /// Writes an entry about a run or a backfill.
    pub(super) fn log(
        self,
        tx: &WriteTx,
        export: BatchExportId,
        instance: &str,
        level: Level,
        message: impl Into<String>,
    ) -> Result<()> {
        write(tx, &Author { export, instance, id: self.ids.uuid(self.now), now: self.now }, level, message)
    }
}

/// Writes an entry.
pub(super) fn write(
    tx: &WriteTx,
    author: &Author<'_>,
    level: Level,
    message: impl Into<String>,
) -> Result<()> {
    let export = author.export;
    if tx.count(&LOGS, &export)? >= ENTRIES_MAX {
        let (_, oldest) = tx.page(&LOGS, &export, Order::Ascending, 0, 1)?;
        for (key, _) in oldest {
            tx.delete(&LOGS, &key)?;
        }
    }
    let entry =
        Entry { instance: author.instance.to_owned(), timestamp: author.now, level, message: message.into() };
    Ok(tx.put(&LOGS, &(export, author.id), &entry)?)
}

/// For the test of the stored bytes.
pub(super) fn samples(all: &mut crate::resources::samples::Samples) {
    use crate::resources::samples::{NOW, ONE, TWO, text};
    all.add(
        &LOGS,
        (TWO.into(), ONE),
        Entry { instance: text("i"), timestamp: NOW, level: Level::Warning, message: text("m") },
    );
    all.variants("log entry's level", &crate::every!(Level { Debug, Info, Warning, Error }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::registry;
    use crate::store::{Storage, Store};

    #[tokio::test]
    async fn the_oldest_entries_go_when_there_are_too_many() {
        let folder = tempfile::tempdir().unwrap();
        let place = Storage::File(folder.path().join("orgd.redb"));
        let store = Store::open(place, 1024 * 1024, registry::tables()).unwrap();
        let ids = Ids::default();
        let export = ids.uuid(Time(1)).into();
        let written = store.write(move |tx| {
            for number in 0..ENTRIES_MAX + 2 {
                let now = Time(i64::try_from(number).unwrap_or_default());
                let author = Author { export, instance: "run", id: ids.uuid(Time(1)), now };
                write(tx, &author, Level::Info, number.to_string())?;
            }
            Ok(())
        });
        written.await.unwrap();
        store
            .read(|tx| {
                let (count, oldest) = tx.page(&LOGS, &export, Order::Ascending, 0, 1)?;
                assert_eq!((count, oldest[0].1.message.as_str()), (ENTRIES_MAX, "2"));
                Ok(())
            })
            .unwrap();
    }
}
