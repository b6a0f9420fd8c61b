//! Who may do what in a project: the default, the rules of roles and people, and what they come to, with the reason.

use maud::{Markup, Render, html};
use serde_json::{Value, json};

use super::{BASE, HERE, Here};
use crate::api::{InOrganization, Input, Level, Paging, Reply};
use crate::app::session;
use crate::console::form::{Control, Form};
use crate::console::page::{Page, page};
use crate::console::pages::organization::LINES;
use crate::console::parts::{
    self, Shown, Tone, empty, facts, head, link_to, pager, search, section, table, tag,
};
use crate::console::visit::Visit;
use crate::console::words::{self, Said};
use crate::error::{Result, not_found};
use crate::ids::{RoleId, UserId};
use crate::resources::access_controls::{self, Of, Subject, Why};
use crate::resources::members::{self, Row, Visible, Wanted};
use crate::resources::roles;
use crate::store::{Tx, WriteTx};

pub(super) fn pages() -> Vec<Page> {
    let all = format!("{BASE}/access");
    vec![
        page(&all, session(), HERE, show).does(set_default),
        page(format!("{all}/people/{{user}}"), session(), HERE, show_person).does(set_person),
        page(format!("{all}/roles/{{role}}"), session(), HERE, show_role).does(set_role),
    ]
}

/// The project, for its admins.
fn here(visit: &Visit, tx: &Tx) -> Result<Here> {
    let here = Here::of(visit, tx)?;
    here.at.require(Level::Admin)?;
    Ok(here)
}

fn show(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let here = here(visit, tx)?;
    let default = access_controls::rule_for(tx, here.at, Subject::Everybody)?;
    let form = rule_form(visit, "No rule: members are members", default.as_deref(), "Save default");
    visit.show(
        tx,
        &format!("Access to {}", here.project.name),
        &html! {
            (here.top("access"))
            (form.summary())
            (head("Access", privacy(&here), None))
            (section("Default", html! {
                p.help { "What members may do whom no rule names, neither by name nor by a role." }
                (form.render())
            }))
            (section("Roles", of_roles(tx, &here)?))
            (section("People", of_people(visit, tx, &here)?))
        },
    )
}

fn privacy(here: &Here) -> Markup {
    html! {
        @if here.project.access_control {
            (tag(Tone::Plain, "Private")) " Only people and roles with a rule get in, and admins of the organization."
        } @else {
            (tag(Tone::Good, "Open")) " Everybody in the organization gets in, unless a rule says otherwise."
        }
    }
}

/// A form that sets one rule, or removes it.
fn rule_form<'a>(visit: &'a Visit, none: &'a str, now: Option<&str>, button: &'a str) -> Form<'a> {
    let levels = [("none", "No access"), ("member", "Member"), ("admin", "Admin")];
    let choices = std::iter::once(("", none)).chain(levels);
    Form::new(Some(visit.token()))
        .field(access_controls::FIELDS, "access_level", |control: Control<'_>| control.choices(choices))
        .show(json!({"access_level": now.unwrap_or_default()}))
        .refused(visit.refused())
        .button(button)
}

fn of_roles(tx: &Tx, here: &Here) -> Result<Markup> {
    let all = roles::names(tx, here.at.organization)?;
    if all.is_empty() {
        let text = "With a role you open a project to a whole team at once.";
        return Ok(empty("The organization has no roles", text, None));
    }
    let mut lines = Vec::new();
    for (id, name) in all {
        let rule = access_controls::rule_for(tx, here.at, Subject::Role(id))?;
        lines.push([
            html! { span.name { (name) } },
            html! { @if let Some(level) = &rule { (level_word(level)) } @else { span.soft { "No rule" } } },
            link_to(here.path(&format!("access/roles/{id}")), "Change", &format!("the access of {name}")),
        ]);
    }
    Ok(table("Access of roles", &["Role", "Rule", ""], lines))
}

fn level_word(level: &str) -> &str {
    words::choice("access_level", level)
}

fn of_people(visit: &Visit, tx: &Tx, here: &Here) -> Result<Markup> {
    let text = visit.query("q").unwrap_or_default();
    let paging = Paging::by(visit, LINES);
    let at = InOrganization { id: here.at.organization, level: here.level };
    let (total, rows) = members::find_page(visit, tx, at, &Wanted::search(text)?, paging)?;
    let lines = rows.iter().map(|row| person_line(tx, here, row)).collect::<Result<Vec<_>>>()?;
    Ok(html! {
        @if total > LINES || !text.is_empty() { (search("Search people", "Name or e-mail", text)) }
        @if lines.is_empty() {
            (empty("Nobody found", "No name or e-mail address contains this text.",
                Some((&here.path("access"), "Show everybody"))))
        } @else {
            (table("Access of people", &["Person", "Access", "Why", ""], lines))
            (pager(&visit.address(), Shown { total, limit: paging.limit, offset: paging.offset }))
        }
    })
}

