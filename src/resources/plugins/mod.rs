//! Plugins: the catalogue of each organization, and four pipeline views of it.
//!
//! A plugin's code is data here: stored, served as JSON and searched for names, never run.
//! Invariant: an address, without its query, is installed once on the instance; a plugin is seen by
//! its own organization, or by all where it is global, and changed by its own only; the access token in
//! an address is sealed, kept apart from the plugin and never shown.

pub(super) mod address;
mod archive;
mod capabilities;
pub mod commands;
mod directory;
mod form;
mod handlers;
mod install;
mod location;
mod package;
pub(super) mod repository;
mod routes;
pub(super) mod source;
mod views;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::audit::{Change, scope};
use super::integrity::expect;
use super::secrets::Look;
use super::{Resource, organizations};
use crate::api::{Call, Ctx, InOrganization, Level};
use crate::app::App;
use crate::clock::{Ids, Time};
use crate::error::{Error, Result, denied, invalid_body, not_found};
use crate::ids::{OrganizationId, PluginId};
use crate::store::{Index, Json, Order, Parent, Problems, Table, Tx, WriteTx};
use crate::vault::Vault;
pub use commands::{preview, put_in, settable};
pub use form::NEW;
use views::View;

pub static RESOURCE: Resource = Resource::of(routes::all)
    .tables(&[&PLUGINS, &address::PRIVATE_URLS, &source::FILES, &repository::LISTS])
    .samples(samples)
    .checks(&[check])
    .seals(&[show_sealed]);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plugin {
    pub plugin_type: Option<String>,
    pub name: Option<String>,
    pub description: Option<String>,
    /// Without its query, which may hold a token.
    pub url: Option<String>,
    pub icon: Option<String>,
    pub config_schema: Json,
    pub tag: Option<String>,
    pub latest_tag: Option<String>,
    pub is_global: bool,
    pub capabilities: Json,
    pub metrics: Option<Json>,
    pub public_jobs: Option<Json>,
    /// What was downloaded, where something was.
    pub archive: Option<Archive>,
    pub created_at: Time,
    pub updated_at: Time,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Archive {
    pub sha256: [u8; 32],
    pub bytes: u64,
}

/// By the organization that owns the installation, and number.
pub(super) static PLUGINS: Table<(OrganizationId, PluginId), Plugin> = Table::new("plugins")
    .indexed(&[&BY_NUMBER, &GLOBAL, &BY_URL])
    .belongs_to(&[&Parent::of(&organizations::ORGANIZATIONS, |organization| *organization)]);
/// The organization of each plugin.
static BY_NUMBER: Index<(OrganizationId, PluginId), Plugin, PluginId, OrganizationId> =
    Index::unique("plugins_by_number", |(organization, id), _| Some((*id, *organization)));
/// The organization of each plugin that is there for everybody.
static GLOBAL: Index<(OrganizationId, PluginId), Plugin, PluginId, OrganizationId> =
    Index::unique("plugins_global", |(organization, id), plugin| {
        plugin.is_global.then_some((*id, *organization))
    });
/// By address without its query.
static BY_URL: Index<(OrganizationId, PluginId), Plugin, String, PluginId> =
    Index::unique("plugins_by_url", |(_, id), plugin| Some((plugin.url.clone()?, *id)));

/// What an organization may do with plugins: look at them, install them, install them for everybody.
const CONFIG: u8 = 3;
const INSTALL: u8 = 6;
const ROOT: u8 = 9;

/// A plugin with its place.
struct Loaded {
    /// The one that owns the installation.
    organization: OrganizationId,
    id: PluginId,
    plugin: Plugin,
}

impl Loaded {
    fn change(&self, activity: &'static str) -> Change {
        let change = Change::of(scope::PLUGIN, activity, self.id);
        match &self.plugin.name {
            Some(name) => change.named(name),
            None => change,
        }
    }

    /// 403 for a global plugin of somebody else: it can be looked at only.
    fn owned_by(self, organization: OrganizationId) -> Result<Loaded> {
        if self.organization == organization {
            return Ok(self);
        }
        Err(denied("This plugin installation is managed by another organization"))
    }
}

/// A plugin that an organization sees, and whether it is its own.
pub struct Seen {
    pub id: PluginId,
    pub plugin: Plugin,
    pub is_own: bool,
}

impl Seen {
    fn of(found: Loaded, organization: OrganizationId) -> Seen {
        Seen { id: found.id, plugin: found.plugin, is_own: found.organization == organization }
    }
}

/// The plugins that the organization sees.
///
/// # Errors
/// 403 where it may not look at plugins.
pub fn seen_in(tx: &Tx, at: InOrganization) -> Result<Vec<Seen>> {
    require_access(tx, at, CONFIG)?;
    let all = visible(tx, at.id, &views::VIEWS[0])?;
    Ok(all.into_iter().map(|found| Seen::of(found, at.id)).collect())
}

/// One of them.
///
/// # Errors
/// 403 where the organization may not look at plugins; 404 where it does not see this one.
pub fn seen(tx: &Tx, at: InOrganization, id: PluginId) -> Result<Seen> {
    require_access(tx, at, CONFIG)?;
    Ok(Seen::of(find(tx, at.id, id, &views::VIEWS[0])?, at.id))
}

/// The plugins that an organization has installed itself, by number.
///
/// # Errors
/// None but of the data file.
pub fn own_of(tx: &Tx, organization: OrganizationId) -> Result<Vec<(PluginId, Plugin)>> {
    let own = tx.scan(&PLUGINS, &organization, Order::Ascending)?;
    Ok(own.into_iter().map(|((_, id), plugin)| (id, plugin)).collect())
}

/// What is installed from elsewhere, once it was fetched.
#[derive(Clone)]
pub struct Fetched(Arc<package::Package>);

/// Fetches the plugin that an address names, as far as the actor may see it.
///
/// # Errors
/// 400 where the address holds no plugin; 429 and 503 where many are fetched.
pub async fn fetch(app: &Arc<App>, ctx: &Ctx, url: &str) -> Result<Fetched> {
    Ok(Fetched(Arc::new(install::fetch(app, ctx, url).await?)))
}

/// The source of an own plugin, where the organization may look at it.
///
/// # Errors
/// None but of the data file.
pub fn source_of(tx: &Tx, at: InOrganization, seen: &Seen) -> Result<Option<source::Files>> {
    let is_shown = seen.is_own && may_install(tx, at)?;
    if is_shown { source::all_of(tx, seen.id).map(Some) } else { Ok(None) }
}

/// Whether the organization may install plugins.
///
/// # Errors
/// None but of the data file.
pub fn may_install(tx: &Tx, at: InOrganization) -> Result<bool> {
    Ok(organizations::find(tx, at.id)?.plugins_access_level >= INSTALL)
}

/// Installs the plugin that a body describes: fetches it first, where it is not sent.
///
/// # Errors
/// As for `commands::install`; 400 where the address holds no plugin, 429 and 503 where many are fetched.
pub async fn install(app: Arc<App>, call: Arc<Call>) -> Result<PluginId> {
    handlers::installed(app, call, |found, _| Ok(found.id)).await
}

/// What the organization may do with plugins, where that is `least` or more.
fn require_access(tx: &Tx, at: InOrganization, least: u8) -> Result<u8> {
    let level = organizations::find(tx, at.id)?.plugins_access_level;
    if level < least {
        return Err(denied("Your organization's plugin access level is insufficient."));
    }
    Ok(level)
}

/// 400 for what no single field is to blame for.
fn refused(detail: impl Into<crate::error::Text>) -> Error {
    invalid_body("invalid_input", detail)
}

/// A plugin, if the organization and the view show it, or 404.
fn find(tx: &Tx, organization: OrganizationId, id: PluginId, view: &View) -> Result<Loaded> {
    let found = get(tx, id)?.ok_or_else(not_found)?;
    let is_seen = found.organization == organization || found.plugin.is_global;
    let is_shown = is_seen && (view.admits)(&found.plugin.capabilities);
    if is_shown { Ok(found) } else { Err(not_found()) }
}

/// A plugin, if the organization owns it, or 404.
fn find_own(tx: &Tx, organization: OrganizationId, id: PluginId, view: &View) -> Result<Loaded> {
    let found = find(tx, organization, id, view)?;
    if found.organization == organization { Ok(found) } else { Err(not_found()) }
}

/// A plugin, for somebody who may change it: what every organization sees is its admins' to change.
fn find_to_change(tx: &Tx, at: InOrganization, id: PluginId, view: &View) -> Result<Loaded> {
    let found = find(tx, at.id, id, view)?.owned_by(at.id)?;
    if found.plugin.is_global {
        at.require(Level::Admin)?;
    }
    Ok(found)
}

fn get(tx: &Tx, id: PluginId) -> Result<Option<Loaded>> {
    let Some(organization) = tx.get(&BY_NUMBER, &id)? else { return Ok(None) };
    let plugin = tx.get(&PLUGINS, &(organization, id))?;
    Ok(plugin.map(|plugin| Loaded { organization, id, plugin }))
}

/// The organization's own plugins and everybody's global ones, by number.
fn visible(tx: &Tx, organization: OrganizationId, view: &View) -> Result<Vec<Loaded>> {
    let own = tx.scan(&PLUGINS, &organization, Order::Ascending)?;
    let mut all: Vec<Loaded> =
        own.into_iter().map(|((organization, id), plugin)| Loaded { organization, id, plugin }).collect();
    for (id, owner) in tx.all(&GLOBAL)? {
        if owner != organization {
            all.extend(get(tx, id)?);
        }
    }
    all.retain(|found| (view.admits)(&found.plugin.capabilities));
    all.sort_by_key(|found| found.id);
    Ok(all)
}

fn replace(tx: &WriteTx, found: &Loaded) -> Result<()> {
    Ok(tx.put(&PLUGINS, &(found.organization, found.id), &found.plugin)?)
}

/// Seals what older files hold open.
pub fn seal_all(vault: &Vault, ids: &Ids, tx: &WriteTx) -> Result<()> {
    address::seal_all(vault, ids, tx)
}

/// Shows every sealed address.
fn show_sealed(tx: &Tx, look: Look<'_>) -> Result<()> {
    address::show_sealed(tx, look)
}

/// A plugin with a sealed address shows it without its query.
fn check(tx: &Tx, problems: &mut Problems) -> Result<()> {
    for ((_, id), plugin) in tx.all(&PLUGINS)? {
        let is_shown = plugin.url.is_some() || !tx.has(&address::PRIVATE_URLS, &id)?;
        expect(problems, is_shown, || format!("plugin {id} has a sealed address, but none that is shown"));
    }
    Ok(())
}

fn samples(all: &mut super::samples::Samples) {
    use super::samples::{HASH, NOW, ONE, text};
    let json = Json::of(&serde_json::json!({"a": [1, null]}));
    all.add(
        &PLUGINS,
        (ONE.into(), PluginId(7)),
        Plugin {
            plugin_type: Some(text("custom")),
            name: Some(text("n")),
            description: Some(text("d")),
            url: Some(text("https://github.com/u/r")),
            icon: None,
            config_schema: json.clone(),
            tag: Some(text("t")),
            latest_tag: Some(text("l")),
            is_global: true,
            capabilities: json.clone(),
            metrics: Some(json.clone()),
            public_jobs: None,
            archive: Some(Archive { sha256: HASH, bytes: 300 }),
            created_at: NOW,
            updated_at: NOW,
        },
    );
    let sealed = address::Address::Sealed(crate::vault::Sealed::sample());
    all.add(&address::PRIVATE_URLS, PluginId(7), sealed);
    all.add(&source::FILES, (PluginId(7), text("index.ts")), text("code"));
    let list = repository::List { text: text("[]"), fetched_at: NOW };
    all.add(&repository::LISTS, text("https://example.com/list.json"), list);
    address::sample_variants(all);
}
