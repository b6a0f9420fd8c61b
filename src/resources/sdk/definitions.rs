//! The definitions of feature flags, for SDKs that evaluate them themselves. They ask every half a minute.

use std::sync::Arc;

use serde_json::json;

use crate::api::{Call, KeyAccess, Reply};
use crate::app::App;
use crate::auth::{hash, scopes};
use crate::config::ACTIVITY_SECONDS;
use crate::error::{Error, Result};
use crate::logging::{self, SecurityEvent};
use crate::resources::{api_keys, projects};

const AUTHORIZATION: &str = "authorization";
const IF_NONE_MATCH: &str = "if-none-match";
pub(super) const HEADERS: &[&str] = &[AUTHORIZATION, IF_NONE_MATCH];
const SCOPE: &str = "feature_flag:read";
/// There is one version, for what it names never changes.
const ETAG: &str = "\"none\"";

/// What a caller shows.
enum Shown {
    /// A person's key, which has scopes.
    Key(Arc<KeyAccess>),
    /// The secret token of a project, as its hash: it is there for nothing else.
    SecretToken([u8; 32]),
}

impl Shown {
    fn hash(&self) -> [u8; 32] {
        match self {
            Shown::Key(key) => key.hash,
            Shown::SecretToken(hash) => *hash,
        }
    }
}

pub(super) async fn show(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    let shown = shown(&app, &call)?;
    if let Shown::Key(key) = &shown {
        scopes::require(&key.scopes, SCOPE)?;
    }
    if app.config.throttles() {
        app.throttles.key(shown.hash(), call.now)?;
    }
    if let Shown::Key(key) = &shown {
        note_use(&app, &call, key).await?;
    }
    let is_known = call.header(IF_NONE_MATCH).is_some_and(|tags| tags.contains(ETAG) || tags.trim() == "*");
    let reply = if is_known {
        Reply { status: 304, ..Reply::no_content()? }
    } else {
        Reply::ok(&json!({"flags": [], "group_type_mapping": {}, "cohorts": {}}))?
    };
    Ok(reply.with("etag", ETAG).with("cache-control", "private, no-cache"))
}

/// The personal API key or the project's secret token that the caller shows.
fn shown(app: &App, call: &Call) -> Result<Shown> {
    let refused = || Error::Unauthenticated {
        code: "authentication_failed",
        detail: "Personal API key found in request Authorization header is invalid.".into(),
    };
    let header = call.header(AUTHORIZATION).unwrap_or_default().trim();
    let token = header.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let Some((_, token)) = token else { return Err(crate::error::unauthenticated()) };
    let token = token.trim();
    let found = app.store.read(|tx| {
        if projects::by_secret_token(tx, token)?.is_some() {
            return Ok(Shown::SecretToken(hash(token)));
        }
        api_keys::access(tx, hash(token), refused).map(Shown::Key)
    });
    if matches!(found, Err(Error::Unauthenticated { .. })) {
        logging::security(SecurityEvent::TokenRefused, call.peer, "-");
    }
    found
}

/// Notes that the key is in use, now and then.
async fn note_use(app: &App, call: &Call, key: &KeyAccess) -> Result<()> {
    let (now, hash) = (call.now, key.hash);
    if key.last_used_at.is_some_and(|last| now < last.plus_seconds(ACTIVITY_SECONDS)) {
        return Ok(());
    }
    app.store.write(move |tx| api_keys::touch(tx, &hash, now)).await
}
