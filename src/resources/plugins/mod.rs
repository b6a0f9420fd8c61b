//! Plugins: the catalogue of each organization, and four pipeline views of it.
//!
//! A plugin's code is data here: stored, served as JSON and searched for names, never run.
//! Invariant: an address, without its query, is installed once on the instance; a plugin is seen by
//! its own organization, or by all where it is global, and changed by its own only; the access token in
//! an address is sealed, kept apart from the plugin and never shown.

pub(super) mod address;
mod archive;
mod capabilities;
mod directory;
mod install;
mod location;
mod package;
pub(super) mod repository;
pub(super) mod source;
mod views;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::audit::{self, Change, scope};
use super::integrity::expect;
use super::secrets::Look;
use super::{Resource, members, organizations, places};
use crate::api::fields::{Checked, python_type_name};
use crate::api::{Call, Ctx, Field, FieldInfo, Form, Level, Paging, Place, Reply, Within};
use crate::app::{App, Route, async_, read, scope, tagged, write};
use crate::clock::{Ids, Time};
use crate::error::{Error, Result, denied, invalid, invalid_body, not_found};
use crate::ids::{OrganizationId, PluginId};
use crate::store::{Index, Json, Order, Parent, Problems, Table, Tx, WriteTx};
use crate::vault::Vault;
use views::{VIEWS, View};

pub static RESOURCE: Resource = Resource::of(routes)
    .tables(&[&PLUGINS, &address::PRIVATE_URLS, &source::FILES, &repository::LISTS])
    .samples(samples)
    .checks(&[check])
    .seals(&[show_sealed]);

fn routes() -> Vec<Route> {
    VIEWS
        .iter()
        .flat_map(|view| {
            tagged(view.tag, [routes_of_all(view), routes_of_one(view)].into_iter().flatten().collect())
        })
        .collect()
}

fn routes_of_one(view: &'static View) -> Vec<Route> {
    let at = |tail: &str| format!("/api/organizations/{{organization_id}}/{}/{tail}", view.segment);
    let (reads, writes) = (scope("plugin:read"), scope("plugin:write"));
    let home = Within::Organization("organization_id");
    vec![
        Route::get(at("{id}/"), reads, home, read(|call, tx| show(call, tx, view)))
            .responds(200, FIELDS)
            .about("Retrieve a plugin", "With what its code defines as `capabilities`."),
        Route::put(at("{id}/"), writes, home, write(|call, tx| update(call, tx, view)))
            .accepts(FIELDS)
            .responds(200, FIELDS)
            .about("Replace a plugin's settings", "The `url` never changes."),
        Route::patch(at("{id}/"), writes, home, write(|call, tx| update(call, tx, view)))
            .accepts(FIELDS)
            .responds(200, FIELDS)
            .about("Change a plugin", "Only the fields that are sent change; the `url` never does."),
        Route::delete(at("{id}/"), writes, home, write(|call, tx| remove(call, tx, view)))
            .responds_nothing()
            .about("Remove a plugin", "With its code."),
        Route::get(at("{id}/source/"), reads, home, read(|call, tx| source::show(call, tx, view)))
            .works_in(source::WORK_BYTES)
            .about("Show a plugin's code", "An object of file names and their texts."),
        Route::patch(
            at("{id}/update_source/"),
            writes,
            home,
            write(|call, tx| source::update(call, tx, view)),
        )
        .works_in(source::WORK_BYTES)
        .about(
            "Change a plugin's code",
            "Takes an object of file names and their texts, for plugins of the type `source`; \
             null removes a file.",
        ),
        Route::get(
            at("{id}/check_for_updates/"),
            reads,
            home,
            async_(move |app, call| install::check_for_updates(app, call, view)),
        )
        .responds(200, UPDATES)
        .about(
            "Look for a newer version",
            "Asks where the plugin came from; `latest_tag` in the answer says what is there. What \
             is installed stays.",
        ),
        Route::post(
            at("{id}/upgrade/"),
            writes,
            home,
            async_(move |app, call| install::upgrade(app, call, view)),
        )
        .responds(200, FIELDS)
        .about("Install the newest version", "Fetches the code anew from where the plugin came from."),
    ]
}

