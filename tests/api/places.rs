//! The place of a request is looked up once more when its turn comes: whoever was removed meanwhile is out.

use std::io::{Read, Write};
use std::net::TcpStream;

use orgd::app::Route;
use serde_json::json;

use crate::support::walk::{named, only_named_are_uncovered, walk};
use crate::support::{Person, Server, Shows, World};

/// A request whose head has been judged and whose body is still to come.
struct Halfway(TcpStream);

impl Halfway {
    /// Sends the head, and waits until the server asks for the body.
    fn send(person: &Person, method: &str, path: &str) -> Halfway {
        let Shows::Key(key) = &person.shows else { panic!("a key is needed") };
        let mut stream = TcpStream::connect(person.address).expect("the server listens");
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: 14\r\nExpect: 100-continue\r\n\r\n"
        )
        .expect("the head is sent");
        let mut said = Vec::new();
        while !said.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("the server says something");
            said.push(byte[0]);
        }
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(said.starts_with("HTTP/1.1 100"), "{said}");
        Halfway(stream)
    }

    /// Sends the body; the status of the answer.
    fn go_on(mut self) -> String {
        self.0.write_all(br#"{"name": "no"}"#).expect("the body is sent");
        let mut answer = String::new();
        self.0.read_to_string(&mut answer).expect("an answer");
        answer.split(' ').nth(1).expect("a status").to_owned()
    }
}

#[test]
fn who_is_shown_out_while_the_body_is_on_its_way_does_nothing() {
    let server = Server::start();
    let org = server.org();
    let export = json!({"name": "n", "interval": "day", "destination": {"type": "NoOp", "config": {}}});
    let export = org.owner.post(&org.at("batch_exports/"), export).json(201);
    let one = org.at(&format!("batch_exports/{}/", export["id"].as_str().expect("an id")));
    let shown = || {
        let names = [org.at(""), org.project_at(""), one.clone()]
            .map(|path| org.owner.get(&path).json(200)["name"].clone());
        (names, org.owner.get(&org.at("plugins/")).json(200)["count"].clone())
    };
    let before = shown();
    for (method, path, wanted) in [
        ("PATCH", org.at(""), "404"),
        ("PATCH", org.project_at(""), "404"),
        ("PATCH", one.clone(), "403"),
        ("POST", org.at("roles/"), "403"),
        ("POST", org.at("plugins/"), "403"),
        ("GET", org.at("members/"), "403"),
        ("GET", org.project_at(""), "404"),
        ("GET", one.clone(), "403"),
    ] {
        let admin = org.admin(&server);
        let waiting = Halfway::send(&admin.key(&["*"]), method, &path);
        org.owner.delete(&org.at(&format!("members/{}/", admin.uuid))).no_content();
        assert_eq!(waiting.go_on(), wanted, "{method} {path}");
    }
    for (method, path) in [("PATCH", org.project_at("")), ("PATCH", one.clone()), ("GET", one.clone())] {
        let member = org.member(&server);
        let waiting = Halfway::send(&member.key(&["*"]), method, &path);
        org.owner.patch(&org.project_at(""), json!({"access_control": true})).json(200);
        assert_eq!(waiting.go_on(), "404", "{method} {path}");
        org.owner.patch(&org.project_at(""), json!({"access_control": false})).json(200);
    }
    assert_eq!(shown(), before);
    assert_eq!(org.owner.get(&org.at("roles/")).json(200)["count"], 0);
}

/// Calls the route as an admin who is removed while the body is on its way: how they are let in, if they are.
fn lets_in(server: &Server, world: &World, route: &'static Route) -> Option<String> {
    let Some(path) = world.fill(&route.path) else { return Some("a parameter has no value".into()) };
    let admin = world.org.admin(server);
    let waiting =
        Halfway::send(&admin.key(&["*"]), route.method.name(), &(path.path() + &world.query(route)));
    world.org.owner.delete(&world.org.at(&format!("members/{}/", admin.uuid))).no_content();
    let before = server.rows();
    let status = waiting.go_on();
    assert!(server.rows() == before, "{} changes something: {status}", named(route));
    (!["403", "404"].contains(&status.as_str())).then_some(status)
}

#[test]
fn no_route_lets_somebody_in_who_was_removed_while_the_body_was_on_its_way() {
    let start = || {
        let server = Server::start();
        let world = World::start(&server);
        (server, world)
    };
    let is_somewhere = |route: &Route| route.within.is_somewhere();
    let walked =
        walk("removed members", is_somewhere, start, |(server, world), route| lets_in(server, world, route));
    only_named_are_uncovered("places", walked);
}

#[test]
fn a_key_that_is_taken_away_while_the_body_is_on_its_way_opens_nothing() {
    let server = Server::start();
    let org = server.org();
    let id = |key: &Person| key.get("/api/personal_api_keys/@current/").json(200)["id"].clone();
    let one = |id: &serde_json::Value| format!("/api/personal_api_keys/{}/", id.as_str().expect("an id"));
    for (method, path) in [
        ("PATCH", org.at("")),
        ("POST", org.at("roles/")),
        ("PATCH", "/api/users/@me/".to_owned()),
        ("POST", "/api/organizations/".to_owned()),
        ("GET", org.at("members/")),
    ] {
        let key = org.owner.key(&["*"]);
        let gone = one(&id(&key));
        let waiting = Halfway::send(&key, method, &path);
        org.owner.delete(&gone).no_content();
        assert_eq!(waiting.go_on(), "401", "{method} {path}, removed");
        let key = org.owner.key(&["*"]);
        let narrowed = one(&id(&key));
        let waiting = Halfway::send(&key, method, &path);
        org.owner.patch(&narrowed, json!({"scopes": ["plugin:read"]})).json(200);
        assert_eq!(waiting.go_on(), "401", "{method} {path}, narrowed");
        org.owner.delete(&narrowed).no_content();
    }
    assert_eq!(org.owner.get(&org.at("roles/")).json(200)["count"], 0);
    assert_eq!(org.owner.get("/api/organizations/").json(200)["count"], 1);
}

#[test]
fn what_is_current_does_not_change_under_a_request_that_was_judged() {
    let server = Server::start();
    let (home, other) = (server.org(), server.org());
    let person = home.admin(&server);
    person.accept(&other.token(&person.email, 8));
    let choose = |id: &str| {
        person.patch("/api/users/@me/", json!({"set_current_organization": id})).json(200);
    };
    let key = person.key_of(json!({"scopes": ["*"], "scoped_organizations": [home.id]}));
    for (method, path) in [
        ("PATCH", "/api/organizations/@current/"),
        ("PATCH", "/api/projects/@current/"),
        ("POST", "/api/organizations/@current/roles/"),
        ("GET", "/api/organizations/@current/members/"),
    ] {
        choose(&home.id);
        let waiting = Halfway::send(&key, method, path);
        choose(&other.id);
        assert_eq!(waiting.go_on(), "404", "{method} {path}");
        choose(&home.id);
        let status = Halfway::send(&key, method, path).go_on();
        assert!(status.starts_with('2'), "{method} {path}: {status}");
    }
    assert_eq!(other.owner.get(&other.at("")).json(200)["name"], "Acme");
    assert_eq!(other.owner.get(&other.at("roles/")).json(200)["count"], 0);
}
