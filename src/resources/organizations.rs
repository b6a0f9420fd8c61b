//! Organizations.
//! Invariant: a slug is unique on the instance and never changes; an organization has an owner.

mod settings;
mod slugs;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::audit::{self, Change, scope as scopes};
use super::{Resource, members, projects, users};
use crate::api::call::parse_uuid;
use crate::api::caller::Via;
use crate::api::{
    Actor, Call, Ctx, Field, FieldInfo, Form, InOrganization, Input, Level, Paging, Reply, Within,
};
use crate::app::{Route, Tag, read, scope, tagged, write};
use crate::auth;
use crate::clock::Time;
use crate::error::{Error, Result, forbidden, id_taken, invalid, not_found};
use crate::ids::{OrganizationId, UserId};
use crate::store::{Cacheable, Index, OnConflict, Problems, Table, Tx, WriteTx};

pub use settings::{
    Settings, admits_address, can_invite, default_role, demands_second_factor, let_in, may_create_projects,
    may_give_up_domain, may_invite, on_role_removed, shows_all_members,
};
use slugs::{free_slug, is_slug};

pub static RESOURCE: Resource =
    Resource::of(routes).tables(&[&ORGANIZATIONS]).samples(samples).checks(&[check]);

fn routes() -> Vec<Route> {
    const TAG: Tag = Tag {
        name: "organizations",
        noun: "organization",
        about: "Organizations: who belongs together, and the settings that all its members share.",
    };

    let all = "/api/organizations/";
    let one = "/api/organizations/{id}/";
    let own = Within::OrganizationBy(own);
    let routes = vec![
        Route::get(all, scope("organization:read"), Within::Nothing, read(list))
            .cached()
            .responds_page(FIELDS)
            .about("List organizations", "Those that the caller belongs to and the key reaches."),
        Route::post(all, scope("organization:write"), Within::Nothing, write(post))
            .accepts(FIELDS)
            .responds(201, FIELDS)
            .about(
                "Create an organization",
                "The caller becomes its owner, it gets a first project, and it becomes the caller's \
                 current organization. Keys that are limited to organizations or projects may not.",
            ),
        Route::get(one, scope("organization:read"), own, read(show))
            .cached()
            .responds(200, FIELDS)
            .about("Retrieve an organization", "With the caller's level in it as `membership_level`."),
        Route::put(one, scope("organization:write"), own, write(patch))
            .accepts(FIELDS)
            .responds(200, FIELDS)
            .about("Replace an organization's settings", "From admin level on. The slug never changes."),
        Route::patch(one, scope("organization:write"), own, write(patch))
            .accepts(FIELDS)
            .responds(200, FIELDS)
            .about(
                "Change an organization",
                "Only the fields that are sent change. From admin level on; the slug never changes.",
            ),
        Route::delete(one, scope("organization:write"), own, write(delete)).responds_nothing().about(
            "Delete an organization",
            "With all that it has: projects, events, members' access, invites, roles, exports. \
             Its owners only.",
        ),
    ];
    tagged(TAG, routes)
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Organization {
    pub name: String,
    pub slug: String,
    pub created_at: Time,
    pub updated_at: Time,
    pub is_member_join_email_enabled: bool,
    pub enforce_2fa: Option<bool>,
    /// What the organization may do with plugins; greater may do more.
    pub plugins_access_level: u8,
    pub settings: Settings,
}

/// Public, so that what belongs to an organization can say so. Nobody else writes to it.
pub static ORGANIZATIONS: Table<OrganizationId, Organization> =
    Table::new("organizations").indexed(&[&BY_SLUG]);
static BY_SLUG: Index<OrganizationId, Organization, String, OrganizationId> =
    Index::unique("organizations_by_slug", |id, organization| Some((organization.slug.clone(), *id)));

pub const NAME_CHARS_MAX: usize = 64;
const SLUG_CHARS_MAX: usize = 48;

const NAME: Field<String> = Field::text("name", NAME_CHARS_MAX).required();
const IS_MEMBER_JOIN_EMAIL_ENABLED: Field<bool> = Field::boolean("is_member_join_email_enabled");
const ENFORCE_2FA: Field<Option<bool>> =
    Field::boolean("enforce_2fa").nullable().described("Sessions without a second step get 403.");
pub const FIELDS: &[FieldInfo] = &[
    Field::uuid("id").read_only(),
    NAME.info(),
    Field::text("slug", SLUG_CHARS_MAX).read_only().described("Unique on the instance; never changes."),
    Field::time("created_at").read_only(),
    Field::time("updated_at").read_only(),
    Field::choice("membership_level", crate::api::level::LEVELS).nullable().read_only(),
    Field::choice("plugins_access_level", &[0, 3, 6, 9]).read_only(),
    Field::objects("teams", projects::SHORT).read_only(),
    Field::json("available_product_features").read_only(),
    IS_MEMBER_JOIN_EMAIL_ENABLED.info(),
    Field::json("metadata").read_only(),
    Field::text("customer_id", 200).nullable().read_only(),
    ENFORCE_2FA.info(),
    Field::integer("member_count", 0, i64::MAX).read_only(),
    settings::MEMBERS_CAN_INVITE.info(),
    settings::MEMBERS_CAN_CREATE_PROJECTS.info(),
    settings::MEMBERS_CAN_USE_PERSONAL_API_KEYS.info(),
    settings::MEMBERS_CAN_SEE_ORG_MEMBERS.info(),
    settings::ENFORCE_VERIFIED_DOMAINS.info(),
    settings::ALLOW_PUBLICLY_SHARED_RESOURCES.info(),
    settings::DEFAULT_ROLE_ID.info(),
    settings::DEFAULT_ANONYMIZE_IPS.info(),
    settings::IS_AI_DATA_PROCESSING_APPROVED.info(),
    settings::IS_AI_TRAINING_OPTED_IN.info(),
    settings::READ_ONLY_MCP_ACCESS.info(),
    settings::DEFAULT_EXPERIMENT_STATS_METHOD.info(),
    settings::LOGO_MEDIA_ID.info(),
    Field::objects("projects", PROJECTS).read_only().described("The same as `teams`."),
    Field::boolean("is_ai_training_locked").read_only(),
    Field::boolean("is_ai_training_cta_shown").read_only(),
    Field::boolean("is_active").read_only(),
    Field::text("is_not_active_reason", 200).nullable().read_only(),
    Field::boolean("is_pending_deletion").read_only(),
    Field::boolean("is_hipaa").read_only(),
];

/// The short form of a project, with its organization under a later name as well.
const PROJECTS: &[FieldInfo] = &{
    let mut all = [Field::uuid("organization_id").read_only(); projects::SHORT.len() + 1];
    let mut place = 0;
    while place < projects::SHORT.len() {
        all[place + 1] = projects::SHORT[place];
        place += 1;
    }
    all
};

pub const BASIC: &[FieldInfo] = &[
    Field::uuid("id").read_only(),
    Field::text("name", NAME_CHARS_MAX).read_only(),
    Field::text("slug", SLUG_CHARS_MAX).read_only().described("Unique on the instance; never changes."),
    Field::choice("membership_level", crate::api::level::LEVELS).nullable().read_only(),
];

#[derive(Serialize)]
struct Wire {
    id: OrganizationId,
    name: String,
    slug: String,
    created_at: Time,
    updated_at: Time,
    membership_level: Option<Level>,
    plugins_access_level: u8,
    teams: Vec<projects::Short>,
    /// Features that PostHog sells; all of orgd is free, so there are none to list.
    available_product_features: [(); 0],
    is_member_join_email_enabled: bool,
    metadata: Metadata,
    customer_id: Option<()>,
    enforce_2fa: Option<bool>,
    member_count: u64,
    #[serde(flatten)]
    settings: Settings,
    logo_media_id: Option<()>,
    projects: Vec<ProjectWire>,
    is_ai_training_locked: bool,
    is_ai_training_cta_shown: bool,
    is_active: bool,
    is_not_active_reason: Option<()>,
    is_pending_deletion: bool,
    is_hipaa: bool,
}

/// A project as later clients read it.
#[derive(Serialize)]
struct ProjectWire {
    organization_id: OrganizationId,
    #[serde(flatten)]
    short: projects::Short,
}

#[derive(Serialize)]
struct Metadata {
    instance_tag: &'static str,
}

#[derive(Serialize)]
pub struct Basic {
    pub id: OrganizationId,
    name: String,
    slug: String,
    membership_level: Level,
}

/// The organization as a member sees it, as JSON: what is requested so often, and changed so seldom, is cached. From
/// admin level on it looks the same for everybody, since access control decides nothing there.
pub fn json(tx: &Tx, id: OrganizationId, user: UserId, level: Level) -> Result<Arc<Box<RawValue>>> {
    let viewer = if level < Level::Admin { user } else { UserId(Uuid::nil()) };
    let key = [id.0.as_bytes().as_slice(), viewer.0.as_bytes(), &[level.number()]].concat();
    tx.cached("organization", &key, || Ok(to_raw_value(&wire(tx, id, user, level)?)?))
}

fn wire(tx: &Tx, id: OrganizationId, user: UserId, level: Level) -> Result<Wire> {
    let teams = projects::visible_in(tx, id, user, level)?;
    Ok(wire_of(id, find(tx, id)?, level, teams, members::count(tx, id)?))
}

fn wire_of(
    id: OrganizationId,
    organization: Organization,
    level: Level,
    teams: Vec<projects::Short>,
    member_count: u64,
) -> Wire {
    Wire {
        id,
        name: organization.name,
        slug: organization.slug,
        created_at: organization.created_at,
        updated_at: organization.updated_at,
        membership_level: Some(level),
        plugins_access_level: organization.plugins_access_level,
        projects: teams
            .iter()
            .map(|short| ProjectWire { organization_id: id, short: short.clone() })
            .collect(),
        teams,
        available_product_features: [],
        is_member_join_email_enabled: organization.is_member_join_email_enabled,
        metadata: Metadata { instance_tag: "none" },
        customer_id: None,
        enforce_2fa: organization.enforce_2fa,
        member_count,
        settings: organization.settings,
        logo_media_id: None,
        is_ai_training_locked: false,
        is_ai_training_cta_shown: false,
        is_active: true,
        is_not_active_reason: None,
        is_pending_deletion: false,
        is_hipaa: false,
    }
}

/// The user's organizations in brief.
pub fn basics_of(tx: &Tx, user: UserId) -> Result<Vec<Basic>> {
    let all = members::organizations_of(tx, user)?;
    let basic = |InOrganization { id, level }| {
        let Organization { name, slug, .. } = find(tx, id)?;
        Ok(Basic { id, name, slug, membership_level: level })
    };
    all.into_iter().map(basic).collect()
}

fn list(call: &Call, tx: &Tx) -> Result<Reply> {
    let user = call.user()?;
    let paging = Paging::of(call);
    if matches!(call.actor, Actor::Operator(_)) {
        return list_every(call, tx, user, paging);
    }
    let allowed = match &call.caller()?.via {
        Via::Key(key) => key.organizations.as_slice(),
        Via::Session { .. } => &[],
    };
    let (total, page) = if allowed.is_empty() {
        members::organizations_page(tx, user, paging)?
    } else {
        let mut all = members::organizations_of(tx, user)?;
        all.retain(|at| allowed.contains(&at.id));
        (all.len() as u64, paging.cut(all))
    };
    if total == 0 && allowed.is_empty() {
        return Err(Error::NotFound("You need to belong to an organization.".into()));
    }
    let rows = page
        .into_iter()
        .map(|InOrganization { id, level }| json(tx, id, user, level))
        .collect::<Result<Vec<_>>>()?;
    paging.reply(call, total, &rows.iter().map(|row| &***row).collect::<Vec<&RawValue>>())
}

/// All of the instance, as an owner sees them.
fn list_every(call: &Call, tx: &Tx, user: UserId, paging: Paging) -> Result<Reply> {
    let all = every(tx)?.map(|row| row.map(|(id, _)| id)).collect::<Result<Vec<_>>>()?;
    let total = all.len() as u64;
    let page = paging.cut(all).into_iter().map(|id| wire(tx, id, user, Level::Owner));
    paging.reply(call, total, &page.collect::<Result<Vec<_>>>()?)
}

fn post(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let user = call.user()?;
    let Made { id, organization, project } = create(call, tx, user, call.input())?;
    // The owner is its one member, and sees its one project.
    Reply::created(&wire_of(id, organization, Level::Owner, vec![project], 1))
}

fn show(call: &Call, tx: &Tx) -> Result<Reply> {
    let InOrganization { id, level } = call.place.in_organization()?;
    Reply::ok(&json(tx, id, call.user()?, level)?.as_ref())
}

fn patch(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let InOrganization { id, level } = call.place.in_organization()?;
    update(call, tx, InOrganization { id, level }, call.input())?;
    Reply::ok(&wire(tx, id, call.user()?, level)?)
}

fn delete(call: &Call, tx: &WriteTx) -> Result<Reply> {
    remove(tx, call.place.in_organization()?)?;
    Reply::no_content()
}

/// Makes an organization with its first owner and its default project, and makes both the owner's current ones.
///
/// # Errors
/// 403 for a key that is limited to some organizations or projects; 400 for wrong fields.
pub fn create(ctx: &Ctx, tx: &WriteTx, owner: UserId, input: Input<'_>) -> Result<Made> {
    if let Some(caller) = ctx.actor.caller() {
        auth::unlimited(&caller.via, "makes no organization")?;
    }
    let mut organization = Organization::new("", ctx.now);
    fill(&mut organization, input.form(FIELDS)?);
    organization.settings.check(ctx, tx, None, &Settings::default())?;
    create_with_owner(ctx, tx, owner, organization)
}

/// Changes settings. From admin level on.
///
/// # Errors
/// 403 below admin; 400 for wrong fields, a default role that is not there, and settings that shut the actor out.
pub fn update(ctx: &Ctx, tx: &WriteTx, at: InOrganization, input: Input<'_>) -> Result<()> {
    let [before, organization] = changed(ctx, tx, at, input)?;
    store(ctx, tx, at.id, &before, organization)
}

/// The organization as it is, and as the input would make it.
fn changed(ctx: &Ctx, tx: &Tx, at: InOrganization, input: Input<'_>) -> Result<[Organization; 2]> {
    let id = at.require(Level::Admin)?;
    let before = find(tx, id)?;
    let mut organization = before.clone();
    fill(&mut organization, input.form(FIELDS)?);
    organization.settings.check(ctx, tx, Some(id), &before.settings)?;
    Ok([before, organization])
}

/// All that can be set, by field: as it is, and as the input would make it.
///
/// # Errors
/// As for `update`.
pub fn preview(ctx: &Ctx, tx: &Tx, at: InOrganization, input: Input<'_>) -> Result<[Map<String, Value>; 2]> {
    let [before, after] = changed(ctx, tx, at, input)?;
    Ok([state_of(&before)?, state_of(&after)?])
}

/// All that can be set, by field.
///
/// # Errors
/// None: it is JSON.
pub fn state_of(organization: &Organization) -> Result<Map<String, Value>> {
    match serde_json::to_value(Logged::of(organization))? {
        Value::Object(all) => Ok(all),
        _ => Ok(Map::new()),
    }
}

/// Stores a changed organization, and writes down what of it changed.
fn store(
    ctx: &Ctx,
    tx: &WriteTx,
    id: OrganizationId,
    before: &Organization,
    mut now: Organization,
) -> Result<()> {
    now.updated_at = ctx.now;
    tx.replace(&ORGANIZATIONS, &id, before, &now)?;
    let changes = audit::differences(scopes::ORGANIZATION, &Logged::of(before), &Logged::of(&now))?;
    audit::record(ctx, tx, id, Change::updated(scopes::ORGANIZATION, id, &now.name, changes))
}

/// What the audit log compares of an organization.
#[derive(Serialize)]
struct Logged<'a> {
    name: &'a str,
    is_member_join_email_enabled: bool,
    enforce_2fa: Option<bool>,
    #[serde(flatten)]
    settings: &'a Settings,
}

