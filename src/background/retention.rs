//! Removes events that are too old or too much, and those of projects that are gone. The room that they
//! took in the data file is used again; the file itself does not shrink.

use std::sync::Arc;

use super::sweep::in_steps;
use crate::app::App;
use crate::clock::Time;
use crate::config::Exports;
use crate::resources::events::{self, Limits};

const PERIOD_SECONDS: i64 = 60;

/// Sweeps at the start and every minute.
pub(super) async fn run(app: Arc<App>) {
    loop {
        let now = app.clock.now();
        let limits = limits(&app.config.exports, now);
        in_steps(&app, "events", move |tx| events::sweep(tx, limits)).await;
        app.clock.until(now.plus_seconds(PERIOD_SECONDS)).await;
    }
}

fn limits(config: &Exports, now: Time) -> Limits {
    let days = i64::from(config.events_days_max);
    Limits {
        oldest: (days > 0).then(|| now.plus_seconds(-days * 24 * 60 * 60)),
        bytes_max: bytes(config.events_mib_max),
        project_bytes_max: bytes(config.events_project_mib_max),
    }
}

/// `None` for zero, which is no limit.
fn bytes(mib: u64) -> Option<u64> {
    (mib > 0).then(|| mib.saturating_mul(1024 * 1024))
}
