//! Removes sessions that have expired.

use std::sync::Arc;

use super::task::{Task, removal_due, remove_in_steps};
use crate::app::App;
use crate::clock::Time;
use crate::error::Result;
use crate::resources::sessions;
use crate::store::Tx;

/// The task.
pub(super) struct SessionCleanup;

impl Task for SessionCleanup {
    const NAME: &'static str = "session_cleanup";
    const EVERY_SECONDS: i64 = 60 * 60;

    async fn turn(&mut self, app: &Arc<App>) -> Result<()> {
        let now = app.clock.now();
        remove_in_steps(app, "sessions", move |tx| sessions::sweep(tx, now)).await
    }

    fn next_due(&self, app: &App, tx: &Tx) -> Result<Option<Time>> {
        Ok(removal_due(sessions::first_end(tx)?, app.clock.now()))
    }
}
