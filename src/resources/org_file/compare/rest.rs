//! Domains, proxies, plugins and invites.

use std::collections::HashSet;

use serde_json::Value;

use super::{Here, Match, Phase, Planner, about, meant, partial, wrong};
use crate::api::Level;
use crate::api::idn::ascii_name;
use crate::error::{Error, Result};
use crate::resources::org_file::deeds::Deed;
use crate::resources::org_file::document::{DomainEntry, Fields, InviteEntry, PluginEntry, word_of};
use crate::resources::org_file::fault::below;
use crate::resources::org_file::plan::{Action, FieldChange, differences, given};
use crate::resources::org_file::state::{Domain, Invite, Plugin};
use crate::resources::{domains, plugins};

impl Planner<'_> {
    pub(super) fn domains(&mut self, here: &Here<'_>) -> Result<()> {
        let stored: Vec<_> =
            here.state.domains.iter().map(|one| (one.id, one.domain.to_lowercase())).collect();
        let entries = here.entry.domains.as_deref();
        let mut kept = HashSet::new();
        for entry in entries.unwrap_or_default() {
            let name = ascii_name(&entry.domain);
            let may_be_new = self.wanted.may.make_people;
            match meant(&entry.path, "domain", (entry.id, may_be_new), (&name, None), &stored)? {
                Match::Known(place) => {
                    kept.insert(place);
                    self.change_domain(here, entry, &here.state.domains[place])?;
                }
                Match::New => self.add_domain(entry),
            }
        }
        for (place, domain) in here.state.domains.iter().enumerate() {
            if kept.contains(&place) || !self.left_over("domains", entries.is_some()) {
                continue;
            }
            self.change(Action::Remove, "domain", &domain.domain).id = Some(domain.id.to_string().into());
            let path = below(&here.entry.path, "domains");
            self.step(Phase::RemoveDomains, &path, Deed::RemoveDomain(domain.id));
        }
        Ok(())
    }

    fn add_domain(&mut self, entry: &DomainEntry) {
        let verified = entry.verified && self.wanted.may.say_all;
        let mut fields = entry.fields.clone();
        let needs_proof = |name: &str, value: &Value| {
            !domains::STANDS_UNPROVED.contains(&name) && !matches!(value, Value::Bool(false)) && value != ""
        };
        if !verified && fields.iter().any(|(name, value)| needs_proof(name, value)) {
            fields.retain(|name, value| !needs_proof(name, value));
            self.block("domain", &entry.domain, &entry.path, "its settings wait until it is verified");
        }
        if entry.verified && !verified {
            self.unverified(entry);
        }
        let mut shown = given(&fields);
        shown.extend(verified.then(|| FieldChange::new("verified", None, Some(true.into()))));
        self.change(Action::Add, "domain", &entry.domain).fields = shown;
        let deed = Deed::AddDomain { id: entry.id, domain: entry.domain.clone(), fields, verified };
        self.step(Phase::Domains, &entry.path, deed);
    }

    fn unverified(&mut self, entry: &DomainEntry) {
        self.note(format!("domain {} is verified by its TXT record, not by a file", entry.domain));
    }

    fn change_domain(&mut self, here: &Here<'_>, entry: &DomainEntry, domain: &Domain) -> Result<()> {
        let proves = entry.verified && !domain.is_verified;
        if proves && !self.wanted.may.say_all {
            self.unverified(entry);
        } else if proves {
            let field = FieldChange::new("verified", Some(false.into()), Some(true.into()));
            self.change(Action::Update, "domain", &domain.domain).fields = vec![field];
            self.step(Phase::Domains, &entry.path, Deed::VerifyDomain(domain.id));
            return Ok(());
        }
        let mut fields = entry.fields.clone();
        // What is as it stands is not sent: of an unverified domain it would be refused.
        fields.retain(|name, value| domain.fields.get(name) != Some(value));
        if fields.is_empty() {
            return Ok(());
        }
        let value = Value::Object(fields.clone());
        let states = match domains::preview(&here.ctx, self.tx, here.at, domain.id, partial(&value)) {
            Err(Error::Invalid { code: "verification_required", .. }) => {
                self.block("domain", &domain.domain, &entry.path, "its settings wait until it is verified");
                return Ok(());
            }
            states => states.map_err(|error| about(&entry.path, error))?,
        };
        let changes = differences(&states);
        if changes.is_empty() {
            return Ok(());
        }
        let change = self.change(Action::Update, "domain", &domain.domain);
        change.id = Some(domain.id.to_string().into());
        change.fields = changes;
        self.step(Phase::Domains, &entry.path, Deed::ChangeDomain { id: domain.id, fields });
        Ok(())
    }

    pub(super) fn proxies(&mut self, here: &Here<'_>) -> Result<()> {
        let stored: Vec<_> =
            here.state.proxies.iter().map(|one| (one.id, one.domain.to_lowercase())).collect();
        let entries = here.entry.proxies.as_deref();
        let mut kept = HashSet::new();
        for entry in entries.unwrap_or_default() {
            let name = ascii_name(&entry.domain);
            let may_be_new = self.wanted.may.make_people;
            match meant(&entry.path, "proxy", (entry.id, may_be_new), (&name, None), &stored)? {
                Match::Known(place) if !stored[place].1.eq_ignore_ascii_case(&name) => {
                    return Err(wrong(
                        &below(&entry.path, "domain"),
                        "a proxy of another name is another proxy",
                    ));
                }
                Match::Known(place) => {
                    kept.insert(place);
                }
                Match::New => {
                    self.change(Action::Add, "proxy", &entry.domain);
                    let deed = Deed::AddProxy { id: entry.id, domain: entry.domain.clone() };
                    self.step(Phase::Proxies, &entry.path, deed);
                }
            }
        }
        for (place, proxy) in here.state.proxies.iter().enumerate() {
            if kept.contains(&place) || !self.left_over("proxies", entries.is_some()) {
                continue;
            }
            self.change(Action::Remove, "proxy", &proxy.domain).id = Some(proxy.id.to_string().into());
            let path = below(&here.entry.path, "proxies");
            self.step(Phase::RemoveProxies, &path, Deed::RemoveProxy(proxy.id));
        }
        Ok(())
    }

    pub(super) fn plugins(&mut self, here: &Here<'_>) -> Result<()> {
        let entries = here.entry.plugins.as_deref();
        let mut kept = HashSet::new();
        for entry in entries.unwrap_or_default() {
            let is_meant = |plugin: &Plugin| match &entry.url {
                Some(url) => plugin.url.as_deref() == url.split('?').next(),
                None => plugin.url.is_none() && plugin.name == entry.name,
            };
            match here.state.plugins.iter().find(|plugin| is_meant(plugin)) {
                Some(plugin) => {
                    kept.insert(plugin.id.0);
                    self.change_plugin(here, entry, plugin)?;
                }
                None => {
                    self.change(Action::Add, "plugin", label(entry)).fields = given(&entry.fields);
                    let deed = Deed::AddPlugin { url: entry.url.clone(), fields: entry.fields.clone() };
                    self.step(Phase::Plugins, &entry.path, deed);
                }
            }
        }
        for plugin in here.state.plugins.iter().filter(|plugin| !kept.contains(&plugin.id.0)) {
            if !self.left_over("plugins", entries.is_some()) {
                continue;
            }
            let name = plugin.url.as_deref().or(plugin.name.as_deref()).unwrap_or_default();
            self.change(Action::Remove, "plugin", name).id = Some(plugin.id.0.into());
            self.step(
                Phase::RemovePlugins,
                &below(&here.entry.path, "plugins"),
                Deed::RemovePlugin(plugin.id),
            );
        }
        Ok(())
    }

    fn change_plugin(&mut self, here: &Here<'_>, entry: &PluginEntry, plugin: &Plugin) -> Result<()> {
        if entry.fields.is_empty() {
            return Ok(());
        }
        let value = Value::Object(entry.fields.clone());
        let states = plugins::preview(self.tx, here.at, plugin.id, partial(&value));
        let changes = differences(&states.map_err(|error| about(&entry.path, error))?);
        if changes.is_empty() {
            return Ok(());
        }
        let change = self.change(Action::Update, "plugin", label(entry));
        change.id = Some(plugin.id.0.into());
        change.fields = changes;
        let deed = Deed::ChangePlugin { id: plugin.id, fields: entry.fields.clone() };
        self.step(Phase::Plugins, &entry.path, deed);
        Ok(())
    }

    pub(super) fn invites(&mut self, here: &Here<'_>) -> Result<()> {
        let entries = here.entry.invites.as_deref();
        let mut kept = HashSet::new();
        for entry in entries.unwrap_or_default() {
            let open = here.state.invites.iter().find(|open| open.email.eq_ignore_ascii_case(&entry.email));
            if here.members.contains(&entry.email.to_lowercase()) {
                self.note(format!("{} is a member by now, and not invited", entry.email));
            } else {
                self.invite(here, entry, open)?;
            }
            kept.extend(open.map(|open| open.id));
        }
        let invited = here.entry.members.iter().flatten().filter(|member| member.invite);
        let invited: HashSet<String> = invited.map(|member| member.email.to_lowercase()).collect();
        for invite in &here.state.invites {
            let is_kept = kept.contains(&invite.id) || invited.contains(&invite.email.to_lowercase());
            if is_kept || !self.left_over("invites", entries.is_some()) {
                continue;
            }
            self.change(Action::Remove, "invite", &invite.email).id = Some(invite.id.to_string().into());
            self.step(
                Phase::RemoveInvites,
                &below(&here.entry.path, "invites"),
                Deed::RemoveInvite(invite.id),
            );
        }
        Ok(())
    }

    /// An invite never changes; another one takes its place.
    fn invite(&mut self, here: &Here<'_>, entry: &InviteEntry, open: Option<&Invite>) -> Result<()> {
        let before = open.map(invite_fields).unwrap_or_default();
        let mut after = before.clone();
        if let Some(level) = entry.level.or(open.is_none().then_some(Level::Member)) {
            after.insert("level".into(), word_of(level).into());
        }
        for name in ["first_name", "message"] {
            after.extend(entry.fields.get(name).map(|value| (name.to_owned(), value.clone())));
        }
        let access = entry.access.as_ref().map(|all| {
            let all = all.iter().filter_map(|(name, level)| Some((name.clone(), level.clone()?)));
            all.collect::<Vec<_>>()
        });
        for (name, _) in access.iter().flatten() {
            let in_file = here.entry.projects.iter().flatten().any(|project| project.name == *name);
            if !in_file && !here.state.projects.iter().any(|project| project.name == *name) {
                let path = below(&entry.path, "private_project_access");
                return Err(wrong(&path, format!("there is no project \"{name}\"")));
            }
        }
        let as_value = |all: &[(String, String)]| {
            Value::Object(all.iter().map(|(name, level)| (name.clone(), level.clone().into())).collect())
        };
        if let Some(access) = access.as_ref().filter(|access| open.is_some() || !access.is_empty()) {
            after.insert("private_project_access".into(), as_value(access));
        }
        let changes = differences(&[before, after.clone()]);
        if open.is_some() && changes.is_empty() {
            return Ok(());
        }
        let action = if open.is_some() { Action::Update } else { Action::Add };
        let change = self.change(action, "invite", &entry.email);
        change.id = open.map(|open| open.id.to_string().into());
        change.fields = if open.is_some() { changes } else { given(&after) };
        let kept =
            open.map(|open| open.access.iter().map(|(name, level)| (name.clone(), (*level).to_owned())));
        let access = access.unwrap_or_else(|| kept.into_iter().flatten().collect());
        let deed = Deed::Invite { fields: wire(entry, &after), access };
        self.step(Phase::Invites, &entry.path, deed);
        Ok(())
    }
}

fn label(entry: &PluginEntry) -> &str {
    entry.url.as_deref().or(entry.name.as_deref()).unwrap_or_default()
}

fn invite_fields(open: &Invite) -> Fields {
    let access = open.access.iter().map(|(name, level)| (name.clone(), Value::from(*level)));
    [
        ("level".to_owned(), Value::from(open.level)),
        ("first_name".to_owned(), open.first_name.clone().into()),
        ("message".to_owned(), open.message.clone().into()),
        ("private_project_access".to_owned(), Value::Object(access.collect())),
    ]
    .into_iter()
    .collect()
}

/// The fields of the API.
fn wire(entry: &InviteEntry, after: &Fields) -> Fields {
    let mut fields = entry.fields.clone();
    for name in ["first_name", "message"] {
        fields.extend(after.get(name).map(|value| (name.to_owned(), value.clone())));
    }
    let level = after.get("level").and_then(Value::as_str).and_then(super::super::document::level_of);
    fields.insert("level".into(), level.unwrap_or(Level::Member).number().into());
    fields.insert("target_email".into(), entry.email.clone().into());
    fields
}
