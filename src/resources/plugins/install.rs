//! Getting a plugin from where its address says, and finding out whether there is a newer one.
//! Invariant: no transaction is open while the network is used or archives are read; at most a few
//! installations are under way at once.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::OwnedSemaphorePermit;

use super::archive::Unpacker;
use super::commands::without_query;
use super::form::Wire;
use super::location::{Location, Question, Version};
use super::package::Package;
use super::views::View;
use super::{Archive, address, commands, directory, find_own, find_to_change, handlers, refused};
use crate::api::{Call, Ctx, Reply};
use crate::app::App;
use crate::error::{Error, Result};
use crate::outbound::{GetRequest, shown};
use crate::pool::{Account, Share};
use crate::resources::users;
use crate::store::Tx;

/// What an address begins with that names a directory of this machine.
pub(super) const DIRECTORY: &str = "file:";
/// Largest answer of another server, in bytes.
pub(super) const BODY_BYTES_MAX: usize = 20 * 1024 * 1024;
/// Seconds after which somebody whose installation found no memory may try again.
const RETRY_SECONDS: u32 = 5;
/// Largest answer that only names a version.
const VERSION_BYTES_MAX: usize = 2 * 1024 * 1024;

/// What an installation takes in memory: the archive, and what is wanted of it, in bytes.
const MEMORY_BYTES: usize = BODY_BYTES_MAX + 8 * 1024 * 1024;

/// A turn to ask other servers, with its memory.
pub(super) struct Turn {
    _permit: OwnedSemaphorePermit,
    _memory: Share,
}

/// Waits for a turn to ask other servers. An installation takes two requests, so after the time of two
/// nobody need wait longer.
pub(super) async fn turn(app: &App) -> Result<Turn> {
    let time = app.config.plugins.fetch_time() * 2;
    match tokio::time::timeout(time, Arc::clone(&app.installs).acquire_owned()).await {
        Ok(Ok(permit)) => {
            let bytes = MEMORY_BYTES.min(app.work.bytes_max_of(Account::Installs));
            let memory = app.work.share(Account::Installs, bytes);
            let taken = memory.grow(bytes).await;
            taken.map_err(|_| Error::Busy { retry_after_seconds: RETRY_SECONDS })?;
            Ok(Turn { _permit: permit, _memory: memory })
        }
        Ok(Err(_)) => Err(Error::Unavailable("The server is shutting down.".into())),
        Err(_) => {
            Err(Error::Throttled { retry_after_seconds: u32::try_from(time.as_secs()).unwrap_or(u32::MAX) })
        }
    }
}

/// The package that an address names, as far as the caller may see it.
pub(super) async fn fetch(app: &Arc<App>, ctx: &Ctx, url: &str) -> Result<Package> {
    let turn = turn(app).await?;
    if let Some(directory) = url.strip_prefix(DIRECTORY) {
        let (base, directory) =
            (app.config.plugins.plugin_local_dir.clone(), without_query(directory).to_owned());
        return in_background(turn, move || directory::read(base.as_deref(), &directory)).await;
    }
    let location = locate(app, ctx, url)?;
    let tag = newest(app, &location).await?;
    let question = location.archive(&app.config.plugins, &tag).ok_or_else(no_registry)?;
    let failed = format!("Could not download archive from {}", location.host_name());
    let body = ask(app, question, BODY_BYTES_MAX, &failed).await?;
    in_background(turn, move || unpack(&body, &location, tag)).await
}

fn unpack(body: &[u8], location: &Location, tag: String) -> Result<Package> {
    let unpacker = Unpacker::open(body, location.folder.as_deref())?;
    let missing = "Could not find plugin.json in the plugin";
    let mut package = Package::assemble(|wanted| unpacker.read(wanted), missing, None)?;
    package.tag = Some(tag);
    package.archive = Some(Archive { sha256: Sha256::digest(body).into(), bytes: body.len() as u64 });
    Ok(package)
}

/// Runs work that takes its time on a thread of its own. The turn ends with the work, not with the
/// caller's patience.
async fn in_background<T: Send + 'static>(
    turn: Turn,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let running = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        work()
    });
    running.await.unwrap_or_else(|cause| {
        // What makes a library stumble is bad input still, whoever else should look at it.
        tracing::error!(%cause, "an archive could not be read");
        Err(refused("The archive can't be read: it is damaged."))
    })
}

