//! Lists come in pages by limit and offset.

use orgd::api::call::Method;
use orgd::app::Route;
use orgd::app::route::{Needs, ResponseShape};
use serde_json::{Value, json};

use crate::malformed_input::is_callers_fault;
use crate::support::walk::{api_routes, named, only_named_are_uncovered, walk};
use crate::support::{Answer, Org, Person, Server, World};

fn names(page: &Value) -> Vec<String> {
    let rows = page["results"].as_array().expect("results");
    rows.iter().map(|row| row["name"].as_str().expect("a name").to_owned()).collect()
}

fn with_organizations(server: &Server, count: usize) -> Org {
    let org = server.org();
    for number in 1..count {
        org.owner.post("/api/organizations/", json!({"name": format!("O{number}")})).json(201);
    }
    org
}

#[test]
fn the_neighbouring_pages_are_named_with_sorted_parameters() {
    let server = Server::start();
    // A key in the header is the one that counts, whatever the query says.
    let owner = with_organizations(&server, 5).owner;
    let key = owner.key(&["organization:read"]);
    let url = |tail: &str| json!(owner.url(&format!("/api/organizations/{tail}")));
    let page = |tail: &str| key.get(&format!("/api/organizations/{tail}")).json(200);

    let all = page("");
    let keys: Vec<&String> = all.as_object().expect("a page").keys().collect();
    assert_eq!(keys, ["count", "next", "previous", "results"]);
    assert_eq!((&all["count"], &all["next"], &all["previous"]), (&json!(5), &json!(null), &json!(null)));
    assert_eq!(names(&all), ["Acme", "O1", "O2", "O3", "O4"]);

    let first = page("?limit=2&z=%C3%A9%20x&a=1");
    assert_eq!(names(&first), ["Acme", "O1"]);
    assert_eq!(first["previous"], json!(null));
    assert_eq!(first["next"], url("?a=1&limit=2&offset=2&z=%C3%A9+x"));
    let middle = page("?offset=2&limit=2");
    assert_eq!(names(&middle), ["O2", "O3"]);
    assert_eq!((&middle["next"], &middle["previous"]), (&url("?limit=2&offset=4"), &url("?limit=2")));
    let last = page("?offset=3&limit=2");
    assert_eq!((names(&last), &last["next"]), (vec!["O3".into(), "O4".into()], &json!(null)));
    assert_eq!(last["previous"], url("?limit=2&offset=1"));
    let other = page("?limit=2&page=7&personal_api_key=secret");
    assert_eq!(
        other["next"],
        url("?limit=2&offset=2&page=7"),
        "what is no parameter of lists stays, but no key"
    );
    let beyond = page("?offset=9&limit=2");
    assert_eq!((names(&beyond), &beyond["next"]), (vec![], &json!(null)));
    assert_eq!(beyond["previous"], url("?limit=2&offset=7"));
}

#[test]
fn the_path_stays_as_it_was_sent() {
    let server = Server::start();
    let org = with_organizations(&server, 2);
    let next = org.owner.get("/api/organizations?limit=1").json(200)["next"].clone();
    assert_eq!(next, json!(org.owner.url("/api/organizations?limit=1&offset=1")));
}

#[test]
fn unusable_values_fall_back_to_the_defaults() {
    let server = Server::start();
    let owner = with_organizations(&server, 3).owner;
    for odd in
        ["limit=abc", "limit=0", "limit=-1", "limit=", "offset=abc", "offset=-5", "limit=1.5", "offset=1e3"]
    {
        let page = owner.get(&format!("/api/organizations/?{odd}")).json(200);
        assert_eq!((page["count"].as_u64(), names(&page).len()), (Some(3), 3), "{odd}");
    }
    for huge in ["18446744073709551615", "99999999999999999999999999"] {
        owner.get(&format!("/api/organizations/?limit={huge}")).json(200);
        owner.get(&format!("/api/organizations/?offset={huge}&limit={huge}")).json(200);
        owner
            .get(&format!("/api/organizations/@current/members/?order=level&offset={huge}&limit={huge}"))
            .json(200);
        owner.get(&format!("/api/projects/@current/activity/?page={huge}&limit={huge}")).json(200);
    }
}

