//! `/_orgd/snapshots`, `/_orgd/forks`, `/_orgd/reset`: copies of a server in memory.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use url::Url;

use super::query_of;
use crate::api::{Call, Method, Reply};
use crate::app::forks::{Forks, MAIN, ShownFork, ShownForks, ShownSnapshot, WantedFork};
use crate::app::{App, Route, async_};
use crate::clock::Time;
use crate::error::{Error, Result, invalid, invalid_body};

/// How long a fork is there unless it is said, and at most.
pub const TTL_SECONDS: u32 = 60 * 60;
const TTL_SECONDS_MAX: u32 = 7 * 24 * 60 * 60;

pub(super) fn routes() -> Vec<Route> {
    let (snapshots, forks) = ("/_orgd/snapshots/", "/_orgd/forks/");
    vec![
        Route::control(Method::Get, snapshots, async_(list_snapshots))
            .about("See the snapshots", "`start` is what the server began with, its seed included."),
        Route::control(Method::Post, snapshots, async_(post_snapshot)).about(
            "Keep what the server is now",
            "Under this `name`, in place of an earlier one: data, clock, identifiers to come, rules of faults, DNS.",
        ),
        Route::control(Method::Delete, "/_orgd/snapshots/{name}/", async_(delete_snapshot))
            .about("Forget a snapshot", "What began with it stays."),
        Route::control(Method::Get, forks, async_(list_forks)).about("See the forks", "Where each of them is reached."),
        Route::control(Method::Post, forks, async_(post_fork)).about(
            "Make a fork",
            "A server of its own that begins with the snapshot `of`, or with what this one is now, and ends after `ttl_s` \
             seconds. It has a port of its own, and is reached on the first port by the header `Orgd-Fork`.",
        ),
        Route::control(Method::Delete, "/_orgd/forks/{id}/", async_(delete_fork)).about(
            "End a fork",
            "With `check=true` only if nothing is wrong with its data; what is wrong is said in a 409.",
        ),
        Route::control(Method::Post, "/_orgd/reset/", async_(reset)).about(
            "Begin anew",
            "With the snapshot `to`, or with what this server began with. Requests under way finish on what was.",
        ),
    ]
}

/// Who keeps the server, and which one it is.
///
/// # Errors
/// 409 where its data is in a file.
pub fn keeper(app: &App) -> Result<(Arc<dyn Forks>, &str)> {
    let kept = app.forks.get().and_then(|of| Some((of.kept_by.upgrade()?, of.id.as_str())));
    kept.ok_or_else(|| Error::Conflict {
        code: "not_in_memory",
        detail:
            "The data of this server is in a file: snapshots, forks and reset need --in-memory, or --test."
                .into(),
    })
}

/// All servers of the process, as the overview has them.
#[derive(Serialize)]
pub(super) struct Overseen {
    fork: Option<String>,
    forks: Option<Vec<Fork>>,
    snapshots: Option<Vec<Snapshot>>,
    forks_bytes: Option<u64>,
    forks_bytes_max: Option<u64>,
}

#[derive(Serialize)]
struct Fork {
    id: String,
    of: Option<String>,
    url: String,
    header: String,
    expires_at: Time,
    own_bytes: u64,
    open: bool,
}

#[derive(Serialize)]
struct Snapshot {
    name: String,
    bytes: u64,
}

impl Overseen {
    pub(super) fn of(app: &App, call: &Call) -> Overseen {
        let Ok((keeper, id)) = keeper(app) else {
            return Overseen {
                fork: None,
                forks: None,
                snapshots: None,
                forks_bytes: None,
                forks_bytes_max: None,
            };
        };
        let ShownForks { snapshots, forks, bytes, bytes_max } = keeper.list();
        Overseen {
            fork: Some(id.to_owned()).filter(|id| id != MAIN),
            forks: Some(forks.into_iter().map(|fork| Fork::of(fork, app, call)).collect()),
            snapshots: Some(snapshots.into_iter().map(Snapshot::from).collect()),
            forks_bytes: Some(bytes),
            forks_bytes_max: Some(bytes_max),
        }
    }
}

