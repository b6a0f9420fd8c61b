//! Signing up with an organization of one's own.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};
use ureq::http::Method;

use crate::support::{PASSWORD, Person, Server, text};

fn closed() -> Server {
    Server::with(|config| config.open_signup = false)
}

fn body(email: &str) -> Value {
    json!({"first_name": "Ada", "email": email, "password": PASSWORD})
}

#[test]
fn signing_up_makes_a_user_an_organization_and_a_project_and_logs_in() {
    let server = Server::start();
    let mut sent = body("Ada@Example.com");
    sent["organization_name"] = json!("Analytical");
    let answer = server.anyone().post("/api/signup/", sent);
    let mut made = answer.json(201);
    assert!(made["id"].take().is_u64() && made["uuid"].take().is_string());
    assert!(made["distinct_id"].take().is_string());
    assert_eq!(
        made,
        json!({
            "id": null, "uuid": null, "distinct_id": null, "first_name": "Ada", "last_name": "",
            "email": "Ada@Example.com", "is_email_verified": null, "hedgehog_config": null, "redirect_url": "/",
            "role_at_organization": null,
        })
    );
    let me = server.anyone().with_cookies_of(&answer).me();
    assert_eq!(me["organization"]["name"], "Analytical");
    assert_eq!(me["organization"]["membership_level"], 15);
    assert_eq!(me["team"]["name"], "Default project");
    assert_eq!(me["is_staff"], true, "the first user of an instance is staff");
    assert_eq!(server.stranger().me()["is_staff"], false);
}

#[test]
fn the_cookies_are_set_as_browsers_need_them() {
    let server = Server::start();
    let answer = server.anyone().post("/api/signup/", body("a@example.com"));
    let cookies: Vec<String> = answer
        .headers
        .get_all("set-cookie")
        .iter()
        .map(|value| value.to_str().expect("text").to_owned())
        .collect();
    let of = |name: &str| {
        cookies.iter().find(|cookie| cookie.starts_with(name)).expect("the cookie is set").clone()
    };
    let session = of("sessionid=");
    assert!(
        session.contains("HttpOnly")
            && session.contains("SameSite=Lax")
            && session.contains("Max-Age=1209600")
    );
    assert!(!of("posthog_csrftoken=").contains("HttpOnly"));
}

#[test]
fn an_organization_without_a_name_gets_the_founder_s() {
    let server = Server::start();
    for (place, name) in [json!(null), json!(""), json!("  ")].into_iter().enumerate() {
        let mut sent = body(&format!("p{place}@example.com"));
        if !name.is_null() {
            sent["organization_name"] = name;
        }
        let answer = server.anyone().post("/api/signup/", sent);
        answer.json(201);
        assert_eq!(
            server.anyone().with_cookies_of(&answer).me()["organization"]["name"],
            "Ada's Organization"
        );
    }
    let mut sent = body("long@example.com");
    sent["first_name"] = json!("x".repeat(128));
    let answer = server.anyone().post("/api/signup/", sent);
    answer.json(201);
    let name = text(&server.anyone().with_cookies_of(&answer).me()["organization"]["name"]);
    assert!(name.ends_with("'s Organization") && name.chars().count() == 64, "{name}");
}

#[test]
fn the_first_wrong_field_is_told_and_nobody_is_made() {
    let server = Server::start();
    let post = |field: &str, value: Value| {
        let mut sent = body("a@example.com");
        sent[field] = value;
        server.anyone().post("/api/signup/", sent)
    };
    let absent = |field: &str| {
        let mut sent = body("a@example.com");
        sent.as_object_mut().expect("an object").remove(field);
        server.anyone().post("/api/signup/", sent)
    };
    for field in ["first_name", "email", "password"] {
        absent(field).invalid(field, "required", "This field is required.");
        post(field, json!(null)).invalid(field, "null", "This field may not be null.");
        post(field, json!("")).invalid(field, "blank", "This field may not be blank.");
    }
    post("email", json!("nonsense")).invalid("email", "invalid_input", "Enter a valid email address.");
    let max = |chars: usize| format!("Ensure this field has no more than {chars} characters.");
    post("first_name", json!("x".repeat(129))).invalid("first_name", "max_length", &max(128));
    post("last_name", json!("x".repeat(129))).invalid("last_name", "max_length", &max(128));
    post("organization_name", json!("x".repeat(65))).invalid("organization_name", "max_length", &max(64));
    post("role_at_organization", json!("x".repeat(129))).invalid(
        "role_at_organization",
        "max_length",
        &max(128),
    );
    post("referral_source", json!("x".repeat(1001))).invalid("referral_source", "max_length", &max(1000));
    let short = "This password is too short. It must contain at least 8 characters.";
    post("password", json!("x7#Qz")).invalid("password", "password_too_short", short);
    let weak = "Add another word or two. Uncommon words are better.";
    for password in ["12345678", "password1"] {
        post("password", json!(password)).invalid("password", "password_too_weak", weak);
    }
    server.anyone().post("/api/login/", json!({"email": "a@example.com", "password": PASSWORD})).invalid(
        None,
        "invalid_credentials",
        "Invalid email or password.",
    );
    post("last_name", json!("")).json(201);
}

