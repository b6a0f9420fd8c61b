//! A person's own pages.

mod api_keys;
mod key_form;
mod password;
mod profile;
mod sessions;
mod two_factor;

use std::sync::Arc;

use crate::api::Reply;
use crate::api::Within;
use crate::console::page::Page;
use crate::console::visit::Visit;
use crate::error::{Result, denied};
use crate::resources::sessions as logins;
use crate::resources::users;

pub(super) fn pages() -> Vec<Page> {
    [profile::pages(), password::pages(), two_factor::pages(), sessions::pages(), api_keys::pages()]
        .into_iter()
        .flatten()
        .collect()
}

/// These pages belong to no organization.
const OWN: Within = Within::Nothing;

/// Changes the person's own record, credentials included, and answers with `answer`.
async fn change(visit: Arc<Visit>, answer: fn(&Visit) -> Reply) -> Result<Reply> {
    let proved = users::prove_change(&visit.app, &visit, visit.changed()).await?;
    let write = visit.write(move |visit, tx| {
        users::update(visit, tx, visit.changed(), proved.clone())?;
        Ok(answer(visit))
    });
    write.await
}

/// Leads whoever did not give the password just now to where they do.
///
/// # Errors
/// 403, which becomes that page.
fn require_just_logged_in(visit: &Visit) -> Result<()> {
    if logins::has_just_logged_in(visit)? { Ok(()) } else { Err(denied(logins::RECENT_LOGIN_REQUIRED)) }
}
