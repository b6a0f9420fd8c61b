//! The document as YAML: mappings and lists by indentation, and everything else as JSON, which YAML includes.

use std::fmt::Write;

use serde_json::Value;

/// Plain words that YAML takes for something else than text.
const RESERVED: [&str; 9] = ["false", "n", "no", "null", "off", "on", "true", "y", "yes"];

/// The document as YAML.
pub fn yaml(document: &Value) -> String {
    let mut out = String::new();
    write_inside(document, 0, &mut out);
    out
}

/// Writes what is not empty line by line, each so far to the right; the first begins where `out` ends.
fn write_inside(value: &Value, indent: usize, out: &mut String) {
    let next_line = |out: &mut String, is_first: bool| {
        if !is_first {
            let _ = write!(out, "{:indent$}", "");
        }
    };
    match value {
        Value::Object(pairs) if !pairs.is_empty() => {
            for (place, (name, value)) in pairs.iter().enumerate() {
                next_line(out, place == 0);
                write_name(name, out);
                write_after(value, indent, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (place, item) in items.iter().enumerate() {
                next_line(out, place == 0);
                out.push_str("- ");
                write_inside(item, indent + 2, out);
            }
        }
        leaf => {
            let _ = writeln!(out, "{leaf}");
        }
    }
}

/// Writes the value of a name: in its line where it is one, below it where it is several.
fn write_after(value: &Value, indent: usize, out: &mut String) {
    let is_leaf = match value {
        Value::Object(pairs) => pairs.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => true,
    };
    if is_leaf {
        out.push(' ');
    } else {
        let _ = write!(out, "\n{:1$}", "", indent + 2);
    }
    write_inside(value, indent + 2, out);
}

fn write_name(name: &str, out: &mut String) {
    let is_plain = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && !RESERVED.contains(&name.to_ascii_lowercase().as_str());
    let _ = if is_plain { write!(out, "{name}:") } else { write!(out, "{}:", Value::from(name)) };
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read_back_as_the_same() {
        let document = json!({
            "openapi": "3.0.3",
            "empty": {"list": [], "object": {}, "text": ""},
            "200": {"on": true, "no": "no", "null": null, "/api/{id}/": 1.5},
            "lists": [[1, [2, "x: y"]], {"a": {"b": [{"c": "d\n\"e\" # \\ ü"}]}, "f": "- g"}, "", null],
            "": "~",
        });
        let text = yaml(&document);
        assert!(text.starts_with("openapi: \"3.0.3\"\nempty:\n  list: []\n"), "{text}");
        let read = |text: &str| serde_yaml_ng::from_str::<serde_yaml_ng::Value>(text).unwrap();
        assert_eq!(read(&text), read(&document.to_string()), "{text}");
        assert_eq!(yaml(&json!({})), "{}\n");
    }
}
