//! Malformed bodies: documented 4xx answers or a closed connection, and nothing changed.

use std::io::Write;
use std::net::TcpStream;

use orgd::api::FieldInfo;
use orgd::app::Route;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Map, Value, json};
use ureq::http::Method;

use crate::support::walk::{named, only_named_are_uncovered, walk};
use crate::support::{Answer, Filled, Rows, Server, World};

/// Statuses that say that the caller is at fault.
const FAULTS: &[u16] = &[400, 401, 403, 404, 405, 406, 408, 413, 415, 429, 431];

/// What is wrong where a path that names nothing of the caller's is not refused; `None` where it is.
#[track_caller]
pub fn how_found(answer: &Answer, what: &str) -> Option<String> {
    if answer.status >= 400 {
        is_callers_fault(answer, what);
        return None;
    }
    let value = answer.value();
    assert!(value.get("results").is_none() || value["results"] == json!([]), "{what} shows {value}");
    Some(format!("{what}: {} {value}", answer.status))
}

#[track_caller]
pub fn is_callers_fault(answer: &Answer, what: &str) {
    assert!(FAULTS.contains(&answer.status), "{what}: {} {}", answer.status, answer.text());
    let value = answer.value();
    let names: Vec<&String> = value.as_object().expect("an envelope").keys().collect();
    assert_eq!(names, ["type", "code", "detail", "attr"], "{what}");
}

/// Any JSON, small but odd.
fn odd_json(random: &mut StdRng, depth: u32) -> Value {
    match random.random_range(0..if depth == 0 { 6 } else { 8 }) {
        0 => Value::Null,
        1 => json!(random.random::<bool>()),
        2 => json!(random.random::<i64>()),
        3 => json!(random.random::<f64>() * 1e300),
        4 => json!(odd_text(random)),
        5 => json!(
            ["", "0", "-1", "1e999", "null", "\u{0}", "💥", "@current", "../..", "2024-01-01"]
                [random.random_range(0..10)]
        ),
        6 => (0..random.random_range(0..4)).map(|_| odd_json(random, depth - 1)).collect(),
        _ => {
            let field = |random: &mut StdRng| (odd_text(random), odd_json(random, depth - 1));
            Value::Object((0..random.random_range(0..4)).map(|_| field(random)).collect::<Map<_, _>>())
        }
    }
}

fn odd_text(random: &mut StdRng) -> String {
    (0..random.random_range(0..12)).filter_map(|_| char::from_u32(random.random_range(0..0x3000))).collect()
}

/// A world that gets malformed bodies, and what its data file held after the last good one.
struct Target {
    server: Server,
    world: World,
    rows: Rows,
}

impl Target {
    fn new() -> Target {
        let server = Server::start();
        let world = World::start(&server);
        let rows = server.rows();
        Target { server, world, rows }
    }

    /// The path of a route with a body; new values, where the old ones may be used up.
    fn fill(&mut self, route: &'static Route) -> Option<Filled> {
        if self.world.org.owner.get("/api/personal_api_keys/").status != 200 {
            // A body that was accepted has shut the owner out.
            self.world = World::start(&self.server);
        }
        self.world.remove_keys();
        let filled = self.world.fill(&route.path);
        self.rows = self.server.rows();
        filled
    }

    /// Sends a body. It is refused with an envelope and without a change, or accepted; whether it was accepted.
    fn send(&mut self, route: &Route, path: &Filled, body: &[u8], kind: &str) -> bool {
        let method: Method = route.method.name().parse().expect("a method");
        let answer = self.world.org.owner.send(method, &path.path(), body, &[("content-type", kind)]);
        let shown = String::from_utf8_lossy(&body[..body.len().min(200)]);
        let what = format!("{} with {kind} {shown}", named(route));
        if answer.status < 400 {
            return true;
        }
        if !route.is_ingest() {
            is_callers_fault(&answer, &what);
        }
        assert!(FAULTS.contains(&answer.status), "{what}: {}", answer.status);
        assert!(self.server.rows() == self.rows, "{what} was refused, but changes something");
        false
    }

    /// Sends bodies one after the other, to new values after each that was accepted; how many were sent.
    fn send_all(
        &mut self,
        route: &'static Route,
        bodies: impl IntoIterator<Item = (String, Vec<u8>)>,
    ) -> usize {
        let mut path = self.fill(route);
        let mut sent = 0;
        for (kind, body) in bodies {
            let Some(known) = &path else { return 0 };
            if self.send(route, known, &body, &kind) {
                path = self.fill(route);
            }
            sent += 1;
        }
        sent
    }
}

const JSON: &str = "application/json";

/// The names that lead to each writable field, also in the objects that the body already has.
fn writable(fields: &[FieldInfo], body: &Value) -> Vec<Vec<&'static str>> {
    let mut found = Vec::new();
    for field in fields.iter().filter(|field| !field.read_only) {
        found.push(vec![field.name]);
        if let Some(object) = body[field.name].as_object() {
            // The names of the test's own body.
            for name in ["type", "config"].into_iter().filter(|name| object.contains_key(*name)) {
                found.push(vec![field.name, name]);
            }
        }
    }
    found
}

