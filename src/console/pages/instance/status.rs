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
use crate::resources::checks::{self, Check};
use crate::resources::users;
use crate::store::Tx;

pub(super) fn pages() -> Vec<Page> {
    vec![page("/instance/status", session(), SERVER, show)]
}

fn show(visit: &Visit, tx: &Tx) -> Result<Reply> {
    users::require_operator(visit, tx)?;
    let checks = checks::all(&visit.app, tx)?;
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
