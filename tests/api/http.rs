//! What every endpoint shares: addresses, methods, bodies, headers, limits.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;
use ureq::http::Method;

use crate::support::{Server, text};

/// Sends raw bytes and reads until the server closes.
fn raw(server: &Server, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address).expect("the server listens");
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn the_slash_at_the_end_is_optional_and_never_redirected() {
    let server = Server::start();
    let org = server.org();
    let with = org.owner.get(&org.at("")).json(200);
    assert_eq!(org.owner.get(org.at("").trim_end_matches('/')).json(200), with);
    for path in [
        org.at("members"),
        org.at("projects"),
        "/api/users/@me".into(),
        "/_health".into(),
        "/_preflight".into(),
    ] {
        assert_eq!(org.owner.get(&path).status, 200, "{path}");
    }
    for path in ["/api/schema", "/api/signup/3e9c5de9-1765-454a-bd9a-3c5e67ed9a23"] {
        server.anyone().get(path).missing("Endpoint not found. The path ends with a slash.");
    }
    for path in ["/_livez/", "/_readyz/", "/logout/"] {
        server.anyone().get(path).not_found();
    }
}

#[test]
fn unknown_paths_are_missing_for_everybody_and_every_method() {
    let server = Server::start();
    let owner = server.org().owner;
    for person in [&owner, &server.anyone()] {
        for method in ["GET", "POST", "DELETE", "PATCH", "PUT"] {
            for path in ["/api/zzz/", "/api/zzz", "/api/zzz/members/", "/api//"] {
                person.call(method, path, &json!({})).missing("Endpoint not found.");
            }
        }
        person.get("/nothing").not_found();
    }
}

#[test]
fn an_unknown_path_says_how_far_it_is_known_and_repeats_nothing() {
    let server = Server::start();
    let org = server.org();
    for (path, front) in [
        (org.at("zzz/"), "/api/organizations/{id}/"),
        ("/api/organizations/@current/zzz".into(), "/api/organizations/{id}/"),
        ("/api/organizations/@current/zzz/yyy/".into(), "/api/organizations/{id}/"),
        ("/api/organizations//members/".into(), "/api/organizations/"),
        (
            org.at("roles/3e9c5de9-1765-454a-bd9a-3c5e67ed9a23/zzz/"),
            "/api/organizations/{organization_id}/roles/{id}/",
        ),
        ("/api/users/@me/zzz/".into(), "/api/users/{uuid}/"),
    ] {
        let wanted =
            format!("Endpoint not found. Nothing of this name is below {front}; GET /api/ lists all paths.");
        for person in [&org.owner, &server.anyone()] {
            person.get(&path).missing(&wanted);
            person.post(&path, json!({})).missing(&wanted);
        }
    }
}

#[test]
fn the_root_of_the_api_lists_what_there_is() {
    let server = Server::start();
    let anyone = server.anyone();
    let listed = anyone.get("/api/").json(200);
    assert_eq!(anyone.get("/api").json(200), listed);
    assert_eq!(listed["documentation"], json!(anyone.url("/api/schema/redoc/")));
    anyone.get("/api/schema/redoc/").text();
    let paths = listed["paths"].as_object().expect("an object");
    assert_eq!(paths["/api/organizations/{organization_id}/roles/"], json!(["GET", "POST"]));
    let of_table: std::collections::BTreeSet<&str> = orgd::routes::table()
        .routes()
        .map(|route| route.path.as_ref())
        .filter(|path: &&str| path.starts_with("/api/"))
        .collect();
    assert_eq!(paths.keys().map(String::as_str).collect::<std::collections::BTreeSet<_>>(), of_table);
    anyone.post("/api/", json!({})).not_allowed("POST");
}

