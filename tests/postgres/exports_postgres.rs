//! What batch exports put into tables, judged by a PostgreSQL server; it stands in for Redshift as well, as
//! far as their SQL is one.

use std::net::TcpListener;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cluster::{Mishap, PASSWORD, Postgres, Way};
use crate::support::exports::{self, completed, event};
use crate::support::{Org, Server, text};

/// Every test of this file, by its name.
pub const TESTS: &[(&str, fn())] = &[
    ("an_event_is_a_row_with_the_documented_columns", an_event_is_a_row_with_the_documented_columns),
    ("rows_are_added_each_time_start_included_end_not", rows_are_added_each_time_start_included_end_not),
    ("an_empty_interval_makes_no_table", an_empty_interval_makes_no_table),
    ("events_are_chosen_by_name", events_are_chosen_by_name),
    ("a_query_chooses_columns_and_their_types", a_query_chooses_columns_and_their_types),
    ("names_with_quotes_are_names", names_with_quotes_are_names),
    (
        "what_the_database_cannot_hold_is_replaced_or_shortened",
        what_the_database_cannot_hold_is_replaced_or_shortened,
    ),
    ("years_of_all_calendars_arrive", years_of_all_calendars_arrive),
    ("persons_are_added_or_renewed", persons_are_added_or_renewed),
    ("persons_need_a_table_with_a_key", persons_need_a_table_with_a_key),
    ("what_no_attempt_can_mend_fails_at_once", what_no_attempt_can_mend_fails_at_once),
    ("every_class_of_errors_passes_or_does_not", every_class_of_errors_passes_or_does_not),
    ("ten_runs_that_can_never_pass_pause_the_export", ten_runs_that_can_never_pass_pause_the_export),
    ("a_table_gets_the_columns_that_it_has", a_table_gets_the_columns_that_it_has),
    ("a_table_of_persons_needs_its_key_and_versions", a_table_of_persons_needs_its_key_and_versions),
    ("who_may_only_add_rows_can_deliver", who_may_only_add_rows_can_deliver),
    ("a_server_that_is_not_there_is_tried_five_times", a_server_that_is_not_there_is_tried_five_times),
    (
        "a_server_that_says_nothing_is_given_ten_seconds_each_time",
        a_server_that_says_nothing_is_given_ten_seconds_each_time,
    ),
    ("connections_are_encrypted_where_the_server_can", connections_are_encrypted_where_the_server_can),
    ("another_machine_must_encrypt", another_machine_must_encrypt),
    (
        "certificates_are_checked_against_the_systems_or_those_that_the_operator_names",
        certificates_are_checked_against_the_systems_or_those_that_the_operator_names,
    ),
    (
        "a_connection_that_breaks_leaves_nothing_and_the_next_attempt_delivers_all_once",
        a_connection_that_breaks_leaves_nothing_and_the_next_attempt_delivers_all_once,
    ),
    ("a_commit_that_nobody_heard_of_is_not_repeated", a_commit_that_nobody_heard_of_is_not_repeated),
    ("deleting_an_export_ends_its_transaction", deleting_an_export_ends_its_transaction),
    ("two_exports_may_make_the_same_table", two_exports_may_make_the_same_table),
    ("redshift_gets_rows_by_insert", redshift_gets_rows_by_insert),
    ("redshift_gets_objects_as_super", redshift_gets_objects_as_super),
    ("redshift_gets_persons_without_on_conflict", redshift_gets_persons_without_on_conflict),
];

/// All there is of a test that needs a database: an organization with events, and the database.
struct Scene {
    server: Server,
    org: Org,
    db: Postgres,
}

impl Scene {
    fn open() -> Scene {
        Scene::with(Postgres::start(), Server::start())
    }

    fn with(db: Postgres, server: Server) -> Scene {
        let org = server.org();
        Scene { server, org, db }
    }

    fn capture(&self, events: &[Value]) {
        exports::capture(&self.server, &self.org, events);
    }

    /// An export of events to the database, which runs by backfills only.
    fn export(&self, more: Value) -> Export<'_> {
        self.export_of("events", "Postgres", more)
    }

    fn export_of(&self, model: &str, kind: &str, more: Value) -> Export<'_> {
        self.export_with(kind, more, json!({"model": model}))
    }

    /// With more fields of the export itself.
    fn export_with(&self, kind: &str, more: Value, fields: Value) -> Export<'_> {
        let mut config = self.db.config();
        config.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let destination = json!({"type": kind, "config": config});
        let mut body = json!({"name": "n", "interval": "hour", "paused": true, "destination": destination});
        body.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
        let export = self.org.owner.post(&self.org.at("batch_exports/"), body).json(201);
        Export { scene: self, at: self.org.at(&format!("batch_exports/{}/", text(&export["id"]))) }
    }
}

struct Export<'a> {
    scene: &'a Scene,
    at: String,
}

