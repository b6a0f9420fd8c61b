//! All pages.

mod files;
mod organization;

use super::page::Page;
use crate::app::Route;

/// Every page, in the order of the navigation.
pub(super) fn all() -> Vec<Page> {
    [organization::members::pages(), organization::audit::pages()].into_iter().flatten().collect()
}

/// What pages load and send besides.
pub(super) fn routes() -> Vec<Route> {
    files::routes()
}
