//! Who may do what in one project: a default for everybody, and entries for members and roles.
//! Invariant: an entry's member or role belongs to the organization of its project, and goes with
//! it; admins and owners of the organization are never shut out.
//!
//! Entries for the project itself decide who sees it and at which level. Entries for other resources
//! are kept and shown: nothing that they name lives here.

mod commands;
mod decide;
mod effective;
mod explain;
mod kinds;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::integrity::expect;
use super::{Resource, members, projects, roles};
use crate::api::{Call, Field, FieldInfo, InProject, Level, Reply, Within};
use crate::app::{Route, Tag, read, scope, tagged, write};
use crate::clock::Time;
use crate::error::Result;
use crate::ids::{MembershipId, OrganizationId, ProjectId, RoleId, UserId};
use crate::store::{Order, Parent, ParentNamed, Problems, Table, Tx, WriteTx, by_uuid};

pub use commands::{grant, move_project, on_member_left, set};
pub use decide::{Grants, ProjectEntry, level_for, of_projects, require_viewer};
pub use explain::{Rule, Why, why};
use kinds::{PROJECT, Scale};

pub static RESOURCE: Resource = Resource::of(routes).tables(&[&ENTRIES]).samples(samples).checks(&[check]);

fn routes() -> Vec<Route> {
    const TAG: Tag = Tag {
        name: "access_controls",
        noun: "access control",
        about: "Who may do what in a project: a default for all members, and exceptions for members \
         and roles.",
    };

    let of_organization = Within::ProjectOf { organization: "organization_id", project: "id" };
    let mut routes = explain::routes();
    for (project, within) in [
        ("/api/projects/{id}/", Within::Project("id")),
        ("/api/environments/{id}/", Within::Project("id")),
        ("/api/organizations/{organization_id}/projects/{id}/", of_organization),
    ] {
        routes.extend(routes_of_rules(project, within));
        routes.extend(effective::routes(project, within));
    }
    tagged(TAG, routes)
}

