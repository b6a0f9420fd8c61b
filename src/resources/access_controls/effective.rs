//! Effective access: what the rules of a project come to, for everybody, for each role and for each member.

use serde::{Serialize, Serializer};

use super::decide::{By, Decision, Person, Rules, Sheet, in_project, in_resource};
use super::kinds::{PROJECT, RESOURCES, Scale};
use crate::api::call::parse_uuid;
use crate::api::page::{LIMIT_MAX, link};
use crate::api::{Call, Field, FieldInfo, InProject, Level, Paging, Reply, Within};
use crate::app::{Route, read, scope};
use crate::error::{Result, invalid_body, not_found};
use crate::ids::{MembershipId, OrganizationId, RoleId, UserId};
use crate::resources::members::Visible;
use crate::resources::users::{self, User};
use crate::resources::{members, projects, roles};
use crate::store::Tx;

pub(super) fn routes(project: &str, within: Within) -> Vec<Route> {
    let reads = scope("access_control:read");
    let at = |tail: &str| format!("{project}{tail}");
    let mut routes = vec![
        Route::get(at("access_control_defaults/"), reads, within, read(defaults))
            .responds(200, DEFAULTS)
            .about(
                "Show the default access",
                "What applies to members whom no rule names, and what each kind of resource allows.",
            ),
        Route::get(at("access_control_roles/"), reads, within, read(of_roles))
            .responds(200, OF_ROLES)
            .queries(&[("role_id", "Only this role.")])
            .about("Show the access of roles", "What each role's own rules are, and what they come to."),
        Route::get(at("access_control_members/"), reads, within, read(of_members))
            .responds(200, OF_MEMBERS)
            .queries(&[
                ("member_id", "Only this membership."),
                ("limit", "At most so many; 1,000 unless said."),
                ("offset", "After so many."),
            ])
            .about(
                "Show the access of members",
                "What each member's own rules are, and what all rules come to: the same as decides on \
                 their requests. `next` is the address of the rest, where there are more.",
            ),
        Route::get(at("users_with_access/"), reads, within, read(users_with_access))
            .responds(200, USERS)
            .about("List who has access", "The members who see the project, the highest level first."),
    ];
    for (name, needs) in [
        ("access_control_default_objects/", None),
        ("access_control_default_properties/", None),
        ("access_control_role_objects/", Some("role_id")),
        ("access_control_role_properties/", Some("role_id")),
        ("access_control_member_objects/", Some("member_id")),
        ("access_control_member_properties/", Some("member_id")),
    ] {
        let route = Route::get(at(name), reads, within, read(move |call, tx| no_objects(call, tx, needs)));
        routes.push(route.responds(200, NO_OBJECTS).about(
            "List rules of single objects",
            "Always empty: there are no dashboards, insights or properties here that have rules.",
        ));
    }
    routes
}

const FRAME: [FieldInfo; 3] = [
    Field::texts("available_project_levels", None).read_only(),
    Field::texts("available_resource_levels", None).read_only(),
    Field::boolean("can_edit").read_only(),
];
const DEFAULTS: &[FieldInfo] = &[
    FRAME[0],
    FRAME[1],
    FRAME[2],
    Field::text("project_access_level", 20).read_only(),
    Field::json("resource_access_levels").read_only(),
    Field::json("object_rule_resources").read_only(),
];
const INHERITED: &[FieldInfo] = &[
    Field::text("access_level", 20).read_only(),
    Field::text("source", 20).read_only(),
    Field::text("source_subject", 20).nullable().read_only(),
    Field::text("source_resource", 50).read_only(),
    Field::text("source_resource_id", 20).nullable().read_only(),
];
const ENTRY: &[FieldInfo] = &[
    Field::text("access_level", 20).nullable().read_only(),
    Field::text("effective_access_level", 20).read_only(),
    Field::object("inherited_access", INHERITED).nullable().read_only(),
    Field::text("inherited_access_level", 20).read_only(),
    Field::text("inherited_access_level_reason", 50).read_only(),
    Field::text("minimum", 20).read_only(),
    Field::text("maximum", 20).read_only(),
];
const OF_ROLE: &[FieldInfo] = &[
    Field::uuid("role_id").read_only(),
    Field::text("role_name", 200).read_only(),
    Field::object("project", ENTRY).read_only(),
    Field::json("resources").read_only(),
];
const OF_ROLES: &[FieldInfo] =
    &[FRAME[0], FRAME[1], FRAME[2], Field::objects("results", OF_ROLE).read_only()];
