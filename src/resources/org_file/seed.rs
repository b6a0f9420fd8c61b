//! Seeds: what a test server has when it starts.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::compare::May;
use super::document;
use super::fault::Places;
use super::plan::Options;
use super::service::{self, Job};
use crate::api::{Actor, Source};
use crate::app::App;
use crate::error::Error;

/// What a seed has made, and what it wants of the test server.
#[derive(Clone, Debug, Serialize)]
pub struct Seeded {
    pub organizations: usize,
    pub users: usize,
    /// As they stand in the file; `None` where they do not.
    #[serde(skip)]
    pub faults: Option<Value>,
    #[serde(skip)]
    pub dns: Option<Value>,
    #[serde(skip)]
    pub clock: Option<Value>,
}

/// The clock that a seed wants, where it wants one. What is wrong with the rest is said when it is made.
///
/// # Errors
/// It is no text.
pub fn clock_of(text: &str) -> Result<Option<String>, String> {
    let Ok(read) = document::read(&[text]) else { return Ok(None) };
    match read.value.get("clock") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(clock)) => Ok(Some(clock.clone())),
        Some(_) => Err("seed: clock: a time is wanted, such as 2026-01-01T00:00:00Z".to_owned()),
    }
}

/// Makes what the text of a seed says, all of it or nothing. References to variables and files are followed.
///
/// # Errors
/// A sentence for each thing that is wrong, with its line.
pub async fn seed(app: &Arc<App>, text: &str) -> Result<Seeded, String> {
    make(app, text, From::Operator).await
}

/// The same on a server that runs: what is there stays, and what the file says of it is changed. Nobody who sends a file
/// learns what variables and files of the machine hold, so no reference is followed.
///
/// # Errors
/// The same, and what a server wants when it starts.
pub async fn seed_more(app: &Arc<App>, text: &str) -> Result<Seeded, String> {
    make(app, text, From::Request).await
}

/// Who gave a seed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Operator,
    Request,
}

async fn make(app: &Arc<App>, text: &str, from: From) -> Result<Seeded, String> {
    let read = document::read(&[text]).map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(|fault| format!("seed: {fault}")).collect();
        lines.join("\n")
    })?;
    let mut value = read.value;
    if from == From::Operator {
        super::references::resolve(&mut value).map_err(|cause| format!("seed: {cause}"))?;
    }
    let document = document::read_value(&value).map_err(|cause| sentence(&read.places, &cause))?;
    if from == From::Request
        && let Some((name, _)) = document.test_server.iter().next()
    {
        return Err(format!("seed: {name}: only a server that starts reads it"));
    }
    let seeded = Seeded {
        organizations: document.organizations.len(),
        users: document.users.len(),
        faults: document.test_server.get("faults").cloned(),
        dns: document.test_server.get("dns").cloned(),
        clock: document.test_server.get("clock").cloned(),
    };
    let source = Source { client: Some("orgd seed".into()), ..Source::default() };
    let job = Job {
        ctx: app.ctx(String::new(), Actor::Operator(None), source),
        document: Arc::new(document),
        options: Options { secrets: true, ..Options::default() },
        may: May { make_people: true, say_all: true },
        base: None,
        is_silent: true,
    };
    service::apply(app, job).await.map_err(|cause| sentence(&read.places, &cause))?;
    Ok(seeded)
}

/// `seed: organizations[1].id: … (line 14)`.
fn sentence(places: &Places, cause: &Error) -> String {
    format!("seed: {}", placed(places, cause))
}

/// An error with what it is about and its line.
pub fn placed(places: &Places, cause: &Error) -> String {
    let envelope = cause.envelope();
    let Some(path) = envelope.attr else { return cause.to_string() };
    let line = places.find(path).map(|at| format!(" (line {})", at.line)).unwrap_or_default();
    let detail = envelope.detail.trim_end_matches('.');
    if detail == "This identifier is used already" {
        return format!("{path} is used already{line}");
    }
    format!("{path}: {detail}{line}")
}
