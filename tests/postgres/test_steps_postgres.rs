//! The steps of a test, against a PostgreSQL server: who may connect, and who may write.

use serde_json::{Value, json};

use crate::cluster::Postgres;
use crate::support::{Org, Server, text};

/// Every test of this file, by its name.
pub const TESTS: &[(&str, fn())] = &[(
    "a_step_passes_where_a_run_could_deliver_and_leaves_nothing",
    a_step_passes_where_a_run_could_deliver_and_leaves_nothing,
)];

/// Status and message of a step.
fn run(org: &Org, kind: &str, config: &Value, step: usize) -> (String, String) {
    let destination = json!({"type": kind, "config": config});
    let body = json!({"name": "n", "interval": "hour", "step": step, "destination": destination});
    let path = format!("/api/projects/{}/batch_exports/run_test_step_new/", org.project);
    let result = org.owner.post(&path, body).json(200)["result"].clone();
    (text(&result["status"]), result["message"].as_str().unwrap_or_default().to_owned())
}

fn a_step_passes_where_a_run_could_deliver_and_leaves_nothing() {
    let (server, db) = (Server::start(), Postgres::start());
    let org = server.org();
    let with = |more: Value| {
        let mut config = db.config();
        config.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        config
    };
    db.run("CREATE SCHEMA closed; CREATE TABLE closed.here (number INTEGER); CREATE ROLE reader LOGIN PASSWORD 'pass-of-the-reader'; GRANT USAGE ON SCHEMA closed TO reader; CREATE TABLE closed.open (number INTEGER); GRANT INSERT ON closed.open TO reader");
    let reader = |table: &str| {
        with(
            json!({"user": "reader", "password": "pass-of-the-reader", "schema": "closed", "table_name": table}),
        )
    };
    let passed = ("Passed", "");
    for (config, step, (status, message)) in [
        (with(json!({})), 0, passed),
        (with(json!({})), 1, passed),
        (with(json!({"database": "nowhere"})), 0, ("Failed", "The server answered with SQLSTATE 3D000.")),
        (with(json!({"schema": "nowhere"})), 1, ("Failed", "The server answered with SQLSTATE 3F000.")),
        (
            with(json!({"schema": "closed", "table_name": "here"})),
            1,
            ("Failed", "The user may not insert rows into the table."),
        ),
        (reader("open"), 0, passed),
        (reader("open"), 1, passed),
        (reader("here"), 1, ("Failed", "The user may not insert rows into the table.")),
        (reader("new"), 1, ("Failed", "The server answered with SQLSTATE 42501.")),
    ] {
        for kind in ["Postgres", "Redshift"] {
            assert_eq!(
                run(&org, kind, &config, step),
                (status.to_owned(), message.to_owned()),
                "{config} {step}"
            );
        }
    }
    let tables = "SELECT relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname IN ('public', 'closed') ORDER BY relname";
    assert_eq!(db.rows(tables).len(), 2);
}
