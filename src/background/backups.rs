//! Makes backups of the data file on a schedule, and removes those that are kept no longer.

use std::path::PathBuf;
use std::sync::Arc;

use tracing::{info, warn};

use super::task::Task;
use crate::app::App;
use crate::backup;
use crate::backup_folder::{self, Desk};
use crate::clock::Time;
use crate::config::Config;
use crate::error::{Error, Result};

/// The task of all backups of the server.
pub(super) struct Backups {
    folder: PathBuf,
    desk: Arc<Desk>,
}

impl Backups {
    /// `None` where there is no folder for them.
    pub(super) fn of(config: &Config, desk: &Arc<Desk>) -> Option<Backups> {
        Some(Backups { folder: config.backups.dir.clone()?, desk: Arc::clone(desk) })
    }

    async fn make(&self, app: &Arc<App>) -> Result<()> {
        let busy = self.desk.begin();
        let made = backup::make_own(app, self.folder.clone()).await.map_err(Error::internal)?;
        drop(busy);
        let backup::Made { path, digest, rows, bytes, seconds, problems, .. } = &made;
        info!(path = %path.display(), %digest, rows, bytes, seconds, "a backup was made and proved");
        if !problems.is_empty() {
            warn!(problems = problems.len(), "the data has problems, which `orgd check` lists");
        }
        let removed =
            backup_folder::thin_out(&self.folder, &app.config.backups.keep).map_err(Error::internal)?;
        if !removed.is_empty() {
            info!(files = removed.len(), "old backups were removed");
        }
        Ok(())
    }
}

impl Task for Backups {
    const NAME: &'static str = "backups";
    const EVERY_SECONDS: i64 = 60 * 60;
    const ERROR_BACKOFF_SECONDS: i64 = 5 * 60;

    async fn run(&mut self, app: &Arc<App>) -> Result<Option<Time>> {
        let every = app.config.backups.every.0;
        let due = || {
            let last = backup_folder::last_good(&self.folder, app.clock.now());
            last.map(|last| last.plus_seconds(every))
        };
        let is_due = due().is_none_or(|due| due <= app.clock.now());
        if self.desk.is_wanted() || is_due {
            self.make(app).await?;
        }
        Ok(due())
    }

    async fn woken(&mut self) {
        self.desk.wanted().await;
    }
}
