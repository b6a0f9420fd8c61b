//! Compares a file with what is stored, and says what would have to be done. Only what the file says is compared.

mod access;
mod exports;
mod members;
mod people;
mod projects;
mod rest;
mod roles;

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::deeds::{Deed, Owner, Secret, Step, secret_of};
use super::document::{Document, Fields, OrganizationEntry, RoleEntry};
use super::fault::below;
use super::plan::{Action, Blocked, Change, FORMAT, FieldChange, Options, Plan, differences, given};
use super::state::{self, Member, State};
use crate::api::{Actor, Ctx, InOrganization, Input, Level};
use crate::app::App;
use crate::config::Mode;
use crate::error::{Error, Result, denied, invalid};
use crate::ids::{OrganizationId, UserId};
use crate::resources::{members as memberships, organizations, users};
use crate::store::Tx;

/// What whoever applies a file may do beyond the API.
#[derive(Clone, Copy, Debug, Default)]
pub struct May {
    /// Make people and choose identifiers: at the machine only.
    pub make_people: bool,
    /// Say secrets in the file itself, and that a domain is proved: on test servers.
    pub say_all: bool,
}

impl May {
    /// What whoever applies a file to this server may do: over the network, or at the machine.
    pub fn on(app: &App, is_at_machine: bool) -> May {
        May { make_people: is_at_machine, say_all: app.config.mode() == Some(Mode::Test) }
    }
}

/// What is to be planned.
pub(super) struct Wanted<'a> {
    pub document: &'a Document,
    pub options: &'a Options,
    pub may: May,
    /// People whose password is another one than the file says.
    pub other_passwords: &'a HashSet<String>,
}

/// Names of secrets that are not known, with what they are kept in.
pub(super) type Missing = Vec<(String, String)>;

/// A plan and what it comes down to.
pub(super) struct Planned {
    pub plan: Plan,
    pub steps: Vec<Step>,
}

/// When a step has its turn in its organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Organization,
    Projects,
    Roles,
    Join,
    LevelsUp,
    LevelsDown,
    DefaultRole,
    RoleMembers,
    Access,
    Domains,
    Proxies,
    Exports,
    Plugins,
    Invites,
    RemoveInvites,
    RemovePlugins,
    RemoveExports,
    RemoveProxies,
    RemoveDomains,
    RemoveAccess,
    RemoveRoleMembers,
    RemoveMembers,
    RemoveRoles,
    RemoveProjects,
}

pub(super) struct Planner<'a> {
    ctx: &'a Ctx,
    tx: &'a Tx,
    wanted: &'a Wanted<'a>,
    plan: Plan,
    steps: Vec<Step>,
    /// Those of the organization that is being looked at.
    phases: Vec<(Phase, Step)>,
    /// Its slug.
    organization: String,
    /// People who cannot be made.
    unmade: HashSet<String>,
}

/// An organization of the file, and what is stored of it. Of a new one, that is its first owner.
pub(super) struct Here<'a> {
    pub(super) entry: &'a OrganizationEntry,
    pub(super) state: State,
    pub(super) is_new: bool,
    /// For commands that look what they would change; not for a new one.
    pub(super) at: InOrganization,
    /// What they run with.
    pub(super) ctx: Ctx,
    /// Addresses of all who will be members.
    pub(super) members: HashSet<String>,
    /// Names of all roles that there will be.
    pub(super) roles: HashSet<String>,
}

/// Compares the file with what is stored.
///
/// # Errors
/// What the file says is wrong, or not for the actor to say.
pub(super) fn plan(ctx: &Ctx, tx: &Tx, wanted: &Wanted<'_>) -> Result<Planned> {
    wanted.options.check()?;
    let found = find_all(ctx, tx, wanted)?;
    let people = people::known(tx, wanted)?;
    let base = state::base_of(&(&found, &people))?;
    let mut planner = Planner {
        ctx,
        tx,
        wanted,
        plan: Plan { format: FORMAT, base, ..Plan::default() },
        steps: Vec::new(),
        phases: Vec::new(),
        organization: String::new(),
        unmade: HashSet::new(),
    };
    planner.people()?;
    for (entry, state) in wanted.document.organizations.iter().zip(found) {
        planner.organization(entry, state)?;
    }
    planner.keys()?;
    if !wanted.document.test_server.is_empty() {
        let names: Vec<&str> = wanted.document.test_server.keys().map(String::as_str).collect();
        planner.note(format!("{} are for seeds of test servers, and left out here", names.join(", ")));
    }
    planner.plan.sum_up();
    Ok(Planned { plan: planner.plan, steps: planner.steps })
}

