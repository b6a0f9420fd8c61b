//! An organization file as it is meant: what is named, and what is said of it. Nothing here knows what is stored.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::fault::{Fault, Places};
use super::shape;
use super::yaml::{self, Node};
use crate::api::Level;
use crate::api::call::parse_uuid;
use crate::error::Result;
use crate::ids::{BatchExportId, DomainId, OrganizationId, ProjectId, ProxyRecordId, RoleId, UserId};

/// Names with levels of access; null for none that is set.
pub(super) type Levels = Vec<(String, Option<String>)>;

/// Values by name.
pub(super) type Fields = Map<String, Value>;

/// What a file says. A list that it does not have is `None`, and left alone.
#[derive(Clone, Debug, Default)]
pub struct Document {
    pub organizations: Vec<OrganizationEntry>,
    pub users: Vec<UserEntry>,
    /// `faults`, `dns` and `clock` of a test server, as they stand there.
    pub test_server: Fields,
}

#[derive(Clone, Debug, Default)]
pub struct OrganizationEntry {
    pub path: String,
    pub id: Option<OrganizationId>,
    pub slug: Option<String>,
    pub name: Option<String>,
    pub settings: Fields,
    pub default_role: Option<Option<String>>,
    pub members: Option<Vec<MemberEntry>>,
    pub roles: Option<Vec<RoleEntry>>,
    pub projects: Option<Vec<ProjectEntry>>,
    pub invites: Option<Vec<InviteEntry>>,
    pub domains: Option<Vec<DomainEntry>>,
    pub proxies: Option<Vec<ProxyEntry>>,
    pub plugins: Option<Vec<PluginEntry>>,
}

#[derive(Clone, Debug)]
pub struct MemberEntry {
    pub path: String,
    pub email: String,
    /// `None`: what they have; of somebody new, member.
    pub level: Option<Level>,
    pub invite: bool,
}

#[derive(Clone, Debug)]
pub struct RoleEntry {
    pub path: String,
    pub id: Option<RoleId>,
    pub name: String,
    pub was: Option<String>,
    pub fields: Fields,
    pub members: Option<Vec<String>>,
}

#[derive(Clone, Debug)]
pub struct ProjectEntry {
    pub path: String,
    pub id: Option<ProjectId>,
    pub api_token: Option<String>,
    pub name: String,
    pub was: Option<String>,
    /// What stands beside the settings, and the settings.
    pub fields: Fields,
    pub access: Option<AccessEntry>,
    pub exports: Option<Vec<ExportEntry>>,
}

/// Rules, the project's own first, then those of kinds of things.
#[derive(Clone, Debug)]
pub struct AccessEntry {
    pub rules: Vec<RulesEntry>,
    /// Whether the kinds of things are all that have rules.
    pub has_all_resources: bool,
}

#[derive(Clone, Debug)]
pub struct RulesEntry {
    pub path: String,
    /// `project` for the project itself.
    pub resource: String,
    pub default: Option<Option<String>>,
    pub members: Option<Levels>,
    pub roles: Option<Levels>,
}

#[derive(Clone, Debug)]
pub struct ExportEntry {
    pub path: String,
    pub id: Option<BatchExportId>,
    pub name: String,
    pub was: Option<String>,
    pub fields: Fields,
}

#[derive(Clone, Debug)]
pub struct InviteEntry {
    pub path: String,
    pub email: String,
    pub level: Option<Level>,
    pub fields: Fields,
    pub access: Option<Levels>,
}

#[derive(Clone, Debug)]
pub struct DomainEntry {
    pub path: String,
    pub id: Option<DomainId>,
    pub domain: String,
    pub verified: bool,
    pub fields: Fields,
}

#[derive(Clone, Debug)]
pub struct ProxyEntry {
    pub path: String,
    pub id: Option<ProxyRecordId>,
    pub domain: String,
}

#[derive(Clone, Debug)]
pub struct PluginEntry {
    pub path: String,
    pub url: Option<String>,
    pub name: Option<String>,
    pub fields: Fields,
}

