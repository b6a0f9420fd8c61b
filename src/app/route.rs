//! A route: what a path and a method mean, who may call them, what is accepted and what is answered.
//! The router, the scope check, the OpenAPI document and the permission test all read these values.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::App;
use super::about::{About, Tag};
use crate::api::{Call, FieldInfo, Method, Reply, Within};
use crate::config::{CONTROL_BODY_BYTES_MAX, PAGE_BODY_BYTES_MAX, SMALL_BODY_BYTES_MAX};
use crate::error::{Error, Result};
use crate::store::{Tx, WriteTx};

/// What a caller must show. There is no default: every route says it.
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

/// How a route speaks with its callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// The JSON API: credentials are looked for, bodies are parsed, errors have the JSON envelope.
    Api,
    /// Ingest of events: no credentials are looked for, pages of any site may send, OPTIONS is answered by an
    /// empty text, and the handler gets the body as bytes and says in plain text what is wrong with it. Such a
    /// route is the only one of its path.
    Ingest,
    /// What controls a development or test server: no credentials are looked for, and the request must come from a
    /// program, or from a page of this server.
    Control,
    /// A page for people: only sessions count, a change comes from a page of this site, and what is refused is
    /// answered by a page.
    Page,
}

/// A request for a page that was refused.
pub struct Refused<'a> {
    pub error: &'a Error,
    /// The path and the query that were asked for.
    pub target: &'a str,
    /// Whether nothing was to be changed.
    pub is_safe: bool,
    /// By which the log knows the request.
    pub request_id: &'a str,
    /// The `Cookie` header.
    pub cookies: &'a str,
}