/// What is stored of each organization of the file.
fn find_all(ctx: &Ctx, tx: &Tx, wanted: &Wanted<'_>) -> Result<Vec<Option<State>>> {
    let mut all = Vec::new();
    for entry in &wanted.document.organizations {
        let id = find(tx, entry)?;
        if let Some(id) = id {
            require_owner(ctx, tx, id, &entry.path)?;
        } else if entry.id.is_some() && !wanted.may.make_people {
            let text = "there is no such organization; leave `id` out to make one";
            return Err(wrong(&entry.path, text));
        }
        all.push(id.map(|id| state::load(ctx, tx, id)).transpose()?);
    }
    Ok(all)
}

fn find(tx: &Tx, entry: &OrganizationEntry) -> Result<Option<OrganizationId>> {
    let by_id = match entry.id {
        Some(id) => organizations::by_text(tx, &id.to_string())?,
        None => None,
    };
    match (&by_id, &entry.slug) {
        (Some(_), _) => Ok(by_id),
        (None, Some(slug)) if entry.id.is_none() => organizations::by_text(tx, slug),
        _ => Ok(None),
    }
}

/// Files are applied by owners, and at the machine.
fn require_owner(ctx: &Ctx, tx: &Tx, id: OrganizationId, path: &str) -> Result<()> {
    let Some(caller) = ctx.actor.caller() else { return Ok(()) };
    if memberships::level_of(tx, id, caller.user)? != Some(Level::Owner) {
        return Err(denied(format!("{path}: only an owner of the organization applies a file to it.")));
    }
    organizations::let_in(tx, id, caller)
}

/// 400 for something in the file.
pub(super) fn wrong(path: &str, text: impl Into<String>) -> Error {
    invalid(path.to_owned(), "invalid_input", text.into())
}

/// The same error about a place of the file.
pub(super) fn about(path: &str, error: Error) -> Error {
    match error {
        Error::Invalid { attr, code, detail } => {
            let attr = attr.map_or_else(|| path.to_owned(), |attr| below(path, &attr.replace("__", ".")));
            Error::Invalid { attr: Some(attr.into()), code, detail }
        }
        Error::Denied { code, detail } => Error::Denied { code, detail: format!("{path}: {detail}").into() },
        other => other,
    }
}

/// The owner in whose name the operator acts in an organization.
pub(super) fn acting(ctx: &Ctx, owner: Option<UserId>) -> Ctx {
    match ctx.actor {
        Actor::Operator(_) => Ctx { actor: Actor::Operator(owner), ..ctx.clone() },
        _ => ctx.clone(),
    }
}

