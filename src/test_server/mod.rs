//! What only a development or test server has: the state behind the paths below `/_orgd/`, a file for each part.
//!
//! Invariant: an ordinary server has none of it, and a request to one pays no more than a look whether it is there.

mod clock;
mod tasks;

pub use clock::{ClockControl, Hold};
pub use tasks::{Resting, TaskBoard, TaskPlace};
pub mod conceal;
pub mod dns;
pub mod faults;
pub mod journal;
pub mod mailbox;
pub mod paths;
pub mod waiting;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::config::{Config, Mode};
use crate::dns::StandIn;
use dns::{DnsTable, Names};
use faults::Faults;
use journal::{Journal, Limits};
use mailbox::Mailbox;
use paths::KnownPaths;
use waiting::Signal;

/// The state of one server. Many may live in one process, so nothing of it is shared.
pub struct TestServer {
    pub mode: Mode,
    /// Further names under which it is controlled.
    pub control_hosts: Vec<String>,
    pub clock: ClockControl,
    pub tasks: TaskBoard,
    /// The routes that requests can be for.
    pub paths: Arc<KnownPaths>,
    pub journal: Journal,
    pub faults: Arc<Faults>,
    pub dns: Arc<DnsTable>,
    pub mailbox: Mailbox,
    pub events: CapturedEvents,
    stopping: watch::Sender<bool>,
}

/// What is not stored of captured events.
#[derive(Default)]
pub struct CapturedEvents {
    unknown: AtomicU64,
    signal: Signal,
}

impl CapturedEvents {
    /// Events were stored.
    pub fn stored(&self) {
        self.signal.give();
    }

    /// Something came with the token of no project.
    pub fn of_nobody(&self) {
        self.unknown.fetch_add(1, Ordering::Relaxed);
        self.signal.give();
    }

    /// How many requests came with the token of no project.
    pub fn unknown(&self) -> u64 {
        self.unknown.load(Ordering::Relaxed)
    }

    /// Changes with every request that captures something.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.signal.changes()
    }
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
            paths: Arc::default(),
            journal: Journal::new(Limits::SERVER),
            faults: Arc::default(),
            dns: Arc::default(),
            mailbox: Mailbox::new(Limits::SERVER),
            events: CapturedEvents::default(),
            stopping: watch::Sender::new(false),
        })
    }

    /// Another one that was given the same to do, and has seen nothing yet. Its journal is bounded by `limits`.
    pub fn copy(&self, limits: Limits) -> TestServer {
        TestServer {
            mode: self.mode,
            control_hosts: self.control_hosts.clone(),
            clock: ClockControl::default(),
            tasks: TaskBoard::default(),
            paths: Arc::clone(&self.paths),
            journal: Journal::new(limits),
            faults: Arc::new(self.faults.copy()),
            dns: Arc::new(self.dns.copy()),
            mailbox: Mailbox::new(limits),
            events: CapturedEvents::default(),
            stopping: watch::Sender::new(false),
        }
    }

    /// What answers when this server asks the DNS.
    pub fn stand_in(&self) -> Arc<dyn StandIn> {
        Arc::new(Names {
            table: Arc::clone(&self.dns),
            faults: Arc::clone(&self.faults),
            stopping: self.stopping.subscribe(),
            is_all: self.mode == Mode::Test,
        })
    }

    /// The server stops: whatever waits here for something else ends.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Ends when the server stops.
    pub async fn stopped(&self) {
        let _ = self.stopping.subscribe().wait_for(|is_stopping| *is_stopping).await;
    }

    /// Lets time pass; the server's stop ends it.
    pub async fn pause(&self, time: Duration) {
        if time.is_zero() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.stopped() => {}
        }
    }
}
