//! The audit log: who changed what, when, from where and with which key.

use std::net::IpAddr;

use maud::{Markup, html};
use serde_json::Value;

use super::{BASE, HERE};
use crate::api::cursor::Cursor;
use crate::api::{Place, Reply};
use crate::app::session;
use crate::console::frame::Here;
use crate::console::page::{Page, page};
use crate::console::parts::{
    self, Select, Tone, code, counted, cursor_pager, empty, facts, filter_field, head, notice, table,
};
use crate::console::visit::Visit;
use crate::console::words;
use crate::error::{Error, Result};
use crate::resources::audit::{self, Choices, Entry, Found};
use crate::resources::{projects, users};
use crate::store::Tx;

/// Entries on a page: each brings what was before and after.
const ENTRIES: u64 = 30;

pub(in crate::console) fn pages() -> Vec<Page> {
    vec![page(format!("{BASE}/audit"), session(), HERE, list)]
}

/// Filters that are seldom used stand in a part that opens.
const MORE: &[&str] = &["item_ids", "clients", "ip_addresses", "team_ids", "is_system", "detail_filters"];

fn list(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let here = visit.here(tx)?;
    let place = Place::Organization(here.at);
    let choices = audit::choices(visit, tx, place)?;
    let found = audit::find_page(visit, tx, place, ENTRIES);
    let found = match found {
        Err(Error::Invalid { attr, detail, .. }) => Err((attr.unwrap_or_default(), detail)),
        found => Ok(found?),
    };
    visit.show(
        tx,
        "Audit log",
        &html! {
            (head("Audit log", "Who changed what, when, from where and with which key.", None))
            (filters(visit, &choices, &projects_of(visit, tx, &here)?))
            @match &found {
                Ok(found) => (entries(visit, tx, &here, found)?),
                Err((name, detail)) => (notice(Tone::Bad, html! { p { (filter_name(name)) ": " (detail) } })),
            }
        },
    )
}

fn entries(visit: &Visit, tx: &Tx, here: &Here, found: &Found) -> Result<Markup> {
    let address = |cursor: Option<Cursor>| {
        cursor.map(|cursor| visit.address_with(&visit.path, "cursor", Some(&cursor.text())))
    };
    let lines = found.entries.iter().map(|(_, entry)| line(tx, here, entry)).collect::<Result<Vec<_>>>()?;
    Ok(html! {
        @if lines.is_empty() { (nothing(visit, here, found)) }
        @else { (table("Audit log", &["What", "Who", "From", "When", "Details"], lines)) (files(visit, here)) }
        (cursor_pager(address(found.previous).as_deref(), address(found.next).as_deref()))
    })
}

fn nothing(visit: &Visit, here: &Here, found: &Found) -> Markup {
    let everything = here.path("audit");
    let is_filtered = visit.query.iter().any(|(_, value)| !value.is_empty());
    match (is_filtered, &found.next) {
        (_, Some(_)) => empty(
            "Nothing yet among those",
            "The entries that were looked at do not match. Older ones may: go on below.",
            None,
        ),
        (true, None) => empty(
            "Nothing in this time",
            "No entry matches these filters.",
            Some((&everything, "Show everything")),
        ),
        (false, None) => empty(
            "Nothing has changed yet",
            "Every change of people, roles, projects, exports, domains and keys is written down here.",
            None,
        ),
    }
}

/// All entries that match, as files.
fn files(visit: &Visit, here: &Here) -> Markup {
    let list = format!("/api/organizations/{}/advanced_activity_logs/", here.at.id);
    let with_format = |format| visit.address_with(&list, "format", Some(format));
    let without_cursor = |address: String| {
        let (path, query) = address.split_once('?').unwrap_or((&address, ""));
        let kept = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "cursor");
        form_urlencoded::Serializer::for_suffix(format!("{path}?"), path.len() + 1)
            .extend_pairs(kept)
            .finish()
    };
    html! {
        p {
            "All of them as a file: "
            a href=(without_cursor(with_format("csv"))) { "CSV" } ", "
            a href=(without_cursor(with_format("jsonl"))) { "JSON lines" } "."
        }
    }
}

fn line(tx: &Tx, here: &Here, entry: &Entry) -> Result<[Markup; 5]> {
    let detail = entry.detail.value();
    let what = format!("{} {}", words::scope(&entry.scope), entry.activity.replace('_', " "));
    let of = detail["name"].as_str().unwrap_or(&entry.item);
    let project = match entry.project {
        Some(id) if projects::is_of(tx, here.at.id, id)? => Some(projects::name(tx, here.at.id, id)?),
        _ => None,
    };
    Ok([
        html! {
            span.name { (what) }
            small dir="auto" { (of) @if let Some(project) = &project { " · " (project) } }
        },
        who(tx, entry)?,
        from(entry),
        parts::time(entry.created_at),
        details(entry, &detail),
    ])
}

fn who(tx: &Tx, entry: &Entry) -> Result<Markup> {
    let Some(id) = entry.user else { return Ok(html! { span.soft { "Nobody signed in" } }) };
    let Some(user) = users::get(tx, id)? else { return Ok(html! { span.soft { "A deleted account" } }) };
    Ok(html! { div { div dir="auto" { (user.full_name()) } small { (user.email) } } })
}

