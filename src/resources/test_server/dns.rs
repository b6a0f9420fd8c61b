//! `/_orgd/dns`: what the server is answered when it asks the DNS.

use std::sync::Arc;

use super::of;
use crate::api::{Call, Method, Reply};
use crate::app::{App, Route, async_};
use crate::error::Result;

pub(super) fn routes() -> Vec<Route> {
    let all = "/_orgd/dns/";
    vec![
        Route::control(Method::Get, all, async_(show)).about("See the DNS that this server asks", "By name."),
        Route::control(Method::Put, all, async_(put)).about(
            "Say what the DNS answers",
            "`{\"name\": {\"TXT\": […], \"CNAME\": \"…\", \"A\": […]}}`, in place of what there was. In test mode other \
             names do not exist; else the name servers are asked about them.",
        ),
        Route::control(Method::Delete, all, async_(empty)).about("Empty the DNS that this server asks", "No name is known."),
    ]
}

async fn show(app: Arc<App>, _call: Arc<Call>) -> Result<Reply> {
    Reply::ok(&of(&app)?.dns.shown())
}

async fn put(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    let dns = &of(&app)?.dns;
    dns.replace(call.body.value()?)?;
    Reply::ok(&dns.shown())
}

async fn empty(app: Arc<App>, _call: Arc<Call>) -> Result<Reply> {
    of(&app)?.dns.empty();
    Reply::no_content()
}