/// Makes the answer to a request that was refused.
pub type Refuse = fn(&Refused<'_>) -> Reply;

/// Answers a call from the rows of a transaction.
pub type ReadHandler = Box<dyn Fn(&Call, &Tx) -> Result<Reply> + Send + Sync>;
type WriteHandler = Box<dyn Fn(&Call, &WriteTx) -> Result<Reply> + Send + Sync>;
type AsyncHandler = Box<dyn Fn(Arc<App>, Arc<Call>) -> PendingReply + Send + Sync>;
/// An answer that takes time outside the store.
pub type PendingReply = Pin<Box<dyn Future<Output = Result<Reply>> + Send>>;

pub enum Handler {
    /// Runs on the newest committed state, on the thread of the request.
    Read(ReadHandler),
    /// Runs on the writer thread, and is answered after the commit.
    Write(WriteHandler),
    /// Hashes a password or uses the network, between transactions of its own.
    Async(AsyncHandler),
}

/// A handler that reads.
pub fn read(run: impl Fn(&Call, &Tx) -> Result<Reply> + Send + Sync + 'static) -> Handler {
    Handler::Read(Box::new(run))
}

/// A handler that writes.
pub fn write(run: impl Fn(&Call, &WriteTx) -> Result<Reply> + Send + Sync + 'static) -> Handler {
    Handler::Write(Box::new(run))
}

/// A handler that waits for something outside the store.
pub fn async_<F>(run: impl Fn(Arc<App>, Arc<Call>) -> F + Send + Sync + 'static) -> Handler
where
    F: Future<Output = Result<Reply>> + Send + 'static,
{
    Handler::Async(Box::new(move |app, call| Box::pin(run(app, call))))
}

/// Open to everybody.
pub fn public() -> Needs {
    Needs::Public
}

/// Open to sessions only.
pub fn session() -> Needs {
    Needs::Session
}

/// Open to sessions, and to keys with this scope.
pub fn scope(scope: &'static str) -> Needs {
    Needs::Scope(scope)
}

/// Open to sessions and to all keys.
pub fn signed_in() -> Needs {
    Needs::SignedIn
}

/// What the body of an answer looks like.
#[derive(Clone, Copy)]
pub enum ResponseShape {
    Nothing,
    One(&'static [FieldInfo]),
    Page(&'static [FieldInfo]),
    List(&'static [FieldInfo]),
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

/// The format of a route's answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON, which callers must accept, and what else they may ask for by `?format=`.
    JsonOr(&'static [&'static str]),
    /// One of its own, whatever the caller accepts.
    Own,
}

/// Whether the answers of a route that reads are cached, until a row changes that they were made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cached {
    Never,
    /// They don't depend on time.
    WhileUnchanged,
    /// They depend on the second in which they are given.
    ForTheSecond,
}

/// One route.
pub struct Route {
    pub method: Method,
    /// The path with its parameters in braces, as the API page has it.
    pub path: String,
    pub slash: Slash,
    pub protocol: Protocol,
    pub format: Format,
    /// How a refusal looks; `None` for the JSON envelope.
    pub refuse: Option<Refuse>,
    pub needs: Needs,
    pub within: Within,
    /// Whether a session may call that lacks the second factor which the caller's organizations demand.
    pub is_open_without_second_factor: bool,
    pub handler: Handler,
    pub cached: Cached,
    /// The fields of the body.
    pub accepts: Option<&'static [FieldInfo]>,
    /// Whether the body is an array of what it accepts.
    pub accepts_list: bool,
    /// The largest body, in bytes, where it is less than that of the settings.
    pub body_bytes_max: usize,
    /// What the handler takes in memory beside the body, in bytes, where that is much: it waits until there is as
    /// much.
    pub work_bytes: usize,
    /// The headers that the handler reads, in lower case.
    pub reads_headers: &'static [&'static str],
    /// The status of a good answer.
    pub status: u16,
    pub responds: ResponseShape,
    /// What a page of its list has beside the list.
    pub beside_page: &'static [FieldInfo],
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
            protocol: Protocol::Api,
            format: Format::JsonOr(&[]),
            refuse: None,
            needs,
            within,
            // Where nobody has to be signed in, nothing can be demanded of the caller.
            is_open_without_second_factor: needs == Needs::Public,
            handler,
            cached: Cached::Never,
            accepts: None,
            accepts_list: false,
            body_bytes_max,
            work_bytes: 0,
            reads_headers: &[],
            status: 200,
            responds: ResponseShape::Free,
            beside_page: &[],
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

    /// Receives events by POST, at most so many bytes at once; see [`Protocol::Ingest`].
    pub fn ingest(path: impl Into<String>, bytes_max: usize, handler: Handler) -> Route {
        let route = Route::post(path, Needs::Public, Within::Nothing, handler);
        Route { protocol: Protocol::Ingest, body_bytes_max: bytes_max, ..route }.in_any_format()
    }

    /// Answers what SDKs read; see [`Protocol::Ingest`].
    pub fn sdk(path: impl Into<String>, handler: Handler) -> Route {
        let route = Route::get(path, Needs::Public, Within::Nothing, handler);
        Route { protocol: Protocol::Ingest, body_bytes_max: 1024, ..route }.in_any_format()
    }

    /// A page, or what its form does; see [`Protocol::Page`].
    pub fn page(
        method: Method,
        path: impl Into<String>,
        needs: Needs,
        within: Within,
        handler: Handler,
        refuse: Refuse,
    ) -> Route {
        let route = Route::new(method, path, needs, within, handler);
        Route { protocol: Protocol::Page, refuse: Some(refuse), body_bytes_max: PAGE_BODY_BYTES_MAX, ..route }
            .in_any_format()
            .reads_headers(&["cookie", "if-none-match"])
    }

    /// Controls a development or test server; see [`Protocol::Control`].
    pub fn control(method: Method, path: impl Into<String>, handler: Handler) -> Route {
        let route = Route::new(method, path, Needs::Public, Within::Nothing, handler);
        Route { protocol: Protocol::Control, body_bytes_max: CONTROL_BODY_BYTES_MAX, ..route }.in_any_format()
    }

    /// The handler reads these headers, given in lower case.
    pub fn reads_headers(mut self, names: &'static [&'static str]) -> Route {
        self.reads_headers = names;
        self
    }

    /// Keeps answers as long as nothing changes of what they were made of. The handler sees no time, and nothing of the
    /// connection and the headers but the caller's program; see `http/answers.rs`.
    pub fn cached(mut self) -> Route {
        self.cached = Cached::WhileUnchanged;
        self
    }

    /// The same for a second at most; the handler sees its beginning.
    pub fn cached_for_the_second(mut self) -> Route {
        self.cached = Cached::ForTheSecond;
        self
    }

    /// The body is an object of these fields.
    pub fn accepts(mut self, fields: &'static [FieldInfo]) -> Route {
        self.accepts = Some(fields);
        self
    }

    /// The body is an array of such objects.
    pub fn accepts_list_of(mut self, fields: &'static [FieldInfo]) -> Route {
        self.accepts_list = true;
        self.accepts(fields)
    }

    /// Takes so much memory to work in.
    pub fn works_in(mut self, bytes: usize) -> Route {
        self.work_bytes = bytes;
        self
    }

    /// Answers with this status and one object.
    pub fn responds(mut self, status: u16, fields: &'static [FieldInfo]) -> Route {
        self.status = status;
        self.responds = ResponseShape::One(fields);
        self
    }

    /// Answers with a page of a list.
    pub fn responds_page(mut self, fields: &'static [FieldInfo]) -> Route {
        self.responds = ResponseShape::Page(fields);
        self
    }

    /// Its page has these beside the list.
    pub fn with_beside_page(mut self, fields: &'static [FieldInfo]) -> Route {
        self.beside_page = fields;
        self
    }

    /// Answers with a whole list.
    pub fn responds_list(mut self, fields: &'static [FieldInfo]) -> Route {
        self.responds = ResponseShape::List(fields);
        self
    }

    /// `?format=` may ask for these besides JSON.
    pub fn or_formats(mut self, formats: &'static [&'static str]) -> Route {
        self.format = Format::JsonOr(formats);
        self
    }

    /// Answers 204, without a body.
    pub fn responds_nothing(mut self) -> Route {
        self.status = 204;
        self.responds = ResponseShape::Nothing;
        self
    }

    /// Answers 302, without a body.
    pub fn redirects(mut self) -> Route {
        self.status = 302;
        self.responds = ResponseShape::Nothing;
        self
    }

    /// Answers in a format of its own, whatever the caller accepts.
    pub fn in_any_format(mut self) -> Route {
        self.format = Format::Own;
        self
    }

    /// The path without its slash at the end names nothing.
    pub fn with_slash_only(mut self) -> Route {
        self.slash = Slash::Required;
        self
    }

    /// A session may call that lacks the second factor which the caller's organizations demand: a user's own
    /// record stays open, for that is where they set it up.
    pub fn without_second_factor(mut self) -> Route {
        self.is_open_without_second_factor = true;
        self
    }

    /// Declares the texts.
    pub fn about(mut self, summary: &'static str, description: &'static str) -> Route {
        self.about.summary = summary;
        self.about.description = description;
        self
    }

    /// Declares the `operationId`.
    pub fn called(mut self, operation_id: &'static str) -> Route {
        self.about.operation_id = Some(operation_id);
        self
    }

    /// Declares query parameters.
    pub fn queries(mut self, queries: &'static [(&'static str, &'static str)]) -> Route {
        self.about.queries = queries;
        self
    }

    /// Whether it receives events.
    pub fn is_ingest(&self) -> bool {
        self.protocol == Protocol::Ingest
    }

    /// Whether it is a page for people.
    pub fn is_page(&self) -> bool {
        self.protocol == Protocol::Page
    }

    /// Whether it is what a form on a page of a development or test server does.
    pub fn is_control_form(&self) -> bool {
        self.protocol == Protocol::Control && self.method == Method::Post && self.refuse.is_some()
    }

    /// The names of the path's parameters.
    pub fn params(&self) -> impl Iterator<Item = &str> {
        self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }
}

/// Puts the routes into a group.
pub fn tagged(tag: Tag, mut routes: Vec<Route>) -> Vec<Route> {
    for route in &mut routes {
        route.about.tag = Some(tag);
    }
    routes
}
