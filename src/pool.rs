//! Memory that requests share: who needs some takes it as the need comes, waits a bounded time where there
//! is none, and gives it back when the share is dropped.
//! Invariants: the shares together never hold more than the pool has, those of one account never more than
//! the account's part; a share grows only where the requests under way can still all finish, one after the
//! other, with what would be left. Where one needs more than it said and no order is left in which all finish,
//! the largest that waits is refused at once. Large shares leave a reserve to the small ones of callers.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::config::network_of;

/// How long a share waits for memory before its request is refused.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Who has not moved for so long is not counted on to finish.
const IDLE: Duration = Duration::from_secs(1);
/// Shares up to this size never wait for others to finish, only for free memory, in bytes.
const UNJUDGED_BYTES: usize = 64 * 1024;
/// Shares of callers that say they need no more than this, and do not, are small: as much as a request of
/// 256 KiB takes with what becomes of it, in bytes.
const SMALL_BYTES: usize = 8 * 256 * 1024;
/// The least that is kept for small shares where the pool is not too small for that, in bytes.
const RESERVE_BYTES_MIN: usize = 2 * 1024 * 1024;

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
    /// Backups that the server makes.
    Backups,
}

impl Account {
    /// The account of a caller.
    pub fn of(address: IpAddr) -> Account {
        Account::Address(network_of(address))
    }

    fn part_of(self, all: usize) -> usize {
        match self {
            Account::Address(_) | Account::Installs => all / 4 * 3,
            Account::Exports => all / 3 * 2,
            Account::Backups => all / 4,
        }
    }
}

/// A bounded amount of memory, in bytes.
pub struct Pool {
    bytes: usize,
    wait_max: Duration,
    state: Mutex<PoolState>,
    changed: Notify,
}

struct PoolState {
    ledger: Ledger,
    claims: BTreeMap<u64, Claim>,
    last: u64,
}

/// Who holds how much, by account and by kind of share.
#[derive(Clone)]
struct Ledger {
    all: usize,
    free: usize,
    /// What small shares hold.
    small: usize,
    accounts: HashMap<Account, Used>,
}

/// What the shares of one account hold.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Used {
    large: usize,
    small: usize,
}

/// What a share holds and may still need.
#[derive(Clone, Copy)]
struct Claim {
    account: Account,
    held: usize,
    rest: usize,
    is_small: bool,
    waits: bool,
    /// It will get nothing any more, so it is about to end.
    is_refused: bool,
    moved_at: Instant,
}

impl Claim {
    /// Whether it is still small once it has grown by so much.
    fn stays_small(&self, bytes: usize, ledger: &Ledger) -> bool {
        self.is_small && self.held + bytes <= ledger.small_max()
    }
}

impl Ledger {
    /// What large shares leave to small ones, of all and beside the part of each account.
    fn reserve(&self) -> usize {
        (self.all / 8).max(RESERVE_BYTES_MIN).min(self.all / 6)
    }

    fn small_max(&self) -> usize {
        SMALL_BYTES.min(self.reserve())
    }

    /// Whether the share can take so many bytes more.
    fn fits(&self, claim: &Claim, bytes: usize) -> bool {
        let reserve = self.reserve();
        let used = self.accounts.get(&claim.account).copied().unwrap_or_default();
        let max = claim.account.part_of(self.all) + reserve;
        if claim.stays_small(bytes, self) {
            return bytes <= self.free && used.large + used.small + bytes <= max;
        }
        // A small one that becomes large leaves the reserve with all that it holds.
        let leaving = if claim.is_small { claim.held } else { 0 };
        let kept = reserve.saturating_sub(self.small - leaving);
        let small = (used.small - leaving).max(reserve);
        bytes + kept <= self.free && used.large + leaving + bytes + small <= max
    }

    /// Writes down that the share has grown.
    fn grow(&mut self, claim: &mut Claim, bytes: usize) {
        let is_small = claim.stays_small(bytes, self);
        self.give_back(claim, claim.held);
        claim.held += bytes;
        claim.is_small = is_small;
        let used = self.accounts.entry(claim.account).or_default();
        self.free -= claim.held;
        if is_small {
            self.small += claim.held;
            used.small += claim.held;
        } else {
            used.large += claim.held;
        }
    }

