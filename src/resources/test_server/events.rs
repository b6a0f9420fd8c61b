//! `/_orgd/events`: did my app send it?

use std::sync::Arc;

use serde::Serialize;
use uuid::Uuid;

use super::{number_of, of, query_of};
use crate::api::{Call, Method, Reply};
use crate::app::{App, Route, async_};
use crate::clock::Time;
use crate::error::{Result, invalid};
use crate::ids::ProjectId;
use crate::resources::events::{self, Event};
use crate::resources::projects;
use crate::store::{Json, Tx};
use crate::test_server::waiting::{Wait, wait_for};

/// How many events one answer has.
const LIMIT_MAX: usize = 1000;

pub(super) fn routes() -> Vec<Route> {
    vec![Route::control(Method::Get, "/_orgd/events/", async_(list)).about(
        "See the events that were captured",
        "Stored ones, newest last, 1,000 at most. `token`, `event` and `distinct_id` choose; `wait_count` and `wait_ms` \
         wait for events. `unknown_token` counts requests that came with the token of no project.",
    )]
}

/// An event as it is shown.
#[derive(Serialize)]
pub struct Shown {
    pub uuid: Uuid,
    pub event: String,
    pub distinct_id: String,
    pub timestamp: Time,
    pub project_id: ProjectId,
    pub properties: Json,
}

#[derive(Serialize)]
struct Listed {
    events: Vec<Shown>,
    unknown_token: u64,
}

/// Which events are meant.
pub struct Wanted<'a> {
    pub token: Option<&'a str>,
    pub event: Option<&'a str>,
    pub distinct_id: Option<&'a str>,
    pub limit: usize,
}

async fn list(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    let server = of(&app)?;
    let query = query_of(&call, &["token", "event", "distinct_id", "limit", "wait_count", "wait_ms"])?;
    let wait = Wait::read(query("wait_count"), query("wait_ms"))?;
    let limit = number_of(query("limit"), "limit", LIMIT_MAX as u64)?;
    let wanted = Wanted {
        token: query("token"),
        event: query("event"),
        distinct_id: query("distinct_id"),
        limit: limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(LIMIT_MAX),
    };
    let look = || {
        let events = app.store.read(|tx| find(tx, &wanted))?;
        let count = events.len();
        Ok((events, count))
    };
    let events = wait_for(wait, server.events.changes(), server.stopped(), look).await?;
    Reply::ok(&Listed { events, unknown_token: server.events.unknown() })
}

/// The events that are meant, newest last.
///
/// # Errors
/// 400 for the token of no project.
pub fn find(tx: &Tx, wanted: &Wanted<'_>) -> Result<Vec<Shown>> {
    let projects = match wanted.token {
        None => events::projects(tx)?,
        Some(token) => {
            let unknown = || invalid("token", "not_found", "No project has this token.");
            vec![projects::by_token(tx, token)?.ok_or_else(unknown)?.id]
        }
    };
    let is_meant = |event: &Event| {
        wanted.event.is_none_or(|name| event.event == name)
            && wanted.distinct_id.is_none_or(|distinct_id| event.distinct_id == distinct_id)
    };
    let mut found = Vec::new();
    for project in projects {
        let newest = events::newest_of(tx, project, wanted.limit, is_meant)?;
        found.extend(newest.into_iter().map(|(id, event)| (id, project, event)));
    }
    // By arrival.
    found.sort_by_key(|(id, ..)| *id);
    let beyond = found.len().saturating_sub(wanted.limit);
    let shown = found.into_iter().skip(beyond).map(|(id, project_id, event)| Shown {
        uuid: event.uuid_or(id),
        event: event.event,
        distinct_id: event.distinct_id,
        timestamp: event.timestamp,
        project_id,
        properties: event.properties,
    });
    Ok(shown.collect())
}
