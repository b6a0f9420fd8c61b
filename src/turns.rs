//! Turns at work that is slow and large, such as hashing a password: a few at once, a bounded number that
//! wait, and one turn for each network before any gets a second.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::config::network_of;
use crate::error::{Error, Result};

/// How long to wait before another try.
const RETRY_SECONDS: u32 = 1;

/// The turns that are taken, and the queue of those that wait.
pub struct Turns {
    at_once: usize,
    waiting_max: usize,
    state: Mutex<TurnsState>,
}

#[derive(Default)]
struct TurnsState {
    running: usize,
    waiting: usize,
    /// The networks that wait, in the order of their next turns.
    order: VecDeque<IpAddr>,
    /// Those that wait, by network. Each receives true for a turn, false where it had to make way.
    queues: HashMap<IpAddr, VecDeque<oneshot::Sender<bool>>>,
}

/// A turn. It ends when this is dropped.
pub struct Turn(Arc<Turns>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.pass_on();
    }
}

/// A place in the queue.
struct Queued {
    turns: Arc<Turns>,
    receiver: oneshot::Receiver<bool>,
}

impl Drop for Queued {
    /// A turn that comes just when its waiter gives up is passed on.
    fn drop(&mut self) {
        self.receiver.close();
        if self.receiver.try_recv() == Ok(true) {
            self.turns.pass_on();
        }
    }
}

