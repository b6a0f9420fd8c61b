//! Load over keep-alive connections, processes that are measured from outside, and the bare server that
//! everything is compared with.

mod bare;
mod cgroup;
mod disk;
mod filled;
mod load;
mod process;

pub use bare::serve_if_asked;
pub use cgroup::Cgroup;
pub use disk::syncs_per_second;
pub use filled::{Filled, post};
pub use load::{Run, load, request};
pub use process::Process;

/// Prints one ratio.
pub fn told(what: &str, ratio: f64, more: &str) {
    println!("{what:<64} {ratio:>8.2}x   {more}");
}
