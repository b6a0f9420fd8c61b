//! Who gets a worker next. Organizations take turns: the one with the fewest running attempts is first, and
//! among those the one that has waited longest for a turn. Where several organizations have exports, none of
//! them gets the last free worker while it holds all others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::ids::OrganizationId;
use crate::store::Changes;

/// How many organizations are remembered though they have nothing to do.
const REMEMBERED_MAX: usize = 10_000;

/// The turns of organizations at a number of workers.
pub(super) struct WorkerTurns {
    workers: usize,
    /// The number of each organization's last turn.
    last: HashMap<OrganizationId, u64>,
    given: u64,
}

impl WorkerTurns {
    pub(super) fn new(workers: usize) -> WorkerTurns {
        WorkerTurns { workers, last: HashMap::new(), given: 0 }
    }

    /// Gives a turn to one of those that wait; returns its place in the list. `held` has the organization of
    /// every attempt that has a worker.
    pub(super) fn give(
        &mut self,
        waiting: &[OrganizationId],
        held: &[OrganizationId],
        is_shared: bool,
    ) -> Option<usize> {
        if held.len() >= self.workers {
            return None;
        }
        let keeps_one_free = is_shared && self.workers > 1;
        let most = self.workers - usize::from(keeps_one_free);
        let count =
            |organization: &OrganizationId| held.iter().filter(|holder| *holder == organization).count();
        let rank =
            |organization: &OrganizationId| (count(organization), self.last.get(organization).copied());
        let may = waiting.iter().enumerate().filter(|(_, organization)| count(organization) < most);
        let (place, organization) = may.min_by_key(|(_, organization)| rank(organization))?;
        self.given += 1;
        self.last.insert(*organization, self.given);
        Some(place)
    }

    /// Forgets the organizations that have nothing to do, when there are many: a forgotten one is first again.
    pub(super) fn keep(&mut self, is_busy: impl Fn(&OrganizationId) -> bool) {
        if self.last.len() > REMEMBERED_MAX {
            self.last.retain(|organization, _| is_busy(organization));
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Working,
    Resting,
    Waiting,
}

/// An attempt's hold on a worker, which it gives up while it only waits.
pub(super) struct Seat {
    phase: Mutex<Phase>,
    /// The attempt has a worker again.
    resumed: Notify,
    /// Noted when the phase changes.
    changed: Arc<Changes>,
}

impl Seat {
    /// With a worker.
    pub(super) fn new(changed: Arc<Changes>) -> Seat {
        Seat { phase: Mutex::new(Phase::Working), resumed: Notify::new(), changed }
    }

    /// Leaves the worker to others for as long as the pause lasts, and returns when there is one again.
    pub(super) async fn rest(&self, pause: impl Future<Output = ()>) {
        *self.phase() = Phase::Resting;
        self.changed.note();
        pause.await;
        *self.phase() = Phase::Waiting;
        self.changed.note();
        self.resumed.notified().await;
    }

    pub(super) fn holds_a_worker(&self) -> bool {
        *self.phase() == Phase::Working
    }

    /// Whether the attempt would continue, if there were a worker.
    pub(super) fn waits(&self) -> bool {
        *self.phase() == Phase::Waiting
    }

    /// Gives a worker to an attempt that waits for one.
    pub(super) fn resume(&self) {
        *self.phase() = Phase::Working;
        self.resumed.notify_one();
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const A: OrganizationId = OrganizationId(Uuid::from_u128(1));
    const B: OrganizationId = OrganizationId(Uuid::from_u128(2));
    const C: OrganizationId = OrganizationId(Uuid::from_u128(3));

    #[test]
    fn who_holds_the_fewest_workers_is_next_and_none_holds_all_where_there_are_others() {
        for (workers, waiting, held, is_shared, wanted) in [
            (4, &[A, A, B][..], &[A][..], true, Some(2)),
            (4, &[A, A, B], &[A, B], true, Some(0)),
            (4, &[A], &[A, A], true, Some(0)),
            (4, &[A], &[A, A, A], true, None),
            (4, &[A], &[A, A, A], false, Some(0)),
            (4, &[A, B], &[A, A, A], true, Some(1)),
            (4, &[C], &[A, A, A, B], true, None),
            (2, &[A, B], &[A], true, Some(1)),
            (2, &[A], &[A], true, None),
            (1, &[A], &[], true, Some(0)),
            (1, &[B], &[A], true, None),
            (4, &[], &[], true, None),
        ] {
            let given = WorkerTurns::new(workers).give(waiting, held, is_shared);
            assert_eq!(given, wanted, "{workers} workers, {waiting:?} wait, {held:?} work");
        }
    }

    #[test]
    fn a_single_worker_goes_round() {
        let mut turns = WorkerTurns::new(1);
        let waiting = [A, A, A, B, C, C];
        let given: Vec<OrganizationId> =
            (0..6).filter_map(|_| Some(waiting[turns.give(&waiting, &[], true)?])).collect();
        assert_eq!(given, [A, B, C, A, B, C]);
    }

    #[test]
    fn who_comes_back_is_not_taken_for_somebody_new_until_too_many_are_remembered() {
        let mut turns = WorkerTurns::new(1);
        for organization in [B, A] {
            assert_eq!(turns.give(&[organization], &[], true), Some(0));
            turns.keep(|_| false);
        }
        assert_eq!(turns.give(&[A, B], &[], true), Some(1));
        for number in 0..REMEMBERED_MAX as u128 {
            turns.give(&[OrganizationId(Uuid::from_u128(100 + number))], &[], true);
        }
        turns.keep(|organization| *organization == B);
        assert_eq!(turns.last.len(), 1);
    }
}
