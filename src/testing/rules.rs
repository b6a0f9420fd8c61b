//! What is to go wrong, and what is expected of a client.

use serde_json::{Map, Value, json};

/// What becomes of requests. One of `status`, `reset`, `cut_after`, `silence` and `delay` begins it.
#[derive(Clone, Debug)]
#[must_use]
pub struct Fault(Map<String, Value>);

impl Fault {
    fn of_action(name: &str, value: Value) -> Fault {
        Fault(Map::from_iter([(name.to_owned(), value)]))
    }

    /// An answer of this status, which looks like orgd's own.
    pub fn status(status: u16) -> Fault {
        Fault::of_action("answer", json!({"status": status, "headers": {}}))
    }

    /// The connection is reset.
    pub fn reset() -> Fault {
        Fault::of_action("reset", json!(true))
    }

    /// The body of the answer ends after so many bytes.
    pub fn cut_after(bytes: u64) -> Fault {
        Fault::of_action("cut_after_bytes", json!(bytes))
    }

    /// Nothing for so long, then the connection ends.
    pub fn silence(seconds: u64) -> Fault {
        Fault::of_action("silence_s", json!(seconds))
    }

    /// The answer comes so much later.
    pub fn delay(millis: u64) -> Fault {
        Fault::of_action("delay_ms", json!(millis))
    }

    /// It happens so often; for ever unless this is said.
    pub fn times(self, times: u64) -> Fault {
        self.and("times", json!(times))
    }

    /// So many requests pass first.
    pub fn skip(self, skip: u64) -> Fault {
        self.and("skip", json!(skip))
    }

    /// The request is carried out, and then its answer is spoilt.
    pub fn after_commit(self) -> Fault {
        self.and("after_commit", json!(true))
    }

    /// The path is meant, though no route has it.
    pub fn any_path(self) -> Fault {
        self.and("any_path", json!(true))
    }

    /// `Retry-After` of an answer, in seconds.
    pub fn retry_after(self, seconds: u64) -> Fault {
        self.header("Retry-After", &seconds.to_string())
    }

    /// A header of an answer.
    pub fn header(mut self, name: &str, value: &str) -> Fault {
        self.0["answer"]["headers"][name] = json!(value);
        self
    }

    /// The body of an answer.
    pub fn json(mut self, body: Value) -> Fault {
        self.0["answer"]["json"] = body;
        self
    }

    fn and(mut self, name: &str, value: Value) -> Fault {
        self.0.insert(name.to_owned(), value);
        self
    }

    pub(super) fn of(mut self, route: &str) -> Value {
        self.0.insert("match".into(), route_of(route).into());
        self.0.into()
    }
}

/// How a route should have been called.
#[derive(Clone, Debug)]
#[must_use]
pub struct Expect(Map<String, Value>);

impl Expect {
    /// Exactly so often.
    pub fn count(count: usize) -> Expect {
        Expect(Map::from_iter([("count".to_owned(), json!(count))]))
    }

    /// So often or more.
    pub fn at_least(count: usize) -> Expect {
        Expect(Map::from_iter([("at_least".to_owned(), json!(count))]))
    }

    /// Not at all.
    pub fn never() -> Expect {
        Expect(Map::from_iter([("never".to_owned(), json!(true))]))
    }

    /// Of those whose body has this at the least.
    pub fn with_json(mut self, body: Value) -> Expect {
        self.0.insert("json".into(), body);
        self
    }

    /// Of those that were answered so.
    pub fn with_status(mut self, status: u16) -> Expect {
        self.0.insert("status".into(), json!(status));
        self
    }

    pub(super) fn of(mut self, route: &str) -> Value {
        self.0.extend(route_of(route));
        self.0.into()
    }
}

/// `POST /path/` and `/path/` as the server wants them.
fn route_of(route: &str) -> Map<String, Value> {
    match route.split_once(' ') {
        Some((method, path)) => {
            Map::from_iter([("method".to_owned(), json!(method)), ("path".to_owned(), json!(path.trim()))])
        }
        None => Map::from_iter([("path".to_owned(), json!(route))]),
    }
}
