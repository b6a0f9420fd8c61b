//! Who may do what in one project: a default for everybody, and entries for members and roles.
//! Invariant: an entry's member or role belongs to the organization of its project, and goes with
//! it; admins and owners of the organization are never shut out.
//!
//! Entries for the project itself decide who sees it and at which level. Entries for other resources
//! are kept and shown: nothing that they name lives here.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::integrity::expect;
use super::{Resource, batch_exports, members, projects, role_memberships, roles};
use crate::api::{Call, Field, FieldInfo, InProject, Level, Reply, Within};
use crate::app::{Route, Tag, read, scope, tagged, write};
use crate::clock::Time;
use crate::error::{Result, denied, invalid, invalid_body};
use crate::ids::{MembershipId, OrganizationId, ProjectId, RoleId, UserId};
use crate::store::{Order, Parent, ParentNamed, Problems, Table, Tx, WriteTx, by_uuid};

pub static RESOURCE: Resource = Resource::of(routes).tables(&[&ENTRIES]).samples(samples).checks(&[check]);

fn routes() -> Vec<Route> {
    const TAG: Tag = Tag {
        name: "access_controls",
        noun: "access control",
        about: "Who may do what in a project: a default for all members, and exceptions for members \
         and roles.",
    };

    let own = "/api/projects/{id}/access_controls/";
    let others = "/api/projects/{id}/resource_access_controls/";
    let project = Within::Project("id");
    let routes = vec![
        Route::get(own, scope("access_control:read"), project, read(list))
            .responds(200, LIST)
            .about("List access to a project", "The entries, and the caller's own access."),
        Route::put(own, scope("access_control:write"), project, write(put))
            .accepts(FIELDS)
            .responds(200, FIELDS)
            .about(
                "Set access to a project",
                "For admins of the project. Without `organization_member` or `role` it is the default \
                 of all members. A level of null removes the entry: 204.",
            ),
        Route::get(others, scope("access_control:read"), project, read(list_resources))
            .responds(200, LIST)
            .about(
                "List access to the project's resources",
                "The entries for kinds of resources or single ones, such as dashboards. They are \
                 stored and shown; nothing here reads them.",
            ),
        Route::put(others, scope("access_control:write"), project, write(put_resource))
            .accepts(FIELDS)
            .responds(200, FIELDS)
            .about(
                "Set access to the project's resources",
                "For admins of the project. A level of null removes the entry: 204.",
            ),
    ];
    tagged(TAG, routes)
}

/// Whom an entry is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subject {
    Everybody,
    /// A membership.
    Member(MembershipId),
    Role(RoleId),
}

