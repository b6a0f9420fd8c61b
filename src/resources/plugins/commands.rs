//! What can be done with a plugin, whoever does it. An installation fetches first, outside of any transaction; what is
//! here runs inside of one.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::form::{
    CAPABILITIES, CONFIG_SCHEMA, DESCRIPTION, FIELDS, ICON, IS_GLOBAL, METRICS, NAME, NEW, PLUGIN_TYPE,
    PUBLIC_JOBS, URL, VERSION_TAG,
};
use super::package::{MANIFEST, Manifest, Package};
use super::source::{self, Files};
use super::views::{VIEWS, View};
use super::{
    BY_URL, INSTALL, Loaded, PLUGINS, Plugin, ROOT, address, capabilities, find, find_own, find_to_change,
    install as installing, refused, replace, require_access,
};
use crate::api::fields::Checked;
use crate::api::{Ctx, Form, InOrganization, Input, Level};
use crate::error::{Result, denied, invalid};
use crate::ids::PluginId;
use crate::resources::audit::{self, Change, scope};
use crate::store::{Json, Tx, WriteTx};

/// A plugin by its number, in the view that it is named in.
type Named<'a> = (PluginId, &'a View);

/// Installs a plugin: of what was sent, or of the package that was fetched from its address.
///
/// # Errors
/// 403 where the organization may not install, or somebody may not install for everybody; 400 for wrong fields, or an
/// address that is installed already.
pub(super) fn install(
    ctx: &Ctx,
    tx: &WriteTx,
    at: InOrganization,
    input: Input<'_>,
    package: Option<&Package>,
) -> Result<Loaded> {
    let Draft { mut plugin, url } = Draft::of(ctx, tx, at, input)?;
    let id = PluginId(tx.next_id("plugins")?);
    if let Some(package) = package {
        plugin.plugin_type = Some(fetched_type(&plugin).to_owned());
        package.put_into(&mut plugin, None);
        source::replace_all(tx, id, &package.files)?;
    }
    let found = Loaded { organization: at.id, id, plugin };
    if url != found.plugin.url
        && let Some(whole) = url
    {
        address::put(ctx, tx, id, &whole)?;
    }
    replace(tx, &found)?;
    audit::record(ctx, tx, at.id, found.change("installed"))?;
    Ok(found)
}

/// The address that has to be fetched before such a plugin can be installed.
///
/// # Errors
/// As for `install`.
pub(super) fn url_to_fetch(
    ctx: &Ctx,
    tx: &Tx,
    at: InOrganization,
    input: Input<'_>,
) -> Result<Option<String>> {
    let Draft { plugin, url } = Draft::of(ctx, tx, at, input)?;
    Ok(if is_source(&plugin) { None } else { url })
}

/// Installs a plugin of what was sent, or of what was fetched from its address.
///
/// # Errors
/// As for a request.
pub fn put_in(
    ctx: &Ctx,
    tx: &WriteTx,
    at: InOrganization,
    input: Input<'_>,
    fetched: Option<&super::Fetched>,
) -> Result<PluginId> {
    Ok(install(ctx, tx, at, input, fetched.map(|fetched| &*fetched.0))?.id)
}

