//! Whether a value is what the OpenAPI document says. The tests of the API use it as well.

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

/// What is wrong with the value by the schema.
pub fn doubt(document: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    let schema = resolved(document, schema);
    if value.is_null() && schema["nullable"] == true {
        return None;
    }
    if let Some(choices) = schema["enum"].as_array().filter(|choices| !choices.contains(value)) {
        return Some(format!("{at}: {value} is none of {choices:?}"));
    }
    let fits = match schema["type"].as_str() {
        None => return None,
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some(other) => panic!("{at}: what is {other}?"),
    };
    if !fits {
        return Some(format!("{at}: {value} is no {}", schema["type"]));
    }
    let items = value.as_array().into_iter().flatten().enumerate();
    let mut of_items =
        items.filter_map(|(place, item)| doubt(document, &schema["items"], item, &format!("{at}[{place}]")));
    if let Some(found) = of_items.next() {
        return Some(found);
    }
    let (object, properties) = (value.as_object()?, schema["properties"].as_object()?);
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    if let Some(missing) = required.into_iter().find(|name| !object.contains_key(*name)) {
        return Some(format!("{at}: {missing} is missing"));
    }
    object.iter().find_map(|(name, inner)| match properties.get(name) {
        None => Some(format!("{at}: {name} is not in the document")),
        Some(known) => doubt(document, known, inner, &format!("{at}.{name}")),
    })
}

fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(name) => document.pointer(name.trim_start_matches('#')).expect("a schema"),
        None => schema,
    }
}
