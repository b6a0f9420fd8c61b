//! Guards that walk the whole route table.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use orgd::app::Route;
use orgd::routes;

use super::timing::print_seconds;

/// Which routes a guard does not cover, each with the reason.
const UNCOVERED: &str = "uncovered.txt";

/// Every route but the pages for people, which have guards of their own.
pub fn api_routes() -> impl Iterator<Item = &'static Route> {
    routes::table().routes().filter(|route| !route.is_page())
}

/// Calls `visit` for every route that `is_wanted`, on several threads, each of which has its own surroundings from
/// `begin`: a server and who calls it. The answers are in the order of the table. Prints the time that it took.
pub fn walk<S, T: Send>(
    guard: &str,
    is_wanted: impl Fn(&Route) -> bool,
    begin: impl Fn() -> S + Sync,
    visit: impl Fn(&mut S, &'static Route) -> T + Sync,
) -> Vec<(&'static Route, T)> {
    let started = Instant::now();
    let routes: Vec<&'static Route> = api_routes().filter(|route| is_wanted(route)).collect();
    let (next, visited) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    // A thread waits for its server half of the time.
    let threads = 2 * std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let work = || {
            let mut surroundings = begin();
            while let Some(route) = routes.get(next.fetch_add(1, Ordering::Relaxed)) {
                let visiting = Visiting(route);
                let visited_route = visit(&mut surroundings, route);
                drop(visiting);
                let place = (&route.path, route.method);
                visited.lock().expect("no other thread panics").insert(place, (*route, visited_route));
            }
        };
        for _ in 0..threads.min(8) {
            scope.spawn(work);
        }
    });
    print_seconds(guard, started);
    visited.into_inner().expect("no thread has panicked").into_values().collect()
}

/// Names the route in the output of a test that fails there.
struct Visiting(&'static Route);

impl Drop for Visiting {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("at {}", named(self.0));
        }
    }
}

/// How messages and committed files name a route.
pub fn named(route: &Route) -> String {
    format!("{} {}", route.method.name(), route.path)
}

/// A file beside these tests.
pub fn committed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api").join(name)
}

/// What the committed file says must be what was found.
pub fn compare(name: &str, found: &str) {
    let path = committed(name);
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, found).expect("the file can be written");
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, wanted, "{name} differs; if that is meant, run the test with UPDATE_EXPECTED=1");
}

/// Fails where the guard leaves out another route than `uncovered.txt` says, whose lines read
/// `guard METHOD path: reason`. `walked` holds why a route is not covered, if it is not.
pub fn only_named_are_uncovered(
    guard: &str,
    walked: impl IntoIterator<Item = (&'static Route, Option<String>)>,
) {
    let mut left_out = BTreeSet::new();
    for (route, why) in walked {
        if let Some(why) = why {
            eprintln!("{guard} {}: {why}", named(route));
            left_out.insert(named(route));
        }
    }
    only_these_are_uncovered(guard, &left_out);
}

/// The same for what is no route: the lines read `guard name: reason`.
pub fn only_these_are_uncovered(guard: &str, left_out: &BTreeSet<String>) {
    let reasons = reasons(UNCOVERED);
    let of_guard = reasons.iter().filter_map(|(what, _)| what.strip_prefix(guard)?.strip_prefix(' '));
    let named: BTreeSet<String> = of_guard.map(str::to_owned).collect();
    assert_eq!(
        *left_out, named,
        "{guard} does not cover what {UNCOVERED} says (left: found, right: the file)"
    );
}

/// The lines of a committed file of the form `what: reason`, but for those that begin with `#`.
pub fn reasons(name: &str) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(committed(name)).expect("the file is there");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (what, reason) =
                line.split_once(": ").unwrap_or_else(|| panic!("{name}: no reason in {line}"));
            (what.to_owned(), reason.to_owned())
        })
        .collect()
}
