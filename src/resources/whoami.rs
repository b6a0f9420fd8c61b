//! How the server sees a request: for the operator, who wants to know whether the proxies in front are set up
//! rightly.

use std::sync::Arc;

use serde::Serialize;

use super::{Resource, signup, users};
use crate::api::way::{Source, Way};
use crate::api::{Call, Reply, Via, Within};
use crate::app::{App, Route, async_, public, tagged};
use crate::error::{Result, not_found};
use crate::store::Tx;

pub(super) static RESOURCE: Resource = Resource::of(routes);

fn routes() -> Vec<Route> {
    let routes = vec![Route::get("/_whoami", public(), Within::Nothing, async_(show)).in_any_format().about(
        "See how the server sees the caller",
        "Which address, scheme and host it believes, and why. At the machine itself, for \
         signed-in staff, and with `X-Setup-Code`; 404 for others.",
    )];
    tagged(super::status::TAG, routes)
}

#[derive(Serialize)]
struct Seen<'a> {
    address: String,
    address_from: Source,
    scheme: &'a str,
    scheme_from: Source,
    host: &'a str,
    host_from: Source,
    connection: Connection,
    /// Addresses that were passed over as the operator's proxies, the nearest first.
    proxies: Vec<String>,
    /// Whether the request counts as one of a program on this machine.
    is_from_this_machine: bool,
    why: Vec<String>,
}

#[derive(Serialize)]
struct Connection {
    address: String,
    is_trusted_proxy: bool,
    has_proxy_headers: bool,
}

async fn show(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    signup::judge_setup_code(&app, &call, call.setup_code.as_deref())?;
    if !app.store.read(|tx| is_operator(&app.setup_code, &call, tx))? {
        return Err(not_found());
    }
    let (scheme, host) = call.origin.split_once("://").unwrap_or_default();
    let way = &call.way;
    let seen = Seen {
        address: call.peer.to_string(),
        address_from: way.address_from,
        scheme,
        scheme_from: way.scheme_from,
        host,
        host_from: way.host_from,
        connection: Connection {
            address: way.connection.to_string(),
            is_trusted_proxy: way.is_trusted,
            has_proxy_headers: way.has_proxy_headers,
        },
        proxies: way.proxies.iter().map(ToString::to_string).collect(),
        is_from_this_machine: call.is_from_this_machine(),
        why: reasons(&call),
    };
    Ok(Reply::ok(&seen)?.with("cache-control", "no-store"))
}

/// Somebody at the machine, a signed-in user of the staff, or whoever knows the set-up code of the log.
fn is_operator(setup_code: &str, call: &Call, tx: &Tx) -> Result<bool> {
    if call.is_from_this_machine() || signup::shows_setup_code(call.setup_code.as_deref(), setup_code) {
        return Ok(true);
    }
    match call.actor.caller() {
        Some(caller) if matches!(caller.via, Via::Session { .. }) => {
            Ok(users::find(tx, caller.user)?.is_staff)
        }
        _ => Ok(false),
    }
}

fn reasons(call: &Call) -> Vec<String> {
    let Way { connection, is_trusted, has_proxy_headers, proxies, .. } = &call.way;
    let mut reasons = vec![match (is_trusted, has_proxy_headers) {
        (true, true) => {
            format!(
                "The connection comes from {connection}, which --trust-proxy names: its headers are believed."
            )
        }
        (true, false) => format!(
            "The connection comes from {connection}, which --trust-proxy names, but it sends neither \
             X-Forwarded-For nor Forwarded."
        ),
        (false, true) => format!(
            "The connection comes from {connection}, which --trust-proxy does not name: the headers of a proxy \
             that it sends are ignored."
        ),
        (false, false) => format!("The connection comes from {connection}, without the headers of a proxy."),
    }];
    for proxy in proxies {
        reasons.push(format!(
            "{proxy} stands in the header and is a proxy that --trust-proxy names: passed over."
        ));
    }
    if call.config.site_url.is_some() {
        reasons.push("--site-url is set: scheme and host are its own, whatever the request says.".into());
    }
    reasons
}
