//! What the paths for snapshots and forks ask of whoever keeps the servers of one process.
//!
//! A fork is a whole server of its own that began as a copy: data, clock, identifiers, faults, names. A snapshot is what a
//! fork begins with.

use std::sync::{Arc, Weak};

use futures_util::future::BoxFuture;
use serde::Serialize;

use super::App;
use crate::error::Result;

/// The server that is there from the start.
pub const MAIN: &str = "main";
/// What `MAIN` was when it began to serve, its seed included.
pub const START: &str = "start";

/// Which server of the process this is.
pub struct ForkOf {
    pub id: String,
    pub kept_by: Weak<dyn Forks>,
}

/// A fork that is wanted.
pub struct WantedFork {
    /// The snapshot that it begins with; `None` for what the server that is asked holds now.
    pub of: Option<String>,
    /// How long it is there, in seconds.
    pub ttl_seconds: u32,
}

#[derive(Serialize)]
pub struct ShownSnapshot {
    pub name: String,
    pub bytes: u64,
}

#[derive(Serialize)]
pub struct ShownFork {
    pub id: String,
    /// `None` for what was never a snapshot.
    pub of: Option<String>,
    pub port: u16,
    /// Memory that it shares with no other, in bytes.
    pub own_bytes: u64,
    /// Whether its data is open; a request opens it.
    pub open: bool,
}

/// All that there is.
#[derive(Serialize)]
pub struct ShownForks {
    pub snapshots: Vec<ShownSnapshot>,
    pub forks: Vec<ShownFork>,
}

/// Who keeps the servers of a process.
pub trait Forks: Send + Sync {
    fn list(&self) -> ShownForks;

    /// Keeps what a server holds now, in place of a snapshot of that name.
    ///
    /// # Errors
    /// There is no such server, or no room.
    fn snapshot(&self, of: &str, name: &str) -> Result<ShownSnapshot>;

    /// # Errors
    /// There is no such snapshot, no room, or no port.
    fn fork<'a>(&'a self, from: &'a str, wanted: WantedFork) -> BoxFuture<'a, Result<ShownFork>>;

    /// Ends a fork, and all that it does. With `is_checked` its data is walked first.
    ///
    /// # Errors
    /// There is no such fork, or something is wrong with its data: it is there still then.
    fn delete<'a>(&'a self, id: &'a str, is_checked: bool) -> BoxFuture<'a, Result<()>>;

    /// Makes a server what a snapshot says, or what it began with. Requests under way finish on what was.
    ///
    /// # Errors
    /// There is no such server or snapshot.
    fn reset<'a>(&'a self, id: &'a str, to: Option<&'a str>) -> BoxFuture<'a, Result<()>>;

    /// The server's data, opened if need be.
    ///
    /// # Errors
    /// There is no such server.
    fn app<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Arc<App>>>;
}
