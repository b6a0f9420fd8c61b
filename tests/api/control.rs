//! The paths by which a development or test server is controlled: who reaches them, and who does not.

use std::io::{Read, Write};
use std::net::TcpStream;

use orgd::app::Route;
use orgd::routes;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::support::Server;

/// The status and the whole text of the answer to a request with these header lines. `HOST` is the server's address.
fn sent(server: &Server, first: &str, lines: &[&str], body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(server.address).expect("the server listens");
    let mut head = format!("{first}\r\nconnection: close\r\n");
    for line in lines {
        head.push_str(&line.replace("HOST", &server.address.to_string()));
        head.push_str("\r\n");
    }
    if !body.is_empty() {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    let _ = stream.write_all(format!("{head}\r\n{body}").as_bytes());
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("{first} {lines:?}: {answer:?}")), answer)
}

#[test]
fn an_ordinary_server_has_no_control_paths_and_says_nothing_of_a_mode() {
    let server = Server::start();
    for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
        for path in ["/_orgd/", "/_orgd", "/_orgd/clock", "/%5Forgd/", "/_orgd/requests"] {
            let answer = server.anyone().send(method.clone(), path, "", &[]);
            answer.not_found();
            assert!(!answer.headers.contains_key("orgd-mode"), "{method} {path}");
        }
    }
    let document = server.anyone().get("/api/schema/?format=json").text();
    assert!(!document.contains("_orgd"), "the document knows of control paths");
}

#[test]
fn every_answer_of_a_test_server_says_what_it_is() {
    let server = Server::controlled(|_| {});
    let dev = Server::with(|config| config.dev = true);
    for (server, mode) in [(&server, "test"), (&dev, "dev")] {
        let overview = server.anyone().get("/_orgd/").json(200);
        assert_eq!((&overview["mode"], &overview["clock"]["frozen"]), (&json!(mode), &json!(false)));
        let owner = server.org().owner;
        for path in
            ["/_orgd/", "/_orgd/nothing", "/_livez", "/api/users/@me/", "/api/nothing/", "/", "/login"]
        {
            assert_eq!(owner.get(path).headers["orgd-mode"], mode, "{path}");
        }
        for (method, path) in
            [(Method::POST, "/e/"), (Method::OPTIONS, "/api/users/@me/"), (Method::POST, "/_orgd/")]
        {
            assert_eq!(owner.send(method, path, "{}", &[]).headers["orgd-mode"], mode, "{path}");
        }
        let foreign = owner.send(Method::GET, "/_orgd/", "", &[("origin", "https://evil.example")]);
        assert_eq!((foreign.status, &foreign.headers["orgd-mode"]), (403, &mode.parse().unwrap()));
    }
    let document = server.anyone().get("/api/schema/?format=json").text();
    assert!(!document.contains("_orgd"), "the document of the API knows of control paths");
}

#[test]
fn the_host_of_a_control_request_is_one_that_no_name_server_of_others_leads_here() {
    let server = Server::controlled(|config| config.testing.control_host = vec!["orgd.ci.example".into()]);
    for (line, status) in [
        ("host: HOST", 200),
        ("host: localhost", 200),
        ("host: LocalHost:8010", 200),
        ("host: 10.1.2.3:8010", 200),
        ("host: [::1]:8010", 200),
        ("host: orgd:8010", 200),
        ("host: host.docker.internal:8010", 200),
        ("host: orgd.ci.example:8010", 200),
        ("host: 127.0.0.1.evil.example", 403),
        ("host: evil.example:8010", 403),
        ("host: localhost.evil.example", 403),
        ("host: a.localhost", 403),
        ("host: localhost.", 403),
        ("host: x.orgd.ci.example", 403),
        ("host: orgd.ci.example.evil.example", 403),
        ("host:", 403),
        ("host: ", 403),
    ] {
        assert_eq!(sent(&server, "GET /_orgd/ HTTP/1.1", &[line], "").0, status, "{line}");
        // Only what controls is so: the API has any name.
        assert_eq!(sent(&server, "GET /_livez HTTP/1.1", &[line], "").0, 200, "{line}");
    }
    for (first, lines, status) in [
        ("GET /_orgd/ HTTP/1.0", &[][..], 403),
        ("GET /_orgd/ HTTP/1.1", &[], 400),
        ("GET /_orgd/ HTTP/1.1", &["host: HOST", "host: evil.example"], 400),
        ("GET http://evil.example/_orgd/ HTTP/1.1", &["host: HOST"], 400),
        ("GET http://evil.example/_orgd/ HTTP/1.1", &["host: evil.example"], 403),
        ("GET /%5forgd/ HTTP/1.1", &["host: evil.example"], 403),
        ("GET /_orgd HTTP/1.1", &["host: evil.example"], 403),
    ] {
        assert_eq!(sent(&server, first, lines, "").0, status, "{first} {lines:?}");
    }
}

#[test]
fn what_a_proxy_says_opens_no_control_path() {
    for trusting in [false, true] {
        let server = Server::controlled(|config| {
            if trusting {
                config.trust_proxy = "127.0.0.1".parse().expect("networks");
            }
        });
        for line in [
            "x-forwarded-host: localhost",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-proto: http",
            "x-forwarded-port: 80",
            "forwarded: host=localhost;for=127.0.0.1",
            "x-real-ip: 127.0.0.1",
            "via: 1.1 tunnel",
            "cf-connecting-ip: 127.0.0.1",
        ] {
            for host in ["host: evil.example", "host: HOST"] {
                let (status, _) = sent(&server, "GET /_orgd/ HTTP/1.1", &[host, line], "");
                assert_eq!(status, 403, "{host}, {line}, {trusting}");
            }
        }
    }
}

