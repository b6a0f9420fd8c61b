//! `GET /_orgd/`: what there is.

use std::sync::Arc;

use serde::Serialize;

use super::of;
use crate::api::{Call, Method, Reply};
use crate::app::{App, Route, async_};
use crate::clock::Time;
use crate::error::Result;

pub(super) fn routes() -> Vec<Route> {
    vec![Route::control(Method::Get, "/_orgd/", async_(show)).about(
        "See what a development or test server is",
        "Its mode, its version, its clock, and the paths that control it.",
    )]
}

#[derive(Serialize)]
struct Overview {
    mode: &'static str,
    version: &'static str,
    clock: ShownClock,
    /// The paths, with what they are for.
    paths: Vec<ShownPath>,
}

#[derive(Serialize)]
pub(super) struct ShownClock {
    pub(super) now: Time,
    pub(super) frozen: bool,
}

impl ShownClock {
    pub(super) fn of(app: &App) -> ShownClock {
        ShownClock { now: app.clock.now(), frozen: app.clock.is_frozen() }
    }
}

#[derive(Serialize)]
struct ShownPath {
    method: &'static str,
    path: String,
    about: &'static str,
}

async fn show(app: Arc<App>, _call: Arc<Call>) -> Result<Reply> {
    let paths = super::routes().into_iter().map(|route| ShownPath {
        method: route.method.name(),
        path: route.path,
        about: route.about.summary,
    });
    Reply::ok(&Overview {
        mode: of(&app)?.mode.name(),
        version: env!("CARGO_PKG_VERSION"),
        clock: ShownClock::of(&app),
        paths: paths.collect(),
    })
}
