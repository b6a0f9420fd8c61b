//! Domains of an organization: proved by a TXT record, and what they mean then.

use std::sync::Arc;

use maud::{Markup, Render, html};
use serde_json::json;

use super::{BASE, HERE, LINES};
use crate::api::{Level, Paging, Reply};
use crate::app::session;
use crate::console::form::{Control, Form};
use crate::console::frame::Here;
use crate::console::page::{Page, page};
use crate::console::parts::{
    Confirm, Danger, Shown, Tone, code, counted, crumbs, danger_zone, details, empty, facts, head, link_to,
    notice, pager, secret, section, table, tag, time_or,
};
use crate::console::visit::Visit;
use crate::console::words::Said;
use crate::error::Result;
use crate::ids::DomainId;
use crate::resources::domains::{self, Domain, FIELDS};
use crate::resources::{members, sessions, users};
use crate::store::{Tx, WriteTx};

pub(in crate::console) fn pages() -> Vec<Page> {
    let all = format!("{BASE}/domains");
    let one = format!("{all}/{{id}}");
    vec![
        page(&all, session(), HERE, list),
        page(format!("{all}/new"), session(), HERE, ask_new).does(create),
        page(&one, session(), HERE, show).works(send),
        page(format!("{one}/delete"), session(), HERE, ask).does(delete),
    ]
}

/// What the DNS has answered just now; `None` where it gave no answer.
type Answered = Option<Vec<Vec<u8>>>;

fn list(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let here = visit.here(tx)?;
    let paging = Paging::by(visit, LINES);
    let (total, rows) = domains::find_page(tx, here.at.id, paging)?;
    let new = here.path("domains/new");
    let action = here.is(Level::Admin).then_some((new.as_str(), "Add domain"));
    visit.show(
        tx,
        "Domains",
        &html! {
            (head("Domains", counted(total, "domain", "domains"), action))
            @if total == 0 {
                (empty("No domains yet",
                    "Whoever proves that a domain is theirs can let people with an address there join by themselves, \
                     and keep everybody else out.", action))
            } @else {
                (table("Domains", &["Domain", "State", "People join by themselves", ""],
                    rows.iter().map(|(id, domain)| line(&here, *id, domain))))
                (pager(&visit.address(), Shown { total, limit: paging.limit, offset: paging.offset }))
            }
        },
    )
}

fn line(here: &Here, id: DomainId, domain: &Domain) -> [Markup; 4] {
    let path = here.path(&format!("domains/{id}"));
    [
        html! { span.name { (domain.domain) } },
        state(domain),
        html! { @if domain.jit_provisioning_enabled { "Yes" } @else { "No" } },
        link_to(path, "Open", &domain.domain),
    ]
}

fn state(domain: &Domain) -> Markup {
    match domain.verified_at {
        Some(_) => tag(Tone::Good, "Verified"),
        None => tag(Tone::Plain, "Not verified yet"),
    }
}

fn ask_new(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let here = visit.here(tx)?;
    here.at.require(Level::Admin)?;
    sessions::require_recent_login(visit)?;
    let all = here.path("domains");
    let form = Form::new(Some(visit.token()))
        .field(FIELDS, "domain", Control::first)
        .refused(visit.refused())
        .button("Add domain")
        .cancel(&all);
    visit.show(
        tx,
        "Add domain",
        &html! {
            (crumbs(&[(&all, "Domains")]))
            (form.summary())
            (head("Add domain", "The next page says how to prove that it is yours.", None))
            (form.render())
        },
    )
}

fn create(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    let here = visit.here(tx)?;
    let (id, _) = domains::create(visit, tx, here.at, visit.filled())?;
    Ok(visit.done(&here.path(&format!("domains/{id}")), Said::DomainMade))
}

fn show(visit: &Visit, tx: &Tx) -> Result<Reply> {
    one(visit, tx, None)
}

fn one(visit: &Visit, tx: &Tx, answered: Option<&Answered>) -> Result<Reply> {
    let here = visit.here(tx)?;
    let id: DomainId = visit.id("id")?;
    let domain = domains::get(tx, here.at.id, id)?;
    let is_admin = here.is(Level::Admin);
    let delete = here.path(&format!("domains/{id}/delete"));
    let danger = Danger {
        title: "Remove this domain",
        text: "People with an address there no longer join by themselves. Another organization can verify it then.",
        path: &delete,
        deed: "Remove domain",
    };
    let refused = Form::new(None).refused(visit.refused());
    visit.show(
        tx,
        &domain.domain,
        &html! {
            (crumbs(&[(&here.path("domains"), "Domains")]))
            (refused.summary())
            @if let Some(answered) = answered { (answer(&domain, answered)) }
            (head(&domain.domain, state(&domain), None))
            (facts([
                ("Verified", time_or(domain.verified_at, "Not yet")),
                ("Last check", time_or(domain.last_verification_retry, "Never")),
            ]))
            @if domain.verified_at.is_none() { (proof(visit, &domain, is_admin)) }
            @else { (meaning(visit, tx, &here, &domain, is_admin)?) }
            @if is_admin { (danger_zone(&[danger])) }
        },
    )
}

/// How to prove the domain.
fn proof(visit: &Visit, domain: &Domain, is_admin: bool) -> Markup {
    let check = Form::new(Some(visit.token())).hidden("what", "check").button("Check now");
    section(
        "Prove that it is yours",
        html! {
            p { "Add a TXT record with this name and this value where the DNS of " strong { (domain.domain) } " is kept." }
            (secret("txt-name", "Name", &domain.record_name()))
            (secret("txt-value", "Value", &domain.verification_challenge))
            @if is_admin { (check.render()) }
            (mistakes(domain))
        },
    )
}

