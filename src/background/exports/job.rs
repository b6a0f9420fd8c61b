//! One attempt at a run: what is to be delivered, read piece by piece, and what has been confirmed.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::memory::{self, Sizes};
use super::turns::Seat;
use super::{arrivals, postgres};
use crate::app::App;
use crate::clock::Time;
use crate::error::{Error, Result};
use crate::outbound::postgres::{Database, Roots, Session, Unreached};
use crate::outbound::{Delivery, Receipt, Refused, Undelivered};
use crate::resources::batch_exports::destination::{self, Kind};
use crate::resources::batch_exports::interval::Interval;
use crate::resources::batch_exports::runs::{self, Commit, Context, Open, Plan, Progress, Run};
use crate::resources::events::{self, Event, Place, Span};
use crate::resources::persons::{self, Row};
use crate::store::{Tx, WriteTx};

/// Events are read in pieces of about this size.
const PIECE_BYTES: u64 = 1024 * 1024;
const DAY_SECONDS: i64 = 24 * 60 * 60;
/// How much is told of a refusal.
const TOLD_CHARS_MAX: usize = 500;

/// What is told in place of what a server with a private address says: nobody may look into the network
/// around this server.
const HIDDEN: &str = "(what a server in a private network answers is not shown)";

/// One attempt may take as long as its interval, but at least this.
const ATTEMPT_SECONDS_MIN: i64 = 10 * 60;

/// Why an attempt ends before its time.
pub(super) enum Stop {
    /// The run was ended, or its export deleted.
    Gone,
    /// Another attempt may go better.
    Retryable(String),
    /// It would not.
    Fatal(String),
    /// Our own store failed.
    Broken(Error),
}

impl From<Error> for Stop {
    fn from(cause: Error) -> Stop {
        Stop::Broken(cause)
    }
}

impl From<Refused> for Stop {
    /// What the policy refuses now, it refuses again.
    fn from(refused: Refused) -> Stop {
        Stop::Fatal(format!("AddressNotAllowedError: {refused}"))
    }
}

pub(super) type Outcome<T> = std::result::Result<T, Stop>;

pub(super) struct Job {
    app: Arc<App>,
    export: Uuid,
    id: Uuid,
    pub(super) run: Run,
    pub(super) plan: Plan,
    /// How much may wait to be sent.
    pub(super) sizes: Sizes,
    config: Map<String, Value>,
    secrets: Vec<String>,
    begun_at: Time,
    over: Arc<Notify>,
    seat: Arc<Seat>,
    /// Whether the destination has answered in this attempt.
    has_answered: AtomicBool,
}

impl Job {
    /// Begins an attempt; `None` where the run is over. `over` tells when it is later on.
    pub(super) async fn begin(
        app: &Arc<App>,
        open: Open,
        over: Arc<Notify>,
        seat: Arc<Seat>,
    ) -> Result<Option<Job>> {
        let begun_at = app.clock.now();
        let Open { export, id, .. } = open;
        let Some(plan) = app.store.read(|tx| runs::plan(tx, export, id))? else { return Ok(None) };
        let config = plan.destination.open(&app.vault, export);
        let secrets = disguises(&plan.destination.secrets(&app.vault, export));
        let to = described(plan.destination.kind, &config);
        let arrivals = arrivals(app);
        let begun =
            app.store.write(move |tx| runs::begin(tx, &Context { arrivals: &arrivals, export, id }, &to));
        let Some(run) = begun.await? else { return Ok(None) };
        let sizes = Sizes::of(memory::bytes_of_one(app));
        let (app, has_answered) = (Arc::clone(app), AtomicBool::new(false));
        Ok(Some(Job {
            app,
            export,
            id,
            run,
            plan,
            sizes,
            config,
            secrets,
            begun_at,
            over,
            seat,
            has_answered,
        }))
    }

    /// Sends a request. Before the destination has answered once, it must give a sign of life every few
    /// seconds.
    pub(super) async fn send(&self, delivery: Delivery) -> std::result::Result<Receipt, Undelivered> {
        let (progress, mut signs) = watch::channel(());
        let seconds = self.first_answer_seconds();
        let late = Undelivered::late(&delivery.url, seconds.unsigned_abs());
        let mut sending = pin!(self.app.outbound.send(delivery, progress.clone()));
        while !self.has_answered.load(Ordering::Relaxed) {
            let receipt = tokio::select! {
                biased;
                receipt = &mut sending => receipt,
                // `progress` lives as long as this function.
                Ok(()) = signs.changed() => continue,
                () = self.until(self.now().plus_seconds(seconds)) => return Err(late),
            };
            self.has_answered.store(receipt.is_ok(), Ordering::Relaxed);
            return receipt;
        }
        sending.await
    }

    /// Opens a session with a database.
    pub(super) async fn session(&self, to: &Database<'_>) -> std::result::Result<Session, Unreached> {
        self.app.outbound.session(to).await
    }

