//! What a report of an error needs. Invariant: nothing here names a person, an organization, an address, a host or a path,
//! and no value of a setting is here but numbers, booleans and choices.

use std::collections::BTreeMap;

use serde::Serialize;

use super::machine::{Disk, Machine, disk, machine};
use crate::app::App;
use crate::clock::Time;
use crate::config::{HASH_BYTES, Setting};
use crate::error::Result;
use crate::logging;
use crate::metrics::process;
use crate::resources::registry;
use crate::store::SCHEMA;
use crate::vault::{Readers, key_path, readers};

/// The report.
#[derive(Debug, Serialize)]
pub struct Report {
    pub program: Program,
    pub machine: Machine,
    pub file: DataFile,
    /// `None` for a file that no server holds.
    pub server: Option<Running>,
    /// The settings of the server; `None` where none runs.
    pub settings: Option<Vec<Setting>>,
    /// How many rows each table has.
    pub rows: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Serialize)]
pub struct Program {
    pub version: &'static str,
    pub features: Vec<&'static str>,
    pub built_for: String,
    pub schema: u32,
}

#[derive(Debug, Serialize)]
pub struct DataFile {
    pub bytes: Option<u64>,
    /// Who may read it, by its mode.
    pub readers: &'static str,
    /// Where the secret key lies: `setting`, `beside` the file, or `nowhere`.
    pub secret_key: &'static str,
    pub opens_secrets: bool,
    pub is_writable: bool,
    #[serde(flatten)]
    pub disk: Disk,
}

/// The process that serves.
#[derive(Debug, Serialize)]
pub struct Running {
    pub seconds: i64,
    pub serves_https: bool,
    pub connections_open: u64,
    pub requests_in_flight: u64,
    pub writes_waiting: u64,
    pub resident_bytes: Option<u64>,
    pub threads: Option<u64>,
    pub open_files: Option<u64>,
    pub open_files_max: Option<u64>,
    pub memory: Memory,
    pub last_backup_seconds: Option<i64>,
    pub tasks: Vec<Task>,
    /// How often each place in the sources has warned.
    pub warnings: BTreeMap<String, u64>,
}

/// The budgets that memory is divided into, in bytes.
#[derive(Debug, Serialize)]
pub struct Memory {
    pub all: usize,
    pub cache: usize,
    pub hashes: usize,
    pub work: usize,
    pub work_used: usize,
}

/// How a background task's last run ended, without its words.
#[derive(Debug, Serialize)]
pub struct Task {
    pub name: &'static str,
    pub succeeded: bool,
    pub seconds_ago: i64,
    pub took_ms: u64,
    pub failures: u64,
}

/// What is so now; `is_running` says whether the program serves.
///
/// # Errors
/// None but of the data file.
pub fn report(app: &App, is_running: bool) -> Result<Report> {
    let tables = registry::tables().into_iter().flat_map(crate::store::AnyTable::infos);
    let rows = app.store.read(|tx| tables.map(|table| Ok((table.name, tx.len(&table)?))).collect())?;
    Ok(Report {
        program: program(),
        machine: machine(),
        file: file(app),
        server: is_running.then(|| running(app)),
        settings: app.settings.get().cloned(),
        rows,
    })
}

fn program() -> Program {
    let features = [
        ("brotli", cfg!(feature = "brotli")),
        ("console", cfg!(feature = "console")),
        ("jemalloc", cfg!(feature = "jemalloc")),
        ("parquet", cfg!(feature = "parquet")),
    ];
    let kind = if cfg!(target_env = "musl") { "musl" } else { "gnu" };
    let debug = if cfg!(debug_assertions) { ", not optimized" } else { "" };
    Program {
        version: env!("ORGD_VERSION"),
        features: features.into_iter().filter_map(|(name, has)| has.then_some(name)).collect(),
        built_for: format!("{} {} {kind}{debug}", std::env::consts::ARCH, std::env::consts::OS),
        schema: SCHEMA,
    }
}

fn file(app: &App) -> DataFile {
    let path = &app.config.data;
    DataFile {
        bytes: std::fs::metadata(path).ok().map(|about| about.len()),
        readers: match readers(path) {
            Readers::Owner => "owner",
            Readers::Group => "group",
            Readers::Everybody => "everybody",
        },
        secret_key: match (&app.config.exports.secret_key, key_path(path).exists()) {
            (Some(_), _) => "setting",
            (None, true) => "beside",
            (None, false) => "nowhere",
        },
        opens_secrets: !app.vault.is_locked(),
        is_writable: app.store.healthy(),
        disk: disk(path),
    }
}

fn running(app: &App) -> Running {
    let now = app.clock.now();
    let seconds_since = |then: Time| now.unix_seconds() - then.unix_seconds();
    let (connections_open, requests_in_flight) = app.traffic.get().map_or((0, 0), |traffic| traffic());
    let (found, budgets) = (process(), app.config.budgets());
    let tasks = app.task_results.histories().into_iter().map(|(name, known)| Task {
        name,
        succeeded: known.last.outcome.is_ok(),
        seconds_ago: seconds_since(known.last.started_at),
        took_ms: u64::try_from(known.last.took.as_millis()).unwrap_or(u64::MAX),
        failures: known.failures,
    });
    let folder = app.config.backups.dir.as_deref();
    Running {
        seconds: seconds_since(app.started_at),
        serves_https: app.certificates.get().is_some(),
        connections_open,
        requests_in_flight,
        writes_waiting: app.store.waiting_writes() as u64,
        resident_bytes: found.resident_bytes,
        threads: found.threads,
        open_files: found.open_files,
        open_files_max: found.open_files_max,
        memory: Memory {
            all: budgets.total(),
            cache: budgets.cache,
            hashes: budgets.hashes_at_once * HASH_BYTES,
            work: app.work.size(),
            work_used: app.work.size().saturating_sub(app.work.free()),
        },
        last_backup_seconds: folder
            .and_then(|folder| crate::backup_folder::last_good(folder, now))
            .map(seconds_since),
        tasks: tasks.collect(),
        warnings: logging::warned(),
    }
}
