//! Name, address and colours of a person.

use maud::{Render, html};
use serde_json::json;

use super::{OWN, change};
use crate::api::Reply;
use crate::app::session;
use crate::auth::cookies;
use crate::console::form::Form;
use crate::console::frame::THEME;
use crate::console::page::{Page, page};
use crate::console::parts::head;
use crate::console::visit::Visit;
use crate::console::words::Said;
use crate::error::Result;
use crate::resources::users;
use crate::store::Tx;

const PATH: &str = "/settings/profile";

pub(super) fn pages() -> Vec<Page> {
    vec![page(PATH, session(), OWN, show).works(|visit| change(visit, saved)).without_second_factor()]
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
            (form.render())
        },
    )
}

/// The browser keeps the colours, so that a page need not look them up.
fn saved(visit: &Visit) -> Reply {
    const SECONDS: i64 = 365 * 24 * 60 * 60;
    let theme = visit.typed("theme_mode");
    let (theme, seconds) = if ["light", "dark"].contains(&theme) { (theme, SECONDS) } else { ("", 0) };
    cookies::note(visit, THEME, theme, seconds, visit.done(PATH, Said::Saved))
}
