//! The body of a request: what a file says, what fields say, and what the command says.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value};

use super::nouns::LEVELS;
use super::{Failure, Given, Kind};
use crate::clock::{Clock, duration};

/// Longest file, in bytes.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

impl Given {
    /// The fields that were given besides: `name=value`, where `true`, `false`, `null` and numbers are what they look like, and
    /// `@FILE` is the text of a file.
    ///
    /// # Errors
    /// One has no name, or its file can't be read.
    pub(super) fn further_fields(&self) -> Result<Map<String, Value>, Failure> {
        let mut all = Map::new();
        for field in &self.fields {
            let (name, text) =
                field.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(|| {
                    // What was typed may be a secret.
                    Failure::usage("-F takes name=value")
                })?;
            let value = match text.strip_prefix('@') {
                Some(path) => {
                    Value::String(text_of(Path::new(path))?.trim_end_matches(['\r', '\n']).to_owned())
                }
                None => of_text(text),
            };
            all.insert(name.to_owned(), value);
        }
        Ok(all)
    }

    /// Refuses values that none of their kind can be, before anything is sent.
    ///
    /// # Errors
    /// The first of them.
    pub(super) fn check_values(&self) -> Result<(), Failure> {
        for take in self.verb.takes {
            match (take.kind, self.value(take.name)) {
                (Kind::Level, Some(text)) => drop(level(text)?),
                (Kind::Since, Some(text)) => drop(since(text)?),
                _ => {}
            }
        }
        Ok(())
    }

    /// The body that the file of `--input` holds.
    ///
    /// # Errors
    /// It can't be read, or is no JSON.
    pub(super) fn input(&self) -> Result<Option<Value>, Failure> {
        let Some(path) = &self.input else { return Ok(None) };
        let text = text_of(path)?;
        let value = serde_json::from_str(&text).map_err(|cause| {
            // The message says where, and nothing of the text.
            Failure::from(format!("{}:{}: this is no JSON", path.display(), cause.line()))
        })?;
        Ok(Some(value))
    }
}

/// The text of a file, or of standard input for `-`.
pub(super) fn text_of(path: &Path) -> Result<String, Failure> {
    let cannot = |cause: std::io::Error| format!("cannot read {}: {cause}", path.display());
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().lock().take(BYTES_MAX).read_to_string(&mut text).map_err(cannot)?;
    } else {
        File::open(path).map_err(cannot)?.take(BYTES_MAX).read_to_string(&mut text).map_err(cannot)?;
    }
    Ok(text)
}

fn of_text(text: &str) -> Value {
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        "null" => Value::Null,
        _ => text.parse::<i64>().map_or_else(|_| Value::String(text.to_owned()), Value::from),
    }
}

/// The number of a level.
pub(super) fn level(text: &str) -> Result<Value, Failure> {
    let is_it = |(word, number): &&(&str, i64)| word.eq_ignore_ascii_case(text) || number.to_string() == text;
    let found = LEVELS.iter().find(is_it).map(|(_, number)| Value::from(*number));
    found.ok_or_else(|| Failure::usage(format!("{text} is no level: member, admin or owner is one")))
}

/// A time, or one so long ago.
pub(super) fn since(text: &str) -> Result<String, Failure> {
    let Some(seconds) = duration::seconds(text) else { return Ok(text.to_owned()) };
    let then = seconds.checked_neg().map(|back| Clock::wall().plus_seconds(back));
    then.map(|time| time.to_string()).ok_or_else(|| Failure::usage(format!("{text} is too long ago")))
}
