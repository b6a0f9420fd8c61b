//! People of the file: made and changed at the machine only.

use serde_json::{Map, Value};

use super::{Phase, Planner, Wanted, about, partial, wrong};
use crate::api::Level;
use crate::error::Result;
use crate::ids::UserId;
use crate::resources::org_file::deeds::{Deed, Secret, Step, secret_of};
use crate::resources::org_file::document::{Fields, UserEntry};
use crate::resources::org_file::fault::below;
use crate::resources::org_file::plan::{Action, FieldChange, differences, given};
use crate::resources::{api_keys, two_factor, users};
use crate::store::Tx;

/// Somebody who is there.
type Known = (UserId, Map<String, Value>);

/// What is stored of the people of the file.
pub(super) fn known(tx: &Tx, wanted: &Wanted<'_>) -> Result<Vec<Option<Known>>> {
    let mut all = Vec::new();
    for entry in &wanted.document.users {
        let id = users::by_email(tx, &entry.email)?;
        all.push(
            id.map(|id| Ok::<_, crate::error::Error>((id, users::person_of(&users::find(tx, id)?))))
                .transpose()?,
        );
    }
    Ok(all)
}

impl Planner<'_> {
    /// Whether the file makes this person.
    pub(super) fn is_in_users(&self, email: &str) -> bool {
        let all = &self.wanted.document.users;
        self.wanted.may.make_people
            && !self.unmade.contains(&email.to_lowercase())
            && all.iter().any(|user| user.email.eq_ignore_ascii_case(email))
    }

    pub(super) fn people(&mut self) -> Result<()> {
        let all = &self.wanted.document.users;
        if !self.wanted.may.make_people {
            if !all.is_empty() {
                self.note(
                    "`users` are for seeds and data files: over the network nobody makes people".into(),
                );
            }
            return Ok(());
        }
        for entry in all {
            match users::by_email(self.tx, &entry.email)? {
                Some(id) => self.change_user(id, entry)?,
                None => self.add_user(entry)?,
            }
        }
        let phases = std::mem::take(&mut self.phases);
        self.steps.extend(phases.into_iter().map(|(_, step)| step));
        Ok(())
    }

    fn add_user(&mut self, entry: &UserEntry) -> Result<()> {
        if entry.id.is_some_and(|id| users::get(self.tx, id).is_ok_and(|user| user.is_some())) {
            return Err(wrong(&below(&entry.path, "id"), "is used already"));
        }
        let mut whole = entry.clone();
        let mut shown = given(&entry.fields);
        for (name, value) in [("password", &mut whole.password), ("totp", &mut whole.totp)] {
            let Some(value) = value else { continue };
            match self.secret(&below(&entry.path, name), value)? {
                Some(text) => *value = text.into(),
                None => {
                    self.missing("user", &entry.email, &entry.path, value);
                    self.unmade.insert(entry.email.to_lowercase());
                    return Ok(());
                }
            }
            shown.push(FieldChange::secret(name));
        }
        self.change(Action::Add, "user", &entry.email).fields = shown;
        self.step(Phase::Organization, &entry.path, Deed::AddUser(Box::new(whole)));
        Ok(())
    }

    fn change_user(&mut self, id: UserId, entry: &UserEntry) -> Result<()> {
        if entry.id.is_some_and(|wanted| wanted != id) {
            return Err(wrong(&below(&entry.path, "id"), "somebody else has this address"));
        }
        let user = users::find(self.tx, id)?;
        let value = Value::Object(entry.fields.clone());
        let after =
            users::described(self.tx, id, partial(&value)).map_err(|error| about(&entry.path, error))?;
        let mut fields = differences(&[users::person_of(&user), users::person_of(&after)]);
        let staff = entry.staff.filter(|staff| *staff != user.is_staff);
        fields.extend(
            staff.map(|staff| FieldChange::new("staff", Some(user.is_staff.into()), Some(staff.into()))),
        );
        if !fields.is_empty() {
            let deed = Deed::DescribeUser { user: id, fields: entry.fields.clone(), staff };
            self.step(Phase::Organization, &entry.path, deed);
        }
        if self.wanted.options.secrets && self.wanted.other_passwords.contains(&entry.email.to_lowercase()) {
            fields.push(FieldChange::secret("password"));
            self.step(
                Phase::Organization,
                &entry.path,
                Deed::Password { user: id, email: entry.email.to_lowercase() },
            );
        }
        if let Some(value) = &entry.totp
            && !two_factor::is_enabled(self.tx, id)?
            && let Some(secret) = self.secret(&below(&entry.path, "totp"), value)?
        {
            fields.push(FieldChange::secret("totp"));
            self.step(Phase::Organization, &entry.path, Deed::Totp { user: id, secret });
        }
        if !fields.is_empty() {
            let change = self.change(Action::Update, "user", &entry.email);
            change.id = Some(id.to_string().into());
            change.fields = fields;
        }
        Ok(())
    }

    /// Keys come last, for they may be limited to what the file makes. One whose label is known stays as it is.
    pub(super) fn keys(&mut self) -> Result<()> {
        if !self.wanted.may.make_people {
            return Ok(());
        }
        self.organization.clear();
        for user in &self.wanted.document.users {
            let known = match users::by_email(self.tx, &user.email)? {
                Some(id) => api_keys::of_user(self.tx, id)?,
                None => Vec::new(),
            };
            if self.unmade.contains(&user.email.to_lowercase()) {
                continue;
            }
            for key in &user.keys {
                if known.iter().any(|(_, known)| known.label == key.label) {
                    continue;
                }
                let name = format!("{} of {}", key.label, user.email);
                let Some(value) = self.secret(&below(&key.path, "value"), &key.value)? else {
                    self.missing("key", &name, &key.path, &key.value);
                    continue;
                };
                self.change(Action::Add, "key", &name).fields = given(&key.fields);
                let entry = Box::new(crate::resources::org_file::document::KeyEntry {
                    value: value.into(),
                    ..key.clone()
                });
                let deed = Deed::AddKey { email: user.email.clone(), entry };
                self.steps.push(Step { path: key.path.clone(), deed });
            }
        }
        Ok(())
    }

    /// The secret, where it is known.
    fn secret(&self, path: &str, value: &Value) -> Result<Option<String>> {
        match secret_of(value, self.wanted.may.say_all) {
            Secret::Known(text) => Ok(Some(text)),
            Secret::Missing(_) => Ok(None),
            Secret::Plain => Err(wrong(path, super::PLAIN_SECRET)),
        }
    }

    fn missing(&mut self, kind: &str, name: &str, path: &str, value: &Value) {
        if let Secret::Missing(place) = secret_of(value, false) {
            self.block(kind, name, path, format!("its secret is in {place}, which is not set"));
        }
    }
}

/// What a member without a level in the file is.
pub(super) const LEVEL: Level = Level::Member;

/// Fields without those that are kept elsewhere.
pub(super) fn shown(fields: &Fields, is_hidden: impl Fn(&str) -> bool) -> Vec<FieldChange> {
    let field = |(name, value): (&String, &Value)| match is_hidden(name) {
        true => FieldChange::secret(name),
        false => FieldChange::new(name, None, Some(value.clone())),
    };
    fields.iter().map(field).collect()
}