    /// Writes down that the share holds so many bytes less, which is for the caller to note in the claim.
    fn give_back(&mut self, claim: &Claim, bytes: usize) {
        let Some(used) = self.accounts.get_mut(&claim.account) else { return };
        self.free += bytes;
        if claim.is_small {
            self.small -= bytes;
            used.small -= bytes;
        } else {
            used.large -= bytes;
        }
        if *used == Used::default() {
            self.accounts.remove(&claim.account);
        }
    }

    /// Lets those who can finish do so, one after the other; who is left can't in any order.
    fn stuck(mut self, mut claims: Vec<(u64, Claim)>) -> Vec<(u64, Claim)> {
        claims.sort_unstable_by_key(|(_, claim)| claim.rest);
        loop {
            let before = claims.len();
            claims.retain(|(_, claim)| {
                let finishes = claim.rest == 0 || claim.is_refused || self.fits(claim, claim.rest);
                if finishes {
                    self.give_back(claim, claim.held);
                }
                !finishes
            });
            if claims.is_empty() || claims.len() == before {
                return claims;
            }
        }
    }
}

impl Pool {
    /// A pool of so many bytes.
    pub fn new(bytes: usize) -> Arc<Pool> {
        Pool::waiting(bytes, WAIT_MAX)
    }

    fn waiting(bytes: usize, wait_max: Duration) -> Arc<Pool> {
        let ledger = Ledger { all: bytes, free: bytes, small: 0, accounts: HashMap::new() };
        let state = PoolState { ledger, claims: BTreeMap::new(), last: 0 };
        Arc::new(Pool { bytes, wait_max, state: Mutex::new(state), changed: Notify::new() })
    }

    /// The most that large shares of the account can hold, in bytes: three quarters of all for one address,
    /// two thirds for exports.
    pub fn bytes_max_of(&self, account: Account) -> usize {
        account.part_of(self.bytes)
    }

    /// A share that holds nothing yet, and will probably need so many bytes.
    pub fn share(self: &Arc<Pool>, account: Account, expected: usize) -> Share {
        let mut state = self.state();
        state.last += 1;
        let id = state.last;
        let claim = Claim {
            account,
            held: 0,
            rest: expected,
            is_small: matches!(account, Account::Address(_)) && expected <= state.ledger.small_max(),
            waits: false,
            is_refused: false,
            moved_at: Instant::now(),
        };
        state.claims.insert(id, claim);
        Share { pool: Arc::clone(self), id }
    }

    /// A share of so many bytes, where they are free right now.
    pub fn take_now(self: &Arc<Pool>, account: Account, bytes: usize) -> Option<Share> {
        let share = self.share(account, bytes);
        self.grow_now(share.id, bytes).then_some(share)
    }

    /// How many bytes there are.
    pub fn size(&self) -> usize {
        self.bytes
    }

    /// How many bytes nobody holds.
    pub fn free(&self) -> usize {
        self.state().ledger.free
    }

    fn state(&self) -> MutexGuard<'_, PoolState> {
        // Nothing that holds the lock panics halfway through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn grow_now(&self, id: u64, bytes: usize) -> bool {
        let now = Instant::now();
        let mut state = self.state();
        if !state.can_grow(id, bytes, now) {
            return false;
        }
        let state = &mut *state;
        let Some(claim) = state.claims.get_mut(&id) else { return false };
        state.ledger.grow(claim, bytes);
        claim.rest = claim.rest.saturating_sub(bytes);
        (claim.waits, claim.is_refused, claim.moved_at) = (false, false, now);
        true
    }

    /// Whether the share will get nothing by waiting. Where no order is left in which all finish, the largest
    /// of its account that waits is refused, be it this one or another.
    fn is_refused(&self, id: u64) -> bool {
        let mut state = self.state();
        let victim = state.victim(id);
        if let Some(claim) = victim.and_then(|victim| state.claims.get_mut(&victim)) {
            claim.is_refused = true;
            self.changed.notify_waiters();
        }
        state.claims.get(&id).is_none_or(|claim| claim.is_refused)
    }
}

