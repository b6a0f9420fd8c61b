//! Memory that requests share: who needs some takes it as the need comes, waits a bounded time where there
//! is none, and gives it back when the share is dropped.
//! Invariants: the shares together never hold more than the pool has, those of one account never more than
//! the account's part; a share grows only where the requests under way can still all finish, one after the
//! other, with what would be left.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// How long a share waits for memory before its request is refused.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Who has not moved for so long is not counted on to finish.
const IDLE: Duration = Duration::from_secs(1);
/// Shares up to this size never wait for others to finish, only for free memory, in bytes.
const SMALL_BYTES: usize = 64 * 1024;

/// There was not enough memory in time, or there never will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// Others hold it; a later try may go better.
    Busy,
    /// It is more than one account may ever hold.
    Never,
}

/// Whom a share is counted for. An IPv6 caller commands a whole /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Account {
    Address(IpAddr),
    /// The server's own work on batch exports.
    Exports,
    /// Plugins that are got from elsewhere.
    Installs,
}

impl Account {
    /// The account of a caller.
    pub fn of(address: IpAddr) -> Account {
        match address {
            IpAddr::V4(_) => Account::Address(address),
            IpAddr::V6(address) => {
                let network = u128::from(address) & !u128::from(u64::MAX);
                Account::Address(IpAddr::V6(Ipv6Addr::from(network)))
            }
        }
    }

    fn part_of(self, all: usize) -> usize {
        match self {
            Account::Address(_) | Account::Installs => all / 4 * 3,
            Account::Exports => all / 2,
        }
    }
}

/// A bounded amount of memory, in bytes.
pub struct Pool {
    bytes: usize,
    wait_max: Duration,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    free: usize,
    accounts: HashMap<Account, usize>,
    claims: BTreeMap<u64, Claim>,
    last: u64,
}

/// What a share holds and may still need.
struct Claim {
    account: Account,
    held: usize,
    rest: usize,
    waits: bool,
    moved_at: Instant,
}

impl Pool {
    /// A pool of so many bytes.
    pub fn new(bytes: usize) -> Arc<Pool> {
        Pool::waiting(bytes, WAIT_MAX)
    }

    fn waiting(bytes: usize, wait_max: Duration) -> Arc<Pool> {
        let state = State { free: bytes, ..State::default() };
        Arc::new(Pool { bytes, wait_max, state: Mutex::new(state), changed: Notify::new() })
    }

    /// The most that the account can hold, in bytes: three quarters of all for one address, half for exports.
    pub fn bytes_max_of(&self, account: Account) -> usize {
        account.part_of(self.bytes)
    }

    /// A share that holds nothing yet, and will probably need so many bytes.
    pub fn share(self: &Arc<Pool>, account: Account, expected: usize) -> Share {
        let mut state = self.state();
        state.last += 1;
        let id = state.last;
        let claim = Claim { account, held: 0, rest: expected, waits: false, moved_at: Instant::now() };
        state.claims.insert(id, claim);
        Share { pool: Arc::clone(self), id }
    }

    /// A share of so many bytes, where they are free right now.
    pub fn take_now(self: &Arc<Pool>, account: Account, bytes: usize) -> Option<Share> {
        let share = self.share(account, bytes);
        self.grow_now(share.id, bytes).then_some(share)
    }

    /// How many bytes nobody holds.
    pub fn free(&self) -> usize {
        self.state().free
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock panics halfway through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn grow_now(&self, id: u64, bytes: usize) -> bool {
        let now = Instant::now();
        let mut state = self.state();
        if !state.can_grow(id, bytes, self.bytes, now) {
            return false;
        }
        let state = &mut *state;
        let Some(claim) = state.claims.get_mut(&id) else { return false };
        claim.held += bytes;
        claim.rest = claim.rest.saturating_sub(bytes);
        (claim.waits, claim.moved_at) = (false, now);
        *state.accounts.entry(claim.account).or_default() += bytes;
        state.free -= bytes;
        true
    }
}

impl State {
    fn used_by(&self, account: Account) -> usize {
        self.accounts.get(&account).copied().unwrap_or_default()
    }

    /// Whether the share may take so many bytes more.
    fn can_grow(&self, id: u64, bytes: usize, all: usize, now: Instant) -> bool {
        let Some(claim) = self.claims.get(&id) else { return false };
        let used = self.used_by(claim.account) + bytes;
        let account_max = claim.account.part_of(all);
        if bytes > self.free || used > account_max {
            return false;
        }
        if claim.held + bytes <= SMALL_BYTES {
            return true;
        }
        let rest = claim.rest.saturating_sub(bytes);
        if rest <= (self.free - bytes).min(account_max - used) {
            return true;
        }
        self.can_all_finish(id, bytes, all, now)
    }

