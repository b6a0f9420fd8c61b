//! The pages for people: HTML from the server, one path for each page, no client-side application.
//!
//! A page reads and writes by the functions of the resources that the API calls as well; it names no table and repeats
//! no rule. Its form is posted to its own path, so that a refusal is shown by the page itself.

pub mod assets;
pub mod chart;
pub mod form;
mod frame;
#[cfg(test)]
mod gallery;
pub mod layout;
mod page;
mod pages;
pub mod parts;
pub mod qr;
mod refusal;
mod visit;
pub mod words;

use crate::app::Route;

pub use refusal::page as refuse;

/// The pages that only a development or test server has.
pub fn dev_routes() -> Vec<Route> {
    pages::dev::routes()
}

/// The routes of all pages and of what they load.
pub fn routes() -> Vec<Route> {
    let pages = pages::all().into_iter().flat_map(page::Page::into_routes);
    pages.chain(pages::routes()).collect()
}
