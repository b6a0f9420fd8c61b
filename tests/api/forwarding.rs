//! Proxies in front: whose headers are believed, and what follows from them.

use serde_json::{Value, json};
use ureq::http::Method;

use crate::support::smtp::{Manner, Smtp};
use crate::support::{Answer, PASSWORD, Server};

fn trusting(proxies: &str) -> Server {
    let networks = proxies.parse().expect("networks");
    Server::with(|config| config.trust_proxy = networks)
}

/// What the server believes of a request with these headers, as its log shows.
fn believed(server: &Server, headers: &[(&str, &str)]) -> Value {
    let mut all = vec![("x-setup-code", server.app.setup_code.as_str())];
    all.extend_from_slice(headers);
    server.anyone().send(Method::GET, "/_whoami", "", &all).json(200)
}

#[test]
fn the_caller_is_the_rightmost_address_that_is_no_proxy_of_ours() {
    let server = trusting("127.0.0.1,10.0.0.0/8,fd00::/8");
    for (header, value, address, proxies) in [
        ("x-forwarded-for", "203.0.113.7", "203.0.113.7", json!([])),
        ("x-forwarded-for", "127.0.0.1, 203.0.113.7", "203.0.113.7", json!([])),
        ("x-forwarded-for", "1.1.1.1, 203.0.113.7, 10.0.0.9", "203.0.113.7", json!(["10.0.0.9"])),
        ("x-forwarded-for", "203.0.113.7,10.0.0.9 ,10.1.0.1", "203.0.113.7", json!(["10.1.0.1", "10.0.0.9"])),
        ("x-forwarded-for", "203.0.113.7:5678", "203.0.113.7", json!([])),
        ("x-forwarded-for", "[2001:db8::17]:99", "2001:db8::17", json!([])),
        ("x-forwarded-for", "2001:db8::17, [fd00::1]:80", "2001:db8::17", json!(["fd00::1"])),
        ("x-forwarded-for", "::ffff:203.0.113.7", "203.0.113.7", json!([])),
        ("x-forwarded-for", "203.0.113.7, ::ffff:10.0.0.9", "203.0.113.7", json!(["10.0.0.9"])),
        // All of them are ours: the outermost one is the client itself.
        ("x-forwarded-for", "10.0.0.8, 10.0.0.9", "10.0.0.8", json!(["10.0.0.9", "10.0.0.8"])),
        // What is no address ends the walk at the proxy that wrote it.
        ("x-forwarded-for", "203.0.113.7, unknown", "127.0.0.1", json!([])),
        ("x-forwarded-for", "203.0.113.7, _hidden, 10.0.0.9", "10.0.0.9", json!(["10.0.0.9"])),
        ("x-forwarded-for", "", "127.0.0.1", json!([])),
        ("x-forwarded-for", " , ,", "127.0.0.1", json!([])),
        // What callers write before that is never looked at.
        ("x-forwarded-for", "'; DROP, 1.2.3, 203.0.113.7", "203.0.113.7", json!([])),
        ("forwarded", "for=203.0.113.7", "203.0.113.7", json!([])),
        ("forwarded", "for=127.0.0.1, FOR=\"203.0.113.7:99\";proto=https", "203.0.113.7", json!([])),
        ("forwarded", "for=\"[2001:db8::17]:99\", by=x;for=10.0.0.9", "2001:db8::17", json!(["10.0.0.9"])),
        ("forwarded", "for=203.0.113.7, for=unknown", "127.0.0.1", json!([])),
        ("forwarded", "for=203.0.113.7, for=_hidden, for=10.0.0.9", "10.0.0.9", json!(["10.0.0.9"])),
        ("forwarded", "for=\"203.0.113.7", "127.0.0.1", json!([])),
        ("forwarded", "nonsense", "127.0.0.1", json!([])),
        // What a caller wrote before it does not hide what the proxy wrote.
        ("forwarded", "x=\"a, for=203.0.113.7", "203.0.113.7", json!([])),
        ("forwarded", "nonsense, for=203.0.113.7", "203.0.113.7", json!([])),
        ("x-real-ip", "203.0.113.7", "127.0.0.1", json!([])),
    ] {
        let seen = believed(&server, &[(header, value)]);
        assert_eq!((&seen["address"], &seen["proxies"]), (&json!(address), &proxies), "{header}: {value}");
        assert_eq!(seen["is_from_this_machine"], false, "{header}: {value}");
    }
}

