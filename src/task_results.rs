//! The last result of every background task.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Time;

/// How a task's last run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskResult {
    /// When the run began.
    pub started_at: Time,
    /// How long it took.
    pub took: Duration,
    /// `Err` holds the error's sentence. It may name what only the operator should see.
    pub outcome: Result<(), String>,
}

/// Last results by the names of their tasks.
#[derive(Default)]
pub struct TaskResults(Mutex<BTreeMap<&'static str, TaskResult>>);

impl TaskResults {
    /// Replaces the last result of a task.
    pub fn record(&self, task: &'static str, result: TaskResult) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(task, result);
    }

    /// The last result of each task that has run, by name.
    pub fn all(&self) -> BTreeMap<&'static str, TaskResult> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_result_replaces_the_one_of_the_same_task_only() {
        let results = TaskResults::default();
        assert!(results.all().is_empty());
        let result = |seconds, outcome: Result<(), &str>| TaskResult {
            started_at: Time(seconds),
            took: Duration::from_millis(5),
            outcome: outcome.map_err(str::to_owned),
        };
        results.record("mail", result(1, Err("the disk is full")));
        results.record("exports", result(2, Ok(())));
        results.record("mail", result(3, Ok(())));
        let wanted = BTreeMap::from([("exports", result(2, Ok(()))), ("mail", result(3, Ok(())))]);
        assert_eq!(results.all(), wanted);
    }
}
