//! Route rows and field lists as an OpenAPI 3.0 document.

use serde_json::{Map, Value, json};

use super::route::{Needs, Route, Shape};
use crate::api::fields::{Field, Kind};

/// The document, with the paths in order of their names.
pub fn document(rows: &[Route]) -> Value {
    let mut rows: Vec<&Route> = rows.iter().filter(|row| !row.path.starts_with("/api/schema/")).collect();
    rows.sort_by(|a, b| (&a.path, a.method).cmp(&(&b.path, b.method)));
    let mut paths = Map::new();
    for row in rows {
        let path = paths.entry(row.path.clone()).or_insert_with(|| json!({}));
        path[row.method.name().to_lowercase()] = operation(row);
    }
    json!({
        "openapi": "3.0.3",
        "info": {
            "title": "orgd",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The PostHog-compatible organization management API.",
            "license": {"name": "MIT", "url": "https://opensource.org/license/mit"},
        },
        "paths": paths,
        "components": {
            "securitySchemes": {
                "PersonalAPIKeyAuth": {"type": "http", "scheme": "bearer"},
                "SessionAuth": {"type": "apiKey", "in": "cookie", "name": "sessionid"},
            },
            "schemas": {"Error": error()},
        },
    })
}

fn error() -> Value {
    json!({
        "type": "object",
        "properties": {
            "type": {"type": "string"},
            "code": {"type": "string"},
            "detail": {"type": "string"},
            "attr": {"type": "string", "nullable": true},
        },
        "required": ["type", "code", "detail", "attr"],
    })
}

fn operation(row: &Route) -> Value {
    let mut parameters: Vec<Value> = row
        .params()
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    if matches!(row.responds, Shape::Page(_)) {
        let number =
            |name| json!({"name": name, "in": "query", "required": false, "schema": {"type": "integer"}});
        parameters.extend([number("limit"), number("offset")]);
    }
    let refused = json!({
        "description": "The request was refused.",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    });
    let mut operation = json!({
        "operationId": operation_id(row),
        "tags": [tag(&row.path)],
        "parameters": parameters,
        "responses": {row.status.to_string(): answer(row), "4XX": refused},
        "security": security(row.needs),
    });
    if let Some(fields) = row.accepts {
        let partial = row.method == crate::api::Method::Patch;
        let mut schema = object(fields, Side::Request { partial });
        if row.accepts_list {
            schema = json!({"type": "array", "items": schema});
        }
        operation["requestBody"] = json!({
            "content": {
                "application/json": {"schema": schema},
                "application/x-www-form-urlencoded": {"schema": schema},
                "multipart/form-data": {"schema": schema},
            },
        });
    }
    operation
}

/// Method and path, in words: unique as the rows are.
/// Unique in the document: `/api/logout/` and `/logout` are told apart.
fn operation_id(row: &Route) -> String {
    let mut words: Vec<&str> = row.path.split(['/', '{', '}', '@']).filter(|word| !word.is_empty()).collect();
    match words.first() {
        Some(&"api") => drop(words.remove(0)),
        _ => words.insert(0, "site"),
    }
    format!("{}_{}", row.method.name().to_lowercase(), words.join("_"))
}

fn tag(path: &str) -> &str {
    let names = path.split('/').filter(|part| !part.is_empty() && !part.starts_with('{') && *part != "api");
    names.take(2).last().unwrap_or("instance")
}

fn security(needs: Needs) -> Value {
    match needs {
        Needs::Public => json!([]),
        Needs::Session => json!([{"SessionAuth": []}]),
        Needs::SignedIn => json!([{"PersonalAPIKeyAuth": []}]),
        Needs::Scope(scope) => json!([{"PersonalAPIKeyAuth": [scope]}, {"SessionAuth": []}]),
    }
}

fn answer(row: &Route) -> Value {
    let schema = match row.responds {
        Shape::Nothing => return json!({"description": "Done; no body."}),
        Shape::Free => return json!({"description": "Done."}),
        Shape::One(fields) => object(fields, Side::Response),
        Shape::List(fields) => json!({"type": "array", "items": object(fields, Side::Response)}),
        Shape::Page(fields) => json!({
            "type": "object",
            "required": ["count", "results"],
            "properties": {
                "count": {"type": "integer"},
                "next": {"type": "string", "format": "uri", "nullable": true},
                "previous": {"type": "string", "format": "uri", "nullable": true},
                "results": {"type": "array", "items": object(fields, Side::Response)},
            },
        }),
    };
    json!({"description": "Done.", "content": {"application/json": {"schema": schema}}})
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Request { partial: bool },
    Response,
}

