//! Pages of other sites: what browsers say of them, and what they get.

use orgd::api::Method as Verb;
use orgd::resources::registry;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::support::{Answer, PASSWORD, Server, Shows};

const FOREIGN: &str =
    "CSRF Failed: Origin checking failed - https://evil.example does not match any trusted origins.";
const OF_ANOTHER: &str =
    "CSRF Failed: Origin checking failed - another site does not match any trusted origins.";

fn cookies(answer: &Answer) -> Vec<String> {
    let all = answer.headers.get_all("set-cookie").iter();
    all.map(|value| value.to_str().expect("text").to_owned()).collect()
}

#[test]
fn no_unsafe_row_can_be_called_from_another_site_with_cookies_or_to_get_some() {
    let server = Server::start();
    let org = server.org();
    let rows: Vec<_> =
        registry::routes().into_iter().filter(|row| row.method != Verb::Get && !row.is_ingest()).collect();
    assert!(rows.len() > 90, "{}", rows.len());
    for row in rows {
        let path: Vec<&str> =
            row.path.split('/').map(|part| if part.starts_with('{') { "@me" } else { part }).collect();
        let (path, verb) = (path.join("/"), row.method.name());
        let send = |headers: &[(&str, &str)]| {
            let method: Method = verb.parse().expect("a method");
            org.owner.send(method, &path, "", headers)
        };
        send(&[("origin", "https://evil.example")]).denied(FOREIGN);
        send(&[("sec-fetch-site", "cross-site")]).denied(OF_ANOTHER);
    }
    org.owner.me();
}