/// Reading and setting rules.
fn routes_of_rules(project: &str, within: Within) -> Vec<Route> {
    let (reads, writes) = (scope("access_control:read"), scope("access_control:write"));
    let own = &format!("{project}access_controls/");
    let mut routes = vec![
        Route::get(own, reads, within, read(list))
            .responds(200, LIST)
            .about("List access to a project", "The entries, and the caller's own access."),
        Route::put(own, writes, within, write(put)).accepts(FIELDS).responds(200, FIELDS).about(
            "Set access to a project",
            "For admins of the project. Without `organization_member` or `role` it is the default \
             of all members. A level of null removes the entry: 204.",
        ),
    ];
    // The second name is the older one.
    for name in ["resource_access_controls/", "global_access_controls/"] {
        let others = &format!("{project}{name}");
        routes.extend([
            Route::get(others, reads, within, read(list_resources)).responds(200, LIST).about(
                "List access to the project's resources",
                "The entries for kinds of resources, such as dashboards. They are stored and shown, and \
                 decide what the pages of effective access show.",
            ),
            Route::put(others, writes, within, write(put_resource))
                .accepts(FIELDS)
                .responds(200, FIELDS)
                .about(
                    "Set access to the project's resources",
                    "For admins of the project. A level of null removes the entry: 204.",
                ),
        ]);
    }
    routes
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

const ACCESS_LEVEL: Field<Option<String>> = Field::text("access_level", 20).nullable().required();
const RESOURCE_KIND: Field<String> =
    Field::text("resource", 50).described("A kind of objects, such as `dashboard`.");
const RESOURCE_ID: Field<Option<String>> = Field::text("resource_id", 100)
    .nullable()
    .blank()
    .described("Null: there are no objects here whose access could be set one by one.");
/// Text, for PostHog's error on what is no identifier.
const ORGANIZATION_MEMBER: Field<Option<String>> = Field::text("organization_member", 200)
    .nullable()
    .blank()
    .described("The `id` of a membership, for an exception.");
const ROLE: Field<Option<RoleId>> = Field::id("role").nullable();
pub const FIELDS: &[FieldInfo] = &[
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
    Field::text("minimum_access_level", 20).read_only(),
    Field::text("maximum_access_level", 20).read_only(),
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
    minimum_access_level: &'static str,
    maximum_access_level: &'static str,
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

fn put(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let project = call.place.in_project()?;
    match set(call, tx, project, Of::Project, call.input())? {
        Some(row) => Reply::ok(&Changed { entry: wire(row), list: own_list(tx, &project)? }),
        None => Reply::no_content(),
    }
}

fn put_resource(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let project = call.place.in_project()?;
    match set(call, tx, project, Of::Resources, call.input())? {
        Some(row) => Reply::ok(&Changed { entry: wire(row), list: resource_list(tx, &project)? }),
        None => Reply::no_content(),
    }
}

/// The level that the rule for a subject gives in the project itself, where there is one.
///
/// # Errors
/// None but of the data file.
pub fn rule_for(tx: &Tx, at: InProject, subject: Subject) -> Result<Option<String>> {
    let key = (at.organization, at.id, ((PROJECT.to_owned(), at.id.to_string()), subject.key()));
    Ok(tx.get(&ENTRIES, &key)?.map(|entry| entry.access_level))
}

/// A rule of a project.
pub struct Set {
    /// The kind of things that it is about.
    pub resource: String,
    pub subject: Subject,
    pub access_level: String,
}

/// The rules of a project, but for those of single objects.
///
/// # Errors
/// None but of the data file.
pub fn all_of(tx: &Tx, organization: OrganizationId, project: ProjectId) -> Result<Vec<Set>> {
    let mut all = tx.scan(&ENTRIES, &(organization, project), Order::Ascending)?;
    all.retain(|((_, id, ((kind, object), _)), _)| {
        object.is_empty() || (kind == PROJECT && *object == id.to_string())
    });
    let set = |((_, _, ((resource, _), _)), entry): (EntryKey, AccessControl)| Set {
        resource,
        subject: entry.subject,
        access_level: entry.access_level,
    };
    Ok(all.into_iter().map(set).collect())
}

/// What an address sets rules of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// The project itself.
    Project,
    /// The kinds of objects in it.
    Resources,
}

fn own_list(tx: &Tx, project: &InProject) -> Result<List> {
    let front = (project.organization, project.id, PROJECT.to_owned());
    let entries = tx.scan(&ENTRIES, &front, Order::Ascending)?;
    let level = if project.level < Level::Admin { "member" } else { "admin" };
    Ok(listed(entries, Scale::PROJECT, level, project))
}

fn resource_list(tx: &Tx, project: &InProject) -> Result<List> {
    let mut entries = tx.scan(&ENTRIES, &(project.organization, project.id), Order::Ascending)?;
    entries.retain(|((_, _, ((resource, _), _)), _)| resource != PROJECT);
    let scale = Scale::RESOURCE;
    let level = if project.level < Level::Admin { scale.default } else { scale.maximum };
    Ok(listed(entries, scale, level, project))
}

fn listed(
    entries: Vec<(EntryKey, AccessControl)>,
    scale: Scale,
    level: &'static str,
    at: &InProject,
) -> List {
    List {
        access_controls: entries.into_iter().map(wire).collect(),
        available_access_levels: scale.levels,
        default_access_level: scale.default,
        minimum_access_level: scale.minimum,
        maximum_access_level: scale.maximum,
        user_access_level: level,
        user_can_edit_access_levels: at.level >= Level::Admin,
    }
}

/// Every entry is stored under its subject, which is there.
fn check(tx: &Tx, problems: &mut Problems) -> Result<()> {
    for ((organization, project, (_, subject)), entry) in tx.all(&ENTRIES)? {
        let is_there = match entry.subject {
            Subject::Everybody => true,
            Subject::Member(id) => members::by_id(tx, organization, id)?.is_some(),
            Subject::Role(id) => roles::exists(tx, organization, id)?,
        };
        let whole = entry.subject.key() == subject && is_there;
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
