//! Queries that choose the exported columns: what is accepted, what is refused, and what leaves.

use serde_json::{Value, json};
use ureq::http::Method;

use crate::exports_s3;
use crate::support::exports::{at, backfill, capture, completed, last_run};
use crate::support::{Answer, Org, Receiver, S3, Server};

fn export(query: Value) -> Value {
    let destination = json!({"type": "NoOp", "config": {}});
    json!({"name": "n", "interval": "hour", "destination": destination, "hogql_query": query})
}

fn post(org: &Org, body: Value) -> Answer {
    org.owner.post(&org.at("batch_exports/"), body)
}

fn one(org: &Org, export: &Value) -> String {
    at(org, export, "")
}

#[test]
fn a_query_becomes_a_schema_in_every_answer() {
    let server = Server::start();
    let org = server.org();
    let browser = "replaceRegexpAll(nullIf(nullIf(JSONExtractRaw(events.properties, %(hogql_val_0)s), ''), 'null'), '^\"|\"$', '')";
    for (query, schema) in [
        (
            "SELECT event AS e FROM events",
            json!({
                "fields": [{"expression": "events.event", "alias": "e"}], "values": {},
                "hogql_query": "SELECT event AS e FROM events",
            }),
        ),
        (
            "select event, team_id as my_team,\n properties.$browser as browser from events",
            json!({
                "fields": [
                    {"expression": "events.event", "alias": "event"},
                    {"expression": "events.team_id", "alias": "my_team"},
                    {"expression": browser, "alias": "browser"},
                ],
                "values": {"hogql_val_0": "$browser"},
                "hogql_query": "SELECT event, team_id AS my_team, properties.$browser AS browser FROM events",
            }),
        ),
        (
            "select toString(uuid) as uuid, 'test' as test, toInt(1+1) as n from events",
            json!({
                "fields": [
                    {"expression": "toString(events.uuid)", "alias": "uuid"},
                    {"expression": "%(hogql_val_0)s", "alias": "test"},
                    {"expression": "accurateCastOrNull(plus(1, 1), %(hogql_val_1)s)", "alias": "n"},
                ],
                "values": {"hogql_val_0": "test", "hogql_val_1": "Int64"},
                "hogql_query": "SELECT toString(uuid) AS uuid, 'test' AS test, toInt(plus(1, 1)) AS n FROM events",
            }),
        ),
        // Rows are not chosen by the query.
        (
            "SELECT event FROM events WHERE event = 'a'",
            json!({
                "fields": [{"expression": "events.event", "alias": "event"}], "values": {},
                "hogql_query": "SELECT event FROM events WHERE equals(event, 'a')",
            }),
        ),
    ] {
        let answer = post(&org, export(json!(query)));
        let made = answer.json(201);
        assert_eq!((&made["schema"], &made["hogql_query"]), (&schema, &schema["hogql_query"]));
        assert!(answer.text().contains("\"schema\":{\"fields\":[{\"expression\":"), "{}", answer.text());
        assert_eq!(org.owner.get(&one(&org, &made)).json(200), made);
        assert_eq!(org.owner.get(&org.at("batch_exports/?limit=1")).results(), [made]);
    }
    let form = "name=n&interval=hour&hogql_query=SELECT+event+FROM+events\
                &destination=%7B%22type%22%3A%22NoOp%22%2C%22config%22%3A%7B%7D%7D";
    let made = org.owner.send_form(Method::POST, &org.at("batch_exports/"), form).json(201);
    assert_eq!(made["hogql_query"], "SELECT event FROM events");
}

