//! Batch exports below a project: the same objects, their runs and backfills one by one, and calendars.

use serde_json::{Value, json};

use crate::support::exports::{self, capture, completed, event, log};
use crate::support::{Answer, Org, Person, Receiver, Server, text};

fn no_op() -> Value {
    json!({"name": "n", "interval": "hour", "destination": {"type": "NoOp", "config": {}}})
}

fn with(mut body: Value, more: &Value) -> Value {
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    body
}

/// A path below the project's exports.
fn at(org: &Org, tail: &str) -> String {
    format!("/api/projects/{}/batch_exports/{tail}", org.project)
}

fn of(org: &Org, export: &Value, tail: &str) -> String {
    at(org, &format!("{}/{tail}", text(&export["id"])))
}

fn create(org: &Org, more: &Value) -> Value {
    org.owner.post(&at(org, ""), with(no_op(), more)).json(201)
}

fn backfill(org: &Org, export: &Value, start: &str, end: &str) -> Answer {
    org.owner.post(&of(org, export, "backfills/"), json!({"start_at": start, "end_at": end}))
}

/// The backfill, once it is over.
fn ended(server: &Server, org: &Org, export: &Value, id: &Value) -> Value {
    let path = of(org, export, &format!("backfills/{}/", text(id)));
    let mut shown = Value::Null;
    server.until("the backfill is over", || {
        shown = org.owner.get(&path).json(200);
        shown["finished_at"].is_string()
    });
    shown
}

/// Start and end of the runs of a list.
fn intervals(runs: &[Value]) -> Vec<(&str, &str)> {
    runs.iter()
        .map(|run| {
            let bound = |name: &str| run[name].as_str().unwrap_or("null");
            (bound("data_interval_start"), bound("data_interval_end"))
        })
        .collect()
}

#[test]
fn an_export_is_the_same_on_all_of_its_paths_and_seen_in_its_own_project_only() {
    let server = Server::start();
    let org = server.org();
    let second = org.owner.post(&org.at("projects/"), json!({"name": "Second"})).json(201)["id"].clone();
    let made = create(&org, &json!({"team_id": second}));
    assert_eq!(made["team_id"], org.project);
    let id = text(&made["id"]);
    let paths = |id: &str| {
        [
            org.at(&format!("batch_exports/{id}/")),
            at(&org, &format!("{id}/")),
            format!("/api/environments/{}/batch_exports/{id}/", org.project),
        ]
    };
    for path in paths(&id) {
        let shown = org.owner.get(&paths(&id)[0]).json(200);
        assert_eq!(org.owner.get(&path).json(200), shown, "{path}");
        let renamed = org.owner.patch(&path, json!({"name": path})).json(200);
        assert_eq!((&renamed["name"], &renamed["id"]), (&json!(path), &made["id"]));
        org.owner.patch(&path, json!({"name": "n"})).json(200);
    }
    assert_eq!(org.owner.get(&at(&org, "")).results().len(), 1);
    let elsewhere = format!("/api/projects/{second}/batch_exports/");
    assert_eq!(org.owner.get(&elsewhere).json(200)["count"], 0);
    let other = org.owner.post(&elsewhere, no_op()).json(201);
    assert_eq!((&other["team_id"], org.owner.get(&elsewhere).results().len()), (&second, 1));
    for tail in ["", "runs/", "backfills/", "logs/"] {
        org.owner.get(&format!("{elsewhere}{id}/{tail}")).not_found();
    }
    for tail in ["pause/", "unpause/", "backfills/", "backfill/", "run_test_step/"] {
        org.owner.post(&format!("{elsewhere}{id}/{tail}"), json!({})).not_found();
    }
    org.owner.delete(&format!("{elsewhere}{id}/")).not_found();
    org.owner.delete(&paths(&id)[2]).no_content();
    org.owner.get(&paths(&id)[0]).not_found();
    let stranger = server.org();
    stranger.owner.get(&at(&org, "")).not_found();
    org.owner.get("/api/projects/@current/batch_exports/").json(200);
}

