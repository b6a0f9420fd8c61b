//! `/_orgd/faults`: what is to go wrong, and what did.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::of;
use crate::api::{Call, Method, Reply};
use crate::app::{App, Route, async_};
use crate::error::{Result, invalid_body, not_found};
use crate::test_server::faults::{Shown, all_of, one_of};

pub(super) fn routes() -> Vec<Route> {
    let (all, one) = ("/_orgd/faults/", "/_orgd/faults/{id}/");
    vec![
        Route::control(Method::Get, all, async_(list))
            .about("See what is to go wrong", "With how often each rule was met, has fired, and will fire."),
        Route::control(Method::Put, all, async_(put)).about(
            "Say what is to go wrong",
            "The rules of `faults` in place of all that there were: the first with something left fires, one for a \
             request.",
        ),
        Route::control(Method::Post, all, async_(post)).about("Add a rule", "At the end."),
        Route::control(Method::Delete, all, async_(empty)).about("Let all go well", "Without any rule."),
        Route::control(Method::Get, one, async_(show)).about("See a rule", "And how often it has fired."),
        Route::control(Method::Delete, one, async_(delete)).about("Remove a rule", "Its name is not given again."),
        Route::control(Method::Post, "/_orgd/faults/assert/", async_(judge)).about(
            "Assert what went wrong",
            "`{\"all_fired\": true}`, or `{\"id\": \"x1\", \"fired\": 3}`.",
        ),
    ]
}

#[derive(Serialize)]
struct Listed {
    faults: Vec<Shown>,
}

async fn list(app: Arc<App>, _call: Arc<Call>) -> Result<Reply> {
    Reply::ok(&Listed { faults: of(&app)?.faults.shown() })
}

async fn put(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    let server = of(&app)?;
    server.faults.replace(all_of(&server.paths, call.body.value()?)?);
    Reply::ok(&Listed { faults: server.faults.shown() })
}

async fn post(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    let server = of(&app)?;
    Reply::created(&server.faults.add(one_of(&server.paths, call.body.value()?)?)?)
}

async fn empty(app: Arc<App>, _call: Arc<Call>) -> Result<Reply> {
    of(&app)?.faults.replace(Vec::new());
    Reply::no_content()
}

async fn show(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    let all = of(&app)?.faults.shown();
    Reply::ok(&all.into_iter().find(|rule| rule.id == call.param("id")).ok_or_else(not_found)?)
}

async fn delete(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    of(&app)?.faults.remove(call.param("id"))?;
    Reply::no_content()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Claim {
    #[serde(default)]
    all_fired: bool,
    id: Option<String>,
    fired: Option<u64>,
}

#[derive(Serialize)]
struct Verdict {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    never_fired: Vec<String>,
}

async fn judge(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    let faults = &of(&app)?.faults;
    let claim = Claim::deserialize(call.body.value()?)
        .map_err(|cause| invalid_body("invalid_input", cause.to_string()))?;
    match claim {
        Claim { all_fired: true, id: None, fired: None } => {
            let (ids, rules): (Vec<String>, Vec<String>) = faults.silent().into_iter().unzip();
            let named: Vec<String> = ids.iter().zip(rules).map(|(id, rule)| format!("{id} {rule}")).collect();
            let why = (!ids.is_empty()).then(|| format!("never fired: {}", named.join(", ")));
            Reply::ok(&Verdict { ok: ids.is_empty(), why, never_fired: ids })
        }
        Claim { all_fired: false, id: Some(id), fired: Some(wanted) } => {
            let fired = faults.fired(&id)?;
            let why = (fired != wanted).then(|| format!("{id} fired {fired} times, not {wanted}"));
            Reply::ok(&Verdict { ok: fired == wanted, why, never_fired: Vec::new() })
        }
        _ => {
            let detail =
                "`{\"all_fired\": true}` is wanted, or the `id` of a rule and how often it has `fired`.";
            Err(invalid_body("invalid_input", detail))
        }
    }
}
