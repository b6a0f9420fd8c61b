//! Batch exports: the object, its rules and actions.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Answer, Org, Person, Server, text};

fn no_op() -> Value {
    json!({"name": "n", "interval": "hour", "destination": {"type": "NoOp", "config": {}}})
}

fn s3() -> Value {
    json!({"type": "S3", "config": {
        "bucket_name": "b", "region": "r", "prefix": "p",
        "aws_access_key_id": "AKIA-one", "aws_secret_access_key": "hidden-secret",
    }})
}

fn with(mut body: Value, name: &str, value: Value) -> Value {
    body[name] = value;
    body
}

fn create(org: &Org, body: Value) -> Value {
    org.owner.post(&org.at("batch_exports/"), body).json(201)
}

fn at(org: &Org, export: &Value, tail: &str) -> String {
    org.at(&format!("batch_exports/{}/{tail}", text(&export["id"])))
}

fn patch(org: &Org, export: &Value, body: Value) -> Answer {
    org.owner.patch(&at(org, export, ""), body)
}

fn show(org: &Org, export: &Value) -> Value {
    org.owner.get(&at(org, export, "")).json(200)
}

#[test]
fn a_new_export_has_the_fields_of_the_page_and_its_defaults() {
    let server = Server::start();
    let org = server.org();
    let mut made = create(&org, with(no_op(), "start_at", json!("2022-07-19 00:00:00")));
    assert_eq!(made, show(&org, &made));
    for name in ["id", "created_at", "last_updated_at"] {
        assert!(made[name].take().is_string(), "{name}");
    }
    assert_eq!(
        made,
        json!({
            "id": null, "team_id": org.project, "name": "n", "model": "events",
            "destination": {"type": "NoOp", "config": {}}, "interval": "hour", "paused": false, "created_at": null,
            "last_updated_at": null, "last_paused_at": null, "start_at": "2022-07-19T00:00:00Z", "end_at": null,
            "latest_runs": [], "hogql_query": null, "schema": null, "filters": null, "hogql_modifiers": null,
            "timezone": "UTC", "offset_day": null, "offset_hour": null,
        })
    );
}

#[test]
fn fields_that_the_server_writes_are_ignored_and_times_are_shown_in_utc() {
    let server = Server::start();
    let org = server.org();
    let mut body = no_op();
    body.as_object_mut().expect("an object").extend(
        json!({
            "id": "01a00000-0000-7000-8000-000000000000", "team_id": 0, "created_at": "2001-01-01T00:00:00Z",
            "last_updated_at": "2001-01-01T00:00:00Z", "latest_runs": [{"status": "Completed"}], "schema": {"a": 1},
            "hogql_modifiers": {"a": 1}, "integration": 7, "model": null,
            "start_at": "2022-07-19T00:00:00.25-05:00", "last_paused_at": "2022-01-01T00:00:00Z",
        })
        .as_object()
        .expect("an object")
        .clone(),
    );
    let mut made = create(&org, body);
    assert_eq!(show(&org, &made), made);
    let (id, created) = (text(&made["id"]), text(&made["created_at"]));
    assert!(id != "01a00000-0000-7000-8000-000000000000" && !created.starts_with("2001"));
    assert!(!text(&made["last_updated_at"]).starts_with("2001"));
    for name in ["id", "created_at", "last_updated_at"] {
        made[name].take();
    }
    assert_eq!(
        made,
        json!({
            "id": null, "team_id": org.project, "name": "n", "model": null,
            "destination": {"type": "NoOp", "config": {}}, "interval": "hour", "paused": false, "created_at": null,
            "last_updated_at": null, "last_paused_at": null,
            "start_at": "2022-07-19T05:00:00.250000Z", "end_at": null,
            "latest_runs": [], "hogql_query": null, "schema": null, "filters": null, "hogql_modifiers": null,
            "timezone": "UTC", "offset_day": null, "offset_hour": null,
        })
    );
}

#[test]
fn every_save_shows_and_pausing_by_a_change_is_no_pause_action() {
    let server = Server::start();
    let org = server.org();
    let made = create(&org, no_op());
    let mut last = made["last_updated_at"].clone();
    for change in [json!({}), json!({"name": "m"}), json!({"paused": true}), json!({"paused": false})] {
        server.pass(Duration::from_millis(1));
        let changed = patch(&org, &made, change).json(200);
        assert!(text(&changed["last_updated_at"]) > text(&last));
        assert_eq!((&changed["last_paused_at"], &changed["created_at"]), (&Value::Null, &made["created_at"]));
        last = changed["last_updated_at"].clone();
    }
    let written = patch(&org, &made, json!({"last_paused_at": "2022-01-01 00:00:00"})).json(200);
    assert_eq!((&written["last_paused_at"], &written["paused"]), (&Value::Null, &json!(false)));
}

