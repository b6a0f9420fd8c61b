//! What can go wrong with a request, and the one JSON envelope in which it is told.
//! Texts and codes are PostHog's; they stand beside the rule that raises them.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

/// A sentence for the caller.
pub type Text = Cow<'static, str>;
pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug)]
pub enum Error {
    /// 400: a field, or with no `attr` the whole body, breaks a rule.
    Invalid { attr: Option<Text>, code: &'static str, detail: Text },
    /// 400: the body can't be read at all.
    Unreadable(Text),
    /// 401
    Unauthenticated { code: &'static str, detail: Text },
    /// 403
    Denied { code: &'static str, detail: Text },
    /// 404
    NotFound(Text),
    /// 405, with the methods that the path does have.
    NotAllowed { method: String, allow: String },
    /// 406
    NotAcceptable,
    /// 408: the body did not arrive in time.
    TooSlow,
    /// 413: the body is larger than the limit.
    TooLarge { bytes_max: usize },
    /// 415
    UnsupportedMedia(String),
    /// 429
    Throttled { retry_after_seconds: u32 },
    /// 503: there is no memory or no turn for the request now.
    Busy { retry_after_seconds: u32 },
    /// 503: the server is shutting down, or its store has failed.
    Unavailable(Text),
    /// 500: our fault. The caller sees a fixed sentence; the cause goes to the log.
    Internal(String),
}

/// 400 for one field.
pub fn invalid(attr: impl Into<Text>, code: &'static str, detail: impl Into<Text>) -> Error {
    Error::Invalid { attr: Some(attr.into()), code, detail: detail.into() }
}

/// 400 for the body as a whole.
pub fn invalid_body(code: &'static str, detail: impl Into<Text>) -> Error {
    Error::Invalid { attr: None, code, detail: detail.into() }
}

/// 403 with a sentence of its own.
pub fn denied(detail: impl Into<Text>) -> Error {
    Error::Denied { code: "permission_denied", detail: detail.into() }
}

/// 403 where nothing more should be said.
pub fn forbidden() -> Error {
    denied("You do not have permission to perform this action.")
}

/// 404 for an object.
pub fn not_found() -> Error {
    Error::NotFound("Not found.".into())
}

/// 401 for a caller who showed nothing.
pub fn unauthenticated() -> Error {
    Error::Unauthenticated {
        code: "not_authenticated",
        detail: "Authentication credentials were not provided.".into(),
    }
}

/// A number of seconds in words.
fn seconds(number: u32) -> String {
    format!("{number} second{}", if number == 1 { "" } else { "s" })
}

/// The envelope: every error answer has exactly these four keys.
#[derive(Serialize)]
pub struct Envelope<'a> {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub code: &'a str,
    pub detail: &'a str,
    pub attr: Option<&'a str>,
}

impl Error {
    /// Status, kind, code, sentence and field, as the wire shows them.
    fn parts(&self) -> (u16, &'static str, &'static str, Text, Option<&str>) {
        match self {
            Error::Invalid { attr, code, detail } => {
                (400, "validation_error", code, detail.clone(), attr.as_deref())
            }
            Error::Unreadable(detail) => (400, "invalid_request", "parse_error", detail.clone(), None),
            Error::Unauthenticated { code, detail } => {
                (401, "authentication_error", code, detail.clone(), None)
            }
            Error::Denied { code, detail } => (403, "authentication_error", code, detail.clone(), None),
            Error::NotFound(detail) => (404, "invalid_request", "not_found", detail.clone(), None),
            Error::NotAllowed { method, .. } => (
                405,
                "invalid_request",
                "method_not_allowed",
                format!("Method \"{method}\" not allowed.").into(),
                None,
            ),
            Error::NotAcceptable => (
                406,
                "invalid_request",
                "not_acceptable",
                "Could not satisfy the request Accept header.".into(),
                None,
            ),
            Error::TooSlow => (
                408,
                "invalid_request",
                "request_timeout",
                "The request body did not arrive in time.".into(),
                None,
            ),
            Error::TooLarge { bytes_max } => (
                413,
                "invalid_request",
                "request_too_large",
                format!("The request body is larger than {bytes_max} bytes.").into(),
                None,
            ),
            Error::UnsupportedMedia(media) => (
                415,
                "invalid_request",
                "unsupported_media_type",
                format!("Unsupported media type \"{media}\" in request.").into(),
                None,
            ),
            Error::Throttled { retry_after_seconds } => (
                429,
                "throttled_error",
                "throttled",
                format!("Request was throttled. Expected available in {}.", seconds(*retry_after_seconds))
                    .into(),
                None,
            ),
            Error::Busy { retry_after_seconds } => (
                503,
                "server_error",
                "busy",
                format!("The server is busy. Try again in {}.", seconds(*retry_after_seconds)).into(),
                None,
            ),
            Error::Unavailable(detail) => (503, "server_error", "unavailable", detail.clone(), None),
            Error::Internal(_) => (500, "server_error", "error", "A server error occurred.".into(), None),
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.parts().0
    }

    /// The JSON body.
    pub fn body(&self) -> Vec<u8> {
        let (_, kind, code, detail, attr) = self.parts();
        serde_json::to_vec(&Envelope { kind, code, detail: &detail, attr }).unwrap_or_default()
    }

    /// The same error, told of a list item or a nested object: `attr` becomes `outer__attr`, or `outer`
    /// where the item as a whole is wrong.
    pub fn within(self, outer: impl fmt::Display) -> Error {
        match self {
            Error::Invalid { attr, code, detail } => {
                let attr = attr.map_or_else(|| outer.to_string(), |attr| format!("{outer}__{attr}"));
                Error::Invalid { attr: Some(attr.into()), code, detail }
            }
            other => other,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Internal(cause) => out.write_str(cause),
            other => out.write_str(&other.parts().3),
        }
    }
}

impl std::error::Error for Error {}

impl From<serde_json::Error> for Error {
    fn from(failure: serde_json::Error) -> Error {
        Error::Internal(format!("an answer could not be written as JSON: {failure}"))
    }
}