impl Export<'_> {
    /// Asks for the hour of the events; what is to come is another matter.
    fn begin(&self) {
        let range = json!({"start_at": "2021-01-01T10:00:00Z", "end_at": "2021-01-01T11:00:00Z"});
        self.scene.org.owner.post(&format!("{}backfill/", self.at), range).json(200);
    }

    /// Asks for everything up to a moment from now, which is all there is of persons.
    fn begin_all(&self) {
        let end = self.scene.server.app.clock.now().plus_seconds(60);
        self.scene
            .org
            .owner
            .post(&format!("{}backfill/", self.at), json!({"end_at": end.to_string()}))
            .json(200);
    }

    fn log(&self) -> String {
        self.scene.org.owner.get(&format!("{}logs/?limit=500", self.at)).text()
    }

    fn latest(&self) -> Value {
        self.scene.org.owner.get(&self.at).json(200)["latest_runs"][0].clone()
    }

    /// The newest run, when its backfill is over.
    fn ended(&self, backfills: usize) -> Value {
        self.scene.server.until("the backfill is over", || {
            self.log().matches("inished exporting historical").count() == backfills
        });
        assert!(!self.log().contains(PASSWORD));
        self.latest()
    }

    /// Delivers the hour of the events, for the first time.
    #[track_caller]
    fn completes(&self, records: usize) {
        self.begin();
        completed(&self.ended(1), records);
    }

    /// Fails for good, and says so.
    #[track_caller]
    fn fails(&self) -> String {
        self.begin();
        let run = self.ended(1);
        assert_eq!((&run["status"], &run["records_completed"]), (&json!("Failed"), &Value::Null));
        text(&run["latest_error"])
    }

    /// Lets time pass until the log says `words` so many times.
    fn wait_for(&self, words: &str, times: usize) {
        self.scene.server.until(words, || self.log().matches(words).count() >= times);
    }
}

/// Several statements' worth of events.
fn large_events(count: usize) -> Vec<Value> {
    let large = |number: usize| {
        let mut event = event(&format!("e{number}"), "10:00:00");
        event["properties"] = json!({"fill": "x".repeat(1_000_000)});
        event
    };
    (0..count).map(large).collect()
}

fn an_event_is_a_row_with_the_documented_columns() {
    let scene = Scene::open();
    let uuid = "018c0d7e-1111-7000-8000-000000000001";
    let clicked = json!({
        "event": "$autocapture", "distinct_id": "d", "uuid": uuid, "timestamp": "2021-01-01T10:00:00.25Z",
        "properties": {
            "$ip": "1.2.3.4", "$set": {"name": "Zoë"}, "$set_once": {}, "$elements_chain": "a:b=\"c\"",
            "text": "tab\tline\nreturn\rback\\slash \\N 'quoted' \"twice\" \\.",
        },
    });
    scene.capture(&[clicked, event("plain", "10:00:01")]);
    let export = scene.export(json!({}));
    export.completes(2);
    let message = format!("to PostgreSQL: {}.public.events", scene.db.name);
    assert!(export.log().contains(&message), "{}", export.log());
    let team = scene.org.project;
    let rows = scene.db.rows("SELECT * FROM events ORDER BY timestamp");
    let properties = json!({
        "$ip": "1.2.3.4", "$set": {"name": "Zoë"}, "$set_once": {},
        "text": "tab\tline\nreturn\rback\\slash \\N 'quoted' \"twice\" \\.",
    });
    assert_eq!(
        rows[0],
        json!({
            "uuid": uuid, "event": "$autocapture", "properties": properties, "elements": "a:b=\"c\"", "set": {"name": "Zoë"},
            "set_once": null, "distinct_id": "d", "team_id": team, "ip": "1.2.3.4", "site_url": null,
            "timestamp": "2021-01-01T10:00:00.25+00:00",
        })
    );
    assert_eq!(
        (&rows[1]["elements"], &rows[1]["set"], &rows[1]["ip"]),
        (&json!(""), &Value::Null, &json!("127.0.0.1"))
    );
    let types = scene.db.rows(
        "SELECT attname, format_type(atttypid, atttypmod) AS type FROM pg_attribute WHERE attrelid = 'events'::regclass AND attnum > 0 ORDER BY attnum",
    );
    let types: Vec<(String, String)> =
        types.iter().map(|row| (text(&row["attname"]), text(&row["type"]))).collect();
    let name = "character varying(200)";
    let wanted = [
        ("uuid", name),
        ("event", name),
        ("properties", "jsonb"),
        ("elements", "jsonb"),
        ("set", "jsonb"),
        ("set_once", "jsonb"),
        ("distinct_id", name),
        ("team_id", "integer"),
        ("ip", name),
        ("site_url", name),
        ("timestamp", "timestamp with time zone"),
    ];
    assert_eq!(types, wanted.map(|(name, kind)| (name.to_owned(), kind.to_owned())));
}

fn rows_are_added_each_time_start_included_end_not() {
    let scene = Scene::open();
    let times = ["09:59:59.999999", "10:00:00", "10:59:59.999999", "11:00:00"];
    scene.capture(&times.map(|time| event(time, time)));
    let export = scene.export(json!({}));
    export.completes(2);
    let names = || {
        scene
            .db
            .rows("SELECT event FROM events ORDER BY event")
            .iter()
            .map(|row| text(&row["event"]))
            .collect::<Vec<_>>()
    };
    assert_eq!(names(), times[1..3]);
    export.begin();
    completed(&export.ended(2), 2);
    assert_eq!(names(), [times[1], times[1], times[2], times[2]]);
}

