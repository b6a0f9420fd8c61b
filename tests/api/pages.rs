//! Every page of the route table: that it is reached from another one, who sees it, what it must have, and that its
//! form is sent from nowhere else.
//!
//! `pages.txt` holds who gets which answer, `uncovered.txt` names the pages that no other page leads to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use orgd::api::call::Method as RouteMethod;
use orgd::app::Route;
use orgd::routes;
use serde_json::json;
use ureq::http::Method;

use crate::console::Browses;
use crate::support::walk::{compare, named, only_these_are_uncovered};
use crate::support::{Answer, Org, Person, Server, Shows, World, text};

/// What people may call things: text of every awkward kind.
const HOSTILE: &str = "<script>alert(1)</script>\"'&amp; \u{5e9}\u{5dc}\u{5d5}\u{5dd}";
const PAGE_BYTES_MAX: usize = 60 * 1024;

/// A server with an operator, and an organization with one of everything and somebody of each level.
struct Site {
    server: Server,
    operator: Person,
    world: World,
    admin: Person,
    stranger: Person,
    /// The token of an open invite.
    invite: String,
}

impl Site {
    fn start() -> Site {
        let server = Server::start();
        // The first user of a server is its operator.
        let operator = server.org().owner;
        let world = World::start(&server);
        world.fill_tables(&server);
        let admin = server.stranger();
        let admin = admin.accept(&world.org.token(&admin.email, 8));
        let stranger = server.org().owner;
        let invite = world.org.token("newcomer@example.com", 1);
        // Another session and a key, for the lists of the owner's own.
        world.org.owner.logged_in().key(&["*"]);
        for path in ["", "projects/@current/"] {
            world.org.owner.patch(&world.org.at(path), json!({"name": HOSTILE}));
        }
        Site { server, operator, world, admin, stranger, invite }
    }

    fn owner(&self) -> &Person {
        &self.world.org.owner
    }

    fn callers(&self) -> [(&'static str, Person); 6] {
        [
            ("anonymous", self.server.anyone()),
            ("stranger", self.stranger.clone()),
            ("member", self.world.member.clone()),
            ("admin", self.admin.clone()),
            ("owner", self.owner().clone()),
            ("operator", self.operator.clone()),
        ]
    }
}

fn pages() -> impl Iterator<Item = &'static Route> {
    routes::table().routes().filter(|route| route.is_page())
}

/// The page of a path, by the path that the table has for it.
fn pattern(path: &str) -> Option<&'static str> {
    let (node, _) = routes::table().find(path)?;
    node.is_page().then(|| node.name())
}

/// The paths that a page links or sends a form to.
fn ways(page: &str) -> Vec<String> {
    let after = |mark: &'static str| {
        page.split(mark)
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .filter(|path| path.starts_with('/'))
    };
    let all = after(" href=\"").chain(after(" action=\""));
    all.map(|path| path.split(['?', '#']).next().unwrap_or_default().replace("&amp;", "&")).collect()
}

fn is_below(home: &str, path: &str) -> bool {
    path.strip_prefix(home).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// An example of each page that can be reached from the first ones, by pattern.
fn crawl(site: &Site) -> BTreeMap<&'static str, String> {
    // What a page links to differs from one thing to the next.
    const EXAMPLES_MAX: usize = 3;
    let mut found: BTreeMap<&'static str, String> = BTreeMap::new();
    let mut visited: BTreeMap<&'static str, usize> = BTreeMap::new();
    let home = format!("/organization/{}", site.world.org.id);
    let slug = text(&site.owner().get(&site.world.org.at("")).json(200)["slug"]);
    let homes = [home.clone(), format!("/organization/{slug}")];
    let starts = [
        (site.server.anyone(), vec!["/login".to_owned(), format!("/signup/{}", site.invite)]),
        (site.owner().clone(), vec![home, format!("/project/{}", site.world.org.project)]),
        (
            site.operator.clone(),
            vec!["/instance/status".to_owned(), format!("/instance/users/{}", site.operator.uuid)],
        ),
    ];
    for (person, starts) in starts {
        let mut seen: BTreeSet<String> = BTreeSet::new();
        let mut next = starts;
        while let Some(path) = next.pop() {
            let Some(pattern) = pattern(&path) else { continue };
            let visits = visited.entry(pattern).or_insert(0);
            if !seen.insert(path.clone()) || *visits >= EXAMPLES_MAX {
                continue;
            }
            *visits += 1;
            // What another organization's pages are like is no news.
            if pattern.starts_with("/organization/{") && !homes.iter().any(|home| is_below(home, &path)) {
                continue;
            }
            let answer = person.open(&path);
            found.entry(pattern).or_insert(path);
            next.extend(ways(&answer.text()));
            next.extend(Some(header(&answer, "location")).filter(|path| path.starts_with('/')));
        }
    }
    for route in pages().filter(|route| !route.path.contains('{')) {
        found.entry(&route.path).or_insert_with(|| route.path.clone());
    }
    found
}

