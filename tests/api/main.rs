//! The API, over a real socket, as people use it.

#![recursion_limit = "256"]
#![expect(unreachable_pub, reason = "everything here is of one crate")]

mod access_controls;
mod api_keys;
mod audit;
mod background_tasks;
mod batch_exports;
mod capture;
mod cascades;
mod clients;
mod connections;
mod cross_site;
mod damage;
mod destinations;
mod domains;
mod effective_access;
mod export_authors;
mod export_secrets;
mod exports_http;
mod exports_s3;
mod faults;
mod forwarding;
mod guessing;
mod headers;
mod hogql;
mod http;
mod instance;
mod invites;
mod key_limits;
mod links;
mod login_sessions;
mod mail;
mod malformed_ids;
mod malformed_input;
mod members;
mod memory;
mod organizations;
mod outbound;
mod paging;
#[cfg(feature = "parquet")]
mod parquet_files;
mod permissions;
mod places;
mod plugin_attacks;
mod plugin_installs;
mod plugins;
mod private_projects;
mod projects;
mod proxy_records;
mod role_memberships;
mod roles;
mod runs;
mod sessions;
mod signup;
mod support;
mod tenants;
mod turns;
mod two_factor;
mod upgrade;
mod upstream_contract;
mod users;
