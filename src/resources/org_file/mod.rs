//! An organization in a file: read, compared with what is stored, and applied in one transaction.
//!
//! Unlike the other resources it owns no table and names none: it stands above them, and does everything by their
//! commands. Invariant: only what a file says is compared, nothing is removed unless that is asked for, and no secret is
//! in a plan, an export or the log.

mod apply;
mod compare;
mod deeds;
mod document;
mod emit;
pub mod export;
mod fault;
pub mod fmt;
mod http;
mod merge;
pub mod plan;
pub mod references;
pub mod schema;
mod seed;
pub mod service;
mod shape;
pub mod show;
mod state;
mod yaml;

pub use compare::May;
pub use document::{Document, Read, read, read_value};
pub use fault::{Fault, Places};
pub use http::RESOURCE;
pub use seed::{Seeded, clock_of, placed, seed, seed_more};