impl Logged<'_> {
    fn of(organization: &Organization) -> Logged<'_> {
        Logged {
            name: &organization.name,
            is_member_join_email_enabled: organization.is_member_join_email_enabled,
            enforce_2fa: organization.enforce_2fa,
            settings: &organization.settings,
        }
    }
}

/// Whether pages offer the user to make an organization: where sign-up is closed, only operators.
///
/// # Errors
/// 404 for nobody.
pub fn is_creation_open(ctx: &Ctx, tx: &Tx, user: UserId) -> Result<bool> {
    Ok(ctx.config.open_signup || users::find(tx, user)?.is_staff)
}

/// Deletes an organization with everything that belongs to it; users stay. For owners.
///
/// # Errors
/// 403 below owner.
pub fn remove(tx: &WriteTx, at: InOrganization) -> Result<()> {
    let id = at.require(Level::Owner)?;
    Ok(tx.delete(&ORGANIZATIONS, &id)?)
}

fn fill(organization: &mut Organization, mut form: Form) {
    form.set(NAME, &mut organization.name);
    form.set(IS_MEMBER_JOIN_EMAIL_ENABLED, &mut organization.is_member_join_email_enabled);
    form.set(ENFORCE_2FA, &mut organization.enforce_2fa);
    organization.settings.fill(&mut form);
    form.finish();
}

