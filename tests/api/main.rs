//! The API, over a real socket, as people use it.

#![recursion_limit = "256"]
#![expect(unreachable_pub, reason = "everything here is of one crate")]

mod access_controls;
mod api_keys;
mod batch_exports;
mod buckets;
mod capture;
mod clients;
mod deliveries;
mod destinations;
mod domains;
mod faults;
mod hogql;
mod hostile;
mod http;
mod instance;
mod invites;
mod mail;
mod members;
mod memory;
mod organizations;
mod page;
mod paging;
#[cfg(feature = "parquet")]
mod parquet_files;
mod permissions;
mod plugin_attacks;
mod plugin_installs;
mod plugins;
mod projects;
mod proxy_records;
mod role_memberships;
mod roles;
mod runs;
mod sessions;
mod signup;
mod support;
mod tables;
mod two_factor;
mod users;