fn an_empty_interval_makes_no_table() {
    let scene = Scene::open();
    scene.capture(&[event("elsewhere", "12:00:00")]);
    scene.export(json!({})).completes(0);
    assert!(scene.db.rows("SELECT 1 FROM pg_class WHERE relname = 'events'").is_empty());
}

fn events_are_chosen_by_name() {
    let scene = Scene::open();
    scene.capture(&["a", "b", "c"].map(|name| event(name, "10:00:00")));
    scene.export(json!({"include_events": ["a", "b"], "exclude_events": ["b"]})).completes(1);
    assert_eq!(scene.db.rows("SELECT event FROM events"), [json!({"event": "a"})]);
}

/// The columns that a query chose have the types of its values, in each dialect.
fn a_query_chooses_columns_and_their_types() {
    let scene = Scene::open();
    let mut seen = event("seen", "10:00:00");
    seen["properties"] = json!({"a": "x\0y", "n": 1.5, "set": "no \"JSON\"", "more": {"b": [1]}});
    scene.capture(&[seen]);
    let query = "SELECT event AS name, uuid, timestamp AS at, toInt(7) AS n, toFloat(properties.n) AS f, event = 'seen' AS is_seen, properties.a AS a, properties.missing AS missing, properties.set AS set, properties FROM events";
    for (kind, text_type, json_type) in
        [("Postgres", "text", "jsonb"), ("Redshift", "character varying(65535)", "character varying(65535)")]
    {
        let table = format!("chosen_{}", kind.to_lowercase());
        scene.export_with(kind, json!({"table_name": table}), json!({"hogql_query": query})).completes(1);
        let types = scene.db.rows(&format!(
            "SELECT attname, format_type(atttypid, atttypmod) AS type FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0 ORDER BY attnum"
        ));
        let types: Vec<(String, String)> =
            types.iter().map(|row| (text(&row["attname"]), text(&row["type"]))).collect();
        let wanted = [
            ("name", text_type),
            ("uuid", text_type),
            ("at", "timestamp with time zone"),
            ("n", "bigint"),
            ("f", "double precision"),
            ("is_seen", "boolean"),
            ("a", text_type),
            ("missing", text_type),
            ("set", json_type),
            ("properties", json_type),
        ];
        assert_eq!(types, wanted.map(|(name, kind)| (name.to_owned(), kind.to_owned())), "{kind}");
        let row = scene.db.rows(&format!(
            "SELECT name, at, n, f, is_seen, a, missing, to_jsonb(\"set\") AS \"set\", properties::jsonb->'more' AS more FROM {table}"
        ));
        let wanted = json!({
            "name": "seen", "at": "2021-01-01T10:00:00+00:00", "n": 7, "f": 1.5, "is_seen": true, "a": "x\u{fffd}y",
            "missing": null, "set": "no \"JSON\"", "more": {"b": [1]},
        });
        assert_eq!(row, [wanted], "{kind}");
    }
}

fn names_with_quotes_are_names() {
    let scene = Scene::open();
    scene.capture(&[event("a", "10:00:00")]);
    scene.db.run(&format!("CREATE SCHEMA \"it's \"\"x\"\" \\\" AUTHORIZATION \"{}\"", scene.db.user()));
    let odd = "t\"; DROP TABLE users; -- ' \\";
    let export = scene.export(json!({"schema": "it's \"x\" \\", "table_name": odd}));
    export.completes(1);
    export.begin();
    completed(&export.ended(2), 1);
    let found = scene.db.rows("SELECT nspname, relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE relname LIKE 't\"%'");
    assert_eq!(found, [json!({"nspname": "it's \"x\" \\", "relname": odd})]);
    let persons = scene.export_of(
        "persons",
        "Postgres",
        json!({"schema": "it's \"x\" \\", "table_name": "p \"\" \\ '"}),
    );
    persons.begin_all();
    completed(&persons.ended(1), 1);
}

fn what_the_database_cannot_hold_is_replaced_or_shortened() {
    let scene = Scene::open();
    let long = "é".repeat(300);
    let odd = json!({
        "event": "nul\0byte", "distinct_id": "d\0", "timestamp": "2021-01-01T10:00:00Z",
        "properties": {"$ip": long, "nul\0": "a\0b", "escaped": "\\u0000", "long": "x".repeat(1_500_000)},
    });
    scene.capture(&[odd, event("next", "10:00:01")]);
    let export = scene.export(json!({}));
    export.completes(2);
    let row = scene.db.rows("SELECT event, distinct_id, ip, properties->'nul\u{fffd}' AS nul, properties->'escaped' AS escaped, length(properties->>'long') AS long FROM events ORDER BY timestamp").remove(0);
    assert_eq!(
        row,
        json!({
            "event": "nul\u{fffd}byte", "distinct_id": "d\u{fffd}", "ip": "é".repeat(200), "nul": "a\u{fffd}b",
            "escaped": "\\u0000", "long": 1_500_000,
        })
    );
    assert!(export.log().contains("1 values were too long for their columns, and were shortened"));
}

