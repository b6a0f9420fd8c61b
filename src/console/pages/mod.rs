//! All pages.

mod account;
mod days;
mod files;
mod login;
mod organization;
mod project;
mod setup;
mod signup;

use super::page::Page;
use crate::app::Route;

/// Every page, in the order of the navigation.
pub(super) fn all() -> Vec<Page> {
    let all = [
        setup::pages(),
        login::pages(),
        signup::pages(),
        account::pages(),
        organization::pages(),
        project::pages(),
    ];
    all.into_iter().flatten().collect()
}

/// What pages load and send besides.
pub(super) fn routes() -> Vec<Route> {
    files::routes()
}
