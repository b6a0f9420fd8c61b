//! What an organization file may hold, as data: the reader checks by it, and the JSON Schema is made of it.
//! The fields of things are those of the API, from the lists that check bodies.

use serde_json::Value;

use super::fault::{Fault, below};
use super::yaml::{Name, Node, Tree};
use crate::api::FieldInfo;
use crate::api::fields::{self, FieldKind};
use crate::error::Error;
use crate::resources::{
    api_keys, batch_exports, domains, invites, organizations, plugins, projects, roles, users,
};

/// An object of the file.
pub(super) struct Object {
    pub keys: &'static [Key],
    /// The fields of the API that stand in it.
    pub fields: &'static [FieldInfo],
    /// Which of them do not.
    pub but: &'static [&'static str],
    /// What an entry has to say; one of the names of each is enough.
    pub required: &'static [&'static [&'static str]],
}

/// A value of an object that is no field of the API, or stands for one in another form.
pub(super) struct Key {
    pub name: &'static str,
    pub holds: Holds,
    pub about: &'static str,
}

/// What a key holds.
#[derive(Clone, Copy)]
pub(super) enum Holds {
    Text,
    Email,
    Uuid,
    /// The number of a project.
    Number,
    Boolean,
    /// `member`, `admin` or `owner`.
    Level,
    /// A text that opens something: `{env: NAME}` or `{file: PATH}`.
    Secret,
    Texts,
    /// A level of access, or null for none that is set.
    Access,
    /// An object of names and levels of access.
    AccessByName,
    /// An object of names and rules.
    RulesByName,
    /// The settings of the API, but these.
    Settings(&'static [FieldInfo], &'static [&'static str]),
    One(&'static Object),
    Many(&'static Object),
    /// Read elsewhere.
    Anything,
}

const fn key(name: &'static str, holds: Holds, about: &'static str) -> Key {
    Key { name, holds, about }
}

const WAS: Key =
    key("was", Holds::Text, "An earlier name: what has it is renamed, where nothing has the new one.");

/// The whole file.
pub(super) static FILE: Object = Object {
    keys: &[
        key("$schema", Holds::Text, "For editors."),
        key("orgd", Holds::Number, "The version of this format: 1."),
        key("organizations", Holds::Many(&ORGANIZATION), "The organizations that the file is about."),
        key("users", Holds::Many(&USER), "People, for seeds and data files."),
        key("faults", Holds::Anything, "Faults of a test server."),
        key("dns", Holds::Anything, "The DNS of a test server."),
        key("clock", Holds::Anything, "The clock of a test server."),
    ],
    fields: &[],
    but: &[],
    required: &[&["orgd"]],
};

/// Settings of an organization that stand elsewhere in the file.
pub(super) const ORGANIZATION_ELSEWHERE: &[&str] = &["name", "default_role_id", "logo_media_id"];
/// Settings of a project that stand beside `settings`.
pub(super) const PROJECT_ELSEWHERE: &[&str] = &["name", "timezone", "is_demo"];

pub(super) static ORGANIZATION: Object = Object {
    keys: &[
        key("id", Holds::Uuid, "Names the organization, before its slug does."),
        key("slug", Holds::Text, "Names the organization; it never changes."),
        key("name", Holds::Text, "What people call it."),
        key("settings", Holds::Settings(organizations::FIELDS, ORGANIZATION_ELSEWHERE), "Its settings."),
        key("default_role", Holds::Text, "The role that new members are put into; null for none."),
        key("members", Holds::Many(&MEMBER), "Who belongs to it."),
        key("roles", Holds::Many(&ROLE), "Groups of members."),
        key("projects", Holds::Many(&PROJECT), "Its projects."),
        key("invites", Holds::Many(&INVITE), "Open invites."),
        key("domains", Holds::Many(&DOMAIN), "Its domains."),
        key("proxies", Holds::Many(&PROXY), "Names that lead to its reverse proxy."),
        key("plugins", Holds::Many(&PLUGIN), "Its plugins."),
    ],
    fields: &[],
    but: &[],
    required: &[&["id", "slug"]],
};

static MEMBER: Object = Object {
    keys: &[
        key("email", Holds::Email, "Names the member."),
        key("level", Holds::Level, "`member` where it is not said."),
        key("invite", Holds::Boolean, "Invites whoever is no member yet."),
    ],
    fields: &[],
    but: &[],
    required: &[&["email"]],
};

static ROLE: Object = Object {
    keys: &[
        key("id", Holds::Uuid, "Names the role, before its name does."),
        WAS,
        key("members", Holds::Texts, "E-mail addresses of all that are in it."),
    ],
    fields: roles::FIELDS,
    but: &[],
    required: &[&["name"]],
};

static PROJECT: Object = Object {
    keys: &[
        key("id", Holds::Number, "Names the project, before its name does."),
        key("api_token", Holds::Text, "The public token of a project that is made."),
        key("name", Holds::Text, "Names the project."),
        WAS,
        key("settings", Holds::Settings(projects::FIELDS, PROJECT_ELSEWHERE), "Its settings."),
        key("access", Holds::One(&ACCESS), "Who may do what in it."),
        key("exports", Holds::Many(&EXPORT), "Its batch exports."),
    ],
    fields: PROJECT_FIELDS,
    but: &[],
    required: &[&["name"]],
};

/// The fields of a project that stand beside `settings`.
const PROJECT_FIELDS: &[FieldInfo] = &[projects::TIMEZONE_INFO, projects::IS_DEMO_INFO];

static ACCESS: Object = Object {
    keys: &[
        key("default", Holds::Access, "What all members have; null for what the organization says."),
        key("members", Holds::AccessByName, "All members with a level of their own."),
        key("roles", Holds::AccessByName, "All roles with a level of their own."),
        key("resources", Holds::RulesByName, "The same three for kinds of things, such as `dashboard`."),
    ],
    fields: &[],
    but: &[],
    required: &[],
};

/// The rules of a kind of things.
pub(super) static RULES: Object = Object {
    keys: &[
        key("default", Holds::Access, "What all members have; null for what the organization says."),
        key("members", Holds::AccessByName, "All members with a level of their own."),
        key("roles", Holds::AccessByName, "All roles with a level of their own."),
    ],
    fields: &[],
    but: &[],
    required: &[],
};

static EXPORT: Object = Object {
    keys: &[key("id", Holds::Uuid, "Names the export, before its name does."), WAS],
    fields: batch_exports::FIELDS,
    but: &["last_paused_at"],
    required: &[&["name"]],
};

static INVITE: Object = Object {
    keys: &[
        key("email", Holds::Email, "Names the invite."),
        key("level", Holds::Level, "`member` where it is not said."),
        key("private_project_access", Holds::AccessByName, "Names of projects, with `member` or `admin`."),
    ],
    fields: invites::FIELDS,
    but: &["target_email", "level", "private_project_access", "combine_pending_invites"],
    required: &[&["email"]],
};

static DOMAIN: Object = Object {
    keys: &[
        key("id", Holds::Uuid, "Names the domain, before its name does."),
        key("verified", Holds::Boolean, "In seeds: true for one that needs no proof."),
    ],
    fields: domains::FIELDS,
    but: &[],
    required: &[&["domain"]],
};

static PROXY: Object = Object {
    keys: &[
        key("id", Holds::Uuid, "Names the proxy, before its domain does."),
        key("domain", Holds::Text, "Names the proxy."),
    ],
    fields: &[],
    but: &[],
    required: &[&["domain"]],
};

static PLUGIN: Object = Object { keys: &[], fields: plugins::NEW, but: &[], required: &[&["url", "name"]] };

static USER: Object = Object {
    keys: &[
        key("id", Holds::Uuid, "The identifier of a user who is made."),
        key("email", Holds::Email, "Names the user."),
        key("password", Holds::Secret, "Logs them in."),
        key("totp", Holds::Secret, "The secret of their second factor: 20 bytes in base 32."),
        key("staff", Holds::Boolean, "Whether they are an operator of the instance."),
        key("keys", Holds::Many(&API_KEY), "Personal API keys."),
    ],
    fields: users::OF_PERSON,
    but: &[],
    required: &[&["email"]],
};

static API_KEY: Object = Object {
    keys: &[key("value", Holds::Secret, "The key itself.")],
    fields: api_keys::FIELDS,
    but: &[],
    required: &[&["label"], &["value"], &["scopes"]],
};

impl Object {
    /// The fields of the API that may stand in it.
    pub(super) fn own_fields(&self) -> impl Iterator<Item = &'static FieldInfo> {
        let (fields, but) = (self.fields, self.but);
        let is_key = move |name: &str| self.keys.iter().any(|key| key.name == name);
        fields
            .iter()
            .filter(move |field| !field.read_only && !but.contains(&field.name) && !is_key(field.name))
    }

    fn names(&self) -> Vec<&'static str> {
        self.keys.iter().map(|key| key.name).chain(self.own_fields().map(|field| field.name)).collect()
    }
}

/// The settings that may stand below a key.
pub(super) fn settings(
    fields: &'static [FieldInfo],
    but: &'static [&'static str],
) -> impl Iterator<Item = &'static FieldInfo> {
    fields.iter().filter(|field| !field.read_only && !field.write_only && !but.contains(&field.name))
}

