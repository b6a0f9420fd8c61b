//! The audit log: who reads which part of it, how it is filtered, walked and exported.

use orgd::app::Route;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::support::walk::{only_named_are_uncovered, walk};
use crate::support::{Org, Person, Server, World, text};

const TEAM: &str = "advanced_activity_logs/?scopes=Team";

fn rename(person: &Person, org: &Org, name: &str) {
    let body = json!({"name": name}).to_string();
    let headers = [("content-type", "application/json"), ("x-posthog-client", "console")];
    person.send(Method::PATCH, &org.project_at(""), body, &headers).json(200);
}

fn ids(entries: &[Value]) -> Vec<String> {
    entries.iter().map(|entry| text(&entry["id"])).collect()
}

/// The path of a link, below the server.
fn path(link: &Value) -> String {
    let link = text(link);
    link[link.find("/api/").expect("a path of the API")..].to_owned()
}

#[test]
fn an_entry_says_who_did_what_from_where_and_with_which_key() {
    let server = Server::start();
    let org = server.org();
    let key = org.owner.key(&["project:write"]);
    let known = org.owner.get("/api/personal_api_keys/").json(200)[0].clone();
    rename(&key, &org, "Renamed");
    let mut entry = org.owner.get(&org.at(TEAM)).results().remove(0);
    let request_id = entry["request_id"].take();
    assert!(entry["id"].take().is_string() && entry["created_at"].take().is_string());
    assert!(text(&request_id).len() > 8, "{request_id}");
    assert_eq!(entry["user"].take()["uuid"], json!(org.owner.uuid));
    assert_eq!(
        entry,
        json!({
            "id": null,
            "user": null,
            "unread": false,
            "team_id": org.project,
            "organization_id": org.id,
            "was_impersonated": false,
            "is_system": false,
            "client": "console",
            "ip_address": "127.0.0.1",
            "key": {"id": known["id"], "mask": known["mask_value"]},
            "request_id": null,
            "activity": "updated",
            "item_id": org.project.to_string(),
            "scope": "Team",
            "detail": {
                "changes": [{"type": "Team", "action": "changed", "field": "name", "before": "Default project", "after": "Renamed"}],
                "context": null,
                "name": "Renamed",
                "short_id": null,
                "trigger": null,
                "type": null,
            },
            "created_at": null,
        })
    );
}

#[test]
fn an_organization_is_read_by_its_administrators_and_a_project_by_those_who_see_it() {
    let server = Server::start();
    let org = server.org();
    let (member, admin, stranger) = (org.member(&server), org.admin(&server), server.stranger());
    let of_project = format!("/api/projects/{}/advanced_activity_logs/", org.project);
    for tail in ["", "available_filters/"] {
        let path = org.at(&format!("advanced_activity_logs/{tail}"));
        admin.get(&path).json(200);
        org.owner.get(&path).json(200);
        member
            .get(&path)
            .denied("Only organization admins and owners can view organization-wide activity logs.");
        assert_eq!(stranger.get(&path).status, 403);
        member.get(&format!("{of_project}{tail}")).json(200);
        assert_eq!(stranger.get(&format!("{of_project}{tail}")).status, 404);
    }
    for path in [org.at("advanced_activity_logs/"), of_project.clone()] {
        org.owner.key(&["activity_log:read"]).get(&path).json(200);
        assert_eq!(org.owner.key(&["project:read"]).get(&path).status, 403);
        assert_eq!(org.owner.without().get(&path).status, 401);
        assert_eq!(org.owner.post(&format!("{path}export/"), json!({"format": "csv"})).status, 400);
    }
    org.owner.patch(&org.project_at(""), json!({"access_control": true})).json(200);
    assert_eq!(member.get(&of_project).status, 404, "the project is private now");
}

#[test]
fn a_project_shows_its_own_entries_and_on_wish_those_of_its_organization() {
    let server = Server::start();
    let org = server.org();
    let other = org.owner.post(&org.at("projects/"), json!({"name": "Other"})).json(201)["id"].clone();
    let paths = [
        format!("/api/projects/{}/advanced_activity_logs/", org.project),
        format!("/api/environments/{}/advanced_activity_logs/", org.project),
        format!("/api/projects/{}/activity_log/", org.project),
    ];
    rename(&org.owner, &org, "Mine");
    for path in &paths {
        for entry in org.owner.get(path).results() {
            assert_eq!(entry["team_id"], org.project, "{path}");
        }
    }
    org.owner
        .post(&org.at("plugins/"), json!({"plugin_type": "source", "name": "P", "source__index_ts": "1"}));
    org.owner.patch(&org.project_at(""), json!({"receive_org_level_activity_logs": true})).json(200);
    for path in &paths {
        let entries = org.owner.get(path).results();
        assert!(entries.iter().any(|entry| entry["team_id"] == Value::Null), "{path}");
        assert!(entries.iter().all(|entry| entry["team_id"] != other), "{path}");
    }
}

