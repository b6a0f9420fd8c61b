//! The fixture vocabulary: a server, the people who call it, and what they are told.

mod answer;
mod people;
mod server;
pub mod smtp;

pub use answer::Answer;
pub use people::{Org, PASSWORD, Person, Shows, text};
pub use server::Server;
