//! Calls of a server in this process. One request, one connection: this needs no more than the standard library.

use std::io::{Error, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Longer than the server waits for anything.
const TIME: Duration = Duration::from_secs(90);

/// Where a server is.
#[derive(Clone, Copy)]
pub(super) struct Control(pub(super) SocketAddr);

impl Control {
    pub(super) fn url(self) -> String {
        format!("http://{}", self.0)
    }

    /// Calls a path below `/_orgd/`; null for an empty answer.
    #[track_caller]
    pub(super) fn call(self, method: &str, what: &str, body: Option<Value>) -> Value {
        let path = format!("/_orgd/{what}");
        let body = body.map_or_else(String::new, |body| body.to_string());
        let (status, text) = match self.send(method, &path, None, &body) {
            Ok(answer) => answer,
            Err(cause) => panic!("orgd: {method} {path}: {cause}"),
        };
        assert!(status < 300, "orgd: {method} {path}: {status}: {text}");
        if text.is_empty() {
            return Value::Null;
        }
        serde_json::from_str(&text).unwrap_or_else(|cause| panic!("orgd: {method} {path}: {cause}: {text}"))
    }

    /// Sends a request of HTTP/1.0, whose answer ends with its connection.
    pub(super) fn send(
        self,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: &str,
    ) -> Result<(u16, String)> {
        let mut stream = TcpStream::connect(self.0)?;
        stream.set_read_timeout(Some(TIME))?;
        let key = key.map_or_else(String::new, |key| format!("Authorization: Bearer {key}\r\n"));
        let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        let head = format!("{method} {path} HTTP/1.0\r\nHost: {}\r\n{key}{kind}", self.0);
        stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let no_http = || Error::other("the answer is no HTTP, or was cut");
        let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(no_http)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(no_http)?;
        Ok((status, body.to_owned()))
    }
}
