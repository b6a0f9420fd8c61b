//! The resources: each owns its records, its tables, its rules and its handlers. Only a resource writes its
//! tables; the others call its functions.

pub mod access_controls;
pub mod account_links;
pub mod acme;
pub mod addresses;
pub mod api_keys;
pub mod audit;
pub mod batch_exports;
pub mod capture;
pub mod checks;
pub mod domains;
mod elements;
pub mod environments;
pub mod events;
pub mod file_mark;
#[cfg(test)]
mod golden;
pub mod integrations;
pub mod integrity;
pub mod invites;
pub mod last_logins;
pub mod members;
pub mod metrics;
pub mod openapi_doc;
pub mod org_file;
pub mod organizations;
pub mod outbox;
pub mod persons;
pub mod places;
pub mod plugins;
pub mod projects;
pub mod proxy_records;
pub mod registry;
pub mod reset;
pub mod role_memberships;
pub mod roles;
mod root;
pub mod samples;
pub mod sdk;
pub mod secrets;
pub mod sessions;
pub mod signup;
pub mod status;
pub mod test_server;
pub mod trusted_time;
pub mod two_factor;
pub mod users;
mod whoami;

pub use registry::Resource;

/// What a step of a sweep has removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    pub rows: u64,
    /// Whether more may be left.
    pub is_more: bool,
}