#[test]
fn any_member_may_do_everything_and_nobody_else_anything() {
    let server = Server::start();
    let org = server.org();
    let (member, stranger) = (org.member(&server), server.stranger());
    let all = org.at("batch_exports/");
    let made = member.post(&all, no_op()).json(201);
    let one = at(&org, &made, "");
    assert_eq!(member.get(&all).results().len(), 1);
    member.patch(&one, json!({"name": "m"})).json(200);
    for tail in ["pause/", "unpause/", "backfill/"] {
        member.post(&at(&org, &made, tail), json!({"start_at": null})).json(200);
        stranger.post(&at(&org, &made, tail), json!({})).forbidden();
    }
    member.get(&at(&org, &made, "logs/")).json(200);
    stranger.get(&all).forbidden();
    stranger.get(&one).forbidden();
    stranger.delete(&one).forbidden();
    server.anyone().get(&all).unauthenticated();
    let reader = org.owner.key(&["batch_export:read"]);
    reader.get(&at(&org, &made, "logs/")).json(200);
    reader.delete(&one).denied("API key missing required scope 'batch_export:write'");
    org.owner
        .key(&["organization:write"])
        .get(&all)
        .denied("API key missing required scope 'batch_export:read'");
    org.owner.key(&["batch_export:write"]).delete(&one).no_content();
}

#[test]
fn of_several_faults_the_first_in_order_is_told() {
    let server = Server::start();
    let org = server.org();
    let made = create(&org, no_op());
    let nowhere = "/api/organizations/01a00000-0000-7000-8000-000000000000/batch_exports/";
    let (anyone, stranger) = (server.anyone(), server.stranger());
    let (reader, writer) = (org.owner.key(&["batch_export:read"]), org.owner.key(&["batch_export:write"]));
    let missing = org.at("batch_exports/01a00000-0000-7000-8000-000000000000/");
    let wrong = json!({"name": 1, "interval": "never"});
    // Who asks comes before everything.
    anyone.post(nowhere, wrong.clone()).unauthenticated();
    anyone.patch(&missing, wrong.clone()).unauthenticated();
    // Then what a key is for; the same on every route of the API.
    reader.post(nowhere, wrong.clone()).denied("API key missing required scope 'batch_export:write'");
    reader.patch(&missing, wrong.clone()).denied("API key missing required scope 'batch_export:write'");
    // Then the organization, and membership of it.
    writer.post(nowhere, wrong.clone()).missing("Organization not found.");
    stranger.patch(&missing, wrong.clone()).forbidden();
    // Then the export, then the body, then the interval.
    writer.patch(&missing, wrong.clone()).not_found();
    assert_eq!(writer.patch(&at(&org, &made, ""), wrong).status, 400);
    let often = with(no_op(), "interval", json!("every 5 minutes"));
    let unusable = json!({"type": "S3", "config": {}});
    let detail = "Configuration missing required field: 'bucket_name'";
    writer.post(&org.at("batch_exports/"), with(often.clone(), "destination", unusable)).invalid(
        "destination",
        "invalid_input",
        detail,
    );
    writer
        .post(&org.at("batch_exports/"), often)
        .denied("Higher frequency exports are not enabled for this team.");
}

#[test]
fn an_export_belongs_to_the_current_project_or_the_first() {
    let server = Server::start();
    let org = server.org();
    let second = org.owner.post(&org.at("projects/"), json!({"name": "Second"})).json(201)["id"].clone();
    assert_eq!(create(&org, with(no_op(), "team_id", json!(org.project)))["team_id"], second);
    let elsewhere = org.owner.post("/api/organizations/", json!({"name": "Other"})).json(201);
    assert_eq!(create(&org, no_op())["team_id"], org.project);
    let other = Org { id: text(&elsewhere["id"]), ..org.clone() };
    org.owner.delete(&other.at(&format!("projects/{}/", elsewhere["teams"][0]["id"]))).no_content();
    let detail = "A project is needed for a batch export, and this organization has none.";
    org.owner.post(&other.at("batch_exports/"), no_op()).invalid(None, "invalid_input", detail);
}

#[test]
fn a_project_that_is_hidden_from_the_caller_gets_no_export_of_his() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let second = org.owner.post(&org.at("projects/"), json!({"name": "Second"})).json(201)["id"].clone();
    org.owner.patch(&org.project_at(""), json!({"access_control": true})).json(200);
    assert_eq!(member.post(&org.at("batch_exports/"), no_op()).json(201)["team_id"], second);
    org.owner.patch(&org.at(&format!("projects/{second}/")), json!({"access_control": true})).json(200);
    let detail = "A project is needed for a batch export, and this organization has none.";
    member.post(&org.at("batch_exports/"), no_op()).invalid(None, "invalid_input", detail);
}