    /// How long a destination may say nothing before its first answer.
    pub(super) fn first_answer_seconds(&self) -> i64 {
        self.app.config.exports.export_first_answer_seconds.into()
    }

    pub(super) fn config(&self) -> &Map<String, Value> {
        &self.config
    }

    /// A text of the configuration.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.config.get(name).and_then(Value::as_str)
    }

    /// A number of the configuration, where it is a positive one.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.config.get(name).and_then(Value::as_u64).filter(|number| *number > 0)
    }

    /// The certificates that those of databases are checked against.
    pub(super) fn roots(&self) -> Roots {
        self.app.config.exports.export_root_certs.clone()
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.config.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    pub(super) fn now(&self) -> Time {
        self.app.clock.now()
    }

    /// Waits until then by the clock of the program.
    pub(super) async fn until(&self, due: Time) {
        self.app.clock.reached(due).await;
    }

    /// Waits until then, and leaves the worker to others meanwhile.
    pub(super) async fn rest_until(&self, due: Time) {
        self.seat.rest(self.until(due)).await;
    }

    /// Does the work, for as long as the run is not over and the attempt not too late.
    pub(super) async fn in_time<T>(&self, work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
        let seconds = attempt_seconds_max(self.plan.interval);
        tokio::select! {
            biased;
            outcome = work => outcome,
            () = self.over.notified() => Err(Stop::Gone),
            () = self.until(self.begun_at.plus_seconds(seconds)) => {
                Err(Stop::Retryable(format!("TimeoutError: The attempt took longer than {seconds} seconds")))
            }
        }
    }

    /// A required key that the configuration does not have.
    pub(super) fn lacks(&self) -> Option<&'static str> {
        destination::lacking(self.plan.destination.kind, &self.config)
    }

    /// The text with every secret of the destination blotted out.
    pub(super) fn without_secrets(&self, text: String) -> String {
        blotted(&self.secrets, text)
    }

    /// The beginning of what a destination says, where it may be shown. Secrets are blotted out before it is cut: half a secret
    /// would not be known again.
    pub(super) fn told(&self, text: String, is_public: bool) -> String {
        if is_public { beginning(&self.secrets, text) } else { HIDDEN.into() }
    }

    fn span(&self) -> Span {
        match (self.run.backfill, self.run.start) {
            (None, Some(start)) => Span::Arrived { start, end: self.run.end },
            (_, start) => Span::Happened { start, end: self.run.end },
        }
    }

    /// The next events behind `after` that are to be exported, and the place behind them; `None` at the end.
    pub(super) async fn next(&self, after: Option<Place>) -> Outcome<Option<(Vec<(Uuid, Event)>, Place)>> {
        let (project, span) = (self.plan.project, self.span());
        let mut after = after;
        loop {
            let from = after;
            let mut piece = self.read(move |tx| events::next(tx, project, span, from, PIECE_BYTES)).await?;
            let Some((id, last)) = piece.last() else { return Ok(None) };
            let place = Place { time: last.timestamp, id: *id };
            piece.retain(|(_, event)| self.admits(event));
            if !piece.is_empty() {
                return Ok(Some((piece, place)));
            }
            after = Some(place);
        }
    }

    fn admits(&self, event: &Event) -> bool {
        let listed = |name: &str| {
            let list = self.config.get(name).and_then(Value::as_array).filter(|list| !list.is_empty())?;
            Some(list.iter().any(|item| item.as_str() == Some(event.event.as_str())))
        };
        // What claims to be of tomorrow waits for a backfill of that day.
        let is_of_the_future = matches!(self.span(), Span::Arrived { end, .. } if event.timestamp >= end.plus_seconds(DAY_SECONDS));
        !is_of_the_future
            && listed("include_events").unwrap_or(true)
            && !listed("exclude_events").unwrap_or(false)
    }

    /// The next distinct ids of persons that are to be exported, and the place behind them.
    pub(super) async fn next_persons(&self, after: Option<Place>) -> Outcome<Option<(Vec<Row>, Place)>> {
        let (project, start, end) = (self.plan.project, self.run.start, self.run.end);
        let bytes_max = usize::try_from(PIECE_BYTES).unwrap_or(usize::MAX);
        self.read(move |tx| persons::changed(tx, project, start, end, after, bytes_max)).await
    }

    /// Reads much, beside the threads that answer.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tx) -> Result<T> + Send + 'static,
    ) -> Outcome<T> {
        let app = Arc::clone(&self.app);
        let read = tokio::task::spawn_blocking(move || app.store.read(work)).await;
        Ok(read.map_err(|cause| Error::internal(format!("records could not be read: {cause}")))??)
    }

    /// Whether events are chosen by when they arrived, not by when they happened.
    pub(super) fn goes_by_arrival(&self) -> bool {
        matches!(self.span(), Span::Arrived { .. })
    }

    /// Writes down what the destination has confirmed.
    pub(super) async fn advance(&self, progress: Progress) -> Outcome<()> {
        self.while_wanted(move |tx, context| runs::advance(tx, context, progress)).await
    }

    /// The transaction that an earlier attempt meant to commit.
    pub(super) fn commit_before(&self) -> Outcome<Option<Commit>> {
        Ok(self.app.store.read(|tx| runs::commit_of(tx, self.id))?)
    }

    /// Writes down the transaction that is about to be committed.
    pub(super) async fn note_commit(&self, commit: Commit) -> Outcome<()> {
        self.while_wanted(move |tx, context| runs::note_commit(tx, context, commit)).await
    }

    /// Writes into the log of the export what its owner should know.
    pub(super) async fn warn(&self, message: String) -> Outcome<()> {
        let message = self.without_secrets(message);
        self.while_wanted(move |tx, context| runs::warn(tx, context, &message)).await
    }

    /// A write about the run, which says whether the run is still to be worked on.
    async fn while_wanted(
        &self,
        write: impl Fn(&WriteTx, &Context<'_>) -> Result<bool> + Send + 'static,
    ) -> Outcome<()> {
        let (export, id) = (self.export, self.id);
        let arrivals = arrivals(&self.app);
        let written = self.app.store.write(move |tx| write(tx, &Context { arrivals: &arrivals, export, id }));
        if written.await? { Ok(()) } else { Err(Stop::Gone) }
    }
}

