//! An organization with one of everything, so that tests can call every route of the table with real values.

use std::sync::atomic::{AtomicU32, Ordering};

use orgd::api::call::Method;
use orgd::api::{FieldInfo, FieldKind};
use orgd::app::Route;
use serde_json::{Map, Value, json};

use super::people::KEY_LABEL;
use super::walk::api_routes;
use super::{Org, PASSWORD, Person, Server, exports, text};

const KEYS: &str = "/api/personal_api_keys/";

/// A number that no other call gets, for names that must be new.
fn number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Capabilities of a plugin that every view shows but that of apps in the browser.
fn everything() -> Value {
    json!({"methods": ["processEvent", "onEvent"], "scheduled_tasks": ["runEveryDay"]})
}

/// The route whose query names its project.
pub const PLACE_IN_QUERY: &str = "/api/orgd/access/";

/// One organization with its owner, a member, and one of everything.
pub struct World {
    pub org: Org,
    pub member: Person,
    invite: String,
    pub export: String,
    /// A plugin that runs in the browser only.
    frontend_app: String,
    /// A plugin that all other views show.
    plugin: String,
}

/// A path whose parameters have values.
#[derive(Clone)]
pub struct Filled {
    /// The text of each part, and the name of the parameter that it is the value of.
    parts: Vec<(String, Option<&'static str>)>,
}

impl Filled {
    pub fn path(&self) -> String {
        self.parts.iter().flat_map(|(part, _)| ["/", part]).collect()
    }

    /// The position, name and value of each parameter.
    pub fn params(&self) -> impl Iterator<Item = (usize, &'static str, &str)> {
        self.parts
            .iter()
            .enumerate()
            .filter_map(|(place, (part, name))| Some((place, (*name)?, part.as_str())))
    }

    /// The same with another text at this position.
    pub fn with(&self, place: usize, value: &str) -> Filled {
        let mut other = self.clone();
        value.clone_into(&mut other.parts[place].0);
        other
    }
}

impl World {
    /// In a new organization of a new owner.
    pub fn start(server: &Server) -> World {
        World::of(&server.org().owner, &server.stranger())
    }

    /// In a new organization of this owner, which this person joins as a member.
    pub fn of(owner: &Person, member: &Person) -> World {
        let made = owner.post("/api/organizations/", json!({"name": "World"})).json(201);
        let project = made["teams"][0]["id"].as_u64().expect("a default project");
        let org = Org { owner: owner.clone(), id: text(&made["id"]), project };
        let member = member.accept(&org.token(&member.email, 1));
        let invite = org.invite("invited@example.com", 1);
        let export = json!({"name": "E", "interval": "day", "destination": {"type": "NoOp", "config": {}}});
        let export = text(&owner.post(&org.at("batch_exports/"), export).json(201)["id"]);
        let plugin = |capabilities: Value| {
            let body = json!({"plugin_type": "source", "capabilities": capabilities});
            owner.post(&org.at("plugins/"), body).json(201)["id"].to_string()
        };
        let frontend_app = plugin(json!({}));
        let plugin = plugin(everything());
        World { org, member, invite, export, frontend_app, plugin }
    }

    /// Calls every route below the organization that makes or changes something, and captures an event, so that
    /// as many tables as possible hold something of it.
    pub fn fill_tables(&self, server: &Server) {
        exports::capture(server, &self.org, &[json!({"event": "e", "distinct_id": "d"})]);
        let changing = |route: &&Route| [Method::Post, Method::Put, Method::Patch].contains(&route.method);
        for route in api_routes().filter(|route| route.within.is_somewhere()).filter(changing) {
            let Some(filled) = self.fill(&route.path) else { continue };
            self.org.owner.call(route.method.name(), &filled.path(), &self.body(route));
        }
        self.quiet_export();
    }

    /// What a route wants behind its path: one names its project in the query.
    pub fn query(&self, route: &Route) -> String {
        let names_project = route.path == PLACE_IN_QUERY;
        if names_project { format!("?user=@me&project={}", self.org.project) } else { String::new() }
    }

