//! Delivery over HTTP, in the form of the `/batch/` endpoint: an export can feed another instance.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use super::job::{Job, Outcome, Stop};
use crate::clock::Time;
use crate::outbound::{Delivery, Undelivered};
use crate::resources::batch_exports::runs::Progress;
use crate::resources::events::{Event, Place};

/// What one request holds at the most.
const EVENTS_MAX: usize = 5000;
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How long one request may take.
const TIME_MAX: Duration = Duration::from_secs(120);

#[derive(Serialize)]
struct Sent<'a> {
    uuid: Uuid,
    distinct_id: &'a str,
    timestamp: Time,
    event: &'a str,
    properties: Value,
}

/// One request's body in the making.
struct Body {
    front: Vec<u8>,
    events: Vec<u8>,
    count: usize,
    bytes_max: usize,
}

impl Body {
    fn new(token: &str, bytes_max: usize) -> Body {
        let token = Value::from(token);
        let front = format!("{{\"api_key\":{token},\"historical_migration\":true,\"batch\":[");
        Body { front: front.into_bytes(), events: Vec::new(), count: 0, bytes_max }
    }

    fn has_room_for(&self, event: &[u8]) -> bool {
        let bytes = self.front.len() + self.events.len() + event.len() + 3;
        self.count == 0 || (self.count < EVENTS_MAX && bytes <= self.bytes_max)
    }

    fn push(&mut self, event: &[u8]) {
        if self.count > 0 {
            self.events.push(b',');
        }
        self.events.extend_from_slice(event);
        self.count += 1;
    }

    /// The bytes to send; the next body begins empty.
    fn take(&mut self) -> Bytes {
        self.count = 0;
        let events = std::mem::take(&mut self.events);
        [self.front.as_slice(), &events, b"]}"].concat().into()
    }
}

/// Sends all events of the job, and goes on behind the last request that was accepted before.
pub(super) async fn export(job: &Job) -> Outcome<u64> {
    let url = Url::parse(job.text("url").unwrap_or_default())
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| Stop::Fatal("ValueError: The url must begin with http:// or https://".into()))?;
    let mut body = Body::new(job.text("token").unwrap_or_default(), job.sizes.request);
    // Behind all events that lie in the body.
    let mut reached = job.run.progress;
    let mut read_to = reached.place;
    while let Some((events, place)) = job.next(read_to).await? {
        for (id, event) in &events {
            let bytes = event_body(*id, event)?;
            if !body.has_room_for(&bytes) {
                send(job, &url, body.take()).await?;
                job.advance(reached).await?;
            }
            body.push(&bytes);
            let at = Place { time: event.timestamp, id: *id };
            reached = Progress { place: Some(at), records: reached.records + 1 };
        }
        read_to = Some(place);
    }
    if body.count > 0 {
        send(job, &url, body.take()).await?;
        job.advance(reached).await?;
    }
    Ok(reached.records)
}

fn event_body(id: Uuid, event: &Event) -> Outcome<Vec<u8>> {
    let mut properties = event.properties.value();
    if !properties.is_object() {
        properties = Value::Object(serde_json::Map::new());
    }
    // The receiver must not look for the place of an address that is ours.
    properties["$geoip_disable"] = true.into();
    if event.event == "$autocapture" {
        properties["$elements_chain"] = event.elements_chain.as_str().into();
    }
    let sent = Sent {
        uuid: event.uuid_or(id),
        distinct_id: &event.distinct_id,
        timestamp: event.timestamp,
        event: &event.event,
        properties,
    };
    serde_json::to_vec(&sent).map_err(|cause| Stop::Broken(cause.into()))
}

async fn send(job: &Job, url: &Url, body: Bytes) -> Outcome<()> {
    let delivery = Delivery {
        method: "POST",
        url: url.clone(),
        headers: vec![("content-type", "application/json".into())],
        body,
        time_max: TIME_MAX,
        bytes_max: ANSWER_BYTES_MAX,
    };
    let answer = job.send(delivery).await.map_err(|cause| match cause {
        Undelivered::Refused(refused) => refused.into(),
        Undelivered::Unreachable(told) | Undelivered::Unanswered(told) => {
            Stop::Retryable(format!("ClientConnectionError: {told}"))
        }
    })?;
    let told = job.told(answer.text(), answer.is_public);
    let error = |name: &str| format!("{name}: {name} (status: {}): {told}", answer.status);
    match answer.status {
        200..=299 => Ok(()),
        429 | 500..=599 => Err(Stop::Retryable(error("RetryableResponseError"))),
        _ => Err(Stop::Fatal(error("NonRetryableResponseError"))),
    }
}