impl From<ShownSnapshot> for Snapshot {
    fn from(ShownSnapshot { name, bytes }: ShownSnapshot) -> Snapshot {
        Snapshot { name, bytes }
    }
}

impl Fork {
    fn of(fork: ShownFork, app: &App, call: &Call) -> Fork {
        let ShownFork { id, of, port, expires_at, own_bytes, is_open } = fork;
        let (url, header) = (address(app, call, port), format!("Orgd-Fork: {id}"));
        Fork { id, of, url, header, expires_at, own_bytes, open: is_open }
    }
}

/// Where another port of this server is reached: under the host of the request, where the server listens on all addresses.
fn address(app: &App, call: &Call, port: u16) -> String {
    let scheme = if app.config.tls.is_on() { "https" } else { "http" };
    let own = app.address.get().map(std::net::SocketAddr::ip).filter(|ip| !ip.is_unspecified());
    let host = match own {
        Some(ip) => std::net::SocketAddr::new(ip, 0).to_string().trim_end_matches(":0").to_owned(),
        None => {
            let origin = Url::parse(&call.ctx.origin).ok();
            origin.as_ref().and_then(Url::host_str).unwrap_or("localhost").to_owned()
        }
    };
    format!("{scheme}://{host}:{port}")
}

/// The body, which has nothing but what is known.
fn read<'a, T: Deserialize<'a>>(call: &'a Call) -> Result<T> {
    T::deserialize(call.body.value()?).map_err(|cause| invalid_body("invalid_input", cause.to_string()))
}

async fn list_snapshots(app: Arc<App>, _call: Arc<Call>) -> Result<Reply> {
    #[derive(Serialize)]
    struct Listed {
        snapshots: Vec<Snapshot>,
    }
    let (keeper, _) = keeper(&app)?;
    let snapshots = keeper.list().snapshots.into_iter().map(Snapshot::from).collect();
    Reply::ok(&Listed { snapshots })
}

async fn post_snapshot(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        name: String,
    }
    let (keeper, id) = keeper(&app)?;
    let Wanted { name } = read(&call)?;
    Reply::created(&Snapshot::from(keeper.snapshot(id, &name)?))
}

async fn delete_snapshot(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    let (keeper, _) = keeper(&app)?;
    keeper.delete_snapshot(call.param("name"))?;
    Reply::no_content()
}

async fn list_forks(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    #[derive(Serialize)]
    struct Listed {
        forks: Vec<Fork>,
    }
    let (keeper, _) = keeper(&app)?;
    let forks = keeper.list().forks.into_iter().map(|fork| Fork::of(fork, &app, &call)).collect();
    Reply::ok(&Listed { forks })
}

async fn post_fork(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        of: Option<String>,
        ttl_s: Option<u32>,
    }
    let (keeper, id) = keeper(&app)?;
    let Wanted { of, ttl_s } = read(&call)?;
    let ttl_seconds = ttl_s.unwrap_or(TTL_SECONDS);
    if !(1..=TTL_SECONDS_MAX).contains(&ttl_seconds) {
        let detail = format!("A number of seconds from 1 to {TTL_SECONDS_MAX} is wanted.");
        return Err(invalid("ttl_s", "invalid_input", detail));
    }
    let made = keeper.fork(id, WantedFork { of, ttl_seconds }).await?;
    Reply::created(&Fork::of(made, &app, &call))
}

async fn delete_fork(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    let (keeper, _) = keeper(&app)?;
    let query = query_of(&call, &["check"])?;
    let is_checked = match query("check") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(invalid("check", "invalid_choice", "`true` or `false` is wanted.")),
    };
    keeper.delete(call.param("id"), is_checked).await?;
    Reply::no_content()
}

async fn reset(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        to: Option<String>,
    }
    let (keeper, id) = keeper(&app)?;
    let Wanted { to } = read(&call)?;
    keeper.reset(id, to.as_deref()).await?;
    Reply::no_content()
}
