//! The pages of an organization.

pub(super) mod audit;
pub(super) mod domains;
pub(super) mod exports;
pub(super) mod keys;
pub(super) mod members;
pub(super) mod plugins;
pub(super) mod proxies;

use crate::api::Within;
use crate::console::page::Page;

/// Where the pages of an organization are.
pub(super) const BASE: &str = "/organization/{organization_id}";
pub(super) const HERE: Within = Within::Organization("organization_id");

/// The pages of an organization, in the order of the navigation.
pub(super) fn pages() -> Vec<Page> {
    let all = [
        members::pages(),
        exports::pages(),
        plugins::pages(),
        domains::pages(),
        proxies::pages(),
        keys::pages(),
        audit::pages(),
    ];
    all.into_iter().flatten().collect()
}
