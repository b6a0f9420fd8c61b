//! Rows as the text that COPY reads, or as values of an INSERT.
//!
//! No single value may keep a whole run from being delivered: characters that the database cannot hold are
//! replaced, and what is longer than its column is shortened.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Write;

use postgres_protocol::escape::escape_literal;

use super::table::{Dialect, SqlType, TargetTable};
use crate::clock::Time;
use crate::resources::batch_exports::columns::Value;

/// Replaces U+0000, as in PostHog.
const REPLACEMENT: &str = "\u{fffd}";
/// Larger objects do not fit into a statement of Redshift's.
const SUPER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Rows that wait to be sent.
#[derive(Default)]
pub(super) struct Rows {
    text: String,
    /// Values that were too long.
    pub(super) shortened: u64,
}

impl Rows {
    pub(super) fn bytes(&self) -> usize {
        self.text.len()
    }

    /// The rows to send; the next ones begin anew.
    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    /// Adds a row of the table.
    pub(super) fn push(&mut self, table: &TargetTable, values: &[Value<'_>]) {
        match table.dialect {
            Dialect::Postgres => self.push_line(table, values),
            Dialect::Redshift => self.push_tuple(table, values),
        }
    }

    fn push_line(&mut self, table: &TargetTable, values: &[Value<'_>]) {
        for (place, column) in table.columns.iter().enumerate() {
            if place > 0 {
                self.text.push('\t');
            }
            let value = values.get(column.place).unwrap_or(&Value::Null);
            let shown = shown(column.kind, Dialect::Postgres, value, &mut self.shortened);
            let Some(shown) = shown else {
                self.text.push_str("\\N");
                continue;
            };
            for letter in shown.chars() {
                match letter {
                    '\\' => self.text.push_str("\\\\"),
                    '\n' => self.text.push_str("\\n"),
                    '\r' => self.text.push_str("\\r"),
                    '\t' => self.text.push_str("\\t"),
                    letter => self.text.push(letter),
                }
            }
        }
        self.text.push('\n');
    }

    fn push_tuple(&mut self, table: &TargetTable, values: &[Value<'_>]) {
        let front = if self.text.is_empty() { table.insert() } else { ", ".to_owned() };
        self.text.push_str(&front);
        for (place, column) in table.columns.iter().enumerate() {
            let value = values.get(column.place).unwrap_or(&Value::Null);
            self.text.push_str(if place == 0 { "(" } else { ", " });
            let shown = shown(column.kind, Dialect::Redshift, value, &mut self.shortened);
            // Writing to memory does not fail.
            let _ = match (shown, column.kind, value) {
                (None, ..) => self.text.write_str("NULL"),
                (Some(shown), SqlType::Super, _) => {
                    write!(self.text, "JSON_PARSE({})", escape_literal(&shown))
                }
                (Some(shown), _, Value::Integer(_) | Value::Boolean(_)) => self.text.write_str(&shown),
                (Some(shown), ..) => self.text.write_str(&escape_literal(&shown)),
            };
        }
        self.text.push(')');
    }
}

/// The text of a value; `None` for null.
fn shown<'a>(
    kind: SqlType,
    dialect: Dialect,
    value: &'a Value<'_>,
    shortened: &mut u64,
) -> Option<Cow<'a, str>> {
    match value {
        Value::Null => None,
        Value::Uuid(id) => Some(id.to_string().into()),
        Value::Integer(number) => Some(number.to_string().into()),
        Value::Float(number) => Some(number.to_string().into()),
        Value::Boolean(flag) => Some(flag.to_string().into()),
        Value::Time(time) => Some(moment(*time).into()),
        Value::Json(json) => short_json(kind, without_escaped_nul(json), shortened),
        Value::Text(text) if matches!(kind, SqlType::Jsonb | SqlType::Super) => {
            short_json(kind, as_json(text), shortened)
        }
        Value::Text(text) => Some(short_text(kind, dialect, without_nul(text), shortened)),
    }
}

fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', REPLACEMENT).into() } else { text.into() }
}

/// JSON text without the one escape that jsonb cannot hold. A backslash that is itself escaped begins none.
fn without_escaped_nul(json: &str) -> Cow<'_, str> {
    const NUL: &str = "\\u0000";
    if !json.contains(NUL) {
        return json.into();
    }
    let mut clean = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        clean.push_str(&rest[..at]);
        rest = &rest[at..];
        let (escape, after) = if let Some(after) = rest.strip_prefix(NUL) {
            (REPLACEMENT, after)
        } else {
            // With the letter after it, so that a backslash that is escaped is not taken for one that escapes.
            rest.split_at(rest.char_indices().nth(2).map_or(rest.len(), |(at, _)| at))
        };
        clean.push_str(escape);
        rest = after;
    }
    clean.push_str(rest);
    clean.into()
}

/// What a query returns for a column of JSON: JSON text as it is, anything else as a string.
fn as_json(text: &str) -> Cow<'_, str> {
    let is_json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    if is_json {
        without_escaped_nul(text)
    } else {
        serde_json::Value::from(&*without_nul(text)).to_string().into()
    }
}