fn years_of_all_calendars_arrive() {
    let scene = Scene::open();
    let times = ["0000-01-01T00:00:00Z", "1970-01-01T00:00:00Z"];
    scene.capture(&times.map(|time| json!({"event": time, "distinct_id": "d", "timestamp": time})));
    let export = scene.export(json!({}));
    export.begin_all();
    completed(&export.ended(1), 2);
    let rows = scene.db.rows(
        "SELECT to_char(timestamp AT TIME ZONE 'UTC', 'YYYY-MM-DD BC') AS day FROM events ORDER BY timestamp",
    );
    assert_eq!(rows, [json!({"day": "0001-01-01 BC"}), json!({"day": "1970-01-01 AD"})]);
}

/// One row of persons, by its distinct id.
fn person(scene: &Scene, distinct_id: &str) -> Value {
    scene.db.rows(&format!("SELECT * FROM persons WHERE distinct_id = '{distinct_id}'")).remove(0)
}

/// Persons come with every distinct id, and what is newer replaces what is there: the same for both.
fn persons_are_merged(scene: &Scene, kind: &str) {
    scene.capture(&[
        json!({"event": "$identify", "distinct_id": "ada", "properties": {"$anon_distinct_id": "anon-1", "$set": {"name": "Ada"}}}),
        json!({"event": "seen", "distinct_id": "bob", "properties": {"$set": {"name": "Bob"}}}),
        json!({"event": "seen", "distinct_id": "cleo"}),
    ]);
    let export = scene.export_of("persons", kind, json!({"table_name": "persons"}));
    export.begin_all();
    completed(&export.ended(1), 4);
    assert_eq!(scene.db.count("persons"), 4);
    let ada = person(scene, "ada");
    assert_eq!(
        (&ada["team_id"], &ada["person_id"]),
        (&json!(scene.org.project), &person(scene, "anon-1")["person_id"])
    );
    assert!(ada["created_at"].is_string() && ada["person_distinct_id_version"].is_i64(), "{ada}");
    // What is there and newer stays, what is older by either version goes, what is equal stays.
    scene.db.run(
        "UPDATE persons SET person_id = 'kept', person_version = 1000 WHERE distinct_id = 'ada';
         UPDATE persons SET person_id = 'gone', person_version = person_version - 1 WHERE distinct_id = 'anon-1';
         UPDATE persons SET person_id = 'gone', person_distinct_id_version = -1, person_version = person_version WHERE distinct_id = 'bob';
         UPDATE persons SET person_id = 'kept' WHERE distinct_id = 'cleo'",
    );
    scene.server.pass(Duration::from_secs(1));
    export.begin_all();
    completed(&export.ended(2), 4);
    let id = |distinct_id: &str| text(&person(scene, distinct_id)["person_id"]);
    assert_eq!((id("ada").as_str(), id("cleo").as_str()), ("kept", "kept"));
    assert_eq!(id("anon-1"), text(&ada["person_id"]));
    assert_ne!(id("bob"), "gone");
    assert_eq!(scene.db.count("persons"), 4);
    assert!(scene.db.rows("SELECT 1 FROM pg_class WHERE relname LIKE 'stage%'").is_empty());
}

fn persons_are_added_or_renewed() {
    let scene = Scene::open();
    persons_are_merged(&scene, "Postgres");
    let person = person(&scene, "bob");
    assert_eq!(person["properties"], json!({"name": "Bob"}));
    let key = scene.db.rows("SELECT pg_get_constraintdef(oid) AS key FROM pg_constraint WHERE conrelid = 'persons'::regclass AND contype = 'p'");
    assert_eq!(key, [json!({"key": "PRIMARY KEY (team_id, distinct_id)"})]);
}

fn persons_need_a_table_with_a_key() {
    let scene = Scene::open();
    scene.capture(&[event("seen", "10:00:00")]);
    scene.db.run(&format!(
        "CREATE TABLE persons (team_id bigint, distinct_id text, person_id text, properties jsonb, person_distinct_id_version bigint, person_version bigint, created_at timestamptz); ALTER TABLE persons OWNER TO \"{}\"",
        scene.db.user()
    ));
    let export = scene.export_of("persons", "Postgres", json!({"table_name": "persons"}));
    export.begin_all();
    let message = text(&export.ended(1)["latest_error"]);
    assert_eq!(message, "MissingPrimaryKeyError: the server answered with SQLSTATE 42P10");
    assert_eq!(scene.db.count("persons"), 0);
    assert!(scene.db.rows("SELECT 1 FROM pg_class WHERE relname LIKE 'stage%'").is_empty());
}