#[test]
fn every_page_is_reached_and_shows_itself_to_whom_it_is_for() {
    let site = Site::start();
    let found = crawl(&site);
    let all: BTreeSet<String> = pages().map(|route| route.path.clone()).collect();
    let unreached = all.iter().filter(|path| !found.contains_key(path.as_str())).cloned().collect();
    only_these_are_uncovered("pages", &unreached);
    let callers = site.callers();
    let mut table = format!("{:<74}", "");
    for (name, _) in &callers {
        let _ = write!(table, "{name:>11}");
    }
    table.push('\n');
    for (pattern, path) in &found {
        let _ = write!(table, "GET  {pattern:<69}");
        for (name, person) in &callers {
            let answer = person.open(path);
            judge(pattern, name, &answer);
            let _ = write!(table, "{:>11}", answer.status);
        }
        table.push('\n');
    }
    compare("pages.txt", &table);
}

/// A header; empty where there is none.
fn header(answer: &Answer, name: &str) -> String {
    answer.headers(name).into_iter().next().unwrap_or_default()
}

/// What must hold for every page, whatever the table says.
fn judge(pattern: &str, caller: &str, answer: &Answer) {
    let what = format!("{pattern} for {caller}");
    assert!(answer.status < 500, "{what}: {}", answer.text());
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                  form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
    if header(answer, "content-type").starts_with("text/html") {
        for (name, value) in [
            ("content-security-policy", policy),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("permissions-policy", "camera=(), microphone=(), geolocation=()"),
            ("cache-control", "no-store"),
            ("referrer-policy", "same-origin"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(header(answer, name), value, "{what}: {name}");
        }
    }
    if answer.status != 200 || !header(answer, "content-type").starts_with("text/html") {
        return;
    }
    let page = answer.text();
    assert!(page.len() <= PAGE_BYTES_MAX, "{what} is {} bytes long", page.len());
    assert!(!page.contains("<script>"), "{what} repeats what somebody called a thing");
    assert!(!page.contains(" style=\"") && !page.contains("<else"), "{what}");
    assert_eq!(page.matches("<h1").count(), 1, "{what} has one heading");
}

/// Sends an empty form as a browser would, but for what `headers` say.
fn send(person: &Person, path: &str, form: &str, headers: &[(&str, &str)]) -> Answer {
    let cookie = match &person.shows {
        Shows::Session { id, csrf } => format!("sessionid={id}; posthog_csrftoken={csrf}"),
        _ => String::new(),
    };
    let mut all = vec![("content-type", "application/x-www-form-urlencoded"), ("cookie", cookie.as_str())];
    all.extend_from_slice(headers);
    person.without().send(Method::POST, path, form, &all)
}

#[test]
fn a_form_is_taken_from_its_own_page_only() {
    let site = Site::start();
    let found = crawl(&site);
    let key = site.owner().key(&["*"]);
    let Shows::Key(value) = &key.shows else { panic!("a key") };
    let Shows::Session { csrf, .. } = &site.owner().shows else { panic!("a session") };
    let right = format!("csrfmiddlewaretoken={csrf}");
    let before = entries(&site.world.org);
    let mut sent = 0;
    for route in pages().filter(|route| route.method == RouteMethod::Post) {
        let Some(path) = found.get(route.path.as_str()) else { continue };
        let what = named(route);
        let owner = site.owner();
        for (form, headers, why) in [
            (right.as_str(), &[][..], "no sign of where it comes from"),
            (&right, &[("origin", "http://evil.example")], "another origin"),
            (&right, &[("sec-fetch-site", "cross-site")], "another site"),
            (&right, &[("sec-fetch-site", "same-site")], "a neighbour"),
            (&right, &[("sec-fetch-site", "none")], "the address bar"),
        ] {
            assert_eq!(send(owner, path, form, headers).status, 403, "{what}: {why}");
            sent += 1;
        }
        let own = [("sec-fetch-site", "same-origin")];
        for form in ["", "csrfmiddlewaretoken=", "csrfmiddlewaretoken=00000000000000000000000000000000"] {
            assert_eq!(send(owner, path, form, &own).status, 403, "{what}: without the token");
            sent += 1;
        }
        // A key opens no page.
        if route.needs != orgd::app::route::Needs::Public {
            let bearer = format!("Bearer {value}");
            let by_key = [("sec-fetch-site", "same-origin"), ("authorization", bearer.as_str())];
            let answer = send(&owner.without(), path, "", &by_key);
            assert_eq!(answer.status, 303, "{what}: by key");
            assert!(answer.header("location").starts_with("/login"), "{what}: by key");
        }
    }
    assert!(sent > 100, "only {sent} were sent");
    assert_eq!(entries(&site.world.org), before, "nothing has changed");
}

#[test]
fn what_somebody_may_not_do_their_form_does_not_do_either() {
    let mut site = Site::start();
    let mut found = crawl(&site);
    let mut table = format!("{:<74}{:>11}{:>11}\n", "", "stranger", "member");
    let mut refused = 0;
    for route in pages().filter(|route| route.method == RouteMethod::Post && route.within.is_somewhere()) {
        let Some(path) = found.get(route.path.as_str()).cloned() else { continue };
        let before = site.server.rows();
        let mut statuses = Vec::new();
        for person in [&site.stranger, &site.world.member] {
            let Shows::Session { csrf, .. } = &person.shows else { panic!("a session") };
            let form = format!("csrfmiddlewaretoken={csrf}");
            let answer = send(person, &path, &form, &[("sec-fetch-site", "same-origin")]);
            if answer.status >= 400 {
                assert!(
                    site.server.rows() == before,
                    "{}: {} changed something",
                    named(route),
                    answer.status
                );
                refused += 1;
            }
            statuses.push(answer.status);
        }
        assert!([403, 404].contains(&statuses[0]), "{} for a stranger: {}", named(route), statuses[0]);
        let _ = writeln!(table, "POST {:<69}{:>11}{:>11}", route.path, statuses[0], statuses[1]);
        if statuses[1] < 400 {
            site = Site::start();
            found = crawl(&site);
        }
    }
    assert!(refused > 40, "only {refused} were refused");
    compare("pages_forms.txt", &table);
}

/// How many entries the audit log of the organization has, but for log-ins and keys of its people.
fn entries(org: &Org) -> u64 {
    org.owner.get(&org.at("advanced_activity_logs/?page=1")).json(200)["count"].as_u64().expect("a number")
}

#[test]
fn without_the_console_there_are_no_pages() {
    let server = Server::with(|config| config.console = orgd::config::Switch::Off);
    let anyone = server.anyone();
    for path in ["/login", "/setup", "/settings/profile", "/organization/@current"] {
        assert_eq!(anyone.open(path).status, 404, "{path}");
    }
    let welcome = anyone.open("/");
    assert_eq!(welcome.status, 200);
    assert!(welcome.text().contains("orgd"));
}

#[test]
fn a_path_that_names_nothing_is_a_page_for_people_and_json_for_programs() {
    let server = Server::start();
    let page = server.anyone().open("/no-such-page");
    assert_eq!((page.status, page.header("content-type").as_str()), (404, "text/html; charset=utf-8"));
    assert!(page.text().contains("Nothing is here"));
    for path in ["/no-such-page", "/api/no-such-path/"] {
        let answer = server.anyone().get(path);
        assert_eq!(
            (answer.status, answer.header("content-type").as_str()),
            (404, "application/json"),
            "{path}"
        );
    }
    assert_eq!(server.anyone().open("/api/no-such-path/").header("content-type"), "application/json");
}