/// Where somebody is at home, as it is cached: every request asks.
struct Home(Option<InOrganization>);

impl Cacheable for Home {
    fn bytes(&self) -> usize {
        size_of::<Home>()
    }
}

/// What `find` makes of the name that a path has and of the user, and of nothing else but rows.
fn home(
    tx: &Tx,
    what: &'static str,
    name: &str,
    user: UserId,
    find: fn(&Tx, &str, UserId) -> Result<Option<InOrganization>>,
) -> Result<Option<InOrganization>> {
    let key = [user.0.as_bytes().as_slice(), name.as_bytes()].concat();
    Ok(tx.cached(what, &key, || find(tx, name, user).map(Home))?.0)
}

/// The place of `/api/organizations/{id}/`: only the caller's own organizations exist here.
fn own(tx: &Tx, call: &Call) -> Result<Option<InOrganization>> {
    home(tx, "own organization", call.param("id"), call.user()?, own_named)
}

fn own_named(tx: &Tx, name: &str, user: UserId) -> Result<Option<InOrganization>> {
    if name == "@current" {
        let current = users::current_organization(tx, user, &users::find(tx, user)?)?;
        return current.ok_or_else(|| Error::NotFound("Current organization not found.".into())).map(Some);
    }
    // A membership proves that the organization is there.
    let id = match parse_uuid(name).map(OrganizationId) {
        Some(id) => id,
        None => named(tx, name, user)?.ok_or_else(not_found)?,
    };
    let level = members::level_of(tx, id, user)?.ok_or_else(not_found)?;
    Ok(Some(InOrganization { id, level }))
}

