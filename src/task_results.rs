//! The last result of every background task.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
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
pub struct TaskResults(Mutex<BTreeMap<&'static str, TaskHistory>>);

/// What is known of all runs of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskHistory {
    pub last: TaskResult,
    /// When the last run ended that went well.
    pub last_success_at: Option<Time>,
    pub failures: u64,
}

impl TaskResults {
    /// Replaces the last result of a task.
    pub fn record(&self, task: &'static str, result: TaskResult) {
        let mut all = self.lock();
        let before = all.get(task);
        let (last_success_at, failures) =
            before.map_or((None, 0), |known| (known.last_success_at, known.failures));
        let took = i64::try_from(result.took.as_micros()).unwrap_or(i64::MAX);
        let history = match result.outcome {
            Ok(()) => {
                let ended_at = Time(result.started_at.0.saturating_add(took));
                TaskHistory { last: result, last_success_at: Some(ended_at), failures }
            }
            Err(_) => TaskHistory { last: result, last_success_at, failures: failures + 1 },
        };
        all.insert(task, history);
    }

    /// The last result of each task that has run, by name.
    pub fn all(&self) -> BTreeMap<&'static str, TaskResult> {
        self.lock().iter().map(|(task, known)| (*task, known.last.clone())).collect()
    }

    /// The same, with what is known of the runs before.
    pub fn histories(&self) -> BTreeMap<&'static str, TaskHistory> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, TaskHistory>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mail = &results.histories()["mail"];
        assert_eq!((mail.last_success_at, mail.failures), (Some(Time(5003)), 1));
        results.record("mail", result(4, Err("again")));
        let mail = &results.histories()["mail"];
        assert_eq!((mail.last_success_at, mail.failures), (Some(Time(5003)), 2));
    }
}