#[test]
fn a_key_of_one_project_works_below_that_project() {
    let server = Server::start();
    let org = server.org();
    let second = org.owner.post(&org.at("projects/"), json!({"name": "Second"})).json(201)["id"].clone();
    let scopes = json!(["batch_export:write"]);
    let key = org.owner.key_of(json!({"scopes": scopes, "scoped_teams": [org.project]}));
    let made = key.post(&at(&org, ""), no_op()).json(201);
    key.get(&at(&org, "")).json(200);
    key.post(&of(&org, &made, "pause/"), json!({})).json(200);
    key.get(&of(&org, &made, "runs/")).json(200);
    assert_eq!(key.get(&org.at("batch_exports/")).status, 403);
    assert_eq!(key.get(&format!("/api/projects/{second}/batch_exports/")).status, 403);
    let reader = org.owner.key(&["batch_export:read"]);
    reader.get(&of(&org, &made, "backfills/")).json(200);
    reader
        .post(&of(&org, &made, "backfills/"), json!({}))
        .denied("API key missing required scope 'batch_export:write'");
}

#[test]
fn calendars_are_judged_and_forgotten_where_they_do_not_apply() {
    let server = Server::start();
    let org = server.org();
    let made = create(&org, &json!({"timezone": null, "filters": [], "hogql_modifiers": {"a": 1}}));
    assert_eq!((&made["timezone"], &made["hogql_modifiers"]), (&json!("UTC"), &Value::Null));
    let week = json!({"interval": "week", "timezone": "Europe/Berlin", "offset_day": 0, "offset_hour": 23});
    let patch = |body: Value| org.owner.patch(&of(&org, &made, ""), body);
    let shown = patch(week).json(200);
    let calendar = |shown: &Value| json!([shown["timezone"], shown["offset_day"], shown["offset_hour"]]);
    assert_eq!(calendar(&shown), json!(["Europe/Berlin", 0, 23]));
    for (body, attr, code, detail) in [
        (json!({"timezone": "Nowhere"}), "timezone", "invalid_choice", "\"Nowhere\" is not a valid choice."),
        (
            json!({"offset_day": 7}),
            "offset_day",
            "max_value",
            "Ensure this value is less than or equal to 6.",
        ),
        (
            json!({"offset_hour": -1}),
            "offset_hour",
            "min_value",
            "Ensure this value is greater than or equal to 0.",
        ),
        (
            json!({"interval": "day", "offset_day": 1}),
            "offset_day",
            "invalid_input",
            "offset_day is not applicable for non-weekly intervals",
        ),
        (
            json!({"interval": "hour", "offset_hour": 1}),
            "offset_hour",
            "invalid_input",
            "offset_hour is not applicable for non-daily/weekly intervals",
        ),
        (
            json!({"filters": [{"key": "a"}]}),
            "filters",
            "invalid_input",
            "Filters are not applied here, and without them more would be exported than is wanted. Choose events by include_events and exclude_events.",
        ),
    ] {
        patch(body).invalid(attr, code, detail);
    }
    assert_eq!(calendar(&patch(json!({})).json(200)), json!(["Europe/Berlin", 0, 23]));
    assert_eq!(calendar(&patch(json!({"interval": "day"})).json(200)), json!(["Europe/Berlin", null, 23]));
    assert_eq!(calendar(&patch(json!({"interval": "hour"})).json(200)), json!(["Europe/Berlin", null, null]));
    assert_eq!(calendar(&patch(json!({"timezone": null})).json(200)), json!(["UTC", null, null]));
}