fn mistakes(domain: &Domain) -> Markup {
    let zone = &domain.domain;
    details(
        "It does not work?",
        html! {
            ul {
                li { "Many providers add the name of the zone themselves. Then the name to type is "
                    (code("_posthog-challenge")) ", and not " (code(domain.record_name())) ", which would become "
                    (code(format!("{}.{zone}", domain.record_name()))) "." }
                li { "The value stands there without quotes, spaces and line breaks around it." }
                li { "The type is TXT, not CNAME." }
                li { "A new record is seen after some minutes; one that was changed, after its time to live." }
            }
        },
    )
}

/// What the DNS has answered, where that proved nothing.
fn answer(domain: &Domain, answered: &Answered) -> Markup {
    let name = domain.record_name();
    let body = match answered {
        None => {
            html! { p.title { "The DNS gave no answer for " (name) } p { "Wait a minute and check again." } }
        }
        Some(records) if records.is_empty() => html! {
            p.title { "There is no TXT record at " (name) " yet" }
            p { "A new record is seen after some minutes." }
        },
        Some(records) => html! {
            p.title { "The DNS answered with other values for " (name) }
            ul { @for record in records.iter().take(20) { li { code dir="auto" { (shown(record)) } } } }
            p { "Wanted is " (code(&domain.verification_challenge)) "." }
        },
    };
    notice(Tone::Warn, body)
}

/// A record as text, cut where it is long.
fn shown(record: &[u8]) -> String {
    String::from_utf8_lossy(record).chars().take(300).collect()
}

/// What a verified domain means, and for whom.
fn meaning(visit: &Visit, tx: &Tx, here: &Here, domain: &Domain, is_admin: bool) -> Result<Markup> {
    let form = Form::new(Some(visit.token()))
        .hidden("what", "save")
        .field(FIELDS, "jit_provisioning_enabled", |control| control)
        .show(json!({"jit_provisioning_enabled": domain.jit_provisioning_enabled}))
        .refused(visit.refused())
        .button("Save");
    Ok(html! {
        @if is_admin { (section("Joining", form.render())) (section("Addresses elsewhere", outside(tx, here)?)) }
    })
}

/// The members whose address is under no verified domain.
fn outside(tx: &Tx, here: &Here) -> Result<Markup> {
    const SHOWN: usize = 20;
    let mut addresses = Vec::new();
    for user in members::users_of(tx, here.at.id)? {
        let email = users::find(tx, user)?.email;
        if !domains::admits(tx, here.at.id, &email)? {
            addresses.push(email);
        }
    }
    let number = addresses.len() as u64;
    Ok(html! {
        @if addresses.is_empty() { p { "Everybody here has an address under a verified domain." } }
        @else {
            p { (counted(number, "member has", "members have")) " an address under no verified domain:" }
            ul { @for address in addresses.iter().take(SHOWN) { li dir="auto" { (address) } } }
            @if addresses.len() > SHOWN { p { "and " (counted(number - SHOWN as u64, "other", "others")) "." } }
        }
    })
}

async fn send(visit: Arc<Visit>) -> Result<Reply> {
    if visit.typed("what") == "check" { check(visit).await } else { visit.write(save).await }
}

fn save(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    let here = visit.here(tx)?;
    let id: DomainId = visit.id("id")?;
    domains::update(visit, tx, here.at, id, visit.changed())?;
    Ok(visit.done(&here.path(&format!("domains/{id}")), Said::Saved))
}

/// Looks the record up between two transactions.
async fn check(visit: Arc<Visit>) -> Result<Reply> {
    let id: DomainId = visit.id("id")?;
    let domain = visit.read(|visit, tx| domains::find_to_verify(visit, tx, visit.organization()?, id))?;
    let answered = domain.look_up(&visit.app.dns).await.ok();
    let is_proved = answered.as_ref().is_some_and(|records| domain.is_proved_by(records));
    let done = visit.write(move |visit, tx| {
        let here = visit.here(tx)?;
        domains::verify(visit, tx, here.at, id, is_proved)?;
        Ok(visit.done(&here.path(&format!("domains/{id}")), Said::DomainVerified))
    });
    let done = done.await?;
    if is_proved { Ok(done) } else { visit.read(|visit, tx| one(visit, tx, Some(&answered))) }
}

fn ask(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let here = visit.here(tx)?;
    here.at.require(Level::Admin)?;
    sessions::require_recent_login(visit)?;
    let id: DomainId = visit.id("id")?;
    let domain = domains::get(tx, here.at.id, id)?;
    let question = format!("Remove {}?", domain.domain);
    let refused = Form::new(None).refused(visit.refused());
    let confirm = Confirm {
        question: &question,
        lost: vec![
            html! { "The proof that the domain is yours. Another organization can verify it from then on." },
            html! { "People with an address there no longer join by themselves." },
        ],
        kept: vec![html! { "Everybody who is a member stays one." }],
        deed: "Remove domain",
        cancel: &here.path(&format!("domains/{id}")),
        token: visit.token(),
        ..Confirm::default()
    };
    visit.show(tx, &question, &html! { (refused.summary()) (confirm) })
}

fn delete(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    let here = visit.here(tx)?;
    domains::remove(visit, tx, here.at, visit.id("id")?)?;
    Ok(visit.done(&here.path("domains"), Said::DomainDeleted))
}
