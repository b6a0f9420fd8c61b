//! Tells the service manager that the server lives, for as long as its data file answers.

use std::sync::Arc;
use std::time::Duration;

use orgd::app::App;
use orgd::resources::users;
use orgd::service_manager::ServiceManager;
use tokio::task::JoinSet;

/// Says `WATCHDOG=1` in time, until what is returned is dropped.
pub(super) fn start(app: &Arc<App>, manager: &Arc<ServiceManager>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    if let Some(time) = manager.watchdog() {
        tasks.spawn(beat(Arc::clone(app), Arc::clone(manager), time / 3));
    }
    tasks
}

/// Whoever hangs is not heard of again: the beat waits for the reader and the writer of the data file. A disk that
/// refuses writes is no reason to restart; a new process could not write to it either.
async fn beat(app: Arc<App>, manager: Arc<ServiceManager>, every: Duration) {
    loop {
        let reads = app.store.read(users::none_yet).is_ok();
        if reads && app.store.write(|_| Ok(())).await.is_ok() {
            manager.say("WATCHDOG=1");
        }
        tokio::time::sleep(every).await;
    }
}
