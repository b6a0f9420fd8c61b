//! The fixture vocabulary: a server, the people who call it, and what they are told.

mod answer;
pub mod archives;
mod dns;
mod elsewhere;
pub mod exports;
pub mod mirror;
mod people;
pub mod postgres;
mod receiver;
pub mod s3;
mod server;
pub mod smtp;
#[expect(dead_code, reason = "the tests of the program use the rest")]
pub mod web;

pub use answer::Answer;
pub use dns::NameServer;
pub use elsewhere::{post_from, post_with_cookie};
pub use people::{Org, PASSWORD, Person, Shows, text};
pub use postgres::Postgres;
pub use receiver::{Receiver, SILENCE};
pub use s3::S3;
pub use server::Server;