/// From where, and by which means.
fn from(entry: &Entry) -> Markup {
    let means = match (&entry.key, entry.user) {
        (Some(key), _) => html! { "Key " code { (key.mask) } },
        (None, Some(_)) => html! { "Session" },
        (None, None) => html! { "No sign-in" },
    };
    html! {
        div {
            @match entry.address {
                Some(IpAddr::V4(address)) => div { (address.to_string()) },
                Some(address) => div { (code(address.to_string())) },
                None => {},
            }
            small { (means) }
        }
    }
}

fn details(entry: &Entry, detail: &Value) -> Markup {
    let changes = detail["changes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let summary = match changes.len() {
        0 => "Details".to_owned(),
        number => counted(number as u64, "field", "fields"),
    };
    parts::details(
        summary,
        html! {
            @if !changes.is_empty() { ul.changes role="list" { @for change in changes { li { (field_change(change)) } } } }
            (facts(about(entry, detail)))
        },
    )
}

fn field_change(change: &Value) -> Markup {
    let field = change["field"].as_str().unwrap_or("Content");
    html! {
        strong { (field.replace('_', " ")) }
        div.before { span.hidden { "Before: " } (value(&change["before"])) }
        div.after { span.hidden { "After: " } (value(&change["after"])) }
    }
}

fn value(value: &Value) -> Markup {
    match value {
        Value::Null => html! { span.soft { "nothing" } },
        Value::String(text) => html! { code dir="auto" { (text) } },
        other => code(other.to_string()),
    }
}

fn about(entry: &Entry, detail: &Value) -> Vec<(&'static str, Markup)> {
    let mut all = Vec::new();
    if !entry.item.is_empty() {
        all.push(("Identifier", code(&entry.item)));
    }
    if !detail["context"].is_null() {
        all.push(("Context", code(detail["context"].to_string())));
    }
    let texts = [("Program", &entry.client), ("Request", &entry.request_id)];
    all.extend(texts.into_iter().filter_map(|(what, text)| Some((what, code(text.as_ref()?)))));
    all
}

/// The projects of the organization that the person sees, for the filter.
fn projects_of(visit: &Visit, tx: &Tx, here: &Here) -> Result<Vec<(String, String)>> {
    let seen = projects::visible_in(tx, here.at.id, visit.user()?, here.at.level)?;
    Ok(seen.into_iter().map(|project| (project.id.to_string(), project.name)).collect())
}

fn filters(visit: &Visit, choices: &Choices, projects: &[(String, String)]) -> Markup {
    let people: Vec<(String, String)> =
        choices.people.iter().map(|(id, label)| (id.to_string(), label.clone())).collect();
    let named = |all: &std::collections::BTreeSet<String>, words: fn(&str) -> String| {
        all.iter().map(|name| (name.clone(), words(name))).collect::<Vec<_>>()
    };
    let scopes = named(&choices.scopes, |name| words::scope(name).to_owned());
    let activities = named(&choices.activities, |name| name.replace('_', " "));
    let clients = named(&choices.clients, str::to_owned);
    let system =
        [("true".to_owned(), "Nobody signed in".to_owned()), ("false".into(), "Somebody signed in".into())];
    let is_open = MORE.iter().any(|name| !visit.chosen(name).is_empty());
    let more = html! {
        details open[is_open] {
            summary { "More filters" }
            div.filters {
                (entry_of(visit, "item_ids", "text"))
                (choice_of(visit, "clients", &clients))
                (entry_of(visit, "ip_addresses", "text"))
                (choice_of(visit, "team_ids", projects))
                (choice_of(visit, "is_system", &system))
                (entry_of(visit, "detail_filters", "text"))
            }
        }
    };
    let shown = [
        entry_of(visit, "search_text", "search"),
        choice_of(visit, "users", &people),
        choice_of(visit, "scopes", &scopes),
        choice_of(visit, "activities", &activities),
        entry_of(visit, "start_date", "date"),
        entry_of(visit, "end_date", "date"),
        more,
    ];
    parts::filters("Filter the audit log", None, &[] as &[Select<'_>], &shown)
}

/// The label of a filter; the names are those of the API.
fn filter_name(name: &str) -> &str {
    match name {
        "search_text" => "Text in the details",
        "users" => "Who",
        "scopes" => "What",
        "activities" => "Done",
        "start_date" => "From",
        "end_date" => "Up to",
        "item_ids" => "Identifier",
        "clients" => "Program",
        "ip_addresses" => "Address, such as 203.0.113.*",
        "team_ids" => "Project",
        "is_system" => "By whom",
        "detail_filters" => "Paths in the details (JSON)",
        other => other,
    }
}

fn entry_of(visit: &Visit, name: &str, kind: &str) -> Markup {
    let control = html! {
        input id={ "filter-" (name) } type=(kind) name=(name) value=(visit.chosen(name)) maxlength="2000" dir="auto";
    };
    filter_field(name, filter_name(name), control)
}

fn choice_of(visit: &Visit, name: &str, choices: &[(String, String)]) -> Markup {
    let chosen = visit.chosen(name);
    let is_known = chosen.is_empty() || choices.iter().any(|(value, _)| value == chosen);
    let control = html! {
        select id={ "filter-" (name) } name=(name) {
            option value="" { "All" }
            @if !is_known { option value=(chosen) selected { (chosen) } }
            @for (value, words) in choices { option value=(value) selected[value == chosen] { (words) } }
        }
    };
    filter_field(name, filter_name(name), control)
}