#[test]
fn the_default_page_has_a_hundred_rows_and_the_largest_a_thousand() {
    let server = Server::start();
    let owner = with_organizations(&server, 103).owner;
    let page = owner.get("/api/organizations/").json(200);
    assert_eq!((&page["count"], names(&page).len()), (&json!(103), 100));
    assert_eq!(page["next"], json!(owner.url("/api/organizations/?limit=100&offset=100")));
    assert_eq!(names(&owner.get("/api/organizations/?limit=1000").json(200)).len(), 103);
    // Who asks for more goes on with pages of the largest size.
    for (limit, used) in [("999", "999"), ("1000", "1000"), ("1001", "1000"), ("100000000", "1000")] {
        let page = owner.get(&format!("/api/organizations/?limit={limit}&offset=1200")).json(200);
        let previous = format!(
            "/api/organizations/?limit={used}&offset={}",
            1200 - used.parse::<u64>().expect("a number")
        );
        assert_eq!(page["previous"], json!(owner.url(&previous)));
    }
}

/// How a list says which part of it is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// `limit` and `offset`; unusable values fall back to the defaults.
    Offset,
    /// `limit` and `page`, from 1 on; unusable values are refused.
    Page,
}

impl Style {
    /// `None` where the answer is no page.
    fn of(answer: &Answer) -> Option<Style> {
        let page: Value = serde_json::from_slice(&answer.body).ok()?;
        page.get("results")?;
        Some(if page.get("total_count").is_some() { Style::Page } else { Style::Offset })
    }

    fn count(self, page: &Value) -> &Value {
        match self {
            Style::Offset => &page["count"],
            Style::Page => &page["total_count"],
        }
    }
}

/// A list with several entries.
struct List<'a> {
    owner: &'a Person,
    path: String,
    style: Style,
    /// The largest page, which is known to hold all.
    all: Vec<Value>,
}

/// Entries that a list needs, so that each edge is another page.
const ENTRIES_MIN: usize = 3;

/// The path of what may be a list, with enough entries where they can be made; `None` where it has no values.
fn fill_list(server: &Server, world: &World, route: &'static Route) -> Option<String> {
    let org = &world.org;
    let path = world.fill(&route.path)?.path();
    let makes = |other: &&Route| other.method == Method::Post && other.path == route.path;
    let post = api_routes().find(makes);
    for _ in 0..ENTRIES_MIN {
        match post {
            Some(post) => {
                let mut body = world.body(post);
                if body.get("user_uuid").is_some() {
                    body["user_uuid"] = json!(org.member(server).uuid);
                }
                org.owner.post(&path, body);
            }
            None if path.ends_with("/members/") => drop(org.member(server)),
            None if path.ends_with("/personal_api_keys/") => drop(org.owner.key(&["*"])),
            None if path == "/api/projects/" => {
                org.owner.patch("/api/users/@me/", json!({"set_current_organization": org.id})).json(200);
                org.owner.post(&org.at("projects/"), json!({"name": "P"})).json(201);
            }
            None => {}
        }
    }
    Some(path)
}

/// Why the list is not covered, if it is not.
fn check_list(server: &Server, route: &'static Route) -> Option<String> {
    let world = World::start(server);
    world.fill_tables(server);
    let Some(path) = fill_list(server, &world, route) else { return Some("a parameter has no value".into()) };
    let answer = world.org.owner.get(&format!("{path}?limit=100"));
    let Some(style) = Style::of(&answer) else {
        let is_declared = matches!(route.responds, ResponseShape::Page(_));
        assert!(!is_declared, "{} gives no page: {}", named(route), answer.text());
        return None;
    };
    let all = answer.value()["results"].as_array().expect("a page has results").clone();
    if all.len() < ENTRIES_MIN {
        return Some(format!("{} entries", all.len()));
    }
    let list = List { owner: &world.org.owner, path, style, all };
    if list.page("limit=1").as_ref().map(|page| style.count(page)) != Some(&json!(list.all.len())) {
        return Some("its count is not that of the whole list".into());
    }
    list.check_edges();
    list.check_unusable_values();
    list.check_walk();
    None
}