fn object(fields: &[Field], side: Side) -> Value {
    let shown = |field: &&Field| match side {
        Side::Request { .. } => !field.read_only,
        Side::Response => !field.write_only,
    };
    let required = |field: &&Field| match side {
        Side::Request { partial } => field.required && !partial,
        Side::Response => true,
    };
    let fields: Vec<&Field> = fields.iter().filter(shown).collect();
    let names: Vec<&str> =
        fields.iter().copied().filter(|field| required(field)).map(|field| field.name).collect();
    let properties: Map<String, Value> =
        fields.iter().map(|field| (field.name.to_owned(), property(field, side))).collect();
    let mut schema = json!({"type": "object", "properties": properties});
    if !names.is_empty() {
        schema["required"] = json!(names);
    }
    schema
}

fn property(field: &Field, side: Side) -> Value {
    let mut schema = match field.kind {
        Kind::Text { chars_max: Some(max) } | Kind::Secret { chars_max: max } => {
            json!({"type": "string", "maxLength": max})
        }
        Kind::Text { chars_max: None } | Kind::TextChoice(_) => json!({"type": "string"}),
        Kind::Email => json!({"type": "string", "format": "email", "maxLength": 254}),
        Kind::Boolean => json!({"type": "boolean"}),
        Kind::Integer { min, max } => {
            let mut schema = json!({"type": "integer"});
            if min != i64::MIN {
                schema["minimum"] = min.into();
            }
            if max != i64::MAX {
                schema["maximum"] = max.into();
            }
            schema
        }
        Kind::Fraction => json!({"type": "string", "format": "decimal"}),
        Kind::Uuid => json!({"type": "string", "format": "uuid"}),
        Kind::Time => json!({"type": "string", "format": "date-time"}),
        Kind::Choice(choices) => json!({"type": "integer", "enum": choices}),
        Kind::Texts { nullable_items, .. } => {
            json!({"type": "array", "items": {"type": "string", "nullable": nullable_items}})
        }
        Kind::Integers => json!({"type": "array", "items": {"type": "integer"}}),
        Kind::List => json!({"type": "array", "items": {}}),
        Kind::Json => json!({}),
        Kind::Object(fields) => object(fields, side),
        Kind::Objects(fields) => json!({"type": "array", "items": object(fields, side)}),
    };
    if field.nullable {
        schema["nullable"] = true.into();
        if let Some(Value::Array(choices)) = schema.get_mut("enum") {
            choices.push(Value::Null);
        }
    }
    schema
}

/// The document as YAML. Every JSON string is a YAML string as well, so scalars stay as JSON has them.
pub fn yaml(document: &Value) -> String {
    let mut out = String::new();
    write_yaml(document, 0, &mut out);
    out
}

fn write_yaml(value: &Value, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(object) if !object.is_empty() => {
            for (name, value) in object {
                out.push_str(&format!("{indent}{}:", yaml_key(name)));
                write_below(value, depth, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                out.push_str(&format!("{indent}-"));
                write_below(item, depth, out);
            }
        }
        scalar => out.push_str(&format!("{indent}{scalar}\n")),
    }
}

/// Plain where YAML reads nothing else into it.
fn yaml_key(name: &str) -> String {
    let is_word = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let means_other = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    if is_word && !means_other.contains(&name.to_ascii_lowercase().as_str()) {
        name.to_owned()
    } else {
        Value::from(name).to_string()
    }
}

fn write_below(value: &Value, depth: usize, out: &mut String) {
    let is_block = match value {
        Value::Object(object) => !object.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    if is_block {
        out.push('\n');
        write_yaml(value, depth + 1, out);
    } else {
        out.push_str(&format!(" {value}\n"));
    }
}

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
            write_operation(method, path, operation, &mut out);
        }
    }
    out.push_str("</body></html>");
    out
}

fn write_operation(method: &str, path: &str, operation: &Value, out: &mut String) {
    let access = match operation["security"].as_array().and_then(|all| all.first()) {
        None => "anybody".to_owned(),
        Some(first) => match first["PersonalAPIKeyAuth"][0].as_str() {
            Some(scope) => scope.to_owned(),
            None if first.get("PersonalAPIKeyAuth").is_some() => "any key".to_owned(),
            None => "session".to_owned(),
        },
    };
    out.push_str(&format!(
        "<details><summary><b>{}</b> {path} <i>{access}</i></summary>",
        method.to_uppercase()
    ));
    write_fields("takes", &operation["requestBody"], out);
    for (status, answer) in
        operation["responses"].as_object().into_iter().flatten().filter(|(code, _)| *code != "4XX")
    {
        write_fields(status, answer, out);
    }
    out.push_str("</details>");
}

fn write_fields(title: &str, side: &Value, out: &mut String) {
    let schema = &side["content"]["application/json"]["schema"];
    let schema = if schema["type"] == "array" { &schema["items"] } else { schema };
    out.push_str(&format!("<table><tr><th>{title}</th></tr>"));
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let kind = field["type"].as_str().unwrap_or("any");
        let nullable = if field["nullable"] == true { ", nullable" } else { "" };
        out.push_str(&format!("<tr><td>{name}</td><td><i>{kind}{nullable}</i></td></tr>"));
    }
    out.push_str("</table>");
}
