//! The headers that keep browsers and caches from doing more with an answer than is meant.

use ureq::http::Method;

use crate::support::walk::api_routes;
use crate::support::{Answer, Server};

/// Answers that are the same for everybody: a cache may keep them.
const STORABLE: [&str; 9] = [
    "/",
    "/_health/",
    "/_livez",
    "/_preflight/",
    "/_readyz",
    "/api/",
    "/api/schema/",
    "/api/schema/redoc/",
    "/api/schema/swagger-ui/",
];

#[track_caller]
fn is_protected(answer: &Answer, storable: bool, what: &str) {
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "{what}");
    assert_eq!(answer.header("referrer-policy"), "same-origin", "{what}");
    assert!(!answer.headers.contains_key("strict-transport-security"), "{what}");
    let no_store = answer.headers.get("cache-control").is_some_and(|value| value == "no-store");
    assert!(no_store || storable, "{what}: a cache may keep it");
}

#[test]
fn every_answer_of_the_table_is_protected_whoever_asks() {
    let server = Server::start();
    let key = server.org().owner.key(&["*"]);
    let mut sent = 0;
    for route in api_routes() {
        for value in ["@current", "@me", "1", "3e9c5de9-1765-454a-bd9a-3c5e67ed9a23"] {
            let fill = |part: &str| if part.starts_with('{') { value.to_owned() } else { part.to_owned() };
            let path = route.path.split('/').map(fill).collect::<Vec<_>>().join("/");
            let may_change =
                route.path.starts_with("/api/organizations/{id}/") && route.method.name() == "DELETE";
            for person in [server.anyone(), key.holding("phx_unknown"), key.clone()] {
                if may_change {
                    continue;
                }
                let answer = person.call(route.method.name(), &path, &serde_json::json!({}));
                // What SDKs read is the same for everybody.
                let is_constant = route.is_ingest() && route.method.is_safe();
                let is_listed = STORABLE.contains(&route.path.as_str());
                let storable = (is_constant || is_listed) && answer.status == 200;
                is_protected(
                    &answer,
                    storable,
                    &format!("{} {path}: {}", route.method.name(), answer.status),
                );
                sent += 1;
            }
        }
    }
    assert!(sent > 1000, "only {sent} were sent");
}

#[test]
fn answers_that_no_row_gives_are_protected_as_well() {
    let server = Server::start();
    let anyone = server.anyone();
    for (answer, what) in [
        (anyone.get("/nothing"), "no path"),
        (anyone.get("/api/nothing/"), "no path of the API"),
        (anyone.send(Method::OPTIONS, "/api/organizations/", "", &[]), "a description"),
        (anyone.send(Method::HEAD, "/api/organizations/", "", &[]), "a head"),
        (anyone.send(Method::GET, "/api/organizations/", "", &[("accept", "text/html")]), "no such form"),
        (
            anyone.send(Method::POST, "/api/login/", "{", &[("content-type", "application/json")]),
            "a bad body",
        ),
        (anyone.send(Method::GET, "/_health", "", &[("host", "a b")]), "a bad host"),
    ] {
        is_protected(&answer, false, what);
    }
}

#[test]
fn what_a_caller_alone_may_see_is_never_stored() {
    let server = Server::start();
    let owner = server.org().owner;
    for path in ["/_preflight/", "/api/users/@me/", "/api/personal_api_keys/", "/_whoami"] {
        assert_eq!(owner.get(path).header("cache-control"), "no-store", "{path}");
    }
    for path in ["/api/schema/", "/api/schema/redoc/"] {
        assert!(!server.anyone().get(path).headers.contains_key("cache-control"), "{path}");
    }
}

#[test]
fn pages_say_what_they_may_do_and_stay_out_of_frames() {
    let server = Server::start();
    let page = server.anyone().get("/api/schema/redoc/");
    let policy = page.header("content-security-policy");
    for rule in ["default-src 'none'", "frame-ancestors 'none'", "form-action 'none'", "base-uri 'none'"] {
        assert!(policy.split("; ").any(|part| part == rule), "{policy}");
    }
    // The page brings its style with it, which the policy allows, and nothing else.
    let text = page.text();
    assert!(text.contains("<style>") && policy.contains("style-src 'unsafe-inline'"), "{policy}");
    for absent in ["<script", "<img", "<link", "<iframe", "<form", "style=\"", " onclick"] {
        assert!(!text.contains(absent), "the page holds {absent}");
    }
    assert!(!server.anyone().get("/_livez").headers.contains_key("content-security-policy"));
}

#[test]
fn a_site_under_https_says_that_it_stays_there() {
    let https = Server::with(|config| config.site_url = Some("https://orgd.example.com".into()));
    let wanted = "max-age=31536000";
    assert_eq!(https.anyone().get("/_livez").header("strict-transport-security"), wanted);
    assert_eq!(https.anyone().get("/nothing").header("strict-transport-security"), wanted);
    let http = Server::with(|config| config.site_url = Some("http://orgd.example.com".into()));
    let proto = [("x-forwarded-proto", "https")];
    let sent = |server: &Server| {
        let answer = server.anyone().send(Method::GET, "/_livez", "", &proto);
        answer.headers.contains_key("strict-transport-security")
    };
    assert!(!sent(&http));
    assert!(!sent(&Server::start()), "nobody is trusted");
    assert!(sent(&Server::with(|config| config.trust_proxy = "true".parse().expect("networks"))));
}