impl List<'_> {
    /// A page; `None` where its limits are refused.
    fn page(&self, query: &str) -> Option<Value> {
        let answer = self.owner.get(&format!("{}?{query}", self.path));
        if answer.status == 400 {
            is_callers_fault(&answer, query);
            return None;
        }
        Some(answer.json(200))
    }

    /// Pages of each size from each offset, before, at and after the end of the list.
    fn check_edges(&self) {
        let size = self.all.len() as u64;
        let limits = [1, 2, size - 1, size, size + 1, 1000, 1001, u64::MAX];
        let starts = [0, 1, size - 1, size, size + 1, u64::MAX - 1];
        for (limit, start) in limits.iter().flat_map(|limit| starts.iter().map(move |start| (*limit, *start)))
        {
            let (query, offset) = match self.style {
                Style::Offset => (format!("limit={limit}&offset={start}"), start),
                Style::Page => (format!("limit={limit}&page={}", start + 1), start.saturating_mul(limit)),
            };
            let page = self.page(&query).unwrap_or_else(|| panic!("{}?{query} is refused", self.path));
            let end = offset.saturating_add(limit);
            let is_wanted = |place: &u64| (offset..end).contains(place);
            let wanted = (0..).zip(&self.all).filter(|(place, _)| is_wanted(place));
            let wanted: Vec<&Value> = wanted.map(|(_, entry)| entry).collect();
            let what = format!("{}?{query}", self.path);
            assert_eq!(page["results"], json!(wanted), "{what}");
            assert_eq!(*self.style.count(&page), json!(size), "{what}");
            assert_eq!(page["next"].is_null(), end >= size, "{what}: {}", page["next"]);
            assert_eq!(page["previous"].is_null(), start == 0, "{what}: {}", page["previous"]);
        }
    }

    /// Text, zero, negative and broken numbers.
    fn check_unusable_values(&self) {
        let odd = ["", "abc", "-1", "1.5", "1e3", "%00", "%FF", "%EF%BC%91", "0x1", "null", "1,2", "[]"];
        let names = if self.style == Style::Offset { ["limit", "offset"] } else { ["limit", "page"] };
        for (name, value) in names.iter().flat_map(|name| odd.iter().map(move |value| (name, value))) {
            let page = self.page(&format!("{name}={value}"));
            match self.style {
                Style::Offset => {
                    assert_eq!(page.expect("a page")["results"], json!(self.all), "{name}={value}")
                }
                Style::Page => assert!(page.is_none(), "{}?{name}={value}", self.path),
            }
        }
        let zero = self.page("limit=0");
        assert_eq!(zero.is_none(), self.style == Style::Page, "{}?limit=0", self.path);
    }

    /// Following `next` shows each entry once, in the order of the list.
    fn check_walk(&self) {
        for limit in 1..=self.all.len() + 1 {
            let mut seen = Vec::new();
            let mut next = json!(self.owner.url(&format!("{}?limit={limit}", self.path)));
            while let Some(url) = next.as_str() {
                let path = url.strip_prefix(&self.owner.url("")).expect("an address of this server");
                let page = self.owner.get(path).json(200);
                seen.extend(page["results"].as_array().expect("results").clone());
                next = page["next"].clone();
            }
            assert_eq!(seen, self.all, "{} by {limit}", self.path);
        }
    }
}

#[test]
fn every_list_is_paged_to_its_edges() {
    let may_be_list = |route: &Route| route.method == Method::Get && !matches!(route.needs, Needs::Public);
    let walked = walk("paging", may_be_list, Server::start, |server, route| check_list(server, route));
    only_named_are_uncovered("paging", walked);
}
