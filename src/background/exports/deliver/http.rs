//! Delivery over HTTP, in the form of the `/batch/` endpoint: an export can feed another instance. Each request
//! that was accepted is noted, and another attempt continues after it. One that is too large for the receiver is
//! sent again as smaller ones.

use std::collections::VecDeque;
use std::ops::Range;
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
use crate::outbound::{SendError, SendRequest, SendResponse};
use crate::resources::batch_exports::runs::Progress;
use crate::resources::events::{Cursor, Event};

/// Events of one request.
const EVENTS_MAX: usize = 5000;
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// A larger request whose connection breaks was perhaps too large: some receivers hang up in place of an answer.
const SUSPECT_BYTES: usize = 64 * 1024;
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
    uuid: Uuid,
    json: Bytes,
}

/// What an answer means for the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Accepted,
    TooLarge,
    /// The same request may be accepted later.
    Later,
    Never,
}

fn verdict(status: u16) -> Verdict {
    match status {
        200..=299 => Verdict::Accepted,
        413 => Verdict::TooLarge,
        408 | 425 | 429 | 500..=599 => Verdict::Later,
        _ => Verdict::Never,
    }
}

pub(in crate::background::exports) struct HttpDelivery<'a> {
    plan: &'a Plan,
    notes: &'a Notes,
    transport: &'a Transport,
    url: Url,
    waiting: VecDeque<Encoded>,
    /// The next request.
    body: Body,
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
        Ok(HttpDelivery { plan, notes, transport, url, waiting: VecDeque::new(), body, confirmed })
    }

    /// Sends what is in the body. What is too large waits again, for smaller requests.
    async fn send(&mut self) -> Result<()> {
        let (bytes, parts) = self.body.take();
        let request = SendRequest {
            method: "POST",
            url: self.url.clone(),
            headers: vec![("content-type", "application/json".into())],
            body: bytes.clone(),
            time_max: REQUEST_TIMEOUT,
            bytes_max: ANSWER_BYTES_MAX,
        };
        let answer = match self.transport.send(request).await {
            Ok(answer) => answer,
            Err(SendError::Broken(_)) if parts.len() > 1 && bytes.len() > SUSPECT_BYTES => {
                self.halve(&bytes, parts);
                return Ok(());
            }
            Err(cause) => return Err(unanswered(cause)),
        };
        let excerpt = self.plan.redactor.redacted_excerpt(answer.text(), answer.is_public);
        let error = |name: &str| format!("{name}: {name} (status: {}): {excerpt}", answer.status);
        match (verdict(answer.status), parts.as_slice()) {
            (Verdict::Accepted, _) if is_page(&answer) => {
                let why = "The receiver answers with a web page, so the url is not one that takes events";
                Err(AttemptError::Fatal(format!("{}. {why}", error("NonRetryableResponseError"))))
            }
            (Verdict::Accepted, _) => {
                let place = parts.last().map(|part| part.place).or(self.confirmed.place);
                let records = self.confirmed.records + parts.len() as u64;
                self.confirmed = Progress { place, records };
                Ok(())
            }
            (Verdict::TooLarge, [single]) => Err(AttemptError::Fatal(format!(
                "{}. The event {} alone is too large for the receiver",
                error("NonRetryableResponseError"),
                single.uuid
            ))),
            (Verdict::TooLarge, _) => {
                self.halve(&bytes, parts);
                Ok(())
            }
            (Verdict::Later, _) => {
                let seconds = answer.retry_after_seconds(self.transport.now());
                Err(AttemptError::later(error("RetryableResponseError"), seconds))
            }
            (Verdict::Never, _) => {
                let why = if answer.status == 401 { ". The receiver does not know the token" } else { "" };
                Err(AttemptError::Fatal(error("NonRetryableResponseError") + why))
            }
        }
    }

    /// Lets the events of a request wait again, for smaller ones.
    fn halve(&mut self, bytes: &Bytes, parts: Vec<Part>) {
        self.body.bytes_max = bytes.len() / 2;
        for Part { place, uuid, json } in parts.into_iter().rev() {
            self.waiting.push_front(Encoded { place, uuid, json: bytes.slice(json) });
        }
    }
}

