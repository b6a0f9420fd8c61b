//! The fixture vocabulary: a server, the people who call it, and what they are answered.

mod answer;
pub mod archives;
mod dns;
mod elsewhere;
pub mod exports;
pub mod letters;
mod people;
pub mod plugin_hosts;
mod receiver;
pub mod s3;
mod server;
pub mod smtp;
mod timing;
pub mod walk;
#[expect(dead_code, reason = "the tests of the program use the rest")]
pub mod web;
mod world;

pub use answer::Answer;
pub use dns::NameServer;
pub use elsewhere::{post_from, post_with_cookie};
pub use people::{Org, PASSWORD, Person, Shows, text};
pub use receiver::{Receiver, Reply, SILENCE, reply};
pub use s3::S3;
pub use server::{Rows, Server};
pub use world::{Filled, PLACE_IN_QUERY, World};