#[test]
fn segments_are_decoded_before_they_are_matched() {
    let server = Server::start();
    let org = server.org();
    org.owner.get("/api/organizations/%40current/").json(200);
    org.owner.get("/%61pi/organ%69zations/").json(200);
    for hidden in [
        "/api/organizations%2F@current/",
        "/api/organizations/a%2Fb/",
        "/api/organizations/%FF/",
        "/api/organizations/%00/",
    ] {
        org.owner.get(hidden).missing("Endpoint not found.");
    }
    org.owner.get("/api/organizations/%zz/").not_found();
}

#[test]
fn head_answers_as_get_without_a_body() {
    let server = Server::start();
    let org = server.org();
    let get = org.owner.get(&org.at(""));
    let head = org.owner.send(Method::HEAD, &org.at(""), "", &[]);
    assert_eq!((head.status, head.text().as_str()), (200, ""));
    assert_eq!(head.header("content-length"), get.body.len().to_string());
    assert_eq!(server.anyone().send(Method::HEAD, &org.at(""), "", &[]).status, 401);
}

#[test]
fn options_describes_the_path() {
    let server = Server::start();
    let org = server.org();
    let answer = org.owner.send(Method::OPTIONS, &org.at(""), "", &[]);
    let shown = answer.json(200);
    assert_eq!(shown["renders"], json!(["application/json"]));
    assert_eq!(
        shown["parses"],
        json!(["application/json", "application/x-www-form-urlencoded", "multipart/form-data"])
    );
    assert_eq!(answer.header("allow"), "GET, PUT, PATCH, DELETE, HEAD, OPTIONS");
    server.anyone().send(Method::OPTIONS, &org.at(""), "", &[]).unauthenticated();
    let key = org.owner.key(&["organization_member:write"]);
    let refused = "API key missing required scope 'organization:read'";
    key.send(Method::OPTIONS, &org.at(""), "", &[]).denied(refused);
    key.send(Method::OPTIONS, &org.at("members/"), "", &[]).json(200);
}

#[test]
fn odd_methods_are_not_allowed() {
    let server = Server::start();
    let org = server.org();
    let odd = Method::from_bytes(b"PROPFIND").expect("a method");
    org.owner.send(odd.clone(), &org.at(""), "", &[]).not_allowed("PROPFIND");
    server.anyone().send(odd, &org.at(""), "", &[]).unauthenticated();
}

#[test]
fn the_answer_is_json_or_nothing() {
    let server = Server::start();
    let org = server.org();
    let get = |accept: &str| org.owner.send(Method::GET, &org.at(""), "", &[("accept", accept)]);
    for accept in
        ["application/json", "*/*", "application/*", "text/html, */*;q=0.1", "application/json; indent=4"]
    {
        assert_eq!(get(accept).header("content-type"), "application/json", "{accept}");
    }
    let refused = "Could not satisfy the request Accept header.";
    for accept in ["text/html", "image/*", "application/json;q=0", "application/json;q=0, */*"] {
        get(accept).refused(406, "invalid_request", "not_acceptable", refused, None);
    }
    let anyone = server.anyone().send(Method::GET, &org.at(""), "", &[("accept", "text/html")]);
    anyone.refused(406, "invalid_request", "not_acceptable", refused, None);
    org.owner.get(&org.at("?format=json")).json(200);
    org.owner.get(&org.at("?format=")).json(200);
    org.owner.get(&org.at("?format=xml")).not_found();
}

