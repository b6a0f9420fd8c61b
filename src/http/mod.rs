//! Bytes and headers. Knows nothing of organizations.

mod accept;
mod answer;
mod answers;
mod authorize;
mod body;
mod body_copy;
mod canned;
mod control;
mod cors;
mod credentials;
mod find;
mod forwarded;
mod head;
mod headers;
mod known;
mod last_use;
mod metrics_door;
mod observed;
mod pulse;
mod redirect;
mod request_log;
mod respond;
mod server;
mod service;
mod site;
mod tls;
mod wire;

pub use server::Listeners;
pub(crate) use server::{Choose, Served, serve};