fn what_no_attempt_can_mend_fails_at_once() {
    let scene = Scene::open();
    scene.capture(&[event("a", "10:00:00"), event("a", "10:00:01"), event("long", "10:00:02")]);
    let user = scene.db.user();
    scene.db.run("CREATE SCHEMA closed");
    let table = |name: &str, change: &str| {
        let columns = "uuid varchar, event varchar, properties jsonb, elements jsonb, \"set\" jsonb, set_once jsonb, distinct_id varchar, team_id int, ip varchar, site_url varchar, \"timestamp\" timestamptz";
        scene.db.run(&format!("CREATE TABLE {name} ({columns}); ALTER TABLE {name} {change}; ALTER TABLE {name} OWNER TO \"{user}\""));
    };
    table("narrow", "ALTER event TYPE varchar(1)");
    table("needing", "ALTER site_url SET NOT NULL");
    table("keyed", "ADD UNIQUE (event)");
    for (more, wanted) in [
        (json!({"schema": "nowhere"}), "InvalidSchemaName: the server answered with SQLSTATE 3F000"),
        (json!({"schema": "closed"}), "InsufficientPrivilege: the server answered with SQLSTATE 42501"),
        (
            json!({"table_name": "narrow"}),
            "StringDataRightTruncation: the server answered with SQLSTATE 22001",
        ),
        (json!({"table_name": "needing"}), "NotNullViolation: the server answered with SQLSTATE 23502"),
        (json!({"table_name": "keyed"}), "UniqueViolation: the server answered with SQLSTATE 23505"),
        (
            json!({"password": "not the password"}),
            "OperationalError: connection failed: the server answered with SQLSTATE 28P01",
        ),
        (
            json!({"database": "nowhere"}),
            "OperationalError: connection failed: the server answered with SQLSTATE 3D000",
        ),
        (json!({"table_name": "a\0b"}), "ValueError: 'table_name' holds a character that no name can have"),
    ] {
        let export = scene.export(more);
        assert_eq!(export.fails(), wanted);
    }
    for table in ["narrow", "needing", "keyed"] {
        assert_eq!(scene.db.count(table), 0, "{table}");
    }
}

/// The columns of events, as somebody makes a table of their own.
const COLUMNS: &str = "uuid varchar, event varchar, properties jsonb, elements jsonb, \"set\" jsonb, set_once jsonb, distinct_id varchar, team_id int, ip varchar, site_url varchar, \"timestamp\" timestamptz";

impl Scene {
    /// A table of the export's user, after statements that may name it.
    fn table(&self, name: &str, columns: &str, then: &str) {
        let user = self.db.user();
        self.db
            .run(&format!("CREATE TABLE {name} ({columns}); ALTER TABLE {name} OWNER TO \"{user}\"; {then}"));
    }

    /// The first error of a run that is tried again.
    fn retried(&self, table: &str) -> String {
        let export = self.export(json!({"table_name": table}));
        export.begin();
        export.wait_for("Batch export failed with error: ", 1);
        let run = export.latest();
        assert_eq!((&run["status"], &run["latest_error"]), (&json!("Running"), &Value::Null), "{table}");
        let log = export.log();
        self.org.owner.delete(&export.at).no_content();
        log
    }
}

/// Tables that take no row, by what keeps them from it.
fn every_class_of_errors_passes_or_does_not() {
    let scene = Scene::open();
    scene.capture(&[event("a", "10:00:00")]);
    let user = scene.db.user();
    let with = |from: &str, to: &str| COLUMNS.replace(from, to);
    scene.table("checked", COLUMNS, "ALTER TABLE checked ADD CHECK (event <> 'a')");
    scene.table("others", "event varchar PRIMARY KEY", "");
    scene.table("foreign_key", COLUMNS, "ALTER TABLE foreign_key ADD FOREIGN KEY (event) REFERENCES others");
    scene.table("number", &with("event varchar", "event int"), "");
    scene.table("address", &with("ip varchar", "ip inet, host inet"), "");
    scene.table("small", &with("event varchar", "event smallint"), "");
    scene.table("empty_parts", &format!("{COLUMNS}) PARTITION BY LIST (event"), "");
    scene.table("base", COLUMNS, "");
    scene.db.run(&format!("CREATE VIEW seen AS SELECT * FROM base; ALTER VIEW seen OWNER TO \"{user}\""));
    scene.db.run(&format!("CREATE MATERIALIZED VIEW kept AS SELECT * FROM base; ALTER MATERIALIZED VIEW kept OWNER TO \"{user}\""));
    let raising = |table: &str, raise: &str| {
        let made = format!(
            "CREATE FUNCTION {table}_says() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {raise}; END $$; CREATE TRIGGER says BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_says()"
        );
        scene.table(table, COLUMNS, &made);
    };
    raising("raising", "RAISE EXCEPTION 'not today'");
    raising("dividing", "NEW.team_id := 1 / 0; RETURN NEW");
    raising("missing", "PERFORM nothing_of_that_name(); RETURN NEW");
    raising("lacking", "RAISE SQLSTATE '0A000'");
    for (table, wanted) in [
        ("checked", "CheckViolation: the server answered with SQLSTATE 23514"),
        ("foreign_key", "ForeignKeyViolation: the server answered with SQLSTATE 23503"),
        ("number", "InvalidTextRepresentation: the server answered with SQLSTATE 22P02"),
        ("small", "InvalidTextRepresentation: the server answered with SQLSTATE 22P02"),
        ("empty_parts", "CheckViolation: the server answered with SQLSTATE 23514"),
        ("seen", "WrongObjectType: the server answered with SQLSTATE 42809"),
        ("kept", "WrongObjectType: the server answered with SQLSTATE 42809"),
        ("raising", "RaiseException: the server answered with SQLSTATE P0001"),
        ("dividing", "DataError: the server answered with SQLSTATE 22012"),
        ("missing", "UndefinedFunction: the server answered with SQLSTATE 42883"),
        ("lacking", "NotSupportedError: the server answered with SQLSTATE 0A000"),
    ] {
        assert_eq!(scene.export(json!({"table_name": table})).fails(), wanted, "{table}");
    }
    scene.export(json!({"table_name": "address"})).completes(1);
    for (table, code, wanted) in [
        ("serial", "40001", "SerializationFailure"),
        ("crowded", "53300", "TooManyConnections"),
        ("filled", "53100", "DiskFull"),
        ("locked", "55P03", "LockNotAvailable"),
        ("closing", "57P01", "AdminShutdown"),
        ("cancelled", "57014", "QueryCanceled"),
        ("failing", "58030", "OperationalError"),
        ("gone", "08006", "OperationalError"),
        ("standby", "25006", "ReadOnlySqlTransaction"),
        ("broken", "XX000", "InternalError"),
    ] {
        raising(table, &format!("RAISE SQLSTATE '{code}'"));
        let log = scene.retried(table);
        let wanted = format!("failed with error: {wanted}: the server answered with SQLSTATE {code}");
        assert!(log.contains(&wanted), "{table}: {log}");
    }
}

