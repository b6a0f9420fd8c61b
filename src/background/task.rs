//! The one loop of all background tasks: run, keep the result, wait.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tracing::{error, info};

use crate::app::App;
use crate::clock::{Clock, Time};
use crate::error::{Error, Result};
use crate::resources::Swept;
use crate::store::{Changes, TableInfo, Tx, WriteTx};
use crate::task_results::TaskResult;
use crate::test_server::{Resting, TaskPlace};

/// Work that is done again and again for as long as the server runs.
pub(super) trait Task: Send + 'static {
    /// Names the task in the log and among the last results.
    const NAME: &'static str;
    /// The longest time between the beginnings of two runs.
    const EVERY_SECONDS: i64;
    /// The time from a run that failed to the next one.
    const ERROR_BACKOFF_SECONDS: i64 = Self::EVERY_SECONDS;

    /// A commit that changes one of these tables starts the next run at once.
    fn wakes_on() -> Vec<TableInfo> {
        Vec::new()
    }

    /// Does what is due.
    fn turn(&mut self, app: &Arc<App>) -> impl Future<Output = Result<()>> + Send;

    /// When something will be due after a turn, if that is known. There is no default: the clock of a test server is
    /// advanced from one such time to the next.
    fn next_due(&self, app: &App, tx: &Tx) -> Result<Option<Time>>;

    /// How much of its work is under way outside of its turns.
    fn under_way(&self) -> usize {
        0
    }

    /// What calls for a turn besides tables, as `woken` hears it.
    fn wakers(&self) -> Vec<Arc<Changes>> {
        Vec::new()
    }

    /// Ends when something other than a table or the clock calls for the next run.
    fn woken(&mut self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}

/// How often a task runs.
#[derive(Clone, Copy)]
struct Period {
    name: &'static str,
    every_seconds: i64,
    error_backoff_seconds: i64,
}

impl Period {
    const fn of<T: Task>() -> Period {
        Period {
            name: T::NAME,
            every_seconds: T::EVERY_SECONDS,
            error_backoff_seconds: T::ERROR_BACKOFF_SECONDS,
        }
    }

    /// When the next run is due. `next` is what the last one returned, `None` where it failed.
    fn next_run(self, next: Option<Option<Time>>, started_at: Time, now: Time) -> Time {
        let latest = started_at.plus_seconds(self.every_seconds);
        match next {
            Some(next) => next.map_or(latest, |next| next.min(latest)),
            None => now.plus_seconds(self.error_backoff_seconds),
        }
    }
}

/// A task of any type, so that the loop is compiled once.
trait AnyTask: Send {
    fn turn<'a>(&'a mut self, app: &'a Arc<App>) -> BoxFuture<'a, Result<()>>;
    fn next_due(&self, app: &App, tx: &Tx) -> Result<Option<Time>>;
    fn under_way(&self) -> usize;
    fn woken(&mut self) -> BoxFuture<'_, ()>;
}

impl<T: Task> AnyTask for T {
    fn turn<'a>(&'a mut self, app: &'a Arc<App>) -> BoxFuture<'a, Result<()>> {
        Box::pin(Task::turn(self, app))
    }

    fn next_due(&self, app: &App, tx: &Tx) -> Result<Option<Time>> {
        Task::next_due(self, app, tx)
    }

    fn under_way(&self) -> usize {
        Task::under_way(self)
    }

    fn woken(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(Task::woken(self))
    }
}

/// Runs the task as long as the server runs.
pub(super) fn drive<T: Task>(task: T, app: Arc<App>) -> impl Future<Output = ()> + Send + use<T> {
    let changed = app.store.watch(&T::wakes_on());
    let wakers: Vec<_> = [Arc::clone(&changed)].into_iter().chain(Task::wakers(&task)).collect();
    // At once, so that nobody who looks at the board finds it without the task.
    let place = app.test_server.as_ref().map(|server| server.tasks.register(T::NAME, wakers.clone()));
    drive_any(Box::new(task), Period::of::<T>(), Wakers { changed, all: wakers, place }, app)
}

/// What wakes a task.
struct Wakers {
    /// A commit that changes one of its tables.
    changed: Arc<Changes>,
    all: Vec<Arc<Changes>>,
    /// Where a test server sees what the task is at.
    place: Option<TaskPlace>,
}

