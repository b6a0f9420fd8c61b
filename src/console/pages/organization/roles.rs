//! Roles: groups of members whom projects are opened to together.

use maud::{Markup, Render, html};
use serde_json::json;

use super::{BASE, HERE, LINES};
use crate::api::call::parse_uuid;
use crate::api::fields::{FieldInfo, FieldKind};
use crate::api::{Input, Level, Paging, Reply};
use crate::app::session;
use crate::console::form::{Control, Form};
use crate::console::frame::Here;
use crate::console::page::{Page, page};
use crate::console::parts::{
    self, Confirm, Danger, Look, Shown, Tone, amount, counted, day, empty, head, link_to, pager, search,
    section, table, tag,
};
use crate::console::visit::Visit;
use crate::console::words::{self, Said};
use crate::error::{Result, invalid, not_found};
use crate::ids::RoleId;
use crate::resources::access_controls::{self, Subject};
use crate::resources::members::{self, Wanted};
use crate::resources::roles::{self, Loaded};
use crate::resources::{projects, role_memberships, sessions, users};
use crate::store::{Tx, WriteTx};

pub(super) fn pages() -> Vec<Page> {
    let all = format!("{BASE}/roles");
    let one = format!("{all}/{{id}}");
    vec![
        page(&all, session(), HERE, list),
        page(format!("{all}/new"), session(), HERE, offer).does(make),
        page(&one, session(), HERE, show).does(rename),
        page(format!("{one}/delete"), session(), HERE, ask).does(remove),
        page(format!("{one}/add"), session(), HERE, choose).does(add),
        page(format!("{one}/members/{{membership}}/remove"), session(), HERE, ask_out).does(take_out),
    ]
}

fn list(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let here = visit.here(tx)?;
    let paging = Paging::by(visit, LINES);
    let text = visit.query("q").unwrap_or_default();
    let (total, page) = roles::find_page(visit, tx, here.at, text, paging)?;
    let all = here.path("roles");
    let new = here.path("roles/new");
    let action = here.is(Level::Admin).then_some((new.as_str(), "Make a role"));
    let line = |role: &Loaded| {
        [
            html! { span.name { (role.role.name) } @if role.is_default { " " (default_tag()) } },
            amount(role.members.len() as u64),
            day(role.role.created_at),
            link_to(path(&here, role.id), "Open", &role.role.name),
        ]
    };
    visit.show(
        tx,
        "Roles",
        &html! {
            (head("Roles", counted(total, "role", "roles"), action))
            @if total > LINES || !text.is_empty() { (search("Search roles", "Name", text)) }
            @if page.is_empty() && text.is_empty() {
                (empty("There are no roles",
                    "A role is a group of people, such as a team. Open a project to a role, and everybody in it gets in.",
                    action))
            } @else if page.is_empty() {
                (empty("Nothing found", "No name contains this text.", Some((&all, "Show all roles"))))
            } @else {
                (table("Roles", &["Name", "People", "Made", ""], page.iter().map(line)))
                (pager(&visit.address(), Shown { total, limit: paging.limit, offset: paging.offset }))
            }
        },
    )
}

fn path(here: &Here, id: RoleId) -> String {
    here.path(&format!("roles/{id}"))
}

fn default_tag() -> Markup {
    tag(Tone::Plain, "New members get it")
}

fn offer(visit: &Visit, tx: &Tx) -> Result<Reply> {
    sessions::require_recent_login(visit)?;
    let here = visit.here(tx)?;
    here.at.require(Level::Admin)?;
    let list = here.path("roles");
    let form = Form::new(Some(visit.token()))
        .field(roles::FIELDS, "name", Control::first)
        .refused(visit.refused())
        .button("Make role")
        .cancel(&list);
    visit.show(
        tx,
        "Make a role",
        &html! {
            (parts::crumbs(&[(&list, "Roles")]))
            (form.summary())
            (head("Make a role", "A group of people whom projects are opened to together.", None))
            (form.render())
        },
    )
}

fn make(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    sessions::require_recent_login(visit)?;
    let here = visit.here(tx)?;
    let (id, _) = roles::create(visit, tx, here.at, visit.filled())?;
    Ok(visit.done(&path(&here, id), Said::RoleMade))
}

fn find(visit: &Visit, tx: &Tx, here: &Here) -> Result<Loaded> {
    roles::load(visit, tx, here.at, visit.id("id")?)
}

