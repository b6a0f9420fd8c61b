//! `orgd status`.

use orgd::admin::overview::{Running, Status, TaskState};
use orgd::clock::Time;
use orgd::control::Request;

use super::CommandResult;
use super::data::{Wanted, ask_line};
use super::print_json;

/// Prints the state. Fails where something needs the operator, so that scripts see it.
pub(super) async fn run(Wanted { file, json }: Wanted) -> CommandResult {
    let line = ask_line(&file.data, Request::Status).await?;
    if json {
        print_json(&line)?;
    }
    let status: Status = serde_json::from_value(line).map_err(|cause| cause.to_string())?;
    if !json {
        print(&status);
    }
    match status.checks.iter().all(|check| check.holds || !is_urgent(&check.what)) {
        true => Ok(()),
        false => Err("the server does not do all of its work".into()),
    }
}

/// Whether the server lacks something for its work, and not only for its comfort.
fn is_urgent(what: &str) -> bool {
    !["Backups are made", "Mail is set up"].contains(&what)
}

fn print(status: &Status) {
    let mut lines = vec![
        ("version", status.version.clone()),
        ("data file", format!("{} ({})", status.data.display(), size(status.data_bytes))),
        ("schema", status.schema.to_string()),
        (
            "last backup",
            match (status.last_backup_at, &status.backups_in_doubt) {
                (Some(time), None) => time.to_string(),
                (Some(time), Some(doubt)) => format!("{time}; {doubt}"),
                (None, Some(doubt)) => doubt.clone(),
                (None, None) => "none is known here".into(),
            },
        ),
        ("mails", format!("{} waiting, {} failed", status.mails_waiting, status.mails_failed)),
    ];
    if let Some(doubt) = &status.data_in_doubt {
        lines.push(("data", format!("! {doubt}")));
    }
    match &status.server {
        Some(server) => lines.extend(of_server(server)),
        None => lines.push(("server", "none holds the file".into())),
    }
    for check in &status.checks {
        lines.push(("check", if check.holds { check.what.clone() } else { format!("! {}", check.to_do) }));
    }
    for (name, value) in lines {
        say!("{name:<12} {value}");
    }
}

fn of_server(server: &Running) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        (
            "server",
            format!(
                "listens on {}, up {} since {}",
                server.listen,
                duration(server.now, server.started_at),
                server.started_at
            ),
        ),
        (
            "connections",
            format!("{} open, {} requests under way", server.connections_open, server.requests_in_flight),
        ),
        ("writes", format!("{} waiting", server.writes_waiting)),
    ];
    let resident = server.resident_bytes.map_or_else(|| "unknown".to_owned(), size);
    lines.push(("memory", format!("{resident} of {} MiB", server.memory_mib)));
    match (&server.certificate_in_doubt, server.certificate_ends_at) {
        (Some(doubt), _) => lines.push(("certificate", format!("! {doubt}"))),
        (None, Some(time)) => lines.push(("certificate", format!("good until {time}"))),
        (None, None) => {}
    }
    lines.extend(server.tasks.iter().map(|task| ("task", of_task(server, task))));
    lines
}

fn of_task(server: &Running, task: &TaskState) -> String {
    let ago = duration(server.now, task.started_at);
    let last = format!("{}: {ago} ago, took {} ms", task.name, task.took_ms);
    match &task.error {
        Some(cause) => format!("! {last}, failed: {cause}"),
        None => last,
    }
}

fn size(bytes: u64) -> String {
    const MIB: u64 = 1024 * 1024;
    if bytes < MIB { format!("{} KiB", bytes / 1024) } else { format!("{} MiB", bytes / MIB) }
}

/// The time between, in the largest whole unit.
fn duration(now: Time, then: Time) -> String {
    let seconds = (now.unix_seconds() - then.unix_seconds()).max(0);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}
