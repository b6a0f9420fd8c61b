//! After a failed commit: back to the last good one, and on from there as soon as the disk lets us.
//!
//! Meanwhile readers stay on the newest snapshot, and writes are refused.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::StoreError;
use super::commit::{Committer, Report};
use super::file::DataFile;
use super::key::Key;
use super::migrate::META;
use super::tx::Staged;

const WAIT_MIN: Duration = Duration::from_millis(50);
const WAIT_MAX: Duration = Duration::from_secs(2);
/// So often may a disk that takes writes hold a file that does not open; then the process ends.
const UNOPENED_MAX: u32 = 10;
/// A trial is as large as what failed, within these bounds, in bytes: a disk with less space is full.
const TRIAL_BYTES: RangeInclusive<usize> = 256 * 1024..=1024 * 1024;
/// Whose row a trial is.
const TRIAL: &str = "trial";

impl Committer<'_> {
    /// Opens the file again, as often as it takes. `None`: there is nobody left to commit for, or the file
    /// can't be opened at all.
    pub(super) async fn recover(&mut self, failed_bytes: usize) -> Option<()> {
        let (mut wait, mut unopened) = (WAIT_MIN, 0);
        let mut is_told = false;
        let trial_bytes = failed_bytes.clamp(*TRIAL_BYTES.start(), *TRIAL_BYTES.end());
        let file = loop {
            match self.reopen(trial_bytes) {
                Ok(file) => break file,
                Err(failure) if failure.is_of_disk() => {
                    unopened = 0;
                    if !std::mem::replace(&mut is_told, true) {
                        tracing::warn!(%failure, "the data file can't be written yet; it is tried again");
                    }
                }
                Err(failure) => {
                    unopened += 1;
                    tracing::error!(%failure, "the data file could not be opened again");
                    if unopened >= UNOPENED_MAX {
                        let cause = format!("the data file failed and could not be opened again: {failure}");
                        self.shared.give_up(cause);
                        return None;
                    }
                }
            }
            self.refuse_for(wait).await?;
            wait = (wait * 2).min(WAIT_MAX);
        };
        self.take_batch(file).await?;
        if self.file.commit(&trial(None)).is_err() {
            return Box::pin(self.recover(failed_bytes)).await;
        }
        self.shared.heal();
        Some(())
    }

    /// The file at its last good commit, in a new `Database` that has proved that it can be written.
    fn reopen(&self, trial_bytes: usize) -> Result<DataFile, StoreError> {
        self.file.let_go()?;
        let DataFile { disk, .. } = &self.file;
        disk.restore().map_err(|cause| StoreError::disk(&cause.to_string()))?;
        self.file.again(&trial(Some(incompressible(trial_bytes))))
    }

    /// Waits, and refuses what the writer had sent before it knew.
    async fn refuse_for(&mut self, wait: Duration) -> Option<()> {
        let pause = tokio::time::sleep(wait);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => return Some(()),
                batch = self.batches.recv() => {
                    batch?;
                    let refused = Err(StoreError::disk("it can't be written now"));
                    self.reports.send(Report::Committed(refused)).await.ok()?;
                }
            }
        }
    }

    /// Lets readers and the writer go over to the new `Database`. It may use the pages of the old one's
    /// state again from its second commit on, so nobody may read there any more by then.
    async fn take_batch(&mut self, file: DataFile) -> Option<()> {
        const LOOK: Duration = Duration::from_millis(1);
        let shared = self.shared;
        let generation = shared.newest.load().generation + 1;
        let snapshot = match file.snapshot(shared, generation) {
            Ok(snapshot) => snapshot,
            Err(failure) => {
                shared.give_up(format!("the data file failed and could not be read again: {failure}"));
                return None;
            }
        };
        let old = shared.newest.swap(Arc::new(snapshot));
        self.reports.send(Report::Reopened).await.ok()?;
        while Arc::strong_count(&old) > 1 {
            tokio::time::sleep(LOOK).await;
        }
        drop(old);
        self.file = file;
        Some(())
    }
}

/// Bytes that no file system can compress.
fn incompressible(count: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let bytes = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    });
    bytes.take(count).collect()
}

/// The change of the trial's row.
fn trial(value: Option<Vec<u8>>) -> Staged {
    let mut staged = Staged::default();
    staged.put(META.info().name, TRIAL.to_owned().key_bytes(), value);
    staged
}
