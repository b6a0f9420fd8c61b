//! The first owner of an empty server.

use std::sync::Arc;

use maud::{Render, html};

use crate::api::{Field, FieldInfo, Reply, Within};
use crate::app::public;
use crate::auth::cookies;
use crate::console::form::{Control, Form};
use crate::console::page::{Page, page};
use crate::console::parts::head;
use crate::console::visit::Visit;
use crate::console::words::Said;
use crate::error::{Error, Result, invalid, not_found};
use crate::resources::signup::{self, Newcomer};
use crate::resources::users;
use crate::store::Tx;

pub(super) fn pages() -> Vec<Page> {
    vec![page("/setup", public(), Within::Nothing, show).works(set_up)]
}

const SETUP_CODE: FieldInfo = Field::text("setup_code", 40).required().info();

fn show(visit: &Visit, tx: &Tx) -> Result<Reply> {
    if !users::none_yet(tx)? {
        return Err(not_found());
    }
    let mut form = Form::new(None);
    if !visit.is_from_this_machine() {
        form = form.control(Control::new(SETUP_CODE).first());
    }
    let form = form
        .fields(signup::SIGN_UP, &["first_name", "last_name", "email", "password", "organization_name"])
        .refused(visit.refused())
        .button("Set up");
    Ok(visit.show_bare(
        "Set up",
        &html! {
            (form.summary())
            (head("Set up orgd", "You become the first owner, and the operator of this server.", None))
            (form.render())
        },
    ))
}

async fn set_up(visit: Arc<Visit>) -> Result<Reply> {
    if !visit.app.store.read(users::none_yet)? {
        return Err(not_found());
    }
    let code = visit.typed("setup_code").trim();
    let newcomer = Newcomer {
        setup_code: Some(code.to_owned()).filter(|code| !code.is_empty()),
        ..Newcomer::of(&visit)
    };
    let entered =
        signup::sign_up(&visit.app, &visit, &newcomer, visit.values()).await.map_err(
            |error| match error {
                Error::Denied { .. } => {
                    invalid("setup_code", "invalid_input", "This is not the set-up code.")
                }
                other => other,
            },
        )?;
    cookies::set(&visit, &entered.token, visit.done("/", Said::Welcome))
}
