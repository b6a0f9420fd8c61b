//! Tests of destinations: the steps are run for real, by the address rules of exports, and tell nothing that they must
//! not.

use orgd::outbound::AddressPolicy;
use serde_json::{Value, json};

use crate::support::s3::{KEY, SECRET};
use crate::support::{Answer, Org, Receiver, S3, Server, text};

fn at(org: &Org, tail: &str) -> String {
    format!("/api/projects/{}/batch_exports/{tail}", org.project)
}

fn export(kind: &str, config: &Value) -> Value {
    json!({"name": "n", "interval": "hour", "destination": {"type": kind, "config": config}})
}

fn run_new(org: &Org, kind: &str, config: &Value, step: usize) -> Answer {
    let mut body = export(kind, config);
    body["step"] = json!(step);
    org.owner.post(&at(org, "run_test_step_new/"), body)
}

/// Status and message of a step.
fn result(answer: &Answer) -> (String, Option<String>) {
    let step = answer.json(200);
    assert!(step["name"].is_string() && step["description"].is_string(), "{step}");
    (text(&step["result"]["status"]), step["result"]["message"].as_str().map(str::to_owned))
}

fn passed() -> (String, Option<String>) {
    ("Passed".into(), None)
}

fn failed(message: &str) -> (String, Option<String>) {
    ("Failed".into(), Some(message.into()))
}

fn s3_config(endpoint: &str, bucket: &str, secret: &str) -> Value {
    json!({
        "bucket_name": bucket, "region": "us-east-1", "prefix": "a/{year}", "endpoint_url": endpoint,
        "aws_access_key_id": KEY, "aws_secret_access_key": secret,
    })
}

#[test]
fn the_steps_of_each_type_are_listed() {
    let server = Server::start();
    let org = server.org();
    let list = |query: &str| org.owner.get(&at(&org, &format!("test/{query}")));
    for (kind, count) in [("S3", 2), ("Postgres", 2), ("Redshift", 2), ("HTTP", 1)] {
        let shown = list(&format!("?destination={kind}")).json(200);
        let steps = shown["steps"].as_array().expect("steps");
        assert_eq!(steps.len(), count, "{kind}");
        assert!(steps.iter().all(|step| step["result"].is_null()), "{kind}");
    }
    for query in ["", "?destination="] {
        list(query).invalid("destination", "required", "This field is required.");
    }
    for kind in ["NoOp", "BigQuery", "Snowflake", "FTP"] {
        let detail = format!("There is no test for destinations of the type '{kind}'.");
        list(&format!("?destination={kind}")).missing(&detail);
    }
    assert_eq!(run_new(&org, "NoOp", &json!({}), 0).status, 404);
}

#[test]
fn a_bucket_is_looked_for_and_written_to() {
    let server = Server::start();
    let org = server.org();
    let s3 = S3::with_bucket("events");
    for (bucket, secret, step, wanted) in [
        ("events", SECRET, 0, passed()),
        ("events", SECRET, 1, passed()),
        ("nothing", SECRET, 0, failed("There is no such bucket (status: 404).")),
        ("events", "wrong-secret", 0, failed("Access is denied (status: 403).")),
        ("events", "wrong-secret", 1, failed("Access is denied (status: 403).")),
    ] {
        let answer = run_new(&org, "S3", &s3_config(&s3.url(), bucket, secret), step);
        assert_eq!(result(&answer), wanted, "{bucket} {step}");
        assert!(!answer.text().contains(secret));
    }
    assert_eq!(s3.keys("events"), Vec::<String>::new(), "the file is deleted again");
    let detail = "This test has steps from 0 to 1.";
    run_new(&org, "S3", &s3_config(&s3.url(), "events", SECRET), 2).invalid("step", "invalid_input", detail);
    let mut wrong = export("S3", &s3_config(&s3.url(), "events", SECRET));
    wrong["step"] = json!("x");
    assert_eq!(org.owner.post(&at(&org, "run_test_step_new/"), wrong).json(400)["attr"], "step");
    assert_eq!(org.owner.get(&at(&org, "")).json(200)["count"], 0, "nothing is stored");
}