impl Subject {
    /// Memberships and roles have time-ordered identifiers, so none of them is nil.
    fn key(self) -> Uuid {
        match self {
            Subject::Everybody => Uuid::nil(),
            Subject::Member(id) => id.0,
            Subject::Role(id) => id.0,
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccessControl {
    pub subject: Subject,
    pub access_level: String,
    pub created_by: UserId,
    pub created_at: Time,
    pub updated_at: Time,
}

/// A kind of object, and one of them; empty for all of that kind.
type Object = (String, String);
type EntryKey = (OrganizationId, ProjectId, (Object, Uuid));

/// By organization, project, resource and subject.
pub(super) static ENTRIES: Table<EntryKey, AccessControl> =
    Table::new("access_controls").counted(by_uuid).belongs_to(&[
        &Parent::of(&projects::PROJECTS, |project| *project),
        &ParentNamed {
            table: &roles::ROLES,
            children: || &ENTRIES,
            front: |(organization, _)| *organization,
            parent: |(organization, ..), entry| match entry.subject {
                Subject::Role(role) => Some((*organization, role)),
                Subject::Everybody | Subject::Member(_) => None,
            },
        },
    ]);

const PROJECT: &str = "project";
const PROJECT_LEVELS: &[&str] = &["none", "member", "admin"];
const PROJECT_LEVEL_DEFAULT: &str = "member";
const RESOURCE_LEVELS: &[&str] = &["none", "viewer", "editor", "manager"];
const RESOURCE_LEVEL_DEFAULT: &str = "editor";

const ACCESS_LEVEL: Field<Option<String>> = Field::text("access_level", 20).nullable().required();
const RESOURCE_KIND: Field<String> = Field::text("resource", 50);
const RESOURCE_ID: Field<Option<String>> =
    Field::text("resource_id", 100).nullable().blank().described("One object of the resource; null for all.");
const ORGANIZATION_MEMBER: Field<Option<MembershipId>> =
    Field::id("organization_member").nullable().described("The `id` of a membership, for an exception.");
const ROLE: Field<Option<RoleId>> = Field::id("role").nullable();
const FIELDS: &[FieldInfo] = &[
    ACCESS_LEVEL.info(),
    RESOURCE_KIND.info(),
    RESOURCE_ID.info(),
    ORGANIZATION_MEMBER.info(),
    ROLE.info(),
    Field::uuid("created_by").nullable().read_only(),
    Field::time("created_at").read_only(),
    Field::time("updated_at").read_only(),
];

const LIST: &[FieldInfo] = &[
    Field::objects("access_controls", FIELDS).read_only(),
    Field::texts("available_access_levels", None).read_only(),
    Field::text("default_access_level", 20).read_only(),
    Field::text("user_access_level", 20).read_only(),
    Field::boolean("user_can_edit_access_levels").read_only(),
];

#[derive(Serialize)]
struct Wire {
    access_level: String,
    resource: String,
    resource_id: Option<String>,
    organization_member: Option<MembershipId>,
    role: Option<RoleId>,
    created_by: Option<UserId>,
    created_at: Time,
    updated_at: Time,
}

#[derive(Serialize)]
struct List {
    access_controls: Vec<Wire>,
    available_access_levels: &'static [&'static str],
    default_access_level: &'static str,
    user_access_level: &'static str,
    user_can_edit_access_levels: bool,
}

/// What a change is answered with: the entry as it is now, and the list that it is in.
#[derive(Serialize)]
struct Changed {
    #[serde(flatten)]
    entry: Wire,
    #[serde(flatten)]
    list: List,
}

fn wire((key, entry): (EntryKey, AccessControl)) -> Wire {
    let (_, _, ((resource, resource_id), _)) = key;
    Wire {
        access_level: entry.access_level,
        resource,
        resource_id: Some(resource_id).filter(|id| !id.is_empty()),
        organization_member: match entry.subject {
            Subject::Member(id) => Some(id),
            _ => None,
        },
        role: match entry.subject {
            Subject::Role(id) => Some(id),
            _ => None,
        },
        created_by: Some(entry.created_by),
        created_at: entry.created_at,
        updated_at: entry.updated_at,
    }
}

fn list(call: &Call, tx: &Tx) -> Result<Reply> {
    Reply::ok(&own_list(tx, &call.place.in_project()?)?)
}

fn list_resources(call: &Call, tx: &Tx) -> Result<Reply> {
    Reply::ok(&resource_list(tx, &call.place.in_project()?)?)
}

fn own_list(tx: &Tx, project: &InProject) -> Result<List> {
    let front = (project.organization, project.id, PROJECT.to_owned());
    let entries = tx.scan(&ENTRIES, &front, Order::Ascending)?;
    Ok(List {
        access_controls: entries.into_iter().map(wire).collect(),
        available_access_levels: PROJECT_LEVELS,
        default_access_level: PROJECT_LEVEL_DEFAULT,
        user_access_level: if project.level < Level::Admin { "member" } else { "admin" },
        user_can_edit_access_levels: project.level >= Level::Admin,
    })
}

fn resource_list(tx: &Tx, project: &InProject) -> Result<List> {
    let entries = tx.scan(&ENTRIES, &(project.organization, project.id), Order::Ascending)?;
    let of_resources = entries.into_iter().filter(|((_, _, ((resource, _), _)), _)| resource != PROJECT);
    Ok(List {
        access_controls: of_resources.map(wire).collect(),
        available_access_levels: RESOURCE_LEVELS,
        default_access_level: RESOURCE_LEVEL_DEFAULT,
        user_access_level: if project.level < Level::Admin { RESOURCE_LEVEL_DEFAULT } else { "manager" },
        user_can_edit_access_levels: project.level >= Level::Admin,
    })
}

fn put(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let project = call.place.in_project()?;
    if project.level < Level::Admin {
        return Err(denied("Must be admin to modify project permissions."));
    }
    let resource = (PROJECT.to_owned(), project.id.to_string());
    match change(call, tx, &project, resource, PROJECT_LEVELS)? {
        Some(entry) => Reply::ok(&Changed { entry, list: own_list(tx, &project)? }),
        None => Reply::no_content(),
    }
}

fn put_resource(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let project = call.place.in_project()?;
    if project.level < Level::Admin {
        return Err(denied("Must be an Organization admin to modify project-wide permissions."));
    }
    let mut form = call.form(FIELDS)?;
    let Some(kind) = form.take(RESOURCE_KIND) else {
        return Err(invalid("resource", "required", "This field is required."));
    };
    let is_word = kind.bytes().all(|letter| letter.is_ascii_lowercase() || letter == b'_');
    if !is_word || kind == PROJECT || kind == "organization" {
        return Err(invalid(
            "resource",
            "invalid_input",
            "Invalid resource. Must be a kind of object in a project.",
        ));
    }
    let one: Option<String> = form.take(RESOURCE_ID).flatten();
    match change(call, tx, &project, (kind, one.unwrap_or_default()), RESOURCE_LEVELS)? {
        Some(entry) => Reply::ok(&Changed { entry, list: resource_list(tx, &project)? }),
        None => Reply::no_content(),
    }
}

/// Sets the entry that the body names, or removes it where its level is null.
fn change(
    call: &Call,
    tx: &WriteTx,
    project: &InProject,
    resource: Object,
    levels: &'static [&'static str],
) -> Result<Option<Wire>> {
    let mut form = call.form(FIELDS)?;
    let access_level: Option<String> = form.take(ACCESS_LEVEL).flatten();
    if access_level.as_deref().is_some_and(|level| !levels.contains(&level)) {
        let detail = format!("Invalid access level. Must be one of: {}", levels.join(", "));
        return Err(invalid("access_level", "invalid_input", detail));
    }
    let subject = match (form.take(ORGANIZATION_MEMBER).flatten(), form.take(ROLE).flatten()) {
        (None, None) => Subject::Everybody,
        (Some(id), None) => Subject::Member(id),
        (None, Some(id)) => Subject::Role(id),
        (Some(_), Some(_)) => {
            let detail = "You can not scope an access control to both a member and a role.";
            return Err(invalid_body("invalid_input", detail));
        }
    };
    // The object is that of the path, or was read before.
    form.ignore(RESOURCE_KIND);
    form.ignore(RESOURCE_ID);
    form.finish();
    is_there(tx, project.organization, subject)?;
    let key = (project.organization, project.id, (resource, subject.key()));
    let Some(access_level) = access_level else {
        tx.delete(&ENTRIES, &key)?;
        batch_exports::authors::pause_all_lost(call, tx, project.organization)?;
        return Ok(None);
    };
    let entry = match tx.get(&ENTRIES, &key)? {
        Some(entry) => AccessControl { access_level, updated_at: call.now, ..entry },
        None => AccessControl {
            subject,
            access_level,
            created_by: call.user()?,
            created_at: call.now,
            updated_at: call.now,
        },
    };
    tx.put(&ENTRIES, &key, &entry)?;
    batch_exports::authors::pause_all_lost(call, tx, project.organization)?;
    Ok(Some(wire((key, entry))))
}

fn is_there(tx: &Tx, organization: OrganizationId, subject: Subject) -> Result<()> {
    let (attr, id, known) = match subject {
        Subject::Everybody => return Ok(()),
        Subject::Member(id) => ("organization_member", id.0, members::by_id(tx, organization, id)?.is_some()),
        Subject::Role(id) => ("role", id.0, roles::exists(tx, organization, id)?),
    };
    if known {
        return Ok(());
    }
    Err(invalid(attr, "does_not_exist", format!("Invalid pk \"{id}\" - object does not exist.")))
}

/// What the entries of an organization mean for one plain member: their level in each project that
/// the entries name, `None` where they have no access.
#[derive(Default)]
pub struct Grants {
    /// What is granted to them by name, or through a role.
    own: HashMap<ProjectId, Option<Level>>,
    /// What everybody gets.
    default: HashMap<ProjectId, Option<Level>>,
}

impl Grants {
    /// Reads them; one look-up where the organization has none.
    pub fn of(tx: &Tx, organization: OrganizationId, user: UserId) -> Result<Grants> {
        if tx.count(&ENTRIES, &organization)? == 0 {
            return Ok(Grants::default());
        }
        let entries = tx.scan(&ENTRIES, &organization, Order::Ascending)?;
        Grants::among(tx, organization, user, entries)
    }