    /// Whether, after share `id` has taken so many bytes, all who are counted on can finish in some order.
    fn can_all_finish(&self, id: u64, bytes: usize, all: usize, now: Instant) -> bool {
        let mut free = self.free - bytes;
        let mut used = self.accounts.clone();
        let mut waiting: Vec<(usize, usize, Account)> = Vec::new();
        for (other, claim) in &self.claims {
            let grown = if *other == id { bytes } else { 0 };
            *used.entry(claim.account).or_default() += grown;
            let counts = *other == id || claim.waits || claim.rest == 0 || now - claim.moved_at < IDLE;
            if counts {
                waiting.push((claim.rest.saturating_sub(grown), claim.held + grown, claim.account));
            }
        }
        waiting.sort_unstable_by_key(|(rest, ..)| *rest);
        loop {
            let before = waiting.len();
            waiting.retain(|(rest, held, account)| {
                let used = used.entry(*account).or_default();
                let finishes = *rest <= free.min(account.part_of(all).saturating_sub(*used));
                if finishes {
                    free += held;
                    *used = used.saturating_sub(*held);
                }
                !finishes
            });
            if waiting.is_empty() || waiting.len() == before {
                return waiting.is_empty();
            }
        }
    }
}

/// A request's part of a pool. What it holds goes back when it is dropped.
pub struct Share {
    pool: Arc<Pool>,
    id: u64,
}

impl Share {
    /// Takes so many bytes more, and waits for them where it must.
    ///
    /// # Errors
    /// There was a shortage; what the share held before it still holds.
    pub async fn grow(&self, bytes: usize) -> Result<(), Shortage> {
        if self.pool.grow_now(self.id, bytes) {
            return Ok(());
        }
        let expected = {
            let mut state = self.pool.state();
            let Some(claim) = state.claims.get_mut(&self.id) else { return Err(Shortage::Never) };
            if claim.held + bytes > self.pool.bytes_max_of(claim.account) {
                return Err(Shortage::Never);
            }
            claim.waits = true;
            let rest = claim.rest.max(bytes);
            std::mem::replace(&mut claim.rest, rest)
        };
        let growing = async {
            loop {
                let mut changed = std::pin::pin!(self.pool.changed.notified());
                changed.as_mut().enable();
                if self.pool.grow_now(self.id, bytes) {
                    return;
                }
                // Whether others are counted on changes with time alone.
                let _ = tokio::time::timeout(IDLE, changed).await;
            }
        };
        if tokio::time::timeout(self.pool.wait_max, growing).await.is_ok() {
            return Ok(());
        }
        if let Some(claim) = self.pool.state().claims.get_mut(&self.id) {
            (claim.waits, claim.rest) = (false, expected);
        }
        Err(Shortage::Busy)
    }

    /// Gives so many bytes back.
    pub fn shrink(&self, bytes: usize) {
        let mut state = self.pool.state();
        let state = &mut *state;
        let Some(claim) = state.claims.get_mut(&self.id) else { return };
        let bytes = bytes.min(claim.held);
        claim.held -= bytes;
        state.free += bytes;
        give_back(&mut state.accounts, claim.account, bytes);
        self.pool.changed.notify_waiters();
    }

    /// Says that nothing more will be needed than what is asked for from now on.
    pub fn expect_no_more(&self) {
        if let Some(claim) = self.pool.state().claims.get_mut(&self.id) {
            claim.rest = 0;
        }
    }

    /// How many bytes it holds.
    pub fn held(&self) -> usize {
        self.pool.state().claims.get(&self.id).map_or(0, |claim| claim.held)
    }
}

fn give_back(accounts: &mut HashMap<Account, usize>, account: Account, bytes: usize) {
    let Some(used) = accounts.get_mut(&account) else { return };
    *used = used.saturating_sub(bytes);
    if *used == 0 {
        accounts.remove(&account);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut state = self.pool.state();
        let state = &mut *state;
        let Some(claim) = state.claims.remove(&self.id) else { return };
        state.free += claim.held;
        give_back(&mut state.accounts, claim.account, claim.held);
        self.pool.changed.notify_waiters();
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Share({} bytes)", self.held())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const KIB: usize = 1024;

    fn from(last: u8) -> Account {
        Account::of(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)))
    }

