//! Removes what has outlived its use: old sessions.

use std::sync::Arc;
use std::time::Duration;

use tracing::error;

use crate::app::App;
use crate::resources::sessions;

const PERIOD: Duration = Duration::from_secs(60 * 60);

/// Sweeps at the start and every hour.
pub(super) async fn run(app: Arc<App>) {
    let mut turns = tokio::time::interval(PERIOD);
    loop {
        turns.tick().await;
        let now = app.clock.now();
        loop {
            match app.store.write(move |tx| sessions::sweep(tx, now)).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(cause) => {
                    error!(%cause, "old sessions could not be removed");
                    break;
                }
            }
        }
    }
}
