//! Limits on guessing passwords, codes and links. Kept in memory: a restart forgives.
//!
//! Invariant: whoever guesses takes a slot before the guess is looked at, so that many at once are no
//! more than one after the other. A slot that proves right gives back itself and nothing else.
//!
//! Three counts meet. The count of an account from one network stops a stubborn guesser, and nobody else.
//! The count of an account from everywhere stops many networks together, and the count of a network over
//! all accounts stops whoever tries one password on everybody; neither counts against an account that
//! logged in from that network before, so that neither can be used to lock its owner out.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::{SECOND_MICROS, Time};
use crate::config::network_of;
use crate::error::Error;

/// What is guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Guess {
    /// A password, at log-in or where the current one is wanted.
    Password,
    /// A code of the second factor.
    SecondStep,
    /// A token in a link, or the set-up code.
    Token,
}

/// How many may be wrong, and for how long nobody may try then.
struct Limit {
    /// Wrong ones before the first wait.
    first: u16,
    /// Wrong ones before each further wait.
    later: u16,
    /// After so long, wrong ones are forgotten where there were too few for a wait.
    window_seconds: i64,
    /// The first wait, the second, …; the last one stays.
    waits_seconds: &'static [i64],
}

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// Waits are forgotten after so long without another one.
const FORGIVE_SECONDS: i64 = DAY;

const WAITS: &[i64] = &[10 * MINUTE, 30 * MINUTE, HOUR, 4 * HOUR];
/// Shorter, for they also meet an owner who comes from somewhere new.
const ACCOUNT_WAITS: &[i64] = &[MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR];

impl Guess {
    /// Of one account from one network.
    fn pair(self) -> Option<Limit> {
        match self {
            Guess::Password => {
                Some(Limit { first: 30, later: 5, window_seconds: HOUR, waits_seconds: WAITS })
            }
            Guess::SecondStep => {
                Some(Limit { first: 10, later: 5, window_seconds: HOUR, waits_seconds: WAITS })
            }
            Guess::Token => None,
        }
    }

    /// Of one account from everywhere.
    fn account(self) -> Option<Limit> {
        match self {
            Guess::Password => {
                Some(Limit { first: 100, later: 20, window_seconds: DAY, waits_seconds: ACCOUNT_WAITS })
            }
            Guess::SecondStep => {
                Some(Limit { first: 50, later: 10, window_seconds: DAY, waits_seconds: ACCOUNT_WAITS })
            }
            Guess::Token => None,
        }
    }

    /// Of one network.
    fn network(self) -> Limit {
        let waits_seconds = &[10 * MINUTE];
        match self {
            Guess::Password | Guess::SecondStep => {
                Limit { first: 300, later: 300, window_seconds: 10 * MINUTE, waits_seconds }
            }
            Guess::Token => Limit { first: 30, later: 30, window_seconds: 10 * MINUTE, waits_seconds },
        }
    }
}

/// Why there is no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusedGuess {
    pub retry_after_seconds: u32,
    /// Too many were wrong. Otherwise too many are being looked at.
    pub is_locked: bool,
}

impl RefusedGuess {
    /// 429.
    pub fn throttled(self) -> Error {
        Error::Throttled { retry_after_seconds: self.retry_after_seconds }
    }
}

/// What one network or account did.
#[derive(Clone, Copy)]
struct Tries {
    wrong: u16,
    /// Being looked at.
    open: u16,
    /// When the first of the wrong ones came.
    since: Time,
    waits: u8,
    locked_until: Time,
}

impl Tries {
    fn new(now: Time) -> Tries {
        Tries { wrong: 0, open: 0, since: now, waits: 0, locked_until: Time(i64::MIN) }
    }

    fn is_locked(&self, now: Time) -> bool {
        self.locked_until > now
    }

    /// Forgets what lies too far back.
    fn advance(&mut self, limit: &Limit, now: Time) {
        if self.is_locked(now) {
            return;
        }
        if self.waits > 0 && self.locked_until.plus_seconds(FORGIVE_SECONDS) <= now {
            *self = Tries { open: self.open, ..Tries::new(now) };
        }
        if self.since.plus_seconds(limit.window_seconds) <= now {
            (self.wrong, self.since) = (0, now);
        }
    }

    fn refusal(&self, limit: &Limit, now: Time) -> Option<RefusedGuess> {
        if self.is_locked(now) {
            let left = (self.locked_until.0 - now.0 + SECOND_MICROS - 1) / SECOND_MICROS;
            let retry_after_seconds = u32::try_from(left).unwrap_or(u32::MAX).max(1);
            return Some(RefusedGuess { retry_after_seconds, is_locked: true });
        }
        let max = if self.waits == 0 { limit.first } else { limit.later };
        let is_full = self.wrong + self.open >= max;
        is_full.then_some(RefusedGuess { retry_after_seconds: 1, is_locked: false })
    }

