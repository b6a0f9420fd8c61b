//! The JSON Schema of organization files, for editors: made of the same lists that files are checked by.

use serde_json::{Map, Value, json};

use super::shape::{FILE, Holds, LEVELS, Object, RULES, settings};
use crate::api::FieldInfo;
use crate::api::fields::FieldKind;

/// The schema.
pub fn document() -> Value {
    let mut schema = object(&FILE);
    let mut all = Map::new();
    all.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    all.insert("title".into(), "orgd organization file".into());
    all.insert(
        "$defs".into(),
        json!({
            "reference": {
                "description": "What is kept elsewhere: the value of a variable, or what a file holds.",
                "oneOf": [
                    named("env", "The name of a variable."),
                    named("file", "The path of a file."),
                ],
            },
        }),
    );
    if let Value::Object(schema) = schema.take() {
        all.extend(schema);
    }
    all["properties"]["orgd"] = json!({"const": 1, "description": "The version of this format."});
    Value::Object(all)
}

fn named(name: &str, about: &str) -> Value {
    json!({
        "type": "object",
        "properties": {name: {"type": "string", "description": about}},
        "required": [name],
        "additionalProperties": false,
    })
}

fn object(object: &Object) -> Value {
    let keys = object.keys.iter().map(|key| {
        let mut schema = held(key.holds);
        schema["description"] = key.about.into();
        (key.name.to_owned(), schema)
    });
    let fields = object.own_fields().map(|field| (field.name.to_owned(), property(field)));
    let properties: Map<String, Value> = keys.chain(fields).collect();
    let mut schema = json!({"type": "object", "properties": properties, "additionalProperties": false});
    let required: Vec<&str> =
        object.required.iter().filter(|names| names.len() == 1).map(|names| names[0]).collect();
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    for names in object.required.iter().filter(|names| names.len() > 1) {
        schema["anyOf"] = names.iter().map(|name| json!({"required": [name]})).collect();
    }
    schema
}

fn held(holds: Holds) -> Value {
    let access = json!({"type": ["string", "null"], "description": "A level of access."});
    match holds {
        Holds::Text => json!({"type": ["string", "null"]}),
        Holds::Email => json!({"type": "string", "format": "email"}),
        Holds::Uuid => json!({"type": "string", "format": "uuid"}),
        Holds::Number => json!({"type": "integer", "minimum": 1}),
        Holds::Boolean => json!({"type": "boolean"}),
        Holds::Level => json!({"enum": LEVELS}),
        Holds::Secret => json!({"$ref": "#/$defs/reference"}),
        Holds::Texts => json!({"type": "array", "items": {"type": "string"}}),
        Holds::Access => access,
        Holds::AccessByName => json!({"type": "object", "additionalProperties": access}),
        Holds::RulesByName => json!({"type": "object", "additionalProperties": object(&RULES)}),
        Holds::Settings(fields, but) => {
            let properties: Map<String, Value> =
                settings(fields, but).map(|field| (field.name.to_owned(), property(field))).collect();
            json!({"type": "object", "properties": properties, "additionalProperties": false})
        }
        Holds::One(one) => object(one),
        Holds::Many(one) => json!({"type": "array", "items": object(one)}),
        Holds::Anything => json!({}),
    }
}

fn property(field: &FieldInfo) -> Value {
    let mut schema = of_kind(field.kind);
    if field.nullable {
        if let Some(Value::String(name)) = schema.get("type").cloned() {
            schema["type"] = json!([name, "null"]);
        }
        if let Some(Value::Array(choices)) = schema.get_mut("enum") {
            choices.push(Value::Null);
        }
    }
    if let Some(description) = field.description {
        schema["description"] = description.into();
    }
    schema
}

fn of_kind(kind: FieldKind) -> Value {
    match kind {
        FieldKind::Text { chars_max: Some(max) } => json!({"type": "string", "maxLength": max}),
        FieldKind::Text { chars_max: None } | FieldKind::TextChoice(_) | FieldKind::Secret { .. } => {
            json!({"type": "string"})
        }
        FieldKind::Email => json!({"type": "string", "format": "email"}),
        FieldKind::Boolean => json!({"type": "boolean"}),
        FieldKind::Integer { .. } => json!({"type": "integer"}),
        FieldKind::Fraction => json!({"type": ["number", "string", "null"]}),
        FieldKind::Uuid => json!({"type": "string", "format": "uuid"}),
        FieldKind::Time => json!({"type": "string", "format": "date-time"}),
        FieldKind::Choice(choices) => json!({"enum": choices}),
        FieldKind::Texts { nullable_items: true, .. } => {
            json!({"type": "array", "items": {"type": ["string", "null"]}})
        }
        FieldKind::Texts { .. } => json!({"type": "array", "items": {"type": "string"}}),
        FieldKind::Integers => json!({"type": "array", "items": {"type": "integer"}}),
        FieldKind::List => json!({"type": "array"}),
        FieldKind::Json => json!({}),
        FieldKind::Object(fields) => fields_of(fields),
        FieldKind::Objects(fields) => json!({"type": "array", "items": fields_of(fields)}),
    }
}

/// Values in it may stand for secrets.
fn fields_of(fields: &[FieldInfo]) -> Value {
    let properties: Map<String, Value> = fields
        .iter()
        .filter(|field| !field.read_only)
        .map(|field| (field.name.to_owned(), property(field)))
        .collect();
    json!({"type": "object", "properties": properties})
}
