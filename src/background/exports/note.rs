//! Last stage, and between the others: what the data file remembers of an attempt.

use std::sync::Arc;

use super::error::{AttemptError, Result};
use crate::api::{Actor, Source};
use crate::app::App;
use crate::error::Result as StoreResult;
use crate::ids::{BatchExportId, RunId};
use crate::resources::batch_exports::redact::Redactor;
use crate::resources::batch_exports::runs::{self, Commit, Context, Open, Outcome, Progress, Run};
use crate::resources::events::EventIds;
use crate::store::WriteTx;

/// Reads and writes what is stored of one run.
pub(super) struct Notes {
    app: Arc<App>,
    export: BatchExportId,
    run: RunId,
}

impl Notes {
    pub(super) fn new(app: &Arc<App>, run: &Open) -> Notes {
        Notes { app: Arc::clone(app), export: run.export, run: run.id }
    }

    /// The export that the run belongs to.
    pub(super) fn export(&self) -> BatchExportId {
        self.export
    }

    /// What the run was made for; `None` where it is over.
    pub(super) fn stored_plan(&self) -> Result<Option<runs::Plan>> {
        Ok(self.app.store.read(|tx| runs::plan(tx, self.export, self.run))?)
    }

    /// Notes that an attempt begins, and where the data is sent; `None` where the run is over.
    pub(super) async fn begin(&self, destination: String) -> Result<Option<Run>> {
        Ok(self.write(move |tx, context| runs::begin(tx, context, &destination)).await?)
    }

    /// Notes what the destination has confirmed.
    ///
    /// # Errors
    /// `Ended` where the run is no longer wanted; so do the next two.
    pub(super) async fn progress(&self, progress: Progress) -> Result<()> {
        self.write_while_wanted(move |tx, context| runs::advance(tx, context, progress)).await
    }

    /// Notes the database transaction that is about to be committed.
    pub(super) async fn commit(&self, commit: Commit) -> Result<()> {
        self.write_while_wanted(move |tx, context| runs::note_commit(tx, context, commit)).await
    }

    /// Writes into the export's log what its owner should know.
    pub(super) async fn warn(&self, redactor: &Redactor, message: String) -> Result<()> {
        let message = redactor.redact(message);
        self.write_while_wanted(move |tx, context| runs::warn(tx, context, &message)).await
    }

    /// The transaction that an earlier attempt was about to commit.
    pub(super) fn commit_before(&self) -> Result<Option<Commit>> {
        Ok(self.app.store.read(|tx| runs::commit_of(tx, self.run))?)
    }

    /// Notes how the attempt ended.
    pub(super) async fn outcome(&self, outcome: Outcome) -> StoreResult<()> {
        self.write(move |tx, context| runs::settle(tx, context, &outcome)).await
    }

    async fn write_while_wanted(
        &self,
        write: impl Fn(&WriteTx, &Context<'_>) -> StoreResult<bool> + Send + 'static,
    ) -> Result<()> {
        if self.write(write).await? { Ok(()) } else { Err(AttemptError::Ended) }
    }

    async fn write<T: Send + 'static>(
        &self,
        write: impl Fn(&WriteTx, &Context<'_>) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let (export, id) = (self.export, self.run);
        let event_ids = EventIds { clock: Arc::clone(&self.app.clock), ids: Arc::clone(&self.app.ids) };
        let ctx = self.app.ctx(String::new(), Actor::Nobody, Source::default());
        self.app
            .store
            .write(move |tx| write(tx, &Context { ctx: &ctx, event_ids: &event_ids, export, id }))
            .await
    }
}