const USER: &[FieldInfo] = &[
    Field::uuid("uuid").read_only(),
    Field::text("first_name", 150).read_only(),
    Field::text("last_name", 150).read_only(),
    Field::email("email").read_only(),
];
const OF_MEMBER: &[FieldInfo] = &[
    Field::uuid("organization_membership_id").read_only(),
    Field::object("user", USER).read_only(),
    Field::choice("organization_level", crate::api::level::LEVELS).read_only(),
    Field::texts("role_ids", None).read_only(),
    Field::object("project", ENTRY).read_only(),
    Field::json("resources").read_only(),
];
const OF_MEMBERS: &[FieldInfo] = &[
    FRAME[0],
    FRAME[1],
    FRAME[2],
    Field::objects("results", OF_MEMBER).read_only(),
    Field::long_text("next").nullable().read_only(),
];
const USER_WITH_ACCESS: &[FieldInfo] = &[
    Field::uuid("user_id").read_only(),
    Field::text("access_level", 20).read_only(),
    Field::text("access_source", 30).read_only(),
    Field::uuid("organization_membership_id").read_only(),
    Field::text("organization_membership_level", 20).read_only(),
];
const USERS: &[FieldInfo] = &[
    Field::objects("users", USER_WITH_ACCESS).read_only(),
    Field::integer("total_count", 0, i64::MAX).read_only(),
];
const NO_OBJECTS: &[FieldInfo] = &[Field::json("results").read_only()];

/// What all of these pages begin with.
#[derive(Serialize)]
struct Frame {
    available_project_levels: &'static [&'static str],
    available_resource_levels: &'static [&'static str],
    can_edit: bool,
}

impl Frame {
    fn of(at: InProject) -> Frame {
        Frame {
            available_project_levels: Scale::PROJECT.levels,
            available_resource_levels: Scale::RESOURCE.levels,
            can_edit: at.level >= Level::Admin,
        }
    }
}

/// A value for each kind of resource, in their order.
struct ByResource<T>(Vec<T>);

impl<T> ByResource<T> {
    fn of(value: impl FnMut(&'static str) -> T) -> ByResource<T> {
        ByResource(RESOURCES.iter().copied().map(value).collect())
    }
}

impl<T: Serialize> Serialize for ByResource<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(RESOURCES.iter().zip(&self.0))
    }
}

#[derive(Serialize)]
struct ResourceDefault {
    access_level: Option<&'static str>,
    system_default_access_level: &'static str,
    minimum: &'static str,
    maximum: &'static str,
}

#[derive(Serialize)]
struct Defaults {
    #[serde(flatten)]
    frame: Frame,
    project_access_level: &'static str,
    resource_access_levels: ByResource<ResourceDefault>,
    object_rule_resources: [(); 0],
}

/// What applies without a subject's own rule.
#[derive(Serialize)]
struct Inherited {
    access_level: &'static str,
    source: &'static str,
    source_subject: Option<&'static str>,
    source_resource: &'static str,
    source_resource_id: Option<String>,
}

/// A subject's own rule about one thing, and what all rules come to.
#[derive(Serialize)]
struct Entry {
    access_level: Option<&'static str>,
    effective_access_level: &'static str,
    inherited_access: Inherited,
    /// The same as older clients know it, like the next one.
    inherited_access_level: &'static str,
    inherited_access_level_reason: &'static str,
    minimum: &'static str,
    maximum: &'static str,
}

#[derive(Serialize)]
struct OfRole {
    role_id: RoleId,
    role_name: String,
    project: Entry,
    resources: ByResource<Entry>,
}

#[derive(Serialize)]
pub(super) struct Named {
    uuid: UserId,
    first_name: String,
    last_name: String,
    email: String,
}

impl Named {
    pub(super) fn of(uuid: UserId, user: User) -> Named {
        let User { first_name, last_name, email, .. } = user;
        Named { uuid, first_name, last_name, email }
    }
}

#[derive(Serialize)]
struct OfMember {
    organization_membership_id: MembershipId,
    user: Named,
    organization_level: Level,
    role_ids: Vec<RoleId>,
    project: Entry,
    resources: ByResource<Entry>,
}

#[derive(Serialize)]
struct Results<T> {
    #[serde(flatten)]
    frame: Frame,
    results: Vec<T>,
}

#[derive(Serialize)]
struct Page<T> {
    #[serde(flatten)]
    results: Results<T>,
    next: Option<String>,
}

#[derive(Serialize)]
struct UserWithAccess {
    user_id: UserId,
    access_level: &'static str,
    access_source: &'static str,
    organization_membership_id: MembershipId,
    organization_membership_level: &'static str,
}

