//! Requests for pages that were refused, as pages: what is the matter and what to do.

use maud::{Markup, html};

use super::frame::{refusal, to};
use super::parts;
use crate::api::Reply;
use crate::app::route::Refused;
use crate::error::Error;
use crate::resources::{sessions, two_factor};

/// Where people sign in.
pub(super) const LOG_IN: &str = "/login";
/// Where people give their password again.
pub(super) const LOG_IN_AGAIN: &str = "/login/again";
/// Where people set up the second factor that their organization demands.
pub(super) const SET_UP_SECOND_FACTOR: &str = "/login/2fa_setup";

/// The answer to a refused request.
pub fn page(refused: &Refused<'_>) -> Reply {
    match elsewhere(refused.error) {
        Some(path) => to(&with_next(path, next(refused))),
        None => explained(refused),
    }
}

/// Where the person can mend what they lack.
fn elsewhere(error: &Error) -> Option<&'static str> {
    match error {
        Error::Unauthenticated { .. } => Some(LOG_IN),
        Error::Denied { code: two_factor::SETUP_REQUIRED, .. } => Some(SET_UP_SECOND_FACTOR),
        Error::Denied { detail, .. } if detail == sessions::RECENT_LOGIN_REQUIRED => Some(LOG_IN_AGAIN),
        _ => None,
    }
}

/// Where the person goes on afterwards: a form that was sent is shown again, empty.
fn next<'a>(refused: &Refused<'a>) -> &'a str {
    if refused.is_safe { refused.target } else { refused.target.split('?').next().unwrap_or("/") }
}

/// The path with the page that comes after it.
pub(super) fn with_next(path: &str, next: &str) -> String {
    if next.is_empty() || next == "/" {
        return path.to_owned();
    }
    let mut query = form_urlencoded::Serializer::for_suffix(format!("{path}?"), path.len() + 1);
    query.append_pair("next", next);
    query.finish()
}

fn explained(refused: &Refused<'_>) -> Reply {
    let error = refused.error;
    let status = error.status();
    let (title, text) = match error {
        Error::Denied { detail, .. } if detail.starts_with("CSRF Failed") => (
            "Open the page again",
            "The form was sent from an old page, or from another site. Nothing was changed.".into(),
        ),
        Error::Denied { detail, .. } => ("You may not do this", detail.to_string()),
        Error::NotFound(_) => ("Nothing is here", "The page does not exist, or you may not see it.".into()),
        Error::TooLarge { .. } => ("That is too long", "The form holds more than this server takes.".into()),
        Error::Throttled { retry_after_seconds } => {
            ("Too many tries", format!("Please wait {} and try again.", wait(*retry_after_seconds)))
        }
        Error::TooMany { detail, .. } => ("Too much at once", detail.to_string()),
        Error::Busy { .. } | Error::Unavailable(_) => {
            ("The server is busy", "Please try again in a moment.".into())
        }
        Error::Internal { .. } => ("Something went wrong", "The server has written down what it was.".into()),
        other => ("This did not work", other.envelope().detail.into_owned()),
    };
    let reply = refusal(refused, status, title, &body(refused, status, title, &text));
    match error {
        Error::Throttled { retry_after_seconds } | Error::Busy { retry_after_seconds } => {
            reply.with("retry-after", retry_after_seconds.to_string())
        }
        Error::NotAllowed { allow, .. } => reply.with("allow", allow.clone()),
        _ => reply,
    }
}

fn body(refused: &Refused<'_>, status: u16, title: &str, text: &str) -> Markup {
    html! {
        (parts::head(title, text, None))
        @if status >= 500 { p { "Please quote this number to whoever runs the server: " code { (refused.request_id) } } }
        p { a href="/" { "Go to the start page" } }
    }
}

/// A time to wait in words.
pub(super) fn wait(seconds: u32) -> String {
    match seconds {
        0..=59 => parts::counted(seconds.into(), "second", "seconds"),
        _ => parts::counted(seconds.div_ceil(60).into(), "minute", "minutes"),
    }
}
