//! What of an object is shown.

use serde_json::Value;

/// A column of a table, or a line of one object.
#[derive(Clone, Copy)]
pub struct Column {
    /// In capitals, as it stands above a table.
    pub title: &'static str,
    pub cell: Cell,
    /// Where the value stands: a JSON pointer.
    at: &'static str,
}

/// How a value is shown.
#[derive(Clone, Copy)]
pub enum Cell {
    Text,
    /// A level of membership, by its word.
    Level,
    YesNo,
    /// How many there are in a list.
    Count,
    Time,
    /// Texts with commas between.
    Words,
    /// First and last name of the object that stands there.
    FullName,
}

impl Column {
    pub(super) const fn new(title: &'static str, at: &'static str, cell: Cell) -> Column {
        Column { title, cell, at }
    }

    /// The value of an object as text, without what people don't need; empty where there is none.
    pub fn of(&self, object: &Value, is_for_people: bool) -> String {
        let Some(value) = object.pointer(self.at) else { return String::new() };
        match (self.cell, value) {
            (_, Value::Null) => String::new(),
            (Cell::Level, _) => level_word(value).map_or_else(|| plain(value), str::to_owned),
            (Cell::YesNo, Value::Bool(true)) => "yes".into(),
            (Cell::YesNo, Value::Bool(false)) => "no".into(),
            (Cell::Count, Value::Array(list)) => list.len().to_string(),
            (Cell::Time, Value::String(time)) if is_for_people => seconds(time),
            (Cell::Words, Value::Array(list)) => list.iter().map(plain).collect::<Vec<_>>().join(","),
            (Cell::FullName, Value::Object(_)) => {
                let part = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
                format!("{} {}", part("first_name"), part("last_name")).trim().to_owned()
            }
            _ => plain(value),
        }
    }
}

/// A time without what is below a second.
fn seconds(time: &str) -> String {
    let front = time.split_once('.').map_or(time, |(front, _)| front);
    front.trim_end_matches('Z').replace('T', " ")
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn level_word(level: &Value) -> Option<&'static str> {
    let level = level.as_i64()?;
    LEVELS.iter().find(|(_, number)| *number == level).map(|(word, _)| *word)
}

/// The words of levels, and their numbers.
pub(in crate::client) const LEVELS: &[(&str, i64)] = &[("member", 1), ("admin", 8), ("owner", 15)];
