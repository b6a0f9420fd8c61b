//! The API, over a real socket, as people use it.

#![recursion_limit = "256"]
#![expect(unreachable_pub, reason = "everything here is of one crate")]

mod access_controls;
mod account_limits;
mod account_mails;
mod api_keys;
mod audit;
mod audit_accounts;
mod audit_day;
mod background_tasks;
mod backup;
mod batch_exports;
mod cached_answers;
mod capture;
mod capture_clocks;
mod capture_text;
mod capture_v1;
mod cascades;
mod clients;
mod clock;
mod connections;
#[cfg(feature = "console")]
mod console;
mod control;
mod cross_site;
mod damage;
mod destinations;
mod documented_answers;
mod domains;
mod effective_access;
mod export_authors;
mod export_secrets;
mod exports_http;
mod exports_retries;
mod exports_s3;
mod faults;
mod forwarding;
mod guessing;
mod headers;
mod hogql;
mod http;
mod instance;
mod invite_access;
mod invites;
mod key_limits;
mod links;
mod login_sessions;
mod mail;
mod malformed_ids;
mod malformed_input;
mod members;
mod memory;
mod moved_projects;
mod newer_settings;
mod operator;
mod org_file;
mod organizations;
mod outbound;
#[cfg(feature = "console")]
mod pages;
mod paging;
#[cfg(feature = "parquet")]
mod parquet_files;
mod people_log;
mod permissions;
mod persons;
mod places;
mod plugin_attacks;
mod plugin_installs;
mod plugins;
mod private_projects;
mod project_exports;
mod projects;
mod proxy_records;
mod reset;
mod role_memberships;
mod roles;
mod runs;
#[cfg(feature = "testing")]
mod rust_fixture;
mod s3_answers;
mod sdk;
mod sessions;
mod settings;
mod signup;
mod support;
mod tenants;
mod test_server;
mod test_steps;
mod turns;
mod two_factor;
mod upgrade;
mod upstream_contract;
mod users;
mod verify_email;
