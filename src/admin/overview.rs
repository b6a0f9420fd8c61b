//! The state of a server at a glance, for the operator at the machine.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::backup_folder;
use crate::clock::Time;
use crate::error::Result;
use crate::metrics::process;
use crate::resources::checks::{self, Check};
use crate::resources::outbox;
use crate::store::SCHEMA;

/// The state of a server, or of a data file that no server holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    pub data: PathBuf,
    pub data_bytes: u64,
    /// Why something may be missing in the data file.
    pub data_in_doubt: Option<String>,
    pub schema: u32,
    pub last_backup_at: Option<Time>,
    /// Why the backups are not as they should be.
    pub backups_in_doubt: Option<String>,
    pub mails_waiting: u64,
    pub mails_failed: u64,
    /// `None` for a file that no server holds.
    pub server: Option<Running>,
    pub checks: Vec<Check>,
}

/// What a running server says of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Running {
    pub started_at: Time,
    pub now: Time,
    pub listen: String,
    pub connections_open: u64,
    pub requests_in_flight: u64,
    pub writes_waiting: u64,
    pub resident_bytes: Option<u64>,
    pub memory_mib: usize,
    pub certificate_ends_at: Option<Time>,
    /// Why the certificate is not as it should be.
    pub certificate_in_doubt: Option<String>,
    pub tasks: Vec<TaskState>,
}

/// How a background task's last run ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TaskState {
    pub name: String,
    pub started_at: Time,
    pub took_ms: u64,
    pub failures: u64,
    pub error: Option<String>,
}

/// The state as it is now; `is_running` says whether the program serves.
///
/// # Errors
/// None but of the data file.
pub fn status(app: &App, is_running: bool) -> Result<Status> {
    let now = app.clock.now();
    let config = &app.config;
    let (checks, waiting, failed) = app.store.read(|tx| {
        let (waiting, failed) = outbox::counts(tx)?;
        Ok((checks::all(app, tx)?, waiting, failed))
    })?;
    Ok(Status {
        version: env!("ORGD_VERSION").into(),
        data: config.data.clone(),
        data_bytes: std::fs::metadata(&config.data).map_or(0, |about| about.len()),
        data_in_doubt: app.store.doubt().map(str::to_owned),
        schema: SCHEMA,
        last_backup_at: config
            .backups
            .dir
            .as_deref()
            .and_then(|folder| backup_folder::last_good(folder, now)),
        backups_in_doubt: app.backups_in_doubt(),
        mails_waiting: waiting,
        mails_failed: failed,
        server: is_running.then(|| running(app, now)),
        checks,
    })
}

fn running(app: &App, now: Time) -> Running {
    let (connections_open, requests_in_flight) = app.traffic.get().map_or((0, 0), |traffic| traffic());
    let tasks = app.task_results.histories().into_iter().map(|(name, known)| TaskState {
        name: name.into(),
        started_at: known.last.started_at,
        took_ms: u64::try_from(known.last.took.as_millis()).unwrap_or(u64::MAX),
        failures: known.failures,
        error: known.last.outcome.err(),
    });
    Running {
        started_at: app.started_at,
        now,
        listen: app.own_address(),
        connections_open,
        requests_in_flight,
        writes_waiting: app.store.waiting_writes() as u64,
        resident_bytes: process().resident_bytes,
        memory_mib: app.config.memory_mib,
        certificate_ends_at: app.certificates.get().and_then(|certificates| certificates.ends_at()),
        certificate_in_doubt: app.certificate_in_doubt(),
        tasks: tasks.collect(),
    }
}
