//! Roles and who is in them.

use std::collections::HashSet;

use serde_json::Value;

use super::{Here, Match, Phase, Planner, meant, partial, wrong};
use crate::error::Result;
use crate::resources::org_file::deeds::Deed;
use crate::resources::org_file::document::{Fields, RoleEntry};
use crate::resources::org_file::fault::below;
use crate::resources::org_file::plan::{Action, FieldChange, differences, given};
use crate::resources::org_file::state::Role;
use crate::resources::roles;

impl Planner<'_> {
    pub(super) fn roles(&mut self, here: &mut Here<'_>) -> Result<()> {
        let stored: Vec<_> =
            here.state.roles.iter().map(|role| (role.id, role.name.to_lowercase())).collect();
        here.roles = stored.iter().map(|(_, name)| name.to_lowercase()).collect();
        let entries = here.entry.roles.as_deref();
        let mut kept = HashSet::new();
        for entry in entries.unwrap_or_default() {
            match self.meant_role(entry, &stored)? {
                Match::Known(place) => {
                    kept.insert(place);
                    let role = here.state.roles[place].clone();
                    here.roles.remove(&role.name.to_lowercase());
                    self.change_role(entry, &role)?;
                }
                Match::New => self.add_role(entry),
            }
            here.roles.insert(entry.name.to_lowercase());
        }
        for (place, role) in here.state.roles.clone().iter().enumerate() {
            if kept.contains(&place) || !self.left_over("roles", entries.is_some()) {
                continue;
            }
            here.roles.remove(&role.name.to_lowercase());
            self.change(Action::Remove, "role", &role.name).id = Some(role.id.to_string().into());
            let path = below(&here.entry.path, "roles");
            self.step(Phase::RemoveRoles, &path, Deed::RemoveRole(role.id));
        }
        Ok(())
    }

    fn meant_role(&self, entry: &RoleEntry, stored: &[(crate::ids::RoleId, String)]) -> Result<Match> {
        let named = (entry.name.as_str(), entry.was.as_deref());
        meant(&entry.path, "role", (entry.id, self.wanted.may.make_people), named, stored)
    }

    fn add_role(&mut self, entry: &RoleEntry) {
        let mut shown = given(&without_name(&entry.fields));
        if let Some(members) = &entry.members {
            shown.push(FieldChange::new("members", None, Some(members.clone().into())));
        }
        self.change(Action::Add, "role", &entry.name).fields = shown;
        self.step(Phase::Roles, &entry.path, Deed::AddRole { id: entry.id, fields: named(entry) });
    }

    fn change_role(&mut self, entry: &RoleEntry, role: &Role) -> Result<()> {
        let before: Fields = [
            ("name".to_owned(), Value::from(role.name.clone())),
            ("feature_flags_access_level".to_owned(), role.feature_flags_access_level.into()),
        ]
        .into_iter()
        .collect();
        let mut after = before.clone();
        let fields = Value::Object(named(entry));
        for (name, value) in crate::api::fields::check(roles::FIELDS, &fields, false, true)? {
            after.insert(name.to_owned(), value.to_json());
        }
        let changes = differences(&[before, after]);
        if changes.is_empty() {
            return Ok(());
        }
        let change = self.change(Action::Update, "role", &role.name);
        change.id = Some(role.id.to_string().into());
        change.fields = changes;
        let _ = partial(&fields);
        self.step(Phase::Roles, &entry.path, Deed::ChangeRole { id: role.id, fields: named(entry) });
        Ok(())
    }

    /// The members of each role are all that are given.
    pub(super) fn role_members(&mut self, here: &Here<'_>) -> Result<()> {
        let stored: Vec<_> =
            here.state.roles.iter().map(|role| (role.id, role.name.to_lowercase())).collect();
        for entry in here.entry.roles.iter().flatten() {
            let Some(members) = &entry.members else { continue };
            let role = match self.meant_role(entry, &stored)? {
                Match::Known(place) => Some(&here.state.roles[place]),
                Match::New => None,
            };
            let inside: HashSet<String> =
                role.into_iter().flat_map(|role| &role.members).map(|email| email.to_lowercase()).collect();
            for (place, email) in members.iter().enumerate() {
                let path = format!("{}.members[{place}]", entry.path);
                if !crate::api::fields::is_email(email) {
                    return Err(wrong(&path, "an e-mail address is wanted"));
                }
                if inside.contains(&email.to_lowercase()) {
                    continue;
                }
                if !here.members.contains(&email.to_lowercase()) {
                    self.block("role", &entry.name, &path, format!("{email} is not a member"));
                    continue;
                }
                if role.is_some() {
                    self.change(Action::Add, "role member", email).fields = vec![of_role(&entry.name)];
                }
                let deed = Deed::PutIntoRole { role: entry.name.clone(), email: email.clone() };
                self.step(Phase::RoleMembers, &path, deed);
            }
            let Some(role) = role else { continue };
            let wanted: HashSet<String> = members.iter().map(|email| email.to_lowercase()).collect();
            for email in role.members.iter().filter(|email| !wanted.contains(&email.to_lowercase())) {
                self.change(Action::Remove, "role member", email).fields = vec![of_role(&entry.name)];
                let deed = Deed::TakeOutOfRole { role: role.id, email: email.clone() };
                self.step(Phase::RemoveRoleMembers, &entry.path, deed);
            }
        }
        Ok(())
    }
}

fn of_role(name: &str) -> FieldChange {
    FieldChange::new("role", None, Some(name.into()))
}

/// The fields of a role; its name is one of them.
fn named(entry: &RoleEntry) -> Fields {
    let mut fields = entry.fields.clone();
    fields.insert("name".into(), entry.name.clone().into());
    fields
}

fn without_name(fields: &Fields) -> Fields {
    fields
        .iter()
        .filter(|(name, _)| *name != "name")
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
