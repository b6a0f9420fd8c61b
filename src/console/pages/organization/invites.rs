//! Invites: who is awaited, how to let more people in, and how to pass a link on.

use std::collections::HashSet;

use maud::{Markup, Render, html};
use serde_json::{Map, Value, json};

use super::{BASE, HERE, LINES};
use crate::api::fields::{FieldInfo, FieldKind};
use crate::api::level::LEVELS;
use crate::api::{Input, Level, Paging, Reply};
use crate::app::session;
use crate::config::{BULK_INVITES_MAX, INVITE_SECONDS};
use crate::console::form::{Control, Form, lines};
use crate::console::frame::{Here, to};
use crate::console::page::{Page, page};
use crate::console::parts::{
    self, Confirm, Danger, Shown, Tone, counted, empty, facts, head, link_to, pager, search, table, tag, time,
};
use crate::console::visit::Visit;
use crate::console::words::{self, Said};
use crate::error::{Error, Result, denied, invalid};
use crate::ids::InviteId;
use crate::resources::invites::{self, Invite, Row};
use crate::resources::organizations;
use crate::store::{Tx, WriteTx};

pub(super) fn pages() -> Vec<Page> {
    let all = format!("{BASE}/invites");
    let one = format!("{all}/{{id}}");
    vec![
        page(&all, session(), HERE, list),
        page(format!("{all}/new"), session(), HERE, offer).does(make),
        page(&one, session(), HERE, show).does(act),
        page(format!("{one}/delete"), session(), HERE, ask).does(remove),
    ]
}

fn list(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let here = visit.here(tx)?;
    let paging = Paging::by(visit, LINES);
    let text = visit.query("q").unwrap_or_default();
    let (total, rows) = invites::find_page(visit, tx, here.at, text, paging)?;
    let all = here.path("invites");
    let new = here.path("invites/new");
    let may_invite = organizations::can_invite(tx, here.at)?;
    let action = may_invite.then_some((new.as_str(), "Invite people"));
    let state = counted(total, "invite", "invites");
    visit.show(
        tx,
        "Invites",
        &html! {
            (head("Invites", state, action))
            @if total > LINES || !text.is_empty() { (search("Search invites", "E-mail", text)) }
            @if rows.is_empty() && text.is_empty() {
                (empty("Nobody is awaited",
                    "Invites that were sent and not accepted yet stand here. Each has a link that you can pass on.",
                    action))
            } @else if rows.is_empty() {
                (empty("Nothing found", "No address contains this text.", Some((&all, "Show all invites"))))
            } @else {
                (table("Invites", &["Address", "Level", "Sent by", "Sent", "State", ""],
                    rows.iter().map(|row| line(visit, &here, row))))
                (pager(&visit.address(), Shown { total, limit: paging.limit, offset: paging.offset }))
            }
        },
    )
}

fn line(visit: &Visit, here: &Here, row: &Row) -> [Markup; 6] {
    let invite = &row.invite;
    [
        html! { span.name { (invite.target_email) } @if !invite.first_name.is_empty() { small { (invite.first_name) } } },
        html! { (words::level(invite.level)) },
        sender(row),
        time(invite.created_at),
        state(visit, invite),
        link_to(
            here.path(&format!("invites/{}", row.id)),
            "Open",
            &format!("the invite of {}", invite.target_email),
        ),
    ]
}

fn sender(row: &Row) -> Markup {
    html! { @if let Some(user) = &row.sender { (user.full_name()) } @else { span.soft { "Somebody" } } }
}

fn state(visit: &Visit, invite: &Invite) -> Markup {
    if invite.is_expired(visit.now) { tag(Tone::Warn, "Expired") } else { tag(Tone::Good, "Open") }
}

/// The addresses of a text area.
const ADDRESSES: FieldInfo =
    FieldInfo::new("addresses", FieldKind::Text { chars_max: Some(20_000) }).required();
/// The projects of boxes.
const PROJECTS: FieldInfo =
    FieldInfo::new("private_project_access", FieldKind::Texts { chars_max: None, nullable_items: false });

