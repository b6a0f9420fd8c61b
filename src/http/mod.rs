//! Bytes and headers. Knows nothing of organizations.

mod asked;
mod body;
mod cors;
mod credentials;
mod pulse;
mod respond;
mod server;
mod service;
mod way;
mod wire;

pub(crate) use server::serve;