    /// The path with a real value for each parameter; `None` where one cannot be made.
    pub fn fill(&self, path: &'static str) -> Option<Filled> {
        let mut filled = Filled { parts: Vec::new() };
        let mut pattern = String::new();
        for part in path.split('/').skip(1) {
            let name = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
            let value = match name {
                Some(_) => self.value(&pattern, &filled.path())?,
                None => part.to_owned(),
            };
            filled.parts.push((value, name));
            pattern.extend(["/", part]);
        }
        Some(filled)
    }

    /// The id of something in the collection whose path is `collection`, `pattern` in the route table.
    fn value(&self, pattern: &str, collection: &str) -> Option<String> {
        Some(match pattern.rsplit('/').next().unwrap_or_default() {
            "organizations" => self.org.id.clone(),
            "projects" | "environments" => self.org.project.to_string(),
            "members" => self.member.uuid.clone(),
            "invites" => self.invite.clone(),
            "signup" => self.org.token_of(&self.invite),
            "batch_exports" => self.quiet_export(),
            // Shorter than its interval, so it has no run.
            "backfills" => self.backfill(1),
            "runs" => self.run(),
            "pipeline_frontend_apps" => self.frontend_app.clone(),
            "plugins" | "pipeline_destinations" | "pipeline_import_apps" | "pipeline_transformations" => {
                self.plugin.clone()
            }
            "users" => "@me".into(),
            "reset" => self.org.owner.uuid.clone(),
            "array" => "phc_unknown".into(),
            "static" | "{version}" => "array.js".into(),
            "login_sessions" => self.other_session(),
            "personal_api_keys" => self.key(),
            _ => return self.made_in(pattern, collection),
        })
    }

    /// The id of what the collection's own POST makes.
    fn made_in(&self, pattern: &str, collection: &str) -> Option<String> {
        let makes =
            |route: &&Route| route.method == Method::Post && route.path.trim_end_matches('/') == pattern;
        let route = api_routes().find(makes)?;
        let answer = self.org.owner.post(&format!("{collection}/"), self.body(route));
        let id = if answer.status == 201 { answer.value()["id"].clone() } else { return None };
        Some(id.as_str().map_or_else(|| id.to_string(), str::to_owned))
    }

    fn of_export(&self, tail: &str) -> String {
        format!("/api/projects/{}/batch_exports/{}/{tail}", self.org.project, self.export)
    }

    /// The export, with no backfill under way that would go on changing the data file.
    fn quiet_export(&self) -> String {
        let backfills = self.org.owner.get(&self.of_export("backfills/"));
        if backfills.status == 200 {
            for running in backfills.results().iter().filter(|backfill| backfill["finished_at"].is_null()) {
                let path = self.of_export(&format!("backfills/{}/cancel/", text(&running["id"])));
                self.org.owner.post(&path, json!({}));
            }
        }
        self.export.clone()
    }

    /// The id of a backfill over so many hours of a day, once it is over.
    fn backfill(&self, hours: u32) -> String {
        let day = number() % 28 + 1;
        let start = format!("2020-01-{day:02}T00:00:00Z");
        let end = format!("2020-01-{:02}T{:02}:00:00Z", day + hours / 24, hours % 24);
        let range = json!({"start_at": start, "end_at": end});
        let made = self.org.owner.post(&self.of_export("backfills/"), range).json(201);
        let id = text(&made["backfill_id"]);
        let path = self.of_export(&format!("backfills/{id}/"));
        while self.org.owner.get(&path).json(200)["finished_at"].is_null() {
            std::thread::yield_now();
        }
        id
    }

    /// The id of a run that is over.
    fn run(&self) -> String {
        let runs = || self.org.owner.get(&self.of_export("runs/")).json(200)["results"].clone();
        if runs() == json!([]) {
            self.backfill(24);
        }
        text(&runs()[0]["id"])
    }

    /// The id of a session of the owner that is not the one they call with.
    fn other_session(&self) -> String {
        self.org.owner.logged_in();
        let sessions = self.org.owner.get("/api/users/@me/login_sessions/").json(200);
        let is_other = |session: &&Value| session["is_current"] == false;
        text(&sessions.as_array().expect("a list").iter().rfind(is_other).expect("another session")["id"])
    }

    /// The id of a new key of the owner.
    fn key(&self) -> String {
        self.remove_keys();
        text(&self.org.owner.post(KEYS, json!({"label": "N", "scopes": ["*"]})).json(201)["id"])
    }

