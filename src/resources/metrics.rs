//! `/metrics`: numbers for Prometheus.
//! Invariant: no number takes a walk, and no label holds what a caller has sent.

use std::sync::Arc;

use super::batch_exports::runs;
use super::{Resource, outbox};
use crate::api::{Call, Reply, Within};
use crate::app::{App, Route, async_, public, tagged};
use crate::auth::hash;
use crate::backup_folder;
use crate::clock::Time;
use crate::error::{Result, not_found, unauthenticated};
use crate::metrics::{Kind, Text, all_paths, process, write_counters};

pub static RESOURCE: Resource = Resource::of(routes);

/// The form of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
const AUTHORIZATION: &str = "authorization";

fn routes() -> Vec<Route> {
    let route = Route::get("/metrics", public(), Within::Nothing, async_(show));
    let route = route.in_any_format().reads_headers(&[AUTHORIZATION]).about(
        "Read the server's metrics",
        "Text for Prometheus, for whoever shows the token of `ORGD_METRICS_TOKEN` as a bearer token; 404 where none \
         is set.",
    );
    tagged(super::status::TAG, vec![route])
}

async fn show(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    if app.config.metrics_token.is_none() {
        return Err(not_found());
    }
    if !admits(&app, call.header(AUTHORIZATION)) {
        return Err(unauthenticated());
    }
    Ok(Reply::text(200, CONTENT_TYPE, render(&app)))
}

/// Whether this header opens the metrics: it shows the token, or none is set.
pub fn admits(app: &App, authorization: Option<&str>) -> bool {
    let Some(token) = &app.config.metrics_token else { return true };
    let shown = authorization.and_then(|shown| shown.strip_prefix("Bearer "));
    // Hashes are compared, so that the time says nothing of the token.
    shown.is_some_and(|shown| hash(shown.trim()) == hash(token.trim()))
}

/// All metrics of the server.
pub fn render(app: &App) -> String {
    let mut text = Text::default();
    text.family("orgd_build_info", Kind::Gauge, "The program; always 1.")
        .count(&[("version", env!("ORGD_VERSION"))], 1);
    write_process(&mut text, app);
    write_traffic(&mut text, app);
    write_counters(&mut text);
    write_store(&mut text, app);
    write_memory(&mut text, app);
    write_queues(&mut text, app);
    write_tasks(&mut text, app);
    write_ages(&mut text, app);
    text.finish()
}

fn seconds(time: Time) -> f64 {
    time.0 as f64 / 1e6
}

fn gauge(text: &mut Text, name: &'static str, help: &str, value: u64) {
    text.family(name, Kind::Gauge, help).count(&[], value);
}

fn write_process(text: &mut Text, app: &App) {
    let found = process();
    if let Some(spent) = found.cpu_seconds {
        text.single("process_cpu_seconds_total", Kind::Counter, "Time on the processor.", spent);
    }
    for (name, help, value) in [
        ("process_resident_memory_bytes", "Resident memory.", found.resident_bytes),
        ("process_virtual_memory_bytes", "Virtual memory.", found.virtual_bytes),
        ("process_threads", "Threads.", found.threads),
        ("process_open_fds", "Open file descriptors.", found.open_files),
        ("process_max_fds", "File descriptors that the system allows.", found.open_files_max),
    ] {
        if let Some(value) = value {
            gauge(text, name, help, value);
        }
    }
    let started = seconds(app.started_at);
    text.single("process_start_time_seconds", Kind::Gauge, "When the server started, after 1970.", started);
}

fn write_traffic(text: &mut Text, app: &App) {
    let paths = all_paths();
    let mut family =
        text.family("orgd_http_requests_total", Kind::Counter, "Requests, by the path of their route.");
    for path in &paths {
        for (method, requests) in path.by_method() {
            for (class, count) in requests.by_class().filter(|(_, count)| *count > 0) {
                family.count(&[("route", &path.path), ("method", method), ("status", class)], count);
            }
        }
    }
    let mut family = text.family(
        "orgd_http_request_duration_seconds",
        Kind::Histogram,
        "Time from the head of a request to its answer.",
    );
    for path in &paths {
        for (method, requests) in path.by_method() {
            family.histogram(&[("route", &path.path), ("method", method)], &requests.durations);
        }
    }
    let (open, running) = app.traffic.get().map_or((0, 0), |traffic| traffic());
    gauge(text, "orgd_http_connections_open", "Connections that are open.", open);
    gauge(text, "orgd_http_requests_in_flight", "Requests that are under way.", running);
}

