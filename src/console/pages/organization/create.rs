//! Making an organization, and choosing the current one.

use std::sync::Arc;

use maud::{Markup, Render, html};

use crate::api::{InOrganization, Paging, Reply, Within};
use crate::app::session;
use crate::console::form::{Control, Form, TOKEN};
use crate::console::frame::base;
use crate::console::page::{Page, page};
use crate::console::parts::{Shown, Tone, amount, empty, head, pager, table, tag};
use crate::console::visit::Visit;
use crate::console::words::{self, Said};
use crate::error::{Result, denied};
use crate::resources::{members, organizations, projects, users};
use crate::store::{Tx, WriteTx};

pub(super) fn pages() -> Vec<Page> {
    vec![
        page("/organization/create", session(), Within::Nothing, show).works(send),
        page("/organization/create-first", session(), Within::Nothing, show_first).works(send),
        page(ALL, session(), Within::Nothing, list).does(switch),
    ]
}

/// The organizations of the person.
const ALL: &str = "/organization/switch";
const CLOSED: &str = "Only operators make organizations on this server.";

fn show(visit: &Visit, tx: &Tx) -> Result<Reply> {
    offer(visit, tx, "Make an organization", "You become its owner, and it gets a first project.")
}

fn show_first(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let is_open = organizations::is_creation_open(visit, tx, visit.user()?)?;
    let title = if is_open { "Make your first organization" } else { "You belong to no organization" };
    offer(visit, tx, title, "You belong to no organization. Make one, or open the link of an invite.")
}

fn offer(visit: &Visit, tx: &Tx, title: &str, state: &str) -> Result<Reply> {
    if !organizations::is_creation_open(visit, tx, visit.user()?)? {
        let text = "Somebody who is an owner or admin of an organization can invite you to it.";
        return visit.show(tx, title, &html! { (head(title, CLOSED, None)) p { (text) } });
    }
    let form = Form::new(Some(visit.token()))
        .field(organizations::FIELDS, "name", Control::first)
        .once(visit.once())
        .refused(visit.refused())
        .button("Make organization")
        .cancel("/");
    visit.show(tx, title, &html! { (form.summary()) (head(title, state, None)) (form.render()) })
}

async fn send(visit: Arc<Visit>) -> Result<Reply> {
    visit.write_once(ALL, make).await
}

fn make(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    let user = visit.user()?;
    if !organizations::is_creation_open(visit, tx, user)? {
        return Err(denied(CLOSED));
    }
    let made = organizations::create(visit, tx, user, visit.filled())?;
    let path = base(made.id, &made.organization);
    Ok(visit.done(&path, Said::OrganizationMade))
}

fn list(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let user = visit.user()?;
    let paging = Paging::by(visit, super::LINES);
    let (total, page) = members::organizations_page(tx, user, paging)?;
    let current = users::current_organization(tx, user, &users::find(tx, user)?)?.map(|at| at.id);
    let lines = page.into_iter().map(|at| line(visit, tx, at, current == Some(at.id)));
    let lines = lines.collect::<Result<Vec<_>>>()?;
    let is_open = organizations::is_creation_open(visit, tx, user)?;
    let create = ("/organization/create", "Make an organization");
    visit.show(
        tx,
        "Your organizations",
        &html! {
            (Form::new(None).refused(visit.refused()).summary())
            (head("Your organizations", "The current one is what API clients mean by @current.",
                is_open.then_some(create)))
            @if lines.is_empty() {
                (empty("You belong to no organization",
                    "An organization holds people and projects. Make one, or open the link of an invite.",
                    is_open.then_some(create)))
            } @else {
                (table("Your organizations", &["Name", "Level", "People", "Projects", ""], lines))
                (pager(&visit.address(), Shown { total, limit: paging.limit, offset: paging.offset }))
            }
        },
    )
}

fn line(visit: &Visit, tx: &Tx, at: InOrganization, is_current: bool) -> Result<[Markup; 5]> {
    let organization = organizations::find(tx, at.id)?;
    let projects = projects::visible_in(tx, at.id, visit.user()?, at.level)?;
    let action = if is_current {
        tag(Tone::Good, "Current")
    } else {
        html! {
            form.deed method="post" {
                input type="hidden" name=(TOKEN) value=(visit.token());
                input type="hidden" name="set_current_organization" value=(at.id);
                button type="submit" { "Switch" span.hidden { " to " (organization.name) } }
            }
        }
    };
    Ok([
        html! { a href=(base(at.id, &organization)) { (organization.name) } small { (organization.slug) } },
        html! { (words::level(at.level)) },
        amount(members::count(tx, at.id)?),
        amount(projects.len() as u64),
        action,
    ])
}

fn switch(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    users::update(visit, tx, visit.changed(), None)?;
    let user = visit.user()?;
    let current = users::current_organization(tx, user, &users::find(tx, user)?)?;
    let path = match current {
        Some(at) => base(at.id, &organizations::find(tx, at.id)?),
        None => "/organization/switch".to_owned(),
    };
    Ok(visit.done(&path, Said::OrganizationSwitched))
}
