//! The memory of attempts: each takes its share of the memory for work before it begins, and waits where
//! there is none. All together take half of it at the most, so that requests are answered meanwhile.

use std::sync::Arc;

use super::job::Job;
use crate::app::App;
use crate::pool::{Account, Share};
use crate::resources::batch_exports::destination::Kind;

const MIB: usize = 1024 * 1024;
/// A piece of records with what is made of one of them, in bytes.
const PIECE_BYTES: usize = 8 * MIB;
/// A request over HTTP twice: as it is made, and as it is sent.
const REQUEST_BYTES: usize = 20 * MIB;
/// A statement of a database twice.
const STATEMENT_BYTES: usize = 8 * MIB;

/// How large what waits to be sent may become, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    /// Parts of files for S3, which takes at least 5 MiB.
    pub(super) part: usize,
    /// Row groups of Parquet files.
    pub(super) group: usize,
}

impl Sizes {
    /// The sizes that go with so much memory for all attempts.
    pub(super) fn of(bytes: usize) -> Sizes {
        Sizes { part: (bytes / 5).clamp(5 * MIB, 16 * MIB), group: (bytes / 5).clamp(MIB, 16 * MIB) }
    }

    /// What an attempt takes, in bytes.
    fn cost(self, kind: Kind, is_parquet: bool) -> usize {
        let sending = match kind {
            Kind::S3 if is_parquet => 2 * self.part + 2 * self.group,
            Kind::S3 => 2 * self.part,
            Kind::Http => REQUEST_BYTES,
            _ => STATEMENT_BYTES,
        };
        PIECE_BYTES + sending
    }
}

/// The memory that all attempts together may take, in bytes.
pub(super) fn bytes_max(app: &App) -> usize {
    app.work.bytes_max_of(Account::Exports)
}

/// Waits for the attempt's memory.
pub(super) async fn taken(app: &Arc<App>, job: &Job) -> Share {
    let is_parquet = job.text("file_format") == Some("Parquet");
    let bytes = job.sizes.cost(job.plan.destination.kind, is_parquet).min(bytes_max(app));
    let turn = app.work.share(Account::Exports, bytes);
    while turn.grow(bytes).await.is_err() {}
    turn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_follow_the_memory_within_what_receivers_take() {
        assert_eq!(Sizes::of(0), Sizes { part: 5 * MIB, group: MIB });
        assert_eq!(Sizes::of(50 * MIB), Sizes { part: 10 * MIB, group: 10 * MIB });
        assert_eq!(Sizes::of(usize::MAX), Sizes { part: 16 * MIB, group: 16 * MIB });
    }

    #[test]
    fn what_holds_more_costs_more() {
        let sizes = Sizes::of(usize::MAX);
        let cost = |kind, is_parquet| sizes.cost(kind, is_parquet) / MIB;
        let costs = [
            cost(Kind::S3, true),
            cost(Kind::S3, false),
            cost(Kind::Http, false),
            cost(Kind::Postgres, false),
        ];
        assert_eq!(costs, [72, 40, 28, 16]);
    }
}