#[test]
fn all_lines_of_a_header_are_one_list() {
    let server = trusting("127.0.0.1,10.0.0.0/8");
    let lines =
        [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "203.0.113.7"), ("x-forwarded-for", "10.0.0.9")];
    assert_eq!(believed(&server, &lines)["address"], "203.0.113.7");
    let lines = [("forwarded", "for=203.0.113.7"), ("forwarded", "for=10.0.0.9")];
    assert_eq!(believed(&server, &lines)["address"], "203.0.113.7");
}

#[test]
fn a_header_that_the_proxy_does_not_write_is_not_believed_beside_the_one_that_it_writes() {
    let server = trusting("127.0.0.1");
    let seen = believed(
        &server,
        &[
            ("x-forwarded-for", "203.0.113.7"),
            ("forwarded", "for=198.51.100.1;proto=https;host=evil.example"),
        ],
    );
    assert_eq!((&seen["address"], &seen["address_from"]), (&json!("203.0.113.7"), &json!("X-Forwarded-For")));
    assert_eq!((&seen["scheme"], &seen["scheme_from"]), (&json!("http"), &json!("connection")));
    assert_eq!(seen["host_from"], "Host");
}

#[test]
fn a_host_or_scheme_alone_does_not_hide_who_the_proxy_says_it_is() {
    let server = trusting("127.0.0.1");
    for (name, value) in [("x-forwarded-host", "evil.example"), ("x-forwarded-proto", "https")] {
        let seen = believed(&server, &[("forwarded", "for=203.0.113.7"), (name, value)]);
        assert_eq!((&seen["address"], &seen["scheme"]), (&json!("203.0.113.7"), &json!("http")), "{name}");
        assert_ne!(seen["host"], "evil.example");
    }
}

#[test]
fn scheme_and_host_are_what_the_outermost_of_our_proxies_wrote() {
    let server = trusting("127.0.0.1,10.0.0.0/8");
    let two_hops = ("x-forwarded-for", "9.9.9.9, 203.0.113.7, 10.0.0.9");
    for (headers, scheme, host) in [
        (&[("x-forwarded-proto", "https"), ("x-forwarded-host", "a.example")][..], "https", "a.example"),
        (&[("x-forwarded-proto", "HTTPS")], "https", "h.example"),
        // The caller wrote the first one.
        (
            &[("x-forwarded-proto", "https, http"), ("x-forwarded-host", "evil.example, a.example")],
            "http",
            "a.example",
        ),
        (&[two_hops, ("x-forwarded-proto", "http, https, http")], "https", "h.example"),
        (&[two_hops, ("x-forwarded-host", "evil.example, a.example, b.example")], "http", "a.example"),
        // One proxy overwrites what it gets.
        (&[two_hops, ("x-forwarded-proto", "https")], "https", "h.example"),
        (&[("x-forwarded-proto", "ftp")], "http", "h.example"),
        (&[("x-forwarded-proto", "")], "http", "h.example"),
        (&[("x-forwarded-host", "evil.example/x")], "http", "h.example"),
        (&[("x-forwarded-host", "user@evil.example")], "http", "h.example"),
        (&[("x-forwarded-host", "a.example:8443")], "http", "a.example:8443"),
        (&[("forwarded", "for=1.1.1.1;proto=https;host=\"a.example:8443\"")], "https", "a.example:8443"),
        (&[("forwarded", "proto=https;host=evil.example, for=1.1.1.1")], "http", "h.example"),
        (
            &[("forwarded", "for=203.0.113.7;proto=https;host=a.example, for=10.0.0.9;proto=http;host=b")],
            "https",
            "a.example",
        ),
    ] {
        let mut all = vec![("host", "h.example")];
        all.extend_from_slice(headers);
        let seen = believed(&server, &all);
        assert_eq!((&seen["scheme"], &seen["host"]), (&json!(scheme), &json!(host)), "{headers:?}");
    }
}

