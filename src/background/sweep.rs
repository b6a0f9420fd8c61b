//! Removes what has outlived its use: old sessions.

use std::sync::Arc;
use std::time::Duration;

use tracing::{error, info};

use crate::app::App;
use crate::error::Result;
use crate::resources::{Swept, sessions};
use crate::store::WriteTx;

const PERIOD: Duration = Duration::from_secs(60 * 60);

/// Sweeps at the start and every hour.
pub(super) async fn run(app: Arc<App>) {
    let mut turns = tokio::time::interval(PERIOD);
    loop {
        turns.tick().await;
        app.store.healed().await;
        let now = app.clock.now();
        in_steps(&app, "sessions", move |tx| sessions::sweep(tx, now)).await;
    }
}

/// Removes until a step says that nothing more is left. Each step is a write of its own, so that requests
/// get their turns in between.
pub(super) async fn in_steps(
    app: &App,
    what: &'static str,
    step: impl Fn(&WriteTx) -> Result<Swept> + Copy + Send + 'static,
) {
    let mut rows = 0;
    loop {
        match app.store.write(step).await {
            Ok(swept) => {
                rows += swept.rows;
                if !swept.is_more {
                    break;
                }
            }
            Err(cause) => {
                error!(%cause, "old {what} could not be removed");
                break;
            }
        }
    }
    if rows > 0 {
        info!(rows, "old {what} were removed");
    }
}
