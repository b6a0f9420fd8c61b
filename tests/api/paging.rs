//! Lists come in pages by limit and offset.

use serde_json::{Value, json};

use crate::support::{Org, Server};

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
    let behind = page("?offset=9&limit=2");
    assert_eq!((names(&behind), &behind["next"]), (vec![], &json!(null)));
    assert_eq!(behind["previous"], url("?limit=2&offset=7"));
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

/// Every way of walking a list shows each row once, in one order.
#[test]
fn walking_the_pages_shows_every_row_once() {
    let server = Server::start();
    let org = with_organizations(&server, 7);
    for number in 0..7 {
        org.invite(&format!("i{number}@example.com"), 1);
        org.owner.post(&org.at("projects/"), json!({"name": format!("P{number}")})).json(201);
        org.member(&server);
    }
    for list in
        ["/api/organizations/".to_owned(), org.at("invites/"), org.at("projects/"), org.at("members/")]
    {
        let all = org.owner.get(&list).results();
        for limit in 1..=9 {
            let mut seen = Vec::new();
            let mut next = json!(org.owner.url(&format!("{list}?limit={limit}")));
            while let Some(url) = next.as_str() {
                let path = url.strip_prefix(&org.owner.url("")).expect("an address of this server");
                let page = org.owner.get(path).json(200);
                seen.extend(page["results"].as_array().expect("results").clone());
                next = page["next"].clone();
            }
            assert_eq!(seen, all, "{list} by {limit}");
        }
    }
}
