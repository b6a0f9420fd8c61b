//! Who may call what: every row of the route table, asked by everybody.
//!
//! `permissions.txt` holds the answers, `uncovered.txt` the rows that are not reached, `placeless.txt` those that
//! name something which belongs to no organization. All are compared, so that a change is somebody's decision. What must hold for every row is asserted besides.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use orgd::app::Route;
use orgd::app::route::Needs;
use orgd::routes;
use serde_json::{Value, json};

use crate::support::{Org, Person, Server, text};

/// The name of what is closed to a member.
const SECRET: &str = "Salaries-4711";

/// One organization with one of everything, made anew for every call.
struct World {
    org: Org,
    victim: String,
    invite: String,
    export: String,
    /// A plugin that runs in the browser only.
    frontend_app: String,
    /// A plugin that all other views show.
    plugin: String,
}

impl World {
    /// The id of something that its owner makes.
    fn made(&self, tail: &str, body: Value) -> String {
        text(&self.org.owner.post(&self.org.at(tail), body).json(201)["id"])
    }

    /// Makes the project private, so that the member does not see it any more, and names it and its export.
    fn close(&self) {
        let owner = &self.org.owner;
        owner.patch(&self.org.project_at(""), json!({"name": SECRET, "access_control": true})).json(200);
        let export = self.org.at(&format!("batch_exports/{}/", self.export));
        owner.patch(&export, json!({"name": SECRET})).json(200);
    }

    /// The private project and its export, as their owner sees them.
    fn closed(&self) -> Vec<Value> {
        let export = self.org.at(&format!("batch_exports/{}/", self.export));
        let logs = format!("{export}logs/");
        let paths = [self.org.project_at(""), self.org.project_at("activity/"), export, logs];
        let shown = paths.iter().map(|path| {
            let mut shown = self.org.owner.get(path).json(200);
            // It says until when it is good.
            shown.as_object_mut().map(|object| object.remove("live_events_token"));
            shown
        });
        shown.collect()
    }

    /// A domain that no other world has.
    fn name(&self, front: &str) -> String {
        format!("{front}.{}.com", self.org.id.replace('-', "x"))
    }
}

/// The column of a member who does not see the project.
const EXCLUDED: &str = "excluded";

/// The people who ask, by the names of the columns.
struct People {
    anonymous: Person,
    stranger: Person,
    member: Person,
    admin: Person,
    owner: Person,
    victim: Person,
    keys: Vec<(&'static str, Person)>,
}

impl People {
    fn new(server: &Server, rows: &[&Route]) -> People {
        let home = server.org();
        let owner = home.owner.clone();
        let scopes = |action: &str| -> Vec<String> {
            let scopes = rows.iter().filter_map(|row| match row.needs {
                Needs::Scope(scope) => scope.split_once(':').map(|(object, _)| format!("{object}:{action}")),
                _ => None,
            });
            scopes.collect::<BTreeSet<_>>().into_iter().collect()
        };
        let key = |scopes: &[String], more: Value| {
            let mut body = json!({"scopes": scopes});
            body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            owner.key_of(body)
        };
        let all = ["*".to_owned()];
        let keys = vec![
            ("no-scope", key(&["annotation:write".to_owned()], json!({}))),
            ("read-key", key(&scopes("read"), json!({}))),
            ("write-key", key(&scopes("write"), json!({}))),
            ("other-org", key(&all, json!({"scoped_organizations": [home.id]}))),
            ("other-project", key(&all, json!({"scoped_teams": [home.project]}))),
        ];
        People {
            anonymous: server.anyone(),
            stranger: server.stranger(),
            member: server.stranger(),
            admin: server.stranger(),
            victim: server.stranger(),
            owner,
            keys,
        }
    }

    /// A world in which everybody has his part.
    fn world(&self) -> World {
        let made = self.owner.post("/api/organizations/", json!({"name": "World"})).json(201);
        let project = made["teams"][0]["id"].as_u64().expect("a default project");
        let org = Org { owner: self.owner.clone(), id: text(&made["id"]), project };
        for (person, level) in [(&self.member, 1), (&self.admin, 8), (&self.victim, 1)] {
            person.accept(&org.token(&person.email, level));
        }
        let invite = org.invite("invited@example.com", 1);
        let export = json!({"name": "E", "interval": "day", "destination": {"type": "NoOp", "config": {}}});
        let export = text(&self.owner.post(&org.at("batch_exports/"), export).json(201)["id"]);
        let plugin = |capabilities: Value| {
            let body = json!({"plugin_type": "source", "capabilities": capabilities});
            self.owner.post(&org.at("plugins/"), body).json(201)["id"].to_string()
        };
        World {
            export,
            victim: self.victim.uuid.clone(),
            invite,
            frontend_app: plugin(json!({})),
            plugin: plugin(
                json!({"methods": ["processEvent", "onEvent"], "scheduled_tasks": ["runEveryDay"]}),
            ),
            org,
        }
    }