#[derive(Serialize)]
struct UsersWithAccess {
    users: Vec<UserWithAccess>,
    total_count: usize,
}

#[derive(Serialize)]
struct NoObjects {
    results: [(); 0],
}

/// A project with all its rules.
struct View {
    at: InProject,
    is_private: bool,
    sheet: Sheet,
}

impl View {
    fn of(call: &Call, tx: &Tx) -> Result<View> {
        let at = call.place.in_project()?;
        let is_private = projects::is_private(tx, at.organization, at.id)?;
        Ok(View { at, is_private, sheet: Sheet::read(tx, at.organization, at.id)? })
    }

    /// `own` is the rule of whom the entry is of, and `without` says which rules are left without it.
    fn entry(&self, resource: &'static str, level: Level, own: Own) -> Entry {
        let scale = Scale::of(resource);
        let decide = |rules: &Rules| match resource {
            PROJECT => in_project(level, self.is_private, rules),
            _ => in_resource(level, scale, rules),
        };
        let inherited = decide(&own.without);
        Entry {
            access_level: own.rule,
            effective_access_level: decide(&own.all).level,
            inherited_access_level: inherited.level,
            inherited_access_level_reason: match inherited.by {
                By::OrganizationLevel => "organization_admin",
                By::Role(_) => "role_override",
                _ => "project_default",
            },
            inherited_access: self.inherited(resource, inherited),
            minimum: scale.minimum,
            maximum: scale.maximum,
        }
    }

    fn inherited(&self, resource: &'static str, decision: Decision) -> Inherited {
        let rule = if resource == PROJECT { "object" } else { "resource" };
        let (source, source_subject) = match decision.by {
            By::OrganizationLevel => ("org_admin", None),
            By::Member => (rule, Some("member")),
            By::Role(_) => (rule, Some("role")),
            By::Private | By::Default => (rule, Some("default")),
            By::System => ("system_default", None),
        };
        let is_of_project = source == "object";
        Inherited {
            access_level: decision.level,
            source,
            source_subject,
            source_resource: resource,
            source_resource_id: is_of_project.then(|| self.at.id.to_string()),
        }
    }

    fn of_role(&self, role_id: RoleId, role_name: String) -> OfRole {
        let person = Person::in_role(role_id);
        let entry = |resource| {
            let own = Own::of_role(self.sheet.rules(resource, &person));
            self.entry(resource, person.level, own)
        };
        OfRole { role_id, role_name, project: entry(PROJECT), resources: ByResource::of(entry) }
    }

    fn of_member(&self, tx: &Tx, user: UserId) -> Result<OfMember> {
        let person = Person::load(tx, self.at.organization, user)?;
        let entry = |resource| {
            let own = Own::of_member(self.sheet.rules(resource, &person));
            self.entry(resource, person.level, own)
        };
        Ok(OfMember {
            organization_membership_id: person.member.ok_or_else(not_found)?,
            user: Named::of(user, users::find(tx, user)?),
            organization_level: person.level,
            project: entry(PROJECT),
            resources: ByResource::of(entry),
            role_ids: person.roles,
        })
    }
}

/// All rules that concern somebody, the one that is their own, and what is left without it.
struct Own {
    rule: Option<&'static str>,
    without: Rules,
    all: Rules,
}

impl Own {
    fn of_member(all: Rules) -> Own {
        Own { rule: all.own, without: Rules { own: None, ..all.clone() }, all }
    }

    fn of_role(all: Rules) -> Own {
        let rule = all.roles.first().map(|(_, level)| *level);
        Own { rule, without: Rules { roles: Vec::new(), ..all.clone() }, all }
    }
}

fn defaults(call: &Call, tx: &Tx) -> Result<Reply> {
    let view = View::of(call, tx)?;
    let rules = |resource| view.sheet.rules(resource, &Person::anybody());
    Reply::ok(&Defaults {
        frame: Frame::of(view.at),
        project_access_level: in_project(Level::Member, view.is_private, &rules(PROJECT)).level,
        resource_access_levels: ByResource::of(|resource| {
            let scale = Scale::of(resource);
            ResourceDefault {
                access_level: rules(resource).default,
                system_default_access_level: scale.default,
                minimum: scale.minimum,
                maximum: scale.maximum,
            }
        }),
        object_rule_resources: [],
    })
}

