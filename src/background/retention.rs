//! Removes events that are too old or too much, and those of projects that are gone. The room that they
//! took in the data file is used again; the file itself does not shrink.

use std::sync::Arc;

use tracing::error;

use super::sweep::in_steps;
use crate::app::App;
use crate::clock::Time;
use crate::config::Exports;
use crate::resources::events::{self, Limits};
use crate::resources::trusted_time;

const PERIOD_SECONDS: i64 = 60;

/// Looks at the clock and sweeps, at the start and every minute.
pub(super) async fn run(app: Arc<App>) {
    let wait_seconds = i64::from(app.config.clock_wait_hours) * 60 * 60;
    let mut ahead = None;
    loop {
        app.store.healed().await;
        let now = app.clock.now();
        match app.store.write(move |tx| trusted_time::look(tx, now, wait_seconds)).await {
            Ok(seen) => {
                trusted_time::tell(ahead, seen);
                ahead = seen;
            }
            Err(cause) => error!(%cause, "the time could not be written down"),
        }
        let keep = Keep::of(&app.config.exports);
        in_steps(&app, "events", move |tx| events::sweep(tx, keep.limits(trusted_time::of(tx, now)?))).await;
        app.clock.until(now.plus_seconds(PERIOD_SECONDS)).await;
    }
}

/// What is kept by the settings.
#[derive(Clone, Copy)]
struct Keep {
    days_max: i64,
    mib_max: u64,
    project_mib_max: u64,
}

impl Keep {
    fn of(config: &Exports) -> Keep {
        Keep {
            days_max: config.events_days_max.into(),
            mib_max: config.events_mib_max,
            project_mib_max: config.events_project_mib_max,
        }
    }

    fn limits(self, now: Time) -> Limits {
        Limits {
            oldest: (self.days_max > 0).then(|| now.plus_seconds(-self.days_max * 24 * 60 * 60)),
            bytes_max: bytes(self.mib_max),
            project_bytes_max: bytes(self.project_mib_max),
        }
    }
}

/// `None` for zero, which is no limit.
fn bytes(mib: u64) -> Option<u64> {
    (mib > 0).then(|| mib.saturating_mul(1024 * 1024))
}