#[test]
fn no_page_of_another_origin_reaches_a_control_path_by_any_method() {
    let server = Server::controlled(|_| {});
    for (line, status) in [
        ("origin: http://HOST", 200),
        ("sec-fetch-site: same-origin", 200),
        ("sec-fetch-site: none", 200),
        ("origin: https://HOST", 403),
        ("origin: http://HOST.evil.example", 403),
        ("origin: http://localhost:1", 403),
        ("origin: http://evil.example", 403),
        ("origin: null", 403),
        ("origin:", 403),
        ("sec-fetch-site: cross-site", 403),
        ("sec-fetch-site: same-site", 403),
        ("sec-fetch-site: Same-Origin, x", 403),
    ] {
        let (found, answer) = sent(&server, "GET /_orgd/ HTTP/1.1", &["host: HOST", line], "");
        assert_eq!(found, status, "{line}");
        assert!(!answer.to_lowercase().contains("access-control-"), "{line}: {answer}");
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"] {
            let lines = ["host: HOST", line, "access-control-request-method: POST"];
            let (found, answer) = sent(&server, &format!("{method} /_orgd/ HTTP/1.1"), &lines, "");
            assert_eq!(found == 403, status == 403, "{method} {line}: {answer}");
            assert!(!answer.to_lowercase().contains("access-control-"), "{method} {line}: {answer}");
        }
    }
    let lines = ["host: HOST", "origin: http://HOST", "origin: http://evil.example"];
    assert_eq!(sent(&server, "GET /_orgd/ HTTP/1.1", &lines, "").0, 403, "the worse of two counts");
}

#[test]
fn a_body_for_a_control_path_is_json_and_says_so() {
    let server = Server::controlled(|_| {});
    for (line, body, status) in [
        ("content-type: application/json", "{}", 405),
        ("content-type: application/json; charset=utf-8", "{}", 405),
        ("content-type: application/json", "{", 400),
        ("content-type: application/x-www-form-urlencoded", "a=b", 415),
        ("content-type: text/plain", "{}", 415),
        ("content-type: multipart/form-data; boundary=x", "--x--", 415),
        ("content-type: application/jsonp", "{}", 415),
        ("content-type:", "{}", 415),
        ("accept: */*", "{}", 415),
        // A form without fields, as a page of another site can send it.
        ("content-type: application/x-www-form-urlencoded", "", 415),
        ("content-type: text/plain", "", 415),
        ("accept: */*", "", 405),
    ] {
        let (found, answer) = sent(&server, "POST /_orgd/ HTTP/1.1", &["host: HOST", line], body);
        assert_eq!(found, status, "{line} {body}: {answer}");
    }
}

#[test]
fn control_paths_look_for_no_credentials() {
    let server = Server::controlled(|_| {});
    let plain = server.anyone().get("/_orgd/").json(200);
    let shown =
        |headers: &[(&str, &str)], path: &str| server.anyone().send(Method::GET, path, "", headers).json(200);
    let same =
        |found: Value| assert_eq!((&found["mode"], &found["version"]), (&plain["mode"], &plain["version"]));
    same(shown(&[("authorization", "Bearer phx_nothing")], "/_orgd/"));
    same(shown(&[("cookie", "sessionid=nothing")], "/_orgd/"));
    same(shown(&[("accept", "text/html")], "/_orgd/?personal_api_key=phx_nothing"));
    let (_, answer) = sent(&server, "GET /_orgd/ HTTP/1.1", &["host: HOST"], "");
    assert!(answer.contains("cache-control: no-store"), "{answer}");
}

/// Every route by which a test server is controlled, pages included: its method, and a path that leads to it.
fn every_route() -> Vec<(&'static Route, String)> {
    let filled = |segment: &str| if segment.starts_with('{') { "1".to_owned() } else { segment.to_owned() };
    let path = |route: &Route| route.path.split('/').map(filled).collect::<Vec<_>>().join("/");
    let all: Vec<_> = routes::control_table().routes().map(|route| (route, path(route))).collect();
    assert!(all.len() > 20, "{}", all.len());
    all
}

#[test]
fn no_route_that_controls_a_test_server_is_reached_from_elsewhere_or_is_there_on_another() {
    let (server, ordinary) = (Server::controlled(|_| {}), Server::start());
    let owner = ordinary.org().owner;
    for (route, path) in every_route() {
        let first = format!("{} {path} HTTP/1.1", route.method.name());
        for lines in [
            &["host: evil.example"][..],
            &["host: HOST", "origin: http://evil.example"],
            &["host: HOST", "sec-fetch-site: cross-site"],
            &["host: HOST", "x-forwarded-for: 203.0.113.7"],
        ] {
            let (status, text) =
                sent(&server, &first, &[lines, &["content-type: application/json"]].concat(), "{}");
            assert_eq!(status, 403, "{first} {lines:?}: {text}");
        }
        assert_eq!(owner.call(route.method.name(), &path, &json!({})).status, 404, "{first}");
    }
}

#[test]
fn a_wrong_body_for_any_route_that_controls_a_test_server_is_its_senders_fault() {
    let server = Server::controlled(|_| {});
    let changing = |(route, _): &(&Route, String)| ["POST", "PUT", "PATCH"].contains(&route.method.name());
    for (route, path) in every_route().into_iter().filter(changing) {
        let first = format!("{} {path} HTTP/1.1", route.method.name());
        for body in ["{", "[7]", "null", "7", "\"x\"", "{\"no_such_field\": 1}", "[[[[]]]]"] {
            let lines = ["host: HOST", "content-type: application/json"];
            let (status, text) = sent(&server, &first, &lines, body);
            assert!((400..500).contains(&status), "{first} {body}: {text}");
        }
    }
    server.anyone().get("/_readyz").json(200);
}