fn of_roles(call: &Call, tx: &Tx) -> Result<Reply> {
    let view = View::of(call, tx)?;
    let mut all = roles::names(tx, view.at.organization)?;
    if let Some(wanted) = call.query("role_id") {
        let wanted = parse_uuid(wanted).map(RoleId);
        all.retain(|(id, _)| Some(*id) == wanted);
        if all.is_empty() {
            return Err(not_found());
        }
    }
    let results = all.into_iter().map(|(id, name)| view.of_role(id, name)).collect();
    Reply::ok(&Results { frame: Frame::of(view.at), results })
}

fn of_members(call: &Call, tx: &Tx) -> Result<Reply> {
    let view = View::of(call, tx)?;
    let organization = view.at.organization;
    let (users, next) = match call.query("member_id") {
        Some(wanted) => (vec![member(call, tx, organization, wanted)?], None),
        None => page(call, tx, organization)?,
    };
    let results = users.into_iter().map(|user| view.of_member(tx, user)).collect::<Result<_>>()?;
    Reply::ok(&Page { results: Results { frame: Frame::of(view.at), results }, next })
}

/// A part of all members, and the address of the next one: an answer is in memory as a whole.
fn page(call: &Call, tx: &Tx, organization: OrganizationId) -> Result<(Vec<UserId>, Option<String>)> {
    let number = |name| call.query(name).and_then(|text| text.trim().parse::<u64>().ok());
    let limit = number("limit").filter(|limit| *limit > 0).unwrap_or(LIMIT_MAX).min(LIMIT_MAX);
    let offset = number("offset").unwrap_or(0);
    let visible = Visible::to_member(tx, organization, call.user()?)?;
    let (total, users) = if visible.is_everybody() {
        members::users_page(tx, organization, offset, limit)?
    } else {
        let mut all = members::users_of(tx, organization)?;
        all.retain(|user| visible.has(*user));
        (all.len() as u64, Paging { limit, offset }.cut(all))
    };
    let end = offset.saturating_add(limit);
    let next = (end < total)
        .then(|| link(call, [("limit", Some(limit.to_string())), ("offset", Some(end.to_string()))]));
    Ok((users, next))
}

/// The user of a membership that a query names.
fn member(call: &Call, tx: &Tx, organization: OrganizationId, id: &str) -> Result<UserId> {
    let id = parse_uuid(id).map(MembershipId).ok_or_else(not_found)?;
    let user = members::by_id(tx, organization, id)?.ok_or_else(not_found)?;
    if Visible::to_member(tx, organization, call.user()?)?.has(user) { Ok(user) } else { Err(not_found()) }
}

fn users_with_access(call: &Call, tx: &Tx) -> Result<Reply> {
    let view = View::of(call, tx)?;
    let (_, all) = members::users_page(tx, view.at.organization, 0, u64::MAX)?;
    let visible = Visible::to_member(tx, view.at.organization, call.user()?)?;
    let mut users = Vec::new();
    for user in all.into_iter().filter(|user| visible.has(*user)) {
        let person = Person::load(tx, view.at.organization, user)?;
        let rules = view.sheet.rules(PROJECT, &person);
        let decision = in_project(person.level, view.is_private, &rules);
        let member = person.member.filter(|_| decision.effective(person.level).is_some());
        let Some(membership) = member else { continue };
        users.push(UserWithAccess {
            user_id: user,
            access_level: decision.level,
            access_source: source_word(decision.by),
            organization_membership_id: membership,
            organization_membership_level: level_word(person.level),
        });
    }
    users.sort_by_key(|user| std::cmp::Reverse(Scale::PROJECT.rank(user.access_level)));
    Reply::ok(&UsersWithAccess { total_count: users.len(), users })
}

fn source_word(by: By) -> &'static str {
    match by {
        By::OrganizationLevel => "organization_admin",
        By::Member => "explicit_member",
        By::Role(_) => "explicit_role",
        By::Private | By::Default | By::System => "default",
    }
}

pub(super) fn level_word(level: Level) -> &'static str {
    match level {
        Level::Member => "member",
        Level::Admin => "admin",
        Level::Owner => "owner",
    }
}

fn no_objects(call: &Call, tx: &Tx, needs: Option<&'static str>) -> Result<Reply> {
    let organization = call.place.in_project()?.organization;
    match (needs, needs.and_then(|name| call.query(name))) {
        (None, _) => {}
        (Some(name), None) => return Err(invalid_body("invalid_input", format!("{name} is required"))),
        (Some("member_id"), Some(id)) => drop(member(call, tx, organization, id)?),
        (Some(_), Some(id)) => {
            let id = parse_uuid(id).map(RoleId).ok_or_else(not_found)?;
            roles::exists(tx, organization, id)?.then_some(()).ok_or_else(not_found)?;
        }
    }
    Reply::ok(&NoObjects { results: [] })
}
