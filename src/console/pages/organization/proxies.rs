//! Proxies of an organization: names that lead here, and how far they are.

use std::sync::Arc;

use maud::{Markup, Render, html};

use super::{BASE, HERE, LINES};
use crate::api::{Level, Paging, Reply};
use crate::app::session;
use crate::console::form::{Control, Form};
use crate::console::frame::Here;
use crate::console::page::{Page, page};
use crate::console::parts::{
    Confirm, Danger, Shown, Tone, crumbs, danger_zone, empty, facts, grouped, head, link_to, name, notice,
    pager, secret, section, table, tag, time, time_or,
};
use crate::console::visit::Visit;
use crate::console::words::Said;
use crate::error::{Error, Result, invalid_body, invalid_choice};
use crate::ids::ProxyRecordId;
use crate::resources::proxy_records::{
    self, Check, Diagnosis, FIELDS, Outcome, ProxyRecord, RECORDS_MAX, Status,
};
use crate::resources::sessions;
use crate::store::{Tx, WriteTx};

pub(in crate::console) fn pages() -> Vec<Page> {
    let all = format!("{BASE}/proxies");
    let one = format!("{all}/{{id}}");
    vec![
        page(&all, session(), HERE, list),
        page(format!("{all}/new"), session(), HERE, ask_new).does(create),
        page(&one, session(), HERE, show).works(send),
        page(format!("{one}/delete"), session(), HERE, ask).does(delete),
    ]
}

fn list(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let here = visit.here(tx)?;
    let paging = Paging::by(visit, LINES);
    let (total, rows) = proxy_records::find_page(tx, here.at.id, paging)?;
    let new = here.path("proxies/new");
    let may_add = here.is(Level::Admin) && total < RECORDS_MAX;
    let action = may_add.then_some((new.as_str(), "Add proxy"));
    let state = format!("{} of at most {}", grouped(total), grouped(RECORDS_MAX));
    visit.show(
        tx,
        "Proxies",
        &html! {
            (head("Proxies", state, action))
            @if total == 0 {
                (empty("No proxies yet",
                    "With a name of your own in front, such as e.example.com, fewer events are lost to blockers.",
                    action))
            } @else {
                (table("Proxies", &["Name", "State", "Next look", ""],
                    rows.iter().map(|(id, record)| line(&here, *id, record))))
                (pager(&visit.address(), Shown { total, limit: paging.limit, offset: paging.offset }))
            }
        },
    )
}

fn line(here: &Here, id: ProxyRecordId, record: &ProxyRecord) -> [Markup; 4] {
    let path = here.path(&format!("proxies/{id}"));
    [
        name(&record.domain, record.message.as_deref().unwrap_or_default()),
        state(record),
        time_or(record.next_look_at, "None"),
        link_to(path, "Open", &record.domain),
    ]
}

fn state(record: &ProxyRecord) -> Markup {
    let (tone, word) = match record.status {
        Status::Waiting => (Tone::Plain, "Waits for the CNAME"),
        Status::Issuing => (Tone::Warn, "Waits for TLS"),
        Status::Valid => (Tone::Good, "Works"),
        Status::Warning => (Tone::Warn, "Works, with a warning"),
        Status::Erroring => (Tone::Bad, "Does not work"),
        Status::Deleting => (Tone::Plain, "Is being deleted"),
        Status::TimedOut => (Tone::Bad, "Given up"),
    };
    tag(tone, word)
}

fn ask_new(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let here = visit.here(tx)?;
    here.at.require(Level::Admin)?;
    sessions::require_recent_login(visit)?;
    let all = here.path("proxies");
    let form = Form::new(Some(visit.token()))
        .field(FIELDS, "domain", |control: Control<'_>| {
            control.label("Name").help("A name below a domain of yours, such as e.example.com.").first()
        })
        .refused(visit.refused())
        .button("Add proxy")
        .cancel(&all);
    visit.show(
        tx,
        "Add proxy",
        &html! {
            (crumbs(&[(&all, "Proxies")]))
            (form.summary())
            (head("Add proxy", "The next page says where the name has to lead.", None))
            (form.render())
        },
    )
}

fn create(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    let here = visit.here(tx)?;
    let (id, _) = proxy_records::create(visit, tx, here.at, visit.filled())?;
    Ok(visit.done(&here.path(&format!("proxies/{id}")), Said::ProxyMade))
}

fn show(visit: &Visit, tx: &Tx) -> Result<Reply> {
    one(visit, tx, None)
}

