//! A plan: what would change, as data that people and programs read, and the options that it depends on.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::document::Fields;
use crate::error::{Result, invalid};

/// The version of the form of plans.
pub const FORMAT: u32 = 1;

/// How many things a plan may remove, unless more is wanted.
pub const REMOVALS_MAX: u64 = 10;

/// Kinds that may be removed where the file does not have them.
pub const PRUNED: [&str; 8] =
    ["projects", "members", "roles", "invites", "exports", "domains", "proxies", "plugins"];
/// What `all` does not mean.
const BY_NAME_ONLY: [&str; 3] = ["projects", "members", "domains"];

/// What is wanted besides what the file says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Kinds of which everything is removed that a list of the file does not have.
    pub prune: Vec<String>,
    /// Whether secrets of what is there already are replaced.
    pub secrets: bool,
    /// Whether the rest is done where something cannot be.
    pub skip_blocked: bool,
    pub max_removals: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options { prune: Vec::new(), secrets: false, skip_blocked: false, max_removals: REMOVALS_MAX }
    }
}

impl Options {
    /// Whether this kind is pruned.
    pub fn prunes(&self, kind: &str) -> bool {
        self.prune.iter().any(|word| word == kind || (word == "all" && !BY_NAME_ONLY.contains(&kind)))
    }

    /// Refuses kinds that there are not.
    ///
    /// # Errors
    /// 400 for the first of them.
    pub fn check(&self) -> Result<()> {
        for word in &self.prune {
            if word != "all" && !PRUNED.contains(&word.as_str()) {
                let kinds = PRUNED.join(", ");
                let detail = format!("There is no kind `{word}` to prune. Kinds are all, {kinds}.");
                return Err(invalid("prune", "invalid_choice", detail));
            }
        }
        Ok(())
    }
}

/// What would change.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Plan {
    pub format: u32,
    /// A hash of what the plan was made from.
    pub base: String,
    pub changes: Vec<Change>,
    /// What is stored and stands in no list of the file, by kind.
    pub not_in_file: Map<String, Value>,
    /// How much of that pruning would remove.
    pub prunable: Map<String, Value>,
    pub blocked: Vec<Blocked>,
    /// What is left alone though the file says something of it.
    pub notes: Vec<String>,
    pub summary: Summary,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Add,
    Update,
    Remove,
}

/// One thing that is made, changed or removed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Change {
    pub action: Action,
    pub kind: String,
    /// What stands there already has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<Value>,
    pub name: String,
    /// The slug of the organization; empty for people.
    pub organization: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub project: Option<String>,
    pub fields: Vec<FieldChange>,
}

/// A field that changes, or that something new has. Of a secret, neither value is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldChange {
    pub path: String,
    #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "some")]
    pub from: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "some")]
    pub to: Option<Value>,
    /// Whether the values are not shown.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub is_secret: bool,
}

/// Null is a value as well.
fn some<'de, D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

impl FieldChange {
    pub fn new(path: &str, from: Option<Value>, to: Option<Value>) -> FieldChange {
        FieldChange { path: path.to_owned(), from, to, is_secret: false }
    }

    pub fn secret(path: &str) -> FieldChange {
        FieldChange { path: path.to_owned(), from: None, to: None, is_secret: true }
    }
}

/// What the file wants and cannot be done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Blocked {
    pub kind: String,
    pub name: String,
    pub organization: String,
    /// Where it stands in the file.
    pub path: String,
    pub reason: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    pub add: u64,
    pub change: u64,
    pub remove: u64,
    pub blocked: u64,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.blocked.is_empty()
    }

    /// Counts what is in it.
    pub fn sum_up(&mut self) {
        let count =
            |action: Action| self.changes.iter().filter(|change| change.action == action).count() as u64;
        self.summary = Summary {
            add: count(Action::Add),
            change: count(Action::Update),
            remove: count(Action::Remove),
            blocked: self.blocked.len() as u64,
        };
    }
}

/// The fields that differ, in the order of `after`.
pub fn differences([before, after]: &[Fields; 2]) -> Vec<FieldChange> {
    let mut all = Vec::new();
    for (name, to) in after {
        let from = before.get(name).cloned().unwrap_or_default();
        if from != *to {
            differing(name, &from, to, &mut all);
        }
    }
    all
}

/// One line for each value: what differs inside of objects is said there.
fn differing(path: &str, from: &Value, to: &Value, all: &mut Vec<FieldChange>) {
    let (Value::Object(old), Value::Object(new)) = (from, to) else {
        all.push(FieldChange::new(path, Some(from.clone()), Some(to.clone())));
        return;
    };
    let names = new.keys().chain(old.keys().filter(|name| !new.contains_key(*name)));
    for name in names {
        let (from, to) = (old.get(name), new.get(name));
        if from != to {
            let path = format!("{path}.{name}");
            differing(&path, from.unwrap_or(&Value::Null), to.unwrap_or(&Value::Null), all);
        }
    }
}

/// The fields of something new.
pub fn given(fields: &Fields) -> Vec<FieldChange> {
    fields.iter().map(|(name, value)| FieldChange::new(name, None, Some(value.clone()))).collect()
}
