//! Projects with their settings.

use std::collections::HashSet;

use serde_json::Value;

use super::people::shown;
use super::{Here, Match, Phase, Planner, about, meant, partial, wrong};
use crate::api::{InProject, Level};
use crate::error::Result;
use crate::resources::org_file::deeds::{Deed, ProjectRef};
use crate::resources::org_file::document::{Fields, ProjectEntry};
use crate::resources::org_file::fault::below;
use crate::resources::org_file::plan::{Action, FieldChange, differences};
use crate::resources::org_file::state::Project;
use crate::resources::projects::{self, SECRET_SETTINGS};

fn is_secret(name: &str) -> bool {
    SECRET_SETTINGS.contains(&name)
}

impl Planner<'_> {
    pub(super) fn projects(&mut self, here: &Here<'_>) -> Result<()> {
        let stored: Vec<_> =
            here.state.projects.iter().map(|one| (one.id, one.name.to_lowercase())).collect();
        let entries = here.entry.projects.as_deref();
        let mut kept = HashSet::new();
        for (place, entry) in entries.unwrap_or_default().iter().enumerate() {
            let named = (entry.name.as_str(), entry.was.as_deref());
            match meant(&entry.path, "project", (entry.id, self.wanted.may.make_people), named, &stored)? {
                Match::Known(known) => {
                    if !kept.insert(known) {
                        return Err(wrong(&entry.path, "another entry means the same project"));
                    }
                    let project = &here.state.projects[known];
                    self.change_project(here, entry, project)?;
                    self.access(here, entry, ProjectRef::Known(project.id), Some(project));
                    self.exports(here, entry, ProjectRef::Known(project.id), Some(project))?;
                }
                Match::New => {
                    if self.add_project(entry, place)? {
                        self.access(here, entry, ProjectRef::New(place), None);
                        self.exports(here, entry, ProjectRef::New(place), None)?;
                    }
                }
            }
        }
        for (place, project) in here.state.projects.iter().enumerate() {
            if kept.contains(&place) || !self.left_over("projects", entries.is_some()) {
                continue;
            }
            self.change(Action::Remove, "project", &project.name).id = Some(project.id.0.into());
            let path = below(&here.entry.path, "projects");
            self.step(Phase::RemoveProjects, &path, Deed::RemoveProject(project.id));
        }
        Ok(())
    }

    /// Gives back whether it can be made.
    fn add_project(&mut self, entry: &ProjectEntry, place: usize) -> Result<bool> {
        if let (Some(id), false) = (entry.id, self.wanted.may.make_people) {
            return Err(wrong(&below(&entry.path, "id"), format!("there is no project {id}")));
        }
        if entry.api_token.is_some() && !self.wanted.may.make_people {
            let text = "a token is given in seeds and on data files only; leave it out";
            return Err(wrong(&below(&entry.path, "api_token"), text));
        }
        let (mut fields, missing) =
            self.with_secrets(&below(&entry.path, "settings"), &entry.fields, is_secret)?;
        if let Some((name, place)) = missing.into_iter().next() {
            let reason = format!("`{name}` is in {place}, which is not set");
            self.block("project", &entry.name, &entry.path, reason);
            return Ok(false);
        }
        let change = self.change(Action::Add, "project", &entry.name);
        change.fields = shown(&fields, is_secret);
        fields.insert("name".into(), entry.name.clone().into());
        let given = projects::Given { id: entry.id, api_token: entry.api_token.clone() };
        self.step(Phase::Projects, &entry.path, Deed::AddProject { place, given, fields });
        Ok(true)
    }

    fn change_project(&mut self, here: &Here<'_>, entry: &ProjectEntry, project: &Project) -> Result<()> {
        if entry.api_token.as_ref().is_some_and(|token| *token != project.api_token) {
            let text = "the token of a project is not chosen; leave it out";
            return Err(wrong(&below(&entry.path, "api_token"), text));
        }
        let (mut fields, _) = self.with_secrets(&below(&entry.path, "settings"), &entry.fields, is_secret)?;
        fields.insert("name".into(), entry.name.clone().into());
        let at = InProject { organization: here.state.id, id: project.id, level: Level::Admin };
        let value = Value::Object(fields.clone());
        let states = projects::preview(&here.ctx, self.tx, at, partial(&value));
        let states = states.map_err(|error| about(&entry.path, error))?;
        let mut changes = differences(&states);
        let secret = |change: &FieldChange| is_secret(change.path.split('.').next().unwrap_or_default());
        if !self.wanted.options.secrets {
            for change in changes.iter().filter(|change| secret(change)) {
                let note =
                    format!("`{}` of project \"{}\" differs; --secrets sends it", change.path, project.name);
                self.plan.notes.push(note);
            }
            changes.retain(|change| !secret(change));
            fields.retain(|name, _| !is_secret(name));
        }
        if changes.is_empty() {
            return Ok(());
        }
        for change in changes.iter_mut().filter(|change| secret(change)) {
            *change = FieldChange::secret(&change.path);
        }
        let fields = only(fields, &changes);
        let change = self.change(Action::Update, "project", &project.name);
        change.id = Some(project.id.0.into());
        change.fields = changes;
        self.step(Phase::Projects, &entry.path, Deed::ChangeProject { id: project.id, fields });
        Ok(())
    }
}

/// Those of the fields that change.
pub(super) fn only(mut fields: Fields, changes: &[FieldChange]) -> Fields {
    fields.retain(|name, _| changes.iter().any(|change| change.path.split('.').next() == Some(name)));
    fields
}