fn ten_runs_that_can_never_pass_pause_the_export() {
    let scene = Scene::open();
    let hours: Vec<Value> = (0..11).map(|hour| event("a", &format!("{hour:02}:00:00"))).collect();
    scene.capture(&hours);
    scene.table("checked", COLUMNS, "ALTER TABLE checked ADD CHECK (event <> 'a')");
    let export = scene.export_with("Postgres", json!({"table_name": "checked"}), json!({"paused": false}));
    let range = json!({"start_at": "2021-01-01T00:00:00Z", "end_at": "2021-01-01T11:00:00Z"});
    scene.org.owner.post(&format!("{}backfill/", export.at), range).json(200);
    export.wait_for("automatically paused: 10 of its last runs have failed", 1);
    assert_eq!(scene.org.owner.get(&export.at).json(200)["paused"], true);
}

fn a_table_gets_the_columns_that_it_has() {
    for kind in ["Postgres", "Redshift"] {
        let scene = Scene::open();
        scene.capture(&[event("a", "10:00:00")]);
        let lacks = |left_out: &str| format!("The table lacks these columns, or generates them: {left_out}");
        for (table, columns, wanted, left_out) in [
            ("two", "uuid text, event text", json!({"event": "a"}), Some("properties, elements, set")),
            (
                "turned",
                "more int DEFAULT 7, event text, distinct_id text",
                json!({"event": "a", "more": 7, "distinct_id": "d"}),
                Some("uuid"),
            ),
            ("wider", &format!("more int, {COLUMNS}"), json!({"event": "a", "more": null}), None),
        ] {
            scene.table(table, columns, "");
            let export = scene.export_of("events", kind, json!({"table_name": table}));
            export.completes(1);
            let row = scene.db.rows(&format!("SELECT * FROM {table}")).remove(0);
            for (name, value) in wanted.as_object().expect("an object") {
                assert_eq!(&row[name], value, "{kind} {table} {name}");
            }
            match left_out {
                Some(names) => {
                    assert!(export.log().contains(&lacks(names)), "{kind} {table}: {}", export.log())
                }
                None => assert!(!export.log().contains(&lacks("")), "{kind} {table}: {}", export.log()),
            }
        }
        scene.table("foreign_words", "\"Event\" text, id int", "");
        let error = scene.export_of("events", kind, json!({"table_name": "foreign_words"})).fails();
        let wanted = "UndefinedColumn: The table public.foreign_words lacks columns that the export needs, or generates them: uuid, event, properties";
        assert!(error.starts_with(wanted), "{kind}: {error}");
    }
    let scene = Scene::open();
    scene.capture(&[event("a", "10:00:00")]);
    scene.table("made", "uuid text, event text GENERATED ALWAYS AS ('of ' || uuid) STORED", "");
    let export = scene.export(json!({"table_name": "made"}));
    export.completes(1);
    assert!(text(&scene.db.rows("SELECT event FROM made")[0]["event"]).starts_with("of "));
    assert!(export.log().contains("or generates them: event, properties"), "{}", export.log());
    // Of a table that may not be seen, the server says what is wrong.
    scene.db.run(&format!("CREATE TABLE hidden ({COLUMNS})"));
    let error = scene.export(json!({"table_name": "hidden"})).fails();
    assert_eq!(error, "InsufficientPrivilege: the server answered with SQLSTATE 42501");
}

fn a_table_of_persons_needs_its_key_and_versions() {
    for kind in ["Postgres", "Redshift"] {
        let scene = Scene::open();
        scene.capture(&[event("seen", "10:00:00")]);
        let key = "team_id bigint, distinct_id text, PRIMARY KEY (team_id, distinct_id)";
        let versions = "person_distinct_id_version bigint, person_version bigint";
        scene.table("least", &format!("{key}, {versions}"), "");
        let export = scene.export_of("persons", kind, json!({"table_name": "least"}));
        export.begin_all();
        completed(&export.ended(1), 1);
        scene.table("versionless", &format!("{key}, person_id text, person_version bigint"), "");
        let export = scene.export_of("persons", kind, json!({"table_name": "versionless"}));
        export.begin_all();
        let error = "UndefinedColumn: The table public.versionless lacks columns that the export needs, or generates them: person_distinct_id_version";
        assert_eq!(export.ended(1)["latest_error"], error, "{kind}");
    }
}