impl Planner<'_> {
    pub(super) fn step(&mut self, phase: Phase, path: &str, deed: Deed) {
        self.phases.push((phase, Step { path: path.to_owned(), deed }));
    }

    pub(super) fn note(&mut self, text: String) {
        self.plan.notes.push(text);
    }

    pub(super) fn block(&mut self, kind: &str, name: &str, path: &str, reason: impl Into<String>) {
        self.plan.blocked.push(Blocked {
            kind: kind.to_owned(),
            name: name.to_owned(),
            organization: self.organization.clone(),
            path: path.to_owned(),
            reason: reason.into(),
        });
    }

    pub(super) fn change(&mut self, action: Action, kind: &str, name: &str) -> &mut Change {
        self.plan.changes.push(Change {
            action,
            kind: kind.to_owned(),
            id: None,
            name: name.to_owned(),
            organization: self.organization.clone(),
            project: None,
            fields: Vec::new(),
        });
        let last = self.plan.changes.len() - 1;
        &mut self.plan.changes[last]
    }

    /// What is stored and stands in no list of the file. Gives back whether it is to be removed.
    pub(super) fn left_over(&mut self, kind: &str, is_listed: bool) -> bool {
        if is_listed && self.wanted.options.prunes(kind) {
            return true;
        }
        let add = |all: &mut Fields| {
            let count = all.get(kind).and_then(Value::as_u64).unwrap_or(0);
            all.insert(kind.to_owned(), (count + 1).into());
        };
        add(&mut self.plan.not_in_file);
        if is_listed {
            add(&mut self.plan.prunable);
        }
        false
    }

    /// The fields with their secrets put in, where they are known; the names of those that are not, with what they are
    /// kept in.
    pub(super) fn with_secrets(
        &self,
        path: &str,
        fields: &Fields,
        is_secret: impl Fn(&str) -> bool,
    ) -> Result<(Fields, Missing)> {
        let (mut all, mut missing) = (Fields::new(), Vec::new());
        for (name, value) in fields {
            let is_plain = !super::shape::is_reference_value(value);
            if is_plain && (value.is_null() || !is_secret(name)) {
                all.insert(name.clone(), value.clone());
                continue;
            }
            match secret_of(value, self.wanted.may.say_all) {
                Secret::Known(text) => {
                    all.insert(name.clone(), text.into());
                }
                Secret::Missing(place) => missing.push((name.clone(), place)),
                Secret::Plain => return Err(wrong(&below(path, name), PLAIN_SECRET)),
            }
        }
        Ok((all, missing))
    }

    fn organization(&mut self, entry: &OrganizationEntry, state: Option<State>) -> Result<()> {
        self.organization = entry.slug.clone().unwrap_or_default();
        let is_new = state.is_none();
        let state = match state {
            Some(state) => state,
            None => self.new_organization(entry)?,
        };
        self.organization.clone_from(&state.slug);
        let owner = state.members.iter().find(|member| member.rank == Level::Owner);
        let ctx = acting(self.ctx, owner.map(|owner| owner.user));
        let at = InOrganization { id: state.id, level: Level::Owner };
        let (members, roles) = Default::default();
        let mut here = Here { entry, state, is_new, at, ctx, members, roles };
        if !is_new {
            let deed = Deed::Enter(here.at.id);
            self.step(Phase::Organization, &entry.path, deed);
            self.change_organization(&here)?;
        }
        self.roles(&mut here)?;
        self.members(&mut here)?;
        self.role_members(&here)?;
        self.default_role(&here);
        self.projects(&here)?;
        self.domains(&here)?;
        self.proxies(&here)?;
        self.plugins(&here)?;
        self.invites(&here)?;
        let mut phases = std::mem::take(&mut self.phases);
        // Steps of one phase stay in the order of the file.
        phases.sort_by_key(|(phase, _)| *phase);
        self.steps.extend(phases.into_iter().map(|(_, step)| step));
        Ok(())
    }

    /// Plans a new organization, and gives what it will be without the rest of the file.
    fn new_organization(&mut self, entry: &OrganizationEntry) -> Result<State> {
        let slug = entry.slug.clone().ok_or_else(|| wrong(&entry.path, "there is no such organization"))?;
        let name = entry.name.clone();
        let name = name
            .ok_or_else(|| wrong(&entry.path, "there is no such organization, and a new one needs `name`"))?;
        let (owner, email, user) = self.owner_of_new(entry)?;
        let mut fields = Fields::new();
        fields.insert("name".into(), name.clone().into());
        fields.extend(entry.settings.clone());
        let given_of_it = organizations::Given { id: entry.id, slug: Some(slug.clone()) };
        let mut shown = given(&fields);
        shown.push(FieldChange::new("owner", None, Some(email.clone().into())));
        self.change(Action::Add, "organization", &name).fields = shown;
        let has_projects = entry.projects.is_some();
        let deed = Deed::AddOrganization { given: given_of_it, fields: fields.clone(), owner, has_projects };
        self.step(Phase::Organization, &entry.path, deed);
        let membership = uuid::Uuid::nil().into();
        let level = super::document::word_of(Level::Owner);
        Ok(State {
            id: uuid::Uuid::nil().into(),
            slug,
            fields,
            default_role: None,
            members: vec![Member { user, membership, email, level, rank: Level::Owner }],
            roles: Vec::new(),
            projects: Vec::new(),
            invites: Vec::new(),
            domains: Vec::new(),
            proxies: Vec::new(),
            plugins: Vec::new(),
        })
    }

    /// Who owns a new organization: whoever applies the file or, at the machine, its first owner in the file.
    fn owner_of_new(&self, entry: &OrganizationEntry) -> Result<(Owner, String, UserId)> {
        if let Some(caller) = self.ctx.actor.caller() {
            return Ok((Owner::Caller, users::find(self.tx, caller.user)?.email, caller.user));
        }
        let owners = entry.members.iter().flatten().filter(|member| member.level == Some(Level::Owner));
        for member in owners {
            let known = users::by_email(self.tx, &member.email)?;
            if known.is_some() || self.is_in_users(&member.email) {
                let user = known.unwrap_or(UserId(uuid::Uuid::nil()));
                return Ok((Owner::Email(member.email.clone()), member.email.clone(), user));
            }
        }
        Err(wrong(
            &below(&entry.path, "members"),
            "a new organization needs a member with `level: owner` who stands in `users`",
        ))
    }

    fn change_organization(&mut self, here: &Here<'_>) -> Result<()> {
        let entry = here.entry;
        if let (Some(slug), true) = (&entry.slug, entry.id.is_some())
            && *slug != here.state.slug
        {
            return Err(wrong(&below(&entry.path, "slug"), "the slug of an organization never changes"));
        }
        let mut fields = entry.settings.clone();
        fields.extend(entry.name.clone().map(|name| ("name".to_owned(), name.into())));
        if fields.is_empty() {
            return Ok(());
        }
        let value = Value::Object(fields.clone());
        let states = organizations::preview(&here.ctx, self.tx, here.at, partial(&value));
        let states = states.map_err(|error| about(&below(&entry.path, "settings"), error))?;
        let changes = differences(&states);
        if changes.is_empty() {
            return Ok(());
        }
        let name = here.state.fields.get("name").and_then(Value::as_str).unwrap_or_default();
        let change = self.change(Action::Update, "organization", name);
        change.id = Some(here.state.id.to_string().into());
        change.fields = changes;
        self.step(Phase::Organization, &entry.path, Deed::ChangeOrganization(fields));
        Ok(())
    }

    fn default_role(&mut self, here: &Here<'_>) {
        let Some(role) = &here.entry.default_role else { return };
        let lower = |name: &Option<String>| name.as_ref().map(|name| name.to_lowercase());
        // A role that is renamed stays the default.
        let renamed = here.entry.roles.iter().flatten().find(|entry| is_renamed(entry, &here.state));
        let is_same = lower(role) == lower(&here.state.default_role)
            || renamed.is_some_and(|entry| Some(entry.name.to_lowercase()) == lower(role));
        if is_same && here.state.default_role.is_some() == role.is_some() {
            return;
        }
        let path = below(&here.entry.path, "default_role");
        if let Some(name) = role.as_ref().filter(|name| !here.roles.contains(&name.to_lowercase())) {
            return self.block(
                "organization",
                &here.state.slug,
                &path,
                format!("there is no role \"{name}\""),
            );
        }
        let name = here.state.fields.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let field = FieldChange::new(
            "default_role",
            Some(here.state.default_role.clone().into()),
            Some(role.clone().into()),
        );
        self.change(Action::Update, "organization", &name).fields = vec![field];
        self.step(Phase::DefaultRole, &path, Deed::DefaultRole(role.clone()));
    }
}

