//! Limits on how often somebody may do something. Kept in memory: a restart forgives.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use super::guesses::Guesses;
use crate::clock::{SECOND_MICROS, Time};
use crate::config::network_of;
use crate::error::{Error, Result};
use crate::ids::{ProxyRecordId, UserId};

const MINUTE_SECONDS: i64 = 60;
const HOUR_SECONDS: i64 = 60 * 60;
const KEY_PER_MINUTE: u32 = 480;
const KEY_PER_HOUR: u32 = 4800;
const USER_WRITES_PER_MINUTE: u32 = 5;
const ADDRESS_CHANGES_PER_HOUR: u32 = 10;
const DAY_SECONDS: i64 = 24 * HOUR_SECONDS;
const RESENT_INVITES_PER_DAY: u32 = 6;
const RESETS_PER_DAY: u32 = 6;
const VERIFICATIONS_PER_DAY: u32 = 6;
const PASSWORD_CHANGES_PER_MINUTE: u32 = 5;
const SIGN_UPS_PER_DAY: u32 = 5;
const PRECHECKS_PER_MINUTE: u32 = 30;
const DIAGNOSIS_SECONDS: i64 = 30;
/// When so many are watched, the stale ones are forgotten, and then those that did least.
const WATCHED_MAX: usize = 10_000;

/// All limits.
#[derive(Default)]
pub struct Throttles {
    key_minute: RateLimiter<[u8; 32]>,
    key_hour: RateLimiter<[u8; 32]>,
    user_writes: RateLimiter<UserId>,
    address_changes: RateLimiter<UserId>,
    resent_invites: RateLimiter<[u8; 32]>,
    diagnoses: RateLimiter<(UserId, ProxyRecordId)>,
    resets: RateLimiter<[u8; 32]>,
    verifications: RateLimiter<UserId>,
    password_changes: RateLimiter<UserId>,
    sign_ups: RateLimiter<IpAddr>,
    prechecks: RateLimiter<IpAddr>,
    pub guesses: Guesses,
}

impl Throttles {
    /// Counts an attempt of a user to take another e-mail address, so that nobody tries out which are taken.
    ///
    /// # Errors
    /// 429 beyond ten in an hour.
    pub fn address_change(&self, user: UserId, now: Time) -> Result<()> {
        self.address_changes.hit(user, now, HOUR_SECONDS, ADDRESS_CHANGES_PER_HOUR)
    }

    /// Counts a diagnosis of a proxy record, which makes the server look things up elsewhere.
    ///
    /// # Errors
    /// 429 for a second one of a user within 30 seconds.
    pub fn diagnosis(&self, user: UserId, record: ProxyRecordId, now: Time) -> Result<()> {
        self.diagnoses.hit((user, record), now, DIAGNOSIS_SECONDS, 1)
    }

    /// Counts a request by key.
    ///
    /// # Errors
    /// 429 beyond so many in a minute or an hour.
    pub fn key(&self, hash: [u8; 32], now: Time) -> Result<()> {
        self.key_minute.hit(hash, now, MINUTE_SECONDS, KEY_PER_MINUTE)?;
        self.key_hour.hit(hash, now, HOUR_SECONDS, KEY_PER_HOUR)
    }

    /// Counts a wish to be sent an invite again, by the hash of the address.
    ///
    /// # Errors
    /// 429 beyond six in a day.
    pub fn resent_invite(&self, address: [u8; 32], now: Time) -> Result<()> {
        self.resent_invites.hit(address, now, DAY_SECONDS, RESENT_INVITES_PER_DAY)
    }

    /// Counts a wish for a link to a new password, by the hash of the address, whether anybody has it or not.
    ///
    /// # Errors
    /// 429 beyond six in a day.
    pub fn password_reset(&self, address: [u8; 32], now: Time) -> Result<()> {
        self.resets.hit(address, now, DAY_SECONDS, RESETS_PER_DAY)
    }

    /// Counts a wish for a link that confirms an address.
    ///
    /// # Errors
    /// 429 beyond six in a day.
    pub fn verification(&self, user: UserId, now: Time) -> Result<()> {
        self.verifications.hit(user, now, DAY_SECONDS, VERIFICATIONS_PER_DAY)
    }

    /// Counts a change of a user's password, right or wrong.
    ///
    /// # Errors
    /// 429 beyond five in a minute.
    pub fn password_change(&self, user: UserId, now: Time) -> Result<()> {
        self.password_changes.hit(user, now, MINUTE_SECONDS, PASSWORD_CHANGES_PER_MINUTE)
    }

    /// Counts a sign-up of a network where anybody may.
    ///
    /// # Errors
    /// 429 beyond five in a day.
    pub fn sign_up(&self, peer: IpAddr, now: Time) -> Result<()> {
        self.sign_ups.hit(network_of(peer), now, DAY_SECONDS, SIGN_UPS_PER_DAY)
    }

    /// Counts a question that comes before a log-in or a sign-up.
    ///
    /// # Errors
    /// 429 beyond thirty in a minute.
    pub fn precheck(&self, peer: IpAddr, now: Time) -> Result<()> {
        self.prechecks.hit(network_of(peer), now, MINUTE_SECONDS, PRECHECKS_PER_MINUTE)
    }

    /// Counts a change to a user's own settings.
    ///
    /// # Errors
    /// 429 beyond five in a minute.
    pub fn user_write(&self, user: UserId, now: Time) -> Result<()> {
        self.user_writes.hit(user, now, MINUTE_SECONDS, USER_WRITES_PER_MINUTE)
    }
}