/// The secrets in every form in which a text may hold them, longer ones first: one may hold another.
fn disguises(secrets: &[String]) -> Vec<String> {
    // Very short secrets would blot out ordinary words as well, and are none.
    const CHARS_MIN: usize = 4;
    const IN_ADDRESSES: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    let in_json = |secret: &str| {
        let quoted = Value::from(secret).to_string();
        quoted[1..quoted.len() - 1].to_owned()
    };
    let in_address = |secret: &str| utf8_percent_encode(secret, IN_ADDRESSES).to_string();
    let forms = |secret: &String| [secret.clone(), in_json(secret), in_address(secret)];
    let secrets = secrets.iter().filter(|secret| secret.len() >= CHARS_MIN);
    let mut all: Vec<String> = secrets.flat_map(forms).collect();
    all.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
    all
}

fn blotted(secrets: &[String], text: String) -> String {
    secrets.iter().fold(text, |text, secret| text.replace(secret.as_str(), "***"))
}

fn beginning(secrets: &[String], text: String) -> String {
    blotted(secrets, text).chars().take(TOLD_CHARS_MAX).collect()
}

/// How long one attempt may take: as long as its interval, but not less than ten minutes.
fn attempt_seconds_max(interval: Interval) -> i64 {
    interval.seconds().max(ATTEMPT_SECONDS_MIN)
}

/// Where the data goes, for the log; nothing secret.
fn described(kind: Kind, config: &Map<String, Value>) -> String {
    let text = |name: &str| config.get(name).and_then(Value::as_str).unwrap_or_default();
    match kind {
        Kind::Http => format!(" to HTTP endpoint: {}", without_user(text("url"))),
        Kind::NoOp => String::new(),
        Kind::S3 => format!(" to S3: {}/{}", text("bucket_name"), text("prefix")),
        Kind::Postgres | Kind::Redshift => {
            let name = if kind == Kind::Postgres { "PostgreSQL" } else { kind.name() };
            let (schema, table) = postgres::schema_and_table(config);
            format!(" to {name}: {}.{schema}.{table}", text("database"))
        }
        kind => format!(" to {}", kind.name()),
    }
}

/// The address without a name and password in it.
fn without_user(address: &str) -> String {
    let Ok(mut url) = url::Url::parse(address) else { return "(not an address)".into() };
    let plain = url.set_username("").is_ok() && url.set_password(None).is_ok();
    if plain { url.to_string() } else { url.scheme().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_may_take_as_long_as_its_interval_but_ten_minutes_at_least() {
        let seconds = Interval::ALL.map(attempt_seconds_max);
        assert_eq!(seconds, [3600, 24 * 3600, 7 * 24 * 3600, 600, 900]);
    }

    #[test]
    fn a_secret_is_blotted_out_in_every_form_and_before_the_text_is_cut() {
        let secrets = disguises(&["sesame/+ \"of\" it".to_owned(), "sesame".to_owned(), "abc".to_owned()]);
        for (text, wanted) in [
            ("open sesame/+ \"of\" it now", "open *** now"),
            ("{\"token\":\"sesame/+ \\\"of\\\" it\"}", "{\"token\":\"***\"}"),
            ("?token=sesame%2F%2B%20%22of%22%20it&x", "?token=***&x"),
            ("sesame alone", "*** alone"),
            ("abc is no secret", "abc is no secret"),
        ] {
            assert_eq!(beginning(&secrets, text.into()), wanted);
        }
        let filler = "é".repeat(TOLD_CHARS_MAX - 2);
        assert_eq!(beginning(&secrets, format!("{filler}sesame")), format!("{filler}**"));
    }
}