fn one(visit: &Visit, tx: &Tx, diagnosis: Option<&Diagnosis>) -> Result<Reply> {
    let here = visit.here(tx)?;
    let id: ProxyRecordId = visit.id("id")?;
    let record = proxy_records::get(tx, here.at.id, id)?;
    let is_admin = here.is(Level::Admin);
    let delete = here.path(&format!("proxies/{id}/delete"));
    let danger = Danger {
        title: "Delete this proxy",
        text: "The name no longer leads here. Programs that send events to it lose them.",
        path: &delete,
        deed: "Delete proxy",
    };
    let refused = Form::new(None).refused(visit.refused());
    visit.show(
        tx,
        &record.domain,
        &html! {
            (crumbs(&[(&here.path("proxies"), "Proxies")]))
            (refused.summary())
            (head(&record.domain, state(&record), None))
            @if let Some(message) = record.message.as_ref().filter(|message| !message.is_empty()) {
                (notice(Tone::Warn, html! { p { (message) } }))
            }
            (facts([
                ("Last change", time(record.updated_at)),
                ("Next look", time_or(record.next_look_at, "None")),
            ]))
            (section("Where the name leads", html! {
                p { "Set the CNAME of " strong { (record.domain) } " to this name, where your DNS is kept." }
                (secret("cname", "CNAME", &record.target_cname))
            }))
            @if is_admin { (deeds(visit, &record)) }
            @if let Some(diagnosis) = diagnosis { (section("Diagnosis", found(diagnosis))) }
            @if is_admin && record.status != Status::Deleting { (danger_zone(&[danger])) }
        },
    )
}

fn deeds(visit: &Visit, record: &ProxyRecord) -> Markup {
    let form = Form::new(Some(visit.token()));
    let form =
        if proxy_records::may_retry(record) { form.button_for("Retry", "what", "retry") } else { form };
    form.button_for("Diagnose", "what", "diagnose").render()
}

/// What was checked, with what to do.
fn found(diagnosis: &Diagnosis) -> Markup {
    html! {
        p.soft { "Checked " (time(diagnosis.ran_at)) }
        (table("Checks", &["Check", "Result", "What to do"], diagnosis.checks.iter().map(check)))
    }
}

fn check(check: &Check) -> [Markup; 3] {
    let (tone, word) = match check.status {
        Outcome::Skipped => (Tone::Plain, "Skipped"),
        Outcome::Passed => (Tone::Good, "Passed"),
        Outcome::Warned => (Tone::Warn, "Warning"),
        Outcome::Failed => (Tone::Bad, "Failed"),
    };
    [
        name(check.name, &check.detail),
        tag(tone, word),
        html! {
            @match &check.remediation {
                Some(remediation) => span.name { (remediation.summary) },
                None => span.soft { "Nothing" },
            }
        },
    ]
}

async fn send(visit: Arc<Visit>) -> Result<Reply> {
    match visit.typed("what") {
        "retry" => visit.write(retry).await,
        "diagnose" => diagnose(visit).await,
        other => Err(invalid_choice("what", other)),
    }
}

fn retry(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    let here = visit.here(tx)?;
    let id: ProxyRecordId = visit.id("id")?;
    proxy_records::retry(visit, tx, here.at, id)?;
    Ok(visit.done(&here.path(&format!("proxies/{id}")), Said::ProxyRetried))
}

async fn diagnose(visit: Arc<Visit>) -> Result<Reply> {
    let id: ProxyRecordId = visit.id("id")?;
    let record =
        visit.read(|visit, tx| proxy_records::get(tx, visit.organization()?.require(Level::Admin)?, id))?;
    let diagnosis = match proxy_records::diagnose(&visit.app, &visit.ctx, id, &record).await {
        Err(Error::Throttled { retry_after_seconds }) => {
            let detail = format!("The checks were run just now. Wait {retry_after_seconds} seconds.");
            return Err(invalid_body("throttled", detail));
        }
        diagnosis => diagnosis?,
    };
    visit.read(|visit, tx| one(visit, tx, Some(&diagnosis)))
}

fn ask(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let here = visit.here(tx)?;
    here.at.require(Level::Admin)?;
    sessions::require_recent_login(visit)?;
    let id: ProxyRecordId = visit.id("id")?;
    let record = proxy_records::get(tx, here.at.id, id)?;
    let question = format!("Delete {}?", record.domain);
    let confirm = Confirm {
        question: &question,
        lost: vec![html! { "The name no longer leads here. Programs that send events to it lose them." }],
        kept: vec![html! { "Your DNS: remove the CNAME there as well." }],
        deed: "Delete proxy",
        cancel: &here.path(&format!("proxies/{id}")),
        token: visit.token(),
        ..Confirm::default()
    };
    visit.show(tx, &question, &confirm.render())
}

fn delete(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    let here = visit.here(tx)?;
    proxy_records::remove(visit, tx, here.at, visit.id("id")?)?;
    Ok(visit.done(&here.path("proxies"), Said::ProxyDeleted))
}
