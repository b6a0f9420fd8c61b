//! Rules of access: what is given of members and roles is all of them.

use serde_json::Value;

use super::{Here, Phase, Planner};
use crate::resources::org_file::deeds::{Deed, ProjectRef, Who};
use crate::resources::org_file::document::{Levels, PROJECT, ProjectEntry, RulesEntry};
use crate::resources::org_file::plan::{Action, FieldChange};
use crate::resources::org_file::state::{Project, Rules};

/// The project whose rules are looked at.
struct Site<'a> {
    entry: &'a ProjectEntry,
    project: ProjectRef,
    resource: &'a str,
    path: &'a str,
}

impl Planner<'_> {
    pub(super) fn access(
        &mut self,
        here: &Here<'_>,
        entry: &ProjectEntry,
        project: ProjectRef,
        state: Option<&Project>,
    ) {
        let Some(access) = &entry.access else { return };
        let stored = state.map(|project| project.access.as_slice()).unwrap_or_default();
        for rules in &access.rules {
            let before = stored.iter().find(|known| known.resource == rules.resource);
            self.rules(
                here,
                &Site { entry, project, resource: &rules.resource, path: &rules.path },
                rules,
                before,
            );
        }
        if !access.has_all_resources {
            return;
        }
        let is_listed = |known: &&Rules| access.rules.iter().any(|rules| rules.resource == known.resource);
        for known in stored.iter().filter(|known| known.resource != PROJECT && !is_listed(known)) {
            let path = format!("{}.access.resources", entry.path);
            let site = Site { entry, project, resource: &known.resource, path: &path };
            let nothing = RulesEntry {
                path: path.clone(),
                resource: known.resource.clone(),
                default: Some(None),
                members: Some(Vec::new()),
                roles: Some(Vec::new()),
            };
            self.rules(here, &site, &nothing, Some(known));
        }
    }

    fn rules(&mut self, here: &Here<'_>, site: &Site<'_>, entry: &RulesEntry, before: Option<&Rules>) {
        if let Some(wanted) = &entry.default {
            let before = before.and_then(|rules| rules.default.as_deref());
            self.rule(site, Who::Everybody, before, wanted.as_deref());
        }
        if let Some(wanted) = &entry.members {
            let stored = before.map(|rules| rules.members.as_slice()).unwrap_or_default();
            let is_there = |name: &str| here.members.contains(&name.to_lowercase());
            self.named(site, (wanted, stored), Who::Member, is_there, "not a member");
        }
        if let Some(wanted) = &entry.roles {
            let stored = before.map(|rules| rules.roles.as_slice()).unwrap_or_default();
            let renamed = renamed(here, stored);
            let is_there = |name: &str| here.roles.contains(&name.to_lowercase());
            self.named(site, (wanted, &renamed), Who::Role, is_there, "there is no such role");
        }
    }

    fn named(
        &mut self,
        site: &Site<'_>,
        (wanted, stored): (&Levels, &[(String, String)]),
        who: fn(String) -> Who,
        is_there: impl Fn(&str) -> bool,
        otherwise: &str,
    ) {
        let is_same = |one: &str, other: &str| one.to_lowercase() == other.to_lowercase();
        for (name, level) in wanted {
            let before =
                stored.iter().find(|(known, _)| is_same(known, name)).map(|(_, level)| level.as_str());
            if !is_there(name) && level.is_some() {
                self.block("access", name, site.path, otherwise);
                continue;
            }
            self.rule(site, who(name.clone()), before, level.as_deref());
        }
        for (name, level) in stored {
            if !wanted.iter().any(|(known, _)| is_same(known, name)) {
                self.rule(site, who(name.clone()), Some(level), None);
            }
        }
    }

    fn rule(&mut self, site: &Site<'_>, who: Who, before: Option<&str>, wanted: Option<&str>) {
        if before == wanted {
            return;
        }
        let (action, phase) = match (before, wanted) {
            (None, _) => (Action::Add, Phase::Access),
            (_, Some(_)) => (Action::Update, Phase::Access),
            (_, None) => (Action::Remove, Phase::RemoveAccess),
        };
        let name = match &who {
            Who::Everybody => "everybody".to_owned(),
            Who::Member(email) => email.clone(),
            Who::Role(name) => format!("role \"{name}\""),
        };
        let path = if site.resource == PROJECT { "level" } else { site.resource };
        let change = self.change(action, "access", &name);
        change.project = Some(site.entry.name.clone());
        let value = |level: Option<&str>| level.map(Value::from);
        change.fields = match action {
            Action::Remove => vec![FieldChange::new(path, value(before), None)],
            _ => vec![FieldChange::new(path, value(before), value(wanted))],
        };
        let deed = Deed::SetAccess {
            project: site.project,
            resource: site.resource.to_owned(),
            who,
            level: wanted.map(str::to_owned),
        };
        self.step(phase, site.path, deed);
    }
}

/// Levels of roles by the names that they will have.
fn renamed(here: &Here<'_>, stored: &[(String, String)]) -> Vec<(String, String)> {
    let entries = here.entry.roles.as_deref().unwrap_or_default();
    let new_name = |name: &String| {
        let role = here.state.roles.iter().find(|role| role.name == *name)?;
        let entry = entries.iter().find(|entry| {
            entry.id == Some(role.id)
                || (entry.id.is_none()
                    && entry.was.as_ref().is_some_and(|was| was.to_lowercase() == name.to_lowercase())
                    && !here
                        .state
                        .roles
                        .iter()
                        .any(|other| other.name.to_lowercase() == entry.name.to_lowercase()))
        })?;
        Some(entry.name.clone())
    };
    stored
        .iter()
        .map(|(name, level)| (new_name(name).unwrap_or_else(|| name.clone()), level.clone()))
        .collect()
}
