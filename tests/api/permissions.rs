//! Who may call what: every route, called by everybody.
//!
//! `permissions.txt` holds the answers, `uncovered.txt` names what is not reached, `placeless.txt` the routes that
//! name something which belongs to no organization. All are compared, so that a change is somebody's decision. What
//! must hold for every route is asserted besides.

use std::collections::BTreeSet;
use std::fmt::Write;

use orgd::app::Route;
use orgd::app::route::Needs;
use serde_json::{Value, json};

use crate::support::walk::{api_routes, compare, named, only_named_are_uncovered, walk};
use crate::support::{PLACE_IN_QUERY, Person, Server, World};

/// The name of what is closed to a member.
const SECRET: &str = "Salaries-4711";

/// Makes the project private, so that the member does not see it any more, and names it and its export.
fn close(World { org, export, .. }: &World) {
    org.owner.patch(&org.project_at(""), json!({"name": SECRET, "access_control": true})).json(200);
    org.owner.patch(&org.at(&format!("batch_exports/{export}/")), json!({"name": SECRET})).json(200);
}

/// The private project and its export, as their owner sees them.
fn closed(World { org, export, .. }: &World) -> Vec<Value> {
    let export = org.at(&format!("batch_exports/{export}/"));
    let logs = format!("{export}logs/");
    let paths = [org.project_at(""), org.project_at("activity/"), export, logs];
    let shown = paths.iter().map(|path| {
        let mut shown = org.owner.get(path).json(200);
        // It says until when it is good.
        shown.as_object_mut().map(|object| object.remove("live_events_token"));
        shown
    });
    shown.collect()
}

/// The column of a member who does not see the project.
const EXCLUDED: &str = "excluded";

