//! First stage: what an attempt is to export, and where to.

use std::sync::Arc;

use super::error::{AttemptError, Result};
use super::memory::{self, Sizes};
use super::note::Notes;
use super::settings::DestinationSettings;
use crate::app::App;
use crate::clock::Time;
use crate::ids::ProjectId;
use crate::resources::batch_exports::Model;
use crate::resources::batch_exports::destination::{self, Kind};
use crate::resources::batch_exports::interval::Interval;
use crate::resources::batch_exports::redact::Redactor;
use crate::resources::batch_exports::runs::Run;
use crate::resources::events::Span;
use crate::store::Json;

/// One attempt may take as long as its interval, but at least this.
const ATTEMPT_SECONDS_MIN: i64 = 10 * 60;

/// What an attempt is to do.
pub(super) struct Plan {
    /// The run as it was when the attempt began.
    pub(super) run: Run,
    pub(super) project: ProjectId,
    pub(super) model: Model,
    pub(super) interval: Interval,
    /// The columns that a query chose.
    pub(super) schema: Option<Json>,
    pub(super) kind: Kind,
    pub(super) settings: DestinationSettings,
    /// Removes the destination's secrets from texts.
    pub(super) redactor: Redactor,
    /// How much may wait to be sent.
    pub(super) sizes: Sizes,
    pub(super) begun_at: Time,
}

impl Plan {
    /// Begins an attempt.
    ///
    /// # Errors
    /// `Ended` where the run is over.
    pub(super) async fn begin(app: &Arc<App>, notes: &Notes) -> Result<Plan> {
        let begun_at = app.clock.now();
        let stored = notes.stored_plan()?.ok_or(AttemptError::Ended)?;
        let kind = stored.destination.kind;
        let settings = DestinationSettings::new(kind, stored.destination.open(&app.vault, notes.export()));
        let redactor = Redactor::new(&stored.destination.secrets(&app.vault, notes.export()));
        let run = notes.begin(settings.described()).await?.ok_or(AttemptError::Ended)?;
        Ok(Plan {
            run,
            project: stored.project,
            model: stored.model,
            interval: stored.interval,
            schema: stored.schema,
            kind,
            settings,
            redactor,
            sizes: Sizes::of(memory::bytes_of_one(app)),
            begun_at,
        })
    }

    /// # Errors
    /// `Fatal` where the configuration lacks what the destination needs.
    pub(super) fn check(&self) -> Result<()> {
        match destination::lacking(self.kind, self.settings.all()) {
            None => Ok(()),
            Some(name) => Err(AttemptError::Fatal(format!(
                "ConfigurationError: The configuration lacks '{name}'. If the secret key of this server has changed, the secrets of this batch export must be entered again."
            ))),
        }
    }

    /// Which events are exported: a scheduled run takes those that arrived in its interval, a backfill those
    /// that happened in it.
    pub(super) fn span(&self) -> Span {
        match (self.run.backfill, self.run.start) {
            (None, Some(start)) => Span::Arrived { start, end: self.run.end },
            (_, start) => Span::Happened { start, end: self.run.end },
        }
    }

    /// The memory that the attempt takes, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.sizes.cost(self.kind, self.settings.text("file_format") == Some("Parquet"))
    }

    /// How long the attempt may take.
    pub(super) fn attempt_seconds_max(&self) -> i64 {
        attempt_seconds_max(self.interval)
    }
}

fn attempt_seconds_max(interval: Interval) -> i64 {
    interval.seconds().max(ATTEMPT_SECONDS_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_may_take_as_long_as_its_interval_but_ten_minutes_at_least() {
        let seconds = Interval::ALL.map(attempt_seconds_max);
        assert_eq!(seconds, [3600, 24 * 3600, 7 * 24 * 3600, 600, 900]);
    }
}
