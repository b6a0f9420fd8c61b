//! Carries a plan out: the commands of the resources, one after the other, in one transaction.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::compare::{Planned, about, acting};
use super::deeds::{Deed, Owner, ProjectRef, Secret, Step, Who, secret_of};
use super::document::{Fields, PROJECT, UserEntry};
use crate::api::{Ctx, InOrganization, InProject, Input, Level};
use crate::error::{Error, Result, invalid_body, not_found};
use crate::ids::{OrganizationId, ProjectId, RoleId, UserId};
use crate::resources::access_controls::{self, Of};
use crate::resources::plugins::{self, Fetched};
use crate::resources::{
    api_keys, batch_exports, domains, invites, members, organizations, projects, proxy_records,
    role_memberships, roles, signup, two_factor, users,
};
use crate::store::{Tx, WriteTx};

/// What took its time and was got before the transaction.
#[derive(Clone, Default)]
pub(super) struct Prepared {
    /// Hashes of passwords, by address in lower case.
    pub hashes: HashMap<String, String>,
    /// Plugins, by address.
    pub plugins: HashMap<String, Fetched>,
    /// Whether nothing is fetched: a plugin that has to be is passed over.
    pub is_trial: bool,
    /// Whether nobody gets a mail of it.
    pub is_silent: bool,
}

/// Carries out every step.
///
/// # Errors
/// The first one that cannot be; the transaction must not be kept then.
pub(super) fn run(ctx: &Ctx, tx: &WriteTx, planned: &Planned, prepared: &Prepared) -> Result<()> {
    let mut work = Work {
        base: ctx,
        ctx: ctx.clone(),
        tx,
        prepared,
        at: InOrganization { id: OrganizationId(uuid::Uuid::nil()), level: Level::Owner },
        made: HashMap::new(),
    };
    for Step { path, deed } in &planned.steps {
        work.run(deed).map_err(|error| about(path, error))?;
    }
    Ok(())
}

struct Work<'a> {
    /// As it was given.
    base: &'a Ctx,
    /// In the name of an owner of the organization that is worked on.
    ctx: Ctx,
    tx: &'a WriteTx,
    prepared: &'a Prepared,
    at: InOrganization,
    /// The projects that entries of this organization have made.
    made: HashMap<usize, ProjectId>,
}