#[derive(Clone, Debug)]
pub struct UserEntry {
    pub path: String,
    pub id: Option<UserId>,
    pub email: String,
    pub staff: Option<bool>,
    pub fields: Fields,
    pub password: Option<Value>,
    pub totp: Option<Value>,
    pub keys: Vec<KeyEntry>,
}

#[derive(Clone, Debug)]
pub struct KeyEntry {
    pub path: String,
    pub label: String,
    pub value: Value,
    pub fields: Fields,
}

/// A file that was read: what it says, and where.
#[derive(Clone, Debug)]
pub struct Read {
    pub document: Document,
    pub places: Places,
    /// The whole of it as JSON.
    pub value: Value,
}

/// Reads files that belong together.
///
/// # Errors
/// Everything that is wrong with them.
pub fn read(texts: &[&str]) -> std::result::Result<Read, Vec<Fault>> {
    let mut root: Option<Node> = None;
    for (file, text) in (0..).zip(texts) {
        let next = yaml::read(text, file).map_err(|fault| vec![fault])?;
        let faults = shape::check(&next);
        if !faults.is_empty() {
            // Paths of a second file would be those of the first.
            return Err(faults);
        }
        root = Some(match root {
            Some(root) => super::merge::merged(root, next).map_err(|fault| vec![fault])?,
            None => next,
        });
    }
    let root = root.ok_or_else(Vec::new)?;
    let places = Places::of(&root);
    let (document, faults) = Document::of(root.value());
    if faults.is_empty() {
        return Ok(Read { document, places, value: root.value() });
    }
    let placed = |fault: Fault| Fault { at: places.find(&fault.path).unwrap_or(fault.at), ..fault };
    Err(faults.into_iter().map(placed).collect())
}

/// Reads what was sent as JSON.
///
/// # Errors
/// 400 for the first thing that is wrong.
pub fn read_value(value: &Value) -> Result<Document> {
    let root = Node::of(value);
    let (document, faults) = match shape::check(&root) {
        faults if faults.is_empty() => Document::of(root.value()),
        faults => (Document::default(), faults),
    };
    match faults.into_iter().next() {
        Some(fault) => Err(fault.error()),
        None => Ok(document),
    }
}

/// Takes what is known out of an object whose shape was checked; what is left are its fields.
struct Taker {
    path: String,
    fields: Fields,
}

impl Taker {
    fn of(path: String, value: Value) -> Taker {
        let fields = match value {
            Value::Object(fields) => fields,
            _ => Fields::new(),
        };
        Taker { path, fields }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.fields.shift_remove(name)
    }

    fn text(&mut self, name: &str) -> Option<String> {
        self.take(name)?.as_str().map(|text| text.trim().to_owned())
    }

    fn id<T: From<uuid::Uuid>>(&mut self) -> Option<T> {
        parse_uuid(self.take("id")?.as_str()?).map(T::from)
    }

    fn level(&mut self) -> Option<Level> {
        level_of(self.take("level")?.as_str()?)
    }

    fn object(&mut self, name: &str) -> Fields {
        match self.take(name) {
            Some(Value::Object(fields)) => fields,
            _ => Fields::new(),
        }
    }

    /// A list of entries, where it is there.
    fn list<T>(&mut self, name: &str, read: impl Fn(Taker) -> T) -> Option<Vec<T>> {
        let Value::Array(items) = self.take(name)? else { return None };
        let path = super::fault::below(&self.path, name);
        let taker = |(place, item)| Taker::of(format!("{path}[{place}]"), item);
        Some(items.into_iter().enumerate().map(taker).map(read).collect())
    }

    /// Names with levels of access.
    fn levels(&mut self, name: &str) -> Option<Levels> {
        let Value::Object(pairs) = self.take(name)? else { return None };
        Some(pairs.into_iter().map(|(name, level)| (name, level.as_str().map(str::to_owned))).collect())
    }
}

/// A level by its word.
pub(super) fn level_of(word: &str) -> Option<Level> {
    [Level::Member, Level::Admin, Level::Owner].into_iter().find(|level| word_of(*level) == word)
}