/// The body with another value at the place that these names lead to.
fn with(mut body: Value, names: &[&str], value: Value) -> Value {
    let place = names.iter().fold(&mut body, |place, name| &mut place[*name]);
    *place = value;
    body
}

fn wrong_values() -> [Value; 17] {
    [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(1e300),
        json!(u64::MAX),
        json!(""),
        json!("x"),
        json!("\u{0}"),
        json!([]),
        json!([null]),
        json!([[]]),
        json!([{}]),
        json!({}),
        json!({"": {"": []}}),
        json!("x".repeat(70_000)),
    ]
}

/// Good bodies of the route, each with one wrong value.
fn wrong_bodies(world: &World, route: &Route) -> Vec<(String, Vec<u8>)> {
    let good = world.body(route);
    let one = if route.accepts_list { good[0].clone() } else { good };
    let mut bodies = Vec::new();
    for names in writable(route.accepts.unwrap_or_default(), &one) {
        for value in wrong_values() {
            let wrong = with(one.clone(), &names, value);
            let body = if route.accepts_list { json!([wrong]) } else { wrong };
            bodies.push((JSON.to_owned(), body.to_string().into_bytes()));
        }
    }
    bodies
}

fn takes_body(route: &Route) -> bool {
    route.accepts.is_some() || (route.is_ingest() && route.method == orgd::api::Method::Post)
}

#[test]
fn wrong_types_in_every_writable_field_are_the_callers_fault() {
    let walked = walk(
        "wrong types",
        |route| route.accepts.is_some(),
        Target::new,
        |target, route| {
            let bodies = wrong_bodies(&target.world, route);
            target.send_all(route, bodies)
        },
    );
    let uncovered = |sent| (sent == 0).then(|| "nothing could be sent".to_owned());
    only_named_are_uncovered("types", walked.into_iter().map(|(route, sent)| (route, uncovered(sent))));
}

/// Bodies that are wrong for every route, whatever it takes.
const HOSTILE: &[(&str, &[u8])] = &[
    (JSON, b"{"),
    (JSON, b"[]"),
    (JSON, b"[{}, null]"),
    (JSON, b"null"),
    (JSON, b"true"),
    (JSON, b"\"x\""),
    (JSON, b"{}{}"),
    (JSON, b"{}\0"),
    (JSON, b"NaN"),
    (JSON, b"\xff\xfe{\0}\0"),
    (JSON, b"\xef\xbb\xbf{}"),
    (JSON, b"{\"name\": \"\\ud800\"}"),
    (JSON, b"{\"name\": \"\xff\"}"),
    (JSON, b"{\"name\": 1e999}"),
    (JSON, b"{\"name\": -}"),
    (JSON, b"{\"name\": \"a\", \"name\": []}"),
    (JSON, b"{\"__proto__\": {\"name\": 1}, \"constructor\": null}"),
    ("application/json; charset=utf-16", b"{\0}\0"),
    ("application/x-www-form-urlencoded", b"%zz=%&&&==%ff;\0"),
    ("application/x-www-form-urlencoded", b"name=%ff&name=%00"),
    ("multipart/form-data", b"--x\r\n\r\n"),
    (
        "multipart/form-data; boundary=x",
        b"--x\r\ncontent-disposition: form-data; name=\"name\"\r\n\r\ntruncated",
    ),
    ("multipart/form-data; boundary=x", b"--x\r\n\xff: \0\r\n\r\n--x--"),
    ("text/plain", b"name"),
    ("application/octet-stream", b"\0\x01\x02"),
    ("\"", b"{}"),
];

/// Hostile and random bodies; the same ones in each run.
fn hostile_bodies(route: &Route) -> Vec<(String, Vec<u8>)> {
    let mut bodies: Vec<(String, Vec<u8>)> =
        HOSTILE.iter().map(|(kind, body)| ((*kind).to_owned(), body.to_vec())).collect();
    bodies.push((JSON.to_owned(), [b"{\"name\":".repeat(5_000), b"1".to_vec(), b"}".repeat(5_000)].concat()));
    bodies.push((JSON.to_owned(), b"[".repeat(100_000)));
    let mut random = StdRng::seed_from_u64(route.path.bytes().map(u64::from).sum());
    let names: Vec<&str> = route.accepts.unwrap_or_default().iter().map(|field| field.name).collect();
    for round in 0..24 {
        let mut json = odd_json(&mut random, 3);
        if let (Some(object), false) = (json.as_object_mut(), names.is_empty()) {
            let name = names[random.random_range(0..names.len())];
            object.insert(name.to_owned(), odd_json(&mut random, 3));
        }
        bodies.push((JSON.to_owned(), json.to_string().into_bytes()));
        let mut bytes = vec![0; random.random_range(1..200)];
        random.fill(bytes.as_mut_slice());
        bodies.push((HOSTILE[round % HOSTILE.len()].0.to_owned(), bytes));
    }
    bodies
}

