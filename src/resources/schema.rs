//! The OpenAPI document of the server, made from the rows that it runs on: for programs as YAML and
//! JSON, for people as a page that needs nothing from elsewhere.

use super::{Resource, registry};
use std::sync::OnceLock;

use serde_json::Value;

use crate::api::{Call, Reply, Within};
use crate::app::{Route, openapi, public, read};
use crate::error::Result;
use crate::store::Tx;

pub static RESOURCE: Resource = Resource::of(rows);

fn rows() -> Vec<Route> {
    vec![
        Route::get("/api/schema/", public(), Within::Nothing, read(show)).with_slash_only(),
        Route::get("/api/schema/swagger-ui/", public(), Within::Nothing, read(page)),
        Route::get("/api/schema/redoc/", public(), Within::Nothing, read(page)),
    ]
}

fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| openapi::document(&registry::routes(registry::ALL)))
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
