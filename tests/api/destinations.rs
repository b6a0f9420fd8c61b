//! Configurations of batch exports' destinations: what each type takes, keeps, shows and hides.

use serde_json::{Map, Value, json};

use crate::support::exports::at;
use crate::support::{Answer, Org, Server};

/// Each type with all its settings, and the names of those that are secret.
fn all() -> Vec<(&'static str, Value, &'static [&'static str])> {
    vec![
        (
            "S3",
            json!({
                "bucket_name": "b", "region": "r", "prefix": "", "aws_access_key_id": "hidden-1",
                "aws_secret_access_key": "hidden-2", "compression": "gzip", "encryption": "AES256",
                "kms_key_id": null, "endpoint_url": "http://127.0.0.1:1", "file_format": "JSONLines",
                "max_file_size_mb": 5, "use_virtual_style_addressing": false,
            }),
            &["aws_access_key_id", "aws_secret_access_key"],
        ),
        (
            "Snowflake",
            json!({
                "account": "a", "user": "hidden-1", "database": "d", "warehouse": "w", "schema": "s",
                "table_name": "t", "authentication_type": "keypair", "password": "hidden-2",
                "private_key": "hidden-3", "private_key_passphrase": "hidden-4", "role": null,
            }),
            &["user", "password", "private_key", "private_key_passphrase"],
        ),
        (
            "Postgres",
            json!({
                "user": "hidden-1", "password": "hidden-2", "host": "h", "database": "d", "schema": "s",
                "table_name": "t", "port": 5432, "has_self_signed_cert": true,
            }),
            &["user", "password"],
        ),
        (
            "Redshift",
            json!({
                "user": "hidden-1", "password": "hidden-2", "host": "h", "database": "d", "schema": "s",
                "table_name": "t", "port": 5439, "has_self_signed_cert": false, "properties_data_type": "super",
            }),
            &["user", "password"],
        ),
        (
            "BigQuery",
            json!({
                "project_id": "p", "dataset_id": "d", "table_id": "t", "private_key": "hidden-1",
                "private_key_id": "hidden-2", "token_uri": "hidden-3", "client_email": "hidden-4",
                "use_json_type": true,
            }),
            &["private_key", "private_key_id", "token_uri", "client_email"],
        ),
        ("HTTP", json!({"url": "http://127.0.0.1:1", "token": "hidden-1"}), &["token"]),
        ("NoOp", json!({"arg": "a"}), &[]),
    ]
}

fn body(kind: &str, config: &Value) -> Value {
    json!({"name": "n", "interval": "hour", "paused": true, "destination": {"type": kind, "config": config}})
}

fn create(org: &Org, kind: &str, config: &Value) -> Answer {
    org.owner.post(&org.at("batch_exports/"), body(kind, config))
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().expect("an object").clone()
}

fn extended(config: &Value, more: &Value) -> Value {
    let mut config = object(config);
    config.extend(object(more));
    Value::Object(config)
}

#[test]
fn every_type_takes_all_its_settings_and_hides_the_secret_ones() {
    let server = Server::start();
    let org = server.org();
    // Filters, and names of PostHog's own that say nothing here and override nothing.
    let common = json!({
        "exclude_events": ["a"], "include_events": null, "batch_export_id": "x", "team_id": 0, "interval": "day",
        "data_interval_end": 1, "is_backfill": true, "batch_export_model": {}, "batch_export_schema": [],
    });
    for (kind, config, secrets) in all() {
        let config = extended(&config, &common);
        let mut public = object(&config);
        public.retain(|name, _| !secrets.contains(&name.as_str()));
        let shown = json!({"type": kind, "config": public});
        let made = create(&org, kind, &config);
        let export = made.json(201);
        assert_eq!((&export["destination"], &export["interval"]), (&shown, &json!("hour")), "{kind}");
        let one = at(&org, &export, "");
        let changed = org.owner.patch(&one, json!({"destination": {"config": {"exclude_events": ["a"]}}}));
        for answer in [
            made,
            org.owner.get(&one),
            changed,
            org.owner.put(&one, body(kind, &Value::Object(public.clone()))),
            org.owner.get(&org.at("batch_exports/?limit=1")),
            org.owner.post(&at(&org, &export, "pause/"), json!({})),
        ] {
            let text = answer.text();
            assert!(
                !text.contains("hidden-") && text.contains("\"exclude_events\":[\"a\"]"),
                "{kind}: {text}"
            );
        }
        assert_eq!(org.owner.get(&one).json(200)["destination"], shown, "{kind}");
    }
}

#[test]
fn what_each_type_requires_is_told_one_at_a_time() {
    let server = Server::start();
    let org = server.org();
    for (kind, required) in [
        ("S3", &["bucket_name", "region", "prefix"][..]),
        ("Snowflake", &["account", "user", "database", "warehouse", "schema"]),
        ("Postgres", &["user", "password", "host", "database"]),
        ("Redshift", &["user", "password", "host", "database"]),
        (
            "BigQuery",
            &["project_id", "dataset_id", "private_key", "private_key_id", "token_uri", "client_email"],
        ),
        ("HTTP", &["url", "token"]),
        ("NoOp", &[]),
    ] {
        let mut config = json!({});
        for name in required {
            let detail = format!("Configuration missing required field: '{name}'");
            create(&org, kind, &config).invalid("destination", "invalid_input", &detail);
            config[name] = json!("x");
        }
        // Defaults are not filled in.
        let made = create(&org, kind, &config).json(201);
        let shown = object(&made["destination"]["config"]);
        assert!(shown.keys().all(|name| required.contains(&name.as_str())), "{kind}: {shown:?}");
    }
}

#[test]
fn types_of_other_versions_are_unknown() {
    let server = Server::start();
    let org = server.org();
    for kind in ["Databricks", "AzureBlob", "Workflows", "FileDownload", "s3", ""] {
        let detail = format!("\"{kind}\" is not a valid choice.");
        create(&org, kind, &json!({})).invalid("destination__type", "invalid_choice", &detail);
    }
    for (kind, name) in [("Redshift", "mode"), ("Redshift", "copy_inputs"), ("NoOp", "secret")] {
        let config = all().into_iter().find(|(other, _, _)| *other == kind).expect("a type").1;
        let detail = format!("Configuration has unknown field/s: '{name}'");
        create(&org, kind, &extended(&config, &json!({name: "x"}))).invalid(
            "destination",
            "invalid_input",
            &detail,
        );
    }
    assert_eq!(org.owner.get(&org.at("batch_exports/")).json(200)["count"], 0);
}

#[test]
fn texts_are_read_as_the_numbers_and_truths_that_they_say() {
    let server = Server::start();
    let org = server.org();
    let postgres = json!({"user": "u", "password": "p", "host": "h", "database": "d"});
    for (name, sent, stored) in [
        ("port", json!("6543"), json!(6543)),
        ("port", json!(true), json!(true)),
        ("has_self_signed_cert", json!("yes"), json!(true)),
        ("has_self_signed_cert", json!("T"), json!(true)),
        ("has_self_signed_cert", json!("1"), json!(true)),
        ("has_self_signed_cert", json!("off"), json!(false)),
        ("include_events", json!([]), json!([])),
    ] {
        let made = create(&org, "Postgres", &extended(&postgres, &json!({name: sent}))).json(201);
        assert_eq!(made["destination"]["config"][name], stored, "{name}");
    }
    for (name, sent, got, expected) in [
        ("port", json!("x"), "str", "int"),
        ("port", json!(1.5), "float", "int"),
        ("port", json!(null), "NoneType", "int"),
        ("has_self_signed_cert", json!("maybe"), "str", "bool"),
        ("has_self_signed_cert", json!(1), "int", "bool"),
        ("host", json!(["h"]), "list", "str"),
        ("host", json!({}), "dict", "str"),
        ("host", json!(true), "bool", "str"),
        ("include_events", json!([1]), "int", "str"),
        ("include_events", json!({}), "dict", "list"),
    ] {
        let detail = format!("Configuration has invalid type: got '{got}', expected '{expected}'");
        create(&org, "Postgres", &extended(&postgres, &json!({name: sent}))).invalid(
            "destination",
            "invalid_input",
            &detail,
        );
    }
}

#[test]
fn a_change_is_judged_together_with_what_is_stored() {
    let server = Server::start();
    let org = server.org();
    let snowflake = json!({
        "account": "a", "user": "u", "database": "d", "warehouse": "w", "schema": "s", "password": "p",
        "authentication_type": "password",
    });
    let made = create(&org, "Snowflake", &snowflake).json(201);
    let patch =
        |config: Value| org.owner.patch(&at(&org, &made, ""), json!({"destination": {"config": config}}));
    // The password is there, a key is not.
    patch(json!({"authentication_type": "password"})).json(200);
    let detail = "Private key is required if authentication type is key pair";
    patch(json!({"authentication_type": "keypair"})).invalid("destination", "invalid_input", detail);
    patch(json!({"authentication_type": "keypair", "private_key": "k"})).json(200);
    let detail = "Password is required if authentication type is password";
    patch(json!({"authentication_type": "password", "password": null})).invalid(
        "destination",
        "invalid_input",
        detail,
    );
    assert_eq!(patch(json!({})).json(200)["destination"]["config"]["authentication_type"], "keypair");
    // The format is stored, the compression is new.
    let s3 = json!({"bucket_name": "b", "region": "r", "prefix": "p", "file_format": "Parquet", "compression": "lz4"});
    let made = create(&org, "S3", &s3).json(201);
    let patch =
        |destination: Value| org.owner.patch(&at(&org, &made, ""), json!({"destination": destination}));
    let detail = "Compression lz4 is not supported for file format JSONLines. Supported compressions are ['gzip', 'brotli']";
    patch(json!({"config": {"file_format": "JSONLines"}})).invalid("destination", "invalid_input", detail);
    patch(json!({"type": "S3", "config": {"file_format": "JSONLines", "compression": null}})).json(200);
    // A type alone keeps the configuration.
    let kept = patch(json!({"type": "S3"})).json(200)["destination"].clone();
    assert_eq!(kept["config"]["bucket_name"], "b");
}

#[test]
fn what_no_server_could_take_is_refused_with_the_setting_s_name() {
    let server = Server::start();
    let org = server.org();
    let long = |count: usize| json!("é".repeat(count / 2) + &"x".repeat(count % 2));
    let port = "'port' must be a number from 1 to 65535.";
    for (kind, names_max) in [("Postgres", 63), ("Redshift", 127)] {
        let too_long = |name: &str| {
            format!("'{name}' must not have more than {names_max} bytes: the server would cut it.")
        };
        for number in [json!(1), json!(65_535), json!("5432")] {
            refuses(&org, kind, "port", &number, None);
        }
        for number in [json!(0), json!(-1), json!(65_536), json!("0"), json!(70_000), json!(u64::MAX)] {
            refuses(&org, kind, "port", &number, Some(port));
        }
        for name in ["schema", "table_name", "database", "user"] {
            refuses(&org, kind, name, &long(names_max), None);
            refuses(&org, kind, name, &long(names_max + 1), Some(&too_long(name)));
        }
        for name in ["schema", "table_name"] {
            refuses(&org, kind, name, &json!(""), None);
        }
    }
    for (kind, names) in [
        ("S3", &["bucket_name"][..]),
        ("HTTP", &["url"]),
        ("Postgres", &["host", "database", "user"]),
        ("Redshift", &["host", "database", "user"]),
        ("Snowflake", &["account"]),
        ("BigQuery", &["project_id", "dataset_id", "token_uri"]),
    ] {
        for name in names {
            for empty in ["", " "] {
                refuses(&org, kind, name, &json!(empty), Some(&format!("'{name}' must not be empty.")));
            }
        }
    }
}

/// Whether a value is refused in a new export and in a change of one, which then stays as it was.
#[track_caller]
fn refuses(org: &Org, kind: &str, name: &'static str, value: &Value, reason: Option<&str>) {
    let (_, config, secrets) = all().into_iter().find(|(known, ..)| *known == kind).expect("a type");
    let changed = extended(&config, &json!({name: value}));
    let export = create(org, kind, &config).json(201);
    let one = at(org, &export, "");
    let mut change = json!({name: value});
    for secret in secrets {
        // Who changes who receives a secret gives it again.
        change.as_object_mut().expect("an object").entry(*secret).or_insert_with(|| json!("given again"));
    }
    let before = org.owner.get(&one).json(200);
    let patch = org.owner.patch(&one, json!({"destination": {"config": change}}));
    match reason {
        None => {
            create(org, kind, &changed).json(201);
            patch.json(200);
        }
        Some(reason) => {
            create(org, kind, &changed).invalid(name, "invalid_input", reason);
            patch.invalid(name, "invalid_input", reason);
            assert_eq!(org.owner.get(&one).json(200), before);
        }
    }
}