#[test]
fn random_json_and_random_bytes_never_break_anything() {
    let walked = walk("hostile bodies", takes_body, Target::new, |target, route| {
        let sent = target.send_all(route, hostile_bodies(route));
        target.server.anyone().get("/_readyz").json(200);
        sent
    });
    let uncovered = |sent| (sent == 0).then(|| "nothing could be sent".to_owned());
    only_named_are_uncovered("bodies", walked.into_iter().map(|(route, sent)| (route, uncovered(sent))));
}

#[test]
fn nesting_length_and_number_have_their_limits() {
    let server = Server::start();
    let org = server.org();
    let post = |body: Vec<u8>| {
        org.owner.send(Method::POST, "/api/organizations/", body, &[("content-type", "application/json")])
    };
    let nested = |depth: usize| {
        [b"{\"name\":".to_vec(), b"[".repeat(depth), b"]".repeat(depth), b"}".to_vec()].concat()
    };
    post(nested(100)).invalid("name", "invalid_input", "Not a valid string.");
    let too_deep = post(nested(10_000)).json(400);
    assert_eq!(too_deep["code"], "parse_error");
    let long = [b"{\"name\": \"".to_vec(), b"x".repeat(10 * 1024 * 1024), b"\"}".to_vec()].concat();
    post(long).invalid("name", "max_length", "Ensure this field has no more than 64 characters.");
    let many = [b"{\"name\": \"N\", \"x\": [1".to_vec(), b",1".repeat(499_990), b"]}".to_vec()].concat();
    post(many).json(201);
    let too_many = [b"{\"name\": \"N\", \"x\": [1".to_vec(), b",1".repeat(500_010), b"]}".to_vec()].concat();
    let detail = "The request body holds more than 500000 values.";
    post(too_many).refused(400, "invalid_request", "parse_error", detail, None);
    // What stands in a string is no value.
    let quoted =
        [b"{\"name\": \"N\", \"x\": \"\\\"".to_vec(), b",[{".repeat(200_000), b"\"}".to_vec()].concat();
    post(quoted).json(201);
}

#[test]
fn many_large_bodies_at_once_share_the_memory_and_are_all_answered() {
    let server = Server::start();
    let org = server.org();
    let body = [b"{\"name\": \"N\", \"x\": [1".to_vec(), b",1".repeat(400_000), b"]}".to_vec()].concat();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let send = || {
            let kind = [("content-type", "application/json")];
            let answer = org.owner.send(Method::PATCH, &org.at(""), body.clone(), &kind);
            if answer.status == 503 {
                assert_eq!(answer.header("retry-after"), "5");
            }
            answer.status
        };
        let senders: Vec<_> = (0..24).map(|_| scope.spawn(send)).collect();
        senders.into_iter().map(|sender| sender.join().expect("no panic")).collect()
    });
    // Who would have to wait long for the others is sent away for now.
    assert!(statuses.iter().all(|status| [200, 503].contains(status)), "{statuses:?}");
    assert!(statuses.contains(&200), "{statuses:?}");
    let kind = [("content-type", "application/json")];
    org.owner.send(Method::PATCH, &org.at(""), body, &kind).json(200);
}

#[test]
fn idle_connections_do_not_stand_in_the_way() {
    let server = Server::start();
    let idle: Vec<TcpStream> =
        (0..400).map(|_| TcpStream::connect(server.address).expect("a connection")).collect();
    for mut stream in &idle {
        stream.write_all(b"GET /_health").expect("half a request");
    }
    server.anyone().get("/_health").headers.get("x-request-id").expect("an answer");
    drop(idle);
}

#[test]
fn what_has_no_length_of_its_own_is_bounded_all_the_same() {
    let server = Server::start();
    let org = server.org();
    let export = |name: &str, prefix: &str| {
        let config = json!({"bucket_name": "b", "region": "r", "prefix": prefix});
        json!({"name": name, "interval": "day", "destination": {"type": "S3", "config": config}})
    };
    let long = "x".repeat(256 * 1024);
    let fits = &long[..255 * 1024];
    for (path, attr, body) in [
        (org.project_at(""), "extra_settings", json!({"extra_settings": [long]})),
        (org.project_at(""), "modifiers", json!({"modifiers": {"a": {"b": long}}})),
        ("/api/users/@me/".to_owned(), "hedgehog_config", json!({"hedgehog_config": {long.as_str(): 1}})),
    ] {
        assert_eq!(org.owner.patch(&path, body).json(400)["attr"], attr);
    }
    org.owner.patch(&org.project_at(""), json!({"extra_settings": [fits]})).json(200);
    for (path, attr, body) in [
        (org.at("invites/"), "message", json!({"target_email": "a@example.com", "message": long})),
        (org.at("batch_exports/"), "name", export(&long, "p")),
        (org.at("batch_exports/"), "destination", export("n", &long)),
    ] {
        assert_eq!(org.owner.post(&path, body).json(400)["attr"], attr);
    }
    org.owner.post(&org.at("batch_exports/"), export(fits, fits)).json(201);
}
