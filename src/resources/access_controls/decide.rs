//! How rules decide. What is enforced, what the pages of access show and what is explained all come from the
//! functions of this file.
//!
//! Admins and owners of the organization have the highest level everywhere. Of the rules of a project, those for a
//! person and their roles stand above the default of everybody, and the highest of them decides; nobody is let into a
//! private project by default. Of the rules of all objects of a kind, the highest decides.

use std::collections::HashMap;

use super::kinds::{PROJECT, Scale, parent_of};
use super::{AccessControl, ENTRIES, EntryKey, Subject};
use crate::api::{InProject, Level};
use crate::error::{Result, denied};
use crate::ids::{MembershipId, OrganizationId, ProjectId, RoleId, UserId};
use crate::resources::{members, role_memberships};
use crate::store::{Order, Tx};

/// Whom a decision is about: somebody in the organization, or everybody in a role, or everybody.
pub(super) struct Person {
    pub(super) level: Level,
    pub(super) member: Option<MembershipId>,
    pub(super) roles: Vec<RoleId>,
}

impl Person {
    /// A member of the organization, or 404.
    pub(super) fn load(tx: &Tx, organization: OrganizationId, user: UserId) -> Result<Person> {
        let member = members::find(tx, organization, user)?;
        let roles = role_memberships::roles_of(tx, organization, user)?;
        Ok(Person { level: member.level, member: Some(member.id), roles })
    }

    /// A plain member who has this role and is not named anywhere.
    pub(super) fn in_role(role: RoleId) -> Person {
        Person { level: Level::Member, member: None, roles: vec![role] }
    }

    /// A plain member whom no rule names.
    pub(super) fn anybody() -> Person {
        Person { level: Level::Member, member: None, roles: Vec::new() }
    }
}

/// The rules about one thing that concern a person.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    pub(super) own: Option<&'static str>,
    pub(super) roles: Vec<(RoleId, &'static str)>,
    pub(super) default: Option<&'static str>,
}

impl Rules {
    /// Those among the entries of one thing that concern the person.
    pub(super) fn of<'a>(
        scale: Scale,
        entries: impl IntoIterator<Item = &'a AccessControl>,
        person: &Person,
    ) -> Rules {
        let mut rules = Rules::default();
        for entry in entries {
            let level = scale.bounded(&entry.access_level);
            match entry.subject {
                Subject::Everybody => rules.default = Some(level),
                Subject::Member(id) if person.member == Some(id) => rules.own = Some(level),
                Subject::Role(id) if person.roles.contains(&id) => rules.roles.push((id, level)),
                Subject::Member(_) | Subject::Role(_) => {}
            }
        }
        rules
    }

    /// The highest of those for the person and their roles.
    fn highest_explicit(&self, scale: Scale) -> Option<Decision> {
        let own = self.own.map(|level| Decision { level, by: By::Member });
        let roles = self.roles.iter().map(|(role, level)| Decision { level, by: By::Role(*role) });
        // Of equal ones the first decides, so the person's own before their roles'.
        highest(scale, own.into_iter().chain(roles))
    }
}

/// What decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    OrganizationLevel,
    Member,
    Role(RoleId),
    /// That the project is private.
    Private,
    /// The rule for everybody.
    Default,
    /// No rule at all.
    System,
}

/// A level, and what decides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) level: &'static str,
    pub(super) by: By,
}

/// The first of the highest.
fn highest(scale: Scale, all: impl Iterator<Item = Decision>) -> Option<Decision> {
    all.reduce(|best, next| if scale.rank(next.level) > scale.rank(best.level) { next } else { best })
}

impl Decision {
    /// The level in the project of somebody with this level in its organization; `None` where they have no access.
    pub(super) fn effective(self, organization_level: Level) -> Option<Level> {
        match (self.by, self.level) {
            (By::OrganizationLevel, _) => Some(organization_level),
            (_, "admin") => Some(Level::Admin),
            (_, "member") => Some(Level::Member),
            _ => None,
        }
    }
}

