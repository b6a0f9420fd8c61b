//! What is counted and measured for whoever watches the server, and its text form for Prometheus.
//!
//! One process has one server, so what is counted as it happens lies in statics: atomics that need no look-up, no lock
//! and no allocation. What can be looked up at any time, such as the length of a queue, is not counted here but read
//! when somebody asks for it.

mod counters;
mod process;
mod requests;
mod text;
mod value;

pub use counters::*;
pub use process::{Process, process};
pub use requests::{OTHER, PathRequests, all_paths};
pub use text::{Family, Kind, Text};
pub use value::{Counter, Gauge, Histogram};
