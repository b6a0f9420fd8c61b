//! Background tasks: each looks at stored state and acts on it.

mod acme;
mod backups;
mod certificates;
mod exports;
pub mod mailer;
pub mod proxy_records;
mod retention;
mod session_cleanup;
mod task;

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::app::App;
use task::drive;

/// Starts every task; they end when the returned set is dropped.
pub fn start(app: &Arc<App>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    if let Some(mailer) = mailer::Mailer::of(app) {
        tasks.spawn(drive(mailer, Arc::clone(app)));
    }
    // Once for the process.
    let is_fork = app.is_fork();
    if let Some(certificates) = app.certificates.get().filter(|_| !is_fork) {
        let certificates = Arc::clone(certificates);
        match certificates.is_of_authority() {
            true => tasks.spawn(drive(acme::Renewal::new(app, certificates), Arc::clone(app))),
            false => tasks.spawn(drive(certificates::Refresher(certificates), Arc::clone(app))),
        };
    }
    tasks.spawn(drive(proxy_records::Follower, Arc::clone(app)));
    tasks.spawn(drive(session_cleanup::SessionCleanup, Arc::clone(app)));
    tasks.spawn(drive(exports::Driver::new(app), Arc::clone(app)));
    if let Some(backups) = backups::Backups::of(&app.config, &app.backups).filter(|_| !is_fork) {
        tasks.spawn(drive(backups, Arc::clone(app)));
    }
    tasks.spawn(drive(retention::Retention::default(), Arc::clone(app)));
    tasks
}
