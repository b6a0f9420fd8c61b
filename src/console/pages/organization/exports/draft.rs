//! The form of an export, new or stored: its fields, what it sends to the commands, and tests of its destination.

use maud::{Markup, Render, html};
use serde_json::{Map, Value, json};

use super::{kind_name, typed};
use crate::api::fields::{FieldInfo, FieldKind};
use crate::api::{Field, Input};
use crate::clock::Time;
use crate::console::form::{Control, Form, lines};
use crate::console::parts::{Tone, notice, tag};
use crate::console::visit::Visit;
use crate::console::words;
use crate::error::Result;
use crate::resources::batch_exports::destination::Kind;
use crate::resources::batch_exports::interval::Interval;
use crate::resources::batch_exports::{BatchExport, FIELDS, Model, Tested, commands, hogql};

/// Fields of an export beside its destination, before and after it.
const WHEN: &[&str] = &["offset_day", "offset_hour", "timezone", "start_at", "end_at"];

/// What is exported: of a person, one of the two is wanted.
const MODEL: FieldInfo = Field::long_text("model").required().info();

/// The columns of an export.
const QUERY: FieldInfo = Field::long_text("hogql_query").info();

/// The project of a new export.
pub(super) const PROJECT: FieldInfo = Field::long_text("project").required().info();

/// The form of an export to a destination of this type, with what was typed where it is shown again.
pub(super) fn form<'a>(
    visit: &'a Visit,
    kind: Kind,
    stored: Option<&BatchExport>,
    projects: &[(String, String)],
    is_tested: bool,
) -> Result<Form<'a>> {
    let typed = typed::secrets(visit, kind);
    let mut form = Form::new(Some(visit.token()));
    if !typed.is_empty() {
        form = form.hidden(typed::SEALED, typed::sealed(visit, &typed)?);
    }
    form = form.field(FIELDS, "name", Control::first);
    if projects.len() > 1 {
        let control = Control::new(PROJECT).label("Project").help("Whose events or persons are exported.");
        form = form.control(control.choices(projects.iter().cloned()));
    }
    for (place, field) in kind.fields().into_iter().enumerate() {
        let is_kept = typed.contains_key(field.name) || (stored.is_some() && kind.hides(field.name));
        form = form.control(setting(kind, field, place == 0, is_kept));
    }
    if kind != Kind::Http {
        form = form.control(Control::new(MODEL));
        // Nothing means all columns; it is left out of the body.
        form = form.control(Control::new(QUERY.blank()));
    }
    let before = stored.map(|export| export.interval);
    let intervals =
        Interval::ALL.into_iter().filter(|it| commands::may_run(visit, *it) || before == Some(*it));
    let intervals = intervals.map(|it| (it.name(), words::choice("interval", it.name())));
    form =
        form.field(FIELDS, "interval", |control| control.choices(intervals).before(html! { h2 { "When" } }));
    form = WHEN.iter().fold(form, |form, name| form.field(FIELDS, name, |control| control.help(help(name))));
    let shown = if is_tested { visit.sent() } else { values(kind, stored) };
    Ok(form.show(shown).refused(visit.refused()))
}

fn help(name: &str) -> &'static str {
    match name {
        "offset_day" => "On which weekly intervals begin; 0 is Sunday. Only for weekly exports.",
        "offset_hour" => "At which days and weeks begin, from 0 to 23. Only for daily and weekly exports.",
        "timezone" => "In which days and weeks begin, such as Europe/Berlin. Empty: UTC.",
        "start_at" => "In UTC. Nothing before it is exported.",
        "end_at" => "In UTC. The export ends then.",
        _ => "",
    }
}

fn setting<'a>(kind: Kind, field: FieldInfo, is_first: bool, is_kept: bool) -> Control<'a> {
    let mut control = Control::new(field);
    if is_first {
        control = control.before(html! { h2 { (kind_name(kind)) } });
    }
    if field.name == "include_events" {
        control = control.before(html! { h2 { "What" } });
    }
    if field.name == "token" {
        control = control.label("Token").help("The token of the project there, such as phc_...");
    }
    if is_kept { control.kept() } else { control }
}