#[test]
fn dates_are_bounds_of_daily_exports_and_days_have_the_hours_of_their_zone() {
    let server = Server::start();
    let org = server.org();
    let daily = json!({"interval": "day", "timezone": "Europe/Berlin", "offset_hour": 6, "paused": true});
    let made = create(&org, &daily);
    let started = backfill(&org, &made, "2024-03-30", "2024-04-02").json(201);
    assert_eq!(started.as_object().expect("an object").len(), 1);
    let shown = ended(&server, &org, &made, &started["backfill_id"]);
    assert_eq!(
        json!([shown["status"], shown["total_expected_runs"], shown["progress"], shown["adjusted_start_at"]]),
        json!(["Completed", 3, {"total_runs": 3, "finished_runs": 3, "progress": 1.0}, null])
    );
    assert_eq!(json!([shown["team"], shown["batch_export"]]), json!([org.project, made["id"]]));
    let runs =
        org.owner.get(&of(&org, &made, "runs/?ordering=data_interval_start&start=2024-01-01")).results();
    let day =
        ["2024-03-30T05:00:00Z", "2024-03-31T04:00:00Z", "2024-04-01T04:00:00Z", "2024-04-02T04:00:00Z"];
    assert_eq!(intervals(&runs), [(day[0], day[1]), (day[1], day[2]), (day[2], day[3])]);
    // The tenth of March 2024 was a Sunday.
    let weekly = create(&org, &json!({"interval": "week", "offset_day": 0, "paused": true}));
    backfill(&org, &weekly, "2024-03-10", "2024-03-17").json(201);
    let detail = "Input 2024-03-11 is not on the weekday on which the export's weeks begin.";
    backfill(&org, &weekly, "2024-03-11", "2024-03-18").invalid(None, "invalid_input", detail);
    let hourly = create(&org, &json!({}));
    let detail = "Input 2024-03-10 is naive.";
    backfill(&org, &hourly, "2024-03-10", "2024-03-11").invalid(None, "invalid_input", detail);
}

#[test]
fn backfills_are_refused_as_the_api_of_today_words_it() {
    let server = Server::start();
    let org = server.org();
    let made = create(&org, &json!({"interval": "day", "timezone": "Asia/Tokyo"}));
    let z = "2024-01-01T00:00:00Z";
    for (start, end, detail) in [
        (json!("soon"), json!(z), "Input soon is not a valid ISO formatted datetime."),
        (json!(12345), json!(z), "Input 12345 is not a valid ISO formatted datetime."),
        (json!("2024-01-01T00:00:00"), json!(null), "Input 2024-01-01T00:00:00 is naive."),
        (json!("2024-02-30"), json!(null), "Input 2024-02-30 is not a valid ISO formatted datetime."),
        (json!(z), json!(z), "The initial backfill datetime 'start_at' must be before 'end_at'"),
        (
            json!("2024-01-02"),
            json!("2024-01-02"),
            "The initial backfill datetime 'start_at' must be before 'end_at'",
        ),
        (
            json!(z),
            json!("2121-01-01T00:00:00Z"),
            "The provided 'end_at' (2121-01-01T09:00:00+09:00) is in the future",
        ),
    ] {
        let body = json!({"start_at": start, "end_at": end});
        org.owner.post(&of(&org, &made, "backfills/"), body).invalid(None, "invalid_input", detail);
    }
    assert_eq!(org.owner.get(&of(&org, &made, "backfills/")).results().len(), 0);
    // The route of 2024 says less.
    let answer = org.owner.post(&of(&org, &made, "backfill/"), json!({"end_at": z})).json(200);
    assert!(text(&answer["backfill_id"]).ends_with("-Backfill-START-2024-01-01T00:00:00+00:00"));
}

/// An export whose runs never end: nobody answers.
fn waiting(org: &Org) -> (Receiver, Value) {
    let receiver = Receiver::answering(&[(503, "wait"); 50]);
    let destination = json!({"type": "HTTP", "config": {"url": receiver.url("/"), "token": "phc_receiver"}});
    let export = create(org, &json!({"paused": true, "destination": destination}));
    (receiver, export)
}