    fn callers(&self) -> Vec<(&'static str, &Person)> {
        let mut callers = vec![
            ("anonymous", &self.anonymous),
            ("stranger", &self.stranger),
            ("member", &self.member),
            (EXCLUDED, &self.member),
            ("admin", &self.admin),
            ("owner", &self.owner),
        ];
        callers.extend(self.keys.iter().map(|(name, key)| (*name, key)));
        callers
    }
}

/// The value of the parameter that ends this part of a path.
fn value(world: &World, front: &str) -> Option<String> {
    Some(match front {
        "/api/organizations/{id}" | "/api/organizations/{organization_id}" => world.org.id.clone(),
        "/api/organizations/{organization_id}/projects/{id}"
        | "/api/projects/{id}"
        | "/api/environments/{id}" => world.org.project.to_string(),
        // Nobody else's session is anybody's.
        "/api/users/{uuid}/login_sessions/{session_id}" => world.invite.clone(),
        "/api/organizations/{organization_id}/members/{user__uuid}" => world.victim.clone(),
        "/api/organizations/{organization_id}/invites/{id}" => world.invite.clone(),
        "/api/signup/{token}" => world.org.token_of(&world.invite),
        "/api/organizations/{organization_id}/batch_exports/{id}" => world.export.clone(),
        "/api/organizations/{organization_id}/pipeline_frontend_apps/{id}" => world.frontend_app.clone(),
        "/api/organizations/{organization_id}/plugins/{id}"
        | "/api/organizations/{organization_id}/pipeline_destinations/{id}"
        | "/api/organizations/{organization_id}/pipeline_import_apps/{id}"
        | "/api/organizations/{organization_id}/pipeline_transformations/{id}" => world.plugin.clone(),
        "/api/organizations/{organization_id}/domains/{id}" => {
            world.made("domains/", json!({"domain": world.name("old")}))
        }
        "/api/organizations/{organization_id}/proxy_records/{id}" => {
            world.made("proxy_records/", json!({"domain": world.name("old")}))
        }
        "/api/organizations/{organization_id}/roles/{id}"
        | "/api/organizations/{organization_id}/roles/{role_id}" => {
            world.made("roles/", json!({"name": "Role"}))
        }
        "/api/organizations/{organization_id}/roles/{role_id}/role_memberships/{id}" => {
            let role = text(&world.org.owner.get(&world.org.at("roles/")).results()[0]["id"]);
            world.made(&format!("roles/{role}/role_memberships/"), json!({"user_uuid": world.victim}))
        }
        "/api/users/{uuid}" => "@me".into(),
        "/api/personal_api_keys/{id}" => "unknown".into(),
        _ => return None,
    })
}

/// The row's path in this world; `None` where a parameter is not known here.
fn concrete(world: &World, path: &str) -> Option<String> {
    let mut front = String::new();
    let mut filled = String::new();
    for part in path.split('/').skip(1) {
        front.push('/');
        front.push_str(part);
        filled.push('/');
        if part.starts_with('{') {
            filled.push_str(&value(world, &front)?);
        } else {
            filled.push_str(part);
        }
    }
    Some(filled)
}

/// A body that the row takes; rows without one get an empty object.
fn body(world: &World, row: &Route) -> Value {
    let tail = row.path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    match (row.method.name(), tail) {
        ("POST", "organizations") => json!({"name": "N"}),
        ("PUT", _) if row.path == "/api/organizations/{id}/" => json!({"name": "N"}),
        ("POST" | "PUT", "batch_exports") | ("PUT", "{id}") if row.path.contains("/batch_exports/") => {
            json!({"name": "N", "interval": "day", "destination": {"type": "NoOp", "config": {}}})
        }
        ("POST", "invites") => json!({"target_email": "new@example.com"}),
        (
            "POST",
            "plugins"
            | "pipeline_destinations"
            | "pipeline_frontend_apps"
            | "pipeline_import_apps"
            | "pipeline_transformations",
        ) => {
            json!({"plugin_type": "source"})
        }
        ("POST", "domains" | "proxy_records") => json!({"domain": world.name("new")}),
        ("POST", "roles") => json!({"name": "New"}),
        ("POST", "role_memberships") => json!({"user_uuid": world.victim}),
        ("PUT", "access_controls" | "resource_access_controls") => {
            json!({"access_level": null, "resource": "dashboard"})
        }
        ("PUT", _) if row.path.contains("/domains/") || row.path.contains("/proxy_records/") => {
            json!({"domain": world.name("other")})
        }
        ("PUT", _) if row.path.contains("/roles/") => json!({"name": "New"}),
        ("POST", "bulk") => json!([{"target_email": "new@example.com"}]),
        _ => json!({}),
    }
}

fn compare(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api").join(name);
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, found).expect("the file can be written");
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, wanted, "{name} differs; if that is meant, run the test with UPDATE_EXPECTED=1");
}

