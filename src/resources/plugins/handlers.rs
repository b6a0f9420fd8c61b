//! What requests about plugins are answered.

use std::sync::Arc;

use super::form::Wire;
use super::views::{VIEWS, View};
use super::{CONFIG, INSTALL, Loaded, commands, find, install, require_access, visible};
use crate::api::{Call, InOrganization, Paging, Reply};
use crate::app::App;
use crate::error::{Result, denied, not_found};
use crate::ids::{OrganizationId, PluginId};
use crate::resources::{audit, places};
use crate::store::{Tx, WriteTx};

/// The organization of the path, for a request that only looks.
fn enter(call: &Call, tx: &Tx) -> Result<OrganizationId> {
    let at = call.place.in_organization()?;
    require_access(tx, at, CONFIG)?;
    Ok(at.id)
}

/// The organization of the path in a transaction that is opened after a while.
pub(super) fn again(call: &Call, tx: &Tx) -> Result<InOrganization> {
    let at = places::again(tx, call)?.in_organization()?;
    require_access(tx, at, if call.method.is_safe() { CONFIG } else { INSTALL })?;
    Ok(at)
}

/// For what is read only by those who may install: the source, and whether there is a newer version.
pub(super) fn as_installer(tx: &Tx, at: InOrganization, otherwise: &'static str) -> Result<OrganizationId> {
    let level = require_access(tx, at, CONFIG)?;
    if level < INSTALL { Err(denied(otherwise)) } else { Ok(at.id) }
}

/// The number of the path, or 404.
pub(super) fn id(call: &Call) -> Result<PluginId> {
    call.param("id").parse().map(PluginId).map_err(|_| not_found())
}

pub(super) fn list(call: &Call, tx: &Tx, view: &View) -> Result<Reply> {
    let organization = enter(call, tx)?;
    let paging = Paging::of(call);
    let all = visible(tx, organization, view)?;
    let total = all.len() as u64;
    let page = paging.cut(all);
    let rows = page.iter().map(|found| found.wire(tx));
    paging.reply(call, total, &rows.collect::<Result<Vec<Wire<'_>>>>()?)
}

/// What is sent as source is stored at once; what an address names is fetched first, outside the store.
pub(super) async fn post(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    installed(app, call, |found, tx| Reply::created(&found.wire(tx)?)).await
}

/// Installs what the body describes, and gives what `then` makes of it.
pub(super) async fn installed<T: Send + 'static>(
    app: Arc<App>,
    call: Arc<Call>,
    then: impl Fn(&Loaded, &WriteTx) -> Result<T> + Send + 'static,
) -> Result<T> {
    let url = app.store.read(|tx| commands::url_to_fetch(&call, tx, again(&call, tx)?, call.input()))?;
    let package = match url {
        Some(url) => Some(install::fetch(&app, &call, &url).await?),
        None => None,
    };
    let write = app.store.write(move |tx| {
        // Looked up again: somebody may have been faster, or the caller shown out meanwhile.
        let at = again(&call, tx)?;
        then(&commands::install(&call, tx, at, call.input(), package.as_ref())?, tx)
    });
    write.await
}

pub(super) fn show(call: &Call, tx: &Tx, view: &View) -> Result<Reply> {
    let organization = enter(call, tx)?;
    Reply::ok(&find(tx, organization, id(call)?, view)?.wire(tx)?)
}

pub(super) fn patch(call: &Call, tx: &WriteTx, view: &View) -> Result<Reply> {
    let at = call.place.in_organization()?;
    let found = commands::update(call, tx, at, (id(call)?, view), call.input())?;
    Reply::ok(&found.wire(tx)?)
}

pub(super) fn delete(call: &Call, tx: &WriteTx, view: &View) -> Result<Reply> {
    commands::uninstall(call, tx, call.place.in_organization()?, (id(call)?, view))?;
    Reply::no_content()
}

pub(super) fn show_activity(call: &Call, tx: &Tx) -> Result<Reply> {
    let organization = enter(call, tx)?;
    audit::page_of_scope(call, tx, organization, audit::scope::PLUGIN)
}

/// Plugins are not configured here, so none would go with an exports subscription.
pub(super) fn exports_unsubscribe_configs(call: &Call, tx: &Tx) -> Result<Reply> {
    enter(call, tx)?;
    Reply::ok(&[(); 0])
}

/// Plugins are not configured here, so all that are seen are unused.
pub(super) fn unused(call: &Call, tx: &Tx) -> Result<Reply> {
    let organization = enter(call, tx)?;
    let all = visible(tx, organization, &VIEWS[0])?;
    Reply::ok(&all.iter().map(|found| found.id).collect::<Vec<PluginId>>())
}