fn person_line(tx: &Tx, here: &Here, row: &Row) -> Result<[Markup; 4]> {
    let why = access_controls::why(tx, here.at.organization, row.uuid, here.project.clone())?;
    let name = row.user.full_name();
    Ok([
        parts::name(&name, &row.user.email),
        access_tag(&why),
        html! { (why.text()) },
        link_to(
            here.path(&format!("access/people/{}", row.uuid)),
            "Change",
            &format!("the access of {name}"),
        ),
    ])
}

fn access_tag(why: &Why) -> Markup {
    let tone = if why.access_level == "none" { Tone::Warn } else { Tone::Good };
    tag(tone, level_word(why.access_level))
}

fn set_default(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    let here = here(visit, tx)?;
    set(visit, tx, &here, json!({}))?;
    Ok(visit.done(&here.path("access"), Said::AccessChanged))
}

/// Sets the rule of a subject to what was typed.
fn set(visit: &Visit, tx: &WriteTx, here: &Here, mut subject: Value) -> Result<()> {
    let level = visit.typed("access_level");
    subject["access_level"] = if level.is_empty() { Value::Null } else { level.into() };
    access_controls::set(visit, tx, here.at, Of::Project, Input::of(&subject))?;
    Ok(())
}

/// The member of the path, where the person may see them.
fn person(visit: &Visit, tx: &Tx, here: &Here) -> Result<Row> {
    let user: UserId = visit.id("user")?;
    let at = InOrganization { id: here.at.organization, level: here.level };
    if !Visible::of(tx, at, visit.user()?)?.has(user) {
        return Err(not_found());
    }
    members::load(tx, at.id, user)
}

fn show_person(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let here = here(visit, tx)?;
    let row = person(visit, tx, &here)?;
    let name = row.user.full_name();
    let why = access_controls::why(tx, here.at.organization, row.uuid, here.project.clone())?;
    let rule = access_controls::rule_for(tx, here.at, Subject::Member(row.member.id))?;
    let back = here.path("access");
    let form = rule_form(visit, "No rule of their own", rule.as_deref(), "Save").cancel(&back);
    visit.show(
        tx,
        &format!("Access of {name} to {}", here.project.name),
        &html! {
            (parts::crumbs(&[(&here.list, "Projects"), (&here.base, &here.project.name), (&back, "Access")]))
            (form.summary())
            (head(&name, &row.user.email, None))
            (facts([
                ("Access now", access_tag(&why)),
                ("In the organization", html! { (words::level(row.member.level)) }),
            ]))
            (section("Rule for this person", form.render()))
            (section("Why", reasons(&why)))
        },
    )
}

/// Every rule in the order in which they are looked at; the one that decides is marked.
fn reasons(why: &Why) -> Markup {
    html! {
        ol { @for rule in &why.rules {
            li { (rule.text) @if rule.decides { " " (tag(Tone::Good, "Decides")) } }
        } }
    }
}

fn set_person(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    let here = here(visit, tx)?;
    let row = person(visit, tx, &here)?;
    set(visit, tx, &here, json!({"organization_member": row.member.id.to_string()}))?;
    Ok(visit.done(&here.path("access"), Said::AccessChanged))
}

fn role(visit: &Visit, tx: &Tx, here: &Here) -> Result<(RoleId, String)> {
    let id = visit.id("role")?;
    Ok((id, roles::name(tx, here.at.organization, id)?.ok_or_else(not_found)?))
}

fn show_role(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let here = here(visit, tx)?;
    let (id, name) = role(visit, tx, &here)?;
    let rule = access_controls::rule_for(tx, here.at, Subject::Role(id))?;
    let back = here.path("access");
    let form = rule_form(visit, "No rule for this role", rule.as_deref(), "Save").cancel(&back);
    visit.show(
        tx,
        &format!("Access of the role {name} to {}", here.project.name),
        &html! {
            (parts::crumbs(&[(&here.list, "Projects"), (&here.base, &here.project.name), (&back, "Access")]))
            (form.summary())
            (head(&format!("Role {name}"), "Of the rules for a person and their roles, the highest decides.", None))
            (form.render())
        },
    )
}

fn set_role(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    let here = here(visit, tx)?;
    let (id, _) = role(visit, tx, &here)?;
    set(visit, tx, &here, json!({"role": id}))?;
    Ok(visit.done(&here.path("access"), Said::AccessChanged))
}
