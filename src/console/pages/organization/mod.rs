//! The pages of an organization.

mod audit;
mod create;
mod domains;
mod exports;
mod invites;
mod keys;
pub(super) mod members;
mod overview;
mod plugins;
mod projects;
mod proxies;
mod roles;
mod settings;

use crate::api::Within;
use crate::console::page::Page;

/// Where the pages of an organization are.
pub(super) const BASE: &str = "/organization/{organization_id}";
pub(super) const HERE: Within = Within::Organization("organization_id");

/// How many lines of a list a page shows.
pub(super) const LINES: u64 = 50;

/// The pages of an organization, in the order of the navigation.
pub(super) fn pages() -> Vec<Page> {
    let all = [
        create::pages(),
        overview::pages(),
        members::pages(),
        invites::pages(),
        roles::pages(),
        projects::pages(),
        exports::pages(),
        plugins::pages(),
        domains::pages(),
        proxies::pages(),
        keys::pages(),
        audit::pages(),
        settings::pages(),
    ];
    all.into_iter().flatten().collect()
}
