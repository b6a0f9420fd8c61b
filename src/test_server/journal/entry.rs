//! One request, as the journal has it.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::clock::Time;

/// What an entry takes beside its texts, in bytes.
const BASE_BYTES: usize = 500;

/// What is known of a request when it arrives.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub at: Time,
    pub method: Cow<'static, str>,
    /// Without what opens something.
    pub path: String,
    pub query: String,
    /// A hash of path and query as they were sent.
    pub target_hash: [u8; 32],
    /// The template of the route; `None` where the server has no such path.
    pub row: Option<Cow<'static, str>>,
    pub agent: Option<String>,
    /// Those of the other headers that are kept.
    pub headers: Vec<(&'static str, String)>,
    pub key: Option<String>,
}

/// What is kept of a body.
#[derive(Clone, Debug, Default)]
pub enum Content {
    /// It has not been read, or there is none.
    #[default]
    Nothing,
    /// Without its secrets.
    Json(Box<RawValue>),
    /// Of a large one, or one that is no JSON.
    Other(Digest),
}

/// What a body was that is not kept.
#[derive(Clone, Debug, Serialize)]
pub struct Digest {
    pub bytes: u64,
    pub sha256: String,
}

impl Content {
    pub fn of_json(value: &Value) -> Content {
        serde_json::value::to_raw_value(value).map_or(Content::Nothing, Content::Json)
    }

    fn bytes(&self) -> usize {
        match self {
            Content::Nothing => 0,
            Content::Json(raw) => raw.get().len(),
            Content::Other(_) => 100,
        }
    }

    /// The value, where it is JSON.
    pub fn value(&self) -> Option<Value> {
        match self {
            Content::Json(raw) => serde_json::from_str(raw.get()).ok(),
            Content::Nothing | Content::Other(_) => None,
        }
    }
}

/// An entry of the journal.
#[derive(Clone, Debug)]
pub struct Entry {
    pub n: u64,
    pub arrival: Arrival,
    pub content: Content,
    pub status: Option<u16>,
    pub ms: Option<u64>,
    pub fault: Option<String>,
    pub repeats: Option<u64>,
    pub carried_out: Option<u16>,
    pub(super) likeness: Option<super::Likeness>,
}

impl std::ops::Deref for Entry {
    type Target = Arrival;
    fn deref(&self) -> &Arrival {
        &self.arrival
    }
}

impl std::ops::DerefMut for Entry {
    fn deref_mut(&mut self) -> &mut Arrival {
        &mut self.arrival
    }
}

impl Entry {
    pub(super) fn of(n: u64, arrival: Arrival) -> Entry {
        Entry {
            n,
            arrival,
            content: Content::Nothing,
            status: None,
            ms: None,
            fault: None,
            repeats: None,
            carried_out: None,
            likeness: None,
        }
    }

    /// About what it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        let texts = [&self.path, &self.query].map(String::len).into_iter().sum::<usize>();
        let optional = [&self.agent, &self.key, &self.fault];
        let optional: usize = optional.into_iter().flatten().map(String::len).sum();
        let headers: usize = self.headers.iter().map(|(_, value)| value.len() + 40).sum();
        BASE_BYTES + texts + optional + headers + self.content.bytes()
    }

    /// As it is shown.
    pub fn wire(&self) -> Wire<'_> {
        Wire {
            n: self.n,
            at: self.at,
            method: &self.method,
            path: &self.path,
            row: self.row.as_deref(),
            query: &self.query,
            status: self.status,
            ms: self.ms,
            key: self.key.as_deref(),
            agent: self.agent.as_deref(),
            headers: self
                .headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone().into()))
                .collect(),
            json: match &self.content {
                Content::Json(raw) => Some(raw),
                Content::Nothing | Content::Other(_) => None,
            },
            body: match &self.content {
                Content::Other(digest) => Some(digest),
                Content::Nothing | Content::Json(_) => None,
            },
            fault: self.fault.as_deref(),
            carried_out: self.carried_out,
            repeats: self.repeats,
        }
    }
}

/// An entry as it is shown.
#[derive(Serialize)]
pub struct Wire<'a> {
    n: u64,
    at: Time,
    method: &'a str,
    path: &'a str,
    row: Option<&'a str>,
    query: &'a str,
    status: Option<u16>,
    ms: Option<u64>,
    key: Option<&'a str>,
    agent: Option<&'a str>,
    headers: serde_json::Map<String, Value>,
    json: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a Digest>,
    fault: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    carried_out: Option<u16>,
    repeats: Option<u64>,
}
