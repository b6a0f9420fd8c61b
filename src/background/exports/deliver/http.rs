//! Delivery over HTTP, in the form of the `/batch/` endpoint: an export can feed another instance. Each request
//! that was accepted is noted, and another attempt continues after it.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use super::{Delivery, Transport};
use crate::background::exports::error::{AttemptError, Result};
use crate::background::exports::note::Notes;
use crate::background::exports::plan::Plan;
use crate::background::exports::read::Batch;
use crate::clock::Time;
use crate::outbound::{SendError, SendRequest};
use crate::resources::batch_exports::runs::Progress;
use crate::resources::events::{Cursor, Event};

/// Events of one request.
const EVENTS_MAX: usize = 5000;
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// An event as the endpoint takes it.
#[derive(Serialize)]
struct Wire<'a> {
    uuid: Uuid,
    distinct_id: &'a str,
    timestamp: Time,
    event: &'a str,
    properties: Value,
}

/// An event that is in no request yet.
struct Encoded {
    place: Cursor,
    json: Vec<u8>,
}

pub(in crate::background::exports) struct HttpDelivery<'a> {
    plan: &'a Plan,
    notes: &'a Notes,
    transport: &'a Transport,
    url: Url,
    waiting: VecDeque<Encoded>,
    /// The next request.
    body: Body,
    /// After the last event in `body`.
    encoded: Progress,
    confirmed: Progress,
}

impl<'a> HttpDelivery<'a> {
    pub(in crate::background::exports) fn new(
        plan: &'a Plan,
        notes: &'a Notes,
        transport: &'a Transport,
    ) -> Result<HttpDelivery<'a>> {
        let url = Url::parse(plan.settings.text("url").unwrap_or_default())
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| {
                AttemptError::Fatal("ValueError: The url must begin with http:// or https://".into())
            })?;
        let body = Body::new(plan.settings.text("token").unwrap_or_default(), plan.sizes.request);
        let confirmed = plan.run.progress;
        let waiting = VecDeque::new();
        Ok(HttpDelivery { plan, notes, transport, url, waiting, body, encoded: confirmed, confirmed })
    }

    /// Sends what is in the body.
    async fn send(&mut self) -> Result<()> {
        let request = SendRequest {
            method: "POST",
            url: self.url.clone(),
            headers: vec![("content-type", "application/json".into())],
            body: self.body.take(),
            time_max: REQUEST_TIMEOUT,
            bytes_max: ANSWER_BYTES_MAX,
        };
        let answer = self.transport.send(request).await.map_err(|cause| match cause {
            SendError::Refused(refused) => refused.into(),
            SendError::Unreachable(reason) | SendError::Unanswered(reason) => {
                AttemptError::Retryable(format!("ClientConnectionError: {reason}"))
            }
        })?;
        let excerpt = self.plan.redactor.redacted_excerpt(answer.text(), answer.is_public);
        let error = |name: &str| format!("{name}: {name} (status: {}): {excerpt}", answer.status);
        match answer.status {
            200..=299 => {}
            429 | 500..=599 => return Err(AttemptError::Retryable(error("RetryableResponseError"))),
            _ => return Err(AttemptError::Fatal(error("NonRetryableResponseError"))),
        }
        self.confirmed = self.encoded;
        Ok(())
    }
}

impl Delivery for HttpDelivery<'_> {
    fn encode(&mut self, batch: Batch) -> Result<()> {
        let Batch::Events(records) = batch else { return Ok(()) };
        for record in records {
            let place = Cursor { time: record.event.timestamp, id: record.id };
            self.waiting.push_back(Encoded { place, json: encode(record.id, &record.event)? });
        }
        Ok(())
    }

    async fn send_next(&mut self) -> Result<bool> {
        while let Some(event) = self.waiting.front() {
            if !self.body.has_room_for(&event.json) {
                self.send().await?;
                return Ok(true);
            }
            self.body.push(&event.json);
            self.encoded = Progress { place: Some(event.place), records: self.encoded.records + 1 };
            self.waiting.pop_front();
        }
        Ok(false)
    }

    fn confirmed(&self) -> Progress {
        self.confirmed
    }

    async fn finish(&mut self, _records: u64) -> Result<()> {
        if self.body.count > 0 {
            self.send().await?;
            self.notes.progress(self.confirmed).await?;
        }
        Ok(())
    }
}

fn encode(id: Uuid, event: &Event) -> Result<Vec<u8>> {
    let mut properties = event.properties.value();
    if !properties.is_object() {
        properties = Value::Object(serde_json::Map::new());
    }
    // The receiver must not derive a location from this server's address.
    properties["$geoip_disable"] = true.into();
    if event.event == "$autocapture" {
        properties["$elements_chain"] = event.elements_chain.as_str().into();
    }
    let wire = Wire {
        uuid: event.uuid_or(id),
        distinct_id: &event.distinct_id,
        timestamp: event.timestamp,
        event: &event.event,
        properties,
    };
    serde_json::to_vec(&wire).map_err(|cause| AttemptError::Internal(cause.into()))
}

/// The body of a request that grows event by event.
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

    /// A single event always fits.
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