    /// Removes the owner's keys that no person of a test holds: there is a largest number.
    pub fn remove_keys(&self) {
        for key in self.org.owner.get(KEYS).json(200).as_array().expect("a list") {
            if key["label"] != KEY_LABEL {
                self.org.owner.delete(&format!("{KEYS}{}/", text(&key["id"]))).no_content();
            }
        }
    }

    /// A body that the route accepts: its required fields, and what its rules want besides.
    pub fn body(&self, route: &Route) -> Value {
        let fields = route.accepts.unwrap_or_default();
        let is_partial = route.method == Method::Patch;
        let required = fields.iter().filter(|field| field.required && !field.read_only && !is_partial);
        let mut body: Map<String, Value> =
            required.map(|field| (field.name.to_owned(), self.value_of(field))).collect();
        let mut besides = |more: &[(&str, Value)]| {
            body.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        };
        match (route.method, fields) {
            (Method::Post, [_, ..]) if fields.iter().any(|field| field.name == "plugin_type") => {
                besides(&[("plugin_type", json!("source"))]);
                if !route.path.contains("frontend_apps") {
                    besides(&[("capabilities", everything())]);
                }
            }
            (Method::Put, _) if route.path.ends_with("access_controls/") => {
                besides(&[("access_level", json!(null)), ("resource", json!("dashboard"))]);
            }
            _ => {}
        }
        if route.accepts_list { json!([body]) } else { Value::Object(body) }
    }

    /// A body that changes something: what the route requires, and a new value for one of the other fields.
    pub fn changing_body(&self, route: &Route) -> Value {
        let mut body = self.body(route);
        let writable = |field: &&FieldInfo| !field.read_only && !field.required;
        let fields = || route.accepts.unwrap_or_default().iter();
        let named = |field: &&FieldInfo| ["name", "label", "first_name", "title"].contains(&field.name);
        let changed = fields()
            .find(|field| !field.read_only && named(field))
            .or_else(|| fields().filter(writable).find(|field| matches!(field.kind, FieldKind::Boolean)))
            .or_else(|| {
                fields().find(|field| !field.read_only && matches!(field.kind, FieldKind::Choice(_)))
            });
        let is_change = [Method::Put, Method::Patch].contains(&route.method);
        if let (Some(field), Value::Object(body), true) = (changed, &mut body, is_change) {
            let value = match field.kind {
                FieldKind::Choice(choices) => json!(choices.last()),
                _ => self.value_of(field),
            };
            body.insert(field.name.to_owned(), value);
        }
        body
    }

    /// A good value, by the field's name or else its kind.
    fn value_of(&self, field: &FieldInfo) -> Value {
        match (field.name, field.kind) {
            ("domain", _) => json!(format!("d{}.{}.com", number(), self.org.id)),
            ("user_uuid", _) => json!(self.member.uuid),
            ("destination", _) => json!({"type": "NoOp", "config": {}}),
            ("interval", _) => json!("day"),
            ("scopes", _) => json!(["*"]),
            ("password", _) => json!(PASSWORD),
            (_, FieldKind::Email) => json!(format!("new{}@example.com", number())),
            (_, FieldKind::Boolean) => json!(true),
            (_, FieldKind::Integer { min, .. }) => json!(min),
            (_, FieldKind::Choice(choices)) => json!(choices.first()),
            (_, FieldKind::Texts { .. } | FieldKind::Integers | FieldKind::List | FieldKind::Objects(_)) => {
                json!([])
            }
            (_, FieldKind::Json) => json!({}),
            (_, FieldKind::Object(fields)) => fields
                .iter()
                .filter(|field| field.required)
                .map(|field| (field.name.to_owned(), self.value_of(field)))
                .collect::<Map<_, _>>()
                .into(),
            (_, FieldKind::Time) => json!("2021-01-01T00:00:00Z"),
            (_, FieldKind::Fraction) => json!("0.5"),
            (
                _,
                FieldKind::Uuid
                | FieldKind::Text { .. }
                | FieldKind::Secret { .. }
                | FieldKind::TextChoice(_),
            ) => {
                json!(format!("N{}", number()))
            }
        }
    }
}