/// Whether the entry gives the default role of the organization another name.
fn is_renamed(entry: &RoleEntry, state: &State) -> bool {
    let default = state.roles.iter().find(|role| Some(&role.name) == state.default_role.as_ref());
    default.is_some_and(|role| {
        Some(role.id) == entry.id
            || Some(role.name.to_lowercase()) == entry.was.as_ref().map(|was| was.to_lowercase())
    })
}

/// Fields of something that is there.
pub(super) fn partial(value: &Value) -> Input<'_> {
    Input { is_partial: true, ..Input::of(value) }
}

const PLAIN_SECRET: &str = "a secret does not stand in the file itself: write {env: NAME} or {file: PATH}";

/// Which of the stored ones an entry means: by identifier, by name, or by its earlier name.
pub(super) enum Match {
    New,
    /// Its place.
    Known(usize),
}

/// Finds what an entry means among the names of what is stored, which are given in small letters.
///
/// # Errors
/// 400 where an identifier is unknown, or two have the name.
pub(super) fn meant<I: PartialEq>(
    path: &str,
    kind: &str,
    (id, may_be_new): (Option<I>, bool),
    (name, was): (&str, Option<&str>),
    stored: &[(I, String)],
) -> Result<Match> {
    if let Some(id) = id {
        return match stored.iter().position(|(known, _)| *known == id) {
            Some(place) => Ok(Match::Known(place)),
            None if may_be_new => Ok(Match::New),
            None => {
                Err(wrong(&below(path, "id"), format!("there is no such {kind}; leave `id` out to make one")))
            }
        };
    }
    for name in [Some(name), was].into_iter().flatten() {
        let lower = name.to_lowercase();
        let mut same = stored.iter().enumerate().filter(|(_, (_, known))| *known == lower);
        match (same.next(), same.next()) {
            (Some((place, _)), None) => return Ok(Match::Known(place)),
            (Some(_), Some(_)) => {
                return Err(wrong(path, format!("there are two of this name, \"{name}\": give ids")));
            }
            (None, _) => {}
        }
    }
    Ok(Match::New)
}

/// By address in lower case.
pub(super) fn by_address(members: &[Member]) -> HashMap<String, &Member> {
    members.iter().map(|member| (member.email.to_lowercase(), member)).collect()
}
