//! Whether something goes on on a connection, and the shares that addresses have of all connections.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::config::network_of;

/// What goes on on one connection.
pub(super) struct Pulse {
    began: Instant,
    /// Requests whose handlers run.
    running: AtomicUsize,
    /// Whether bytes of an answer wait for the peer to read.
    is_stalled: AtomicBool,
    /// When something last went forward, in milliseconds after the beginning.
    last: AtomicU64,
    /// Another connection needs the place of this one.
    unwanted: Notify,
    /// Whether it was asked to go and has not answered yet.
    is_dismissed: AtomicBool,
}

impl Pulse {
    pub(super) fn begin() -> Arc<Pulse> {
        Arc::new(Pulse {
            began: Instant::now(),
            running: AtomicUsize::new(0),
            is_stalled: AtomicBool::new(false),
            last: AtomicU64::new(0),
            unwanted: Notify::new(),
            is_dismissed: AtomicBool::new(false),
        })
    }

    /// Something went forward.
    pub(super) fn beat(&self) {
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(millis, Ordering::Relaxed);
    }

    /// A request is under way until what is returned goes.
    pub(super) fn request(self: &Arc<Pulse>) -> Running {
        self.running.fetch_add(1, Ordering::Relaxed);
        self.beat();
        Running(Arc::clone(self))
    }

    pub(super) fn stall(&self, is_stalled: bool) {
        self.is_stalled.store(is_stalled, Ordering::Relaxed);
    }

    /// Whether it can be closed without cutting anything off.
    pub(super) fn is_idle(&self) -> bool {
        self.running.load(Ordering::Relaxed) == 0 && !self.is_stalled.load(Ordering::Relaxed)
    }

    /// When something last went forward.
    pub(super) fn last(&self) -> Instant {
        self.began + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }

    /// Waits until another connection needs the place of this one. It goes if it is idle, else it stays.
    pub(super) async fn unwanted(&self) {
        self.unwanted.notified().await;
        if !self.is_idle() {
            self.is_dismissed.store(false, Ordering::Relaxed);
        }
    }
}

/// A request under way.
pub(super) struct Running(Arc<Pulse>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.beat();
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All open connections, by address.
pub(super) struct Connections {
    open: Mutex<Open>,
    freed: Notify,
    all_max: usize,
    per_address_max: usize,
}

#[derive(Default)]
struct Open {
    count: usize,
    by_address: HashMap<IpAddr, Vec<Arc<Pulse>>>,
}

/// The place of one connection.
pub(super) struct Place {
    connections: Arc<Connections>,
    address: IpAddr,
    pub(super) pulse: Arc<Pulse>,
}

impl Connections {
    pub(super) fn new(all_max: usize, per_address_max: usize) -> Arc<Connections> {
        Arc::new(Connections { open: Mutex::default(), freed: Notify::new(), all_max, per_address_max })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more connection of the address. Where the address has its share, or all places are taken,
    /// the connection that has been idle longest makes way. `None` where none of the address's own is idle; waits
    /// where none at all is.
    pub(super) async fn admit(self: &Arc<Connections>, address: IpAddr, is_exempt: bool) -> Option<Place> {
        /// An idle connection may get a request before it hears that it should go.
        const PATIENCE: Duration = Duration::from_millis(50);
        let address = network_of(address);
        if !is_exempt && !self.has_share_left(address) {
            return None;
        }
        loop {
            if let Some(place) = self.take(address) {
                return Some(place);
            }
            let _ = tokio::time::timeout(PATIENCE, self.freed.notified()).await;
        }
    }

    /// Whether the address may have one more; one of its idle connections makes way where it has to.
    fn has_share_left(&self, address: IpAddr) -> bool {
        let open = self.lock();
        let Some(own) = open.by_address.get(&address) else { return true };
        let staying = own.iter().filter(|pulse| !pulse.is_dismissed.load(Ordering::Relaxed));
        staying.count() < self.per_address_max || dismiss(own)
    }

    fn take(self: &Arc<Connections>, address: IpAddr) -> Option<Place> {
        let mut open = self.lock();
        if open.count >= self.all_max {
            dismiss(open.by_address.values().flatten());
            return None;
        }
        let pulse = Pulse::begin();
        open.count += 1;
        open.by_address.entry(address).or_default().push(Arc::clone(&pulse));
        Some(Place { connections: Arc::clone(self), address, pulse })
    }
}

/// Asks the connection that has been idle longest to go; false where none is idle.
fn dismiss<'a>(among: impl IntoIterator<Item = &'a Arc<Pulse>>) -> bool {
    let stays = |pulse: &&Arc<Pulse>| pulse.is_idle() && !pulse.is_dismissed.load(Ordering::Relaxed);
    let Some(idle) = among.into_iter().filter(stays).min_by_key(|pulse| pulse.last()) else { return false };
    idle.is_dismissed.store(true, Ordering::Relaxed);
    idle.unwanted.notify_one();
    true
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.connections.lock();
        open.count -= 1;
        if let Some(own) = open.by_address.get_mut(&self.address) {
            own.retain(|pulse| !Arc::ptr_eq(pulse, &self.pulse));
            if own.is_empty() {
                open.by_address.remove(&self.address);
            }
        }
        drop(open);
        self.connections.freed.notify_one();
    }
}
