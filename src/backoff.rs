//! Growing waits between attempts.

use crate::clock::{SECOND_MICROS, Time};

/// Waits that grow by a factor with each failure, up to a longest one.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// The wait after the first failure, in seconds.
    pub first: f64,
    /// How many times longer each further wait is.
    pub factor: f64,
    /// The longest wait, in seconds.
    pub max: f64,
}

impl Backoff {
    /// When to try again, where `failures` attempts failed before the one that failed now.
    pub fn retry_at(self, now: Time, failures: u32) -> Time {
        Time(now.0.saturating_add(self.micros(failures)))
    }

    /// The wait in microseconds.
    fn micros(self, failures: u32) -> i64 {
        // Far beyond every longest wait, and within what a float holds.
        const FAILURES_MAX: u32 = 1000;
        let power = i32::try_from(failures.min(FAILURES_MAX)).unwrap_or(i32::MAX);
        let seconds = (self.first * self.factor.powi(power)).min(self.max);
        #[expect(clippy::cast_possible_truncation, reason = "the longest wait is minutes or hours")]
        let micros = (seconds * SECOND_MICROS as f64) as i64;
        micros
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_by_the_factor_up_to_the_longest() {
        for (first, factor, max, wanted) in [
            (30.0, 2.0, 120.0, [30.0, 60.0, 120.0, 120.0, 120.0]),
            (30.0, 2.0, 3600.0, [30.0, 60.0, 120.0, 3600.0, 3600.0]),
            (3.0, 1.1, 300.0, [3.0, 3.3, 3.63, 300.0, 300.0]),
            (1.0, 2.0, f64::INFINITY, [1.0, 2.0, 4.0, 1024.0, f64::INFINITY]),
        ] {
            let backoff = Backoff { first, factor, max };
            let waits = [0, 1, 2, if max.is_finite() { 50 } else { 10 }, u32::MAX].map(|failures| {
                let wait = backoff.retry_at(Time(0), failures).0;
                if wait == i64::MAX { f64::INFINITY } else { wait as f64 / SECOND_MICROS as f64 }
            });
            for (wait, wanted) in waits.into_iter().zip(wanted) {
                assert!(wait == wanted || (wait - wanted).abs() < 0.000_002, "{backoff:?}: {waits:?}");
            }
        }
    }
}
