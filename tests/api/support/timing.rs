//! How long the long tests take.

use std::io::Write;
use std::time::Instant;

/// Shows on stderr how long something took, also where the test passes: a macro's output would be hidden then.
pub fn print_seconds(what: &str, started: Instant) {
    let seconds = started.elapsed().as_secs_f64();
    drop(writeln!(std::io::stderr(), "{what}: {seconds:.1} s"));
}