#[test]
fn bodies_that_cannot_be_read_are_told_apart() {
    let server = Server::start();
    let org = server.org();
    let key = org.owner.key(&["organization:write"]);
    let post = |kind: &str, body: &[u8]| {
        key.send(Method::POST, "/api/organizations/", body, &[("content-type", kind)])
    };
    for body in [
        &b"{"[..],
        b"{\"name\": }",
        b"nonsense",
        b"\xff\xfe",
        b"{\"name\": \"\xff\"}",
        b"{} {}",
        b"\"\\ud800\"",
    ] {
        let answer = post("application/json", body);
        let answered = answer.json(400);
        assert_eq!(
            (&answered["type"], &answered["code"], &answered["attr"]),
            (&json!("invalid_request"), &json!("parse_error"), &json!(null))
        );
        assert!(text(&answered["detail"]).starts_with("JSON parse error - "), "{answered}");
    }
    for kind in ["text/plain", "application/xml", "nonsense"] {
        let detail = format!("Unsupported media type \"{kind}\" in request.");
        post(kind, b"x").refused(415, "invalid_request", "unsupported_media_type", &detail, None);
    }
    for (kind, body) in [("multipart/form-data", &b"x"[..]), ("multipart/form-data; boundary=A", b"x")] {
        let answered = post(kind, body).json(400);
        assert!(text(&answered["detail"]).starts_with("Multipart form parse error - "), "{answered}");
    }
    post("application/json; charset=utf-8", b"{\"name\": \"X\"}").json(201);
    post("text/plain", b"").invalid("name", "required", "This field is required.");
}

#[test]
fn a_key_in_the_header_is_judged_before_the_body_and_a_body_before_nobody() {
    let server = Server::start();
    let org = server.org();
    let broken = |person: &crate::support::Person| {
        person.send(Method::PATCH, &org.at(""), "{", &[("content-type", "application/json")])
    };
    broken(&org.owner.key(&["organization:read"]))
        .denied("API key missing required scope 'organization:write'");
    assert_eq!(broken(&org.owner.holding("wrong")).status, 401);
    assert_eq!(broken(&server.anyone()).status, 400);
    assert_eq!(broken(&org.owner).status, 400);
    assert_eq!(broken(&server.stranger().key(&["*"])).status, 404);
}

#[test]
fn a_body_over_the_limit_is_refused_whether_its_length_is_told_or_not() {
    let server = Server::with(|config| config.body_bytes_max = 10_000);
    let org = server.org();
    let name = |bytes: usize| format!("{:<bytes$}", r#"{"name": "N"}"#);
    let send = |bytes: usize| {
        org.owner.send(Method::PATCH, &org.at(""), name(bytes), &[("content-type", "application/json")])
    };
    send(10_000).json(200);
    let detail = "The request body is larger than 10000 bytes.";
    send(10_001).refused(413, "invalid_request", "request_too_large", detail, None);
    let chunk = format!("2000\r\n{}\r\n", "x".repeat(0x2000));
    let head = "POST /api/organizations/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    let answer = raw(&server, format!("{head}{chunk}{chunk}").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[test]
fn the_request_id_goes_in_and_out() {
    let server = Server::start();
    let anyone = server.anyone();
    let with =
        |id: &str| anyone.send(Method::GET, "/_health", "", &[("x-request-id", id)]).header("x-request-id");
    assert_eq!(with("abc-123"), "abc-123");
    let made = anyone.get("/_health").header("x-request-id");
    assert_eq!(made.len(), 36);
    assert_ne!(anyone.get("/_health").header("x-request-id"), made);
    assert_eq!(with(&"x".repeat(129)).len(), 36);
    assert_eq!(with("quoted\"").len(), 36);
    assert_eq!(anyone.get("/api/zzz/").header("x-request-id").len(), 36);
}

#[test]
fn browsers_of_any_site_may_ask() {
    let server = Server::start();
    let anyone = server.anyone();
    let origin = ("origin", "https://app.example");
    let preflight = [origin, ("access-control-request-method", "PATCH")];
    let answer = anyone.send(Method::OPTIONS, "/api/organizations/@current/", "", &preflight);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert!(answer.header("access-control-allow-methods").contains("PATCH"));
    assert!(answer.header("access-control-allow-headers").contains("authorization"));
    assert!(!answer.headers.contains_key("access-control-allow-credentials"));
    let answer = anyone.send(Method::GET, "/api/organizations/", "", &[origin]);
    assert_eq!((answer.status, answer.header("access-control-allow-origin").as_str()), (401, "*"));
    assert!(!anyone.get("/api/organizations/").headers.contains_key("access-control-allow-origin"));
}

#[test]
fn large_answers_are_compressed_for_those_who_can_read_them() {
    let server = Server::start();
    let org = server.org();
    for number in 0..10 {
        org.owner.post("/api/organizations/", json!({"name": format!("O{number}")})).json(201);
    }
    let plain = org.owner.get("/api/organizations/");
    assert!(!plain.headers.contains_key("content-encoding"));
    assert_eq!(plain.header("vary"), "accept-encoding");
    let gzip =
        org.owner.send(Method::GET, "/api/organizations/", "", &[("accept-encoding", "br, gzip;q=0.8")]);
    assert_eq!(gzip.header("content-encoding"), "gzip");
    let mut inflated = Vec::new();
    flate2::read::GzDecoder::new(gzip.body.as_slice()).read_to_end(&mut inflated).expect("gzip");
    assert_eq!(inflated, plain.body);
    let refused = org.owner.send(Method::GET, "/api/organizations/", "", &[("accept-encoding", "gzip;q=0")]);
    assert!(!refused.headers.contains_key("content-encoding"));
    let small = org.owner.send(Method::GET, &org.at(""), "", &[("accept-encoding", "gzip")]);
    assert!(!small.headers.contains_key("content-encoding"));
}

#[test]
fn http_2_is_spoken_by_prior_knowledge() {
    use http_body_util::{BodyExt, Empty};
    let server = Server::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (status, body) = runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(server.address).await.expect("the server listens");
        let io = hyper_util::rt::TokioIo::new(stream);
        let executor = hyper_util::rt::TokioExecutor::new();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(executor, io).await.expect("HTTP/2");
        tokio::spawn(connection);
        let request = hyper::Request::get(format!("http://{}/_livez", server.address));
        let request = request.body(Empty::<bytes::Bytes>::new()).expect("a request");
        let answer = sender.send_request(request).await.expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.into_body().collect().await.expect("a body").to_bytes())
    });
    assert_eq!((status, body.as_ref()), (200, &b"{\"http\":true}"[..]));
}

