//! All pages.

mod account;
mod days;
pub(super) mod dev;
mod files;
mod instance;
mod login;
mod moved;
mod organization;
mod project;
mod reset;
mod setup;
mod sign_in_link;
mod signup;
mod verify;

use super::page::Page;
use crate::app::Route;

/// Every page, in the order of the navigation.
pub(super) fn all() -> Vec<Page> {
    let all = [
        setup::pages(),
        login::pages(),
        signup::pages(),
        reset::pages(),
        verify::pages(),
        instance::pages(),
        moved::pages(),
        account::pages(),
        organization::pages(),
        project::pages(),
    ];
    all.into_iter().flatten().collect()
}

/// What pages load and send besides.
pub(super) fn routes() -> Vec<Route> {
    [files::routes(), sign_in_link::routes()].into_iter().flatten().collect()
}
