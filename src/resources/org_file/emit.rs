//! Writes YAML: one form for each value, a line for each.

use std::fmt::Write;

use serde_json::{Map, Value};

/// What a name begins with that is a comment.
const COMMENT: &str = "# ";

/// The name of a pair that is written as a comment.
pub(super) fn comment(text: &str) -> String {
    format!("{COMMENT}{text}")
}

/// Whether the name stands for a comment.
pub(super) fn is_comment(name: &str) -> bool {
    name.starts_with(COMMENT)
}

/// The value as a file.
pub(super) fn yaml(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(pairs) => object(&mut out, pairs, 0),
        other => {
            out.push_str(&plain(other));
            out.push('\n');
        }
    }
    out
}

fn indent(out: &mut String, depth: usize) {
    for _ in 0..depth {
        out.push_str("  ");
    }
}

fn object(out: &mut String, pairs: &Map<String, Value>, depth: usize) {
    for (place, (name, value)) in pairs.iter().enumerate() {
        // The first name of an item stands beside its hyphen.
        if place > 0 || !out.ends_with("- ") {
            indent(out, depth);
        }
        if let Some(text) = name.strip_prefix(COMMENT) {
            let _ = writeln!(out, "# {}", text.replace('\n', " "));
            continue;
        }
        out.push_str(&text(name));
        out.push(':');
        below(out, value, depth);
    }
}

/// What follows a name.
fn below(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(pairs) if !pairs.is_empty() => {
            out.push('\n');
            object(out, pairs, depth + 1);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            list(out, items, depth + 1);
        }
        other => {
            let _ = writeln!(out, " {}", plain(other));
        }
    }
}

fn list(out: &mut String, items: &[Value], depth: usize) {
    for item in items {
        indent(out, depth);
        out.push_str("- ");
        match item {
            Value::Object(pairs) if pairs.keys().any(|name| !name.starts_with(COMMENT)) => {
                // A comment cannot stand beside the hyphen.
                let (comments, rest): (Map<_, _>, Map<_, _>) =
                    pairs.clone().into_iter().partition(|(name, _)| name.starts_with(COMMENT));
                let first = rest.iter().next().map(|(name, value)| (name.clone(), value.clone()));
                let mut all: Map<String, Value> = first.into_iter().collect();
                all.extend(comments);
                all.extend(rest);
                object(out, &all, depth + 1);
            }
            Value::Array(items) if !items.is_empty() => {
                out.push('\n');
                list(out, items, depth + 1);
            }
            other => {
                let _ = writeln!(out, "{}", plain(other));
            }
        }
    }
}

/// A value in one line.
fn plain(value: &Value) -> String {
    match value {
        Value::String(value) => text(value),
        other => other.to_string(),
    }
}

/// A text as it stands, where nothing in it means anything; else in quotes, as in JSON.
fn text(value: &str) -> String {
    let is_word = |letter: char| letter.is_alphanumeric() || "_./@+-".contains(letter);
    let begins = value.starts_with(|letter: char| letter.is_alphanumeric() || letter == '_' || letter == '/');
    let is_plain = begins
        && value.chars().all(|letter| is_word(letter) || letter == ' ')
        && !value.ends_with(' ')
        && super::yaml::is_text(value);
    if is_plain { value.to_owned() } else { quoted(value) }
}

/// JSON leaves letters as they are that YAML takes for ends of lines, or for none at all.
fn quoted(value: &str) -> String {
    let json = Value::from(value).to_string();
    let mut out = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(letter));
            }
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resources::org_file::yaml;

    #[test]
    fn what_is_written_is_read_back() {
        let odd = json!({
            "a": ["no", "null", "1", "1e3", "0x1f", "", " a", "a ", "- a", "a: b", "a #b", "# a", "\"", "\\", "a\nb", "\u{85}\u{2028}", "é", "日本", "~", "true", ".5", "-", "@a", "a@b.co", "{}", "2026-01-01", "\u{1F600}", "\u{0}\u{7f}"],
            "b": {"c": {"d": [], "e": {}}, "true": false, "": null, "x y": 1.5},
            "l": [[1, [2]], {"n": {"m": [{"k": "v"}]}}, {}],
            "n": [0, -1, 12345678901234567890u64, 0.25, null, true],
        });
        let text = yaml(&odd);
        let read = yaml::read(&text, 0).unwrap_or_else(|fault| panic!("{fault}\n{text}"));
        assert_eq!(read.value(), odd, "{text}");
    }

    #[test]
    fn the_form_is_fixed() {
        let value = json!({"orgd": 1, "list": [{"# first": null, "a": 1, "b": {"c": "x"}}], "none": []});
        assert_eq!(yaml(&value), "orgd: 1\nlist:\n  - a: 1\n    # first\n    b:\n      c: x\nnone: []\n");
    }
}
