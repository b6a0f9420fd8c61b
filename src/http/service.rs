//! The journey of one request: find its route, read it, authorize its caller, run the handler; then answer and log.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONNECTION, COOKIE, HeaderName, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{HeaderMap, Request, Version};
use serde::Serialize;
use tokio::time::Instant;

use super::authorize::{Received, authorize};
use super::body::RequestBody;
use super::credentials::FormOf;
use super::find::{Matched, RequestTarget, check_format, find};
use super::forwarded::{self, Client, Connection, Door};
use super::head::RequestHead;
use super::headers::{RequestHeaders, text};
use super::known::Lookup;
use super::observed::{Broken, Observed};
use super::request_log::RequestLog;
use super::respond::{self, HttpResponse, Memory};
use super::{accept, answers, control, cors, credentials, redirect};
use crate::api::call::Body;
use crate::api::{Actor, Call, Method, Place, Reply, Source, Within};
use crate::app::route::{Cached, Handler, Refuse, Refused};
use crate::app::{App, Route};
use crate::auth::{Credential, FoundIn};
use crate::error::{Error, Result};
use crate::pool::{Account, Share};
use crate::resources::places;
use crate::routes::{self, PathNode};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Answers one request. Never panics, and fails only where a rule of a test server says so.
///
/// What seldom happens is boxed: every request pays for the size of its journey, which is moved about.
pub(super) async fn answer(
    app: Arc<App>,
    connection: Connection,
    began: Instant,
    request: Request<Incoming>,
) -> std::result::Result<HttpResponse, Broken> {
    let (parts, incoming) = request.into_parts();
    if let Door::Redirect { port } = connection.door {
        let mut answer = redirect::answer(&parts, &app, port);
        note_mode(&app, &mut answer);
        return Ok(answer);
    }
    let headers = RequestHeaders::of(&parts.headers);
    let client = Client::of(&headers, &parts, connection, &app.config);
    let is_https = client.origin.starts_with("https:");
    let mut log = RequestLog::start(began, &headers, &client, &app);
    let request = RequestHead { app: &app, parts: &parts, headers, account: Account::of(client.address) };
    let mut observed = Observed::arrive(&request);
    let mut body = RequestBody::new(incoming, observed.as_ref().map(|observed| observed.copy(&request)));
    let spoilt = match &mut observed {
        None => None,
        Some(observed) => Box::pin(observed.before(&request, &mut body)).await?,
    };
    let mut answer = match spoilt {
        Some(answer) => {
            let _ = find(&request).inspect(|matched| log.note_target(matched));
            answer
        }
        None => {
            let handling = AssertUnwindSafe(handle(&request, client, &mut body, &mut log)).catch_unwind();
            let outcome = handling.await.unwrap_or_else(|_| Err(Error::internal("a handler panicked")));
            outcome.unwrap_or_else(|failure| {
                log.note_error(&failure);
                refuse(&request, &log, &failure)
            })
        }
    };
    let is_at_end = body.finish().await;
    let may_be_stored = answer.status().is_success() && log.may_be_stored();
    let headers = answer.headers_mut();
    if parts.version <= Version::HTTP_11 && !is_at_end {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    respond::protect(headers, may_be_stored, is_https);
    match request.headers.origin {
        Some(_) if log.is_ingest() => cors::mirror(&parts.headers, headers),
        Some(_) if request.is_api() => cors::allow(headers),
        _ => {}
    }
    note_mode(&app, &mut answer);
    log.finish(parts.method.as_str(), answer.status().as_u16());
    // At the end, where it can be moved: a copy would be shared.
    answer.headers_mut().insert(X_REQUEST_ID, log.id);
    match observed {
        None => Ok(answer),
        Some(observed) => Box::pin(observed.after(answer, &parts)).await,
    }
}

/// Answers a request that is for none of the servers of a process.
pub(super) async fn refuse_unserved(
    app: &App,
    connection: Connection,
    request: Request<Incoming>,
    failure: &Error,
) -> HttpResponse {
    let (parts, incoming) = request.into_parts();
    let mut answer = respond::error(failure);
    let is_at_end = RequestBody::new(incoming, None).finish().await;
    if parts.version <= Version::HTTP_11 && !is_at_end {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    respond::protect(answer.headers_mut(), false, connection.door == Door::Https);
    note_mode(app, &mut answer);
    answer
}

/// Every answer of a development or test server says what it is.
fn note_mode(app: &App, answer: &mut HttpResponse) {
    if let Some(server) = &app.test_server {
        answer.headers_mut().insert(control::ORGD_MODE, control::mode(server));
    }
}

/// The answer to a request that was refused, as its route wants it to look.
fn refuse(request: &RequestHead<'_>, log: &RequestLog, failure: &Error) -> HttpResponse {
    let Some(refuse) = log.refuse().or_else(|| refuse_unknown(request, failure)) else {
        return respond::error(failure);
    };
    let uri = &request.parts.uri;
    request.reply(refuse(&Refused {
        error: failure,
        target: uri.path_and_query().map_or("/", PathAndQuery::as_str),
        is_safe: request.parts.method.is_safe(),
        request_id: log.id_text(),
        cookies: text(request.parts.headers.get(COOKIE)).unwrap_or_default(),
    }))
}

/// A person who follows a path that leads nowhere reads so on a page; a program reads JSON.
fn refuse_unknown(request: &RequestHead<'_>, failure: &Error) -> Option<Refuse> {
    let is_page = || text(request.headers.accept).is_some_and(|accept| accept.contains("text/html"));
    let is_unknown = matches!(failure, Error::NotFound(_)) && !request.is_api();
    let refuse = routes::refuse_unknown().filter(|_| request.app.config.has_console());
    refuse.filter(|_| is_unknown && is_page())
}

/// The journey, step by step.
async fn handle(
    request: &RequestHead<'_>,
    client: Client,
    body: &mut RequestBody,
    log: &mut RequestLog,
) -> Result<HttpResponse> {
    forwarded::check_host(&request.headers, request.parts)?;
    let key = credentials::header_key(text(request.headers.authorization));
    let now = request.app.clock.at(log.came);
    let lookup = key.filter(|_| !body.is_waiting()).and_then(|key| Lookup::of(request, &client, key, now));
    if let Some(lookup) = &lookup
        && let Some(reply) = lookup.again(request.app, log)?
    {
        return Ok(request.reply(reply));
    }
    let matched = find(request);
    // Routes that pages of any site may call answer for themselves what these may send.
    let is_for_pages = matched.as_ref().is_ok_and(|matched| matched.target.node.is_ingest());
    if request.is_api() && !is_for_pages && cors::is_preflight(&request.parts.method, &request.parts.headers)
    {
        return Ok(preflight(request));
    }
    let matched = matched?;
    log.note_target(&matched);
    let target = matched.target;
    if let Some(server) = &request.app.test_server {
        if target.node.is_control() {
            let is_form = target.route.is_some_and(Route::is_control_form);
            control::judge(server, client.door, request, body, is_form)?;
        } else if !request.parts.method.is_safe() {
            server.clock.note_write();
        }
    }
    let call = call(request, client, matched)?;
    if let Some(keeping) = lookup.and_then(|lookup| lookup.keeping(target)) {
        return Ok(request.reply(keeping.answer(request.app, call, log)?));
    }
    let received = read(request, target, call, body, key).await?;
    let mut call = authorize(request, received, log)?;
    if target.route.is_some_and(|route| !matches!(route.handler, Handler::Read(_))) {
        call.ctx.source = log.source(&request.headers);
    }
    run(request, target, call, body).await
}

fn preflight(request: &RequestHead<'_>) -> HttpResponse {
    let mut answer = request.reply(Reply::text(200, "text/plain", ""));
    cors::allow_preflight(answer.headers_mut());
    answer
}

/// Reads what the request says, and of the body as much as the caller's credential needs: a key in the header, of which
/// this is the hash, is checked before the body is read, so that a stranger costs no memory. Without one the body must be
/// read, for it may hold the key.
async fn read(
    request: &RequestHead<'_>,
    target: RequestTarget,
    mut call: Box<Call>,
    body: &mut RequestBody,
    header_key: Option<[u8; 32]>,
) -> Result<Received> {
    if target.node.is_ingest() {
        if target.route.is_some()
            && let Some(bytes) = body.bytes(&request.body_limits(target.route)).await?
        {
            call.body = bytes;
        }
        return Ok(Received { target, call, credential: Credential::Nothing });
    }
    if target.node.is_control() {
        read_body(request, target, &mut call, body).await?;
        call.body.value()?;
        return Ok(Received { target, call, credential: Credential::Nothing });
    }
    let credential = match header_key.filter(|_| !target.node.is_page()) {
        Some(hash) => Credential::Key { hash, found_in: FoundIn::Header },
        None => {
            read_body(request, target, &mut call, body).await?;
            call.body.value()?;
            if target.node.is_page() {
                credentials::session(&request.parts.headers, &call, FormOf::Page)?
            } else {
                credentials::other(&request.parts.headers, &call)?
            }
        }
    };
    Ok(Received { target, call, credential })
}

/// The call, as far as the head of the request says what it is.
///
/// # Errors
/// The route does not answer in the form that is wanted.
fn call(request: &RequestHead<'_>, client: Client, matched: Matched) -> Result<Box<Call>> {
    let RequestHead { app, parts, headers, .. } = request;
    let pairs = |query: &str| form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let call = Box::new(Call {
        method: matched.target.method.unwrap_or(Method::Get),
        path: parts.uri.path().to_owned(),
        params: matched.params,
        query: parts.uri.query().map_or_else(Vec::new, pairs),
        body: Body::Json(serde_json::Value::Object(serde_json::Map::new())),
        within: matched.target.authorizing().map_or(Within::Nothing, |route| route.within),
        place: Place::Nothing,
        session: None,
        csrf: None,
        ctx: app.ctx(client.origin, Actor::Nobody, Source::default()),
        peer: client.address,
        forwarded: forwarded::is_forwarded(headers, parts),
        way: client.why,
        user_agent: text(headers.user_agent).unwrap_or_default().to_owned(),
        headers: matched.target.route.map_or_else(Vec::new, |route| read_headers(route, &parts.headers)),
        wants_json: text(headers.accept).is_some_and(accept::names_json),
        setup_code: text(headers.setup_code).map(str::to_owned),
    });
    check_format(matched.target.node, headers, &call.query)?;
    Ok(call)
}

/// The headers that the handler of the route reads.
fn read_headers(route: &Route, headers: &HeaderMap) -> Vec<(&'static str, String)> {
    let read = |name: &&'static str| Some((*name, text(headers.get(*name))?.to_owned()));
    route.reads_headers.iter().filter_map(read).collect()
}

/// Puts the parsed body into the call, unless that was done before.
async fn read_body(
    request: &RequestHead<'_>,
    target: RequestTarget,
    call: &mut Call,
    body: &mut RequestBody,
) -> Result<()> {
    let content_type = text(request.headers.content_type);
    if let Some(parsed) = body.parse(content_type, &request.body_limits(target.route)).await? {
        call.body = parsed;
    }
    Ok(())
}

/// Runs the handler for a caller who may.
async fn run(
    request: &RequestHead<'_>,
    target: RequestTarget,
    mut call: Box<Call>,
    body: &mut RequestBody,
) -> Result<HttpResponse> {
    if target.is_options {
        return options(request, target.node);
    }
    let Some(route) = target.route else {
        let (method, allow) = (request.parts.method.to_string(), target.node.allow.clone());
        return Err(Error::NotAllowed { method, allow });
    };
    let is_late = body.is_waiting();
    read_body(request, target, &mut call, body).await?;
    let work = work_memory(route, request.memory()).await?;
    let reply = run_handler(request.app, route, call, is_late).await?;
    // From here on the answer itself is what takes memory.
    drop(work);
    Ok(request.reply(reply))
}

/// Waits for the memory that the handler works in, where it takes much.
async fn work_memory(route: &Route, memory: Memory<'_>) -> Result<Option<Share>> {
    if route.work_bytes == 0 {
        return Ok(None);
    }
    let bytes = route.work_bytes.min(memory.pool.bytes_max_of(memory.account));
    let share = memory.pool.share(memory.account, bytes);
    let busy = |_| Error::Busy { retry_after_seconds: respond::RETRY_SECONDS };
    share.grow(bytes).await.map_err(busy)?;
    Ok(Some(share))
}

/// Runs the handler. `is_late`: a body was waited for since the place of the request was looked up.
async fn run_handler(
    app: &Arc<App>,
    route: &'static Route,
    mut call: Box<Call>,
    is_late: bool,
) -> Result<Reply> {
    match &route.handler {
        Handler::Read(run) => app.store.read(|tx| {
            if is_late {
                call.place = places::again(tx, &call)?;
            }
            match route.cached {
                Cached::Never => run(&call, tx),
                Cached::WhileUnchanged | Cached::ForTheSecond => answers::answer(tx, route, call, run),
            }
        }),
        Handler::Async(run) => run(Arc::clone(app), Arc::from(call)).await,
        Handler::Write(run) => {
            let write = app.store.write(move |tx| {
                call.place = places::again(tx, &call)?;
                run(&call, tx)
            });
            write.await
        }
    }
}

/// What the path can do, as Django REST framework describes it; nothing where events are received.
fn options(request: &RequestHead<'_>, node: &PathNode) -> Result<HttpResponse> {
    #[derive(Serialize)]
    struct Options<'a> {
        name: &'a str,
        description: &'a str,
        renders: [&'a str; 1],
        parses: [&'a str; 3],
    }
    if node.is_ingest() || node.is_page() || node.is_control() {
        return Ok(request.reply(Reply::text(200, "text/plain", "")));
    }
    let mut answer = request.reply(Reply::ok(&Options {
        name: node.name(),
        description: "",
        renders: ["application/json"],
        parses: ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"],
    })?);
    if let Ok(allow) = HeaderValue::from_str(&node.allow) {
        answer.headers_mut().insert(ALLOW, allow);
    }
    Ok(answer)
}
