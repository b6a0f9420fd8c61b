//! Proving that an address is one's own, by a link in a mail.

use std::sync::Arc;

use maud::{Render, html};

use crate::api::caller::SecondStep;
use crate::api::{Reply, Within};
use crate::app::public;
use crate::auth::cookies;
use crate::console::form::Form;
use crate::console::page::{Page, page};
use crate::console::parts::head;
use crate::console::refusal::LOG_IN;
use crate::console::visit::Visit;
use crate::console::words::Said;
use crate::error::{Error, Result};
use crate::resources::addresses;
use crate::resources::sessions::Browser;
use crate::store::Tx;

pub(super) fn pages() -> Vec<Page> {
    vec![
        page("/verify_email/{uuid}", public(), Within::Nothing, show).works(send_again),
        page("/verify_email/{uuid}/{token}", public(), Within::Nothing, show_link).works(confirm),
    ]
}

fn show(visit: &Visit, _tx: &Tx) -> Result<Reply> {
    let form = Form::new(visit.csrf.as_deref()).refused(visit.refused()).button("Send the mail again");
    Ok(visit.show_bare(
        "Look into your mail",
        &html! {
            (form.summary())
            (head("Look into your mail", "Open the link in it to confirm your address.", None))
            p { "Nothing there? Look into the spam folder, or wait a minute." }
            (form.render())
            p { a href=(LOG_IN) { "Sign in" } }
        },
    ))
}

async fn send_again(visit: Arc<Visit>) -> Result<Reply> {
    addresses::request(&visit.app, &visit, visit.id("uuid")?)?;
    Ok(visit.done(&visit.path, Said::MailSent))
}

fn show_link(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let found = visit.id("uuid").and_then(|user| addresses::confirms(visit, tx, user, visit.param("token")));
    let address = match found {
        Ok(address) => address,
        Err(Error::Invalid { .. } | Error::NotFound(_)) => return Ok(gone(visit)),
        Err(other) => return Err(other),
    };
    let form = Form::new(visit.csrf.as_deref()).refused(visit.refused()).button("Confirm address");
    Ok(visit.show_secret(
        "Confirm your address",
        &html! {
            (form.summary())
            (head("Confirm your address", html! { "Is " strong { (address) } " yours?" }, None))
            (form.render())
        },
    ))
}

fn gone(visit: &Visit) -> Reply {
    let path = format!("/verify_email/{}", visit.param("uuid"));
    let form = Form::new(visit.csrf.as_deref()).to(&path).button("Send a new link");
    let page = visit.show_secret(
        "This link does not work any more",
        &html! {
            (head("This link does not work any more", "It was used, or is older than three days.", None))
            (form.render())
            p { a href=(LOG_IN) { "Sign in" } }
        },
    );
    Reply { status: 410, ..page }
}

async fn confirm(visit: Arc<Visit>) -> Result<Reply> {
    let user = visit.id("uuid")?;
    let browser = Browser::of(&visit);
    let entered = addresses::verify(&visit.app, &visit, &browser, user, visit.param("token")).await?;
    let next = if entered.second_step == SecondStep::Awaited { "/login/2fa" } else { "/" };
    cookies::set(&visit, &entered.token, visit.done(next, Said::AddressConfirmed))
}
