//! Whole answers of routes that are read often, cached until a row changes that they were made of.
//!
//! Invariant: nobody gets an answer that the handler would not give them now. A handler sees a call and a transaction. Which
//! rows it reads through the transaction is noted as it reads, and a commit that changes one of them ends the answer
//! (`store/cache.rs`). The call is first reduced to what the key holds (`reduce`): what is not in the key, such as the
//! caller's address, the handler of a cached route can't see, even by mistake.
//!
//! - Caller, scopes of their key, second factor and place were judged for this request, before and apart from this; most
//!   requests with a key are answered by `known.rs`, which keeps the judgement as well. The key
//!   holds what came of it: the session, or the very object that says what the caller's API key opens, which is another one
//!   when the key changes; and the place with the caller's level there.
//! - The key also holds path, query, the origin that links begin with, and the caller's program, for some answers differ by it.
//! - Time is what it was at the second that is in the key, or 1970 for answers that do not depend on it.
//! - Errors are not cached.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::Value;

use crate::api::way::Way;
use crate::api::{Actor, Body, Call, KeyAccess, Place, Reply, Source, Via};
use crate::app::Route;
use crate::app::route::Cached;
use crate::clock::{SECOND_MICROS, Time};
use crate::error::{Error, Result};
use crate::store::{Cacheable, Tx};

/// Requests that say more are answered anew, in bytes.
const KEY_BYTES_MAX: usize = 1024;
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

pub(super) struct Answer {
    body: Bytes,
    content_type: &'static str,
    gzipped: Arc<OnceLock<Bytes>>,
    /// Keeps the address, which is in the key, from becoming another object's.
    _key: Option<Arc<KeyAccess>>,
}

impl Cacheable for Answer {
    fn bytes(&self) -> usize {
        // With a compressed form beside it.
        size_of::<Answer>() + self.body.len() * 5 / 4
    }
}

impl Answer {
    /// Keeps what the handler of a cached route has answered.
    ///
    /// # Errors
    /// It has answered more than 200 and a body.
    pub(super) fn of(reply: Reply, key: Option<Arc<KeyAccess>>) -> Result<Answer> {
        if reply.status != 200 || reply.rest.is_some() || !reply.headers.is_empty() {
            return Err(Error::internal("the answer of a cached route is more than 200 and a body"));
        }
        Ok(Answer { body: reply.body, content_type: reply.content_type, gzipped: Arc::default(), _key: key })
    }

    pub(super) fn reply(&self) -> Reply {
        Reply {
            status: 200,
            content_type: self.content_type,
            body: self.body.clone(),
            headers: Vec::new(),
            rest: None,
            gzipped: Some(Arc::clone(&self.gzipped)),
        }
    }
}

/// Answers a call of a cached route, by `run` where there is no answer yet.
///
/// # Errors
/// Those of `run`.
pub(super) fn answer(
    tx: &Tx,
    route: &Route,
    mut call: Box<Call>,
    run: impl FnOnce(&Call, &Tx) -> Result<Reply>,
) -> Result<Reply> {
    let Some(key) = reduce(route, &mut call) else { return run(&call, tx) };
    let answer = tx.cached("answer", &key, || Answer::of(run(&call, tx)?, call.actor.key().cloned()))?;
    Ok(answer.reply())
}

/// Takes everything out of the call that is not in the key, which it gives; `None`, and the call as it is, where the answer
/// is to be made anew.
fn reduce(route: &Route, call: &mut Call) -> Option<Vec<u8>> {
    let is_plain = matches!(&call.body, Body::Json(Value::Object(all)) if all.is_empty());
    if !is_plain {
        return None;
    }
    let now = seen_time(route, call.now)?;
    let mut key = Key::new();
    key.number(now.0);
    let session = key.caller(&call.actor)?;
    key.place(&call.place);
    key.text(&call.path);
    key.text(&call.ctx.origin);
    key.text(&call.user_agent);
    key.number(i64::from(call.wants_json));
    for (name, value) in &call.query {
        key.text(name);
        key.text(value);
    }
    let key = key.finish()?;
    hide(call, now);
    call.session = session;
    Some(key)
}

/// What time it is for the handler of a cached route; `None` where answers of the route are not cached, which differ by
/// headers for one that reads some.
pub(super) fn seen_time(route: &Route, now: Time) -> Option<Time> {
    match route.cached {
        _ if !route.reads_headers.is_empty() => None,
        Cached::Never => None,
        Cached::WhileUnchanged => Some(Time(0)),
        Cached::ForTheSecond => Some(Time(now.0 - now.0.rem_euclid(SECOND_MICROS))),
    }
}

/// Hides from what sees the call whatever two requests may differ in that get the same answer.
pub(super) fn hide(call: &mut Call, now: Time) {
    call.ctx.now = now;
    call.ctx.source = Source::default();
    call.session = None;
    call.csrf = None;
    call.peer = NOBODY;
    call.forwarded = true;
    call.way = Way::direct(NOBODY);
    call.headers.clear();
    call.setup_code = None;
}

/// Values one after the other; no two lists of them have the same bytes.
pub(super) struct Key(Vec<u8>);

impl Key {
    pub(super) fn new() -> Key {
        Key(Vec::with_capacity(256))
    }

    /// `None` where it is so long that it is not worth keeping.
    pub(super) fn finish(self) -> Option<Vec<u8>> {
        (self.0.len() <= KEY_BYTES_MAX).then_some(self.0)
    }

    pub(super) fn number(&mut self, number: i64) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(&bytes.len().to_be_bytes());
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Gives the caller's session; `None` for nobody.
    fn caller(&mut self, actor: &Actor) -> Option<Option<[u8; 32]>> {
        let caller = actor.caller()?;
        self.0.extend_from_slice(caller.user.0.as_bytes());
        match &caller.via {
            Via::Key(key) => {
                self.0.push(0);
                self.number((Arc::as_ptr(key).addr() as u64).cast_signed());
                Some(None)
            }
            Via::Session { hash, authenticated_at, last_activity, second_step } => {
                self.0.push(1);
                self.0.extend_from_slice(hash);
                self.number(authenticated_at.0);
                self.number(last_activity.0);
                self.0.push(*second_step as u8);
                Some(Some(*hash))
            }
        }
    }

    fn place(&mut self, place: &Place) {
        match place {
            Place::Nothing => self.0.push(0),
            Place::Organization(at) => {
                self.0.push(1);
                self.0.extend_from_slice(at.id.0.as_bytes());
                self.0.push(at.level.number());
            }
            Place::Project(at) => {
                self.0.push(2);
                self.0.extend_from_slice(at.organization.0.as_bytes());
                self.0.extend_from_slice(&at.id.0.to_be_bytes());
                self.0.push(at.level.number());
            }
        }
    }
}
