//! A forgotten password: asking for a link by mail, and choosing a new password with it.

use std::sync::Arc;

use maud::{Render, html};

use crate::api::fields::check;
use crate::api::{Reply, Within};
use crate::app::public;
use crate::console::form::{Control, Form};
use crate::console::page::{Page, page};
use crate::console::parts::head;
use crate::console::refusal::LOG_IN;
use crate::console::visit::Visit;
use crate::console::words::Said;
use crate::error::{Error, Result};
use crate::resources::{outbox, reset, users};
use crate::store::Tx;

const PATH: &str = "/reset";

pub(super) fn pages() -> Vec<Page> {
    vec![
        page(PATH, public(), Within::Nothing, show).works(ask),
        page("/reset/{uuid}/{token}", public(), Within::Nothing, show_link).works(choose),
    ]
}

fn show(visit: &Visit, _tx: &Tx) -> Result<Reply> {
    if !outbox::is_on(visit) {
        return Ok(visit.show_bare("Forgotten password", &html! {
            (head("Forgotten password", "This server sends no mail.", None))
            p { "Ask whoever runs it for a reset link. They make one on the page Users, or with " code { "orgd admin reset-link" } "." }
            p { a href=(LOG_IN) { "Sign in" } }
        }));
    }
    let form = Form::new(None)
        .field(reset::ASK, "email", |control| control.autocomplete("username").first())
        .refused(visit.refused())
        .button("Send the link");
    Ok(visit.show_bare(
        "Forgotten password",
        &html! {
            (form.summary())
            (head("Forgotten password", "You get a mail with a link to a new one.", None))
            (form.render())
            p { a href=(LOG_IN) { "Sign in" } }
        },
    ))
}

async fn ask(visit: Arc<Visit>) -> Result<Reply> {
    check(reset::ASK, visit.filled().value?, true, false)?;
    reset::request(&visit.app, &visit, visit.typed("email").trim().to_owned())?;
    Ok(visit.done(PATH, Said::ResetAsked))
}

fn show_link(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let looked =
        visit.id("uuid").and_then(|user| reset::look_up(&visit.app, visit, user, visit.param("token")));
    match looked {
        Ok(()) => {}
        Err(Error::Invalid { .. } | Error::NotFound(_)) => return Ok(gone(visit)),
        Err(other) => return Err(other),
    }
    let email = users::find(tx, visit.id("uuid")?)?.email;
    let form = Form::new(None)
        .of_user(&email)
        .field(reset::CHOOSE, "password", |control| {
            control.label("New password").autocomplete("new-password").first()
        })
        .refused(visit.refused())
        .button("Change password");
    Ok(visit.show_secret(
        "New password",
        &html! {
            (form.summary())
            (head("New password", "All your sessions end. A second factor stays on.", None))
            (form.render())
        },
    ))
}

/// The link was used, is too old, or was replaced by a newer one: here is the form for another.
fn gone(visit: &Visit) -> Reply {
    let form = Form::new(None).to(PATH).field(reset::ASK, "email", Control::first).button("Send a new link");
    let page = visit.show_secret("This link does not work any more", &html! {
        (head("This link does not work any more", "It works once, for one hour, until you ask for another.", None))
        (form.render())
    });
    Reply { status: 410, ..page }
}

async fn choose(visit: Arc<Visit>) -> Result<Reply> {
    let user = visit.id("uuid")?;
    let password = visit.typed("password").to_owned();
    reset::complete(&visit.app, &visit, user, visit.param("token"), password).await?;
    Ok(visit.done(LOG_IN, Said::PasswordReset))
}