#[test]
fn five_backfills_of_a_project_run_at_once_and_can_be_cancelled() {
    let server = Server::start();
    let org = server.org();
    capture(&server, &org, &[event("a", "10:30:00")]);
    let (_receiver, export) = waiting(&org);
    let start = |minute: usize| {
        let time = |hour: u32| format!("2021-01-01T{hour}:{minute:02}:00Z");
        backfill(&org, &export, &time(10), &time(11))
    };
    let ids: Vec<Value> = (0..5).map(|minute| start(minute).json(201)["backfill_id"].clone()).collect();
    let refused = start(5);
    let reason = "This team already has 5 batch export backfills running. Wait for some to finish or cancel them before creating more.";
    assert_eq!(
        (refused.status, &refused.value()["code"], &refused.value()["detail"]),
        (429, &json!("too_many_concurrent_backfills"), &json!(reason))
    );
    let again = org.owner.post(
        &of(&org, &export, "backfills/"),
        json!({"start_at": "2021-01-01T10:00:00Z", "end_at": "2021-01-01T11:00:00Z"}),
    );
    assert_eq!(again.status, 429);
    let one = of(&org, &export, &format!("backfills/{}/", text(&ids[0])));
    let shown = org.owner.get(&one).json(200);
    assert_eq!(
        json!([shown["status"], shown["finished_at"], shown["progress"]]),
        json!(["Running", null, {"total_runs": 1, "finished_runs": 0, "progress": 0.0}])
    );
    let cancelled = org.owner.post(&format!("{one}cancel/"), json!({})).json(200);
    assert_eq!(cancelled, json!({"cancelled": true}));
    let shown = org.owner.get(&one).json(200);
    assert_eq!(json!([shown["status"], shown["progress"]]), json!(["Cancelled", null]));
    assert_eq!(log(&org, &export, "Historical export was cancelled.").len(), 1);
    let detail = "Cannot cancel a backfill that is in 'Cancelled' status";
    org.owner.post(&format!("{one}cancel/"), json!({})).invalid(None, "invalid_input", detail);
    start(5).json(201);
    // Another project has its own.
    let second = server.org();
    let other = create(&second, &json!({"paused": true}));
    backfill(&second, &other, "2021-01-01T10:00:00Z", "2021-01-01T11:00:00Z").json(201);
    for id in org.owner.get(&of(&org, &export, "backfills/")).results() {
        let path = of(&org, &export, &format!("backfills/{}/cancel/", text(&id["id"])));
        org.owner.post(&path, json!({}));
    }
}

#[test]
fn a_run_is_cancelled_and_its_interval_is_run_again() {
    let server = Server::start();
    let org = server.org();
    capture(&server, &org, &[event("a", "10:30:00")]);
    let (receiver, export) = waiting(&org);
    let first = backfill(&org, &export, "2021-01-01T10:00:00Z", "2021-01-01T11:00:00Z").json(201);
    let runs = || org.owner.get(&of(&org, &export, "runs/")).results();
    server.until("the first attempt has failed", || !log(&org, &export, "status: 503").is_empty());
    let run = runs()[0].clone();
    let path = of(&org, &export, &format!("runs/{}/", text(&run["id"])));
    assert_eq!(org.owner.get(&path).json(200)["status"], "Running");
    assert_eq!(org.owner.post(&format!("{path}cancel/"), json!({})).json(200), json!({"cancelled": true}));
    let shown = org.owner.get(&path).json(200);
    assert_eq!(json!([shown["status"], shown["latest_error"]]), json!(["Cancelled", "Cancelled"]));
    let detail = "Cannot cancel a run that is in 'Cancelled' status";
    org.owner.post(&format!("{path}cancel/"), json!({})).invalid(None, "invalid_input", detail);
    let entries = org.owner.get(&format!("{path}logs/?instance_id=other")).results();
    assert!(
        entries.iter().all(|entry| entry["instance_id"] == run["id"]) && entries.len() >= 3,
        "{entries:?}"
    );
    assert_eq!(ended(&server, &org, &export, &first["backfill_id"])["status"], "Completed");
    // Whatever the interval of the export is by now, the run's is run again.
    let config = json!({"url": receiver.url("/again"), "token": "phc_other"});
    let back = json!({"interval": "week", "destination": {"config": config}});
    org.owner.patch(&of(&org, &export, ""), back).json(200);
    let retried = org.owner.post(&format!("{path}retry/"), json!({})).json(201);
    let id = text(&retried["backfill_id"]);
    server.until("the run is made", || runs().len() == 2);
    let again = runs()[0].clone();
    assert_eq!(intervals(&[again]), intervals(&[run]));
    org.owner.post(&of(&org, &export, &format!("backfills/{id}/cancel/")), json!({})).json(200);
    org.owner
        .post(&of(&org, &export, "runs/01a00000-0000-7000-8000-000000000000/retry/"), json!({}))
        .not_found();
}

