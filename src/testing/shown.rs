//! What the server shows of what happened.

use std::fmt;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A mail that would have gone out.
#[derive(Clone, Debug, Deserialize)]
pub struct Mail {
    pub n: u64,
    pub to: String,
    pub subject: String,
    pub text: String,
    pub links: Vec<String>,
    pub invite_id: Option<String>,
}

/// An event that was stored.
#[derive(Clone, Debug, Deserialize)]
pub struct Event {
    pub uuid: String,
    pub event: String,
    pub distinct_id: String,
    pub timestamp: String,
    pub project_id: u32,
    pub properties: Value,
}

/// What a client has sent, and was answered: no status until then.
#[derive(Clone, Debug, Deserialize)]
pub struct Request {
    pub n: u64,
    pub method: String,
    pub path: String,
    pub row: Option<String>,
    pub query: String,
    pub status: Option<u16>,
    pub key: Option<String>,
    pub agent: Option<String>,
    pub json: Option<Value>,
    /// The rule that has spoilt its answer.
    pub fault: Option<String>,
    /// The first request with the same method, path and body.
    pub repeats: Option<u64>,
    /// The status that the client never saw.
    pub carried_out: Option<u16>,
}

impl fmt::Display for Request {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:>4}  {} {}", self.n, self.method, self.path)?;
        if !self.query.is_empty() {
            write!(out, "?{}", self.query)?;
        }
        match self.status {
            Some(status) => write!(out, " -> {status}")?,
            None => out.write_str(" -> no answer")?,
        }
        if let Some(fault) = &self.fault {
            write!(out, "  fault {fault}")?;
        }
        if let Some(status) = self.carried_out {
            write!(out, " (carried out: {status})")?;
        }
        if let Some(first) = self.repeats {
            write!(out, "  repeats {first}")?;
        }
        match &self.json {
            Some(json) => write!(out, "  {:.300}", json.to_string()),
            None => Ok(()),
        }
    }
}

/// What an advance of the clock did.
#[derive(Clone, Debug, Deserialize)]
pub struct Advance {
    pub now: String,
    /// Whether nothing is due or under way any more.
    pub settled: bool,
    /// The tasks that had something to do on the way.
    pub fired: Vec<Value>,
}

#[track_caller]
pub(super) fn one<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap_or_else(|cause| panic!("orgd: {cause}"))
}

#[track_caller]
pub(super) fn list<T: DeserializeOwned>(value: Value) -> Vec<T> {
    one(value)
}
