//! Storing what was read.

use std::sync::Arc;

use super::{BUSY, Outcome};
use crate::app::App;
use crate::error::{Error, Result};
use crate::resources::events::{self, CapturedEvent, EventIds};
use crate::resources::projects;

/// Stores the events of one piece, in as many commits as they need; those of a project that is gone by now are
/// dropped. Says how many are done with: fewer than all where the disk took no more, which senders must hear, or
/// they would not send them again.
pub(super) async fn store(app: &Arc<App>, token: &Arc<str>, events: Vec<CapturedEvent>) -> Result<usize> {
    let events = Arc::new(events);
    let mut done = 0;
    while done < events.len() {
        let event_ids = EventIds { clock: Arc::clone(&app.clock), ids: Arc::clone(&app.ids) };
        let (token, events) = (Arc::clone(token), Arc::clone(&events));
        let write = app.store.write(move |tx| {
            let rest = &events[done..];
            let Some(receiver) = projects::by_token(tx, &token)? else { return Ok(rest.len()) };
            projects::note_event(tx, receiver.id)?;
            events::store(tx, &event_ids, receiver.id, rest)
        });
        match write.await {
            Ok(count) => done += count,
            // The disk takes nothing; the store has logged why.
            Err(Error::Busy { .. }) => break,
            Err(other) => return Err(other),
        }
    }
    if let Some(server) = &app.test_server {
        server.events.stored();
    }
    Ok(done)
}

/// All events of the piece, or the answer with which senders try again.
pub(super) async fn store_all(
    app: &Arc<App>,
    token: &Arc<str>,
    events: Vec<CapturedEvent>,
) -> Result<Outcome<()>> {
    let count = events.len();
    let done = store(app, token, events).await?;
    Ok(if done == count { Ok(()) } else { Err(BUSY) })
}