/// All that can be set of a plugin, by field.
pub fn settable(plugin: &Plugin) -> Map<String, Value> {
    let json = |json: &Option<Json>| json.as_ref().map_or(Value::Null, Json::value);
    let pairs: [(&str, Value); 10] = [
        ("plugin_type", plugin.plugin_type.clone().into()),
        ("name", plugin.name.clone().into()),
        ("description", plugin.description.clone().into()),
        ("icon", plugin.icon.clone().into()),
        ("config_schema", plugin.config_schema.value()),
        ("tag", plugin.tag.clone().into()),
        ("is_global", plugin.is_global.into()),
        ("capabilities", plugin.capabilities.value()),
        ("metrics", json(&plugin.metrics)),
        ("public_jobs", json(&plugin.public_jobs)),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The same as it is, and as the input would make it.
///
/// # Errors
/// As for `update`.
pub fn preview(
    tx: &Tx,
    at: InOrganization,
    id: PluginId,
    input: Input<'_>,
) -> Result<[Map<String, Value>; 2]> {
    let level = require_access(tx, at, INSTALL)?;
    let found = find_to_change(tx, at, id, &VIEWS[0])?;
    let mut after = found.plugin.clone();
    let form = input.form(FIELDS)?;
    if form.has(IS_GLOBAL) {
        may_be_global(at, level)?;
    }
    fill(&mut after, form);
    Ok([settable(&found.plugin), settable(&after)])
}

/// Changes what is stored of a plugin, whichever view it is in.
///
/// # Errors
/// As for `update`.
pub fn change(ctx: &Ctx, tx: &WriteTx, at: InOrganization, id: PluginId, input: Input<'_>) -> Result<()> {
    update(ctx, tx, at, (id, &VIEWS[0]), input).map(drop)
}

/// Changes what is stored; nothing is fetched, and the activity log says nothing of it.
///
/// # Errors
/// 404 where there is no such plugin; 403 for that of another organization; otherwise as for `install`.
pub(super) fn update(
    ctx: &Ctx,
    tx: &WriteTx,
    at: InOrganization,
    (id, view): Named<'_>,
    input: Input<'_>,
) -> Result<Loaded> {
    let level = require_access(tx, at, INSTALL)?;
    let mut found = find_to_change(tx, at, id, view)?;
    let before = found.plugin.clone();
    let form = input.form(FIELDS)?;
    if form.has(IS_GLOBAL) {
        may_be_global(at, level)?;
    }
    fill(&mut found.plugin, form);
    found.plugin.updated_at = ctx.now;
    replace(tx, &found)?;
    record_change(ctx, tx, &before, &found, &[])?;
    Ok(found)
}

/// Removes a plugin with its code.
///
/// # Errors
/// As for `update`; 400 for one that is there for everybody.
pub fn remove(ctx: &Ctx, tx: &WriteTx, at: InOrganization, id: PluginId) -> Result<()> {
    uninstall(ctx, tx, at, (id, &VIEWS[0]))
}

/// The same for a view, in which the plugin must be.
///
/// # Errors
/// As for `remove`.
pub(super) fn uninstall(ctx: &Ctx, tx: &WriteTx, at: InOrganization, (id, view): Named<'_>) -> Result<()> {
    require_access(tx, at, INSTALL)?;
    let found = find(tx, at.id, id, view)?.owned_by(at.id)?;
    if found.plugin.is_global {
        return Err(refused("This plugin is marked as global! Make it local before uninstallation"));
    }
    audit::record(ctx, tx, at.id, found.change("uninstalled"))?;
    Ok(tx.delete(&PLUGINS, &(found.organization, found.id))?)
}

/// Changes the files of a plugin. Those that are not named stay, one that is given as null is deleted. The plugin takes
/// its name and its configuration from the new plugin.json.
///
/// # Errors
/// As for `update`; 413 for too much.
pub(super) fn update_source(
    ctx: &Ctx,
    tx: &WriteTx,
    at: InOrganization,
    (id, view): Named<'_>,
    input: Input<'_>,
) -> Result<Files> {
    require_access(tx, at, INSTALL)?;
    let mut found = find_to_change(tx, at, id, view)?;
    let plugin = found.plugin.clone();
    let before = source::all_of(tx, found.id)?;
    let files = source::changed(&before, input.value?)?;
    if files == before {
        return Ok(files);
    }
    if let Some(text) = files.get(MANIFEST) {
        let manifest = Manifest::parse(text)?;
        if let Some(name) = manifest.name()? {
            found.plugin.name = Some(name);
        }
        if let Some(config) = manifest.config()? {
            found.plugin.config_schema = Json::of(config);
        }
    }
    let [old, new] = [&before, &files].map(source::code);
    capabilities::renew(&mut found.plugin.capabilities, old, new);
    found.plugin.updated_at = ctx.now;
    source::replace_all(tx, found.id, &files)?;
    replace(tx, &found)?;
    record_change(ctx, tx, &plugin, &found, &source::differing(&before, &files))?;
    Ok(files)
}

/// Replaces a plugin by the package that was fetched from its address.
///
/// # Errors
/// As for `update`.
pub(super) fn upgrade(
    ctx: &Ctx,
    tx: &WriteTx,
    at: InOrganization,
    (id, view): Named<'_>,
    package: &Package,
) -> Result<Loaded> {
    require_access(tx, at, INSTALL)?;
    let mut found = find_to_change(tx, at, id, view)?;
    let before = found.plugin.clone();
    let old_code = source::index(tx, found.id)?;
    package.put_into(&mut found.plugin, old_code.as_deref());
    found.plugin.updated_at = ctx.now;
    let files = source::all_of(tx, found.id)?;
    source::replace_all(tx, found.id, &package.files)?;
    replace(tx, &found)?;
    record_change(ctx, tx, &before, &found, &source::differing(&files, &package.files))?;
    Ok(found)
}

/// Notes which version is the newest.
///
/// # Errors
/// As for `update`.
pub(super) fn note_latest(
    ctx: &Ctx,
    tx: &WriteTx,
    at: InOrganization,
    (id, view): Named<'_>,
    latest: &str,
) -> Result<Loaded> {
    require_access(tx, at, INSTALL)?;
    let mut found = find_own(tx, at.id, id, view)?;
    let before = found.plugin.clone();
    found.plugin.latest_tag = Some(latest.to_owned());
    replace(tx, &found)?;
    record_change(ctx, tx, &before, &found, &[])?;
    Ok(found)
}

/// A plugin that is to be made, as far as the body says.
struct Draft {
    plugin: Plugin,
    /// The address as it was given.
    url: Option<String>,
}

impl Draft {
    /// What an input says, checked against all rules that need no network.
    fn of(ctx: &Ctx, tx: &Tx, at: InOrganization, input: Input<'_>) -> Result<Draft> {
        let level = require_access(tx, at, INSTALL)?;
        let mut form = input.form(NEW)?;
        if form.peek(IS_GLOBAL) == Some(&Checked::Boolean(true)) {
            may_be_global(at, level)?;
        }
        let url = form.take(URL).flatten().filter(|url| !url.is_empty());
        let mut plugin = blank(ctx);
        fill(&mut plugin, form);
        match &url {
            None if is_source(&plugin) => {}
            None => return Err(invalid("url", "required", "This field is required.")),
            Some(url) if url.matches('?').count() > 1 => {
                return Err(invalid("url", "invalid_input", "An address has one question mark at most."));
            }
            Some(url) => is_free(tx, without_query(url))?,
        }
        plugin.url = url.as_deref().map(|url| without_query(url).to_owned());
        if plugin.url != url {
            ctx.vault.may_seal()?;
        }
        Ok(Draft { plugin, url })
    }
}

fn is_source(plugin: &Plugin) -> bool {
    plugin.plugin_type.as_deref() == Some("source")
}

/// The type of a plugin that was fetched, where another was requested.
fn fetched_type(plugin: &Plugin) -> &'static str {
    let is_local = plugin.url.as_deref().is_some_and(|url| url.starts_with(installing::DIRECTORY));
    match plugin.plugin_type.as_deref() {
        _ if is_local => "local",
        Some("repository") => "repository",
        _ => "custom",
    }
}

/// A url up to its query: what is shown, and what is unique.
pub(super) fn without_query(url: &str) -> &str {
    url.split('?').next().unwrap_or(url)
}

fn is_free(tx: &Tx, url: &str) -> Result<()> {
    if tx.has(&BY_URL, &url.to_owned())? {
        return Err(refused(format!("Plugin from URL \"{url}\" already installed!")));
    }
    Ok(())
}

/// What is global is shown to every organization: only admins of one with that right decide on it.
fn may_be_global(at: InOrganization, level: u8) -> Result<()> {
    if level < ROOT {
        return Err(denied("This organization can't manage global plugins!"));
    }
    at.level.require(Level::Admin)
}

fn blank(ctx: &Ctx) -> Plugin {
    Plugin {
        plugin_type: None,
        name: None,
        description: None,
        url: None,
        icon: None,
        config_schema: Json::of(&json!({})),
        tag: None,
        latest_tag: None,
        is_global: false,
        capabilities: Json::of(&json!({})),
        metrics: Some(Json::of(&json!({}))),
        public_jobs: Some(Json::of(&json!({}))),
        archive: None,
        created_at: ctx.now,
        updated_at: ctx.now,
    }
}

/// Writes what was sent over a plugin.
fn fill(plugin: &mut Plugin, mut form: Form) {
    form.set(PLUGIN_TYPE, &mut plugin.plugin_type);
    form.set(NAME, &mut plugin.name);
    form.set(DESCRIPTION, &mut plugin.description);
    form.set(ICON, &mut plugin.icon);
    form.set(CONFIG_SCHEMA, &mut plugin.config_schema);
    form.set(VERSION_TAG, &mut plugin.tag);
    form.set(IS_GLOBAL, &mut plugin.is_global);
    form.set(CAPABILITIES, &mut plugin.capabilities);
    form.set(METRICS, &mut plugin.metrics);
    form.set(PUBLIC_JOBS, &mut plugin.public_jobs);
    form.finish();
}

/// What the audit log compares before and after a change of a plugin.
#[derive(Serialize)]
struct Audited<'a> {
    name: &'a Option<String>,
    description: &'a Option<String>,
    plugin_type: &'a Option<String>,
    icon: &'a Option<String>,
    tag: &'a Option<String>,
    latest_tag: &'a Option<String>,
    is_global: bool,
    config_schema: &'a Json,
    capabilities: &'a Json,
    metrics: &'a Option<Json>,
    public_jobs: &'a Option<Json>,
}

