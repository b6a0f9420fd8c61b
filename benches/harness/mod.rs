//! Load over keep-alive connections, processes that are measured from outside, and the bare server that
//! everything is compared with.

mod baseline;
mod cgroup;
mod fsync;
mod load;
mod plain;
mod process;
mod seeded;

pub use baseline::serve_baseline;
pub use cgroup::Cgroup;
pub use fsync::syncs_per_second;
pub use load::{Run, load, request};
pub use plain::serve_plain;
pub use process::Process;
pub use seeded::{Seeded, join, make_roles, post};

/// Prints one ratio.
pub fn print_ratio(what: &str, ratio: f64, more: &str) {
    println!("{what:<64} {ratio:>8.2}x   {more}");
}
