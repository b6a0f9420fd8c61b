//! Notes when keys and sessions were last used: now and then, in writes that no request waits for.

use std::future::Future;
use std::sync::Arc;

use tracing::error;

use crate::api::{Call, KeyAccess, Via};
use crate::app::App;
use crate::clock::Time;
use crate::error::Result;
use crate::resources::{api_keys, sessions};

/// How often a key's last use is noted at most, in seconds.
const KEY_SECONDS: i64 = 60 * 60;

/// Notes that the session of a request, if it has one, was used.
pub(super) fn of_session(app: &Arc<App>, call: &Call) {
    if let Some(Via::Session { hash, last_activity, .. }) = call.actor.caller().map(|caller| &caller.via)
        && sessions::is_activity_due(&app.config, *last_activity, call.now)
    {
        note_session(app, call, *hash);
    }
}

/// Notes that a key was used.
pub(super) fn of_key(app: &Arc<App>, key: &KeyAccess, now: Time) {
    if is_due(key, now) {
        note_key(app, key, now);
    }
}

fn is_due(key: &KeyAccess, now: Time) -> bool {
    key.last_used_at.is_none_or(|last| last.plus_seconds(KEY_SECONDS) <= now)
}

fn note_key(app: &Arc<App>, key: &KeyAccess, now: Time) {
    let hash = key.hash;
    let app = Arc::clone(app);
    spawn(async move { app.store.write(move |tx| api_keys::touch(tx, &hash, now)).await });
}

fn note_session(app: &Arc<App>, call: &Call, hash: [u8; 32]) {
    let (now, peer, user_agent) = (call.now, call.peer, call.user_agent.clone());
    let app = Arc::clone(app);
    spawn(async move { app.store.write(move |tx| sessions::touch(tx, &hash, now, peer, &user_agent)).await });
}

fn spawn(noting: impl Future<Output = Result<()>> + Send + 'static) {
    tokio::spawn(async move {
        if let Err(cause) = noting.await {
            error!(%cause, "the last use of a key or a session could not be noted");
        }
    });
}
