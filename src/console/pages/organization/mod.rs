//! The pages of an organization.

mod create;
mod invites;
pub(super) mod members;
mod overview;
mod projects;
mod roles;
mod settings;

use crate::api::Within;
use crate::console::page::Page;

/// Where the pages of an organization are.
pub(super) const BASE: &str = "/organization/{organization_id}";
pub(super) const HERE: Within = Within::Organization("organization_id");

/// How many lines of a list a page shows.
pub(super) const LINES: u64 = 50;

pub(super) fn pages() -> Vec<Page> {
    let all = [
        create::pages(),
        overview::pages(),
        members::pages(),
        invites::pages(),
        roles::pages(),
        projects::pages(),
        settings::pages(),
    ];
    all.into_iter().flatten().collect()
}