#[test]
fn every_field_is_judged() {
    let server = Server::start();
    let org = server.org();
    let without = |name: &str| {
        let mut body = no_op();
        body.as_object_mut().expect("an object").remove(name);
        body
    };
    let to = |destination: Value| with(no_op(), "destination", destination);
    const REQUIRED: &str = "This field is required.";
    const NULL: &str = "This field may not be null.";
    for (body, attr, code, detail) in [
        (without("name"), "name", "required", REQUIRED),
        (with(no_op(), "name", json!(null)), "name", "null", NULL),
        (with(no_op(), "name", json!("")), "name", "blank", "This field may not be blank."),
        (
            with(no_op(), "model", json!("sessions")),
            "model",
            "invalid_choice",
            "\"sessions\" is not a valid choice.",
        ),
        (without("destination"), "destination", "required", REQUIRED),
        (to(json!(null)), "destination", "null", NULL),
        (to(json!("x")), "destination", "invalid_input", "Invalid data. Expected a dictionary, but got str."),
        (to(json!({"config": {}})), "destination__type", "required", REQUIRED),
        (
            to(json!({"type": "FTP", "config": {}})),
            "destination__type",
            "invalid_choice",
            "\"FTP\" is not a valid choice.",
        ),
        (to(json!({"type": "NoOp"})), "destination__config", "required", REQUIRED),
        (
            to(json!({"type": "NoOp", "config": []})),
            "destination__config",
            "invalid_input",
            "Invalid data. Expected a dictionary, but got list.",
        ),
        (
            to(json!({"type": "S3", "config": {}})),
            "destination",
            "invalid_input",
            "Configuration missing required field: 'bucket_name'",
        ),
        (
            to(json!({"type": "NoOp", "config": {"b": 1, "a": 1}})),
            "destination",
            "invalid_input",
            "Configuration has unknown field/s: 'a', 'b'",
        ),
        (without("interval"), "interval", "required", REQUIRED),
        (
            with(no_op(), "interval", json!("every 3 hours")),
            "interval",
            "invalid_choice",
            "\"every 3 hours\" is not a valid choice.",
        ),
        (with(no_op(), "paused", json!("maybe")), "paused", "invalid_input", "Must be a valid boolean."),
        (with(no_op(), "hogql_query", json!(null)), "hogql_query", "null", NULL),
        (with(no_op(), "hogql_query", json!("")), "hogql_query", "invalid_input", "Failed to parse query"),
    ] {
        org.owner.post(&org.at("batch_exports/"), body).invalid(attr, code, detail);
    }
    let http = json!({"type": "HTTP", "config": {"url": "http://x", "token": "t"}});
    let body = with(to(http), "model", json!("persons"));
    let detail = "HTTP batch exports only support the events model.";
    org.owner.post(&org.at("batch_exports/"), body).invalid(None, "invalid_input", detail);
    assert_eq!(org.owner.get(&org.at("batch_exports/")).json(200)["count"], 0);
}

#[test]
fn secrets_are_kept_and_never_shown() {
    let server = Server::start();
    let org = server.org();
    let made = create(&org, with(no_op(), "destination", s3()));
    let shown = json!({"type": "S3", "config": {"bucket_name": "b", "region": "r", "prefix": "p"}});
    assert_eq!(made["destination"], shown);
    // What a client was shown can be sent back; what is stored besides stays, conversions show.
    let config = json!({"bucket_name": "c", "compression": null, "max_file_size_mb": "7"});
    let changed = patch(&org, &made, json!({"destination": {"config": config}})).json(200);
    let shown =
        json!({"bucket_name": "c", "region": "r", "prefix": "p", "compression": null, "max_file_size_mb": 7});
    assert_eq!(changed["destination"]["config"], shown);
    let whole = json!({"name": "x", "interval": "day", "destination": {"type": "S3", "config": {"bucket_name": "d"}}});
    let put = org.owner.put(&at(&org, &made, ""), whole).json(200);
    assert_eq!((&put["interval"], &put["destination"]["config"]["region"]), (&json!("day"), &json!("r")));
    for tail in ["pause/", "unpause/", "backfill/"] {
        let answer = org
            .owner
            .post(&at(&org, &made, tail), json!({"start_at": null, "end_at": "2021-01-01T00:00:00Z"}));
        assert!(!answer.text().contains("hidden-secret") && !answer.text().contains("AKIA-one"), "{tail}");
    }
    patch(&org, &made, json!({"destination": {"type": "HTTP", "config": {"url": "http://x"}}})).invalid(
        "destination",
        "invalid_input",
        "Cannot change destination type from 'S3' to 'HTTP'. Delete this batch export and create a new one with the new destination type.",
    );
    assert_eq!(show(&org, &made)["destination"]["type"], "S3");
}