fn unanswered(cause: SendError) -> AttemptError {
    match cause {
        SendError::Refused(refused) => refused.into(),
        SendError::Unusable(reason) => AttemptError::Fatal(format!("ClientConnectionError: {reason}")),
        SendError::Unreachable(reason) | SendError::Broken(reason) | SendError::Late(reason) => {
            AttemptError::Retryable(format!("ClientConnectionError: {reason}"))
        }
    }
}

/// Whether a good answer is a page for people: that of a site's front, of a log-in, of somebody who is in between. The
/// type alone says nothing: it is what PHP gives to any text.
fn is_page(answer: &SendResponse) -> bool {
    let text = answer.body.trim_ascii_start();
    let begins =
        |tag: &str| text.get(..tag.len()).is_some_and(|front| front.eq_ignore_ascii_case(tag.as_bytes()));
    let is_called_html = answer.header("content-type").is_some_and(|value| value.contains("text/html"));
    begins("<!doctype html") || begins("<html") || (is_called_html && begins("<"))
}

impl Delivery for HttpDelivery<'_> {
    fn encode(&mut self, batch: Batch) -> Result<()> {
        let Batch::Events(records) = batch else { return Ok(()) };
        for record in records {
            let place = Cursor { time: record.event.timestamp, id: record.id };
            let json = encode(record.id, &record.event)?.into();
            self.waiting.push_back(Encoded { place, uuid: record.event.uuid_or(record.id), json });
        }
        Ok(())
    }

    async fn send_next(&mut self) -> Result<bool> {
        while let Some(event) = self.waiting.front() {
            if !self.body.has_room_for(&event.json) {
                self.send().await?;
                return Ok(true);
            }
            self.body.push(event);
            self.waiting.pop_front();
        }
        Ok(false)
    }

    fn confirmed(&self) -> Progress {
        self.confirmed
    }

    async fn finish(&mut self, _records: u64) -> Result<()> {
        while !self.body.parts.is_empty() {
            self.send().await?;
            self.notes.progress(self.confirmed).await?;
            // What was too large waits again.
            while self.send_next().await? {
                self.notes.progress(self.confirmed).await?;
            }
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
    /// The front, and the events so far.
    bytes: Vec<u8>,
    parts: Vec<Part>,
    bytes_max: usize,
}

/// An event in a body.
struct Part {
    place: Cursor,
    uuid: Uuid,
    /// Where it stands.
    json: Range<usize>,
}

impl Body {
    fn new(token: &str, bytes_max: usize) -> Body {
        let token = Value::from(token);
        let front = format!("{{\"api_key\":{token},\"historical_migration\":true,\"batch\":[");
        Body { front: front.into_bytes(), bytes: Vec::new(), parts: Vec::new(), bytes_max }
    }

    /// A single event always fits.
    fn has_room_for(&self, event: &[u8]) -> bool {
        const BRACKETS_AND_COMMA: usize = 3;
        let bytes = self.bytes.len() + event.len() + BRACKETS_AND_COMMA;
        self.parts.is_empty() || (self.parts.len() < EVENTS_MAX && bytes <= self.bytes_max)
    }

    fn push(&mut self, event: &Encoded) {
        self.bytes.extend_from_slice(if self.parts.is_empty() { &self.front } else { b"," });
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&event.json);
        self.parts.push(Part { place: event.place, uuid: event.uuid, json: start..self.bytes.len() });
    }

    /// The bytes to send, and what is in them; the next body begins empty.
    fn take(&mut self) -> (Bytes, Vec<Part>) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.extend_from_slice(b"]}");
        (bytes.into(), std::mem::take(&mut self.parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_whether_the_same_request_may_be_accepted_later() {
        for (statuses, wanted) in [
            (&[200, 204, 299][..], Verdict::Accepted),
            (&[413], Verdict::TooLarge),
            (&[408, 425, 429, 500, 501, 502, 503, 504, 520, 599], Verdict::Later),
            (&[100, 199, 301, 302, 307, 308, 400, 401, 403, 404, 409, 410, 414, 422], Verdict::Never),
        ] {
            for status in statuses {
                assert_eq!(verdict(*status), wanted, "{status}");
            }
        }
    }
}