fn offer(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let here = visit.here(tx)?;
    organizations::may_invite(tx, here.at)?;
    let levels = LEVELS.iter().filter_map(|number| Level::of(*number)).filter(|level| here.is(*level));
    let choices: Vec<_> = levels.map(|level| (level.number().to_string(), words::level(level))).collect();
    let sends_mail = visit.config.sends_mail();
    let mut form = Form::new(Some(visit.token()))
        .control(Control::new(ADDRESSES).first())
        .field(invites::FIELDS, "level", |control| control.choices(choices))
        .field(invites::FIELDS, "message", |control| control);
    let projects = invites::giveable_projects(visit, tx, here.at)?;
    if !projects.is_empty() {
        let choices = projects.into_iter().map(|project| (project.id.to_string(), project.name));
        form = form.control(Control::new(PROJECTS).choices(choices));
    }
    if sends_mail {
        form = form.field(invites::FIELDS, "send_email", |control| control);
    }
    let list = here.path("invites");
    let form = form
        .show(json!({"level": "1", "send_email": true}))
        .refused(visit.refused())
        .button("Invite")
        .cancel(&list);
    visit.show(
        tx,
        "Invite people",
        &html! {
            (parts::crumbs(&[(&list, "Invites")]))
            (form.summary())
            (head("Invite people", "Each gets a link that is good for three days.", None))
            @if !sends_mail {
                (parts::notice(Tone::Warn, html! {
                    p { "This server sends no e-mails. You get a link for each person and pass it on yourself." }
                }))
            }
            (form.render())
        },
    )
}

fn make(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    let here = visit.here(tx)?;
    organizations::may_invite(tx, here.at)?;
    let addresses = lines(visit.typed(ADDRESSES.name));
    if addresses.is_empty() {
        return Err(invalid(ADDRESSES.name, "required", "This field is required."));
    }
    if addresses.len() > BULK_INVITES_MAX {
        let detail = format!("At most {BULK_INVITES_MAX} at once; there are {}.", addresses.len());
        return Err(invalid(ADDRESSES.name, "max_length", detail));
    }
    let mut seen = HashSet::new();
    let mut made: Vec<InviteId> = Vec::new();
    for (place, address) in addresses.into_iter().enumerate() {
        if !seen.insert(address.to_lowercase()) {
            continue;
        }
        let body = wanted(visit, address);
        let (id, _) = invites::create(visit, tx, here.at, Input::of(&body))
            .map_err(|error| in_line(error, place + 1, address))?;
        made.push(id);
    }
    Ok(match made.as_slice() {
        [id] => visit.done(&here.path(&format!("invites/{id}")), Said::InviteMade),
        _ => visit.done(&here.path("invites"), Said::InvitesMade),
    })
}

/// One invite of those that were typed.
fn wanted(visit: &Visit, address: &str) -> Value {
    let mut body = Map::new();
    body.insert("target_email".into(), address.into());
    for name in ["level", "message", "send_email"] {
        let typed = visit.typed(name);
        if !typed.is_empty() {
            body.insert(name.into(), typed.into());
        }
    }
    let project = |id: &str| json!({"id": id.parse::<u32>().ok(), "level": "member"});
    let projects: Vec<Value> = visit.typed_all(PROJECTS.name).into_iter().map(project).collect();
    body.insert(PROJECTS.name.into(), projects.into());
    Value::Object(body)
}

/// The same error, which says whose line is wrong.
fn in_line(error: Error, line: usize, address: &str) -> Error {
    match &error {
        Error::Invalid { attr, detail, .. } if attr.as_ref().is_none_or(|attr| *attr == "target_email") => {
            invalid(ADDRESSES.name, "invalid_input", format!("Line {line}, {address}: {detail}"))
        }
        Error::Denied { code, detail } if *code == "permission_denied" => {
            denied(format!("Line {line}, {address}: {detail}"))
        }
        _ => error,
    }
}

