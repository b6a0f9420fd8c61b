//! The pages of an organization.

pub(super) mod audit;
pub(super) mod members;

use crate::api::Within;

/// Where the pages of an organization are.
pub(super) const BASE: &str = "/organization/{organization_id}";
pub(super) const HERE: Within = Within::Organization("organization_id");
