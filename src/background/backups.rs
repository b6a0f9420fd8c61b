//! Makes backups of the data file on a schedule, and removes those that are kept no longer.

use std::path::PathBuf;
use std::sync::Arc;

use tracing::{info, warn};

use super::exports::BackupStore;
use super::task::Task;
use crate::app::App;
use crate::backup;
use crate::backup_folder::{self, Desk, Occasion};
use crate::clock::Time;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::store::Tx;

/// The task of all backups of the server.
pub(super) struct Backups {
    folder: PathBuf,
    desk: Arc<Desk>,
    /// The newest backup that is known to be in the bucket.
    sent: Option<Time>,
}

impl Backups {
    /// `None` where there is no folder for them.
    pub(super) fn of(config: &Config, desk: &Arc<Desk>) -> Option<Backups> {
        Some(Backups { folder: config.backups.dir.clone()?, desk: Arc::clone(desk), sent: None })
    }

    /// When the next one is due; `None` where there is none yet.
    fn due(&self, app: &App) -> Option<Time> {
        let last = backup_folder::last_good(&self.folder, app.clock.now())?;
        Some(last.plus_seconds(app.config.backups.every.0))
    }

    async fn make(&self, app: &Arc<App>) -> Result<()> {
        let occasion = if self.desk.is_wanted() { Occasion::ByHand } else { Occasion::Schedule };
        let busy = self.desk.begin();
        let made = backup::make_own(app, self.folder.clone(), occasion).await.map_err(Error::internal)?;
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

    /// Puts the newest backup into the bucket, where there is one.
    async fn send(&mut self, app: &Arc<App>) -> Result<()> {
        let settings = &app.config.backups.s3;
        let Some(bucket) = &settings.bucket else { return Ok(()) };
        let all = backup_folder::list(&self.folder).map_err(Error::internal)?;
        let Some(newest) = all.first().filter(|newest| self.sent != Some(newest.taken)) else {
            return Ok(());
        };
        let is_new = BackupStore::new(app, settings).put(&newest.path, &newest.name).await;
        if is_new.map_err(Error::internal)? {
            info!(name = newest.name, bucket, "a backup was put into the bucket");
        }
        self.sent = Some(newest.taken);
        Ok(())
    }
}

impl Task for Backups {
    const NAME: &'static str = "backups";
    const EVERY_SECONDS: i64 = 60 * 60;
    const ERROR_BACKOFF_SECONDS: i64 = 5 * 60;

    async fn turn(&mut self, app: &Arc<App>) -> Result<()> {
        let is_due = self.due(app).is_none_or(|due| due <= app.clock.now());
        if self.desk.is_wanted() || is_due {
            self.make(app).await?;
        }
        self.send(app).await
    }

    fn next_due(&self, app: &App, _tx: &Tx) -> Result<Option<Time>> {
        Ok(self.due(app))
    }

    async fn woken(&mut self) {
        self.desk.wanted().await;
    }
}
