//! Requests with a key that were judged and answered before: found again by what they say, in one look-up, before anybody
//! searches the route.
//!
//! Invariant: nobody gets what they would not get now, for whoever finds the route, judges and answers sees nothing else.
//! - All that they see of the request is in the key of the cache. What a path leads to, and what the settings say, stays as it
//!   is while the server runs.
//! - Who judges a caller with a key, and who answers them, sees rows through one transaction, and the call with everything
//!   hidden that the key does not hold (`hide`). Which rows they look at is noted, and a commit that changes one of them ends
//!   what was made of it (`store/cache.rs`): the row of the key, the user, memberships and settings among them.
//! - The time that they see is kept with the answer (`seen_time`). When it is another one, the answer is made anew.
//! - Refusals are not cached.
//!
//! What is counted or noted of each request is counted and noted here as well: the uses of the key, and the log's line.

use std::sync::Arc;

use hyper::Method;

use super::answers::{Answer, Key, hide, seen_time};
use super::authorize::{admit_key, judge};
use super::find::RequestTarget;
use super::forwarded::Client;
use super::head::RequestHead;
use super::request_log::{Named, RequestLog};
use crate::api::{Call, KeyAccess, Reply};
use crate::app::App;
use crate::app::route::{Handler, ReadHandler};
use crate::auth::{Credential, FoundIn};
use crate::clock::Time;
use crate::error::{Error, Result};
use crate::store::Cacheable;

/// A request that may have been answered before.
pub(super) struct Lookup {
    shown: Credential,
    now: Time,
    key: Vec<u8>,
}

/// What a request was for, whom it came from, and what it was answered.
struct Known {
    named: Named,
    /// What time the judgement and the handler saw.
    seen: Time,
    access: Arc<KeyAccess>,
    answer: Answer,
}

impl Cacheable for Known {
    fn bytes(&self) -> usize {
        self.answer.bytes()
    }
}

impl Lookup {
    /// `None` where the request is to be judged and answered for itself. `shown` is the hash of the key in its header. It must
    /// have no body.
    pub(super) fn of(
        request: &RequestHead<'_>,
        client: &Client,
        shown: [u8; 32],
        now: Time,
    ) -> Option<Lookup> {
        let method = &request.parts.method;
        if !matches!(*method, Method::GET | Method::HEAD) || request.headers.setup_code.is_some() {
            return None;
        }
        let mut key = Key::new();
        key.text("request");
        key.bytes(&shown);
        key.text(method.as_str());
        key.text(request.parts.uri.path_and_query()?.as_str());
        key.text(&client.origin);
        for header in [request.headers.accept, request.headers.user_agent] {
            key.number(i64::from(header.is_some()));
            key.bytes(header.map_or(&[], |value| value.as_bytes()));
        }
        let shown = Credential::Key { hash: shown, found_in: FoundIn::Header };
        Some(Lookup { shown, now, key: key.finish()? })
    }

    /// The answer where it was given before; `None` where it is to be made.
    ///
    /// # Errors
    /// 429 for a key that is used too often.
    pub(super) fn again(&self, app: &Arc<App>, log: &mut RequestLog) -> Result<Option<Reply>> {
        let Some(known) = app.store.kept::<Known>(&self.key) else { return Ok(None) };
        if known.named.target.route.and_then(|route| seen_time(route, self.now)) != Some(known.seen) {
            return Ok(None);
        }
        log.named = Some(known.named.clone());
        log.has_credential = true;
        log.user = Some(known.access.user);
        admit_key(app, &known.access, self.now)?;
        Ok(Some(known.answer.reply()))
    }

    /// `None` where answers of the target are not kept.
    pub(super) fn keeping(self, target: RequestTarget) -> Option<Keeping> {
        if target.node.is_public() || target.node.is_page() || target.node.is_control() {
            return None;
        }
        // What waits for memory is no quick look-up.
        let route = target.route.filter(|route| route.work_bytes == 0)?;
        let Handler::Read(run) = &route.handler else { return None };
        Some(Keeping { target, run, seen: seen_time(route, self.now)?, lookup: self })
    }
}

/// A request whose answer will be found again.
pub(super) struct Keeping {
    lookup: Lookup,
    target: RequestTarget,
    run: &'static ReadHandler,
    seen: Time,
}

impl Keeping {
    /// Judges the request, answers it and keeps the answer.
    ///
    /// # Errors
    /// Those of `authorize` and of the handler.
    pub(super) fn answer(self, app: &Arc<App>, mut call: Box<Call>, log: &mut RequestLog) -> Result<Reply> {
        let Keeping { lookup: Lookup { shown, now, key }, target, run, seen } = self;
        log.has_credential = true;
        hide(&mut call, seen);
        let known = app.store.read(|tx| {
            tx.keep(&key, || {
                judge(tx, &target, &mut call, &shown, log)?;
                let access = call.actor.key().cloned();
                let access = access.ok_or_else(|| Error::internal("a caller with a key has none"))?;
                admit_key(app, &access, now)?;
                let answer = Answer::of(run(&call, tx)?, None)?;
                Ok(Known { named: Named::of(target, &call.params), seen, access, answer })
            })
        })?;
        Ok(known.answer.reply())
    }
}