/// Who may do what in a project.
pub(super) fn in_project(level: Level, is_private: bool, rules: &Rules) -> Decision {
    let scale = Scale::PROJECT;
    if level >= Level::Admin {
        return Decision { level: scale.maximum, by: By::OrganizationLevel };
    }
    if let Some(decision) = rules.highest_explicit(scale) {
        return decision;
    }
    if is_private {
        return Decision { level: "none", by: By::Private };
    }
    match rules.default {
        Some(level) => Decision { level, by: By::Default },
        None => Decision { level: scale.default, by: By::System },
    }
}

/// Who may do what with all objects of a kind.
pub(super) fn in_resource(level: Level, scale: Scale, rules: &Rules) -> Decision {
    if level >= Level::Admin {
        return Decision { level: scale.maximum, by: By::OrganizationLevel };
    }
    let default = rules.default.map(|level| Decision { level, by: By::Default });
    let given = highest(scale, rules.highest_explicit(scale).into_iter().chain(default));
    given.unwrap_or(Decision { level: scale.default, by: By::System })
}

/// What the entries of an organization mean for somebody with a level in it, project by project.
pub struct Grants {
    level: Level,
    rules: HashMap<ProjectId, Rules>,
}

impl Grants {
    /// Reads them; one look-up where the organization has none, and nothing for admins.
    pub fn of(tx: &Tx, organization: OrganizationId, user: UserId, level: Level) -> Result<Grants> {
        if level >= Level::Admin || tx.count(&ENTRIES, &organization)? == 0 {
            return Ok(Grants { level, rules: HashMap::new() });
        }
        let entries = tx.scan(&ENTRIES, &organization, Order::Ascending)?;
        Grants::among(tx, organization, user, level, &entries)
    }

    /// Reads those of one project.
    pub fn in_project(
        tx: &Tx,
        organization: OrganizationId,
        project: ProjectId,
        user: UserId,
        level: Level,
    ) -> Result<Grants> {
        if level >= Level::Admin {
            return Ok(Grants { level, rules: HashMap::new() });
        }
        let entries = tx.scan(&ENTRIES, &(organization, project, PROJECT.to_owned()), Order::Ascending)?;
        Grants::among(tx, organization, user, level, &entries)
    }

    fn among(
        tx: &Tx,
        organization: OrganizationId,
        user: UserId,
        level: Level,
        entries: &[(EntryKey, AccessControl)],
    ) -> Result<Grants> {
        let mut rules = HashMap::new();
        if entries.is_empty() {
            return Ok(Grants { level, rules });
        }
        let person = Person::load(tx, organization, user)?;
        // They lie project by project.
        for of_project in entries.chunk_by(|((_, one, _), _), ((_, next, _), _)| one == next) {
            let own = of_project.iter().filter(|((_, _, ((resource, _), _)), _)| resource == PROJECT);
            let of_person = Rules::of(Scale::PROJECT, own.map(|(_, entry)| entry), &person);
            rules.insert(of_project[0].0.1, of_person);
        }
        Ok(Grants { level, rules })
    }

    /// Their level in a project; `None` where they have no access.
    pub fn level(&self, project: ProjectId, is_private: bool) -> Option<Level> {
        let none = Rules::default();
        let rules = self.rules.get(&project).unwrap_or(&none);
        in_project(self.level, is_private, rules).effective(self.level)
    }
}

/// An entry for a project itself, and the level that it gives; `None` for no access.
pub struct ProjectEntry {
    pub project: ProjectId,
    pub subject: Subject,
    pub level: Option<Level>,
}

/// The entries of an organization for its projects themselves.
pub fn of_projects(tx: &Tx, organization: OrganizationId) -> Result<Vec<ProjectEntry>> {
    let all = tx.scan(&ENTRIES, &organization, Order::Ascending)?.into_iter();
    let of_projects = all.filter(|((_, _, ((resource, _), _)), _)| resource == PROJECT);
    let entry = |((_, project, _), entry): (EntryKey, AccessControl)| {
        let level = Scale::PROJECT.bounded(&entry.access_level);
        let level = Decision { level, by: By::Default }.effective(Level::Member);
        ProjectEntry { project, subject: entry.subject, level }
    };
    Ok(of_projects.map(entry).collect())
}

/// All entries of one project by kind, to look at it as many people.
pub(super) struct Sheet {
    by_kind: HashMap<String, Vec<AccessControl>>,
}

