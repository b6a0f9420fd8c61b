//! Limits on how often somebody may do something. Kept in memory: a restart forgives.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

use crate::clock::{SECOND_MICROS, Time};
use crate::error::{Error, Result};

const MINUTE_SECONDS: i64 = 60;
const HOUR_SECONDS: i64 = 60 * 60;
const KEY_PER_MINUTE: u32 = 480;
const KEY_PER_HOUR: u32 = 4800;
const USER_WRITES_PER_MINUTE: u32 = 5;
const FAILED_LOGINS_MAX: u32 = 30;
const LOCK_OUT_SECONDS: i64 = 10 * 60;
/// Whoever comes when this many are watched makes the stale ones forgotten.
const WATCHED_MAX: usize = 10_000;

/// All limits.
#[derive(Default)]
pub struct Throttles {
    key_minute: Windows<[u8; 32]>,
    key_hour: Windows<[u8; 32]>,
    user_writes: Windows<Uuid>,
    failed_logins: Windows<IpAddr>,
}

impl Throttles {
    /// Counts a request by key.
    pub fn key(&self, hash: [u8; 32], now: Time) -> Result<()> {
        self.key_minute.take(hash, now, MINUTE_SECONDS, KEY_PER_MINUTE)?;
        self.key_hour.take(hash, now, HOUR_SECONDS, KEY_PER_HOUR)
    }

    /// Counts a change to a user's own settings.
    pub fn user_write(&self, user: Uuid, now: Time) -> Result<()> {
        self.user_writes.take(user, now, MINUTE_SECONDS, USER_WRITES_PER_MINUTE)
    }

    /// Refuses an address with too many failed log-ins.
    pub fn login(&self, peer: IpAddr, now: Time) -> Result<()> {
        if self.failed_logins.used(&peer, now, LOCK_OUT_SECONDS) < FAILED_LOGINS_MAX {
            return Ok(());
        }
        Err(Error::Denied {
            code: "too_many_failed_attempts",
            detail: "Too many failed login attempts. Please try again in 10 minutes.".into(),
        })
    }

    /// Counts a failed log-in.
    pub fn login_failed(&self, peer: IpAddr, now: Time) {
        let _ = self.failed_logins.take(peer, now, LOCK_OUT_SECONDS, u32::MAX);
    }

    /// Forgives an address after a log-in that worked.
    pub fn login_worked(&self, peer: IpAddr) {
        self.failed_logins.forget(&peer);
    }
}

/// Sliding windows: the count of the window before fades out as this one passes.
struct Windows<W> {
    watched: Mutex<HashMap<W, Window>>,
}

impl<W> Default for Windows<W> {
    fn default() -> Self {
        Windows { watched: Mutex::default() }
    }
}

#[derive(Clone, Copy, Default)]
struct Window {
    number: i64,
    count: u32,
    before: u32,
}

impl Window {
    fn at(self, number: i64) -> Window {
        match number - self.number {
            0 => self,
            1 => Window { number, count: 0, before: self.count },
            _ => Window { number, count: 0, before: 0 },
        }
    }

    fn weight(self, now: Time, seconds: i64) -> f64 {
        let micros = seconds * SECOND_MICROS;
        #[expect(clippy::cast_precision_loss, reason = "both are far below 2^52")]
        let left = 1.0 - (now.0.rem_euclid(micros) as f64) / (micros as f64);
        f64::from(self.count) + f64::from(self.before) * left
    }
}

impl<W: Hash + Eq + Copy> Windows<W> {
    fn take(&self, who: W, now: Time, seconds: i64, max: u32) -> Result<()> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let number = now.unix_seconds().div_euclid(seconds);
        if watched.len() >= WATCHED_MAX {
            watched.retain(|_, window| number - window.number <= 1);
        }
        let window = watched.entry(who).or_default();
        *window = window.at(number);
        if window.weight(now, seconds) >= f64::from(max) {
            let left = seconds - now.unix_seconds().rem_euclid(seconds);
            return Err(Error::Throttled { retry_after_seconds: u32::try_from(left.max(1)).unwrap_or(1) });
        }
        window.count = window.count.saturating_add(1);
        Ok(())
    }

    fn used(&self, who: &W, now: Time, seconds: i64) -> u32 {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let number = now.unix_seconds().div_euclid(seconds);
        let window = watched.get(who).copied().unwrap_or_default().at(number);
        window.count + window.before
    }

    fn forget(&self, who: &W) {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).remove(who);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds_within_a_window_and_ends_with_it() {
        let windows = Windows::default();
        let start = Time(1_000_020 * SECOND_MICROS);
        for _ in 0..5 {
            assert!(windows.take(1, start, 60, 5).is_ok());
        }
        assert!(matches!(windows.take(1, start, 60, 5), Err(Error::Throttled { .. })));
        assert!(windows.take(2, start, 60, 5).is_ok());
        assert!(windows.take(1, start.plus_seconds(120), 60, 5).is_ok());
    }

    #[test]
    fn thirty_failed_log_ins_lock_an_address_out() {
        let throttles = Throttles::default();
        let peer = IpAddr::from([127, 0, 0, 1]);
        let now = Time(1_000_000 * SECOND_MICROS);
        for _ in 0..29 {
            throttles.login_failed(peer, now);
        }
        assert!(throttles.login(peer, now).is_ok());
        throttles.login_failed(peer, now);
        assert!(throttles.login(peer, now).is_err());
        assert!(throttles.login(IpAddr::from([127, 0, 0, 2]), now).is_ok());
        assert!(throttles.login(peer, now.plus_seconds(2 * LOCK_OUT_SECONDS)).is_ok());
    }
}