impl PoolState {
    /// Whether the share may take so many bytes more.
    fn can_grow(&self, id: u64, bytes: usize, now: Instant) -> bool {
        let Some(claim) = self.claims.get(&id) else { return false };
        if !self.ledger.fits(claim, bytes) {
            return false;
        }
        claim.held + bytes <= UNJUDGED_BYTES
            || self.ledger.fits(claim, claim.rest.max(bytes))
            || self.can_all_finish(id, bytes, now)
    }

    /// Whether, after share `id` has taken so many bytes, all who are counted on can finish in some order.
    fn can_all_finish(&self, id: u64, bytes: usize, now: Instant) -> bool {
        let mut ledger = self.ledger.clone();
        let mut counted: Vec<(u64, Claim)> = Vec::new();
        for (&other, claim) in &self.claims {
            let mut claim = *claim;
            if other == id {
                ledger.grow(&mut claim, bytes);
                claim.rest = claim.rest.saturating_sub(bytes);
            }
            let is_active = claim.waits || claim.is_refused || now - claim.moved_at < IDLE;
            if other == id || claim.rest == 0 || is_active {
                counted.push((other, claim));
            }
        }
        ledger.stuck(counted).is_empty()
    }

    /// Whom to refuse so that share `id`, which waits, is not in vain there: nobody while there is an order in
    /// which it can finish, were it after those who only stand still.
    fn victim(&self, id: u64) -> Option<u64> {
        let own = self.claims.get(&id).filter(|claim| claim.held > UNJUDGED_BYTES)?;
        let claims = self.claims.iter().map(|(id, claim)| (*id, *claim)).collect();
        let stuck = self.ledger.clone().stuck(claims);
        if stuck.iter().all(|(stuck, _)| *stuck != id) {
            return None;
        }
        let waiting = stuck.iter().filter(|(_, claim)| claim.waits && claim.account == own.account);
        waiting.max_by_key(|(_, claim)| claim.held).map(|(id, _)| *id)
    }
}

/// A request's part of a pool. What it holds is given back when it is dropped.
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
            (claim.waits, claim.is_refused) = (true, false);
            let rest = claim.rest.max(bytes);
            std::mem::replace(&mut claim.rest, rest)
        };
        let growing = async {
            loop {
                let mut changed = std::pin::pin!(self.pool.changed.notified());
                changed.as_mut().enable();
                if self.pool.grow_now(self.id, bytes) {
                    return true;
                }
                if self.pool.is_refused(self.id) {
                    return false;
                }
                // Whether others are counted on changes with time alone.
                let _ = tokio::time::timeout(IDLE, changed).await;
            }
        };
        if tokio::time::timeout(self.pool.wait_max, growing).await == Ok(true) {
            return Ok(());
        }
        if let Some(claim) = self.pool.state().claims.get_mut(&self.id) {
            (claim.waits, claim.is_refused, claim.rest) = (false, true, expected);
        }
        Err(Shortage::Busy)
    }

    /// Gives so many bytes back.
    pub fn shrink(&self, bytes: usize) {
        let mut state = self.pool.state();
        let state = &mut *state;
        let Some(claim) = state.claims.get_mut(&self.id) else { return };
        let bytes = bytes.min(claim.held);
        state.ledger.give_back(claim, bytes);
        claim.held -= bytes;
        self.pool.changed.notify_waiters();
    }

    /// Says that nothing more will be needed than what is taken from now on.
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

impl Drop for Share {
    fn drop(&mut self) {
        let mut state = self.pool.state();
        let state = &mut *state;
        let Some(claim) = state.claims.remove(&self.id) else { return };
        state.ledger.give_back(&claim, claim.held);
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
        assert!(pool.state().ledger.accounts.is_empty() && pool.state().claims.is_empty());
    }

