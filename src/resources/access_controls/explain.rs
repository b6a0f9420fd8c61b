//! Why somebody sees a project, or does not: the rules in the order in which they decide, in words and as data.

use serde::Serialize;

use super::decide::{By, Decision, Person, Sheet, in_project};
use super::effective::{Named, level_word};
use super::kinds::PROJECT;
use super::{AccessControl, Subject};
use crate::api::call::parse_uuid;
use crate::api::{Call, Field, FieldInfo, InOrganization, InProject, Level, Reply, Within};
use crate::app::{Route, read, scope};
use crate::clock::Time;
use crate::error::{Result, denied, invalid, not_found};
use crate::ids::{MembershipId, OrganizationId, ProjectId, RoleId, UserId};
use crate::resources::members::{self, Visible};
use crate::resources::projects::{self, Short};
use crate::resources::{roles, users};
use crate::store::Tx;

pub(super) fn routes() -> Vec<Route> {
    const QUERIES: &[(&str, &str)] = &[
        ("user", "The UUID or the e-mail address of a member, or `@me`."),
        ("project", "The number of a project."),
    ];
    let organization = Within::Organization("organization_id");
    let path = "/api/organizations/{organization_id}/access_explain/";
    let (anywhere, of_query) = ("/api/orgd/access/", Within::ProjectBy(project_of_query));
    vec![
        Route::get(path, scope("access_control:read"), organization, read(explain))
            .responds(200, FIELDS)
            .queries(QUERIES)
            .about(
                "Explain somebody's access",
                "Every rule about this person and this project, in the order in which they are looked at, and \
                 which of them decides. For admins, and for everybody about themselves.",
            ),
        Route::get(anywhere, scope("access_control:read"), of_query, read(explain_in_project))
            .responds(200, FIELDS)
            .queries(QUERIES)
            .about(
                "Explain somebody's access to a project",
                "The same, in the organization that the project belongs to.",
            )
            .called("orgd_access"),
    ]
}

/// The project that the query names, where the caller sees it.
fn project_of_query(tx: &Tx, call: &Call) -> Result<InProject> {
    let id = project_number(call)?;
    projects::require_access(tx, &id.to_string(), call.user()?)
}

fn explain_in_project(call: &Call, tx: &Tx) -> Result<Reply> {
    let organization = call.place.in_project()?.organization;
    let level = members::find(tx, organization, call.user()?)?.level;
    explain_in(call, tx, InOrganization { id: organization, level })
}

const RULE: &[FieldInfo] = &[
    Field::text("rule", 20).read_only(),
    Field::text("access_level", 20).nullable().read_only(),
    Field::boolean("decides").read_only(),
    Field::uuid("role").nullable().read_only(),
    Field::uuid("created_by").nullable().read_only(),
    Field::time("updated_at").nullable().read_only(),
    Field::long_text("text").read_only(),
];
const FIELDS: &[FieldInfo] = &[
    Field::json("user").read_only(),
    Field::uuid("organization_membership_id").read_only(),
    Field::choice("organization_level", crate::api::level::LEVELS).read_only(),
    Field::json("project").read_only(),
    Field::text("access_level", 20).read_only(),
    Field::choice("effective_membership_level", crate::api::level::LEVELS).nullable().read_only(),
    Field::long_text("text").read_only(),
    Field::objects("rules", RULE).read_only(),
];

/// One rule that is looked at.
#[derive(Serialize)]
pub struct Rule {
    rule: &'static str,
    /// What it says; null where it says nothing.
    access_level: Option<&'static str>,
    pub decides: bool,
    role: Option<RoleId>,
    /// Who set it, where somebody has, and when it last changed.
    created_by: Option<UserId>,
    updated_at: Option<Time>,
    pub text: String,
}

#[derive(Serialize)]
struct Explained {
    user: Named,
    organization_membership_id: MembershipId,
    organization_level: Level,
    project: Brief,
    access_level: &'static str,
    effective_membership_level: Option<Level>,
    text: String,
    rules: Vec<Rule>,
}

