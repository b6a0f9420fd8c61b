//! The operator's pages: the state of the server, its users, mails and tasks.

mod backups;
mod outbox;
mod status;
mod tasks;
mod users;

use crate::api::Within;
use crate::console::page::Page;

pub(super) fn pages() -> Vec<Page> {
    [status::pages(), users::pages(), backups::pages(), outbox::pages(), tasks::pages()]
        .into_iter()
        .flatten()
        .collect()
}

/// These pages belong to no organization.
const SERVER: Within = Within::Nothing;
