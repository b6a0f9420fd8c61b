//! All pages.

mod files;
mod login;
mod organization;
mod setup;
mod signup;

use super::page::Page;
use crate::app::Route;

/// Every page, in the order of the navigation.
pub(super) fn all() -> Vec<Page> {
    let all = [setup::pages(), login::pages(), signup::pages(), organization::pages()];
    all.into_iter().flatten().collect()
}

/// What pages load and send besides.
pub(super) fn routes() -> Vec<Route> {
    files::routes()
}