#[test]
fn an_overlong_address_or_head_is_refused() {
    let server = Server::start();
    let long = "x".repeat(20_000);
    server.anyone().get(&format!("/api/organizations/?a={long}")).not_found();
    let answer = raw(
        &server,
        format!("GET /_health HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "x".repeat(1_000_000)).as_bytes(),
    );
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    let answer = raw(&server, b"nonsense\r\n\r\n");
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    server.anyone().get("/_health").headers.get("x-request-id").expect("the server lives");
}

#[test]
fn whoever_sends_his_head_or_body_too_slowly_is_cut_off() {
    let server = Server::with(|config| {
        config.header_seconds_max = 1;
        config.body_seconds_max = 1;
    });
    // The read ends only because the server closes.
    let answer = raw(&server, b"GET /_health HTTP/1.1\r\nHost:");
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert_eq!(raw(&server, b""), "");
    assert_eq!(raw(&server, b"PRI * HT"), "");
    let head = "POST /api/login/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    let answer = raw(&server, head.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("\"code\":\"request_timeout\""), "{answer}");
}

#[test]
fn a_body_that_nobody_read_does_not_cost_the_connection() {
    let server = Server::start();
    let mut stream = TcpStream::connect(server.address).expect("the server listens");
    let mut exchange = |head: &str, body: &str| {
        stream.write_all(head.as_bytes()).expect("the connection is open");
        stream.write_all(body.as_bytes()).expect("the connection is open");
        let mut answer = [0; 2048];
        let read = stream.read(&mut answer).expect("an answer");
        String::from_utf8_lossy(&answer[..read]).into_owned()
    };
    let head =
        "POST /api/zzz/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n";
    for _ in 0..20 {
        let answer = exchange(head, "{}");
        assert!(answer.starts_with("HTTP/1.1 404") && !answer.contains("connection: close"), "{answer}");
    }
    let large = head.replace("Content-Length: 2", "Content-Length: 2000000");
    let answer = exchange(&large, &"x".repeat(100_000));
    assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("connection: close"), "{answer}");
}