fn audited(plugin: &Plugin) -> Audited<'_> {
    Audited {
        name: &plugin.name,
        description: &plugin.description,
        plugin_type: &plugin.plugin_type,
        icon: &plugin.icon,
        tag: &plugin.tag,
        latest_tag: &plugin.latest_tag,
        is_global: plugin.is_global,
        config_schema: &plugin.config_schema,
        capabilities: &plugin.capabilities,
        metrics: &plugin.metrics,
        public_jobs: &plugin.public_jobs,
    }
}

/// Writes a change into the audit log, under a scope of its own: the activity page of plugins says when they come and
/// go. Of code, the names of the `files` that changed are said.
fn record_change(ctx: &Ctx, tx: &WriteTx, before: &Plugin, after: &Loaded, files: &[&str]) -> Result<()> {
    let mut changes = audit::differences(scope::PLUGIN_CONFIG, &audited(before), &audited(&after.plugin))?;
    if !files.is_empty() {
        changes.push(audit::field_change(
            scope::PLUGIN_CONFIG,
            "source",
            Value::Null,
            json!(files),
            "changed",
        ));
    }
    let name = after.plugin.name.as_deref().unwrap_or_default();
    let change = Change::updated(scope::PLUGIN_CONFIG, after.id, name, changes);
    audit::record(ctx, tx, after.organization, change)
}
