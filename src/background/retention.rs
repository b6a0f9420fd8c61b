//! Removes events that are too old or too many, and those of projects that are gone. The space that they
//! took in the data file is used again; the file itself does not shrink.

use std::sync::Arc;

use super::task::{Task, removal_due, remove_in_steps};
use crate::app::App;
use crate::clock::Time;
use crate::config::Exports;
use crate::error::Result;
use crate::metrics;
use crate::resources::events::{self, Limits};
use crate::resources::trusted_time::{self, Ahead};
use crate::store::Tx;

/// The task.
#[derive(Default)]
pub(super) struct Retention {
    /// How far ahead the clock was at the last look, so that a jump is logged once.
    ahead: Option<Ahead>,
}

impl Task for Retention {
    const NAME: &'static str = "retention";
    const EVERY_SECONDS: i64 = 60;

    /// Looks at the clock first: nothing is removed by a time that is not trusted.
    async fn turn(&mut self, app: &Arc<App>) -> Result<()> {
        let now = app.clock.now();
        let looked = self.look_at_clock(app, now).await;
        let keep = Keep::of(&app.config.exports);
        let removed = remove_in_steps(app, "events", move |tx| {
            events::sweep(tx, keep.limits(trusted_time::of(tx, now)?))
        });
        removed.await?;
        let kept = app.store.read(events::totals)?;
        metrics::EVENTS_KEPT.set(kept.events);
        metrics::EVENTS_KEPT_BYTES.set(kept.bytes);
        looked
    }

    fn next_due(&self, app: &App, tx: &Tx) -> Result<Option<Time>> {
        let days = Keep::of(&app.config.exports).days_max;
        let oldest = if days > 0 { events::oldest(tx)? } else { None };
        // The end of a day is a part of it.
        let end = oldest.map(|oldest| Time(oldest.0 + 1).plus_seconds(days * 24 * 60 * 60));
        Ok(removal_due(end, app.clock.now()))
    }
}

impl Retention {
    async fn look_at_clock(&mut self, app: &App, now: Time) -> Result<()> {
        let wait_seconds = i64::from(app.config.clock_wait_hours) * 60 * 60;
        let ahead = app.store.write(move |tx| trusted_time::look(tx, now, wait_seconds)).await?;
        trusted_time::tell(self.ahead, ahead);
        self.ahead = ahead;
        Ok(())
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
