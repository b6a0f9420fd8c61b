//! Tests of a destination: steps that are run for real, over the same connections and under the same address policy as
//! exports. What a step finds out is a result; an error is only what is wrong with the request.

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::Semaphore;

use super::destination::{Destination, Kind};
use super::form::Sent;
use super::handlers::place;
use super::probe::{self, Settings};
use super::redact::Redactor;
use super::{commands, find};
use crate::api::{Call, Ctx, Field, FieldInfo, InProject, Input, Reply};
use crate::app::App;
use crate::error::{Error, Result, invalid};
use crate::ids::BatchExportId;
use crate::resources::places;
use crate::store::Tx;

/// Steps that are run at once: each waits for another server.
static RUNNING: Semaphore = Semaphore::const_new(8);
const RETRY_SECONDS: u32 = 5;

const STEP_NUMBER: Field<i64> = Field::integer("step", 0, 1000).described("Which step, from 0 on.");
const NUMBER: &[FieldInfo] = &[STEP_NUMBER.info()];
/// What may be sent: an export, and the step.
pub(super) const NEW: &[FieldInfo] = &super::form::with_step(STEP_NUMBER.info());

const RESULT: &[FieldInfo] = &[
    Field::long_text("status").read_only().described("`Passed` or `Failed`."),
    Field::long_text("message").nullable().read_only(),
];
pub(super) const STEP: &[FieldInfo] = &[
    Field::long_text("name").read_only(),
    Field::long_text("description").read_only(),
    Field::object("result", RESULT).nullable().read_only(),
];
pub(super) const LIST: &[FieldInfo] = &[Field::objects("steps", STEP).read_only()];

/// One step of a test.
struct Step {
    name: &'static str,
    description: &'static str,
}

const S3: &[Step] = &[
    Step { name: "Bucket", description: "The bucket can be reached with the credentials." },
    Step { name: "Writing", description: "A small file can be written into the bucket, and deleted again." },
];
const POSTGRES: &[Step] = &[
    Step { name: "Connection", description: "The database accepts the user and the password." },
    Step {
        name: "Schema",
        description: "The table can be written to or, where there is none yet, created in the schema.",
    },
];
const HTTP: &[Step] = &[Step { name: "Host", description: "The host of the URL answers." }];

/// The steps of a type of destination.
///
/// # Errors
/// 404 for a type without a test.
fn steps(kind: Kind) -> Result<&'static [Step]> {
    match kind {
        Kind::S3 => Ok(S3),
        Kind::Postgres | Kind::Redshift => Ok(POSTGRES),
        Kind::Http => Ok(HTTP),
        Kind::Snowflake | Kind::BigQuery | Kind::NoOp => Err(no_test(kind.name())),
    }
}

fn no_test(kind: &str) -> Error {
    Error::NotFound(format!("There is no test for destinations of the type '{kind}'.").into())
}

#[derive(Serialize)]
struct Wire {
    name: &'static str,
    description: &'static str,
    result: Option<Outcome>,
}

#[derive(Serialize)]
struct Outcome {
    status: &'static str,
    message: Option<String>,
}

impl Step {
    fn wire(&self, result: Option<Outcome>) -> Wire {
        Wire { name: self.name, description: self.description, result }
    }
}

/// The steps for a type of destination, without results.
pub(super) fn list(call: &Call, _: &Tx) -> Result<Reply> {
    #[derive(Serialize)]
    struct List {
        steps: Vec<Wire>,
    }
    let Some(name) = call.query("destination").filter(|name| !name.is_empty()) else {
        return Err(invalid("destination", "required", "This field is required."));
    };
    let kind = Kind::named(name).ok_or_else(|| no_test(name))?;
    Reply::ok(&List { steps: steps(kind)?.iter().map(|step| step.wire(None)).collect() })
}

/// What is to be tested.
struct Wanted {
    id: BatchExportId,
    destination: Destination,
    step: usize,
}

