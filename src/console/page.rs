//! A page as data: its path, who may see it, what shows it and what its form does.

use std::future::Future;
use std::sync::Arc;

use super::frame::to;
use super::refusal;
use super::visit::Visit;
use crate::api::{Method, Reply, Within};
use crate::app::Route;
use crate::app::route::{Handler, Needs, PendingReply, async_};
use crate::error::{Error, Result};
use crate::store::{Tx, WriteTx};

/// Shows a page.
pub(super) type Show = fn(&Visit, &Tx) -> Result<Reply>;
/// Does what the form of a page is for, in one transaction.
pub(super) type Act = fn(&Visit, &WriteTx) -> Result<Reply>;
type Work = Arc<dyn Fn(Arc<Visit>) -> PendingReply + Send + Sync>;

/// What a form does.
#[derive(Clone)]
enum Does {
    Act(Act),
    /// Hashes a password or uses the network, between transactions of its own.
    Work(Work),
}

/// One page.
pub(super) struct Page {
    path: String,
    needs: Needs,
    within: Within,
    show: Show,
    does: Option<Does>,
    is_open_without_second_factor: bool,
}

/// A page that shows something.
pub(super) fn page(path: impl Into<String>, needs: Needs, within: Within, show: Show) -> Page {
    Page { path: path.into(), needs, within, show, does: None, is_open_without_second_factor: false }
}

impl Page {
    /// Its form does this.
    pub(super) fn does(mut self, act: Act) -> Page {
        self.does = Some(Does::Act(act));
        self
    }

    /// Its form does this, which takes time outside the store.
    pub(super) fn works<F>(mut self, work: impl Fn(Arc<Visit>) -> F + Send + Sync + 'static) -> Page
    where
        F: Future<Output = Result<Reply>> + Send + 'static,
    {
        self.does = Some(Does::Work(Arc::new(move |visit| Box::pin(work(visit)))));
        self
    }

    /// A session may see it that lacks the second factor which the person's organizations demand.
    pub(super) fn without_second_factor(mut self) -> Page {
        self.is_open_without_second_factor = true;
        self
    }

    pub(super) fn into_routes(self) -> Vec<Route> {
        let Page { path, needs, within, show, does, is_open_without_second_factor } = self;
        let shows = async_(move |app, call| async move { open(&Visit::new(app, call), show) });
        let mut routes = vec![route(Method::Get, &path, needs, within, shows)];
        if let Some(does) = does {
            let posts = async_(move |app, call| post(Arc::new(Visit::new(app, call)), show, does.clone()));
            routes.push(route(Method::Post, &path, needs, within, posts));
        }
        for route in &mut routes {
            route.is_open_without_second_factor |= is_open_without_second_factor;
        }
        routes
    }
}

fn route(method: Method, path: &str, needs: Needs, within: Within, handler: Handler) -> Route {
    Route::page(method, path, needs, within, handler, refusal::page)
}

/// Shows the page at its own address: one that names the current organization leads on to its name, so that tabs and
/// bookmarks keep their organization.
fn open(visit: &Visit, show: Show) -> Result<Reply> {
    visit.read(|visit, tx| match visit.address_by_name(tx)? {
        Some(address) => Ok(to(&address)),
        None => show(visit, tx),
    })
}

/// Does what the form is for. Where a field is wrong, nothing was done, and the page is shown again with what was
/// typed.
async fn post(visit: Arc<Visit>, show: Show, does: Does) -> Result<Reply> {
    let done = match does {
        Does::Act(act) => visit.write(act).await,
        Does::Work(work) => work(Arc::clone(&visit)).await,
    };
    match done {
        Err(error @ Error::Invalid { .. }) => show_again(&visit, show, error),
        other => other,
    }
}

fn show_again(visit: &Visit, show: Show, error: Error) -> Result<Reply> {
    let again = visit.refusing(error);
    let reply = again.read(show)?;
    // What leads elsewhere goes on doing so.
    let status = if reply.status == 200 { 422 } else { reply.status };
    Ok(Reply { status, ..reply })
}
