//! The OpenAPI document of the server, made from the rows that it runs on.

use std::sync::OnceLock;

use crate::api::openapi;
use crate::api::{Call, Reply, Route, public, read};
use crate::error::Result;
use crate::store::Tx;

pub fn rows() -> Vec<Route> {
    vec![Route::get("/api/schema/", public(), read(show))]
}

/// YAML, unless JSON is asked for.
fn show(call: &Call, _tx: &Tx) -> Result<Reply> {
    static DOCUMENT: OnceLock<serde_json::Value> = OnceLock::new();
    let document = DOCUMENT.get_or_init(|| openapi::document(&super::rows()));
    if call.query("format") == Some("json") || call.wants_json {
        return Reply::ok(document);
    }
    Ok(Reply::text(200, "application/vnd.oai.openapi", openapi::yaml(document)))
}
