//! Whether there is progress on a connection, and the shares that addresses have of all connections.

use std::collections::HashMap;
use std::future::Future;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::futures::TaskLocalFuture;
use tokio::time::Instant;

use crate::config::network_of;

/// The progress of one connection.
pub(super) struct Pulse {
    began: Instant,
    /// Requests whose handlers run.
    running: AtomicUsize,
    /// Those of them that wait for more of their bodies.
    waiting: AtomicUsize,
    /// Whether bytes of an answer wait for the peer to read.
    is_stalled: AtomicBool,
    /// When something last went forward, in milliseconds after the beginning.
    last: AtomicU64,
    /// Another connection needs the place of this one.
    unwanted: Notify,
    /// Whether it was dismissed and has not ended yet.
    is_dismissed: AtomicBool,
    /// Whether it was dismissed even if its peer only keeps a request or an answer waiting.
    is_urgent: AtomicBool,
    /// Whether the connection is to end by a reset.
    is_to_reset: AtomicBool,
}

impl Pulse {
    pub(super) fn begin() -> Arc<Pulse> {
        Arc::new(Pulse {
            began: Instant::now(),
            running: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            is_stalled: AtomicBool::new(false),
            last: AtomicU64::new(0),
            unwanted: Notify::new(),
            is_dismissed: AtomicBool::new(false),
            is_urgent: AtomicBool::new(false),
            is_to_reset: AtomicBool::new(false),
        })
    }

    /// Something went forward.
    pub(super) fn beat(&self) {
        self.beat_at(Instant::now());
    }

    fn beat_at(&self, now: Instant) {
        let millis = u64::try_from((now - self.began).as_millis()).unwrap_or(u64::MAX);
        self.last.store(millis, Ordering::Relaxed);
    }

    /// A request is under way until what is returned is dropped.
    pub(super) fn request(self: &Arc<Pulse>) -> RunningRequest {
        self.running.fetch_add(1, Ordering::Relaxed);
        let began = Instant::now();
        self.beat_at(began);
        RunningRequest { pulse: Arc::clone(self), began }
    }

    pub(super) fn stall(&self, is_stalled: bool) {
        self.is_stalled.store(is_stalled, Ordering::Relaxed);
    }

    /// Whether bytes of an answer wait for the peer to read.
    pub(super) fn is_stalled(&self) -> bool {
        self.is_stalled.load(Ordering::Relaxed)
    }

    /// Whether the connection is to end by a reset.
    pub(super) fn is_to_reset(&self) -> bool {
        self.is_to_reset.load(Ordering::Relaxed)
    }

    /// Whether it can be closed without cutting anything off.
    pub(super) fn is_idle(&self) -> bool {
        self.running.load(Ordering::Relaxed) == 0 && !self.is_stalled.load(Ordering::Relaxed)
    }

    /// When something last went forward.
    pub(super) fn last(&self) -> Instant {
        self.began + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }

    /// Whether a handler works, so that it is not the peer who lets others wait.
    fn works(&self) -> bool {
        self.running.load(Ordering::Relaxed) > self.waiting.load(Ordering::Relaxed)
    }

    /// Whether it can make way: where it is idle, or if `is_urgent`, where it waits for its peer.
    fn can_go(&self, is_urgent: bool) -> bool {
        if is_urgent { !self.works() } else { self.is_idle() }
    }

    /// Waits until another connection needs the place of this one, and this one can make way then.
    pub(super) async fn unwanted(&self) {
        loop {
            self.unwanted.notified().await;
            if self.can_go(self.is_urgent.load(Ordering::Relaxed)) {
                return;
            }
            self.is_dismissed.store(false, Ordering::Relaxed);
        }
    }

    /// Runs what answers a request of this connection, which [`waiting`] and [`beat`] then know of.
    pub(super) fn answering<F: Future>(self: Arc<Pulse>, answer: F) -> TaskLocalFuture<Arc<Pulse>, F> {
        CURRENT.scope(self, answer)
    }
}

tokio::task_local! {
    /// The connection whose request is being answered.
    static CURRENT: Arc<Pulse>;
}