    #[test]
    fn what_is_taken_goes_back() {
        let pool = Pool::new(1000 * KIB);
        let share = pool.take_now(from(1), 300 * KIB).unwrap();
        assert!(pool.grow_now(share.id, 100 * KIB));
        assert_eq!((pool.free(), share.held()), (600 * KIB, 400 * KIB));
        share.shrink(150 * KIB);
        assert_eq!((pool.free(), share.held()), (750 * KIB, 250 * KIB));
        drop(share);
        assert_eq!(pool.free(), 1000 * KIB);
        assert!(pool.state().accounts.is_empty() && pool.state().claims.is_empty());
    }

    #[test]
    fn one_account_gets_three_quarters_and_a_network_is_one_account() {
        let pool = Pool::new(1000 * KIB);
        let all = pool.take_now(from(1), 750 * KIB);
        assert!(all.is_some() && pool.take_now(from(1), 1).is_none());
        assert!(pool.take_now(from(2), 250 * KIB).is_some());
        assert!(pool.take_now(Account::Exports, 250 * KIB).is_some());
        drop(all);
        assert!(pool.take_now(Account::Exports, 501 * KIB).is_none());
        assert!(pool.take_now(Account::Exports, 500 * KIB).is_some());
        let [one, other, far] = ["2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"]
            .map(|text| Account::of(text.parse::<IpAddr>().unwrap()));
        assert!(one == other && one != far);
    }

    #[test]
    fn shares_that_could_never_finish_together_do_not_begin_to() {
        let pool = Pool::new(1000 * KIB);
        let shares: Vec<Share> = (1..=4).map(|last| pool.share(from(last), 500 * KIB)).collect();
        let mut progress = true;
        while progress {
            progress = false;
            for share in &shares {
                progress |= share.held() < 500 * KIB && pool.grow_now(share.id, 50 * KIB);
            }
        }
        assert!(shares.iter().any(|share| share.held() == 500 * KIB), "one of them can finish");
    }

    #[test]
    fn what_is_only_promised_takes_nothing() {
        let pool = Pool::new(1000 * KIB);
        let idle: Vec<Share> = (0..50).map(|last| pool.share(from(last), 700 * KIB)).collect();
        assert!(pool.take_now(from(99), 26 * KIB).is_some());
        assert_eq!(idle.iter().map(Share::held).sum::<usize>(), 0);
    }

    #[tokio::test]
    async fn who_finds_no_memory_in_time_is_refused_and_who_asks_for_too_much_at_once() {
        let pool = Pool::waiting(1000 * KIB, Duration::ZERO);
        let _all = pool.take_now(from(1), 700 * KIB).unwrap();
        let other = pool.share(from(2), 0);
        assert_eq!(other.grow(400 * KIB).await, Err(Shortage::Busy));
        assert_eq!(other.grow(751 * KIB).await, Err(Shortage::Never));
        assert_eq!(other.grow(300 * KIB).await, Ok(()));
    }

    #[tokio::test]
    async fn who_waits_is_served_when_another_has_finished() {
        let pool = Pool::new(1000 * KIB);
        let first = pool.take_now(from(1), 700 * KIB).unwrap();
        let second = pool.share(from(2), 0);
        let (grown, ()) = tokio::join!(second.grow(600 * KIB), async move {
            tokio::task::yield_now().await;
            drop(first);
        });
        assert_eq!((grown, pool.free()), (Ok(()), 400 * KIB));
    }

    #[test]
    fn who_stands_still_is_not_waited_for() {
        let pool = Pool::new(1000 * KIB);
        let (first, second) = (pool.share(from(1), 700 * KIB), pool.share(from(2), 700 * KIB));
        assert!(pool.grow_now(first.id, 300 * KIB) && pool.grow_now(second.id, 300 * KIB));
        let third = pool.share(from(3), 500 * KIB);
        let can_grow = |now| pool.state().can_grow(third.id, 100 * KIB, pool.bytes, now);
        let needs = |share: &Share, rest| pool.state().claims.get_mut(&share.id).unwrap().rest = rest;
        let now = Instant::now();
        assert!(!can_grow(now), "none of them could finish");
        needs(&second, 200 * KIB);
        assert!(can_grow(now), "the second could, and then the others");
        assert!(!can_grow(now + IDLE), "it does not move any more");
        needs(&third, 400 * KIB);
        assert!(can_grow(now + IDLE), "this one can finish by itself");
    }
}
