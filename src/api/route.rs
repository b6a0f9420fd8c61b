//! A row of the route table: what a path and method mean, who may call it, what goes in and out.
//! The router, the scope check, the OpenAPI document and the permission test all read these rows.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::about::About;
use super::call::{Call, Method};
use super::fields::Field;
use super::place::{InOrganization, InProject};
use super::reply::Reply;
use crate::app::App;
use crate::config::SMALL_BODY_BYTES_MAX;
use crate::error::Result;
use crate::store::{Tx, WriteTx};

/// What a caller must show. There is no default: every row says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Public,
    /// A session; keys are refused.
    Session,
    /// A session, or a key with this scope.
    Scope(&'static str),
    /// A session or any key.
    SignedIn,
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

type Reading = Box<dyn Fn(&Call, &Tx) -> Result<Reply> + Send + Sync>;
type Writing = Box<dyn Fn(&Call, &WriteTx) -> Result<Reply> + Send + Sync>;
type Stepping = Box<dyn Fn(Arc<App>, Arc<Call>) -> Pending + Send + Sync>;
/// An answer that takes time outside the store.
pub type Pending = Pin<Box<dyn Future<Output = Result<Reply>> + Send>>;

pub enum Handler {
    /// Runs on the newest committed state, right where the request is.
    Read(Reading),
    /// Runs on the writer thread, and is answered after the commit.
    Write(Writing),
    /// Hashes a password or asks the network, between transactions of its own.
    Steps(Stepping),
}

/// A handler that reads.
pub fn read(run: impl Fn(&Call, &Tx) -> Result<Reply> + Send + Sync + 'static) -> Handler {
    Handler::Read(Box::new(run))
}

/// A handler that writes.
pub fn write(run: impl Fn(&Call, &WriteTx) -> Result<Reply> + Send + Sync + 'static) -> Handler {
    Handler::Write(Box::new(run))
}

/// A handler with steps outside the store.
pub fn steps<F>(run: impl Fn(Arc<App>, Arc<Call>) -> F + Send + Sync + 'static) -> Handler
where
    F: Future<Output = Result<Reply>> + Send + 'static,
{
    Handler::Steps(Box::new(move |app, call| Box::pin(run(app, call))))
}

pub fn public() -> Needs {
    Needs::Public
}

pub fn session() -> Needs {
    Needs::Session
}

pub fn scope(scope: &'static str) -> Needs {
    Needs::Scope(scope)
}

pub fn signed_in() -> Needs {
    Needs::SignedIn
}

/// What the body of an answer looks like.
#[derive(Clone, Copy)]
pub enum Shape {
    Nothing,
    One(&'static [Field]),
    Page(&'static [Field]),
    List(&'static [Field]),
    /// Text, or JSON that no client should rely on the inside of.
    Free,
}

/// Whether the path ends with a slash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slash {
    /// As the caller likes.
    Optional,
    /// Always.
    Required,
    /// Never.
    Absent,
}

/// One row.
pub struct Route {
    pub method: Method,
    /// The path with its parameters in braces, as the API page has it.
    pub path: String,
    pub slash: Slash,
    pub needs: Needs,
    pub within: Within,
    pub handler: Handler,
    pub takes: Option<&'static [Field]>,
    /// Whether the body is an array of what it takes.
    pub takes_list: bool,
    /// Reads the body itself, as bytes, at most so many. No credentials are looked for in such a request,
    /// and pages of any site may send it.
    pub takes_bytes: Option<usize>,
    /// The largest body, in bytes, where it is less than that of the settings.
    pub body_bytes_max: usize,
    /// What the handler takes in memory beside the body, in bytes, where that is much: it waits until there is as
    /// much.
    pub work_bytes: usize,
    pub status: u16,
    pub gives: Shape,
    pub about: About,
}

impl Route {
    fn new(method: Method, path: impl Into<String>, needs: Needs, within: Within, handler: Handler) -> Route {
        let path = path.into();
        // A path that is written without a slash has none.
        let slash = if path.ends_with('/') { Slash::Optional } else { Slash::Absent };
        // What strangers may send, and what people enter about themselves, is small.
        let body_bytes_max = match needs {
            Needs::Public | Needs::Session => SMALL_BODY_BYTES_MAX,
            Needs::Scope(_) | Needs::SignedIn => usize::MAX,
        };
        Route {
            method,
            path,
            slash,
            needs,
            within,
            handler,
            takes: None,
            takes_list: false,
            takes_bytes: None,
            body_bytes_max,
            work_bytes: 0,
            status: 200,
            gives: Shape::Free,
            about: About::default(),
        }
    }

    pub fn get(path: impl Into<String>, needs: Needs, within: Within, handler: Handler) -> Route {
        Route::new(Method::Get, path, needs, within, handler)
    }

    pub fn post(path: impl Into<String>, needs: Needs, within: Within, handler: Handler) -> Route {
        Route::new(Method::Post, path, needs, within, handler)
    }

    pub fn put(path: impl Into<String>, needs: Needs, within: Within, handler: Handler) -> Route {
        Route::new(Method::Put, path, needs, within, handler)
    }

    pub fn patch(path: impl Into<String>, needs: Needs, within: Within, handler: Handler) -> Route {
        Route::new(Method::Patch, path, needs, within, handler)
    }

    pub fn delete(path: impl Into<String>, needs: Needs, within: Within, handler: Handler) -> Route {
        Route::new(Method::Delete, path, needs, within, handler)
    }

    pub fn takes(mut self, fields: &'static [Field]) -> Route {
        self.takes = Some(fields);
        self
    }

    pub fn takes_list_of(mut self, fields: &'static [Field]) -> Route {
        self.takes_list = true;
        self.takes(fields)
    }

    pub fn takes_bytes(mut self, bytes_max: usize) -> Route {
        self.takes_bytes = Some(bytes_max);
        self.body_bytes_max = bytes_max;
        self
    }

    /// Takes so much memory to work in.
    pub fn works_in(mut self, bytes: usize) -> Route {
        self.work_bytes = bytes;
        self
    }

    pub fn gives(mut self, status: u16, fields: &'static [Field]) -> Route {
        self.status = status;
        self.gives = Shape::One(fields);
        self
    }

    pub fn gives_page(mut self, fields: &'static [Field]) -> Route {
        self.gives = Shape::Page(fields);
        self
    }

    pub fn gives_list(mut self, fields: &'static [Field]) -> Route {
        self.gives = Shape::List(fields);
        self
    }

    /// The path without its slash at the end names nothing.
    pub fn with_slash_only(mut self) -> Route {
        self.slash = Slash::Required;
        self
    }

    /// 302, without a body.
    pub fn redirects(mut self) -> Route {
        self.status = 302;
        self.gives = Shape::Nothing;
        self
    }

    pub fn gives_nothing(mut self) -> Route {
        self.status = 204;
        self.gives = Shape::Nothing;
        self
    }

    /// The names of the path's parameters.
    pub fn params(&self) -> impl Iterator<Item = &str> {
        self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }
}