/// The word for a level.
pub(super) fn word_of(level: Level) -> &'static str {
    match level {
        Level::Member => "member",
        Level::Admin => "admin",
        Level::Owner => "owner",
    }
}

impl Document {
    /// What a value whose shape was checked says, and what is said twice.
    fn of(value: Value) -> (Document, Vec<Fault>) {
        let mut root = Taker::of(String::new(), value);
        let document = Document {
            organizations: root.list("organizations", organization).unwrap_or_default(),
            users: root.list("users", user).unwrap_or_default(),
            test_server: ["faults", "dns", "clock"]
                .into_iter()
                .filter_map(|name| Some((name.to_owned(), root.take(name)?)))
                .collect(),
        };
        let faults = document.doubles();
        (document, faults)
    }

    /// Entries that stand in a list twice.
    fn doubles(&self) -> Vec<Fault> {
        let mut doubles = Doubles::default();
        doubles.among(&self.users, |one| (&one.path, one.email.to_lowercase()));
        doubles.among(&self.organizations, |one| {
            (&one.path, one.slug.clone().or(one.id.map(|id| id.to_string())).unwrap_or_default())
        });
        for organization in &self.organizations {
            doubles.within(organization);
        }
        doubles.faults
    }
}

#[derive(Default)]
struct Doubles {
    faults: Vec<Fault>,
}

impl Doubles {
    fn among<T>(&mut self, entries: &[T], identity: impl Fn(&T) -> (&String, String)) {
        let mut known = HashSet::new();
        for entry in entries {
            let (path, name) = identity(entry);
            if !known.insert(name.clone()) {
                let text = format!("`{name}` stands in this list twice");
                self.faults.push(Fault { path: path.clone(), at: super::fault::Position::NOWHERE, text });
            }
        }
    }

    fn within(&mut self, one: &OrganizationEntry) {
        let named = |name: &str, id: Option<String>| id.unwrap_or_else(|| name.to_lowercase());
        self.among(one.members.as_deref().unwrap_or_default(), |one| (&one.path, one.email.to_lowercase()));
        self.among(one.roles.as_deref().unwrap_or_default(), |one| (&one.path, one.name.to_lowercase()));
        self.among(one.invites.as_deref().unwrap_or_default(), |one| (&one.path, one.email.to_lowercase()));
        self.among(one.domains.as_deref().unwrap_or_default(), |one| (&one.path, one.domain.to_lowercase()));
        self.among(one.proxies.as_deref().unwrap_or_default(), |one| (&one.path, one.domain.to_lowercase()));
        self.among(one.plugins.as_deref().unwrap_or_default(), |one| {
            (&one.path, one.url.clone().or(one.name.clone()).unwrap_or_default())
        });
        for role in one.roles.iter().flatten() {
            let all: Vec<(String, String)> = role
                .members
                .iter()
                .flatten()
                .map(|email| (role.path.clone(), email.to_lowercase()))
                .collect();
            self.among(&all, |(path, email)| (path, email.clone()));
        }
        self.among(one.projects.as_deref().unwrap_or_default(), |one| {
            (&one.path, named(&one.name, one.id.map(|id| id.to_string())))
        });
        for project in one.projects.iter().flatten() {
            self.among(project.exports.as_deref().unwrap_or_default(), |one| {
                (&one.path, named(&one.name, one.id.map(|id| id.to_string())))
            });
        }
    }
}

fn organization(mut from: Taker) -> OrganizationEntry {
    OrganizationEntry {
        id: from.id(),
        slug: from.text("slug"),
        name: from.text("name"),
        settings: from.object("settings"),
        default_role: from.take("default_role").map(|role| role.as_str().map(str::to_owned)),
        members: from.list("members", member),
        roles: from.list("roles", role),
        projects: from.list("projects", project),
        invites: from.list("invites", invite),
        domains: from.list("domains", domain),
        proxies: from.list("proxies", proxy),
        plugins: from.list("plugins", plugin),
        path: from.path,
    }
}

