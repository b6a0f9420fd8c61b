//! Routes and field lists as an OpenAPI 3.0 document.

use serde_json::{Map, Value, json};

use self::schemas::{Schemas, array, of_type, reference};
use self::side::Side;
use super::about::Tag;
use super::route::{Needs, ResponseShape, Route};
use crate::api::{Method, Within};

mod examples;
mod html;
mod names;
mod schemas;
mod side;
mod yaml;

pub use html::html;
pub use yaml::yaml;

/// The document, with the paths in order of their names.
pub fn document(routes: &[Route]) -> Value {
    let described: Vec<&Route> =
        routes.iter().filter(|route| !route.path.starts_with("/api/schema/")).collect();
    let mut document = skeleton();
    let mut schemas = Schemas::of(&document["components"]["schemas"]);
    name_resources_first(&described, &mut schemas);
    let mut sorted = described.clone();
    sorted.sort_by(|a, b| (&a.path, a.method).cmp(&(&b.path, b.method)));
    let mut paths = Map::new();
    for route in sorted {
        let path = paths.entry(route.path.clone()).or_insert_with(|| json!({}));
        path[route.method.name().to_lowercase()] = operation(route, &mut schemas);
    }
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    document["tags"] = tags(&described).into();
    document["paths"] = paths.into();
    document["components"]["schemas"] = schemas.finish().into();
    document
}

/// What no route changes.
fn skeleton() -> Value {
    // A test reads it, so it can be read.
    serde_json::from_str(include_str!("skeleton.json")).unwrap_or_default()
}

/// The object that a resource shows has the name of the resource, whatever else is like it.
fn name_resources_first(routes: &[&Route], schemas: &mut Schemas) {
    for route in routes.iter().filter(|route| !names::is_action(route)) {
        if let ResponseShape::One(fields) = route.responds {
            schemas.object(route, fields, Side::Response);
        }
    }
}

/// The groups, in the order of the routes.
fn tags(routes: &[&Route]) -> Vec<Value> {
    let mut known: Vec<Tag> = Vec::new();
    for tag in routes.iter().filter_map(|route| route.about.tag) {
        if !known.iter().any(|other| other.name == tag.name) {
            known.push(tag);
        }
    }
    known.iter().map(|tag| json!({"name": tag.name, "description": tag.about})).collect()
}

/// Why a request can be refused: the names of answers in the skeleton, and their statuses.
const REFUSALS: [(&str, &str); 6] = [
    ("Invalid", "400"),
    ("Unauthenticated", "401"),
    ("Denied", "403"),
    ("NotFound", "404"),
    ("Throttled", "429"),
    ("Unavailable", "503"),
];

fn operation(route: &Route, schemas: &mut Schemas) -> Value {
    let mut responses = json!({route.status.to_string(): answer(route, schemas)});
    for (name, status) in REFUSALS.iter().filter(|(_, status)| can_refuse(route, status)) {
        responses[*status] = json!({"$ref": format!("#/components/responses/{name}")});
    }
    let mut operation = json!({
        "operationId": names::operation_id(route),
        "summary": route.about.summary,
        "description": format!("{}\n\n{}", route.about.description, access(route.needs)),
        "tags": route.about.tag.iter().map(|tag| tag.name).collect::<Vec<_>>(),
        "parameters": parameters(route),
        "responses": responses,
        "security": security(route.needs),
    });
    if let Some(body) = request_body(route, schemas) {
        operation["requestBody"] = body;
    }
    operation
}

fn can_refuse(route: &Route, status: &str) -> bool {
    match status {
        "400" => route.method != Method::Get || !route.about.queries.is_empty(),
        "401" | "403" => route.needs != Needs::Public,
        "404" => route.params().next().is_some(),
        _ => true,
    }
}

/// Who may call it, in a sentence.
fn access(needs: Needs) -> String {
    match needs {
        Needs::Public => "Access: anybody.".into(),
        Needs::Session => "Access: a session; keys are refused.".into(),
        Needs::SignedIn => "Access: any key.".into(),
        Needs::Scope(scope) => format!("Access: a session, or a key with the scope `{scope}`."),
    }
}

fn security(needs: Needs) -> Value {
    match needs {
        Needs::Public => json!([]),
        Needs::Session => json!([{"SessionAuth": []}]),
        Needs::SignedIn => json!([{"PersonalAPIKeyAuth": []}]),
        Needs::Scope(scope) => json!([{"PersonalAPIKeyAuth": [scope]}, {"SessionAuth": []}]),
    }
}