#[test]
fn runs_are_filtered_ordered_and_paged_by_cursor() {
    let server = Server::start();
    let org = server.org();
    let export = create(&org, &json!({"paused": true}));
    let id = backfill(&org, &export, "2021-01-01T00:00:00Z", "2021-01-05T12:00:00Z").json(201)["backfill_id"]
        .clone();
    assert_eq!(ended(&server, &org, &export, &id)["progress"]["finished_runs"], 108);
    let list = |query: &str| org.owner.get(&of(&org, &export, &format!("runs/?{query}")));
    let walk = |query: &str, step: &str| -> Vec<Vec<Value>> {
        let mut pages = Vec::new();
        let mut next = json!(org.owner.url(&of(&org, &export, &format!("runs/?{query}"))));
        while let Some(url) = next.as_str() {
            let page = org.owner.get(url.strip_prefix(&org.owner.url("")).expect("this server")).json(200);
            assert!(page.get("count").is_none());
            pages.push(page["results"].as_array().expect("results").clone());
            next = page[step].clone();
        }
        pages
    };
    for (query, first) in [
        ("", "2021-01-05T11:00:00Z"),
        ("ordering=created_at", "2021-01-01T00:00:00Z"),
        ("ordering=-data_interval_start&start=2021-01-01", "2021-01-05T11:00:00Z"),
        ("ordering=data_interval_start&start=2021-01-01&end=2022-01-01", "2021-01-01T00:00:00Z"),
    ] {
        let pages = walk(query, "next");
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [100, 8], "{query}");
        assert_eq!(pages[0][0]["data_interval_start"], first, "{query}");
        let mut all: Vec<String> = pages.concat().iter().map(|run| text(&run["id"])).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 108, "{query}");
        // And back again.
        let second = list(query).json(200)["next"].clone();
        let second = text(&second).strip_prefix(&org.owner.url("")).expect("this server").to_owned();
        let back = text(&org.owner.get(&second).json(200)["previous"]);
        let back = org.owner.get(back.strip_prefix(&org.owner.url("")).expect("this server")).json(200);
        assert_eq!(back["results"], json!(pages[0]), "{query}");
        assert!(back["previous"].is_null());
    }
    let count = |query: &str| list(query).results().len();
    assert_eq!(count("status=Failed&status=Cancelled"), 0);
    assert_eq!(count("status=Failed&status=Completed"), 100);
    assert_eq!(count("after=-1h"), 100);
    assert_eq!((count("before=-1h"), count("after=2121-01-01T00:00:00Z")), (0, 0));
    assert_eq!(count("ordering=data_interval_start"), 0, "intervals of the last seven days only");
    let day = "ordering=data_interval_start&start=2021-01-02T00:00:00Z&end=2021-01-03T00:00:00Z";
    assert_eq!(count(day), 24);
    for (query, attr, code) in [
        ("status=Done", "status", "invalid_choice"),
        ("ordering=status", "ordering", "invalid_choice"),
        ("after=yesterday", "after", "invalid_input"),
        ("before=", "before", "invalid_input"),
    ] {
        let answer = list(query).json(400);
        assert_eq!((&answer["attr"], &answer["code"]), (&json!(attr), &json!(code)), "{query}");
    }
    list("cursor=nonsense").missing("Invalid cursor");
    // A week later they show only where they are asked for.
    server.pass(std::time::Duration::from_secs(8 * 24 * 60 * 60));
    assert_eq!((count(""), count("after=-9d")), (0, 100));
}

