//! Settings of a project, and its end.

use maud::{Render, html};
use serde_json::Value;

use super::{BASE, HERE, Here};
use crate::api::{Input, Level, Reply};
use crate::app::session;
use crate::console::form::Form;
use crate::console::page::{Page, page};
use crate::console::parts::{self, Confirm, Danger, counted, head};
use crate::console::visit::Visit;
use crate::console::words::Said;
use crate::error::{Result, invalid};
use crate::resources::{events, projects, sessions};
use crate::store::{Tx, WriteTx};

pub(super) fn pages() -> Vec<Page> {
    vec![
        page(format!("{BASE}/settings"), session(), HERE, show).does(change),
        page(format!("{BASE}/delete"), session(), HERE, ask).does(remove),
    ]
}

const FIELDS: &[&str] = &[
    "anonymize_ips",
    "autocapture_opt_out",
    "autocapture_exceptions_opt_in",
    "autocapture_web_vitals_opt_in",
    "capture_performance_opt_in",
    "session_recording_opt_in",
    "surveys_opt_in",
    "heatmaps_opt_in",
];

fn show(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let here = Here::of(visit, tx)?;
    let zones = projects::timezones().into_iter().map(|zone| (zone, zone));
    let mut form = Form::new(Some(visit.token()))
        .fields(projects::FIELDS, &["name"])
        .field(projects::FIELDS, "timezone", |control| control.choices(zones))
        .fields(projects::FIELDS, &["week_start_day"]);
    // Who sees a project is for admins of the organization to say.
    if here.level >= Level::Admin {
        form = form.fields(projects::FIELDS, &["access_control"]);
    }
    let form = form
        .fields(projects::FIELDS, FIELDS)
        .show(projects::settings_of(tx, here.at)?)
        .refused(visit.refused())
        .button("Save");
    let (reset, delete) = (here.path("reset-token"), here.path("delete"));
    let dangers = [
        Danger {
            title: "Reset the project token",
            text: "Whoever sends events with the old one is refused at once.",
            path: &reset,
            deed: "Reset token",
        },
        Danger {
            title: "Delete this project",
            text: "With its events, persons, access rules and exports.",
            path: &delete,
            deed: "Delete project",
        },
    ];
    visit.show(
        tx,
        &format!("Settings of {}", here.project.name),
        &html! {
            (here.top("settings"))
            (form.summary())
            (head("Project settings", &here.project.name, None))
            (form.render())
            @if here.is_admin() { (parts::danger_zone(&dangers)) }
        },
    )
}

fn change(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    let here = Here::of(visit, tx)?;
    let typed: Value = visit.typed_over(&projects::settings_of(tx, here.at)?);
    projects::update(visit, tx, here.at, Input { value: Ok(&typed), is_text: true, is_partial: true })?;
    Ok(visit.done(&here.path("settings"), Said::Saved))
}

fn ask(visit: &Visit, tx: &Tx) -> Result<Reply> {
    sessions::require_recent_login(visit)?;
    let here = Here::of(visit, tx)?;
    here.at.require(Level::Admin)?;
    let question = format!("Delete {}?", here.project.name);
    let kept = events::count(tx, here.at.id)?;
    let confirm = Confirm {
        question: &question,
        lost: vec![
            html! { (counted(kept, "event", "events")) ", with the persons that they are about." },
            html! { "Exports of this project, and the rules of who may see it." },
            html! { "Its token: whoever sends events with it is refused at once." },
        ],
        kept: vec![html! { "What exports have delivered already, and the entries of the audit log." }],
        deed: "Delete project",
        cancel: &here.path("settings"),
        token: visit.token(),
        name: Some(&here.project.name),
        is_wrong: visit.is_refused(),
    };
    visit.show(tx, &question, &confirm.render())
}

fn remove(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    sessions::require_recent_login(visit)?;
    let here = Here::of(visit, tx)?;
    here.at.require(Level::Admin)?;
    if !Confirm::is_name(&here.project.name, visit.typed("name")) {
        return Err(invalid("name", "invalid_input", "That is not the name."));
    }
    projects::remove(visit, tx, here.at)?;
    Ok(visit.done(&here.list, Said::ProjectDeleted))
}
