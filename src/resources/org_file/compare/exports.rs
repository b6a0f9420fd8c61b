//! Batch exports of projects. What their destinations hide is compared here, and said nowhere.

use std::collections::HashSet;

use serde_json::Value;

use super::people::shown;
use super::projects::only;
use super::{Here, Match, Missing, Phase, Planner, about, meant, partial, wrong};
use crate::api::{InProject, Level};
use crate::error::Result;
use crate::resources::batch_exports::commands::{self, Preview};
use crate::resources::batch_exports::destination::Kind;
use crate::resources::org_file::deeds::{Deed, ProjectRef};
use crate::resources::org_file::document::{ExportEntry, Fields, ProjectEntry};
use crate::resources::org_file::fault::below;
use crate::resources::org_file::plan::{Action, FieldChange, differences};
use crate::resources::org_file::state::{Export, Project};

const DESTINATION: &str = "destination";

impl Planner<'_> {
    pub(super) fn exports(
        &mut self,
        here: &Here<'_>,
        entry: &ProjectEntry,
        project: ProjectRef,
        state: Option<&Project>,
    ) -> Result<()> {
        let known = state.map(|project| project.exports.as_slice()).unwrap_or_default();
        let stored: Vec<_> = known.iter().map(|export| (export.id, export.name.to_lowercase())).collect();
        let mut kept = HashSet::new();
        for export in entry.exports.iter().flatten() {
            let named = (export.name.as_str(), export.was.as_deref());
            match meant(&export.path, "export", (export.id, self.wanted.may.make_people), named, &stored)? {
                Match::Known(place) => {
                    kept.insert(place);
                    if let Some(project) = state {
                        self.change_export(here, export, (project, &known[place]))?;
                    }
                }
                Match::New => self.add_export(entry, export, project)?,
            }
        }
        for (place, export) in known.iter().enumerate() {
            let (Some(project), false) = (state, kept.contains(&place)) else { continue };
            if !self.left_over("exports", entry.exports.is_some()) {
                continue;
            }
            let change = self.change(Action::Remove, "export", &export.name);
            change.id = Some(export.id.to_string().into());
            change.project = Some(project.name.clone());
            let deed = Deed::RemoveExport { project: project.id, id: export.id };
            self.step(Phase::RemoveExports, &below(&entry.path, "exports"), deed);
        }
        Ok(())
    }

    fn add_export(&mut self, project: &ProjectEntry, entry: &ExportEntry, at: ProjectRef) -> Result<()> {
        let (config, missing) = self.config(entry, kind_of(&entry.fields))?;
        if let Some((name, place)) = missing.into_iter().next() {
            let reason = format!("`{name}` is in {place}, which is not set");
            self.block("export", &entry.name, &entry.path, reason);
            return Ok(());
        }
        let mut fields = entry.fields.clone();
        let kind = kind_of(&fields);
        let hides = |name: &str| kind.is_some_and(|kind| kind.hides(name));
        let mut all = shown(&entry.fields, |name| name == DESTINATION);
        all.retain(|field| field.path != DESTINATION);
        if let Some(config) = config {
            all.push(FieldChange::new("destination.type", None, kind.map(|kind| kind.name().into())));
            all.extend(
                shown(&config, hides)
                    .into_iter()
                    .map(|field| FieldChange { path: format!("destination.config.{}", field.path), ..field }),
            );
            set_config(&mut fields, config);
        }
        let change = self.change(Action::Add, "export", &entry.name);
        change.project = Some(project.name.clone());
        change.fields = all;
        fields.insert("name".into(), entry.name.clone().into());
        self.step(Phase::Exports, &entry.path, Deed::AddExport { project: at, id: entry.id, fields });
        Ok(())
    }

    fn change_export(
        &mut self,
        here: &Here<'_>,
        entry: &ExportEntry,
        (project, export): (&Project, &Export),
    ) -> Result<()> {
        let kind = kind_of(&export.fields);
        let (config, missing) = self.config(entry, kind)?;
        let mut fields = entry.fields.clone();
        fields.insert("name".into(), entry.name.clone().into());
        // A query can be replaced, not taken away: what is null is so already.
        if fields.get("hogql_query").is_some_and(Value::is_null) {
            fields.shift_remove("hogql_query");
        }
        let hides = |name: &str| kind.is_some_and(|kind| kind.hides(name));
        let mut open = fields.clone();
        if let Some(config) = config {
            let plain = config.iter().filter(|(name, _)| !hides(name));
            set_config(&mut open, plain.map(|(name, value)| (name.clone(), value.clone())).collect());
            set_config(&mut fields, config);
        }
        let at = InProject { organization: here.state.id, id: project.id, level: Level::Admin };
        let preview = |fields: &Fields| {
            let value = Value::Object(fields.clone());
            commands::preview(&here.ctx, self.tx, at, export.id, partial(&value))
        };
        // Where the receiver changes, secrets are wanted again.
        let (without, with) = (preview(&open), preview(&fields));
        let (Preview { shown, .. }, sent, sends_secrets) = match (without, with) {
            (_, Ok(with)) if self.wanted.options.secrets => (with, fields, true),
            (Ok(without), with) => {
                let differs = with.is_ok_and(|with| with.has_other_secrets);
                if differs {
                    let note = format!("secrets of export \"{}\" differ; --secrets sends them", export.name);
                    self.note(note);
                }
                (without, open, false)
            }
            (Err(_), Ok(with)) => (with, fields, true),
            (Err(error), Err(_)) => {
                let unset = missing
                    .first()
                    .map(|(name, place)| format!("; `{name}` is in {place}, which is not set"));
                let error = about(&entry.path, error);
                return Err(match unset {
                    Some(unset) => wrong(&entry.path, format!("{error}{unset}")),
                    None => error,
                });
            }
        };
        let is_other = sends_secrets && self.preview_secrets(here, (project, export), &sent)?;
        let mut changes = differences(&shown);
        if is_other {
            changes.push(FieldChange::secret("destination secrets"));
        }
        if changes.is_empty() {
            return Ok(());
        }
        let mut wanted = only(sent.clone(), &changes);
        if is_other {
            wanted.extend(sent.get(DESTINATION).map(|value| (DESTINATION.to_owned(), value.clone())));
        }
        let change = self.change(Action::Update, "export", &export.name);
        change.id = Some(export.id.to_string().into());
        change.project = Some(project.name.clone());
        change.fields = changes;
        let deed = Deed::ChangeExport { project: project.id, id: export.id, fields: wanted };
        self.step(Phase::Exports, &entry.path, deed);
        Ok(())
    }

    fn preview_secrets(
        &self,
        here: &Here<'_>,
        (project, export): (&Project, &Export),
        fields: &Fields,
    ) -> Result<bool> {
        let at = InProject { organization: here.state.id, id: project.id, level: Level::Admin };
        let value = Value::Object(fields.clone());
        Ok(commands::preview(&here.ctx, self.tx, at, export.id, partial(&value))?.has_other_secrets)
    }

    /// The configuration with its secrets, and those that are kept elsewhere.
    fn config(&self, entry: &ExportEntry, kind: Option<Kind>) -> Result<(Option<Fields>, Missing)> {
        let config = entry.fields.get(DESTINATION).and_then(|value| value.get("config"));
        let Some(Value::Object(config)) = config else { return Ok((None, Vec::new())) };
        let path = format!("{}.destination.config", entry.path);
        let is_secret = |name: &str| kind.is_some_and(|kind| kind.is_secret(name));
        let (config, missing) = self.with_secrets(&path, config, is_secret)?;
        Ok((Some(config), missing))
    }
}

fn kind_of(fields: &Fields) -> Option<Kind> {
    Kind::named(fields.get(DESTINATION)?.get("type")?.as_str()?)
}

fn set_config(fields: &mut Fields, config: Fields) {
    if let Some(destination) = fields.get_mut(DESTINATION).and_then(Value::as_object_mut) {
        destination.insert("config".into(), Value::Object(config));
    }
}
