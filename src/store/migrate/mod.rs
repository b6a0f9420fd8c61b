//! The file's schema number, and the steps from each number to the next.
//!
//! A step lives in a file of its own with frozen copies of the records it reads; once landed it is
//! never edited.
//!
//! A file may also have a table that an older program of the same schema does not know, and whose rows that program
//! would not delete with their parents. So a program refuses unknown tables, but for those that are declared harmless,
//! which the file lists.

mod plan;
mod to_2;
mod to_3;
mod to_4;
mod to_5;
mod to_6;

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use redb::{Database, ReadableDatabase, TableHandle};

use super::codec::encode;
use super::commit::{Put, commit, commit_filling, durably};
use super::key::Key;
use super::snapshot::{Snapshot, definition};
use super::table::{Table, TableInfo};
use super::tx::WriteTx;
use super::write_ahead::Position;
use super::{StoreError, Tx};
pub use plan::{Plan, plan};

/// The schema that this program reads and writes.
pub const SCHEMA: u32 = 6;

/// What the file says of itself.
pub(super) static META: Table<String, String> = Table::new("meta");

const APPLICATION: &str = "application";
const SCHEMA_NUMBER: &str = "schema";
/// The names of the tables that an older program may pass over, with spaces between.
const HARMLESS: &str = "harmless_tables";
/// What a backup says of itself. It is no part of the state, and it is gone once a server has opened the file.
pub(super) const BACKUP_NOTE: &str = "backup";
/// How far the file has come in its write-ahead log: no part of the state either.
const LOG: &str = "log";

/// Brings a file from the schema before `to` up to `to`.
struct Step {
    to: u32,
    /// The tables that the new schema does not have.
    ends: &'static [&'static str],
    run: fn(&WriteTx) -> Result<(), StoreError>,
}

const STEPS: &[Step] = &[
    Step { to: 2, ends: &[to_2::MEMBERS], run: to_2::run },
    Step { to: 3, ends: to_3::ENDS, run: to_3::run },
    Step { to: 4, ends: to_4::ENDS, run: to_4::run },
    Step { to: 5, ends: to_5::ENDS, run: to_5::run },
    Step { to: 6, ends: to_6::ENDS, run: to_6::run },
];