#[derive(Serialize)]
struct Brief {
    id: ProjectId,
    name: String,
}

fn explain(call: &Call, tx: &Tx) -> Result<Reply> {
    explain_in(call, tx, call.place.in_organization()?)
}

fn explain_in(call: &Call, tx: &Tx, at: InOrganization) -> Result<Reply> {
    let caller = call.user()?;
    let user = user_of_query(call, tx, at)?;
    let project = project_number(call)?;
    if user != caller && at.level < Level::Admin {
        return Err(denied("You can only see an explanation of your own access, unless you are an admin."));
    }
    // Whoever does not see the project does not learn that it is there.
    let project = projects::seen(tx, project, caller)?.filter(|seen| seen.organization == at.id);
    let project = project.ok_or_else(not_found)?;
    let person = Person::load(tx, at.id, user)?;
    Reply::ok(&Explanation::load(tx, at.id, user, person, project)?.answer(tx)?)
}

/// The person whom the query names. Somebody whom the caller does not see is as unknown as an address that nobody has.
fn user_of_query(call: &Call, tx: &Tx, at: InOrganization) -> Result<UserId> {
    let caller = call.user()?;
    match required(call, "user")? {
        "@me" => Ok(caller),
        address if address.contains('@') => {
            let visible = Visible::of(tx, at, caller)?;
            let user = users::by_email(tx, address)?.filter(|user| visible.has(*user));
            let user = user.ok_or_else(not_found)?;
            members::level_of(tx, at.id, user)?.map(|_| user).ok_or_else(not_found)
        }
        text => parse_uuid(text)
            .map(UserId)
            .ok_or_else(|| invalid("user", "invalid_input", "Must be a valid UUID.")),
    }
}

fn project_number(call: &Call) -> Result<ProjectId> {
    let number = required(call, "project")?.parse().map(ProjectId);
    number.map_err(|_| invalid("project", "invalid_input", "A valid integer is required."))
}

fn required<'a>(call: &'a Call, name: &'static str) -> Result<&'a str> {
    call.query(name).ok_or_else(|| invalid(name, "required", "This field is required."))
}

/// What somebody may do in a project, and why.
pub struct Why {
    /// `none`, `member` or `admin`.
    pub access_level: &'static str,
    /// In the order in which they are looked at.
    pub rules: Vec<Rule>,
}

impl Why {
    /// The rule that decides, in a sentence.
    pub fn text(&self) -> &str {
        self.rules.iter().find(|rule| rule.decides).map_or("", |rule| rule.text.as_str())
    }
}

/// Why a member of the organization sees the project, or does not.
///
/// # Errors
/// 404 for a stranger.
pub fn why(tx: &Tx, organization: OrganizationId, user: UserId, project: Short) -> Result<Why> {
    let person = Person::load(tx, organization, user)?;
    let explanation = Explanation::load(tx, organization, user, person, project)?;
    Ok(Why { access_level: explanation.decision.level, rules: explanation.rules(tx)? })
}

/// All that is looked at.
struct Explanation {
    organization: OrganizationId,
    user: UserId,
    record: users::User,
    person: Person,
    project: Short,
    is_private: bool,
    entries: Vec<AccessControl>,
    decision: Decision,
}

impl Explanation {
    fn load(
        tx: &Tx,
        organization: OrganizationId,
        user: UserId,
        person: Person,
        project: Short,
    ) -> Result<Explanation> {
        let is_private = projects::is_private(tx, organization, project.id)?;
        let sheet = Sheet::read(tx, organization, project.id)?;
        let decision = in_project(person.level, is_private, &sheet.rules(PROJECT, &person));
        let entries = sheet.about(PROJECT).to_vec();
        let record = users::find(tx, user)?;
        Ok(Explanation { organization, user, record, person, project, is_private, entries, decision })
    }

