//! `/_orgd/requests`: what was called, and whether it was what should have been.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::{number_of, of, query_of};
use crate::api::{Call, Method, Reply};
use crate::app::{App, Route, async_};
use crate::error::{Envelope, Result, invalid};
use crate::test_server::journal::{Assertion, Filter, Found, Verdict};
use crate::test_server::waiting::{WAIT_MAX, Wait, wait_for};

/// How many requests one answer has.
const LIMIT_MAX: usize = 1000;

pub(super) fn routes() -> Vec<Route> {
    let all = "/_orgd/requests/";
    vec![
        Route::control(Method::Get, all, async_(list)).about(
            "See what was called",
            "Newest last, 1,000 at most. `method`, `path` (a route's template, or a pattern with `*` and `**`), `row=none` \
             (what this server does not have) and `after` choose; `wait_count` and `wait_ms` wait for requests to arrive.",
        ),
        Route::control(Method::Post, "/_orgd/requests/assert/", async_(judge)).about(
            "Assert what was called",
            "`count`, `at_least`, `never` or `in_order` of the requests with this `method`, `path`, `json`, `key` and \
             `status`.",
        ),
        Route::control(Method::Delete, all, async_(empty)).about("Forget what was called", "Numbers go on."),
    ]
}

#[derive(Serialize)]
struct Listed<'a> {
    requests: Vec<crate::test_server::journal::Wire<'a>>,
    count: usize,
    unknown: u64,
    dropped: u64,
}

async fn list(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    let server = of(&app)?;
    let names = &["method", "path", "row", "any_path", "after", "limit", "wait_count", "wait_ms"];
    let query = query_of(&call, names)?;
    let wait = Wait::read(query("wait_count"), query("wait_ms"))?;
    let is_unknown = match query("row") {
        None => false,
        Some("none") => true,
        Some(_) => return Err(invalid("row", "invalid_choice", "`none` is the only choice.")),
    };
    let is_any = is_unknown || query("any_path") == Some("true");
    let filter = Filter::read(&server.paths, query("method"), query("path"), is_any)?;
    let after = number_of(query("after"), "after", u64::MAX)?.unwrap_or(0);
    let filter = Filter { is_unknown, after, ..filter };
    let limit = number_of(query("limit"), "limit", LIMIT_MAX as u64)?;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(LIMIT_MAX);
    let journal = &server.journal;
    let look = || {
        let count = journal.count(&filter);
        Ok((count, count))
    };
    wait_for(wait, journal.changes(), server.stopped(), look).await?;
    let Found { entries, count, unknown, dropped } = journal.find(&filter, limit);
    let requests = entries.iter().map(|entry| entry.wire()).collect();
    Reply::ok(&Listed { requests, count, unknown, dropped })
}

async fn judge(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    let server = of(&app)?;
    let assertion = Assertion::read(&server.paths, call.body.value()?)?;
    let time = Duration::from_millis(assertion.wait_ms.unwrap_or(0));
    if time > WAIT_MAX {
        return Err(invalid("wait_ms", "invalid_input", "A number from 0 to 60000 is wanted."));
    }
    let look = || {
        let verdict = server.journal.judge(&assertion);
        let is_settled = verdict.as_ref().is_none_or(|verdict: &Verdict| verdict.ok);
        Ok((verdict, usize::from(is_settled)))
    };
    let wait = Wait { count: 1, time };
    match wait_for(wait, server.journal.changes(), server.stopped(), look).await? {
        Some(verdict) => Reply::ok(&verdict),
        None => {
            let detail = "The oldest requests were dropped, so that nothing can be said of them. DELETE /_orgd/requests \
                          before what is asserted, or give the number of the request that it comes `after`.";
            Reply::json(409, &Envelope::new(409, "invalid_request", "dropped", detail))
        }
    }
}

async fn empty(app: Arc<App>, _call: Arc<Call>) -> Result<Reply> {
    of(&app)?.journal.empty();
    Reply::no_content()
}
