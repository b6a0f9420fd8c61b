//! The paths below `/_orgd/`, by which a development or test server is controlled: a file for each part. They stand in a
//! table of their own, which an ordinary server never looks into, and in no document of the API.

mod clock;
mod overview;

use crate::app::Route;
use crate::test_server::TestServer;

/// All of them.
pub fn routes() -> Vec<Route> {
    [overview::routes(), clock::routes()].into_iter().flatten().collect()
}

/// The state that they are about.
///
/// # Errors
/// 404 on an ordinary server, which no request reaches.
pub fn of(app: &crate::app::App) -> crate::error::Result<&TestServer> {
    app.test_server.as_ref().ok_or_else(crate::error::not_found)
}
