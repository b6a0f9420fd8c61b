//! How a fork is reached: by its port and by a header, and by nothing else.

use std::net::TcpStream;

use orgd::store::Table;
use serde_json::json;

use super::{Fork, roles};
use crate::support::{Answer, Person, Server};
use crate::test_server::raw;

/// A GET that names forks in its head.
fn naming(person: &Person, path: &str, names: &[&str]) -> Answer {
    let headers: Vec<(&str, &str)> = names.iter().map(|name| ("orgd-fork", *name)).collect();
    person.send("GET".parse().expect("a method"), path, "", &headers)
}

#[test]
fn its_port_and_the_header_are_the_same_server_and_neither_is_the_first() {
    let server = Server::controlled(|_| {});
    let org = server.org();
    let path = org.at("roles/");
    let fork = Fork::of(&server.anyone());
    let there = fork.to(&org.owner);
    there.post(&path, json!({"name": "By port"})).json(201);
    let body = json!({"name": "By header"}).to_string();
    let headers = [("orgd-fork", fork.id.as_str()), ("content-type", "application/json")];
    org.owner.send("POST".parse().expect("a method"), &path, body, &headers).json(201);
    assert_eq!(roles(&there, &path), ["By port", "By header"]);
    assert_eq!(naming(&org.owner, &path, &[&fork.id]).results().len(), 2);
    assert_eq!(naming(&there, &path, &[&fork.id]).results().len(), 2, "it may say its own name");
    assert_eq!(roles(&org.owner, &path), [""; 0]);
    assert_eq!(naming(&org.owner, &path, &["main"]).results().len(), 0);
    for answer in [there.get(&path), naming(&org.owner, &path, &[&fork.id])] {
        assert_eq!(answer.header("orgd-mode"), "test");
    }
    let overview = |person: &Person| person.get("/_orgd/").json(200)["fork"].clone();
    assert_eq!((overview(&there), overview(&org.owner)), (json!(fork.id), json!(null)));
}

#[test]
fn a_name_that_no_fork_has_leads_to_no_server() {
    let server = Server::controlled(|_| {});
    let org = server.org();
    let path = org.at("roles/");
    let (fork, other) = (Fork::of(&server.anyone()), Fork::of(&server.anyone()));
    super::keep(&server.anyone(), "seeded");
    assert_eq!((fork.id.as_str(), other.id.as_str()), ("f1", "f2"));
    for name in [
        "",
        " ",
        "f3",
        "f01",
        "F1",
        "f1,",
        "f1 f2",
        "1",
        "f",
        "f-1",
        "f1.0",
        "start",
        "seeded",
        "../f1",
        "f1/",
        "f1;f2",
        "%66%31",
        "f18446744073709551617",
        "\u{e9}",
        "*",
    ] {
        let answer = naming(&org.owner, &path, &[name]);
        assert_eq!(answer.status, 404, "{name:?}: {}", answer.text());
        assert!(answer.text().contains("There is no fork"), "{name:?}: {}", answer.text());
        assert_eq!(
            (answer.header("orgd-mode").as_str(), answer.header("cache-control").as_str()),
            ("test", "no-store")
        );
    }
    assert_eq!(naming(&org.owner, &path, &["f1", "f2"]).status, 404, "one of two would be a guess");
    assert_eq!(naming(&org.owner, &path, &["f1", "f1"]).status, 404);
    assert!(naming(&org.owner, &path, &[&"x".repeat(4000)]).text().len() < 400);
    // A port is one server's.
    for name in ["f2", "main", "x"] {
        assert_eq!(naming(&fork.to(&org.owner), &path, &[name]).status, 404, "{name}");
    }
    assert_eq!(naming(&fork.to(&org.owner), &path, &["f1"]).status, 200);
    // Nothing was carried out anywhere.
    assert_eq!(roles(&fork.to(&org.owner), &path).len() + roles(&other.to(&org.owner), &path).len(), 0);
    let journal = server.anyone().get("/_orgd/requests/?path=/api/organizations/{id}/roles/").json(200);
    assert_eq!(journal["count"], 0, "it is entered nowhere: {journal}");
}