/// Everything that is wrong with a file, in its order.
pub(super) fn check(root: &Node) -> Vec<Fault> {
    let mut checker = Checker { faults: Vec::new() };
    checker.object(root, "", &FILE);
    if checker.faults.is_empty() && root.get("orgd").map(Node::value) != Some(Value::from(1)) {
        checker.say(root.get("orgd").unwrap_or(root), "orgd", "this program reads version 1");
    }
    checker.faults
}

struct Checker {
    faults: Vec<Fault>,
}

impl Checker {
    fn say(&mut self, node: &Node, path: &str, text: impl Into<String>) {
        // One mistake may be made everywhere; nobody reads a thousand lines of it.
        const FAULTS_MAX: usize = 100;
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault { path: path.to_owned(), at: node.at, text: text.into() });
        }
    }

    fn object(&mut self, node: &Node, path: &str, object: &'static Object) {
        let Tree::Object(pairs) = &node.tree else {
            return self.say(node, path, format!("an object is wanted: {}", object.names().join(", ")));
        };
        for names in object.required {
            if !names.iter().any(|name| node.get(name).is_some_and(|value| !is_null(value))) {
                self.say(node, path, format!("`{}` is missing", names.join("` or `")));
            }
        }
        for (name, value) in pairs {
            let path = below(path, &name.text);
            if let Some(key) = object.keys.iter().find(|key| key.name == name.text) {
                self.held(value, &path, key.holds);
            } else if let Some(field) = object.own_fields().find(|field| field.name == name.text) {
                self.field(value, &path, field);
            } else {
                self.unknown(name, &path, object);
            }
        }
    }

    fn unknown(&mut self, name: &Name, path: &str, object: &'static Object) {
        let in_settings = object.keys.iter().any(|key| match key.holds {
            Holds::Settings(fields, but) => settings(fields, but).any(|field| field.name == name.text),
            _ => false,
        });
        let text = if in_settings {
            format!("`{}` belongs below `settings`", name.text)
        } else {
            unknown(&name.text, object.names().into_iter())
        };
        let node = Node { tree: Tree::Plain(Value::Null), at: name.at };
        self.say(&node, path, text);
    }

    fn held(&mut self, node: &Node, path: &str, holds: Holds) {
        match holds {
            Holds::Anything => {}
            Holds::One(object) => self.object(node, path, object),
            Holds::Many(object) => match &node.tree {
                Tree::List(items) => {
                    for (place, item) in items.iter().enumerate() {
                        self.object(item, &format!("{path}[{place}]"), object);
                    }
                }
                _ => self.say(
                    node,
                    path,
                    format!("a list is wanted, each with: {}", object.names().join(", ")),
                ),
            },
            Holds::Settings(fields, but) => self.settings(node, path, fields, but),
            Holds::RulesByName => {
                self.each(node, path, |checker, node, path| checker.object(node, path, &RULES))
            }
            Holds::AccessByName => {
                self.each(node, path, |checker, node, path| checker.held(node, path, Holds::Access));
            }
            Holds::Secret => self.secret(node, path),
            plain => {
                if let Some(wanted) = wanted(&node.value(), plain) {
                    self.say(node, path, wanted);
                }
            }
        }
    }

    fn each(&mut self, node: &Node, path: &str, check: impl Fn(&mut Checker, &Node, &str)) {
        let Tree::Object(pairs) = &node.tree else { return self.say(node, path, "an object is wanted") };
        for (name, value) in pairs {
            check(self, value, &below(path, &name.text));
        }
    }

    fn settings(
        &mut self,
        node: &Node,
        path: &str,
        fields: &'static [FieldInfo],
        but: &'static [&'static str],
    ) {
        let Tree::Object(pairs) = &node.tree else {
            return self.say(node, path, "an object of settings is wanted");
        };
        for (name, value) in pairs {
            let path = below(path, &name.text);
            match settings(fields, but).find(|field| field.name == name.text) {
                Some(field) => self.field(value, &path, field),
                None => {
                    let text = unknown(&name.text, settings(fields, but).map(|field| field.name));
                    let at = Node { tree: Tree::Plain(Value::Null), at: name.at };
                    self.say(&at, &path, text);
                }
            }
        }
    }

    /// A field of the API, by its own rules. What refers to a secret is looked at when it is known.
    fn field(&mut self, node: &Node, path: &str, field: &'static FieldInfo) {
        if is_reference(node) || matches!(field.kind, FieldKind::Object(_)) {
            return;
        }
        if let Err(error) = judge(field, &node.value()) {
            self.say(node, path, error.to_string());
        }
    }

    fn secret(&mut self, node: &Node, path: &str) {
        let is_text = matches!(&node.tree, Tree::Plain(Value::String(_)));
        if !is_reference(node) && !is_text {
            self.say(node, path, "a secret is wanted: {env: NAME} or {file: PATH}");
        }
    }
}