/// Sliding windows: what happened in the last so many seconds, by slots of a window.
struct RateLimiter<K> {
    watched: Mutex<HashMap<K, Window>>,
}

impl<K> Default for RateLimiter<K> {
    fn default() -> Self {
        RateLimiter { watched: Mutex::default() }
    }
}

/// A window has this many slots; a count leaves it up to one slot later than to the second.
const SLOTS: usize = 60;

#[derive(Clone, Copy)]
struct Window {
    /// The slot of the last count, numbered since 1970.
    newest: i64,
    counts: [u16; SLOTS],
}

impl Default for Window {
    fn default() -> Window {
        Window { newest: 0, counts: [0; SLOTS] }
    }
}

impl Window {
    fn index(slot: i64) -> usize {
        usize::try_from(slot.rem_euclid(SLOTS as i64)).unwrap_or(0)
    }

    /// Forgets what has left the window by this slot.
    fn advance(&mut self, slot: i64) {
        let passed = (slot - self.newest).clamp(0, SLOTS as i64);
        for gone in slot - passed + 1..=slot {
            self.counts[Window::index(gone)] = 0;
        }
        self.newest = self.newest.max(slot);
    }

    fn total(&self) -> u32 {
        self.counts.iter().map(|count| u32::from(*count)).sum()
    }

    /// How many slots it takes until the oldest count leaves.
    fn slots_left(&self) -> i64 {
        let oldest = (1..=SLOTS as i64).find(|age| self.counts[Window::index(self.newest + age)] > 0);
        oldest.unwrap_or(1)
    }
}

impl<K: Hash + Eq + Copy> RateLimiter<K> {
    fn slot(now: Time, seconds: i64) -> i64 {
        now.0.div_euclid(seconds * SECOND_MICROS / SLOTS as i64)
    }

    fn hit(&self, key: K, now: Time, seconds: i64, max: u32) -> Result<()> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = Self::slot(now, seconds);
        if watched.len() >= WATCHED_MAX {
            watched.retain(|_, window| slot - window.newest <= SLOTS as i64);
        }
        if watched.len() >= WATCHED_MAX && !watched.contains_key(&key) {
            drop_least(&mut watched);
        }
        let window = watched.entry(key).or_default();
        window.advance(slot);
        if window.total() >= max {
            let micros = seconds * SECOND_MICROS / SLOTS as i64;
            let free = (slot + window.slots_left()) * micros - now.0;
            let retry_after_seconds =
                u32::try_from(((free + SECOND_MICROS - 1) / SECOND_MICROS).max(1)).unwrap_or(1);
            return Err(Error::Throttled { retry_after_seconds });
        }
        let count = &mut window.counts[Window::index(slot)];
        *count = count.saturating_add(1);
        Ok(())
    }
}

/// Drops about a quarter of those watched, who did least: nobody who makes others up forgets a limit that is met.
fn drop_least<K: Hash + Eq + Copy>(watched: &mut HashMap<K, Window>) {
    let mut by_weight: Vec<(u32, i64, K)> =
        watched.iter().map(|(key, window)| (window.total(), window.newest, *key)).collect();
    let place = by_weight.len() / 4;
    by_weight.select_nth_unstable_by_key(place, |(total, newest, _)| (*total, *newest));
    for (.., key) in &by_weight[..=place] {
        watched.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds_within_a_window_and_ends_with_it() {
        let limiter = RateLimiter::default();
        let start = Time(1_000_020 * SECOND_MICROS);
        for _ in 0..5 {
            assert!(limiter.hit(1, start, 60, 5).is_ok());
        }
        assert!(matches!(limiter.hit(1, start, 60, 5), Err(Error::Throttled { .. })));
        assert!(limiter.hit(2, start, 60, 5).is_ok());
        let refused = |seconds: i64| match limiter.hit(1, start.plus_seconds(seconds), 60, 5) {
            Err(Error::Throttled { retry_after_seconds }) => Some(retry_after_seconds),
            _ => None,
        };
        assert_eq!(refused(0), Some(60));
        assert_eq!(refused(59), Some(1));
        assert_eq!(refused(60), None);
    }

    #[test]
    fn what_is_watched_is_bounded_and_a_met_limit_is_not_forgotten() {
        let limiter = RateLimiter::default();
        let start = Time(1_000_020 * SECOND_MICROS);
        for _ in 0..6 {
            assert!(limiter.hit(u32::MAX, start, 60, 6).is_ok());
        }
        for other in 0..3 * u32::try_from(WATCHED_MAX).unwrap() {
            assert!(limiter.hit(other, start, 60, 6).is_ok());
        }
        assert!(limiter.watched.lock().unwrap().len() <= WATCHED_MAX);
        assert!(limiter.hit(u32::MAX, start, 60, 6).is_err());
    }

    #[test]
    fn no_window_of_the_length_holds_more_than_the_limit() {
        let limiter = RateLimiter::default();
        let start = Time(1_000_000 * SECOND_MICROS);
        let taken: Vec<i64> =
            (0..300).filter(|second| limiter.hit(1, start.plus_seconds(*second), 60, 20).is_ok()).collect();
        assert!(taken.len() > 80, "{taken:?}");
        for from in 0..240 {
            let inside = taken.iter().filter(|second| (from..from + 60).contains(*second)).count();
            assert!(inside <= 20, "{inside} from {from}");
        }
    }
}
