//! What is counted as it happens. A name, its sentence and its labels stand here once.

use super::text::{Kind, Text};
use super::value::{Counter, Gauge, Histogram};

/// Counters of one name, each with the value of its label; none has one where there is no label.
struct CounterFamily {
    name: &'static str,
    help: &'static str,
    label: Option<&'static str>,
    series: &'static [(&'static str, &'static Counter)],
}

pub static CONNECTIONS: Counter = Counter::new();
pub static CONNECTIONS_REFUSED: Counter = Counter::new();
pub static CONNECTIONS_FAILED: Counter = Counter::new();
pub static REQUESTS_THROTTLED: Counter = Counter::new();

pub static WRITES_DONE: Counter = Counter::new();
pub static WRITES_FAILED: Counter = Counter::new();
pub static COMMITS_FAILED: Counter = Counter::new();
/// Writes in each commit.
pub static BATCH_WRITES: Histogram = Histogram::of_amounts();
pub static COMMITS: Histogram = Histogram::of_durations();
pub static SYNCS: Histogram = Histogram::of_durations();

pub static EVENTS_RECEIVED: Counter = Counter::new();
pub static EVENTS_STORED: Counter = Counter::new();
pub static EVENTS_REMOVED: Counter = Counter::new();
/// How many events the file keeps, and how large they are, as retention saw them last.
pub static EVENTS_KEPT: Gauge = Gauge::new();
pub static EVENTS_KEPT_BYTES: Gauge = Gauge::new();

pub static RUNS_COMPLETED: Counter = Counter::new();
pub static RUNS_FAILED: Counter = Counter::new();
pub static RUNS_GIVEN_UP: Counter = Counter::new();
pub static RUNS_CANCELLED: Counter = Counter::new();

pub static MAILS_SENT: Counter = Counter::new();
pub static MAILS_POSTPONED: Counter = Counter::new();
pub static MAILS_REFUSED: Counter = Counter::new();

pub static CERTIFICATES_ISSUED: Counter = Counter::new();
pub static CERTIFICATES_REFUSED: Counter = Counter::new();

pub static PASSWORDS_WRONG: Counter = Counter::new();
pub static SECOND_STEPS_WRONG: Counter = Counter::new();
pub static LOCKED_OUT: Counter = Counter::new();
pub static TOKENS_REFUSED: Counter = Counter::new();
pub static PERMISSIONS_REFUSED: Counter = Counter::new();

pub static WARNINGS: Counter = Counter::new();
pub static ERRORS: Counter = Counter::new();

static FAMILIES: [CounterFamily; 13] = [
    CounterFamily {
        name: "orgd_http_connections_total",
        help: "Connections that were accepted.",
        label: None,
        series: &[("", &CONNECTIONS)],
    },
    CounterFamily {
        name: "orgd_http_connections_refused_total",
        help: "Connections that were closed at once: the address had its share, or the system gave no socket.",
        label: Some("reason"),
        series: &[("share", &CONNECTIONS_REFUSED), ("system", &CONNECTIONS_FAILED)],
    },
    CounterFamily {
        name: "orgd_http_requests_throttled_total",
        help: "Requests that were answered 429.",
        label: None,
        series: &[("", &REQUESTS_THROTTLED)],
    },
    CounterFamily {
        name: "orgd_store_writes_total",
        help: "Writes that were run: done, or failed because the data file took no commit.",
        label: Some("outcome"),
        series: &[("done", &WRITES_DONE), ("failed", &WRITES_FAILED)],
    },
    CounterFamily {
        name: "orgd_store_commits_failed_total",
        help: "Commits that the data file did not take.",
        label: None,
        series: &[("", &COMMITS_FAILED)],
    },
    CounterFamily {
        name: "orgd_events_received_total",
        help: "Captured events that were done with, those sent before included.",
        label: None,
        series: &[("", &EVENTS_RECEIVED)],
    },
    CounterFamily {
        name: "orgd_events_stored_total",
        help: "Captured events that were stored.",
        label: None,
        series: &[("", &EVENTS_STORED)],
    },
    CounterFamily {
        name: "orgd_events_removed_total",
        help: "Events that were removed: too old, too many, or of a project that is gone.",
        label: None,
        series: &[("", &EVENTS_REMOVED)],
    },
    CounterFamily {
        name: "orgd_export_runs_total",
        help: "Runs of batch exports that are over.",
        label: Some("outcome"),
        series: &[
            ("completed", &RUNS_COMPLETED),
            ("failed", &RUNS_FAILED),
            ("given_up", &RUNS_GIVEN_UP),
            ("cancelled", &RUNS_CANCELLED),
        ],
    },
    CounterFamily {
        name: "orgd_mails_total",
        help: "Attempts to send a mail: sent, postponed to another attempt, or refused for good.",
        label: Some("outcome"),
        series: &[("sent", &MAILS_SENT), ("postponed", &MAILS_POSTPONED), ("refused", &MAILS_REFUSED)],
    },
    CounterFamily {
        name: "orgd_acme_orders_total",
        help: "Certificates that the authority was asked for: issued, or failed.",
        label: Some("outcome"),
        series: &[("issued", &CERTIFICATES_ISSUED), ("failed", &CERTIFICATES_REFUSED)],
    },
    CounterFamily {
        name: "orgd_security_events_total",
        help: "Wrong passwords and codes, locked accounts and addresses, refused tokens and permissions.",
        label: Some("event"),
        series: &[
            ("password_wrong", &PASSWORDS_WRONG),
            ("second_step_wrong", &SECOND_STEPS_WRONG),
            ("locked", &LOCKED_OUT),
            ("token_refused", &TOKENS_REFUSED),
            ("permission_refused", &PERMISSIONS_REFUSED),
        ],
    },
    CounterFamily {
        name: "orgd_log_messages_total",
        help: "Warnings and errors in the log.",
        label: Some("level"),
        series: &[("warn", &WARNINGS), ("error", &ERRORS)],
    },
];

/// Writes everything that is counted as it happens, but for requests.
pub fn write_counters(text: &mut Text) {
    for family in &FAMILIES {
        let mut lines = text.family(family.name, Kind::Counter, family.help);
        for (value, counter) in family.series {
            match family.label {
                Some(label) => lines.count(&[(label, value)], counter.get()),
                None => lines.count(&[], counter.get()),
            }
        }
    }
    for (name, help, histogram) in [
        ("orgd_store_batch_writes", "Writes that shared a commit.", &BATCH_WRITES),
        ("orgd_store_commit_duration_seconds", "Time that a commit took, its syncs included.", &COMMITS),
        ("orgd_store_sync_duration_seconds", "Time that a sync of the data file took.", &SYNCS),
    ] {
        text.family(name, Kind::Histogram, help).histogram(&[], histogram);
    }
}