#[test]
fn an_address_is_taken_whatever_its_case() {
    let server = Server::start();
    let taken = "There is already an account with this email address.";
    server.anyone().post("/api/signup/", body("Ada@example.com")).json(201);
    for email in ["Ada@example.com", "ADA@EXAMPLE.COM"] {
        server.anyone().post("/api/signup/", body(email)).invalid("email", "unique", taken);
    }
}

#[test]
fn the_way_back_stays_on_this_site() {
    let server = Server::start();
    for (place, (next, wanted)) in [
        ("/after", "/after"),
        ("//evil.example", "/"),
        ("https://evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/a\\..\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("/\n/evil.example", "/"),
        ("/\r/evil.example", "/"),
        ("/af\u{7f}ter", "/"),
        ("/af\u{85}ter", "/"),
        ("\t//evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("", "/"),
        ("/after?to=//evil.example", "/after?to=//evil.example"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut sent = body(&format!("n{place}@example.com"));
        sent["next_url"] = json!(next);
        assert_eq!(server.anyone().post("/api/signup/", sent).json(201)["redirect_url"], wanted, "{next}");
    }
}

#[test]
fn a_closed_instance_takes_its_first_user_from_this_machine_and_then_nobody() {
    let server = closed();
    server.anyone().post("/api/signup/", body("first@example.com")).json(201);
    let refused = "New organizations cannot be created in this instance. Contact your administrator if you think this is a mistake.";
    server.anyone().post("/api/signup/", body("second@example.com")).denied(refused);
    server.anyone().post("/api/signup/", json!({})).denied(refused);
}

#[test]
fn a_fresh_server_is_not_taken_over_from_afar_without_the_set_up_code() {
    let server = closed();
    let post = |headers: &[(&str, &str)]| {
        let mut all = vec![("content-type", "application/json"), ("x-forwarded-for", "203.0.113.9")];
        all.extend_from_slice(headers);
        server.anyone().send(Method::POST, "/api/signup/", body("a@example.com").to_string(), &all)
    };
    let refused = "The first sign-up must come from this machine, or show the set-up code of the server's log in the header X-Setup-Code.";
    post(&[]).denied(refused);
    post(&[("x-setup-code", "wrong")]).denied(refused);
    post(&[("x-setup-code", &server.app.setup_code)]).json(201);
    let used = "New organizations cannot be created in this instance. Contact your administrator if you think this is a mistake.";
    post(&[("x-setup-code", &server.app.setup_code)]).denied(used);
}

#[test]
fn what_a_proxy_forwarded_is_never_this_machine() {
    let server = Server::with(|config| {
        config.open_signup = false;
        config.trust_proxy = "true".parse().expect("networks");
    });
    let post = |headers: &[(&str, &str)]| {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        server.anyone().send(Method::POST, "/api/signup/", body("a@example.com").to_string(), &all)
    };
    for headers in [
        &[("x-forwarded-for", "203.0.113.9")][..],
        &[("x-forwarded-for", "127.0.0.1")],
        &[("x-forwarded-for", "127.0.0.1, 203.0.113.7")],
        &[("x-forwarded-for", "203.0.113.7, 127.0.0.1")],
        &[("x-forwarded-for", "unknown")],
        &[("x-forwarded-proto", "https")],
        &[("x-forwarded-host", "localhost")],
        &[("forwarded", "for=127.0.0.1")],
        &[("via", "1.1 proxy")],
        &[("x-real-ip", "127.0.0.1")],
        &[("host", "orgd.example.com")],
        &[("host", "127.0.0.1.example.com")],
    ] {
        assert_eq!(post(headers).status, 403, "{headers:?}");
    }
    post(&[("x-forwarded-for", "203.0.113.9"), ("x-setup-code", &server.app.setup_code)]).json(201);
}

#[test]
fn a_proxy_that_says_nothing_of_itself_is_known_by_its_version_of_http() {
    let server = closed();
    let body = body("a@example.com").to_string();
    let post = |version: &str| {
        let mut stream = TcpStream::connect(server.address).expect("the server listens");
        let head = format!(
            "POST /api/signup/ HTTP/{version}\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            server.address,
            body.len(),
        );
        stream.write_all(format!("{head}{body}").as_bytes()).expect("the connection is open");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    assert_eq!(post("1.0"), "403");
    assert_eq!(post("1.1"), "201");
}

#[test]
fn of_many_who_sign_up_with_one_address_one_succeeds() {
    let server = Server::start();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| server.anyone().post("/api/signup/", body("race@example.com")).status))
            .collect();
        tries.into_iter().map(|one| one.join().expect("no panic")).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [201, 400].contains(status)), "{statuses:?}");
}

#[test]
fn of_many_who_want_to_be_first_one_is() {
    let server = closed();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let person = |n: u8| {
            let person: Person = server.anyone();
            move || person.post("/api/signup/", body(&format!("first{n}@example.com"))).status
        };
        let tries: Vec<_> = (0..6).map(|n| scope.spawn(person(n))).collect();
        tries.into_iter().map(|one| one.join().expect("no panic")).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
}
