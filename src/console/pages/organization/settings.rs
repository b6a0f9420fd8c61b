//! Settings of an organization, and its end.

use maud::{Render, html};
use serde_json::{Value, json};

use super::{BASE, HERE};
use crate::api::{Input, Level, Paging, Reply};
use crate::app::session;
use crate::console::form::Form;
use crate::console::frame::Here;
use crate::console::page::{Page, page};
use crate::console::parts::{self, Confirm, Danger, counted, grouped, head};
use crate::console::visit::Visit;
use crate::console::words::Said;
use crate::error::{Result, invalid};
use crate::resources::members::{self, Wanted};
use crate::resources::organizations::{self, Organization};
use crate::resources::{events, projects, roles, sessions};
use crate::store::{Tx, WriteTx};

pub(super) fn pages() -> Vec<Page> {
    vec![
        page(format!("{BASE}/settings"), session(), HERE, show).does(change),
        page(format!("{BASE}/delete"), session(), HERE, ask).does(remove),
    ]
}

const FIELDS: &[&str] = &[
    "members_can_invite",
    "members_can_create_projects",
    "members_can_use_personal_api_keys",
    "members_can_see_org_members",
    "enforce_verified_domains",
    "is_member_join_email_enabled",
    "default_anonymize_ips",
];

/// The values of the form.
fn values(organization: &Organization) -> Result<Value> {
    let mut values = serde_json::to_value(&organization.settings)?;
    values["name"] = json!(organization.name);
    values["enforce_2fa"] = json!(organization.enforce_2fa);
    values["is_member_join_email_enabled"] = json!(organization.is_member_join_email_enabled);
    Ok(values)
}

fn show(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let here = visit.here(tx)?;
    here.at.require(Level::Admin)?;
    let without = without_second_factor(visit, tx, &here)?;
    let roles = roles::names(tx, here.at.id)?.into_iter().map(|(id, name)| (id.to_string(), name));
    let form = Form::new(Some(visit.token()))
        .fields(organizations::FIELDS, &["name"])
        .field(organizations::FIELDS, "enforce_2fa", |control| control.help(without))
        .fields(organizations::FIELDS, FIELDS)
        .field(organizations::FIELDS, "default_role_id", |control| {
            control.choices(std::iter::once((String::new(), "No role".to_owned())).chain(roles))
        })
        .show(values(&here.organization)?)
        .refused(visit.refused())
        .button("Save");
    let delete = here.path("delete");
    let danger = Danger {
        title: "Delete this organization",
        text: "With its projects, events, exports and everybody's access.",
        path: &delete,
        deed: "Delete organization",
    };
    visit.show(
        tx,
        "Settings",
        &html! {
            (form.summary())
            (head("Settings", html! { "Its identifier is " code { (here.at.id) } ", its slug " code { (here.organization.slug) } "." }, None))
            (form.render())
            @if here.is(Level::Owner) { (parts::danger_zone(&[danger])) }
        },
    )
}

/// Who would have to set up a second factor, in a sentence.
fn without_second_factor(visit: &Visit, tx: &Tx, here: &Here) -> Result<String> {
    let wanted = Wanted::default().by_second_factor(Some(false));
    let (count, _) = members::find_page(visit, tx, here.at, &wanted, Paging { limit: 0, offset: 0 })?;
    Ok(match count {
        0 => "Everybody here has it.".to_owned(),
        1 => "One person has none and is asked to set it up before anything else.".to_owned(),
        _ => format!("{} people have none and are asked to set it up before anything else.", grouped(count)),
    })
}

fn change(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    let here = visit.here(tx)?;
    here.at.require(Level::Admin)?;
    let typed = visit.typed_over(&values(&here.organization)?);
    organizations::update(visit, tx, here.at, Input { value: Ok(&typed), is_text: true, is_partial: true })?;
    Ok(visit.done(&here.path("settings"), Said::Saved))
}

fn ask(visit: &Visit, tx: &Tx) -> Result<Reply> {
    sessions::require_recent_login(visit)?;
    let here = visit.here(tx)?;
    here.at.require(Level::Owner)?;
    let all = projects::visible_in(tx, here.at.id, visit.user()?, here.at.level)?;
    let mut kept = 0;
    for project in &all {
        kept += events::count(tx, project.id)?;
    }
    let question = format!("Delete {}?", here.organization.name);
    let people = members::count(tx, here.at.id)?;
    let confirm = Confirm {
        question: &question,
        lost: vec![
            html! { (counted(all.len() as u64, "project", "projects")) " with " (counted(kept, "event", "events")) ". Tokens stop working at once." },
            html! { "Exports, plugins, roles, invites, domains, proxies and the audit log." },
            html! { "The access of " (counted(people, "person", "people")) "." },
        ],
        kept: vec![html! { "The people's accounts, and what exports have delivered already." }],
        deed: "Delete organization",
        cancel: &here.path("settings"),
        token: visit.token(),
        name: Some(&here.organization.name),
        is_wrong: visit.is_refused(),
    };
    visit.show(tx, &question, &confirm.render())
}

fn remove(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    sessions::require_recent_login(visit)?;
    let here = visit.here(tx)?;
    here.at.require(Level::Owner)?;
    if !Confirm::is_name(&here.organization.name, visit.typed("name")) {
        return Err(invalid("name", "invalid_input", "That is not the name."));
    }
    organizations::remove(tx, here.at)?;
    Ok(visit.done("/", Said::OrganizationDeleted))
}
