//! One request's journey, in order: find the path, see what the caller accepts, who he is, whether he
//! may, read the body, run the handler, answer, log.

use std::borrow::Cow;
use std::convert::Infallible;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use hyper::body::{Body as _, Incoming};
use hyper::header::{ALLOW, CONNECTION, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Request, Version};
use serde::Serialize;
use tracing::error;
use uuid::Uuid;

use super::asked::{Asked, text};
use super::respond::{self, Answer, Memory};
use super::way::{self, Believed};
use super::{body, cors, credentials};
use crate::api::call::{Body, Method, Via};
use crate::api::route::{Handler, Needs};
use crate::api::{Call, Place, Reply, Route, Within};
use crate::app::App;
use crate::auth::{self, Credential, site};
use crate::clock::Time;
use crate::config::{SMALL_BODY_BYTES_MAX, URI_BYTES_MAX};
use crate::error::{Error, Result, not_found, unauthenticated};
use crate::logging::{self, Access, SecurityEvent};
use crate::pool::{Account, Share};
use crate::resources::{api_keys, places, sessions};
use crate::routes::{self, Node};
use crate::store::Tx;

/// How often a key's last use is written down, in seconds.
const LAST_USED_SECONDS: i64 = 60 * 60;
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Answers one request. Never fails and never panics.
///
/// What seldom happens is boxed: every request pays for the size of its journey, which is moved about.
pub(super) async fn answer(
    app: Arc<App>,
    peer: IpAddr,
    request: Request<Incoming>,
) -> std::result::Result<Answer, Infallible> {
    let started = Instant::now();
    let (head, incoming) = request.into_parts();
    let asked = Asked::of(&head.headers);
    let believed = Believed::of(&asked, &head, peer, &app.config);
    let mut trace = Trace::of(&asked, &believed, &app);
    let mut incoming = Some(incoming);
    let journey =
        AssertUnwindSafe(travel(&app, believed, &head, &asked, &mut incoming, &mut trace)).catch_unwind();
    let outcome = journey.await.unwrap_or_else(|_| Err(Error::Internal("a handler panicked".into())));
    let mut answer = match outcome {
        Ok(answer) => answer,
        Err(failure) => {
            if let Error::Internal(cause) = &failure {
                error!(request_id = trace.id_text(), row = trace.path, %cause, "a request failed");
            }
            trace.note_refusal(&failure);
            respond::error(&failure)
        }
    };
    let unread = incoming.filter(|incoming| !incoming.is_end_stream());
    let at_the_end = match unread {
        Some(unread) => Box::pin(body::discard(unread)).await,
        None => true,
    };
    let may_be_stored = trace.may_be_stored && trace.user.is_none() && answer.status().is_success();
    let headers = answer.headers_mut();
    if head.version <= Version::HTTP_11 && !at_the_end {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    headers.insert(X_REQUEST_ID, trace.id.clone());
    respond::protect(headers, may_be_stored, trace.is_https);
    match asked.origin {
        Some(_) if trace.is_capture => cors::mirror(&head.headers, headers),
        Some(_) if trace.is_api => cors::allow(headers),
        _ => {}
    }
    logging::access(&Access {
        method: head.method.as_str(),
        path: trace.path,
        status: answer.status().as_u16(),
        micros: started.elapsed().as_micros(),
        address: trace.address,
        ids: &trace.ids,
        request_id: trace.id_text(),
        user: trace.user,
        now: || app.clock.now(),
    });
    Ok(answer)
}

/// What the log says of a request, and what its answer's headers depend on.
struct Trace {
    id: HeaderValue,
    /// The row's path, not the request's, which may hold anything.
    path: &'static str,
    /// The identifiers that the path names, but for those that open something.
    ids: String,
    address: IpAddr,
    is_api: bool,
    is_capture: bool,
    is_https: bool,
    /// Whether a cache may keep the answer.
    may_be_stored: bool,
    /// Whether the caller showed a key or a session, good or not.
    has_credential: bool,
    user: Option<Uuid>,
}

impl Trace {
    /// Takes the caller's request id over, if it is a usable one.
    fn of(asked: &Asked<'_>, believed: &Believed, app: &App) -> Trace {
        let usable = |value: &&HeaderValue| {
            let plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"\\".contains(byte);
            (1..=128).contains(&value.len()) && value.as_bytes().iter().all(plain)
        };
        let id = asked.request_id.filter(usable).cloned().unwrap_or_else(|| {
            let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
            let text = app.ids.request().hyphenated().encode_lower(&mut text);
            HeaderValue::from_str(text).expect("a UUID is a header value")
        });
        Trace {
            id,
            path: "-",
            ids: String::new(),
            address: believed.address,
            is_api: false,
            is_capture: false,
            is_https: believed.origin.starts_with("https:"),
            may_be_stored: false,
            has_credential: false,
            user: None,
        }
    }

    /// Writes down that somebody was refused, for whoever watches for attacks.
    fn note_refusal(&self, failure: &Error) {
        let event = match (failure, self.user) {
            (Error::Denied { .. }, Some(_)) => SecurityEvent::PermissionRefused,
            (Error::Unauthenticated { .. }, None) if self.has_credential => SecurityEvent::TokenRefused,
            _ => return,
        };
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        let account = self.user.as_ref().map(|user| &*user.hyphenated().encode_lower(&mut text));
        logging::security(event, self.address, account.unwrap_or("-"));
    }

    fn id_text(&self) -> &str {
        self.id.to_str().unwrap_or_default()
    }
}

async fn travel(
    app: &Arc<App>,
    believed: Believed,
    head: &Parts,
    asked: &Asked<'_>,
    incoming: &mut Option<Incoming>,
    trace: &mut Trace,
) -> Result<Answer> {
    let sent_path = head.uri.path();
    trace.is_api = sent_path.starts_with("/api/");
    let memory = Memory { pool: &app.work, account: Account::of(believed.address) };
    way::check_host(asked, head)?;
    if cors::is_preflight(&head.method, &head.headers) && trace.is_api {
        let mut answer = respond::reply(Reply::text(200, "text/plain", ""), &head.headers, memory);
        cors::allow_preflight(answer.headers_mut());
        return Ok(answer);
    }
    if head.uri.path_and_query().is_some_and(|whole| whole.as_str().len() > URI_BYTES_MAX) {
        return Err(not_found());
    }
    let path = decode_path(sent_path).ok_or_else(|| no_path(trace.is_api))?;
    let (node, params) = routes::table().find(&path).ok_or_else(|| no_path(trace.is_api))?;
    trace.path = node.name();
    trace.ids = node.ids(&params);
    trace.may_be_stored = node.may_be_stored();
    trace.is_capture = node.takes_bytes();
    if trace.is_capture && head.method == hyper::Method::OPTIONS {
        return Ok(respond::reply(Reply::text(200, "text/plain", ""), &head.headers, memory));
    }
    let query: Vec<(String, String)> = match head.uri.query() {
        Some(query) => form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        None => Vec::new(),
    };
    check_format(node.name(), asked, &query)?;

    let method = method_of(&head.method);
    let row = method.and_then(|method| node.row(method));
    let is_options = head.method == hyper::Method::OPTIONS;
    // What describes a path is as open as what reads it.
    let judged = if is_options { node.row(Method::Get) } else { row };
    let mut call = Box::new(Call {
        method: method.unwrap_or(Method::Get),
        path: sent_path.to_owned(),
        params,
        query,
        body: Body::Json(serde_json::Value::Object(serde_json::Map::new())),
        caller: None,
        within: judged.map_or(Within::Nothing, |row| row.within),
        place: Place::Nothing,
        session: None,
        now: app.clock.now(),
        ids: Arc::clone(&app.ids),
        config: Arc::clone(&app.config),
        vault: Arc::clone(&app.vault),
        origin: believed.origin,
        peer: believed.address,
        forwarded: believed.is_forwarded,
        way: believed.why,
        user_agent: text(asked.user_agent).unwrap_or_default().to_owned(),
        wants_json: text(asked.accept).is_some_and(|accept| accept.contains("application/json")),
        setup_code: text(asked.setup_code).map(str::to_owned),
    });
    let content_type = text(asked.content_type);

    let limits = body::Limits {
        config: &app.config,
        memory,
        bytes_max: row.map_or(SMALL_BODY_BYTES_MAX, |row| row.body_bytes_max.min(app.config.body_bytes_max)),
    };
    if let Some(row) = row.filter(|row| row.takes_bytes.is_some()) {
        if let Some(incoming) = incoming.as_mut().filter(|incoming| !incoming.is_end_stream()) {
            call.body = Box::pin(body::read_bytes(incoming, &limits)).await?;
        }
        return Ok(respond::reply(run(app, row, call, false).await?, &head.headers, memory));
    }

    // A key in the header is judged before the body is even read: a stranger costs no memory. Without
    // one the body must be read, for it may hold the key.
    let mut share = None;
    let credential = match credentials::header_key(text(asked.authorization)) {
        Some(key) => key,
        None => {
            read_body(&mut call, incoming, &mut share, content_type, &limits).await?;
            call.body.value()?;
            credentials::other(&head.headers, &call)?
        }
    };
    call.session = credential.session();
    trace.has_credential = credential != Credential::Nothing;
    // What uses the caller's cookies, or gives some, must come from a page of this site, if from any.
    if !call.method.is_safe() && (call.session.is_some() || node.is_public()) {
        let fetch_site = head.headers.get("sec-fetch-site");
        site::judge(&call, text(asked.origin), text(fetch_site))?;
    }
    app.store.read(|tx| {
        call.caller = identify(tx, &call, node, row, &credential)?;
        trace.user = call.caller.as_ref().map(|caller| caller.user);
        if call.caller.is_none() && !node.is_public() {
            return Err(unauthenticated());
        }
        if let Some(judged) = judged {
            call.place = auth::cover(tx, judged, &call)?;
        }
        Ok(())
    })?;
    if let Some(Via::Key(key)) = call.caller.as_ref().map(|caller| &caller.via) {
        if app.config.throttles() {
            app.throttles.key(key.hash, call.now)?;
        }
        note_use(app, key, call.now);
    }
    if let Some(Via::Session { hash, last_activity, .. }) = call.caller.as_ref().map(|caller| &caller.via) {
        note_activity(app, &call, *hash, *last_activity);
    }
    if is_options {
        return options(node, &head.headers, memory);
    }
    let Some(row) = row else {
        return Err(Error::NotAllowed { method: head.method.to_string(), allow: node.allow.clone() });
    };
    let is_late = incoming.as_ref().is_some_and(|incoming| !incoming.is_end_stream());
    read_body(&mut call, incoming, &mut share, content_type, &limits).await?;
    let work = memory_for(row, memory).await?;
    let reply = run(app, row, call, is_late).await?;
    // From here on the answer itself is what takes memory.
    drop(work);
    Ok(respond::reply(reply, &head.headers, memory))
}

/// Waits for the memory that the handler works in, where it takes much.
async fn memory_for(row: &Route, memory: Memory<'_>) -> Result<Option<Share>> {
    if row.work_bytes == 0 {
        return Ok(None);
    }
    let bytes = row.work_bytes.min(memory.pool.bytes_max_of(memory.account));
    let share = memory.pool.share(memory.account, bytes);
    let busy = |_| Error::Busy { retry_after_seconds: respond::RETRY_SECONDS };
    share.grow(bytes).await.map_err(busy)?;
    Ok(Some(share))
}

fn no_path(is_api: bool) -> Error {
    if is_api { Error::NotFound("Endpoint not found.".into()) } else { not_found() }
}

/// Segments are percent-decoded before they are matched; one that hides a slash names nothing.
fn decode_path(path: &str) -> Option<Cow<'_, str>> {
    if !path.contains('%') {
        return Some(Cow::Borrowed(path));
    }
    let mut decoded = String::with_capacity(path.len());
    for (place, segment) in path.split('/').enumerate() {
        let segment = percent_encoding::percent_decode_str(segment).decode_utf8().ok()?;
        if segment.contains(['/', '\0']) {
            return None;
        }
        if place > 0 {
            decoded.push('/');
        }
        decoded.push_str(&segment);
    }
    Some(Cow::Owned(decoded))
}