/// Waits for the peer to send more of a request.
pub(super) async fn waiting<T>(coming: impl Future<Output = T>) -> T {
    struct Waiting(Arc<Pulse>);
    impl Drop for Waiting {
        fn drop(&mut self) {
            self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
    let _waiting = CURRENT.try_with(Arc::clone).ok().map(|pulse| {
        pulse.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(pulse)
    });
    coming.await
}

/// The connection whose request is being answered.
pub(super) fn current() -> Option<Arc<Pulse>> {
    CURRENT.try_with(Arc::clone).ok()
}

/// The connection whose request is being answered ends by a reset, once it ends.
pub(super) fn reset() {
    let _ = CURRENT.try_with(|pulse| pulse.is_to_reset.store(true, Ordering::Relaxed));
}

/// The request that is being answered went forward.
pub(super) fn beat() {
    // Where there is no connection, there is none to keep.
    let _ = CURRENT.try_with(|pulse| pulse.beat());
}

/// A request under way.
pub(super) struct RunningRequest {
    pulse: Arc<Pulse>,
    pub(super) began: Instant,
}

impl Drop for RunningRequest {
    fn drop(&mut self) {
        self.pulse.beat();
        self.pulse.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All open connections, by address.
pub(super) struct Connections {
    open: Mutex<OpenConnections>,
    freed: Notify,
    all_max: usize,
    per_address_max: usize,
}

#[derive(Default)]
struct OpenConnections {
    count: usize,
    by_address: HashMap<IpAddr, Vec<Arc<Pulse>>>,
}

/// The place of one connection.
pub(super) struct ConnectionPlace {
    connections: Arc<Connections>,
    address: IpAddr,
    pub(super) pulse: Arc<Pulse>,
}

impl Connections {
    pub(super) fn new(all_max: usize, per_address_max: usize) -> Arc<Connections> {
        Arc::new(Connections { open: Mutex::default(), freed: Notify::new(), all_max, per_address_max })
    }

    /// How many connections are open, and how many requests are under way on them.
    pub(super) fn traffic(&self) -> (u64, u64) {
        let open = self.lock();
        let all = open.by_address.values().flatten();
        let running: usize = all.map(|pulse| pulse.running.load(Ordering::Relaxed)).sum();
        (open.count as u64, running as u64)
    }

    fn lock(&self) -> MutexGuard<'_, OpenConnections> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more connection of the address. Where the address has its share, or all places are taken,
    /// the connection that has been idle longest makes way; where none is idle and all places are taken, the one
    /// that has waited longest for its peer to send a body or to read an answer. `None` where none of the
    /// address's own is idle; waits where handlers work on all.
    pub(super) async fn admit(
        self: &Arc<Connections>,
        address: IpAddr,
        is_exempt: bool,
    ) -> Option<ConnectionPlace> {
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
        staying.count() < self.per_address_max || dismiss(own, false)
    }

    fn take(self: &Arc<Connections>, address: IpAddr) -> Option<ConnectionPlace> {
        let mut open = self.lock();
        if open.count >= self.all_max {
            let all = || open.by_address.values().flatten();
            let _ = dismiss(all(), false) || dismiss(all(), true);
            return None;
        }
        let pulse = Pulse::begin();
        open.count += 1;
        open.by_address.entry(address).or_default().push(Arc::clone(&pulse));
        Some(ConnectionPlace { connections: Arc::clone(self), address, pulse })
    }
}

/// Asks the connection to go on which nothing has gone forward for longest, of those that are idle, or if
/// `is_urgent`, that wait for their peers. False where there is none.
fn dismiss<'a>(among: impl IntoIterator<Item = &'a Arc<Pulse>>, is_urgent: bool) -> bool {
    let can_go = |pulse: &&Arc<Pulse>| pulse.can_go(is_urgent) && !pulse.is_dismissed.load(Ordering::Relaxed);
    let longest = among.into_iter().filter(can_go).min_by_key(|pulse| pulse.last());
    let Some(longest) = longest else { return false };
    longest.is_urgent.store(is_urgent, Ordering::Relaxed);
    longest.is_dismissed.store(true, Ordering::Relaxed);
    longest.unwanted.notify_one();
    true
}

impl Drop for ConnectionPlace {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a connection makes way where another of its address needs its place, and where anybody does.
    fn makes_way(pulse: &Arc<Pulse>) -> (bool, bool) {
        let one = |is_urgent| {
            pulse.is_dismissed.store(false, Ordering::Relaxed);
            dismiss([pulse], is_urgent)
        };
        (one(false), one(true))
    }

    #[tokio::test]
    async fn what_waits_for_its_peer_makes_way_and_what_works_stays() {
        let pulse = Pulse::begin();
        assert_eq!(makes_way(&pulse), (true, true), "idle");
        let running = pulse.request();
        assert_eq!(makes_way(&pulse), (false, false), "a handler works");
        Arc::clone(&pulse)
            .answering(waiting(async { assert_eq!(makes_way(&pulse), (false, true), "no body") }))
            .await;
        assert_eq!(makes_way(&pulse), (false, false), "the handler works again");
        let other = pulse.request();
        Arc::clone(&pulse)
            .answering(waiting(async { assert_eq!(makes_way(&pulse), (false, false), "one works") }))
            .await;
        drop((running, other));
        pulse.stall(true);
        assert_eq!(makes_way(&pulse), (false, true), "nobody reads the answer");
        pulse.stall(false);
        assert_eq!(makes_way(&pulse), (true, true), "idle again");
    }

    #[tokio::test]
    async fn who_has_got_work_meanwhile_does_not_go() {
        let pulse = Pulse::begin();
        assert!(dismiss([&pulse], false));
        let running = pulse.request();
        let leaving = pulse.unwanted();
        let mut leaving = std::pin::pin!(leaving);
        assert!(futures_util::poll!(leaving.as_mut()).is_pending());
        assert!(!pulse.is_dismissed.load(Ordering::Relaxed));
        drop(running);
        assert!(dismiss([&pulse], false) && futures_util::poll!(leaving.as_mut()).is_ready());
    }
}