impl Work<'_> {
    fn run(&mut self, deed: &Deed) -> Result<()> {
        match deed {
            Deed::AddUser(_)
            | Deed::DescribeUser { .. }
            | Deed::Password { .. }
            | Deed::Totp { .. }
            | Deed::AddKey { .. } => self.people(deed),
            Deed::Enter(id) => self.enter(*id),
            Deed::AddOrganization { .. } | Deed::ChangeOrganization(_) | Deed::DefaultRole(_) => {
                self.organization(deed)
            }
            Deed::AddProject { .. } | Deed::ChangeProject { .. } | Deed::RemoveProject(_) => {
                self.project(deed)
            }
            Deed::Join { .. }
            | Deed::SetLevel { .. }
            | Deed::RemoveMember(_)
            | Deed::Invite { .. }
            | Deed::RemoveInvite(_) => self.member(deed),
            Deed::AddRole { .. }
            | Deed::ChangeRole { .. }
            | Deed::RemoveRole(_)
            | Deed::PutIntoRole { .. }
            | Deed::TakeOutOfRole { .. } => self.role(deed),
            Deed::SetAccess { project, resource, who, level } => {
                self.set_access(*project, resource, who, level.as_deref())
            }
            Deed::AddDomain { .. }
            | Deed::ChangeDomain { .. }
            | Deed::VerifyDomain(_)
            | Deed::RemoveDomain(_)
            | Deed::AddProxy { .. }
            | Deed::RemoveProxy(_) => self.domain(deed),
            Deed::AddExport { .. } | Deed::ChangeExport { .. } | Deed::RemoveExport { .. } => {
                self.export(deed)
            }
            Deed::AddPlugin { .. } | Deed::ChangePlugin { .. } | Deed::RemovePlugin(_) => self.plugin(deed),
        }
    }

    fn enter(&mut self, id: OrganizationId) -> Result<()> {
        let owners = members::levels(self.tx, id)?;
        let owner = owners.into_iter().find(|(_, level)| *level == Level::Owner).map(|(user, _)| user);
        self.ctx = acting(self.base, owner);
        self.at = InOrganization { id, level: Level::Owner };
        self.made.clear();
        Ok(())
    }

    fn people(&mut self, deed: &Deed) -> Result<()> {
        let (ctx, tx) = (self.base, self.tx);
        match deed {
            Deed::AddUser(entry) => self.add_user(entry),
            Deed::DescribeUser { user, fields, staff } => {
                users::describe(ctx, tx, *user, partial(&value(fields)))?;
                staff.map_or(Ok(()), |staff| users::set_staff(ctx, tx, *user, staff))
            }
            Deed::Password { user, email } => match self.prepared.hashes.get(email) {
                Some(hash) => users::reset_password(ctx, tx, *user, hash.clone()),
                None => Ok(()),
            },
            Deed::Totp { user, secret } => two_factor::set_up(ctx, tx, *user, secret),
            Deed::AddKey { email, entry } => {
                let Secret::Known(key) = secret_of(&entry.value, true) else { return Ok(()) };
                if key.len() < 20 {
                    return Err(crate::error::invalid(
                        "value",
                        "invalid_input",
                        "A key has at least 20 letters.",
                    ));
                }
                let owner = self.user(email)?;
                api_keys::create(ctx, tx, owner, Some(key), whole(&value(&entry.fields))).map(drop)
            }
            _ => Ok(()),
        }
    }

    fn add_user(&mut self, entry: &UserEntry) -> Result<()> {
        let (ctx, tx) = (self.base, self.tx);
        let hash = self.prepared.hashes.get(&entry.email.to_lowercase()).cloned();
        let id = entry.id.unwrap_or_else(|| ctx.new_id());
        let first_name = entry.fields.get("first_name").and_then(Value::as_str);
        let front = entry.email.split('@').next().unwrap_or_default();
        let first_name: String = first_name.unwrap_or(front).chars().take(128).collect();
        let (user, made) = signup::operator_user_as(ctx, tx, id, &entry.email, &first_name, hash)?;
        if !entry.fields.is_empty() {
            users::describe(ctx, tx, user, partial(&value(&entry.fields)))?;
        }
        if let Some(staff) = entry.staff.filter(|staff| *staff != made.is_staff) {
            users::set_staff(ctx, tx, user, staff)?;
        }
        match entry.totp.as_ref().map(|totp| secret_of(totp, true)) {
            Some(Secret::Known(secret)) => two_factor::set_up(ctx, tx, user, &secret),
            _ => Ok(()),
        }
    }

    fn organization(&mut self, deed: &Deed) -> Result<()> {
        match deed {
            Deed::AddOrganization { given, fields, owner, has_projects } => {
                let owner = match owner {
                    Owner::Caller => self.base.user()?,
                    Owner::Email(email) => self.user(email)?,
                };
                let id =
                    organizations::found(self.base, self.tx, owner, given.clone(), whole(&value(fields)))?;
                self.enter(id)?;
                let user = users::find(self.tx, owner)?;
                let project = match has_projects {
                    true => None,
                    false => {
                        let anonymize_ips = organizations::find(self.tx, id)?.settings.default_anonymize_ips;
                        Some(projects::create_default(&self.ctx, self.tx, id, anonymize_ips, &user)?.id)
                    }
                };
                users::make_current(self.tx, owner, user, Some(id), project)
            }
            Deed::ChangeOrganization(fields) => {
                organizations::update(&self.ctx, self.tx, self.at, partial(&value(fields)))
            }
            Deed::DefaultRole(name) => {
                let role = name.as_ref().map(|name| self.role_named(name)).transpose()?;
                let fields = json!({"default_role_id": role});
                organizations::update(&self.ctx, self.tx, self.at, partial(&fields))
            }
            _ => Ok(()),
        }
    }

    fn project(&mut self, deed: &Deed) -> Result<()> {
        let (ctx, tx) = (&self.ctx, self.tx);
        match deed {
            Deed::AddProject { place, given, fields } => {
                let made = projects::create_as(ctx, tx, self.at, given.clone(), whole(&value(fields)))?;
                self.made.insert(*place, made.id);
                Ok(())
            }
            Deed::ChangeProject { id, fields } => {
                projects::update(ctx, tx, self.in_project(*id), partial(&value(fields))).map(drop)
            }
            Deed::RemoveProject(id) => projects::remove(ctx, tx, self.in_project(*id)),
            _ => Ok(()),
        }
    }

    fn member(&mut self, deed: &Deed) -> Result<()> {
        let (ctx, tx, at) = (&self.ctx, self.tx, self.at);
        match deed {
            Deed::Join { email, level } => signup::admit(ctx, tx, at.id, self.user(email)?, *level).map(drop),
            Deed::SetLevel { user, level } => set_level(ctx, tx, at, *user, *level),
            Deed::RemoveMember(user) => {
                // An owner is demoted first, as over the API.
                if members::level_of(tx, at.id, *user)? == Some(Level::Owner) {
                    set_level(ctx, tx, at, *user, Level::Member)?;
                }
                members::remove(ctx, tx, at, *user)
            }
            Deed::Invite { fields, access } => {
                let mut fields = fields.clone();
                if !access.is_empty() {
                    fields.insert("private_project_access".into(), self.access_of_invite(access)?);
                }
                if self.prepared.is_silent {
                    fields.insert("send_email".into(), false.into());
                }
                invites::create(ctx, tx, at, whole(&value(&fields))).map(drop)
            }
            Deed::RemoveInvite(id) => invites::remove(ctx, tx, at, *id),
            _ => Ok(()),
        }
    }

    fn access_of_invite(&self, access: &[(String, String)]) -> Result<Value> {
        let mut all = Vec::new();
        for (name, level) in access {
            let mut found = None;
            for id in projects::ids_of(self.tx, self.at.id)? {
                if projects::name(self.tx, self.at.id, id)? == *name {
                    found = Some(id);
                }
            }
            let id = found.ok_or_else(not_found)?;
            all.push(json!({"id": id, "level": level}));
        }
        Ok(Value::Array(all))
    }

    fn role(&mut self, deed: &Deed) -> Result<()> {
        let (ctx, tx, at) = (&self.ctx, self.tx, self.at);
        match deed {
            Deed::AddRole { id, fields } => {
                let id = id.unwrap_or_else(|| ctx.new_id());
                if roles::exists(tx, at.id, id)? {
                    return Err(crate::error::id_taken());
                }
                let (id, _) = roles::create_as(ctx, tx, at, id, whole(&value(fields)))?;
                // A new role has a level of its own for flags, whatever is sent.
                let name = "feature_flags_access_level";
                let level: Fields =
                    fields.get(name).map(|level| (name.to_owned(), level.clone())).into_iter().collect();
                if level.is_empty() {
                    return Ok(());
                }
                roles::update(ctx, tx, at, id, partial(&value(&level))).map(drop)
            }
            Deed::ChangeRole { id, fields } => {
                roles::update(ctx, tx, at, *id, partial(&value(fields))).map(drop)
            }
            Deed::RemoveRole(id) => roles::remove(ctx, tx, at, *id),
            Deed::PutIntoRole { role, email } => {
                let (role, user) = (self.role_named(role)?, self.user(email)?);
                // Whoever has just joined may be in the default role already.
                if role_memberships::of_user(tx, at.id, role, user)?.is_some() {
                    return Ok(());
                }
                let fields = json!({"user_uuid": user});
                role_memberships::create(ctx, tx, at, role, whole(&fields)).map(drop)
            }
            Deed::TakeOutOfRole { role, email } => {
                let user = self.user(email)?;
                match role_memberships::of_user(tx, at.id, *role, user)? {
                    Some(key) => role_memberships::remove(ctx, tx, at, key),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn set_access(&self, project: ProjectRef, resource: &str, who: &Who, level: Option<&str>) -> Result<()> {
        let at = self.in_project(self.known(project)?);
        let mut fields = json!({"access_level": level, "resource": resource});
        match who {
            Who::Everybody => {}
            Who::Member(email) => {
                fields["organization_member"] =
                    json!(members::find(self.tx, self.at.id, self.user(email)?)?.id);
            }
            Who::Role(name) => fields["role"] = json!(self.role_named(name)?),
        }
        let of = if resource == PROJECT { Of::Project } else { Of::Resources };
        access_controls::set(&self.ctx, self.tx, at, of, whole(&fields)).map(drop)
    }

    fn domain(&mut self, deed: &Deed) -> Result<()> {
        let (ctx, tx, at) = (&self.ctx, self.tx, self.at);
        match deed {
            Deed::AddDomain { id, domain, fields, verified } => {
                let id = id.unwrap_or_else(|| ctx.new_id());
                if domains::get(tx, at.id, id).is_ok() {
                    return Err(crate::error::id_taken());
                }
                let mut first = fields.clone();
                first.insert("domain".into(), domain.clone().into());
                domains::create_as(ctx, tx, at, id, whole(&value(&first)))?;
                if !verified {
                    return Ok(());
                }
                domains::verify(ctx, tx, at, id, true)?;
                domains::update(ctx, tx, at, id, partial(&value(fields))).map(drop)
            }
            Deed::ChangeDomain { id, fields } => {
                domains::update(ctx, tx, at, *id, partial(&value(fields))).map(drop)
            }
            Deed::VerifyDomain(id) => domains::verify(ctx, tx, at, *id, true).map(drop),
            Deed::RemoveDomain(id) => domains::remove(ctx, tx, at, *id),
            Deed::AddProxy { id, domain } => {
                let id = id.unwrap_or_else(|| ctx.new_id());
                if proxy_records::get(tx, at.id, id).is_ok() {
                    return Err(crate::error::id_taken());
                }
                proxy_records::create_as(ctx, tx, at, id, whole(&json!({"domain": domain}))).map(drop)
            }
            Deed::RemoveProxy(id) => proxy_records::remove(ctx, tx, at, *id),
            _ => Ok(()),
        }
    }

    fn export(&mut self, deed: &Deed) -> Result<()> {
        let (ctx, tx) = (&self.ctx, self.tx);
        match deed {
            Deed::AddExport { project, id, fields } => {
                let at = self.in_project(self.known(*project)?);
                let id = id.unwrap_or_else(|| ctx.new_id());
                let mut fields = fields.clone();
                // In answers only, it is null.
                fields.retain(|name, value| name != "hogql_query" || !value.is_null());
                batch_exports::commands::create_as(ctx, tx, at, id, whole(&value(&fields))).map(drop)
            }
            Deed::ChangeExport { project, id, fields } => {
                let at = self.in_project(*project);
                batch_exports::commands::update(ctx, tx, at, *id, partial(&value(fields))).map(drop)
            }
            Deed::RemoveExport { project, id } => {
                batch_exports::commands::remove(ctx, tx, self.in_project(*project), *id)
            }
            _ => Ok(()),
        }
    }

    fn plugin(&mut self, deed: &Deed) -> Result<()> {
        let (ctx, tx, at) = (&self.ctx, self.tx, self.at);
        match deed {
            Deed::AddPlugin { url, fields } => {
                let fetched = url.as_ref().and_then(|url| self.prepared.plugins.get(url));
                let is_source = fields.get("plugin_type").and_then(Value::as_str) == Some("source");
                if fetched.is_none() && !is_source {
                    let unfetched = "The plugin was not fetched.";
                    return if self.prepared.is_trial {
                        Ok(())
                    } else {
                        Err(invalid_body("invalid_input", unfetched))
                    };
                }
                let mut fields = fields.clone();
                fields.extend(url.clone().map(|url| ("url".to_owned(), url.into())));
                plugins::put_in(ctx, tx, at, whole(&value(&fields)), fetched).map(drop)
            }
            Deed::ChangePlugin { id, fields } => {
                plugins::commands::change(ctx, tx, at, *id, partial(&value(fields)))
            }
            Deed::RemovePlugin(id) => plugins::commands::remove(ctx, tx, at, *id),
            _ => Ok(()),
        }
    }

    fn in_project(&self, id: ProjectId) -> InProject {
        InProject { organization: self.at.id, id, level: Level::Admin }
    }

    fn known(&self, project: ProjectRef) -> Result<ProjectId> {
        match project {
            ProjectRef::Known(id) => Ok(id),
            ProjectRef::New(place) => self.made.get(&place).copied().ok_or_else(blocked_project),
        }
    }

    fn user(&self, email: &str) -> Result<UserId> {
        users::by_email(self.tx, email)?.ok_or_else(not_found)
    }

    fn role_named(&self, name: &str) -> Result<RoleId> {
        Ok(roles::by_name(self.tx, self.at.id, name)?.ok_or_else(not_found)?.0)
    }
}

fn blocked_project() -> Error {
    invalid_body("invalid_input", "Its project could not be made.")
}

fn set_level(ctx: &Ctx, tx: &WriteTx, at: InOrganization, user: UserId, level: Level) -> Result<()> {
    members::update(ctx, tx, at, user, partial(&json!({"level": level.number()})))
}

fn value(fields: &Fields) -> Value {
    Value::Object(fields.clone())
}

fn whole(value: &Value) -> Input<'_> {
    Input::of(value)
}

fn partial(value: &Value) -> Input<'_> {
    super::compare::partial(value)
}

/// The plugins that the steps have to fetch first.
pub(super) fn to_fetch(planned: &Planned) -> Vec<String> {
    let url = |step: &Step| match &step.deed {
        Deed::AddPlugin { url, fields }
            if fields.get("plugin_type").and_then(Value::as_str) != Some("source") =>
        {
            url.clone()
        }
        _ => None,
    };
    planned.steps.iter().filter_map(url).collect()
}

/// Whether somebody with this address is there.
pub(super) fn is_known(tx: &Tx, email: &str) -> Result<Option<UserId>> {
    users::by_email(tx, email)
}