fn write_store(text: &mut Text, app: &App) {
    let bytes = std::fs::metadata(&app.config.data).map_or(0, |file| file.len());
    for (name, help, value) in [
        ("orgd_store_file_bytes", "Size of the data file.", bytes),
        ("orgd_store_writable", "Whether the data file can be written.", u64::from(app.store.healthy())),
        ("orgd_store_writes_waiting", "Writes that wait for their turn.", app.store.waiting_writes() as u64),
        (
            "orgd_events_kept",
            "Events that are kept, a minute ago at most.",
            crate::metrics::EVENTS_KEPT.get(),
        ),
        (
            "orgd_events_kept_bytes",
            "Size of the events that are kept, a minute ago at most.",
            crate::metrics::EVENTS_KEPT_BYTES.get(),
        ),
        (
            "orgd_secret_key_present",
            "Whether sealed secrets can be opened.",
            u64::from(!app.vault.is_locked()),
        ),
    ] {
        gauge(text, name, help, value);
    }
}

fn write_memory(text: &mut Text, app: &App) {
    let budgets = app.config.budgets();
    let mut family = text.family("orgd_memory_limit_bytes", Kind::Gauge, "Memory that each part may take.");
    for (part, bytes) in [
        ("all", budgets.total()),
        ("idle", budgets.idle),
        ("cache", budgets.cache),
        ("hashes", budgets.hashes_at_once * crate::config::HASH_BYTES),
        ("work", app.work.size()),
    ] {
        family.count(&[("part", part)], bytes as u64);
    }
    let used = app.work.size().saturating_sub(app.work.free());
    gauge(text, "orgd_memory_work_used_bytes", "Memory for work that is taken.", used as u64);
}

fn write_queues(text: &mut Text, app: &App) {
    let waiting = app.hash_permits.waiting() as u64;
    gauge(text, "orgd_password_hashes_waiting", "Log-ins that wait for their turn.", waiting);
    // A file that cannot be read leaves its numbers out.
    if let Ok(waiting) = app.store.read(|tx| Ok(tx.len(&outbox::OUTBOX.info())?)) {
        gauge(text, "orgd_mails_waiting", "Mails that wait to be sent.", waiting);
    }
    if let Ok(open) = app.store.read(runs::open_count) {
        gauge(text, "orgd_export_runs_open", "Runs of batch exports that are not over.", open);
    }
}

fn write_tasks(text: &mut Text, app: &App) {
    let histories = app.task_results.histories();
    let mut family =
        text.family("orgd_task_last_run_timestamp_seconds", Kind::Gauge, "When the last run began.");
    for (task, history) in &histories {
        family.value(&[("task", task)], seconds(history.last.started_at));
    }
    let mut family = text.family(
        "orgd_task_last_success_timestamp_seconds",
        Kind::Gauge,
        "When the last run ended that went well.",
    );
    for (task, history) in &histories {
        if let Some(time) = history.last_success_at {
            family.value(&[("task", task)], seconds(time));
        }
    }
    let mut family =
        text.family("orgd_task_last_duration_seconds", Kind::Gauge, "How long the last run took.");
    for (task, history) in &histories {
        family.value(&[("task", task)], history.last.took.as_secs_f64());
    }
    let mut family = text.family("orgd_task_succeeded", Kind::Gauge, "Whether the last run went well.");
    for (task, history) in &histories {
        family.count(&[("task", task)], u64::from(history.last.outcome.is_ok()));
    }
    let mut family = text.family("orgd_task_failures_total", Kind::Counter, "Runs that failed.");
    for (task, history) in &histories {
        family.count(&[("task", task)], history.failures);
    }
}

/// When the last backup was made and the certificate ends, where there are any.
fn write_ages(text: &mut Text, app: &App) {
    let now = app.clock.now();
    let backup = app.config.backups.dir.as_deref();
    let backup = backup.and_then(|folder| backup_folder::last_good(folder, now));
    for (name, help, time) in [
        ("orgd_backup_last_success_timestamp_seconds", "When the last good backup was taken.", backup),
        (
            "orgd_tls_certificate_expiry_timestamp_seconds",
            "When the certificate of the server ends.",
            app.certificates.get().and_then(|certificates| certificates.ends_at()),
        ),
    ] {
        if let Some(time) = time {
            text.single(name, Kind::Gauge, help, seconds(time));
        }
    }
}
