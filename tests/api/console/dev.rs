//! Pages of a test server: what was called, what was sent, what goes wrong.

use serde_json::json;
use ureq::http::Method;

use super::{Browses, Fields, hides, shows};
use crate::support::{Answer, Person, Server, text};

#[test]
fn the_pages_show_what_the_control_paths_say() {
    let server = Server::controlled(|_| {});
    let anyone = server.anyone();
    shows(&anyone.page("/dev/requests"), &["Test server", "Nothing called yet", "curl"]);
    shows(&anyone.page("/dev/mail"), &["No mail yet"]);
    shows(&anyone.page("/dev/events"), &["No event yet"]);
    shows(&anyone.page("/dev/faults"), &["Nothing goes wrong"]);
    assert_eq!(anyone.open("/dev").header("location"), "/dev/requests");
    let org = server.org();
    let key = org.owner.key(&["*"]);
    anyone.delete("/_orgd/requests/").no_content();
    anyone.delete("/_orgd/mails/").no_content();
    let rule = json!({"match": {"method": "POST", "path": "/api/organizations/{id}/roles/"}, "times": 1, "answer": {"status": 503}});
    anyone.put("/_orgd/faults/", json!({"faults": [rule]})).json(200);
    key.post(&org.at("roles/"), json!({"name": "<b>It's"}));
    key.post(&org.at("roles/"), json!({"name": "<b>It's"})).json(201);
    anyone.get("/api/nothing/");
    org.invite("grace@example.com", 1);
    let token = text(&org.owner.me()["team"]["api_token"]);
    let event =
        json!({"api_key": token, "event": "signed up", "distinct_id": "ada", "properties": {"a": "<i>"}});
    anyone.post("/e/", event).json(200);
    let page = anyone.page("/dev/requests");
    shows(
        &page,
        &[
            "6 requests, 1 for paths that orgd does not serve",
            "no such path",
            "/roles/",
            "repeats",
            "fault x1",
        ],
    );
    shows(&anyone.page("/dev/requests?row=none"), &["/api/nothing/"]);
    hides(&anyone.page("/dev/requests?row=none"), &["POST /api/organizations"]);
    hides(&anyone.page("/dev/requests?q=roles&method=POST"), &["GET /api/nothing/"]);
    let first = anyone.get("/_orgd/requests/?limit=6").json(200)["requests"][0]["n"].clone();
    let one = anyone.page(&format!("/dev/requests/{first}"));
    shows(&one, &["/roles/", "503", "x1", "application/json", "&lt;b&gt;It's", "curl -X POST", "$ORGD_KEY"]);
    hides(&one, &["<b>It"]);
    shows(&anyone.page("/dev/faults"), &["1 rule, 0 of them never fired", "x1", "roles"]);
    // Once it is there for programs, it is on the page.
    anyone.get("/_orgd/mails/?to=grace@example.com&wait_count=1").json(200);
    let page = anyone.page("/dev/mail");
    shows(&page, &["You are invited to Acme", "grace@example.com"]);
    let path = page.split_once("href=\"/dev/mail/").expect("a mail").1.split_once('"').expect("its end").0;
    shows(&anyone.page(&format!("/dev/mail/{path}")), &["grace@example.com", "/signup/", "Hello"]);
    shows(&anyone.page("/dev/events"), &["1 event", "signed up", "&lt;i&gt;", "ada"]);
    for missing in ["/dev/requests/999999", "/dev/requests/x", "/dev/mail/999999", "/dev/nothing"] {
        assert_eq!(anyone.open(missing).status, 404, "{missing}");
    }
}

#[test]
fn the_pages_are_reached_as_the_control_paths_are_and_on_no_other_server() {
    let server = Server::controlled(|_| {});
    let pages = ["/dev", "/dev/requests", "/dev/mail", "/dev/events", "/dev/faults"];
    for page in pages {
        for (name, value) in [
            ("host", "evil.example"),
            ("origin", "http://evil.example"),
            ("sec-fetch-site", "cross-site"),
            ("x-forwarded-for", "1.2.3.4"),
        ] {
            let refused = server.anyone().send("GET".parse().unwrap(), page, "", &[(name, value)]);
            assert_eq!(refused.status, 403, "{page}: {name}");
        }
        assert_eq!(server.anyone().post(page, json!({})).status, 405, "{page}");
    }
    for other in [Server::start(), Server::controlled(|config| config.console = orgd::config::Switch::Off)] {
        for page in pages {
            assert_eq!(other.anyone().open(page).status, 404, "{page}");
        }
    }
}

/// Sends the form of a page of the test server, as a browser does.
fn send(person: &Person, path: &str, fields: Fields<'_>) -> Answer {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("sec-fetch-site", "same-origin")];
    person.send(Method::POST, path, body, &headers)
}

