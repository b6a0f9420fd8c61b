//! `/_orgd/mails`: the mails that went out.

use std::sync::Arc;
use std::time::Duration;

use super::{of, query_of};
use crate::api::{Call, Method, Reply};
use crate::app::{App, Route, async_};
use crate::config::Mode;
use crate::error::Result;
use crate::resources::outbox;
use crate::test_server::waiting::{Wait, wait_for};

pub(super) fn routes() -> Vec<Route> {
    let all = "/_orgd/mails/";
    vec![
        Route::control(Method::Get, all, async_(list)).about(
            "See the mails that went out",
            "Newest last, with the links in their texts. `to` chooses; `wait_count` and `wait_ms` wait for mails. In test \
             mode no mail leaves the server.",
        ),
        Route::control(Method::Delete, all, async_(empty)).about("Forget the mails", "Numbers go on."),
    ]
}

async fn list(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    let server = of(&app)?;
    let query = query_of(&call, &["to", "wait_count", "wait_ms"])?;
    let wait = Wait::read(query("wait_count"), query("wait_ms"))?;
    if server.mode == Mode::Test {
        settle(&app).await?;
    }
    let look = || {
        let mails = server.mailbox.mails(query("to"));
        let count = mails.len();
        Ok((mails, count))
    };
    Reply::ok(&wait_for(wait, server.mailbox.changes(), server.stopped(), look).await?)
}

/// Waits for what is about to go out, so that a mail is there once the request is answered that it comes of.
async fn settle(app: &App) -> Result<()> {
    let server = of(app)?;
    let wait = Wait { count: 1, time: Duration::from_secs(2) };
    let look = || {
        let due = app.store.read(|tx| Ok(outbox::due(tx, app.clock.now(), 1)?.0))?;
        Ok(((), usize::from(due.is_empty())))
    };
    wait_for(wait, server.mailbox.changes(), server.stopped(), look).await
}

async fn empty(app: Arc<App>, _call: Arc<Call>) -> Result<Reply> {
    of(&app)?.mailbox.empty();
    Reply::no_content()
}
