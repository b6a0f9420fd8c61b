//! A request to the API that the operator makes at the machine: the same route and the same handler as over the network,
//! without credentials.
//!
//! Invariant: only routes that a key can call are reached. What has to be somebody's is that of the user who is named, or
//! of the oldest owner of the organization that the path belongs to.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Failure;
use crate::api::call::Body;
use crate::api::reply::Rest;
use crate::api::way::Way;
use crate::api::{Actor, Call, Level, Method, Place, Reply, Source, Within};
use crate::app::route::{Handler, Needs, Protocol};
use crate::app::{App, Route};
use crate::error::{Error, Result, invalid_body, not_found};
use crate::ids::{OrganizationId, ProjectId, UserId};
use crate::resources::{members, organizations, places, projects, users};
use crate::routes::{self, Params};
use crate::store::Tx;

/// Longest text of an answer, in bytes: it is one line of the socket.
const TEXT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What is requested.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiCall {
    pub method: String,
    /// With its query.
    pub target: String,
    pub body: Option<Value>,
    /// The address of the user in whose name it is done.
    pub user: Option<String>,
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
pub struct ApiAnswer {
    pub status: u16,
    /// The body, where it is JSON.
    pub json: Option<Value>,
    /// The body, where it is another text.
    pub text: Option<String>,
}

impl ApiCall {
    /// Whether it changes nothing.
    pub fn is_safe(&self) -> bool {
        self.method == Method::Get.name()
    }

    /// Carries the request out.
    ///
    /// # Errors
    /// A sentence for the operator, where nothing can be answered. What the API refuses is an answer.
    pub(super) async fn answer(self, app: &Arc<App>) -> std::result::Result<ApiAnswer, Failure> {
        let outcome = self.run(app).await;
        let reply = outcome.or_else(|refused| {
            let envelope = refused.envelope();
            Reply::json(envelope.status, &envelope)
        });
        ApiAnswer::of(reply?)
    }

    async fn run(self, app: &Arc<App>) -> Result<Reply> {
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let path = decoded(path).ok_or_else(not_found)?;
        let method = Method::ALL.into_iter().find(|method| method.name() == self.method);
        let (node, params) = routes::table().find(&path).ok_or_else(not_found)?;
        let Some(route) = method.and_then(|method| node.route(method)) else {
            return Err(Error::NotAllowed { method: self.method, allow: node.allow.clone() });
        };
        let is_for_keys = matches!(route.needs, Needs::Scope(_) | Needs::SignedIn);
        if route.protocol != Protocol::Api || !is_for_keys {
            return Err(not_found());
        }
        let query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let mut call = call(app, route, params, query);
        call.path = path;
        call.body = Body::Json(self.body.unwrap_or_else(|| Value::Object(Map::new())));
        app.store.read(|tx| {
            let user = self.user.as_deref();
            call.ctx.actor = Actor::Operator(Some(in_whose_name(tx, &call, user)?));
            call.place = places::of(tx, &call)?;
            Ok::<(), Error>(())
        })?;
        run_handler(app, route, call).await
    }
}

fn call(app: &App, route: &'static Route, params: Params, query: Vec<(String, String)>) -> Call {
    let source = Source { client: Some("orgd".into()), ..Source::default() };
    let ctx = app.ctx(app.own_address(), Actor::Nobody, source);
    Call {
        method: route.method,
        path: String::new(),
        params,
        query,
        body: Body::Json(Value::Null),
        within: route.within,
        place: Place::Nothing,
        session: None,
        csrf: None,
        peer: ctx.peer(),
        ctx,
        forwarded: false,
        way: Way::direct(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        user_agent: String::new(),
        headers: Vec::new(),
        wants_json: true,
        setup_code: None,
    }
}

async fn run_handler(app: &Arc<App>, route: &'static Route, mut call: Call) -> Result<Reply> {
    match &route.handler {
        Handler::Read(run) => app.store.read(|tx| run(&call, tx)),
        Handler::Async(run) => run(Arc::clone(app), Arc::new(call)).await,
        Handler::Write(run) => {
            let write = app.store.write(move |tx| {
                call.place = places::again(tx, &call)?;
                run(&call, tx)
            });
            write.await
        }
    }
}

/// Who owns what the request makes, and whom `@current` is about.
fn in_whose_name(tx: &Tx, call: &Call, named: Option<&str>) -> Result<UserId> {
    if let Some(address) = named {
        let unknown = || invalid_body("invalid_input", "No user has this address.");
        return users::by_email(tx, address)?.ok_or_else(unknown);
    }
    let organization = match organization_of(tx, call)? {
        Some(organization) => organization,
        None => only_organization(tx, call)?,
    };
    let levels = members::levels(tx, organization)?;
    let owner = levels.into_iter().find(|(_, level)| *level == Level::Owner);
    owner.map(|(user, _)| user).ok_or_else(|| invalid_body("invalid_input", "The organization has no owner."))
}

/// The organization that the path names, or the project that is named there.
fn organization_of(tx: &Tx, call: &Call) -> Result<Option<OrganizationId>> {
    let of_project = |number: &str| -> Result<Option<OrganizationId>> {
        let Ok(number) = number.parse() else { return Ok(None) };
        projects::organization_of(tx, ProjectId(number))
    };
    match call.within {
        Within::Organization(name) | Within::ProjectOf { organization: name, .. } => {
            organizations::by_text(tx, call.param(name))
        }
        Within::Project(name) => of_project(call.param(name)),
        Within::OrganizationBy(_) => organizations::by_text(tx, call.param("organization_id")),
        Within::ProjectBy(_) => match call.query("project") {
            Some(number) => of_project(number),
            None => organizations::by_text(tx, call.param("organization_id")),
        },
        Within::Nothing => Ok(None),
    }
}

/// The organization of an instance that has just one.
fn only_organization(tx: &Tx, call: &Call) -> Result<OrganizationId> {
    let mut all = organizations::every(tx)?;
    let first = all.next().transpose()?.ok_or_else(not_found)?;
    match all.next() {
        None => Ok(first.0),
        // It lists all of them, whoever asks.
        Some(_) if call.method.is_safe() && call.path.trim_end_matches('/') == "/api/organizations" => {
            Ok(first.0)
        }
        Some(_) => {
            let detail = "There are several organizations here: say which, or in whose name.";
            Err(invalid_body("invalid_input", detail))
        }
    }
}

/// Segments are percent-decoded before they are matched; one that hides a slash names nothing.
fn decoded(path: &str) -> Option<String> {
    let segments = path.split('/').map(|segment| {
        let segment = percent_encoding::percent_decode_str(segment).decode_utf8().ok()?;
        (!segment.contains(['/', '\0'])).then_some(segment)
    });
    Some(segments.collect::<Option<Vec<_>>>()?.join("/"))
}

impl ApiAnswer {
    /// What a line of the socket can hold.
    fn of(reply: Reply) -> std::result::Result<ApiAnswer, Failure> {
        let Reply { status, body, mut rest, .. } = reply;
        let mut body = Vec::from(body);
        while let Some(piece) = rest.as_mut().map_or(Ok(None), Rest::piece)? {
            body.extend_from_slice(&piece);
            if body.len() > TEXT_BYTES_MAX {
                break;
            }
        }
        if body.len() > TEXT_BYTES_MAX {
            return Err(format!("the answer is longer than {TEXT_BYTES_MAX} bytes").into());
        }
        if let Ok(json) = serde_json::from_slice(&body) {
            return Ok(ApiAnswer { status, json: Some(json), text: None });
        }
        let text = (!body.is_empty()).then(|| String::from_utf8_lossy(&body).into_owned());
        Ok(ApiAnswer { status, json: None, text })
    }
}
