//! A request before its body, as every step of its journey sees it.

use std::sync::Arc;

use hyper::http::request::Parts;

use super::body::BodyLimits;
use super::headers::RequestHeaders;
use super::respond::{self, HttpResponse, Memory};
use crate::api::Reply;
use crate::app::{App, Route};
use crate::config::SMALL_BODY_BYTES_MAX;
use crate::pool::Account;

/// A request before its body.
pub(super) struct RequestHead<'a> {
    pub(super) app: &'a Arc<App>,
    pub(super) parts: &'a Parts,
    pub(super) headers: RequestHeaders<'a>,
    /// Whose share of the memory it takes.
    pub(super) account: Account,
}

impl<'a> RequestHead<'a> {
    /// Whether the path is one of the API. It need not have a route, so this is read from the path: an error for an
    /// unknown path is to be readable by pages of other sites as well.
    pub(super) fn is_api(&self) -> bool {
        self.parts.uri.path().starts_with("/api/")
    }

    pub(super) fn memory(&self) -> Memory<'a> {
        Memory { pool: &self.app.work, account: self.account }
    }

    pub(super) fn body_limits(&self, route: Option<&Route>) -> BodyLimits<'a> {
        let config = &self.app.config;
        let bytes_max =
            route.map_or(SMALL_BODY_BYTES_MAX, |route| route.body_bytes_max.min(config.body_bytes_max));
        BodyLimits { config, memory: self.memory(), bytes_max }
    }

    pub(super) fn reply(&self, reply: Reply) -> HttpResponse {
        respond::reply(reply, &self.parts.headers, self.memory())
    }
}
