//! The form of an API key: a preset or chosen scopes, and the places that it is limited to.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use maud::{Markup, html};
use serde_json::{Value, json};

use crate::api::{Field, FieldInfo};
use crate::app::route::Needs;
use crate::console::form::{Control, Form};
use crate::console::visit::Visit;
use crate::error::Result;
use crate::ids::UserId;
use crate::resources::api_keys::{self, ApiKey};
use crate::resources::{members, organizations, projects, registry};
use crate::store::Tx;

/// What keys are mostly made for: value, words, scopes.
const PRESETS: &[(&str, &str, &[&str])] = &[
    ("read", "Read everything", &[]),
    (
        "terraform",
        "Terraform",
        &[
            "access_control:write",
            "batch_export:write",
            "organization:write",
            "organization_member:write",
            "project:write",
            "user:read",
        ],
    ),
    ("ci", "Tests in CI", &["batch_export:write", "organization:read", "project:write", "user:read"]),
    ("all", "Everything that you may do", &["*"]),
];
const CHOSEN: &str = "chosen";
const PRESET: FieldInfo = Field::text("preset", 20).required().info();
/// Beginnings of the names of the radio buttons of a scope.
const SCOPE: &str = "scope_";
/// More projects than these are not offered to choose from.
const PROJECTS_MAX: usize = 100;

/// The objects that routes of this server ask a scope for.
fn objects() -> &'static [&'static str] {
    static OBJECTS: OnceLock<Vec<&'static str>> = OnceLock::new();
    OBJECTS.get_or_init(|| {
        let needs = registry::routes().into_iter().map(|route| route.needs);
        let objects = needs.filter_map(|needs| match needs {
            // `*` is all objects at once, and no row of its own.
            Needs::Scope(scope) => scope.split_once(':').map(|(object, _)| object),
            _ => None,
        });
        objects.collect::<BTreeSet<_>>().into_iter().collect()
    })
}

/// The form of a new key.
pub(super) fn of_new<'a>(visit: &'a Visit, tx: &Tx) -> Result<Form<'a>> {
    let presets =
        PRESETS.iter().map(|(value, words, _)| (*value, *words)).chain([(CHOSEN, "What is chosen below")]);
    let form = Form::new(Some(visit.token()))
        .field(api_keys::FIELDS, "label", |control| {
            control.help("What it is for. Others never see it.").first()
        })
        .control(Control::new(PRESET).label("It may").choices(presets).after(scopes(visit, &[])));
    Ok(with_places(form, visit, tx, visit.user()?)?.show(json!({"preset": "read"})).refused(visit.refused()))
}

/// The form of a key that is there.
pub(super) fn of_old<'a>(visit: &'a Visit, tx: &Tx, key: &ApiKey) -> Result<Form<'a>> {
    let all = html! { (scopes(visit, &key.scopes)) };
    let form = Form::new(Some(visit.token())).field(api_keys::FIELDS, "label", |control| control.after(all));
    let places = json!({
        "label": key.label,
        "scoped_organizations": key.scoped_organizations,
        "scoped_teams": key.scoped_projects,
    });
    Ok(with_places(form, visit, tx, visit.user()?)?.show(places).refused(visit.refused()))
}

fn with_places<'a>(form: Form<'a>, visit: &Visit, tx: &Tx, user: UserId) -> Result<Form<'a>> {
    let mut named = Vec::new();
    let mut seen = Vec::new();
    for at in members::organizations_of(tx, user)? {
        let name = organizations::find(tx, at.id)?.name;
        for project in projects::visible_in(tx, at.id, visit.user()?, at.level)? {
            seen.push((project.id.to_string(), format!("{} ({name})", project.name)));
        }
        named.push((at.id.to_string(), name));
    }
    let form = form.field(api_keys::FIELDS, "scoped_organizations", |control| {
        control.label("Only these organizations").help("None ticked: all of yours.").choices(named)
    });
    if seen.len() > PROJECTS_MAX {
        return Ok(form);
    }
    Ok(form.field(api_keys::FIELDS, "scoped_teams", |control| {
        control.label("Only these projects").help("None ticked: all that you see.").choices(seen)
    }))
}

/// A table of what this server asks scopes for, as radio buttons.
fn scopes(visit: &Visit, held: &[String]) -> Markup {
    let typed = visit.refused().map(|(_, typed)| typed);
    let is_all = held.iter().any(|scope| scope == "*");
    let chosen = |object: &str| -> String {
        let name = format!("{SCOPE}{object}");
        match typed.as_ref().and_then(|typed| typed.get(&name)).and_then(Value::as_str) {
            Some(value) => value.to_owned(),
            None if is_all || held.contains(&format!("{object}:write")) => "write".to_owned(),
            None if held.contains(&format!("{object}:read")) => "read".to_owned(),
            None => String::new(),
        }
    };
    let lines = objects().iter().map(|object| {
        let chosen = chosen(object);
        let radio = |value: &str, words: &str| {
            let id = format!("{SCOPE}{object}-{}", if value.is_empty() { "none" } else { value });
            html! {
                span.tick {
                    input id=(id) type="radio" name={ (SCOPE) (object) } value=(value) checked[chosen == value];
                    label for=(id) { (words) span.hidden { " " (object) } }
                }
            }
        };
        [html! { code { (object) } }, radio("", "None"), radio("read", "Read"), radio("write", "Write")]
    });
    html! {
        (crate::console::parts::details("Scopes, one by one", crate::console::parts::table(
            "Scopes", &["Object", "None", "Read", "Write"], lines,
        )))
    }
}

/// What was filled in, as the fields of a key.
pub(super) fn read(visit: &Visit) -> Value {
    let preset = PRESETS.iter().find(|(value, _, _)| *value == visit.typed("preset"));
    let scopes: Vec<String> = match preset {
        Some(("read", _, _)) => objects().iter().map(|object| format!("{object}:read")).collect(),
        Some((_, _, scopes)) => scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        None => objects()
            .iter()
            .filter_map(|object| match visit.typed(&format!("{SCOPE}{object}")) {
                action @ ("read" | "write") => Some(format!("{object}:{action}")),
                _ => None,
            })
            .collect(),
    };
    let projects: Vec<i64> =
        visit.typed_all("scoped_teams").iter().filter_map(|id| id.parse().ok()).collect();
    json!({
        "label": visit.typed("label"),
        "scopes": scopes,
        "scoped_organizations": visit.typed_all("scoped_organizations"),
        "scoped_teams": projects,
    })
}
