//! Counters, gauges and histograms.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Something that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// A counter at zero.
    pub const fn new() -> Counter {
        Counter(AtomicU64::new(0))
    }

    /// Counts one.
    pub fn one(&self) {
        self.add(1);
    }

    /// Counts so many.
    pub fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    /// How many there were since the start.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Something that was seen last.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// A gauge at zero.
    pub const fn new() -> Gauge {
        Gauge(AtomicU64::new(0))
    }

    /// Replaces the value.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The upper bounds of durations, in microseconds.
const MICROS: [u64; 15] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 10_000_000,
];
/// The upper bounds of amounts.
const AMOUNTS: [u64; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

/// How often values fell between two bounds.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    /// So many of what is recorded are one of the unit that is shown.
    per_unit: f64,
    /// Up to each bound, and beyond the last one.
    counts: [AtomicU64; MICROS.len() + 1],
    sum: AtomicU64,
}

impl Histogram {
    /// Of durations, shown in seconds.
    pub const fn of_durations() -> Histogram {
        Histogram::new(&MICROS, 1e6)
    }

    /// Of amounts.
    pub const fn of_amounts() -> Histogram {
        Histogram::new(&AMOUNTS, 1.0)
    }

    const fn new(bounds: &'static [u64], per_unit: f64) -> Histogram {
        let counts = [const { AtomicU64::new(0) }; MICROS.len() + 1];
        Histogram { bounds, per_unit, counts, sum: AtomicU64::new(0) }
    }

    /// Records how long something took.
    pub fn took(&self, time: Duration) {
        self.record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// Records a value, of durations in microseconds.
    pub fn record(&self, value: u64) {
        let place = self.bounds.iter().position(|bound| value <= *bound).unwrap_or(self.bounds.len());
        self.counts[place].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// The bounds, in the unit that is shown, with how many values lie at or below each; the last is infinite.
    pub(super) fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = self.bounds.iter().map(|bound| *bound as f64 / self.per_unit);
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        bounds.chain([f64::INFINITY]).zip(counts).scan(0, |below, (bound, count)| {
            *below += count;
            Some((bound, *below))
        })
    }

    /// The sum of all values, in the unit that is shown.
    pub(super) fn sum(&self) -> f64 {
        self.sum.load(Ordering::Relaxed) as f64 / self.per_unit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_in_every_bucket_whose_bound_it_does_not_exceed() {
        let amounts = Histogram::of_amounts();
        for value in [0, 1, 2, 3, 512, 513] {
            amounts.record(value);
        }
        let counts: Vec<u64> = amounts.buckets().map(|(_, count)| count).collect();
        assert_eq!(counts, [2, 3, 4, 4, 4, 4, 4, 4, 4, 5, 6]);
        assert_eq!(amounts.buckets().last().map(|(bound, _)| bound), Some(f64::INFINITY));
        assert!((amounts.sum() - 1031.0).abs() < f64::EPSILON);
    }

    #[test]
    fn durations_are_shown_in_seconds() {
        let durations = Histogram::of_durations();
        durations.took(Duration::from_micros(100));
        durations.took(Duration::from_micros(101));
        durations.took(Duration::from_secs(60));
        let buckets: Vec<(f64, u64)> = durations.buckets().collect();
        assert_eq!((buckets[0], buckets[1]), ((0.0001, 1), (0.000_25, 2)));
        assert_eq!((buckets.len(), buckets[14], buckets[15].1), (16, (10.0, 2), 3));
        assert!((durations.sum() - 60.000_201).abs() < 1e-9);
    }
}
