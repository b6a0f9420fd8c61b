//! What a handler answers with.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde::Serialize;

use crate::bytewise::json_bytes;
use crate::error::Result;

/// A status, a body and headers.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub content_type: &'static str,
    pub body: Bytes,
    pub headers: Vec<(&'static str, String)>,
    /// What follows the body, read while it is sent.
    pub rest: Option<Rest>,
    /// Where the compressed body is kept, for one that is sent again and again.
    pub gzipped: Option<Arc<OnceLock<Bytes>>>,
}

/// The further pieces of a body.
pub struct Rest(Box<dyn FnMut() -> Result<Option<Vec<u8>>> + Send + Sync>);

impl Rest {
    /// `next` gives a piece each time it is called, and `None` at the end. It runs where requests run, so that a
    /// piece must be small.
    pub fn new(next: impl FnMut() -> Result<Option<Vec<u8>>> + Send + Sync + 'static) -> Rest {
        Rest(Box::new(next))
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// It can't be read, or not any more by this caller.
    pub fn piece(&mut self) -> Result<Option<Vec<u8>>> {
        (self.0)()
    }
}

impl fmt::Debug for Rest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Rest")
    }
}

pub const JSON: &str = "application/json";

impl Reply {
    /// 200 with a JSON body.
    pub fn ok(body: &impl Serialize) -> Result<Reply> {
        Reply::json(200, body)
    }

    /// 201 with a JSON body.
    pub fn created(body: &impl Serialize) -> Result<Reply> {
        Reply::json(201, body)
    }

    /// 204.
    pub fn no_content() -> Result<Reply> {
        Ok(Reply::of(204, JSON, Vec::new()))
    }

    pub fn json(status: u16, body: &impl Serialize) -> Result<Reply> {
        Ok(Reply::of(status, JSON, json_bytes(body, 1024)?))
    }

    /// Text of another media type.
    pub fn text(status: u16, content_type: &'static str, body: impl Into<String>) -> Reply {
        Reply::of(status, content_type, body.into().into_bytes())
    }

    fn of(status: u16, content_type: &'static str, body: Vec<u8>) -> Reply {
        Reply { status, content_type, body: body.into(), headers: Vec::new(), rest: None, gzipped: None }
    }

    /// Sends more after the body.
    pub fn followed_by(mut self, rest: Rest) -> Reply {
        self.rest = Some(rest);
        self
    }

    /// Adds a header.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Reply {
        self.headers.push((name, value.into()));
        self
    }
}
