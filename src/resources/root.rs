//! Where somebody begins who knows nothing but the address: a page for people, and the list of what there is.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Serialize;

use super::{Resource, registry, status, users};
use crate::api::{Call, Field, FieldInfo, Reply, Within};
use crate::app::{Route, public, read, tagged};
use crate::error::Result;
use crate::store::Tx;

pub(super) static RESOURCE: Resource = Resource::of(routes);

fn routes() -> Vec<Route> {
    let routes = vec![
        Route::get("/", public(), Within::Nothing, read(page))
            .reads_headers(&["accept"])
            .in_any_format()
            .about("See that this is orgd", "A page that says where everything is.")
            .called("welcome"),
        Route::get("/api/", public(), Within::Nothing, read(list))
            .responds(200, FIELDS)
            .about("List what there is", "Every path of the API with its methods.")
            .called("root"),
    ];
    tagged(status::TAG, routes)
}

const FIELDS: &[FieldInfo] = &[
    Field::text("documentation", 1000).read_only(),
    Field::text("openapi", 1000).read_only(),
    Field::json("paths").read_only().described("The methods of each path."),
];

#[derive(Serialize)]
struct List {
    documentation: String,
    openapi: String,
    paths: &'static BTreeMap<String, Vec<&'static str>>,
}

/// The methods of each path of the API.
fn paths() -> &'static BTreeMap<String, Vec<&'static str>> {
    static PATHS: OnceLock<BTreeMap<String, Vec<&'static str>>> = OnceLock::new();
    PATHS.get_or_init(|| {
        let mut paths: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
        for route in registry::routes() {
            if route.path.starts_with("/api/") {
                paths.entry(route.path.to_string()).or_default().push(route.method.name());
            }
        }
        paths
    })
}

fn list(call: &Call, _tx: &Tx) -> Result<Reply> {
    let at = |path: &str| format!("{}{path}", call.origin);
    Reply::ok(&List { documentation: at("/api/schema/redoc/"), openapi: at("/api/schema/"), paths: paths() })
}

/// People begin where they left off, or where they sign in; programs, and people where the pages are switched off,
/// read what this is.
fn page(call: &Call, tx: &Tx) -> Result<Reply> {
    let is_person = call.header("accept").is_some_and(|accept| accept.contains("text/html"));
    if !is_person || !call.config.has_console() {
        return Ok(Reply::text(200, "text/html; charset=utf-8", PAGE));
    }
    let path = first_page(call, tx)?;
    Ok(Reply::text(303, "text/html; charset=utf-8", "")
        .with("location", path)
        .with("cache-control", "no-store"))
}

fn first_page(call: &Call, tx: &Tx) -> Result<String> {
    if users::none_yet(tx)? {
        return Ok("/setup".into());
    }
    let Some(caller) = call.actor.caller() else { return Ok("/login".into()) };
    let user = users::find(tx, caller.user)?;
    Ok(match users::current_organization(tx, caller.user, &user)? {
        Some(_) => "/organization/@current".into(),
        None => "/organization/create-first".into(),
    })
}

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>orgd</title>
<style>
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem; }
code { font-size: 0.95em; }
@media (prefers-color-scheme: dark) { body { background: #16181d; color: #dfe3ea; } a { color: #8ab4f8; } }
</style>
</head>
<body>
<h1>orgd</h1>
<p>This server keeps organizations, their people and projects, and exports of events. It speaks PostHog&rsquo;s API.</p>
<ul>
<li><a href="/api/schema/redoc/">The API in words</a>: every call with its fields and errors.</li>
<li><a href="/api/schema/">Its OpenAPI document</a>, for programs.</li>
<li><a href="/api/">A list of all paths</a>.</li>
<li><a href="/_preflight/">What this server offers</a>, and <a href="/_readyz">whether it is well</a>.</li>
</ul>
<p>To begin, log in with <code>POST /api/login/</code> and make a key with <code>POST /api/personal_api_keys/</code>, or let
the operator make the first owner and key with <code>orgd bootstrap</code>.</p>
</body>
</html>
"#;