/// The organization that a path names, with the user's level in it: 404 where there is none, 403 for a
/// stranger.
pub fn require_member(tx: &Tx, name: &str, user: UserId) -> Result<InOrganization> {
    home(tx, "organization of a member", name, user, member_named)?.ok_or_else(not_found)
}

fn member_named(tx: &Tx, name: &str, user: UserId) -> Result<Option<InOrganization>> {
    let missing = || Error::NotFound("Organization not found.".into());
    if name == "@current" {
        return users::current_organization(tx, user, &users::find(tx, user)?)?.ok_or_else(missing).map(Some);
    }
    let known = parse_uuid(name).map(OrganizationId);
    let id = match known {
        Some(id) => id,
        None => tx.get(&BY_SLUG, &name.to_owned())?.ok_or_else(missing)?,
    };
    // A membership proves that the organization is there.
    if let Some(level) = members::level_of(tx, id, user)? {
        return Ok(Some(InOrganization { id, level }));
    }
    if known.is_none() || tx.has(&ORGANIZATIONS, &id)? { Err(forbidden()) } else { Err(missing()) }
}

impl Organization {
    /// A new organization with defaults; its slug and its plugins access level come with `create_with_owner`.
    pub fn new(name: &str, now: Time) -> Organization {
        Organization {
            name: name.into(),
            slug: String::new(),
            created_at: now,
            updated_at: now,
            is_member_join_email_enabled: true,
            enforce_2fa: None,
            plugins_access_level: 0,
            settings: Settings::default(),
        }
    }
}

