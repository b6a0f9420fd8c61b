//! A stored secret follows no change of who receives it: whoever makes one gives it again.

use serde_json::{Map, Value, json};

use crate::support::exports::{at, backfill, capture, completed, event, last_run, with};
use crate::support::{Org, Receiver, Server};

/// A type with a whole configuration, and what hangs on it.
struct Sample {
    kind: &'static str,
    config: Value,
    /// What is never shown: the secrets, and who somebody is.
    hidden: &'static [&'static str],
    /// Changes of who receives them.
    receivers: Vec<Value>,
    /// Changes that are none, and other ways of saying the same.
    keepers: Vec<Value>,
}

fn database(kind: &'static str, port: u16) -> Sample {
    Sample {
        kind,
        config: json!({"user": "exporter", "password": "stored-one", "host": "db.example", "database": "d"}),
        hidden: &["password", "user"],
        receivers: vec![
            json!({"host": "evil.example"}),
            json!({"host": "evil.example", "user": "exporter"}),
            json!({"port": 15432}),
            json!({"database": "other"}),
            json!({"user": "other"}),
            json!({"has_self_signed_cert": true}),
        ],
        keepers: vec![
            json!({}),
            json!({"host": "db.example", "port": port, "database": "d", "has_self_signed_cert": false}),
            json!({"port": port.to_string(), "has_self_signed_cert": "no"}),
            json!({"schema": "s", "table_name": "t", "exclude_events": ["a"], "include_events": null}),
        ],
    }
}

fn samples() -> Vec<Sample> {
    vec![
        database("Postgres", 5432),
        database("Redshift", 5439),
        Sample {
            kind: "HTTP",
            config: json!({"url": "https://a.example/batch", "token": "stored-one"}),
            hidden: &["token"],
            receivers: vec![
                json!({"url": "https://evil.example/batch"}),
                json!({"url": "http://a.example/batch"}),
                json!({"url": "https://a.example:444/batch"}),
                json!({"url": "https://a.example/other"}),
            ],
            keepers: vec![json!({"url": "https://a.example/batch", "exclude_events": ["a"]})],
        },
        Sample {
            kind: "S3",
            config: json!({
                "bucket_name": "b", "region": "eu-west-1", "prefix": "p",
                "aws_access_key_id": "AKIA", "aws_secret_access_key": "stored-one",
            }),
            hidden: &["aws_secret_access_key", "aws_access_key_id"],
            receivers: vec![
                json!({"endpoint_url": "https://evil.example"}),
                json!({"region": "us-east-1"}),
                json!({"use_virtual_style_addressing": true}),
            ],
            keepers: vec![
                json!({"bucket_name": "other", "prefix": "q", "compression": "gzip", "max_file_size_mb": 7}),
                json!({"file_format": "Parquet", "compression": "zstd", "encryption": "aws:kms", "kms_key_id": "k"}),
                json!({"endpoint_url": null, "region": "eu-west-1", "use_virtual_style_addressing": false}),
                json!({"endpoint_url": ""}),
            ],
        },
        Sample {
            kind: "Snowflake",
            config: json!({
                "account": "a", "user": "u", "database": "d", "warehouse": "w", "schema": "s",
                "password": "stored-one", "private_key": "stored-two", "private_key_passphrase": "stored-three",
            }),
            hidden: &["password", "private_key", "private_key_passphrase", "user"],
            receivers: vec![json!({"account": "evil"})],
            keepers: vec![
                json!({"account": "a", "user": "other", "database": "e", "warehouse": "v"}),
                json!({"schema": "t", "table_name": "t", "role": "r", "authentication_type": "keypair"}),
            ],
        },
        Sample {
            kind: "BigQuery",
            config: json!({
                "project_id": "p", "dataset_id": "d", "private_key": "stored-one", "private_key_id": "i",
                "token_uri": "https://a.example/token", "client_email": "e@example.com",
            }),
            hidden: &["private_key", "private_key_id", "token_uri", "client_email"],
            receivers: vec![
                json!({"token_uri": "https://evil.example"}),
                // It is not shown, so whether it was guessed is not said either.
                json!({"token_uri": "https://a.example/token"}),
                json!({"project_id": "other"}),
            ],
            keepers: vec![
                json!({"project_id": "p", "dataset_id": "e", "table_id": "t", "use_json_type": true}),
            ],
        },
    ]
}

fn body(kind: &str, config: &Value) -> Value {
    let destination = json!({"type": kind, "config": config});
    json!({"name": "n", "interval": "hour", "paused": true, "destination": destination})
}

fn created(org: &Org, kind: &str, config: &Value) -> Value {
    org.owner.post(&org.at("batch_exports/"), body(kind, config)).json(201)
}

fn shown(org: &Org, export: &Value) -> Value {
    org.owner.get(&at(org, export, "")).json(200)
}

/// Only these of a configuration.
fn only(config: &Value, names: &[&str]) -> Value {
    let all = config.as_object().expect("an object");
    let chosen = all.iter().filter(|(name, _)| names.contains(&name.as_str()));
    Value::Object(chosen.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>())
}