#[test]
fn what_is_no_query_for_exports_is_refused_and_changes_nothing() {
    let server = Server::start();
    let org = server.org();
    let made = post(&org, export(json!("SELECT event FROM events"))).json(201);
    let is_invalid = |query: &Value, reason: &str| (query.clone(), "invalid_input", reason.to_owned());
    let mut table = vec![(json!(null), "null", "This field may not be null.".to_owned())];
    for query in [json!(1), json!(true), json!([]), json!({}), json!(""), json!(" "), json!("SELECT")] {
        table.push(is_invalid(&query, "Failed to parse query"));
    }
    for (query, detail) in [
        ("SELECT event,, FROM events", "Failed to parse query"),
        ("SELECT unknown_field FROM events", "Invalid HogQL query: Unable to resolve field: unknown_field"),
        (
            "SELECT toInt32(1) FROM events",
            "Invalid HogQL query: Unsupported function call 'toInt32(...)'. Perhaps you meant 'toInt(...)'?",
        ),
        ("SELECT * FROM events", "Unsupported HogQL query"),
        ("SELECT event FROM events LIMIT 1", "Unsupported HogQL query"),
        ("SELECT event FROM events UNION ALL SELECT event FROM events", "UNIONs are not supported"),
        ("SELECT 1", "Query must SELECT FROM events"),
        ("SELECT id FROM persons", "Query must only SELECT FROM events"),
        ("SELECT event FROM events JOIN persons ON 1", "JOINs are not supported"),
        ("SELECT event FROM (SELECT event FROM events)", "Subqueries or CTEs are not supported"),
        ("WITH e AS (SELECT 1) SELECT event FROM e", "Subqueries or CTEs are not supported"),
        (
            "SELECT event, event FROM events",
            "Invalid HogQL query: Cannot redefine an alias with the name: event",
        ),
    ] {
        table.push(is_invalid(&json!(query), detail));
    }
    for (query, code, detail) in table {
        post(&org, export(query.clone())).invalid("hogql_query", code, &detail);
        let change = json!({"name": "other", "hogql_query": query});
        org.owner.patch(&one(&org, &made), change).invalid("hogql_query", code, &detail);
        org.owner.put(&one(&org, &made), export(query)).invalid("hogql_query", code, &detail);
    }
    let form = org.owner.send_form(Method::PATCH, &one(&org, &made), "hogql_query=");
    form.invalid("hogql_query", "invalid_input", "Failed to parse query");
    let page = org.owner.get(&org.at("batch_exports/")).json(200);
    assert_eq!((&page["count"], &page["results"][0]), (&json!(1), &made));
}

#[test]
fn hostile_queries_are_refused() {
    let server = Server::start();
    let org = server.org();
    for query in [
        format!("SELECT {}1{} AS x FROM events", "(".repeat(10_000), ")".repeat(10_000)),
        format!("SELECT {}1{} AS x FROM events", "toString(".repeat(5_000), ")".repeat(5_000)),
        format!("SELECT 1{} AS x FROM events", " + 1".repeat(250_000)),
        format!("SELECT 1{} AS x FROM events", " + 1".repeat(10_000)),
        format!("SELECT {} 1 AS x FROM events", "not ".repeat(10_000)),
        format!("SELECT {} 1 AS x FROM events", "- ".repeat(10_000)),
        "(".repeat(60_000),
        "[".repeat(60_000),
        "'".repeat(60_001),
        "\\".repeat(60_000),
        "\0".repeat(100),
        "SELECT '\u{0}' AS \"\\0\" FROM events".to_owned(),
    ] {
        let answer = post(&org, export(json!(query))).json(400);
        assert_eq!((&answer["attr"], &answer["code"]), (&json!("hogql_query"), &json!("invalid_input")));
    }
    assert_eq!(org.owner.get(&org.at("batch_exports/")).json(200)["count"], 0);
}

#[test]
fn a_query_is_replaced_and_never_removed() {
    let server = Server::start();
    let org = server.org();
    let body = |query: Value| {
        let mut body = export(query);
        if body["hogql_query"].is_null() {
            body.as_object_mut().expect("an object").remove("hogql_query");
        }
        body
    };
    let made = post(&org, body(json!(null))).json(201);
    assert_eq!((&made["schema"], &made["hogql_query"]), (&Value::Null, &Value::Null));
    let patch = |change: Value| org.owner.patch(&one(&org, &made), change).json(200);
    assert_eq!(
        patch(json!({"hogql_query": "SELECT event FROM events"}))["hogql_query"],
        "SELECT event FROM events"
    );
    let kept = patch(json!({"name": "m"}));
    assert_eq!(kept["schema"]["fields"][0]["alias"], "event");
    let replaced = patch(json!({"hogql_query": "SELECT uuid AS id FROM events"}));
    let fields = json!([{"expression": "events.uuid", "alias": "id"}]);
    assert_eq!((&replaced["schema"]["fields"], &replaced["name"]), (&fields, &json!("m")));
    // Neither a PUT without one nor a schema in the body takes it away.
    let put = org.owner.put(&one(&org, &made), body(json!(null))).json(200);
    assert_eq!(put["schema"], replaced["schema"]);
    assert_eq!(patch(json!({"schema": null}))["schema"], replaced["schema"]);
    let put = org.owner.put(&one(&org, &made), body(json!("SELECT timestamp FROM events"))).json(200);
    assert_eq!(put["hogql_query"], "SELECT timestamp FROM events");
}