/// A new organization, and the project that it begins with.
pub struct Made {
    pub id: OrganizationId,
    pub organization: Organization,
    pub project: projects::Short,
}

/// Stores a new organization with its first owner and its default project, and makes both current.
pub fn create_with_owner(
    ctx: &Ctx,
    tx: &WriteTx,
    owner: UserId,
    mut organization: Organization,
) -> Result<Made> {
    let id = ctx.new_id();
    organization.slug = free_slug(ctx, tx, &organization.name)?;
    let user = users::find(tx, owner)?;
    let anonymize_ips = organization.settings.default_anonymize_ips;
    let organization = insert(ctx, tx, (owner, &user), id, organization)?;
    let project = projects::create_default(ctx, tx, id, anonymize_ips, &user)?;
    users::make_current(tx, owner, user, Some(id), Some(project.id))?;
    Ok(Made { id, organization, project })
}

/// Stores a new organization with its first owner.
fn insert(
    ctx: &Ctx,
    tx: &WriteTx,
    owner: (UserId, &users::User),
    id: OrganizationId,
    mut organization: Organization,
) -> Result<Organization> {
    organization.plugins_access_level = ctx.config.plugins.plugins_access_level;
    tx.insert(&ORGANIZATIONS, &id, &organization).on_conflict(&BY_SLUG, slug_taken)?;
    let change = Change::created(scopes::ORGANIZATION, id, &organization.name);
    audit::record_by(ctx, tx, Some(owner.0), id, change)?;
    members::join_known(ctx, tx, (id, &organization.name), owner, Level::Owner)?;
    Ok(organization)
}