#[track_caller]
fn done(answer: &Answer, path: &str) {
    assert_eq!((answer.status, answer.header("location").as_str()), (303, path), "{}", answer.text());
}

#[test]
fn the_clock_is_moved_on_its_page() {
    let server = Server::controlled(|_| {});
    let anyone = server.anyone();
    let now = || anyone.get("/_orgd/clock").json(200);
    done(&send(&anyone, "/dev/clock", &[("set", "2026-01-01T00:00:00Z")]), "/dev/clock");
    done(&send(&anyone, "/dev/clock?then=freeze", &[]), "/dev/clock");
    assert_eq!(now()["frozen"], true);
    shows(&anyone.page("/dev/clock"), &["It stands still", "Advance", "Let it run"]);
    done(&send(&anyone, "/dev/clock", &[("set", "2026-01-01T00:00:00Z")]), "/dev/clock");
    let org = server.org();
    org.owner.post(&org.at("proxy_records/"), json!({"domain": "e.example.com"})).json(201);
    let page = send(&anyone, "/dev/clock", &[("advance", "2h")]);
    assert_eq!(page.status, 200, "{}", page.text());
    shows(&page.text(), &["What was due", "proxy_records"]);
    assert_eq!(now(), json!({"now": "2026-01-01T02:00:00Z", "frozen": true}));
    for (fields, words) in [
        (&[("advance", "soon")][..], "A duration of up to 100 years"),
        (&[("set", "<yesterday>")], "A time from 1970"),
        (&[], "is wanted"),
    ] {
        let page = send(&anyone, "/dev/clock", fields);
        assert_eq!(page.status, 422, "{fields:?}: {}", page.text());
        shows(&page.text(), &[words]);
        hides(&page.text(), &["<yesterday>"]);
    }
    assert_eq!(send(&anyone, "/dev/clock", &[("set", "2025-01-01T00:00:00Z")]).status, 409);
    assert_eq!(now()["now"], "2026-01-01T02:00:00Z");
    done(&send(&anyone, "/dev/clock?then=run", &[]), "/dev/clock");
    assert_eq!(now()["frozen"], false);
}

#[test]
fn rules_snapshots_and_forks_are_handled_on_their_pages() {
    let server = Server::controlled(|_| {});
    let anyone = server.anyone();
    let rule = json!({"match": {"path": "/api/projects/"}, "reset": true});
    anyone.put("/_orgd/faults/", json!({"faults": [rule, rule, rule]})).json(200);
    shows(&anyone.page("/dev/faults"), &["/dev/faults/x2/remove", "Remove all rules"]);
    done(&send(&anyone, "/dev/faults/x2/remove", &[]), "/dev/faults");
    assert_eq!(send(&anyone, "/dev/faults/x2/remove", &[]).status, 404);
    assert_eq!(anyone.get("/_orgd/faults/").json(200)["faults"].as_array().map(Vec::len), Some(2));
    done(&send(&anyone, "/dev/faults/all/remove", &[]), "/dev/faults");
    assert_eq!(anyone.get("/_orgd/faults/").json(200), json!({"faults": []}));
    done(&send(&anyone, "/dev/data", &[("name", "seeded")]), "/dev/data");
    let org = server.org();
    done(&send(&anyone, "/dev/data/fork", &[]), "/dev/data");
    shows(&anyone.page("/dev/data"), &["2 snapshots, 1 fork", "This is <code>main", "seeded", "f1"]);
    for name in ["", "a b", "start", "<i>"] {
        let page = send(&anyone, "/dev/data", &[("name", name)]);
        assert_eq!(page.status, 422, "{name}: {}", page.text());
        hides(&page.text(), &["<i>"]);
    }
    done(&send(&anyone, "/dev/data/reset/seeded", &[]), "/dev/data");
    assert_eq!(org.owner.get("/api/users/@me/").status, 401);
    done(&send(&anyone, "/dev/data/forks/f1/delete", &[]), "/dev/data");
    done(&send(&anyone, "/dev/data/snapshots/seeded/delete", &[]), "/dev/data");
    for missing in ["reset/seeded", "forks/f1/delete", "snapshots/seeded/delete"] {
        assert_eq!(send(&anyone, &format!("/dev/data/{missing}"), &[]).status, 404, "{missing}");
    }
    let file = Server::open(
        orgd::store::Storage::Backend(Box::new(redb::backends::InMemoryBackend::new())),
        |config| config.testing.test = true,
    );
    shows(&file.anyone().page("/dev/data"), &["--in-memory"]);
    assert_eq!(send(&file.anyone(), "/dev/data/fork", &[]).status, 409);
}

