//! The OpenAPI document of the server, made from the rows that it runs on: for programs as YAML and
//! JSON, for people as a page that needs nothing from elsewhere.

use super::{Resource, registry};
use std::sync::OnceLock;

use serde_json::Value;

use crate::api::{Call, Reply, Within};
use crate::app::{Route, openapi, public, read};
use crate::error::Result;
use crate::store::Tx;

pub static RESOURCE: Resource = Resource::of(routes);

fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/schema/", public(), Within::Nothing, read(show)).with_slash_only().in_any_format(),
        Route::get("/api/schema/swagger-ui/", public(), Within::Nothing, read(page)).in_any_format(),
        Route::get("/api/schema/redoc/", public(), Within::Nothing, read(page)).in_any_format(),
    ]
}

fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| openapi::document(&registry::routes()))
}

/// YAML, unless JSON is requested.
fn show(call: &Call, _tx: &Tx) -> Result<Reply> {
    if call.query("format") == Some("json") || call.wants_json {
        return Reply::ok(document());
    }
    Ok(Reply::text(200, "application/vnd.oai.openapi", openapi::yaml(document())))
}

fn page(_call: &Call, _tx: &Tx) -> Result<Reply> {
    Ok(Reply::text(200, "text/html; charset=utf-8", openapi::html(document())))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::api::{Method, fields};

    fn described() -> Vec<Route> {
        let routes = registry::routes().into_iter();
        routes.filter(|route| !route.path.starts_with("/api/schema/")).collect()
    }

    fn operation<'a>(document: &'a Value, route: &Route) -> &'a Value {
        &document["paths"][&route.path][route.method.name().to_lowercase()]
    }

    #[test]
    fn every_route_has_a_summary_a_description_and_a_tag() {
        for route in described() {
            let name = format!("{} {}", route.method.name(), route.path);
            assert!(!route.about.summary.is_empty(), "{name} has no summary");
            assert!(!route.about.summary.ends_with('.'), "{name}: a summary is no sentence");
            assert!(route.about.description.ends_with('.'), "{name} has no description");
            assert!(route.about.tag.is_some_and(|tag| tag.about.ends_with('.')), "{name} has no tag");
        }
    }

    #[test]
    fn operations_have_names_of_their_own() {
        let mut known = HashSet::new();
        for route in described() {
            let id = operation(document(), &route)["operationId"].as_str().unwrap_or_default();
            assert!(
                id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
            );
            assert!(known.insert(id), "{id} is the name of two operations");
        }
        for wanted in [
            "organizations_roles_create",
            "organizations_roles_list",
            "organizations_roles_retrieve",
            "organizations_roles_update",
            "organizations_roles_partial_update",
            "organizations_roles_destroy",
            "organizations_domains_verify",
            "organizations_batch_exports_logs_list",
        ] {
            assert!(known.contains(wanted), "{wanted} is missing");
        }
    }

    #[test]
    fn examples_of_bodies_are_accepted() {
        for route in described() {
            let Some(taken) = route.accepts else { continue };
            let schema =
                &operation(document(), &route)["requestBody"]["content"]["application/json"]["schema"];
            let schema = if route.accepts_list { &schema["items"] } else { schema };
            let target = schema["$ref"].as_str().unwrap_or_default();
            let example = document().pointer(&format!("{}/example", target.trim_start_matches('#')));
            let example = example.expect("every body has an example");
            let checked = fields::check(taken, example, false, route.method == Method::Patch);
            assert!(checked.is_ok(), "{} {}: {example} is {checked:?}", route.method.name(), route.path);
        }
    }

    #[test]
    fn examples_hold_no_empty_texts_but_where_that_is_usual() {
        let schemas = document()["components"]["schemas"].as_object().expect("schemas");
        for (name, schema) in schemas {
            let example = schema["example"].as_object().into_iter().flatten();
            for (field, value) in example {
                let may_be_empty =
                    ["last_name", "referral_source", "sso_enforcement"].contains(&field.as_str());
                assert!(may_be_empty || value != "", "{name} has no example of {field}");
            }
        }
    }
}