#[test]
fn a_stored_export_is_tested_with_its_secrets_and_nobody_else_hears_them() {
    let server = Server::start();
    let org = server.org();
    let s3 = S3::with_bucket("events");
    let made = org.owner.post(&at(&org, ""), export("S3", &s3_config(&s3.url(), "events", SECRET))).json(201);
    let path = at(&org, &format!("{}/run_test_step/", text(&made["id"])));
    let run = |body: Value| org.owner.post(&path, body);
    assert_eq!(result(&run(json!({}))), passed());
    assert_eq!(result(&run(json!({"step": 1}))), passed());
    let with = |config: Value| json!({"destination": {"config": config}});
    let missing = result(&run(with(json!({"bucket_name": "nothing"}))));
    assert_eq!(missing, failed("There is no such bucket (status: 404)."));
    let evil = Receiver::answering(&[]);
    let refused = run(with(json!({"endpoint_url": evil.url("")}))).json(400);
    assert_eq!((&refused["attr"], &refused["code"]), (&json!("aws_secret_access_key"), &json!("required")));
    assert!(evil.received().is_empty());
    let shown = org.owner.get(&at(&org, &format!("{}/", text(&made["id"])))).json(200);
    assert_eq!(shown, made, "nothing is stored");
}

#[test]
fn a_host_answers_or_does_not() {
    let server = Server::start();
    let org = server.org();
    let good = Receiver::answering(&[(404, "nothing here")]);
    let bad = Receiver::answering(&[(503, "no")]);
    let config = |url: &str| json!({"url": url, "token": "phc_hidden"});
    assert_eq!(result(&run_new(&org, "HTTP", &config(&good.url("/batch/")), 0)), passed());
    let heard = good.received();
    assert_eq!((heard.len(), heard[0].line.as_str()), (1, "GET /batch/"));
    assert!(!heard[0].head.contains("phc_hidden"));
    let wanted = failed(&format!("{} answered 503.", bad.address));
    assert_eq!(result(&run_new(&org, "HTTP", &config(&bad.url("/")), 0)), wanted);
    let nobody =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    let (status, message) = result(&run_new(&org, "HTTP", &config(&format!("http://{nobody}/")), 0));
    assert!(status == "Failed" && message.is_some_and(|text| text.contains("could not be reached")));
    let wanted = failed("The url must begin with http:// or https://.");
    assert_eq!(result(&run_new(&org, "HTTP", &config("ftp://x/"), 0)), wanted);
    assert_eq!(run_new(&org, "HTTP", &json!({"url": "http://x/"}), 0).json(400)["attr"], "destination");
}

#[test]
fn what_exports_may_not_reach_tests_do_not_either() {
    let list = AddressPolicy::parse("").expect("a list");
    let server = Server::with(|config| config.outbound_allow = list);
    let org = server.org();
    let receiver = Receiver::answering(&[]);
    let s3 = s3_config(&receiver.url(""), "events", SECRET);
    let database = json!({"host": "127.0.0.1", "port": receiver.address.port(), "user": "u", "password": "hidden", "database": "d"});
    for (kind, config, step) in [
        ("HTTP", &json!({"url": receiver.url("/"), "token": "t"}), 0),
        ("S3", &s3, 0),
        ("S3", &s3, 1),
        ("Postgres", &database, 0),
        ("Redshift", &database, 1),
    ] {
        let (status, message) = result(&run_new(&org, kind, config, step));
        assert_eq!(status, "Failed", "{kind}");
        assert!(
            message
                .as_ref()
                .is_some_and(|text| text.contains("is not an address that this server may connect to")),
            "{kind}: {message:?}"
        );
    }
    assert!(receiver.received().is_empty());
}

#[test]
fn a_database_that_is_none_fails_the_first_step() {
    let server = Server::start();
    let org = server.org();
    let receiver = Receiver::answering(&[]);
    let config = |host: &str| json!({"host": host, "port": receiver.address.port(), "user": "u", "password": "hidden-password", "database": "d"});
    for step in [0, 1] {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|socket| socket.local_addr())
            .expect("a port");
        let mut gone = config("127.0.0.1");
        gone["port"] = json!(nobody.port());
        let answer = run_new(&org, "Postgres", &gone, step);
        assert_eq!(result(&answer).0, "Failed");
        assert!(!answer.text().contains("hidden-password"));
        let wanted = failed("The host must be the name or the address of a server.");
        assert_eq!(result(&run_new(&org, "Postgres", &config("/tmp"), step)), wanted);
    }
}