fn show(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let here = visit.here(tx)?;
    let row = invites::load(visit, tx, here.at, visit.id("id")?)?;
    let invite = &row.invite;
    let title = format!("Invite of {}", invite.target_email);
    let form = actions(visit, tx, &here, invite)?;
    let until = invite.created_at.plus_seconds(INVITE_SECONDS);
    visit.show(
        tx,
        &title,
        &html! {
            (parts::crumbs(&[(&here.path("invites"), "Invites")]))
            @if let Some(form) = &form { (form.summary()) }
            (head(&title, state(visit, invite), None))
            (link(visit, tx, &here, &row)?)
            (facts([
                ("Level", html! { (words::level(invite.level)) }),
                ("Sent by", sender(&row)),
                ("Sent", time(invite.created_at)),
                ("Good until", time(until)),
                ("E-mail", html! { @if invite.emailing_attempt_made { "Sent" } @else { "Not sent" } }),
                ("Message", html! { @if let Some(text) = &invite.message { (text) } @else { span.soft { "None" } } }),
            ]))
            @if let Some(form) = form { (form.render()) }
            (revoking(visit, &here, &row)?)
        },
    )
}

/// The link, for those who may pass it on.
fn link(visit: &Visit, tx: &Tx, here: &Here, row: &Row) -> Result<Markup> {
    if row.invite.is_expired(visit.now) {
        return Ok(html! { p { "The link has expired. Renew the invite to get a new one." } });
    }
    let found = match invites::link_of(visit, tx, here.at, row.id) {
        Ok(link) => link,
        Err(Error::Denied { .. }) => return Ok(Markup::default()),
        Err(Error::Invalid { detail, .. }) => return Ok(parts::notice(Tone::Warn, html! { p { (detail) } })),
        Err(other) => return Err(other),
    };
    Ok(html! {
        (parts::secret("link", "Link to pass on", &found))
        p.help { "Whoever has this link can join, so give it to this person only." }
    })
}

/// What can be done with the invite by those who could send it themselves.
fn actions<'a>(visit: &'a Visit, tx: &Tx, here: &Here, invite: &Invite) -> Result<Option<Form<'a>>> {
    if !invites::may_send_again(visit, tx, here.at, invite)? {
        return Ok(None);
    }
    let mut form = Form::new(Some(visit.token())).refused(visit.refused());
    if visit.config.sends_mail() && !invite.is_expired(visit.now) {
        form = form.button_for("Send again", "what", "send");
    }
    Ok(Some(form.button_for("Renew", "what", "renew")))
}

fn revoking(visit: &Visit, here: &Here, row: &Row) -> Result<Markup> {
    if !invites::may_remove(visit, here.at, &row.invite)? {
        return Ok(Markup::default());
    }
    let path = here.path(&format!("invites/{}/delete", row.id));
    let danger = Danger {
        title: "Revoke this invite",
        text: "Its link stops working at once.",
        path: &path,
        deed: "Revoke",
    };
    Ok(parts::danger_zone(&[danger]))
}

fn act(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    let here = visit.here(tx)?;
    let id = invites::load(visit, tx, here.at, visit.id("id")?)?.id;
    if visit.typed("what") == "renew" {
        let new = invites::renew(visit, tx, here.at, id)?;
        return Ok(visit.done(&here.path(&format!("invites/{new}")), Said::InviteRenewed));
    }
    invites::send_again(visit, tx, here.at, id)?;
    Ok(visit.done(&here.path(&format!("invites/{id}")), Said::InviteSent))
}

fn ask(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let here = visit.here(tx)?;
    let row = invites::load(visit, tx, here.at, visit.id("id")?)?;
    let back = here.path(&format!("invites/{}", row.id));
    if !invites::may_remove(visit, here.at, &row.invite)? {
        return Ok(to(&back));
    }
    let question = format!("Revoke the invite of {}?", row.invite.target_email);
    let confirm = Confirm {
        question: &question,
        lost: vec![html! { "The link stops working at once, also in the mail that was sent." }],
        kept: vec![html! { "You can invite the same address again." }],
        deed: "Revoke invite",
        cancel: &back,
        token: visit.token(),
        ..Confirm::default()
    };
    visit.show(tx, &question, &confirm.render())
}

fn remove(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    let here = visit.here(tx)?;
    let id = invites::load(visit, tx, here.at, visit.id("id")?)?.id;
    invites::remove(visit, tx, here.at, id)?;
    Ok(visit.done(&here.path("invites"), Said::InviteRevoked))
}
