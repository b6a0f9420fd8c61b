//! What was typed of a command of the table.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Choice, Noun, Verb};

/// A command, and what it was given.
pub struct Given {
    pub noun: &'static Noun,
    pub verb: &'static Verb,
    /// The values of what the command takes, by name.
    pub values: BTreeMap<&'static str, String>,
    /// Further fields, as they were typed: `name=value`.
    pub fields: Vec<String>,
    /// A file with the body.
    pub input: Option<PathBuf>,
    pub organization: Option<String>,
    pub project: Option<String>,
    pub limit: usize,
    /// Whether JSON is wanted, and which fields of it; all where there are none.
    pub json: Option<Vec<String>>,
    /// Whether it is not to ask.
    pub yes: bool,
    pub at: Choice,
}

impl Given {
    /// A value that the command takes.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Whether a switch was given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }
}
