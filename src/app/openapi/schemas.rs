//! FieldInfo lists as schemas, each once in the document and under a name.

use serde_json::{Map, Value, json};

use super::examples;
use super::names::{is_action, last_word, operation_id, type_name};
use super::side::Side;
use crate::api::fields::{FieldInfo, FieldKind};
use crate::app::route::{ResponseShape, Route};

/// The named schemas so far.
#[derive(Default)]
pub(super) struct Schemas {
    all: Map<String, Value>,
    /// The schemas without their examples, which tell whether two are the same.
    bare: Vec<(Value, String)>,
}

impl Schemas {
    /// Those that are written out.
    pub(super) fn of(written: &Value) -> Schemas {
        Schemas { all: written.as_object().cloned().unwrap_or_default(), bare: Vec::new() }
    }

    /// A reference to the schema of such an object.
    pub(super) fn object(&mut self, route: &Route, fields: &[FieldInfo], side: Side) -> Value {
        let bare = object(fields, side);
        let noun = route.about.tag.map_or("", |tag| tag.noun);
        let known = self.bare.iter().find(|(schema, _)| *schema == bare).map(|(_, name)| name.clone());
        let name = known.unwrap_or_else(|| {
            let name = self.free_name(route, side);
            let mut schema = bare.clone();
            schema["example"] = examples::object(noun, fields, side);
            self.bare.push((bare, name.clone()));
            self.all.insert(name.clone(), schema);
            name
        });
        reference(&name)
    }

    /// A reference to a page of such objects.
    pub(super) fn page(&mut self, route: &Route, fields: &[FieldInfo]) -> Value {
        let item = self.object(route, fields, Side::Response);
        let item_name = item["$ref"].as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default();
        // Pages by cursor are not counted, unless one is asked for by its number.
        let is_by_cursor = route.about.queries.iter().any(|(name, _)| *name == "cursor");
        let (name, required) = if is_by_cursor {
            (format!("CursorPaginated{item_name}List"), &["next", "previous", "results"][..])
        } else {
            (format!("Paginated{item_name}List"), &["count", "next", "previous", "results"][..])
        };
        let mut page = json!({
            "type": "object",
            "required": required,
            "properties": {
                "count": {"type": "integer", "description": "How many there are on all pages."},
                "next": {"type": "string", "format": "uri", "nullable": true, "description": "The next page."},
                "previous": {
                    "type": "string", "format": "uri", "nullable": true, "description": "The page before.",
                },
                "results": {"type": "array", "items": item},
            },
            "example": {
                "count": 1, "next": null, "previous": null,
                "results": [self.all.get(item_name).map(|schema| schema["example"].clone())],
            },
        });
        for field in route.beside_page {
            page["properties"][field.name] = property(field, Side::Response);
        }
        self.all.entry(name.clone()).or_insert(page);
        reference(&name)
    }

    /// All of them, by name.
    pub(super) fn finish(self) -> Map<String, Value> {
        let mut all: Vec<(String, Value)> = self.all.into_iter().collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all.into_iter().collect()
    }

    /// The name of the resource where that is free, else one that says the operation.
    fn free_name(&self, route: &Route, side: Side) -> String {
        let named = |name: String| match side {
            Side::Request { partial: true } => format!("Patched{name}Request"),
            Side::Request { partial: false } => format!("{name}Request"),
            Side::Response => name,
        };
        let noun = type_name(route.about.tag.map_or("", |tag| tag.noun));
        let is_list = side == Side::Response
            && matches!(route.responds, ResponseShape::Page(_) | ResponseShape::List(_));
        let word = type_name(&last_word(route));
        let of_action = match word.strip_suffix('s') {
            // A list may show less of each object.
            Some(one) if is_list && one == noun => format!("{noun}Summary"),
            Some(one) if is_list => format!("{noun}{one}"),
            _ if word.starts_with(&noun) => word,
            _ => format!("{noun}{word}"),
        };
        let candidates = if is_action(route) { [of_action, noun] } else { [noun, of_action] };
        let mut names = candidates.into_iter().map(named);
        names
            .find(|name| !self.all.contains_key(name))
            .unwrap_or_else(|| named(type_name(&operation_id(route))))
    }
}

/// A reference to a named schema.
pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// The schema of a list.
pub(super) fn array(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

/// The schema of a value of this type.
pub(super) fn of_type(name: &str) -> Value {
    json!({"type": name})
}

/// The schema of text that keeps one rule more.
fn text(key: &str, value: impl Into<Value>) -> Value {
    let mut schema = of_type("string");
    schema[key] = value.into();
    schema
}

fn object(fields: &[FieldInfo], side: Side) -> Value {
    let is_required = |field: &&FieldInfo| match side {
        Side::Request { partial } => field.required && !partial,
        Side::Response => !field.optional,
    };
    let fields: Vec<&FieldInfo> = fields.iter().filter(|field| side.has(field)).collect();
    let names: Vec<&str> =
        fields.iter().copied().filter(|field| is_required(field)).map(|field| field.name).collect();
    let properties: Map<String, Value> =
        fields.iter().map(|field| (field.name.to_owned(), property(field, side))).collect();
    let mut schema = json!({"type": "object", "properties": properties});
    if !names.is_empty() {
        schema["required"] = json!(names);
    }
    schema
}

fn property(field: &FieldInfo, side: Side) -> Value {
    let mut schema = of_kind(field.kind, side);
    // A schema without a type admits null already.
    if field.nullable && schema.get("type").is_some() {
        schema["nullable"] = true.into();
        if let Some(Value::Array(choices)) = schema.get_mut("enum") {
            choices.push(Value::Null);
        }
    }
    if let Some(description) = field.description {
        schema["description"] = description.into();
    }
    schema
}

fn of_kind(kind: FieldKind, side: Side) -> Value {
    match kind {
        FieldKind::Text { chars_max: Some(max) } | FieldKind::Secret { chars_max: max } => {
            text("maxLength", max)
        }
        FieldKind::Text { chars_max: None } | FieldKind::TextChoice(_) => of_type("string"),
        FieldKind::Email => json!({"type": "string", "format": "email", "maxLength": 254}),
        FieldKind::Boolean => of_type("boolean"),
        FieldKind::Integer { min, max } => integer(min, max),
        FieldKind::Fraction => text("format", "decimal"),
        FieldKind::Uuid => text("format", "uuid"),
        FieldKind::Time => text("format", "date-time"),
        FieldKind::Choice(choices) => json!({"type": "integer", "enum": choices}),
        FieldKind::Texts { nullable_items: true, .. } => array(text("nullable", true)),
        FieldKind::Texts { .. } => array(of_type("string")),
        FieldKind::Integers => array(of_type("integer")),
        FieldKind::List => array(json!({})),
        FieldKind::Json => json!({}),
        FieldKind::Object(fields) => object(fields, side),
        FieldKind::Objects(fields) => array(object(fields, side)),
    }
}

fn integer(min: i64, max: i64) -> Value {
    let mut schema = of_type("integer");
    if min != i64::MIN {
        schema["minimum"] = min.into();
    }
    if max != i64::MAX {
        schema["maximum"] = max.into();
    }
    schema
}