fn who_may_only_add_rows_can_deliver() {
    let scene = Scene::open();
    scene.capture(&[event("a", "10:00:00")]);
    scene.export(json!({})).completes(1);
    let user = scene.db.user();
    scene.db.run(&format!(
        "ALTER TABLE events OWNER TO CURRENT_USER; REVOKE ALL ON SCHEMA public FROM PUBLIC; ALTER SCHEMA public OWNER TO CURRENT_USER; ALTER DATABASE \"{}\" OWNER TO CURRENT_USER; GRANT USAGE ON SCHEMA public TO \"{user}\"; GRANT INSERT ON events TO \"{user}\"",
        scene.db.name
    ));
    scene.export(json!({})).completes(1);
    assert_eq!(scene.db.count("events"), 2);
}

fn a_server_that_is_not_there_is_tried_five_times() {
    let scene = Scene::open();
    scene.capture(&[event("a", "10:00:00")]);
    let port =
        TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
    let export = scene.export(json!({"port": port}));
    export.begin();
    for (attempt, pause) in [1, 2, 4, 8].into_iter().enumerate() {
        export.wait_for("to connect failed: ", attempt + 1);
        scene.server.pass(Duration::from_secs(pause));
    }
    let message = "Batch export failed with error: PostgreSQLConnectionError: Failed to connect after 5 attempts. Please review connection configuration.";
    export.wait_for(message, 1);
    assert_eq!(export.latest()["status"], "Running");
    assert!(
        export.log().contains("Attempt 5 of 5 to connect failed: Connection refused"),
        "{}",
        export.log()
    );
    // It was down for a moment.
    let _way = Way::on(TcpListener::bind(("127.0.0.1", port)).expect("the port is free again"), &scene.db);
    scene.server.pass(Duration::from_secs(31));
    completed(&export.ended(1), 1);
}

fn a_server_that_says_nothing_is_given_ten_seconds_each_time() {
    let scene = Scene::open();
    scene.capture(&[event("a", "10:00:00")]);
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = silent.local_addr().expect("an address").port();
    let export = scene.export(json!({"port": port}));
    export.begin();
    let mut connections = Vec::new();
    for attempt in 1..=5 {
        connections.push(silent.accept().expect("a connection"));
        scene.server.pass(Duration::from_secs(10));
        export.wait_for("to connect failed: no answer within 10 seconds", attempt);
        scene.server.pass(Duration::from_secs(8));
    }
    let message = format!(
        "Batch export failed with error: PostgreSQLConnectionError: Timed-out while trying to connect for 5 attempts. Is the server running at '127.0.0.1', port '{port}' and accepting TCP/IP connections?"
    );
    export.wait_for(&message, 1);
    assert_eq!(export.latest()["status"], "Running");
    scene.org.owner.delete(&export.at).no_content();
}

fn connections_are_encrypted_where_the_server_can() {
    let db = Postgres::encrypted();
    let scene = Scene::with(db, Server::start());
    scene.capture(&[event("a", "10:00:00")]);
    // The server knows encrypted connections only; 0.0.0.0 leads to it, and does not count as this machine.
    for (count, more) in
        [(1, json!({"host": "127.0.0.1"})), (2, json!({"host": "0.0.0.0", "has_self_signed_cert": true}))]
    {
        scene.export(more).completes(1);
        assert_eq!(scene.db.count("events"), count);
    }
}

fn another_machine_must_encrypt() {
    let scene = Scene::open();
    scene.capture(&[event("a", "10:00:00")]);
    let export = scene.export(json!({"host": "0.0.0.0"}));
    assert_eq!(export.fails(), "OperationalError: connection failed: server does not support TLS");
}

fn certificates_are_checked_against_the_systems_or_those_that_the_operator_names() {
    let db = Postgres::encrypted();
    let name = db.certificate.to_str().expect("a path of text").to_owned();
    let roots = orgd::outbound::postgres::Roots::named(&name).expect("certificates");
    let known = Scene::with(db, Server::with(|config| config.exports.export_root_certs = roots));
    known.capture(&[event("a", "10:00:00")]);
    known.export(json!({"host": "0.0.0.0"})).completes(1);
    let db = Postgres::encrypted();
    let unknown = Scene::with(db, Server::start());
    unknown.capture(&[event("a", "10:00:00")]);
    for more in [json!({}), json!({"has_self_signed_cert": false})] {
        let export = unknown.export(exports::with(more, &json!({"host": "0.0.0.0"})));
        let error = export.fails();
        assert!(
            error.starts_with("OperationalError: connection failed: invalid peer certificate: "),
            "{error}"
        );
    }
    assert_eq!(unknown.db.count("events"), 0);
    unknown.export(json!({"host": "0.0.0.0", "has_self_signed_cert": true})).completes(1);
    assert_eq!(unknown.db.count("events"), 1);
}

/// An export to the other end of a way with a mishap.
fn export_by<'a>(scene: &'a Scene, mishap: Mishap, model: &str, kind: &str) -> (Way, Export<'a>) {
    let way = Way::to(&scene.db, mishap);
    let export = scene.export_of(model, kind, json!({"port": way.port}));
    (way, export)
}

