//! `/_orgd/clock`: stops, sets and advances the clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::of;
use super::overview::ShownClock;
use crate::api::{Call, Method, Reply};
use crate::app::{App, Route, async_};
use crate::clock::{Time, duration};
use crate::error::{Error, Result, invalid, invalid_body};
use crate::resources::file_mark::{self, Mark};
use crate::resources::trusted_time;
use crate::test_server::TestServer;

/// Times at which an advance stops on its way.
const TURNS_MAX: usize = 100_000;
const ADVANCE_SECONDS_MAX: i64 = 100 * 366 * 24 * 60 * 60;
const WAIT_SECONDS: u64 = 10;
const WAIT_SECONDS_MAX: u64 = 600;

pub(super) fn routes() -> Vec<Route> {
    let path = "/_orgd/clock/";
    vec![
        Route::control(Method::Get, path, async_(show))
            .about("See the clock", "The time of the server, and whether it stands still."),
        Route::control(Method::Post, path, async_(change)).about(
            "Move the clock",
            "`set` is a time, `frozen` whether it stands still there, `advance` a duration such as `72h`: the clock stops at \
             each time at which a background task is due, until the task is done. `wait_s` is how long each may take.",
        ),
    ]
}

/// How the clock is to be moved.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    pub set: Option<String>,
    pub frozen: Option<bool>,
    pub advance: Option<String>,
    pub wait_s: Option<u64>,
}

/// What an advance did.
#[derive(Serialize)]
pub struct Advanced {
    #[serde(flatten)]
    clock: ShownClock,
    /// Whether nothing is due or under way any more, and the clock is where it was to go.
    pub settled: bool,
    /// The tasks that had something to do on the way.
    pub fired: Vec<Fired>,
    /// What is still under way where it is not settled.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<String>,
}

/// A task that was due.
#[derive(Serialize)]
pub struct Fired {
    pub what: &'static str,
    /// The last time.
    pub at: Time,
    /// At how many times.
    pub count: u64,
}

/// What became of the clock.
pub enum Moved {
    Set,
    Advanced(Advanced),
}

async fn show(app: Arc<App>, _call: Arc<Call>) -> Result<Reply> {
    Reply::ok(&ShownClock::of(&app))
}

async fn change(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    match move_clock(&app, read(&call)?).await? {
        Moved::Set => Reply::ok(&ShownClock::of(&app)),
        Moved::Advanced(advanced) => Reply::ok(&advanced),
    }
}

/// Moves the clock of a development or test server.
///
/// # Errors
/// 400 for what no clock can do, 409 where time would run backwards, 429 where somebody else moves it.
pub async fn move_clock(app: &Arc<App>, wanted: Wanted) -> Result<Moved> {
    let server = of(app)?;
    let wait = wait_of(&wanted)?;
    let Some(_hold) = server.clock.hold() else {
        let detail = "The clock is being moved by another request.".into();
        return Err(Error::TooMany { code: "clock_is_moving", detail });
    };
    let target = match (&wanted.set, &wanted.advance) {
        (Some(_), Some(_)) => {
            return Err(invalid_body("invalid_input", "`set` or `advance` is wanted, not both."));
        }
        (None, None) if wanted.frozen.is_none() => {
            return Err(invalid_body("required", "`set`, `advance` or `frozen` is wanted."));
        }
        (_, Some(by)) => return advance(app, server, &wanted, by, wait).await.map(Moved::Advanced),
        (Some(time), None) => Some(time_of(app, server, time)?),
        (None, None) => None,
    };
    app.store.write(|tx| file_mark::put(tx, Mark::Predictable)).await?;
    let is_frozen = wanted.frozen.unwrap_or(app.clock.is_frozen());
    let time = target.unwrap_or(app.clock.now());
    let testing = &app.config.testing;
    if testing.in_memory && testing.from.is_none() && !server.clock.has_written() {
        app.store.write(move |tx| trusted_time::begin(tx, time)).await?;
    }
    app.clock.set(time, is_frozen);
    settle(app, server, wait).await;
    Ok(Moved::Set)
}

fn read(call: &Call) -> Result<Wanted> {
    let wanted = Wanted::deserialize(call.body.value()?);
    wanted.map_err(|cause| invalid_body("invalid_input", cause.to_string()))
}