    /// Reads those of one project.
    pub fn in_project(
        tx: &Tx,
        organization: OrganizationId,
        project: ProjectId,
        user: UserId,
    ) -> Result<Grants> {
        let entries = tx.scan(&ENTRIES, &(organization, project, PROJECT.to_owned()), Order::Ascending)?;
        Grants::among(tx, organization, user, entries)
    }

    fn among(
        tx: &Tx,
        organization: OrganizationId,
        user: UserId,
        entries: Vec<(EntryKey, AccessControl)>,
    ) -> Result<Grants> {
        let mut grants = Grants::default();
        if entries.is_empty() {
            return Ok(grants);
        }
        let member = members::find(tx, organization, user)?.id;
        let roles: HashSet<RoleId> =
            role_memberships::roles_of(tx, organization, user)?.into_iter().collect();
        for ((_, project, ((resource, _), _)), entry) in entries {
            if resource != PROJECT {
                continue;
            }
            let level = level_of(&entry.access_level);
            match entry.subject {
                Subject::Everybody => {
                    grants.default.insert(project, level);
                }
                Subject::Member(id) if id == member => grants.grant(project, level),
                Subject::Role(id) if roles.contains(&id) => grants.grant(project, level),
                _ => {}
            }
        }
        Ok(grants)
    }