fn show(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let here = visit.here(tx)?;
    let role = find(visit, tx, &here)?;
    let is_admin = here.is(Level::Admin);
    let name = &role.role.name;
    let base = path(&here, role.id);
    let add = format!("{base}/add");
    let form = Form::new(Some(visit.token()))
        .fields(roles::FIELDS, &["name"])
        .show(json!({"name": name}))
        .refused(visit.refused())
        .button("Save");
    visit.show(
        tx,
        &format!("Role {name}"),
        &html! {
            (parts::crumbs(&[(&here.path("roles"), "Roles")]))
            (form.summary())
            (head(name, html! {
                (counted(role.members.len() as u64, "person", "people"))
                @if role.is_default { " " (default_tag()) }
            }, is_admin.then_some((add.as_str(), "Add a person"))))
            (section("People", people(visit, &here, &role, is_admin.then_some(add.as_str()))))
            (section("Projects", opened(visit, tx, &here, role.id)?))
            @if is_admin {
                (section("Name", form.render()))
                (parts::danger_zone(&[Danger {
                    title: "Delete this role",
                    text: "The access that only this role gives ends at once. The people stay.",
                    path: &format!("{base}/delete"),
                    deed: "Delete role",
                }]))
            }
        },
    )
}

fn people(visit: &Visit, here: &Here, role: &Loaded, add: Option<&str>) -> Markup {
    if role.members.is_empty() {
        let action = add.map(|path| (path, "Add a person"));
        return empty(
            "Nobody is in this role",
            "Whoever is in it gets into the projects that it opens.",
            action,
        );
    }
    let base = path(here, role.id);
    let line = |row: &role_memberships::Row| {
        let name = row.member.user.full_name();
        let out = format!("{base}/members/{}/remove", row.id);
        [
            parts::name(&name, &row.member.user.email),
            html! { (words::level(row.member.member.level)) },
            day(row.membership.joined_at),
            html! { @if add.is_some() { (parts::deed(&out, visit.token(), "Take out", &name, Look::Plain)) } },
        ]
    };
    let total = role.members.len() as u64;
    let paging = Paging::by(visit, LINES);
    let page = paging.cut(role.members.iter().collect::<Vec<_>>());
    html! {
        (table("People in this role", &["Name", "Level", "Added", ""], page.into_iter().map(line)))
        (pager(&visit.address(), Shown { total, limit: paging.limit, offset: paging.offset }))
    }
}

/// The projects of which a rule names the role, as far as the person sees them.
fn opened(visit: &Visit, tx: &Tx, here: &Here, role: RoleId) -> Result<Markup> {
    let seen = projects::visible_in(tx, here.at.id, visit.user()?, here.at.level)?;
    let mut lines = Vec::new();
    for entry in access_controls::of_projects(tx, here.at.id)? {
        let named = seen.iter().find(|project| project.id == entry.project);
        let (Some(project), true) = (named, entry.subject == Subject::Role(role)) else { continue };
        let base = format!("/project/{}", project.id);
        lines.push([
            html! { a href=(base) { (project.name) } },
            html! { (entry.level.map_or("No access", words::level)) },
        ]);
    }
    Ok(if lines.is_empty() {
        html! { p.soft { "No project has a rule for this role. Set one on the access page of a project." } }
    } else {
        table("Projects with a rule for this role", &["Project", "Access"], lines)
    })
}

fn rename(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    sessions::require_recent_login(visit)?;
    let here = visit.here(tx)?;
    let id = visit.id("id")?;
    roles::update(visit, tx, here.at, id, visit.changed())?;
    Ok(visit.done(&path(&here, id), Said::Saved))
}

fn ask(visit: &Visit, tx: &Tx) -> Result<Reply> {
    sessions::require_recent_login(visit)?;
    let here = visit.here(tx)?;
    here.at.require(Level::Admin)?;
    let role = find(visit, tx, &here)?;
    let question = format!("Delete the role {}?", role.role.name);
    let confirm = Confirm {
        question: &question,
        lost: vec![
            html! { "The role, and the access to projects that only it gives, at once." },
            html! { "Exports of people who lose a project with it are paused." },
        ],
        kept: vec![html! {
            (counted(role.members.len() as u64, "person", "people")) ", with the access that they have otherwise."
        }],
        deed: "Delete role",
        cancel: &path(&here, role.id),
        token: visit.token(),
        ..Confirm::default()
    };
    visit.show(tx, &question, &confirm.render())
}

