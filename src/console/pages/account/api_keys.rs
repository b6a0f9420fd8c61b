//! A person's API keys: what each may do, and its value, which is shown once.

use std::sync::Arc;

use maud::{Markup, Render, html};

use super::{OWN, key_form};
use crate::api::{Input, Reply};
use crate::app::session;
use crate::config::KEYS_MAX;
use crate::console::form::Form;
use crate::console::page::{Page, page};
use crate::console::parts::{
    self, Confirm, Tone, code, code_block, counted, day, empty, facts, head, link_to, notice, secret, table,
    time_or,
};
use crate::console::visit::Visit;
use crate::console::words::{self, Said};
use crate::error::Result;
use crate::resources::api_keys::{self, ApiKey};
use crate::resources::sessions;
use crate::store::{Tx, WriteTx};

const PATH: &str = "/settings/api-keys";
const NEW: &str = "/settings/api-keys/new";

pub(super) fn pages() -> Vec<Page> {
    let one = format!("{PATH}/{{id}}");
    vec![
        page(PATH, session(), OWN, list),
        page(NEW, session(), OWN, show_new).works(create),
        page(&one, session(), OWN, show).does(update),
        page(format!("{one}/roll"), session(), OWN, ask_to_roll).works(roll),
        page(format!("{one}/delete"), session(), OWN, ask_to_delete).does(delete),
    ]
}

fn list(visit: &Visit, tx: &Tx) -> Result<Reply> {
    sessions::require_recent_login(visit)?;
    let keys = api_keys::of_user(tx, visit.user()?)?;
    let count = u64::try_from(keys.len()).unwrap_or(u64::MAX);
    let state = format!("{} of {KEYS_MAX}", counted(count, "key", "keys"));
    let action = (keys.len() < KEYS_MAX).then_some((NEW, "New key"));
    visit.show(tx, "API keys", &html! {
        (head("API keys", state, action))
        @if keys.is_empty() {
            (empty("No keys yet", "A program that calls the API shows a key in place of your password, and may do only what the key allows.",
                Some((NEW, "Make the first key"))))
        } @else {
            (table("API keys", &["Label", "May", "Last used", "Made", ""], keys.iter().map(|(_, key)| line(key))))
        }
    })
}

fn line(key: &ApiKey) -> [Markup; 5] {
    [
        html! { span.name { (key.label) } small { (code(&key.mask)) } },
        may(key),
        time_or(key.last_used_at, "Never"),
        day(key.created_at),
        link_to(format!("{PATH}/{}", key.id), "Manage", &key.label),
    ]
}

/// What a key may do, in a few words.
fn may(key: &ApiKey) -> Markup {
    let scopes = match key.scopes.as_slice() {
        [only] if only == "*" => "Everything".to_owned(),
        [only] => only.clone(),
        many => counted(u64::try_from(many.len()).unwrap_or(u64::MAX), "scope", "scopes"),
    };
    let is_limited = !key.scoped_organizations.is_empty() || !key.scoped_projects.is_empty();
    html! { (scopes) @if is_limited { small { "in chosen places" } } }
}

fn show_new(visit: &Visit, tx: &Tx) -> Result<Reply> {
    sessions::require_recent_login(visit)?;
    let form = key_form::of_new(visit, tx)?.once(visit.once()).button("Make the key").cancel(PATH);
    visit.show(
        tx,
        "New API key",
        &html! {
            (parts::crumbs(&[(PATH, "API keys")]))
            (form.summary())
            (head("New API key", "Its value is shown once, right after.", None))
            (form.render())
        },
    )
}

async fn create(visit: Arc<Visit>) -> Result<Reply> {
    let Some(sending) = visit.begin()? else { return made_already(&visit) };
    let values = key_form::read(&visit);
    let made =
        visit.write(move |visit, tx| api_keys::create(visit, tx, visit.user()?, None, Input::of(&values)));
    let (key, value) = made.await?;
    sending.done();
    shown_once(&visit, &key, &value)
}