#[test]
fn put_needs_what_post_needs_and_keeps_the_rest() {
    let server = Server::start();
    let org = server.org();
    let made = create(&org, with(no_op(), "end_at", json!("2030-01-01T00:00:00Z")));
    org.owner.put(&at(&org, &made, ""), json!({"name": "x"})).invalid(
        "destination",
        "required",
        "This field is required.",
    );
    let put = org.owner.put(&at(&org, &made, ""), with(no_op(), "name", json!("y"))).json(200);
    assert_eq!((&put["name"], &put["end_at"]), (&json!("y"), &json!("2030-01-01T00:00:00Z")));
    assert_eq!(patch(&org, &made, json!({"end_at": null})).json(200)["end_at"], Value::Null);
}

#[test]
fn short_intervals_need_the_operators_leave() {
    let often = with(no_op(), "interval", json!("every 5 minutes"));
    let server = Server::start();
    let org = server.org();
    let detail = "Higher frequency exports are not enabled for this team.";
    org.owner.post(&org.at("batch_exports/"), often.clone()).denied(detail);
    let made = create(&org, no_op());
    patch(&org, &made, json!({"interval": "every 5 minutes"})).denied(detail);
    assert_eq!(show(&org, &made)["interval"], "hour");
    let server = Server::with(|config| config.exports.export_high_frequency = true);
    assert_eq!(create(&server.org(), often)["interval"], "every 5 minutes");
}

#[test]
fn pausing_twice_changes_nothing_the_second_time() {
    let server = Server::start();
    let org = server.org();
    let made = create(&org, with(no_op(), "paused", json!(true)));
    assert_eq!((&made["paused"], &made["last_paused_at"]), (&json!(true), &Value::Null));
    let act = |action: &str| org.owner.post(&at(&org, &made, action), json!({})).json(200);
    assert_eq!(act("pause/")["last_paused_at"], Value::Null);
    assert_eq!(act("unpause/")["paused"], false);
    let paused = act("pause/");
    assert!(paused["last_paused_at"].is_string() && paused["paused"] == true);
    assert_eq!(act("pause/"), paused);
    let unpaused = act("unpause/");
    assert_eq!(unpaused["last_paused_at"], paused["last_paused_at"]);
    assert_eq!(act("unpause/"), unpaused);
}

#[test]
fn a_deleted_export_is_gone_for_everything() {
    let server = Server::start();
    let org = server.org();
    let (made, other) = (create(&org, no_op()), create(&org, no_op()));
    org.owner.delete(&at(&org, &made, "")).no_content();
    org.owner.delete(&at(&org, &made, "")).not_found();
    org.owner.get(&at(&org, &made, "")).not_found();
    org.owner.get(&at(&org, &made, "logs/")).not_found();
    org.owner.post(&at(&org, &made, "backfill/"), json!({})).not_found();
    let left = org.owner.get(&org.at("batch_exports/")).json(200);
    assert_eq!((&left["count"], &left["results"][0]["id"]), (&json!(1), &other["id"]));
    let stranger = server.org();
    stranger.owner.get(&stranger.at(&format!("batch_exports/{}/", text(&other["id"])))).not_found();
    org.owner.get(&org.at("batch_exports/nonsense/")).not_found();
}

#[test]
fn exports_go_with_their_project_and_their_organization() {
    let server = Server::start();
    let org = server.org();
    let second = org.owner.post(&org.at("projects/"), json!({"name": "Second"})).json(201)["id"].clone();
    create(&org, no_op());
    org.owner.delete(&org.at(&format!("projects/{second}/"))).no_content();
    assert_eq!(org.owner.get(&org.at("batch_exports/")).json(200)["count"], 0);
    create(&org, no_op());
    org.owner.delete(&org.at("")).no_content();
}

fn backfill(org: &Org, export: &Value, body: Value) -> Answer {
    org.owner.post(&at(org, export, "backfill/"), body)
}

