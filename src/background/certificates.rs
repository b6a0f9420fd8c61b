//! Reads the certificate again when its files change, or a signal asks for it.

use std::sync::Arc;

use super::task::Task;
use crate::app::App;
use crate::certificates::Certificates;
use crate::clock::Time;
use crate::error::Result;
use crate::store::Tx;

pub(super) struct Refresher(pub(super) Arc<Certificates>);

impl Task for Refresher {
    const NAME: &'static str = "certificate";
    const EVERY_SECONDS: i64 = 5;

    async fn turn(&mut self, app: &Arc<App>) -> Result<()> {
        let outcome = self.0.refresh();
        if self.0.take_call() {
            self.0.answer();
        }
        match outcome {
            Ok(false) => return Ok(()),
            Ok(true) => tracing::info!("the certificate was read again: new connections get it"),
            // The certificate in use stays, so the task has done its work.
            Err(sentence) => {
                tracing::error!("{sentence}; the certificate that was read before stays in use");
            }
        }
        if let Some(sentence) = self.0.doubt(app.clock.now()) {
            tracing::warn!("{sentence}");
        }
        Ok(())
    }

    /// Files change when they change.
    fn next_due(&self, _app: &App, _tx: &Tx) -> Result<Option<Time>> {
        Ok(None)
    }

    async fn woken(&mut self) {
        self.0.called().await;
    }
}
