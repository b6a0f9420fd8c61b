//! What the paths for snapshots and forks want of whoever keeps the servers of one process.
//!
//! A fork is a whole server of its own that began as a copy: data, clock, identifiers, faults, names. A snapshot is what a
//! fork begins with.

use std::sync::{Arc, Weak};

use futures_util::future::BoxFuture;

use super::App;
use crate::clock::Time;
use crate::error::Result;

/// The server that was started.
pub const MAIN: &str = "main";
/// The snapshot of what it was when it began to serve, its seed included.
pub const START: &str = "start";

/// Which server of the process this is.
pub struct ForkOf {
    pub id: String,
    pub kept_by: Weak<dyn Forks>,
}

impl ForkOf {
    /// Whether it is another one than the server that was started.
    pub fn is_fork(&self) -> bool {
        self.id != MAIN
    }
}

/// A fork that is wanted.
pub struct WantedFork {
    /// The snapshot that it begins with; `None` for what the server is now.
    pub of: Option<String>,
    /// How long it is there, in seconds of the machine.
    pub ttl_seconds: u32,
}

pub struct ShownSnapshot {
    pub name: String,
    /// The size of its data.
    pub bytes: u64,
}

pub struct ShownFork {
    pub id: String,
    /// `None` for what was never a snapshot.
    pub of: Option<String>,
    pub port: u16,
    /// When it ends, by the clock of the machine.
    pub expires_at: Time,
    /// The memory of the data that differs from what it began with.
    pub own_bytes: u64,
    /// Whether its data is open; a request opens it.
    pub is_open: bool,
}

/// All that there is.
pub struct ShownForks {
    pub snapshots: Vec<ShownSnapshot>,
    pub forks: Vec<ShownFork>,
    /// The memory that they hold, and may hold.
    pub bytes: u64,
    pub bytes_max: u64,
}

/// Who keeps the servers of a process.
pub trait Forks: Send + Sync {
    fn list(&self) -> ShownForks;

    /// Keeps what a server is now, in place of a snapshot of that name.
    ///
    /// # Errors
    /// There is no such server, the name is none that a snapshot may have, or there is no memory.
    fn snapshot(&self, of: &str, name: &str) -> Result<ShownSnapshot>;

    /// Forgets a snapshot; what began with it stays.
    ///
    /// # Errors
    /// There is none, or it is that of the start.
    fn delete_snapshot(&self, name: &str) -> Result<()>;

    /// # Errors
    /// There is no such snapshot, no memory, or no port.
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

    /// The server that was started, with its newest data.
    fn newest(&self) -> Option<Arc<App>>;
}