fn parameters(route: &Route) -> Vec<Value> {
    let in_path =
        route.params().map(|name| parameter(name, "path", &parameter_description(route, name), "string"));
    let is_declared = |name: &str| route.about.queries.iter().any(|(known, _)| *known == name);
    let paging = [
        ("limit", "How many to show: 100 unless given, 1,000 at the most."),
        ("offset", "How many to skip from the start of the list."),
    ];
    let is_paged = matches!(route.responds, ResponseShape::Page(_)) && !is_declared("limit");
    let paging = paging.iter().filter(|_| is_paged).map(|(name, about)| (name, about, "integer"));
    let others = route.about.queries.iter().map(|(name, about)| (name, about, "string"));
    let in_query = paging.chain(others).map(|(name, about, kind)| parameter(name, "query", about, kind));
    in_path.chain(in_query).collect()
}

fn parameter(name: &str, place: &str, description: &str, kind: &str) -> Value {
    json!({
        "name": name, "in": place, "required": place == "path", "description": description,
        "schema": of_type(kind),
    })
}

/// What a parameter of the path names.
fn parameter_description(route: &Route, name: &str) -> String {
    let noun = route.about.tag.map_or("object", |tag| tag.noun);
    match (route.within, name) {
        (Within::Organization(organization) | Within::ProjectOf { organization, .. }, _)
            if name == organization =>
        {
            "The organization: its id, its slug or `@current`.".into()
        }
        (Within::Project(project) | Within::ProjectOf { project, .. }, _) if name == project => {
            "The project: its number or `@current`.".into()
        }
        (_, "organization_id") => "The organization: its id, its slug or `@current`.".into(),
        (_, "id") if noun == "organization" => "The organization: its id, its slug or `@current`.".into(),
        (_, "role_id") => "The id of the role.".into(),
        (_, "session_id") => "The id of the session, from the list.".into(),
        (_, "file") => "The name of the script.".into(),
        (_, "version") => "Any version.".into(),
        (_, "token") if route.is_ingest() => "The project's token.".into(),
        (_, "token") => "The token in the link of the invite.".into(),
        (_, "user__uuid") => "The `uuid` of the member's user.".into(),
        (_, "uuid") => "The user: `@me`, or their own `uuid`.".into(),
        _ => format!("The id of the {noun}."),
    }
}

fn request_body(route: &Route, schemas: &mut Schemas) -> Option<Value> {
    if route.is_ingest() && route.method == Method::Post {
        let schema = reference("CapturedEvents");
        return Some(json!({"required": true, "content": {"application/json": {"schema": schema}}}));
    }
    let fields = route.accepts?;
    let partial = route.method == Method::Patch;
    let mut schema = schemas.object(route, fields, Side::Request { partial });
    if route.accepts_list {
        schema = array(schema);
    }
    Some(json!({
        "content": {
            "application/json": {"schema": schema},
            "application/x-www-form-urlencoded": {"schema": schema},
            "multipart/form-data": {"schema": schema},
        },
    }))
}

fn answer(route: &Route, schemas: &mut Schemas) -> Value {
    let noun = route.about.tag.map_or("object", |tag| tag.noun);
    let (description, schema) = match route.responds {
        ResponseShape::Nothing if route.status == 302 => return described("Leads to another page."),
        ResponseShape::Nothing => return described("Done; the answer has no body."),
        ResponseShape::Free => return described("Done."),
        ResponseShape::One(fields) => {
            let made = if route.status == 201 { "Created." } else { "Done." };
            (made.to_owned(), schemas.object(route, fields, Side::Response))
        }
        ResponseShape::List(fields) => {
            let items = schemas.object(route, fields, Side::Response);
            (format!("A list, one {noun} each."), array(items))
        }
        ResponseShape::Page(fields) => {
            (format!("A page of the list, one {noun} each."), schemas.page(route, fields))
        }
    };
    let mut answer = described(&description);
    answer["content"] = json!({"application/json": {"schema": schema}});
    answer
}

/// An answer without a body.
fn described(description: &str) -> Value {
    json!({"description": description})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_skeleton_has_every_refusal() {
        let refusals = skeleton()["components"]["responses"].clone();
        let names = refusals.as_object().expect("answers").keys();
        assert!(names.eq(REFUSALS.iter().map(|(name, _)| name)));
    }
}