#[test]
fn only_a_page_of_this_server_sends_its_forms() {
    let server = Server::controlled(|_| {});
    let anyone = server.anyone();
    let form = ("content-type", "application/x-www-form-urlencoded");
    let own = format!("http://{}", server.address);
    let paths =
        ["/dev/clock?then=freeze", "/dev/faults/all/remove", "/dev/data/fork", "/dev/data/reset/start"];
    for (headers, status) in [
        (vec![form], 403),
        (vec![form, ("sec-fetch-site", "none")], 403),
        (vec![form, ("sec-fetch-site", "same-site")], 403),
        (vec![form, ("sec-fetch-site", "cross-site")], 403),
        (vec![form, ("origin", "null")], 403),
        (vec![form, ("origin", "http://evil.example")], 403),
        (vec![form, ("sec-fetch-site", "same-origin"), ("origin", "http://evil.example")], 403),
        (vec![form, ("origin", &own), ("x-forwarded-for", "10.0.0.1")], 403),
        (vec![("content-type", "application/json"), ("origin", &own)], 415),
        (vec![("content-type", "text/plain"), ("origin", &own)], 415),
        (vec![form, ("origin", &own)], 303),
    ] {
        for path in paths {
            let answer = anyone.send(Method::POST, path, "", &headers);
            assert_eq!(answer.status, status, "{path} {headers:?}: {}", answer.text());
        }
        if status != 303 {
            assert_eq!(anyone.get("/_orgd/clock").json(200)["frozen"], false, "{headers:?}");
            assert_eq!(anyone.get("/_orgd/forks/").json(200), json!({"forks": []}), "{headers:?}");
        }
    }
    for path in ["/dev/clock", "/dev/data"] {
        assert_eq!(anyone.send(Method::GET, path, "", &[("host", "evil.example")]).status, 403, "{path}");
        assert_eq!(Server::start().anyone().open(path).status, 404, "{path}");
    }
    // What programs use takes no form still.
    let answer = anyone.send(Method::POST, "/_orgd/reset", "", &[form, ("origin", &own)]);
    assert_eq!(answer.status, 415);
}

#[test]
fn a_seed_is_made_on_its_page_whole_or_not_at_all() {
    let seed = |slug: &str| {
        format!(
            "orgd: 1\norganizations:\n  - slug: {slug}\n    name: Acme\n    members: [{{email: ada@example.com, level: owner}}]\n\
             users: [{{email: ada@example.com, keys: [{{label: {slug}, value: phx_for_tests_only_{slug}, scopes: ['*']}}]}}]\n"
        )
    };
    let file = Server::open(
        orgd::store::Storage::Backend(Box::new(redb::backends::InMemoryBackend::new())),
        |config| config.testing.test = true,
    );
    for server in [Server::controlled(|_| {}), file] {
        let (org, anyone) = (server.org(), server.anyone());
        shows(&anyone.page("/dev/data"), &["Seed", "Make what it says"]);
        done(&send(&anyone, "/dev/data", &[("seed", &seed("acme"))]), "/dev/data");
        let ada = anyone.holding("phx_for_tests_only_acme");
        assert_eq!(ada.get("/api/organizations/acme/").json(200)["name"], "Acme");
        org.owner.get(&org.at("")).json(200);
        // The same once more changes nothing, and a second one comes beside the first.
        done(&send(&anyone, "/dev/data", &[("seed", &seed("acme"))]), "/dev/data");
        done(&send(&anyone, "/dev/data", &[("seed", &seed("globex"))]), "/dev/data");
        let before = server.rows();
        let wrong = [
            (format!("{}clock: now\n", seed("other")), "only a server that starts"),
            (format!("{}faults: []\n", seed("other")), "only a server that starts"),
            (seed("other").replace("level: owner", "level: <king>"), "a level is wanted"),
            (seed("other").replace("name: Acme", "nmae: Acme"), "there is no `nmae`"),
            (
                seed("other").replace("ada@example.com, level", "nobody@example.com, level"),
                "a new organization needs",
            ),
            ("organizations: [".to_owned(), "this cannot be read"),
            // What the machine holds is nobody's who sends a seed.
            (seed("other").replace("phx_for_tests_only_other", "{file: /etc/hostname}"), "which is not set"),
            (seed("other").replace("phx_for_tests_only_other", "{env: PATH}"), "which is not set"),
        ];
        for (text, words) in wrong {
            let page = send(&anyone, "/dev/data", &[("seed", &text)]);
            assert_eq!(page.status, 422, "{text}: {}", page.text());
            shows(&page.text(), &[words]);
            hides(&page.text(), &["<king>"]);
            assert!(server.rows() == before, "{text} was refused, and changes something");
        }
    }
}
