//! What SDKs call besides capture. This server has no feature flags, surveys, recordings or experiments: the answers
//! say so in the form that each SDK reads, so that none of them logs an error or waits for anything.
//! Invariant: nothing here shows more of a project than whoever has its token may know.

mod definitions;
mod library;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Resource, projects};
use crate::api::{Call, Reply};
use crate::app::route::Handler;
use crate::app::{Route, Tag, async_, read, tagged};
use crate::config::{Config, Switch};
use crate::error::{Result, not_found};
use crate::store::Tx;

/// Largest request for flags, with the person's properties, in bytes.
const REQUEST_BYTES_MAX: usize = 1024 * 1024;
/// How long browsers and proxies may keep what changes seldom.
const CACHED: &str = "public, max-age=300";
const JAVASCRIPT: &str = "application/javascript; charset=utf-8";

pub static RESOURCE: Resource = Resource::of(routes);

fn routes() -> Vec<Route> {
    const TAG: Tag = Tag {
        name: "sdk",
        noun: "answer",
        about: "What SDKs call besides sending events. There are no feature flags, surveys or recordings: the \
                answers are constant and keep SDKs silent.",
    };
    let mut routes = Vec::new();
    for path in ["/flags/", "/decide/"] {
        let about = "With any token, or none. `?config=true` adds what `/array/{token}/config` answers.";
        let post = Route::ingest(path, REQUEST_BYTES_MAX, read(flags)).about("Evaluate feature flags", about);
        routes.extend([post, Route::sdk(path, read(flags)).about("Evaluate feature flags", about)]);
    }
    for path in ["/flags/definitions/", "/api/feature_flag/local_evaluation/"] {
        routes.push(Route::sdk(path, async_(definitions::show)).reads_headers(definitions::HEADERS).about(
            "Get the definitions of feature flags",
            "With a personal API key that has the scope `feature_flag:read`. An equal `If-None-Match` is answered \
             304.",
        ));
    }
    for (path, name, noun) in [
        ("/api/surveys/", "surveys", "List surveys for a page"),
        ("/api/early_access_features/", "earlyAccessFeatures", "List early access features for a page"),
        ("/api/web_experiments/", "experiments", "List experiments for a page"),
        ("/api/product_tours/", "product_tours", "List product tours for a page"),
    ] {
        let none = read(move |_, _| Reply::ok(&json!({name: []})));
        routes.push(Route::sdk(path, none).about(noun, "There are none."));
    }
    routes.extend([
        Route::sdk("/array/{token}/config/", read(config))
            .about("Get a project's configuration for pages", "Browsers may keep it for five minutes."),
        Route::sdk("/array/{token}/config.js", read(config_script))
            .about(
                "Get a project's configuration as a script",
                "The same, for `window._POSTHOG_REMOTE_CONFIG`.",
            )
            .called("array_config_script_retrieve"),
        Route::sdk("/array/{token}/array.js", async_(library::of_project))
            .about("Get the library for a project's pages", "404 unless the operator has set `--sdk-folder`.")
            .called("array_library_retrieve"),
        Route::sdk("/static/{file}", async_(library::show))
            .about("Get a file of the library for pages", "404 unless the operator has set `--sdk-folder`."),
        Route::sdk("/static/{version}/{file}", async_(library::show))
            .about(
                "Get a file of a version of the library for pages",
                "404 unless the operator has set `--sdk-folder`; the version makes no difference.",
            )
            .called("static_version_retrieve"),
    ]);
    tagged(TAG, routes.into_iter().map(where_on).collect())
}

/// The route answers unless the operator has switched these answers off.
fn where_on(mut route: Route) -> Route {
    route.handler = match route.handler {
        Handler::Read(run) => read(move |call, tx| {
            check_on(&call.config)?;
            run(call, tx)
        }),
        Handler::Async(run) => async_(move |app, call| {
            let answering = check_on(&app.config).map(|()| run(app, call));
            async move { answering?.await }
        }),
        writing @ Handler::Write(_) => writing,
    };
    route
}

/// # Errors
/// 404 where the answers are off.
fn check_on(config: &Config) -> Result<()> {
    if config.sdk_answers == Switch::On { Ok(()) } else { Err(not_found()) }
}

/// No flags, for any version of the protocol.
fn flags(call: &Call, tx: &Tx) -> Result<Reply> {
    let mut answer = json!({
        "flags": {},
        "featureFlags": {},
        "featureFlagPayloads": {},
        "errorsWhileComputingFlags": false,
        "requestId": call.new_id::<Uuid>(),
        "evaluatedAt": call.now.0 / 1000,
    });
    let wants_config = call.path.starts_with("/decide") || call.query("config") == Some("true");
    if let (Value::Object(answer), Value::Object(config)) = (&mut answer, settings(tx, call.query("token"))?)
        && wants_config
    {
        answer.extend(config);
    }
    Reply::ok(&answer)
}

/// What pages are to do, and above all what not.
fn settings(tx: &Tx, token: Option<&str>) -> Result<Value> {
    let receiver = token.map_or(Ok(None), |token| projects::by_token(tx, token))?;
    Ok(json!({
        "hasFeatureFlags": false,
        "supportedCompression": ["gzip-js"],
        "sessionRecording": false,
        "surveys": false,
        "heatmaps": false,
        "captureDeadClicks": false,
        "capturePerformance": false,
        "autocapture_opt_out": receiver.is_some_and(|receiver| receiver.autocapture_opt_out),
        "autocaptureExceptions": false,
        "analytics": {"endpoint": "/i/v0/e/"},
        "elementsChainAsString": true,
        "defaultIdentifiedOnly": true,
        "siteApps": [],
    }))
}

/// The configuration of the project in the path; nobody learns whether there is such a project.
fn of_token(call: &Call, tx: &Tx) -> Result<Value> {
    let token = call.param("token");
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if token.is_empty() || token.len() > 64 || !token.bytes().all(is_plain) {
        return Err(not_found());
    }
    let mut config = json!({"token": token});
    if let (Value::Object(config), Value::Object(settings)) = (&mut config, settings(tx, Some(token))?) {
        config.extend(settings);
    }
    Ok(config)
}

fn config(call: &Call, tx: &Tx) -> Result<Reply> {
    Ok(Reply::ok(&of_token(call, tx)?)?.with("cache-control", CACHED))
}

fn config_script(call: &Call, tx: &Tx) -> Result<Reply> {
    let config = of_token(call, tx)?;
    let script = format!(
        "(function () {{\n  var all = window._POSTHOG_REMOTE_CONFIG = window._POSTHOG_REMOTE_CONFIG || {{}};\n  \
         all[{}] = {{config: {config}, siteApps: []}};\n}})();\n",
        config["token"]
    );
    Ok(Reply::text(200, JAVASCRIPT, script).with("cache-control", CACHED))
}
