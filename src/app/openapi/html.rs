//! The document as one page for people, which needs nothing from elsewhere.

use serde_json::{Map, Value};

/// The document as one page for people: every operation with its access and its fields.
pub fn html(document: &Value) -> String {
    let mut out = String::from(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>orgd API</title><style>\
         body{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em}\
         summary{cursor:pointer;font-family:ui-monospace,monospace}b{display:inline-block;width:5em}\
         table{margin:.5em 0 1em 5em;border-spacing:1em 0}td{vertical-align:top}i{color:#777}\
         </style></head><body><h1>orgd API</h1><p>The same as <a href=\"/api/schema/\">YAML</a> and \
         <a href=\"/api/schema/?format=json\">JSON</a>.</p>",
    );
    let none = Map::new();
    for (path, node) in document["paths"].as_object().unwrap_or(&none) {
        for (method, operation) in node.as_object().unwrap_or(&none) {
            write_operation(document, (method, path), operation, &mut out);
        }
    }
    out.push_str("</body></html>");
    out
}

fn write_operation(document: &Value, (method, path): (&str, &str), operation: &Value, out: &mut String) {
    let access = match operation["security"].as_array().and_then(|all| all.first()) {
        None => "anybody".to_owned(),
        Some(first) => match first["PersonalAPIKeyAuth"][0].as_str() {
            Some(scope) => scope.to_owned(),
            None if first.get("PersonalAPIKeyAuth").is_some() => "any key".to_owned(),
            None => "session".to_owned(),
        },
    };
    out.push_str(&format!(
        "<details><summary><b>{}</b> {path} <i>{access}</i> {}</summary><p>{}</p>",
        method.to_uppercase(),
        operation["summary"].as_str().unwrap_or_default(),
        operation["description"].as_str().unwrap_or_default(),
    ));
    write_fields(document, "takes", &operation["requestBody"], out);
    let answers = operation["responses"].as_object().into_iter().flatten();
    for (status, answer) in answers.filter(|(_, answer)| answer.get("content").is_some()) {
        write_fields(document, status, answer, out);
    }
    out.push_str("</details>");
}

/// The schema that a reference names, or the schema itself.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let target = schema["$ref"].as_str().and_then(|target| target.strip_prefix('#'));
    target.and_then(|target| document.pointer(target)).unwrap_or(schema)
}

fn write_fields(document: &Value, title: &str, side: &Value, out: &mut String) {
    let schema = resolved(document, &side["content"]["application/json"]["schema"]);
    let schema = if schema["type"] == "array" { resolved(document, &schema["items"]) } else { schema };
    out.push_str(&format!("<table><tr><th>{title}</th></tr>"));
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let kind = field["type"].as_str().unwrap_or("any");
        let nullable = if field["nullable"] == true { ", nullable" } else { "" };
        out.push_str(&format!("<tr><td>{name}</td><td><i>{kind}{nullable}</i></td></tr>"));
    }
    out.push_str("</table>");
}
