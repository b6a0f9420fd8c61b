//! Requests with a key that were judged and answered before: found again by what they say, in one look-up.
//!
//! Invariant: nobody gets what they would not get now. Who judges a caller with a key, and who answers them, sees rows
//! through one transaction, and the call with everything hidden that the key of the cache does not hold (`hide`). Which rows
//! they look at is noted, and a commit that changes one of them ends what was made of it (`store/cache.rs`): the row of the
//! key, the user, memberships and settings among them. Refusals are not cached.
//!
//! What is counted or noted of each request is counted and noted here as well: the uses of the key, and the log's line.

use std::sync::Arc;

use super::answers::{Answer, Key, hide, seen_time};
use super::authorize::{admit_key, judge};
use super::credentials::header_token;
use super::find::RequestTarget;
use super::forwarded::Client;
use super::head::RequestHead;
use super::headers::text;
use super::request_log::RequestLog;
use crate::api::{Call, KeyAccess, Reply};
use crate::app::route::{Handler, ReadHandler};
use crate::auth::{Credential, FoundIn, hash};
use crate::clock::Time;
use crate::error::{Error, Result};
use crate::store::Cacheable;

/// A request that can be found again.
pub(super) struct Lookup<'a> {
    target: RequestTarget,
    run: &'static ReadHandler,
    token: &'a str,
    /// What time the judgement and the handler see.
    seen: Time,
    key: Vec<u8>,
}

/// Whom a request came from, and what it was answered.
struct Known {
    access: Arc<KeyAccess>,
    answer: Answer,
}

impl Cacheable for Known {
    fn bytes(&self) -> usize {
        self.answer.bytes()
    }
}

impl<'a> Lookup<'a> {
    /// `None` where the request is to be judged and answered for itself. It must have no body.
    pub(super) fn of(
        request: &'a RequestHead<'_>,
        client: &Client,
        target: RequestTarget,
        now: Time,
    ) -> Option<Lookup<'a>> {
        // What waits for memory is no quick look-up.
        let route = target.route.filter(|route| route.work_bytes == 0)?;
        let Handler::Read(run) = &route.handler else { return None };
        if target.node.is_public() || target.node.is_page() || request.headers.setup_code.is_some() {
            return None;
        }
        let seen = seen_time(route, now)?;
        let token = header_token(text(request.headers.authorization))?;
        let mut key = Key::new();
        key.bytes(&hash(token));
        key.number(seen.0);
        key.text(request.parts.method.as_str());
        key.text(request.parts.uri.path_and_query()?.as_str());
        key.text(&client.origin);
        for header in [request.headers.accept, request.headers.user_agent] {
            key.number(i64::from(header.is_some()));
            key.bytes(header.map_or(&[], |value| value.as_bytes()));
        }
        Some(Lookup { target, run, token, seen, key: key.finish()? })
    }

    /// The answer to the request; `call` is its call, which is made where there is no answer yet.
    ///
    /// # Errors
    /// Those of `authorize` and of the handler.
    pub(super) fn answer(
        &self,
        request: &RequestHead<'_>,
        log: &mut RequestLog,
        now: Time,
        call: impl FnOnce() -> Result<Box<Call>>,
    ) -> Result<Reply> {
        log.has_credential = true;
        let app = request.app;
        let mut is_new = false;
        let known: Arc<Known> = app.store.read(|tx| {
            tx.cached("request", &self.key, || {
                is_new = true;
                let mut call = call()?;
                hide(&mut call, self.seen);
                let shown = Credential::Key { token: self.token.to_owned(), found_in: FoundIn::Header };
                judge(tx, &self.target, &mut call, &shown, log)?;
                let access = call.actor.key().cloned();
                let access = access.ok_or_else(|| Error::internal("a caller with a key has none"))?;
                admit_key(app, &access, now)?;
                Ok(Known { answer: Answer::of((self.run)(&call, tx)?, None)?, access })
            })
        })?;
        if !is_new {
            log.user = Some(known.access.user);
            admit_key(app, &known.access, now)?;
        }
        Ok(known.answer.reply())
    }
}