#[test]
fn a_backfill_needs_sensible_bounds() {
    let server = Server::start();
    let org = server.org();
    let made = create(&org, no_op());
    let to_s3 = create(&org, with(no_op(), "destination", s3()));
    let z = |text: &str| json!(format!("{text}Z"));
    for (start, end, detail) in [
        (json!("not a date"), json!(null), "Input not a date is not a valid ISO formatted datetime."),
        (json!(12345), json!(null), "Input 12345 is not a valid ISO formatted datetime."),
        (json!("2021-01-01T00:00:00"), json!(null), "Input 2021-01-01T00:00:00 is naive."),
        (json!("2021-01-01"), json!(null), "Input 2021-01-01 is naive."),
        (
            z("2021-01-01T00:00:00"),
            z("2021-01-01T00:00:00"),
            "The initial backfill datetime 'start_at' happens after 'end_at'",
        ),
        (
            z("2021-01-01T00:00:00"),
            z("2121-01-01T00:00:00"),
            "The provided 'end_at' (2121-01-01T00:00:00+00:00) is too far into the future. Cannot backfill beyond 1 batch period into the future.",
        ),
    ] {
        backfill(&org, &made, json!({"start_at": start, "end_at": end})).invalid(
            None,
            "invalid_input",
            detail,
        );
    }
    let detail = "Backfilling a BatchExport with no end date is not allowed";
    backfill(&org, &to_s3, json!({"start_at": z("2021-01-01T00:00:00")})).invalid(
        None,
        "invalid_input",
        detail,
    );
    assert_eq!(show(&org, &made)["latest_runs"], json!([]));
}

#[test]
fn a_backfill_may_reach_one_interval_ahead_and_no_further() {
    let server = Server::start();
    let org = server.org();
    org.owner.patch(&org.project_at(""), json!({"timezone": "Asia/Tokyo"})).json(200);
    for (interval, seconds) in [("hour", 3600), ("day", 24 * 3600), ("week", 7 * 24 * 3600)] {
        let made = create(&org, with(no_op(), "interval", json!(interval)));
        let end = |more: i64| server.app.clock.now().plus_seconds(seconds + more).to_string();
        backfill(&org, &made, json!({"end_at": end(-60)})).json(200);
        let message = backfill(&org, &made, json!({"end_at": end(60)})).reason();
        let (front, back) = message.split_once("+09:00) ").expect("the time in Tokyo");
        assert!(front.starts_with("The provided 'end_at' (20"), "{message}");
        let rest = "is too far into the future. Cannot backfill beyond 1 batch period into the future.";
        assert_eq!(back, rest);
    }
}

/// Start and end of the runs, oldest first, once all of them are over.
fn runs(server: &Server, org: &Org, export: &Value, count: usize) -> Vec<Value> {
    let mut runs = Vec::new();
    server.until("the runs are over", || {
        runs = show(org, export)["latest_runs"].as_array().expect("runs").clone();
        runs.len() == count && runs.iter().all(|run| run["finished_at"].is_string())
    });
    runs.reverse();
    runs
}

fn intervals(runs: &[Value]) -> Vec<(String, String)> {
    let bound = |value: &Value| value.as_str().unwrap_or("null").to_owned();
    runs.iter().map(|run| (bound(&run["data_interval_start"]), bound(&run["data_interval_end"]))).collect()
}

#[test]
fn a_backfill_goes_in_whole_steps_from_its_own_start() {
    let server = Server::start();
    let org = server.org();
    let made = create(&org, with(no_op(), "paused", json!(true)));
    let body = json!({"start_at": "2021-01-01T10:10:00Z", "end_at": "2021-01-01T12:30:00Z"});
    let answer = backfill(&org, &made, body).json(200);
    let id = text(&made["id"]);
    let name = format!("{id}-Backfill-2021-01-01T10:10:00+00:00-2021-01-01T12:30:00+00:00");
    assert_eq!((&answer["backfill_id"], &answer["paused"]), (&json!(name), &json!(true)));
    let all = runs(&server, &org, &made, 2);
    let hour = |from: &str, to: &str| (format!("2021-01-01T{from}:00Z"), format!("2021-01-01T{to}:00Z"));
    assert_eq!(intervals(&all), [hour("10:10", "11:10"), hour("11:10", "12:10")]);
    for run in &all {
        assert_eq!((&run["status"], &run["records_completed"]), (&json!("Completed"), &json!(0)));
        assert_eq!(
            (&run["batch_export"], &run["latest_error"], &run["cursor"]),
            (&json!(id), &Value::Null, &Value::Null)
        );
    }
    let message = "Successfully finished exporting historical batches in 2021-01-01T10:10:00+00:00 - 2021-01-01T12:30:00+00:00";
    server.until("the backfill is over", || {
        messages(&org, &made, "").first().is_some_and(|last| last == message)
    });
    // When it is over it may be started again; a range of less than a step has no run.
    backfill(&org, &made, json!({"start_at": "2021-01-01T10:00:00Z", "end_at": "2021-01-01T10:59:00Z"}))
        .json(200);
    runs(&server, &org, &made, 2);
}

#[test]
fn a_backfill_from_the_beginning_is_one_run() {
    let server = Server::start();
    let org = server.org();
    let made = create(&org, no_op());
    let answer = backfill(&org, &made, json!({"end_at": "2021-01-01T00:00:00-05:00"})).json(200);
    assert!(text(&answer["backfill_id"]).ends_with("-Backfill-START-2021-01-01T05:00:00+00:00"));
    let all = runs(&server, &org, &made, 1);
    assert_eq!(intervals(&all), [("null".into(), "2021-01-01T05:00:00Z".into())]);
}

