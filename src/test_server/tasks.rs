//! What the background tasks of a server are at: an advance of the clock waits until none of them has anything to do.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::Time;
use crate::store::Changes;

/// The tasks of one server.
#[derive(Default)]
pub struct TaskBoard {
    tasks: Mutex<Vec<Posted>>,
    changed: Notify,
}

/// The place of a task on the board.
#[derive(Clone, Copy)]
pub struct TaskPlace(usize);

struct Posted {
    name: &'static str,
    /// What wakes it.
    wakers: Vec<Arc<Changes>>,
    /// `None` while it has its turn.
    resting: Option<Resting>,
}

/// A task that waits.
pub struct Resting {
    /// When its turn began. A clock that is set to before that calls for another one.
    pub began_at: Time,
    /// When it runs again at the latest, if nothing wakes it.
    pub wakes_at: Time,
    /// When something will be due.
    pub next_due: Option<Time>,
    /// How much of its work is under way elsewhere.
    pub under_way: usize,
    /// How often each of its wakers had called when the turn began.
    pub heeded: Vec<u64>,
}

impl Posted {
    /// Whether nothing will happen before the clock is moved.
    fn is_quiet(&self, now: Time) -> bool {
        let is_heeded = |resting: &Resting| {
            self.wakers.iter().map(|waker| waker.count()).eq(resting.heeded.iter().copied())
        };
        self.resting.as_ref().is_some_and(|resting| {
            (resting.began_at..resting.wakes_at).contains(&now)
                && resting.under_way == 0
                && is_heeded(resting)
        })
    }
}

impl TaskBoard {
    /// Forgets the tasks of a server whose data was closed.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// A place for a task, which begins with a turn.
    pub fn register(&self, name: &'static str, wakers: Vec<Arc<Changes>>) -> TaskPlace {
        let mut tasks = self.lock();
        tasks.push(Posted { name, wakers, resting: None });
        TaskPlace(tasks.len() - 1)
    }

    /// Its turn begins.
    pub fn begin(&self, place: TaskPlace) {
        self.lock()[place.0].resting = None;
    }

    /// Its turn is over.
    pub fn rest(&self, place: TaskPlace, resting: Resting) {
        self.lock()[place.0].resting = Some(resting);
        self.changed.notify_waiters();
    }

    /// The tasks that have something to do.
    pub fn busy(&self, now: Time) -> Vec<&'static str> {
        self.lock().iter().filter(|task| !task.is_quiet(now)).map(|task| task.name).collect()
    }

    /// What each task will have to do, and when.
    pub fn next_due(&self) -> Vec<(Time, &'static str)> {
        let tasks = self.lock();
        tasks.iter().filter_map(|task| Some((task.resting.as_ref()?.next_due?, task.name))).collect()
    }

    /// Waits a moment, or until a turn is over.
    pub async fn moment(&self) {
        // What else counts, such as the end of a wait by the clock, wakes nobody here.
        const MOMENT: Duration = Duration::from_millis(2);
        let _ = tokio::time::timeout(MOMENT, self.changed.notified()).await;
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Posted>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
