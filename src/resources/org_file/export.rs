//! Writes what is stored as a file: always in the same order, without times and without secrets, so that two exports
//! differ where the organization does.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::document::{Fields, PROJECT};
use super::shape::FILE;
use super::state::{self, Export, Project, Rules, State};
use super::{emit, fmt};
use crate::api::Level;
use crate::api::{Actor, Ctx};
use crate::error::{Result, denied};
use crate::ids::{OrganizationId, UserId};
use crate::resources::{members, organizations, two_factor, users};
use crate::store::Tx;

/// What is to be exported.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// By identifier or slug; empty for all that the actor may export.
    pub organizations: Vec<String>,
    /// Whether identifiers and tokens stay out: a template.
    pub without_ids: bool,
}

/// The file of the organizations that are wanted.
///
/// # Errors
/// 404 for one that is not there; 403 for whoever is not its owner.
pub fn export(ctx: &Ctx, tx: &Tx, wish: &Wish) -> Result<String> {
    let mut writer = Writer { has_ids: !wish.without_ids, variables: HashMap::new() };
    let mut states = Vec::new();
    for id in chosen(ctx, tx, wish)? {
        states.push(state::load(ctx, tx, id)?);
    }
    states.sort_by(|one, other| one.slug.cmp(&other.slug));
    let mut file = Fields::new();
    file.insert("orgd".into(), 1.into());
    let all: Vec<Value> = states.iter().map(|state| writer.organization(state)).collect();
    file.insert("organizations".into(), all.into());
    if matches!(ctx.actor, Actor::Operator(_)) {
        file.insert("users".into(), writer.users(tx, &states)?);
    }
    Ok(emit::yaml(&fmt::canonical(&Value::Object(file), &FILE)))
}

fn chosen(ctx: &Ctx, tx: &Tx, wish: &Wish) -> Result<Vec<OrganizationId>> {
    let is_owner = |id: OrganizationId| match ctx.actor.caller() {
        Some(caller) => Ok(members::level_of(tx, id, caller.user)? == Some(Level::Owner)),
        None => Ok::<_, crate::error::Error>(true),
    };
    let mut all = Vec::new();
    if wish.organizations.is_empty() {
        match ctx.actor.caller() {
            Some(caller) => {
                for at in members::organizations_of(tx, caller.user)? {
                    if at.level == Level::Owner {
                        organizations::let_in(tx, at.id, caller)?;
                        all.push(at.id);
                    }
                }
            }
            None => {
                for row in organizations::every(tx)? {
                    all.push(row?.0);
                }
            }
        }
    }
    for name in &wish.organizations {
        let unknown = || crate::error::Error::NotFound(format!("There is no organization {name}.").into());
        let id = organizations::by_text(tx, name)?.ok_or_else(unknown)?;
        if !is_owner(id)? {
            return Err(denied("Only an owner of the organization exports it."));
        }
        if let Some(caller) = ctx.actor.caller() {
            organizations::let_in(tx, id, caller)?;
        }
        all.push(id);
    }
    Ok(all)
}

struct Writer {
    has_ids: bool,
    /// How often each name of a variable is there.
    variables: HashMap<String, usize>,
}

impl Writer {
    fn id(&self, into: &mut Fields, id: impl Into<Value>) {
        if self.has_ids {
            into.insert("id".into(), id.into());
        }
    }

    /// A reference for a secret that is not shown.
    fn variable(&mut self, parts: &[&str]) -> Value {
        let letter =
            |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' };
        let name = format!("ORGD_{}", parts.join("_")).chars().map(letter).collect::<String>();
        let count = self.variables.entry(name.clone()).or_default();
        *count += 1;
        json!({"env": if *count == 1 { name } else { format!("{name}_{count}") }})
    }

    fn organization(&mut self, state: &State) -> Value {
        let mut all = Fields::new();
        self.id(&mut all, state.id.to_string());
        all.insert("slug".into(), state.slug.clone().into());
        let mut settings = state.fields.clone();
        settings.shift_remove("default_role_id");
        all.insert("name".into(), settings.shift_remove("name").unwrap_or_default());
        all.insert("settings".into(), Value::Object(settings));
        all.insert("default_role".into(), state.default_role.clone().into());
        let members = state.members.iter().map(|one| json!({"email": one.email, "level": one.level}));
        all.insert("members".into(), sorted(members.collect(), "email"));
        let roles: Vec<Value> = state.roles.iter().map(|role| self.role(role)).collect();
        all.insert("roles".into(), sorted(roles, "name"));
        let projects: Vec<Value> = state.projects.iter().map(|project| self.project(project)).collect();
        all.insert("projects".into(), projects.into());
        let invites: Vec<Value> = state.invites.iter().map(invite).collect();
        all.insert("invites".into(), sorted(invites, "email"));
        let domains: Vec<Value> = state.domains.iter().map(|domain| self.domain(domain)).collect();
        all.insert("domains".into(), sorted(domains, "domain"));
        let proxies = state.proxies.iter().map(|proxy| {
            let mut all = Fields::new();
            self.id(&mut all, proxy.id.to_string());
            all.insert("domain".into(), proxy.domain.clone().into());
            all.insert(emit::comment(&format!("is {}", proxy.status)), Value::Null);
            Value::Object(all)
        });
        all.insert("proxies".into(), sorted(proxies.collect(), "domain"));
        let plugins: Vec<Value> = state.plugins.iter().map(plugin).collect();
        all.insert("plugins".into(), plugins.into());
        Value::Object(all)
    }

    fn role(&self, role: &state::Role) -> Value {
        let mut all = Fields::new();
        self.id(&mut all, role.id.to_string());
        all.insert("name".into(), role.name.clone().into());
        all.insert("feature_flags_access_level".into(), role.feature_flags_access_level.into());
        let mut members = role.members.clone();
        members.sort();
        all.insert("members".into(), members.into());
        Value::Object(all)
    }