    /// The highest of several wins.
    fn grant(&mut self, project: ProjectId, level: Option<Level>) {
        let held = self.own.entry(project).or_insert(level);
        *held = (*held).max(level);
    }

    /// The member's level in a project. What is granted to them beats the default, and nobody is let into
    /// a private project by default.
    pub fn level(&self, project: ProjectId, is_private: bool) -> Option<Level> {
        if let Some(level) = self.own.get(&project) {
            return *level;
        }
        if is_private {
            return None;
        }
        self.default.get(&project).copied().unwrap_or(Some(Level::Member))
    }
}

fn level_of(access_level: &str) -> Option<Level> {
    match access_level {
        "admin" => Some(Level::Admin),
        "member" => Some(Level::Member),
        _ => None,
    }
}

/// Removes the entries of a membership that ends.
pub fn on_member_left(tx: &WriteTx, organization: OrganizationId, membership: MembershipId) -> Result<()> {
    if tx.count(&ENTRIES, &organization)? == 0 {
        return Ok(());
    }
    for (key, _) in tx.scan(&ENTRIES, &organization, Order::Ascending)? {
        if key.2.1 == membership.0 {
            tx.delete(&ENTRIES, &key)?;
        }
    }
    Ok(())
}

/// Every entry is stored under its subject, which is there.
fn check(tx: &Tx, problems: &mut Problems) -> Result<()> {
    for ((organization, project, (_, subject)), entry) in tx.all(&ENTRIES)? {
        let whole = entry.subject.key() == subject && is_there(tx, organization, entry.subject).is_ok();
        expect(problems, whole, || format!("an access control of project {project} names what is not there"));
    }
    Ok(())
}

fn samples(all: &mut super::samples::Samples) {
    use super::samples::{NOW, ONE, TWO, text};
    all.add(
        &ENTRIES,
        (ONE.into(), ProjectId(7), ((text("project"), text("7")), TWO)),
        AccessControl {
            subject: Subject::Role(TWO.into()),
            access_level: text("admin"),
            created_by: ONE.into(),
            created_at: NOW,
            updated_at: NOW,
        },
    );
    all.variants("subject", &crate::every!(Subject { Everybody, Member(ONE.into()), Role(TWO.into()) }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_granted_beats_the_default_and_the_highest_wins() {
        use Level::{Admin, Member};
        let mut grants = Grants::default();
        assert_eq!(grants.level(ProjectId(1), false), Some(Member));
        assert_eq!(grants.level(ProjectId(1), true), None);
        grants.default.insert(ProjectId(1), None);
        assert_eq!(grants.level(ProjectId(1), false), None);
        grants.default.insert(ProjectId(2), Some(Admin));
        assert_eq!(grants.level(ProjectId(2), false), Some(Admin));
        assert_eq!(grants.level(ProjectId(2), true), None);
        grants.grant(ProjectId(1), None);
        assert_eq!(grants.level(ProjectId(1), false), None);
        grants.grant(ProjectId(1), Some(Admin));
        grants.grant(ProjectId(1), Some(Member));
        assert_eq!(grants.level(ProjectId(1), true), Some(Admin));
        grants.grant(ProjectId(2), None);
        assert_eq!(grants.level(ProjectId(2), false), None);
    }
}