#[test]
fn a_query_is_about_events() {
    let server = Server::start();
    let org = server.org();
    let detail = "Invalid HogQL query: A query chooses columns of events, and the model of this batch export is another";
    let mut body = export(json!("SELECT event FROM events"));
    body["model"] = json!("persons");
    post(&org, body.clone()).invalid("hogql_query", "invalid_input", detail);
    body["model"] = Value::Null;
    let made = post(&org, body).json(201);
    // The query stays for the time when the model is events again.
    let patch = |change: Value| org.owner.patch(&one(&org, &made), change);
    assert_eq!(patch(json!({"model": "persons"})).json(200)["schema"], made["schema"]);
    patch(json!({"hogql_query": "SELECT uuid FROM events"})).invalid("hogql_query", "invalid_input", detail);
    patch(json!({"hogql_query": "SELECT uuid FROM events", "model": "events"})).json(200);
}

/// The run over the hour from ten o'clock of an export of events by a query.
fn run_of(server: &Server, org: &Org, destination: Value, query: &str) -> Value {
    let mut body = export(json!(query));
    body["destination"] = destination;
    body["paused"] = json!(true);
    let export = post(org, body).json(201);
    backfill(org, &export, "10:00", "11:00");
    last_run(server, org, &export)
}

fn to_bucket(bucket: &S3, more: Value) -> Value {
    json!({"type": "S3", "config": exports_s3::config(bucket, more)})
}

fn events() -> [Value; 2] {
    let uuid = "018c0d7e-1111-7000-8000-000000000001";
    [
        json!({
            "event": "seen", "distinct_id": "d1", "uuid": uuid, "timestamp": "2021-01-01T10:20:30.25Z",
            "properties": {
                "$browser": "Firefox \"ESR\"", "price": 19.5, "count": "3", "none": null, "flag": false,
                "cart": {"items": [1, {"name": "Zoë"}]}, "$set": {"email": "zoe@example.com"}, "$ip": "1.2.3.4",
            },
        }),
        json!({"event": "left", "distinct_id": "d2", "uuid": uuid, "timestamp": "2021-01-01T10:59:00Z", "properties": {"$ip": "1.2.3.4"}}),
    ]
}