fn a_connection_that_breaks_leaves_nothing_and_the_next_attempt_delivers_all_once() {
    let scene = Scene::open();
    scene.capture(&large_events(12));
    for (kind, mishap) in [
        ("Postgres", Mishap::CutAfter(6_000_000)),
        ("Postgres", Mishap::CutBeforeCommit),
        ("Redshift", Mishap::CutAfter(500)),
        ("Redshift", Mishap::CutBeforeCommit),
    ] {
        scene.db.run("DROP TABLE IF EXISTS events");
        let (way, export) = export_by(&scene, mishap, "events", kind);
        export.begin();
        export.wait_for("Batch export failed with error: OperationalError: ", 1);
        assert!(way.has_happened());
        assert_eq!(scene.db.count("events"), 0);
        scene.server.pass(Duration::from_secs(31));
        completed(&export.ended(1), 12);
        let rows = scene.db.rows("SELECT event FROM events GROUP BY event HAVING count(*) = 1");
        assert_eq!((rows.len(), scene.db.count("events")), (12, 12));
    }
}

fn a_commit_that_nobody_heard_of_is_not_repeated() {
    let scene = Scene::open();
    scene.capture(&[event("a", "10:00:00"), event("b", "10:00:00")]);
    let (_way, export) = export_by(&scene, Mishap::CutAfterCommit, "events", "Postgres");
    export.begin();
    export.wait_for("Batch export failed with error: OperationalError: ", 1);
    assert_eq!(scene.db.count("events"), 2);
    scene.server.pass(Duration::from_secs(31));
    completed(&export.ended(1), 2);
    assert_eq!(scene.db.count("events"), 2);
}

fn deleting_an_export_ends_its_transaction() {
    let scene = Scene::open();
    scene.capture(&large_events(6));
    let (way, export) = export_by(&scene, Mishap::HoldAfter(2_000_000), "events", "Postgres");
    export.begin();
    scene.server.until("rows are on their way", || way.has_happened());
    scene.org.owner.delete(&export.at).no_content();
    scene.server.until("the connection is closed", || way.is_empty());
    assert_eq!(scene.db.count("events"), 0);
}

fn two_exports_may_make_the_same_table() {
    let scene = Scene::open();
    scene.capture(&(0..100).map(|number| event(&number.to_string(), "10:00:00")).collect::<Vec<_>>());
    let exports: Vec<Export<'_>> = (0..4).map(|_| scene.export(json!({}))).collect();
    exports.iter().for_each(Export::begin);
    for export in &exports {
        completed(&export.ended(1), 100);
    }
    assert_eq!(scene.db.count("events"), 400);
}

fn redshift_gets_rows_by_insert() {
    let scene = Scene::open();
    let odd = json!({
        "event": "it's \\ 'a'", "distinct_id": "d\0", "timestamp": "2021-01-01T10:00:00.5Z",
        "properties": {"quoted": "'\\'\n\"", "long": "x".repeat(70_000), "$set": {"a": 1}},
    });
    scene.capture(&[odd, event("é".repeat(150).as_str(), "10:00:01")]);
    let export = scene.export_of("events", "Redshift", json!({}));
    export.completes(2);
    assert!(export.log().contains(&format!("to Redshift: {}.public.events", scene.db.name)));
    assert!(export.log().contains("2 values were too long for their columns, and were shortened"));
    let rows = scene.db.rows("SELECT event, properties, elements, \"set\", set_once, distinct_id, ip, timestamp FROM events ORDER BY timestamp");
    let properties: Value = serde_json::from_str(&text(&rows[0]["properties"])).expect("JSON");
    assert_eq!(properties, json!({"quoted": "'\\'\n\"", "$set": {"a": 1}, "$ip": "127.0.0.1"}));
    assert_eq!(
        (
            &rows[0]["event"],
            &rows[0]["elements"],
            &rows[0]["set"],
            &rows[0]["set_once"],
            &rows[0]["distinct_id"]
        ),
        (&json!("it's \\ 'a'"), &json!("\"\""), &json!("{\"a\":1}"), &Value::Null, &json!("d\u{fffd}"))
    );
    assert_eq!(rows[1]["event"], "é".repeat(100));
    let kind = "SELECT format_type(atttypid, atttypmod) AS type FROM pg_attribute WHERE attrelid = 'events'::regclass AND attname = 'properties'";
    assert_eq!(scene.db.rows(kind), [json!({"type": "character varying(65535)"})]);
}

fn redshift_gets_objects_as_super() {
    let scene = Scene::open();
    // What PostgreSQL lacks of Redshift, in its own words.
    scene.db.run("CREATE DOMAIN super AS jsonb; CREATE FUNCTION json_parse(text) RETURNS jsonb IMMUTABLE LANGUAGE sql AS 'SELECT $1::jsonb'");
    let long = json!({"event": "a", "distinct_id": "d", "timestamp": "2021-01-01T10:00:00Z", "properties": {"long": "x".repeat(70_000)}});
    scene.capture(&[long, event("b", "10:00:01")]);
    scene.export_of("events", "Redshift", json!({"properties_data_type": "super"})).completes(2);
    let rows = scene.db.rows("SELECT length(properties->>'long') AS long, elements, pg_typeof(properties)::text AS type FROM events ORDER BY timestamp");
    assert_eq!(rows[0], json!({"long": 70_000, "elements": "\"\"", "type": "super"}));
}

fn redshift_gets_persons_without_on_conflict() {
    let scene = Scene::open();
    persons_are_merged(&scene, "Redshift");
}
