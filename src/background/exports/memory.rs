//! The memory of attempts: each reserves its share of the memory for work before it begins. Sizes are chosen so
//! that as many attempts as there are workers fit at once: none waits for another that hangs. All together
//! leave a third of the memory to requests.

use std::sync::Arc;

use crate::app::App;
use crate::pool::{Account, Share};
use crate::resources::batch_exports::destination::Kind;

const MIB: usize = 1024 * 1024;
/// A batch of records with what is made of one of them, in bytes.
const BATCH_BYTES: usize = 8 * MIB;
/// A statement of a database twice.
const STATEMENT_BYTES: usize = 8 * MIB;

/// How large what waits to be sent may become, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    /// Parts of files for S3, which takes at least 5 MiB.
    pub(super) part: usize,
    /// Row groups of Parquet files.
    pub(super) group: usize,
    /// Bodies of requests over HTTP.
    pub(super) request: usize,
}

impl Sizes {
    /// The sizes for so much memory for one attempt: what waits is in memory twice, as it is made and as it is
    /// sent.
    pub(super) fn of(bytes: usize) -> Sizes {
        let half = bytes.saturating_sub(BATCH_BYTES) / 2;
        let part = (half / 3 * 2).clamp(5 * MIB, 16 * MIB);
        let group = half.saturating_sub(part).clamp(MIB, 16 * MIB);
        Sizes { part, group, request: half.clamp(MIB, 10 * MIB) }
    }

    /// What an attempt takes, in bytes.
    pub(super) fn cost(self, kind: Kind, is_parquet: bool) -> usize {
        let sending = match kind {
            Kind::S3 if is_parquet => 2 * self.part + 2 * self.group,
            Kind::S3 => 2 * self.part,
            Kind::Http => 2 * self.request,
            _ => STATEMENT_BYTES,
        };
        BATCH_BYTES + sending
    }
}

/// The memory that one attempt may take where all workers are busy, in bytes.
pub(super) fn bytes_of_one(app: &App) -> usize {
    app.work.bytes_max_of(Account::Exports) / app.config.exports.export_workers
}

/// Waits for the memory of an attempt, in bytes.
pub(super) async fn reserve(app: &Arc<App>, bytes: usize) -> Share {
    let bytes = bytes.min(app.work.bytes_max_of(Account::Exports));
    let share = app.work.share(Account::Exports, bytes);
    while share.grow(bytes).await.is_err() {}
    share
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_follow_the_memory_within_what_receivers_take() {
        let of = |mib: usize| {
            let Sizes { part, group, request } = Sizes::of(mib * MIB);
            (part / MIB, group / MIB, request / MIB)
        };
        assert_eq!([of(0), of(32), of(1024 * 1024)], [(5, 1, 1), (8, 4, 10), (16, 16, 10)]);
    }

    #[test]
    fn no_attempt_costs_more_than_its_part_of_a_usual_memory() {
        for mib in 24..200 {
            let sizes = Sizes::of(mib * MIB);
            for (kind, is_parquet) in
                [(Kind::S3, true), (Kind::S3, false), (Kind::Http, false), (Kind::Postgres, false)]
            {
                assert!(sizes.cost(kind, is_parquet) <= mib * MIB, "{kind:?} with {mib} MiB");
            }
        }
    }
}
