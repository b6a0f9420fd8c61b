//! Malformed anything: documented 4xx answers or a closed connection, and nothing changed.

use std::io::Write;
use std::net::TcpStream;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Map, Value, json};
use ureq::http::Method;

use crate::support::{Answer, Org, Person, Server};

/// What a caller may be told when the fault is his.
const FAULTS: &[u16] = &[400, 401, 403, 404, 405, 406, 408, 413, 415, 429, 431];

#[track_caller]
fn his_own_fault(answer: &Answer, told: &str) {
    assert!(
        answer.status < 300 || FAULTS.contains(&answer.status),
        "{told}: {} {}",
        answer.status,
        answer.text()
    );
    if answer.status >= 400 {
        let value = answer.value();
        let names: Vec<&String> = value.as_object().expect("an envelope").keys().collect();
        assert_eq!(names, ["type", "code", "detail", "attr"], "{told}");
    }
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

/// Every row that takes a body, as an address in this organization.
fn targets(org: &Org, member: &Person) -> Vec<(&'static str, String)> {
    let mut targets = vec![
        ("POST", "/api/organizations/".to_owned()),
        ("PATCH", org.at("")),
        ("PUT", org.at("")),
        ("POST", org.at("invites/")),
        ("POST", org.at("invites/bulk/")),
        ("PATCH", org.at(&format!("members/{}/", member.uuid))),
        ("POST", org.at("projects/")),
        ("PATCH", org.project_at("")),
        ("PUT", org.project_at("")),
        ("PATCH", org.project_at("reset_token/")),
        ("PATCH", format!("/api/environments/{}/", org.project)),
        ("POST", "/api/personal_api_keys/".into()),
        ("PATCH", "/api/users/@me/".into()),
    ];
    for public in ["/api/login/", "/api/signup/", "/api/signup/3e9c5de9-1765-454a-bd9a-3c5e67ed9a23/"] {
        targets.push(("POST", public.into()));
    }
    targets
}

/// The writable fields of the row, from the server's own document.
fn fields_of(document: &Value, method: &str, path: &str) -> Vec<String> {
    let matches = |pattern: &str| {
        let (pattern, path) = (pattern.split('/'), path.split('/'));
        pattern.clone().count() == path.clone().count()
            && pattern.zip(path).all(|(a, b)| a.starts_with('{') || a == b)
    };
    let paths = document["paths"].as_object().expect("paths");
    let operations =
        paths.iter().filter(|(pattern, _)| matches(pattern)).map(|(_, node)| &node[method.to_lowercase()]);
    let schemas =
        operations.map(|operation| &operation["requestBody"]["content"]["application/json"]["schema"]);
    schemas
        .filter_map(|schema| schema["properties"].as_object())
        .flat_map(|fields| fields.keys().cloned())
        .collect()
}

#[test]
fn wrong_types_in_every_writable_field_are_the_caller_s_fault() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let document = crate::page::inlined(&server.anyone().get("/api/schema/?format=json").json(200));
    let mut walked = 0;
    for (method, path) in targets(&org, &member) {
        for field in fields_of(&document, method, &path) {
            for value in [
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
            ] {
                let body = json!({&field: value});
                let answer = org.owner.call(method, &path, &body);
                his_own_fault(&answer, &format!("{method} {path} {field}"));
                walked += 1;
            }
        }
    }
    assert!(walked > 1000, "only {walked} values were tried");
}

#[test]
fn random_json_and_random_bytes_never_break_anything() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let mut random = StdRng::seed_from_u64(7);
    let targets = targets(&org, &member);
    let kinds = [
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
    ];
    for round in 0..1500 {
        let (method, path) = &targets[random.random_range(0..targets.len())];
        let answer = if round % 2 == 0 {
            org.owner.call(method, path, &odd_json(&mut random, 3))
        } else {
            let mut bytes = vec![0; random.random_range(1..200)];
            random.fill(bytes.as_mut_slice());
            let kind = kinds[random.random_range(0..kinds.len())];
            org.owner.send(method.parse().expect("a method"), path, bytes, &[("content-type", kind)])
        };
        his_own_fault(&answer, &format!("round {round}: {method} {path}"));
    }
    server.anyone().get("/_readyz").json(200);
}

#[test]
fn malformed_identifiers_name_nothing() {
    let server = Server::start();
    let org = server.org();
    let odd = [
        "nope",
        "0",
        "-1",
        "1.5",
        "@",
        "@me",
        "@current",
        "%20",
        "%F0%9F%92%A5",
        "'%20OR%201=1--",
        "..%2f..",
        "00000000-0000-0000-0000-000000000000",
        "3E9C5DE9-1765-454A-BD9A-3C5E67ED9A23",
        "3e9c5de91765454abd9a3c5e67ed9a23",
        "99999999999999999999999999999999999999999999999999",
    ];
    for id in odd.iter().map(|id| (*id).to_owned()).chain(["x".repeat(5000)]) {
        for pattern in [
            "/api/organizations/{}/",
            "/api/organizations/{}/members/",
            "/api/organizations/{}/invites/",
            "/api/organizations/{}/projects/1/",
            "/api/organizations/@current/members/{}/",
            "/api/organizations/@current/invites/{}/",
            "/api/organizations/@current/projects/{}/",
            "/api/organizations/@current/projects/{}/activity/",
            "/api/projects/{}/",
            "/api/environments/{}/",
            "/api/personal_api_keys/{}/",
            "/api/users/{}/",
            "/api/signup/{}/",
        ] {
            // A session ends by no such call, and the owner of the last organization cannot lose it by a name.
            let path = pattern.replace("{}", &id);
            let is_own =
                path.contains("@current/") && id == "@current" || path == "/api/organizations/@current/";
            for method in ["GET", "PATCH", "PUT", "POST"] {
                his_own_fault(&org.owner.call(method, &path, &json!({})), &format!("{method} {path}"));
            }
            if !is_own && !["@current", "@me"].contains(&id.as_str()) {
                his_own_fault(&org.owner.delete(&path), &format!("DELETE {path}"));
            }
        }
    }
    org.owner.get(&org.at("")).json(200);
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