fn method_of(method: &hyper::Method) -> Option<Method> {
    match *method {
        hyper::Method::GET | hyper::Method::HEAD => Some(Method::Get),
        hyper::Method::POST => Some(Method::Post),
        hyper::Method::PUT => Some(Method::Put),
        hyper::Method::PATCH => Some(Method::Patch),
        hyper::Method::DELETE => Some(Method::Delete),
        _ => None,
    }
}

/// The API speaks JSON: 406 for a caller who accepts none, 404 for another `?format=`.
fn check_format(path: &str, asked: &Asked<'_>, query: &[(String, String)]) -> Result<()> {
    if !path.starts_with("/api/") || path.starts_with("/api/schema/") {
        return Ok(());
    }
    if query.iter().any(|(name, value)| name == "format" && !["", "json"].contains(&value.as_str())) {
        return Err(not_found());
    }
    let Some(accept) = asked.accept else { return Ok(()) };
    let accept = accept.to_str().unwrap_or("*/*");
    let is_json = |part: &str| {
        let media = part.split(';').next().unwrap_or_default().trim();
        media.is_empty() || ["*/*", "application/*", "application/json"].contains(&media)
    };
    if accept.split(',').any(is_json) { Ok(()) } else { Err(Error::NotAcceptable) }
}

/// Reads the body unless that was done before; `share` lasts as long as what is read.
async fn read_body(
    call: &mut Call,
    incoming: &mut Option<Incoming>,
    share: &mut Option<Share>,
    content_type: Option<&str>,
    limits: &body::Limits<'_>,
) -> Result<()> {
    if share.is_some() {
        return Ok(());
    }
    if let Some(incoming) = incoming.as_mut().filter(|incoming| !incoming.is_end_stream()) {
        let reading = async { body::parse(body::read(incoming, limits).await?, content_type).await };
        let (body, taken) = Box::pin(reading).await?;
        call.body = body;
        *share = Some(taken);
    }
    Ok(())
}