    fn note_wrong(&mut self, limit: &Limit, now: Time) {
        self.wrong = self.wrong.saturating_add(1);
        let max = if self.waits == 0 { limit.first } else { limit.later };
        if self.wrong >= max {
            let place = usize::from(self.waits).min(limit.waits_seconds.len() - 1);
            self.locked_until = now.plus_seconds(limit.waits_seconds[place]);
            self.waits = self.waits.saturating_add(1);
            self.wrong = 0;
        }
    }

    /// What is dropped first has the least.
    fn weight(&self, now: Time) -> (bool, bool, u8, u16) {
        (self.open > 0, self.is_locked(now), self.waits, self.wrong)
    }
}

/// Tries by the keyed hash of what they are counted for: nobody can make two of them meet.
type TriesKey = u64;

#[derive(Default)]
struct GuessState {
    tries: HashMap<TriesKey, Tries>,
    /// When an account last logged in from a network.
    known: HashMap<TriesKey, Time>,
}

/// Every count.
pub struct Guesses {
    state: Mutex<GuessState>,
    hasher: RandomState,
    /// As many counts are kept at most; those that matter least go first.
    kept_max: usize,
}

impl Default for Guesses {
    fn default() -> Guesses {
        const KEPT_MAX: usize = 50_000;
        Guesses::keeping(KEPT_MAX)
    }
}

/// The right to one guess. One that is dropped was wrong: whoever hangs up has guessed, too.
pub struct Slot<'a> {
    of: Option<(&'a Guesses, Vec<(TriesKey, Limit)>)>,
    now: Time,
}

impl Slot<'_> {
    /// For a server without limits.
    pub fn unlimited() -> Slot<'static> {
        Slot { of: None, now: Time(0) }
    }

    /// The guess was right, or nobody looked at it.
    pub fn give_back(mut self) {
        self.end(false);
    }

    /// The guess was wrong.
    pub fn wrong(mut self) {
        self.end(true);
    }

    fn end(&mut self, is_wrong: bool) {
        let Some((guesses, keys)) = self.of.take() else { return };
        let mut state = guesses.lock();
        for (key, limit) in keys {
            let Some(tries) = state.tries.get_mut(&key) else { continue };
            tries.open = tries.open.saturating_sub(1);
            if is_wrong {
                tries.note_wrong(&limit, self.now);
            }
        }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.end(true);
    }
}

impl Guesses {
    fn keeping(kept_max: usize) -> Guesses {
        Guesses { state: Mutex::default(), hasher: RandomState::new(), kept_max }
    }

    fn lock(&self) -> MutexGuard<'_, GuessState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a slot for a guess at what belongs to `account`, an address whether anybody has it or not.
    ///
    /// # Errors
    /// Too many were wrong, or are being looked at.
    pub fn take(
        &self,
        what: Guess,
        account: &str,
        peer: IpAddr,
        now: Time,
    ) -> Result<Slot<'_>, RefusedGuess> {
        let account = account.trim().to_lowercase();
        let network = network_of(peer);
        let mut state = self.lock();
        let is_known = state.known.contains_key(&self.hasher.hash_one((&account, network)));
        let mut counts = vec![];
        counts.extend(what.pair().map(|limit| (self.hasher.hash_one((what, &account, network)), limit)));
        if !is_known {
            counts.extend(what.account().map(|limit| (self.hasher.hash_one((what, &account)), limit)));
            counts.push((self.network_key(what, network), what.network()));
        }
        for (key, limit) in &counts {
            let Some(tries) = state.tries.get_mut(key) else { continue };
            tries.advance(limit, now);
            if let Some(refused) = tries.refusal(limit, now) {
                return Err(refused);
            }
        }
        if state.tries.len() + counts.len() > self.kept_max {
            drop_least(&mut state.tries, now);
        }
        for (key, _) in &counts {
            state.tries.entry(*key).or_insert_with(|| Tries::new(now)).open += 1;
        }
        Ok(Slot { of: Some((self, counts)), now })
    }

    /// Tokens are counted apart from what belongs to accounts.
    fn network_key(&self, what: Guess, network: IpAddr) -> TriesKey {
        self.hasher.hash_one((what == Guess::Token, network))
    }

    /// Remembers that an account has logged in from a network, with all that it takes.
    pub fn logged_in(&self, account: &str, peer: IpAddr, now: Time) {
        let key = self.hasher.hash_one((&account.trim().to_lowercase(), network_of(peer)));
        let mut state = self.lock();
        if state.known.len() >= self.kept_max && !state.known.contains_key(&key) {
            let mut times: Vec<Time> = state.known.values().copied().collect();
            let place = times.len() / 4;
            let (_, oldest, _) = times.select_nth_unstable(place);
            let oldest = *oldest;
            state.known.retain(|_, time| *time > oldest);
        }
        state.known.insert(key, now);
    }
}

