//! The program as a process: its command line, its signals, its crashes.

#![expect(unreachable_pub, reason = "everything here is of one crate")]

mod acme;
mod admin;
#[path = "../api/support/archives.rs"]
mod archives;
mod backup;
mod bug_report;
mod chaos_proxy;
mod cli;
#[cfg(feature = "client")]
mod client;
mod control;
mod crash;
mod damage;
#[path = "../api/support/dns.rs"]
#[expect(dead_code, reason = "the tests of the API use the rest")]
mod dns;
mod docs;
mod exec;
mod exports;
mod faults_file;
mod forks;
mod full_disk;
mod install;
mod keys;
mod log;
mod metrics;
mod metrics_moved;
mod org_file;
mod outbound;
mod output;
mod packages;
#[path = "../postgres/cluster.rs"]
#[expect(dead_code, reason = "the tests of the API use the rest")]
mod postgres;
#[path = "../api/support/receiver.rs"]
#[expect(dead_code, reason = "the tests of the API use the rest")]
mod receiver;
#[path = "../api/support/s3.rs"]
mod s3;
mod secrets;
mod service_manager;
mod settings;
mod signals;
#[path = "../api/support/smtp.rs"]
#[expect(dead_code, reason = "the tests of the API use the rest")]
mod smtp;
mod support;
mod test_server;
#[path = "../api/support/timing.rs"]
mod timing;
mod tls;
#[path = "../api/support/web.rs"]
#[expect(dead_code, reason = "the tests of the API use the rest")]
mod web;
