//! Load over keep-alive connections, processes that are measured from outside, and the bare server that
//! everything is compared with.

mod bare;
mod disk;
mod load;
mod process;

pub use bare::serve_if_asked;
pub use disk::syncs_per_second;
pub use load::{Run, load, request};
pub use process::Process;