#[test]
fn a_refused_request_leaves_its_connection_in_order() {
    let server = Server::controlled(|_| {});
    let mut stream = TcpStream::connect(server.address).expect("the server listens");
    for (name, status) in [("f9", "404"), ("main", "200"), ("f9", "404")] {
        let body = json!({"name": "x"}).to_string();
        let (method, path, body) =
            if status == "200" { ("GET", "/_livez", "") } else { ("POST", "/api/x/", &*body) };
        let request = raw::request(&server.anyone(), method, path, body);
        let request = request.replace("Content-Type", &format!("Orgd-Fork: {name}\r\nContent-Type"));
        let head = super::under_way::exchange(&mut stream, &request);
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{name}: {head}");
    }
}

#[test]
fn the_gates_of_control_paths_hold_on_the_port_of_a_fork() {
    let server = Server::controlled(|_| {});
    let fork = Fork::of(&server.anyone());
    let send = |lines: &str| {
        let mut stream = TcpStream::connect(fork.address).expect("it listens");
        let host =
            if lines.contains("Host:") { String::new() } else { format!("Host: {}\r\n", fork.address) };
        super::under_way::exchange(&mut stream, &format!("GET /_orgd/ HTTP/1.1\r\n{host}{lines}\r\n"))
    };
    let main = server.address;
    for (lines, status) in [
        (String::new(), "200"),
        (format!("Origin: http://{}\r\n", fork.address), "200"),
        ("Host: localhost\r\n".into(), "200"),
        ("Host: evil.example\r\n".into(), "403"),
        ("Origin: http://evil.example\r\n".into(), "403"),
        // A page of the first server is one of another origin.
        (format!("Origin: http://{main}\r\n"), "403"),
        ("Sec-Fetch-Site: cross-site\r\n".into(), "403"),
        ("Sec-Fetch-Site: same-site\r\n".into(), "403"),
        ("X-Forwarded-For: 10.0.0.1\r\n".into(), "403"),
    ] {
        let head = send(&lines);
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{lines}: {head}");
    }
    let form = [("content-type", "application/x-www-form-urlencoded")];
    for path in ["/_orgd/forks/", "/_orgd/snapshots/", "/_orgd/reset/"] {
        for person in [server.anyone(), fork.to(&server.anyone())] {
            assert_eq!(
                person.send("POST".parse().expect("a method"), path, "name=x", &form).status,
                415,
                "{path}"
            );
        }
    }
}

#[test]
fn a_deleted_fork_is_gone_and_its_connections_end() {
    let server = Server::controlled(|_| {});
    let org = server.org();
    let (fork, child) = {
        let fork = Fork::of(&server.anyone());
        let child = Fork::of(&fork.to(&server.anyone()));
        (fork, child)
    };
    let there = fork.to(&org.owner);
    there.get("/api/users/@me/").json(200);
    // Through itself: the answer comes all the same.
    fork.to(&server.anyone()).delete(&fork.path()).no_content();
    assert!(TcpStream::connect(fork.address).is_err(), "nobody listens");
    assert_eq!(naming(&org.owner, "/_livez", &[&fork.id]).status, 404);
    assert_eq!(server.anyone().delete(&fork.path()).status, 404);
    child.to(&org.owner).get("/api/users/@me/").json(200);
    server.anyone().delete(&format!("{}?check=true", child.path())).no_content();
    org.owner.get("/api/users/@me/").json(200);
    assert_eq!(server.anyone().get("/_orgd/forks/").json(200), json!({"forks": []}));
    assert_eq!(Fork::of(&server.anyone()).id, "f3", "no name is given twice");
}

/// The rows of an index, past what keeps it equal to its table.
static STRAY: Table<String, u64> = Table::new("organizations_by_slug");

#[test]
fn a_check_finds_what_is_wrong_and_the_fork_stays() {
    let server = Server::controlled(|_| {});
    server.org();
    super::keep(&server.anyone(), "whole");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts");
    let spoil = server.app.store.write(|tx| Ok(tx.put(&STRAY, &"of-nothing".to_owned(), &7)?));
    runtime.block_on(spoil).expect("it is written");
    let (fork, whole) = (Fork::of(&server.anyone()), Fork::wanted(&server.anyone(), json!({"of": "whole"})));
    let delete = |fork: &Fork| server.anyone().delete(&format!("{}?check=true", fork.path()));
    let refused = delete(&fork);
    assert_eq!((refused.status, refused.value()["code"].as_str()), (409, Some("damaged")));
    assert!(refused.text().contains("organizations_by_slug"), "{}", refused.text());
    fork.to(&server.anyone()).get("/_livez").json(200);
    delete(&whole).no_content();
    server.anyone().delete(&fork.path()).no_content();
    super::reset(&server.anyone(), "whole");
}