/// Drops about a quarter of the counts, those that matter least, but none with a guess under way.
fn drop_least(tries: &mut HashMap<TriesKey, Tries>, now: Time) {
    let mut by_weight: Vec<_> =
        tries.iter().map(|(key, tries)| (tries.weight(now), tries.since, *key)).collect();
    let place = by_weight.len() / 4;
    if by_weight.is_empty() {
        return;
    }
    by_weight.select_nth_unstable(place);
    for ((is_open, ..), _, key) in &by_weight[..=place] {
        if !is_open {
            tries.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_000_000 * SECOND_MICROS);

    fn peer(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn wrong(guesses: &Guesses, account: &str, from: &str, now: Time) -> Result<(), RefusedGuess> {
        guesses.take(Guess::Password, account, peer(from), now).map(Slot::wrong)
    }

    fn waits(seconds: i64) -> Result<(), RefusedGuess> {
        Err(RefusedGuess { retry_after_seconds: u32::try_from(seconds).unwrap(), is_locked: true })
    }

    #[test]
    fn thirty_wrong_ones_lock_an_account_for_one_network_and_nobody_else() {
        let guesses = Guesses::default();
        for _ in 0..30 {
            assert_eq!(wrong(&guesses, "a@example.com", "192.0.2.1", NOW), Ok(()));
        }
        for same in ["a@example.com", "A@Example.com", " a@example.com "] {
            assert_eq!(wrong(&guesses, same, "192.0.2.1", NOW), waits(600), "{same}");
        }
        assert_eq!(wrong(&guesses, "b@example.com", "192.0.2.1", NOW), Ok(()));
        assert_eq!(wrong(&guesses, "a@example.com", "192.0.2.2", NOW), Ok(()));
    }

    #[test]
    fn waits_grow_and_a_day_of_quiet_ends_them() {
        let guesses = Guesses::default();
        let mut now = NOW;
        let mut seen = Vec::new();
        for round in [30, 5, 5, 5, 5] {
            for _ in 0..round {
                assert_eq!(wrong(&guesses, "a", "192.0.2.1", now), Ok(()), "{seen:?}");
            }
            let Err(refused) = wrong(&guesses, "a", "192.0.2.1", now) else { panic!("{seen:?}") };
            seen.push(i64::from(refused.retry_after_seconds));
            now = now.plus_seconds(*seen.last().unwrap() - 1);
            assert_eq!(wrong(&guesses, "a", "192.0.2.1", now), waits(1));
            now = now.plus_seconds(1);
        }
        assert_eq!(seen, [600, 1800, 3600, 4 * 3600, 4 * 3600]);
        now = now.plus_seconds(FORGIVE_SECONDS);
        for _ in 0..30 {
            assert_eq!(wrong(&guesses, "a", "192.0.2.1", now), Ok(()));
        }
        assert_eq!(wrong(&guesses, "a", "192.0.2.1", now), waits(600));
    }

    #[test]
    fn too_few_wrong_ones_are_forgotten_after_an_hour() {
        let guesses = Guesses::default();
        for _ in 0..29 {
            assert_eq!(wrong(&guesses, "a", "192.0.2.1", NOW), Ok(()));
        }
        let almost = NOW.plus_seconds(HOUR - 1);
        let slot = guesses.take(Guess::Password, "a", peer("192.0.2.1"), almost).ok().unwrap();
        let full = guesses.take(Guess::Password, "a", peer("192.0.2.1"), almost).map(drop);
        assert_eq!(full, Err(RefusedGuess { retry_after_seconds: 1, is_locked: false }));
        slot.give_back();
        for _ in 0..30 {
            assert_eq!(wrong(&guesses, "a", "192.0.2.1", NOW.plus_seconds(HOUR)), Ok(()));
        }
    }

    #[test]
    fn a_right_guess_gives_back_its_own_slot_only() {
        let guesses = Guesses::default();
        for _ in 0..29 {
            assert_eq!(wrong(&guesses, "a", "192.0.2.1", NOW), Ok(()));
        }
        for account in ["a", "b", "a"] {
            guesses.take(Guess::Password, account, peer("192.0.2.1"), NOW).ok().unwrap().give_back();
            guesses.logged_in("b", peer("192.0.2.1"), NOW);
        }
        assert_eq!(wrong(&guesses, "a", "192.0.2.1", NOW), Ok(()));
        assert_eq!(wrong(&guesses, "a", "192.0.2.1", NOW), waits(600));
    }

    #[test]
    fn guesses_at_once_are_no_more_than_guesses_in_turn() {
        let guesses = Guesses::default();
        let take = || guesses.take(Guess::Password, "a", peer("192.0.2.1"), NOW);
        let slots: Vec<_> = (0..600).filter_map(|_| take().ok()).collect();
        assert_eq!(slots.len(), 30);
        // Whoever hangs up has guessed.
        drop(slots);
        assert_eq!(take().map(drop), waits(600));
    }

    #[test]
    fn all_addresses_of_a_network_count_together() {
        let guesses = Guesses::default();
        for host in 0..30 {
            assert_eq!(wrong(&guesses, "a", &format!("2001:db8:0:1::{host:x}"), NOW), Ok(()));
        }
        assert_eq!(wrong(&guesses, "a", "2001:db8:0:1:ffff::1", NOW), waits(600));
        assert_eq!(wrong(&guesses, "a", "2001:db8:0:2::1", NOW), Ok(()));
        assert_eq!(network_of(peer("::ffff:192.0.2.1")), peer("192.0.2.1"));
    }

    #[test]
    fn thirty_wrong_tokens_of_a_network_make_it_wait_and_known_ones_do_not_count() {
        let guesses = Guesses::default();
        let take = |from: &str, now: Time| guesses.take(Guess::Token, "", peer(from), now);
        let (one, neighbour, other) = ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1");
        for _ in 0..30 {
            for _ in 0..3 {
                take(one, NOW).map(Slot::give_back).unwrap();
            }
            take(one, NOW).map(Slot::wrong).unwrap();
        }
        assert_eq!(take(neighbour, NOW).map(Slot::wrong), waits(600));
        take(other, NOW).map(Slot::wrong).unwrap();
        assert!(take(one, NOW.plus_seconds(599)).is_err());
        take(one, NOW.plus_seconds(600)).map(Slot::wrong).unwrap();
    }

    #[test]
    fn many_networks_lock_an_account_but_not_for_its_owner() {
        let guesses = Guesses::default();
        guesses.logged_in("a", peer("198.51.100.1"), NOW);
        for host in 0..100 {
            assert_eq!(wrong(&guesses, "a", &format!("192.0.2.{host}"), NOW), Ok(()));
        }
        assert_eq!(wrong(&guesses, "a", "192.0.2.200", NOW), waits(60));
        assert_eq!(wrong(&guesses, "b", "192.0.2.200", NOW), Ok(()));
        for _ in 0..30 {
            assert_eq!(wrong(&guesses, "a", "198.51.100.1", NOW), Ok(()), "the owner mistypes");
        }
        assert_eq!(wrong(&guesses, "a", "198.51.100.1", NOW), waits(600));
    }

    #[test]
    fn a_network_that_tries_everybody_is_locked_but_not_for_those_it_is_known_of() {
        let guesses = Guesses::default();
        guesses.logged_in("known", peer("192.0.2.1"), NOW);
        for account in 0..300 {
            assert_eq!(wrong(&guesses, &format!("a{account}"), "192.0.2.1", NOW), Ok(()));
        }
        assert_eq!(wrong(&guesses, "another", "192.0.2.1", NOW), waits(600));
        assert_eq!(wrong(&guesses, "known", "192.0.2.1", NOW), Ok(()));
        assert_eq!(wrong(&guesses, "another", "192.0.2.2", NOW), Ok(()));
        // Links are counted on their own.
        assert!(guesses.take(Guess::Token, "", peer("192.0.2.1"), NOW).is_ok());
    }

    #[test]
    fn passwords_and_codes_are_counted_apart() {
        let guesses = Guesses::default();
        let code = |now| guesses.take(Guess::SecondStep, "a", peer("192.0.2.1"), now).map(Slot::wrong);
        for _ in 0..10 {
            assert_eq!(code(NOW), Ok(()));
        }
        assert_eq!(code(NOW), waits(600));
        assert_eq!(wrong(&guesses, "a", "192.0.2.1", NOW), Ok(()));
        assert_eq!(code(NOW.plus_seconds(600)), Ok(()));
    }

    #[test]
    fn what_is_kept_is_bounded_and_locks_stay_longest() {
        let guesses = Guesses::keeping(1000);
        for _ in 0..30 {
            assert_eq!(wrong(&guesses, "victim", "192.0.2.1", NOW), Ok(()));
        }
        let open = guesses.take(Guess::Password, "open", peer("192.0.2.1"), NOW).ok().unwrap();
        for account in 0..10_000u32 {
            let from = IpAddr::from((0x0a00_0000 + account).to_be_bytes());
            assert!(
                guesses.take(Guess::Password, &format!("a{account}"), from, NOW).map(Slot::wrong).is_ok()
            );
            guesses.logged_in(&format!("a{account}"), from, NOW.plus_seconds(i64::from(account)));
            let state = guesses.lock();
            assert!(state.tries.len() <= 1000 && state.known.len() <= 1000);
        }
        assert_eq!(wrong(&guesses, "victim", "192.0.2.1", NOW), waits(600));
        open.wrong();
    }
}