impl Turns {
    /// At most `at_once` work at the same time, and `waiting_max` wait.
    pub fn new(at_once: usize, waiting_max: usize) -> Arc<Turns> {
        Arc::new(Turns { at_once, waiting_max, state: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, TurnsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.lock().waiting
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// 503 where too many wait: for a newcomer of the network of which most wait, or else for one of those.
    pub async fn take(self: &Arc<Turns>, peer: IpAddr) -> Result<Turn> {
        let busy = Error::Busy { retry_after_seconds: RETRY_SECONDS };
        let Some(mut queued) = self.enqueue(network_of(peer)).ok_or(busy)? else {
            return Ok(Turn(Arc::clone(self)));
        };
        match (&mut queued.receiver).await {
            Ok(true) => Ok(Turn(Arc::clone(self))),
            _ => Err(Error::Busy { retry_after_seconds: RETRY_SECONDS }),
        }
    }

    /// A place in the queue; the inner `None` where the turn is now, the outer one where the queue is full.
    fn enqueue(self: &Arc<Turns>, network: IpAddr) -> Option<Option<Queued>> {
        let mut state = self.lock();
        if state.running < self.at_once {
            state.running += 1;
            return Some(None);
        }
        state.remove_gone();
        if state.waiting >= self.waiting_max && !state.make_way(network) {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        let queue = state.queues.entry(network).or_default();
        queue.push_back(sender);
        if queue.len() == 1 {
            state.order.push_back(network);
        }
        state.waiting += 1;
        Some(Some(Queued { turns: Arc::clone(self), receiver }))
    }

    /// Gives a turn that has ended to the next one that still waits.
    fn pass_on(&self) {
        let mut state = self.lock();
        while let Some(next) = state.next() {
            if next.send(true).is_ok() {
                return;
            }
        }
        state.running -= 1;
    }
}

impl TurnsState {
    fn next(&mut self) -> Option<oneshot::Sender<bool>> {
        let network = self.order.pop_front()?;
        let queue = self.queues.get_mut(&network)?;
        let next = queue.pop_front();
        self.waiting -= usize::from(next.is_some());
        if queue.is_empty() {
            self.queues.remove(&network);
        } else {
            self.order.push_back(network);
        }
        next
    }

    /// Removes those that hung up from the queue.
    fn remove_gone(&mut self) {
        for queue in self.queues.values_mut() {
            queue.retain(|waiting| !waiting.is_closed());
        }
        self.queues.retain(|_, queue| !queue.is_empty());
        self.order.retain(|network| self.queues.contains_key(network));
        self.waiting = self.queues.values().map(VecDeque::len).sum();
    }

    /// Removes the last one of the network of which most wait, unless the newcomer's network would have as many.
    fn make_way(&mut self, newcomer: IpAddr) -> bool {
        let own = self.queues.get(&newcomer).map_or(0, VecDeque::len);
        let Some((network, queue)) = self.queues.iter_mut().max_by_key(|(_, queue)| queue.len()) else {
            return false;
        };
        if queue.len() <= own + 1 {
            return false;
        }
        let network = *network;
        if let Some(last) = queue.pop_back() {
            // They may have hung up.
            let _ = last.send(false);
        }
        self.waiting -= 1;
        debug_assert!(!self.queues[&network].is_empty(), "more than one waited");
        true
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    type Waiting = std::pin::Pin<Box<dyn Future<Output = Result<Turn>>>>;

    fn peer(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn wait(turns: &Arc<Turns>, last: u8) -> Waiting {
        let turns = Arc::clone(turns);
        let mut waiting: Waiting = Box::pin(async move { turns.take(peer(last)).await });
        assert!(look(&mut waiting).is_none(), "there is no turn yet");
        waiting
    }

    fn look(waiting: &mut Waiting) -> Option<Result<Turn>> {
        match waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        }
    }

    fn now(turns: &Arc<Turns>, last: u8) -> Result<Turn> {
        let turns = Arc::clone(turns);
        let mut waiting: Waiting = Box::pin(async move { turns.take(peer(last)).await });
        look(&mut waiting).expect("an answer at once")
    }

    fn is_busy(outcome: Option<Result<Turn>>) -> bool {
        matches!(outcome, Some(Err(Error::Busy { retry_after_seconds: 1 })))
    }

    #[test]
    fn networks_take_turns_however_many_of_one_wait() {
        let turns = Turns::new(1, 100);
        let mut held = now(&turns, 1).unwrap();
        let mut flood: Vec<Waiting> = (0..50).map(|_| wait(&turns, 1)).collect();
        let mut honest = wait(&turns, 2);
        // One of the flood came first; then it is the other network's turn.
        drop(held);
        held = look(&mut flood[0]).expect("its turn").unwrap();
        assert!(look(&mut honest).is_none() && look(&mut flood[1]).is_none());
        drop(held);
        drop(look(&mut honest).expect("its turn").unwrap());
        drop(look(&mut flood[1]).expect("its turn").unwrap());
        drop(flood);
        assert_eq!(turns.lock().running, 0);
    }

    #[test]
    fn the_queue_is_bounded_and_the_greediest_make_way() {
        let turns = Turns::new(1, 4);
        let held = now(&turns, 1).unwrap();
        let mut flood: Vec<Waiting> = (0..4).map(|_| wait(&turns, 1)).collect();
        assert!(is_busy(Some(now(&turns, 1))));
        let mut honest = wait(&turns, 2);
        assert!(is_busy(look(&mut flood[3])) && look(&mut flood[2]).is_none());
        let mut another = wait(&turns, 3);
        assert!(is_busy(look(&mut flood[2])));
        assert!(is_busy(Some(now(&turns, 2))), "nobody has less than the newcomer would have");
        assert_eq!(turns.waiting(), 4);
        drop(held);
        let mut done = Vec::new();
        let mut second = flood.swap_remove(1);
        for waiting in [&mut flood[0], &mut honest, &mut another, &mut second] {
            done.push(look(waiting).expect("its turn").is_ok());
        }
        assert_eq!((done, turns.waiting(), turns.lock().running), (vec![true; 4], 0, 0));
    }

    #[test]
    fn whoever_hangs_up_leaves_the_queue_and_loses_no_turn() {
        let turns = Turns::new(1, 2);
        let held = now(&turns, 1).unwrap();
        let (first, mut second) = (wait(&turns, 2), wait(&turns, 3));
        drop(first);
        let third = wait(&turns, 4);
        drop(held);
        // The turn is on its way to the second when the third gives up, and is not lost.
        drop(third);
        let turn = look(&mut second).expect("its turn").unwrap();
        let fourth = wait(&turns, 5);
        drop(turn);
        drop(fourth);
        assert_eq!(turns.waiting(), 0);
        assert_eq!(turns.lock().running, 0);
        assert!(now(&turns, 6).is_ok());
    }
}