#[test]
fn filters_find_what_they_name_and_nothing_else() {
    let server = Server::start();
    let org = server.org();
    let admin = org.admin(&server);
    rename(&org.owner, &org, "By the owner");
    server.pass_days(1);
    admin.patch(&org.project_at(""), json!({"name": "By the admin"})).json(200);
    let all = org.owner.get(&org.at("advanced_activity_logs/?page_size=1000")).results();
    let [last, before] = [&all[0], &all[1]];
    let day = &text(&last["created_at"])[..10];
    let detail = |operation: &str, value: Value| {
        let filter = json!({"changes[].after": {"operation": operation, "value": value}}).to_string();
        form_urlencoded::byte_serialize(filter.as_bytes()).collect::<String>()
    };
    let cases = [
        (format!("users={}&scopes=Team", admin.uuid), vec![last]),
        (format!("start_date={day}"), vec![last]),
        (format!("start_date={day}&end_date={day}"), vec![last]),
        (format!("end_date={day}&scopes=Team"), vec![last, before]),
        ("clients=console".into(), vec![before]),
        (format!("scopes=Team&item_ids={}&activities=updated", org.project), vec![last, before]),
        (format!("team_ids={}&activities=updated", org.project), vec![last, before]),
        ("search_text=BY%20THE%20OWNER&clients=console,cli".into(), vec![before]),
        ("ip_addresses=127.0.*&clients=console".into(), vec![before]),
        ("ip_addresses=127.0.0.2".into(), vec![]),
        (format!("detail_filters={}", detail("contains", json!("owner"))), vec![before]),
        (format!("detail_filters={}", detail("exact", json!("owner"))), vec![]),
        (format!("detail_filters={}", detail("in", json!(["By the admin", "x"]))), vec![last]),
        ("scopes=%5B%22Team%22%5D&activities=updated&users=%5B%5D".into(), vec![last, before]),
        ("was_impersonated=true".into(), vec![]),
        ("is_system=false&activities=updated&follow=1".into(), vec![last, before]),
        ("activities=invented".into(), vec![]),
    ];
    for (query, expected) in cases {
        let path = org.at(&format!("advanced_activity_logs/?{query}"));
        let found = org.owner.get(&path).results();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{query}");
        let counted = org.owner.get(&format!("{path}&page=1")).json(200);
        assert_eq!(counted["count"], expected.len(), "{query}");
    }
}

#[test]
fn a_filter_that_cannot_be_read_is_refused() {
    let server = Server::start();
    let org = server.org();
    let cases = [
        ("ordering=name", "ordering", "invalid_choice"),
        ("page_size=0", "page_size", "min_value"),
        ("page_size=1001", "page_size", "max_value"),
        ("page=x", "page", "invalid"),
        ("start_date=yesterday", "start_date", "invalid_input"),
        ("end_date=never", "end_date", "invalid_input"),
        ("users=me", "users", "invalid_choice"),
        ("team_ids=-1", "team_ids", "invalid_choice"),
        ("ip_addresses=example.com", "ip_addresses", "invalid_input"),
        ("detail_filters=[]", "detail_filters", "invalid_input"),
        ("detail_filters={\"a\":{\"operation\":\"regex\",\"value\":1}}", "detail_filters", "invalid_input"),
        ("detail_filters={\"a\":{\"operation\":\"exact\"}}", "detail_filters", "invalid_input"),
        ("detail_filters={\"a\":5}", "detail_filters", "invalid_input"),
        ("is_system=perhaps", "is_system", "invalid"),
        ("schema=ocsf", "schema", "invalid_choice"),
    ];
    for (query, attr, code) in cases {
        let query = query.replace('{', "%7B").replace('}', "%7D").replace('"', "%22");
        let answer = org.owner.get(&org.at(&format!("advanced_activity_logs/?{query}"))).json(400);
        assert_eq!((&answer["attr"], &answer["code"]), (&json!(attr), &json!(code)), "{query}");
    }
    for cursor in ["x", "n", "nothing", "nöö", "q0192"] {
        let answer = org.owner.get(&org.at(&format!("advanced_activity_logs/?cursor={cursor}")));
        answer.missing("Invalid cursor");
    }
    org.owner.get(&org.at("advanced_activity_logs/?format=xlsx")).not_found();
}

