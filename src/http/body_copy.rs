//! A copy of a request's body for the journal, made while it is read.

use std::fmt::Write;
use std::sync::Arc;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::credentials::KEY_FIELD;
use crate::api::FieldInfo;
use crate::app::App;
use crate::auth::hash;
use crate::resources::api_keys;
use crate::test_server::conceal;
use crate::test_server::journal::{self, BODY_BYTES_MAX, Content};

pub(super) struct BodyCopy {
    app: Arc<App>,
    /// The number of the request in the journal.
    number: u64,
    media: Option<String>,
    /// What the route's list says of the body.
    fields: &'static [FieldInfo],
    bytes: Vec<u8>,
    length: u64,
    hash: Sha256,
    is_over: bool,
}

impl BodyCopy {
    pub(super) fn new(
        app: Arc<App>,
        number: u64,
        media: Option<String>,
        fields: &'static [FieldInfo],
    ) -> BodyCopy {
        BodyCopy {
            app,
            number,
            media,
            fields,
            bytes: Vec::new(),
            length: 0,
            hash: Sha256::new(),
            is_over: false,
        }
    }

    /// Some more of it.
    pub(super) fn take(&mut self, data: &[u8]) {
        self.hash.update(data);
        self.length += data.len() as u64;
        if self.bytes.len() <= BODY_BYTES_MAX {
            let left = BODY_BYTES_MAX + 1 - self.bytes.len();
            self.bytes.extend_from_slice(&data[..data.len().min(left)]);
        }
    }

    /// The whole body has been read.
    pub(super) fn end(&mut self) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let Some(server) = &self.app.test_server else { return };
        let hash: [u8; 32] = std::mem::take(&mut self.hash).finalize().into();
        let value = self.value();
        let content = match value {
            Some(mut value) => {
                if let Some(label) = self.label_of_key(&value) {
                    server.journal.note_key(self.number, label);
                }
                conceal::body(&mut value, self.fields);
                Content::of_json(&value)
            }
            None if self.length == 0 => Content::Nothing,
            None => {
                let mut sha256 = String::new();
                for byte in hash {
                    let _ = write!(sha256, "{byte:02x}");
                }
                Content::Other(journal::Digest { bytes: self.length, sha256 })
            }
        };
        self.bytes = Vec::new();
        server.journal.read_body(self.number, content, &hash);
    }

    /// The body as a value, where it is small and can be read.
    fn value(&self) -> Option<Value> {
        if self.bytes.is_empty() || self.bytes.len() > BODY_BYTES_MAX {
            return None;
        }
        let media = self.media.as_deref().unwrap_or_default();
        let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if media == "application/x-www-form-urlencoded" {
            return Some(form_of(&self.bytes));
        }
        // Senders of events often call it plain text.
        serde_json::from_slice(&self.bytes).ok()
    }

    fn label_of_key(&self, value: &Value) -> Option<String> {
        let token = value.get(KEY_FIELD)?.as_str()?;
        self.app.store.read(|tx| api_keys::label_of(tx, &hash(token))).ok().flatten()
    }
}

/// The fields of a form; those that come again are a list.
fn form_of(bytes: &[u8]) -> Value {
    let mut fields = Map::new();
    for (name, value) in form_urlencoded::parse(bytes) {
        // Senders of events put them whole into this field, and the token with them.
        let is_packed = name == "data" && !value.is_empty();
        let value = if is_packed { conceal::CONCEALED.into() } else { Value::String(value.into_owned()) };
        match fields.get_mut(name.as_ref()) {
            None => drop(fields.insert(name.into_owned(), value)),
            Some(Value::Array(items)) => items.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    Value::Object(fields)
}