#[test]
fn backfills_are_listed_in_order() {
    let server = Server::start();
    let org = server.org();
    let export = create(&org, &json!({"paused": true}));
    let mut ids = Vec::new();
    for (start, end) in
        [("2021-01-03", "2021-01-04"), ("2021-01-01", "2021-01-02"), ("2021-01-02", "2021-01-03")]
    {
        let time = |day: &str| format!("{day}T00:00:00Z");
        let started = backfill(&org, &export, &time(start), &time(end)).json(201);
        ended(&server, &org, &export, &started["backfill_id"]);
        ids.push(started["backfill_id"].clone());
    }
    for (query, order) in [
        ("", [2, 1, 0]),
        ("?ordering=-created_at", [2, 1, 0]),
        ("?ordering=created_at", [0, 1, 2]),
        ("?ordering=start_at", [1, 2, 0]),
        ("?ordering=-start_at", [0, 2, 1]),
    ] {
        let page = org.owner.get(&of(&org, &export, &format!("backfills/{query}"))).json(200);
        let shown: Vec<&Value> =
            page["results"].as_array().expect("results").iter().map(|one| &one["id"]).collect();
        assert_eq!(shown, order.map(|place| &ids[place]), "{query}");
        assert_eq!(page.as_object().expect("a page").len(), 3);
    }
    assert_eq!(org.owner.get(&of(&org, &export, "backfills/?ordering=end_at")).status, 400);
    org.owner.get(&of(&org, &export, "backfills/01a00000-0000-7000-8000-000000000000/")).not_found();
    let path = of(&org, &export, &format!("backfills/{}/", text(&ids[0])));
    assert_eq!(org.owner.patch(&path, json!({})).status, 405);
}

#[test]
fn a_scheduled_run_covers_a_day_of_its_zone() {
    let server = Server::start();
    let org = server.org();
    let export =
        create(&org, &json!({"interval": "day", "timezone": "America/Los_Angeles", "offset_hour": 3}));
    server.pass(std::time::Duration::from_secs(25 * 60 * 60));
    let run = exports::last_run(&server, &org, &export);
    completed(&run, 0);
    let zoned = |name: &str| {
        let time: jiff::Timestamp = text(&run[name]).parse().expect("a time");
        time.to_zoned(jiff::tz::TimeZone::get("America/Los_Angeles").expect("a zone"))
    };
    let (start, end) = (zoned("data_interval_start"), zoned("data_interval_end"));
    assert_eq!((start.hour(), end.hour(), start.minute()), (3, 3, 0));
    assert_eq!(start.date().tomorrow().expect("a day"), end.date());
}

#[test]
fn integrations_are_none_and_an_empty_page() {
    let server = Server::start();
    let org = server.org();
    let person: &Person = &org.owner;
    for prefix in ["projects", "environments"] {
        let page = person.get(&format!("/api/{prefix}/{}/integrations/?limit=1", org.project)).json(200);
        assert_eq!(page, json!({"count": 0, "next": null, "previous": null, "results": []}));
    }
    for (name, value, is_good) in [
        ("integration", json!(null), true),
        ("integration_id", json!(null), true),
        ("integration", json!(7), false),
        ("integration_id", json!("x"), false),
    ] {
        let mut destination = json!({"type": "NoOp", "config": {}});
        destination[name] = value;
        let answer = person.post(&at(&org, ""), with(no_op(), &json!({"destination": destination})));
        assert_eq!((answer.status == 201, answer.status == 400), (is_good, !is_good), "{name}");
        if !is_good {
            assert_eq!(answer.value()["attr"], "destination");
        }
    }
}

