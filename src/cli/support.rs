//! `orgd support`.

use orgd::config::Setting;
use orgd::control::Request;
use serde_json::Value;

use super::data::{Wanted, ask_line};
use super::{CommandResult, print_json, settings};

/// Prints the report of the server that holds the file or, where none does, of the file and of the settings here.
pub(super) async fn run(Wanted { file, json }: Wanted) -> CommandResult {
    let mut report = ask_line(&file.data, Request::Support).await?;
    if report["settings"].is_null() {
        let here: Vec<Setting> = settings::of_environment()?.into_iter().map(Setting::redacted).collect();
        report["settings"] = serde_json::to_value(here).map_err(|cause| cause.to_string())?;
    }
    if json {
        return print_json(&report);
    }
    say!("No names, addresses, paths or secrets are in this. Read it before you send it.");
    for (heading, part) in report.as_object().into_iter().flatten() {
        say!("\n{heading}");
        print(part, 1);
    }
    Ok(())
}

/// Prints what is in it, a line each; what is in that stands below it, further in.
fn print(part: &Value, depth: usize) {
    let space = "  ".repeat(depth);
    match part {
        Value::Object(fields) => {
            let width = fields.keys().map(String::len).max().unwrap_or_default();
            for (name, value) in fields {
                if value.is_object() || value.as_array().is_some_and(|all| all.iter().any(Value::is_object)) {
                    say!("{space}{name}");
                    print(value, depth + 1);
                } else {
                    say!("{space}{name:width$}  {}", in_words(value));
                }
            }
        }
        Value::Array(all) => all.iter().for_each(|one| say!("{space}{}", in_words(one))),
        one => say!("{space}{}", in_words(one)),
    }
}

/// On one line.
fn in_words(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(in_words).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            let pairs = fields.iter().map(|(name, value)| match name.as_str() {
                // What it is called needs no word before it.
                "name" => in_words(value),
                _ => format!("{name}={}", in_words(value)),
            });
            pairs.collect::<Vec<_>>().join("  ")
        }
        other => other.to_string(),
    }
}