fn slug_taken() -> Error {
    invalid("slug", "unique", "Another organization has this slug.")
}

/// What is given of a new organization.
#[derive(Clone, Debug, Default)]
pub struct Given {
    pub id: Option<OrganizationId>,
    pub slug: Option<String>,
}

/// Makes an organization with its first owner and without a project, under an identifier and a slug that may be given.
///
/// # Errors
/// As for `create`; 400 for what is given and taken, and for what is no slug.
pub fn found(
    ctx: &Ctx,
    tx: &WriteTx,
    owner: UserId,
    given: Given,
    input: Input<'_>,
) -> Result<OrganizationId> {
    if let Some(caller) = ctx.actor.caller() {
        auth::unlimited(&caller.via, "makes no organization")?;
    }
    let mut organization = Organization::new("", ctx.now);
    fill(&mut organization, input.form(FIELDS)?);
    organization.settings.check(ctx, tx, None, &Settings::default())?;
    organization.slug = match given.slug {
        Some(slug) if is_slug(&slug) => slug,
        Some(_) => {
            let detail =
                "Enter a slug of small letters, digits, hyphens and underscores, of 48 letters at most.";
            return Err(invalid("slug", "invalid_input", detail));
        }
        None => free_slug(ctx, tx, &organization.name)?,
    };
    let id = given.id.unwrap_or_else(|| ctx.new_id());
    if tx.has(&ORGANIZATIONS, &id)? {
        return Err(id_taken());
    }
    insert(ctx, tx, (owner, &users::find(tx, owner)?), id, organization)?;
    Ok(id)
}

/// Every organization has a member.
fn check(tx: &Tx, problems: &mut Problems) -> Result<()> {
    for row in every(tx)? {
        let (id, _) = row?;
        if members::count(tx, id)? == 0 {
            problems.push(format!("organization {id} has no member"));
        }
    }
    Ok(())
}

/// All organizations, oldest first, each read when the iterator reaches it.
pub fn every(tx: &Tx) -> Result<impl Iterator<Item = Result<(OrganizationId, Organization)>> + use<>> {
    Ok(tx.every(&ORGANIZATIONS)?.map(|row| Ok(row?)))
}

/// The organization with this identifier or slug, for the operator.
pub fn by_text(tx: &Tx, text: &str) -> Result<Option<OrganizationId>> {
    match parse_uuid(text).map(OrganizationId) {
        Some(id) => Ok(tx.has(&ORGANIZATIONS, &id)?.then_some(id)),
        None => Ok(tx.get(&BY_SLUG, &text.to_owned())?),
    }
}

/// An organization, or 404.
pub fn find(tx: &Tx, id: OrganizationId) -> Result<Organization> {
    tx.get(&ORGANIZATIONS, &id)?.ok_or_else(not_found)
}

/// The organization that a path names: by UUID, by slug, or as the caller's current one.
pub fn named(tx: &Tx, name: &str, user: UserId) -> Result<Option<OrganizationId>> {
    if name == "@current" {
        let current = users::current_organization(tx, user, &users::find(tx, user)?)?;
        return Ok(current.map(|at| at.id));
    }
    match parse_uuid(name).map(OrganizationId) {
        Some(id) => Ok(tx.has(&ORGANIZATIONS, &id)?.then_some(id)),
        None => Ok(tx.get(&BY_SLUG, &name.to_owned())?),
    }
}

fn samples(all: &mut super::samples::Samples) {
    use super::samples::{NOW, ONE, text};
    let mut organization = Organization::new("Acme", NOW);
    organization.slug = text("acme");
    organization.enforce_2fa = Some(true);
    organization.plugins_access_level = 9;
    all.add(&ORGANIZATIONS, ONE.into(), organization);
}