fn made_already(visit: &Visit) -> Result<Reply> {
    visit.app.store.read(|tx| {
        visit.show(
            tx,
            "API key",
            &html! {
                (head("This was made already", words::MADE_ALREADY, Some((PATH, "To your keys"))))
            },
        )
    })
}

/// The value of a key, in the one answer that holds it.
fn shown_once(visit: &Visit, key: &ApiKey, value: &str) -> Result<Reply> {
    let curl = format!("curl -H 'Authorization: Bearer {value}' {}/api/users/@me/", visit.origin);
    let body = html! {
        (head(&key.label, "The key is ready.", None))
        (notice(Tone::Warn, html! { p { (words::SHOWN_ONCE) } }))
        (secret("key", "API key", value))
        (code_block("curl", "A call with curl", &curl))
        p { a.button.primary href=(PATH) { "I have stored it" } }
    };
    visit.app.store.read(|tx| visit.show(tx, "API key", &body))
}

fn show(visit: &Visit, tx: &Tx) -> Result<Reply> {
    sessions::require_recent_login(visit)?;
    let key = api_keys::of_id(tx, visit.user()?, visit.param("id"))?;
    let at = format!("{PATH}/{}", key.id);
    let form = key_form::of_old(visit, tx, &key)?.button("Save").cancel(PATH);
    let (roll, delete) = (format!("{at}/roll"), format!("{at}/delete"));
    let dangers = [
        parts::Danger {
            title: "Roll the key",
            text: "It gets a new value; the old one stops working at once.",
            path: &roll,
            deed: "Roll",
        },
        parts::Danger {
            title: "Delete the key",
            text: "Programs that use it are refused at once.",
            path: &delete,
            deed: "Delete",
        },
    ];
    visit.show(
        tx,
        &key.label,
        &html! {
            (parts::crumbs(&[(PATH, "API keys")]))
            (form.summary())
            (head(&key.label, code(&key.mask), None))
            (facts([
                ("Made", day(key.created_at)),
                ("Last used", time_or(key.last_used_at, "Never")),
                ("Last rolled", time_or(key.last_rolled_at, "Never")),
            ]))
            (parts::section("What it may do", form.render()))
            (parts::danger_zone(&dangers))
        },
    )
}

fn update(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    let values = key_form::read(visit);
    let key = api_keys::update(visit, tx, visit.param("id"), Input::of(&values))?;
    Ok(visit.done(&format!("{PATH}/{}", key.id), Said::Saved))
}

fn ask_to_roll(visit: &Visit, tx: &Tx) -> Result<Reply> {
    sessions::require_recent_login(visit)?;
    let key = api_keys::of_id(tx, visit.user()?, visit.param("id"))?;
    let question = format!("Roll {}?", key.label);
    let form = Form::new(Some(visit.token())).once(visit.once()).danger("Roll the key");
    let cancel = format!("{PATH}/{}", key.id);
    let form = form.cancel(&cancel);
    visit.show(tx, &question, &html! {
        h1 dir="auto" { (question) }
        ul { li { "The value that programs use now stops working at once." } li { "Label, scopes and limits stay." } }
        (form.render())
    })
}

async fn roll(visit: Arc<Visit>) -> Result<Reply> {
    let Some(sending) = visit.begin()? else { return made_already(&visit) };
    let rolled = visit.write(|visit, tx| api_keys::roll(visit, tx, visit.param("id")));
    let (key, value) = rolled.await?;
    sending.done();
    shown_once(&visit, &key, &value)
}

fn ask_to_delete(visit: &Visit, tx: &Tx) -> Result<Reply> {
    sessions::require_recent_login(visit)?;
    let key = api_keys::of_id(tx, visit.user()?, visit.param("id"))?;
    let question = format!("Delete {}?", key.label);
    let confirm = Confirm {
        question: &question,
        lost: vec![html! { "The key: programs that use it are refused at once." }],
        deed: "Delete key",
        cancel: &format!("{PATH}/{}", key.id),
        token: visit.token(),
        ..Confirm::default()
    };
    visit.show(tx, &question, &confirm.render())
}

fn delete(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    api_keys::remove(visit, tx, visit.param("id"))?;
    Ok(visit.done(PATH, Said::KeyDeleted))
}
