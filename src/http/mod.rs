//! Bytes and headers. Knows nothing of organizations.

mod asked;
mod body;
mod cors;
mod credentials;
mod respond;
mod server;
mod service;

pub(crate) use server::serve;