    fn project(&mut self, project: &Project) -> Value {
        let mut all = Fields::new();
        self.id(&mut all, project.id.0);
        if self.has_ids {
            all.insert("api_token".into(), project.api_token.clone().into());
        }
        all.insert("name".into(), project.name.clone().into());
        let mut settings = project.fields.clone();
        for name in ["timezone", "is_demo"] {
            all.insert(name.into(), settings.shift_remove(name).unwrap_or_default());
        }
        // The API takes no null here, though it shows one.
        let ignored = "autocapture_exceptions_errors_to_ignore";
        if settings.get(ignored).is_some_and(Value::is_null) {
            settings.shift_remove(ignored);
        }
        for name in &project.secrets {
            settings.insert((*name).into(), self.variable(&["PROJECT", &project.name, name]));
        }
        all.insert("settings".into(), Value::Object(settings));
        all.insert("access".into(), access(&project.access));
        let exports: Vec<Value> = project.exports.iter().map(|export| self.export(export)).collect();
        all.insert("exports".into(), sorted(exports, "name"));
        Value::Object(all)
    }

    fn export(&mut self, export: &Export) -> Value {
        let mut all = Fields::new();
        self.id(&mut all, export.id.to_string());
        let mut fields = export.fields.clone();
        if fields.get("hogql_query").is_some_and(Value::is_null) {
            fields.shift_remove("hogql_query");
        }
        if let Some(config) = fields.get_mut("destination").and_then(|value| value.get_mut("config")) {
            for name in &export.hidden {
                config[name] = self.variable(&["EXPORT", &export.name, name]);
            }
            if let Some(config) = config.as_object_mut() {
                config.sort_keys();
            }
        }
        all.extend(fields);
        Value::Object(all)
    }

    fn domain(&self, domain: &state::Domain) -> Value {
        let mut all = Fields::new();
        self.id(&mut all, domain.id.to_string());
        all.insert("domain".into(), domain.domain.clone().into());
        all.insert(emit::comment(if domain.is_verified { "verified" } else { "not verified" }), Value::Null);
        all.extend(domain.fields.clone());
        Value::Object(all)
    }

    /// The members of the organizations. Nobody reads their passwords, so none are there.
    fn users(&self, tx: &Tx, states: &[State]) -> Result<Value> {
        let mut all: Vec<UserId> = states.iter().flat_map(|one| &one.members).map(|one| one.user).collect();
        all.sort();
        all.dedup();
        let mut shown = Vec::new();
        for id in all {
            let user = users::find(tx, id)?;
            let mut entry = Fields::new();
            self.id(&mut entry, id.to_string());
            entry.insert("email".into(), user.email.clone().into());
            entry.extend(users::person_of(&user));
            entry.insert("staff".into(), user.is_staff.into());
            let facts = [
                (user.password_hash.is_some(), "has a password"),
                (two_factor::is_enabled(tx, id)?, "has a second factor"),
            ];
            for (_, fact) in facts.iter().filter(|(is_so, _)| *is_so) {
                entry.insert(emit::comment(fact), Value::Null);
            }
            shown.push(Value::Object(entry));
        }
        Ok(sorted(shown, "email"))
    }
}

fn access(all: &[Rules]) -> Value {
    let by_name = |pairs: &[(String, String)]| {
        let mut pairs: Vec<_> = pairs.to_vec();
        pairs.sort();
        Value::Object(pairs.into_iter().map(|(name, level)| (name, level.into())).collect())
    };
    let rules = |rules: &Rules| {
        let mut shown = Map::new();
        shown.insert("default".into(), rules.default.clone().into());
        shown.insert("members".into(), by_name(&rules.members));
        shown.insert("roles".into(), by_name(&rules.roles));
        shown
    };
    let mut shown = all.iter().find(|one| one.resource == PROJECT).map(rules).unwrap_or_default();
    let others = all.iter().filter(|one| one.resource != PROJECT);
    let mut resources: Map<String, Value> =
        others.map(|one| (one.resource.clone(), Value::Object(rules(one)))).collect();
    resources.sort_keys();
    shown.insert("resources".into(), Value::Object(resources));
    Value::Object(shown)
}

fn invite(invite: &state::Invite) -> Value {
    let mut all = Fields::new();
    all.insert("email".into(), invite.email.clone().into());
    all.insert("level".into(), invite.level.into());
    if !invite.first_name.is_empty() {
        all.insert("first_name".into(), invite.first_name.clone().into());
    }
    if let Some(message) = &invite.message {
        all.insert("message".into(), message.clone().into());
    }
    if !invite.access.is_empty() {
        let mut access = invite.access.clone();
        access.sort();
        let access = access.into_iter().map(|(name, level)| (name, Value::from(level)));
        all.insert("private_project_access".into(), Value::Object(access.collect()));
    }
    Value::Object(all)
}

/// What comes with an address comes from there again; what was sent as source is described, and its code is not here.
fn plugin(plugin: &state::Plugin) -> Value {
    let mut all = Fields::new();
    match &plugin.url {
        Some(url) => {
            all.insert("url".into(), url.clone().into());
            all.extend(plugin.fields.get("is_global").map(|value| ("is_global".to_owned(), value.clone())));
        }
        None => {
            all.insert(emit::comment("its code is not in this file"), Value::Null);
            all.extend(plugin.fields.clone());
        }
    }
    Value::Object(all)
}

fn sorted(mut all: Vec<Value>, by: &str) -> Value {
    all.sort_by_cached_key(|one| one[by].as_str().unwrap_or_default().to_lowercase());
    all.into()
}