    #[test]
    fn one_account_gets_its_part_and_a_network_is_one_account() {
        let pool = Pool::new(1000 * KIB);
        let all = pool.take_now(from(1), 750 * KIB);
        assert!(all.is_some() && pool.take_now(from(1), 200 * KIB).is_none());
        assert!(pool.take_now(from(2), 250 * KIB).is_none(), "the reserve is for small shares");
        assert!(pool.take_now(from(2), 83 * KIB).is_some());
        assert!(pool.take_now(Account::Exports, 83 * KIB).is_some());
        drop(all);
        assert!(pool.take_now(Account::Exports, 667 * KIB).is_none());
        assert!(pool.take_now(Account::Exports, 666 * KIB).is_some());
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
        let pool = Pool::waiting(1200 * KIB, Duration::ZERO);
        let _all = pool.take_now(from(1), 700 * KIB).unwrap();
        let other = pool.share(from(2), 0);
        assert_eq!(other.grow(400 * KIB).await, Err(Shortage::Busy));
        assert_eq!(other.grow(901 * KIB).await, Err(Shortage::Never));
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
        let pool = Pool::new(1200 * KIB);
        let (first, second) = (pool.share(from(1), 700 * KIB), pool.share(from(2), 700 * KIB));
        assert!(pool.grow_now(first.id, 300 * KIB) && pool.grow_now(second.id, 300 * KIB));
        let third = pool.share(from(3), 500 * KIB);
        let can_grow = |now| pool.state().can_grow(third.id, 100 * KIB, now);
        let needs = |share: &Share, rest| pool.state().claims.get_mut(&share.id).unwrap().rest = rest;
        let now = Instant::now();
        assert!(!can_grow(now), "none of them could finish");
        needs(&second, 200 * KIB);
        assert!(can_grow(now), "the second could, and then the others");
        assert!(!can_grow(now + IDLE), "it does not move any more");
        needs(&third, 400 * KIB);
        assert!(can_grow(now + IDLE), "this one can finish alone");
    }

    #[test]
    fn small_shares_of_an_address_get_through_beside_its_own_large_ones() {
        for mib in [8, 12, 150] {
            let pool = Pool::new(mib * KIB * KIB);
            let small = pool.state().ledger.small_max();
            let _large = pool.take_now(from(1), pool.bytes_max_of(from(1))).unwrap();
            assert!(pool.take_now(from(1), small + 1).is_none(), "{mib} MiB");
            assert!(pool.take_now(from(1), small).is_some(), "{mib} MiB");
            let growing = pool.share(from(1), small);
            assert!(pool.grow_now(growing.id, small / 2) && pool.grow_now(growing.id, small / 2));
            assert!(!pool.grow_now(growing.id, 2 * KIB), "it is not small any more");
        }
    }

    #[test]
    fn the_books_balance_whatever_becomes_of_the_shares() {
        let pool = Pool::new(12 * KIB * KIB);
        let small = pool.state().ledger.small_max();
        let outgrown = pool.share(from(1), small);
        assert!(pool.grow_now(outgrown.id, small) && pool.state().ledger.small == small);
        assert!(pool.grow_now(outgrown.id, 1) && pool.state().ledger.small == 0, "it has become large");
        outgrown.shrink(small);
        assert_eq!(pool.free(), 12 * KIB * KIB - 1);
        drop(outgrown);
        assert!(pool.free() == 12 * KIB * KIB && pool.state().ledger.accounts.is_empty());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn where_no_order_is_left_the_largest_that_waits_is_refused_and_the_others_go_on() {
        // Nobody is refused here for having waited long.
        let pool = Pool::waiting(12 * KIB * KIB, Duration::MAX);
        let sizes = [2100, 2300, 2200];
        let shares: Vec<Share> =
            sizes.iter().map(|size| pool.take_now(from(1), size * KIB).unwrap()).collect();
        // Each turns out to need more than it said, and more than is left.
        let waiting = shares.into_iter().zip(sizes).map(|(share, size)| {
            tokio::spawn(async move {
                let grown = share.grow(2700 * KIB).await;
                (size, grown)
            })
        });
        let mut refused = Vec::new();
        for waiting in waiting.collect::<Vec<_>>() {
            let (size, grown) = waiting.await.unwrap();
            if grown == Err(Shortage::Busy) {
                refused.push(size);
            }
        }
        assert_eq!(refused, [2300]);
        assert_eq!(pool.free(), 12 * KIB * KIB);
    }
}
