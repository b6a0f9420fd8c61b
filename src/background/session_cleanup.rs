//! Removes sessions that have expired.

use std::sync::Arc;

use super::task::{Task, remove_in_steps};
use crate::app::App;
use crate::clock::Time;
use crate::error::Result;
use crate::resources::sessions;

/// The task.
pub(super) struct SessionCleanup;

impl Task for SessionCleanup {
    const NAME: &'static str = "session_cleanup";
    const EVERY_SECONDS: i64 = 60 * 60;

    async fn run(&mut self, app: &Arc<App>) -> Result<Option<Time>> {
        let now = app.clock.now();
        remove_in_steps(app, "sessions", move |tx| sessions::sweep(tx, now)).await?;
        Ok(None)
    }
}
