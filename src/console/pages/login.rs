//! Signing in: the password, the code, and the password once more for what is sensitive.

use std::sync::Arc;

use maud::{Render, html};

use crate::api::caller::SecondStep;
use crate::api::fields::check;
use crate::api::{Reply, Within};
use crate::app::{public, session};
use crate::auth::cookies;
use crate::console::form::Form;
use crate::console::frame::to;
use crate::console::page::{Page, page};
use crate::console::parts::head;
use crate::console::refusal::{LOG_IN, LOG_IN_AGAIN, with_next};
use crate::console::visit::Visit;
use crate::error::{Error, Result, invalid_body};
use crate::resources::sessions::{self, Browser};
use crate::resources::{two_factor, users};
use crate::store::Tx;

/// Where the code of the second step is given.
const CODE: &str = "/login/2fa";

pub(super) fn pages() -> Vec<Page> {
    vec![
        page(LOG_IN, public(), Within::Nothing, show).works(log_in),
        page(CODE, public(), Within::Nothing, show_code).works(give_code),
        page(LOG_IN_AGAIN, session(), Within::Nothing, show_again)
            .works(log_in_again)
            .without_second_factor(),
    ]
}

fn show(visit: &Visit, tx: &Tx) -> Result<Reply> {
    if users::none_yet(tx)? {
        return Ok(to("/setup"));
    }
    if visit.actor.caller().is_some() {
        return Ok(to(visit.next()));
    }
    let form = Form::new(None)
        .field(sessions::LOGIN, "email", |control| control.autocomplete("username").first())
        .field(sessions::LOGIN, "password", |control| control.autocomplete("current-password").help(""))
        .refused(visit.refused())
        .button("Sign in");
    Ok(visit.show_bare(
        "Sign in",
        &html! {
            (form.summary())
            (head("Sign in", "", None))
            (form.render())
            p { a href="/reset" { "Forgotten your password?" } }
            @if visit.config.open_signup { p { a href="/signup" { "Make an account" } } }
        },
    ))
}

async fn log_in(visit: Arc<Visit>) -> Result<Reply> {
    let (email, password) = (visit.typed("email").trim(), visit.typed("password"));
    check(sessions::LOGIN, visit.filled().value?, true, false)?;
    let browser = Browser::of(&visit);
    let entered =
        sessions::log_in_with_password(&visit.app, &visit, &browser, email, password.to_owned()).await;
    let entered = entered.map_err(on_the_form)?;
    let next = match entered.second_step {
        SecondStep::Awaited => with_next(CODE, visit.next()),
        _ => visit.next().to_owned(),
    };
    cookies::set(&visit, &entered.token, to(&next))
}

/// Whoever was locked out reads so beside what they typed.
fn on_the_form(error: Error) -> Error {
    match error {
        Error::Denied { code: code @ "too_many_failed_attempts", detail } => invalid_body(code, detail),
        other => other,
    }
}

fn show_code(visit: &Visit, tx: &Tx) -> Result<Reply> {
    if visit.actor.caller().is_some() {
        return Ok(to(visit.next()));
    }
    if !two_factor::is_awaited(visit, tx, &Browser::of(visit))? {
        return Ok(to(&with_next(LOG_IN, visit.next())));
    }
    let form = Form::new(None)
        .field(two_factor::STEP, "token", |control| control.first())
        .refused(visit.refused())
        .button("Go on");
    Ok(visit.show_bare(
        "Second step",
        &html! {
            (form.summary())
            (head("Second step", "Your password was right. Now the code.", None))
            (form.render())
            p { a href=(LOG_IN) { "Start again" } }
        },
    ))
}

async fn give_code(visit: Arc<Visit>) -> Result<Reply> {
    let browser = Browser::of(&visit);
    let code = visit.typed("token").trim().to_owned();
    let entered = two_factor::log_in(&visit.app, &visit, &browser, code).await;
    let entered = entered.map_err(|error| error.about("token"))?;
    cookies::set(&visit, &entered.token, to(visit.next()))
}

fn show_again(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let user = visit.user()?;
    let email = users::find(tx, user)?.email;
    let mut form =
        Form::new(Some(visit.token())).of_user(&email).field(sessions::LOGIN, "password", |control| {
            control.autocomplete("current-password").help("").first()
        });
    if two_factor::is_enabled(tx, user)? {
        form = form.field(two_factor::STEP, "token", |control| control);
    }
    let form = form.refused(visit.refused()).button("Go on");
    Ok(visit.show_bare("Your password again", &html! {
        (form.summary())
        (head("Your password again", html! { "This step is sensitive, so please show that you are " strong { (email) } "." }, None))
        (form.render())
        p { a href="/" { "Go to the start page" } }
    }))
}

async fn log_in_again(visit: Arc<Visit>) -> Result<Reply> {
    let browser = Browser::of(&visit);
    let password = visit.typed("password").to_owned();
    let code = visit.typed("token").trim().to_owned();
    let entered = two_factor::log_in_again(&visit.app, &visit, &browser, password, code).await;
    // What has no field of its own is about the code.
    let entered = entered.map_err(|error| error.about("token"))?;
    cookies::set(&visit, &entered.token, to(visit.next()))
}