/// A server and those who call it, by the names of the columns.
struct People {
    anonymous: Person,
    stranger: Person,
    member: Person,
    admin: Person,
    owner: Person,
    /// The member that others change and remove.
    other_member: Person,
    keys: Vec<(&'static str, Person)>,
    _server: Server,
}

impl People {
    fn new() -> People {
        let server = Server::start();
        let home = server.org();
        let owner = home.owner.clone();
        let scopes = |action: &str| -> Vec<String> {
            let scopes = api_routes().filter_map(|route| match route.needs {
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
            other_member: server.stranger(),
            owner,
            keys,
            _server: server,
        }
    }

    /// A new world in which everybody has their level.
    fn world(&self) -> World {
        let world = World::of(&self.owner, &self.other_member);
        for (person, level) in [(&self.member, 1), (&self.admin, 8)] {
            person.accept(&world.org.token(&person.email, level));
        }
        world
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

/// The status that this caller gets, in a new world; `None` where the path has no values.
fn status_for(people: &People, route: &'static Route, name: &str, person: &Person) -> Option<u16> {
    // Leaving, and signing up as somebody else, would end the session that the other routes need.
    let ends_session = route.path.contains("logout") || route.path.contains("signup");
    let has_session = name != "anonymous" && !name.contains('-');
    let person = if ends_session && has_session { person.logged_in() } else { person.clone() };
    let world = people.world();
    let path = world.fill(&route.path)?.path() + &world.query(route);
    let body = world.body(route);
    if name != EXCLUDED {
        return Some(person.call(route.method.name(), &path, &body).status);
    }
    close(&world);
    let before = closed(&world);
    let answer = person.call(route.method.name(), &path, &body);
    assert!(!answer.text().contains(SECRET), "{} shows a private project", named(route));
    assert!(closed(&world) == before, "{} changes a private project", named(route));
    Some(answer.status)
}

/// The statuses of one route, by caller; `None` where its path has no values.
fn statuses(people: &People, route: &'static Route) -> Option<Vec<(&'static str, u16)>> {
    let callers = people.callers().into_iter();
    callers
        .map(|(name, person)| {
            let status = status_for(people, route, name, person)?;
            judge(route, name, status);
            Some((name, status))
        })
        .collect()
}

/// How the table names a route.
fn padded(route: &Route) -> String {
    format!("{:6} {}", route.method.name(), route.path)
}

#[test]
fn every_route_is_called_by_everybody() {
    let walked = walk("permissions", |_| true, People::new, |people, route| statuses(people, route));
    let uncovered = |found: &Option<_>| found.is_none().then(|| "a parameter has no value".to_owned());
    only_named_are_uncovered("permissions", walked.iter().map(|(route, found)| (*route, uncovered(found))));
    let covered: Vec<_> =
        walked.into_iter().filter_map(|(route, found)| Some((padded(route), found?))).collect();
    let mut table = format!("{:<72}", "");
    for (name, _) in covered.first().map_or(&[][..], |(_, found)| found) {
        let _ = write!(table, "{name:>14}");
    }
    table.push('\n');
    for (route, found) in &covered {
        let line =
            found.iter().fold(format!("{route:<72}"), |line, (_, status)| line + &format!("{status:>14}"));
        let _ = writeln!(table, "{}", line.trim_end());
    }
    compare("permissions.txt", &table);
}

/// What holds for every route, whatever the table says.
fn judge(route: &Route, caller: &str, status: u16) {
    let what = format!("{} by {caller}: {status}", named(route));
    assert!(status < 500, "{what}");
    let by_key = caller.contains('-');
    match route.needs {
        Needs::Public => {}
        _ if caller == "anonymous" => assert_eq!(status, 401, "{what}"),
        Needs::Session if by_key => assert_eq!(status, 401, "{what}"),
        Needs::Scope(_) if caller == "no-scope" => assert_eq!(status, 403, "{what}"),
        Needs::Scope(scope) if caller == "read-key" && scope.ends_with(":write") => {
            assert_eq!(status, 403, "{what}")
        }
        // All scopes by name are not the one for everything.
        Needs::Scope("*") if ["read-key", "write-key"].contains(&caller) => assert_eq!(status, 403, "{what}"),
        Needs::Scope(scope) if caller == "write-key" => {
            assert!(![401, 403].contains(&status), "{scope}: {what}")
        }
        _ => {}
    }
    let below_organization = route.within.is_somewhere();
    if caller == EXCLUDED && route.within.is_project() {
        assert_eq!(status, 404, "{what}");
    }
    if caller == "other-org" && route.path == "/api/projects/" {
        // They are those of the current organization, which is another one.
        assert_eq!(status, 403, "{what}");
    }
    let outsiders = ["stranger", "other-org", "other-project"];
    if below_organization && outsiders.contains(&caller) {
        // The list of projects is empty for strangers, not closed.
        let is_open_list =
            caller == "stranger" && route.path.ends_with("/projects/") && route.method.is_safe();
        assert!([403, 404].contains(&status) || is_open_list, "{what}");
    }
}

#[test]
fn what_names_an_organization_or_a_project_belongs_to_it() {
    let mut placeless = String::new();
    for route in api_routes().filter(|route| !route.within.is_somewhere()) {
        let what = named(route);
        for named in ["/organizations/{", "/projects/{", "/environments/{"] {
            assert!(!route.path.contains(named), "{what} has no place");
        }
        if route.path.contains('{') {
            let _ = writeln!(placeless, "{what}");
        }
    }
    for route in api_routes().filter(|route| route.within.is_somewhere()) {
        assert!(route.needs != Needs::Public, "{} {} needs a caller", route.method.name(), route.path);
        let is_of_project = ["/projects/{", "/environments/{", "/batch_exports/{"];
        let names_project =
            route.path == PLACE_IN_QUERY || is_of_project.iter().any(|named| route.path.contains(named));
        assert_eq!(route.within.is_project(), names_project, "{} {}", route.method.name(), route.path);
    }
    compare("placeless.txt", &placeless);
}