#[test]
fn the_log_is_walked_forward_and_back_in_both_orders() {
    let server = Server::start();
    let org = server.org();
    for number in 0..7 {
        rename(&org.owner, &org, &format!("P{number}"));
    }
    for ordering in ["-created_at", "created_at"] {
        let all = org.at(&format!("{TEAM}&ordering={ordering}"));
        let whole = ids(&org.owner.get(&all).results());
        let mut pages = Vec::new();
        let mut next = format!("{all}&page_size=3");
        loop {
            let page = org.owner.get(&next).json(200);
            pages.push((next, page.clone()));
            match &page["next"] {
                Value::Null => break,
                link => next = path(link),
            }
        }
        let walked: Vec<String> =
            pages.iter().flat_map(|(_, page)| ids(page["results"].as_array().expect("rows"))).collect();
        assert_eq!(walked, whole, "{ordering}");
        assert_eq!(pages[0].1["previous"], Value::Null);
        for back in (1..pages.len()).rev() {
            let page = org.owner.get(&path(&pages[back].1["previous"])).json(200);
            assert_eq!(page["results"], pages[back - 1].1["results"], "{ordering}, back to {back}");
            assert_eq!(page["previous"].is_null(), back == 1, "{ordering}, back to {back}");
            let forward = org.owner.get(&path(&page["next"])).json(200);
            assert_eq!(forward["results"], pages[back].1["results"], "{ordering}, forward to {back}");
        }
        let numbered = org.owner.get(&format!("{all}&page_size=3&page=2")).json(200);
        assert_eq!((&numbered["results"], &numbered["count"]), (&pages[1].1["results"], &json!(whole.len())));
        org.owner.get(&format!("{all}&page_size=3&page=99")).missing("Invalid page.");
    }
}

#[test]
fn the_whole_log_comes_as_one_stream() {
    let server = Server::start();
    let org = server.org();
    for number in 0..150 {
        rename(&org.owner, &org, &format!("=P{number}"));
    }
    let all = org.owner.get(&org.at(&format!("{TEAM}&page_size=1000&ordering=created_at"))).results();
    let lines = org.owner.get(&org.at(&format!("{TEAM}&format=jsonl&ordering=created_at")));
    assert_eq!((lines.status, lines.header("content-type").as_str()), (200, "application/x-ndjson"));
    let lines: Vec<Value> =
        lines.text().lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    assert_eq!(lines, all);
    let table = org.owner.get(&org.at(&format!("{TEAM}&format=csv&ordering=created_at")));
    assert_eq!(table.header("content-type"), "text/csv; charset=utf-8");
    let mut reader = csv::Reader::from_reader(table.body.as_slice());
    let columns = "id organization_id project_id user_first_name user_last_name user_email activity scope item_id detail client ip_address created_at";
    let names: Vec<String> = reader.headers().expect("a head").iter().map(str::to_owned).collect();
    assert_eq!(names, columns.split(' ').collect::<Vec<_>>());
    let rows: Vec<csv::StringRecord> = reader.records().map(|row| row.expect("a row is whole")).collect();
    assert_eq!(rows.len(), all.len());
    for (row, entry) in rows.iter().zip(&all) {
        assert_eq!(&row[0], text(&entry["id"]));
        assert_eq!(&row[5], org.owner.email);
        assert_eq!(serde_json::from_str::<Value>(&row[9]).expect("JSON"), entry["detail"]);
    }
}

#[test]
fn what_there_is_to_filter_by_is_what_is_in_the_log() {
    let server = Server::start();
    let org = server.org();
    rename(&org.owner, &org, "Renamed");
    let found = org.owner.get(&org.at("advanced_activity_logs/available_filters/")).json(200);
    let lists = &found["static_filters"];
    let has = |list: &str, value: &str| {
        lists[list].as_array().is_some_and(|values| values.iter().any(|item| item["value"] == value))
    };
    assert!(has("users", &org.owner.uuid) && has("scopes", "Team") && has("activities", "updated"));
    assert!(has("clients", "console") && !has("scopes", "Cohort"));
    let fields = found["detail_fields"]["Team"]["fields"].as_array().expect("fields");
    assert!(fields.contains(&json!({"name": "changes[].field", "types": ["string"]})), "{fields:?}");
    assert_eq!(found["detail_fields"]["General"]["fields"][0]["name"], "changes[].type");
}