#[test]
fn files_hold_exactly_the_columns_of_the_query() {
    let server = Server::start();
    let org = server.org();
    let bucket = S3::with_bucket("events");
    capture(&server, &org, &events());
    let query = "SELECT uuid, event AS name, team_id, properties.$browser AS browser, properties.none, \
                 properties.cart.items AS items, properties['cart'] AS cart, properties.flag, \
                 toFloat(properties.price) * 2 AS twice, toInt(properties.count) + 1 AS more, \
                 person.properties.email AS email, timestamp, toStartOfHour(timestamp) AS hour, \
                 coalesce(properties.$browser, 'unknown') = 'unknown' AS is_unknown, now() > timestamp AS is_past, \
                 properties.$ip IS NOT NULL AND event = 'seen' AS both \
                 FROM events WHERE event = 'nothing is chosen by this'";
    completed(&run_of(&server, &org, to_bucket(&bucket, json!({})), query), 2);
    let whole = bucket.object("events", &format!("p/{}.jsonl", exports_s3::RANGE));
    let lines = exports_s3::lines(&whole);
    let whole = String::from_utf8_lossy(&whole);
    let uuid = "018c0d7e-1111-7000-8000-000000000001";
    assert_eq!(
        lines,
        [
            json!({
                "uuid": uuid, "name": "seen", "team_id": org.project, "browser": "Firefox \"ESR\"", "none": null,
                "items": "[1,{\"name\":\"Zoë\"}]", "cart": "{\"items\":[1,{\"name\":\"Zoë\"}]}", "flag": "false",
                "twice": 39.0, "more": 4, "email": "zoe@example.com",
                "timestamp": "2021-01-01T10:20:30.250000+00:00", "hour": "2021-01-01T10:00:00+00:00",
                "is_unknown": false, "is_past": true, "both": true,
                "_inserted_at": "2021-01-01T10:20:30.250000+00:00",
            }),
            json!({
                "uuid": uuid, "name": "left", "team_id": org.project, "browser": null, "none": null, "items": null,
                "cart": null, "flag": null, "twice": null, "more": null, "email": null,
                "timestamp": "2021-01-01T10:59:00+00:00", "hour": "2021-01-01T10:00:00+00:00",
                "is_unknown": true, "is_past": true, "both": false, "_inserted_at": "2021-01-01T10:59:00+00:00",
            }),
        ]
    );
    // In the order of the query, and what is added comes last.
    assert!(whole.starts_with("{\"uuid\":") && whole.contains(",\"both\":true,\"_inserted_at\":"), "{whole}");
}

#[test]
fn a_column_may_take_the_name_of_the_added_one() {
    let server = Server::start();
    let org = server.org();
    let bucket = S3::with_bucket("events");
    capture(&server, &org, &events()[..1]);
    let query = "SELECT properties, event AS _inserted_at FROM events";
    completed(&run_of(&server, &org, to_bucket(&bucket, json!({})), query), 1);
    let whole = bucket.object("events", &bucket.keys("events")[0]);
    let line: Value = serde_json::from_slice(&whole).expect("one line of JSON");
    assert_eq!(line, json!({"properties": events()[0]["properties"], "_inserted_at": "seen"}));
}

#[test]
fn what_goes_over_http_has_its_own_form() {
    let server = Server::start();
    let org = server.org();
    let receiver = Receiver::answering(&[]);
    capture(&server, &org, &events());
    let destination = json!({"type": "HTTP", "config": {"url": receiver.url("/"), "token": "t"}});
    let query = "SELECT event AS only FROM events";
    completed(&run_of(&server, &org, destination, query), 2);
    let sent = receiver.events();
    let names: Vec<&String> = sent[0].as_object().expect("an object").keys().collect();
    assert_eq!(names, ["uuid", "distinct_id", "timestamp", "event", "properties"]);
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_files_get_columns_of_the_types_of_the_query() {
    let server = Server::start();
    let org = server.org();
    let bucket = S3::with_bucket("events");
    capture(&server, &org, &events()[..1]);
    let query = "SELECT uuid, event AS name, properties, properties.price AS price, team_id, \
                     toFloat(properties.price) AS amount, event = 'seen' AS was_seen, timestamp, \
                     toInt(properties.missing) AS missing, null AS nothing FROM events";
    completed(&run_of(&server, &org, to_bucket(&bucket, json!({"file_format": "Parquet"})), query), 1);
    let file = crate::parquet_files::reader(&bucket, &format!("p/{}.parquet", exports_s3::RANGE));
    assert_eq!(
        crate::parquet_files::schema(&file),
        "message schema {
  OPTIONAL BYTE_ARRAY uuid (STRING);
  OPTIONAL BYTE_ARRAY name (STRING);
  OPTIONAL BYTE_ARRAY properties (STRING);
  OPTIONAL BYTE_ARRAY price (STRING);
  OPTIONAL INT64 team_id;
  OPTIONAL DOUBLE amount;
  OPTIONAL BOOLEAN was_seen;
  OPTIONAL INT64 timestamp (TIMESTAMP(MICROS,true));
  OPTIONAL INT64 missing;
  OPTIONAL BYTE_ARRAY nothing (STRING);
  OPTIONAL INT64 _inserted_at (TIMESTAMP(MICROS,true));
}
"
    );
}
