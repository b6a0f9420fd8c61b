//! What a handler answers with.

use serde::Serialize;

use crate::error::Result;

/// A status, a body and headers.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub content_type: &'static str,
    pub body: Vec<u8>,
    pub headers: Vec<(&'static str, String)>,
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
        Ok(Reply { status: 204, content_type: JSON, body: Vec::new(), headers: Vec::new() })
    }

    pub fn json(status: u16, body: &impl Serialize) -> Result<Reply> {
        let mut bytes = Vec::with_capacity(1024);
        serde_json::to_writer(&mut bytes, body)?;
        Ok(Reply { status, content_type: JSON, body: bytes, headers: Vec::new() })
    }

    /// Text of another media type.
    pub fn text(status: u16, content_type: &'static str, body: impl Into<String>) -> Reply {
        Reply { status, content_type, body: body.into().into_bytes(), headers: Vec::new() }
    }

    /// Adds a header.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Reply {
        self.headers.push((name, value.into()));
        self
    }
}
