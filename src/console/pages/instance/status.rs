//! The state of the server at a glance; what is wrong says what to do.

use maud::{Markup, html};

use super::SERVER;
use crate::api::Reply;
use crate::app::session;
use crate::config::Config;
use crate::console::page::{Page, page};
use crate::console::parts::{Tone, code, counted, facts, grouped, head, notice, section, table, tag, time};
use crate::console::visit::Visit;
use crate::error::Result;
use crate::resources::{outbox, trusted_time, users};
use crate::store::Tx;

pub(super) fn pages() -> Vec<Page> {
    vec![page("/instance/status", session(), SERVER, show)]
}

/// Something that should be so, whether it is, and what to do where it is not.
struct Check {
    what: &'static str,
    holds: bool,
    /// Why it is not so, and what to do.
    to_do: &'static str,
}

fn checks(visit: &Visit, tx: &Tx) -> Result<Vec<Check>> {
    let failed = visit.app.task_results.all().values().filter(|result| result.outcome.is_err()).count();
    Ok(vec![
        Check {
            what: "The data file can be written",
            holds: visit.app.store.healthy(),
            to_do: "The data file cannot be written. Look for a full or failing disk; the server tries again.",
        },
        Check {
            what: "Sealed secrets can be opened",
            holds: !visit.app.vault.is_locked(),
            to_do: "Sealed secrets cannot be opened. Put the key file back that belongs to this data file, and start again.",
        },
        Check {
            what: "The clock is believed",
            holds: !trusted_time::is_doubted(tx)?,
            to_do: "The clock is far ahead of the data file, so nothing is removed for its age. Set the clock right.",
        },
        Check {
            what: "Background tasks succeed",
            holds: failed == 0,
            to_do: "A background task fails. The page Tasks says which one, and why.",
        },
        Check {
            what: "Backups are made",
            holds: visit.config.backups.dir.is_some() && visit.app.backups_in_doubt().is_none(),
            to_do: "There is no recent backup. The page Backups says what to do.",
        },
        Check {
            what: "Mail is set up",
            holds: outbox::is_on(visit),
            to_do: "No mail server is set. Set ORGD_SMTP_URL and ORGD_SITE_URL, or pass links on yourself.",
        },
    ])
}

fn show(visit: &Visit, tx: &Tx) -> Result<Reply> {
    users::require_operator(visit, tx)?;
    let checks = checks(visit, tx)?;
    let wrong = checks.iter().filter(|check| !check.holds).count() as u64;
    let state = match wrong {
        0 => "All is well.".to_owned(),
        _ => format!("{} your attention.", counted(wrong, "thing needs", "things need")),
    };
    visit.show(
        tx,
        "Status",
        &html! {
            (head("Status", state, None))
            @for check in checks.iter().filter(|check| !check.holds) {
                (notice(Tone::Warn, html! { p { (check.to_do) } }))
            }
            (facts(server(visit)))
            (section("Checks", table("Checks", &["Check", "State"], checks.iter().map(line))))
            (section("Settings", facts(settings(&visit.config))))
        },
    )
}

fn line(check: &Check) -> [Markup; 2] {
    [html! { (check.what) }, if check.holds { tag(Tone::Good, "Yes") } else { tag(Tone::Bad, "No") }]
}

fn server(visit: &Visit) -> Vec<(&'static str, Markup)> {
    let config = &visit.config;
    let bytes = std::fs::metadata(&config.data).map_or(0, |data| data.len());
    let work = &visit.app.work;
    vec![
        ("Version", html! { (env!("ORGD_VERSION")) }),
        ("Running since", time(visit.app.started_at)),
        ("Data file", html! { (code(config.data.display().to_string())) " (" (mebibytes(bytes)) ")" }),
        ("Memory for work that is free", html! { (mebibytes(work.free() as u64)) }),
        ("Log-ins that wait for their turn", html! { (visit.app.hash_permits.waiting()) }),
    ]
}

pub(super) fn mebibytes(bytes: u64) -> String {
    const MIB: u64 = 1024 * 1024;
    if bytes < MIB {
        format!("{} KiB", grouped(bytes / 1024))
    } else {
        format!("{} MiB", grouped(bytes / MIB))
    }
}

/// What the operator has set, without secrets.
fn settings(config: &Config) -> Vec<(&'static str, Markup)> {
    let or = |value: Option<&str>, otherwise: &str| match value {
        Some(value) => html! { (code(value)) },
        None => html! { span.soft { (otherwise) } },
    };
    let yes = |value: bool| html! { @if value { "Yes" } @else { "No" } };
    vec![
        ("Address for people", or(config.site_url.as_deref(), "As each request names it")),
        ("Listens on", html! { (code(&config.listen)) }),
        ("Anybody may sign up", yes(config.open_signup)),
        ("Sender of mails", html! { (code(&config.mail_from)) }),
        ("Memory at most", html! { (config.memory_mib) " MiB" }),
        ("Connections at most", html! { (grouped(config.connections_max as u64)) }),
        ("Largest body", html! { (mebibytes(config.body_bytes_max as u64)) }),
        ("Sessions end unused after", html! { (config.session_idle_seconds / 3600) " hours" }),
    ]
}