#[test]
fn who_is_not_named_is_believed_nothing() {
    let headers = [
        ("x-forwarded-for", "203.0.113.7"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.example"),
        ("forwarded", "for=203.0.113.7;proto=https;host=evil.example"),
    ];
    for proxies in ["false", "", "10.0.0.0/8,203.0.113.0/24"] {
        let server = trusting(proxies);
        let seen = believed(&server, &headers);
        assert_eq!((&seen["address"], &seen["scheme"]), (&json!("127.0.0.1"), &json!("http")), "{proxies}");
        assert_eq!(seen["host"], json!(server.address.to_string()), "{proxies}");
        assert_eq!(seen["connection"]["is_trusted_proxy"], false);
        assert_eq!(seen["connection"]["has_proxy_headers"], true);
    }
    assert_eq!(believed(&trusting("true"), &headers)["address"], "203.0.113.7");
}

#[test]
fn a_new_first_address_in_the_list_is_no_new_caller() {
    let server = Server::with(|config| {
        config.trust_proxy = "127.0.0.1".parse().expect("networks");
        config.rate_limit = None;
    });
    let owner = server.org().owner;
    let log_in = |list: String, password: &str| {
        let headers = [("content-type", "application/json"), ("x-forwarded-for", list.as_str())];
        let body = json!({"email": owner.email, "password": password}).to_string();
        server.anyone().send(Method::POST, "/api/login/", body, &headers).status
    };
    let wrong: Vec<u16> = (0..40).map(|n| log_in(format!("10.0.0.{n}, 203.0.113.7"), "wrong")).collect();
    let first = wrong[0];
    assert!(wrong.iter().any(|status| *status != first), "never locked: {wrong:?}");
    assert_ne!(log_in("10.9.9.9, 203.0.113.7".into(), PASSWORD), 200);
}

#[test]
fn with_a_site_of_its_own_no_header_changes_a_link() {
    let site = "https://orgd.example.com";
    for proxies in ["true", "false"] {
        let server = Server::with(|config| {
            config.site_url = Some(site.into());
            config.trust_proxy = proxies.parse().expect("networks");
        });
        let owner = server.org().owner;
        for n in 0..3 {
            owner.post("/api/organizations/", json!({"name": format!("O{n}")})).json(201);
        }
        let page = |headers: &[(&str, &str)], offset: u32| {
            let path = format!("/api/organizations/?limit=1&offset={offset}");
            owner.send(Method::GET, &path, "", headers).json(200)
        };
        for headers in [
            &[][..],
            &[("host", "evil.example")],
            &[
                ("x-forwarded-for", "1.1.1.1"),
                ("x-forwarded-host", "evil.example"),
                ("x-forwarded-proto", "http"),
            ],
            &[("forwarded", "for=1.1.1.1;host=evil.example;proto=http")],
        ] {
            let shown = page(headers, 1);
            assert_eq!(shown["next"], format!("{site}/api/organizations/?limit=1&offset=2"), "{headers:?}");
            assert_eq!(shown["previous"], format!("{site}/api/organizations/?limit=1"), "{headers:?}");
        }
        assert_eq!(owner.get("/_preflight/").json(200)["site_url"], site);
    }
}

#[test]
fn without_one_links_follow_the_request() {
    let server = trusting("true");
    let owner = server.org().owner;
    owner.post("/api/organizations/", json!({"name": "Other"})).json(201);
    let headers =
        [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "a.example")];
    let page = owner.send(Method::GET, "/api/organizations/?limit=1", "", &headers).json(200);
    assert_eq!(page["next"], "https://a.example/api/organizations/?limit=1&offset=1");
    assert_eq!(
        owner.get("/api/organizations/?limit=1").json(200)["next"],
        owner.url("/api/organizations/?limit=1&offset=1")
    );
}

#[test]
fn what_is_believed_is_shown_to_the_operator_only() {
    let server = trusting("127.0.0.1");
    let staff = server.org().owner;
    let other = server.stranger();
    let through = [("x-forwarded-for", "203.0.113.7")];
    let ask = |person: &crate::support::Person, headers: &[(&str, &str)]| -> Answer {
        person.send(Method::GET, "/_whoami", "", headers)
    };
    // From the machine itself.
    let seen = ask(&server.anyone(), &[]).json(200);
    assert_eq!((&seen["address"], &seen["address_from"]), (&json!("127.0.0.1"), &json!("connection")));
    assert_eq!(seen["is_from_this_machine"], true);
    assert!(seen["why"].as_array().is_some_and(|why| !why.is_empty()), "{seen}");
    // Through a proxy, or by a name that is not this machine's.
    for headers in [&through[..], &[("host", "orgd.example.com")], &[("via", "1.1 x")]] {
        ask(&server.anyone(), headers).not_found();
        ask(&other, headers).not_found();
        ask(&staff.key(&["*"]), headers).not_found();
        ask(&staff, headers).json(200);
    }
    let wrong = [("x-forwarded-for", "203.0.113.7"), ("x-setup-code", "wrong")];
    ask(&server.anyone(), &wrong).not_found();
    let seen = ask(&staff, &through).json(200);
    assert_eq!((&seen["address"], &seen["address_from"]), (&json!("203.0.113.7"), &json!("X-Forwarded-For")));
    assert_eq!(
        seen["connection"],
        json!({"address": "127.0.0.1", "is_trusted_proxy": true, "has_proxy_headers": true})
    );
    server.anyone().post("/_whoami", json!({})).not_allowed("POST");
}

