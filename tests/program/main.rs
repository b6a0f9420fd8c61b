//! The program as a process: its command line, its signals, its crashes.

#![expect(unreachable_pub, reason = "everything here is of one crate")]

mod cli;
mod crash;
mod support;
