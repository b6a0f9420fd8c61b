//! The tokens of a project: a new public one, and the secret one that servers show.

use maud::{Markup, Render, html};

use super::{BASE, HERE, Here};
use crate::api::{Level, Reply};
use crate::app::session;
use crate::console::form::Form;
use crate::console::page::{Page, page};
use crate::console::parts::{self, Confirm, empty, head, section};
use crate::console::visit::Visit;
use crate::console::words::Said;
use crate::error::Result;
use crate::resources::projects::{self, SecretTokens};
use crate::resources::sessions;
use crate::store::{Tx, WriteTx};

pub(super) fn pages() -> Vec<Page> {
    vec![
        page(format!("{BASE}/reset-token"), session(), HERE, ask).does(reset),
        page(format!("{BASE}/secret-token"), session(), HERE, show).does(change),
    ]
}

fn ask(visit: &Visit, tx: &Tx) -> Result<Reply> {
    sessions::require_recent_login(visit)?;
    let here = Here::of(visit, tx)?;
    here.at.require(Level::Admin)?;
    let question = format!("Reset the token of {}?", here.project.name);
    let confirm = Confirm {
        question: &question,
        lost: vec![
            html! { "The token " code { (here.project.api_token) } " stops working at once." },
            html! { "Apps and servers that send events with it are refused until they have the new one." },
        ],
        kept: vec![html! { "Events, settings and the secret token." }],
        deed: "Reset token",
        cancel: &here.path("settings"),
        token: visit.token(),
        ..Confirm::default()
    };
    visit.show(tx, &question, &confirm.render())
}

fn reset(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    sessions::require_recent_login(visit)?;
    let here = Here::of(visit, tx)?;
    projects::renew_token(visit, tx, here.at)?;
    Ok(visit.done(&here.base, Said::TokenReset))
}

fn show(visit: &Visit, tx: &Tx) -> Result<Reply> {
    sessions::require_recent_login(visit)?;
    let here = Here::of(visit, tx)?;
    let tokens = projects::secret_tokens_of(visit, tx, here.at)?;
    let (words, has_backup) =
        if tokens.current.is_some() { ("Make a new one", true) } else { ("Make a secret token", false) };
    let mut form = Form::new(Some(visit.token())).refused(visit.refused()).button_for(words, "what", "make");
    if tokens.backup.is_some() {
        form = form.button_for("End the one before", "what", "end");
    }
    visit.show(
        tx,
        &format!("Secret token of {}", here.project.name),
        &html! {
            (here.top("secret-token"))
            (form.summary())
            (head("Secret token", "Servers show it to read feature flags without a person's key.", None))
            (shown(&tokens))
            (form.render())
            @if has_backup { p.help { "The one that is good now stays good as the one before, until you end it." } }
        },
    )
}

fn shown(tokens: &SecretTokens) -> Markup {
    html! {
        @match &tokens.current {
            Some(token) => { (parts::secret("secret", "Secret token", token)) }
            None => {
                (empty("There is no secret token",
                    "Make one if your servers evaluate feature flags themselves. Never put it into an app or a page.", None))
            }
        }
        @if let Some(token) = &tokens.backup {
            (section("The one before", html! {
                (parts::secret("backup", "Token before the last change", token))
                p.help { "It is good until you end it, so that not all servers have to change at the same moment." }
            }))
        }
    }
}

fn change(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    sessions::require_recent_login(visit)?;
    let here = Here::of(visit, tx)?;
    let page = here.path("secret-token");
    if visit.typed("what") == "end" {
        projects::delete_secret_token_backup(visit, tx, here.at)?;
        return Ok(visit.done(&page, Said::TokenEnded));
    }
    projects::rotate_secret_token(visit, tx, here.at)?;
    Ok(visit.done(&page, Said::SecretTokenMade))
}