/// Whether a value of the API's field is right.
fn judge(field: &'static FieldInfo, value: &Value) -> Result<(), Error> {
    let body = Value::Object([(field.name.to_owned(), value.clone())].into_iter().collect());
    match fields::check_all(std::slice::from_ref(field), &body, false, true).into_iter().next() {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

fn is_null(node: &Node) -> bool {
    matches!(node.tree, Tree::Plain(Value::Null))
}

/// Whether the value stands for a secret that is kept elsewhere, or was got from there.
fn is_reference(node: &Node) -> bool {
    matches!(&node.tree, Tree::Object(pairs) if pairs.len() == 1) && is_reference_value(&node.value())
}

/// The same of a value.
pub(super) fn is_reference_value(value: &Value) -> bool {
    let Value::Object(pairs) = value else { return false };
    let mut pairs = pairs.iter();
    match (pairs.next(), pairs.next()) {
        (Some((name, value)), None) => {
            ["env", "file", "secret"].contains(&name.as_str()) && value.is_string()
        }
        _ => false,
    }
}

pub(super) const LEVELS: [&str; 3] = ["member", "admin", "owner"];

/// What would have been right, where the value is not.
fn wanted(value: &Value, holds: Holds) -> Option<&'static str> {
    let text = value.as_str();
    let is_uuid = |text: &str| crate::api::call::parse_uuid(text).is_some();
    let (is_right, wanted) = match holds {
        Holds::Text => {
            (value.is_null() || text.is_some_and(|text| !text.trim().is_empty()), "a text is wanted")
        }
        Holds::Email => (text.is_some_and(fields::is_email), "an e-mail address is wanted"),
        Holds::Uuid => (text.is_some_and(is_uuid), "a UUID is wanted"),
        Holds::Number => (
            value.as_u64().is_some_and(|number| (1..=u64::from(u32::MAX)).contains(&number)),
            "a whole number from 1 on is wanted",
        ),
        Holds::Boolean => (value.is_boolean(), "true or false is wanted"),
        Holds::Level => {
            (text.is_some_and(|text| LEVELS.contains(&text)), "a level is wanted: member, admin or owner")
        }
        Holds::Access => {
            let is_word = |text: &str| !text.is_empty() && text.len() <= 20;
            (
                value.is_null() || text.is_some_and(is_word),
                "a level of access is wanted, such as none, member or admin",
            )
        }
        Holds::Texts => (
            value.as_array().is_some_and(|items| items.iter().all(Value::is_string)),
            "a list of texts is wanted",
        ),
        _ => (true, ""),
    };
    (!is_right).then_some(wanted)
}

/// What is said of a name that there is not, with the one that may be meant.
pub(super) fn unknown(name: &str, known: impl Iterator<Item = &'static str>) -> String {
    let close = known.map(|known| (strsim::damerau_levenshtein(name, known), known)).min();
    match close {
        Some((distance, known)) if distance <= 2.max(name.chars().count() / 3) => {
            format!("there is no `{name}`; is `{known}` meant?")
        }
        _ => format!("there is no `{name}`"),
    }
}
