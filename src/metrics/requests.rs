//! Requests by the path of their route, method and class of status.
//!
//! Every path of the route table has its place, made when it is asked for first. The path of a request, which may hold
//! anything, is never a label.

use std::sync::{Mutex, OnceLock, PoisonError};

use super::value::{Counter, Histogram};

/// The methods that are told apart; all others count as the last one.
pub(super) const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "other"];
/// The place of the last one.
pub const OTHER: usize = METHODS.len() - 1;
/// The classes of statuses.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The requests of one path.
pub struct PathRequests {
    /// As the route table has it, with parameters in braces.
    pub path: String,
    by_method: OnceLock<Box<[MethodRequests; METHODS.len()]>>,
}

/// The requests of one path and method.
pub struct MethodRequests {
    by_class: [Counter; CLASSES.len()],
    /// How long their answers took.
    pub durations: Histogram,
}

impl MethodRequests {
    fn new() -> MethodRequests {
        let by_class = [const { Counter::new() }; CLASSES.len()];
        MethodRequests { by_class, durations: Histogram::of_durations() }
    }

    /// How many requests there were of each class.
    pub fn by_class(&self) -> impl Iterator<Item = (&'static str, u64)> {
        CLASSES.into_iter().zip(self.by_class.iter().map(Counter::get))
    }
}

static PATHS: Mutex<Vec<&'static PathRequests>> = Mutex::new(Vec::new());

impl PathRequests {
    /// A place for the requests of a path, kept until the process ends.
    pub fn of(path: &str) -> &'static PathRequests {
        let made = Box::leak(Box::new(PathRequests { path: path.to_owned(), by_method: OnceLock::new() }));
        PATHS.lock().unwrap_or_else(PoisonError::into_inner).push(made);
        made
    }

    /// Counts a request that was answered. `method` is its place in `METHODS`.
    pub fn count(&self, method: usize, status: u16, micros: u64) {
        let methods = self.by_method.get_or_init(|| Box::new(std::array::from_fn(|_| MethodRequests::new())));
        let requests = &methods[method.min(OTHER)];
        let class = usize::from(status / 100).clamp(1, CLASSES.len()) - 1;
        requests.by_class[class].one();
        requests.durations.record(micros);
    }

    /// The requests of each method that there were some of.
    pub fn by_method(&self) -> impl Iterator<Item = (&'static str, &MethodRequests)> {
        let methods =
            self.by_method.get().into_iter().flat_map(|methods| METHODS.into_iter().zip(methods.iter()));
        methods.filter(|(_, requests)| requests.by_class().any(|(_, count)| count > 0))
    }
}

/// Every path that has a place, in the order of their making.
pub fn all_paths() -> Vec<&'static PathRequests> {
    PATHS.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_counts_for_its_method_and_class_only() {
        let path = PathRequests::of("/test/{id}/");
        assert_eq!(path.by_method().count(), 0);
        path.count(0, 200, 150);
        path.count(0, 404, 150);
        path.count(99, 999, 150);
        let found: Vec<(&str, Vec<(&str, u64)>)> = path
            .by_method()
            .map(|(method, requests)| (method, requests.by_class().filter(|(_, count)| *count > 0).collect()))
            .collect();
        assert_eq!(found, [("GET", vec![("2xx", 1), ("4xx", 1)]), ("other", vec![("5xx", 1)])]);
        assert!(all_paths().iter().any(|known| known.path == "/test/{id}/"));
    }
}