fn routes_of_all(view: &'static View) -> Vec<Route> {
    let at = |tail: &str| format!("/api/organizations/{{organization_id}}/{}/{tail}", view.segment);
    let (reads, writes) = (scope("plugin:read"), scope("plugin:write"));
    let home = Within::Organization("organization_id");
    vec![
        Route::get(at(""), reads, home, read(|call, tx| list(call, tx, view))).responds_page(FIELDS).about(
            "List plugins",
            "Those of the organization and those that are there for everybody, as far as this \
             view shows them.",
        ),
        Route::post(at(""), writes, home, async_(create)).accepts(NEW).responds(201, FIELDS).about(
            "Install a plugin",
            "From a `url` (GitHub, GitLab, npm, a local folder), or empty with `plugin_type` \
             `source`. Its code is stored and searched, never run.",
        ),
        Route::get(at("activity/"), reads, home, read(show_activity))
            .about("List the activity of plugins", "Installs, changes and removals, the newest first.")
            .queries(&[("page", "Which page, from 1 on."), ("limit", "How many entries a page has.")]),
        Route::get(at("exports_unsubscribe_configs/"), reads, home, read(exports_unsubscribe_configs))
            .about("List configurations that unsubscribe", "Always empty: plugins are not configured here."),
        Route::get(at("repository/"), reads, home, async_(repository::show)).about(
            "List well-known plugins",
            "The list that `ORGD_PLUGIN_REPOSITORY_URL` names, by default PostHog's.",
        ),
        Route::get(at("unused/"), reads, home, read(unused))
            .about("List unused plugins", "The numbers of all plugins: none is configured here."),
    ]
}

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

const PLUGIN_TYPE: Field<Option<String>> = Field::text_choice("plugin_type", is_plugin_type).nullable();
const NAME: Field<Option<String>> = Field::text("name", 200).blank().nullable();
const DESCRIPTION: Field<Option<String>> = Field::long_text("description").blank().nullable();
const URL: Field<Option<String>> = Field::text("url", 800).blank().nullable();
const ICON: Field<Option<String>> = Field::text("icon", 800).blank().nullable();
const CONFIG_SCHEMA: Field<Json> = Field::json("config_schema");
const VERSION_TAG: Field<Option<String>> = Field::text("tag", 200).blank().nullable();
const IS_GLOBAL: Field<bool> = Field::boolean("is_global");
const CAPABILITIES: Field<Json> = Field::json("capabilities").rule(is_object);
const METRICS: Field<Option<Json>> = Field::json("metrics").nullable();
const PUBLIC_JOBS: Field<Option<Json>> = Field::json("public_jobs").nullable();

const FIELDS: &[FieldInfo] = &fields(URL.read_only());
/// The url decides what a new plugin is; later it can't be changed.
const NEW: &[FieldInfo] = &fields(URL.info());
const UPDATES: &[FieldInfo] = &[Field::object("plugin", FIELDS).read_only()];

const fn fields(url: FieldInfo) -> [FieldInfo; 15] {
    [
        Field::integer("id", 0, i64::MAX).read_only(),
        PLUGIN_TYPE.info(),
        NAME.info(),
        DESCRIPTION.info(),
        url,
        ICON.info(),
        CONFIG_SCHEMA.info(),
        VERSION_TAG.info(),
        Field::text("latest_tag", 800).nullable().read_only(),
        IS_GLOBAL.info(),
        Field::uuid("organization_id").read_only(),
        Field::text("organization_name", organizations::NAME_CHARS_MAX).read_only(),
        CAPABILITIES.info(),
        METRICS.info(),
        PUBLIC_JOBS.info(),
    ]
}

fn is_plugin_type(text: &str) -> bool {
    ["", "local", "custom", "repository", "source", "inline"].contains(&text)
}

fn is_object(attr: &'static str, value: &Checked) -> Result<()> {
    match value {
        Checked::Json(Value::Object(_)) => Ok(()),
        Checked::Json(other) => {
            let detail =
                format!("Expected a dictionary of items but got type \"{}\".", python_type_name(other));
            Err(invalid(attr, "not_a_dict", detail))
        }
        _ => Ok(()),
    }
}

#[derive(Serialize)]
struct Wire<'a> {
    id: PluginId,
    plugin_type: Option<&'a str>,
    name: Option<&'a str>,
    description: Option<&'a str>,
    url: Option<&'a str>,
    icon: Option<&'a str>,
    config_schema: &'a Json,
    tag: Option<&'a str>,
    latest_tag: Option<&'a str>,
    is_global: bool,
    organization_id: OrganizationId,
    organization_name: String,
    capabilities: &'a Json,
    metrics: &'a Option<Json>,
    public_jobs: &'a Option<Json>,
}

/// A plugin with its place.
struct Loaded {
    /// The one that owns the installation.
    organization: OrganizationId,
    id: PluginId,
    plugin: Plugin,
}