    fn answer(self, tx: &Tx) -> Result<Explained> {
        let rules = self.rules(tx)?;
        let name = self.name();
        let because = rules.iter().find(|rule| rule.decides).map_or("", |rule| rule.text.as_str());
        let text = match self.decision.level {
            "none" => format!("{name} has no access to {}. {because}", self.project.name),
            level => format!("{name} has access to {} as {level}. {because}", self.project.name),
        };
        Ok(Explained {
            organization_membership_id: self.person.member.ok_or_else(not_found)?,
            organization_level: self.person.level,
            access_level: self.decision.level,
            effective_membership_level: self.decision.effective(self.person.level),
            project: Brief { id: self.project.id, name: self.project.name },
            user: Named::of(self.user, self.record),
            text,
            rules,
        })
    }

    fn name(&self) -> String {
        if self.record.first_name.is_empty() {
            self.record.email.clone()
        } else {
            self.record.first_name.clone()
        }
    }

    /// In the order in which `in_project` looks at them.
    fn rules(&self, tx: &Tx) -> Result<Vec<Rule>> {
        let mut rules = vec![self.organization_level()];
        rules.push(self.own());
        for role in &self.person.roles {
            let name = roles::name(tx, self.organization, *role)?.unwrap_or_default();
            rules.push(self.of_role(*role, &name));
        }
        rules.extend([self.privacy(), self.default(), self.system()]);
        Ok(rules)
    }

    fn entry(&self, subject: Subject) -> Option<&AccessControl> {
        self.entries.iter().find(|entry| entry.subject == subject)
    }

    /// What an entry says, or what its absence means.
    fn rule(&self, rule: &'static str, by: By, entry: Option<&AccessControl>, text: String) -> Rule {
        let scale = super::kinds::Scale::PROJECT;
        Rule {
            rule,
            access_level: entry.map(|entry| scale.bounded(&entry.access_level)),
            decides: self.decision.by == by,
            role: match by {
                By::Role(role) => Some(role),
                _ => None,
            },
            created_by: entry.map(|entry| entry.created_by),
            updated_at: entry.map(|entry| entry.updated_at),
            text,
        }
    }

    fn organization_level(&self) -> Rule {
        let (name, level) = (self.name(), level_word(self.person.level));
        let is_admin = self.person.level >= Level::Admin;
        let text = if is_admin {
            format!(
                "{name} is {level} of the organization: admins and owners reach every project, whatever its rules."
            )
        } else {
            format!("{name} is {level} of the organization, so the rules of the project decide.")
        };
        let rule = self.rule("organization_level", By::OrganizationLevel, None, text);
        Rule { access_level: is_admin.then_some("admin"), ..rule }
    }

    fn own(&self) -> Rule {
        let entry = self.person.member.and_then(|member| self.entry(Subject::Member(member)));
        let text = match entry {
            Some(entry) => format!("A rule gives {} the level {}.", self.name(), entry.access_level),
            None => format!("No rule names {}.", self.name()),
        };
        self.rule("member", By::Member, entry, text)
    }

    fn of_role(&self, role: RoleId, name: &str) -> Rule {
        let entry = self.entry(Subject::Role(role));
        let text = match entry {
            Some(entry) => format!(
                "A rule gives the role {name} the level {}. Of the rules for a person and their roles, the highest decides.",
                entry.access_level
            ),
            None => format!("No rule names the role {name}."),
        };
        self.rule("role", By::Role(role), entry, text)
    }

    fn privacy(&self) -> Rule {
        let text = if self.is_private {
            "The project is private: it is closed to whom no rule names."
        } else {
            "The project is not private."
        };
        let rule = self.rule("private", By::Private, None, text.to_owned());
        Rule { access_level: self.is_private.then_some("none"), ..rule }
    }

    fn default(&self) -> Rule {
        let entry = self.entry(Subject::Everybody);
        let text = match entry {
            Some(entry) => format!("The default of all members is the level {}.", entry.access_level),
            None => "No default is set.".to_owned(),
        };
        self.rule("default", By::Default, entry, text)
    }

    fn system(&self) -> Rule {
        let text = "Where nothing else decides, members of the organization are members of the project.";
        let rule = self.rule("system_default", By::System, None, text.to_owned());
        Rule { access_level: Some(super::kinds::Scale::PROJECT.default), ..rule }
    }
}
