//! The journal: what was called, live, and one request of it.

use maud::{Markup, html};

use crate::api::Reply;
use crate::console::parts::{
    Select, Tone, code, code_block, counted, crumbs, empty, facts, filters, head, link_to, live, section,
    table, tag, time,
};
use crate::console::visit::Visit;
use crate::error::{Result, not_found};
use crate::test_server::TestServer;
use crate::test_server::journal::{Content, Entry, Filter};

const SHOWN_MAX: usize = 200;
const METHODS: [(&str, &str); 6] =
    [("", "All"), ("GET", "GET"), ("POST", "POST"), ("PUT", "PUT"), ("PATCH", "PATCH"), ("DELETE", "DELETE")];
const ROWS: [(&str, &str); 2] = [("", "All"), ("none", "Those that orgd does not serve")];

pub(super) fn list(visit: &Visit, server: &TestServer) -> Result<Reply> {
    let given = |name: &str| visit.query(name).filter(|value| !value.is_empty());
    let typed = given("q").unwrap_or_default();
    let is_unknown = given("row") == Some("none");
    let filter = Filter { is_unknown, method: given("method").map(str::to_owned), ..Filter::default() };
    let found = server.journal.find(&filter, usize::MAX);
    let is_meant = |entry: &&Entry| entry.path.contains(typed);
    let meant: Vec<&Entry> = found.entries.iter().filter(is_meant).collect();
    let state = format!(
        "{}, {} for paths that orgd does not serve.",
        counted(found.count as u64, "request", "requests"),
        found.unknown
    );
    let selects = [
        Select {
            name: "method",
            label: "Method",
            choices: &METHODS,
            chosen: given("method").unwrap_or_default(),
        },
        Select { name: "row", label: "Paths", choices: &ROWS, chosen: given("row").unwrap_or_default() },
    ];
    let heads = ["Request", "Time", "Status", "Took", "Key", "Notes"];
    Ok(visit.show_dev(
        "Requests",
        &html! {
            (head("Requests", state, None))
            (filters("Path", Some(("/api/…", typed)), &selects, &[]))
            @if meant.is_empty() {
                (empty("Nothing called yet", html! { "Try " (code(first_call(visit))) }, None))
            } @else {
                (live("requests", &visit.address(), 2,
                    table("Requests", &heads, meant.iter().rev().take(SHOWN_MAX).map(|entry| line(entry)))))
            }
        },
    ))
}

fn first_call(visit: &Visit) -> String {
    format!("curl -H \"Authorization: Bearer $ORGD_KEY\" {}/api/users/@me/", visit.origin)
}

fn line(entry: &Entry) -> [Markup; 6] {
    let status = |status: u16| match status {
        500.. => tag(Tone::Bad, &status.to_string()),
        400.. => tag(Tone::Warn, &status.to_string()),
        _ => html! { (status) },
    };
    [
        html! {
            a href={ "/dev/requests/" (entry.n) } { (entry.method) " " (entry.path) }
            small { @match &entry.row { Some(row) => (row), None => "no such path" } }
        },
        time(entry.at),
        html! { @match entry.status { Some(number) => (status(number)), None => span.soft { "none" } } },
        html! { @if let Some(millis) = entry.ms { (millis) " ms" } },
        html! { (entry.key.as_deref().unwrap_or_default()) },
        html! {
            @if let Some(fault) = &entry.fault { (tag(Tone::Warn, &format!("fault {fault}"))) " " }
            @if let Some(first) = entry.repeats { (link_to(format!("/dev/requests/{first}"), "repeats", &first.to_string())) }
        },
    ]
}

pub(super) fn show(visit: &Visit, server: &TestServer) -> Result<Reply> {
    let number: u64 = visit.param("n").parse().map_err(|_| not_found())?;
    let filter = Filter { after: number.saturating_sub(1), ..Filter::default() };
    let found = server.journal.find(&filter, usize::MAX);
    let entry = found.entries.iter().find(|entry| entry.n == number).ok_or_else(not_found)?;
    let title = format!("{} {}", entry.method, entry.path);
    let or_none = |value: Option<String>| html! { (value.unwrap_or_else(|| "none".to_owned())) };
    let all = [
        ("Time", time(entry.at)),
        ("Route", or_none(entry.row.as_ref().map(ToString::to_string))),
        ("Query", or_none(Some(entry.query.clone()).filter(|query| !query.is_empty()))),
        ("Status", or_none(entry.status.map(|status| status.to_string()))),
        ("Carried out", or_none(entry.carried_out.map(|status| status.to_string()))),
        ("Key", or_none(entry.key.clone())),
        ("Program", or_none(entry.agent.clone())),
        ("Fault", or_none(entry.fault.clone())),
        ("Repeats", or_none(entry.repeats.map(|first| first.to_string()))),
    ];
    Ok(visit.show_dev(
        &title,
        &html! {
            (crumbs(&[("/dev/requests", "Requests")]))
            (head(&title, "", None))
            (facts(all))
            @if !entry.headers.is_empty() {
                (section("Headers", facts(entry.headers.iter().map(|(name, value)| (*name, code(value))))))
            }
            (section("Body", body(entry)))
            (section("As a command", code_block("command", "the command", &command(visit, entry))))
        },
    ))
}

fn body(entry: &Entry) -> Markup {
    match &entry.content {
        Content::Nothing => html! { p { "There was none." } },
        Content::Json(_) => html! {
            (code_block("body", "the body", &entry.content.value().map_or_else(String::new, |value| format!("{value:#}"))))
        },
        Content::Other(digest) => html! { p { (digest.bytes) " bytes, SHA-256 " (code(&digest.sha256)) } },
    }
}

/// The request for a shell. The key and what is concealed are the reader's to fill in.
fn command(visit: &Visit, entry: &Entry) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let query = if entry.query.is_empty() { String::new() } else { format!("?{}", entry.query) };
    let mut command =
        format!("curl -X {} {}", entry.method, quoted(&format!("{}{}{query}", visit.origin, entry.path)));
    if entry.key.is_some() {
        command.push_str(" \\\n  -H \"Authorization: Bearer $ORGD_KEY\"");
    }
    if let Content::Json(raw) = &entry.content {
        command.push_str(&format!(" \\\n  -H 'Content-Type: application/json' -d {}", quoted(raw.get())));
    }
    command
}
