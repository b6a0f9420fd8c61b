//! What can go wrong with a request, and the one JSON envelope that says so.
//! Texts and codes are PostHog's; they stand beside the rule that raises them.

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;

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
    /// 409: the state is another one than the caller thinks.
    Conflict { code: &'static str, detail: Text },
    /// 413: the body is larger than the limit.
    TooLarge { bytes_max: usize },
    /// 415
    UnsupportedMedia(String),
    /// 429
    Throttled { retry_after_seconds: u32 },
    /// 429: as much is under way as may be at once.
    TooMany { code: &'static str, detail: Text },
    /// 503: there is no memory or no turn for the request now.
    Busy { retry_after_seconds: u32 },
    /// 503: the server is shutting down, or its store has failed.
    Unavailable(Text),
    /// 507: what the operator allowed is used up.
    Full(Text),
    /// 500: our fault. The caller sees a fixed sentence; the cause and the place go to the log.
    Internal { cause: Cause, at: &'static Location<'static> },
}

/// 400 for one field.
pub fn invalid(attr: impl Into<Text>, code: &'static str, detail: impl Into<Text>) -> Error {
    Error::Invalid { attr: Some(attr.into()), code, detail: detail.into() }
}

/// 400 for a value that is none of those that there are.
pub fn invalid_choice(attr: impl Into<Text>, value: &str) -> Error {
    invalid(attr, "invalid_choice", format!("\"{value}\" is not a valid choice."))
}

/// 400 for an identifier that was given and belongs to something already.
pub fn id_taken() -> Error {
    invalid("id", "unique", "This identifier is used already.")
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

/// What every error answer says: its status, and the four keys of its JSON body.
#[derive(Serialize)]
pub struct Envelope<'a> {
    #[serde(skip)]
    pub status: u16,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub code: &'a str,
    pub detail: Cow<'a, str>,
    pub attr: Option<&'a str>,
}

impl<'a> Envelope<'a> {
    /// About the request as a whole.
    pub fn new(
        status: u16,
        kind: &'static str,
        code: &'a str,
        detail: impl Into<Cow<'a, str>>,
    ) -> Envelope<'a> {
        Envelope { status, kind, code, detail: detail.into(), attr: None }
    }

    /// The JSON body.
    pub fn body(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// What an internal error comes from.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What could not be done, and why.
#[derive(Debug)]
struct Failed {
    what: &'static str,
    cause: Cause,
}

impl fmt::Display for Failed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.what)
    }
}

impl std::error::Error for Failed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.cause)
    }
}

impl Error {
    /// 500, from a text or an error. Keeps the place of the caller for the log.
    #[track_caller]
    pub fn internal(cause: impl Into<Cause>) -> Error {
        Error::Internal { cause: cause.into(), at: Location::caller() }
    }

    /// 500: what could not be done, and the error that it failed with.
    #[track_caller]
    pub fn failed(what: &'static str, cause: impl Into<Cause>) -> Error {
        Error::internal(Failed { what, cause: cause.into() })
    }

    /// What the wire shows.
    pub fn envelope(&self) -> Envelope<'_> {
        const DENIED: &str = "authentication_error";
        const REQUEST: &str = "invalid_request";
        const SERVER: &str = "server_error";
        match self {
            Error::Invalid { attr, code, detail } => {
                let attr = attr.as_deref();
                Envelope { attr, ..Envelope::new(400, "validation_error", code, &**detail) }
            }
            Error::Unreadable(detail) => Envelope::new(400, REQUEST, "parse_error", &**detail),
            Error::Unauthenticated { code, detail } => Envelope::new(401, DENIED, code, &**detail),
            Error::Denied { code, detail } => Envelope::new(403, DENIED, code, &**detail),
            Error::NotFound(detail) => Envelope::new(404, REQUEST, "not_found", &**detail),
            Error::NotAllowed { method, .. } => {
                let detail = format!("Method \"{method}\" not allowed.");
                Envelope::new(405, REQUEST, "method_not_allowed", detail)
            }
            Error::NotAcceptable => {
                let detail = "Could not satisfy the request Accept header.";
                Envelope::new(406, REQUEST, "not_acceptable", detail)
            }
            Error::TooSlow => {
                Envelope::new(408, REQUEST, "request_timeout", "The request body did not arrive in time.")
            }
            Error::Conflict { code, detail } => Envelope::new(409, REQUEST, code, &**detail),
            Error::TooLarge { bytes_max } => {
                let detail = format!("The request body is larger than {bytes_max} bytes.");
                Envelope::new(413, REQUEST, "request_too_large", detail)
            }
            Error::UnsupportedMedia(media) => {
                let detail = format!("Unsupported media type \"{media}\" in request.");
                Envelope::new(415, REQUEST, "unsupported_media_type", detail)
            }
            Error::Throttled { retry_after_seconds } => {
                let time = seconds(*retry_after_seconds);
                let detail = format!("Request was throttled. Expected available in {time}.");
                Envelope::new(429, "throttled_error", "throttled", detail)
            }
            Error::TooMany { code, detail } => Envelope::new(429, "throttled_error", code, &**detail),
            Error::Busy { retry_after_seconds } => {
                let detail = format!("The server is busy. Try again in {}.", seconds(*retry_after_seconds));
                Envelope::new(503, SERVER, "busy", detail)
            }
            Error::Unavailable(detail) => Envelope::new(503, SERVER, "unavailable", &**detail),
            Error::Full(detail) => Envelope::new(507, SERVER, "insufficient_storage", &**detail),
            Error::Internal { .. } => Envelope::new(500, SERVER, "error", "A server error occurred."),
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.envelope().status
    }

    /// The same error of a list item or a nested object: `attr` becomes `outer__attr`, or `outer`
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

    /// The same error of the body as a whole, where the body is one field.
    pub fn about(self, name: &'static str) -> Error {
        match self {
            Error::Invalid { attr: None, code, detail } => invalid(name, code, detail),
            other => other,
        }
    }

    /// The same error of a field that is called otherwise where its value was given.
    pub fn renamed(self, name: &'static str) -> Error {
        match self {
            Error::Invalid { attr: Some(_), code, detail } => invalid(name, code, detail),
            other => other,
        }
    }
}

impl fmt::Display for Error {
    /// For the operator: of an internal error the whole chain of causes, of another what its caller reads.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Error::Internal { cause, .. } = self else { return out.write_str(&self.envelope().detail) };
        write!(out, "{cause}")?;
        let mut next = cause.source();
        while let Some(cause) = next {
            write!(out, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<serde_json::Error> for Error {
    #[track_caller]
    fn from(cause: serde_json::Error) -> Error {
        Error::failed("an answer could not be written as JSON", cause)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn an_internal_error_keeps_its_causes_and_its_place_and_shows_its_caller_neither() {
        let line = line!() + 1;
        let error = Error::failed("the list could not be read", Error::failed("the page is gone", "torn"));
        assert_eq!(error.to_string(), "the list could not be read: the page is gone: torn");
        let Error::Internal { at, .. } = &error else { panic!("{error:?}") };
        assert_eq!((at.file(), at.line()), (file!(), line));
        assert_eq!(error.envelope().detail, "A server error occurred.");
        let unserializable = || -> Result<Vec<u8>> { Ok(serde_json::to_vec(&BTreeMap::from([((), ())]))?) };
        let Err(Error::Internal { at, .. }) = unserializable() else { panic!("the keys are no texts") };
        assert_eq!((at.file(), at.line()), (file!(), line + 5));
    }
}