fn remove(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    sessions::require_recent_login(visit)?;
    let here = visit.here(tx)?;
    roles::remove(visit, tx, here.at, visit.id("id")?)?;
    Ok(visit.done(&here.path("roles"), Said::RoleDeleted))
}

/// A select holds no more people than this; else the address is typed.
const CHOICES_MAX: u64 = 200;
const PERSON: FieldInfo = FieldInfo::new("user_uuid", FieldKind::Uuid).required();
const ADDRESS: FieldInfo = FieldInfo::new("email", FieldKind::Email).required();

fn choose(visit: &Visit, tx: &Tx) -> Result<Reply> {
    sessions::require_recent_login(visit)?;
    let here = visit.here(tx)?;
    here.at.require(Level::Admin)?;
    let role = find(visit, tx, &here)?;
    let title = format!("Add a person to {}", role.role.name);
    let back = path(&here, role.id);
    let form = Form::new(Some(visit.token()))
        .control(person(visit, tx, &here, &role)?)
        .refused(visit.refused())
        .button("Add")
        .cancel(&back);
    visit.show(
        tx,
        &title,
        &html! {
            (parts::crumbs(&[(&here.path("roles"), "Roles"), (&back, &role.role.name)]))
            (form.summary())
            (head(&title, "They get into the projects that the role opens, at once.", None))
            (form.render())
        },
    )
}

fn person<'a>(visit: &Visit, tx: &Tx, here: &Here, role: &Loaded) -> Result<Control<'a>> {
    let paging = Paging { limit: CHOICES_MAX, offset: 0 };
    let (total, mut rows) = members::find_page(visit, tx, here.at, &Wanted::default(), paging)?;
    if total > CHOICES_MAX {
        return Ok(Control::new(ADDRESS).help("The address of a member of this organization."));
    }
    rows.retain(|row| role.members.iter().all(|of| of.membership.user != row.uuid));
    let words =
        |row: members::Row| (row.uuid.to_string(), format!("{} ({})", row.user.full_name(), row.user.email));
    Ok(Control::new(PERSON).choices(rows.into_iter().map(words)))
}

fn add(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    sessions::require_recent_login(visit)?;
    let here = visit.here(tx)?;
    here.at.require(Level::Admin)?;
    let id = visit.id("id")?;
    let email = visit.typed(ADDRESS.name);
    let person = if email.is_empty() {
        json!({"user_uuid": visit.typed(PERSON.name)})
    } else {
        let missing = || invalid(ADDRESS.name, "does_not_exist", "Nobody here has this address.");
        json!({"user_uuid": users::by_email(tx, email)?.ok_or_else(missing)?})
    };
    role_memberships::create(visit, tx, here.at, id, Input::of(&person))?;
    Ok(visit.done(&path(&here, id), Said::RoleMemberAdded))
}

/// The membership of the path.
fn membership(visit: &Visit, role: &Loaded) -> Result<usize> {
    let id = parse_uuid(visit.param("membership")).ok_or_else(not_found)?;
    role.members.iter().position(|row| row.id.0 == id).ok_or_else(not_found)
}

fn ask_out(visit: &Visit, tx: &Tx) -> Result<Reply> {
    sessions::require_recent_login(visit)?;
    let here = visit.here(tx)?;
    here.at.require(Level::Admin)?;
    let role = find(visit, tx, &here)?;
    let row = &role.members[membership(visit, &role)?];
    let question = format!("Take {} out of {}?", row.member.user.full_name(), role.role.name);
    let confirm = Confirm {
        question: &question,
        lost: vec![html! { "The access to projects that only this role gives them, at once." }],
        kept: vec![html! { "They stay a member of the organization." }],
        deed: "Take out",
        cancel: &path(&here, role.id),
        token: visit.token(),
        ..Confirm::default()
    };
    visit.show(tx, &question, &confirm.render())
}

fn take_out(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    sessions::require_recent_login(visit)?;
    let here = visit.here(tx)?;
    let (role, membership) = (visit.id("id")?, visit.id("membership")?);
    role_memberships::remove(visit, tx, here.at, (role, membership))?;
    Ok(visit.done(&path(&here, role), Said::RoleMemberRemoved))
}