#[test]
fn whoever_changes_the_receiver_gives_all_that_is_hidden_again() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    for sample in samples() {
        for change in &sample.receivers {
            let what = format!("{} {change}", sample.kind);
            let export = created(&org, sample.kind, &sample.config);
            let before = shown(&org, &export);
            // All but one of the secrets are as good as none.
            for secret in sample.hidden.iter().filter(|name| change.get(**name).is_none()) {
                let others: Vec<&str> = sample.hidden.iter().copied().filter(|name| name != secret).collect();
                let sent = with(only(&sample.config, &others), change);
                for caller in [&org.owner, &member] {
                    for body in [json!({"config": sent}), json!({"type": sample.kind, "config": sent})] {
                        let answer =
                            caller.patch(&at(&org, &export, ""), json!({"name": "m", "destination": body}));
                        let refused = answer.json(400);
                        assert_eq!(
                            (&refused["attr"], &refused["code"]),
                            (&json!(secret), &json!("required")),
                            "{what}"
                        );
                        assert!(!answer.text().contains("stored-"), "{what}");
                    }
                }
                let whole = with(shown(&org, &export)["destination"]["config"].clone(), &sent);
                let refused = org.owner.put(&at(&org, &export, ""), body(sample.kind, &whole)).json(400);
                assert_eq!(refused["attr"], *secret, "{what}");
            }
            assert_eq!(shown(&org, &export), before, "{what}");
            let sent = with(only(&sample.config, sample.hidden), change);
            org.owner.patch(&at(&org, &export, ""), json!({"destination": {"config": sent}})).json(200);
        }
    }
}

#[test]
fn a_change_that_leaves_the_receiver_keeps_the_secrets() {
    let server = Server::start();
    let org = server.org();
    for sample in samples() {
        for change in &sample.keepers {
            let export = created(&org, sample.kind, &sample.config);
            let path = at(&org, &export, "");
            org.owner.patch(&path, json!({"destination": {"config": change}})).json(200);
            org.owner.patch(&path, json!({"name": "m", "interval": "day", "paused": false})).json(200);
        }
        // What a client was shown can be sent back.
        let export = created(&org, sample.kind, &sample.config);
        let shown = shown(&org, &export)["destination"]["config"].clone();
        org.owner.put(&at(&org, &export, ""), body(sample.kind, &shown)).json(200);
    }
}

#[test]
fn what_was_never_stored_is_not_asked_for() {
    let server = Server::start();
    let org = server.org();
    for keys in [json!({}), json!({"aws_access_key_id": null, "aws_secret_access_key": null})] {
        let config = with(json!({"bucket_name": "b", "region": "r", "prefix": "p"}), &keys);
        let export = created(&org, "S3", &config);
        let change = json!({"destination": {"config": {"endpoint_url": "https://other.example"}}});
        org.owner.patch(&at(&org, &export, ""), change).json(200);
    }
    // To take a secret away is to send none.
    let config =
        json!({"bucket_name": "b", "region": "r", "prefix": "p", "aws_secret_access_key": "stored-one"});
    let export = created(&org, "S3", &config);
    let change = json!({"endpoint_url": "https://other.example", "aws_secret_access_key": null});
    org.owner.patch(&at(&org, &export, ""), json!({"destination": {"config": change}})).json(200);
}

#[test]
fn the_type_of_a_destination_never_changes() {
    let server = Server::start();
    let org = server.org();
    let database = &samples()[0].config;
    for (from, to) in [("Postgres", "Redshift"), ("Redshift", "Postgres"), ("Postgres", "NoOp")] {
        let export = created(&org, from, database);
        let before = shown(&org, &export);
        let config = if to == "NoOp" { json!({}) } else { database.clone() };
        let change = json!({"destination": {"type": to, "config": config}});
        let detail = format!(
            "Cannot change destination type from '{from}' to '{to}'. Delete this batch export and create a new one with the new destination type."
        );
        org.owner.patch(&at(&org, &export, ""), change).invalid("destination", "invalid_input", &detail);
        assert_eq!(shown(&org, &export), before);
    }
}

#[test]
fn a_listener_that_a_member_points_to_hears_nothing_stored() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let (own, evil) = (Receiver::answering(&[]), Receiver::answering(&[]));
    capture(&server, &org, &[event("a", "10:00:00")]);
    let export = created(&org, "HTTP", &json!({"url": own.url("/"), "token": "stored-one"}));
    let pointed =
        |more: Value| json!({"destination": {"config": with(json!({"url": evil.url("/")}), &more)}});
    member.patch(&at(&org, &export, ""), pointed(json!({}))).json(400);
    backfill(&org, &export, "10:00", "11:00");
    completed(&last_run(&server, &org, &export), 1);
    assert_eq!((own.received().len(), evil.received().len()), (1, 0));
    // Their own secret may go where they like.
    member.patch(&at(&org, &export, ""), pointed(json!({"token": "their-own"}))).json(200);
    backfill(&org, &export, "10:00", "12:00");
    server.until("both runs are over", || shown(&org, &export)["latest_runs"][1]["finished_at"].is_string());
    server.until("the new receiver was reached", || !evil.received().is_empty());
    let heard: Vec<Value> = evil.received().iter().map(|request| request.json()["api_key"].clone()).collect();
    assert!(heard.iter().all(|token| token == "their-own"), "{heard:?}");
}