fn identify(
    tx: &Tx,
    call: &Call,
    node: &Node,
    row: Option<&Route>,
    credential: &Credential,
) -> Result<Option<crate::api::Caller>> {
    // Rows that take sessions only do not look at keys.
    let session_only = row.is_some_and(|row| row.needs == Needs::Session);
    if session_only && matches!(credential, Credential::Key { .. }) {
        return Err(unauthenticated());
    }
    // What needs nobody is not refused for a bad key.
    if node.is_public() && matches!(credential, Credential::Key { .. }) {
        return Ok(None);
    }
    auth::authenticate(tx, call, credential)
}

/// What the path can do, as Django REST framework describes it.
fn options(node: &Node, asked: &HeaderMap, memory: Memory<'_>) -> Result<Answer> {
    #[derive(Serialize)]
    struct Options<'a> {
        name: &'a str,
        description: &'a str,
        renders: [&'a str; 1],
        parses: [&'a str; 3],
    }
    let described = Reply::ok(&Options {
        name: node.name(),
        description: "",
        renders: ["application/json"],
        parses: ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"],
    })?;
    let mut answer = respond::reply(described, asked, memory);
    if let Ok(allow) = HeaderValue::from_str(&node.allow) {
        answer.headers_mut().insert(ALLOW, allow);
    }
    Ok(answer)
}

/// Writes the key's last use down, now and then, behind the answer's back.
fn note_use(app: &Arc<App>, key: &crate::api::KeyAccess, now: Time) {
    if key.last_used_at.is_some_and(|last| last.plus_seconds(LAST_USED_SECONDS) > now) {
        return;
    }
    let hash = key.hash;
    let app = Arc::clone(app);
    tokio::spawn(async move {
        let noted = app.store.write(move |tx| api_keys::touch(tx, &hash, now)).await;
        if let Err(cause) = noted {
            error!(%cause, "the last use of a key could not be written down");
        }
    });
}

/// Updates a session's last activity at most every few minutes, off the path of the request.
fn note_activity(app: &Arc<App>, call: &Call, hash: [u8; 32], last_activity: Time) {
    if !sessions::is_activity_due(&app.config, last_activity, call.now) {
        return;
    }
    let (now, peer, user_agent) = (call.now, call.peer, call.user_agent.clone());
    let app = Arc::clone(app);
    tokio::spawn(async move {
        let noted = app.store.write(move |tx| sessions::touch(tx, &hash, now, peer, &user_agent)).await;
        if let Err(cause) = noted {
            error!(%cause, "the last use of a session could not be written down");
        }
    });
}

/// Runs the handler. `is_late`: a body was waited for since the place of the request was looked up.
async fn run(app: &Arc<App>, row: &'static Route, mut call: Box<Call>, is_late: bool) -> Result<Reply> {
    match &row.handler {
        Handler::Read(run) => app.store.read(|tx| {
            if is_late {
                call.place = places::again(tx, &call)?;
            }
            run(&call, tx)
        }),
        Handler::Steps(run) => run(Arc::clone(app), Arc::from(call)).await,
        Handler::Write(run) => {
            let write = app.store.write(move |tx| {
                call.place = places::again(tx, &call)?;
                run(&call, tx)
            });
            write.await
        }
    }
}