async fn drive_any(mut task: Box<dyn AnyTask>, period: Period, wakers: Wakers, app: Arc<App>) {
    loop {
        // What is done outside while its end cannot be stored would be done again.
        app.store.healed().await;
        let heeded: Vec<u64> = wakers.all.iter().map(|waker| waker.count()).collect();
        let board = app.test_server.as_ref().map(|server| &server.tasks).zip(wakers.place);
        if let Some((board, place)) = board {
            board.begin(place);
        }
        let started_at = app.clock.now();
        let Planned { wakes_at, next_due } = run_once(&mut *task, period, &app, started_at).await;
        if let Some((board, place)) = board {
            let under_way = task.under_way();
            board.rest(place, Resting { began_at: started_at, wakes_at, next_due, under_way, heeded });
        }
        tokio::select! {
            () = wakers.changed.noted() => {}
            () = task.woken() => {}
            () = wait(&app.clock, started_at, wakes_at) => {}
        }
    }
}

/// When a task has its next turn.
struct Planned {
    wakes_at: Time,
    /// When something is due, if that is known.
    next_due: Option<Time>,
}

/// Runs the task once and keeps the result.
async fn run_once(task: &mut dyn AnyTask, period: Period, app: &Arc<App>, started_at: Time) -> Planned {
    let stopwatch = Instant::now();
    let result = AssertUnwindSafe(task.turn(app)).catch_unwind().await;
    let result = result.unwrap_or_else(|_| Err(Error::internal("the task panicked")));
    let result = result.and_then(|()| app.store.read(|tx| task.next_due(app, tx)));
    if let Err(cause) = &result {
        error!(task = period.name, %cause, "a background task failed");
    }
    let next = result.as_ref().ok().copied();
    let wakes_at = period.next_run(next, started_at, app.clock.now());
    // What has failed is tried again when its back-off is over.
    let next_due = next.unwrap_or(Some(wakes_at));
    let outcome = result.map(drop).map_err(|cause| cause.to_string());
    app.task_results.record(period.name, TaskResult { started_at, took: stopwatch.elapsed(), outcome });
    Planned { wakes_at, next_due }
}

/// Waits until `due`, or until the clock was set back to before `started_at`.
async fn wait(clock: &Clock, started_at: Time, due: Time) {
    let mut now = clock.now();
    while (started_at..due).contains(&now) {
        clock.until(due).await;
        now = clock.now();
    }
}

/// When what ends then is removed. What has ended and is there still waits for the clock to be trusted.
pub(super) fn removal_due(end: Option<Time>, now: Time) -> Option<Time> {
    const PATIENCE_SECONDS: i64 = 60 * 60;
    end.map(|end| if end > now { end } else { now.plus_seconds(PATIENCE_SECONDS) })
}

/// Removes until a step says that nothing more is left. Each step is a write of its own, so that requests
/// are served in between.
pub(super) async fn remove_in_steps(
    app: &App,
    what: &'static str,
    step: impl Fn(&WriteTx) -> Result<Swept> + Copy + Send + 'static,
) -> Result<()> {
    let mut rows = 0;
    let ended = loop {
        match app.store.write(step).await {
            Ok(swept) => {
                rows += swept.rows;
                if !swept.is_more {
                    break Ok(());
                }
            }
            Err(cause) => break Err(cause),
        }
    };
    if rows > 0 {
        info!(rows, "old {what} were removed");
    }
    ended
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Hourly;

    impl Task for Hourly {
        const NAME: &'static str = "hourly";
        const EVERY_SECONDS: i64 = 3600;
        const ERROR_BACKOFF_SECONDS: i64 = 600;

        async fn turn(&mut self, _: &Arc<App>) -> Result<()> {
            Ok(())
        }

        fn next_due(&self, _: &App, _: &Tx) -> Result<Option<Time>> {
            Ok(None)
        }
    }

    #[test]
    fn the_next_run_is_when_something_is_due_but_never_later_than_the_period() {
        let at = |seconds| Time(0).plus_seconds(seconds);
        for (next, wanted) in [
            (Some(None), 3600),
            (Some(Some(at(60))), 60),
            (Some(Some(at(0))), 0),
            (Some(Some(at(7200))), 3600),
            (None, 605),
        ] {
            assert_eq!(Period::of::<Hourly>().next_run(next, at(0), at(5)), at(wanted), "{next:?}");
        }
    }

    #[tokio::test]
    async fn a_clock_that_was_set_back_or_is_already_there_does_not_wait() {
        let clock = Clock::default();
        let now = clock.now();
        wait(&clock, now.plus_seconds(60), now.plus_seconds(3600)).await;
        wait(&clock, now, now).await;
    }
}
