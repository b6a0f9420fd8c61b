//! A batch export, from its making to the end of its run.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Process, Seeded};

/// The run of a new export over the hour of all events, once it is over.
pub async fn exported_to(
    server: &Process,
    seeded: &Seeded,
    destination: &Value,
    query: Option<&str>,
) -> Value {
    let all = format!("http://{}/api/organizations/{}/batch_exports/", server.address, seeded.organization);
    let agent = ureq::Agent::new_with_defaults();
    let bearer = format!("Bearer {}", seeded.key);
    let read = |answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>| -> Value {
        let text = answer.expect("an answer").body_mut().read_to_string().expect("text");
        serde_json::from_str(&text).expect("JSON")
    };
    let post = |url: &str, body: Value| {
        let request = agent.post(url).header("authorization", &bearer);
        read(request.header("content-type", "application/json").send(body.to_string()))
    };
    let mut export = json!({"name": "n", "interval": "hour", "paused": true, "destination": destination});
    if let Some(query) = query {
        export["hogql_query"] = query.into();
    }
    let export = post(&all, export);
    let one = format!("{all}{}/", export["id"].as_str().expect("an id"));
    let range = json!({"start_at": "2021-01-01T10:00:00Z", "end_at": "2021-01-01T11:00:00Z"});
    post(&format!("{one}backfill/"), range);
    loop {
        let export = read(agent.get(&one).header("authorization", &bearer).call());
        let run = &export["latest_runs"][0];
        if run["finished_at"].is_string() {
            return run.clone();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
