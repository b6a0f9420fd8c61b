//! Work behind the requests' backs: tasks that look at stored state and act on it.

mod exports;
pub mod mailer;
pub mod proxies;
mod retention;
mod sweep;

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::app::App;

/// Starts every task; they end with the returned set.
pub fn start(app: &Arc<App>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(mailer::run(Arc::clone(app)));
    tasks.spawn(proxies::run(Arc::clone(app)));
    tasks.spawn(sweep::run(Arc::clone(app)));
    tasks.spawn(exports::run(Arc::clone(app)));
    tasks.spawn(retention::run(Arc::clone(app)));
    tasks
}