#[test]
fn the_whole_table_is_asked_by_everybody() {
    let server = Server::start();
    let rows: Vec<&Route> = routes::table().routes().collect();
    let people = People::new(&server, &rows);
    let names: Vec<&str> = people.callers().iter().map(|(name, _)| *name).collect();
    let mut table =
        format!("{:<72}{}\n", "", names.iter().map(|name| format!("{name:>14}")).collect::<String>());
    let mut uncovered = String::new();
    for row in rows {
        let told = format!("{:6} {}", row.method.name(), row.path);
        let mut line = format!("{told:<72}");
        for (name, person) in people.callers() {
            // Leaving would end the session that the other rows need.
            let person = if row.path.contains("logout") && name != "anonymous" && !name.contains('-') {
                person.logged_in()
            } else {
                person.clone()
            };
            let world = people.world();
            let Some(path) = concrete(&world, &row.path) else {
                let _ = writeln!(uncovered, "{told}");
                break;
            };
            let asked = body(&world, row);
            if name == EXCLUDED {
                world.close();
            }
            let before = if name == EXCLUDED { world.closed() } else { Vec::new() };
            let answer = person.call(row.method.name(), &path, &asked);
            let status = answer.status;
            judge(row, name, status);
            if name == EXCLUDED {
                assert!(!answer.text().contains(SECRET), "{told} tells of a private project");
                assert!(world.closed() == before, "{told} changes a private project");
            }
            let _ = write!(line, "{status:>14}");
        }
        let _ = writeln!(table, "{}", line.trim_end());
    }
    compare("uncovered.txt", &uncovered);
    compare("permissions.txt", &table);
}

/// What holds for every row, whatever the table says.
fn judge(row: &Route, caller: &str, status: u16) {
    let told = format!("{} {} by {caller}: {status}", row.method.name(), row.path);
    assert!(status < 500, "{told}");
    let by_key = caller.contains('-');
    match row.needs {
        Needs::Public => {}
        _ if caller == "anonymous" => assert_eq!(status, 401, "{told}"),
        Needs::Session if by_key => assert_eq!(status, 401, "{told}"),
        Needs::Scope(_) if caller == "no-scope" => assert_eq!(status, 403, "{told}"),
        Needs::Scope(scope) if caller == "read-key" && scope.ends_with(":write") => {
            assert_eq!(status, 403, "{told}")
        }
        Needs::Scope(scope) if caller == "write-key" => {
            assert!(![401, 403].contains(&status), "{scope}: {told}")
        }
        _ => {}
    }
    let below_organization = row.within.is_somewhere();
    if caller == EXCLUDED && row.within.is_project() {
        assert_eq!(status, 404, "{told}");
    }
    if caller == "other-org" && row.path == "/api/projects/" {
        // They are those of the current organization, which is another one.
        assert_eq!(status, 403, "{told}");
    }
    let outsiders = ["stranger", "other-org", "other-project"];
    if below_organization && outsiders.contains(&caller) {
        // The list of projects is empty for strangers, not closed.
        let is_open_list = caller == "stranger" && row.path.ends_with("/projects/") && row.method.is_safe();
        assert!([403, 404].contains(&status) || is_open_list, "{told}");
    }
}

#[test]
fn what_names_an_organization_or_a_project_belongs_to_it() {
    let mut placeless = String::new();
    for row in routes::table().routes().filter(|row| !row.within.is_somewhere()) {
        let told = format!("{} {}", row.method.name(), row.path);
        for named in ["/organizations/{", "/projects/{", "/environments/{"] {
            assert!(!row.path.contains(named), "{told} has no place");
        }
        if row.path.contains('{') {
            let _ = writeln!(placeless, "{told}");
        }
    }
    for row in routes::table().routes().filter(|row| row.within.is_somewhere()) {
        assert!(row.needs != Needs::Public, "{} {} needs a caller", row.method.name(), row.path);
        let is_of_project = ["/projects/{", "/environments/{", "/batch_exports/{"];
        let names_project = is_of_project.iter().any(|named| row.path.contains(named));
        assert_eq!(row.within.is_project(), names_project, "{} {}", row.method.name(), row.path);
    }
    compare("placeless.txt", &placeless);
}
