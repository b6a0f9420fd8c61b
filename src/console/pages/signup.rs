//! Becoming a user: with an organization of one's own, or by an invite.

use std::sync::Arc;

use maud::{Markup, Render, html};
use serde_json::json;

use crate::api::{Reply, Within};
use crate::app::public;
use crate::auth::cookies;
use crate::console::form::{Control, Form};
use crate::console::frame::to;
use crate::console::page::{Page, page};
use crate::console::parts::{Look, deed, head};
use crate::console::refusal::{LOG_IN, with_next};
use crate::console::visit::Visit;
use crate::console::words::{self, Said};
use crate::error::{Error, Result};
use crate::resources::invites::{self, Loaded};
use crate::resources::sessions::Browser;
use crate::resources::signup::{self, Newcomer};
use crate::resources::{organizations, users};
use crate::store::Tx;

pub(super) fn pages() -> Vec<Page> {
    vec![
        page("/signup", public(), Within::Nothing, show).works(sign_up),
        page("/signup/{token}", public(), Within::Nothing, show_invite).works(join),
    ]
}

fn show(visit: &Visit, tx: &Tx) -> Result<Reply> {
    if users::none_yet(tx)? {
        return Ok(to("/setup"));
    }
    if visit.actor.caller().is_some() {
        return Ok(to("/"));
    }
    if !visit.config.open_signup && !visit.config.jit_signup {
        return Ok(visit.show_bare(
            "Ask for an invite",
            &html! {
                (head("Ask for an invite", "Accounts are made by invite here.", None))
                p { "Somebody who is an owner or admin of your organization can invite you." }
                p { a href=(LOG_IN) { "Sign in" } }
            },
        ));
    }
    let form = Form::new(None)
        .field(signup::SIGN_UP, "first_name", Control::first)
        .fields(signup::SIGN_UP, &["last_name", "email", "password", "organization_name"])
        .refused(visit.refused())
        .button("Make an account");
    Ok(visit.show_bare(
        "Make an account",
        &html! {
            (form.summary())
            (head("Make an account", "", None))
            (form.render())
            p { "You have one already? " a href=(LOG_IN) { "Sign in" } }
        },
    ))
}

async fn sign_up(visit: Arc<Visit>) -> Result<Reply> {
    let entered = signup::sign_up(&visit.app, &visit, &Newcomer::of(&visit), visit.values()).await?;
    cookies::set(&visit, &entered.token, visit.done("/", Said::OrganizationMade))
}

fn show_invite(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let token = visit.param("token");
    // Wrong tokens are counted, so that nobody can try many.
    let found = signup::look_up(&visit.app, visit, token).and_then(|()| signup::usable(visit, tx, token));
    match found {
        Ok(invite) => offer(visit, tx, &invite),
        Err(Error::Invalid { code, .. }) => match code {
            "user_already_member" => Ok(to("/")),
            "account_exists" => Ok(to(&with_next(LOG_IN, &visit.path))),
            "invalid_recipient" => for_somebody_else(visit, tx),
            _ => gone(visit, tx),
        },
        Err(other) => Err(other),
    }
}

/// What the invite is to, and the way in.
fn offer(visit: &Visit, tx: &Tx, found: &Loaded) -> Result<Reply> {
    let Loaded { organization, invite, .. } = found;
    let name = organizations::find(tx, *organization)?.name;
    let title = format!("Join {name}");
    let is_signed_in = visit.actor.caller().is_some();
    let form = if is_signed_in {
        Form::new(Some(visit.token())).refused(visit.refused()).button("Join")
    } else {
        Form::new(None)
            .field(signup::ACCEPT, "first_name", Control::first)
            .fields(signup::ACCEPT, &["last_name", "password"])
            .show(json!({"first_name": invite.first_name}))
            .refused(visit.refused())
            .button("Join")
    };
    let inviter = users::get(tx, invite.created_by)?;
    Ok(visit.show_secret(
        &title,
        &html! {
            (form.summary())
            (head(&title, invited_by(inviter.as_ref(), invite.level), None))
            @if let Some(message) = &invite.message { blockquote dir="auto" { (message) } }
            p { "Your address: " strong { (invite.target_email) } }
            (form.render())
        },
    ))
}

fn invited_by(inviter: Option<&users::User>, level: crate::api::Level) -> Markup {
    let level = words::level(level).to_lowercase();
    html! {
        @if let Some(inviter) = inviter {
            span dir="auto" { (inviter.full_name()) } " (" (inviter.email) ") invites you"
        } @else { "You are invited" }
        " as " @if level == "member" { "a " } @else { "an " } (level) "."
    }
}

fn for_somebody_else(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let mine = users::find(tx, visit.user()?)?.email;
    let theirs = invites::by_token(tx, visit.param("token"))?.map(|found| found.invite.target_email);
    Ok(visit.show_secret("This invite is for somebody else", &html! {
        (head("This invite is for somebody else", html! { "You are signed in as " strong { (mine) } "." }, None))
        @if let Some(theirs) = theirs { p { "The invite is for " strong { (theirs) } ". Sign out and open the link again to use it." } }
        (deed("/logout", visit.token(), "Sign out", "", Look::Primary))
        p { a href="/" { "Go on as you are" } }
    }))
}

/// The invite was used, taken back, or is too old.
fn gone(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let inviter = invites::by_token(tx, visit.param("token"))?.map(|found| found.invite.created_by);
    let inviter = inviter.map(|user| users::get(tx, user)).transpose()?.flatten();
    let page = visit.show_secret("This invite does not work any more", &html! {
        (head("This invite does not work any more", "It was used, taken back, or is older than three days.", None))
        p {
            "Please ask "
            @if let Some(inviter) = &inviter { span dir="auto" { (inviter.full_name()) } " (" (inviter.email) ")" }
            @else { "whoever invited you" }
            " for a new one."
        }
        p { "You have joined already? " a href=(LOG_IN) { "Sign in" } }
    });
    Ok(Reply { status: 410, ..page })
}

async fn join(visit: Arc<Visit>) -> Result<Reply> {
    let token = visit.param("token");
    if visit.actor.caller().is_some() {
        signup::join(&visit.app, &visit, token).await?;
        return Ok(visit.done("/", Said::Joined));
    }
    let entered =
        signup::join_as_newcomer(&visit.app, &visit, &Browser::of(&visit), token, visit.values()).await?;
    cookies::set(&visit, &entered.token, visit.done("/", Said::Joined))
}
