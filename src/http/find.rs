//! From a request's path and method to its route.

use std::borrow::Cow;

use super::accept;
use super::head::RequestHead;
use super::headers::RequestHeaders;
use crate::api::Method;
use crate::app::Route;
use crate::app::route::Format;
use crate::config::URI_BYTES_MAX;
use crate::error::{Error, Result, not_found};
use crate::routes::{self, Params, PathNode};

/// What a request is for.
#[derive(Clone, Copy)]
pub(super) struct RequestTarget {
    pub(super) node: &'static PathNode,
    /// `None` where no route could have the method.
    pub(super) method: Option<Method>,
    /// `None` where the path has no such method.
    pub(super) route: Option<&'static Route>,
    /// Whether the path itself is to be described.
    pub(super) is_options: bool,
}

impl RequestTarget {
    /// The route whose rules the caller must keep: what describes a path is as open as what reads it.
    pub(super) fn authorizing(&self) -> Option<&'static Route> {
        if self.is_options { self.node.route(Method::Get) } else { self.route }
    }
}

/// A target, and the parameters in its path.
pub(super) struct Matched {
    pub(super) target: RequestTarget,
    pub(super) params: Params,
}

/// Finds what the request is for. A method that the path does not have is no error yet: who may not know of the
/// path learns nothing of its methods.
///
/// # Errors
/// 404.
pub(super) fn find(request: &RequestHead<'_>) -> Result<Matched> {
    let uri = &request.parts.uri;
    if uri.path_and_query().is_some_and(|whole| whole.as_str().len() > URI_BYTES_MAX) {
        return Err(not_found());
    }
    let path = decode_path(uri.path()).ok_or_else(|| no_path(request, None))?;
    let found = routes::table().find(&path).or_else(|| {
        request.app.test_server.as_ref()?;
        routes::control_table().find(&path)
    });
    let (node, params) = found.ok_or_else(|| no_path(request, Some(&path)))?;
    let is_page = node.is_page() || (node.is_control() && node.refuse().is_some());
    if is_page && !request.app.config.has_console() {
        return Err(not_found());
    }
    let method = method_of(&request.parts.method);
    let route = method.and_then(|method| node.route(method));
    let is_options = request.parts.method == hyper::Method::OPTIONS;
    Ok(Matched { target: RequestTarget { node, method, route, is_options }, params })
}

/// Says how far the path is known, in the words of the route table: nothing that was sent is repeated.
fn no_path(request: &RequestHead<'_>, path: Option<&str>) -> Error {
    const MISSING: &str = "Endpoint not found.";
    if !request.is_api() {
        return not_found();
    }
    let Some(path) = path else { return Error::NotFound(MISSING.into()) };
    if routes::table().find(&format!("{path}/")).is_some() {
        return Error::NotFound(format!("{MISSING} The path ends with a slash.").into());
    }
    match routes::table().known_front(path) {
        Some(front) => {
            let detail =
                format!("{MISSING} Nothing of this name is below {front}; GET /api/ lists all paths.");
            Error::NotFound(detail.into())
        }
        None => Error::NotFound(MISSING.into()),
    }
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

/// Of what speaks JSON only: 406 for a caller who accepts none, 404 for another `?format=`.
pub(super) fn check_format(
    node: &PathNode,
    headers: &RequestHeaders<'_>,
    query: &[(String, String)],
) -> Result<()> {
    let Format::JsonOr(formats) = node.format() else { return Ok(()) };
    for (_, format) in query.iter().filter(|(name, _)| name == "format") {
        match format.as_str() {
            "" | "json" => {}
            other if formats.contains(&other) => return Ok(()),
            _ => return Err(not_found()),
        }
    }
    let Some(accept) = headers.accept else { return Ok(()) };
    if accept::admits_json(accept.to_str().unwrap_or("*/*")) { Ok(()) } else { Err(Error::NotAcceptable) }
}
