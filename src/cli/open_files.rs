//! How many files the process may have open: each connection is one, and each fork has a port of its own.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lets the process have as many as the system allows it; says how many it had, `None` for any number. Where the system
/// does not, it stays as it is.
pub(super) fn allow() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    set(limit.maximum);
    limit.current
}

/// Lets the process have as many as this.
pub(super) fn set(wanted: Option<u64>) {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: wanted, ..limit });
}
