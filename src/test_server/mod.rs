//! What only a development or test server has: the state behind the paths below `/_orgd/`, a file for each part.
//!
//! Invariant: an ordinary server has none of it, and a request to one pays no more than a look whether it is there.

mod clock;
mod tasks;

pub use clock::{ClockControl, Hold};
pub use tasks::{Resting, TaskBoard, TaskPlace};

use crate::config::{Config, Mode};

/// The state of one server. Many may live in one process, so nothing of it is shared.
pub struct TestServer {
    pub mode: Mode,
    /// Further names under which it is controlled.
    pub control_hosts: Vec<String>,
    pub clock: ClockControl,
    pub tasks: TaskBoard,
}

impl TestServer {
    /// `None` for an ordinary server.
    pub fn of(config: &Config) -> Option<TestServer> {
        let mode = config.mode()?;
        Some(TestServer {
            mode,
            control_hosts: config.testing.control_host.clone(),
            clock: ClockControl::default(),
            tasks: TaskBoard::default(),
        })
    }
}
