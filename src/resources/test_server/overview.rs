//! `GET /_orgd/`: what there is.

use std::sync::Arc;

use serde::Serialize;

use super::forks::Overseen;
use super::of;
use crate::api::{Call, Method, Reply};
use crate::app::{App, Route, async_};
use crate::clock::Time;
use crate::error::Result;
use crate::test_server::TestServer;

pub(super) fn routes() -> Vec<Route> {
    vec![Route::control(Method::Get, "/_orgd/", async_(show)).about(
        "See what a development or test server is",
        "Its mode, its version, its clock, its forks and snapshots, what it has seen, and the paths that control it.",
    )]
}

#[derive(Serialize)]
struct Overview {
    mode: &'static str,
    version: &'static str,
    clock: ShownClock,
    /// Which server of the process it is, and the others; all null where its data is in a file.
    #[serde(flatten)]
    forks: Overseen,
    seen: Seen,
    /// The paths, with what they are for.
    paths: Vec<ShownPath>,
}

#[derive(Serialize)]
pub(crate) struct ShownClock {
    pub(super) now: Time,
    pub(super) frozen: bool,
}

impl ShownClock {
    pub(super) fn of(app: &App) -> ShownClock {
        ShownClock { now: app.clock.now(), frozen: app.clock.is_frozen() }
    }
}

/// What the server has seen.
#[derive(Serialize)]
struct Seen {
    requests: u64,
    /// Of these, for paths that it does not have.
    unknown: u64,
    mails: u64,
    unknown_token: u64,
    faults: u64,
}

impl Seen {
    fn of(server: &TestServer) -> Seen {
        let (requests, unknown) = server.journal.counts();
        Seen {
            requests,
            unknown,
            mails: server.mailbox.count(),
            unknown_token: server.events.unknown(),
            faults: server.faults.fired_in_all(),
        }
    }
}

#[derive(Serialize)]
struct ShownPath {
    method: &'static str,
    path: String,
    about: &'static str,
}

async fn show(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    let paths = super::routes().into_iter().map(|route| ShownPath {
        method: route.method.name(),
        path: route.path,
        about: route.about.summary,
    });
    Reply::ok(&Overview {
        mode: of(&app)?.mode.name(),
        version: env!("CARGO_PKG_VERSION"),
        clock: ShownClock::of(&app),
        forks: Overseen::of(&app, &call),
        seen: Seen::of(of(&app)?),
        paths: paths.collect(),
    })
}