impl Loaded {
    fn wire(&self, tx: &Tx) -> Result<Wire<'_>> {
        let Loaded { organization, id, plugin } = self;
        Ok(Wire {
            id: *id,
            plugin_type: plugin.plugin_type.as_deref(),
            name: plugin.name.as_deref(),
            description: plugin.description.as_deref(),
            url: plugin.url.as_deref(),
            icon: plugin.icon.as_deref(),
            config_schema: &plugin.config_schema,
            tag: plugin.tag.as_deref(),
            latest_tag: plugin.latest_tag.as_deref(),
            is_global: plugin.is_global,
            organization_id: *organization,
            organization_name: organizations::find(tx, *organization)?.name,
            capabilities: &plugin.capabilities,
            metrics: &plugin.metrics,
            public_jobs: &plugin.public_jobs,
        })
    }

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

fn list(call: &Call, tx: &Tx, view: &View) -> Result<Reply> {
    let (organization, _) = enter(call, tx)?;
    let paging = Paging::of(call);
    let all = visible(tx, organization, view)?;
    let total = all.len() as u64;
    let page = paging.cut(all);
    let rows = page.iter().map(|found| found.wire(tx));
    paging.reply(call, total, &rows.collect::<Result<Vec<Wire<'_>>>>()?)
}

/// What is sent as source is stored at once; what an address names is fetched first, outside the store.
async fn create(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    let url = app.store.read(|tx| Draft::of(&call, tx))?.url_to_fetch();
    let package = match url {
        Some(url) => Some(install::fetch(&app, &call, &url).await?),
        None => None,
    };
    let write = app.store.write(move |tx| {
        // Asked again: somebody may have been faster, or the caller shown out meanwhile.
        let Draft { organization, mut plugin, url } = Draft::of(&call, tx)?;
        let id = PluginId(tx.next_id("plugins")?);
        if let Some(package) = &package {
            plugin.plugin_type = Some(fetched_type(&plugin).to_owned());
            package.put_into(&mut plugin, None);
            source::replace_all(tx, id, &package.files)?;
        }
        let found = Loaded { organization, id, plugin };
        insert(&call, tx, &found, url)?;
        audit::record(&call, tx, organization, found.change("installed"))?;
        Reply::created(&found.wire(tx)?)
    });
    write.await
}

/// A plugin that is to be made, as far as the body says.
struct Draft {
    organization: OrganizationId,
    plugin: Plugin,
    /// The address as it was given.
    url: Option<String>,
}

impl Draft {
    /// The body, checked against all rules that need no network.
    fn of(call: &Call, tx: &Tx) -> Result<Draft> {
        let (organization, level) = enter_again(call, tx)?;
        let mut form = call.form(NEW)?;
        if form.peek(IS_GLOBAL) == Some(&Checked::Boolean(true)) {
            may_be_global(call, tx, level)?;
        }
        let url = form.take(URL).flatten().filter(|url| !url.is_empty());
        let mut plugin = blank(call);
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
            call.vault.may_seal()?;
        }
        Ok(Draft { organization, plugin, url })
    }

    fn url_to_fetch(self) -> Option<String> {
        if is_source(&self.plugin) { None } else { self.url }
    }
}

fn is_source(plugin: &Plugin) -> bool {
    plugin.plugin_type.as_deref() == Some("source")
}

/// The type of a plugin that was fetched, where another was requested.
fn fetched_type(plugin: &Plugin) -> &'static str {
    let is_local = plugin.url.as_deref().is_some_and(|url| url.starts_with(install::DIRECTORY));
    match plugin.plugin_type.as_deref() {
        _ if is_local => "local",
        Some("repository") => "repository",
        _ => "custom",
    }
}

/// A url up to its query: what is shown, and what is unique.
fn without_query(url: &str) -> &str {
    url.split('?').next().unwrap_or(url)
}

fn is_free(tx: &Tx, url: &str) -> Result<()> {
    if tx.has(&BY_URL, &url.to_owned())? {
        return Err(refused(format!("Plugin from URL \"{url}\" already installed!")));
    }
    Ok(())
}

/// What is global is shown to every organization: only admins of one with that right decide on it.
fn may_be_global(call: &Call, tx: &Tx, level: u8) -> Result<()> {
    if level < ROOT {
        return Err(denied("This organization can't manage global plugins!"));
    }
    let organization = call.place.in_organization()?.id;
    require_admin(call, tx, organization)
}

