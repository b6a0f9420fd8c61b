//! Bytes and headers. Knows nothing of organizations.

mod body;
mod cors;
mod credentials;
mod respond;
mod server;
mod service;

pub(crate) use server::serve;