/// What an address means. The operator's tokens open what the operator may see: they are for staff only.
fn locate(app: &App, ctx: &Ctx, url: &str) -> Result<Location> {
    let location = Location::parse(url);
    let location =
        location.ok_or_else(|| refused("Must be a GitHub/GitLab repository or npm package URL!"))?;
    let user = ctx.user()?;
    let is_staff = app.store.read(|tx| Ok(users::find(tx, user)?.is_staff))?;
    Ok(if is_staff { location.by_operator(&app.config.plugins) } else { location })
}

fn no_registry() -> Error {
    refused(
        "npm packages can't be installed on this server: its operator has to name a registry with ORGD_NPM_REGISTRY_URL.",
    )
}

/// The version that the address names, or else the newest, for which the network is used.
async fn newest(app: &App, location: &Location) -> Result<String> {
    let branch = match &location.version {
        Version::Fixed(tag) => return Ok(tag.clone()),
        Version::Latest { branch } => branch.as_deref(),
    };
    let question = location.latest(&app.config.plugins, branch).ok_or_else(no_registry)?;
    let (failed, host) = (location.no_latest(), shown(&question.url));
    let body = ask(app, question, VERSION_BYTES_MAX, &failed).await?;
    let version = serde_json::from_slice::<Value>(&body).ok().and_then(|answer| location.version_in(&answer));
    version.ok_or_else(|| refused(format!("{failed}. Reason: {host} named no version.")))
}

async fn ask(app: &App, question: Question, bytes_max: usize, failed: &str) -> Result<Vec<u8>> {
    let host = shown(&question.url);
    let request = GetRequest {
        is_of_operator: question.is_of_operator,
        url: question.url,
        authorization: question.authorization,
        time_max: app.config.plugins.fetch_time(),
        bytes_max,
    };
    let reason = match app.outbound.get(request).await {
        Ok(answer) if answer.status == 200 => return Ok(answer.body),
        Ok(answer) => format!("{host} answered {}.", answer.status),
        Err(cause) => cause.to_string(),
    };
    Err(refused(format!("{failed}. Reason: {reason}")))
}

#[derive(Serialize)]
struct Updates<'a> {
    plugin: Wire<'a>,
}

/// Asks for the newest version again. What is installed stays.
pub(super) async fn check_for_updates(app: Arc<App>, call: Arc<Call>, view: &'static View) -> Result<Reply> {
    let named = (handlers::id(&call)?, view);
    let may_look = |tx: &Tx| {
        let otherwise = "Plugin installation is not available for the current organization!";
        let at = handlers::again(&call, tx)?;
        handlers::as_installer(tx, at, otherwise)
    };
    let url = app.store.read(|tx| {
        let found = find_own(tx, may_look(tx)?, named.0, view)?;
        let is_fetched = !matches!(found.plugin.plugin_type.as_deref(), Some("source" | "local" | "inline"));
        if is_fetched { address::whole(&call, tx, &found) } else { Ok(None) }
    })?;
    let url = url.filter(|url| !url.starts_with(DIRECTORY));
    let url =
        url.ok_or_else(|| refused("Only plugins from GitHub, GitLab or npm can be checked for updates."))?;
    let turn = turn(&app).await?;
    let latest = newest(&app, &locate(&app, &call, &url)?).await?;
    drop(turn);
    let write = app.store.write(move |tx| {
        let at = handlers::again(&call, tx)?;
        let found = commands::note_latest(&call, tx, at, named, &latest)?;
        Reply::ok(&Updates { plugin: found.wire(tx)? })
    });
    write.await
}

/// Installs the plugin anew from its address, whatever the newest version is said to be.
pub(super) async fn upgrade(app: Arc<App>, call: Arc<Call>, view: &'static View) -> Result<Reply> {
    let named = (handlers::id(&call)?, view);
    let found = app.store.read(|tx| find_to_change(tx, handlers::again(&call, tx)?, named.0, view))?;
    if matches!(found.plugin.plugin_type.as_deref(), Some("source" | "local")) {
        return app.store.read(|tx| Reply::ok(&found.wire(tx)?));
    }
    let url = app.store.read(|tx| address::whole(&call, tx, &found))?;
    let url = url.ok_or_else(|| refused("This plugin has no address to upgrade it from."))?;
    let package = fetch(&app, &call, &url).await?;
    let write = app.store.write(move |tx| {
        let found = commands::upgrade(&call, tx, handlers::again(&call, tx)?, named, &package)?;
        Reply::ok(&found.wire(tx)?)
    });
    write.await
}