#[test]
fn lists_of_proxies_spoil_neither_links_nor_mails_nor_cookies() {
    let smtp = Smtp::start(Manner::Takes);
    let url = smtp.url();
    let server = Server::with(|config| {
        config.trust_proxy = "true".parse().expect("networks");
        config.smtp_url = Some(url);
    });
    let org = server.org();
    let owner = &org.owner;
    owner.post("/api/organizations/", json!({"name": "Other"})).json(201);
    let key = owner.key(&["*"]);
    // The news of the key.
    smtp.message();
    for (number, (headers, origin)) in [
        (
            &[("x-forwarded-proto", "https, http"), ("x-forwarded-host", "a.example, b.example")][..],
            "http://b.example",
        ),
        (
            &[
                ("x-forwarded-for", "203.0.113.7, 10.0.0.9"),
                ("x-forwarded-proto", "https, http"),
                ("x-forwarded-host", "a.example, b.example"),
            ],
            "https://a.example",
        ),
        (&[("x-forwarded-proto", "HTTPS"), ("x-forwarded-host", "a.example:8443")], "https://a.example:8443"),
        (
            &[("x-forwarded-proto", "Https,HTTPS"), ("x-forwarded-host", "a.example,a.example")],
            "https://a.example",
        ),
        (&[("x-forwarded-proto", "javascript"), ("x-forwarded-host", "a.example")], "http://a.example"),
        (&[("x-forwarded-proto", "wss"), ("x-forwarded-host", "a.example")], "http://a.example"),
        (&[("x-forwarded-proto", "https"), ("x-forwarded-host", "evil\"><script>")], "https://h.example"),
        (&[("x-forwarded-proto", "https:"), ("x-forwarded-host", "a b.example")], "http://h.example"),
        (&[("x-forwarded-proto", "https"), ("x-forwarded-host", "a.example:port")], "https://h.example"),
        (&[("x-forwarded-proto", "https"), ("x-forwarded-host", "a.example:65536")], "https://h.example"),
        (&[("x-forwarded-proto", "https"), ("x-forwarded-host", "..")], "https://h.example"),
        (&[("x-forwarded-proto", "https"), ("x-forwarded-host", "[::1")], "https://h.example"),
        (&[("x-forwarded-proto", "https"), ("x-forwarded-host", "a:b:c")], "https://h.example"),
        (
            &[("x-forwarded-proto", "https"), ("x-forwarded-host", "[2001:db8::1]:8443")],
            "https://[2001:db8::1]:8443",
        ),
        (&[("x-forwarded-proto", ", ,"), ("x-forwarded-host", ",")], "http://h.example"),
        (
            &[(
                "forwarded",
                "for=203.0.113.7;proto=\"HTTPS\";host=\"a.example\", for=10.0.0.9;proto=http;host=b.example",
            )],
            "https://a.example",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let mut all = vec![("host", "h.example")];
        all.extend_from_slice(headers);
        let page = owner.send(Method::GET, "/api/organizations/?limit=1&offset=1", "", &all).json(200);
        assert_eq!(page["previous"], format!("{origin}/api/organizations/?limit=1"), "{headers:?}");
        all.push(("content-type", "application/json"));
        let email = format!("new{number}@example.com");
        let body = json!({"target_email": email}).to_string();
        key.send(Method::POST, &org.at("invites/"), body, &all).json(201);
        let (recipient, message) = smtp.message();
        let message = message.replace("=\n", "").replace("=3D", "=");
        assert_eq!(
            (recipient, message.matches(&format!("{origin}/signup/")).count()),
            (email, 2),
            "{headers:?}"
        );
        let body = json!({"email": owner.email, "password": PASSWORD}).to_string();
        let answer = server.anyone().send(Method::POST, "/api/login/", body, &all);
        let cookies = answer.headers("set-cookie");
        assert!(!cookies.is_empty(), "{headers:?}");
        for cookie in cookies {
            assert_eq!(cookie.contains("Secure"), origin.starts_with("https:"), "{headers:?}: {cookie}");
        }
    }
}
