//! Name, address and colours of a person.

use std::sync::Arc;

use maud::{Render, html};
use serde_json::json;

use super::{OWN, change};
use crate::api::Reply;
use crate::app::session;
use crate::auth::cookies;
use crate::console::form::Form;
use crate::console::frame::{THEME, to};
use crate::console::page::{Page, page};
use crate::console::parts::{Look, Tone, deed, head, notice};
use crate::console::visit::Visit;
use crate::console::words::Said;
use crate::error::Result;
use crate::resources::{addresses, users};
use crate::store::{Tx, WriteTx};

const PATH: &str = "/settings/profile";
const CANCEL: &str = "/settings/profile/cancel-address";
const SEND_AGAIN: &str = "/settings/profile/send-again";

pub(super) fn pages() -> Vec<Page> {
    let pages = vec![
        page(PATH, session(), OWN, show).works(|visit| change(visit, saved)),
        page(CANCEL, session(), OWN, back).does(cancel_address),
        page(SEND_AGAIN, session(), OWN, back).works(send_again),
    ];
    pages.into_iter().map(Page::without_second_factor).collect()
}

fn show(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let user = users::find(tx, visit.user()?)?;
    let form = Form::new(Some(visit.token()))
        .fields(users::ME, &["first_name", "last_name", "email"])
        .field(users::ME, "current_password", |control| {
            control.help("Needed only to change the e-mail address, which ends all your other sessions.")
        })
        .fields(users::ME, &["theme_mode"])
        .show(json!({
            "first_name": user.first_name,
            "last_name": user.last_name,
            "email": user.email,
            "theme_mode": user.settings.theme_mode.as_deref().unwrap_or("system"),
        }))
        .refused(visit.refused())
        .button("Save");
    visit.show(
        tx,
        "Profile",
        &html! {
            (form.summary())
            (head("Profile", &user.email, None))
            @if let Some(pending) = addresses::of(tx, visit.user()?)?.pending {
                (notice(Tone::Warn, html! {
                    p { strong { (pending) } " becomes your address once you open the link in the mail to it." }
                    div.buttons {
                        (deed(SEND_AGAIN, visit.token(), "Send the mail again", "", Look::Plain))
                        (deed(CANCEL, visit.token(), "Cancel the change", "", Look::Plain))
                    }
                }))
            }
            (form.render())
        },
    )
}

/// What is done by a button of the page has no page of its own.
fn back(_visit: &Visit, _tx: &Tx) -> Result<Reply> {
    Ok(to(PATH))
}

fn cancel_address(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    addresses::cancel(visit, tx)?;
    Ok(visit.done(PATH, Said::AddressCancelled))
}

async fn send_again(visit: Arc<Visit>) -> Result<Reply> {
    addresses::request(&visit.app, &visit, visit.user()?)?;
    Ok(visit.done(PATH, Said::MailSent))
}

/// The browser keeps the colours, so that a page need not look them up.
fn saved(visit: &Visit) -> Reply {
    const SECONDS: i64 = 365 * 24 * 60 * 60;
    let theme = visit.typed("theme_mode");
    let (theme, seconds) = if ["light", "dark"].contains(&theme) { (theme, SECONDS) } else { ("", 0) };
    cookies::note(visit, THEME, theme, seconds, visit.done(PATH, Said::Saved))
}