/// A time that the clock may be set to.
fn time_of(app: &App, server: &TestServer, text: &str) -> Result<Time> {
    let time = Time::parse(text).filter(|time| Time::SETTABLE.contains(time));
    let time = time.ok_or_else(|| {
        invalid("set", "invalid_input", "A time from 1970 to 8999 is wanted, such as 2026-01-01T00:00:00Z.")
    })?;
    if time < app.clock.now() && server.clock.has_written() {
        let detail =
            "Time does not run backwards: something was sent to be written by this clock. Begin with another server."
                .into();
        return Err(Error::Conflict { code: "time_runs_forward", detail });
    }
    Ok(time)
}

/// How long each thing that is due may take.
fn wait_of(wanted: &Wanted) -> Result<Duration> {
    let wait = wanted.wait_s.unwrap_or(WAIT_SECONDS);
    if wait > WAIT_SECONDS_MAX {
        return Err(invalid("wait_s", "max_value", format!("Up to {WAIT_SECONDS_MAX} seconds.")));
    }
    Ok(Duration::from_secs(wait))
}

async fn advance(
    app: &Arc<App>,
    server: &TestServer,
    wanted: &Wanted,
    by: &str,
    wait: Duration,
) -> Result<Advanced> {
    let seconds = duration::seconds(by).filter(|seconds| *seconds <= ADVANCE_SECONDS_MAX);
    let target = seconds.map(|seconds| app.clock.now().plus_seconds(seconds));
    let target = target.filter(|target| Time::SETTABLE.contains(target)).ok_or_else(|| {
        invalid(
            "advance",
            "invalid_input",
            "A duration of up to 100 years is wanted, such as 90s, 15m, 72h or 4d.",
        )
    })?;
    app.store.write(|tx| file_mark::put(tx, Mark::Predictable)).await?;
    if let Some(is_frozen) = wanted.frozen {
        app.clock.set(app.clock.now(), is_frozen);
    }
    let mut way = Way { app, server, wait, fired: BTreeMap::new() };
    let open = way.go(target).await?;
    let fired = way.fired.into_iter().map(|(what, (at, count))| Fired { what, at, count });
    Ok(Advanced { clock: ShownClock::of(app), settled: open.is_empty(), fired: fired.collect(), open })
}

/// An advance under way.
struct Way<'a> {
    app: &'a Arc<App>,
    server: &'a TestServer,
    /// How long what is due at one time may take.
    wait: Duration,
    /// The last time, and at how many times.
    fired: BTreeMap<&'static str, (Time, u64)>,
}

impl Way<'_> {
    /// Goes from due time to due time. Returns what is still under way where it had to stop before the end.
    async fn go(&mut self, target: Time) -> Result<Vec<String>> {
        let begun = Instant::now();
        for _ in 0..TURNS_MAX {
            let open = settle(self.app, self.server, self.wait).await;
            if !open.is_empty() {
                return Ok(open);
            }
            let now = self.app.clock.now();
            if now >= target {
                return Ok(Vec::new());
            }
            if begun.elapsed() > Duration::from_secs(WAIT_SECONDS_MAX) {
                return Ok(vec![format!("{WAIT_SECONDS_MAX} seconds have passed: advance again")]);
            }
            let next = self.next_after(now).map_or(target, |next| next.min(target));
            self.step(next).await?;
        }
        Ok(vec![format!("there was something due at {TURNS_MAX} times: advance again")])
    }

    /// The next time at which something is due.
    fn next_after(&self, now: Time) -> Option<Time> {
        let tasks = self.server.tasks.next_due().into_iter().map(|(due, _)| due);
        tasks.chain(self.app.clock.first_awaited()).filter(|due| *due > now).min()
    }

    /// Moves the clock to the next stop.
    async fn step(&mut self, next: Time) -> Result<()> {
        for (due, name) in self.server.tasks.next_due() {
            if due <= next {
                let (at, count) = self.fired.entry(name).or_insert((next, 0));
                (*at, *count) = (next, *count + 1);
            }
        }
        // The clock did not jump: all that was due until then has been done, so what is too old then may be removed.
        let now = self.app.clock.now();
        self.app.store.write(move |tx| trusted_time::pass(tx, now, next)).await?;
        self.app.clock.set(next, self.app.clock.is_frozen());
        Ok(())
    }
}

/// Waits until nothing is due or under way; returns what is after the time for it.
async fn settle(app: &App, server: &TestServer, time: Duration) -> Vec<String> {
    let begun = Instant::now();
    loop {
        let now = app.clock.now();
        let mut open: Vec<String> = server.tasks.busy(now).into_iter().map(str::to_owned).collect();
        if app.clock.first_awaited().is_some_and(|due| due <= now) {
            open.push("a wait that is over".to_owned());
        }
        if open.is_empty() || begun.elapsed() >= time {
            return open;
        }
        server.tasks.moment().await;
    }
}
