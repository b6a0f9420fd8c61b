//! A new password.

use maud::{Render, html};

use super::{OWN, change};
use crate::api::Reply;
use crate::app::session;
use crate::console::form::Form;
use crate::console::page::{Page, page};
use crate::console::parts::head;
use crate::console::visit::Visit;
use crate::console::words::Said;
use crate::error::Result;
use crate::resources::{sessions, users};
use crate::store::Tx;

const PATH: &str = "/settings/password";

pub(super) fn pages() -> Vec<Page> {
    let changed = |visit: &Visit| visit.done(PATH, Said::PasswordChanged);
    vec![page(PATH, session(), OWN, show).works(move |visit| change(visit, changed)).without_second_factor()]
}

fn show(visit: &Visit, tx: &Tx) -> Result<Reply> {
    sessions::require_recent_login(visit)?;
    let user = users::find(tx, visit.user()?)?;
    let mut form = Form::new(Some(visit.token())).of_user(&user.email);
    if user.password_hash.is_some() {
        form = form
            .field(users::ME, "current_password", |control| control.autocomplete("current-password").first());
    }
    let form = form
        .field(users::ME, "password", |control| control.label("New password").autocomplete("new-password"))
        .refused(visit.refused())
        .button("Change password");
    visit.show(
        tx,
        "Password",
        &html! {
            (form.summary())
            (head("Password", "A new password ends all your other sessions.", None))
            (form.render())
        },
    )
}