/// What the form shows of a stored export; of a new one, what is usual.
fn values(kind: Kind, stored: Option<&BatchExport>) -> Value {
    let Some(export) = stored else {
        let port = if kind == Kind::Redshift { 5439 } else { 5432 };
        return json!({
            "interval": "hour", "model": "events", "file_format": "JSONLines", "schema": "public", "port": port,
            "properties_data_type": "varchar",
        });
    };
    let mut all = match export.destination.config.value() {
        Value::Object(config) => config,
        _ => Map::new(),
    };
    let text = |time: Option<Time>| time.map(|time| time.to_string());
    let query = export.schema.as_ref().and_then(hogql::query_of);
    let Value::Object(own) = json!({
        "name": export.name,
        "model": export.model.unwrap_or(Model::Events).name(),
        "interval": export.interval.name(),
        "hogql_query": query,
        "offset_day": export.offset_day,
        "offset_hour": export.offset_hour,
        "timezone": export.timezone,
        "start_at": text(export.start_at),
        "end_at": text(export.end_at),
    }) else {
        return Value::Null;
    };
    all.extend(own);
    Value::Object(all)
}

/// What the form says, as the commands read it.
pub(super) fn body(visit: &Visit, kind: Kind) -> Value {
    let (typed, mut config) = (typed::secrets(visit, kind), Map::new());
    for field in kind.fields() {
        let text = visit.typed(field.name);
        let value = match field.kind {
            FieldKind::Boolean => Some((text == "true").into()),
            FieldKind::Texts { .. } => Some(list(text)),
            _ if typed.contains_key(field.name) => typed.get(field.name).cloned(),
            _ if text.is_empty() => nothing(kind, &field),
            _ => Some(text.into()),
        };
        config.extend(value.map(|value| (field.name.to_owned(), value)));
    }
    let mut all = Map::new();
    all.insert("name".into(), visit.typed("name").into());
    all.insert("interval".into(), visit.typed("interval").into());
    all.insert("destination".into(), json!({"type": kind.name(), "config": config}));
    if kind != Kind::Http {
        all.insert("model".into(), visit.typed("model").into());
    }
    if !visit.typed("hogql_query").trim().is_empty() {
        all.insert("hogql_query".into(), visit.typed("hogql_query").into());
    }
    for name in WHEN {
        let text = visit.typed(name).trim();
        all.insert((*name).to_owned(), if text.is_empty() { Value::Null } else { text.into() });
    }
    Value::Object(all)
}

fn list(text: &str) -> Value {
    let names = lines(text);
    if names.is_empty() { Value::Null } else { names.into() }
}

/// What an empty entry says: of what is never shown nothing, so that it stays.
fn nothing(kind: Kind, field: &FieldInfo) -> Option<Value> {
    match field.kind {
        _ if kind.hides(field.name) => None,
        _ if field.nullable => Some(Value::Null),
        FieldKind::Integer { .. } => None,
        _ => Some("".into()),
    }
}

/// The body for a command.
pub(super) fn input(body: &Value, is_partial: bool) -> Input<'_> {
    Input { value: Ok(body), is_text: true, is_partial }
}

/// What a test of the destination has found.
pub(super) fn tested(steps: &[Tested]) -> Markup {
    let is_good = steps.iter().all(|step| step.is_passed);
    let (tone, title) = if is_good {
        (Tone::Good, "The destination works")
    } else {
        (Tone::Bad, "The destination does not work yet")
    };
    let list = html! {
        p.title { (title) }
        ul role="list" {
            @for step in steps {
                li {
                    @if step.is_passed { (tag(Tone::Good, "Passed")) } @else { (tag(Tone::Bad, "Failed")) }
                    " " (step.description)
                    @if let Some(message) = &step.message { br; (message) }
                }
            }
        }
        p { "Nothing was saved by the test." }
    };
    notice(tone, list.render())
}