/// A table that a step makes anew, with more rows than memory should hold.
struct Rebuilt {
    to: u32,
    table: &'static str,
    /// The table in whose place it comes, which is removed as a whole.
    replaces: &'static str,
    /// Writes the rows, which are made of others that no step changes.
    fill: fn(&Tx, Put<'_>) -> Result<(), StoreError>,
}

const REBUILT: &[Rebuilt] = &[to_6::events::BLOCKS, to_6::events::MINUTES];

/// What each step changes, for the operator.
const ABOUT: &[(u32, &str)] = &[
    (2, "a membership is stored once, and counts of one are not stored"),
    (3, "invites get tokens of their own; claimed domains and secrets of exports are kept apart"),
    (4, "the audit log takes over the activity log; keys, exports and organizations get newer fields"),
    (
        5,
        "the audit log of an organization with few entries needs no indexes; the details of a project stand with it",
    ),
    (6, "events are stored in blocks, and found by the minute in which they happened"),
];

pub(super) fn bring_up(
    database: &Database,
    path: Option<&Path>,
    tables: &[TableInfo],
) -> Result<(), StoreError> {
    bring_up_by(database, path, tables, SCHEMA, STEPS)
}

fn bring_up_by(
    database: &Database,
    path: Option<&Path>,
    tables: &[TableInfo],
    target: u32,
    steps: &[Step],
) -> Result<(), StoreError> {
    let present = present_tables(database)?;
    if present.is_empty() {
        create_missing(database, &present, names(tables))?;
        change(database, names(tables), |tx| {
            tx.put(&META, &APPLICATION.to_owned(), &"orgd".to_owned())?;
            tx.put(&META, &SCHEMA_NUMBER.to_owned(), &target.to_string())
        })?;
        return note_harmless(database, tables);
    }
    let found = schema_of(database, &present)?;
    if found > target {
        return Err(StoreError::record(format!(
            "the data file has schema {found} and this orgd knows {target}: use a newer orgd{}",
            plan::way_back(path, target)
        )));
    }
    refuse_unknown(database, &present, tables, steps)?;
    let due: Vec<&Step> = steps.iter().filter(|step| step.to > found && step.to <= target).collect();
    let began = Instant::now();
    if let (Some(path), false) = (path, due.is_empty()) {
        for sentence in Plan::of(path, found, target, &due).sentences() {
            tracing::warn!("{sentence}");
        }
        keep(path, &plan::copy_of(path, found)).map_err(|cause| {
            StoreError::record(format!("the data file could not be copied before its migration: {cause}"))
        })?;
    }
    // A step reads what it ends, also in a file that never had it.
    let ending = || due.iter().flat_map(|step| step.ends).copied();
    create_missing(database, &present, names(tables).chain(ending()))?;
    note_harmless(database, tables)?;
    if path.is_some() && meta(database)?.get(&META, &BACKUP_NOTE.to_owned())?.is_some() {
        change(database, [META.info().name].into_iter(), |tx| tx.delete(&META, &BACKUP_NOTE.to_owned()))?;
    }
    if due.is_empty() {
        return Ok(());
    }
    let rebuilt = || REBUILT.iter().filter(|rebuilt| due.iter().any(|step| step.to == rebuilt.to));
    let tx = staging(database, names(tables).chain(ending()), |tx| {
        due.iter().try_for_each(|step| (step.run)(tx))?;
        tx.put(&META, &SCHEMA_NUMBER.to_owned(), &target.to_string())
    })?;
    let fills = rebuilt().map(|rebuilt| (rebuilt.table, |put: Put<'_>| (rebuilt.fill)(&tx, put)));
    commit_filling(database, &tx.take_batch(), fills, rebuilt().map(|rebuilt| rebuilt.replaces))?;
    if path.is_some() {
        tracing::warn!("the data file has schema {target} now; it took {} ms", began.elapsed().as_millis());
    }
    Ok(())
}

/// Copies the file, so that a power cut leaves the copy or the file as it was.
fn keep(path: &Path, copy: &Path) -> std::io::Result<()> {
    std::fs::copy(path, copy)?;
    std::fs::File::open(copy)?.sync_all()?;
    let folder = copy.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder)?.sync_all()
}

fn names(tables: &[TableInfo]) -> impl Iterator<Item = &'static str> {
    tables.iter().map(|table| table.name)
}

fn present_tables(database: &Database) -> Result<HashSet<String>, StoreError> {
    let reading = database.begin_read().map_err(StoreError::storage)?;
    let tables = reading.list_tables().map_err(StoreError::storage)?;
    Ok(tables.map(|table| table.name().to_owned()).collect())
}

/// Refuses a file with tables whose rows this program would leave behind.
fn refuse_unknown(
    database: &Database,
    present: &HashSet<String>,
    tables: &[TableInfo],
    steps: &[Step],
) -> Result<(), StoreError> {
    let harmless = meta(database)?.get(&META, &HARMLESS.to_owned())?.unwrap_or_default();
    let ended = steps.iter().flat_map(|step| step.ends).copied();
    let known: HashSet<&str> = names(tables).chain(ended).collect();
    let is_known = |name: &str| known.contains(name) || harmless.split(' ').any(|harmless| harmless == name);
    let mut unknown: Vec<&str> = present.iter().map(String::as_str).filter(|name| !is_known(name)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    unknown.sort_unstable();
    let unknown = unknown.join(", ");
    Err(StoreError::record(format!(
        "the data file has tables that this orgd does not know ({unknown}): use a newer orgd"
    )))
}

/// Lists in the file which of its tables are harmless.
fn note_harmless(database: &Database, tables: &[TableInfo]) -> Result<(), StoreError> {
    let noted = meta(database)?.get(&META, &HARMLESS.to_owned())?.unwrap_or_default();
    let mut all: BTreeSet<&str> = noted.split(' ').filter(|name| !name.is_empty()).collect();
    let before = all.len();
    all.extend(tables.iter().filter(|table| table.harmless).map(|table| table.name));
    if all.len() == before {
        return Ok(());
    }
    let all = all.into_iter().collect::<Vec<_>>().join(" ");
    change(database, [META.info().name].into_iter(), |tx| tx.put(&META, &HARMLESS.to_owned(), &all))
}

fn meta(database: &Database) -> Result<Tx, StoreError> {
    Ok(Tx::of(Arc::new(Snapshot::take(database, [META.info().name].into_iter(), 0, Arc::default())?)))
}

/// Whether a row is about the file, and no part of the state.
pub(super) fn is_note(table: &str, key: &[u8]) -> bool {
    let is = |note: &str| key == note.to_owned().key_bytes();
    table == META.info().name && (is(BACKUP_NOTE) || is(LOG))
}

/// How far the file has come in its write-ahead log, where it notes that.
pub(super) fn log_position(database: &Database) -> Result<Option<Position>, StoreError> {
    if !present_tables(database)?.contains(META.info().name) {
        return Ok(None);
    }
    Ok(meta(database)?.get(&META, &LOG.to_owned())?.and_then(|text| Position::read(&text)))
}

/// The row of `META` that notes it.
pub(super) fn log_row(position: Position) -> Result<(Vec<u8>, Vec<u8>), StoreError> {
    Ok((LOG.to_owned().key_bytes(), encode(&position.text())?))
}

/// The schema of a file, and what it says of itself where it is a backup.
pub(super) fn identify(database: &Database) -> Result<(u32, Option<String>), StoreError> {
    let schema = schema_of(database, &present_tables(database)?)?;
    Ok((schema, meta(database)?.get(&META, &BACKUP_NOTE.to_owned())?))
}

fn schema_of(database: &Database, present: &HashSet<String>) -> Result<u32, StoreError> {
    let found = if present.contains(META.info().name) { number_of(database)? } else { None };
    found.ok_or_else(|| StoreError::record("this is a redb file, but not one of orgd".into()))
}

fn number_of(database: &Database) -> Result<Option<u32>, StoreError> {
    let tx = meta(database)?;
    let ours = tx.get(&META, &APPLICATION.to_owned())?.is_some_and(|name| name == "orgd");
    let number = tx.get(&META, &SCHEMA_NUMBER.to_owned())?.and_then(|text| text.parse().ok());
    Ok(number.filter(|_| ours))
}

fn create_missing(
    database: &Database,
    present: &HashSet<String>,
    names: impl Iterator<Item = &'static str>,
) -> Result<(), StoreError> {
    let missing: Vec<_> = names.filter(|name| !present.contains(*name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    durably(database, |transaction| {
        missing.into_iter().try_for_each(|name| {
            transaction.open_table(definition(name)).map(drop).map_err(StoreError::storage)
        })
    })
}

fn change(
    database: &Database,
    names: impl Iterator<Item = &'static str>,
    work: impl FnOnce(&WriteTx) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    commit(database, &staging(database, names, work)?.take_batch(), None)
}

/// Does the work, whose changes wait to be committed.
fn staging(
    database: &Database,
    names: impl Iterator<Item = &'static str>,
    work: impl FnOnce(&WriteTx) -> Result<(), StoreError>,
) -> Result<WriteTx, StoreError> {
    let tx = WriteTx::new(Arc::new(Snapshot::take(database, names, 0, Arc::default())?), Arc::default());
    work(&tx)?;
    tx.end_write(true);
    Ok(tx)
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;

    use super::*;

    const NOTES: Table<u32, String> = Table::new("notes");

    fn tables() -> Vec<TableInfo> {
        vec![META.info(), NOTES.info()]
    }

    fn memory() -> Database {
        Database::builder().create_with_backend(InMemoryBackend::new()).unwrap()
    }

    fn note(database: &Database) -> Option<String> {
        let snapshot = Snapshot::take(database, names(&tables()), 0, Arc::default()).unwrap();
        Tx::of(Arc::new(snapshot)).get(&NOTES, &1).unwrap()
    }

    #[test]
    fn an_older_file_takes_every_missing_step_once_and_in_order() {
        let database = memory();
        let add = |tx: &WriteTx, word: &str| {
            let before = tx.get(&NOTES, &1)?.unwrap_or_default();
            tx.put(&NOTES, &1, &(before + word))
        };
        let steps = [
            Step { to: 2, ends: &[], run: |tx| tx.put(&NOTES, &1, &"two ".into()) },
            Step {
                to: 3,
                ends: &[],
                run: |tx| {
                    let before = tx.get(&NOTES, &1)?.unwrap_or_default();
                    tx.put(&NOTES, &1, &(before + "three"))
                },
            },
        ];
        bring_up_by(&database, None, &tables(), 1, &[]).unwrap();
        change(&database, names(&tables()), |tx| add(tx, "one ")).unwrap();
        bring_up_by(&database, None, &tables(), 3, &steps).unwrap();
        assert_eq!(note(&database).as_deref(), Some("two three"));
        bring_up_by(&database, None, &tables(), 3, &steps).unwrap();
        assert_eq!(note(&database).as_deref(), Some("two three"));
    }

    #[test]
    fn every_step_says_what_it_changes() {
        let steps: Vec<u32> = STEPS.iter().map(|step| step.to).collect();
        assert_eq!(steps, ABOUT.iter().map(|(to, _)| *to).collect::<Vec<_>>());
    }

    #[test]
    fn a_newer_file_is_refused_with_both_numbers() {
        let database = memory();
        bring_up_by(&database, None, &tables(), 7, &[]).unwrap();
        let refusal = bring_up_by(&database, None, &tables(), 1, &[]).unwrap_err().to_string();
        assert!(refusal.contains("schema 7") && refusal.contains("knows 1"), "{refusal}");
    }

    #[test]
    fn an_older_program_passes_over_harmless_tables_only() {
        const HARMFUL: Table<u32, String> = Table::new("harmful");
        const SHELVES: Table<u32, String> = Table::new("shelves").harmless();
        let database = memory();
        bring_up_by(&database, None, &tables(), 1, &[]).unwrap();
        let newer = [META.info(), NOTES.info(), SHELVES.info()];
        bring_up_by(&database, None, &newer, 1, &[]).unwrap();
        bring_up_by(&database, None, &tables(), 1, &[]).unwrap();
        bring_up_by(&database, None, &[META.info(), HARMFUL.info(), NOTES.info()], 1, &[]).unwrap();
        let refusal = bring_up_by(&database, None, &tables(), 1, &[]).unwrap_err().to_string();
        assert!(refusal.contains("does not know (harmful)"), "{refusal}");
        // What a step has ended is no table of a newer program.
        let steps = [Step { to: 1, ends: &["harmful"], run: |_| Ok(()) }];
        bring_up_by(&database, None, &tables(), 1, &steps).unwrap();
    }

    #[test]
    fn a_redb_file_of_another_program_is_refused() {
        let database = memory();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(definition("theirs")).unwrap();
        transaction.commit().unwrap();
        assert!(bring_up(&database, None, &tables()).is_err());
        assert_eq!(present_tables(&database).unwrap(), HashSet::from(["theirs".to_owned()]));
    }

    #[test]
    fn a_step_that_fails_leaves_the_file_as_it_was() {
        let database = memory();
        bring_up_by(&database, None, &tables(), 1, &[]).unwrap();
        let steps = [Step {
            to: 2,
            ends: &[],
            run: |tx| {
                tx.put(&NOTES, &1, &"half".into())?;
                Err(StoreError::record("no".into()))
            },
        }];
        assert!(bring_up_by(&database, None, &tables(), 2, &steps).is_err());
        assert_eq!(note(&database), None);
        assert_eq!(number_of(&database).unwrap(), Some(1));
    }
}