#[test]
fn what_browsers_say_of_a_page_decides() {
    let server = Server::start();
    let org = server.org();
    let own = format!("http://{}", server.address);
    let https = format!("https://{}", server.address);
    let sibling = format!("http://sub.{}", server.address);
    let port = format!("http://{}:1", server.address.ip());
    for (headers, is_own) in [
        (vec![], true),
        (vec![("origin", own.as_str())], true),
        (vec![("origin", &https)], true),
        (vec![("sec-fetch-site", "same-origin")], true),
        (vec![("sec-fetch-site", "none")], true),
        (vec![("sec-fetch-site", "same-origin"), ("origin", &own)], true),
        (vec![("origin", &sibling)], false),
        (vec![("origin", &port)], false),
        (vec![("origin", "null")], false),
        (vec![("origin", "")], false),
        (vec![("sec-fetch-site", "same-site")], false),
        (vec![("sec-fetch-site", "cross-site")], false),
        (vec![("sec-fetch-site", "odd")], false),
        (vec![("sec-fetch-site", "cross-site"), ("origin", &own)], false),
    ] {
        let mut sent = headers.clone();
        sent.push(("content-type", "application/json"));
        let log_in = json!({"email": org.owner.email, "password": PASSWORD}).to_string();
        let logged_in = server.anyone().send(Method::POST, "/api/login/", log_in, &sent);
        let changed = org.owner.send(Method::PATCH, "/api/users/@me/", r#"{"last_name": "L"}"#, &sent);
        let wanted = if is_own { 200 } else { 403 };
        assert_eq!((logged_in.status, changed.status), (wanted, wanted), "{headers:?}");
        assert_eq!(cookies(&logged_in).is_empty(), !is_own, "{headers:?}");
        // Reading is safe, and a key is no cookie.
        assert_eq!(org.owner.send(Method::GET, "/api/users/@me/", "", &sent).status, 200);
    }
    let key = org.owner.key(&["*"]);
    let headers = [
        ("content-type", "application/json"),
        ("origin", "https://evil.example"),
        ("sec-fetch-site", "cross-site"),
    ];
    key.send(Method::PATCH, "/api/users/@me/", r#"{"last_name": "K"}"#, &headers).json(200);
    assert_eq!(org.owner.me()["last_name"], "K");
}

#[test]
fn the_site_s_own_pages_may_call_where_it_is_known_by_another_address() {
    let server = Server::with(|config| config.site_url = Some("https://org.example".into()));
    let org = server.org();
    let log_in = |origin: &str| {
        let body = json!({"email": org.owner.email, "password": PASSWORD}).to_string();
        server.anyone().send(
            Method::POST,
            "/api/login/",
            body,
            &[("content-type", "application/json"), ("origin", origin)],
        )
    };
    log_in("https://org.example").json(200);
    for foreign in ["http://org.example", "https://a.org.example", "https://org.example.evil.example"] {
        assert_eq!(log_in(foreign).status, 403, "{foreign}");
    }
}

#[test]
fn forms_of_other_sites_log_nobody_in() {
    let server = Server::start();
    let owner = server.org().owner;
    let form = format!("email={}&password={PASSWORD}", owner.email);
    let multipart = format!(
        "--x\r\ncontent-disposition: form-data; name=\"email\"\r\n\r\n{}\r\n--x\r\ncontent-disposition: form-data; name=\"password\"\r\n\r\n{PASSWORD}\r\n--x--\r\n",
        owner.email
    );
    for (media, body) in [
        ("application/x-www-form-urlencoded", form),
        ("multipart/form-data; boundary=x", multipart),
        ("text/plain", json!({"email": owner.email, "password": PASSWORD, "x": "="}).to_string()),
    ] {
        let send = |headers: &[(&str, &str)]| {
            server.anyone().send(Method::POST, "/api/login/", body.clone(), headers)
        };
        let refused = send(&[("content-type", media), ("origin", "https://evil.example")]);
        // What cannot be read is not even judged.
        if media == "text/plain" {
            assert_eq!(refused.status, 415);
        } else {
            refused.denied(FOREIGN);
        }
        assert!(cookies(&refused).is_empty());
        // Without a word of another site, forms are as good as JSON.
        assert_eq!(send(&[("content-type", media)]).status == 200, media != "text/plain", "{media}");
    }
}

#[test]
fn a_page_cannot_make_itself_the_first_owner() {
    let server = Server::with(|config| config.open_signup = false);
    let body = json!({"first_name": "Eve", "email": "eve@example.com", "password": PASSWORD}).to_string();
    let json = ("content-type", "application/json");
    let sign_up = |headers: &[(&str, &str)], body: &str| {
        server.anyone().send(Method::POST, "/api/signup/", body, headers)
    };
    sign_up(&[json, ("origin", "https://evil.example")], &body).denied(FOREIGN);
    sign_up(&[json, ("sec-fetch-site", "same-site")], &body).denied(OF_ANOTHER);
    let form = format!("first_name=Eve&email=eve@example.com&password={PASSWORD}");
    let media = ("content-type", "application/x-www-form-urlencoded");
    sign_up(&[media, ("origin", "https://evil.example")], &form).denied(FOREIGN);
    // A name that was made to lead here: the browser takes it for the page's own site.
    for host in ["evil.example", "localhost.evil.example:8010", "127.0.0.1.evil.example"] {
        let origin = format!("http://{host}");
        let rebound = [json, ("host", host), ("origin", &origin), ("sec-fetch-site", "same-origin")];
        let refused = sign_up(&rebound, &body);
        assert_eq!(refused.status, 403, "{host}");
        assert!(refused.text().contains("must come from this machine"), "{}", refused.text());
    }
    sign_up(&[json, ("host", "localhost:8010"), ("origin", "http://localhost:8010")], &body).json(201);
}

#[test]
fn a_csrf_token_belongs_to_its_session() {
    let server = Server::start();
    let owner = server.org().owner;
    let Shows::Session { id, csrf } = owner.shows.clone() else { unreachable!("the founder has a session") };
    let Shows::Session { csrf: of_another, .. } = owner.logged_in().shows else {
        unreachable!("a new session")
    };
    assert_ne!(csrf, of_another);
    let key = json!({"label": "x", "scopes": ["*"]});
    let send = |cookie: &str, repeated: &str| {
        let cookies = format!("sessionid={id}; posthog_csrftoken={cookie}");
        let headers =
            [("cookie", cookies.as_str()), ("content-type", "application/json"), ("x-csrftoken", repeated)];
        owner.without().send(Method::POST, "/api/personal_api_keys/", key.to_string(), &headers)
    };
    for made_up in ["x", "", &"x".repeat(csrf.len()), &csrf.to_uppercase(), &of_another] {
        let refused = send(made_up, made_up);
        assert_eq!(refused.status, 403, "{made_up:?}: {}", refused.text());
    }
    let cookies = format!("sessionid={id}; posthog_csrftoken=");
    let headers = [("cookie", cookies.as_str()), ("content-type", "application/x-www-form-urlencoded")];
    let form = "label=x&scopes=*&csrfmiddlewaretoken=";
    assert_eq!(owner.without().send(Method::POST, "/api/personal_api_keys/", form, &headers).status, 403);
    assert_eq!(owner.get("/api/personal_api_keys/").json(200), json!([]));
    send(&csrf, &csrf).json(201);
}

#[test]
fn cookies_are_set_and_cleared_alike_and_by_tls_only_where_the_site_has_it() {
    for (site, names, secure) in [
        (None, vec!["sessionid", "posthog_csrftoken"], false),
        (Some("http://org.example"), vec!["sessionid", "posthog_csrftoken"], false),
        (Some("https://org.example"), vec!["__Host-sessionid", "sessionid", "posthog_csrftoken"], true),
    ] {
        let server = Server::with(|config| config.site_url = site.map(str::to_owned));
        let owner = server.org().owner;
        let body = json!({"email": owner.email, "password": PASSWORD});
        let set = owner.without().post("/api/login/", body);
        let left = owner.with_cookies_of(&set);
        let cleared = [left.post("/api/logout/", json!({})), left.without().post("/logout", json!({}))];
        for (answer, is_set) in [(&set, true), (&cleared[0], false), (&cleared[1], false)] {
            let cookies = cookies(answer);
            let seen: Vec<&str> =
                cookies.iter().filter_map(|cookie| Some(cookie.split_once('=')?.0)).collect();
            assert_eq!(seen, names);
            for cookie in &cookies {
                let (name, rest) = cookie.split_once('=').expect("a name");
                assert_eq!(rest.contains("; Secure"), secure, "{cookie}");
                assert_eq!(rest.contains("HttpOnly"), name.ends_with("sessionid"), "{cookie}");
                assert!(
                    rest.contains("; Path=/") && rest.contains("; SameSite=Lax") && !rest.contains("Domain"),
                    "{cookie}"
                );
                assert_eq!(rest.starts_with(';'), !is_set, "{cookie}");
                assert!(rest.contains(if is_set { "Max-Age=1209600" } else { "Max-Age=0" }), "{cookie}");
            }
        }
    }
}

#[test]
fn the_cookie_that_no_other_site_can_set_is_believed_first() {
    let server = Server::start();
    let (owner, other) = (server.org().owner, server.org().owner);
    let token = |shows: &Shows| match shows {
        Shows::Session { id, .. } => id.clone(),
        _ => unreachable!("both have sessions"),
    };
    let cookies = format!("sessionid={}; __Host-sessionid={}", token(&other.shows), token(&owner.shows));
    let me: Value =
        owner.without().send(Method::GET, "/api/users/@me/", "", &[("cookie", &cookies)]).json(200);
    assert_eq!(me["email"], json!(owner.email));
}

#[test]
fn where_the_site_has_tls_a_browser_is_believed_that_cookie_only() {
    let server = Server::with(|config| config.site_url = Some("https://orgd.example.com".to_owned()));
    let owner = server.org().owner;
    let Shows::Session { id, .. } = &owner.shows else { unreachable!("a session") };
    let status = |cookie: &str, headers: &[(&str, &str)]| {
        let mut all = vec![("cookie", cookie)];
        all.extend_from_slice(headers);
        owner.without().send(Method::GET, "/api/users/@me/", "", &all).status
    };
    let browser = [("sec-fetch-site", "same-origin")];
    let (plain, own) = (format!("sessionid={id}"), format!("__Host-sessionid={id}"));
    assert_eq!([status(&plain, &browser), status(&own, &browser)], [401, 200]);
    assert_eq!([status(&plain, &[]), status(&own, &[])], [200, 200]);
}
