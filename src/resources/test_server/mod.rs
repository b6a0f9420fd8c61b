//! The paths below `/_orgd/`, by which a development or test server is controlled: a file for each part. They stand in a
//! table of their own, which an ordinary server never looks into, and in no document of the API.

pub mod clock;
mod dns;
pub mod events;
mod faults;
pub mod forks;
mod journal;
mod mails;
mod overview;

use crate::api::Call;
use crate::app::{App, Route};
use crate::error::{Result, invalid, invalid_body, not_found};
use crate::test_server::TestServer;

/// All of them.
pub fn routes() -> Vec<Route> {
    let parts = [
        overview::routes,
        clock::routes,
        journal::routes,
        faults::routes,
        forks::routes,
        mails::routes,
        dns::routes,
        events::routes,
    ];
    parts.into_iter().flat_map(|routes| routes()).collect()
}

/// The state that they are about.
///
/// # Errors
/// 404 on an ordinary server, which no request reaches.
pub fn of(app: &App) -> Result<&TestServer> {
    app.test_server.as_deref().ok_or_else(not_found)
}

/// Looks parameters of the query up, of which there are no others than these.
///
/// # Errors
/// 400 for one that is not known: a filter that is misspelt would not filter.
fn query_of<'a>(call: &'a Call, names: &[&str]) -> Result<impl Fn(&str) -> Option<&'a str>> {
    match call.query.iter().find(|(name, _)| !names.contains(&name.as_str())) {
        Some(_) => {
            let detail = format!("The query has {}, and nothing else.", names.join(", "));
            Err(invalid_body("invalid_input", detail))
        }
        None => Ok(|name: &str| call.query(name)),
    }
}

/// A number of the query.
///
/// # Errors
/// 400 for what is none, or more than `max`.
fn number_of(given: Option<&str>, name: &'static str, max: u64) -> Result<Option<u64>> {
    let Some(text) = given else { return Ok(None) };
    match text.parse().ok().filter(|number| *number <= max) {
        Some(number) => Ok(Some(number)),
        None => Err(invalid(name, "invalid_input", format!("A number from 0 to {max} is wanted."))),
    }
}