/// Activity and changed fields of each entry, oldest first.
fn audited(org: &Org, query: &str) -> Vec<(String, Vec<String>)> {
    let mut entries = org.owner.get(&org.at(&format!("advanced_activity_logs/?{query}"))).results();
    entries.reverse();
    let fields = |entry: &Value| {
        let changes = entry["detail"]["changes"].as_array().cloned().unwrap_or_default();
        changes.iter().map(|change| text(&change["field"])).collect()
    };
    entries.iter().map(|entry| (text(&entry["activity"]), fields(entry))).collect()
}

#[test]
fn what_is_done_with_an_export_is_in_the_audit_log_and_no_secret_is() {
    let server = Server::start();
    let org = server.org();
    let destination = json!({"type": "HTTP", "config": {"url": "http://127.0.0.1:1/", "token": "phc_first"}});
    let made = create(&org, &json!({"paused": true, "destination": destination}));
    let patch = |body: Value| org.owner.patch(&of(&org, &made, ""), body).json(200);
    patch(json!({"name": "m", "timezone": "Europe/Berlin"}));
    patch(json!({"name": "m"}));
    patch(json!({"destination": {"config": {"token": "phc_second"}}}));
    patch(json!({"destination": {"config": {"token": "phc_second"}}}));
    for tail in ["unpause/", "unpause/", "pause/"] {
        org.owner.post(&of(&org, &made, tail), json!({})).json(200);
    }
    let started = backfill(&org, &made, "2021-01-01T10:00:00Z", "2021-01-01T10:30:00Z").json(201);
    ended(&server, &org, &made, &started["backfill_id"]);
    org.owner.delete(&of(&org, &made, "")).no_content();
    let entry = |activity: &str, fields: &[&str]| {
        (activity.to_owned(), fields.iter().map(|field| (*field).to_owned()).collect::<Vec<String>>())
    };
    let wanted = [
        entry("created", &[]),
        entry("updated", &["name", "timezone"]),
        entry("updated", &["destination secrets"]),
        entry("updated", &["enabled"]),
        entry("updated", &["enabled"]),
        entry("backfilled", &[]),
        entry("deleted", &[]),
    ];
    assert_eq!(audited(&org, "scopes=BatchExport"), wanted);
    let log = org.owner.get(&org.at("advanced_activity_logs/?scopes=BatchExport"));
    assert!(!log.text().contains("phc_first") && !log.text().contains("phc_second"));
    assert!(
        log.results().iter().all(|entry| entry["team_id"] == org.project && entry["item_id"] == made["id"])
    );
    let paused = &log.results()[2]["detail"]["changes"][0];
    assert_eq!((&paused["before"], &paused["after"]), (&json!(true), &json!(false)));
}

#[test]
fn what_is_done_with_a_plugin_is_in_the_audit_log_and_not_on_its_activity_page() {
    let server = Server::start();
    let org = server.org();
    let body = json!({"plugin_type": "source", "name": "P"});
    let made = org.owner.post(&org.at("plugins/"), body).json(201);
    let at = |tail: &str| org.at(&format!("plugins/{}/{tail}", made["id"]));
    org.owner.patch(&at(""), json!({"description": "d"})).json(200);
    org.owner.patch(&at(""), json!({"description": "d"})).json(200);
    org.owner.patch(&at("update_source/"), json!({"index.ts": "// hidden code"})).json(200);
    org.owner.delete(&at("")).no_content();
    let names = |scope: &str| -> Vec<String> {
        audited(&org, scope)
            .into_iter()
            .map(|(activity, fields)| format!("{activity} {}", fields.join(",")))
            .collect()
    };
    assert_eq!(names("scopes=Plugin"), ["installed ", "uninstalled "]);
    let changed = names("scopes=PluginConfig");
    assert_eq!((changed.len(), changed[0].as_str()), (2, "updated description"));
    assert!(changed[1].contains("source"), "{changed:?}");
    let log = org.owner.get(&org.at("advanced_activity_logs/?scopes=PluginConfig")).text();
    assert!(log.contains("index.ts") && !log.contains("hidden code"));
    let page = org.owner.get(&org.at("plugins/activity/")).json(200);
    assert_eq!(page["results"].as_array().expect("entries").len(), 2);
}
