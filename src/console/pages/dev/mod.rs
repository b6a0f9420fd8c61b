//! Pages of a development or test server: what was called, what was sent, what goes wrong. They show what the paths below
//! `/_orgd/` say, and are reached as these are: without signing in, and from no other site.

mod clock;
mod data;
mod events;
mod faults;
mod mails;
mod requests;

use std::sync::Arc;

use crate::api::{Call, Method, Reply};
use crate::app::route::async_;
use crate::app::{App, Route};
use crate::console::frame::to;
use crate::console::layout::Item;
use crate::console::refusal;
use crate::console::visit::Visit;
use crate::error::{Error, Result, not_found};
use crate::test_server::TestServer;

/// What every one of them says.
pub(in crate::console) const BAR: &str =
    "Test server: its data may vanish, and whoever reaches it may do everything.";

pub(in crate::console) fn routes() -> Vec<Route> {
    vec![
        route("/dev/", |_, _| Ok(to("/dev/requests"))),
        route("/dev/requests/", requests::list),
        route("/dev/requests/{n}/", requests::show),
        route("/dev/mail/", mails::list),
        route("/dev/mail/{n}/", mails::show),
        route("/dev/events/", events::list),
        route("/dev/clock/", clock::show),
        form("/dev/clock/", clock::post),
        route("/dev/faults/", faults::list),
        form("/dev/faults/{id}/remove/", faults::remove),
        route("/dev/data/", data::show),
        form("/dev/data/", data::post),
        form("/dev/data/fork/", data::fork),
        form("/dev/data/reset/{name}/", data::reset),
        form("/dev/data/snapshots/{name}/delete/", data::delete_snapshot),
        form("/dev/data/forks/{id}/delete/", data::delete_fork),
    ]
}

/// What a form does.
fn form<F>(path: &str, work: fn(Arc<Visit>) -> F) -> Route
where
    F: Future<Output = Result<Reply>> + Send + 'static,
{
    let handler = async_(move |app: Arc<App>, call: Arc<Call>| work(Arc::new(Visit::new(app, call))));
    let route = Route::control(Method::Post, path, handler).reads_headers(&["cookie"]);
    Route { refuse: Some(refusal::page), ..route }
}

/// The page again, where what was typed is not taken.
fn again(error: Error, show: impl FnOnce(Error) -> Result<Reply>) -> Result<Reply> {
    match error {
        Error::Invalid { .. } => Ok(Reply { status: 422, ..show(error)? }),
        other => Err(other),
    }
}

fn route(path: &str, show: fn(&Visit, &TestServer) -> Result<Reply>) -> Route {
    let handler = async_(move |app: Arc<App>, call: Arc<Call>| async move {
        let visit = Visit::new(Arc::clone(&app), call);
        show(&visit, app.test_server.as_ref().ok_or_else(not_found)?)
    });
    let route = Route::control(Method::Get, path, handler).reads_headers(&["cookie", "if-none-match"]);
    Route { refuse: Some(refusal::page), ..route }
}

/// The pages, for their navigation.
pub(in crate::console) fn items(path: &str) -> Vec<Item<'static>> {
    let pages = [
        ("Requests", "requests"),
        ("Mail", "mail"),
        ("Events", "events"),
        ("Clock", "clock"),
        ("Faults", "faults"),
        ("Data", "data"),
    ];
    let item = |(label, tail)| {
        let page = format!("/dev/{tail}");
        let is_current = path.starts_with(&page);
        Item::new(label, page, is_current)
    };
    pages.map(item).into()
}