impl Sheet {
    /// Reads the entries for the project itself and for all objects of each kind.
    pub(super) fn read(tx: &Tx, organization: OrganizationId, project: ProjectId) -> Result<Sheet> {
        let mut by_kind: HashMap<String, Vec<AccessControl>> = HashMap::new();
        for ((_, _, ((kind, object), _)), entry) in
            tx.scan(&ENTRIES, &(organization, project), Order::Ascending)?
        {
            if object.is_empty() || kind == PROJECT {
                by_kind.entry(kind).or_default().push(entry);
            }
        }
        Ok(Sheet { by_kind })
    }

    /// The entries that apply to a kind.
    pub(super) fn about(&self, resource: &str) -> &[AccessControl] {
        self.by_kind.get(parent_of(resource)).map_or(&[], Vec::as_slice)
    }

    /// The rules for it that concern the person.
    pub(super) fn rules(&self, resource: &str, person: &Person) -> Rules {
        Rules::of(Scale::of(resource), self.about(resource), person)
    }
}

/// The level of somebody for all objects of a kind in a project that they see.
///
/// # Errors
/// 404 for a stranger.
pub fn level_for(tx: &Tx, at: InProject, user: UserId, resource: &str) -> Result<&'static str> {
    let person = Person::load(tx, at.organization, user)?;
    let rules = Sheet::read(tx, at.organization, at.id)?.rules(resource, &person);
    Ok(in_resource(person.level, Scale::of(resource), &rules).level)
}

/// Passes whoever may see objects of a kind in a project.
///
/// # Errors
/// 403 for those to whom rules give no level.
pub fn require_viewer(tx: &Tx, at: InProject, user: UserId, resource: &str) -> Result<()> {
    match level_for(tx, at, user, resource)? {
        "none" => Err(denied("You do not have viewer access to this resource.")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn rules(own: Option<&'static str>, roles: &[&'static str], default: Option<&'static str>) -> Rules {
        let role = |(number, level): (usize, &&'static str)| (role(number as u128), *level);
        Rules { own, roles: roles.iter().enumerate().map(role).collect(), default }
    }

    fn role(number: u128) -> RoleId {
        RoleId(Uuid::from_u128(number))
    }

    #[test]
    fn in_a_project_what_is_granted_beats_the_default_and_the_highest_wins() {
        use Level::{Admin, Member, Owner};
        for (is_private, rules, level, by) in [
            (false, rules(None, &[], None), Some(Member), By::System),
            (true, rules(None, &[], None), None, By::Private),
            (false, rules(None, &[], Some("none")), None, By::Default),
            (false, rules(None, &[], Some("admin")), Some(Admin), By::Default),
            (true, rules(None, &[], Some("admin")), None, By::Private),
            (false, rules(Some("none"), &[], Some("admin")), None, By::Member),
            (true, rules(Some("member"), &[], None), Some(Member), By::Member),
            (false, rules(Some("none"), &["none", "admin"], None), Some(Admin), By::Role(role(1))),
            (false, rules(Some("member"), &["member"], None), Some(Member), By::Member),
            (true, rules(None, &["member"], Some("none")), Some(Member), By::Role(role(0))),
        ] {
            let decision = in_project(Member, is_private, &rules);
            assert_eq!((decision.effective(Member), decision.by), (level, by), "{rules:?}");
            for above in [Admin, Owner] {
                assert_eq!(in_project(above, is_private, &rules).effective(above), Some(above));
            }
        }
    }

    #[test]
    fn of_the_rules_for_a_kind_the_highest_wins() {
        let scale = Scale::of("dashboard");
        for (rules, level, by) in [
            (rules(None, &[], None), "editor", By::System),
            (rules(None, &[], Some("none")), "none", By::Default),
            (rules(Some("viewer"), &[], Some("none")), "viewer", By::Member),
            (rules(Some("viewer"), &["manager"], Some("editor")), "manager", By::Role(role(0))),
            (rules(Some("viewer"), &["none"], Some("editor")), "editor", By::Default),
        ] {
            assert_eq!(in_resource(Level::Member, scale, &rules), Decision { level, by }, "{rules:?}");
        }
        let admin = in_resource(Level::Admin, Scale::of("toolbar"), &rules(Some("none"), &[], None));
        assert_eq!(admin, Decision { level: "viewer", by: By::OrganizationLevel });
    }
}
