//! Which people become one, and which stay two.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::exports_s3::{config, lines, run_of};
use crate::support::exports::capture;
use crate::support::{Org, S3, Server, text};

/// The distinct ids of the project, those of one person together.
fn people(server: &Server, org: &Org) -> BTreeSet<Vec<String>> {
    let bucket = S3::with_bucket("events");
    run_of(server, org, "persons", config(&bucket, json!({})));
    let mut people: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for key in bucket.keys("events") {
        for row in lines(&bucket.object("events", &key)) {
            people.entry(text(&row["person_id"])).or_default().push(text(&row["distinct_id"]));
        }
    }
    for ids in people.values_mut() {
        ids.sort_unstable();
    }
    people.into_values().collect()
}

fn seen(distinct_id: &str) -> Value {
    json!({"event": "seen", "distinct_id": distinct_id})
}

fn identify(distinct_id: &str, other: Value) -> Value {
    json!({"event": "$identify", "distinct_id": distinct_id, "properties": {"$anon_distinct_id": other}})
}

fn alias(event: &str, distinct_id: &str, other: Value) -> Value {
    json!({"event": event, "distinct_id": distinct_id, "properties": {"alias": other}})
}

#[test]
fn two_people_become_one_where_one_of_them_was_nobody_yet() {
    let (ada, bob) = (identify("ada", json!("a1")), identify("bob", json!("b1")));
    let cases: [(&str, Vec<Value>, &[&[&str]]); 14] = [
        ("a device becomes a person", vec![seen("a1"), ada.clone()], &[&["a1", "ada"]]),
        (
            "an alias of a device",
            vec![seen("a1"), seen("ada"), alias("$create_alias", "ada", json!("a1"))],
            &[&["a1", "ada"]],
        ),
        (
            "a person with a new device",
            vec![ada.clone(), seen("a2"), identify("ada", json!("a2"))],
            &[&["a1", "a2", "ada"]],
        ),
        (
            "two people do not",
            vec![ada.clone(), bob.clone(), identify("ada", json!("bob"))],
            &[&["a1", "ada"], &["b1", "bob"]],
        ),
        (
            "nor by their devices",
            vec![ada.clone(), bob.clone(), identify("ada", json!("b1"))],
            &[&["a1", "ada"], &["b1", "bob"]],
        ),
        (
            "nor by alias",
            vec![ada.clone(), bob.clone(), alias("$create_alias", "ada", json!("bob"))],
            &[&["a1", "ada"], &["b1", "bob"]],
        ),
        (
            "nor into a device",
            vec![ada.clone(), seen("a2"), alias("$create_alias", "a2", json!("ada"))],
            &[&["a1", "ada"], &["a2"]],
        ),
        (
            "but by force",
            vec![ada.clone(), bob.clone(), alias("$merge_dangerously", "ada", json!("bob"))],
            &[&["a1", "ada", "b1", "bob"]],
        ),
        ("a number is an id", vec![seen("7"), identify("ada", json!(7))], &[&["7", "ada"]]),
        ("zero is not", vec![identify("ada", json!(0))], &[&["ada"]]),
        (
            "nor nothing",
            vec![identify("ada", json!(null)), identify("ada", json!("")), identify("ada", json!(" "))],
            &[&["ada"]],
        ),
        (
            "nor what is sent by mistake",
            vec![identify("ada", json!("Undefined")), identify("'null'", json!("ada"))],
            &[&["'null'"], &["ada"]],
        ),
        ("a person may be called so", vec![identify("nan", json!("NULL"))], &[&["NULL", "nan"]]),
        ("oneself is nobody else", vec![identify("ada", json!("ada"))], &[&["ada"]]),
    ];
    let server = Server::start();
    for (what, events, wanted) in cases {
        let org = server.org();
        capture(&server, &org, &events);
        let wanted: BTreeSet<Vec<String>> =
            wanted.iter().map(|ids| ids.iter().map(|id| (*id).to_owned()).collect()).collect();
        assert_eq!(people(&server, &org), wanted, "{what}");
    }
}