fn member(mut from: Taker) -> MemberEntry {
    MemberEntry {
        email: from.text("email").unwrap_or_default(),
        level: from.level(),
        invite: from.take("invite").and_then(|value| value.as_bool()).unwrap_or(false),
        path: from.path,
    }
}

fn role(mut from: Taker) -> RoleEntry {
    let members = from.take("members").map(|list| {
        let items = list.as_array().into_iter().flatten();
        items.filter_map(|item| item.as_str().map(|text| text.trim().to_owned())).collect()
    });
    RoleEntry {
        id: from.id(),
        name: from.text("name").unwrap_or_default(),
        was: from.text("was"),
        members,
        fields: from.fields,
        path: from.path,
    }
}

fn project(mut from: Taker) -> ProjectEntry {
    let id = from.take("id").and_then(|id| u32::try_from(id.as_u64()?).ok()).map(ProjectId);
    let settings = from.object("settings");
    let access = from.take("access").map(|value| access(Taker::of(format!("{}.access", from.path), value)));
    let (api_token, name, was) =
        (from.text("api_token"), from.text("name").unwrap_or_default(), from.text("was"));
    let exports = from.list("exports", export);
    let mut fields = from.fields;
    fields.extend(settings);
    ProjectEntry { id, api_token, name, was, fields, access, exports, path: from.path }
}

/// The kind of rules that are about a project itself.
pub(super) const PROJECT: &str = "project";

fn access(mut from: Taker) -> AccessEntry {
    let resources = from.take("resources");
    let base = format!("{}.resources", from.path);
    let mut all = vec![rules(PROJECT.to_owned(), from)];
    let has_all_resources = resources.is_some();
    if let Some(Value::Object(pairs)) = resources {
        for (resource, value) in pairs {
            let path = format!("{base}.{resource}");
            all.push(rules(resource, Taker::of(path, value)));
        }
    }
    AccessEntry { rules: all, has_all_resources }
}

fn rules(resource: String, mut from: Taker) -> RulesEntry {
    RulesEntry {
        resource,
        default: from.take("default").map(|level| level.as_str().map(str::to_owned)),
        members: from.levels("members"),
        roles: from.levels("roles"),
        path: from.path,
    }
}

fn export(mut from: Taker) -> ExportEntry {
    ExportEntry {
        id: from.id(),
        name: from.text("name").unwrap_or_default(),
        was: from.text("was"),
        fields: from.fields,
        path: from.path,
    }
}

fn invite(mut from: Taker) -> InviteEntry {
    InviteEntry {
        email: from.text("email").unwrap_or_default(),
        level: from.level(),
        access: from.levels("private_project_access"),
        fields: from.fields,
        path: from.path,
    }
}

fn domain(mut from: Taker) -> DomainEntry {
    DomainEntry {
        id: from.id(),
        domain: from.text("domain").unwrap_or_default(),
        verified: from.take("verified").and_then(|value| value.as_bool()).unwrap_or(false),
        fields: from.fields,
        path: from.path,
    }
}

fn proxy(mut from: Taker) -> ProxyEntry {
    ProxyEntry { id: from.id(), domain: from.text("domain").unwrap_or_default(), path: from.path }
}

fn plugin(mut from: Taker) -> PluginEntry {
    let text = |fields: &Fields, name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
    let (url, name) = (text(&from.fields, "url"), text(&from.fields, "name"));
    from.take("url");
    PluginEntry { url, name, fields: from.fields, path: from.path }
}

fn user(mut from: Taker) -> UserEntry {
    UserEntry {
        id: from.id(),
        email: from.text("email").unwrap_or_default(),
        staff: from.take("staff").and_then(|value| value.as_bool()),
        password: from.take("password"),
        totp: from.take("totp"),
        keys: from.list("keys", api_key).unwrap_or_default(),
        fields: from.fields,
        path: from.path,
    }
}

fn api_key(mut from: Taker) -> KeyEntry {
    let label = from.fields.get("label").and_then(Value::as_str).unwrap_or_default().to_owned();
    KeyEntry { label, value: from.take("value").unwrap_or_default(), fields: from.fields, path: from.path }
}
