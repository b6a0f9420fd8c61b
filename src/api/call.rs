//! One request, as a handler sees it.

use std::net::IpAddr;
use std::ops::Deref;

use bytes::Bytes;
use serde_json::Value;
use uuid::Uuid;

use super::ctx::Ctx;
use super::fields::FieldInfo;
use super::form::Form;
use super::input::{Input, Values, field};
use super::place::{InOrganization, InProject, Place};
use super::way::Way;
use crate::error::{Error, Result, Text, not_found};
use crate::pool::Share;
use crate::store::Tx;

/// The methods that a route can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    pub const ALL: [Method; 5] = [Method::Get, Method::Post, Method::Put, Method::Patch, Method::Delete];

    pub fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }

    /// Whether it changes nothing.
    pub fn is_safe(self) -> bool {
        self == Method::Get
    }
}

/// A body that was read. Why it could not be is an error of whoever wants its value.
#[derive(Debug)]
pub enum Body {
    /// JSON, or an empty body, which equals `{}`.
    Json(Value),
    /// Form fields: every value is text.
    Form(Value),
    /// As it was sent, for routes that read it themselves, with its share of the memory.
    Bytes(Bytes, Share),
    Bad(BodyFault),
}

/// Why a body could not be read.
#[derive(Clone, Debug)]
pub enum BodyFault {
    Unreadable(Text),
    UnsupportedMedia(String),
    TooLarge {
        bytes_max: usize,
    },
    /// There was no memory for it.
    Busy {
        retry_after_seconds: u32,
    },
}

impl Body {
    pub fn value(&self) -> Result<&Value> {
        match self {
            Body::Json(value) | Body::Form(value) => Ok(value),
            Body::Bytes(..) => Err(Error::internal("a body was left as bytes")),
            Body::Bad(BodyFault::Unreadable(detail)) => Err(Error::Unreadable(detail.clone())),
            Body::Bad(BodyFault::UnsupportedMedia(media)) => Err(Error::UnsupportedMedia(media.clone())),
            Body::Bad(BodyFault::TooLarge { bytes_max }) => Err(Error::TooLarge { bytes_max: *bytes_max }),
            Body::Bad(BodyFault::Busy { retry_after_seconds }) => {
                Err(Error::Busy { retry_after_seconds: *retry_after_seconds })
            }
        }
    }
}

impl Body {
    /// A field by its name; of a form's field that comes again, the last, as in Django.
    ///
    /// # Errors
    /// The body cannot be read.
    pub fn field(&self, name: &str) -> Result<Option<&Value>> {
        Ok(field(self.value()?, matches!(self, Body::Form(_)), name))
    }
}

/// Which organization or project the path belongs to. There is no default: every route says it, and is reached
/// by those only whom the place is open to.
#[derive(Clone, Copy)]
pub enum Within {
    /// None, or the caller's own record.
    Nothing,
    /// The organization that this parameter names: 404 where there is none, 403 for a stranger.
    Organization(&'static str),
    /// The organization that a look-up finds; none where the caller sees nothing.
    OrganizationBy(fn(&Tx, &Call) -> Result<Option<InOrganization>>),
    /// The project that this parameter names: 404 for whoever does not see it.
    Project(&'static str),
    /// The same, and 404 where it is not of the organization that the other parameter names.
    ProjectOf { organization: &'static str, project: &'static str },
    /// The project of what the path names, which the data file knows.
    ProjectBy(fn(&Tx, &Call) -> Result<InProject>),
}

impl Within {
    /// Whether the route belongs to an organization or a project.
    pub fn is_somewhere(self) -> bool {
        !matches!(self, Within::Nothing)
    }

    /// Whether it belongs to a project.
    pub fn is_project(self) -> bool {
        matches!(self, Within::Project(_) | Within::ProjectOf { .. } | Within::ProjectBy(_))
    }
}

/// One request.
pub struct Call {
    pub method: Method,
    /// The path as it was sent, without the query.
    pub path: String,
    pub params: Vec<(&'static str, String)>,
    pub query: Vec<(String, String)>,
    pub body: Body,
    /// Where the route is at home.
    pub within: Within,
    /// What was found there: by the transaction of a handler that reads or writes. An asynchronous one
    /// calls `places::again` in each of its transactions.
    pub place: Place,
    /// The hash of the session cookie that was shown, good or not.
    pub session: Option<[u8; 32]>,
    /// The CSRF token that belongs to the session cookie; pages put it into their forms.
    pub csrf: Option<String>,
    /// What commands need of the request.
    pub ctx: Ctx,
    /// The caller's address, as far as the operator's proxies say it.
    pub peer: IpAddr,
    /// Whether something else than a program on this machine may have sent the request, whatever the address.
    pub forwarded: bool,
    /// Why the three above are what they are.
    pub way: Way,
    pub user_agent: String,
    /// The headers that the route reads, in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// Whether the caller accepts JSON by name.
    pub wants_json: bool,
    /// The header of the one-time set-up code.
    pub setup_code: Option<String>,
}

impl Call {
    /// A path parameter; empty where the route has none of that name.
    pub fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }

    /// A path parameter that is an identifier; what is no UUID can't name an object: 404.
    pub fn id<T: From<Uuid>>(&self, name: &str) -> Result<T> {
        parse_uuid(self.param(name)).map(T::from).ok_or_else(not_found)
    }

    /// The last query parameter of that name.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A header that the route reads.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// Whether a program on this machine sent the request, with no proxy in between.
    pub fn is_from_this_machine(&self) -> bool {
        self.peer.is_loopback() && !self.forwarded
    }

    /// The body checked against `fields`. PATCH may leave out what POST and PUT require.
    pub fn form(&self, fields: &'static [FieldInfo]) -> Result<Form> {
        self.input().form(fields)
    }

    /// The body, for a command that waits for something before it checks it.
    ///
    /// # Errors
    /// The body cannot be read.
    pub fn values(&self) -> Result<Values> {
        let value = self.body.value()?.clone();
        Ok(if matches!(self.body, Body::Form(_)) { Values::of_form(value) } else { Values::of(value) })
    }

    /// The body, for a command that checks it.
    pub fn input(&self) -> Input<'_> {
        Input {
            value: self.body.value(),
            is_text: matches!(self.body, Body::Form(_)),
            is_partial: self.method == Method::Patch,
        }
    }
}

impl Deref for Call {
    type Target = Ctx;
    fn deref(&self) -> &Ctx {
        &self.ctx
    }
}

/// A UUID in its usual form of 36 letters.
pub fn parse_uuid(text: &str) -> Option<Uuid> {
    if text.len() == 36 { Uuid::try_parse(text).ok() } else { None }
}