#[test]
fn a_backfill_without_end_unpauses_at_the_present() {
    let server = Server::start();
    let org = server.org();
    let made = create(&org, with(no_op(), "paused", json!(true)));
    let now = server.app.clock.now();
    let start = now.plus_seconds(-2 * 60 * 60 - 60).to_string();
    let answer = backfill(&org, &made, json!({"start_at": start})).json(200);
    assert!(text(&answer["backfill_id"]).ends_with("-END"));
    runs(&server, &org, &made, 2);
    server.until("the export runs again", || show(&org, &made)["paused"] == false);
}

/// What the log says, newest first.
fn messages(org: &Org, export: &Value, query: &str) -> Vec<String> {
    let page = org.owner.get(&at(org, export, &format!("logs/?limit=500{query}"))).json(200);
    let rows = page["results"].as_array().expect("entries");
    assert_eq!(page["count"], rows.len());
    rows.iter().map(|row| text(&row["message"])).collect()
}

#[test]
fn the_log_tells_the_story_and_can_be_searched() {
    let server = Server::start();
    let org = server.org();
    let made = create(&org, no_op());
    backfill(&org, &made, json!({"start_at": "2021-01-01T10:00:00Z", "end_at": "2021-01-01T11:00:00Z"}))
        .json(200);
    let run = runs(&server, &org, &made, 1).remove(0);
    let range = "2021-01-01T10:00:00+00:00 - 2021-01-01T11:00:00+00:00";
    let story = [
        format!("Creating historical export for batches in range {range}"),
        format!("Starting batch export for range {range}"),
        format!("Batch exporting range {range}"),
        format!("Successfully finished exporting batch {range}"),
        format!("Successfully finished exporting historical batches in {range}"),
    ];
    server.until("the backfill is over", || messages(&org, &made, "").len() == story.len());
    let mut message = messages(&org, &made, "");
    message.reverse();
    assert_eq!(message, story);
    assert_eq!(messages(&org, &made, "&search=SUCCESSFULLY").len(), 2);
    assert_eq!(messages(&org, &made, &format!("&instance_id={}", text(&run["id"]))).len(), 3);
    assert_eq!(messages(&org, &made, "&level=info&level=error").len(), 5);
    assert_eq!(messages(&org, &made, "&level=WARNING").len(), 0);
    assert_eq!(messages(&org, &made, "&before=2021-01-01T00:00:00Z").len(), 0);
    assert_eq!(messages(&org, &made, "&after=2121-01-01T00:00:00Z").len(), 0);
    let entry = org.owner.get(&at(&org, &made, "logs/?limit=1")).json(200)["results"][0].clone();
    assert_eq!((&entry["log_source_id"], &entry["level"]), (&made["id"], &json!("INFO")));
    for query in ["limit=0", "limit=501", "limit=x"] {
        let answer = org.owner.get(&at(&org, &made, &format!("logs/?{query}")));
        answer.invalid("limit", "invalid_input", "A whole number from 1 to 500 is required.");
    }
    assert_eq!(org.owner.get(&at(&org, &made, "logs/?after=yesterday")).status, 400);
}

/// Until just after the next full hour.
fn next_hour(server: &Server) -> (String, String) {
    let now = server.app.clock.now();
    let start = orgd::clock::Time(now.0 - now.0.rem_euclid(3_600_000_000));
    let end = start.plus_seconds(3600);
    server.pass(Duration::from_micros((end.0 - now.0).unsigned_abs() + 1));
    (start.to_string(), end.to_string())
}

#[test]
fn a_run_comes_at_every_full_hour_and_not_before() {
    let server = Server::start();
    let org = server.org();
    let made = create(&org, no_op());
    assert_eq!(show(&org, &made)["latest_runs"], json!([]));
    let first = next_hour(&server);
    assert_eq!(intervals(&runs(&server, &org, &made, 1)), std::slice::from_ref(&first));
    let second = next_hour(&server);
    assert_eq!(intervals(&runs(&server, &org, &made, 2)), [first, second]);
}

#[test]
fn what_a_downtime_missed_is_caught_up_on_oldest_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("orgd.redb");
    let (mut org, made, now) = {
        let server = Server::on_file(&path);
        let org = server.org();
        (org.clone(), create(&org, no_op()), server.app.clock.now())
    };
    let server = Server::on_file(&path);
    org.owner.address = server.address;
    server.pass(Duration::from_secs(8 * 3600));
    let all = intervals(&runs(&server, &org, &made, 8));
    assert!(all.windows(2).all(|pair| pair[0].1 == pair[1].0), "{all:?}");
    assert!(all[0].1 > now.to_string());
}