impl Wanted {
    /// Whoever is known here sees the project. The destination is judged as that of a new export, or as a change of
    /// `stored`: what is stored is sent to nobody else.
    fn of(
        ctx: &Ctx,
        tx: &Tx,
        at: InProject,
        stored: Option<BatchExportId>,
        input: Input<'_>,
    ) -> Result<Wanted> {
        let Input { value, is_text, .. } = input;
        let value = value?;
        let part = || Input { value: Ok(value), is_text, is_partial: true };
        let (id, destination) = draft_to_test(ctx, tx, at, stored, part())?;
        let number = part().form(NUMBER)?.only(STEP_NUMBER).unwrap_or(0);
        let all = steps(destination.kind)?;
        let step = usize::try_from(number).ok().filter(|number| *number < all.len());
        let step = step.ok_or_else(|| {
            let detail = format!("This test has steps from 0 to {}.", all.len() - 1);
            invalid("step", "invalid_input", detail)
        })?;
        Ok(Wanted { id, destination, step })
    }
}

/// The destination that is to be tested, with the export that its secrets are sealed for: that of a new export, or of a
/// stored one with what the input changes of it.
///
/// # Errors
/// As for making or changing the export.
pub fn draft_to_test(
    ctx: &Ctx,
    tx: &Tx,
    at: InProject,
    stored: Option<BatchExportId>,
    input: Input<'_>,
) -> Result<(BatchExportId, Destination)> {
    let Some(id) = stored else {
        let (id, export) = commands::drafted(ctx, at, ctx.new_id(), Input { is_partial: false, ..input })?;
        return Ok((id, export.destination));
    };
    let before = find(tx, at, id)?.destination;
    let sent = Sent::read(ctx, id, Some(&before), Input { is_partial: true, ..input })?;
    Ok((id, sent.destination.unwrap_or(before)))
}

/// A step of a test that was run.
#[derive(Clone, Debug)]
pub struct Tested {
    pub description: &'static str,
    pub is_passed: bool,
    pub message: Option<String>,
}

/// Runs the steps of a destination from `draft_to_test` one after the other, up to the first that fails.
///
/// # Errors
/// 404 for a type without a test; 429 where many tests run.
pub async fn run_all(app: &App, id: BatchExportId, destination: &Destination) -> Result<Vec<Tested>> {
    let mut done = Vec::new();
    for (number, step) in steps(destination.kind)?.iter().enumerate() {
        let Outcome { status, message } = run_step(app, (id, destination), number).await?;
        let is_passed = status == PASSED;
        done.push(Tested { description: step.description, is_passed, message });
        if !is_passed {
            break;
        }
    }
    Ok(done)
}

/// Tests the destination of an export that is not stored.
pub(super) async fn run_new(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    let wanted = app.store.read(|tx| {
        let at = places::again(tx, &call)?.in_project()?;
        Wanted::of(&call, tx, at, None, call.input())
    })?;
    run(&app, wanted).await
}

/// Tests the destination of a stored export, with what the body changes of it.
pub(super) async fn run_stored(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    let (_, id) = place(&call)?;
    let wanted = app.store.read(|tx| {
        let at = places::again(tx, &call)?.in_project()?;
        Wanted::of(&call, tx, at, Some(id), call.input())
    })?;
    run(&app, wanted).await
}

async fn run(app: &App, Wanted { id, destination, step }: Wanted) -> Result<Reply> {
    let result = run_step(app, (id, &destination), step).await?;
    Reply::ok(&steps(destination.kind)?[step].wire(Some(result)))
}

const PASSED: &str = "Passed";

async fn run_step(
    app: &App,
    (id, destination): (BatchExportId, &Destination),
    step: usize,
) -> Result<Outcome> {
    let Ok(_turn) = RUNNING.try_acquire() else {
        return Err(Error::Throttled { retry_after_seconds: RETRY_SECONDS });
    };
    let settings = Settings::new(destination.open(&app.vault, id));
    let seconds = app.config.exports.export_first_answer_seconds;
    let deadline = app.clock.now().plus_seconds(seconds.into());
    let found = tokio::select! {
        found = probe::run(app, destination.kind, &settings, step) => found,
        () = app.clock.reached(deadline) => Err(format!("There was no answer within {seconds} seconds.")),
    };
    // A server may repeat what it was sent.
    let redactor = Redactor::new(&destination.secrets(&app.vault, id));
    let redacted = |text: String| redactor.redact(text);
    Ok(match found {
        Ok(message) => Outcome { status: PASSED, message: message.map(redacted) },
        Err(message) => Outcome { status: "Failed", message: Some(redacted(message)) },
    })
}
