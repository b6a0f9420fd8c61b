//! The disk that durable writes are measured against.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

/// How many times a second a small append reaches this disk, one after the other.
pub fn syncs_per_second(folder: &Path) -> f64 {
    let mut file = File::create(folder.join("sync")).expect("a file");
    let started = Instant::now();
    let mut syncs = 0;
    while started.elapsed().as_secs_f64() < 1.0 {
        file.write_all(&[7; 512]).expect("a write");
        file.sync_data().expect("a sync");
        syncs += 1;
    }
    f64::from(syncs) / started.elapsed().as_secs_f64()
}