/// As things are in this transaction: the caller may have lost their level since the journey began.
fn require_admin(ctx: &Ctx, tx: &Tx, organization: OrganizationId) -> Result<()> {
    let level = members::level_of(tx, organization, ctx.user()?)?.ok_or_else(not_found)?;
    level.require(Level::Admin)
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

fn show(call: &Call, tx: &Tx, view: &View) -> Result<Reply> {
    let (organization, _) = enter(call, tx)?;
    Reply::ok(&find(call, tx, organization, view)?.wire(tx)?)
}

/// Changes what is stored; nothing is fetched, and the activity log tells nothing of it.
fn update(call: &Call, tx: &WriteTx, view: &View) -> Result<Reply> {
    let (organization, level) = enter(call, tx)?;
    let mut found = find_to_change(call, tx, organization, view)?;
    let form = call.form(FIELDS)?;
    if form.has(IS_GLOBAL) {
        may_be_global(call, tx, level)?;
    }
    fill(&mut found.plugin, form);
    found.plugin.updated_at = call.now;
    replace(tx, &found)?;
    Reply::ok(&found.wire(tx)?)
}

fn remove(call: &Call, tx: &WriteTx, view: &View) -> Result<Reply> {
    let (organization, _) = enter(call, tx)?;
    let found = find(call, tx, organization, view)?.owned_by(organization)?;
    if found.plugin.is_global {
        return Err(refused("This plugin is marked as global! Make it local before uninstallation"));
    }
    audit::record(call, tx, organization, found.change("uninstalled"))?;
    tx.delete(&PLUGINS, &(found.organization, found.id))?;
    Reply::no_content()
}

fn show_activity(call: &Call, tx: &Tx) -> Result<Reply> {
    let (organization, _) = enter(call, tx)?;
    audit::page_of_scope(call, tx, organization, scope::PLUGIN)
}

/// Plugins are not configured here, so none would go with an exports subscription.
fn exports_unsubscribe_configs(call: &Call, tx: &Tx) -> Result<Reply> {
    enter(call, tx)?;
    Reply::ok(&[(); 0])
}

/// Plugins are not configured here, so all that are seen are unused.
fn unused(call: &Call, tx: &Tx) -> Result<Reply> {
    let (organization, _) = enter(call, tx)?;
    let all = visible(tx, organization, &VIEWS[0])?;
    Reply::ok(&all.iter().map(|found| found.id).collect::<Vec<PluginId>>())
}

/// The organization of the path and what it may do with plugins: a member's first step into any view.
fn enter(call: &Call, tx: &Tx) -> Result<(OrganizationId, u8)> {
    enter_at(call, tx, call.place)
}

/// The same in a transaction that is opened after a while.
fn enter_again(call: &Call, tx: &Tx) -> Result<(OrganizationId, u8)> {
    enter_at(call, tx, places::again(tx, call)?)
}

fn enter_at(call: &Call, tx: &Tx, place: Place) -> Result<(OrganizationId, u8)> {
    let organization = place.in_organization()?.id;
    let level = organizations::find(tx, organization)?.plugins_access_level;
    let least = if call.method.is_safe() { CONFIG } else { INSTALL };
    if level < least {
        return Err(denied("Your organization's plugin access level is insufficient."));
    }
    Ok((organization, level))
}

/// For what is read only by those who may install: the source, and whether there is a newer version.
fn as_installer(
    (organization, level): (OrganizationId, u8),
    otherwise: &'static str,
) -> Result<OrganizationId> {
    if level < INSTALL { Err(denied(otherwise)) } else { Ok(organization) }
}

/// 400 for what no single field is to blame for.
fn refused(detail: impl Into<crate::error::Text>) -> Error {
    invalid_body("invalid_input", detail)
}

/// The plugin of the path, if the organization and the view show it, or 404.
fn find(call: &Call, tx: &Tx, organization: OrganizationId, view: &View) -> Result<Loaded> {
    let id = call.param("id").parse().map(PluginId).map_err(|_| not_found())?;
    let found = get(tx, id)?.ok_or_else(not_found)?;
    let is_seen = found.organization == organization || found.plugin.is_global;
    let is_shown = is_seen && (view.admits)(&found.plugin.capabilities);
    if is_shown { Ok(found) } else { Err(not_found()) }
}

/// The plugin of the path, if the organization owns it, or 404.
fn find_own(call: &Call, tx: &Tx, organization: OrganizationId, view: &View) -> Result<Loaded> {
    let found = find(call, tx, organization, view)?;
    if found.organization == organization { Ok(found) } else { Err(not_found()) }
}

/// The plugin of the path, for somebody who may change it: what every organization sees is its admins' to
/// change.
fn find_to_change(call: &Call, tx: &Tx, organization: OrganizationId, view: &View) -> Result<Loaded> {
    let found = find(call, tx, organization, view)?.owned_by(organization)?;
    if found.plugin.is_global {
        require_admin(call, tx, organization)?;
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

/// Stores a new plugin; `url` is its address as it was given.
fn insert(ctx: &Ctx, tx: &WriteTx, found: &Loaded, url: Option<String>) -> Result<()> {
    if url != found.plugin.url
        && let Some(whole) = url
    {
        address::put(ctx, tx, found.id, &whole)?;
    }
    replace(tx, found)
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
