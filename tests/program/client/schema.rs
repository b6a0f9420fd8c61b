//! Whether a value is what the OpenAPI document says.

use serde_json::Value;

/// The schema of an object that an operation answers with; `None` where it answers without one, or with anything.
pub fn of_answer<'a>(document: &'a Value, method: &str, path: &str, is_list: bool) -> Option<&'a Value> {
    let operation = &document["paths"][path][method.to_lowercase()];
    assert!(operation.is_object(), "{method} {path} is not in the document");
    let answers = operation["responses"].as_object().expect("answers");
    let (_, good) = answers.iter().find(|(status, _)| status.starts_with('2')).expect("a good answer");
    let schema = good.pointer("/content/application~1json/schema")?;
    let schema = resolved(document, schema);
    if !is_list {
        return Some(schema);
    }
    let items =
        if schema["type"] == "array" { &schema["items"] } else { &schema["properties"]["results"]["items"] };
    assert!(items.is_object(), "{method} {path} answers no list");
    Some(items)
}

/// Fails where the value is not of the schema.
#[track_caller]
pub fn check(document: &Value, schema: &Value, value: &Value, at: &str) {
    let schema = resolved(document, schema);
    if value.is_null() && schema["nullable"] == true {
        return;
    }
    if let Some(choices) = schema["enum"].as_array() {
        assert!(choices.contains(value), "{at}: {value} is none of {choices:?}");
    }
    let fits = match schema["type"].as_str() {
        None => return,
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some(other) => panic!("{at}: what is {other}?"),
    };
    assert!(fits, "{at}: {value} is no {}", schema["type"]);
    for (place, item) in value.as_array().into_iter().flatten().enumerate() {
        check(document, &schema["items"], item, &format!("{at}[{place}]"));
    }
    let (Some(object), Some(properties)) = (value.as_object(), schema["properties"].as_object()) else {
        return;
    };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        // Settings of projects are left out until somebody sets them, and objects among them are as they were sent.
        let inner = resolved(document, &properties[name]);
        let may_be_missing = at.contains('.') || inner["nullable"] == true || inner["type"].is_null();
        assert!(may_be_missing || object.contains_key(name), "{at}: {name} is missing in {value}");
    }
    for (name, inner) in object {
        let known = properties.get(name).unwrap_or_else(|| panic!("{at}: {name} is not in the document"));
        check(document, known, inner, &format!("{at}.{name}"));
    }
}

fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(name) => document.pointer(name.trim_start_matches('#')).expect("a schema"),
        None => schema,
    }
}