fn short_text<'a>(kind: SqlType, dialect: Dialect, text: Cow<'a, str>, shortened: &mut u64) -> Cow<'a, str> {
    let SqlType::Varchar(length) = kind else { return text };
    let end = match dialect {
        Dialect::Postgres => text.char_indices().nth(length).map(|(at, _)| at),
        Dialect::Redshift => (text.len() > length).then(|| text.floor_char_boundary(length)),
    };
    let Some(end) = end else { return text };
    *shortened += 1;
    text[..end].to_owned().into()
}

fn short_json<'a>(kind: SqlType, json: Cow<'a, str>, shortened: &mut u64) -> Option<Cow<'a, str>> {
    let bytes_max = match kind {
        SqlType::Varchar(length) => length,
        SqlType::Super => SUPER_BYTES_MAX,
        _ => return Some(json),
    };
    if json.len() <= bytes_max {
        return Some(json);
    }
    *shortened += 1;
    without_the_longest(&json, bytes_max).map(Cow::from)
}

/// An object without its longest members; `None` for anything else.
fn without_the_longest(json: &str, bytes_max: usize) -> Option<String> {
    let mut object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(json).ok()?;
    // With quotes, a colon and a comma; escapes in names are rare, and allowed for.
    let size = |(name, value): (&String, &serde_json::Value)| {
        (6 * name.len() + value.to_string().len() + 4, name.clone())
    };
    let mut sizes: Vec<(usize, String)> = object.iter().map(size).collect();
    sizes.sort_unstable();
    let mut bytes = 2;
    let fits = |(size, _): &(usize, String)| {
        bytes += size;
        bytes <= bytes_max
    };
    let kept: HashSet<String> = sizes.into_iter().take_while(fits).map(|(_, name)| name).collect();
    object.retain(|name, _| kept.contains(name));
    Some(serde_json::Value::Object(object).to_string())
}

/// A moment as databases read it. There is no year 0 in SQL: it is the first one before Christ.
fn moment(time: Time) -> String {
    let iso = time.to_string();
    let plain = iso.trim_end_matches('Z').replace('T', " ");
    match plain.strip_prefix("0000-") {
        Some(rest) => format!("0001-{rest}+00 BC"),
        None => format!("{plain}+00"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_escape_of_nul_is_replaced() {
        for (json, wanted) in [
            (r#"{"a":"b\nc"}"#, r#"{"a":"b\nc"}"#),
            (r#"{"a":"x\u0000y"}"#, "{\"a\":\"x\u{fffd}y\"}"),
            (r#"{"\u0000":"\\u0000"}"#, "{\"\u{fffd}\":\"\\\\u0000\"}"),
            (r#""\\\u0000\u0000""#, "\"\\\\\u{fffd}\u{fffd}\""),
        ] {
            assert_eq!(without_escaped_nul(json), wanted, "{json}");
        }
    }

    #[test]
    fn what_is_no_json_becomes_a_string() {
        for (text, wanted) in [
            ("{\"a\":1}", "{\"a\":1}"),
            ("12", "12"),
            ("a\"b", r#""a\"b""#),
            ("", r#""""#),
            ("\0", "\"\u{fffd}\""),
        ] {
            assert_eq!(as_json(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn an_object_that_is_too_long_loses_its_longest_members() {
        let json = serde_json::json!({"long": "x".repeat(100), "a": 1, "b": "y".repeat(20)}).to_string();
        let mut shortened = 0;
        let short = |max: usize, shortened: &mut u64| {
            short_json(SqlType::Varchar(max), json.as_str().into(), shortened).unwrap().into_owned()
        };
        assert_eq!(short(json.len(), &mut shortened), json);
        assert_eq!(shortened, 0);
        assert_eq!(
            short(json.len() - 1, &mut shortened),
            format!("{{\"a\":1,\"b\":\"{}\"}}", "y".repeat(20))
        );
        assert_eq!(short(30, &mut shortened), "{\"a\":1}");
        assert_eq!(shortened, 2);
        assert_eq!(short_json(SqlType::Varchar(3), "\"abcd\"".into(), &mut shortened), None);
    }

    #[test]
    fn texts_are_cut_between_characters() {
        let mut shortened = 0;
        let mut cut = |dialect, text: &str| {
            short_text(SqlType::Varchar(3), dialect, text.to_owned().into(), &mut shortened).into_owned()
        };
        assert_eq!(cut(Dialect::Postgres, "äöü"), "äöü");
        assert_eq!(cut(Dialect::Postgres, "äöüß"), "äöü");
        assert_eq!(cut(Dialect::Redshift, "äöü"), "ä");
        assert_eq!(shortened, 2);
    }

    #[test]
    fn the_year_before_the_first_is_before_christ() {
        assert_eq!(
            moment(Time::parse("0000-02-29T01:02:03.5Z").unwrap()),
            "0001-02-29 01:02:03.500000+00 BC"
        );
        assert_eq!(moment(Time::parse("2021-01-01T00:00:00Z").unwrap()), "2021-01-01 00:00:00+00");
    }
}
