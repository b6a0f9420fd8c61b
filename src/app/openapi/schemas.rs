//! FieldInfo lists as schemas, each once in the document and under a name.

use serde_json::{Map, Value, json};

use super::examples;
use super::names::{is_action, last_word, operation_id, type_name};
use crate::api::fields::{FieldInfo, Kind};
use crate::app::route::{Route, Shape};

/// Which way an object travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Request { partial: bool },
    Response,
}

impl Side {
    /// Whether an object of this side has the field.
    pub(super) fn has(self, field: &FieldInfo) -> bool {
        match self {
            Side::Request { .. } => !field.read_only,
            Side::Response => !field.write_only,
        }
    }
}

/// The named schemas so far.
#[derive(Default)]
pub(super) struct Schemas {
    all: Map<String, Value>,
    /// The schemas without their examples, which tell whether two are the same.
    bare: Vec<(Value, String)>,
}

impl Schemas {
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
        json!({"$ref": format!("#/components/schemas/{name}")})
    }

    /// A reference to a page of such objects.
    pub(super) fn page(&mut self, route: &Route, fields: &[FieldInfo]) -> Value {
        let item = self.object(route, fields, Side::Response);
        let item_name = item["$ref"].as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default();
        let name = format!("Paginated{item_name}List");
        let page = json!({
            "type": "object",
            "required": ["count", "next", "previous", "results"],
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
        self.all.entry(name.clone()).or_insert(page);
        json!({"$ref": format!("#/components/schemas/{name}")})
    }

    /// A schema that is written out, under its name.
    pub(super) fn insert(&mut self, name: &str, schema: Value) {
        self.all.insert(name.to_owned(), schema);
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
        let is_list = side == Side::Response && matches!(route.responds, Shape::Page(_) | Shape::List(_));
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

fn object(fields: &[FieldInfo], side: Side) -> Value {
    let is_required = |field: &&FieldInfo| match side {
        Side::Request { partial } => field.required && !partial,
        Side::Response => true,
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

fn of_kind(kind: Kind, side: Side) -> Value {
    match kind {
        Kind::Text { chars_max: Some(max) } | Kind::Secret { chars_max: max } => {
            json!({"type": "string", "maxLength": max})
        }
        Kind::Text { chars_max: None } | Kind::TextChoice(_) => json!({"type": "string"}),
        Kind::Email => json!({"type": "string", "format": "email", "maxLength": 254}),
        Kind::Boolean => json!({"type": "boolean"}),
        Kind::Integer { min, max } => integer(min, max),
        Kind::Fraction => json!({"type": "string", "format": "decimal"}),
        Kind::Uuid => json!({"type": "string", "format": "uuid"}),
        Kind::Time => json!({"type": "string", "format": "date-time"}),
        Kind::Choice(choices) => json!({"type": "integer", "enum": choices}),
        Kind::Texts { nullable_items: true, .. } => {
            json!({"type": "array", "items": {"type": "string", "nullable": true}})
        }
        Kind::Texts { .. } => json!({"type": "array", "items": {"type": "string"}}),
        Kind::Integers => json!({"type": "array", "items": {"type": "integer"}}),
        Kind::List => json!({"type": "array", "items": {}}),
        Kind::Json => json!({}),
        Kind::Object(fields) => object(fields, side),
        Kind::Objects(fields) => json!({"type": "array", "items": object(fields, side)}),
    }
}

fn integer(min: i64, max: i64) -> Value {
    let mut schema = json!({"type": "integer"});
    if min != i64::MIN {
        schema["minimum"] = min.into();
    }
    if max != i64::MAX {
        schema["maximum"] = max.into();
    }
    schema
}

/// The one form of all errors.
pub(super) fn error() -> Value {
    json!({
        "type": "object",
        "description": "Every error of the API has these four keys.",
        "properties": {
            "type": {"type": "string", "description": "The kind of error, such as `validation_error`."},
            "code": {"type": "string", "description": "What programs can tell errors apart by, such as `required`."},
            "detail": {"type": "string", "description": "A sentence for people."},
            "attr": {
                "type": "string", "nullable": true,
                "description": "The field that is wrong; inner fields and list items as `outer__inner`.",
            },
        },
        "required": ["type", "code", "detail", "attr"],
        "example": {
            "type": "validation_error", "code": "required", "detail": "This field is required.", "attr": "name",
        },
    })
}

/// What senders of events send: nothing of it is fixed but these names.
pub(super) fn captured() -> Value {
    json!({
        "type": "object",
        "description": "An event, or several in `batch`. Arrays of events, gzip, base64 and form data are read as well.",
        "properties": {
            "api_key": {"type": "string", "description": "The project's token (`phc_…`)."},
            "event": {"type": "string"},
            "distinct_id": {"type": "string", "description": "Whom the event is about."},
            "properties": {"type": "object", "additionalProperties": true},
            "timestamp": {"type": "string", "format": "date-time"},
            "batch": {"type": "array", "items": {"type": "object", "additionalProperties": true}},
        },
        "additionalProperties": true,
        "example": {
            "api_key": "phc_8zvHq2kYb0Jt5Rw3Lx7Nc1Ds9Fg4Mp6Vu0Ae2Ki8Zo", "event": "signed up", "distinct_id": "ada",
            "properties": {"plan": "free"}, "timestamp": "2026-01-15T10:30:00Z",
        },
    })
}
