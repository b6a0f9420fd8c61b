//! Tests that need a PostgreSQL server. Where the machine has none they count as ignored, with the reason; with
//! `ORGD_TESTS_NEED_ALL` set, they fail instead.

#![recursion_limit = "256"]
#![expect(unreachable_pub, reason = "everything here is of one crate")]

mod cluster;
mod exports_postgres;
#[path = "../api/support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the tests of the API use the rest")]
mod support;
mod test_steps_postgres;

use libtest_mimic::{Arguments, Completion, Trial};

fn main() {
    let files =
        [("exports_postgres", exports_postgres::TESTS), ("test_steps_postgres", test_steps_postgres::TESTS)];
    let tests =
        files.iter().flat_map(|(file, tests)| tests.iter().map(move |(name, test)| (file, name, test)));
    let trials = tests.map(|(file, name, test)| {
        Trial::ignorable_test(format!("{file}::{name}"), move || {
            if let Some(reason) = cluster::missing() {
                return Ok(Completion::ignored_with(reason));
            }
            test();
            Ok(Completion::Completed)
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit();
}