#[test]
fn nobody_sees_the_log_of_another_organization() {
    let server = Server::start();
    let (org, other) = (server.org(), server.org());
    rename(&org.owner, &org, "Mine");
    let seen = other.owner.get(&other.at("advanced_activity_logs/")).results();
    assert!(seen.iter().all(|entry| entry["organization_id"] == json!(other.id)));
    let path = other.at(&format!("advanced_activity_logs/?team_ids={}", org.project));
    assert_eq!(other.owner.get(&path).results(), [json!(null); 0]);
}

fn entries(server: &Server) -> usize {
    server.all_rows().iter().filter(|(table, _, _)| *table == "audit").count()
}

/// Calls the route as somebody who may: why it leaves no entry, if it does not.
fn leaves_none(server: &Server, route: &'static Route) -> Option<String> {
    let world = World::start(server);
    let Some(path) = world.fill(&route.path) else { return Some("a parameter has no value".into()) };
    let owner =
        if route.path.contains("logout") { world.org.owner.logged_in() } else { world.org.owner.clone() };
    let body = world.changing_body(route);
    let before = entries(server);
    let answer = owner.call(route.method.name(), &path.path(), &body);
    if answer.status >= 400 {
        return Some(format!("{} {}", answer.status, answer.text()));
    }
    (entries(server) == before).then(|| "no entry".into())
}

#[test]
fn every_route_that_changes_something_leaves_an_entry() {
    let walked = walk(
        "audit",
        |route| !route.method.is_safe(),
        Server::start,
        |server, route| leaves_none(server, route),
    );
    only_named_are_uncovered("audit", walked);
}

#[test]
fn an_item_a_scope_and_a_project_have_their_entries_however_long_the_log_is() {
    let server = Server::start();
    let org = server.org();
    let other = org.owner.post(&org.at("projects/"), json!({"name": "Other"})).json(201)["id"].clone();
    let begun = org.owner.get(&org.at("advanced_activity_logs/?page=1")).json(200)["count"].as_u64();
    let begun = begun.expect("a count");
    let log_of_project = format!("/api/projects/{}/advanced_activity_logs/?page=1&page_size=3", org.project);
    let of = |path: &str, count: &str| -> (u64, Vec<String>) {
        let page = org.owner.get(path).json(200);
        let results = page["results"].as_array().expect("entries").iter();
        let said = results.map(|entry| text(&entry["detail"]["changes"][0]["after"]));
        (page[count].as_u64().expect("a count"), said.collect())
    };
    for number in 1..=75_u64 {
        let name = format!("Project {number}");
        rename(&org.owner, &org, &name);
        if ![1, 2].contains(&number) && !(60..=68).contains(&(begun + number)) && number < 74 {
            continue;
        }
        let first: Vec<String> =
            (0..number.min(3)).map(|back| format!("Project {}", number - back)).collect();
        let pages = [
            (org.project_at("activity/?limit=3"), "total_count", number),
            (log_of_project.clone(), "count", number),
            (
                org.at(&format!(
                    "advanced_activity_logs/?page=1&page_size=3&scopes=Team&item_ids={}",
                    org.project
                )),
                "count",
                number,
            ),
        ];
        for (path, count, total) in pages {
            assert_eq!(of(&path, count), (total, first.clone()), "{path} {number}");
        }
        let (total, second) = of(&org.project_at("activity/?limit=3&page=2"), "total_count");
        assert_eq!((total, second.len() as u64), (number, number.saturating_sub(3).min(3)), "{number}");
        assert!(
            second.first().is_none_or(|newest| *newest == format!("Project {}", number - 3)),
            "{second:?}"
        );
        let team = org.owner.get(&org.at("advanced_activity_logs/?page=1&scopes=Team")).json(200);
        assert_eq!(team["count"], number + 1, "the other project was made: {number}");
        let own = org.owner.get(&format!("/api/projects/{other}/activity/")).json(200);
        assert_eq!(own["total_count"], 1, "{number}");
        let plugins = org.owner.get(&org.at("plugins/activity/")).json(200);
        assert_eq!(plugins["total_count"], 0, "{number}");
    }
}