#[test]
fn what_passes_while_paused_is_made_up_for_only_on_demand() {
    let server = Server::start();
    let org = server.org();
    let made = create(&org, no_op());
    let act = |action: &str, body: Value| org.owner.post(&at(&org, &made, action), body).json(200);
    act("pause/", json!({}));
    next_hour(&server);
    next_hour(&server);
    assert_eq!(act("unpause/", json!({}))["latest_runs"], json!([]));
    act("pause/", json!({}));
    server.pass(Duration::from_secs(2 * 3600 + 60));
    let answer = act("unpause/", json!({"backfill": true}));
    assert!(text(&answer["backfill_id"]).contains("-Backfill-"));
    let all = intervals(&runs(&server, &org, &made, 2));
    assert_eq!(all[0].1, all[1].0);
}

#[test]
fn a_backfill_at_unpausing_needs_a_pause() {
    let server = Server::start();
    let org = server.org();
    let made = create(&org, no_op());
    let unpause =
        |export: &Value| org.owner.post(&at(&org, export, "unpause/"), json!({"backfill": true})).json(200);
    let untouched = unpause(&made);
    assert_eq!(untouched, made);
    assert_eq!(messages(&org, &made, ""), [] as [String; 0]);
    // What was created paused was never paused, and is made up for from its creation on.
    let paused = create(&org, with(no_op(), "paused", json!(true)));
    let created = orgd::clock::Time::parse(&text(&paused["created_at"])).expect("a time");
    server.pass(Duration::from_secs(2 * 3600 + 60));
    let start = orgd::resources::batch_exports::isoformat(created);
    let name = text(&unpause(&paused)["backfill_id"]);
    assert!(name.starts_with(&format!("{}-Backfill-{start}-", text(&paused["id"]))), "{name}");
    let all = intervals(&runs(&server, &org, &paused, 2));
    assert_eq!(all[0], (created.to_string(), created.plus_seconds(3600).to_string()));
    // A pause shorter than an interval has no whole step.
    for action in ["pause/", "unpause/"] {
        org.owner.post(&at(&org, &paused, action), json!({"backfill": true})).json(200);
    }
    server.until("the backfill is over", || {
        messages(&org, &paused, "&search=Successfully%20finished%20exporting%20historical").len() == 2
    });
    assert_eq!(show(&org, &paused)["latest_runs"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_changed_schedule_counts_from_the_next_run_on() {
    let server = Server::start();
    let org = server.org();
    let never = create(&org, no_op());
    let daily = create(&org, no_op());
    let hourly = create(&org, with(no_op(), "paused", json!(true)));
    patch(&org, &never, json!({"paused": true})).json(200);
    patch(&org, &daily, json!({"interval": "day"})).json(200);
    patch(&org, &hourly, json!({"paused": false})).json(200);
    let first = next_hour(&server);
    assert_eq!(intervals(&runs(&server, &org, &hourly, 1)), [first]);
    assert_eq!(show(&org, &never)["latest_runs"], json!([]));
    // Days begin at midnight in UTC, wherever the project is.
    org.owner.patch(&org.project_at(""), json!({"timezone": "Asia/Tokyo"})).json(200);
    server.pass(Duration::from_secs(24 * 3600));
    server.until("a day is over", || show(&org, &daily)["latest_runs"][0].is_object());
    let run = &show(&org, &daily)["latest_runs"][0];
    let (start, end) = (text(&run["data_interval_start"]), text(&run["data_interval_end"]));
    assert!(start.ends_with("T00:00:00Z") && end.ends_with("T00:00:00Z") && start < end, "{run}");
}

#[test]
fn the_newest_ten_runs_are_shown() {
    let server = Server::start();
    let org = server.org();
    let made = create(&org, with(no_op(), "paused", json!(true)));
    let range = json!({"start_at": "2021-01-01T00:00:00Z", "end_at": "2021-01-01T20:00:00Z"});
    backfill(&org, &made, range).json(200);
    let message = "Successfully%20finished%20exporting%20historical";
    server.until("the backfill is over", || messages(&org, &made, &format!("&search={message}")).len() == 1);
    let latest = show(&org, &made)["latest_runs"].clone();
    let shown = intervals(latest.as_array().expect("runs"));
    let hour = |hour: u32| format!("2021-01-01T{hour:02}:00:00Z");
    assert_eq!(shown, (10..20).rev().map(|from| (hour(from), hour(from + 1))).collect::<Vec<_>>());
    let mut run = latest[0].clone();
    for name in ["id", "created_at", "finished_at", "last_updated_at"] {
        assert!(run[name].take().is_string(), "{name}");
    }
    assert_eq!(
        run,
        json!({
            "id": null, "status": "Completed", "records_completed": 0, "latest_error": null,
            "data_interval_start": hour(19), "data_interval_end": hour(20), "cursor": null, "created_at": null,
            "finished_at": null, "last_updated_at": null, "records_total_count": 0, "batch_export": made["id"],
        })
    );
    // The log has a page of its own kind: as many entries as the caller wants, and no next page.
    let page = org.owner.get(&at(&org, &made, "logs/")).json(200);
    assert_eq!((&page["count"], &page["next"], &page["previous"]), (&json!(50), &Value::Null, &Value::Null));
    let all = org.owner.get(&at(&org, &made, "logs/?limit=500")).json(200);
    assert_eq!(all["count"], 20 * 3 + 2);
    let times: Vec<String> =
        all["results"].as_array().expect("entries").iter().map(|entry| text(&entry["timestamp"])).collect();
    assert!(times.is_sorted_by(|newer, older| newer >= older), "{times:?}");
    // Bounds are exclusive.
    let (newest, oldest) = (&times[0], &times[times.len() - 1]);
    let count = |query: &str| {
        org.owner.get(&at(&org, &made, &format!("logs/?limit=500&{query}"))).json(200)["count"].clone()
    };
    let not_the = |time: &String| times.iter().filter(|other| *other != time).count();
    assert_eq!(count(&format!("after={newest}")), 0);
    assert_eq!(count(&format!("before={oldest}")), 0);
    assert_eq!(count(&format!("after={oldest}")), not_the(oldest));
    assert_eq!(count(&format!("before={newest}")), not_the(newest));
}

#[test]
fn the_bounds_of_the_schedule_are_kept() {
    let server = Server::start();
    let org = server.org();
    let now = server.app.clock.now();
    let hours = |count: i64| json!(now.plus_seconds(count * 3600).to_string());
    let later = create(&org, with(no_op(), "start_at", hours(5)));
    let over = create(&org, with(no_op(), "end_at", hours(-1)));
    let plain = create(&org, no_op());
    next_hour(&server);
    runs(&server, &org, &plain, 1);
    assert_eq!(
        (&show(&org, &later)["latest_runs"], &show(&org, &over)["latest_runs"]),
        (&json!([]), &json!([]))
    );
    server.pass(Duration::from_secs(5 * 3600));
    runs(&server, &org, &later, 1);
    assert_eq!(show(&org, &over)["latest_runs"], json!([]));
}

#[test]
fn a_warehouse_that_cannot_be_reached_is_a_failure_and_ten_of_them_pause() {
    let server = Server::start();
    let org = server.org();
    let config = json!({"account": "a", "user": "u", "database": "d", "warehouse": "w", "schema": "s", "password": "hidden"});
    let made = create(&org, with(no_op(), "destination", json!({"type": "Snowflake", "config": config})));
    backfill(&org, &made, json!({"start_at": "2021-01-01T00:00:00Z", "end_at": "2021-01-02T00:00:00Z"}))
        .json(200);
    server.until("the export pauses by itself", || show(&org, &made)["paused"] == true);
    let all = runs(&server, &org, &made, 10);
    for run in all {
        assert_eq!((&run["status"], &run["records_completed"]), (&json!("Failed"), &Value::Null));
        assert!(text(&run["latest_error"]).contains("cannot deliver to Snowflake"));
    }
    assert_eq!(messages(&org, &made, "&search=automatically%20paused").len(), 1);
    assert_eq!(messages(&org, &made, "&search=Historical%20export%20was%20cancelled.").len(), 1);
}

#[test]
fn the_list_is_newest_first_and_comes_in_pages() {
    let server = Server::start();
    let org = server.org();
    let made: Vec<Value> = (0..3).map(|_| create(&org, no_op())["id"].clone()).collect();
    let page = org.owner.get(&org.at("batch_exports/?limit=2")).json(200);
    assert_eq!(
        (&page["count"], &page["results"][0]["id"], &page["results"][1]["id"]),
        (&json!(3), &made[2], &made[1])
    );
    assert!(page["next"].is_string());
    let rest = org.owner.get(&org.at("batch_exports/?limit=2&offset=2")).json(200);
    assert_eq!((&rest["count"], rest["results"].as_array().map(Vec::len)), (&json!(3), Some(1)));
    assert_eq!((&rest["results"][0]["id"], &rest["next"]), (&made[0], &Value::Null));
    assert!(rest["previous"].is_string());
}

#[test]
fn a_form_can_create_one_as_well() {
    let server = Server::start();
    let org = server.org();
    let person: &Person = &org.owner;
    let destination = json!({"type": "NoOp", "config": {}}).to_string();
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("name", "n"), ("interval", "hour"), ("destination", &destination)])
        .finish();
    person.send_form(ureq::http::Method::POST, &org.at("batch_exports/"), &form).json(201);
}
